/* virtio-mmio registers. Source: VIRTIO 1.2, 4.2.2 (table 4.1). */
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

static struct virtio_mmio *slot(struct gw_device *d)
{
    return (struct virtio_mmio *)(void *)d;
}

struct virtio_dev *virtio_mmio_dev(struct gw_device *d)
{
    return &slot(d)->dev;
}

static void update(struct virtio_mmio *m)
{
    gw_irq_set(&m->d.irq, m->interrupt != 0);
}

static void interrupt(struct virtio_dev *v, uint32_t why)
{
    struct virtio_mmio *m =
        (struct virtio_mmio *)(void *)((char *)v - offsetof(struct virtio_mmio, dev));
    m->interrupt |= why;
    update(m);
}

static void mmio_used(struct virtio_dev *v, unsigned queue)
{
    interrupt(v, INT_USED);
}

static void mmio_config_changed(struct virtio_dev *v)
{
    interrupt(v, INT_CONFIG);
}

static void mmio_init(struct gw_device *d)
{
    static const struct virtio_transport transport = {.used = mmio_used,
                                                      .config_changed = mmio_config_changed};
    virtio_init(&slot(d)->dev, &transport, &d->dma, d->events);
}

static void clear_registers(struct virtio_mmio *m)
{
    m->device_sel = m->driver_sel = m->queue_sel = m->interrupt = 0;
    update(m);
}

static void mmio_reset(struct gw_device *d)
{
    virtio_reset(&slot(d)->dev);
    clear_registers(slot(d));
}

static uint32_t read_register(struct virtio_mmio *m, uint64_t offset)
{
    const struct virtq *q = virtio_queue(&m->dev, m->queue_sel);
    switch (offset) {
    case REG_DEVICE_FEATURES:
        return m->device_sel < 2 ? (uint32_t)(virtio_offered(&m->dev) >> (32 * m->device_sel)) : 0;
    case REG_QUEUE_SIZE_MAX: return q ? VIRTQ_MAX_SIZE : 0;
    case REG_QUEUE_READY: return q ? q->ready : 0;
    case REG_INTERRUPT_STATUS: return m->interrupt;
    case REG_STATUS: return m->dev.status;
    case REG_CONFIG_GENERATION: return m->dev.config_generation;
    default:
        /* 4.2.2: no shared memory: length and base are all ones */
        return offset >= REG_SHM_LENGTH_LOW && offset <= REG_SHM_BASE_HIGH ? UINT32_MAX : 0;
    }
}

static enum gw_bus_result mmio_read(struct gw_device *d, uint64_t offset, unsigned size,
                                    uint64_t *value)
{
    struct virtio_mmio *m = slot(d);
    const struct virtio_kind *kind = m->dev.kind;
    *value = 0;
    if (offset >= REG_CONFIG) {
        if (kind)
            *value = virtio_read_config(&m->dev, offset - REG_CONFIG, size);
        return GW_BUS_OK;
    }
    if (size != 4)
        return GW_BUS_ERROR;
    switch (offset) {
    case REG_MAGIC: *value = MAGIC; break;
    case REG_VERSION: *value = 2; break;
    case REG_DEVICE_ID: *value = kind ? kind->id : 0; break;
    case REG_VENDOR_ID: *value = VENDOR_ID; break;
    default: *value = kind ? read_register(m, offset) : 0; break;
    }
    return GW_BUS_OK;
}

static void set_half(uint64_t *address, uint64_t offset, uint32_t v)
{
    unsigned shift = offset & 4 ? 32 : 0;
    *address = (*address & ~(0xffffffffull << shift)) | (uint64_t)v << shift;
}

static void write_queue_register(struct virtio_mmio *m, uint64_t offset, uint32_t value)
{
    struct virtq *q = virtio_queue(&m->dev, m->queue_sel);
    if (!q)
        return;
    if (offset == REG_QUEUE_READY) {
        virtio_set_ready(&m->dev, q, value & 1);
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

static void write_register(struct virtio_mmio *m, uint64_t offset, uint32_t w)
{
    switch (offset) {
    case REG_DEVICE_FEATURES_SEL: m->device_sel = w; break;
    case REG_DRIVER_FEATURES_SEL: m->driver_sel = w; break;
    case REG_DRIVER_FEATURES: virtio_accept(&m->dev, m->driver_sel, w); break;
    case REG_QUEUE_SEL: m->queue_sel = w; break;
    case REG_QUEUE_NOTIFY: virtio_notify(&m->dev, w); break;
    case REG_INTERRUPT_ACK:
        m->interrupt &= ~w;
        update(m);
        break;
    case REG_STATUS:
        if (virtio_set_status(&m->dev, w))
            clear_registers(m);
        break;
    default: write_queue_register(m, offset, w); break;
    }
}

static enum gw_bus_result mmio_write(struct gw_device *d, uint64_t offset, unsigned size,
                                     uint64_t value)
{
    struct virtio_mmio *m = slot(d);
    if (offset < REG_CONFIG && size != 4)
        return GW_BUS_ERROR;
    if (!m->dev.kind)
        return GW_BUS_OK;
    if (offset < REG_CONFIG)
        write_register(m, offset, (uint32_t)value);
    else
        virtio_write_config(&m->dev, offset - REG_CONFIG, size, value);
    return GW_BUS_OK;
}

static void mmio_quiesce(struct gw_device *d)
{
    virtio_quiesce(&slot(d)->dev);
}

static void mmio_destroy(struct gw_device *d)
{
    virtio_destroy(&slot(d)->dev);
}

static const struct state_desc *mmio_behind(struct gw_device *d, void **object)
{
    const struct virtio_dev *v = &slot(d)->dev;
    *object = v->backend;
    return v->kind ? v->kind->state : NULL;
}

static enum gw_status mmio_check(const void *object, struct gw_error *err)
{
    const struct virtio_mmio *m = object;
    return virtio_state_valid(&m->dev) && m->interrupt <= (INT_USED | INT_CONFIG)
               ? GW_OK
               : gw_fail(err, GW_ERR_FORMAT, "virtio-mmio", "state that the device cannot hold");
}

static void mmio_post_load(void *object)
{
    struct virtio_mmio *m = object;
    virtio_state_loaded(&m->dev);
    update(m);
}

static const struct state_field mmio_fields[] = {
    VIRTIO_STATE_AGREED(struct virtio_mmio, dev),
    STATE_SCALAR(struct virtio_mmio, device_sel, STATE_U32),
    STATE_SCALAR(struct virtio_mmio, driver_sel, STATE_U32),
    STATE_SCALAR(struct virtio_mmio, queue_sel, STATE_U32),
    STATE_SCALAR(struct virtio_mmio, interrupt, STATE_U32),
    VIRTIO_STATE_QUEUES(struct virtio_mmio, dev),
};

static const struct state_desc mmio_state = {
    .name = "virtio-mmio",
    .version = 2,
    .fields = mmio_fields,
    .field_count = STATE_COUNT_(mmio_fields),
    .check = mmio_check,
    .post_load = mmio_post_load,
};

const struct gw_device_class virtio_mmio_class = {
    .name = "virtio-mmio",
    .instance_size = sizeof(struct virtio_mmio),
    .state = &mmio_state,
    .behind = mmio_behind,
    .window_bytes = 0x1000,
    .init = mmio_init,
    .read = mmio_read,
    .write = mmio_write,
    .reset = mmio_reset,
    .quiesce = mmio_quiesce,
    .destroy = mmio_destroy,
};
