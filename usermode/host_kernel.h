/* What hosts with a system call window of their own (host_*.c) have in common: host_kernel.c. */
#ifndef UM_HOST_KERNEL_H
#define UM_HOST_KERNEL_H

#include <stdint.h>

/* The attention of calls that are made without regard to signals: it is 0, and um_host_interrupt leaves a
 * window that looks at it alone. */
extern const uint32_t um_host_never;

/* Where handlers return to, unless the kernel has a place of its own for that: 0. The host's. */
uintptr_t um_host_restorer(void);

#endif
