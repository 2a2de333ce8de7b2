/* The part of um_host.h that is the same wherever the window is a host's own: by the kernel's structures, which
 * x86-64 and AArch64 share. */
#include "usermode/host_kernel.h"

#include <signal.h>
#include <sys/syscall.h>

#include "usermode/um_host.h"

const uint32_t um_host_never = 0;

int64_t um_host_call(long nr, const uint64_t args[6])
{
    return um_host_blocking_call(&um_host_never, nr, args);
}

/* The kernel's own struct sigaction. */
struct kernel_sigaction {
    uint64_t handler, flags, restorer, mask;
};

int64_t um_host_sigaction(int signal, uintptr_t handler, uint64_t flags, uint64_t mask,
                          uintptr_t *old_handler)
{
    const uint64_t restorer = um_host_restorer(), sa_restorer = restorer ? 0x04000000 : 0;
    struct kernel_sigaction sa = {handler, flags | sa_restorer, restorer, mask};
    struct kernel_sigaction old = {0, 0, 0, 0};
    uint64_t args[6] = {(uint64_t)signal, (uintptr_t)&sa, (uintptr_t)&old, sizeof mask, 0, 0};
    int64_t r = um_host_call(SYS_rt_sigaction, args);
    if (old_handler)
        *old_handler = old.handler;
    return r;
}

void um_host_sigmask(uint64_t mask, uint64_t *old)
{
    uint64_t args[6] = {SIG_SETMASK, (uintptr_t)&mask, (uintptr_t)old, sizeof mask, 0, 0};
    um_host_call(SYS_rt_sigprocmask, args);
}
