/*
 * The next block: by the jump cache, by far jumps, or looked up, revived or translated. Whoever finds
 * one has it in e->at. The vCPU's thread, inside; takes the world's lock itself, and stops the world
 * where a lookup needs that.
 *
 * A lookup walks the guest's tables without the lock, then looks at the block table under it; if a
 * fence came in between, the walk is made again. docs/map-protocol.md; docs/model/code_pages.pml,
 * generations.pml, reclaim.pml.
 */
#ifndef TRANSLATOR_RUN_FIND_H
#define TRANSLATOR_RUN_FIND_H

#include "translator/parts.h"

enum found {
    FOUND_BLOCK,   /* at e->at */
    FOUND_HANDLER, /* fetching faulted in a machine: the guest's handler was entered */
    FOUND_FAULT,   /* fetching faulted in user mode: run.fault */
    FOUND_BREAK,   /* a breakpoint of this vCPU is at run.pc */
};

/* The block at run.pc. limit: most guest instructions, and it runs once; 0: any. */
enum found find_block(struct engine *e, uint32_t limit);
/* The first block to run; then what follows the one at e->at, which was left by x: GW_EXIT_LINK or
 * GW_EXIT_INDIRECT. Links what can be. */
enum found find_first(struct engine *e);
/* The code at run.pc by the vCPU's jump cache alone; NULL: it has none. */
void *find_near(const struct gw_vcpu *run);
enum found find_next(struct engine *e, enum gw_exit_kind x);
/* The block at e->at has run, and runs once: its memory is taken back if it can be. */
void find_drop(struct engine *e);

#endif
