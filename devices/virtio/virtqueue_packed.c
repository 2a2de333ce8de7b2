/* Packed virtqueues. Source: VIRTIO 1.2 (OASIS, 2022), 2.8. */
#include <endian.h>

#include "devices/memory_bus.h"
#include "devices/virtio/virtqueue_ring.h"

enum { FLAG_AVAIL = 1 << 7, FLAG_USED = 1 << 15 };
/* 2.8.10: event suppression is two words, place and wrap counter, and flags. */
enum { EVENT_ENABLE = 0, EVENT_DISABLE = 1, EVENT_DESC = 2, EVENT_WRAP = 1 << 15 };

bool virtq_packed_valid(const struct virtq *q, const struct gw_dma *dma)
{
    uint64_t n = q->size;
    if (n == 0 || n > VIRTQ_MAX_SIZE || q->desc % 16 || q->avail % 4 || q->used % 4)
        return false;
    if (q->last_avail >= n || q->used_index >= n || q->avail_wrap > 1 || q->used_wrap > 1 ||
        virtq_in_flight(q) > n)
        return false;
    return gw_bus_ram(dma->bus, q->desc, n * VIRTQ_DESC_BYTES) &&
           gw_bus_ram(dma->bus, q->avail, 4) && gw_bus_ram(dma->bus, q->used, 4);
}

/* The second half of an entry, len, id and flags, in one load: flags that say "available" come
 * with what was written before them. */
static struct virtq_desc load_entry(const struct virtq *q, const struct gw_dma *dma, unsigned place)
{
    uint64_t at = q->desc + (uint64_t)place * VIRTQ_DESC_BYTES;
    const struct gw_ram *ram = gw_bus_ram(dma->bus, at, VIRTQ_DESC_BYTES);
    const uint64_t *half = ram ? (const void *)gw_ram_host(ram, at) : NULL;
    struct virtq_desc d = {0};
    uint64_t w;
    if (!half)
        return d;
    w = le64toh(__atomic_load_n(half + 1, __ATOMIC_ACQUIRE));
    d.addr = le64toh(__atomic_load_n(half, __ATOMIC_RELAXED));
    d.len = (uint32_t)w;
    d.extra = (uint16_t)(w >> 32);
    d.flags = (uint16_t)(w >> 48);
    return d;
}

static bool is_available(const struct virtq *q, const struct virtq_desc *d)
{
    bool avail = d->flags & FLAG_AVAIL, used = d->flags & FLAG_USED;
    return avail == (bool)q->avail_wrap && used != (bool)q->avail_wrap;
}

/* 2.8.10: the device's own event suppression, which the driver reads. */
static void ask_for_notification(const struct virtq *q, const struct gw_dma *dma)
{
    if (q->mode & VIRTQ_EVENT_IDX) {
        virtq_store_word(dma, q->used,
                         (uint16_t)(q->last_avail | (q->avail_wrap ? EVENT_WRAP : 0)));
        virtq_store_word(dma, q->used + 2, EVENT_DESC);
    } else {
        virtq_store_word(dma, q->used + 2, EVENT_ENABLE);
    }
    __atomic_thread_fence(__ATOMIC_SEQ_CST); /* before the second look at the ring */
}

/* 2.8.7: an indirect table's entries follow one another; of their flags only WRITE means anything.
 * They are laid out as the ring's: id, then flags. */
static bool walk_table(const struct gw_dma *dma, struct virtq_chain *c,
                       const struct virtq_desc *table)
{
    struct virtq_desc d;
    if (!virtq_table_valid(dma, table))
        return false;
    for (uint32_t i = 0; i < table->len / VIRTQ_DESC_BYTES; i++) {
        if (!virtq_read_desc(dma, table->addr, i, &d))
            return false;
        d.flags = d.extra & VIRTQ_DESC_WRITE;
        if (!virtq_add(dma, c, &d))
            return false;
    }
    return true;
}

/* The chain whose first entry is d. The id is the last entry's (2.8.6). */
static bool walk(const struct virtq *q, const struct gw_dma *dma, struct virtq_chain *c,
                 struct virtq_desc d)
{
    unsigned place = q->last_avail;
    c->token.slots = 0;
    for (;;) {
        bool next = d.flags & VIRTQ_DESC_NEXT;
        if (++c->token.slots + virtq_in_flight(q) > q->size)
            return false; /* a circle, or over what is in flight */
        c->token.id = d.extra;
        if (d.flags & VIRTQ_DESC_INDIRECT) {
            /* 2.8.19: not with NEXT, and not behind other entries */
            return !next && c->token.slots == 1 && walk_table(dma, c, &d);
        }
        if (!virtq_add(dma, c, &d))
            return false;
        if (!next)
            return true;
        place = place + 1u == q->size ? 0 : place + 1u;
        d = load_entry(q, dma, place);
    }
}

static void advance(uint16_t *place, uint8_t *wrap, unsigned slots, unsigned size)
{
    unsigned to = *place + slots;
    if (to >= size) {
        to -= size;
        *wrap ^= 1;
    }
    *place = (uint16_t)to;
}

enum virtq_result virtq_packed_pop(struct virtq *q, const struct gw_dma *dma, struct virtq_chain *c)
{
    struct virtq_desc d = load_entry(q, dma, q->last_avail);
    if (!is_available(q, &d)) {
        ask_for_notification(q, dma);
        d = load_entry(q, dma, q->last_avail);
        if (!is_available(q, &d))
            return VIRTQ_EMPTY;
    }
    virtq_chain_clear(c);
    if (!walk(q, dma, c, d))
        return VIRTQ_BROKEN;
    advance(&q->last_avail, &q->avail_wrap, c->token.slots, q->size);
    return VIRTQ_CHAIN;
}

/* Length and id first, then the flags that say "used" (2.8.8). Of several, the first entry's flags
 * are stored last: the driver comes to it first, and so sees all or none. */
void virtq_packed_push(struct virtq *q, const struct gw_dma *dma, const struct virtq_token *t,
                       const uint32_t *written, unsigned count)
{
    uint64_t first_flags_at = 0;
    uint16_t first_flags = 0;
    for (unsigned i = 0; i < count; i++) {
        uint64_t at = q->desc + (uint64_t)q->used_index * VIRTQ_DESC_BYTES;
        uint32_t w = written[i];
        uint8_t entry[6] = {(uint8_t)w,         (uint8_t)(w >> 8), (uint8_t)(w >> 16),
                            (uint8_t)(w >> 24), (uint8_t)t[i].id,  (uint8_t)(t[i].id >> 8)};
        unsigned flags = w ? VIRTQ_DESC_WRITE : 0;
        if (q->used_wrap)
            flags |= FLAG_AVAIL | FLAG_USED;
        gw_dma_write(dma, at + 8, entry, sizeof entry);
        if (i == 0) {
            first_flags_at = at + 14;
            first_flags = (uint16_t)flags;
        } else {
            virtq_store_word(dma, at + 14, (uint16_t)flags);
        }
        advance(&q->used_index, &q->used_wrap, t[i].slots, q->size);
    }
    if (count)
        virtq_store_word(dma, first_flags_at, first_flags);
}

bool virtq_packed_wants(const struct virtq *q, const struct gw_dma *dma)
{
    uint16_t flags = virtq_load_word(dma, q->avail + 2), place;
    uint16_t event;
    if (flags != EVENT_DESC || !(q->mode & VIRTQ_EVENT_IDX))
        return flags != EVENT_DISABLE;
    place = virtq_load_word(dma, q->avail);
    event = place & (uint16_t)~EVENT_WRAP;
    if ((place >> 15) != q->used_wrap)
        event = (uint16_t)(event - q->size); /* a place of the round before */
    return virtq_need_event(event, q->used_index, q->unsignalled);
}
