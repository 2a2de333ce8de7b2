/* Lowering of integer operations. */
#ifndef A64_INT_H
#define A64_INT_H

#include "backend-aarch64/a64_block.h"

/* False: it has none for that, and nothing was emitted. */
bool a64_lower_int(struct a64 *x, const struct ir_insn *in);

#endif
