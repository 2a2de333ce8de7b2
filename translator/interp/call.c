/*
 * Helper calls by C's own means.
 */
#include "translator/interp/interp.h"

static uint64_t call(const struct interp_caller *self, const struct gw_helper *helper, void *cpu,
                     uint64_t a, uint64_t b, uint64_t c)
{
    (void)self;
    return helper->fn(cpu, a, b, c);
}

const struct interp_caller interp_direct_caller = {.call = call};
