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

/* --- min and max -------------------------------------------------------------------------------- */

/* With a NaN among the operands. */
static uint64_t min_of_nan(struct sf_format f, uint64_t a, uint64_t b, unsigned mode, uint32_t *fl)
{
    enum sf_kind x = sf_unpack(f, a).kind, y = sf_unpack(f, b).kind;
    bool one = x < SF_QNAN || y < SF_QNAN;

    if (x == SF_SNAN || y == SF_SNAN)
        *fl |= SF_NV;
    switch (mode & SF_MIN_KIND) {
    case SF_MIN_SECOND: *fl |= SF_NV; return b;
    case SF_MIN_NUMBER:
        if (one)
            return x < SF_QNAN ? a : b;
        break;
    default: break;
    }
    return sf_nan_of(f, a, b, 0, mode);
}

/* The operand that comes first in the order, or last; of equal ones, which zeros may be, the second
 * where the kind asks for that. */
static inline uint64_t pick(uint64_t a, uint64_t b, bool first, bool equal, unsigned mode)
{
    if (equal && (mode & SF_MIN_KIND) == SF_MIN_SECOND)
        return b;
    return first ? a : b;
}

uint64_t sf_min64(uint64_t a, uint64_t b, unsigned mode, uint32_t *fl)
{
    if (is_nan64(a) || is_nan64(b))
        return min_of_nan(sf_binary64, a, b, mode, fl);
    return pick(a, b, total_order(a) < total_order(b), (a | b) << 1 == 0, mode);
}

uint64_t sf_max64(uint64_t a, uint64_t b, unsigned mode, uint32_t *fl)
{
    if (is_nan64(a) || is_nan64(b))
        return min_of_nan(sf_binary64, a, b, mode, fl);
    return pick(a, b, total_order(a) > total_order(b), (a | b) << 1 == 0, mode);
}

uint32_t sf_min32(uint32_t a, uint32_t b, unsigned mode, uint32_t *fl)
{
    if (is_nan32(a) || is_nan32(b))
        return (uint32_t)min_of_nan(sf_binary32, a, b, mode, fl);
    return (uint32_t)pick(a, b, key32(a) < key32(b), (a | b) << 1 == 0, mode);
}

uint32_t sf_max32(uint32_t a, uint32_t b, unsigned mode, uint32_t *fl)
{
    if (is_nan32(a) || is_nan32(b))
        return (uint32_t)min_of_nan(sf_binary32, a, b, mode, fl);
    return (uint32_t)pick(a, b, key32(a) > key32(b), (a | b) << 1 == 0, mode);
}

/* --- classes ------------------------------------------------------------------------------------ */

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
