/* A host whose signal frames we don't read: only the interpreter runs there. */
#include <signal.h>

#include "translator/engine_int.h"

bool engine_host_fault(struct engine *e, int sig, void *siginfo, void *ucontext)
{
    const siginfo_t *si = siginfo;
    if (!e->in_interp || (sig != SIGSEGV && sig != SIGBUS))
        return false;
    e->run->fault = (struct gw_fault){.vaddr = (uint64_t)(uintptr_t)si->si_addr - e->cfg.guest_base,
                                      .access = GW_ACCESS_LOAD};
    siglongjmp(e->interp_jmp, 1);
}

bool host_fp_traps_work(struct engine *e)
{
    return false;
}
