/*
 * A machine under a debugger: the guest does not notice. Each test runs a machine to its end and is called
 * at its stops, on a thread of the machine's.
 */
#include "tests/machine/watched.h"

#include <pthread.h>
#include <string.h>
#include <time.h>

/* ---- runs that are the same ------------------------------------------------------------------ */

/* How a run went, as the guest has it at its end. */
struct outcome {
    uint64_t insns, timer[2][2], device[2][2]; /* by hart: hash and count */
};

struct noise {
    bool wanted;
    uint32_t random;
    unsigned met, asked;
    bool at_loop, at_trap, at_callee, at_back;
    struct outcome out;
    struct gw_debug_plan plan[2]; /* for the other thread, once it is */
    uint32_t deferred, over;      /* atomic */
    pthread_t thread;
};

static uint32_t below(uint32_t *random, uint32_t n)
{
    *random = *random * 1664525u + 1013904223u;
    return (*random >> 8) % n;
}

static void take_outcome(struct watched *w, struct outcome *out)
{
    out->insns = retired_by_all(w);
    for (unsigned i = 0; i < w->way->harts; i++) {
        uint64_t at = DATA + i * DATA_BYTES;
        for (unsigned k = 0; k < 2; k++) {
            out->timer[i][k] = word(w, at + TIMER + 8 * k);
            out->device[i][k] = word(w, at + DEVICE + 8 * k);
        }
    }
}

static void flip(struct watched *w, bool *is, uint64_t pc)
{
    (*is ? remove_break : add_break)(w, GW_DEBUG_ALL, pc);
    *is = !*is;
}

/* Adds and removes breakpoints, steps, and lets it run a little, by chance. */
static void disturb(struct watched *w, const struct gw_debug_stop *stop)
{
    struct noise *n = w->test;
    struct gw_debug_plan plan[2] = {{.until = UINT64_MAX}, {.until = UINT64_MAX}};
    /* By the breakpoint; or by a step or a count that ended there, behind which it is passed. */
    if (stop->why != GW_DEBUG_ASKED && stop->pc == w->at.finish) {
        take_outcome(w, &n->out);
        __atomic_store_n(&n->over, 1, __ATOMIC_SEQ_CST);
        if (n->wanted)
            pthread_join(n->thread, NULL);
        go_on(w, NULL);
        return;
    }
    if (n->over) { /* asked for before that */
        go_on(w, NULL);
        return;
    }
    n->met += stop->why == GW_DEBUG_BREAK;
    n->asked += stop->why == GW_DEBUG_ASKED;
    if (below(&n->random, 4) == 0)
        flip(w, &n->at_loop, w->at.loop);
    if (below(&n->random, 6) == 0)
        flip(w, &n->at_callee, w->at.callee + 4);
    if (below(&n->random, 16) == 0)
        flip(w, &n->at_trap, w->at.trap + 8);
    if (below(&n->random, 16) == 0)
        flip(w, &n->at_back, w->at.back);
    for (unsigned i = 0; i < w->way->harts; i++) {
        plan[i].step = below(&n->random, 3) == 0;
        if (i == 0 || below(&n->random, 2))
            plan[i].until = insns_of(w, i) + 1 + below(&n->random, 10000);
    }
    if (below(&n->random, 32) == 0)
        w->d->ops->stop(w->d);
    reg(w, stop->unit, "mip");
    reg(w, stop->unit, "mcycle");
    if (below(&n->random, 32)) {
        go_on(w, plan);
        return;
    }
    memcpy(n->plan, plan, sizeof plan);
    __atomic_store_n(&n->deferred, 1, __ATOMIC_SEQ_CST);
}

/* Beside that, another thread asks for stops now and then, and lets it go on where that was left to
 * it. */
static void *ask(void *context)
{
    struct watched *w = context;
    struct noise *n = w->test;
    const struct timespec pause = {.tv_nsec = 50000};
    while (!__atomic_load_n(&n->over, __ATOMIC_SEQ_CST)) {
        nanosleep(&pause, NULL);
        if (__atomic_exchange_n(&n->deferred, 0, __ATOMIC_SEQ_CST))
            go_on(w, n->plan);
        else
            w->d->ops->stop(w->d);
    }
    return NULL;
}

static void offer_noise(struct watched *w)
{
    struct noise *n = w->test;
    watched_attach(w);
    add_break(w, GW_DEBUG_ALL, w->at.finish);
    if (!n->wanted)
        return;
    add_break(w, GW_DEBUG_ALL, w->at.callee + 4);
    n->at_callee = true;
    assert_int_equal(pthread_create(&n->thread, NULL, ask, w), 0);
}

static struct outcome outcome_of(const struct way *of, bool noise, uint32_t seed)
{
    struct noise n = {.wanted = noise, .random = seed};
    struct way way = *of;
    struct watched w = {.way = &way, .offered = offer_noise, .stopped = disturb, .test = &n};
    way.rounds = LONG_RUN;
    watched_run(&w);
    if (noise)
        assert_true(w.stops > 100 && n.met > 10 && n.asked > 0);
    return n.out;
}

static void a_run_that_can_be_repeated_is_the_same_when_it_is_watched(void **state)
{
    for (unsigned i = 0; i < watched_way_count; i++) {
        if (!is_repeatable(&watched_ways[i]))
            continue;
        struct outcome alone = outcome_of(&watched_ways[i], false, 0);
        assert_true(alone.timer[0][1] > 100 && alone.device[0][1] > 1);
        for (uint32_t seed = 1; seed < 4; seed++) {
            struct outcome watched = outcome_of(&watched_ways[i], true, seed);
            if (memcmp(&alone, &watched, sizeof alone) != 0)
                fail_msg("%s: seed %u: another run: %llu instructions, %llu alone",
                         watched_ways[i].name, seed, (unsigned long long)watched.insns,
                         (unsigned long long)alone.insns);
        }
    }
}

/* TSan makes what lies between a stop and its pause long, at times. */
#ifndef __SANITIZE_THREAD__

/* ---- time ----------------------------------------------------------------------------------- */

enum { NAPS = 10, NAP_MS = 30, TICKS_PER_MS = 10000 };

/* The instruction that counts rounds reads the time instead. */
static void nap(struct watched *w, const struct gw_debug_stop *stop)
{
    static const uint8_t rdtime_s2[4] = {0x73, 0x29, 0x10, 0xc0};
    const struct timespec t = {.tv_nsec = NAP_MS * 1000000};
    uint64_t *first = w->test, ticks = reg(w, 0, "s2") - *first;
    if (w->stops == 1)
        expect(w, "written", w->d->ops->write(w->d, 0, w->at.patch, rdtime_s2, 4), 4);
    else if (w->stops == 2)
        *first += ticks;
    else if (ticks / TICKS_PER_MS > NAPS * NAP_MS / 2)
        fail_msg("%s: %llu ms have gone by", w->way->name,
                 (unsigned long long)ticks / TICKS_PER_MS);
    nanosleep(&t, NULL);
    if (w->stops == NAPS) {
        assert_true(ticks > 0); /* in between it goes on */
        remove_break(w, 0, w->at.loop);
        expect(w, "s1", set_reg(w, 0, "s1", ROUNDS), true);
    }
    go_on(w, NULL);
}

static void offer_nap(struct watched *w)
{
    watched_attach(w);
    add_break(w, 0, w->at.loop);
}

static void vm_time_stands_still_while_stopped(void **state)
{
    for (unsigned i = 0; i < watched_way_count; i++) {
        uint64_t first = 0;
        struct watched w = {
            .way = &watched_ways[i], .offered = offer_nap, .stopped = nap, .test = &first};
        if (!is_repeatable(w.way)) /* of the others time is what they have done */
            watched_run(&w);
    }
}
#endif

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_run_that_can_be_repeated_is_the_same_when_it_is_watched),
#ifndef __SANITIZE_THREAD__
        cmocka_unit_test(vm_time_stands_still_while_stopped),
#endif
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
