/*
 * Zfh and Zfhmin. Unpriv. 20240411, "Zfh". A half is an integer of 16 bits here, and becomes a float
 * for arithmetic only:
 *
 * + - * / and the square root are those of singles, rounded again to halves. That is exact, flags
 * and tininess too: a single has 24 bits, and 2 * 11 + 2 suffice for rounding twice in the same mode
 * to do no harm (S. Figueroa, "When is double rounding innocuous?"); a product or a sum that is tiny
 * as a half is an exact single, and a quotient of two 11-bit significands is not nearer than 2^-21
 * to a number of 11 bits without being one.
 *
 * A fused operation is a double's. Its sum is exact there, but where the addend is at least 2^5 and
 * the product below 2^-26, a quarter of the addend's last place at most: both roundings then go the
 * same way.
 *
 * An integer of more than 24 bits is an overflow, whichever way it becomes a single.
 */
#include "frontend/riscv64/lift_fp.h"

#define LIFT(name) enum rv_flow rv_lift_##name(struct rv_lift *l, const struct rv_insn *in)

#define HALF_SIGN UINT64_C(0x8000)
#define HALF_NAN  UINT64_C(0x7e00)
#define BOX       UINT64_C(0xffffffffffff0000)

ir_val rv_get_h(struct rv_lift *l, unsigned reg)
{
    ir_val bits = rv_get_fbits(l, reg);
    ir_val box = ir_op2(l->b, IR_SHR, IR_I64, bits, rv_const(l, 16));
    return ir_select(l->b, IR_I64, IR_EQ, box, ir_const(l->b, BOX >> 16),
                     ir_op1(l->b, IR_ZEXT16, IR_I64, bits), ir_const(l->b, HALF_NAN));
}

enum rv_flow rv_set_h(struct rv_lift *l, const struct rv_insn *in, ir_val v)
{
    ir_val boxed = ir_op2(l->b, IR_OR, IR_I64, v, ir_const(l->b, BOX));
    ir_putf(l->b, rv_f_offset(in->rd), IR_F64, ir_op1(l->b, IR_BITSF, IR_F64, boxed));
    return RV_FLOW_NEXT;
}

/* The register as a float, exactly. */
static ir_val get_wide(struct rv_lift *l, unsigned reg, enum ir_type type)
{
    return ir_h2f(l->b, type, rv_get_h(l, reg));
}

static enum rv_flow set_rounded(struct rv_lift *l, const struct rv_insn *in, enum ir_type type,
                                enum ir_round rm, ir_val v)
{
    return rv_set_h(l, in, ir_f2h(l->b, type, rm, v));
}

/* --- loads, stores and moves -------------------------------------------------------------------- */

LIFT(flh)
{
    enum rv_flow flow;
    if (!rv_fp_enabled(l, in, RV_FP_WRITES, &flow))
        return flow;
    ir_val base = rv_get(l, in->rs1);
    return rv_set_h(l, in, ir_load(l->b, IR_I64, 1, false, base, in->imm, IR_ORDER_RELAXED));
}

LIFT(fsh)
{
    enum rv_flow flow;
    if (!rv_fp_enabled(l, in, RV_FP_READS, &flow))
        return flow;
    ir_val base = rv_get(l, in->rs1);
    ir_store(l->b, IR_I64, 1, base, in->imm, rv_get_fbits(l, in->rs2), IR_ORDER_RELAXED);
    return RV_FLOW_NEXT;
}

LIFT(fmv_x_h)
{
    enum rv_flow flow;
    if (!rv_fp_enabled(l, in, RV_FP_READS, &flow))
        return flow;
    return rv_set(l, in, ir_op1(l->b, IR_SEXT16, IR_I64, rv_get_fbits(l, in->rs1)));
}

LIFT(fmv_h_x)
{
    enum rv_flow flow;
    if (!rv_fp_enabled(l, in, RV_FP_WRITES, &flow))
        return flow;
    return rv_set_h(l, in, ir_op1(l->b, IR_ZEXT16, IR_I64, rv_get(l, in->rs1)));
}

/* The sign of rs2, changed by the bits `flip`, and of rs1 if that is asked for. */
static enum rv_flow half_sign(struct rv_lift *l, const struct rv_insn *in, uint64_t flip, bool both)
{
    enum rv_flow flow;
    if (!rv_fp_enabled(l, in, RV_FP_WRITES, &flow))
        return flow;
    ir_val a = rv_get_h(l, in->rs1), b = rv_get_h(l, in->rs2);
    ir_val sign = ir_op2(l->b, IR_AND, IR_I64, b, ir_const(l->b, HALF_SIGN));
    sign = ir_op2(l->b, IR_XOR, IR_I64, sign, ir_const(l->b, flip));
    ir_val rest = a;
    if (!both)
        rest = ir_op2(l->b, IR_AND, IR_I64, a, ir_const(l->b, HALF_SIGN - 1));
    return rv_set_h(l, in, ir_op2(l->b, IR_XOR, IR_I64, rest, sign));
}

LIFT(fsgnj_h)
{
    return half_sign(l, in, 0, false);
}

LIFT(fsgnjn_h)
{
    return half_sign(l, in, HALF_SIGN, false);
}

LIFT(fsgnjx_h)
{
    return half_sign(l, in, 0, true);
}

LIFT(fclass_h)
{
    enum rv_flow flow;
    if (!rv_fp_enabled(l, in, RV_FP_READS, &flow))
        return flow;
    ir_val a = rv_get_h(l, in->rs1);
    return rv_set(l, in, ir_call(l->b, RV_HELPER_FCLASS_H, a, IR_NONE, IR_NONE));
}

/* --- arithmetic --------------------------------------------------------------------------------- */

static enum rv_flow half_binary(struct rv_lift *l, const struct rv_insn *in, enum ir_op op)
{
    enum rv_flow flow;
    enum ir_round rm;
    if (!rv_fp_rounds(l, in, &rm, &flow))
        return flow;
    ir_val a = get_wide(l, in->rs1, IR_F32), b = get_wide(l, in->rs2, IR_F32);
    return set_rounded(l, in, IR_F32, rm, ir_fp2(l->b, op, IR_F32, rm, a, b));
}

LIFT(fsqrt_h)
{
    enum rv_flow flow;
    enum ir_round rm;
    if (!rv_fp_rounds(l, in, &rm, &flow))
        return flow;
    ir_val a = get_wide(l, in->rs1, IR_F32);
    return set_rounded(l, in, IR_F32, rm, ir_fp1(l->b, IR_FSQRT, IR_F32, rm, a));
}

static enum rv_flow half_fma(struct rv_lift *l, const struct rv_insn *in, bool neg_product,
                             bool neg_addend)
{
    enum rv_flow flow;
    enum ir_round rm;
    if (!rv_fp_rounds(l, in, &rm, &flow))
        return flow;
    ir_val a = get_wide(l, in->rs1, IR_F64), b = get_wide(l, in->rs2, IR_F64);
    ir_val c = get_wide(l, in->rs3, IR_F64);
    ir_val v = ir_fma(l->b, IR_F64, rm, a, b, c, neg_product, neg_addend);
    return set_rounded(l, in, IR_F64, rm, v);
}

static enum rv_flow half_minmax(struct rv_lift *l, const struct rv_insn *in, enum ir_op op)
{
    enum rv_flow flow;
    if (!rv_fp_enabled(l, in, RV_FP_WRITES, &flow))
        return flow;
    ir_val a = get_wide(l, in->rs1, IR_F32), b = get_wide(l, in->rs2, IR_F32);
    return set_rounded(l, in, IR_F32, IR_RNE, ir_fp2(l->b, op, IR_F32, IR_RNE, a, b));
}

static enum rv_flow half_compare(struct rv_lift *l, const struct rv_insn *in, enum ir_op op)
{
    enum rv_flow flow;
    if (!rv_fp_enabled(l, in, RV_FP_WRITES, &flow))
        return flow;
    ir_val a = get_wide(l, in->rs1, IR_F32), b = get_wide(l, in->rs2, IR_F32);
    return rv_set(l, in, ir_fcmp(l->b, op, IR_F32, a, b));
}

#define HALF(name, call, ...)                                                                      \
    LIFT(name##_h)                                                                                 \
    {                                                                                              \
        return call(l, in, __VA_ARGS__);                                                           \
    }

HALF(fadd, half_binary, IR_FADD)
HALF(fsub, half_binary, IR_FSUB)
HALF(fmul, half_binary, IR_FMUL)
HALF(fdiv, half_binary, IR_FDIV)
HALF(fmadd, half_fma, false, false)
HALF(fmsub, half_fma, false, true)
HALF(fnmsub, half_fma, true, false)
HALF(fnmadd, half_fma, true, true)
HALF(fmin, half_minmax, IR_FMIN)
HALF(fmax, half_minmax, IR_FMAX)
HALF(feq, half_compare, IR_FEQ)
HALF(flt, half_compare, IR_FLT)
HALF(fle, half_compare, IR_FLE)

/* --- conversions -------------------------------------------------------------------------------- */

static enum rv_flow half_to_int(struct rv_lift *l, const struct rv_insn *in, enum ir_int to)
{
    enum rv_flow flow;
    enum ir_round rm;
    if (!rv_fp_rounds(l, in, &rm, &flow))
        return flow;
    return rv_set(l, in, ir_f2i(l->b, IR_F32, to, rm, get_wide(l, in->rs1, IR_F32)));
}

static enum rv_flow half_from_int(struct rv_lift *l, const struct rv_insn *in, enum ir_int from)
{
    enum rv_flow flow;
    enum ir_round rm;
    if (!rv_fp_rounds(l, in, &rm, &flow))
        return flow;
    ir_val v = ir_i2f(l->b, IR_F32, from, rm, rv_get(l, in->rs1));
    return set_rounded(l, in, IR_F32, rm, v);
}

HALF(fcvt_w, half_to_int, IR_INT_W)
HALF(fcvt_wu, half_to_int, IR_INT_WU)
HALF(fcvt_l, half_to_int, IR_INT_L)
HALF(fcvt_lu, half_to_int, IR_INT_LU)

#define FROM_INT(suffix, kind)                                                                     \
    LIFT(fcvt_h_##suffix)                                                                          \
    {                                                                                              \
        return half_from_int(l, in, kind);                                                         \
    }

FROM_INT(w, IR_INT_W)
FROM_INT(wu, IR_INT_WU)
FROM_INT(l, IR_INT_L)
FROM_INT(lu, IR_INT_LU)

static enum rv_flow half_from(struct rv_lift *l, const struct rv_insn *in, enum ir_type from)
{
    enum rv_flow flow;
    enum ir_round rm;
    if (!rv_fp_rounds(l, in, &rm, &flow))
        return flow;
    return set_rounded(l, in, from, rm, rv_get_f(l, in->rs1, from));
}

static enum rv_flow half_to(struct rv_lift *l, const struct rv_insn *in, enum ir_type to)
{
    enum rv_flow flow;
    enum ir_round rm;
    if (!rv_fp_rounds(l, in, &rm, &flow))
        return flow;
    return rv_set_f(l, in, to, get_wide(l, in->rs1, to));
}

LIFT(fcvt_h_s)
{
    return half_from(l, in, IR_F32);
}

LIFT(fcvt_h_d)
{
    return half_from(l, in, IR_F64);
}

LIFT(fcvt_s_h)
{
    return half_to(l, in, IR_F32);
}

LIFT(fcvt_d_h)
{
    return half_to(l, in, IR_F64);
}
