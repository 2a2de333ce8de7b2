/* Operations that one instruction does together, and those that look alike and must not be. */
#include "tests/backend-aarch64/emitted.h"

static const uint32_t any_registers = 0xffe0fc00;

static ir_val k(struct rig *r, uint64_t v)
{
    return ir_const(&r->block, v);
}

static ir_val two(struct rig *r, enum ir_op op, ir_val a, ir_val b)
{
    return ir_op2(&r->block, op, IR_I64, a, b);
}

/* Instructions between the budget's two and those that leave. */
static uint32_t compiled(struct rig *r, ir_val result)
{
    ir_put(&r->block, toy_x(1), 3, result);
    end(r);
    return r->job.host_insns;
}

/* The same with nothing computed. */
static uint32_t frame(struct rig *r)
{
    begin(r, GW_MEM_USER, 0, false);
    end(r);
    return r->job.host_insns;
}

static void a_shift_becomes_the_operand_of_what_uses_it(void **state)
{
    static const enum ir_op shift[] = {IR_SHL, IR_SHR, IR_SAR, IR_ROTR};
    static const enum ir_op use[] = {IR_ADD, IR_SUB, IR_AND, IR_OR, IR_XOR, IR_ANDN};
    static const uint32_t op[] = {A64_ADD, A64_SUB, A64_AND, A64_ORR, A64_EOR, A64_BIC};
    struct rig *r = *state;
    const uint32_t rest = frame(r);
    for (unsigned s = 0; s < 4; s++)
        for (unsigned u = 0; u < 6; u++) {
            begin(r, GW_MEM_USER, 0, false);
            ir_val a = x(r, 1), b = x(r, 2);
            uint32_t all = compiled(r, two(r, use[u], a, two(r, shift[s], b, k(r, 5))));
            const bool rotates = shift[s] == IR_ROTR;
            assert_int_equal(all - rest, rotates && u < 2 ? 2 : 1); /* sums take no rotate */
            if (!rotates || u >= 2)
                assert_int_equal(count(r, any_registers, op[u] | s << 22 | 5 << 10), 1);
        }
    /* it is the first operand: of what does not commute it cannot be */
    begin(r, GW_MEM_USER, 0, false);
    ir_val a = x(r, 1), b = x(r, 2);
    assert_int_equal(compiled(r, two(r, IR_SUB, two(r, IR_SHL, b, k(r, 5)), a)) - rest, 2);
    begin(r, GW_MEM_USER, 0, false);
    a = x(r, 1), b = x(r, 2);
    assert_int_equal(compiled(r, two(r, IR_XOR, two(r, IR_SHL, b, k(r, 5)), a)) - rest, 1);
}

static void a_value_that_is_used_twice_is_there(void **state)
{
    struct rig *r = *state;
    const uint32_t rest = frame(r);
    begin(r, GW_MEM_USER, 0, false);
    ir_val s = two(r, IR_SHR, x(r, 1), k(r, 12));
    ir_put(&r->block, toy_x(2), 3, s);
    assert_int_equal(compiled(r, two(r, IR_XOR, x(r, 1), s)) - rest, 2);
    begin(r, GW_MEM_USER, 0, false);
    s = two(r, IR_SHR, x(r, 1), k(r, 12));
    assert_int_equal(compiled(r, two(r, IR_ADD, s, s)) - rest, 2);
}

static void products_are_added_and_taken_off(void **state)
{
    struct rig *r = *state;
    for (unsigned subtract = 0; subtract < 2; subtract++) {
        begin(r, GW_MEM_USER, 0, false);
        ir_val product = two(r, IR_MUL, x(r, 5), x(r, 2));
        compiled(r, two(r, subtract ? IR_SUB : IR_ADD, x(r, 1), product));
        assert_int_equal(count(r, 0xffe08000, subtract ? A64_MSUB : A64_MADD), 1);
        assert_int_equal(count(r, 0xffe07c00, A64_MADD | A64_ZR << 10), 0);
    }
}

static void fields_are_taken_out_and_put_in_place(void **state)
{
    struct rig *r = *state;
    begin(r, GW_MEM_USER, 0, false);
    compiled(r, two(r, IR_AND, two(r, IR_SHR, x(r, 2), k(r, 3)), k(r, 0x1ff)));
    assert_int_equal(count(r, 0xfffffc00, A64_UBFM | 3 << 16 | 11 << 10), 1);
    begin(r, GW_MEM_USER, 0, false); /* what is above the top is none of it */
    compiled(r, two(r, IR_AND, two(r, IR_SHR, x(r, 2), k(r, 60)), k(r, 0x1ff)));
    assert_int_equal(count(r, 0xfffffc00, A64_UBFM | 60 << 16 | 63 << 10), 1);
    begin(r, GW_MEM_USER, 0, false);
    compiled(r, two(r, IR_SHL, two(r, IR_AND, x(r, 2), k(r, 7)), k(r, 3)));
    assert_int_equal(count(r, 0xfffffc00, A64_UBFM | 61 << 16 | 2 << 10), 1);
    begin(r, GW_MEM_USER, 0, false);
    compiled(r, two(r, IR_SHL, ir_op1(&r->block, IR_SEXT32, IR_I64, x(r, 2)), k(r, 40)));
    assert_int_equal(count(r, 0xfffffc00, A64_SBFM | 24 << 16 | 23 << 10), 1);
    begin(r, GW_MEM_USER, 0, false);
    compiled(r, two(r, IR_ADD, x(r, 1), ir_op1(&r->block, IR_SEXT32, IR_I64, x(r, 2))));
    assert_int_equal(count(r, any_registers, A64_ADDX | A64_SXTW << 13), 1);
}

static void bits_are_tested_by_the_branch(void **state)
{
    static const struct {
        uint64_t mask;
        uint32_t bits, of; /* of the branch or the test; mask */
    } cases[] = {{16, A64_TBZ | 4 << 19, 0xfff80000},
                 {UINT64_C(1) << 40, A64_TBZ | 1u << 31 | 8 << 19, 0xfff80000},
                 {0xff0, A64_ANDSI, 0xff80001f & ~31u}};
    struct rig *r = *state;
    for (unsigned i = 0; i < 3; i++) {
        begin(r, GW_MEM_USER, 0, false);
        ir_val bits = two(r, IR_AND, x(r, 1), k(r, cases[i].mask));
        ir_brcc(&r->block, IR_I64, IR_EQ, bits, k(r, 0), PC + 64);
        end(r);
        assert_int_equal(count(r, cases[i].of, cases[i].bits), 1);
        assert_int_equal(count(r, 0xff800000, A64_ANDI), 0);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_shift_becomes_the_operand_of_what_uses_it),
        cmocka_unit_test(a_value_that_is_used_twice_is_there),
        cmocka_unit_test(products_are_added_and_taken_off),
        cmocka_unit_test(fields_are_taken_out_and_put_in_place),
        cmocka_unit_test(bits_are_tested_by_the_branch),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
