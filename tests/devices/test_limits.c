/* Limits of limits.h, and how rates are kept. */
#include "devices/host/rate_limit.h"
#include "tests/devices/fakes.h"

#define NS_PER_S UINT64_C(1000000000)

static void quotas_are_met_to_the_byte(void **state)
{
    const struct gw_quota some = {.max_bytes = 100}, none = {0};
    assert_true(gw_quota_allows(&some, 0, 100));
    assert_true(gw_quota_allows(&some, 100, 0));
    assert_false(gw_quota_allows(&some, 1, 100));
    assert_false(gw_quota_allows(&some, 101, 0));
    assert_false(gw_quota_allows(&some, 50, UINT64_MAX)); /* the sum would wrap */
    assert_true(gw_quota_allows(&none, UINT64_MAX, UINT64_MAX));
}

static void shares_are_in_proportion(void **state)
{
    const struct gw_share usual = {0}, twice = {.weight = 200}, most = {.weight = GW_WEIGHT_MAX};
    assert_int_equal(gw_weight(&usual), GW_WEIGHT_USUAL);
    assert_int_equal(gw_share_of(&usual, 999, 300), 333);
    assert_int_equal(gw_share_of(&twice, 999, 300), 666);
    assert_int_equal(gw_share_of(&usual, 999, 100), 999); /* alone */
    /* without an overflow */
    assert_int_equal(gw_share_of(&most, UINT64_MAX, 2 * GW_WEIGHT_MAX), UINT64_MAX / 2);
}

static uint64_t again(const struct dev_rate *r, uint64_t now_ns)
{
    uint64_t ns;
    return dev_rate_allows(r, now_ns, &ns) ? now_ns : ns;
}

static void what_has_no_limit_never_waits(void **state)
{
    struct dev_rate r = {0};
    dev_rate_pay(&r, 0, UINT64_MAX, 1);
    assert_int_equal(again(&r, 0), 0);
    assert_int_equal(r.bytes_paid_ns | r.ops_paid_ns, 0);
}

static void debt_is_paid_off_by_time(void **state)
{
    struct dev_rate r = {.limit.bytes = {.per_s = 1000, .burst_ns = 0}};
    uint64_t now = 5 * NS_PER_S;
    dev_rate_pay(&r, now, 500, 1);
    assert_int_equal(again(&r, now), now + NS_PER_S / 2);
    assert_int_equal(again(&r, now + NS_PER_S / 2), now + NS_PER_S / 2);
    dev_rate_pay(&r, now + NS_PER_S / 2, 1, 1); /* what is larger than the burst passes, too */
    assert_int_equal(again(&r, now), now + NS_PER_S / 2 + NS_PER_S / 1000);
}

static void idle_time_is_worth_its_burst_and_no_more(void **state)
{
    struct dev_rate r = {.limit.ops = {.per_s = 100, .burst_ns = NS_PER_S / 20}};
    uint64_t now = 3600 * NS_PER_S;
    unsigned taken = 0;
    while (again(&r, now) == now && taken < 100) {
        dev_rate_pay(&r, now, 0, 1);
        taken++;
    }
    assert_int_equal(taken, 6); /* five of the burst, and one on credit */
    assert_int_equal(again(&r, now), now + NS_PER_S / 100);
}

static void both_limits_hold(void **state)
{
    struct dev_rate r = {.limit = {.bytes = gw_rate_usual(1000000), .ops = gw_rate_usual(10)}};
    uint64_t now = NS_PER_S;
    dev_rate_pay(&r, now, 1, 1);
    assert_int_equal(again(&r, now), now + NS_PER_S / 10 - GW_BURST_NS_USUAL);
    r.ops_paid_ns = 0;
    dev_rate_pay(&r, now, 1000000, 1);
    assert_true(again(&r, now) > now + NS_PER_S / 2);
}

static void the_largest_numbers_cost_an_hour_at_most(void **state)
{
    static const uint64_t rates[] = {1, 1000, UINT64_C(1) << 33, UINT64_C(1) << 40, UINT64_MAX};
    for (unsigned i = 0; i < sizeof rates / sizeof rates[0]; i++) {
        struct dev_rate r = {.limit.bytes = gw_rate_usual(rates[i])};
        dev_rate_pay(&r, NS_PER_S, UINT64_MAX, 1);
        assert_in_range(r.bytes_paid_ns, NS_PER_S - GW_BURST_NS_USUAL, NS_PER_S + 3601 * NS_PER_S);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(quotas_are_met_to_the_byte),
        cmocka_unit_test(shares_are_in_proportion),
        cmocka_unit_test(what_has_no_limit_never_waits),
        cmocka_unit_test(debt_is_paid_off_by_time),
        cmocka_unit_test(idle_time_is_worth_its_burst_and_no_more),
        cmocka_unit_test(both_limits_hold),
        cmocka_unit_test(the_largest_numbers_cost_an_hour_at_most),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
