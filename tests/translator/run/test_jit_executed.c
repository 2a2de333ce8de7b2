/* Which pages code ran from, and in which spaces. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "translator/code/executed.h"

#define BIT(n) (UINT64_C(1) << (n))

static uint64_t kernel_page(uint64_t n)
{
    return UINT64_C(0xffffffff80000) + n * 3;
}

static void a_page_is_known_by_its_spaces_until_it_is_dropped(void **state)
{
    struct executed x = {0};
    assert_int_equal(executed_by(&x, 7), 0);
    executed_drop(&x, 7, ~UINT64_C(0));
    executed_drop_all(&x, ~UINT64_C(0));
    executed_add(&x, 7, 0, 0);
    executed_add(&x, 7, GLOBAL_PAGES, 0);
    executed_add(&x, 8, 5, 0);
    assert_int_equal(executed_by(&x, 7), BIT(0) | BIT(GLOBAL_PAGES));
    assert_int_equal(executed_by(&x, 8), BIT(5));
    executed_drop(&x, 9, ~UINT64_C(0));
    executed_drop(&x, 7, BIT(0) | BIT(5));
    assert_int_equal(executed_by(&x, 7), BIT(GLOBAL_PAGES));
    assert_int_equal(executed_by(&x, 8), BIT(5));
    executed_drop_all(&x, BIT(5));
    assert_int_equal(executed_by(&x, 8), 0);
    assert_int_equal(executed_by(&x, 7), BIT(GLOBAL_PAGES));
    executed_clear(&x);
    assert_int_equal(executed_by(&x, 7), 0);
}

/* A fence of data moves no generation, however much code there is. */
static void no_other_page_is_taken_for_one_of_many(void **state)
{
    struct executed x = {0};
    for (uint64_t i = 0; i < 5000; i++)
        executed_add(&x, kernel_page(i), GLOBAL_PAGES, 0);
    for (uint64_t i = 0; i < 100000; i++)
        if (executed_by(&x, i) || executed_by(&x, kernel_page(i) + 1))
            fail_msg("page %llu", (unsigned long long)i);
    for (uint64_t i = 0; i < 5000; i++)
        assert_int_equal(executed_by(&x, kernel_page(i)), BIT(GLOBAL_PAGES));
    executed_clear(&x);
}

/* Processes come and go: their pages take no room for ever. */
static void pages_that_were_dropped_make_room(void **state)
{
    struct executed x = {0};
    for (uint64_t round = 0; round < 100; round++) {
        for (uint64_t i = 0; i < 2000; i++)
            executed_add(&x, round * 10000 + i, (unsigned)(round % SPACE_POOL), 0);
        executed_drop_all(&x, BIT(round % SPACE_POOL));
    }
    assert_false(x.full);
    assert_in_range(x.bits, 0, 13);
    executed_clear(&x);
}

static void a_large_table_that_is_empty_is_let_go(void **state)
{
    struct executed x = {0};
    for (uint64_t i = 0; i < 5000; i++)
        executed_add(&x, i, (unsigned)(i % 2), 0);
    assert_int_equal(executed_drop_all(&x, BIT(0)), BIT(0));
    assert_non_null(x.at);
    assert_int_equal(executed_drop_all(&x, BIT(0)), 0);
    assert_int_equal(executed_drop_all(&x, BIT(1) | BIT(7)), BIT(1));
    assert_null(x.at);
    executed_add(&x, 3, 4, 0);
    assert_int_equal(executed_drop_all(&x, ~UINT64_C(0)), BIT(4));
    assert_non_null(x.at);
    executed_clear(&x);
}

static void too_many_pages_may_be_any(void **state)
{
    struct executed x = {0};
    for (uint64_t i = 0; i < 100000; i++)
        executed_add(&x, i, 1, 0);
    assert_true(x.full);
    assert_in_range(x.bits, 0, 16);
    for (uint64_t i = 0; i < 200000; i++)
        assert_int_equal(executed_by(&x, i), ~UINT64_C(0));
    executed_clear(&x);
    assert_false(x.full);
}

/* What asks without the lock: no page that is there is left out, and few others are named. */
static void the_filter_names_each_page_and_few_others(void **state)
{
    struct executed x = {0};
    unsigned others = 0;
    executed_open(&x);
    for (uint64_t i = 0; i < 5000; i++) /* the table grows on the way */
        executed_add(&x, kernel_page(i), GLOBAL_PAGES, 0);
    for (uint64_t i = 0; i < 5000; i++) {
        assert_true(executed_maybe(&x, kernel_page(i)));
        others += executed_maybe(&x, kernel_page(i) + 1) + executed_maybe(&x, i);
    }
    assert_in_range(others, 0, 300); /* of 10,000 */
    executed_close(&x);
}

static void a_page_stays_in_the_filter_until_the_next_turn(void **state)
{
    struct executed x = {0};
    executed_open(&x);
    executed_add(&x, 7, 3, 0);
    executed_add(&x, 8, 3, 0);
    uint32_t turn = executed_turn(&x);
    executed_drop(&x, 7, BIT(3));
    assert_true(executed_maybe(&x, 7) && executed_turn(&x) == turn);
    for (uint64_t i = 100; i < 5000; i++) /* made anew */
        executed_add(&x, i, 3, 0);
    assert_true(executed_turn(&x) != turn);
    assert_false(executed_maybe(&x, 7));
    assert_true(executed_maybe(&x, 8));
    turn = executed_turn(&x);
    executed_clear(&x);
    assert_true(executed_turn(&x) != turn);
    assert_false(executed_maybe(&x, 8));
    executed_close(&x);
}

static void without_a_filter_or_with_too_many_pages_any_may_be_there(void **state)
{
    struct executed x = {0};
    assert_true(executed_maybe(&x, 7));
    executed_open(&x);
    assert_false(executed_maybe(&x, 7));
    for (uint64_t i = 0; i < 100000; i++)
        executed_add(&x, 3 * i, 1, 0);
    uint32_t turn = executed_turn(&x);
    assert_true(x.full && executed_maybe(&x, 400001));
    executed_clear(&x);
    assert_false(executed_maybe(&x, 400001));
    assert_true(executed_turn(&x) != turn);
    executed_close(&x);
}

/* What walks find: the table of the guest, as it is now. */
static bool found_now(void *context, uint64_t page, unsigned space, uint64_t what)
{
    const uint64_t *now = context; /* by page; the same in all spaces but number 5 */
    return (space == 5 ? now[page] + 100 : now[page]) == what;
}

static void a_page_has_changed_where_something_else_would_be_found(void **state)
{
    struct executed x = {0};
    uint64_t now[3] = {10, 11, 12};
    const uint64_t all = ~UINT64_C(0);
    assert_int_equal(executed_changed(&x, 1, all, found_now, now), 0);
    for (unsigned space = 3; space < 6; space++)
        executed_add(&x, 1, space, space == 5 ? 111 : 11);
    executed_add(&x, 2, 3, 12);
    executed_add(&x, 2, 3, 12); /* once more the same */
    assert_int_equal(executed_changed(&x, 1, all, found_now, now), 0);
    assert_int_equal(executed_changed_any(&x, all, found_now, now), 0);
    now[2] = 13;
    assert_int_equal(executed_changed(&x, 1, all, found_now, now), 0);
    assert_int_equal(executed_changed(&x, 2, all, found_now, now), BIT(3));
    assert_int_equal(executed_changed_any(&x, all, found_now, now), BIT(3));
    assert_int_equal(executed_changed_any(&x, ~BIT(3), found_now, now), 0);
    for (uint64_t i = 100; i < 5000; i++) /* the table grows */
        executed_add(&x, i, 7, i);
    assert_int_equal(executed_changed_any(&x, ~BIT(7), found_now, now), BIT(3));
    now[1] = 0;
    assert_int_equal(executed_changed(&x, 1, all, found_now, now), BIT(3) | BIT(4) | BIT(5));
    executed_clear(&x);
}

/* It may have been mapped to and fro: whatever is there now, somebody has found something else. */
static void a_page_where_two_things_were_found_has_changed_until_it_is_dropped(void **state)
{
    struct executed x = {0};
    uint64_t now[2] = {0, 11};
    for (unsigned order = 0; order < 2; order++) {
        executed_add(&x, 1, 3, order ? 11 : 22);
        executed_add(&x, 1, 3, order ? 22 : 11);
        executed_add(&x, 1, 3, 11);
        assert_int_equal(executed_changed(&x, 1, BIT(3), found_now, now), BIT(3));
        executed_drop(&x, 1, BIT(3));
        assert_int_equal(executed_changed(&x, 1, BIT(3), found_now, now), 0);
        executed_add(&x, 1, 3, 11);
        assert_int_equal(executed_changed(&x, 1, BIT(3), found_now, now), 0);
        executed_drop(&x, 1, BIT(3));
    }
    executed_add(&x, 1, 4, 0); /* what cannot be found again */
    assert_int_equal(executed_changed(&x, 1, BIT(4), found_now, now), BIT(4));
    executed_clear(&x);
}

/* As many as there are ways are told apart; what spaces had that are gone makes room. */
static void spaces_that_find_different_things_at_one_page_are_told_apart(void **state)
{
    struct executed x = {0};
    uint64_t now[2] = {0, 11};
    for (unsigned space = 0; space < EXECUTED_WAYS + 1; space++)
        executed_add(&x, 1, space, space == EXECUTED_WAYS ? 11 : 20 + space);
    assert_int_equal(executed_changed(&x, 1, BIT(EXECUTED_WAYS), found_now, now),
                     BIT(EXECUTED_WAYS));
    executed_drop(&x, 1, BIT(1) | BIT(EXECUTED_WAYS));
    executed_add(&x, 1, EXECUTED_WAYS, 11);
    assert_int_equal(executed_changed(&x, 1, BIT(EXECUTED_WAYS), found_now, now), 0);
    now[1] = 20;
    assert_int_equal(executed_changed(&x, 1, BIT(0), found_now, now), 0);
    executed_add(&x, 1, 1, 20);
    assert_int_equal(executed_changed(&x, 1, BIT(1), found_now, now), 0);
    executed_clear(&x);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_page_is_known_by_its_spaces_until_it_is_dropped),
        cmocka_unit_test(no_other_page_is_taken_for_one_of_many),
        cmocka_unit_test(pages_that_were_dropped_make_room),
        cmocka_unit_test(a_large_table_that_is_empty_is_let_go),
        cmocka_unit_test(too_many_pages_may_be_any),
        cmocka_unit_test(a_page_has_changed_where_something_else_would_be_found),
        cmocka_unit_test(a_page_where_two_things_were_found_has_changed_until_it_is_dropped),
        cmocka_unit_test(spaces_that_find_different_things_at_one_page_are_told_apart),
        cmocka_unit_test(the_filter_names_each_page_and_few_others),
        cmocka_unit_test(a_page_stays_in_the_filter_until_the_next_turn),
        cmocka_unit_test(without_a_filter_or_with_too_many_pages_any_may_be_there),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
