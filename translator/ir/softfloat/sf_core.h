/*
 * The inside of the soft-float: numbers taken apart, and the one place where rounding happens.
 *
 * Model: an operand of either format is unpacked to a struct sf_num; operations work on those alone
 * and know no format; the result is rounded and packed into the format that is asked for.
 *
 * Invariants
 *   1. A finite, nonzero sf_num has its leading one at bit 63 of sig, subnormals too. Its value is
 *      sig * 2^(exp - 63).
 *   2. Bit 0 of an operation's sig is sticky ("jammed"): set if anything nonzero was below it. At
 *      least 64 - 53 = 11 bits lie below the last kept one, so it is never the rounding bit.
 *   3. A NaN has lost its payload: which one a result is, whoever has the operands' bits says in the
 *      end (sf_nan.c).
 *   4. exp stays below 2^12 - 1023 (max / smallest subnormal of binary64 has 2097): an exponent
 *      out of range still fits above the fraction, where rounding compares it with infinity's.
 */
#ifndef TRANSLATOR_SF_CORE_H
#define TRANSLATOR_SF_CORE_H

#include <stdbool.h>
#include <stdint.h>

#include "translator/ir/softfloat/softfloat.h"

__extension__ typedef unsigned __int128 sf_u128;
__extension__ typedef __int128 sf_i128;

enum sf_kind { SF_ZERO, SF_FINITE, SF_INF, SF_QNAN, SF_SNAN };

struct sf_num {
    uint64_t sig;
    int exp;
    enum sf_kind kind;
    bool sign;
};

/* A format, always passed as a constant so that the code below folds for each of them. */
struct sf_format {
    int width; /* bits in all */
    int prec;  /* bits of the significand, the hidden one included */
    int bias;  /* of the exponent; also the largest exponent */
};

static const struct sf_format sf_binary16 = {.width = 16, .prec = 11, .bias = 15};
static const struct sf_format sf_binary32 = {.width = 32, .prec = 24, .bias = 127};
static const struct sf_format sf_binary64 = {.width = 64, .prec = 53, .bias = 1023};

static inline struct sf_num sf_special(enum sf_kind kind, bool sign)
{
    return (struct sf_num){.kind = kind, .sign = sign};
}

static inline enum sf_round sf_rounding(unsigned mode)
{
    return (enum sf_round)(mode & 0xff);
}

static inline struct sf_num sf_invalid(uint32_t *fl)
{
    *fl |= SF_NV;
    return sf_special(SF_QNAN, false);
}

static inline bool sf_is_nan(struct sf_num a)
{
    return a.kind >= SF_QNAN;
}

/* The result of an operation of which at least one operand is a NaN. */
static inline struct sf_num sf_nan_result(struct sf_num a, struct sf_num b, uint32_t *fl)
{
    if (a.kind == SF_SNAN || b.kind == SF_SNAN)
        *fl |= SF_NV;
    return sf_special(SF_QNAN, false);
}

/* Shift right by n >= 0; what falls out sets bit 0. */
static inline uint64_t sf_jam64(uint64_t v, int n)
{
    if (n == 0)
        return v;
    if (n > 63)
        return v != 0;
    return v >> n | ((v << (64 - n)) != 0);
}

static inline sf_u128 sf_jam128(sf_u128 v, int n)
{
    if (n == 0)
        return v;
    if (n > 127)
        return v != 0;
    return v >> n | ((v << (128 - n)) != 0);
}

static inline struct sf_num sf_unpack(struct sf_format f, uint64_t bits)
{
    int frac_bits = f.prec - 1;
    int exp_max = 2 * f.bias + 1;
    uint64_t frac = bits & ((UINT64_C(1) << frac_bits) - 1);
    int biased = (int)(bits >> frac_bits) & exp_max;
    bool sign = bits >> (f.width - 1) & 1;

    if (biased == exp_max) {
        if (frac == 0)
            return sf_special(SF_INF, sign);
        return sf_special(frac >> (frac_bits - 1) ? SF_QNAN : SF_SNAN, sign);
    }
    if (biased == 0) {
        if (frac == 0)
            return sf_special(SF_ZERO, sign);
        int lead = __builtin_clzll(frac);
        return (struct sf_num){.kind = SF_FINITE,
                               .sign = sign,
                               .exp = 1 - f.bias - frac_bits + 63 - lead,
                               .sig = frac << lead};
    }
    return (struct sf_num){.kind = SF_FINITE,
                           .sign = sign,
                           .exp = biased - f.bias,
                           .sig = (frac | UINT64_C(1) << frac_bits) << (64 - f.prec)};
}

/* Whether the magnitude goes up, from what was cut off: `rest`, where `half` is half a unit. */
static inline bool sf_round_up(enum sf_round rm, bool sign, bool odd, uint64_t rest, uint64_t half)
{
    switch (rm) {
    case SF_RNE: return rest > half || (rest == half && odd);
    case SF_RMM: return rest >= half;
    case SF_RDN: return sign && rest != 0;
    case SF_RUP: return !sign && rest != 0;
    case SF_RTZ: break;
    }
    return false;
}

/* IEEE 754-2019, 7.4: what overflow delivers in each mode, sign aside. */
static inline uint64_t sf_overflow(struct sf_format f, bool sign, enum sf_round rm, uint32_t *fl)
{
    uint64_t inf = (uint64_t)(2 * f.bias + 1) << (f.prec - 1);

    *fl |= SF_OF | SF_NX;
    return sf_round_up(rm, sign, true, 2, 1) ? inf : inf - 1;
}

/* A tiny result, where such are flushed. */
static inline uint64_t sf_flushed(uint64_t sign, unsigned mode, uint32_t *fl)
{
    *fl |= mode & SF_TINY_BEFORE ? SF_UF : SF_UF | SF_NX;
    return sign;
}

/* Round and pack a finite, nonzero number; bit 0 of sig is sticky. */
static inline uint64_t sf_round_finite(struct sf_format f, struct sf_num a, unsigned mode,
                                       uint32_t *fl)
{
    enum sf_round rm = sf_rounding(mode);
    int extra = 64 - f.prec;
    uint64_t half = UINT64_C(1) << (extra - 1);
    uint64_t mask = 2 * half - 1;
    uint64_t sign = a.sign ? UINT64_C(1) << (f.width - 1) : 0;
    uint64_t inf = (uint64_t)(2 * f.bias + 1) << (f.prec - 1);
    uint64_t sig = a.sig;
    int biased = a.exp + f.bias;
    bool tiny = false;

    if (biased <= 0) {
        /* Tiny after rounding: below the smallest normal even when rounded to full precision with
         * no bound on the exponent. Only the last binade can round up out of it, and there only
         * a significand of all ones. */
        bool all_ones = sig >> extra == (UINT64_C(1) << f.prec) - 1;
        tiny = mode & SF_TINY_BEFORE || biased < 0 || !all_ones ||
               !sf_round_up(rm, a.sign, true, sig & mask, half);
        if (tiny && mode & SF_FLUSH && f.width > 16)
            return sf_flushed(sign, mode, fl);
        sig = sf_jam64(sig, 1 - biased);
        biased = 1;
    }
    uint64_t rest = sig & mask;
    uint64_t kept = sig >> extra;
    kept += sf_round_up(rm, a.sign, kept & 1, rest, half);
    /* A normal significand's leading one adds 1 to the exponent field, a carry out of rounding adds
     * another; a subnormal that rounds up to the smallest normal carries into it as well. */
    uint64_t bits = ((uint64_t)(biased - 1) << (f.prec - 1)) + kept;
    if (bits >= inf)
        return sign | sf_overflow(f, a.sign, rm, fl);
    if (rest != 0)
        *fl |= tiny ? SF_NX | SF_UF : SF_NX;
    return sign | bits;
}

/* Round and pack any result but a NaN. */
static inline uint64_t sf_pack(struct sf_format f, struct sf_num a, unsigned mode, uint32_t *fl)
{
    if (a.kind == SF_FINITE)
        return sf_round_finite(f, a, mode, fl);

    uint64_t inf = (uint64_t)(2 * f.bias + 1) << (f.prec - 1);
    uint64_t sign = a.sign ? UINT64_C(1) << (f.width - 1) : 0;
    return a.kind == SF_ZERO ? sign : sign | inf;
}

/* --- sf_nan.c: NaN results; whoever made one has raised SF_NV ------------------------------------- */

/* Of an operation with these operands, in the order that the rule goes by; one that is no NaN, such as
 * 0, does not count. */
uint64_t sf_nan_of(struct sf_format f, uint64_t a, uint64_t b, uint64_t c, unsigned mode);
/* Of a conversion of the NaN a. */
uint64_t sf_nan_convert(struct sf_format to, struct sf_format from, uint64_t a, unsigned mode);

#endif
