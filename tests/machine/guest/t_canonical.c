/*
 * Addresses whose upper bits are not copies of the highest translated one: page faults for each
 * access and each width, with each register as base, misaligned too, and for jumps (Priv. 1.13,
 * 10.4.1). The mappings that the addresses would alias are there.
 */
#include "guest.h"

/* Each 8 bytes: the access, then ecall. */
#define ACCESS(name, text) SNIPPET(name, text "\necall")
ACCESS(snip_lb, "lb a0, (a1)");
ACCESS(snip_lbu, "lbu a0, (a1)");
ACCESS(snip_lh, "lh a0, (a1)");
ACCESS(snip_lhu, "lhu a0, (a1)");
ACCESS(snip_lw, "lw a0, (a1)");
ACCESS(snip_lwu, "lwu a0, (a1)");
ACCESS(snip_ld, "ld a0, (a1)");
ACCESS(snip_flw, "flw fa0, (a1)");
ACCESS(snip_fld, "fld fa0, (a1)");
ACCESS(snip_lrw, "lr.w a0, (a1)");
ACCESS(snip_lrd, "lr.d a0, (a1)");
ACCESS(snip_sb, "sb a2, (a1)");
ACCESS(snip_sh, "sh a2, (a1)");
ACCESS(snip_sw, "sw a2, (a1)");
ACCESS(snip_sd, "sd a2, (a1)");
ACCESS(snip_fsw, "fsw fa0, (a1)");
ACCESS(snip_fsd, "fsd fa0, (a1)");
ACCESS(snip_amow, "amoswap.w a0, a2, (a1)");
ACCESS(snip_amod, "amomaxu.d a0, a2, (a1)");
ACCESS(snip_far, "ld a0, 2047(a1)"); /* the offset counts */
ACCESS(snip_near, "sd a0, -2048(a1)");
SNIPPET(snip_jump, "jalr a0, (a1)");

/* All registers as bases: ld x, (x) and sd x, (x), 8 bytes each. */
SNIPPET(
    snip_ld_each,
    ".irp r, 1,2,3,4,5,6,7,8,9,10,11,12,13,14,15,16,17,18,19,20,21,22,23,24,25,26,27,28,29,30,31\n"
    "ld x\\r, (x\\r)\necall\n.endr");
SNIPPET(
    snip_sd_each,
    ".irp r, 1,2,3,4,5,6,7,8,9,10,11,12,13,14,15,16,17,18,19,20,21,22,23,24,25,26,27,28,29,30,31\n"
    "sd x\\r, (x\\r)\necall\n.endr");

struct row {
    char *code;
    uint8_t size;
    bool store, atomic;
    int offset;
};
static const struct row rows[] = {
    {snip_lb, 1, false, false, 0},      {snip_lbu, 1, false, false, 0},
    {snip_lh, 2, false, false, 0},      {snip_lhu, 2, false, false, 0},
    {snip_lw, 4, false, false, 0},      {snip_lwu, 4, false, false, 0},
    {snip_ld, 8, false, false, 0},      {snip_flw, 4, false, false, 0},
    {snip_fld, 8, false, false, 0},     {snip_lrw, 4, false, true, 0},
    {snip_lrd, 8, false, true, 0},      {snip_sb, 1, true, false, 0},
    {snip_sh, 2, true, false, 0},       {snip_sw, 4, true, false, 0},
    {snip_sd, 8, true, false, 0},       {snip_fsw, 4, true, false, 0},
    {snip_fsd, 8, true, false, 0},      {snip_amow, 4, true, true, 0},
    {snip_amod, 8, true, true, 0},      {snip_far, 8, false, false, 2047},
    {snip_near, 8, true, false, -2048},
};
enum { ROWS = sizeof rows / sizeof rows[0] };

#define S_CODE UINT64_C(0x10000000)
#define U_CODE UINT64_C(0x20000000)
#define LOW    UINT64_C(0x1234567000)

static struct space sp;
static struct ctx c;
static uint64_t to[2]; /* by mode */
static int va_bits;

static void probe(const struct row *r, unsigned mode, uint64_t vaddr, uint64_t tval)
{
    uint64_t pc = addr(r->code) + to[mode];
    guest_note("code", addr(r->code));
    guest_note("vaddr", vaddr);
    guest_note("mode", mode);
    run4(&c, mode, pc, 77, vaddr - (uint64_t)r->offset, 0, 0);
    CHECK_TRAP(&c, r->store ? CAUSE_STORE_PAGE : CAUSE_LOAD_PAGE, pc, tval);
    CHECK_EQ(c.x[10], 77);
}

static void works(const struct row *r, unsigned mode, uint64_t vaddr)
{
    uint64_t pc = addr(r->code) + to[mode];
    run4(&c, mode, pc, 0, vaddr - (uint64_t)r->offset, 0, 0);
    CHECK_TRAP(&c, mode == PRIV_U ? CAUSE_ECALL_U : CAUSE_ECALL_S, pc + 4, 0);
}

/* Every bit that may be wrong alone, and all of them. */
static void upper_bits(uint64_t page)
{
    for (int bit = va_bits - 1; bit <= 64; bit++) {
        uint64_t flip = bit < 64 ? BIT(bit) : ~UINT64_C(0) << va_bits;
        for (unsigned i = 0; i < ROWS; i++)
            for (unsigned mode = PRIV_U; mode <= PRIV_S; mode++) {
                const struct row *r = &rows[i];
                uint64_t vaddr = (page ^ flip) + 0x128;
                works(r, mode, page + 0x128); /* what it aliases is known by now */
                probe(r, mode, vaddr, vaddr);
                if (r->size > 1 && !r->atomic)
                    probe(r, mode, vaddr + 1, vaddr + 1);
            }
    }
}

/* An access that runs out of the canonical half: the second part faults. */
static void off_the_end(void)
{
    uint64_t end = BIT(va_bits - 1);
    for (unsigned i = 0; i < ROWS; i++)
        for (unsigned mode = PRIV_U; mode <= PRIV_S; mode++)
            for (unsigned n = 1; n < rows[i].size && !rows[i].atomic; n++)
                probe(&rows[i], mode, end - n, end);
    /* Into the upper half from below: the first part faults. */
    for (unsigned i = 0; i < ROWS; i++)
        for (unsigned mode = PRIV_U; mode <= PRIV_S; mode++)
            for (unsigned n = 1; n < rows[i].size && !rows[i].atomic; n++)
                probe(&rows[i], mode, 0 - end - n, 0 - end - n);
}

static void each_base(void)
{
    static const uint64_t bad[] = {0x8000000000000000, 0x4000000000000128, 0x7fffffffffffff28,
                                   0xff7fffffff000003, 0x0000800000000000 + LOW};
    for (unsigned reg = 1; reg < 32; reg++)
        for (unsigned i = 0; i < sizeof bad / sizeof bad[0]; i++)
            for (int store = 0; store < 2; store++) {
                uint64_t pc =
                    addr(store ? snip_sd_each : snip_ld_each) + (reg - 1) * 8 + to[PRIV_S];
                for (unsigned x = 1; x < 32; x++)
                    c.x[x] = x * UINT64_C(0x100000001);
                c.x[reg] = bad[i];
                c.mode = PRIV_S;
                c.pc = pc;
                guest_note("reg", reg);
                ctx_run(&c);
                CHECK_TRAP(&c, store ? CAUSE_STORE_PAGE : CAUSE_LOAD_PAGE, pc, bad[i]);
                for (unsigned x = 1; x < 32; x++)
                    CHECK_EQ(c.x[x], x == reg ? bad[i] : x * UINT64_C(0x100000001));
            }
}

/* The jump itself is done: the fetch at its target faults. */
static void jumps(void)
{
    uint64_t ecall_at = addr(snip_ecall);
    for (unsigned mode = PRIV_U; mode <= PRIV_S; mode++)
        for (int bit = va_bits - 1; bit < 64; bit++)
            for (int again = 0; again < 2; again++) {
                uint64_t pc = addr(snip_jump) + to[mode], good = ecall_at + to[mode];
                guest_note("bit", (uint64_t)bit);
                run4(&c, mode, pc, 0, good, 0, 0);
                CHECK_TRAP(&c, mode == PRIV_U ? CAUSE_ECALL_U : CAUSE_ECALL_S, good, 0);
                run4(&c, mode, pc, 0, good ^ BIT(bit), 0, 0);
                CHECK_TRAP(&c, CAUSE_FETCH_PAGE, good ^ BIT(bit), good ^ BIT(bit));
                CHECK_EQ(c.x[10], pc + 4);
            }
}

/* Execution that runs off the end of the lower half, by falling, branching, or in mid-instruction. */
static void falling(void)
{
    uint64_t end = BIT(va_bits - 1), last = end - PAGE;
    uint8_t *page = page_new();
    space_map(&sp, last, addr(page), PTE_RX);
    sfence_all();
    put32(page + 0xff8, INSN_NOP);
    put32(page + 0xffc, INSN_NOP);
    fence_i();
    for (int again = 0; again < 3; again++) {
        run4(&c, PRIV_S, end - 8, 0, 0, 0, 0);
        CHECK_TRAP(&c, CAUSE_FETCH_PAGE, end, end);
    }
    put32(page + 0xff8, insn_jal0(0x100));
    fence_i();
    for (int again = 0; again < 3; again++) {
        run4(&c, PRIV_S, end - 8, 0, 0, 0, 0);
        CHECK_TRAP(&c, CAUSE_FETCH_PAGE, end + 0xf8, end + 0xf8);
    }
    *(volatile uint16_t *)(page + 0xff8) = INSN_C_NOP;
    *(volatile uint16_t *)(page + 0xffa) = INSN_C_NOP;
    *(volatile uint16_t *)(page + 0xffc) = INSN_C_NOP;
    *(volatile uint16_t *)(page + 0xffe) = INSN_NOP; /* the lower half of four bytes */
    fence_i();
    for (int again = 0; again < 3; again++) {
        run4(&c, PRIV_S, end - 8, 0, 0, 0, 0);
        CHECK_TRAP(&c, CAUSE_FETCH_PAGE, end - 2, end);
    }
}

/* Addresses wrap: the last bytes and the first ones are neighbours. */
static void wrap(void)
{
    uint8_t *top = page_new(), *zero = page_new();
    uint64_t pc = addr(snip_ld) + to[PRIV_S], at = 0 - UINT64_C(4);
    space_map(&sp, 0 - (uint64_t)PAGE, addr(top), PTE_RW);
    sfence_all();
    run4(&c, PRIV_S, pc, 0, at, 0, 0);
    CHECK_TRAP(&c, CAUSE_LOAD_PAGE, pc, 0);
    space_map(&sp, 0, addr(zero), PTE_RW);
    sfence_all();
    *(uint32_t *)(top + 0xffc) = 0x11223344;
    *(uint32_t *)zero = 0x55667788;
    run4(&c, PRIV_S, pc, 0, at, 0, 0);
    CHECK_TRAP(&c, CAUSE_ECALL_S, pc + 4, 0);
    CHECK_EQ(c.x[10], UINT64_C(0x5566778811223344));
}

static void in_mode(int levels)
{
    uint8_t *data = page_new(), *next = page_new();
    uint64_t high;
    va_bits = levels == 3 ? 39 : 48;
    high = LOW | ~UINT64_C(0) << (va_bits - 1);
    guest_note("va_bits", (uint64_t)va_bits);
    space_init(&sp, levels, 1);
    to[PRIV_S] = space_snippets(&sp, S_CODE, PTE_RX);
    to[PRIV_U] = space_snippets(&sp, U_CODE, PTE_RX | PTE_U);
    space_map(&sp, LOW, addr(data), PTE_RW | PTE_U);
    space_map(&sp, high, addr(data), PTE_RW | PTE_U);
    space_map(&sp, BIT(va_bits - 1) - PAGE, addr(data), PTE_RW | PTE_U);
    space_map(&sp, 0 - BIT(va_bits - 1), addr(next), PTE_RW | PTE_U);
    csr_write(satp, space_satp(&sp));
    sfence_all();
    c.set = MSTATUS_SUM | MSTATUS_FS;
    upper_bits(LOW);
    upper_bits(high);
    off_the_end();
    each_base();
    jumps();
    falling();
    wrap();
    csr_write(satp, 0);
    sfence_all();
}

/* Without translation: nothing answers above 56 bits. */
static void bare(void)
{
    for (unsigned mode = PRIV_U; mode <= PRIV_M; mode += mode ? 2 : 1)
        for (unsigned i = 0; i < ROWS; i++)
            for (int bit = 56; bit < 64; bit++) {
                uint64_t vaddr = (addr(&sp) & ~UINT64_C(0xfff)) + 0x128 + BIT(bit);
                uint64_t pc = addr(rows[i].code);
                guest_note("bit", (uint64_t)bit);
                run4(&c, mode, pc, 0, vaddr - (uint64_t)rows[i].offset, 0, 0);
                CHECK_TRAP(&c, rows[i].store ? CAUSE_STORE_ACCESS : CAUSE_LOAD_ACCESS, pc, vaddr);
                run4(&c, mode, addr(snip_jump), 0, vaddr, 0, 0);
                CHECK_TRAP(&c, CAUSE_FETCH_ACCESS, vaddr, vaddr);
            }
}

void guest_main(void)
{
    in_mode(3);
    in_mode(4);
    bare();
}
