/*
 * FP models: what ir_eval makes of NaNs, tiny results, subnormals and integers that do not fit under
 * the rules of other instruction sets than RISC-V. Rows are made by hand: x86 by the SDM, volume 1,
 * 4.8.3.5, 10.2.3 and 14.5.3; Arm by DDI 0487, shared/functions/float.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>

#include "godwit/ir.h"

enum {
    X86 = IR_FPM_NAN_FIRST | IR_FPM_NAN_NEGATIVE | IR_FPM_INT_INDEFINITE,
    X86_FLUSH = X86 | IR_FPM_FLUSH_RESULTS | IR_FPM_FLUSH_OPERANDS,
    ARM_DEFAULT_NAN = IR_FPM_TINY_BEFORE | IR_FPM_INT_NAN_ZERO,
    ARM = ARM_DEFAULT_NAN | IR_FPM_NAN_SIGNALING,
    ARM_FLUSH = ARM | IR_FPM_FLUSH_RESULTS | IR_FPM_FLUSH_OPERANDS,
};

#define D(high)   (UINT64_C(high) << 48)
#define NEG       D(0x8000)
#define ONE       D(0x3ff0)
#define TWO       D(0x4000)
#define INF       D(0x7ff0)
#define QNAN      D(0x7ff8)
#define Q(n)      (QNAN + (n)) /* quiet and signaling NaNs, by payload */
#define S(n)      (INF + (n))
#define NORMAL    D(0x0010) /* the smallest */
#define HALF      D(0x3fe0)
#define BELOW_ONE UINT64_C(0x3feffffffc000000) /* by 2^-27 */
#define UFNX      (IR_FP_UF | IR_FP_NX)

struct row {
    uint8_t op, type, model, aux;
    int64_t imm;
    uint64_t a, b, c, want;
    uint32_t flags;
};

#define F64(op, model, imm, a, b, c, want, flags)                                                  \
    {                                                                                              \
        op, IR_F64, model, IR_RNE, imm, a, b, c, want, flags                                       \
    }
#define F32(op, model, imm, a, b, c, want, flags)                                                  \
    {                                                                                              \
        op, IR_F32, model, IR_RNE, imm, a, b, c, want, flags                                       \
    }

static const struct row nans[] = {
    F64(IR_FADD, IR_FPM_RISCV, 0, Q(1), Q(2), 0, QNAN, 0),
    F64(IR_FADD, ARM_DEFAULT_NAN, 0, Q(1), S(2), 0, QNAN, IR_FP_NV),
    /* both operands are NaNs: the first, or the first signaling one */
    F64(IR_FADD, X86, 0, Q(1), Q(2), 0, Q(1), 0),
    F64(IR_FADD, X86, 0, Q(1), S(2), 0, Q(1), IR_FP_NV),
    F64(IR_FADD, X86, 0, S(1), Q(2), 0, Q(1), IR_FP_NV),
    F64(IR_FADD, ARM, 0, Q(1), Q(2), 0, Q(1), 0),
    F64(IR_FADD, ARM, 0, Q(1), S(2), 0, Q(2), IR_FP_NV),
    F64(IR_FADD, ARM, 0, S(1), S(2), 0, Q(1), IR_FP_NV),
    F64(IR_FMUL, X86, 0, ONE, Q(2) | NEG, 0, Q(2) | NEG, 0),
    F64(IR_FDIV, ARM, 0, INF, S(2) | NEG, 0, Q(2) | NEG, IR_FP_NV),
    F64(IR_FSQRT, ARM, 0, S(9), 0, 0, Q(9), IR_FP_NV),
    /* a difference does not turn the sign of a NaN */
    F64(IR_FSUB, X86, 0, ONE, Q(2), 0, Q(2), 0),
    F64(IR_FSUB, ARM, 0, ONE, S(2) | NEG, 0, Q(2) | NEG, IR_FP_NV),
    F32(IR_FSUB, ARM, 0, 0x3f800000, 0x7fc00007, 0, 0x7fc00007, 0),
    /* no operand is a NaN: the default one */
    F64(IR_FSUB, X86, 0, INF, INF, 0, QNAN | NEG, IR_FP_NV),
    F64(IR_FSUB, ARM, 0, INF, INF, 0, QNAN, IR_FP_NV),
    F32(IR_FSQRT, X86, 0, 0xbf800000, 0, 0, 0xffc00000, IR_FP_NV),
    F32(IR_FDIV, ARM, 0, 0, 0, 0, 0x7fc00000, IR_FP_NV),
    /* of a fused operation, the addend comes last or first */
    F64(IR_FMA, X86, 0, Q(1), Q(2), Q(3), Q(1), 0),
    F64(IR_FMA, X86, 0, ONE, Q(2), Q(3), Q(2), 0),
    F64(IR_FMA, X86, 0, ONE, Q(2), S(3), Q(2), IR_FP_NV),
    F64(IR_FMA, X86, 0, ONE, ONE, S(3), Q(3), IR_FP_NV),
    F64(IR_FMA, ARM, 0, Q(1), Q(2), Q(3), Q(3), 0),
    F64(IR_FMA, ARM, 0, Q(1), S(2), Q(3), Q(2), IR_FP_NV),
    F64(IR_FMA, ARM, 0, S(1), S(2), S(3), Q(3), IR_FP_NV),
    F64(IR_FMA, ARM, 0, ONE, Q(2), ONE, Q(2), 0),
    /* inf * 0, and a NaN to be added */
    F64(IR_FMA, IR_FPM_RISCV, 0, INF, 0, Q(3), QNAN, IR_FP_NV),
    F64(IR_FMA, X86, 0, INF, 0, Q(3), Q(3), 0),
    F64(IR_FMA, X86, 0, INF, 0, ONE, QNAN | NEG, IR_FP_NV),
    F64(IR_FMA, ARM, 0, 0, INF, Q(3), QNAN, IR_FP_NV),
    F64(IR_FMA, ARM, 0, 0, INF, S(3), Q(3), IR_FP_NV),
    /* negated operands: x86 leaves NaNs alone */
    F64(IR_FMA, X86, 3, Q(1), ONE, ONE, Q(1), 0),
    F64(IR_FMA, X86, 2, ONE, ONE, Q(3), Q(3), 0),
    F64(IR_FMA, ARM, 1, Q(1), ONE, ONE, Q(1) | NEG, 0),
    F64(IR_FMA, ARM, 2, ONE, ONE, S(3) | NEG, Q(3), IR_FP_NV),
    F32(IR_FMA, X86, 3, 0x7fc00001, 0x3f800000, 0x3f800000, 0x7fc00001, 0),
    /* payloads keep their upper bits between formats */
    F64(IR_F2F, ARM, 0, 0xff800123, 0, 0, (UINT64_C(0x123) << 29 | QNAN | NEG), IR_FP_NV),
    F32(IR_F2F, X86, 0, (UINT64_C(0x123) << 29 | QNAN), 0, 0, 0x7fc00123, 0),
    F32(IR_F2F, X86, 0, S(1), 0, 0, 0x7fc00000, IR_FP_NV),
    F32(IR_F2F, IR_FPM_NAN_NEGATIVE, 0, S(1), 0, 0, 0xffc00000, IR_FP_NV),
    F32(IR_H2F, ARM, 0, 0xfc01, 0, 0, 0xffc02000, IR_FP_NV),
    F32(IR_F2H, ARM, 0, 0x7f802000, 0, 0, 0x7e01, IR_FP_NV),
    F64(IR_FRINT, ARM, 0, S(5) | NEG, 0, 0, Q(5) | NEG, IR_FP_NV),
};

static const struct row minima[] = {
    F64(IR_FMIN, X86, IR_MINMAX_SECOND, 0, NEG, 0, NEG, 0),
    F64(IR_FMIN, X86, IR_MINMAX_SECOND, NEG, 0, 0, 0, 0),
    F64(IR_FMAX, X86, IR_MINMAX_SECOND, 0, NEG, 0, NEG, 0),
    F64(IR_FMIN, X86, IR_MINMAX_SECOND, Q(1), ONE, 0, ONE, IR_FP_NV),
    F64(IR_FMIN, X86, IR_MINMAX_SECOND, ONE, S(1), 0, S(1), IR_FP_NV),
    F64(IR_FMAX, X86, IR_MINMAX_SECOND, ONE, TWO, 0, TWO, 0),
    F32(IR_FMIN, X86, IR_MINMAX_SECOND, 0x80000000, 0, 0, 0, 0),
    F32(IR_FMAX, X86, IR_MINMAX_SECOND, 0x7fc00001, 0x7f800002, 0, 0x7f800002, IR_FP_NV),
    F64(IR_FMIN, ARM, IR_MINMAX_PROPAGATE, 0, NEG, 0, NEG, 0),
    F64(IR_FMIN, ARM, IR_MINMAX_PROPAGATE, ONE, Q(1), 0, Q(1), 0),
    F64(IR_FMAX, ARM, IR_MINMAX_PROPAGATE, Q(1), S(2), 0, Q(2), IR_FP_NV),
    F32(IR_FMAX, ARM, IR_MINMAX_PROPAGATE, 0x3f800000, 0x7f800002, 0, 0x7fc00002, IR_FP_NV),
    F64(IR_FMIN, IR_FPM_RISCV, IR_MINMAX_PROPAGATE, ONE, Q(1), 0, QNAN, 0),
    F64(IR_FMIN, ARM, IR_MINMAX_NUMBER, ONE, Q(1), 0, ONE, 0),
    F64(IR_FMIN, ARM, IR_MINMAX_NUMBER, Q(1), Q(2), 0, Q(1), 0),
};

static const struct row small[] = {
    /* less than the smallest normal by 2^-54 of it, rounded up to it: tiny only before */
    F64(IR_FMUL, X86, 0, NORMAL | 1 << 25, BELOW_ONE, 0, NORMAL, IR_FP_NX),
    F64(IR_FMUL, ARM, 0, NORMAL | 1 << 25, BELOW_ONE, 0, NORMAL, UFNX),
    F64(IR_FMUL, ARM_FLUSH, 0, NORMAL | 1 << 25, BELOW_ONE, 0, 0, IR_FP_UF),
    F64(IR_FMUL, X86_FLUSH, 0, NORMAL | 1 << 25, BELOW_ONE, 0, NORMAL, IR_FP_NX),
    /* exact and tiny */
    F64(IR_FMUL, X86, 0, NORMAL | NEG, HALF, 0, NORMAL / 2 | NEG, 0),
    F64(IR_FMUL, X86_FLUSH, 0, NORMAL | NEG, HALF, 0, NEG, UFNX),
    F64(IR_FMUL, ARM_FLUSH, 0, NORMAL | NEG, HALF, 0, NEG, IR_FP_UF),
    F32(IR_FMUL, X86_FLUSH, 0, 0x00800000, 0x3f000000, 0, 0, UFNX),
    F32(IR_F2F, ARM_FLUSH, 0, D(0x37f0), 0, 0, 0, IR_FP_UF),
    /* binary16 keeps its subnormals */
    F32(IR_F2H, ARM_FLUSH, 0, 0x33800000, 0, 0, 1, 0),
    F32(IR_H2F, ARM_FLUSH, 0, 1, 0, 0, 0x33800000, 0),
    /* subnormal operands count as zeros, silently */
    F64(IR_FADD, X86_FLUSH, 0, 1, 1, 0, 0, 0),
    F64(IR_FADD, X86, 0, 1, 1, 0, 2, 0),
    F64(IR_FDIV, ARM_FLUSH, 0, ONE, 1 | NEG, 0, INF | NEG, IR_FP_DZ),
    F64(IR_FEQ, X86_FLUSH, 0, 1, NEG, 0, 1, 0),
    F64(IR_FLT, X86, 0, 0, 1, 0, 1, 0),
    F64(IR_FLT, X86_FLUSH, 0, 0, 1, 0, 0, 0),
    F64(IR_FMAX, ARM_FLUSH, IR_MINMAX_PROPAGATE, 1, NEG, 0, 0, 0),
    F32(IR_FSQRT, X86_FLUSH, 0, 0x80000001, 0, 0, 0x80000000, 0),
    F64(IR_F2F, X86_FLUSH, 0, 0x00000001, 0, 0, 0, 0),
    F64(IR_F2I, X86_FLUSH, IR_INT_L, 1, 0, 0, 0, 0),
    F64(IR_FRINT, ARM_FLUSH, 1, 1 | NEG, 0, 0, NEG, 0),
    F64(IR_FMA, ARM_FLUSH, 0, ONE, 1, 1, 0, 0),
    /* integers are none */
    F64(IR_I2F, X86_FLUSH, IR_INT_L, 1, 0, 0, ONE, 0),
    /* bits are moved as they are */
    F64(IR_FSGNJ, X86_FLUSH, 0, 1, NEG, 0, 1 | NEG, 0),
};

#define INT32_LEAST UINT64_C(0xffffffff80000000)
static const struct row integers[] = {
    F64(IR_F2I, IR_FPM_RISCV, IR_INT_W, Q(1), 0, 0, INT32_MAX, IR_FP_NV),
    F64(IR_F2I, ARM, IR_INT_W, Q(1), 0, 0, 0, IR_FP_NV),
    F64(IR_F2I, ARM, IR_INT_LU, S(1), 0, 0, 0, IR_FP_NV),
    F64(IR_F2I, ARM, IR_INT_L, INF, 0, 0, INT64_MAX, IR_FP_NV),
    F64(IR_F2I, ARM, IR_INT_WU, ONE | NEG, 0, 0, 0, IR_FP_NV),
    F64(IR_F2I, X86, IR_INT_W, Q(1), 0, 0, INT32_LEAST, IR_FP_NV),
    F64(IR_F2I, X86, IR_INT_W, INF, 0, 0, INT32_LEAST, IR_FP_NV),
    F64(IR_F2I, X86, IR_INT_L, INF | NEG, 0, 0, UINT64_C(1) << 63, IR_FP_NV),
    F64(IR_F2I, X86, IR_INT_L, D(0x43e0), 0, 0, UINT64_C(1) << 63, IR_FP_NV),
    F64(IR_F2I, X86, IR_INT_WU, ONE | NEG, 0, 0, UINT64_MAX, IR_FP_NV),
    F64(IR_F2I, X86, IR_INT_LU, Q(1), 0, 0, UINT64_MAX, IR_FP_NV),
    F32(IR_F2I, X86, IR_INT_W, 0x4f000000, 0, 0, INT32_LEAST, IR_FP_NV),
    F64(IR_F2I, X86, IR_INT_W, TWO, 0, 0, 2, 0),
};

static void run_rows(const char *what, const struct row *rows, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        const struct row *r = &rows[i];
        const struct ir_insn in = {.op = r->op,
                                   .type = r->type,
                                   .aux = ir_compares_floats(r->op) ? 0 : r->aux,
                                   .fp_model = ir_op_info[r->op].flags & IRF_FP ? r->model : 0,
                                   .imm = r->imm};
        uint32_t flags = 0;
        uint64_t got = ir_eval(&in, r->a, r->b, r->c, 0, &flags);
        if (got != r->want || flags != r->flags)
            fail_msg("%s, row %zu: %s: %#llx flags %#x, should be %#llx flags %#x", what, i,
                     ir_op_info[r->op].text, (unsigned long long)got, flags,
                     (unsigned long long)r->want, r->flags);
    }
}
#define RUN(rows) run_rows(#rows, rows, sizeof(rows) / sizeof((rows)[0]))

static void nan_results_are_the_models(void **state)
{
    RUN(nans);
}

static void minima_are_of_their_kind(void **state)
{
    RUN(minima);
}

static void tiny_and_subnormal_numbers_are_the_models(void **state)
{
    RUN(small);
}

static void what_fits_no_integer_is_the_models(void **state)
{
    RUN(integers);
}

/* The builder gives each operation the block's model; what raises no flags has none. */
static void blocks_carry_their_model(void **state)
{
    static struct ir_block b;
    static char text[2048];
    struct gw_error err;
    ir_begin(&b, 0x1000, 0);
    assert_int_equal(b.fp_model, IR_FPM_RISCV);
    b.fp_model = ARM;
    ir_begin_guest(&b, 0x1000, 4);
    ir_val v = ir_getf(&b, 1024, IR_F64);
    ir_val sum = ir_fp2(&b, IR_FADD, IR_F64, IR_RNE, v, v);
    ir_val turned = ir_fsgnj(&b, IR_F64, 1, sum, v);
    ir_val least = ir_minmax(&b, IR_FMIN, IR_F64, IR_MINMAX_SECOND, sum, turned);
    ir_putf(&b, 1024, IR_F64, ir_minmax(&b, IR_FMAX, IR_F64, IR_MINMAX_NUMBER, least, v));
    ir_jmp(&b, 0x1004);
    assert_int_equal(b.insn[sum].fp_model, ARM);
    assert_int_equal(b.insn[turned].fp_model, 0);
    assert_int_equal(b.insn[least].fp_model, ARM);
    assert_int_equal(ir_verify(&b, &err), GW_OK);
    ir_print(&b, text, sizeof text);
    assert_non_null(strstr(text, " fp 1 model 0x2a\n"));
    assert_non_null(strstr(text, " = fmin f64 second %"));
    assert_non_null(strstr(text, " = fmax f64 %"));
    static struct ir_block again;
    assert_int_equal(ir_parse(&again, text, &err), GW_OK);
    assert_memory_equal(again.insn, b.insn, 3 * sizeof b.insn[0]);
    assert_int_equal(again.insn[least].imm, IR_MINMAX_SECOND);
    assert_int_equal(again.insn[least].fp_model, ARM);
    b.insn[sum].fp_model = IR_FPM_RISCV;
    assert_int_equal(ir_verify(&b, &err), GW_ERR_FORMAT);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(nan_results_are_the_models),
        cmocka_unit_test(minima_are_of_their_kind),
        cmocka_unit_test(tiny_and_subnormal_numbers_are_the_models),
        cmocka_unit_test(what_fits_no_integer_is_the_models),
        cmocka_unit_test(blocks_carry_their_model),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
