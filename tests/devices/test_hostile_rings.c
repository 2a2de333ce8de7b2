/* What a hostile driver does to rings, to each kind of device: the device gives chains back or asks
 * for a reset, keeps no memory, and serves a good request afterwards. */
#include <malloc.h>
#include <pthread.h>

#include "tests/devices/any_virtio.h"

enum { BAD_CHAINS = 500000 };

typedef void hostile_fn(struct any *a, bool packed);

static void to_each_kind(hostile_fn *what)
{
    for (unsigned i = 0; i < 2 * ANY_KINDS; i++) {
        struct any a;
        any_open(&a, (enum any_kind)(i / 2), i & 1);
        what(&a, i & 1);
        any_close(&a);
    }
}

/* ---- buffers that are no memory ------------------------------------------------------------- */

static void send_bad_chains(struct any *a, bool packed)
{
    static const uint64_t places[] = {0, ANY_WINDOW + 0x50, RAM_BASE + RAM_SIZE - 4,
                                      UINT64_C(0xffffffffffffff00)};
    struct ring *r = &a->r[any_queue(a)];
    size_t held = mallinfo2().uordblks;
    for (unsigned i = 0; i < BAD_CHAINS; i++) {
        struct buffer b = {.paddr = places[i % 4], .len = 512, .write = i & 4};
        uint32_t len;
        ring_add_direct(r, i % ANY_SIZE, &b, 1);
        ring_kick(r);
        if (ring_take(r, &len) != (int)(i % ANY_SIZE) || len != 0)
            fail();
    }
    assert_int_equal(mallinfo2().uordblks, held);
    assert_int_equal(a->sent + a->peer[0].sent_count, 0);
    any_is_well(a, 3);
}

static void a_million_bad_chains_then_a_good_one(void **state)
{
    to_each_kind(send_bad_chains);
}

/* ---- indirect tables ------------------------------------------------------------------------ */

static void expect_broken(struct any *a, bool packed, uint64_t table, uint32_t len, unsigned flags)
{
    struct ring *r = &a->r[any_queue(a)];
    struct buffer b = {.paddr = table, .len = len};
    ring_add_direct(r, 0, &b, 1);
    ram_put(&a->bus, r->desc + (packed ? 14 : 12), flags | (packed ? 1u << 7 : 0), 2);
    ring_kick(r);
    assert_int_equal(vreg(a->d, R_STATUS), 15 | NEEDS_RESET);
    ring_kick(r); /* stands still */
    assert_int_equal(vreg(a->d, R_STATUS), 15 | NEEDS_RESET);
    any_start(a, packed);
    any_is_well(a, 5);
    any_start(a, packed);
}

static void try_tables(struct any *a, bool packed)
{
    static const uint32_t sizes[] = {0x100010,   0x100001,   0x7ffffff0,
                                     0x80000000, 0xfffffff0, 0xffffffff};
    const uint64_t table = ANY_RINGS + any_queue(a) * ANY_RING_BYTES + 0x2800;
    for (uint32_t len = 0; len < 80; len++) /* not whole entries */
        if (len == 0 || len % 16)
            expect_broken(a, packed, table, len, D_INDIRECT);
    for (unsigned i = 0; i < sizeof sizes / sizeof sizes[0]; i++)
        expect_broken(a, packed, RAM_BASE, sizes[i], D_INDIRECT);
    expect_broken(a, packed, RAM_BASE + RAM_SIZE - 16, 32, D_INDIRECT);
    expect_broken(a, packed, UINT64_MAX - 15, 16, D_INDIRECT);
    expect_broken(a, packed, UINT64_MAX - 15, 32, D_INDIRECT);
    expect_broken(a, packed, ANY_WINDOW, 16, D_INDIRECT);
    expect_broken(a, packed, table, 16, D_INDIRECT | D_NEXT);
}

static void indirect_tables_of_every_bad_size(void **state)
{
    to_each_kind(try_tables);
}

/* 12288 buffers, most of them too many. */
static void send_huge_table(struct any *a, bool packed)
{
    struct ring *r = &a->r[any_queue(a)];
    struct buffer t = {.paddr = RAM_BASE, .len = 0x30000}, b = {.paddr = ANY_DATA, .len = 1};
    unsigned last = t.len / 16 - 1;
    uint32_t len;
    for (unsigned i = 0; i <= last; i++)
        put_desc(r, RAM_BASE + 16 * i, b, packed || i == last ? 0 : D_NEXT, packed ? 0 : i + 1);
    ring_add_direct(r, 0, &t, 1);
    ram_put(&a->bus, r->desc + (packed ? 14 : 12), D_INDIRECT | (packed ? 1u << 7 : 0), 2);
    ring_kick(r);
    assert_int_equal(vreg(a->d, R_STATUS), 15);
    assert_int_equal(ring_take(r, &len), 0);
    assert_int_equal(len, 0);
    any_is_well(a, 7);
}

static void a_table_over_what_a_chain_may_have_is_given_back(void **state)
{
    to_each_kind(send_huge_table);
}

/* ---- rings ---------------------------------------------------------------------------------- */

static void never_reap(struct any *a, bool packed)
{
    struct ring *r = &a->r[any_queue(a)];
    size_t held = mallinfo2().uordblks;
    for (unsigned round = 0; round < 2000; round++) {
        struct buffer b[3];
        uint32_t written;
        unsigned count = any_request(a, b, &written);
        for (unsigned i = 0; i < 3 * ANY_SIZE; i++) {
            ring_add_direct(r, i % ANY_SIZE, b, count);
            if (i % 7 == 0)
                ring_kick(r);
        }
        ring_kick(r);
        if (vreg(a->d, R_STATUS) & NEEDS_RESET)
            any_start(a, packed);
    }
    assert_int_equal(mallinfo2().uordblks, held);
    any_start(a, packed);
    any_is_well(a, 1);
}

static void requests_never_reaped_hold_no_memory(void **state)
{
    to_each_kind(never_reap);
}

/* All three parts of a ring in one place, or each a little beside another. */
static void overlap_rings(struct any *a, bool packed)
{
    for (unsigned i = 0; i < 64; i++) {
        struct buffer b[3];
        uint32_t written;
        uint64_t at = ANY_RINGS + any_queue(a) * ANY_RING_BYTES;
        struct ring *r = &a->r[any_queue(a)];
        any_start(a, packed);
        vset(a->d, R_QUEUE_SEL, any_queue(a));
        vset(a->d, R_READY, 0);
        vset(a->d, R_DESC, (uint32_t)at + 16 * (i & 3));
        vset(a->d, R_AVAIL, (uint32_t)at + 4 * (i >> 2 & 3));
        vset(a->d, R_USED, (uint32_t)at + 4 * (i >> 4 & 3));
        vset(a->d, R_READY, 1);
        r->desc = at + 16 * (i & 3);
        r->avail = at + 4 * (i >> 2 & 3);
        for (unsigned k = 0; k < 40; k++) {
            ring_add_direct(r, k % ANY_SIZE, b, any_request(a, b, &written));
            ring_kick(r);
        }
    }
    any_start(a, packed);
    any_is_well(a, 9);
}

static void rings_that_overlap_are_survived(void **state)
{
    to_each_kind(overlap_rings);
}

/* ---- a second vCPU -------------------------------------------------------------------------- */

struct flipper {
    struct any *a;
    bool stop; /* atomic */
};

/* Changes rings, tables and headers as another vCPU would, racing with the device on purpose. */
__attribute__((no_sanitize("thread", "address"))) static void *flip(void *context)
{
    struct flipper *x = context;
    uint64_t ring = ANY_RINGS + any_queue(x->a) * ANY_RING_BYTES;
    volatile uint32_t *desc = (volatile void *)ram_at(&x->a->bus, ring);
    volatile uint32_t *avail = (volatile void *)ram_at(&x->a->bus, ring + 0x1000);
    volatile uint32_t *header = (volatile void *)ram_at(&x->a->bus, ANY_HEADER);
    uint64_t rng = 1;
    while (!__atomic_load_n(&x->stop, __ATOMIC_RELAXED)) {
        rng = rng * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
        uint32_t r = (uint32_t)(rng >> 33), odd = r & 8 ? UINT32_MAX - (r >> 24) : r >> 27;
        if ((r & 7) == 0)
            avail[r >> 8 & 7] = odd;
        else if (r & 1)
            desc[r >> 8 & 31] = r & 16 ? odd : (uint32_t)ANY_HEADER + (r >> 20);
        else
            header[r >> 8 & 3] = odd;
    }
    return NULL;
}

static void race(struct any *a, bool packed)
{
    struct flipper x = {.a = a};
    struct ring *r = &a->r[any_queue(a)];
    pthread_t t;
    assert_int_equal(pthread_create(&t, NULL, flip, &x), 0);
    for (unsigned i = 0; i < 20000; i++) {
        struct buffer b[3];
        uint32_t written;
        unsigned count = any_request(a, b, &written);
        if (i % 2)
            ring_add_table(r, i % 4, b, count);
        else
            ring_add_direct(r, i % 4, b, count);
        ring_kick(r);
        gw_events_run(a->q, i);
        if (vreg(a->d, R_STATUS) & NEEDS_RESET)
            any_start(a, packed);
    }
    __atomic_store_n(&x.stop, true, __ATOMIC_RELAXED);
    pthread_join(t, NULL);
    any_start(a, packed);
    any_is_well(a, 2);
}

static void rings_rewritten_by_another_vcpu_are_survived(void **state)
{
    to_each_kind(race);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_million_bad_chains_then_a_good_one),
        cmocka_unit_test(indirect_tables_of_every_bad_size),
        cmocka_unit_test(a_table_over_what_a_chain_may_have_is_given_back),
        cmocka_unit_test(requests_never_reaped_hold_no_memory),
        cmocka_unit_test(rings_that_overlap_are_survived),
        cmocka_unit_test(rings_rewritten_by_another_vcpu_are_survived),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
