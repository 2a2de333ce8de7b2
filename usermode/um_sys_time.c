/* System calls on time. */
#include <errno.h>
#include <sys/syscall.h>
#include <sys/time.h>
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

int64_t um_sys_gettimeofday(struct um_proc *p, const uint64_t *a)
{
    struct timeval tv;
    struct timezone tz;
    if (gettimeofday(&tv, &tz))
        return -errno;
    int64_t r = a[0] ? um_copy_out(p, a[0], &tv, sizeof tv) : 0;
    return r || !a[1] ? r : um_copy_out(p, a[1], &tz, sizeof tz);
}

/* --- sleep ------------------------------------------------------------------------------------ */

/* What is left of a sleep that ended with r stands at rem if a signal ended it, and only then. left: as
 * the kernel has it, or all of it, if the signal came before the kernel was entered. */
static int64_t sleep_ended(struct um_proc *p, int64_t r, uint64_t rem, const struct timespec *left)
{
    if (r != -EINTR || !rem)
        return r;
    int64_t e = um_copy_out(p, rem, left, sizeof *left);
    return e ? e : r;
}

int64_t um_sys_nanosleep(struct um_proc *p, const uint64_t *a)
{
    struct timespec left = {0, 0};
    um_copy_in(p, &left, a[0], sizeof left); /* the kernel says what is wrong with it */
    int64_t r = um_host(p, UM_BLOCK, SYS_nanosleep, um_arg(p, a[0]), (uintptr_t)&left, 0, 0, 0, 0);
    return sleep_ended(p, r, a[1], &left);
}

int64_t um_sys_clock_nanosleep(struct um_proc *p, const uint64_t *a)
{
    struct timespec left = {0, 0};
    um_copy_in(p, &left, a[2], sizeof left);
    int64_t r = um_host(p, UM_BLOCK, SYS_clock_nanosleep, a[0], a[1], um_arg(p, a[2]),
                        (uintptr_t)&left, 0, 0);
    return sleep_ended(p, r, a[1] & TIMER_ABSTIME ? 0 : a[3], &left);
}
