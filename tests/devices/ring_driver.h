/* The driver's side of virtio-mmio and its queues, split and packed, in the RAM of fakes.h. */
#ifndef TESTS_DEVICES_RING_DRIVER_H
#define TESTS_DEVICES_RING_DRIVER_H

#include "tests/devices/fakes.h"
#include "devices/virtio/mmio.h"

enum {
    R_ID = 0x08,
    R_FEATURES = 0x10,
    R_FEATURES_SEL = 0x14,
    R_DRIVER = 0x20,
    R_DRIVER_SEL = 0x24,
    R_QUEUE_SEL = 0x30,
    R_QUEUE_MAX = 0x34,
    R_QUEUE_SIZE = 0x38,
    R_READY = 0x44,
    R_NOTIFY = 0x50,
    R_INT = 0x60,
    R_ACK = 0x64,
    R_STATUS = 0x70,
    R_DESC = 0x80,
    R_AVAIL = 0x90,
    R_USED = 0xa0,
    R_GENERATION = 0xfc,
    R_CONFIG = 0x100,
};
enum { D_NEXT = 1, D_WRITE = 2, D_INDIRECT = 4 };
enum { NEEDS_RESET = 64 };

struct ring {
    struct dev_bus *bus;
    struct gw_device *d;
    unsigned index, size;
    bool packed;
    uint64_t desc, avail, used; /* the rings; a table for each head from `tables` on */
    uint64_t tables;
    uint16_t next_avail, next_used; /* split: counts; packed: places */
    bool avail_wrap, used_wrap;
    uint16_t slots[256]; /* packed: entries by buffer id */
};

struct buffer {
    uint64_t paddr;
    uint32_t len;
    bool write;
};

static inline void ram_put(struct dev_bus *b, uint64_t paddr, uint64_t v, unsigned size)
{
    for (unsigned i = 0; i < size; i++)
        ram_at(b, paddr)[i] = (uint8_t)(v >> (8 * i));
}

static inline uint64_t ram_get(struct dev_bus *b, uint64_t paddr, unsigned size)
{
    uint64_t v = 0;
    for (unsigned i = 0; i < size; i++)
        v |= (uint64_t)ram_at(b, paddr)[i] << (8 * i);
    return v;
}

static inline uint32_t vreg(struct gw_device *d, unsigned r)
{
    return (uint32_t)reg_read(d, r, 4);
}

static inline void vset(struct gw_device *d, unsigned r, uint32_t v)
{
    reg_write(d, r, 4, v);
}

static inline uint64_t offered_features(struct gw_device *d)
{
    uint64_t lo;
    vset(d, R_FEATURES_SEL, 0);
    lo = vreg(d, R_FEATURES);
    vset(d, R_FEATURES_SEL, 1);
    return lo | (uint64_t)vreg(d, R_FEATURES) << 32;
}

/* Resets, and takes these features with VERSION_1. Queues and DRIVER_OK are yet to come. */
static inline void agree_on(struct gw_device *d, uint64_t features)
{
    features |= VIRTIO_F_VERSION_1;
    vset(d, R_STATUS, 0);
    vset(d, R_STATUS, 1);
    vset(d, R_STATUS, 3);
    vset(d, R_DRIVER_SEL, 0);
    vset(d, R_DRIVER, (uint32_t)features);
    vset(d, R_DRIVER_SEL, 1);
    vset(d, R_DRIVER, (uint32_t)(features >> 32));
    vset(d, R_STATUS, 11);
    assert_int_equal(vreg(d, R_STATUS), 11);
}

/* Rings of queue `index` in 16 KiB of RAM from `base` on. */
static inline void ring_init(struct ring *r, struct dev_bus *bus, struct gw_device *d,
                             unsigned index, unsigned size, bool packed, uint64_t base)
{
    *r = (struct ring){.bus = bus, .d = d, .index = index, .size = size, .packed = packed};
    r->desc = base;
    r->avail = base + 0x1000;
    r->used = base + 0x1800;
    r->tables = base + 0x2800;
    r->avail_wrap = r->used_wrap = true;
    memset(ram_at(bus, base), 0, 0x4000);
    vset(d, R_QUEUE_SEL, index);
    vset(d, R_QUEUE_SIZE, size);
    vset(d, R_DESC, (uint32_t)r->desc);
    vset(d, R_DESC + 4, (uint32_t)(r->desc >> 32));
    vset(d, R_AVAIL, (uint32_t)r->avail);
    vset(d, R_AVAIL + 4, (uint32_t)(r->avail >> 32));
    vset(d, R_USED, (uint32_t)r->used);
    vset(d, R_USED + 4, (uint32_t)(r->used >> 32));
    vset(d, R_READY, 1);
    assert_int_equal(vreg(d, R_READY), 1);
}

static inline void put_desc(struct ring *r, uint64_t at, struct buffer b, unsigned flags,
                            unsigned extra)
{
    flags |= b.write ? D_WRITE : 0;
    ram_put(r->bus, at, b.paddr, 8);
    ram_put(r->bus, at + 8, b.len, 4);
    ram_put(r->bus, at + 12, r->packed ? extra : flags, 2);
    ram_put(r->bus, at + 14, r->packed ? flags : extra, 2);
}

static inline unsigned packed_flags(const struct ring *r)
{
    return r->avail_wrap ? 1u << 7 : 1u << 15;
}

/* Makes entries of the ring; the first entry's flags are what makes a packed chain available. */
static inline void ring_add_direct(struct ring *r, unsigned id, const struct buffer *b,
                                   unsigned count)
{
    for (unsigned i = 0; i < count && !r->packed; i++)
        put_desc(r, r->desc + 16 * ((id + i) % r->size), b[i], i + 1 < count ? D_NEXT : 0,
                 (id + i + 1) % r->size);
    for (unsigned i = 0; i < count && r->packed; i++) {
        unsigned next = i + 1 < count ? D_NEXT : 0;
        put_desc(r, r->desc + 16 * r->next_avail, b[i], next | packed_flags(r), id);
        if (++r->next_avail == r->size) {
            r->next_avail = 0;
            r->avail_wrap = !r->avail_wrap;
        }
    }
    r->slots[id] = (uint16_t)count;
    if (!r->packed) {
        ram_put(r->bus, r->avail + 4 + 2 * (r->next_avail % r->size), id, 2);
        ram_put(r->bus, r->avail + 2, ++r->next_avail, 2);
    }
}

/* The same by an indirect table, which is made in place `id` of the tables (room for eight). */
static inline void ring_add_table(struct ring *r, unsigned id, const struct buffer *b,
                                  unsigned count)
{
    uint64_t table = r->tables + 128 * (id % 32);
    struct buffer t = {.paddr = table, .len = count * 16};
    assert_true(count <= 8);
    for (unsigned i = 0; i < count; i++)
        put_desc(r, table + 16 * i, b[i], !r->packed && i + 1 < count ? D_NEXT : 0,
                 r->packed ? 0 : i + 1);
    if (r->packed) {
        put_desc(r, r->desc + 16 * r->next_avail, t, D_INDIRECT | packed_flags(r), id);
        if (++r->next_avail == r->size) {
            r->next_avail = 0;
            r->avail_wrap = !r->avail_wrap;
        }
    } else {
        put_desc(r, r->desc + 16 * id, t, D_INDIRECT, 0);
        ram_put(r->bus, r->avail + 4 + 2 * (r->next_avail % r->size), id, 2);
        ram_put(r->bus, r->avail + 2, ++r->next_avail, 2);
    }
    r->slots[id] = 1;
}

static inline void ring_kick(struct ring *r)
{
    vset(r->d, R_NOTIFY, r->index);
}

/* The next chain that was given back: its id, or -1 when there is none. */
static inline int ring_take(struct ring *r, uint32_t *len)
{
    uint64_t at;
    unsigned id, flags;
    *len = 0;
    if (!r->packed) {
        if ((uint16_t)ram_get(r->bus, r->used + 2, 2) == r->next_used)
            return -1;
        at = r->used + 4 + 8 * (r->next_used++ % r->size);
        *len = (uint32_t)ram_get(r->bus, at + 4, 4);
        return (int)ram_get(r->bus, at, 4);
    }
    at = r->desc + 16 * r->next_used;
    flags = (unsigned)ram_get(r->bus, at + 14, 2);
    if ((flags >> 7 & 1) != (flags >> 15 & 1) || (flags >> 15 & 1) != r->used_wrap)
        return -1;
    *len = (uint32_t)ram_get(r->bus, at + 8, 4);
    id = (unsigned)ram_get(r->bus, at + 12, 2);
    r->next_used = (uint16_t)(r->next_used + r->slots[id % 256]);
    if (r->next_used >= r->size) {
        r->next_used = (uint16_t)(r->next_used - r->size);
        r->used_wrap = !r->used_wrap;
    }
    return (int)id;
}

#endif
