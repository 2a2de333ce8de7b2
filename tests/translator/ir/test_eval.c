/*
 * ir_eval against other ways to say the same: schoolbook integers, and the host's floating point.
 */
#include <fenv.h>
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>
#include <cmocka.h>

#include "tests/translator/ir/random_ir.h"

enum { ROUNDS = 3000 };
#define LOW32 UINT64_C(0xffffffff)

static uint64_t eval(enum ir_op op, enum ir_type type, uint64_t a, uint64_t b)
{
    struct ir_insn in = {.op = (uint8_t)op, .type = (uint8_t)type};
    uint32_t flags = 0;
    uint64_t r = ir_eval(&in, a, b, 0, 0, &flags);
    assert_int_equal(flags, 0);
    return r;
}

/* --- integers, by bits ------------------------------------------------------------------------ */

static unsigned bit(uint64_t v, unsigned i)
{
    return v >> i & 1;
}

/* The 2n-bit product, by shifts and additions; signs handled by subtracting the wrapped part. */
static uint64_t high_product(uint64_t a, uint64_t b, unsigned width, bool sign_a, bool sign_b)
{
    uint64_t mask = width == 64 ? UINT64_MAX : LOW32, lo = 0, hi = 0;
    a &= mask;
    b &= mask;
    for (unsigned i = 0; i < width; i++) {
        if (!bit(b, i))
            continue;
        uint64_t add_lo = a << i & mask;
        uint64_t add_hi = i ? a >> (width - i) : 0;
        lo = (lo + add_lo) & mask;
        hi = (hi + add_hi + (lo < add_lo)) & mask;
    }
    if (sign_a && bit(a, width - 1))
        hi -= b;
    if (sign_b && bit(b, width - 1))
        hi -= a;
    return hi & mask;
}

/* Quotient and remainder of magnitudes by long division. */
static uint64_t long_division(uint64_t a, uint64_t b, uint64_t *rest)
{
    uint64_t q = 0, r = 0;
    for (unsigned i = 64; i-- > 0;) {
        bool carry = bit(r, 63);
        r = r << 1 | bit(a, i);
        if (carry || r >= b) {
            r -= b;
            q |= UINT64_C(1) << i;
        }
    }
    *rest = r;
    return q;
}

static uint64_t divide(enum ir_op op, uint64_t a, uint64_t b, unsigned width)
{
    uint64_t mask = width == 64 ? UINT64_MAX : LOW32, rest;
    bool sign = op == IR_DIVS || op == IR_REMS;
    a &= mask;
    b &= mask;
    if (b == 0)
        return op == IR_DIVU || op == IR_DIVS ? mask : a;
    bool neg_a = sign && bit(a, width - 1), neg_b = sign && bit(b, width - 1);
    uint64_t q = long_division(neg_a ? (0 - a) & mask : a, neg_b ? (0 - b) & mask : b, &rest);
    if (op == IR_DIVU || op == IR_DIVS)
        return (neg_a != neg_b ? 0 - q : q) & mask;
    return (neg_a ? 0 - rest : rest) & mask;
}

static uint64_t shift(enum ir_op op, uint64_t a, uint64_t b, unsigned width)
{
    uint64_t r = 0;
    unsigned n = (unsigned)(b % width);
    for (unsigned i = 0; i < width; i++) {
        unsigned from, v;
        switch (op) {
        case IR_SHL: v = i >= n ? bit(a, i - n) : 0; break;
        case IR_SHR: v = i + n < width ? bit(a, i + n) : 0; break;
        case IR_SAR: v = bit(a, i + n < width ? i + n : width - 1); break;
        case IR_ROTL:
            from = (i + width - n) % width;
            v = bit(a, from);
            break;
        default:
            from = (i + n) % width;
            v = bit(a, from);
            break;
        }
        r |= (uint64_t)v << i;
    }
    return r;
}

static uint64_t count(enum ir_op op, uint64_t a, unsigned width)
{
    unsigned n = 0;
    for (unsigned i = 0; i < width; i++) {
        if (op == IR_POPCNT)
            n += bit(a, i);
        else if (!bit(a, op == IR_CLZ ? width - 1 - i : i))
            n++;
        else
            break;
    }
    return n;
}

static uint64_t bytes(enum ir_op op, uint64_t a, unsigned width)
{
    uint64_t r = 0;
    for (unsigned i = 0; i < width / 8; i++) {
        uint64_t byte = a >> 8 * i & 0xff;
        if (op == IR_BSWAP)
            r |= byte << (width - 8 - 8 * i);
        else
            r |= (byte ? UINT64_C(0xff) : 0) << 8 * i;
    }
    return r;
}

/* Sums, without carries, of what each bit of b selects. */
static uint64_t carryless(uint64_t a, uint64_t b, unsigned width, bool high)
{
    uint64_t r = 0, mask = width == 64 ? UINT64_MAX : LOW32;
    for (unsigned i = 0; i < width; i++)
        if (bit(b, i))
            r ^= !high ? a << i : i ? (a & mask) >> (width - i) : 0;
    return r & mask;
}

static uint64_t expected(enum ir_op op, uint64_t a, uint64_t b, unsigned width)
{
    uint64_t mask = width == 64 ? UINT64_MAX : LOW32;
    switch (op) {
    case IR_ADD: return (a - ~b - 1) & mask;
    case IR_SUB: return (a + ~b + 1) & mask;
    case IR_MUL: {
        uint64_t r = 0;
        for (unsigned i = 0; i < 64; i++)
            r += bit(b, i) ? a << i : 0;
        return r & mask;
    }
    case IR_MULHU: return high_product(a, b, width, false, false);
    case IR_MULHS: return high_product(a, b, width, true, true);
    case IR_MULHSU: return high_product(a, b, width, true, false);
    case IR_CLMUL: return carryless(a, b, width, false);
    case IR_CLMULH: return carryless(a, b, width, true);
    case IR_DIVU:
    case IR_DIVS:
    case IR_REMU:
    case IR_REMS: return divide(op, a, b, width);
    case IR_AND: return ~(~a | ~b) & mask;
    case IR_OR: return ~(~a & ~b) & mask;
    case IR_XOR: return ((a & ~b) | (b & ~a)) & mask;
    case IR_ANDN: return (a ^ (a & b)) & mask;
    case IR_SHL:
    case IR_SHR:
    case IR_SAR:
    case IR_ROTL:
    case IR_ROTR: return shift(op, a, b, width);
    case IR_CLZ:
    case IR_CTZ:
    case IR_POPCNT: return count(op, a, width);
    default: return bytes(op, a, width);
    }
}

static const uint8_t integer_ops[] = {
    IR_ADD,  IR_SUB, IR_MUL, IR_MULHU,  IR_MULHS, IR_MULHSU,   IR_DIVU,  IR_DIVS,  IR_REMU,
    IR_REMS, IR_AND, IR_OR,  IR_XOR,    IR_ANDN,  IR_SHL,      IR_SHR,   IR_SAR,   IR_ROTL,
    IR_ROTR, IR_CLZ, IR_CTZ, IR_POPCNT, IR_BSWAP, IR_BYTEMASK, IR_CLMUL, IR_CLMULH};

static void integers_match_schoolbook(void **state)
{
    uint64_t rng = 1;
    (void)state;
    for (unsigned i = 0; i < ROUNDS; i++) {
        uint64_t a = random_value(&rng), b = random_value(&rng);
        for (unsigned k = 0; k < sizeof integer_ops; k++) {
            enum ir_op op = (enum ir_op)integer_ops[k];
            uint64_t want64 = expected(op, a, b, 64), want32 = expected(op, a, b, 32);
            if (eval(op, IR_I64, a, b) != want64 || eval(op, IR_W32, a, b) != want32)
                fail_msg("%s of %#lx, %#lx", ir_op_info[op].text, (long)a, (long)b);
        }
    }
}

static void division_corners_are_defined(void **state)
{
    const uint64_t min64 = UINT64_C(1) << 63, min32 = 0x80000000;
    (void)state;
    assert_true(eval(IR_DIVS, IR_I64, min64, UINT64_MAX) == min64);
    assert_true(eval(IR_REMS, IR_I64, min64, UINT64_MAX) == 0);
    assert_true(eval(IR_DIVS, IR_I64, 5, 0) == UINT64_MAX);
    assert_true(eval(IR_REMS, IR_I64, 5, 0) == 5);
    assert_true(eval(IR_DIVU, IR_I64, 5, 0) == UINT64_MAX);
    assert_true(eval(IR_REMU, IR_I64, 5, 0) == 5);
    assert_true(eval(IR_DIVS, IR_W32, min32, LOW32) == min32);
    assert_true(eval(IR_REMS, IR_W32, min32, LOW32) == 0);
    assert_true(eval(IR_DIVS, IR_W32, 7, min64) == LOW32); /* low half of the divisor is 0 */
    assert_true(eval(IR_REMU, IR_W32, UINT64_MAX, 0) == LOW32);
}

static void extensions_take_low_bits(void **state)
{
    static const struct {
        uint8_t op;
        uint64_t in, out;
    } cases[] = {{IR_SEXT8, 0x180, UINT64_C(0xffffffffffffff80)},
                 {IR_SEXT8, 0xff7f, 0x7f},
                 {IR_SEXT16, 0x18000, UINT64_C(0xffffffffffff8000)},
                 {IR_SEXT16, 0x7fff, 0x7fff},
                 {IR_SEXT32, 0x180000000, UINT64_C(0xffffffff80000000)},
                 {IR_SEXT32, 0x17fffffff, 0x7fffffff},
                 {IR_ZEXT8, UINT64_MAX, 0xff},
                 {IR_ZEXT16, UINT64_MAX, 0xffff},
                 {IR_ZEXT32, UINT64_MAX, 0xffffffff}};
    (void)state;
    for (unsigned i = 0; i < sizeof cases / sizeof cases[0]; i++)
        assert_true(eval((enum ir_op)cases[i].op, IR_I64, cases[i].in, 0) == cases[i].out);
}

/* --- conditions ------------------------------------------------------------------------------- */

/* Comparison by the first differing bit, with the sign bit turned over for signed ones. */
static int order_of(uint64_t a, uint64_t b, unsigned width, bool sign)
{
    for (unsigned i = width; i-- > 0;) {
        unsigned x = bit(a, i), y = bit(b, i);
        if (x != y)
            return (x > y) != (sign && i == width - 1) ? 1 : -1;
    }
    return 0;
}

static bool holds(enum ir_cond cc, uint64_t a, uint64_t b, unsigned width)
{
    int s = order_of(a, b, width, true), u = order_of(a, b, width, false);
    const bool table[] = {[IR_EQ] = u == 0,
                          [IR_NE] = u != 0,
                          [IR_LT] =
                              s<0, [IR_GE] = s >= 0,
                                [IR_LTU] = u<0, [IR_GEU] = u >= 0, [IR_LE] = s <= 0, [IR_GT] = s> 0,
                                [IR_LEU] = u <= 0, [IR_GTU] = u> 0};
    return table[cc];
}

static void conditions_and_their_negations(void **state)
{
    uint64_t rng = 2;
    (void)state;
    for (unsigned i = 0; i < ROUNDS; i++) {
        uint64_t a = random_value(&rng), b = i & 7 ? random_value(&rng) : a;
        for (unsigned cc = IR_EQ; cc <= IR_GTU; cc++) {
            struct ir_insn in = {.op = IR_SETCC, .aux = (uint8_t)cc};
            for (unsigned width = 32; width <= 64; width += 32) {
                bool want = holds((enum ir_cond)cc, a, b, width);
                in.type = width == 32 ? IR_W32 : IR_I64;
                assert_int_equal(ir_cond_holds((enum ir_cond)cc, (enum ir_type)in.type, a, b),
                                 want);
                assert_int_equal(ir_cond_holds((enum ir_cond)(cc ^ 1), (enum ir_type)in.type, a, b),
                                 !want);
                in.op = IR_SETCC;
                assert_int_equal(ir_eval(&in, a, b, 0, 0, NULL), want);
                in.op = IR_SELECT;
                assert_true(ir_eval(&in, a, b, ~a, ~b, NULL) == (want ? ~a : ~b));
            }
        }
    }
}

/* --- floats: operations reach the right function, width, mode and flags ----------------------- */

static double as_f64(uint64_t bits)
{
    double d;
    memcpy(&d, &bits, 8);
    return d;
}

static float as_f32(uint64_t bits)
{
    float f;
    uint32_t low = (uint32_t)bits;
    memcpy(&f, &low, 4);
    return f;
}

static uint64_t bits64(double d)
{
    uint64_t bits;
    memcpy(&bits, &d, 8);
    return d != d ? UINT64_C(0x7ff8000000000000) : bits;
}

static uint64_t bits32(float f)
{
    uint32_t bits;
    memcpy(&bits, &f, 4);
    return f != f ? 0x7fc00000 : bits;
}

static uint32_t host_flags(void)
{
    int f = fetestexcept(FE_ALL_EXCEPT);
    return (f & FE_INEXACT ? IR_FP_NX : 0u) | (f & FE_UNDERFLOW ? IR_FP_UF : 0u) |
           (f & FE_OVERFLOW ? IR_FP_OF : 0u) | (f & FE_DIVBYZERO ? IR_FP_DZ : 0u) |
           (f & FE_INVALID ? IR_FP_NV : 0u);
}

/* One operation by the host, in the mode that is set. */
static uint64_t host_op(const struct ir_insn *in, uint64_t a, uint64_t b, uint64_t c)
{
    volatile double x = as_f64(a), y = as_f64(b), z = as_f64(c);
    volatile float s = as_f32(a), t = as_f32(b), u = as_f32(c);
    bool wide = in->type == IR_F64;

    switch ((enum ir_op)in->op) {
    case IR_FADD: return wide ? bits64(x + y) : bits32(s + t);
    case IR_FSUB: return wide ? bits64(x - y) : bits32(s - t);
    case IR_FMUL: return wide ? bits64(x * y) : bits32(s * t);
    case IR_FDIV: return wide ? bits64(x / y) : bits32(s / t);
    case IR_FSQRT: return wide ? bits64(sqrt(x)) : bits32(sqrtf(s));
    case IR_FMA:
        if (in->imm & 1) {
            x = -x;
            s = -s;
        }
        if (in->imm & 2) {
            z = -z;
            u = -u;
        }
        return wide ? bits64(fma(x, y, z)) : bits32(fmaf(s, t, u));
    case IR_FEQ: return wide ? x == y : s == t;
    case IR_FLT: return wide ? x < y : s < t;
    case IR_FLE: return wide ? x <= y : s <= t;
    case IR_F2F: return wide ? bits64((double)s) : bits32((float)x);
    default: /* I2F */
        switch ((enum ir_int)in->imm) {
        case IR_INT_W: return wide ? bits64((int32_t)a) : bits32((float)(int32_t)a);
        case IR_INT_WU: return wide ? bits64((uint32_t)a) : bits32((float)(uint32_t)a);
        case IR_INT_L: return wide ? bits64((double)(int64_t)a) : bits32((float)(int64_t)a);
        case IR_INT_LU: break;
        }
        return wide ? bits64((double)(a >> 1)) : bits32((float)(a >> 1));
    }
}

/* As this host judges tininess: the product is tiny, and not after it was rounded. */
static uint32_t host_model(void)
{
    volatile double x = 0x1.0000000000001p-1022, y = 1 - 0x1p-52, product;
    feclearexcept(FE_ALL_EXCEPT);
    product = x * y;
    (void)product;
    return fetestexcept(FE_UNDERFLOW) ? IR_FPM_TINY_BEFORE : IR_FPM_RISCV;
}

static void floats_match_the_host(void **state)
{
    static const uint8_t ops[] = {IR_FADD, IR_FSUB, IR_FMUL, IR_FDIV, IR_FSQRT, IR_FMA,
                                  IR_FEQ,  IR_FLT,  IR_FLE,  IR_F2F,  IR_I2F};
    static const int modes[] = {[IR_RNE] = FE_TONEAREST,
                                [IR_RTZ] = FE_TOWARDZERO,
                                [IR_RDN] = FE_DOWNWARD,
                                [IR_RUP] = FE_UPWARD};
    const uint32_t model = host_model();
    uint64_t rng = 3;
    (void)state;
    for (unsigned i = 0; i < 40 * ROUNDS; i++) {
        struct ir_insn in = {.op = ops[i % sizeof ops],
                             .type = i & 32 ? IR_F32 : IR_F64,
                             .fp_model = (uint8_t)model};
        enum ir_type from =
            in.op == IR_F2F ? (enum ir_type)(IR_F32 + IR_F64 - in.type) : (enum ir_type)in.type;
        uint64_t a = random_float(&rng, from), b = random_float(&rng, from);
        uint64_t c = random_float(&rng, from);
        uint32_t flags = 0;

        in.aux = (uint8_t)(random_u64(&rng) & 3);
        if (ir_compares_floats(in.op))
            in.aux = 0;
        if (in.op == IR_FMA)
            in.imm = (int64_t)(random_u64(&rng) & 3);
        if (in.op == IR_I2F) {
            in.imm = (int64_t)(random_u64(&rng) % 3);
            a = random_value(&rng);
        }
        fesetround(modes[in.aux]);
        feclearexcept(FE_ALL_EXCEPT);
        uint64_t want = host_op(&in, a, b, c);
        uint32_t want_flags = host_flags();
        fesetround(FE_TONEAREST);
        uint64_t got = ir_eval(&in, a, b, c, 0, &flags);
        /* lt and le signal on any NaN, which compilers don't hold to */
        if (in.op == IR_FLT || in.op == IR_FLE) {
            bool nan = in.type == IR_F64 ? isnan(as_f64(a)) || isnan(as_f64(b))
                                         : isnan(as_f32(a)) || isnan(as_f32(b));
            want_flags = nan ? IR_FP_NV : 0;
        }
        /* inf * 0 + quiet NaN: the guest raises NV, this host need not */
        if (in.op == IR_FMA &&
            want == (in.type == IR_F64 ? UINT64_C(0x7ff8000000000000) : 0x7fc00000))
            want_flags = flags;
        if (got != want || flags != want_flags)
            fail_msg("%s type %u mode %u imm %ld of %#lx %#lx %#lx: %#lx flags %x, host %#lx %x",
                     ir_op_info[in.op].text, in.type, in.aux, (long)in.imm, (long)a, (long)b,
                     (long)c, (long)got, flags, (long)want, want_flags);
    }
}

static uint64_t evalf(enum ir_op op, enum ir_type type, unsigned aux, int64_t imm, uint64_t a,
                      uint64_t b, uint32_t *flags)
{
    struct ir_insn in = {.op = (uint8_t)op, .type = (uint8_t)type, .aux = (uint8_t)aux, .imm = imm};
    *flags = 0;
    return ir_eval(&in, a, b, 0, 0, flags);
}

static void float_special_cases(void **state)
{
    const uint64_t one = UINT64_C(0x3ff0000000000000), minus_zero = UINT64_C(1) << 63;
    const uint64_t nan64 = UINT64_C(0x7ff8000000000000), high = UINT64_C(0xffffffff00000000);
    static const struct {
        uint8_t op, type, aux;
        int64_t imm;
        uint64_t a, b, want;
        uint32_t flags;
    } cases[] = {
        {IR_FMIN, IR_F64, 0, 0, UINT64_C(1) << 63, 0, UINT64_C(1) << 63, 0},
        {IR_FMAX, IR_F64, 0, 0, UINT64_C(1) << 63, 0, 0, 0},
        {IR_FMAX, IR_F32, 0, 0, 0x7fc00000, 0x3f800000, 0x3f800000, 0},
        {IR_FMIN, IR_F32, 0, 0, 0x7f800001, 0x3f800000, 0x3f800000, IR_FP_NV},
        {IR_FEQ, IR_F32, 0, 0, 0x7fc00000, 0, 0, 0},
        {IR_FLT, IR_F32, 0, 0, 0x7fc00000, 0, 0, IR_FP_NV},
        {IR_FCLASS, IR_F32, 0, 0, 0xff800000, 0, 1, 0},
        {IR_FCLASS, IR_F32, 0, 0, 0x7f800001, 0, 256, 0},
        {IR_FCLASS, IR_F64, 0, 0, 1, 0, 32, 0},
        {IR_FSGNJ, IR_F32, 0, 0, 0x3f800000, 0x80000000, 0xbf800000, 0},
        {IR_FSGNJ, IR_F32, 1, 0, 0x3f800000, 0x80000000, 0x3f800000, 0},
        {IR_FSGNJ, IR_F32, 2, 0, 0xbf800000, 0x80000000, 0x3f800000, 0},
        /* 2.5 in each mode */
        {IR_F2I, IR_F32, IR_RNE, IR_INT_W, 0x40200000, 0, 2, IR_FP_NX},
        {IR_F2I, IR_F32, IR_RTZ, IR_INT_L, 0x40200000, 0, 2, IR_FP_NX},
        {IR_F2I, IR_F32, IR_RUP, IR_INT_LU, 0x40200000, 0, 3, IR_FP_NX},
        {IR_F2I, IR_F32, IR_RMM, IR_INT_WU, 0x40200000, 0, 3, IR_FP_NX},
        /* saturation; 32-bit unsigned results come sign-extended */
        {IR_F2I, IR_F32, IR_RTZ, IR_INT_WU, 0x4f7fffff, 0, UINT64_C(0xffffffffffffff00), 0},
        {IR_F2I, IR_F32, IR_RTZ, IR_INT_W, 0x4f000000, 0, 0x7fffffff, IR_FP_NV},
        {IR_F2I, IR_F32, IR_RTZ, IR_INT_LU, 0xbf800000, 0, 0, IR_FP_NV},
        {IR_F2I, IR_F32, IR_RTZ, IR_INT_WU, 0x7fc00000, 0, UINT64_MAX, IR_FP_NV},
        {IR_F2I, IR_F64, IR_RTZ, IR_INT_L, UINT64_C(0xc3e0000000000000), 0, UINT64_C(1) << 63, 0},
        {IR_I2F, IR_F64, IR_RNE, IR_INT_LU, UINT64_MAX, 0, UINT64_C(0x43f0000000000000), IR_FP_NX},
        {IR_I2F, IR_F32, IR_RTZ, IR_INT_LU, UINT64_MAX, 0, 0x5f7fffff, IR_FP_NX},
        {IR_FADD, IR_F32, IR_RMM, 0, 0x4b800000, 0x3f800000, 0x4b800001, IR_FP_NX},
        {IR_FDIV, IR_F64, IR_RNE, 0, UINT64_C(0x3ff0000000000000), 0, UINT64_C(0x7ff0000000000000),
         IR_FP_DZ},
    };
    uint32_t flags;
    (void)state;
    for (unsigned i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        uint64_t got = evalf((enum ir_op)cases[i].op, (enum ir_type)cases[i].type, cases[i].aux,
                             cases[i].imm, cases[i].a, cases[i].b, &flags);
        if (got != cases[i].want || flags != cases[i].flags)
            fail_msg("case %u: %#lx flags %x", i, (long)got, flags);
    }
    assert_true(evalf(IR_BOX, IR_F64, 0, 0, 0x12345678, 0, &flags) == (high | 0x12345678));
    assert_true(evalf(IR_UNBOX, IR_F32, 0, 0, high | 5, 0, &flags) == 5);
    assert_true(evalf(IR_UNBOX, IR_F32, 0, 0, one, 0, &flags) == 0x7fc00000);
    assert_true(evalf(IR_FBITS, IR_F32, 0, 0, high | 5, 0, &flags) == 5);
    assert_true(evalf(IR_BITSF, IR_F32, 0, 0, high | 5, 0, &flags) == 5);
    assert_true(evalf(IR_FBITS, IR_F64, 0, 0, high | 5, 0, &flags) == (high | 5));
    assert_true(evalf(IR_FSQRT, IR_F64, 0, 0, minus_zero, 0, &flags) == minus_zero && !flags);
    assert_true(evalf(IR_FSQRT, IR_F64, 0, 0, one | minus_zero, 0, &flags) == nan64);
    assert_int_equal(flags, IR_FP_NV);
}

/* What the rows of ir.h are said to have in common. */
static void rows_of_operations_are_of_one_kind(void **state)
{
    for (unsigned op = IR_ADD; op <= IR_ROTR; op++)
        assert_true(ir_op_info[op].args == 2 && ir_op_info[op].result == 'I' &&
                    !(ir_op_info[op].flags & ~IRF_COMM));
    for (unsigned op = IR_SEXT8; op <= IR_ZEXT32; op++)
        assert_true(ir_op_info[op].args == 1 && strstr(ir_op_info[op].text, "ext"));
    for (unsigned op = IR_CONST; op <= IR_SELECT; op++)
        assert_false(ir_op_info[op].flags & ~(op == IR_PUT ? IRF_SIDE : IRF_COMM));
    for (unsigned op = 0; op < IR_OP_COUNT; op++) {
        assert_true(ir_is_float_op(op) ||
                    !(ir_op_info[op].flags & IRF_FP || ir_op_info[op].result == 'F'));
        if (ir_is_arith(op))
            assert_true(ir_op_info[op].flags == IRF_FP && ir_op_info[op].result == 'F');
        if (ir_compares_floats(op))
            assert_true(ir_op_info[op].flags == IRF_FP && ir_op_info[op].result == 'I');
    }
}

static void flags_are_ored(void **state)
{
    struct ir_insn in = {.op = IR_FADD, .type = IR_F64};
    uint32_t flags = IR_FP_OF | IR_FP_UF;
    (void)state;
    ir_eval(&in, UINT64_C(0x3ff0000000000000), 1, 0, 0, &flags);
    assert_int_equal(flags, IR_FP_OF | IR_FP_UF | IR_FP_NX);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(integers_match_schoolbook),
        cmocka_unit_test(division_corners_are_defined),
        cmocka_unit_test(extensions_take_low_bits),
        cmocka_unit_test(conditions_and_their_negations),
        cmocka_unit_test(floats_match_the_host),
        cmocka_unit_test(float_special_cases),
        cmocka_unit_test(rows_of_operations_are_of_one_kind),
        cmocka_unit_test(flags_are_ored),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
