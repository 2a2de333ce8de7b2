/*
 * F and D. Unpriv. 20240411, chapters 21 and 22. Each operation is written once for both widths:
 * registers are 64 bits, and a single-precision value is boxed in ones (chapter 22.2).
 */
#include "frontend/riscv64/lift_fp.h"

#define LIFT(name) enum rv_flow rv_lift_##name(struct rv_lift *l, const struct rv_insn *in)

bool rv_fp_enabled(struct rv_lift *l, const struct rv_insn *in, enum rv_fp_effect effect,
                   enum rv_flow *flow)
{
    unsigned fs = (l->flags & RV_TBF_FS_MASK) >> RV_TBF_FS_SHIFT;
    if (fs == 0) {
        *flow = rv_lift_illegal(l, in);
        return false;
    }
    if (fs == 1 && effect == RV_FP_WRITES) {
        ir_call(l->b, RV_HELPER_FS_DIRTY, IR_NONE, IR_NONE, IR_NONE);
        ir_leave(l->b, ir_pc(l->b, l->pc)); /* not reached: the helper leaves */
        *flow = RV_FLOW_END;
        return false;
    }
    return true;
}

_Static_assert(IR_RNE == 0 && IR_RTZ == 1 && IR_RDN == 2 && IR_RUP == 3 && IR_RMM == 4,
               "as rm and frm have them");
_Static_assert(IR_FP_NX == 1 && IR_FP_UF == 2 && IR_FP_OF == 4 && IR_FP_DZ == 8 && IR_FP_NV == 16,
               "as fflags has them");

bool rv_fp_rounds(struct rv_lift *l, const struct rv_insn *in, enum ir_round *rm,
                  enum rv_flow *flow)
{
    unsigned mode = in->rm;
    if (mode == 7)
        mode = (l->flags & RV_TBF_FRM_MASK) >> RV_TBF_FRM_SHIFT;
    if (mode > IR_RMM) {
        *flow = rv_lift_illegal(l, in);
        return false;
    }
    *rm = (enum ir_round)mode;
    return rv_fp_enabled(l, in, RV_FP_WRITES, flow);
}

ir_val rv_get_f(struct rv_lift *l, unsigned reg, enum ir_type type)
{
    ir_val v = ir_getf(l->b, rv_f_offset(reg), IR_F64);
    return type == IR_F32 ? ir_op1(l->b, IR_UNBOX, IR_F32, v) : v;
}

enum rv_flow rv_set_f(struct rv_lift *l, const struct rv_insn *in, enum ir_type type, ir_val v)
{
    if (type == IR_F32)
        v = ir_op1(l->b, IR_BOX, IR_F64, v);
    ir_putf(l->b, rv_f_offset(in->rd), IR_F64, v);
    return RV_FLOW_NEXT;
}

ir_val rv_get_fbits(struct rv_lift *l, unsigned reg)
{
    return ir_op1(l->b, IR_FBITS, IR_F64, ir_getf(l->b, rv_f_offset(reg), IR_F64));
}

/* --- loads, stores and moves -------------------------------------------------------------------- */

static enum rv_flow fp_load(struct rv_lift *l, const struct rv_insn *in, enum ir_type type)
{
    enum rv_flow flow;
    if (!rv_fp_enabled(l, in, RV_FP_WRITES, &flow))
        return flow;
    ir_val base = rv_get(l, in->rs1);
    ir_val v = ir_load(l->b, type, type == IR_F32 ? 2 : 3, false, base, in->imm, IR_ORDER_RELAXED);
    return rv_set_f(l, in, type, v);
}

LIFT(flw)
{
    return fp_load(l, in, IR_F32);
}

LIFT(fld)
{
    return fp_load(l, in, IR_F64);
}

LIFT(fsw)
{
    enum rv_flow flow;
    if (!rv_fp_enabled(l, in, RV_FP_READS, &flow))
        return flow;
    ir_val base = rv_get(l, in->rs1);
    ir_store(l->b, IR_I64, 2, base, in->imm, rv_get_fbits(l, in->rs2), IR_ORDER_RELAXED);
    return RV_FLOW_NEXT;
}

LIFT(fsd)
{
    enum rv_flow flow;
    if (!rv_fp_enabled(l, in, RV_FP_READS, &flow))
        return flow;
    ir_val base = rv_get(l, in->rs1);
    ir_store(l->b, IR_F64, 3, base, in->imm, rv_get_f(l, in->rs2, IR_F64), IR_ORDER_RELAXED);
    return RV_FLOW_NEXT;
}

LIFT(fmv_x_w)
{
    enum rv_flow flow;
    if (!rv_fp_enabled(l, in, RV_FP_READS, &flow))
        return flow;
    return rv_set(l, in, rv_sext32(l, rv_get_fbits(l, in->rs1)));
}

LIFT(fmv_x_d)
{
    enum rv_flow flow;
    if (!rv_fp_enabled(l, in, RV_FP_READS, &flow))
        return flow;
    return rv_set(l, in, rv_get_fbits(l, in->rs1));
}

static enum rv_flow fp_from_bits(struct rv_lift *l, const struct rv_insn *in, enum ir_type type)
{
    enum rv_flow flow;
    if (!rv_fp_enabled(l, in, RV_FP_WRITES, &flow))
        return flow;
    return rv_set_f(l, in, type, ir_op1(l->b, IR_BITSF, type, rv_get(l, in->rs1)));
}

LIFT(fmv_w_x)
{
    return fp_from_bits(l, in, IR_F32);
}

LIFT(fmv_d_x)
{
    return fp_from_bits(l, in, IR_F64);
}

/* kind: 0 sign of rs2, 1 its complement, 2 both signs xored */
static enum rv_flow fp_sign(struct rv_lift *l, const struct rv_insn *in, enum ir_type type,
                            unsigned kind)
{
    enum rv_flow flow;
    if (!rv_fp_enabled(l, in, RV_FP_WRITES, &flow))
        return flow;
    ir_val a = rv_get_f(l, in->rs1, type);
    if (kind == 0 && in->rs1 == in->rs2) /* fmv */
        return rv_set_f(l, in, type, a);
    return rv_set_f(l, in, type, ir_fsgnj(l->b, type, kind, a, rv_get_f(l, in->rs2, type)));
}

static enum rv_flow fp_class(struct rv_lift *l, const struct rv_insn *in, enum ir_type type)
{
    enum rv_flow flow;
    if (!rv_fp_enabled(l, in, RV_FP_READS, &flow))
        return flow;
    return rv_set(l, in, ir_op1(l->b, IR_FCLASS, type, rv_get_f(l, in->rs1, type)));
}

/* --- arithmetic --------------------------------------------------------------------------------- */

static enum rv_flow fp_binary(struct rv_lift *l, const struct rv_insn *in, enum ir_type type,
                              enum ir_op op)
{
    enum rv_flow flow;
    enum ir_round rm;
    if (!rv_fp_rounds(l, in, &rm, &flow))
        return flow;
    ir_val a = rv_get_f(l, in->rs1, type), b = rv_get_f(l, in->rs2, type);
    return rv_set_f(l, in, type, ir_fp2(l->b, op, type, rm, a, b));
}

static enum rv_flow fp_sqrt(struct rv_lift *l, const struct rv_insn *in, enum ir_type type)
{
    enum rv_flow flow;
    enum ir_round rm;
    if (!rv_fp_rounds(l, in, &rm, &flow))
        return flow;
    return rv_set_f(l, in, type, ir_fp1(l->b, IR_FSQRT, type, rm, rv_get_f(l, in->rs1, type)));
}

/* FNMSUB is -(a*b) + c, FNMADD -(a*b) - c */
static enum rv_flow fp_fma(struct rv_lift *l, const struct rv_insn *in, enum ir_type type,
                           bool neg_product, bool neg_addend)
{
    enum rv_flow flow;
    enum ir_round rm;
    if (!rv_fp_rounds(l, in, &rm, &flow))
        return flow;
    ir_val a = rv_get_f(l, in->rs1, type), b = rv_get_f(l, in->rs2, type),
           c = rv_get_f(l, in->rs3, type);
    return rv_set_f(l, in, type, ir_fma(l->b, type, rm, a, b, c, neg_product, neg_addend));
}

/* FMIN and FMAX do not round; their rm field is part of the opcode. */
static enum rv_flow fp_minmax(struct rv_lift *l, const struct rv_insn *in, enum ir_type type,
                              enum ir_op op)
{
    enum rv_flow flow;
    if (!rv_fp_enabled(l, in, RV_FP_WRITES, &flow))
        return flow;
    ir_val a = rv_get_f(l, in->rs1, type), b = rv_get_f(l, in->rs2, type);
    return rv_set_f(l, in, type, ir_fp2(l->b, op, type, IR_RNE, a, b));
}

/* Comparisons write an integer register, but may raise the invalid flag. */
static enum rv_flow fp_compare(struct rv_lift *l, const struct rv_insn *in, enum ir_type type,
                               enum ir_op op)
{
    enum rv_flow flow;
    if (!rv_fp_enabled(l, in, RV_FP_WRITES, &flow))
        return flow;
    ir_val a = rv_get_f(l, in->rs1, type), b = rv_get_f(l, in->rs2, type);
    return rv_set(l, in, ir_fcmp(l->b, op, type, a, b));
}

/* --- conversions -------------------------------------------------------------------------------- */

static enum rv_flow fp_to_int(struct rv_lift *l, const struct rv_insn *in, enum ir_type from,
                              enum ir_int to)
{
    enum rv_flow flow;
    enum ir_round rm;
    if (!rv_fp_rounds(l, in, &rm, &flow))
        return flow;
    return rv_set(l, in, ir_f2i(l->b, from, to, rm, rv_get_f(l, in->rs1, from)));
}

static enum rv_flow fp_from_int(struct rv_lift *l, const struct rv_insn *in, enum ir_type to,
                                enum ir_int from)
{
    enum rv_flow flow;
    enum ir_round rm;
    if (!rv_fp_rounds(l, in, &rm, &flow))
        return flow;
    return rv_set_f(l, in, to, ir_i2f(l->b, to, from, rm, rv_get(l, in->rs1)));
}

static enum rv_flow fp_to_fp(struct rv_lift *l, const struct rv_insn *in, enum ir_type to,
                             enum ir_type from)
{
    enum rv_flow flow;
    enum ir_round rm;
    if (!rv_fp_rounds(l, in, &rm, &flow))
        return flow;
    return rv_set_f(l, in, to, ir_fp1(l->b, IR_F2F, to, rm, rv_get_f(l, in->rs1, from)));
}

LIFT(fcvt_s_d)
{
    return fp_to_fp(l, in, IR_F32, IR_F64);
}

LIFT(fcvt_d_s)
{
    return fp_to_fp(l, in, IR_F64, IR_F32);
}

/* --- both widths -------------------------------------------------------------------------------- */

#define BOTH(name, call, ...)                                                                      \
    LIFT(name##_s)                                                                                 \
    {                                                                                              \
        return call(l, in, IR_F32, __VA_ARGS__);                                                   \
    }                                                                                              \
    LIFT(name##_d)                                                                                 \
    {                                                                                              \
        return call(l, in, IR_F64, __VA_ARGS__);                                                   \
    }

BOTH(fadd, fp_binary, IR_FADD)
BOTH(fsub, fp_binary, IR_FSUB)
BOTH(fmul, fp_binary, IR_FMUL)
BOTH(fdiv, fp_binary, IR_FDIV)
BOTH(fmadd, fp_fma, false, false)
BOTH(fmsub, fp_fma, false, true)
BOTH(fnmsub, fp_fma, true, false)
BOTH(fnmadd, fp_fma, true, true)
BOTH(fmin, fp_minmax, IR_FMIN)
BOTH(fmax, fp_minmax, IR_FMAX)
BOTH(feq, fp_compare, IR_FEQ)
BOTH(flt, fp_compare, IR_FLT)
BOTH(fle, fp_compare, IR_FLE)
BOTH(fsgnj, fp_sign, 0)
BOTH(fsgnjn, fp_sign, 1)
BOTH(fsgnjx, fp_sign, 2)
BOTH(fcvt_w, fp_to_int, IR_INT_W)
BOTH(fcvt_wu, fp_to_int, IR_INT_WU)
BOTH(fcvt_l, fp_to_int, IR_INT_L)
BOTH(fcvt_lu, fp_to_int, IR_INT_LU)

#define BOTH_FROM(suffix, kind)                                                                    \
    LIFT(fcvt_s_##suffix)                                                                          \
    {                                                                                              \
        return fp_from_int(l, in, IR_F32, kind);                                                   \
    }                                                                                              \
    LIFT(fcvt_d_##suffix)                                                                          \
    {                                                                                              \
        return fp_from_int(l, in, IR_F64, kind);                                                   \
    }

BOTH_FROM(w, IR_INT_W)
BOTH_FROM(wu, IR_INT_WU)
BOTH_FROM(l, IR_INT_L)
BOTH_FROM(lu, IR_INT_LU)

LIFT(fsqrt_s)
{
    return fp_sqrt(l, in, IR_F32);
}

LIFT(fsqrt_d)
{
    return fp_sqrt(l, in, IR_F64);
}

LIFT(fclass_s)
{
    return fp_class(l, in, IR_F32);
}

LIFT(fclass_d)
{
    return fp_class(l, in, IR_F64);
}
