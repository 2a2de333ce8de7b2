#ifndef X64_COMPARE_H
#define X64_COMPARE_H

#include "backend-x86_64/x64_block.h"

/* Sets the host's flags for (a cc b), consumes both, returns the host's condition. */
unsigned x64_compare(struct x64 *x, enum ir_type type, enum ir_cond cc, ir_val a, ir_val b);
bool x64_lower_compare(struct x64 *x, const struct ir_insn *in); /* SETCC, SELECT */

#endif
