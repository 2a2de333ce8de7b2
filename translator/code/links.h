/*
 * Links: direct branches of blocks, and the blocks that they lead to.
 *
 * Model. A branch leads to its stub, which leaves for the run loop, until it is linked to a block's
 * entry. Each block lists the links that lead to it, so that it can be cut off. A link to another page
 * has a guard: it is followed only while the generation that it was made under holds (spaces.h).
 * Links of the interpreter are cells in its blocks, and numbered when they are first made.
 *
 * Invariants
 *   1. A link is made to a LIVE block, by a vCPU that knows the latest generation.
 *   2. The guard of a link never changes from one number to another while another vCPU may stand
 *      between guard and jump: it is cut off, and waits until each has been outside (world.cuts).
 *
 * Derived data of a code cache, under the world's lock. docs/map-protocol.md, docs/model/generations.pml.
 */
#ifndef TRANSLATOR_CODE_LINKS_H
#define TRANSLATOR_CODE_LINKS_H

#include "translator/code/cache.h"

struct link {
    struct gw_link_desc d;
    uint32_t owner; /* tb; NO_TB: the interpreter's */
    uint32_t to;    /* tb or NO_TB */
    uint64_t cut;   /* atomic; shared, guarded: when it was cut off last, by world.cuts */
    union {
        struct {
            uint32_t gen; /* linked, guarded: under this generation of this space */
            uint8_t space;
        };
        struct interp_link *il; /* of the interpreter's */
    };
    uint32_t next_in; /* the block's other incoming links */
    uint32_t prev_in;
};
_Static_assert(sizeof(struct link) <= 56, "there are millions");

/* Branches of block `owner`, not linked yet; the first gets number c->links.count. False: out of
 * memory. */
bool links_add(struct code_cache *c, uint32_t owner, const struct gw_link_desc *d, uint32_t count);
/* Leads the link to a block that this vCPU's walk has just found, in a global page or not. False: not
 * now, or never. */
bool links_make(struct engine *e, uint32_t link, uint32_t to, bool global);
void links_make_interp(struct engine *e, struct interp_link *il, uint32_t to, bool global);
/* The link was cut off, and other vCPUs may still be on their way through it. Under the lock, unless blocks
 * stay in place (code_cache.fixed). */
bool links_wait(struct engine *e, uint32_t link);
/* Nothing leads to the block any more. */
void links_cut_off(struct engine *e, struct tb *tb);

#endif
