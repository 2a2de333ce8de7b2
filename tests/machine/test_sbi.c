/* The built-in SBI, call by call, on a CPU that runs nothing. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "devices/clock.h"
#include "devices/memory_bus.h"
#include "devices/board/power.h"
#include "frontend/riscv64/priv.h"
#include "machine/riscv64/sbi.h"

#define BASE UINT64_C(0x80000000)
enum {
    BASE_EXT = 0x10,
    TIME = 0x54494d45,
    IPI = 0x735049,
    RFENCE = 0x52464e43,
    HSM = 0x48534d,
    SRST = 0x53525354,
    DBCN = 0x4442434e,
    PMU = 0x504d55
};

struct fixture {
    struct dev_bus bus;
    struct gw_events *q;
    struct rv_cpu *cpu, *harts[4]; /* cpu: the caller */
    unsigned count;
    struct sbi s;
    struct dev_serial serial;
    char out[64];
    unsigned out_count;
    const char *in;
    bool full;
    int request;
    unsigned code, flushes, fences;
    struct rv_fence last; /* flush; size: of a page, or 0 */
    uint32_t wait;        /* whose fences the last call waits for */
};

static struct fixture f;

static bool room(void *c)
{
    return !f.full;
}

static void put(void *c, uint8_t byte)
{
    f.out[f.out_count++ % 64] = (char)byte;
}

static size_t get(void *c, uint8_t *to, size_t max)
{
    size_t n = 0;
    while (n < max && f.in && *f.in)
        to[n++] = (uint8_t)*f.in++;
    return n;
}

static void power(void *c, int request, unsigned code)
{
    f.request = request;
    f.code = code;
}

static bool flush(void *cpu, uint64_t vaddr, int vaddr_all, uint64_t asid, int asid_all)
{
    f.flushes++;
    f.last = (struct rv_fence){vaddr, vaddr_all ? 0 : 0x1000, asid, asid_all};
    return false;
}

static void fence_i(void *cpu)
{
    f.fences++;
}

static const struct gw_hooks hooks = {.flush = flush, .fence_i = fence_i};

static void start_harts(unsigned count, const char *options)
{
    struct gw_error err = {0};
    struct gw_cpu_config cfg = {.firmware = true, .bus = &f.bus.bus, .options = options};
    memset(&f, 0, sizeof f);
    f.count = count;
    dev_bus_init(&f.bus);
    assert_int_equal(dev_bus_add_ram(&f.bus, BASE, 0x10000, &err), GW_OK);
    f.q = gw_events_new(GW_CLOCK_INSNS, 1000);
    cfg.bus = &f.bus.bus;
    cfg.events = f.q;
    f.request = -1;
    f.serial = (struct dev_serial){.room = room, .put = put, .get = get};
    f.s = (struct sbi){.harts = count,
                       .events = f.q,
                       .dma = {.bus = &f.bus.bus},
                       .console = &f.serial,
                       .power = power};
    for (unsigned i = 0; i < count; i++) {
        struct rv_cpu *cpu = aligned_alloc(64, (sizeof *cpu + 63) & ~(size_t)63);
        f.harts[i] = f.s.hart[i].cpu = cpu;
        cfg.hart = i;
        assert_int_equal(rv_guest_isa.init(cpu, &cfg, &err), GW_OK);
        cpu->run.hooks = &hooks;
    }
    f.cpu = f.harts[0];
    rv_boot_supervisor(f.cpu, BASE, BASE + 0x8000);
    f.flushes = 0;
    sbi_init(&f.s);
}

static void start(const char *options)
{
    start_harts(1, options);
}

static void stop(void)
{
    sbi_reset(&f.s);
    gw_events_free(f.q);
    dev_bus_destroy(&f.bus);
    for (unsigned i = 0; i < f.count; i++)
        free(f.harts[i]);
}

static int64_t call(uint64_t ext, uint64_t fn, uint64_t a0, uint64_t a1, uint64_t a2)
{
    uint64_t pc = f.cpu->run.pc;
    f.cpu->x[10] = a0;
    f.cpu->x[11] = a1;
    f.cpu->x[12] = a2;
    f.cpu->x[16] = fn;
    f.cpu->x[17] = ext;
    f.wait = sbi_call(&f.s, (unsigned)f.cpu->c.mhartid);
    assert_int_equal(f.cpu->run.pc, pc + 4);
    return (int64_t)f.cpu->x[10];
}

static uint64_t value(void)
{
    return f.cpu->x[11];
}

static void base_extension_probes(void **state)
{
    static const uint64_t there[] = {0, 8, BASE_EXT, TIME, IPI, RFENCE, HSM, SRST, DBCN};
    start(NULL);
    assert_int_equal(call(BASE_EXT, 0, 0, 0, 0), 0);
    assert_int_equal(value() >> 24, 2);
    for (unsigned i = 0; i < sizeof there / sizeof there[0]; i++) {
        assert_int_equal(call(BASE_EXT, 3, there[i], 0, 0), 0);
        assert_int_equal(value(), 1);
    }
    assert_int_equal(call(BASE_EXT, 3, 0x504d55, 0, 0), 0); /* PMU */
    assert_int_equal(value(), 0);
    assert_int_equal(call(BASE_EXT, 99, 0, 0, 0), -2);
    assert_int_equal(call(0x504d55, 0, 0, 0, 0), -2);
    assert_int_equal(call(UINT64_MAX, 0, 0, 0, 0), -2);
    /* numbers of extensions and functions have 32 bits, that of a hart has 64 */
    assert_int_equal(call(UINT64_C(5) << 32 | BASE_EXT, UINT64_C(9) << 32 | 3, TIME, 0, 0), 0);
    assert_int_equal(value(), 1);
    assert_int_equal(call(HSM, 2, UINT64_C(1) << 32, 0, 0), -3);
    stop();
}

static void timer_interrupts_when_due(void **state)
{
    start(NULL);
    assert_int_equal(call(TIME, 0, 100, 0, 0), 0);
    assert_int_equal(f.cpu->c.stimecmp, 100);
    stop();
    start("sstc=off");
    f.cpu->c.mie = 1 << 5;
    assert_int_equal(call(TIME, 0, 100, 0, 0), 0);
    assert_int_equal(gw_events_next_deadline(f.q), 10000);
    gw_events_run(f.q, 9999);
    assert_int_equal(f.cpu->c.mip & 1 << 5, 0);
    gw_events_run(f.q, 10000);
    assert_int_equal(f.cpu->run.attention, 1);
    rv_remote_look(f.cpu);
    assert_int_equal(f.cpu->c.mip & 1 << 5, 1 << 5);
    assert_int_equal(call(TIME, 0, UINT64_MAX, 0, 0), 0);
    assert_int_equal(f.cpu->c.mip & 1 << 5, 0);
    assert_int_equal(gw_events_next_deadline(f.q), UINT64_MAX);
    assert_int_equal(call(0, 0, 1, 0, 0), 0); /* legacy, in the past */
    assert_int_equal(f.cpu->c.mip & 1 << 5, 1 << 5);
    assert_int_equal(call(TIME, 1, 0, 0, 0), -2);
    stop();
}

static void a_timer_that_was_saved_goes_off(void **state)
{
    struct gw_error err = {0};
    struct sbi_hart *h = &f.s.hart[0];
    start("sstc=off");
    assert_int_equal(h->timer_ns, UINT64_MAX);
    assert_int_equal(call(TIME, 0, 100, 0, 0), 0);
    assert_int_equal(h->timer_ns, 10000);
    gw_events_run(f.q, 10000);
    assert_int_equal(h->timer_ns, UINT64_MAX);
    h->timer_ns = 20000; /* as it is put in place by a restore */
    assert_int_equal(sbi_hart_table.check(h, &err), GW_OK);
    sbi_hart_table.post_load(h);
    assert_int_equal(gw_events_next_deadline(f.q), 20000);
    for (unsigned s = 0; s < 256; s++) {
        bool known = s == SBI_HART_STARTED || s == SBI_HART_STOPPED ||
                     s == SBI_HART_START_PENDING || s == SBI_HART_SUSPENDED;
        h->state = (uint8_t)s;
        assert_int_equal(sbi_hart_table.check(h, &err), known ? GW_OK : GW_ERR_FORMAT);
    }
    stop();
}

static void masks_name_hart_0_only(void **state)
{
    start(NULL);
    assert_int_equal(call(IPI, 0, 2, 0, 0), -3);
    assert_int_equal(call(IPI, 0, 1, 1, 0), -3);
    assert_int_equal(call(IPI, 0, 0, 0, 0), 0);
    assert_int_equal(f.cpu->c.mip & 2, 0);
    assert_int_equal(call(IPI, 0, 1, 0, 0), 0);
    assert_int_equal(f.cpu->c.mip & 2, 2);
    f.cpu->c.mip = 0;
    assert_int_equal(call(IPI, 0, 12345, UINT64_MAX, 0), 0);
    assert_int_equal(f.cpu->c.mip & 2, 2);
    f.flushes = 0;
    assert_int_equal(call(RFENCE, 1, 2, 0, 0), -3);
    assert_int_equal(f.flushes, 0);
    f.cpu->x[13] = 0x1000;
    assert_int_equal(call(RFENCE, 1, 1, 0, 0x1000), 0);
    assert_int_equal(call(RFENCE, 2, 0, UINT64_MAX, 0), 0);
    assert_int_equal(f.flushes, 2);
    assert_int_equal(call(RFENCE, 0, 1, 0, 0), 0);
    assert_int_equal(f.fences, 1);
    assert_int_equal(call(RFENCE, 3, 1, 0, 0), -2);
    stop();
}

static void hart_states(void **state)
{
    start(NULL);
    assert_int_equal(call(HSM, 0, 0, BASE, 0), -6);
    assert_int_equal(call(HSM, 0, 1, BASE, 0), -3);
    assert_int_equal(call(HSM, 2, 0, 0, 0), 0);
    assert_int_equal(value(), 0);
    assert_int_equal(call(HSM, 2, 1, 0, 0), -3);
    assert_int_equal(call(HSM, 1, 0, 0, 0), -1); /* nobody could start it again */
    assert_int_equal(call(HSM, 3, 1, 0, 0), -3);
    assert_int_equal(call(HSM, 3, 0x80000000, BASE + 1, 0), -5);
    assert_int_equal(f.cpu->c.halted, 0);
    assert_int_equal(call(HSM, 3, UINT64_C(0xffffffff80000000), BASE + 1, 0), -5);
    assert_int_equal(call(HSM, 3, UINT64_C(1) << 32 | 1, 0, 0), -3);
    assert_int_equal(f.cpu->c.halted, 0);
    assert_int_equal(call(HSM, 3, UINT64_C(0xdead) << 32, 0, 0), 0);
    assert_int_equal(f.cpu->c.halted, 1);
    assert_false(sbi_look(&f.s, 0));
    f.cpu->c.mie = f.cpu->c.mip = 2;
    assert_true(sbi_look(&f.s, 0));
    assert_int_equal(f.cpu->c.halted, 0);
    stop();
}

static int64_t status_of(uint64_t hart)
{
    return call(HSM, 2, hart, 0, 0) ? -1 : (int64_t)value();
}

static void harts_start_and_stop(void **state)
{
    start_harts(4, NULL);
    assert_int_equal(status_of(0), SBI_HART_STARTED);
    assert_int_equal(status_of(3), SBI_HART_STOPPED);
    assert_int_equal(status_of(4), -1);
    assert_int_equal(call(HSM, 1, 0, 0, 0), -1); /* the others are stopped */
    assert_int_equal(call(HSM, 0, 4, BASE, 0), -3);
    assert_int_equal(call(HSM, 0, 2, 0x1000, 7), -5); /* no memory there */
    assert_int_equal(call(HSM, 0, 2, BASE + 1, 7), -5);
    assert_false(sbi_look(&f.s, 2));
    assert_int_equal(call(HSM, 0, 2, BASE + 0x100, 77), 0);
    assert_int_equal(f.harts[2]->run.attention, 1);
    assert_int_equal(status_of(2), SBI_HART_START_PENDING);
    assert_int_equal(call(HSM, 0, 2, BASE + 0x100, 77), -6);
    assert_true(sbi_look(&f.s, 2));
    assert_int_equal(status_of(2), SBI_HART_STARTED);
    assert_true(f.harts[2]->run.pc == BASE + 0x100 && f.harts[2]->c.priv == RV_PRIV_S);
    assert_true(f.harts[2]->x[10] == 2 && f.harts[2]->x[11] == 77 && f.harts[2]->c.satp == 0);
    assert_int_equal(f.harts[2]->c.mstatus & RV_MSTATUS_SIE, 0);
    assert_int_equal(call(HSM, 1, 0, 0, 0), 0);
    assert_false(sbi_look(&f.s, 0));
    f.cpu = f.harts[2];
    assert_int_equal(status_of(0), SBI_HART_STOPPED);
    assert_int_equal(call(HSM, 0, 0, BASE, 0), 0);
    sbi_reset(&f.s);
    assert_int_equal(status_of(0), SBI_HART_STARTED);
    assert_int_equal(status_of(2), SBI_HART_STOPPED);
    stop();
}

static void a_suspended_hart_resumes_where_it_said(void **state)
{
    start_harts(2, NULL);
    f.cpu->c.satp = UINT64_C(8) << 60;
    f.cpu->c.mstatus |= RV_MSTATUS_SIE;
    f.cpu->c.mie = 2;
    /* as a C compiler passes the 32 bits of the type */
    assert_int_equal(call(HSM, 3, UINT64_C(0xffffffff80000000), BASE + 0x200, 99), 0);
    assert_false(sbi_look(&f.s, 0));
    rv_remote_post(f.cpu, RV_REMOTE_SSI);
    assert_true(sbi_look(&f.s, 0));
    assert_true(f.cpu->run.pc == BASE + 0x200 && f.cpu->x[10] == 0 && f.cpu->x[11] == 99);
    assert_true(f.cpu->c.satp == 0 && !(f.cpu->c.mstatus & RV_MSTATUS_SIE));
    assert_true(f.cpu->c.mie == 2 && f.cpu->c.mip & 2);
    stop();
}

static void masks_reach_other_harts(void **state)
{
    start_harts(4, NULL);
    assert_int_equal(call(IPI, 0, 16, 0, 0), -3);
    assert_int_equal(call(IPI, 0, 4, 2, 0), -3);
    assert_int_equal(call(IPI, 0, 1, 4, 0), -3);
    assert_int_equal(f.harts[3]->remote, 0);
    assert_int_equal(call(IPI, 0, 3, 2, 0), 0); /* harts 2 and 3 */
    assert_true(f.s.asked);
    assert_int_equal(f.harts[1]->remote, 0);
    assert_int_equal(f.harts[0]->c.mip & 2, 0);
    assert_int_equal(f.harts[3]->run.attention, 1);
    assert_int_equal(f.harts[3]->c.mip & 2, 0); /* not before it looks */
    rv_remote_look(f.harts[3]);
    assert_int_equal(f.harts[3]->c.mip & 2, 2);
    rv_remote_look(f.harts[2]);

    assert_int_equal(call(RFENCE, 1, 0, UINT64_MAX, 0), 0);
    assert_int_equal(f.wait, 14);
    assert_int_equal(f.flushes, 1); /* the caller's */
    assert_false(rv_remote_done(f.harts[2], RV_REMOTE_FENCES));
    assert_false(rv_guest_isa.waiting(f.harts[2]));
    assert_true(rv_remote_done(f.harts[2], RV_REMOTE_FENCES));
    assert_int_equal(f.flushes, 2);
    assert_int_equal(call(RFENCE, 0, 2, 0, 0), 0);
    assert_int_equal(f.wait, 2);
    assert_int_equal(f.fences, 0);
    rv_guest_isa.interrupt(f.harts[1], true);
    assert_int_equal(f.fences, 1);
    assert_int_equal(call(RFENCE, 1, 1, 0, 0x1000), 0);
    assert_int_equal(f.wait, 0);
    stop();
}

static void expect_flush(unsigned count, uint64_t vaddr, uint64_t size, uint64_t asid,
                         bool asid_all)
{
    assert_int_equal(f.flushes, count);
    assert_int_equal(f.last.vaddr, vaddr);
    assert_int_equal(f.last.size, size);
    assert_int_equal(f.last.asid, asid);
    assert_int_equal(f.last.asid_all, asid_all);
    f.flushes = 0;
}

/* By one call of hart 0 for itself, and of hart 0 for hart 1. */
static void a_fence_is_about_its_range_and_its_asid(void **state)
{
    static const struct {
        uint64_t vaddr, size;
        unsigned flushes;
        uint64_t last, bytes; /* bytes 0: all */
    } fences[] = {
        {0x5000, 0x1000, 1, 0x5000, 0x1000},
        {0x5008, 0x1000, 2, 0x6000, 0x1000},
        {0x5fff, 1, 1, 0x5000, 0x1000},
        {0x5fff, 2, 2, 0x6000, 0x1000},
        {0x40000000, 64 * 0x1000, 64, 0x4003f000, 0x1000},
        {0x40000000, 64 * 0x1000 + 1, 1, 0, 0},
        {UINT64_C(0xfffffffffffff000), 0x1000, 1, UINT64_C(0xfffffffffffff000), 0x1000},
        {UINT64_C(0xfffffffffffff000), 0x1001, 1, 0, 0}, /* beyond the last address */
        {0, 0, 1, 0, 0},
        {0x5000, 0, 1, 0, 0},
        {0, UINT64_MAX, 1, 0, 0},
        {0x1000, UINT64_MAX, 1, 0, 0},
    };
    start_harts(2, NULL);
    for (unsigned i = 0; i < sizeof fences / sizeof *fences; i++)
        for (unsigned one = 0; one < 2; one++)
            for (unsigned hart = 0; hart < 2; hart++) {
                f.cpu->x[13] = fences[i].size;
                f.cpu->x[14] = 0x30007; /* an ASID has 16 bits */
                assert_int_equal(call(RFENCE, 1 + one, 1u << hart, 0, fences[i].vaddr), 0);
                assert_int_equal(f.wait, hart ? 2 : 0);
                rv_remote_look(f.harts[1]);
                expect_flush(fences[i].flushes, fences[i].last, fences[i].bytes, one ? 7 : 0, !one);
            }
    stop();
}

static void a_hart_that_does_not_look_is_asked_for_everything_in_the_end(void **state)
{
    start_harts(2, NULL);
    f.cpu->x[13] = 0x1000;
    for (unsigned n = 1; n <= 100; n++) {
        for (unsigned i = 0; i < n; i++)
            assert_int_equal(call(RFENCE, 1, 2, 0, i * 0x1000), 0);
        assert_int_equal(f.flushes, 0);
        assert_false(rv_remote_done(f.harts[1], RV_REMOTE_FENCES));
        rv_remote_look(f.harts[1]);
        assert_true(rv_remote_done(f.harts[1], RV_REMOTE_FENCES));
        if (n <= RV_FENCES)
            expect_flush(n, (n - 1) * 0x1000, 0x1000, 0, true);
        else
            expect_flush(1, 0, 0, 0, true);
    }
    stop();
}

static void legacy_masks_are_in_memory(void **state)
{
    start_harts(4, NULL);
    f.bus.ram[0].host[0x40] = 0xf4; /* bits of harts that there are not are ignored */
    assert_int_equal(call(4, 0, BASE + 0x40, 0, 0), 0);
    assert_int_equal(f.harts[2]->remote, RV_REMOTE_SSI);
    assert_int_equal(f.harts[1]->remote, 0);
    assert_int_equal(call(5, 0, 0, 0, 0), 0); /* all of them */
    assert_int_equal(f.wait, 14);
    assert_int_equal(call(6, 0, 0x1000, 0, 0), -5);
    f.cpu->x[13] = 0x50009;
    assert_int_equal(call(7, 0, BASE + 0x40, 0x7000, 0x1000), 0); /* 0xf4: hart 2 */
    assert_int_equal(f.flushes, 0);
    rv_remote_look(f.harts[2]);
    expect_flush(1, 0x7000, 0x1000, 9, false);
    f.cpu = f.harts[2];
    call(3, 0, 0, 0, 0);
    assert_int_equal(f.cpu->remote & RV_REMOTE_SSI, 0);
    stop();
}

static void reset_types(void **state)
{
    start(NULL);
    assert_int_equal(call(SRST, 0, 3, 0, 0), -3);
    assert_int_equal(call(SRST, 0, 0, 9, 0), -3);
    assert_int_equal(f.request, -1);
    call(SRST, 0, 0, 0, 0);
    assert_int_equal(f.request, DEV_POWER_OFF);
    call(SRST, 0, 0, 1, 0);
    assert_int_equal(f.request, DEV_POWER_FAIL);
    call(SRST, 0, 1, 0, 0);
    assert_int_equal(f.request, DEV_POWER_RESET);
    call(SRST, 0, UINT64_C(7) << 32, UINT64_C(7) << 32, 0); /* both have 32 bits */
    assert_int_equal(f.request, DEV_POWER_OFF);
    f.request = -1;
    call(8, 0, 0, 0, 0);
    assert_int_equal(f.request, DEV_POWER_OFF);
    stop();
}

static void written(void *engine, uint64_t paddr, uint64_t size)
{
    unsigned *told = engine;
    *told += paddr == BASE && size == GW_PAGE_SIZE;
}

static void console_reads_and_writes_guest_memory(void **state)
{
    uint8_t *ram;
    unsigned told = 0;
    start(NULL);
    ram = f.bus.ram[0].host;
    f.bus.bus.ram_written = written;
    f.bus.bus.engine = &told;
    memset(f.bus.ram[0].page_flags, GW_RAM_CLEAN, 0x10000 / GW_PAGE_SIZE);
    memcpy(ram + 0xfffb, "hello", 5);
    assert_int_equal(call(DBCN, 0, 5, BASE + 0xfffb, 0), 0);
    assert_int_equal(value(), 5);
    assert_memory_equal(f.out, "hello", 5);
    assert_int_equal(call(DBCN, 0, 6, BASE + 0xfffb, 0), -3); /* over the end */
    assert_int_equal(call(DBCN, 0, 5, UINT64_MAX - 2, 0), -3);
    assert_int_equal(call(DBCN, 0, 5, BASE, 1), -3);
    assert_int_equal(f.out_count, 5);
    assert_int_equal(call(DBCN, 0, UINT64_MAX, BASE, 0), 0); /* a part is enough */
    f.full = true;
    assert_int_equal(call(DBCN, 0, 5, BASE, 0), 0);
    assert_int_equal(value(), 0);
    assert_int_equal(told, 0);
    f.in = "xyz";
    assert_int_equal(call(DBCN, 1, 2, BASE + 16, 0), 0);
    assert_int_equal(value(), 2);
    assert_memory_equal(ram + 16, "xy", 2);
    assert_int_equal(told, 1);
    assert_int_equal(call(DBCN, 1, 2, BASE - 1, 0), -3);
    assert_int_equal(call(2, 0, 0, 0, 0), 'z'); /* legacy getchar */
    assert_int_equal(call(2, 0, 0, 0, 0), -1);
    f.out_count = 0;
    call(1, 0, 'L', 0, 0);
    call(DBCN, 2, 'M', 0, 0);
    assert_memory_equal(f.out, "LM", 2);
    stop();
}

static void counters_are_found_started_and_stopped(void **state)
{
    enum { ALL = 0x7d, CYCLES = 1, INSTRUCTIONS = 2, CLEAR = 2, START = 4, MINH = 128 };
    start("sscofpmf=on");
    assert_int_equal(call(BASE_EXT, 3, PMU, 0, 0), 0);
    assert_int_equal(value(), 1);
    assert_int_equal(call(PMU, 0, 0, 0, 0), 0);
    assert_int_equal(value(), 7);
    assert_int_equal(call(PMU, 1, 3, 0, 0), 0);
    assert_int_equal(value(), RV_CSR_CYCLE + 3 + (63 << 12));
    assert_int_equal(call(PMU, 1, 1, 0, 0), -3); /* the time is no counter */
    assert_int_equal(call(PMU, 1, 7, 0, 0), -3);
    f.cpu->x[13] = INSTRUCTIONS;
    assert_int_equal(call(PMU, 2, 0, ALL, CLEAR | MINH), 0);
    assert_int_equal(value(), 3);
    assert_true(f.cpu->c.mhpmevent[0] == (INSTRUCTIONS | RV_HPM_MINH));
    f.cpu->x[13] = CYCLES;
    assert_int_equal(call(PMU, 2, 0, ALL, START), 0);
    assert_int_equal(value(), 4);
    f.cpu->x[13] = 3; /* cache references */
    assert_int_equal(call(PMU, 2, 0, ALL, 0), -2);
    f.cpu->x[13] = 1000;
    f.cpu->c.mhpmevent[0] |= RV_HPM_OF;
    assert_int_equal(call(PMU, 3, 3, 1, 1), 0);
    assert_true(rv_hpm_read(f.cpu, 0) == 1000 && !(f.cpu->c.mhpmevent[0] & RV_HPM_OF));
    f.cpu->run.insns_base += 5;
    assert_true(rv_hpm_read(f.cpu, 0) == 1005 && rv_hpm_read(f.cpu, 1) == 5);
    assert_int_equal(call(PMU, 3, 3, 1, 0), -7);
    assert_int_equal(call(PMU, 4, 3, 1, 1), 0);
    f.cpu->run.insns_base += 5;
    assert_true(rv_hpm_read(f.cpu, 0) == 1005 && f.cpu->c.mhpmevent[0] == 0);
    assert_int_equal(call(PMU, 4, 3, 1, 0), -8);
    assert_int_equal(call(PMU, 4, UINT64_MAX, 0xff, 0), -3); /* wraps around to the first */
    assert_int_equal(call(PMU, 5, 0, 0, 0), -2);
    stop();
    start(NULL);
    assert_int_equal(call(BASE_EXT, 3, PMU, 0, 0), 0);
    assert_int_equal(value(), 0);
    assert_int_equal(call(PMU, 0, 0, 0, 0), -2);
    stop();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(base_extension_probes),
        cmocka_unit_test(timer_interrupts_when_due),
        cmocka_unit_test(a_timer_that_was_saved_goes_off),
        cmocka_unit_test(masks_name_hart_0_only),
        cmocka_unit_test(hart_states),
        cmocka_unit_test(harts_start_and_stop),
        cmocka_unit_test(a_suspended_hart_resumes_where_it_said),
        cmocka_unit_test(masks_reach_other_harts),
        cmocka_unit_test(a_fence_is_about_its_range_and_its_asid),
        cmocka_unit_test(a_hart_that_does_not_look_is_asked_for_everything_in_the_end),
        cmocka_unit_test(legacy_masks_are_in_memory),
        cmocka_unit_test(reset_types),
        cmocka_unit_test(console_reads_and_writes_guest_memory),
        cmocka_unit_test(counters_are_found_started_and_stopped),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
