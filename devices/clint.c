/* CLINT. Source: SiFive FU540-C000 manual, chapter 9; Priv. 1.13, 3.2.1 (mtime, mtimecmp). */
#include "clint.h"
#include "clock.h"

#define NS_PER_TICK (1000000000ull / DEV_TIMEBASE_HZ)
#define AT_MSIP     0x0u
#define AT_MTIMECMP 0x4000u
#define AT_MTIME    0xbff8u

static struct dev_clint *clint(struct gw_device *d)
{
    return (struct dev_clint *)(void *)d;
}

static uint64_t ticks(const struct dev_clint *c)
{
    return dev_now(c->d.events) / NS_PER_TICK + c->mtime_offset;
}

/* MTIP is high exactly while mtime >= mtimecmp. */
static void update_timer(struct dev_clint *c)
{
    bool due = ticks(c) >= c->mtimecmp;
    uint64_t at = c->mtimecmp - c->mtime_offset; /* in ticks of VM time */
    gw_irq_set(&c->timer, due);
    if (due || at > UINT64_MAX / NS_PER_TICK - 1)
        gw_timer_cancel(c->d.events, &c->alarm);
    else
        gw_timer_arm(c->d.events, &c->alarm, at * NS_PER_TICK);
}

static void fire(void *device, uint64_t now_ns)
{
    update_timer(device);
}

static void move_time(struct dev_clint *c, uint64_t offset)
{
    c->mtime_offset = offset;
    if (c->time_moved)
        c->time_moved(c->context, offset);
    update_timer(c);
}

static enum gw_bus_result clint_read(struct gw_device *d, uint64_t offset, unsigned size,
                                     uint64_t *value)
{
    struct dev_clint *c = clint(d);
    uint64_t whole = 0, at = offset & ~7ull;
    *value = 0;
    if (size < 4)
        return GW_BUS_ERROR;
    if (at == AT_MSIP)
        whole = c->msip;
    else if (at == AT_MTIMECMP)
        whole = c->mtimecmp;
    else if (at == AT_MTIME)
        whole = ticks(c);
    *value = size == 8 ? whole : (uint32_t)(whole >> (8 * (offset & 4)));
    return GW_BUS_OK;
}

static enum gw_bus_result clint_write(struct gw_device *d, uint64_t offset, unsigned size,
                                      uint64_t value)
{
    struct dev_clint *c = clint(d);
    uint64_t at = offset & ~7ull;
    unsigned shift = 8 * (unsigned)(offset & 4);
    uint64_t mask = size == 8 ? UINT64_MAX : 0xffffffffull << shift;
    if (size < 4)
        return GW_BUS_ERROR;
    value = size == 8 ? value : value << shift & mask;
    if (offset == AT_MSIP) {
        c->msip = value & 1;
        gw_irq_set(&c->soft, (int)c->msip);
    } else if (at == AT_MTIMECMP) {
        c->mtimecmp = (c->mtimecmp & ~mask) | value;
        update_timer(c);
    } else if (at == AT_MTIME) {
        uint64_t now = ticks(c);
        move_time(c, c->mtime_offset + ((now & ~mask) | value) - now);
    }
    return GW_BUS_OK;
}

static void clint_reset(struct gw_device *d)
{
    struct dev_clint *c = clint(d);
    if (!c->alarm.fire)
        c->alarm = (struct gw_timer){.deadline_ns = UINT64_MAX, .fire = fire, .device = c};
    c->msip = 0;
    c->mtimecmp = UINT64_MAX;
    gw_irq_set(&c->soft, 0);
    move_time(c, 0);
}

static void clint_destroy(struct gw_device *d)
{
    if (clint(d)->alarm.fire)
        gw_timer_cancel(d->events, &clint(d)->alarm);
}

static enum gw_status clint_check(const void *object, struct gw_error *err)
{
    const struct dev_clint *c = object;
    if (c->msip > 1)
        return gw_fail(err, GW_ERR_FORMAT, "clint", "state that the device cannot hold");
    return GW_OK;
}

static void clint_post_load(void *object)
{
    struct dev_clint *c = object;
    gw_irq_set(&c->soft, (int)c->msip);
    move_time(c, c->mtime_offset);
}

static const struct state_field clint_fields[] = {
    STATE_SCALAR(struct dev_clint, mtimecmp, STATE_U64),
    STATE_SCALAR(struct dev_clint, mtime_offset, STATE_U64),
    STATE_SCALAR(struct dev_clint, msip, STATE_U32),
};

static const struct state_desc clint_state = {
    .name = "clint",
    .version = 1,
    .fields = clint_fields,
    .field_count = STATE_COUNT_(clint_fields),
    .check = clint_check,
    .post_load = clint_post_load,
};

const struct gw_device_class dev_clint_class = {
    .name = "clint",
    .instance_size = sizeof(struct dev_clint),
    .state = &clint_state,
    .window_bytes = 0x10000,
    .read = clint_read,
    .write = clint_write,
    .reset = clint_reset,
    .destroy = clint_destroy,
};
