/*
 * Zknd, Zkne and Zknh. Unpriv. 20240411, "Cryptography Extensions": AES on two columns at a time, and the sums and
 * sigmas of SHA-2 (FIPS 180-4, 4.1.2 and 4.1.3).
 */
#include "frontend/riscv64/lift.h"

#define LIFT(name) enum rv_flow rv_lift_##name(struct rv_lift *l, const struct rv_insn *in)

/* --- Zknd, Zkne --------------------------------------------------------------------------------- */

static enum rv_flow aes(struct rv_lift *l, const struct rv_insn *in, enum rv_aes kind)
{
    ir_val a = rv_get(l, in->rs1);
    ir_val b = kind == RV_AES_KS1 ? rv_const(l, in->imm) : rv_get(l, in->rs2);
    return rv_set(l, in, ir_call(l->b, RV_HELPER_AES, a, b, rv_const(l, kind)));
}

#define AES(name, kind)                                                                            \
    LIFT(name)                                                                                     \
    {                                                                                              \
        return aes(l, in, kind);                                                                   \
    }

AES(aes64es, RV_AES_ES)
AES(aes64esm, RV_AES_ESM)
AES(aes64ds, RV_AES_DS)
AES(aes64dsm, RV_AES_DSM)
AES(aes64im, RV_AES_IM)
AES(aes64ks1i, RV_AES_KS1)

/* Two words of the key schedule: w0 = rs1's high word ^ rs2's low one, w1 = w0 ^ rs2's high one. */
LIFT(aes64ks2)
{
    ir_val a = rv_get(l, in->rs1), b = rv_get(l, in->rs2), half = rv_const(l, 32);
    ir_val low = ir_op2(l->b, IR_XOR, IR_I64, ir_op2(l->b, IR_SHR, IR_I64, a, half), b);
    low = ir_op1(l->b, IR_ZEXT32, IR_I64, low);
    ir_val high = ir_op2(l->b, IR_XOR, IR_I64, low, ir_op2(l->b, IR_SHR, IR_I64, b, half));
    high = ir_op2(l->b, IR_SHL, IR_I64, high, half);
    return rv_set(l, in, ir_op2(l->b, IR_OR, IR_I64, high, low));
}

/* --- Zknh --------------------------------------------------------------------------------------- */

/* Two rotations to the right and a third one, or a shift, xored. */
static ir_val mix(struct rv_lift *l, const struct rv_insn *in, enum ir_type type, unsigned first,
                  unsigned second, enum ir_op third_op, unsigned third)
{
    ir_val a = rv_get(l, in->rs1);
    ir_val v = ir_op2(l->b, IR_ROTR, type, a, rv_const(l, first));
    v = ir_op2(l->b, IR_XOR, type, v, ir_op2(l->b, IR_ROTR, type, a, rv_const(l, second)));
    return ir_op2(l->b, IR_XOR, type, v, ir_op2(l->b, third_op, type, a, rv_const(l, third)));
}

#define SHA256(name, first, second, third_op, third)                                               \
    LIFT(sha256##name)                                                                             \
    {                                                                                              \
        return rv_set(l, in, rv_sext32(l, mix(l, in, IR_W32, first, second, third_op, third)));    \
    }
#define SHA512(name, first, second, third_op, third)                                               \
    LIFT(sha512##name)                                                                             \
    {                                                                                              \
        return rv_set(l, in, mix(l, in, IR_I64, first, second, third_op, third));                  \
    }

SHA256(sum0, 2, 13, IR_ROTR, 22)
SHA256(sum1, 6, 11, IR_ROTR, 25)
SHA256(sig0, 7, 18, IR_SHR, 3)
SHA256(sig1, 17, 19, IR_SHR, 10)
SHA512(sum0, 28, 34, IR_ROTR, 39)
SHA512(sum1, 14, 18, IR_ROTR, 41)
SHA512(sig0, 1, 8, IR_SHR, 7)
SHA512(sig1, 19, 61, IR_SHR, 6)
