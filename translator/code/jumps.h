/*
 * Where indirect branches lead: jump caches, which generated code asks itself, and far jumps behind
 * them.
 *
 * Model. A jump cache maps pc to code, by address space and tb_flags; kernel code has one for all
 * spaces, which only blocks of global pages enter. A space whose kernel runs from other pages gets one of its
 * own for it, when the first block of those is found, which then has global ones too, and gives it up as any
 * does. A vCPU has a pool of them. What they lose to another jump with the same entry is kept in a larger
 * table of far jumps, where an entry counts only under the number that its jump cache had, a new one each
 * time that it is emptied.
 *
 * Invariants
 *   1. Jump caches hold LIVE blocks only: they are filled under the world's lock, or the block is looked
 *      at again behind that, and one that becomes stale is taken out of those of all vCPUs. Far jumps may
 *      hold others.
 *   2. A jump cache is emptied when a generation moves under which it was filled: its space's, that of
 *      global pages, or for a space's own of kernel code both.
 *
 * Derived data of one vCPU, and its thread's, except that others take entries out, under the lock.
 */
#ifndef TRANSLATOR_CODE_JUMPS_H
#define TRANSLATOR_CODE_JUMPS_H

#include "translator/code/cache.h"

#define GLOBAL_KEY (~UINT64_C(0)) /* the space of kernel code in global pages */

enum { JC_POOL = 16, JC_FILLS = 512, FAR_JUMP_BITS_FIRST = 8, FAR_JUMP_BITS = 15 };
_Static_assert(GW_JC_BITS <= 16, "jump_cache.filled names entries");

struct jump_cache {
    uint64_t key;
    uint32_t flags;
    uint32_t gen; /* generation of what it holds */
    uint32_t id;  /* of the same, in the far jumps; never 0 */
    bool valid;
    bool own; /* a space's own, of kernel code: global pages' blocks are in it too */
    /* Which entries were filled since it was emptied, in turn; more than there is room for: any. */
    uint32_t fills;
    uint16_t filled[JC_FILLS];
    uint64_t used;
    struct gw_jump_entry *entry; /* 1 << GW_JC_BITS */
};

struct far_jump {
    uint64_t pc;
    uint32_t id; /* of the jump cache; 0: empty */
    uint32_t tb; /* if that is live */
};

struct jumps {
    struct jump_cache pool[JC_POOL];
    struct jump_cache *current;
    uint32_t own;         /* in the pool */
    uint64_t takes;       /* so far: while it stays, each cache is what it was */
    uint32_t ids;         /* given to jump caches so far */
    uint64_t tick;        /* of their use */
    struct far_jump *far; /* 1 << far_bits: it grows, as most programs make little use of it */
    uint32_t far_bits;    /* at most FAR_JUMP_BITS */
    uint32_t far_fills;   /* entries made since it has that size; it grows with an eighth of that */
};

bool jumps_open(struct jumps *j);
void jumps_close(struct jumps *j);

/* What the cache of e->view goes by: its fetch_key, or GLOBAL_KEY. hint: where it was last. */
uint64_t jumps_key(const struct engine *e, uint8_t hint);
/* Is there a cache of that space, under e->flags? Then it is the current one, empty if the vCPU knows another
 * generation by now; *hint: where it was last. Without the lock. False: jumps_select(). */
bool jumps_go_on(struct engine *e, uint64_t key, uint8_t *hint);
/* The same of the cache in that place of the pool, while jumps.takes is what it was when it was that space's, and
 * the vCPU knows the generation that it has. */
bool jumps_return(struct engine *e, uint8_t place);
/* The same while e->moves is what it was when it was the current one. */
static inline void jumps_choose(struct engine *e, struct jump_cache *jc)
{
    e->jumps->current = jc;
    e->run->jump_cache = jc->entry;
}
/* Under the lock. Makes the cache of that space, under e->flags, the current one; *hint: where it was last. */
void jumps_select(struct engine *e, uint64_t key, uint8_t *hint);
/* Puts the block, which was just found by this vCPU, in, if it may be there. Under the lock, unless blocks
 * stay in place and it is ready: it has an entry, and there is a cache for it. False: it is stale by now. */
bool jumps_ready(const struct engine *e, uint32_t tb, bool global);
bool jumps_insert(struct engine *e, uint32_t tb, bool global);
/* Is the block at run.pc among the far jumps? Then it is entered at e->at. Under the lock, unless blocks
 * stay in place (code_cache.fixed). */
bool jumps_far(struct engine *e);

/* Takes the block out of all vCPUs' caches. */
void jumps_drop(struct engine *e, const struct tb *tb);
/* Empties those of a space, which go on under another generation; and all. */
void jumps_clear_of(struct jumps *j, uint64_t key, uint32_t gen);
void jumps_clear(struct jumps *j);

#endif
