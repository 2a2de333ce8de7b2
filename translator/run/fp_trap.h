/*
 * FP flags by trap. Reading the host's FP status waits for all FP work in flight, which guests that
 * save and restore their flags around each comparison pay many times over. Flags once raised mostly
 * stay raised, though. So while a guest reads them often, an exception whose flag is not yet in
 * run.fp_flags is made to trap on the host, and until one does run.fp_flags is complete: generated
 * code reads it from memory. A trap, or a write of other flags, ends the stay in this mode.
 *
 * A trap costs some microseconds, as much as some hundred readings. A stay that was long has earned
 * it; after a short one the next has to wait, each time twice as long.
 */
#ifndef TRANSLATOR_RUN_FP_TRAP_H
#define TRANSLATOR_RUN_FP_TRAP_H

#include "translator/run/progress.h"
#include "translator/parts.h"

/* A vCPU's, and its thread's. Times in retired instructions. */
struct fp_traps {
    bool tried, work;   /* does the host deliver them as we need it? */
    bool on;            /* run.fp_trap was set at the last look */
    uint64_t gathers;   /* run.fp_gathers at the start of the window */
    uint64_t window;    /* start of the window in which gathers are counted */
    uint64_t begun;     /* start of the stay */
    uint64_t wait;      /* between a short stay and the next */
    uint64_t not_until; /* no stay begins before */
};

enum { FP_TRAP_WINDOW = QUANTUM };

/* Before generated code runs: may exceptions trap, and which? */
void fp_trap_look(struct engine *e, uint64_t retired);
/* Would that look do anything now? */
static inline bool fp_trap_due(const struct engine *e, uint64_t retired)
{
    const struct fp_traps *t = e->fp_traps;
    return t->on || retired - t->window >= FP_TRAP_WINDOW ||
           e->cfg.fp_traps == ENGINE_FP_TRAPS_EAGER;
}

#endif
