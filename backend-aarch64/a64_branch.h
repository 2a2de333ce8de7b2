/* Lowering of what leaves a block; links. */
#ifndef A64_BRANCH_H
#define A64_BRANCH_H

#include "backend-aarch64/a64_block.h"

void a64_enter_block(struct a64 *x); /* takes the block's length off the budget */
bool a64_lower_branch(struct a64 *x, const struct ir_insn *in);
void a64_cold_branch(struct a64 *x, const struct cold_path *c);

/* host_backend.patch, host_backend.door */
void a64_patch(uint8_t *block, uint64_t block_rx, const struct gw_link_desc *link, uint64_t target,
               bool gen_global, uint32_t gen, uint64_t page);
void a64_door(uint8_t out[GW_DOOR_BYTES], uint64_t base, uint64_t target);

#endif
