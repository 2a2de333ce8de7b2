/* Registers by the guest's table: see registers.h. */
#include "translator/run/registers.h"

#include <string.h>

static const struct state_field *field_of(const struct guest_isa *isa, const struct gw_reg *r)
{
    const struct state_desc *s = isa->state;
    for (uint32_t i = 0; i < s->field_count; i++)
        if (r->field && !strcmp(s->fields[i].name, r->field))
            return &s->fields[i];
    return NULL;
}

bool registers_get(const struct guest_isa *isa, void *cpu, const struct gw_reg *r, uint64_t *value)
{
    const struct state_field *f = field_of(isa, r);
    if (!f)
        return isa->reg_get(cpu, r->number, value);
    *value = state_get(cpu, f, r->number);
    return true;
}

bool registers_set(const struct guest_isa *isa, void *cpu, const struct gw_reg *r, uint64_t value)
{
    const struct state_field *f = field_of(isa, r);
    struct gw_error err;
    if (!f)
        return isa->reg_set(cpu, r->number, value);
    uint64_t old = state_get(cpu, f, r->number);
    state_set(cpu, f, r->number, value);
    if (isa->state->check && isa->state->check(cpu, &err) != GW_OK) {
        state_set(cpu, f, r->number, old);
        return false;
    }
    if (r->group == GW_REG_SYSTEM && isa->state->post_load)
        isa->state->post_load(cpu);
    return true;
}
