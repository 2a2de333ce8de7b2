#include "tests/translator/softfloat/sf_vectors.h"

#include "translator/ir/softfloat/softfloat.h"

const char *const sfv_op_name[SFV_OPS] = {"add", "sub", "mul", "div", "sqrt", "fma"};
const char *const sfv_round_name[5] = {"rne", "rtz", "rdn", "rup", "rmm"};

/* A Weyl sequence through a mixing function: every state is as good as any other. */
uint64_t sfv_next(struct sfv_rng *g)
{
    uint64_t v = g->state += UINT64_C(0x9e3779b97f4a7c15);

    v = (v ^ v >> 32) * UINT64_C(0xd6e8feb86659fd93);
    v = (v ^ v >> 29) * UINT64_C(0xc2b2ae3d27d4eb4f);
    return v ^ v >> 31;
}

static uint32_t below(struct sfv_rng *g, uint32_t n)
{
    return (uint32_t)((sfv_next(g) >> 32) * n >> 32);
}

static int frac_bits(int width)
{
    return width == 64 ? 52 : 23;
}

static int exp_max(int width)
{
    return width == 64 ? 2047 : 255;
}

static uint64_t fraction(struct sfv_rng *g, int bits)
{
    uint64_t all = (UINT64_C(1) << bits) - 1;
    uint64_t r = sfv_next(g) & all;
    uint32_t k = below(g, (uint32_t)bits);

    switch (below(g, 10)) {
    case 0: return 0;
    case 1: return all;
    case 2: return UINT64_C(1) << k;
    case 3: return all >> k;
    case 4: return all << k & all;
    case 5: return r << k & all; /* short significands: ties and exact results */
    case 6: return below(g, 4);
    case 7: return all - below(g, 4);
    default: return r;
    }
}

static int clamp_exp(int exp, int width)
{
    if (exp < 0)
        return 0;
    return exp > exp_max(width) ? exp_max(width) : exp;
}

static uint64_t compose(struct sfv_rng *g, int exp, int width)
{
    int bits = frac_bits(width);
    uint64_t sign = sfv_next(g) >> 63 << (width - 1);

    return sign | (uint64_t)clamp_exp(exp, width) << bits | fraction(g, bits);
}

uint64_t sfv_float(struct sfv_rng *g, int width)
{
    int max = exp_max(width);
    int bits = frac_bits(width);
    int exp;

    switch (below(g, 8)) {
    case 0: return sfv_next(g) >> (64 - width);
    case 1: exp = (int)below(g, 3); break;
    case 2: exp = max - (int)below(g, 4); break;
    case 3: exp = (int)below(g, (uint32_t)bits + 4); break;
    case 4:
    case 5: exp = max / 2 + (int)below(g, 140) - 70; break;
    default: exp = (int)below(g, (uint32_t)max + 1); break;
    }
    return compose(g, exp, width);
}

static int exp_of(uint64_t v, int width)
{
    return (int)(v >> frac_bits(width)) & exp_max(width);
}

/* A neighbour at most two units away, perhaps with the other sign. */
static uint64_t nudge(struct sfv_rng *g, uint64_t v, int width)
{
    v += below(g, 5);
    v -= 2;
    if (below(g, 2))
        v ^= UINT64_C(1) << (width - 1);
    return width == 64 ? v : (uint32_t)v;
}

/* An exponent around `centre`, close enough for the fractions to meet. */
static uint64_t around(struct sfv_rng *g, int centre, int width)
{
    int reach = frac_bits(width) + 4;

    if (below(g, 2))
        reach = 3;
    return compose(g, centre + (int)below(g, (uint32_t)(2 * reach + 1)) - reach, width);
}

static uint64_t second(struct sfv_rng *g, enum sfv_op op, int width, uint64_t a)
{
    int bias = exp_max(width) / 2;
    int ea = exp_of(a, width);
    int edge = below(g, 3) ? 0 : 2 * bias; /* the smallest or largest exponent of the result */

    switch (op) {
    case SFV_MUL:
    case SFV_FMA: return around(g, edge + bias - ea, width);
    case SFV_DIV: return around(g, ea + bias - edge, width);
    default: return around(g, ea, width);
    }
}

void sfv_operands(struct sfv_rng *g, enum sfv_op op, int width, uint64_t v[3])
{
    uint32_t ignored = 0;

    v[0] = sfv_float(g, width);
    v[1] = below(g, 2) ? second(g, op, width, v[0]) : sfv_float(g, width);
    v[2] = sfv_float(g, width);
    uint64_t product = sfv_call(SFV_MUL, width, v, (int)below(g, 5), &ignored);
    switch (op) {
    case SFV_ADD:
    case SFV_SUB:
        if (below(g, 8) == 0)
            v[1] = nudge(g, v[0], width);
        break;
    case SFV_DIV: /* a quotient close to v[0], exact now and then */
        if (below(g, 4) == 0)
            v[0] = below(g, 2) ? product : nudge(g, product, width);
        break;
    case SFV_SQRT: /* squares and their neighbours */
        if (below(g, 2)) {
            v[1] = v[0];
            v[0] = sfv_call(SFV_MUL, width, v, SF_RNE, &ignored);
            if (below(g, 2))
                v[0] = nudge(g, v[0], width);
        }
        break;
    case SFV_FMA:
        if (below(g, 2))
            v[2] =
                below(g, 2) ? around(g, exp_of(product, width), width) : nudge(g, product, width);
        break;
    default: break;
    }
}

uint64_t sfv_int(struct sfv_rng *g)
{
    uint64_t r = sfv_next(g);
    uint32_t k = below(g, 64);

    switch (below(g, 6)) {
    case 0: return (UINT64_C(1) << k) + below(g, 5) - 2;
    case 1: return 0 - (UINT64_C(1) << k) + below(g, 5) - 2;
    case 2: return r << k;
    case 3: return r >> k;
    case 4: return ((r | 1) << k) + below(g, 3) - 1;
    default: return (uint64_t)((int64_t)r >> k);
    }
}

static uint64_t call64(enum sfv_op op, const uint64_t v[3], enum sf_round rm, uint32_t *fl)
{
    switch (op) {
    case SFV_ADD: return sf_add64(v[0], v[1], rm, fl);
    case SFV_SUB: return sf_sub64(v[0], v[1], rm, fl);
    case SFV_MUL: return sf_mul64(v[0], v[1], rm, fl);
    case SFV_DIV: return sf_div64(v[0], v[1], rm, fl);
    case SFV_SQRT: return sf_sqrt64(v[0], rm, fl);
    default: return sf_fma64(v[0], v[1], v[2], rm, fl);
    }
}

static uint32_t call32(enum sfv_op op, const uint32_t v[3], enum sf_round rm, uint32_t *fl)
{
    switch (op) {
    case SFV_ADD: return sf_add32(v[0], v[1], rm, fl);
    case SFV_SUB: return sf_sub32(v[0], v[1], rm, fl);
    case SFV_MUL: return sf_mul32(v[0], v[1], rm, fl);
    case SFV_DIV: return sf_div32(v[0], v[1], rm, fl);
    case SFV_SQRT: return sf_sqrt32(v[0], rm, fl);
    default: return sf_fma32(v[0], v[1], v[2], rm, fl);
    }
}

uint64_t sfv_call(enum sfv_op op, int width, const uint64_t v[3], int rm, uint32_t *fl)
{
    if (width == 64)
        return call64(op, v, (enum sf_round)rm, fl);

    uint32_t narrow[3] = {(uint32_t)v[0], (uint32_t)v[1], (uint32_t)v[2]};
    return call32(op, narrow, (enum sf_round)rm, fl);
}
