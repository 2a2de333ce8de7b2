/*
 * NaN results, on bit patterns: IEEE 754-2019, 6.2, leaves open which NaN a result is, and each
 * instruction set says it in its own way (softfloat.h).
 */
#include "translator/ir/softfloat/sf_core.h"

static uint64_t quiet_bit(struct sf_format f)
{
    return UINT64_C(1) << (f.prec - 2);
}

static uint64_t infinity(struct sf_format f)
{
    return (uint64_t)(2 * f.bias + 1) << (f.prec - 1);
}

static bool is_nan(struct sf_format f, uint64_t v)
{
    uint64_t magnitude = v & (~UINT64_C(0) >> (65 - f.width));
    return magnitude > infinity(f);
}

static uint64_t default_nan(struct sf_format f, unsigned mode)
{
    uint64_t sign = mode & SF_NAN_NEGATIVE ? UINT64_C(1) << (f.width - 1) : 0;
    return sign | infinity(f) | quiet_bit(f);
}

uint64_t sf_nan_of(struct sf_format f, uint64_t a, uint64_t b, uint64_t c, unsigned mode)
{
    const uint64_t v[] = {a, b, c};

    if (mode & SF_NAN_SIGNALING)
        for (unsigned i = 0; i < 3; i++)
            if (is_nan(f, v[i]) && !(v[i] & quiet_bit(f)))
                return v[i] | quiet_bit(f);
    if (mode & SF_NAN_RULE)
        for (unsigned i = 0; i < 3; i++)
            if (is_nan(f, v[i]))
                return v[i] | quiet_bit(f);
    return default_nan(f, mode);
}

/* A payload keeps its upper bits. */
uint64_t sf_nan_convert(struct sf_format to, struct sf_format from, uint64_t a, unsigned mode)
{
    if (!(mode & SF_NAN_RULE))
        return default_nan(to, mode);
    uint64_t sign = a >> (from.width - 1) << (to.width - 1);
    uint64_t fraction = a << (64 - from.prec + 1) >> (64 - to.prec + 1);
    return sign | infinity(to) | quiet_bit(to) | fraction;
}
