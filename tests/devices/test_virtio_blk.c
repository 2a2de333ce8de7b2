/* virtio-mmio and virtio-blk, by a driver that is well-behaved and by one that is not. */
#include <semaphore.h>

#include "tests/devices/blk_fixture.h"

enum { QUEUE = 16 };
#define DESC   RAM_BASE
#define AVAIL  (RAM_BASE + 0x1000)
#define USED   (RAM_BASE + 0x2000)
#define HEADER (RAM_BASE + 0x3000)
#define STATUS (RAM_BASE + 0x3100)
#define TABLE  (RAM_BASE + 0x4000)
#define DATA   (RAM_BASE + 0x8000)

static void put(struct fixture *f, uint64_t paddr, uint64_t v, unsigned size)
{
    ram_put(&f->bus, paddr, v, size);
}

static uint64_t get(struct fixture *f, uint64_t paddr, unsigned size)
{
    return ram_get(&f->bus, paddr, size);
}

static uint32_t reg(struct fixture *f, unsigned r)
{
    return vreg(f->d, r);
}

static void set(struct fixture *f, unsigned r, uint32_t v)
{
    vset(f->d, r, v);
}

static void negotiate(struct fixture *f)
{
    set(f, R_STATUS, 0);
    set(f, R_STATUS, 1);
    set(f, R_STATUS, 3);
    set(f, R_DRIVER_SEL, 1);
    set(f, R_DRIVER, 1); /* VERSION_1 */
    set(f, R_STATUS, 11);
    assert_int_equal(reg(f, R_STATUS), 11);
    set(f, R_QUEUE_SEL, 0);
    assert_int_equal(reg(f, R_QUEUE_MAX), VIRTQ_MAX_SIZE);
    set(f, R_QUEUE_SIZE, QUEUE);
    set(f, R_DESC, (uint32_t)DESC);
    set(f, R_AVAIL, (uint32_t)AVAIL);
    set(f, R_USED, (uint32_t)USED);
    set(f, R_READY, 1);
    assert_int_equal(reg(f, R_READY), 1);
    set(f, R_STATUS, 15);
    f->avail = f->used = 0;
    memset(ram_at(&f->bus, AVAIL), 0, 0x2000);
}

static void setup(struct fixture *f, bool read_only)
{
    fixture_open(f, false,
                 &(struct virtio_blk_config){.read_only = read_only,
                                             .serial = "serial-number",
                                             .service = VIRTIO_BLK_QUEUED});
    negotiate(f);
}

static void desc_at(struct fixture *f, uint64_t at, uint64_t addr, uint32_t len, unsigned flags,
                    unsigned next)
{
    put(f, at, addr, 8);
    put(f, at + 8, len, 4);
    put(f, at + 12, flags, 2);
    put(f, at + 14, next, 2);
}

static void desc(struct fixture *f, unsigned i, uint64_t addr, uint32_t len, unsigned flags,
                 unsigned next)
{
    desc_at(f, DESC + 16 * i, addr, len, flags, next);
}

static void header(struct fixture *f, uint32_t type, uint64_t sector)
{
    put(f, HEADER, type, 4);
    put(f, HEADER + 4, 0, 4);
    put(f, HEADER + 8, sector, 8);
    put(f, STATUS, 0xee, 1);
}

/* The usual three descriptors. */
static void request(struct fixture *f, uint32_t type, uint64_t sector, uint64_t data, uint32_t len)
{
    header(f, type, sector);
    desc(f, 0, HEADER, 16, D_NEXT, 1);
    desc(f, 1, data, len, D_NEXT | (type == 1 ? 0 : D_WRITE), 2);
    desc(f, 2, STATUS, 1, D_WRITE, 0);
}

static void make_available(struct fixture *f, unsigned head)
{
    put(f, AVAIL + 4 + 2 * (f->avail % QUEUE), head, 2);
    put(f, AVAIL + 2, ++f->avail, 2);
}

static void finish(struct fixture *f)
{
    dev_io_drain(f->io);
    gw_events_run(f->q, 0);
}

static void kick(struct fixture *f)
{
    set(f, R_NOTIFY, 0);
    finish(f);
}

/* One used entry, with this head; returns its length. */
static uint32_t take_used(struct fixture *f, unsigned head)
{
    uint64_t at = USED + 4 + 8 * (f->used % QUEUE);
    f->used++;
    assert_int_equal(get(f, USED + 2, 2), f->used);
    assert_int_equal(get(f, at, 4), head);
    return (uint32_t)get(f, at + 4, 4);
}

static unsigned status_of(struct fixture *f, uint32_t type, uint64_t sector, uint64_t data,
                          uint32_t len)
{
    request(f, type, sector, data, len);
    make_available(f, 0);
    kick(f);
    take_used(f, 0);
    return (unsigned)get(f, STATUS, 1);
}

static void reads_and_writes(void **state)
{
    struct fixture f;
    setup(&f, false);
    request(&f, 0, 3, DATA, 1024);
    make_available(&f, 0);
    kick(&f);
    assert_int_equal(take_used(&f, 0), 1025);
    assert_int_equal(get(&f, STATUS, 1), 0);
    assert_int_equal(get(&f, DATA, 1), 4);
    assert_int_equal(get(&f, DATA + 1023, 1), 5);
    assert_int_equal(f.line.level, 1);
    assert_int_equal(reg(&f, R_INT), 1);
    set(&f, R_ACK, 1);
    assert_int_equal(f.line.level, 0);
    memset(ram_at(&f.bus, DATA), 0x5a, 512);
    assert_int_equal(status_of(&f, 1, 7, DATA, 512), 0);
    memset(ram_at(&f.bus, DATA), 0, 512);
    assert_int_equal(status_of(&f, 0, 7, DATA, 512), 0);
    assert_int_equal(get(&f, DATA + 511, 1), 0x5a);
    assert_int_equal(virtio_blk_stats(f.v)->reads, 2);
    assert_int_equal(virtio_blk_stats(f.v)->write_bytes, 512);
    teardown(&f);
}

static void configuration_and_identity(void **state)
{
    struct fixture f;
    setup(&f, true);
    assert_int_equal(reg(&f, 0), 0x74726976);
    assert_int_equal(reg(&f, 4), 2);
    assert_int_equal(reg(&f, R_ID), 2);
    assert_int_equal(reg_read(f.d, 0x100, 8), SECTORS);
    assert_int_equal(reg_read(f.d, 0x114, 4), 512);
    assert_int_equal(reg_read(f.d, 0x10c, 4), VIRTQ_MAX_SEGS - 2);
    assert_int_equal(reg_read(f.d, 0xffc, 4), 0);
    set(&f, R_FEATURES_SEL, 0);
    assert_int_equal(reg(&f, R_FEATURES) & 0x20, 0x20); /* read-only */
    set(&f, R_FEATURES_SEL, 1);
    assert_int_equal(reg(&f, R_FEATURES), 5); /* VERSION_1, RING_PACKED */
    set(&f, R_FEATURES_SEL, 2);
    assert_int_equal(reg(&f, R_FEATURES), 0);
    assert_int_equal(status_of(&f, 8, 0, DATA, 20), 0);
    assert_string_equal((char *)ram_at(&f.bus, DATA), "serial-number");
    assert_int_equal(status_of(&f, 1, 0, DATA, 512), 1);
    teardown(&f);
}

static void bad_requests_fail_and_are_given_back(void **state)
{
    struct fixture f;
    setup(&f, false);
    assert_int_equal(status_of(&f, 77, 0, DATA, 512), 2);
    assert_int_equal(status_of(&f, 0, 0, DATA, 511), 1);
    assert_int_equal(status_of(&f, 0, SECTORS, DATA, 512), 1);
    assert_int_equal(status_of(&f, 0, SECTORS - 1, DATA, 1024), 1);
    assert_int_equal(status_of(&f, 0, UINT64_MAX, DATA, 512), 1);
    assert_int_equal(status_of(&f, 0, UINT64_MAX / 512 + 1, DATA, 512), 1); /* wraps if scaled */
    assert_int_equal(status_of(&f, 0, 0, UINT64_C(0xffffffffffffff00), 512), 1);
    assert_int_equal(status_of(&f, 0, 0, RAM_BASE + RAM_SIZE - 256, 512), 1);
    assert_int_equal(status_of(&f, 0, 0, 0x10001000, 512), 1); /* the device's own registers */
    assert_int_equal(status_of(&f, 0, 0, DATA, 0xfffffe00), 1);
    assert_int_equal(status_of(&f, 0, SECTORS - 1, DATA, 512), 0);
    assert_int_equal(reg(&f, R_STATUS), 15);
    teardown(&f);
}

static void shapes_of_chains(void **state)
{
    struct fixture f;
    setup(&f, false);
    /* header in two pieces, data in three, one of them empty, status with the data */
    header(&f, 0, 1);
    desc(&f, 5, HEADER, 7, D_NEXT, 3);
    desc(&f, 3, HEADER + 7, 9, D_NEXT, 9);
    desc(&f, 9, DATA, 100, D_NEXT | D_WRITE, 1);
    desc(&f, 1, DATA + 200, 0, D_NEXT | D_WRITE, 2);
    desc(&f, 2, DATA + 100, 413, D_WRITE, 0);
    put(&f, DATA + 512, 0xee, 1);
    make_available(&f, 5);
    kick(&f);
    assert_int_equal(take_used(&f, 5), 513);
    assert_int_equal(get(&f, DATA + 512, 1), 0);
    assert_int_equal(get(&f, DATA + 511, 1), 2);
    /* the same by an indirect table */
    header(&f, 0, 4);
    desc_at(&f, TABLE, HEADER, 16, D_NEXT, 2);
    desc_at(&f, TABLE + 32, DATA, 512, D_NEXT | D_WRITE, 1);
    desc_at(&f, TABLE + 16, STATUS, 1, D_WRITE, 0);
    desc(&f, 0, TABLE, 48, D_INDIRECT, 0);
    make_available(&f, 0);
    kick(&f);
    assert_int_equal(take_used(&f, 0), 513);
    assert_int_equal(get(&f, DATA, 1), 5);
    /* a short header; no place for a status */
    desc(&f, 0, HEADER, 15, D_NEXT, 1);
    desc(&f, 1, STATUS, 1, D_WRITE, 0);
    make_available(&f, 0);
    kick(&f);
    take_used(&f, 0);
    assert_int_equal(get(&f, STATUS, 1), 1);
    desc(&f, 0, HEADER, 16, 0, 0);
    make_available(&f, 0);
    kick(&f);
    assert_int_equal(take_used(&f, 0), 0);
    assert_int_equal(status_of(&f, 0, 0, DATA, 512), 0);
    teardown(&f);
}

static void broken(struct fixture *f, unsigned head)
{
    make_available(f, head);
    kick(f);
    assert_int_equal(reg(f, R_STATUS) & 64, 64);
    assert_int_equal(reg(f, R_INT) & 2, 2);
    assert_int_equal(get(f, USED + 2, 2), f->used);
    set(f, R_NOTIFY, 0); /* and stays down */
    negotiate(f);
    assert_int_equal(f->line.level, 0);
    assert_int_equal(status_of(f, 0, 0, DATA, 512), 0);
}

static void broken_rings_ask_for_a_reset(void **state)
{
    struct fixture f;
    setup(&f, false);
    desc(&f, 0, DATA, 16, D_NEXT, 0); /* a circle of one */
    broken(&f, 0);
    desc(&f, 0, DATA, 16, D_NEXT, 1);
    desc(&f, 1, DATA, 16, D_NEXT, 0); /* of two */
    broken(&f, 0);
    broken(&f, QUEUE); /* no such descriptor */
    desc(&f, 0, DATA, 16, D_NEXT, QUEUE);
    broken(&f, 0);
    desc(&f, 0, DATA, 16, D_NEXT | D_WRITE, 1); /* readable after writable */
    desc(&f, 1, HEADER, 16, 0, 0);
    broken(&f, 0);
    static const uint32_t lengths[] = {0, 15, 17, 0xfffffff0};
    for (unsigned i = 0; i < 4; i++) {
        desc(&f, 0, TABLE, lengths[i], D_INDIRECT, 0);
        broken(&f, 0);
    }
    desc(&f, 0, TABLE, 16, D_INDIRECT | D_NEXT, 1);
    broken(&f, 0);
    desc_at(&f, TABLE, TABLE, 16, D_INDIRECT, 0); /* nested */
    desc(&f, 0, TABLE, 16, D_INDIRECT, 0);
    broken(&f, 0);
    desc_at(&f, TABLE, DATA, 16, D_NEXT, 0); /* a circle within */
    desc(&f, 0, TABLE, 16, D_INDIRECT, 0);
    broken(&f, 0);
    desc(&f, 0, RAM_BASE + RAM_SIZE, 16, D_INDIRECT, 0);
    broken(&f, 0);
    f.avail = (uint16_t)(f.avail + QUEUE); /* more than the ring can hold */
    broken(&f, 0);
    teardown(&f);
}

static void table_of_65536_entries(void **state)
{
    struct fixture f;
    uint64_t table = RAM_BASE; /* all of the memory that there is, whatever lies in it */
    setup(&f, false);
    desc(&f, 0, table, 65536 * 16, D_INDIRECT, 0);
    make_available(&f, 0);
    kick(&f);
    assert_int_equal(reg(&f, R_STATUS) & 64, 64); /* its first entry is itself: nested */
    teardown(&f);
}

static void long_chains_are_refused_not_broken(void **state)
{
    struct fixture f;
    unsigned n = VIRTQ_MAX_SEGS + 40;
    setup(&f, false);
    header(&f, 0, 0);
    for (unsigned i = 0; i < n; i++)
        desc_at(&f, TABLE + 16 * i, i ? DATA : HEADER, 16, D_NEXT | (i ? D_WRITE : 0), i + 1);
    desc_at(&f, TABLE + 16 * n, STATUS, 1, D_WRITE, 0);
    desc(&f, 0, TABLE, (n + 1) * 16, D_INDIRECT, 0);
    make_available(&f, 0);
    kick(&f);
    take_used(&f, 0);
    assert_int_equal(reg(&f, R_STATUS), 15);
    assert_int_equal(status_of(&f, 0, 0, DATA, 512), 0);
    teardown(&f);
}

static void many_bad_chains_leak_nothing(void **state)
{
    struct fixture f;
    setup(&f, false);
    for (unsigned i = 0; i < 100000; i++) {
        request(&f, 0, 0, 0, 512); /* no RAM at 0 */
        make_available(&f, 0);
        set(&f, R_NOTIFY, 0);
        take_used(&f, 0);
    }
    assert_int_equal(virtio_blk_stats(f.v)->errors, 100000);
    assert_int_equal(status_of(&f, 0, 0, DATA, 512), 0);
    teardown(&f);
}

static void registers_are_fixed_while_ready(void **state)
{
    struct fixture f;
    setup(&f, false);
    set(&f, R_QUEUE_SIZE, 4);
    set(&f, R_DESC, 0);
    set(&f, R_DESC + 4, 0xffffffff);
    set(&f, R_AVAIL, 3);
    set(&f, R_USED, 0);
    assert_int_equal(status_of(&f, 0, 0, DATA, 512), 0);
    set(&f, R_READY, 0);
    set(&f, R_QUEUE_SIZE, 7); /* not a power of two */
    set(&f, R_READY, 1);
    assert_int_equal(reg(&f, R_READY), 0);
    assert_int_equal(reg(&f, R_STATUS) & 64, 64);
    negotiate(&f);
    set(&f, R_QUEUE_SEL, 1); /* there is none */
    set(&f, R_READY, 1);
    assert_int_equal(reg(&f, R_READY), 0);
    assert_int_equal(reg(&f, R_QUEUE_MAX), 0);
    set(&f, R_QUEUE_SEL, 0xffffffff);
    set(&f, R_DESC, 1);
    set(&f, R_NOTIFY, 0xffffffff);
    assert_int_equal(status_of(&f, 0, 0, DATA, 512), 0);
    teardown(&f);
}

static void features_must_be_a_subset(void **state)
{
    struct fixture f;
    setup(&f, false);
    set(&f, R_STATUS, 0);
    set(&f, R_STATUS, 3);
    set(&f, R_STATUS, 11); /* without VERSION_1 */
    assert_int_equal(reg(&f, R_STATUS), 3);
    set(&f, R_DRIVER_SEL, 1);
    set(&f, R_DRIVER, 3); /* a feature that was not offered */
    set(&f, R_STATUS, 11);
    assert_int_equal(reg(&f, R_STATUS), 3);
    set(&f, R_STATUS, 7); /* DRIVER_OK before FEATURES_OK */
    assert_int_equal(reg(&f, R_STATUS), 3);
    negotiate(&f);
    assert_int_equal(status_of(&f, 0, 0, DATA, 512), 0);
    teardown(&f);
}

/* A driver that never takes anything back, and one request more than fits. */
static void in_flight_is_bounded_and_all_complete(void **state)
{
    struct fixture f;
    setup(&f, false);
    for (unsigned round = 0; round < 20; round++) {
        request(&f, 0, round, DATA, 512);
        for (unsigned i = 0; i < QUEUE; i++)
            make_available(&f, 0);
        set(&f, R_NOTIFY, 0);
        for (unsigned i = 0; i < 4; i++)
            finish(&f);
        f.used = (uint16_t)(f.used + QUEUE);
        assert_int_equal(get(&f, USED + 2, 2), f.used);
    }
    teardown(&f);
}

static void reset_forgets_requests_in_flight(void **state)
{
    struct fixture f;
    setup(&f, false);
    request(&f, 0, 0, DATA, 512);
    make_available(&f, 0);
    set(&f, R_NOTIFY, 0);
    set(&f, R_STATUS, 0);
    gw_events_run(f.q, 0);
    assert_int_equal(get(&f, USED + 2, 2), 0);
    assert_int_equal(f.line.level, 0);
    negotiate(&f);
    assert_int_equal(status_of(&f, 0, 1, DATA, 512), 0);
    assert_int_equal(get(&f, DATA, 1), 2);
    teardown(&f);
}

struct gate {
    struct dev_io_job job;
    sem_t open;
};

static void wait_at_gate(struct dev_io_job *job)
{
    sem_wait(&((struct gate *)(void *)job)->open);
}

/* An event of before the reset finds its request's place taken by a new one. */
static void late_event_does_not_finish_a_new_request(void **state)
{
    struct fixture f;
    struct gate gate = {.job.run = wait_at_gate};
    setup(&f, false);
    sem_init(&gate.open, 0, 0);
    request(&f, 0, 0, DATA, 512);
    make_available(&f, 0);
    set(&f, R_NOTIFY, 0);
    dev_io_drain(f.io); /* done and posted, but not delivered */
    negotiate(&f);
    dev_io_submit(f.io, &gate.job);
    request(&f, 0, 9, DATA, 512);
    make_available(&f, 0);
    set(&f, R_NOTIFY, 0);
    gw_events_run(f.q, 0);
    assert_int_equal(get(&f, USED + 2, 2), 0);
    sem_post(&gate.open);
    finish(&f);
    assert_int_equal(take_used(&f, 0), 513);
    assert_int_equal(get(&f, DATA, 1), 10);
    sem_destroy(&gate.open);
    teardown(&f);
}

static void quiesce_finishes_requests(void **state)
{
    struct fixture f;
    setup(&f, false);
    request(&f, 0, 5, DATA, 512);
    make_available(&f, 0);
    set(&f, R_NOTIFY, 0);
    virtio_mmio_class.quiesce(f.d);
    assert_int_equal(take_used(&f, 0), 513);
    assert_int_equal(get(&f, DATA, 1), 6);
    gw_events_run(f.q, 0); /* the late event finds nothing to do */
    assert_int_equal(get(&f, USED + 2, 2), 1);
    teardown(&f);
}

static void driver_can_do_without_interrupts(void **state)
{
    struct fixture f;
    setup(&f, false);
    put(&f, AVAIL, 1, 2);
    assert_int_equal(status_of(&f, 0, 0, DATA, 512), 0);
    assert_int_equal(f.line.changes, 0);
    teardown(&f);
}

static unsigned told;
static void ram_written(void *engine, uint64_t paddr, uint64_t size)
{
    told += paddr == DATA;
}

static void reading_into_code_tells_the_translator(void **state)
{
    struct fixture f;
    setup(&f, false);
    f.bus.bus.ram_written = ram_written;
    assert_int_equal(status_of(&f, 0, 0, DATA, 512), 0);
    assert_int_equal(told, 0);
    f.bus.ram[0].page_flags[(DATA - RAM_BASE) / 4096] = GW_RAM_CODE;
    assert_int_equal(status_of(&f, 0, 0, DATA, 512), 0);
    assert_int_equal(told, 1);
    assert_int_equal(status_of(&f, 1, 0, DATA, 512), 0); /* writing the disk only reads */
    assert_int_equal(told, 1);
    teardown(&f);
}

static void empty_slot_is_a_placeholder(void **state)
{
    struct gw_device *d = dev_new(&virtio_mmio_class, NULL, NULL);
    assert_int_equal(reg_read(d, 0, 4), 0x74726976);
    assert_int_equal(reg_read(d, R_ID, 4), 0);
    for (unsigned r = 0; r < 0x200; r += 4) {
        reg_write(d, r, 4, 0xffffffff);
        reg_read(d, r, 4);
    }
    dev_free(d);
}

/* Random rings and registers: nothing may crash, hang or leave memory. */
static void random_rings(void **state)
{
    struct fixture f;
    uint64_t rng = 42;
    setup(&f, false);
    for (unsigned i = 0; i < 20000; i++) {
        uint64_t r;
        rng = rng * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
        r = rng >> 16;
        switch (r % 8) {
        case 0: put(&f, DESC + (r >> 8) % 256, r >> 20, 8); break;
        case 1: put(&f, AVAIL + (r >> 8) % 36, r >> 20, 2); break;
        case 2: put(&f, TABLE + (r >> 8) % 256, r >> 20, 4); break;
        case 3:
            desc(&f, (r >> 8) % QUEUE, (r & 0x1000 ? TABLE : HEADER) + (r >> 20) % 64,
                 (r >> 16) % 600, (r >> 32) % 8, (r >> 40) % QUEUE);
            break;
        case 4: header(&f, (r >> 8) % 10, (r >> 16) % (SECTORS + 2)); break;
        case 5: make_available(&f, (r >> 8) % QUEUE); break;
        case 6: set(&f, R_NOTIFY, 0); break;
        default:
            if (r & 0xff00)
                break;
            set(&f, (r >> 16) % 0x100 & ~3u, (uint32_t)(r >> 24));
            if (!virtio_running(f.v) || !reg(&f, R_READY))
                negotiate(&f);
        }
        gw_events_run(f.q, 0);
        if (reg(&f, R_STATUS) & 64)
            negotiate(&f);
    }
    negotiate(&f);
    assert_int_equal(status_of(&f, 0, 0, DATA, 512), 0);
    teardown(&f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(reads_and_writes),
        cmocka_unit_test(configuration_and_identity),
        cmocka_unit_test(bad_requests_fail_and_are_given_back),
        cmocka_unit_test(shapes_of_chains),
        cmocka_unit_test(broken_rings_ask_for_a_reset),
        cmocka_unit_test(table_of_65536_entries),
        cmocka_unit_test(long_chains_are_refused_not_broken),
        cmocka_unit_test(many_bad_chains_leak_nothing),
        cmocka_unit_test(registers_are_fixed_while_ready),
        cmocka_unit_test(features_must_be_a_subset),
        cmocka_unit_test(in_flight_is_bounded_and_all_complete),
        cmocka_unit_test(reset_forgets_requests_in_flight),
        cmocka_unit_test(late_event_does_not_finish_a_new_request),
        cmocka_unit_test(quiesce_finishes_requests),
        cmocka_unit_test(driver_can_do_without_interrupts),
        cmocka_unit_test(reading_into_code_tells_the_translator),
        cmocka_unit_test(empty_slot_is_a_placeholder),
        cmocka_unit_test(random_rings),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
