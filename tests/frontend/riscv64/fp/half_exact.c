#include "tests/frontend/riscv64/fp/half_exact.h"

__extension__ typedef unsigned __int128 u128;
__extension__ typedef __int128 i128;

enum {
    SIGN = 0x8000,
    INFINITE = 0x7c00,
    NOT_A_NUMBER = 0x7e00,
    LARGEST = 0x7bff,
    UNIT = -24,    /* all halves are multiples of 2^UNIT */
    MIN_EXP = -14, /* of the smallest normal number */
    FRACTION = 10, /* bits */
    BIAS = 15,
};

static bool is_nan(uint16_t h)
{
    return (h & 0x7fff) > INFINITE;
}

static bool is_infinite(uint16_t h)
{
    return (h & 0x7fff) == INFINITE;
}

static bool is_zero(uint16_t h)
{
    return (h & 0x7fff) == 0;
}

static uint16_t invalid(uint32_t *flags)
{
    *flags |= IR_FP_NV;
    return NOT_A_NUMBER;
}

/* A finite half in units of 2^UNIT. */
static int64_t units(uint16_t h)
{
    unsigned exp = h >> FRACTION & 31;
    int64_t v = exp ? (int64_t)((h & 0x3ff) | 0x400) << (exp - 1) : h & 0x3ff;
    return h & SIGN ? -v : v;
}

/* --- rounding ----------------------------------------------------------------------------------- */

/* magnitude * 2^exp, and a little more if `more`. */
struct exact {
    u128 magnitude;
    int exp;
    bool negative, more;
};

/* The number of quanta 2^quantum next to it; *inexact is set if it is none. */
static uint64_t quanta(const struct exact *x, int quantum, enum ir_round rm, bool *inexact)
{
    int shift = quantum - x->exp;
    u128 n, rest, half = 0;
    if (shift <= 0) {
        n = x->magnitude << -shift;
        rest = x->more;
        half = 2; /* what is cut off is less than half */
    } else if (shift > 126) {
        n = 0;
        rest = 1;
        half = 2;
    } else {
        n = x->magnitude >> shift;
        half = (u128)1 << shift; /* with one more bit for `more` */
        rest = (x->magnitude & (half - 1)) << 1 | x->more;
    }
    bool up = false;
    switch (rm) {
    case IR_RNE: up = rest > half || (rest == half && n & 1); break;
    case IR_RMM: up = rest >= half; break;
    case IR_RDN: up = rest && x->negative; break;
    case IR_RUP: up = rest && !x->negative; break;
    default: break;
    }
    *inexact = rest != 0;
    return (uint64_t)(n + up);
}

static uint16_t overflow(bool negative, enum ir_round rm, uint32_t *flags)
{
    bool infinite = rm == IR_RNE || rm == IR_RMM || rm == (negative ? IR_RDN : IR_RUP);
    *flags |= IR_FP_OF | IR_FP_NX;
    return (uint16_t)((negative ? SIGN : 0) | (infinite ? INFINITE : LARGEST));
}

static uint16_t rounded(struct exact x, enum ir_round rm, uint32_t *flags)
{
    int top = -1;
    bool inexact, ignored;
    for (u128 m = x.magnitude; m; m >>= 1)
        top++;
    if (top < 0)
        return x.negative ? SIGN : 0;
    int exp = top + x.exp;
    if (exp > BIAS)
        return overflow(x.negative, rm, flags);
    /* Tiny: below the smallest normal number even if rounded without a bound on the exponent. */
    bool tiny = exp < MIN_EXP &&
                (exp < MIN_EXP - 1 || quanta(&x, exp - FRACTION, rm, &ignored) < 2u << FRACTION);
    int quantum = (exp < MIN_EXP ? MIN_EXP : exp) - FRACTION;
    uint64_t n = quanta(&x, quantum, rm, &inexact);
    uint64_t bits = n;
    if (n >> FRACTION) /* the leading one adds to the exponent, and so does a carry out of it */
        bits = ((uint64_t)(quantum + FRACTION + BIAS - 1) << FRACTION) + n;
    if (bits >= INFINITE)
        return overflow(x.negative, rm, flags);
    if (inexact)
        *flags |= tiny ? IR_FP_NX | IR_FP_UF : IR_FP_NX;
    return (uint16_t)((x.negative ? SIGN : 0) | bits);
}

/* A sum of 2^exp units; of nothing, the zero is negative only when rounding down, or if both terms
 * were. */
static uint16_t rounded_sum(i128 sum, int exp, bool both_negative, bool differ, enum ir_round rm,
                            uint32_t *flags)
{
    if (sum == 0)
        return both_negative || (differ && rm == IR_RDN) ? SIGN : 0;
    struct exact x = {.magnitude = (u128)(sum < 0 ? -sum : sum), .exp = exp, .negative = sum < 0};
    return rounded(x, rm, flags);
}

/* --- operations --------------------------------------------------------------------------------- */

static uint16_t add(uint16_t a, uint16_t b, enum ir_round rm, uint32_t *flags)
{
    bool differ = (a ^ b) & SIGN;
    if (is_infinite(a))
        return is_infinite(b) && differ ? invalid(flags) : a;
    if (is_infinite(b))
        return b;
    return rounded_sum((i128)units(a) + units(b), UNIT, a & b & SIGN, differ, rm, flags);
}

static uint16_t multiply(uint16_t a, uint16_t b, enum ir_round rm, uint32_t *flags)
{
    uint16_t sign = (a ^ b) & SIGN;
    if (is_infinite(a) || is_infinite(b))
        return is_zero(a) || is_zero(b) ? invalid(flags) : sign | INFINITE;
    i128 product = (i128)units(a) * units(b);
    return rounded_sum(product, 2 * UNIT, sign, false, rm, flags);
}

static uint16_t divide(uint16_t a, uint16_t b, enum ir_round rm, uint32_t *flags)
{
    uint16_t sign = (a ^ b) & SIGN;
    if (is_infinite(a))
        return is_infinite(b) ? invalid(flags) : sign | INFINITE;
    if (is_infinite(b))
        return sign;
    if (is_zero(b)) {
        if (is_zero(a))
            return invalid(flags);
        *flags |= IR_FP_DZ;
        return sign | INFINITE;
    }
    enum { EXTRA = 70 };
    u128 n = (u128)units(a & 0x7fff) << EXTRA, d = (u128)units(b & 0x7fff);
    struct exact x = {.magnitude = n / d, .exp = -EXTRA, .negative = sign != 0, .more = n % d != 0};
    return rounded(x, rm, flags);
}

static uint16_t square_root(uint16_t a, enum ir_round rm, uint32_t *flags)
{
    if (is_zero(a))
        return a;
    if (a & SIGN)
        return invalid(flags);
    if (is_infinite(a))
        return a;
    enum { EXTRA = 60 }; /* even, as UNIT is */
    u128 n = (u128)units(a) << EXTRA, root = 0;
    for (u128 bit = (u128)1 << 62; bit; bit >>= 1)
        if ((root | bit) * (root | bit) <= n)
            root |= bit;
    struct exact x = {.magnitude = root, .exp = (UNIT - EXTRA) / 2, .more = root * root != n};
    return rounded(x, rm, flags);
}

static uint16_t fused(uint16_t a, uint16_t b, uint16_t c, enum ir_round rm, uint32_t *flags)
{
    uint16_t sign = (a ^ b) & SIGN;
    bool differ = (sign ^ c) & SIGN;
    if (is_infinite(a) || is_infinite(b)) {
        if (is_zero(a) || is_zero(b) || (is_infinite(c) && differ))
            return invalid(flags);
        return sign | INFINITE;
    }
    if (is_infinite(c))
        return c;
    i128 sum = (i128)units(a) * units(b) + (i128)units(c) * ((i128)1 << -UNIT);
    return rounded_sum(sum, 2 * UNIT, sign & c, differ, rm, flags);
}

uint16_t half_exact(enum half_op op, uint16_t a, uint16_t b, uint16_t c, enum ir_round rm,
                    uint32_t *flags)
{
    const uint16_t in[3] = {a, b, c};
    unsigned count = op == HALF_FMA ? 3 : op == HALF_SQRT ? 1 : 2;
    bool nan = false;
    for (unsigned i = 0; i < count; i++) {
        nan = nan || is_nan(in[i]);
        if (is_nan(in[i]) && !(in[i] & 0x200))
            *flags |= IR_FP_NV;
    }
    if (op == HALF_FMA && ((is_infinite(a) && is_zero(b)) || (is_zero(a) && is_infinite(b))))
        return invalid(flags);
    if (nan)
        return NOT_A_NUMBER;
    switch (op) {
    case HALF_ADD: return add(a, b, rm, flags);
    case HALF_SUB: return add(a, b ^ SIGN, rm, flags);
    case HALF_MUL: return multiply(a, b, rm, flags);
    case HALF_DIV: return divide(a, b, rm, flags);
    case HALF_SQRT: return square_root(a, rm, flags);
    case HALF_FMA: return fused(a, b, c, rm, flags);
    }
    return NOT_A_NUMBER;
}

uint16_t half_of_integer(uint64_t magnitude, bool negative, enum ir_round rm, uint32_t *flags)
{
    struct exact x = {.magnitude = magnitude, .negative = negative && magnitude};
    return rounded(x, rm, flags);
}
