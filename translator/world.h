/*
 * The world that the vCPUs of a machine, or a program's threads, share, and the rendezvous by which one
 * of them, or the machine, has all others held at a border. docs/map-protocol.md, docs/model/.
 *
 * A vCPU is inside while it runs guest code or C called by it. It says so before it looks at
 * `pending`, and whoever wants the world stopped sets `pending` before looking who is inside; both
 * in one order that all agree on, so at least one of the two sees the other.
 *
 * Invariants
 *   1. Who waits here holds no other lock.
 *   2. While the world is taken no other vCPU is inside.
 *   3. Locks are taken in this order: the device lock, world.lock, the reservations' (reserve.h).
 *   4. With one vCPU no lock is taken, and it is never held up.
 */
#ifndef TRANSLATOR_WORLD_H
#define TRANSLATOR_WORLD_H

#include <pthread.h>

#include "translator/parts.h"

struct breaks;
struct dirty_log;
struct reservations;
struct spaces;

struct engine_world {
    /* An engine's place is empty before it is made, and after it is freed. Engines come and go, and a program's
     * world becomes shared, as world_join() has it; a machine's are what its configuration says. */
    unsigned vcpus; /* places that may be in use */
    bool shared;    /* more than one */
    bool own;       /* a program's: it ends with its last engine */
    unsigned joined;
    struct engine **engine; /* `first`, or a program's: ENGINE_MAX_THREADS places */
    struct engine *first[ENGINE_MAX_VCPUS];

    pthread_mutex_t lock;  /* recursive; of the next two */
    struct code_cache *cc; /* of generated code; interpreters have one each */
    struct spaces *spaces; /* address spaces that code is fetched in, and their generations */
    uint64_t cuts;         /* atomic: guarded links cut off so far; see code/links.h */
    bool held;             /* atomic: a hint for who waits for the lock */
    uint64_t takes, waits; /* of the lock; waits: another had it */

    struct breaks *breaks; /* changed with the world stopped only */

    struct reservations *reservations; /* under their own lock */

    struct dirty_log *dirty;

    /* The rendezvous. */
    pthread_mutex_t gate;
    pthread_cond_t opened, emptied;
    uint32_t pending; /* atomic: somebody has or wants the world stopped */
    bool taken;       /* under gate: somebody has it */
};

/* The locks and the rendezvous, of a world that is all zero but for vcpus. */
void world_init(struct engine_world *w);
void world_destroy(struct engine_world *w);

/* The engine gets its place: cfg.index, or the first free one of a program's world. False: there is none. Who goes
 * through the engines has the lock, or the gate, or the world stopped. */
bool world_join(struct engine_world *w, struct engine *e);
void world_part(struct engine_world *w, struct engine *e);
/* Of a world with one engine, which is not in engine_run(): others may join it. False: out of memory. */
bool world_share(struct engine_world *w);

void world_take(struct engine_world *w);
static inline void world_lock(struct engine_world *w)
{
    if (w->shared)
        world_take(w);
}
static inline void world_unlock(struct engine_world *w)
{
    if (!w->shared)
        return;
    __atomic_store_n(&w->held, false, __ATOMIC_RELAXED);
    pthread_mutex_unlock(&w->lock);
}

/* The vCPU comes in, when nobody has the world stopped; it leaves. */
void world_enter(struct engine *e);
void world_leave(struct engine *e);
/* A vCPU that is inside goes out to stop the world, and comes back in. */
void world_stop_from(struct engine *e);
void world_resume_from(struct engine *e);
static inline bool world_wanted(const struct engine *e)
{
    return __atomic_load_n(&e->world->pending, __ATOMIC_RELAXED);
}
/* The vCPU is inside, and no block of it runs: as if it had been outside for a moment. */
static inline void world_passes(struct engine *e)
{
    uint64_t cuts = __atomic_load_n(&e->world->cuts, __ATOMIC_ACQUIRE);
    if (e->world->shared && cuts != __atomic_load_n(&e->seen_cuts, __ATOMIC_RELAXED))
        __atomic_store_n(&e->seen_cuts, cuts, __ATOMIC_SEQ_CST);
}
/* Has each other vCPU been outside since that cut (world.cuts)? */
bool world_passed(const struct engine *me, uint64_t cut);

enum {
    REQUEST_FLUSH = 1,  /* of all maps and fetch translations */
    REQUEST_RETURN = 2, /* back to the caller of engine_run() */
};
/* Asks another vCPU; it does so before it runs guest code again, or at its next border. Any thread. */
void world_request(struct engine *e, uint32_t what);
/* Was the vCPU asked for that? Then it is asked no more. Its own thread. */
static inline bool world_asked(struct engine *e, uint32_t what)
{
    return __atomic_load_n(&e->requests, __ATOMIC_RELAXED) & what &&
           __atomic_fetch_and(&e->requests, ~what, __ATOMIC_SEQ_CST) & what;
}

#endif
