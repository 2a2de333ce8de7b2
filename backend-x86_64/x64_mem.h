/* Guest memory: loads, stores, fences, atomics. */
#ifndef X64_MEM_H
#define X64_MEM_H

#include "backend-x86_64/x64_block.h"

bool x64_lower_mem(struct x64 *x, const struct ir_insn *in); /* x64_mem.c */
void x64_cold_access(struct x64 *x, const struct cold_path *c);
bool x64_lower_atomic(struct x64 *x, const struct ir_insn *in); /* x64_atomic.c */
void x64_cold_atomic(struct x64 *x, const struct cold_path *c);
void x64_cold_locked(struct x64 *x, const struct cold_path *c);

#endif
