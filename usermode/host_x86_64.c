/* x86-64 Linux: um_host.h by hand, since the window between the look at *attention and the syscall
 * instruction must be known to the signal handler. */
#include "usermode/um_host.h"

#include "usermode/host_kernel.h"

#include <errno.h>
#include <ucontext.h>
#include <unistd.h>

/* int64_t um_x64_blocking_call(const uint32_t *attention, long nr, const uint64_t args[6]) */
__asm__(".text\n"
        ".p2align 4\n"
        ".type um_x64_blocking_call, @function\n"
        "um_x64_blocking_call:\n"
        "    pushq %rbx\n"
        "    movq %rdi, %rbx\n"
        "    movq %rsi, %rax\n"
        "    movq %rdx, %r11\n"
        "    movq (%r11), %rdi\n"
        "    movq 8(%r11), %rsi\n"
        "    movq 16(%r11), %rdx\n"
        "    movq 24(%r11), %r10\n"
        "    movq 32(%r11), %r8\n"
        "    movq 40(%r11), %r9\n"
        "um_x64_window_start:\n"
        "    cmpl $0, (%rbx)\n"
        "    jne um_x64_interrupted\n"
        "    syscall\n"
        "um_x64_window_end:\n"
        "    popq %rbx\n"
        "    ret\n"
        "um_x64_interrupted:\n"
        "    movq $-4, %rax\n" /* -EINTR */
        "    popq %rbx\n"
        "    ret\n"
        ".size um_x64_blocking_call, . - um_x64_blocking_call\n"
        /* int64_t um_x64_vfork(flags, pidfd, child, context): what is pushed before the call is not
         * touched by the child, whose frames come below. */
        ".type um_x64_vfork, @function\n"
        "um_x64_vfork:\n"
        "    pushq %rbx\n"
        "    pushq %r12\n"
        "    pushq %r12\n"
        "    movq %rdx, %rbx\n"
        "    movq %rcx, %r12\n"
        "    movq %rsi, %rdx\n"
        "    xorl %esi, %esi\n"
        "    xorl %r10d, %r10d\n"
        "    xorl %r8d, %r8d\n"
        "    movl $56, %eax\n" /* clone */
        "    syscall\n"
        "    testq %rax, %rax\n"
        "    jz 1f\n"
        "    popq %r12\n"
        "    popq %r12\n"
        "    popq %rbx\n"
        "    ret\n"
        "1:  movq %r12, %rdi\n"
        "    callq *%rbx\n"
        "    hlt\n"
        ".size um_x64_vfork, . - um_x64_vfork\n"
        ".type um_x64_restorer, @function\n"
        "um_x64_restorer:\n"
        "    movl $15, %eax\n" /* rt_sigreturn */
        "    syscall\n"
        ".size um_x64_restorer, . - um_x64_restorer\n");

extern int64_t um_x64_blocking_call(const uint32_t *attention, long nr, const uint64_t *args);
extern const char um_x64_window_start[], um_x64_window_end[], um_x64_interrupted[];
extern const char um_x64_restorer[];

_Static_assert(EINTR == 4, "as written above");

int64_t um_host_blocking_call(const uint32_t *attention, long nr, const uint64_t args[6])
{
    return um_x64_blocking_call(attention, nr, args);
}

extern int64_t um_x64_vfork(uint64_t flags, uint64_t pidfd, void (*child)(void *), void *context);

int64_t um_host_vfork(uint64_t flags, uint64_t pidfd, void (*child)(void *), void *context)
{
    return um_x64_vfork(flags, pidfd, child, context);
}

void um_host_interrupt(void *uctx)
{
    ucontext_t *u = uctx;
    uint64_t pc = (uint64_t)u->uc_mcontext.gregs[REG_RIP];
    if (pc >= (uintptr_t)um_x64_window_start && pc < (uintptr_t)um_x64_window_end &&
        (uintptr_t)u->uc_mcontext.gregs[REG_RBX] != (uintptr_t)&um_host_never)
        u->uc_mcontext.gregs[REG_RIP] = (greg_t)(uintptr_t)um_x64_interrupted;
}

uintptr_t um_host_restorer(void)
{
    return (uintptr_t)um_x64_restorer;
}
