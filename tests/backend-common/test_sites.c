/* Which accesses of a block share a lookup; how waiting NaNs are tested. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>

#include "backend-common/nans.h"
#include "backend-common/sites.h"
#include "tests/translator/ir/toy.h"
#include "translator/ir/pass.h"

/* --- sites --------------------------------------------------------------------------------------- */

static struct sites sites;
static struct ir_block block;

static ir_val begin(void)
{
    block.helpers = toy_helpers;
    ir_begin(&block, 0x1000, 0);
    ir_begin_guest(&block, 0x1000, 4);
    return ir_get(&block, toy_x(8), 3);
}

static void load(ir_val base, int64_t disp)
{
    ir_put(&block, toy_x(9), 3, ir_load(&block, IR_I64, 3, false, base, disp, 0));
}

static void end(void)
{
    ir_jmp(&block, 0x1004);
    sites_find(&sites, &block, true);
}

/* The site of the n-th access of the block. */
static struct site *of(unsigned n)
{
    for (uint32_t i = 0; i < block.count; i++)
        if (block.insn[i].op == IR_LD || block.insn[i].op == IR_ST)
            if (!n--)
                return sites_at(&sites, i);
    fail();
    return NULL;
}

static void accesses_off_one_base_share(void **state)
{
    ir_val a = begin(), other = ir_get(&block, toy_x(7), 3);
    load(a, 0);
    load(ir_op2(&block, IR_ADD, IR_I64, a, ir_const(&block, 24)), -8);
    load(other, 8);
    ir_store(&block, IR_I64, 3, a, 504, a, 0);
    end();
    assert_non_null(of(0));
    assert_ptr_equal(of(0), of(1));
    assert_ptr_equal(of(0), of(3));
    assert_null(of(2)); /* alone */
    assert_int_equal(of(0)->count, 3);
    assert_int_equal(of(0)->lo, 0);
    assert_int_equal(of(0)->hi, 512);
    assert_true(of(0)->write);
}

static void what_lies_far_apart_does_not(void **state)
{
    ir_val a = begin();
    load(a, 0);
    load(a, 505);
    end();
    assert_null(of(0));
    assert_null(of(1));
}

static void a_call_ends_all_sites(void **state)
{
    ir_val a = begin();
    load(a, 0);
    ir_call(&block, TOY_MIX, a, a, a);
    load(a, 8);
    load(a, 16);
    end();
    assert_null(of(0));
    assert_non_null(of(1));
    assert_ptr_equal(of(1), of(2));
}

static void without_flat_maps_nothing_shares(void **state)
{
    ir_val a = begin();
    load(a, 0);
    load(a, 8);
    end();
    assert_non_null(of(0));
    assert_int_equal(sites_slot(&sites, of(0)),
                     GW_VCPU_OFFSET + offsetof(struct gw_vcpu, site) + 8);
    sites_find(&sites, &block, false);
    assert_null(of(0));
}

/* --- NaNs ---------------------------------------------------------------------------------------- */

enum { TESTS = 8 };
struct log {
    struct nans_test test[TESTS];
    unsigned count;
};

static void note(void *code, const struct nans_test *t)
{
    struct log *l = code;
    assert_true(l->count < TESTS);
    l->test[l->count++] = *t;
}

static void result(struct nans *n, int d, int a, int b, bool single)
{
    n->consumed = reg_bit(a) | reg_bit(b);
    nans_overwritten(n, d);
    nans_result(n, d, single);
    n->consumed = 0;
}

/* f3 = f1 + f2; f4 = f3 + f3: one look at f4 tells about f3 too. */
static void a_result_speaks_for_its_operands(void **state)
{
    struct log log = {.count = 0};
    struct nans n;
    nans_begin(&n, note, &log);
    result(&n, 35, 33, 34, false);
    result(&n, 36, 35, 35, false);
    nans_flush(&n);
    assert_int_equal(log.count, 1);
    assert_int_equal(log.test[0].pairs, 1);
    assert_int_equal(log.test[0].pair[0].a, 36);
    assert_int_equal(log.test[0].pair[0].b, 36);
    assert_true(log.test[0].pending == (reg_bit(35) | reg_bit(36)));
    nans_flush(&n);
    assert_int_equal(log.count, 1); /* nothing waits any more */
}

/* The one that spoke for others is overwritten: then all are looked at. */
static void a_speaker_that_goes_leaves_its_task(void **state)
{
    struct log log = {.count = 0};
    struct nans n;
    nans_begin(&n, note, &log);
    result(&n, 35, 33, 34, false);
    result(&n, 36, 35, 35, false);
    nans_overwritten(&n, 36);
    nans_show(&n, 36); /* does not wait */
    assert_int_equal(log.count, 0);
    nans_show(&n, 35);
    assert_int_equal(log.count, 1);
    assert_true(log.test[0].pending == reg_bit(35));
}

/* Types apart; two registers a comparison, three comparisons a test; all 32 registers. */
static void many_are_tested_in_pairs(void **state)
{
    struct log log = {.count = 0};
    struct nans n;
    nans_begin(&n, note, &log);
    for (int r = REG_VECTOR; r < REG_VECTOR + 7; r++)
        result(&n, r, r, r, false);
    result(&n, REG_COUNT - 1, REG_COUNT - 1, REG_COUNT - 1, true);
    nans_flush(&n);
    assert_int_equal(log.count, 3);
    assert_int_equal(log.test[0].pairs, 3);
    assert_int_equal(log.test[1].pairs, 1);
    assert_int_equal(log.test[1].pair[0].a, log.test[1].pair[0].b);
    assert_true(log.test[2].single);
    assert_int_equal(log.test[2].pair[0].a, REG_COUNT - 1);
    assert_true(log.test[2].singles == reg_bit(REG_COUNT - 1));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(accesses_off_one_base_share),
        cmocka_unit_test(what_lies_far_apart_does_not),
        cmocka_unit_test(a_call_ends_all_sites),
        cmocka_unit_test(without_flat_maps_nothing_shares),
        cmocka_unit_test(a_result_speaks_for_its_operands),
        cmocka_unit_test(a_speaker_that_goes_leaves_its_task),
        cmocka_unit_test(many_are_tested_in_pairs),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
