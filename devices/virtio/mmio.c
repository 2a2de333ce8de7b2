/* virtio-mmio registers. Source: VIRTIO 1.2, 4.2.2 (table 4.1). */
#include <string.h>

#include "devices/virtio/mmio.h"

enum {
    REG_MAGIC = 0x000,
    REG_VERSION = 0x004,
    REG_DEVICE_ID = 0x008,
    REG_VENDOR_ID = 0x00c,
    REG_DEVICE_FEATURES = 0x010,
    REG_DEVICE_FEATURES_SEL = 0x014,
    REG_DRIVER_FEATURES = 0x020,
    REG_DRIVER_FEATURES_SEL = 0x024,
    REG_QUEUE_SEL = 0x030,
    REG_QUEUE_SIZE_MAX = 0x034,
    REG_QUEUE_SIZE = 0x038,
    REG_QUEUE_READY = 0x044,
    REG_QUEUE_NOTIFY = 0x050,
    REG_INTERRUPT_STATUS = 0x060,
    REG_INTERRUPT_ACK = 0x064,
    REG_STATUS = 0x070,
    REG_QUEUE_DESC = 0x080,
    REG_QUEUE_AVAIL = 0x090,
    REG_QUEUE_USED = 0x0a0,
    REG_SHM_LENGTH_LOW = 0x0b0,
    REG_SHM_BASE_HIGH = 0x0bc,
    REG_CONFIG_GENERATION = 0x0fc,
    REG_CONFIG = 0x100,
};

#define MAGIC      0x74726976u /* "virt" */
#define VENDOR_ID  0x54575447u /* "GTWT" */
#define INT_USED   1u
#define INT_CONFIG 2u

static struct virtio_mmio *virtio(struct gw_device *d)
{
    return (struct virtio_mmio *)(void *)d;
}

static void update(struct virtio_mmio *v)
{
    gw_irq_set(&v->d.irq, v->interrupt != 0);
}

static uint64_t offered(struct virtio_mmio *v)
{
    uint64_t transport =
        VIRTIO_F_VERSION_1 | VIRTIO_F_INDIRECT_DESC | VIRTIO_F_EVENT_IDX | VIRTIO_F_RING_PACKED;
    return (v->kind->features(v) | transport) & ~v->refused_features;
}

static unsigned ring_mode(const struct virtio_mmio *v)
{
    return (virtio_mmio_has(v, VIRTIO_F_RING_PACKED) ? VIRTQ_PACKED : 0) |
           (virtio_mmio_has(v, VIRTIO_F_EVENT_IDX) ? VIRTQ_EVENT_IDX : 0);
}

bool virtio_mmio_running(const struct virtio_mmio *v)
{
    return (v->status & (VIRTIO_STATUS_DRIVER_OK | VIRTIO_STATUS_NEEDS_RESET)) ==
           VIRTIO_STATUS_DRIVER_OK;
}

void virtio_mmio_used(struct virtio_mmio *v, unsigned queue)
{
    if (!v->queue[queue].ready || !virtq_wants_interrupt(&v->queue[queue], &v->d.dma))
        return;
    v->interrupt |= INT_USED;
    update(v);
}

void virtio_mmio_needs_reset(struct virtio_mmio *v)
{
    v->status |= VIRTIO_STATUS_NEEDS_RESET;
    if (v->status & VIRTIO_STATUS_DRIVER_OK)
        v->interrupt |= INT_CONFIG;
    update(v);
}

void virtio_mmio_config_changed(struct virtio_mmio *v)
{
    v->config_generation++;
    if (v->status & VIRTIO_STATUS_DRIVER_OK)
        v->interrupt |= INT_CONFIG;
    update(v);
}

bool virtio_mmio_pop(struct virtio_mmio *v, unsigned queue, struct virtq_chain *chain)
{
    enum virtq_result got;
    if (!v->queue[queue].ready || !virtio_mmio_running(v))
        return false;
    got = virtq_pop(&v->queue[queue], &v->d.dma, chain);
    if (got == VIRTQ_BROKEN)
        virtio_mmio_needs_reset(v);
    return got == VIRTQ_CHAIN;
}

static void clear(struct virtio_mmio *v)
{
    v->driver_features = 0;
    v->status = v->device_sel = v->driver_sel = v->queue_sel = v->interrupt = 0;
    memset(v->queue, 0, sizeof v->queue);
    for (unsigned i = 0; i < v->queue_count; i++)
        v->queue[i].size = VIRTQ_MAX_SIZE;
    update(v);
}

static void virtio_reset(struct gw_device *d)
{
    struct virtio_mmio *v = virtio(d);
    if (v->kind)
        v->kind->stop(v);
    clear(v);
}

static void virtio_destroy(struct gw_device *d)
{
    struct virtio_mmio *v = virtio(d);
    if (!v->kind)
        return;
    v->kind->destroy(v); /* what posts stops first */
    if (v->d.events)
        gw_events_withdraw(v->d.events, v->source);
    v->backend = NULL;
    v->kind = NULL;
}

enum gw_status virtio_mmio_attach(struct virtio_mmio *v, const struct virtio_kind *kind,
                                  void *backend, unsigned queues, struct gw_error *err)
{
    v->kind = kind;
    v->backend = backend;
    v->queue_count = queues;
    v->source = v->d.events && kind->event
                    ? gw_events_register_next(v->d.events, kind->name, kind->event, v)
                    : GW_NO_SOURCE;
    virtio_reset(&v->d);
    if (v->d.events && kind->event && v->source == GW_NO_SOURCE) {
        virtio_destroy(&v->d);
        return gw_fail(err, GW_ERR_LIMIT, kind->name, "too many devices have events");
    }
    return GW_OK;
}

static struct gw_event event(const struct virtio_mmio *v, uint16_t kind, const void *bytes,
                             uint32_t size)
{
    return (struct gw_event){.source = v->source, .kind = kind, .size_bytes = size, .bytes = bytes};
}

bool virtio_mmio_post(const struct virtio_mmio *v, uint16_t kind, const void *bytes, uint32_t size)
{
    struct gw_event ev = event(v, kind, bytes, size);
    return gw_events_post(v->d.events, &ev);
}

bool virtio_mmio_post_bounded(const struct virtio_mmio *v, uint16_t kind, const void *bytes,
                              uint32_t size)
{
    struct gw_event ev = event(v, kind, bytes, size);
    return gw_events_post_bounded(v->d.events, &ev);
}

/* The selected queue, or NULL when there is no such queue. */
static struct virtq *selected(struct virtio_mmio *v)
{
    return v->queue_sel < v->queue_count ? &v->queue[v->queue_sel] : NULL;
}

static uint32_t read_register(struct virtio_mmio *v, uint64_t offset)
{
    const struct virtq *q = selected(v);
    switch (offset) {
    case REG_DEVICE_FEATURES:
        return v->device_sel < 2 ? (uint32_t)(offered(v) >> (32 * v->device_sel)) : 0;
    case REG_QUEUE_SIZE_MAX: return q ? VIRTQ_MAX_SIZE : 0;
    case REG_QUEUE_READY: return q ? q->ready : 0;
    case REG_INTERRUPT_STATUS: return v->interrupt;
    case REG_STATUS: return v->status;
    case REG_CONFIG_GENERATION: return v->config_generation;
    default:
        /* 4.2.2: no shared memory: length and base are all ones */
        return offset >= REG_SHM_LENGTH_LOW && offset <= REG_SHM_BASE_HIGH ? UINT32_MAX : 0;
    }
}

static enum gw_bus_result virtio_read(struct gw_device *d, uint64_t offset, unsigned size,
                                      uint64_t *value)
{
    struct virtio_mmio *v = virtio(d);
    *value = 0;
    if (offset >= REG_CONFIG) {
        for (unsigned i = 0; v->kind && i < size; i++)
            *value |= (uint64_t)v->kind->config(v, offset - REG_CONFIG + i) << (8 * i);
        return GW_BUS_OK;
    }
    if (size != 4)
        return GW_BUS_ERROR;
    switch (offset) {
    case REG_MAGIC: *value = MAGIC; break;
    case REG_VERSION: *value = 2; break;
    case REG_DEVICE_ID: *value = v->kind ? v->kind->id : 0; break;
    case REG_VENDOR_ID: *value = VENDOR_ID; break;
    default: *value = v->kind ? read_register(v, offset) : 0; break;
    }
    return GW_BUS_OK;
}

/* 3.1.1: FEATURES_OK stays only when the driver took a subset that we can serve. */
static void set_status(struct virtio_mmio *v, uint32_t status)
{
    bool start;
    status &= 0xff & ~(uint32_t)VIRTIO_STATUS_NEEDS_RESET;
    if (status == 0) {
        virtio_reset(&v->d);
        return;
    }
    if ((status & VIRTIO_STATUS_FEATURES_OK) && !(v->status & VIRTIO_STATUS_FEATURES_OK) &&
        ((v->driver_features & ~offered(v)) || !(v->driver_features & VIRTIO_F_VERSION_1)))
        status &= ~(uint32_t)VIRTIO_STATUS_FEATURES_OK;
    status |= v->status; /* 2.1.1: bits are only added, so what was agreed on stays */
    if (!(status & VIRTIO_STATUS_FEATURES_OK))
        status &= ~(uint32_t)VIRTIO_STATUS_DRIVER_OK;
    start = (status & ~v->status & VIRTIO_STATUS_DRIVER_OK) != 0;
    v->status = status;
    if (start && v->kind->started && virtio_mmio_running(v))
        v->kind->started(v);
}

static void set_ready(struct virtio_mmio *v, struct virtq *q, uint32_t ready)
{
    if (!ready) {
        if (q->ready)
            v->kind->quiesce(v);
        q->ready = 0;
        virtq_rewind(q, 0);
    } else if (!q->ready && (v->status & VIRTIO_STATUS_FEATURES_OK)) { /* 3.1.1: in this order */
        virtq_rewind(q, ring_mode(v));
        if (virtq_valid(q, &v->d.dma))
            q->ready = 1;
        else
            virtio_mmio_needs_reset(v);
    }
}

static void set_half(uint64_t *address, uint64_t offset, uint32_t v)
{
    unsigned shift = offset & 4 ? 32 : 0;
    *address = (*address & ~(0xffffffffull << shift)) | (uint64_t)v << shift;
}

static void write_queue_register(struct virtio_mmio *v, uint64_t offset, uint32_t value)
{
    struct virtq *q = selected(v);
    if (!q)
        return;
    if (offset == REG_QUEUE_READY) {
        set_ready(v, q, value & 1);
        return;
    }
    if (q->ready)
        return; /* 4.2.2.2: a queue that is in use cannot be moved */
    if (offset == REG_QUEUE_SIZE) {
        q->size = value > VIRTQ_MAX_SIZE ? 0 : (uint16_t)value; /* 0 cannot become ready */
        return;
    }
    switch (offset & ~4ull) {
    case REG_QUEUE_DESC: set_half(&q->desc, offset, value); break;
    case REG_QUEUE_AVAIL: set_half(&q->avail, offset, value); break;
    case REG_QUEUE_USED: set_half(&q->used, offset, value); break;
    default: break;
    }
}

static enum gw_bus_result virtio_write(struct gw_device *d, uint64_t offset, unsigned size,
                                       uint64_t value)
{
    struct virtio_mmio *v = virtio(d);
    uint32_t w = (uint32_t)value;
    if (offset >= REG_CONFIG) {
        if (v->kind && v->kind->config_write)
            v->kind->config_write(v, offset - REG_CONFIG, size, value);
        return GW_BUS_OK;
    }
    if (size != 4)
        return GW_BUS_ERROR;
    if (!v->kind)
        return GW_BUS_OK;
    switch (offset) {
    case REG_DEVICE_FEATURES_SEL: v->device_sel = w; break;
    case REG_DRIVER_FEATURES_SEL: v->driver_sel = w; break;
    case REG_DRIVER_FEATURES:
        if (v->driver_sel < 2 && !(v->status & VIRTIO_STATUS_FEATURES_OK))
            set_half(&v->driver_features, v->driver_sel ? 4 : 0, w);
        break;
    case REG_QUEUE_SEL: v->queue_sel = w; break;
    case REG_QUEUE_NOTIFY:
        if (w < v->queue_count && v->queue[w].ready && virtio_mmio_running(v))
            v->kind->notify(v, w);
        break;
    case REG_INTERRUPT_ACK:
        v->interrupt &= ~w;
        update(v);
        break;
    case REG_STATUS: set_status(v, w); break;
    default: write_queue_register(v, offset, w); break;
    }
    return GW_BUS_OK;
}

static void virtio_quiesce(struct gw_device *d)
{
    struct virtio_mmio *v = virtio(d);
    if (v->kind)
        v->kind->quiesce(v);
}

static enum gw_status virtio_check(const void *object, struct gw_error *err)
{
    const struct virtio_mmio *v = object;
    bool ok =
        v->status <= 0xff && !(v->status && !v->kind) && v->interrupt <= (INT_USED | INT_CONFIG);
    for (unsigned i = 0; i < VIRTIO_MAX_QUEUES; i++) {
        struct virtq q = v->queue[i];
        q.mode = (uint8_t)(q.ready ? ring_mode(v) : 0);
        ok = ok && q.ready <= 1 && (i < v->queue_count || !q.ready) &&
             (!q.ready || ((v->status & VIRTIO_STATUS_FEATURES_OK) && virtq_valid(&q, &v->d.dma)));
    }
    return ok ? GW_OK
              : gw_fail(err, GW_ERR_FORMAT, "virtio-mmio", "state that the device cannot hold");
}

static void virtio_post_load(void *object)
{
    struct virtio_mmio *v = object;
    for (unsigned i = 0; i < VIRTIO_MAX_QUEUES; i++)
        v->queue[i].mode = (uint8_t)(v->queue[i].ready ? ring_mode(v) : 0);
    update(v);
}

#define QUEUE_FIELDS(i)                                                                            \
    STATE_SCALAR(struct virtio_mmio, queue[i].size, STATE_U16),                                    \
        STATE_SCALAR(struct virtio_mmio, queue[i].ready, STATE_U8),                                \
        STATE_SCALAR(struct virtio_mmio, queue[i].desc, STATE_U64),                                \
        STATE_SCALAR(struct virtio_mmio, queue[i].avail, STATE_U64),                               \
        STATE_SCALAR(struct virtio_mmio, queue[i].used, STATE_U64),                                \
        STATE_SCALAR(struct virtio_mmio, queue[i].last_avail, STATE_U16),                          \
        STATE_SCALAR(struct virtio_mmio, queue[i].used_index, STATE_U16),                          \
        STATE_SCALAR(struct virtio_mmio, queue[i].avail_wrap, STATE_U8),                           \
        STATE_SCALAR(struct virtio_mmio, queue[i].used_wrap, STATE_U8),                            \
        STATE_SCALAR(struct virtio_mmio, queue[i].unsignalled, STATE_U16)

static const struct state_field virtio_fields[] = {
    STATE_SCALAR(struct virtio_mmio, driver_features, STATE_U64),
    STATE_SCALAR(struct virtio_mmio, status, STATE_U32),
    STATE_SCALAR(struct virtio_mmio, device_sel, STATE_U32),
    STATE_SCALAR(struct virtio_mmio, driver_sel, STATE_U32),
    STATE_SCALAR(struct virtio_mmio, queue_sel, STATE_U32),
    STATE_SCALAR(struct virtio_mmio, interrupt, STATE_U32),
    STATE_SCALAR(struct virtio_mmio, config_generation, STATE_U32),
    QUEUE_FIELDS(0),
    QUEUE_FIELDS(1),
    QUEUE_FIELDS(2),
    QUEUE_FIELDS(3),
    QUEUE_FIELDS(4),
    QUEUE_FIELDS(5),
    QUEUE_FIELDS(6),
    QUEUE_FIELDS(7),
    QUEUE_FIELDS(8),
    QUEUE_FIELDS(9),
    QUEUE_FIELDS(10),
    QUEUE_FIELDS(11),
    QUEUE_FIELDS(12),
    QUEUE_FIELDS(13),
    QUEUE_FIELDS(14),
    QUEUE_FIELDS(15),
};

static const struct state_desc virtio_state = {
    .name = "virtio-mmio",
    .version = 2,
    .fields = virtio_fields,
    .field_count = STATE_COUNT_(virtio_fields),
    .check = virtio_check,
    .post_load = virtio_post_load,
};

const struct gw_device_class virtio_mmio_class = {
    .name = "virtio-mmio",
    .instance_size = sizeof(struct virtio_mmio),
    .state = &virtio_state,
    .window_bytes = 0x1000,
    .read = virtio_read,
    .write = virtio_write,
    .reset = virtio_reset,
    .quiesce = virtio_quiesce,
    .destroy = virtio_destroy,
};
