/* System calls on processes: ending, forking, limits and attributes. */
#include <errno.h>
#include <limits.h>
#include <linux/sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "usermode/um.h"
#include "usermode/um_host.h"

int64_t um_sys_exit(struct um_proc *p, const uint64_t *a)
{
    um_exit(p, (int)(a[0] & 0xff));
    p->keep_registers = true;
    return 0;
}

int64_t um_sys_exit_group(struct um_proc *p, const uint64_t *a)
{
    return um_sys_exit(p, a);
}

int64_t um_sys_set_tid_address(struct um_proc *p, const uint64_t *a)
{
    (void)a; /* cleared and woken when a thread ends; this one ends with the process */
    return um_host(p, 0, SYS_gettid, 0, 0, 0, 0, 0, 0);
}

int64_t um_sys_set_robust_list(struct um_proc *p, const uint64_t *a)
{
    (void)p;
    return a[1] == 24 ? 0 : -EINVAL; /* sizeof(struct robust_list_head) */
}

/* In the child of a fork. */
static void child_start(struct um_proc *p, uint64_t flags, const uint64_t *a)
{
    struct rv_cpu *cpu = p->cpu;
    p->result.child = true;
    um_signals_forget_all(p);
    if (!um_engine_forked(p))
        um_raise(SIGKILL);
    if (a[1])
        cpu->x[2] = a[1];
    if (flags & CLONE_SETTLS)
        cpu->x[4] = a[3];
    if (flags & CLONE_CHILD_SETTID) {
        uint32_t tid = (uint32_t)getpid();
        um_copy_out(p, a[4], &tid, sizeof tid); /* the kernel ignores a fault, too */
    }
}

/* riscv64: clone(flags, stack, parent_tid, tls, child_tid). A process by fork; vfork's memory is
 * the child's own copy, but the parent does wait. */
int64_t um_sys_clone(struct um_proc *p, const uint64_t *a)
{
    const uint64_t flags = a[0];
    const uint64_t kept = CSIGNAL | CLONE_VFORK | CLONE_FS | CLONE_FILES | CLONE_PARENT |
                          CLONE_NEWNS | CLONE_NEWCGROUP | CLONE_NEWUTS | CLONE_NEWIPC |
                          CLONE_NEWUSER | CLONE_NEWPID | CLONE_NEWNET | CLONE_IO;
    if (((flags & CLONE_SIGHAND) && !(flags & CLONE_VM)) ||
        ((flags & CLONE_THREAD) && !(flags & CLONE_SIGHAND)))
        return -EINVAL;
    /* Threads are not here yet; shared memory only where the parent sleeps meanwhile. */
    if ((flags & (CLONE_THREAD | CLONE_SIGHAND)) || ((flags & CLONE_VM) && !(flags & CLONE_VFORK)))
        return -EAGAIN;
    /* A signal between the fork and the child's clean queue would be delivered twice. */
    um_host_sigmask(UINT64_MAX, NULL);
    int64_t pid = um_host(p, 0, SYS_clone, flags & kept, 0, 0, 0, 0, 0);
    if (pid == 0)
        child_start(p, flags, a);
    um_mask_host(p);
    if (pid > 0 && (flags & CLONE_PARENT_SETTID)) {
        uint32_t tid = (uint32_t)pid;
        um_copy_out(p, a[2], &tid, sizeof tid);
    }
    return pid;
}

/* --- limits and process attributes ------------------------------------------------------------ */

/* Limits on memory would hit our own tables: accepted, and not applied. */
static bool is_memory_limit(uint64_t resource)
{
    return (uint32_t)resource == RLIMIT_AS || (uint32_t)resource == RLIMIT_DATA;
}

/* Whose limit it is, and what it was, the host says before the new one is looked at. */
static int64_t memory_limit(struct um_proc *p, uint64_t pid, uint64_t resource, uint64_t set,
                            uint64_t old)
{
    struct rlimit lim;
    int64_t r = um_copy_in(p, &lim, set, sizeof lim);
    if (r == 0)
        r = um_host(p, 0, SYS_prlimit64, pid, resource, 0, um_arg(p, old), 0, 0);
    return r == 0 && lim.rlim_cur > lim.rlim_max ? -EINVAL : r;
}

int64_t um_sys_setrlimit(struct um_proc *p, const uint64_t *a)
{
    if (is_memory_limit(a[0]))
        return memory_limit(p, 0, a[0], a[1], 0);
    return um_host(p, 0, SYS_setrlimit, a[0], um_arg(p, a[1]), 0, 0, 0, 0);
}

int64_t um_sys_prlimit64(struct um_proc *p, const uint64_t *a)
{
    if (a[2] && is_memory_limit(a[1]))
        return memory_limit(p, a[0], a[1], a[2], a[3]);
    return um_host(p, 0, SYS_prlimit64, a[0], a[1], um_arg(p, a[2]), um_arg(p, a[3]), 0, 0);
}

int64_t um_sys_prctl(struct um_proc *p, const uint64_t *a)
{
    uint64_t second = a[1];
    switch ((int)a[0]) {
    case PR_SET_NAME:
    case PR_GET_NAME:
    case PR_GET_PDEATHSIG:
    case PR_GET_CHILD_SUBREAPER: second = um_arg(p, a[1]); break;
    case PR_SET_PDEATHSIG:
    case PR_SET_CHILD_SUBREAPER:
    case PR_GET_DUMPABLE:
    case PR_SET_DUMPABLE:
    case PR_GET_KEEPCAPS:
    case PR_SET_KEEPCAPS:
    case PR_GET_NO_NEW_PRIVS:
    case PR_SET_NO_NEW_PRIVS:
    case PR_CAPBSET_READ:
    case PR_CAPBSET_DROP:
    case PR_CAP_AMBIENT:
    case PR_GET_SECUREBITS:
    case PR_SET_SECUREBITS:
    case PR_GET_TIMERSLACK:
    case PR_SET_TIMERSLACK: break;
    default: return -EINVAL;
    }
    return um_host(p, 0, SYS_prctl, a[0], second, a[2], a[3], a[4], 0);
}
