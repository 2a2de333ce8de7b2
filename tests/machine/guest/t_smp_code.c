/*
 * Code that other harts change (Zifencei): after its own FENCE.I a hart runs what it could see
 * stored before, whether an interrupt or a flag told it so; and all harts rewrite one page at once.
 */
#include "smp.h"

enum { TOGETHER_MS = 1000, TOGETHER_ROUNDS = 3000, SLOT = 64 };

static uint8_t *page; /* code that is written, and counts beside it */
static volatile uint64_t latest;
static unsigned others, rewrites; /* harts besides 0 that run; how often they are to be told */
static struct {
    struct ctx c;
    volatile uint64_t fenced, runs; /* the rewrite that this hart's last FENCE.I followed */
    uint64_t pad[LINE / 8];
} of[HARTS] __attribute__((aligned(128)));

/* Code that is run here is written by whole instructions: a store of 32 bits is seen at once. */
static void put_insn(uint8_t *p, uint32_t insn)
{
    *(volatile uint32_t *)(void *)p = insn;
}

static uint64_t call(const uint8_t *p)
{
    register uint64_t a0 __asm__("a0");
    __asm__ volatile("jalr %1" : "=r"(a0) : "r"(p) : "ra", "memory");
    return a0;
}

static void serve(unsigned hart)
{
    uint64_t told;
    ipi_clear();
    told = load(&latest);
    fence_i();
    store(&of[hart].fenced, told);
    ipi(0);
}

static void tell_the_others(void)
{
    for (unsigned h = 1; h <= others; h++)
        ipi(h);
    for (unsigned h = 1; h <= others; h++)
        while (load(&of[h].fenced) != latest)
            ipi_await();
}

/* A function that is called all the time. What it returns is never older than the fence. */
static void rewritten_function(unsigned hart)
{
    fence_i();
    if (hart == 0) {
        for (uint64_t k = 1; k <= rewrites; k++) {
            uint64_t before = of[1].runs;
            put_insn(page, insn_li_a0((int)k));
            store(&latest, k);
            tell_the_others();
            if (k % 32 == 0) /* it has been called since */
                wait_until(load(&of[1].runs) > before + 1);
        }
        store(&latest, ALL_ONES);
        for (unsigned h = 1; h <= others; h++)
            ipi(h);
        return;
    }
    for (;;) {
        uint64_t got;
        if (ipi_pending())
            serve(hart);
        if (of[hart].fenced == ALL_ONES)
            return;
        got = call(page);
        if (got < of[hart].fenced || got > load(&latest))
            guest_fail(__LINE__, "a function that was rewritten returned", got, of[hart].fenced);
        store(&of[hart].runs, of[hart].runs + 1);
    }
}

/* A loop that only the rewrite ends: the hart is in it, in every mode, when the interrupt comes. */
static void rewritten_loop(unsigned hart)
{
    struct ctx *c = &of[hart].c;
    uint8_t *loop = page + 256;
    c->clear = MSTATUS_MPIE;
    for (unsigned n = 0; n < rewrites; n++) {
        uint64_t mode = n % 3 == 2 ? PRIV_M : n % 3;
        if (hart == 0) {
            put_insn(loop, INSN_NOP);
            put_insn(loop + 4, insn_jal0(n & 1 ? -4 : 0));
            put_insn(loop + 8, INSN_ECALL);
            latest = 2 * n;
            fence_i();
        }
        barrier_asleep();
        if (hart == 0) {
            uint64_t until = CLINT_MTIME + 500; /* let them get there */
            wait_until(CLINT_MTIME >= until);
            put_insn(n & 2 ? loop + 4 : loop, n & 2 ? INSN_NOP : insn_jal0(8));
            if (!(n & 1))
                put_insn(loop + 4, INSN_NOP); /* the loop of one instruction is here */
            store(&latest, 2 * n + 1);
            tell_the_others();
        } else {
            serve(hart); /* the interrupt that ended the barrier may be hart 0's next one too */
            csr_write(mie, BIT(IRQ_MSI));
            c->set = mode == PRIV_M ? MSTATUS_MPIE : 0;
            c->mode = mode;
            for (c->pc = addr(loop);; c->pc = c->epc) {
                ctx_run(c);
                if (c->cause != CAUSE_IRQ(IRQ_MSI))
                    break;
                serve(hart);
            }
            CHECK_EQ(c->cause, mode == PRIV_M ? CAUSE_ECALL_M : CAUSE_ECALL_U + mode);
            CHECK_EQ(c->epc, addr(loop) + 8);
            /* The stores may be seen before the interrupt is taken. */
            while (of[hart].fenced != 2 * n + 1) {
                ipi_await();
                serve(hart);
            }
            csr_write(mie, 0);
        }
        barrier_asleep();
    }
}

/* Every hart has a function and a count in one page; each calls its own and its neighbour's. */
static void one_page(unsigned hart)
{
    unsigned other = (hart + 1) % HARTS;
    uint8_t *mine = page + 1024 + SLOT * hart, *theirs = page + 1024 + SLOT * other;
    volatile uint64_t *count = (volatile uint64_t *)(void *)(mine + 16);
    volatile uint64_t *their_count = (volatile uint64_t *)(void *)(theirs + 16);
    uint64_t end = CLINT_MTIME + TOGETHER_MS * TICKS_PER_MS;
    for (uint64_t k = 1; k <= rewrites && CLINT_MTIME < end; k++) {
        uint64_t there, got;
        put_insn(mine, insn_li_a0((int)(k & 1023)));
        store(count, k); /* after the code */
        there = load(their_count);
        fence_i();
        got = call(mine);
        if (got != (k & 1023))
            guest_fail(__LINE__, "own function returned", got, k & 1023);
        got = call(theirs);
        /* Theirs went on, at most 511 times, since it was looked at. */
        if (load(their_count) - there < 500 && ((got - there) & 1023) > 511)
            guest_fail(__LINE__, "the other's function returned", got, there);
        CHECK_EQ(*count, k);
    }
}

static void run(unsigned beside, unsigned count, void (*f)(unsigned hart))
{
    others = beside;
    /* On several threads QEMU may keep what one hart translated while another's store to it was on
     * its way; on one thread it is right, and takes 100 ms for each turn. */
    rewrites = guest_on_peer() ? count / 20 + 1 : count;
    latest = 0;
    put_insn(page, insn_li_a0(0));
    for (unsigned h = 0; h < HARTS; h++)
        of[h].fenced = of[h].runs = 0;
    harts_run((2u << beside) - 1, f);
}

void guest_main(void)
{
    page = page_new();
    for (unsigned at = 0; at < PAGE; at += SLOT) {
        put_insn(page + at, insn_li_a0(0));
        put_insn(page + at + 4, INSN_RET);
    }
    fence_i();
    /* Few turns of all of them: where there are fewer CPUs than harts, each waits for the host. */
    run(1, 200, rewritten_function);
    run(HARTS - 1, 20, rewritten_function);
    run(1, 24, rewritten_loop);
    run(HARTS - 1, 6, rewritten_loop);
    run(HARTS - 1, TOGETHER_ROUNDS, one_page);
}
