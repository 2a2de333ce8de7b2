#include <endian.h>
#include <string.h>

#include "tests/numbers.h"
#include "tests/translator/ir/toy.h"

/* --- helpers ---------------------------------------------------------------------------------- */

static uint64_t mix(void *cpu, uint64_t a, uint64_t b, uint64_t c)
{
    (void)cpu;
    return (a ^ (b << 7 | b >> 57)) + c * 0x9e3779b97f4a7c15u;
}

static uint64_t bump(void *cpu_, uint64_t a, uint64_t b, uint64_t c)
{
    struct toy_cpu *cpu = cpu_;
    (void)c;
    cpu->x[5] += a;
    cpu->x[6] += a;
    return cpu->x[1] ^ b;
}

static uint64_t maybe_leave(void *cpu_, uint64_t a, uint64_t b, uint64_t c)
{
    struct toy_cpu *cpu = cpu_;
    (void)b;
    (void)c;
    if ((a & 7) == 5) {
        cpu->run.leave = GW_LEAVE_TRAP;
        cpu->run.pc += 0x1000;
    }
    return a + 1;
}

static uint64_t flag(void *cpu_, uint64_t a, uint64_t b, uint64_t c)
{
    struct toy_cpu *cpu = cpu_;
    (void)b;
    (void)c;
    cpu->run.fp_flags |= (uint32_t)a & 31;
    return cpu->run.fp_flags;
}

const struct gw_helper toy_helpers[TOY_HELPER_COUNT] = {
    [TOY_MIX] = {"mix", mix, 0, 3},
    [TOY_BUMP] = {"bump", bump, GW_HELPER_READS | GW_HELPER_WRITES, 2},
    [TOY_MAYBE_LEAVE] = {"maybe_leave", maybe_leave, GW_HELPER_LEAVES | GW_HELPER_PC, 1},
    [TOY_FLAG] = {"flag", flag, GW_HELPER_FP, 1},
};

/* --- memory ----------------------------------------------------------------------------------- */

static uint64_t extend(uint64_t v, unsigned aux)
{
    switch (aux & (IR_SIZE_MASK | IR_SIGN)) {
    case 0: return (uint8_t)v;
    case 1: return (uint16_t)v;
    case 2: return (uint32_t)v;
    case IR_SIGN: return (uint64_t)(int64_t)(int8_t)v;
    case IR_SIGN | 1: return (uint64_t)(int64_t)(int16_t)v;
    case IR_SIGN | 2: return (uint64_t)(int64_t)(int32_t)v;
    default: return v;
    }
}

static bool outside(uint64_t addr, unsigned aux)
{
    unsigned size = 1u << (aux & IR_SIZE_MASK);
    if (aux & IR_ALIGNED && addr & (size - 1))
        return true;
    return addr < TOY_BASE || addr - TOY_BASE > TOY_WINDOW - size;
}

static uint64_t read_mem(const uint8_t *mem, uint64_t addr, unsigned aux)
{
    uint64_t v = 0;
    memcpy(&v, mem + (addr - TOY_BASE), 1u << (aux & IR_SIZE_MASK));
    return extend(le64toh(v), aux);
}

static void write_mem(uint8_t *mem, uint64_t addr, unsigned aux, uint64_t v)
{
    v = htole64(v);
    memcpy(mem + (addr - TOY_BASE), &v, 1u << (aux & IR_SIZE_MASK));
}

static uint64_t combine(unsigned kind, unsigned aux, uint64_t old, uint64_t v, uint64_t expected)
{
    uint64_t sv = extend(v, aux | IR_SIGN), uv = extend(v, aux), uo = extend(old, aux);
    switch (kind) {
    case IR_AMO_SWAP: return v;
    case IR_AMO_ADD: return old + v;
    case IR_AMO_AND: return old & v;
    case IR_AMO_OR: return old | v;
    case IR_AMO_XOR: return old ^ v;
    case IR_AMO_MIN: return (int64_t)old < (int64_t)sv ? old : v;
    case IR_AMO_MAX: return (int64_t)old > (int64_t)sv ? old : v;
    case IR_AMO_MINU: return uo < uv ? old : v;
    case IR_AMO_MAXU: return uo > uv ? old : v;
    default: return uo == extend(expected, aux) ? v : old; /* CAS */
    }
}

static uint32_t slow_fault(struct toy_cpu *cpu)
{
    cpu->run.leave = GW_LEAVE_TRAP;
    cpu->run.pc = TOY_FAULT_PC;
    return 1;
}

uint32_t toy_slow_load(void *cpu_, uint32_t desc)
{
    struct toy_cpu *cpu = cpu_;
    if (outside(cpu->run.slow_addr, desc & 0xff))
        return slow_fault(cpu);
    cpu->run.slow_value = read_mem(cpu->run.engine, cpu->run.slow_addr, desc & 0xff);
    return 0;
}

uint32_t toy_slow_store(void *cpu_, uint32_t desc)
{
    struct toy_cpu *cpu = cpu_;
    if (outside(cpu->run.slow_addr, desc & 0xff))
        return slow_fault(cpu);
    write_mem(cpu->run.engine, cpu->run.slow_addr, desc & 0xff, cpu->run.slow_value);
    return 0;
}

static void zero_mem(uint8_t *mem, uint64_t addr)
{
    memset(mem + ((addr - TOY_BASE) & ~(uint64_t)(IR_ZERO_BYTES - 1)), 0, IR_ZERO_BYTES);
}

uint32_t toy_slow_zero(void *cpu_, uint32_t desc)
{
    struct toy_cpu *cpu = cpu_;
    if (outside(cpu->run.slow_addr, desc))
        return slow_fault(cpu);
    zero_mem(cpu->run.engine, cpu->run.slow_addr);
    return 0;
}

uint32_t toy_slow_amo(void *cpu_, uint32_t desc)
{
    struct toy_cpu *cpu = cpu_;
    unsigned aux = (desc & 0xff) | IR_ALIGNED;
    if (outside(cpu->run.slow_addr, aux))
        return slow_fault(cpu);
    uint64_t old = read_mem(cpu->run.engine, cpu->run.slow_addr, aux | IR_SIGN);
    write_mem(cpu->run.engine, cpu->run.slow_addr, aux,
              combine(desc >> 16, aux, old, cpu->run.slow_value, cpu->run.operand[0].lo));
    cpu->run.slow_value = old;
    return 0;
}

/* --- running ---------------------------------------------------------------------------------- */

struct frame {
    struct toy_cpu *cpu;
    uint8_t *mem;
    const struct ir_block *b;
    uint64_t v[IR_MAX_INSNS];
    bool left;
    struct toy_exit exit;
};

static uint64_t value(const struct frame *f, ir_val v)
{
    return v == IR_NONE ? 0 : f->v[v];
}

/* Leaves, with `given_back` instructions of the block not retired. */
static void leave(struct frame *f, enum gw_exit_kind kind, uint64_t pc, uint32_t given_back)
{
    f->left = true;
    f->exit.kind = kind;
    f->exit.pc = f->cpu->run.pc = pc;
    f->cpu->run.budget += given_back;
    f->exit.budget = f->cpu->run.budget;
}

static void fault(struct frame *f, const struct ir_insn *in, uint64_t pc)
{
    f->cpu->run.leave = GW_LEAVE_TRAP;
    leave(f, GW_EXIT_HELPER, pc, f->b->guest_count - in->guest);
}

static uint64_t access_memory(struct frame *f, const struct ir_insn *in)
{
    uint64_t addr = value(f, in->a);
    unsigned aux = in->aux;

    if (in->op == IR_LD || in->op == IR_ST)
        addr += (uint64_t)in->imm;
    else
        aux |= IR_ALIGNED;
    if (outside(addr, aux)) {
        fault(f, in, TOY_FAULT_PC);
        return 0;
    }
    if (in->op == IR_ST) {
        write_mem(f->mem, addr, aux, value(f, in->b));
        return 0;
    }
    if (in->op == IR_LD)
        return read_mem(f->mem, addr, aux);
    uint64_t old = read_mem(f->mem, addr, aux | IR_SIGN);
    bool cas = in->op == IR_CAS;
    uint64_t v = value(f, cas ? in->c : in->b);
    write_mem(f->mem, addr, aux,
              combine(cas ? 99 : (unsigned)in->imm, aux, old, v, value(f, in->b)));
    return old;
}

static void zero(struct frame *f, const struct ir_insn *in)
{
    if (outside(value(f, in->a), 0))
        fault(f, in, TOY_FAULT_PC);
    else
        zero_mem(f->mem, value(f, in->a));
}

static uint64_t call_helper(struct frame *f, const struct ir_insn *in)
{
    struct gw_vcpu *run = &f->cpu->run;
    run->pc = f->b->pc + f->b->guest[in->guest].pc_offset;
    uint64_t v = toy_helpers[in->imm].fn(f->cpu, value(f, in->a), value(f, in->b), value(f, in->c));
    if (run->leave)
        fault(f, in, run->pc);
    return v;
}

static void step(struct frame *f, uint32_t i)
{
    const struct ir_insn *in = &f->b->insn[i];
    uint8_t *state = (uint8_t *)f->cpu + (in->op == IR_GET || in->op == IR_PUT ? in->imm : 0);
    uint64_t a = value(f, in->a), b = value(f, in->b);

    switch ((enum ir_op)in->op) {
    case IR_GET: f->v[i] = number_at(state, 1u << in->aux); break;
    case IR_PUT: put_number(state, 1u << in->aux, a); break;
    case IR_LD:
    case IR_ST:
    case IR_AMO:
    case IR_CAS: f->v[i] = access_memory(f, in); break;
    case IR_ZERO: zero(f, in); break;
    case IR_FENCE:
    case IR_NOP: break;
    case IR_FPGET: f->v[i] = f->cpu->run.fp_flags; break;
    case IR_FPSET: f->cpu->run.fp_flags = (uint32_t)a & 31; break;
    case IR_CALL: f->v[i] = call_helper(f, in); break;
    case IR_BRCC:
        if (ir_cond_holds((enum ir_cond)in->aux, (enum ir_type)in->type, a, b))
            leave(f, GW_EXIT_LINK, (uint64_t)in->imm, f->b->guest_count - 1 - in->guest);
        break;
    case IR_JMP: leave(f, GW_EXIT_LINK, (uint64_t)in->imm, 0); break;
    case IR_JMPR: leave(f, GW_EXIT_INDIRECT, a, 0); break;
    case IR_LEAVE: leave(f, GW_EXIT_LEAVE, a, 0); break;
    default:
        f->v[i] = ir_eval(in, a, b, value(f, in->c), value(f, in->d), &f->cpu->run.fp_flags);
        break;
    }
}

struct toy_exit toy_run(struct toy_cpu *cpu, uint8_t *mem, const struct ir_block *b)
{
    struct frame f;

    f.cpu = cpu;
    f.mem = mem;
    f.b = b;
    f.left = false;
    if (cpu->run.budget < (int64_t)b->guest_count) {
        leave(&f, GW_EXIT_BUDGET, b->pc, 0);
        return f.exit;
    }
    cpu->run.budget -= b->guest_count;
    for (uint32_t i = 0; i < b->count && !f.left; i++)
        step(&f, i);
    return f.exit;
}
