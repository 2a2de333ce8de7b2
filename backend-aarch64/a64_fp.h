/*
 * Floating point, under the FP model IR_FPM_RISCV. In blocks that may touch FP, FPCR has the guest's rounding mode
 * and makes default NaNs, and FPSR gathers flags: run.fp_flags and FPSR together are the guest's.
 *
 * **Underflow.** AArch64 finds a result tiny before it is rounded, RISC-V after. They differ where a result below
 * the least normal number is rounded up to it. So each operation that may underflow looks at its result's exponent:
 * from the cold path of a small one C decides, once, whether it was one. Thus
 *   FPSR has no underflow, unless run.fp_flags has it too.
 */
#ifndef A64_FP_H
#define A64_FP_H

#include "backend-aarch64/a64_round.h"

bool a64_lower_arith(struct a64 *x, const struct ir_insn *in);   /* a64_fp.c */
bool a64_lower_fcmp(struct a64 *x, const struct ir_insn *in);    /* a64_fcmp.c */
bool a64_lower_convert(struct a64 *x, const struct ir_insn *in); /* a64_convert.c */
void a64_cold_fp(struct a64 *x, const struct cold_path *c);      /* NAN, ZERO, EVAL, TINY */

/* Ahead of an operation whose result in d may take an operand's register: what the cold path has in its place. */
struct cold_eval a64_keep(struct a64 *x, const struct ir_insn *in, int d, int a, int b, int c);
/* Where the result should rather not be, for that: scratch registers of operands. */
static inline reg_set a64_not_lost(int a, int b, int c)
{
    return (reg_bit(a) | reg_bit(b) | reg_bit(c)) & A64_SCRATCH;
}
/* Behind it: leaves where the result is so small that an underflow may not be RISC-V's. */
void a64_check_tiny(struct a64 *x, const struct ir_insn *in, const struct cold_eval *kept);

static inline bool a64_single(const struct ir_insn *in)
{
    return in->type != IR_F64;
}
/* Is it of the model that is lowered inline? What raises no flags has none. */
static inline bool a64_knows_model(const struct ir_insn *in)
{
    return in->fp_model == IR_FPM_RISCV;
}
/* A float opcode as the instruction's type wants it. */
static inline uint32_t a64_float(const struct ir_insn *in, uint32_t op)
{
    return a64_single(in) ? op : a64_d(op);
}
static inline int a64_deff(struct a64 *x, reg_set avoid)
{
    return place_def(&x->p, REG_VEC, avoid);
}
/* All bits of a float, in an integer register, zero-extended. */
static inline void a64_bits_of(struct a64 *x, const struct ir_insn *in, int to, int from)
{
    a64_rr(&x->e, a64_single(in) ? A64_FMOV_WS : A64_FMOV_XD, to, from);
}

#endif
