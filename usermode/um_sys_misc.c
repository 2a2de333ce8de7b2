/* System calls on time, waiting, and what the machine is. */
#include <errno.h>
#include <linux/futex.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <sys/utsname.h>
#include <time.h>

#include "usermode/um.h"

/* By the C library, which asks the vDSO. */
int64_t um_sys_clock_gettime(struct um_proc *p, const uint64_t *a)
{
    struct timespec ts;
    if (clock_gettime((clockid_t)a[0], &ts))
        return -errno;
    return um_copy_out(p, a[1], &ts, sizeof ts);
}

/* What is left of a sleep stands at rem when a signal ends it: all of it, when that signal came
 * before the kernel was entered. */
static int64_t fill_rest(struct um_proc *p, uint64_t req, uint64_t rem)
{
    struct timespec ts;
    if (!rem || rem == req)
        return 0;
    int64_t r = um_copy_in(p, &ts, req, sizeof ts);
    return r ? r : um_copy_out(p, rem, &ts, sizeof ts);
}

int64_t um_sys_nanosleep(struct um_proc *p, const uint64_t *a)
{
    int64_t r = fill_rest(p, a[0], a[1]);
    return r ? r
             : um_host(p, UM_BLOCK, SYS_nanosleep, um_arg(p, a[0]), um_arg(p, a[1]), 0, 0, 0, 0);
}

int64_t um_sys_clock_nanosleep(struct um_proc *p, const uint64_t *a)
{
    int64_t r = a[1] & TIMER_ABSTIME ? 0 : fill_rest(p, a[2], a[3]);
    return r ? r
             : um_host(p, UM_BLOCK, SYS_clock_nanosleep, a[0], a[1], um_arg(p, a[2]),
                       um_arg(p, a[3]), 0, 0);
}

int64_t um_sys_gettimeofday(struct um_proc *p, const uint64_t *a)
{
    struct timeval tv;
    struct timezone tz;
    if (gettimeofday(&tv, &tz))
        return -errno;
    int64_t r = a[0] ? um_copy_out(p, a[0], &tv, sizeof tv) : 0;
    return r || !a[1] ? r : um_copy_out(p, a[1], &tz, sizeof tz);
}

int64_t um_sys_uname(struct um_proc *p, const uint64_t *a)
{
    struct utsname u;
    if (uname(&u))
        return -errno;
    memset(u.machine, 0, sizeof u.machine);
    snprintf(u.machine, sizeof u.machine, "%s", p->isa->name);
    return um_copy_out(p, a[0], &u, sizeof u);
}

int64_t um_sys_futex(struct um_proc *p, const uint64_t *a)
{
    uint64_t fourth = a[3];
    unsigned flags = 0;
    switch (a[1] & FUTEX_CMD_MASK) {
    case FUTEX_WAIT:
    case FUTEX_WAIT_BITSET:
    case FUTEX_LOCK_PI:
    case FUTEX_LOCK_PI2:
    case FUTEX_WAIT_REQUEUE_PI: /* a time limit stands there */
        fourth = um_arg(p, a[3]);
        flags = UM_BLOCK;
        break;
    default: break;
    }
    return um_host(p, flags, SYS_futex, um_arg(p, a[0]), a[1], a[2], fourth, um_arg(p, a[4]), a[5]);
}

int64_t um_sys_ppoll(struct um_proc *p, const uint64_t *a)
{
    int64_t r = um_suspend_from(p, a[3]);
    if (r)
        return r;
    return um_host(p, UM_BLOCK, SYS_ppoll, um_arg(p, a[0]), a[1], um_arg(p, a[2]), 0, 0, 0);
}

int64_t um_sys_pselect6(struct um_proc *p, const uint64_t *a)
{
    uint64_t mask[2] = {0, 0}; /* address, size */
    int64_t r = a[5] ? um_copy_in(p, mask, a[5], sizeof mask) : 0;
    if (r == 0)
        r = um_suspend_from(p, mask[0]);
    if (r)
        return r;
    return um_host(p, UM_BLOCK, SYS_pselect6, a[0], um_arg(p, a[1]), um_arg(p, a[2]),
                   um_arg(p, a[3]), um_arg(p, a[4]), 0);
}
