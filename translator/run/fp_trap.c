/* When FP exceptions trap: see fp_trap.h. */
#include "translator/run/fp_trap.h"

#include "translator/run/host_fault.h"

enum {
    MANY_GATHERS = 64, /* in a window */
    LONG_STAY = 64 * QUANTUM,
    FIRST_WAIT = QUANTUM,
    LONGEST_WAIT = 4096 * QUANTUM
};

static void ended(struct fp_traps *t, uint64_t retired)
{
    t->on = false;
    if (retired - t->begun >= LONG_STAY || !t->wait)
        t->wait = FIRST_WAIT;
    else if (t->wait < LONGEST_WAIT)
        t->wait *= 2;
    t->not_until = retired + t->wait;
}

/* Counts in windows: true when one has passed in which flags were read much. */
static bool wanted(struct engine *e, uint64_t retired)
{
    struct fp_traps *t = e->fp_traps;
    uint64_t length = retired - t->window;
    if (length < FP_TRAP_WINDOW)
        return false;
    uint64_t gathers = e->run->fp_gathers - t->gathers;
    t->gathers = e->run->fp_gathers;
    t->window = retired;
    return gathers >= MANY_GATHERS * (length / FP_TRAP_WINDOW) && retired >= t->not_until;
}

void fp_trap_look(struct engine *e, uint64_t retired)
{
    struct fp_traps *t = e->fp_traps;
    struct gw_vcpu *run = e->run;
    bool eager = e->cfg.fp_traps == ENGINE_FP_TRAPS_EAGER;
    if (t->on && !run->fp_trap)
        ended(t, retired);
    if (!t->on) {
        if (!wanted(e, retired) && !eager)
            return;
        if (e->cfg.fp_traps == ENGINE_FP_NO_TRAPS || e->interp || (t->tried && !t->work))
            return;
        if (!t->tried) {
            t->tried = true;
            t->work = host_fp_traps_work(e);
            if (!t->work)
                return;
        }
        t->on = true;
        t->begun = retired;
        e->stats.fp_trap_stays++;
        run->fp_trap = 1;
    }
    /* Each time: flags and rounding may have been changed from outside. */
    run->fp_control = e->cfg.backend->fp_trap_control(run->fp_control_quiet, run->fp_flags);
}
