/*
 * What was at a place in generated code: its block, the row of the side table there, the guest
 * instruction. Asked on the ways out of code that are not a block's own. Under the world's lock.
 */
#ifndef TRANSLATOR_CODE_POSITION_H
#define TRANSLATOR_CODE_POSITION_H

#include "translator/code/cache.h"

/* The block that the host address is in, or right behind (a call's return address); or NO_TB. */
uint32_t position_block(const struct code_cache *c, uint64_t host);
/* The block's row of that kind just there, or NULL. */
const struct gw_row *position_row(const struct code_cache *c, const struct tb *tb, uint64_t host,
                                  enum gw_row_kind kind);
/* Address of the block's guest instruction number `guest`. */
uint64_t position_pc(const struct code_cache *c, const struct tb *tb, unsigned guest);

#endif
