/* Random numbers, and values that find mistakes. */
#include "tests/translator/fuzz/fz.h"

uint64_t fz_random(uint64_t *rng)
{
    uint64_t z = (*rng += UINT64_C(0x9e3779b97f4a7c15));
    z = (z ^ z >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
    z = (z ^ z >> 27) * UINT64_C(0x94d049bb133111eb);
    return z ^ z >> 31;
}

uint64_t fz_value(uint64_t *rng)
{
    uint64_t r = fz_random(rng), shift = r >> 8 & 63;
    switch (r & 15) {
    case 0: return r >> 63 ? 0 : 1;
    case 1: return UINT64_MAX;
    case 2: return UINT64_C(1) << shift;
    case 3: return (UINT64_C(1) << shift) - 1;
    case 4: return 0 - (UINT64_C(1) << shift);
    case 5: return UINT64_C(0xffffffff80000000);
    case 6: return 0x7fffffff;
    case 7: return 0x80000000;
    case 8: return r >> 60;
    case 9: return 0xffffffff;
    case 10: return (uint64_t)((int64_t)r >> 52);
    case 11: return fz_random(rng) >> shift;
    case 12: return fz_random(rng) & UINT64_C(0x00ff00ff00ff00ff);
    default: return fz_random(rng);
    }
}

/* Sign, an exponent that is often a border, a fraction that is often short. */
static uint64_t special(uint64_t *rng, unsigned exp_bits, unsigned frac_bits)
{
    uint64_t r = fz_random(rng), max = (UINT64_C(1) << exp_bits) - 1, bias = max >> 1;
    uint64_t frac_mask = (UINT64_C(1) << frac_bits) - 1, frac = fz_random(rng) & frac_mask, exp;
    switch (r & 15) {
    case 0: exp = 0; break;
    case 1: exp = max; break;
    case 2: exp = 1 + (r >> 20 & 1); break;
    case 3: exp = max - 1 - (r >> 20 & 1); break;
    case 4: exp = bias + 29 + (r >> 20 & 7); break; /* around 2^31 */
    case 5: exp = bias + 61 + (r >> 20 & 3); break; /* around 2^63 */
    case 6: exp = bias + frac_bits - 2 + (r >> 20 & 3); break;
    case 7: exp = (bias >> 1) + (r >> 20 & 3); break; /* the product is around the smallest */
    case 8: exp = frac_bits + 1 + (r >> 20 & 3); break;
    default: exp = bias - 4 + (r >> 20 & 7); break;
    }
    switch (r >> 8 & 7) {
    case 0: frac = 0; break;
    case 1: frac = frac_mask; break;
    case 2: frac = 1; break;
    case 3: frac = UINT64_C(1) << (frac_bits - 1); break;
    case 4: frac &= ~(frac_mask >> 4); break;
    default: break;
    }
    return (r >> 63) << (exp_bits + frac_bits) | (exp & max) << frac_bits | frac;
}

uint64_t fz_float(uint64_t *rng)
{
    uint64_t r = fz_random(rng);
    if ((r & 15) < 5)
        return special(rng, 11, 52);
    if ((r & 15) < 9) /* a half, and one that is not boxed */
        return UINT64_C(0xffffffffffff0000) << (r >> 4 & 7 ? 0 : 1) | special(rng, 5, 10);
    uint64_t f32 = special(rng, 8, 23);
    if ((r & 15) == 15) /* not boxed */
        return (fz_random(rng) | UINT64_C(1) << 63) << 32 | f32;
    return UINT64_C(0xffffffff00000000) | f32;
}
