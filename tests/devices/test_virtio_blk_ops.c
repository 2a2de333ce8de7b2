/* virtio-blk: discard, zeroes, several queues, rate limits, reads served at once. */
#include "tests/devices/blk_fixture.h"

enum { SIZE = 16, HEAD = 16 };
#define HEADER (RAM_BASE + 0x3000)
#define STATUS (RAM_BASE + 0x3100)
#define DATA   (RAM_BASE + 0x8000)
#define RINGS  (RAM_BASE + 0x40000)

static void start(struct fixture *f)
{
    agree_on(f->d, offered_features(f->d));
    for (unsigned i = 0; i < f->v->queue_count; i++)
        ring_init(&f->r[i], &f->bus, f->d, i, SIZE, true, RINGS + i * 0x4000);
    vset(f->d, R_STATUS, 15);
}

static void setup(struct fixture *f, bool rw, const struct virtio_blk_config *like)
{
    fixture_open(f, rw, like);
    start(f);
}

static void add(struct fixture *f, unsigned queue, uint32_t type, uint64_t sector, uint32_t len)
{
    struct buffer b[3] = {{.paddr = HEADER, .len = HEAD},
                          {.paddr = DATA, .len = len, .write = type == 0},
                          {.paddr = STATUS, .len = 1, .write = true}};
    ram_put(&f->bus, HEADER, type, 4);
    ram_put(&f->bus, HEADER + 8, sector, 8);
    ram_put(&f->bus, STATUS, 0xee, 1);
    if (len == 0)
        b[1] = b[2];
    ring_add_table(&f->r[queue], 0, b, len ? 3 : 2);
}

static void settle(struct fixture *f)
{
    dev_io_drain(f->io);
    gw_events_run(f->q, f->clock.insns);
}

static unsigned request(struct fixture *f, unsigned queue, uint32_t type, uint64_t sector,
                        uint32_t len)
{
    uint32_t used;
    add(f, queue, type, sector, len);
    ring_kick(&f->r[queue]);
    settle(f);
    assert_int_equal(ring_take(&f->r[queue], &used), 0);
    return (unsigned)ram_get(&f->bus, STATUS, 1);
}

static void range(struct fixture *f, unsigned i, uint64_t sector, uint32_t count, uint32_t flags)
{
    ram_put(&f->bus, DATA + 16 * i, sector, 8);
    ram_put(&f->bus, DATA + 16 * i + 8, count, 4);
    ram_put(&f->bus, DATA + 16 * i + 12, flags, 4);
}

static unsigned byte_of(struct fixture *f, uint64_t sector)
{
    assert_int_equal(request(f, 0, 0, sector, 512), 0);
    for (unsigned i = 1; i < 512; i++)
        assert_int_equal(ram_get(&f->bus, DATA + i, 1), ram_get(&f->bus, DATA, 1));
    return (unsigned)ram_get(&f->bus, DATA, 1);
}

static void zeroes_and_discards(void **state)
{
    for (unsigned rw = 0; rw < 2; rw++) {
        struct fixture f;
        setup(&f, rw, &(struct virtio_blk_config){.service = VIRTIO_BLK_QUEUED});
        range(&f, 0, 3, 20, 0); /* parts of clusters at both ends */
        range(&f, 1, 40, 1, 1);
        assert_int_equal(request(&f, 0, 13, 0, 32), 0);
        for (unsigned s = 0; s < SECTORS; s++)
            assert_int_equal(byte_of(&f, s), (s >= 3 && s < 23) || s == 40 ? 0 : s + 1);
        range(&f, 0, 48, 16, 0);
        assert_int_equal(request(&f, 0, 11, 0, 16), 0);
        assert_int_equal(byte_of(&f, 47), 48);
        assert_int_equal(virtio_blk_stats(f.v)->discards, 1);
        /* what is discarded was written before: an overlay gives its storage back */
        assert_int_equal(request(&f, 0, 1, 32, 4096), 0);
        range(&f, 0, 32, 8, 0);
        assert_int_equal(request(&f, 0, 11, 0, 16), 0);
        assert_int_equal(byte_of(&f, 32), 0);
        /* refused */
        range(&f, 0, SECTORS - 1, 2, 0);
        assert_int_equal(request(&f, 0, 11, 0, 16), 1);
        assert_int_equal(request(&f, 0, 13, 0, 16), 1);
        range(&f, 0, UINT64_MAX, 2, 0);
        assert_int_equal(request(&f, 0, 13, 0, 16), 1);
        range(&f, 0, 0, 0xffffffff, 0);
        assert_int_equal(request(&f, 0, 13, 0, 16), 1);
        range(&f, 0, 0, 1, 1); /* unmap means nothing to a discard */
        assert_int_equal(request(&f, 0, 11, 0, 16), 2);
        range(&f, 0, 0, 1, 2);
        assert_int_equal(request(&f, 0, 13, 0, 16), 2);
        assert_int_equal(request(&f, 0, 13, 0, 15), 1);
        assert_int_equal(request(&f, 0, 13, 0, 0), 1);
        assert_int_equal(request(&f, 0, 13, 0, 16 * (VIRTIO_BLK_RANGES + 1)), 1);
        teardown(&f);
    }
}

static void a_read_only_disk_keeps_what_it_has(void **state)
{
    struct fixture f;
    setup(&f, false, &(struct virtio_blk_config){.read_only = true});
    range(&f, 0, 0, 8, 0);
    assert_int_equal(offered_features(f.d) & (3u << 13), 0);
    assert_int_equal(request(&f, 0, 11, 0, 16), 1);
    assert_int_equal(request(&f, 0, 13, 0, 16), 1);
    assert_int_equal(byte_of(&f, 0), 1);
    teardown(&f);
}

static void queues_are_independent(void **state)
{
    struct fixture f;
    uint32_t len;
    setup(&f, false, &(struct virtio_blk_config){.queues = 4, .service = VIRTIO_BLK_QUEUED});
    assert_int_equal(reg_read(f.d, R_CONFIG + 34, 2), 4);
    for (unsigned i = 0; i < 4; i++)
        add(&f, i, 0, 9, 512);
    for (unsigned i = 0; i < 4; i++)
        ring_kick(&f.r[i]);
    settle(&f);
    for (unsigned i = 0; i < 4; i++)
        assert_int_equal(ring_take(&f.r[i], &len), 0);
    /* one is taken away: its request is finished first, the others go on */
    add(&f, 2, 0, 9, 512);
    ring_kick(&f.r[2]);
    vset(f.d, R_QUEUE_SEL, 2);
    vset(f.d, R_READY, 0);
    assert_int_equal(ring_take(&f.r[2], &len), 0);
    settle(&f);
    ring_kick(&f.r[2]);
    assert_int_equal(request(&f, 3, 0, 9, 512), 0);
    assert_int_equal(request(&f, 0, 4, 0, 0), 0);
    teardown(&f);
}

/* 512 bytes at 51200 bytes a second: one each 10 ms once the burst is used up. */
static void limits_hold_requests_back(void **state)
{
    struct fixture f;
    uint32_t len;
    unsigned done = 0;
    setup(&f, false,
          &(struct virtio_blk_config){.limit.bytes = gw_rate_usual(51200),
                                      .service = VIRTIO_BLK_AT_ONCE});
    f.clock.insns = 1000000000;
    for (unsigned i = 0; i < SIZE; i++) {
        ram_put(&f.bus, HEADER, 0, 4);
        add(&f, 0, 0, 1, 512);
    }
    ring_kick(&f.r[0]);
    for (unsigned ms = 0; ms < 200; ms++) {
        uint64_t due = gw_events_next_deadline(f.q);
        while (ring_take(&f.r[0], &len) == 0)
            done++;
        if (ms == 100)
            assert_in_range(done, 10, 14);
        assert_true(due == UINT64_MAX || due > f.clock.insns);
        f.clock.insns += 1000000;
        gw_events_run(f.q, f.clock.insns);
    }
    assert_int_equal(done, SIZE);
    assert_true(virtio_blk_stats(f.v)->delays > 5);
    /* by operations, set while it runs; then taken off */
    virtio_blk_limit(f.v, &(struct gw_io_limit){.ops = gw_rate_usual(1)});
    f.clock.insns += UINT64_C(5000000000);
    assert_int_equal(request(&f, 0, 0, 1, 512), 0);
    add(&f, 0, 0, 1, 512);
    ring_kick(&f.r[0]);
    settle(&f);
    assert_int_equal(ring_take(&f.r[0], &len), -1);
    virtio_blk_limit(f.v, &(struct gw_io_limit){0});
    settle(&f);
    assert_int_equal(ring_take(&f.r[0], &len), 0);
    teardown(&f);
}

/* How long the next request waits tells what one before it was charged. */
static void all_that_costs_the_host_is_charged(void **state)
{
    enum { BYTES_PER_S = 512 };
    static const uint64_t burst = 20000000, second = 1000000000;
    static const struct {
        const char *what;
        uint32_t type, ranges, sectors, len;
        uint64_t bytes, ops;
    } rows[] = {
        {"a read", 0, 0, 0, 512, 512, 1},
        {"a write", 1, 0, 0, 1024, 1024, 1},
        {"a flush", 4, 0, 0, 0, 0, 1},
        {"zeroes", 13, 1, 8, 16, 4096, 1},
        {"zeroes in two ranges", 13, 2, 8, 32, 8192, 2},
        {"a discard", 11, 1, 8, 16, 4096, 1},
        {"a discard of three ranges", 11, 3, 1, 48, 3 * 4096, 3},
    };
    for (unsigned i = 0; i < sizeof rows / sizeof rows[0]; i++)
        for (unsigned by_ops = 0; by_ops < 2; by_ops++) {
            struct virtio_blk_config like = {.service = VIRTIO_BLK_AT_ONCE};
            uint64_t due,
                cost = by_ops ? rows[i].ops * second : rows[i].bytes * second / BYTES_PER_S;
            struct fixture f;
            if (by_ops)
                like.limit.ops = gw_rate_usual(1);
            else
                like.limit.bytes = gw_rate_usual(BYTES_PER_S);
            setup(&f, true, &like);
            f.clock.insns = 1000000000;
            for (unsigned k = 0; k < rows[i].ranges; k++)
                range(&f, k, 16 * k, rows[i].sectors, 0);
            assert_int_equal(request(&f, 0, rows[i].type, 0, rows[i].len), 0);
            add(&f, 0, 4, 0, 0);
            ring_kick(&f.r[0]);
            due = gw_events_next_deadline(f.q);
            if (!cost)
                assert_int_equal(due, UINT64_MAX);
            else if (due != f.clock.insns + cost - burst)
                fail_msg("%s by %s: the next waits for %llu ns, not %llu", rows[i].what,
                         by_ops ? "requests" : "bytes", (unsigned long long)(due - f.clock.insns),
                         (unsigned long long)(cost - burst));
            teardown(&f);
        }
}

/* What waits in a ring when the state is taken is done after it was put into another machine. */
static void waiting_requests_survive_a_move(void **state)
{
    struct fixture f;
    uint64_t saved[STATE_MAX] = {0}, kind[STATE_MAX] = {0};
    uint32_t len;
    setup(
        &f, false,
        &(struct virtio_blk_config){.limit.ops = gw_rate_usual(10), .service = VIRTIO_BLK_AT_ONCE});
    f.clock.insns = 1000000000;
    for (unsigned i = 0; i < 4; i++)
        add(&f, 0, 0, 1, 512);
    ring_kick(&f.r[0]);
    assert_int_equal(ring_take(&f.r[0], &len), 0);
    assert_int_equal(ring_take(&f.r[0], &len), -1);
    virtio_mmio_class.quiesce(f.d);
    state_save(f.d, virtio_mmio_class.state, saved);
    state_save(f.v->backend, f.v->kind->state, kind);
    virtio_mmio_class.reset(f.d);
    assert_int_equal(state_load(f.d, virtio_mmio_class.state, saved), GW_OK);
    assert_int_equal(state_load(f.v->backend, f.v->kind->state, kind), GW_OK);
    for (unsigned i = 0; i < 10; i++) {
        gw_events_run(f.q, f.clock.insns);
        f.clock.insns += 50000000;
    }
    for (unsigned i = 0; i < 3; i++)
        assert_int_equal(ring_take(&f.r[0], &len), 0);
    assert_int_equal(ring_take(&f.r[0], &len), -1);
    teardown(&f);
}

static void reads_from_memory_need_no_thread(void **state)
{
    struct fixture f;
    uint32_t len = 0;
    setup(&f, true, &(struct virtio_blk_config){.service = VIRTIO_BLK_DEFAULT});
    for (unsigned i = 0; i < 3; i++) {
        add(&f, 0, 0, 5, 1024);
        ring_kick(&f.r[0]);
        settle(&f); /* a host that cannot tell goes the other way */
        assert_int_equal(ring_take(&f.r[0], &len), 0);
        assert_int_equal(len, 1025);
        assert_int_equal(ram_get(&f.bus, DATA + 1023, 1), 7);
    }
    teardown(&f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(zeroes_and_discards),
        cmocka_unit_test(a_read_only_disk_keeps_what_it_has),
        cmocka_unit_test(queues_are_independent),
        cmocka_unit_test(limits_hold_requests_back),
        cmocka_unit_test(all_that_costs_the_host_is_charged),
        cmocka_unit_test(waiting_requests_survive_a_move),
        cmocka_unit_test(reads_from_memory_need_no_thread),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
