/* The disk: 256 KiB in memory, behind a temporary overlay. */
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#include "tests/devices/fuzz/fuzz_devices.h"
#include "devices/virtio/blk.h"

void fz_attach(struct fz_world *w)
{
    struct virtio_blk_config cfg = {.queues = 4, .service = VIRTIO_BLK_AT_ONCE};
    struct dev_disk_config disk = {0};
    struct gw_error err = {0};
    char path[32];
    int fd = memfd_create("disk", 0);
    if (fd < 0 || ftruncate(fd, 256 << 10) < 0 || dev_io_new(&cfg.io, &err) != GW_OK)
        abort();
    snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
    disk.path = path;
    if (dev_disk_open(&cfg.disk, &disk, &err) != GW_OK || dev_disk_begin(cfg.disk, &err) != GW_OK ||
        virtio_blk_attach(w->v, &cfg, &err) != GW_OK)
        abort();
}

void fz_between(struct fz_world *w)
{
    virtio_blk_limit(w->v, &(struct gw_io_limit){0});
}

void fz_host(struct fz_world *w, struct fz_bytes *input)
{
    struct gw_io_limit limit;
    limit.bytes = gw_rate_usual(fz_take(input, 2));
    limit.ops = gw_rate_usual(fz_take(input, 1));
    virtio_blk_limit(w->v, &limit);
}
