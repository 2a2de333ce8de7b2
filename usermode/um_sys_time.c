/*
 * System calls on time.
 *
 * The host's clock is not the program's to set, even where godwit runs as root, unless the user says
 * so: the right to (CAP_SYS_TIME) is given up before the program starts, for its children and what
 * they run too. So the host's kernel judges each way to a clock, those that are no system call of
 * these as well.
 */
#include <errno.h>
#include <linux/capability.h>
#include <stdio.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

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

/* --- setting clocks --------------------------------------------------------------------------- */

void um_clock_keep(void)
{
    struct __user_cap_header_struct h = {_LINUX_CAPABILITY_VERSION_3, 0};
    struct __user_cap_data_struct d[_LINUX_CAPABILITY_U32S_3];
    const uint32_t bit = 1u << CAP_SYS_TIME;
    if (syscall(SYS_capget, &h, d) || !(d[0].permitted & bit))
        return;
    /* Out of the bounding set: what the guest starts as root gets it no more than we. */
    prctl(PR_CAPBSET_DROP, CAP_SYS_TIME, 0, 0, 0);
    d[0].effective &= ~bit;
    d[0].permitted &= ~bit;
    d[0].inheritable &= ~bit;
    syscall(SYS_capset, &h, d);
}

/* Says once to root why it was refused. */
static int64_t clock_set(struct um_proc *p, const char *call, int64_t r)
{
    if (r == -EPERM && !p->cfg->allow_clock && !p->cfg->quiet && !p->group->clock_refused &&
        geteuid() == 0) {
        p->group->clock_refused = true;
        fprintf(stderr, "godwit: note: the host's clock is not set: %s: only with --allow-clock\n",
                call);
    }
    return r;
}

int64_t um_sys_clock_settime(struct um_proc *p, const uint64_t *a)
{
    return clock_set(p, "clock_settime",
                     um_host(p, 0, SYS_clock_settime, a[0], um_arg(p, a[1]), 0, 0, 0, 0));
}

int64_t um_sys_settimeofday(struct um_proc *p, const uint64_t *a)
{
    return clock_set(p, "settimeofday",
                     um_host(p, 0, SYS_settimeofday, um_arg(p, a[0]), um_arg(p, a[1]), 0, 0, 0, 0));
}

/* struct timex has one layout on 64-bit machines. */
int64_t um_sys_adjtimex(struct um_proc *p, const uint64_t *a)
{
    return clock_set(p, "adjtimex", um_host(p, 0, SYS_adjtimex, um_arg(p, a[0]), 0, 0, 0, 0, 0));
}

int64_t um_sys_clock_adjtime(struct um_proc *p, const uint64_t *a)
{
    return clock_set(p, "clock_adjtime",
                     um_host(p, 0, SYS_clock_adjtime, a[0], um_arg(p, a[1]), 0, 0, 0, 0));
}
