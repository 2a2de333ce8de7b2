/*
 * Address spaces as the engine sees them: which maps and jump caches are current, where code is
 * fetched, and what a flush reaches.
 *
 * Generations. gen_global and each space's gen are compared by links that leave their page: a link
 * made under one generation is followed under that generation only. A flush that may concern a page
 * from which code ran moves the generation; the Bloom filters say whether it may.
 */
#include <stdlib.h>

#include "engine_int.h"

#define GLOBAL_KEY (~UINT64_C(0))

static void bloom_add(uint64_t *bits, uint64_t vpage)
{
    uint64_t h = vpage * UINT64_C(0x9e3779b97f4a7c15);
    bits[h >> 58] |= UINT64_C(1) << (h >> 52 & 63);
}

static bool bloom_has(const uint64_t *bits, uint64_t vpage)
{
    uint64_t h = vpage * UINT64_C(0x9e3779b97f4a7c15);
    return bits[h >> 58] >> (h >> 52 & 63) & 1;
}

/* Mappings larger than a page enter the filters as one, by their size and number. */
static uint64_t large_page(uint64_t vpage, unsigned shift)
{
    return vpage >> (shift - GW_PAGE_SHIFT) | (uint64_t)shift << 56;
}

/* Did code run from the page, or from a larger mapping with it? */
static bool executed(const uint64_t *bits, uint64_t vpage, const struct engine *e)
{
    if (bloom_has(bits, vpage))
        return true;
    for (uint64_t left = e->large_shifts; left; left &= left - 1)
        if (bloom_has(bits, large_page(vpage, (unsigned)__builtin_ctzll(left))))
            return true;
    return false;
}

void views_executed(struct engine *e, uint64_t vaddr)
{
    bloom_add(e->space[e->cur_space].executed, vaddr >> GW_PAGE_SHIFT);
}

static void clear_jumps(struct jump_cache *j)
{
    if (j->entry)
        for (uint32_t i = 0; i < 1u << GW_JC_BITS; i++)
            j->entry[i].pc = GLOBAL_KEY; /* never an aligned pc */
}

void views_clear_jumps(struct engine *e)
{
    for (uint32_t i = 0; i < JC_POOL; i++)
        if (e->jc[i].valid)
            clear_jumps(&e->jc[i]);
}

void views_drop_jump(struct engine *e, uint64_t pc, const void *code)
{
    for (uint32_t i = 0; i < JC_POOL; i++) {
        struct jump_cache *j = &e->jc[i];
        if (j->valid && j->entry[interp_jump_index(pc)].code == code)
            j->entry[interp_jump_index(pc)].pc = GLOBAL_KEY;
    }
}

static void select_jumps(struct engine *e, uint64_t key)
{
    uint32_t oldest = 0;
    for (uint32_t i = 0; i < JC_POOL; i++) {
        struct jump_cache *j = &e->jc[i];
        if (j->valid && j->key == key && j->flags == e->flags) {
            j->used = ++e->tick;
            e->run->jump_cache = j->entry;
            return;
        }
        if (j->used < e->jc[oldest].used)
            oldest = i;
    }
    struct jump_cache *j = &e->jc[oldest];
    if (!j->entry && !(j->entry = aligned_alloc(64, sizeof *j->entry << GW_JC_BITS)))
        abort(); /* 64 KiB: the host is out of memory */
    clear_jumps(j);
    j->key = key;
    j->flags = e->flags;
    j->valid = true;
    j->used = ++e->tick;
    e->run->jump_cache = j->entry;
}

static struct space *select_space(struct engine *e, uint64_t key, uint64_t asid)
{
    struct space *s = &e->space[e->cur_space];
    if (s->valid && s->key == key)
        return s;
    uint32_t oldest = 0;
    for (uint32_t i = 0; i < SPACE_POOL; i++) {
        s = &e->space[i];
        if (s->valid && s->key == key) {
            e->cur_space = i;
            s->used = ++e->tick;
            return s;
        }
        if (s->used < e->space[oldest].used)
            oldest = i;
    }
    s = &e->space[oldest];
    memset(s->executed, 0, sizeof s->executed);
    *s = (struct space){
        .key = key, .asid = asid, .valid = true, .used = ++e->tick, .gen = ++e->gen_counter};
    e->cur_space = oldest;
    return s;
}

void views_refresh(struct engine *e)
{
    const struct guest_isa *isa = e->cfg.isa;
    struct gw_vcpu *run = e->run;
    run->view_dirty = 0;
    e->stats.refreshes++;
    e->flags = isa->tb_flags(e->cfg.cpu);
    unsigned round = isa->fp_round(e->flags);
    e->fp = round != IR_FP_OFF;
    if (e->cfg.backend)
        run->mxcsr = run->mxcsr_masked = e->cfg.backend->fp_control(round);
    if (!e->cfg.bus) {
        select_jumps(e, 0);
        return;
    }
    isa->view(e->cfg.cpu, &e->view);
    maps_select(e);
    run->gen_space = select_space(e, e->view.fetch_key, e->view.asid)->gen;
    select_jumps(e, e->view.kernel ? GLOBAL_KEY : e->view.fetch_key);
}

/* --- flushes ------------------------------------------------------------------------------------- */

static void flush_jumps_of(struct engine *e, uint64_t key)
{
    for (uint32_t i = 0; i < JC_POOL; i++)
        if (e->jc[i].valid && e->jc[i].key == key)
            clear_jumps(&e->jc[i]);
}

static void flush_global_code(struct engine *e)
{
    memset(e->global_executed, 0, sizeof e->global_executed);
    e->run->gen_global = ++e->gen_counter;
    flush_jumps_of(e, GLOBAL_KEY);
}

static void flush_space_code(struct engine *e, struct space *s)
{
    memset(s->executed, 0, sizeof s->executed);
    s->gen = ++e->gen_counter;
    flush_jumps_of(e, s->key);
    if (s == &e->space[e->cur_space])
        e->run->gen_space = s->gen;
}

static void flush_itlb(struct engine *e, uint64_t vpage, bool all)
{
    if (!all && !span_has(&e->itlb_large, vpage)) {
        e->itlb[vpage % ITLB_SIZE].vpage = GLOBAL_KEY;
        return;
    }
    for (uint32_t i = 0; i < ITLB_SIZE; i++)
        e->itlb[i].vpage = GLOBAL_KEY;
    span_clear(&e->itlb_large);
}

void views_flush(void *cpu, uint64_t vaddr, int vaddr_all, uint64_t asid, int asid_all)
{
    struct engine *e = gw_run(cpu)->engine;
    uint64_t vpage = vaddr >> GW_PAGE_SHIFT;
    if (vaddr_all)
        maps_flush(e, asid, asid_all);
    else
        maps_flush_page(e, vaddr, asid, asid_all);
    flush_itlb(e, vpage, vaddr_all);
    /* Global pages survive a flush of one ASID; spaces also hold them (user-mode global pages), and
     * dropping those is allowed. */
    if (asid_all && (vaddr_all || executed(e->global_executed, vpage, e)))
        flush_global_code(e);
    for (uint32_t i = 0; i < SPACE_POOL; i++) {
        struct space *s = &e->space[i];
        if (s->valid && (asid_all || s->asid == asid) &&
            (vaddr_all || executed(s->executed, vpage, e)))
            flush_space_code(e, s);
    }
}

/* --- fetching ------------------------------------------------------------------------------------ */

static const struct itlb_entry *fetch_user(struct engine *e, uint64_t vaddr, struct gw_fault *fault)
{
    uint64_t vpage = vaddr >> GW_PAGE_SHIFT;
    struct itlb_entry *it = &e->itlb[vpage % ITLB_SIZE];
    if (e->cfg.fetch_ok && !e->cfg.fetch_ok(e->cfg.fetch_opaque, vaddr, 2)) {
        *fault = (struct gw_fault){.vaddr = vaddr, .access = GW_ACCESS_FETCH};
        return NULL;
    }
    it->vpage = it->ppage = vpage;
    it->host = (uint8_t *)(uintptr_t)(e->cfg.guest_base + (vpage << GW_PAGE_SHIFT));
    return it;
}

const struct itlb_entry *views_fetch(struct engine *e, uint64_t vaddr, struct gw_fault *fault)
{
    uint64_t vpage = vaddr >> GW_PAGE_SHIFT;
    struct itlb_entry *it = &e->itlb[vpage % ITLB_SIZE];
    struct gw_xlate x;
    if (!e->cfg.bus)
        return fetch_user(e, vaddr, fault);
    if (it->vpage == vpage && it->key == e->view.fetch_key)
        return it;
    if (!e->cfg.isa->translate(e->cfg.cpu, vaddr, 2, GW_ACCESS_FETCH, &x, fault))
        return NULL;
    const struct gw_ram *ram =
        gw_bus_ram(e->cfg.bus, x.paddr & ~(uint64_t)GW_PAGE_MASK, GW_PAGE_SIZE);
    const struct gw_rom *rom =
        ram ? NULL : gw_bus_rom(e->cfg.bus, x.paddr & ~(uint64_t)GW_PAGE_MASK, GW_PAGE_SIZE);
    if (rom && !rom->hidden)
        ram = &rom->mem;
    if (!ram) { /* code runs from memory only */
        e->cfg.isa->bus_fault(e->cfg.cpu, vaddr, GW_ACCESS_FETCH, fault);
        return NULL;
    }
    /* An entry for a page that PMP splits is good for this fetch only. */
    it->vpage = x.whole_page ? vpage : GLOBAL_KEY;
    it->key = e->view.fetch_key;
    it->ppage = x.paddr >> GW_PAGE_SHIFT;
    it->host = gw_ram_host(ram, x.paddr & ~(uint64_t)GW_PAGE_MASK);
    it->global = x.global && x.whole_page;
    it->split = !x.whole_page;
    uint64_t *bits = it->global ? e->global_executed : e->space[e->cur_space].executed;
    bloom_add(bits, vpage);
    if (x.shift > GW_PAGE_SHIFT) {
        bloom_add(bits, large_page(vpage, x.shift));
        e->large_shifts |= UINT64_C(1) << x.shift;
        span_add(&e->itlb_large, vpage, x.shift);
    }
    return it;
}
