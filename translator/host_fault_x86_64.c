/* Host faults at guest accesses, on x86-64 Linux. Runs in a signal handler. */
#include <signal.h>
#include <ucontext.h>

#include "engine_int.h"

enum { ERR_WRITE = 2 };

static uint64_t fault_address(const siginfo_t *si, struct engine *e)
{
    /* A non-canonical address raises #GP, which tells none: the guest sees the all-ones address. */
    return si->si_code == SI_KERNEL ? ~UINT64_C(0)
                                    : (uint64_t)(uintptr_t)si->si_addr - e->cfg.guest_base;
}

bool engine_host_fault(struct engine *e, int sig, void *siginfo, void *ucontext)
{
    const siginfo_t *si = siginfo;
    ucontext_t *uc = ucontext;
    greg_t *gr = uc->uc_mcontext.gregs;
    struct gw_vcpu *run = e->run;
    bool write = gr[REG_ERR] & ERR_WRITE;
    if (sig != SIGSEGV && sig != SIGBUS)
        return false;
    if (e->in_interp) {
        run->fault = (struct gw_fault){.vaddr = fault_address(si, e),
                                       .access = write ? GW_ACCESS_STORE : GW_ACCESS_LOAD};
        siglongjmp(e->interp_jmp, 1);
    }
    uint64_t rip = (uint64_t)gr[REG_RIP];
    uint32_t i = e->interp ? NO_TB : cc_by_host(e, rip);
    if (i == NO_TB)
        return false;
    struct tb *tb = cc_tb(e, i);
    const struct gw_row *row = cc_row(e, tb, rip, GW_ROW_ACCESS);
    if (!row)
        return false;
    e->stats.host_faults++;
    if (e->cfg.bus) { /* non-canonical guest address: the slow path knows what to do */
        gr[REG_RIP] = (greg_t)(e->cc.mem.rx + tb->code + row->slow_offset);
        return true;
    }
    run->fault = (struct gw_fault){.vaddr = fault_address(si, e),
                                   .access = write ? GW_ACCESS_STORE : GW_ACCESS_LOAD};
    run->leave = GW_LEAVE_FAULT;
    run->slow_ra = rip;
    gr[REG_RIP] = (greg_t)(e->cc.mem.rx + e->cc.ep.fault[e->fp]);
    return true;
}
