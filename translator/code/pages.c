/* Blocks by their pages; stale and live: see pages.h. */
#include "translator/code/pages.h"

#include <stdlib.h>

#include "translator/code/breaks.h"
#include "translator/code/jumps.h"
#include "translator/code/links.h"
#include "translator/code/spaces.h"

enum { FIRST_PAGES = 128 };

struct page_node {
    uint32_t tb; /* number, shifted left by one; lowest bit: the page is the block's second */
    uint32_t next;
};
struct code_page {
    uint64_t page;  /* or NO_PAGE */
    uint32_t first; /* page_node */
};

static struct code_page *pages_new(uint32_t cap)
{
    struct code_page *p = malloc(cap * sizeof *p);
    for (uint32_t i = 0; p && i < cap; i++)
        p[i].page = NO_PAGE;
    return p;
}

bool pages_open(struct code_cache *c)
{
    c->node_free = NO_TB;
    c->page_cap = FIRST_PAGES;
    c->pages = pages_new(FIRST_PAGES);
    return c->pages != NULL;
}

void pages_close(struct code_cache *c)
{
    free(c->pages);
    vec_free(&c->nodes);
}

/* --- lists --------------------------------------------------------------------------------------- */

static struct code_page *page_slot(struct code_cache *c, uint64_t page)
{
    uint32_t mask = c->page_cap - 1;
    uint32_t i = (uint32_t)((page * UINT64_C(0x9e3779b97f4a7c15)) >> 40) & mask;
    /* NOLINTNEXTLINE(clang-analyzer-core.UndefinedBinaryOperatorResult): each one's page is set */
    while (c->pages[i].page != page && c->pages[i].page != NO_PAGE)
        i = (i + 1) & mask;
    return &c->pages[i];
}

static bool grow(struct code_cache *c)
{
    struct code_page *old = c->pages;
    uint32_t cap = c->page_cap;
    struct code_page *fresh = pages_new(2 * cap);
    if (!fresh)
        return false;
    c->pages = fresh;
    c->page_cap = cap * 2;
    for (uint32_t i = 0; i < cap; i++)
        if (old[i].page != NO_PAGE)
            *page_slot(c, old[i].page) = old[i];
    free(old);
    return true;
}

static struct code_page *page_made(struct code_cache *c, uint64_t page)
{
    struct code_page *p = page_slot(c, page);
    if (p->page == page)
        return p;
    if (c->page_count * 2 > c->page_cap && grow(c))
        p = page_slot(c, page);
    c->page_count++;
    *p = (struct code_page){.page = page, .first = NO_TB};
    return p;
}

static struct page_node *node(const struct code_cache *c, uint32_t k)
{
    return (struct page_node *)c->nodes.data + k;
}

static uint32_t new_node(struct code_cache *c)
{
    uint32_t k = c->node_free;
    if (k != NO_TB)
        c->node_free = node(c, k)->next;
    else if (vec_push(&c->nodes, sizeof(struct page_node), 1))
        k = c->nodes.count - 1;
    return k;
}

static bool list_add(struct code_cache *c, uint64_t paddr, uint32_t i, uint32_t side)
{
    struct code_page *p = page_made(c, paddr >> GW_PAGE_SHIFT);
    uint32_t k = new_node(c);
    if (k == NO_TB)
        return false;
    *node(c, k) = (struct page_node){i << 1 | side, p->first};
    p->first = k;
    cc_tb(c, i)->listed |= (uint8_t)(1u << side);
    return true;
}

bool pages_list(struct engine *e, uint32_t i)
{
    const struct tb *tb = cc_tb(e->cc, i);
    uint64_t at[2] = {tb->paddr, tb->paddr2};
    if (!e->cfg.bus && (tb->pc ^ (tb->pc + tb->code_bytes - 1)) >> GW_PAGE_SHIFT)
        at[1] = tb->pc + tb->code_bytes - 1;
    for (uint32_t side = 0; side < 2; side++)
        if (at[side] != NO_PADDR && !(tb->listed >> side & 1) &&
            !list_add(e->cc, at[side], i, side))
            return false;
    return true;
}

/* --- stale and live ------------------------------------------------------------------------------ */

uint64_t pages_hash(const uint8_t *bytes, uint32_t count)
{
    uint64_t h = UINT64_C(0xcbf29ce484222325) ^ count, w;
    for (; count >= 8; count -= 8, bytes += 8) {
        memcpy(&w, bytes, 8);
        h = (h ^ w) * UINT64_C(0x9fb21c651e98df25);
        h ^= h >> 32;
    }
    w = 0;
    memcpy(&w, bytes, count);
    h = (h ^ w) * UINT64_C(0x9fb21c651e98df25);
    return h ^ h >> 29;
}

bool pages_revive(struct engine *e, uint32_t i, const uint8_t *bytes)
{
    struct tb *tb = cc_tb(e->cc, i);
    const int32_t *offset = (const int32_t *)e->cc->guests.data + tb->guest_first;
    if (pages_hash(bytes, tb->code_bytes) != tb->hash ||
        breaks_room(e->world->breaks, tb, offset) < tb->guest_count || !pages_list(e, i))
        return false;
    tb_becomes(tb, TB_LIVE);
    e->stats.revived_blocks++;
    return true;
}

void pages_make_stale(struct engine *e, struct tb *tb)
{
    if (tb_state(tb) != TB_LIVE)
        return;
    tb_becomes(tb, TB_STALE);
    links_cut_off(e, tb);
    jumps_drop(e, tb);
    e->stats.stale_blocks++;
}

static void stale_page(struct engine *e, uint64_t page)
{
    struct code_cache *c = e->cc;
    struct code_page *p = page_slot(c, page);
    if (p->page != page)
        return;
    for (uint32_t k = p->first; k != NO_TB; k = p->first) {
        struct page_node *n = node(c, k);
        struct tb *tb = cc_tb(c, n->tb >> 1);
        pages_make_stale(e, tb);
        tb->listed &= (uint8_t) ~(1u << (n->tb & 1));
        p->first = n->next;
        n->next = c->node_free;
        c->node_free = k;
    }
}

/* --- programs' ----------------------------------------------------------------------------------- */

static bool is_programs(const struct engine *e, const struct page_node *n)
{
    return !(n->tb & 1) && e->cfg.isa->anywhere(cc_tb(e->cc, n->tb >> 1)->flags);
}

const struct tb *pages_program(struct engine *e, uint64_t paddr)
{
    const struct code_cache *c = e->cc;
    const struct code_page *p = page_slot(e->cc, paddr >> GW_PAGE_SHIFT);
    uint32_t k = p->page == NO_PAGE ? NO_TB : p->first;
    while (k != NO_TB && !is_programs(e, node(c, k)))
        k = node(c, k)->next;
    return k == NO_TB ? NULL : cc_tb(c, node(c, k)->tb >> 1);
}

void pages_leave_address(struct engine *e, uint64_t paddr)
{
    struct code_cache *c = e->cc;
    uint32_t *from = &page_slot(c, paddr >> GW_PAGE_SHIFT)->first, k;
    while ((k = *from) != NO_TB) {
        struct page_node *n = node(c, k);
        if (!is_programs(e, n)) {
            from = &n->next;
            continue;
        }
        struct tb *tb = cc_tb(c, n->tb >> 1);
        pages_make_stale(e, tb);
        tb->listed &= (uint8_t)~1u;
        *from = n->next;
        n->next = c->node_free;
        c->node_free = k;
    }
}

/* --- changes ------------------------------------------------------------------------------------- */

static void unmark(struct engine *e, uint64_t page)
{
    uint8_t *f = e->cfg.bus ? gw_bus_page_flags(e->cfg.bus, page << GW_PAGE_SHIFT) : NULL;
    if (f)
        __atomic_fetch_and(f, (uint8_t)~GW_RAM_CODE, __ATOMIC_SEQ_CST);
}

void pages_changed(struct engine *e, uint64_t page)
{
    struct engine_world *w = e->world;
    world_lock(w);
    for (unsigned i = 0; i < w->vcpus; i++)
        if (cc_of_its_own(w, i))
            stale_page(w->engine[i], page);
    unmark(e, page);
    world_unlock(w);
    /* Whoever sees the bytes that are stored next sees that nothing leads to the blocks, and no flag. */
    __atomic_thread_fence(__ATOMIC_RELEASE);
}

static void changed(struct engine *e, uint64_t first, uint64_t last)
{
    if (last - first > e->cc->page_cap) { /* a huge range: walk what there is instead */
        for (uint32_t i = 0; i < e->cc->page_cap; i++)
            if (e->cc->pages[i].page - first <= last - first)
                pages_changed(e, e->cc->pages[i].page);
        return;
    }
    for (uint64_t page = first; page <= last; page++)
        pages_changed(e, page);
}

void engine_code_changed(struct engine *e, uint64_t vaddr, uint64_t size)
{
    struct engine_world *w = e->world;
    if (!size)
        return;
    world_lock(w);
    spaces_count_fence(w); /* who is about to make a block asks again whether there is code */
    for (unsigned i = 0; i < w->vcpus; i++)
        if (cc_of_its_own(w, i))
            changed(w->engine[i], vaddr >> GW_PAGE_SHIFT, (vaddr + size - 1) >> GW_PAGE_SHIFT);
    world_unlock(w);
}

void pages_clear(struct engine *e)
{
    struct code_cache *c = e->cc;
    bool only = e->cfg.bus && (!e->interp || !e->world->shared);
    for (uint32_t i = 0; i < c->page_cap; i++) {
        if (only && c->pages[i].page != NO_PAGE)
            unmark(e, c->pages[i].page);
        c->pages[i].page = NO_PAGE;
    }
    c->page_count = 0;
    c->nodes.count = 0;
    c->node_free = NO_TB;
}
