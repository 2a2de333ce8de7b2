/*
 * RV64I. Unpriv. 20240411, chapters 2 and 4: register x0 reads as zero, W operations work on the
 * low 32 bits and sign-extend, shift counts are taken modulo the width.
 */
#include "frontend/riscv64/lift.h"

#define LIFT(name) enum rv_flow rv_lift_##name(struct rv_lift *l, const struct rv_insn *in)

/* --- constants and jumps ------------------------------------------------------------------------ */

LIFT(lui)
{
    return rv_set(l, in, rv_const(l, in->imm));
}

LIFT(auipc)
{
    return rv_set(l, in, ir_pc(l->b, l->pc + (uint64_t)in->imm));
}

LIFT(jal)
{
    l->target = l->pc + (uint64_t)in->imm;
    if (in->rd == 0)
        return RV_FLOW_JUMP;
    /* A call: the callee gets a block of its own, which all callers share */
    rv_put(l, in->rd, ir_pc(l->b, l->next));
    ir_jmp(l->b, l->target);
    return RV_FLOW_END;
}

LIFT(jalr)
{
    ir_val t = rv_get(l, in->rs1);
    if (in->imm)
        t = ir_op2(l->b, IR_ADD, IR_I64, t, rv_const(l, in->imm));
    t = ir_op2(l->b, IR_AND, IR_I64, t, rv_const(l, -2));
    rv_put(l, in->rd, ir_pc(l->b, l->next));
    ir_jmpr(l->b, t);
    return RV_FLOW_END;
}

/* --- branches ----------------------------------------------------------------------------------- */

/* x0 on the left goes to the right, where hosts compare with zero for free. */
static enum ir_cond swap_zero(enum ir_cond cc)
{
    static const uint8_t swapped[] = {
        [IR_EQ] = IR_EQ, [IR_NE] = IR_NE,  [IR_LT] = IR_GT,
        [IR_GE] = IR_LE, [IR_LTU] = IR_NE, [IR_GEU] = IR_EQ, /* 0 <u b, 0 >=u b */
    };
    return (enum ir_cond)swapped[cc];
}

static enum rv_flow branch(struct rv_lift *l, const struct rv_insn *in, enum ir_cond cc)
{
    uint64_t target = l->pc + (uint64_t)in->imm;
    unsigned rs1 = in->rs1, rs2 = in->rs2;
    if (rs1 == rs2) {
        if (cc == IR_EQ || cc == IR_GE || cc == IR_GEU) {
            l->target = target;
            return RV_FLOW_JUMP;
        }
        return RV_FLOW_NEXT;
    }
    if (rs1 == 0) {
        rs1 = rs2;
        rs2 = 0;
        cc = swap_zero(cc);
    }
    ir_val a = rv_get(l, rs1), b = rv_get(l, rs2);
    if (rv_skips(l)) {
        l->skip = (struct rv_skip){.to = target, .cc = cc, .a = a, .b = b};
        return RV_FLOW_NEXT;
    }
    bool loop = l->unroll && target == l->b->pc;
    if (loop) /* cond ^ 1 is the negation */
        ir_brcc(l->b, IR_I64, cc ^ 1u, a, b, l->next);
    else
        ir_brcc(l->b, IR_I64, cc, a, b, target);
    /* The builder knows some conditions, and makes a jump of a branch that is always taken */
    if (l->b->insn[l->b->count - 1].op == IR_JMP)
        return RV_FLOW_END;
    return loop ? RV_FLOW_LOOP : RV_FLOW_TRACE;
}

LIFT(beq)
{
    return branch(l, in, IR_EQ);
}

LIFT(bne)
{
    return branch(l, in, IR_NE);
}

LIFT(blt)
{
    return branch(l, in, IR_LT);
}

LIFT(bge)
{
    return branch(l, in, IR_GE);
}

LIFT(bltu)
{
    return branch(l, in, IR_LTU);
}

LIFT(bgeu)
{
    return branch(l, in, IR_GEU);
}

/* --- loads and stores --------------------------------------------------------------------------- */

/* A load to x0 is made all the same: it may fault, and devices see it. */
static enum rv_flow load(struct rv_lift *l, const struct rv_insn *in, unsigned size_log2, bool sign)
{
    ir_val base = rv_get(l, in->rs1);
    return rv_set(l, in, ir_load(l->b, IR_I64, size_log2, sign, base, in->imm, IR_ORDER_RELAXED));
}

static enum rv_flow store(struct rv_lift *l, const struct rv_insn *in, unsigned size_log2)
{
    ir_val base = rv_get(l, in->rs1), value = rv_get(l, in->rs2);
    ir_store(l->b, IR_I64, size_log2, base, in->imm, value, IR_ORDER_RELAXED);
    return RV_FLOW_NEXT;
}

LIFT(lb)
{
    return load(l, in, 0, true);
}

LIFT(lh)
{
    return load(l, in, 1, true);
}

LIFT(lw)
{
    return load(l, in, 2, true);
}

LIFT(ld)
{
    return load(l, in, 3, false);
}

LIFT(lbu)
{
    return load(l, in, 0, false);
}

LIFT(lhu)
{
    return load(l, in, 1, false);
}

LIFT(lwu)
{
    return load(l, in, 2, false);
}

LIFT(sb)
{
    return store(l, in, 0);
}

LIFT(sh)
{
    return store(l, in, 1);
}

LIFT(sw)
{
    return store(l, in, 2);
}

LIFT(sd)
{
    return store(l, in, 3);
}

/* --- arithmetic --------------------------------------------------------------------------------- */

LIFT(addi)
{
    if (in->rs1 == 0)
        return rv_set(l, in, rv_const(l, in->imm));
    if (in->imm == 0)
        return rv_set(l, in, rv_get(l, in->rs1));
    return rv_binary_imm(l, in, IR_ADD);
}

static enum rv_flow compare(struct rv_lift *l, const struct rv_insn *in, enum ir_cond cc, ir_val b)
{
    ir_val a = rv_get(l, in->rs1);
    return rv_set(l, in, ir_setcc(l->b, IR_I64, cc, a, b));
}

LIFT(slti)
{
    return compare(l, in, IR_LT, rv_const(l, in->imm));
}

LIFT(sltiu)
{
    if (in->imm == 1) /* seqz */
        return compare(l, in, IR_EQ, rv_const(l, 0));
    return compare(l, in, IR_LTU, rv_const(l, in->imm));
}

LIFT(slt)
{
    if (in->rs1 == 0) /* sgtz */
        return rv_set(l, in, ir_setcc(l->b, IR_I64, IR_GT, rv_get(l, in->rs2), rv_const(l, 0)));
    return compare(l, in, IR_LT, rv_get(l, in->rs2));
}

LIFT(sltu)
{
    if (in->rs1 == 0) /* snez */
        return rv_set(l, in, ir_setcc(l->b, IR_I64, IR_NE, rv_get(l, in->rs2), rv_const(l, 0)));
    return compare(l, in, IR_LTU, rv_get(l, in->rs2));
}

LIFT(addiw)
{
    if (in->imm == 0) /* sext.w */
        return rv_set(l, in, rv_sext32(l, rv_get(l, in->rs1)));
    return rv_binary_imm_w(l, in, IR_ADD);
}

LIFT(add)
{
    if (in->rs1 == 0) /* c.mv */
        return rv_set(l, in, rv_get(l, in->rs2));
    return rv_binary(l, in, IR_ADD);
}

#define BINARY(name, op)                                                                           \
    LIFT(name)                                                                                     \
    {                                                                                              \
        return rv_binary(l, in, op);                                                               \
    }
#define BINARY_IMM(name, op)                                                                       \
    LIFT(name)                                                                                     \
    {                                                                                              \
        return rv_binary_imm(l, in, op);                                                           \
    }
#define BINARY_W(name, op)                                                                         \
    LIFT(name)                                                                                     \
    {                                                                                              \
        return rv_binary_w(l, in, op);                                                             \
    }
#define BINARY_IMM_W(name, op)                                                                     \
    LIFT(name)                                                                                     \
    {                                                                                              \
        return rv_binary_imm_w(l, in, op);                                                         \
    }

BINARY_IMM(xori, IR_XOR)
BINARY_IMM(ori, IR_OR) /* prefetches too: they write x0 */
BINARY_IMM(andi, IR_AND)
BINARY_IMM(slli, IR_SHL)
BINARY_IMM(srli, IR_SHR)
BINARY_IMM(srai, IR_SAR)
BINARY(sub, IR_SUB)
BINARY(sll, IR_SHL)
BINARY(xor, IR_XOR)
BINARY(srl, IR_SHR)
BINARY(sra, IR_SAR)
BINARY(or, IR_OR)
BINARY(and, IR_AND)
BINARY_IMM_W(slliw, IR_SHL)
BINARY_IMM_W(srliw, IR_SHR)
BINARY_IMM_W(sraiw, IR_SAR)
BINARY_W(addw, IR_ADD)
BINARY_W(subw, IR_SUB)
BINARY_W(sllw, IR_SHL)
BINARY_W(srlw, IR_SHR)
BINARY_W(sraw, IR_SAR)

/* --- order and environment ---------------------------------------------------------------------- */

_Static_assert(IR_FENCE_W == 1 && IR_FENCE_R == 2 && IR_FENCE_O == 4 && IR_FENCE_I == 8,
               "as FENCE has its sets");

LIFT(fence)
{
    unsigned pred = (unsigned)in->imm >> 4 & 15, succ = (unsigned)in->imm & 15;
    const unsigned rw = IR_FENCE_R | IR_FENCE_W;
    if (in->rm == 8 && pred == rw && succ == rw) {
        /* FENCE.TSO: all orders but store before load (Unpriv. 2.7) */
        ir_fence(l->b, IR_FENCE_R, rw);
        ir_fence(l->b, IR_FENCE_W, IR_FENCE_W);
    } else if (pred && succ) {
        ir_fence(l->b, pred, succ);
    }
    return RV_FLOW_NEXT;
}

/* Hints, and may-be operations that nothing has redefined: no effect. */
LIFT(pause)
{
    return RV_FLOW_NEXT;
}

LIFT(c_mop_1)
{
    return RV_FLOW_NEXT;
}

LIFT(mop_r_0)
{
    return rv_set(l, in, rv_const(l, 0));
}

LIFT(mop_rr_0)
{
    return rv_set(l, in, rv_const(l, 0));
}

/* Unpriv. 20240411, "Zawrs": a wait may end at once, whatever was reserved. */
LIFT(wrs_nto)
{
    return RV_FLOW_NEXT;
}

LIFT(wrs_sto)
{
    return RV_FLOW_NEXT;
}

LIFT(fence_i)
{
    ir_call(l->b, RV_HELPER_FENCE_I, IR_NONE, IR_NONE, IR_NONE);
    return rv_lift_leave(l);
}

static enum rv_flow environment(struct rv_lift *l, enum rv_helper helper)
{
    ir_call(l->b, helper, IR_NONE, IR_NONE, IR_NONE);
    ir_leave(l->b, ir_pc(l->b, l->pc)); /* not reached: the helper leaves */
    return RV_FLOW_END;
}

/* A program's may be done at once; that of a machine is a trap, but for those to its own firmware. */
LIFT(ecall)
{
    unsigned priv = l->b->flags & RV_TBF_PRIV;
    if (!(l->b->flags & RV_TBF_USER)) {
        if (l->cfg->firmware && priv == RV_PRIV_S)
            return environment(l, RV_HELPER_ECALL);
        ir_leave(l->b, ir_call(l->b, RV_HELPER_ECALL_TRAP, IR_NONE, IR_NONE, IR_NONE));
        return RV_FLOW_END;
    }
    ir_call(l->b, RV_HELPER_ECALL, IR_NONE, IR_NONE, IR_NONE);
    ir_jmp(l->b, l->next);
    return RV_FLOW_END;
}

LIFT(ebreak)
{
    return environment(l, RV_HELPER_EBREAK);
}
