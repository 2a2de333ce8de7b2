/* C that generated code calls: helpers, and ir_eval for what has no lowering. */
#ifndef X64_CALL_H
#define X64_CALL_H

#include "backend-x86_64/x64_block.h"

bool x64_lower_call(struct x64 *x, const struct ir_insn *in);
/* Is it a call whose thunk leaves the block (GW_HELPER_ENDS)? */
bool x64_ends_block(const struct x64 *x, const struct ir_insn *in);
/* The default helper: any pure or float operation. */
void x64_lower_eval(struct x64 *x, const struct ir_insn *in);
/* From a cold path: operands are in registers of their class, as the result is to be. Keeps all others. */
void x64_eval(struct x64 *x, const struct ir_insn *in, const struct cold_eval *v);

#endif
