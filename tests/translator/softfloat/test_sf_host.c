/*
 * The soft-float against the host's SSE and FMA units: results, and MXCSR's sticky flags, in the
 * four rounding modes they have. x86 judges tininess after rounding, as RISC-V does. Where the two
 * differ (NaN payloads, inf * 0 + NaN, conversions out of range) the difference is written out.
 *
 * Operands and results go through volatiles between the writes and reads of MXCSR, so the compiler
 * can neither fold an operation nor move it.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>
#include <emmintrin.h>

#include "translator/ir/softfloat/softfloat.h"
#include "tests/translator/softfloat/sf_vectors.h"

enum { VECTORS = 150000, HOST_MODES = 4, MXCSR_DEFAULT = 0x1f80 };

static void host_begin(int rm)
{
    /* MXCSR.RC: 0 nearest, 1 down, 2 up, 3 to zero */
    static const unsigned rc[HOST_MODES] = {[SF_RNE] = 0, [SF_RDN] = 1, [SF_RUP] = 2, [SF_RTZ] = 3};
    _mm_setcsr(MXCSR_DEFAULT | rc[rm] << 13);
}

static uint32_t host_end(void)
{
    unsigned csr = _mm_getcsr();

    _mm_setcsr(MXCSR_DEFAULT);
    return (csr & 1 ? SF_NV : 0) | (csr & 4 ? SF_DZ : 0) | (csr & 8 ? SF_OF : 0) |
           (csr & 16 ? SF_UF : 0) | (csr & 32 ? SF_NX : 0);
}

static double to_double(uint64_t bits)
{
    double d;
    memcpy(&d, &bits, sizeof(d));
    return d;
}

static float to_float(uint32_t bits)
{
    float f;
    memcpy(&f, &bits, sizeof(f));
    return f;
}

static uint64_t double_bits(double d)
{
    uint64_t bits;
    memcpy(&bits, &d, sizeof(bits));
    return bits << 1 > UINT64_C(0x7ff) << 53 ? SF_NAN64 : bits;
}

static uint32_t float_bits(float f)
{
    uint32_t bits;
    memcpy(&bits, &f, sizeof(bits));
    return bits << 1 > UINT32_C(0xff) << 24 ? SF_NAN32 : bits;
}

__attribute__((target("fma"), noinline)) static double host_fma64(double a, double b, double c)
{
    return __builtin_fma(a, b, c);
}

__attribute__((target("fma"), noinline)) static float host_fma32(float a, float b, float c)
{
    return __builtin_fmaf(a, b, c);
}

static double host_sqrt64(double a)
{
    __m128d v = _mm_set_sd(a);
    return _mm_cvtsd_f64(_mm_sqrt_sd(v, v));
}

static float host_sqrt32(float a)
{
    return _mm_cvtss_f32(_mm_sqrt_ss(_mm_set_ss(a)));
}

static uint64_t host64(enum sfv_op op, const uint64_t v[3], int rm, uint32_t *fl)
{
    volatile double a = to_double(v[0]);
    volatile double b = to_double(v[1]);
    volatile double c = to_double(v[2]);
    volatile double r = 0;

    host_begin(rm);
    switch (op) {
    case SFV_ADD: r = a + b; break;
    case SFV_SUB: r = a - b; break;
    case SFV_MUL: r = a * b; break;
    case SFV_DIV: r = a / b; break;
    case SFV_SQRT: r = host_sqrt64(a); break;
    default: r = host_fma64(a, b, c); break;
    }
    *fl = host_end();
    return double_bits(r);
}

static uint32_t host32(enum sfv_op op, const uint64_t v[3], int rm, uint32_t *fl)
{
    volatile float a = to_float((uint32_t)v[0]);
    volatile float b = to_float((uint32_t)v[1]);
    volatile float c = to_float((uint32_t)v[2]);
    volatile float r = 0;

    host_begin(rm);
    switch (op) {
    case SFV_ADD: r = a + b; break;
    case SFV_SUB: r = a - b; break;
    case SFV_MUL: r = a * b; break;
    case SFV_DIV: r = a / b; break;
    case SFV_SQRT: r = host_sqrt32(a); break;
    default: r = host_fma32(a, b, c); break;
    }
    *fl = host_end();
    return float_bits(r);
}

/* inf * 0 with a quiet NaN to add: RISC-V raises NV, x86 doesn't. */
static bool is_inf_times_zero(int width, const uint64_t v[3])
{
    uint64_t inf = width == 64 ? UINT64_C(0x7ff) << 53 : UINT64_C(0xff) << 24;
    uint64_t mask = ~UINT64_C(0) >> (64 - width);
    uint64_t a = v[0] << 1 & mask;
    uint64_t b = v[1] << 1 & mask;

    return (a == inf && b == 0) || (a == 0 && b == inf);
}

static void check_op(enum sfv_op op, int width)
{
    struct sfv_rng g = {.state = (uint64_t)op * 64 + (uint64_t)width};
    uint64_t v[3];

    for (int i = 0; i < VECTORS; i++) {
        sfv_operands(&g, op, width, v);
        for (int rm = 0; rm < HOST_MODES; rm++) {
            uint32_t fl = 0;
            uint32_t want_fl;
            uint64_t got = sfv_call(op, width, v, rm, &fl);
            uint64_t want = width == 64 ? host64(op, v, rm, &want_fl) : host32(op, v, rm, &want_fl);
            if (op == SFV_FMA && is_inf_times_zero(width, v))
                want_fl |= SF_NV;
            if (got == want && fl == want_fl)
                continue;
            fail_msg("%s%d %s %#llx %#llx %#llx: got %#llx flags %#x, host %#llx flags %#x",
                     sfv_op_name[op], width, sfv_round_name[rm], (unsigned long long)v[0],
                     (unsigned long long)v[1], (unsigned long long)v[2], (unsigned long long)got,
                     fl, (unsigned long long)want, want_fl);
        }
    }
}

static void arithmetic_matches_host(void **state)
{
    (void)state;
    for (int op = SFV_ADD; op <= SFV_SQRT; op++) {
        check_op((enum sfv_op)op, 64);
        check_op((enum sfv_op)op, 32);
    }
}

static void fma_matches_host(void **state)
{
    (void)state;
    if (!__builtin_cpu_supports("fma"))
        skip();
    check_op(SFV_FMA, 64);
    check_op(SFV_FMA, 32);
}

static void check_same(const char *what, uint64_t operand, int rm, uint64_t got, uint32_t fl,
                       uint64_t want, uint32_t want_fl)
{
    if (got != want || fl != want_fl)
        fail_msg("%s %s %#llx: got %#llx flags %#x, host %#llx flags %#x", what, sfv_round_name[rm],
                 (unsigned long long)operand, (unsigned long long)got, fl, (unsigned long long)want,
                 want_fl);
}

static void formats_match_host(void **state)
{
    struct sfv_rng g = {.state = 1};

    (void)state;
    for (int i = 0; i < VECTORS; i++) {
        uint64_t wide = sfv_float(&g, 64);
        uint32_t narrow = (uint32_t)sfv_float(&g, 32);
        if (i & 1) /* in or near the range of binary32 */
            wide = (wide & ~(UINT64_C(0x7ff) << 52)) | (UINT64_C(868) + (wide >> 7) % 290) << 52;
        for (int rm = 0; rm < HOST_MODES; rm++) {
            uint32_t fl = 0;
            volatile double d = to_double(wide);
            volatile float f = 0;
            host_begin(rm);
            f = (float)d;
            uint32_t want_fl = host_end();
            uint32_t got = sf_f64_to_f32(wide, (enum sf_round)rm, &fl);
            check_same("f64_to_f32", wide, rm, got, fl, float_bits(f), want_fl);

            fl = 0;
            f = to_float(narrow);
            host_begin(rm);
            d = (double)f;
            want_fl = host_end();
            uint64_t got64 = sf_f32_to_f64(narrow, 0, &fl);
            check_same("f32_to_f64", narrow, rm, got64, fl, double_bits(d), want_fl);
        }
    }
}

/* What the host's conversions to signed integers say; "invalid" leaves no usable result. */
static int64_t host_to_i64(int width, uint64_t bits, int rm, uint32_t *fl)
{
    volatile double d = width == 64 ? to_double(bits) : 0;
    volatile float f = width == 32 ? to_float((uint32_t)bits) : 0;
    volatile int64_t r = 0;

    host_begin(rm);
    if (width == 64)
        r = _mm_cvtsd_si64(_mm_set_sd(d));
    else
        r = _mm_cvtss_si64(_mm_set_ss(f));
    *fl = host_end();
    return r;
}

/* Conversions to 32 bits follow from the one to 64: RISC-V gives the clamped value and NV alone. */
static void check_to_int(int width, uint64_t bits, int rm)
{
    enum sf_round m = (enum sf_round)rm;
    uint32_t f32 = (uint32_t)bits;
    bool wide = width == 64;
    uint32_t host_fl;
    int64_t host = host_to_i64(width, bits, rm, &host_fl);
    bool nan =
        wide ? double_bits(to_double(bits)) == SF_NAN64 : float_bits(to_float(f32)) == SF_NAN32;
    bool high = nan || !(bits >> (width - 1));
    bool bad = host_fl & SF_NV;

    uint32_t fl = 0;
    uint64_t got = wide ? sf_f64_to_i64(bits, m, &fl) : sf_f32_to_i64(f32, m, &fl);
    check_same("to_i64", bits, rm, got, fl,
               bad ? (uint64_t)(high ? INT64_MAX : INT64_MIN) : (uint64_t)host, host_fl);

    bool over = bad ? high : host > INT32_MAX;
    bool under = bad ? !high : host < INT32_MIN;
    fl = 0;
    got = wide ? sf_f64_to_i32(bits, m, &fl) : sf_f32_to_i32(f32, m, &fl);
    check_same("to_i32", bits, rm, got, fl,
               (uint64_t)(over    ? INT32_MAX
                          : under ? INT32_MIN
                                  : host),
               over || under ? SF_NV : host_fl);

    over = bad ? high : host > UINT32_MAX;
    under = bad ? !high : host < 0;
    fl = 0;
    got = wide ? sf_f64_to_u32(bits, m, &fl) : sf_f32_to_u32(f32, m, &fl);
    check_same("to_u32", bits, rm, got, fl,
               over    ? UINT64_MAX
               : under ? 0
                       : (uint64_t)(int64_t)(int32_t)host,
               over || under ? SF_NV : host_fl);
}

static void to_integers_match_host(void **state)
{
    struct sfv_rng g = {.state = 2};

    (void)state;
    for (int i = 0; i < VECTORS; i++) {
        uint64_t v64 = sfv_float(&g, 64);
        uint64_t v32 = sfv_float(&g, 32);
        if (i & 1) { /* exponents from 2^-4 to 2^66 */
            v64 = (v64 & ~(UINT64_C(0x7ff) << 52)) | (UINT64_C(1019) + (v64 >> 7) % 71) << 52;
            v32 = (v32 & ~(UINT64_C(0xff) << 23)) | (UINT64_C(123) + (v32 >> 3) % 71) << 23;
        }
        for (int rm = 0; rm < HOST_MODES; rm++) {
            check_to_int(64, v64, rm);
            check_to_int(32, v32, rm);
        }
    }
}

static void from_integers_match_host(void **state)
{
    struct sfv_rng g = {.state = 3};

    (void)state;
    for (int i = 0; i < VECTORS; i++) {
        uint64_t v = sfv_int(&g);
        for (int rm = 0; rm < HOST_MODES; rm++) {
            enum sf_round m = (enum sf_round)rm;
            volatile int64_t wide = (int64_t)v;
            volatile int32_t narrow = (int32_t)v;
            volatile double d[2];
            volatile float f[2];
            uint32_t want_fl[4];

            host_begin(rm);
            d[0] = (double)wide;
            want_fl[0] = host_end();
            host_begin(rm);
            d[1] = (double)narrow;
            want_fl[1] = host_end();
            host_begin(rm);
            f[0] = (float)wide;
            want_fl[2] = host_end();
            host_begin(rm);
            f[1] = (float)narrow;
            want_fl[3] = host_end();

            uint32_t fl[4] = {0};
            uint64_t got = sf_i64_to_f64((int64_t)v, m, &fl[0]);
            check_same("i64_to_f64", v, rm, got, fl[0], double_bits(d[0]), want_fl[0]);
            got = sf_i32_to_f64((int32_t)v, m, &fl[1]);
            check_same("i32_to_f64", v, rm, got, fl[1], double_bits(d[1]), want_fl[1]);
            got = sf_i64_to_f32((int64_t)v, m, &fl[2]);
            check_same("i64_to_f32", v, rm, got, fl[2], float_bits(f[0]), want_fl[2]);
            got = sf_i32_to_f32((int32_t)v, m, &fl[3]);
            check_same("i32_to_f32", v, rm, got, fl[3], float_bits(f[1]), want_fl[3]);
        }
    }
}

static void check_compare64(uint64_t x, uint64_t y)
{
    volatile double a = to_double(x);
    volatile double b = to_double(y);
    volatile int r[3];
    uint32_t want_fl[3];
    uint32_t fl[3] = {0};

    host_begin(SF_RNE);
    r[0] = _mm_ucomieq_sd(_mm_set_sd(a), _mm_set_sd(b));
    want_fl[0] = host_end();
    host_begin(SF_RNE);
    r[1] = _mm_comilt_sd(_mm_set_sd(a), _mm_set_sd(b));
    want_fl[1] = host_end();
    host_begin(SF_RNE);
    r[2] = _mm_comile_sd(_mm_set_sd(a), _mm_set_sd(b));
    want_fl[2] = host_end();
    /* Some compilers' ucomieq says "equal" of unordered operands. */
    bool ordered = a == a && b == b;
    int eq = sf_eq64(x, y, &fl[0]);
    int lt = sf_lt64(x, y, &fl[1]);
    int le = sf_le64(x, y, &fl[2]);
    check_same("eq64", x, 0, (uint64_t)eq, fl[0], ordered && r[0], want_fl[0]);
    check_same("lt64", x, 0, (uint64_t)lt, fl[1], ordered && r[1], want_fl[1]);
    check_same("le64", x, 0, (uint64_t)le, fl[2], ordered && r[2], want_fl[2]);
}

static void check_compare32(uint32_t x, uint32_t y)
{
    volatile float a = to_float(x);
    volatile float b = to_float(y);
    volatile int r[3];
    uint32_t want_fl[3];
    uint32_t fl[3] = {0};

    host_begin(SF_RNE);
    r[0] = _mm_ucomieq_ss(_mm_set_ss(a), _mm_set_ss(b));
    want_fl[0] = host_end();
    host_begin(SF_RNE);
    r[1] = _mm_comilt_ss(_mm_set_ss(a), _mm_set_ss(b));
    want_fl[1] = host_end();
    host_begin(SF_RNE);
    r[2] = _mm_comile_ss(_mm_set_ss(a), _mm_set_ss(b));
    want_fl[2] = host_end();
    bool ordered = a == a && b == b;
    int eq = sf_eq32(x, y, &fl[0]);
    int lt = sf_lt32(x, y, &fl[1]);
    int le = sf_le32(x, y, &fl[2]);
    check_same("eq32", x, 0, (uint64_t)eq, fl[0], ordered && r[0], want_fl[0]);
    check_same("lt32", x, 0, (uint64_t)lt, fl[1], ordered && r[1], want_fl[1]);
    check_same("le32", x, 0, (uint64_t)le, fl[2], ordered && r[2], want_fl[2]);
}

/* min and max where the host's instructions are clear: no NaN, not two zeros. */
static void check_min_max(uint64_t x, uint64_t y, uint32_t p, uint32_t q)
{
    double a = to_double(x);
    double b = to_double(y);
    float c = to_float(p);
    float d = to_float(q);
    uint32_t fl = 0;

    if (a == a && b == b && (a != 0 || b != 0)) {
        uint64_t lower = sf_min64(x, y, 0, &fl);
        uint64_t upper = sf_max64(x, y, 0, &fl);
        check_same("min64", x, 0, lower, fl, a < b ? x : y, 0);
        check_same("max64", x, 0, upper, fl, a > b ? x : y, 0);
    }
    if (c == c && d == d && (c != 0 || d != 0)) {
        uint32_t lower = sf_min32(p, q, 0, &fl);
        uint32_t upper = sf_max32(p, q, 0, &fl);
        check_same("min32", p, 0, lower, fl, c < d ? p : q, 0);
        check_same("max32", p, 0, upper, fl, c > d ? p : q, 0);
    }
}

static void comparisons_match_host(void **state)
{
    struct sfv_rng g = {.state = 4};
    uint64_t v[3];
    uint64_t w[3];

    (void)state;
    for (int i = 0; i < VECTORS; i++) {
        sfv_operands(&g, SFV_ADD, 64, v);
        sfv_operands(&g, SFV_ADD, 32, w);
        check_compare64(v[0], v[1]);
        check_compare32((uint32_t)w[0], (uint32_t)w[1]);
        check_min_max(v[0], v[1], (uint32_t)w[0], (uint32_t)w[1]);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(arithmetic_matches_host),  cmocka_unit_test(fma_matches_host),
        cmocka_unit_test(formats_match_host),       cmocka_unit_test(to_integers_match_host),
        cmocka_unit_test(from_integers_match_host), cmocka_unit_test(comparisons_match_host),
    };
    return cmocka_run_group_tests_name("sf_host", tests, NULL, NULL);
}
