/* Host faults at guest accesses, on AArch64 Linux. Runs in a signal handler. */
#include <ucontext.h>

#include "translator/code/position.h"
#include "translator/run/host_fault.h"
#include "translator/world.h"

/* ESR_EL1 of a data abort: Arm ARM, "ISS encoding for an exception from a Data Abort". */
enum { ESR_WRITE = 1 << 6, ESR_CACHE_MAINTENANCE = 1 << 8 };

/* Linux gives the syndrome in a record of the frame; what has no such record counts as a load. */
static bool is_write(const mcontext_t *mc)
{
    const uint8_t *at = (const uint8_t *)mc->__reserved, *end = at + sizeof mc->__reserved;
    struct esr_context record;
    while (at + sizeof record <= end) {
        memcpy(&record, at, sizeof record);
        if (record.head.magic == ESR_MAGIC)
            return (record.esr & (ESR_WRITE | ESR_CACHE_MAINTENANCE)) == ESR_WRITE;
        if (!record.head.magic || record.head.size < sizeof record.head)
            break;
        at += record.head.size;
    }
    return false;
}

/* No AArch64 processor that we know traps FP exceptions. */
bool host_fp_traps_work(struct engine *e)
{
    return false;
}

bool engine_host_fault(struct engine *e, int sig, void *siginfo, void *ucontext)
{
    const siginfo_t *si = siginfo;
    ucontext_t *uc = ucontext;
    mcontext_t *mc = &uc->uc_mcontext;
    struct gw_vcpu *run = e->run;
    if (sig != SIGSEGV && sig != SIGBUS)
        return false;
    const struct gw_fault fault = {.vaddr = (uintptr_t)si->si_addr - e->cfg.guest_base,
                                   .access = is_write(mc) ? GW_ACCESS_STORE : GW_ACCESS_LOAD};
    if (e->faults->guarded) {
        run->fault = fault;
        siglongjmp(e->faults->back, 1);
    }
    /* At an access of generated code this thread was in it, and holds no lock. */
    const struct position *at = e->interp ? NULL : position_find(e, mc->pc, GW_ROW_ACCESS);
    if (!at)
        return false;
    e->stats.host_faults++;
    if (e->cfg.mem !=
        GW_MEM_USER) { /* an address that is no guest's, or that a program lost: for the slow path */
        mc->pc = at->slow;
        return true;
    }
    run->fault = fault;
    run->leave = GW_LEAVE_FAULT;
    run->slow_ra = mc->pc;
    e->faults->at_access = true;
    mc->pc = (uintptr_t)(e->cc->mem.rx + e->cc->ep.fault[e->fp]);
    return true;
}
