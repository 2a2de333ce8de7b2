/* The driver of virtio fuzzers: registers, rings of both kinds, memory, all as the input says. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/devices/fuzz/fuzz_devices.h"

enum {
    R_DRIVER = 0x20,
    R_DRIVER_SEL = 0x24,
    R_QUEUE_SEL = 0x30,
    R_QUEUE_SIZE = 0x38,
    R_READY = 0x44,
    R_NOTIFY = 0x50,
    R_STATUS = 0x70,
    R_DESC = 0x80,
    R_AVAIL = 0x90,
    R_USED = 0xa0
};
enum { NEXT = 1, WRITE = 2, INDIRECT = 4, OPS_MAX = 2000 };

/* Rings of queue q lie at RING(q), its tables behind them; what follows is for buffers. */
#define RING_BYTES 0x4000u
#define RING(q)    (FZ_RAM_BASE + (uint64_t)(q)*RING_BYTES)
#define BUFFERS    RING(FZ_QUEUES)

struct driver {
    unsigned size;
    bool packed;
    struct {
        uint16_t avail;
        bool wrap;
    } q[FZ_QUEUES];
};

static uint8_t *ram(struct fz_world *w, uint64_t paddr)
{
    return w->bus.ram[0].host + (paddr - FZ_RAM_BASE);
}

static void put(struct fz_world *w, uint64_t paddr, uint64_t v, unsigned size)
{
    gw_put_little(ram(w, paddr), v, size);
}

static void reg(struct fz_world *w, uint64_t offset, uint64_t v)
{
    w->d->cls->write(w->d, offset, 4, v & UINT32_MAX);
}

/* A driver that does what one must, with the features of the input. */
static void negotiate(struct fz_world *w, struct driver *dr, uint64_t features)
{
    static const unsigned sizes[] = {4, 8, 16, 256};
    memset(dr, 0, sizeof *dr);
    dr->size = sizes[features & 3];
    features = (features >> 2 | VIRTIO_F_VERSION_1) &
               (w->v->kind->features(w->v) | VIRTIO_F_VERSION_1 | VIRTIO_F_INDIRECT_DESC |
                VIRTIO_F_EVENT_IDX | VIRTIO_F_RING_PACKED);
    dr->packed = features & VIRTIO_F_RING_PACKED;
    reg(w, R_STATUS, 0);
    reg(w, R_STATUS, 3);
    reg(w, R_DRIVER_SEL, 0);
    reg(w, R_DRIVER, features);
    reg(w, R_DRIVER_SEL, 1);
    reg(w, R_DRIVER, features >> 32);
    reg(w, R_STATUS, 11);
    for (unsigned i = 0; i < FZ_QUEUES; i++) {
        memset(ram(w, RING(i)), 0, 0x2800);
        dr->q[i].wrap = true;
        reg(w, R_QUEUE_SEL, i);
        reg(w, R_QUEUE_SIZE, dr->size);
        reg(w, R_DESC, RING(i));
        reg(w, R_AVAIL, RING(i) + 0x1000);
        reg(w, R_USED, RING(i) + 0x1800);
        reg(w, R_READY, 1);
    }
    reg(w, R_STATUS, 15);
}

/* Mostly buffers in RAM, sometimes what only looks like it. */
static uint64_t address(struct fz_bytes *in)
{
    uint64_t v = fz_take(in, 3);
    switch (v & 15) {
    case 0: return fz_take(in, 8);
    case 1: return FZ_RAM_BASE + FZ_RAM_BYTES - (v >> 4 & 0xff);
    case 2: return FZ_RAM_BASE + (v >> 4) % FZ_RAM_BYTES;
    default: return BUFFERS + (v >> 4) % (FZ_RAM_BYTES - FZ_QUEUES * RING_BYTES);
    }
}

static void put_desc(struct fz_world *w, const struct driver *dr, uint64_t at, struct fz_bytes *in,
                     unsigned flags, unsigned extra)
{
    uint64_t how = fz_take(in, 1);
    put(w, at, address(in), 8);
    put(w, at + 8, how & 0x80 ? fz_take(in, 4) : fz_take(in, how & 1 ? 2 : 1), 4);
    flags |= how & 2 ? WRITE : 0;
    flags ^= how >= 0xfa ? NEXT : 0;
    put(w, at + 12, dr->packed ? extra : flags, 2);
    put(w, at + 14, dr->packed ? flags : extra, 2);
}

/* One chain of the input's making, up to 8 entries, made available on queue q. */
static void add_chain(struct fz_world *w, struct driver *dr, unsigned q, struct fz_bytes *in)
{
    unsigned how = (unsigned)fz_take(in, 1), count = 1 + (how & 7);
    unsigned id = (how >> 3) % dr->size, own;
    bool table = how & 0x80;
    uint64_t at = RING(q) + 0x2800 + 128 * (id % 16);
    own = dr->packed ? (dr->q[q].wrap ? 1u << 7 : 1u << 15) : 0;
    for (unsigned i = 0; i < count && table; i++)
        put_desc(w, dr, at + 16 * i, in, !dr->packed && i + 1 < count ? NEXT : 0, i + 1);
    if (table) {
        uint64_t desc = RING(q) + 16 * (dr->packed ? dr->q[q].avail % dr->size : id);
        put(w, desc, at, 8);
        put(w, desc + 8, 16 * count, 4);
        put(w, desc + 12, dr->packed ? id : INDIRECT, 2);
        put(w, desc + 14, dr->packed ? INDIRECT | own : 0, 2);
        count = 1;
    }
    for (unsigned i = 0; i < count; i++) {
        unsigned place = dr->packed ? dr->q[q].avail : (id + i) % dr->size;
        own = dr->packed ? (dr->q[q].wrap ? 1u << 7 : 1u << 15) : 0;
        if (!table)
            put_desc(w, dr, RING(q) + 16 * (uint64_t)place, in, own | (i + 1 < count ? NEXT : 0),
                     dr->packed ? id : (id + i + 1) % dr->size);
        if (dr->packed && ++dr->q[q].avail >= dr->size) {
            dr->q[q].avail = 0;
            dr->q[q].wrap = !dr->q[q].wrap;
        }
    }
    if (!dr->packed) {
        put(w, RING(q) + 0x1004 + 2 * (dr->q[q].avail % dr->size), id, 2);
        put(w, RING(q) + 0x1002, ++dr->q[q].avail, 2);
    }
}

static void write_memory(struct fz_world *w, struct fz_bytes *in)
{
    uint64_t at = fz_take(in, 3) % (FZ_RAM_BYTES - 64);
    unsigned n = (unsigned)fz_take(in, 1) % 33;
    for (unsigned i = 0; i < n; i++)
        put(w, FZ_RAM_BASE + at + i, fz_take(in, 1), 1);
}

/* One value of a state is another: taken where the device's check takes it, as at a load. */
static void load(void *object, const struct state_desc *s, struct fz_bytes *in)
{
    const struct state_field *f = &s->fields[fz_take(in, 1) % s->field_count];
    uint32_t i = (uint32_t)fz_take(in, 1) % f->count;
    uint64_t was = state_get(object, f, i);
    state_set(object, f, i, fz_number(in));
    if (s->check && s->check(object, NULL) != GW_OK)
        state_set(object, f, i, was);
    if (s->post_load)
        s->post_load(object);
}

/* Whatever was done, the state can be saved and loaded. */
static void must_be_valid(const struct fz_world *w)
{
    const struct state_desc *own = w->d->cls->state, *kind = w->v->kind->state;
    struct gw_error err = {0};
    if (own->check(w->d, &err) != GW_OK ||
        (kind && kind->check && kind->check(w->v->backend, &err) != GW_OK)) {
        fprintf(stderr, "%s: %s\n", err.object, err.message);
        abort();
    }
}

/* An event as some log has it. */
static void inject(struct fz_world *w, unsigned kind, struct fz_bytes *in)
{
    uint8_t bytes[128];
    struct gw_event ev = {.source = w->v->source, .kind = (uint16_t)kind, .bytes = bytes};
    ev.size_bytes = (uint32_t)fz_take(in, 1) % sizeof bytes;
    for (uint32_t i = 0; i < ev.size_bytes; i++)
        bytes[i] = (uint8_t)fz_take(in, 1);
    gw_events_inject(w->events, &ev);
}

static void step(struct fz_world *w, struct driver *dr, struct fz_bytes *in)
{
    unsigned op = (unsigned)fz_take(in, 1), q = op >> 4 & (FZ_QUEUES - 1);
    uint64_t v, offset;
    switch (op & 15) {
    case 0: negotiate(w, dr, fz_take(in, 6)); break;
    case 1:
        offset = fz_take(in, 1) * 4;
        w->d->cls->read(w->d, offset, 4, &v);
        break;
    case 2:
        offset = fz_take(in, 1) * 4;
        reg(w, offset, fz_take(in, 4));
        break;
    case 3:
        offset = 0x100 + fz_take(in, 1) % 64;
        w->d->cls->write(w->d, offset & ~UINT64_C(3), 4, fz_take(in, 4));
        w->d->cls->read(w->d, offset, 1, &v);
        break;
    case 4: /* quiesced before, as a machine's devices are */
        w->d->cls->quiesce(w->d);
        if (!w->v->kind->state || op & 0x80)
            load(w->d, w->d->cls->state, in);
        else
            load(w->v->backend, w->v->kind->state, in);
        break;
    case 5: write_memory(w, in); break;
    case 6:
        w->insns += fz_take(in, 4);
        gw_events_run(w->events, w->insns);
        break;
    case 7:
    case 8: fz_host(w, in); break;
    case 9: w->d->cls->quiesce(w->d); break;
    case 10: reg(w, R_NOTIFY, q); break;
    case 11: inject(w, q, in); break;
    default:
        if (dr->size)
            add_chain(w, dr, q, in);
        reg(w, R_NOTIFY, q);
        break;
    }
}

/* Made once: inputs begin with a reset device and clear memory. */
static struct fz_world *world(void)
{
    static struct fz_world *w;
    struct gw_error err = {0};
    if (w)
        return w;
    w = calloc(1, sizeof *w);
    if (!w)
        abort();
    w->events = gw_events_new(GW_CLOCK_INSNS, 1000);
    dev_bus_init(&w->bus);
    if (dev_bus_add_ram(&w->bus, FZ_RAM_BASE, FZ_RAM_BYTES, &err) != GW_OK)
        abort();
    w->d = dev_new(&virtio_mmio_class, w->events, &w->bus.bus);
    w->v = virtio_mmio_dev(w->d);
    fz_attach(w);
    return w;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct fz_world *w = world();
    struct fz_bytes in = {.at = data, .end = data + size};
    struct driver dr = {0};
    memset(w->bus.ram[0].host, 0, FZ_RAM_BYTES);
    fz_between(w);
    negotiate(w, &dr, fz_take(&in, 6));
    for (unsigned i = 0; i < OPS_MAX && in.at < in.end; i++) {
        step(w, &dr, &in);
        must_be_valid(w);
    }
    w->insns += UINT64_C(1) << 40;
    gw_events_run(w->events, w->insns);
    reg(w, R_STATUS, 0);
    gw_events_run(w->events, w->insns);
    /* Whatever was done, after a reset the device is as new. */
    if (virtio_running(w->v) || w->v->queue[0].ready ||
        ((const struct virtio_mmio *)(const void *)w->d)->interrupt)
        abort();
    return 0;
}
