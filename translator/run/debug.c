/* Targets of debuggers: see debug.h. */
#include "translator/debug.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "godwit/little.h"
#include "translator/run/registers.h"

enum phase { PHASE_NEW, PHASE_RUNS, PHASE_STOPPED, PHASE_ENDED };

/* Bits of `wanted`. */
enum { WANT_ASKED = 1, WANT_CHANGE = 2, WANT_STOP = 4 };

struct unit {
    void *cpu;
    struct engine *engine;
    struct gw_debug_plan plan;
    bool stepped;       /* its step is done, but nobody was told yet */
    uint64_t pc, insns; /* when it last came back */
};

enum change_kind { CHANGE_ADD, CHANGE_REMOVE, CHANGE_CLEAR };
struct change {
    enum change_kind kind;
    uint64_t pc;
    uint32_t units; /* a bit each */
};

struct debug {
    struct gw_debug api;
    struct debug_config cfg;
    struct engine_world *world;
    uint32_t attached; /* atomic */
    uint32_t wanted;   /* atomic, WANT_* */
    pthread_mutex_t lock;
    pthread_cond_t changed;
    /* Under the lock. */
    enum phase phase;
    struct gw_debug_client client;
    struct gw_debug_stop stop; /* with WANT_STOP, and of the last one */
    uint64_t until;            /* of all units together */
    struct unit unit[GW_DEBUG_UNITS_MAX];
    /* A breakpoint that waits, with who asked for it, for a moment in which no unit runs. */
    struct change *change;
    enum gw_status change_result;
    unsigned waiting; /* threads that wait for a change */
    struct gw_error *change_err;
    bool frozen; /* the target has been told to stand still; its threads' */
};

static struct debug *of(struct gw_debug *d)
{
    return (struct debug *)(void *)d;
}

static bool is_attached(const struct debug *d)
{
    return __atomic_load_n(&d->attached, __ATOMIC_ACQUIRE);
}

static uint32_t wanted(const struct debug *d)
{
    return __atomic_load_n(&d->wanted, __ATOMIC_SEQ_CST);
}

bool debug_wanted(const struct debug *d)
{
    return wanted(d) != 0;
}

static void want(struct debug *d, uint32_t what)
{
    __atomic_fetch_or(&d->wanted, what, __ATOMIC_SEQ_CST);
}

static bool take_wanted(struct debug *d, uint32_t what)
{
    return __atomic_fetch_and(&d->wanted, ~what, __ATOMIC_SEQ_CST) & what;
}

/* ---- units ---------------------------------------------------------------------------------- */

/* The units that `unit` names; none: there is no such. */
static uint32_t mask_of(const struct debug *d, int unit)
{
    uint32_t all = d->cfg.units == 32 ? UINT32_MAX : (1u << d->cfg.units) - 1;
    if (unit == GW_DEBUG_ALL)
        return all;
    return unit >= 0 && (unsigned)unit < d->cfg.units ? 1u << unit : 0;
}

static struct gw_debug_plan run_on(void)
{
    return (struct gw_debug_plan){.until = UINT64_MAX};
}

static void all_run(struct debug *d)
{
    for (unsigned i = 0; i < d->cfg.units; i++) {
        d->unit[i].plan = run_on();
        d->unit[i].stepped = false;
    }
    d->until = UINT64_MAX;
}

static void publish(struct unit *u)
{
    u->pc = gw_run(u->cpu)->pc;
    u->insns = engine_retired(u->engine);
}

/* While no other unit runs. */
static uint64_t retired_by_all(const struct debug *d)
{
    uint64_t sum = 0;
    for (unsigned i = 0; i < d->cfg.units; i++)
        sum += engine_retired(d->unit[i].engine);
    return sum;
}

static bool is_still(const struct debug *d)
{
    return d->phase == PHASE_NEW || d->phase == PHASE_STOPPED;
}

/* ---- breakpoints ---------------------------------------------------------------------------- */

/* While no unit runs, under the lock. */
static enum gw_status apply(struct debug *d, const struct change *c, struct gw_error *err)
{
    const struct gw_debug_stop *s = &d->stop;
    if (c->kind == CHANGE_ADD)
        return engine_break_add(d->world, c->pc, c->units, err);
    if (c->kind == CHANGE_CLEAR) {
        engine_break_clear(d->world);
        return GW_OK;
    }
    if (!engine_break_remove(d->world, c->pc, c->units))
        return gw_fail(err, GW_ERR_NOTFOUND, "", "there is no breakpoint at %#llx",
                       (unsigned long long)c->pc);
    if (s->why == GW_DEBUG_BREAK && s->pc == c->pc && c->units >> s->unit & 1)
        take_wanted(d, WANT_STOP);
    return GW_OK;
}

static enum gw_status wait_for(struct debug *d, struct change *c, struct gw_error *err)
{
    d->change = c;
    d->change_err = err;
    d->waiting++;
    want(d, WANT_CHANGE);
    d->cfg.wake(d->cfg.context);
    while (d->change)
        pthread_cond_wait(&d->changed, &d->lock);
    d->waiting--;
    pthread_cond_broadcast(&d->changed);
    return d->change_result;
}

static enum gw_status change(struct debug *d, struct change c, struct gw_error *err)
{
    enum gw_status st;
    pthread_mutex_lock(&d->lock);
    if (!c.units)
        st = gw_fail(err, GW_ERR_ARG, "", "there is no such unit");
    else if (d->phase == PHASE_ENDED || !is_attached(d) || d->change || !d->world)
        st = gw_fail(err, GW_ERR_STATE, "", "breakpoints can't be changed now");
    else
        st = is_still(d) ? apply(d, &c, err) : wait_for(d, &c, err);
    pthread_mutex_unlock(&d->lock);
    return st;
}

static enum gw_status break_add(struct gw_debug *api, int unit, uint64_t pc, struct gw_error *err)
{
    struct debug *d = of(api);
    return change(d, (struct change){CHANGE_ADD, pc, mask_of(d, unit)}, err);
}

static enum gw_status break_remove(struct gw_debug *api, int unit, uint64_t pc,
                                   struct gw_error *err)
{
    struct debug *d = of(api);
    return change(d, (struct change){CHANGE_REMOVE, pc, mask_of(d, unit)}, err);
}

/* ---- stops ---------------------------------------------------------------------------------- */

/* The first one is told; who else has come to a stop by then comes to it again. */
static void note(struct debug *d, unsigned unit, enum gw_debug_why why)
{
    if (wanted(d) & WANT_STOP)
        return;
    publish(&d->unit[unit]);
    d->stop = (struct gw_debug_stop){
        .why = why, .unit = unit, .pc = d->unit[unit].pc, .insns = d->unit[unit].insns};
    want(d, WANT_STOP);
}

/* Under the lock, which is let go of meanwhile. */
static void tell(struct debug *d)
{
    struct gw_debug_client client = d->client;
    struct gw_debug_stop stop = d->stop;
    struct unit *u = &d->unit[stop.unit];
    d->phase = PHASE_STOPPED;
    d->frozen = true;
    /* It was told of, and is passed when the unit goes on from there. */
    if (stop.why != GW_DEBUG_ASKED && gw_run(u->cpu)->pc == stop.pc)
        engine_pass(u->engine);
    pthread_mutex_unlock(&d->lock);
    if (d->cfg.freeze)
        d->cfg.freeze(d->cfg.context, true);
    client.stopped(client.context, &stop);
    pthread_mutex_lock(&d->lock);
}

bool debug_held(struct debug *d)
{
    pthread_mutex_lock(&d->lock);
    if (take_wanted(d, WANT_CHANGE) && d->change) {
        d->change_result = apply(d, d->change, d->change_err);
        d->change = NULL;
        pthread_cond_broadcast(&d->changed);
    }
    bool asked = take_wanted(d, WANT_ASKED), stop = take_wanted(d, WANT_STOP);
    for (unsigned i = 0; i < d->cfg.units; i++)
        publish(&d->unit[i]);
    if (asked && !stop)
        d->stop = (struct gw_debug_stop){
            .why = GW_DEBUG_ASKED, .pc = d->unit[0].pc, .insns = d->unit[0].insns};
    if ((asked || stop) && d->phase == PHASE_RUNS && is_attached(d))
        tell(d);
    bool held = d->phase == PHASE_STOPPED, thaws = d->frozen && !held;
    d->frozen = held;
    pthread_mutex_unlock(&d->lock);
    if (thaws && d->cfg.freeze)
        d->cfg.freeze(d->cfg.context, false);
    return held;
}

/* Where nothing else may end the target, resume() alone wakes it. */
static bool wait_here(struct debug *d)
{
    if (d->cfg.wait)
        return d->cfg.wait(d->cfg.context);
    pthread_mutex_lock(&d->lock);
    while (d->phase == PHASE_STOPPED && !debug_wanted(d))
        pthread_cond_wait(&d->changed, &d->lock);
    pthread_mutex_unlock(&d->lock);
    return true;
}

bool debug_hold(struct debug *d)
{
    while (debug_held(d))
        if (!wait_here(d))
            return false;
    return true;
}

/* ---- running -------------------------------------------------------------------------------- */

/* What a unit is to run next of what its caller wants. */
struct part {
    uint64_t insns;
    bool exact, single;
    bool due; /* nothing: it has come to a stop */
};

static void cut(struct part *p, uint64_t now, uint64_t until)
{
    if (until == UINT64_MAX || (until > now && until - now > p->insns))
        return;
    p->due |= until <= now;
    p->insns = until - now;
    p->exact = true;
}

static struct part next_part(struct debug *d, struct unit *u, uint64_t end, bool exact)
{
    uint64_t now = engine_retired(u->engine);
    struct part p = {.insns = end - now, .exact = exact, .single = u->plan.step};
    cut(&p, now, u->plan.until);
    if (d->until != UINT64_MAX)
        cut(&p, retired_by_all(d), d->until);
    if (u->stepped || p.due)
        note(d, (unsigned)(u - d->unit), u->stepped ? GW_DEBUG_STEP : GW_DEBUG_COUNT);
    p.due |= u->stepped;
    return p;
}

/* Has the unit come back for a debugger's sake? */
static bool came_back(struct debug *d, struct unit *u, const struct part *p, enum engine_stop stop)
{
    unsigned unit = (unsigned)(u - d->unit);
    publish(u);
    switch (stop) {
    case ENGINE_ASKED: return true;
    case ENGINE_BREAK: note(d, unit, GW_DEBUG_BREAK); return true;
    case ENGINE_BUDGET:
        if (p->single) {
            u->plan.step = false;
            note(d, unit, GW_DEBUG_STEP);
            return true;
        }
        if (u->insns < u->plan.until && (d->until == UINT64_MAX || retired_by_all(d) < d->until))
            return false;
        note(d, unit, GW_DEBUG_COUNT);
        return true;
    case ENGINE_SYSCALL:
    case ENGINE_HCALL:
    case ENGINE_FAULT:
        if (p->single) { /* the step is done when that is */
            u->plan.step = false;
            u->stepped = true;
        }
        return false;
    default: return false;
    }
}

enum engine_stop debug_run(struct debug *d, unsigned unit, uint64_t max_insns, bool exact)
{
    struct unit *u = &d->unit[unit];
    uint64_t end = engine_retired(u->engine) + max_insns;
    unsigned how = 0;
    if (!is_attached(d))
        return engine_run(u->engine, max_insns, exact);
    for (;;) {
        enum engine_stop stop = ENGINE_ASKED;
        bool back = true;
        pthread_mutex_lock(&d->lock);
        struct part p = next_part(d, u, end, exact);
        pthread_mutex_unlock(&d->lock);
        if (!debug_wanted(d)) {
            stop = engine_run_on(u->engine, p.insns, p.exact, how | (p.single ? ENGINE_SINGLE : 0));
            how = ENGINE_CONTINUE;
            pthread_mutex_lock(&d->lock);
            back = came_back(d, u, &p, stop);
            pthread_mutex_unlock(&d->lock);
        }
        if (!back)
            return stop;
        if (!d->cfg.in_place || !debug_hold(d) || !debug_may_run(d, unit))
            return ENGINE_ASKED;
        if (engine_retired(u->engine) >= end)
            return ENGINE_BUDGET;
    }
}

bool debug_may_run(struct debug *d, unsigned unit)
{
    if (!is_attached(d))
        return true;
    pthread_mutex_lock(&d->lock);
    bool may = !d->unit[unit].plan.hold && (d->cfg.in_place || !debug_wanted(d));
    pthread_mutex_unlock(&d->lock);
    return may;
}

/* ---- what the client asks ------------------------------------------------------------------- */

static bool attach(struct gw_debug *api, const struct gw_debug_client *client)
{
    struct debug *d = of(api);
    pthread_mutex_lock(&d->lock);
    bool can = !is_attached(d) && d->phase != PHASE_ENDED;
    if (can) {
        d->client = *client;
        all_run(d);
        __atomic_store_n(&d->attached, 1, __ATOMIC_RELEASE);
    }
    pthread_mutex_unlock(&d->lock);
    return can;
}

static void go_on(struct debug *d)
{
    if (d->phase == PHASE_STOPPED)
        d->phase = PHASE_RUNS;
    pthread_cond_broadcast(&d->changed);
    d->cfg.wake(d->cfg.context);
}

static void detach(struct gw_debug *api)
{
    struct debug *d = of(api);
    struct gw_error err;
    change(d, (struct change){CHANGE_CLEAR, 0, mask_of(d, GW_DEBUG_ALL)}, &err);
    pthread_mutex_lock(&d->lock);
    __atomic_store_n(&d->attached, 0, __ATOMIC_RELEASE);
    take_wanted(d, WANT_ASKED | WANT_STOP);
    go_on(d);
    pthread_mutex_unlock(&d->lock);
}

static void stop(struct gw_debug *api)
{
    struct debug *d = of(api);
    want(d, WANT_ASKED);
    d->cfg.wake(d->cfg.context);
}

static enum gw_status resume(struct gw_debug *api, const struct gw_debug_plan *plan, uint64_t until,
                             struct gw_error *err)
{
    struct debug *d = of(api);
    enum gw_status st = GW_OK;
    pthread_mutex_lock(&d->lock);
    if (d->phase != PHASE_STOPPED)
        st = gw_fail(err, GW_ERR_STATE, "", "it is not stopped");
    else if (until != UINT64_MAX && !d->cfg.in_place)
        st = gw_fail(err, GW_ERR_UNSUPPORTED, "",
                     "they run at the same time: there is no moment in which all of them have "
                     "retired just so many instructions");
    if (st == GW_OK) {
        all_run(d);
        for (unsigned i = 0; plan && i < d->cfg.units; i++)
            d->unit[i].plan = plan[i];
        d->until = until;
        go_on(d);
    }
    pthread_mutex_unlock(&d->lock);
    return st;
}

static unsigned units(struct gw_debug *api)
{
    return of(api)->cfg.units;
}

static bool unit(struct gw_debug *api, unsigned i, struct gw_debug_unit *out)
{
    struct debug *d = of(api);
    if (i >= d->cfg.units)
        return false;
    pthread_mutex_lock(&d->lock);
    struct unit *u = &d->unit[i];
    if (is_still(d) && u->engine)
        publish(u);
    *out = (struct gw_debug_unit){.state = GW_DEBUG_RUNS, .pc = u->pc, .insns = u->insns};
    snprintf(out->name, sizeof out->name, "%s%u", d->cfg.unit_name, i);
    if (d->cfg.state && is_still(d))
        out->state = d->cfg.state(d->cfg.context, i);
    pthread_mutex_unlock(&d->lock);
    return true;
}

/* ---- registers ------------------------------------------------------------------------------ */

/* The register and its CPU, under the lock. NULL: not now, or there is none. */
static const struct gw_reg *find_reg(struct debug *d, unsigned unit, unsigned reg, void **cpu)
{
    if (!is_still(d) || unit >= d->cfg.units || reg >= d->api.reg_count)
        return NULL;
    *cpu = d->unit[unit].cpu;
    return *cpu ? &d->api.regs[reg] : NULL;
}

static bool reg_get(struct gw_debug *api, unsigned unit, unsigned reg, uint8_t *bytes)
{
    struct debug *d = of(api);
    void *cpu;
    uint64_t value;
    pthread_mutex_lock(&d->lock);
    const struct gw_reg *r = find_reg(d, unit, reg, &cpu);
    bool done = r && registers_get(d->cfg.isa, cpu, r, &value);
    if (done)
        gw_put_little(bytes, value, r->size_bytes);
    pthread_mutex_unlock(&d->lock);
    return done;
}

static bool reg_set(struct gw_debug *api, unsigned unit, unsigned reg, const uint8_t *bytes)
{
    struct debug *d = of(api);
    void *cpu;
    pthread_mutex_lock(&d->lock);
    const struct gw_reg *r = find_reg(d, unit, reg, &cpu);
    bool done = r && registers_set(d->cfg.isa, cpu, r, gw_little(bytes, r->size_bytes));
    pthread_mutex_unlock(&d->lock);
    return done;
}

/* ---- memory --------------------------------------------------------------------------------- */

static uint64_t read_memory(struct gw_debug *api, int unit, uint64_t addr, void *to, uint64_t size)
{
    struct debug *d = of(api);
    pthread_mutex_lock(&d->lock);
    bool can = is_still(d) && (unit == GW_DEBUG_PHYSICAL || mask_of(d, unit));
    uint64_t n = can ? d->cfg.read(d->cfg.context, unit, addr, to, size) : 0;
    pthread_mutex_unlock(&d->lock);
    return n;
}

static uint64_t write_memory(struct gw_debug *api, int unit, uint64_t addr, const void *from,
                             uint64_t size)
{
    struct debug *d = of(api);
    pthread_mutex_lock(&d->lock);
    bool can = is_still(d) && (unit == GW_DEBUG_PHYSICAL || mask_of(d, unit));
    uint64_t n = can ? d->cfg.write(d->cfg.context, unit, addr, from, size) : 0;
    pthread_mutex_unlock(&d->lock);
    return n;
}

/* ---- life ----------------------------------------------------------------------------------- */

static const struct gw_debug_ops ops = {
    .attach = attach,
    .detach = detach,
    .stop = stop,
    .resume = resume,
    .break_add = break_add,
    .break_remove = break_remove,
    .units = units,
    .unit = unit,
    .reg_get = reg_get,
    .reg_set = reg_set,
    .read = read_memory,
    .write = write_memory,
};

enum gw_status debug_new(struct debug **out, const struct debug_config *cfg, struct gw_error *err)
{
    struct debug *d = calloc(1, sizeof *d);
    *out = d;
    if (!d)
        return gw_fail(err, GW_ERR_NOMEM, "", "out of memory");
    d->cfg = *cfg;
    d->api = (struct gw_debug){
        .ops = &ops, .isa = cfg->isa, .regs = cfg->isa->regs, .reg_count = cfg->isa->reg_count};
    all_run(d);
    pthread_mutex_init(&d->lock, NULL);
    pthread_cond_init(&d->changed, NULL);
    return GW_OK;
}

void debug_free(struct debug *d)
{
    if (!d)
        return;
    pthread_cond_destroy(&d->changed);
    pthread_mutex_destroy(&d->lock);
    free(d);
}

struct gw_debug *debug_api(struct debug *d)
{
    return &d->api;
}

void debug_set_engine(struct debug *d, unsigned unit, void *cpu, struct engine *e)
{
    d->unit[unit].cpu = cpu;
    d->unit[unit].engine = e;
    d->world = e ? engine_world_of(e) : NULL;
}

void debug_begin(struct debug *d)
{
    pthread_mutex_lock(&d->lock);
    d->phase = PHASE_RUNS;
    pthread_mutex_unlock(&d->lock);
}

void debug_end(struct debug *d)
{
    pthread_mutex_lock(&d->lock);
    struct gw_debug_client client = d->client;
    bool told = is_attached(d) && d->phase != PHASE_ENDED;
    d->phase = PHASE_ENDED;
    if (d->change)
        d->change_result = gw_fail(d->change_err, GW_ERR_STATE, "", "it has ended");
    d->change = NULL;
    pthread_cond_broadcast(&d->changed);
    while (d->waiting) /* until who was told has left: the target may go then */
        pthread_cond_wait(&d->changed, &d->lock);
    pthread_mutex_unlock(&d->lock);
    if (told)
        client.ended(client.context);
}

/* Its locks may be held by a thread that is not in this process. */
void debug_forget(struct debug *d)
{
    free(d);
}
