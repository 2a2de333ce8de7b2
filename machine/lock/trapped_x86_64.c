/* x86-64 Linux, syscall(2): arguments in rdi and rsi, the result in rax. */
#include <ucontext.h>

#include "machine/lock/trapped.h"

uint64_t trapped_argument(const void *uctx, unsigned i)
{
    const ucontext_t *u = uctx;
    return (uint64_t)u->uc_mcontext.gregs[i ? REG_RSI : REG_RDI];
}

void trapped_return(void *uctx, int64_t result)
{
    ucontext_t *u = uctx;
    u->uc_mcontext.gregs[REG_RAX] = result;
}
