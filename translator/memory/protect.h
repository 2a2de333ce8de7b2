/*
 * Pages of RAM that are taken out of inline reach of stores, by a flag of bus.h: since code, or a
 * reservation, is on them. Stores to them come to the slow path then, which looks at the flags. They
 * come back in when it has taken the flag off.
 *
 * Invariant: a page gets a flag with the world stopped, and loses its write entries in the maps of all
 * vCPUs before the world goes on; so no vCPU has an addend of it in flight.
 * docs/model/code_pages.pml, reservations.pml.
 */
#ifndef TRANSLATOR_MEMORY_PROTECT_H
#define TRANSLATOR_MEMORY_PROTECT_H

#include "translator/world.h"

/* Does a store to the page come to the slow path for that flag? True of what is no RAM. */
bool protect_stands(const struct engine *e, uint64_t paddr, uint8_t flag);
/* The world is stopped, or has this one vCPU. */
void protect_page(struct engine *e, uint64_t paddr, uint8_t flag);

#endif
