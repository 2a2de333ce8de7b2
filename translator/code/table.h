/*
 * The table of blocks: which of them there are for (pc, physical addresses, tb_flags). Open addressing
 * by a key of those, a tag of which spares a look at blocks that can't match. Blocks of one page lie
 * close together. A block is never taken out: it becomes stale, and may be revived in its place.
 * Derived data of a code cache, under the same lock; where blocks stay in place (code_cache.fixed) it is
 * looked at without it too. A table that has become too small is kept for those who look at it, until the
 * cache is emptied.
 */
#ifndef TRANSLATOR_CODE_TABLE_H
#define TRANSLATOR_CODE_TABLE_H

#include "translator/code/cache.h"

/* All that tells a block from others. */
struct tb_id {
    uint64_t pc, paddr, paddr2;
    uint32_t flags;
    bool anywhere; /* at any pc */
};

bool table_open(struct code_cache *c);
void table_close(struct code_cache *c);
void table_clear(struct code_cache *c);

/* Block i, which is complete (cc_complete), can be found from now on; or not, if memory is out: then it will be
 * translated again. */
void table_add(struct code_cache *c, uint32_t i);

/* A look for the blocks of one id, live or stale: NO_TB when there is no further one. Without the lock, it
 * may miss such as are added meanwhile. */
struct table_look {
    const struct tb_table *in;
    const struct tb_id *id;
    uint32_t at, tag;
};
struct table_look table_look(const struct code_cache *c, const struct tb_id *id);
uint32_t table_next(const struct code_cache *c, struct table_look *look);

#endif
