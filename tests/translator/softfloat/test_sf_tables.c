/*
 * The soft-float on values worked out by hand: specials, ties, overflow, underflow and the choices
 * that the RISC-V manual makes. Runs on any host, without its FP.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "translator/ir/softfloat/softfloat.h"
#include "tests/translator/softfloat/sf_vectors.h"

#define NEG        UINT64_C(0x8000000000000000)
#define INF        UINT64_C(0x7ff0000000000000)
#define MAX        UINT64_C(0x7fefffffffffffff)
#define MIN_NORMAL UINT64_C(0x0010000000000000)
#define MAX_SUB    UINT64_C(0x000fffffffffffff)
#define MIN_SUB    UINT64_C(1)
#define ONE        UINT64_C(0x3ff0000000000000)
#define ONE_NEXT   UINT64_C(0x3ff0000000000001)
#define ONE_PREV   UINT64_C(0x3fefffffffffffff)
#define HALF       UINT64_C(0x3fe0000000000000)
#define TWO        UINT64_C(0x4000000000000000)
#define THREE      UINT64_C(0x4008000000000000)
#define FOUR       UINT64_C(0x4010000000000000)
#define QNAN       UINT64_C(0xfff80000000abcde) /* quiet, but not the canonical one */
#define SNAN       UINT64_C(0x7ff0000000000001)
#define POW2(e)    ((uint64_t)((e) + 1023) << 52)

#define NEGS     UINT32_C(0x80000000)
#define INFS     UINT32_C(0x7f800000)
#define MAXS     UINT32_C(0x7f7fffff)
#define ONES     UINT32_C(0x3f800000)
#define QNANS    UINT32_C(0xffc00123)
#define SNANS    UINT32_C(0x7f800001)
#define POW2S(e) ((uint32_t)((e) + 127) << 23)

/* The same in all modes; or one for each of RNE, RTZ, RDN, RUP, RMM. */
#define ALL(x)                                                                                     \
    {                                                                                              \
        (x), (x), (x), (x), (x)                                                                    \
    }
#define EACH(n, z, d, u, m)                                                                        \
    {                                                                                              \
        (n), (z), (d), (u), (m)                                                                    \
    }

struct row {
    enum sfv_op op;
    uint64_t v[3];
    uint64_t want[5];
    uint32_t fl[5];
};

static void run_rows(int width, const struct row *rows, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        const struct row *t = &rows[i];
        for (int rm = 0; rm < 5; rm++) {
            uint32_t fl = 0;
            uint64_t got = sfv_call(t->op, width, t->v, rm, &fl);
            if (got != t->want[rm] || fl != t->fl[rm])
                fail_msg("row %zu %s%d %s %#llx %#llx %#llx: got %#llx flags %#x, want %#llx "
                         "flags %#x",
                         i, sfv_op_name[t->op], width, sfv_round_name[rm],
                         (unsigned long long)t->v[0], (unsigned long long)t->v[1],
                         (unsigned long long)t->v[2], (unsigned long long)got, fl,
                         (unsigned long long)t->want[rm], t->fl[rm]);
        }
    }
}

#define OFNX (SF_OF | SF_NX)
#define UFNX (SF_UF | SF_NX)

static const struct row rows64[] = {
    /* sums that are zero: +0, but -0 when rounding down */
    {SFV_ADD, {ONE, ONE | NEG}, EACH(0, 0, NEG, 0, 0), ALL(0)},
    {SFV_ADD, {0, NEG}, EACH(0, 0, NEG, 0, 0), ALL(0)},
    {SFV_ADD, {0, 0}, ALL(0), ALL(0)},
    {SFV_ADD, {NEG, NEG}, ALL(NEG), ALL(0)},
    {SFV_ADD, {NEG, MIN_SUB}, ALL(MIN_SUB), ALL(0)},
    {SFV_SUB, {ONE, ONE}, EACH(0, 0, NEG, 0, 0), ALL(0)},
    {SFV_SUB, {0, 0}, EACH(0, 0, NEG, 0, 0), ALL(0)},
    {SFV_SUB, {NEG, 0}, ALL(NEG), ALL(0)},
    /* infinities and NaNs */
    {SFV_ADD, {INF, INF | NEG}, ALL(SF_NAN64), ALL(SF_NV)},
    {SFV_SUB, {INF, INF}, ALL(SF_NAN64), ALL(SF_NV)},
    {SFV_ADD, {INF | NEG, INF | NEG}, ALL(INF | NEG), ALL(0)},
    {SFV_ADD, {MAX | NEG, INF}, ALL(INF), ALL(0)},
    {SFV_ADD, {QNAN, ONE}, ALL(SF_NAN64), ALL(0)},
    {SFV_ADD, {ONE, SNAN}, ALL(SF_NAN64), ALL(SF_NV)},
    {SFV_ADD, {QNAN, SNAN}, ALL(SF_NAN64), ALL(SF_NV)},
    {SFV_ADD, {QNAN, INF}, ALL(SF_NAN64), ALL(0)},
    {SFV_SUB, {ONE, QNAN}, ALL(SF_NAN64), ALL(0)},
    /* overflow; half a unit above the largest number, and a quarter */
    {SFV_ADD, {MAX, MAX}, EACH(INF, MAX, MAX, INF, INF), ALL(OFNX)},
    {SFV_ADD,
     {MAX | NEG, MAX | NEG},
     EACH(INF | NEG, MAX | NEG, INF | NEG, MAX | NEG, INF | NEG),
     ALL(OFNX)},
    {SFV_ADD,
     {MAX, POW2(970)},
     EACH(INF, MAX, MAX, INF, INF),
     EACH(OFNX, SF_NX, SF_NX, OFNX, OFNX)},
    {SFV_ADD,
     {MAX, POW2(969)},
     EACH(MAX, MAX, MAX, INF, MAX),
     EACH(SF_NX, SF_NX, SF_NX, OFNX, SF_NX)},
    /* ties to even and to odd neighbours, and far below a tie */
    {SFV_ADD, {ONE, POW2(-53)}, EACH(ONE, ONE, ONE, ONE_NEXT, ONE_NEXT), ALL(SF_NX)},
    {SFV_ADD,
     {ONE_NEXT, POW2(-53)},
     EACH(ONE + 2, ONE_NEXT, ONE_NEXT, ONE + 2, ONE + 2),
     ALL(SF_NX)},
    {SFV_SUB,
     {ONE | NEG, POW2(-53)},
     EACH(ONE | NEG, ONE | NEG, ONE_NEXT | NEG, ONE | NEG, ONE_NEXT | NEG),
     ALL(SF_NX)},
    {SFV_SUB, {ONE, MIN_SUB}, EACH(ONE, ONE_PREV, ONE_PREV, ONE, ONE), ALL(SF_NX)},
    {SFV_SUB, {ONE, POW2(-54)}, EACH(ONE, ONE_PREV, ONE_PREV, ONE, ONE), ALL(SF_NX)},
    /* sums never underflow inexactly */
    {SFV_ADD, {MIN_SUB, MIN_SUB}, ALL(2), ALL(0)},
    {SFV_ADD, {MAX_SUB, MIN_SUB}, ALL(MIN_NORMAL), ALL(0)},
    {SFV_SUB, {MIN_NORMAL, MIN_SUB}, ALL(MAX_SUB), ALL(0)},

    {SFV_MUL, {INF, 0}, ALL(SF_NAN64), ALL(SF_NV)},
    {SFV_MUL, {NEG, INF}, ALL(SF_NAN64), ALL(SF_NV)},
    {SFV_MUL, {INF, MIN_SUB | NEG}, ALL(INF | NEG), ALL(0)},
    {SFV_MUL, {0, ONE | NEG}, ALL(NEG), ALL(0)},
    {SFV_MUL, {NEG, NEG}, ALL(0), ALL(0)},
    {SFV_MUL, {SNAN, 0}, ALL(SF_NAN64), ALL(SF_NV)},
    {SFV_MUL, {MAX, TWO}, EACH(INF, MAX, MAX, INF, INF), ALL(OFNX)},
    {SFV_MUL, {MIN_SUB, HALF}, EACH(0, 0, 0, MIN_SUB, MIN_SUB), ALL(UFNX)},
    {SFV_MUL, {MIN_SUB, HALF | NEG}, EACH(NEG, NEG, MIN_SUB | NEG, NEG, MIN_SUB | NEG), ALL(UFNX)},
    {SFV_MUL, {MIN_SUB, MIN_SUB}, EACH(0, 0, 0, MIN_SUB, 0), ALL(UFNX)},
    {SFV_MUL, {MIN_NORMAL, HALF}, ALL(UINT64_C(0x0008000000000000)), ALL(0)},
    /* 2^-1022 (1 - 2^-53) has full precision below the smallest normal: tiny in every mode */
    {SFV_MUL,
     {MIN_NORMAL, ONE_PREV},
     EACH(MIN_NORMAL, MAX_SUB, MAX_SUB, MIN_NORMAL, MIN_NORMAL),
     ALL(UFNX)},
    /* 2^-1022 (1 + 2^-27)(1 - 2^-27) is half a unit higher: tiny only where it is rounded down */
    {SFV_MUL,
     {UINT64_C(0x0010000002000000), UINT64_C(0x3feffffffc000000)},
     EACH(MIN_NORMAL, MAX_SUB, MAX_SUB, MIN_NORMAL, MIN_NORMAL),
     EACH(SF_NX, UFNX, UFNX, SF_NX, SF_NX)},

    {SFV_DIV, {ONE, 0}, ALL(INF), ALL(SF_DZ)},
    {SFV_DIV, {ONE | NEG, 0}, ALL(INF | NEG), ALL(SF_DZ)},
    {SFV_DIV, {ONE, NEG}, ALL(INF | NEG), ALL(SF_DZ)},
    {SFV_DIV, {0, NEG}, ALL(SF_NAN64), ALL(SF_NV)},
    {SFV_DIV, {INF, INF | NEG}, ALL(SF_NAN64), ALL(SF_NV)},
    {SFV_DIV, {INF, NEG}, ALL(INF | NEG), ALL(0)},
    {SFV_DIV, {0, INF}, ALL(0), ALL(0)},
    {SFV_DIV, {ONE | NEG, INF}, ALL(NEG), ALL(0)},
    {SFV_DIV, {QNAN, 0}, ALL(SF_NAN64), ALL(0)},
    {SFV_DIV, {SNAN, 0}, ALL(SF_NAN64), ALL(SF_NV)},
    {SFV_DIV,
     {ONE, THREE},
     EACH(UINT64_C(0x3fd5555555555555), UINT64_C(0x3fd5555555555555), UINT64_C(0x3fd5555555555555),
          UINT64_C(0x3fd5555555555556), UINT64_C(0x3fd5555555555555)),
     ALL(SF_NX)},
    {SFV_DIV, {MIN_SUB, TWO}, EACH(0, 0, 0, MIN_SUB, MIN_SUB), ALL(UFNX)},
    {SFV_DIV, {MAX, MIN_SUB}, EACH(INF, MAX, MAX, INF, INF), ALL(OFNX)},

    {SFV_SQRT, {FOUR}, ALL(TWO), ALL(0)},
    {SFV_SQRT, {0}, ALL(0), ALL(0)},
    {SFV_SQRT, {NEG}, ALL(NEG), ALL(0)},
    {SFV_SQRT, {INF}, ALL(INF), ALL(0)},
    {SFV_SQRT, {INF | NEG}, ALL(SF_NAN64), ALL(SF_NV)},
    {SFV_SQRT, {MIN_SUB | NEG}, ALL(SF_NAN64), ALL(SF_NV)},
    {SFV_SQRT, {QNAN}, ALL(SF_NAN64), ALL(0)},
    {SFV_SQRT, {SNAN | NEG}, ALL(SF_NAN64), ALL(SF_NV)},
    {SFV_SQRT, {MIN_SUB}, ALL(POW2(-537)), ALL(0)},
    {SFV_SQRT,
     {TWO},
     EACH(UINT64_C(0x3ff6a09e667f3bcd), UINT64_C(0x3ff6a09e667f3bcc), UINT64_C(0x3ff6a09e667f3bcc),
          UINT64_C(0x3ff6a09e667f3bcd), UINT64_C(0x3ff6a09e667f3bcd)),
     ALL(SF_NX)},
    /* just below a tie */
    {SFV_SQRT,
     {MAX},
     EACH(POW2(512) - 1, POW2(512) - 1, POW2(512) - 1, POW2(512), POW2(512) - 1),
     ALL(SF_NX)},

    /* inf * 0 is invalid even beside a quiet NaN; no other product is */
    {SFV_FMA, {INF, 0, QNAN}, ALL(SF_NAN64), ALL(SF_NV)},
    {SFV_FMA, {0, INF | NEG, ONE}, ALL(SF_NAN64), ALL(SF_NV)},
    {SFV_FMA, {INF, ONE, QNAN}, ALL(SF_NAN64), ALL(0)},
    {SFV_FMA, {MAX, MAX, QNAN}, ALL(SF_NAN64), ALL(0)},
    {SFV_FMA, {QNAN, ONE, SNAN}, ALL(SF_NAN64), ALL(SF_NV)},
    {SFV_FMA, {QNAN, 0, INF}, ALL(SF_NAN64), ALL(0)},
    {SFV_FMA, {INF, ONE, INF | NEG}, ALL(SF_NAN64), ALL(SF_NV)},
    {SFV_FMA, {INF, ONE | NEG, INF | NEG}, ALL(INF | NEG), ALL(0)},
    {SFV_FMA, {MAX, MAX, INF | NEG}, ALL(INF | NEG), ALL(0)},
    {SFV_FMA, {ONE, ONE, ONE | NEG}, EACH(0, 0, NEG, 0, 0), ALL(0)},
    {SFV_FMA, {0, ONE | NEG, 0}, EACH(0, 0, NEG, 0, 0), ALL(0)},
    {SFV_FMA, {0, ONE | NEG, NEG}, ALL(NEG), ALL(0)},
    {SFV_FMA, {0, ONE, MIN_SUB}, ALL(MIN_SUB), ALL(0)},
    /* one rounding: (1 + 2^-52)(1 - 2^-52) - 1 = -2^-104, and 2 max - max = max */
    {SFV_FMA, {ONE_NEXT, ONE_PREV - 1, ONE | NEG}, ALL(POW2(-104) | NEG), ALL(0)},
    {SFV_FMA, {TWO, MAX, MAX | NEG}, ALL(MAX), ALL(0)},
    {SFV_FMA, {MIN_SUB, MIN_SUB, ONE}, EACH(ONE, ONE, ONE, ONE_NEXT, ONE), ALL(SF_NX)},
    {SFV_FMA, {MIN_SUB, MIN_SUB | NEG, ONE}, EACH(ONE, ONE_PREV, ONE_PREV, ONE, ONE), ALL(SF_NX)},
    {SFV_FMA, {MIN_SUB, MIN_SUB, 0}, EACH(0, 0, 0, MIN_SUB, 0), ALL(UFNX)},
    /* the product is far below, but tells */
    {SFV_FMA,
     {MIN_SUB, MIN_SUB, ONE_NEXT},
     EACH(ONE_NEXT, ONE_NEXT, ONE_NEXT, ONE + 2, ONE_NEXT),
     ALL(SF_NX)},
};

#define MIN_NORMALS UINT32_C(0x00800000)
#define MAX_SUBS    UINT32_C(0x007fffff)

static const struct row rows32[] = {
    {SFV_ADD, {ONES, ONES | NEGS}, EACH(0, 0, NEGS, 0, 0), ALL(0)},
    {SFV_ADD, {INFS, INFS | NEGS}, ALL(SF_NAN32), ALL(SF_NV)},
    {SFV_ADD, {QNANS, ONES}, ALL(SF_NAN32), ALL(0)},
    {SFV_SUB, {ONES, SNANS}, ALL(SF_NAN32), ALL(SF_NV)},
    {SFV_ADD, {MAXS, MAXS}, EACH(INFS, MAXS, MAXS, INFS, INFS), ALL(OFNX)},
    {SFV_ADD,
     {MAXS | NEGS, POW2S(103) | NEGS},
     EACH(INFS | NEGS, MAXS | NEGS, INFS | NEGS, MAXS | NEGS, INFS | NEGS),
     EACH(OFNX, SF_NX, OFNX, SF_NX, OFNX)},
    {SFV_ADD, {ONES, POW2S(-24)}, EACH(ONES, ONES, ONES, ONES + 1, ONES + 1), ALL(SF_NX)},
    {SFV_SUB, {NEGS, 0}, ALL(NEGS), ALL(0)},
    {SFV_MUL, {INFS, 0}, ALL(SF_NAN32), ALL(SF_NV)},
    {SFV_MUL, {1, POW2S(-1)}, EACH(0, 0, 0, 1, 1), ALL(UFNX)},
    {SFV_MUL,
     {MIN_NORMALS, ONES - 1},
     EACH(MIN_NORMALS, MAX_SUBS, MAX_SUBS, MIN_NORMALS, MIN_NORMALS),
     ALL(UFNX)},
    /* 2^-126 (1 + 2^-13)(1 - 2^-13): tiny only where it is rounded down */
    {SFV_MUL,
     {UINT32_C(0x00800400), UINT32_C(0x3f7ff800)},
     EACH(MIN_NORMALS, MAX_SUBS, MAX_SUBS, MIN_NORMALS, MIN_NORMALS),
     EACH(SF_NX, UFNX, UFNX, SF_NX, SF_NX)},
    {SFV_DIV, {ONES, NEGS}, ALL(INFS | NEGS), ALL(SF_DZ)},
    {SFV_DIV, {0, 0}, ALL(SF_NAN32), ALL(SF_NV)},
    {SFV_DIV,
     {ONES, UINT32_C(0x40400000)},
     EACH(UINT32_C(0x3eaaaaab), UINT32_C(0x3eaaaaaa), UINT32_C(0x3eaaaaaa), UINT32_C(0x3eaaaaab),
          UINT32_C(0x3eaaaaab)),
     ALL(SF_NX)},
    {SFV_SQRT, {NEGS}, ALL(NEGS), ALL(0)},
    {SFV_SQRT, {ONES | NEGS}, ALL(SF_NAN32), ALL(SF_NV)},
    {SFV_SQRT,
     {UINT32_C(0x40000000)},
     EACH(UINT32_C(0x3fb504f3), UINT32_C(0x3fb504f3), UINT32_C(0x3fb504f3), UINT32_C(0x3fb504f4),
          UINT32_C(0x3fb504f3)),
     ALL(SF_NX)},
    {SFV_FMA, {0, INFS, QNANS}, ALL(SF_NAN32), ALL(SF_NV)},
    {SFV_FMA, {POW2S(1), MAXS, MAXS | NEGS}, ALL(MAXS), ALL(0)},
    {SFV_FMA, {1, 1, ONES}, EACH(ONES, ONES, ONES, ONES + 1, ONES), ALL(SF_NX)},
    {SFV_FMA, {ONES + 1, ONES - 2, ONES | NEGS}, ALL(POW2S(-46) | NEGS), ALL(0)},
};

static void arithmetic_gives_hand_made_results(void **state)
{
    (void)state;
    run_rows(64, rows64, sizeof(rows64) / sizeof(rows64[0]));
    run_rows(32, rows32, sizeof(rows32) / sizeof(rows32[0]));
}

static void flags_accumulate(void **state)
{
    uint32_t fl = SF_DZ | 0x100;

    (void)state;
    sf_add64(ONE, POW2(-60), SF_RNE, &fl);
    sf_sqrt32(ONES | NEGS, SF_RNE, &fl);
    sf_add64(ONE, ONE, SF_RNE, &fl);
    assert_int_equal(fl, SF_DZ | SF_NX | SF_NV | 0x100);
}

static void other_rounding_modes_round_towards_zero(void **state)
{
    uint32_t fl = 0;

    (void)state;
    assert_int_equal(sf_add64(ONE_NEXT, POW2(-53), (enum sf_round)7, &fl), ONE_NEXT);
    assert_int_equal(sf_f64_to_i32(UINT64_C(0xc004000000000000), (enum sf_round)5, &fl),
                     (uint64_t)-2);
}

struct to_int_row {
    uint64_t (*f)(uint64_t a, unsigned mode, uint32_t *fl);
    uint64_t a;
    uint64_t want[5];
    uint32_t fl[5];
};

#define I32_MAX  UINT64_C(0x7fffffff)
#define I32_MIN  UINT64_C(0xffffffff80000000)
#define ONES64   UINT64_MAX /* also the largest u32, sign-extended */
#define I64_MAX  UINT64_C(0x7fffffffffffffff)
#define MINUS(n) (0 - UINT64_C(n))

static const struct to_int_row to_int_rows[] = {
    {sf_f64_to_i32, QNAN, ALL(I32_MAX), ALL(SF_NV)},
    {sf_f64_to_i32, SNAN | NEG, ALL(I32_MAX), ALL(SF_NV)},
    {sf_f64_to_u32, QNAN, ALL(ONES64), ALL(SF_NV)},
    {sf_f64_to_i64, QNAN, ALL(I64_MAX), ALL(SF_NV)},
    {sf_f64_to_u64, QNAN, ALL(ONES64), ALL(SF_NV)},
    {sf_f64_to_i32, INF, ALL(I32_MAX), ALL(SF_NV)},
    {sf_f64_to_i32, INF | NEG, ALL(I32_MIN), ALL(SF_NV)},
    {sf_f64_to_u32, INF, ALL(ONES64), ALL(SF_NV)},
    {sf_f64_to_u32, INF | NEG, ALL(0), ALL(SF_NV)},
    {sf_f64_to_i64, MAX | NEG, ALL(NEG), ALL(SF_NV)},
    {sf_f64_to_u64, MAX | NEG, ALL(0), ALL(SF_NV)},
    /* 2^31 - 1/2 and -2^31 - 1/2: the rounded value decides */
    {sf_f64_to_i32, UINT64_C(0x41dfffffffe00000), ALL(I32_MAX),
     EACH(SF_NV, SF_NX, SF_NX, SF_NV, SF_NV)},
    {sf_f64_to_i32, UINT64_C(0xc1e0000000100000), ALL(I32_MIN),
     EACH(SF_NX, SF_NX, SF_NV, SF_NX, SF_NV)},
    {sf_f64_to_i32, POW2(31), ALL(I32_MAX), ALL(SF_NV)},
    {sf_f64_to_i32, POW2(31) | NEG, ALL(I32_MIN), ALL(0)},
    /* 2^32 - 1, 2^32 - 1/2, 2^31: unsigned, yet sign-extended */
    {sf_f64_to_u32, UINT64_C(0x41efffffffe00000), ALL(ONES64), ALL(0)},
    {sf_f64_to_u32, UINT64_C(0x41effffffff00000), ALL(ONES64),
     EACH(SF_NV, SF_NX, SF_NX, SF_NV, SF_NV)},
    {sf_f64_to_u32, POW2(31), ALL(I32_MIN), ALL(0)},
    /* negative to unsigned: -1, -1/2, -1/4, -0, the smallest */
    {sf_f64_to_u32, ONE | NEG, ALL(0), ALL(SF_NV)},
    {sf_f64_to_u32, HALF | NEG, ALL(0), EACH(SF_NX, SF_NX, SF_NV, SF_NX, SF_NV)},
    {sf_f64_to_u64, POW2(-2) | NEG, ALL(0), EACH(SF_NX, SF_NX, SF_NV, SF_NX, SF_NX)},
    {sf_f64_to_u64, MIN_SUB | NEG, ALL(0), EACH(SF_NX, SF_NX, SF_NV, SF_NX, SF_NX)},
    {sf_f64_to_u64, NEG, ALL(0), ALL(0)},
    {sf_f64_to_i64, POW2(63), ALL(I64_MAX), ALL(SF_NV)},
    {sf_f64_to_i64, POW2(63) | NEG, ALL(NEG), ALL(0)},
    {sf_f64_to_i64, (POW2(63) | NEG) + 1, ALL(NEG), ALL(SF_NV)},
    {sf_f64_to_u64, POW2(63), ALL(NEG), ALL(0)},
    {sf_f64_to_u64, POW2(64) - 1, ALL(UINT64_C(0xfffffffffffff800)), ALL(0)},
    {sf_f64_to_u64, POW2(64), ALL(ONES64), ALL(SF_NV)},
    /* 1.5, 2.5, -2.5, the smallest */
    {sf_f64_to_i64, UINT64_C(0x3ff8000000000000), EACH(2, 1, 1, 2, 2), ALL(SF_NX)},
    {sf_f64_to_u32, UINT64_C(0x4004000000000000), EACH(2, 2, 2, 3, 3), ALL(SF_NX)},
    {sf_f64_to_i32, UINT64_C(0xc004000000000000),
     EACH(MINUS(2), MINUS(2), MINUS(3), MINUS(2), MINUS(3)), ALL(SF_NX)},
    {sf_f64_to_i64, MIN_SUB, EACH(0, 0, 0, 1, 0), ALL(SF_NX)},
};

static void to_integer_saturates(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof(to_int_rows) / sizeof(to_int_rows[0]); i++) {
        const struct to_int_row *t = &to_int_rows[i];
        for (int rm = 0; rm < 5; rm++) {
            uint32_t fl = 0;
            uint64_t got = t->f(t->a, (enum sf_round)rm, &fl);
            if (got != t->want[rm] || fl != t->fl[rm])
                fail_msg("row %zu %s %#llx: got %#llx flags %#x, want %#llx flags %#x", i,
                         sfv_round_name[rm], (unsigned long long)t->a, (unsigned long long)got, fl,
                         (unsigned long long)t->want[rm], t->fl[rm]);
        }
    }
}

static void to_integer_from_binary32_saturates(void **state)
{
    uint32_t fl = 0;

    (void)state;
    assert_int_equal(sf_f32_to_i32(QNANS, SF_RNE, &fl), I32_MAX);
    assert_int_equal(sf_f32_to_u32(SNANS, SF_RNE, &fl), ONES64);
    assert_int_equal(sf_f32_to_i64(INFS | NEGS, SF_RNE, &fl), NEG);
    assert_int_equal(sf_f32_to_u64(POW2S(64), SF_RNE, &fl), ONES64);
    assert_int_equal(sf_f32_to_i32(POW2S(31), SF_RTZ, &fl), I32_MAX);
    assert_int_equal(fl, SF_NV);
    fl = 0;
    assert_int_equal(sf_f32_to_i32(POW2S(31) | NEGS, SF_RTZ, &fl), I32_MIN);
    assert_int_equal(sf_f32_to_u32(POW2S(31), SF_RTZ, &fl), I32_MIN);
    assert_int_equal(fl, 0);
    assert_int_equal(sf_f32_to_u32(POW2S(-1) | NEGS, SF_RNE, &fl), 0);
    assert_int_equal(sf_f32_to_i64(POW2S(-1), SF_RMM, &fl), 1);
    assert_int_equal(fl, SF_NX);
}

static void from_integer_rounds(void **state)
{
    static const uint64_t u64_max[5] =
        EACH(POW2(64), POW2(64) - 1, POW2(64) - 1, POW2(64), POW2(64));
    static const uint64_t odd54[5] = /* -(2^53 + 1) */
        EACH(POW2(53) | NEG, POW2(53) | NEG, (POW2(53) | NEG) + 1, POW2(53) | NEG,
             (POW2(53) | NEG) + 1);
    static const uint64_t odd25[5] = /* 2^24 + 1 */
        EACH(POW2S(24), POW2S(24), POW2S(24), POW2S(24) + 1, POW2S(24) + 1);

    (void)state;
    for (int n = 0; n < 5; n++) {
        enum sf_round rm = (enum sf_round)n;
        uint32_t fl[6] = {0};
        assert_int_equal(sf_u64_to_f64(UINT64_MAX, rm, &fl[0]), u64_max[n]);
        assert_int_equal(sf_i64_to_f64(-9007199254740993, rm, &fl[1]), odd54[n]);
        assert_int_equal(sf_i32_to_f32(16777217, rm, &fl[2]), odd25[n]);
        assert_int_equal(sf_u32_to_f32(16777217, rm, &fl[3]), odd25[n]);
        assert_int_equal(sf_i64_to_f32(16777217, rm, &fl[4]), odd25[n]);
        assert_int_equal(sf_u64_to_f32(16777217, rm, &fl[5]), odd25[n]);
        for (int i = 0; i < 6; i++)
            assert_int_equal(fl[i], SF_NX);

        uint32_t none = 0;
        assert_int_equal(sf_i64_to_f64(0, rm, &none), 0);
        assert_int_equal(sf_u32_to_f32(0, rm, &none), 0);
        assert_int_equal(sf_i64_to_f64(INT64_MIN, rm, &none), POW2(63) | NEG);
        assert_int_equal(sf_i64_to_f32(INT64_MIN, rm, &none), POW2S(63) | NEGS);
        assert_int_equal(sf_i32_to_f64(INT32_MIN, rm, &none), POW2(31) | NEG);
        assert_int_equal(sf_u32_to_f64(UINT32_MAX, rm, &none), UINT64_C(0x41efffffffe00000));
        assert_int_equal(none, 0);
    }
}

static void formats_convert(void **state)
{
    static const uint32_t half_smallest[5] = EACH(0, 0, 0, 1, 1);
    static const uint32_t too_large[5] = EACH(INFS, MAXS, MAXS, INFS, INFS);
    uint32_t fl = 0;

    (void)state;
    assert_int_equal(sf_f32_to_f64(1, 0, &fl), POW2(-149));
    assert_int_equal(sf_f32_to_f64(MAXS | NEGS, 0, &fl), UINT64_C(0xc7efffffe0000000));
    assert_int_equal(sf_f32_to_f64(INFS | NEGS, 0, &fl), INF | NEG);
    assert_int_equal(sf_f32_to_f64(NEGS, 0, &fl), NEG);
    assert_int_equal(sf_f32_to_f64(QNANS, 0, &fl), SF_NAN64);
    assert_int_equal(sf_f64_to_f32(QNAN, SF_RNE, &fl), SF_NAN32);
    assert_int_equal(sf_f64_to_f32(INF, SF_RNE, &fl), INFS);
    assert_int_equal(sf_f64_to_f32(NEG, SF_RNE, &fl), NEGS);
    assert_int_equal(sf_f64_to_f32(POW2(-149), SF_RNE, &fl), 1);
    assert_int_equal(fl, 0);
    assert_int_equal(sf_f32_to_f64(SNANS, 0, &fl), SF_NAN64);
    assert_int_equal(fl, SF_NV);
    fl = 0;
    assert_int_equal(sf_f64_to_f32(SNAN, SF_RNE, &fl), SF_NAN32);
    assert_int_equal(fl, SF_NV);
    for (int rm = 0; rm < 5; rm++) {
        fl = 0;
        assert_int_equal(sf_f64_to_f32(POW2(-150), (enum sf_round)rm, &fl), half_smallest[rm]);
        assert_int_equal(fl, UFNX);
        fl = 0;
        assert_int_equal(sf_f64_to_f32(MAX, (enum sf_round)rm, &fl), too_large[rm]);
        assert_int_equal(fl, OFNX);
    }
}

/* Flags are those of eq, and of lt and le. */
struct compare_row {
    uint64_t a, b;
    int eq, lt, le;
    uint32_t quiet_fl, signal_fl;
};

static const struct compare_row compare64[] = {
    {0, NEG, 1, 0, 1, 0, 0},
    {NEG, 0, 1, 0, 1, 0, 0},
    {ONE, TWO, 0, 1, 1, 0, 0},
    {TWO, ONE, 0, 0, 0, 0, 0},
    {ONE | NEG, TWO | NEG, 0, 0, 0, 0, 0},
    {TWO | NEG, ONE | NEG, 0, 1, 1, 0, 0},
    {ONE, ONE, 1, 0, 1, 0, 0},
    {MIN_SUB | NEG, 0, 0, 1, 1, 0, 0},
    {NEG, MIN_SUB, 0, 1, 1, 0, 0},
    {INF | NEG, INF, 0, 1, 1, 0, 0},
    {INF, INF, 1, 0, 1, 0, 0},
    {QNAN, ONE, 0, 0, 0, 0, SF_NV},
    {ONE, QNAN, 0, 0, 0, 0, SF_NV},
    {QNAN, QNAN, 0, 0, 0, 0, SF_NV},
    {SNAN, ONE, 0, 0, 0, SF_NV, SF_NV},
    {QNAN, SNAN, 0, 0, 0, SF_NV, SF_NV},
};

static const struct compare_row compare32[] = {
    {0, NEGS, 1, 0, 1, 0, 0},
    {ONES | NEGS, ONES, 0, 1, 1, 0, 0},
    {ONES | NEGS, (ONES | NEGS) + 1, 0, 0, 0, 0, 0},
    {NEGS, 1, 0, 1, 1, 0, 0},
    {INFS, INFS, 1, 0, 1, 0, 0},
    {QNANS, ONES, 0, 0, 0, 0, SF_NV},
    {ONES, SNANS, 0, 0, 0, SF_NV, SF_NV},
};

static void comparisons_order_and_signal(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof(compare64) / sizeof(compare64[0]); i++) {
        const struct compare_row *t = &compare64[i];
        uint32_t fl[3] = {0};
        assert_int_equal(sf_eq64(t->a, t->b, &fl[0]), t->eq);
        assert_int_equal(sf_lt64(t->a, t->b, &fl[1]), t->lt);
        assert_int_equal(sf_le64(t->a, t->b, &fl[2]), t->le);
        assert_int_equal(fl[0], t->quiet_fl);
        assert_int_equal(fl[1], t->signal_fl);
        assert_int_equal(fl[2], t->signal_fl);
    }
    for (size_t i = 0; i < sizeof(compare32) / sizeof(compare32[0]); i++) {
        const struct compare_row *t = &compare32[i];
        uint32_t fl[3] = {0};
        assert_int_equal(sf_eq32((uint32_t)t->a, (uint32_t)t->b, &fl[0]), t->eq);
        assert_int_equal(sf_lt32((uint32_t)t->a, (uint32_t)t->b, &fl[1]), t->lt);
        assert_int_equal(sf_le32((uint32_t)t->a, (uint32_t)t->b, &fl[2]), t->le);
        assert_int_equal(fl[0], t->quiet_fl);
        assert_int_equal(fl[1], t->signal_fl);
        assert_int_equal(fl[2], t->signal_fl);
    }
}

struct min_max_row {
    uint64_t a, b, min, max;
    uint32_t fl;
};

static const struct min_max_row min_max64[] = {
    {0, NEG, NEG, 0, 0},
    {NEG, 0, NEG, 0, 0},
    {ONE, TWO | NEG, TWO | NEG, ONE, 0},
    {ONE | NEG, TWO | NEG, TWO | NEG, ONE | NEG, 0},
    {INF, MAX, MAX, INF, 0},
    {QNAN, ONE, ONE, ONE, 0},
    {NEG, QNAN, NEG, NEG, 0},
    {SNAN, ONE, ONE, ONE, SF_NV},
    {INF, SNAN, INF, INF, SF_NV},
    {QNAN, QNAN, SF_NAN64, SF_NAN64, 0},
    {QNAN, SNAN, SF_NAN64, SF_NAN64, SF_NV},
};

static const struct min_max_row min_max32[] = {
    {0, NEGS, NEGS, 0, 0},
    {NEGS, 0, NEGS, 0, 0},
    {ONES, POW2S(1) | NEGS, POW2S(1) | NEGS, ONES, 0},
    {QNANS, ONES, ONES, ONES, 0},
    {ONES, SNANS, ONES, ONES, SF_NV},
    {QNANS, QNANS, SF_NAN32, SF_NAN32, 0},
    {SNANS, QNANS, SF_NAN32, SF_NAN32, SF_NV},
};

static void min_and_max_prefer_numbers(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof(min_max64) / sizeof(min_max64[0]); i++) {
        const struct min_max_row *t = &min_max64[i];
        uint32_t fl[2] = {0};
        assert_int_equal(sf_min64(t->a, t->b, 0, &fl[0]), t->min);
        assert_int_equal(sf_max64(t->a, t->b, 0, &fl[1]), t->max);
        assert_int_equal(fl[0], t->fl);
        assert_int_equal(fl[1], t->fl);
    }
    for (size_t i = 0; i < sizeof(min_max32) / sizeof(min_max32[0]); i++) {
        const struct min_max_row *t = &min_max32[i];
        uint32_t fl[2] = {0};
        assert_int_equal(sf_min32((uint32_t)t->a, (uint32_t)t->b, 0, &fl[0]), t->min);
        assert_int_equal(sf_max32((uint32_t)t->a, (uint32_t)t->b, 0, &fl[1]), t->max);
        assert_int_equal(fl[0], t->fl);
        assert_int_equal(fl[1], t->fl);
    }
}

static void classes_are_one_bit(void **state)
{
    static const uint64_t by_class64[] = {
        INF | NEG, MIN_NORMAL | NEG, MAX_SUB | NEG, NEG, 0, MIN_SUB, MAX, INF, SNAN, QNAN};
    static const uint32_t by_class32[] = {INFS | NEGS, MIN_NORMALS | NEGS, 1 | NEGS, NEGS,  0,
                                          MAX_SUBS,    MIN_NORMALS,        INFS,     SNANS, QNANS};

    (void)state;
    for (int i = 0; i < 10; i++) {
        assert_int_equal(sf_class64(by_class64[i]), 1u << i);
        assert_int_equal(sf_class32(by_class32[i]), 1u << i);
    }
    assert_int_equal(sf_class64(MIN_NORMAL), 1u << 6);
    assert_int_equal(sf_class64(SNAN | NEG), 1u << 8);
    assert_int_equal(sf_class32(SF_NAN32), 1u << 9);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(arithmetic_gives_hand_made_results),
        cmocka_unit_test(flags_accumulate),
        cmocka_unit_test(other_rounding_modes_round_towards_zero),
        cmocka_unit_test(to_integer_saturates),
        cmocka_unit_test(to_integer_from_binary32_saturates),
        cmocka_unit_test(from_integer_rounds),
        cmocka_unit_test(formats_convert),
        cmocka_unit_test(comparisons_order_and_signal),
        cmocka_unit_test(min_and_max_prefer_numbers),
        cmocka_unit_test(classes_are_one_bit),
    };
    return cmocka_run_group_tests_name("sf_tables", tests, NULL, NULL);
}
