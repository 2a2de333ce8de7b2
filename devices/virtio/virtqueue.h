/*
 * Virtqueues, device side: split rings (VIRTIO 1.2, 2.7) and packed ones (2.8), behind one
 * interface. Everything in guest memory is hostile: indices, lengths, addresses and links are
 * checked, each descriptor is read once, and a chain is described by host pointers into RAM alone,
 * so a buffer cannot name a device's registers. vCPU thread.
 */
#ifndef DEV_VIRTQUEUE_H
#define DEV_VIRTQUEUE_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/uio.h>

#include "godwit/device.h"

enum { VIRTQ_MAX_SIZE = 256, VIRTQ_MAX_SEGS = 256 };

/* What was negotiated, as bits of virtq.mode. */
enum { VIRTQ_PACKED = 1, VIRTQ_EVENT_IDX = 2 };

/* Architectural state, part of the transport's table; but for mode, which derives from the
 * features. */
struct virtq {
    uint16_t size;
    uint8_t ready;
    uint8_t mode;
    uint64_t desc, avail, used; /* physical addresses, fixed while ready. Packed: the descriptor
                                   ring, the driver's and the device's event suppression */
    uint16_t last_avail;        /* split: the next entry to take, modulo 2^16; packed: its place */
    uint16_t used_index;        /* the next entry to give back, likewise */
    uint8_t avail_wrap, used_wrap; /* packed, 2.8.1: wrap counters of these two */
    uint16_t unsignalled; /* entries given back since the driver was last considered, saturates */
};

/* Names a chain while it is in flight. */
struct virtq_token {
    uint16_t id;    /* split: its head; packed: the buffer id */
    uint16_t slots; /* entries of the ring that it took */
};

/* A chain taken off the queue. Device-readable segments come first. */
struct virtq_chain {
    struct virtq_token token;
    bool bad; /* too long, or a buffer is not RAM: to be refused, but properly given back */
    uint16_t out_count, in_count;
    uint64_t out_bytes, in_bytes; /* together at most 2^32 */
    struct iovec seg[VIRTQ_MAX_SEGS];
    uint64_t paddr[VIRTQ_MAX_SEGS];
};

enum virtq_result {
    VIRTQ_EMPTY, /* and the driver has been asked to notify of the next chain */
    VIRTQ_CHAIN,
    VIRTQ_BROKEN, /* the rings make no sense (2.1.2): the device asks for a reset */
};

/* As after a reset, with this mode; addresses and size stay. */
void virtq_rewind(struct virtq *q, unsigned mode);
/* Size and alignment are right, all rings are in RAM, and the indices are such as can be. */
bool virtq_valid(const struct virtq *q, const struct gw_dma *dma);
/* Chains (split) or entries (packed) that were taken and not yet given back. */
unsigned virtq_in_flight(const struct virtq *q);

enum virtq_result virtq_pop(struct virtq *q, const struct gw_dma *dma, struct virtq_chain *chain);
/* Takes back the last pop: the chain is the next one again. Nothing was pushed since. */
void virtq_unpop(struct virtq *q, struct virtq_token token);
/* Gives a chain back with `written` bytes put into it. */
void virtq_push(struct virtq *q, const struct gw_dma *dma, struct virtq_token token,
                uint32_t written);
/* The same for several chains, which the driver sees all at once. */
void virtq_push_all(struct virtq *q, const struct gw_dma *dma, const struct virtq_token *tokens,
                    const uint32_t *written, unsigned count);
/* The driver wants an interrupt for what was pushed since the last time (2.7.7, 2.7.10, 2.8.10). */
bool virtq_wants_interrupt(struct virtq *q, const struct gw_dma *dma);

/* Copies out of the device-readable part; false when it is shorter. */
bool virtq_read(const struct virtq_chain *chain, uint64_t offset, void *to, uint64_t size);
/* Copies into the device-writable part and tells the bus; false when it is shorter. */
bool virtq_write(const struct virtq_chain *chain, const struct gw_dma *dma, uint64_t offset,
                 const void *from, uint64_t size);

#endif
