/*
 * Misaligned accesses, within a page and over its border to a page that lies elsewhere, may not be
 * written, is absent, or is no memory: all or nothing, with the faulting part's address as tval.
 * Misaligned atomics fault always.
 */
#include "guest.h"

#define ACCESS(name, text) SNIPPET(name, text "\necall")
ACCESS(snip_lh, "lh a0, (a1)");
ACCESS(snip_lhu, "lhu a0, (a1)");
ACCESS(snip_lw, "lw a0, (a1)");
ACCESS(snip_lwu, "lwu a0, (a1)");
ACCESS(snip_ld, "ld a0, (a1)");
ACCESS(snip_flw, "flw fa0, (a1)\nfmv.x.w a0, fa0");
ACCESS(snip_fld, "fld fa0, (a1)\nfmv.x.d a0, fa0");
ACCESS(snip_sh, "sh a2, (a1)");
ACCESS(snip_sw, "sw a2, (a1)");
ACCESS(snip_sd, "sd a2, (a1)");
ACCESS(snip_fsw, "fmv.w.x fa0, a2\nsnip_fsw_at: fsw fa0, (a1)");
ACCESS(snip_fsd, "fmv.d.x fa0, a2\nsnip_fsd_at: fsd fa0, (a1)");
SNIPPET_LABEL(snip_fsw_at);
SNIPPET_LABEL(snip_fsd_at);
ACCESS(snip_lrw, "lr.w a0, (a1)");
ACCESS(snip_lrd, "lr.d a0, (a1)");
ACCESS(snip_scw, "sc.w a0, a2, (a1)");
ACCESS(snip_scd, "sc.d a0, a2, (a1)");
ACCESS(snip_amow, "amoadd.w a0, a2, (a1)");
ACCESS(snip_amod, "amoadd.d a0, a2, (a1)");

#define S_CODE UINT64_C(0x10000000)
#define DATA   UINT64_C(0x1234567000) /* and the page after it */

struct row {
    char *code, *at;
    uint8_t size;
    bool store, sign;
};
static const struct row rows[] = {
    {snip_lh, snip_lh, 2, false, true},      {snip_lhu, snip_lhu, 2, false, false},
    {snip_lw, snip_lw, 4, false, true},      {snip_lwu, snip_lwu, 4, false, false},
    {snip_ld, snip_ld, 8, false, false},     {snip_flw, snip_flw, 4, false, true},
    {snip_fld, snip_fld, 8, false, false},   {snip_sh, snip_sh, 2, true, false},
    {snip_sw, snip_sw, 4, true, false},      {snip_sd, snip_sd, 8, true, false},
    {snip_fsw, snip_fsw_at, 4, true, false}, {snip_fsd, snip_fsd_at, 8, true, false},
};
enum { ROWS = sizeof rows / sizeof rows[0] };

static struct space sp;
static struct ctx c;
static uint64_t to_s;
static uint8_t *first, *second; /* not adjacent, and in the wrong order */

static uint8_t pattern(uint64_t i)
{
    return (uint8_t)(i * 37 + 0x85);
}

static void fill(void)
{
    for (unsigned i = 0; i < PAGE; i++) {
        first[i] = pattern(i);
        second[i] = pattern(i + PAGE);
    }
}

static uint8_t byte_at(uint64_t offset)
{
    return offset < PAGE ? first[offset] : second[offset - PAGE];
}

static void untouched(void)
{
    for (unsigned i = PAGE - 16; i < PAGE + 16; i++)
        CHECK_EQ(byte_at(i), pattern(i));
}

static uint64_t run_row(const struct row *r, uint64_t vaddr, uint64_t value)
{
    guest_note("code", addr(r->code));
    guest_note("vaddr", vaddr);
    run4(&c, PRIV_S, addr(r->code) + to_s, 0xdead, vaddr, value, 0);
    return addr(r->at) + to_s;
}

/* It works, and touches what it should. */
static void check_good(const struct row *r, uint64_t offset)
{
    uint64_t want = 0, value = UINT64_C(0xfedcba9876543210) ^ offset;
    run_row(r, DATA + offset, value);
    CHECK_EQ(c.cause, CAUSE_ECALL_S);
    for (unsigned i = 0; i < r->size; i++)
        want |= (uint64_t)pattern(offset + i) << (8 * i);
    if (r->sign && want >> (8 * r->size - 1))
        want |= ~UINT64_C(0) << (8 * r->size);
    if (!r->store) {
        CHECK_EQ(c.x[10], want);
        return;
    }
    for (unsigned i = 0; i < r->size; i++)
        CHECK_EQ(byte_at(offset + i), value >> (8 * i) & 0xff);
    CHECK_EQ(byte_at(offset - 1), pattern(offset - 1));
    CHECK_EQ(byte_at(offset + r->size), pattern(offset + r->size));
    for (unsigned i = 0; i < r->size; i++)
        *(offset + i < PAGE ? &first[offset + i] : &second[offset + i - PAGE]) =
            pattern(offset + i);
}

/* Twice with whatever is cached about the pages, and after a fence, when nothing is. */
static void everywhere(void)
{
    fill();
    for (int fenced = 0; fenced < 2; fenced++)
        for (unsigned i = 0; i < ROWS; i++) {
            for (uint64_t offset = 1024; offset < 1024 + 72; offset++)
                check_good(&rows[i], offset);
            for (uint64_t offset = PAGE - 9; offset < PAGE + 2; offset++) {
                if (fenced)
                    sfence_all();
                check_good(&rows[i], offset);
            }
        }
}

enum part { FIRST, SECOND, WHOLE };

/* All accesses over the border fault. cause: of loads; stores have the next but one. */
static void crossing_faults(uint64_t load_cause, uint64_t store_cause, enum part part, bool loads,
                            bool stores)
{
    fill();
    sfence_all();
    for (unsigned i = 0; i < ROWS; i++)
        for (unsigned n = 1; n < rows[i].size; n++) {
            uint64_t vaddr = DATA + PAGE - n, at;
            if (!(rows[i].store ? stores : loads)) {
                check_good(&rows[i], PAGE - n);
                continue;
            }
            at = run_row(&rows[i], vaddr, ALL_ONES);
            CHECK_TRAP(&c, rows[i].store ? store_cause : load_cause, at,
                       part == SECOND ? DATA + PAGE : vaddr);
            if (!rows[i].store && at == addr(rows[i].code) + to_s)
                CHECK_EQ(c.x[10], 0xdead);
            untouched();
        }
}

static void borders(void)
{
    uint64_t *pte[2] = {space_pte(&sp, DATA, 0), space_pte(&sp, DATA + PAGE, 0)};
    uint8_t *page[2] = {first, second};
    for (int which = 0; which < 2; which++) {
        enum part part = which ? SECOND : FIRST;
        uint64_t good = pte_make(addr(page[which]), PTE_RW);
        guest_note("part", (uint64_t)which);
        *pte[which] = 0;
        crossing_faults(CAUSE_LOAD_PAGE, CAUSE_STORE_PAGE, part, true, true);
        *pte[which] = good & ~(uint64_t)PTE_W;
        crossing_faults(CAUSE_LOAD_PAGE, CAUSE_STORE_PAGE, part, false, true);
        *pte[which] = good & ~(uint64_t)PTE_D;
        crossing_faults(CAUSE_LOAD_PAGE, CAUSE_STORE_PAGE, part, false, true);
        *pte[which] = good & ~(uint64_t)PTE_A;
        crossing_faults(CAUSE_LOAD_PAGE, CAUSE_STORE_PAGE, part, true, true);
        *pte[which] = good | PTE_U;
        crossing_faults(CAUSE_LOAD_PAGE, CAUSE_STORE_PAGE, part, true, true);
        /* No memory there, and a device's registers: an access fault (QEMU splits the access, and
         * names the first byte). */
        if (!guest_on_peer()) {
            *pte[which] = pte_make(UINT64_C(0x1000000), PTE_RW);
            crossing_faults(CAUSE_LOAD_ACCESS, CAUSE_STORE_ACCESS, part, true, true);
            *pte[which] = pte_make(CLINT_BASE + 0x4000, PTE_RW);
            crossing_faults(CAUSE_LOAD_ACCESS, CAUSE_STORE_ACCESS, part, true, true);
        }
        *pte[which] = good;
        sfence_all();
    }
    everywhere();
    /* Code in the second page: its old translation must not survive a store that crosses into it. */
    *pte[1] = pte_make(addr(second), PTE_RWX);
    sfence_all();
    for (int i = 0; i < 3; i++) {
        uint64_t insns = (uint64_t)insn_li_a0(i + 5) | (uint64_t)INSN_ECALL << 32;
        put32(second, insn_li_a0(99));
        put32(second + 4, INSN_ECALL);
        fence_i();
        run4(&c, PRIV_S, DATA + PAGE, 0, 0, 0, 0);
        CHECK_EQ(c.x[10], 99);
        run_row(&rows[9], DATA + PAGE - 4, insns << 32); /* sd */
        CHECK_EQ(c.cause, CAUSE_ECALL_S);
        fence_i();
        run4(&c, PRIV_S, DATA + PAGE, 0, 0, 0, 0);
        CHECK_EQ(c.x[10], (uint64_t)i + 5);
    }
}

static void atomics(void)
{
    static char *const code[] = {snip_lrw, snip_lrd, snip_scw, snip_scd, snip_amow, snip_amod};
    fill();
    for (unsigned i = 0; i < 6; i++) {
        unsigned size = i & 1 ? 8 : 4;
        uint64_t cause = i < 2 ? CAUSE_LOAD_MISALIGNED : CAUSE_STORE_MISALIGNED;
        uint64_t pc = addr(code[i]) + to_s;
        guest_note("code", addr(code[i]));
        for (uint64_t offset = PAGE - 2 * size; offset < PAGE + size; offset++) {
            if (offset % size == 0)
                continue;
            guest_note("offset", offset);
            run4(&c, PRIV_S, addr(snip_lrd) + to_s, 0, DATA, 0, 0); /* a reservation, elsewhere */
            run4(&c, PRIV_S, pc, 0xdead, DATA + offset, 1, 0);
            CHECK_TRAP(&c, cause, pc, DATA + offset);
            CHECK_EQ(c.x[10], 0xdead);
            untouched();
        }
    }
}

void guest_main(void)
{
    second = page_new();
    page_new();
    first = page_new();
    for (int levels = 3; levels <= 4; levels++) {
        guest_note("levels", (uint64_t)levels);
        space_init(&sp, levels, 1);
        to_s = space_snippets(&sp, S_CODE, PTE_RX);
        space_map(&sp, DATA, addr(first), PTE_RW);
        space_map(&sp, DATA + PAGE, addr(second), PTE_RW);
        csr_write(satp, space_satp(&sp));
        sfence_all();
        c.set = MSTATUS_FS;
        everywhere();
        borders();
        *space_pte(&sp, DATA + PAGE, 0) = pte_make(addr(second), PTE_RW);
        sfence_all();
        atomics();
        csr_write(satp, 0);
        sfence_all();
    }
}
