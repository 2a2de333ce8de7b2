/*
 * Flat page maps: for each address space and view, an 8-byte addend (host - guest) for each 4 KiB
 * guest page, once for reads and once for writes; 0: not inline. See docs/map-protocol.md.
 *
 * A map is two 512 GiB windows of one sparse memory object. Their upper halves, where kernels keep
 * global pages, are one slice for all maps of a class of views; only global translations enter it. A view
 * that accesses other pages there gets a map whose upper half is its own, as maps of no class have, and has
 * it until the map is taken over. Where such windows can't be had, a tagged TLB takes their place.
 *
 * Invariants
 *   1. A write entry exists only for RAM pages that have no flag of GW_RAM_WATCHED.
 *   2. Each write entry is on the reverse list of its RAM page (lists may hold entries long gone).
 *   3. An entry in a shared upper half came from a global translation.
 *   4. run.other_* are of a map that is its view's while run.view_bits says that they are anything; maps that
 *      are given to another view, or left, take that back first.
 *   5. Maps are one vCPU's. It fills them while it is inside; another clears write entries of them
 *      (maps_protect) with the world stopped only, so no addend is in flight.
 *   6. host + (guest - page's guest address) + 2^48 * k is no canonical host address for k != 0, so an
 *      address whose high bits are not those of the page's faults on the access itself.
 */
#ifndef TRANSLATOR_MEMORY_PAGE_MAP_H
#define TRANSLATOR_MEMORY_PAGE_MAP_H

#include "translator/pages.h"
#include "translator/memory/rmap.h"
#include "translator/parts.h"

enum {
    MAP_POOL = 32,
    MAPS_OF_ALL = 64, /* flat maps that the vCPUs of a machine may have: 64 TiB of address space */
    MAX_CLASSES = 5
};

struct half {
    uint64_t *read, *write; /* entry 0 of the half */
    uint32_t *chunk;        /* pieces of 4 KiB that exist, by number: open addressing */
    uint32_t chunk_cap, chunks;
    uint32_t full; /* of them, hold entries */
    bool large;    /* entries of mappings of 512 pages, and in big of larger ones, were filled */
    struct page_span big;
};
struct map {
    uint64_t key, asid, used;
    uint8_t cls; /* of views that share the upper half; 0: it is this map's own */
    bool valid;
    uint8_t
        other; /* with pair_bits: the view that it is about comes to that map's, if these bits change */
    uint64_t pair_bits, other_key; /* that map's key then; 0 bits: there is none */
    struct half low, own_high;
    uint8_t *read, *write; /* 512 GiB each */
    uint64_t at[2][2];     /* of read and write: where their halves are in the memory object */
};

/* A vCPU's; derived data. */
struct page_maps {
    bool flat;
    int fd;
    uint64_t fd_used;
    struct half high[MAX_CLASSES];
    bool high_valid[MAX_CLASSES];
    uint64_t high_fd[MAX_CLASSES][2];
    struct map map[MAP_POOL];
    uint32_t count, current, most;
    uint32_t other; /* whose are run.other_*, where run.view_bits says that there are any */
    uint32_t chunks, chunk_limit; /* of all halves */
    uint64_t tick;
    struct rmap rmap; /* by number of the page in RAM (ram.h) */
    struct gw_tlb_entry *tlb[2];
    uint64_t tlb_key;
    struct page_span tlb_large;
};

enum gw_status maps_open(struct engine *e, struct gw_error *err);
void maps_close(struct page_maps *m);
/* How many flat maps this process could have now, up to most; none is kept. */
unsigned maps_possible(unsigned most);

/* The map of e->view becomes current: run.map_*. *hint: where it was last. */
void maps_select(struct engine *e, uint8_t *hint);
/* The same of a view that had that map: false where it is another's by now, or none is flat. */
bool maps_go_on(struct engine *e, uint32_t map, const struct gw_view *v);
/* What generated code goes by where the map and its other are the current ones: as long as e->moves is what it
 * was, they can be chosen again. */
struct map_choice {
    void *read, *write, *other_read, *other_write;
    uint64_t view_bits;
    uint32_t map, other;
};
/* Of the current map. False: none is flat. */
bool maps_choice(struct engine *e, struct map_choice *out);
static inline void maps_choose(struct engine *e, const struct map_choice *c)
{
    struct gw_vcpu *run = e->run;
    e->maps->current = c->map;
    e->maps->other = c->other;
    run->map_read = c->read;
    run->map_write = c->write;
    run->other_read = c->other_read;
    run->other_write = c->other_write;
    run->view_bits = c->view_bits;
}
/* The number of the current map. Generated code may have exchanged it for the other. */
uint32_t maps_current(struct engine *e);
/* A change of these bits of the guest's has led from that map to the current one, and leads back: from now on
 * generated code may do it by itself, whenever it goes by one of the two. */
void maps_pair(struct engine *e, uint32_t before, uint64_t bits);
/* See gw_hooks. */
void *maps_inline_store(void *cpu, uint64_t vaddr);
/* An access came to C, so generated code has looked at its entry: that brings the piece of the map
 * into existence, whatever becomes of the access. Before the page is filled. */
void maps_looked_up(struct engine *e, uint64_t vaddr);
/* host_page: of vaddr's page in RAM. may_write: its flags allow it; they are looked at before. Another map
 * may be the current one behind it. */
void maps_fill(struct engine *e, uint64_t vaddr, const struct gw_xlate *x, uint8_t *host_page,
               bool may_write);
void maps_flush_page(struct page_maps *m, uint64_t vaddr, uint64_t asid, bool asid_all);
void maps_flush(struct engine *e, uint64_t asid, bool asid_all);
/* size bytes, at least one, of all address spaces. */
void maps_flush_range(struct engine *e, uint64_t vaddr, uint64_t size);
/* Stores to the page no longer go inline on this vCPU. The world is stopped, or it is this one's. */
void maps_protect(struct engine *e, uint64_t paddr);
/* The same of all pages; what is loaded goes inline still. Does it cost less than so many pages one by
 * one? */
void maps_protect_all(struct engine *e);
bool maps_protect_all_pays(const struct engine *e, uint64_t pages);

#endif
