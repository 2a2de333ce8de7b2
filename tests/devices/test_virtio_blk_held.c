/* virtio-blk on a host that takes its time: what is in flight can be given up, and is done anew; what a
 * driver without FLUSH is told is on the disk; what costs is counted. */
#include <errno.h>
#include <sched.h>

#include "devices/virtio/blk_int.h"
#include "tests/devices/blk_fixture.h"

enum {
    SIZE = 16,
    IN = 0,
    OUT = 1,
    FLUSH = 4,
    GET_ID = 8,
    DISCARD = 11,
    ZEROES = 13,
    NONSENSE = 99
};
#define HEADERS (RAM_BASE + 0x3000) /* 32 bytes an id, the status behind the header */
#define DATA    (RAM_BASE + 0x8000)
#define RINGS   (RAM_BASE + 0x40000)

static void setup(struct fixture *f, bool packed, uint64_t without, bool rw,
                  const struct virtio_blk_config *like)
{
    fixture_open(f, rw, like);
    agree_on(f->d,
             (offered_features(f->d) & ~without) & (packed ? UINT64_MAX : ~VIRTIO_F_RING_PACKED));
    for (unsigned i = 0; i < f->v->queue_count; i++)
        ring_init(&f->r[i], &f->bus, f->d, i, SIZE, packed, RINGS + i * 0x4000);
    vset(f->d, R_STATUS, 15);
}

static uint64_t status_at(unsigned id)
{
    return HEADERS + 32 * id + 16;
}

static void add(struct fixture *f, unsigned queue, unsigned id, uint32_t type, uint64_t sector,
                uint64_t data, uint32_t len)
{
    struct buffer b[3] = {{.paddr = HEADERS + 32 * id, .len = 16},
                          {.paddr = data, .len = len, .write = type == IN || type == GET_ID},
                          {.paddr = status_at(id), .len = 1, .write = true}};
    ram_put(&f->bus, HEADERS + 32 * id, type, 4);
    ram_put(&f->bus, HEADERS + 32 * id + 8, sector, 8);
    ram_put(&f->bus, status_at(id), 0xee, 1);
    if (len == 0)
        b[1] = b[2];
    ring_add_direct(&f->r[queue], id, b, len ? 3 : 2);
}

/* The I/O thread is held up until the device gives up. */
struct hold {
    struct dev_io_job job;
    struct dev_disk *disk;
};

static void hold_up(struct dev_io_job *job)
{
    const struct hold *h = (struct hold *)(void *)job;
    while (!dev_disk_gives_up(h->disk))
        sched_yield();
}

static void start_hold(struct fixture *f, struct hold *h)
{
    *h = (struct hold){.job = {.run = hold_up}, .disk = f->disk};
    dev_io_submit(f->io, &h->job);
}

static void settle(struct fixture *f)
{
    f->clock.insns += 1000;
    gw_events_run(f->q, f->clock.insns);
    dev_io_drain(f->io);
    gw_events_run(f->q, f->clock.insns);
}

static void expect(struct fixture *f, unsigned queue, unsigned id, unsigned status)
{
    uint32_t len;
    assert_int_equal(ring_take(&f->r[queue], &len), (int)id);
    assert_int_equal(ram_get(&f->bus, status_at(id), 1), status);
}

static void expect_none(struct fixture *f, unsigned queue)
{
    uint32_t len;
    assert_int_equal(ring_take(&f->r[queue], &len), -1);
}

/* Refused ones and those that are no work among them: they are given back in their order, or the ring
 * would be written where the others still lie. */
static void fill(struct fixture *f)
{
    memset(ram_at(&f->bus, DATA), 0x77, 4096);
    add(f, 0, 0, OUT, 8, DATA, 512);
    add(f, 0, 3, NONSENSE, 0, DATA + 4096, 512);
    add(f, 0, 6, GET_ID, 0, DATA + 8192, 20);
    add(f, 0, 9, IN, 20, DATA + 12288, 512);
    ring_kick(&f->r[0]);
}

static void expect_all(struct fixture *f)
{
    expect(f, 0, 0, 0);
    expect(f, 0, 3, 2);
    expect(f, 0, 6, 0);
    expect(f, 0, 9, 0);
    expect_none(f, 0);
    assert_int_equal(ram_get(&f->bus, DATA + 12288, 1), 21);
}

static void what_is_given_up_is_done_anew(void **state)
{
    for (int packed = 0; packed < 2; packed++) {
        struct fixture f;
        struct hold hold;
        setup(&f, packed, 0, false,
              &(struct virtio_blk_config){.service = VIRTIO_BLK_QUEUED, .serial = "id"});
        start_hold(&f, &hold);
        fill(&f);
        expect_none(&f, 0);
        virtio_mmio_class.quiesce(f.d);
        expect_none(&f, 0);
        assert_int_equal(virtq_in_flight(&f.v->queue[0]), 0);
        /* Time stands still while a machine is saved: nothing is begun. */
        gw_events_run(f.q, f.clock.insns);
        assert_int_equal(virtq_in_flight(&f.v->queue[0]), 0);
        settle(&f);
        expect_all(&f);
        teardown(&f);
    }
}

static void what_was_given_up_goes_with_the_state(void **state)
{
    for (int packed = 0; packed < 2; packed++) {
        uint64_t saved[STATE_MAX] = {0}, kind[STATE_MAX] = {0};
        struct fixture f;
        struct hold hold;
        setup(&f, packed, 0, false,
              &(struct virtio_blk_config){.service = VIRTIO_BLK_QUEUED, .serial = "id"});
        start_hold(&f, &hold);
        fill(&f);
        virtio_mmio_class.quiesce(f.d);
        state_save(f.d, virtio_mmio_class.state, saved);
        state_save(f.v->backend, f.v->kind->state, kind);
        virtio_mmio_class.reset(f.d);
        assert_int_equal(state_load(f.d, virtio_mmio_class.state, saved), GW_OK);
        assert_int_equal(state_load(f.v->backend, f.v->kind->state, kind), GW_OK);
        settle(&f);
        expect_all(&f);
        teardown(&f);
    }
}

static void queues_are_put_back_each_by_itself(void **state)
{
    struct fixture f;
    struct hold hold;
    setup(&f, true, 0, false,
          &(struct virtio_blk_config){.queues = 2, .service = VIRTIO_BLK_QUEUED});
    start_hold(&f, &hold);
    for (unsigned i = 0; i < 3; i++) {
        add(&f, 0, 3 * i, OUT, i, DATA, 512);
        add(&f, 1, 3 * i, IN, 30 + i, DATA + 4096 * (i + 1), 512);
        ring_kick(&f.r[0]);
        ring_kick(&f.r[1]);
    }
    virtio_mmio_class.quiesce(f.d);
    assert_int_equal(virtq_in_flight(&f.v->queue[0]) + virtq_in_flight(&f.v->queue[1]), 0);
    settle(&f);
    for (unsigned i = 0; i < 3; i++) {
        expect(&f, 0, 3 * i, 0);
        expect(&f, 1, 3 * i, 0);
        assert_int_equal(ram_get(&f.bus, DATA + 4096 * (i + 1), 1), 31 + i);
    }
    teardown(&f);
}

static void a_reset_does_not_wait_for_the_disk(void **state)
{
    struct fixture f;
    struct hold hold;
    setup(&f, true, 0, false, &(struct virtio_blk_config){.service = VIRTIO_BLK_QUEUED});
    start_hold(&f, &hold);
    add(&f, 0, 0, OUT, 1, DATA, 512);
    ring_kick(&f.r[0]);
    vset(f.d, R_STATUS, 0);
    assert_int_equal(vreg(f.d, R_STATUS), 0);
    settle(&f);
    assert_int_equal(ram_get(&f.bus, status_at(0), 1), 0xee);
    agree_on(f.d, offered_features(f.d));
    ring_init(&f.r[0], &f.bus, f.d, 0, SIZE, true, RINGS);
    vset(f.d, R_STATUS, 15);
    add(&f, 0, 0, IN, 1, DATA, 512);
    ring_kick(&f.r[0]);
    settle(&f);
    expect(&f, 0, 0, 0);
    assert_int_equal(ram_get(&f.bus, DATA, 1), 2); /* what was given up was not begun */
    teardown(&f);
}

/* Whoever runs guest code meanwhile can know that another thread writes to RAM. */
static void the_bus_knows_of_reads_under_way(void **state)
{
    struct fixture f;
    struct hold hold;
    const uint32_t *jobs = &f.bus.bus.dma_jobs;
    setup(&f, true, 0, true, &(struct virtio_blk_config){.service = VIRTIO_BLK_QUEUED});
    start_hold(&f, &hold);
    add(&f, 0, 0, OUT, 1, DATA, 512);
    ring_kick(&f.r[0]);
    assert_int_equal(*jobs, 0);
    add(&f, 0, 3, IN, 2, DATA + 4096, 512);
    add(&f, 0, 6, IN, 3, DATA + 8192, 512);
    ring_kick(&f.r[0]);
    assert_int_equal(*jobs, 2);
    virtio_mmio_class.quiesce(f.d);
    assert_int_equal(*jobs, 0);
    settle(&f);
    expect(&f, 0, 0, 0);
    expect(&f, 0, 3, 0);
    expect(&f, 0, 6, 0);
    assert_int_equal(*jobs, 0);
    add(&f, 0, 0, IN, 4, DATA, 512);
    ring_kick(&f.r[0]);
    dev_io_drain(f.io);
    assert_int_equal(*jobs, 1); /* until its end is known */
    settle(&f);
    assert_int_equal(*jobs, 0);
    start_hold(&f, &hold);
    add(&f, 0, 3, IN, 4, DATA, 512);
    ring_kick(&f.r[0]);
    assert_int_equal(*jobs, 1);
    vset(f.d, R_STATUS, 0);
    assert_int_equal(*jobs, 0);
    teardown(&f);
}

static bool stop_soon(void *context)
{
    return ++*(unsigned *)context < 3;
}

static void work_that_is_done_at_once_is_given_up_when_told(void **state)
{
    struct fixture f;
    struct hold hold;
    unsigned looks = 0;
    setup(&f, true, 0, false,
          &(struct virtio_blk_config){
              .service = VIRTIO_BLK_AT_ONCE, .go_on = stop_soon, .context = &looks});
    start_hold(&f, &hold);
    add(&f, 0, 0, FLUSH, 0, DATA, 0);
    add(&f, 0, 3, IN, 1, DATA, 512);
    ring_kick(&f.r[0]);
    assert_int_equal(looks, 3);
    expect_none(&f, 0);
    assert_int_equal(virtq_in_flight(&f.v->queue[0]), 0);
    teardown(&f);
}

/* A driver that writes without end leaves time for others: a nanosecond a byte. */
static void much_work_at_once_is_followed_by_a_rest(void **state)
{
    struct fixture f;
    uint64_t saved[STATE_MAX] = {0};
    struct blk *b;
    setup(&f, true, 0, false, &(struct virtio_blk_config){.service = VIRTIO_BLK_AT_ONCE});
    b = f.v->backend;
    b->rests_until_ns = 5000000;
    f.clock.insns = 1000000;
    add(&f, 0, 0, IN, 1, DATA, 512);
    ring_kick(&f.r[0]);
    expect_none(&f, 0);
    assert_int_equal(gw_events_next_deadline(f.q), 5000000);
    state_save(b, f.v->kind->state, saved);
    assert_int_equal(state_load(b, f.v->kind->state, saved), GW_OK);
    gw_events_run(f.q, f.clock.insns); /* to look again: it rests on, until the same time */
    expect_none(&f, 0);
    assert_int_equal(gw_events_next_deadline(f.q), 5000000);
    f.clock.insns = 5000000;
    gw_events_run(f.q, f.clock.insns);
    expect(&f, 0, 0, 0);
    teardown(&f);
}

/* ---- without FLUSH --------------------------------------------------------------------------- */

static unsigned synced;

static int count_syncs(int fd)
{
    synced++;
    return fdatasync(fd);
}

static void a_driver_without_flush_is_told_of_what_is_on_the_disk(void **state)
{
    enum { F_FLUSH = 1 << 9 };
    static const struct {
        bool without, service_at_once;
        uint32_t type;
        unsigned syncs;
    } rows[] = {
        {false, false, OUT, 0}, {true, false, OUT, 1}, {true, true, OUT, 1},
        {true, false, IN, 0},   {true, true, IN, 0},   {true, false, ZEROES, 1},
    };
    for (unsigned i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct fixture f;
        struct virtio_blk_config like = {.service = rows[i].service_at_once ? VIRTIO_BLK_AT_ONCE
                                                                            : VIRTIO_BLK_QUEUED};
        fixture_open_with(&f, true, &like, count_syncs);
        agree_on(f.d, offered_features(f.d) & (rows[i].without ? ~(uint64_t)F_FLUSH : UINT64_MAX));
        ring_init(&f.r[0], &f.bus, f.d, 0, SIZE, true, RINGS);
        vset(f.d, R_STATUS, 15);
        synced = 0;
        memset(ram_at(&f.bus, DATA), 0, 512);
        ram_put(&f.bus, DATA + 8, 1, 4); /* of a range: one sector */
        add(&f, 0, 0, rows[i].type, 3, DATA, rows[i].type == ZEROES ? 16 : 512);
        ring_kick(&f.r[0]);
        settle(&f);
        expect(&f, 0, 0, 0);
        assert_int_equal(synced, rows[i].syncs);
        teardown(&f);
    }
}

static int sync_fails(int fd)
{
    errno = EIO;
    return -1;
}

static void a_write_that_is_not_on_the_disk_has_failed(void **state)
{
    struct fixture f;
    fixture_open_with(&f, true, &(struct virtio_blk_config){.service = VIRTIO_BLK_QUEUED},
                      sync_fails);
    agree_on(f.d, 0);
    ring_init(&f.r[0], &f.bus, f.d, 0, SIZE, false, RINGS);
    vset(f.d, R_STATUS, 15);
    add(&f, 0, 0, OUT, 3, DATA, 512);
    ring_kick(&f.r[0]);
    settle(&f);
    expect(&f, 0, 0, 1);
    teardown(&f);
}

/* ---- what is counted -------------------------------------------------------------------------- */

static void what_costs_is_counted(void **state)
{
    static const struct {
        uint32_t type, sectors, ranges;
        uint64_t bytes, ops; /* that it is charged for */
    } rows[] = {
        {IN, 8, 0, 4096, 1},       {OUT, 8, 0, 4096, 1},        {FLUSH, 0, 0, 0, 1},
        {ZEROES, 8, 1, 4096, 1},   {ZEROES, 8, 3, 3 * 4096, 3}, {DISCARD, 8, 1, 4096, 1},
        {DISCARD, 60, 2, 8192, 2},
    };
    for (unsigned i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct fixture f;
        struct blk *b;
        uint32_t len = rows[i].ranges ? 16 * rows[i].ranges : 512 * rows[i].sectors;
        struct gw_io_limit limit = {.bytes = {.per_s = 1000000000}, .ops = {.per_s = 1000}};
        setup(&f, true, 0, false,
              &(struct virtio_blk_config){.service = VIRTIO_BLK_AT_ONCE, .limit = limit});
        b = f.v->backend;
        memset(ram_at(&f.bus, DATA), 0, 512);
        for (unsigned k = 0; k < rows[i].ranges; k++)
            ram_put(&f.bus, DATA + 16 * k + 8, rows[i].sectors, 4);
        add(&f, 0, 0, rows[i].type, 0, DATA, len);
        ring_kick(&f.r[0]);
        expect(&f, 0, 0, 0);
        assert_int_equal(b->rate.bytes_paid_ns, rows[i].bytes);
        assert_int_equal(b->rate.ops_paid_ns, rows[i].ops * 1000000);
        teardown(&f);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_is_given_up_is_done_anew),
        cmocka_unit_test(what_was_given_up_goes_with_the_state),
        cmocka_unit_test(queues_are_put_back_each_by_itself),
        cmocka_unit_test(a_reset_does_not_wait_for_the_disk),
        cmocka_unit_test(the_bus_knows_of_reads_under_way),
        cmocka_unit_test(work_that_is_done_at_once_is_given_up_when_told),
        cmocka_unit_test(much_work_at_once_is_followed_by_a_rest),
        cmocka_unit_test(a_driver_without_flush_is_told_of_what_is_on_the_disk),
        cmocka_unit_test(a_write_that_is_not_on_the_disk_has_failed),
        cmocka_unit_test(what_costs_is_counted),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
