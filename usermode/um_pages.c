/* Guest pages on larger host pages: see um_pages.h. */
#include "usermode/um_pages.h"

#include <errno.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

enum { RW = PROT_READ | PROT_WRITE };

static uint64_t host_down(const struct um_space *s, uint64_t v)
{
    return v & ~(s->host_page - 1);
}

static uint64_t host_up(const struct um_space *s, uint64_t v)
{
    return host_down(s, v + s->host_page - 1);
}

static uint8_t *host_at(const struct um_space *s, uint64_t addr)
{
    return (uint8_t *)(uintptr_t)(s->base + addr);
}

static uint64_t least(uint64_t a, uint64_t b)
{
    return a < b ? a : b;
}

static uint64_t most(uint64_t a, uint64_t b)
{
    return a > b ? a : b;
}

static const struct um_region *page_at(const struct um_space *s, uint64_t addr)
{
    const uint32_t i = um_space_first_after(s, addr);
    return i < s->count && s->regions[i].start <= addr ? &s->regions[i] : NULL;
}

/* ---- what lies on a host page ---------------------------------------------------------------- */

/* Of guest pages on the host page at hp, other than those of [start, end): bits 1 << backing. */
static unsigned others(const struct um_space *s, uint64_t hp, uint64_t start, uint64_t end)
{
    const uint64_t hp_end = hp + s->host_page;
    unsigned found = 0;
    for (uint32_t i = um_space_first_after(s, hp); i < s->count; i++) {
        const struct um_region *r = &s->regions[i];
        if (r->start >= hp_end)
            break;
        if ((hp < start && r->start < start) || (end < hp_end && r->end > end))
            found |= 1u << r->backing;
    }
    return found;
}

/* What the guest pages on the host page ask for, those of [start, end) by prot. */
static int all_ask(const struct um_space *s, uint64_t hp, uint64_t start, uint64_t end,
                   uint32_t prot)
{
    const uint64_t hp_end = hp + s->host_page;
    int ask = start < hp_end && end > hp ? um_space_host_prot(prot) : 0;
    for (uint32_t i = um_space_first_after(s, hp); i < s->count; i++) {
        const struct um_region *r = &s->regions[i];
        if (r->start >= hp_end)
            break;
        if ((hp < start && r->start < start) || (end < hp_end && r->end > end))
            ask |= um_space_host_prot(r->prot);
    }
    return ask;
}

static int64_t protect_host(const struct um_space *s, uint64_t at, uint64_t size, int prot)
{
    return mprotect(host_at(s, at), size, prot) ? -errno : 0;
}

/* As its guest pages, by the list, ask for. */
static int64_t settle(const struct um_space *s, uint64_t hp)
{
    return protect_host(s, hp, s->host_page, all_ask(s, hp, 0, 0, 0));
}

/* ---- contents -------------------------------------------------------------------------------- */

static int64_t read_file(int fd, uint8_t *to, uint64_t size, uint64_t offset)
{
    while (size) {
        ssize_t n = pread(fd, to, size, (off_t)offset);
        if (n == 0)
            return 0;
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return -errno;
        to += n;
        offset += (uint64_t)n;
        size -= (uint64_t)n;
    }
    return 0;
}

/* By way of the kernel, which does not fault: what lies behind the end of a file is left out. */
static int64_t copy_safely(uint8_t *to, const uint8_t *from, uint64_t size)
{
    enum { AT_ONCE = 1 << 20 };
    int64_t r = 0;
    int fd = memfd_create("godwit-pages", MFD_CLOEXEC);
    if (fd < 0)
        return -ENOMEM;
    for (uint64_t done = 0, n; done < size && r == 0; done += n) {
        n = least(size - done, AT_ONCE);
        ssize_t got = pwrite(fd, from + done, n, 0);
        if (got > 0)
            r = read_file(fd, to + done, (uint64_t)got, 0);
        else if (errno != EFAULT)
            r = -ENOMEM;
    }
    close(fd);
    return r;
}

/* The host page is the guest's own from now on; it had a file's private pages. */
static int64_t make_own(struct um_space *s, uint64_t hp)
{
    const uint64_t size = s->host_page;
    uint8_t *fresh = mmap(NULL, size, RW, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (fresh == MAP_FAILED)
        return -ENOMEM;
    int64_t r = protect_host(s, hp, size, PROT_READ);
    for (uint64_t at = 0; at < size && r == 0; at += UM_PAGE)
        if (page_at(s, hp + at))
            r = copy_safely(fresh + at, host_at(s, hp + at), UM_PAGE);
    if (r == 0 &&
        mremap(fresh, size, size, MREMAP_MAYMOVE | MREMAP_FIXED, host_at(s, hp)) == MAP_FAILED)
        r = -ENOMEM;
    if (r) {
        munmap(fresh, size);
        settle(s, hp);
        return r;
    }
    for (uint64_t at = hp; at < hp + size; at += UM_PAGE) {
        const struct um_region *page = page_at(s, at);
        if (page && page->backing == UM_FILE)
            um_space_set(s, at, at + UM_PAGE, page->prot, UM_COPY);
    }
    return 0;
}

/* What is on the host page of a mapping at [start, end), and others lie on that page too: zeros, or the
 * file's bytes. fd < 0: none; offset: of start. The list knows of it behind that. */
static int64_t fill_edge(struct um_space *s, uint64_t hp, uint64_t start, uint64_t end, int fd,
                         uint64_t offset)
{
    const uint64_t from = most(hp, start), to = least(hp + s->host_page, end);
    int64_t r = 0;
    if (others(s, hp, start, end) & 1u << UM_FILE)
        r = make_own(s, hp);
    if (r == 0)
        r = protect_host(s, hp, s->host_page, RW);
    if (r)
        return r;
    memset(host_at(s, from), 0, to - from);
    return fd < 0 ? 0 : read_file(fd, host_at(s, from), to - from, offset + (from - start));
}

/* ---- mapping --------------------------------------------------------------------------------- */

/* A mapping that is being made; what a host page is shared with others of is its edge. */
struct request {
    uint64_t start, end;
    uint64_t first, last; /* host pages that are the mapping's alone: between the edges */
    uint32_t prot;
    int flags, fd; /* fd < 0: of no file */
    uint64_t offset;
    bool fits; /* the host can map the file there */
};

/* Would the kernel take it, wherever it is? */
static int64_t probe(const struct um_space *s, const struct request *q)
{
    void *p =
        mmap(NULL, s->host_page, um_space_host_prot(q->prot), q->flags & ~MAP_FIXED, q->fd, 0);
    if (p == MAP_FAILED)
        return -errno;
    munmap(p, s->host_page);
    return 0;
}

/* Between the edges, by the host. */
static int64_t map_whole(const struct um_space *s, const struct request *q)
{
    const uint64_t offset = q->fd < 0 ? 0 : q->offset + (q->first - q->start);
    void *p = mmap(host_at(s, q->first), q->last - q->first, um_space_host_prot(q->prot),
                   q->flags | MAP_FIXED, q->fd, (off_t)offset);
    return p == MAP_FAILED ? -errno : 0;
}

/* The same where the host can't. */
static int64_t copy_whole(const struct um_space *s, const struct request *q)
{
    const uint64_t from = most(q->first, q->start), to = least(q->last, q->end);
    void *p = mmap(host_at(s, q->first), q->last - q->first, RW,
                   MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0);
    if (p == MAP_FAILED)
        return -errno;
    int64_t r = read_file(q->fd, host_at(s, from), to - from, q->offset + (from - q->start));
    return r ? r : protect_host(s, q->first, q->last - q->first, um_space_host_prot(q->prot));
}

static int64_t map_edge(struct um_space *s, const struct request *q, uint64_t hp)
{
    int64_t r = fill_edge(s, hp, q->start, q->end, q->fd, q->offset);
    if (r)
        return r;
    um_space_set(s, most(hp, q->start), least(hp + s->host_page, q->end), q->prot,
                 q->fd < 0 ? UM_ANON : UM_COPY);
    return settle(s, hp);
}

int64_t um_pages_map(struct um_space *s, uint64_t addr, uint64_t size, uint32_t prot,
                     uint32_t flags, int fd, uint64_t offset)
{
    const bool shared = (flags & MAP_TYPE) != MAP_PRIVATE, file = !(flags & MAP_ANONYMOUS);
    const uint64_t end = addr + size, head = host_down(s, addr), tail = host_down(s, end - 1);
    const unsigned at_head = others(s, head, addr, end), at_tail = others(s, tail, addr, end);
    struct request q = {.start = addr,
                        .end = end,
                        .first = at_head ? head + s->host_page : head,
                        .last = at_tail ? tail : tail + s->host_page,
                        .prot = prot,
                        .flags = (int)flags,
                        .fd = file ? fd : -1,
                        .offset = offset,
                        .fits = !file || (addr - offset) % s->host_page == 0};
    if (file && (fd < 0 || offset % UM_PAGE))
        return fd < 0 ? -EBADF : -EINVAL;
    if (((at_head | at_tail) & 1u << UM_SHARED) || (shared && (at_head | at_tail || !q.fits))) {
        s->refused = true;
        return -EINVAL;
    }
    int64_t r = q.first < q.last && q.fits ? map_whole(s, &q) : probe(s, &q);
    if (r == 0 && q.first < q.last && !q.fits)
        r = copy_whole(s, &q);
    if (r)
        return r;
    if (q.first < q.last)
        um_space_set(s, most(q.first, addr), least(q.last, end), prot,
                     shared   ? UM_SHARED
                     : !file  ? UM_ANON
                     : q.fits ? UM_FILE
                              : UM_COPY);
    if (at_head)
        r = map_edge(s, &q, head);
    if (r == 0 && at_tail && tail != head)
        r = map_edge(s, &q, tail);
    return r ? r : (int64_t)addr;
}

int64_t um_pages_unmap(struct um_space *s, uint64_t addr, uint64_t size)
{
    const uint64_t end = addr + size, head = host_down(s, addr), tail = host_down(s, end - 1);
    const bool at_head = others(s, head, addr, end), at_tail = others(s, tail, addr, end);
    const uint64_t first = at_head ? head + s->host_page : head;
    const uint64_t last = at_tail ? tail : tail + s->host_page;
    if (first < last && munmap(host_at(s, first), last - first))
        return -errno;
    um_space_carve(s, addr, end);
    if (at_head)
        settle(s, head);
    if (at_tail)
        settle(s, tail);
    return 0;
}

/* Pages of one backing. */
static int64_t protect_part(struct um_space *s, uint64_t addr, uint64_t end, uint32_t prot)
{
    const uint64_t head = host_down(s, addr), tail = host_down(s, end), first = host_up(s, addr);
    int64_t r = first < tail ? protect_host(s, first, tail - first, um_space_host_prot(prot)) : 0;
    if (r == 0 && head < first)
        r = protect_host(s, head, s->host_page, all_ask(s, head, addr, end, prot));
    if (r == 0 && tail < end && !(head < first && head == tail))
        r = protect_host(s, tail, s->host_page, all_ask(s, tail, addr, end, prot));
    for (uint64_t hp = head; r && hp < end; hp += s->host_page)
        settle(s, hp);
    return r;
}

int64_t um_pages_protect(struct um_space *s, uint64_t addr, uint64_t size, uint32_t prot)
{
    const uint64_t end = addr + size;
    for (uint64_t at = addr, to; at < end; at = to) {
        const struct um_region *page = page_at(s, at);
        to = least(page->end, end);
        int64_t r = protect_part(s, at, to, prot);
        if (r) /* what lies before is changed */
            return r;
        um_space_set(s, at, to, prot, page->backing);
    }
    return 0;
}

/* ---- moving ---------------------------------------------------------------------------------- */

/* Of all pages in [start, end): bits 1 << backing. */
static unsigned backings(const struct um_space *s, uint64_t start, uint64_t end)
{
    unsigned found = 0;
    for (uint32_t i = um_space_first_after(s, start); i < s->count && s->regions[i].start < end;
         i++)
        found |= 1u << s->regions[i].backing;
    return found;
}

int64_t um_pages_grow(struct um_space *s, uint64_t old, uint64_t old_size, uint64_t new_size)
{
    const uint64_t old_end = old + old_size, end = old + new_size, size = s->host_page;
    const uint64_t tail = host_down(s, old_end - 1), more = host_up(s, end) - tail - size;
    const struct um_region r = *page_at(s, old_end - 1);
    int64_t e = 0;
    if (r.backing == UM_COPY)
        return -EINVAL; /* nobody knows its file any more */
    if (r.backing == UM_ANON)
        e = um_pages_map(s, old_end, end - old_end, r.prot, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    else if (more && backings(s, end, host_up(s, end)))
        return -ENOMEM;
    else if (more && mremap(host_at(s, tail), size, size + more, 0) == MAP_FAILED)
        return -errno;
    if (e < 0)
        return e;
    if (r.backing != UM_ANON)
        um_space_set(s, old_end, end, r.prot, (enum um_backing)r.backing);
    return (int64_t)old;
}

/* Host pages that are the mapping's alone go as they are. */
static int64_t move_whole(struct um_space *s, uint64_t old, uint64_t old_size, uint64_t new_size,
                          uint32_t flags, uint64_t to)
{
    const struct um_region r = *page_at(s, old);
    const uint64_t from = host_down(s, old), at = host_down(s, to), end = to + new_size;
    const uint64_t size = old_size ? host_up(s, old + old_size) - from : 0;
    const bool kept = !old_size || flags & MREMAP_DONTUNMAP;
    if (mremap(host_at(s, from), size, host_up(s, end) - at,
               (int)(MREMAP_MAYMOVE | MREMAP_FIXED | (flags & MREMAP_DONTUNMAP)),
               host_at(s, at)) == MAP_FAILED)
        return -errno;
    if (!kept)
        um_space_carve(s, old, old + old_size);
    um_space_set(s, to, end, r.prot, (enum um_backing)r.backing);
    const uint64_t grown = to + old_size, stale = least(host_up(s, grown), end);
    if (r.backing == UM_ANON &&
        grown < stale) { /* of guest pages that were on its last host page once */
        int64_t e = protect_host(s, host_down(s, grown), s->host_page, RW);
        if (e)
            return e;
        memset(host_at(s, grown), 0, stale - grown);
        settle(s, host_down(s, grown));
    }
    return (int64_t)to;
}

/* What has others on its host pages is copied; what others share can't be. */
static int64_t move_by_copy(struct um_space *s, uint64_t old, uint64_t old_size, uint64_t new_size,
                            uint64_t to)
{
    const uint64_t from = host_down(s, old), end = host_up(s, old + old_size);
    const uint32_t prot = page_at(s, old)->prot;
    const unsigned was = backings(s, old, old + old_size);
    int64_t r = um_pages_map(s, to, new_size, RW, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (r < 0)
        return r;
    r = protect_host(s, from, end - from, RW);
    if (r == 0 && was & 1u << UM_FILE)
        r = copy_safely(host_at(s, to), host_at(s, old), least(old_size, new_size));
    else if (r == 0)
        memcpy(host_at(s, to), host_at(s, old), least(old_size, new_size));
    if (r) {
        for (uint64_t hp = from; hp < end; hp += s->host_page)
            settle(s, hp);
        um_pages_unmap(s, to, new_size);
        return r;
    }
    r = um_pages_unmap(s, old, old_size);
    if (r == 0)
        r = um_pages_protect(s, to, new_size, prot);
    return r ? r : (int64_t)to;
}

int64_t um_pages_move(struct um_space *s, uint64_t old, uint64_t old_size, uint64_t new_size,
                      uint32_t flags, uint64_t to)
{
    const uint64_t old_end = old + (old_size ? old_size : UM_PAGE), end = to + new_size;
    const unsigned was = backings(s, old, old_end);
    const bool whole = old % s->host_page == to % s->host_page && !(was & (was - 1)) &&
                       !others(s, host_down(s, old), old, old_end) &&
                       !others(s, host_down(s, old_end - 1), old, old_end) &&
                       !others(s, host_down(s, to), to, end) &&
                       !others(s, host_down(s, end - 1), to, end);
    if (was & 1u << UM_COPY && new_size > old_size)
        return -EINVAL; /* nobody knows its file any more */
    int64_t r = whole ? move_whole(s, old, old_size, new_size, flags, to) : -EFAULT;
    if (r != -EFAULT) /* -EFAULT: the host has several mappings there */
        return r;
    if (!old_size || flags & MREMAP_DONTUNMAP || was & 1u << UM_SHARED) {
        s->refused = flags & MREMAP_DONTUNMAP || was & 1u << UM_SHARED;
        return -EINVAL;
    }
    return move_by_copy(s, old, old_size, new_size, to);
}

/* ---- advice ---------------------------------------------------------------------------------- */

static int64_t drop_private(struct um_space *s, uint64_t from, uint64_t to, int advice)
{
    const uint64_t first = least(host_up(s, from), to), last = most(host_down(s, to), first);
    int64_t r = 0;
    if (first < last && madvise(host_at(s, first), last - first, advice))
        r = -errno;
    for (uint64_t hp = host_down(s, from); hp < to && r == 0; hp += s->host_page) {
        const uint64_t start = most(hp, from), end = least(hp + s->host_page, to);
        if (hp >= first && hp < last) {
            hp = last - s->host_page;
            continue;
        }
        r = protect_host(s, hp, s->host_page, RW);
        if (r == 0)
            memset(host_at(s, start), 0, end - start);
        settle(s, hp);
    }
    return r;
}

int64_t um_pages_discard(struct um_space *s, uint64_t addr, uint64_t size, int advice)
{
    const uint64_t end = addr + size;
    int64_t r = 0;
    for (uint64_t at = addr; at < end && r == 0;) {
        const uint32_t i = um_space_first_after(s, at);
        if (i == s->count || s->regions[i].start >= end)
            break;
        const struct um_region *p = &s->regions[i];
        const uint64_t from = most(at, p->start), to = least(p->end, end);
        const uint64_t first = host_up(s, from), last = host_down(s, to);
        at = to;
        if (p->backing == UM_ANON)
            r = drop_private(s, from, to, advice);
        else if (p->backing != UM_COPY && first < last &&
                 madvise(host_at(s, first), last - first, advice))
            r = -errno;
    }
    return r;
}
