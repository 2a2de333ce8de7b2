/* The event queue, timers and clocks. */
#include <pthread.h>

#include "tests/devices/fakes.h"

struct seen {
    unsigned count;
    uint16_t kinds[64];
    uint64_t insns;
    uint8_t last[16];
    uint32_t last_size;
};

static void deliver(void *context, const struct gw_event *ev)
{
    struct seen *s = context;
    s->kinds[s->count++ % 64] = ev->kind;
    s->insns = ev->insns;
    s->last_size = ev->size_bytes;
    if (ev->size_bytes && ev->size_bytes <= sizeof s->last)
        memcpy(s->last, ev->bytes, ev->size_bytes);
}

static void events_come_in_order_of_posting(void **state)
{
    struct fake_clock clock;
    struct gw_events *q = fake_events(&clock);
    struct seen s = {0};
    uint32_t attention = 0;
    uint16_t source = gw_events_register(q, "a", deliver, &s);
    gw_events_attach(q, &attention);
    for (uint16_t i = 0; i < 5; i++) {
        struct gw_event ev = {.source = source, .kind = i};
        assert_true(gw_events_post(q, &ev));
    }
    assert_int_equal(attention, 1);
    assert_int_equal(s.count, 0);
    gw_events_run(q, 1234);
    assert_int_equal(s.count, 5);
    for (unsigned i = 0; i < 5; i++)
        assert_int_equal(s.kinds[i], i);
    assert_int_equal(s.insns, 1234);
    gw_events_run(q, 1235);
    assert_int_equal(s.count, 5);
    gw_events_free(q);
}

static void bytes_are_copied_and_bounded(void **state)
{
    struct fake_clock clock;
    struct gw_events *q = fake_events(&clock);
    struct seen s = {0};
    static uint8_t bytes[4096];
    struct gw_event ev = {.source = gw_events_register(q, "a", deliver, &s),
                          .size_bytes = 4,
                          .bytes = (const uint8_t *)"abcd"};
    unsigned posted = 0;
    assert_true(gw_events_post(q, &ev));
    gw_events_run(q, 0);
    assert_memory_equal(s.last, "abcd", 4);
    ev.bytes = bytes;
    ev.size_bytes = sizeof bytes;
    while (posted < 10000 && gw_events_post(q, &ev))
        posted++;
    assert_in_range(posted, 1, DEV_EVENTS_MAX_BYTES / sizeof bytes);
    ev.size_bytes = 8; /* completions are never refused */
    while (posted < 20000 && gw_events_post(q, &ev))
        posted++;
    assert_false(gw_events_post(q, &ev));
    for (unsigned i = 0; i < 100; i++)
        assert_true(gw_events_post_bounded(q, &ev));
    gw_events_run(q, 0);
    ev.size_bytes = sizeof bytes;
    assert_true(gw_events_post(q, &ev));
    gw_events_free(q);
}

static bool post(struct gw_events *q, uint16_t source, uint16_t kind)
{
    struct gw_event ev = {.source = source, .kind = kind};
    return gw_events_post(q, &ev);
}

static void sources_are_numbered_as_they_come(void **state)
{
    struct fake_clock clock;
    struct gw_events *q = fake_events(&clock);
    struct seen s = {0};
    uint16_t last = 0;
    assert_int_equal(gw_events_register(q, "control", deliver, &s), 1);
    assert_int_equal(gw_events_register_next(q, "uart", deliver, &s), 2);
    assert_int_equal(gw_events_register_next(q, "uart", deliver, &s), 3);
    assert_int_equal(gw_events_register(q, "uart1", deliver, &s), GW_NO_SOURCE);
    assert_string_equal(gw_events_source_name(q, 1), "control");
    assert_string_equal(gw_events_source_name(q, 3), "uart1");
    assert_null(gw_events_source_name(q, 0));
    assert_null(gw_events_source_name(q, 4));
    assert_null(gw_events_source_name(q, UINT16_MAX));
    gw_events_withdraw(q, 2);
    assert_null(gw_events_source_name(q, 2));
    assert_int_equal(gw_events_register_next(q, "clock", deliver, &s), 4); /* not another's */
    assert_int_equal(gw_events_register_next(q, "uart", deliver, &s), 2);
    assert_int_equal(gw_events_register(q, "", deliver, &s), GW_NO_SOURCE);
    assert_int_equal(gw_events_register(q, "a-name-of-twenty-four-by", deliver, &s), GW_NO_SOURCE);
    for (uint16_t id; (id = gw_events_register_next(q, "x", deliver, &s)) != GW_NO_SOURCE;)
        last = id;
    assert_int_equal(last, GW_SOURCES_MAX);
    gw_events_free(q);
}

static void nobody_gets_what_is_for_nobody(void **state)
{
    struct fake_clock clock;
    struct gw_events *q = fake_events(&clock);
    struct seen s = {0}, t = {0};
    uint16_t a = gw_events_register(q, "a", deliver, &s), b;
    assert_false(post(q, GW_NO_SOURCE, 0));
    assert_false(post(q, (uint16_t)(a + 1), 0));
    assert_false(post(q, UINT16_MAX, 0));
    b = gw_events_register(q, "b", deliver, &t);
    assert_true(post(q, a, 1) && post(q, b, 2) && post(q, a, 3));
    gw_events_withdraw(q, a); /* what waits for it is dropped, and whoever has its name later */
    assert_false(post(q, a, 4));
    assert_true(post(q, b, 5));
    assert_int_equal(gw_events_register(q, "a", deliver, &s), a);
    gw_events_run(q, 0);
    assert_int_equal(s.count, 0);
    assert_int_equal(t.count, 2);
    assert_int_equal(t.kinds[1], 5);
    assert_true(post(q, a, 6));
    gw_events_run(q, 0);
    assert_int_equal(s.count, 1);
    gw_events_withdraw(q, GW_NO_SOURCE);
    gw_events_free(q);
}

struct leaver {
    struct gw_events *q;
    uint16_t other;
};

static void deliver_and_withdraw(void *context, const struct gw_event *ev)
{
    struct leaver *l = context;
    gw_events_withdraw(l->q, l->other);
}

/* While the machine stands still: the rest waits, in order, and costs what it did. */
static void some_sources_are_heard_while_others_wait(void **state)
{
    struct fake_clock clock;
    struct gw_events *q = fake_events(&clock);
    struct seen a = {0}, b = {0};
    uint16_t first = gw_events_register(q, "a", deliver, &a);
    uint16_t second = gw_events_register(q, "b", deliver, &b);
    const uint16_t heard[] = {GW_NO_SOURCE, second};
    for (uint16_t i = 0; i < 6; i++)
        assert_true(post(q, i % 2 ? second : first, i));
    dev_events_deliver_of(q, heard, 2);
    assert_int_equal(a.count, 0);
    assert_int_equal(b.count, 3);
    assert_int_equal(b.kinds[2], 5);
    assert_true(post(q, second, 7)); /* behind the last one that is left */
    gw_events_run(q, 0);
    assert_int_equal(a.count, 3);
    assert_int_equal(a.kinds[2], 4);
    assert_int_equal(b.count, 4);
    assert_int_equal(b.kinds[3], 7);
    assert_true(dev_events_idle(q));
    gw_events_free(q);
}

/* What was dropped makes room for others, though nothing is left to be delivered. */
static void what_is_withdrawn_costs_nothing(void **state)
{
    struct fake_clock clock;
    struct gw_events *q = fake_events(&clock);
    struct seen s = {0};
    static uint8_t bytes[4096];
    uint16_t a = gw_events_register(q, "a", deliver, &s);
    uint16_t b = gw_events_register(q, "b", deliver, &s);
    struct gw_event ev = {.source = a, .size_bytes = sizeof bytes, .bytes = bytes};
    while (gw_events_post(q, &ev))
        ;
    ev.source = b;
    assert_false(gw_events_post(q, &ev));
    gw_events_withdraw(q, a);
    assert_true(dev_events_idle(q));
    assert_true(gw_events_post(q, &ev));
    gw_events_free(q);
}

/* Both events were taken off the queue together. */
static void a_source_that_goes_while_events_are_delivered_gets_none(void **state)
{
    struct fake_clock clock;
    struct gw_events *q = fake_events(&clock);
    struct seen s = {0};
    struct leaver l = {.q = q};
    uint16_t a = gw_events_register(q, "a", deliver_and_withdraw, &l);
    l.other = gw_events_register(q, "b", deliver, &s);
    assert_true(post(q, a, 0) && post(q, l.other, 1));
    gw_events_run(q, 0);
    assert_int_equal(s.count, 0);
    gw_events_free(q);
}

static void record(void *context, const struct gw_event *ev)
{
    struct seen *s = context;
    s->kinds[s->count++ % 64] = ev->kind;
    s->insns = ev->insns;
}

static void what_is_replayed_is_the_log_alone(void **state)
{
    struct fake_clock clock;
    struct gw_events *q = fake_events(&clock);
    struct seen s = {0}, log = {0};
    uint16_t a = gw_events_register(q, "a", deliver, &s);
    struct gw_event ev = {.insns = 5, .source = a, .kind = 7};
    gw_events_record(q, record, &log);
    gw_events_replay(q);
    assert_true(post(q, a, 1)); /* as if it were taken */
    assert_true(dev_events_idle(q));
    assert_true(gw_events_inject(q, &ev));
    ev.source++;
    assert_false(gw_events_inject(q, &ev));
    gw_events_run(q, 100);
    assert_int_equal(s.count, 1);
    assert_int_equal(s.kinds[0], 7);
    assert_int_equal(log.count, 1);
    assert_int_equal(log.kinds[0], 7);
    assert_int_equal(log.insns, 100); /* when it was delivered */
    gw_events_free(q);
}

struct shot {
    uint64_t at[16];
    unsigned count;
    struct gw_events *q;
    struct gw_timer *rearm;
    uint64_t rearm_at;
};

static void fire(void *device, uint64_t now_ns)
{
    struct shot *s = device;
    s->at[s->count++ % 16] = now_ns;
    if (s->rearm)
        gw_timer_arm(s->q, s->rearm, s->rearm_at);
}

static void timers_fire_by_deadline(void **state)
{
    struct fake_clock clock;
    struct gw_events *q = fake_events(&clock);
    struct shot s = {0}, u = {0};
    struct gw_timer a = {.deadline_ns = UINT64_MAX, .fire = fire, .device = &s};
    struct gw_timer b = {.deadline_ns = UINT64_MAX, .fire = fire, .device = &u};
    assert_int_equal(gw_events_next_deadline(q), UINT64_MAX);
    gw_timer_arm(q, &a, 1000);
    gw_timer_arm(q, &b, 500);
    assert_int_equal(gw_events_next_deadline(q), 500);
    gw_timer_arm(q, &b, 2000); /* moving, not doubling */
    assert_int_equal(gw_events_next_deadline(q), 1000);
    gw_events_run(q, 999);
    assert_int_equal(s.count, 0);
    gw_events_run(q, 1000);
    assert_int_equal(s.count, 1);
    assert_int_equal(u.count, 0);
    assert_int_equal(a.deadline_ns, UINT64_MAX);
    gw_timer_cancel(q, &b);
    gw_events_run(q, 5000);
    assert_int_equal(u.count, 0);
    assert_int_equal(gw_events_next_deadline(q), UINT64_MAX);
    gw_events_free(q);
}

static void timer_armed_in_the_past_does_not_hold_the_vcpu(void **state)
{
    struct fake_clock clock;
    struct gw_events *q = fake_events(&clock);
    struct shot s = {.q = q, .rearm_at = 1};
    struct gw_timer a = {.deadline_ns = UINT64_MAX, .fire = fire, .device = &s};
    s.rearm = &a;
    gw_timer_arm(q, &a, 1);
    gw_events_run(q, 10);
    assert_in_range(s.count, 1, 100);
    gw_timer_cancel(q, &a);
    gw_events_free(q);
}

static void idle_insns_clock_jumps_to_the_deadline(void **state)
{
    struct fake_clock clock;
    struct gw_events *q = fake_events(&clock);
    struct shot s = {0};
    struct gw_timer a = {.deadline_ns = UINT64_MAX, .fire = fire, .device = &s};
    gw_timer_arm(q, &a, 1000000);
    gw_events_wait(q, UINT64_MAX);
    assert_int_equal(gw_events_now(q, 0), 1000000);
    gw_events_run(q, 0);
    assert_int_equal(s.count, 1);
    gw_events_wait(q, 1500000);
    assert_int_equal(gw_events_now(q, 10), 1500010);
    assert_int_equal(gw_events_now(q, 5), 1500010); /* never backwards */
    assert_int_equal(dev_events_insns_until(q, 1500020, 10), 10);
    assert_int_equal(dev_events_insns_until(q, 3, 10), 1);
    gw_events_free(q);
}

static void waiting_does_not_jump_over_an_event(void **state)
{
    struct fake_clock clock;
    struct gw_events *q = fake_events(&clock);
    struct seen s = {0};
    struct gw_event ev = {.source = gw_events_register(q, "a", deliver, &s)};
    gw_events_post(q, &ev);
    gw_events_wait(q, 1000);
    assert_int_equal(gw_events_now(q, 0), 0);
    gw_events_free(q);
}

static void *post_later(void *context)
{
    struct gw_event ev = {.source = 1};
    gw_events_post(context, &ev);
    return NULL;
}

static void post_wakes_a_sleeper(void **state)
{
    struct gw_events *q = gw_events_new(GW_CLOCK_HOST, 0);
    struct seen s = {0};
    pthread_t t;
    gw_events_register(q, "a", deliver, &s);
    pthread_create(&t, NULL, post_later, q);
    gw_events_wait(q, UINT64_MAX); /* hangs when the wake-up is lost */
    pthread_join(t, NULL);
    gw_events_free(q);
}

static void *nudge_later(void *context)
{
    nanosleep(&(struct timespec){.tv_nsec = 1000000}, NULL);
    dev_events_nudge(context);
    return NULL;
}

/* Once for each nudge, which may come first; and what waits is new once. */
static void a_nudge_wakes_who_waits_for_nothing(void **state)
{
    struct gw_events *q = gw_events_new(GW_CLOCK_HOST, 0);
    struct seen s = {0};
    uint16_t source = gw_events_register(q, "a", deliver, &s);
    pthread_t t;
    dev_events_nudge(q);
    gw_events_wait(q, UINT64_MAX);
    assert_true(post(q, source, 1));
    dev_events_wait_new(q);
    pthread_create(&t, NULL, nudge_later, q);
    dev_events_wait_new(q);
    pthread_join(t, NULL);
    pthread_create(&t, NULL, post_later, q);
    dev_events_wait_new(q);
    pthread_join(t, NULL);
    assert_int_equal(s.count, 0);
    gw_events_run(q, 0);
    assert_int_equal(s.count, 2);
    gw_events_free(q);
}

/* Two threads that hand a ball to and fro, each asleep until it is its turn. */
struct player {
    struct gw_events *q;
    uint32_t attention, *other;
    unsigned turns;
};

enum { TURNS = 20000 };

static void *play(void *context)
{
    struct player *p = context;
    while (p->turns < TURNS) {
        if (__atomic_exchange_n(&p->attention, 0, __ATOMIC_SEQ_CST)) {
            p->turns++;
            gw_events_kick(p->q, p->other);
        } else {
            gw_events_sleep(p->q, &p->attention, UINT64_MAX);
        }
    }
    return NULL;
}

static void kicks_are_not_lost(void **state)
{
    struct gw_events *q = gw_events_new(GW_CLOCK_HOST, 0);
    struct player a = {.q = q, .attention = 1}, b = {.q = q};
    pthread_t t;
    a.other = &b.attention;
    b.other = &a.attention;
    pthread_create(&t, NULL, play, &b);
    play(&a); /* hangs when one is lost */
    pthread_join(t, NULL);
    assert_int_equal(a.turns, TURNS);
    assert_int_equal(b.turns, TURNS);
    gw_events_free(q);
}

static void a_sleeper_wakes_for_a_post_and_a_deadline(void **state)
{
    struct gw_events *q = gw_events_new(GW_CLOCK_HOST, 0);
    uint32_t attention = 0, none = 0;
    uint64_t start;
    pthread_t t;
    struct seen s = {0};
    gw_events_register(q, "a", deliver, &s);
    gw_events_attach(q, &attention);
    pthread_create(&t, NULL, post_later, q);
    while (!__atomic_load_n(&attention, __ATOMIC_SEQ_CST))
        gw_events_sleep(q, &attention, UINT64_MAX);
    pthread_join(t, NULL);
    gw_events_sleep(q, &attention, UINT64_MAX); /* set: does not sleep */
    assert_int_equal(attention, 1);             /* and is left so */
    start = gw_events_now(q, 0);
    while (gw_events_now(q, 0) < start + 2000000)
        gw_events_sleep(q, &none, start + 2000000);
    gw_events_sleep(q, &none, start); /* past */
    gw_events_run(q, 0);
    gw_events_free(q);
}

static void *read_clock(void *context)
{
    uint64_t last = 0;
    for (unsigned i = 0; i < 100000; i++) {
        uint64_t now = gw_events_now(context, 0);
        if (now < last)
            return context;
        last = now;
    }
    return NULL;
}

static void the_clock_runs_forward_for_every_thread(void **state)
{
    struct gw_events *q = gw_events_new(GW_CLOCK_HOST, 0);
    pthread_t t[3];
    for (unsigned i = 0; i < 3; i++)
        pthread_create(&t[i], NULL, read_clock, q);
    for (unsigned i = 0; i < 1000; i++) {
        dev_events_pause(q);
        dev_events_resume(q);
    }
    for (unsigned i = 0; i < 3; i++) {
        void *backwards;
        pthread_join(t[i], &backwards);
        assert_null(backwards);
    }
    gw_events_free(q);
}

static void host_clock_stands_still_while_paused(void **state)
{
    struct gw_events *q = gw_events_new(GW_CLOCK_HOST, 0);
    uint64_t a, b;
    dev_events_pause(q);
    a = gw_events_now(q, 0);
    gw_events_wait(q, a + 2000000);
    b = gw_events_now(q, 0);
    assert_int_equal(a, b);
    dev_events_resume(q);
    gw_events_wait(q, gw_events_now(q, 0) + 1000000);
    assert_true(gw_events_now(q, 0) >= a + 1000000);
    gw_events_free(q);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(events_come_in_order_of_posting),
        cmocka_unit_test(bytes_are_copied_and_bounded),
        cmocka_unit_test(sources_are_numbered_as_they_come),
        cmocka_unit_test(nobody_gets_what_is_for_nobody),
        cmocka_unit_test(some_sources_are_heard_while_others_wait),
        cmocka_unit_test(what_is_withdrawn_costs_nothing),
        cmocka_unit_test(a_source_that_goes_while_events_are_delivered_gets_none),
        cmocka_unit_test(what_is_replayed_is_the_log_alone),
        cmocka_unit_test(timers_fire_by_deadline),
        cmocka_unit_test(timer_armed_in_the_past_does_not_hold_the_vcpu),
        cmocka_unit_test(idle_insns_clock_jumps_to_the_deadline),
        cmocka_unit_test(waiting_does_not_jump_over_an_event),
        cmocka_unit_test(post_wakes_a_sleeper),
        cmocka_unit_test(a_nudge_wakes_who_waits_for_nothing),
        cmocka_unit_test(kicks_are_not_lost),
        cmocka_unit_test(a_sleeper_wakes_for_a_post_and_a_deadline),
        cmocka_unit_test(the_clock_runs_forward_for_every_thread),
        cmocka_unit_test(host_clock_stands_still_while_paused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
