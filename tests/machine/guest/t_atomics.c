/*
 * Every AMO at both widths, and what LR and SC promise: a pair works, SC without LR fails and stores
 * nothing, and traps and returns end a reservation.
 */
#include "guest.h"

/* Two AMOs each: .w and .d, 8 bytes of code. */
#define AMO(name)                                                                                  \
    SNIPPET(snip_##name##_w, "amo" #name ".w a0, a2, (a1)\necall");                                \
    SNIPPET(snip_##name##_d, "amo" #name ".d a0, a2, (a1)\necall")
AMO(swap);
AMO(add);
AMO(xor);
AMO(and);
AMO(or);
AMO(min);
AMO(max);
AMO(minu);
AMO(maxu);
SNIPPET(snip_lr_w, "lr.w a0, (a1)\necall");
SNIPPET(snip_lr_d, "lr.d a0, (a1)\necall");
SNIPPET(snip_sc_w, "sc.w a0, a2, (a1)\necall");
SNIPPET(snip_sc_d, "sc.d a0, a2, (a1)\necall");
SNIPPET(snip_pair_w, "lr.w a0, (a1)\nsc.w a3, a2, (a1)\necall");
SNIPPET(snip_pair_d, "lr.d a0, (a1)\nsc.d a3, a2, (a1)\necall");
SNIPPET(snip_twice, "lr.d a0, (a1)\nsc.d a3, a2, (a1)\nsc.d a4, a0, (a1)\necall");
SNIPPET(snip_elsewhere, "lr.d a0, (a1)\nli a5, 4096\nadd a5, a5, a1\nsc.d a3, a2, (a5)\necall");
SNIPPET(snip_x0, "amoadd.d zero, a2, (a1)\namoswap.w zero, zero, (a1)\necall");
SNIPPET(snip_alias, "amoadd.d a1, a2, (a1)\namoadd.d a2, a2, (a3)\necall");
/* 1000 increments by LR/SC, with work between. */
SNIPPET(snip_count, "1: lr.w a0, (a1)\naddi a0, a0, 1\nsc.w a3, a0, (a1)\nbnez a3, 1b\n"
                    "addi a2, a2, -1\nbnez a2, 1b\necall");
/*
 * Constrained loops (14.3), at most a5 rounds of each: over instructions, which changes nothing but a
 * count in a4; to one of two SCs, which add 1 and 2; by a jump; over a load and a store, which an LR/SC
 * loop need not get through, and does here.
 */
#define TRIES " bnez a3, 3f\n ecall\n3: addi a5, a5, -1\n bnez a5, 1b\n ecall"
SNIPPET(snip_over, "1: lr.w a0, (a1)\nmv a6, a0\nbge a0, a2, 2f\naddi a6, a6, 1\naddi a4, a4, 1\n"
                   "2: sc.w a3, a6, (a1)\n" TRIES);
SNIPPET(snip_over_two,
        "1: lr.d a0, (a1)\nmv a6, a0\nbne a0, a2, 2f\naddi a6, a6, 5\n"
        "2: addi a6, a6, 1\nblt a0, a2, 2f\naddi a4, a4, 1\n2: sc.d a3, a6, (a1)\n" TRIES);
SNIPPET(snip_over_over, "1: lr.d a0, (a1)\nmv a6, a0\nbeqz a0, 2f\nbne a0, a2, 2f\naddi a6, a6, 5\n"
                        "2: addi a6, a6, 1\nsc.d a3, a6, (a1)\n" TRIES);
SNIPPET(snip_arms, "1: lr.d a0, (a1)\nblt a0, a2, 2f\naddi a6, a0, 1\nsc.d a3, a6, (a1)\nj 4f\n"
                   "2: addi a6, a0, 2\nsc.d a3, a6, (a1)\n4:" TRIES);
SNIPPET(snip_either, "1: lr.w a0, (a1)\nbge a0, a2, 2f\naddi a6, a0, 2\nj 4f\n2: addi a6, a0, 1\n"
                     "4: sc.w a3, a6, (a1)\n" TRIES);
SNIPPET(snip_access, "1: lr.d a0, (a1)\nld a6, 8(a1)\nblt a0, a2, 2f\nsd a0, 8(a1)\n"
                     "2: addi a6, a0, 1\nsc.d a3, a6, (a1)\n" TRIES);
/* LR, then what ends the reservation by itself. */
SNIPPET(snip_lr_mret, "la a4, 1f\ncsrw mepc, a4\nli a4, 3 << 11\ncsrs mstatus, a4\nlr.d a0, (a1)\n"
                      "mret\n1: sc.d a0, a2, (a1)\necall");
SNIPPET(snip_lr_sret, "la a4, 1f\ncsrw sepc, a4\nli a4, 1 << 8\ncsrs sstatus, a4\nlr.d a0, (a1)\n"
                      "sret\n1: sc.d a0, a2, (a1)\necall");

enum op { SWAP, ADD, XOR, AND, OR, MIN, MAX, MINU, MAXU, OPS };
static char *const code[OPS][2] = {
    {snip_swap_w, snip_swap_d}, {snip_add_w, snip_add_d},   {snip_xor_w, snip_xor_d},
    {snip_and_w, snip_and_d},   {snip_or_w, snip_or_d},     {snip_min_w, snip_min_d},
    {snip_max_w, snip_max_d},   {snip_minu_w, snip_minu_d}, {snip_maxu_w, snip_maxu_d},
};

static struct ctx c;
static uint64_t *cells; /* two pages */

static uint64_t result(enum op op, bool wide, uint64_t a, uint64_t b)
{
    int64_t sa = wide ? (int64_t)a : (int32_t)a, sb = wide ? (int64_t)b : (int32_t)b;
    uint64_t ua = wide ? a : (uint32_t)a, ub = wide ? b : (uint32_t)b;
    switch (op) {
    case SWAP: return b;
    case ADD: return a + b;
    case XOR: return a ^ b;
    case AND: return a & b;
    case OR: return a | b;
    case MIN: return sa < sb ? a : b;
    case MAX: return sa > sb ? a : b;
    case MINU: return ua < ub ? a : b;
    default: return ua > ub ? a : b;
    }
}

static void amos(uint64_t *at)
{
    static const uint64_t values[] = {
        0,
        1,
        0x7fffffff,
        0x80000000,
        0xffffffff,
        0x100000000,
        0x7fffffffffffffff,
        0x8000000000000000,
        ALL_ONES,
        0x123456789abcdef0,
        0xfedcba9800000001,
    };
    enum { COUNT = sizeof values / sizeof values[0] };
    for (enum op op = 0; op < OPS; op++)
        for (unsigned i = 0; i < COUNT; i++)
            for (unsigned k = 0; k < COUNT; k++)
                for (unsigned where = 0; where < 3; where++) { /* .d, .w low, .w high */
                    uint64_t old = values[i], b = values[k], want, was;
                    guest_note("op", op);
                    guest_note("old", old);
                    guest_note("operand", b);
                    guest_note("where", where);
                    *at = old;
                    run4(&c, PRIV_M, addr(code[op][where == 0]), 0, addr(at) + (where == 2 ? 4 : 0),
                         b, 0);
                    CHECK_EQ(c.cause, CAUSE_ECALL_M);
                    if (where == 0) {
                        want = result(op, true, old, b);
                        was = old;
                    } else {
                        unsigned shift = where == 2 ? 32 : 0;
                        uint64_t part = result(op, false, old >> shift, b) & UINT32_MAX;
                        want = (old & ~((uint64_t)UINT32_MAX << shift)) | part << shift;
                        was = (uint64_t)(int64_t)(int32_t)(old >> shift);
                    }
                    CHECK_EQ(*(volatile uint64_t *)at, want);
                    CHECK_EQ(c.x[10], was);
                }
}

static void pairs(uint64_t *at)
{
    volatile uint64_t *p = at;
    for (int i = 0; i < 3; i++) {
        *p = UINT64_C(0x1122334480000001);
        run4(&c, PRIV_M, addr(snip_pair_w), 9, addr(at), 5, 9);
        CHECK_EQ(c.x[10], UINT64_C(0xffffffff80000001));
        CHECK_EQ(c.x[13], 0);
        CHECK_EQ(*p, UINT64_C(0x1122334400000005));
        run4(&c, PRIV_M, addr(snip_pair_d), 9, addr(at), ALL_ONES, 9);
        CHECK_EQ(c.x[10], UINT64_C(0x1122334400000005));
        CHECK_EQ(c.x[13], 0);
        CHECK_EQ(*p, ALL_ONES);
        /* A reservation serves one SC. */
        run4(&c, PRIV_M, addr(snip_twice), 9, addr(at), 77, 0);
        CHECK_EQ(c.x[13], 0);
        CHECK_EQ(c.x[14], 1);
        CHECK_EQ(*p, 77);
        /* And the address that it was made for. */
        run4(&c, PRIV_M, addr(snip_elsewhere), 9, addr(at), 78, 0);
        CHECK_EQ(c.x[13], 1);
        CHECK_EQ(*p, 77);
        CHECK_EQ(at[512], 0);
        *p = 0;
        run4(&c, PRIV_M, addr(snip_count), 0, addr(at), 1000, 0);
        CHECK_EQ(c.cause, CAUSE_ECALL_M);
        CHECK_EQ(*p, 1000);
    }
}

/* SC alone, wherever the last one was; LR and SC with a trap and a return between them. */
static void lost(uint64_t *at)
{
    volatile uint64_t *p = at;
    for (int i = 0; i < 3; i++) {
        *p = 42;
        run4(&c, PRIV_M, addr(snip_sc_d), 9, addr(at), 1, 0);
        CHECK_EQ(c.x[10], 1);
        CHECK_EQ(*p, 42);
        run4(&c, PRIV_M, addr(snip_sc_w), 9, addr(at), 1, 0);
        CHECK_EQ(c.x[10], 1);
        CHECK_EQ(*p, 42);
        for (unsigned mode = PRIV_U; mode <= PRIV_S; mode++) {
            run4(&c, mode, addr(snip_lr_d), 9, addr(at), 1, 0);
            CHECK_EQ(c.x[10], 42);
            run4(&c, mode, addr(snip_sc_d), 9, addr(at), 1, 0);
            CHECK_EQ(c.x[10], 1);
            CHECK_EQ(*p, 42);
            run4(&c, mode, addr(snip_lr_w), 9, addr(at), 1, 0);
            CHECK_EQ(c.x[10], 42);
            run4(&c, mode, addr(snip_sc_w), 9, addr(at), 1, 0);
            CHECK_EQ(c.x[10], 1);
            CHECK_EQ(*p, 42);
        }
        run4(&c, PRIV_M, addr(snip_lr_mret), 9, addr(at), 1, 0);
        CHECK_EQ(c.cause, CAUSE_ECALL_M);
        CHECK_EQ(c.x[10], 1);
        CHECK_EQ(*p, 42);
        run4(&c, PRIV_S, addr(snip_lr_sret), 9, addr(at), 1, 0);
        CHECK_EQ(c.cause, CAUSE_ECALL_S);
        CHECK_EQ(c.x[10], 1);
        CHECK_EQ(*p, 42);
    }
}

/* The handler's own SC does not find what the trapped code reserved. */
static void lost_in_handler(uint64_t *at)
{
    for (unsigned mode = PRIV_U; mode <= PRIV_M; mode += mode ? 2 : 1) {
        uint64_t failed;
        *(volatile uint64_t *)at = 42;
        run4(&c, mode, addr(snip_lr_d), 0, addr(at), 0, 0);
        CHECK_EQ(c.x[10], 42);
        __asm__ volatile("sc.d %0, zero, (%1)" : "=&r"(failed) : "r"(at) : "memory");
        CHECK_EQ(failed, 1);
        CHECK_EQ(*(volatile uint64_t *)at, 42);
    }
}

/* A loop on a cell that holds `from`, compared with a2. Alone, it ends with success. */
static void gets_through(uint64_t code, uint64_t *at, uint64_t from, uint64_t a2, uint64_t to)
{
    *(volatile uint64_t *)at = from;
    for (unsigned i = 14; i < 17; i++)
        c.x[i] = 0;
    c.x[15] = 1000;
    run4(&c, PRIV_M, code, 0, addr(at), a2, 9);
    guest_note("from", from);
    CHECK_EQ(c.cause, CAUSE_ECALL_M);
    CHECK_EQ(c.x[13], 0);
    CHECK_EQ(c.x[10], from);
    CHECK_EQ(*(volatile uint64_t *)at, to);
}

static void constrained(uint64_t *at)
{
    for (uint64_t v = 3; v <= 7; v++) {
        gets_through(addr(snip_over), at, v, 5, v < 5 ? v + 1 : v);
        CHECK_EQ(c.x[14], v < 5);
        gets_through(addr(snip_over_two), at, v, 5, v == 5 ? 11 : v + 1);
        CHECK_EQ(c.x[14], v >= 5);
        gets_through(addr(snip_over_over), at, v - 3, 2, v == 5 ? 8 : v - 2);
        gets_through(addr(snip_arms), at, v, 5, v < 5 ? v + 2 : v + 1);
        gets_through(addr(snip_either), at, v, 5, v < 5 ? v + 2 : v + 1);
        gets_through(addr(snip_access), at, v, 5, v + 1);
    }
}

/* The same with the border of a page anywhere in the loop; and with another loop there than before. */
static void constrained_over_a_border(uint64_t *at)
{
    static char *const loops[] = {snip_over, snip_over_two, snip_over_over, snip_arms, snip_either};
    uint64_t *page = page_new();
    page_new();
    for (unsigned bytes = 0; bytes <= 48; bytes += 2)
        for (unsigned n = 0; n < sizeof loops / sizeof loops[0]; n++) {
            uint8_t *to = (uint8_t *)page + 4096 - bytes;
            for (unsigned i = 0; i < 64; i++)
                to[i] = (uint8_t)loops[n][i];
            fence_i();
            guest_note("bytes", bytes);
            gets_through(addr(to), at, 7, 5, n ? 8 : 7);
            gets_through(addr(to), at, 3, 5, n == 1 || n == 2 || n == 0 ? 4 : 5);
        }
}

/* Priv. 1.13, 3.6.3: devices' registers can't be reserved; AMOs change them. QEMU's can. */
static void devices(void)
{
    uint64_t at = CLINT_BASE + 0x4000;
    static char *const sc[] = {snip_sc_w, snip_sc_d};
    static char *const lr[] = {snip_lr_w,   snip_lr_d, snip_pair_w,
                               snip_pair_d, snip_over, snip_arms};
    CLINT_MTIMECMP = 1000;
    run4(&c, PRIV_M, addr(snip_add_d), 0, at, 7, 0);
    CHECK_EQ(c.x[10], 1000);
    CHECK_EQ(CLINT_MTIMECMP, 1007);
    run4(&c, PRIV_M, addr(snip_max_d), 0, at, 3, 0);
    CHECK_EQ(c.x[10], 1007);
    CHECK_EQ(CLINT_MTIMECMP, 1007);
    for (unsigned i = 0; i < 6 && !guest_on_peer(); i++) {
        run4(&c, PRIV_M, addr(lr[i]), 0, at, 3, 0);
        CHECK_TRAP(&c, CAUSE_LOAD_ACCESS, addr(lr[i]), at);
    }
    for (unsigned i = 0; i < 2 && !guest_on_peer(); i++) {
        run4(&c, PRIV_M, addr(sc[i]), 0, at, 3, 0);
        CHECK_TRAP(&c, CAUSE_STORE_ACCESS, addr(sc[i]), at);
    }
    CHECK_EQ(CLINT_MTIMECMP, 1007);
    CLINT_MTIMECMP = ALL_ONES;
}

/* SC at address 0, where "none" may be kept. */
static void nothing_reserved_at_zero(void)
{
    static struct space sp;
    uint64_t to;
    space_init(&sp, 3, 0);
    to = space_snippets(&sp, UINT64_C(0x10000000), PTE_RX);
    space_map(&sp, 0, addr(cells), PTE_RW);
    csr_write(satp, space_satp(&sp));
    sfence_all();
    cells[0] = 13;
    run4(&c, PRIV_S, addr(snip_sc_d) + to, 9, 0, 1, 0);
    CHECK_EQ(c.x[10], 1);
    CHECK_EQ(((volatile uint64_t *)cells)[0], 13);
    run4(&c, PRIV_S, addr(snip_pair_d) + to, 9, 0, 14, 0);
    CHECK_EQ(c.x[13], 0);
    CHECK_EQ(((volatile uint64_t *)cells)[0], 14);
    csr_write(satp, 0);
    sfence_all();
}

void guest_main(void)
{
    uint64_t *beside_code;
    cells = page_new();
    page_new();
    amos(cells);
    amos(&cells[511]);
    pairs(cells);
    lost(cells);
    lost_in_handler(cells);
    nothing_reserved_at_zero();
    constrained(cells);
    constrained_over_a_border(cells);
    devices();
    cells[3] = 5;
    run4(&c, PRIV_M, addr(snip_x0), 0, addr(&cells[3]), UINT64_C(0x300000004), 0);
    CHECK_EQ(cells[3], UINT64_C(0x300000000));
    cells[3] = 5;
    run4(&c, PRIV_M, addr(snip_alias), 0, addr(&cells[3]), 6, addr(&cells[3]));
    CHECK_EQ(c.x[11], 5);
    CHECK_EQ(c.x[12], 11);
    CHECK_EQ(cells[3], 17);
    /* The same in a page that holds code that ran. */
    beside_code = page_new();
    page_new();
    put32(&beside_code[8], INSN_ECALL);
    fence_i();
    run4(&c, PRIV_M, addr(&beside_code[8]), 0, 0, 0, 0);
    amos(&beside_code[16]);
    run4(&c, PRIV_M, addr(&beside_code[8]), 0, 0, 0, 0);
    CHECK_EQ(c.cause, CAUSE_ECALL_M);
    pairs(&beside_code[16]);
    run4(&c, PRIV_M, addr(&beside_code[8]), 0, 0, 0, 0);
    lost(&beside_code[16]);
    run4(&c, PRIV_M, addr(&beside_code[8]), 0, 0, 0, 0);
    constrained(&beside_code[16]);
}
