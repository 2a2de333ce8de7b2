/* Virtqueues: what split and packed rings share. Source: VIRTIO 1.2 (OASIS, 2022), 2.7 and 2.8. */
#include <endian.h>
#include <string.h>

#include "devices/memory_bus.h"
#include "devices/virtio/virtqueue_ring.h"

#define CHAIN_BYTES_MAX (UINT64_C(1) << 32) /* 2.7.5, 2.8.5: a chain's total */

uint16_t virtq_load_word(const struct gw_dma *dma, uint64_t paddr)
{
    const struct gw_ram *ram = gw_bus_ram(dma->bus, paddr, 2);
    const uint16_t *word = ram ? (const void *)gw_ram_host(ram, paddr) : NULL;
    return word ? le16toh(__atomic_load_n(word, __ATOMIC_ACQUIRE)) : 0;
}

void virtq_store_word(const struct gw_dma *dma, uint64_t paddr, uint16_t v)
{
    const struct gw_ram *ram = gw_bus_ram(dma->bus, paddr, 2);
    uint16_t *word = ram ? (void *)gw_ram_host(ram, paddr) : NULL;
    if (!word)
        return;
    __atomic_store_n(word, htole16(v), __ATOMIC_RELEASE);
    dev_bus_touched(dma->bus, ram, paddr, 2);
}

bool virtq_read_desc(const struct gw_dma *dma, uint64_t table, uint32_t index, struct virtq_desc *d)
{
    uint64_t at = table + (uint64_t)index * VIRTQ_DESC_BYTES, w[2];
    const struct gw_ram *ram = gw_bus_ram(dma->bus, at, sizeof w);
    if (!ram)
        return false;
    memcpy(w, gw_ram_host(ram, at), sizeof w);
    __asm__ volatile("" ::: "memory"); /* the copy is not to be read from the guest again */
    d->addr = le64toh(w[0]);
    w[1] = le64toh(w[1]);
    d->len = (uint32_t)w[1];
    d->flags = (uint16_t)(w[1] >> 32);
    d->extra = (uint16_t)(w[1] >> 48);
    return true;
}

void virtq_chain_clear(struct virtq_chain *c)
{
    c->bad = false;
    c->out_count = c->in_count = 0;
    c->out_bytes = c->in_bytes = 0;
}

bool virtq_add(const struct gw_dma *dma, struct virtq_chain *c, const struct virtq_desc *d)
{
    const struct gw_ram *ram = gw_bus_ram(dma->bus, d->addr, d->len);
    unsigned at = c->out_count + c->in_count;
    bool write = d->flags & VIRTQ_DESC_WRITE;
    if ((!write && c->in_count) || c->out_bytes + c->in_bytes + d->len > CHAIN_BYTES_MAX)
        return false;
    if (at == VIRTQ_MAX_SEGS || !ram) {
        c->bad = true;
        return true;
    }
    c->seg[at] = (struct iovec){.iov_base = gw_ram_host(ram, d->addr), .iov_len = d->len};
    c->paddr[at] = d->addr;
    if (write) {
        c->in_count++;
        c->in_bytes += d->len;
    } else {
        c->out_count++;
        c->out_bytes += d->len;
    }
    return true;
}

bool virtq_table_valid(const struct gw_dma *dma, const struct virtq_desc *d)
{
    return d->len != 0 && d->len % VIRTQ_DESC_BYTES == 0 &&
           d->len / VIRTQ_DESC_BYTES <= UINT16_MAX + 1u && gw_bus_ram(dma->bus, d->addr, d->len);
}

void virtq_rewind(struct virtq *q, unsigned mode)
{
    q->mode = (uint8_t)mode;
    q->last_avail = q->used_index = q->unsignalled = 0;
    q->avail_wrap = q->used_wrap = mode & VIRTQ_PACKED ? 1 : 0; /* 2.8.1: both start at 1 */
}

bool virtq_valid(const struct virtq *q, const struct gw_dma *dma)
{
    return q->mode & VIRTQ_PACKED ? virtq_packed_valid(q, dma) : virtq_split_valid(q, dma);
}

unsigned virtq_in_flight(const struct virtq *q)
{
    if (!(q->mode & VIRTQ_PACKED))
        return (uint16_t)(q->last_avail - q->used_index);
    return q->avail_wrap == q->used_wrap ? (unsigned)q->last_avail - q->used_index
                                         : (unsigned)q->size - q->used_index + q->last_avail;
}

enum virtq_result virtq_pop(struct virtq *q, const struct gw_dma *dma, struct virtq_chain *c)
{
    return q->mode & VIRTQ_PACKED ? virtq_packed_pop(q, dma, c) : virtq_split_pop(q, dma, c);
}

void virtq_unpop(struct virtq *q, struct virtq_token t)
{
    if (!(q->mode & VIRTQ_PACKED)) {
        q->last_avail--;
        return;
    }
    if (q->last_avail < t.slots) {
        q->last_avail = (uint16_t)(q->last_avail + q->size);
        q->avail_wrap ^= 1;
    }
    q->last_avail = (uint16_t)(q->last_avail - t.slots);
}

void virtq_push_all(struct virtq *q, const struct gw_dma *dma, const struct virtq_token *tokens,
                    const uint32_t *written, unsigned count)
{
    uint32_t slots = q->unsignalled;
    if (q->mode & VIRTQ_PACKED)
        virtq_packed_push(q, dma, tokens, written, count);
    else
        virtq_split_push(q, dma, tokens, written, count);
    for (unsigned i = 0; i < count; i++)
        slots += tokens[i].slots;
    q->unsignalled = slots > UINT16_MAX ? UINT16_MAX : (uint16_t)slots;
}

void virtq_push(struct virtq *q, const struct gw_dma *dma, struct virtq_token t, uint32_t written)
{
    virtq_push_all(q, dma, &t, &written, 1);
}

bool virtq_wants_interrupt(struct virtq *q, const struct gw_dma *dma)
{
    bool wants;
    if (q->unsignalled == 0)
        return false;
    /* What we stored is visible before we look at what the driver wants (2.7.7.2). */
    __atomic_thread_fence(__ATOMIC_SEQ_CST);
    wants = q->mode & VIRTQ_PACKED ? virtq_packed_wants(q, dma) : virtq_split_wants(q, dma);
    q->unsignalled = 0;
    return wants;
}

bool virtq_read(const struct virtq_chain *chain, uint64_t offset, void *to, uint64_t size)
{
    uint8_t *p = to;
    for (unsigned i = 0; i < chain->out_count && size; i++) {
        uint64_t len = chain->seg[i].iov_len, n;
        if (offset >= len) {
            offset -= len;
            continue;
        }
        n = len - offset < size ? len - offset : size;
        memcpy(p, (const uint8_t *)chain->seg[i].iov_base + offset, n);
        p += n;
        size -= n;
        offset = 0;
    }
    __asm__ volatile("" ::: "memory"); /* as above: one fetch */
    return size == 0;
}

bool virtq_write(const struct virtq_chain *chain, const struct gw_dma *dma, uint64_t offset,
                 const void *from, uint64_t size)
{
    const uint8_t *p = from;
    unsigned end = chain->out_count + chain->in_count;
    for (unsigned i = chain->out_count; i < end && size; i++) {
        uint64_t len = chain->seg[i].iov_len, n;
        if (offset >= len) {
            offset -= len;
            continue;
        }
        n = len - offset < size ? len - offset : size;
        gw_dma_write(dma, chain->paddr[i] + offset, p, n);
        p += n;
        size -= n;
        offset = 0;
    }
    return size == 0;
}
