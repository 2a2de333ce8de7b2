/* FPCR and FPSR: rounding by a mode that is the operation's alone, and the flags. */
#ifndef A64_ROUND_H
#define A64_ROUND_H

#include "backend-aarch64/a64_block.h"

/* FPCR for a rounding mode. It has none that rounds ties away: what does so is C's, and its blocks go by
 * another, which does for what is exact. */
uint32_t a64_fpcr(unsigned round);

/* Can FPCR round as the operation wants it? */
static inline bool a64_can_round(const struct ir_insn *in)
{
    return in->aux <= IR_RUP;
}
/* FPCR's rounding becomes the operation's, and the block's again. By x16. */
void a64_round(struct a64 *x, const struct ir_insn *in);
void a64_round_back(struct a64 *x, const struct ir_insn *in);

void a64_lower_flags(struct a64 *x, const struct ir_insn *in); /* FPGET, FPSET */

/* to = the flags that FPSR has, as IR_FP_* has them: its five are in the other order. */
static inline void a64_fpsr_flags(struct a64_buf *e, int to)
{
    a64_r(e, A64_MRS_FPSR, to);
    a64_rr(e, a64_w(A64_RBIT), to, to);
    a64_bits(e, a64_w(A64_UBFM), to, to, 27, 31);
}

#endif
