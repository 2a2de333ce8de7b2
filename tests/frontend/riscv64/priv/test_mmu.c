/* Sv39, Sv48, Svade, and the keys of the views. */
#include <endian.h>

#include "tests/frontend/riscv64/priv/fixture.h"

static const unsigned modes[] = {RV_SATP_SV39, RV_SATP_SV48};
static const int page_fault[] = {RV_CAUSE_LOAD_PAGE, RV_CAUSE_STORE_PAGE, RV_CAUSE_FETCH_PAGE};
static const int access_fault[] = {RV_CAUSE_LOAD_ACCESS, RV_CAUSE_STORE_ACCESS,
                                   RV_CAUSE_FETCH_ACCESS};

#define VA UINT64_C(0x12345000)

/* --- permissions -------------------------------------------------------------------------------- */

/* How the access is made: in privilege priv, or in M with MPRV and MPP. */
struct who {
    unsigned priv;
    bool mprv;
    unsigned mpp;
};

static const struct who whos[] = {
    {RV_PRIV_M, false, RV_PRIV_M}, {RV_PRIV_M, false, RV_PRIV_U}, {RV_PRIV_M, true, RV_PRIV_M},
    {RV_PRIV_M, true, RV_PRIV_S},  {RV_PRIV_M, true, RV_PRIV_U},  {RV_PRIV_S, false, RV_PRIV_U},
    {RV_PRIV_U, false, RV_PRIV_U},
};
enum { WHO_COUNT = sizeof whos / sizeof whos[0] };

static void become(struct fixture *f, const struct who *who, bool sum, bool mxr)
{
    f->cpu.c.priv = (uint8_t)who->priv;
    f->cpu.c.mstatus = (uint64_t)who->mpp << RV_MSTATUS_MPP_SHIFT |
                       (who->mprv ? RV_MSTATUS_MPRV : 0) | (sum ? RV_MSTATUS_SUM : 0) |
                       (mxr ? RV_MSTATUS_MXR : 0);
}

/* The manual's own steps (10.3.2: 2 to 7), one by one, for a leaf. */
static int expected_cause(uint64_t pte, const struct who *who, bool sum, bool mxr,
                          enum gw_access access)
{
    unsigned priv = who->priv;
    int fault = page_fault[access];
    if (who->priv == RV_PRIV_M && who->mprv && access != GW_ACCESS_FETCH)
        priv = who->mpp;
    if (priv == RV_PRIV_M)
        return OK;
    if (!(pte & V) || (!(pte & R) && pte & W))
        return fault;
    if (!(pte & R) && !(pte & X)) /* a pointer where no level is left */
        return fault;
    if (access == GW_ACCESS_LOAD && !(pte & R) && !(mxr && pte & X))
        return fault;
    if (access == GW_ACCESS_STORE && !(pte & W))
        return fault;
    if (access == GW_ACCESS_FETCH && !(pte & X))
        return fault;
    if (priv == RV_PRIV_U && !(pte & U))
        return fault;
    if (priv == RV_PRIV_S && pte & U && (access == GW_ACCESS_FETCH || !sum))
        return fault;
    if (!(pte & A) || (access == GW_ACCESS_STORE && !(pte & D)))
        return fault;
    return OK;
}

static void leaf_bits_decide_as_the_manual_says(void **state)
{
    for (unsigned n = 0; n < 2 * 256 * WHO_COUNT * 4; n++) {
        unsigned mode = modes[n & 1], bits = n >> 1 & 255;
        const struct who *who = &whos[(n >> 9) % WHO_COUNT];
        bool sum = (n >> 9) / WHO_COUNT & 1, mxr = (n >> 9) / WHO_COUNT >> 1 & 1;
        struct fixture *f = fixture_new(NULL, false);
        uint64_t *leaf = map(f, mode, VA, 0, DATA, bits), before = *leaf;
        become(f, who, sum, mxr);
        unsigned data_ok = 0, data_perms = 0;
        for (unsigned access = 0; access < 3; access++) {
            struct gw_xlate x = {0};
            int want = expected_cause(bits, who, sum, mxr, access);
            assert_int_equal(try_access(f, VA + 8, 8, access, &x), want);
            if (want != OK)
                continue;
            assert_true(x.whole_page);
            if (access == GW_ACCESS_FETCH)
                assert_int_equal(x.perms, 1 << GW_ACCESS_FETCH);
            else
                data_ok |= 1u << access, data_perms |= x.perms;
        }
        /* One access tells what the other kind may do. */
        if (data_ok)
            assert_int_equal(data_perms, data_ok);
        assert_true(*leaf == before); /* Svade: never written */
    }
}

/* --- where the walk goes ------------------------------------------------------------------------ */

static void each_level_maps_its_size(void **state)
{
    for (unsigned m = 0; m < 2; m++) {
        for (unsigned level = 0; level < 3 + m; level++) {
            struct fixture *f = fixture_new(NULL, false);
            uint64_t offset = 0x5a5a5a5a5a5a & ((UINT64_C(1) << (12 + 9 * level)) - 1);
            uint64_t vaddr = UINT64_C(0x2345678000) & ~((UINT64_C(1) << (12 + 9 * level)) - 1);
            uint64_t paddr = UINT64_C(1) << 48 | UINT64_C(0x7000000000);
            paddr &= ~((UINT64_C(1) << (12 + 9 * level)) - 1);
            struct gw_xlate x;
            map(f, modes[m], vaddr, level, paddr, ALL);
            f->cpu.c.priv = RV_PRIV_S;
            assert_int_equal(try_access(f, vaddr | offset, 1, GW_ACCESS_LOAD, &x), OK);
            assert_true(x.paddr == (paddr | offset));
            assert_false(x.global);
        }
    }
}

static void misaligned_superpages_fault(void **state)
{
    for (unsigned m = 0; m < 2; m++) {
        for (unsigned level = 1; level < 3 + m; level++) {
            for (unsigned bit = 12; bit < 12 + 9 * level; bit++) {
                struct fixture *f = fixture_new(NULL, false);
                map(f, modes[m], VA, level, UINT64_C(1) << 50 | UINT64_C(1) << bit, ALL);
                f->cpu.c.priv = RV_PRIV_S;
                for (unsigned access = 0; access < 3; access++)
                    assert_int_equal(try_access(f, VA, 1, access, NULL), page_fault[access]);
            }
        }
    }
}

/* Bits 63:54 are reserved, N and PBMT among them: in leaves and in pointers. */
static void reserved_bits_fault_at_every_level(void **state)
{
    for (unsigned m = 0; m < 2; m++) {
        for (unsigned at = 0; at < 3 + m; at++) {
            for (unsigned bit = 54; bit < 64; bit++) {
                struct fixture *f = fixture_new(NULL, false);
                map(f, modes[m], VA, 0, DATA, ALL);
                *pte_at(f, table_of_level(modes[m], at), VA >> (12 + 9 * at) & 511) |=
                    htole64(UINT64_C(1) << bit);
                f->cpu.c.priv = RV_PRIV_S;
                assert_int_equal(try_access(f, VA, 1, GW_ACCESS_LOAD, NULL), RV_CAUSE_LOAD_PAGE);
            }
        }
    }
}

static void pointers_must_be_valid_and_bare(void **state)
{
    static const struct {
        uint64_t bits;
        bool fault;
    } rows[] = {
        {V, false},     {0, true},     {V | A, true},     {V | D, true},      {V | U, true},
        {V | G, false}, {V | W, true}, {V | W | X, true}, {V | 0x300, false}, /* RSW is software's */
    };
    for (unsigned m = 0; m < 2; m++) {
        for (unsigned at = 1; at < 3 + m; at++) {
            for (unsigned i = 0; i < sizeof rows / sizeof rows[0]; i++) {
                struct fixture *f = fixture_new(NULL, false);
                map(f, modes[m], VA, 0, DATA, ALL);
                uint64_t *pte = pte_at(f, table_of_level(modes[m], at), VA >> (12 + 9 * at) & 511);
                *pte = htole64((le64toh(*pte) & ~UINT64_C(0x3ff)) | rows[i].bits);
                f->cpu.c.priv = RV_PRIV_S;
                assert_int_equal(try_access(f, VA, 1, GW_ACCESS_STORE, NULL),
                                 rows[i].fault ? RV_CAUSE_STORE_PAGE : OK);
            }
        }
    }
}

static void global_at_any_level_makes_the_page_global(void **state)
{
    for (unsigned m = 0; m < 2; m++) {
        for (unsigned at = 0; at < 3 + m; at++) {
            struct fixture *f = fixture_new(NULL, false);
            struct gw_xlate x;
            map(f, modes[m], VA, 0, DATA, ALL);
            *pte_at(f, table_of_level(modes[m], at), VA >> (12 + 9 * at) & 511) |= htole64(G);
            f->cpu.c.priv = RV_PRIV_S;
            assert_int_equal(try_access(f, VA, 1, GW_ACCESS_LOAD, &x), OK);
            assert_true(x.global);
        }
    }
}

static void addresses_must_be_canonical(void **state)
{
    for (unsigned m = 0; m < 2; m++) {
        unsigned top = m ? 47 : 38;
        for (unsigned bit = 0; bit < 64; bit++) {
            struct fixture *f = fixture_new(NULL, false);
            /* Every top-level entry is a leaf: whatever is canonical is mapped. */
            for (unsigned i = 0; i < 512; i++)
                *pte_at(f, ROOT, i) = htole64(pte_make(0, ALL));
            f->cpu.c.satp = (uint64_t)modes[m] << RV_SATP_MODE_SHIFT | ROOT >> 12;
            f->cpu.c.priv = RV_PRIV_S;
            uint64_t low = UINT64_C(1) << bit, high = ~low;
            for (unsigned access = 0; access < 3; access++) {
                int want = bit < top ? OK : page_fault[access];
                assert_int_equal(try_access(f, low, 1, access, NULL), want);
                assert_int_equal(try_access(f, high, 1, access, NULL), want);
            }
        }
    }
}

static void unreadable_tables_are_access_faults_of_the_first_kind(void **state)
{
    for (unsigned m = 0; m < 2; m++) {
        for (unsigned access = 0; access < 3; access++) {
            for (unsigned at = 0; at < 3 + m; at++) {
                /* nothing on the bus */
                struct fixture *f = fixture_new(NULL, false);
                map(f, modes[m], VA, 0, DATA, ALL);
                f->cpu.c.priv = RV_PRIV_S;
                if (at == 2 + m)
                    f->cpu.c.satp = (f->cpu.c.satp >> 60 << 60) | UINT64_C(0x20000000) >> 12;
                else
                    *pte_at(f, table_of_level(modes[m], at + 1), VA >> (21 + 9 * at) & 511) =
                        htole64(pte_make(0x20000000, V));
                assert_int_equal(try_access(f, VA, 1, access, NULL), access_fault[access]);
                /* PMP in the way */
                f = fixture_new(NULL, false);
                map(f, modes[m], VA, 0, DATA, ALL);
                csr_set(f, RV_CSR_PMPADDR0 + 1, UINT64_MAX);
                csr_set(f, RV_CSR_PMPADDR0, table_of_level(modes[m], at) >> 2 | 0x1ff);
                csr_set(f, RV_CSR_PMPCFG0,
                        (uint64_t)(RV_PMP_NAPOT | RV_PMP_R | RV_PMP_W | RV_PMP_X) << 8 |
                            RV_PMP_NAPOT | RV_PMP_X);
                f->cpu.c.priv = RV_PRIV_S;
                assert_int_equal(try_access(f, VA, 1, access, NULL), access_fault[access]);
            }
        }
    }
}

static void tables_may_lie_beyond_ram(void **state)
{
    struct fixture *f = fixture_new(NULL, false);
    struct gw_xlate x;
    map(f, RV_SATP_SV39, VA, 0, DATA, ALL);
    *pte_at(f, table_of_level(RV_SATP_SV39, 1), VA >> 21 & 511) = htole64(pte_make(MMIO_BASE, V));
    f->mmio_value = pte_make(DATA + 0x1000, ALL);
    f->cpu.c.priv = RV_PRIV_S;
    assert_int_equal(try_access(f, VA + 7, 1, GW_ACCESS_LOAD, &x), OK);
    assert_true(x.paddr == DATA + 0x1007);
}

static void bare_takes_physical_addresses(void **state)
{
    static const struct who bare[] = {
        {RV_PRIV_M, false, 0}, {RV_PRIV_S, false, 0}, {RV_PRIV_U, false, 0}};
    for (unsigned i = 0; i < 3; i++) {
        struct fixture *f = fixture_new(NULL, false);
        become(f, &bare[i], false, false);
        for (unsigned access = 0; access < 3; access++) {
            struct gw_xlate x;
            assert_int_equal(try_access(f, (UINT64_C(1) << 56) - 8, 8, access, &x), OK);
            assert_true(x.paddr == (UINT64_C(1) << 56) - 8 && !x.global);
            assert_int_equal(try_access(f, UINT64_C(1) << 56, 1, access, NULL),
                             access_fault[access]);
            assert_int_equal(try_access(f, UINT64_MAX, 1, access, NULL), access_fault[access]);
        }
    }
}

/* PMP judges the physical address, with the privilege that MPRV gives. */
static void pmp_judges_what_translation_allows(void **state)
{
    struct fixture *f = fixture_new(NULL, false);
    struct gw_xlate x;
    map(f, RV_SATP_SV39, VA, 0, DATA, ALL);
    csr_set(f, RV_CSR_PMPADDR0 + 1, UINT64_MAX);
    csr_set(f, RV_CSR_PMPADDR0, DATA >> 2 | 0xff); /* the first 2 KiB */
    csr_set(f, RV_CSR_PMPCFG0,
            (uint64_t)(RV_PMP_NAPOT | RV_PMP_R | RV_PMP_W | RV_PMP_X) << 8 | RV_PMP_NAPOT |
                RV_PMP_R);
    f->cpu.c.priv = RV_PRIV_S;
    assert_int_equal(try_access(f, VA, 8, GW_ACCESS_LOAD, &x), OK);
    assert_int_equal(x.perms, 1 << GW_ACCESS_LOAD);
    assert_false(x.whole_page);
    assert_int_equal(try_access(f, VA, 8, GW_ACCESS_STORE, NULL), RV_CAUSE_STORE_ACCESS);
    assert_int_equal(try_access(f, VA, 4, GW_ACCESS_FETCH, NULL), RV_CAUSE_FETCH_ACCESS);
    assert_int_equal(try_access(f, VA + 0x800, 8, GW_ACCESS_STORE, &x), OK);
    assert_false(x.whole_page);
    assert_int_equal(try_access(f, VA + 0x7fc, 8, GW_ACCESS_LOAD, NULL), RV_CAUSE_LOAD_ACCESS);
    become(f, &(struct who){RV_PRIV_M, true, RV_PRIV_U}, false, false);
    f->cpu.c.satp = 0;
    assert_int_equal(try_access(f, DATA, 8, GW_ACCESS_STORE, NULL), RV_CAUSE_STORE_ACCESS);
    become(f, &(struct who){RV_PRIV_M, true, RV_PRIV_M}, false, false);
    assert_int_equal(try_access(f, DATA, 8, GW_ACCESS_STORE, NULL), OK);
}

/* --- views -------------------------------------------------------------------------------------- */

/* What each of the 64 kinds of leaf allows, as two vectors of bits. */
struct outcome {
    uint64_t data_key, fetch_key;
    uint64_t load, store, fetch;
    uint64_t load_at; /* where a load that succeeds for sure goes */
};

static struct outcome outcome_of(struct fixture *f)
{
    struct outcome o = {0};
    struct gw_view view;
    struct gw_xlate x = {0};
    rv_view(&f->cpu, &view);
    o.data_key = view.data_key;
    o.fetch_key = view.fetch_key;
    for (unsigned bits = 0; bits < 64; bits++) {
        uint64_t vaddr = VA + bits * UINT64_C(4096);
        o.load |= (uint64_t)(try_access(f, vaddr, 1, GW_ACCESS_LOAD, &x) == OK) << bits;
        o.load_at = o.load >> bits & 1 ? x.paddr : o.load_at;
        o.store |= (uint64_t)(try_access(f, vaddr, 1, GW_ACCESS_STORE, NULL) == OK) << bits;
        o.fetch |= (uint64_t)(try_access(f, vaddr, 1, GW_ACCESS_FETCH, NULL) == OK) << bits;
    }
    return o;
}

/* Equal keys promise equal outcomes. M is told apart from bare S by a locked PMP entry. */
static void equal_keys_mean_equal_permissions(void **state)
{
    enum { SATPS = 4, N = WHO_COUNT * 4 * SATPS };
    static struct outcome all[N];
    struct fixture *f = fixture_new(NULL, false);
    static const uint8_t spread[] = {1, 2, 3, 4, 6, 7};
    for (unsigned bits = 0; bits < 64; bits++) {
        uint64_t pte = V;
        for (unsigned i = 0; i < 6; i++)
            pte |= (uint64_t)(bits >> i & 1) << spread[i];
        map(f, RV_SATP_SV39, VA + bits * UINT64_C(4096), 0, DATA + 0x1000, pte);
    }
    /* Another space: the same table where the first page's leaf lies is another root's child. */
    memcpy(pte_at(f, RAM_BASE + 0x10000, 0), pte_at(f, ROOT, 0), 4096);
    csr_set(f, RV_CSR_PMPADDR0 + 1, UINT64_MAX);
    csr_set(f, RV_CSR_PMPADDR0, (VA >> 2) | 0x1ff); /* bare: the first page, locked to M */
    csr_set(f, RV_CSR_PMPCFG0,
            (uint64_t)(RV_PMP_NAPOT | RV_PMP_R | RV_PMP_W | RV_PMP_X) << 8 | RV_PMP_NAPOT);
    const uint64_t satps[SATPS] = {
        0,
        UINT64_C(8) << 60 | ROOT >> 12,
        UINT64_C(8) << 60 | UINT64_C(5) << 44 | (RAM_BASE + 0x10000) >> 12,
        UINT64_C(9) << 60 | ROOT >> 12,
    };
    for (unsigned n = 0; n < N; n++) {
        become(f, &whos[n % WHO_COUNT], n / WHO_COUNT & 1, n / WHO_COUNT >> 1 & 1);
        f->cpu.c.satp = satps[n / WHO_COUNT / 4];
        all[n] = outcome_of(f);
    }
    unsigned distinct = 0;
    for (unsigned i = 0; i < N; i++) {
        bool seen = false;
        for (unsigned j = 0; j < i; j++) {
            if (all[i].data_key == all[j].data_key) {
                seen = true;
                assert_true(all[i].load == all[j].load && all[i].store == all[j].store);
                assert_true(all[i].load_at == all[j].load_at);
            }
            if (all[i].fetch_key == all[j].fetch_key)
                assert_true(all[i].fetch == all[j].fetch);
        }
        distinct += !seen;
    }
    assert_int_equal(distinct, 2 + 3 * 6); /* and no more views than there are */
}

static void view_tells_asid_and_width(void **state)
{
    struct fixture *f = fixture_new(NULL, false);
    struct gw_view view, other;
    rv_view(&f->cpu, &view);
    assert_true(view.bare && view.vaddr_bits == 56);
    f->cpu.c.priv = RV_PRIV_S;
    f->cpu.c.satp = UINT64_C(8) << 60 | UINT64_C(0xabcd) << 44 | 0x12345;
    rv_view(&f->cpu, &view);
    assert_true(!view.bare && view.vaddr_bits == 39 && view.asid == 0xabcd);
    f->cpu.c.satp ^= UINT64_C(1) << 43; /* the PPN's top bit is part of the key */
    rv_view(&f->cpu, &other);
    assert_true(other.data_key != view.data_key && other.fetch_key != view.fetch_key);
    f->cpu.c.satp = UINT64_C(9) << 60;
    rv_view(&f->cpu, &view);
    assert_true(!view.bare && view.vaddr_bits == 48 && view.asid == 0);
    f->cpu.c.satp = UINT64_C(0xabcd) << 44; /* bare: ASID and PPN mean nothing */
    rv_view(&f->cpu, &view);
    f->cpu.c.satp = 0;
    rv_view(&f->cpu, &other);
    assert_true(view.bare && view.data_key == other.data_key);
}

static void faults_of_the_bus_and_of_alignment(void **state)
{
    static const int misaligned[] = {RV_CAUSE_LOAD_MISALIGNED, RV_CAUSE_STORE_MISALIGNED,
                                     RV_CAUSE_FETCH_MISALIGNED};
    struct fixture *f = fixture_new(NULL, false);
    for (unsigned access = 0; access < 3; access++) {
        struct gw_fault fault;
        rv_bus_fault(&f->cpu, 0x123, access, &fault);
        assert_true(fault.vaddr == 0x123 && fault.access == access);
        assert_int_equal(fault.cause, access_fault[access]);
        rv_misaligned(&f->cpu, 0x321, access, &fault);
        assert_true(fault.vaddr == 0x321 && fault.access == access);
        assert_int_equal(fault.cause, misaligned[access]);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(leaf_bits_decide_as_the_manual_says),
        cmocka_unit_test(each_level_maps_its_size),
        cmocka_unit_test(misaligned_superpages_fault),
        cmocka_unit_test(reserved_bits_fault_at_every_level),
        cmocka_unit_test(pointers_must_be_valid_and_bare),
        cmocka_unit_test(global_at_any_level_makes_the_page_global),
        cmocka_unit_test(addresses_must_be_canonical),
        cmocka_unit_test(unreadable_tables_are_access_faults_of_the_first_kind),
        cmocka_unit_test(tables_may_lie_beyond_ram),
        cmocka_unit_test(bare_takes_physical_addresses),
        cmocka_unit_test(pmp_judges_what_translation_allows),
        cmocka_unit_test(equal_keys_mean_equal_permissions),
        cmocka_unit_test(view_tells_asid_and_width),
        cmocka_unit_test(faults_of_the_bus_and_of_alignment),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
