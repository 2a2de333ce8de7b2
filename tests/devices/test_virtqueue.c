/* Queues of both kinds, by a kind of device that gives chains back as the test says. */
#include <pthread.h>

#include "tests/devices/ring_driver.h"

enum { SIZE = 8 };
#define RINGS (RAM_BASE + 0x40000)
#define DATA  (RAM_BASE + 0x8000)

/* The device: counts what it gets, writes "ok" to what is writable. */
struct echo {
    struct virtq_chain chain;
    struct virtq_token held[64];
    unsigned held_count, taken, bad;
    uint64_t out_bytes, in_bytes;
    bool hold;
    uint64_t first; /* the first 8 readable bytes, read twice where they differ */
};

static uint64_t echo_features(struct virtio_dev *v)
{
    return 0;
}

static uint8_t echo_config(struct virtio_dev *v, uint64_t offset)
{
    return 0;
}

static void echo_notify(struct virtio_dev *v, unsigned queue)
{
    struct echo *e = v->backend;
    while (virtio_pop(v, queue, &e->chain)) {
        e->taken++;
        e->bad += e->chain.bad;
        e->out_bytes = e->chain.out_bytes;
        e->in_bytes = e->chain.in_bytes;
        if (e->hold && e->held_count < 64) {
            e->held[e->held_count++] = e->chain.token;
            continue;
        }
        bool wrote = virtq_write(&e->chain, v->dma, 0, "ok", 2);
        virtq_push(&v->queue[queue], v->dma, e->chain.token, wrote ? 2 : 0);
    }
    virtio_used(v, queue);
}

static void echo_nothing(struct virtio_dev *v)
{
}

static const struct virtio_kind echo_kind = {
    .name = "echo",
    .id = 77,
    .features = echo_features,
    .config = echo_config,
    .notify = echo_notify,
    .stop = echo_nothing,
    .quiesce = echo_nothing,
    .destroy = echo_nothing,
};

struct fixture {
    struct dev_bus bus;
    struct gw_device *d;
    struct virtio_dev *v;
    struct fake_line line;
    struct echo echo;
    struct ring r;
    uint64_t features;
};

static void restart(struct fixture *f, bool packed, bool event_idx)
{
    f->features = VIRTIO_F_INDIRECT_DESC | (packed ? VIRTIO_F_RING_PACKED : 0) |
                  (event_idx ? VIRTIO_F_EVENT_IDX : 0);
    agree_on(f->d, f->features);
    ring_init(&f->r, &f->bus, f->d, 0, SIZE, packed, RINGS);
    vset(f->d, R_STATUS, 15);
    memset(&f->echo, 0, sizeof f->echo);
}

static void setup(struct fixture *f, bool packed, bool event_idx)
{
    memset(f, 0, sizeof *f);
    fake_bus(&f->bus);
    f->d = dev_new(&virtio_mmio_class, NULL, &f->bus.bus);
    f->v = virtio_mmio_dev(f->d);
    f->d->irq = fake_irq(&f->line);
    assert_int_equal(virtio_attach(f->v, &echo_kind, &f->echo, 1, NULL), GW_OK);
    restart(f, packed, event_idx);
}

static void teardown(struct fixture *f)
{
    dev_free(f->d);
    dev_bus_destroy(&f->bus);
}

static const struct buffer pair[2] = {{.paddr = DATA, .len = 100},
                                      {.paddr = DATA + 0x1000, .len = 10, .write = true}};

static void take_one(struct fixture *f, unsigned id, uint32_t want)
{
    uint32_t len = 99;
    assert_int_equal(ring_take(&f->r, &len), id);
    assert_int_equal(len, want);
}

/* Chains of 1, 2 and 3 entries, direct and by tables, around the ring many times. */
static void chains_go_around(bool packed, bool event_idx)
{
    struct fixture f;
    struct buffer three[3] = {pair[0], {.paddr = DATA + 50, .len = 0}, pair[1]};
    setup(&f, packed, event_idx);
    for (unsigned i = 0; i < 70000; i++) {
        unsigned id = i % SIZE;
        switch (i % 4) {
        case 0: ring_add_direct(&f.r, id, pair, 2); break;
        case 1: ring_add_table(&f.r, id, three, 3); break;
        case 2: ring_add_direct(&f.r, id, three, 3); break;
        default: ring_add_direct(&f.r, id, pair, 1); break;
        }
        ring_kick(&f.r);
        take_one(&f, id, i % 4 == 3 ? 0 : 2);
        assert_int_equal(f.echo.out_bytes, 100);
    }
    assert_int_equal(f.echo.taken, 70000);
    assert_int_equal(f.echo.bad, 0);
    assert_int_equal(vreg(f.d, R_STATUS), 15);
    assert_memory_equal(ram_at(&f.bus, DATA + 0x1000), "ok", 2);
    teardown(&f);
}

static void split_chains_go_around(void **state)
{
    chains_go_around(false, false);
    chains_go_around(false, true);
}

static void packed_chains_go_around(void **state)
{
    chains_go_around(true, false);
    chains_go_around(true, true);
}

/* A whole ring in flight, given back in another order. */
static void out_of_order(bool packed)
{
    struct fixture f;
    static const unsigned order[SIZE] = {5, 2, 7, 0, 1, 6, 3, 4};
    uint32_t len;
    setup(&f, packed, false);
    for (unsigned round = 0; round < 50; round++) {
        f.echo.hold = true;
        f.echo.held_count = 0;
        for (unsigned i = 0; i < SIZE; i++)
            ring_add_direct(&f.r, i, pair, 1);
        ring_kick(&f.r);
        assert_int_equal(f.echo.held_count, SIZE);
        assert_int_equal(virtq_in_flight(&f.v->queue[0]), SIZE);
        assert_int_equal(ring_take(&f.r, &len), -1);
        for (unsigned i = 0; i < SIZE; i++)
            virtq_push(&f.v->queue[0], &f.d->dma, f.echo.held[order[i]], 0);
        for (unsigned i = 0; i < SIZE; i++)
            take_one(&f, order[i], 0);
        assert_int_equal(virtq_in_flight(&f.v->queue[0]), 0);
    }
    teardown(&f);
}

static void a_ring_completes_out_of_order(void **state)
{
    out_of_order(false);
    out_of_order(true);
}

static void unpop_gives_the_same_chain_again(void **state)
{
    for (unsigned packed = 0; packed < 2; packed++) {
        struct fixture f;
        setup(&f, packed, false);
        for (unsigned i = 0; i < 20; i++) {
            struct virtq *q = &f.v->queue[0];
            ring_add_direct(&f.r, i % SIZE, pair, 2);
            assert_int_equal(virtq_pop(q, &f.d->dma, &f.echo.chain), VIRTQ_CHAIN);
            virtq_unpop(q, f.echo.chain.token);
            assert_int_equal(virtq_in_flight(q), 0);
            ring_kick(&f.r);
            take_one(&f, i % SIZE, 2);
        }
        teardown(&f);
    }
}

/* Interrupts come when the event index is passed, and not before. */
static void split_event_index(void **state)
{
    struct fixture f;
    setup(&f, false, true);
    ram_put(&f.bus, f.r.avail + 4 + 2 * SIZE, 2, 2); /* used_event: the third chain */
    for (unsigned i = 0; i < 6; i++) {
        ring_add_direct(&f.r, i, pair, 2);
        ring_kick(&f.r);
        assert_int_equal(f.line.level, i == 2);
        vset(f.d, R_ACK, 1);
        /* avail_event: a notification is asked for with the next one */
        assert_int_equal(ram_get(&f.bus, f.r.used + 4 + 8 * SIZE, 2), i + 1);
    }
    ram_put(&f.bus, f.r.avail, 1, 2); /* the flag has no meaning with event indices */
    ram_put(&f.bus, f.r.avail + 4 + 2 * SIZE, 6, 2);
    ring_add_direct(&f.r, 6, pair, 2);
    ring_kick(&f.r);
    assert_int_equal(f.line.level, 1);
    teardown(&f);
}

static void packed_event_suppression(void **state)
{
    struct fixture f;
    setup(&f, true, true);
    ram_put(&f.bus, f.r.avail, 2 | 0x8000, 2); /* place 2 of this round */
    ram_put(&f.bus, f.r.avail + 2, 2, 2);      /* by place */
    for (unsigned i = 0; i < 6; i++) {
        ring_add_direct(&f.r, i, pair, 1);
        ring_kick(&f.r);
        assert_int_equal(f.line.level, i == 2);
        vset(f.d, R_ACK, 1);
        assert_int_equal(ram_get(&f.bus, f.r.used, 2), (i + 1) | 0x8000);
        assert_int_equal(ram_get(&f.bus, f.r.used + 2, 2), 2);
    }
    ram_put(&f.bus, f.r.avail, 1, 2); /* place 1 of the next round */
    for (unsigned i = 6; i < 12; i++) {
        ring_add_direct(&f.r, i % SIZE, pair, 1);
        ring_kick(&f.r);
        assert_int_equal(f.line.level, i == 9);
        vset(f.d, R_ACK, 1);
    }
    ram_put(&f.bus, f.r.avail + 2, 1, 2); /* off */
    ring_add_direct(&f.r, 0, pair, 1);
    ring_kick(&f.r);
    assert_int_equal(f.line.level, 0);
    ram_put(&f.bus, f.r.avail + 2, 0, 2); /* on */
    ring_add_direct(&f.r, 1, pair, 1);
    ring_kick(&f.r);
    assert_int_equal(f.line.level, 1);
    teardown(&f);
}

static void expect_broken(struct fixture *f)
{
    bool packed = f->r.packed;
    uint32_t len = 0;
    ring_kick(&f->r);
    assert_int_equal(vreg(f->d, R_STATUS) & NEEDS_RESET, NEEDS_RESET);
    assert_int_equal(vreg(f->d, R_INT) & 2, 2);
    ring_kick(&f->r); /* and stays down */
    restart(f, packed, false);
    ring_add_direct(&f->r, 0, pair, 2);
    ring_kick(&f->r);
    assert_int_equal(ring_take(&f->r, &len), 0);
    assert_int_equal(len, 2);
}

static void table(struct fixture *f, uint64_t paddr, uint32_t bytes, unsigned flags)
{
    struct buffer t = {.paddr = paddr, .len = bytes};
    ring_add_direct(&f->r, 1, pair, 1); /* makes an entry available, then the entry is changed */
    unsigned place = f->r.packed ? (f->r.next_avail + SIZE - 1u) % SIZE : 1;
    bool wrap = f->r.packed && f->r.next_avail == 0 ? !f->r.avail_wrap : f->r.avail_wrap;
    unsigned own = f->r.packed ? (wrap ? 1u << 7 : 1u << 15) : 0;
    put_desc(&f->r, f->r.desc + 16 * place, t, D_INDIRECT | flags | own, 0);
}

static void broken_rings_ask_for_a_reset(void **state)
{
    static const uint32_t sizes[] = {0, 1, 15, 17, 24, 0xfffffff0, 0xffffffff};
    static const uint64_t places[] = {
        0, RAM_BASE + RAM_SIZE, UINT64_MAX, UINT64_MAX - 15, RAM_BASE + RAM_SIZE - 16, 0x10001000};
    for (unsigned packed = 0; packed < 2; packed++) {
        struct fixture f;
        struct buffer turned[2] = {pair[1], pair[0]}, loop[SIZE + 1];
        setup(&f, packed, false);
        for (unsigned i = 0; i < sizeof sizes / sizeof sizes[0]; i++) {
            table(&f, DATA, sizes[i], 0);
            expect_broken(&f);
        }
        for (unsigned i = 0; i < sizeof places / sizeof places[0]; i++) {
            table(&f, places[i], 32, 0);
            expect_broken(&f);
        }
        table(&f, DATA, 16, D_NEXT);
        expect_broken(&f);
        ring_add_direct(&f.r, 0, turned, 2); /* readable behind writable */
        expect_broken(&f);
        for (unsigned i = 0; i <= SIZE; i++)
            loop[i] = pair[0];
        restart(&f, packed, false);
        ring_add_direct(&f.r, 0, loop, SIZE + 1); /* longer than the ring, hence a circle */
        put_desc(&f.r, f.r.desc, pair[0], D_NEXT | (packed ? 1u << 7 : 0), 1);
        expect_broken(&f);
        teardown(&f);
    }
}

/* 2^32 bytes in one chain, by many entries over the same memory. */
static void chains_over_4_gib_are_broken(void **state)
{
    struct dev_bus bus;
    struct gw_dma dma = {.bus = &bus.bus};
    struct virtq_chain *c = calloc(1, sizeof *c);
    struct gw_ram huge = {.host = (uint8_t *)c, .base = 0, .size = UINT64_C(1) << 40};
    uint64_t at = UINT64_C(1) << 30;
    /* The real rings lie in real memory; the buffers name a region that nothing touches. */
    fake_bus(&bus);
    bus.ram[1] = huge;
    bus.ram[1].base = UINT64_C(1) << 40;
    bus.bus.ram_count = 2;
    struct virtq q = {
        .size = SIZE, .desc = RAM_BASE, .avail = RAM_BASE + 0x1000, .used = RAM_BASE + 0x2000};
    struct ring r = {.bus = &bus, .size = SIZE, .desc = q.desc, .avail = q.avail, .used = q.used};
    struct buffer b[3] = {{.paddr = bus.ram[1].base + at, .len = 0x80000000},
                          {.paddr = bus.ram[1].base + at, .len = 0x80000000},
                          {.paddr = bus.ram[1].base + at, .len = 1}};
    ring_add_direct(&r, 0, b, 2);
    assert_int_equal(virtq_pop(&q, &dma, c), VIRTQ_CHAIN);
    assert_int_equal(c->out_bytes, UINT64_C(1) << 32);
    virtq_push(&q, &dma, c->token, 0);
    ring_add_direct(&r, 0, b, 3);
    assert_int_equal(virtq_pop(&q, &dma, c), VIRTQ_BROKEN);
    bus.bus.ram_count = 1;
    dev_bus_destroy(&bus);
    free(c);
}

static void nested_tables(void **state)
{
    struct fixture f;
    setup(&f, false, false);
    table(&f, DATA, 16, 0);
    put_desc(&f.r, DATA, pair[0], D_INDIRECT, 0);
    expect_broken(&f);
    /* 2.8.7: a packed ring's table has no flags but WRITE */
    restart(&f, true, false);
    table(&f, DATA, 16, 0);
    put_desc(&f.r, DATA, (struct buffer){.paddr = DATA, .len = 16}, D_INDIRECT | D_NEXT, 0);
    ring_kick(&f.r);
    assert_int_equal(vreg(f.d, R_STATUS), 15);
    assert_int_equal(f.echo.out_bytes, 16);
    teardown(&f);
}

/* More chains offered than the ring has entries. */
static void overfull_rings_are_broken(void **state)
{
    struct fixture f;
    setup(&f, false, false);
    f.r.next_avail = SIZE + 1;
    ram_put(&f.bus, f.r.avail + 2, SIZE + 1, 2);
    expect_broken(&f);
    f.echo.hold = true;
    for (unsigned i = 0; i < SIZE; i++)
        ring_add_direct(&f.r, i, pair, 1);
    ring_kick(&f.r);
    ring_add_direct(&f.r, 0, pair, 1); /* while all are in flight */
    expect_broken(&f);
    restart(&f, true, false);
    f.echo.hold = true;
    for (unsigned i = 0; i < SIZE; i++)
        ring_add_direct(&f.r, i, pair, 1);
    ring_kick(&f.r);
    ring_add_direct(&f.r, 0, pair, 1);
    expect_broken(&f);
    teardown(&f);
}

static void a_million_bad_chains_then_a_good_one(void **state)
{
    static const uint64_t places[] = {0, 0x10001000, RAM_BASE + RAM_SIZE - 4,
                                      UINT64_C(0xffffffffffffff00)};
    for (unsigned packed = 0; packed < 2; packed++) {
        struct fixture f;
        uint32_t len;
        setup(&f, packed, packed);
        for (unsigned i = 0; i < 500000; i++) {
            struct buffer b = {.paddr = places[i % 4], .len = 512, .write = i & 4};
            ring_add_direct(&f.r, i % SIZE, &b, 1);
            ring_kick(&f.r);
            if (ring_take(&f.r, &len) != (int)(i % SIZE) || len != 0)
                fail();
        }
        assert_int_equal(f.echo.bad, 500000);
        ring_add_direct(&f.r, 3, pair, 2);
        ring_kick(&f.r);
        take_one(&f, 3, 2);
        teardown(&f);
    }
}

static void queue_registers_are_frozen(void **state)
{
    struct fixture f;
    setup(&f, true, false);
    vset(f.d, R_QUEUE_SIZE, 4);
    vset(f.d, R_DESC, 0);
    vset(f.d, R_DESC + 4, 0xffffffff);
    vset(f.d, R_AVAIL, 3);
    vset(f.d, R_USED, 0);
    vset(f.d, R_DRIVER_SEL, 1);
    vset(f.d, R_DRIVER, 1); /* would make the ring a split one */
    vset(f.d, R_STATUS, 3); /* no bit is taken back but by a reset */
    assert_int_equal(vreg(f.d, R_STATUS), 15);
    ring_add_direct(&f.r, 0, pair, 2);
    ring_kick(&f.r);
    take_one(&f, 0, 2);
    /* before the features are agreed on, no queue gets ready */
    vset(f.d, R_STATUS, 0);
    vset(f.d, R_STATUS, 3);
    vset(f.d, R_READY, 1);
    assert_int_equal(vreg(f.d, R_READY), 0);
    teardown(&f);
}

/* ---- a second vCPU ---- */

struct flipper {
    struct fixture *f;
    bool stop; /* atomic */
};

/* Changes descriptors as another vCPU would, racing with the device on purpose. */
__attribute__((no_sanitize("thread", "address"))) static void *flip(void *context)
{
    struct flipper *x = context;
    volatile uint64_t *desc = (volatile void *)ram_at(&x->f->bus, x->f->r.desc);
    volatile uint64_t *table = (volatile void *)ram_at(&x->f->bus, x->f->r.tables);
    for (uint64_t i = 0; !__atomic_load_n(&x->stop, __ATOMIC_RELAXED); i++) {
        uint64_t addr = i & 1 ? DATA : UINT64_C(0xfffffffffffffff0);
        uint64_t len = i & 2 ? 16 : 0xfffffff0;
        for (unsigned k = 0; k < 4; k++) {
            desc[2 * k] = addr;
            table[2 * k] = addr;
            ((volatile uint32_t *)desc)[4 * k + 2] = (uint32_t)len;
            ((volatile uint32_t *)table)[4 * k + 2] = (uint32_t)len;
        }
    }
    return NULL;
}

static void descriptors_are_read_once(void **state)
{
    for (unsigned packed = 0; packed < 2; packed++) {
        struct fixture f;
        struct flipper x = {.f = &f};
        pthread_t t;
        unsigned resets = 0;
        setup(&f, packed, false);
        assert_int_equal(pthread_create(&t, NULL, flip, &x), 0);
        for (unsigned i = 0; i < 50000; i++) {
            if (i % 2)
                ring_add_table(&f.r, i % 4, pair, 2);
            else
                ring_add_direct(&f.r, i % 4, pair, 2);
            ring_kick(&f.r);
            if (vreg(f.d, R_STATUS) & NEEDS_RESET) {
                resets++;
                agree_on(f.d, f.features);
                ring_init(&f.r, &f.bus, f.d, 0, SIZE, packed, RINGS);
                vset(f.d, R_STATUS, 15);
            }
        }
        __atomic_store_n(&x.stop, true, __ATOMIC_RELAXED);
        pthread_join(t, NULL);
        assert_true(f.echo.taken + resets > 0);
        restart(&f, packed, false);
        ring_add_direct(&f.r, 0, pair, 2);
        ring_kick(&f.r);
        take_one(&f, 0, 2);
        teardown(&f);
    }
}

static void random_rings(void **state)
{
    uint64_t rng = 5;
    for (unsigned mode = 0; mode < 4; mode++) {
        struct fixture f;
        setup(&f, mode & 1, mode & 2);
        for (unsigned i = 0; i < 100000; i++) {
            uint64_t r;
            rng = rng * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
            r = rng >> 16;
            switch (r % 6) {
            case 0: ram_put(&f.bus, f.r.desc + (r >> 8) % 128, r >> 20, 4); break;
            case 1: ram_put(&f.bus, f.r.avail + (r >> 8) % 24, r >> 20, 2); break;
            case 2: ram_put(&f.bus, f.r.tables + (r >> 8) % 256, r >> 20, 4); break;
            case 3: ring_add_table(&f.r, (r >> 8) % SIZE, pair, 2); break;
            case 4: ring_add_direct(&f.r, (r >> 8) % SIZE, pair, 1 + (r >> 16) % 2); break;
            default: ring_kick(&f.r); break;
            }
            if (vreg(f.d, R_STATUS) & NEEDS_RESET)
                restart(&f, mode & 1, mode & 2);
        }
        teardown(&f);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(split_chains_go_around),
        cmocka_unit_test(packed_chains_go_around),
        cmocka_unit_test(a_ring_completes_out_of_order),
        cmocka_unit_test(unpop_gives_the_same_chain_again),
        cmocka_unit_test(split_event_index),
        cmocka_unit_test(packed_event_suppression),
        cmocka_unit_test(broken_rings_ask_for_a_reset),
        cmocka_unit_test(chains_over_4_gib_are_broken),
        cmocka_unit_test(nested_tables),
        cmocka_unit_test(overfull_rings_are_broken),
        cmocka_unit_test(a_million_bad_chains_then_a_good_one),
        cmocka_unit_test(queue_registers_are_frozen),
        cmocka_unit_test(descriptors_are_read_once),
        cmocka_unit_test(random_rings),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
