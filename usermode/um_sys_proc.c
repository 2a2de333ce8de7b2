/* System calls on processes: limits and attributes. */
#include <errno.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>

#include "usermode/um.h"

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
