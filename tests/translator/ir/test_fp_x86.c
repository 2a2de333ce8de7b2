/*
 * ir_eval under the rules of x86, against this host's SSE and FMA: random operands, each rounding mode,
 * subnormals flushed and not, NaNs bit by bit.
 */
#include <immintrin.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "tests/translator/ir/random_ir.h"

enum {
    ROUNDS = 40000,
    MXCSR_DEFAULT = 0x1f80,
    MXCSR_FLUSH = 0x8040, /* flush to zero, denormals are zero */
    X86 = IR_FPM_NAN_FIRST | IR_FPM_NAN_NEGATIVE | IR_FPM_INT_INDEFINITE,
    X86_FLUSH = X86 | IR_FPM_FLUSH_RESULTS | IR_FPM_FLUSH_OPERANDS,
};

/* Operands, and the result in its place. */
struct regs {
    __m128i a, b, c;
    uint64_t integer;
};

/* The instructions themselves: a compiler would feel free to exchange operands. */
#define TWO(name)                                                                                  \
    static void name(struct regs *r)                                                               \
    {                                                                                              \
        __asm__ volatile(#name " %1, %0" : "+x"(r->a) : "x"(r->b));                                \
    }
#define ONE(name)                                                                                  \
    static void name(struct regs *r)                                                               \
    {                                                                                              \
        __asm__ volatile(#name " %1, %0" : "+x"(r->c) : "x"(r->a));                                \
        r->a = r->c;                                                                               \
    }
#define FUSED(name)                                                                                \
    static void name(struct regs *r)                                                               \
    {                                                                                              \
        __asm__ volatile(#name " %2, %1, %0" : "+x"(r->c) : "x"(r->a), "x"(r->b));                 \
        r->a = r->c;                                                                               \
    }
#define TO_INT(name, insn)                                                                         \
    static void name(struct regs *r)                                                               \
    {                                                                                              \
        __asm__ volatile(insn : "=r"(r->integer) : "x"(r->a));                                     \
    }
TWO(addsd)
TWO(addss)
TWO(subsd)
TWO(subss)
TWO(mulsd)
TWO(mulss)
TWO(divsd)
TWO(divss)
TWO(minsd)
TWO(minss)
TWO(maxsd)
TWO(maxss)
ONE(sqrtsd)
ONE(sqrtss)
ONE(cvtsd2ss)
ONE(cvtss2sd)
FUSED(vfmadd231sd)
FUSED(vfmadd231ss)
FUSED(vfnmadd231sd)
FUSED(vfmsub231ss)
FUSED(vfnmsub231sd)
TO_INT(sd_to_w, "cvtsd2sil %1, %k0")
TO_INT(sd_to_l, "cvtsd2siq %1, %q0")
TO_INT(ss_to_w, "cvtss2sil %1, %k0")
TO_INT(ss_to_l, "cvtss2siq %1, %q0")

static const struct {
    void (*run)(struct regs *r);
    uint8_t op, type;
    int64_t imm;
} ops[] = {
    {addsd, IR_FADD, IR_F64, 0},
    {addss, IR_FADD, IR_F32, 0},
    {subsd, IR_FSUB, IR_F64, 0},
    {subss, IR_FSUB, IR_F32, 0},
    {mulsd, IR_FMUL, IR_F64, 0},
    {mulss, IR_FMUL, IR_F32, 0},
    {divsd, IR_FDIV, IR_F64, 0},
    {divss, IR_FDIV, IR_F32, 0},
    {minsd, IR_FMIN, IR_F64, IR_MINMAX_SECOND},
    {minss, IR_FMIN, IR_F32, IR_MINMAX_SECOND},
    {maxsd, IR_FMAX, IR_F64, IR_MINMAX_SECOND},
    {maxss, IR_FMAX, IR_F32, IR_MINMAX_SECOND},
    {sqrtsd, IR_FSQRT, IR_F64, 0},
    {sqrtss, IR_FSQRT, IR_F32, 0},
    {cvtsd2ss, IR_F2F, IR_F32, 0},
    {cvtss2sd, IR_F2F, IR_F64, 0},
    {sd_to_w, IR_F2I, IR_F64, IR_INT_W},
    {sd_to_l, IR_F2I, IR_F64, IR_INT_L},
    {ss_to_w, IR_F2I, IR_F32, IR_INT_W},
    {ss_to_l, IR_F2I, IR_F32, IR_INT_L},
    {vfmadd231sd, IR_FMA, IR_F64, 0}, /* from here on the host may lack them */
    {vfmadd231ss, IR_FMA, IR_F32, 0},
    {vfnmadd231sd, IR_FMA, IR_F64, 1},
    {vfmsub231ss, IR_FMA, IR_F32, 2},
    {vfnmsub231sd, IR_FMA, IR_F64, 3},
};

static uint64_t on_host(unsigned k, const struct ir_insn *in, const uint64_t v[3], uint32_t *flags)
{
    static const unsigned rc[] = {[IR_RNE] = 0, [IR_RDN] = 1, [IR_RUP] = 2, [IR_RTZ] = 3};
    unsigned flush = in->fp_model & IR_FPM_FLUSH_RESULTS ? MXCSR_FLUSH : 0;
    struct regs r = {.a = _mm_cvtsi64_si128((int64_t)v[0]),
                     .b = _mm_cvtsi64_si128((int64_t)v[1]),
                     .c = _mm_cvtsi64_si128((int64_t)v[2])};
    _mm_setcsr(MXCSR_DEFAULT | flush | rc[in->aux] << 13);
    ops[k].run(&r);
    unsigned csr = _mm_getcsr();
    _mm_setcsr(MXCSR_DEFAULT);
    *flags = (csr & 1 ? IR_FP_NV : 0u) | (csr & 4 ? IR_FP_DZ : 0u) | (csr & 8 ? IR_FP_OF : 0u) |
             (csr & 16 ? IR_FP_UF : 0u) | (csr & 32 ? IR_FP_NX : 0u);
    uint64_t result = (uint64_t)_mm_cvtsi128_si64(r.a);
    if (in->op == IR_F2I)
        return in->imm == IR_INT_W ? (uint64_t)(int64_t)(int32_t)r.integer : r.integer;
    return in->type == IR_F32 ? (uint32_t)result : result;
}

/* Operands whose products and quotients come near the smallest normal number, now and then. */
static uint64_t operand(uint64_t *rng, enum ir_type type)
{
    uint64_t v = random_float(rng, type), r = random_u64(rng);
    if (r & 3)
        return v;
    if (type == IR_F64)
        return (v & ~(UINT64_C(0x7ff) << 52)) |
               (r & 4 ? UINT64_C(0x1ff) + (r >> 8 & 3) : r >> 8 & 3) << 52;
    return (uint32_t)((v & 0x807fffff) | (r & 4 ? 63 + (r >> 8 & 3) : r >> 8 & 3) << 23);
}

static void check(unsigned k, uint64_t *rng, unsigned round)
{
    struct ir_insn in = {.op = ops[k].op,
                         .type = ops[k].type,
                         .aux = (uint8_t)(round & 3),
                         .fp_model = round & 4 ? X86_FLUSH : X86,
                         .imm = ops[k].imm};
    enum ir_type from =
        in.op == IR_F2F ? (enum ir_type)(IR_F32 + IR_F64 - in.type) : (enum ir_type)in.type;
    uint64_t v[3] = {operand(rng, from), operand(rng, from), operand(rng, from)};
    uint32_t flags = 0, want_flags;
    uint64_t want = on_host(k, &in, v, &want_flags);
    uint64_t got = ir_eval(&in, v[0], v[1], v[2], 0, &flags);
    if (got != want || flags != want_flags)
        fail_msg(
            "%s type %u imm %d round %u model %#x of %#lx %#lx %#lx: %#lx flags %#x, host %#lx %#x",
            ir_op_info[in.op].text, in.type, (int)in.imm, in.aux, in.fp_model, (long)v[0],
            (long)v[1], (long)v[2], (long)got, flags, (long)want, want_flags);
}

static void the_x86_model_is_the_host(void **state)
{
    uint64_t rng = 7;
    for (unsigned k = 0; k < sizeof ops / sizeof ops[0]; k++) {
        if (ops[k].op == IR_FMA && !__builtin_cpu_supports("fma"))
            continue;
        for (unsigned round = 0; round < ROUNDS; round++)
            check(k, &rng, round);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_x86_model_is_the_host),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
