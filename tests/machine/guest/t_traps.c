/*
 * Exceptions and returns: cause, epc, tval; the stacks of mstatus; delegation; vectored interrupts
 * and their order; TSR, TVM, TW (Priv. 1.13, 3.1.6 to 3.1.9, 3.3, 10.1).
 */
#include "guest.h"

SNIPPET(snip_ebreak, "ebreak");
SNIPPET(snip_cebreak, ".option rvc\nc.ebreak\n.option norvc\nnop");
SNIPPET(snip_nops, ".rept 64\nnop\n.endr\necall");
SNIPPET(snip_fault, "ld a0, (a1)\necall");
SNIPPET(snip_store_fault, "sd a0, (a1)\necall");
SNIPPET(snip_lr_misaligned, "lr.w a0, (a1)\necall");
SNIPPET(snip_sc_misaligned, "sc.w a0, a0, (a1)\necall");
SNIPPET(snip_mret, "mret\necall");
SNIPPET(snip_sret, "sret\necall");
SNIPPET(snip_wfi, "wfi\necall");
SNIPPET(snip_satp, "csrr a0, satp\necall");
SNIPPET(snip_satp_write, "csrw satp, zero\necall");
SNIPPET(snip_sfence, "sfence.vma\necall");
SNIPPET(snip_mstatus, "csrr a0, mstatus\necall");
SNIPPET(snip_sstatus, "csrr a0, sstatus\necall");
/* S mode's handler: one ecall per vector, so that epc tells which it was. */
SNIPPET(snip_stvec, ".balign 256\nsnip_stvec_table: .rept 16\necall\n.endr");
SNIPPET_LABEL(snip_stvec_table);

static struct ctx c;
static uint8_t code[64] __attribute__((aligned(64)));

static uint64_t ecall_of(uint64_t mode)
{
    return CAUSE_ECALL_U + mode;
}

static void exceptions(void)
{
    static const uint64_t modes[] = {PRIV_U, PRIV_S, PRIV_M};
    for (unsigned i = 0; i < 3; i++) {
        uint64_t m = modes[i];
        guest_note("mode", m);
        run4(&c, m, addr(snip_ecall), 0, 0, 0, 0);
        CHECK_TRAP(&c, ecall_of(m), addr(snip_ecall), 0);
        CHECK_EQ(c.status & MSTATUS_MPP, m << 11);
        run4(&c, m, addr(snip_ebreak), 0, 0, 0, 0);
        CHECK_TRAP(&c, CAUSE_BREAKPOINT, addr(snip_ebreak), addr(snip_ebreak));
        run4(&c, m, addr(snip_cebreak), 0, 0, 0, 0);
        CHECK_TRAP(&c, CAUSE_BREAKPOINT, addr(snip_cebreak), addr(snip_cebreak));
        run4(&c, m, addr(snip_fault), 0, 0x1000008, 0, 0);
        CHECK_TRAP(&c, CAUSE_LOAD_ACCESS, addr(snip_fault), 0x1000008);
        run4(&c, m, addr(snip_store_fault), 0, 0x1000008, 0, 0);
        CHECK_TRAP(&c, CAUSE_STORE_ACCESS, addr(snip_store_fault), 0x1000008);
        run4(&c, m, 0x1000008, 0, 0, 0, 0);
        CHECK_TRAP(&c, CAUSE_FETCH_ACCESS, 0x1000008, 0x1000008);
        run4(&c, m, addr(snip_lr_misaligned), 0, addr(&c) + 2, 0, 0);
        CHECK_TRAP(&c, CAUSE_LOAD_MISALIGNED, addr(snip_lr_misaligned), addr(&c) + 2);
        run4(&c, m, addr(snip_sc_misaligned), 0, addr(&c) + 1, 0, 0);
        CHECK_TRAP(&c, CAUSE_STORE_MISALIGNED, addr(snip_sc_misaligned), addr(&c) + 1);
    }
}

/* Words that are no instruction, with themselves as tval; two-byte ones have two bytes of it. */
static void illegal(void)
{
    static const uint32_t words[] = {
        0xffffffff,
        0x00000000,
        0x0000007f,
        0x0000006b,
        0xfff0302f, /* reserved AMO */
        0x0000705b,
        0x02007033 ^ 0x80000000,
        0x00002063,
        0x00003067,
        0x00007003,
        0x00004023,
        0x0000000b,
        0x02051513 | 0x04000000,
        0x0000102f,
        0x1005252f | 0x00100000, /* lr with rs2 */
        0x10200073 | 0x00008000,
        /* sret with rs1 */ 0x0000f0d3 ^ 0x04000000,
        0x5c000053,
        0x00100073 | 0x80,
        0x7ff01073,
        0xc0001073 /* write to cycle */,
        0x8bff8000 /* compressed: reserved */,
    };
    for (unsigned i = 0; i < sizeof words / sizeof words[0]; i++) {
        bool two = (words[i] & 3) != 3;
        if (!words[i])
            two = true;
        put32(code, words[i]);
        put32(code + 4, INSN_ECALL);
        fence_i();
        guest_note("insn", words[i]);
        for (unsigned m = PRIV_U; m <= PRIV_S; m++) {
            c.set = MSTATUS_FS;
            run4(&c, m, addr(code), 0, 0, 0, 0);
            CHECK_TRAP(&c, CAUSE_ILLEGAL, addr(code), two ? words[i] & 0xffff : words[i]);
        }
    }
    c.set = 0;
}

/* mret and sret as functions of the fields; the mode that they go to shows by its ecall. */
static void returns(void)
{
    static const uint64_t modes[] = {PRIV_U, PRIV_S, PRIV_M};
    for (unsigned i = 0; i < 3; i++)
        for (unsigned mpie = 0; mpie < 2; mpie++) {
            /* ctx_run's own mret, seen from M mode after the trap: MIE went down to MPIE again. */
            c.clear = MSTATUS_MPIE;
            c.set = mpie ? MSTATUS_MPIE : 0;
            run4(&c, modes[i], addr(snip_ecall), 0, 0, 0, 0);
            CHECK_EQ(c.status & MSTATUS_MIE, 0);
            CHECK_EQ(c.status & MSTATUS_MPIE, mpie ? MSTATUS_MPIE : 0);
        }
    /* After mret: MPIE 1, MPP U. */
    c.clear = 0;
    c.set = MSTATUS_MPIE;
    run4(&c, PRIV_M, addr(snip_mstatus), 0, 0, 0, 0);
    CHECK_EQ(c.x[10] & (MSTATUS_MPIE | MSTATUS_MPP | MSTATUS_MIE), MSTATUS_MPIE | MSTATUS_MIE);
    c.clear = MSTATUS_MPIE;
    c.set = 0;
    run4(&c, PRIV_M, addr(snip_mstatus), 0, 0, 0, 0);
    CHECK_EQ(c.x[10] & (MSTATUS_MPIE | MSTATUS_MPP | MSTATUS_MIE), MSTATUS_MPIE);
    /* mret to a lower privilege clears MPRV, to M it stays. */
    c.set = MSTATUS_MPRV;
    run4(&c, PRIV_S, addr(snip_ecall), 0, 0, 0, 0);
    CHECK_EQ(c.status & MSTATUS_MPRV, 0);
    run4(&c, PRIV_M, addr(snip_mstatus), 0, 0, 0, 0);
    CHECK_EQ(c.x[10] & MSTATUS_MPRV, MSTATUS_MPRV);
    c.set = 0;
    /* sret in S mode. */
    for (unsigned how = 0; how < 4; how++) {
        uint64_t want = how & 1 ? MSTATUS_SPP : 0;
        csr_write(sepc, addr(snip_ecall));
        c.clear = MSTATUS_SPP | MSTATUS_SPIE | MSTATUS_SIE;
        c.set = want | (how & 2 ? MSTATUS_SPIE : 0);
        run4(&c, PRIV_S, addr(snip_sret), 0, 0, 0, 0);
        CHECK_TRAP(&c, how & 1 ? CAUSE_ECALL_S : CAUSE_ECALL_U, addr(snip_ecall), 0);
        CHECK_EQ(c.status & (MSTATUS_SPP | MSTATUS_SPIE | MSTATUS_SIE),
                 MSTATUS_SPIE | (how & 2 ? MSTATUS_SIE : 0));
    }
    /* sret in M mode clears MPRV too. */
    c.clear = MSTATUS_SPP;
    c.set = MSTATUS_MPRV;
    run4(&c, PRIV_M, addr(snip_sret), 0, 0, 0, 0);
    CHECK_TRAP(&c, CAUSE_ECALL_U, addr(snip_ecall), 0);
    CHECK_EQ(c.status & MSTATUS_MPRV, 0);
    c.clear = c.set = 0;
    /* epc is even, whatever is written. */
    csr_write(mepc, ALL_ONES);
    CHECK_EQ(csr_read(mepc), ~UINT64_C(1));
    csr_write(sepc, ALL_ONES);
    CHECK_EQ(csr_read(sepc), ~UINT64_C(1));
}

static void privileged_insns(void)
{
    static const struct {
        char *code;
        uint32_t insn;
        uint64_t trap; /* bit of mstatus that makes it illegal in S mode */
        bool m_only;
    } rows[] = {
        {snip_mret, 0x30200073, 0, true},
        {snip_sret, 0x10200073, MSTATUS_TSR, false},
        {snip_wfi, 0x10500073, MSTATUS_TW, false},
        {snip_satp, 0x18002573, MSTATUS_TVM, false},
        {snip_satp_write, 0x18001073, MSTATUS_TVM, false},
        {snip_sfence, 0x12000073, MSTATUS_TVM, false},
    };
    csr_write(mie, BIT(IRQ_SSI)); /* wfi returns at once: pending, but not delegated and MIE is 0 */
    csr_set(mip, BIT(IRQ_SSI));
    csr_write(mideleg, BIT(IRQ_SSI));
    for (unsigned i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        uint64_t pc = addr(rows[i].code);
        guest_note("insn", rows[i].insn);
        c.clear = MSTATUS_TSR | MSTATUS_TW | MSTATUS_TVM | MSTATUS_SPP | MSTATUS_SIE;
        csr_write(mie, 0); /* U would take the delegated interrupt */
        c.set = 0;
        run4(&c, PRIV_U, pc, 0, 0, 0, 0);
        CHECK_TRAP(&c, CAUSE_ILLEGAL, pc, rows[i].insn);
        csr_write(mie, BIT(IRQ_SSI));
        csr_write(sepc, pc + 4);
        c.set = rows[i].trap | MSTATUS_SPP;
        run4(&c, PRIV_S, pc, 0, 0, 0, 0);
        if (rows[i].m_only || rows[i].trap) {
            CHECK_TRAP(&c, CAUSE_ILLEGAL, pc, rows[i].insn);
        }
        c.clear |= MSTATUS_SPIE;
        c.set = MSTATUS_SPP;
        run4(&c, PRIV_S, pc, 0, 0, 0, 0);
        if (rows[i].m_only)
            CHECK_TRAP(&c, CAUSE_ILLEGAL, pc, rows[i].insn);
        else
            CHECK_TRAP(&c, CAUSE_ECALL_S, pc + 4, 0);
    }
    csr_write(mie, 0);
    csr_clear(mip, BIT(IRQ_SSI));
    csr_write(mideleg, 0);
    c.clear = MSTATUS_TSR | MSTATUS_TW | MSTATUS_TVM;
    c.set = 0;
}

/* Delegated exceptions reach S mode with its registers and stack; M mode's own are never delegated. */
static void delegation(void)
{
    struct {
        char *code;
        uint64_t pc, a1, cause, tval;
    } rows[] = {
        {snip_ebreak, 0, 0, CAUSE_BREAKPOINT, addr(snip_ebreak)},
        {snip_fault, 0, 0x1000008, CAUSE_LOAD_ACCESS, 0x1000008},
        {snip_store_fault, 0, 0x1000010, CAUSE_STORE_ACCESS, 0x1000010},
        {snip_lr_misaligned, 0, addr(code) + 2, CAUSE_LOAD_MISALIGNED, addr(code) + 2},
        {snip_sc_misaligned, 0, addr(code) + 2, CAUSE_STORE_MISALIGNED, addr(code) + 2},
        {NULL, 0x1000008, 0, CAUSE_FETCH_ACCESS, 0x1000008},
        {snip_mstatus, 0, 0, CAUSE_ILLEGAL, 0x30002573},
        {snip_ecall, 0, 0, CAUSE_ECALL_U, 0},
    };
    csr_write(stvec, addr(snip_stvec_table) | 1); /* exceptions go to the base all the same */
    for (unsigned i = 0; i < sizeof rows / sizeof rows[0]; i++)
        for (unsigned m = PRIV_U; m <= PRIV_S; m++)
            for (unsigned sie = 0; sie < 2; sie++) {
                uint64_t pc = rows[i].code ? addr(rows[i].code) : rows[i].pc;
                if (rows[i].cause == CAUSE_ECALL_U && m == PRIV_S)
                    continue; /* S mode's handler comes back by this one */
                guest_note("cause", rows[i].cause);
                guest_note("mode", m);
                csr_write(medeleg, BIT(rows[i].cause));
                CHECK_EQ(csr_read(medeleg), BIT(rows[i].cause));
                csr_write(scause, 99);
                c.clear = MSTATUS_SIE | MSTATUS_SPIE | MSTATUS_SPP;
                c.set = sie ? MSTATUS_SIE : 0;
                run4(&c, m, pc, 0, rows[i].a1, 0, 0);
                CHECK_TRAP(&c, CAUSE_ECALL_S, addr(snip_stvec_table), 0);
                CHECK_EQ(csr_read(scause), rows[i].cause);
                CHECK_EQ(csr_read(sepc), pc);
                CHECK_EQ(csr_read(stval), rows[i].tval);
                CHECK_EQ(c.status & (MSTATUS_SIE | MSTATUS_SPIE | MSTATUS_SPP),
                         (sie ? MSTATUS_SPIE : 0) | (m == PRIV_S ? MSTATUS_SPP : 0));
                csr_write(medeleg, ~BIT(rows[i].cause)); /* all but this one */
                run4(&c, m, pc, 0, rows[i].a1, 0, 0);
                CHECK_TRAP(&c, rows[i].cause, pc, rows[i].tval);
            }
    csr_write(medeleg, ALL_ONES);
    CHECK_EQ(csr_read(medeleg) >> CAUSE_ECALL_M & 1, 0);
    run4(&c, PRIV_M, addr(snip_ebreak), 0, 0, 0, 0);
    CHECK_TRAP(&c, CAUSE_BREAKPOINT, addr(snip_ebreak), addr(snip_ebreak));
    run4(&c, PRIV_M, addr(snip_fault), 0, 0x1000008, 0, 0);
    CHECK_TRAP(&c, CAUSE_LOAD_ACCESS, addr(snip_fault), 0x1000008);
    csr_write(medeleg, 0);
    c.clear = c.set = 0;
}

/* QEMU takes the lowest number first, unless it has AIA. */
static bool several_on_peer(unsigned set)
{
    return set & (set - 1) && guest_on_peer();
}

/* Supervisor interrupts, set in mip: taken at once on entry, by order, at their vector. */
static void vectored_in_s(void)
{
    static const unsigned lines[] = {IRQ_SEI, IRQ_SSI, IRQ_STI}; /* by priority */
    csr_write(menvcfg, 0);                                       /* STIP is mip's own */
    csr_write(mideleg, 0xaaa); /* M mode's own are never delegated */
    CHECK_EQ(csr_read(mideleg), BIT(IRQ_SSI) | BIT(IRQ_STI) | BIT(IRQ_SEI));
    for (unsigned set = 1; set < 8; set++)
        for (unsigned direct = 0; direct < 2; direct++)
            for (unsigned how = 0; how < 3; how++) { /* U, S with SIE, S without */
                uint64_t mode = how ? PRIV_S : PRIV_U, pending = 0, pc = addr(snip_nops);
                unsigned first = 3;
                if (several_on_peer(set))
                    continue;
                for (unsigned i = 3; i-- > 0;)
                    if (set >> i & 1) {
                        first = i;
                        pending |= BIT(lines[i]);
                    }
                guest_note("set", set);
                guest_note("how", how);
                csr_write(stvec, addr(snip_stvec_table) | (direct ? 0 : 1));
                csr_write(mip, pending);
                CHECK_EQ(csr_read(mip), pending);
                csr_write(mie, ALL_ONES);
                c.clear = MSTATUS_SIE | MSTATUS_SPIE | MSTATUS_SPP;
                c.set = how == 1 ? MSTATUS_SIE : 0;
                run4(&c, mode, pc, 0, 0, 0, 0);
                csr_write(mip, 0);
                if (how == 2) {
                    CHECK_TRAP(&c, CAUSE_ECALL_S, pc + 256, 0);
                    continue;
                }
                CHECK_TRAP(&c, CAUSE_ECALL_S,
                           addr(snip_stvec_table) + (direct ? 0 : 4 * lines[first]), 0);
                CHECK_EQ(csr_read(scause), CAUSE_IRQ(lines[first]));
                CHECK_EQ(csr_read(sepc), pc);
                CHECK_EQ(csr_read(stval), 0);
            }
    /* Masked in mie, or pending without delegation while M mode is at work: nothing happens. */
    csr_write(mip, BIT(IRQ_SSI));
    csr_write(mie, BIT(IRQ_STI));
    run4(&c, PRIV_U, addr(snip_nops), 0, 0, 0, 0);
    CHECK_TRAP(&c, CAUSE_ECALL_U, addr(snip_nops) + 256, 0);
    csr_write(mie, BIT(IRQ_SSI));
    c.set = MSTATUS_MPIE;
    run4(&c, PRIV_M, addr(snip_nops), 0, 0, 0, 0); /* delegated: not for M */
    CHECK_TRAP(&c, CAUSE_ECALL_M, addr(snip_nops) + 256, 0);
    csr_write(mideleg, 0);
    run4(&c, PRIV_M, addr(snip_nops), 0, 0, 0, 0);
    CHECK_TRAP(&c, CAUSE_IRQ(IRQ_SSI), addr(snip_nops), 0);
    CHECK_EQ(c.status & (MSTATUS_MPP | MSTATUS_MPIE | MSTATUS_MIE), MSTATUS_MPP | MSTATUS_MPIE);
    c.clear = MSTATUS_MPIE;
    c.set = 0;
    run4(&c, PRIV_M, addr(snip_nops), 0, 0, 0, 0); /* MIE 0 */
    CHECK_TRAP(&c, CAUSE_ECALL_M, addr(snip_nops) + 256, 0);
    run4(&c, PRIV_S, addr(snip_nops), 0, 0, 0, 0); /* lower modes are always interrupted */
    CHECK_TRAP(&c, CAUSE_IRQ(IRQ_SSI), addr(snip_nops), 0);
    csr_write(mip, 0);
    csr_write(mie, 0);
    c.clear = 0;
}

/* M mode's vectors. The entries note themselves in scounteren, which nothing else here needs. */
extern char m_vectors[];
__asm__(".pushsection .text\n.option push\n.option norvc\n.balign 256\nm_vectors:\n"
        ".set i, 0\n.rept 12\nj 1f + 8 * i\n.set i, i + 1\n.endr\n"
        "1:\n.set i, 0\n.rept 12\ncsrwi scounteren, i\nj ctx_trap\n.set i, i + 1\n.endr\n"
        ".option pop\n.popsection");

static void vectored_in_m(void)
{
    static const unsigned lines[] = {IRQ_MSI, IRQ_MTI, IRQ_SEI, IRQ_SSI, IRQ_STI};
    uint64_t kept = csr_swap(mtvec, addr(m_vectors) | 1);
    CHECK_EQ(csr_read(mtvec), addr(m_vectors) | 1);
    csr_write(mideleg, 0);
    csr_write(mie, ALL_ONES);
    for (unsigned set = 0; set < 32; set++) {
        unsigned first = 5;
        uint64_t pending = 0;
        if (several_on_peer(set))
            continue;
        CLINT_MSIP = set & 1;
        CLINT_MTIMECMP = set & 2 ? 0 : ALL_ONES;
        for (unsigned i = 5; i-- > 0;)
            if (set >> i & 1) {
                first = i;
                pending |= BIT(lines[i]);
            }
        csr_write(mip, pending);
        guest_note("set", set);
        CHECK_EQ(csr_read(mip), pending);
        csr_write(scounteren, 31);
        c.set = MSTATUS_MPIE;
        run4(&c, PRIV_M, addr(snip_nops), 0, 0, 0, 0);
        if (set) {
            CHECK_TRAP(&c, CAUSE_IRQ(lines[first]), addr(snip_nops), 0);
            CHECK_EQ(csr_read(scounteren), lines[first]);
        } else {
            CHECK_TRAP(&c, CAUSE_ECALL_M, addr(snip_nops) + 256, 0);
            CHECK_EQ(csr_read(scounteren), 0); /* exceptions go to the base */
        }
    }
    CLINT_MSIP = 0;
    CLINT_MTIMECMP = ALL_ONES;
    csr_write(mip, 0);
    csr_write(mie, 0);
    csr_write(mtvec, kept);
    c.set = 0;
}

void guest_main(void)
{
    CLINT_MTIMECMP = ALL_ONES;
    csr_write(mie, 0);
    exceptions();
    illegal();
    returns();
    privileged_insns();
    delegation();
    vectored_in_s();
    vectored_in_m();
}
