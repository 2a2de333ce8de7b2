/*
 * virtio-blk: requests are checked on the vCPU thread, run on the I/O thread straight between the
 * disk and guest RAM, and given back on the vCPU thread by an event. At most VIRTIO_BLK_IN_FLIGHT
 * at a time; further ones, and those over the rate limit, wait in the guest's own rings. Reads that
 * the host can serve from memory, and all requests where time is counted in instructions, are done
 * at once. Chains are given back in the order in which they were taken off their ring.
 *
 * State is taken after quiesce: no request is in flight then. Those that the host does not finish soon
 * are given up and put back into their rings, as if they had never been taken, and are done anew.
 */
#ifndef DEV_VIRTIO_BLK_H
#define DEV_VIRTIO_BLK_H

#include "devices/host/disk.h"
#include "devices/host/io_thread.h"
#include "godwit/limits.h"
#include "devices/virtio/dev.h"

enum { VIRTIO_BLK_IN_FLIGHT = 32, VIRTIO_BLK_QUEUES = 8, VIRTIO_BLK_RANGES = 16 };

/* Events of a disk. */
enum virtio_blk_event {
    VIRTIO_BLK_DONE,  /* a request is finished; what bytes it has is said below */
    VIRTIO_BLK_GO_ON, /* with what waits in the rings */
};
/* Bytes of DONE. A request is named by the slot that it holds, and by how often the device was reset
 * or quiesced before it was taken (modulo 2^32), so one that was forgotten meanwhile names nothing. */
enum {
    VIRTIO_BLK_DONE_GENERATION = 0, /* 4 */
    VIRTIO_BLK_DONE_SLOT = 4,       /* 2: less than VIRTIO_BLK_IN_FLIGHT */
    VIRTIO_BLK_DONE_RESULT = 6,     /* 2: 0 is done, 1 is failed */
    VIRTIO_BLK_DONE_BYTES = 8
};

/* Who does the work of a request. */
enum virtio_blk_service {
    VIRTIO_BLK_DEFAULT, /* the I/O thread, but for reads that need not wait */
    VIRTIO_BLK_QUEUED,  /* the I/O thread, always */
    VIRTIO_BLK_AT_ONCE, /* while the vCPU thread waits, always: for runs that can be repeated */
};

struct virtio_blk_config {
    struct dev_disk *disk; /* stays the caller's, until after destroy */
    struct dev_io *io;
    bool read_only;
    enum virtio_blk_service service;
    const char *serial; /* up to 20 bytes, for GET_ID */
    unsigned queues;    /* 1 to VIRTIO_BLK_QUEUES; 0: one */
    struct gw_io_limit limit;
    /* vCPU thread, now and then while it waits for the disk. False: what is under way is given up.
     * NULL: nobody asks. */
    bool (*go_on)(void *context);
    void *context;
};

/* The limit may change while the machine runs. vCPU thread. */
void virtio_blk_limit(struct virtio_dev *v, const struct gw_io_limit *limit);

extern const struct virtio_kind virtio_blk_kind;

/* Makes an empty virtio device a disk. Before the vCPU starts. */
enum gw_status virtio_blk_attach(struct virtio_dev *v, const struct virtio_blk_config *cfg,
                                 struct gw_error *err);

struct virtio_blk_stats {
    uint64_t reads, read_bytes, writes, write_bytes, flushes, discards, write_zeroes, errors,
        delays;
};
extern const struct counter_desc virtio_blk_counters; /* of struct virtio_blk_stats */
const struct virtio_blk_stats *virtio_blk_stats(const struct virtio_dev *v);

#endif
