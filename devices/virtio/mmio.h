/*
 * The virtio-mmio transport, version 2 (VIRTIO 1.2, 4.2), and what stands behind it. A slot without
 * a kind is the placeholder that boards have (device id 0). vCPU thread.
 */
#ifndef DEV_VIRTIO_MMIO_H
#define DEV_VIRTIO_MMIO_H

#include "godwit/device.h"
#include "godwit/little.h"
#include "devices/virtio/virtqueue.h"

enum { VIRTIO_MAX_QUEUES = 16 };

#define VIRTIO_F_INDIRECT_DESC (1ull << 28)
#define VIRTIO_F_EVENT_IDX     (1ull << 29)
#define VIRTIO_F_VERSION_1     (1ull << 32)
#define VIRTIO_F_RING_PACKED   (1ull << 34)

enum {
    VIRTIO_STATUS_ACKNOWLEDGE = 1,
    VIRTIO_STATUS_DRIVER = 2,
    VIRTIO_STATUS_DRIVER_OK = 4,
    VIRTIO_STATUS_FEATURES_OK = 8,
    VIRTIO_STATUS_NEEDS_RESET = 64,
    VIRTIO_STATUS_FAILED = 128
};

struct virtio_mmio;

/* A kind of virtio device. What may be NULL says so. */
struct virtio_kind {
    const char *name;
    uint32_t id;
    const struct state_desc *state; /* of v->backend, beside the transport's own; may be NULL */
    uint64_t (*features)(struct virtio_mmio *v);
    uint8_t (*config)(struct virtio_mmio *v, uint64_t offset); /* one byte of the space */
    /* A write of 1, 2, 4 or 8 bytes to the space; may be NULL. */
    void (*config_write)(struct virtio_mmio *v, uint64_t offset, unsigned size, uint64_t value);
    void (*notify)(struct virtio_mmio *v, unsigned queue); /* DRIVER_OK, queue ready */
    void (*started)(struct virtio_mmio *v);                /* DRIVER_OK came; may be NULL */
    void (*stop)(struct virtio_mmio *v);    /* forgets requests; returns when none is in flight */
    void (*quiesce)(struct virtio_mmio *v); /* finishes requests in flight, takes no more */
    void (*destroy)(struct virtio_mmio *v); /* stops and frees the backend */
    gw_event_deliver event; /* its own events; the context is v. NULL: it has none */
};

struct virtio_mmio {
    struct gw_device d;
    /* Configuration. */
    const struct virtio_kind *kind; /* NULL: empty slot */
    void *backend;                  /* the kind's own */
    uint16_t source;                /* of its events, by the kind's name: virtio-blk0 */
    uint32_t queue_count;
    uint64_t refused_features; /* not offered, whatever the kind says; for tests */
    /* Architectural state. */
    uint64_t driver_features;
    uint32_t status, device_sel, driver_sel, queue_sel, interrupt, config_generation;
    struct virtq queue[VIRTIO_MAX_QUEUES];
};

extern const struct gw_device_class virtio_mmio_class;

/* Makes an empty slot a device of this kind, in the state of a reset. queues <= the maximum. The
 * backend is the device's from then on, also where this fails. */
enum gw_status virtio_mmio_attach(struct virtio_mmio *v, const struct virtio_kind *kind,
                                  void *backend, unsigned queues, struct gw_error *err);
/* Any thread: an event for the device itself. kind and bytes: of its header. False: it is lost. */
bool virtio_mmio_post(const struct virtio_mmio *v, uint16_t kind, const void *bytes, uint32_t size);
/* The same for what is bounded, see event.h. */
bool virtio_mmio_post_bounded(const struct virtio_mmio *v, uint16_t kind, const void *bytes,
                              uint32_t size);
/* Requests on this queue were given back: raises the interrupt if the driver wants one. */
void virtio_mmio_used(struct virtio_mmio *v, unsigned queue);
/* 2.5, 4.2.2: the configuration space has changed. */
void virtio_mmio_config_changed(struct virtio_mmio *v);
/* 2.1.2: the device cannot go on until it is reset. */
void virtio_mmio_needs_reset(struct virtio_mmio *v);
bool virtio_mmio_running(const struct virtio_mmio *v);
static inline bool virtio_mmio_has(const struct virtio_mmio *v, uint64_t feature)
{
    return v->driver_features & feature;
}
/* The next chain of a queue. False when there is none, the queue is not ready, or the device does
 * not run; a broken ring asks for a reset. */
bool virtio_mmio_pop(struct virtio_mmio *v, unsigned queue, struct virtq_chain *chain);

#endif
