/*
 * What costs a translator memory: all of Sv48 touched here and there, address spaces without end, code
 * that is never the same twice, and more code than a cache can hold. Four pages of tables map
 * everything: each table's entries all lead to the one next table, so that the guest needs next to no
 * memory for it. Built again with more rounds (HOSTILE_ROUNDS) it is what tests of peak memory run.
 */
#include "guest.h"

#ifndef HOSTILE_ROUNDS
#define HOSTILE_ROUNDS 1
#endif

/* Of the lowest table: entries up to WRITABLE_CODE show the data page, that one the page that code
 * is written to, and those behind it the snippets. */
enum { WRITABLE_CODE = 255, ENTRIES = 512, ENTRIES_SHIFT = 9 };
enum { TOUCHES = 20000 * HOSTILE_ROUNDS, CALLS = 20000 * HOSTILE_ROUNDS };
enum { SWITCHES = 4000 * HOSTILE_ROUNDS, REWRITES = 3000 * HOSTILE_ROUNDS };

/* a1 becomes the next number of a row of random ones. */
#define XORSHIFT                                                                                   \
    "slli a5, a1, 13\nxor a1, a1, a5\nsrli a5, a1, 7\nxor a1, a1, a5\nslli a5, a1, 17\n"           \
    "xor a1, a1, a5\n"
/* a5: an address of Sv48 made of it, canonical; a3 masks it. */
#define ANYWHERE XORSHIFT "slli a5, a1, 16\nsrai a5, a5, 16\nand a5, a5, a3\n"

/* a2: how often. The sum of what was stored and loaded is in a0. */
SNIPPET(touch, "li a0, 0\n1: " ANYWHERE "sd a2, (a5)\nld a6, (a5)\nadd a0, a0, a6\n"
               "addi a2, a2, -1\nbnez a2, 1b\necall");
/* a2: how often, a4: bits to be set, which lead to the function below. */
SNIPPET(call,
        "li a0, 0\n1: " ANYWHERE "or a5, a5, a4\njalr a5\naddi a2, a2, -1\nbnez a2, 1b\necall");
SNIPPET(function, "addi a0, a0, 1\nret");
/* a1: how often, a2 and a3: two spaces' satp with ASID 0 and 1, a4: what to load. */
SNIPPET(switch_spaces, "li a0, 0\nli a5, 0\n1: slli a6, a5, 44\nadd a7, a2, a6\ncsrw satp, a7\n"
                       "ld a7, (a4)\nadd a0, a0, a7\nadd a7, a3, a6\ncsrw satp, a7\nld a7, (a4)\n"
                       "add a0, a0, a7\naddi a5, a5, 2\nslli a5, a5, 48\nsrli a5, a5, 48\n"
                       "addi a1, a1, -1\nbnez a1, 1b\necall");
/* a1: where, a2: how often, a3: addi a0, a0, 0. */
SNIPPET(rewrite, "li a0, 0\n1: andi a4, a2, 0x3ff\nslli a4, a4, 20\nor a4, a4, a3\nsw a4, (a1)\n"
                 "fence.i\njalr a1\naddi a2, a2, -1\nbnez a2, 1b\necall");

static struct ctx c;
static uint8_t *writable;
static volatile uint64_t *data_page[2];
static uint64_t code_offset; /* from a snippet's address to one at which every space has it */

/* A space that shows one page of data everywhere. */
static uint64_t make_space(unsigned which)
{
    extern char snip_begin[], snip_end[];
    uint64_t *table = page_new(), below;
    CHECK(snip_end - snip_begin <= PAGE);
    data_page[which] = page_new();
    for (unsigned i = 0; i < ENTRIES; i++)
        table[i] = i < WRITABLE_CODE    ? pte_make(addr(data_page[which]), PTE_RW)
                   : i == WRITABLE_CODE ? pte_make(addr(writable), PTE_RWX)
                                        : pte_make(addr(snip_begin), PTE_RX);
    for (int level = 1; level < 4; level++) {
        below = addr(table);
        table = page_new();
        for (unsigned i = 0; i < ENTRIES; i++)
            table[i] = pte_make(below, PTE_V);
    }
    code_offset = (uint64_t)(WRITABLE_CODE + 1) * PAGE - addr(snip_begin);
    return UINT64_C(9) << 60 | (uint64_t)which << 44 | addr(table) >> 12;
}

static void touch_everywhere(void)
{
    const uint64_t n = TOUCHES;
    c.x[11] = 1;
    run4(&c, PRIV_S, addr(touch) + code_offset, 0, 0x9e3779b97f4a7c15, n,
         ~(uint64_t)((WRITABLE_CODE + 1) * PAGE | 7));
    CHECK_EQ(c.cause, CAUSE_ECALL_S);
    CHECK_EQ(c.x[10], n * (n + 1) / 2);
}

/* The last page below the snippets' is where code is written, so that this bit leads to theirs. */
static void call_everywhere(void)
{
    extern char snip_begin[];
    c.x[14] = (uint64_t)(WRITABLE_CODE + 1) * PAGE | (addr(function) - addr(snip_begin));
    run4(&c, PRIV_S, addr(call) + code_offset, 0, 0x2545f4914f6cdd1d, CALLS, ~UINT64_C(0xfff));
    CHECK_EQ(c.cause, CAUSE_ECALL_S);
    CHECK_EQ(c.x[10], CALLS);
}

static void use_all_asids(const uint64_t *satp)
{
    data_page[0][1] = 1;
    data_page[1][1] = UINT64_C(1) << 32;
    c.x[14] = UINT64_C(0x123400000008);
    run4(&c, PRIV_S, addr(switch_spaces) + code_offset, 0, SWITCHES, satp[0], satp[1]);
    CHECK_EQ(c.cause, CAUSE_ECALL_S);
    CHECK_EQ(c.x[10], SWITCHES * (UINT64_C(1) + (UINT64_C(1) << 32)));
}

static void rewrite_all_the_time(void)
{
    uint64_t sum = 0;
    put32(writable + 4, INSN_RET);
    for (uint64_t i = 1; i <= REWRITES; i++)
        sum += i & 0x3ff;
    run4(&c, PRIV_S, addr(rewrite) + code_offset, 0, (uint64_t)WRITABLE_CODE * PAGE, REWRITES,
         0x00050513);
    CHECK_EQ(c.cause, CAUSE_ECALL_S);
    CHECK_EQ(c.x[10], sum);
}

void guest_main(void)
{
    uint64_t satp[2];
    writable = page_new();
    for (unsigned i = 0; i < 2; i++)
        satp[i] = make_space(i);
    csr_write(satp, satp[0]);
    sfence_all();
    touch_everywhere();
    call_everywhere();
    rewrite_all_the_time();
    use_all_asids(satp);
    csr_write(satp, satp[1]); /* another space, and all of it once more */
    touch_everywhere();
    call_everywhere();
    csr_write(satp, 0);
    sfence_all();
}
