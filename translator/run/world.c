/*
 * The world that the vCPUs of a machine share, and the rendezvous by which one of them, or the
 * machine, has all others held at a border. docs/map-protocol.md, docs/model/.
 *
 * A vCPU is inside while it runs guest code or C called by it. It says so before it looks at
 * `pending`, and whoever wants the world stopped sets `pending` before looking who is inside; both
 * in one order that all agree on, so at least one of the two sees the other.
 *
 * Invariants
 *   1. Who waits here holds no other lock.
 *   2. While the world is taken no other vCPU is inside.
 */
#include <stdlib.h>

#include "translator/engine_int.h"

static void recursive_mutex(pthread_mutex_t *m)
{
    pthread_mutexattr_t attr;
    pthread_mutexattr_init(&attr);
    pthread_mutexattr_settype(&attr, PTHREAD_MUTEX_RECURSIVE);
    pthread_mutex_init(m, &attr);
    pthread_mutexattr_destroy(&attr);
}

enum gw_status engine_world_new(struct engine_world **out, unsigned vcpus, struct gw_error *err)
{
    struct engine_world *w = calloc(1, sizeof *w);
    *out = NULL;
    if (!w)
        return gw_fail(err, GW_ERR_NOMEM, NULL, "out of memory");
    if (vcpus < 1 || vcpus > ENGINE_MAX_VCPUS) {
        free(w);
        return gw_fail(err, GW_ERR_ARG, NULL, "a machine has 1 to %d vCPUs", ENGINE_MAX_VCPUS);
    }
    w->vcpus = vcpus;
    w->shared = vcpus > 1;
    w->gen_global = ++w->gen_counter;
    recursive_mutex(&w->lock);
    pthread_mutex_init(&w->gate, NULL);
    pthread_mutex_init(&w->res_lock, NULL);
    pthread_cond_init(&w->opened, NULL);
    pthread_cond_init(&w->emptied, NULL);
    for (unsigned i = 0; i < ENGINE_MAX_VCPUS; i++)
        w->reserved[i].paddr = NO_PADDR;
    *out = w;
    return GW_OK;
}

void engine_world_free(struct engine_world *w)
{
    if (!w)
        return;
    cc_close(&w->cc);
    executed_clear(&w->executed);
    pthread_mutex_destroy(&w->lock);
    pthread_mutex_destroy(&w->gate);
    pthread_mutex_destroy(&w->res_lock);
    pthread_cond_destroy(&w->opened);
    pthread_cond_destroy(&w->emptied);
    free(w);
}

static bool outside(const struct engine *e)
{
    return !__atomic_load_n(&e->inside, __ATOMIC_SEQ_CST);
}

/* ---- the rendezvous ------------------------------------------------------------------------- */

bool world_passed(const struct engine *me, uint64_t cut)
{
    const struct engine_world *w = me->world;
    for (unsigned i = 0; i < w->vcpus; i++) {
        const struct engine *e = w->engine[i];
        if (e && e != me && !outside(e) && __atomic_load_n(&e->seen_cuts, __ATOMIC_SEQ_CST) < cut)
            return false;
    }
    return true;
}

static bool any_inside(const struct engine_world *w)
{
    for (unsigned i = 0; i < w->vcpus; i++)
        if (w->engine[i] && !outside(w->engine[i]))
            return true;
    return false;
}

void world_enter(struct engine *e)
{
    struct engine_world *w = e->world;
    if (!w->shared)
        return;
    for (;;) {
        __atomic_store_n(&e->seen_cuts, __atomic_load_n(&w->cuts, __ATOMIC_SEQ_CST),
                         __ATOMIC_SEQ_CST);
        __atomic_store_n(&e->inside, 1, __ATOMIC_SEQ_CST);
        if (!__atomic_load_n(&w->pending, __ATOMIC_SEQ_CST))
            return;
        world_leave(e);
        pthread_mutex_lock(&w->gate);
        while (__atomic_load_n(&w->pending, __ATOMIC_SEQ_CST))
            pthread_cond_wait(&w->opened, &w->gate);
        pthread_mutex_unlock(&w->gate);
    }
}

void world_leave(struct engine *e)
{
    struct engine_world *w = e->world;
    if (!w->shared)
        return;
    __atomic_store_n(&e->inside, 0, __ATOMIC_SEQ_CST);
    if (!__atomic_load_n(&w->pending, __ATOMIC_SEQ_CST))
        return;
    pthread_mutex_lock(&w->gate);
    pthread_cond_broadcast(&w->emptied);
    pthread_mutex_unlock(&w->gate);
}

void engine_world_stop(struct engine_world *w)
{
    if (!w->shared)
        return;
    pthread_mutex_lock(&w->gate);
    __atomic_fetch_add(&w->pending, 1, __ATOMIC_SEQ_CST);
    while (w->taken || any_inside(w))
        pthread_cond_wait(&w->emptied, &w->gate);
    w->taken = true;
    pthread_mutex_unlock(&w->gate);
}

void engine_world_resume(struct engine_world *w)
{
    if (!w->shared)
        return;
    pthread_mutex_lock(&w->gate);
    w->taken = false;
    if (__atomic_sub_fetch(&w->pending, 1, __ATOMIC_SEQ_CST))
        pthread_cond_broadcast(&w->emptied); /* for the next who wants it */
    else
        pthread_cond_broadcast(&w->opened);
    pthread_mutex_unlock(&w->gate);
}

void world_stop_from(struct engine *e)
{
    world_leave(e);
    engine_world_stop(e->world);
    e->stopped = true;
}

void world_resume_from(struct engine *e)
{
    /* Inside before it lets go: what it found while the world was stopped is good until it goes out,
     * and the next one who stops the world might empty the code cache. */
    e->stopped = false;
    if (e->world->shared)
        __atomic_store_n(&e->inside, 1, __ATOMIC_SEQ_CST);
    engine_world_resume(e->world);
}

/* No attention is asked for: one that sleeps would not be woken by it, and sleep on when it is asked
 * for again. */
void world_request(struct engine *e, uint32_t what)
{
    __atomic_fetch_or(&e->requests, what, __ATOMIC_SEQ_CST);
}
