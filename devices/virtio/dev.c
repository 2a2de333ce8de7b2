/* What all virtio devices do alike. Source: VIRTIO 1.2, 2 and 3. */
#include <string.h>

#include "devices/virtio/dev.h"

void virtio_init(struct virtio_dev *v, const struct virtio_transport *transport,
                 const struct gw_dma *dma, struct gw_events *events)
{
    v->transport = transport;
    v->dma = dma;
    v->events = events;
}

/* ---- for kinds ------------------------------------------------------------------------------- */

enum gw_status virtio_attach(struct virtio_dev *v, const struct virtio_kind *kind, void *backend,
                             unsigned queues, struct gw_error *err)
{
    bool posts = v->events && kind->event;
    v->kind = kind;
    v->backend = backend;
    v->queue_count = queues;
    v->source = posts ? gw_events_register_next(v->events, kind->name, kind->event, v) : 0;
    virtio_reset(v);
    if (posts && v->source == GW_NO_SOURCE) {
        virtio_destroy(v);
        return gw_fail(err, GW_ERR_LIMIT, kind->name, "too many devices have events");
    }
    return GW_OK;
}

static struct gw_event event(const struct virtio_dev *v, uint16_t kind, const void *bytes,
                             uint32_t size)
{
    return (struct gw_event){.source = v->source, .kind = kind, .size_bytes = size, .bytes = bytes};
}

bool virtio_post(const struct virtio_dev *v, uint16_t kind, const void *bytes, uint32_t size)
{
    struct gw_event ev = event(v, kind, bytes, size);
    return gw_events_post(v->events, &ev);
}

bool virtio_post_bounded(const struct virtio_dev *v, uint16_t kind, const void *bytes,
                         uint32_t size)
{
    struct gw_event ev = event(v, kind, bytes, size);
    return gw_events_post_bounded(v->events, &ev);
}

bool virtio_running(const struct virtio_dev *v)
{
    return (v->status & (VIRTIO_STATUS_DRIVER_OK | VIRTIO_STATUS_NEEDS_RESET)) ==
           VIRTIO_STATUS_DRIVER_OK;
}

void virtio_used(struct virtio_dev *v, unsigned queue)
{
    if (v->queue[queue].ready && virtq_wants_interrupt(&v->queue[queue], v->dma))
        v->transport->used(v, queue);
}

void virtio_needs_reset(struct virtio_dev *v)
{
    v->status |= VIRTIO_STATUS_NEEDS_RESET;
    if (v->status & VIRTIO_STATUS_DRIVER_OK)
        v->transport->config_changed(v);
}

void virtio_config_changed(struct virtio_dev *v)
{
    v->config_generation++;
    if (v->status & VIRTIO_STATUS_DRIVER_OK)
        v->transport->config_changed(v);
}

bool virtio_pop(struct virtio_dev *v, unsigned queue, struct virtq_chain *chain)
{
    enum virtq_result got;
    if (!v->queue[queue].ready || !virtio_running(v))
        return false;
    got = virtq_pop(&v->queue[queue], v->dma, chain);
    if (got == VIRTQ_BROKEN)
        virtio_needs_reset(v);
    return got == VIRTQ_CHAIN;
}

/* ---- features and status --------------------------------------------------------------------- */

uint64_t virtio_offered(struct virtio_dev *v)
{
    uint64_t of_all =
        VIRTIO_F_VERSION_1 | VIRTIO_F_INDIRECT_DESC | VIRTIO_F_EVENT_IDX | VIRTIO_F_RING_PACKED;
    return (v->kind->features(v) | of_all) & ~v->refused_features;
}

void virtio_accept(struct virtio_dev *v, unsigned half, uint32_t features)
{
    unsigned shift = 32 * half;
    if (half < 2 && !(v->status & VIRTIO_STATUS_FEATURES_OK))
        v->driver_features = (v->driver_features & ~(0xffffffffull << shift)) | (uint64_t)features
                                                                                    << shift;
}

static unsigned ring_mode(const struct virtio_dev *v)
{
    return (virtio_has(v, VIRTIO_F_RING_PACKED) ? VIRTQ_PACKED : 0) |
           (virtio_has(v, VIRTIO_F_EVENT_IDX) ? VIRTQ_EVENT_IDX : 0);
}

void virtio_reset(struct virtio_dev *v)
{
    if (v->kind)
        v->kind->stop(v);
    v->driver_features = 0;
    v->status = 0;
    memset(v->queue, 0, sizeof v->queue);
    for (unsigned i = 0; i < v->queue_count; i++)
        v->queue[i].size = VIRTQ_MAX_SIZE;
}

/* 3.1.1: FEATURES_OK stays only when the driver took a subset that we can serve. */
bool virtio_set_status(struct virtio_dev *v, uint32_t status)
{
    bool start;
    status &= 0xff & ~(uint32_t)VIRTIO_STATUS_NEEDS_RESET;
    if (status == 0) {
        virtio_reset(v);
        return true;
    }
    if ((status & VIRTIO_STATUS_FEATURES_OK) && !(v->status & VIRTIO_STATUS_FEATURES_OK) &&
        ((v->driver_features & ~virtio_offered(v)) || !virtio_has(v, VIRTIO_F_VERSION_1)))
        status &= ~(uint32_t)VIRTIO_STATUS_FEATURES_OK;
    status |= v->status; /* 2.1.1: bits are only added, so what was agreed on stays */
    if (!(status & VIRTIO_STATUS_FEATURES_OK))
        status &= ~(uint32_t)VIRTIO_STATUS_DRIVER_OK;
    start = (status & ~v->status & VIRTIO_STATUS_DRIVER_OK) != 0;
    v->status = status;
    if (start && v->kind->started && virtio_running(v))
        v->kind->started(v);
    return false;
}

/* ---- queues and configuration space ---------------------------------------------------------- */

struct virtq *virtio_queue(struct virtio_dev *v, uint32_t index)
{
    return index < v->queue_count ? &v->queue[index] : NULL;
}

void virtio_set_ready(struct virtio_dev *v, struct virtq *q, bool ready)
{
    if (!ready) {
        if (q->ready)
            v->kind->quiesce(v);
        q->ready = 0;
        virtq_rewind(q, 0);
    } else if (!q->ready && (v->status & VIRTIO_STATUS_FEATURES_OK)) { /* 3.1.1: in this order */
        virtq_rewind(q, ring_mode(v));
        if (virtq_valid(q, v->dma))
            q->ready = 1;
        else
            virtio_needs_reset(v);
    }
}

void virtio_notify(struct virtio_dev *v, uint32_t queue)
{
    const struct virtq *q = virtio_queue(v, queue);
    if (q && q->ready && virtio_running(v))
        v->kind->notify(v, queue);
}

uint64_t virtio_read_config(struct virtio_dev *v, uint64_t offset, unsigned size)
{
    uint64_t value = 0;
    for (unsigned i = 0; i < size; i++)
        value |= (uint64_t)v->kind->config(v, offset + i) << (8 * i);
    return value;
}

void virtio_write_config(struct virtio_dev *v, uint64_t offset, unsigned size, uint64_t value)
{
    if (v->kind->config_write)
        v->kind->config_write(v, offset, size, value);
}

/* ---- life ------------------------------------------------------------------------------------ */

void virtio_quiesce(struct virtio_dev *v)
{
    if (v->kind)
        v->kind->quiesce(v);
}

void virtio_destroy(struct virtio_dev *v)
{
    if (!v->kind)
        return;
    v->kind->destroy(v); /* what posts stops first */
    if (v->events)
        gw_events_withdraw(v->events, v->source);
    v->backend = NULL;
    v->kind = NULL;
}

bool virtio_state_valid(const struct virtio_dev *v)
{
    bool ok = v->status <= 0xff && !(v->status && !v->kind);
    for (unsigned i = 0; i < VIRTIO_MAX_QUEUES; i++) {
        struct virtq q = v->queue[i];
        q.mode = (uint8_t)(q.ready ? ring_mode(v) : 0);
        ok = ok && q.ready <= 1 && (i < v->queue_count || !q.ready) &&
             (!q.ready || ((v->status & VIRTIO_STATUS_FEATURES_OK) && virtq_valid(&q, v->dma)));
    }
    return ok;
}

void virtio_state_loaded(struct virtio_dev *v)
{
    for (unsigned i = 0; i < VIRTIO_MAX_QUEUES; i++)
        v->queue[i].mode = (uint8_t)(v->queue[i].ready ? ring_mode(v) : 0);
}
