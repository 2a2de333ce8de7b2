/* Traps: delegation, vectors, the status stack, and the way back. */
#include "tests/frontend/riscv64/priv/fixture.h"

static const unsigned privs[] = {RV_PRIV_U, RV_PRIV_S, RV_PRIV_M};

static struct fixture *fixture_in(unsigned priv)
{
    struct fixture *f = fixture_new(NULL, false);
    csr_set(f, RV_CSR_MTVEC, 0x1001);
    csr_set(f, RV_CSR_STVEC, 0x2001);
    f->cpu.c.priv = (uint8_t)priv;
    f->cpu.run.view_dirty = 0;
    f->cpu.c.reservation = 0x40;
    return f;
}

/* --- exceptions --------------------------------------------------------------------------------- */

static void exceptions_go_where_medeleg_sends_them(void **state)
{
    for (unsigned cause = 0; cause < 16; cause++) {
        for (unsigned n = 0; n < 6; n++) {
            unsigned priv = privs[n % 3];
            struct fixture *f = fixture_in(priv);
            uint64_t bit = UINT64_C(1) << cause;
            f->cpu.c.medeleg = n < 3 ? bit : 0xb3ff & ~bit;
            bool to_s = n < 3 && priv != RV_PRIV_M;
            rv_trap(&f->cpu, cause, false, 0xfeed);
            const struct rv_csrs *c = &f->cpu.c;
            assert_int_equal(c->priv, to_s ? RV_PRIV_S : RV_PRIV_M);
            assert_true(f->cpu.run.pc == (to_s ? 0x2000 : 0x1000)); /* never vectored */
            assert_true((to_s ? c->sepc : c->mepc) == 0x1234567890);
            assert_true((to_s ? c->scause : c->mcause) == cause);
            assert_true((to_s ? c->stval : c->mtval) == 0xfeed);
            assert_true((to_s ? c->mepc : c->sepc) == 0 && (to_s ? c->mtval : c->stval) == 0);
            assert_true(c->reservation == RV_NO_RESERVATION);
            assert_int_equal(f->cpu.run.view_dirty, c->priv != priv);
        }
    }
}

/* The three-bit stack of the level that takes the trap; the other level's stays. */
static void the_status_stack_is_pushed(void **state)
{
    for (unsigned n = 0; n < 3 * 2 * 16; n++) {
        unsigned priv = privs[n % 3];
        bool deleg = n / 3 & 1;
        uint64_t bits = (n / 6 & 1 ? RV_MSTATUS_SIE : 0) | (n / 6 & 2 ? RV_MSTATUS_MIE : 0) |
                        (n / 6 & 4 ? RV_MSTATUS_SPIE | RV_MSTATUS_MPIE : 0) |
                        (n / 6 & 8 ? RV_MSTATUS_SPP | RV_MSTATUS_MPP : 0);
        const uint64_t rest =
            RV_MSTATUS_FS | RV_MSTATUS_SUM | RV_MSTATUS_TVM | RV_MSTATUS_MXR | RV_MSTATUS_MPRV;
        struct fixture *f = fixture_in(priv);
        f->cpu.c.mstatus = bits | rest;
        f->cpu.c.medeleg = deleg ? 1 << RV_CAUSE_BREAKPOINT : 0;
        rv_trap(&f->cpu, RV_CAUSE_BREAKPOINT, false, 0);
        uint64_t got = f->cpu.c.mstatus;
        if (deleg && priv != RV_PRIV_M) {
            assert_int_equal((got & RV_MSTATUS_SPIE) != 0, (bits & RV_MSTATUS_SIE) != 0);
            assert_false(got & RV_MSTATUS_SIE);
            assert_int_equal((got & RV_MSTATUS_SPP) != 0, priv == RV_PRIV_S);
            bits = (bits & (RV_MSTATUS_MIE | RV_MSTATUS_MPIE | RV_MSTATUS_MPP)) | rest;
            got &= ~(RV_MSTATUS_SPIE | RV_MSTATUS_SPP);
        } else {
            assert_int_equal((got & RV_MSTATUS_MPIE) != 0, (bits & RV_MSTATUS_MIE) != 0);
            assert_false(got & RV_MSTATUS_MIE);
            assert_int_equal((got & RV_MSTATUS_MPP) >> 11, priv);
            bits = (bits & (RV_MSTATUS_SIE | RV_MSTATUS_SPIE | RV_MSTATUS_SPP)) | rest;
            got &= ~(RV_MSTATUS_MPIE | RV_MSTATUS_MPP);
        }
        assert_true(got == bits);
    }
}

/* MPRV stays set over a trap to M, so MPP's change is a change of view. */
static void a_trap_under_mprv_changes_the_view(void **state)
{
    struct fixture *f = fixture_in(RV_PRIV_M);
    struct gw_view before, after;
    f->cpu.c.mstatus = RV_MSTATUS_MPRV;
    f->cpu.c.satp = UINT64_C(8) << 60;
    rv_view(&f->cpu, &before);
    rv_trap(&f->cpu, RV_CAUSE_ILLEGAL, false, 0);
    rv_view(&f->cpu, &after);
    assert_true(before.data_key != after.data_key);
    assert_true(f->cpu.run.view_dirty);
}

static void vectors_of_both_levels(void **state)
{
    for (unsigned n = 0; n < 4; n++) {
        bool deleg = n & 1, vectored = n & 2;
        for (unsigned irq = 1; irq < 12; irq += 4) {
            struct fixture *f = fixture_in(RV_PRIV_U);
            f->cpu.c.mideleg = deleg ? 0x222 : 0;
            f->cpu.c.mtvec = f->cpu.c.stvec = 0x8000000000000004u | vectored;
            rv_trap(&f->cpu, irq, true, 0);
            assert_true(f->cpu.run.pc == 0x8000000000000004u + (vectored ? 4 * irq : 0));
            assert_true((deleg ? f->cpu.c.scause : f->cpu.c.mcause) == (UINT64_C(1) << 63 | irq));
        }
    }
}

static void raise_enters_the_handler(void **state)
{
    struct fixture *f = fixture_in(RV_PRIV_U);
    const struct gw_fault fault = {
        .vaddr = 0xabc, .cause = RV_CAUSE_STORE_PAGE, .access = GW_ACCESS_STORE};
    rv_raise(&f->cpu, &fault);
    assert_int_equal(f->cpu.run.leave, GW_LEAVE_TRAP);
    assert_true(f->cpu.run.pc == 0x1000 && f->cpu.c.mtval == 0xabc);
    assert_int_equal(f->cpu.c.mcause, RV_CAUSE_STORE_PAGE);
}

static void raise_in_user_mode_hands_the_fault_over(void **state)
{
    struct fixture *f = fixture_user();
    const struct gw_fault fault = {
        .vaddr = 0xabc, .cause = RV_CAUSE_LOAD_ACCESS, .access = GW_ACCESS_LOAD};
    rv_raise(&f->cpu, &fault);
    assert_int_equal(f->cpu.run.leave, GW_LEAVE_FAULT);
    assert_true(f->cpu.run.pc == 0x1234567890 && f->cpu.run.fault_pc == 0x1234567890);
    assert_true(f->cpu.run.fault.vaddr == 0xabc);
    assert_int_equal(f->cpu.run.fault.cause, RV_CAUSE_LOAD_ACCESS);
    assert_int_equal(f->cpu.c.priv, RV_PRIV_U);
}

/* --- returns ------------------------------------------------------------------------------------ */

enum { RAW_MRET = 0x30200073, RAW_SRET = 0x10200073 };

static void mret_pops(void **state)
{
    for (unsigned n = 0; n < 12; n++) {
        static const unsigned mpps[] = {RV_PRIV_U, RV_PRIV_S, RV_PRIV_M};
        unsigned mpp = mpps[n % 3];
        bool mpie = n / 3 & 1, mprv = n / 6;
        struct fixture *f = fixture_in(RV_PRIV_M);
        f->cpu.c.mepc = 0x7776;
        f->cpu.c.mstatus = (uint64_t)mpp << 11 | (mpie ? RV_MSTATUS_MPIE : 0) |
                           (mprv ? RV_MSTATUS_MPRV : 0) | RV_MSTATUS_SPP | RV_MSTATUS_SPIE;
        assert_true(rv_h_mret(&f->cpu, RAW_MRET, 0, 0) == 0x7776);
        assert_int_equal(f->cpu.run.leave, GW_LEAVE_NONE);
        assert_int_equal(f->cpu.c.priv, mpp);
        assert_true(f->cpu.c.mstatus == (RV_MSTATUS_MPIE | RV_MSTATUS_SPP | RV_MSTATUS_SPIE |
                                         (mpie ? RV_MSTATUS_MIE : 0) |
                                         (mprv && mpp == RV_PRIV_M ? RV_MSTATUS_MPRV : 0)));
        assert_true(f->cpu.c.reservation == RV_NO_RESERVATION);
        assert_true(f->cpu.run.view_dirty || mpp == RV_PRIV_M);
    }
}

static void sret_pops(void **state)
{
    for (unsigned n = 0; n < 16; n++) {
        bool spp = n & 1, spie = n & 2, from_m = n & 4, mprv = n & 8;
        struct fixture *f = fixture_in(from_m ? RV_PRIV_M : RV_PRIV_S);
        f->cpu.c.sepc = 0x5554;
        f->cpu.c.mstatus = (spp ? RV_MSTATUS_SPP : 0) | (spie ? RV_MSTATUS_SPIE : 0) |
                           (mprv ? RV_MSTATUS_MPRV : 0) | RV_MSTATUS_MPP |
                           (from_m ? RV_MSTATUS_TSR : 0);
        assert_true(rv_h_sret(&f->cpu, RAW_SRET, 0, 0) == 0x5554);
        assert_int_equal(f->cpu.c.priv, spp ? RV_PRIV_S : RV_PRIV_U);
        assert_true(f->cpu.c.mstatus ==
                    (RV_MSTATUS_SPIE | RV_MSTATUS_MPP | (spie ? RV_MSTATUS_SIE : 0) |
                     (from_m ? RV_MSTATUS_TSR : 0)));
        assert_true(f->cpu.c.reservation == RV_NO_RESERVATION);
    }
}

static void returns_are_illegal_where_they_must_be(void **state)
{
    static const struct {
        bool mret;
        unsigned priv;
        uint64_t mstatus;
        bool legal;
    } rows[] = {
        {true, RV_PRIV_U, 0, false},
        {true, RV_PRIV_S, 0, false},
        {true, RV_PRIV_M, 0, true},
        {false, RV_PRIV_U, 0, false},
        {false, RV_PRIV_S, 0, true},
        {false, RV_PRIV_S, RV_MSTATUS_TSR, false},
        {false, RV_PRIV_M, RV_MSTATUS_TSR, true},
    };
    for (unsigned i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct fixture *f = fixture_in(rows[i].priv);
        uint32_t raw = rows[i].mret ? RAW_MRET : RAW_SRET;
        f->cpu.c.mstatus = rows[i].mstatus;
        (rows[i].mret ? rv_h_mret : rv_h_sret)(&f->cpu, raw, 0, 0);
        if (rows[i].legal) {
            assert_int_equal(f->cpu.run.leave, GW_LEAVE_NONE);
            continue;
        }
        assert_int_equal(f->cpu.run.leave, GW_LEAVE_TRAP);
        assert_int_equal(f->cpu.c.mcause, RV_CAUSE_ILLEGAL);
        assert_true(f->cpu.c.mtval == raw && f->cpu.c.mepc == 0x1234567890);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(exceptions_go_where_medeleg_sends_them),
        cmocka_unit_test(the_status_stack_is_pushed),
        cmocka_unit_test(a_trap_under_mprv_changes_the_view),
        cmocka_unit_test(vectors_of_both_levels),
        cmocka_unit_test(raise_enters_the_handler),
        cmocka_unit_test(raise_in_user_mode_hands_the_fault_over),
        cmocka_unit_test(mret_pops),
        cmocka_unit_test(sret_pops),
        cmocka_unit_test(returns_are_illegal_where_they_must_be),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
