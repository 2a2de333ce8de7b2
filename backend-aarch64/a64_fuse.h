/*
 * Operations that become part of the one that uses them: a shift or rotate by a constant as an operand of
 * arithmetic, a product that is added, bits that are tested. Such a value has one use; it is written by nobody, and
 * its operands live until that use.
 */
#ifndef A64_FUSE_H
#define A64_FUSE_H

#include "backend-aarch64/a64_block.h"

/* Is the instruction being lowered to wait for its use? Then nothing is emitted for it now. */
bool a64_fuse_waits(struct a64 *x, const struct ir_insn *in);

/* What the operand waits for, or NULL: it is a value as any other. */
static inline const struct ir_insn *a64_fused(const struct a64 *x, ir_val v)
{
    return x->waits[v] ? &x->b->insn[v] : NULL;
}

/* A shift's amount and kind, as operands have it. */
enum a64_shift a64_fused_shift(const struct a64 *x, const struct ir_insn *s, unsigned *by);

/* So many low bits of its operand are the value, or 0: it is something else. */
unsigned a64_fused_bits(const struct a64 *x, const struct ir_insn *in);

#endif
