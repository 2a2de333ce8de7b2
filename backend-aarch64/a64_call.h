/* Calls of C: helpers, and operations that are evaluated there. */
#ifndef A64_CALL_H
#define A64_CALL_H

#include "backend-aarch64/a64_block.h"

bool a64_lower_call(struct a64 *x, const struct ir_insn *in);
/* Any pure operation, by gw_runtime.eval. */
void a64_lower_eval(struct a64 *x, const struct ir_insn *in);
/* The same from a cold path: operands and result are in those registers, all others stay as they are. */
void a64_eval(struct a64 *x, const struct ir_insn *in, const struct cold_eval *v);

#endif
