/* Every device's state, and every virtio kind's, by the registry. */
#include "tests/devices/any_virtio.h"
#include "tests/devices/state_walk.h"

static void each_class_moves_and_refuses(void **state)
{
    assert_null(dev_class(&gw_devices, "nothing"));
    walk_classes(&gw_devices);
}

static void each_kind_is_one_that_tests_make(void **state)
{
    const struct virtio_kind *kinds[ANY_KINDS];
    for (unsigned i = 0; i < ANY_KINDS; i++)
        kinds[i] = any_row((enum any_kind)i)->kind;
    walk_names(&gw_devices, kinds, ANY_KINDS);
    assert_int_equal(gw_devices.kind_count, ANY_KINDS);
}

/* Of a kind that runs: between its requests, with registers that were written to, and with nonsense. */
static void each_kind_moves_and_refuses(void **state)
{
    struct walk w = {.rng = 11};
    for (unsigned i = 0; i < 100 * ANY_KINDS; i++) {
        enum any_kind kind = (enum any_kind)(i % ANY_KINDS);
        static struct any a, b;
        struct fake_line line_a = {0}, line_b = {0};
        any_open(&a, kind, i & 8);
        any_open(&b, kind, i & 8);
        a.d->irq = fake_irq(&line_a);
        b.d->irq = fake_irq(&line_b);
        if (i % 3)
            any_is_well(&a, 3);
        random_accesses(a.d, &w.rng, i % 5 * 10);
        memcpy(ram_at(&b.bus, RAM_BASE), ram_at(&a.bus, RAM_BASE), RAM_SIZE);
        walk_moves(a.d, b.d);
        assert_int_equal(line_a.level, line_b.level);
        walk_survives(&w, b.d);
        gw_events_run(b.q, 0);
        any_start(&b, i & 8); /* whatever it was, it is reset and serves */
        any_is_well(&b, 5);
        any_close(&a);
        any_close(&b);
    }
    assert_true(w.refused > 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_class_moves_and_refuses),
        cmocka_unit_test(each_kind_is_one_that_tests_make),
        cmocka_unit_test(each_kind_moves_and_refuses),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
