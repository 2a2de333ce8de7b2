/* Disk files and overlays, see disk.h. */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <unistd.h>

#include "devices/host/disk_int.h"
#include "devices/host/image_kind.h"
#include "devices/host/sample.h"
#include "godwit/little.h"
#include "godwit/word.h"

#define OVERLAY_MAGIC "GWOVL\0\0\1"
enum { HEAD_BYTES = 40, AT_BYTES = 8, AT_CLUSTER = 16, AT_STATE = 24, AT_SAMPLE = 32 };
#define BATCH          64u /* iovecs given to one system call */
#define MAX_DISK_BYTES (UINT64_C(1) << 50)

bool disk_failed(struct dev_disk *d, enum disk_said bit, const char *what)
{
    if (errno != ECANCELED && !(__atomic_fetch_or(&d->said, bit, __ATOMIC_RELAXED) & bit))
        dev_fault_say(&d->fault, what, d->path, errno);
    return false;
}

bool disk_may_go_on(const struct dev_disk *d)
{
    if (!__atomic_load_n(&d->give_up, __ATOMIC_RELAXED))
        return true;
    errno = ECANCELED;
    return false;
}

void dev_disk_give_up(struct dev_disk *d, bool give_up)
{
    __atomic_store_n(&d->give_up, give_up, __ATOMIC_RELAXED);
}

bool dev_disk_gives_up(const struct dev_disk *d)
{
    return __atomic_load_n(&d->give_up, __ATOMIC_RELAXED);
}

/* ---- whole transfers ------------------------------------------------------------------------ */

/* sparse: what is beyond the file's end is 0. Else the file was cut short under us. */
static bool read_all(int fd, bool sparse, void *to, size_t size, uint64_t offset)
{
    uint8_t *p = to;
    while (size) {
        ssize_t n = pread(fd, p, size, (off_t)offset);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return false;
        if (n == 0 && !sparse) {
            errno = EIO;
            return false;
        }
        if (n == 0) {
            memset(p, 0, size);
            return true;
        }
        p += n;
        size -= (size_t)n;
        offset += (uint64_t)n;
    }
    return true;
}

bool disk_write_all(int fd, const void *from, size_t size, uint64_t offset)
{
    const uint8_t *p = from;
    while (size) {
        ssize_t n = pwrite(fd, p, size, (off_t)offset);
        if (n < 0 && errno == EINTR)
            continue;
        if (n == 0)
            errno = ENOSPC;
        if (n <= 0)
            return false;
        p += n;
        size -= (size_t)n;
        offset += (uint64_t)n;
    }
    return true;
}

struct cursor {
    struct iovec *iov;
    unsigned count;
};

/* Takes up to `limit` bytes off the cursor into out[], returns the bytes taken. */
static uint64_t take(struct cursor *c, uint64_t limit, struct iovec *out, unsigned *count)
{
    uint64_t taken = 0;
    *count = 0;
    while (c->count && *count < BATCH && taken < limit) {
        size_t n = c->iov->iov_len;
        if (n > limit - taken)
            n = (size_t)(limit - taken);
        if (n)
            out[(*count)++] = (struct iovec){.iov_base = c->iov->iov_base, .iov_len = n};
        c->iov->iov_base = (uint8_t *)c->iov->iov_base + n;
        c->iov->iov_len -= n;
        taken += n;
        if (c->iov->iov_len == 0) {
            c->iov++;
            c->count--;
        }
    }
    return taken;
}

/* Moves `size` bytes between the cursor and the file; short transfers are finished by pieces. */
enum direction { READ, READ_SPARSE, WRITE };

static bool transfer(const struct dev_disk *d, int fd, enum direction how, struct cursor *c,
                     uint64_t size, uint64_t offset)
{
    bool writing = how == WRITE;
    struct iovec part[BATCH];
    while (size) {
        unsigned n;
        uint64_t want = take(c, size < DISK_PIECE_BYTES ? size : DISK_PIECE_BYTES, part, &n), done;
        ssize_t got;
        if (!disk_may_go_on(d))
            return false;
        got = writing ? pwritev(fd, part, (int)n, (off_t)offset)
                      : preadv(fd, part, (int)n, (off_t)offset);
        if (got < 0 && errno != EINTR)
            return false;
        done = got < 0 ? 0 : (uint64_t)got;
        for (unsigned i = 0; i < n; i++) {
            size_t len = part[i].iov_len, have = done < len ? (size_t)done : len;
            uint8_t *p = (uint8_t *)part[i].iov_base + have;
            if (have < len &&
                !(writing ? disk_write_all(fd, p, len - have, offset + have)
                          : read_all(fd, how == READ_SPARSE, p, len - have, offset + have)))
                return false;
            done -= have;
            offset += len;
        }
        size -= want;
    }
    return true;
}

/* ---- overlay -------------------------------------------------------------------------------- */

static int temporary_file(void)
{
    static const char *const fallback[] = {"/var/tmp", "/tmp"};
    const char *dir = getenv("TMPDIR");
    int fd = dir && *dir ? open(dir, O_TMPFILE | O_RDWR | O_CLOEXEC, 0600) : -1;
    for (unsigned i = 0; fd < 0 && i < 2; i++)
        fd = open(fallback[i], O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
    return fd < 0 ? memfd_create("godwit-overlay", MFD_CLOEXEC) : fd;
}

/* Fills in what a write will leave of a cluster that the overlay does not have. */
static bool copy_cluster(struct dev_disk *d, uint64_t cluster)
{
    uint8_t data[DEV_DISK_CLUSTER];
    uint64_t at = cluster * DEV_DISK_CLUSTER;
    size_t n = d->bytes - at < sizeof data ? (size_t)(d->bytes - at) : sizeof data;
    return read_all(d->fd, false, data, n, at) &&
           disk_write_all(d->overlay_fd, data, n, d->data_at + at);
}

static bool prepare_clusters(struct dev_disk *d, uint64_t offset, uint64_t size)
{
    uint64_t first = offset / DEV_DISK_CLUSTER, last = (offset + size - 1) / DEV_DISK_CLUSTER;
    if (offset % DEV_DISK_CLUSTER && !disk_has_cluster(d, first) && !copy_cluster(d, first))
        return false;
    if ((offset + size) % DEV_DISK_CLUSTER && offset + size < d->bytes &&
        !disk_has_cluster(d, last) && !(last == first && offset % DEV_DISK_CLUSTER) &&
        !copy_cluster(d, last))
        return false;
    return true;
}

void disk_mark_clusters(struct dev_disk *d, uint64_t offset, uint64_t size)
{
    uint64_t first = offset / DEV_DISK_CLUSTER, last = (offset + size - 1) / DEV_DISK_CLUSTER;
    for (uint64_t c = first; c <= last; c++) {
        if (disk_has_cluster(d, c))
            continue;
        d->bitmap[c / 8] |= (uint8_t)(1u << (c % 8));
        if (d->bitmap_dirty)
            d->bitmap_dirty[c / 8 / DISK_BITMAP_BLOCK] = 1;
        __atomic_add_fetch(&d->written, 1, __ATOMIC_RELAXED);
    }
}

static uint64_t total(const struct iovec *iov, unsigned count)
{
    uint64_t size = 0;
    for (unsigned i = 0; i < count; i++)
        size += iov[i].iov_len;
    return size;
}

static bool read_disk(struct dev_disk *d, struct iovec *iov, unsigned count, uint64_t offset)
{
    struct cursor c = {.iov = iov, .count = count};
    uint64_t left = total(iov, count);
    while (left) {
        uint64_t run = left;
        bool over = false;
        if (d->bitmap) {
            uint64_t cluster = offset / DEV_DISK_CLUSTER;
            over = disk_has_cluster(d, cluster);
            run = DEV_DISK_CLUSTER - offset % DEV_DISK_CLUSTER;
            while (run < left && disk_has_cluster(d, ++cluster) == over)
                run += DEV_DISK_CLUSTER;
            if (run > left)
                run = left;
        }
        if (!transfer(d, over ? d->overlay_fd : d->fd,
                      over && !d->overlay_whole ? READ_SPARSE : READ, &c, run,
                      over ? d->data_at + offset : offset))
            return false;
        offset += run;
        left -= run;
    }
    return true;
}

bool dev_disk_read(struct dev_disk *d, struct iovec *iov, unsigned count, uint64_t offset)
{
    return read_disk(d, iov, count, offset) ||
           disk_failed(d, DISK_SAID_READ, "cannot read the disk");
}

bool disk_write(struct dev_disk *d, struct iovec *iov, unsigned count, uint64_t offset)
{
    struct cursor c = {.iov = iov, .count = count};
    uint64_t size = total(iov, count);
    if (size == 0)
        return true;
    if (!disk_new_state(d))
        return false;
    disk_wrote(d, d->data_at + offset, size);
    if (d->rw)
        return transfer(d, d->fd, WRITE, &c, size, offset);
    if (!prepare_clusters(d, offset, size) ||
        !transfer(d, d->overlay_fd, WRITE, &c, size, d->data_at + offset))
        return false;
    disk_mark_clusters(d, offset, size);
    return true;
}

bool dev_disk_write(struct dev_disk *d, struct iovec *iov, unsigned count, uint64_t offset)
{
    return disk_write(d, iov, count, offset) ||
           disk_failed(d, DISK_SAID_WRITE, "cannot write to the disk");
}

bool dev_disk_read_cached(struct dev_disk *d, const struct iovec *iov, unsigned count,
                          uint64_t offset)
{
    uint64_t size = total(iov, count);
    int fd = d->fd;
    if (count > BATCH || size == 0)
        return false;
    if (d->bitmap) {
        uint64_t cluster = offset / DEV_DISK_CLUSTER;
        bool over = disk_has_cluster(d, cluster);
        while (++cluster * DEV_DISK_CLUSTER < offset + size)
            if (disk_has_cluster(d, cluster) != over)
                return false;
        if (over) {
            fd = d->overlay_fd;
            offset += d->data_at;
        }
    }
    /* Short, as at a sparse end of the file, is for the long way too. */
    return preadv2(fd, iov, (int)count, (off_t)offset, RWF_NOWAIT) == (ssize_t)size;
}

/* ---- opening -------------------------------------------------------------------------------- */

static enum gw_status open_locked(const char *path, int flags, int *fd, struct gw_error *err)
{
    bool writes = (flags & O_ACCMODE) != O_RDONLY;
    *fd = open(path, flags | O_CLOEXEC | O_NONBLOCK, 0666); /* a pipe is refused, not waited for */
    if (*fd < 0)
        return gw_fail(err, errno == ENOENT ? GW_ERR_NOTFOUND : GW_ERR_IO, path,
                       "cannot open the disk: %s", strerror(errno));
    if (flock(*fd, (writes ? LOCK_EX : LOCK_SH) | LOCK_NB) < 0 && errno == EWOULDBLOCK)
        return gw_fail(err, GW_ERR_STATE, path, "cannot open the disk: in use by another machine");
    return GW_OK;
}

static enum gw_status find_size(struct dev_disk *d, struct gw_error *err)
{
    struct stat st;
    off_t end;
    if (fstat(d->fd, &st) < 0)
        return gw_fail(err, GW_ERR_IO, d->path, "cannot open the disk: %s", strerror(errno));
    if (!S_ISREG(st.st_mode) && !S_ISBLK(st.st_mode))
        return gw_fail(err, GW_ERR_FORMAT, d->path,
                       "cannot open the disk: neither a file nor a block device");
    end = lseek(d->fd, 0, SEEK_END);
    if (end <= 0)
        return gw_fail(err, GW_ERR_FORMAT, d->path, "cannot open the disk: it is empty");
    if (end % (off_t)DEV_DISK_SECTOR)
        return gw_fail(err, GW_ERR_FORMAT, d->path,
                       "cannot open the disk: its size is not a multiple of 512 bytes");
    if ((uint64_t)end > MAX_DISK_BYTES)
        return gw_fail(err, GW_ERR_UNSUPPORTED, d->path, "cannot open the disk: over 1024 TiB");
    d->bytes = (uint64_t)end;
    d->clusters = (d->bytes + DEV_DISK_CLUSTER - 1) / DEV_DISK_CLUSTER;
    return GW_OK;
}

static bool make_state(struct dev_disk *d)
{
    uint8_t bytes[8];
    do {
        if (getrandom(bytes, sizeof bytes, 0) != (ssize_t)sizeof bytes)
            return false;
        d->state = gw_little(bytes, sizeof bytes);
    } while (!d->state);
    return true;
}

/* On stable storage before the write is: a snapshot that names the old one is of what was there before. */
bool disk_new_state(struct dev_disk *d)
{
    uint8_t bytes[8];
    if (!d->state_known)
        return true;
    if (!make_state(d))
        return false;
    gw_put_little(bytes, d->state, sizeof bytes);
    if (!disk_write_all(d->overlay_fd, bytes, sizeof bytes, AT_STATE) ||
        fdatasync(d->overlay_fd) != 0)
        return false;
    d->state_known = false;
    return true;
}

static enum gw_status open_overlay(struct dev_disk *d, const char *path, struct gw_error *err)
{
    struct stat st;
    enum gw_status status = open_locked(path, O_RDWR | O_CREAT, &d->overlay_fd, err);
    if (status == GW_OK && (fstat(d->overlay_fd, &st) < 0 || !S_ISREG(st.st_mode)))
        status = gw_fail(err, GW_ERR_FORMAT, path, "cannot open the overlay: not a file");
    d->data_at = DISK_HEADER_BYTES + disk_bitmap_bytes(d->clusters);
    d->overlay_path = strdup(path);
    if (status == GW_OK && !d->overlay_path)
        status = gw_fail(err, GW_ERR_NOMEM, path, "cannot open the overlay: out of memory");
    return status == GW_OK ? disk_make_windows(d, d->data_at + d->clusters * DEV_DISK_CLUSTER, err)
                           : status;
}

static enum gw_status make_overlay(struct dev_disk *d, struct gw_error *err)
{
    uint8_t head[HEAD_BYTES] = {0};
    uint64_t sample;
    bool ok = dev_sample_file(d->fd, d->bytes, &sample) && make_state(d);
    memcpy(head, OVERLAY_MAGIC, 8);
    gw_put_little(head + AT_BYTES, d->bytes, 8);
    gw_put_little(head + AT_CLUSTER, DEV_DISK_CLUSTER, 8);
    gw_put_little(head + AT_STATE, d->state, 8);
    gw_put_little(head + AT_SAMPLE, sample, 8);
    if (!ok || ftruncate(d->overlay_fd, (off_t)d->data_at) < 0 ||
        !disk_write_all(d->overlay_fd, head, sizeof head, 0))
        return gw_fail(err, GW_ERR_IO, d->overlay_path, "cannot make the overlay: %s",
                       strerror(errno));
    return GW_OK;
}

/* The file below is what it was when the overlay was made. */
static enum gw_status check_below(struct dev_disk *d, uint64_t made_on, struct gw_error *err)
{
    uint64_t sample;
    if (!made_on)
        return GW_OK;
    if (!dev_sample_file(d->fd, d->bytes, &sample))
        return gw_fail(err, GW_ERR_IO, d->path, "cannot read the disk: %s", strerror(errno));
    if (sample == made_on)
        return GW_OK;
    gw_fail(err, GW_ERR_STATE, d->overlay_path,
            "cannot use the overlay: the disk is not the one that it was made for, or was written "
            "to since");
    gw_hint_of(err, "-d @,overlay=OTHER begins a new one; a copy of the disk from then will do",
               d->path);
    return GW_ERR_STATE;
}

static enum gw_status begin_overlay(struct dev_disk *d, struct gw_error *err)
{
    const char *path = d->overlay_path;
    uint8_t head[HEAD_BYTES] = {0};
    struct stat st;
    if (fstat(d->overlay_fd, &st) < 0)
        return gw_fail(err, GW_ERR_IO, path, "cannot read the overlay: %s", strerror(errno));
    if (st.st_size == 0)
        return make_overlay(d, err);
    if (!read_all(d->overlay_fd, true, head, sizeof head, 0))
        return gw_fail(err, GW_ERR_IO, path, "cannot read the overlay: %s", strerror(errno));
    if (memcmp(head, OVERLAY_MAGIC, 8) != 0 ||
        gw_little(head + AT_CLUSTER, 8) != DEV_DISK_CLUSTER || (uint64_t)st.st_size < d->data_at)
        return gw_fail(err, GW_ERR_FORMAT, path, "cannot use the overlay: not an overlay of ours");
    if (gw_little(head + AT_BYTES, 8) != d->bytes)
        return gw_fail(err, GW_ERR_FORMAT, path,
                       "cannot use the overlay: made for a disk of %" PRIu64 " bytes",
                       gw_little(head + AT_BYTES, 8));
    if (!read_all(d->overlay_fd, false, d->bitmap, disk_bitmap_bytes(d->clusters),
                  DISK_HEADER_BYTES))
        return gw_fail(err, GW_ERR_IO, path, "cannot read the overlay: %s", strerror(errno));
    d->state = gw_little(head + AT_STATE, 8);
    d->state_known = true;
    return check_below(d, gw_little(head + AT_SAMPLE, 8), err);
}

/* Sparse up to its end, so that a read beyond it says that somebody has cut it short. Where the host
 * refuses that length, what is beyond the end counts as never written. */
static void make_whole(struct dev_disk *d)
{
    off_t whole = (off_t)(d->data_at + d->clusters * DEV_DISK_CLUSTER);
    struct stat st;
    d->overlay_whole = fstat(d->overlay_fd, &st) == 0 &&
                       (st.st_size >= whole || ftruncate(d->overlay_fd, whole) == 0);
}

static enum gw_status open_parts(struct dev_disk *d, const struct dev_disk_config *cfg,
                                 struct gw_error *err)
{
    uint64_t map;
    enum gw_status st = open_locked(cfg->path, cfg->rw ? O_RDWR : O_RDONLY, &d->fd, err);
    if (st == GW_OK && !cfg->raw)
        st = dev_image_refuse(d->fd, cfg->path, "cannot open the disk", true, err);
    if (st == GW_OK)
        st = find_size(d, err);
    if (st == GW_OK && cfg->rw)
        st = disk_make_windows(d, d->bytes, err);
    if (st != GW_OK || cfg->rw)
        return st;
    map = disk_bitmap_bytes(d->clusters);
    d->bitmap = calloc(1, map);
    if (cfg->overlay)
        d->bitmap_dirty = calloc(map / DISK_BITMAP_BLOCK, 1);
    if (!d->bitmap || (cfg->overlay && !d->bitmap_dirty))
        return gw_fail(err, GW_ERR_NOMEM, cfg->path, "cannot open the disk: out of memory");
    d->overlay_keeps = cfg->overlay != NULL;
    if (cfg->overlay)
        return open_overlay(d, cfg->overlay, err);
    d->overlay_fd = temporary_file(); /* now: a machine that runs may open nothing */
    if (d->overlay_fd < 0)
        return gw_fail(err, GW_ERR_IO, cfg->path, "cannot make a temporary overlay: %s",
                       strerror(errno));
    return GW_OK;
}

enum gw_status dev_disk_begin(struct dev_disk *d, struct gw_error *err)
{
    enum gw_status st = d->overlay_keeps ? begin_overlay(d, err) : GW_OK;
    if (st == GW_OK && !d->rw)
        make_whole(d);
    return st;
}

static void free_disk(struct dev_disk *d)
{
    if (d->fd >= 0)
        close(d->fd);
    if (d->overlay_fd >= 0)
        close(d->overlay_fd);
    free(d->bitmap);
    free(d->bitmap_dirty);
    free(d->window);
    free(d->overlay_path);
    free(d->path);
    free(d);
}

enum gw_status dev_disk_open(struct dev_disk **out, const struct dev_disk_config *cfg,
                             struct gw_error *err)
{
    struct dev_disk *d = calloc(1, sizeof *d);
    enum gw_status st = GW_ERR_NOMEM;
    *out = NULL;
    if (!d)
        return gw_fail(err, GW_ERR_NOMEM, cfg->path, "cannot open the disk: out of memory");
    d->fd = d->overlay_fd = -1;
    d->rw = cfg->rw;
    d->fault = cfg->fault;
    d->sync = cfg->sync;
    d->path = strdup(cfg->path);
    st = d->path ? open_parts(d, cfg, err) : gw_fail(err, GW_ERR_NOMEM, "", "out of memory");
    if (st != GW_OK) {
        free_disk(d);
        return st;
    }
    *out = d;
    return GW_OK;
}

void dev_disk_close(struct dev_disk *d)
{
    if (!d)
        return;
    if (!dev_disk_gives_up(d))
        dev_disk_flush(d);
    disk_leave(d);
    free_disk(d);
}

const char *dev_disk_path(const struct dev_disk *d)
{
    return d->path;
}

uint64_t dev_disk_sectors(const struct dev_disk *d)
{
    return d->bytes / DEV_DISK_SECTOR;
}

uint64_t dev_disk_discarded(const struct dev_disk *d)
{
    if (d->rw || d->overlay_keeps)
        return 0;
    return __atomic_load_n(&d->written, __ATOMIC_RELAXED) * DEV_DISK_CLUSTER;
}

/* ---- snapshots ------------------------------------------------------------------------------ */

static bool changed_at(int fd, uint64_t *ns)
{
    struct stat st;
    if (fstat(fd, &st) < 0)
        return false;
    *ns = (uint64_t)st.st_mtim.tv_sec * 1000000000u + (uint64_t)st.st_mtim.tv_nsec;
    return true;
}

enum dev_disk_mode dev_disk_mode(const struct dev_disk *d)
{
    return d->rw ? DEV_DISK_RW : d->overlay_keeps ? DEV_DISK_OVERLAY : DEV_DISK_TEMPORARY;
}

bool dev_disk_identify(struct dev_disk *d, struct dev_disk_identity *out)
{
    *out = (struct dev_disk_identity){.bytes = d->bytes, .mode = dev_disk_mode(d)};
    if (!changed_at(d->fd, &out->mtime_ns) || !dev_sample_file(d->fd, d->bytes, &out->sample))
        return false;
    if (out->mode != DEV_DISK_OVERLAY)
        return true;
    d->state_known = true;
    out->overlay_state = d->state;
    return changed_at(d->overlay_fd, &out->overlay_mtime_ns);
}

uint64_t dev_disk_clusters(const struct dev_disk *d)
{
    return d->clusters;
}

bool dev_disk_has_cluster(const struct dev_disk *d, uint64_t index)
{
    return d->bitmap && disk_has_cluster(d, index);
}

/* Of the last cluster, what is behind the disk's end is 0. */
static size_t cluster_bytes(const struct dev_disk *d, uint64_t index)
{
    uint64_t left = d->bytes - index * DEV_DISK_CLUSTER;
    return left < DEV_DISK_CLUSTER ? (size_t)left : DEV_DISK_CLUSTER;
}

bool dev_disk_get_cluster(struct dev_disk *d, uint64_t index, uint8_t *to)
{
    memset(to, 0, DEV_DISK_CLUSTER);
    return read_all(d->overlay_fd, !d->overlay_whole, to, cluster_bytes(d, index),
                    d->data_at + index * DEV_DISK_CLUSTER);
}

bool dev_disk_put_cluster(struct dev_disk *d, uint64_t index, const uint8_t *from)
{
    struct iovec iov = {.iov_base = (void *)(uintptr_t)from, .iov_len = cluster_bytes(d, index)};
    return dev_disk_write(d, &iov, 1, index * DEV_DISK_CLUSTER);
}
