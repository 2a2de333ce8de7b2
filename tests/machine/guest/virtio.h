/* virtio-mmio as a driver has it, split rings, for guests that behave badly. One queue at a time. */
#ifndef GUEST_VIRTIO_H
#define GUEST_VIRTIO_H

#include "guest.h"

enum { VQ_SIZE = 128, VQ_NEXT = 1, VQ_WRITE = 2, VQ_INDIRECT = 4 };

struct vq_desc {
    uint64_t addr;
    uint32_t len;
    uint16_t flags, next;
};

struct vq {
    struct vq_desc desc[VQ_SIZE];
    struct {
        uint16_t flags, index, ring[VQ_SIZE], event;
    } avail;
    struct {
        _Alignas(4) uint16_t flags;
        volatile uint16_t index;
        struct {
            uint32_t id, len;
        } ring[VQ_SIZE];
        uint16_t event;
    } used;
};

static inline volatile uint32_t *virtio_reg(unsigned slot, unsigned offset)
{
    return mmio32(0x10001000 + 0x1000 * slot + offset);
}

/* The slot that has this kind of device. */
static inline unsigned virtio_find(uint32_t kind)
{
    for (unsigned slot = 0; slot < 8; slot++)
        if (*virtio_reg(slot, 8) == kind)
            return slot;
    CHECK(false);
    return 0;
}

static inline void virtio_put64(unsigned slot, unsigned offset, const void *at)
{
    *virtio_reg(slot, offset) = (uint32_t)addr(at);
    *virtio_reg(slot, offset + 4) = (uint32_t)(addr(at) >> 32);
}

/* VERSION_1, and of the others these. */
static inline void virtio_start(unsigned slot, uint32_t features, unsigned index, struct vq *q)
{
    *virtio_reg(slot, 0x70) = 0;
    *virtio_reg(slot, 0x70) = 3;
    *virtio_reg(slot, 0x24) = 0;
    *virtio_reg(slot, 0x20) = features;
    *virtio_reg(slot, 0x24) = 1;
    *virtio_reg(slot, 0x20) = 1;
    *virtio_reg(slot, 0x70) = 11;
    CHECK_EQ(*virtio_reg(slot, 0x70), 11);
    *virtio_reg(slot, 0x30) = index;
    *virtio_reg(slot, 0x38) = VQ_SIZE;
    virtio_put64(slot, 0x80, q->desc);
    virtio_put64(slot, 0x90, &q->avail);
    virtio_put64(slot, 0xa0, &q->used);
    *virtio_reg(slot, 0x44) = 1;
    *virtio_reg(slot, 0x70) = 15;
}

static inline void virtio_offer(struct vq *q, uint16_t head)
{
    q->avail.ring[q->avail.index % VQ_SIZE] = head;
    __asm__ volatile("fence" ::: "memory");
    q->avail.index++;
    __asm__ volatile("fence" ::: "memory");
}

static inline void virtio_notify(unsigned slot, unsigned index)
{
    *virtio_reg(slot, 0x50) = index;
}

/* Until so many chains were given back in all. */
static inline void virtio_wait(const struct vq *q, uint16_t used)
{
    while (q->used.index != used)
        __asm__ volatile("fence" ::: "memory");
}

static inline void say(const char *text)
{
    while (*text)
        *(volatile uint8_t *)(uintptr_t)UART_BASE = (uint8_t)*text++;
}

#endif
