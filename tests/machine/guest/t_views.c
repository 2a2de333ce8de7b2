/*
 * One program, many views of memory: SUM, MXR and satp changed by the very code that depends on
 * them, more address spaces than an implementation may keep, and the end of RAM.
 */
#include "guest.h"

#define S_CODE UINT64_C(0x10000000)
#define DATA   UINT64_C(0x1234567000)
#define U_CODE UINT64_C(0x3456789000)

/* a1: U page, a2: SUM, a3: execute-only page, a4: MXR. The last load of each faults. */
SNIPPET(sum_loop, "li a5, 50\n1: csrs sstatus, a2\nld a0, (a1)\nsd a0, 8(a1)\ncsrc sstatus, a2\n"
                  "addi a5, a5, -1\nbnez a5, 1b\nsum_loop_bad: ld a0, (a1)\necall");
SNIPPET_LABEL(sum_loop_bad);
SNIPPET(sum_store, "csrs sstatus, a2\nsd a5, (a1)\ncsrc sstatus, a2\nsum_store_bad: sd a5, (a1)\n"
                   "ecall");
SNIPPET_LABEL(sum_store_bad);
SNIPPET(mxr_loop, "li a5, 50\n1: csrs sstatus, a4\nld a0, (a3)\ncsrc sstatus, a4\n"
                  "addi a5, a5, -1\nbnez a5, 1b\nmxr_loop_bad: ld a0, (a3)\necall");
SNIPPET_LABEL(mxr_loop_bad);
/* Both at once, in nested windows. */
SNIPPET(both_loop, "csrs sstatus, a2\ncsrs sstatus, a4\nld a0, (a1)\nld a5, (a3)\n"
                   "csrc sstatus, a2\nld a5, (a3)\ncsrc sstatus, a4\ncsrs sstatus, a2\n"
                   "ld a5, (a1)\nboth_loop_bad: ld a5, (a3)\necall");
SNIPPET_LABEL(both_loop_bad);
/* Comes in with SUM set. */
SNIPPET(sum_clear, "ld a0, (a1)\ncsrc sstatus, a2\nsum_clear_bad: ld a0, (a1)\necall");
SNIPPET_LABEL(sum_clear_bad);
/* Loads from the same address in two spaces, turn by turn: a1 address, a2 and a3 satp, a4 turns. */
SNIPPET(satp_loop, "li a0, 0\n1: csrw satp, a2\nld a5, (a1)\nslli a0, a0, 1\nadd a0, a0, a5\n"
                   "csrw satp, a3\nld a5, (a1)\nslli a0, a0, 1\nadd a0, a0, a5\n"
                   "addi a4, a4, -1\nbnez a4, 1b\necall");
/* M mode reads what S mode would: MPRV in a loop. a2: MPRV and MPP, a1: address. */
SNIPPET(mprv_loop, "li a5, 50\nli a0, 0\n1: csrs mstatus, a2\nld a3, (a1)\ncsrc mstatus, a2\n"
                   "ld a4, (a6)\nadd a0, a0, a3\nsub a0, a0, a4\naddi a5, a5, -1\nbnez a5, 1b\n"
                   "ecall");
SNIPPET(snip_ld, "ld a0, (a1)\necall");
SNIPPET(snip_sd, "sd a2, (a1)\necall");

static struct ctx c;
static struct space sp, other;
static uint64_t to;
static uint64_t *page_a, *page_b;

static void windows(void)
{
    uint64_t x_page = DATA + PAGE;
    space_map(&sp, DATA, addr(page_a), PTE_RW | PTE_U);
    space_map(&sp, x_page, addr(page_b), PTE_V | PTE_X | PTE_A);
    sfence_all();
    for (int i = 0; i < 5; i++) {
        guest_note("round", (uint64_t)i);
        c.clear = MSTATUS_SUM | MSTATUS_MXR;
        c.x[14] = MSTATUS_MXR;
        page_a[0] = 100 + (unsigned)i;
        page_b[0] = 200 + (unsigned)i;
        run4(&c, PRIV_S, addr(sum_loop) + to, 0, DATA, MSTATUS_SUM, x_page);
        CHECK_TRAP(&c, CAUSE_LOAD_PAGE, addr(sum_loop_bad) + to, DATA);
        CHECK_EQ(c.x[10], 100 + (unsigned)i);
        CHECK_EQ(((volatile uint64_t *)page_a)[1], 100 + (unsigned)i);
        c.x[15] = 5;
        run4(&c, PRIV_S, addr(sum_store) + to, 0, DATA, MSTATUS_SUM, x_page);
        CHECK_TRAP(&c, CAUSE_STORE_PAGE, addr(sum_store_bad) + to, DATA);
        CHECK_EQ(((volatile uint64_t *)page_a)[0], 5);
        run4(&c, PRIV_S, addr(mxr_loop) + to, 0, DATA, MSTATUS_SUM, x_page);
        CHECK_TRAP(&c, CAUSE_LOAD_PAGE, addr(mxr_loop_bad) + to, x_page);
        CHECK_EQ(c.x[10], 200 + (unsigned)i);
        run4(&c, PRIV_S, addr(both_loop) + to, 0, DATA, MSTATUS_SUM, x_page);
        CHECK_TRAP(&c, CAUSE_LOAD_PAGE, addr(both_loop_bad) + to, x_page);
        CHECK_EQ(c.x[10], 5);
        c.clear = MSTATUS_MXR;
        c.set = MSTATUS_SUM;
        run4(&c, PRIV_S, addr(sum_clear) + to, 0, DATA, MSTATUS_SUM, x_page);
        CHECK_TRAP(&c, CAUSE_LOAD_PAGE, addr(sum_clear_bad) + to, DATA);
        CHECK_EQ(c.x[10], 5);
        c.set = 0;
    }
}

static void switching(void)
{
    page_a[0] = 1;
    page_b[0] = 0;
    space_map(&sp, DATA, addr(page_a), PTE_RW);
    space_map(&other, DATA, addr(page_b), PTE_RW);
    sfence_all();
    c.x[14] = 32;
    run4(&c, PRIV_S, addr(satp_loop) + to, 0, DATA, space_satp(&sp), space_satp(&other));
    CHECK_EQ(c.cause, CAUSE_ECALL_S);
    CHECK_EQ(c.x[10], UINT64_C(0xaaaaaaaaaaaaaaaa));
    csr_write(satp, space_satp(&sp));
    /* M mode, translated and not, at the same address if there is one, and at another. */
    page_a[0] = 7;
    page_b[0] = 4;
    c.x[16] = addr(page_b);
    run4(&c, PRIV_M, addr(mprv_loop), 0, DATA, MSTATUS_MPRV | UINT64_C(1) << 11, 0);
    CHECK_EQ(c.cause, CAUSE_ECALL_M);
    CHECK_EQ(c.x[10], 150);
    /* Its own address is another page's in the space. */
    space_map(&sp, addr(page_b), addr(page_a), PTE_RW);
    sfence_all();
    run4(&c, PRIV_M, addr(mprv_loop), 0, addr(page_b), MSTATUS_MPRV | UINT64_C(1) << 11, 0);
    CHECK_EQ(c.x[10], 150);
}

/* U-mode code and data at the same addresses in 80 spaces, without a fence from one to the next. */
static void many(void)
{
    enum { COUNT = 80 };
    static struct space all[COUNT];
    uint8_t *code[2] = {page_new(), page_new()};
    for (int k = 0; k < 2; k++) {
        /* ld a0, (a1); addi a0, a0, k + 1; j over the border and back would need more pages */
        put32(code[k], 0x0005b503);
        put32(code[k] + 4, (uint32_t)(k + 1) << 20 | 0x50513);
        put32(code[k] + 8, INSN_ECALL);
    }
    fence_i();
    for (unsigned i = 0; i < COUNT; i++) {
        uint64_t *data = page_new();
        data[0] = 1000 * i;
        space_init(&all[i], 3, 200 + i);
        space_map(&all[i], U_CODE, addr(code[i % 3 == 0]), PTE_RX | PTE_U);
        space_map(&all[i], U_CODE + PAGE, addr(data), PTE_RW | PTE_U);
    }
    for (int round = 0; round < 4; round++)
        for (unsigned n = 0; n < COUNT; n++) {
            unsigned i = round & 1 ? n * 37 % COUNT : n;
            guest_note("space", i);
            csr_write(satp, space_satp(&all[i]));
            run4(&c, PRIV_U, U_CODE, 0, U_CODE + PAGE, 0, 0);
            CHECK_TRAP(&c, CAUSE_ECALL_U, U_CODE + 8, 0);
            CHECK_EQ(c.x[10], 1000 * i + (i % 3 == 0 ? 2 : 1));
        }
    csr_write(satp, 0);
    sfence_all();
}

/* RAM ends where 64 MiB of it do: code runs off it, accesses reach over it. */
static void end_of_ram(void)
{
    uint64_t end = UINT64_C(0x84000000);
    uint8_t *last = (uint8_t *)(uintptr_t)(end - PAGE);
    for (unsigned m = PRIV_U; m <= PRIV_M; m += m ? 2 : 1)
        for (int again = 0; again < 2; again++) {
            guest_note("mode", m);
            put32(last + 0xff8, INSN_NOP);
            put32(last + 0xffc, INSN_NOP);
            fence_i();
            run4(&c, m, end - 8, 0, 0, 0, 0);
            CHECK_TRAP(&c, CAUSE_FETCH_ACCESS, end, end);
            *(volatile uint16_t *)(last + 0xffc) = INSN_C_NOP;
            *(volatile uint16_t *)(last + 0xffe) = INSN_NOP;
            fence_i();
            run4(&c, m, end - 8, 0, 0, 0, 0);
            CHECK_TRAP(&c, CAUSE_FETCH_ACCESS, end - 2, end);
            run4(&c, m, addr(snip_ld), 0, end - 8, 0, 0);
            CHECK_EQ(c.cause, CAUSE_ECALL_U + m);
            run4(&c, m, addr(snip_ld), 0, end, 0, 0);
            CHECK_TRAP(&c, CAUSE_LOAD_ACCESS, addr(snip_ld), end);
            run4(&c, m, addr(snip_sd), 0, end, 0, 0);
            CHECK_TRAP(&c, CAUSE_STORE_ACCESS, addr(snip_sd), end);
            for (uint64_t n = 1; n < 8 && !guest_on_peer(); n++) { /* QEMU stores the first part */
                uint64_t before = *(volatile uint64_t *)(last + 0xff8);
                run4(&c, m, addr(snip_sd), 0, end - n, ALL_ONES, 0);
                CHECK_TRAP(&c, CAUSE_STORE_ACCESS, addr(snip_sd), end);
                CHECK_EQ(*(volatile uint64_t *)(last + 0xff8), before);
                run4(&c, m, addr(snip_ld), 0, end - n, 0, 0);
                CHECK_TRAP(&c, CAUSE_LOAD_ACCESS, addr(snip_ld), end);
            }
            /* And where it begins: below is PCI's window, which an access must not run out of. */
            run4(&c, m, addr(snip_ld), 0, UINT64_C(0x7ffffff8), 0, 0);
            CHECK_EQ(c.cause, CAUSE_ECALL_U + m);
            run4(&c, m, addr(snip_ld), 0, UINT64_C(0x7ffffffc), 0, 0);
            if (!guest_on_peer())
                CHECK_TRAP(&c, CAUSE_LOAD_ACCESS, addr(snip_ld), UINT64_C(0x7ffffffc));
        }
}

void guest_main(void)
{
    page_a = page_new();
    page_b = page_new();
    for (int levels = 3; levels <= 4; levels++) {
        guest_note("levels", (uint64_t)levels);
        space_init(&sp, levels, 1);
        space_init(&other, levels, 2);
        space_snippets(&other, S_CODE, PTE_RX);
        to = space_snippets(&sp, S_CODE, PTE_RX);
        csr_write(satp, space_satp(&sp));
        sfence_all();
        windows();
        switching();
        csr_write(satp, 0);
        sfence_all();
    }
    many();
    end_of_ram();
}
