/*
 * Random blocks mean the same however they are built and run: folded or not, with dead code or
 * without, by the plain runner of toy.c or by the interpreter in each memory mode.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "translator/interp/interp.h"
#include "translator/ir/pass.h"
#include "tests/translator/ir/random_ir.h"

enum { BLOCKS = 4000, MAP_ENTRIES = 1 << 20 };

struct rig {
    struct ir_block *block;
    struct interp interp;
    struct gw_runtime rt;
    struct gw_tlb_entry tlb_read[1 << GW_TLB_BITS], tlb_write[1 << GW_TLB_BITS];
    uint64_t *map_read, *map_write; /* of the lowest 4 GiB: nothing beyond is accessed */
    uint8_t memory[TOY_WINDOW];
    uint64_t code[1 << 16];
    char text[1 << 18];
};

/* Everything that a run leaves behind. */
struct outcome {
    struct toy_cpu cpu;
    struct toy_exit exit;
    uint8_t memory[TOY_WINDOW];
};

static void run_plain(struct rig *r, uint64_t seed, struct outcome *out)
{
    random_ir_state(&out->cpu, seed);
    random_ir_memory(out->memory, seed);
    out->exit = toy_run(&out->cpu, out->memory, r->block);
}

static void point_maps(struct rig *r, struct toy_cpu *cpu)
{
    uint64_t addend = toy_guest_base(r->memory);

    memset(r->tlb_read, 0xff, sizeof r->tlb_read);
    memset(r->tlb_write, 0xff, sizeof r->tlb_write);
    /* The first page is read inline only, the second read and written, the third neither. */
    for (unsigned page = 0; page < 2; page++) {
        uint64_t vaddr = TOY_BASE + 4096 * page;
        struct gw_tlb_entry e = {vaddr, addend};
        r->tlb_read[vaddr >> 12 & ((1 << GW_TLB_BITS) - 1)] = e;
        r->map_read[vaddr >> 12] = addend;
        if (page == 1) {
            r->tlb_write[vaddr >> 12 & ((1 << GW_TLB_BITS) - 1)] = e;
            r->map_write[vaddr >> 12] = addend;
        }
    }
    cpu->run.map_read = r->map_read;
    cpu->run.map_write = r->map_write;
    cpu->run.tlb_read = r->tlb_read;
    cpu->run.tlb_write = r->tlb_write;
    cpu->run.engine = r->memory;
    cpu->run.guest_base = addend;
}

static void run_interp(struct rig *r, enum gw_mem_mode mode, uint64_t seed, struct outcome *out)
{
    struct interp_block *blk;
    size_t used;

    random_ir_state(&out->cpu, seed);
    random_ir_memory(r->memory, seed);
    point_maps(r, &out->cpu);
    interp_init(&r->interp, &out->cpu, mode, toy_helpers, &r->rt, &interp_direct_caller);
    assert_int_equal(interp_compile(&r->interp, r->block, r->code, sizeof r->code, &used, &blk),
                     GW_OK);
    assert_true(used <= interp_size_bound(r->block));
    out->exit.kind = interp_run(&r->interp, blk);
    out->exit.pc = out->cpu.run.pc;
    out->exit.budget = out->cpu.run.budget;
    memcpy(out->memory, r->memory, sizeof out->memory);
}

/* Folding may turn an indirect branch into a direct one. */
static bool same_kind(enum gw_exit_kind a, enum gw_exit_kind b)
{
    bool jump_a = a == GW_EXIT_LINK || a == GW_EXIT_INDIRECT;
    bool jump_b = b == GW_EXIT_LINK || b == GW_EXIT_INDIRECT;
    return a == b || (jump_a && jump_b);
}

static void same(const struct rig *r, const char *how, uint64_t seed, const struct outcome *a,
                 const struct outcome *b)
{
    const struct toy_cpu *x = &a->cpu, *y = &b->cpu;
    bool equal =
        same_kind(a->exit.kind, b->exit.kind) && a->exit.pc == b->exit.pc &&
        a->exit.budget == b->exit.budget && memcmp(x->x, y->x, sizeof x->x) == 0 &&
        memcmp(x->f, y->f, sizeof x->f) == 0 && memcmp(x->word, y->word, sizeof x->word) == 0 &&
        memcmp(x->byte, y->byte, sizeof x->byte) == 0 && x->run.fp_flags == y->run.fp_flags &&
        x->run.leave == y->run.leave && memcmp(a->memory, b->memory, sizeof a->memory) == 0;
    if (equal)
        return;
    for (unsigned i = 0; i < TOY_X; i++)
        if (x->x[i] != y->x[i])
            print_error("x[%u] %#lx %#lx\n", i, (long)x->x[i], (long)y->x[i]);
    for (unsigned i = 0; i < TOY_F; i++)
        if (x->f[i] != y->f[i])
            print_error("f[%u] %#lx %#lx\n", i, (long)x->f[i], (long)y->f[i]);
    print_error("exit %d %d pc %#lx %#lx budget %ld %ld flags %x %x\n%s\n", a->exit.kind,
                b->exit.kind, (long)a->exit.pc, (long)b->exit.pc, (long)a->exit.budget,
                (long)b->exit.budget, x->run.fp_flags, y->run.fp_flags, r->text);
    fail_msg("seed %lu: %s differs", (unsigned long)seed, how);
}

static void verified(struct rig *r, uint64_t seed)
{
    struct gw_error err;
    ir_print(r->block, r->text, sizeof r->text);
    if (ir_verify(r->block, &err) != GW_OK)
        fail_msg("seed %lu: %s: %s\n%s", (unsigned long)seed, err.object, err.message, r->text);
}

static void one_block(struct rig *r, const struct random_ir *want, enum gw_mem_mode mode)
{
    static struct outcome plain, other;
    uint64_t seed = want->seed;

    r->block->no_fold = 1;
    random_ir_block(r->block, want);
    verified(r, seed);
    run_plain(r, seed, &plain);
    run_interp(r, mode, seed, &other);
    same(r, "the interpreter", seed, &plain, &other);

    ir_liveness(r->block);
    verified(r, seed);
    run_plain(r, seed, &other);
    same(r, "unfolded, without dead code,", seed, &plain, &other);

    r->block->no_fold = 0;
    random_ir_block(r->block, want);
    verified(r, seed);
    run_plain(r, seed, &other);
    same(r, "folded", seed, &plain, &other);

    ir_liveness(r->block);
    verified(r, seed);
    run_plain(r, seed, &other);
    same(r, "folded, without dead code,", seed, &plain, &other);
    run_interp(r, mode, seed, &other);
    same(r, "folded, interpreted,", seed, &plain, &other);
}

static struct rig *new_rig(void)
{
    struct rig *r = calloc(1, sizeof *r);
    assert_non_null(r);
    r->block = calloc(1, sizeof *r->block);
    r->map_read = calloc(MAP_ENTRIES, sizeof *r->map_read);
    r->map_write = calloc(MAP_ENTRIES, sizeof *r->map_write);
    assert_non_null(r->block);
    assert_non_null(r->map_read);
    assert_non_null(r->map_write);
    r->rt = (struct gw_runtime){
        .load = toy_slow_load, .store = toy_slow_store, .amo = toy_slow_amo, .zero = toy_slow_zero};
    r->block->helpers = toy_helpers;
    return r;
}

static void free_rig(struct rig *r)
{
    free(r->map_read);
    free(r->map_write);
    free(r->block);
    free(r);
}

static void blocks_mean_the_same_in_each_memory_mode(void **state)
{
    struct rig *r = new_rig();
    (void)state;
    for (uint64_t seed = 1; seed <= BLOCKS; seed++) {
        struct random_ir want = {.seed = seed,
                                 .guest_insns = 1 + seed % 40,
                                 .floats = seed & 1,
                                 .fp_model = random_fp_model(seed),
                                 .memory = seed & 2,
                                 .branches = seed & 4,
                                 .calls = seed & 8};
        one_block(r, &want, (enum gw_mem_mode)(seed % 3));
    }
    free_rig(r);
}

static void blocks_mean_the_same_with_faults(void **state)
{
    struct rig *r = new_rig();
    (void)state;
    for (uint64_t seed = 1; seed <= BLOCKS; seed++) {
        struct random_ir want = {.seed = seed << 32,
                                 .guest_insns = 1 + seed % 40,
                                 .floats = seed & 1,
                                 .memory = true,
                                 .branches = seed & 2,
                                 .calls = seed & 4,
                                 .faults = true};
        one_block(r, &want, GW_MEM_TLB);
    }
    free_rig(r);
}

/* A helper table tells the builder what survives a call; without one nothing does. */
static void blocks_mean_the_same_without_helper_table(void **state)
{
    struct rig *r = new_rig();
    (void)state;
    for (uint64_t seed = 1; seed <= BLOCKS / 10; seed++) {
        struct random_ir want = {.seed = seed << 16, .guest_insns = 30, .calls = true};
        static struct outcome plain, other;
        r->block->helpers = toy_helpers;
        r->block->no_fold = 1;
        random_ir_block(r->block, &want);
        run_plain(r, want.seed, &plain);
        r->block->no_fold = 0;
        r->block->helpers = NULL;
        random_ir_block(r->block, &want);
        ir_print(r->block, r->text, sizeof r->text);
        run_plain(r, want.seed, &other);
        same(r, "folded without helper table", want.seed, &plain, &other);
    }
    free_rig(r);
}

static void text_round_trip_is_exact(void **state)
{
    struct rig *r = new_rig();
    struct ir_block *again = calloc(1, sizeof *again);
    (void)state;
    assert_non_null(again);
    for (uint64_t seed = 1; seed <= BLOCKS / 4; seed++) {
        struct random_ir want = {.seed = seed,
                                 .guest_insns = 1 + seed % 60,
                                 .floats = true,
                                 .fp_model = random_fp_model(seed),
                                 .memory = true,
                                 .branches = true,
                                 .calls = true,
                                 .faults = seed & 1};
        struct gw_error err;
        random_ir_block(r->block, &want);
        if (seed & 2)
            ir_liveness(r->block);
        r->block->anywhere = seed >> 2 & 1;
        size_t n = ir_print(r->block, r->text, sizeof r->text);
        assert_true(n < sizeof r->text);
        if (ir_parse(again, r->text, &err) != GW_OK)
            fail_msg("%s: %s\n%s", err.object, err.message, r->text);
        assert_int_equal(again->count, r->block->count);
        assert_int_equal(again->guest_count, r->block->guest_count);
        assert_int_equal(again->code_bytes, r->block->code_bytes);
        assert_int_equal(again->flags, r->block->flags);
        assert_int_equal(again->pc, r->block->pc);
        assert_int_equal(again->anywhere, r->block->anywhere);
        assert_int_equal(again->uses_fp, r->block->uses_fp);
        for (uint32_t i = 0; i < again->count; i++)
            r->block->insn[i].uses = 0;
        assert_memory_equal(again->insn, r->block->insn, again->count * sizeof again->insn[0]);
        for (uint32_t i = 0; i < again->guest_count; i++) {
            assert_int_equal(again->guest[i].pc_offset, r->block->guest[i].pc_offset);
            assert_int_equal(again->guest[i].len, r->block->guest[i].len);
        }
    }
    free(again);
    free_rig(r);
}

/* Folding must do something, or the comparisons above say little. */
static void folding_shrinks_blocks(void **state)
{
    struct rig *r = new_rig();
    uint64_t plain = 0, folded = 0;
    (void)state;
    for (uint64_t seed = 1; seed <= 200; seed++) {
        struct random_ir want = {.seed = seed, .guest_insns = 30, .memory = true};
        r->block->no_fold = 1;
        random_ir_block(r->block, &want);
        plain += r->block->count;
        r->block->no_fold = 0;
        random_ir_block(r->block, &want);
        ir_liveness(r->block);
        folded += ir_live_count(r->block);
    }
    assert_true(folded * 10 < plain * 7);
    free_rig(r);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(blocks_mean_the_same_in_each_memory_mode),
        cmocka_unit_test(blocks_mean_the_same_with_faults),
        cmocka_unit_test(blocks_mean_the_same_without_helper_table),
        cmocka_unit_test(text_round_trip_is_exact),
        cmocka_unit_test(folding_shrinks_blocks),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
