/*
 * virtio-blk: requests are checked on the vCPU thread, run on the I/O thread straight between the
 * disk and guest RAM, and given back on the vCPU thread by an event. At most VIRTIO_BLK_IN_FLIGHT
 * at a time; further ones wait in the guest's own ring.
 */
#ifndef DEV_VIRTIO_BLK_H
#define DEV_VIRTIO_BLK_H

#include "disk.h"
#include "io_thread.h"
#include "virtio_mmio.h"

enum { VIRTIO_BLK_IN_FLIGHT = 32 };

struct virtio_blk_config {
    struct dev_disk *disk; /* stays the caller's, until after destroy */
    struct dev_io *io;
    bool read_only;
    const char *serial; /* up to 20 bytes, for GET_ID */
};

/* Turns an empty slot into a disk. Before the vCPU starts. */
enum gw_status virtio_blk_attach(struct virtio_mmio *v, const struct virtio_blk_config *cfg,
                                 struct gw_error *err);

struct virtio_blk_stats {
    uint64_t reads, read_bytes, writes, write_bytes, flushes, errors;
};
extern const struct counter_desc virtio_blk_counters; /* of struct virtio_blk_stats */
const struct virtio_blk_stats *virtio_blk_stats(const struct virtio_mmio *v);

#endif
