#include "backend-x86_64/x64_layout.h"

#include <string.h>

void x64_prepare(struct gw_backend_config *cfg)
{
    static const uint8_t ints[] = {RBX, RSI, RDI, R8, R9, R10, R11, R12, R13};
    static const uint8_t floats[] = {XMM4,     XMM4 + 1, XMM4 + 2, XMM4 + 3, XMM4 + 4,  XMM4 + 5,
                                     XMM4 + 6, XMM4 + 7, XMM4 + 8, XMM4 + 9, XMM4 + 10, XMM4 + 11};
    struct x64_target *t = (struct x64_target *)(void *)cfg->target;
    bool user = cfg->mem == GW_MEM_USER;
    pins_begin(&t->pins, cfg->isa, ints, user ? 9 : 8, floats, sizeof floats);
    t->budget = -1;
    if (user) { /* thunks take it for a pinned register whose slot it is */
        t->budget = R15;
        t->pins.offset[R15] = (uint16_t)X64_RUN_OFFSET(budget);
    }
}
