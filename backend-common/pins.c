#include "backend-common/pins.h"

#include <string.h>

static void pin_floats(struct pins *p, const uint16_t *hot, const uint8_t *regs, unsigned count)
{
    enum { REACH = sizeof p->of_float };
    uint16_t first = UINT16_MAX, last = 0;
    for (unsigned k = 0; k < count; k++)
        if (hot[k] < first)
            first = hot[k];
    for (unsigned k = 0; k < count; k++) {
        unsigned index = (hot[k] - first) / 8u;
        if (index >= REACH)
            continue;
        p->of_float[index] = (int8_t)regs[k];
        p->offset[regs[k]] = hot[k];
        if (hot[k] > last)
            last = hot[k];
    }
    p->float_first = count ? first : 1;
    p->float_last = count ? last : 0;
}

void pins_begin(struct pins *p, const struct guest_isa *isa, const uint8_t *ints,
                unsigned int_count, const uint8_t *floats, unsigned float_count)
{
    memset(p, 0xff, sizeof *p);
    for (unsigned k = 0; k < int_count && k < isa->hot_gpr_count; k++) {
        p->of_int[isa->hot_gprs[k] / 8] = (int8_t)ints[k];
        p->offset[ints[k]] = isa->hot_gprs[k];
    }
    pin_floats(p, isa->hot_fprs, floats,
               float_count < isa->hot_fpr_count ? float_count : isa->hot_fpr_count);
}
