/*
 * The virtio-mmio transport, version 2 (VIRTIO 1.2, 4.2): registers and one interrupt for a virtio
 * device (dev.h). A slot to which nothing is attached is the placeholder that boards have (device id
 * 0). vCPU thread.
 */
#ifndef DEV_VIRTIO_MMIO_H
#define DEV_VIRTIO_MMIO_H

#include "devices/virtio/dev.h"

struct virtio_mmio {
    struct gw_device d;
    struct virtio_dev dev;
    /* Architectural state, beside the device's. */
    uint32_t device_sel, driver_sel, queue_sel, interrupt;
};

extern const struct gw_device_class virtio_mmio_class;

/* The device of a slot; d is of this class. */
struct virtio_dev *virtio_mmio_dev(struct gw_device *d);

#endif
