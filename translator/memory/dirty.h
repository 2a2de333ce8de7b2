/*
 * The log of written pages: see godwit/dirty.h, docs/model/dirty_log.pml.
 *
 * Model. While the log runs, a page is clean (GW_RAM_CLEAN), or it is in the log. Stores to a clean page
 * come to the slow path, as those to code do; who takes the flag off puts the page into the log. A page
 * that is collected loses its write entries and is clean again.
 *
 * Invariants
 *   1. A page becomes clean with the world stopped, and has no write entry then, in any vCPU's maps.
 *   2. It is out of the log before it is clean, and clean no more before it is in the log: so a page that
 *      is not clean is in the log, or will be by whoever took the flag off.
 *   3. A vCPU marks a page while it is inside, before or after its write. A device marks behind its write.
 */
#ifndef TRANSLATOR_MEMORY_DIRTY_H
#define TRANSLATOR_MEMORY_DIRTY_H

#include "godwit/dirty.h"
#include "translator/parts.h"

/* A world's. */
struct dirty_log {
    struct gw_dirty api;
    struct engine_world *world;
    bool runs;
    /* NULL: it never ran. Atomic. They stay until the end, since a device may be about to mark. */
    uint64_t *page;  /* a bit for each page that is in the log */
    uint64_t *group; /* a bit for each word of these that may not be 0 */
    uint64_t marked; /* atomic: pages since the last collection, or a few more or less */
};

void dirty_close(struct dirty_log *l);
/* A page of RAM that was found clean is being written, or was. Any thread. */
void dirty_mark(struct engine_world *w, uint64_t paddr);
/* Any of its pages may be clean, and some of it may be no RAM. */
void dirty_written(struct engine_world *w, uint64_t paddr, uint64_t size);

#endif
