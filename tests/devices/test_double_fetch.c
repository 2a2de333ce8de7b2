/*
 * What a guest wrote is fetched once. A value that is read twice may be another the second time,
 * since another vCPU writes there: checked first, used second. Here no race is needed: pages that
 * hold descriptors and headers are taken away, each access to them faults, is written down, and is
 * carried out alone by a single step.
 *
 * Of 16 bytes (a descriptor, a header) all reads must come from one copy: all from one stretch of
 * host code, and no address twice, but that the C library's memcpy() loads both ends of what it
 * copies, which may be the same; it shows by another instruction.
 */
#include <signal.h>
#include <ucontext.h>

#include "tests/devices/any_virtio.h"
#include "devices/board/fw_cfg.h"

enum { PAGES_MAX = 4, READS_MAX = 8, GROUPS = 4096 / 16, ONE_COPY_BYTES = 512, TRAP_FLAG = 0x100 };

/* For the signal handlers. */
static struct {
    uint8_t *page[PAGES_MAX];
    unsigned pages;
    struct group {
        unsigned reads;
        uintptr_t at[READS_MAX], code[READS_MAX];
    } group[PAGES_MAX][GROUPS];
} watch;

static void protect(int prot)
{
    for (unsigned i = 0; i < watch.pages; i++)
        mprotect(watch.page[i], 4096, prot);
}

static void on_access(int sig, siginfo_t *si, void *uc)
{
    greg_t *regs = ((ucontext_t *)uc)->uc_mcontext.gregs;
    uintptr_t at = (uintptr_t)si->si_addr;
    for (unsigned i = 0; i < watch.pages; i++)
        if (at - (uintptr_t)watch.page[i] < 4096) {
            struct group *g = &watch.group[i][at % 4096 / 16];
            bool write = regs[REG_ERR] & 2;
            if (!write && g->reads < READS_MAX) {
                g->at[g->reads] = at;
                g->code[g->reads++] = (uintptr_t)regs[REG_RIP];
            }
            protect(PROT_READ | PROT_WRITE);
            regs[REG_EFL] |= TRAP_FLAG;
            return;
        }
    signal(sig, SIG_DFL); /* a fault of ours: it happens again, and ends us */
}

static void after_access(int sig, siginfo_t *si, void *uc)
{
    ((ucontext_t *)uc)->uc_mcontext.gregs[REG_EFL] &= ~(greg_t)TRAP_FLAG;
    protect(PROT_NONE);
}

static void watch_begin(void)
{
    struct sigaction access = {.sa_sigaction = on_access, .sa_flags = SA_SIGINFO};
    struct sigaction step = {.sa_sigaction = after_access, .sa_flags = SA_SIGINFO};
    memset(watch.group, 0, sizeof watch.group);
    sigaction(SIGSEGV, &access, NULL);
    sigaction(SIGTRAP, &step, NULL);
    protect(PROT_NONE);
}

static void watch_end(void)
{
    protect(PROT_READ | PROT_WRITE);
    signal(SIGSEGV, SIG_DFL);
    signal(SIGTRAP, SIG_DFL);
}

/* The linker's: our own code is between them, libraries are elsewhere. */
extern const char __executable_start[], etext[];

static bool is_ours(uintptr_t code)
{
    return code - (uintptr_t)__executable_start < (uintptr_t)(etext - __executable_start);
}

/* Groups [first, first + count) of a watched page were fetched once each. */
static void expect_one_fetch(unsigned page, unsigned first, unsigned count)
{
    for (unsigned i = first; i < first + count; i++) {
        const struct group *g = &watch.group[page][i];
        assert_true(g->reads < READS_MAX);
        assert_true(g->reads > 0 || i > first); /* a wide load may begin before */
        for (unsigned k = 1; k < g->reads; k++) {
            uintptr_t apart = g->code[k] - g->code[0] + ONE_COPY_BYTES / 2;
            assert_true(apart < ONE_COPY_BYTES);
            for (unsigned j = 0; j < k; j++)
                if (is_ours(g->code[k]) || g->code[j] == g->code[k])
                    assert_int_not_equal(g->at[j], g->at[k]);
        }
    }
}

static void watch_pages(struct dev_bus *bus, const uint64_t *paddr, unsigned count)
{
    watch.pages = count;
    for (unsigned i = 0; i < count; i++)
        watch.page[i] = ram_at(bus, paddr[i]);
}

/* ---- virtio --------------------------------------------------------------------------------- */

/* One request by a table or directly; the device may look twice only at what says that there is
 * a next chain. */
static void fetch_request(enum any_kind kind, bool packed, bool table)
{
    struct any a;
    struct buffer b[3];
    struct ring *r;
    uint32_t len, written;
    unsigned count;
    any_open(&a, kind, packed);
    r = &a.r[any_queue(&a)];
    const uint64_t pages[3] = {ANY_HEADER, r->desc, r->desc + 0x2000};
    count = any_request(&a, b, &written);
    if (table)
        ring_add_table(r, 0, b, count);
    else
        ring_add_direct(r, 0, b, count);
    watch_pages(&a.bus, pages, 3);
    watch_begin();
    ring_kick(r);
    watch_end();
    assert_int_equal(ring_take(r, &len), 0);
    assert_int_equal(len, written);
    expect_one_fetch(1, 0, table ? 1 : count);
    if (table)
        expect_one_fetch(2, 0x800 / 16, count);
    if (kind != ANY_RNG)
        expect_one_fetch(0, 0, 1);
    if (kind == ANY_NET) /* the frame, of which the checksum is computed */
        expect_one_fetch(0, 4, 3);
    any_close(&a);
}

static void requests_are_fetched_once(void **state)
{
    for (unsigned i = 0; i < 4 * ANY_KINDS; i++)
        fetch_request((enum any_kind)(i / 4), i & 1, i & 2);
}

/* 5.2.6.2: the ranges of a discard are in guest memory beside the header. */
static void ranges_are_fetched_once(void **state)
{
    const uint64_t pages[1] = {ANY_HEADER};
    for (unsigned packed = 0; packed < 2; packed++) {
        struct any a;
        uint32_t len;
        struct buffer b[3] = {{.paddr = ANY_HEADER, .len = 16},
                              {.paddr = ANY_HEADER + 0x100, .len = 48},
                              {.paddr = ANY_DATA, .len = 1, .write = true}};
        any_open(&a, ANY_BLK, packed);
        ram_put(&a.bus, ANY_HEADER, 11, 4);
        for (unsigned i = 0; i < 3; i++)
            ram_put(&a.bus, ANY_HEADER + 0x108 + 16 * i, 8, 4);
        ring_add_direct(&a.r[0], 0, b, 3);
        watch_pages(&a.bus, pages, 1);
        watch_begin();
        ring_kick(&a.r[0]);
        watch_end();
        assert_int_equal(ring_take(&a.r[0], &len), 0);
        assert_int_equal(ram_get(&a.bus, ANY_DATA, 1), 0);
        expect_one_fetch(0, 0, 1);
        expect_one_fetch(0, 0x100 / 16, 3);
        any_close(&a);
    }
}

/* A message of a console's driver. */
static void control_messages_are_fetched_once(void **state)
{
    const uint64_t pages[1] = {ANY_HEADER};
    struct buffer b = {.paddr = ANY_HEADER, .len = 8};
    struct any a;
    uint32_t len;
    any_open(&a, ANY_CONSOLE, false);
    ram_put(&a.bus, ANY_HEADER + 4, 6, 2);
    ram_put(&a.bus, ANY_HEADER + 6, 1, 2);
    ring_add_direct(&a.r[3], 0, &b, 1);
    watch_pages(&a.bus, pages, 1);
    watch_begin();
    ring_kick(&a.r[3]);
    watch_end();
    assert_int_equal(ring_take(&a.r[3], &len), 0);
    expect_one_fetch(0, 0, 1);
    any_close(&a);
}

/* ---- fw_cfg --------------------------------------------------------------------------------- */

static void dma_descriptors_are_fetched_once(void **state)
{
    const uint64_t pages[1] = {ANY_HEADER};
    /* select and read the directory, 4 bytes to ANY_DATA */
    static const uint8_t descriptor[16] = {0, 0x19, 0, 10, 0,    0,    0, 4,
                                           0, 0,    0, 0,  0x80, 0x02, 0, 0};
    struct dev_bus bus;
    struct gw_device *d;
    fake_bus(&bus);
    d = dev_new(&dev_fw_cfg_class, NULL, &bus.bus);
    memcpy(ram_at(&bus, ANY_HEADER), descriptor, sizeof descriptor);
    memset(ram_at(&bus, ANY_DATA), 0xff, 4);
    watch_pages(&bus, pages, 1);
    watch_begin();
    reg_write(d, 16, 8, __builtin_bswap64(ANY_HEADER));
    watch_end();
    assert_int_equal(ram_get(&bus, ANY_HEADER, 4), 0);
    assert_int_equal(ram_get(&bus, ANY_DATA, 4), 0);
    expect_one_fetch(0, 0, 1);
    dev_free(d);
    dev_bus_destroy(&bus);
}

/* The watch itself can fail. */
static void a_double_fetch_is_noticed(void **state)
{
    const uint64_t pages[1] = {ANY_HEADER};
    struct dev_bus bus;
    fake_bus(&bus);
    watch_pages(&bus, pages, 1);
    watch_begin();
    const volatile uint32_t *p = (const volatile void *)ram_at(&bus, ANY_HEADER);
    uint32_t first = p[0], second = p[0];
    watch_end();
    assert_int_equal(first, second);
    assert_int_equal(watch.group[0][0].reads, 2);
    assert_int_equal(watch.group[0][0].at[0], watch.group[0][0].at[1]);
    dev_bus_destroy(&bus);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(requests_are_fetched_once),
        cmocka_unit_test(ranges_are_fetched_once),
        cmocka_unit_test(control_messages_are_fetched_once),
        cmocka_unit_test(dma_descriptors_are_fetched_once),
        cmocka_unit_test(a_double_fetch_is_noticed),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
