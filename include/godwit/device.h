/*
 * A device: a const class and an instance. It sees offsets in its own window, an interrupt line,
 * a DMA view of memory, the VM's clock and event queue; it knows neither CPU nor bus layout.
 * All calls on a vCPU thread, under the device lock where there are several (see event.h), unless
 * said otherwise. Every guest-supplied length,
 * index and address is hostile until checked.
 */
#ifndef GODWIT_DEVICE_H
#define GODWIT_DEVICE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "godwit/bus.h"
#include "godwit/counter.h"
#include "godwit/event.h"
#include "godwit/irq.h"
#include "godwit/state.h"

struct gw_device;

/* A device's way to guest memory: checked, marks pages dirty and code changed. */
struct gw_dma {
    struct gw_bus *bus;
};

struct gw_device_class {
    const char *name;
    size_t instance_size; /* sizeof the struct that starts with struct gw_device */
    const struct state_desc *state;
    /* The table of what stands behind the device, and what it is of; NULL: there is nothing. May be
     * NULL. */
    const struct state_desc *(*behind)(struct gw_device *d, void **object);
    const struct counter_desc *counters; /* may be NULL */
    uint64_t window_bytes;
    void (*init)(struct gw_device *d); /* once, before the first reset; may be NULL */
    /* offset < window_bytes, a multiple of size; size 1, 2, 4, 8. */
    enum gw_bus_result (*read)(struct gw_device *d, uint64_t offset, unsigned size,
                               uint64_t *value);
    enum gw_bus_result (*write)(struct gw_device *d, uint64_t offset, unsigned size,
                                uint64_t value);
    void (*reset)(struct gw_device *d);
    void (*quiesce)(struct gw_device *d); /* waits until no request is in flight; may be NULL */
    void (*destroy)(struct gw_device *d); /* frees what the instance owns, not the instance */
};

struct gw_device {
    const struct gw_device_class *cls;
    struct gw_irq irq;
    struct gw_dma dma;
    struct gw_events *events;
};

/* false when any part of [paddr, paddr+size) is not RAM, or wraps; then nothing is copied. */
bool gw_dma_read(const struct gw_dma *dma, uint64_t paddr, void *to, uint64_t size);
bool gw_dma_write(const struct gw_dma *dma, uint64_t paddr, const void *from, uint64_t size);

#endif
