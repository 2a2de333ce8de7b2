/*
 * What the builder folds, forwards and forgets, and what dead-code removal takes away: by the text
 * of the result.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "translator/ir/pass.h"
#include "tests/translator/ir/toy.h"

struct fixture {
    struct ir_block b;
    char text[1 << 16];
};

static int setup(void **state)
{
    struct fixture *f = calloc(1, sizeof *f);
    *state = f;
    if (!f)
        return -1;
    f->b.helpers = toy_helpers;
    ir_begin(&f->b, 0x1000, 0);
    ir_begin_guest(&f->b, 0x1000, 4);
    return 0;
}

static int teardown(void **state)
{
    free(*state);
    return 0;
}

/* Ends the block, removes dead code, and compares what is left with lines `want`. Lines are without
 * indentation, guest headers and NOPs. */
static void left(struct fixture *f, const char *want)
{
    static char got[1 << 16];
    struct gw_error err;
    size_t n = 0;

    ir_jmp(&f->b, 0x2000);
    ir_liveness(&f->b);
    if (ir_verify(&f->b, &err) != GW_OK)
        fail_msg("%s: %s", err.object, err.message);
    ir_print(&f->b, f->text, sizeof f->text);
    for (char *line = strtok(f->text, "\n"); line; line = strtok(NULL, "\n")) {
        if (line[0] == ' ' && strcmp(line, "  nop") != 0 && strcmp(line, "  jmp 0x2000") != 0)
            n += (size_t)sprintf(got + n, "%s\n", line + 2);
    }
    got[n] = 0;
    assert_string_equal(got, want);
}

static ir_val x(struct fixture *f, unsigned i)
{
    return ir_get(&f->b, toy_x(i), 3);
}

static void set(struct fixture *f, unsigned i, ir_val v)
{
    ir_put(&f->b, toy_x(i), 3, v);
}

static ir_val k(struct fixture *f, int64_t value)
{
    return ir_const(&f->b, (uint64_t)value);
}

static ir_val op(struct fixture *f, enum ir_op o, ir_val a, ir_val c)
{
    return ir_op2(&f->b, o, IR_I64, a, c);
}

/* With a constant, made after the operand whatever order the compiler evaluates arguments in. */
static ir_val opk(struct fixture *f, enum ir_op o, ir_val a, int64_t c)
{
    return op(f, o, a, k(f, c));
}

/* --- folding ---------------------------------------------------------------------------------- */

static void identities_return_the_operand(void **state)
{
    struct fixture *f = *state;
    ir_val a = x(f, 1), zero = k(f, 0), ones = k(f, -1);
    const ir_val same[] = {
        op(f, IR_ADD, a, zero), op(f, IR_ADD, zero, a),    op(f, IR_SUB, a, zero),
        op(f, IR_XOR, a, zero), op(f, IR_OR, zero, a),     op(f, IR_AND, a, ones),
        op(f, IR_AND, ones, a), op(f, IR_SHL, a, zero),    op(f, IR_SHR, a, k(f, 64)),
        op(f, IR_SAR, a, zero), op(f, IR_MUL, a, k(f, 1)), op(f, IR_ANDN, a, zero),
        op(f, IR_AND, a, a),    op(f, IR_OR, a, a),        op(f, IR_ROTR, a, zero)};
    for (unsigned i = 0; i < sizeof same / sizeof same[0]; i++)
        assert_int_equal(same[i], a);
    assert_int_equal(op(f, IR_SUB, a, a), zero);
    assert_int_equal(op(f, IR_XOR, a, a), zero);
    assert_int_equal(op(f, IR_MUL, a, zero), zero);
    assert_int_equal(op(f, IR_OR, a, ones), ones);
    left(f, "");
}

/* Another hart may see what the host makes of such an operation; of constants nothing follows. */
static void what_follows_from_a_value_follows_from_it_still(void **state)
{
    struct fixture *f = *state;
    f->b.keeps_dependencies = 1;
    ir_val a = x(f, 1), zero = k(f, 0), ones = k(f, -1);
    const ir_val made[] = {op(f, IR_SUB, a, a),    op(f, IR_XOR, a, a),    op(f, IR_ANDN, a, a),
                           op(f, IR_AND, a, zero), op(f, IR_AND, zero, a), op(f, IR_ANDN, a, ones),
                           op(f, IR_MUL, a, zero), op(f, IR_OR, a, ones)};
    for (unsigned i = 0; i < sizeof made / sizeof made[0]; i++) {
        const struct ir_insn *in = &f->b.insn[made[i]];
        assert_true(in->op != IR_CONST && in->a == a);
    }
    assert_int_equal(f->b.insn[ir_setcc(&f->b, IR_I64, IR_EQ, a, a)].op, IR_SETCC);
    assert_int_equal(f->b.insn[ir_select(&f->b, IR_I64, IR_NE, a, a, zero, ones)].op, IR_SELECT);
    ir_brcc(&f->b, IR_I64, IR_EQ, a, a, 0x3000);
    assert_int_equal(f->b.insn[f->b.count - 1].op, IR_BRCC);
    assert_int_equal(op(f, IR_XOR, ones, ones), zero);
    assert_int_equal(op(f, IR_AND, ones, zero), zero);
    assert_int_equal(ir_setcc(&f->b, IR_I64, IR_EQ, zero, zero), k(f, 1));
    left(f, "%0 = get i64 [8:8]\nbrcc i64 eq %0, %0, 0x3000\n");
}

static void constants_fold_and_are_shared(void **state)
{
    struct fixture *f = *state;
    ir_val seven = op(f, IR_ADD, k(f, 3), k(f, 4));
    assert_int_equal(seven, k(f, 7));
    assert_int_equal(ir_op1(&f->b, IR_SEXT8, IR_I64, k(f, 0x80)), k(f, -128));
    assert_int_equal(ir_setcc(&f->b, IR_I64, IR_LT, k(f, -1), k(f, 1)), k(f, 1));
    assert_int_equal(ir_setcc(&f->b, IR_I64, IR_LTU, k(f, -1), k(f, 1)), k(f, 0));
    ir_val a = x(f, 1), c = x(f, 2);
    assert_int_equal(ir_select(&f->b, IR_I64, IR_EQ, k(f, 1), k(f, 1), a, c), a);
    assert_int_equal(ir_select(&f->b, IR_I64, IR_NE, a, a, a, c), c);
    set(f, 3, seven);
    left(f, "%2 = const 0x7\nput i64 [24:8] %2\n");
}

static void chains_of_additions_collapse(void **state)
{
    struct fixture *f = *state;
    ir_val v = x(f, 1);
    for (int i = 0; i < 4; i++)
        v = op(f, IR_ADD, v, k(f, 100));
    v = op(f, IR_SUB, v, k(f, 300));
    set(f, 2, v);
    left(f, "%0 = get i64 [8:8]\n%1 = const 0x64\n%9 = add i64 %0, %1\nput i64 [16:8] %9\n");
}

static void extensions_of_extended_values_vanish(void **state)
{
    struct fixture *f = *state;
    struct ir_block *b = &f->b;
    ir_val w = ir_op2(b, IR_ADD, IR_W32, x(f, 1), x(f, 2));
    ir_val s = ir_op1(b, IR_SEXT32, IR_I64, w);
    ir_val byte = ir_load(b, IR_I64, 0, false, x(f, 3), 0, 0);
    ir_val half = ir_load(b, IR_I64, 1, true, x(f, 3), 0, 0);
    assert_int_equal(ir_op1(b, IR_ZEXT32, IR_I64, w), w);
    assert_int_equal(ir_op1(b, IR_SEXT32, IR_I64, s), s);
    assert_int_equal(ir_op1(b, IR_ZEXT8, IR_I64, byte), byte);
    assert_int_equal(ir_op1(b, IR_SEXT16, IR_I64, byte), byte);
    assert_int_equal(ir_op1(b, IR_SEXT32, IR_I64, half), half);
    assert_int_equal(ir_op1(b, IR_SEXT16, IR_I64, half), half);
    assert_int_not_equal(ir_op1(b, IR_SEXT8, IR_I64, byte), byte);
    assert_int_not_equal(ir_op1(b, IR_ZEXT32, IR_I64, half), half);
    assert_int_not_equal(ir_op1(b, IR_SEXT32, IR_I64, w), w);
    ir_val bit = ir_setcc(b, IR_I64, IR_LT, w, s);
    assert_int_equal(op(f, IR_AND, bit, k(f, 1)), bit);
    assert_int_equal(op(f, IR_AND, bit, k(f, 255)), bit);
}

static void shift_pairs_become_extensions(void **state)
{
    struct fixture *f = *state;
    ir_val up = opk(f, IR_SHL, x(f, 1), 32);
    set(f, 1, up);
    set(f, 1, opk(f, IR_SHR, up, 32));
    set(f, 2, opk(f, IR_SAR, opk(f, IR_SHL, x(f, 2), 48), 48));
    left(f, "%0 = get i64 [8:8]\n%4 = zext32 i64 %0\nput i64 [8:8] %4\n"
            "%6 = get i64 [16:8]\n%9 = sext16 i64 %6\nput i64 [16:8] %9\n");
}

/* Of 32 bits, what is put together is a rotate and its sign, whichever half comes first. */
static void shifts_that_are_joined_rotate(void **state)
{
    struct fixture *f = *state;
    struct ir_block *b = &f->b;
    ir_val a = x(f, 1), six = k(f, 6), rest = k(f, 26);
    ir_val down = ir_op2(b, IR_SHR, IR_W32, a, six);
    ir_val up = ir_op1(b, IR_SEXT32, IR_I64, ir_op2(b, IR_SHL, IR_W32, a, rest));
    set(f, 2, up);
    set(f, 2, op(f, IR_OR, down, up));
    ir_val high = opk(f, IR_SHL, a, 60), low = opk(f, IR_SHR, a, 4);
    set(f, 3, op(f, IR_XOR, high, low));
    left(f, "%0 = get i64 [8:8]\n%1 = const 0x6\n%7 = rotr w32 %0, %1\n%8 = sext32 i64 %7\n"
            "put i64 [16:8] %8\n%12 = const 0x4\n%14 = rotr i64 %0, %12\nput i64 [24:8] %14\n");
}

static void other_shifts_stay_apart(void **state)
{
    struct fixture *f = *state;
    struct ir_block *b = &f->b;
    ir_val a = x(f, 1), c = x(f, 2), up = opk(f, IR_SHL, a, 60), down = opk(f, IR_SHR, a, 4);
    ir_val other = opk(f, IR_SHR, c, 4), less = opk(f, IR_SHR, a, 3), by_c = op(f, IR_SHR, a, c);
    ir_val sign = opk(f, IR_SAR, a, 4);
    ir_val k4 = k(f, 4), k28 = k(f, 28), down32 = ir_op2(b, IR_SHR, IR_W32, a, k4);
    ir_val up32 = ir_op2(b, IR_SHL, IR_W32, a, k28);
    ir_val whole = op(f, IR_OR, ir_op1(b, IR_SEXT32, IR_I64, up32), down);
    const ir_val not [] = {
        op(f, IR_OR, up, other),   op(f, IR_OR, up, less),   op(f, IR_OR, up, by_c),
        op(f, IR_OR, up, sign),    op(f, IR_OR, up, up32),   op(f, IR_AND, up, down),
        op(f, IR_SUB, up, down),   op(f, IR_OR, up, down32), whole,
        op(f, IR_OR, up32, down32)};
    for (unsigned i = 0; i < sizeof not / sizeof not [0]; i++)
        assert_true(b->insn[not [i]].op != IR_ROTR && b->insn[not [i]].op != IR_SEXT32);
}

static void addresses_take_constants(void **state)
{
    struct fixture *f = *state;
    ir_val a = opk(f, IR_ADD, x(f, 1), 40);
    ir_store(&f->b, IR_I64, 0, a, -8, ir_op1(&f->b, IR_ZEXT8, IR_I64, x(f, 2)), 0);
    left(f, "%0 = get i64 [8:8]\n%3 = get i64 [16:8]\nst i64 u1 [%0 + 32], %3\n");
}

/* What a register holds already is the better base: the older value would have to live on. */
static void addresses_keep_a_base_that_state_holds(void **state)
{
    struct fixture *f = *state;
    ir_val sp = opk(f, IR_ADD, x(f, 2), -64);
    set(f, 2, sp);
    ir_begin_guest(&f->b, 0x1004, 4);
    ir_val base = x(f, 2), v = x(f, 1);
    ir_store(&f->b, IR_I64, 3, base, 56, v, 0);
    left(f, "%0 = get i64 [16:8]\n%1 = const 0xffffffffffffffc0\n%2 = add i64 %0, %1\n"
            "put i64 [16:8] %2\n%4 = get i64 [8:8]\nst i64 u8 [%2 + 56], %4\n");
}

static void displacements_stay_within_32_bits(void **state)
{
    struct fixture *f = *state;
    ir_val a = opk(f, IR_ADD, x(f, 1), INT32_MAX);
    ir_val v = ir_load(&f->b, IR_I64, 3, false, a, 1, 0);
    assert_int_equal(f->b.insn[v].a, a);
    v = ir_load(&f->b, IR_I64, 3, false, a, 0, 0);
    assert_int_not_equal(f->b.insn[v].a, a);
    assert_int_equal(f->b.insn[v].imm, INT32_MAX);
}

static void never_taken_branches_disappear(void **state)
{
    struct fixture *f = *state;
    ir_brcc(&f->b, IR_I64, IR_NE, x(f, 1), x(f, 1), 0x3000);
    ir_brcc(&f->b, IR_I64, IR_LTU, k(f, 5), k(f, 5), 0x3000);
    left(f, "");
}

static void always_taken_branches_end_the_block(void **state)
{
    struct fixture *f = *state;
    ir_brcc(&f->b, IR_W32, IR_EQ, k(f, INT64_C(1) << 32), k(f, 0), 0x3000);
    assert_false(ir_begin_guest(&f->b, 0x1004, 4));
    set(f, 1, x(f, 2));
    assert_false(f->b.overflow);
    left(f, "jmp 0x3000\n");
}

static void boxes_open_and_bits_return(void **state)
{
    struct fixture *f = *state;
    struct ir_block *b = &f->b;
    ir_val s = ir_getf(b, toy_f(1), IR_F32), i = x(f, 1);
    ir_val box = ir_op1(b, IR_BOX, IR_F64, s);
    assert_int_equal(ir_op1(b, IR_UNBOX, IR_F32, box), s);
    ir_putf(b, toy_f(2), IR_F64, box);
    assert_int_equal(ir_op1(b, IR_UNBOX, IR_F32, ir_getf(b, toy_f(2), IR_F64)), s);
    assert_int_equal(ir_op1(b, IR_FBITS, IR_F64, ir_op1(b, IR_BITSF, IR_F64, i)), i);
    assert_int_equal(ir_op1(b, IR_BITSF, IR_F32, ir_op1(b, IR_FBITS, IR_F32, s)), s);
    assert_int_equal(ir_fsgnj(b, IR_F32, 0, s, s), s);
    /* the other width is no inverse */
    assert_int_not_equal(ir_op1(b, IR_FBITS, IR_F32, ir_op1(b, IR_BITSF, IR_F32, i)), i);
}

static void nothing_folds_when_told_so(void **state)
{
    struct fixture *f = *state;
    f->b.no_fold = 1;
    ir_val a = x(f, 1), zero = k(f, 0);
    assert_int_not_equal(op(f, IR_ADD, a, zero), a);
    assert_int_not_equal(k(f, 0), zero);
    assert_int_not_equal(x(f, 1), a);
    ir_brcc(&f->b, IR_I64, IR_EQ, zero, zero, 0x3000);
    assert_true(ir_begin_guest(&f->b, 0x1004, 4));
}

/* --- state ------------------------------------------------------------------------------------ */

static void gets_see_gets_and_puts(void **state)
{
    struct fixture *f = *state;
    ir_val a = x(f, 1);
    assert_int_equal(x(f, 1), a);
    set(f, 2, a);
    assert_int_equal(x(f, 2), a);
    set(f, 1, k(f, 5));
    assert_int_equal(x(f, 1), k(f, 5));
    assert_int_equal(x(f, 2), a);
}

static void overlapping_widths_do_not_forward(void **state)
{
    struct fixture *f = *state;
    struct ir_block *b = &f->b;
    const uint32_t at = offsetof(struct toy_cpu, byte);
    ir_val whole = ir_get(b, at, 3);
    ir_put(b, at + 4, 1, x(f, 1));
    assert_int_not_equal(ir_get(b, at, 3), whole);
    ir_put(b, at, 3, x(f, 2));
    ir_val low = ir_get(b, at, 0);
    assert_int_equal(b->insn[low].op, IR_GET);
    ir_put(b, at, 0, x(f, 3));
    ir_val byte = ir_get(b, at, 0);
    assert_int_equal(b->insn[byte].op, IR_ZEXT8);
    assert_int_equal(b->insn[byte].a, x(f, 3));
    /* one that crosses a granule makes both unknown */
    ir_val first = x(f, 20), second = x(f, 21);
    ir_put(b, toy_x(20) + 6, 2, x(f, 1));
    assert_int_not_equal(x(f, 20), first);
    assert_int_not_equal(x(f, 21), second);
}

static void types_do_not_mix(void **state)
{
    struct fixture *f = *state;
    struct ir_block *b = &f->b;
    ir_val d = ir_getf(b, toy_f(3), IR_F64);
    ir_val i = ir_get(b, toy_f(3), 3);
    assert_int_not_equal(i, d);
    assert_int_equal(b->insn[i].type, IR_I64);
}

static void calls_that_write_make_registers_unknown(void **state)
{
    struct fixture *f = *state;
    ir_val a = x(f, 1), c = k(f, 9);
    set(f, 2, c);
    ir_call(&f->b, TOY_MIX, a, a, a);
    assert_int_equal(x(f, 1), a);
    assert_int_equal(x(f, 2), c);
    ir_call(&f->b, TOY_BUMP, a, a, IR_NONE);
    assert_int_not_equal(x(f, 1), a);
    assert_int_not_equal(x(f, 2), c);
    a = x(f, 1);
    f->b.helpers = NULL;
    ir_call(&f->b, TOY_MIX, a, a, a);
    assert_int_not_equal(x(f, 1), a);
}

static void the_engines_part_is_never_forwarded(void **state)
{
    struct fixture *f = *state;
    const uint32_t flags = GW_VCPU_OFFSET + offsetof(struct gw_vcpu, fp_flags);
    ir_val a = ir_get(&f->b, flags, 2);
    assert_int_not_equal(ir_get(&f->b, flags, 2), a);
    ir_put(&f->b, flags, 2, a);
    ir_put(&f->b, flags, 2, a);
    left(f, "%0 = get i64 [276:4]\nput i64 [276:4] %0\nput i64 [276:4] %0\n");
}

static void a_new_block_knows_nothing(void **state)
{
    struct fixture *f = *state;
    x(f, 1);
    ir_begin(&f->b, 0x5000, 0);
    ir_begin_guest(&f->b, 0x5000, 4);
    k(f, 1);
    ir_val a = x(f, 1);
    assert_int_equal(f->b.insn[a].op, IR_GET);
    assert_int_equal(f->b.count, 2);
}

/* It stands in memory where another stood, which knew just what is put here. */
static void a_struct_that_is_made_knows_nothing(void **state)
{
    enum { KNOWN = sizeof((struct ir_block *)0)->known / sizeof(struct ir_known) };
    struct fixture *f = *state;
    memset(&f->b, 0, sizeof f->b);
    f->b.no_fold = f->b.anywhere = 1;
    for (unsigned i = 1; i < 4; i++)
        f->b.known[toy_x(i) / 8 % KNOWN] =
            (struct ir_known){.epoch = 1, .offset = toy_x(i), .size_log2 = 3, .type = IR_I64};
    ir_init(&f->b);
    ir_begin(&f->b, 0x1000, 0);
    ir_begin_guest(&f->b, 0x1000, 4);
    ir_val v = k(f, 5);
    assert_int_equal(ir_pc(&f->b, 5), v);
    for (unsigned i = 1; i < 4; i++)
        ir_put(&f->b, toy_x(i), 3, v);
    left(f, "%0 = const 0x5\nput i64 [8:8] %0\nput i64 [16:8] %0\nput i64 [24:8] %0\n");
}

/* Blocks are told apart by a counter; nothing stale comes back when it wraps. */
static void knowledge_does_not_come_back(void **state)
{
    struct fixture *f = *state;
    f->b.epoch[0] = 0;
    ir_begin(&f->b, 0x1000, 0);
    ir_begin_guest(&f->b, 0x1000, 4);
    ir_val a = x(f, 1);
    f->b.epoch[0] = UINT32_MAX;
    ir_call(&f->b, TOY_BUMP, a, a, IR_NONE);
    assert_int_not_equal(x(f, 1), a);
}

static void values_that_state_holds_are_not_written_again(void **state)
{
    struct fixture *f = *state;
    ir_val a = x(f, 1);
    set(f, 1, a);
    set(f, 2, a);
    set(f, 2, x(f, 2));
    left(f, "%0 = get i64 [8:8]\nput i64 [16:8] %0\n");
}

/* --- dead code -------------------------------------------------------------------------------- */

static void overwritten_state_is_not_written(void **state)
{
    struct fixture *f = *state;
    set(f, 1, k(f, 1));
    ir_begin_guest(&f->b, 0x1004, 4);
    set(f, 1, k(f, 2));
    left(f, "%2 = const 0x2\nput i64 [8:8] %2\n");
}

static void state_is_exact_where_it_can_be_seen(void **state)
{
    struct fixture *f = *state;
    ir_val base = x(f, 9);
    set(f, 1, k(f, 1));
    ir_begin_guest(&f->b, 0x1004, 4);
    ir_load(&f->b, IR_I64, 3, false, base, 0, 0);
    set(f, 1, k(f, 2));
    ir_begin_guest(&f->b, 0x1008, 4);
    ir_brcc(&f->b, IR_I64, IR_EQ, base, x(f, 3), 0x3000);
    set(f, 1, k(f, 3));
    ir_begin_guest(&f->b, 0x100c, 4);
    ir_call(&f->b, TOY_MIX, base, base, base);
    set(f, 1, k(f, 4));
    left(f, "%0 = get i64 [72:8]\n%1 = const 0x1\nput i64 [8:8] %1\n%3 = ld i64 u8 [%0]\n"
            "%4 = const 0x2\nput i64 [8:8] %4\n%6 = get i64 [24:8]\n"
            "brcc i64 eq %0, %6, 0x3000\n%8 = const 0x3\nput i64 [8:8] %8\n"
            "%10 = call 0 %0, %0, %0\n%11 = const 0x4\nput i64 [8:8] %11\n");
}

static void partly_overwritten_state_is_written(void **state)
{
    struct fixture *f = *state;
    struct ir_block *b = &f->b;
    const uint32_t at = offsetof(struct toy_cpu, byte);
    ir_val v = x(f, 1);
    ir_put(b, at, 3, v);
    ir_put(b, at, 1, x(f, 2));
    ir_put(b, at + 2, 0, x(f, 3)); /* dead: overwritten by the next */
    ir_put(b, at, 2, v);
    ir_liveness(b);
    assert_int_equal(b->insn[1].op, IR_PUT);
    assert_int_equal(b->insn[3].op, IR_NOP);
    assert_int_equal(b->insn[5].op, IR_NOP);
    assert_int_equal(b->insn[6].op, IR_PUT);
}

/* The pass remembers by granule, 256 of them: these two are the same to it. */
static void far_offsets_do_not_hide_each_other(void **state)
{
    struct fixture *f = *state;
    struct ir_block *b = &f->b;
    ir_val v = x(f, 1);
    ir_put(b, toy_x(2), 3, v);
    ir_put(b, toy_x(2) + 8 * 256, 3, v);
    ir_put(b, toy_x(3) + 4, 3, v); /* crosses: neither dead nor deadly */
    ir_put(b, toy_x(3), 3, v);
    ir_liveness(b);
    for (unsigned i = 1; i <= 4; i++)
        assert_int_equal(b->insn[i].op, IR_PUT);
}

static void reads_keep_the_write_before_them(void **state)
{
    struct fixture *f = *state;
    f->b.no_fold = 1; /* else the read would be forwarded */
    set(f, 1, x(f, 2));
    set(f, 3, x(f, 1));
    set(f, 1, x(f, 4));
    left(f, "%0 = get i64 [16:8]\nput i64 [8:8] %0\n%2 = get i64 [8:8]\nput i64 [24:8] %2\n"
            "%4 = get i64 [32:8]\nput i64 [8:8] %4\n");
}

static void flag_raising_operations_stay(void **state)
{
    struct fixture *f = *state;
    char want[200];
    ir_val d = ir_getf(&f->b, toy_f(1), IR_F64);
    ir_fp2(&f->b, IR_FADD, IR_F64, IR_RNE, d, d);
    ir_fsgnj(&f->b, IR_F64, 1, d, d);
    ir_load(&f->b, IR_I64, 3, false, x(f, 1), 0, 0);
    snprintf(want, sizeof want,
             "%%0 = get f64 [%u:8]\n%%1 = fadd f64 rne %%0, %%0\n%%3 = get i64 [8:8]\n"
             "%%4 = ld i64 u8 [%%3]\n",
             toy_f(1));
    left(f, want);
}

/* As of a sum that is made of sums: the state that held the first one is overwritten. */
static void extensions_that_nobody_looks_at_go(void **state)
{
    struct fixture *f = *state;
    struct ir_block *b = &f->b;
    ir_val x1 = x(f, 1), x2 = x(f, 2);
    ir_val sum = ir_op1(b, IR_SEXT32, IR_I64, ir_op2(b, IR_ADD, IR_W32, x1, x2));
    set(f, 3, sum);
    ir_val mixed = op(f, IR_XOR, sum, x(f, 4));
    set(f, 3, mixed);
    sum = ir_op1(b, IR_SEXT32, IR_I64, ir_op2(b, IR_ADD, IR_W32, mixed, x2));
    set(f, 3, sum);
    left(f, "%0 = get i64 [8:8]\n%1 = get i64 [16:8]\n%2 = add w32 %0, %1\n%5 = get i64 [32:8]\n"
            "%6 = xor i64 %2, %5\n%8 = add w32 %6, %1\n%9 = sext32 i64 %8\nput i64 [24:8] %9\n");
    assert_int_equal(b->insn[2].uses, 1);
}

/* The same, but that the whole of the mixture goes to state; and that somebody shifts it down. */
static void extensions_that_somebody_looks_at_stay(void **state)
{
    struct fixture *f = *state;
    struct ir_block *b = &f->b;
    ir_val x1 = x(f, 1), x2 = x(f, 2);
    ir_val sum = ir_op1(b, IR_SEXT32, IR_I64, ir_op2(b, IR_ADD, IR_W32, x1, x2));
    ir_val mixed = op(f, IR_XOR, sum, x(f, 4));
    set(f, 3, mixed);
    ir_val other = ir_op1(b, IR_SEXT32, IR_I64, ir_op2(b, IR_SUB, IR_W32, x1, x2));
    set(f, 5, ir_op1(b, IR_ZEXT32, IR_I64, opk(f, IR_SHR, other, 4)));
    left(f, "%0 = get i64 [8:8]\n%1 = get i64 [16:8]\n%2 = add w32 %0, %1\n%3 = sext32 i64 %2\n"
            "%4 = get i64 [32:8]\n%5 = xor i64 %3, %4\nput i64 [24:8] %5\n%7 = sub w32 %0, %1\n"
            "%8 = sext32 i64 %7\n%9 = const 0x4\n%10 = shr i64 %8, %9\n%11 = zext32 i64 %10\n"
            "put i64 [40:8] %11\n");
}

static void uses_are_counted(void **state)
{
    struct fixture *f = *state;
    f->b.no_fold = 1;
    ir_val a = x(f, 1), sum = op(f, IR_ADD, a, a);
    op(f, IR_SUB, a, sum); /* dead: uses nothing */
    set(f, 1, sum);
    ir_jmp(&f->b, 0x2000);
    ir_liveness(&f->b);
    assert_int_equal(f->b.insn[a].uses, 2);
    assert_int_equal(f->b.insn[sum].uses, 1);
    assert_int_equal(ir_live_count(&f->b), 4);
}

/* --- limits ----------------------------------------------------------------------------------- */

static void a_block_that_is_full_says_so(void **state)
{
    struct fixture *f = *state;
    unsigned n = 1;
    while (ir_begin_guest(&f->b, 0x1000 + 4 * n, 4))
        n++;
    assert_int_equal(n, IR_MAX_GUEST);
    assert_int_equal(f->b.code_bytes, 4 * IR_MAX_GUEST);
    assert_false(f->b.overflow);
    for (int64_t i = 0; i < 3 * IR_MAX_INSNS; i++)
        set(f, 1, k(f, i));
    assert_true(f->b.overflow);
    assert_true(f->b.count <= IR_MAX_INSNS);
    assert_int_not_equal(ir_verify(&f->b, NULL), GW_OK);
}

int main(void)
{
#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        T(identities_return_the_operand),
        T(what_follows_from_a_value_follows_from_it_still),
        T(constants_fold_and_are_shared),
        T(chains_of_additions_collapse),
        T(extensions_of_extended_values_vanish),
        T(shift_pairs_become_extensions),
        T(shifts_that_are_joined_rotate),
        T(other_shifts_stay_apart),
        T(addresses_take_constants),
        T(addresses_keep_a_base_that_state_holds),
        T(displacements_stay_within_32_bits),
        T(never_taken_branches_disappear),
        T(always_taken_branches_end_the_block),
        T(boxes_open_and_bits_return),
        T(nothing_folds_when_told_so),
        T(gets_see_gets_and_puts),
        T(overlapping_widths_do_not_forward),
        T(types_do_not_mix),
        T(calls_that_write_make_registers_unknown),
        T(the_engines_part_is_never_forwarded),
        T(a_new_block_knows_nothing),
        T(a_struct_that_is_made_knows_nothing),
        T(knowledge_does_not_come_back),
        T(values_that_state_holds_are_not_written_again),
        T(overwritten_state_is_not_written),
        T(state_is_exact_where_it_can_be_seen),
        T(partly_overwritten_state_is_written),
        T(far_offsets_do_not_hide_each_other),
        T(reads_keep_the_write_before_them),
        T(flag_raising_operations_stay),
        T(extensions_that_nobody_looks_at_go),
        T(extensions_that_somebody_looks_at_stay),
        T(uses_are_counted),
        T(a_block_that_is_full_says_so),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
