/*
 * Helpers called through libffi do what they do when C calls them.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include "translator/interp/interp.h"
#include "tests/translator/ir/toy.h"

static void libffi_calls_what_c_calls(void **state)
{
    static struct toy_cpu cpu;
    const struct interp_caller *ffi = interp_ffi_open();
    (void)state;
    assert_non_null(ffi);
    for (unsigned h = 0; h < TOY_HELPER_COUNT; h++) {
        uint64_t a = UINT64_C(0x123456789abcdef0) + h, b = ~a, c = a * 3;
        cpu.x[5] = 1;
        uint64_t want =
            interp_direct_caller.call(&interp_direct_caller, &toy_helpers[h], &cpu, a, b, c);
        uint64_t x5 = cpu.x[5];
        cpu.x[5] = 1;
        assert_true(ffi->call(ffi, &toy_helpers[h], &cpu, a, b, c) == want);
        assert_true(cpu.x[5] == x5);
    }
    interp_ffi_close(ffi);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(libffi_calls_what_c_calls)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
