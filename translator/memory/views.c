/* Views and their flushes: see views.h. */
#include "translator/memory/views.h"

#include "translator/code/fetch.h"
#include "translator/code/jumps.h"
#include "translator/code/spaces.h"
#include "translator/memory/page_map.h"
#include "translator/world.h"

/* By what a view is about, often one's own. */
static struct view_hint *hint_of(struct engine *e)
{
    const struct gw_view *v = &e->view;
    uint64_t h = (v->data_key * 31 + v->fetch_key) * 31 + e->flags + v->data_class;
    return &e->views->hint[h * UINT64_C(0x9e3779b97f4a7c15) >> (64 - HINT_BITS)];
}

/* Where the state of now is kept, if it is; key: its name. */
static struct view_context *context_of(struct engine *e, uint64_t key[2])
{
    e->cfg.isa->context(e->cfg.cpu, key);
    uint64_t h = (key[0] * 31 + key[1]) * UINT64_C(0x9e3779b97f4a7c15);
    return &e->views->context[h >> (64 - CONTEXT_BITS)];
}

static bool knows_contexts(const struct engine *e)
{
    return e->cfg.bus && e->cfg.backend && e->cfg.isa->context;
}

/* Its parts are the current ones, and were all looked at since there were so many changes. */
static void settle(struct engine *e, struct view_context *c, uint64_t changes)
{
    c->moves = maps_choice(e, &c->chosen) ? e->moves : 0; /* it has moved before */
    c->changes = changes;
    c->cache = e->jumps->current;
    c->gen = e->run->gen_space;
}

static void remember(struct engine *e, const struct view_hint *hint, uint64_t changes)
{
    uint64_t key[2];
    struct view_context *c = context_of(e, key);
    *c = (struct view_context){.key = {key[0], key[1]},
                               .view = e->view,
                               .takes = e->jumps->takes,
                               .flags = e->flags,
                               .fp_control = e->run->fp_control_quiet,
                               .map = hint->map,
                               .space = (uint8_t)e->adopted->current,
                               .jumps = hint->jumps,
                               .fp = e->fp != 0,
                               .anywhere = e->anywhere,
                               .valid = true};
    settle(e, c, changes);
}

/* Becomes current what the context has, of which something may be another's by now. */
static __attribute__((noinline)) bool choose_anew(struct engine *e, struct view_context *c)
{
    uint64_t changes = spaces_changes(e); /* before the look at them */
    if (c->takes != e->jumps->takes || !spaces_return(e, c->space, &c->view) ||
        !jumps_return(e, c->jumps) || !maps_go_on(e, c->map, &c->view))
        return false;
    settle(e, c, changes);
    return true;
}

static inline bool choose(struct engine *e, struct view_context *c)
{
    if (c->moves != e->moves || !spaces_stay(e, c->space, c->changes))
        return choose_anew(e, c);
    e->run->gen_space = c->gen;
    jumps_choose(e, c->cache);
    maps_choose(e, &c->chosen);
    return true;
}

/* What is left half done, where a part is another's by now, views_refresh() does again. */
bool views_return(struct engine *e)
{
    struct gw_vcpu *run = e->run;
    uint64_t key[2];
    if (!knows_contexts(e))
        return false;
    struct view_context *c = context_of(e, key);
    if (c->key[0] != key[0] || c->key[1] != key[1] || !c->valid || !choose(e, c))
        return false;
    run->view_dirty = 0;
    e->stats.refreshes++;
    e->view = c->view;
    e->flags = c->flags;
    e->anywhere = c->anywhere;
    e->fp = run->fp_on = c->fp;
    run->fp_control = run->fp_control_quiet = c->fp_control;
    return true;
}

/* Others go through this vCPU's jump caches, under the lock. */
static void refresh_program(struct engine *e)
{
    uint8_t *hint = &hint_of(e)->jumps;
    if (jumps_go_on(e, 0, hint))
        return;
    world_lock(e->world);
    jumps_select(e, 0, hint);
    world_unlock(e->world);
}

void views_refresh(struct engine *e)
{
    const struct guest_isa *isa = e->cfg.isa;
    struct gw_vcpu *run = e->run;
    if (views_return(e))
        return;
    uint64_t changes = spaces_changes(e);
    run->view_dirty = 0;
    e->stats.refreshes++;
    e->flags = isa->tb_flags(e->cfg.cpu);
    e->anywhere = e->cfg.bus && e->cfg.backend && !e->cfg.fixed_code && isa->anywhere &&
                  isa->anywhere(e->flags);
    unsigned round = isa->fp_round(e->flags);
    unsigned model = isa->fp_model ? isa->fp_model(e->flags) : IR_FPM_RISCV;
    e->fp = run->fp_on = round != IR_FP_OFF;
    if (e->cfg.backend)
        run->fp_control = run->fp_control_quiet = e->cfg.backend->fp_control(round, model);
    if (!e->cfg.bus) {
        refresh_program(e);
        return;
    }
    isa->view(e->cfg.cpu, &e->view);
    e->view.kernel = spaces_join_global(e) && e->view.kernel;
    struct view_hint *hint = hint_of(e);
    maps_select(e, &hint->map);
    if (!spaces_go_on(e, &hint->space)) {
        world_lock(e->world);
        spaces_select(e, &hint->space);
        world_unlock(e->world);
    }
    spaces_ask_again(e);
    spaces_adopt(e);
    uint64_t jumps = jumps_key(e, hint->jumps);
    if (!jumps_go_on(e, jumps, &hint->jumps)) {
        world_lock(e->world);
        jumps_select(e, jumps, &hint->jumps);
        world_unlock(e->world);
    }
    if (knows_contexts(e))
        remember(e, hint, changes);
}

void views_data(void *cpu, uint64_t bits)
{
    struct engine *e = gw_run(cpu)->engine;
    uint32_t before = maps_current(e);
    bool kernel = e->view.kernel; /* what is fetched stays */
    e->cfg.isa->view(cpu, &e->view);
    e->view.kernel = kernel;
    maps_select(e, &hint_of(e)->map);
    maps_pair(e, before, bits);
}

static void flush_later(struct engine *e, const struct late_flush *f)
{
    struct views *v = e->views;
    if (v->late_count < LATE_FLUSHES)
        v->late[v->late_count++] = *f;
    else
        world_request(e, REQUEST_FLUSH);
}

void views_catch_up(struct engine *e)
{
    struct views *v = e->views;
    uint32_t n = v->late_count;
    v->late_count = 0;
    if (world_asked(e, REQUEST_FLUSH)) {
        views_flush(e->cfg.cpu, 0, 1, 0, 1);
        return;
    }
    for (uint32_t i = 0; i < n; i++) {
        const struct late_flush *f = &v->late[i];
        views_flush(e->cfg.cpu, f->vaddr, f->vaddr_all, f->asid, f->asid_all);
    }
}

bool views_flush(void *cpu, uint64_t vaddr, int vaddr_all, uint64_t asid, int asid_all)
{
    struct engine *e = gw_run(cpu)->engine;
    uint64_t vpage = vaddr >> GW_PAGE_SHIFT;
    if (e->world->shared && !__atomic_load_n(&e->inside, __ATOMIC_RELAXED)) {
        flush_later(e, &(struct late_flush){vaddr, asid, vaddr_all, asid_all});
        return true;
    }
    if (vaddr_all && vaddr_all != GW_FLUSH_TABLES) /* contexts do not name what that is about */
        for (unsigned i = 0; i < 1u << CONTEXT_BITS; i++)
            e->views->context[i].valid = false;
    /* The guest's tables are as it wrote them, and the walks from now on see what it has seen. */
    if (e->world->shared)
        __atomic_thread_fence(__ATOMIC_SEQ_CST);
    if (vaddr_all)
        maps_flush(e, asid, asid_all);
    else
        maps_flush_page(e->maps, vaddr, asid, asid_all);
    fetch_flush(e->fetches, vpage, vaddr_all, asid_all);
    return spaces_fence(e, vpage,
                        !vaddr_all                     ? FENCE_OF_PAGE
                        : vaddr_all == GW_FLUSH_TABLES ? FENCE_OF_TABLES
                                                       : FENCE_OF_ALL,
                        asid, asid_all);
}
