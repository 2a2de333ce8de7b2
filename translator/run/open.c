/* Makes engines and worlds, and ends them: puts their parts together. */
#include <stdlib.h>

#include "translator/code/breaks.h"
#include "translator/code/cache.h"
#include "translator/code/fetch.h"
#include "translator/code/jumps.h"
#include "translator/code/position.h"
#include "translator/code/spaces.h"
#include "translator/code/translate.h"
#include "translator/memory/devices.h"
#include "translator/memory/dirty.h"
#include "translator/memory/page_map.h"
#include "translator/memory/reserve.h"
#include "translator/memory/slow_path.h"
#include "translator/memory/views.h"
#include "translator/run/eval.h"
#include "translator/run/fp_trap.h"
#include "translator/run/host_fault.h"
#include "translator/run/guarded.h"
#include "translator/run/progress.h"
#include "translator/world.h"

/* ---- worlds --------------------------------------------------------------------------------- */

struct whole_world {
    struct engine_world w;
    struct code_cache cc;
    struct spaces spaces;
    struct breaks breaks;
    struct reservations reservations;
    struct dirty_log dirty;
};

enum gw_status engine_world_new(struct engine_world **out, unsigned vcpus, struct gw_error *err)
{
    *out = NULL;
    if (vcpus < 1 || vcpus > ENGINE_MAX_VCPUS)
        return gw_fail(err, GW_ERR_ARG, NULL, "a machine has 1 to %d vCPUs", ENGINE_MAX_VCPUS);
    struct whole_world *all = calloc(1, sizeof *all);
    if (!all)
        return gw_fail(err, GW_ERR_NOMEM, NULL, "out of memory");
    struct engine_world *w = &all->w;
    w->vcpus = vcpus;
    w->cc = &all->cc;
    w->spaces = &all->spaces;
    w->breaks = &all->breaks;
    w->reservations = &all->reservations;
    w->dirty = &all->dirty;
    world_init(w);
    spaces_open(w->spaces);
    reservations_open(w->reservations);
    *out = w;
    return GW_OK;
}

void engine_world_free(struct engine_world *w)
{
    if (!w)
        return;
    cc_close(w->cc);
    spaces_close(w->spaces);
    breaks_close(w->breaks);
    reservations_close(w->reservations);
    dirty_close(w->dirty);
    world_destroy(w);
    free(w);
}

/* ---- engines -------------------------------------------------------------------------------- */

struct whole_engine {
    struct engine e;
    struct code_cache cc; /* of an interpreter */
    struct adopted adopted;
    struct fetches fetches;
    struct jumps jumps;
    struct positions positions;
    struct page_maps maps;
    struct views views;
    struct host_faults faults;
    struct fp_traps fp_traps;
    struct progress progress;
};

static void hook_fence_i(void *cpu)
{
    struct engine *e = gw_run(cpu)->engine;
    /* What told the guest of others' stores, a load, is done before the look for what to run next. */
    __atomic_thread_fence(__ATOMIC_ACQUIRE);
    /* Stores to code are seen as they happen in machine mode. In user mode nobody tells. */
    if (!e->cfg.bus)
        engine_code_changed(e, 0, ~UINT64_C(0));
}

/* A host fault in there is none of the guest's accesses, as the interpreter's are. */
static bool hook_syscall(void *cpu)
{
    const struct engine *e = gw_run(cpu)->engine;
    sig_atomic_t guarded = e->faults->guarded;
    e->faults->guarded = 0;
    bool done = e->cfg.syscall(e->cfg.opaque);
    e->faults->guarded = guarded;
    return done;
}

static bool by_page_map(const struct engine *e)
{
    return !e->cfg.bus && e->cfg.page;
}

static struct engine *new_whole(const struct engine_config *cfg)
{
    struct whole_engine *all = calloc(1, sizeof *all);
    if (!all)
        return NULL;
    struct engine *e = &all->e;
    e->cc = &all->cc;
    e->adopted = &all->adopted;
    e->fetches = &all->fetches;
    e->jumps = &all->jumps;
    e->positions = &all->positions;
    e->maps = &all->maps;
    e->views = &all->views;
    e->faults = &all->faults;
    e->fp_traps = &all->fp_traps;
    e->progress = &all->progress;
    e->cfg = *cfg;
    if (!e->cfg.quantum)
        e->cfg.quantum = QUANTUM;
    e->cfg.verify |= GODWIT_VERIFY_IR;
    e->rt = (struct gw_runtime){.load = slow_load,
                                .store = slow_store,
                                .amo = slow_amo,
                                .zero = slow_zero,
                                .eval = runtime_eval};
    if (by_page_map(e))
        guard_slow_paths(&e->rt);
    e->hooks = (struct gw_hooks){.flush = views_flush, .fence_i = hook_fence_i};
    if (cfg->syscall)
        e->hooks.syscall = hook_syscall;
    if (cfg->bus) {
        e->rt.go_on = engine_go_on;
        e->rt.go_on_near = engine_go_on_near;
        e->hooks.data_view = views_data;
        e->hooks.inline_store = maps_inline_store;
        e->hooks.reserve = reserve_hook;
        e->hooks.store_reserved = reserve_store_hook;
        e->hooks.begin_store = begin_store_hook;
        e->hooks.end_store = end_store_hook;
    }
    e->fetches->filled = true; /* cleared memory would name pages */
    fetch_forget(e->fetches);
    return e;
}

/* run.* as the engine starts it. */
static void begin_run(struct engine *e)
{
    struct gw_vcpu *run = e->run = gw_run(e->cfg.cpu);
    run->engine = e;
    run->hooks = &e->hooks;
    run->guest_base = e->cfg.guest_base;
    run->view_dirty = 1;
    run->view_bits = ~UINT64_C(0);
    run->fp_trap = 0;
    run->fp_gathers = 0;
}

/* Which is given, or made. */
static enum gw_status choose_world(struct engine *e, struct gw_error *err)
{
    e->world = e->cfg.world;
    if (!e->world) {
        enum gw_status st = engine_world_new(&e->world, 1, err);
        if (st != GW_OK)
            return st;
        e->world->own = true;
    }
    return GW_OK;
}

static enum gw_status join_world(struct engine *e, struct gw_error *err)
{
    if (!world_join(e->world, e))
        return gw_fail(err, GW_ERR_LIMIT, NULL, "more than %d threads", ENGINE_MAX_THREADS);
    spaces_join(e);
    return GW_OK;
}

enum { TALLIES = 1 << 20 };

/* 0 if some are missing. */
static uint64_t host_insns_run(const struct gw_tallies *t)
{
    uint64_t sum = 0;
    for (uint32_t k = 0; k < t->count && t->count < t->room; k++)
        sum += t->entry[k].times * (uint64_t)t->entry[k].insns;
    return sum;
}

static enum gw_status open_backend(struct engine *e, struct gw_error *err)
{
    const struct engine_config *cfg = &e->cfg;
    uint32_t features = cfg->backend->detect();
    if (!features)
        return gw_fail(err, GW_ERR_UNSUPPORTED, cfg->backend->name,
                       "this host does not run that backend's code");
    e->bcfg = (struct gw_backend_config){.mem = cfg->mem,
                                         .features = features & ~cfg->features_off,
                                         .shared = e->world->shared,
                                         .isa = cfg->isa};
    if (cfg->count_host) {
        e->tallies = (struct gw_tallies){.entry = calloc(TALLIES, sizeof *e->tallies.entry),
                                         .room = TALLIES};
        if (!e->tallies.entry)
            return gw_fail(err, GW_ERR_NOMEM, NULL, "out of memory");
        e->bcfg.tallies = &e->tallies;
    }
    cfg->backend->prepare(&e->bcfg);
    return GW_OK;
}

static enum gw_status open_interp(struct engine *e, struct gw_error *err)
{
    const struct engine_config *cfg = &e->cfg;
    e->interp = aligned_alloc(64, (sizeof *e->interp + 63) & ~(size_t)63);
    if (!e->interp)
        return gw_fail(err, GW_ERR_NOMEM, NULL, "out of memory");
    interp_init(e->interp, cfg->cpu, cfg->mem, cfg->isa->helpers, &e->rt,
                cfg->caller ? cfg->caller : &interp_direct_caller);
    return GW_OK;
}

static enum gw_status open_parts(struct engine *e, struct gw_error *err)
{
    enum gw_status st;
    e->ir = malloc(sizeof *e->ir);
    e->job = malloc(sizeof *e->job);
    if (!e->ir || !e->job || !jumps_open(e->jumps))
        return gw_fail(err, GW_ERR_NOMEM, NULL, "out of memory");
    ir_init(e->ir);
    if (e->cfg.bus || by_page_map(e)) {
        st = maps_open(e, err);
        if (st != GW_OK)
            return st;
        e->cfg.mem = e->maps->flat ? GW_MEM_FLAT : GW_MEM_TLB;
    } else {
        e->cfg.mem = GW_MEM_USER;
    }
    if (e->cfg.bus)
        devices_attach(e);
    st = e->cfg.backend ? open_backend(e, err) : open_interp(e, err);
    if (st == GW_OK)
        st = cc_open(e, err);
    if (st == GW_OK && !translate_open(e))
        st = gw_fail(err, GW_ERR_NOMEM, NULL, "out of memory");
    return st;
}

enum gw_status engine_new(struct engine **out, const struct engine_config *cfg,
                          struct gw_error *err)
{
    struct engine *e = new_whole(cfg);
    *out = NULL;
    if (!e)
        return gw_fail(err, GW_ERR_NOMEM, NULL, "out of memory");
    begin_run(e);
    enum gw_status st = choose_world(e, err);
    if (st == GW_OK && cfg->bus)
        st = join_world(e, err);
    if (st == GW_OK)
        st = open_parts(e, err);
    if (st == GW_OK && !cfg->bus) /* others run, and go through all that have joined: it is whole by now */
        st = join_world(e, err);
    if (st != GW_OK) {
        engine_free(e);
        return st;
    }
    *out = e;
    return GW_OK;
}

void engine_free(struct engine *e)
{
    if (!e)
        return;
    if (e->world)
        world_part(e->world, e);
    if (e->interp)
        cc_close(e->cc);
    if (e->world && e->world->own && !e->world->joined)
        engine_world_free(e->world);
    if (e->cfg.bus || by_page_map(e))
        maps_close(e->maps);
    if (e->cfg.bus)
        devices_detach(e);
    jumps_close(e->jumps);
    free(e->interp);
    free(e->ir);
    free(e->job);
    free(e->apart);
    free(e->tallies.entry);
    free(e);
}

void engine_recover(struct engine *e)
{
    e->faults->guarded = 0;
    if (__atomic_load_n(&e->inside, __ATOMIC_SEQ_CST))
        world_leave(e);
}

bool engine_share(struct engine *e)
{
    if (!world_share(e->world))
        return false;
    e->bcfg.shared = true;
    e->run->alone = 0;
    cc_share(e);
    return true;
}

const struct engine_stats *engine_stats(struct engine *e)
{
    e->stats.retired_insns = gw_retired(e->run);
    e->stats.fp_gathers = e->run->fp_gathers;
    e->stats.host_insns_run = host_insns_run(&e->tallies);
    if (e->cfg.index == 0) { /* of the world, which is counted once */
        e->stats.lock_takes = e->world->takes;
        e->stats.lock_waits = e->world->waits;
    }
    return &e->stats;
}

struct engine_world *engine_world_of(const struct engine *e)
{
    return e->world;
}

enum gw_mem_mode engine_mem_mode(const struct engine *e)
{
    return e->cfg.mem;
}
