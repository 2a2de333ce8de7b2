#include "backend-aarch64/a64_layout.h"

void a64_prepare(struct gw_backend_config *cfg)
{
    static const uint8_t ints[] = {4,  5,  6,  7,  8,  9,  10, 11, 12, 13,
                                   14, 15, 19, 20, 21, 22, 23, 24, 29, R_WRITE};
    uint8_t floats[24];
    struct a64_target *t = (struct a64_target *)(void *)cfg->target;
    bool user = cfg->mem == GW_MEM_USER;
    for (unsigned k = 0; k < sizeof floats; k++)
        floats[k] = (uint8_t)(A64_PINNED_VECTORS + k);
    pins_begin(&t->pins, cfg->isa, ints, sizeof ints - !user, floats, sizeof floats);
    t->pins.offset[R_BUDGET] = (uint16_t)A64_RUN(budget); /* thunks take it for a pinned one */
}
