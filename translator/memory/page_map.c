/* Flat page maps: see page_map.h. */
#include "translator/memory/page_map.h"

#include <fcntl.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#include "translator/memory/ram.h"
#include "translator/world.h"

#define HALF_ENTRIES (UINT64_C(1) << 35)
#define HALF_BYTES   (HALF_ENTRIES * 8)
enum { CHUNK_SHIFT = 9, CHUNK_ENTRIES = 1 << CHUNK_SHIFT, RMAP_MAX = 1 << 20 };
/* Clearing the write entries of a piece takes as long as finding those of so many pages. */
enum { PAGES_A_PIECE = 32 };

/*
 * A half remembers which 4 KiB pieces of it exist, by number; those that hold entries are marked.
 * Emptying a piece leaves it in place, since the next process touches much the same ones.
 */
#define CHUNK_FULL  (UINT32_C(1) << 31)
#define CHUNK_EMPTY UINT32_MAX

static bool chunks_new(struct half *h, uint32_t cap)
{
    uint32_t *fresh = malloc(cap * sizeof *fresh);
    if (!fresh)
        return false;
    memset(fresh, 0xff, cap * sizeof *fresh);
    h->chunk = fresh;
    h->chunk_cap = cap;
    h->chunks = 0;
    return true;
}

/* The slot of a piece, or the empty one where it belongs. */
static uint32_t *chunk_slot(const struct half *h, uint32_t chunk)
{
    uint32_t mask = h->chunk_cap - 1, i = (chunk * 0x9e3779b1u) >> 7 & mask;
    while (h->chunk[i] != CHUNK_EMPTY && (h->chunk[i] & ~CHUNK_FULL) != chunk)
        i = (i + 1) & mask;
    return &h->chunk[i];
}

/* The piece with entry i holds entries. One that was never filled must not be touched into existence. */
static bool chunk_filled(const struct half *h, uint64_t i)
{
    uint32_t found = *chunk_slot(h, (uint32_t)(i / CHUNK_ENTRIES));
    return found != CHUNK_EMPTY && found & CHUNK_FULL;
}

static void chunk_zero(struct half *h, uint32_t chunk)
{
    memset(h->read + (uint64_t)chunk * CHUNK_ENTRIES, 0, CHUNK_ENTRIES * 8);
    memset(h->write + (uint64_t)chunk * CHUNK_ENTRIES, 0, CHUNK_ENTRIES * 8);
}

static void half_clear(struct half *h)
{
    for (uint32_t i = 0; i < h->chunk_cap && h->full; i++)
        if (h->chunk[i] != CHUNK_EMPTY && h->chunk[i] & CHUNK_FULL) {
            h->chunk[i] &= ~CHUNK_FULL;
            chunk_zero(h, h->chunk[i]);
            h->full--;
        }
    h->large = false;
    span_clear(&h->big);
}

static void half_forget(struct half *h)
{
    if (h->chunks)
        memset(h->chunk, 0xff, h->chunk_cap * sizeof *h->chunk);
    h->chunks = h->full = 0;
    h->large = false;
    span_clear(&h->big);
}

static void *map_slice(struct page_maps *m, void *at, uint64_t size, uint64_t offset)
{
    return mmap(at, size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_NORESERVE | (at ? MAP_FIXED : 0),
                m->fd, (off_t)offset);
}

/* Puts a window where it was: the host frees its page tables, which emptying alone does not do. */
static void window_renew(struct page_maps *m, uint8_t *p, const uint64_t at[2])
{
    for (int k = 0; k < 2; k++)
        if (map_slice(m, p + (uint64_t)k * HALF_BYTES, HALF_BYTES, at[k]) == MAP_FAILED)
            abort(); /* the same mapping was there: the kernel itself is out of memory */
}

/* A guest that touches sparsely must not eat the host: past the limit everything goes. */
static void drop_all(struct engine *e)
{
    struct page_maps *m = e->maps;
    e->stats.map_drops++;
    fallocate(m->fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 0, (off_t)m->fd_used);
    for (uint32_t k = 0; k < m->count; k++) {
        window_renew(m, m->map[k].read, m->map[k].at[0]);
        window_renew(m, m->map[k].write, m->map[k].at[1]);
        half_forget(&m->map[k].low);
        half_forget(&m->map[k].own_high);
    }
    for (int c = 1; c < MAX_CLASSES; c++)
        half_forget(&m->high[c]);
    m->chunks = 0;
    /* Zeroing entries by way of the lists would bring their pieces back. */
    rmap_forget(&m->rmap);
}

static bool chunks_grow(struct half *h)
{
    uint32_t *old = h->chunk, cap = h->chunk_cap, count = h->chunks;
    if (!chunks_new(h, 2 * cap))
        return false;
    for (uint32_t i = 0; i < cap; i++)
        if (old[i] != CHUNK_EMPTY)
            *chunk_slot(h, old[i] & ~CHUNK_FULL) = old[i];
    h->chunks = count;
    free(old);
    return true;
}

/* The slot of a piece that exists, or is about to. NULL: out of memory. */
static uint32_t *chunk_exists(struct engine *e, struct half *h, uint64_t index)
{
    struct page_maps *m = e->maps;
    uint32_t chunk = (uint32_t)(index / CHUNK_ENTRIES), *slot = chunk_slot(h, chunk);
    if (*slot != CHUNK_EMPTY)
        return slot;
    if (m->chunks >= m->chunk_limit)
        drop_all(e);
    if (2 * h->chunks >= h->chunk_cap && !chunks_grow(h))
        return NULL;
    slot = chunk_slot(h, chunk);
    h->chunks++;
    m->chunks++;
    *slot = chunk;
    return slot;
}

/* Before an entry is filled. False: out of memory, it must not be. */
static bool touch(struct engine *e, struct half *h, uint64_t index)
{
    uint32_t *slot = chunk_exists(e, h, index);
    if (slot && !(*slot & CHUNK_FULL)) {
        *slot |= CHUNK_FULL;
        h->full++;
    }
    return slot != NULL;
}

static uint64_t new_slice(struct page_maps *m)
{
    uint64_t at = m->fd_used;
    m->fd_used += HALF_BYTES;
    if (ftruncate(m->fd, (off_t)m->fd_used) < 0)
        return ~UINT64_C(0);
    return at;
}

/* One window: low half its own, upper half at at[1] of the object; where the low one is becomes
 * at[0]. */
static uint8_t *new_window(struct page_maps *m, uint64_t at[2])
{
    uint64_t low = at[0] = new_slice(m);
    uint8_t *p =
        mmap(NULL, 2 * HALF_BYTES, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (low == ~UINT64_C(0) || p == MAP_FAILED)
        return NULL;
    if (map_slice(m, p, HALF_BYTES, low) == MAP_FAILED ||
        map_slice(m, p + HALF_BYTES, HALF_BYTES, at[1]) == MAP_FAILED) {
        munmap(p, 2 * HALF_BYTES);
        return NULL;
    }
    return p;
}

static bool half_init(struct half *h, uint8_t *read, uint8_t *write)
{
    h->read = (uint64_t *)(void *)read;
    h->write = (uint64_t *)(void *)write;
    return chunks_new(h, 64);
}

/* Address space may be scarce: what a map could not use is for others. */
static void map_discard(struct map *p)
{
    free(p->low.chunk);
    free(p->own_high.chunk);
    if (p->read)
        munmap(p->read, 2 * HALF_BYTES);
    if (p->write)
        munmap(p->write, 2 * HALF_BYTES);
    *p = (struct map){0};
}

static bool map_create(struct page_maps *m, struct map *p, uint8_t cls)
{
    if (!m->high_valid[cls]) {
        m->high_fd[cls][0] = new_slice(m);
        m->high_fd[cls][1] = new_slice(m);
    }
    for (int k = 0; k < 2; k++) {
        p->at[k][1] = cls ? m->high_fd[cls][k] : new_slice(m);
        if (p->at[k][1] == ~UINT64_C(0))
            return false;
    }
    p->cls = cls;
    p->read = new_window(m, p->at[0]);
    p->write = new_window(m, p->at[1]);
    if (!p->read || !p->write || !half_init(&p->low, p->read, p->write))
        return false;
    if (!cls)
        return half_init(&p->own_high, p->read + HALF_BYTES, p->write + HALF_BYTES);
    if (!m->high_valid[cls])
        m->high_valid[cls] = half_init(&m->high[cls], p->read + HALF_BYTES, p->write + HALF_BYTES);
    return m->high_valid[cls];
}

/* The tag of an empty entry: a page that belongs in another one. No value that is not a page address
 * would do: generated code looks at the page's bits alone, for a byte. */
static uint64_t tlb_no_tag(uint64_t i)
{
    return (i ^ 1) << GW_PAGE_SHIFT;
}

static void tlb_protect(struct page_maps *m)
{
    for (int i = 0; i < 1 << GW_TLB_BITS; i++)
        m->tlb[1][i].tag = tlb_no_tag((uint64_t)i);
}

static void tlb_clear(struct page_maps *m)
{
    for (int i = 0; i < 1 << GW_TLB_BITS; i++)
        m->tlb[0][i].tag = tlb_no_tag((uint64_t)i);
    tlb_protect(m);
    span_clear(&m->tlb_large);
}

unsigned maps_possible(unsigned most)
{
    struct page_maps *m = calloc(1, sizeof *m);
    unsigned count = 0;
    if (!m)
        return 0;
    m->fd = memfd_create("godwit-maps", MFD_CLOEXEC);
    while (m->fd >= 0 && count < most && count < MAP_POOL && map_create(m, &m->map[count], 0))
        count++;
    for (unsigned i = 0; i < MAP_POOL; i++)
        map_discard(&m->map[i]);
    if (m->fd >= 0)
        close(m->fd);
    free(m);
    return count;
}

static uint32_t limit(uint64_t wanted, uint32_t most)
{
    return wanted < most ? (uint32_t)wanted : most;
}

enum gw_status maps_open(struct engine *e, struct gw_error *err)
{
    struct page_maps *m = e->maps;
    m->fd = -1;
    m->most = MAPS_OF_ALL / e->world->vcpus < MAP_POOL ? MAPS_OF_ALL / e->world->vcpus : MAP_POOL;
    m->flat = e->cfg.mem == GW_MEM_FLAT && !e->cfg.no_flat;
    if (m->flat) {
        m->fd = memfd_create("godwit-maps", MFD_CLOEXEC);
        m->flat = m->fd >= 0 && map_create(m, &m->map[0], 0);
        if (m->flat)
            m->count = 1;
        else
            map_discard(&m->map[0]);
    }
    uint64_t pages = e->cfg.bus ? ram_pages(e->cfg.bus) : 1;
    uint32_t nodes = e->cfg.bus ? RMAP_MAX : 1;
    /* 16 KiB of host memory each at worst, page tables included: room for all of RAM twice, and for
     * what a few dozen processes touch */
    m->chunk_limit = 3072 + (uint32_t)(2 * pages / CHUNK_ENTRIES);
    if (e->cfg.map_bytes) { /* three quarters for the pieces, one for the reverse lists */
        m->chunk_limit = limit(e->cfg.map_bytes / 4 * 3 / (16 << 10), m->chunk_limit);
        nodes = limit(e->cfg.map_bytes / 4 / sizeof(struct rmap_node), RMAP_MAX);
    }
    bool listed = rmap_open(&m->rmap, pages, nodes);
    for (int k = 0; k < 2; k++)
        m->tlb[k] = aligned_alloc(64, sizeof *m->tlb[k] << GW_TLB_BITS);
    if (!listed || !m->tlb[0] || !m->tlb[1])
        return gw_fail(err, GW_ERR_NOMEM, NULL, "out of memory for page maps");
    tlb_clear(m);
    e->run->tlb_read = m->tlb[0];
    e->run->tlb_write = m->tlb[1];
    return GW_OK;
}

void maps_close(struct page_maps *m)
{
    for (uint32_t i = 0; i < MAP_POOL; i++)
        map_discard(&m->map[i]);
    for (int c = 0; c < MAX_CLASSES; c++)
        free(m->high[c].chunk);
    if (m->fd > 0)
        close(m->fd);
    rmap_close(&m->rmap);
    free(m->tlb[0]);
    free(m->tlb[1]);
}

/* --- selection ----------------------------------------------------------------------------------- */

static void map_clear(struct map *p)
{
    half_clear(&p->low);
    if (!p->cls)
        half_clear(&p->own_high);
}

static uint32_t take_map(struct engine *e, uint8_t cls)
{
    struct page_maps *m = e->maps;
    uint32_t best = MAP_POOL;
    for (uint32_t i = 0; i < m->count; i++)
        if (!m->map[i].valid && m->map[i].cls == cls)
            return i;
    if (m->count < m->most) {
        struct map *p = &m->map[m->count];
        if (map_create(m, p, cls))
            return m->count++;
        map_discard(p); /* no more address space: make do with what there is */
    }
    for (uint32_t i = 0; i < m->count; i++)
        if (m->map[i].cls == cls && (best == MAP_POOL || m->map[i].used < m->map[best].used))
            best = i;
    if (best != MAP_POOL)
        map_clear(&m->map[best]);
    return best;
}

static bool shows(const struct map *p, const struct gw_view *v)
{
    return p->valid && p->key == v->data_key && (!p->cls || p->cls == v->data_class);
}

uint32_t maps_current(struct engine *e)
{
    struct page_maps *m = e->maps;
    if (m->flat && m->map[m->current].read != e->run->map_read) {
        uint32_t was = m->current;
        m->current = m->other;
        m->other = was;
        m->map[m->current].used = ++m->tick;
    }
    return m->current;
}

/* Tells generated code of the other map of the current one, if there still is that. */
static void tell_other(struct engine *e)
{
    struct page_maps *m = e->maps;
    struct gw_vcpu *run = e->run;
    const struct map *p = &m->map[m->current], *o = &m->map[p->other];
    run->view_bits = ~UINT64_C(0);
    if (!p->pair_bits || !o->valid || o->key != p->other_key)
        return;
    m->other = p->other;
    run->other_read = o->read;
    run->other_write = o->write;
    run->view_bits = p->pair_bits;
}

void maps_pair(struct engine *e, uint32_t before, uint64_t bits)
{
    struct page_maps *m = e->maps;
    struct map *p = &m->map[m->current], *o = &m->map[before];
    if (p == o)
        return;
    p->pair_bits = o->pair_bits = bits;
    p->other = (uint8_t)before;
    o->other = (uint8_t)m->current;
    p->other_key = o->key;
    o->other_key = p->key;
    e->moves++;
    tell_other(e);
}

/* The map is that of the view with this key from now on, and the current one. */
static void go_by(struct engine *e, uint32_t i, uint64_t key, uint64_t asid)
{
    struct page_maps *m = e->maps;
    struct map *p = &m->map[i];
    if (p->key != key)
        p->pair_bits = 0;
    if (p->key != key || !p->valid)
        e->moves++;
    p->key = key;
    p->asid = asid;
    p->valid = true;
    p->used = ++m->tick;
    m->current = i;
    e->run->map_read = p->read;
    e->run->map_write = p->write;
    tell_other(e);
}

void maps_select(struct engine *e, uint8_t *hint)
{
    struct page_maps *m = e->maps;
    const struct gw_view *v = &e->view;
    if (!m->flat) {
        if (m->tlb_key != v->data_key)
            tlb_clear(m);
        m->tlb_key = v->data_key;
        return;
    }
    if (!shows(&m->map[*hint], v)) {
        uint32_t i;
        for (i = 0; i < m->count; i++)
            if (shows(&m->map[i], v))
                break;
        if (i == m->count)
            i = take_map(e, v->data_class);
        if (i == MAP_POOL) { /* not even one map of this class: take over the first, unshared */
            i = 0;
            map_clear(&m->map[0]);
        }
        *hint = (uint8_t)i;
    }
    go_by(e, *hint, v->data_key, v->asid);
}

bool maps_go_on(struct engine *e, uint32_t map, const struct gw_view *v)
{
    struct page_maps *m = e->maps;
    if (!m->flat || !shows(&m->map[map], v))
        return false;
    go_by(e, map, v->data_key, v->asid);
    return true;
}

bool maps_choice(struct engine *e, struct map_choice *out)
{
    struct gw_vcpu *run = e->run;
    uint32_t map = maps_current(e);
    *out = (struct map_choice){.read = run->map_read,
                               .write = run->map_write,
                               .other_read = run->other_read,
                               .other_write = run->other_write,
                               .view_bits = run->view_bits,
                               .map = map,
                               .other = e->maps->other};
    return e->maps->flat;
}

/* The current view has a page in the upper half that others of its class must not see: it goes on by a map
 * whose upper half is its own. */
static void leave_class(struct engine *e)
{
    struct page_maps *m = e->maps;
    struct map *p = &m->map[m->current];
    map_clear(p);
    p->valid = false;
    e->moves++;
    go_by(e, take_map(e, 0), p->key, p->asid);
    e->stats.map_leaves++;
}

/* --- filling ------------------------------------------------------------------------------------- */

/* The page's list names the entry of the current map. False: out of memory. */
static bool rmap_list(struct engine *e, uint64_t paddr, uint64_t index)
{
    struct page_maps *m = e->maps;
    uint64_t page = ram_page_number(e->cfg.bus, paddr);
    if (page >= m->rmap.pages)
        return false;
    if (rmap_has(&m->rmap, page, m->current, index))
        return true;
    if (rmap_is_full(&m->rmap)) {
        maps_flush(e, 0, true);
        rmap_forget(&m->rmap);
    }
    return rmap_add(&m->rmap, page, m->current, index);
}

/* Of the current map. */
static struct half *half_of(struct page_maps *m, uint64_t index)
{
    struct map *p = &m->map[m->current];
    if (index < HALF_ENTRIES)
        return &p->low;
    return p->cls ? &m->high[p->cls] : &p->own_high;
}

void maps_looked_up(struct engine *e, uint64_t vaddr)
{
    uint64_t index = vaddr >> GW_PAGE_SHIFT & (2 * HALF_ENTRIES - 1);
    maps_current(e);
    if (e->maps->flat)
        chunk_exists(e, half_of(e->maps, index), index & (HALF_ENTRIES - 1));
}

static void *host_by(uint64_t addend, uint64_t vaddr)
{
    return addend ? (void *)(uintptr_t)(addend + vaddr) : NULL;
}

void *maps_inline_store(void *cpu, uint64_t vaddr)
{
    struct engine *e = gw_run(cpu)->engine;
    struct page_maps *m = e->maps;
    uint64_t page = vaddr >> GW_PAGE_SHIFT, i = page & (HALF_ENTRIES - 1);
    if (!m->flat) {
        const struct gw_tlb_entry *t = &m->tlb[1][page & ((1 << GW_TLB_BITS) - 1)];
        return t->tag == page << GW_PAGE_SHIFT ? host_by(t->addend, vaddr) : NULL;
    }
    if ((uint64_t)((int64_t)(vaddr << 16) >> 16) != vaddr)
        return NULL;
    maps_current(e);
    const struct half *h = half_of(m, page & (2 * HALF_ENTRIES - 1));
    return chunk_filled(h, i) ? host_by(h->write[i], vaddr) : NULL;
}

void maps_fill(struct engine *e, uint64_t vaddr, const struct gw_xlate *x, uint8_t *host_page,
               bool may_write)
{
    struct page_maps *m = e->maps;
    uint64_t page = vaddr & ~(uint64_t)GW_PAGE_MASK;
    uint64_t addend = (uint64_t)(uintptr_t)host_page - page;
    bool readable = x->perms >> GW_ACCESS_LOAD & 1;
    /* Generated code takes a page that may be written for one that may be read, too. */
    bool writable = may_write && readable && x->perms >> GW_ACCESS_STORE & 1;
    e->stats.map_fills++;
    maps_current(e);
    if (!m->flat) {
        uint64_t i = vaddr >> GW_PAGE_SHIFT & ((1 << GW_TLB_BITS) - 1);
        if (x->shift > GW_PAGE_SHIFT)
            span_add(&m->tlb_large, vaddr >> GW_PAGE_SHIFT, x->shift);
        if (readable)
            m->tlb[0][i] = (struct gw_tlb_entry){.tag = page, .addend = addend};
        if (writable)
            m->tlb[1][i] = (struct gw_tlb_entry){.tag = page, .addend = addend};
        return;
    }
    uint64_t index = vaddr >> GW_PAGE_SHIFT & (2 * HALF_ENTRIES - 1);
    if (index >= HALF_ENTRIES && m->map[m->current].cls && !x->global)
        leave_class(e);
    struct half *h = half_of(m, index);
    uint64_t i = index & (HALF_ENTRIES - 1);
    /* Room for the piece first, since making it may empty the lists; room in the lists may empty the
     * piece, so that it is marked anew. */
    if (!touch(e, h, i))
        return;
    if (writable && !rmap_list(e, x->paddr, index))
        writable = false;
    if (!touch(e, h, i))
        return;
    if (x->shift > GW_PAGE_SHIFT)
        h->large = true;
    if (x->shift > GW_PAGE_SHIFT + CHUNK_SHIFT)
        span_add(&h->big, i, x->shift);
    if (readable)
        h->read[i] = addend;
    if (writable)
        h->write[i] = addend;
}

/* --- emptying ------------------------------------------------------------------------------------ */

/* With what else a mapping larger than a page may have brought along. */
static void clear_entry(struct half *h, uint64_t i)
{
    if (!h->full)
        return;
    if (span_has(&h->big, i)) {
        half_clear(h);
        return;
    }
    if (!chunk_filled(h, i))
        return;
    if (h->large) {
        chunk_zero(h, (uint32_t)(i / CHUNK_ENTRIES));
        return;
    }
    h->read[i] = 0;
    h->write[i] = 0;
}

void maps_flush_page(struct page_maps *m, uint64_t vaddr, uint64_t asid, bool asid_all)
{
    if (!m->flat) {
        uint64_t i = vaddr >> GW_PAGE_SHIFT & ((1 << GW_TLB_BITS) - 1);
        if (span_has(&m->tlb_large, vaddr >> GW_PAGE_SHIFT)) {
            tlb_clear(m);
            return;
        }
        m->tlb[0][i].tag = m->tlb[1][i].tag = tlb_no_tag(i);
        return;
    }
    uint64_t index = vaddr >> GW_PAGE_SHIFT & (2 * HALF_ENTRIES - 1);
    uint64_t i = index & (HALF_ENTRIES - 1);
    bool upper = index >= HALF_ENTRIES;
    for (uint32_t k = 0; k < m->count; k++) {
        struct map *p = &m->map[k];
        if (!p->valid || !(asid_all || p->asid == asid))
            continue;
        if (!upper)
            clear_entry(&p->low, i);
        else if (!p->cls)
            clear_entry(&p->own_high, i);
    }
    for (int c = 1; c < MAX_CLASSES && upper && asid_all; c++)
        if (m->high_valid[c])
            clear_entry(&m->high[c], i);
}

void maps_flush_range(struct engine *e, uint64_t vaddr, uint64_t size)
{
    enum { ONE_BY_ONE = 64 };
    const uint64_t first = vaddr >> GW_PAGE_SHIFT, last = (vaddr + size - 1) >> GW_PAGE_SHIFT;
    if (last - first >= ONE_BY_ONE)
        maps_flush(e, 0, true);
    else
        for (uint64_t page = first; page <= last; page++)
            maps_flush_page(e->maps, page << GW_PAGE_SHIFT, 0, true);
}

void maps_flush(struct engine *e, uint64_t asid, bool asid_all)
{
    struct page_maps *m = e->maps;
    e->stats.map_flushes++;
    if (!m->flat) {
        tlb_clear(m);
        return;
    }
    for (uint32_t k = 0; k < m->count; k++)
        if (m->map[k].valid && (asid_all || m->map[k].asid == asid))
            map_clear(&m->map[k]);
    for (int c = 1; c < MAX_CLASSES && asid_all; c++)
        if (m->high_valid[c])
            half_clear(&m->high[c]);
}

void maps_protect(struct engine *e, uint64_t paddr)
{
    struct page_maps *m = e->maps;
    if (!m->flat) {
        tlb_protect(m);
        return;
    }
    uint64_t page = ram_page_number(e->cfg.bus, paddr);
    struct rmap_node n;
    while (page < m->rmap.pages && rmap_take(&m->rmap, page, &n)) {
        struct map *p = &m->map[n.map];
        uint64_t i = n.index & (HALF_ENTRIES - 1);
        struct half *h = n.index < HALF_ENTRIES ? &p->low
                         : p->cls               ? &m->high[p->cls]
                                                : &p->own_high;
        h->write[i] = 0; /* maybe another page's by now: it is filled again when needed */
    }
}

/* The halves that a vCPU's maps consist of, one after the other: NULL behind the last. */
static struct half *half_at(struct page_maps *m, uint32_t i)
{
    if (i < m->count)
        return &m->map[i].low;
    i -= m->count;
    if (i < m->count)
        return &m->map[i].own_high;
    i -= m->count;
    return i < MAX_CLASSES ? &m->high[i] : NULL;
}

bool maps_protect_all_pays(const struct engine *e, uint64_t pages)
{
    struct page_maps *m = e->maps;
    uint64_t full = 0;
    for (uint32_t i = 0; half_at(m, i); i++)
        full += half_at(m, i)->full;
    return !m->flat || pages > PAGES_A_PIECE * full;
}

/* The lists stay: what is filled again is on them. */
void maps_protect_all(struct engine *e)
{
    struct page_maps *m = e->maps;
    struct half *h;
    if (!m->flat)
        tlb_protect(m);
    for (uint32_t k = 0; m->flat && (h = half_at(m, k)); k++)
        for (uint32_t i = 0, left = h->full; left; i++)
            if (h->chunk[i] != CHUNK_EMPTY && h->chunk[i] & CHUNK_FULL) {
                uint64_t chunk = h->chunk[i] & ~CHUNK_FULL;
                memset(h->write + chunk * CHUNK_ENTRIES, 0, CHUNK_ENTRIES * 8);
                left--;
            }
}
