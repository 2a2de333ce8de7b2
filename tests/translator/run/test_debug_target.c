/*
 * Targets of debuggers, where who asks and who stops meet at the worst moment: one unit, which the test
 * runs and holds by hand, while another thread asks.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <pthread.h>
#include <semaphore.h>

#include "tests/translator/run/world.h"
#include "translator/debug.h"

#define CODE W_RAM

struct target {
    struct world w;
    struct debug *d;
    struct gw_debug *api;
    sem_t woken;
    unsigned stops, ends;
    struct gw_debug_stop stop;
    pthread_t asker;
    enum gw_status answer;
};

static void stopped(void *context, const struct gw_debug_stop *stop)
{
    struct target *t = context;
    t->stops++;
    t->stop = *stop;
}

static void ended(void *context)
{
    struct target *t = context;
    t->ends++;
}

static void wake(void *context)
{
    struct target *t = context;
    sem_post(&t->woken);
}

/* A unit in front of a loop of two instructions, with a breakpoint on the second. */
static void open_target(struct target *t)
{
    const uint32_t loop[] = {i_addi(A0, A0, 1), i_jal(X0, -4)};
    const struct gw_debug_client client = {.stopped = stopped, .ended = ended, .context = t};
    const struct debug_config cfg = {
        .isa = &rv_guest_isa, .units = 1, .unit_name = "cpu", .context = t, .wake = wake};
    struct gw_error err;
    t->stops = t->ends = 0;
    sem_init(&t->woken, 0, 0);
    world_open(&t->w, &world_ways[0]);
    world_code(&t->w, CODE, loop, 2);
    t->w.cpu->run.pc = CODE;
    assert_int_equal(debug_new(&t->d, &cfg, &err), GW_OK);
    debug_set_engine(t->d, 0, t->w.cpu, t->w.engine);
    t->api = debug_api(t->d);
    assert_true(t->api->ops->attach(t->api, &client));
    assert_int_equal(t->api->ops->break_add(t->api, 0, CODE + 4, &err), GW_OK);
    debug_begin(t->d);
}

static void close_target(struct target *t)
{
    debug_end(t->d);
    assert_int_equal(t->ends, 1);
    debug_free(t->d);
    world_close(&t->w);
    sem_destroy(&t->woken);
}

static void *remove_it(void *context)
{
    struct target *t = context;
    struct gw_error err;
    t->answer = t->api->ops->break_remove(t->api, GW_DEBUG_ALL, CODE + 4, &err);
    return NULL;
}

/* Returns once somebody waits for the target to stand still. */
static void ask(struct target *t)
{
    pthread_create(&t->asker, NULL, remove_it, t);
    sem_wait(&t->woken);
}

static struct target target;

static void a_stop_is_told_once_all_stand_still(void **state)
{
    struct target *t = &target;
    struct gw_error err;
    open_target(t);
    assert_int_equal(debug_run(t->d, 0, 100, true), ENGINE_ASKED);
    assert_int_equal(t->stops, 0);
    assert_true(debug_wanted(t->d));
    assert_false(debug_may_run(t->d, 0));
    assert_true(debug_held(t->d));
    assert_int_equal(t->stops, 1);
    assert_int_equal(t->stop.why, GW_DEBUG_BREAK);
    assert_int_equal(t->stop.pc, CODE + 4);
    assert_int_equal(t->stop.insns, engine_retired(t->w.engine));
    assert_true(debug_held(t->d)); /* and stays so */
    assert_int_equal(t->stops, 1);
    assert_int_equal(t->api->ops->resume(t->api, NULL, UINT64_MAX, &err), GW_OK);
    assert_false(debug_held(t->d));
    assert_true(debug_may_run(t->d, 0));
    close_target(t);
}

static void a_stop_whose_breakpoint_goes_before_it_is_told_is_none(void **state)
{
    struct target *t = &target;
    open_target(t);
    assert_int_equal(debug_run(t->d, 0, 100, true), ENGINE_ASKED);
    ask(t);
    assert_false(debug_held(t->d));
    pthread_join(t->asker, NULL);
    assert_int_equal(t->answer, GW_OK);
    assert_int_equal(t->stops, 0);
    assert_int_equal(debug_run(t->d, 0, 100, true), ENGINE_BUDGET);
    close_target(t);
}

static void who_waits_is_told_of_the_end(void **state)
{
    struct target *t = &target;
    open_target(t);
    ask(t);
    close_target(t);
    pthread_join(t->asker, NULL);
    assert_int_equal(t->answer, GW_ERR_STATE);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_stop_is_told_once_all_stand_still),
        cmocka_unit_test(a_stop_whose_breakpoint_goes_before_it_is_told_is_none),
        cmocka_unit_test(who_waits_is_told_of_the_end),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
