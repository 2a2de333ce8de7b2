/*
 * Which devices there are, and how one is made. devices.inc lists them, a line each; a board finds a
 * class by its name here, tests go over all of them. Any thread.
 */
#ifndef DEV_REGISTRY_H
#define DEV_REGISTRY_H

#include "godwit/device.h"

struct virtio_kind;

struct dev_registry {
    const struct gw_device_class *const *classes;
    const struct virtio_kind *const *kinds; /* behind a virtio transport */
    unsigned class_count, kind_count;
};

/* Those of devices.inc. */
extern const struct dev_registry gw_devices;

/* The class of this name, or NULL. */
const struct gw_device_class *dev_class(const struct dev_registry *r, const char *name);

/* A zeroed instance, reset. NULL when memory is out. bus: what its DMA sees; may be NULL, as may
 * events. */
struct gw_device *dev_new(const struct gw_device_class *cls, struct gw_events *events,
                          struct gw_bus *bus);
void dev_free(struct gw_device *d); /* NULL is fine */

#endif
