/* The rendezvous of the vCPUs of a machine: see world.h. */
#include "translator/world.h"

#include <string.h>
#include <sys/mman.h>

static void recursive_mutex(pthread_mutex_t *m)
{
    pthread_mutexattr_t attr;
    pthread_mutexattr_init(&attr);
    pthread_mutexattr_settype(&attr, PTHREAD_MUTEX_RECURSIVE);
    pthread_mutex_init(m, &attr);
    pthread_mutexattr_destroy(&attr);
}

static void make_locks(struct engine_world *w)
{
    recursive_mutex(&w->lock);
    pthread_mutex_init(&w->gate, NULL);
    pthread_cond_init(&w->opened, NULL);
    pthread_cond_init(&w->emptied, NULL);
}

void world_init(struct engine_world *w)
{
    w->shared = w->vcpus > 1;
    w->engine = w->first;
    make_locks(w);
}

void world_destroy(struct engine_world *w)
{
    pthread_mutex_destroy(&w->lock);
    pthread_mutex_destroy(&w->gate);
    pthread_cond_destroy(&w->opened);
    pthread_cond_destroy(&w->emptied);
    if (w->engine != w->first)
        munmap(w->engine, ENGINE_MAX_THREADS * sizeof(struct engine *));
}

/* ---- who is in it ----------------------------------------------------------------------------- */

bool world_share(struct engine_world *w)
{
    void *p = mmap(NULL, ENGINE_MAX_THREADS * sizeof(struct engine *), PROT_READ | PROT_WRITE,
                   MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (p == MAP_FAILED)
        return false;
    memcpy(p, w->first, sizeof w->first);
    w->engine = p;
    w->shared = true;
    return true;
}

static bool find_place(struct engine_world *w, struct engine *e)
{
    unsigned i = 0;
    if (w->engine == w->first)
        return true;
    while (i < w->vcpus && w->engine[i])
        i++;
    if (i == ENGINE_MAX_THREADS)
        return false;
    e->cfg.index = i;
    return true;
}

bool world_join(struct engine_world *w, struct engine *e)
{
    world_lock(w);
    pthread_mutex_lock(&w->gate);
    bool found = find_place(w, e);
    if (found) {
        w->engine[e->cfg.index] = e;
        w->vcpus = e->cfg.index < w->vcpus ? w->vcpus : e->cfg.index + 1;
        w->joined++;
    }
    pthread_mutex_unlock(&w->gate);
    world_unlock(w);
    return found;
}

void world_part(struct engine_world *w, struct engine *e)
{
    world_lock(w);
    pthread_mutex_lock(&w->gate);
    if (w->engine[e->cfg.index] == e) {
        w->engine[e->cfg.index] = NULL;
        w->joined--;
    }
    pthread_mutex_unlock(&w->gate);
    world_unlock(w);
}

void engine_world_hold(struct engine_world *w)
{
    engine_world_stop(w);
    world_lock(w);
}

void engine_world_let_go(struct engine_world *w)
{
    world_unlock(w);
    engine_world_resume(w);
}

void engine_world_forked(struct engine_world *w)
{
    make_locks(w);
    w->held = w->taken = false;
    w->pending = 0;
    for (unsigned i = 0; i < w->vcpus; i++)
        if (w->engine[i])
            w->engine[i]->inside = 0;
}

/* ---- the lock, and the rendezvous --------------------------------------------------------------- */

/* It is held for less time than it takes to sleep and be woken, as a rule: so first others are watched. */
static bool watch(struct engine_world *w)
{
    enum { LOOKS = 4096 };
    for (unsigned n = 0; n < LOOKS; n++)
        if (!__atomic_load_n(&w->held, __ATOMIC_RELAXED) && !pthread_mutex_trylock(&w->lock))
            return true;
    return false;
}

/* Who has it may take it again. */
void world_take(struct engine_world *w)
{
    if (pthread_mutex_trylock(&w->lock)) {
        if (!watch(w))
            pthread_mutex_lock(&w->lock);
        w->waits++;
    }
    w->takes++;
    __atomic_store_n(&w->held, true, __ATOMIC_RELAXED);
}

static bool outside(const struct engine *e)
{
    return !__atomic_load_n(&e->inside, __ATOMIC_SEQ_CST);
}

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
    e->stats.world_stops++;
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
