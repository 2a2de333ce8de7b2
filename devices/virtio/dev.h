/*
 * A virtio device apart from its transport (VIRTIO 1.2, 2 and 3): features, status, queues and the
 * configuration space. A transport (mmio.h) owns the registers by which a driver reaches all that, and
 * the interrupt; a kind (blk.h, net.h ...) does the work. Neither knows the other: a transport embeds a
 * struct virtio_dev, and a kind is attached to one. vCPU thread, unless said otherwise.
 */
#ifndef DEV_VIRTIO_DEV_H
#define DEV_VIRTIO_DEV_H

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

struct virtio_dev;

/* What a device asks of its transport: to tell the driver. */
struct virtio_transport {
    void (*used)(struct virtio_dev *v, unsigned queue); /* chains of this queue were given back */
    void (*config_changed)(struct virtio_dev *v);       /* or the device needs a reset */
};

/* A kind of virtio device. What may be NULL says so. */
struct virtio_kind {
    const char *name;
    uint32_t id;
    const struct state_desc *state; /* of v->backend, beside the transport's; may be NULL */
    uint64_t (*features)(struct virtio_dev *v);
    uint8_t (*config)(struct virtio_dev *v, uint64_t offset); /* one byte of the space */
    /* A write of 1, 2, 4 or 8 bytes to the space; may be NULL. */
    void (*config_write)(struct virtio_dev *v, uint64_t offset, unsigned size, uint64_t value);
    void (*notify)(struct virtio_dev *v, unsigned queue); /* DRIVER_OK, queue ready */
    void (*started)(struct virtio_dev *v);                /* DRIVER_OK came; may be NULL */
    void (*stop)(struct virtio_dev *v);    /* forgets requests; returns when none is in flight */
    void (*quiesce)(struct virtio_dev *v); /* finishes requests in flight, takes no more */
    void (*destroy)(struct virtio_dev *v); /* stops, and frees the backend */
    gw_event_deliver event;                /* its own events; the context is v. NULL: it has none */
};

struct virtio_dev {
    /* Configuration. */
    const struct virtio_transport *transport;
    const struct gw_dma *dma;       /* the transport's, as are events */
    struct gw_events *events;       /* NULL: nobody may post */
    const struct virtio_kind *kind; /* NULL: nothing is attached */
    void *backend;                  /* the kind's own */
    uint16_t source;                /* of its events, by the kind's name: virtio-blk0 */
    uint32_t queue_count;
    uint64_t refused_features; /* not offered, whatever the kind says; for tests */
    /* Architectural state, in the transport's table (VIRTIO_STATE below). */
    uint64_t driver_features;
    uint32_t status, config_generation;
    struct virtq queue[VIRTIO_MAX_QUEUES];
};

/* ---- for kinds ------------------------------------------------------------------------------- */

/* Makes an empty device one of this kind, in the state of a reset. queues: 1 to VIRTIO_MAX_QUEUES. The
 * backend is the device's from then on, also where this fails. Before the vCPU starts. */
enum gw_status virtio_attach(struct virtio_dev *v, const struct virtio_kind *kind, void *backend,
                             unsigned queues, struct gw_error *err);
/* Any thread: an event for the device itself. kind and bytes: of its header. False: it is lost. */
bool virtio_post(const struct virtio_dev *v, uint16_t kind, const void *bytes, uint32_t size);
/* The same for what is bounded, see event.h. */
bool virtio_post_bounded(const struct virtio_dev *v, uint16_t kind, const void *bytes,
                         uint32_t size);
/* Requests on this queue were given back: tells the driver if it wants to know. */
void virtio_used(struct virtio_dev *v, unsigned queue);
/* 2.5: the configuration space has changed. */
void virtio_config_changed(struct virtio_dev *v);
/* 2.1.2: the device cannot go on until it is reset. */
void virtio_needs_reset(struct virtio_dev *v);
bool virtio_running(const struct virtio_dev *v);
static inline bool virtio_has(const struct virtio_dev *v, uint64_t feature)
{
    return v->driver_features & feature;
}
/* The next chain of a queue. False when there is none, the queue is not ready, or the device does
 * not run; a broken ring asks for a reset. */
bool virtio_pop(struct virtio_dev *v, unsigned queue, struct virtq_chain *chain);

/* ---- for transports -------------------------------------------------------------------------- */

/* Once, for a zeroed device. events may be NULL. */
void virtio_init(struct virtio_dev *v, const struct virtio_transport *transport,
                 const struct gw_dma *dma, struct gw_events *events);
/* The rest but for virtio_running() wants a kind. */
uint64_t virtio_offered(struct virtio_dev *v);
/* 3.1.1: half 0 or 1 of what the driver takes; nothing once that was agreed on. */
void virtio_accept(struct virtio_dev *v, unsigned half, uint32_t features);
/* 2.1: true when that was a reset, of which the transport has a part. */
bool virtio_set_status(struct virtio_dev *v, uint32_t status);
/* NULL: there is no such queue. Its addresses and its size (0: none that could be) are the transport's
 * to set while it is not ready. */
struct virtq *virtio_queue(struct virtio_dev *v, uint32_t index);
void virtio_set_ready(struct virtio_dev *v, struct virtq *q, bool ready);
void virtio_notify(struct virtio_dev *v, uint32_t queue);
uint64_t virtio_read_config(struct virtio_dev *v, uint64_t offset, unsigned size);
void virtio_write_config(struct virtio_dev *v, uint64_t offset, unsigned size, uint64_t value);
/* These three want none. */
void virtio_reset(struct virtio_dev *v);
void virtio_quiesce(struct virtio_dev *v);
void virtio_destroy(struct virtio_dev *v);

/* What a transport's state table has of its device, which is struct S's member `dev`: two lists of rows,
 * so that the transport's own may stand between them. That table's check() and post_load() call these
 * two. */
bool virtio_state_valid(const struct virtio_dev *v);
void virtio_state_loaded(struct virtio_dev *v);

#define VIRTIO_FIELD_(S, dev, member, type_)                                                       \
    {                                                                                              \
        .name = #member, .type = (type_), .offset = offsetof(S, dev.member), .count = 1            \
    }
#define VIRTIO_STATE_AGREED(S, dev)                                                                \
    VIRTIO_FIELD_(S, dev, driver_features, STATE_U64), VIRTIO_FIELD_(S, dev, status, STATE_U32)
#define VIRTIO_STATE_QUEUE_(S, dev, i)                                                             \
    VIRTIO_FIELD_(S, dev, queue[i].size, STATE_U16),                                               \
        VIRTIO_FIELD_(S, dev, queue[i].ready, STATE_U8),                                           \
        VIRTIO_FIELD_(S, dev, queue[i].desc, STATE_U64),                                           \
        VIRTIO_FIELD_(S, dev, queue[i].avail, STATE_U64),                                          \
        VIRTIO_FIELD_(S, dev, queue[i].used, STATE_U64),                                           \
        VIRTIO_FIELD_(S, dev, queue[i].last_avail, STATE_U16),                                     \
        VIRTIO_FIELD_(S, dev, queue[i].used_index, STATE_U16),                                     \
        VIRTIO_FIELD_(S, dev, queue[i].avail_wrap, STATE_U8),                                      \
        VIRTIO_FIELD_(S, dev, queue[i].used_wrap, STATE_U8),                                       \
        VIRTIO_FIELD_(S, dev, queue[i].unsignalled, STATE_U16)
#define VIRTIO_STATE_QUEUES(S, dev)                                                                \
    VIRTIO_FIELD_(S, dev, config_generation, STATE_U32), VIRTIO_STATE_QUEUE_(S, dev, 0),           \
        VIRTIO_STATE_QUEUE_(S, dev, 1), VIRTIO_STATE_QUEUE_(S, dev, 2),                            \
        VIRTIO_STATE_QUEUE_(S, dev, 3), VIRTIO_STATE_QUEUE_(S, dev, 4),                            \
        VIRTIO_STATE_QUEUE_(S, dev, 5), VIRTIO_STATE_QUEUE_(S, dev, 6),                            \
        VIRTIO_STATE_QUEUE_(S, dev, 7), VIRTIO_STATE_QUEUE_(S, dev, 8),                            \
        VIRTIO_STATE_QUEUE_(S, dev, 9), VIRTIO_STATE_QUEUE_(S, dev, 10),                           \
        VIRTIO_STATE_QUEUE_(S, dev, 11), VIRTIO_STATE_QUEUE_(S, dev, 12),                          \
        VIRTIO_STATE_QUEUE_(S, dev, 13), VIRTIO_STATE_QUEUE_(S, dev, 14),                          \
        VIRTIO_STATE_QUEUE_(S, dev, 15)

#endif
