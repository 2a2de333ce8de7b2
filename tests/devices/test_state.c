/* Every device's state: save, load into another instance, save: the same; bad values refused. */
#include "tests/devices/fakes.h"
#include "devices/virtio/mmio.h"

struct world {
    struct fake_clock clock;
    struct gw_events *q;
    struct dev_bus bus;
};

static void random_accesses(struct gw_device *d, uint64_t *rng, unsigned count)
{
    for (unsigned i = 0; i < count; i++) {
        uint64_t r, v, offset;
        unsigned size;
        *rng = *rng * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
        r = *rng >> 20;
        size = 1u << (r & 3);
        offset = (r >> 2) % (r & 0x10000 ? d->cls->window_bytes : 64) & ~(uint64_t)(size - 1);
        if (r & 0x20000)
            d->cls->read(d, offset, size, &v);
        else
            d->cls->write(d, offset, size, (r >> 18) % (r & 0x40000 ? 256 : UINT32_MAX));
    }
}

static void save_load_save_is_identical(void **state)
{
    static uint64_t a[STATE_MAX], b[STATE_MAX];
    struct world w;
    uint64_t rng = 7;
    unsigned i;
    w.q = fake_events(&w.clock);
    fake_bus(&w.bus);
    for (i = 0; dev_class_at(i); i++) {
        const struct gw_device_class *cls = dev_class_at(i);
        assert_ptr_equal(dev_class(cls->name), cls);
        for (unsigned round = 0; round < 200; round++) {
            struct gw_device *d = dev_new(cls, w.q, &w.bus.bus);
            struct gw_device *e = dev_new(cls, w.q, &w.bus.bus);
            struct fake_line line_d = {0}, line_e = {0};
            unsigned n, m;
            d->irq = fake_irq(&line_d);
            e->irq = fake_irq(&line_e);
            random_accesses(d, &rng, round);
            n = state_save(d, cls->state, a);
            assert_int_equal(state_load(e, cls->state, a), GW_OK);
            m = state_save(e, cls->state, b);
            assert_int_equal(n, m);
            assert_memory_equal(a, b, n * sizeof a[0]);
            assert_int_equal(line_d.level, line_e.level); /* derived again */
            cls->reset ? cls->reset(d) : (void)0;
            dev_free(d);
            dev_free(e);
        }
    }
    assert_true(i >= 6);
    assert_null(dev_class("nothing"));
    dev_bus_destroy(&w.bus);
    gw_events_free(w.q);
}

/* Random field values: check() refuses them or the device lives with them. */
static void random_state_is_refused_or_survived(void **state)
{
    static uint64_t a[STATE_MAX];
    struct world w;
    uint64_t rng = 99;
    unsigned refused = 0;
    w.q = fake_events(&w.clock);
    fake_bus(&w.bus);
    for (unsigned i = 0; dev_class_at(i); i++) {
        const struct gw_device_class *cls = dev_class_at(i);
        for (unsigned round = 0; round < 300; round++) {
            struct gw_device *d = dev_new(cls, w.q, &w.bus.bus);
            unsigned n = state_save(d, cls->state, a);
            for (unsigned k = 0; n && k < 3; k++) {
                rng = rng * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
                a[(rng >> 33) % n] = rng >> (round % 60);
            }
            if (state_load(d, cls->state, a) == GW_OK)
                random_accesses(d, &rng, 50);
            else
                refused++;
            dev_free(d);
        }
    }
    assert_true(refused > 0);
    dev_bus_destroy(&w.bus);
    gw_events_free(w.q);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(save_load_save_is_identical),
        cmocka_unit_test(random_state_is_refused_or_survived),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
