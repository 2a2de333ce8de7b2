/*
 * An overlay that the input has changed, above a disk: it is refused, or it is one. Then what is written to it
 * is read again, by the next one who opens it too, and the file below stays what it was.
 */
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#include "devices/host/disk.h"
#include "tests/fuzzing.h"

enum { DISK_BYTES = 18 * DEV_DISK_CLUSTER + 512, MAX_OVERLAY = 128 << 10 };

static void must(bool what)
{
    if (!what)
        abort();
}

static int memory_file(const uint8_t *bytes, size_t size, char path[32])
{
    int fd = memfd_create("file", MFD_CLOEXEC);
    must(fd >= 0 && write(fd, bytes, size) == (ssize_t)size);
    snprintf(path, 32, "/proc/self/fd/%d", fd);
    return fd;
}

/* NULL: it is refused. */
static struct dev_disk *begin(const char *base, const char *overlay)
{
    struct dev_disk_config cfg = {.path = base, .overlay = overlay};
    struct gw_error err = {0};
    struct dev_disk *d;
    must(dev_disk_open(&d, &cfg, &err) == GW_OK);
    if (dev_disk_begin(d, &err) == GW_OK)
        return d;
    must(err.message[0] && err.status != GW_ERR_NOMEM);
    dev_disk_close(d);
    return NULL;
}

static bool move(struct dev_disk *d, bool writes, uint8_t *bytes, uint64_t at, size_t size)
{
    struct iovec iov = {bytes, size};
    return writes ? dev_disk_write(d, &iov, 1, at) : dev_disk_read(d, &iov, 1, at);
}

/* A good one, which has some clusters. */
static size_t make_first(const uint8_t *base, uint8_t *to)
{
    char base_path[32], path[32];
    int base_fd = memory_file(base, DISK_BYTES, base_path), fd = memory_file(NULL, 0, path);
    struct dev_disk *d = begin(base_path, path);
    uint8_t data[6000] = {1, 2, 3};
    ssize_t n;
    must(d && move(d, true, data, 8192 + 512, 5632) && dev_disk_flush(d));
    dev_disk_close(d);
    n = pread(fd, to, MAX_OVERLAY, 0);
    must(n > 0);
    close(fd);
    close(base_fd);
    return (size_t)n;
}

static void use(const char *base, const char *overlay, struct fz_bytes *in)
{
    static uint8_t before[DISK_BYTES], after[DISK_BYTES];
    struct dev_disk *d = begin(base, overlay);
    uint64_t at = fz_take(in, 1) % (DISK_BYTES / 512) * 512;
    size_t size = (size_t)(DISK_BYTES - at < 5120 ? DISK_BYTES - at : 5120);
    struct dev_disk_identity id[2];
    if (!d)
        return;
    must(dev_disk_sectors(d) == DISK_BYTES / 512 && dev_disk_identify(d, &id[0]));
    must(move(d, false, before, 0, DISK_BYTES)); /* it was made whole when it was opened */
    memset(before + at, (int)fz_take(in, 1), size);
    must(move(d, true, before + at, at, size));
    must(dev_disk_identify(d, &id[1]) && id[1].overlay_state &&
         id[1].overlay_state != id[0].overlay_state);
    dev_disk_close(d);
    d = begin(base, overlay);
    must(d && dev_disk_identify(d, &id[0]) && id[0].overlay_state == id[1].overlay_state);
    must(move(d, false, after, 0, DISK_BYTES) && !memcmp(before, after, DISK_BYTES));
    dev_disk_close(d);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static uint8_t base[DISK_BYTES], first[MAX_OVERLAY], file[MAX_OVERLAY], after[DISK_BYTES];
    static size_t first_bytes;
    struct fz_bytes in = {.at = data, .end = data + size};
    char base_path[32], path[32];
    size_t bytes, head;
    int base_fd, fd;
    if (!first_bytes) {
        for (size_t i = 0; i < sizeof base; i++)
            base[i] = (uint8_t)(i * 7 + i / 512);
        first_bytes = make_first(base, first);
    }
    memcpy(file, first, first_bytes);
    head = fz_take(&in, 1) & 3 ? 48 : first_bytes; /* numbers of the header, or anything */
    bytes = fz_edit(&in, file, head, head) + first_bytes - head;
    in = (struct fz_bytes){.at = data, .end = data + size};
    base_fd = memory_file(base, DISK_BYTES, base_path);
    fd = memory_file(file, bytes, path);
    use(base_path, path, &in);
    must(pread(base_fd, after, DISK_BYTES, 0) == DISK_BYTES && !memcmp(base, after, DISK_BYTES));
    close(fd);
    close(base_fd);
    return 0;
}
