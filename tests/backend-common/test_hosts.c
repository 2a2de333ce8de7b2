/* The registry of hosts, its own and one of fakes. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>

#include "backend-common/hosts.h"

static bool yes(void)
{
    return true;
}

static bool no(void)
{
    return false;
}

static const struct host_feature features[] = {{4, "base"}, {1, "fast"}, {2, "wide"}};
static const struct host_backend foreign = {.name = "foreign", .native = no},
                                 native = {.name = "native",
                                           .native = yes,
                                           .feature = features,
                                           .feature_count = 3};

static void the_native_host_is_found(void **state)
{
    const struct host_backend *const both[] = {&foreign, &native};
    const struct host_registry r = {both, 2}, other = {both, 1};
    assert_ptr_equal(host_native(&r), &native);
    assert_null(host_native(&other));
}

static void features_have_names(void **state)
{
    char text[32];
    assert_string_equal(host_feature_names(&native, 7, text, sizeof text), "base fast wide");
    assert_string_equal(host_feature_names(&native, 6, text, sizeof text), "base wide");
    assert_string_equal(host_feature_names(&native, 0, text, sizeof text), "");
    assert_string_equal(host_feature_names(&native, 7, text, 8), "base fa");
}

#define HOST(name, backend) extern const struct host_backend backend;
#include "backend-common/hosts.inc"
#undef HOST

static void each_host_is_whole(void **state)
{
    static const struct host_backend *const all[] = {
#define HOST(name, backend) &backend,
#include "backend-common/hosts.inc"
#undef HOST
    };
    unsigned here = 0;
    for (unsigned i = 0; i < sizeof all / sizeof all[0]; i++) {
        const struct host_backend *b = all[i];
        uint32_t known = 0;
        assert_true(b->name && b->prepare && b->emit_runtime && b->compile && b->patch);
        assert_true(b->fp_control && b->fp_trap_control);
        for (unsigned k = 0; k < b->feature_count; k++) {
            assert_int_equal(known & b->feature[k].bit, 0);
            known |= b->feature[k].bit;
        }
        /* a host that is not this one offers nothing */
        assert_true(b->native() ? b->detect() != 0 : b->detect() == 0);
        assert_int_equal(b->detect() & ~known, 0);
        here += b->native();
    }
    assert_true(here <= 1);
    assert_true(gw_hosts.count > 0);
    assert_int_equal(host_native(&gw_hosts) != NULL, here);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_native_host_is_found),
        cmocka_unit_test(features_have_names),
        cmocka_unit_test(each_host_is_whole),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
