#include "usermode/um_space.h"

#include "usermode/um_pages.h"

#include <errno.h>
#include <linux/magic.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/vfs.h>
#include <unistd.h>

/* Windows that the host's own mappings stay clear of: mmap grows down from the stack (0x7f...), or
 * up from 0x2aaa... with an unlimited stack; programs stand at 0x55... or low; sanitizers use what
 * is below 16 TiB. The last two are for hosts with 39-bit addresses: below their programs, and below
 * what lies at a third of them. */
static const struct {
    uint64_t base, size;
} windows[] = {
    {UINT64_C(0x200000000000), UM_LIMIT}, {UINT64_C(0x180000000000), UM_LIMIT},
    {UINT64_C(0x240000000000), UM_LIMIT}, {UINT64_C(0x100000000000), UM_LIMIT},
    {UINT64_C(0x400000000000), UM_LIMIT}, {UINT64_C(0x4000000000), UM_LIMIT},
    {UINT64_C(0x1000000000), UM_LIMIT},   {UINT64_C(0x800000000), UM_LIMIT / 2},
};

enum {
    MMAP_FLAGS_OF_HOST_ONLY = 0x40, /* x86's MAP_32BIT */
    LARGEST = 65536,                /* pages of a host's that guest pages go by a map on */
    PROT_SEMAPHORE = 8,             /* asks for nothing */
    LOWEST = 0x10000, /* stays empty where the guest names no address: mmap_min_addr */
};

/* --- several threads ------------------------------------------------------------------------------ */

struct um_space_locks {
    pthread_mutex_t change; /* recursive */
    pthread_rwlock_t list;
};

bool um_space_share(struct um_space *s)
{
    struct um_space_locks *l = malloc(sizeof *l);
    if (!l)
        return false;
    pthread_mutexattr_t attr;
    pthread_mutexattr_init(&attr);
    pthread_mutexattr_settype(&attr, PTHREAD_MUTEX_RECURSIVE);
    pthread_mutex_init(&l->change, &attr);
    pthread_mutexattr_destroy(&attr);
    pthread_rwlock_init(&l->list, NULL);
    s->locks = l;
    return true;
}

void um_space_hold(const struct um_space *s)
{
    if (s->locks)
        pthread_mutex_lock(&s->locks->change);
}

void um_space_let_go(const struct um_space *s)
{
    if (s->locks)
        pthread_mutex_unlock(&s->locks->change);
}

void um_space_forked(struct um_space *s)
{
    free(s->locks);
    s->locks = NULL;
}

static int64_t let_go(const struct um_space *s, int64_t result)
{
    um_space_let_go(s);
    return result;
}

static void list_read(const struct um_space *s)
{
    if (s->locks)
        pthread_rwlock_rdlock(&s->locks->list);
}

static void list_write(const struct um_space *s)
{
    if (s->locks)
        pthread_rwlock_wrlock(&s->locks->list);
}

static void list_end(const struct um_space *s)
{
    if (s->locks)
        pthread_rwlock_unlock(&s->locks->list);
}

/* --- the window ------------------------------------------------------------------------------------ */

static uint64_t page_down(uint64_t v)
{
    return v & ~(uint64_t)(UM_PAGE - 1);
}

/* 0 when it wraps */
static uint64_t page_up(uint64_t v)
{
    return page_down(v + UM_PAGE - 1);
}

/* The engine reads code, and every store permission of RISC-V Linux implies loads. */
int um_space_host_prot(uint32_t prot)
{
    int r = 0;
    if (prot & (PROT_READ | PROT_WRITE | PROT_EXEC))
        r |= PROT_READ;
    if (prot & PROT_WRITE)
        r |= PROT_WRITE;
    return r;
}

static void *host_addr(const struct um_space *s, uint64_t addr)
{
    return (void *)(uintptr_t)(s->base + addr);
}

static bool can_map(uint64_t at, uint64_t size)
{
    void *want = (void *)(uintptr_t)at, *got;
    errno = 0;
    got = mmap(want, size, PROT_NONE,
               MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_FIXED_NOREPLACE, -1, 0);
    if (got != MAP_FAILED)
        munmap(got, size);
    return got == want;
}

/* With a page of nothing on either side, so that small negative addresses fault. A refusal by a limit
 * (ENOMEM) says nothing against a place whose ends can be had: pages are mapped one by one, and the first
 * window is nearly always free. What lies beyond a host's addresses is refused so, too. */
static bool is_window(uint64_t base, uint64_t size, uint64_t page)
{
    const uint64_t start = base - page, end = base + size + page;
    return can_map(start, end - start) ||
           (errno == ENOMEM && can_map(start, page) && can_map(end - page, page));
}

enum gw_status um_space_init(struct um_space *s, uint64_t host_page, struct gw_error *err)
{
    const uint64_t page = (uint64_t)sysconf(_SC_PAGESIZE);
    memset(s, 0, sizeof *s);
    if (host_page & (host_page - 1) || host_page > LARGEST)
        return gw_fail(err, GW_ERR_ARG, "", "no host has pages of %llu bytes",
                       (unsigned long long)host_page);
    if (host_page && host_page < page)
        return gw_fail(err, GW_ERR_ARG, "",
                       "the host's pages have %llu bytes, which is more than %llu",
                       (unsigned long long)page, (unsigned long long)host_page);
    s->host_page = host_page ? host_page : page;
    s->by_map = host_page || page != UM_PAGE;
    for (unsigned i = 0; i < sizeof windows / sizeof *windows; i++)
        if (is_window(windows[i].base, windows[i].size, s->host_page)) {
            s->base = windows[i].base;
            s->limit = windows[i].size;
            return GW_OK;
        }
    return gw_fail(err, GW_ERR_NOMEM, "", "no free window of 128 GiB for the guest's addresses");
}

static void region_remove(struct um_space *s, uint32_t i, uint32_t n)
{
    memmove(&s->regions[i], &s->regions[i + n], (s->count - i - n) * sizeof *s->regions);
    s->count -= n;
}

static void region_insert(struct um_space *s, uint32_t i, struct um_region r)
{
    memmove(&s->regions[i + 1], &s->regions[i], (s->count - i) * sizeof *s->regions);
    s->regions[i] = r;
    s->count++;
}

/* Room for the regions that a change may add, at its place and to the host pages at its ends; before
 * anything has changed. */
static bool reserve(struct um_space *s)
{
    const uint32_t room = 3 + (s->by_map ? 4 * (uint32_t)(s->host_page / UM_PAGE) : 0);
    if (s->count + room <= s->capacity)
        return true;
    uint32_t capacity = s->capacity ? s->capacity * 2 : 32 + room;
    list_write(s);
    struct um_region *r = realloc(s->regions, capacity * sizeof *r);
    if (r) {
        s->regions = r;
        s->capacity = capacity;
    }
    list_end(s);
    return r != NULL;
}

/* Index of the first region that ends after addr. */
uint32_t um_space_first_after(const struct um_space *s, uint64_t addr)
{
    uint32_t lo = 0, hi = s->count;
    while (lo < hi) {
        uint32_t mid = (lo + hi) / 2;
        if (s->regions[mid].end <= addr)
            lo = mid + 1;
        else
            hi = mid;
    }
    return lo;
}

static bool is_free(const struct um_space *s, uint64_t start, uint64_t end)
{
    uint32_t i = um_space_first_after(s, start);
    return i == s->count || s->regions[i].start >= end;
}

/* Who changes the list asks before. */
static bool has_code(const struct um_space *s, uint64_t start, uint64_t end)
{
    for (uint32_t i = um_space_first_after(s, start); i < s->count && s->regions[i].start < end;
         i++)
        if (s->regions[i].prot & PROT_EXEC)
            return true;
    return false;
}

/* And tells behind it: who makes a block finds the new list, or it is made stale. */
static void tell_code(struct um_space *s, bool had, uint64_t start, uint64_t end)
{
    if (had && s->code_changed)
        s->code_changed(s->opaque, start, end - start);
}

/* Takes [start, end) out of the list, which is being written. */
static void carve_out(struct um_space *s, uint64_t start, uint64_t end)
{
    if (s->pages_changed)
        s->pages_changed(s->opaque, start, end - start);
    uint32_t i = um_space_first_after(s, start);
    if (i < s->count && s->regions[i].start < start) {
        struct um_region left = s->regions[i];
        if (left.end > end) {
            struct um_region right = left;
            right.start = end;
            s->regions[i].end = start;
            region_insert(s, i + 1, right);
            return;
        }
        s->regions[i].end = start;
        i++;
    }
    uint32_t n = 0;
    while (i + n < s->count && s->regions[i + n].end <= end)
        n++;
    region_remove(s, i, n);
    if (i < s->count && s->regions[i].start < end)
        s->regions[i].start = end;
}

void um_space_carve(struct um_space *s, uint64_t start, uint64_t end)
{
    list_write(s);
    carve_out(s, start, end);
    list_end(s);
}

static bool joins(const struct um_region *r, uint32_t prot, enum um_backing backing)
{
    return r->prot == prot && r->backing == backing;
}

void um_space_set(struct um_space *s, uint64_t start, uint64_t end, uint32_t prot,
                  enum um_backing backing)
{
    list_write(s);
    carve_out(s, start, end);
    uint32_t i = um_space_first_after(s, start);
    bool left = i > 0 && s->regions[i - 1].end == start && joins(&s->regions[i - 1], prot, backing);
    bool right = i < s->count && s->regions[i].start == end && joins(&s->regions[i], prot, backing);
    if (left && right) {
        s->regions[i - 1].end = s->regions[i].end;
        region_remove(s, i, 1);
    } else if (left) {
        s->regions[i - 1].end = end;
    } else if (right) {
        s->regions[i].start = start;
    } else {
        region_insert(s, i, (struct um_region){start, end, prot, backing});
    }
    list_end(s);
}

/* Where the host keeps its protections of the guest's. */
static void set_region(struct um_space *s, uint64_t start, uint64_t end, uint32_t prot)
{
    um_space_set(s, start, end, prot, UM_ANON);
}

void um_space_free(struct um_space *s)
{
    for (uint32_t i = 0; i < s->count; i++) {
        const uint64_t mask = s->host_page - 1, start = s->regions[i].start & ~mask;
        munmap(host_addr(s, start), ((s->regions[i].end + mask) & ~mask) - start);
    }
    free(s->regions);
    free(s->locks);
    memset(s, 0, sizeof *s);
}

bool um_space_find(const struct um_space *s, uint64_t addr, bool next, struct um_region *out)
{
    list_read(s);
    uint32_t i = um_space_first_after(s, addr);
    bool found = i < s->count && (next || s->regions[i].start <= addr);
    if (found)
        *out = s->regions[i];
    list_end(s);
    return found;
}

uint32_t um_space_allows(const struct um_space *s, uint64_t addr)
{
    struct um_region r;
    return um_space_find(s, addr, false, &r) ? r.prot : 0;
}

static bool is_ok(const struct um_space *s, uint64_t addr, uint64_t end, uint32_t prot)
{
    for (uint32_t i = um_space_first_after(s, addr); i < s->count && s->regions[i].start <= addr;
         i++) {
        if ((s->regions[i].prot & prot) != prot)
            return false;
        addr = s->regions[i].end;
        if (addr >= end)
            return true;
    }
    return false;
}

bool um_space_ok(const struct um_space *s, uint64_t addr, uint64_t size, uint32_t prot)
{
    if (size == 0)
        return true;
    if (addr >= s->limit || size > s->limit - addr)
        return false;
    list_read(s);
    bool ok = is_ok(s, addr, addr + size, prot);
    list_end(s);
    return ok;
}

void *um_space_ptr(const struct um_space *s, uint64_t addr, uint64_t size, uint32_t prot)
{
    return um_space_ok(s, addr, size, prot) ? host_addr(s, addr) : NULL;
}

const char *um_space_string(const struct um_space *s, uint64_t addr, uint64_t max, uint64_t *len,
                            bool *too_long)
{
    uint64_t at = addr;
    struct um_region r;
    *too_long = false;
    while (um_space_find(s, at, false, &r)) {
        if (!(r.prot & PROT_READ))
            return NULL;
        uint64_t n = r.end - at;
        bool last = n >= max - (at - addr);
        if (last)
            n = max - (at - addr);
        const char *nul = memchr(host_addr(s, at), 0, n);
        if (nul) {
            *len = (uint64_t)(uintptr_t)nul - s->base - addr;
            return host_addr(s, addr);
        }
        if (last) {
            *too_long = true;
            return NULL;
        }
        at = r.end;
    }
    return NULL;
}

/* The highest free place of size bytes below mmap_top, a multiple of align; 0 when there is none. */
static uint64_t find_room(const struct um_space *s, uint64_t size, uint64_t align)
{
    uint64_t top = s->mmap_top ? s->mmap_top : s->limit;
    uint32_t i = um_space_first_after(s, top);
    if (i < s->count && s->regions[i].start < top)
        top = s->regions[i].start;
    for (;; i--) {
        uint64_t bottom = i && s->regions[i - 1].end > LOWEST ? s->regions[i - 1].end : LOWEST;
        uint64_t at = top >= size ? (top - size) & ~(align - 1) : 0;
        if (at >= bottom || !i)
            return at >= bottom ? at : 0;
        top = s->regions[i - 1].start;
    }
}

/* Size of the pages of a huge mapping, by its flags or of the file; UM_PAGE: of any other. */
static uint64_t huge_page(uint32_t flags, int fd)
{
    enum { LOG_SHIFT = 26, LOG_MASK = 63, LOG_DEFAULT = 21, LOG_MOST = 37 };
    struct statfs st;
    if (flags & MAP_HUGETLB && flags & MAP_ANONYMOUS) {
        unsigned log = flags >> LOG_SHIFT & LOG_MASK;
        return log <= LOG_MOST ? UINT64_C(1) << (log ? log : LOG_DEFAULT) : UM_PAGE;
    }
    return fd >= 0 && fstatfs(fd, &st) == 0 && st.f_type == HUGETLBFS_MAGIC ? (uint64_t)st.f_bsize
                                                                            : UM_PAGE;
}

/* The same by the map: host pages that nothing else is on, `skew` bytes into the first of them. */
static uint64_t find_host_room(const struct um_space *s, uint64_t size, uint64_t align,
                               uint64_t skew)
{
    const uint64_t page = s->host_page;
    const uint64_t at =
        find_room(s, (size + skew + page - 1) & ~(page - 1), align > page ? align : page);
    return at ? at + skew : 0;
}

/* Places a mapping whose address the guest leaves to us, at its hint if that is free. By the map: anonymous
 * memory of the guest's own may share host pages; others begin where the host can map their offset. */
static uint64_t place(const struct um_space *s, uint64_t hint, uint64_t size, uint64_t align,
                      uint32_t flags, uint64_t offset)
{
    const bool own = (flags & MAP_TYPE) == MAP_PRIVATE && flags & MAP_ANONYMOUS;
    const uint64_t mask = s->by_map && !own ? s->host_page - 1 : 0;
    const uint64_t skew = flags & MAP_ANONYMOUS ? 0 : offset & mask;
    if (hint % align == 0 && hint >= LOWEST && hint <= s->limit - size && (hint & mask) == skew &&
        is_free(s, hint & ~mask, (hint + size + mask) & ~mask))
        return hint;
    return s->by_map ? find_host_room(s, size, align, skew) : find_room(s, size, align);
}

static int64_t map(struct um_space *s, uint64_t addr, uint64_t size, uint32_t prot, uint32_t flags,
                   int fd, uint64_t offset)
{
    if (!reserve(s))
        return -ENOMEM;
    bool code = has_code(s, addr, addr + size);
    flags &= ~(uint32_t)(MMAP_FLAGS_OF_HOST_ONLY | MAP_FIXED_NOREPLACE);
    if (s->by_map) {
        const uint32_t kept = prot & (PROT_READ | PROT_WRITE | PROT_EXEC);
        int64_t r = um_pages_map(s, addr, size, kept, flags, fd, offset);
        tell_code(s, code, addr, addr + size);
        return r;
    }
    void *host = mmap(host_addr(s, addr), size, um_space_host_prot(prot), (int)flags | MAP_FIXED,
                      fd, (off_t)offset);
    if (host == MAP_FAILED)
        return -errno;
    set_region(s, addr, addr + size, prot & (PROT_READ | PROT_WRITE | PROT_EXEC));
    tell_code(s, code, addr, addr + size);
    return (int64_t)addr;
}

/* Where the guest names no address. */
static int64_t map_anywhere(struct um_space *s, uint64_t hint, uint64_t size, uint32_t prot,
                            uint32_t flags, int fd, uint64_t offset, uint64_t align)
{
    size = (size + align - 1) & ~(align - 1);
    if (size == 0 || size > s->limit)
        return -ENOMEM;
    uint64_t addr = place(s, page_down(hint), size, align, flags, offset);
    return addr ? map(s, addr, size, prot, flags, fd, offset) : -ENOMEM;
}

static int64_t do_mmap(struct um_space *s, uint64_t addr, uint64_t size, uint32_t prot,
                       uint32_t flags, int fd, uint64_t offset)
{
    bool fixed = flags & (MAP_FIXED | MAP_FIXED_NOREPLACE);
    if (size == 0 || (fixed && addr % UM_PAGE))
        return -EINVAL;
    size = page_up(size);
    if (size == 0 || size > s->limit)
        return -ENOMEM;
    if (!fixed) {
        uint64_t align = flags & MAP_HUGETLB ? huge_page(flags, fd) : UM_PAGE;
        int64_t r = map_anywhere(s, addr, size, prot, flags, fd, offset, align);
        /* Files of huge pages are refused at other addresses: nobody else pays for the question. */
        if (r != -EINVAL || align != UM_PAGE || (align = huge_page(flags, fd)) == UM_PAGE)
            return r;
        return map_anywhere(s, addr, size, prot, flags, fd, offset, align);
    }
    if (addr > s->limit - size)
        return -ENOMEM;
    if ((flags & MAP_FIXED_NOREPLACE) && !is_free(s, addr, addr + size))
        return -EEXIST;
    return map(s, addr, size, prot, flags, fd, offset);
}

int64_t um_space_mmap(struct um_space *s, uint64_t addr, uint64_t size, uint32_t prot,
                      uint32_t flags, int fd, uint64_t offset)
{
    um_space_hold(s);
    return let_go(s, do_mmap(s, addr, size, prot, flags, fd, offset));
}

static int64_t do_munmap(struct um_space *s, uint64_t addr, uint64_t size)
{
    size = page_up(size);
    if (addr % UM_PAGE || size == 0 || addr >= s->limit || size > s->limit - addr)
        return -EINVAL;
    uint64_t end = addr + size;
    if (!reserve(s))
        return -ENOMEM;
    bool code = has_code(s, addr, end);
    int64_t r = s->by_map                          ? um_pages_unmap(s, addr, size)
                : munmap(host_addr(s, addr), size) ? -errno
                                                   : 0;
    if (r)
        return r;
    if (!s->by_map)
        um_space_carve(s, addr, end);
    tell_code(s, code, addr, end);
    return 0;
}

int64_t um_space_munmap(struct um_space *s, uint64_t addr, uint64_t size)
{
    um_space_hold(s);
    return let_go(s, do_munmap(s, addr, size));
}

/* The first address in [addr, end] that is not mapped, or end. */
static uint64_t mapped_until(const struct um_space *s, uint64_t addr, uint64_t end)
{
    for (uint32_t i = um_space_first_after(s, addr); i < s->count && s->regions[i].start <= addr;
         i++) {
        addr = s->regions[i].end;
        if (addr >= end)
            return end;
    }
    return addr;
}

/* Where the host's mprotect of [addr, end), which failed, stopped: it goes from mapping to mapping, and
 * what it has changed can be asked for again. */
static uint64_t protected_until(const struct um_space *s, uint64_t addr, uint64_t end, int prot)
{
    while (end - addr > UM_PAGE) {
        uint64_t middle = page_down(addr + (end - addr) / 2);
        if (mprotect(host_addr(s, addr), middle - addr, prot) == 0)
            addr = middle;
        else
            end = middle;
    }
    return addr;
}

static int64_t do_mprotect(struct um_space *s, uint64_t addr, uint64_t size, uint32_t prot)
{
    const uint32_t kept = PROT_READ | PROT_WRITE | PROT_EXEC, known = kept | PROT_SEMAPHORE;
    if (addr % UM_PAGE)
        return -EINVAL;
    if (size == 0)
        return 0;
    size = page_up(size);
    if (size == 0 || addr + size <= addr)
        return -ENOMEM;
    if (prot & ~known)
        return -EINVAL;
    if (!reserve(s))
        return -ENOMEM;
    /* What lies before a hole is changed. */
    prot &= kept;
    uint64_t end = addr + size, until = mapped_until(s, addr, end);
    int64_t r = until < end ? -ENOMEM : 0;
    if (s->by_map) {
        bool code = until > addr && has_code(s, addr, until);
        int64_t e = until > addr ? um_pages_protect(s, addr, until - addr, prot) : 0;
        tell_code(s, code, addr, until);
        return e ? e : r;
    }
    if (until > addr && mprotect(host_addr(s, addr), until - addr, um_space_host_prot(prot))) {
        r = -errno;
        until = protected_until(s, addr, until, um_space_host_prot(prot));
    }
    if (until > addr) {
        bool code = has_code(s, addr, until);
        set_region(s, addr, until, prot);
        tell_code(s, code, addr, until);
    }
    return r;
}

int64_t um_space_mprotect(struct um_space *s, uint64_t addr, uint64_t size, uint32_t prot)
{
    um_space_hold(s);
    return let_go(s, do_mprotect(s, addr, size, prot));
}

static uint64_t room_to_move(const struct um_space *s, uint64_t old, uint64_t size)
{
    return s->by_map ? find_host_room(s, size, UM_PAGE, old & (s->host_page - 1))
                     : find_room(s, size, UM_PAGE);
}

/* Grows a mapping at its place or elsewhere; the old region starts at old and has prot. */
static int64_t grow(struct um_space *s, uint64_t old, uint64_t old_size, uint64_t new_size,
                    uint32_t flags, uint32_t prot)
{
    if (s->by_map && old <= s->limit - new_size && is_free(s, old + old_size, old + new_size)) {
        int64_t r = um_pages_grow(s, old, old_size, new_size);
        if (r != -ENOMEM)
            return r;
    } else if (old <= s->limit - new_size && is_free(s, old + old_size, old + new_size)) {
        void *host = mremap(host_addr(s, old), old_size, new_size, 0);
        if (host != MAP_FAILED) {
            set_region(s, old, old + new_size, prot);
            return (int64_t)old;
        }
        if (errno != ENOMEM)
            return -errno;
    }
    if (!(flags & MREMAP_MAYMOVE))
        return -ENOMEM;
    uint64_t to = room_to_move(s, old, new_size);
    if (!to)
        return -ENOMEM;
    if (s->by_map) {
        bool had = has_code(s, old, old + old_size);
        int64_t r = um_pages_move(s, old, old_size, new_size, 0, to);
        tell_code(s, had, old, old + old_size);
        return r;
    }
    void *host = mremap(host_addr(s, old), old_size, new_size, MREMAP_MAYMOVE | MREMAP_FIXED,
                        host_addr(s, to));
    if (host == MAP_FAILED)
        return -errno;
    bool code = has_code(s, old, old + old_size);
    um_space_carve(s, old, old + old_size);
    set_region(s, to, to + new_size, prot);
    tell_code(s, code, old, old + old_size);
    return (int64_t)to;
}

/* MREMAP_FIXED: to the place that the guest names. */
static int64_t move_to(struct um_space *s, uint64_t old, uint64_t old_size, uint64_t new_size,
                       uint32_t flags, uint64_t to, uint32_t prot)
{
    if (to % UM_PAGE || !(flags & MREMAP_MAYMOVE) || to > s->limit - new_size)
        return -EINVAL;
    if (to < old + old_size && old < to + new_size)
        return -EINVAL;
    if (s->by_map) {
        bool had = has_code(s, old, old + old_size), there = has_code(s, to, to + new_size);
        int64_t r = um_pages_move(s, old, old_size, new_size, flags, to);
        tell_code(s, had, old, old + old_size);
        tell_code(s, there, to, to + new_size);
        return r;
    }
    void *host = mremap(host_addr(s, old), old_size, new_size, (int)flags, host_addr(s, to));
    if (host == MAP_FAILED)
        return -errno;
    bool code = has_code(s, old, old + old_size), code_there = has_code(s, to, to + new_size);
    if (old_size && !(flags & MREMAP_DONTUNMAP))
        um_space_carve(s, old, old + old_size);
    set_region(s, to, to + new_size, prot);
    tell_code(s, code, old, old + old_size);
    tell_code(s, code_there, to, to + new_size);
    return (int64_t)to;
}

static int64_t do_mremap(struct um_space *s, uint64_t old_addr, uint64_t old_size,
                         uint64_t new_size, uint32_t flags, uint64_t new_addr)
{
    const uint32_t known = MREMAP_MAYMOVE | MREMAP_FIXED | MREMAP_DONTUNMAP;
    if (old_addr % UM_PAGE || (flags & ~known))
        return -EINVAL;
    old_size = page_up(old_size);
    new_size = page_up(new_size);
    if (new_size == 0 || (new_size > s->limit && (flags & MREMAP_FIXED)))
        return -EINVAL;
    if (new_size > s->limit)
        return -ENOMEM;
    struct um_region r;
    if (!um_space_find(s, old_addr, false, &r) || !um_space_ok(s, old_addr, old_size, 0))
        return -EFAULT;
    uint32_t prot = r.prot;
    if (!reserve(s))
        return -ENOMEM;
    if (flags & MREMAP_FIXED)
        return move_to(s, old_addr, old_size, new_size, flags, new_addr, prot);
    if (old_size == 0 || (flags & MREMAP_DONTUNMAP)) { /* 0: what is shared, once more */
        uint64_t to = room_to_move(s, old_addr, new_size);
        return to ? move_to(s, old_addr, old_size, new_size, flags | MREMAP_FIXED, to, prot)
                  : -ENOMEM;
    }
    if (new_size > old_size)
        return grow(s, old_addr, old_size, new_size, flags, prot);
    if (new_size < old_size) {
        int64_t e = um_space_munmap(s, old_addr + new_size, old_size - new_size);
        if (e)
            return e;
    }
    return (int64_t)old_addr;
}

int64_t um_space_mremap(struct um_space *s, uint64_t old_addr, uint64_t old_size, uint64_t new_size,
                        uint32_t flags, uint64_t new_addr)
{
    um_space_hold(s);
    return let_go(s, do_mremap(s, old_addr, old_size, new_size, flags, new_addr));
}

static uint64_t do_brk(struct um_space *s, uint64_t addr)
{
    if (addr < s->brk_start || addr >= s->limit)
        return s->brk;
    uint64_t old_end = page_up(s->brk), new_end = page_up(addr);
    if (new_end > old_end) {
        if (!is_free(s, old_end, new_end))
            return s->brk;
        int64_t r = um_space_mmap(s, old_end, new_end - old_end, PROT_READ | PROT_WRITE,
                                  MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0);
        if (r < 0)
            return s->brk;
    } else if (new_end < old_end) {
        if (um_space_munmap(s, new_end, old_end - new_end))
            return s->brk;
    }
    s->brk = addr;
    return addr;
}

uint64_t um_space_brk(struct um_space *s, uint64_t addr)
{
    um_space_hold(s);
    return (uint64_t)let_go(s, (int64_t)do_brk(s, addr));
}
