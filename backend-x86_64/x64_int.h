/* Integer operations. Each file of lowering takes the operations that are its own and says false to the
 * rest, which are then evaluated in C (x64_call.h). */
#ifndef X64_INT_H
#define X64_INT_H

#include "backend-x86_64/x64_block.h"

bool x64_lower_int(struct x64 *x, const struct ir_insn *in); /* x64_int.c */
bool x64_lower_mul(struct x64 *x, const struct ir_insn *in); /* x64_mul.c: products and quotients */
void x64_cold_divide(struct x64 *x, const struct cold_path *c);

static inline unsigned x64_width(const struct ir_insn *in)
{
    return in->type == IR_W32 ? 0 : X_W;
}

#endif
