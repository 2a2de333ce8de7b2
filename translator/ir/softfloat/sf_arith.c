/*
 * add, sub, mul, div, sqrt and fma: each once, on unpacked numbers, for both formats.
 * IEEE 754-2019, 5.4.1 (operations), 6.3 (sign of a zero), 7.2 and 7.3 (invalid, division by zero).
 */
#include "translator/ir/softfloat/sf_core.h"

/* A finite, nonzero number with room for an exact product: leading one at bit 126 of sig, value
 * sig * 2^(exp - 126). Bit 127 takes the carry of a sum. */
struct wide {
    sf_u128 sig;
    int exp;
    bool sign;
};

static inline struct wide widen(struct sf_num a)
{
    return (struct wide){.sig = (sf_u128)a.sig << 63, .exp = a.exp, .sign = a.sign};
}

/* Bring the leading one, wherever it is, to bit 63 of a number; sig is not 0. */
static inline struct sf_num narrow(struct wide w)
{
    uint64_t high = (uint64_t)(w.sig >> 64);
    uint64_t low = (uint64_t)w.sig;
    int lead = high != 0 ? __builtin_clzll(high) : 64 + __builtin_clzll(low);
    sf_u128 sig = w.sig << lead;

    return (struct sf_num){.kind = SF_FINITE,
                           .sign = w.sign,
                           .exp = w.exp + 1 - lead,
                           .sig = (uint64_t)(sig >> 64) | ((uint64_t)sig != 0)};
}

static inline struct sf_num exact_zero_sum(unsigned mode)
{
    return sf_special(SF_ZERO, sf_rounding(mode) == SF_RDN);
}

/*
 * The sum of two finite, nonzero numbers. An operand has at most 106 significant bits at the top of
 * its 127 (a product of two 53-bit significands), so a shift by up to 21 loses nothing. After a
 * longer one the difference keeps its leading one at bit 125 or higher, so the sticky bit stays far
 * below the rounding bit: jamming before the subtraction is exact for rounding.
 */
static inline struct sf_num add_wide(struct wide a, struct wide b, unsigned mode)
{
    if (a.exp < b.exp || (a.exp == b.exp && a.sig < b.sig)) {
        struct wide t = a;
        a = b;
        b = t;
    }
    b.sig = sf_jam128(b.sig, a.exp - b.exp);
    if (a.sign == b.sign)
        a.sig += b.sig;
    else
        a.sig -= b.sig;
    if (a.sig == 0)
        return exact_zero_sum(mode);
    return narrow(a);
}

/* a + b where not both are finite and nonzero. */
static struct sf_num add_special(struct sf_num a, struct sf_num b, unsigned mode, uint32_t *fl)
{
    if (sf_is_nan(a) || sf_is_nan(b))
        return sf_nan_result(a, b, fl);
    if (a.kind == SF_INF && b.kind == SF_INF && a.sign != b.sign)
        return sf_invalid(fl);
    if (a.kind == SF_INF || b.kind == SF_INF)
        return a.kind == SF_INF ? a : b;
    if (a.kind == SF_ZERO && b.kind == SF_ZERO)
        return a.sign == b.sign ? a : exact_zero_sum(mode);
    return a.kind == SF_ZERO ? b : a;
}

static inline struct sf_num add(struct sf_num a, struct sf_num b, unsigned mode, uint32_t *fl)
{
    if (a.kind != SF_FINITE || b.kind != SF_FINITE)
        return add_special(a, b, mode, fl);
    return add_wide(widen(a), widen(b), mode);
}

/* The exact product of two finite, nonzero numbers. */
static inline struct wide mul_wide(struct sf_num a, struct sf_num b)
{
    sf_u128 sig = (sf_u128)a.sig * b.sig;
    int carry = (int)(sig >> 127);

    /* At least 22 low bits are zero, so the shift is exact. */
    return (struct wide){
        .sig = sig >> carry, .exp = a.exp + b.exp + carry, .sign = a.sign != b.sign};
}

/* a * b where not both are finite and nonzero. */
static struct sf_num mul_special(struct sf_num a, struct sf_num b, uint32_t *fl)
{
    bool sign = a.sign != b.sign;

    if (sf_is_nan(a) || sf_is_nan(b))
        return sf_nan_result(a, b, fl);
    if (a.kind == SF_INF || b.kind == SF_INF) {
        if (a.kind == SF_ZERO || b.kind == SF_ZERO)
            return sf_invalid(fl);
        return sf_special(SF_INF, sign);
    }
    return sf_special(SF_ZERO, sign);
}

static inline struct sf_num mul(struct sf_num a, struct sf_num b, uint32_t *fl)
{
    if (a.kind != SF_FINITE || b.kind != SF_FINITE)
        return mul_special(a, b, fl);
    return narrow(mul_wide(a, b));
}

/* a * b + c where not all three are finite and nonzero: the product is made first, which raises
 * SF_NV for inf * 0 whatever c is, and is exact, being special or to be added to one. */
static struct sf_num fma_special(struct sf_num a, struct sf_num b, struct sf_num c, unsigned mode,
                                 uint32_t *fl)
{
    if (a.kind == SF_FINITE && b.kind == SF_FINITE && c.kind == SF_ZERO)
        return narrow(mul_wide(a, b));
    return add(mul(a, b, fl), c, mode, fl);
}

static inline struct sf_num fma_num(struct sf_num a, struct sf_num b, struct sf_num c,
                                    unsigned mode, uint32_t *fl)
{
    if (a.kind != SF_FINITE || b.kind != SF_FINITE || c.kind != SF_FINITE)
        return fma_special(a, b, c, mode, fl);
    return add_wide(mul_wide(a, b), widen(c), mode);
}

/* a / b where not both are finite and nonzero. */
static struct sf_num div_special(struct sf_num a, struct sf_num b, uint32_t *fl)
{
    bool sign = a.sign != b.sign;

    if (sf_is_nan(a) || sf_is_nan(b))
        return sf_nan_result(a, b, fl);
    if (a.kind == b.kind)
        return sf_invalid(fl); /* inf / inf, 0 / 0 */
    if (a.kind == SF_INF)
        return sf_special(SF_INF, sign);
    if (b.kind == SF_ZERO) {
        *fl |= SF_DZ;
        return sf_special(SF_INF, sign);
    }
    return sf_special(SF_ZERO, sign); /* 0 / finite, finite / inf */
}

static inline struct sf_num div_num(struct sf_num a, struct sf_num b, uint32_t *fl)
{
    if (a.kind != SF_FINITE || b.kind != SF_FINITE)
        return div_special(a, b, fl);

    /* Both significands lie in [2^63, 2^64): pick the shift that puts the quotient there too. */
    int less = a.sig < b.sig;
    sf_u128 dividend = (sf_u128)a.sig << (63 + less);
    uint64_t quotient = (uint64_t)(dividend / b.sig);
    uint64_t rest = (uint64_t)dividend - quotient * b.sig;

    return (struct sf_num){.kind = SF_FINITE,
                           .sign = a.sign != b.sign,
                           .exp = a.exp - b.exp - less,
                           .sig = quotient | (rest != 0)};
}

/* Floor of the root of n, digit by digit; n is in [2^14, 2^16). */
static inline uint32_t root16(uint32_t n)
{
    uint32_t root = 0;

    for (uint32_t bit = 1u << 7; bit != 0; bit >>= 1) {
        if ((root + bit) * (root + bit) <= n)
            root += bit;
    }
    return root;
}

/*
 * One step of the square root by halves (schoolbook long division with "digits" of k bits): from
 * s = floor(sqrt(h)) and r = h - s^2, the root of n = h * 2^2k + next, where next has 2k bits.
 * With n = (s * 2^k + q)^2 + rest, q is about (r * 2^k + next >> k) / 2s; that is never too small,
 * and at most one too large since h's top quarter is not empty. Here 2s is divided as s, with the
 * dividend's last bit kept aside, so that everything but the last rest fits 64 bits.
 */
static inline uint64_t root_step(uint64_t s, uint64_t r, uint64_t next, int k, sf_u128 *rest)
{
    uint64_t digit = (uint64_t)1 << k;
    uint64_t top = next >> k;
    uint64_t half = r << (k - 1) | top >> 1;
    uint64_t q = half / s;
    uint64_t left = (half - q * s) << 1 | (top & 1);
    sf_u128 root = ((sf_u128)s << k) + q;
    sf_i128 diff =
        (sf_i128)(((sf_u128)left << k) + (next & (digit - 1))) - (sf_i128)((sf_u128)q * q);

    if (diff < 0) {
        diff += (sf_i128)(2 * root - 1);
        root -= 1;
    }
    *rest = (sf_u128)diff;
    return (uint64_t)root;
}

/* Floor of the root of n, which is in [2^126, 2^128); *exact says whether it is the root. */
static inline uint64_t root128(sf_u128 n, bool *exact)
{
    uint64_t high = (uint64_t)(n >> 64);
    sf_u128 rest;
    uint64_t s = root16((uint32_t)(high >> 48));
    uint64_t r = (high >> 48) - s * s;

    s = root_step(s, r, high >> 32 & 0xffff, 8, &rest);
    s = root_step(s, (uint64_t)rest, high & 0xffffffff, 16, &rest);
    s = root_step(s, (uint64_t)rest, (uint64_t)n, 32, &rest);
    *exact = rest == 0;
    return s;
}

static inline struct sf_num sqrt_num(struct sf_num a, uint32_t *fl)
{
    bool exact;

    if (sf_is_nan(a))
        return sf_nan_result(a, a, fl);
    if (a.kind == SF_ZERO) /* the root of -0 is -0 */
        return a;
    if (a.sign)
        return sf_invalid(fl);
    if (a.kind == SF_INF)
        return a;

    /* An even exponent halves: sig * 2^(exp - 63) = n * 2^(even - 126), n in [2^126, 2^128). */
    int odd = a.exp & 1;
    uint64_t root = root128((sf_u128)a.sig << (63 + odd), &exact);
    return (struct sf_num){.kind = SF_FINITE, .exp = (a.exp - odd) / 2, .sig = root | !exact};
}

/* The result of an operation with operands a and b. */
static inline uint64_t pack_of(struct sf_format f, struct sf_num r, uint64_t a, uint64_t b,
                               unsigned mode, uint32_t *fl)
{
    return sf_is_nan(r) ? sf_nan_of(f, a, b, 0, mode) : sf_pack(f, r, mode, fl);
}

/* The NaN that a * b + c is, where that raised flags. */
static uint64_t fma_nan(struct sf_format f, uint64_t a, uint64_t b, uint64_t c, unsigned mode,
                        uint32_t *raised)
{
    enum sf_kind kind[] = {sf_unpack(f, a).kind, sf_unpack(f, b).kind, sf_unpack(f, c).kind};
    bool signaling = kind[0] == SF_SNAN || kind[1] == SF_SNAN || kind[2] == SF_SNAN;

    if (mode & SF_NAN_FIRST) {
        if (kind[2] == SF_QNAN && !signaling) /* it hides inf * 0 */
            *raised = 0;
        return sf_nan_of(f, a, b, c, mode);
    }
    if (kind[2] == SF_QNAN && *raised && !signaling) /* inf * 0 */
        return sf_nan_of(f, 0, 0, 0, mode);
    return sf_nan_of(f, c, a, b, mode);
}

uint64_t sf_add64(uint64_t a, uint64_t b, unsigned mode, uint32_t *fl)
{
    struct sf_num r = add(sf_unpack(sf_binary64, a), sf_unpack(sf_binary64, b), mode, fl);
    return pack_of(sf_binary64, r, a, b, mode, fl);
}

uint64_t sf_sub64(uint64_t a, uint64_t b, unsigned mode, uint32_t *fl)
{
    struct sf_num minus_b = sf_unpack(sf_binary64, b ^ UINT64_C(1) << 63);
    struct sf_num r = add(sf_unpack(sf_binary64, a), minus_b, mode, fl);
    return pack_of(sf_binary64, r, a, b, mode, fl);
}

uint64_t sf_mul64(uint64_t a, uint64_t b, unsigned mode, uint32_t *fl)
{
    struct sf_num r = mul(sf_unpack(sf_binary64, a), sf_unpack(sf_binary64, b), fl);
    return pack_of(sf_binary64, r, a, b, mode, fl);
}

uint64_t sf_div64(uint64_t a, uint64_t b, unsigned mode, uint32_t *fl)
{
    struct sf_num r = div_num(sf_unpack(sf_binary64, a), sf_unpack(sf_binary64, b), fl);
    return pack_of(sf_binary64, r, a, b, mode, fl);
}

uint64_t sf_sqrt64(uint64_t a, unsigned mode, uint32_t *fl)
{
    return pack_of(sf_binary64, sqrt_num(sf_unpack(sf_binary64, a), fl), a, 0, mode, fl);
}

uint64_t sf_fma64(uint64_t a, uint64_t b, uint64_t c, unsigned mode, uint32_t *fl)
{
    uint32_t raised = 0;
    struct sf_num r = fma_num(sf_unpack(sf_binary64, a), sf_unpack(sf_binary64, b),
                              sf_unpack(sf_binary64, c), mode, &raised);
    uint64_t bits = sf_is_nan(r) ? fma_nan(sf_binary64, a, b, c, mode, &raised)
                                 : sf_pack(sf_binary64, r, mode, &raised);
    *fl |= raised;
    return bits;
}

uint32_t sf_add32(uint32_t a, uint32_t b, unsigned mode, uint32_t *fl)
{
    struct sf_num r = add(sf_unpack(sf_binary32, a), sf_unpack(sf_binary32, b), mode, fl);
    return (uint32_t)pack_of(sf_binary32, r, a, b, mode, fl);
}

uint32_t sf_sub32(uint32_t a, uint32_t b, unsigned mode, uint32_t *fl)
{
    struct sf_num minus_b = sf_unpack(sf_binary32, b ^ UINT32_C(1) << 31);
    struct sf_num r = add(sf_unpack(sf_binary32, a), minus_b, mode, fl);
    return (uint32_t)pack_of(sf_binary32, r, a, b, mode, fl);
}

uint32_t sf_mul32(uint32_t a, uint32_t b, unsigned mode, uint32_t *fl)
{
    struct sf_num r = mul(sf_unpack(sf_binary32, a), sf_unpack(sf_binary32, b), fl);
    return (uint32_t)pack_of(sf_binary32, r, a, b, mode, fl);
}

uint32_t sf_div32(uint32_t a, uint32_t b, unsigned mode, uint32_t *fl)
{
    struct sf_num r = div_num(sf_unpack(sf_binary32, a), sf_unpack(sf_binary32, b), fl);
    return (uint32_t)pack_of(sf_binary32, r, a, b, mode, fl);
}

uint32_t sf_sqrt32(uint32_t a, unsigned mode, uint32_t *fl)
{
    return (uint32_t)pack_of(sf_binary32, sqrt_num(sf_unpack(sf_binary32, a), fl), a, 0, mode, fl);
}

uint32_t sf_fma32(uint32_t a, uint32_t b, uint32_t c, unsigned mode, uint32_t *fl)
{
    uint32_t raised = 0;
    struct sf_num r = fma_num(sf_unpack(sf_binary32, a), sf_unpack(sf_binary32, b),
                              sf_unpack(sf_binary32, c), mode, &raised);
    uint64_t bits = sf_is_nan(r) ? fma_nan(sf_binary32, a, b, c, mode, &raised)
                                 : sf_pack(sf_binary32, r, mode, &raised);
    *fl |= raised;
    return (uint32_t)bits;
}
