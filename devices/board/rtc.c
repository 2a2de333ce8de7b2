/* Goldfish RTC. Source: the register list of Android's goldfish virtual hardware guide. */
#include "devices/clock.h"
#include "devices/board/rtc.h"

enum {
    REG_TIME_LOW = 0x00,
    REG_TIME_HIGH = 0x04,
    REG_ALARM_LOW = 0x08,
    REG_ALARM_HIGH = 0x0c,
    REG_IRQ_ENABLED = 0x10,
    REG_CLEAR_ALARM = 0x14,
    REG_ALARM_STATUS = 0x18,
    REG_CLEAR_INTERRUPT = 0x1c,
};

static struct dev_rtc *rtc(struct gw_device *d)
{
    return (struct dev_rtc *)(void *)d;
}

static void update(struct dev_rtc *r)
{
    gw_irq_set(&r->d.irq, r->irq_pending && r->irq_enabled);
}

static void fire(void *device, uint64_t now_ns)
{
    struct dev_rtc *r = device;
    r->alarm_running = 0;
    r->irq_pending = 1;
    update(r);
}

static uint64_t guest_now(const struct dev_rtc *r)
{
    return dev_now(r->d.events) + r->offset_ns + r->set_ns;
}

static void schedule(struct dev_rtc *r)
{
    uint64_t now = dev_now(r->d.events), left = r->alarm_ns - guest_now(r);
    if (!r->alarm_running)
        gw_timer_cancel(r->d.events, &r->alarm);
    else if (r->alarm_ns <= guest_now(r))
        fire(r, now);
    else
        gw_timer_arm(r->d.events, &r->alarm, left < UINT64_MAX - now ? now + left : UINT64_MAX);
}

/* Whoever writes the high half first means one time by both, though the old one goes on in between;
 * whoever writes it last moves what the low half made. */
static void set_time(struct dev_rtc *r, uint64_t ns)
{
    r->set_ns += ns - guest_now(r);
    schedule(r);
}

static enum gw_bus_result rtc_read(struct gw_device *d, uint64_t offset, unsigned size,
                                   uint64_t *value)
{
    struct dev_rtc *r = rtc(d);
    *value = 0;
    if (size != 4)
        return GW_BUS_ERROR;
    switch (offset) {
    case REG_TIME_LOW: {
        uint64_t now = guest_now(r);
        r->time_high = (uint32_t)(now >> 32);
        *value = (uint32_t)now;
        break;
    }
    case REG_TIME_HIGH: *value = r->time_high; break;
    case REG_ALARM_LOW: *value = (uint32_t)r->alarm_ns; break;
    case REG_ALARM_HIGH: *value = r->alarm_ns >> 32; break;
    case REG_IRQ_ENABLED: *value = r->irq_enabled; break;
    case REG_ALARM_STATUS: *value = r->alarm_running; break;
    default: break;
    }
    return GW_BUS_OK;
}

static enum gw_bus_result rtc_write(struct gw_device *d, uint64_t offset, unsigned size,
                                    uint64_t value)
{
    struct dev_rtc *r = rtc(d);
    if (size != 4)
        return GW_BUS_ERROR;
    switch (offset) {
    case REG_TIME_LOW: set_time(r, (uint64_t)r->set_high << 32 | (uint32_t)value); break;
    case REG_TIME_HIGH:
        r->set_high = (uint32_t)value;
        set_time(r, value << 32 | (uint32_t)guest_now(r));
        break;
    case REG_ALARM_LOW: /* the high half was written before: this starts the alarm */
        r->alarm_ns = (r->alarm_ns & ~0xffffffffull) | (uint32_t)value;
        r->alarm_running = 1;
        schedule(r);
        break;
    case REG_ALARM_HIGH: r->alarm_ns = (uint32_t)r->alarm_ns | value << 32; break;
    case REG_IRQ_ENABLED: r->irq_enabled = value & 1; break;
    case REG_CLEAR_ALARM:
        r->alarm_running = 0;
        schedule(r);
        break;
    case REG_CLEAR_INTERRUPT: r->irq_pending = 0; break;
    default: break;
    }
    update(r);
    return GW_BUS_OK;
}

static void rtc_reset(struct gw_device *d)
{
    struct dev_rtc *r = rtc(d);
    if (!r->alarm.fire)
        r->alarm = (struct gw_timer){.deadline_ns = UINT64_MAX, .fire = fire, .device = r};
    r->alarm_ns = 0;
    r->time_high = r->set_high = 0;
    r->alarm_running = r->irq_pending = r->irq_enabled = 0;
    schedule(r);
    update(r);
}

static void rtc_destroy(struct gw_device *d)
{
    if (rtc(d)->alarm.fire)
        gw_timer_cancel(d->events, &rtc(d)->alarm);
}

static enum gw_status rtc_check(const void *object, struct gw_error *err)
{
    const struct dev_rtc *r = object;
    if (r->alarm_running > 1 || r->irq_pending > 1 || r->irq_enabled > 1)
        return gw_fail(err, GW_ERR_FORMAT, "rtc", "state that the device cannot hold");
    return GW_OK;
}

static void rtc_post_load(void *object)
{
    struct dev_rtc *r = object;
    schedule(r);
    update(r);
}

static const struct state_field rtc_fields[] = {
    STATE_SCALAR(struct dev_rtc, offset_ns, STATE_U64),
    STATE_SCALAR(struct dev_rtc, alarm_ns, STATE_U64),
    STATE_SCALAR(struct dev_rtc, time_high, STATE_U32),
    STATE_SCALAR(struct dev_rtc, alarm_running, STATE_U8),
    STATE_SCALAR(struct dev_rtc, irq_pending, STATE_U8),
    STATE_SCALAR(struct dev_rtc, irq_enabled, STATE_U8),
    STATE_SCALAR_SINCE(2, struct dev_rtc, set_ns, STATE_U64),
    STATE_SCALAR_SINCE(2, struct dev_rtc, set_high, STATE_U32),
};

static const struct state_desc rtc_state = {
    .name = "rtc",
    .version = 2,
    .oldest = 1,
    .fields = rtc_fields,
    .field_count = STATE_COUNT_(rtc_fields),
    .check = rtc_check,
    .post_load = rtc_post_load,
};

const struct gw_device_class dev_rtc_class = {
    .name = "rtc",
    .instance_size = sizeof(struct dev_rtc),
    .state = &rtc_state,
    .window_bytes = 0x1000,
    .read = rtc_read,
    .write = rtc_write,
    .reset = rtc_reset,
    .destroy = rtc_destroy,
};
