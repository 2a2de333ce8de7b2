/* System calls on signals. */
#include <errno.h>
#include <signal.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "usermode/um.h"
#include "usermode/um_host.h"

enum { SIGSET_BYTES = 8 };

/* No vDSO: handlers return to two instructions on a page of their own. */
static int64_t make_trampoline(struct um_proc *p)
{
    static const uint32_t code[] = {
        0x08b00893, /* li a7, 139 (rt_sigreturn) */
        0x00000073, /* ecall */
    };
    int64_t at = um_space_mmap(p->space, 0, UM_PAGE, PROT_READ | PROT_WRITE,
                               MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (at < 0)
        return at;
    int64_t r = um_copy_out(p, (uint64_t)at, code, sizeof code);
    if (r == 0)
        r = um_space_mprotect(p->space, (uint64_t)at, UM_PAGE, PROT_READ | PROT_EXEC);
    if (r == 0)
        __atomic_store_n(&p->actions->trampoline, (uint64_t)at, __ATOMIC_RELEASE);
    return r;
}

int64_t um_sys_rt_sigaction(struct um_proc *p, const uint64_t *a)
{
    int signal = (int)a[0];
    if (a[3] != SIGSET_BYTES || signal < 1 || signal > UM_NSIG)
        return -EINVAL;
    struct um_sigaction old = um_action(p, signal), act;
    if (a[1]) {
        if (signal == SIGKILL || signal == SIGSTOP)
            return -EINVAL;
        int64_t r = um_copy_in(p, &act, a[1], sizeof act);
        if (r == 0 && act.handler != UM_SIG_DFL && act.handler != UM_SIG_IGN &&
            !__atomic_load_n(&p->actions->trampoline, __ATOMIC_ACQUIRE))
            r = make_trampoline(p);
        if (r == 0)
            r = um_set_action(p, signal, &act);
        if (r)
            return r;
    }
    return a[2] ? um_copy_out(p, a[2], &old, sizeof old) : 0;
}

int64_t um_sys_rt_sigprocmask(struct um_proc *p, const uint64_t *a)
{
    uint64_t old = p->sig.mask, set;
    if (a[3] != SIGSET_BYTES)
        return -EINVAL;
    if (a[1]) {
        int64_t r = um_copy_in(p, &set, a[1], sizeof set);
        if (r)
            return r;
        switch ((int)a[0]) {
        case SIG_BLOCK: um_set_mask(p, old | set); break;
        case SIG_UNBLOCK: um_set_mask(p, old & ~set); break;
        case SIG_SETMASK: um_set_mask(p, set); break;
        default: return -EINVAL;
        }
    }
    return a[2] ? um_copy_out(p, a[2], &old, sizeof old) : 0;
}

int64_t um_sys_rt_sigpending(struct um_proc *p, const uint64_t *a)
{
    uint64_t set = 0;
    if (a[1] > SIGSET_BYTES)
        return -EINVAL;
    int64_t r = um_host(p, 0, SYS_rt_sigpending, (uintptr_t)&set, sizeof set, 0, 0, 0, 0);
    if (r)
        return r;
    set = (set | um_signals_recorded(p)) & p->sig.mask;
    return um_copy_out(p, a[0], &set, a[1]);
}

int64_t um_sys_rt_sigsuspend(struct um_proc *p, const uint64_t *a)
{
    if (a[1] != SIGSET_BYTES)
        return -EINVAL;
    if (!a[0])
        return -EFAULT;
    int64_t r = um_suspend_from(p, a[0], a[1]);
    /* Nothing to poll and no time limit: until a signal is caught. */
    return r ? r : um_host(p, UM_BLOCK, SYS_ppoll, 0, 0, 0, 0, 0, 0);
}

int64_t um_sys_rt_sigtimedwait(struct um_proc *p, const uint64_t *a)
{
    uint64_t set;
    uint8_t info[UM_SIGINFO_BYTES];
    if (a[3] != SIGSET_BYTES)
        return -EINVAL;
    int64_t r = um_copy_in(p, &set, a[0], sizeof set);
    if (r)
        return r;
    int signal = um_signal_take(p, set, info);
    if (!signal) {
        uint64_t host_set = um_host_mask(set);
        r = um_host(p, UM_BLOCK, SYS_rt_sigtimedwait, (uintptr_t)&host_set, (uintptr_t)info,
                    um_arg(p, a[2]), sizeof host_set, 0, 0);
        if (r < 0) /* perhaps by one that is recorded and never pending on the host */
            signal = r == -EINTR ? um_signal_take(p, set, info) : 0;
        else
            signal = (int)r;
        if (!signal)
            return r;
    }
    um_mask_host(p);
    if (a[1]) {
        r = um_copy_out(p, a[1], info, sizeof info);
        if (r)
            return r;
    }
    return signal;
}

int64_t um_sys_rt_sigreturn(struct um_proc *p, const uint64_t *a)
{
    (void)a;
    p->keep_registers = true;
    if (!um_frame_pop(p))
        um_signal_fault(p, SIGSEGV, SI_KERNEL, 0);
    return 0;
}

int64_t um_sys_sigaltstack(struct um_proc *p, const uint64_t *a)
{
    struct um_altstack old = p->sig.alt, ss;
    bool on = um_on_altstack(p, p->cpu->x[2]);
    if (on)
        old.flags |= UM_SS_ONSTACK;
    if (a[0]) {
        int64_t r = um_copy_in(p, &ss, a[0], sizeof ss);
        if (r)
            return r;
        uint32_t mode = ss.flags & ~UM_SS_AUTODISARM;
        if (on)
            return -EPERM;
        if (mode != 0 && mode != UM_SS_ONSTACK && mode != UM_SS_DISABLE)
            return -EINVAL;
        if (mode == UM_SS_DISABLE)
            ss.sp = ss.size = 0;
        else if (ss.size < 2048) /* MINSIGSTKSZ */
            return -ENOMEM;
        ss.flags &= ~(uint32_t)UM_SS_ONSTACK;
        p->sig.alt = ss;
    }
    return a[1] ? um_copy_out(p, a[1], &old, sizeof old) : 0;
}
