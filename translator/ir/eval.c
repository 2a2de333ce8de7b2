/*
 * What each pure and floating-point operation means: the one definition, on bit patterns. The
 * interpreter, constant folding and the backends' default helper all come here.
 *
 * W32 operations look at the low 32 bits of their operands and return zero-extended values. F32
 * operands are taken from the low 32 bits. Floats are the exact soft-float's.
 */
#include "godwit/ir.h"
#include "translator/ir/softfloat/softfloat.h"

__extension__ typedef unsigned __int128 u128;
__extension__ typedef __int128 i128;

_Static_assert((int)IR_RNE == SF_RNE && (int)IR_RTZ == SF_RTZ && (int)IR_RDN == SF_RDN &&
                   (int)IR_RUP == SF_RUP && (int)IR_RMM == SF_RMM,
               "rounding modes have the same numbers");
_Static_assert(IR_FPM_NAN_FIRST << 8 == SF_NAN_FIRST &&
                   IR_FPM_NAN_SIGNALING << 8 == SF_NAN_SIGNALING &&
                   IR_FPM_NAN_NEGATIVE << 8 == SF_NAN_NEGATIVE &&
                   IR_FPM_TINY_BEFORE << 8 == SF_TINY_BEFORE &&
                   IR_FPM_FLUSH_RESULTS << 8 == SF_FLUSH &&
                   IR_FPM_INT_NAN_ZERO << 8 == SF_INT_NAN_ZERO &&
                   IR_FPM_INT_INDEFINITE << 8 == SF_INT_INDEFINITE,
               "rules of FP models are bits above the rounding mode");
_Static_assert(IR_MINMAX_NUMBER << 16 == SF_MIN_NUMBER &&
                   IR_MINMAX_PROPAGATE << 16 == SF_MIN_PROPAGATE &&
                   IR_MINMAX_SECOND << 16 == SF_MIN_SECOND,
               "kinds of minimum are bits above those");
_Static_assert((int)IR_FP_NX == SF_NX && (int)IR_FP_UF == SF_UF && (int)IR_FP_OF == SF_OF &&
                   (int)IR_FP_DZ == SF_DZ && (int)IR_FP_NV == SF_NV,
               "flags have the same bits");

const struct ir_op_info ir_op_info[IR_OP_COUNT] = {
#define IR_OP(NAME, text_, result_, args_, flags_)                                                 \
    [IR_##NAME] = {.text = text_, .result = #result_[0], .args = args_, .flags = flags_},
#include "godwit/ir_ops.inc"
#undef IR_OP
};

bool ir_cond_holds(enum ir_cond cc, enum ir_type type, uint64_t a, uint64_t b)
{
    if (type == IR_W32) {
        /* Sign-extension keeps both orders. */
        a = (uint64_t)(int64_t)(int32_t)a;
        b = (uint64_t)(int64_t)(int32_t)b;
    }
    switch (cc) {
    case IR_EQ: return a == b;
    case IR_NE: return a != b;
    case IR_LT: return (int64_t)a < (int64_t)b;
    case IR_GE: return (int64_t)a >= (int64_t)b;
    case IR_LTU: return a < b;
    case IR_GEU: return a >= b;
    case IR_LE: return (int64_t)a <= (int64_t)b;
    case IR_GT: return (int64_t)a > (int64_t)b;
    case IR_LEU: return a <= b;
    case IR_GTU: return a > b;
    }
    return false;
}

/* --- integers --------------------------------------------------------------------------------- */

static uint64_t byte_mask(uint64_t a)
{
    uint64_t r = 0;
    for (unsigned i = 0; i < 64; i += 8)
        r |= (a >> i & 0xff) ? UINT64_C(0xff) << i : 0;
    return r;
}

static uint64_t divide_signed(int64_t a, int64_t b, bool remainder)
{
    if (b == 0)
        return remainder ? (uint64_t)a : UINT64_MAX;
    if (b == -1) /* also MIN / -1, which wraps to MIN */
        return remainder ? 0 : 0 - (uint64_t)a;
    return (uint64_t)(remainder ? a % b : a / b);
}

static u128 carryless_product(uint64_t a, uint64_t b)
{
    u128 r = 0, wide = a;
    for (unsigned i = 0; i < 64; i++)
        r ^= b >> i & 1 ? wide << i : 0;
    return r;
}

static uint64_t rotate_left(uint64_t a, unsigned n)
{
    return a << (n & 63) | a >> (-n & 63);
}

static uint64_t eval_i64(enum ir_op op, uint64_t a, uint64_t b)
{
    switch (op) {
    case IR_ADD: return a + b;
    case IR_SUB: return a - b;
    case IR_MUL: return a * b;
    case IR_MULHU: return (uint64_t)((u128)a * b >> 64);
    case IR_MULHS: return (uint64_t)((i128)(int64_t)a * (int64_t)b >> 64);
    case IR_MULHSU: return (uint64_t)((i128)(int64_t)a * (i128)(u128)b >> 64);
    case IR_CLMUL: return (uint64_t)carryless_product(a, b);
    case IR_CLMULH: return (uint64_t)(carryless_product(a, b) >> 64);
    case IR_DIVU: return b ? a / b : UINT64_MAX;
    case IR_DIVS: return divide_signed((int64_t)a, (int64_t)b, false);
    case IR_REMU: return b ? a % b : a;
    case IR_REMS: return divide_signed((int64_t)a, (int64_t)b, true);
    case IR_AND: return a & b;
    case IR_OR: return a | b;
    case IR_XOR: return a ^ b;
    case IR_ANDN: return a & ~b;
    case IR_SHL: return a << (b & 63);
    case IR_SHR: return a >> (b & 63);
    case IR_SAR: return (uint64_t)((int64_t)a >> (b & 63));
    case IR_ROTL: return rotate_left(a, (unsigned)b);
    case IR_ROTR: return rotate_left(a, -(unsigned)b);
    case IR_CLZ: return a ? (uint64_t)__builtin_clzll(a) : 64;
    case IR_CTZ: return a ? (uint64_t)__builtin_ctzll(a) : 64;
    case IR_POPCNT: return (uint64_t)__builtin_popcountll(a);
    case IR_BSWAP: return __builtin_bswap64(a);
    case IR_BYTEMASK: return byte_mask(a);
    default: return 0;
    }
}

static uint32_t eval_w32(enum ir_op op, uint32_t a, uint32_t b)
{
    int64_t sa = (int32_t)a, sb = (int32_t)b;

    switch (op) {
    case IR_MULHU: return (uint32_t)((uint64_t)a * b >> 32);
    case IR_MULHS: return (uint32_t)((uint64_t)(sa * sb) >> 32);
    case IR_MULHSU: return (uint32_t)((uint64_t)(sa * (int64_t)b) >> 32);
    case IR_CLMULH: return (uint32_t)(carryless_product(a, b) >> 32);
    case IR_DIVU: return b ? a / b : UINT32_MAX;
    case IR_REMU: return b ? a % b : a;
    case IR_DIVS:
    case IR_REMS: return (uint32_t)divide_signed(sa, sb, op == IR_REMS);
    case IR_SHL: return a << (b & 31);
    case IR_SHR: return a >> (b & 31);
    case IR_SAR: return (uint32_t)((int32_t)a >> (b & 31));
    case IR_ROTL: return a << (b & 31) | a >> (-b & 31);
    case IR_ROTR: return a >> (b & 31) | a << (-b & 31);
    case IR_CLZ: return a ? (uint32_t)__builtin_clz(a) : 32;
    case IR_CTZ: return a ? (uint32_t)__builtin_ctz(a) : 32;
    case IR_BSWAP: return __builtin_bswap32(a);
    default: /* those whose low half depends on the low halves alone */
        return (uint32_t)eval_i64(op, a, b);
    }
}

/* --- floats ----------------------------------------------------------------------------------- */

#define SIGN32 UINT32_C(0x80000000)
#define SIGN64 (UINT64_C(1) << 63)
#define INF32  UINT32_C(0x7f800000)
#define INF64  (UINT64_C(0x7ff) << 52)

/* FSGNJ on either width. */
static uint64_t inject_sign(unsigned kind, uint64_t a, uint64_t b, uint64_t sign)
{
    uint64_t s = kind == 0 ? b : kind == 1 ? ~b : a ^ b;
    return (a & (sign - 1)) | (s & sign);
}

/* What the soft-float is told: rounding mode and rules. */
static unsigned mode_of(const struct ir_insn *in)
{
    return in->aux | (unsigned)in->fp_model << 8;
}

static unsigned minmax_of(const struct ir_insn *in)
{
    return mode_of(in) | (unsigned)in->imm << 16;
}

/* FMA's a or c, negated. */
static uint64_t negate(const struct ir_insn *in, uint64_t v, uint64_t sign, uint64_t inf)
{
    bool nan = (v & (sign - 1)) > inf;
    return nan && in->fp_model & IR_FPM_NAN_FIRST ? v : v ^ sign;
}

static uint64_t eval_f64(const struct ir_insn *in, uint64_t a, uint64_t b, uint64_t c, uint32_t *fl)
{
    unsigned mode = mode_of(in);

    switch ((enum ir_op)in->op) {
    case IR_FADD: return sf_add64(a, b, mode, fl);
    case IR_FSUB: return sf_sub64(a, b, mode, fl);
    case IR_FMUL: return sf_mul64(a, b, mode, fl);
    case IR_FDIV: return sf_div64(a, b, mode, fl);
    case IR_FSQRT: return sf_sqrt64(a, mode, fl);
    case IR_FMA:
        a = in->imm & 1 ? negate(in, a, SIGN64, INF64) : a;
        c = in->imm & 2 ? negate(in, c, SIGN64, INF64) : c;
        return sf_fma64(a, b, c, mode, fl);
    case IR_FMIN: return sf_min64(a, b, minmax_of(in), fl);
    case IR_FMAX: return sf_max64(a, b, minmax_of(in), fl);
    case IR_FSGNJ: return inject_sign(in->aux, a, b, SIGN64);
    case IR_FEQ: return (uint64_t)sf_eq64(a, b, fl);
    case IR_FLT: return (uint64_t)sf_lt64(a, b, fl);
    case IR_FLE: return (uint64_t)sf_le64(a, b, fl);
    case IR_FCLASS: return sf_class64(a);
    case IR_F2F: return sf_f32_to_f64((uint32_t)a, mode, fl);
    case IR_H2F: return sf_f16_to_f64((uint16_t)a, mode, fl);
    case IR_F2H: return sf_f64_to_f16(a, mode, fl);
    case IR_FRINT: return sf_rint64(a, mode, in->imm != 0, fl);
    case IR_F2I:
        switch ((enum ir_int)in->imm) {
        case IR_INT_W: return sf_f64_to_i32(a, mode, fl);
        case IR_INT_WU: return sf_f64_to_u32(a, mode, fl);
        case IR_INT_L: return sf_f64_to_i64(a, mode, fl);
        case IR_INT_LU: return sf_f64_to_u64(a, mode, fl);
        }
        return 0;
    case IR_I2F:
        switch ((enum ir_int)in->imm) {
        case IR_INT_W: return sf_i32_to_f64((int32_t)a, mode, fl);
        case IR_INT_WU: return sf_u32_to_f64((uint32_t)a, mode, fl);
        case IR_INT_L: return sf_i64_to_f64((int64_t)a, mode, fl);
        case IR_INT_LU: return sf_u64_to_f64(a, mode, fl);
        }
        return 0;
    default: return 0;
    }
}

static uint64_t eval_f32(const struct ir_insn *in, uint64_t wide_a, uint32_t b, uint32_t c,
                         uint32_t *fl)
{
    unsigned mode = mode_of(in);
    uint32_t a = (uint32_t)wide_a;

    switch ((enum ir_op)in->op) {
    case IR_FADD: return sf_add32(a, b, mode, fl);
    case IR_FSUB: return sf_sub32(a, b, mode, fl);
    case IR_FMUL: return sf_mul32(a, b, mode, fl);
    case IR_FDIV: return sf_div32(a, b, mode, fl);
    case IR_FSQRT: return sf_sqrt32(a, mode, fl);
    case IR_FMA:
        a = in->imm & 1 ? (uint32_t)negate(in, a, SIGN32, INF32) : a;
        c = in->imm & 2 ? (uint32_t)negate(in, c, SIGN32, INF32) : c;
        return sf_fma32(a, b, c, mode, fl);
    case IR_FMIN: return sf_min32(a, b, minmax_of(in), fl);
    case IR_FMAX: return sf_max32(a, b, minmax_of(in), fl);
    case IR_FSGNJ: return inject_sign(in->aux, a, b, SIGN32);
    case IR_FEQ: return (uint64_t)sf_eq32(a, b, fl);
    case IR_FLT: return (uint64_t)sf_lt32(a, b, fl);
    case IR_FLE: return (uint64_t)sf_le32(a, b, fl);
    case IR_FCLASS: return sf_class32(a);
    case IR_F2F: return sf_f64_to_f32(wide_a, mode, fl);
    case IR_H2F: return sf_f16_to_f32((uint16_t)a, mode, fl);
    case IR_F2H: return sf_f32_to_f16(a, mode, fl);
    case IR_FRINT: return sf_rint32(a, mode, in->imm != 0, fl);
    case IR_F2I:
        switch ((enum ir_int)in->imm) {
        case IR_INT_W: return sf_f32_to_i32(a, mode, fl);
        case IR_INT_WU: return sf_f32_to_u32(a, mode, fl);
        case IR_INT_L: return sf_f32_to_i64(a, mode, fl);
        case IR_INT_LU: return sf_f32_to_u64(a, mode, fl);
        }
        return 0;
    case IR_I2F:
        switch ((enum ir_int)in->imm) {
        case IR_INT_W: return sf_i32_to_f32((int32_t)a, mode, fl);
        case IR_INT_WU: return sf_u32_to_f32(a, mode, fl);
        case IR_INT_L: return sf_i64_to_f32((int64_t)wide_a, mode, fl);
        case IR_INT_LU: return sf_u64_to_f32(wide_a, mode, fl);
        }
        return 0;
    default: return 0;
    }
}

/* An operand of the type, where subnormal ones are flushed. */
static uint64_t flush_operand(enum ir_type type, uint64_t v)
{
    if (type == IR_F64)
        return v & INF64 ? v : v & SIGN64;
    return v & INF32 ? v : v & SIGN32;
}

static uint64_t eval_float(const struct ir_insn *in, uint64_t a, uint64_t b, uint64_t c,
                           uint32_t *fl)
{
    return in->type == IR_F32 ? eval_f32(in, a, (uint32_t)b, (uint32_t)c, fl)
                              : eval_f64(in, a, b, c, fl);
}

/* The same on flushed operands, where they are floats of 32 bits or more. */
static uint64_t eval_flushed(const struct ir_insn *in, uint64_t a, uint64_t b, uint64_t c,
                             uint32_t *fl)
{
    enum ir_type type = (enum ir_type)in->type;

    if (in->op == IR_I2F || in->op == IR_H2F)
        return eval_float(in, a, b, c, fl);
    if (in->op == IR_F2F)
        type = type == IR_F32 ? IR_F64 : IR_F32;
    return eval_float(in, flush_operand(type, a), flush_operand(type, b), flush_operand(type, c),
                      fl);
}

/* --- all -------------------------------------------------------------------------------------- */

uint64_t ir_eval(const struct ir_insn *in, uint64_t a, uint64_t b, uint64_t c, uint64_t d,
                 uint32_t *fp_flags)
{
    uint32_t dropped = 0;
    if (in->aux && ir_compares_floats(in->op))
        fp_flags = &dropped;
    enum ir_op op = (enum ir_op)in->op;

    switch (op) {
    case IR_CONST: return (uint64_t)in->imm;
    case IR_SEXT8: return (uint64_t)(int64_t)(int8_t)a;
    case IR_SEXT16: return (uint64_t)(int64_t)(int16_t)a;
    case IR_SEXT32: return (uint64_t)(int64_t)(int32_t)a;
    case IR_ZEXT8: return (uint8_t)a;
    case IR_ZEXT16: return (uint16_t)a;
    case IR_ZEXT32: return (uint32_t)a;
    case IR_SETCC: return ir_cond_holds((enum ir_cond)in->aux, (enum ir_type)in->type, a, b);
    case IR_SELECT:
        return ir_cond_holds((enum ir_cond)in->aux, (enum ir_type)in->type, a, b) ? c : d;
    case IR_FBITS:
    case IR_BITSF: return in->type == IR_F32 ? (uint32_t)a : a;
    case IR_UNBOX: return a >> 32 == UINT32_MAX ? (uint32_t)a : SF_NAN32;
    case IR_BOX: return UINT64_C(0xffffffff00000000) | (uint32_t)a;
    default: break;
    }
    switch (in->type) {
    case IR_F32:
    case IR_F64:
        if (in->fp_model & IR_FPM_FLUSH_OPERANDS)
            return eval_flushed(in, a, b, c, fp_flags);
        return eval_float(in, a, b, c, fp_flags);
    case IR_W32: return eval_w32(op, (uint32_t)a, (uint32_t)b);
    default: return eval_i64(op, a, b);
    }
}
