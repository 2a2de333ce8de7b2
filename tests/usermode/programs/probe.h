/* Faults of accesses, looked into. */
#ifndef PROGRAMS_PROBE_H
#define PROGRAMS_PROBE_H

#include <setjmp.h>
#include <signal.h>
#include <stdint.h>

static sigjmp_buf env;
static siginfo_t seen;

static void on_fault(int sig, siginfo_t *info, void *uc)
{
    (void)sig;
    (void)uc;
    seen = *info;
    siglongjmp(env, 1);
}

/* Signal that the access raises, with its code in seen; 0: none. */
static int probe(volatile uint8_t *p, int write)
{
    seen.si_signo = 0;
    if (sigsetjmp(env, 1) == 0) {
        if (write)
            *p = 1;
        else
            (void)*p;
    }
    return seen.si_signo;
}

static void look_at_faults(void)
{
    struct sigaction sa = {.sa_sigaction = on_fault, .sa_flags = SA_SIGINFO};
    CHECK(sigaction(SIGSEGV, &sa, NULL) == 0 && sigaction(SIGBUS, &sa, NULL) == 0);
}

#endif
