/*
 * Rounding by a mode that is the operation's alone. MXCSR has the block's; exchanging it costs little where
 * exceptions trap, for then no flag is in it that run.fp_flags has not. Elsewhere its flags have to be read.
 */
#ifndef X64_ROUND_H
#define X64_ROUND_H

#include "backend-x86_64/x64_block.h"

/* Whether MXCSR's rounding is the operation's. */
static inline bool x64_rounds(const struct x64 *x, const struct ir_insn *in)
{
    return in->aux == x->b->fp_round;
}
/* Or can be made to be, for as long as the operation takes. */
static inline bool x64_can_round(const struct x64 *x, const struct ir_insn *in)
{
    return x64_rounds(x, in) || (in->aux <= IR_RUP && x->b->fp_round <= IR_RUP);
}

/* MXCSR's rounding becomes the operation's, and the block's again. Nothing in between may leave the block; all
 * flags are gathered on. t: a register to work in, which is taken before the operation has its own. */
int x64_round_temp(struct x64 *x, const struct ir_insn *in);
void x64_round(struct x64 *x, const struct ir_insn *in, int t);
void x64_round_back(struct x64 *x, const struct ir_insn *in);
void x64_cold_round(struct x64 *x, const struct cold_path *c); /* ROUND */

/* A branch that is taken unless exceptions trap: its position. */
uint32_t x64_unless_trapping(struct x64 *x);

#endif
