/* Signals, the timeout and the end, as the control thread sees to them. */
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#include "machine/host.h"

struct seen {
    int signal;
    unsigned timeouts;
    uint32_t cut, why, cut_signal; /* atomic */
};

static void on_signal(void *context, int number)
{
    ((struct seen *)context)->signal = number;
}

static void on_timeout(void *context)
{
    ((struct seen *)context)->timeouts++;
}

static void on_resize(void *context, uint16_t columns, uint16_t rows)
{
}

static void on_cut(void *context, enum host_end why, int number)
{
    struct seen *s = context;
    s->why = why;
    s->cut_signal = (uint32_t)number;
    __atomic_store_n(&s->cut, 1, __ATOMIC_SEQ_CST);
}

static struct host *start(struct seen *s, uint64_t timeout_ns)
{
    struct host_hooks hooks = {.signal = on_signal,
                               .timeout = on_timeout,
                               .resize = on_resize,
                               .cut = on_cut,
                               .context = s};
    struct gw_error err = {0};
    struct host *h;
    *s = (struct seen){0};
    assert_int_equal(host_new(&h, &hooks, timeout_ns, &err), GW_OK);
    return h;
}

static double seconds(void)
{
    struct timespec ts;
    clock_gettime(CLOCK_MONOTONIC, &ts);
    return (double)ts.tv_sec + (double)ts.tv_nsec * 1e-9;
}

/* Sleeps until the end was asked for. */
static void wait_for_end(const struct host *h)
{
    while (!host_end_asked(h))
        usleep(1000);
}

static void what_came_before_there_were_events_is_delivered(void **state)
{
    struct gw_events *q = gw_events_new(GW_CLOCK_HOST, 0);
    struct seen s;
    struct host *h = start(&s, 0);
    kill(getpid(), SIGTERM);
    wait_for_end(h);
    assert_int_equal(host_attach(h, q, NULL), GW_OK);
    gw_events_run(q, 0);
    assert_int_equal(s.signal, SIGTERM);
    host_detach(h);
    host_free(h);
    gw_events_free(q);
}

static void the_first_end_that_is_asked_for_stays(void **state)
{
    struct gw_events *q = gw_events_new(GW_CLOCK_HOST, 0);
    struct seen s;
    struct host *h = start(&s, 1000000);
    assert_int_equal(host_attach(h, q, NULL), GW_OK);
    wait_for_end(h);
    assert_false(host_hurries(h));
    kill(getpid(), SIGINT);
    while (!host_hurries(h))
        usleep(1000);
    gw_events_run(q, 0);
    assert_int_equal(s.timeouts, 1);
    assert_int_equal(s.signal, 0);
    host_detach(h);
    host_free(h);
    gw_events_free(q);
}

/* Nobody takes an event: this thread stands for one that the host holds. */
static void who_does_not_end_is_cut_off(void **state)
{
    struct seen s;
    struct host *h = start(&s, 0);
    double began = seconds();
    host_ask_end(h, HOST_END_SIGNAL, SIGHUP);
    host_allow(h, UINT64_C(300000000));
    while (!__atomic_load_n(&s.cut, __ATOMIC_SEQ_CST))
        usleep(1000);
    assert_true(seconds() - began > 0.2 && seconds() - began < 10);
    assert_int_equal(s.why, HOST_END_SIGNAL);
    assert_int_equal(s.cut_signal, SIGHUP);
    host_free(h);
}

static void an_end_that_goes_on_is_not_cut_off_unless_it_hurries(void **state)
{
    struct seen s;
    struct host *h = start(&s, 0);
    double began;
    host_ask_end(h, HOST_END_STOP, 0);
    for (unsigned i = 0; i < 30; i++) {
        host_allow(h, UINT64_C(1500000000));
        usleep(50000);
    }
    assert_int_equal(__atomic_load_n(&s.cut, __ATOMIC_SEQ_CST), 0);
    host_ask_end(h, HOST_END_STOP, 0);
    began = seconds();
    while (!__atomic_load_n(&s.cut, __ATOMIC_SEQ_CST)) {
        host_allow(h, UINT64_C(60000000000));
        usleep(1000);
    }
    assert_true(seconds() - began > 0.5);
    assert_int_equal(s.why, HOST_END_STOP);
    host_free(h);
}

/* Whatever was asked before, and however long it may take. */
static void a_kill_is_not_waited_for(void **state)
{
    struct seen s;
    struct host *h = start(&s, 0);
    double began = seconds();
    host_ask_end(h, HOST_END_STOP, 0);
    host_allow(h, UINT64_C(60000000000));
    host_kill(h);
    host_allow(h, UINT64_C(60000000000));
    host_ask_end(h, HOST_END_SIGNAL, SIGTERM);
    while (!__atomic_load_n(&s.cut, __ATOMIC_SEQ_CST))
        usleep(1000);
    assert_true(seconds() - began < 0.9);
    assert_int_equal(s.why, HOST_END_KILL);
    host_free(h);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_came_before_there_were_events_is_delivered),
        cmocka_unit_test(the_first_end_that_is_asked_for_stays),
        cmocka_unit_test(who_does_not_end_is_cut_off),
        cmocka_unit_test(an_end_that_goes_on_is_not_cut_off_unless_it_hurries),
        cmocka_unit_test(a_kill_is_not_waited_for),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
