/*
 * Blocks by the pages that their bytes are on, and what becomes of them when a page changes.
 *
 * Model. A machine's page with blocks is marked GW_RAM_CODE, so stores to it come here first. Then its
 * blocks are made stale: cut off from all that leads to them. When one is wanted again, a hash of its
 * bytes tells whether it is what it was; if so it is revived. In user mode nothing is marked, and
 * user mode tells (engine_code_changed).
 *
 * A page's list holds its live blocks, and such as went stale for another reason: those that went stale
 * with it are taken off, since a page that is rewritten often would have many.
 *
 * Invariants
 *   1. A page holds a LIVE block only while it is marked. It is marked before its bytes are read, and
 *      with the world stopped: see memory/protect.h.
 *   2. A stale block is compared with memory, by hash, before it becomes LIVE again.
 *   3. Each LIVE block that can be found again is on the lists of all its pages.
 *
 * A page's number: physical in a machine, virtual in user mode. Under the world's lock.
 */
#ifndef TRANSLATOR_CODE_PAGES_H
#define TRANSLATOR_CODE_PAGES_H

#include "translator/code/cache.h"

bool pages_open(struct code_cache *c);
void pages_close(struct code_cache *c);
/* e->cc is being emptied: takes the marks off, unless other caches may have blocks there. */
void pages_clear(struct engine *e);

/* Puts the block into the lists of its pages where it is not. False: out of memory, it must not be
 * found again. */
bool pages_list(struct engine *e, uint32_t i);
/* Nothing leads to the block any more, and it is not run again unless it is revived. */
void pages_make_stale(struct engine *e, struct tb *tb);
/* Makes a stale block LIVE again if no breakpoint is in it and bytes, which are what it would be made of
 * now, are the same. */
bool pages_revive(struct engine *e, uint32_t i, const uint8_t *bytes);
/* A block of a program (guest_isa.anywhere) that starts on the physical page; NULL: none has come since the page
 * changed. All of those that are live are of one kind: they run anywhere, or have one address. */
const struct tb *pages_program(struct engine *e, uint64_t paddr);
/* Those of the page, which have one address, are made stale: it is found at another. */
void pages_leave_address(struct engine *e, uint64_t paddr);
uint64_t pages_hash(const uint8_t *bytes, uint32_t count);

/* Everything translated from the page may change: before it does. Takes the lock itself. */
void pages_changed(struct engine *e, uint64_t page);

#endif
