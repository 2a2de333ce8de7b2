/* Split virtqueues. Source: VIRTIO 1.2 (OASIS, 2022), 2.7. */
#include "devices/virtio/virtqueue_ring.h"

enum { AVAIL_NO_INTERRUPT = 1 };

bool virtq_split_valid(const struct virtq *q, const struct gw_dma *dma)
{
    uint64_t n = q->size;
    if (n == 0 || n > VIRTQ_MAX_SIZE || (n & (n - 1)))
        return false;
    if (q->desc % 16 || q->avail % 2 || q->used % 4 || virtq_in_flight(q) > n)
        return false;
    return gw_bus_ram(dma->bus, q->desc, n * VIRTQ_DESC_BYTES) &&
           gw_bus_ram(dma->bus, q->avail, 6 + 2 * n) && gw_bus_ram(dma->bus, q->used, 6 + 8 * n);
}

/* 2.7.10: in the place behind the used ring the driver finds which chain we want to hear of. */
static void ask_for_notification(const struct virtq *q, const struct gw_dma *dma)
{
    virtq_store_word(dma, q->used + 4 + 8ull * q->size, q->last_avail);
    __atomic_thread_fence(__ATOMIC_SEQ_CST); /* before the second look at the ring */
}

/* Follows a chain in `table`. It has at most `entries` links, or it runs in a circle. */
static bool walk(const struct gw_dma *dma, struct virtq_chain *c, uint64_t table, uint32_t entries,
                 uint32_t index, bool indirect)
{
    for (uint32_t links = 0; links < entries; links++) {
        struct virtq_desc d;
        if (index >= entries || !virtq_read_desc(dma, table, index, &d))
            return false;
        if (d.flags & VIRTQ_DESC_INDIRECT) {
            /* 2.7.5.3.1: not within a table, and not with NEXT */
            if (indirect || (d.flags & VIRTQ_DESC_NEXT) || !virtq_table_valid(dma, &d))
                return false;
            return walk(dma, c, d.addr, d.len / VIRTQ_DESC_BYTES, 0, true);
        }
        if (!virtq_add(dma, c, &d))
            return false;
        if (!(d.flags & VIRTQ_DESC_NEXT))
            return true;
        index = d.extra;
    }
    return false;
}

enum virtq_result virtq_split_pop(struct virtq *q, const struct gw_dma *dma, struct virtq_chain *c)
{
    uint16_t waiting = (uint16_t)(virtq_load_word(dma, q->avail + 2) - q->last_avail);
    if (waiting == 0 && (q->mode & VIRTQ_EVENT_IDX)) {
        ask_for_notification(q, dma);
        waiting = (uint16_t)(virtq_load_word(dma, q->avail + 2) - q->last_avail);
    }
    if (waiting == 0)
        return VIRTQ_EMPTY;
    /* More chains than descriptors: the index jumped, or heads were offered twice. */
    if (waiting + virtq_in_flight(q) > q->size)
        return VIRTQ_BROKEN;
    c->token = (struct virtq_token){
        .id = virtq_load_word(dma, q->avail + 4 + 2ull * (q->last_avail % q->size)), .slots = 1};
    virtq_chain_clear(c);
    if (!walk(dma, c, q->desc, q->size, c->token.id, false))
        return VIRTQ_BROKEN;
    q->last_avail++;
    return VIRTQ_CHAIN;
}

void virtq_split_push(struct virtq *q, const struct gw_dma *dma, const struct virtq_token *t,
                      const uint32_t *written, unsigned count)
{
    for (unsigned i = 0; i < count; i++) {
        uint64_t at = q->used + 4 + 8ull * (q->used_index % q->size);
        uint32_t w = written[i];
        uint8_t entry[8] = {
            (uint8_t)t[i].id,   (uint8_t)(t[i].id >> 8), 0, 0, (uint8_t)w, (uint8_t)(w >> 8),
            (uint8_t)(w >> 16), (uint8_t)(w >> 24)};
        gw_dma_write(dma, at, entry, sizeof entry);
        q->used_index++;
    }
    virtq_store_word(dma, q->used + 2, q->used_index);
}

bool virtq_split_wants(const struct virtq *q, const struct gw_dma *dma)
{
    if (!(q->mode & VIRTQ_EVENT_IDX))
        return !(virtq_load_word(dma, q->avail) & AVAIL_NO_INTERRUPT);
    return virtq_need_event(virtq_load_word(dma, q->avail + 4 + 2ull * q->size), q->used_index,
                            q->unsignalled);
}
