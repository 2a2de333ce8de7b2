/* Ranges of a disk that lose their contents, see disk.h. A piece at a time: holes have to be taken out
 * of the host's memory too. */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>

#include "devices/host/disk_int.h"

#define RANGE_PIECE_BYTES (UINT64_C(64) << 20)

/* Calls work() for each piece of the range until it fails. */
static bool by_pieces(struct dev_disk *d, uint64_t offset, uint64_t size, bool may_unmap,
                      bool (*work)(struct dev_disk *d, uint64_t offset, uint64_t size,
                                   bool may_unmap))
{
    while (size) {
        uint64_t n = size < RANGE_PIECE_BYTES ? size : RANGE_PIECE_BYTES;
        if (!disk_may_go_on(d) || !disk_new_state(d) || !work(d, offset, n, may_unmap))
            return false;
        offset += n;
        size -= n;
    }
    return true;
}

static bool write_zeroes(struct dev_disk *d, uint64_t offset, uint64_t size)
{
    size_t room = size < (UINT64_C(1) << 18) ? (size_t)size : (size_t)1 << 18;
    uint8_t *zeroes = calloc(1, room ? room : 1);
    bool ok = zeroes != NULL;
    while (ok && size) {
        struct iovec iov = {.iov_base = zeroes, .iov_len = size < room ? (size_t)size : room};
        uint64_t n = iov.iov_len;
        ok = disk_write(d, &iov, 1, offset);
        offset += n;
        size -= n;
    }
    free(zeroes);
    return ok;
}

/* False with errno where the file system cannot. */
static bool punch(int fd, uint64_t offset, uint64_t size)
{
    return fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, (off_t)offset, (off_t)size) ==
           0;
}

/* Whole clusters that the overlay has, those that follow one another at once. */
static bool discard(struct dev_disk *d, uint64_t offset, uint64_t size, bool may_unmap)
{
    uint64_t c = (offset + DEV_DISK_CLUSTER - 1) / DEV_DISK_CLUSTER, first;
    uint64_t end = (offset + size) / DEV_DISK_CLUSTER;
    if (d->rw)
        return punch(d->fd, offset, size) || errno == EOPNOTSUPP;
    while (c < end) {
        for (first = c; c < end && disk_has_cluster(d, c); c++)
            ;
        if (c > first && !punch(d->overlay_fd, d->data_at + first * DEV_DISK_CLUSTER,
                                (c - first) * DEV_DISK_CLUSTER))
            return errno == EOPNOTSUPP;
        while (c < end && !disk_has_cluster(d, c))
            c++;
    }
    return true;
}

static bool failed(struct dev_disk *d)
{
    return disk_failed(d, DISK_SAID_WRITE, "cannot write to the disk");
}

bool dev_disk_discard(struct dev_disk *d, uint64_t offset, uint64_t size)
{
    return by_pieces(d, offset, size, true, discard) || failed(d);
}

/* Whole clusters of an overlay: holes, which read as zeroes. */
static bool zero_clusters(struct dev_disk *d, uint64_t offset, uint64_t size)
{
    if (!punch(d->overlay_fd, d->data_at + offset, size))
        return errno == EOPNOTSUPP && write_zeroes(d, offset, size);
    disk_mark_clusters(d, offset, size);
    return true;
}

static bool zero_range(struct dev_disk *d, uint64_t offset, uint64_t size, bool may_unmap)
{
    uint64_t head, tail;
    if (d->rw) {
        int how = may_unmap ? FALLOC_FL_PUNCH_HOLE : FALLOC_FL_ZERO_RANGE;
        return fallocate(d->fd, how | FALLOC_FL_KEEP_SIZE, (off_t)offset, (off_t)size) == 0 ||
               (errno == EOPNOTSUPP && write_zeroes(d, offset, size));
    }
    head = (DEV_DISK_CLUSTER - offset % DEV_DISK_CLUSTER) % DEV_DISK_CLUSTER;
    if (head > size)
        head = size;
    tail = (size - head) % DEV_DISK_CLUSTER;
    return write_zeroes(d, offset, head) &&
           (size == head + tail || zero_clusters(d, offset + head, size - head - tail)) &&
           write_zeroes(d, offset + size - tail, tail);
}

bool dev_disk_write_zeroes(struct dev_disk *d, uint64_t offset, uint64_t size, bool may_unmap)
{
    return by_pieces(d, offset, size, may_unmap, zero_range) || failed(d);
}
