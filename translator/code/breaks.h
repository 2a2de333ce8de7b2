/*
 * Breakpoints: addresses that guest code is not run past without a look.
 *
 * Model. A breakpoint is a guest virtual address, in whatever address space, and the vCPUs that stop in
 * front of it. No block runs over such an address, and none that begins there can be found, linked to or
 * jumped to: so who comes there leaves generated code, and the lookup asks here. Other blocks are as they
 * were. Whoever goes on runs that one instruction alone, in a block that nothing finds again. Blocks that
 * run anywhere keep from all addresses that have a breakpoint's offset in a page.
 *
 * Invariants
 *   1. They change with the world stopped only, so who is inside may ask without a lock.
 *   2. While there is one, no LIVE block that can be found has an instruction at its address.
 */
#ifndef TRANSLATOR_CODE_BREAKS_H
#define TRANSLATOR_CODE_BREAKS_H

#include "translator/code/block.h"
#include "translator/parts.h"

struct break_at {
    uint64_t pc;
    uint32_t vcpus; /* bit n: vCPU n stops there; not 0 */
};

/* The world's; what a debugger asked for. */
struct breaks {
    struct break_at *at; /* sorted by pc */
    uint32_t count, cap;
};

void breaks_close(struct breaks *b);
/* The vCPUs that stop there; 0: it is none. */
uint32_t breaks_at(const struct breaks *b, uint64_t pc);
/* May an instruction of a block be one that vCPUs stop at? It is at pc, or anywhere with pc's offset in a
 * page. */
bool breaks_near(const struct breaks *b, uint64_t pc, bool anywhere);
/* How many of the block's instructions, which are at pc + offset[0..count), come before the first
 * breakpoint, not counting one at the first of them. */
uint32_t breaks_room(const struct breaks *b, const struct tb *tb, const int32_t *offset);

#endif
