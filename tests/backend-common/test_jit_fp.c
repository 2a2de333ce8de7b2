/* FP flags and rounding, read and written between operations that raise each of them. Every way of
 * running must do the same; in some of them exceptions trap on the host. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "frontend/riscv64/priv.h"
#include "tests/translator/run/world.h"

#define COUNT(a) (sizeof(a) / sizeof((a)[0]))
#define CODE     W_RAM
#define DATA     (W_RAM + 0x20000)

enum { NX = IR_FP_NX, UF = IR_FP_UF, OF = IR_FP_OF, DZ = IR_FP_DZ, NV = IR_FP_NV, ALL = 31 };
enum { FFLAGS = 1, FRM = 2, FCSR = 3 };
enum {
    FADD = 0x01,
    FMUL = 0x09,
    FDIV = 0x0d,
    FSQRT = 0x2d,
    FCMP = 0x51,
    FCVT_W_D = 0x61,
    FCVT_D_L = 0x69
};
enum { RNE, RTZ, RDN, RUP, RMM };
enum { FA0 = 10, FA1 = 11, FA2 = 12 };

/* Of doubles: rm 7 takes the rounding mode of fcsr. */
static uint32_t i_float(unsigned f7, unsigned rm, unsigned rd, unsigned a, unsigned b)
{
    return 0x53 | f7 << 25 | b << 20 | a << 15 | rm << 12 | rd << 7;
}

static uint32_t i_frflags(unsigned rd)
{
    return i_i(0x73, 2, rd, X0, FFLAGS);
}

static void open_world(struct world *w, const struct world_way *way)
{
    world_open(w, way);
    w->cpu->c.mstatus |= RV_MSTATUS_FS;
    w->cpu->c.mtvec = CODE + 0x8000;
}

static void expect(const struct world *w, unsigned row, const char *what, uint64_t got,
                   uint64_t want)
{
    if (got != want)
        fail_msg("%s, row %u: %s is %#llx, should be %#llx", w->way->name, row, what,
                 (unsigned long long)got, (unsigned long long)want);
}

static void run(struct world *w)
{
    w->cpu->run.pc = CODE;
    w->cpu->c.halted = 0;
    w->cpu->run.view_dirty = 1;
    assert_int_equal(engine_run(w->engine, 100000000, false), ENGINE_WAIT);
}

/* --- each exception ---------------------------------------------------------------------------- */

#define D_ONE   UINT64_C(0x3ff0000000000000)
#define D_3     UINT64_C(0x4008000000000000)
#define D_MAX   UINT64_C(0x7fefffffffffffff)
#define D_MIN   UINT64_C(0x0010000000000000) /* the smallest normal number */
#define D_MINUS UINT64_C(0x8000000000000000)
#define D_HALF  UINT64_C(0x3fe0000000000000)
#define D_SUB   UINT64_C(0x0008000000000000)
#define D_NAN   UINT64_C(0x7ff8000000000000)
#define D_SNAN  UINT64_C(0x7ff0000000000001)
#define D_INF   UINT64_C(0x7ff0000000000000)
#define D_NEG   UINT64_C(0xbff0000000000000)

static const struct {
    unsigned f7, rm;
    uint64_t a, b, want;
    uint32_t flags;
    bool integer; /* the result is in A3 */
} ops[] = {
    {FADD, 7, D_ONE, D_ONE, UINT64_C(0x4000000000000000), 0, false},
    {FDIV, 7, D_ONE, D_3, UINT64_C(0x3fd5555555555555), NX, false},
    {FMUL, 7, D_MAX, D_3, D_INF, OF | NX, false},
    {FDIV, 7, D_MIN, D_3, UINT64_C(0x0005555555555555), UF | NX, false},
    {FMUL, 7, D_MIN, D_HALF, D_SUB, 0, false}, /* tiny and exact */
    {FMUL, 7, D_SUB, D_ONE, D_SUB, 0, false},  /* a denormal operand */
    {FDIV, 7, D_ONE, 0, D_INF, DZ, false},
    {FDIV, 7, 0, 0, D_NAN, NV, false},
    /* below the least normal number, and rounded to it: tiny after rounding too, and not */
    {FMUL, 7, UINT64_C(0x3fefffffffffffff), D_MIN, D_MIN, UF | NX, false},
    {FMUL, 7, UINT64_C(0x3fffffffffffffff), UINT64_C(0x0008000000000000), D_MIN, UF | NX, false},
    {FMUL, 7, UINT64_C(0x3ff0000000000001), UINT64_C(0x000fffffffffffff), D_MIN, NX, false},
    {FMUL, 7, UINT64_C(0xbff0000000000001), UINT64_C(0x000fffffffffffff), D_MIN | D_MINUS, NX,
     false},
    {FMUL, RUP, UINT64_C(0x3ff0000000000001), UINT64_C(0x000fffffffffffff), D_MIN, NX, false},
    {FMUL, 7, D_MIN, D_MIN, 0, UF | NX, false},
    {FMUL, 7, 0, D_MIN, 0, 0, false},
    {FADD, 7, D_SNAN, D_ONE, D_NAN, NV, false},
    {FADD, 7, D_NAN, D_ONE, D_NAN, 0, false},
    {FSQRT, 7, D_NEG, 0, D_NAN, NV, false},
    {FSQRT, 7, D_3, 0, UINT64_C(0x3ffbb67ae8584caa), NX, false},
    /* by a rounding mode of its own */
    {FDIV, RUP, D_ONE, D_3, UINT64_C(0x3fd5555555555556), NX, false},
    {FDIV, RDN, D_NEG, D_3, UINT64_C(0xbfd5555555555556), NX, false},
    {FDIV, RTZ, D_NEG, D_3, UINT64_C(0xbfd5555555555555), NX, false},
    {FMUL, RTZ, D_MAX, D_3, D_MAX, OF | NX, false},
    {FDIV, RUP, D_MIN, D_3, UINT64_C(0x0005555555555556), UF | NX, false},
    {FMUL, RUP, D_MIN, D_HALF, D_SUB, 0, false},
    {FMUL, RDN, D_SUB, D_ONE, D_SUB, 0, false},
    {FDIV, RTZ, D_ONE, 0, D_INF, DZ, false},
    {FADD, RUP, D_SNAN, D_ONE, D_NAN, NV, false},
    {FSQRT, RUP, D_3, 0, UINT64_C(0x3ffbb67ae8584cab), NX, false},
    {FCMP, 2, D_SNAN, D_ONE, 0, NV, true},
    {FCMP, 1, D_NAN, D_ONE, 0, NV, true},
    {FCVT_W_D, 1, D_HALF, 0, 0, NX, true},
    {FCVT_W_D, 1, D_MAX, 0, INT32_MAX, NV, true},
};

static uint32_t i_op(unsigned k)
{
    bool one = ops[k].f7 == FSQRT || ops[k].f7 == FCVT_W_D;
    return i_float(ops[k].f7, ops[k].rm, ops[k].integer ? (unsigned)A3 : FA2, FA0, one ? 0 : FA1);
}

/* Twice, so that it also raises what it raised and what was cleared; between them, flags are
 * cleared and set by instructions of each kind. */
static void raise_in(struct world *w, unsigned k, uint32_t before)
{
    const uint32_t code[] = {
        i_op(k),       i_frflags(A0), i_csrrw(A1, FFLAGS, X0), i_op(k),
        i_frflags(A2), i_op(k),       i_csrrw(A4, FFLAGS, A2), i_csrrw(X0, FCSR, T0),
        i_frflags(A5), i_op(k),       i_csrrw(T1, FCSR, T0),   i_op(k),
        i_frflags(S1), I_WFI,
    };
    uint32_t f = ops[k].flags;
    world_code(w, CODE, code, COUNT(code));
    w->cpu->f[FA0] = ops[k].a;
    w->cpu->f[FA1] = ops[k].b;
    w->cpu->run.fp_flags = before;
    w->cpu->x[T0] = before;
    run(w);
    expect(w, k, "flags", w->cpu->x[A0], f | before);
    expect(w, k, "flags that are cleared", w->cpu->x[A1], f | before);
    expect(w, k, "flags raised again", w->cpu->x[A2], f);
    expect(w, k, "flags raised twice", w->cpu->x[A4], f);
    expect(w, k, "flags by fcsr", w->cpu->x[A5], before);
    expect(w, k, "flags in fcsr", w->cpu->x[T1], f | before);
    expect(w, k, "flags after fcsr", w->cpu->x[S1], f | before);
    expect(w, k, "flags of the state", w->cpu->run.fp_flags, f | before);
    expect(w, k, "result", ops[k].integer ? w->cpu->x[A3] : w->cpu->f[FA2], ops[k].want);
}

static void each_exception_raises_its_flags_from_any_others(void **state)
{
    static struct world w;
    (void)state;
    for (unsigned i = 0; i < world_way_count; i++) {
        open_world(&w, &world_ways[i]);
        for (unsigned k = 0; k < COUNT(ops); k++)
            for (uint32_t before = 0; before <= ALL; before++)
                raise_in(&w, k, before);
        const struct engine_stats *s = engine_stats(w.engine);
        expect(&w, 0, "by traps", s->fp_traps != 0,
               world_ways[i].fp_traps == ENGINE_FP_TRAPS_EAGER && world_fp_traps());
        world_close(&w);
    }
}

/* --- rounding ---------------------------------------------------------------------------------- */

static void rounding_modes_keep_their_meaning_and_the_flags(void **state)
{
    static const uint64_t third[] = {0x3fd5555555555555, 0x3fd5555555555555, 0x3fd5555555555555,
                                     0x3fd5555555555556, 0x3fd5555555555555};
    const uint32_t code[] = {
        i_float(FDIV, 7, FA2, FA0, FA1),
        i_float(FCVT_D_L, 7, FA2 + 1, T1, 2),
        i_frflags(A0),
        i_csrrw(A1, FRM, T0),
        i_float(FDIV, 7, FA2, FA0, FA1),
        i_csrrw(A2, FFLAGS, X0),
        I_WFI,
    };
    static struct world w;
    (void)state;
    for (unsigned i = 0; i < world_way_count; i++) {
        open_world(&w, &world_ways[i]);
        world_code(&w, CODE, code, COUNT(code));
        for (unsigned from = 0; from < 5; from++)
            for (unsigned to = 0; to < 5; to++) {
                w.cpu->f[FA0] = D_ONE;
                w.cpu->f[FA1] = D_3;
                w.cpu->x[T0] = to;
                w.cpu->x[T1] = 1;
                w.cpu->c.frm = (uint8_t)from;
                w.cpu->run.fp_flags = DZ;
                run(&w);
                expect(&w, from, "flags", w.cpu->x[A0], DZ | NX);
                expect(&w, from, "the rounding before", w.cpu->x[A1], from);
                expect(&w, to, "result", w.cpu->f[FA2], third[to]);
                expect(&w, to, "flags", w.cpu->x[A2], DZ | NX);
            }
        world_close(&w);
    }
}

/* An instruction's own mode is its alone: what is behind it rounds by that of fcsr. */
static void a_mode_of_its_own_ends_with_the_instruction(void **state)
{
    static const uint64_t third[] = {[RNE] = UINT64_C(0x3fd5555555555555),
                                     [RTZ] = UINT64_C(0x3fd5555555555555),
                                     [RDN] = UINT64_C(0x3fd5555555555555),
                                     [RUP] = UINT64_C(0x3fd5555555555556),
                                     [RMM] = UINT64_C(0x3fd5555555555555)};
    static const uint64_t odd[] = {[RNE] = UINT64_C(0x4340000000000000),
                                   [RTZ] = UINT64_C(0x4340000000000000),
                                   [RDN] = UINT64_C(0x4340000000000000),
                                   [RUP] = UINT64_C(0x4340000000000001),
                                   [RMM] = UINT64_C(0x4340000000000001)};
    static const uint64_t huge[] = {[RNE] = UINT64_C(0x43f0000000000000),
                                    [RTZ] = UINT64_C(0x43efffffffffffff),
                                    [RDN] = UINT64_C(0x43efffffffffffff),
                                    [RUP] = UINT64_C(0x43f0000000000000),
                                    [RMM] = UINT64_C(0x43f0000000000000)};
    static struct world w;
    (void)state;
    for (unsigned i = 0; i < world_way_count; i++) {
        open_world(&w, &world_ways[i]);
        for (unsigned frm = RNE; frm <= RMM; frm++)
            for (unsigned rm = RNE; rm <= RMM; rm++) {
                const uint32_t code[] = {
                    i_float(FDIV, rm, FA2, FA0, FA1),      i_float(FDIV, 7, FA2 + 1, FA0, FA1),
                    i_float(FCVT_D_L, rm, FA2 + 2, T0, 2), i_float(FCVT_D_L, 7, FA2 + 3, T0, 2),
                    i_float(FCVT_D_L, rm, FA2 + 4, T1, 3), /* unsigned, and beyond the signed ones */
                    i_float(FCVT_D_L, 7, FA2 + 5, T1, 3),  I_WFI,
                };
                const uint64_t want[] = {third[rm], third[frm], odd[rm],
                                         odd[frm],  huge[rm],   huge[frm]};
                world_code(&w, CODE, code, COUNT(code));
                w.cpu->f[FA0] = D_ONE;
                w.cpu->f[FA1] = D_3;
                w.cpu->x[T0] = UINT64_C(0x20000000000001);
                w.cpu->x[T1] = UINT64_MAX;
                w.cpu->c.frm = (uint8_t)frm;
                w.cpu->run.fp_flags = DZ;
                run(&w);
                for (unsigned k = 0; k < COUNT(want); k++)
                    expect(&w, 100 * frm + 10 * rm + k, "result", w.cpu->f[FA2 + k], want[k]);
                expect(&w, 100 * frm + 10 * rm, "flags", w.cpu->run.fp_flags, DZ | NX);
            }
        world_close(&w);
    }
}

/* --- when it pays ------------------------------------------------------------------------------ */

static const struct world_way jit = {.name = "flat", .fp_traps = ENGINE_FP_TRAPS};

static void flags_that_stay_are_read_without_the_host(void **state)
{
    const uint32_t code[] = {
        i_float(FDIV, 7, FA2, FA0, FA1), i_frflags(A0), i_addi(T0, T0, -1),
        i_branch(1, T0, X0, -12),        I_WFI,
    };
    static struct world w;
    (void)state;
    if (!world_fp_traps())
        skip();
    open_world(&w, &jit);
    world_code(&w, CODE, code, COUNT(code));
    w.cpu->f[FA0] = D_ONE;
    w.cpu->f[FA1] = D_3;
    w.cpu->x[T0] = 100000;
    run(&w);
    const struct engine_stats *s = engine_stats(w.engine);
    expect(&w, 0, "flags", w.cpu->x[A0], NX);
    expect(&w, 0, "stays", s->fp_trap_stays, 1);
    expect(&w, 0, "traps", s->fp_traps, 0);
    if (!s->fp_gathers || s->fp_gathers > 50000)
        fail_msg("flags read from the host: %llu", (unsigned long long)s->fp_gathers);
    world_close(&w);
}

static void flags_that_come_and_go_cost_few_traps(void **state)
{
    const uint32_t code[] = {
        i_csrrw(X0, FFLAGS, X0), i_float(FDIV, 7, FA2, FA0, FA1), i_frflags(A0),
        i_addi(T0, T0, -1),      i_branch(1, T0, X0, -16),        I_WFI,
    };
    static struct world w;
    (void)state;
    if (!world_fp_traps())
        skip();
    open_world(&w, &jit);
    world_code(&w, CODE, code, COUNT(code));
    w.cpu->f[FA0] = D_ONE;
    w.cpu->f[FA1] = D_3;
    w.cpu->x[T0] = 1000000;
    run(&w);
    const struct engine_stats *s = engine_stats(w.engine);
    expect(&w, 0, "flags", w.cpu->x[A0], NX);
    if (!s->fp_trap_stays || s->fp_trap_stays > 20 || s->fp_traps > s->fp_trap_stays)
        fail_msg("%llu stays, %llu traps", (unsigned long long)s->fp_trap_stays,
                 (unsigned long long)s->fp_traps);
    world_close(&w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_exception_raises_its_flags_from_any_others),
        cmocka_unit_test(rounding_modes_keep_their_meaning_and_the_flags),
        cmocka_unit_test(a_mode_of_its_own_ends_with_the_instruction),
        cmocka_unit_test(flags_that_stay_are_read_without_the_host),
        cmocka_unit_test(flags_that_come_and_go_cost_few_traps),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
