/*
 * Floating point on SSE, under the FP model IR_FPM_RISCV. MXCSR holds the guest's rounding mode and
 * gathers its flags, so the common path of an operation is the host's instruction and a test for NaN.
 * What the host does not do as the IR demands leaves for a cold path: the default NaN, or ir_eval.
 */
#ifndef X64_FP_H
#define X64_FP_H

#include "backend-x86_64/x64_round.h"

bool x64_lower_arith(struct x64 *x, const struct ir_insn *in);   /* x64_fp.c */
bool x64_lower_fcmp(struct x64 *x, const struct ir_insn *in);    /* x64_fcmp.c */
bool x64_lower_convert(struct x64 *x, const struct ir_insn *in); /* x64_convert.c */
bool x64_lower_flags(struct x64 *x, const struct ir_insn *in);   /* x64_flags.c */
void x64_cold_fp(struct x64 *x, const struct cold_path *c);      /* NAN, ZERO, EVAL, MINMAX */
void x64_cold_convert(struct x64 *x, const struct cold_path *c); /* HALF */
void x64_cold_flags(struct x64 *x, const struct cold_path *c);   /* FPGET, FPSET */

static inline bool x64_single(const struct ir_insn *in)
{
    return in->type != IR_F64;
}
/* Is it of the model that is lowered inline? What raises no flags has none. */
static inline bool x64_knows_model(const struct ir_insn *in)
{
    return in->fp_model == IR_FPM_RISCV;
}
/* Scalar arithmetic of the operation's type. */
static inline unsigned x64_scalar(const struct ir_insn *in)
{
    return in->type == IR_F64 ? X_SD : X_SS;
}

#endif
