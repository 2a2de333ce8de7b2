/* Comparisons of integers. */
#ifndef A64_COMPARE_H
#define A64_COMPARE_H

#include "backend-aarch64/a64_block.h"

/* Sets the flags; which condition of theirs it is. Operands are done. */
enum a64_cc a64_compare(struct a64 *x, enum ir_type type, enum ir_cond cc, ir_val a, ir_val b);
/* Of a BRCC: compares and branches; the branch's position. Operands are done. */
uint32_t a64_branch_if(struct a64 *x, const struct ir_insn *in);
bool a64_lower_compare(struct a64 *x, const struct ir_insn *in);

#endif
