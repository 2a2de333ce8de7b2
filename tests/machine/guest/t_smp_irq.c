/*
 * Timers and software interrupts of each hart: they reach loops that never leave, all harts at once,
 * within 10 ms; wake WFI; and none is lost in a storm (Priv. 1.13, 3.1.9, 3.2.1, 3.3.3).
 */
#include "smp.h"

enum { LATE = 10 * TICKS_PER_MS, AHEAD = TICKS_PER_MS, TRIES = 50, STORM = 1500, PINGS = 300 };

SNIPPET(loop_self, "j .");
SNIPPET(loop_two, "1: addi a0, a0, 1\nj 2f\nnop\n2: addi a1, a1, 1\nj 1b");
SNIPPET(loop_memory, "1: ld a0, (a1)\naddi a0, a0, 1\nsd a0, (a1)\nj 1b");
SNIPPET(loop_wfi, "1: wfi\nj 1b");

static char *const loops[] = {loop_self, loop_two, loop_memory, loop_wfi};
enum { LOOPS = sizeof loops / sizeof loops[0] };

static struct {
    struct ctx c;
    uint64_t cell, best_timer[LOOPS], best_ipi[LOOPS];
    uint64_t sent_at, mail, received, answer;
    uint64_t pad[LINE / 8];
} of[HARTS] __attribute__((aligned(128)));

static void quiet(unsigned hart)
{
    csr_write(mie, 0);
    *mtimecmp_of(hart) = ALL_ONES;
    ipi_clear();
}

/* The host may keep a hart of ours waiting: one try of several has to be in time. */
static void timers(unsigned hart)
{
    struct ctx *c = &of[hart].c;
    c->clear = MSTATUS_MPIE;
    for (unsigned k = 0; k < LOOPS; k++)
        for (int i = 0; i < TRIES && (i < 3 || of[hart].best_timer[k] >= LATE); i++) {
            uint64_t mode = (uint64_t)((int)k + i) % 3, late, due;
            mode = mode == 2 || k == LOOPS - 1 ? PRIV_M : mode;
            quiet(hart);
            c->set = mode == PRIV_M ? MSTATUS_MPIE : 0;
            due = CLINT_MTIME + AHEAD + 1000 * hart;
            *mtimecmp_of(hart) = due;
            csr_write(mie, BIT(IRQ_MTI));
            run4(c, mode, addr(loops[k]), 1, addr(&of[hart].cell), 0, 0);
            late = CLINT_MTIME - due;
            CHECK_EQ(c->cause, CAUSE_IRQ(IRQ_MTI));
            CHECK((int64_t)late >= 0);
            if (late < of[hart].best_timer[k])
                of[hart].best_timer[k] = late;
        }
    quiet(hart);
}

static void nap(unsigned hart, uint64_t ticks)
{
    *mtimecmp_of(hart) = CLINT_MTIME + ticks;
    csr_write(mie, BIT(IRQ_MTI));
    while (!(csr_read(mip) & BIT(IRQ_MTI)))
        __asm__ volatile("wfi" ::: "memory");
    quiet(hart);
}

static uint64_t ready, answered; /* tries of one_way() so far */

/* The sender sleeps whenever it waits: in a loop of its own it would take the host's CPU from the other, just then
 * and each time, where both have the same one. */
static void send(unsigned hart, unsigned to, uint64_t last)
{
    uint64_t now;
    while ((now = load(&ready)) == last)
        nap(hart, TICKS_PER_MS / 8);
    nap(hart, TICKS_PER_MS / 2); /* for the other to get into its loop, and WFI to its sleep */
    of[to].sent_at = CLINT_MTIME;
    ipi(to);
    while (load(&answered) != now)
        nap(hart, TICKS_PER_MS / 8);
}

static void receive(unsigned hart, unsigned k)
{
    struct ctx *c = &of[hart].c;
    quiet(hart);
    csr_write(mie, BIT(IRQ_MSI));
    fetch_add(&ready, 1);
    run4(c, PRIV_M, addr(loops[k]), 1, addr(&of[hart].cell), 0, 0);
    uint64_t late = CLINT_MTIME - of[hart].sent_at;
    CHECK_EQ(c->cause, CAUSE_IRQ(IRQ_MSI));
    CHECK((int64_t)late >= 0);
    if (late < of[hart].best_ipi[k])
        of[hart].best_ipi[k] = late;
    quiet(hart);
    fetch_add(&answered, 1);
}

/* One of two sits in a loop until the other sends, by turns. Only two at a time: harts that wait in
 * a loop of their own would take the host's CPUs from them. */
static void one_way(unsigned hart, unsigned from, unsigned to, unsigned k)
{
    for (int i = 0; i < TRIES; i++) {
        if (i >= 2 && of[to].best_ipi[k] < LATE)
            return;
        if (hart == from)
            send(hart, to, load(&answered));
        else
            receive(hart, k);
    }
}

static unsigned partner;

static void both_ways(unsigned hart)
{
    of[hart].c.clear = of[hart].c.set = MSTATUS_MPIE;
    for (unsigned k = 0; k < LOOPS; k++) {
        one_way(hart, 0, partner, k);
        one_way(hart, partner, 0, k);
    }
    quiet(hart);
}

static void collect(unsigned hart)
{
    if (ipi_pending()) {
        ipi_clear();
        of[hart].received += swap(&of[hart].mail, 0);
    }
}

/* Everybody sends to everybody; mail is only looked at when an interrupt says so. */
static void storm(unsigned hart)
{
    enum { EACH = STORM / (HARTS - 1) };
    quiet(hart);
    csr_write(mie, BIT(IRQ_MSI)); /* for WFI */
    barrier();
    for (unsigned n = 0; n < EACH * (HARTS - 1); n++) {
        unsigned to = (hart + 1 + n % (HARTS - 1)) % HARTS;
        fetch_add(&of[to].mail, 1);
        ipi(to);
        collect(hart);
    }
    while (of[hart].received < EACH * (HARTS - 1)) {
        __asm__ volatile("wfi" ::: "memory");
        collect(hart);
    }
    CHECK_EQ(of[hart].received, EACH * (HARTS - 1));
    barrier();
    ipi_clear(); /* one whose mail an earlier one brought may come last */
    CHECK_EQ(of[hart].mail, 0);
    quiet(hart);
}

/* 0 and 1, and 2 and 3, wake one another by turns from WFI. */
static void pings(unsigned hart)
{
    unsigned other = hart ^ 1;
    quiet(hart);
    csr_write(mie, BIT(IRQ_MSI));
    barrier();
    for (unsigned n = 1; n <= PINGS; n++) {
        if (hart & 1) {
            store(&of[other].answer, n);
            ipi(other);
        }
        while (!ipi_pending())
            __asm__ volatile("wfi" ::: "memory");
        ipi_clear();
        CHECK_EQ(load(&of[hart].answer), n);
        if (!(hart & 1)) {
            store(&of[other].answer, n);
            ipi(other);
        }
    }
    quiet(hart);
}

/* Registers of one hart are no other's, and those that no hart has read as nothing. */
static void registers(void)
{
    for (unsigned h = 0; h < HARTS; h++) {
        *msip_of(h) = 0;
        *mtimecmp_of(h) = ALL_ONES - h;
    }
    for (unsigned h = 0; h < HARTS; h++) {
        *msip_of(h) = ALL_ONES & UINT32_MAX;
        for (unsigned k = 0; k < HARTS; k++) {
            CHECK_EQ(*msip_of(k), k == h);
            CHECK_EQ(*mtimecmp_of(k), ALL_ONES - k);
        }
        CHECK_EQ(ipi_pending(), h == 0);
        *msip_of(h) = 0;
    }
}

void guest_main(void)
{
    registers();
    for (unsigned h = 0; h < HARTS; h++)
        for (unsigned k = 0; k < LOOPS; k++)
            of[h].best_timer[k] = of[h].best_ipi[k] = ALL_ONES;
    harts_run(ALL_HARTS, timers);
    for (partner = 1; partner < HARTS; partner++)
        harts_run(1 | 1u << partner, both_ways);
    for (unsigned h = 0; h < HARTS; h++)
        for (unsigned k = 0; k < LOOPS; k++) {
            guest_note("hart", h);
            guest_note("loop", k);
            CHECK(of[h].best_timer[k] < LATE);
            CHECK(of[h].best_ipi[k] < LATE);
        }
    harts_run(ALL_HARTS, storm);
    harts_run(ALL_HARTS, pings);
}
