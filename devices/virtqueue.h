/*
 * A split virtqueue, device side (VIRTIO 1.2, 2.7). Everything in guest memory is hostile: indices,
 * lengths, addresses and links are checked, each descriptor is read once, and a chain is described
 * by host pointers into RAM alone, so a buffer cannot name a device's registers.
 * vCPU thread.
 */
#ifndef DEV_VIRTQUEUE_H
#define DEV_VIRTQUEUE_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/uio.h>

#include "godwit/device.h"

enum { VIRTQ_MAX_SIZE = 256, VIRTQ_MAX_SEGS = 256 };

/* Architectural state, part of the transport's table. */
struct virtq {
    uint16_t size;
    uint8_t ready;
    uint64_t desc, avail, used; /* physical addresses, fixed while ready */
    uint16_t last_avail;        /* next entry of the available ring to take */
    uint16_t used_index;        /* next entry of the used ring, modulo 2^16 */
};

/* A chain taken off the queue. Device-readable segments come first. */
struct virtq_chain {
    uint16_t head;
    bool bad; /* too long, or a buffer is not RAM: to be refused, but properly given back */
    uint16_t out_count, in_count;
    uint64_t out_bytes, in_bytes;
    struct iovec seg[VIRTQ_MAX_SEGS];
    uint64_t paddr[VIRTQ_MAX_SEGS];
};

enum virtq_result {
    VIRTQ_EMPTY,
    VIRTQ_CHAIN,
    VIRTQ_BROKEN, /* the rings make no sense (2.1.2): the device asks for a reset */
};

/* Alignment, and all three rings in RAM. */
bool virtq_valid(const struct virtq *q, const struct gw_dma *dma);
enum virtq_result virtq_pop(struct virtq *q, const struct gw_dma *dma, struct virtq_chain *chain);
/* Gives the chain back with `written` bytes put into it. */
void virtq_push(struct virtq *q, const struct gw_dma *dma, uint16_t head, uint32_t written);
/* The driver wants an interrupt for what was pushed (2.7.7). */
bool virtq_wants_interrupt(const struct virtq *q, const struct gw_dma *dma);

/* Copies out of the device-readable part; false when it is shorter. */
bool virtq_read(const struct virtq_chain *chain, uint64_t offset, void *to, uint64_t size);

#endif
