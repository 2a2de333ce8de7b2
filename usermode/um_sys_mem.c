/* System calls on memory. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "usermode/um.h"
#include "usermode/um_pages.h"

int64_t um_sys_brk(struct um_proc *p, const uint64_t *a)
{
    return (int64_t)um_space_brk(p->space, a[0]);
}

/* Once: whoever is refused may try for ever. */
static void tell_refused(struct um_proc *p, const char *call)
{
    if (!p->space->refused)
        return;
    p->space->refused = false;
    if (!p->cfg->quiet && !p->pages_refused)
        fprintf(
            stderr,
            "godwit: note: %s is refused: what is shared cannot lie there, as this host's pages "
            "have %llu bytes\n",
            call, (unsigned long long)p->space->host_page);
    p->pages_refused = true;
}

int64_t um_sys_mmap(struct um_proc *p, const uint64_t *a)
{
    const uint32_t flags = (uint32_t)a[3];
    int64_t r = um_space_mmap(p->space, a[0], a[1], (uint32_t)a[2], flags, (int)a[4], a[5]);
    tell_refused(p, "mmap");
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
    int64_t r = um_space_mremap(p->space, a[0], a[1], a[2], (uint32_t)a[3], a[4]);
    tell_refused(p, "mremap");
    return r;
}

/* By the map: of madvise, host pages that are in the range as a whole; of others, which do no harm beyond it,
 * all that it touches. */
static int64_t range_by_map(struct um_proc *p, long nr, const uint64_t *a, uint64_t third)
{
    const struct um_space *s = p->space;
    const uint64_t mask = s->host_page - 1, limit = s->limit;
    const uint64_t start =
        nr == SYS_mlock || nr == SYS_munlock ? a[0] & ~(uint64_t)(UM_PAGE - 1) : a[0];
    const uint64_t end = (a[0] + a[1] + UM_PAGE - 1) & ~(uint64_t)(UM_PAGE - 1);
    if (start % UM_PAGE)
        return -EINVAL;
    if (start == end)
        return um_host(p, 0, nr, s->base, 0, third, 0, 0, 0);
    const uint64_t stop = end < limit ? end : limit;
    uint64_t first = start & ~mask, last = (stop + mask) & ~mask;
    if (nr == SYS_madvise) {
        if (third == MADV_REMOVE && (start | stop) & mask)
            return -EINVAL;
        first = (start + mask) & ~mask;
        last = stop & ~mask;
    }
    int64_t r = first < last ? um_host(p, 0, nr, s->base + first, last - first, third, 0, 0, 0)
                             : um_host(p, 0, nr, s->base, 0, third, 0, 0, 0);
    return r == 0 && !um_space_ok(s, start, end - start, 0) ? -ENOMEM : r;
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
    if (p->space->by_map && inside && !wraps)
        return range_by_map(p, nr, a, third);
    if (at % UM_PAGE == 0)
        at &= ~(p->space->host_page - 1);
    if (wraps)
        size = inside ? size : 0 - (uint64_t)2 * UM_PAGE;
    else if (!inside || pages > limit - at)
        size = pages ? (inside ? limit - at + 1 : 1) : size;
    return um_host(p, 0, nr, p->space->base + at, size, third, 0, 0, 0);
}

static int64_t mincore_by_map(struct um_proc *p, uint64_t addr, uint64_t size, uint64_t to)
{
    const struct um_space *s = p->space;
    const uint64_t page = (uint64_t)sysconf(_SC_PAGESIZE);
    if (addr % UM_PAGE)
        return -EINVAL;
    if (!um_space_ok(s, addr, size, 0))
        return -ENOMEM;
    for (uint64_t at = addr; at < addr + size; at += UM_PAGE, to++) {
        uint8_t in = 0;
        int64_t r =
            um_host(p, 0, SYS_mincore, (s->base + at) & ~(page - 1), page, (uintptr_t)&in, 0, 0, 0);
        if (r == 0)
            r = um_copy_out(p, to, &in, sizeof in);
        if (r)
            return r;
    }
    return 0;
}

/* Advice that gives up contents: translated code may go with them. */
static bool discards(int advice)
{
    enum { DONTNEED_LOCKED = 24 };
    return advice == MADV_DONTNEED || advice == MADV_FREE || advice == MADV_REMOVE ||
           advice == DONTNEED_LOCKED;
}

/* By the map: discarded page by page. */
static int64_t discard_by_map(struct um_proc *p, const uint64_t *a)
{
    const uint64_t size = (a[1] + UM_PAGE - 1) & ~(uint64_t)(UM_PAGE - 1), limit = p->space->limit;
    if (a[0] % UM_PAGE || size < a[1] || a[0] + size < a[0])
        return -EINVAL;
    const uint64_t most = a[0] < limit ? limit - a[0] : 0;
    int64_t r = um_pages_discard(p->space, a[0], size < most ? size : most, (int)a[2]);
    return r == 0 && !um_space_ok(p->space, a[0], size, 0) ? -ENOMEM : r;
}

int64_t um_sys_madvise(struct um_proc *p, const uint64_t *a)
{
    const bool by_pages = p->space->by_map && discards((int)a[2]) && a[2] != MADV_REMOVE;
    int64_t r = by_pages ? discard_by_map(p, a) : range_call(p, SYS_madvise, a, a[2]);
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
    if (p->space->by_map)
        return mincore_by_map(p, a[0], a[1], a[2]);
    return range_call(p, SYS_mincore, a, um_arg(p, a[2]));
}

int64_t um_sys_riscv_flush_icache(struct um_proc *p, const uint64_t *a)
{
    enum { FLUSH_LOCAL = 1 };
    if (a[2] & ~(uint64_t)FLUSH_LOCAL)
        return -EINVAL;
    if (a[0] < a[1]) {
        um_engine_code_changed(p, a[0], a[1] - a[0]);
        return 0;
    }
    /* Linux does not look at the range: one of nothing is all. */
    struct um_region r;
    for (uint64_t at = 0; um_space_find(p->space, at, true, &r); at = r.end)
        if (r.prot & PROT_EXEC)
            um_engine_code_changed(p, r.start, r.end - r.start);
    return 0;
}
