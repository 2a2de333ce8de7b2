/* Those who asked a machine for something, by their tokens. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <unistd.h>

#include <cmocka.h>

#include "machine/loop/asks.h"
#include "machine/machine.h"

enum { WHAT = MACHINE_ASK_PAUSE };

static void done(void *context, const char *text, const struct gw_error *err)
{
}

static void a_token_is_good_once(void **state)
{
    struct asks t;
    struct asker a = {.what = WHAT, .done = done, .fd = 7}, got;
    int who[2];
    uint64_t first, second;
    asks_init(&t);
    a.context = &who[0];
    first = asks_add(&t, &a);
    a.context = &who[1];
    second = asks_add(&t, &a);
    assert_true(first && second && first != second);
    assert_int_equal(asks_last(&t), second);
    assert_true(asks_take(&t, first, WHAT, &got));
    assert_ptr_equal(got.context, &who[0]);
    assert_int_equal(got.fd, 7);
    assert_false(
        asks_take(&t, first, WHAT, &got)); /* stale: nobody is told, and nothing is closed */
    assert_null(got.done);
    assert_int_equal(got.fd, -1);
    assert_true(asks_take(&t, second, WHAT, &got));
    assert_ptr_equal(got.context, &who[1]);
    asks_destroy(&t);
}

static void tokens_of_nobody_name_nobody(void **state)
{
    struct asks t;
    struct asker a = {.what = WHAT, .done = done, .fd = -1}, got;
    uint64_t token;
    asks_init(&t);
    token = asks_add(&t, &a);
    assert_false(asks_take(&t, 0, WHAT, &got));
    assert_false(asks_take(&t, token + 1, WHAT, &got));
    assert_false(asks_take(&t, UINT64_MAX, WHAT, &got));
    assert_true(asks_take(&t, token, WHAT, &got));
    assert_true(asks_add(&t, &a) > token); /* its place is free, its token is not */
    asks_destroy(&t);
}

/* As a log has them: of a process that ran before, and with a kind that is another's. */
static void a_log_of_another_process_names_nobody(void **state)
{
    struct asks before, t;
    struct asker a = {.what = MACHINE_ASK_SAVE, .done = done, .fd = -1}, got;
    uint64_t logged, token;
    asks_init(&before);
    logged = asks_add(&before, &a);
    asks_init(&t);
    token = asks_add(&t, &a);
    assert_false(asks_take(&t, logged, MACHINE_ASK_SAVE, &got));
    assert_false(asks_take(&t, token, MACHINE_ASK_RESUME, &got));
    assert_null(got.done);
    assert_true(asks_take(&t, token, MACHINE_ASK_SAVE, &got));
    asks_destroy(&t);
    asks_destroy(&before);
}

static void those_who_come_later_are_told_apart(void **state)
{
    struct asks t;
    struct asker a = {.what = WHAT, .done = done, .fd = -1}, got;
    unsigned taken = 0;
    uint64_t last;
    asks_init(&t);
    for (unsigned i = 0; i < 3; i++)
        asks_add(&t, &a);
    last = asks_last(&t);
    while (asks_take_one(&t, last, &got)) {
        asks_add(&t, &a); /* whoever is told asks again */
        taken++;
    }
    assert_int_equal(taken, 3);
    assert_true(asks_take_one(&t, UINT64_MAX, &got));
    asks_destroy(&t);
}

static void a_descriptor_does_not_outlive_the_machine(void **state)
{
    struct asks t;
    int fd[2];
    assert_int_equal(pipe(fd), 0);
    asks_init(&t);
    assert_true(asks_add(&t, &(struct asker){.what = WHAT, .done = done, .fd = fd[1]}));
    asks_destroy(&t);
    assert_int_equal(read(fd[0], &(char){0}, 1), 0); /* closed */
    close(fd[0]);
}

/* Whoever waits for something else looks for those who only want to know something, and for no others. */
static void who_wants_to_know_is_found_by_time(void **state)
{
    static const uint32_t kinds[] = {MACHINE_ASK_PAUSE, MACHINE_ASK_STATUS, MACHINE_ASK_STOP,
                                     MACHINE_ASK_STATS};
    struct asks t;
    struct asker got;
    uint64_t token[4];
    asks_init(&t);
    assert_false(asks_take_look(&t, UINT64_MAX, &got));
    for (unsigned i = 0; i < 4; i++)
        token[i] = asks_add(&t, &(struct asker){.what = kinds[i], .done = done, .fd = -1});
    assert_false(asks_take_look(&t, 1, &got)); /* nobody has waited for so long */
    assert_true(asks_take_look(&t, UINT64_MAX, &got));
    assert_int_equal(got.what, MACHINE_ASK_STATS);
    assert_true(asks_take(&t, token[1], kinds[1], &got));
    assert_int_equal(got.what, MACHINE_ASK_STATUS);
    assert_false(asks_take_look(&t, UINT64_MAX, &got));
    assert_int_equal(t.looks, 0);
    assert_true(asks_take(&t, token[0], kinds[0], &got) && asks_take(&t, token[2], kinds[2], &got));
    asks_destroy(&t);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_token_is_good_once),
        cmocka_unit_test(tokens_of_nobody_name_nobody),
        cmocka_unit_test(a_log_of_another_process_names_nobody),
        cmocka_unit_test(who_wants_to_know_is_found_by_time),
        cmocka_unit_test(those_who_come_later_are_told_apart),
        cmocka_unit_test(a_descriptor_does_not_outlive_the_machine),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
