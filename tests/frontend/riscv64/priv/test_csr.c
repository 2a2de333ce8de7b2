/* Which CSRs exist and for whom, what they may hold, counters, and what a write tells the engine. */
#include "tests/frontend/riscv64/priv/fixture.h"

/* --- who may access what ------------------------------------------------------------------------ */

/* Every register there is: first number, last number, lowest privilege, writable. */
static const struct {
    unsigned first, last, priv;
    bool writable;
} existing[] = {
    {0x001, 0x003, RV_PRIV_U, true},  {0xc00, 0xc1f, RV_PRIV_U, false},
    {0x100, 0x100, RV_PRIV_S, true},  {0x104, 0x106, RV_PRIV_S, true},
    {0x10a, 0x10a, RV_PRIV_S, true},  {0x140, 0x144, RV_PRIV_S, true},
    {0x14d, 0x14d, RV_PRIV_S, true},  {0x180, 0x180, RV_PRIV_S, true},
    {0xf11, 0xf15, RV_PRIV_M, false}, {0x300, 0x306, RV_PRIV_M, true},
    {0x30a, 0x30a, RV_PRIV_M, true},  {0x320, 0x320, RV_PRIV_M, true},
    {0x323, 0x344, RV_PRIV_M, true},  {0x3a0, 0x3a0, RV_PRIV_M, true},
    {0x3a2, 0x3a2, RV_PRIV_M, true},  {0x3b0, 0x3bf, RV_PRIV_M, true},
    {0xb00, 0xb00, RV_PRIV_M, true},  {0xb02, 0xb1f, RV_PRIV_M, true},
    {0x7a0, 0x7a4, RV_PRIV_M, true},
};

static bool expected_access(unsigned csr, unsigned priv, bool write)
{
    for (unsigned i = 0; i < sizeof existing / sizeof existing[0]; i++) {
        if (csr >= existing[i].first && csr <= existing[i].last)
            return priv >= existing[i].priv && (!write || existing[i].writable);
    }
    return false;
}

static bool can_read(struct fixture *f, unsigned csr)
{
    uint64_t value;
    bool ok = rv_csr_read(&f->cpu, csr, &value);
    assert_int_equal(rv_csr_allowed(&f->cpu, csr, false), ok);
    return ok;
}

static bool can_write(struct fixture *f, unsigned csr)
{
    bool allowed = rv_csr_allowed(&f->cpu, csr, true);
    struct rv_cpu saved = f->cpu;
    assert_int_equal(rv_csr_write(&f->cpu, csr, 0, NULL), allowed);
    f->cpu = saved;
    return allowed;
}

/* All that S and U may be given is given. */
static struct fixture *fixture_open(void)
{
    struct fixture *f = fixture_new(NULL, false);
    csr_set(f, RV_CSR_MCOUNTEREN, UINT64_MAX);
    csr_set(f, RV_CSR_SCOUNTEREN, UINT64_MAX);
    csr_set(f, RV_CSR_MENVCFG, UINT64_MAX);
    csr_set(f, RV_CSR_MSTATUS, RV_MSTATUS_FS);
    return f;
}

static void every_number_at_every_privilege(void **state)
{
    static const unsigned privs[] = {RV_PRIV_U, RV_PRIV_S, RV_PRIV_M};
    struct fixture *f = fixture_open();
    for (unsigned p = 0; p < 3; p++) {
        f->cpu.c.priv = (uint8_t)privs[p];
        for (unsigned csr = 0; csr < 4096; csr++) {
            if (can_read(f, csr) != expected_access(csr, privs[p], false) ||
                can_write(f, csr) != expected_access(csr, privs[p], true))
                fail_msg("csr %#x at privilege %u", csr, privs[p]);
        }
    }
    assert_false(rv_csr_allowed(&f->cpu, 4096 + RV_CSR_MSTATUS, false));
}

static void counters_need_each_level_above(void **state)
{
    struct fixture *f = fixture_open();
    for (unsigned n = 0; n < 32; n++) {
        for (unsigned open = 0; open < 4; open++) {
            f->cpu.c.priv = RV_PRIV_M;
            csr_set(f, RV_CSR_MCOUNTEREN, open & 1 ? UINT64_C(1) << n : ~(UINT64_C(1) << n));
            csr_set(f, RV_CSR_SCOUNTEREN, open & 2 ? UINT64_C(1) << n : ~(UINT64_C(1) << n));
            assert_true(can_read(f, RV_CSR_CYCLE + n));
            f->cpu.c.priv = RV_PRIV_S;
            assert_int_equal(can_read(f, RV_CSR_CYCLE + n), (open & 1) != 0);
            f->cpu.c.priv = RV_PRIV_U;
            assert_int_equal(can_read(f, RV_CSR_CYCLE + n), open == 3);
        }
    }
}

static void fp_registers_need_fs(void **state)
{
    struct fixture *f = fixture_new(NULL, false);
    for (unsigned fs = 0; fs < 4; fs++) {
        csr_set(f, RV_CSR_MSTATUS, (uint64_t)fs << 13);
        for (unsigned csr = RV_CSR_FFLAGS; csr <= RV_CSR_FCSR; csr++) {
            assert_int_equal(can_read(f, csr), fs != 0);
            assert_int_equal(can_write(f, csr), fs != 0);
        }
    }
}

static void tvm_traps_satp_in_s_mode_alone(void **state)
{
    struct fixture *f = fixture_open();
    csr_set(f, RV_CSR_MSTATUS, RV_MSTATUS_TVM);
    assert_true(can_read(f, RV_CSR_SATP) && can_write(f, RV_CSR_SATP));
    f->cpu.c.priv = RV_PRIV_S;
    assert_false(can_read(f, RV_CSR_SATP));
    assert_false(can_write(f, RV_CSR_SATP));
}

static void stimecmp_needs_stce_and_tm(void **state)
{
    for (unsigned n = 0; n < 4; n++) {
        struct fixture *f = fixture_open();
        csr_set(f, RV_CSR_MENVCFG, n & 1 ? RV_MENVCFG_STCE : ~RV_MENVCFG_STCE);
        csr_set(f, RV_CSR_MCOUNTEREN, n & 2 ? 2 : ~UINT64_C(2));
        assert_true(can_write(f, RV_CSR_STIMECMP));
        f->cpu.c.priv = RV_PRIV_S;
        assert_int_equal(can_read(f, RV_CSR_STIMECMP), n == 3);
        assert_int_equal(can_write(f, RV_CSR_STIMECMP), n == 3);
    }
    struct fixture *f = fixture_new("sstc=off", false);
    assert_false(can_read(f, RV_CSR_STIMECMP));
    csr_set(f, RV_CSR_MENVCFG, UINT64_MAX);
    assert_false(csr_get(f, RV_CSR_MENVCFG) & RV_MENVCFG_STCE);
}

static void user_mode_has_floats_and_counters_alone(void **state)
{
    struct fixture *f = fixture_user();
    for (unsigned csr = 0; csr < 4096; csr++)
        assert_int_equal(can_read(f, csr),
                         (csr >= 1 && csr <= 3) || (csr >= 0xc00 && csr <= 0xc1f));
}

/* --- what they may hold ------------------------------------------------------------------------- */

static bool counts(unsigned csr)
{
    return csr == RV_CSR_MCYCLE || csr == RV_CSR_MINSTRET;
}

/* Any write leaves a legal value, and writing back what was read changes nothing. */
static void random_writes_leave_legal_values(void **state)
{
    struct fixture *f = fixture_new(NULL, false);
    uint64_t rng = 2;
    struct gw_error err;
    for (unsigned n = 0; n < 60000; n++) {
        unsigned csr = random64(&rng) & 0xfff;
        uint64_t value = random64(&rng), mask = random64(&rng);
        if (n % 3 == 0)
            value &= mask & random64(&rng);
        if (n % 3 == 1)
            value |= mask | random64(&rng);
        if (csr >= 0x3a0 && csr < 0x3b0) /* or the locks would end the test early */
            value &= ~UINT64_C(0x8080808080808080);
        if (!rv_csr_write(&f->cpu, csr, value, NULL))
            continue;
        if (rv_state_desc.check(&f->cpu, &err) != GW_OK)
            fail_msg("csr %#x: %s", csr, err.object);
        if (!counts(csr)) {
            uint64_t once = csr_get(f, csr);
            csr_set(f, csr, once);
            assert_true(csr_get(f, csr) == once);
        }
        if (!(csr_get(f, RV_CSR_MSTATUS) & RV_MSTATUS_FS))
            csr_set(f, RV_CSR_MSTATUS, value | RV_MSTATUS_FS);
        struct gw_view view;
        rv_view(&f->cpu, &view);
        assert_true(view.vaddr_bits == (view.bare ? 56 : f->cpu.c.satp >> 60 == 8 ? 39 : 48));
    }
}

static const struct {
    unsigned csr;
    uint64_t ones; /* what stays of all ones */
} all_ones[] = {
    {RV_CSR_MSTATUS, 0x8000000a007e79aa},
    {RV_CSR_SSTATUS, 0x80000002000c6122},
    {RV_CSR_MEDELEG, 0xb3ff},
    {RV_CSR_MIDELEG, 0x222},
    {RV_CSR_MIE, 0xaaa},
    {RV_CSR_MTVEC, UINT64_MAX - 2},
    {RV_CSR_STVEC, UINT64_MAX - 2},
    {RV_CSR_MEPC, UINT64_MAX - 1},
    {RV_CSR_SEPC, UINT64_MAX - 1},
    {RV_CSR_MCAUSE, UINT64_MAX},
    {RV_CSR_MSCRATCH, UINT64_MAX},
    {RV_CSR_SSCRATCH, UINT64_MAX},
    {RV_CSR_MTVAL, UINT64_MAX},
    {RV_CSR_STVAL, UINT64_MAX},
    {RV_CSR_MCOUNTEREN, 0xffffffff},
    {RV_CSR_SCOUNTEREN, 0xffffffff},
    {RV_CSR_MCOUNTINHIBIT, 5},
    {RV_CSR_MENVCFG, UINT64_C(1) << 63 | 0xf1},
    {RV_CSR_SENVCFG, 0xf1},
    {RV_CSR_MIP, 0x222},
    {RV_CSR_STIMECMP, UINT64_MAX},
    {RV_CSR_FFLAGS, 0x1f},
    {RV_CSR_FRM, 7},
    {RV_CSR_FCSR, 0xff},
    {RV_CSR_MHPMCOUNTER3 + 5, 0},
    {RV_CSR_MHPMEVENT3 + 5, 0},
    {RV_CSR_MISA, UINT64_C(2) << 62 | 0x14112f},
};

static void all_ones_and_all_zeroes(void **state)
{
    for (unsigned i = 0; i < sizeof all_ones / sizeof all_ones[0]; i++) {
        struct fixture *f = fixture_new(NULL, false);
        unsigned csr = all_ones[i].csr;
        csr_set(f, RV_CSR_MSTATUS, RV_MSTATUS_FS);
        csr_set(f, csr, UINT64_MAX);
        if (csr_get(f, csr) != all_ones[i].ones)
            fail_msg("csr %#x: %#llx", csr, (unsigned long long)csr_get(f, csr));
        csr_set(f, csr, 0);
        uint64_t zero = csr_get(f, csr);
        if (csr == RV_CSR_MSTATUS)
            assert_true(zero == (UINT64_C(0xa) << 32));
        else if (csr == RV_CSR_SSTATUS)
            assert_true(zero == (UINT64_C(2) << 32));
        else if (csr != RV_CSR_MISA)
            assert_true(zero == 0);
    }
}

static void reserved_values_of_fields_keep_the_old_one(void **state)
{
    struct fixture *f = fixture_new(NULL, false);
    csr_set(f, RV_CSR_MSTATUS, UINT64_C(1) << 11);
    csr_set(f, RV_CSR_MSTATUS, UINT64_C(2) << 11 | RV_MSTATUS_TW);
    assert_true((csr_get(f, RV_CSR_MSTATUS) & (RV_MSTATUS_MPP | RV_MSTATUS_TW)) ==
                (UINT64_C(1) << 11 | RV_MSTATUS_TW));
    csr_set(f, RV_CSR_MENVCFG, 1 << 4);
    csr_set(f, RV_CSR_MENVCFG, 2 << 4 | RV_ENVCFG_FIOM);
    assert_int_equal(csr_get(f, RV_CSR_MENVCFG), 1 << 4 | RV_ENVCFG_FIOM);
    csr_set(f, RV_CSR_SENVCFG, 3 << 4);
    csr_set(f, RV_CSR_SENVCFG, 2 << 4);
    assert_int_equal(csr_get(f, RV_CSR_SENVCFG), 3 << 4);
}

static void there_is_no_trigger(void **state)
{
    struct fixture *f = fixture_open();
    for (unsigned csr = RV_CSR_TSELECT; csr <= RV_CSR_TINFO; csr++) {
        uint64_t expected = csr == RV_CSR_TINFO ? 1 : 0;
        assert_int_equal(csr_get(f, csr), expected);
        csr_set(f, csr, UINT64_MAX);
        assert_int_equal(csr_get(f, csr), expected);
    }
}

static void satp_ignores_writes_of_modes_it_lacks(void **state)
{
    for (unsigned config = 0; config < 3; config++) {
        static const char *const options[] = {NULL, "sv48=off", "sv48=off,sv39=off"};
        struct fixture *f = fixture_new(options[config], false);
        for (uint64_t mode = 0; mode < 16; mode++) {
            bool there = mode == 0 || (mode == 8 && config < 2) || (mode == 9 && config < 1);
            csr_set(f, RV_CSR_SATP, 0);
            csr_set(f, RV_CSR_SATP, mode << 60 | UINT64_C(0xfff1234567890ab));
            assert_true(csr_get(f, RV_CSR_SATP) ==
                        (there ? mode << 60 | UINT64_C(0xfff1234567890ab) : 0));
        }
    }
}

static void misa_follows_the_options(void **state)
{
    struct fixture *f = fixture_new("zbb=off", false);
    assert_true(csr_get(f, RV_CSR_MISA) == (UINT64_C(2) << 62 | 0x14112d));
}

static void envcfg_follows_the_options(void **state)
{
    struct fixture *f = fixture_new("zicbom=off", false);
    csr_set(f, RV_CSR_MENVCFG, 0xff);
    assert_int_equal(csr_get(f, RV_CSR_MENVCFG), 0x81);
    f = fixture_new("zicboz=off", false);
    csr_set(f, RV_CSR_SENVCFG, 0xff);
    assert_int_equal(csr_get(f, RV_CSR_SENVCFG), 0x71);
}

/* --- views of one register in another ----------------------------------------------------------- */

static void sstatus_is_a_window_of_mstatus(void **state)
{
    struct fixture *f = fixture_new(NULL, false);
    uint64_t rng = 3;
    for (unsigned n = 0; n < 1000; n++) {
        csr_set(f, RV_CSR_MSTATUS, random64(&rng));
        uint64_t m = csr_get(f, RV_CSR_MSTATUS), window = UINT64_C(0x80000003000de762);
        assert_true(csr_get(f, RV_CSR_SSTATUS) == (m & window));
        csr_set(f, RV_CSR_SSTATUS, random64(&rng));
        window |= RV_MSTATUS_SD;
        assert_true((csr_get(f, RV_CSR_MSTATUS) & ~window) == (m & ~window));
        m = csr_get(f, RV_CSR_MSTATUS);
        assert_int_equal(m >> 63, (m >> 13 & 3) == 3);
    }
}

static void sie_and_sip_show_what_is_delegated(void **state)
{
    struct fixture *f = fixture_new(NULL, false);
    uint64_t rng = 4;
    for (unsigned n = 0; n < 1000; n++) {
        uint64_t deleg = random64(&rng) & 0x222, mie = random64(&rng) & 0xaaa;
        uint64_t mip = random64(&rng) & 0x222, value = random64(&rng);
        csr_set(f, RV_CSR_MIDELEG, deleg);
        csr_set(f, RV_CSR_MIE, mie);
        csr_set(f, RV_CSR_MIP, mip);
        assert_true(csr_get(f, RV_CSR_SIE) == (mie & deleg));
        assert_true(csr_get(f, RV_CSR_SIP) == (mip & deleg));
        csr_set(f, RV_CSR_SIE, value);
        assert_true(csr_get(f, RV_CSR_MIE) == ((mie & ~deleg) | (value & deleg)));
        csr_set(f, RV_CSR_SIP, value); /* SSIP alone is writable */
        assert_true(csr_get(f, RV_CSR_MIP) == ((mip & ~(deleg & 2)) | (value & deleg & 2)));
    }
}

static void fcsr_joins_frm_and_fflags(void **state)
{
    struct fixture *f = fixture_new(NULL, false);
    csr_set(f, RV_CSR_MSTATUS, UINT64_C(1) << 13);
    csr_set(f, RV_CSR_FCSR, 0xfffffffffffffeb5);
    assert_int_equal(f->cpu.run.fp_flags, 0x15);
    assert_int_equal(f->cpu.c.frm, 5);
    assert_int_equal(csr_get(f, RV_CSR_FCSR), 0xb5);
    assert_true((csr_get(f, RV_CSR_MSTATUS) & RV_MSTATUS_FS) == RV_MSTATUS_FS);
    f->cpu.run.fp_flags |= IR_FP_DZ;
    assert_int_equal(csr_get(f, RV_CSR_FFLAGS), 0x1d);
    csr_set(f, RV_CSR_FRM, 2);
    csr_set(f, RV_CSR_FFLAGS, 3);
    assert_int_equal(csr_get(f, RV_CSR_FCSR), 0x43);
}

/* --- counters ----------------------------------------------------------------------------------- */

static void set_retired(struct fixture *f, uint64_t insns)
{
    f->cpu.run.budget = 1000;
    f->cpu.run.insns_base = insns + 1000;
}

static void counters_count_retired_instructions(void **state)
{
    static const unsigned pairs[][2] = {{RV_CSR_MCYCLE, RV_CSR_CYCLE},
                                        {RV_CSR_MINSTRET, RV_CSR_INSTRET}};
    for (unsigned i = 0; i < 2; i++) {
        struct fixture *f = fixture_new(NULL, false);
        set_retired(f, 500);
        assert_int_equal(csr_get(f, pairs[i][0]), 500);
        assert_int_equal(csr_get(f, pairs[i][1]), 500);
        csr_set(f, pairs[i][0], 7000); /* this instruction does not count */
        set_retired(f, 501);
        assert_int_equal(csr_get(f, pairs[i][1]), 7000);
        set_retired(f, 511);
        assert_int_equal(csr_get(f, pairs[i][0]), 7010);
        csr_set(f, pairs[i][0], UINT64_MAX);
        set_retired(f, 513);
        assert_int_equal(csr_get(f, pairs[i][0]), 0);
        /* one counter's value is not the other's */
        assert_int_equal(csr_get(f, pairs[!i][0]), 513);
    }
}

static void inhibited_counters_stand_still(void **state)
{
    struct fixture *f = fixture_new(NULL, false);
    set_retired(f, 100);
    csr_set(f, RV_CSR_MCOUNTINHIBIT, 4); /* counts itself, then no more */
    set_retired(f, 200);
    assert_int_equal(csr_get(f, RV_CSR_MINSTRET), 101);
    assert_int_equal(csr_get(f, RV_CSR_MCYCLE), 200);
    csr_set(f, RV_CSR_MINSTRET, 9000);
    set_retired(f, 300);
    assert_int_equal(csr_get(f, RV_CSR_INSTRET), 9000);
    csr_set(f, RV_CSR_MCOUNTINHIBIT, 1); /* instret goes on, cycle stops */
    set_retired(f, 301);
    assert_int_equal(csr_get(f, RV_CSR_INSTRET), 9000);
    set_retired(f, 400);
    assert_int_equal(csr_get(f, RV_CSR_INSTRET), 9099);
    assert_int_equal(csr_get(f, RV_CSR_CYCLE), 301);
}

static void time_is_the_vm_clock_in_ticks_of_100_ns(void **state)
{
    struct fixture *f = fixture_new(NULL, false);
    f->events.now_ns = 123456789;
    set_retired(f, 77);
    assert_int_equal(csr_get(f, RV_CSR_TIME), 1234567);
    assert_int_equal(f->events.insns, 77);
    assert_false(rv_csr_allowed(&f->cpu, RV_CSR_TIME, true));
    rv_move_time(&f->cpu, 10);
    assert_int_equal(csr_get(f, RV_CSR_TIME), 1234577);
    rv_move_time(&f->cpu, (uint64_t)-1234568);
    assert_int_equal(csr_get(f, RV_CSR_TIME), UINT64_MAX);
}

static void time_moves_in_user_mode(void **state)
{
    struct fixture *f = fixture_user();
    uint64_t first = csr_get(f, RV_CSR_TIME), now = first;
    while (now == first)
        now = csr_get(f, RV_CSR_TIME);
    assert_true(now > first);
}

/* --- what the engine is told -------------------------------------------------------------------- */

static void writes_that_change_the_view_say_so(void **state)
{
    const uint64_t fs = RV_MSTATUS_FS;
    const struct {
        unsigned csr;
        uint64_t before, after;
        bool dirty;
    } rows[] = {
        {RV_CSR_MSTATUS, fs, fs, false},
        {RV_CSR_MSTATUS, fs, fs | RV_MSTATUS_SUM, true},
        {RV_CSR_MSTATUS, fs, fs | RV_MSTATUS_MXR, true},
        {RV_CSR_MSTATUS, fs, fs | RV_MSTATUS_MPRV, true},
        {RV_CSR_MSTATUS, fs, fs | RV_MSTATUS_MPP, false},
        {RV_CSR_MSTATUS, fs | RV_MSTATUS_MPRV, fs | RV_MSTATUS_MPRV | RV_MSTATUS_MPP, true},
        {RV_CSR_MSTATUS, fs, 0, true},
        {RV_CSR_MSTATUS, UINT64_C(1) << 13, UINT64_C(2) << 13, false}, /* initial, clean */
        {RV_CSR_SSTATUS, UINT64_C(1) << 13, fs, true},
        {RV_CSR_SSTATUS, fs | RV_MSTATUS_SUM, fs, true},
        {RV_CSR_SSTATUS, fs, fs | RV_MSTATUS_SIE, false}, /* nothing is pending */
        {RV_CSR_SATP, 0, UINT64_C(8) << 60, true},
        {RV_CSR_SATP, 0, 0, false},
        {RV_CSR_SATP, 0, UINT64_C(7) << 60, false},
        {RV_CSR_FRM, 0, 1, true},
        {RV_CSR_FRM, 1, 1, false},
        {RV_CSR_FCSR, 0, 0x1f, false},
        {RV_CSR_FCSR, 0, 0x20, true},
        {RV_CSR_FFLAGS, 0, 0x1f, false},
        {RV_CSR_MIE, 0, 0xaaa, true},
        {RV_CSR_STIMECMP, 0, 1, true},
        {RV_CSR_MSCRATCH, 0, 1, false},
    };
    for (unsigned i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct fixture *f = fixture_new(NULL, false);
        bool changed;
        csr_set(f, RV_CSR_MSTATUS, fs);
        csr_set(f, rows[i].csr, rows[i].before);
        f->cpu.run.view_dirty = 0;
        assert_true(rv_csr_write(&f->cpu, rows[i].csr, rows[i].after, &changed));
        if (changed != rows[i].dirty || f->cpu.run.view_dirty != rows[i].dirty)
            fail_msg("row %u", i);
        /* A later write that changes nothing must not hide it. */
        csr_set(f, RV_CSR_MSCRATCH, 0);
        assert_int_equal(f->cpu.run.view_dirty, rows[i].dirty);
    }
}

/* A write to FRM marks the state dirty even if FRM keeps its value. */
static void fp_writes_make_fs_dirty(void **state)
{
    for (unsigned csr = RV_CSR_FFLAGS; csr <= RV_CSR_FCSR; csr++) {
        struct fixture *f = fixture_new(NULL, false);
        csr_set(f, RV_CSR_MSTATUS, UINT64_C(1) << 13);
        csr_get(f, csr);
        assert_int_equal(csr_get(f, RV_CSR_MSTATUS) >> 13 & 3, 1);
        f->cpu.run.view_dirty = 0;
        csr_set(f, csr, 0);
        assert_int_equal(csr_get(f, RV_CSR_MSTATUS) >> 13 & 3, 3);
        assert_true(f->cpu.run.view_dirty);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_number_at_every_privilege),
        cmocka_unit_test(counters_need_each_level_above),
        cmocka_unit_test(fp_registers_need_fs),
        cmocka_unit_test(tvm_traps_satp_in_s_mode_alone),
        cmocka_unit_test(stimecmp_needs_stce_and_tm),
        cmocka_unit_test(user_mode_has_floats_and_counters_alone),
        cmocka_unit_test(random_writes_leave_legal_values),
        cmocka_unit_test(all_ones_and_all_zeroes),
        cmocka_unit_test(reserved_values_of_fields_keep_the_old_one),
        cmocka_unit_test(there_is_no_trigger),
        cmocka_unit_test(satp_ignores_writes_of_modes_it_lacks),
        cmocka_unit_test(misa_follows_the_options),
        cmocka_unit_test(envcfg_follows_the_options),
        cmocka_unit_test(sstatus_is_a_window_of_mstatus),
        cmocka_unit_test(sie_and_sip_show_what_is_delegated),
        cmocka_unit_test(fcsr_joins_frm_and_fflags),
        cmocka_unit_test(counters_count_retired_instructions),
        cmocka_unit_test(inhibited_counters_stand_still),
        cmocka_unit_test(time_is_the_vm_clock_in_ticks_of_100_ns),
        cmocka_unit_test(time_moves_in_user_mode),
        cmocka_unit_test(writes_that_change_the_view_say_so),
        cmocka_unit_test(fp_writes_make_fs_dirty),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
