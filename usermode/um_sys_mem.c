/* System calls on memory. */
#include <errno.h>
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/syscall.h>

#include "usermode/um.h"

int64_t um_sys_brk(struct um_proc *p, const uint64_t *a)
{
    return (int64_t)um_space_brk(p->space, a[0]);
}

int64_t um_sys_mmap(struct um_proc *p, const uint64_t *a)
{
    const uint32_t flags = (uint32_t)a[3];
    int64_t r = um_space_mmap(p->space, a[0], a[1], (uint32_t)a[2], flags, (int)a[4], a[5]);
    if (r >= 0 && (flags & MAP_TYPE) != MAP_PRIVATE)
        gw_run(p->cpu)->alone = 0;
    /* The kernel looks at the file before the rest. */
    if (r < 0 && !(flags & MAP_ANONYMOUS) &&
        um_host(p, 0, SYS_fcntl, a[4], F_GETFD, 0, 0, 0, 0) < 0)
        return -EBADF;
    return r;
}

int64_t um_sys_munmap(struct um_proc *p, const uint64_t *a)
{
    return um_space_munmap(p->space, a[0], a[1]);
}

int64_t um_sys_mprotect(struct um_proc *p, const uint64_t *a)
{
    return um_space_mprotect(p->space, a[0], a[1], (uint32_t)a[2]);
}

int64_t um_sys_mremap(struct um_proc *p, const uint64_t *a)
{
    return um_space_mremap(p->space, a[0], a[1], a[2], (uint32_t)a[3], a[4]);
}

/*
 * Calls on a range of pages: the host finds what is wrong with it, and holes. What leaves the window
 * is cut behind the first byte after it, whose page is never mapped, unless the range wraps around:
 * then the host's does, too.
 */
static int64_t range_call(struct um_proc *p, long nr, const uint64_t *a, uint64_t third)
{
    const uint64_t limit = p->space->limit, pages = (a[1] + UM_PAGE - 1) & ~(uint64_t)(UM_PAGE - 1);
    const bool inside = a[0] < limit, wraps = a[0] && pages >= 0 - a[0];
    uint64_t at = inside ? a[0] : limit + a[0] % UM_PAGE, size = a[1];
    if (wraps)
        size = inside ? size : 0 - (uint64_t)2 * UM_PAGE;
    else if (!inside || pages > limit - at)
        size = pages ? (inside ? limit - at + 1 : 1) : size;
    return um_host(p, 0, nr, p->space->base + at, size, third, 0, 0, 0);
}

/* Advice that gives up contents: translated code may go with them. */
static bool discards(int advice)
{
    enum { DONTNEED_LOCKED = 24 };
    return advice == MADV_DONTNEED || advice == MADV_FREE || advice == MADV_REMOVE ||
           advice == DONTNEED_LOCKED;
}

int64_t um_sys_madvise(struct um_proc *p, const uint64_t *a)
{
    int64_t r = range_call(p, SYS_madvise, a, a[2]);
    if (discards((int)a[2]) && (r == 0 || r == -ENOMEM)) /* what lies around holes, too */
        um_engine_code_changed(p, a[0], a[1]);
    return r;
}

int64_t um_sys_msync(struct um_proc *p, const uint64_t *a)
{
    return range_call(p, SYS_msync, a, a[2]);
}

int64_t um_sys_mlock(struct um_proc *p, const uint64_t *a)
{
    return range_call(p, SYS_mlock, a, 0);
}

int64_t um_sys_munlock(struct um_proc *p, const uint64_t *a)
{
    return range_call(p, SYS_munlock, a, 0);
}

int64_t um_sys_mincore(struct um_proc *p, const uint64_t *a)
{
    return range_call(p, SYS_mincore, a, um_arg(p, a[2]));
}

int64_t um_sys_riscv_flush_icache(struct um_proc *p, const uint64_t *a)
{
    enum { FLUSH_LOCAL = 1 };
    if (a[2] & ~(uint64_t)FLUSH_LOCAL)
        return -EINVAL;
    if (a[0] < a[1])
        um_engine_code_changed(p, a[0], a[1] - a[0]);
    return 0;
}
