/* A driver for rings of a few descriptors, split or packed, as far as the fixtures need one. */
#ifndef SNAPSHOT_GUEST_VIRTIO_H
#define SNAPSHOT_GUEST_VIRTIO_H

#include "guest.h"

enum { VQ_SIZE = 16, VIRTIO_SLOTS = 8 };
enum { ID_NET = 1, ID_BLK = 2, ID_CONSOLE = 3, ID_RNG = 4 };
enum { DESC_NEXT = 1, DESC_WRITE = 2, DESC_AVAIL = 0x80, DESC_USED = 0x8000 };

#define F_VERSION_1   BIT(32)
#define F_RING_PACKED BIT(34)

struct desc {
    uint64_t addr;
    uint32_t len;
    uint16_t flags, next; /* packed: id, flags */
};

/* All of a queue's memory, at the start of a page. */
struct ring {
    struct desc desc[VQ_SIZE];
    struct {
        uint16_t flags, index, ring[VQ_SIZE], event;
    } avail __attribute__((aligned(16)));
    struct {
        uint16_t flags, index;
        struct {
            uint32_t id, len;
        } ring[VQ_SIZE];
        uint16_t event;
    } used __attribute__((aligned(16)));
};

struct queue {
    uint64_t base; /* of the device's registers */
    unsigned index;
    bool packed, wrap;
    unsigned next; /* descriptor that is free */
    volatile struct ring *ring;
};

struct part {
    const volatile void *at;
    uint32_t bytes;
    bool in; /* the device writes */
};

static inline volatile uint32_t *vreg(uint64_t base, unsigned offset)
{
    return mmio32(base + offset);
}

/* The n-th device of a kind; 0: there is none. */
static inline uint64_t virtio_find(unsigned id, unsigned n)
{
    for (unsigned i = 0; i < VIRTIO_SLOTS; i++) {
        uint64_t base = UINT64_C(0x10001000) + i * 0x1000;
        if (*vreg(base, 8) == id && n-- == 0)
            return base;
    }
    return 0;
}

static inline void virtio_agree(uint64_t base, uint64_t features)
{
    *vreg(base, 0x70) = 0;
    *vreg(base, 0x70) = 3;
    for (unsigned i = 0; i < 2; i++) {
        *vreg(base, 0x24) = i;
        *vreg(base, 0x20) = (uint32_t)(features >> (32 * i));
    }
    *vreg(base, 0x70) = 3 | 8;
    CHECK_EQ(*vreg(base, 0x70), 3 | 8);
}

static inline void virtio_go(uint64_t base)
{
    *vreg(base, 0x70) = 3 | 8 | 4;
}

static inline void put_address(uint64_t base, unsigned offset, const volatile void *p)
{
    *vreg(base, offset) = (uint32_t)addr(p);
    *vreg(base, offset + 4) = (uint32_t)(addr(p) >> 32);
}

static inline void queue_open(struct queue *q, uint64_t base, unsigned index, bool packed)
{
    *q = (struct queue){
        .base = base, .index = index, .packed = packed, .wrap = true, .ring = page_new()};
    *vreg(base, 0x30) = index;
    *vreg(base, 0x38) = VQ_SIZE;
    put_address(base, 0x80, q->ring->desc);
    put_address(base, 0x90, (const volatile void *)&q->ring->avail);
    put_address(base, 0xa0, (const volatile void *)&q->ring->used);
    *vreg(base, 0x44) = 1;
    CHECK_EQ(*vreg(base, 0x44), 1);
}

/* A chain of parts, which is the device's to see from now on. */
static inline void queue_add(struct queue *q, const struct part *parts, unsigned count)
{
    volatile struct ring *r = q->ring;
    unsigned head = q->next;
    uint16_t head_flags = 0;
    bool wrap = q->wrap;
    for (unsigned i = 0; i < count; i++) {
        unsigned at = (head + i) % VQ_SIZE;
        uint16_t flags =
            (uint16_t)((i + 1 < count ? DESC_NEXT : 0) | (parts[i].in ? DESC_WRITE : 0));
        r->desc[at].addr = addr(parts[i].at);
        r->desc[at].len = parts[i].bytes;
        if (q->packed) {
            flags |= wrap ? DESC_AVAIL : DESC_USED;
            r->desc[at].flags = (uint16_t)head; /* the buffer's id */
            if (i)
                r->desc[at].next = flags;
            else
                head_flags = flags;
            wrap ^= at + 1 == VQ_SIZE;
        } else {
            r->desc[at].flags = flags;
            r->desc[at].next = (uint16_t)((at + 1) % VQ_SIZE);
        }
    }
    __asm__ volatile("fence rw, rw" ::: "memory");
    if (q->packed) {
        r->desc[head].next = head_flags;
    } else {
        r->avail.ring[r->avail.index % VQ_SIZE] = (uint16_t)head;
        __asm__ volatile("fence rw, rw" ::: "memory");
        r->avail.index++;
    }
    q->next = (head + count) % VQ_SIZE;
    q->wrap = wrap;
}

static inline void queue_kick(struct queue *q)
{
    __asm__ volatile("fence iorw, iorw" ::: "memory");
    *vreg(q->base, 0x50) = q->index;
}

/* Split: chains that came back so far. */
static inline unsigned queue_used(const struct queue *q)
{
    return q->ring->used.index;
}

#endif
