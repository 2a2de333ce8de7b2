#include <endian.h>

#include "tests/frontend/riscv64/lift/run_ir.h"
#include "tests/numbers.h"

#include <string.h>

struct frame {
    struct run *r;
    const struct ir_block *b;
    uint64_t v[IR_MAX_INSNS];
};

static uint64_t value(const struct frame *f, ir_val v)
{
    return v == IR_NONE ? 0 : f->v[v];
}

static uint64_t sign_extend(uint64_t v, unsigned size)
{
    unsigned shift = 64 - 8 * size;
    return (uint64_t)((int64_t)(v << shift) >> shift);
}

/* The bytes of an access; NULL (and a fault) when they are not all in memory. */
static uint8_t *memory(struct frame *f, uint64_t addr, unsigned size, bool aligned)
{
    uint64_t offset = addr - RUN_MEM_BASE;
    if (offset > RUN_MEM_BYTES - size || (aligned && addr % size)) {
        f->r->exit = RUN_FAULTED;
        f->r->fault_addr = addr;
        return NULL;
    }
    return f->r->mem + offset;
}

static uint64_t amo_result(unsigned kind, uint64_t old, uint64_t operand)
{
    switch (kind) {
    case IR_AMO_SWAP: return operand;
    case IR_AMO_ADD: return old + operand;
    case IR_AMO_AND: return old & operand;
    case IR_AMO_OR: return old | operand;
    case IR_AMO_XOR: return old ^ operand;
    case IR_AMO_MIN: return (int64_t)old < (int64_t)operand ? old : operand;
    case IR_AMO_MAX: return (int64_t)old > (int64_t)operand ? old : operand;
    case IR_AMO_MINU: return old < operand ? old : operand;
    default: return old > operand ? old : operand;
    }
}

/* True: the access was made. */
static bool access_memory(struct frame *f, uint32_t i)
{
    const struct ir_insn *in = &f->b->insn[i];
    unsigned size = 1u << (in->aux & IR_SIZE_MASK);
    bool atomic = in->op == IR_AMO || in->op == IR_CAS;
    uint64_t addr = value(f, in->a) + (in->op == IR_AMO ? 0 : (uint64_t)in->imm);
    uint64_t b = value(f, in->b), old = 0, update = b;
    uint8_t *p = memory(f, addr, size, atomic || (in->aux & IR_ALIGNED));
    if (!p)
        return false;
    memcpy(&old, p, size);
    old = le64toh(old);
    if (atomic || (in->aux & IR_SIGN))
        old = sign_extend(old, size);
    if (in->op == IR_LD) {
        f->v[i] = old;
        return true;
    }
    if (in->op == IR_AMO)
        update = amo_result((unsigned)in->imm, old, sign_extend(b, size));
    if (in->op == IR_CAS)
        update = old == sign_extend(b, size) ? value(f, in->c) : old;
    update = htole64(update);
    memcpy(p, &update, size);
    f->v[i] = old;
    return true;
}

static bool zero_memory(struct frame *f, uint64_t addr)
{
    uint8_t *p = memory(f, addr, 1, false);
    if (p)
        memset(p - addr % IR_ZERO_BYTES, 0, IR_ZERO_BYTES);
    return p != NULL;
}

/* Where the address that the block has for it is now. */
static uint64_t moved(const struct frame *f, uint64_t address)
{
    return f->b->anywhere ? address - (f->b->pc & ~(uint64_t)GW_PAGE_MASK) + f->r->cpu->run.page
                          : address;
}

static uint64_t guest_pc(const struct frame *f, const struct ir_insn *in)
{
    return moved(f, f->b->pc + f->b->guest[in->guest].pc_offset);
}

/* True: go on in the block. */
static bool call(struct frame *f, uint32_t i)
{
    const struct ir_insn *in = &f->b->insn[i];
    struct run *r = f->r;
    unsigned n = r->calls++;
    if (n < RUN_MAX_CALLS)
        r->call[n] =
            (struct run_call){(uint64_t)in->imm, value(f, in->a), value(f, in->b), value(f, in->c)};
    f->v[i] = r->helper_result;
    if ((int)n != r->leave_at)
        return true;
    r->exit = RUN_HELPER_LEFT;
    r->pc = guest_pc(f, in);
    return false;
}

static bool leave(struct run *r, enum run_exit exit, uint64_t pc)
{
    r->exit = exit;
    r->pc = pc;
    return false;
}

static bool step(struct frame *f, uint32_t i)
{
    const struct ir_insn *in = &f->b->insn[i];
    struct run *r = f->r;
    uint8_t *state = (uint8_t *)r->cpu + (in->op == IR_GET || in->op == IR_PUT ? in->imm : 0);
    uint64_t a = value(f, in->a), b = value(f, in->b);
    switch (in->op) {
    case IR_CONST: f->v[i] = (uint64_t)in->imm; return true;
    case IR_GET: f->v[i] = number_at(state, 1u << in->aux); return true;
    case IR_PUT:
        put_number(state, 1u << in->aux, a);
        r->puts++;
        return true;
    case IR_LD:
    case IR_ST:
    case IR_AMO:
    case IR_CAS: r->pc = guest_pc(f, in); return access_memory(f, i);
    case IR_ZERO: r->pc = guest_pc(f, in); return zero_memory(f, a);
    case IR_FENCE:
    case IR_NOP: return true;
    case IR_CALL: return call(f, i);
    case IR_BRCC:
        if (!ir_cond_holds((enum ir_cond)in->aux, (enum ir_type)in->type, a, b))
            return true;
        return leave(r, RUN_JUMPED, moved(f, (uint64_t)in->imm));
    case IR_JMP: return leave(r, RUN_JUMPED, moved(f, (uint64_t)in->imm));
    case IR_JMPR: return leave(r, RUN_JUMPED, a);
    case IR_LEAVE: return leave(r, RUN_LEFT, a);
    default:
        f->v[i] = ir_eval(in, a, b, value(f, in->c), value(f, in->d), &r->fp_flags);
        return true;
    }
}

void run_block(struct run *r, const struct ir_block *b)
{
    struct frame f = {.r = r, .b = b};
    r->calls = r->puts = 0;
    r->fp_flags = 0;
    for (uint32_t i = 0; i < b->count && step(&f, i); i++)
        ;
}
