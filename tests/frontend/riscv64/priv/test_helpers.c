/* What lifted code calls: environment calls, WFI, fences, CSR access, cache-block operations. */
#include <endian.h>

#include "tests/frontend/riscv64/priv/fixture.h"

enum {
    RAW = 0x12345073, /* any instruction */
};

static struct fixture *fixture_in(unsigned priv, uint64_t mstatus)
{
    struct fixture *f = fixture_new(NULL, false);
    csr_set(f, RV_CSR_MTVEC, 0x1000);
    f->cpu.c.mstatus = mstatus;
    f->cpu.c.priv = (uint8_t)priv;
    f->cpu.run.view_dirty = 0;
    return f;
}

static void assert_in_handler(const struct fixture *f, uint64_t cause, uint64_t tval)
{
    assert_int_equal(f->cpu.c.mcause, cause);
    assert_true(f->cpu.c.mtval == tval && f->cpu.c.mepc == 0x1234567890);
    assert_true(f->cpu.run.pc == 0x1000);
}

static void assert_trapped(struct fixture *f, uint64_t cause, uint64_t tval)
{
    assert_int_equal(f->cpu.run.leave, GW_LEAVE_TRAP);
    assert_in_handler(f, cause, tval);
    f->cpu.run.leave = GW_LEAVE_NONE;
}

static void assert_legal(struct fixture *f)
{
    assert_int_equal(f->cpu.run.leave, GW_LEAVE_NONE);
    assert_true(f->cpu.run.pc == 0x1234567890);
}

static void ecall_tells_where_it_comes_from(void **state)
{
    static const unsigned privs[] = {RV_PRIV_U, RV_PRIV_S, RV_PRIV_M};
    static const unsigned causes[] = {8, 9, 11};
    for (unsigned i = 0; i < 3; i++) {
        struct fixture *f = fixture_in(privs[i], 0);
        int64_t budget = f->cpu.run.budget;
        assert_int_equal(rv_h_ecall_trap(&f->cpu, 0, 0, 0), 0x1000);
        assert_int_equal(f->cpu.run.leave, GW_LEAVE_NONE);
        assert_int_equal(f->cpu.run.budget, budget + 1); /* it does not retire */
        assert_in_handler(f, causes[i], 0);
    }
}

static void ecall_reaches_the_firmware_from_s_alone(void **state)
{
    struct fixture *f = fixture_new(NULL, true);
    rv_boot_supervisor(&f->cpu, 0x80200000, 0x87000000);
    csr_set(f, RV_CSR_STVEC, 0x4000);
    rv_h_ecall(&f->cpu, 0, 0, 0);
    assert_int_equal(f->cpu.run.leave, GW_LEAVE_HCALL);
    assert_true(f->cpu.run.pc == 0x80200000 && f->cpu.c.priv == RV_PRIV_S);
    f->cpu.c.priv = RV_PRIV_U;
    assert_int_equal(rv_h_ecall_trap(&f->cpu, 0, 0, 0), 0x4000);
    assert_true(f->cpu.c.scause == RV_CAUSE_ECALL_U && f->cpu.run.pc == 0x4000);
}

static void user_mode_hands_calls_and_faults_over(void **state)
{
    struct fixture *f = fixture_user();
    rv_h_ecall(&f->cpu, 0, 0, 0);
    assert_int_equal(f->cpu.run.leave, GW_LEAVE_SYSCALL);
    assert_true(f->cpu.run.pc == 0x1234567890);
    rv_h_ebreak(&f->cpu, 0, 0, 0);
    assert_int_equal(f->cpu.run.leave, GW_LEAVE_FAULT);
    assert_int_equal(f->cpu.run.fault.cause, RV_CAUSE_BREAKPOINT);
    assert_true(f->cpu.run.fault.vaddr == 0x1234567890);
    static gw_helper_fn *const illegal[] = {rv_h_illegal, rv_h_mret, rv_h_sret, rv_h_wfi};
    for (unsigned i = 0; i < 4; i++) {
        f->cpu.run.fault.cause = 0;
        illegal[i](&f->cpu, RAW, 0, 0);
        assert_int_equal(f->cpu.run.leave, GW_LEAVE_FAULT);
        assert_int_equal(f->cpu.run.fault.cause, RV_CAUSE_ILLEGAL);
        assert_true(f->cpu.run.fault_pc == 0x1234567890);
    }
    f->cpu.run.leave = GW_LEAVE_NONE;
    for (unsigned kind = 0; kind <= 2; kind++)
        rv_h_cbo(&f->cpu, 0, kind, RAW);
    assert_int_equal(f->cpu.run.leave, GW_LEAVE_NONE);
}

static void illegal_and_ebreak_leave_tval(void **state)
{
    struct fixture *f = fixture_in(RV_PRIV_S, 0);
    rv_h_illegal(&f->cpu, 0xffffffff00009002, 0, 0);
    assert_trapped(f, RV_CAUSE_ILLEGAL, 0x9002);
    f = fixture_in(RV_PRIV_S, 0);
    rv_h_ebreak(&f->cpu, 0, 0, 0);
    assert_trapped(f, RV_CAUSE_BREAKPOINT, 0x1234567890);
}

static void wfi_and_sfence_depend_on_privilege(void **state)
{
    static const struct {
        bool wfi;
        unsigned priv;
        uint64_t mstatus;
        bool legal;
    } rows[] = {
        {true, RV_PRIV_U, 0, false},
        {true, RV_PRIV_U, RV_MSTATUS_TW, false},
        {true, RV_PRIV_S, 0, true},
        {true, RV_PRIV_S, RV_MSTATUS_TW, false},
        {true, RV_PRIV_M, RV_MSTATUS_TW, true},
        {false, RV_PRIV_U, 0, false},
        {false, RV_PRIV_S, 0, true},
        {false, RV_PRIV_S, RV_MSTATUS_TVM, false},
        {false, RV_PRIV_S, RV_MSTATUS_TW | RV_MSTATUS_TSR, true},
        {false, RV_PRIV_M, RV_MSTATUS_TVM, true},
    };
    for (unsigned i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct fixture *f = fixture_in(rows[i].priv, rows[i].mstatus);
        if (rows[i].wfi)
            rv_h_wfi(&f->cpu, RAW, 0, 0);
        else
            rv_h_sfence_vma(&f->cpu, 0, 0, (uint64_t)RAW << 32);
        assert_int_equal(f->flushes, !rows[i].wfi && rows[i].legal);
        assert_int_equal(f->cpu.c.halted, rows[i].wfi && rows[i].legal);
        if (rows[i].legal)
            assert_legal(f);
        else
            assert_trapped(f, RV_CAUSE_ILLEGAL, RAW);
    }
}

static void sfence_passes_on_what_it_names(void **state)
{
    for (unsigned which = 0; which < 4; which++) {
        struct fixture *f = fixture_in(RV_PRIV_S, 0);
        rv_h_sfence_vma(&f->cpu, 0xffffffd812345678, 0x12345, (uint64_t)RAW << 32 | which);
        assert_int_equal(f->flushes, 1);
        assert_int_equal(f->flush_vaddr_all, which & 1 ? 0 : GW_FLUSH_TABLES);
        assert_int_equal(f->flush_asid_all, !(which & 2));
        assert_true(f->flush_vaddr == 0xffffffd812345678);
        assert_int_equal(f->flush_asid, 0x2345);
    }
}

static void fence_i_is_passed_on(void **state)
{
    struct fixture *f = fixture_in(RV_PRIV_U, 0);
    rv_h_fence_i(&f->cpu, 0, 0, 0);
    assert_int_equal(f->fences, 1);
    assert_legal(f);
}

static void fs_dirty_starts_the_instruction_again(void **state)
{
    struct fixture *f = fixture_in(RV_PRIV_U, UINT64_C(1) << 13);
    rv_h_fs_dirty(&f->cpu, 0, 0, 0);
    assert_true(f->cpu.c.mstatus == RV_MSTATUS_FS && f->cpu.run.view_dirty);
    assert_int_equal(f->cpu.run.leave, GW_LEAVE_TRAP);
    assert_true(f->cpu.run.pc == 0x1234567890);
}

/* --- CSR instructions --------------------------------------------------------------------------- */

static uint32_t csr_insn(unsigned csr, unsigned funct3, unsigned rs1)
{
    return (uint32_t)csr << 20 | (uint32_t)rs1 << 15 | (uint32_t)funct3 << 12 | 0x73;
}

static void csr_helpers_raise_illegal_with_the_instruction(void **state)
{
    struct fixture *f = fixture_in(RV_PRIV_S, 0);
    uint32_t raw = csr_insn(RV_CSR_MSTATUS, 2, 0);
    rv_h_csr_read(&f->cpu, RV_CSR_MSTATUS, raw, 0);
    assert_trapped(f, RV_CAUSE_ILLEGAL, raw);
    f = fixture_in(RV_PRIV_S, 0);
    rv_h_csr_write(&f->cpu, RV_CSR_MSTATUS, 0, raw);
    assert_trapped(f, RV_CAUSE_ILLEGAL, raw);
    f = fixture_in(RV_PRIV_M, 0);
    rv_h_csr_check(&f->cpu, RV_CSR_CYCLE, 0, raw);
    assert_legal(f);
    rv_h_csr_check(&f->cpu, RV_CSR_CYCLE, 1, raw);
    assert_trapped(f, RV_CAUSE_ILLEGAL, raw);
    f = fixture_in(RV_PRIV_S, 0);
    rv_h_csr_write(&f->cpu, RV_CSR_SSCRATCH, 77, raw);
    assert_int_equal(rv_h_csr_read(&f->cpu, RV_CSR_SSCRATCH, raw, 0), 77);
    assert_legal(f);
}

/* The external line shows in mip, but what CSRRS and CSRRC write back is the software bit. */
static void setting_bits_of_mip_does_not_latch_the_external_line(void **state)
{
    const uint64_t seip = RV_IRQ_BIT(RV_IRQ_SEI), ssip = RV_IRQ_BIT(RV_IRQ_SSI);
    static const struct {
        unsigned funct3;
        bool software; /* SEIP's software bit before */
        uint64_t operand;
        bool after;
    } rows[] = {
        {2, false, 2, false},    {2, false, 0x202, true}, {2, true, 2, true},
        {3, true, 2, true},      {3, true, 0x202, false}, {3, false, 2, false},
        {1, false, 0x200, true}, {1, true, 2, false},
    };
    for (unsigned i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        for (unsigned line = 0; line < 2; line++) {
            struct fixture *f = fixture_in(RV_PRIV_M, 0);
            uint32_t raw = csr_insn(RV_CSR_MIP, rows[i].funct3, 7);
            f->cpu.c.mip = (rows[i].software ? seip : 0) | ssip;
            f->cpu.x[7] = rows[i].operand;
            rv_irq_line(&f->cpu, RV_IRQ_SEI, (int)line);
            uint64_t old = rv_h_csr_read(&f->cpu, RV_CSR_MIP, raw, 0);
            assert_true((old & seip) == (line || rows[i].software ? seip : 0));
            uint64_t value = rows[i].operand;
            if (rows[i].funct3 == 2)
                value |= old;
            if (rows[i].funct3 == 3)
                value = old & ~value;
            rv_h_csr_write(&f->cpu, RV_CSR_MIP, value, raw);
            assert_int_equal((f->cpu.c.mip & seip) != 0, rows[i].after);
        }
    }
    /* With an immediate the operand is in the instruction: bit 9 is out of its reach. */
    struct fixture *f = fixture_in(RV_PRIV_M, 0);
    f->cpu.x[2] = seip;
    rv_irq_line(&f->cpu, RV_IRQ_SEI, 1);
    rv_h_csr_write(&f->cpu, RV_CSR_MIP, seip | ssip, csr_insn(RV_CSR_MIP, 6, 2));
    assert_true(f->cpu.c.mip == ssip);
}

/* --- cache-block operations --------------------------------------------------------------------- */

enum { INVAL = 0, CLEAN = 1, FLUSH = 2 };

static void cbo_is_enabled_by_each_level_above(void **state)
{
    static const unsigned kinds[] = {INVAL, CLEAN, FLUSH};
    static const uint64_t fields[] = {RV_ENVCFG_CBIE, RV_ENVCFG_CBCFE, RV_ENVCFG_CBCFE};
    static const unsigned privs[] = {RV_PRIV_U, RV_PRIV_S, RV_PRIV_M};
    for (unsigned n = 0; n < 3 * 3 * 4; n++) {
        unsigned k = n % 3, priv = privs[n / 3 % 3], open = n / 9;
        struct fixture *f = fixture_in(priv, 0);
        f->cpu.c.menvcfg = open & 1 ? fields[k] : 0xf0 & ~fields[k];
        f->cpu.c.senvcfg = open & 2 ? fields[k] : 0xf0 & ~fields[k];
        rv_h_cbo(&f->cpu, DATA, kinds[k], RAW);
        if (priv == RV_PRIV_M || (open & 1 && (priv == RV_PRIV_S || open & 2)))
            assert_legal(f);
        else
            assert_trapped(f, RV_CAUSE_ILLEGAL, RAW);
    }
}

/* CBO.ZERO's part of the key: blocks that may hold it are others than those that may not. */
static void cbo_zero_is_in_the_key(void **state)
{
    static const unsigned privs[] = {RV_PRIV_U, RV_PRIV_S, RV_PRIV_M};
    for (unsigned n = 0; n < 3 * 4; n++) {
        unsigned priv = privs[n % 3], open = n / 3;
        struct fixture *f = fixture_in(priv, 0);
        f->cpu.c.menvcfg = open & 1 ? RV_ENVCFG_CBZE : 0x70;
        f->cpu.c.senvcfg = open & 2 ? RV_ENVCFG_CBZE : 0x70;
        bool good = priv == RV_PRIV_M || (open & 1 && (priv == RV_PRIV_S || open & 2));
        assert_int_equal(rv_guest_isa.tb_flags(&f->cpu) & RV_TBF_CBZE, good ? RV_TBF_CBZE : 0);
    }
    static const unsigned csrs[] = {RV_CSR_MENVCFG, RV_CSR_SENVCFG};
    for (unsigned k = 0; k < 2; k++) {
        struct fixture *f = fixture_in(RV_PRIV_M, 0);
        csr_set(f, csrs[k], 0);
        f->cpu.run.view_dirty = 0;
        csr_set(f, csrs[k], RV_ENVCFG_CBZE);
        assert_true(f->cpu.run.view_dirty);
    }
}

static void cbo_needs_a_permission(void **state)
{
    static const struct {
        uint64_t leaf;
        unsigned kind;
        bool legal;
    } rows[] = {
        {V | R | A, CLEAN, true},  {V | R | A, INVAL, true},      {V | R | W | A, FLUSH, true},
        {V | X | A, CLEAN, false}, {V | R | W | D, FLUSH, false}, {0, FLUSH, false},
    };
    for (unsigned i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct fixture *f = fixture_in(RV_PRIV_S, 0);
        f->cpu.c.menvcfg = 0xf0;
        map(f, RV_SATP_SV39, 0x7000, 0, DATA, rows[i].leaf);
        rv_h_cbo(&f->cpu, 0x7fe5, rows[i].kind, RAW);
        if (rows[i].legal)
            assert_legal(f);
        else
            assert_trapped(f, RV_CAUSE_STORE_PAGE, 0x7fe5);
    }
    /* PMP counts as well */
    struct fixture *f = fixture_in(RV_PRIV_M, 0);
    csr_set(f, RV_CSR_PMPCFG0, 0);
    f->cpu.c.menvcfg = 0xf0;
    f->cpu.c.priv = RV_PRIV_S;
    rv_h_cbo(&f->cpu, DATA + 8, CLEAN, RAW);
    assert_trapped(f, RV_CAUSE_STORE_ACCESS, DATA + 8);
}

static _Alignas(16) uint64_t known_page[512];

static void *at_8000(void *cpu, uint64_t vaddr)
{
    return vaddr >> 12 == 8 ? (uint8_t *)known_page + (vaddr & 0xfff) : NULL;
}

/* An SC that fails in any case walks no page table where a store is known not to fault. */
static void sc_without_a_reservation(void **state)
{
    static const struct gw_hooks hooks = {.inline_store = at_8000};
    struct fixture *f = fixture_in(RV_PRIV_S, 0);
    map(f, RV_SATP_SV39, 0x7000, 0, DATA, 0);
    f->cpu.run.hooks = &hooks;
    f->cpu.c.reservation = 0x8008;
    assert_int_equal(rv_h_sc(&f->cpu, 0x8010, 1, 8), 1);
    assert_legal(f);
    assert_true(f->cpu.c.reservation == RV_NO_RESERVATION);
    rv_h_sc(&f->cpu, 0x8014, 1, 8);
    assert_trapped(f, RV_CAUSE_STORE_MISALIGNED, 0x8014);
    f->cpu.run.pc = 0x1234567890;
    f->cpu.c.priv = RV_PRIV_S;
    rv_h_sc(&f->cpu, 0x7010, 1, 8);
    assert_trapped(f, RV_CAUSE_STORE_PAGE, 0x7010);
}

static void count_view(void *cpu, uint64_t bits)
{
    known_page[0]++;
}

/* The block goes on where nothing but what data accesses see has changed. */
static void sum_and_mxr_change_the_map_alone(void **state)
{
    static const struct gw_hooks hooks = {.data_view = count_view};
    const uint64_t sum = RV_MSTATUS_SUM, mxr = RV_MSTATUS_MXR, fs = RV_MSTATUS_FS;
    struct fixture *f = fixture_in(RV_PRIV_S, 0);
    f->cpu.run.hooks = &hooks;
    f->cpu.c.mstatus = 0;
    f->cpu.run.view_dirty = 0;
    known_page[0] = 0;
    static const struct {
        uint64_t value, views;
        bool changed;
    } rows[] = {
        {RV_MSTATUS_SUM, 1, false},
        {RV_MSTATUS_SUM, 1, false},
        {RV_MSTATUS_MXR, 2, false},
        {0, 3, false},
        {RV_MSTATUS_FS | RV_MSTATUS_SUM, 3, true},
    };
    for (unsigned i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        assert_int_equal(rv_h_sstatus_write(&f->cpu, rows[i].value, 0, 0), rows[i].changed);
        assert_true((f->cpu.c.mstatus & (sum | mxr | fs)) == rows[i].value);
        assert_int_equal(known_page[0], rows[i].views);
        assert_int_equal(f->cpu.run.view_dirty, rows[i].changed);
    }
    /* What waits to be derived anew includes it. */
    assert_true(rv_h_sstatus_write(&f->cpu, RV_MSTATUS_FS, 0, 0));
    assert_int_equal(known_page[0], 3);
}

/* Nor does what else only asks, nor an AMOCAS.Q; that page is in no table. */
static void what_is_known_is_not_looked_up(void **state)
{
    static const struct gw_hooks hooks = {.inline_store = at_8000};
    struct fixture *f = fixture_in(RV_PRIV_S, 0);
    map(f, RV_SATP_SV39, 0x7000, 0, DATA, 0);
    f->cpu.run.hooks = &hooks;
    f->cpu.c.menvcfg = 0xf0;
    rv_h_cbo(&f->cpu, 0x8fff, FLUSH, RAW);
    assert_legal(f);
    known_page[2] = htole64(5);
    known_page[3] = htole64(6);
    f->cpu.x[10] = 5;
    f->cpu.x[11] = 6;
    f->cpu.x[12] = 7;
    f->cpu.x[13] = 8;
    rv_h_casq_check(&f->cpu, 0x8010, 0, 0);
    assert_legal(f);
    rv_h_casq(&f->cpu, 0x8010, 10 | 12 << 8, 0);
    assert_true(known_page[2] == htole64(7) && known_page[3] == htole64(8));
    rv_h_casq_check(&f->cpu, 0x8018, 0, 0);
    assert_trapped(f, RV_CAUSE_STORE_MISALIGNED, 0x8018);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(ecall_tells_where_it_comes_from),
        cmocka_unit_test(ecall_reaches_the_firmware_from_s_alone),
        cmocka_unit_test(user_mode_hands_calls_and_faults_over),
        cmocka_unit_test(illegal_and_ebreak_leave_tval),
        cmocka_unit_test(wfi_and_sfence_depend_on_privilege),
        cmocka_unit_test(sfence_passes_on_what_it_names),
        cmocka_unit_test(fence_i_is_passed_on),
        cmocka_unit_test(fs_dirty_starts_the_instruction_again),
        cmocka_unit_test(csr_helpers_raise_illegal_with_the_instruction),
        cmocka_unit_test(setting_bits_of_mip_does_not_latch_the_external_line),
        cmocka_unit_test(cbo_is_enabled_by_each_level_above),
        cmocka_unit_test(cbo_zero_is_in_the_key),
        cmocka_unit_test(cbo_needs_a_permission),
        cmocka_unit_test(sc_without_a_reservation),
        cmocka_unit_test(what_is_known_is_not_looked_up),
        cmocka_unit_test(sum_and_mxr_change_the_map_alone),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
