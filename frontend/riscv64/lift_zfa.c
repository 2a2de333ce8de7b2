/*
 * Zfa. Unpriv. 20240411, "Zfa". Halves are done as singles, which they become exactly.
 */
#include "frontend/riscv64/lift_fp.h"

#define LIFT(name) enum rv_flow rv_lift_##name(struct rv_lift *l, const struct rv_insn *in)

/* The three widths: halves are worked on as singles. */
enum width { HALF, SINGLE, DOUBLE };

static enum ir_type type_of(enum width w)
{
    return w == DOUBLE ? IR_F64 : IR_F32;
}

static ir_val get(struct rv_lift *l, unsigned reg, enum width w)
{
    if (w == HALF)
        return ir_h2f(l->b, IR_F32, rv_get_h(l, reg));
    return rv_get_f(l, reg, type_of(w));
}

/* rd = v. Of a half, v is one exactly. */
static enum rv_flow set(struct rv_lift *l, const struct rv_insn *in, enum width w, ir_val v)
{
    if (w == HALF)
        return rv_set_h(l, in, ir_f2h(l->b, IR_F32, IR_RNE, v));
    return rv_set_f(l, in, type_of(w), v);
}

/* --- constants ---------------------------------------------------------------------------------- */

enum { FLI_MIN = 1, FLI_NAN = 31 };

/* The constants as doubles: their upper 16 bits, the others are 0. Numbers 1 and 31 are the smallest
 * normal number and the canonical NaN of each format. */
static const uint16_t fli_doubles[32] = {
    0xbff0, 0x0010, 0x3ef0, 0x3f00, 0x3f70, 0x3f80, 0x3fb0, 0x3fc0, 0x3fd0, 0x3fd4, 0x3fd8,
    0x3fdc, 0x3fe0, 0x3fe4, 0x3fe8, 0x3fec, 0x3ff0, 0x3ff4, 0x3ff8, 0x3ffc, 0x4000, 0x4004,
    0x4008, 0x4010, 0x4020, 0x4030, 0x4060, 0x4070, 0x40e0, 0x40f0, 0x7ff0, 0x7ff8,
};

/* The same of a format with so many bits of exponent and fraction: in range, or infinite, or a power
 * of two that is subnormal. */
static uint64_t fli_bits(unsigned number, unsigned exp_bits, unsigned frac_bits)
{
    unsigned top = fli_doubles[number], exp_max = (1u << exp_bits) - 1;
    int exp = (int)(top >> 4 & 0x7ff) - 1023 + (int)(exp_max >> 1);
    uint64_t frac = (uint64_t)(top & 15) << (frac_bits - 4);
    uint64_t sign = (uint64_t)(top >> 15) << (exp_bits + frac_bits);
    if (number == FLI_MIN)
        return UINT64_C(1) << frac_bits;
    if (exp <= 0)
        return sign | UINT64_C(1) << (frac_bits - 1 - (unsigned)-exp);
    if (exp >= (int)exp_max)
        return sign | (uint64_t)exp_max << frac_bits | (number == FLI_NAN ? frac : 0);
    return sign | (uint64_t)exp << frac_bits | frac;
}

static enum rv_flow load_constant(struct rv_lift *l, const struct rv_insn *in, enum width w)
{
    static const uint8_t exp_bits[] = {5, 8, 11}, frac_bits[] = {10, 23, 52};
    enum rv_flow flow;
    if (!rv_fp_enabled(l, in, RV_FP_WRITES, &flow))
        return flow;
    ir_val bits = ir_const(l->b, fli_bits(in->rs1, exp_bits[w], frac_bits[w]));
    if (w == HALF)
        return rv_set_h(l, in, bits);
    return rv_set_f(l, in, type_of(w), ir_op1(l->b, IR_BITSF, type_of(w), bits));
}

/* --- minimum and maximum ------------------------------------------------------------------------ */

/* IEEE 754-2019 minimum and maximum: FMIN and FMAX, but any NaN makes a NaN. */
static enum rv_flow min_max(struct rv_lift *l, const struct rv_insn *in, enum width w,
                            enum ir_op op)
{
    enum ir_type type = type_of(w);
    enum rv_flow flow;
    if (!rv_fp_enabled(l, in, RV_FP_WRITES, &flow))
        return flow;
    ir_val a = get(l, in->rs1, w), b = get(l, in->rs2, w);
    ir_val v = ir_op1(l->b, IR_FBITS, type, ir_fp2(l->b, op, type, IR_RNE, a, b));
    ir_val numbers = ir_op2(l->b, IR_AND, IR_I64, ir_fcmp_silent(l->b, IR_FEQ, type, a, a),
                            ir_fcmp_silent(l->b, IR_FEQ, type, b, b));
    ir_val nan = ir_const(l->b, w == DOUBLE ? UINT64_C(0x7ff8000000000000) : 0x7fc00000);
    v = ir_select(l->b, IR_I64, IR_NE, numbers, rv_const(l, 0), v, nan);
    return set(l, in, w, ir_op1(l->b, IR_BITSF, type, v));
}

/* --- rounding to integral values ---------------------------------------------------------------- */

static enum rv_flow round_to_integral(struct rv_lift *l, const struct rv_insn *in, enum width w,
                                      bool inexact)
{
    enum rv_flow flow;
    enum ir_round rm;
    if (!rv_fp_rounds(l, in, &rm, &flow))
        return flow;
    ir_val a = get(l, in->rs1, w);
    return set(l, in, w, ir_frint(l->b, type_of(w), rm, inexact, a));
}

/* --- quiet comparisons -------------------------------------------------------------------------- */

/* FEQ raises what a quiet comparison raises. Equal operands make "less or equal" true and "less"
 * false, so its result may take part. */
static enum rv_flow compare_quietly(struct rv_lift *l, const struct rv_insn *in, enum width w,
                                    enum ir_op op)
{
    enum ir_type type = type_of(w);
    enum rv_flow flow;
    if (!rv_fp_enabled(l, in, RV_FP_WRITES, &flow))
        return flow;
    ir_val a = get(l, in->rs1, w), b = get(l, in->rs2, w);
    ir_val v = ir_fcmp_silent(l->b, op, type, a, b), equal = ir_fcmp(l->b, IR_FEQ, type, a, b);
    return rv_set(l, in, ir_op2(l->b, op == IR_FLE ? IR_OR : IR_ANDN, IR_I64, v, equal));
}

/* --- all ---------------------------------------------------------------------------------------- */

#define EACH(name, call, ...)                                                                      \
    LIFT(name##_h)                                                                                 \
    {                                                                                              \
        return call(l, in, HALF, __VA_ARGS__);                                                     \
    }                                                                                              \
    LIFT(name##_s)                                                                                 \
    {                                                                                              \
        return call(l, in, SINGLE, __VA_ARGS__);                                                   \
    }                                                                                              \
    LIFT(name##_d)                                                                                 \
    {                                                                                              \
        return call(l, in, DOUBLE, __VA_ARGS__);                                                   \
    }

EACH(fminm, min_max, IR_FMIN)
EACH(fmaxm, min_max, IR_FMAX)
EACH(fround, round_to_integral, false)
EACH(froundnx, round_to_integral, true)
EACH(fleq, compare_quietly, IR_FLE)
EACH(fltq, compare_quietly, IR_FLT)

LIFT(fli_h)
{
    return load_constant(l, in, HALF);
}

LIFT(fli_s)
{
    return load_constant(l, in, SINGLE);
}

LIFT(fli_d)
{
    return load_constant(l, in, DOUBLE);
}

/* Raises what FCVT.W.D raises, whose result nobody reads. */
LIFT(fcvtmod_w_d)
{
    enum rv_flow flow;
    if (!rv_fp_enabled(l, in, RV_FP_WRITES, &flow))
        return flow;
    ir_val a = rv_get_f(l, in->rs1, IR_F64);
    ir_f2i(l->b, IR_F64, IR_INT_W, IR_RTZ, a);
    ir_val bits = ir_op1(l->b, IR_FBITS, IR_F64, a);
    return rv_set(l, in, ir_call(l->b, RV_HELPER_FCVTMOD, bits, IR_NONE, IR_NONE));
}
