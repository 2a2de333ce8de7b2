/*
 * What was at a place in generated code: its block, the row of the side table there, the guest
 * instruction. Asked on the ways out of code that are not a block's own.
 *
 * Model. Blocks ascend in memory, so the last that begins at or before the place has it. Traps come from
 * few places again and again, so a vCPU remembers what it has found, until the cache is emptied. What is
 * not there it finds without the lock: blocks are added behind those that there are, in arrays that stay
 * where they are (code_cache.fixed), and only then counted (code_cache.complete); who is inside keeps its own
 * block from going. Behind that, the newest may be taken back and others made in their place meanwhile: of
 * those a search sees where they begin, then or now, which is further on either way.
 */
#ifndef TRANSLATOR_CODE_POSITION_H
#define TRANSLATOR_CODE_POSITION_H

#include "translator/code/cache.h"

enum { POSITIONS = 256 };

struct position {
    uint64_t host; /* 0: empty */
    uint64_t pc;   /* of the guest instruction; anywhere: from run.page on */
    uint64_t slow; /* an access: where its slow path is */
    uint32_t left; /* guest instructions of the block from there on */
    enum gw_row_kind kind;
    bool anywhere; /* its block runs at any address */
};

/* Derived data of one vCPU, and its thread's. */
struct positions {
    uint64_t flushes; /* of the cache, when these were found */
    struct position at[POSITIONS];
};

/* What is at the host address, or was right ahead of it (a call's return address), with a row of that
 * kind; NULL: no such place. Good until the next call. By the thread of a vCPU that is inside. */
const struct position *position_find(struct engine *e, uint64_t host, enum gw_row_kind kind);

#endif
