/* What the built-in firmware knows of a hart, as it stands in a snapshot. */
#include "machine/riscv64/sbi.h"

static enum gw_status check(const void *object, struct gw_error *err)
{
    const struct sbi_hart *h = object;
    if (h->state > SBI_HART_START_PENDING && h->state != SBI_HART_SUSPENDED)
        return gw_fail(err, GW_ERR_FORMAT, "sbi", "a state that a hart cannot be found in");
    return GW_OK;
}

static void post_load(void *object)
{
    struct sbi_hart *h = object;
    gw_timer_arm(h->cpu->cfg.events, &h->timer, h->timer_ns);
}

/* It was a part of the machine's, which had arrays of all harts. */
static void upgrade(void *object, struct state_saved *from)
{
    struct sbi_hart *h = object;
    h->state = (uint8_t)from->get(from, "hart_state", from->number);
    h->at = from->get(from, "hart_at", from->number);
    h->opaque = from->get(from, "hart_opaque", from->number);
    h->timer_ns = from->get(from, "sbi_timer_ns", from->number);
}

static const struct state_field fields[] = {
    STATE_SCALAR_SINCE(1, struct sbi_hart, state, STATE_U8),
    STATE_SCALAR_SINCE(1, struct sbi_hart, at, STATE_U64),
    STATE_SCALAR_SINCE(1, struct sbi_hart, opaque, STATE_U64),
    STATE_SCALAR_SINCE(1, struct sbi_hart, timer_ns, STATE_U64),
};

const struct state_desc sbi_hart_table = {
    .name = "sbi",
    .version = 1,
    .part_of = {.section = "machine", .oldest = 2, .newest = 2},
    .fields = fields,
    .field_count = STATE_COUNT_(fields),
    .check = check,
    .upgrade = upgrade,
    .post_load = post_load,
};
