/*
 * What user mode needs of the host below the C library: a system call that a signal can't slip
 * past, and signal actions and masks without the library's exceptions for signals 32 and 33.
 * One file per host implements it, chosen by CMake.
 */
#ifndef UM_HOST_H
#define UM_HOST_H

#include <stdint.h>

/* The host's system call nr; -errno on failure. When *attention is not 0 before it enters the
 * kernel, or a caught signal interrupts it, the result is -EINTR. */
int64_t um_host_blocking_call(const uint32_t *attention, long nr, const uint64_t args[6]);
/* The same without regard to signals. */
int64_t um_host_call(long nr, const uint64_t args[6]);

/* clone with CLONE_VM and CLONE_VFORK, on this thread's stack: the child calls child(context), which does not come
 * back, and the parent goes on when it has ended or executes another program. pidfd: where flags have it put. -errno;
 * -ENOSYS: not on this host. */
int64_t um_host_vfork(uint64_t flags, uint64_t pidfd, void (*child)(void *), void *context);

/* From a signal handler: when the interrupted code was about to enter the kernel in
 * um_host_blocking_call, makes that return -EINTR. uctx is the handler's third argument. */
void um_host_interrupt(void *uctx);

/* rt_sigaction. handler is SIG_DFL, SIG_IGN or an SA_SIGINFO function. old_handler may be NULL. */
int64_t um_host_sigaction(int signal, uintptr_t handler, uint64_t flags, uint64_t mask,
                          uintptr_t *old_handler);
/* rt_sigprocmask(SIG_SETMASK). old may be NULL. */
void um_host_sigmask(uint64_t mask, uint64_t *old);

#endif
