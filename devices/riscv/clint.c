/* CLINT. Source: SiFive FU540-C000 manual, chapter 9; Priv. 1.13, 3.2.1 (mtime, mtimecmp). */
#include "devices/riscv/clint.h"
#include "devices/clock.h"

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
static void update_timer(struct dev_clint *c, unsigned hart)
{
    struct gw_timer *alarm = &c->hart[hart].alarm;
    bool due = ticks(c) >= c->mtimecmp[hart];
    uint64_t at = c->mtimecmp[hart] - c->mtime_offset; /* in ticks of VM time */
    gw_irq_set(&c->timer[hart], due);
    if (due || at > UINT64_MAX / NS_PER_TICK - 1)
        gw_timer_cancel(c->d.events, alarm);
    else
        gw_timer_arm(c->d.events, alarm, at * NS_PER_TICK);
}

static void fire(void *device, uint64_t now_ns)
{
    struct dev_clint_hart *h = device;
    update_timer(h->clint, h->index);
}

static void move_time(struct dev_clint *c, uint64_t offset)
{
    c->mtime_offset = offset;
    if (c->time_moved)
        c->time_moved(c->context, offset);
    for (unsigned h = 0; h < c->harts; h++)
        update_timer(c, h);
}

/* The register's hart; false: no hart has a register there. */
static bool find(const struct dev_clint *c, uint64_t offset, uint64_t first, unsigned step,
                 unsigned *hart)
{
    *hart = (unsigned)((offset - first) / step);
    return offset >= first && offset - first < (uint64_t)c->harts * step;
}

/* The aligned eight bytes at an offset. */
static uint64_t whole(const struct dev_clint *c, uint64_t at)
{
    unsigned h;
    if (find(c, at, AT_MSIP, 4, &h))
        return c->msip[h] | (h + 1 < c->harts ? (uint64_t)c->msip[h + 1] << 32 : 0);
    if (find(c, at, AT_MTIMECMP, 8, &h))
        return c->mtimecmp[h];
    return at == AT_MTIME ? ticks(c) : 0;
}

static enum gw_bus_result clint_read(struct gw_device *d, uint64_t offset, unsigned size,
                                     uint64_t *value)
{
    uint64_t v;
    *value = 0;
    if (size < 4)
        return GW_BUS_ERROR;
    v = whole(clint(d), offset & ~7ull);
    *value = size == 8 ? v : (uint32_t)(v >> (8 * (offset & 4)));
    return GW_BUS_OK;
}

/* Eight bytes are the registers of two harts. */
static void write_msip(struct dev_clint *c, unsigned hart, unsigned size, uint64_t value)
{
    for (unsigned h = hart; h < hart + size / 4 && h < c->harts; h++, value >>= 32) {
        c->msip[h] = value & 1;
        gw_irq_set(&c->soft[h], (int)c->msip[h]);
    }
}

static enum gw_bus_result clint_write(struct gw_device *d, uint64_t offset, unsigned size,
                                      uint64_t value)
{
    struct dev_clint *c = clint(d);
    uint64_t at = offset & ~7ull;
    unsigned shift = 8 * (unsigned)(offset & 4), h;
    uint64_t mask = size == 8 ? UINT64_MAX : 0xffffffffull << shift;
    if (size < 4)
        return GW_BUS_ERROR;
    if (find(c, offset, AT_MSIP, 4, &h)) {
        write_msip(c, h, size, value);
        return GW_BUS_OK;
    }
    value = size == 8 ? value : value << shift & mask;
    if (find(c, at, AT_MTIMECMP, 8, &h)) {
        c->mtimecmp[h] = (c->mtimecmp[h] & ~mask) | value;
        update_timer(c, h);
    } else if (at == AT_MTIME) {
        uint64_t now = ticks(c);
        move_time(c, c->mtime_offset + ((now & ~mask) | value) - now);
    }
    return GW_BUS_OK;
}

static void clint_reset(struct gw_device *d)
{
    struct dev_clint *c = clint(d);
    if (!c->harts)
        c->harts = 1;
    for (unsigned h = 0; h < DEV_MAX_HARTS; h++) {
        struct dev_clint_hart *hart = &c->hart[h];
        if (!hart->clint)
            *hart = (struct dev_clint_hart){
                .clint = c,
                .index = h,
                .alarm = {.deadline_ns = UINT64_MAX, .fire = fire, .device = hart}};
        c->msip[h] = 0;
        c->mtimecmp[h] = UINT64_MAX;
        gw_irq_set(&c->soft[h], 0);
    }
    move_time(c, 0);
}

static void clint_destroy(struct gw_device *d)
{
    for (unsigned h = 0; h < DEV_MAX_HARTS; h++)
        if (clint(d)->hart[h].clint)
            gw_timer_cancel(d->events, &clint(d)->hart[h].alarm);
}

/* What belongs to no hart is as after a reset. */
static enum gw_status clint_check(const void *object, struct gw_error *err)
{
    const struct dev_clint *c = object;
    bool ok = true;
    for (unsigned h = 0; h < DEV_MAX_HARTS; h++)
        ok = ok && c->msip[h] <= (h < c->harts) && (h < c->harts || c->mtimecmp[h] == UINT64_MAX);
    if (!ok)
        return gw_fail(err, GW_ERR_FORMAT, "clint", "state that the device cannot hold");
    return GW_OK;
}

static void clint_post_load(void *object)
{
    struct dev_clint *c = object;
    for (unsigned h = 0; h < c->harts; h++)
        gw_irq_set(&c->soft[h], (int)c->msip[h]);
    move_time(c, c->mtime_offset);
}

static const struct state_field clint_fields[] = {
    STATE_ARRAY(struct dev_clint, mtimecmp, STATE_U64),
    STATE_SCALAR(struct dev_clint, mtime_offset, STATE_U64),
    STATE_ARRAY(struct dev_clint, msip, STATE_U32),
};

static const struct state_desc clint_state = {
    .name = "clint",
    .version = 2,
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
