/* The toy device, see toy_clock.h. */
#include "godwit/little.h"
#include "tests/devices/toy/toy_clock.h"

struct toy_clock {
    struct gw_device d;
    /* Derived. */
    struct gw_timer timer;
    uint16_t source;
    /* State. */
    uint32_t value;
    uint8_t pending;
    uint64_t alarm_ns;
};

static struct toy_clock *toy(struct gw_device *d)
{
    return (struct toy_clock *)(void *)d;
}

static void update(struct toy_clock *t)
{
    gw_irq_set(&t->d.irq, t->pending);
}

static void ring(void *device, uint64_t now_ns)
{
    struct toy_clock *t = device;
    t->alarm_ns = 0;
    t->pending = 1;
    update(t);
}

static void arm(struct toy_clock *t)
{
    gw_timer_arm(t->d.events, &t->timer, t->alarm_ns ? t->alarm_ns : UINT64_MAX);
}

static void deliver(void *context, const struct gw_event *ev)
{
    struct toy_clock *t = context;
    if (ev->kind != TOY_SET || ev->size_bytes != 4)
        return;
    t->value = (uint32_t)gw_little(ev->bytes, 4);
    t->pending = 1;
    update(t);
}

void toy_clock_set(const struct gw_device *d, uint32_t value)
{
    const struct toy_clock *t = (const struct toy_clock *)(const void *)d;
    uint8_t bytes[4];
    struct gw_event ev = {
        .source = t->source, .kind = TOY_SET, .size_bytes = sizeof bytes, .bytes = bytes};
    gw_put_little(bytes, value, sizeof bytes);
    gw_events_post(d->events, &ev);
}

static enum gw_bus_result toy_read(struct gw_device *d, uint64_t offset, unsigned size, uint64_t *v)
{
    const struct toy_clock *t = toy(d);
    *v = offset == TOY_VALUE ? t->value : offset == TOY_ALARM ? t->alarm_ns : t->pending;
    return GW_BUS_OK;
}

static enum gw_bus_result toy_write(struct gw_device *d, uint64_t offset, unsigned size, uint64_t v)
{
    struct toy_clock *t = toy(d);
    if (offset == TOY_VALUE) {
        t->value = (uint32_t)v;
    } else if (offset == TOY_ALARM) {
        t->alarm_ns = v;
        arm(t);
    } else {
        t->pending = 0;
        update(t);
    }
    return GW_BUS_OK;
}

static void toy_init(struct gw_device *d)
{
    struct toy_clock *t = toy(d);
    t->timer = (struct gw_timer){.deadline_ns = UINT64_MAX, .fire = ring, .device = t};
    t->source = gw_events_register_next(d->events, "toy-clock", deliver, t);
}

static void toy_reset(struct gw_device *d)
{
    struct toy_clock *t = toy(d);
    t->value = t->pending = 0;
    t->alarm_ns = 0;
    arm(t);
    update(t);
}

static void toy_destroy(struct gw_device *d)
{
    gw_timer_cancel(d->events, &toy(d)->timer);
    gw_events_withdraw(d->events, toy(d)->source);
}

static enum gw_status toy_check(const void *object, struct gw_error *err)
{
    const struct toy_clock *t = object;
    return t->pending <= 1 ? GW_OK : gw_fail(err, GW_ERR_FORMAT, "toy-clock", "cannot be");
}

static void toy_post_load(void *object)
{
    arm(object);
    update(object);
}

static const struct state_field toy_fields[] = {
    STATE_SCALAR(struct toy_clock, value, STATE_U32),
    STATE_SCALAR(struct toy_clock, pending, STATE_U8),
    STATE_SCALAR(struct toy_clock, alarm_ns, STATE_U64),
};

static const struct state_desc toy_state = {
    .name = "toy-clock",
    .version = 1,
    .fields = toy_fields,
    .field_count = STATE_COUNT_(toy_fields),
    .check = toy_check,
    .post_load = toy_post_load,
};

const struct gw_device_class toy_clock_class = {
    .name = "toy-clock",
    .instance_size = sizeof(struct toy_clock),
    .state = &toy_state,
    .window_bytes = 24,
    .init = toy_init,
    .read = toy_read,
    .write = toy_write,
    .reset = toy_reset,
    .destroy = toy_destroy,
};
