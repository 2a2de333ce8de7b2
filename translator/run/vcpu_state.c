/* What a vCPU keeps beside the guest's registers that is state: its counts. */
#include "translator/engine.h"

/* Of all vCPUs together, INT64_MAX instructions at most: times are made of them. */
static enum gw_status check(const void *object, struct gw_error *err)
{
    const struct gw_vcpu *run = object;
    if (run->insns_base > INT64_MAX || run->other_insns > INT64_MAX - run->insns_base)
        return gw_fail(err, GW_ERR_FORMAT, "vcpu", "more instructions than can have retired");
    return GW_OK;
}

static void post_load(void *object)
{
    struct gw_vcpu *run = object;
    run->budget = 0;
}

/* They were a part of the machine's, in an array of all vCPUs, as many as there could be then. */
enum { VCPUS_THEN = 8 };

static void upgrade(void *object, struct state_saved *from)
{
    struct gw_vcpu *run = object;
    run->insns_base = from->get(from, "retired_insns", from->number);
    for (unsigned i = 0; i < VCPUS_THEN; i++)
        run->other_insns += i == from->number ? 0 : from->get(from, "retired_insns", i);
}

static const struct state_field fields[] = {
    {.name = "retired_insns", /* there is no budget at a safe point */
     .type = STATE_U64,
     .offset = offsetof(struct gw_vcpu, insns_base),
     .count = 1,
     .since = 1},
    STATE_SCALAR_SINCE(1, struct gw_vcpu, other_insns, STATE_U64),
};

const struct state_desc engine_vcpu_state = {
    .name = "vcpu",
    .version = 1,
    .part_of = {.section = "machine", .oldest = 2, .newest = 2},
    .fields = fields,
    .field_count = STATE_COUNT_(fields),
    .check = check,
    .upgrade = upgrade,
    .post_load = post_load,
};
