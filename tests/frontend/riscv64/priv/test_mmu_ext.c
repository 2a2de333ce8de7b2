/* Svnapot, Svpbmt, Svadu and Sv57. */
#include <endian.h>

#include "tests/frontend/riscv64/priv/fixture.h"

#define VA    UINT64_C(0x12345000)
#define N     (UINT64_C(1) << 63)
#define PBMT  (UINT64_C(1) << 61) /* times 0 to 3 */
#define NAPOT (UINT64_C(8) << 10) /* 64 KiB, in the PPN */

enum { SV39 = RV_SATP_SV39, SV57 = RV_SATP_SV57, BIG = 0x10000 };

static struct fixture *in_s_mode(const char *options, uint64_t menvcfg)
{
    struct fixture *f = fixture_new(options, false);
    csr_set(f, RV_CSR_MENVCFG, menvcfg);
    f->cpu.c.priv = RV_PRIV_S;
    return f;
}

/* --- Svnapot ------------------------------------------------------------------------------------ */

static void napot_pages_are_64_kib(void **state)
{
    struct fixture *f = in_s_mode("svnapot=on", 0);
    for (uint64_t i = 0; i < 16; i++)
        *map(f, SV39, (VA & ~UINT64_C(0xffff)) + i * 4096, 0, DATA, ALL) |= htole64(N | NAPOT);
    for (uint64_t offset = 0; offset < BIG; offset += 0x1234) {
        struct gw_xlate x;
        uint64_t va = (VA & ~UINT64_C(0xffff)) + offset;
        assert_int_equal(try_access(f, va, 1, GW_ACCESS_LOAD, &x), OK);
        assert_true(x.paddr == DATA + offset && x.shift == 16 && x.whole_page);
    }
}

static void other_napot_sizes_are_reserved(void **state)
{
    for (unsigned low = 0; low < 16; low++) {
        struct fixture *f = in_s_mode("svnapot=on", 0);
        *map(f, SV39, VA, 0, DATA, ALL) |= htole64(N | (uint64_t)low << 10);
        assert_int_equal(try_access(f, VA, 1, GW_ACCESS_LOAD, NULL),
                         low == 8 ? OK : RV_CAUSE_LOAD_PAGE);
    }
    struct fixture *f = in_s_mode("svnapot=on", 0);
    *map(f, SV39, VA, 1, RAM_BASE, ALL) |= htole64(N | NAPOT); /* a superpage */
    assert_int_equal(try_access(f, VA, 1, GW_ACCESS_LOAD, NULL), RV_CAUSE_LOAD_PAGE);
    f = in_s_mode("svnapot=on", 0);
    map(f, SV39, VA, 0, DATA, ALL);
    *pte_at(f, table_of_level(SV39, 1), VA >> 21 & 511) |= htole64(N); /* a pointer */
    assert_int_equal(try_access(f, VA, 1, GW_ACCESS_LOAD, NULL), RV_CAUSE_LOAD_PAGE);
}

/* --- Svpbmt ------------------------------------------------------------------------------------- */

static void memory_types_are_reserved_unless_enabled(void **state)
{
    for (unsigned enabled = 0; enabled < 2; enabled++) {
        for (unsigned type = 0; type < 4; type++) {
            struct fixture *f = in_s_mode("svpbmt=on", enabled ? RV_MENVCFG_PBMTE : 0);
            *map(f, SV39, VA, 0, DATA, ALL) |= htole64(type * PBMT);
            int want = type == 0 || (enabled && type < 3) ? OK : RV_CAUSE_STORE_PAGE;
            assert_int_equal(try_access(f, VA, 1, GW_ACCESS_STORE, NULL), want);
        }
    }
    struct fixture *f = in_s_mode("svpbmt=on", RV_MENVCFG_PBMTE);
    map(f, SV39, VA, 0, DATA, ALL);
    *pte_at(f, table_of_level(SV39, 2), VA >> 30 & 511) |= htole64(PBMT); /* a pointer */
    assert_int_equal(try_access(f, VA, 1, GW_ACCESS_LOAD, NULL), RV_CAUSE_LOAD_PAGE);
}

/* --- Svadu -------------------------------------------------------------------------------------- */

static void the_walk_sets_what_the_access_asks_for(void **state)
{
    static const uint64_t sets[] = {
        [GW_ACCESS_LOAD] = A, [GW_ACCESS_STORE] = A | D, [GW_ACCESS_FETCH] = A};
    for (unsigned access = 0; access < 3; access++) {
        for (unsigned had = 0; had < 4; had++) {
            struct fixture *f = in_s_mode("svadu=on", RV_MENVCFG_ADUE);
            uint64_t before = (had & 1 ? A : 0) | (had & 2 ? D : 0);
            uint64_t *pte = map(f, SV39, VA, 0, DATA, V | R | W | X | before);
            uint64_t want = *pte | htole64(sets[access]);
            struct gw_xlate x;
            assert_int_equal(try_access(f, VA, 1, access, &x), OK);
            assert_true(*pte == want);
            /* What is remembered of the page may not be written behind the D bit's back. */
            bool store = x.perms >> GW_ACCESS_STORE & 1;
            assert_int_equal(store, access != GW_ACCESS_FETCH && le64toh(*pte) & D ? 1 : 0);
        }
    }
}

static void without_adue_the_bits_are_softwares(void **state)
{
    struct fixture *f = in_s_mode("svadu=on", 0);
    uint64_t *pte = map(f, SV39, VA, 0, DATA, V | R | W | X), before = *pte;
    assert_int_equal(try_access(f, VA, 1, GW_ACCESS_LOAD, NULL), RV_CAUSE_LOAD_PAGE);
    assert_true(*pte == before);
}

static void refused_accesses_set_nothing(void **state)
{
    struct fixture *f = in_s_mode("svadu=on", RV_MENVCFG_ADUE);
    uint64_t *pte = map(f, SV39, VA, 0, DATA, V | R), before = *pte;
    assert_int_equal(try_access(f, VA, 1, GW_ACCESS_STORE, NULL), RV_CAUSE_STORE_PAGE);
    assert_int_equal(try_access(f, VA, 1, GW_ACCESS_FETCH, NULL), RV_CAUSE_FETCH_PAGE);
    f->cpu.c.priv = RV_PRIV_U;
    assert_int_equal(try_access(f, VA, 1, GW_ACCESS_LOAD, NULL), RV_CAUSE_LOAD_PAGE);
    assert_true(*pte == before);
}

/* PMP lets S-mode read the tables and not write them. */
static void tables_that_cannot_be_written_are_access_faults(void **state)
{
    struct fixture *f = in_s_mode("svadu=on", RV_MENVCFG_ADUE);
    uint64_t *pte = map(f, SV39, VA, 0, DATA, V | R | W | X), before = *pte;
    uint64_t table = table_of_level(SV39, 0);
    f->cpu.c.priv = RV_PRIV_M;
    csr_set(f, RV_CSR_PMPADDR0, table >> 2 | 0x1ff);
    csr_set(f, RV_CSR_PMPADDR0 + 1, UINT64_MAX);
    csr_set(f, RV_CSR_PMPCFG0,
            (RV_PMP_NAPOT | RV_PMP_R) | (RV_PMP_NAPOT | RV_PMP_R | RV_PMP_W | RV_PMP_X) << 8);
    f->cpu.c.priv = RV_PRIV_S;
    assert_int_equal(try_access(f, VA, 1, GW_ACCESS_LOAD, NULL), RV_CAUSE_LOAD_ACCESS);
    assert_true(*pte == before);
    *pte |= htole64(A); /* nothing to set */
    assert_int_equal(try_access(f, VA, 1, GW_ACCESS_LOAD, NULL), OK);
}

static void a_change_of_the_rules_forgets_translations(void **state)
{
    struct fixture *f = fixture_new("svadu=on,svpbmt=on,sv57=on", false);
    csr_set(f, RV_CSR_MENVCFG, RV_MENVCFG_ADUE);
    assert_int_equal(f->flushes, 1);
    csr_set(f, RV_CSR_MENVCFG, RV_MENVCFG_ADUE | RV_MENVCFG_STCE);
    assert_int_equal(f->flushes, 1);
    csr_set(f, RV_CSR_MENVCFG, RV_MENVCFG_ADUE | RV_MENVCFG_PBMTE);
    assert_int_equal(f->flushes, 2);
    csr_set(f, RV_CSR_SATP, (uint64_t)RV_SATP_SV39 << RV_SATP_MODE_SHIFT);
    assert_int_equal(f->flushes, 2);
    csr_set(f, RV_CSR_SATP, (uint64_t)RV_SATP_SV57 << RV_SATP_MODE_SHIFT);
    assert_int_equal(f->flushes, 3);
    csr_set(f, RV_CSR_SATP, 0);
    assert_int_equal(f->flushes, 4);
    f = fixture_new(NULL, false); /* and where they are not, the bits are 0 */
    csr_set(f, RV_CSR_MENVCFG, RV_MENVCFG_ADUE | RV_MENVCFG_PBMTE);
    assert_true(csr_get(f, RV_CSR_MENVCFG) == 0);
    assert_int_equal(f->flushes, 0);
}

/* --- Sv57 --------------------------------------------------------------------------------------- */

static void five_levels_translate_57_bits(void **state)
{
    static const uint64_t vaddrs[] = {VA, UINT64_C(0x00fedcba98765000),
                                      UINT64_C(0xff00000000000000), UINT64_C(0xfffffffffffff000)};
    for (unsigned i = 0; i < 4; i++) {
        struct fixture *f = in_s_mode("sv57=on", 0);
        struct gw_xlate x;
        struct gw_view view;
        map(f, SV57, vaddrs[i], 0, DATA, ALL);
        assert_int_equal(try_access(f, vaddrs[i] + 8, 8, GW_ACCESS_LOAD, &x), OK);
        assert_true(x.paddr == DATA + 8);
        assert_int_equal(try_access(f, vaddrs[i] ^ UINT64_C(1) << 57, 8, GW_ACCESS_LOAD, NULL),
                         RV_CAUSE_LOAD_PAGE);
        rv_view(&f->cpu, &view);
        assert_int_equal(view.vaddr_bits, 57);
    }
}

static void sv57_is_there_if_asked_for(void **state)
{
    struct fixture *f = fixture_new(NULL, false);
    csr_set(f, RV_CSR_SATP, (uint64_t)RV_SATP_SV57 << RV_SATP_MODE_SHIFT);
    assert_true(csr_get(f, RV_CSR_SATP) == 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(napot_pages_are_64_kib),
        cmocka_unit_test(other_napot_sizes_are_reserved),
        cmocka_unit_test(memory_types_are_reserved_unless_enabled),
        cmocka_unit_test(the_walk_sets_what_the_access_asks_for),
        cmocka_unit_test(without_adue_the_bits_are_softwares),
        cmocka_unit_test(refused_accesses_set_nothing),
        cmocka_unit_test(tables_that_cannot_be_written_are_access_faults),
        cmocka_unit_test(a_change_of_the_rules_forgets_translations),
        cmocka_unit_test(five_levels_translate_57_bits),
        cmocka_unit_test(sv57_is_there_if_asked_for),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
