/*
 * Translation blocks: how they are found, linked, made stale and revived.
 *
 * Model. A block is known by (pc, physical address, tb_flags). It lives in code memory, which is
 * filled from the start and emptied as a whole. A link leads from a branch of one block to another
 * block's entry; each block lists the links that lead to it, so that it can be cut off.
 *
 * The vCPUs of a machine share one cache of generated code, under the world's lock; what the
 * interpreter runs holds addresses of one vCPU's state, so each has a cache of its own.
 *
 * Invariants
 *   1. A block that is not LIVE is reachable neither by a link nor by a jump cache.
 *   2. A page holds a LIVE block only while it is marked GW_RAM_CODE, so stores to it come here. It
 *      is marked before its bytes are read, and with the world stopped: see page_map.c.
 *   3. A stale block is compared with memory, by hash, before it becomes LIVE again.
 *   4. Blocks' code offsets ascend with their numbers.
 *   5. The cache is emptied with the world stopped only: no vCPU is in it, or has a block's number.
 */
#include <stdlib.h>
#include <sys/mman.h>

#include "translator/engine_int.h"

void *vec_push(struct vec *v, size_t elem, uint32_t n)
{
    if (!v->data || v->count + n > v->cap) {
        uint32_t cap = v->cap ? v->cap : 256;
        while (cap < v->count + n)
            cap *= 2;
        void *p = realloc(v->data, cap * elem);
        if (!p)
            return NULL;
        v->data = p;
        v->cap = cap;
    }
    void *at = (uint8_t *)v->data + v->count * elem;
    v->count += n;
    return at;
}

static void *zero_pages(size_t size)
{
    void *p = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE,
                   -1, 0);
    return p == MAP_FAILED ? NULL : p;
}

static enum gw_status emit_runtime(struct engine *e, struct gw_error *err)
{
    struct code_cache *c = e->cc;
    enum gw_status st =
        e->cfg.backend->emit_runtime(&e->bcfg, &e->rt, c->mem.rw, c->mem.size, c->mem.rx, &c->ep);
    if (st != GW_OK)
        return gw_fail(err, st, NULL, "the code cache is too small");
    c->runtime_size = (c->ep.size + 63) & ~63u;
    c->mem.used = c->runtime_size;
    return GW_OK;
}

static enum gw_status open_memory(struct engine *e, size_t size, struct gw_error *err)
{
    struct code_cache *c = e->cc;
    if (e->cfg.backend)
        return code_mem_open(&c->mem, size, err);
    c->interp_mem = zero_pages(size);
    if (!c->interp_mem)
        return gw_fail(err, GW_ERR_NOMEM, NULL, "out of memory for translated code");
    c->interp_size = size;
    return GW_OK;
}

static void close_memory(struct code_cache *c)
{
    code_mem_close(&c->mem);
    if (c->interp_mem)
        munmap(c->interp_mem, c->interp_size);
    c->interp_mem = NULL;
}

/* The default size is a wish: under a limit on address space it is halved until it can be had, and
 * once more, so that the guest is left something too. */
static enum gw_status open_any(struct engine *e, struct gw_error *err)
{
    struct code_cache *c = e->cc;
    size_t size = c->wanted;
    enum gw_status st = open_memory(e, size, err);
    if (st == GW_OK || e->cfg.code_cache_bytes)
        return st;
    while (st != GW_OK && size / 2 >= CODE_CACHE_FLOOR) {
        size /= 2;
        st = open_memory(e, size, err);
    }
    if (st == GW_OK && size / 2 >= CODE_CACHE_FLOOR) {
        close_memory(c);
        st = open_memory(e, size / 2, err);
    }
    return st;
}

size_t engine_code_cache_bytes(const struct engine *e, size_t *wanted)
{
    *wanted = e->cc->wanted;
    return e->cfg.backend ? e->cc->mem.size : e->cc->interp_size;
}

static enum gw_status open_tables(struct engine *e, struct gw_error *err)
{
    struct code_cache *c = e->cc;
    size_t size = e->cfg.code_cache_bytes;
    if (size < 65536)
        size = size ? 65536 : e->cfg.bus ? 128u << 20 : 64u << 20;
    c->wanted = size;
    c->hash_bits = HASH_FIRST_BITS;
    c->hash = zero_pages(sizeof *c->hash << c->hash_bits);
    c->node_free = NO_TB;
    c->page_cap = 4096;
    c->pages = malloc(c->page_cap * sizeof *c->pages);
    if (!c->hash || !c->pages)
        return gw_fail(err, GW_ERR_NOMEM, NULL, "out of memory");
    for (uint32_t i = 0; i < c->page_cap; i++)
        c->pages[i].page = ~UINT64_C(0);
    return open_any(e, err);
}

enum gw_status cc_open(struct engine *e, struct gw_error *err)
{
    e->cc = e->interp ? &e->own_cc : &e->world->cc;
    if (e->cc->hash) /* another vCPU has opened it */
        return GW_OK;
    enum gw_status st = open_tables(e, err);
    if (st == GW_OK && e->cfg.backend)
        st = emit_runtime(e, err);
    return st;
}

void cc_close(struct code_cache *c)
{
    close_memory(c);
    if (c->hash)
        munmap(c->hash, sizeof *c->hash << c->hash_bits);
    free(c->pages);
    free(c->tbs.data);
    free(c->links.data);
    free(c->rows.data);
    free(c->guests.data);
    free(c->nodes.data);
}

/* --- pages --------------------------------------------------------------------------------------- */

static struct code_page *page_slot(struct code_cache *c, uint64_t page)
{
    uint32_t mask = c->page_cap - 1;
    uint32_t i = (uint32_t)((page * UINT64_C(0x9e3779b97f4a7c15)) >> 40) & mask;
    /* NOLINTNEXTLINE(clang-analyzer-core.UndefinedBinaryOperatorResult): each one's page is set */
    while (c->pages[i].page != page && c->pages[i].page != ~UINT64_C(0))
        i = (i + 1) & mask;
    return &c->pages[i];
}

static bool page_table_grow(struct code_cache *c)
{
    struct code_page *old = c->pages;
    uint32_t cap = c->page_cap;
    struct code_page *fresh = malloc(2 * (size_t)cap * sizeof *fresh);
    if (!fresh)
        return false;
    c->pages = fresh;
    c->page_cap = cap * 2;
    for (uint32_t i = 0; i < c->page_cap; i++)
        fresh[i].page = ~UINT64_C(0);
    for (uint32_t i = 0; i < cap; i++)
        if (old[i].page != ~UINT64_C(0))
            *page_slot(c, old[i].page) = old[i];
    free(old);
    return true;
}

static struct code_page *page_of(struct engine *e, uint64_t page, bool create)
{
    struct code_cache *c = e->cc;
    struct code_page *p = page_slot(c, page);
    if (p->page == page)
        return p;
    if (!create)
        return NULL;
    if (c->page_count * 2 > c->page_cap && page_table_grow(c))
        p = page_slot(c, page);
    c->page_count++;
    *p = (struct code_page){.page = page, .first = NO_TB};
    return p;
}

static bool is_protected(struct engine *e, uint64_t paddr)
{
    const uint8_t *f = page_flags(e, paddr);
    return !f || __atomic_load_n(f, __ATOMIC_ACQUIRE) & GW_RAM_CODE;
}

/* Sets GW_RAM_CODE and takes the page out of inline reach of all vCPUs' stores. */
static void page_protect(struct engine *e, uint64_t paddr)
{
    if (is_protected(e, paddr))
        return;
    __atomic_fetch_or(page_flags(e, paddr), GW_RAM_CODE, __ATOMIC_SEQ_CST);
    for (unsigned i = 0; i < e->world->vcpus; i++)
        if (e->world->engine[i])
            maps_protect(e->world->engine[i], paddr & ~(uint64_t)GW_PAGE_MASK);
}

/* May blocks of the page be made or revived now? They may where it is protected, or can be: then it
 * is. */
static bool page_ready(struct engine *e, uint64_t paddr)
{
    if (!e->cfg.bus || paddr == ~UINT64_C(0))
        return true;
    if (e->world->shared && !e->stopped && !is_protected(e, paddr))
        return false;
    page_protect(e, paddr);
    return true;
}

static uint32_t new_node(struct code_cache *c)
{
    uint32_t k = c->node_free;
    if (k != NO_TB)
        c->node_free = ((struct page_node *)c->nodes.data)[k].next;
    else if (vec_push(&c->nodes, sizeof(struct page_node), 1))
        k = c->nodes.count - 1;
    return k;
}

static bool page_add(struct engine *e, uint64_t paddr, uint32_t i, uint32_t side)
{
    struct code_page *p = page_of(e, paddr >> GW_PAGE_SHIFT, true);
    uint32_t k = new_node(e->cc);
    if (k == NO_TB)
        return false;
    ((struct page_node *)e->cc->nodes.data)[k] = (struct page_node){i << 1 | side, p->first};
    p->first = k;
    cc_tb(e, i)->listed |= (uint8_t)(1u << side);
    return true;
}

/* Into the lists of its pages where it is not. False: out of memory, it must not be found again. */
static bool page_lists(struct engine *e, uint32_t i)
{
    const struct tb *tb = cc_tb(e, i);
    uint64_t at[2] = {tb->paddr, tb->paddr2};
    if (!e->cfg.bus && (tb->pc ^ (tb->pc + tb->code_bytes - 1)) >> GW_PAGE_SHIFT)
        at[1] = tb->pc + tb->code_bytes - 1;
    for (uint32_t side = 0; side < 2; side++)
        if (at[side] != ~UINT64_C(0) && !(tb->listed >> side & 1) &&
            !page_add(e, at[side], i, side))
            return false;
    return true;
}

/* --- hash ---------------------------------------------------------------------------------------- */

/* Low half: where to look, such that blocks of one page lie close together; high half: the tag. */
static uint64_t tb_key(uint64_t pc, uint64_t paddr, uint32_t flags)
{
    uint64_t k = (pc >> GW_PAGE_SHIFT) ^ (paddr >> GW_PAGE_SHIFT) * UINT64_C(0x9e3779b97f4a7c15) ^
                 (uint64_t)flags << 40;
    k *= UINT64_C(0xd6e8feb86659fd93);
    k ^= k >> 32;
    return ((k + (pc & GW_PAGE_MASK) * UINT64_C(0x9e3779b100000000)) & ~UINT64_C(0xffffffff)) |
           (uint32_t)(k + ((pc & GW_PAGE_MASK) >> 1));
}

static void hash_place(struct code_cache *c, uint64_t key, uint32_t tb)
{
    uint32_t mask = (1u << c->hash_bits) - 1, i = (uint32_t)key & mask;
    while (c->hash[i].tb)
        i = (i + 1) & mask;
    c->hash[i] = (struct tb_slot){.tag = (uint32_t)(key >> 32), .tb = tb + 1};
    c->hash_count++;
}

static void hash_add(struct engine *e, uint64_t key, uint32_t tb)
{
    struct code_cache *c = e->cc;
    if (c->hash_count >= 3u << (c->hash_bits - 2)) {
        struct tb_slot *old = c->hash;
        struct tb_slot *fresh = zero_pages(sizeof *fresh << (c->hash_bits + 1));
        if (!fresh)
            return; /* the block will be translated again */
        c->hash = fresh;
        c->hash_bits++;
        c->hash_count = 0;
        for (uint32_t i = 0; i < 1u << (c->hash_bits - 1); i++)
            if (old[i].tb) {
                const struct tb *t = cc_tb(e, old[i].tb - 1);
                hash_place(c, tb_key(t->pc, t->paddr, t->flags), old[i].tb - 1);
            }
        munmap(old, sizeof *old << (c->hash_bits - 1));
    }
    hash_place(c, key, tb);
}

static uint64_t hash_bytes(const uint8_t *p, uint32_t n)
{
    uint64_t h = UINT64_C(0xcbf29ce484222325) ^ n, w;
    for (; n >= 8; n -= 8, p += 8) {
        memcpy(&w, p, 8);
        h = (h ^ w) * UINT64_C(0x9fb21c651e98df25);
        h ^= h >> 32;
    }
    w = 0;
    memcpy(&w, p, n);
    h = (h ^ w) * UINT64_C(0x9fb21c651e98df25);
    return h ^ h >> 29;
}

/* --- links --------------------------------------------------------------------------------------- */

static uint64_t tb_rx(struct engine *e, const struct tb *tb)
{
    return e->cc->mem.rx + tb->code;
}

static void add_incoming(struct engine *e, struct tb *tb, uint32_t link)
{
    struct link *l = cc_link(e, link);
    l->next_in = tb->in_first;
    l->prev_in = NO_TB;
    if (tb->in_first != NO_TB)
        cc_link(e, tb->in_first)->prev_in = link;
    tb->in_first = link;
}

static void unlink_one(struct engine *e, uint32_t link)
{
    struct link *l = cc_link(e, link);
    if (l->prev_in == NO_TB)
        cc_tb(e, l->to)->in_first = l->next_in;
    else
        cc_link(e, l->prev_in)->next_in = l->next_in;
    if (l->next_in != NO_TB)
        cc_link(e, l->next_in)->prev_in = l->prev_in;
    l->to = NO_TB;
}

/* A guard holds what this vCPU knows, so it must know the latest. */
static bool current(const struct engine *e, bool global)
{
    const struct engine_world *w = e->world;
    return global ? e->run->gen_global == w->gen_global
                  : e->run->gen_space == w->space[e->cur_space].gen;
}

/* Another vCPU may have passed the guard and stand ahead of the jump, so the link gets another guard
 * only once each has been outside. */
static void point_to_stub(struct engine *e, struct link *l)
{
    struct tb *from = cc_tb(e, l->owner);
    e->cfg.backend->patch(e->cc->mem.rw + from->code, tb_rx(e, from), &l->d, 0, false, 0);
    if (e->world->shared && l->d.gen_offset)
        l->cut = __atomic_add_fetch(&e->world->cuts, 1, __ATOMIC_SEQ_CST);
}

bool cc_link_to(struct engine *e, uint32_t link, uint32_t to)
{
    struct link *l = cc_link(e, link);
    struct tb *from = cc_tb(e, l->owner), *tb = cc_tb(e, to);
    bool global = e->at.global;
    if (tb->state != TB_LIVE || from->once || tb->once)
        return false;
    if (e->cfg.bus && (!current(e, global) || (tb->paddr2 != ~UINT64_C(0) && !l->d.gen_offset)))
        return false;
    if (l->to != NO_TB) { /* taken because its guard no longer holds */
        if (!l->d.gen_offset)
            return true;
        unlink_one(e, link);
        if (e->world->shared)
            point_to_stub(e, l);
    }
    if (cc_link_waits(e, link))
        return false;
    l->cut = 0;
    e->cfg.backend->patch(e->cc->mem.rw + from->code, tb_rx(e, from), &l->d, tb_rx(e, tb), global,
                          global ? e->run->gen_global : e->run->gen_space);
    l->to = to;
    add_incoming(e, tb, link);
    e->stats.links++;
    return true;
}

void cc_link_interp(struct engine *e, struct interp_link *il, uint32_t to)
{
    struct tb *tb = cc_tb(e, to);
    if (tb->state != TB_LIVE || tb->once)
        return;
    if (e->cfg.bus) {
        if (!current(e, e->at.global))
            return;
        il->gen_cell = e->at.global ? &e->run->gen_global : &e->run->gen_space;
        il->gen = *il->gen_cell;
    }
    if (il->next == tb->interp) /* only the guard was out of date */
        return;
    struct link *l = vec_push(&e->cc->links, sizeof *l, 1);
    if (!l)
        return;
    *l = (struct link){.il = il, .owner = NO_TB, .to = to};
    add_incoming(e, tb, e->cc->links.count - 1);
    __atomic_store_n(&il->next, tb->interp, __ATOMIC_RELAXED);
    e->stats.links++;
}

static void drop_jumps(struct engine *e, const struct tb *tb)
{
    void *code = tb->interp ? (void *)tb->interp : (void *)(uintptr_t)tb_rx(e, tb);
    if (tb->interp) {
        views_drop_jump(e, tb->pc, code);
        return;
    }
    for (unsigned i = 0; i < e->world->vcpus; i++)
        if (e->world->engine[i])
            views_drop_jump(e->world->engine[i], tb->pc, code);
}

static void cut_off(struct engine *e, struct tb *tb)
{
    for (uint32_t k = tb->in_first; k != NO_TB;) {
        struct link *l = cc_link(e, k);
        uint32_t next = l->next_in;
        if (l->il) {
            if (l->il->next == tb->interp)
                __atomic_store_n(&l->il->next, NULL, __ATOMIC_RELAXED);
        } else {
            point_to_stub(e, l);
        }
        l->to = NO_TB;
        k = next;
    }
    tb->in_first = NO_TB;
    drop_jumps(e, tb);
}

static struct far_jump *far_jump(struct engine *e, uint64_t pc)
{
    uint64_t h =
        (pc >> 1) * UINT64_C(0x9e3779b97f4a7c15) + e->jumps->id * UINT64_C(0xd6e8feb86659fd93);
    return &e->far_jumps[h >> (64 - FAR_JUMP_BITS)];
}

static void fill_jump(struct engine *e, const struct tb *tb)
{
    struct gw_jump_entry *je = &e->run->jump_cache[interp_jump_index(tb->pc)];
    je->code = tb->interp ? (void *)tb->interp : (void *)(uintptr_t)tb_rx(e, tb);
    je->pc = tb->pc;
    e->jumps->filled = true;
}

void cc_jump_cache_insert(struct engine *e, uint32_t i)
{
    const struct tb *tb = cc_tb(e, i);
    if (tb->state != TB_LIVE || tb->once || (e->view.kernel && !e->at.global))
        return;
    fill_jump(e, tb);
    *far_jump(e, tb->pc) = (struct far_jump){.pc = tb->pc, .id = e->jumps->id, .tb = i};
}

bool cc_link_waits(struct engine *e, uint32_t link)
{
    const struct link *l = cc_link(e, link);
    return l->cut && !world_passed(e, l->cut);
}

bool cc_far_jump(struct engine *e)
{
    const struct far_jump *f = far_jump(e, e->run->pc);
    if (f->pc != e->run->pc || f->id != e->jumps->id)
        return false;
    const struct tb *tb = cc_tb(e, f->tb);
    if (tb->state != TB_LIVE)
        return false;
    fill_jump(e, tb);
    e->at = (struct entry){.code = (void *)(uintptr_t)tb_rx(e, tb), .interp = tb->interp};
    return true;
}

/* --- stale and live ------------------------------------------------------------------------------ */

static void make_stale(struct engine *e, struct tb *tb)
{
    if (tb->state != TB_LIVE)
        return;
    tb->state = TB_STALE;
    cut_off(e, tb);
    e->stats.stale_blocks++;
}

static void stale_page(struct engine *e, uint64_t page)
{
    struct code_page *p = page_of(e, page, false);
    if (!p)
        return;
    for (uint32_t k = p->first; k != NO_TB; k = p->first) {
        struct page_node *n = (struct page_node *)e->cc->nodes.data + k;
        struct tb *tb = cc_tb(e, n->tb >> 1);
        make_stale(e, tb);
        tb->listed &= (uint8_t) ~(1u << (n->tb & 1));
        p->first = n->next;
        n->next = e->cc->node_free;
        e->cc->node_free = k;
    }
}

void cc_page_changed(struct engine *e, uint64_t page)
{
    struct engine_world *w = e->world;
    uint8_t *f = e->cfg.bus ? page_flags(e, page << GW_PAGE_SHIFT) : NULL;
    world_lock(w);
    for (unsigned i = 0; i < w->vcpus; i++)
        if (w->engine[i] && (i == 0 || w->engine[i]->interp))
            stale_page(w->engine[i], page);
    if (f)
        __atomic_fetch_and(f, (uint8_t)~GW_RAM_CODE, __ATOMIC_SEQ_CST);
    world_unlock(w);
}

static void code_changed(struct engine *e, uint64_t first, uint64_t last)
{
    if (last - first > e->cc->page_cap) { /* a huge range: walk what there is instead */
        for (uint32_t i = 0; i < e->cc->page_cap; i++)
            if (e->cc->pages[i].page - first <= last - first)
                cc_page_changed(e, e->cc->pages[i].page);
        return;
    }
    for (uint64_t page = first; page <= last; page++)
        cc_page_changed(e, page);
}

void engine_code_changed(struct engine *e, uint64_t vaddr, uint64_t size)
{
    struct engine_world *w = e->world;
    if (!size)
        return;
    world_lock(w);
    for (unsigned i = 0; i < w->vcpus; i++) /* where caches are many, pages may be in any */
        if (w->engine[i] && (i == 0 || w->engine[i]->interp))
            code_changed(w->engine[i], vaddr >> GW_PAGE_SHIFT, (vaddr + size - 1) >> GW_PAGE_SHIFT);
    world_unlock(w);
}

/* Bytes of the block as they are now; straddling ones are put together in e->straddle. */
static const uint8_t *guest_bytes(struct engine *e, const struct tb *tb, const uint8_t *host_page)
{
    return tb->paddr2 == ~UINT64_C(0) || !e->cfg.bus ? host_page + (tb->pc & GW_PAGE_MASK)
                                                     : e->straddle;
}

static bool revive(struct engine *e, uint32_t i, const uint8_t *host_page)
{
    struct tb *tb = cc_tb(e, i);
    if (hash_bytes(guest_bytes(e, tb, host_page), tb->code_bytes) != tb->hash || !page_lists(e, i))
        return false;
    tb->state = TB_LIVE;
    e->stats.revived_blocks++;
    return true;
}

/* --- finding ------------------------------------------------------------------------------------- */

/* Bytes that a block at pc needs of the next page: its first instruction straddles. */
static unsigned straddles(struct engine *e, uint64_t pc, const uint8_t *host_page)
{
    const struct guest_isa *isa = e->cfg.isa;
    unsigned left = GW_PAGE_SIZE - (unsigned)(pc & GW_PAGE_MASK), need;
    if (!e->cfg.bus || !isa->insn_bytes || left >= isa->max_insn_bytes)
        return 0;
    need = isa->insn_bytes(host_page + (pc & GW_PAGE_MASK));
    return need > left ? need - left : 0;
}

/* May all bytes of the instruction at pc, in a page that is split, be fetched? Leaves *it alone. */
static bool fetchable(struct engine *e, uint64_t pc, const struct itlb_entry *it,
                      struct gw_fault *fault)
{
    const struct guest_isa *isa = e->cfg.isa;
    const uint8_t *at = it->host + (pc & GW_PAGE_MASK);
    struct itlb_entry copy = *it;
    unsigned size = isa->insn_bytes ? isa->insn_bytes(at) : isa->insn_align;
    for (unsigned n = isa->insn_align; n < size; n += isa->insn_align)
        if ((pc & GW_PAGE_MASK) + n < GW_PAGE_SIZE && !views_fetch(e, pc + n, fault))
            return false;
    e->itlb[(pc >> GW_PAGE_SHIFT) % ITLB_SIZE] = copy;
    return true;
}

/* What is to be found: where its bytes are, and all that tells it from other blocks. */
struct wanted {
    uint64_t pc, paddr, paddr2, key;
    struct itlb_entry it;
    unsigned more; /* bytes of the next page */
    const uint8_t *next;
};

/* Where a straddling instruction goes on. False: its second page can't be fetched. If one page is
 * global and the other is not, no one generation tells of both: it is not remembered. */
static bool second_page(struct engine *e, struct wanted *q, uint32_t *limit, struct gw_fault *fault)
{
    const struct itlb_entry *next = views_fetch(e, (q->pc | GW_PAGE_MASK) + 1, fault);
    if (!next)
        return false;
    q->next = next->host;
    q->paddr2 = next->ppage << GW_PAGE_SHIFT;
    if (q->it.global != next->global)
        *limit = 1;
    return true;
}

/* Puts a straddling instruction together in e->straddle. False: it is one of another length now. */
static bool assemble(struct engine *e, const struct wanted *q)
{
    unsigned left = GW_PAGE_SIZE - (unsigned)(q->pc & GW_PAGE_MASK);
    if (!q->more)
        return true;
    memcpy(e->straddle, q->it.host + (q->pc & GW_PAGE_MASK), left);
    memcpy(e->straddle + left, q->next, q->more);
    return straddles(e, q->pc, q->it.host) == q->more;
}

static bool locate(struct engine *e, uint64_t pc, struct wanted *q, uint32_t *limit,
                   struct gw_fault *fault)
{
    const struct itlb_entry *it = views_fetch(e, pc, fault);
    if (!it)
        return false;
    if (it->split) { /* an instruction at a time, none of which is remembered */
        if (!fetchable(e, pc, it, fault))
            return false;
        *limit = 1;
    }
    q->it = *it;
    q->pc = pc;
    q->paddr2 = ~UINT64_C(0);
    q->more = straddles(e, pc, it->host);
    if (q->more && !second_page(e, q, limit, fault))
        return false;
    q->paddr = q->it.ppage << GW_PAGE_SHIFT | (pc & GW_PAGE_MASK);
    q->key = tb_key(pc, q->paddr, e->flags);
    return true;
}

static uint32_t look_up(struct engine *e, const struct wanted *q)
{
    const struct code_cache *c = e->cc;
    uint32_t mask = (1u << c->hash_bits) - 1, i;
    for (uint32_t at = (uint32_t)q->key & mask; (i = c->hash[at].tb); at = (at + 1) & mask) {
        struct tb *tb = cc_tb(e, i - 1);
        if (c->hash[at].tag == (uint32_t)(q->key >> 32) && tb->pc == q->pc &&
            tb->paddr == q->paddr && tb->flags == e->flags && tb->paddr2 == q->paddr2 &&
            (tb->state == TB_LIVE || revive(e, i - 1, q->it.host)))
            return i - 1;
    }
    return NO_TB;
}

static uint32_t make(struct engine *e, const struct wanted *q, uint32_t limit,
                     struct gw_fault *fault)
{
    uint32_t i = cc_translate(e, q->pc, &q->it, q->more, limit, fault);
    if (i == NO_TB)
        return NO_TB;
    struct tb *tb = cc_tb(e, i);
    tb->paddr = q->paddr;
    tb->paddr2 = q->paddr2;
    tb->once = limit != 0;
    tb->hash = hash_bytes(guest_bytes(e, tb, q->it.host), tb->code_bytes);
    if (!tb->once) {
        /* again, if the cache was emptied: that lets go of all pages */
        if (e->cfg.bus) {
            page_protect(e, q->paddr);
            if (q->paddr2 != ~UINT64_C(0))
                page_protect(e, q->paddr2);
        }
        if (page_lists(e, i))
            hash_add(e, q->key, i);
        else
            tb->once = true;
    }
    return i;
}

/* Under lock. */
static uint32_t find_or_make(struct engine *e, struct wanted *q, uint32_t limit,
                             struct gw_fault *fault)
{
    uint32_t i = limit ? NO_TB : look_up(e, q);
    if (i == NO_TB)
        i = make(e, q, limit, fault);
    if (i == NO_TB)
        return NO_TB;
    const struct tb *tb = cc_tb(e, i);
    e->at = (struct entry){.code = (void *)(uintptr_t)tb_rx(e, tb),
                           .interp = tb->interp,
                           .once = tb->once,
                           .global = q->it.global};
    return i;
}

uint32_t cc_find(struct engine *e, uint64_t pc, uint32_t limit, struct gw_fault *fault)
{
    struct engine_world *w = e->world;
    struct wanted q;
    uint64_t fences;
    uint32_t i = NO_TB;
    e->stats.lookups++;
    e->want = WANT_NOTHING;
    for (;;) {
        /* The walk is made without the lock, and again if a fence came into it. */
        world_lock(w);
        views_adopt(e);
        fences = w->fences;
        world_unlock(w);
        if (!locate(e, pc, &q, &limit, fault))
            return NO_TB;
        world_lock(w);
        if (fences == w->fences) {
            if (!limit && (!page_ready(e, q.paddr) || !page_ready(e, q.paddr2))) {
                e->want = WANT_STOPPED;
                break;
            }
            if (assemble(e, &q)) {
                i = find_or_make(e, &q, limit, fault);
                break;
            }
        }
        world_unlock(w);
        views_forget_fetches(e);
    }
    world_unlock(w);
    return i;
}

void cc_drop_last(struct engine *e, uint32_t i)
{
    struct code_cache *c = e->cc;
    if (i + 1 != c->tbs.count || !cc_tb(e, i)->once)
        return;
    const struct tb *tb = cc_tb(e, i);
    c->guests.count = tb->guest_first;
    if (tb->interp) {
        c->interp_used = tb->interp_at;
    } else {
        c->rows.count = tb->row_first;
        c->links.count = tb->link_first;
        c->mem.used = tb->code;
    }
    c->tbs.count = i;
}

uint32_t cc_by_host(struct engine *e, uint64_t host)
{
    uint64_t off = host - e->cc->mem.rx;
    uint32_t lo = 0, hi = e->cc->tbs.count;
    if (off >= e->cc->mem.used)
        return NO_TB;
    while (lo < hi) { /* the last block that starts at or before off */
        uint32_t mid = lo + (hi - lo) / 2;
        if (cc_tb(e, mid)->code <= off)
            lo = mid + 1;
        else
            hi = mid;
    }
    if (!lo || off - cc_tb(e, lo - 1)->code > cc_tb(e, lo - 1)->size)
        return NO_TB;
    return lo - 1;
}

const struct gw_row *cc_row(struct engine *e, const struct tb *tb, uint64_t host,
                            enum gw_row_kind kind)
{
    const struct gw_row *row = (const struct gw_row *)e->cc->rows.data + tb->row_first;
    uint32_t off = (uint32_t)(host - tb_rx(e, tb));
    for (uint32_t k = 0; k < tb->row_count; k++)
        if (row[k].host_offset == off && row[k].kind == kind)
            return &row[k];
    return NULL;
}

uint64_t cc_guest_pc(struct engine *e, const struct tb *tb, unsigned guest)
{
    const int32_t *off = (const int32_t *)e->cc->guests.data + tb->guest_first;
    return tb->pc + (uint64_t)(int64_t)off[guest];
}

void cc_flush(struct engine *e)
{
    struct code_cache *c = e->cc;
    struct engine_world *w = e->world;
    bool only = !e->interp || !w->shared; /* else the page may have blocks in other caches */
    for (uint32_t i = 0; i < c->page_cap; i++) {
        if (c->pages[i].page != ~UINT64_C(0) && e->cfg.bus && only) {
            uint8_t *f = page_flags(e, c->pages[i].page << GW_PAGE_SHIFT);
            if (f)
                __atomic_fetch_and(f, (uint8_t)~GW_RAM_CODE, __ATOMIC_SEQ_CST);
        }
        c->pages[i].page = ~UINT64_C(0);
    }
    c->page_count = 0;
    c->tbs.count = c->links.count = c->rows.count = c->guests.count = c->nodes.count = 0;
    c->node_free = NO_TB;
    memset(c->hash, 0, sizeof *c->hash << c->hash_bits);
    c->hash_count = 0;
    c->mem.used = c->runtime_size;
    c->interp_used = 0;
    c->flushes++;
    for (unsigned i = 0; i < w->vcpus; i++)
        if (w->engine[i] && w->engine[i]->cc == c)
            views_clear_jumps(w->engine[i]);
    e->stats.code_flushes++;
}
