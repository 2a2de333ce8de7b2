/* virtio-rng: entropy of the host by events, and of a seed at once. */
#include "tests/devices/ring_driver.h"
#include "devices/virtio/rng.h"

#define RINGS (RAM_BASE + 0x40000)
#define DATA  (RAM_BASE + 0x8000)
enum { SIZE = 8 };

struct fixture {
    struct fake_clock clock;
    struct gw_events *q;
    struct dev_bus bus;
    struct dev_io *io;
    struct gw_device *d;
    struct virtio_dev *v;
    struct fake_line line;
    struct ring r;
};

static void start(struct fixture *f, bool packed)
{
    agree_on(f->d, packed ? VIRTIO_F_RING_PACKED : 0);
    ring_init(&f->r, &f->bus, f->d, 0, SIZE, packed, RINGS);
    vset(f->d, R_STATUS, 15);
}

static void setup(struct fixture *f, bool seeded, uint64_t seed)
{
    struct gw_error err = {0};
    struct virtio_rng_config cfg = {.seeded = seeded, .seed = seed};
    memset(f, 0, sizeof *f);
    f->q = fake_events(&f->clock);
    fake_bus(&f->bus);
    assert_int_equal(dev_io_new(&f->io, &err), GW_OK);
    f->d = dev_new(&virtio_mmio_class, f->q, &f->bus.bus);
    f->v = virtio_mmio_dev(f->d);
    f->d->irq = fake_irq(&f->line);
    cfg.io = f->io;
    assert_int_equal(virtio_rng_attach(f->v, &cfg, &err), GW_OK);
    assert_int_equal(vreg(f->d, R_ID), 4);
    start(f, seeded);
}

static void teardown(struct fixture *f)
{
    dev_free(f->d);
    dev_io_free(f->io);
    dev_bus_destroy(&f->bus);
    gw_events_free(f->q);
}

static void add(struct fixture *f, unsigned id, uint64_t paddr, uint32_t len)
{
    struct buffer b = {.paddr = paddr, .len = len, .write = true};
    ring_add_direct(&f->r, id, &b, 1);
}

static unsigned distinct_bytes(struct fixture *f, uint64_t at, unsigned size)
{
    bool seen[256] = {false};
    unsigned n = 0;
    for (unsigned i = 0; i < size; i++) {
        uint8_t b = ram_at(&f->bus, at)[i];
        n += !seen[b];
        seen[b] = true;
    }
    return n;
}

static void the_host_fills_buffers(void **state)
{
    struct fixture f;
    uint32_t len;
    unsigned bytes = 0, rounds = 0;
    setup(&f, false, 0);
    add(&f, 0, DATA, 64);
    add(&f, 1, DATA + 0x1000, 3000); /* more than one answer holds */
    add(&f, 2, DATA + 0x2000, 100);
    ring_kick(&f.r);
    assert_int_equal(ring_take(&f.r, &len), -1); /* nothing before the event is delivered */
    for (unsigned id = 0; id < 3 && rounds < 20; rounds++) {
        dev_io_drain(f.io);
        gw_events_run(f.q, 0);
        while (ring_take(&f.r, &len) == (int)id) {
            assert_in_range(len, 1, 3000);
            bytes += len;
            id++;
        }
    }
    assert_in_range(bytes, 64 + 1 + 100, 64 + 1024 + 100);
    assert_true(distinct_bytes(&f, DATA, 64) > 30);
    assert_true(distinct_bytes(&f, DATA + 0x2000, 100) > 40);
    assert_int_equal(f.line.level, 1);
    teardown(&f);
}

static void a_seed_gives_the_same_bytes(void **state)
{
    struct fixture f, g;
    uint64_t saved[STATE_MAX] = {0};
    uint32_t len;
    setup(&f, true, 7);
    setup(&g, true, 8);
    add(&f, 0, DATA, 64);
    ring_kick(&f.r);
    assert_int_equal(ring_take(&f.r, &len), 0); /* at once */
    assert_int_equal(len, 64);
    add(&g, 0, DATA, 64);
    ring_kick(&g.r);
    assert_memory_not_equal(ram_at(&f.bus, DATA), ram_at(&g.bus, DATA), 64);
    /* moved, it goes on where it was */
    state_save(f.v->backend, f.v->kind->state, saved);
    assert_int_equal(state_load(g.v->backend, g.v->kind->state, saved), GW_OK);
    add(&f, 1, DATA, 61);
    add(&g, 1, DATA, 61);
    ring_kick(&f.r);
    ring_kick(&g.r);
    assert_memory_equal(ram_at(&f.bus, DATA), ram_at(&g.bus, DATA), 61);
    assert_true(distinct_bytes(&f, DATA, 61) > 30);
    teardown(&f);
    teardown(&g);
}

static void bad_buffers_are_given_back(void **state)
{
    struct fixture f;
    uint32_t len;
    struct buffer readable = {.paddr = DATA, .len = 64};
    setup(&f, false, 0);
    add(&f, 0, 0x10001000, 64);
    ring_add_direct(&f.r, 1, &readable, 1);
    add(&f, 2, UINT64_C(0xffffffffffffff00), 512);
    add(&f, 3, DATA, 32);
    ring_kick(&f.r);
    dev_io_drain(f.io);
    gw_events_run(f.q, 0);
    for (int i = 0; i < 3; i++) {
        assert_int_equal(ring_take(&f.r, &len), i);
        assert_int_equal(len, 0);
    }
    assert_int_equal(ring_take(&f.r, &len), 3);
    assert_int_equal(len, 32);
    assert_int_equal(vreg(f.d, R_STATUS), 15);
    teardown(&f);
}

/* A driver that asks and asks: one question to the host is on its way at a time. */
static void questions_do_not_pile_up(void **state)
{
    struct fixture f;
    uint32_t len;
    setup(&f, false, 0);
    add(&f, 0, DATA, 64);
    for (unsigned i = 0; i < 100000; i++)
        ring_kick(&f.r);
    dev_io_drain(f.io);
    gw_events_run(f.q, 0);
    assert_int_equal(ring_take(&f.r, &len), 0);
    assert_int_equal(ring_take(&f.r, &len), -1);
    /* a reset between question and answer: the answer changes nothing */
    add(&f, 1, DATA, 64);
    ring_kick(&f.r);
    start(&f, false);
    dev_io_drain(f.io);
    gw_events_run(f.q, 0);
    assert_int_equal(ring_take(&f.r, &len), -1);
    add(&f, 0, DATA, 64);
    ring_kick(&f.r);
    dev_io_drain(f.io);
    gw_events_run(f.q, 0);
    assert_int_equal(ring_take(&f.r, &len), 0);
    teardown(&f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_host_fills_buffers),
        cmocka_unit_test(a_seed_gives_the_same_bytes),
        cmocka_unit_test(bad_buffers_are_given_back),
        cmocka_unit_test(questions_do_not_pile_up),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
