/*
 * The run loop.
 *
 * Time is counted in retired instructions: run.insns_base - run.budget. Generated code takes a
 * block's whole length off the budget at its entry, and what leaves a block early gives the rest
 * back: side exits by themselves, faults and helpers here, by the side table.
 */
#include <stdlib.h>
#include <string.h>

#include "translator/engine_int.h"

static const struct counter_field counter_fields[] = {
    COUNTER(struct engine_stats, retired_insns, "guest instructions retired"),
    COUNTER(struct engine_stats, translated_blocks, "blocks translated"),
    COUNTER(struct engine_stats, translated_insns, "guest instructions translated"),
    COUNTER(struct engine_stats, translate_ns, "time spent translating"),
    COUNTER(struct engine_stats, host_bytes, "bytes of host code emitted"),
    COUNTER(struct engine_stats, host_insns, "host instructions emitted on hot paths"),
    COUNTER(struct engine_stats, lookups, "blocks looked up by the run loop"),
    COUNTER(struct engine_stats, links, "branches linked"),
    COUNTER(struct engine_stats, indirect_misses, "indirect branches not in the jump cache"),
    COUNTER(struct engine_stats, slow_loads, "loads on the slow path"),
    COUNTER(struct engine_stats, slow_stores, "stores and atomics on the slow path"),
    COUNTER(struct engine_stats, map_fills, "page map entries filled"),
    COUNTER(struct engine_stats, map_flushes, "page maps emptied"),
    COUNTER(struct engine_stats, map_drops,
            "page maps given back to the host: touched too sparsely"),
    COUNTER(struct engine_stats, code_flushes, "times the code cache was emptied"),
    COUNTER(struct engine_stats, stale_blocks, "blocks whose page was written"),
    COUNTER(struct engine_stats, revived_blocks, "of those, found unchanged and used again"),
    COUNTER(struct engine_stats, exits, "times generated code was left"),
    COUNTER(struct engine_stats, exits_link, "of those, by a branch not linked yet"),
    COUNTER(struct engine_stats, exits_leave,
            "by an instruction that ends its block for the run loop"),
    COUNTER(struct engine_stats, exits_helper, "by a trap, fault or call"),
    COUNTER(struct engine_stats, exits_budget, "by the end of the quantum"),
    COUNTER(struct engine_stats, refreshes, "times block key and view were derived anew"),
    COUNTER(struct engine_stats, host_faults, "host faults at guest accesses"),
    COUNTER(struct engine_stats, interp_insns, "instructions run singly up to an exact stop"),
    COUNTER(struct engine_stats, fp_gathers, "times FP flags were read from the host"),
    COUNTER(struct engine_stats, fp_trap_stays, "times FP exceptions were made to trap"),
    COUNTER(struct engine_stats, fp_traps, "FP exceptions that trapped"),
};
const struct counter_desc engine_counters = {
    .name = "engine",
    .fields = counter_fields,
    .field_count = sizeof counter_fields / sizeof counter_fields[0],
};

static void hook_fence_i(void *cpu)
{
    struct engine *e = gw_run(cpu)->engine;
    /* Stores to code are seen as they happen in machine mode. In user mode nobody tells. */
    if (!e->cfg.bus)
        engine_code_changed(e, 0, ~UINT64_C(0));
}

static void bus_code_changed(void *engine, uint64_t paddr, uint64_t size)
{
    struct engine *e = engine;
    engine_code_changed(e, paddr, size);
    reserve_written_by_device(e->world, paddr, size);
}

/* Translations of its code must not run, and maps that show it must not be used: by other vCPUs, from
 * their next border on. Which vCPU's thread this is nobody says, so all are asked. */
static void bus_rom_hidden(void *engine, const struct gw_rom *rom)
{
    struct engine *e = engine;
    struct engine_world *w = e->world;
    uint64_t pages = rom->mem.size >> GW_PAGE_SHIFT;
    for (uint64_t i = 0; i < pages; i++)
        if (rom->mem.page_flags[i] & GW_RAM_CODE)
            cc_page_changed(e, (rom->mem.base >> GW_PAGE_SHIFT) + i);
    for (unsigned i = 0; w->shared && i < w->vcpus; i++)
        if (w->engine[i])
            world_request(w->engine[i], REQUEST_FLUSH);
    if (!w->shared)
        views_flush(e->cfg.cpu, 0, 1, 0, 1);
}

static enum gw_status open_parts(struct engine *e, struct gw_error *err)
{
    const struct engine_config *cfg = &e->cfg;
    enum gw_status st = GW_OK;
    if (cfg->bus) {
        st = maps_open(e, err);
        if (st != GW_OK)
            return st;
        cfg->bus->engine = e; /* any of the world's will do */
        cfg->bus->code_changed = bus_code_changed;
        cfg->bus->rom_hidden = bus_rom_hidden;
    }
    enum gw_mem_mode mem = !cfg->bus ? GW_MEM_USER : e->maps.flat ? GW_MEM_FLAT : GW_MEM_TLB;
    e->cfg.mem = mem;
    if (cfg->backend) {
        uint32_t features = cfg->backend->detect();
        if (!features)
            return gw_fail(err, GW_ERR_UNSUPPORTED, cfg->backend->name,
                           "this host does not run that backend's code");
        e->bcfg = (struct gw_backend_config){.mem = mem,
                                             .features = features & ~cfg->features_off,
                                             .shared = e->world->shared,
                                             .isa = cfg->isa};
        cfg->backend->prepare(&e->bcfg);
    } else {
        e->interp = aligned_alloc(64, (sizeof *e->interp + 63) & ~(size_t)63);
        if (!e->interp)
            return gw_fail(err, GW_ERR_NOMEM, NULL, "out of memory");
        interp_init(e->interp, cfg->cpu, mem, cfg->isa->helpers, &e->rt,
                    cfg->caller ? cfg->caller : &interp_direct_caller);
    }
    return cc_open(e, err);
}

static enum gw_status join_world(struct engine *e, struct gw_error *err)
{
    e->world = e->cfg.world;
    if (!e->world) {
        enum gw_status st = engine_world_new(&e->world, 1, err);
        if (st != GW_OK)
            return st;
        e->own_world = true;
    }
    e->world->engine[e->cfg.index] = e;
    e->run->gen_global = e->world->gen_global;
    e->run->gen_space = 0; /* no space's */
    return GW_OK;
}

enum gw_status engine_new(struct engine **out, const struct engine_config *cfg,
                          struct gw_error *err)
{
    struct engine *e = calloc(1, sizeof *e);
    *out = NULL;
    if (!e)
        return gw_fail(err, GW_ERR_NOMEM, NULL, "out of memory");
    e->cfg = *cfg;
    e->cfg.verify |= GODWIT_VERIFY_IR;
    e->run = gw_run(cfg->cpu);
    e->rt = (struct gw_runtime){
        .load = slow_load, .store = slow_store, .amo = slow_amo, .eval = slow_eval};
    e->hooks = (struct gw_hooks){.flush = views_flush, .fence_i = hook_fence_i};
    if (cfg->bus) {
        e->hooks.writable = maps_writable;
        e->hooks.reserve = reserve_hook;
        e->hooks.store_reserved = reserve_store_hook;
    }
    e->reserving = NO_PADDR;
    e->far_jumps = calloc(1u << FAR_JUMP_BITS, sizeof *e->far_jumps);
    e->ir = malloc(sizeof *e->ir);
    e->job = malloc(sizeof *e->job);
    e->run->engine = e;
    e->run->hooks = &e->hooks;
    e->run->guest_base = cfg->guest_base;
    e->run->view_dirty = 1;
    e->run->fp_trap = 0;
    e->run->fp_gathers = 0;
    for (uint32_t i = 0; i < ITLB_SIZE; i++)
        e->itlb[i].vpage = ~UINT64_C(0);
    span_clear(&e->itlb_large);
    enum gw_status st = join_world(e, err);
    if (st == GW_OK)
        st = e->ir && e->job && e->far_jumps ? open_parts(e, err)
                                             : gw_fail(err, GW_ERR_NOMEM, NULL, "out of memory");
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
    cc_close(&e->own_cc);
    if (e->world)
        e->world->engine[e->cfg.index] = NULL;
    if (e->own_world)
        engine_world_free(e->world);
    if (e->cfg.bus) {
        maps_close(e);
        e->cfg.bus->code_changed = NULL;
        e->cfg.bus->rom_hidden = NULL;
        e->cfg.bus->engine = NULL;
    }
    for (uint32_t i = 0; i < JC_POOL; i++)
        free(e->jc[i].entry);
    free(e->far_jumps);
    free(e->interp);
    free(e->ir);
    free(e->job);
    free(e);
}

uint64_t engine_retired(const struct engine *e)
{
    return gw_retired(e->run);
}

const struct engine_stats *engine_stats(struct engine *e)
{
    e->stats.retired_insns = gw_retired(e->run);
    e->stats.fp_gathers = e->run->fp_gathers;
    return &e->stats;
}

enum gw_mem_mode engine_mem_mode(const struct engine *e)
{
    return e->cfg.mem;
}

void engine_reset_derived(struct engine *e)
{
    world_lock(e->world);
    cc_flush(e);
    world_unlock(e->world);
    if (e->cfg.bus)
        views_flush(e->cfg.cpu, 0, 1, 0, 1);
    e->run->view_dirty = 1;
}

/* --- running ------------------------------------------------------------------------------------- */

/* Enters the block that was found last; host faults of the interpreter's own accesses in user mode
 * come back here. */
static enum gw_exit_kind enter(struct engine *e)
{
    e->stats.exits++;
    if (!e->interp) {
        uint64_t (*fn)(void *, void *);
        void *at = (void *)(uintptr_t)(e->cc->mem.rx + e->cc->ep.enter[e->fp]);
        memcpy(&fn, &at, sizeof fn);
        return (enum gw_exit_kind)fn(e->cfg.cpu, e->at.code);
    }
    if (e->cfg.bus)
        return interp_run(e->interp, e->at.interp);
    if (sigsetjmp(e->interp_jmp, 0)) {
        e->in_interp = 0;
        interp_abandon(e->interp);
        e->run->leave = GW_LEAVE_FAULT;
        return GW_EXIT_HELPER;
    }
    e->in_interp = 1;
    enum gw_exit_kind x = interp_run(e->interp, e->at.interp);
    e->in_interp = 0;
    return x;
}

/* Generated code was left in the middle of a block: the faulting instruction and those behind it
 * have not retired. Sets run.pc unless the helper did. */
static void account_early_exit(struct engine *e)
{
    struct gw_vcpu *run = e->run;
    if (e->interp) /* did it itself */
        return;
    world_lock(e->world);
    uint32_t i = cc_by_host(e, run->slow_ra);
    if (i == NO_TB)
        abort();
    struct tb *tb = cc_tb(e, i);
    /* An access may come right behind a call: then both have the same position. */
    const struct gw_row *row =
        cc_row(e, tb, run->slow_ra, e->at_access ? GW_ROW_ACCESS : GW_ROW_CALL);
    if (!row)
        abort(); /* every call and access has its row */
    e->at_access = false;
    run->budget += tb->guest_count - row->guest;
    if (run->leave == GW_LEAVE_FAULT)
        run->pc = cc_guest_pc(e, tb, row->guest);
    world_unlock(e->world);
}

/* What a helper or slow path asked for. True: back to the caller, with *stop. */
static bool handle_leave(struct engine *e, enum engine_stop *stop)
{
    struct gw_vcpu *run = e->run;
    enum gw_leave why = run->leave;
    account_early_exit(e);
    run->leave = GW_LEAVE_NONE;
    switch (why) {
    case GW_LEAVE_SYSCALL: *stop = ENGINE_SYSCALL; return true;
    case GW_LEAVE_HCALL: *stop = ENGINE_HCALL; return true;
    case GW_LEAVE_AGAIN:
        if (e->reserving != NO_PADDR) {
            world_stop_from(e);
            reserve_page(e);
            world_resume_from(e);
        }
        return false;
    case GW_LEAVE_FAULT:
        run->fault_pc = run->pc;
        if (!e->cfg.bus) {
            *stop = ENGINE_FAULT;
            return true;
        }
        e->cfg.isa->raise(e->cfg.cpu, &run->fault);
        run->leave = GW_LEAVE_NONE;
        return false;
    default: return false;
    }
}

/* Looks again with the world stopped, where all can be done that the lookup needs: pages protected,
 * the code cache emptied. The block runs at least once, whatever others do to it then. */
static uint32_t find_stopped(struct engine *e, uint32_t limit, struct gw_fault *fault)
{
    world_stop_from(e);
    uint32_t i = cc_find(e, e->run->pc, limit, fault);
    world_resume_from(e);
    return i;
}

/* A block for run.pc, or NO_TB after a fetch fault. */
static uint32_t find(struct engine *e, uint32_t limit, bool *stopped)
{
    struct gw_fault fault;
    uint32_t i = cc_find(e, e->run->pc, limit, &fault);
    if (i == NO_TB && e->want)
        i = find_stopped(e, limit, &fault);
    if (i != NO_TB)
        return i;
    e->run->fault = fault;
    e->run->fault_pc = e->run->pc;
    if (!e->cfg.bus) {
        *stopped = true;
        return NO_TB;
    }
    e->cfg.isa->raise(e->cfg.cpu, &fault);
    e->run->leave = GW_LEAVE_NONE;
    return NO_TB;
}

/*
 * The block at run.pc by this vCPU's jump cache, as generated code finds it: without the lock. Where a
 * fence or a change of code by others matters to this vCPU, they wait until it has looked, on its way
 * here, or empty the entry themselves.
 */
static bool find_near(struct engine *e)
{
    const struct gw_vcpu *run = e->run;
    const struct gw_jump_entry *je = &run->jump_cache[interp_jump_index(run->pc)];
    if (__atomic_load_n(&je->pc, __ATOMIC_ACQUIRE) != run->pc)
        return false;
    e->at = (struct entry){.code = je->code, .interp = je->code};
    return true;
}

/* Or by what the jump cache had before: see rule 6 of docs/map-protocol.md too. A branch that was not
 * linked is to be now, unless it has to wait for other vCPUs. */
static bool find_far(struct engine *e, enum gw_exit_kind x)
{
    bool indirect = x == GW_EXIT_INDIRECT;
    if (!indirect && (e->interp || !e->world->shared))
        return false;
    world_lock(e->world);
    bool found = (indirect || cc_link_waits(e, (uint32_t)e->run->exit_link)) && cc_far_jump(e);
    world_unlock(e->world);
    return found;
}

/* What comes after running blocks. */
enum after {
    AFTER_LOOK,    /* look at what may divert the vCPU, and go on */
    AFTER_STOP,    /* back to the caller */
    AFTER_NO_ROOM, /* the next block has more instructions than the budget */
};

static void drop_once(struct engine *e, uint32_t i)
{
    world_lock(e->world);
    cc_drop_last(e, i);
    world_unlock(e->world);
}

/* The branch that was not linked leads to i, unless the cache was emptied in between. */
static void link_exit(struct engine *e, uint64_t link, uint64_t flushes, uint32_t i)
{
    world_lock(e->world);
    if (flushes != e->cc->flushes)
        ;
    else if (e->interp)
        cc_link_interp(e, (struct interp_link *)(uintptr_t)link, i);
    else if (!cc_link_to(e, (uint32_t)link, i))
        cc_jump_cache_insert(e, i);
    world_unlock(e->world);
}

static void cache_jump(struct engine *e, uint32_t i)
{
    world_lock(e->world);
    cc_jump_cache_insert(e, i);
    world_unlock(e->world);
}

/* Runs blocks until the budget is used up or something wants the outer loop. */
static enum after run_blocks(struct engine *e, enum engine_stop *stop)
{
    struct gw_vcpu *run = e->run;
    bool fault = false;
    uint32_t i = 0;
    if (!find_near(e) && !find_far(e, GW_EXIT_INDIRECT)) {
        i = find(e, 0, &fault);
        if (i != NO_TB)
            cache_jump(e, i);
    }
    while (i != NO_TB) {
        bool once = e->at.once;
        enum gw_exit_kind x = enter(e);
        if (once) { /* no link leads from it or to it */
            bool back = x == GW_EXIT_HELPER && handle_leave(e, stop);
            drop_once(e, i);
            if (x != GW_EXIT_LINK && x != GW_EXIT_INDIRECT)
                return back ? AFTER_STOP : x == GW_EXIT_BUDGET ? AFTER_NO_ROOM : AFTER_LOOK;
        } else if (x == GW_EXIT_HELPER) {
            e->stats.exits_helper++;
            return handle_leave(e, stop) ? AFTER_STOP : AFTER_LOOK;
        } else if (x == GW_EXIT_LEAVE) {
            e->stats.exits_leave++;
            return AFTER_LOOK;
        } else if (x != GW_EXIT_LINK && x != GW_EXIT_INDIRECT) {
            e->stats.exits_budget++;
            return AFTER_NO_ROOM;
        }
        /* Nothing is fetched, nor faults, behind the last instruction of a run. */
        if (world_wanted(e) || run->budget <= 0)
            return AFTER_LOOK;
        if (!once && find_far(e, x))
            continue;
        uint64_t flushes = e->cc->flushes, link = run->exit_link;
        i = find(e, 0, &fault);
        if (once || i == NO_TB)
            continue;
        if (x == GW_EXIT_LINK) {
            e->stats.exits_link++;
            link_exit(e, link, flushes, i);
        } else {
            e->stats.indirect_misses++;
            cache_jump(e, i);
        }
    }
    if (!fault)
        return AFTER_LOOK;
    *stop = ENGINE_FAULT;
    return AFTER_STOP;
}

/* The last instructions before an exact stop, in a block of just that length. */
static bool run_exactly(struct engine *e, enum engine_stop *stop)
{
    bool fault = false;
    uint32_t i = find(e, (uint32_t)e->run->budget, &fault);
    if (i == NO_TB) {
        if (fault)
            *stop = ENGINE_FAULT;
        return fault;
    }
    e->stats.interp_insns += (uint64_t)e->run->budget;
    bool back = enter(e) == GW_EXIT_HELPER && handle_leave(e, stop);
    drop_once(e, i);
    return back;
}

/* Looks at what may divert the vCPU between quanta; at the clock once in a run, since the caller bounds
 * how late timers may be. True: back to the caller. */
static bool between(struct engine *e, bool clock, enum engine_stop *stop)
{
    const struct guest_isa *isa = e->cfg.isa;
    if (__atomic_load_n(&e->run->attention, __ATOMIC_RELAXED) &&
        __atomic_exchange_n(&e->run->attention, 0, __ATOMIC_ACQUIRE)) {
        *stop = ENGINE_ATTENTION;
        return true;
    }
    views_catch_up(e);
    if (e->cfg.bus) {
        if (isa->interrupt(e->cfg.cpu, clock))
            e->run->leave = GW_LEAVE_NONE;
        else if (isa->waiting(e->cfg.cpu)) {
            *stop = ENGINE_WAIT;
            return true;
        }
    }
    if (e->run->view_dirty)
        views_refresh(e);
    return false;
}

enum engine_stop engine_run(struct engine *e, uint64_t max_insns, bool exact)
{
    struct gw_vcpu *run = e->run;
    enum engine_stop stop = ENGINE_BUDGET;
    uint64_t start = gw_retired(run), done, quantum = e->cfg.quantum ? e->cfg.quantum : QUANTUM;
    uint32_t idle = 0; /* rounds since an instruction retired */
    bool clock = true;
    while ((done = gw_retired(run) - start) < max_insns) {
        world_enter(e); /* before the look: what comes later is seen at the next one */
        if (between(e, clock, &stop))
            break;
        clock = false;
        if (e->fp)
            fp_trap_look(e, start + done);
        uint64_t grant = max_insns - done < quantum ? max_insns - done : quantum;
        run->insns_base = start + done + grant;
        run->budget = (int64_t)grant;
        enum after after = run_blocks(e, &stop);
        if (world_wanted(e))
            world_leave(e);
        if (after == AFTER_STOP)
            break;
        /* A handler that faults on itself retires nothing, for ever. Each further trap counts as an
         * instruction then, so that time goes on, and with it all that may end this. */
        if (gw_retired(run) != start + done)
            idle = 0;
        else if (++idle > IDLE_ROUNDS && run->budget > 0)
            run->budget--;
        if (after == AFTER_NO_ROOM && grant == max_insns - done && run->budget > 0 &&
            !run->view_dirty && (!exact || run_exactly(e, &stop)))
            break;
    }
    /* what was not used is not retired */
    run->insns_base -= (uint64_t)run->budget;
    run->budget = 0;
    world_leave(e);
    return stop;
}
