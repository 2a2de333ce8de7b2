/*
 * Views: what data accesses and fetches of a vCPU go by now, and how a flush takes back what derives
 * from the guest's tables. A view's parts are a page map (page_map.h), a space (code/spaces.h) and a jump
 * cache (code/jumps.h); each has a pool of its own. The vCPU's thread.
 */
#ifndef TRANSLATOR_MEMORY_VIEWS_H
#define TRANSLATOR_MEMORY_VIEWS_H

#include "translator/memory/page_map.h"
#include "translator/parts.h"

enum { HINT_BITS = 7, CONTEXT_BITS = 6, LATE_FLUSHES = 16 };

/* Where a view's parts were found the last time. */
struct view_hint {
    uint8_t map, space, jumps;
};

/* What was derived for a state of the guest's that guest_isa.context names, and where its parts are. Traps and
 * returns from them go to and fro between a few: the parts are looked at whether they still are what they were,
 * and nothing is derived. */
struct view_context {
    uint64_t key[2];
    /* While both are what they were, and what they are about, there is nothing to look at: the parts are chosen as
     * they stand here. */
    uint64_t moves, changes; /* engine.moves, spaces.changes */
    struct map_choice chosen;
    struct jump_cache *cache;
    struct gw_view view;
    uint64_t takes; /* jumps.takes then */
    uint32_t flags, fp_control, gen;
    uint8_t map, space, jumps;
    bool fp, anywhere, valid;
};

/* A flush that came while the vCPU was outside: then others may be at its maps. */
struct late_flush {
    uint64_t vaddr, asid;
    int vaddr_all, asid_all; /* as gw_hooks.flush has them */
};

struct views {
    struct view_hint hint[1u << HINT_BITS];
    struct view_context context[1u << CONTEXT_BITS];
    uint32_t late_count;
    struct late_flush late[LATE_FLUSHES];
};

/* Derives e->flags, e->fp and e->view anew, and makes their parts current. */
void views_refresh(struct engine *e);
/* The same for a state that is known, where all is as it was then. False: views_refresh(), as nothing has been
 * done. Takes no lock. */
bool views_return(struct engine *e);
/* See gw_hooks. */
void views_data(void *cpu, uint64_t bits);
bool views_flush(void *cpu, uint64_t vaddr, int vaddr_all, uint64_t asid, int asid_all);
/* Coming in: does what was asked while the vCPU was outside. */
void views_catch_up(struct engine *e);

#endif
