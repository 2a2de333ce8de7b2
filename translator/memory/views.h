/*
 * Views: what data accesses and fetches of a vCPU go by now, and how a flush takes back what derives
 * from the guest's tables. A view's parts are a page map (page_map.h), a space (code/spaces.h) and a jump
 * cache (code/jumps.h); each has a pool of its own. The vCPU's thread.
 */
#ifndef TRANSLATOR_MEMORY_VIEWS_H
#define TRANSLATOR_MEMORY_VIEWS_H

#include "translator/parts.h"

enum { HINT_BITS = 7, LATE_FLUSHES = 16 };

/* Where a view's parts were found the last time. */
struct view_hint {
    uint8_t map, space, jumps;
};

/* A flush that came while the vCPU was outside: then others may be at its maps. */
struct late_flush {
    uint64_t vaddr, asid;
    int vaddr_all, asid_all; /* as gw_hooks.flush has them */
};

struct views {
    struct view_hint hint[1u << HINT_BITS];
    uint32_t late_count;
    struct late_flush late[LATE_FLUSHES];
};

/* Derives e->flags, e->fp and e->view anew, and makes their parts current. */
void views_refresh(struct engine *e);
/* See gw_hooks. */
void views_data(void *cpu, uint64_t bits);
void views_flush(void *cpu, uint64_t vaddr, int vaddr_all, uint64_t asid, int asid_all);
/* Coming in: does what was asked while the vCPU was outside. */
void views_catch_up(struct engine *e);

#endif
