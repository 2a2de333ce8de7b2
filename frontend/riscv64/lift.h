/*
 * Lifting: RV64 instructions to IR, a function an instruction. lift.c walks the guest code and ends
 * blocks; lift_<chapter>.c say what each instruction means. An instruction's function reads its
 * sources before it writes its destination, and puts nothing before an operation that may fault.
 *
 * A lifter lives on the stack of rv_lift; translation is single-threaded per engine.
 */
#ifndef RV_LIFT_H
#define RV_LIFT_H

#include "frontend/riscv64/decode.h"
#include "frontend/riscv64/rv_cpu.h"

/* Where translation goes on after an instruction. */
enum rv_flow {
    RV_FLOW_NEXT,  /* with the instruction behind it */
    RV_FLOW_TRACE, /* the same, past a branch: only as often as the engine asks for */
    RV_FLOW_LOOP,  /* at the block's first instruction again */
    RV_FLOW_JUMP,  /* at l->target if that can be had, else the block jumps there */
    RV_FLOW_SPLIT, /* nowhere: the block ends before the next instruction */
    RV_FLOW_END,   /* nowhere: the IR has ended */
};

/* The instructions of a pair that a branch skips if it is taken; see pair.h. */
struct rv_skip {
    uint64_t to;      /* pc behind them; 0: none are at hand */
    uint32_t count;   /* of them, so far */
    uint32_t written; /* bits: registers that they write; ahead of them those held: */
    ir_val old[32];
    enum ir_cond cc;
    ir_val a, b; /* it is taken when (a cc b) */
};

struct rv_lift {
    struct ir_block *b;
    const struct rv_config *cfg;
    uint64_t pc;   /* of this instruction */
    uint64_t next; /* of the one behind it */
    uint64_t target;
    uint32_t flags;      /* RV_TBF_* */
    uint64_t pair_sc;    /* pc of the SC that makes a pair with the LR at hand; 0: none */
    uint64_t pair_lr;    /* pc of that LR */
    uint32_t pair_skips; /* rv_pair.skips */
    ir_val pair_value;   /* what the LR saw */
    struct rv_skip skip;
    bool unroll; /* a branch to the block's start may be gone through */
};

/* Third argument of the helper AES. */
enum rv_aes { RV_AES_ES, RV_AES_ESM, RV_AES_DS, RV_AES_DSM, RV_AES_IM, RV_AES_KS1 };

typedef enum rv_flow rv_lift_fn(struct rv_lift *l, const struct rv_insn *in);

#define RV_OP(upper, lower, text, ext, format) rv_lift_fn rv_lift_##lower;
#include "frontend/riscv64/rv_ops.inc"
#undef RV_OP

/* guest_isa.lift, tb_flags, fp_round, anywhere */
enum gw_lift_status rv_lift(const struct gw_lift_request *rq);
uint32_t rv_tb_flags(const void *cpu);
unsigned rv_fp_round(uint32_t tb_flags);
bool rv_anywhere(uint32_t tb_flags);

/* Length of the instruction at code offset `at`, its word in *word; 0: its bytes are not all there. */
unsigned rv_lift_fetch(const struct gw_lift_request *rq, uint32_t at, uint32_t *word);

/* lift_zicsr.c: must this instruction stand alone in its block, because it reads or sets what the
 * count of retired instructions defines? */
bool rv_lift_isolated(const struct rv_insn *in);

/* Raises illegal instruction, and ends the block. */
enum rv_flow rv_lift_illegal(struct rv_lift *l, const struct rv_insn *in);

/* Leaves for the run loop, behind this instruction. */
enum rv_flow rv_lift_leave(struct rv_lift *l);

static inline uint32_t rv_x_offset(unsigned reg)
{
    return (uint32_t)(offsetof(struct rv_cpu, x) + 8 * reg);
}

static inline uint32_t rv_f_offset(unsigned reg)
{
    return (uint32_t)(offsetof(struct rv_cpu, f) + 8 * reg);
}

/* Does the branch at hand skip instructions of a pair? */
static inline bool rv_skips(const struct rv_lift *l)
{
    return l->pair_sc && l->pc < l->pair_sc && l->pair_skips >> (l->pc - l->pair_lr) / 2 & 1;
}

static inline ir_val rv_const(struct rv_lift *l, int64_t value)
{
    return ir_const(l->b, (uint64_t)value);
}

static inline ir_val rv_get(struct rv_lift *l, unsigned reg)
{
    return reg ? ir_get(l->b, rv_x_offset(reg), 3) : ir_const(l->b, 0);
}

static inline void rv_put(struct rv_lift *l, unsigned reg, ir_val v)
{
    if (reg)
        ir_put(l->b, rv_x_offset(reg), 3, v);
}

static inline ir_val rv_sext32(struct rv_lift *l, ir_val v)
{
    return ir_op1(l->b, IR_SEXT32, IR_I64, v);
}

static inline enum rv_flow rv_set(struct rv_lift *l, const struct rv_insn *in, ir_val v)
{
    rv_put(l, in->rd, v);
    return RV_FLOW_NEXT;
}

/* rd = rs1 op rs2 */
static inline enum rv_flow rv_binary(struct rv_lift *l, const struct rv_insn *in, enum ir_op op)
{
    ir_val a = rv_get(l, in->rs1), b = rv_get(l, in->rs2);
    return rv_set(l, in, ir_op2(l->b, op, IR_I64, a, b));
}

/* rd = rs1 op imm */
static inline enum rv_flow rv_binary_imm(struct rv_lift *l, const struct rv_insn *in, enum ir_op op)
{
    ir_val a = rv_get(l, in->rs1);
    return rv_set(l, in, ir_op2(l->b, op, IR_I64, a, rv_const(l, in->imm)));
}

/* The same on the low 32 bits; results are sign-extended. */
static inline enum rv_flow rv_binary_w(struct rv_lift *l, const struct rv_insn *in, enum ir_op op)
{
    ir_val a = rv_get(l, in->rs1), b = rv_get(l, in->rs2);
    return rv_set(l, in, rv_sext32(l, ir_op2(l->b, op, IR_W32, a, b)));
}

static inline enum rv_flow rv_binary_imm_w(struct rv_lift *l, const struct rv_insn *in,
                                           enum ir_op op)
{
    ir_val a = rv_get(l, in->rs1);
    return rv_set(l, in, rv_sext32(l, ir_op2(l->b, op, IR_W32, a, rv_const(l, in->imm))));
}

/* rd = op rs1 */
static inline enum rv_flow rv_unary(struct rv_lift *l, const struct rv_insn *in, enum ir_op op,
                                    enum ir_type type)
{
    return rv_set(l, in, ir_op1(l->b, op, type, rv_get(l, in->rs1)));
}

#endif
