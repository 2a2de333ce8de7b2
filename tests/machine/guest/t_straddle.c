/*
 * Four-byte instructions over a page border: the second page elsewhere, absent, not executable, the
 * wrong privilege, not memory, and remapped or rewritten after the instruction ran.
 */
#include "guest.h"

#define CODE UINT64_C(0x1234567000) /* and the page after it */
#define INSN (CODE + PAGE - 2)

static struct space sp;
static struct ctx c;
static uint8_t *first, *second, *other;
static uint64_t *pte1, *pte2;

static void put_straddling(uint8_t *a, uint8_t *b, uint32_t insn)
{
    *(volatile uint16_t *)(a + PAGE - 2) = (uint16_t)insn;
    *(volatile uint16_t *)b = (uint16_t)(insn >> 16);
    put32(b + 2, INSN_ECALL);
}

static void runs(unsigned mode, uint64_t start, uint64_t want)
{
    for (int again = 0; again < 3; again++) {
        run4(&c, mode, start, 0, 0, 0, 0);
        CHECK_TRAP(&c, mode == PRIV_U ? CAUSE_ECALL_U : CAUSE_ECALL_S, INSN + 4, 0);
        CHECK_EQ(c.x[10], want);
    }
}

/* From just before it, and by a jump and a branch from its own page. */
static void runs_both(unsigned mode, uint64_t want)
{
    runs(mode, INSN - 8, want);
    runs(mode, CODE + 64, want);
    runs(mode, CODE + 128, want);
}

static void faults(unsigned mode, uint64_t start, uint64_t cause, uint64_t tval)
{
    for (int again = 0; again < 3; again++) {
        run4(&c, mode, start, 0xdead, 0, 0, 0);
        CHECK_TRAP(&c, cause, INSN, tval);
        CHECK_EQ(c.x[10], 0xdead);
    }
}

/* Entered at the instruction itself, and from one before it in the same block. */
static void both(unsigned mode, uint64_t cause, uint64_t tval)
{
    faults(mode, INSN, cause, tval);
    faults(mode, INSN - 2, cause, tval);
    faults(mode, INSN - 8, cause, tval);
    faults(mode, CODE + 64, cause, tval);
}

static void second_page_faults(void)
{
    uint64_t good = *pte2;
    runs(PRIV_S, INSN, 7);
    runs_both(PRIV_S, 7);
    *pte2 = 0;
    sfence_all();
    both(PRIV_S, CAUSE_FETCH_PAGE, CODE + PAGE);
    *pte2 = good & ~(uint64_t)PTE_X;
    sfence_all();
    both(PRIV_S, CAUSE_FETCH_PAGE, CODE + PAGE);
    *pte2 = good | PTE_U;
    sfence_all();
    both(PRIV_S, CAUSE_FETCH_PAGE, CODE + PAGE);
    *pte1 |= PTE_U; /* and now both are U-mode's */
    sfence_all();
    runs(PRIV_U, INSN, 7);
    runs_both(PRIV_U, 7);
    *pte2 = good;
    sfence_all();
    both(PRIV_U, CAUSE_FETCH_PAGE, CODE + PAGE);
    *pte1 &= ~(uint64_t)PTE_U;
    *pte2 = good & ~(uint64_t)PTE_A;
    sfence_all();
    both(PRIV_S, CAUSE_FETCH_PAGE, CODE + PAGE);
    *pte2 = pte_make(UINT64_C(0x1000000), PTE_RX);
    sfence_all();
    both(PRIV_S, CAUSE_FETCH_ACCESS, CODE + PAGE);
    *pte2 = good;
    *pte1 &= ~(uint64_t)PTE_X; /* the first page: tval is the instruction's address */
    sfence_all();
    faults(PRIV_S, INSN, CAUSE_FETCH_PAGE, INSN);
    *pte1 |= PTE_X;
    sfence_all();
    runs(PRIV_S, INSN, 7);
    runs_both(PRIV_S, 7);
}

/* A two-byte instruction at the same place needs no second page. */
static void compressed_needs_none(void)
{
    uint64_t good = *pte2;
    *(volatile uint16_t *)(first + PAGE - 2) = 0x4521; /* c.li a0, 8 */
    fence_i();
    *pte2 = 0;
    sfence_all();
    for (int again = 0; again < 3; again++) {
        run4(&c, PRIV_S, INSN, 0, 0, 0, 0);
        CHECK_TRAP(&c, CAUSE_FETCH_PAGE, CODE + PAGE, CODE + PAGE);
        CHECK_EQ(c.x[10], 8);
        run4(&c, PRIV_S, INSN - 8, 0, 0, 0, 0);
        CHECK_TRAP(&c, CAUSE_FETCH_PAGE, CODE + PAGE, CODE + PAGE);
    }
    *pte2 = good;
    put_straddling(first, second, insn_li_a0(7));
    fence_i();
    sfence_all();
}

/* Fences by page, for the second page alone and for the first alone. */
static void remapped(void)
{
    uint8_t *second_now = second;
    put_straddling(first, second, insn_li_a0(0x010));
    /* imm's upper bits are in the second half */
    *(volatile uint16_t *)other = (uint16_t)(insn_li_a0(0x110) >> 16);
    put32(other + 2, INSN_ECALL);
    fence_i();
    for (int i = 0; i < 6; i++) {
        runs(PRIV_S, INSN, second_now == second ? 0x010 : 0x110);
        runs_both(PRIV_S, second_now == second ? 0x010 : 0x110);
        second_now = second_now == second ? other : second;
        *pte2 = pte_make(addr(second_now), PTE_RX);
        __asm__ volatile("sfence.vma %0, zero" ::"r"(CODE + PAGE) : "memory");
        runs(PRIV_S, INSN, second_now == second ? 0x010 : 0x110);
        runs_both(PRIV_S, second_now == second ? 0x010 : 0x110);
    }
    *pte2 = pte_make(addr(second), PTE_RX);
    sfence_all();
}

/* Each half is rewritten alone. */
static void rewritten(void)
{
    for (int i = 1; i < 6; i++) {
        uint32_t insn = insn_li_a0(i * 16);
        put_straddling(first, second, insn);
        fence_i();
        runs(PRIV_S, INSN, (uint64_t)i * 16);
        runs_both(PRIV_S, (uint64_t)i * 16);
        *(volatile uint16_t *)second = (uint16_t)(insn_li_a0(i * 16 + 512) >> 16);
        fence_i();
        runs(PRIV_S, INSN, (uint64_t)i * 16 + 512);
        runs_both(PRIV_S, (uint64_t)i * 16 + 512);
        *(volatile uint16_t *)(first + PAGE - 2) = (uint16_t)(insn | 0x4000); /* addi -> ori */
        *(volatile uint16_t *)(first + PAGE - 2) |= 0x2000;
        fence_i();
        runs(PRIV_S, INSN, (uint64_t)i * 16 + 512);
    }
}

void guest_main(void)
{
    second = page_new();
    other = page_new();
    first = page_new();
    for (int levels = 3; levels <= 4; levels++) {
        guest_note("levels", (uint64_t)levels);
        space_init(&sp, levels, 3);
        space_map(&sp, CODE, addr(first), PTE_RX);
        space_map(&sp, CODE + PAGE, addr(second), PTE_RX);
        pte1 = space_pte(&sp, CODE, 0);
        pte2 = space_pte(&sp, CODE + PAGE, 0);
        for (unsigned at = PAGE - 16; at < PAGE - 2; at += 2)
            *(volatile uint16_t *)(first + at) = INSN_C_NOP;
        put32(first + 64, insn_jal0(PAGE - 2 - 64));
        put32(first + 128, insn_beq0(PAGE - 2 - 128));
        put_straddling(first, second, insn_li_a0(7));
        fence_i();
        csr_write(satp, space_satp(&sp));
        sfence_all();
        second_page_faults();
        compressed_needs_none();
        remapped();
        rewritten();
        csr_write(satp, 0);
        sfence_all();
    }
}
