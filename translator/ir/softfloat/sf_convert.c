/* Conversions to and from integers, and between the formats (F 2.2 and D 2.2, FCVT). */
#include "translator/ir/softfloat/sf_core.h"

/* Sign-extend the low `bits` bits. */
static inline uint64_t extend(uint64_t v, int bits)
{
    return (uint64_t)((int64_t)(v << (64 - bits)) >> (64 - bits));
}

/* What becomes of a number that fits no integer of `bits` bits, or of a NaN. */
static uint64_t no_integer(struct sf_num a, int bits, bool is_signed, unsigned mode, uint32_t *fl)
{
    uint64_t all = ~UINT64_C(0) >> (64 - bits);
    uint64_t max = is_signed ? all >> 1 : all;

    *fl |= SF_NV;
    if (mode & SF_INT_INDEFINITE)
        return extend(is_signed ? max + 1 : max, bits);
    if (sf_is_nan(a))
        return mode & SF_INT_NAN_ZERO ? 0 : extend(max, bits);
    return extend(a.sign ? all - max : max, bits);
}

/* To an integer of `bits` bits, 32 or 64. */
static inline uint64_t to_int(struct sf_num a, int bits, bool is_signed, unsigned mode,
                              uint32_t *fl)
{
    uint64_t all = ~UINT64_C(0) >> (64 - bits);
    uint64_t max = is_signed ? all >> 1 : all;
    uint64_t min = is_signed ? max + 1 : 0; /* as a magnitude */
    uint64_t limit = a.sign ? min : max;

    if (a.kind == SF_ZERO)
        return 0;
    if (a.kind != SF_FINITE || a.exp > 63)
        return no_integer(a, bits, is_signed, mode, fl);
    /* Fixed point with 64 bits after it; below 1/2 only the fact that it isn't 0 matters. */
    sf_u128 fixed = a.exp >= -1 ? (sf_u128)a.sig << (a.exp + 1) : 1;
    uint64_t rest = (uint64_t)fixed;
    sf_u128 whole = fixed >> 64;
    whole += sf_round_up(sf_rounding(mode), a.sign, whole & 1, rest, UINT64_C(1) << 63);
    if (whole > limit)
        return no_integer(a, bits, is_signed, mode, fl);
    if (rest != 0)
        *fl |= SF_NX;
    return extend(a.sign ? 0 - (uint64_t)whole : (uint64_t)whole, bits);
}

static inline struct sf_num from_uint(uint64_t magnitude, bool sign)
{
    if (magnitude == 0)
        return sf_special(SF_ZERO, false);

    int lead = __builtin_clzll(magnitude);
    return (struct sf_num){
        .kind = SF_FINITE, .sign = sign, .exp = 63 - lead, .sig = magnitude << lead};
}

static inline struct sf_num from_int(int64_t v)
{
    return from_uint(v < 0 ? 0 - (uint64_t)v : (uint64_t)v, v < 0);
}

uint64_t sf_f64_to_i32(uint64_t a, unsigned mode, uint32_t *fl)
{
    return to_int(sf_unpack(sf_binary64, a), 32, true, mode, fl);
}

uint64_t sf_f64_to_u32(uint64_t a, unsigned mode, uint32_t *fl)
{
    return to_int(sf_unpack(sf_binary64, a), 32, false, mode, fl);
}

uint64_t sf_f64_to_i64(uint64_t a, unsigned mode, uint32_t *fl)
{
    return to_int(sf_unpack(sf_binary64, a), 64, true, mode, fl);
}

uint64_t sf_f64_to_u64(uint64_t a, unsigned mode, uint32_t *fl)
{
    return to_int(sf_unpack(sf_binary64, a), 64, false, mode, fl);
}

uint64_t sf_f32_to_i32(uint32_t a, unsigned mode, uint32_t *fl)
{
    return to_int(sf_unpack(sf_binary32, a), 32, true, mode, fl);
}

uint64_t sf_f32_to_u32(uint32_t a, unsigned mode, uint32_t *fl)
{
    return to_int(sf_unpack(sf_binary32, a), 32, false, mode, fl);
}

uint64_t sf_f32_to_i64(uint32_t a, unsigned mode, uint32_t *fl)
{
    return to_int(sf_unpack(sf_binary32, a), 64, true, mode, fl);
}

uint64_t sf_f32_to_u64(uint32_t a, unsigned mode, uint32_t *fl)
{
    return to_int(sf_unpack(sf_binary32, a), 64, false, mode, fl);
}

uint64_t sf_i32_to_f64(int32_t a, unsigned mode, uint32_t *fl)
{
    return sf_pack(sf_binary64, from_int(a), mode, fl);
}

uint64_t sf_u32_to_f64(uint32_t a, unsigned mode, uint32_t *fl)
{
    return sf_pack(sf_binary64, from_uint(a, false), mode, fl);
}

uint64_t sf_i64_to_f64(int64_t a, unsigned mode, uint32_t *fl)
{
    return sf_pack(sf_binary64, from_int(a), mode, fl);
}

uint64_t sf_u64_to_f64(uint64_t a, unsigned mode, uint32_t *fl)
{
    return sf_pack(sf_binary64, from_uint(a, false), mode, fl);
}

uint32_t sf_i32_to_f32(int32_t a, unsigned mode, uint32_t *fl)
{
    return (uint32_t)sf_pack(sf_binary32, from_int(a), mode, fl);
}

uint32_t sf_u32_to_f32(uint32_t a, unsigned mode, uint32_t *fl)
{
    return (uint32_t)sf_pack(sf_binary32, from_uint(a, false), mode, fl);
}

uint32_t sf_i64_to_f32(int64_t a, unsigned mode, uint32_t *fl)
{
    return (uint32_t)sf_pack(sf_binary32, from_int(a), mode, fl);
}

uint32_t sf_u64_to_f32(uint64_t a, unsigned mode, uint32_t *fl)
{
    return (uint32_t)sf_pack(sf_binary32, from_uint(a, false), mode, fl);
}

/* Between any two formats. */
static inline uint64_t convert(struct sf_format to, struct sf_format from, uint64_t a,
                               unsigned mode, uint32_t *fl)
{
    struct sf_num n = sf_unpack(from, a);

    if (n.kind == SF_SNAN)
        *fl |= SF_NV;
    return sf_is_nan(n) ? sf_nan_convert(to, from, a, mode) : sf_pack(to, n, mode, fl);
}

uint64_t sf_f32_to_f64(uint32_t a, unsigned mode, uint32_t *fl)
{
    return convert(sf_binary64, sf_binary32, a, mode, fl);
}

uint32_t sf_f64_to_f32(uint64_t a, unsigned mode, uint32_t *fl)
{
    return (uint32_t)convert(sf_binary32, sf_binary64, a, mode, fl);
}

uint32_t sf_f16_to_f32(uint16_t a, unsigned mode, uint32_t *fl)
{
    return (uint32_t)convert(sf_binary32, sf_binary16, a, mode, fl);
}

uint64_t sf_f16_to_f64(uint16_t a, unsigned mode, uint32_t *fl)
{
    return convert(sf_binary64, sf_binary16, a, mode, fl);
}

uint16_t sf_f32_to_f16(uint32_t a, unsigned mode, uint32_t *fl)
{
    return (uint16_t)convert(sf_binary16, sf_binary32, a, mode, fl);
}

uint16_t sf_f64_to_f16(uint64_t a, unsigned mode, uint32_t *fl)
{
    return (uint16_t)convert(sf_binary16, sf_binary64, a, mode, fl);
}

/* --- to integral values ------------------------------------------------------------------------- */

static inline uint64_t to_integral(struct sf_format f, uint64_t bits, unsigned mode, bool inexact,
                                   uint32_t *fl)
{
    struct sf_num a = sf_unpack(f, bits);

    if (a.kind != SF_FINITE)
        return convert(f, f, bits, mode, fl);
    if (a.exp >= f.prec - 1)
        return bits;
    sf_u128 fixed = a.exp >= -1 ? (sf_u128)a.sig << (a.exp + 1) : 1;
    uint64_t rest = (uint64_t)fixed, whole = (uint64_t)(fixed >> 64);
    whole += sf_round_up(sf_rounding(mode), a.sign, whole & 1, rest, UINT64_C(1) << 63);
    if (rest != 0 && inexact)
        *fl |= SF_NX;
    if (whole == 0)
        return sf_pack(f, sf_special(SF_ZERO, a.sign), mode, fl);
    return sf_pack(f, from_uint(whole, a.sign), mode, fl);
}

uint64_t sf_rint64(uint64_t a, unsigned mode, bool inexact, uint32_t *fl)
{
    return to_integral(sf_binary64, a, mode, inexact, fl);
}

uint32_t sf_rint32(uint32_t a, unsigned mode, bool inexact, uint32_t *fl)
{
    return (uint32_t)to_integral(sf_binary32, a, mode, inexact, fl);
}
