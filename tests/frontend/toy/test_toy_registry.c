/* The registry of guests: what there is, and a registry of one's own with the toy in it. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "frontend/guests.h"
#include "tests/frontend/toy/toy_guest.h"

static void each_guest_is_found_by_its_name_and_number(void **state)
{
    assert_true(gw_guests.count >= 1);
    for (unsigned i = 0; i < gw_guests.count; i++) {
        const struct guest_isa *isa = gw_guests.guest[i];
        assert_ptr_equal(guest_by_name(&gw_guests, isa->name), isa);
        assert_ptr_equal(guest_by_elf(&gw_guests, isa->elf_machine), isa);
        assert_non_null(isa->disasm);
        assert_non_null(isa->state);
    }
    assert_non_null(guest_by_name(&gw_guests, "riscv64"));
    assert_ptr_equal(guest_by_name(&gw_guests, "riscv64"), guest_by_elf(&gw_guests, 243));
}

static void what_is_not_there_is_not_found(void **state)
{
    assert_null(guest_by_name(&gw_guests, "toy"));
    assert_null(guest_by_name(&gw_guests, ""));
    assert_null(guest_by_elf(&gw_guests, 3));
    assert_string_equal(guest_elf_name(62), "x86-64");
    assert_string_equal(guest_elf_name(65535), "an unknown machine");
}

static void a_guest_more_is_a_row_more(void **state)
{
    const struct guest_isa *rows[] = {guest_by_name(&gw_guests, "riscv64"), &toy_guest_isa};
    const struct guest_registry r = {.guest = rows, .count = 2};
    char text[64];
    assert_ptr_equal(guest_by_name(&r, "toy"), &toy_guest_isa);
    assert_ptr_equal(guest_by_elf(&r, toy_guest_isa.elf_machine), &toy_guest_isa);
    assert_string_equal(guest_names(&r, text, sizeof text), "riscv64, toy");
    assert_string_equal(guest_names(&r, text, 10), "riscv64, ");
    assert_string_equal(guest_names(&r, text, 8), "riscv64");
    assert_string_equal(guest_names(&r, text, 1), "");
}

static void other_spellings(void **state)
{
    struct guest_isa arm = {.name = "aarch64"}, x86 = {.name = "x86-64"};
    const struct guest_isa *rows[] = {&arm, &x86};
    const struct guest_registry r = {.guest = rows, .count = 2};
    assert_ptr_equal(guest_by_name(&r, "arm64"), &arm);
    assert_ptr_equal(guest_by_name(&r, "x86_64"), &x86);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_guest_is_found_by_its_name_and_number),
        cmocka_unit_test(what_is_not_there_is_not_found),
        cmocka_unit_test(a_guest_more_is_a_row_more),
        cmocka_unit_test(other_spellings),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
