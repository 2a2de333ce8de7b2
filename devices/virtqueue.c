/* Split virtqueues. Source: VIRTIO 1.2 (OASIS, 2022), 2.7. */
#include <endian.h>
#include <string.h>

#include "memory_bus.h"
#include "virtqueue.h"

enum { DESC_NEXT = 1, DESC_WRITE = 2, DESC_INDIRECT = 4, DESC_BYTES = 16 };
enum { AVAIL_NO_INTERRUPT = 1 };

struct desc {
    uint64_t addr;
    uint32_t len;
    uint16_t flags, next;
};

/* Ring words that driver and device share while both run: atomic, little-endian, and aligned since
 * virtq_valid() looked. SEQ_CST orders our store of the used index before the load of the driver's
 * flags (2.7.7.2), and the available index before the entries that it announces (2.7.13.3.1). */
static uint16_t load_word(const struct gw_dma *dma, uint64_t paddr)
{
    const struct gw_ram *ram = gw_bus_ram(dma->bus, paddr, 2);
    const uint16_t *word = ram ? (const void *)gw_ram_host(ram, paddr) : NULL;
    return word ? le16toh(__atomic_load_n(word, __ATOMIC_SEQ_CST)) : 0;
}

static void store_word(const struct gw_dma *dma, uint64_t paddr, uint16_t v)
{
    const struct gw_ram *ram = gw_bus_ram(dma->bus, paddr, 2);
    uint16_t *word = ram ? (void *)gw_ram_host(ram, paddr) : NULL;
    if (!word)
        return;
    __atomic_store_n(word, htole16(v), __ATOMIC_SEQ_CST);
    dev_bus_touched(dma->bus, ram, paddr, 2);
}

static uint64_t little(const uint8_t *p, unsigned size)
{
    uint64_t v = 0;
    for (unsigned i = 0; i < size; i++)
        v |= (uint64_t)p[i] << (8 * i);
    return v;
}

/* The whole descriptor is copied before any of it is looked at. */
static bool read_desc(const struct gw_dma *dma, uint64_t table, uint32_t index, struct desc *d)
{
    uint8_t b[DESC_BYTES];
    if (!gw_dma_read(dma, table + (uint64_t)index * DESC_BYTES, b, sizeof b))
        return false;
    d->addr = little(b, 8);
    d->len = (uint32_t)little(b + 8, 4);
    d->flags = (uint16_t)little(b + 12, 2);
    d->next = (uint16_t)little(b + 14, 2);
    return true;
}

bool virtq_valid(const struct virtq *q, const struct gw_dma *dma)
{
    uint64_t n = q->size;
    if (n == 0 || n > VIRTQ_MAX_SIZE || (n & (n - 1)))
        return false;
    if (q->desc % 16 || q->avail % 2 || q->used % 4)
        return false;
    return gw_bus_ram(dma->bus, q->desc, n * DESC_BYTES) &&
           gw_bus_ram(dma->bus, q->avail, 6 + 2 * n) && gw_bus_ram(dma->bus, q->used, 6 + 8 * n);
}

/* Appends a buffer. False when the chain's order is broken: readable after writable. */
static bool add_segment(const struct gw_dma *dma, struct virtq_chain *c, const struct desc *d)
{
    const struct gw_ram *ram = gw_bus_ram(dma->bus, d->addr, d->len);
    unsigned at = c->out_count + c->in_count;
    bool write = d->flags & DESC_WRITE;
    if (!write && c->in_count)
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

/* Follows a chain in `table`. It has at most `entries` links, or it runs in a circle. */
static bool walk(const struct gw_dma *dma, struct virtq_chain *c, uint64_t table, uint32_t entries,
                 uint32_t index, bool indirect)
{
    for (uint32_t links = 0; links < entries; links++) {
        struct desc d;
        if (index >= entries || !read_desc(dma, table, index, &d))
            return false;
        if (d.flags & DESC_INDIRECT) {
            /* 2.7.5.3.1: not within a table, not with NEXT, whole descriptors */
            if (indirect || (d.flags & DESC_NEXT) || d.len == 0 || d.len % DESC_BYTES ||
                d.len / DESC_BYTES > UINT16_MAX + 1u || !gw_bus_ram(dma->bus, d.addr, d.len))
                return false;
            return walk(dma, c, d.addr, d.len / DESC_BYTES, 0, true);
        }
        if (!add_segment(dma, c, &d))
            return false;
        if (!(d.flags & DESC_NEXT))
            return true;
        index = d.next;
    }
    return false;
}

enum virtq_result virtq_pop(struct virtq *q, const struct gw_dma *dma, struct virtq_chain *c)
{
    uint16_t index = load_word(dma, q->avail + 2);
    uint16_t waiting = (uint16_t)(index - q->last_avail);
    if (waiting == 0)
        return VIRTQ_EMPTY;
    if (waiting > q->size)
        return VIRTQ_BROKEN;
    c->head = load_word(dma, q->avail + 4 + 2ull * (q->last_avail % q->size));
    c->bad = false;
    c->out_count = c->in_count = 0;
    c->out_bytes = c->in_bytes = 0;
    if (!walk(dma, c, q->desc, q->size, c->head, false))
        return VIRTQ_BROKEN;
    q->last_avail++;
    return VIRTQ_CHAIN;
}

void virtq_push(struct virtq *q, const struct gw_dma *dma, uint16_t head, uint32_t written)
{
    uint64_t at = q->used + 4 + 8ull * (q->used_index % q->size);
    uint8_t entry[8] = {(uint8_t)head,
                        (uint8_t)(head >> 8),
                        0,
                        0,
                        (uint8_t)written,
                        (uint8_t)(written >> 8),
                        (uint8_t)(written >> 16),
                        (uint8_t)(written >> 24)};
    gw_dma_write(dma, at, entry, sizeof entry);
    q->used_index++;
    store_word(dma, q->used + 2, q->used_index);
}

bool virtq_wants_interrupt(const struct virtq *q, const struct gw_dma *dma)
{
    return !(load_word(dma, q->avail) & AVAIL_NO_INTERRUPT);
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
    return size == 0;
}
