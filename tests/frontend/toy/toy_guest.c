/* The toy guest: configuration, state, lifting, helpers, and what the machine asks of a CPU. */
#include "tests/frontend/toy/toy_guest.h"

#include <string.h>

#define R(n) offsetof(struct toy_cpu, r[n])

/* --- helpers ------------------------------------------------------------------------------------- */

enum { HELPER_MIX, HELPER_TRAP, HELPER_HALT, HELPER_ILLEGAL, HELPER_FP_MODE };

uint64_t toy_mix(uint64_t a, uint64_t b)
{
    return (a ^ (b << 13 | b >> 51)) * UINT64_C(0x2545f4914f6cdd1d);
}

static uint64_t mix(void *opaque, uint64_t a, uint64_t b, uint64_t c)
{
    struct toy_cpu *cpu = opaque;
    (void)c;
    cpu->r[12]++;
    return toy_mix(a, b);
}

static uint64_t leave_with(struct toy_cpu *cpu, enum toy_cause cause, uint64_t vaddr)
{
    cpu->run.fault = (struct gw_fault){.vaddr = vaddr, .cause = cause, .access = GW_ACCESS_FETCH};
    cpu->run.leave = GW_LEAVE_FAULT; /* in a machine, the engine calls raise */
    return 0;
}

static uint64_t trap(void *opaque, uint64_t imm, uint64_t b, uint64_t c)
{
    struct toy_cpu *cpu = opaque;
    (void)b;
    (void)c;
    if (!cpu->cfg.user)
        return leave_with(cpu, TOY_CAUSE_TRAP, imm);
    cpu->run.leave = GW_LEAVE_SYSCALL;
    return 0;
}

static uint64_t halt(void *opaque, uint64_t a, uint64_t b, uint64_t c)
{
    struct toy_cpu *cpu = opaque;
    (void)a;
    (void)b;
    (void)c;
    cpu->halted = 1;
    if (cpu->cfg.user)
        cpu->run.leave = GW_LEAVE_SYSCALL;
    return 0;
}

static uint64_t illegal(void *opaque, uint64_t word, uint64_t b, uint64_t c)
{
    (void)b;
    (void)c;
    return leave_with(opaque, TOY_CAUSE_ILLEGAL, word);
}

static uint64_t set_fp_mode(void *opaque, uint64_t mode, uint64_t b, uint64_t c)
{
    struct toy_cpu *cpu = opaque;
    (void)b;
    (void)c;
    cpu->fp_mode = (uint32_t)mode & (TOY_FP_ON | 0xff);
    cpu->run.view_dirty = 1; /* tb_flags has it */
    return 0;
}

static const struct gw_helper helpers[] = {
    [HELPER_MIX] = {"mix", mix, GW_HELPER_READS | GW_HELPER_WRITES, 2},
    [HELPER_TRAP] = {"trap", trap, GW_HELPER_LEAVES | GW_HELPER_PC, 1},
    [HELPER_HALT] = {"halt", halt, GW_HELPER_LEAVES | GW_HELPER_PC, 0},
    [HELPER_ILLEGAL] = {"illegal", illegal, GW_HELPER_LEAVES | GW_HELPER_PC, 1},
    [HELPER_FP_MODE] = {"fp_mode", set_fp_mode, 0, 1},
};

/* --- lifting ------------------------------------------------------------------------------------- */

struct insn {
    uint64_t pc;
    uint32_t word;
    unsigned rd, ra, rb;
    int64_t imm;
};

static ir_val get(struct ir_block *b, unsigned r)
{
    return ir_get(b, (uint32_t)R(r), 3);
}

static void put(struct ir_block *b, unsigned r, ir_val v)
{
    ir_put(b, (uint32_t)R(r), 3, v);
}

static void lift_alu(struct ir_block *b, enum ir_op op, const struct insn *in)
{
    put(b, in->rd, ir_op2(b, op, IR_I64, get(b, in->ra), get(b, in->rb)));
}

static void lift_branch(struct ir_block *b, enum ir_cond cc, const struct insn *in)
{
    ir_brcc(b, IR_I64, cc, get(b, in->rd), get(b, in->ra), in->pc + 4 * (uint64_t)in->imm);
    ir_jmp(b, in->pc + 4);
}

static void lift_jr(struct ir_block *b, const struct insn *in)
{
    ir_jmpr(b, ir_op2(b, IR_AND, IR_I64, get(b, in->ra), ir_const(b, ~UINT64_C(3))));
}

static void lift_helper(struct ir_block *b, unsigned helper, uint64_t arg, uint64_t pc)
{
    ir_call(b, helper, helper == HELPER_HALT ? IR_NONE : ir_const(b, arg), IR_NONE, IR_NONE);
    ir_leave(b, ir_const(b, pc));
}

/* Doubles are bits in registers. */
static ir_val get_float(struct ir_block *b, unsigned r)
{
    return ir_op1(b, IR_BITSF, IR_F64, get(b, r));
}

static void put_float(struct ir_block *b, unsigned r, ir_val v)
{
    put(b, r, ir_op1(b, IR_FBITS, IR_F64, v));
}

static bool lift_float(struct ir_block *b, const struct insn *in)
{
    if (!(b->flags & TOY_FP_ON)) {
        lift_helper(b, HELPER_ILLEGAL, in->word, in->pc);
        return false;
    }
    switch (in->word & 0xff) {
    case TOY_FLAGS: put(b, in->rd, ir_fpget(b)); return true;
    case TOY_FTOI:
        put(b, in->rd, ir_f2i(b, IR_F64, IR_INT_L, IR_RTZ, get_float(b, in->ra)));
        return true;
    default: break;
    }
    ir_val x = get_float(b, in->ra), y = get_float(b, in->rb);
    switch (in->word & 0xff) {
    case TOY_FADD: put_float(b, in->rd, ir_fp2(b, IR_FADD, IR_F64, IR_RNE, x, y)); break;
    case TOY_FMUL: put_float(b, in->rd, ir_fp2(b, IR_FMUL, IR_F64, IR_RNE, x, y)); break;
    default: put_float(b, in->rd, ir_minmax(b, IR_FMIN, IR_F64, IR_MINMAX_SECOND, x, y)); break;
    }
    return true;
}

/* True: the block goes on behind the instruction. */
static bool lift_one(struct ir_block *b, const struct insn *in)
{
    switch (in->word & 0xff) {
    case TOY_LI: put(b, in->rd, ir_const(b, (uint64_t)in->imm)); return true;
    case TOY_ADDI:
        put(b, in->rd, ir_op2(b, IR_ADD, IR_I64, get(b, in->ra), ir_const(b, (uint64_t)in->imm)));
        return true;
    case TOY_ADD: lift_alu(b, IR_ADD, in); return true;
    case TOY_SUB: lift_alu(b, IR_SUB, in); return true;
    case TOY_MUL: lift_alu(b, IR_MUL, in); return true;
    case TOY_LOAD:
        put(b, in->rd, ir_load(b, IR_I64, 3, false, get(b, in->ra), in->imm, IR_ORDER_RELAXED));
        return true;
    case TOY_STORE:
        ir_store(b, IR_I64, 3, get(b, in->ra), in->imm, get(b, in->rd), IR_ORDER_RELAXED);
        return true;
    case TOY_MIX:
        put(b, in->rd, ir_call(b, HELPER_MIX, get(b, in->ra), get(b, in->rb), IR_NONE));
        return true;
    case TOY_BNE: lift_branch(b, IR_NE, in); return false;
    case TOY_BLTU: lift_branch(b, IR_LTU, in); return false;
    case TOY_JAL:
        put(b, in->rd, ir_const(b, in->pc + 4));
        ir_jmp(b, in->pc + 4 * (uint64_t)in->imm);
        return false;
    case TOY_JR: lift_jr(b, in); return false;
    case TOY_TRAP: lift_helper(b, HELPER_TRAP, (uint64_t)in->imm, in->pc); return false;
    case TOY_HALT: lift_helper(b, HELPER_HALT, 0, in->pc + 4); return false;
    case TOY_FPM: lift_helper(b, HELPER_FP_MODE, (uint16_t)in->imm, in->pc + 4); return false;
    case TOY_FADD:
    case TOY_FMUL:
    case TOY_FMIN:
    case TOY_FTOI:
    case TOY_FLAGS: return lift_float(b, in);
    default: lift_helper(b, HELPER_ILLEGAL, in->word, in->pc); return false;
    }
}

static uint32_t tb_flags(const void *opaque)
{
    const struct toy_cpu *cpu = opaque;
    return cpu->fp_mode;
}

static unsigned fp_round(uint32_t flags)
{
    return flags & TOY_FP_ON ? IR_RNE : IR_FP_OFF;
}

static unsigned fp_model(uint32_t flags)
{
    return flags & 0xff;
}

static enum gw_lift_status lift(const struct gw_lift_request *rq)
{
    struct ir_block *b = rq->block;
    uint64_t pc = b->pc;
    uint32_t at = 0;

    b->fp_round = (uint8_t)fp_round(b->flags);
    b->fp_model = (uint8_t)fp_model(b->flags);
    for (uint32_t n = 0; n < rq->max_guest && at < rq->page_left; n++, at += 4, pc += 4) {
        if (at + 4 > rq->code_size && !n)
            return GW_LIFT_NEED_PAGE;
        if (at + 4 > rq->code_size)
            break;
        const uint8_t *p = rq->code + at;
        uint32_t word = p[0] | (uint32_t)p[1] << 8 | (uint32_t)p[2] << 16 | (uint32_t)p[3] << 24;
        const struct insn in = {
            .pc = pc,
            .word = word,
            .rd = word >> 8 & 15,
            .ra = word >> 12 & 15,
            .rb = word >> 16 & 15,
            .imm = (int16_t)(word >> 16),
        };
        if (!ir_begin_guest(b, pc, 4))
            break;
        if (!lift_one(b, &in))
            return GW_LIFT_OK;
    }
    ir_jmp(b, pc);
    return GW_LIFT_OK;
}

/* --- the CPU ------------------------------------------------------------------------------------- */

static void reset(void *opaque)
{
    struct toy_cpu *cpu = opaque;
    memset(cpu->r, 0, sizeof cpu->r);
    cpu->run.pc = 0;
    cpu->run.fp_flags = 0;
    cpu->vector = 0;
    cpu->fp_mode = 0;
    cpu->halted = cpu->irq = 0;
}

static enum gw_status init(void *opaque, const struct gw_cpu_config *cfg, struct gw_error *err)
{
    struct toy_cpu *cpu = opaque;
    if (cfg->options)
        return gw_fail(err, GW_ERR_ARG, cfg->options, "the toy has no options");
    memset(cpu, 0, sizeof *cpu);
    cpu->cfg.user = cfg->user;
    reset(cpu);
    return GW_OK;
}

static const struct state_field fields[] = {
    STATE_ARRAY(struct toy_cpu, r, STATE_U64),
    {.name = "pc", .type = STATE_U64, .offset = offsetof(struct toy_cpu, run.pc), .count = 1},
    {.name = "fp_flags",
     .type = STATE_U32,
     .offset = offsetof(struct toy_cpu, run.fp_flags),
     .count = 1},
    STATE_SCALAR(struct toy_cpu, fp_mode, STATE_U32),
    STATE_SCALAR(struct toy_cpu, vector, STATE_U64),
    STATE_SCALAR(struct toy_cpu, halted, STATE_U32),
    STATE_SCALAR(struct toy_cpu, irq, STATE_U32),
};

static const struct state_desc state = {
    .name = "toy",
    .version = 1,
    .fields = fields,
    .field_count = STATE_COUNT_(fields),
};

/* --- machine mode: no translation, no privilege, one interrupt ----------------------------------- */

static void view(const void *cpu, struct gw_view *out)
{
    (void)cpu;
    *out = (struct gw_view){.data_key = 1, .fetch_key = 1, .vaddr_bits = 64, .bare = true};
}

static bool translate(void *cpu, uint64_t vaddr, unsigned size, enum gw_access access,
                      struct gw_xlate *out, struct gw_fault *fault)
{
    (void)cpu;
    (void)size;
    (void)access;
    (void)fault;
    *out = (struct gw_xlate){
        .paddr = vaddr,
        .perms = 1 << GW_ACCESS_LOAD | 1 << GW_ACCESS_STORE | 1 << GW_ACCESS_FETCH,
        .whole_page = true,
    };
    return true;
}

static void bus_fault(void *cpu, uint64_t vaddr, enum gw_access access, struct gw_fault *fault)
{
    (void)cpu;
    *fault =
        (struct gw_fault){.vaddr = vaddr, .cause = TOY_CAUSE_ACCESS, .access = (uint8_t)access};
}

static void raise_fault(void *opaque, const struct gw_fault *fault)
{
    struct toy_cpu *cpu = opaque;
    cpu->r[13] = fault->cause;
    cpu->r[14] = fault->vaddr;
    cpu->r[15] = cpu->run.pc;
    cpu->run.pc = cpu->vector;
}

static bool interrupt(void *opaque, bool clock)
{
    struct toy_cpu *cpu = opaque;
    if (!cpu->irq)
        return false;
    cpu->irq = cpu->halted = 0;
    raise_fault(cpu, &(struct gw_fault){.cause = TOY_CAUSE_IRQ});
    return true;
}

static bool waiting(void *opaque)
{
    const struct toy_cpu *cpu = opaque;
    return cpu->halted;
}

static uint64_t deadline(void *cpu)
{
    (void)cpu;
    return UINT64_MAX;
}

static const uint16_t hot_gprs[] = {R(0), R(1), R(2),  R(3),  R(4),  R(5),  R(6),  R(7),
                                    R(8), R(9), R(10), R(11), R(12), R(13), R(14), R(15)};

const struct guest_isa toy_guest_isa = {
    .name = "toy",
    .insn_align = 4,
    .max_insn_bytes = 4,
    .cpu_size = sizeof(struct toy_cpu),
    .state = &state,
    .model = GW_MODEL_TSO,
    .helpers = helpers,
    .helper_count = sizeof helpers / sizeof helpers[0],
    .hot_gprs = hot_gprs,
    .hot_gpr_count = sizeof hot_gprs / sizeof hot_gprs[0],
    .init = init,
    .reset = reset,
    .tb_flags = tb_flags,
    .fp_round = fp_round,
    .fp_model = fp_model,
    .lift = lift,
    .disasm = toy_disasm,
    .view = view,
    .translate = translate,
    .bus_fault = bus_fault,
    .misaligned = bus_fault,
    .raise = raise_fault,
    .interrupt = interrupt,
    .waiting = waiting,
    .deadline = deadline,
};
