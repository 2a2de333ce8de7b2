/* Every kind of device, and how one is made. */
#ifndef DEV_REGISTRY_H
#define DEV_REGISTRY_H

#include "godwit/device.h"

/* The class of this name, or NULL. */
const struct gw_device_class *dev_class(const char *name);
/* Classes in no particular order, for tests and listings; NULL past the last. */
const struct gw_device_class *dev_class_at(unsigned i);

/* A zeroed instance, reset. NULL when memory is out. bus: what its DMA sees; may be NULL. */
struct gw_device *dev_new(const struct gw_device_class *cls, struct gw_events *events,
                          struct gw_bus *bus);
void dev_free(struct gw_device *d); /* NULL is fine */

#endif
