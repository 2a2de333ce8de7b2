/* A virtio-blk device on a disk of 64 sectors; each byte of a sector is its number + 1. */
#ifndef TESTS_DEVICES_BLK_FIXTURE_H
#define TESTS_DEVICES_BLK_FIXTURE_H

#include <stdio.h>
#include <unistd.h>

#include "tests/devices/ring_driver.h"
#include "devices/virtio/blk.h"

enum { SECTORS = 64 };

struct fixture {
    struct fake_clock clock;
    struct gw_events *q;
    struct dev_bus bus;
    struct dev_io *io;
    struct dev_disk *disk;
    struct gw_device *d;
    struct virtio_dev *v;
    struct fake_line line;
    struct ring r[4];     /* a test's driver may use these, */
    uint16_t avail, used; /* or count by itself */
};

/* like: the configuration, but for disk and io. The driver's part is yet to come. sync: see
 * dev_disk_config. */
static inline void fixture_open_with(struct fixture *f, bool rw,
                                     const struct virtio_blk_config *like, int (*sync)(int fd))
{
    char path[] = "/tmp/godwit-blk-XXXXXX";
    uint8_t sector[512];
    int fd = mkstemp(path);
    struct gw_error err = {0};
    struct dev_disk_config dc = {.path = path, .rw = rw, .sync = sync};
    struct virtio_blk_config bc = *like;
    memset(f, 0, sizeof *f);
    for (unsigned s = 0; s < SECTORS; s++) {
        memset(sector, (int)s + 1, sizeof sector);
        assert_int_equal(write(fd, sector, sizeof sector), sizeof sector);
    }
    close(fd);
    f->q = fake_events(&f->clock);
    fake_bus(&f->bus);
    assert_int_equal(dev_io_new(&f->io, &err), GW_OK);
    assert_int_equal(dev_disk_open(&f->disk, &dc, &err), GW_OK);
    assert_int_equal(dev_disk_begin(f->disk, &err), GW_OK);
    unlink(path);
    f->d = dev_new(&virtio_mmio_class, f->q, &f->bus.bus);
    f->v = virtio_mmio_dev(f->d);
    f->d->irq = fake_irq(&f->line);
    bc.disk = f->disk;
    bc.io = f->io;
    assert_int_equal(virtio_blk_attach(f->v, &bc, &err), GW_OK);
}

static inline void fixture_open(struct fixture *f, bool rw, const struct virtio_blk_config *like)
{
    fixture_open_with(f, rw, like, NULL);
}

static inline void teardown(struct fixture *f)
{
    dev_free(f->d);
    dev_io_free(f->io);
    dev_disk_close(f->disk);
    dev_bus_destroy(&f->bus);
    gw_events_free(f->q);
}

#endif
