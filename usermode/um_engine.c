/* The engine, as user mode drives it. This file, um_debug.c and um_probe.c alone include the translator. */
#include "translator/engine.h"

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "backend-common/hosts.h"
#include "translator/debug.h"
#include "usermode/um.h"

static bool fetch_ok(void *opaque, uint64_t vaddr, uint64_t size)
{
    struct um_proc *p = opaque;
    return um_space_ok(p->space, vaddr, size, PROT_EXEC);
}

/* As the host would have it: what may be written or executed may be read. */
static unsigned page_allows(void *opaque, uint64_t vaddr)
{
    const struct um_proc *p = opaque;
    const int prot = um_space_host_prot(um_space_allows(p->space, vaddr));
    return (prot & PROT_READ ? 1u << GW_ACCESS_LOAD : 0) |
           (prot & PROT_WRITE ? 1u << GW_ACCESS_STORE : 0);
}

static void space_pages_changed(void *opaque, uint64_t vaddr, uint64_t size)
{
    struct um_proc *p = opaque;
    if (p->engine)
        engine_pages_changed(p->engine, vaddr, size);
}

static void space_code_changed(void *opaque, uint64_t vaddr, uint64_t size)
{
    um_engine_code_changed(opaque, vaddr, size);
}

static enum gw_status parse_dump(const char *list, uint32_t *what, struct gw_error *err)
{
    static const struct {
        const char *name;
        uint32_t bit;
    } names[] = {
        {"decode", ENGINE_DUMP_DECODE},
        {"ir", ENGINE_DUMP_IR},
        {"opt", ENGINE_DUMP_OPT},
        {"host", ENGINE_DUMP_HOST},
    };
    *what = 0;
    while (*list) {
        size_t len = strcspn(list, ",");
        uint32_t bit = 0;
        for (unsigned i = 0; i < sizeof names / sizeof *names; i++)
            if (strlen(names[i].name) == len && strncmp(names[i].name, list, len) == 0)
                bit = names[i].bit;
        if (!bit)
            return gw_fail(err, GW_ERR_ARG, "--dump", "unknown item '%.*s'", (int)len, list);
        *what |= bit;
        list += len + (list[len] == ',');
    }
    return GW_OK;
}

/* Lives as long as the process: the engine writes through it. */
static enum gw_status open_dump(struct um_proc *p, struct gw_error *err)
{
    struct engine_dump *d = calloc(1, sizeof *d);
    if (!d)
        return gw_fail(err, GW_ERR_NOMEM, "--dump", "out of memory");
    enum gw_status s = parse_dump(p->cfg->dump, &d->what, err);
    int fd = s ? -1 : fcntl(p->cfg->dump_fd, F_DUPFD_CLOEXEC, 900);
    if (!s && (fd < 0 || !(d->out = fdopen(fd, "a"))))
        s = gw_fail(err, GW_ERR_IO, "--dump", "cannot write");
    if (s) {
        free(d);
        return s;
    }
    setvbuf(d->out, NULL, _IOLBF, 0);
    d->host_disasm = p->cfg->host_disasm;
    p->dump = d;
    return GW_OK;
}

static enum gw_status new_engine(struct um_proc *p, bool interp, struct engine_world *world,
                                 struct gw_error *err)
{
    const struct um_config *cfg = p->cfg;
    const struct engine_config ec = {
        .isa = p->isa,
        .backend = interp ? NULL : host_native(&gw_hosts),
        .mem = p->space->by_map ? GW_MEM_TLB : GW_MEM_USER,
        .cpu = p->cpu,
        .world = world,
        .guest_base = p->space->base,
        .code_cache_bytes = cfg->code_cache_bytes,
        .max_guest_insns = cfg->max_guest_insns,
        .no_fold = cfg->no_fold,
        .count_host = cfg->count_host,
        .fp_traps = (enum engine_fp_traps)cfg->fp_traps,
        .time_translation = cfg->time_translation,
        .dump = p->dump,
        .fetch_ok = fetch_ok,
        .page = p->space->by_map ? page_allows : NULL,
        .syscall = um_syscall_at_once,
        .opaque = p,
    };
    return engine_new(&p->engine, &ec, err);
}

enum gw_status um_engine_start(struct um_proc *p, struct gw_error *err)
{
    enum gw_status s = p->cfg->dump ? open_dump(p, err) : GW_OK;
    if (!s)
        s = new_engine(p, p->cfg->interp, NULL, err);
    if (!s) {
        size_t wanted, got = engine_code_cache_bytes(p->engine, &wanted);
        if (got < wanted && p->cfg->verbose)
            fprintf(stderr, "godwit: note: code cache of %zu KiB instead of %zu\n", got >> 10,
                    wanted >> 10);
        p->space->code_changed = space_code_changed;
        p->space->pages_changed = p->space->by_map ? space_pages_changed : NULL;
        p->space->opaque = p;
        gw_run(p->cpu)->alone = 1; /* until it shares memory; a forked child may do so already */
    }
    return s;
}

enum um_stop um_engine_run(struct um_proc *p, uint64_t max_insns, bool exact)
{
    switch (p->debug ? debug_run(p->debug, 0, max_insns, exact)
                     : engine_run(p->engine, max_insns, exact)) {
    case ENGINE_SYSCALL: return UM_STOP_SYSCALL;
    case ENGINE_FAULT: return UM_STOP_FAULT;
    case ENGINE_BUDGET:
    case ENGINE_ASKED: return UM_STOP_BUDGET;
    case ENGINE_ATTENTION: return UM_STOP_ATTENTION;
    default: return UM_STOP_BROKEN;
    }
}

uint64_t um_engine_retired(const struct um_proc *p)
{
    return p->engine ? engine_retired(p->engine) : 0;
}

const struct counter_desc *um_engine_counters(struct um_proc *p, const void **object)
{
    struct engine_stats *sum = p->group->gone;
    *object = engine_stats(p->engine);
    if (!p->group->threaded || (!sum && !(sum = p->group->gone = calloc(1, sizeof *sum))))
        return &engine_counters;
    um_lock(p);
    for (const struct um_proc *t = p->group->threads; t; t = t->next)
        if (t->engine)
            engine_stats_add(sum, engine_stats(t->engine));
    um_unlock(p);
    *object = sum;
    return &engine_counters;
}

void um_engine_code_changed(struct um_proc *p, uint64_t vaddr, uint64_t size)
{
    if (p->engine)
        engine_code_changed(p->engine, vaddr, size);
}

bool um_engine_host_fault(struct um_proc *p, int signal, void *info, void *uctx)
{
    return p->engine && engine_host_fault(p->engine, signal, info, uctx);
}

/* The code cache is memory shared with the parent, which goes on patching it: the child makes its
 * own, and translates anew what it still runs; where memory for that is refused, it interprets. */
bool um_engine_forked(struct um_proc *p)
{
    struct gw_error err;
    if (!p->engine)
        return true;
    um_debug_forget(p);
    engine_free(p->engine);
    p->engine = NULL;
    p->space->opaque = p;
    return new_engine(p, p->cfg->interp, NULL, &err) == GW_OK ||
           new_engine(p, true, NULL, &err) == GW_OK;
}

/* --- threads ---------------------------------------------------------------------------------- */

bool um_engine_share(struct um_proc *p)
{
    return engine_share(p->engine);
}

enum gw_status um_engine_join(struct um_proc *p, const struct um_proc *parent, struct gw_error *err)
{
    return new_engine(p, p->cfg->interp, engine_world_of(parent->engine), err);
}

/* Its counts are added to those of the engine that is asked for them at the end. */
void um_engine_part(struct um_proc *p)
{
    struct um_group *g = p->group;
    struct engine *e = p->engine;
    um_lock(p);
    g->insns += engine_retired(e);
    g->syscalls += p->result.syscalls;
    if (!g->gone)
        g->gone = calloc(1, sizeof *g->gone);
    if (g->gone)
        engine_stats_add(g->gone, engine_stats(e));
    p->engine = NULL; /* ahead of its end: a fork, or the group's end, looks at what it finds there */
    um_unlock(p);
    engine_free(e);
}

/* For good. */
void um_engine_stop_all(struct um_proc *p)
{
    struct um_group *g = p->group;
    if (g->stopped || !g->threaded)
        return;
    engine_world_stop(engine_world_of(p->engine));
    __atomic_store_n(&g->stopped, 1, __ATOMIC_RELEASE);
}

void um_engine_recover(struct um_proc *p)
{
    engine_recover(p->engine);
}

void um_engine_hold_all(struct um_proc *p)
{
    engine_world_hold(engine_world_of(p->engine));
}

void um_engine_let_go(struct um_proc *p)
{
    engine_world_let_go(engine_world_of(p->engine));
}

void um_engine_forget_others(struct um_proc *p)
{
    struct um_proc *next;
    engine_world_forked(engine_world_of(p->engine));
    for (struct um_proc *t = p->group->threads; t; t = next) {
        next = t->next;
        if (t != p && t->engine)
            engine_free(t->engine);
    }
}

void um_engine_end_dump(struct um_proc *p)
{
    if (p->dump)
        p->result.dump_error = engine_dump_end(p->dump, true);
}

void um_engine_stop(struct um_proc *p)
{
    p->space->code_changed = NULL;
    p->space->pages_changed = NULL;
    engine_free(p->engine);
    p->engine = NULL;
    um_engine_end_dump(p);
    free(p->dump);
    p->dump = NULL;
}
