/* Of the disk device's files only: blk.c takes requests off the rings, blk_work.c has them done and gives
 * them back. vCPU thread, unless said otherwise. */
#ifndef DEV_VIRTIO_BLK_INT_H
#define DEV_VIRTIO_BLK_INT_H

#include "devices/host/rate_limit.h"
#include "devices/virtio/blk.h"

enum { BLK_CONFIG_BYTES = 60, BLK_ID_BYTES = 20 };
enum {
    BLK_IN = 0,
    BLK_OUT = 1,
    BLK_FLUSH = 4,
    BLK_GET_ID = 8,
    BLK_DISCARD = 11,
    BLK_WRITE_ZEROES = 13
};
#define BLK_ANSWER UINT32_MAX /* ours: waits for those before it, to be given back */
enum { BLK_OK = 0, BLK_IOERR = 1, BLK_UNSUPP = 2 };

struct blk_range {
    uint64_t offset, bytes;
    bool unmap;
};

struct blk_request {
    struct dev_io_job job;
    struct virtio_dev *owner;
    uint32_t generation;
    bool busy;
    /* Valid when the I/O thread is finished with it. given_up: it is to be put back. */
    bool failed, given_up;
    bool worked;    /* atomic: it is */
    bool durable;   /* the driver knows no flush: what is written is so when it is given back */
    uint64_t order; /* in which it was taken off its ring */
    unsigned queue;
    struct virtq_token token;
    uint32_t type;
    uint64_t offset, bytes;
    uint64_t status_paddr;
    /* How it is given back. mute: there is nowhere to put a status. */
    uint8_t status;
    bool mute;
    uint64_t returned; /* bytes, beside the status */
    bool reaches_ram;  /* the I/O thread's read is under way, or may be */
    unsigned count;
    struct iovec iov[VIRTQ_MAX_SEGS]; /* used up by the disk */
    uint64_t paddr[VIRTQ_MAX_SEGS];
    uint32_t len[VIRTQ_MAX_SEGS];
    unsigned range_count;
    struct blk_range range[VIRTIO_BLK_RANGES];
};

struct blk {
    struct virtio_dev *v;
    struct virtio_blk_config cfg;
    uint8_t config[BLK_CONFIG_BYTES];
    char id[BLK_ID_BYTES];
    /* State. */
    uint8_t stalled; /* chains wait in the rings: for a free request, the rate limit, or a kick */
    struct dev_rate rate;
    uint64_t rests_until_ns; /* no request is taken before: so much was done at once */
    /* Derived. */
    uint32_t generation; /* completions of an older one are dropped */
    bool held;           /* requests were put back: none is taken until time goes on */
    unsigned in_flight;
    uint64_t order;      /* requests so far */
    unsigned next_queue; /* whose turn it is */
    bool kicked;         /* an event to go on is posted */
    struct gw_timer timer;
    struct virtio_blk_stats stats;
    struct virtq_chain chain;
    struct blk_request request[VIRTIO_BLK_IN_FLIGHT];
};

static inline struct blk *blk(const struct virtio_dev *v)
{
    return v->backend;
}

/* Has the request done: it is the device's until it is given back. */
void blk_submit(struct virtio_dev *v, struct blk_request *r);
/* A request that is no work for the host. The rings may not be changed where a request lies that is in
 * flight and may yet be put back, so it is given back behind those. */
void blk_answer(struct virtio_dev *v, struct blk_request *r, uint8_t status, uint64_t returned);
/* Of a request that is done. */
void blk_finish(struct virtio_dev *v, struct blk_request *r);
/* All requests in flight: done and given back, or put back; forgotten. */
void blk_settle(struct virtio_dev *v);
void blk_forget(struct virtio_dev *v);

#endif
