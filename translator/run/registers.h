/* Registers by the guest's table (gw_reg), for those who watch a CPU that does not run. */
#ifndef TRANSLATOR_RUN_REGISTERS_H
#define TRANSLATOR_RUN_REGISTERS_H

#include "godwit/guest_isa.h"

/* False: the CPU does not have it. */
bool registers_get(const struct guest_isa *isa, void *cpu, const struct gw_reg *r, uint64_t *value);
/* False: that, or it can't hold the value, and is as it was. */
bool registers_set(const struct guest_isa *isa, void *cpu, const struct gw_reg *r, uint64_t value);

#endif
