/*
 * The policy of backend-common on made-up hosts: what they emit is done at once, on an array of registers.
 * Random blocks must come to what the plain runner of tests/translator/ir does. One host is as AArch64 is
 * (many registers, no memory operands, short constants), one as x86-64, one hardly has any registers.
 * Registers that hold nothing are filled with rubbish after each instruction.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "backend-common/place.h"
#include "tests/translator/ir/random_ir.h"
#include "translator/ir/pass.h"

enum { BLOCKS = 4000 };
#define RUBBISH UINT64_C(0xbadbadbadbadbad0)

enum { INTS = 11, FLOATS = 12 }; /* hot registers of the guest */

/* Pinned registers stand in a row, each class from its first one on. */
struct shape {
    reg_set scratch;
    int pinned_int, pinned_float;
    unsigned pinned_ints, pinned_floats;
    int result; /* of helpers: a scratch register */
    bool memory_operands;
    bool default_nans; /* made by the host */
    int64_t constant_max;
};

/* Registers first to last; of vector registers too, by their own numbers. */
#define SET(first, last)  (((UINT64_C(2) << ((last) - (first))) - 1) << (first))
#define VSET(first, last) (SET(first, last) << REG_VECTOR)

struct sim {
    const struct shape *shape;
    uint64_t reg[REG_COUNT];
    struct toy_cpu *cpu;
    struct place p;
    struct pins pins;
    struct place_target target;
    bool full, left;
    struct toy_exit exit;
};

/* --- the target ---------------------------------------------------------------------------------- */

static uint8_t *state_at(struct sim *s, uint32_t offset)
{
    return (uint8_t *)s->cpu + offset;
}

static void move(void *code, int to, int from)
{
    struct sim *s = code;
    assert_int_not_equal(to, from);
    assert_int_equal(reg_class_of(to), reg_class_of(from));
    s->reg[to] = s->reg[from];
}

static void load(void *code, int to, uint32_t offset, unsigned size)
{
    struct sim *s = code;
    assert_true(size == 3 || size == 2 || to < REG_VECTOR);
    s->reg[to] = 0;
    memcpy(&s->reg[to], state_at(s, offset), 1u << size);
}

static void store(void *code, int from, uint32_t offset, unsigned size)
{
    struct sim *s = code;
    memcpy(state_at(s, offset), &s->reg[from], 1u << size);
}

static void constant(void *code, int to, uint64_t value, bool keep_flags)
{
    struct sim *s = code;
    assert_true(to < REG_VECTOR);
    s->reg[to] = value;
}

/* By a register that reads as zero. */
static bool store_constant(void *code, uint32_t offset, unsigned size, uint64_t value)
{
    if (!value)
        memset(state_at(code, offset), 0, 1u << size);
    return !value;
}

static bool is_nan(uint64_t v, bool single)
{
    return single ? (v & 0x7fffffff) > 0x7f800000 : (v & INT64_MAX) > UINT64_C(0x7ff0000000000000);
}

static void test_nans(void *code, const struct nans_test *t)
{
    struct sim *s = code;
    bool any = false;
    for (unsigned k = 0; k < t->pairs; k++)
        any |= is_nan(s->reg[t->pair[k].a], t->single) || is_nan(s->reg[t->pair[k].b], t->single);
    for (reg_set m = any ? t->pending : 0; m; m &= m - 1) {
        int r = reg_first(m);
        bool single = t->singles & reg_bit(r);
        if (is_nan(s->reg[r], single))
            s->reg[r] = single ? 0x7fc00000 : UINT64_C(0x7ff8000000000000);
    }
}

/* --- leaving, calling ---------------------------------------------------------------------------- */

static void move_pinned(struct sim *s, bool save)
{
    for (int r = 0; r < REG_COUNT; r++)
        if (s->pins.offset[r] != PINS_NONE)
            (save ? store : load)(s, r, s->pins.offset[r], 3);
}

static void leave(struct sim *s, enum gw_exit_kind kind, uint64_t pc, uint32_t given_back)
{
    s->left = true;
    s->cpu->run.pc = pc;
    s->cpu->run.budget += given_back;
    s->exit = (struct toy_exit){kind, pc, s->cpu->run.budget};
}

static uint32_t not_retired(const struct sim *s, const struct ir_insn *in)
{
    return s->p.b->guest_count - in->guest;
}

static uint64_t operand(struct sim *s, ir_val v)
{
    struct place_operand o;
    if (v == IR_NONE)
        return 0;
    if (place_is_float(&s->p, v))
        return s->reg[place_use(&s->p, v)];
    o = place_operand(&s->p, v);
    switch (o.kind) {
    case OPERAND_CONST:
        assert_true(o.imm >= s->target.constant_min && o.imm <= s->target.constant_max);
        return (uint64_t)(int64_t)o.imm;
    case OPERAND_STATE: {
        uint64_t value;
        assert_true(s->target.memory_operands);
        memcpy(&value, state_at(s, o.offset), 8);
        return value;
    }
    default: return s->reg[o.reg];
    }
}

static void done(struct sim *s, ir_val v)
{
    if (v != IR_NONE)
        place_done(&s->p, v);
}

static void lower_call(struct sim *s, const struct ir_insn *in)
{
    const struct gw_helper *h = &toy_helpers[in->imm];
    uint64_t a = operand(s, in->a), b = operand(s, in->b), c = operand(s, in->c);
    done(s, in->a);
    done(s, in->b);
    done(s, in->c);
    place_unlock(&s->p);
    place_spill_scratch(&s->p);
    if (h->flags & GW_HELPER_WRITES)
        place_rescue_all(&s->p);
    move_pinned(s, true);
    for (int r = 0; r < REG_COUNT; r++)
        s->reg[r] = RUBBISH;
    s->cpu->run.pc = s->p.b->pc + s->p.b->guest[in->guest].pc_offset;
    uint64_t result = h->fn(s->cpu, a, b, c);
    move_pinned(s, false);
    s->reg[s->shape->result] = result;
    if (s->cpu->run.leave)
        leave(s, GW_EXIT_HELPER, s->cpu->run.pc, not_retired(s, in));
    else if (in->uses)
        place_def_in(&s->p, s->shape->result);
}

/* --- memory -------------------------------------------------------------------------------------- */

static void lower_memory(struct sim *s, const struct ir_insn *in)
{
    struct gw_vcpu *run = &s->cpu->run;
    uint32_t desc = (uint32_t)in->type << 8 | in->aux;
    bool cas = in->op == IR_CAS, atomic = cas || in->op == IR_AMO;
    uint64_t b;
    run->slow_addr = operand(s, in->a) + (atomic ? 0 : (uint64_t)in->imm);
    b = operand(s, in->b);
    run->operand[0].lo = b;
    run->slow_value = cas ? operand(s, in->c) : b;
    done(s, in->a);
    done(s, in->b);
    done(s, in->c);
    int d = -1;
    if (ir_op_info[in->op].result != 'V')
        d = place_def(&s->p, in->type >= IR_F32 ? REG_VEC : REG_INT, 0);
    uint32_t stopped = in->op == IR_LD   ? toy_slow_load(s->cpu, desc)
                       : in->op == IR_ST ? toy_slow_store(s->cpu, desc)
                       : in->op == IR_ZERO
                           ? toy_slow_zero(s->cpu, 0)
                           : toy_slow_amo(s->cpu, desc | (cas ? 9u : (uint32_t)in->imm) << 16);
    if (stopped)
        leave(s, GW_EXIT_HELPER, TOY_FAULT_PC, not_retired(s, in));
    else if (d >= 0)
        s->reg[d] = run->slow_value;
}

/* --- the rest ------------------------------------------------------------------------------------ */

/* Does the host do it, but for its NaNs? */
static bool is_arith(const struct sim *s, const struct ir_insn *in)
{
    return !s->shape->default_nans && in->op >= IR_FADD && in->op <= IR_FSQRT &&
           in->fp_model == IR_FPM_RISCV;
}

/* A NaN keeps its payload for the time being, as the host has it. */
static void lower_arith(struct sim *s, const struct ir_insn *in)
{
    struct ir_insn host = *in;
    int a = place_use(&s->p, in->a), b = in->b == IR_NONE ? a : place_use(&s->p, in->b);
    uint64_t x = s->reg[a], y = s->reg[b];
    done(s, in->a);
    done(s, in->b);
    host.fp_model = IR_FPM_NAN_FIRST;
    s->p.nans.consumed = reg_bit(a) | reg_bit(b);
    int d = place_def(&s->p, REG_VEC, 0);
    s->reg[d] = ir_eval(&host, x, y, 0, 0, &s->cpu->run.fp_flags);
    nans_result(&s->p.nans, d, in->type == IR_F32);
    s->p.nans.consumed = 0;
}

static void lower_any(struct sim *s, const struct ir_insn *in)
{
    const ir_val v[4] = {in->a, in->b, in->c, in->d};
    uint64_t x[4];
    char result = ir_op_info[in->op].result;
    int temp = REG_NONE; /* that is in use until behind the result */
    for (unsigned k = 0; k < 4; k++)
        x[k] = operand(s, v[k]);
    if (in->op == IR_SUB || in->op == IR_AND)
        temp = place_temp(&s->p, REG_INT);
    for (unsigned k = 0; k < 4; k++)
        done(s, v[k]);
    if (in->op == IR_FPGET)
        x[0] = s->cpu->run.fp_flags;
    else if (in->op == IR_FPSET)
        s->cpu->run.fp_flags = (uint32_t)x[0] & 31;
    else
        x[0] = ir_eval(in, x[0], x[1], x[2], x[3], &s->cpu->run.fp_flags);
    if (result != 'V') {
        int d = place_def(&s->p, result == 'F' ? REG_VEC : REG_INT, 0);
        assert_int_not_equal(d, temp);
        s->reg[d] = x[0];
        if (temp >= 0)
            s->reg[temp] = RUBBISH;
    }
}

static void lower_branch(struct sim *s, const struct ir_insn *in)
{
    uint64_t a = operand(s, in->a), b = operand(s, in->b);
    done(s, in->a);
    done(s, in->b);
    if (in->op == IR_JMP)
        leave(s, GW_EXIT_LINK, (uint64_t)in->imm, 0);
    else if (in->op != IR_BRCC)
        leave(s, in->op == IR_JMPR ? GW_EXIT_INDIRECT : GW_EXIT_LEAVE, a, 0);
    else if (ir_cond_holds((enum ir_cond)in->aux, (enum ir_type)in->type, a, b))
        leave(s, GW_EXIT_LINK, (uint64_t)in->imm, not_retired(s, in) - 1);
}

static void lower(struct sim *s, const struct ir_insn *in)
{
    if (!is_arith(s, in) && ir_op_info[in->op].flags)
        nans_flush(&s->p.nans);
    if (in->op > IR_SELECT && !is_arith(s, in))
        nans_flush(&s->p.nans);
    switch (in->op) {
    case IR_NOP:
    case IR_FENCE: break;
    case IR_CONST: place_def_const(&s->p); break;
    case IR_GET: place_get(&s->p, in); break;
    case IR_PUT: place_put(&s->p, in); break;
    case IR_CALL: lower_call(s, in); break;
    case IR_LD:
    case IR_ST:
    case IR_AMO:
    case IR_CAS:
    case IR_ZERO: lower_memory(s, in); break;
    case IR_BRCC:
    case IR_JMP:
    case IR_JMPR:
    case IR_LEAVE: lower_branch(s, in); break;
    default:
        if (is_arith(s, in))
            lower_arith(s, in);
        else
            lower_any(s, in);
        break;
    }
}

/* --- running ------------------------------------------------------------------------------------- */

static void begin(struct sim *s, const struct shape *shape, const struct ir_block *b,
                  struct toy_cpu *cpu)
{
    static const uint16_t hot_gprs[INTS] = {8 * 8, 5 * 8,  1 * 8,  2 * 8,  3 * 8, 6 * 8,
                                            9 * 8, 10 * 8, 11 * 8, 12 * 8, 13 * 8};
    uint16_t hot_fprs[FLOATS];
    uint8_t ints[INTS], floats[FLOATS];
    for (unsigned i = 0; i < INTS; i++)
        ints[i] = (uint8_t)(shape->pinned_int + (int)i);
    for (unsigned i = 0; i < FLOATS; i++) {
        hot_fprs[i] = (uint16_t)toy_f(i);
        floats[i] = (uint8_t)(REG_VECTOR + shape->pinned_float + (int)i);
    }
    const struct guest_isa isa = {
        .hot_gprs = hot_gprs, .hot_gpr_count = INTS, .hot_fprs = hot_fprs, .hot_fpr_count = FLOATS};
    s->shape = shape;
    pins_begin(&s->pins, &isa, ints, shape->pinned_ints, floats, shape->pinned_floats);
    s->cpu = cpu;
    s->full = s->left = false;
    s->target = (struct place_target){.move = move,
                                      .load = load,
                                      .store = store,
                                      .constant = constant,
                                      .store_constant = store_constant,
                                      .constant_max = shape->constant_max,
                                      .memory_operands = shape->memory_operands};
    place_begin(&s->p,
                &(struct place_setup){.target = &s->target,
                                      .nans_test = shape->default_nans ? NULL : test_nans,
                                      .code = s,
                                      .block = b,
                                      .pins = &s->pins,
                                      .scratch = shape->scratch,
                                      .spill_at = GW_VCPU_OFFSET + offsetof(struct gw_vcpu, host),
                                      .floats = true,
                                      .full = &s->full});
}

/* False: more live values than places. */
static bool run_sim(struct sim *s)
{
    const struct ir_block *b = s->p.b;
    s->cpu->run.budget -= b->guest_count;
    for (int r = 0; r < REG_COUNT; r++)
        s->reg[r] = RUBBISH;
    move_pinned(s, false);
    for (s->p.i = 0; s->p.i < b->count && !s->left && !s->full; s->p.i++) {
        const struct ir_insn *in = &b->insn[s->p.i];
        lower(s, in);
        place_unlock(&s->p);
        if (!in->uses && ir_op_info[in->op].result != 'V' && in->op != IR_CALL &&
            in->op != IR_CONST && in->op != IR_GET && !s->left)
            place_drop(&s->p);
        /* a result that nobody used may still speak for others */
        for (reg_set m = s->p.free & ~s->p.nans.check; m; m &= m - 1)
            s->reg[reg_first(m)] = RUBBISH;
    }
    move_pinned(s, true);
    return !s->full;
}

static void same(const struct sim *s, const struct toy_cpu *want, const struct toy_exit *exit,
                 uint64_t seed)
{
    const struct toy_cpu *got = s->cpu;
    bool ok =
        exit->kind == s->exit.kind && exit->pc == s->exit.pc && exit->budget == s->exit.budget &&
        !memcmp(got->x, want->x, sizeof got->x) && !memcmp(got->f, want->f, sizeof got->f) &&
        !memcmp(got->word, want->word, sizeof got->word) &&
        !memcmp(got->byte, want->byte, sizeof got->byte) && got->run.fp_flags == want->run.fp_flags;
    if (!ok)
        fail_msg("seed %lu differs", (unsigned long)seed);
}

static void fill(uint8_t *memory, uint64_t seed)
{
    for (unsigned i = 0; i < TOY_WINDOW; i += 8) {
        uint64_t v = random_u64(&seed);
        memcpy(memory + i, &v, 8);
    }
}

/* Returns how many blocks were refused: translated again shorter, by a backend. */
static unsigned blocks_on(const struct shape *shape)
{
    static struct sim s;
    static struct ir_block b;
    static struct toy_cpu plain, cpu;
    static uint8_t memory[2][TOY_WINDOW];
    unsigned refused = 0;
    b.helpers = toy_helpers;
    for (uint64_t seed = 1; seed <= BLOCKS; seed++) {
        struct random_ir want = {.seed = seed * 5,
                                 .guest_insns = 1 + seed % 30,
                                 .floats = seed & 1,
                                 .fp_model = random_fp_model(seed / 2),
                                 .memory = seed & 2,
                                 .branches = seed & 4,
                                 .calls = seed & 8,
                                 .split_floats = true,
                                 .faults = seed & 16};
        b.no_fold = seed & 32;
        random_ir_block(&b, &want);
        ir_liveness(&b);
        random_ir_state(&plain, seed);
        random_ir_state(&cpu, seed);
        fill(memory[0], seed);
        fill(memory[1], seed);
        cpu.run.engine = memory[1];
        struct toy_exit exit = toy_run(&plain, memory[0], &b);
        begin(&s, shape, &b, &cpu);
        if (!run_sim(&s)) {
            refused++;
            continue;
        }
        same(&s, &plain, &exit, seed);
        assert_memory_equal(memory[0], memory[1], TOY_WINDOW);
    }
    return refused;
}

/* x31 and what a backend would keep are left alone; the last of both classes are in use. */
static void many_registers_and_no_memory_operands(void **state)
{
    static const struct shape aarch64 = {.scratch = SET(9, 15) | SET(30, 30) | VSET(20, 31),
                                         .pinned_int = 19,
                                         .pinned_ints = INTS,
                                         .pinned_float = 4,
                                         .pinned_floats = FLOATS,
                                         .result = 9,
                                         .default_nans = true,
                                         .constant_max = 4095};
    assert_true(aarch64.scratch >> 63);
    assert_int_equal(blocks_on(&aarch64), 0);
}

/* The last registers of both classes are all that there is. */
static void no_memory_operands_and_hardly_any_of_many(void **state)
{
    static const struct shape last = {.scratch = SET(27, 30) | VSET(29, 31),
                                      .pinned_int = 0,
                                      .pinned_ints = INTS,
                                      .pinned_floats = FLOATS,
                                      .result = 30};
    assert_true(blocks_on(&last) <= BLOCKS / 5);
}

static void few_registers_and_memory_operands(void **state)
{
    static const struct shape x86_64 = {.scratch = SET(0, 3) | VSET(0, 3),
                                        .pinned_int = 4,
                                        .pinned_ints = 8,
                                        .pinned_float = 4,
                                        .pinned_floats = FLOATS,
                                        .memory_operands = true,
                                        .constant_max = INT32_MAX};
    assert_true(blocks_on(&x86_64) <= BLOCKS / 10);
}

static void hardly_any_registers(void **state)
{
    static const struct shape tiny = {.scratch = SET(0, 3) | VSET(0, 2)};
    assert_true(blocks_on(&tiny) <= BLOCKS / 5);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(many_registers_and_no_memory_operands),
        cmocka_unit_test(no_memory_operands_and_hardly_any_of_many),
        cmocka_unit_test(few_registers_and_memory_operands),
        cmocka_unit_test(hardly_any_registers),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
