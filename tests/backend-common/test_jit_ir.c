/*
 * Random blocks of IR, compiled and run, against the plain runner of tests/ir: operations in
 * orders and widths that no frontend makes, more live values than registers, faults and helpers
 * that leave. Every feature of the host on and off, every memory mode.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include <cmocka.h>

#include "translator/code/code_mem.h"
#include "tests/translator/ir/random_ir.h"
#include "translator/ir/pass.h"
#include "translator/run/eval.h"
#include "backend-common/hosts.h"

enum { BLOCKS = 3000, MAP_ENTRIES = 1 << 20, CODE_BYTES = 1 << 18 };

struct outcome {
    struct toy_cpu cpu;
    struct toy_exit exit;
    uint8_t memory[TOY_WINDOW];
};

struct rig {
    struct ir_block block;
    struct gw_backend_config cfg;
    struct gw_entry_points ep;
    struct gw_compile_job job;
    struct gw_jump_entry jumps[1 << GW_JC_BITS];
    struct gw_tlb_entry tlb_read[1 << GW_TLB_BITS], tlb_write[1 << GW_TLB_BITS];
    uint64_t *map_read, *map_write; /* of the lowest 4 GiB: nothing beyond is accessed */
    uint8_t memory[TOY_WINDOW];
    uint8_t *code;
    uint64_t compiled, refused;
    char text[1 << 18];
};

static const uint16_t hot_gprs[] = {8 * 8, 5 * 8,  1 * 8,  2 * 8,  3 * 8, 6 * 8,
                                    9 * 8, 10 * 8, 11 * 8, 12 * 8, 13 * 8};

static const struct guest_isa *toy_isa(void)
{
    static uint16_t hot_fprs[12];
    static struct guest_isa isa = {.name = "toy",
                                   .cpu_size = sizeof(struct toy_cpu),
                                   .helpers = toy_helpers,
                                   .helper_count = TOY_HELPER_COUNT,
                                   .hot_gprs = hot_gprs,
                                   .hot_gpr_count = sizeof hot_gprs / sizeof hot_gprs[0],
                                   .hot_fprs = hot_fprs,
                                   .hot_fpr_count = 12};
    for (unsigned i = 0; i < 12; i++)
        hot_fprs[i] = (uint16_t)toy_f(i);
    return &isa;
}

static const struct host_backend *backend(void)
{
    return host_native(&gw_hosts);
}

/* All features but what every host of the kind has, which the first row is. */
static uint32_t but_base(void)
{
    return ~backend()->feature[0].bit;
}

static struct rig *new_rig(enum gw_mem_mode mem, uint32_t features_off)
{
    static const struct gw_runtime rt = {toy_slow_load, toy_slow_store, toy_slow_amo, toy_slow_zero,
                                         runtime_eval,  NULL,           NULL};
    struct rig *r = calloc(1, sizeof *r);
    assert_non_null(r);
    r->map_read = calloc(MAP_ENTRIES, sizeof *r->map_read);
    r->map_write = calloc(MAP_ENTRIES, sizeof *r->map_write);
    r->code = mmap(NULL, CODE_BYTES, PROT_READ | PROT_WRITE | PROT_EXEC,
                   MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    assert_true(r->map_read && r->map_write && r->code != MAP_FAILED);
    r->cfg = (struct gw_backend_config){
        .mem = mem, .features = backend()->detect() & ~features_off, .isa = toy_isa()};
    backend()->prepare(&r->cfg);
    assert_int_equal(backend()->emit_runtime(&r->cfg, &rt, r->code, CODE_BYTES / 2,
                                             (uint64_t)(uintptr_t)r->code, &r->ep),
                     GW_OK);
    for (uint64_t i = 0; i < 1 << GW_JC_BITS; i++)
        r->jumps[i].pc = (i ^ 1) << 1; /* belongs elsewhere: any pc may be a target here */
    r->block.helpers = toy_helpers;
    return r;
}

static void free_rig(struct rig *r)
{
    free(r->map_read);
    free(r->map_write);
    munmap(r->code, CODE_BYTES);
    free(r);
}

/* The first page is read inline only, the second read and written, the third neither. */
static void point_maps(struct rig *r, struct toy_cpu *cpu)
{
    uint64_t addend = toy_guest_base(r->memory);
    for (uint64_t i = 0; i < 1 << GW_TLB_BITS; i++)
        r->tlb_read[i].tag = r->tlb_write[i].tag = (i ^ 1) << 12;
    for (unsigned page = 0; page < 2; page++) {
        uint64_t vaddr = TOY_BASE + 4096 * page, i = vaddr >> 12 & ((1 << GW_TLB_BITS) - 1);
        struct gw_tlb_entry e = {vaddr, addend};
        r->tlb_read[i] = e;
        r->map_read[vaddr >> 12] = addend;
        if (page == 1) {
            r->tlb_write[i] = e;
            r->map_write[vaddr >> 12] = addend;
        }
    }
    cpu->run.map_read = r->map_read;
    cpu->run.map_write = r->map_write;
    cpu->run.tlb_read = r->tlb_read;
    cpu->run.tlb_write = r->tlb_write;
    cpu->run.jump_cache = r->jumps;
    cpu->run.engine = r->memory;
    cpu->run.guest_base = addend;
    cpu->run.fp_control = cpu->run.fp_control_quiet =
        backend()->fp_control(r->block.fp_round, r->block.fp_model);
}

static void run_plain(struct rig *r, uint64_t seed, struct outcome *out)
{
    random_ir_state(&out->cpu, seed);
    random_ir_memory(out->memory, seed);
    out->exit = toy_run(&out->cpu, out->memory, &r->block);
}

/* What the run loop does at an early exit: the row of run.slow_ra says what has not retired. */
static void refund(struct rig *r, struct outcome *out)
{
    uint64_t off = out->cpu.run.slow_ra - r->job.base;
    for (uint32_t k = 0; k < r->job.row_count; k++)
        if (r->job.rows[k].host_offset == off && r->job.rows[k].kind == GW_ROW_CALL) {
            out->exit.budget += r->block.guest_count - r->job.rows[k].guest;
            return;
        }
    fail_msg("an early exit without its row");
}

/* False: the block has more live values than the backend takes. */
static bool run_jit(struct rig *r, uint64_t seed, struct outcome *out)
{
    uint8_t *at = r->code + CODE_BYTES / 2;
    r->job.cfg = &r->cfg;
    r->job.ep = &r->ep;
    r->job.runtime_base = (uint64_t)(uintptr_t)r->code;
    r->job.block = &r->block;
    r->job.out = at;
    r->job.cap = CODE_BYTES / 2;
    r->job.base = (uint64_t)(uintptr_t)at;
    enum gw_status st = backend()->compile(&r->job);
    if (st == GW_ERR_LIMIT) {
        r->refused++;
        return false;
    }
    assert_int_equal(st, GW_OK);
    r->compiled++;
    random_ir_state(&out->cpu, seed);
    random_ir_memory(r->memory, seed);
    point_maps(r, &out->cpu);
    uint64_t (*enter)(void *, void *);
    void *entry = r->code + r->ep.enter[r->block.fp_round != IR_FP_OFF];
    memcpy(&enter, &entry, sizeof enter);
    out->exit.kind = (enum gw_exit_kind)enter(&out->cpu, at);
    out->exit.pc = out->cpu.run.pc;
    out->exit.budget = out->cpu.run.budget;
    if (out->exit.kind == GW_EXIT_HELPER)
        refund(r, out);
    memcpy(out->memory, r->memory, sizeof out->memory);
    return true;
}

static void same(struct rig *r, uint64_t seed, const struct outcome *a, const struct outcome *b)
{
    const struct toy_cpu *x = &a->cpu, *y = &b->cpu;
    bool jumps = (a->exit.kind == GW_EXIT_LINK || a->exit.kind == GW_EXIT_INDIRECT) &&
                 (b->exit.kind == GW_EXIT_LINK || b->exit.kind == GW_EXIT_INDIRECT);
    if ((jumps || a->exit.kind == b->exit.kind) && a->exit.pc == b->exit.pc &&
        a->exit.budget == b->exit.budget && memcmp(x->x, y->x, sizeof x->x) == 0 &&
        memcmp(x->f, y->f, sizeof x->f) == 0 && memcmp(x->word, y->word, sizeof x->word) == 0 &&
        memcmp(x->byte, y->byte, sizeof x->byte) == 0 && x->run.fp_flags == y->run.fp_flags &&
        x->run.leave == y->run.leave && memcmp(a->memory, b->memory, sizeof a->memory) == 0)
        return;
    for (unsigned i = 0; i < TOY_X; i++)
        if (x->x[i] != y->x[i])
            print_error("x[%u] %#lx, should be %#lx\n", i, (long)y->x[i], (long)x->x[i]);
    for (unsigned i = 0; i < TOY_F; i++)
        if (x->f[i] != y->f[i])
            print_error("f[%u] %#lx, should be %#lx\n", i, (long)y->f[i], (long)x->f[i]);
    ir_print(&r->block, r->text, sizeof r->text);
    print_error("exit %d %d pc %#lx %#lx budget %ld %ld flags %x %x\n%s\n", a->exit.kind,
                b->exit.kind, (long)a->exit.pc, (long)b->exit.pc, (long)a->exit.budget,
                (long)b->exit.budget, x->run.fp_flags, y->run.fp_flags, r->text);
    fail_msg("seed %lu differs", (unsigned long)seed);
}

static void one_block(struct rig *r, const struct random_ir *want, bool no_fold)
{
    static struct outcome plain, jit;
    r->block.no_fold = no_fold;
    random_ir_block(&r->block, want);
    ir_liveness(&r->block);
    run_plain(r, want->seed, &plain);
    if (run_jit(r, want->seed, &jit))
        same(r, want->seed, &plain, &jit);
}

static void blocks_in(enum gw_mem_mode mem, uint32_t features_off)
{
    struct rig *r = new_rig(mem, features_off);
    const char *fewer = getenv("GODWIT_BLOCKS"); /* where the host is an emulated one */
    uint64_t blocks = fewer ? strtoull(fewer, NULL, 10) : BLOCKS;
    for (uint64_t seed = 1; seed <= blocks; seed++) {
        struct random_ir want = {.seed = seed * 8 + (uint64_t)mem,
                                 .guest_insns = 1 + seed % 40,
                                 .floats = seed & 1,
                                 .fp_model = random_fp_model(seed / 2),
                                 .memory = seed & 2,
                                 .branches = seed & 4,
                                 .calls = seed & 8,
                                 .split_floats = true,
                                 .faults = mem == GW_MEM_TLB && seed & 16};
        one_block(r, &want, seed & 32);
    }
    /* few may be too much for it */
    assert_true(r->refused * 10 < r->compiled);
    free_rig(r);
}

static void blocks_of_user_mode(void **state)
{
    blocks_in(GW_MEM_USER, 0);
}

static void blocks_with_flat_maps(void **state)
{
    blocks_in(GW_MEM_FLAT, 0);
}

static void blocks_with_a_tagged_tlb(void **state)
{
    blocks_in(GW_MEM_TLB, 0);
}

static void blocks_for_any_host_of_the_kind(void **state)
{
    blocks_in(GW_MEM_USER, but_base());
    blocks_in(GW_MEM_FLAT, but_base());
    blocks_in(GW_MEM_TLB, but_base());
}

static void blocks_without_some_features(void **state)
{
    for (uint32_t bits = 0x55; bits < 0x100; bits += 0x55) /* 01, 10, 11 */
        blocks_in(GW_MEM_TLB, bits & but_base());
}

/* --- bugs that random blocks found, at their smallest ------------------------------------------- */

static void plain_equals_jit(struct rig *r)
{
    static struct outcome plain, jit;
    ir_liveness(&r->block);
    run_plain(r, 1, &plain);
    if (run_jit(r, 1, &jit))
        same(r, 1, &plain, &jit);
}

/* Min and max leave for a cold path where the operands are equal or unordered. More floats live than
 * there are scratch registers: whoever is spilled to make room must be spilled on both ways. */
static void minmax_block(struct rig *r, enum ir_op op, enum ir_type type, const uint64_t *pair,
                         unsigned live)
{
    struct ir_block *b = &r->block;
    ir_val v[16];
    ir_begin(b, 0x1000, 0);
    ir_begin_guest(b, 0x1000, 4);
    v[0] = ir_op1(b, IR_BITSF, type, ir_const(b, pair[0]));
    v[1] = ir_op1(b, IR_BITSF, type, ir_const(b, pair[1]));
    for (unsigned i = 2; i < live; i++)
        v[i] = ir_op1(b, IR_BITSF, type, ir_const(b, UINT64_C(0x3f8000003f800000) + i));
    ir_val got = ir_fp2(b, op, type, IR_RNE, v[0], v[1]);
    ir_putf(b, toy_f(16), type, got);
    for (unsigned i = 0; i < live; i++)
        ir_putf(b, toy_f(17 + i), type, v[i]);
    ir_jmp(b, 0x1004);
}

static void minmax_under_pressure(void **state)
{
    static const uint64_t f64[][2] = {
        {UINT64_C(0x3ff0000000000000), UINT64_C(0x4000000000000000)}, /* hot */
        {UINT64_C(0x3ff0000000000000), UINT64_C(0x3ff0000000000000)},
        {0, UINT64_C(0x8000000000000000)},
        {UINT64_C(0x7ff8000000000000), UINT64_C(0x3ff0000000000000)},
        {UINT64_C(0x3ff0000000000000), UINT64_C(0x7ff0000000000001)},
    };
    static const uint64_t f32[][2] = {{0x3f800000, 0x40000000},
                                      {0x3f800000, 0x3f800000},
                                      {0, 0x80000000},
                                      {0x7fc00000, 0x3f800000},
                                      {0x3f800000, 0x7f800001}};
    const uint32_t off[] = {0, but_base()};
    for (unsigned k = 0; k < 2; k++) {
        struct rig *r = new_rig(GW_MEM_USER, off[k]);
        for (unsigned i = 0; i < 5; i++)
            for (unsigned live = 2; live < 12; live++)
                for (unsigned max = 0; max < 2; max++) {
                    enum ir_op op = max ? IR_FMAX : IR_FMIN;
                    minmax_block(r, op, IR_F64, f64[i], live);
                    plain_equals_jit(r);
                    minmax_block(r, op, IR_F32, f32[i], live);
                    plain_equals_jit(r);
                }
        assert_int_equal(r->refused, 0);
        free_rig(r);
    }
}

/* Displacements of every size; the verifier lets none beyond 32 bits pass, but a backend that met
 * one must not drop its upper half. */
static void displacement_block(struct rig *r, uint64_t base, int64_t disp, bool constant)
{
    struct ir_block *b = &r->block;
    ir_begin(b, 0x1000, 0);
    ir_begin_guest(b, 0x1000, 4);
    ir_val at = constant ? ir_const(b, base) : ir_get(b, toy_x(20), 3);
    if (!constant) /* the same address, unknown until it runs */
        at = ir_op2(b, IR_ADD, IR_I64, ir_op2(b, IR_SUB, IR_I64, at, at), ir_const(b, base));
    ir_val v = ir_load(b, IR_I64, 3, false, at, disp, 0);
    ir_val f = ir_load(b, IR_F64, 3, false, at, disp + 8, 0);
    ir_store(b, IR_I64, 3, at, disp + 4096, v, 0);
    ir_store(b, IR_F64, 3, at, disp + 4104, f, 0);
    ir_put(b, toy_x(21), 3, v);
    ir_putf(b, toy_f(21), IR_F64, f);
    ir_jmp(b, 0x1004);
}

static void displacements_of_every_size(void **state)
{
    static const int64_t disps[] = {0,
                                    16,
                                    -1,
                                    0x12345678,
                                    INT32_MAX - 4104,
                                    INT32_MIN,
                                    INT64_C(0x80000000),
                                    INT64_C(0x123456789a),
                                    INT64_C(-0x80001010),
                                    INT64_C(0x7fffffffffff0000),
                                    INT64_MIN};
    static const enum gw_mem_mode modes[] = {GW_MEM_USER, GW_MEM_FLAT, GW_MEM_TLB};
    for (unsigned m = 0; m < 3; m++) {
        struct rig *r = new_rig(modes[m], 0);
        for (unsigned i = 0; i < sizeof disps / sizeof disps[0]; i++)
            for (unsigned how = 0; how < 4; how++) {
                /* what is read and written lies in the window whatever the displacement */
                uint64_t to = TOY_BASE + 64;
                r->block.no_fold = how & 2;
                displacement_block(r, to - (uint64_t)disps[i], disps[i], how & 1);
                plain_equals_jit(r);
            }
        r->block.no_fold = false;
        assert_int_equal(r->refused, 0);
        free_rig(r);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(blocks_of_user_mode),
        cmocka_unit_test(blocks_with_flat_maps),
        cmocka_unit_test(blocks_with_a_tagged_tlb),
        cmocka_unit_test(blocks_for_any_host_of_the_kind),
        cmocka_unit_test(blocks_without_some_features),
        cmocka_unit_test(minmax_under_pressure),
        cmocka_unit_test(displacements_of_every_size),
    };
    if (!backend())
        return 77;
    return cmocka_run_group_tests(tests, NULL, NULL);
}
