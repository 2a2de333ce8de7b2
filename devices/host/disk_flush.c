/*
 * What was written, onto stable storage. One fdatasync() of a file that has gigabytes to write holds
 * its thread, and the process's end, for as long as that takes. So where there is much, it is written
 * before, a window of the file at a time, and may be given up between two of them.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

#include "devices/host/disk_int.h"

#define WINDOW_BYTES (UINT64_C(16) << 20)
#define FEW_BYTES    (UINT64_C(64) << 20) /* fdatasync() by itself */
#define NONE         UINT64_MAX

enum gw_status disk_make_windows(struct dev_disk *d, uint64_t bytes, struct gw_error *err)
{
    d->windows = (bytes + WINDOW_BYTES - 1) / WINDOW_BYTES;
    d->window = calloc((d->windows + 7) / 8, 1);
    return d->window ? GW_OK
                     : gw_fail(err, GW_ERR_NOMEM, d->path, "cannot open the disk: out of memory");
}

void disk_wrote(struct dev_disk *d, uint64_t offset, uint64_t size)
{
    if (!d->window)
        return;
    d->unsynced += size;
    for (uint64_t w = offset / WINDOW_BYTES; w <= (offset + size - 1) / WINDOW_BYTES; w++)
        d->window[w / 8] |= (uint8_t)(1u << (w % 8));
}

static uint64_t next_window(const struct dev_disk *d, uint64_t from)
{
    for (uint64_t w = from; w < d->windows; w++) {
        if (w % 8 == 0 && !d->window[w / 8])
            w += 7;
        else if (d->window[w / 8] >> (w % 8) & 1)
            return w;
    }
    return NONE;
}

static bool write_window(int fd, uint64_t w, unsigned how)
{
    return w == NONE ||
           sync_file_range(fd, (off_t)(w * WINDOW_BYTES), (off_t)WINDOW_BYTES, how) == 0;
}

/* One is on its way while the one before is waited for. False, and errno: ESPIPE and EINVAL where the
 * host cannot. */
static bool write_windows(struct dev_disk *d, int fd)
{
    uint64_t w = next_window(d, 0), next;
    bool ok = write_window(fd, w, SYNC_FILE_RANGE_WRITE);
    for (; ok && w != NONE; w = next) {
        next = next_window(d, w + 1);
        ok = write_window(fd, next, SYNC_FILE_RANGE_WRITE) && disk_may_go_on(d) &&
             write_window(fd, w,
                          SYNC_FILE_RANGE_WAIT_BEFORE | SYNC_FILE_RANGE_WRITE |
                              SYNC_FILE_RANGE_WAIT_AFTER);
        if (ok)
            d->window[w / 8] &= (uint8_t) ~(1u << (w % 8));
    }
    return ok;
}

/* The host tells of a write that failed once, to whoever asks first. */
static bool sync_file(struct dev_disk *d, int fd)
{
    int done;
    if (d->unsynced > FEW_BYTES && !write_windows(d, fd) && errno != ESPIPE && errno != EINVAL &&
        errno != ENOSYS) {
        d->flush_failed = d->flush_failed || errno != ECANCELED;
        return false;
    }
    done = d->sync ? d->sync(fd) : fdatasync(fd);
    d->flush_failed = d->flush_failed || done != 0;
    if (done != 0)
        return false;
    for (uint64_t w = next_window(d, 0); w != NONE; w = next_window(d, w + 1))
        d->window[w / 8] = 0;
    d->unsynced = 0;
    return true;
}

static bool write_bitmap(struct dev_disk *d, bool *any)
{
    uint64_t blocks = disk_bitmap_bytes(d->clusters) / DISK_BITMAP_BLOCK;
    *any = false;
    for (uint64_t b = 0; b < blocks; b++) {
        if (!d->bitmap_dirty[b])
            continue;
        if (!disk_write_all(d->overlay_fd, d->bitmap + b * DISK_BITMAP_BLOCK, DISK_BITMAP_BLOCK,
                            DISK_HEADER_BYTES + b * DISK_BITMAP_BLOCK))
            return false;
        d->bitmap_dirty[b] = 0;
        *any = true;
    }
    return true;
}

static bool flush_disk(struct dev_disk *d)
{
    bool any;
    if (d->flush_failed) {
        errno = EIO;
        return false;
    }
    if (!d->window)
        return true; /* nothing of a temporary overlay outlives the process */
    if (!disk_may_go_on(d))
        return false;
    if (d->rw)
        return sync_file(d, d->fd);
    return sync_file(d, d->overlay_fd) && write_bitmap(d, &any) &&
           (!any || sync_file(d, d->overlay_fd));
}

bool dev_disk_flush(struct dev_disk *d)
{
    return flush_disk(d) || disk_failed(d, DISK_SAID_FLUSH, "cannot flush the disk");
}

/* An overlay's clusters are of no use to anybody without the bits that name them. */
void disk_leave(struct dev_disk *d)
{
    bool any;
    if (d->bitmap_dirty && !d->flush_failed && !write_bitmap(d, &any))
        disk_failed(d, DISK_SAID_FLUSH, "cannot flush the disk");
}
