/*
 * The soft-float against exact arithmetic, in all five rounding modes.
 *
 * The exact result is never rounded: a reference only tells on which side of a given number it
 * lies, which 113-bit __float128 can do without error for operands of 53 bits. A directed result
 * must be the neighbour on its side; the other modes follow from the two neighbours and from the
 * side of their midpoint. Nothing here depends on the host's rounding mode but that it is nearest.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>

#include "translator/ir/softfloat/softfloat.h"
#include "tests/translator/softfloat/sf_vectors.h"

__extension__ typedef __float128 quad;
__extension__ typedef __int128 int128;

enum { VECTORS = 60000, MODES = 5 };

/* Stands for "convert x[0] itself" beside the operations of enum sfv_op. */
enum { CONVERT = SFV_OPS };

/* The number's value; an infinity stands for the power of two that it rounds from. */
static quad value(int width, uint64_t bits)
{
    bool inf = width == 64 ? bits << 1 == UINT64_C(0x7ff) << 53
                           : (uint32_t)bits << 1 == UINT32_C(0xff) << 24;
    if (inf) {
        quad v = width == 64 ? (quad)0x1p1023 * 2 : (quad)0x1p128;
        return bits >> (width - 1) ? -v : v;
    }
    if (width == 64) {
        double d;
        memcpy(&d, &bits, sizeof(d));
        return d;
    }
    float f;
    uint32_t low = (uint32_t)bits;
    memcpy(&f, &low, sizeof(f));
    return f;
}

static bool is_finite(int width, uint64_t bits)
{
    uint64_t exp = width == 64 ? UINT64_C(0x7ff) << 52 : UINT64_C(0xff) << 23;
    return (bits & exp) != exp;
}

/* Integers in the order of the numbers; neighbours differ by 1. */
static int64_t order(int width, uint64_t bits)
{
    uint64_t magnitude = bits & (~UINT64_C(0) >> (65 - width));
    return bits >> (width - 1) ? -1 - (int64_t)magnitude : (int64_t)magnitude;
}

static int sign_of(quad v)
{
    return (v > 0) - (v < 0);
}

/* The sign of a + b - t. With s the nearest to a + b and e the error of that, both exact: s and t
 * are of one format, so that if they differ they tell the sign, and else e does. */
static int side_of_sum(quad a, quad b, quad t)
{
    quad s = a + b;
    quad part = s - a;
    quad e = (a - (s - part)) + (b - part);

    return s != t ? sign_of(s - t) : sign_of(e);
}

/* The sign of (exact result - t). Every product below has at most 54 + 54 bits. */
static int side(int op, const quad x[3], quad t)
{
    switch (op) {
    case SFV_ADD: return side_of_sum(x[0], x[1], t);
    case SFV_SUB: return side_of_sum(x[0], -x[1], t);
    case SFV_MUL: return sign_of(x[0] * x[1] - t);
    case SFV_DIV: return sign_of(x[0] - t * x[1]) * sign_of(x[1]);
    case SFV_SQRT: return sign_of(x[0] - t * t);
    case SFV_FMA: return side_of_sum(x[0] * x[1], x[2], t);
    default: return sign_of(x[0] - t);
    }
}

struct outcome {
    uint64_t bits[MODES];
    uint32_t fl[MODES];
};

static uint64_t nearest(int width, uint64_t lo, uint64_t hi, int mid_side, enum sf_round rm)
{
    bool negative = lo >> (width - 1);

    if (mid_side != 0)
        return mid_side > 0 ? hi : lo;
    if (rm == SF_RMM)
        return negative ? lo : hi;
    return lo & 1 ? hi : lo;
}

/* Whether five results are the roundings of one exact value. Says what is wrong, or NULL. */
static const char *judge(int op, int width, const quad x[3], const struct outcome *r)
{
    uint64_t lo = r->bits[SF_RDN];
    uint64_t hi = r->bits[SF_RUP];
    quad below = value(width, lo);
    quad above = value(width, hi);
    bool negative = lo >> (width - 1);

    if (side(op, x, below) == 0 && is_finite(width, lo)) {
        for (int rm = 0; rm < MODES; rm++) {
            if (value(width, r->bits[rm]) != below || r->fl[rm] != 0)
                return "an exact result that isn't, or has flags";
        }
        return NULL;
    }
    if (is_finite(width, lo) && side(op, x, below) <= 0)
        return "RDN is not below";
    if (is_finite(width, hi) && side(op, x, above) >= 0)
        return "RUP is not above";
    if (order(width, hi) - order(width, lo) != 1)
        return "RDN and RUP are not neighbours";
    if (r->bits[SF_RTZ] != (negative ? hi : lo))
        return "RTZ";

    int mid = side(op, x, (below + above) / 2);
    uint64_t even = nearest(width, lo, hi, mid, SF_RNE);
    if (r->bits[SF_RNE] != even)
        return "RNE";
    if (r->bits[SF_RMM] != nearest(width, lo, hi, mid, SF_RMM))
        return "RMM";
    for (int rm = 0; rm < MODES; rm++) {
        bool over = !is_finite(width, r->bits[rm]);
        if (!(r->fl[rm] & SF_NX) || (r->fl[rm] & (SF_NV | SF_DZ)))
            return "NX not set, or NV or DZ set";
        if (over && r->fl[rm] != (SF_OF | SF_NX))
            return "OF not set with an infinity";
    }
    /* Both nearest modes differ in ties only. With an unbounded exponent the tie below the smallest
     * normal and the one above the largest go up in both, so their flags are the same. */
    return r->fl[SF_RMM] == r->fl[SF_RNE] ? NULL : "flags of RMM";
}

/*
 * Underflow follows from the magnitude: a result below the smallest normal is tiny unless rounding
 * it to full precision, at half the subnormals' spacing, gives the smallest normal.
 */
static const char *judge_tiny(int op, int width, const quad x[3], const struct outcome *r)
{
    quad smallest = width == 64 ? 0x1p-1022 : 0x1p-126;
    quad last = smallest * (width == 64 ? 1 - 0x1p-53 : 1 - 0x1p-24); /* next, full precision */
    quad mid = (last + smallest) / 2;
    int s = r->bits[SF_RDN] >> (width - 1) ? -1 : 1;
    bool below = side(op, x, s * smallest) * s < 0;
    bool above_last = side(op, x, s * last) * s > 0;
    bool to_nearest_up = side(op, x, s * mid) * s >= 0;

    for (int rm = 0; rm < MODES; rm++) {
        bool away = rm == (s > 0 ? SF_RUP : SF_RDN);
        bool nearest_mode = rm == SF_RNE || rm == SF_RMM;
        bool up = above_last && (away || (nearest_mode && to_nearest_up));
        bool want = below && !up && (r->fl[rm] & SF_NX);
        if (want != !!(r->fl[rm] & SF_UF))
            return "UF";
    }
    return NULL;
}

static void check(const char *name, int op, int width, const quad x[3], const uint64_t v[3],
                  const struct outcome *r)
{
    const char *wrong = judge(op, width, x, r);

    if (wrong == NULL)
        wrong = judge_tiny(op, width, x, r);
    if (wrong != NULL)
        fail_msg("%s%d %#llx %#llx %#llx: %s", name, width, (unsigned long long)v[0],
                 (unsigned long long)v[1], (unsigned long long)v[2], wrong);
}

/* Operands for which an exact, finite result exists that isn't a matter of signs of zero. */
static bool is_plain(enum sfv_op op, int width, const uint64_t v[3], const quad x[3])
{
    for (int i = 0; i < 3; i++) {
        if (!is_finite(width, v[i]))
            return false;
    }
    if (op == SFV_DIV)
        return x[1] != 0;
    return op != SFV_SQRT || x[0] >= 0;
}

static void check_op(enum sfv_op op, int width)
{
    struct sfv_rng g = {.state = 1000 + (uint64_t)op * 64 + (uint64_t)width};
    int checked = 0;

    for (int i = 0; i < VECTORS; i++) {
        uint64_t v[3];
        struct outcome r = {0};
        sfv_operands(&g, op, width, v);
        quad x[3] = {value(width, v[0]), value(width, v[1]), value(width, v[2])};
        if (!is_plain(op, width, v, x))
            continue;
        for (int rm = 0; rm < MODES; rm++)
            r.bits[rm] = sfv_call(op, width, v, rm, &r.fl[rm]);
        check(sfv_op_name[op], op, width, x, v, &r);
        checked++;
    }
    assert_true(checked > VECTORS / 4);
}

static void arithmetic_is_exact(void **state)
{
    (void)state;
    for (int op = 0; op < SFV_OPS; op++) {
        check_op((enum sfv_op)op, 64);
        check_op((enum sfv_op)op, 32);
    }
}

static void narrowing_is_exact(void **state)
{
    struct sfv_rng g = {.state = 5};

    (void)state;
    for (int i = 0; i < VECTORS; i++) {
        uint64_t v[3] = {sfv_float(&g, 64), 0, 0};
        struct outcome r = {0};
        if (i & 1) /* in or near the range of binary32 */
            v[0] = (v[0] & ~(UINT64_C(0x7ff) << 52)) | (UINT64_C(868) + (v[0] >> 7) % 290) << 52;
        if (!is_finite(64, v[0]))
            continue;
        quad x[3] = {value(64, v[0])};
        for (int rm = 0; rm < MODES; rm++)
            r.bits[rm] = sf_f64_to_f32(v[0], (enum sf_round)rm, &r.fl[rm]);
        check("f64_to_f", CONVERT, 32, x, v, &r);
    }
}

static void from_integers_is_exact(void **state)
{
    struct sfv_rng g = {.state = 6};

    (void)state;
    for (int i = 0; i < VECTORS; i++) {
        uint64_t v[3] = {sfv_int(&g), 0, 0};
        struct outcome r[8] = {0};
        quad s64[3] = {(int64_t)v[0]};
        quad u64[3] = {v[0]};
        quad s32[3] = {(int32_t)v[0]};
        quad u32[3] = {(uint32_t)v[0]};
        for (int n = 0; n < MODES; n++) {
            enum sf_round rm = (enum sf_round)n;
            r[0].bits[n] = sf_i64_to_f64((int64_t)v[0], rm, &r[0].fl[n]);
            r[1].bits[n] = sf_i64_to_f32((int64_t)v[0], rm, &r[1].fl[n]);
            r[2].bits[n] = sf_u64_to_f64(v[0], rm, &r[2].fl[n]);
            r[3].bits[n] = sf_u64_to_f32(v[0], rm, &r[3].fl[n]);
            r[4].bits[n] = sf_i32_to_f64((int32_t)v[0], rm, &r[4].fl[n]);
            r[5].bits[n] = sf_i32_to_f32((int32_t)v[0], rm, &r[5].fl[n]);
            r[6].bits[n] = sf_u32_to_f64((uint32_t)v[0], rm, &r[6].fl[n]);
            r[7].bits[n] = sf_u32_to_f32((uint32_t)v[0], rm, &r[7].fl[n]);
        }
        check("i64_to_f", CONVERT, 64, s64, v, &r[0]);
        check("i64_to_f", CONVERT, 32, s64, v, &r[1]);
        check("u64_to_f", CONVERT, 64, u64, v, &r[2]);
        check("u64_to_f", CONVERT, 32, u64, v, &r[3]);
        check("i32_to_f", CONVERT, 64, s32, v, &r[4]);
        check("i32_to_f", CONVERT, 32, s32, v, &r[5]);
        check("u32_to_f", CONVERT, 64, u32, v, &r[6]);
        check("u32_to_f", CONVERT, 32, u32, v, &r[7]);
    }
}

/* x rounded to an integer; |x| is far from int128's limits. */
static int128 round_to_integer(quad x, enum sf_round rm, bool *inexact)
{
    int128 t = (int128)x;
    quad rest = x - (quad)t;
    int away = sign_of(x);
    int128 other = t + away;
    quad distance = rest < 0 ? -rest : rest;

    *inexact = rest != 0;
    if (rest == 0)
        return t;
    switch (rm) {
    case SF_RDN: return away < 0 ? other : t;
    case SF_RUP: return away > 0 ? other : t;
    case SF_RNE: return distance > 0.5 || (distance == 0.5 && (t & 1)) ? other : t;
    case SF_RMM: return distance >= 0.5 ? other : t;
    default: return t;
    }
}

struct int_type {
    const char *name;
    int bits;
    bool is_signed;
    uint64_t (*from64)(uint64_t a, unsigned mode, uint32_t *fl);
    uint64_t (*from32)(uint32_t a, unsigned mode, uint32_t *fl);
};

static const struct int_type int_types[] = {
    {"i32", 32, true, sf_f64_to_i32, sf_f32_to_i32},
    {"u32", 32, false, sf_f64_to_u32, sf_f32_to_u32},
    {"i64", 64, true, sf_f64_to_i64, sf_f32_to_i64},
    {"u64", 64, false, sf_f64_to_u64, sf_f32_to_u64},
};

static void check_to_int(const struct int_type *t, int width, uint64_t bits, enum sf_round rm)
{
    int128 max = ((int128)1 << (t->is_signed ? t->bits - 1 : t->bits)) - 1;
    int128 min = t->is_signed ? -max - 1 : 0;
    quad x = value(width, bits);
    quad far = 0x1p100;
    bool inexact = false;
    int128 want = x > far ? max + 1 : x < -far ? min - 1 : round_to_integer(x, rm, &inexact);
    uint32_t want_fl = inexact ? SF_NX : 0;
    uint32_t fl = 0;

    if (want > max || want < min) {
        want = want > max ? max : min;
        want_fl = SF_NV;
    }
    uint64_t want_bits = (uint64_t)want;
    if (t->bits == 32)
        want_bits = (uint64_t)(int64_t)(int32_t)want;
    uint64_t got = width == 64 ? t->from64(bits, rm, &fl) : t->from32((uint32_t)bits, rm, &fl);
    if (got != want_bits || fl != want_fl)
        fail_msg("f%d_to_%s %s %#llx: got %#llx flags %#x, want %#llx flags %#x", width, t->name,
                 sfv_round_name[rm], (unsigned long long)bits, (unsigned long long)got, fl,
                 (unsigned long long)want_bits, want_fl);
}

static void to_integers_is_exact(void **state)
{
    struct sfv_rng g = {.state = 7};

    (void)state;
    for (int i = 0; i < VECTORS; i++) {
        uint64_t v64 = sfv_float(&g, 64);
        uint64_t v32 = sfv_float(&g, 32);
        uint32_t ignored = 0;
        if (i % 4 == 1) { /* exponents from 2^-4 to 2^66 */
            v64 = (v64 & ~(UINT64_C(0x7ff) << 52)) | (UINT64_C(1019) + (v64 >> 7) % 71) << 52;
            v32 = (v32 & ~(UINT64_C(0xff) << 23)) | (UINT64_C(123) + (v32 >> 3) % 71) << 23;
        } else if (i % 4 == 2) { /* around the limits, halves and neighbours */
            uint64_t n = sfv_int(&g);
            v64 = sf_div64(sf_i64_to_f64((int64_t)n, SF_RNE, &ignored),
                           sf_i64_to_f64(1 << (n >> 9 & 3), SF_RNE, &ignored), SF_RNE, &ignored);
            v32 = sf_f64_to_f32(v64, SF_RNE, &ignored);
        }
        for (size_t n = 0; n < sizeof(int_types) / sizeof(int_types[0]); n++) {
            for (int rm = 0; rm < MODES; rm++) {
                if (v64 << 1 <= UINT64_C(0x7ff) << 53)
                    check_to_int(&int_types[n], 64, v64, (enum sf_round)rm);
                if ((uint32_t)v32 << 1 <= UINT32_C(0xff) << 24)
                    check_to_int(&int_types[n], 32, v32, (enum sf_round)rm);
            }
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(arithmetic_is_exact),
        cmocka_unit_test(narrowing_is_exact),
        cmocka_unit_test(from_integers_is_exact),
        cmocka_unit_test(to_integers_is_exact),
    };
    return cmocka_run_group_tests_name("sf_exact", tests, NULL, NULL);
}
