/*
 * Address spaces as the engine sees them: which maps and jump caches are current, where code is
 * fetched, and what a flush reaches.
 *
 * Generations. gen_global and each space's gen are compared by links that leave their page: a link
 * made under one generation is followed under that generation only. A flush that may concern a page
 * from which code ran moves the generation; world.executed says whether it may.
 *
 * Spaces and generations are the world's, and under its lock. What a vCPU runs under (run.gen_*) is
 * its own copy. It takes a newer one only together with dropping its fetch translations and jump
 * caches of the space, and makes links only while its copy is the latest; so a link's guard names a
 * generation that began before the walk that the link rests on.
 */
#include <stdlib.h>

#include "translator/engine_int.h"

#define GLOBAL_KEY (~UINT64_C(0))

/* Mappings larger than a page are remembered as one, by their size and number. */
static uint64_t large_page(uint64_t vpage, unsigned shift)
{
    return vpage >> (shift - GW_PAGE_SHIFT) | (uint64_t)shift << 56;
}

/* The spaces in which code ran from the page, or from a larger mapping with it. */
static uint64_t executed_in(const struct engine_world *w, uint64_t vpage)
{
    uint64_t spaces = executed_by(&w->executed, vpage);
    for (uint64_t left = w->large_shifts; left; left &= left - 1)
        spaces |= executed_by(&w->executed, large_page(vpage, (unsigned)__builtin_ctzll(left)));
    return spaces;
}

static void forget_executed(struct engine_world *w, uint64_t vpage, uint64_t spaces)
{
    executed_drop(&w->executed, vpage, spaces);
    for (uint64_t left = w->large_shifts; left; left &= left - 1)
        executed_drop(&w->executed, large_page(vpage, (unsigned)__builtin_ctzll(left)), spaces);
}

/* Far jumps go by its new number. */
static void clear_jumps(struct engine *e, struct jump_cache *j)
{
    if (!++e->jump_ids) { /* they have been used up: numbers of old mean nothing any more */
        memset(e->far_jumps, 0, sizeof *e->far_jumps << FAR_JUMP_BITS);
        e->jump_ids = 1;
    }
    j->id = e->jump_ids;
    for (uint32_t i = 0; j->filled && i < 1u << GW_JC_BITS; i++)
        __atomic_store_n(&j->entry[i].pc, GLOBAL_KEY, __ATOMIC_RELAXED); /* no aligned pc */
    j->filled = false;
}

void views_clear_jumps(struct engine *e)
{
    for (uint32_t i = 0; i < JC_POOL; i++)
        if (e->jc[i].valid)
            clear_jumps(e, &e->jc[i]);
}

void views_drop_jump(struct engine *e, uint64_t pc, const void *code)
{
    for (uint32_t i = 0; i < JC_POOL; i++) {
        struct jump_cache *j = &e->jc[i];
        struct gw_jump_entry *je = j->valid ? &j->entry[interp_jump_index(pc)] : NULL;
        if (je && je->code == code)
            __atomic_store_n(&je->pc, GLOBAL_KEY, __ATOMIC_RELEASE);
    }
}

static bool jumps_of(const struct engine *e, const struct jump_cache *j, uint64_t key)
{
    return j->valid && j->key == key && j->flags == e->flags;
}

static uint8_t find_jumps(struct engine *e, uint64_t key)
{
    uint32_t oldest = 0;
    for (uint32_t i = 0; i < JC_POOL; i++) {
        if (jumps_of(e, &e->jc[i], key))
            return (uint8_t)i;
        if (e->jc[i].used < e->jc[oldest].used)
            oldest = i;
    }
    struct jump_cache *j = &e->jc[oldest];
    if (!j->entry) {
        if (!(j->entry = aligned_alloc(64, sizeof *j->entry << GW_JC_BITS)))
            abort();      /* 64 KiB: the host is out of memory */
        j->filled = true; /* with anything */
    }
    clear_jumps(e, j);
    j->key = key;
    j->flags = e->flags;
    j->valid = true;
    return (uint8_t)oldest;
}

static void select_jumps(struct engine *e, uint64_t key, uint8_t *hint)
{
    uint32_t gen = key == GLOBAL_KEY ? e->run->gen_global : e->run->gen_space;
    if (!jumps_of(e, &e->jc[*hint], key))
        *hint = find_jumps(e, key);
    struct jump_cache *j = &e->jc[*hint];
    if (j->gen != gen)
        clear_jumps(e, j);
    j->gen = gen;
    j->used = ++e->tick;
    e->jumps = j;
    e->run->jump_cache = j->entry;
}

/* A vCPU may run in it without having looked here for long. */
static bool space_in_use(const struct engine_world *w, uint32_t i)
{
    for (unsigned v = 0; v < w->vcpus; v++)
        if (w->engine[v] && w->engine[v]->cur_space == i)
            return true;
    return false;
}

static uint32_t take_space(struct engine *e, uint64_t key, uint64_t asid)
{
    struct engine_world *w = e->world;
    uint32_t oldest = NO_TB;
    for (uint32_t i = 0; i < SPACE_POOL; i++) {
        const struct space *s = &w->space[i];
        if ((oldest == NO_TB || s->used < w->space[oldest].used) && !space_in_use(w, i))
            oldest = i;
    }
    /* Should the space that had the place come back, its generation is a new one, and what was fetched
     * in it is dropped. */
    executed_drop_all(&w->executed, UINT64_C(1) << oldest);
    w->space[oldest] = (struct space){
        .key = key, .asid = asid, .valid = true, .used = ++w->tick, .gen = ++w->gen_counter};
    return oldest;
}

static bool space_has(const struct engine_world *w, uint32_t i, uint64_t key)
{
    return w->space[i].valid && w->space[i].key == key;
}

static void select_space(struct engine *e, uint64_t key, uint64_t asid, uint8_t *hint)
{
    struct engine_world *w = e->world;
    if (space_has(w, e->cur_space, key))
        return;
    if (!space_has(w, *hint, key)) {
        uint32_t i = 0;
        while (i < SPACE_POOL && !space_has(w, i, key))
            i++;
        *hint = (uint8_t)(i < SPACE_POOL ? i : take_space(e, key, asid));
    }
    e->cur_space = *hint;
    w->space[*hint].used = ++w->tick;
}

/* By what a view is about, often one's own. */
static struct view_hint *hint_of(struct engine *e)
{
    const struct gw_view *v = &e->view;
    uint64_t h = (v->data_key * 31 + v->fetch_key) * 31 + e->flags + v->data_class;
    return &e->hint[h * UINT64_C(0x9e3779b97f4a7c15) >> (64 - HINT_BITS)];
}

void views_refresh(struct engine *e)
{
    const struct guest_isa *isa = e->cfg.isa;
    struct gw_vcpu *run = e->run;
    run->view_dirty = 0;
    e->stats.refreshes++;
    e->flags = isa->tb_flags(e->cfg.cpu);
    unsigned round = isa->fp_round(e->flags);
    unsigned model = isa->fp_model ? isa->fp_model(e->flags) : IR_FPM_RISCV;
    e->fp = round != IR_FP_OFF;
    if (e->cfg.backend)
        run->fp_control = run->fp_control_quiet = e->cfg.backend->fp_control(round, model);
    if (!e->cfg.bus) {
        select_jumps(e, 0, &hint_of(e)->jumps);
        return;
    }
    isa->view(e->cfg.cpu, &e->view);
    struct view_hint *hint = hint_of(e);
    maps_select(e, &hint->map);
    world_lock(e->world);
    select_space(e, e->view.fetch_key, e->view.asid, &hint->space);
    views_adopt(e);
    select_jumps(e, e->view.kernel ? GLOBAL_KEY : e->view.fetch_key, &hint->jumps);
    world_unlock(e->world);
}

/* --- flushes ------------------------------------------------------------------------------------- */

static void flush_jumps_of(struct engine *e, uint64_t key, uint32_t gen)
{
    for (uint32_t i = 0; i < JC_POOL; i++)
        if (e->jc[i].valid && e->jc[i].key == key) {
            clear_jumps(e, &e->jc[i]);
            e->jc[i].gen = gen;
        }
}

void views_forget_fetches(struct engine *e)
{
    for (uint32_t i = 0; i < ITLB_SIZE; i++)
        e->itlb[i].vpage = NO_PAGE;
    span_clear(&e->itlb_large);
}

static void flush_itlb(struct engine *e, uint64_t vpage, bool all, bool global_too)
{
    if (all && !global_too) {
        for (uint32_t i = 0; i < ITLB_SIZE; i++)
            if (!e->itlb[i].global)
                e->itlb[i].vpage = NO_PAGE;
    } else if (all || span_has(&e->itlb_large, vpage)) {
        views_forget_fetches(e);
    } else {
        e->itlb[vpage % ITLB_SIZE].vpage = NO_PAGE;
    }
}

/* Takes the latest generations. Where they have moved without this vCPU, what it knows is from
 * before; what others' fences are to it is between them and it. */
void views_adopt(struct engine *e)
{
    struct engine_world *w = e->world;
    struct gw_vcpu *run = e->run;
    struct space *s = &w->space[e->cur_space];
    if (!e->cfg.bus)
        return;
    if (run->gen_global != w->gen_global || e->seen[e->cur_space] != s->gen)
        views_forget_fetches(e); /* this vCPU's own fences have done so, by the page */
    if (run->gen_global != w->gen_global)
        flush_jumps_of(e, GLOBAL_KEY, w->gen_global);
    if (e->seen[e->cur_space] != s->gen)
        flush_jumps_of(e, s->key, s->gen);
    run->gen_global = w->gen_global;
    run->gen_space = e->seen[e->cur_space] = s->gen;
}

/* What this vCPU fetched from there is dropped already; so if it knew the latest generation, it may go
 * on to the next at once. */
static void move_space(struct engine *e, uint32_t i)
{
    struct engine_world *w = e->world;
    struct space *s = &w->space[i];
    bool knew = e->seen[i] == s->gen;
    s->gen = ++w->gen_counter;
    if (!knew)
        return;
    e->seen[i] = s->gen;
    flush_jumps_of(e, s->key, s->gen);
    if (i == e->cur_space)
        e->run->gen_space = s->gen;
}

static void move_global(struct engine *e)
{
    struct engine_world *w = e->world;
    w->gen_global = ++w->gen_counter;
    e->run->gen_global = w->gen_global; /* it was the latest */
    flush_jumps_of(e, GLOBAL_KEY, w->gen_global);
}

/* The spaces that a fence is about; global pages survive that of one ASID. Spaces also hold some
 * (user-mode global pages), and dropping those is allowed. */
static uint64_t spaces_of(const struct engine_world *w, uint64_t asid, int asid_all)
{
    uint64_t spaces = asid_all ? UINT64_C(1) << GLOBAL_PAGES : 0;
    for (uint32_t i = 0; i < SPACE_POOL; i++)
        if (w->space[i].valid && (asid_all || w->space[i].asid == asid))
            spaces |= UINT64_C(1) << i;
    return spaces;
}

/* A fence: the generation moves where code ran from the page (all pages: all). Other pages of that
 * space stay known as executed, since what was fetched from them stays too. */
static void fence(struct engine *e, uint64_t vpage, bool all, uint64_t spaces)
{
    struct engine_world *w = e->world;
    if (!all) {
        spaces &= executed_in(w, vpage);
        forget_executed(w, vpage, spaces);
    } else {
        spaces = executed_drop_all(&w->executed, spaces);
    }
    for (; spaces; spaces &= spaces - 1) {
        uint32_t i = (uint32_t)__builtin_ctzll(spaces);
        if (i == GLOBAL_PAGES)
            move_global(e);
        else
            move_space(e, i);
    }
}

/* Outside, another vCPU may be at this one's maps. */
static void flush_later(struct engine *e, const struct late_flush *f)
{
    if (e->late_count < LATE_FLUSHES)
        e->late[e->late_count++] = *f;
    else
        world_request(e, REQUEST_FLUSH);
}

void views_catch_up(struct engine *e)
{
    uint32_t n = e->late_count;
    e->late_count = 0;
    if (__atomic_load_n(&e->requests, __ATOMIC_RELAXED) &&
        __atomic_exchange_n(&e->requests, 0, __ATOMIC_SEQ_CST)) {
        views_flush(e->cfg.cpu, 0, 1, 0, 1);
        return;
    }
    for (uint32_t i = 0; i < n; i++) {
        const struct late_flush *f = &e->late[i];
        views_flush(e->cfg.cpu, f->vaddr, f->vaddr_all, f->asid, f->asid_all);
    }
}

void views_flush(void *cpu, uint64_t vaddr, int vaddr_all, uint64_t asid, int asid_all)
{
    struct engine *e = gw_run(cpu)->engine;
    struct engine_world *w = e->world;
    uint64_t vpage = vaddr >> GW_PAGE_SHIFT;
    if (w->shared && !__atomic_load_n(&e->inside, __ATOMIC_RELAXED)) {
        flush_later(e, &(struct late_flush){vaddr, asid, vaddr_all, asid_all});
        return;
    }
    if (vaddr_all)
        maps_flush(e, asid, asid_all);
    else
        maps_flush_page(e, vaddr, asid, asid_all);
    flush_itlb(e, vpage, vaddr_all, asid_all);
    world_lock(w);
    views_adopt(e);
    w->fences++;
    if (w->executed.full) { /* everything goes once, and it starts anew */
        views_forget_fetches(e);
        fence(e, 0, true, spaces_of(w, 0, 1));
        executed_clear(&w->executed);
    } else {
        fence(e, vpage, vaddr_all, spaces_of(w, asid, asid_all));
    }
    world_unlock(w);
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

/* Code runs from the page: a flush of it must be noticed. */
static void remember(struct engine *e, uint64_t vpage, unsigned shift, bool global)
{
    struct engine_world *w = e->world;
    world_lock(w);
    unsigned space = global ? GLOBAL_PAGES : e->cur_space;
    if (shift <= GW_PAGE_SHIFT) {
        executed_add(&w->executed, vpage, space);
    } else {
        executed_add(&w->executed, large_page(vpage, shift), space);
        w->large_shifts |= UINT64_C(1) << shift;
        span_add(&e->itlb_large, vpage, shift);
    }
    world_unlock(w);
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
    it->vpage = x.whole_page ? vpage : NO_PAGE;
    it->key = e->view.fetch_key;
    it->ppage = x.paddr >> GW_PAGE_SHIFT;
    it->host = gw_ram_host(ram, x.paddr & ~(uint64_t)GW_PAGE_MASK);
    it->global = x.global && x.whole_page;
    it->split = !x.whole_page;
    remember(e, vpage, x.shift, it->global);
    return it;
}
