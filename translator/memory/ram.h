/* Accesses to RAM by C. Aligned ones are whole: other vCPUs see all of one or nothing. */
#ifndef TRANSLATOR_MEMORY_RAM_H
#define TRANSLATOR_MEMORY_RAM_H

#include <stdbool.h>
#include <stdint.h>

#include "godwit/bus.h"

/* Pages of RAM, through all its regions in the bus's order: how many there are, and the number of
 * paddr's; ~0: it is not in RAM. */
uint64_t ram_pages(const struct gw_bus *bus);
uint64_t ram_page_number(const struct gw_bus *bus, uint64_t paddr);

/* size: 1 to 8. */
uint64_t ram_load(const uint8_t *p, unsigned size);
void ram_store(uint8_t *p, unsigned size, uint64_t v);
/* One try of an aligned size-byte compare-and-swap; *old becomes what was there. */
bool ram_swap(void *p, unsigned size, uint64_t *old, uint64_t value);

#endif
