/* System calls on processes: ending, forking, starting another program. */
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
    /* Threads are not here yet; shared memory only where the parent sleeps meanwhile. */
    if ((flags & (CLONE_THREAD | CLONE_SIGHAND)) || ((flags & CLONE_VM) && !(flags & CLONE_VFORK)))
        return -EAGAIN;
    /* A signal between the fork and the child's clean queue would be delivered twice. */
    um_host_sigmask(UINT64_MAX, NULL);
    int64_t pid = um_host(p, 0, SYS_clone, flags & kept, 0, 0, 0, 0, 0);
    if (pid == 0)
        child_start(p, flags, a);
    um_host_sigmask(um_host_mask(p->sig.mask), NULL);
    if (pid > 0 && (flags & CLONE_PARENT_SETTID)) {
        uint32_t tid = (uint32_t)pid;
        um_copy_out(p, a[2], &tid, sizeof tid);
    }
    return pid;
}

/* --- execve ----------------------------------------------------------------------------------- */

/* Pointers to a guest's list of strings, as they stand in guest memory; before is left empty in
 * front. NULL with *error set. */
static char **strings_in(struct um_proc *p, uint64_t addr, unsigned before, uint64_t *count,
                         int64_t *error)
{
    uint64_t n = 0, cap = 64, len;
    bool too_long;
    char **v = malloc((before + cap + 1) * sizeof *v);
    *error = v ? 0 : -ENOMEM;
    while (*error == 0 && addr) {
        uint64_t s;
        *error = um_copy_in(p, &s, addr + n * 8, sizeof s);
        if (*error || s == 0)
            break;
        const char *text = um_space_string(&p->space, s, 32 * UM_PAGE, &len, &too_long);
        if (!text) {
            *error = too_long ? -E2BIG : -EFAULT;
            break;
        }
        if (n == cap) {
            char **more = realloc(v, (before + cap * 2 + 1) * sizeof *v);
            if (!more || cap > 1000000) {
                v = more ? more : v;
                *error = -E2BIG;
                break;
            }
            v = more;
            cap *= 2;
        }
        v[before + n++] = (char *)(uintptr_t)text;
    }
    if (*error) {
        free(v);
        return NULL;
    }
    v[before + n] = NULL;
    *count = n;
    return v;
}

/* Words of a start of ourselves, ahead of the guest's argv[1...]. */
struct own_start {
    char timeout[40], path[PATH_MAX];
};

static unsigned word_count(char *const *words)
{
    unsigned n = 0;
    while (words && words[n])
        n++;
    return n;
}

static char **words_before(char **to, char *const *words)
{
    for (unsigned n = word_count(words); n; n--)
        *--to = words[n - 1];
    return to;
}

/* argv has room for them in front of its `before`th word, the guest's argv[0]; PROG takes its
 * place. */
static char **own_words(const struct um_proc *p, char **argv, unsigned before, uint64_t count,
                        const char *path, struct own_start *own)
{
    char **to = argv + before, *argv0 = count ? to[0] : "";
    snprintf(own->path, sizeof own->path, "%s%s", path[0] == '-' ? "./" : "", path);
    if (!count)
        to[1] = NULL;
    *to = own->path;
    *--to = argv0;
    *--to = "-0";
    if (p->cfg->timeout_ns) {
        uint64_t spent = um_now_ns() - p->start_ns;
        uint64_t left = spent < p->cfg->timeout_ns ? p->cfg->timeout_ns - spent : 0;
        snprintf(own->timeout, sizeof own->timeout, "--timeout=%llums",
                 (unsigned long long)(left / 1000000 + 1));
        *--to = own->timeout;
    }
    if (!p->result.child)
        to = words_before(to, p->cfg->once_argv);
    return words_before(to, p->cfg->self_argv);
}

static int64_t exec_program(struct um_proc *p, const char *path, uint64_t argv_addr,
                            uint64_t envp_addr)
{
    enum um_file_kind kind;
    int64_t r = um_file_kind(p, path, &kind);
    if (r)
        return r;
    /* and -0, argv[0], --timeout, PROG, NULL */
    unsigned before = word_count(p->cfg->self_argv) + word_count(p->cfg->once_argv) + 5;
    uint64_t argc, envc;
    char **argv = strings_in(p, argv_addr, before, &argc, &r);
    if (!argv)
        return r;
    char **envp = strings_in(p, envp_addr, 0, &envc, &r);
    if (!envp) {
        free(argv);
        return r;
    }
    struct own_start own;
    char **use = argv + before;
    const char *file = path;
    if (kind == UM_FILE_GUEST && p->cfg->self_argv) {
        use = own_words(p, argv, before, argc, path, &own);
        file = "/proc/self/exe";
    }
    /* What the guest ignores stays ignored; the engine's three signals were never told the host. */
    static const int engine_signals[] = {SIGSEGV, SIGBUS, SIGFPE};
    for (unsigned i = 0; i < 3; i++)
        if (um_action(p, engine_signals[i])->handler == UM_SIG_IGN)
            um_host_sigaction(engine_signals[i], (uintptr_t)SIG_IGN, 0, 0, NULL);
    execve(file, use, envp);
    r = -errno;
    free(argv);
    free(envp);
    return r;
}

int64_t um_sys_execve(struct um_proc *p, const uint64_t *a)
{
    char buf[PATH_MAX];
    const char *path;
    int64_t r = um_path(p, a[0], buf, &path);
    return r ? r : exec_program(p, path, a[1], a[2]);
}

/* Only what is execve by another name; the rest is rare. */
int64_t um_sys_execveat(struct um_proc *p, const uint64_t *a)
{
    const int at_fdcwd = -100;
    char buf[PATH_MAX];
    const char *path;
    int64_t r = um_path(p, a[1], buf, &path);
    if (r)
        return r;
    if (a[4] || ((int)a[0] != at_fdcwd && path[0] != '/'))
        return -ENOSYS;
    return exec_program(p, path, a[2], a[3]);
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
