/*
 * The frame that a signal handler stands on, as riscv64 Linux lays it out
 * (arch/riscv/include/uapi/asm/{ucontext,sigcontext,ptrace}.h):
 *
 *     0    siginfo, 128 bytes
 *     128  uc_flags, uc_link, uc_stack {sp, flags, size}, uc_sigmask (8 of 128 bytes)
 *     304  uc_mcontext: pc, x1 ... x31; then the FP state: f0 ... f31, fcsr, padded to 528 bytes
 *          (the room of the quad format), whose last bytes are the end mark of the extensions
 *     1088
 */
#include <string.h>

#include "usermode/um.h"

enum {
    FRAME_BYTES = 1088,
    OFFSET_UC_FLAGS = 128,
    OFFSET_UC_STACK = OFFSET_UC_FLAGS + 16,
    OFFSET_UC_SIGMASK = OFFSET_UC_STACK + 24,
    OFFSET_REGS = 304,
    OFFSET_FP = OFFSET_REGS + 32 * 8,
    OFFSET_FCSR = OFFSET_FP + 32 * 8,
    FCSR_FRM_SHIFT = 5,
};

bool um_on_altstack(const struct um_proc *p, uint64_t sp)
{
    const struct um_altstack *a = &p->sig.alt;
    return !(a->flags & UM_SS_DISABLE) && !(a->flags & UM_SS_AUTODISARM) && sp > a->sp &&
           sp - a->sp <= a->size;
}

static uint64_t frame_address(const struct um_proc *p, const struct um_sigaction *act)
{
    uint64_t sp = p->cpu->x[2];
    const struct um_altstack *a = &p->sig.alt;
    if ((act->flags & UM_SA_ONSTACK) && !(a->flags & UM_SS_DISABLE) && !um_on_altstack(p, sp))
        sp = a->sp + a->size;
    return (sp - FRAME_BYTES) & ~UINT64_C(15);
}

static void save_registers(const struct rv_cpu *cpu, uint8_t *frame)
{
    uint64_t regs[32];
    memcpy(regs, cpu->x, sizeof regs);
    regs[0] = cpu->run.pc;
    memcpy(frame + OFFSET_REGS, regs, sizeof regs);
    memcpy(frame + OFFSET_FP, cpu->f, sizeof cpu->f);
    /* IR_FP_* are the bits of fflags (Unpriv. 20240411, 20.2) */
    uint32_t fcsr = (uint32_t)cpu->c.frm << FCSR_FRM_SHIFT | (cpu->run.fp_flags & 31);
    memcpy(frame + OFFSET_FCSR, &fcsr, sizeof fcsr);
}

static void load_registers(struct rv_cpu *cpu, const uint8_t *frame)
{
    uint64_t regs[32];
    uint32_t fcsr;
    memcpy(regs, frame + OFFSET_REGS, sizeof regs);
    memcpy(cpu->f, frame + OFFSET_FP, sizeof cpu->f);
    memcpy(&fcsr, frame + OFFSET_FCSR, sizeof fcsr);
    cpu->run.pc = regs[0] & ~UINT64_C(1);
    regs[0] = 0;
    memcpy(cpu->x, regs, sizeof regs);
    cpu->run.fp_flags = fcsr & 31;
    cpu->c.frm = fcsr >> FCSR_FRM_SHIFT & 7;
    cpu->run.view_dirty = 1;
    cpu->c.reservation = RV_NO_RESERVATION;
}

bool um_frame_push(struct um_proc *p, int signal, const uint8_t info[UM_SIGINFO_BYTES],
                   const struct um_sigaction *act)
{
    struct rv_cpu *cpu = p->cpu;
    uint64_t at = frame_address(p, act);
    uint8_t frame[FRAME_BYTES] = {0};
    struct um_altstack alt = p->sig.alt;
    if (um_on_altstack(p, cpu->x[2]))
        alt.flags |= UM_SS_ONSTACK;
    uint64_t mask = p->sig.suspended ? p->sig.saved_mask : p->sig.mask;
    memcpy(frame, info, UM_SIGINFO_BYTES);
    memcpy(frame + OFFSET_UC_STACK, &alt, sizeof alt);
    memcpy(frame + OFFSET_UC_SIGMASK, &mask, sizeof mask);
    save_registers(cpu, frame);
    if (um_copy_out(p, at, frame, sizeof frame))
        return false;
    if (alt.flags & UM_SS_AUTODISARM)
        p->sig.alt = (struct um_altstack){.flags = UM_SS_DISABLE};
    cpu->x[1] = p->actions->trampoline;
    cpu->x[2] = at;
    cpu->x[10] = (uint64_t)signal;
    cpu->x[11] = at;
    cpu->x[12] = at + OFFSET_UC_FLAGS;
    cpu->run.pc = act->handler & ~UINT64_C(1);
    cpu->c.reservation = RV_NO_RESERVATION;
    return true;
}

bool um_frame_pop(struct um_proc *p)
{
    uint8_t frame[FRAME_BYTES];
    if ((p->cpu->x[2] & 15) || um_copy_in(p, frame, p->cpu->x[2], sizeof frame))
        return false;
    struct um_altstack alt;
    uint64_t mask;
    memcpy(&alt, frame + OFFSET_UC_STACK, sizeof alt);
    memcpy(&mask, frame + OFFSET_UC_SIGMASK, sizeof mask);
    load_registers(p->cpu, frame);
    alt.flags &= ~(uint32_t)UM_SS_ONSTACK;
    p->sig.alt = alt;
    um_set_mask(p, mask);
    return true;
}
