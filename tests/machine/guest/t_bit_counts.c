/*
 * Zba, Zbb and Zbs against loops of plain instructions, and fused multiply-adds that a rounding
 * between would spoil: what a host without BMI, LZCNT or FMA has to do by other means.
 */
#include "guest.h"

#define OP(name, text) SNIPPET(op_##name, ".option arch, +zba, +zbb, +zbs\n" text "\necall")
OP(clz, "clz a0, a1");
OP(clzw, "clzw a0, a1");
OP(ctz, "ctz a0, a1");
OP(ctzw, "ctzw a0, a1");
OP(cpop, "cpop a0, a1");
OP(cpopw, "cpopw a0, a1");
OP(rev8, "rev8 a0, a1");
OP(orcb, "orc.b a0, a1");
OP(sextb, "sext.b a0, a1");
OP(sexth, "sext.h a0, a1");
OP(zexth, "zext.h a0, a1");
OP(andn, "andn a0, a1, a2");
OP(orn, "orn a0, a1, a2");
OP(xnor, "xnor a0, a1, a2");
OP(min, "min a0, a1, a2");
OP(max, "max a0, a1, a2");
OP(minu, "minu a0, a1, a2");
OP(maxu, "maxu a0, a1, a2");
OP(rol, "rol a0, a1, a2");
OP(ror, "ror a0, a1, a2");
OP(rolw, "rolw a0, a1, a2");
OP(rorw, "rorw a0, a1, a2");
OP(sh1add, "sh1add a0, a1, a2");
OP(sh2add, "sh2add a0, a1, a2");
OP(sh3add, "sh3add a0, a1, a2");
OP(adduw, "add.uw a0, a1, a2");
OP(sh1adduw, "sh1add.uw a0, a1, a2");
OP(slliuw, "slli.uw a0, a1, 13");
OP(bclr, "bclr a0, a1, a2");
OP(bext, "bext a0, a1, a2");
OP(binv, "binv a0, a1, a2");
OP(bset, "bset a0, a1, a2");
OP(sll, "sll a0, a1, a2");
OP(srl, "srl a0, a1, a2");
OP(sra, "sra a0, a1, a2");
OP(sllw, "sllw a0, a1, a2");
OP(sraw, "sraw a0, a1, a2");
OP(mulhu, "mulhu a0, a1, a2");
OP(mulh, "mulh a0, a1, a2");

static struct ctx c;

static uint64_t sext(uint64_t v, unsigned bits)
{
    uint64_t sign = BIT(bits - 1);
    v &= sign | (sign - 1);
    return (v ^ sign) - sign;
}

static uint64_t count(uint64_t v, unsigned bits, int what) /* -1: leading, 1: trailing, 0: ones */
{
    uint64_t n = 0;
    for (unsigned i = 0; i < bits; i++) {
        bool one = v >> (what < 0 ? bits - 1 - i : i) & 1;
        if (what && one)
            return n;
        n += what ? 1 : one;
    }
    return n;
}

static uint64_t rotated(uint64_t v, unsigned by, unsigned bits)
{
    uint64_t out = 0;
    for (unsigned i = 0; i < bits; i++)
        out |= (v >> ((i + bits - by % bits) % bits) & 1) << i;
    return out;
}

static uint64_t by_byte(uint64_t v, bool reverse)
{
    uint64_t out = 0;
    for (unsigned i = 0; i < 8; i++) {
        uint64_t b = v >> (8 * i) & 255;
        out |= reverse ? b << (56 - 8 * i) : (b ? UINT64_C(255) : 0) << (8 * i);
    }
    return out;
}

/* The upper half of a product, by halves. */
static uint64_t high_product(uint64_t a, uint64_t b)
{
    uint64_t al = (uint32_t)a, ah = a >> 32, bl = (uint32_t)b, bh = b >> 32;
    uint64_t mid = ah * bl + (al * bl >> 32);
    uint64_t mid2 = al * bh + (uint32_t)mid;
    return ah * bh + (mid >> 32) + (mid2 >> 32);
}

static void is(char *code, uint64_t a, uint64_t b, uint64_t want)
{
    guest_note("code", addr(code));
    guest_note("a", a);
    guest_note("b", b);
    run4(&c, PRIV_U, addr(code), 0, a, b, 0);
    CHECK_EQ(c.cause, CAUSE_ECALL_U);
    CHECK_EQ(c.x[10], want);
}

static void one_operand(uint64_t a)
{
    is(op_clz, a, 0, count(a, 64, -1));
    is(op_clzw, a, 0, count(a, 32, -1));
    is(op_ctz, a, 0, count(a, 64, 1));
    is(op_ctzw, a, 0, count(a, 32, 1));
    is(op_cpop, a, 0, count(a, 64, 0));
    is(op_cpopw, a, 0, count(a, 32, 0));
    is(op_rev8, a, 0, by_byte(a, true));
    is(op_orcb, a, 0, by_byte(a, false));
    is(op_sextb, a, 0, sext(a, 8));
    is(op_sexth, a, 0, sext(a, 16));
    is(op_zexth, a, 0, a & 0xffff);
    is(op_slliuw, a, 0, (a & UINT32_MAX) << 13);
}

static void two_operands(uint64_t a, uint64_t b)
{
    unsigned n = b & 63, w = b & 31;
    is(op_andn, a, b, a & ~b);
    is(op_orn, a, b, a | ~b);
    is(op_xnor, a, b, ~(a ^ b));
    is(op_min, a, b, (int64_t)a < (int64_t)b ? a : b);
    is(op_max, a, b, (int64_t)a > (int64_t)b ? a : b);
    is(op_minu, a, b, a < b ? a : b);
    is(op_maxu, a, b, a > b ? a : b);
    is(op_rol, a, b, rotated(a, n, 64));
    is(op_ror, a, b, rotated(a, 64 - n, 64));
    is(op_rolw, a, b, sext(rotated(a & UINT32_MAX, w, 32), 32));
    is(op_rorw, a, b, sext(rotated(a & UINT32_MAX, 32 - w, 32), 32));
    is(op_sh1add, a, b, a * 2 + b);
    is(op_sh2add, a, b, a * 4 + b);
    is(op_sh3add, a, b, a * 8 + b);
    is(op_adduw, a, b, (a & UINT32_MAX) + b);
    is(op_sh1adduw, a, b, (a & UINT32_MAX) * 2 + b);
    is(op_bclr, a, b, a & ~BIT(n));
    is(op_bext, a, b, a >> n & 1);
    is(op_binv, a, b, a ^ BIT(n));
    is(op_bset, a, b, a | BIT(n));
    is(op_sll, a, b, a * BIT(n));
    is(op_srl, a, b, n ? a / 2 / BIT(n - 1) : a);
    is(op_sra, a, b, a >> 63 ? ~(~a >> n) : a >> n);
    is(op_sllw, a, b, sext(a * BIT(w), 32));
    is(op_sraw, a, b, sext(sext(a, 32) >> w, 64 - w));
    is(op_mulhu, a, b, high_product(a, b));
    is(op_mulh, a, b, high_product(a, b) - (a >> 63 ? b : 0) - (b >> 63 ? a : 0));
}

/* fa0 = a1, fa1 = a2, fa2 = a3; result and flags in a0 and a4. */
#define FP(name, text)                                                                             \
    SNIPPET(fp_##name, "fmv.d.x fa0, a1\nfmv.d.x fa1, a2\nfmv.d.x fa2, a3\ncsrwi fflags, 0\n" text \
                       "\nfmv.x.d a0, fa0\ncsrr a4, fflags\necall")
FP(fmadd, "fmadd.d fa0, fa0, fa1, fa2");
FP(fmsub, "fmsub.d fa0, fa0, fa1, fa2");
FP(fnmadd, "fnmadd.d fa0, fa0, fa1, fa2");
FP(fnmsub, "fnmsub.d fa0, fa0, fa1, fa2");
FP(fmadds, "fmadd.s fa0, fa0, fa1, fa2");
FP(fcvtw, "fcvt.w.d a0, fa0, rup\nfmv.d.x fa0, a0");
FP(fcvtlu, "fcvt.lu.d a0, fa0, rtz\nfmv.d.x fa0, a0");
FP(fcvtdlu, "fcvt.d.lu fa0, a1");

enum { NX = 1, UF = 2, OF = 4, NV = 16 };

static void fp(char *code, uint64_t a, uint64_t b, uint64_t d, uint64_t want, uint64_t flags)
{
    guest_note("code", addr(code));
    guest_note("a", a);
    guest_note("b", b);
    c.set = MSTATUS_FS;
    run4(&c, PRIV_U, addr(code), 0, a, b, d);
    CHECK_EQ(c.cause, CAUSE_ECALL_U);
    CHECK_EQ(c.x[10], want);
    CHECK_EQ(c.x[14], flags);
}

static void floating(void)
{
    const uint64_t one = UINT64_C(0x3ff0000000000000), sign = BIT(63);
    /* (1 + u)(1 - u) - 1 = -u^2, exactly; two roundings would give 0. u = 2^-52 */
    fp(fp_fmadd, one + 1, one - 2, one | sign, UINT64_C(0xb970000000000000), 0);
    fp(fp_fmsub, one + 1, one - 2, one, UINT64_C(0xb970000000000000), 0);
    fp(fp_fnmadd, one + 1, one - 2, one | sign, UINT64_C(0x3970000000000000), 0);
    fp(fp_fnmsub, one + 1, one - 2, one, UINT64_C(0x3970000000000000), 0);
    fp(fp_fmadd, one, one, one, UINT64_C(0x4000000000000000), 0);
    /* 0 x infinity is invalid, whatever is added. */
    fp(fp_fmadd, 0, UINT64_C(0x7ff0000000000000), one, UINT64_C(0x7ff8000000000000), NV);
    fp(fp_fmadd, UINT64_C(0x7fefffffffffffff), UINT64_C(0x4000000000000000), 0,
       UINT64_C(0x7ff0000000000000), OF | NX);
    fp(fp_fmadd, 1, 1, 0, 0, UF | NX);
    fp(fp_fmadds, UINT64_C(0xffffffff3f800001), UINT64_C(0xffffffff3f7ffffe),
       UINT64_C(0xffffffffbf800000), UINT64_C(0xffffffffa8800000), 0);
    fp(fp_fmadds, UINT64_C(0xffffffff3f800001), UINT64_C(0xffffffff3f800001),
       UINT64_C(0xffffffffbf800000), UINT64_C(0xffffffff34800000), NX);
    fp(fp_fmadds, 0x3f800001, UINT64_C(0xffffffff3f800001), UINT64_C(0xffffffffbf800000),
       UINT64_C(0xffffffff7fc00000), 0); /* a badly boxed one is a NaN */
    fp(fp_fcvtw, UINT64_C(0x3ff0000000000001), 0, 0, 2, NX);
    fp(fp_fcvtw, UINT64_C(0x41e0000000000000), 0, 0, 0x7fffffff, NV);
    fp(fp_fcvtlu, UINT64_C(0x43efffffffffffff), 0, 0, UINT64_C(0xfffffffffffff800), 0);
    fp(fp_fcvtlu, UINT64_C(0xbff0000000000000), 0, 0, 0, NV);
    fp(fp_fcvtlu, UINT64_C(0xbfe0000000000000), 0, 0, 0, NX);
    fp(fp_fcvtdlu, ALL_ONES, 0, 0, UINT64_C(0x43f0000000000000), NX);
    fp(fp_fcvtdlu, BIT(63), 0, 0, UINT64_C(0x43e0000000000000), 0);
}

void guest_main(void)
{
    static const uint64_t fixed[] = {0, 1, ALL_ONES, BIT(63), BIT(31), 0x80, UINT32_MAX, BIT(32)};
    enum { FIXED = sizeof fixed / sizeof fixed[0] };
    uint64_t a = UINT64_C(0x9e3779b97f4a7c15), b = 1;
    for (unsigned i = 0; i < FIXED; i++) {
        one_operand(fixed[i]);
        for (unsigned k = 0; k < FIXED; k++)
            two_operands(fixed[i], fixed[k]);
    }
    for (unsigned i = 0; i < 64; i++) {
        one_operand(BIT(i));
        two_operands(a, i);
        one_operand(a >> i);
        two_operands(a >> i, b);
        b = a * (i + 3) ^ b >> 7;
        a = a * UINT64_C(6364136223846793005) + 1442695040888963407;
    }
    floating();
}
