/* Of the disk's files only: disk.c, disk_flush.c, disk_ranges.c. */
#ifndef DEV_DISK_INT_H
#define DEV_DISK_INT_H

#include "devices/host/disk.h"

enum {
    DISK_HEADER_BYTES = 4096, /* of an overlay */
    DISK_BITMAP_BLOCK = 4096,
    DISK_PIECE_BYTES = 4 << 20, /* given to one system call, which nobody can give up */
};

struct dev_disk {
    char *path;
    int fd; /* the file; written to only when rw */
    bool rw;
    uint64_t bytes; /* a multiple of the sector size */
    /* Overlay. */
    int overlay_fd;     /* -1: none, the file itself is written to */
    char *overlay_path; /* NULL: a temporary one */
    bool overlay_whole; /* the overlay is as long as all clusters: it has no sparse end */
    bool overlay_keeps; /* a file of the user's, with header and bitmap */
    uint64_t data_at;   /* offset of cluster 0 in the overlay */
    uint64_t state;     /* of one that is kept; 0: none */
    bool state_known;   /* somebody may have learnt it: the next write changes it */
    uint64_t clusters;
    uint8_t *bitmap;       /* bit set: the overlay has the cluster */
    uint8_t *bitmap_dirty; /* a byte per 4 KiB of bitmap, kept overlays only */
    uint64_t written;      /* atomic: clusters in the overlay */
    /* Written since the last flush: how much, and in which windows of the file. */
    uint64_t unsynced;
    uint64_t windows;
    uint8_t *window;  /* a bit a window; NULL: nothing outlives the process */
    uint32_t give_up; /* atomic */
    /* The host's failures. */
    struct dev_fault_sink fault;
    unsigned said; /* atomic: bits of enum disk_said */
    bool flush_failed;
    int (*sync)(int fd);
};

enum disk_said { DISK_SAID_READ = 1, DISK_SAID_WRITE = 2, DISK_SAID_FLUSH = 4 };

/* What a public function returns where it failed; errno says why. Says so, once of each kind, but of
 * work that was given up. */
bool disk_failed(struct dev_disk *d, enum disk_said bit, const char *what);
/* False, with errno ECANCELED, when what is under way was given up. */
bool disk_may_go_on(const struct dev_disk *d);

static inline bool disk_has_cluster(const struct dev_disk *d, uint64_t cluster)
{
    return d->bitmap[cluster / 8] >> (cluster % 8) & 1;
}

static inline uint64_t disk_bitmap_bytes(uint64_t clusters)
{
    const uint64_t block = DISK_BITMAP_BLOCK;
    return ((clusters + 7) / 8 + block - 1) / block * block;
}

/* Before anything is written. False: errno says why. */
bool disk_new_state(struct dev_disk *d);
bool disk_write_all(int fd, const void *from, size_t size, uint64_t offset);
/* As dev_disk_write(), and says nothing of a failure. */
bool disk_write(struct dev_disk *d, struct iovec *iov, unsigned count, uint64_t offset);
void disk_mark_clusters(struct dev_disk *d, uint64_t offset, uint64_t size);

/* disk_flush.c: for this many bytes of the file that is written to. */
enum gw_status disk_make_windows(struct dev_disk *d, uint64_t bytes, struct gw_error *err);
/* Bytes of that file are about to be written. */
void disk_wrote(struct dev_disk *d, uint64_t offset, uint64_t size);
/* The last of a disk that is closed: without it, what was acknowledged since the last flush is lost. */
void disk_leave(struct dev_disk *d);

#endif
