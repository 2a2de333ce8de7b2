/* Lowering of AMO and CAS. */
#ifndef A64_ATOMIC_H
#define A64_ATOMIC_H

#include "backend-aarch64/a64_block.h"

bool a64_lower_atomic(struct a64 *x, const struct ir_insn *in);
void a64_cold_atomic(struct a64 *x, const struct cold_path *c);

#endif
