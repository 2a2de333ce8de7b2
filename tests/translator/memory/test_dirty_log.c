/* The log of written pages, with programs of a few instructions: each way to write memory puts just the
 * pages into it that it writes, whatever the page maps held before. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "frontend/riscv64/priv.h"
#include "godwit/device.h"
#include "godwit/dirty.h"
#include "translator/memory/page_map.h"
#include "tests/translator/run/world.h"

#define COUNT(a)     (sizeof(a) / sizeof((a)[0]))
#define CODE         W_RAM
#define TRAP         (W_RAM + 0x10000)
#define DATA         (W_RAM + 0x20000)
#define PAGES        (W_RAM_BYTES / GW_PAGE_SIZE)
#define PAGE_OF(at)  (((at)-W_RAM) >> GW_PAGE_SHIFT)
#define UPPER        UINT64_C(0xffffffc000000000)
#define STORE_TO(at) i_sd(A1, at, 0)

static void each_way(void (*test)(struct world *))
{
    for (unsigned i = 0; i < world_way_count; i++) {
        static struct world w;
        static const uint32_t handler[] = {I_WFI, 0xffdff06f /* j .-4 */};
        world_open(&w, &world_ways[i]);
        world_code(&w, TRAP, handler, COUNT(handler));
        w.cpu->c.mtvec = TRAP;
        w.cpu->c.mstatus |= RV_MSTATUS_FS;
        test(&w);
        world_close(&w);
    }
}

/* ---- the log -------------------------------------------------------------------------------- */

static struct gw_dirty *log_of(const struct world *w)
{
    return engine_world_dirty(engine_world_of(w->engine));
}

static void start(struct world *w)
{
    struct gw_error err;
    world_expect(w, "start", log_of(w)->ops->start(log_of(w), &err), GW_OK);
}

static void stop(struct world *w)
{
    log_of(w)->ops->stop(log_of(w));
}

struct set {
    uint64_t bits[PAGES / 64];
};

static void add(struct set *s, uint64_t page)
{
    s->bits[page / 64] |= UINT64_C(1) << page % 64;
}

/* Collects, and wants these pages. */
static void collect(struct world *w, const char *what, const struct set *want)
{
    struct set got = {0};
    uint64_t count = 0, n = log_of(w)->ops->collect(log_of(w), got.bits);
    for (unsigned i = 0; i < COUNT(got.bits); i++) {
        count += (unsigned)__builtin_popcountll(want->bits[i]);
        if (got.bits[i] != want->bits[i])
            fail_msg("%s: %s: pages %u.. are %#llx, should be %#llx", w->way->name, what, i * 64,
                     (unsigned long long)got.bits[i], (unsigned long long)want->bits[i]);
    }
    world_expect(w, what, n, count);
}

static void collect_none(struct world *w, const char *what)
{
    collect(w, what, &(struct set){0});
}

static void collect_one(struct world *w, const char *what, uint64_t paddr)
{
    struct set want = {0};
    add(&want, PAGE_OF(paddr));
    collect(w, what, &want);
}

/* ---- programs ------------------------------------------------------------------------------- */

static void run_at(struct world *w, uint64_t pc)
{
    w->cpu->run.pc = pc;
    w->cpu->c.halted = 0;
    world_expect(w, "stop", engine_run(w->engine, 1000000, false), ENGINE_WAIT);
}

/* Puts WFI behind the program. */
static void put(struct world *w, uint64_t at, const uint32_t *words, unsigned count)
{
    const uint32_t wfi = I_WFI;
    world_code(w, at, words, count);
    world_code(w, at + 4 * (uint64_t)count, &wfi, 1);
}

static uint32_t i_cbo(unsigned kind, unsigned base)
{
    return i_i(0x0f, 2, X0, base, (int)kind);
}

static uint32_t i_fstore(unsigned f3, unsigned base)
{
    return (i_store(f3, 0, base, 0) & ~UINT32_C(0x7f)) | 0x27;
}

static uint32_t i_amo_of(unsigned f5, unsigned f3, unsigned rd, unsigned rs1, unsigned rs2)
{
    return (i_amo(f5, true, rd, rs1, rs2) & ~UINT32_C(0x7000)) | f3 << 12;
}

enum { T3 = 28, AMOADD = 0, AMOSWAP = 1, LR = 2, SC = 3, AMOCAS = 5, CBO_CLEAN = 1, CBO_ZERO = 4 };

/* With A0 at DATA and A2 some pages behind; writes the first pages of DATA. */
struct way_to_write {
    const char *name;
    unsigned pages, offset; /* of A0 in its page */
    uint32_t code[5];
};

static unsigned ways_to_write(struct way_to_write *way)
{
    const struct way_to_write ways[] = {
        {"sb", 1, 0, {i_store(0, A1, A0, 7)}},
        {"sh", 1, 0, {i_store(1, A1, A0, 8)}},
        {"sw", 1, 0, {i_store(2, A1, A0, 4)}},
        {"sd", 1, 0, {i_sd(A1, A0, 16)}},
        {"misaligned", 1, 1, {i_sd(A1, A0, 16)}},
        {"the last byte", 1, 4095, {i_store(0, A1, A0, 0)}},
        {"across pages", 2, 4093, {i_sd(A1, A0, 0)}},
        {"two by one site", 1, 0, {i_ld(A3, A0, 0), i_sd(A1, A0, 8), i_sd(A1, A0, 24)}},
        {"fsw", 1, 0, {i_fstore(2, A0)}},
        {"fsd", 1, 0, {i_fstore(3, A0)}},
        {"amoadd.w", 1, 0, {i_amo(AMOADD, false, A3, A0, A1)}},
        {"amoswap.d", 1, 8, {i_amo(AMOSWAP, true, A3, A0, A1)}},
        {"amoadd.b", 1, 3, {i_amo_of(AMOADD, 0, A3, A0, A1)}},
        {"amocas.d", 1, 8, {i_amo(AMOCAS, true, A3, A0, A1)}},
        {"amocas.q", 1, 16, {i_amo_of(AMOCAS, 4, T3, A0, A2)}},
        {"constrained sc",
         1,
         8,
         {i_amo(LR, true, T0, A0, X0), i_addi(T0, T0, 1), i_amo(SC, true, T1, A0, T0)}},
        {"sc", 1, 8, {i_amo(LR, true, T0, A0, X0), i_ld(T2, A2, 0), i_amo(SC, true, T1, A0, T0)}},
        {"cbo.zero", 1, 64, {i_cbo(CBO_ZERO, A0)}},
        {"loads", 0, 0, {i_ld(A3, A0, 0), i_ld(A4, A2, 0)}},
        {"loads across pages", 0, 4093, {i_ld(A3, A0, 0)}},
        {"lr", 0, 8, {i_amo(LR, true, T0, A0, X0)}},
        {"sc that fails", 0, 8, {i_amo(SC, true, T1, A0, T0)}},
        {"cbo.clean", 0, 0, {i_cbo(CBO_CLEAN, A0)}},
    };
    memcpy(way, ways, sizeof ways);
    return COUNT(ways);
}

static void write_by(struct world *w, const struct way_to_write *way, uint64_t at)
{
    unsigned count = 0;
    struct set want = {0};
    while (count < COUNT(way->code) && way->code[count])
        count++;
    put(w, CODE, way->code, count);
    w->cpu->x[A1] = 0x0123456789abcdef;
    start(w);
    for (unsigned i = 0; i < way->pages; i++)
        add(&want, PAGE_OF(at) + i);
    for (unsigned round = 0; round < 3; round++) {
        w->cpu->x[A0] = at + way->offset;
        w->cpu->x[A2] = at + 7 * (uint64_t)GW_PAGE_SIZE;
        run_at(w, CODE);
        collect(w, way->name, &want);
        collect_none(w, way->name);
    }
    stop(w);
    run_at(w, CODE);
}

static void each_writes(struct world *w)
{
    struct way_to_write ways[32];
    unsigned count = ways_to_write(ways);
    for (unsigned i = 0; i < count; i++) {
        write_by(w, &ways[i], DATA + i * UINT64_C(0x8000)); /* where nothing was before */
        write_by(w, &ways[i], DATA);                        /* where everything was */
    }
}

static void each_way_to_write_logs_the_pages_that_it_writes(void **state)
{
    each_way(each_writes);
}

/* ---- what it costs -------------------------------------------------------------------------- */

enum { STORES = 100, MANY = 700 };

/* Stores to STORES words behind A0. */
static void put_stores(struct world *w)
{
    const uint32_t loop[] = {i_addi(A2, X0, STORES), STORE_TO(A0), i_addi(A0, A0, 8),
                             i_addi(A2, A2, -1), i_branch(1, A2, X0, -12)};
    put(w, CODE, loop, COUNT(loop));
}

static uint64_t slow_stores(struct world *w)
{
    uint64_t before = engine_stats(w->engine)->slow_stores;
    w->cpu->x[A0] = DATA;
    run_at(w, CODE);
    return engine_stats(w->engine)->slow_stores - before;
}

static void store_much(struct world *w)
{
    put_stores(w);
    slow_stores(w);
    world_expect(w, "without a log, calls", slow_stores(w), 0);
    start(w);
    for (unsigned i = 0; i < 3; i++) {
        world_expect(w, "first, calls", slow_stores(w), 1);
        world_expect(w, "then, calls", slow_stores(w), 0);
        collect_one(w, "stores", DATA);
    }
    stop(w);
    slow_stores(w);
    world_expect(w, "after it, calls", slow_stores(w), 0);
}

static void only_the_first_store_to_a_page_leaves_generated_code(void **state)
{
    each_way(store_much);
}

/* A2 pages from A0 on. */
static void put_sweep(struct world *w)
{
    const uint32_t loop[] = {i_lui(A3, GW_PAGE_SIZE), STORE_TO(A0), i_add(A0, A0, A3),
                             i_addi(A2, A2, -1), i_branch(1, A2, X0, -12)};
    put(w, CODE, loop, COUNT(loop));
}

static void sweep(struct world *w, unsigned pages)
{
    w->cpu->x[A0] = DATA;
    w->cpu->x[A2] = pages;
    run_at(w, CODE);
}

/* Few lose their entries one by one, many all at once. */
static void store_to_few_and_many(struct world *w)
{
    static const unsigned counts[] = {1, 3, MANY, 2, MANY, MANY, 1};
    put_sweep(w);
    sweep(w, MANY);
    start(w);
    for (unsigned i = 0; i < COUNT(counts); i++) {
        struct set want = {0};
        for (unsigned k = 0; k < counts[i]; k++)
            add(&want, PAGE_OF(DATA) + k);
        sweep(w, counts[i]);
        sweep(w, counts[i]);
        collect(w, "swept", &want);
    }
}

static void few_pages_and_many_are_collected_alike(void **state)
{
    each_way(store_to_few_and_many);
}

static void collect_often(struct world *w)
{
    put_sweep(w);
    start(w);
    sweep(w, 3);
    uint32_t nodes = w->engine->maps->rmap.nodes.count;
    for (unsigned i = 0; i < 1000; i++) {
        collect(w, "swept",
                &(struct set){.bits = {[PAGE_OF(DATA) / 64] = UINT64_C(7) << PAGE_OF(DATA) % 64}});
        sweep(w, 3);
    }
    world_expect(w, "nodes of reverse lists", w->engine->maps->rmap.nodes.count, nodes);
}

static void collecting_often_takes_no_more_memory(void **state)
{
    each_way(collect_often);
}

/* ---- what the maps held before -------------------------------------------------------------- */

static void enter_space(struct world *w, uint64_t root, unsigned asid)
{
    world_satp(w, root, 3, asid);
    w->cpu->c.priv = RV_PRIV_S;
}

/* Two spaces with the code, a page of their own each, and a global one in the upper half. */
static void store_in_spaces(struct world *w)
{
    enum { SPACES = 2 };
    const uint32_t stores[] = {STORE_TO(A0), STORE_TO(A2)};
    const uint64_t shared = DATA + 0x10000;
    uint64_t root[SPACES];
    put(w, CODE, stores, COUNT(stores));
    for (unsigned i = 0; i < SPACES; i++) {
        root[i] = world_root(w);
        world_map(w, root[i], 3, CODE, CODE, PTE_R | PTE_X);
        world_map(w, root[i], 3, DATA, DATA + i * UINT64_C(0x1000), PTE_R | PTE_W);
        world_map(w, root[i], 3, UPPER, shared, PTE_R | PTE_W | PTE_G);
    }
    for (unsigned round = 0; round < 4; round++) {
        for (unsigned i = 0; i < SPACES; i++) {
            struct set want = {0};
            enter_space(w, root[i], i + 1);
            w->cpu->x[A0] = DATA;
            w->cpu->x[A2] = UPPER;
            run_at(w, CODE);
            if (round == 0)
                continue;
            add(&want, PAGE_OF(DATA) + i);
            add(&want, PAGE_OF(shared));
            collect(w, "in a space", &want);
        }
        if (round == 0) /* all maps have write entries by now */
            start(w);
    }
}

static void stores_are_seen_through_maps_that_were_filled_before(void **state)
{
    each_way(store_in_spaces);
}

/* ---- page walks ----------------------------------------------------------------------------- */

/* The leaf of vaddr, by physical address. */
static uint64_t leaf_of(const struct world *w, uint64_t root, uint64_t vaddr)
{
    uint64_t table = root;
    for (unsigned l = 2; l; l--)
        table = world_peek(w, table + 8 * (vaddr >> (12 + 9 * l) & 511)) >> 10 << 12;
    return table + 8 * (vaddr >> 12 & 511);
}

static void walk(struct world *w)
{
    enum { PTE_AD = 0xc0, PTE_A = 0x40 };
    const uint32_t load = i_ld(A3, A0, 0), store = STORE_TO(A0);
    uint64_t root = world_root(w), leaf, vaddr = UINT64_C(0x40000000);
    struct set both = {0};
    put(w, CODE, &load, 1);
    put(w, CODE + 64, &store, 1);
    world_map(w, root, 3, CODE, CODE, PTE_R | PTE_X);
    world_map(w, root, 3, vaddr, DATA, PTE_R | PTE_W);
    leaf = leaf_of(w, root, vaddr);
    world_poke(w, leaf, world_peek(w, leaf) & ~(uint64_t)PTE_AD);
    w->cpu->c.menvcfg |= RV_MENVCFG_ADUE;
    enter_space(w, root, 1);
    w->cpu->x[A0] = vaddr;
    add(&both, PAGE_OF(DATA));
    add(&both, PAGE_OF(leaf));
    start(w);
    run_at(w, CODE);
    collect_one(w, "A", leaf);
    world_expect(w, "A", world_peek(w, leaf) & PTE_AD, PTE_A);
    run_at(w, CODE);
    collect_none(w, "A once more");
    run_at(w, CODE + 64);
    collect(w, "D", &both);
    run_at(w, CODE + 64);
    collect_one(w, "D once more", DATA);
}

static void bits_that_page_walks_set_are_writes(void **state)
{
    each_way(walk);
}

/* ---- devices -------------------------------------------------------------------------------- */

static void write_by_devices(struct world *w)
{
    const struct gw_dma dma = {.bus = &w->bus};
    const uint32_t load = i_ld(A3, A0, 0), store = STORE_TO(A0);
    uint8_t bytes[3 * GW_PAGE_SIZE];
    struct set want = {0};
    put(w, CODE, &load, 1);
    put(w, CODE + 64, &store, 1);
    memset(bytes, 7, sizeof bytes);
    add(&want, PAGE_OF(DATA));
    start(w);
    w->cpu->x[A0] = DATA;
    run_at(w, CODE);
    assert_true(gw_dma_write(&dma, DATA, bytes, 1));
    collect(w, "a byte", &want);
    for (unsigned i = 1; i < 4; i++)
        add(&want, PAGE_OF(DATA) + i);
    assert_true(gw_dma_write(&dma, DATA + 4095, bytes, 2 * GW_PAGE_SIZE + 2));
    collect(w, "four pages", &want);
    assert_true(gw_dma_write(&dma, DATA, bytes, 0));
    assert_true(gw_dma_read(&dma, DATA, bytes, 100));
    assert_false(gw_dma_write(&dma, W_RAM + W_RAM_BYTES - 1, bytes, 2));
    collect_none(w, "nothing");
    /* A page that a device has put into the log has write entries: they go as well. */
    for (unsigned i = 0; i < 3; i++) {
        assert_true(gw_dma_write(&dma, DATA, bytes, 1));
        run_at(w, CODE);
        run_at(w, CODE + 64);
        collect_one(w, "device and vCPU", DATA);
        run_at(w, CODE + 64);
        collect_one(w, "vCPU", DATA);
    }
    /* Code that is written over is in the log, and runs. */
    world_code(w, CODE, &store, 1);
    collect_one(w, "code", CODE);
    run_at(w, CODE);
    collect_one(w, "by new code", DATA);
}

static void what_devices_write_is_in_the_log(void **state)
{
    each_way(write_by_devices);
}

/* ---- start and stop ------------------------------------------------------------------------- */

static void begin_and_end(struct world *w)
{
    struct gw_dirty *d = log_of(w);
    struct gw_error err;
    uint64_t bits[PAGES / 64];
    put_sweep(w);
    world_expect(w, "pages", d->pages, PAGES);
    d->ops->stop(d); /* it does not run */
    start(w);
    world_expect(w, "twice", d->ops->start(d, &err), GW_ERR_STATE);
    collect_none(w, "at the start");
    sweep(w, 5);
    stop(w);
    stop(w);
    for (uint64_t i = 0; i < PAGES; i++)
        world_expect(w, "flag", w->flags[i] & GW_RAM_CLEAN, 0);
    start(w);
    collect_none(w, "of the log before");
    sweep(w, 2);
    memset(bits, 0xff, sizeof bits);
    world_expect(w, "count", d->ops->collect(d, bits), 2);
    for (unsigned i = 0; i < COUNT(bits); i++)
        world_expect(w, "bits that were there", bits[i], UINT64_MAX);
    stop(w);
}

static void a_log_starts_empty_and_is_over_when_stopped(void **state)
{
    each_way(begin_and_end);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_way_to_write_logs_the_pages_that_it_writes),
        cmocka_unit_test(only_the_first_store_to_a_page_leaves_generated_code),
        cmocka_unit_test(few_pages_and_many_are_collected_alike),
        cmocka_unit_test(collecting_often_takes_no_more_memory),
        cmocka_unit_test(stores_are_seen_through_maps_that_were_filled_before),
        cmocka_unit_test(bits_that_page_walks_set_are_writes),
        cmocka_unit_test(what_devices_write_is_in_the_log),
        cmocka_unit_test(a_log_starts_empty_and_is_over_when_stopped),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
