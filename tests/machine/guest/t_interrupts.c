/*
 * Interrupts reach code that never leaves its loop, within 10 ms; and WFI ends by them (Priv. 1.13,
 * 3.1.9, 3.2.1, 3.3.3; Sstc).
 */
#include "guest.h"

enum { TICKS_PER_MS = 10000, LATE = 10 * TICKS_PER_MS, AHEAD = TICKS_PER_MS, TRIES = 8 };

SNIPPET(loop_self, "j .");
SNIPPET(loop_cself, ".option rvc\nc.j .\n.option norvc\nnop");
SNIPPET(loop_two, "1: addi a0, a0, 1\nj 2f\nnop\n2: addi a1, a1, 1\nj 1b");
SNIPPET(loop_branch, "1: addi a0, a0, 1\nbnez a0, 1b\nj 1b");
SNIPPET(loop_indirect, "la a3, 1f\n1: addi a0, a0, 1\njr a3");
SNIPPET(loop_calls, "1: jal a4, 2f\nj 1b\n2: addi a0, a0, 1\njr a4");
SNIPPET(loop_memory, "1: ld a0, (a1)\naddi a0, a0, 1\nsd a0, (a1)\nj 1b");
SNIPPET(loop_csr, "1: csrr a0, sstatus\nj 1b");
SNIPPET(loop_ops, "1: .rept 200\naddi a0, a0, 1\n.endr\nj 1b");
SNIPPET(loop_pages,
        "j 1f\n.balign 4096\n1: addi a0, a0, 1\nj 2f\n.balign 4096\n2: addi a1, a1, 1\nj 1b");
SNIPPET(wfi_loop, "1: wfi\nj 1b");
SNIPPET(wfi_once, "wfi\necall");
SNIPPET(set_msip, "sw a2, (a1)\n1: j 1b");
SNIPPET(enable_mie, "csrsi mstatus, 8\nsnip_after_mie: nop\necall");
SNIPPET_LABEL(snip_after_mie);
SNIPPET(enable_sie, "csrsi sstatus, 2\nsnip_after_sie: nop\necall");
SNIPPET_LABEL(snip_after_sie);
SNIPPET(enable_mie_reg, "csrs mie, a1\nsnip_after_mie_reg: nop\necall");
SNIPPET_LABEL(snip_after_mie_reg);
SNIPPET(snip_set_ssip, "csrsi sip, 2\nsnip_after_ssip: nop\necall");
SNIPPET_LABEL(snip_after_ssip);
SNIPPET(snip_time, "rdtime a0\necall");
SNIPPET(snip_stimecmp, "csrw stimecmp, a1\nsnip_stimecmp_loop: j .");
SNIPPET_LABEL(snip_stimecmp_loop);

static struct ctx c;
static uint64_t cell;

static void off(void)
{
    csr_write(mie, 0);
    CLINT_MTIMECMP = ALL_ONES;
    CLINT_MSIP = 0;
    csr_write(stimecmp, ALL_ONES);
    csr_write(mideleg, 0);
    c.clear = MSTATUS_MPIE | MSTATUS_SPIE | MSTATUS_SIE;
    c.set = 0;
}

/* The host may take its CPU from us for a while: one try of several has to be in time. */
static void in_loop(char *loop, unsigned size, uint64_t mode, bool sstc)
{
    uint64_t late = ALL_ONES, pc = addr(loop), due;
    guest_note("loop", pc);
    guest_note("mode", mode);
    for (int i = 0; i < TRIES && late >= LATE; i++) {
        off();
        due = CLINT_MTIME + AHEAD;
        if (sstc)
            csr_write(stimecmp, due);
        else
            CLINT_MTIMECMP = due;
        csr_write(mie, BIT(sstc ? IRQ_STI : IRQ_MTI));
        c.set = mode == PRIV_M ? MSTATUS_MPIE : 0;
        run4(&c, mode, pc, 1, addr(&cell), 0, 0);
        late = CLINT_MTIME - due;
        CHECK_EQ(c.cause, CAUSE_IRQ(sstc ? IRQ_STI : IRQ_MTI));
        CHECK_EQ(c.tval, 0);
        CHECK(c.epc >= pc && c.epc < pc + size);
        CHECK((int64_t)late >= 0);
    }
    CHECK(late < LATE);
    off();
}

static void loops(void)
{
    static const uint64_t modes[] = {PRIV_U, PRIV_S, PRIV_M};
    for (unsigned i = 0; i < 3; i++)
        for (int sstc = 0; sstc < 2; sstc++) {
            in_loop(loop_self, 4, modes[i], sstc);
            in_loop(loop_cself, 2, modes[i], sstc);
            in_loop(loop_two, 20, modes[i], sstc);
            in_loop(loop_branch, 12, modes[i], sstc);
            in_loop(loop_indirect, 20, modes[i], sstc);
            in_loop(loop_calls, 16, modes[i], sstc);
            in_loop(loop_memory, 16, modes[i], sstc);
            in_loop(loop_ops, 804, modes[i], sstc);
            in_loop(loop_pages, 3 * PAGE, modes[i], sstc);
            if (modes[i])
                in_loop(loop_csr, 8, modes[i], sstc);
            if (modes[i])
                in_loop(wfi_loop, 8, modes[i], sstc);
        }
}

/* The supervisor's own timer: delegated, armed by itself, taken by S mode from a loop in U and S. */
static void own_timer(void)
{
    for (unsigned mode = PRIV_U; mode <= PRIV_S; mode++) {
        off();
        csr_write(mcounteren, 2);
        csr_write(scounteren, 2);
        csr_write(mideleg, BIT(IRQ_STI));
        csr_write(stvec, addr(snip_ecall));
        csr_write(mie, BIT(IRQ_STI));
        if (mode == PRIV_S) {
            c.set = MSTATUS_SIE;
            run4(&c, PRIV_S, addr(snip_stimecmp), 0, CLINT_MTIME + AHEAD, 0, 0);
        } else {
            csr_write(stimecmp, CLINT_MTIME + AHEAD);
            run4(&c, PRIV_U, addr(loop_self), 0, 0, 0, 0);
        }
        CHECK_TRAP(&c, CAUSE_ECALL_S, addr(snip_ecall), 0);
        CHECK_EQ(csr_read(scause), CAUSE_IRQ(IRQ_STI));
        CHECK_EQ(csr_read(sepc), mode == PRIV_S ? addr(snip_stimecmp_loop) : addr(loop_self));
        CHECK_EQ(csr_read(mip), BIT(IRQ_STI));
        csr_write(mip, 0); /* read-only with Sstc */
        CHECK_EQ(csr_read(mip), BIT(IRQ_STI));
        csr_write(stimecmp, ALL_ONES);
        CHECK_EQ(csr_read(mip), 0);
        csr_write(stimecmp, 0);
        CHECK_EQ(csr_read(mip), BIT(IRQ_STI));
        c.set = 0; /* SIE 0: not taken */
        run4(&c, PRIV_S, addr(snip_time), 0, 0, 0, 0);
        CHECK_TRAP(&c, CAUSE_ECALL_S, addr(snip_time) + 4, 0);
        CHECK(c.x[10] && c.x[10] <= CLINT_MTIME);
        off();
        CHECK_EQ(csr_read(mip), 0);
    }
    /* Without STCE the supervisor has no timer of its own, and STIP is software's. */
    csr_write(menvcfg, 0);
    csr_write(mip, BIT(IRQ_STI));
    CHECK_EQ(csr_read(mip), BIT(IRQ_STI));
    csr_write(mip, 0);
    CHECK_EQ(csr_read(mip), 0);
    run4(&c, PRIV_S, addr(snip_stimecmp), 0, 0, 0, 0);
    CHECK_TRAP(&c, CAUSE_ILLEGAL, addr(snip_stimecmp), 0x14d59073);
    csr_write(menvcfg, BIT(63));
    csr_write(mcounteren, 0); /* nor without mcounteren.TM */
    run4(&c, PRIV_S, addr(snip_stimecmp), 0, 0, 0, 0);
    CHECK_TRAP(&c, CAUSE_ILLEGAL, addr(snip_stimecmp), 0x14d59073);
}

/* WFI waits for what mie enables, whatever mstatus says, and goes on behind itself. */
static void waiting(void)
{
    static const uint64_t modes[] = {PRIV_S, PRIV_M};
    for (unsigned i = 0; i < 2; i++)
        for (int enabled = 0; enabled < 2; enabled++) {
            uint64_t start;
            guest_note("mode", modes[i]);
            guest_note("enabled", (uint64_t)enabled);
            /* Once more if the host held us up for so long that the interrupt came before. */
            for (int tries = 0; tries < TRIES; tries++) {
                off();
                if (modes[i] == PRIV_S && !enabled)
                    csr_write(mideleg, BIT(IRQ_STI)); /* S mode with SIE 0 */
                start = CLINT_MTIME;
                csr_write(stimecmp, start + 2 * AHEAD);
                csr_write(mie, BIT(IRQ_STI));
                c.set = enabled ? MSTATUS_MPIE : 0;
                run4(&c, modes[i], addr(wfi_once), 0, 0, 0, 0);
                if (c.epc != addr(wfi_once))
                    break;
            }
            CHECK(CLINT_MTIME - start >= 2 * AHEAD);
            if (enabled)
                CHECK_TRAP(&c, CAUSE_IRQ(IRQ_STI), addr(wfi_once) + 4, 0);
            else
                CHECK_TRAP(&c, modes[i] == PRIV_S ? CAUSE_ECALL_S : CAUSE_ECALL_M,
                           addr(wfi_once) + 4, 0);
            run4(&c, modes[i], addr(wfi_once), 0, 0, 0, 0); /* pending already: no wait */
            CHECK_EQ(c.epc, addr(wfi_once) + (enabled ? 0 : 4));
        }
    off();
}

static void software(void)
{
    off();
    csr_write(mie, BIT(IRQ_MSI));
    for (int i = 0; i < 10; i++) {
        c.set = MSTATUS_MPIE;
        run4(&c, PRIV_M, addr(set_msip), 0, CLINT_BASE, 1, 0);
        CHECK_EQ(c.cause, CAUSE_IRQ(IRQ_MSI));
        CHECK_EQ(c.epc, addr(set_msip) + 4);
        CHECK_EQ(csr_read(mip), BIT(IRQ_MSI));
        csr_write(mip, 0); /* the device's line, not software's */
        CHECK_EQ(csr_read(mip), BIT(IRQ_MSI));
        CHECK_EQ(CLINT_MSIP, 1);
        CLINT_MSIP = 0;
        CHECK_EQ(csr_read(mip), 0);
    }
    CLINT_MSIP = ALL_ONES & UINT32_MAX; /* one bit */
    CHECK_EQ(CLINT_MSIP, 1);
    off();
}

/* What opens the door lets the interrupt in before the next instruction. */
static void at_once(void)
{
    for (int i = 0; i < 5; i++) {
        off();
        CLINT_MSIP = 1;
        csr_write(mie, BIT(IRQ_MSI));
        run4(&c, PRIV_M, addr(enable_mie), 0, 0, 0, 0);
        CHECK_TRAP(&c, CAUSE_IRQ(IRQ_MSI), addr(snip_after_mie), 0);
        csr_write(mie, 0);
        c.set = MSTATUS_MPIE;
        run4(&c, PRIV_M, addr(enable_mie_reg), 0, BIT(IRQ_MSI), 0, 0);
        CHECK_TRAP(&c, CAUSE_IRQ(IRQ_MSI), addr(snip_after_mie_reg), 0);
        off();
        csr_write(mideleg, BIT(IRQ_SSI));
        csr_write(stvec, addr(snip_ecall));
        csr_write(mie, BIT(IRQ_SSI));
        csr_write(mip, BIT(IRQ_SSI));
        run4(&c, PRIV_S, addr(enable_sie), 0, 0, 0, 0);
        CHECK_TRAP(&c, CAUSE_ECALL_S, addr(snip_ecall), 0);
        CHECK_EQ(csr_read(sepc), addr(snip_after_sie));
        csr_write(mip, 0);
        c.set = MSTATUS_SIE;
        run4(&c, PRIV_S, addr(snip_set_ssip), 0, 0, 0, 0);
        CHECK_TRAP(&c, CAUSE_ECALL_S, addr(snip_ecall), 0);
        CHECK_EQ(csr_read(sepc), addr(snip_after_ssip));
        csr_write(mip, 0);
    }
    off();
}

void guest_main(void)
{
    csr_write(menvcfg, BIT(63)); /* STCE */
    csr_write(mcounteren, 2);
    off();
    loops();
    own_timer();
    csr_write(menvcfg, BIT(63));
    csr_write(mcounteren, 2);
    waiting();
    software();
    at_once();
}
