/* What w_pages.c and tests/machine/test_dirty.c know of each other: physical addresses. */
#ifndef GUEST_W_PAGES_H
#define GUEST_W_PAGES_H

#define PAGES_CONTROL 0x80400000 /* struct pages_control */
#define PAGES_CODE    0x80500000 /* a page for each hart */
#define PAGES_AREA    0x80800000
#define PAGES_DISK    0x80c00000 /* pages that a disk and harts share, then some that are the disk's */
#define PAGES_SWEEP   0x84000000 /* only swept; there need not be any */
#define PAGES_COUNT   1024       /* of AREA */

/* A flag is set by the one and cleared by nobody, but for sweep. */
struct pages_control {
    uint64_t stop;     /* host: the harts come to their end */
    uint64_t done;     /* guest: they have */
    uint64_t off;      /* host: power off */
    uint64_t sweep;    /* host: store to so many pages; guest: 0, and ticks, when that is done */
    uint64_t ticks;    /* of 100 ns */
    uint64_t disk;     /* guest: requests that were answered */
    uint64_t busy;     /* guest: the disk may be writing */
    uint64_t steps[4]; /* of each hart */
};

#endif
