/* The system call that a seccomp filter trapped, in the registers that SIGSYS found. One file per host
 * implements it, chosen by CMake; where there is none, there is no sandbox. */
#ifndef LOCK_TRAPPED_H
#define LOCK_TRAPPED_H

#include <stdint.h>

/* uctx is the handler's third argument. i: 0 to 1. */
uint64_t trapped_argument(const void *uctx, unsigned i);
/* What the call returns: a result or -errno. */
void trapped_return(void *uctx, int64_t result);

#endif
