/* um_host.h by the C library, for hosts without a file of their own. A signal that arrives between
 * the look at *attention and the kernel waits for the call to end. */
#include "usermode/um_host.h"

#include <errno.h>
#include <signal.h>
#include <stddef.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

int64_t um_host_call(long nr, const uint64_t args[6])
{
    long r = syscall(nr, args[0], args[1], args[2], args[3], args[4], args[5]);
    return r == -1 ? -errno : r;
}

int64_t um_host_blocking_call(const uint32_t *attention, long nr, const uint64_t args[6])
{
    return __atomic_load_n(attention, __ATOMIC_RELAXED) ? -EINTR : um_host_call(nr, args);
}

void um_host_interrupt(void *uctx)
{
    (void)uctx;
}

int64_t um_host_sigaction(int signal, uintptr_t handler, uint64_t flags, uint64_t mask,
                          uintptr_t *old_handler)
{
    struct sigaction sa, old;
    memset(&sa, 0, sizeof sa);
    memset(&old, 0, sizeof old);
    memcpy(&sa.sa_mask, &mask, sizeof mask);
    sa.sa_flags = (int)flags;
    memcpy(&sa.sa_sigaction, &handler, sizeof handler);
    int r = sigaction(signal, &sa, &old);
    if (old_handler)
        memcpy(old_handler, &old.sa_sigaction, sizeof *old_handler);
    return r ? -errno : 0;
}

void um_host_sigmask(uint64_t mask, uint64_t *old)
{
    uint64_t args[6] = {SIG_SETMASK, (uintptr_t)&mask, (uintptr_t)old, sizeof mask, 0, 0};
    um_host_call(SYS_rt_sigprocmask, args);
}

int64_t um_host_vfork(uint64_t flags, uint64_t pidfd, void (*child)(void *), void *context)
{
    (void)flags, (void)pidfd, (void)child, (void)context;
    return -ENOSYS;
}
