/* A device, a kind of virtio device and a transport more: a registry of one's own has them, and nothing
 * outside of this folder knows them. */
#include "devices/board/power.h"
#include "devices/virtio/mmio.h"
#include "devices/virtio/rng.h"
#include "tests/devices/recorder.h"
#include "tests/devices/ring_driver.h"
#include "tests/devices/state_walk.h"
#include "tests/devices/toy/toy_clock.h"
#include "tests/devices/toy/toy_echo.h"

#define RINGS (RAM_BASE + 0x40000)
#define DATA  (RAM_BASE + 0x10000)
enum { SIZE = 8 };

static const struct gw_device_class *const classes[] = {&dev_power_class, &toy_clock_class};
static const struct virtio_kind *const kinds[] = {&virtio_rng_kind, &toy_echo_kind};
static const struct dev_registry ours = {
    .classes = classes, .kinds = kinds, .class_count = 2, .kind_count = 2};

static void a_device_more_is_a_row_more(void **state)
{
    assert_ptr_equal(dev_class(&ours, "toy-clock"), &toy_clock_class);
    assert_ptr_equal(dev_class(&ours, "power"), dev_class(&gw_devices, "power"));
    assert_null(dev_class(&ours, "uart"));
    assert_null(dev_class(&gw_devices, "toy-clock"));
}

static void its_state_is_walked_like_any_other(void **state)
{
    walk_classes(&ours);
    walk_names(&ours, kinds, 2);
}

/* ---- the device ----------------------------------------------------------------------------- */

struct clock_world {
    struct fake_clock clock;
    struct gw_events *q;
    struct gw_device *d;
    struct fake_line line;
};

static void clock_open(struct clock_world *w)
{
    *w = (struct clock_world){.d = NULL};
    w->q = fake_events(&w->clock);
    w->d = dev_new(dev_class(&ours, "toy-clock"), w->q, NULL);
    w->d->irq = fake_irq(&w->line);
}

static void clock_close(struct clock_world *w)
{
    dev_free(w->d);
    gw_events_run(w->q, w->clock.insns); /* its timer and its events are gone with it */
    gw_events_free(w->q);
}

static void its_alarm_is_the_vms_and_moves_with_it(void **state)
{
    struct clock_world a, b;
    clock_open(&a);
    clock_open(&b);
    reg_write(a.d, TOY_ALARM, 8, 5000);
    walk_moves(a.d, b.d);
    b.clock.insns = 4999;
    gw_events_run(b.q, b.clock.insns);
    assert_int_equal(b.line.level, 0);
    b.clock.insns = 5000;
    gw_events_run(b.q, b.clock.insns);
    assert_int_equal(b.line.level, 1);
    reg_write(b.d, TOY_PENDING, 4, 1);
    assert_int_equal(b.line.level, 0);
    reg_write(b.d, TOY_ALARM, 8, 9000);
    b.d->cls->reset(b.d);
    b.clock.insns = 10000;
    gw_events_run(b.q, b.clock.insns);
    assert_int_equal(b.line.level, 0);
    reg_write(a.d, TOY_ALARM, 8, 1);
    toy_clock_set(a.d, 1);
    clock_close(&a);
    clock_close(&b);
}

static void its_events_go_through_a_log(void **state)
{
    struct clock_world a, b;
    struct recorder log;
    struct player p;
    clock_open(&a);
    clock_open(&b);
    recorder_start(&log, a.q);
    player_start(&p, &log, b.q);
    assert_string_equal(gw_events_source_name(a.q, 1), "toy-clock0");
    toy_clock_set(a.d, 0x12345678);
    gw_events_run(a.q, 100);
    assert_int_equal(a.line.level, 1);
    toy_clock_set(b.d, 1); /* dropped: it is the log's time */
    player_inject(&p, b.q, 100);
    gw_events_run(b.q, 100);
    assert_int_equal(reg_read(b.d, TOY_VALUE, 4), 0x12345678);
    assert_int_equal(b.line.level, 1);
    clock_close(&a);
    clock_close(&b);
    free(log.bytes);
}

/* ---- the kind, behind MMIO ------------------------------------------------------------------- */

struct echo_world {
    struct walk w;
    struct gw_device *d;
    struct virtio_dev *v;
    struct fake_line line;
    struct ring r;
};

static void echo_open(struct echo_world *e)
{
    *e = (struct echo_world){.d = NULL};
    walk_open(&e->w, 3);
    e->d = dev_new(&virtio_mmio_class, e->w.q, &e->w.bus.bus);
    e->d->irq = fake_irq(&e->line);
    e->v = virtio_mmio_dev(e->d);
    assert_int_equal(toy_echo_attach(e->v, 0x20, NULL), GW_OK);
    assert_int_equal(vreg(e->d, R_ID), 0xfffe);
}

static void echo_start(struct echo_world *e, bool packed)
{
    agree_on(e->d, packed ? VIRTIO_F_RING_PACKED : 0);
    ring_init(&e->r, &e->w.bus, e->d, 0, SIZE, packed, RINGS);
    vset(e->d, R_STATUS, 15);
}

static void echo_close(struct echo_world *e)
{
    dev_free(e->d);
    walk_close(&e->w);
}

static void ask(struct ring *r, struct dev_bus *bus)
{
    struct buffer b[2] = {{.paddr = DATA, .len = 5},
                          {.paddr = DATA + 0x100, .len = 16, .write = true}};
    memcpy(ram_at(bus, DATA), "Hello", 5);
    ring_add_direct(r, 0, b, 2);
}

static void it_answers_on_both_kinds_of_ring(void **state)
{
    for (unsigned packed = 0; packed < 2; packed++) {
        struct echo_world e;
        uint32_t len;
        echo_open(&e);
        echo_start(&e, packed);
        ask(&e.r, &e.w.bus);
        ring_kick(&e.r);
        assert_int_equal(ring_take(&e.r, &len), 0);
        assert_int_equal(len, 5);
        assert_memory_equal(ram_at(&e.w.bus, DATA + 0x100), "hELLO", 5);
        assert_int_equal(e.line.level, 1);
        reg_write(e.d, R_CONFIG, 1, 0);
        assert_int_equal(reg_read(e.d, R_CONFIG, 1), 0);
        echo_close(&e);
    }
}

static void a_key_from_outside_is_a_change_of_configuration(void **state)
{
    struct echo_world e;
    uint32_t generation;
    echo_open(&e);
    echo_start(&e, false);
    generation = vreg(e.d, R_GENERATION);
    assert_string_equal(gw_events_source_name(e.w.q, 1), "toy-echo0");
    toy_echo_set(e.v, 0x55);
    gw_events_run(e.w.q, 0);
    assert_int_equal(reg_read(e.d, R_CONFIG, 1), 0x55);
    assert_int_equal(vreg(e.d, R_GENERATION), generation + 1);
    assert_int_equal(vreg(e.d, R_INT), 2);
    echo_close(&e);
}

static void its_table_moves_beside_the_transports(void **state)
{
    struct echo_world a, b;
    for (unsigned i = 0; i < 100; i++) {
        echo_open(&a);
        echo_open(&b);
        echo_start(&a, i & 1);
        ask(&a.r, &a.w.bus);
        ring_kick(&a.r);
        reg_write(a.d, R_CONFIG, 1, i);
        memcpy(ram_at(&b.w.bus, RAM_BASE), ram_at(&a.w.bus, RAM_BASE), RAM_SIZE);
        walk_moves(a.d, b.d);
        assert_int_equal(reg_read(b.d, R_CONFIG, 1), i);
        assert_int_equal(b.line.level, 1);
        walk_survives(&a.w, b.d);
        echo_close(&a);
        echo_close(&b);
    }
}

/* ---- another transport ----------------------------------------------------------------------- */

/* An interrupt for each queue, and one for the configuration, as PCI has them; the driver's side calls
 * what registers would. */
struct direct {
    struct virtio_dev dev;
    struct gw_dma dma;
    unsigned used[VIRTIO_MAX_QUEUES], changed;
};

static struct direct *direct(struct virtio_dev *v)
{
    return (struct direct *)(void *)((char *)v - offsetof(struct direct, dev));
}

static void direct_used(struct virtio_dev *v, unsigned queue)
{
    direct(v)->used[queue]++;
}

static void direct_changed(struct virtio_dev *v)
{
    direct(v)->changed++;
}

static const struct virtio_transport direct_transport = {.used = direct_used,
                                                         .config_changed = direct_changed};

static void direct_open(struct direct *t, struct walk *w)
{
    walk_open(w, 1);
    *t = (struct direct){.dma = {.bus = &w->bus.bus}};
    virtio_init(&t->dev, &direct_transport, &t->dma, w->q);
}

static void direct_start(struct direct *t, struct walk *w, struct ring *r)
{
    struct virtq *q = virtio_queue(&t->dev, 0);
    *r = (struct ring){.bus = &w->bus, .size = SIZE, .desc = RINGS, .avail = RINGS + 0x1000};
    r->used = RINGS + 0x1800;
    assert_true(virtio_set_status(&t->dev, 0));
    virtio_set_status(&t->dev, VIRTIO_STATUS_ACKNOWLEDGE | VIRTIO_STATUS_DRIVER);
    assert_true(virtio_offered(&t->dev) & VIRTIO_F_VERSION_1);
    virtio_accept(&t->dev, 1, (uint32_t)(VIRTIO_F_VERSION_1 >> 32));
    virtio_set_status(&t->dev, t->dev.status | VIRTIO_STATUS_FEATURES_OK);
    assert_true(t->dev.status & VIRTIO_STATUS_FEATURES_OK);
    assert_null(virtio_queue(&t->dev, 1));
    q->size = SIZE;
    q->desc = r->desc;
    q->avail = r->avail;
    q->used = r->used;
    virtio_set_ready(&t->dev, q, true);
    assert_int_equal(q->ready, 1);
    virtio_set_status(&t->dev, t->dev.status | VIRTIO_STATUS_DRIVER_OK);
}

static void kinds_do_not_know_their_transport(void **state)
{
    struct direct t;
    struct walk w;
    struct ring r;
    uint32_t len;
    direct_open(&t, &w);
    assert_int_equal(toy_echo_attach(&t.dev, 0x20, NULL), GW_OK);
    direct_start(&t, &w, &r);
    ask(&r, &w.bus);
    virtio_notify(&t.dev, 0);
    virtio_notify(&t.dev, 7); /* no such queue */
    assert_int_equal(ring_take(&r, &len), 0);
    assert_memory_equal(ram_at(&w.bus, DATA + 0x100), "hELLO", 5);
    assert_int_equal(t.used[0], 1);
    toy_echo_set(&t.dev, 1);
    gw_events_run(w.q, 0);
    assert_int_equal(t.changed, 1);
    assert_int_equal(virtio_read_config(&t.dev, 0, 2), 1);
    virtio_destroy(&t.dev);
    walk_close(&w);
}

static void a_kind_of_the_house_works_behind_it(void **state)
{
    struct virtio_rng_config seeded = {.seeded = true, .seed = 9};
    struct buffer b = {.paddr = DATA, .len = 32, .write = true};
    struct direct t;
    struct walk w;
    struct ring r;
    uint32_t len;
    direct_open(&t, &w);
    assert_int_equal(virtio_rng_attach(&t.dev, &seeded, NULL), GW_OK);
    direct_start(&t, &w, &r);
    ring_add_direct(&r, 2, &b, 1);
    virtio_notify(&t.dev, 0);
    assert_int_equal(ring_take(&r, &len), 2);
    assert_int_equal(len, 32);
    assert_int_equal(t.used[0], 1);
    virtio_destroy(&t.dev);
    walk_close(&w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_device_more_is_a_row_more),
        cmocka_unit_test(its_state_is_walked_like_any_other),
        cmocka_unit_test(its_alarm_is_the_vms_and_moves_with_it),
        cmocka_unit_test(its_events_go_through_a_log),
        cmocka_unit_test(it_answers_on_both_kinds_of_ring),
        cmocka_unit_test(a_key_from_outside_is_a_change_of_configuration),
        cmocka_unit_test(its_table_moves_beside_the_transports),
        cmocka_unit_test(kinds_do_not_know_their_transport),
        cmocka_unit_test(a_kind_of_the_house_works_behind_it),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
