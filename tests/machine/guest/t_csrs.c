/*
 * Who may access which register, by reading and by writing; what satp and others keep of what is
 * written (Priv. 1.13, chapter 2, 3.1, 10.1).
 */
#include "guest.h"

static struct ctx c;
static uint8_t *code;

struct row {
    uint16_t number;
    uint8_t mode; /* lowest */
    bool read_only;
};
static const struct row there[] = {
    {0x001, 0, false}, {0x002, 0, false}, {0x003, 0, false}, {0xc00, 0, true},  {0xc01, 0, true},
    {0xc02, 0, true},  {0x100, 1, false}, {0x104, 1, false}, {0x105, 1, false}, {0x106, 1, false},
    {0x10a, 1, false}, {0x140, 1, false}, {0x141, 1, false}, {0x142, 1, false}, {0x143, 1, false},
    {0x144, 1, false}, {0x14d, 1, false}, {0x180, 1, false}, {0xf11, 3, true},  {0xf12, 3, true},
    {0xf13, 3, true},  {0xf14, 3, true},  {0xf15, 3, true},  {0x300, 3, false}, {0x301, 3, false},
    {0x302, 3, false}, {0x303, 3, false}, {0x304, 3, false}, {0x305, 3, false}, {0x306, 3, false},
    {0x30a, 3, false}, {0x320, 3, false}, {0x340, 3, false}, {0x341, 3, false}, {0x342, 3, false},
    {0x343, 3, false}, {0x344, 3, false}, {0x3a0, 3, false}, {0x3a2, 3, false}, {0x3b0, 3, false},
    {0x3bf, 3, false}, {0xb00, 3, false}, {0xb02, 3, false},
};
static const uint16_t absent[] = {
    0x000, 0x004, 0x008, 0x0ff, 0x101, 0x107, 0x145, 0x181, 0x200, 0x280, 0x310, 0x307,
    0x345, 0x3a1, 0x3a3, 0x400, 0x5ff, 0x600, 0x680, 0x6ff, 0x800, 0x8ff, 0x9ff, 0xa00,
    0xb01, 0xbff, 0xc80, 0xc81, 0xcff, 0xd00, 0xdff, 0xe00, 0xf10, 0xf16, 0xfff,
};

enum { CSRRW = 1, CSRRS, CSRRC, CSRRWI = 5, CSRRSI, CSRRCI };

static uint32_t insn_of(unsigned csr, unsigned funct, unsigned rd, unsigned rs1)
{
    return (uint32_t)csr << 20 | rs1 << 15 | funct << 12 | rd << 7 | 0x73;
}

static void expect(unsigned mode, uint32_t insn, bool good)
{
    put32(code, insn);
    put32(code + 4, INSN_ECALL);
    fence_i();
    guest_note("insn", insn);
    guest_note("mode", mode);
    c.set = MSTATUS_FS;
    run4(&c, mode, addr(code), 0xdead, 0, 0, 0);
    if (good) {
        CHECK_TRAP(&c, CAUSE_ECALL_U + mode, addr(code) + 4, 0);
    } else {
        CHECK_TRAP(&c, CAUSE_ILLEGAL, addr(code), insn);
        CHECK_EQ(c.x[10], 0xdead);
    }
}

static const uint8_t modes[] = {PRIV_U, PRIV_S, PRIV_M};

static void matrix(void)
{
    for (unsigned i = 0; i < sizeof there / sizeof there[0]; i++)
        for (unsigned m = 0; m < 3; m++) {
            const struct row *r = &there[i];
            bool may_read = modes[m] >= r->mode, may_write = may_read && !r->read_only;
            expect(modes[m], insn_of(r->number, CSRRS, 10, 0), may_read);
            expect(modes[m], insn_of(r->number, CSRRC, 10, 0), may_read);
            expect(modes[m], insn_of(r->number, CSRRSI, 10, 0), may_read);
            expect(modes[m], insn_of(r->number, CSRRCI, 10, 0), may_read);
            /* rs1 that is not x0 writes, even a zero; csrrw does with x0 too. To be harmless, what
             * is set or cleared is a0's 0xdead in a read-only register, or no bit. */
            if (r->read_only) {
                expect(modes[m], insn_of(r->number, CSRRW, 0, 0), false);
                expect(modes[m], insn_of(r->number, CSRRWI, 10, 0), false);
                expect(modes[m], insn_of(r->number, CSRRSI, 10, 1), false);
            }
            expect(modes[m], insn_of(r->number, CSRRS, 10, 12), may_write); /* a2 is 0 */
            expect(modes[m], insn_of(r->number, CSRRC, 0, 13), may_write);
        }
    for (unsigned i = 0; i < sizeof absent / sizeof absent[0]; i++)
        for (unsigned m = 0; m < 3; m++) {
            expect(modes[m], insn_of(absent[i], CSRRS, 10, 0), false);
            expect(modes[m], insn_of(absent[i], CSRRWI, 10, 0), false);
            expect(modes[m], insn_of(absent[i], CSRRW, 0, 12), false);
        }
}

/* cycle, time and instret by mcounteren and scounteren; the performance counters likewise. */
static void counter_enables(void)
{
    for (unsigned how = 0; how < 4; how++)
        for (unsigned n = 0; n < 3; n++)
            for (unsigned m = 0; m < 3; m++) {
                bool good = modes[m] == PRIV_M || (how & 1 && (modes[m] == PRIV_S || how & 2));
                csr_write(mcounteren, how & 1 ? BIT(n) : ~BIT(n) & 7);
                csr_write(scounteren, how & 2 ? BIT(n) : ~BIT(n) & 7);
                guest_note("how", how);
                expect(modes[m], insn_of(0xc00 + n, CSRRS, 10, 0), good);
            }
    csr_write(mcounteren, 7);
    csr_write(scounteren, 7);
}

static void fp_off(void)
{
    for (unsigned n = 1; n <= 3; n++)
        for (unsigned m = 0; m < 3; m++) {
            uint32_t insn = insn_of(n, CSRRS, 10, 0);
            put32(code, insn);
            fence_i();
            c.set = 0;
            c.clear = MSTATUS_FS;
            run4(&c, modes[m], addr(code), 0, 0, 0, 0);
            CHECK_TRAP(&c, CAUSE_ILLEGAL, addr(code), insn);
        }
    c.clear = 0;
}

/* Modes that are not offered leave all of satp as it was. */
static void satp_modes(void)
{
    uint64_t asid_ppn = UINT64_C(0xabcd00000012345);
    csr_write(satp, asid_ppn * 0);
    for (uint64_t mode = 0; mode < 16; mode++) {
        uint64_t before, value = mode << 60 | (mode ? asid_ppn : 0);
        csr_write(satp, UINT64_C(8) << 60 | 0x54321);
        before = csr_read(satp);
        guest_note("mode", mode);
        csr_write(satp, value);
        if (mode == 0 || mode == 8 || mode == 9)
            CHECK_EQ(csr_read(satp), value); /* 16 bits of ASID, 44 of PPN */
        else
            CHECK_EQ(csr_read(satp), before);
    }
    csr_write(satp, UINT64_C(9) << 60 | (BIT(60) - 1));
    CHECK_EQ(csr_read(satp), UINT64_C(9) << 60 | (BIT(60) - 1));
    csr_write(satp, 0);
    sfence_all();
}

static void warl(void)
{
    uint64_t kept = csr_read(mstatus);
    /* MPP: 2 is no mode. */
    csr_write(mstatus, MSTATUS_MPP);
    csr_write(mstatus, UINT64_C(2) << 11);
    CHECK((csr_read(mstatus) & MSTATUS_MPP) != UINT64_C(2) << 11);
    /* SXL and UXL are 64 bits, and stay. */
    csr_write(mstatus, 0);
    CHECK_EQ(csr_read(mstatus) >> 32 & 15, 10);
    CHECK_EQ(csr_read(sstatus) >> 32 & 15, 2);
    csr_write(mstatus, ALL_ONES);
    CHECK_EQ(csr_read(mstatus) >> 32 & 15, 10);
    CHECK_EQ(csr_read(mstatus) & (MSTATUS_SD | MSTATUS_FS), MSTATUS_SD | MSTATUS_FS);
    /* sstatus is a window on mstatus. */
    csr_write(mstatus, MSTATUS_MPP);
    csr_write(sstatus, ALL_ONES);
    CHECK_EQ(csr_read(mstatus) &
                 (MSTATUS_SIE | MSTATUS_SPIE | MSTATUS_SPP | MSTATUS_SUM | MSTATUS_MXR),
             MSTATUS_SIE | MSTATUS_SPIE | MSTATUS_SPP | MSTATUS_SUM | MSTATUS_MXR);
    CHECK_EQ(csr_read(mstatus) & (MSTATUS_MIE | MSTATUS_MPIE | MSTATUS_MPRV | MSTATUS_TVM |
                                  MSTATUS_TW | MSTATUS_TSR),
             0);
    CHECK_EQ(csr_read(sstatus) & (MSTATUS_MPP | MSTATUS_MPRV | MSTATUS_TVM), 0);
    csr_write(mstatus, kept);
    /* misa: RV64 with these letters at least. */
    CHECK_EQ(csr_read(misa) >> 62, 2);
    CHECK_EQ(csr_read(misa) & 0x14112d, 0x14112d);
    /* tvec: modes 0 and 1; sie shows what is delegated. */
    csr_write(stvec, addr(code) | 1);
    CHECK_EQ(csr_read(stvec), addr(code) | 1);
    csr_write(stvec, addr(code));
    CHECK_EQ(csr_read(stvec), addr(code));
    csr_write(mideleg, BIT(IRQ_SSI));
    csr_write(mie, BIT(IRQ_SSI) | BIT(IRQ_STI) | BIT(IRQ_MTI));
    CHECK_EQ(csr_read(sie), BIT(IRQ_SSI));
    csr_write(sie, 0);
    CHECK_EQ(csr_read(mie), BIT(IRQ_STI) | BIT(IRQ_MTI));
    csr_write(sie, ALL_ONES);
    CHECK_EQ(csr_read(mie), BIT(IRQ_SSI) | BIT(IRQ_STI) | BIT(IRQ_MTI));
    csr_write(mie, 0);
    csr_write(mideleg, 0);
    /* fcsr is fflags and frm. */
    csr_set(mstatus, MSTATUS_FS);
    csr_write(0x003, ALL_ONES);
    CHECK_EQ(csr_read(0x003), 0xff);
    csr_write(0x001, 0);
    CHECK_EQ(csr_read(0x003), 0xe0);
    csr_write(0x002, 1);
    CHECK_EQ(csr_read(0x003), 0x20);
    csr_write(0x003, 0);
    csr_write(medeleg, ALL_ONES);
    CHECK_EQ(csr_read(medeleg) & 0xb3ff, 0xb3ff);
    csr_write(medeleg, 0);
}

/* Each form reads the old value and writes the new one, also with rd and rs1 the same. */
static void forms(void)
{
    static const struct {
        unsigned funct, rs1;
        uint64_t value, want;
    } rows[] = {
        {CSRRW, 11, 0xff00, 0xff00},
        {CSRRS, 11, 0xff00, 0xfff0},
        {CSRRC, 11, 0xff00, 0x00f0},
        {CSRRWI, 17, 0, 17},
        {CSRRSI, 17, 0, 0x0ff1},
        {CSRRCI, 17, 0, 0x0fe0},
        {CSRRW, 0, 0, 0},
        {CSRRS, 0, 0, 0x0ff0},
        {CSRRC, 0, 0, 0x0ff0},
    };
    for (unsigned i = 0; i < sizeof rows / sizeof rows[0]; i++)
        for (unsigned rd = 0; rd < 12; rd += 10 - 9 * (rd >= 10)) {
            csr_write(sscratch, 0x0ff0);
            put32(code, insn_of(0x140, rows[i].funct, rd, rows[i].rs1));
            put32(code + 4, INSN_ECALL);
            fence_i();
            guest_note("row", i);
            run4(&c, PRIV_S, addr(code), 7, rows[i].value, 0, 0);
            CHECK_EQ(c.cause, CAUSE_ECALL_S);
            CHECK_EQ(csr_read(sscratch), rows[i].want);
            if (rd)
                CHECK_EQ(c.x[rd], 0x0ff0);
        }
}

void guest_main(void)
{
    code = page_new();
    csr_write(menvcfg, BIT(63));
    csr_write(mcounteren, 7);
    csr_write(scounteren, 7);
    matrix();
    counter_enables();
    fp_off();
    satp_modes();
    warl();
    forms();
}
