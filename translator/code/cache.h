/*
 * The code cache: the memory that blocks are made in, and the lists of what belongs to them.
 *
 * Model. Memory is filled from the start and emptied as a whole. How blocks are found is in table.h,
 * how they hang on their pages in pages.h, how they lead to one another in links.h, what was in a
 * block at a place in its code in position.h.
 *
 * The vCPUs of a machine share one cache of generated code, under the world's lock; what the
 * interpreter runs holds addresses of one vCPU's state, so each has a cache of its own, and it is that
 * vCPU's thread's. What follows is called under the lock.
 *
 * Invariants
 *   1. Blocks' code offsets ascend with their numbers.
 *   2. The cache is emptied with the world stopped only: no vCPU is in it, or has a block's number.
 */
#ifndef TRANSLATOR_CODE_CACHE_H
#define TRANSLATOR_CODE_CACHE_H

#include "translator/code/block.h"
#include "translator/code/code_mem.h"
#include "translator/vec.h"
#include "translator/world.h"

struct code_page;
struct tb_table;

/* Derived data throughout. */
struct code_cache {
    /* Memory: of generated code, or of the interpreter's. */
    size_t wanted; /* bytes asked for; what there is may be less */
    struct code_mem mem;
    uint8_t *interp_mem;
    size_t interp_used, interp_size;
    uint32_t runtime_size;     /* thunks come first */
    uint32_t doors, doors_end; /* the next door's place, and the end of those there are */
    struct gw_entry_points ep;
    uint64_t flushes; /* times that it was emptied: a number of before names nothing any more */

    struct vec tbs;          /* struct tb */
    struct vec places;       /* uint64_t, atomic: a block's offset << 32 | its size */
    struct vec links;        /* struct link */
    struct vec rows, guests; /* struct gw_row; int32_t, offset from pc of each guest instruction */
    uint32_t complete;       /* atomic: blocks that may be looked at without the lock */
    bool fixed;              /* the arrays above stay where they are */

    /* table.c */
    struct tb_table *table; /* atomic; NULL: not open yet */
    uint32_t table_count;

    /* pages.c */
    struct code_page *pages;
    uint32_t page_cap, page_count;
    struct vec nodes;
    uint32_t node_free; /* list of nodes that are not used */
};

static inline struct tb *cc_tb(const struct code_cache *c, uint32_t i)
{
    return (struct tb *)c->tbs.data + i;
}
/* Blocks that may be looked at without the lock: all that this vCPU has found or was led to are among them. */
static inline uint32_t cc_complete_count(const struct code_cache *c)
{
    return __atomic_load_n(&c->complete, __ATOMIC_ACQUIRE);
}
/* What a piece of code takes of the memory. */
static inline size_t cc_room(uint32_t size)
{
    return (size + 15) & ~(size_t)15;
}
/* Where its code runs. */
static inline uint64_t tb_rx(const struct code_cache *c, const struct tb *tb)
{
    return c->mem.rx + tb->code;
}
/* What a jump cache holds for it; NULL: it has no door yet. */
static inline void *tb_entry(const struct code_cache *c, const struct tb *tb)
{
    if (tb->interp)
        return tb->interp;
    uint32_t door = tb->anywhere ? __atomic_load_n(&tb->door, __ATOMIC_ACQUIRE) : 0;
    if (tb->anywhere)
        return door ? (void *)(uintptr_t)(c->mem.rx + door) : NULL;
    return (void *)(uintptr_t)tb_rx(c, tb);
}

/* Does the vCPU stand for a cache, when all of them are gone through? */
static inline bool cc_of_its_own(const struct engine_world *w, unsigned vcpu)
{
    return w->engine[vcpu] && (vcpu == 0 || w->engine[vcpu]->interp);
}

/* Chooses e->cc, and opens it if no other vCPU has. */
enum gw_status cc_open(struct engine *e, struct gw_error *err);
void cc_close(struct code_cache *c);
/* The world has become shared: all code is made anew, for several threads. */
void cc_share(struct engine *e);
/* Empties e->cc, and the jump caches of all vCPUs that use it. */
void cc_flush(struct engine *e);
/* A place for one more block, the last. False: none is left. When the block is in it, and all that belongs
 * to it, it is complete. */
bool cc_add(struct code_cache *c);
void cc_complete(struct code_cache *c, uint32_t i);
/* Bytes of code were written that run at rx. */
static inline void cc_written(const struct engine *e, uint64_t rx, size_t size)
{
    if (e->cfg.backend->flush)
        e->cfg.backend->flush(rx, size);
}
/* Makes the door of a block that runs anywhere. False: there is no room. */
bool cc_add_door(struct engine *e, struct tb *tb);
/* Takes the memory of a block that ran once back, if it is the newest. */
void cc_drop_last(struct code_cache *c, uint32_t i);

#endif
