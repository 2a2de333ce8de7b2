/*
 * What machine/ and usermode/ have in common of godwit/debug.h: who watches, what each unit is to do
 * next, and when the target stops. They say how their units are made to come back, and what memory is.
 *
 * Model. A unit runs by debug_run() in place of engine_run(), which cuts its run where something is to
 * be looked at. What stops the target, or asks for it, is noted (`wanted`), and taken care of once no
 * unit runs, by whoever has seen to that: debug_held(). Where units take turns on one thread that is
 * debug_run() itself, which goes on with the unit's run afterwards as if nothing had been; where each
 * has a thread, the target's own way of holding all of them calls it.
 *
 * Invariants
 *   1. lock is held for moments only, and by who waits for nothing else.
 *   2. Breakpoints are changed, and the client is told of a stop, while no unit runs.
 */
#ifndef TRANSLATOR_DEBUG_H
#define TRANSLATOR_DEBUG_H

#include "godwit/debug.h"
#include "translator/engine.h"

struct debug;

struct debug_config {
    const struct guest_isa *isa;
    unsigned units;
    const char *unit_name; /* "cpu": cpu0, cpu1 */
    /* Units take turns on one thread, and debug_run() may wait there. */
    bool in_place;
    void *context;
    /* Any thread: has units leave guest code, or sleep, soon. */
    void (*wake)(void *context);
    /* In place, while the target is stopped: returns when it was woken, or for no reason. False: the
     * target ends. NULL: it never does meanwhile. */
    bool (*wait)(void *context);
    /* The target stops, or goes on: VM time. NULL: it has none of its own. */
    void (*freeze)(void *context, bool on);
    /* NULL: it runs. */
    enum gw_debug_state (*state)(void *context, unsigned unit);
    /* As gw_debug_ops has them. */
    uint64_t (*read)(void *context, int unit, uint64_t addr, void *to, uint64_t size);
    uint64_t (*write)(void *context, int unit, uint64_t addr, const void *from, uint64_t size);
};

enum gw_status debug_new(struct debug **out, const struct debug_config *cfg, struct gw_error *err);
void debug_free(struct debug *d); /* after debug_end(); NULL is fine */
/* Instead, in a process that was forked: nobody watches it. */
void debug_forget(struct debug *d);
struct gw_debug *debug_api(struct debug *d);
/* Before the target runs; NULL before the engine is freed. */
void debug_set_engine(struct debug *d, unsigned unit, void *cpu, struct engine *e);
/* The target is about to run; it has ended, and the client is told so. Its first thread. */
void debug_begin(struct debug *d);
void debug_end(struct debug *d);

/* The unit's thread, as engine_run(); ENGINE_ASKED: something is wanted of the target first, or it
 * ends. */
enum engine_stop debug_run(struct debug *d, unsigned unit, uint64_t max_insns, bool exact);
/* May the unit run, as far as who watches is concerned? */
bool debug_may_run(struct debug *d, unsigned unit);
/* Any thread: something is to be done with all units stopped. */
bool debug_wanted(const struct debug *d);
/* While no unit runs: does it. True: the target stays stopped until it is woken; then ask again. */
bool debug_held(struct debug *d);
/* The same in place: returns when the target goes on. False: it ends. */
bool debug_hold(struct debug *d);

#endif
