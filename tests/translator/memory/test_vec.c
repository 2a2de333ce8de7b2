/* Arrays that grow: in the heap, then in pages of their own, or where they are. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "translator/vec.h"

enum { MANY = 300000, STEP = 7 };

static uint32_t mark(uint32_t i)
{
    return i * 2654435761u + 1;
}

static void vec_what_was_pushed_is_there_however_far_it_grows(void **state)
{
    struct vec v = {0};
    bool in_heap = false, in_pages = false;
    for (uint32_t i = 0; i < MANY; i += STEP) {
        uint32_t *at = vec_push(&v, sizeof *at, STEP);
        assert_non_null(at);
        for (uint32_t k = 0; k < STEP; k++)
            at[k] = mark(i + k);
        in_heap |= !v.mapped;
        in_pages |= v.mapped != 0;
        assert_true(v.count <= v.cap && (!v.mapped || v.mapped >= v.cap * sizeof *at));
    }
    assert_true(in_heap && in_pages);
    for (uint32_t i = 0; i < v.count; i++)
        assert_int_equal(((uint32_t *)v.data)[i], mark(i));
    vec_free(&v);
    assert_null(v.data);
    assert_int_equal(v.count + v.cap + v.mapped, 0);
}

static void vec_large_from_the_start(void **state)
{
    struct vec v = {0};
    uint8_t *at = vec_push(&v, 1, 1u << 20);
    assert_non_null(at);
    assert_true(v.mapped >= 1u << 20);
    at[0] = 1;
    at[(1u << 20) - 1] = 2;
    assert_non_null(vec_push(&v, 1, 1u << 22));
    at = v.data;
    assert_true(at[0] == 1 && at[(1u << 20) - 1] == 2);
    vec_free(&v);
}

static void vec_fixed_stays_where_it_is_until_it_is_full(void **state)
{
    struct vec v = {0};
    assert_true(vec_fix(&v, sizeof(uint32_t), MANY));
    void *first = v.data;
    for (uint32_t i = 0; i < MANY; i++) {
        uint32_t *at = vec_push(&v, sizeof *at, 1);
        assert_ptr_equal(at, (uint32_t *)first + i);
        *at = mark(i);
    }
    assert_null(vec_push(&v, sizeof(uint32_t), 1));
    assert_int_equal(v.count, MANY);
    for (uint32_t i = 0; i < MANY; i++)
        assert_int_equal(((uint32_t *)first)[i], mark(i));
    vec_free(&v);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(vec_what_was_pushed_is_there_however_far_it_grows),
        cmocka_unit_test(vec_large_from_the_start),
        cmocka_unit_test(vec_fixed_stays_where_it_is_until_it_is_full),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
