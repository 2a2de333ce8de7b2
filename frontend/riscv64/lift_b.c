/*
 * Zba, Zbb, Zbc, Zbs, Zbkb, Zbkx and Zicond. Unpriv. 20240411, "B", "Zbkb" and its kin, "Zicond".
 */
#include "frontend/riscv64/lift.h"

#define LIFT(name) enum rv_flow rv_lift_##name(struct rv_lift *l, const struct rv_insn *in)
#define BINARY(name, op)                                                                           \
    LIFT(name)                                                                                     \
    {                                                                                              \
        return rv_binary(l, in, op);                                                               \
    }
#define UNARY(name, op, type)                                                                      \
    LIFT(name)                                                                                     \
    {                                                                                              \
        return rv_unary(l, in, op, type);                                                          \
    }

/* --- Zba ---------------------------------------------------------------------------------------- */

/* rd = (rs1 << shift) + rs2; uw: of the zero-extended low half of rs1 */
static enum rv_flow shift_add(struct rv_lift *l, const struct rv_insn *in, unsigned shift, bool uw)
{
    ir_val a = rv_get(l, in->rs1), b = rv_get(l, in->rs2);
    if (uw)
        a = ir_op1(l->b, IR_ZEXT32, IR_I64, a);
    if (shift)
        a = ir_op2(l->b, IR_SHL, IR_I64, a, rv_const(l, shift));
    return rv_set(l, in, in->rs2 ? ir_op2(l->b, IR_ADD, IR_I64, a, b) : a);
}

LIFT(sh1add)
{
    return shift_add(l, in, 1, false);
}

LIFT(sh2add)
{
    return shift_add(l, in, 2, false);
}

LIFT(sh3add)
{
    return shift_add(l, in, 3, false);
}

LIFT(add_uw)
{
    return shift_add(l, in, 0, true);
}

LIFT(sh1add_uw)
{
    return shift_add(l, in, 1, true);
}

LIFT(sh2add_uw)
{
    return shift_add(l, in, 2, true);
}

LIFT(sh3add_uw)
{
    return shift_add(l, in, 3, true);
}

LIFT(slli_uw)
{
    ir_val a = ir_op1(l->b, IR_ZEXT32, IR_I64, rv_get(l, in->rs1));
    return rv_set(l, in, ir_op2(l->b, IR_SHL, IR_I64, a, rv_const(l, in->imm)));
}

/* --- Zbb ---------------------------------------------------------------------------------------- */

LIFT(orn)
{
    ir_val a = rv_get(l, in->rs1), b = rv_get(l, in->rs2);
    b = ir_op2(l->b, IR_XOR, IR_I64, b, rv_const(l, -1));
    return rv_set(l, in, ir_op2(l->b, IR_OR, IR_I64, a, b));
}

LIFT(xnor)
{
    ir_val a = rv_get(l, in->rs1), b = rv_get(l, in->rs2);
    ir_val x = ir_op2(l->b, IR_XOR, IR_I64, a, b);
    return rv_set(l, in, ir_op2(l->b, IR_XOR, IR_I64, x, rv_const(l, -1)));
}

/* rd = rs1 cc rs2 ? rs1 : rs2 */
static enum rv_flow choose(struct rv_lift *l, const struct rv_insn *in, enum ir_cond cc)
{
    ir_val a = rv_get(l, in->rs1), b = rv_get(l, in->rs2);
    return rv_set(l, in, ir_select(l->b, IR_I64, cc, a, b, a, b));
}

LIFT(max)
{
    return choose(l, in, IR_GE);
}

LIFT(maxu)
{
    return choose(l, in, IR_GEU);
}

LIFT(min)
{
    return choose(l, in, IR_LT);
}

LIFT(minu)
{
    return choose(l, in, IR_LTU);
}

LIFT(rolw)
{
    return rv_binary_w(l, in, IR_ROTL);
}

LIFT(rorw)
{
    return rv_binary_w(l, in, IR_ROTR);
}

LIFT(rori)
{
    return rv_binary_imm(l, in, IR_ROTR);
}

LIFT(roriw)
{
    return rv_binary_imm_w(l, in, IR_ROTR);
}

BINARY(andn, IR_ANDN)
BINARY(rol, IR_ROTL)
BINARY(ror, IR_ROTR)
UNARY(clz, IR_CLZ, IR_I64)
UNARY(ctz, IR_CTZ, IR_I64)
UNARY(cpop, IR_POPCNT, IR_I64)
UNARY(clzw, IR_CLZ, IR_W32)
UNARY(ctzw, IR_CTZ, IR_W32)
UNARY(cpopw, IR_POPCNT, IR_W32)
UNARY(sext_b, IR_SEXT8, IR_I64)
UNARY(sext_h, IR_SEXT16, IR_I64)
UNARY(zext_h, IR_ZEXT16, IR_I64)
UNARY(orc_b, IR_BYTEMASK, IR_I64)
UNARY(rev8, IR_BSWAP, IR_I64)

/* --- Zbc ---------------------------------------------------------------------------------------- */

BINARY(clmul, IR_CLMUL)
BINARY(clmulh, IR_CLMULH)

/* Bits 126:63 of the product. */
LIFT(clmulr)
{
    ir_val a = rv_get(l, in->rs1), b = rv_get(l, in->rs2);
    ir_val high = ir_op2(l->b, IR_CLMULH, IR_I64, a, b);
    ir_val low = ir_op2(l->b, IR_CLMUL, IR_I64, a, b);
    high = ir_op2(l->b, IR_SHL, IR_I64, high, rv_const(l, 1));
    low = ir_op2(l->b, IR_SHR, IR_I64, low, rv_const(l, 63));
    return rv_set(l, in, ir_op2(l->b, IR_OR, IR_I64, high, low));
}

/* --- Zbkb, Zbkx --------------------------------------------------------------------------------- */

/* b << shift | a */
static ir_val join(struct rv_lift *l, ir_val a, ir_val b, unsigned shift)
{
    return ir_op2(l->b, IR_OR, IR_I64, a, ir_op2(l->b, IR_SHL, IR_I64, b, rv_const(l, shift)));
}

LIFT(pack)
{
    ir_val a = rv_get(l, in->rs1), b = rv_get(l, in->rs2);
    return rv_set(l, in, join(l, ir_op1(l->b, IR_ZEXT32, IR_I64, a), b, 32));
}

LIFT(packh)
{
    ir_val a = ir_op1(l->b, IR_ZEXT8, IR_I64, rv_get(l, in->rs1));
    ir_val b = ir_op1(l->b, IR_ZEXT8, IR_I64, rv_get(l, in->rs2));
    return rv_set(l, in, join(l, a, b, 8));
}

LIFT(packw)
{
    ir_val a = ir_op1(l->b, IR_ZEXT16, IR_I64, rv_get(l, in->rs1));
    return rv_set(l, in, rv_sext32(l, join(l, a, rv_get(l, in->rs2), 16)));
}

/* Swaps neighbouring groups of `bits` bits, which mask selects every other of. */
static ir_val swap_groups(struct rv_lift *l, ir_val v, unsigned bits, uint64_t mask)
{
    ir_val m = ir_const(l->b, mask);
    ir_val up = ir_op2(l->b, IR_AND, IR_I64, v, m);
    ir_val down = ir_op2(l->b, IR_SHR, IR_I64, v, rv_const(l, bits));
    return join(l, ir_op2(l->b, IR_AND, IR_I64, down, m), up, bits);
}

LIFT(brev8)
{
    ir_val v = swap_groups(l, rv_get(l, in->rs1), 1, UINT64_C(0x5555555555555555));
    v = swap_groups(l, v, 2, UINT64_C(0x3333333333333333));
    return rv_set(l, in, swap_groups(l, v, 4, UINT64_C(0x0f0f0f0f0f0f0f0f)));
}

static enum rv_flow permute(struct rv_lift *l, const struct rv_insn *in, unsigned bits)
{
    ir_val a = rv_get(l, in->rs1), b = rv_get(l, in->rs2);
    return rv_set(l, in, ir_call(l->b, RV_HELPER_XPERM, a, b, rv_const(l, bits)));
}

LIFT(xperm4)
{
    return permute(l, in, 4);
}

LIFT(xperm8)
{
    return permute(l, in, 8);
}

/* --- Zbs ---------------------------------------------------------------------------------------- */

static enum rv_flow single_bit(struct rv_lift *l, const struct rv_insn *in, enum ir_op op)
{
    ir_val a = rv_get(l, in->rs1);
    ir_val bit = ir_op2(l->b, IR_SHL, IR_I64, rv_const(l, 1), rv_get(l, in->rs2));
    return rv_set(l, in, ir_op2(l->b, op, IR_I64, a, bit));
}

static enum rv_flow single_bit_imm(struct rv_lift *l, const struct rv_insn *in, enum ir_op op,
                                   uint64_t invert)
{
    ir_val a = rv_get(l, in->rs1);
    ir_val mask = ir_const(l->b, (UINT64_C(1) << (in->imm & 63)) ^ invert);
    return rv_set(l, in, ir_op2(l->b, op, IR_I64, a, mask));
}

static enum rv_flow extract_bit(struct rv_lift *l, const struct rv_insn *in, ir_val index)
{
    ir_val v = ir_op2(l->b, IR_SHR, IR_I64, rv_get(l, in->rs1), index);
    return rv_set(l, in, ir_op2(l->b, IR_AND, IR_I64, v, rv_const(l, 1)));
}

LIFT(bclr)
{
    return single_bit(l, in, IR_ANDN);
}

LIFT(binv)
{
    return single_bit(l, in, IR_XOR);
}

LIFT(bset)
{
    return single_bit(l, in, IR_OR);
}

LIFT(bclri)
{
    return single_bit_imm(l, in, IR_AND, UINT64_MAX);
}

LIFT(binvi)
{
    return single_bit_imm(l, in, IR_XOR, 0);
}

LIFT(bseti)
{
    return single_bit_imm(l, in, IR_OR, 0);
}

LIFT(bext)
{
    return extract_bit(l, in, rv_get(l, in->rs2));
}

LIFT(bexti)
{
    return extract_bit(l, in, rv_const(l, in->imm));
}

/* --- Zicond ------------------------------------------------------------------------------------- */

static enum rv_flow zero_if(struct rv_lift *l, const struct rv_insn *in, enum ir_cond cc)
{
    ir_val a = rv_get(l, in->rs1), b = rv_get(l, in->rs2), zero = rv_const(l, 0);
    return rv_set(l, in, ir_select(l->b, IR_I64, cc, b, zero, zero, a));
}

LIFT(czero_eqz)
{
    return zero_if(l, in, IR_EQ);
}

LIFT(czero_nez)
{
    return zero_if(l, in, IR_NE);
}
