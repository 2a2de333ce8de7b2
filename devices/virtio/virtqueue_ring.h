/* What the two kinds of virtqueue share. vCPU thread. */
#ifndef DEV_VIRTQUEUE_RING_H
#define DEV_VIRTQUEUE_RING_H

#include "devices/virtio/virtqueue.h"

enum { VIRTQ_DESC_NEXT = 1, VIRTQ_DESC_WRITE = 2, VIRTQ_DESC_INDIRECT = 4, VIRTQ_DESC_BYTES = 16 };

/* A descriptor, copied. `last` is the link of a split ring, the buffer id of a packed one. */
struct virtq_desc {
    uint64_t addr;
    uint32_t len;
    uint16_t flags, extra;
};

/* Ring words that driver and device share while both run: atomic, little-endian, and aligned since
 * virtq_valid() looked. Loads acquire, stores release. */
uint16_t virtq_load_word(const struct gw_dma *dma, uint64_t paddr);
void virtq_store_word(const struct gw_dma *dma, uint64_t paddr, uint16_t v);

void virtq_chain_clear(struct virtq_chain *c);
/* Entry `index` of a table anywhere in memory. The whole descriptor is copied before any of it is
 * looked at; false when it is not in RAM. */
bool virtq_read_desc(const struct gw_dma *dma, uint64_t table, uint32_t index,
                     struct virtq_desc *d);
/* Appends a buffer. False when the chain makes no sense: readable after writable, over 4 GiB. */
bool virtq_add(const struct gw_dma *dma, struct virtq_chain *c, const struct virtq_desc *d);
/* 2.7.5.3: an indirect table has whole entries, at least one, all in RAM. */
bool virtq_table_valid(const struct gw_dma *dma, const struct virtq_desc *d);
/* 2.7.10: event lies among the `since` entries that end before now. */
static inline bool virtq_need_event(uint16_t event, uint16_t now, uint16_t since)
{
    return (uint16_t)(now - event - 1) < since;
}

/* The kinds. */
bool virtq_split_valid(const struct virtq *q, const struct gw_dma *dma);
enum virtq_result virtq_split_pop(struct virtq *q, const struct gw_dma *dma, struct virtq_chain *c);
void virtq_split_push(struct virtq *q, const struct gw_dma *dma, const struct virtq_token *t,
                      const uint32_t *written, unsigned count);
bool virtq_split_wants(const struct virtq *q, const struct gw_dma *dma);
bool virtq_packed_valid(const struct virtq *q, const struct gw_dma *dma);
enum virtq_result virtq_packed_pop(struct virtq *q, const struct gw_dma *dma,
                                   struct virtq_chain *c);
void virtq_packed_push(struct virtq *q, const struct gw_dma *dma, const struct virtq_token *t,
                       const uint32_t *written, unsigned count);
bool virtq_packed_wants(const struct virtq *q, const struct gw_dma *dma);

#endif
