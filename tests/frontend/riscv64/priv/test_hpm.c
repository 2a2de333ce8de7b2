/* Event counters: what they count, when they stop, and overflows (Zihpm, Sscofpmf). */
#include "tests/frontend/riscv64/priv/fixture.h"

enum { EVENT3 = RV_CSR_MHPMEVENT3, COUNTER3 = RV_CSR_MHPMCOUNTER3, INSTRUCTIONS = 2 };
#define LCOFI RV_IRQ_BIT(RV_IRQ_LCOFI)

/* n instructions retire; then the engine looks. */
static void retire(struct fixture *f, unsigned n)
{
    f->cpu.run.insns_base += n;
    rv_interrupt(&f->cpu, true);
}

static struct fixture *counting(uint64_t event)
{
    struct fixture *f = fixture_new("sscofpmf=on", false);
    f->cpu.run.insns_base = 1000;
    csr_set(f, EVENT3, event);
    retire(f, 1); /* the instruction that did it */
    return f;
}

static void they_count_what_retires(void **state)
{
    struct fixture *f = counting(INSTRUCTIONS);
    assert_int_equal(csr_get(f, COUNTER3), 0);
    retire(f, 100);
    assert_int_equal(csr_get(f, COUNTER3), 100);
    csr_set(f, COUNTER3, 7);
    assert_int_equal(csr_get(f, COUNTER3), 6); /* and 7 once this instruction has retired */
    retire(f, 1 + 10);
    assert_int_equal(csr_get(f, COUNTER3), 17);
    assert_int_equal(csr_get(f, COUNTER3 + 1), 0); /* is set to no event */
    csr_set(f, EVENT3, 99);                        /* and 99 is none */
    retire(f, 50);
    assert_int_equal(csr_get(f, COUNTER3), 18); /* with the instruction that stopped it */
}

static void inhibited_counters_stand(void **state)
{
    struct fixture *f = counting(INSTRUCTIONS);
    csr_set(f, RV_CSR_MCOUNTINHIBIT, 8);
    retire(f, 100);
    assert_int_equal(csr_get(f, COUNTER3), 1);
    csr_set(f, RV_CSR_MCOUNTINHIBIT, 0);
    retire(f, 1 + 10);
    assert_int_equal(csr_get(f, COUNTER3), 11);
}

static void modes_are_filtered(void **state)
{
    static const struct {
        uint64_t inhibit;
        unsigned counted; /* bits: U, S, M */
    } rows[] = {{0, 7},
                {RV_HPM_MINH, 3},
                {RV_HPM_SINH, 5},
                {RV_HPM_UINH, 6},
                {RV_HPM_MINH | RV_HPM_SINH | RV_HPM_UINH, 0}};
    static const unsigned privs[] = {RV_PRIV_U, RV_PRIV_S, RV_PRIV_M};
    for (unsigned i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct fixture *f = counting(INSTRUCTIONS | rows[i].inhibit);
        uint64_t want = csr_get(f, COUNTER3);
        for (unsigned k = 0; k < 3; k++) {
            rv_set_priv(&f->cpu, privs[k]);
            retire(f, 0);
            retire(f, 10u << k);
            want += rows[i].counted >> k & 1 ? 10u << k : 0;
        }
        rv_set_priv(&f->cpu, RV_PRIV_M);
        assert_int_equal(csr_get(f, COUNTER3), want);
    }
}

static void an_overflow_interrupts_once(void **state)
{
    struct fixture *f = counting(INSTRUCTIONS);
    csr_set(f, COUNTER3, UINT64_MAX - 9);
    retire(f, 1 + 9);
    assert_int_equal(csr_get(f, RV_CSR_MIP) & LCOFI, 0);
    retire(f, 1);
    assert_int_equal(csr_get(f, RV_CSR_MIP) & LCOFI, LCOFI);
    assert_true(csr_get(f, EVENT3) == (INSTRUCTIONS | RV_HPM_OF));
    assert_int_equal(csr_get(f, RV_CSR_SCOUNTOVF), 8);
    csr_set(f, RV_CSR_MIP, 0);
    csr_set(f, COUNTER3, UINT64_MAX);
    retire(f, 5); /* OF stands: no other interrupt */
    assert_int_equal(csr_get(f, RV_CSR_MIP) & LCOFI, 0);
}

static void the_interrupt_is_the_supervisors(void **state)
{
    struct fixture *f = counting(INSTRUCTIONS);
    csr_set(f, RV_CSR_MIDELEG, LCOFI);
    csr_set(f, RV_CSR_STVEC, 0x4000);
    csr_set(f, RV_CSR_SIE, LCOFI);
    csr_set(f, COUNTER3, UINT64_MAX);
    rv_set_priv(&f->cpu, RV_PRIV_U);
    f->cpu.run.insns_base += 5;
    assert_true(rv_interrupt(&f->cpu, true));
    assert_true(f->cpu.c.scause == (RV_CAUSE_INTERRUPT | RV_IRQ_LCOFI) && f->cpu.run.pc == 0x4000);
    assert_int_equal(csr_get(f, RV_CSR_SCOUNTOVF), 0); /* mcounteren hides it */
    f->cpu.c.mcounteren = 8;
    assert_int_equal(csr_get(f, RV_CSR_SCOUNTOVF), 8);
    csr_set(f, RV_CSR_SIP, 0);
    assert_int_equal(csr_get(f, RV_CSR_SIP), 0);
}

static void state_moves_to_another_retired_count(void **state)
{
    struct fixture *f = counting(INSTRUCTIONS);
    struct gw_error err;
    retire(f, 41);
    assert_int_equal(rv_state_desc.check(&f->cpu, &err), GW_OK);
    rv_state_desc.post_load(&f->cpu);
    retire(f, 1);
    assert_int_equal(csr_get(f, COUNTER3), 42);
    f->cpu.c.hpm_counting = 0x10;
    assert_int_equal(rv_state_desc.check(&f->cpu, &err), GW_ERR_FORMAT);
}

static void without_the_extension_all_is_zero(void **state)
{
    struct fixture *f = fixture_new(NULL, false);
    uint64_t value;
    csr_set(f, EVENT3, INSTRUCTIONS);
    csr_set(f, COUNTER3, 5);
    csr_set(f, RV_CSR_MIE, LCOFI);
    csr_set(f, RV_CSR_MIDELEG, LCOFI);
    csr_set(f, RV_CSR_MIP, LCOFI);
    csr_set(f, RV_CSR_MCOUNTINHIBIT, 8);
    retire(f, 5);
    assert_int_equal(csr_get(f, EVENT3) | csr_get(f, COUNTER3) | csr_get(f, RV_CSR_MIE) |
                         csr_get(f, RV_CSR_MIDELEG) | csr_get(f, RV_CSR_MIP) |
                         csr_get(f, RV_CSR_MCOUNTINHIBIT),
                     0);
    assert_false(rv_csr_read(&f->cpu, RV_CSR_SCOUNTOVF, &value));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(they_count_what_retires),
        cmocka_unit_test(inhibited_counters_stand),
        cmocka_unit_test(modes_are_filtered),
        cmocka_unit_test(an_overflow_interrupts_once),
        cmocka_unit_test(the_interrupt_is_the_supervisors),
        cmocka_unit_test(state_moves_to_another_retired_count),
        cmocka_unit_test(without_the_extension_all_is_zero),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
