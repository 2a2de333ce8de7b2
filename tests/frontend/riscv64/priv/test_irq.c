/* Interrupts: which is taken and where, WFI, and the timer of Sstc. */
#include "tests/frontend/riscv64/priv/fixture.h"

static const unsigned privs[] = {RV_PRIV_U, RV_PRIV_S, RV_PRIV_M};
enum { SSI = 2, MSI = 8, STI = 32, MTI = 128, SEI = 512, MEI = 2048, S_BITS = SSI | STI | SEI };

/* mip's bits come from two places: lines from outside and software. */
static void set_pending(struct fixture *f, uint64_t mip)
{
    f->cpu.c.mip = mip & (SSI | STI);
    rv_irq_line(&f->cpu, RV_IRQ_MSI, mip & MSI ? 1 : 0);
    rv_irq_line(&f->cpu, RV_IRQ_MTI, mip & MTI ? 1 : 0);
    rv_irq_line(&f->cpu, RV_IRQ_SEI, mip & SEI ? 1 : 0);
    rv_irq_line(&f->cpu, RV_IRQ_MEI, mip & MEI ? 1 : 0);
}

/* The manual's rule (3.1.9) for one interrupt: does it trap, and to which level? 0: not at all. */
static unsigned level_of(unsigned irq, uint64_t mideleg, unsigned priv, bool mie, bool sie)
{
    if (!(mideleg >> irq & 1))
        return priv < RV_PRIV_M || mie ? RV_PRIV_M : 0;
    if (priv == RV_PRIV_M)
        return 0;
    return priv == RV_PRIV_U || sie ? RV_PRIV_S : 0;
}

static unsigned spread(unsigned six) /* bits 5:0 -> SSI MSI STI MTI SEI MEI */
{
    unsigned bits = 0;
    for (unsigned i = 0; i < 6; i++)
        bits |= (six >> i & 1) << (2 * i + 1);
    return bits;
}

static void the_right_interrupt_is_taken(void **state)
{
    static const unsigned order[] = {11, 3, 7, 9, 1, 5};
    for (unsigned n = 0; n < 64 * 8 * 3 * 4; n++) {
        unsigned pending = spread(n & 63), priv = privs[(n >> 9) % 3], enables = (n >> 9) / 3;
        uint64_t deleg = (n >> 6 & 1 ? SSI : 0) | (n >> 6 & 2 ? STI : 0) | (n >> 6 & 4 ? SEI : 0);
        struct fixture *f = fixture_new(NULL, false);
        struct rv_csrs *c = &f->cpu.c;
        c->mideleg = deleg;
        c->mie = 0xaaa;
        c->priv = (uint8_t)priv;
        c->mstatus = (enables & 1 ? RV_MSTATUS_SIE : 0) | (enables & 2 ? RV_MSTATUS_MIE : 0);
        c->mtvec = 0x1000;
        c->stvec = 0x2000;
        c->halted = 1;
        set_pending(f, pending);
        unsigned want = 0, want_level = 0;
        for (unsigned l = 0; l < 2 && !want_level; l++) {
            unsigned level = l ? RV_PRIV_S : RV_PRIV_M;
            for (unsigned i = 0; i < 6 && !want_level; i++) {
                if (pending >> order[i] & 1 &&
                    level_of(order[i], deleg, priv, enables & 2, enables & 1) == level)
                    want = order[i], want_level = level;
            }
        }
        assert_int_equal(rv_interrupt(&f->cpu, true), want_level != 0);
        if (!want_level) {
            assert_true(f->cpu.run.pc == 0x1234567890 && c->priv == priv);
            continue;
        }
        assert_int_equal(c->priv, want_level);
        assert_int_equal(c->halted, 0);
        assert_true(f->cpu.run.pc == (want_level == RV_PRIV_M ? 0x1000 : 0x2000));
        assert_true((want_level == RV_PRIV_M ? c->mcause : c->scause) ==
                    (UINT64_C(1) << 63 | want));
        assert_true((want_level == RV_PRIV_M ? c->mepc : c->sepc) == 0x1234567890);
        assert_true((want_level == RV_PRIV_M ? c->mtval : c->stval) == 0);
    }
}

static void mie_masks_each_interrupt(void **state)
{
    for (unsigned i = 0; i < 64; i++) {
        for (unsigned j = 0; j < 6; j++) {
            struct fixture *f = fixture_new(NULL, false);
            f->cpu.c.priv = RV_PRIV_U;
            f->cpu.c.mie = spread(i);
            set_pending(f, spread(1u << j));
            assert_int_equal(rv_interrupt(&f->cpu, true), i >> j & 1);
        }
    }
}

static void lines_rise_and_fall(void **state)
{
    struct fixture *f = fixture_new(NULL, false);
    f->cpu.run.attention = 0;
    rv_irq_line(&f->cpu, RV_IRQ_SEI, 1);
    assert_int_equal(f->cpu.run.attention, 1);
    assert_int_equal(csr_get(f, RV_CSR_MIP), SEI);
    csr_set(f, RV_CSR_MIP, SEI | SSI);
    rv_irq_line(&f->cpu, RV_IRQ_SEI, 0);
    assert_int_equal(csr_get(f, RV_CSR_MIP), SEI | SSI); /* what software set stays */
    csr_set(f, RV_CSR_MIP, 0);
    assert_int_equal(csr_get(f, RV_CSR_MIP), 0);
    rv_irq_line(&f->cpu, RV_IRQ_MTI, 1);
    csr_set(f, RV_CSR_MIP, 0); /* the line is not software's */
    assert_int_equal(csr_get(f, RV_CSR_MIP), MTI);
}

/* Enabling what is pending must not wait for the next poll. */
static void enabling_a_pending_interrupt_asks_for_attention(void **state)
{
    static const struct {
        unsigned csr;
        uint64_t before, after;
    } rows[] = {
        {RV_CSR_MSTATUS, 0, RV_MSTATUS_MIE},
        {RV_CSR_SSTATUS, 0, RV_MSTATUS_SIE},
        {RV_CSR_MIE, 0, MSI},
        {RV_CSR_MIDELEG, 0, S_BITS},
    };
    for (unsigned i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        for (unsigned pending = 0; pending < 2; pending++) {
            struct fixture *f = fixture_new(NULL, false);
            csr_set(f, RV_CSR_MIE, MSI);
            csr_set(f, rows[i].csr, rows[i].before);
            set_pending(f, pending ? MSI : 0);
            f->cpu.run.attention = 0;
            csr_set(f, rows[i].csr, rows[i].after);
            assert_int_equal(f->cpu.run.attention, pending);
        }
    }
    struct fixture *f = fixture_new(NULL, false);
    csr_set(f, RV_CSR_MIE, SSI);
    f->cpu.run.attention = 0;
    csr_set(f, RV_CSR_MIP, SSI);
    assert_int_equal(f->cpu.run.attention, 1);
    f->cpu.c.mstatus = RV_MSTATUS_MPIE | RV_MSTATUS_MPP;
    f->cpu.run.attention = 0;
    rv_h_mret(&f->cpu, 0, 0, 0);
    assert_int_equal(f->cpu.run.attention, 1);
}

static void user_mode_takes_none(void **state)
{
    struct fixture *f = fixture_user();
    f->cpu.c.mie = f->cpu.c.mip = UINT64_MAX;
    assert_false(rv_interrupt(&f->cpu, true));
    assert_false(rv_waiting(&f->cpu));
    assert_true(rv_deadline(&f->cpu) == UINT64_MAX);
}

/* --- WFI ---------------------------------------------------------------------------------------- */

static void wfi_waits_for_what_mie_enables(void **state)
{
    struct fixture *f = fixture_new(NULL, false);
    f->cpu.c.mie = MTI;
    assert_false(rv_waiting(&f->cpu)); /* not in WFI */
    rv_h_wfi(&f->cpu, 0, 0, 0);
    assert_int_equal(f->cpu.run.leave, GW_LEAVE_NONE);
    assert_true(rv_waiting(&f->cpu));
    set_pending(f, MSI | SEI);
    assert_true(rv_waiting(&f->cpu));
    set_pending(f, MTI); /* mstatus.MIE is clear: it wakes all the same, and is not taken */
    assert_false(rv_waiting(&f->cpu));
    assert_false(rv_interrupt(&f->cpu, true));
    set_pending(f, 0);
    assert_false(rv_waiting(&f->cpu)); /* woken once is woken */
}

static void wfi_ends_at_stimecmp(void **state)
{
    struct fixture *f = fixture_new(NULL, false);
    csr_set(f, RV_CSR_MENVCFG, RV_MENVCFG_STCE);
    csr_set(f, RV_CSR_MIE, STI);
    csr_set(f, RV_CSR_STIMECMP, 10);
    rv_h_wfi(&f->cpu, 0, 0, 0);
    f->events.now_ns = 999;
    assert_true(rv_waiting(&f->cpu));
    f->events.now_ns = rv_deadline(&f->cpu);
    assert_false(rv_waiting(&f->cpu));
}

/* --- the timer ---------------------------------------------------------------------------------- */

static void stip_follows_stimecmp(void **state)
{
    struct fixture *f = fixture_new(NULL, false);
    csr_set(f, RV_CSR_STIMECMP, 5000);
    f->events.now_ns = 500000;
    assert_int_equal(csr_get(f, RV_CSR_MIP), 0); /* without STCE it is M-mode's to set */
    csr_set(f, RV_CSR_MIP, STI);
    assert_int_equal(csr_get(f, RV_CSR_MIP), STI);
    csr_set(f, RV_CSR_MENVCFG, RV_MENVCFG_STCE);
    f->events.now_ns = 499999;
    assert_int_equal(csr_get(f, RV_CSR_MIP), 0);
    csr_set(f, RV_CSR_MIP, STI); /* read-only now */
    assert_int_equal(csr_get(f, RV_CSR_MIP), 0);
    f->events.now_ns = 500000;
    assert_int_equal(csr_get(f, RV_CSR_MIP), STI);
    csr_set(f, RV_CSR_STIMECMP, 5001);
    assert_int_equal(csr_get(f, RV_CSR_MIP), 0);
    csr_set(f, RV_CSR_STIMECMP, UINT64_MAX);
    f->events.now_ns = UINT64_MAX - 1;
    assert_int_equal(csr_get(f, RV_CSR_MIP), 0);
}

static void the_timer_interrupts_once_it_is_due(void **state)
{
    struct fixture *f = fixture_new(NULL, false);
    csr_set(f, RV_CSR_MENVCFG, RV_MENVCFG_STCE);
    csr_set(f, RV_CSR_MIE, STI);
    csr_set(f, RV_CSR_MCOUNTEREN, 2);
    csr_set(f, RV_CSR_MIDELEG, STI);
    csr_set(f, RV_CSR_STIMECMP, 100);
    f->cpu.c.priv = RV_PRIV_S;
    assert_true(rv_deadline(&f->cpu) == 10000);
    f->events.now_ns = 9999;
    assert_false(rv_interrupt(&f->cpu, true));
    f->events.now_ns = 10000;
    assert_false(rv_interrupt(&f->cpu, true)); /* SIE is clear, but it has been seen */
    assert_true(rv_deadline(&f->cpu) == UINT64_MAX);
    unsigned reads = f->events.reads;
    assert_false(rv_interrupt(&f->cpu, true));
    assert_int_equal(f->events.reads, reads); /* polling is free of the clock from now on */
    f->cpu.run.attention = 0;
    csr_set(f, RV_CSR_SSTATUS, RV_MSTATUS_SIE);
    assert_int_equal(f->cpu.run.attention, 1);
    assert_true(rv_interrupt(&f->cpu, true));
    assert_true(f->cpu.c.scause == (UINT64_C(1) << 63 | RV_IRQ_STI));
    csr_set(f, RV_CSR_STIMECMP, 300); /* as a handler does */
    assert_true(rv_deadline(&f->cpu) == 30000);
    csr_set(f, RV_CSR_SSTATUS, RV_MSTATUS_SIE);
    assert_false(rv_interrupt(&f->cpu, true));
}

static void deadlines(void **state)
{
    static const struct {
        uint64_t stimecmp, offset, deadline;
    } rows[] = {
        {1, 0, 100},
        {1000, 400, 60000},
        {1000, 4000, 0},
        {1000, (uint64_t)-1000, 0}, /* time is about to wrap: it is past stimecmp */
        {UINT64_MAX / 100, 0, UINT64_MAX / 100 * 100},
        {UINT64_MAX / 100 + 8, 7, UINT64_MAX},
        {UINT64_MAX, 0, UINT64_MAX},
    };
    for (unsigned i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct fixture *f = fixture_new(NULL, false);
        rv_move_time(&f->cpu, rows[i].offset);
        csr_set(f, RV_CSR_STIMECMP, rows[i].stimecmp);
        assert_true(rv_deadline(&f->cpu) == UINT64_MAX);
        csr_set(f, RV_CSR_MENVCFG, RV_MENVCFG_STCE);
        assert_true(rv_deadline(&f->cpu) == UINT64_MAX); /* mie keeps it out */
        csr_set(f, RV_CSR_MIE, STI);
        assert_true(rv_deadline(&f->cpu) == rows[i].deadline);
    }
}

static void polling_reads_the_clock_only_for_the_timer(void **state)
{
    struct fixture *f = fixture_new(NULL, false);
    csr_set(f, RV_CSR_MENVCFG, RV_MENVCFG_STCE);
    csr_set(f, RV_CSR_MIE, MTI | SEI);
    rv_interrupt(&f->cpu, true);
    rv_deadline(&f->cpu);
    assert_int_equal(f->events.reads, 0);
}

static void the_clock_is_read_where_it_matters(void **state)
{
    struct fixture *f = fixture_new(NULL, false);
    csr_set(f, RV_CSR_MENVCFG, RV_MENVCFG_STCE);
    csr_set(f, RV_CSR_MIE, STI);
    csr_set(f, RV_CSR_MIDELEG, STI);
    f->cpu.run.attention = 0;
    csr_set(f, RV_CSR_STIMECMP, 100);
    assert_int_equal(f->cpu.run.attention, 1); /* whoever runs the CPU bounds its run anew */
    f->cpu.c.priv = RV_PRIV_S;
    f->cpu.c.mstatus |= RV_MSTATUS_SIE;
    f->events.now_ns = 10000;
    unsigned reads = f->events.reads;
    assert_false(rv_interrupt(&f->cpu, false));
    assert_int_equal(f->events.reads, reads);
    rv_h_wfi(&f->cpu, 0, 0, 0); /* does not go on without the interrupt that ends it */
    assert_true(rv_interrupt(&f->cpu, false));
    assert_true(f->cpu.c.scause == (UINT64_C(1) << 63 | RV_IRQ_STI));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_right_interrupt_is_taken),
        cmocka_unit_test(mie_masks_each_interrupt),
        cmocka_unit_test(lines_rise_and_fall),
        cmocka_unit_test(enabling_a_pending_interrupt_asks_for_attention),
        cmocka_unit_test(user_mode_takes_none),
        cmocka_unit_test(wfi_waits_for_what_mie_enables),
        cmocka_unit_test(wfi_ends_at_stimecmp),
        cmocka_unit_test(stip_follows_stimecmp),
        cmocka_unit_test(the_timer_interrupts_once_it_is_due),
        cmocka_unit_test(deadlines),
        cmocka_unit_test(polling_reads_the_clock_only_for_the_timer),
        cmocka_unit_test(the_clock_is_read_where_it_matters),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
