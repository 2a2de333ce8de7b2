/* PMP: matching against a model that looks at every byte, locks, and WARL fields. */
#include "tests/frontend/riscv64/priv/fixture.h"

enum { RWX_CFG = RV_PMP_R | RV_PMP_W | RV_PMP_X, NONE = 99 };

/* Is the byte at paddr the entry's? As 3.7.1.2 describes the encodings. */
static bool byte_matches(const struct rv_csrs *c, unsigned i, uint64_t paddr)
{
    uint64_t word = paddr >> 2;
    switch (c->pmpcfg[i] >> 3 & 3) {
    case 1: return word < c->pmpaddr[i] && (i == 0 || word >= c->pmpaddr[i - 1]);
    case 2: return word == c->pmpaddr[i];
    case 3: {
        unsigned ones = 0;
        while (ones < 54 && c->pmpaddr[i] >> ones & 1)
            ones++;
        return word >> (ones + 1) == c->pmpaddr[i] >> (ones + 1);
    }
    default: return false;
    }
}

static unsigned first_match(const struct rv_csrs *c, uint64_t paddr)
{
    for (unsigned i = 0; i < RV_PMP_COUNT; i++) {
        if (byte_matches(c, i, paddr))
            return i;
    }
    return NONE;
}

static bool model_allows(const struct rv_csrs *c, uint64_t paddr, unsigned size,
                         enum gw_access access, unsigned priv)
{
    static const uint8_t need[] = {RV_PMP_R, RV_PMP_W, RV_PMP_X};
    for (unsigned i = 0; i < RV_PMP_COUNT; i++) {
        unsigned matched = 0;
        for (unsigned b = 0; b < size; b++)
            matched += byte_matches(c, i, paddr + b);
        if (!matched)
            continue;
        if (matched < size)
            return false;
        return (priv == RV_PRIV_M && !(c->pmpcfg[i] & RV_PMP_L)) || c->pmpcfg[i] & need[access];
    }
    return priv == RV_PRIV_M;
}

static bool model_whole_page(const struct rv_csrs *c, uint64_t paddr)
{
    uint64_t page = paddr & ~UINT64_C(4095);
    for (unsigned at = 4; at < 4096; at += 4) {
        if (first_match(c, page + at) != first_match(c, page))
            return false;
    }
    return true;
}

/* Entries crowd into four pages, so that they overlap in every way. */
static void program_random(struct fixture *f, uint64_t *rng)
{
    for (unsigned i = 0; i < RV_PMP_COUNT; i++) {
        uint64_t r = random64(rng);
        uint64_t word = (0x100000 + (r >> 8 & 0x3fff)) >> 2;
        unsigned kind = r & 7;
        f->cpu.c.pmpcfg[i] = (uint8_t)(r >> 32) & RV_PMP_LEGAL;
        if (!(f->cpu.c.pmpcfg[i] & RV_PMP_R))
            f->cpu.c.pmpcfg[i] &= (uint8_t)~RV_PMP_W;
        if (kind < 4) /* most are off, or all would be one crowd */
            f->cpu.c.pmpcfg[i] &= (uint8_t)~RV_PMP_A;
        if (kind == 5)
            word &= ~UINT64_C(1023); /* page borders */
        if (kind == 6)
            word |= (UINT64_C(1) << (r >> 40 & 15)) - 1;
        f->cpu.c.pmpaddr[i] = word;
    }
    rv_pmp_derive(&f->cpu);
}

static void lookup_agrees_with_a_model_of_bytes(void **state)
{
    static const unsigned privs[] = {RV_PRIV_U, RV_PRIV_S, RV_PRIV_M};
    struct fixture *f = fixture_new(NULL, false);
    uint64_t rng = 1;
    unsigned allowed = 0, denied = 0, whole = 0;
    for (unsigned round = 0; round < 400; round++) {
        program_random(f, &rng);
        for (unsigned n = 0; n < 50; n++) {
            uint64_t r = random64(&rng);
            unsigned size = 1u << (r & 3), access = (unsigned)(r >> 2) % 3;
            unsigned priv = privs[(r >> 10) % 3];
            uint64_t paddr = 0x100000 + (r >> 20 & 0x3fff);
            bool got_whole, want = model_allows(&f->cpu.c, paddr, size, access, priv);
            assert_int_equal(rv_pmp_allows(&f->cpu, paddr, size, access, priv, &got_whole), want);
            allowed += want, denied += !want;
            /* A page that ends in the access must be uniform as far as it goes. */
            if ((paddr & 4095) + size <= 4096) {
                assert_int_equal(got_whole, model_whole_page(&f->cpu.c, paddr));
                whole += got_whole;
            }
        }
    }
    assert_true(allowed > 1000 && denied > 1000 && whole > 100);
}

/* 3.7.1.2: TOR matches from the entry before up to, and without, its own address. */
static void tor_with_nothing_between_matches_nothing(void **state)
{
    for (unsigned below = 0; below < 3; below++) {
        struct fixture *f = fixture_new(NULL, false);
        bool whole;
        csr_set(f, RV_CSR_PMPCFG0,
                (uint64_t)(RV_PMP_NAPOT | RWX_CFG) << 16 | (uint64_t)RV_PMP_TOR << 8);
        csr_set(f, RV_CSR_PMPADDR0 + 2, UINT64_MAX);
        csr_set(f, RV_CSR_PMPADDR0 + 1, DATA >> 2);
        csr_set(f, RV_CSR_PMPADDR0, (DATA >> 2) + 1 - below);
        /* over the border, to which an empty range must not lend a first byte */
        assert_int_equal(rv_pmp_allows(&f->cpu, DATA - 2, 4, GW_ACCESS_LOAD, RV_PRIV_S, &whole),
                         below < 2);
        assert_int_equal(whole, below < 2);
    }
}

static void without_a_match_only_m_mode_passes(void **state)
{
    struct fixture *f = fixture_new(NULL, false);
    bool whole;
    csr_set(f, RV_CSR_PMPCFG0, 0);
    for (unsigned access = 0; access < 3; access++) {
        assert_true(rv_pmp_allows(&f->cpu, DATA, 8, access, RV_PRIV_M, &whole));
        assert_true(whole);
        assert_false(rv_pmp_allows(&f->cpu, DATA, 8, access, RV_PRIV_S, &whole));
        assert_false(rv_pmp_allows(&f->cpu, DATA, 8, access, RV_PRIV_U, &whole));
    }
}

static void napot_of_all_ones_covers_everything(void **state)
{
    struct fixture *f = fixture_new(NULL, false);
    bool whole;
    assert_true(rv_pmp_allows(&f->cpu, 0, 8, GW_ACCESS_LOAD, RV_PRIV_U, &whole));
    assert_true(whole);
    assert_true(
        rv_pmp_allows(&f->cpu, (UINT64_C(1) << 56) - 8, 8, GW_ACCESS_STORE, RV_PRIV_U, &whole));
    assert_true(whole);
}

static void firmware_grants_all_memory_at_reset(void **state)
{
    bool whole;
    struct fixture *f = fixture_new(NULL, true);
    rv_reset(&f->cpu);
    assert_true(rv_pmp_allows(&f->cpu, 0x1234, 4, GW_ACCESS_FETCH, RV_PRIV_S, &whole) && whole);
    f = fixture_new(NULL, false);
    rv_reset(&f->cpu);
    assert_false(rv_pmp_allows(&f->cpu, 0x1234, 4, GW_ACCESS_FETCH, RV_PRIV_S, &whole));
}

static void locks_hold_until_reset(void **state)
{
    struct fixture *f = fixture_new(NULL, false);
    csr_set(f, RV_CSR_PMPADDR0 + 3, 0x1000);
    csr_set(f, RV_CSR_PMPADDR0 + 4, 0x2000);
    csr_set(f, RV_CSR_PMPADDR0 + 8, 0x3000);
    csr_set(f, RV_CSR_PMPCFG2, RV_PMP_L | RV_PMP_NA4 | RV_PMP_R); /* entry 8, not TOR */
    csr_set(f, RV_CSR_PMPCFG0, (uint64_t)(RV_PMP_L | RV_PMP_TOR | RV_PMP_R) << 32); /* entry 4 */
    csr_set(f, RV_CSR_PMPCFG0, UINT64_MAX);
    csr_set(f, RV_CSR_PMPCFG2, 0);
    for (unsigned i = 0; i < RV_PMP_COUNT; i++)
        csr_set(f, RV_CSR_PMPADDR0 + i, 0x7777);
    assert_int_equal(csr_get(f, RV_CSR_PMPADDR0 + 4), 0x2000);
    assert_int_equal(csr_get(f, RV_CSR_PMPADDR0 + 8), 0x3000);
    assert_int_equal(f->cpu.c.pmpcfg[4], RV_PMP_L | RV_PMP_TOR | RV_PMP_R);
    assert_int_equal(f->cpu.c.pmpcfg[8], RV_PMP_L | RV_PMP_NA4 | RV_PMP_R);
    /* the lower bound of a locked TOR entry */
    assert_int_equal(csr_get(f, RV_CSR_PMPADDR0 + 3), 0x1000);
    /* but an address below a locked entry of another kind is free */
    assert_int_equal(f->cpu.c.pmpcfg[3], 0x9f);
    f = fixture_new(NULL, false);
    csr_set(f, RV_CSR_PMPCFG2, RV_PMP_L | RV_PMP_NA4);
    csr_set(f, RV_CSR_PMPADDR0 + 7, 0x7777);
    assert_int_equal(csr_get(f, RV_CSR_PMPADDR0 + 7), 0x7777);
    rv_reset(&f->cpu);
    csr_set(f, RV_CSR_PMPCFG2, RV_PMP_TOR);
    assert_int_equal(csr_get(f, RV_CSR_PMPCFG2), RV_PMP_TOR);
}

static void locked_entries_bind_m_mode(void **state)
{
    struct fixture *f = fixture_new(NULL, false);
    bool whole;
    csr_set(f, RV_CSR_PMPADDR0 + 8, DATA >> 2 | 0x1ff);
    csr_set(f, RV_CSR_PMPCFG0, 0);
    csr_set(f, RV_CSR_PMPCFG2, RV_PMP_NAPOT | RV_PMP_R);
    assert_true(rv_pmp_allows(&f->cpu, DATA, 8, GW_ACCESS_STORE, RV_PRIV_M, &whole));
    csr_set(f, RV_CSR_PMPCFG2, RV_PMP_NAPOT | RV_PMP_R | RV_PMP_L);
    assert_false(rv_pmp_allows(&f->cpu, DATA, 8, GW_ACCESS_STORE, RV_PRIV_M, &whole));
    assert_true(rv_pmp_allows(&f->cpu, DATA, 8, GW_ACCESS_LOAD, RV_PRIV_M, &whole));
}

static void changes_flush_every_translation(void **state)
{
    struct fixture *f = fixture_new(NULL, false);
    csr_set(f, RV_CSR_PMPADDR0 + 9, 1);
    assert_int_equal(f->flushes, 1);
    csr_set(f, RV_CSR_PMPCFG2, RWX_CFG | RV_PMP_NA4);
    assert_int_equal(f->flushes, 2);
    assert_int_equal(f->flush_vaddr_all, 1); /* of more than tables */
    assert_true(f->flush_asid_all);
    assert_true(f->cpu.run.view_dirty);
}

static void fields_are_warl(void **state)
{
    struct fixture *f = fixture_new(NULL, false);
    csr_set(f, RV_CSR_PMPCFG2, 0x7f);
    assert_int_equal(csr_get(f, RV_CSR_PMPCFG2), 0x1f); /* bits 6:5 are zero */
    csr_set(f, RV_CSR_PMPCFG2, RV_PMP_W | RV_PMP_X);
    assert_int_equal(csr_get(f, RV_CSR_PMPCFG2), RV_PMP_X); /* W without R is reserved */
    csr_set(f, RV_CSR_PMPADDR0 + 15, UINT64_MAX);
    assert_true(csr_get(f, RV_CSR_PMPADDR0 + 15) == (UINT64_C(1) << 54) - 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(lookup_agrees_with_a_model_of_bytes),
        cmocka_unit_test(tor_with_nothing_between_matches_nothing),
        cmocka_unit_test(without_a_match_only_m_mode_passes),
        cmocka_unit_test(napot_of_all_ones_covers_everything),
        cmocka_unit_test(firmware_grants_all_memory_at_reset),
        cmocka_unit_test(locks_hold_until_reset),
        cmocka_unit_test(locked_entries_bind_m_mode),
        cmocka_unit_test(changes_flush_every_translation),
        cmocka_unit_test(fields_are_warl),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
