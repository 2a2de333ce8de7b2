/* AArch64 Linux, syscall(2): arguments in x0 and x1, the result in x0. */
#include <ucontext.h>

#include "machine/lock/trapped.h"

uint64_t trapped_argument(const void *uctx, unsigned i)
{
    const ucontext_t *u = uctx;
    return u->uc_mcontext.regs[i];
}

void trapped_return(void *uctx, int64_t result)
{
    ucontext_t *u = uctx;
    u->uc_mcontext.regs[0] = (uint64_t)result;
}
