/*
 * Breakpoints, single steps and runs that are stopped and go on: a debugger may stop a guest wherever
 * and as often as it likes, and what the guest does is the same. The oracle is a trace of single steps
 * that nothing else disturbs. Every way of running must do the same.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "frontend/riscv64/priv.h"
#include "tests/translator/run/world.h"

#define COUNT(a) (sizeof(a) / sizeof((a)[0]))
#define CODE     W_RAM
#define FAR_CODE (W_RAM + 0x5000) /* another page */
#define TRAP     (W_RAM + 0x10000)
#define DATA     (W_RAM + 0x20000)

enum { STEPS = 600, ROUNDS = 40, CSR_MEPC = 0x341 };

/* Before each step: which instruction is next, and what there is by then. */
struct moment {
    uint64_t pc, retired, x[32], stored;
};
static struct moment trace[STEPS + 1];

/* --- the guest ---------------------------------------------------------------------------------- */

/* Branches, memory, a trap, a call to another page by register, and a loop of two instructions. */
static void put_program(struct world *w)
{
    const uint32_t loop[] = {
        i_addi(A0, A0, 1),
        i_add(A1, A1, A0),
        i_i(0x13, 7, A2, A0, 3), /* andi a2, a0, 3 */
        i_branch(0, A2, X0, 12), /* beqz a2, 1f */
        i_mul(A3, A1, A0),
        i_branch(1, A2, X0, 8), /* bnez a2, 2f */
        i_sd(A1, S0, 8),        /* 1: */
        i_ld(A4, S0, 8),        /* 2: */
        I_ECALL,
        i_jalr(RA, S1, 0),
        i_addi(T2, X0, 6),
        i_addi(T2, T2, -1), /* 3: */
        i_branch(1, T2, X0, -4),
        i_jal(X0, -13 * 4),
    };
    const uint32_t callee[] = {i_add(T0, T0, A4), i_jalr(X0, RA, 0)};
    const uint32_t handler[] = {
        i_csrrw(T1, CSR_MEPC, T1),
        i_addi(T1, T1, 4),
        i_csrrw(T1, CSR_MEPC, T1),
        I_MRET,
    };
    world_code(w, CODE, loop, COUNT(loop));
    world_code(w, FAR_CODE, callee, COUNT(callee));
    world_code(w, TRAP, handler, COUNT(handler));
    w->cpu->c.mtvec = TRAP;
}

static void start(struct world *w)
{
    memset(w->cpu->x, 0, sizeof w->cpu->x);
    w->cpu->x[S0] = DATA;
    w->cpu->x[S1] = FAR_CODE;
    w->cpu->run.pc = CODE;
    w->cpu->c.priv = RV_PRIV_M;
    w->cpu->run.view_dirty = 1;
    memset(w->ram + (DATA - W_RAM), 0, 64);
}

/* --- the trace ---------------------------------------------------------------------------------- */

static void take(const struct world *w, uint64_t since, struct moment *m)
{
    memcpy(m->x, w->cpu->x, sizeof m->x);
    m->pc = w->cpu->run.pc;
    m->retired = engine_retired(w->engine) - since;
    m->stored = world_peek(w, DATA + 8);
}

static void record(struct world *w)
{
    start(w);
    uint64_t since = engine_retired(w->engine);
    for (unsigned i = 0; i < STEPS; i++) {
        take(w, since, &trace[i]);
        world_expect(
            w, "stop",
            engine_run_on(w->engine, 1, true, i ? ENGINE_CONTINUE | ENGINE_SINGLE : ENGINE_SINGLE),
            ENGINE_BUDGET);
    }
    take(w, since, &trace[STEPS]);
}

static void check(const struct world *w, uint64_t since, unsigned step)
{
    struct moment m;
    take(w, since, &m);
    world_expect(w, "pc", m.pc, trace[step].pc);
    world_expect(w, "count", m.retired, trace[step].retired);
    if (memcmp(&m, &trace[step], sizeof m) != 0)
        fail_msg("%s: the state of step %u is another", w->way->name, step);
}

/* --- random stops ------------------------------------------------------------------------------- */

static uint32_t random_below(uint32_t *state, uint32_t n)
{
    *state = *state * 1664525u + 1013904223u;
    return (*state >> 8) % n;
}

/* A number of its own for each address of the program. */
static unsigned slot(uint64_t pc)
{
    unsigned page = pc < FAR_CODE ? 0 : pc < TRAP ? 1 : 2;
    return page * 64 + (unsigned)(pc % 256 / 4);
}

/* Where a run of `insns` from step `at` has to end. */
static unsigned predict(const bool *broken, unsigned at, uint64_t insns, bool pass,
                        enum engine_stop *why)
{
    uint64_t end = trace[at].retired + insns;
    for (unsigned i = at; i < STEPS; i++) {
        if (trace[i].retired >= end) {
            *why = ENGINE_BUDGET;
            return i;
        }
        if (broken[slot(trace[i].pc)] && !(pass && i == at)) {
            *why = ENGINE_BREAK;
            return i;
        }
    }
    *why = ENGINE_BUDGET;
    return STEPS;
}

static void toggle(struct world *w, bool *broken, uint64_t pc)
{
    struct engine_world *all = engine_world_of(w->engine);
    struct gw_error err;
    bool *b = &broken[slot(pc)];
    if (*b)
        world_expect(w, "removed", engine_break_remove(all, pc, 1), 1);
    else
        world_expect(w, "added", engine_break_add(all, pc, 1, &err), GW_OK);
    *b = !*b;
}

static void one_round(struct world *w, uint32_t *seed)
{
    bool broken[192] = {false};
    unsigned at = 0, how = 0;
    bool met = false;
    start(w);
    uint64_t since = engine_retired(w->engine);
    while (trace[at].retired + 64 < trace[STEPS].retired) {
        for (uint32_t n = random_below(seed, 3); n; n--)
            toggle(w, broken, trace[random_below(seed, STEPS)].pc);
        enum engine_stop why;
        uint64_t insns = 1 + random_below(seed, random_below(seed, 2) ? 64 : 4);
        bool pass = met || random_below(seed, 2);
        unsigned next = predict(broken, at, insns, pass, &why);
        if (pass)
            engine_pass(w->engine);
        world_expect(w, "stop", engine_run_on(w->engine, insns, true, how), why);
        at = next;
        check(w, since, at);
        check(w, since, at);
        met = why == ENGINE_BREAK;
        how = ENGINE_CONTINUE;
    }
    for (unsigned i = 0; i < STEPS; i++)
        if (broken[slot(trace[i].pc)])
            toggle(w, broken, trace[i].pc);
}

/* --- tests -------------------------------------------------------------------------------------- */

static void each_way(void (*test)(struct world *))
{
    for (unsigned i = 0; i < world_way_count; i++) {
        static struct world w;
        world_open(&w, &world_ways[i]);
        put_program(&w);
        record(&w);
        test(&w);
        world_close(&w);
    }
}

static void random_in(struct world *w)
{
    uint32_t seed = 1;
    for (unsigned i = 0; i < ROUNDS; i++)
        one_round(w, &seed);
}

static void stops_at_random_leave_the_guest_as_it_is(void **state)
{
    each_way(random_in);
}

/* Code runs as fast with breakpoints elsewhere, and again where one was. */
static void elsewhere_in(struct world *w)
{
    enum { INSNS = 20000 };
    struct engine_world *all = engine_world_of(w->engine);
    struct gw_error err;
    if (w->way->max_guest_insns || w->way->code_cache_bytes)
        return;
    start(w);
    engine_run(w->engine, INSNS, true);
    uint64_t before = engine_stats(w->engine)->exits;
    engine_run(w->engine, INSNS, true);
    uint64_t alone = engine_stats(w->engine)->exits - before;
    for (unsigned i = 0; i < 1000; i++)
        world_expect(w, "added", engine_break_add(all, DATA + 4 * i, 1, &err), GW_OK);
    before += alone;
    engine_run(w->engine, INSNS, true);
    uint64_t with = engine_stats(w->engine)->exits - before;
    if (with > alone + 2)
        fail_msg("%s: %llu exits with breakpoints elsewhere, %llu without", w->way->name,
                 (unsigned long long)with, (unsigned long long)alone);
    world_expect(w, "added", engine_break_add(all, CODE + 4, 1, &err), GW_OK);
    world_expect(w, "stop", engine_run(w->engine, INSNS, true), ENGINE_BREAK);
    world_expect(w, "removed", engine_break_remove(all, CODE + 4, 1), 1);
    engine_run(w->engine, INSNS, true);
    before = engine_stats(w->engine)->exits;
    engine_run(w->engine, INSNS, true);
    uint64_t after = engine_stats(w->engine)->exits - before;
    if (after > alone + alone / 8)
        fail_msg("%s: %llu exits where a breakpoint was, %llu before", w->way->name,
                 (unsigned long long)after, (unsigned long long)alone);
}

static void code_without_breakpoints_runs_as_before(void **state)
{
    each_way(elsewhere_in);
}

/* A breakpoint is another vCPU's: this one goes past it each time. */
static void others_in(struct world *w)
{
    struct engine_world *all = engine_world_of(w->engine);
    struct gw_error err;
    start(w);
    uint64_t since = engine_retired(w->engine);
    world_expect(w, "added", engine_break_add(all, CODE + 8, 2, &err), GW_OK);
    world_expect(w, "added", engine_break_add(all, TRAP, 2, &err), GW_OK);
    uint64_t insns = trace[STEPS].retired;
    world_expect(w, "stop", engine_run(w->engine, insns, true), ENGINE_BUDGET);
    world_expect(w, "count", engine_retired(w->engine) - since, insns);
    check(w, since, STEPS);
    world_expect(w, "added", engine_break_add(all, TRAP, 1, &err), GW_OK);
    world_expect(w, "stop", engine_run(w->engine, insns, true), ENGINE_BREAK);
    world_expect(w, "pc", w->cpu->run.pc, TRAP);
    world_expect(w, "removed", engine_break_remove(all, TRAP, 1), 1);
    world_expect(w, "removed again", engine_break_remove(all, TRAP, 1), 0);
    world_expect(w, "removed", engine_break_remove(all, TRAP, 3), 2);
    world_expect(w, "removed", engine_break_remove(all, CODE + 8, ~0u), 2);
}

static void a_breakpoint_stops_the_vcpus_that_it_names(void **state)
{
    each_way(others_in);
}

/* Code that changes under a breakpoint, and comes back unchanged, is not run past it. */
static void changed_in(struct world *w)
{
    struct engine_world *all = engine_world_of(w->engine);
    struct gw_error err;
    start(w);
    world_expect(w, "stop", engine_run(w->engine, 500, true), ENGINE_BUDGET);
    put_program(w); /* all of it is stale */
    world_expect(w, "added", engine_break_add(all, CODE + 16, 1, &err), GW_OK);
    world_expect(w, "stop", engine_run(w->engine, 500, true), ENGINE_BREAK);
    world_expect(w, "pc", w->cpu->run.pc, CODE + 16);
    put_program(w);
    engine_pass(w->engine);
    world_expect(w, "stop", engine_run(w->engine, 500, true), ENGINE_BREAK);
    world_expect(w, "pc", w->cpu->run.pc, CODE + 16);
    engine_reset_derived(w->engine);
    engine_pass(w->engine);
    world_expect(w, "stop", engine_run(w->engine, 500, true), ENGINE_BREAK);
    world_expect(w, "pc", w->cpu->run.pc, CODE + 16);
    world_expect(w, "removed", engine_break_remove(all, CODE + 16, 1), 1);
    world_expect(w, "stop", engine_run(w->engine, 500, true), ENGINE_BUDGET);
}

static void breakpoints_hold_in_code_that_changes(void **state)
{
    each_way(changed_in);
}

/* A run that is asked to come back does so before it looks at anything, and goes on. */
static void asked_in(struct world *w)
{
    start(w);
    uint64_t since = engine_retired(w->engine);
    engine_ask(w->engine);
    w->cpu->run.attention = 1;
    world_expect(w, "stop", engine_run(w->engine, 100, true), ENGINE_ASKED);
    world_expect(w, "attention", w->cpu->run.attention, 1);
    world_expect(w, "stop", engine_run_on(w->engine, 100, true, ENGINE_CONTINUE), ENGINE_ATTENTION);
    world_expect(w, "count", engine_retired(w->engine) - since, 0);
    world_expect(w, "stop", engine_run_on(w->engine, 100, true, ENGINE_CONTINUE), ENGINE_BUDGET);
    world_expect(w, "count", engine_retired(w->engine) - since, 100);
}

static void who_is_asked_comes_back_first(void **state)
{
    each_way(asked_in);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(stops_at_random_leave_the_guest_as_it_is),
        cmocka_unit_test(code_without_breakpoints_runs_as_before),
        cmocka_unit_test(a_breakpoint_stops_the_vcpus_that_it_names),
        cmocka_unit_test(breakpoints_hold_in_code_that_changes),
        cmocka_unit_test(who_is_asked_comes_back_first),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
