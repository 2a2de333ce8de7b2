/*
 * Guest pages that are not the host's: where the host's are larger, or are taken for larger. A page of the
 * host's has the protections of all guest pages on it together; what a guest page allows is checked at
 * each access, by a page map (engine_config.page).
 *
 * Model. Each host page that a guest page is mapped on is one of these:
 *   the guest's own      private memory. Guest pages come and go on it: they are zeroed, or copied from
 *                        their file, when they come.
 *   a file's, private    as the host maps it. It becomes the guest's own, by a copy, when a guest page of
 *                        another origin comes to lie on it.
 *   shared               with a file or with other processes. Guest pages of one mapping alone lie on it.
 *
 * Files are mapped where guest address and offset agree modulo the host's page, and else copied: later
 * writes to the file are not seen there, which no program may count on. A shared mapping that would lie on
 * a page with others, or at an offset that the host cannot map, is refused with EINVAL: no copy would stay
 * the same as the file. So mappings whose place is ours to choose have host pages for themselves.
 *
 * Inside of um_space.c, which checks addresses; what returns a result does so as the kernel does. Both may
 * leave contents half changed where the host has no memory.
 */
#ifndef UM_PAGES_H
#define UM_PAGES_H

#include "usermode/um_space.h"

/* What a guest page is: see above. ANON and COPY are on the guest's own host pages. */
enum um_backing {
    UM_ANON,
    UM_COPY, /* of a file */
    UM_FILE,
    UM_SHARED,
};

int64_t um_pages_map(struct um_space *s, uint64_t addr, uint64_t size, uint32_t prot,
                     uint32_t flags, int fd, uint64_t offset);
int64_t um_pages_unmap(struct um_space *s, uint64_t addr, uint64_t size);
int64_t um_pages_protect(struct um_space *s, uint64_t addr, uint64_t size, uint32_t prot);
/* The region at old, all of one backing, grows at its place. -ENOMEM: it may go elsewhere. */
int64_t um_pages_grow(struct um_space *s, uint64_t old, uint64_t old_size, uint64_t new_size);
/* The same to another place. flags: MREMAP_DONTUNMAP. */
int64_t um_pages_move(struct um_space *s, uint64_t old, uint64_t old_size, uint64_t new_size,
                      uint32_t flags, uint64_t to);

/* What madvise discards in [addr, addr+size), holes left out: private memory is zeros then. */
int64_t um_pages_discard(struct um_space *s, uint64_t addr, uint64_t size, int advice);

/* um_space.c: puts [start, end) in place of whatever was there. Room for it is reserved. */
void um_space_set(struct um_space *s, uint64_t start, uint64_t end, uint32_t prot,
                  enum um_backing backing);
void um_space_carve(struct um_space *s, uint64_t start, uint64_t end);
/* Index of the first region that ends after addr. */
uint32_t um_space_first_after(const struct um_space *s, uint64_t addr);

#endif
