/* The registry, made of devices.inc. */
#include <stdlib.h>
#include <string.h>

#include "devices/registry.h"

#define DEVICE(c) extern const struct gw_device_class c;
#define VIRTIO(k) extern const struct virtio_kind k;
#include "devices/devices.inc"
#undef DEVICE
#undef VIRTIO

static const struct gw_device_class *const classes[] = {
#define DEVICE(c) &c,
#define VIRTIO(k)
#include "devices/devices.inc"
#undef DEVICE
#undef VIRTIO
};

static const struct virtio_kind *const kinds[] = {
#define DEVICE(c)
#define VIRTIO(k) &k,
#include "devices/devices.inc"
#undef DEVICE
#undef VIRTIO
};

const struct dev_registry gw_devices = {
    .classes = classes,
    .kinds = kinds,
    .class_count = sizeof classes / sizeof classes[0],
    .kind_count = sizeof kinds / sizeof kinds[0],
};

const struct gw_device_class *dev_class(const struct dev_registry *r, const char *name)
{
    for (unsigned i = 0; i < r->class_count; i++)
        if (!strcmp(r->classes[i]->name, name))
            return r->classes[i];
    return NULL;
}

struct gw_device *dev_new(const struct gw_device_class *cls, struct gw_events *events,
                          struct gw_bus *bus)
{
    struct gw_device *d = calloc(1, cls->instance_size);
    if (!d)
        return NULL;
    d->cls = cls;
    d->events = events;
    d->dma.bus = bus;
    if (cls->init)
        cls->init(d);
    if (cls->reset)
        cls->reset(d);
    return d;
}

void dev_free(struct gw_device *d)
{
    if (!d)
        return;
    if (d->cls->destroy)
        d->cls->destroy(d);
    free(d);
}
