/* Comparisons, min, max and classification (RISC-V Unprivileged ISA, F and D 2.2). */
#include "translator/ir/softfloat/sf_core.h"

/* Maps the bits of a number that isn't a NaN to integers in the same order, -0 next below +0. */
static inline int64_t total_order(uint64_t bits)
{
    return (int64_t)(bits ^ (uint64_t)((int64_t)bits >> 63) >> 1);
}

static inline int64_t key32(uint32_t bits)
{
    return total_order((uint64_t)bits << 32);
}

static inline bool is_nan64(uint64_t bits)
{
    return bits << 1 > UINT64_C(0x7ff) << 53;
}

static inline bool is_nan32(uint32_t bits)
{
    return bits << 1 > UINT32_C(0xff) << 24;
}

static inline bool is_snan64(uint64_t bits)
{
    return is_nan64(bits) && !(bits >> 51 & 1);
}

static inline bool is_snan32(uint32_t bits)
{
    return is_nan32(bits) && !(bits >> 22 & 1);
}

int sf_eq64(uint64_t a, uint64_t b, uint32_t *fl)
{
    if (is_nan64(a) || is_nan64(b)) {
        if (is_snan64(a) || is_snan64(b))
            *fl |= SF_NV;
        return 0;
    }
    return a == b || (a | b) << 1 == 0;
}

int sf_lt64(uint64_t a, uint64_t b, uint32_t *fl)
{
    if (is_nan64(a) || is_nan64(b)) {
        *fl |= SF_NV;
        return 0;
    }
    return total_order(a) < total_order(b) && (a | b) << 1 != 0;
}

int sf_le64(uint64_t a, uint64_t b, uint32_t *fl)
{
    if (is_nan64(a) || is_nan64(b)) {
        *fl |= SF_NV;
        return 0;
    }
    return total_order(a) <= total_order(b) || (a | b) << 1 == 0;
}

int sf_eq32(uint32_t a, uint32_t b, uint32_t *fl)
{
    if (is_nan32(a) || is_nan32(b)) {
        if (is_snan32(a) || is_snan32(b))
            *fl |= SF_NV;
        return 0;
    }
    return a == b || (a | b) << 1 == 0;
}

int sf_lt32(uint32_t a, uint32_t b, uint32_t *fl)
{
    if (is_nan32(a) || is_nan32(b)) {
        *fl |= SF_NV;
        return 0;
    }
    return key32(a) < key32(b) && (a | b) << 1 != 0;
}

int sf_le32(uint32_t a, uint32_t b, uint32_t *fl)
{
    if (is_nan32(a) || is_nan32(b)) {
        *fl |= SF_NV;
        return 0;
    }
    return key32(a) <= key32(b) || (a | b) << 1 == 0;
}

/* min and max with a NaN among the operands. */
static uint64_t number_of64(uint64_t a, uint64_t b, uint32_t *fl)
{
    if (is_snan64(a) || is_snan64(b))
        *fl |= SF_NV;
    if (!is_nan64(a))
        return a;
    return is_nan64(b) ? SF_NAN64 : b;
}

static uint32_t number_of32(uint32_t a, uint32_t b, uint32_t *fl)
{
    if (is_snan32(a) || is_snan32(b))
        *fl |= SF_NV;
    if (!is_nan32(a))
        return a;
    return is_nan32(b) ? SF_NAN32 : b;
}

uint64_t sf_min64(uint64_t a, uint64_t b, uint32_t *fl)
{
    if (is_nan64(a) || is_nan64(b))
        return number_of64(a, b, fl);
    return total_order(a) < total_order(b) ? a : b;
}

uint64_t sf_max64(uint64_t a, uint64_t b, uint32_t *fl)
{
    if (is_nan64(a) || is_nan64(b))
        return number_of64(a, b, fl);
    return total_order(a) > total_order(b) ? a : b;
}

uint32_t sf_min32(uint32_t a, uint32_t b, uint32_t *fl)
{
    if (is_nan32(a) || is_nan32(b))
        return number_of32(a, b, fl);
    return key32(a) < key32(b) ? a : b;
}

uint32_t sf_max32(uint32_t a, uint32_t b, uint32_t *fl)
{
    if (is_nan32(a) || is_nan32(b))
        return number_of32(a, b, fl);
    return key32(a) > key32(b) ? a : b;
}

/* The negative classes count down from 3 as the positive ones count up from 4. */
static inline uint32_t classify(struct sf_format f, uint64_t bits)
{
    struct sf_num a = sf_unpack(f, bits);
    int positive = 4;

    switch (a.kind) {
    case SF_ZERO: break;
    case SF_FINITE: positive = a.exp < 1 - f.bias ? 5 : 6; break;
    case SF_INF: positive = 7; break;
    case SF_SNAN: return 1u << 8;
    case SF_QNAN: return 1u << 9;
    }
    return 1u << (a.sign ? 7 - positive : positive);
}

uint32_t sf_class64(uint64_t a)
{
    return classify(sf_binary64, a);
}

uint32_t sf_class32(uint32_t a)
{
    return classify(sf_binary32, a);
}
