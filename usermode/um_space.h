/*
 * The guest's address space: a window of host addresses at `base` and the list of what is mapped
 * in it, page by page. Guest address a lives at host address base + a. The window is not reserved:
 * it is a range that the host's own mmap does not reach, so that a limit on address space
 * (ulimit -v) costs the guest nothing.
 *
 * Guest addresses and sizes are hostile. Functions that stand for a system call return the result
 * or -errno, as the kernel does. The program's thread; all of its threads, once it is shared.
 *
 * Of a shared one: who changes it holds it from before the host is asked until after code_changed was told, so
 * what is put into its place meanwhile is not taken for what was there. The list has a lock of its own, which
 * is taken for moments, and within which nothing else is: who looks there may hold a lock that code_changed
 * waits for.
 */
#ifndef UM_SPACE_H
#define UM_SPACE_H

#include <stdbool.h>
#include <stdint.h>

#include "godwit/status.h"

#define UM_PAGE 4096u
/* The user half of Sv39, which is what Linux gives to programs by default: 256 GiB. Half of that where the
 * host has no more. */
#define UM_LIMIT (UINT64_C(1) << 38)

struct um_region {
    uint64_t start, end; /* page-aligned, start < end */
    uint32_t prot;       /* PROT_* as the guest asked for */
    uint32_t backing;    /* by_map: enum um_backing of um_pages.h; else 0 */
};

struct um_space_locks;

struct um_space {
    uint64_t base;             /* host address of guest address 0 */
    uint64_t limit;            /* guest addresses are below it */
    struct um_region *regions; /* sorted, disjoint; equal neighbours are merged */
    uint32_t count, capacity;
    /* Guest pages are not the host's, which are of host_page bytes or are taken to be: the host's protections
     * allow what a guest page allows, and maybe more. See um_pages.h. */
    bool by_map;
    uint64_t host_page;
    bool refused;      /* something was, for that reason; the caller clears it */
    uint64_t mmap_top; /* where the search for room starts, downwards */
    uint64_t brk_start, brk;
    /* Told when pages that held guest code change or go; may be NULL. */
    void (*code_changed)(void *opaque, uint64_t vaddr, uint64_t size);
    /* Told when pages come, go or allow other things than before; may be NULL. */
    void (*pages_changed)(void *opaque, uint64_t vaddr, uint64_t size);
    void *opaque;                 /* of these two */
    struct um_space_locks *locks; /* NULL: one thread has it */
};

/* host_page: 0, or what the host's pages are to be taken for, no less than they are; a power of two. Guest
 * pages go by the map then, as they do where the host's are larger. */
enum gw_status um_space_init(struct um_space *s, uint64_t host_page, struct gw_error *err);
void um_space_free(struct um_space *s); /* unmaps all guest memory */

/* Several threads will have it. False: out of memory. */
bool um_space_share(struct um_space *s);
/* Nobody else changes it. May be taken again by who has it. */
void um_space_hold(const struct um_space *s);
void um_space_let_go(const struct um_space *s);
/* In the child of a fork by who held it: one thread has it again. */
void um_space_forked(struct um_space *s);

/* The region that holds addr; or, next, the first one behind it. False: there is none. */
bool um_space_find(const struct um_space *s, uint64_t addr, bool next, struct um_region *out);
/* What the page at addr allows: PROT_*, 0 too where none is. */
uint32_t um_space_allows(const struct um_space *s, uint64_t addr);
/* What the host is asked for where the guest asks for prot. */
int um_space_host_prot(uint32_t prot);
/* Is all of [addr, addr+size) mapped with at least prot? size 0 is always true. */
bool um_space_ok(const struct um_space *s, uint64_t addr, uint64_t size, uint32_t prot);
/* Its host address when it is, else NULL. */
void *um_space_ptr(const struct um_space *s, uint64_t addr, uint64_t size, uint32_t prot);
/* A guest string of less than max bytes: its host address, length in *len; NULL when it leaves
 * readable memory, or has no end within max bytes (then *too_long is set). */
const char *um_space_string(const struct um_space *s, uint64_t addr, uint64_t max, uint64_t *len,
                            bool *too_long);

/* What the host kernel is given for a guest pointer: NULL for 0, and for an address out of range
 * one that always faults. The kernel checks the rest: host protections are the guest's. By the map they are
 * not quite: the first byte is looked up here, and where a buffer goes on to a page of the guest's that the
 * call may not access, on the same page of the host's, the call does not fail as it should. */
static inline uint64_t um_space_arg(const struct um_space *s, uint64_t addr)
{
    if (addr == 0)
        return 0;
    if (addr >= s->limit || (s->by_map && !um_space_allows(s, addr)))
        return UINT64_MAX - UM_PAGE;
    return s->base + addr;
}

int64_t um_space_mmap(struct um_space *s, uint64_t addr, uint64_t size, uint32_t prot,
                      uint32_t flags, int fd, uint64_t offset);
int64_t um_space_munmap(struct um_space *s, uint64_t addr, uint64_t size);
int64_t um_space_mprotect(struct um_space *s, uint64_t addr, uint64_t size, uint32_t prot);
int64_t um_space_mremap(struct um_space *s, uint64_t old_addr, uint64_t old_size, uint64_t new_size,
                        uint32_t flags, uint64_t new_addr);
/* The new break, or the old one when it can't be moved. */
uint64_t um_space_brk(struct um_space *s, uint64_t addr);

#endif
