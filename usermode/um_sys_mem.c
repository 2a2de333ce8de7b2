/* System calls on memory. */
#include <errno.h>
#include <sys/mman.h>
#include <sys/syscall.h>

#include "usermode/um.h"

int64_t um_sys_brk(struct um_proc *p, const uint64_t *a)
{
    return (int64_t)um_space_brk(&p->space, a[0]);
}

int64_t um_sys_mmap(struct um_proc *p, const uint64_t *a)
{
    return um_space_mmap(&p->space, a[0], a[1], (uint32_t)a[2], (uint32_t)a[3], (int)a[4], a[5]);
}

int64_t um_sys_munmap(struct um_proc *p, const uint64_t *a)
{
    return um_space_munmap(&p->space, a[0], a[1]);
}

int64_t um_sys_mprotect(struct um_proc *p, const uint64_t *a)
{
    return um_space_mprotect(&p->space, a[0], a[1], (uint32_t)a[2]);
}

int64_t um_sys_mremap(struct um_proc *p, const uint64_t *a)
{
    return um_space_mremap(&p->space, a[0], a[1], a[2], (uint32_t)a[3], a[4]);
}

/* Calls on a range of pages. Ranges that leave the window are not mapped by definition. */
static int64_t range_call(struct um_proc *p, long nr, const uint64_t *a, uint64_t third)
{
    if (a[0] >= p->space.limit || a[1] > p->space.limit - a[0])
        return -ENOMEM;
    return um_host(p, 0, nr, p->space.base + a[0], a[1], third, 0, 0, 0);
}

int64_t um_sys_madvise(struct um_proc *p, const uint64_t *a)
{
    int64_t r = range_call(p, SYS_madvise, a, a[2]);
    /* The contents of code pages may have gone. */
    if (r == 0 && (int)a[2] == MADV_DONTNEED)
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

int64_t um_sys_membarrier(struct um_proc *p, const uint64_t *a)
{
    /* One thread: every barrier between threads holds. Query: nothing registered is offered. */
    enum { CMD_QUERY = 0 };
    return a[0] == CMD_QUERY ? 0 : -EINVAL;
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
