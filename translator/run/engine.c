/*
 * The run loop.
 *
 * Time is counted in retired instructions: run.insns_base - run.budget. Generated code takes a
 * block's whole length off the budget at its entry, and what leaves a block early gives the rest
 * back: side exits by themselves, faults and helpers here, by the side table.
 */
#include <stdlib.h>
#include <string.h>

#include "translator/code/position.h"
#include "translator/memory/page_map.h"
#include "translator/memory/reserve.h"
#include "translator/memory/views.h"
#include "translator/run/find.h"
#include "translator/run/fp_trap.h"
#include "translator/run/host_fault.h"
#include "translator/run/progress.h"
#include "translator/world.h"

/* Traps in a row without an instruction between them, that cost nothing. */
enum { IDLE_ROUNDS = 256 };

uint64_t engine_retired(const struct engine *e)
{
    return gw_retired(e->run);
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

void engine_pages_changed(struct engine *e, uint64_t vaddr, uint64_t size)
{
    if (e->cfg.mem != GW_MEM_USER && size)
        maps_flush_range(e, vaddr, size);
}

/* Enters the block that was found last; host faults of the interpreter's own accesses in user mode
 * come back here. */
static enum gw_exit_kind enter(struct engine *e)
{
    e->stats.exits++;
    if (!e->interp) {
        e->run->page = e->run->pc & ~(uint64_t)GW_PAGE_MASK;
        uint64_t (*fn)(void *, void *, uint64_t *, uint64_t);
        void *at = (void *)(uintptr_t)(e->cc->mem.rx + e->cc->ep.enter[e->fp]);
        memcpy(&fn, &at, sizeof fn);
        return (enum gw_exit_kind)fn(e->cfg.cpu, e->at.code, &e->run->pc, 0);
    }
    if (e->cfg.bus)
        return interp_run(e->interp, e->at.interp);
    if (sigsetjmp(e->faults->back, 0)) {
        e->faults->guarded = 0;
        interp_abandon(e->interp);
        e->run->leave = GW_LEAVE_FAULT;
        return GW_EXIT_HELPER;
    }
    e->faults->guarded = 1;
    enum gw_exit_kind x = interp_run(e->interp, e->at.interp);
    e->faults->guarded = 0;
    return x;
}

/* Generated code was left in the middle of a block: the faulting instruction and those behind it
 * have not retired. Sets run.pc unless the helper did. */
static void account_early_exit(struct engine *e)
{
    struct gw_vcpu *run = e->run;
    if (e->interp) /* did it itself */
        return;
    /* An access may come right behind a call: then both have the same position. */
    const struct position *p =
        position_find(e, run->slow_ra, e->faults->at_access ? GW_ROW_ACCESS : GW_ROW_CALL);
    if (!p)
        abort(); /* every call and access has its row */
    e->faults->at_access = false;
    run->budget += p->left;
    if (run->leave == GW_LEAVE_FAULT)
        run->pc = p->pc + (p->anywhere ? run->page : 0);
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
        if (reserve_waits(e)) {
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

/* What comes after running blocks. */
enum after {
    AFTER_NEXT,    /* the block behind the branch that was taken */
    AFTER_LOOK,    /* look at what may divert the vCPU, and go on */
    AFTER_STOP,    /* back to the caller */
    AFTER_NO_ROOM, /* the next block has more instructions than the budget */
};

/* Of a block that was left by x. */
static enum after left_by(struct engine *e, enum gw_exit_kind x, enum engine_stop *stop)
{
    switch (x) {
    case GW_EXIT_LINK:
    case GW_EXIT_INDIRECT: return AFTER_NEXT;
    case GW_EXIT_LEAVE: e->stats.exits_leave++; return AFTER_LOOK;
    case GW_EXIT_HELPER:
        e->stats.exits_helper++;
        return handle_leave(e, stop) ? AFTER_STOP : AFTER_LOOK;
    default: e->stats.exits_budget++; return AFTER_NO_ROOM;
    }
}

/* Of a look for a block that found none. */
static enum after not_found(enum found found, enum engine_stop *stop)
{
    if (found == FOUND_HANDLER)
        return AFTER_LOOK;
    *stop = found == FOUND_BREAK ? ENGINE_BREAK : ENGINE_FAULT;
    return AFTER_STOP;
}

/* Runs blocks until the budget is used up or something wants the outer loop. */
static enum after run_blocks(struct engine *e, enum engine_stop *stop)
{
    enum found found = find_first(e);
    while (found == FOUND_BLOCK) {
        enum gw_exit_kind x = enter(e);
        enum after after = left_by(e, x, stop);
        if (e->at.once)
            find_drop(e);
        if (after != AFTER_NEXT)
            return after;
        if (world_wanted(e))
            return AFTER_LOOK;
        /* Nothing is fetched, nor faults, behind the last instruction of a run. */
        if (e->run->budget <= 0)
            return AFTER_NO_ROOM;
        found = find_next(e, x);
    }
    return not_found(found, stop);
}

/* The last instructions before an exact stop, in blocks of just that length. */
static enum after run_exactly(struct engine *e, enum engine_stop *stop)
{
    struct gw_vcpu *run = e->run;
    enum after after = AFTER_NO_ROOM;
    while (run->budget > 0) {
        int64_t before = run->budget;
        enum found found = find_block(e, (uint32_t)before);
        if (found != FOUND_BLOCK)
            return not_found(found, stop);
        after = left_by(e, enter(e), stop);
        find_drop(e);
        e->stats.interp_insns += (uint64_t)(before - run->budget);
        /* It may have gone on by the jump cache, to a block that is longer than the rest. */
        if (after != AFTER_NEXT && after != AFTER_NO_ROOM)
            break;
        if (world_wanted(e))
            return AFTER_LOOK;
        after = AFTER_NO_ROOM;
    }
    return after;
}

/* Looks at what may divert the vCPU between quanta. True: back to the caller. */
static bool look(struct engine *e, enum engine_stop *stop)
{
    const struct guest_isa *isa = e->cfg.isa;
    struct progress *p = e->progress;
    if (__atomic_load_n(&e->run->attention, __ATOMIC_RELAXED) &&
        __atomic_exchange_n(&e->run->attention, 0, __ATOMIC_ACQUIRE)) {
        *stop = ENGINE_ATTENTION;
        return true;
    }
    if (e->cfg.bus) {
        if (isa->interrupt(e->cfg.cpu, p->clock))
            e->run->leave = GW_LEAVE_NONE;
        else if (isa->waiting(e->cfg.cpu)) {
            *stop = ENGINE_WAIT;
            return true;
        }
    }
    p->look = p->clock = false;
    return false;
}

/* Before blocks run. True: back to the caller. */
static bool between(struct engine *e, enum engine_stop *stop)
{
    if (world_asked(e, REQUEST_RETURN)) {
        *stop = ENGINE_ASKED;
        return true;
    }
    views_catch_up(e);
    if (e->progress->look && look(e, stop))
        return true;
    if (e->run->view_dirty)
        views_refresh(e);
    return false;
}

/* A handler that faults on itself retires nothing, for ever. Each further trap counts as an
 * instruction then, so that time goes on, and with it all that may end this. */
static void count_idle(struct engine *e, bool retired)
{
    struct progress *p = e->progress;
    if (retired)
        p->idle = 0;
    else if (++p->idle > IDLE_ROUNDS && e->run->budget > 0)
        e->run->budget--;
}

/* A round begins: blocks run for a quantum, or to the run's end. */
static inline void grant(struct engine *e, unsigned how, uint64_t retired)
{
    struct progress *p = e->progress;
    struct gw_vcpu *run = e->run;
    uint64_t quantum = e->cfg.quantum, left = p->most - (retired - p->start);
    p->round = retired;
    p->last = left <= quantum;
    if (e->fp && fp_trap_due(e, retired))
        fp_trap_look(e, retired);
    uint64_t insns = how & ENGINE_SINGLE ? 1 : p->last ? left : quantum;
    run->insns_base = retired + insns;
    run->budget = (int64_t)insns;
}

/* Something is for the loop itself to do. */
static inline bool wants_loop(const struct engine *e)
{
    return world_wanted(e) || __atomic_load_n(&e->requests, __ATOMIC_RELAXED) ||
           __atomic_load_n(&e->run->attention, __ATOMIC_RELAXED) || e->at.once;
}

/* May a round end here, and another begin, without the loop? */
static inline bool may_go_on(const struct engine *e, uint64_t retired)
{
    const struct progress *p = e->progress;
    return retired != p->round && retired - p->start < p->most && !wants_loop(e);
}

/*
 * Behind an instruction that ends its block for the run loop, such as a trap or a return from one: does what
 * a round of the loop does, without leaving generated code, and at the same instructions. A guest can't tell
 * the two apart, and neither can who counts.
 */
void *engine_go_on(void *cpu)
{
    struct engine *e = gw_run(cpu)->engine;
    const struct guest_isa *isa = e->cfg.isa;
    struct progress *p = e->progress;
    if (!may_go_on(e, gw_retired(e->run)))
        return NULL;
    if (isa->interrupt(cpu, false))
        e->run->leave = GW_LEAVE_NONE;
    else if (isa->waiting(cpu))
        return NULL;
    e->stats.exits_saved++;
    e->passing = false;
    p->idle = 0;
    world_passes(e);
    if (e->run->view_dirty)
        views_refresh(e);
    grant(e, 0, gw_retired(e->run));
    if (find_first(e) != FOUND_BLOCK)
        return NULL;
    e->run->page = e->run->pc & ~(uint64_t)GW_PAGE_MASK;
    return e->at.code;
}

/* The same where there is nothing to look at, the view is a known one and the block in its jump cache; leaves the
 * host's FP unit alone. */
void *engine_go_on_near(void *cpu)
{
    struct gw_vcpu *run = gw_run(cpu);
    struct engine *e = run->engine;
    const struct guest_isa *isa = e->cfg.isa;
    uint64_t retired = gw_retired(run);
    if (!may_go_on(e, retired) || !isa->quiet || !isa->quiet(cpu))
        return NULL;
    world_passes(e); /* before the look: what is found by then is found since */
    if (run->view_dirty && !views_return(e))
        return NULL;
    void *code = find_near(run);
    if (!code)
        return NULL;
    e->stats.exits_saved++;
    e->passing = false;
    e->progress->idle = 0;
    grant(e, 0, retired);
    run->page = run->pc & ~(uint64_t)GW_PAGE_MASK;
    return code;
}

/* What was not used is not retired. */
static void take_back(struct gw_vcpu *run)
{
    run->insns_base -= (uint64_t)run->budget;
    run->budget = 0;
}

enum engine_stop engine_run_on(struct engine *e, uint64_t max_insns, bool exact, unsigned how)
{
    struct gw_vcpu *run = e->run;
    struct progress *p = e->progress;
    enum engine_stop stop = ENGINE_BUDGET;
    if (!(how & ENGINE_CONTINUE))
        *p = (struct progress){.look = true, .clock = true};
    p->start = gw_retired(run);
    p->most = max_insns;
    while (gw_retired(run) - p->start < max_insns) {
        world_enter(e); /* before the look: what comes later is seen at the next one */
        if (between(e, &stop))
            break;
        grant(e, how, gw_retired(run));
        enum after after = how & ENGINE_SINGLE ? run_exactly(e, &stop) : run_blocks(e, &stop);
        if (after == AFTER_NO_ROOM && p->last && exact && run->budget > 0 && !run->view_dirty)
            after = run_exactly(e, &stop);
        e->passing = false;
        p->look = after == AFTER_LOOK || !p->last || run->view_dirty;
        if (after != AFTER_STOP)
            count_idle(e, gw_retired(run) != p->round);
        if (after == AFTER_STOP || how & ENGINE_SINGLE ||
            (after == AFTER_NO_ROOM && p->last && !run->view_dirty))
            break;
    }
    take_back(run); /* inside: who has the world stopped looks at the counts */
    world_leave(e);
    return stop;
}

enum engine_stop engine_run(struct engine *e, uint64_t max_insns, bool exact)
{
    return engine_run_on(e, max_insns, exact, 0);
}

void engine_pass(struct engine *e)
{
    e->passing = true;
    e->pass_pc = e->run->pc;
}

void engine_ask(struct engine *e)
{
    world_request(e, REQUEST_RETURN);
}
