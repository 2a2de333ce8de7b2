/* A host whose signal frames we don't read: only the interpreter runs there. */
#include "translator/run/host_fault.h"

bool engine_host_fault(struct engine *e, int sig, void *siginfo, void *ucontext)
{
    const siginfo_t *si = siginfo;
    if (!e->faults->guarded || (sig != SIGSEGV && sig != SIGBUS))
        return false;
    e->run->fault = (struct gw_fault){.vaddr = (uint64_t)(uintptr_t)si->si_addr - e->cfg.guest_base,
                                      .access = GW_ACCESS_LOAD};
    siglongjmp(e->faults->back, 1);
}

bool host_fp_traps_work(struct engine *e)
{
    return false;
}
