/*
 * Faults of the host at guest accesses, and FP exceptions that trap: how engine_host_fault, which
 * runs in a signal handler of the vCPU's thread, gets back to the run loop. What a signal frame looks
 * like is the host's business: host_fault_*.c.
 */
#ifndef TRANSLATOR_RUN_HOST_FAULT_H
#define TRANSLATOR_RUN_HOST_FAULT_H

#include <setjmp.h>
#include <signal.h>

#include "translator/parts.h"

/* A vCPU's; its thread's, and its handler's. */
struct host_faults {
    volatile sig_atomic_t guarded; /* user mode: faults of our own C at guest memory go to `back` */
    volatile sig_atomic_t fp_probes; /* signals that the probe may still cause */
    bool at_access; /* user mode: generated code was left by a host fault, not by a call */
    sigjmp_buf back;
};

/* Does an unmasked exception come to engine_host_fault, and end as it should? */
bool host_fp_traps_work(struct engine *e);

#endif
