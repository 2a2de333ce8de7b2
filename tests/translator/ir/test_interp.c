/*
 * The interpreter's exits: budget, refunds, links, indirect branches, helpers that leave, faults
 * and where guest memory is reached in each mode.
 */
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <cmocka.h>

#include "translator/interp/interp.h"
#include "translator/ir/pass.h"
#include "tests/translator/ir/toy.h"

#define MAP_BYTES (UINT64_C(8) << 36)

enum { LARGEST_PAGE = 65536 }; /* of any host */

struct fixture {
    struct ir_block block;
    struct interp interp;
    struct toy_cpu cpu;
    struct gw_runtime rt;
    struct gw_jump_entry jumps[1 << GW_JC_BITS];
    unsigned slow_calls; /* of the runtime below */
    uint64_t last_addr;
    uint32_t last_desc;
    bool slow_faults;
    uint8_t *page; /* at TOY_BASE */
    uint64_t code[4096];
    size_t used;
};

static struct fixture *fixture_of(void *cpu)
{
    return ((struct toy_cpu *)cpu)->run.engine;
}

static uint32_t slow(void *cpu, uint32_t desc)
{
    struct fixture *f = fixture_of(cpu);
    f->slow_calls++;
    f->last_addr = f->cpu.run.slow_addr;
    f->last_desc = desc;
    if (!f->slow_faults)
        return 0;
    f->cpu.run.leave = GW_LEAVE_TRAP;
    f->cpu.run.pc += 0x100;
    return 1;
}

static int setup(void **state)
{
    struct fixture *f = calloc(1, sizeof *f);
    *state = f;
    if (!f)
        return -1;
    f->rt = (struct gw_runtime){.load = slow, .store = slow, .amo = slow, .zero = slow};
    f->page =
        mmap(NULL, 2 * LARGEST_PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    f->cpu.run.engine = f;
    f->cpu.run.budget = 100;
    f->cpu.run.guest_base = toy_guest_base(f->page);
    f->cpu.x[8] = TOY_BASE;
    interp_init(&f->interp, &f->cpu, GW_MEM_USER, toy_helpers, &f->rt, &interp_direct_caller);
    return 0;
}

static int teardown(void **state)
{
    struct fixture *f = *state;
    munmap(f->page, 2 * LARGEST_PAGE);
    free(f);
    return 0;
}

/* Compiles text behind what is compiled already. */
static struct interp_block *compile(struct fixture *f, const char *text)
{
    struct interp_block *blk;
    struct gw_error err;
    size_t used;
    if (ir_parse(&f->block, text, &err) != GW_OK)
        fail_msg("%s: %s", err.object, err.message);
    f->block.helpers = toy_helpers;
    if (ir_verify(&f->block, &err) != GW_OK)
        fail_msg("%s: %s", err.object, err.message);
    ir_liveness(&f->block);
    assert_int_equal(interp_compile(&f->interp, &f->block, f->code + f->used / 8,
                                    sizeof f->code - f->used, &used, &blk),
                     GW_OK);
    f->used += used;
    return blk;
}

#define THREE "block 0x1000 bytes 12 flags 0x0 round rne fp 0\n@0 0x0 4\n"
#define REST  "@2 0x8 4\n"

static void budget_stops_before_the_block(void **state)
{
    struct fixture *f = *state;
    struct interp_block *blk =
        compile(f, THREE "%0 = const 0x7\nput i64 [8:8] %0\n@1 0x4 4\n" REST "jmp 0x2000\n");
    f->cpu.run.budget = 2;
    assert_int_equal(interp_run(&f->interp, blk), GW_EXIT_BUDGET);
    assert_int_equal(f->cpu.run.budget, 2);
    assert_int_equal(f->cpu.run.pc, 0x1000);
    assert_int_equal(f->cpu.x[1], 0);
    f->cpu.run.budget = 3;
    assert_int_equal(interp_run(&f->interp, blk), GW_EXIT_LINK);
    assert_int_equal(f->cpu.run.budget, 0);
    assert_int_equal(f->cpu.run.pc, 0x2000);
    assert_int_equal(f->cpu.x[1], 7);
}

static void side_exits_give_back_what_did_not_run(void **state)
{
    struct fixture *f = *state;
    struct interp_block *blk =
        compile(f, THREE "%0 = get i64 [8:8]\n%1 = get i64 [16:8]\n@1 0x4 4\n"
                         "brcc w32 ltu %0, %1, 0x3000\n" REST "put i64 [24:8] %0\njmp 0x2000\n");
    f->cpu.x[1] = UINT64_C(0xffffffff00000000); /* low half below x[2]'s */
    f->cpu.x[2] = 1;
    assert_int_equal(interp_run(&f->interp, blk), GW_EXIT_LINK);
    assert_int_equal(f->cpu.run.pc, 0x3000);
    assert_int_equal(f->cpu.run.budget, 98);
    assert_int_equal(f->cpu.x[3], 0);
    assert_int_equal(blk->link_count, 2);
    assert_true(f->cpu.run.exit_link == (uint64_t)(uintptr_t)&blk->links[0]);
    assert_int_equal(blk->links[0].target, 0x3000);
    f->cpu.x[1] = 1;
    f->cpu.run.budget = 100;
    assert_int_equal(interp_run(&f->interp, blk), GW_EXIT_LINK);
    assert_int_equal(f->cpu.run.pc, 0x2000);
    assert_int_equal(f->cpu.run.budget, 97);
    assert_int_equal(f->cpu.x[3], 1);
}

static struct interp_block *counting_loop(struct fixture *f)
{
    return compile(f,
                   "block 0x1000 bytes 8 flags 0x0 round rne fp 0\n@0 0x0 4\n%0 = get i64 [8:8]\n"
                   "%1 = const 0x1\n%2 = add i64 %0, %1\nput i64 [8:8] %2\n@1 0x4 4\n"
                   "jmp 0x1000\n");
}

static void linked_blocks_run_on_until_the_budget_ends(void **state)
{
    struct fixture *f = *state;
    struct interp_block *blk = counting_loop(f);
    f->cpu.run.budget = 2001;
    assert_int_equal(interp_run(&f->interp, blk), GW_EXIT_LINK);
    ((struct interp_link *)(uintptr_t)f->cpu.run.exit_link)->next = blk;
    assert_int_equal(interp_run(&f->interp, blk), GW_EXIT_BUDGET);
    assert_int_equal(f->cpu.x[1], 1000);
    assert_int_equal(f->cpu.run.budget, 1);
}

static void guarded_links_fall_with_their_generation(void **state)
{
    struct fixture *f = *state;
    struct interp_block *blk = counting_loop(f);
    blk->links[0] = (struct interp_link){
        .target = 0x1000, .next = blk, .gen_cell = &f->cpu.run.gen_space, .gen = 4};
    f->cpu.run.gen_space = 5;
    assert_int_equal(interp_run(&f->interp, blk), GW_EXIT_LINK);
    assert_int_equal(f->cpu.x[1], 1);
    f->cpu.run.gen_space = 4;
    assert_int_equal(interp_run(&f->interp, blk), GW_EXIT_BUDGET);
    assert_int_equal(f->cpu.x[1], 50);
}

static void indirect_branches_look_in_the_jump_cache(void **state)
{
    struct fixture *f = *state;
    struct interp_block *from = compile(f, "block 0x1000 bytes 4 flags 0x0 round rne fp 0\n"
                                           "@0 0x0 4\n%0 = get i64 [8:8]\njmpr %0\n");
    struct interp_block *to = compile(f, "block 0x5002 bytes 4 flags 0x0 round rne fp 0\n"
                                         "@0 0x0 4\n%0 = const 0x9000\nleave %0\n");
    f->cpu.x[1] = 0x5002;
    assert_int_equal(interp_run(&f->interp, from), GW_EXIT_INDIRECT);
    assert_int_equal(f->cpu.run.pc, 0x5002);
    memset(f->jumps, 0xff, sizeof f->jumps);
    f->cpu.run.jump_cache = f->jumps;
    assert_int_equal(interp_run(&f->interp, from), GW_EXIT_INDIRECT);
    f->jumps[interp_jump_index(0x5002)] = (struct gw_jump_entry){0x5002, to};
    assert_int_equal(interp_run(&f->interp, from), GW_EXIT_LEAVE);
    assert_int_equal(f->cpu.run.pc, 0x9000);
    assert_int_equal(f->cpu.run.budget, 96);
    f->cpu.x[1] = 0x5002 + (2 << GW_JC_BITS); /* same entry, other address */
    assert_int_equal(interp_run(&f->interp, from), GW_EXIT_INDIRECT);
}

static void helpers_that_leave_do_not_retire(void **state)
{
    struct fixture *f = *state;
    struct interp_block *blk = compile(
        f, THREE "@1 0x4 4\n%0 = get i64 [8:8]\n%1 = call 2 %0, -, -\nput i64 [16:8] %1\n" REST
                 "put i64 [24:8] %1\njmp 0x2000\n");
    f->cpu.x[1] = 5;
    assert_int_equal(interp_run(&f->interp, blk), GW_EXIT_HELPER);
    assert_int_equal(f->cpu.run.pc, 0x1004 + 0x1000); /* from the instruction's own address */
    assert_int_equal(f->cpu.run.exit_row, 1);
    assert_int_equal(f->cpu.run.budget, 99);
    assert_int_equal(f->cpu.x[2], 0);
    f->cpu.run.leave = GW_LEAVE_NONE;
    f->cpu.x[1] = 6;
    assert_int_equal(interp_run(&f->interp, blk), GW_EXIT_LINK);
    assert_int_equal(f->cpu.x[2], 7);
    assert_int_equal(f->cpu.x[3], 7);
}

/* --- what operands are in registers ----------------------------------------------------------- */

static void values_survive_later_writes_of_their_register(void **state)
{
    struct fixture *f = *state;
    struct interp_block *blk = compile(
        f, THREE "%0 = get i64 [8:8]\n%1 = get i64 [16:8]\nput i64 [8:8] %1\n"
                 "@1 0x4 4\nput i64 [16:8] %0\n" /* a swap */
                 "@2 0x8 4\n%4 = add i64 %0, %1\nput i64 [24:8] %4\n@3 0xc 4\n%6 = const 0x5\n"
                 "put i64 [24:8] %6\nput i64 [32:8] %4\njmp 0x2000\n");
    f->cpu.x[1] = 100;
    f->cpu.x[2] = 11;
    interp_run(&f->interp, blk);
    assert_int_equal(f->cpu.x[1], 11);
    assert_int_equal(f->cpu.x[2], 100);
    assert_int_equal(f->cpu.x[3], 5);
    assert_int_equal(f->cpu.x[4], 111);
}

static void values_survive_helpers_that_write(void **state)
{
    struct fixture *f = *state;
    struct interp_block *blk = compile(
        f, THREE "%0 = get i64 [40:8]\n%1 = const 0x3\n%2 = add i64 %0, %1\nput i64 [48:8] %2\n"
                 "@1 0x4 4\n%4 = call 1 %1, %1, -\nput i64 [24:8] %0\nput i64 [32:8] %2\n"
                 "jmp 0x2000\n");
    f->cpu.x[5] = 50;
    interp_run(&f->interp, blk);
    assert_int_equal(f->cpu.x[5], 53);
    assert_int_equal(f->cpu.x[6], 56);
    assert_int_equal(f->cpu.x[3], 50);
    assert_int_equal(f->cpu.x[4], 53);
}

static void faulting_loads_leave_the_register_alone(void **state)
{
    struct fixture *f = *state;
    f->interp.mem = GW_MEM_TLB;
    static struct gw_tlb_entry tlb[1 << GW_TLB_BITS];
    memset(tlb, 0xff, sizeof tlb);
    f->cpu.run.tlb_read = tlb;
    struct interp_block *blk = compile(
        f, THREE "@1 0x4 4\n%0 = get i64 [64:8]\n%1 = ld i64 s2 [%0 - 2]\nput i64 [64:8] %1\n"
                 "jmp 0x2000\n");
    f->slow_faults = true;
    assert_int_equal(interp_run(&f->interp, blk), GW_EXIT_HELPER);
    assert_int_equal(f->cpu.x[8], TOY_BASE);
    assert_int_equal(f->last_addr, TOY_BASE - 2);
    assert_int_equal(f->last_desc, IR_I64 << 8 | IR_SIGN | 1);
    assert_int_equal(f->cpu.run.pc, 0x1004 + 0x100); /* run.pc was the load's address */
    assert_int_equal(f->cpu.run.budget, 99);
    f->slow_faults = false;
    f->cpu.run.slow_value = 0x8001; /* the slow path's result is extended here */
    f->cpu.run.budget = 100;
    assert_int_equal(interp_run(&f->interp, blk), GW_EXIT_LINK);
    assert_true(f->cpu.x[8] == UINT64_C(0xffffffffffff8001));
}

/* --- memory modes ----------------------------------------------------------------------------- */

static const char access_block[] =
    "block 0x1000 bytes 4 flags 0x0 round rne fp 0\n@0 0x0 4\n%0 = get i64 [64:8]\n"
    "%1 = ld i64 u8 [%0]\n%2 = const 0x1\n%3 = add i64 %1, %2\nst i64 u8 [%0], %3\n"
    "put i64 [8:8] %1\njmp 0x2000\n";

static const char zero_block[] =
    "block 0x1000 bytes 4 flags 0x0 round rne fp 0\n@0 0x0 4\n%0 = get i64 [64:8]\n"
    "zero [%0]\njmp 0x2000\n";

static unsigned slow_calls_at(struct fixture *f, struct interp_block *blk, uint64_t addr)
{
    f->slow_calls = 0;
    f->cpu.x[8] = addr;
    f->cpu.run.budget = 100;
    assert_int_equal(interp_run(&f->interp, blk), GW_EXIT_LINK);
    return f->slow_calls;
}

static void flat_maps_reach_exactly_the_canonical_page(void **state)
{
    struct fixture *f = *state;
    int flags = MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE;
    uint64_t *read_map = mmap(NULL, MAP_BYTES, PROT_READ | PROT_WRITE, flags, -1, 0);
    uint64_t *write_map = mmap(NULL, MAP_BYTES, PROT_READ | PROT_WRITE, flags, -1, 0);
    const uint64_t high = UINT64_C(0xffffffff80000000), bits48 = UINT64_C(0x0000ffffffffffff);
    if (read_map == MAP_FAILED || write_map == MAP_FAILED)
        skip(); /* no room for two half-tebibyte reservations */
    read_map[TOY_BASE >> 12] = write_map[TOY_BASE >> 12] = (uint64_t)(uintptr_t)f->page - TOY_BASE;
    read_map[(high & bits48) >> 12] = write_map[(high & bits48) >> 12] =
        (uint64_t)(uintptr_t)f->page - high;
    f->cpu.run.map_read = read_map;
    f->cpu.run.map_write = write_map;
    f->interp.mem = GW_MEM_FLAT;
    struct interp_block *blk = compile(f, access_block);

    assert_int_equal(slow_calls_at(f, blk, TOY_BASE), 0);
    assert_int_equal(slow_calls_at(f, blk, high + 0xff8), 0);
    assert_int_equal(slow_calls_at(f, blk, high + 0x13), 0);  /* misaligned within the page */
    assert_int_equal(slow_calls_at(f, blk, high + 0xff9), 2); /* into the next page */
    assert_int_equal(slow_calls_at(f, blk, TOY_BASE + 4096), 2);
    /* the same 48 bits, not the same address */
    for (unsigned bit = 47; bit < 64; bit++) {
        assert_int_equal(slow_calls_at(f, blk, TOY_BASE ^ UINT64_C(1) << bit), 2);
        assert_int_equal(slow_calls_at(f, blk, high ^ UINT64_C(1) << bit), 2);
    }
    assert_int_equal(slow_calls_at(f, blk, TOY_BASE | UINT64_C(0xffff) << 48), 2);
    assert_int_equal(slow_calls_at(f, blk, high & bits48), 2);
    struct interp_block *zero = compile(f, zero_block);
    f->page[0xf7f] = 1;
    memset(f->page + 0xf80, 1, 64);
    assert_int_equal(slow_calls_at(f, zero, high + 0xf93), 0);
    assert_int_equal(f->page[0xf7f], 1);
    for (unsigned i = 0xf80; i < 0xfc0; i++)
        assert_int_equal(f->page[i], 0);
    assert_int_equal(slow_calls_at(f, zero, (high & bits48) + 0xf93), 1);
    assert_true(f->last_addr == (high & bits48) + 0xf93);
    write_map[TOY_BASE >> 12] = 0;
    assert_int_equal(slow_calls_at(f, zero, TOY_BASE + 0xf93), 1);
    assert_int_equal(slow_calls_at(f, blk, TOY_BASE), 1);
    assert_int_equal(f->page[0], 1);
    assert_int_equal(f->page[0xff8], 1);
    munmap(read_map, MAP_BYTES);
    munmap(write_map, MAP_BYTES);
}

static void tlb_compares_the_whole_page_address(void **state)
{
    struct fixture *f = *state;
    static struct gw_tlb_entry tlb[1 << GW_TLB_BITS];
    memset(tlb, 0xff, sizeof tlb);
    tlb[TOY_BASE >> 12 & ((1 << GW_TLB_BITS) - 1)] =
        (struct gw_tlb_entry){TOY_BASE, (uint64_t)(uintptr_t)f->page - TOY_BASE};
    f->cpu.run.tlb_read = f->cpu.run.tlb_write = tlb;
    f->interp.mem = GW_MEM_TLB;
    struct interp_block *blk = compile(f, access_block);
    assert_int_equal(slow_calls_at(f, blk, TOY_BASE + 0xff8), 0);
    assert_int_equal(slow_calls_at(f, blk, TOY_BASE + 0xff9), 2);
    for (unsigned bit = 12 + GW_TLB_BITS; bit < 64; bit++)
        assert_int_equal(slow_calls_at(f, blk, TOY_BASE ^ UINT64_C(1) << bit), 2);
    assert_int_equal(f->page[0xff8], 1);
}

static void misaligned_atomics_take_the_slow_path(void **state)
{
    struct fixture *f = *state;
    struct interp_block *amo =
        compile(f, "block 0x1000 bytes 4 flags 0x0 round rne fp 0\n@0 0x0 4\n%0 = get i64 [64:8]\n"
                   "%1 = amo min 4 [%0], %0\nput i64 [8:8] %1\njmp 0x2000\n");
    struct interp_block *cas =
        compile(f, "block 0x1000 bytes 4 flags 0x0 round rne fp 0\n@0 0x0 4\n%0 = get i64 [64:8]\n"
                   "%1 = const 0x5\n%2 = cas 8 [%0], %1, %0\nput i64 [8:8] %2\njmp 0x2000\n");
    struct interp_block *lr =
        compile(f, "block 0x1000 bytes 4 flags 0x0 round rne fp 0\n@0 0x0 4\n%0 = get i64 [64:8]\n"
                   "%1 = ld i64 s4a [%0] acquire\nput i64 [8:8] %1\njmp 0x2000\n");
    f->page[3] = 0x80;
    assert_int_equal(slow_calls_at(f, amo, TOY_BASE), 0);
    assert_true(f->cpu.x[1] == UINT64_C(0xffffffff80000000)); /* sign-extended old value */
    assert_int_equal(slow_calls_at(f, lr, TOY_BASE), 0);
    assert_true(f->cpu.x[1] == UINT64_C(0xffffffff80000000)); /* MIN kept it */
    for (unsigned at = 1; at < 4; at++) {
        assert_int_equal(slow_calls_at(f, amo, TOY_BASE + at), 1);
        assert_int_equal(f->last_desc, IR_AMO_MIN << 16 | IR_I64 << 8 | 2);
        f->cpu.run.slow_value = 0x123456789;
        assert_int_equal(slow_calls_at(f, lr, TOY_BASE + at), 1);
        assert_int_equal(f->cpu.x[1], 0x23456789); /* and the load itself did not run */
        assert_int_equal(slow_calls_at(f, cas, TOY_BASE + 2 * at), 1);
        assert_int_equal(f->last_desc, INTERP_KIND_CAS << 16 | IR_I64 << 8 | 3);
        assert_int_equal(f->cpu.run.operand[0].lo, 5);
    }
    f->page[8] = 5;
    assert_int_equal(slow_calls_at(f, cas, TOY_BASE + 8), 0);
    assert_int_equal(f->cpu.x[1], 5);
    assert_int_equal(slow_calls_at(f, cas, TOY_BASE + 8), 0);
    assert_int_equal(f->cpu.x[1], TOY_BASE + 8);
}

/* --- host faults in user mode ----------------------------------------------------------------- */

static sigjmp_buf on_fault;

static void fault_handler(int sig)
{
    (void)sig;
    siglongjmp(on_fault, 1);
}

static void host_faults_name_their_instruction(void **state)
{
    struct fixture *f = *state;
    struct interp_block *blk =
        compile(f, THREE "%0 = get i64 [64:8]\n%1 = ld i64 u8 [%0]\nput i64 [8:8] %1\n"
                         "@1 0x4 4\nst i64 u8 [%0 + 65536], %1\n" REST "jmp 0x2000\n");
    struct sigaction sa = {.sa_handler = fault_handler}, old;
    sigaction(SIGSEGV, &sa, &old);
    mprotect(f->page + LARGEST_PAGE, LARGEST_PAGE, PROT_READ);
    f->page[0] = 9;
    if (sigsetjmp(on_fault, 1) == 0) {
        interp_run(&f->interp, blk);
        fail_msg("no fault");
    }
    sigaction(SIGSEGV, &old, NULL);
    assert_int_equal(interp_abandon(&f->interp), 1);
    assert_int_equal(f->cpu.run.pc, 0x1004);
    assert_int_equal(f->cpu.run.budget, 99);
    assert_int_equal(f->cpu.x[1], 9);
}

/* --- the rest --------------------------------------------------------------------------------- */

static void short_memory_is_refused(void **state)
{
    struct fixture *f = *state;
    struct interp_block *blk;
    size_t used, full;
    counting_loop(f);
    full = f->used;
    for (size_t cap = 0; cap < full; cap += 8) {
        memset(f->code, 0xa5, sizeof f->code);
        assert_int_equal(interp_compile(&f->interp, &f->block, f->code, cap, &used, &blk),
                         GW_ERR_LIMIT);
        assert_true(f->code[cap / 8] == UINT64_C(0xa5a5a5a5a5a5a5a5));
    }
    assert_int_equal(interp_compile(&f->interp, &f->block, f->code, full, &used, &blk), GW_OK);
    assert_int_equal(used, full);
}

/* An addition between registers is one operation, and so is a branch. */
static void hot_instructions_are_one_operation_each(void **state)
{
    struct fixture *f = *state;
    struct interp_block *blk = compile(
        f, THREE "%0 = get i64 [8:8]\n%1 = const 0x1\n%2 = add i64 %0, %1\nput i64 [8:8] %2\n"
                 "@1 0x4 4\n%4 = add w32 %2, %1\n%5 = sext32 i64 %4\nput i64 [16:8] %5\n"
                 "@2 0x8 4\n%7 = get i64 [64:8]\n%8 = ld i64 s4 [%7]\nput i64 [24:8] %8\n"
                 "@3 0xc 4\nbrcc i64 ne %2, %8, 0x4000\njmp 0x2000\n");
    assert_int_equal(blk->op_count, 5);
}

int main(void)
{
#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        T(budget_stops_before_the_block),
        T(side_exits_give_back_what_did_not_run),
        T(linked_blocks_run_on_until_the_budget_ends),
        T(guarded_links_fall_with_their_generation),
        T(indirect_branches_look_in_the_jump_cache),
        T(helpers_that_leave_do_not_retire),
        T(values_survive_later_writes_of_their_register),
        T(values_survive_helpers_that_write),
        T(faulting_loads_leave_the_register_alone),
        T(flat_maps_reach_exactly_the_canonical_page),
        T(tlb_compares_the_whole_page_address),
        T(misaligned_atomics_take_the_slow_path),
        T(host_faults_name_their_instruction),
        T(short_memory_is_refused),
        T(hot_instructions_are_one_operation_each),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
