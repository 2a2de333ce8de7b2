/* Host faults at guest accesses, on x86-64 Linux. Runs in a signal handler. */
#include <float.h>
#include <ucontext.h>

#include "translator/code/position.h"
#include "translator/run/host_fault.h"
#include "translator/run/host_operand.h"
#include "translator/world.h"

enum { ERR_WRITE = 2 };

static uint64_t fault_address(const siginfo_t *si, const greg_t *gr, struct engine *e)
{
    static const uint8_t numbers[16] = {REG_RAX, REG_RCX, REG_RDX, REG_RBX, REG_RSP, REG_RBP,
                                        REG_RSI, REG_RDI, REG_R8,  REG_R9,  REG_R10, REG_R11,
                                        REG_R12, REG_R13, REG_R14, REG_R15};
    uint64_t addr = (uintptr_t)si->si_addr, regs[16];
    if (si->si_code == SI_KERNEL) { /* not canonical */
        for (unsigned i = 0; i < 16; i++)
            regs[i] = (uint64_t)gr[numbers[i]];
        if (!host_operand((const uint8_t *)(uintptr_t)gr[REG_RIP], regs, &addr))
            return UINT64_MAX;
    }
    return addr - e->cfg.guest_base;
}

/* MXCSR: flags in bits 0 to 5, their masks 7 bits higher. Denormal operands are always masked. */
enum { FLAGS = 0x3f, MASK_SHIFT = 7, ZERO_DIVIDE = 4, ROUNDING = 3 << 13 };

/*
 * An exception that was to trap. Nothing traps from here on; the instruction runs again and raises
 * its flags, all of them and exactly, by the rounding that it had: what the trap has set need not be that,
 * as a tiny result traps though it is exact. Flags that were masked are in run.fp_flags already. The code may also
 * be C called from generated code, which runs under the guest's MXCSR.
 */
static bool fp_trap(struct engine *e, ucontext_t *uc)
{
    struct gw_vcpu *run = e->run;
    struct _libc_fpstate *fp = uc->uc_mcontext.fpregs;
    if (!fp || !(fp->mxcsr & ~(fp->mxcsr >> MASK_SHIFT) & FLAGS))
        return false; /* not by SSE */
    if (e->faults->fp_probes && --e->faults->fp_probes == 0)
        siglongjmp(e->faults->back, 1);
    if (!run->fp_trap)
        return false;
    run->fp_trap = 0;
    run->fp_control = run->fp_control_quiet;
    e->stats.fp_traps++;
    fp->mxcsr = (run->fp_control_quiet & ~(uint32_t)ROUNDING) | (fp->mxcsr & ROUNDING) |
                (fp->mxcsr & fp->mxcsr >> MASK_SHIFT & FLAGS);
    return true;
}

/* Divides by zero once, as generated code would. Emulators may raise nothing, or not look at what
 * the handler makes of MXCSR and come back: then the second signal ends it. */
bool host_fp_traps_work(struct engine *e)
{
    struct gw_vcpu *run = e->run;
    uint32_t host, after = 0,
                   control = run->fp_control_quiet & ~(uint32_t)(ZERO_DIVIDE << MASK_SHIFT);
    const double one = 1, zero = 0;
    double q = 0;
    __asm__ volatile("stmxcsr %0" : "=m"(host));
    e->faults->fp_probes = 2;
    run->fp_trap = 1;
    bool back = sigsetjmp(e->faults->back, 0);
    if (!back)
        __asm__ volatile("ldmxcsr %2\n\t"
                         "movsd %3, %0\n\t"
                         "divsd %4, %0\n\t"
                         "stmxcsr %1"
                         : "=&x"(q), "=m"(after)
                         : "m"(control), "m"(one), "m"(zero));
    __asm__ volatile("ldmxcsr %0" : : "m"(host));
    bool ok =
        !back && !run->fp_trap && q > DBL_MAX && after == (run->fp_control_quiet | ZERO_DIVIDE);
    e->faults->fp_probes = 0;
    run->fp_trap = 0;
    e->stats.fp_traps = 0;
    return ok;
}

/* The kernel begins a handler with an MXCSR of its own; who leaves it by a jump goes on with the guest's, and
 * its flags. */
static void keep_fp(const ucontext_t *uc)
{
    const struct _libc_fpstate *fp = uc->uc_mcontext.fpregs;
    if (fp)
        __asm__ volatile("ldmxcsr %0" : : "m"(fp->mxcsr));
}

bool engine_host_fault(struct engine *e, int sig, void *siginfo, void *ucontext)
{
    const siginfo_t *si = siginfo;
    ucontext_t *uc = ucontext;
    greg_t *gr = uc->uc_mcontext.gregs;
    struct gw_vcpu *run = e->run;
    bool write = gr[REG_ERR] & ERR_WRITE;
    if (sig == SIGFPE)
        return si->si_code > 0 && fp_trap(e, uc);
    if (sig != SIGSEGV && sig != SIGBUS)
        return false;
    if (e->faults->guarded) {
        run->fault = (struct gw_fault){.vaddr = fault_address(si, gr, e),
                                       .access = write ? GW_ACCESS_STORE : GW_ACCESS_LOAD};
        keep_fp(uc);
        siglongjmp(e->faults->back, 1);
    }
    /* At an access of generated code this thread was in it, and holds no lock. */
    uint64_t rip = (uint64_t)gr[REG_RIP];
    const struct position *at = e->interp ? NULL : position_find(e, rip, GW_ROW_ACCESS);
    if (!at)
        return false;
    e->stats.host_faults++;
    if (e->cfg.mem !=
        GW_MEM_USER) { /* no canonical address, or one that a program lost: for the slow path */
        gr[REG_RIP] = (greg_t)at->slow;
        return true;
    }
    run->fault = (struct gw_fault){.vaddr = fault_address(si, gr, e),
                                   .access = write ? GW_ACCESS_STORE : GW_ACCESS_LOAD};
    run->leave = GW_LEAVE_FAULT;
    run->slow_ra = rip;
    e->faults->at_access = true;
    gr[REG_RIP] = (greg_t)(e->cc->mem.rx + e->cc->ep.fault[e->fp]);
    return true;
}
