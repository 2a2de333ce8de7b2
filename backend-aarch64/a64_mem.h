/* Lowering of accesses to guest memory. */
#ifndef A64_MEM_H
#define A64_MEM_H

#include "backend-aarch64/a64_block.h"

bool a64_lower_mem(struct a64 *x, const struct ir_insn *in);
void a64_cold_access(struct a64 *x, const struct cold_path *c);

#endif
