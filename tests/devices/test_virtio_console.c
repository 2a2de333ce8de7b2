/* virtio-console: two consoles and a named channel, by a driver in RAM. */
#include "tests/devices/ring_driver.h"
#include "devices/virtio/console.h"

#define RINGS (RAM_BASE + 0x40000)
#define BUF   (RAM_BASE + 0x10000)
enum { SIZE = 16, PORTS = 3, CHANNEL = 2 };
enum { READY = 0, ADD = 1, PORT_READY = 3, CONSOLE = 4, RESIZE = 5, OPEN = 6, NAME = 7 };

struct fixture {
    struct fake_clock clock;
    struct gw_events *q;
    struct dev_bus bus;
    struct gw_device *d;
    struct virtio_dev *v;
    struct fake_line line;
    struct fake_peer peer[PORTS];
    struct ring r[2 * (PORTS + 1)];
};

static void start(struct fixture *f, uint64_t features)
{
    agree_on(f->d, features);
    for (unsigned i = 0; i < f->v->queue_count; i++)
        ring_init(&f->r[i], &f->bus, f->d, i, SIZE, features & VIRTIO_F_RING_PACKED,
                  RINGS + i * 0x4000);
    vset(f->d, R_STATUS, 15);
}

static void setup(struct fixture *f, uint64_t features)
{
    struct virtio_console_port ports[PORTS] = {{.name = NULL}};
    struct gw_error err = {0};
    memset(f, 0, sizeof *f);
    f->q = fake_events(&f->clock);
    fake_bus(&f->bus);
    f->d = dev_new(&virtio_mmio_class, f->q, &f->bus.bus);
    f->v = virtio_mmio_dev(f->d);
    f->d->irq = fake_irq(&f->line);
    for (unsigned i = 0; i < PORTS; i++) {
        fake_peer_init(&f->peer[i]);
        ports[i].serial = &f->peer[i].serial;
    }
    ports[CHANNEL].name = "org.example.agent";
    assert_int_equal(virtio_console_attach(f->v, ports, PORTS, &err), GW_OK);
    start(f, features);
}

static void teardown(struct fixture *f)
{
    dev_free(f->d);
    dev_bus_destroy(&f->bus);
    gw_events_free(f->q);
}

static void add_in(struct fixture *f, unsigned queue, unsigned id, uint32_t len)
{
    struct buffer b = {.paddr = BUF + queue * 0x1000 + id * 0x100, .len = len, .write = true};
    ring_add_direct(&f->r[queue], id, &b, 1);
    ring_kick(&f->r[queue]);
}

static void put_out(struct fixture *f, unsigned queue, const void *bytes, uint32_t len)
{
    struct buffer b = {.paddr = BUF + queue * 0x1000, .len = len};
    memcpy(ram_at(&f->bus, b.paddr), bytes, len);
    ring_add_direct(&f->r[queue], 0, &b, 1);
    ring_kick(&f->r[queue]);
}

static void control(struct fixture *f, uint32_t id, uint16_t event, uint16_t value)
{
    uint8_t m[8] = {0};
    uint32_t len;
    gw_put_little(m, id, 4);
    gw_put_little(m + 4, event, 2);
    gw_put_little(m + 6, value, 2);
    put_out(f, 3, m, sizeof m);
    assert_int_equal(ring_take(&f->r[3], &len), 0);
}

/* The next message, which takes its buffer `at`. */
static uint32_t expect_message(struct fixture *f, unsigned at, uint32_t id, uint16_t event)
{
    uint64_t paddr = BUF + 2 * 0x1000 + at * 0x100;
    uint32_t len = 0;
    assert_int_equal(ring_take(&f->r[2], &len), at);
    assert_int_equal(ram_get(&f->bus, paddr, 4), id);
    assert_int_equal(ram_get(&f->bus, paddr + 4, 2), event);
    return len;
}

static void ports_are_announced(void **state)
{
    for (unsigned packed = 0; packed < 2; packed++) {
        struct fixture f;
        uint32_t len;
        setup(&f, 2 | (packed ? VIRTIO_F_RING_PACKED : 0));
        assert_int_equal(vreg(f.d, R_ID), 3);
        assert_int_equal(reg_read(f.d, R_CONFIG + 4, 4), PORTS);
        control(&f, 0xffffffff, READY, 1); /* before there are buffers */
        for (unsigned i = 0; i < 8; i++)
            add_in(&f, 2, i, 0x80);
        for (unsigned i = 0; i < PORTS; i++)
            assert_int_equal(expect_message(&f, i, i, ADD), 8);
        control(&f, 0, PORT_READY, 1);
        expect_message(&f, 3, 0, CONSOLE);
        expect_message(&f, 4, 0, OPEN);
        control(&f, CHANNEL, PORT_READY, 1);
        assert_int_equal(expect_message(&f, 5, CHANNEL, NAME), 8 + 17);
        assert_memory_equal(ram_at(&f.bus, BUF + 0x2000 + 0x508), "org.example.agent", 17);
        expect_message(&f, 6, CHANNEL, OPEN);
        assert_int_equal(ring_take(&f.r[2], &len), -1);
        virtio_console_resize(f.v, 132, 50);
        assert_int_equal(expect_message(&f, 7, 0, RESIZE), 12);
        assert_int_equal(ram_get(&f.bus, BUF + 0x2000 + 0x708, 2), 132);
        assert_int_equal(ram_get(&f.bus, BUF + 0x2000 + 0x70a, 2), 50);
        teardown(&f);
    }
}

static void bytes_go_both_ways(void **state)
{
    struct fixture f;
    uint32_t len;
    setup(&f, 2);
    put_out(&f, 1, "to the console", 14);
    assert_int_equal(ring_take(&f.r[1], &len), 0);
    assert_memory_equal(f.peer[0].sent, "to the console", 14);
    put_out(&f, 7, "to the agent", 12);
    assert_memory_equal(f.peer[CHANNEL].sent, "to the agent", 12);
    f.peer[0].input = "typed";
    add_in(&f, 0, 0, 3);
    add_in(&f, 0, 1, 30);
    add_in(&f, 0, 2, 30);
    assert_int_equal(ring_take(&f.r[0], &len), 0);
    assert_int_equal(len, 3);
    assert_int_equal(ring_take(&f.r[0], &len), 1);
    assert_int_equal(len, 2);
    assert_memory_equal(ram_at(&f.bus, BUF), "typ", 3);
    assert_memory_equal(ram_at(&f.bus, BUF + 0x100), "ed", 2);
    assert_int_equal(ring_take(&f.r[0], &len), -1); /* the third waits for more */
    f.peer[0].input = "!";
    virtio_console_poke(f.v, 0);
    assert_int_equal(ring_take(&f.r[0], &len), 2);
    /* a channel's input waits until a program opens it */
    f.peer[CHANNEL].input = "command";
    add_in(&f, 6, 0, 30);
    virtio_console_poke(f.v, CHANNEL);
    assert_int_equal(ring_take(&f.r[6], &len), -1);
    control(&f, CHANNEL, OPEN, 1);
    assert_int_equal(ring_take(&f.r[6], &len), 0);
    assert_int_equal(len, 7);
    teardown(&f);
}

/* Output goes on in the middle of a buffer; also in another machine. */
static void a_full_line_holds_output_back(void **state)
{
    struct fixture f;
    static uint64_t saved[STATE_MAX], kind[STATE_MAX];
    uint32_t len;
    setup(&f, VIRTIO_F_RING_PACKED | 2);
    f.peer[1].full = true;
    put_out(&f, 5, "held", 4);
    assert_int_equal(ring_take(&f.r[5], &len), -1);
    virtio_mmio_class.quiesce(f.d);
    state_save(f.d, virtio_mmio_class.state, saved);
    state_save(f.v->backend, f.v->kind->state, kind);
    virtio_mmio_class.reset(f.d);
    assert_int_equal(state_load(f.d, virtio_mmio_class.state, saved), GW_OK);
    assert_int_equal(state_load(f.v->backend, f.v->kind->state, kind), GW_OK);
    f.peer[1].full = false;
    virtio_console_poke(f.v, 1);
    assert_int_equal(ring_take(&f.r[5], &len), 0);
    assert_int_equal(f.peer[1].sent_count, 4);
    assert_memory_equal(f.peer[1].sent, "held", 4);
    teardown(&f);
}

static void one_port_needs_no_messages(void **state)
{
    struct fixture f;
    uint32_t len;
    setup(&f, 0);
    f.peer[0].input = "x";
    add_in(&f, 0, 0, 10);
    assert_int_equal(ring_take(&f.r[0], &len), 0);
    reg_write(f.d, R_CONFIG + 8, 4, 'E'); /* emergency write */
    assert_int_equal(f.peer[0].sent[0], 'E');
    virtio_console_resize(f.v, 80, 25);
    assert_int_equal(reg_read(f.d, R_CONFIG, 2), 80);
    assert_int_equal(offered_features(f.d) & 1, 1);
    start(&f, 1); /* sizes by the configuration space */
    virtio_console_resize(f.v, 81, 25);
    assert_int_equal(vreg(f.d, R_INT) & 2, 2);
    teardown(&f);
}

static void nonsense_is_passed_over(void **state)
{
    struct fixture f;
    uint32_t len;
    struct buffer bad = {.paddr = 0x10001000, .len = 100};
    setup(&f, 2);
    control(&f, PORTS, PORT_READY, 1);
    control(&f, 0xfffffff0, OPEN, 1);
    control(&f, 0, 99, 1);
    control(&f, 0, READY, 0);
    put_out(&f, 3, "short", 5);
    assert_int_equal(ring_take(&f.r[3], &len), 0);
    ring_add_direct(&f.r[3], 1, &bad, 1);
    ring_kick(&f.r[3]);
    assert_int_equal(ring_take(&f.r[3], &len), 1);
    ring_add_direct(&f.r[1], 2, &bad, 1);
    ring_kick(&f.r[1]);
    assert_int_equal(ring_take(&f.r[1], &len), 2);
    bad.write = true;
    f.peer[0].input = "kept";
    ring_add_direct(&f.r[0], 3, &bad, 1);
    ring_kick(&f.r[0]);
    assert_int_equal(ring_take(&f.r[0], &len), 3);
    assert_int_equal(len, 0);
    add_in(&f, 0, 0, 10);
    assert_int_equal(ring_take(&f.r[0], &len), 0);
    assert_int_equal(len, 4);
    /* a buffer too small for a message loses it, and nothing else */
    control(&f, 0, PORT_READY, 1);
    add_in(&f, 2, 0, 7);
    assert_int_equal(ring_take(&f.r[2], &len), 0);
    assert_int_equal(len, 0);
    add_in(&f, 2, 1, 8);
    expect_message(&f, 1, 0, OPEN);
    assert_int_equal(vreg(f.d, R_STATUS), 15);
    teardown(&f);
}

/* Asked again and again without buffers: what is owed stays a bit each. */
static void messages_do_not_pile_up(void **state)
{
    struct fixture f;
    unsigned n = 0;
    uint32_t len;
    setup(&f, 2);
    for (unsigned i = 0; i < 100000; i++)
        control(&f, i % PORTS, i % 2 ? PORT_READY : OPEN, 1);
    for (unsigned i = 0; i < SIZE; i++) {
        add_in(&f, 2, i, 0x80);
        n += ring_take(&f.r[2], &len) >= 0;
    }
    assert_in_range(n, 1, 5 * PORTS);
    teardown(&f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(ports_are_announced),
        cmocka_unit_test(bytes_go_both_ways),
        cmocka_unit_test(a_full_line_holds_output_back),
        cmocka_unit_test(one_port_needs_no_messages),
        cmocka_unit_test(nonsense_is_passed_over),
        cmocka_unit_test(messages_do_not_pile_up),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
