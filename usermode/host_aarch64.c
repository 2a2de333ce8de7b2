/* AArch64 Linux: um_host.h by hand, since the window between the look at *attention and the svc
 * instruction must be known to the signal handler. */
#include "usermode/um_host.h"

#include "usermode/host_kernel.h"

#include <errno.h>
#include <ucontext.h>

enum { ATTENTION = 9 }; /* the register that holds its address in the window */

/* int64_t um_a64_blocking_call(const uint32_t *attention, long nr, const uint64_t args[6]) */
__asm__(".text\n"
        ".p2align 4\n"
        ".type um_a64_blocking_call, %function\n"
        "um_a64_blocking_call:\n"
        "    mov x9, x0\n"
        "    mov x8, x1\n"
        "    mov x10, x2\n"
        "    ldp x0, x1, [x10]\n"
        "    ldp x2, x3, [x10, #16]\n"
        "    ldp x4, x5, [x10, #32]\n"
        "um_a64_window_start:\n"
        "    ldr w11, [x9]\n"
        "    cbnz w11, um_a64_interrupted\n"
        "    svc #0\n"
        "um_a64_window_end:\n"
        "    ret\n"
        "um_a64_interrupted:\n"
        "    mov x0, #-4\n" /* -EINTR */
        "    ret\n"
        ".size um_a64_blocking_call, . - um_a64_blocking_call\n");

extern int64_t um_a64_blocking_call(const uint32_t *attention, long nr, const uint64_t *args);
extern const char um_a64_window_start[], um_a64_window_end[], um_a64_interrupted[];

_Static_assert(EINTR == 4, "as written above");

int64_t um_host_blocking_call(const uint32_t *attention, long nr, const uint64_t args[6])
{
    return um_a64_blocking_call(attention, nr, args);
}

void um_host_interrupt(void *uctx)
{
    ucontext_t *u = uctx;
    uint64_t pc = u->uc_mcontext.pc;
    if (pc >= (uintptr_t)um_a64_window_start && pc < (uintptr_t)um_a64_window_end &&
        u->uc_mcontext.regs[ATTENTION] != (uintptr_t)&um_host_never)
        u->uc_mcontext.pc = (uintptr_t)um_a64_interrupted;
}

uintptr_t um_host_restorer(void)
{
    return 0; /* the vDSO has one */
}

int64_t um_host_vfork(uint64_t flags, uint64_t pidfd, void (*child)(void *), void *context)
{
    (void)flags, (void)pidfd, (void)child, (void)context;
    return -ENOSYS;
}
