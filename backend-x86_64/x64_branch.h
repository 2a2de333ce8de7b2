/* The ways out of a block. */
#ifndef X64_BRANCH_H
#define X64_BRANCH_H

#include "backend-x86_64/x64_block.h"

void x64_enter_block(struct x64 *x); /* takes the block off the budget, or leaves */
bool x64_lower_branch(struct x64 *x, const struct ir_insn *in);
void x64_cold_branch(struct x64 *x, const struct cold_path *c);
/* host_backend.patch */
void x64_patch(uint8_t *block, uint64_t block_rx, const struct gw_link_desc *link, uint64_t target,
               bool gen_global, uint32_t gen, uint64_t page);
/* host_backend.door */
void x64_door(uint8_t out[GW_DOOR_BYTES], uint64_t base, uint64_t target);

#endif
