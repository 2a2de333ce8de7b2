/*
 * How far a run has come, beside what it counts: so that one which was stopped early, for a debugger,
 * goes on as if it had not been. What a guest may see of the engine is at which of its instructions
 * events and interrupts are looked for; that must not depend on who watches.
 */
#ifndef TRANSLATOR_RUN_PROGRESS_H
#define TRANSLATOR_RUN_PROGRESS_H

#include <stdbool.h>
#include <stdint.h>

/* Instructions between two looks at what may divert the vCPU, if nobody says otherwise. */
enum { QUANTUM = 16384 };

/* A vCPU's, and its thread's. */
struct progress {
    bool look; /* before the next instruction it is looked at what may divert the vCPU */
    /* At the clock too: once in a run, since the caller bounds how late timers may be. */
    bool clock;
    uint32_t idle; /* rounds since an instruction retired */
    /* The run's first count and most of instructions; the round's first count, and may it be the last? */
    uint64_t start, most, round;
    bool last;
};

/* See gw_runtime.go_on: a round, within generated code. */
void *engine_go_on(void *cpu);
void *engine_go_on_near(void *cpu);

#endif
