/*
 * Code that changes: the next instruction, the running block, a page that holds data too, through
 * another mapping, and by every kind of store.
 */
#include "guest.h"

#define CODE  UINT64_C(0x1234567000) /* two pages, RWX */
#define ALIAS UINT64_C(0x2345678000) /* the same pages, RW */

static struct space sp;
static struct ctx c;
static uint8_t *code; /* physical */
static uint64_t mode, base, ecall_cause, alias;

static void at(unsigned offset, uint32_t insn)
{
    put32(code + offset, insn);
}

static void fill_nops(void)
{
    for (unsigned i = 0; i < 2 * PAGE; i += 4)
        at(i, INSN_NOP);
    fence_i();
}

enum { FENCE_I = 0x0000100f, SW_A2_A1 = 0x00c5a023 /* sw a2, (a1) */ };
/* The instruction right behind the store, with FENCE.I between; without it the old or the new one
 * may run. Entered from before, so that it all is one block. */
static void next_instruction(void)
{
    fill_nops();
    for (int fenced = 0; fenced < 2; fenced++)
        for (int i = 0; i < 20; i++) {
            at(0, INSN_NOP);
            at(4, SW_A2_A1);
            at(8, fenced ? FENCE_I : INSN_NOP);
            at(12, insn_li_a0(1));
            at(16, INSN_ECALL);
            fence_i();
            for (int warm = 0; warm < 2; warm++) { /* the store changes nothing yet */
                run4(&c, mode, base, 0, base + 12, insn_li_a0(1), 0);
                CHECK_TRAP(&c, ecall_cause, base + 16, 0);
                CHECK_EQ(c.x[10], 1);
            }
            run4(&c, mode, base, 0, base + 12, insn_li_a0(100 + i), 0);
            CHECK_TRAP(&c, ecall_cause, base + 16, 0);
            if (fenced)
                CHECK_EQ(c.x[10], 100 + i);
            else
                CHECK(c.x[10] == 1 || c.x[10] == 100 + (unsigned)i);
            fence_i();
            run4(&c, mode, base + 12, 0, 0, 0, 0);
            CHECK_EQ(c.x[10], 100 + i);
        }
}

/* A loop that patches its own body: addi a0, a0, n with n = 1, 2, 3... */
static void loop_that_counts(void)
{
    enum { ADDI_A0 = 0x00050513, LOOPS = 200 };
    fill_nops();
    at(0, ADDI_A0 | 1u << 20); /* the patched one */
    at(4, 0x00d60633);         /* add a2, a2, a3: the next immediate */
    at(8, SW_A2_A1);           /* into the first */
    at(12, FENCE_I);           /* */
    at(16, 0xfff70713);        /* addi a4, a4, -1 */
    at(20, 0xfe0716e3);        /* bnez a4, -20 */
    at(24, INSN_ECALL);
    fence_i();
    c.x[14] = LOOPS;
    run4(&c, mode, base, 0, base, ADDI_A0 | 1u << 20, 1u << 20);
    CHECK_TRAP(&c, ecall_cause, base + 24, 0);
    CHECK_EQ(c.x[10], LOOPS * (LOOPS + 1) / 2);
}

/* Code and a counter in one page: the stores do not disturb the code, nor the code the counter. */
static void data_beside_code(void)
{
    enum { LOOPS = 3000, LW_A0 = 0x0005a503, ADDI = 0x00150513, SW_A0 = 0x00a5a023 };
    fill_nops();
    at(0, LW_A0);
    at(4, ADDI);
    at(8, SW_A0);
    at(12, 0xfff70713); /* addi a4, a4, -1 */
    at(16, 0xfe0718e3); /* bnez a4, -16 */
    at(20, INSN_ECALL);
    at(64, 0);
    fence_i();
    c.x[14] = LOOPS;
    run4(&c, mode, base, 0, base + 64, 0, 0);
    CHECK_TRAP(&c, ecall_cause, base + 20, 0);
    CHECK_EQ(c.x[10], LOOPS);
    CHECK_EQ(*(volatile uint32_t *)(code + 64), LOOPS);
}

/* A function rewritten between calls; values come back, too. */
static void rewritten(void)
{
    fill_nops();
    at(PAGE + 4, INSN_ECALL);
    for (int i = 0; i < 300; i++) {
        int value = i % 7 ? i : 7;
        at(PAGE, insn_li_a0(value));
        fence_i();
        run4(&c, mode, base + PAGE, 0, 0, 0, 0);
        CHECK_EQ(c.x[10], value);
        run4(&c, mode, base + PAGE - 8, 0, 0, 0, 0); /* by falling into the page */
        CHECK_EQ(c.x[10], value);
    }
}

/* Each kind of store, run from a snippet in the same mode, at the address or its alias. */
SNIPPET(put_sb, "sb a2, (a1)\nsrli a2, a2, 8\nsb a2, 1(a1)\nsrli a2, a2, 8\nsb a2, 2(a1)\n"
                "srli a2, a2, 8\nsb a2, 3(a1)\nfence.i\njr a3");
SNIPPET(put_sh, "sh a2, (a1)\nsrli a2, a2, 16\nsh a2, 2(a1)\nfence.i\njr a3");
SNIPPET(put_sw, "sw a2, (a1)\nfence.i\njr a3");
SNIPPET(put_sd, "ld a4, (a1)\nsrli a4, a4, 32\nslli a4, a4, 32\nadd a2, a2, a4\nsd a2, (a1)\n"
                "fence.i\njr a3");
SNIPPET(put_odd, "lhu a4, -2(a1)\nslli a2, a2, 16\nor a2, a2, a4\nsd a2, -2(a1)\n"
                 "lwu a4, 2(a1)\nfence.i\njr a3"); /* misaligned; what it adds behind is put back */
SNIPPET(put_fsw, "fmv.w.x fa0, a2\nfsw fa0, (a1)\nfence.i\njr a3");
SNIPPET(put_swap, "amoswap.w a4, a2, (a1)\nfence.i\njr a3");
SNIPPET(put_xor, "lw a4, (a1)\nxor a4, a4, a2\namoxor.w a4, a4, (a1)\nfence.i\njr a3");
SNIPPET(put_sc, "1: lr.w a4, (a1)\nsc.w a4, a2, (a1)\nbnez a4, 1b\nfence.i\njr a3");
SNIPPET(put_csd, ".option rvc\nc.sw a2, 0(a1)\n.option norvc\nfence.i\njr a3");

static void by_every_store(uint64_t to, uint64_t target)
{
    static char *const stores[] = {put_sb,  put_sh,   put_sw,  put_sd, put_odd,
                                   put_fsw, put_swap, put_xor, put_sc, put_csd};
    fill_nops();
    for (unsigned i = 0; i < sizeof stores / sizeof stores[0]; i++)
        for (int round = 0; round < 6; round++) {
            guest_note("store", i);
            at(PAGE + 64, insn_li_a0(1));
            at(PAGE + 68, INSN_NOP);
            at(PAGE + 72, INSN_ECALL);
            fence_i();
            run4(&c, mode, base + PAGE + 64, 0, 0, 0, 0);
            CHECK_EQ(c.x[10], 1);
            if (stores[i] == put_odd) /* bytes 62..69: the nop's lower half as it is */
                run4(&c, mode, addr(stores[i]) + to, 0, target + PAGE + 64,
                     (uint64_t)insn_li_a0(round + 40) | UINT64_C(0x0013) << 32, base + PAGE + 64);
            else
                run4(&c, mode, addr(stores[i]) + to, 0, target + PAGE + 64, insn_li_a0(round + 40),
                     base + PAGE + 64);
            CHECK_TRAP(&c, ecall_cause, base + PAGE + 72, 0);
            CHECK_EQ(c.x[10], round + 40);
        }
}

SNIPPET(put_zero, "cbo.zero (a1)\nfence.i\njr a3");

static void by_zeroing(uint64_t to, uint64_t target)
{
    csr_write(menvcfg, BIT(7));
    for (int round = 0; round < 3; round++) {
        fill_nops();
        at(PAGE + 64, insn_li_a0(1));
        at(PAGE + 68, INSN_ECALL);
        fence_i();
        run4(&c, mode, base + PAGE + 64, 0, 0, 0, 0);
        CHECK_EQ(c.x[10], 1);
        run4(&c, mode, addr(put_zero) + to, 0, target + PAGE + 100, 0, base + PAGE + 64);
        CHECK_TRAP(&c, CAUSE_ILLEGAL, base + PAGE + 64, 0);
        CHECK_EQ(*(uint64_t *)(void *)(code + PAGE + 120), 0);
        CHECK_EQ(*(uint32_t *)(void *)(code + PAGE + 128), INSN_NOP);
    }
}

static void all(uint64_t to)
{
    c.set = MSTATUS_FS;
    next_instruction();
    loop_that_counts();
    data_beside_code();
    rewritten();
    by_every_store(to, base);
    by_every_store(to, alias);
    by_zeroing(to, alias);
}

void guest_main(void)
{
    code = page_new();
    page_new();
    mode = PRIV_M;
    base = alias = addr(code);
    ecall_cause = CAUSE_ECALL_M;
    all(0);
    for (int levels = 3; levels <= 4; levels++) {
        uint64_t to;
        space_init(&sp, levels, 1);
        to = space_snippets(&sp, UINT64_C(0x10000000), PTE_RX);
        for (uint64_t p = 0; p < 2 * PAGE; p += PAGE) {
            space_map(&sp, CODE + p, addr(code) + p, PTE_RWX);
            space_map(&sp, ALIAS + p, addr(code) + p, PTE_RW);
        }
        csr_write(satp, space_satp(&sp));
        sfence_all();
        mode = PRIV_S;
        base = CODE;
        alias = ALIAS;
        ecall_cause = CAUSE_ECALL_S;
        all(to);
        csr_write(satp, 0);
        sfence_all();
    }
}
