/*
 * Physical memory protection: each kind of range, parts of pages, accesses that a border cuts,
 * fetches, page tables, M mode and locks (Priv. 1.13, 3.7).
 */
#include "guest.h"

SNIPPET(snip_lb, "lb a0, (a1)\necall");
SNIPPET(snip_lw, "lw a0, (a1)\necall");
SNIPPET(snip_ld, "ld a0, (a1)\necall");
SNIPPET(snip_sb, "sb a2, (a1)\necall");
SNIPPET(snip_sw, "sw a2, (a1)\necall");
SNIPPET(snip_sd, "sd a2, (a1)\necall");
SNIPPET(snip_amo, "amoadd.w a0, zero, (a1)\necall");
SNIPPET(snip_lr, "lr.w a0, (a1)\necall");

enum { R = 1, W = 2, X = 4, TOR = 1 << 3, NA4 = 2 << 3, NAPOT = 3 << 3, LOCK = 1 << 7 };
enum { ALL = R | W | X };

struct row {
    char *code;
    uint8_t size, needs;
    uint64_t cause;
};
static const struct row rows[] = {
    {snip_lb, 1, R, CAUSE_LOAD_ACCESS},       {snip_lw, 4, R, CAUSE_LOAD_ACCESS},
    {snip_ld, 8, R, CAUSE_LOAD_ACCESS},       {snip_sb, 1, W, CAUSE_STORE_ACCESS},
    {snip_sw, 4, W, CAUSE_STORE_ACCESS},      {snip_sd, 8, W, CAUSE_STORE_ACCESS},
    {snip_amo, 4, R | W, CAUSE_STORE_ACCESS}, {snip_lr, 4, R, CAUSE_LOAD_ACCESS},
};
enum { ROWS = sizeof rows / sizeof rows[0] };

static struct ctx c;
static uint8_t *data; /* two pages */
static uint64_t cfg;

static void set_cfg(unsigned entry, unsigned value)
{
    cfg = (cfg & ~(UINT64_C(0xff) << (8 * entry))) | (uint64_t)value << (8 * entry);
    csr_write(pmpcfg0, cfg);
    sfence_all();
}

static uint64_t napot(uint64_t base, uint64_t size)
{
    return base >> 2 | (size / 8 - 1);
}

/* Entry 3 grants everything; 0 to 2 are the tests'. */
static void reset(void)
{
    cfg = 0;
    csr_write(pmpcfg0, 0);
    csr_write(pmpaddr0, 0);
    csr_write(pmpaddr1, 0);
    csr_write(pmpaddr2, 0);
    csr_write(pmpaddr3, ALL_ONES >> 10);
    set_cfg(3, NAPOT | ALL);
}

static void access(const struct row *r, uint64_t mode, uint64_t at, bool good)
{
    guest_note("code", addr(r->code));
    guest_note("at", at);
    guest_note("mode", mode);
    run4(&c, mode, addr(r->code), 0, at, 0, 0);
    if (good)
        CHECK_TRAP(&c, CAUSE_ECALL_U + mode, addr(r->code) + 4, 0);
    else
        CHECK_TRAP(&c, r->cause, addr(r->code), at);
}

/* A range [first, last] of entry `perms`, all else granted: every access at and around its ends. */
static void around(uint64_t first, uint64_t last, unsigned perms, bool m_too)
{
    uint64_t ends[] = {first, last + 1};
    for (unsigned i = 0; i < ROWS; i++)
        for (unsigned e = 0; e < 2; e++)
            for (int64_t d = -16; d <= 16; d++) {
                const struct row *r = &rows[i];
                uint64_t a = ends[e] + (uint64_t)d, z = a + r->size - 1;
                bool touches = a <= last && z >= first, within = a >= first && z <= last;
                bool good = !touches || (within && (perms & r->needs) == r->needs);
                /* LR and AMO want alignment; QEMU splits what is misaligned into pieces that are
                 * judged alone. */
                if (a % r->size)
                    continue;
                access(r, PRIV_U, a, good);
                access(r, PRIV_S, a, good);
                access(r, PRIV_M, a, m_too ? good : !touches || within);
            }
}

static void ranges(void)
{
    static const unsigned perms[] = {0, R, R | W, R | X, X, ALL};
    uint64_t base = addr(data);
    for (unsigned i = 0; i < sizeof perms / sizeof perms[0]; i++) {
        guest_note("perms", perms[i]);
        for (uint64_t size = 8; size <= PAGE; size *= size == 8 ? 4 : 8) {
            reset();
            csr_write(pmpaddr0, napot(base, size));
            set_cfg(0, NAPOT | perms[i]);
            around(base, base + size - 1, perms[i], false);
        }
        reset();
        csr_write(pmpaddr0, (base + 100) >> 2);
        set_cfg(0, NA4 | perms[i]);
        around(base + 100, base + 103, perms[i], false);
        reset();
        csr_write(pmpaddr0, (base + 52) >> 2);
        csr_write(pmpaddr1, (base + PAGE + 80) >> 2); /* over a page border */
        set_cfg(1, TOR | perms[i]);
        around(base + 52, base + PAGE + 79, perms[i], false);
    }
    /* TOR from 0 in entry 0; an empty TOR range matches nothing. */
    reset();
    csr_write(pmpaddr0, base >> 2);
    csr_write(pmpaddr1, base >> 2);
    set_cfg(1, TOR);
    access(&rows[2], PRIV_S, base - 8, true);
    access(&rows[2], PRIV_S, base, true);
    /* The lowest entry decides. */
    reset();
    csr_write(pmpaddr0, napot(base + 64, 64));
    csr_write(pmpaddr1, napot(base, PAGE));
    set_cfg(0, NAPOT | R);
    set_cfg(1, NAPOT | R | W);
    access(&rows[5], PRIV_S, base + 56, true);
    access(&rows[5], PRIV_S, base + 64, false);
    access(&rows[5], PRIV_S, base + 120, false);
    access(&rows[5], PRIV_S, base + 128, true);
    access(&rows[2], PRIV_S, base + 64, true);
    /* What no entry matches is M mode's. */
    reset();
    set_cfg(3, 0);
    csr_write(pmpaddr3, addr(snip_lb) >> 2 & ~UINT64_C(0x3ff));
    csr_write(pmpaddr3, napot(addr(snip_lb) & ~UINT64_C(0xfff), 2 * PAGE));
    set_cfg(3, NAPOT | X);
    access(&rows[2], PRIV_S, base, false);
    access(&rows[5], PRIV_U, base, false);
    access(&rows[2], PRIV_M, base, true);
}

/* Reserved R=0 W=1 never sticks, addresses have 54 bits, cfg bits 5 and 6 are none. */
static void warl(void)
{
    reset();
    set_cfg(0, W);
    if (!guest_on_peer()) /* QEMU keeps it */
        CHECK_EQ(csr_read(pmpcfg0) & 3, 0);
    csr_write(pmpcfg0, cfg | 0x60);
    CHECK_EQ(csr_read(pmpcfg0) & 0x60, 0);
    csr_write(pmpaddr0, ALL_ONES);
    CHECK_EQ(csr_read(pmpaddr0), ALL_ONES >> 10);
    csr_write(pmpaddr0, 0x12345);
    CHECK_EQ(csr_read(pmpaddr0), 0x12345); /* grain 4 bytes: all bits are there */
}

/* Code that runs into what it may not execute stops at the very instruction. */
static void fetches(void)
{
    uint64_t base = addr(data);
    for (unsigned i = 0; i < PAGE; i += 4)
        put32(data + i, INSN_NOP);
    put32(data + 512, INSN_ECALL);
    fence_i();
    for (uint64_t mode = PRIV_U; mode <= PRIV_S; mode++)
        for (int again = 0; again < 2; again++) {
            reset();
            run4(&c, mode, base, 0, 0, 0, 0); /* translated while it was allowed */
            CHECK_TRAP(&c, CAUSE_ECALL_U + mode, base + 512, 0);
            csr_write(pmpaddr0, (base + 128) >> 2);
            csr_write(pmpaddr1, (base + 256) >> 2);
            set_cfg(1, TOR | R | W);
            run4(&c, mode, base, 0, 0, 0, 0);
            CHECK_TRAP(&c, CAUSE_FETCH_ACCESS, base + 128, base + 128);
            run4(&c, mode, base + 124, 0, 0, 0, 0);
            CHECK_TRAP(&c, CAUSE_FETCH_ACCESS, base + 128, base + 128);
            run4(&c, mode, base + 200, 0, 0, 0, 0);
            CHECK_TRAP(&c, CAUSE_FETCH_ACCESS, base + 200, base + 200);
            run4(&c, mode, base + 256, 0, 0, 0, 0);
            CHECK_TRAP(&c, CAUSE_ECALL_U + mode, base + 512, 0);
            /* Four bytes over the border of what may be fetched. */
            *(volatile uint16_t *)(data + 124) = INSN_C_NOP;
            put32(data + 126, INSN_NOP);
            *(volatile uint16_t *)(data + 130) = INSN_C_NOP;
            fence_i();
            run4(&c, mode, base, 0, 0, 0, 0);
            CHECK_TRAP(&c, CAUSE_FETCH_ACCESS, base + 126, base + 128);
            run4(&c, mode, base + 126, 0, 0, 0, 0);
            CHECK_TRAP(&c, CAUSE_FETCH_ACCESS, base + 126, base + 128);
            put32(data + 124, INSN_NOP);
            put32(data + 128, INSN_NOP);
            fence_i();
            run4(&c, PRIV_M, base, 0, 0, 0, 0); /* not locked: M mode may */
            CHECK_TRAP(&c, CAUSE_ECALL_M, base + 512, 0);
        }
    reset();
}

/* Page tables are read as by S mode: denied, the access faults, not the page. */
static void page_tables(void)
{
    static struct space sp;
    uint64_t to, va = UINT64_C(0x1234567000);
    uint8_t *leaf_table;
    space_init(&sp, 3, 0);
    to = space_snippets(&sp, UINT64_C(0x10000000), PTE_RX);
    space_map(&sp, va, addr(data), PTE_RWX);
    leaf_table = (uint8_t *)space_pte(&sp, va, 0);
    leaf_table = (uint8_t *)(addr(leaf_table) & ~UINT64_C(0xfff));
    put32(data, INSN_ECALL);
    fence_i();
    reset();
    csr_write(satp, space_satp(&sp));
    sfence_all();
    for (int denied = 0; denied < 2; denied++) {
        csr_write(pmpaddr0, napot(addr(leaf_table), PAGE));
        set_cfg(0, denied ? NAPOT | X : 0);
        for (unsigned i = 0; i < ROWS; i++) {
            uint64_t pc = addr(rows[i].code) + to;
            run4(&c, PRIV_S, pc, 0, va + 64, 0, 0);
            if (denied)
                CHECK_TRAP(&c, rows[i].cause, pc, va + 64);
            else
                CHECK_TRAP(&c, CAUSE_ECALL_S, pc + 4, 0);
        }
        run4(&c, PRIV_S, va, 0, 0, 0, 0);
        if (denied)
            CHECK_TRAP(&c, CAUSE_FETCH_ACCESS, va, va);
        else
            CHECK_TRAP(&c, CAUSE_ECALL_S, va, 0);
    }
    csr_write(satp, 0);
    reset();
}

/* Locked entries bind M mode, and stay: nothing comes after this. */
static void locks(void)
{
    uint64_t base = addr(data);
    reset();
    csr_write(pmpaddr0, napot(base, 256));
    set_cfg(0, NAPOT | R | LOCK);
    around(base, base + 255, R, true);
    run4(&c, PRIV_M, base, 0, 0, 0, 0);
    CHECK_TRAP(&c, CAUSE_FETCH_ACCESS, base, base);
    csr_write(pmpaddr0, 0);
    CHECK_EQ(csr_read(pmpaddr0), napot(base, 256));
    csr_write(pmpcfg0, 0x1f000000);
    CHECK_EQ(csr_read(pmpcfg0) & 0xff, NAPOT | R | LOCK);
    access(&rows[5], PRIV_M, base, false);
    /* A locked TOR entry also locks the address below it. */
    csr_write(pmpaddr1, (base + 512) >> 2);
    csr_write(pmpaddr2, (base + 1024) >> 2);
    cfg = csr_read(pmpcfg0);
    set_cfg(2, TOR | LOCK);
    csr_write(pmpaddr1, 0);
    csr_write(pmpaddr2, 0);
    CHECK_EQ(csr_read(pmpaddr1), (base + 512) >> 2);
    CHECK_EQ(csr_read(pmpaddr2), (base + 1024) >> 2);
    around(base + 512, base + 1023, 0, true);
}

void guest_main(void)
{
    data = page_new();
    page_new();
    ranges();
    warl();
    fetches();
    page_tables();
    locks();
}
