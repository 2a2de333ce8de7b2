/* System calls on waiting, and what the machine is. */
#include <errno.h>
#include <linux/futex.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/utsname.h>

#include "usermode/um.h"

int64_t um_sys_uname(struct um_proc *p, const uint64_t *a)
{
    struct utsname u;
    if (uname(&u))
        return -errno;
    memset(u.machine, 0, sizeof u.machine);
    snprintf(u.machine, sizeof u.machine, "%s", p->isa->name);
    if (p->cfg->uname_release) {
        memset(u.release, 0, sizeof u.release);
        snprintf(u.release, sizeof u.release, "%s", p->cfg->uname_release);
    }
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
    int64_t r = um_suspend_from(p, a[3], a[4]);
    if (r)
        return r;
    return um_host(p, UM_BLOCK, SYS_ppoll, um_arg(p, a[0]), a[1], um_arg(p, a[2]), 0, 0, 0);
}

int64_t um_sys_pselect6(struct um_proc *p, const uint64_t *a)
{
    uint64_t mask[2] = {0, 0}; /* address, size */
    int64_t r = a[5] ? um_copy_in(p, mask, a[5], sizeof mask) : 0;
    if (r == 0)
        r = um_suspend_from(p, mask[0], mask[1]);
    if (r)
        return r;
    return um_host(p, UM_BLOCK, SYS_pselect6, a[0], um_arg(p, a[1]), um_arg(p, a[2]),
                   um_arg(p, a[3]), um_arg(p, a[4]), 0);
}
