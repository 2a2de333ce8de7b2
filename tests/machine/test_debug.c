/*
 * A machine under a debugger: what it is shown, where it stops, and that the guest does not notice.
 * Each test runs a machine to its end and is called at its stops, on a thread of the machine's.
 */
#include "tests/machine/watched.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "godwit/little.h"

static void each_way(void (*test)(struct watched *w))
{
    for (unsigned i = 0; i < watched_way_count; i++) {
        struct watched w = {.way = &watched_ways[i]};
        test(&w);
        assert_true(w.ended);
    }
}

static void run_on(struct watched *w, const struct gw_debug_stop *stop)
{
    go_on(w, NULL);
}

/* ---- what is shown -------------------------------------------------------------------------- */

static void look_at_registers(struct watched *w, const struct gw_debug_stop *stop)
{
    unsigned u = stop->unit;
    expect(w, "why", stop->why, GW_DEBUG_BREAK);
    expect(w, "pc of the stop", stop->pc, w->at.patch);
    expect(w, "pc", reg(w, u, "pc"), w->at.patch);
    expect(w, "s0", reg(w, u, "s0"), u);
    expect(w, "mhartid", reg(w, u, "mhartid"), u);
    expect(w, "zero", reg(w, u, "zero"), 0);
    expect(w, "priv", reg(w, u, "priv"), 1);
    expect(w, "satp", reg(w, u, "satp"), UINT64_C(8) << 60 | 0x80200);
    expect(w, "mscratch", reg(w, u, "mscratch"), DATA + u * DATA_BYTES);
    expect(w, "pmpcfg0", reg(w, u, "pmpcfg0"), 0x1f);
    expect(w, "t2", reg(w, u, "t2"), 0);
    expect(w, "ra", reg(w, u, "ra"), w->at.patch);
    expect(w, "rounds", reg(w, u, "s1"), word(w, DATA + u * DATA_BYTES + ROUNDS_BEGUN));
    expect(w, "rounds that ended", reg(w, u, "s2") + 1, reg(w, u, "s1"));
    expect(w, "minstret", reg(w, u, "minstret"), stop->insns);
    expect(w, "a value that zero can't hold", set_reg(w, u, "zero", 1), false);
    expect(w, "a pc that is odd", set_reg(w, u, "pc", w->at.loop + 1), false);
    expect(w, "a counter", set_reg(w, u, "mcycle", 1), false);
    expect(w, "pc", reg(w, u, "pc"), w->at.patch);
    expect(w, "scause", set_reg(w, u, "scause", 77), true);
    expect(w, "scause", reg(w, u, "scause"), 77);
    expect(w, "ft3", set_reg(w, u, "ft3", UINT64_C(0x123456789)), true);
    expect(w, "ft3", reg(w, u, "ft3"), UINT64_C(0x123456789));
}

static void look_at_memory(struct watched *w, unsigned u)
{
    const struct gw_debug_ops *ops = w->d->ops;
    uint8_t a[64], b[64];
    int unit = (int)u;
    uint64_t pte = word(w, ROOT_ENTRY), end = RAM + RAM_BYTES;
    expect(w, "code", ops->read(w->d, unit, w->at.loop, a, 64), 64);
    expect(w, "code", ops->read(w->d, GW_DEBUG_PHYSICAL, w->at.loop - HIGH, b, 64), 64);
    assert_memory_equal(a, b, 64);
    expect(w, "by another entry", ops->read(w->d, unit, w->at.loop - HIGH - RAM + UNMARKED, b, 64),
           64);
    assert_memory_equal(a, b, 64);
    expect(w, "its bits", word(w, ROOT_ENTRY), pte);
    expect(w, "where nothing is", ops->read(w->d, unit, NOTHING, a, 8), 0);
    expect(w, "up to there", ops->read(w->d, unit, end + HIGH - 8, a, 64), 8);
    expect(w, "up to RAM's end", ops->read(w->d, GW_DEBUG_PHYSICAL, end - 8, a, 64), 8);
    expect(w, "written up to RAM's end", ops->write(w->d, GW_DEBUG_PHYSICAL, end - 8, a, 64), 8);
    expect(w, "a device", ops->read(w->d, GW_DEBUG_PHYSICAL, 0x10000000, a, 1), 0);
    expect(w, "a device", ops->write(w->d, GW_DEBUG_PHYSICAL, 0x10000000, a, 1), 0);
    expect(w, "of no unit", ops->read(w->d, 7, w->at.loop, a, 8), 0);
}

/* One round counts for `rounds` of them from now on. */
static void patch(struct watched *w, unsigned u, unsigned rounds)
{
    uint8_t insn[4];
    gw_put_little(insn, 0x00090913 | (uint64_t)rounds << 20, 4); /* addi s2, s2, rounds */
    expect(w, "written", w->d->ops->write(w->d, (int)u, w->at.patch, insn, 4), 4);
}

/* In front of an instruction that has run by then, without a breakpoint on it. */
static void patch_and_skip(struct watched *w, unsigned u)
{
    uint64_t *ended = w->test;
    remove_break(w, 0, w->at.callee);
    add_break(w, GW_DEBUG_ALL, w->at.finish);
    patch(w, u, 3);
    /* 100 rounds are left, of which each counts thrice. */
    expect(w, "s1", set_reg(w, u, "s1", ROUNDS - 99), true);
    *ended = reg(w, u, "s2") + 3 * 100;
}

static void stop_and_look(struct watched *w, const struct gw_debug_stop *stop)
{
    const uint64_t *ended = w->test;
    unsigned u = stop->unit;
    if (stop->pc == w->at.finish) {
        expect(w, "rounds as they count", reg(w, u, "s2"), *ended);
    } else if (w->stops <= 5) {
        look_at_registers(w, stop);
        look_at_memory(w, u);
    }
    if (w->stops == 5) {
        remove_break(w, 0, w->at.patch);
        add_break(w, 0, w->at.callee);
    } else if (w->stops == 8) {
        patch_and_skip(w, u);
    }
    go_on(w, NULL);
}

static void offer_look(struct watched *w)
{
    struct gw_debug_unit unit;
    watched_attach(w);
    expect(w, "units", w->d->ops->units(w->d), w->way->harts);
    assert_true(w->d->ops->unit(w->d, w->way->harts - 1, &unit));
    assert_string_equal(unit.name, w->way->harts == 1 ? "cpu0" : "cpu1");
    expect(w, "state", unit.state, GW_DEBUG_RUNS);
    assert_false(w->d->ops->unit(w->d, w->way->harts, &unit));
    add_break(w, 0, w->at.patch);
}

static void look_in(struct watched *w)
{
    uint64_t ended = 0;
    w->offered = offer_look;
    w->stopped = stop_and_look;
    w->test = &ended;
    watched_run(w);
}

static void registers_and_memory_are_what_the_guest_has(void **state)
{
    each_way(look_in);
}

/* ---- steps ---------------------------------------------------------------------------------- */

enum { STEPS = 300 };

struct steps {
    uint64_t pc[STEPS];
    uint64_t insns;
    unsigned count;
};

/* One unit steps through some rounds, and the others are held. */
static void step(struct watched *w, const struct gw_debug_stop *stop)
{
    struct steps *s = w->test;
    struct gw_debug_plan plan[2] = {{.step = true, .until = UINT64_MAX},
                                    {.hold = true, .until = UINT64_MAX}};
    expect(w, "why", stop->why, s->count ? GW_DEBUG_STEP : GW_DEBUG_BREAK);
    expect(w, "unit", stop->unit, 0);
    if (s->count)
        assert_in_range(stop->insns - s->insns, 0, 1);
    s->insns = stop->insns;
    s->pc[s->count++] = stop->pc;
    if (s->count == 1)
        remove_break(w, GW_DEBUG_ALL, w->at.loop);
    go_on(w, s->count < STEPS ? plan : NULL);
}

static void offer_step(struct watched *w)
{
    watched_attach(w);
    add_break(w, 0, w->at.loop);
}

static void each_step_is_an_instruction(void **state)
{
    static struct steps first, s;
    for (unsigned i = 0; i < watched_way_count; i++) {
        struct way way = watched_ways[i];
        struct watched w = {.way = &way, .offered = offer_step, .stopped = step, .test = &s};
        way.tick = 0; /* nothing comes between */
        s = (struct steps){.count = 0};
        watched_run(&w);
        expect(&w, "steps", s.count, STEPS);
        if (!i)
            first = s;
        assert_memory_equal(s.pc, first.pc, sizeof s.pc);
    }
}

/* ---- held units ----------------------------------------------------------------------------- */

enum { FAR = 400000 }; /* some turns */

/* First unit 1 is held, then unit 0. */
static void hold(struct watched *w, const struct gw_debug_stop *stop)
{
    uint64_t *held = w->test;
    unsigned runs = w->stops - 1, other = 1 - runs;
    struct gw_debug_plan plan[2] = {{.until = UINT64_MAX}, {.until = UINT64_MAX}};
    if (w->stops == 1)
        remove_break(w, 0, w->at.loop);
    else
        expect(w, "what the one that was held has done", insns_of(w, runs % 2), *held);
    if (w->stops == 3) {
        go_on(w, NULL);
        return;
    }
    *held = insns_of(w, other);
    plan[other].hold = true;
    plan[runs].until = insns_of(w, runs) + FAR;
    go_on(w, plan);
}

static void a_unit_that_is_held_stays_where_it_is(void **state)
{
    for (unsigned i = 0; i < watched_way_count; i++) {
        uint64_t held = 0;
        struct way way = watched_ways[i];
        struct watched w = {.way = &way, .offered = offer_step, .stopped = hold, .test = &held};
        way.rounds = LONG_RUN;
        if (way.harts < 2)
            continue;
        watched_run(&w);
        expect(&w, "stops", w.stops, 3);
    }
}

/* ---- counts --------------------------------------------------------------------------------- */

static void count(struct watched *w, const struct gw_debug_stop *stop)
{
    uint64_t *until = w->test;
    unsigned last = w->way->harts - 1;
    struct gw_debug_plan plan[2] = {{.until = UINT64_MAX}, {.until = UINT64_MAX}};
    if (w->stops > 1) {
        expect(w, "why", stop->why, GW_DEBUG_COUNT);
        expect(w, "unit", stop->unit, last);
        expect(w, "count", stop->insns, *until);
    }
    *until = 1000 + 37 * w->stops;
    plan[last].until = *until;
    go_on(w, w->stops < 20 ? plan : NULL);
}

static void offer_count(struct watched *w)
{
    watched_attach(w);
    w->d->ops->stop(w->d);
}

static void count_in(struct watched *w)
{
    uint64_t until = 0;
    w->offered = offer_count;
    w->stopped = count;
    w->test = &until;
    watched_run(w);
    expect(w, "stops", w->stops, 20);
}

static void a_unit_stops_at_a_count(void **state)
{
    each_way(count_in);
}

/* The first stop is before anything has run. */
static void count_all(struct watched *w, const struct gw_debug_stop *stop)
{
    uint64_t *until = w->test;
    struct gw_error err;
    enum gw_status st;
    expect(w, "why", stop->why, w->stops > 1 ? GW_DEBUG_COUNT : GW_DEBUG_ASKED);
    expect(w, "count", retired_by_all(w), *until);
    *until = 1 + (uint64_t)w->stops * w->stops * 997;
    st = w->d->ops->resume(w->d, NULL, w->stops < 20 ? *until : UINT64_MAX, &err);
    if (w->way->harts == 1 || is_repeatable(w->way)) {
        expect(w, "going on", st, GW_OK);
        return;
    }
    expect(w, "of those at once", st, GW_ERR_UNSUPPORTED);
    go_on(w, NULL);
}

static void count_all_in(struct watched *w)
{
    uint64_t until = 0;
    w->offered = offer_count;
    w->stopped = count_all;
    w->test = &until;
    watched_run(w);
}

static void all_units_stop_at_a_count_of_all(void **state)
{
    each_way(count_all_in);
}

/* ---- from another thread -------------------------------------------------------------------- */

struct remote {
    pthread_t thread;
    pthread_mutex_t lock;
    pthread_cond_t changed;
    bool stopped, over;
    struct gw_debug_stop stop;
};

static void hand_over(struct watched *w, const struct gw_debug_stop *stop)
{
    struct remote *r = w->test;
    pthread_mutex_lock(&r->lock);
    r->stop = *stop;
    r->stopped = true;
    pthread_cond_signal(&r->changed);
    pthread_mutex_unlock(&r->lock);
}

static struct gw_debug_stop wait_for_stop(struct remote *r)
{
    pthread_mutex_lock(&r->lock);
    while (!r->stopped)
        pthread_cond_wait(&r->changed, &r->lock);
    r->stopped = false;
    struct gw_debug_stop stop = r->stop;
    pthread_mutex_unlock(&r->lock);
    return stop;
}

enum { MEETINGS = 30 };

/* Breakpoints come and go while the machine runs, for all units or the last one. */
static void *watch_from_outside(void *context)
{
    struct watched *w = context;
    struct remote *r = w->test;
    int last = (int)w->way->harts - 1;
    for (unsigned i = 0; i < MEETINGS; i++) {
        bool all = i % 3 == 0;
        uint64_t pc = i % 2 ? w->at.loop : w->at.callee + 4;
        add_break(w, all ? GW_DEBUG_ALL : last, pc);
        struct gw_debug_stop stop = wait_for_stop(r);
        expect(w, "why", stop.why, GW_DEBUG_BREAK);
        expect(w, "pc", stop.pc, pc);
        expect(w, "pc of the unit", reg(w, stop.unit, "pc"), pc);
        if (!all)
            expect(w, "unit", stop.unit, (uint64_t)last);
        /* They never come to their end meanwhile. */
        for (unsigned u = 0; u < w->way->harts; u++)
            set_reg(w, u, "s4", UINT64_C(1) << 40);
        if (i % 5 == 0) {
            remove_break(w, all ? GW_DEBUG_ALL : last, pc);
            go_on(w, NULL);
            continue;
        }
        uint64_t rounds = reg(w, stop.unit, "s1");
        unsigned unit = stop.unit;
        go_on(w, NULL);
        stop = wait_for_stop(r); /* the next round */
        expect(w, "pc again", stop.pc, pc);
        /* None, where a handler came between and has returned to the breakpoint. */
        if (pc == w->at.loop && stop.unit == unit)
            assert_in_range(reg(w, unit, "s1") - rounds, 0, 1);
        go_on(w, NULL);
        remove_break(w, all ? GW_DEBUG_ALL : last, pc);
        /* A stop that was on its way is told before, or not at all. */
        pthread_mutex_lock(&r->lock);
        bool met = r->stopped;
        r->stopped = false;
        pthread_mutex_unlock(&r->lock);
        if (met)
            go_on(w, NULL);
    }
    w->d->ops->stop(w->d);
    wait_for_stop(r);
    for (unsigned u = 0; u < w->way->harts; u++)
        set_reg(w, u, "s4", 0);
    w->d->ops->detach(w->d);
    r->over = true;
    return NULL;
}

static void offer_outside(struct watched *w)
{
    struct remote *r = w->test;
    watched_attach(w);
    assert_int_equal(pthread_create(&r->thread, NULL, watch_from_outside, w), 0);
}

static void outside_in(struct watched *w)
{
    struct remote r = {.lock = PTHREAD_MUTEX_INITIALIZER, .changed = PTHREAD_COND_INITIALIZER};
    struct way way = *w->way;
    way.rounds = INT32_MAX;
    w->way = &way;
    w->offered = offer_outside;
    w->stopped = hand_over;
    w->test = &r;
    watched_run(w);
    pthread_join(r.thread, NULL);
    assert_true(r.over);
    assert_false(w->ended); /* nobody watched any more */
    w->ended = true;
}

static void breakpoints_come_and_go_while_it_runs(void **state)
{
    each_way(outside_in);
}

/* ---- the end -------------------------------------------------------------------------------- */

static void offer_nothing(struct watched *w)
{
    struct gw_error err;
    watched_attach(w);
    add_break(w, GW_DEBUG_ALL, w->at.patch);
    expect(w, "a breakpoint of nobody", w->d->ops->break_add(w->d, 7, w->at.patch, &err),
           GW_ERR_ARG);
    expect(w, "one that is not there", w->d->ops->break_remove(w->d, 0, w->at.loop, &err),
           GW_ERR_NOTFOUND);
    w->d->ops->detach(w->d);
    watched_attach(w);
}

static void nothing_in(struct watched *w)
{
    w->offered = offer_nothing;
    w->stopped = run_on;
    watched_run(w);
    expect(w, "stops", w->stops, 0);
}

static void who_detaches_leaves_nothing_behind(void **state)
{
    each_way(nothing_in);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(registers_and_memory_are_what_the_guest_has),
        cmocka_unit_test(each_step_is_an_instruction),
        cmocka_unit_test(a_unit_that_is_held_stays_where_it_is),
        cmocka_unit_test(a_unit_stops_at_a_count),
        cmocka_unit_test(all_units_stop_at_a_count_of_all),
        cmocka_unit_test(breakpoints_come_and_go_while_it_runs),
        cmocka_unit_test(who_detaches_leaves_nothing_behind),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
