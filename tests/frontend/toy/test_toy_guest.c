/*
 * The toy guest runs in the engine: by the IR interpreter and by generated code, in user mode, with flat
 * page maps and with the tagged TLB, in blocks of any length and in slices of any size. Each way must
 * come to the expected result, and all must agree on every register, byte and retired instruction.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "godwit/little.h"
#include "tests/frontend/toy/toy_world.h"

enum { MOST = 100000 };

typedef void check_fn(const struct toy_setup *setup, const struct toy_result *r);

static void same(const struct toy_setup *s, const struct toy_result *a, const struct toy_result *b)
{
    if (memcmp(a, b, sizeof *a) == 0)
        return;
    for (unsigned i = 0; i < 16; i++)
        if (a->r[i] != b->r[i])
            print_error("r%u: %#llx, not %#llx\n", i, (unsigned long long)b->r[i],
                        (unsigned long long)a->r[i]);
    fail_msg(
        "%s %s%s fold %d, %u instructions a block, slices of %llu differ from the interpreter: "
        "pc %#llx and %#llx, %llu and %llu retired",
        s->user ? "user" : "machine", s->jit ? "jit" : "interp", s->no_flat ? " tlb" : "",
        !s->no_fold, s->max_guest, (unsigned long long)s->slice, (unsigned long long)b->pc,
        (unsigned long long)a->pc, (unsigned long long)b->retired, (unsigned long long)a->retired);
}

static void run_once(const struct toy_setup *s, const uint32_t *code, size_t words,
                     struct toy_result *out)
{
    struct toy_world w;
    toy_open(&w, s, code, words);
    w.cpu->vector = TOY_RAM + 0x2000;
    const uint32_t handler[] = {
        toy_imm(TOY_LI, 11, 0, TOY_CAUSE_TRAP),
        toy_imm(TOY_BNE, 13, 11, 4),
        toy_imm(TOY_ADDI, 0, 0, 1000),
        toy_imm(TOY_ADDI, 15, 15, 4),
        toy_imm(TOY_JR, 0, 15, 0),
        toy_imm(TOY_HALT, 0, 0, 0),
    };
    toy_put_code(&w, 0x2000, handler, sizeof handler / sizeof handler[0]);
    toy_run(&w, MOST, out);
    toy_close(&w);
}

/* Every way to run it. The first of each mode is the plain one that the others must equal. */
static void run_every_way(const uint32_t *code, size_t words, check_fn *check, unsigned first_mode)
{
    static const struct toy_setup way[] = {
        {.jit = false},
        {.jit = false, .no_fold = true},
        {.jit = false, .max_guest = 1, .slice = 3},
        {.jit = true},
        {.jit = true, .no_fold = true},
        {.jit = true, .max_guest = 1},
        {.jit = true, .max_guest = 3, .slice = 7},
        {.jit = true, .slice = 1},
    };
    struct toy_result *first = malloc(sizeof *first), *r = malloc(sizeof *r);
    assert_true(first && r);
    for (unsigned mode = first_mode; mode < 3; mode++) {
        for (unsigned i = 0; i < sizeof way / sizeof way[0]; i++) {
            struct toy_setup s = way[i];
            s.user = mode == 0;
            s.no_flat = mode == 2;
            if (s.jit && !toy_can_jit())
                continue;
            run_once(&s, code, words, i ? r : first);
            check(&s, i ? r : first);
            if (i)
                same(&s, first, r);
        }
    }
    free(first);
    free(r);
}
#define RUN(code, check)            run_every_way(code, sizeof(code) / sizeof((code)[0]), check, 0)
#define RUN_IN_MACHINE(code, check) run_every_way(code, sizeof(code) / sizeof((code)[0]), check, 1)

static void check_halted(const struct toy_setup *s, const struct toy_result *r)
{
    assert_int_equal(r->stop, s->user ? ENGINE_SYSCALL : ENGINE_WAIT);
}

static uint64_t ram_word(const struct toy_result *r, uint64_t addr)
{
    return gw_little(r->ram + (addr - TOY_RAM), 8);
}

/* r9 = TOY_DATA: 0x14 << 12 by multiplication, since immediates have 16 bits. */
#define LI_DATA(rd)                                                                                \
    toy_imm(TOY_LI, rd, 0, 0x14), toy_imm(TOY_LI, 10, 0, 0x1000), toy_reg(TOY_MUL, rd, rd, 10)

/* --- programs ------------------------------------------------------------------------------------ */

static void check_sum(const struct toy_setup *s, const struct toy_result *r)
{
    check_halted(s, r);
    assert_int_equal(r->r[1], 500500);
    assert_int_equal(r->r[2], 1000);
    /* user mode ends at the halt, the machine behind it */
    assert_int_equal(r->retired, 3 + 3 * 1000 + !s->user);
}

static void a_loop_sums_its_counter(void **state)
{
    const uint32_t code[] = {
        toy_imm(TOY_LI, 1, 0, 0),   toy_imm(TOY_LI, 2, 0, 0),  toy_imm(TOY_LI, 3, 0, 1000),
        toy_imm(TOY_ADDI, 2, 2, 1), toy_reg(TOY_ADD, 1, 1, 2), toy_imm(TOY_BNE, 2, 3, -2),
        toy_imm(TOY_HALT, 0, 0, 0),
    };
    (void)state;
    RUN(code, check_sum);
}

static void check_copy(const struct toy_setup *s, const struct toy_result *r)
{
    check_halted(s, r);
    for (uint64_t i = 0; i < 64; i++)
        assert_int_equal(ram_word(r, TOY_DATA + 0xff9 + 8 * i), i * i);
}

/* Squares to TOY_DATA, then from there to an odd address across a page border. */
static void memory_is_copied_across_a_page_border(void **state)
{
    const uint32_t code[] = {
        LI_DATA(9),
        toy_imm(TOY_LI, 1, 0, 0),
        toy_imm(TOY_LI, 2, 0, 64),
        toy_imm(TOY_ADDI, 4, 9, 0),
        toy_reg(TOY_MUL, 3, 1, 1), /* fill: */
        toy_imm(TOY_STORE, 3, 4, 0),
        toy_imm(TOY_ADDI, 4, 4, 8),
        toy_imm(TOY_ADDI, 1, 1, 1),
        toy_imm(TOY_BLTU, 1, 2, -4),
        toy_imm(TOY_ADDI, 5, 9, 0xff9),
        toy_imm(TOY_LOAD, 3, 9, 0), /* copy: */
        toy_imm(TOY_STORE, 3, 5, 0),
        toy_imm(TOY_ADDI, 9, 9, 8),
        toy_imm(TOY_ADDI, 5, 5, 8),
        toy_imm(TOY_BLTU, 9, 4, -4),
        toy_imm(TOY_HALT, 0, 0, 0),
    };
    (void)state;
    RUN(code, check_copy);
}

static void check_calls(const struct toy_setup *s, const struct toy_result *r)
{
    check_halted(s, r);
    assert_int_equal(r->r[1], 3 * 100);
    assert_int_equal(r->r[2], 100);
}

/* A subroutine, called by jal and left by jr with junk in the low bits of the address. */
static void indirect_jumps_return(void **state)
{
    const uint32_t code[] = {
        toy_imm(TOY_LI, 1, 0, 0),   toy_imm(TOY_LI, 2, 0, 0),
        toy_imm(TOY_LI, 3, 0, 100), toy_imm(TOY_JAL, 8, 0, 4), /* loop: */
        toy_imm(TOY_ADDI, 2, 2, 1), toy_imm(TOY_BNE, 2, 3, -2),
        toy_imm(TOY_HALT, 0, 0, 0), toy_imm(TOY_ADDI, 1, 1, 3), /* subroutine: */
        toy_imm(TOY_ADDI, 8, 8, 3), toy_imm(TOY_JR, 0, 8, 0),
    };
    (void)state;
    RUN(code, check_calls);
}

static void check_helper(const struct toy_setup *s, const struct toy_result *r)
{
    uint64_t v = 1;
    check_halted(s, r);
    for (unsigned i = 0; i < 20; i++)
        v = toy_mix(v, i);
    assert_int_equal(r->r[1], v);
    assert_int_equal(r->r[12], 20);
    assert_int_equal(r->r[7], 21); /* what the helper wrote is seen behind it */
}

static void helpers_see_and_change_registers(void **state)
{
    const uint32_t code[] = {
        toy_imm(TOY_LI, 12, 0, 0),  toy_imm(TOY_LI, 1, 0, 1),   toy_imm(TOY_LI, 2, 0, 0),
        toy_imm(TOY_LI, 3, 0, 20),  toy_reg(TOY_MIX, 1, 1, 2),  toy_imm(TOY_ADDI, 7, 12, 1),
        toy_imm(TOY_ADDI, 2, 2, 1), toy_imm(TOY_BNE, 2, 3, -3), toy_imm(TOY_HALT, 0, 0, 0),
    };
    (void)state;
    RUN(code, check_helper);
}

static void check_traps(const struct toy_setup *s, const struct toy_result *r)
{
    check_halted(s, r);
    assert_int_equal(r->r[0], 2001);
    assert_int_equal(r->traps, s->user ? 2 : 0);
    if (!s->user)
        assert_int_equal(r->r[14], 78);
}

static void traps_are_served_and_returned_from(void **state)
{
    const uint32_t code[] = {
        toy_imm(TOY_LI, 0, 0, 1),
        toy_imm(TOY_TRAP, 0, 0, 77),
        toy_imm(TOY_TRAP, 0, 0, 78),
        toy_imm(TOY_HALT, 0, 0, 0),
    };
    (void)state;
    RUN(code, check_traps);
}

/* A fault at instruction `index` concerning vaddr, with r1 as it was before. */
static void check_fault(const struct toy_setup *s, const struct toy_result *r, unsigned index,
                        uint64_t vaddr, uint32_t cause)
{
    uint64_t pc = TOY_RAM + 4 * index;
    assert_int_equal(r->r[1], 7);
    if (s->user) {
        assert_int_equal(r->stop, ENGINE_FAULT);
        assert_int_equal(r->pc, pc);
        assert_int_equal(r->fault.vaddr, vaddr);
        assert_int_equal(r->retired, index);
        return;
    }
    assert_int_equal(r->stop, ENGINE_WAIT);
    assert_int_equal(r->r[13], cause);
    assert_int_equal(r->r[14], vaddr);
    assert_int_equal(r->r[15], pc);
    assert_int_equal(r->retired, index + 3); /* and the handler's li, bne, halt */
}

static void check_load_fault(const struct toy_setup *s, const struct toy_result *r)
{
    check_fault(s, r, 4, 0x40000, TOY_CAUSE_ACCESS);
    if (s->user)
        assert_int_equal(r->fault.access, GW_ACCESS_LOAD);
}

static void a_load_from_nowhere_faults_exactly(void **state)
{
    const uint32_t code[] = {
        toy_imm(TOY_LI, 1, 0, 7),   toy_imm(TOY_LI, 2, 0, 0x4000), toy_imm(TOY_LI, 3, 0, 16),
        toy_reg(TOY_MUL, 2, 2, 3),  toy_imm(TOY_LOAD, 1, 2, 0),    toy_imm(TOY_LI, 1, 0, 8),
        toy_imm(TOY_HALT, 0, 0, 0),
    };
    (void)state;
    RUN(code, check_load_fault);
}

static void check_store_fault(const struct toy_setup *s, const struct toy_result *r)
{
    check_fault(s, r, 4, TOY_RAM + TOY_RAM_SIZE, TOY_CAUSE_ACCESS);
    if (s->user && TOY_FAULTS_TELL) /* a signal of this host says what was tried */
        assert_int_equal(r->fault.access, GW_ACCESS_STORE);
    assert_int_equal(ram_word(r, TOY_RAM + TOY_RAM_SIZE - 8), 0);
}

/* The store begins in the last word of RAM and ends behind it: nothing of it may be seen. */
static void a_store_over_the_end_of_memory_changes_nothing(void **state)
{
    const uint32_t code[] = {
        toy_imm(TOY_LI, 1, 0, 7),  toy_imm(TOY_LI, 2, 0, 0x6000), toy_imm(TOY_LI, 3, 0, 4),
        toy_reg(TOY_MUL, 2, 2, 3), toy_imm(TOY_STORE, 3, 2, -4),  toy_imm(TOY_HALT, 0, 0, 0),
    };
    (void)state;
    RUN(code, check_store_fault);
}

static void check_far_load(const struct toy_setup *s, const struct toy_result *r)
{
    check_fault(s, r, 8, (UINT64_C(1) << 56) + TOY_RAM, TOY_CAUSE_ACCESS);
    if (s->user)
        assert_int_equal(r->fault.access, GW_ACCESS_LOAD);
}

static void check_far_store(const struct toy_setup *s, const struct toy_result *r)
{
    check_fault(s, r, 8, (UINT64_C(1) << 56) + TOY_RAM, TOY_CAUSE_ACCESS);
    if (s->user && TOY_FAULTS_TELL) /* a signal of this host says what was tried */
        assert_int_equal(r->fault.access, GW_ACCESS_STORE);
    assert_int_equal(ram_word(r, TOY_RAM), r->r[5]);
}

/* Some hosts ignore the top byte of an address, and would find the program there. */
static void the_top_byte_of_an_address_counts(void **state)
{
#define FAR(op)                                                                                    \
    {                                                                                              \
        toy_imm(TOY_LI, 1, 0, 7), toy_imm(TOY_LI, 2, 0, 0x4000), toy_imm(TOY_LI, 3, 0, 4),         \
            toy_reg(TOY_MUL, 4, 2, 3), toy_imm(TOY_LOAD, 5, 4, 0), toy_reg(TOY_MUL, 2, 2, 2),      \
            toy_reg(TOY_MUL, 2, 2, 2), toy_reg(TOY_ADD, 2, 2, 4), toy_imm(op, 1, 2, 0),            \
            toy_imm(TOY_HALT, 0, 0, 0),                                                            \
    }
    const uint32_t load[] = FAR(TOY_LOAD), store[] = FAR(TOY_STORE);
#undef FAR
    (void)state;
    RUN(load, check_far_load);
    RUN_IN_MACHINE(store, check_far_store);
    /* By generated code it counts as well, but x86-64 does not say that it was a store. */
    const struct toy_setup user = {.user = true};
    struct toy_result *r = malloc(sizeof *r);
    assert_non_null(r);
    run_once(&user, store, sizeof store / sizeof store[0], r);
    check_far_store(&user, r);
    free(r);
}

static void check_illegal(const struct toy_setup *s, const struct toy_result *r)
{
    check_fault(s, r, 1, 0xabcd00ff, TOY_CAUSE_ILLEGAL);
}

static void an_unknown_instruction_is_illegal(void **state)
{
    const uint32_t code[] = {toy_imm(TOY_LI, 1, 0, 7), 0xabcd00ff};
    (void)state;
    RUN(code, check_illegal);
}

static void check_fetch_fault(const struct toy_setup *s, const struct toy_result *r)
{
    assert_int_equal(r->r[1], 7);
    if (!s->user) {
        assert_int_equal(r->r[13], TOY_CAUSE_ACCESS);
        assert_int_equal(r->r[14], 0x7000);
        assert_int_equal(r->r[15], 0x7000);
        return;
    }
    assert_int_equal(r->stop, ENGINE_FAULT);
    assert_int_equal(r->pc, 0x7000);
    assert_int_equal(r->fault.access, GW_ACCESS_FETCH);
}

static void a_jump_to_nowhere_faults_at_its_target(void **state)
{
    const uint32_t code[] = {toy_imm(TOY_LI, 1, 0, 7), toy_imm(TOY_LI, 2, 0, 0x7000),
                             toy_imm(TOY_JR, 0, 2, 0)};
    (void)state;
    RUN(code, check_fetch_fault);
}

static void check_patched(const struct toy_setup *s, const struct toy_result *r)
{
    check_halted(s, r);
    assert_int_equal(r->r[1], 1 + 10 * 2);
}

/* The loop's first pass runs `addi r1, r1, 1`, which it then overwrites with `addi r1, r1, 2`. The
 * toy has no fence: in a machine a store to code is seen by the next block. User mode would have to be
 * told, and a toy program can't. */
static void code_that_changes_itself_is_translated_again(void **state)
{
    uint64_t two = (uint64_t)toy_imm(TOY_ADDI, 2, 2, 1) << 32 | toy_imm(TOY_ADDI, 1, 1, 2);
    uint32_t code[] = {
        LI_DATA(9),
        toy_imm(TOY_LOAD, 5, 9, 0),
        toy_imm(TOY_LI, 6, 0, 0x1000),
        toy_imm(TOY_LI, 7, 0, 16),
        toy_reg(TOY_MUL, 6, 6, 7), /* TOY_RAM */
        toy_imm(TOY_LI, 3, 0, 11),
        toy_imm(TOY_ADDI, 1, 1, 1), /* 8: */
        toy_imm(TOY_ADDI, 2, 2, 1),
        toy_imm(TOY_STORE, 5, 6, 32),
        toy_imm(TOY_BNE, 2, 3, -3),
        toy_imm(TOY_HALT, 0, 0, 0),
        [(TOY_DATA - TOY_RAM) / 4] = (uint32_t)two,
        (uint32_t)(two >> 32),
    };
    (void)state;
    RUN_IN_MACHINE(code, check_patched);
}

/* --- floats, under FP models of the toy's choice -------------------------------------------------- */

enum {
    ARM_LIKE = IR_FPM_NAN_SIGNALING | IR_FPM_TINY_BEFORE | IR_FPM_INT_NAN_ZERO,
    X86_LIKE = IR_FPM_NAN_FIRST | IR_FPM_NAN_NEGATIVE | IR_FPM_INT_INDEFINITE |
               IR_FPM_FLUSH_RESULTS | IR_FPM_FLUSH_OPERANDS,
};
#define DOUBLE(v) (uint32_t)(v), (uint32_t)((uint64_t)(v) >> 32)
#define QUIET(n)  (UINT64_C(0x7ff8) << 48 | (n))
#define SIGNAL(n) (UINT64_C(0x7ff0) << 48 | (n))
#define SMALLEST  (UINT64_C(1) << 52)
#define HALF      (UINT64_C(0x3fe0) << 48)
#define INFINITE  (UINT64_C(0x7ff0) << 48)
#define MINUS     (UINT64_C(1) << 63)

/* r1 to r6: a sum of NaNs, an invalid sum, a tiny product, an integer of a NaN, the lesser of two zeros,
 * the flags. Then the same sum of NaNs under RISC-V's model, in r7. */
#define FLOAT_PROGRAM(model)                                                                       \
    {                                                                                              \
        LI_DATA(9), toy_imm(TOY_FPM, 0, 0, TOY_FP_ON | (model)), toy_imm(TOY_LOAD, 0, 9, 0),       \
            toy_imm(TOY_LOAD, 1, 9, 8), toy_imm(TOY_LOAD, 2, 9, 16), toy_imm(TOY_LOAD, 3, 9, 24),  \
            toy_imm(TOY_LOAD, 4, 9, 32), toy_imm(TOY_LOAD, 5, 9, 40), toy_imm(TOY_LOAD, 6, 9, 48), \
            toy_reg(TOY_FADD, 12, 0, 1), toy_reg(TOY_FADD, 2, 2, 3), toy_reg(TOY_FMUL, 3, 4, 5),   \
            toy_reg(TOY_FTOI, 4, 0, 0), toy_reg(TOY_FMIN, 5, 6, 8), toy_reg(TOY_FLAGS, 6, 0, 0),   \
            toy_imm(TOY_FPM, 0, 0, TOY_FP_ON), toy_reg(TOY_FADD, 7, 0, 1),                         \
            toy_imm(TOY_ADDI, 1, 12, 0), toy_imm(TOY_HALT, 0, 0, 0),                               \
            [(TOY_DATA - TOY_RAM) / 4] = DOUBLE(QUIET(1)), DOUBLE(SIGNAL(2)), DOUBLE(INFINITE),    \
                                    DOUBLE(INFINITE | MINUS), DOUBLE(SMALLEST | MINUS),            \
                                    DOUBLE(HALF), DOUBLE(MINUS)                                    \
    }

static void check_floats(const struct toy_setup *s, const struct toy_result *r,
                         const uint64_t want[7])
{
    check_halted(s, r);
    for (unsigned i = 0; i < 7; i++)
        if (r->r[1 + i] != want[i])
            fail_msg("r%u is %#llx, not %#llx", 1 + i, (unsigned long long)r->r[1 + i],
                     (unsigned long long)want[i]);
    assert_int_equal(r->fp_flags, want[5]);
}

static void check_arm_like(const struct toy_setup *s, const struct toy_result *r)
{
    check_floats(
        s, r,
        (const uint64_t[7]){QUIET(2), QUIET(0), SMALLEST / 2 | MINUS, 0, 0, IR_FP_NV, QUIET(0)});
}

static void check_x86_like(const struct toy_setup *s, const struct toy_result *r)
{
    check_floats(s, r,
                 (const uint64_t[7]){QUIET(1), QUIET(0) | MINUS, MINUS, MINUS, 0,
                                     IR_FP_NV | IR_FP_UF | IR_FP_NX, QUIET(0)});
}

static void check_riscv_like(const struct toy_setup *s, const struct toy_result *r)
{
    check_floats(s, r,
                 (const uint64_t[7]){QUIET(0), QUIET(0), SMALLEST / 2 | MINUS, INT64_MAX, 0,
                                     IR_FP_NV, QUIET(0)});
}

static void floats_follow_the_model_of_their_block(void **state)
{
    const uint32_t arm[] = FLOAT_PROGRAM(ARM_LIKE), x86[] = FLOAT_PROGRAM(X86_LIKE),
                   riscv[] = FLOAT_PROGRAM(IR_FPM_RISCV);
    (void)state;
    RUN(arm, check_arm_like);
    RUN(x86, check_x86_like);
    RUN(riscv, check_riscv_like);
}

static void check_illegal_float(const struct toy_setup *s, const struct toy_result *r)
{
    check_fault(s, r, 1, toy_reg(TOY_FADD, 1, 1, 1), TOY_CAUSE_ILLEGAL);
}

static void floats_are_illegal_until_they_are_on(void **state)
{
    const uint32_t code[] = {toy_imm(TOY_LI, 1, 0, 7), toy_reg(TOY_FADD, 1, 1, 1)};
    (void)state;
    RUN(code, check_illegal_float);
}

/* --- the machine's own --------------------------------------------------------------------------- */

static void open_machine(struct toy_world *w, bool jit, const uint32_t *code, size_t words)
{
    const struct toy_setup s = {.jit = jit};
    toy_open(w, &s, code, words);
    w->cpu->vector = TOY_RAM + 0x2000;
    const uint32_t stop = toy_imm(TOY_HALT, 0, 0, 0);
    toy_put_code(w, 0x2000, &stop, 1);
}

static void stores_to_a_device_reach_it(void **state)
{
    const uint32_t code[] = {
        toy_imm(TOY_LI, 1, 0, 0x4000), toy_imm(TOY_LI, 2, 0, 32),   toy_reg(TOY_MUL, 1, 1, 2),
        toy_imm(TOY_STORE, 2, 1, 0),   toy_imm(TOY_STORE, 2, 1, 0), toy_imm(TOY_LOAD, 3, 1, 0),
        toy_imm(TOY_HALT, 0, 0, 0),
    };
    struct toy_world w;
    struct toy_result r;
    (void)state;
    for (unsigned jit = 0; jit <= toy_can_jit(); jit++) {
        open_machine(&w, jit, code, sizeof code / sizeof code[0]);
        toy_run(&w, MOST, &r);
        assert_int_equal(r.stop, ENGINE_WAIT);
        assert_int_equal(r.sum, 64);
        assert_int_equal(r.r[3], 64);
        toy_close(&w);
    }
}

static void an_interrupt_ends_an_empty_loop(void **state)
{
    const uint32_t code[] = {toy_imm(TOY_JAL, 5, 0, 0)};
    struct toy_world w;
    struct toy_result r;
    (void)state;
    for (unsigned jit = 0; jit <= toy_can_jit(); jit++) {
        open_machine(&w, jit, code, 1);
        toy_run(&w, 1000, &r);
        assert_int_equal(r.stop, ENGINE_BUDGET);
        assert_int_equal(r.retired, 1000);
        w.cpu->irq = 1;
        toy_run(&w, MOST, &r);
        assert_int_equal(r.stop, ENGINE_WAIT);
        assert_int_equal(r.r[13], TOY_CAUSE_IRQ);
        assert_int_equal(r.r[15], TOY_RAM);
        assert_int_equal(r.retired, 1001);
        toy_close(&w);
    }
}

/* A word that is in the map, then the same address with a bit above 47 set: the map's index is equal,
 * and the access must not be. */
static void an_address_beyond_the_map_is_not_the_page_below(void **state)
{
    const uint32_t code[] = {
        toy_imm(TOY_LOAD, 3, 9, 0), toy_imm(TOY_LOAD, 4, 9, 0), toy_reg(TOY_ADD, 9, 9, 8),
        toy_imm(TOY_LOAD, 5, 9, 0), toy_imm(TOY_HALT, 0, 0, 0),
    };
    const uint32_t stop = toy_imm(TOY_HALT, 0, 0, 0);
    struct toy_world w;
    struct toy_result r;
    (void)state;
    for (unsigned way = 0; way < (toy_can_jit() ? 4u : 2u); way++) {
        bool jit = way >> 1, no_flat = way & 1;
        for (unsigned bit = 47; bit < 64; bit++) {
            const struct toy_setup setup = {.jit = jit, .no_flat = no_flat};
            toy_open(&w, &setup, code, sizeof code / sizeof code[0]);
            w.cpu->vector = TOY_RAM + 0x2000;
            toy_put_code(&w, 0x2000, &stop, 1);
            w.cpu->r[9] = TOY_DATA;
            w.cpu->r[8] = UINT64_C(1) << bit;
            w.cpu->r[5] = 99;
            toy_run(&w, MOST, &r);
            assert_int_equal(r.stop, ENGINE_WAIT);
            assert_int_equal(r.r[5], 99);
            assert_int_equal(r.r[13], TOY_CAUSE_ACCESS);
            assert_true(r.r[14] == TOY_DATA + (UINT64_C(1) << bit));
            toy_close(&w);
        }
    }
}

static void a_dump_shows_toy_instructions(void **state)
{
    const uint32_t code[] = {toy_reg(TOY_MUL, 1, 2, 3), toy_imm(TOY_HALT, 0, 0, 0)};
    char *text = NULL;
    size_t size = 0;
    struct toy_setup s = {.user = true, .dump = open_memstream(&text, &size)};
    struct toy_world w;
    struct toy_result r;
    (void)state;
    toy_open(&w, &s, code, 2);
    toy_run(&w, MOST, &r);
    toy_close(&w);
    fclose(s.dump);
    assert_non_null(strstr(text, "  10000:  mul r1, r2, r3\n  10004:  halt\n"));
    assert_non_null(strstr(text, "call"));
    free(text);
}

/* What the loop's passes take, beside what comes before and behind it. */
static uint64_t executed(unsigned passes)
{
    const uint32_t code[] = {
        toy_imm(TOY_LI, 1, 0, 0),   toy_imm(TOY_LI, 2, 0, 0),  toy_imm(TOY_LI, 3, 0, passes),
        toy_imm(TOY_ADDI, 2, 2, 1), toy_reg(TOY_ADD, 1, 1, 2), toy_imm(TOY_BNE, 2, 3, -2),
        toy_imm(TOY_HALT, 0, 0, 0),
    };
    const struct toy_setup s = {.user = true, .jit = true, .count_host = true};
    struct toy_world w;
    struct toy_result r;
    toy_open(&w, &s, code, sizeof code / sizeof code[0]);
    toy_run(&w, MOST, &r);
    assert_int_equal(r.stop, ENGINE_SYSCALL);
    const uint64_t n = engine_stats(w.engine)->host_insns_run;
    toy_close(&w);
    return n;
}

/* Each pass: the budget is taken down and looked at, two additions, a comparison, a branch that is taken. */
static void host_instructions_that_are_executed_are_counted(void **state)
{
    enum { EACH = 6 };
    (void)state;
    if (!toy_can_jit())
        skip();
    const uint64_t few = executed(1000);
    assert_int_equal(executed(2000) - few, 1000 * EACH); /* both within a quantum */
    assert_in_range(few, 1000 * EACH, 1000 * EACH + 100);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_loop_sums_its_counter),
        cmocka_unit_test(memory_is_copied_across_a_page_border),
        cmocka_unit_test(indirect_jumps_return),
        cmocka_unit_test(helpers_see_and_change_registers),
        cmocka_unit_test(traps_are_served_and_returned_from),
        cmocka_unit_test(a_load_from_nowhere_faults_exactly),
        cmocka_unit_test(the_top_byte_of_an_address_counts),
        cmocka_unit_test(a_store_over_the_end_of_memory_changes_nothing),
        cmocka_unit_test(an_unknown_instruction_is_illegal),
        cmocka_unit_test(a_jump_to_nowhere_faults_at_its_target),
        cmocka_unit_test(code_that_changes_itself_is_translated_again),
        cmocka_unit_test(floats_follow_the_model_of_their_block),
        cmocka_unit_test(floats_are_illegal_until_they_are_on),
        cmocka_unit_test(stores_to_a_device_reach_it),
        cmocka_unit_test(an_interrupt_ends_an_empty_loop),
        cmocka_unit_test(an_address_beyond_the_map_is_not_the_page_below),
        cmocka_unit_test(a_dump_shows_toy_instructions),
        cmocka_unit_test(host_instructions_that_are_executed_are_counted),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
