/*
 * The host side of a disk: a file, and where that is not written to, an overlay that takes the
 * writes, in clusters of 4 KiB. Opened by the main thread, used by the I/O thread.
 *
 * An overlay file of ours: 4 KiB of header, a bitmap (a bit a cluster, in whole 4 KiB blocks), then
 * the clusters at their own places, sparse. Clusters reach the disk before the bits that name them.
 *
 * The header, little-endian: "GWOVL", 0, 0, 1; u64 bytes of the disk; u64 bytes a cluster; u64 state, a
 * random number that is another one whenever something was written since somebody could have learnt it; u64
 * what sample.h says of the file below, when the overlay was made. The last two are 0 in those that
 * were made before there was either: such an overlay has no state until it is written to, and is taken for any
 * file of its size.
 */
#ifndef DEV_DISK_H
#define DEV_DISK_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/uio.h>

#include "devices/host/fault.h"
#include "godwit/status.h"

#define DEV_DISK_SECTOR  512u
#define DEV_DISK_CLUSTER 4096u

struct dev_disk;

struct dev_disk_config {
    const char *path;
    bool rw;             /* writes go to the file itself */
    bool raw;            /* it is raw, whatever its bytes look like (image_kind.h) */
    const char *overlay; /* writes go to this file, made when absent; NULL: a temporary one */
    struct dev_fault_sink fault; /* the first failure to read, to write and to flush */
    int (*sync)(int fd);         /* tests: instead of fdatasync() */
};

/* Opens the files, and looks into none of them. */
enum gw_status dev_disk_open(struct dev_disk **out, const struct dev_disk_config *cfg,
                             struct gw_error *err);
/* Once, before anything is read or written: looks into an overlay, which a stranger may have made, or makes
 * it. On failure the disk is only good to be closed. */
enum gw_status dev_disk_begin(struct dev_disk *d, struct gw_error *err);
/* Flushes first, unless that was given up: then the host's system writes what is left, as it does for
 * any file. NULL is fine. */
void dev_disk_close(struct dev_disk *d);

const char *dev_disk_path(const struct dev_disk *d);
uint64_t dev_disk_sectors(const struct dev_disk *d);
/* Bytes that a temporary overlay holds, hence are lost at close. */
uint64_t dev_disk_discarded(const struct dev_disk *d);

/* offset and the total length are within the disk. The iovecs are used up. False: the host's I/O
 * failed, or errno is ECANCELED, and it was given up. A write is on stable storage after dev_disk_flush(). */
bool dev_disk_read(struct dev_disk *d, struct iovec *iov, unsigned count, uint64_t offset);
bool dev_disk_write(struct dev_disk *d, struct iovec *iov, unsigned count, uint64_t offset);
/* Once it failed it fails for good: the host forgets what it could not write, and would call the
 * next one a success. */
bool dev_disk_flush(struct dev_disk *d);
/* As dev_disk_read(), if the host has the data in memory; false, and the iovecs as they were, if it
 * would have to wait. */
bool dev_disk_read_cached(struct dev_disk *d, const struct iovec *iov, unsigned count,
                          uint64_t offset);
/* The range's contents no longer matter: host storage is given back where that is easy. */
bool dev_disk_discard(struct dev_disk *d, uint64_t offset, uint64_t size);
/* The range reads as zeroes; may_unmap: it may lose its storage. */
bool dev_disk_write_zeroes(struct dev_disk *d, uint64_t offset, uint64_t size, bool may_unmap);

/* Any thread. While it is so, work that was begun ends at the next piece, a few MiB, and no other is
 * begun: it fails with ECANCELED, and nothing is said. What was given up may have been done in part; it
 * may be done again. */
void dev_disk_give_up(struct dev_disk *d, bool give_up);
bool dev_disk_gives_up(const struct dev_disk *d);

/* For snapshots, while no request is in flight. What the files are, to be recognised later: */
enum dev_disk_mode { DEV_DISK_TEMPORARY, DEV_DISK_OVERLAY, DEV_DISK_RW };
struct dev_disk_identity {
    enum dev_disk_mode mode;
    uint64_t bytes;
    uint64_t mtime_ns, sample; /* see sample.h */
    uint64_t overlay_mtime_ns; /* these: DEV_DISK_OVERLAY alone, else 0 */
    uint64_t overlay_state;    /* 0: it has none */
};
enum dev_disk_mode dev_disk_mode(const struct dev_disk *d);
/* Reads some of the file. From now on an overlay's next write changes its state. */
bool dev_disk_identify(struct dev_disk *d, struct dev_disk_identity *out);

/* The clusters of a temporary overlay; index below dev_disk_clusters(). */
uint64_t dev_disk_clusters(const struct dev_disk *d);
bool dev_disk_has_cluster(const struct dev_disk *d, uint64_t index);
bool dev_disk_get_cluster(struct dev_disk *d, uint64_t index, uint8_t *to);
bool dev_disk_put_cluster(struct dev_disk *d, uint64_t index, const uint8_t *from);

#endif
