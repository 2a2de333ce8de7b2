/*
 * What must stand in code though no test that runs it can miss it: barriers, which x86-64 under an emulator
 * hides, and looks at the bits of addresses that AArch64 hosts ignore. Runs on any host: the backend only
 * writes bytes.
 */
#include "backend-aarch64/a64_layout.h"
#include "tests/backend-aarch64/emitted.h"

/* All three barriers, whatever they are of. */
static unsigned barriers(const struct rig *r)
{
    return count(r, 0xfffff0ff, 0xd50330bf);
}

static const uint32_t all = UINT32_MAX;
static const enum gw_mem_mode modes[] = {GW_MEM_USER, GW_MEM_FLAT, GW_MEM_TLB};

/* --- memory order -------------------------------------------------------------------------------- */

static void atomics_of_lse_acquire_and_release(void **state)
{
    static const uint32_t op[] = {A64_SWP,    A64_LDADD,  A64_LDCLR,  A64_LDSET, A64_LDEOR,
                                  A64_LDSMIN, A64_LDSMAX, A64_LDUMIN, A64_LDUMAX};
    struct rig *r = *state;
    for (unsigned k = 0; k < sizeof op / sizeof op[0]; k++)
        for (unsigned variant = 0; variant < 16; variant++) {
            const unsigned size = variant & 3;
            begin(r, modes[k % 3], A64_F_LSE, true);
            ir_put(&r->block, toy_x(3), 3,
                   ir_amo(&r->block, (enum ir_amo)k, size, x(r, 1), x(r, 2), variant >> 2));
            end(r);
            const uint32_t want = op[k] | A64_ACQUIRE | A64_RELEASE;
            assert_int_equal(count(r, 0xffe0fc00, a64_size(want, size)), 1);
            assert_int_equal(barriers(r), 0);
        }
}

static void exclusives_end_in_a_full_barrier(void **state)
{
    struct rig *r = *state;
    for (unsigned k = 0; k <= IR_AMO_MAXU + 1u; k++)
        for (unsigned variant = 0; variant < 16; variant++) {
            const unsigned size = variant & 3, order = variant >> 2;
            begin(r, modes[k % 3], 0, true);
            ir_put(&r->block, toy_x(3), 3,
                   k > IR_AMO_MAXU
                       ? ir_cas(&r->block, size, x(r, 1), x(r, 2), x(r, 4), order)
                       : ir_amo(&r->block, (enum ir_amo)k, size, x(r, 1), x(r, 2), order));
            end(r);
            const uint32_t releases = order & IR_ORDER_RELEASE ? A64_STLXR : A64_STXR;
            uint32_t load = find(r, 0, 0xfffffc00, a64_size(A64_LDXR, size));
            uint32_t store = find(r, load, 0xffe0fc00, a64_size(releases, size));
            uint32_t branch = find(r, load, 0x7f000000, A64_CBNZ & 0x7fffffff);
            assert_true(load < store && store + 4 == branch); /* nothing leaves the loop but that */
            assert_int_equal(find(r, load, 0xff000010, A64_BCOND), UINT32_MAX);
            assert_true(word(r, branch + 4) == (uint32_t)A64_DMB_ISH);
            assert_int_equal(barriers(r), 1);
        }
}

static void a_comparison_of_lse_that_may_fail_has_its_release_ahead(void **state)
{
    struct rig *r = *state;
    for (unsigned variant = 0; variant < 16; variant++) {
        const unsigned size = variant & 3, order = variant >> 2;
        begin(r, modes[variant % 3], A64_F_LSE, true);
        ir_put(&r->block, toy_x(3), 3, ir_cas(&r->block, size, x(r, 1), x(r, 2), x(r, 4), order));
        end(r);
        const uint32_t want = A64_CAS | A64_CAS_ACQUIRE | A64_CAS_RELEASE;
        uint32_t at = find(r, 0, 0xffe0fc00, a64_size(want, size));
        assert_int_not_equal(at, UINT32_MAX);
        assert_int_equal(barriers(r), order & IR_ORDER_RELEASE ? 1 : 0);
        if (order & IR_ORDER_RELEASE)
            assert_true(word(r, at - 4) == (uint32_t)A64_DMB_ISH);
    }
}

static void accesses_have_the_barriers_of_their_order(void **state)
{
    struct rig *r = *state;
    for (unsigned variant = 0; variant < 12; variant++) {
        const unsigned order = variant & 3;
        begin(r, modes[variant >> 2], 0, true);
        ir_put(&r->block, toy_x(3), 3, ir_load_aligned(&r->block, 3, x(r, 1), order));
        end(r);
        const bool flat = r->cfg.mem == GW_MEM_FLAT; /* [x17], else [base, index] */
        const uint32_t indexed =
            (A64_LDR & ~(UINT32_C(1) << 24)) | 1 << 21 | A64_LSL_X << 13 | 2 << 10;
        uint32_t access =
            flat ? find(r, 0, 0xffffffe0, A64_LDR | X17 << 5) : find(r, 0, 0xffe0fc00, indexed);
        assert_int_not_equal(access, UINT32_MAX);
        assert_int_equal(count(r, all, A64_DMB_ISHLD), order & IR_ORDER_ACQUIRE ? 1 : 0);
        assert_int_equal(count(r, all, A64_DMB_ISH), order & IR_ORDER_RELEASE ? 1 : 0);
        if (order & IR_ORDER_ACQUIRE)
            assert_true(word(r, access + 4) == (uint32_t)A64_DMB_ISHLD);
        if (order & IR_ORDER_RELEASE)
            assert_true(find(r, 0, all, A64_DMB_ISH) < access);
    }
}

static void fences_are_as_strong_as_their_sets(void **state)
{
    const unsigned reads = IR_FENCE_R | IR_FENCE_I, writes = IR_FENCE_W | IR_FENCE_O;
    struct rig *r = *state;
    for (unsigned pred = 0; pred < 16; pred++)
        for (unsigned succ = 0; succ < 16; succ++) {
            begin(r, GW_MEM_FLAT, 0, true);
            ir_fence(&r->block, pred, succ);
            end(r);
            unsigned full = count(r, all, A64_DMB_ISH), loads = count(r, all, A64_DMB_ISHLD),
                     stores = count(r, all, A64_DMB_ISHST);
            bool from_reads = pred & reads, from_writes = pred & writes;
            bool needs = pred && succ;
            assert_int_equal(barriers(r), needs);
            if (needs && from_writes && (from_reads || succ & reads))
                assert_int_equal(full, 1);
            else if (needs && from_writes)
                assert_int_equal(stores, 1);
            else if (needs)
                assert_int_equal(loads, 1);
        }
}

/* --- bits of addresses that the host ignores ----------------------------------------------------- */

/* LSR of what is above GW_USER_BITS. */
static unsigned looks_at_window(const struct rig *r)
{
    return count(r, 0xfffffc1f, A64_UBFM | GW_USER_BITS << 16 | 63 << 10 | X16);
}

static void user_mode_looks_once_at_each_root(void **state)
{
    struct rig *r = *state;
    for (unsigned size = 0; size < 4; size++) {
        begin(r, GW_MEM_USER, 0, false);
        ir_val a = x(r, 1), c = x(r, 2);
        ir_val near = ir_op2(&r->block, IR_ADD, IR_I64, a, ir_const(&r->block, 4096));
        ir_store(&r->block, IR_I64, size, a, 8, c, 0);
        ir_store(&r->block, IR_I64, size, a, 0, c, 0);
        ir_store(&r->block, IR_I64, size, near, 16, c, 0);
        end(r);
        assert_int_equal(looks_at_window(r), 1);

        begin(r, GW_MEM_USER, 0, false);
        a = x(r, 1), c = x(r, 2);
        ir_store(&r->block, IR_I64, size, a, 8, c, 0);
        ir_store(&r->block, IR_I64, size, ir_op2(&r->block, IR_ADD, IR_I64, a, c), 0, c, 0);
        end(r);
        assert_int_equal(looks_at_window(r), 2);
    }
}

static void flat_maps_look_at_all_bits_and_the_alignment_at_once(void **state)
{
    struct rig *r = *state;
    for (unsigned size = 0; size < 4; size++) {
        begin(r, GW_MEM_FLAT, 0, false);
        ir_store(&r->block, IR_I64, size, x(r, 1), 0, x(r, 2), 0);
        end(r);
        uint32_t pattern = a64_pattern(UINT64_C(0xffff) << 48 | ((UINT64_C(1) << size) - 1), true);
        assert_int_equal(count(r, all, A64_ANDSI | pattern | X17 << 5 | A64_ZR), 1);
    }
}

static void accesses_of_a_site_share_one_look(void **state)
{
    struct rig *r = *state;
    begin(r, GW_MEM_FLAT, 0, false);
    ir_val a = x(r, 1), c = x(r, 2);
    for (int k = 0; k < 5; k++)
        ir_store(&r->block, IR_I64, 3, a, 8 * k, c, 0);
    end(r);
    assert_int_equal(count(r, 0xfffffc1f, A64_UBFM | 48 << 16 | 63 << 10 | X17), 1);
}

/* --- branches ------------------------------------------------------------------------------------ */

static void branch_and_end(struct rig *r, bool shared)
{
    begin(r, GW_MEM_USER, 0, shared);
    ir_brcc(&r->block, IR_I64, IR_NE, x(r, 1), ir_const(&r->block, 0), PC + 64);
    end(r);
    assert_int_equal(r->job.link_count, 1);
}

static const uint32_t a_branch = 0x7c000000; /* mask of B */

static void conditions_are_patched_where_no_other_thread_runs(void **state)
{
    struct rig *r = *state;
    const struct gw_link_desc *l = &r->job.links[0];
    branch_and_end(r, true);
    assert_int_equal(word(r, l->jump_offset) & a_branch, A64_B);

    branch_and_end(r, false);
    const uint32_t at = l->jump_offset, cbnz = A64_CBNZ & 0xff000000;
    assert_int_equal(word(r, at) & 0xff000000, cbnz);
    a64_backend.patch(r->code, r->job.base, l, r->job.base + at + 0x8000, false, 0, 0);
    assert_int_equal(word(r, at) & 0xffffe0, 0x8000 / 4 << 5);
    /* out of its reach: by the jump ahead of the stub */
    a64_backend.patch(r->code, r->job.base, l, r->job.base + 0x4000000, false, 0, 0);
    const uint32_t veneer = l->stub_offset - 4;
    assert_int_equal(word(r, at) & 0xffffff, ((veneer - at) / 4 << 5) | (word(r, at) & 31));
    assert_int_equal(word(r, veneer), A64_B | (0x4000000 - veneer) / 4);
    a64_backend.patch(r->code, r->job.base, l, 0, false, 0, 0);
    assert_int_equal(word(r, at) & 0xffffe0, (l->stub_offset - at) / 4 << 5);
}

/* --- what other threads have flushed --------------------------------------------------------------- */

static void *go_on(void *cpu)
{
    return cpu;
}

static uint32_t runtime_word(const struct rig *r, uint32_t at)
{
    uint32_t w;
    memcpy(&w, r->runtime + at, sizeof w);
    return w;
}

static uint32_t isb_from(const struct rig *r, uint32_t at)
{
    const uint32_t end = at + 4 * 80;
    while (at < end && runtime_word(r, at) != (uint32_t)A64_ISB)
        at += 4;
    assert_true(at < end);
    return at;
}

/* A branch somewhere behind `at` that leads to `to`: B, or one of a condition. */
static bool leads_to(const struct rig *r, uint32_t at, uint32_t to)
{
    for (const uint32_t end = at + 4 * 80; at < end; at += 4) {
        const uint32_t w = runtime_word(r, at);
        const int32_t b = (int32_t)(w << 6) >> 4, c = (int32_t)(w << 8) >> 11;
        if (((w & 0xfc000000) == A64_B && at + (uint32_t)b - to == 0) ||
            ((w & 0x7f000000) == (A64_CBNZ & 0x7f000000) && at + ((uint32_t)c & ~3u) == to))
            return true;
    }
    return false;
}

/* C may have found code, or said that the vCPU was outside: so be it by enter or by go_on. */
static void each_way_from_c_to_blocks_is_by_an_isb(void **state)
{
    struct rig *r = *state;
    static const struct gw_runtime rt = {.load = toy_slow_load,
                                         .store = toy_slow_store,
                                         .amo = toy_slow_amo,
                                         .zero = toy_slow_zero,
                                         .go_on = go_on};
    begin(r, GW_MEM_FLAT, 0, true);
    assert_int_equal(
        a64_backend.emit_runtime(&r->cfg, &rt, r->runtime, RUNTIME_BYTES, 0x1000000, &r->ep),
        GW_OK);
    for (unsigned from = 0; from < 2; from++)
        for (unsigned to = 0; to < 2; to++)
            assert_true(leads_to(r, r->ep.table[from][T_EXIT_LEAVE], isb_from(r, r->ep.enter[to])));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(atomics_of_lse_acquire_and_release),
        cmocka_unit_test(exclusives_end_in_a_full_barrier),
        cmocka_unit_test(a_comparison_of_lse_that_may_fail_has_its_release_ahead),
        cmocka_unit_test(accesses_have_the_barriers_of_their_order),
        cmocka_unit_test(fences_are_as_strong_as_their_sets),
        cmocka_unit_test(user_mode_looks_once_at_each_root),
        cmocka_unit_test(flat_maps_look_at_all_bits_and_the_alignment_at_once),
        cmocka_unit_test(accesses_of_a_site_share_one_look),
        cmocka_unit_test(conditions_are_patched_where_no_other_thread_runs),
        cmocka_unit_test(each_way_from_c_to_blocks_is_by_an_isb),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
