/* System calls that make threads and processes, end them, and tell of a thread. */
#include <errno.h>
#include <linux/sched.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "usermode/um.h"
#include "usermode/um_host.h"

enum { ROBUST_HEAD_BYTES = 24 };

/* --- ends ------------------------------------------------------------------------------------------ */

int64_t um_sys_exit(struct um_proc *p, const uint64_t *a)
{
    int status = (int)(a[0] & 0xff);
    if (p->group->threaded && !p->borrows)
        um_thread_exit(p, status);
    else
        um_exit(p, status);
    p->keep_registers = true;
    return 0;
}

int64_t um_sys_exit_group(struct um_proc *p, const uint64_t *a)
{
    um_exit(p, (int)(a[0] & 0xff));
    p->keep_registers = true;
    return 0;
}

/* --- what the kernel would know of a thread -------------------------------------------------------- */

int64_t um_sys_set_tid_address(struct um_proc *p, const uint64_t *a)
{
    p->clear_tid = a[0];
    return um_host(p, 0, SYS_gettid, 0, 0, 0, 0, 0, 0);
}

int64_t um_sys_set_robust_list(struct um_proc *p, const uint64_t *a)
{
    if (a[1] != ROBUST_HEAD_BYTES)
        return -EINVAL;
    p->robust_list = a[0];
    return 0;
}

/* Of a thread of this program; those of others are asked for by nobody. */
int64_t um_sys_get_robust_list(struct um_proc *p, const uint64_t *a)
{
    const uint64_t size = ROBUST_HEAD_BYTES;
    uint32_t tid = (uint32_t)a[0];
    uint64_t head = p->robust_list;
    bool found = !tid || tid == p->tid;
    um_lock(p);
    for (const struct um_proc *t = p->group->threads; t && !found; t = t->next)
        if (t->tid == tid && !t->ended) {
            head = t->robust_list;
            found = true;
        }
    um_unlock(p);
    if (!found)
        return kill((pid_t)tid, 0) && errno == ESRCH ? -ESRCH : -EPERM;
    int64_t r = um_copy_out(p, a[2], &size, sizeof size);
    return r ? r : um_copy_out(p, a[1], &head, sizeof head);
}

/* Between the guest's threads, which are the host's; but for those that are about code, or of rseq. */
int64_t um_sys_membarrier(struct um_proc *p, const uint64_t *a)
{
    enum { QUERY = 0, OFFERED = 0x1f }; /* global, expedited ones, private expedited ones */
    int64_t r = a[0] & ~(uint64_t)OFFERED
                    ? -EINVAL
                    : um_host(p, 0, SYS_membarrier, a[0], a[1], a[2], 0, 0, 0);
    return (int)a[0] == QUERY && r > 0 ? r & OFFERED : r;
}

/* --- new ones ---------------------------------------------------------------------------------------- */

/* What a new process, or one that has our memory, does first. */
void um_child_start(struct um_proc *p, const struct um_clone *c)
{
    um_child_registers(p, c);
    p->clear_tid = c->flags & CLONE_CHILD_CLEARTID ? c->child_tid : 0;
    if (c->flags & CLONE_CHILD_SETTID) {
        uint32_t tid = (uint32_t)gettid();
        um_copy_out(p, c->child_tid, &tid, sizeof tid); /* the kernel ignores a fault, too */
    }
    for (int s = 1; c->flags & CLONE_CLEAR_SIGHAND && s <= UM_NSIG; s++)
        if (s != SIGKILL && s != SIGSTOP && um_action(p, s).handler > UM_SIG_IGN)
            um_set_action(p, s, &(struct um_sigaction){.handler = UM_SIG_DFL});
}

static void forked(struct um_proc *p, const struct um_clone *c)
{
    p->result.child = true;
    if (p->group->threaded)
        um_group_forked(p);
    um_signals_forget_all(p);
    if (!um_engine_forked(p))
        um_raise(SIGKILL);
    p->tid = (uint32_t)gettid();
    p->robust_list = 0;
    um_child_start(p, c);
}

/* The C library's own locks have to be free in a child of several threads; it does no more than plain forks. */
static int64_t fork_host(struct um_proc *p, const struct um_clone *c, uint64_t flags)
{
    if (p->group->threaded && flags == SIGCHLD) {
        pid_t pid = fork();
        return pid < 0 ? -errno : pid;
    }
    return um_host(p, 0, SYS_clone, flags, 0, um_arg(p, c->pidfd), 0, 0, 0);
}

static int64_t new_process(struct um_proc *p, const struct um_clone *c)
{
    const uint64_t kept = CLONE_VFORK | CLONE_FS | CLONE_FILES | CLONE_PARENT | CLONE_NEWNS |
                          CLONE_NEWCGROUP | CLONE_NEWUTS | CLONE_NEWIPC | CLONE_NEWUSER |
                          CLONE_NEWPID | CLONE_NEWNET | CLONE_IO | CLONE_PIDFD;
    bool threaded = p->group->threaded;
    /* A signal between the fork and the child's clean queue would be delivered twice. */
    um_host_sigmask(UINT64_MAX, NULL);
    if (threaded)
        um_group_hold(p);
    int64_t pid = fork_host(p, c, (c->flags & kept) | c->exit_signal);
    if (pid == 0)
        forked(p, c);
    else if (threaded)
        um_group_let_go(p);
    um_mask_host(p);
    return pid;
}

static void tell_refused(struct um_proc *p, const char *what)
{
    if (p->cfg->quiet || p->group->clone_refused)
        return;
    p->group->clone_refused = true;
    fprintf(stderr, "godwit: note: clone is refused: %s\n", what);
}

static int64_t clone_any(struct um_proc *p, const struct um_clone *c)
{
    const uint64_t flags = c->flags;
    if (((flags & CLONE_SIGHAND) && !(flags & CLONE_VM)) ||
        ((flags & CLONE_THREAD) && !(flags & CLONE_SIGHAND)) ||
        ((flags & CLONE_CLEAR_SIGHAND) && (flags & CLONE_SIGHAND)))
        return -EINVAL;
    if (flags & CLONE_THREAD) {
        if (!p->debug && !p->borrows && !p->space->by_map)
            return um_thread_start(p, c);
        tell_refused(p, p->debug     ? "a program that is watched has one thread"
                        : p->borrows ? "a thread for a child of vfork"
                                     : "a program whose pages go by a map has one thread");
        return -EAGAIN;
    }
    if ((flags & CLONE_VM) && (flags & (CLONE_VFORK | CLONE_SIGHAND)) != CLONE_VFORK) {
        tell_refused(p, "a process that goes on beside its parent, in the same memory");
        return -EAGAIN;
    }
    int64_t pid = flags & CLONE_VM ? um_vfork(p, c) : -ENOSYS;
    if (pid ==
        -ENOSYS) /* on hosts that we can't do that on, the child has a copy, but the parent waits */
        pid = new_process(p, c);
    if (pid > 0 && (flags & CLONE_PARENT_SETTID)) {
        uint32_t tid = (uint32_t)pid;
        um_copy_out(p, c->parent_tid, &tid, sizeof tid);
    }
    return pid;
}

/* riscv64: clone(flags, stack, parent_tid, tls, child_tid). */
int64_t um_sys_clone(struct um_proc *p, const uint64_t *a)
{
    const uint64_t of_clone3 = CLONE_CLEAR_SIGHAND | CLONE_INTO_CGROUP;
    const struct um_clone c = {.flags = a[0] & 0xffffffff & ~(uint64_t)CSIGNAL & ~of_clone3,
                               .exit_signal = a[0] & CSIGNAL,
                               .stack = a[1],
                               .tls = a[3],
                               .parent_tid = a[2],
                               .child_tid = a[4],
                               .pidfd = a[0] & CLONE_PIDFD ? a[2] : 0};
    return clone_any(p, &c);
}

int64_t um_sys_clone3(struct um_proc *p, const uint64_t *a)
{
    struct clone_args args = {0};
    const uint64_t least = CLONE_ARGS_SIZE_VER0;
    uint8_t more;
    if (a[1] < least)
        return -EINVAL;
    if (a[1] > UM_PAGE)
        return -E2BIG;
    int64_t r = um_copy_in(p, &args, a[0], a[1] < sizeof args ? a[1] : sizeof args);
    for (uint64_t at = sizeof args; r == 0 && at < a[1]; at++)
        if ((r = um_copy_in(p, &more, a[0] + at, 1)) == 0 && more)
            r = -E2BIG;
    if (r)
        return r;
    if (args.flags & (CSIGNAL | CLONE_DETACHED) || args.exit_signal > UM_NSIG ||
        !args.stack != !args.stack_size ||
        (args.flags & (CLONE_THREAD | CLONE_PARENT) && args.exit_signal))
        return -EINVAL;
    if (args.set_tid_size || args.flags & (CLONE_INTO_CGROUP | CLONE_NEWTIME)) {
        tell_refused(p, "clone3 with a number, a control group or a time namespace");
        return -EINVAL;
    }
    const struct um_clone c = {.flags = args.flags,
                               .exit_signal = args.exit_signal,
                               .stack = args.stack + args.stack_size,
                               .tls = args.tls,
                               .parent_tid = args.parent_tid,
                               .child_tid = args.child_tid,
                               .pidfd = args.flags & CLONE_PIDFD ? args.pidfd : 0};
    return clone_any(p, &c);
}
