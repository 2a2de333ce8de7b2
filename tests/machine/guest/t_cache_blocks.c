/*
 * Cache-block operations: menvcfg and senvcfg, permissions of the page, and what CBO.ZERO writes
 * (CMO 1.0).
 */
#include "guest.h"

SNIPPET(snip_inval, "cbo.inval (a1)\necall");
SNIPPET(snip_clean, "cbo.clean (a1)\necall");
SNIPPET(snip_flush, "cbo.flush (a1)\necall");
SNIPPET(snip_zero, "cbo.zero (a1)\necall");
SNIPPET(snip_prefetch, "ori zero, a1, 1\nori zero, a1, 0\necall"); /* prefetch.r, prefetch.i */

enum { CBIE = 4, CBCFE = 6, CBZE = 7 };
static char *const code[] = {snip_inval, snip_clean, snip_flush, snip_zero};
static const unsigned enable[] = {CBIE, CBCFE, CBCFE, CBZE};

static struct ctx c;
static struct space sp;
static uint8_t *data;
static uint64_t to_s, to_u;
#define DATA UINT64_C(0x1234567000)

static void fill(void)
{
    for (unsigned i = 0; i < 512; i++)
        data[i] = (uint8_t)(i | 1);
}

static void enables(void)
{
    static const uint64_t modes[] = {PRIV_U, PRIV_S, PRIV_M};
    for (unsigned i = 0; i < 4; i++)
        for (unsigned how = 0; how < 4; how++)
            for (unsigned m = 0; m < 3; m++) {
                uint64_t bit = i ? BIT(enable[i]) : UINT64_C(3) << CBIE, all = UINT64_C(15) << 4;
                bool good = modes[m] == PRIV_M || (how & 1 && (modes[m] == PRIV_S || how & 2));
                guest_note("insn", i);
                guest_note("how", how);
                guest_note("mode", modes[m]);
                csr_write(menvcfg, how & 1 ? bit : all & ~bit);
                csr_write(senvcfg, how & 2 ? bit : all & ~bit);
                run4(&c, modes[m], addr(code[i]), 0, addr(data) + 65, 0, 0);
                if (good)
                    CHECK_TRAP(&c, CAUSE_ECALL_U + modes[m], addr(code[i]) + 4, 0);
                else
                    CHECK_TRAP(&c, CAUSE_ILLEGAL, addr(code[i]), *(uint32_t *)(void *)code[i]);
            }
    csr_write(menvcfg, ALL_ONES);
    csr_write(senvcfg, ALL_ONES);
    csr_write(menvcfg, UINT64_C(0xf) << 4);
    csr_write(senvcfg, UINT64_C(0xf) << 4);
}

static void zeroes(void)
{
    for (unsigned at = 0; at < 256; at += 7) {
        unsigned block = at & ~63u;
        fill();
        run4(&c, PRIV_S, addr(snip_zero), 0, addr(data) + at, 0, 0);
        CHECK_EQ(c.cause, CAUSE_ECALL_S);
        for (unsigned i = 0; i < 512; i++)
            CHECK_EQ(((volatile uint8_t *)data)[i], i - block < 64 ? 0 : (i | 1) & 0xff);
    }
    /* The others leave data alone. */
    fill();
    for (unsigned i = 0; i < 3; i++)
        run4(&c, PRIV_U, addr(code[i]), 0, addr(data) + 64, 0, 0);
    for (unsigned i = 0; i < 512; i++)
        CHECK_EQ(((volatile uint8_t *)data)[i], (i | 1) & 0xff);
}

/* tval is the address as it was given, not the block's. QEMU rounds it. */
static uint64_t given(uint64_t offset)
{
    return guest_on_peer() ? offset & ~UINT64_C(63) : offset;
}

static void pages(void)
{
    static const struct {
        uint64_t bits;
        bool manage, zero; /* allowed in S mode */
    } rows[] = {
        {0, false, false},
        {PTE_RW, true, true},
        {PTE_RX, true, false},
        {PTE_V | PTE_X | PTE_A, false, false},
        {PTE_RW & ~PTE_A, false, false},
        {PTE_RW & ~PTE_D, true, false},
        {PTE_RW | PTE_U, false, false},
    };
    uint64_t *pte;
    space_init(&sp, 4, 1);
    to_s = space_snippets(&sp, UINT64_C(0x10000000), PTE_RX);
    to_u = space_snippets(&sp, UINT64_C(0x20000000), PTE_RX | PTE_U);
    pte = space_pte(&sp, DATA, 0);
    csr_write(satp, space_satp(&sp));
    for (unsigned r = 0; r < sizeof rows / sizeof rows[0]; r++)
        for (unsigned i = 0; i < 4; i++)
            for (unsigned at = 0; at < 130; at += 43) {
                uint64_t pc = addr(code[i]) + to_s;
                bool good = i == 3 ? rows[r].zero : rows[r].manage;
                guest_note("bits", rows[r].bits);
                guest_note("insn", i);
                *pte = rows[r].bits ? pte_make(addr(data), rows[r].bits) : 0;
                sfence_all();
                fill();
                run4(&c, PRIV_S, pc, 0, DATA + at, 0, 0);
                if (good) {
                    CHECK_TRAP(&c, CAUSE_ECALL_S, pc + 4, 0);
                } else {
                    CHECK_TRAP(&c, CAUSE_STORE_PAGE, pc, DATA + given(at));
                    CHECK_EQ(data[at & ~63u], (at & ~63u) | 1);
                }
                run4(&c, PRIV_S, addr(snip_prefetch) + to_s, 0, DATA + at, 0, 0);
                CHECK_TRAP(&c, CAUSE_ECALL_S, addr(snip_prefetch) + to_s + 8, 0);
            }
    /* Not memory at all, and not canonical. */
    for (unsigned i = 0; i < 4; i++) {
        uint64_t pc = addr(code[i]) + to_s;
        run4(&c, PRIV_S, pc, 0, BIT(62) + DATA + 5, 0, 0);
        CHECK_TRAP(&c, CAUSE_STORE_PAGE, pc, BIT(62) + DATA + given(5));
    }
    csr_write(satp, 0);
    sfence_all();
}

/* A block of which some bytes may not be written is left as it is. QEMU looks at its first bytes. */
static void parts(void)
{
    if (guest_on_peer())
        return;
    for (unsigned at = 64; at < 128; at += 7) {
        fill();
        csr_write(pmpcfg0, 0);
        csr_write(pmpaddr0, (addr(data) + 96) >> 2);
        csr_write(pmpaddr1, ALL_ONES);
        csr_write(pmpcfg0, 0x1f11); /* four bytes, to be read; all, for everything */
        run4(&c, PRIV_S, addr(snip_zero), 0, addr(data) + at, 0, 0);
        CHECK_TRAP(&c, CAUSE_STORE_ACCESS, addr(snip_zero), addr(data) + at);
        for (unsigned i = 0; i < 512; i++)
            CHECK_EQ(((volatile uint8_t *)data)[i], (i | 1) & 0xff);
        run4(&c, PRIV_S, addr(snip_zero), 0, addr(data) + 64 + at, 0, 0);
        CHECK_EQ(c.cause, CAUSE_ECALL_S);
        CHECK_EQ(((volatile uint8_t *)data)[64 + at], 0);
    }
}

void guest_main(void)
{
    data = page_new();
    enables();
    zeroes();
    pages();
    parts();
}
