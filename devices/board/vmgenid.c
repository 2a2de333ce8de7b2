/*
 * VM generation id. Sources: Virtual Machine Generation ID (Microsoft, 2012); the kernel's binding
 * virt/microsoft,vmgenid: 16 bytes that the guest reads, and an interrupt when they changed.
 *
 * Nothing acknowledges that interrupt but a look at the id. The line falls when its first byte is read,
 * so a reader that was overtaken in the middle is told once more.
 */
#include <string.h>

#include "devices/board/vmgenid.h"

static struct dev_vmgenid *vmgenid(struct gw_device *d)
{
    return (struct dev_vmgenid *)(void *)d;
}

static void update(struct dev_vmgenid *g)
{
    gw_irq_set(&g->d.irq, g->raised);
}

static enum gw_bus_result vmgenid_read(struct gw_device *d, uint64_t offset, unsigned size,
                                       uint64_t *value)
{
    struct dev_vmgenid *g = vmgenid(d);
    *value = 0;
    for (unsigned i = 0; i < size; i++)
        if (offset + i < DEV_VMGENID_BYTES)
            *value |= (uint64_t)g->id[offset + i] << (8 * i);
    if (offset == 0 && g->raised) {
        g->raised = 0;
        update(g);
    }
    return GW_BUS_OK;
}

static enum gw_bus_result vmgenid_write(struct gw_device *d, uint64_t offset, unsigned size,
                                        uint64_t value)
{
    return GW_BUS_OK; /* the guest's only to read */
}

static void deliver(void *device, const struct gw_event *ev)
{
    struct dev_vmgenid *g = device;
    if (ev->kind != DEV_VMGENID_NEW || ev->size_bytes != sizeof g->id)
        return;
    memcpy(g->id, ev->bytes, sizeof g->id);
    g->raised = 1;
    update(g);
}

void dev_vmgenid_renew(struct dev_vmgenid *g, const uint8_t id[DEV_VMGENID_BYTES])
{
    struct gw_event ev = {
        .source = g->source, .kind = DEV_VMGENID_NEW, .size_bytes = DEV_VMGENID_BYTES, .bytes = id};
    gw_events_post_bounded(g->d.events, &ev);
}

static void vmgenid_init(struct gw_device *d)
{
    if (d->events)
        vmgenid(d)->source = gw_events_register(d->events, "vmgenid", deliver, d);
}

static void vmgenid_destroy(struct gw_device *d)
{
    if (d->events)
        gw_events_withdraw(d->events, vmgenid(d)->source);
}

/* A reset makes no other machine: the id stays. */
static void vmgenid_reset(struct gw_device *d)
{
    vmgenid(d)->raised = 0;
    update(vmgenid(d));
}

static enum gw_status vmgenid_check(const void *object, struct gw_error *err)
{
    const struct dev_vmgenid *g = object;
    return g->raised <= 1
               ? GW_OK
               : gw_fail(err, GW_ERR_FORMAT, "vmgenid", "state that the device cannot hold");
}

static void vmgenid_post_load(void *object)
{
    update(object);
}

static const struct state_field vmgenid_fields[] = {
    STATE_ARRAY(struct dev_vmgenid, id, STATE_U8),
    STATE_SCALAR(struct dev_vmgenid, raised, STATE_U8),
};

static const struct state_desc vmgenid_state = {
    .name = "vmgenid",
    .version = 1,
    .fields = vmgenid_fields,
    .field_count = STATE_COUNT_(vmgenid_fields),
    .check = vmgenid_check,
    .post_load = vmgenid_post_load,
};

const struct gw_device_class dev_vmgenid_class = {
    .name = "vmgenid",
    .instance_size = sizeof(struct dev_vmgenid),
    .state = &vmgenid_state,
    .window_bytes = 0x1000, /* 16 bytes; the bus places whole pages */
    .init = vmgenid_init,
    .read = vmgenid_read,
    .write = vmgenid_write,
    .reset = vmgenid_reset,
    .destroy = vmgenid_destroy,
};
