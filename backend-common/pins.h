/*
 * Which guest registers are pinned, and where: as many of the guest's hottest (guest_isa.hot_gprs and
 * hot_fprs) as a backend gives host registers to. Part of its tables (gw_backend_config.target).
 */
#ifndef BACKEND_COMMON_PINS_H
#define BACKEND_COMMON_PINS_H

#include "godwit/guest_isa.h"
#include "backend-common/regs.h"

enum { PINS_NONE = 0xffff };

struct pins {
    int8_t of_int[GW_VCPU_OFFSET / 8]; /* by state offset / 8: register, or REG_NONE */
    uint16_t float_first, float_last;  /* range of pinned float offsets; empty: first > last */
    int8_t of_float[64];               /* by (offset - float_first) / 8 */
    uint16_t offset[REG_COUNT];        /* register -> state offset, or PINS_NONE */
};

/* Pins the hottest registers to those, in their order, as many as there are of both. Floats that lie
 * further apart than of_float reaches are left out. */
void pins_begin(struct pins *p, const struct guest_isa *isa, const uint8_t *ints,
                unsigned int_count, const uint8_t *floats, unsigned float_count);

/* The register that holds the state at offset, accessed as 1 << size bytes; or REG_NONE. */
static inline int pins_int(const struct pins *p, uint32_t offset, unsigned size)
{
    return size == 3 && offset < GW_VCPU_OFFSET && !(offset & 7) ? p->of_int[offset >> 3]
                                                                 : REG_NONE;
}

static inline int pins_float(const struct pins *p, uint32_t offset, unsigned size)
{
    if (offset < p->float_first || offset > p->float_last || size != 3)
        return REG_NONE;
    return p->of_float[(offset - p->float_first) >> 3];
}

#endif
