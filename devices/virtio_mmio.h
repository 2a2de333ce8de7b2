/*
 * The virtio-mmio transport, version 2 (VIRTIO 1.2, 4.2), and what stands behind it. A slot without
 * a kind is the placeholder that boards have (device id 0). vCPU thread.
 */
#ifndef DEV_VIRTIO_MMIO_H
#define DEV_VIRTIO_MMIO_H

#include "godwit/device.h"
#include "virtqueue.h"

enum { VIRTIO_MAX_QUEUES = 2 };

#define VIRTIO_F_INDIRECT_DESC (1ull << 28)
#define VIRTIO_F_VERSION_1     (1ull << 32)

enum {
    VIRTIO_STATUS_ACKNOWLEDGE = 1,
    VIRTIO_STATUS_DRIVER = 2,
    VIRTIO_STATUS_DRIVER_OK = 4,
    VIRTIO_STATUS_FEATURES_OK = 8,
    VIRTIO_STATUS_NEEDS_RESET = 64,
    VIRTIO_STATUS_FAILED = 128
};

struct virtio_mmio;

/* A kind of virtio device. */
struct virtio_kind {
    const char *name;
    uint32_t id;
    uint32_t queues;
    uint64_t (*features)(struct virtio_mmio *v);
    uint8_t (*config)(struct virtio_mmio *v, uint64_t offset); /* one byte of the space */
    void (*notify)(struct virtio_mmio *v, unsigned queue);     /* DRIVER_OK, queue ready */
    void (*stop)(struct virtio_mmio *v);    /* forgets requests; returns when none is in flight */
    void (*quiesce)(struct virtio_mmio *v); /* finishes requests */
    void (*destroy)(struct virtio_mmio *v);
};

struct virtio_mmio {
    struct gw_device d;
    const struct virtio_kind *kind; /* NULL: empty slot */
    void *backend;                  /* the kind's own */
    uint64_t driver_features;
    uint32_t status, device_sel, driver_sel, queue_sel, interrupt;
    struct virtq queue[VIRTIO_MAX_QUEUES];
};

extern const struct gw_device_class virtio_mmio_class;

/* Requests on this queue were given back: raises the interrupt if the driver wants one. */
void virtio_mmio_used(struct virtio_mmio *v, unsigned queue);
/* 2.1.2: the device cannot go on until it is reset. */
void virtio_mmio_needs_reset(struct virtio_mmio *v);
bool virtio_mmio_running(const struct virtio_mmio *v);

#endif
