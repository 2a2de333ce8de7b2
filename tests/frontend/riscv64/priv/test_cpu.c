/* Models and options, the ISA string, reset, the hand-over to a kernel, and the state table. */
#include "frontend/riscv64/decode.h"
#include "tests/frontend/riscv64/priv/fixture.h"

/* --- options ------------------------------------------------------------------------------------ */

#define ISA_ALL                                                                                    \
    "rv64imafdc_zicbom_zicbop_zicboz_zicntr_zicond_zicsr_zifencei_zihintpause_zihpm_zba_zbb_zbs_"  \
    "sstc_svade"

#define ISA_MAX                                                                                    \
    "rv64imafdc_zicbom_zicbop_zicboz_zicntr_zicond_zicsr_zifencei_zihintntl_zihintpause_zihpm_"    \
    "zimop_zabha_zacas_zawrs_zfa_zfh_zfhmin_zca_zcb_zcd_zcmop_zba_zbb_zbc_zbkb_zbkc_zbkx_zbs_"     \
    "zknd_"                                                                                        \
    "zkne_zknh_sscofpmf_sstc_svadu_svinval_svnapot_svpbmt"

static const char *isa_of(const char *options)
{
    static char buf[256];
    struct fixture *f = fixture_new(options, false);
    size_t need = rv_isa_string(&f->cpu, buf, sizeof buf);
    assert_int_equal(need, strlen(buf) + 1);
    return buf;
}

static void the_isa_string_follows_the_options(void **state)
{
    assert_string_equal(isa_of(NULL), ISA_ALL);
    assert_string_equal(isa_of(""), ISA_ALL);
    assert_string_equal(isa_of("zba=off,zba=on"), ISA_ALL);
    assert_string_equal(isa_of("sv48=off"), ISA_ALL); /* the MMU stands in mmu-type */
    assert_string_equal(
        isa_of("zba=off,ZBB=off,zbs=off,zicond=off,zicbom=off,zicbop=off,zicboz=off,"
               "zihintpause=off,sstc=off"),
        "rv64imafdc_zicntr_zicsr_zifencei_zihpm_svade");
}

static void max_has_every_extension(void **state)
{
    static struct rv_cpu cpu;
    struct gw_error err;
    struct fixture *f = fixture_new(NULL, false);
    struct gw_cpu_config cfg = {.model = "max", .bus = &f->bus, .events = &f->events};
    char buf[512];
    assert_int_equal(rv_init(&cpu, &cfg, &err), GW_OK);
    assert_int_equal(cpu.cfg.ext, (UINT64_C(1) << RV_EXT_BIT_COUNT) - 1);
    rv_isa_string(&cpu, buf, sizeof buf);
    assert_string_equal(buf, ISA_MAX);
    cfg.options = "zfh=off,zcb=off,zcmop=off";
    assert_int_equal(rv_init(&cpu, &cfg, &err), GW_OK);
    rv_isa_string(&cpu, buf, sizeof buf);
    assert_null(strstr(buf, "_zfh_"));
    assert_non_null(strstr(buf, "_zfhmin_"));
    assert_null(strstr(buf, "_zca"));
}

static void an_option_brings_what_it_needs(void **state)
{
    assert_non_null(strstr(isa_of("zfh=on"), "_zfh_zfhmin_"));
    assert_non_null(strstr(isa_of("zcb=on"), "_zca_zcb_zcd_"));
    assert_non_null(strstr(isa_of("sv39=off,sv48=on"), "_zba"));
}

static void the_isa_list_has_the_same_names(void **state)
{
    struct fixture *f = fixture_new("zbs=off", false);
    static const char want[] =
        "i\0m\0a\0f\0d\0c\0zicbom\0zicbop\0zicboz\0zicntr\0zicond\0zicsr\0zifencei\0zihintpause\0"
        "zihpm\0zba\0zbb\0sstc\0svade";
    char buf[256];
    assert_int_equal(rv_isa_list(&f->cpu, buf, sizeof buf), sizeof want);
    assert_memory_equal(buf, want, sizeof want);
    /* A short buffer gets what fits, and the size that would do. */
    memset(buf, 'x', sizeof buf);
    assert_int_equal(rv_isa_list(&f->cpu, buf, 5), sizeof want);
    assert_memory_equal(buf, "i\0m\0axx", 7);
    assert_int_equal(rv_isa_string(&f->cpu, NULL, 0), sizeof ISA_ALL - strlen("_zbs"));
}

static void bad_options_are_refused(void **state)
{
    static const struct {
        const char *model, *options, *object;
    } rows[] = {
        {"rv64", "zbx=on", "zbx=on"},        {"rv64", "zba", "zba"},
        {"rv64", "zba=maybe", "zba=maybe"},  {"rv64", "zba=", "zba="},
        {"rv64", "zbb=on,=on", "=on"},       {"rv64", "zicsr=off", "zicsr=off"},
        {"rv64", "sv39=off", "sv39=off"},    {"rv65", NULL, "rv65"},
        {"max", "zfhmin=off", "zfhmin=off"}, {"rv64", "zba=on,,zbb=on", ""},
    };
    struct fixture *f = fixture_new(NULL, false);
    for (unsigned i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        static struct rv_cpu cpu;
        struct gw_error err;
        const struct gw_cpu_config cfg = {.model = rows[i].model,
                                          .options = rows[i].options,
                                          .bus = &f->bus,
                                          .events = &f->events};
        assert_int_equal(rv_init(&cpu, &cfg, &err), GW_ERR_ARG);
        assert_string_equal(err.object, rows[i].object);
        assert_true(err.message[0]);
    }
}

static void a_machine_needs_bus_and_clock(void **state)
{
    static struct rv_cpu cpu;
    struct gw_error err;
    assert_int_equal(rv_init(&cpu, &(struct gw_cpu_config){.hart = 1}, &err), GW_ERR_ARG);
    assert_int_equal(rv_init(&cpu, &(struct gw_cpu_config){.user = true}, &err), GW_OK);
}

/* --- reset -------------------------------------------------------------------------------------- */

static void reset_leaves_what_the_manual_asks_for(void **state)
{
    struct fixture *f = fixture_new(NULL, false);
    uint64_t rng = 5;
    f->cpu.c.mhartid = 3;
    for (unsigned i = 0; i < sizeof f->cpu.x / 8; i++)
        f->cpu.x[i] = f->cpu.f[i] = random64(&rng);
    csr_set(f, RV_CSR_PMPCFG0, UINT64_MAX);
    csr_set(f, RV_CSR_MSTATUS, UINT64_MAX);
    csr_set(f, RV_CSR_SATP, UINT64_C(9) << 60);
    csr_set(f, RV_CSR_FCSR, 0xff);
    f->cpu.c.priv = RV_PRIV_U;
    f->cpu.c.halted = 1;
    f->flushes = 0;
    rv_reset(&f->cpu);
    assert_int_equal(f->cpu.c.priv, RV_PRIV_M);
    assert_true(csr_get(f, RV_CSR_MSTATUS) == UINT64_C(0xa) << 32);
    assert_true(csr_get(f, RV_CSR_SATP) == 0 && csr_get(f, RV_CSR_PMPCFG0) == 0);
    assert_true(csr_get(f, RV_CSR_MCAUSE) == 0 && csr_get(f, RV_CSR_MHARTID) == 3);
    assert_true(f->cpu.run.pc == 0x1000 && !f->cpu.c.halted && !f->cpu.run.fp_flags);
    assert_true(f->cpu.c.reservation == RV_NO_RESERVATION);
    assert_true(f->cpu.run.view_dirty && f->flushes == 1);
    assert_true(f->cpu.x[5] == 0 && f->cpu.f[5] == 0);
}

static void user_mode_starts_in_u_with_floats_on(void **state)
{
    struct fixture *f = fixture_user();
    assert_int_equal(f->cpu.c.priv, RV_PRIV_U);
    assert_true((f->cpu.c.mstatus & RV_MSTATUS_FS) == RV_MSTATUS_FS);
}

static void a_kernel_finds_what_firmware_leaves(void **state)
{
    struct fixture *f = fixture_new(NULL, true);
    f->cpu.c.mhartid = 2;
    rv_reset(&f->cpu);
    rv_boot_supervisor(&f->cpu, 0x80200000, 0x8f000000);
    assert_true(f->cpu.run.pc == 0x80200000 && f->cpu.c.priv == RV_PRIV_S);
    assert_true(f->cpu.x[10] == 2 && f->cpu.x[11] == 0x8f000000);
    assert_true(rv_csr_allowed(&f->cpu, RV_CSR_TIME, false));
    assert_true(rv_csr_allowed(&f->cpu, RV_CSR_STIMECMP, true));
    assert_int_equal(try_access(f, DATA, 8, GW_ACCESS_FETCH, NULL), OK);
    struct gw_error err;
    assert_int_equal(rv_state_desc.check(&f->cpu, &err), GW_OK);
    /* Everything that S-mode can handle goes there. */
    csr_set(f, RV_CSR_STVEC, 0x80201000);
    rv_h_illegal(&f->cpu, 0, 0, 0);
    assert_true(f->cpu.run.pc == 0x80201000);
    rv_h_cbo(&f->cpu, DATA, 1, 0);
    assert_true(f->cpu.c.scause == RV_CAUSE_ILLEGAL && f->cpu.c.sepc == 0x80200000);
}

/* --- state -------------------------------------------------------------------------------------- */

static void randomise(struct fixture *f, uint64_t *rng)
{
    for (unsigned i = 1; i < 32; i++)
        f->cpu.x[i] = random64(rng);
    for (unsigned i = 0; i < 32; i++)
        f->cpu.f[i] = random64(rng);
    for (unsigned n = 0; n < 2000; n++) {
        unsigned csr = random64(rng) & 0xfff;
        uint64_t value = random64(rng);
        csr_set(f, RV_CSR_MSTATUS, csr_get(f, RV_CSR_MSTATUS) | RV_MSTATUS_FS);
        rv_csr_write(&f->cpu, csr, value, NULL);
    }
    f->cpu.run.pc = random64(rng) & ~UINT64_C(1);
    f->cpu.c.halted = 1;
    f->cpu.c.reservation = random64(rng);
    f->cpu.c.reserved_value = random64(rng);
    rv_irq_line(&f->cpu, RV_IRQ_MTI, 1);
}

static const struct state_field *field_of(const char *name)
{
    for (uint32_t i = 0; i < rv_state_desc.field_count; i++) {
        if (!strcmp(rv_state_desc.fields[i].name, name))
            return &rv_state_desc.fields[i];
    }
    fail_msg("no field %s", name);
    return NULL;
}

/* Through the table into another CPU: everything architectural arrives, and what derives from it. */
static void state_survives_a_move(void **state)
{
    static struct rv_cpu other;
    uint64_t rng = 6;
    for (unsigned round = 0; round < 50; round++) {
        struct fixture *f = fixture_new(NULL, false);
        struct gw_error err;
        const struct gw_cpu_config cfg = {.bus = &f->bus, .events = &f->events};
        randomise(f, &rng);
        f->events.now_ns = random64(&rng) >> 20;
        assert_int_equal(rv_init(&other, &cfg, &err), GW_OK);
        other.run.view_dirty = 0;
        for (uint32_t i = 0; i < rv_state_desc.field_count; i++) {
            const struct state_field *field = &rv_state_desc.fields[i];
            for (uint32_t e = 0; e < field->count; e++)
                state_set(&other, field, e, state_get(&f->cpu, field, e));
        }
        assert_int_equal(rv_state_desc.check(&other, &err), GW_OK);
        rv_state_desc.post_load(&other);
        assert_memory_equal(other.x, f->cpu.x, sizeof other.x);
        assert_memory_equal(other.f, f->cpu.f, sizeof other.f);
        assert_true(other.run.pc == f->cpu.run.pc && other.run.fp_flags == f->cpu.run.fp_flags);
        assert_true(other.pmp_active == f->cpu.pmp_active && other.run.view_dirty);
        for (unsigned csr = 0; csr < 4096; csr++) {
            uint64_t a = 0, b = 0;
            other.c.priv = f->cpu.c.priv = RV_PRIV_M;
            assert_int_equal(rv_csr_read(&f->cpu, csr, &a), rv_csr_read(&other, csr, &b));
            assert_true(a == b);
        }
        for (unsigned n = 0; n < 200; n++) {
            uint64_t paddr = random64(&rng) >> (8 + n % 40);
            bool whole[2];
            assert_int_equal(rv_pmp_perms(&f->cpu, paddr, 4, RV_PRIV_S, &whole[0]),
                             rv_pmp_perms(&other, paddr, 4, RV_PRIV_S, &whole[1]));
            assert_int_equal(whole[0], whole[1]);
        }
        assert_int_equal(rv_waiting(&other), rv_waiting(&f->cpu));
        assert_int_equal(rv_interrupt(&other, true), rv_interrupt(&f->cpu, true));
        assert_memory_equal(&other.c, &f->cpu.c, sizeof other.c);
    }
}

/* Every byte of the architectural structs is some field's, but for padding. */
static void the_table_covers_the_architecture(void **state)
{
    static uint8_t covered[sizeof(struct rv_cpu)];
    for (uint32_t i = 0; i < rv_state_desc.field_count; i++) {
        const struct state_field *field = &rv_state_desc.fields[i];
        for (uint32_t b = 0; b < field->count * field->type; b++)
            assert_int_equal(covered[field->offset + b]++, 0);
        for (uint32_t j = 0; j < i; j++)
            assert_string_not_equal(field->name, rv_state_desc.fields[j].name);
    }
    unsigned missing = 0;
    for (size_t i = 0; i < sizeof(struct rv_csrs); i++)
        missing += !covered[offsetof(struct rv_cpu, c) + i];
    assert_true(missing < 8);
    for (size_t i = 0; i < sizeof(((struct rv_cpu *)0)->x); i++)
        assert_int_equal(covered[i], 1);
}

static void impossible_states_are_refused(void **state)
{
    static const struct {
        const char *field;
        uint64_t value;
    } rows[] = {
        {"x", 1},
        {"pc", 0x80000001},
        {"fflags", 0x20},
        {"frm", 8},
        {"priv", 2},
        {"priv", 4},
        {"halted", 2},
        {"mstatus", UINT64_C(2) << 11},
        {"mstatus", UINT64_C(1) << 63},
        {"mip", 8},
        {"mie", 1},
        {"mideleg", 8},
        {"medeleg", 1 << 11},
        {"mtvec", 2},
        {"stvec", 3},
        {"mepc", 1},
        {"sepc", 1},
        {"satp", UINT64_C(10) << 60},
        {"menvcfg", 2 << 4},
        {"menvcfg", UINT64_C(1) << 61},
        {"senvcfg", UINT64_C(1) << 63},
        {"mcountinhibit", 2},
        {"mcounteren", UINT64_C(1) << 32},
        {"scounteren", UINT64_C(1) << 32},
        {"pmpaddr", UINT64_C(1) << 54},
        {"pmpcfg", RV_PMP_W},
        {"pmpcfg", 0x20},
        {"mip_external", 2},
    };
    for (unsigned i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct fixture *f = fixture_new(NULL, false);
        struct gw_error err;
        assert_int_equal(rv_state_desc.check(&f->cpu, &err), GW_OK);
        state_set(&f->cpu, field_of(rows[i].field), 0, rows[i].value);
        if (rv_state_desc.check(&f->cpu, &err) != GW_ERR_FORMAT)
            fail_msg("%s", rows[i].field);
    }
    struct fixture *f = fixture_new("sv48=off,sstc=off", false);
    struct gw_error err;
    f->cpu.c.satp = UINT64_C(9) << 60;
    assert_int_equal(rv_state_desc.check(&f->cpu, &err), GW_ERR_FORMAT);
    f->cpu.c.satp = 0;
    f->cpu.c.menvcfg = RV_MENVCFG_STCE;
    assert_int_equal(rv_state_desc.check(&f->cpu, &err), GW_ERR_FORMAT);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_isa_string_follows_the_options),
        cmocka_unit_test(max_has_every_extension),
        cmocka_unit_test(an_option_brings_what_it_needs),
        cmocka_unit_test(the_isa_list_has_the_same_names),
        cmocka_unit_test(bad_options_are_refused),
        cmocka_unit_test(a_machine_needs_bus_and_clock),
        cmocka_unit_test(reset_leaves_what_the_manual_asks_for),
        cmocka_unit_test(user_mode_starts_in_u_with_floats_on),
        cmocka_unit_test(a_kernel_finds_what_firmware_leaves),
        cmocka_unit_test(state_survives_a_move),
        cmocka_unit_test(the_table_covers_the_architecture),
        cmocka_unit_test(impossible_states_are_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
