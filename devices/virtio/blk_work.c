/* Requests of a disk between their ring and the host; see blk.h. */
#include <errno.h>

#include "devices/memory_bus.h"
#include "devices/virtio/blk_int.h"

/* Up to this size a read may be served on the vCPU thread: the copy takes less than the two thread
 * switches that it saves. */
#define CACHED_READ_MAX (UINT64_C(1) << 18)
/* Up to this size a request that is done at once is the vCPU thread's own. */
#define OWN_WORK_MAX (UINT64_C(1) << 20)
/* A quiesce or a reset lets what is in flight come to its end for so long. */
#define GRACE_NS UINT64_C(200000000)
/* How often somebody is asked whether to wait on. */
#define LOOK_NS UINT64_C(10000000)

/* ---- the work ------------------------------------------------------------------------------- */

static bool work_on_ranges(struct dev_disk *disk, const struct blk_request *r)
{
    bool ok = true;
    for (unsigned i = 0; ok && i < r->range_count; i++) {
        const struct blk_range *g = &r->range[i];
        ok = r->type == BLK_DISCARD ? dev_disk_discard(disk, g->offset, g->bytes)
                                    : dev_disk_write_zeroes(disk, g->offset, g->bytes, g->unmap);
    }
    return ok;
}

/* I/O thread; the vCPU's when nothing is in flight there. */
static void work(struct blk_request *r)
{
    struct dev_disk *disk = blk(r->owner)->cfg.disk;
    bool ok = !dev_disk_gives_up(disk);
    errno = ECANCELED;
    switch (ok ? r->type : BLK_ANSWER) {
    case BLK_IN: ok = dev_disk_read(disk, r->iov, r->count, r->offset); break;
    case BLK_OUT: ok = dev_disk_write(disk, r->iov, r->count, r->offset); break;
    case BLK_FLUSH: ok = dev_disk_flush(disk); break;
    case BLK_DISCARD:
    case BLK_WRITE_ZEROES: ok = work_on_ranges(disk, r); break;
    default: break;
    }
    if (ok && r->durable)
        ok = dev_disk_flush(disk);
    r->failed = !ok;
    r->given_up = !ok && errno == ECANCELED;
}

/* I/O thread. */
static void run_request(struct dev_io_job *job)
{
    struct blk_request *r = (struct blk_request *)(void *)job;
    struct virtio_dev *v = r->owner;
    uint8_t done[VIRTIO_BLK_DONE_BYTES];
    work(r);
    gw_put_little(done + VIRTIO_BLK_DONE_GENERATION, r->generation, 4);
    gw_put_little(done + VIRTIO_BLK_DONE_SLOT, (uint64_t)(r - blk(v)->request), 2);
    gw_put_little(done + VIRTIO_BLK_DONE_RESULT, r->failed, 2);
    __atomic_store_n(&r->worked, true, __ATOMIC_RELEASE);
    if (!r->given_up)
        virtio_post_bounded(v, VIRTIO_BLK_DONE, done, sizeof done);
}

/* ---- vCPU thread ---------------------------------------------------------------------------- */

static void give_back(struct virtio_dev *v, const struct blk_request *r)
{
    if (r->status != BLK_OK || r->mute)
        blk(v)->stats.errors++;
    if (!r->mute)
        gw_dma_write(v->dma, r->status_paddr, &r->status, 1);
    virtq_push(&v->queue[r->queue], v->dma, r->token,
               r->mute                     ? 0
               : r->returned >= UINT32_MAX ? UINT32_MAX
                                           : (uint32_t)(r->returned + 1));
}

/* The disk wrote into guest memory behind the bus's back: tell the translator. */
static void touch(struct virtio_dev *v, const struct blk_request *r)
{
    for (unsigned i = 0; i < r->count; i++) {
        const struct gw_ram *ram = gw_bus_ram(v->dma->bus, r->paddr[i], r->len[i]);
        if (ram)
            dev_bus_touched(v->dma->bus, ram, r->paddr[i], r->len[i]);
    }
}

/* The I/O thread reads into guest memory while vCPUs run. */
static void reaches_ram(struct virtio_dev *v, struct blk_request *r, bool now)
{
    if (r->reaches_ram == now)
        return;
    r->reaches_ram = now;
    if (now)
        dev_bus_dma_begin(v->dma->bus);
    else
        dev_bus_dma_end(v->dma->bus);
}

void blk_finish(struct virtio_dev *v, struct blk_request *r)
{
    if (r->type == BLK_IN)
        touch(v, r);
    reaches_ram(v, r, false);
    r->busy = false;
    blk(v)->in_flight--;
    if (r->failed)
        r->status = BLK_IOERR;
    else if (r->type == BLK_IN)
        r->returned = r->bytes;
    give_back(v, r);
}

/* What was given up, the last first: the rings are as they were before these were taken. */
static void put_back(struct virtio_dev *v)
{
    struct blk *b = blk(v);
    for (;;) {
        struct blk_request *last = NULL;
        for (unsigned i = 0; i < VIRTIO_BLK_IN_FLIGHT; i++)
            if (b->request[i].busy && (!last || b->request[i].order > last->order))
                last = &b->request[i];
        if (!last)
            return;
        if (last->type == BLK_IN) /* in part, perhaps */
            touch(v, last);
        reaches_ram(v, last, false);
        last->busy = false;
        b->in_flight--;
        b->stalled = 1;
        b->held = true;
        virtq_unpop(&v->queue[last->queue], last->token);
    }
}

/* Until nothing is at work any more. for_ns: then it is given up; so it is when somebody says so. */
static void wait_for_work(struct blk *b, uint64_t for_ns)
{
    while (!dev_io_wait(b->cfg.io, LOOK_NS)) {
        bool go_on = !b->cfg.go_on || b->cfg.go_on(b->cfg.context);
        for_ns -= for_ns < LOOK_NS ? for_ns : LOOK_NS;
        if (!go_on || for_ns == 0)
            break;
    }
    if (dev_disk_gives_up(b->cfg.disk)) {
        dev_io_drain(b->cfg.io);
        return;
    }
    dev_disk_give_up(b->cfg.disk, true);
    dev_io_drain(b->cfg.io);
    dev_disk_give_up(b->cfg.disk, false);
}

static void do_at_once(struct virtio_dev *v, struct blk_request *r)
{
    struct blk *b = blk(v);
    if ((r->type == BLK_IN || r->type == BLK_OUT) && r->bytes <= OWN_WORK_MAX) {
        work(r);
    } else {
        dev_io_submit(b->cfg.io, &r->job);
        wait_for_work(b, UINT64_MAX);
    }
    if (r->given_up)
        put_back(v);
    else
        blk_finish(v, r);
}

void blk_submit(struct virtio_dev *v, struct blk_request *r)
{
    struct blk *b = blk(v);
    r->job.run = run_request;
    r->owner = v;
    r->generation = b->generation;
    r->busy = true;
    r->failed = r->given_up = r->worked = false;
    r->order = b->order++;
    b->in_flight++;
    if (b->cfg.service == VIRTIO_BLK_AT_ONCE) {
        do_at_once(v, r);
    } else if (b->cfg.service == VIRTIO_BLK_DEFAULT && r->type == BLK_IN && b->in_flight == 1 &&
               r->bytes <= CACHED_READ_MAX &&
               dev_disk_read_cached(b->cfg.disk, r->iov, r->count, r->offset)) {
        blk_finish(v, r);
    } else {
        reaches_ram(v, r, r->type == BLK_IN);
        dev_io_submit(b->cfg.io, &r->job);
    }
}

void blk_answer(struct virtio_dev *v, struct blk_request *r, uint8_t status, uint64_t returned)
{
    r->status = status;
    r->returned = returned;
    if (blk(v)->in_flight == 0) {
        give_back(v, r);
        return;
    }
    r->type = BLK_ANSWER;
    blk_submit(v, r);
}

static struct blk_request *oldest_finished(struct blk *b)
{
    struct blk_request *oldest = NULL;
    for (unsigned i = 0; i < VIRTIO_BLK_IN_FLIGHT; i++) {
        struct blk_request *r = &b->request[i];
        if (r->busy && !r->given_up && (!oldest || r->order < oldest->order))
            oldest = r;
    }
    return oldest;
}

void blk_settle(struct virtio_dev *v)
{
    struct blk *b = blk(v);
    wait_for_work(b, GRACE_NS);
    for (struct blk_request *r; (r = oldest_finished(b));)
        blk_finish(v, r);
    put_back(v);
}

void blk_forget(struct virtio_dev *v)
{
    struct blk *b = blk(v);
    wait_for_work(b, GRACE_NS);
    for (unsigned i = 0; i < VIRTIO_BLK_IN_FLIGHT; i++) {
        if (b->request[i].busy && b->request[i].type == BLK_IN)
            touch(v, &b->request[i]);
        reaches_ram(v, &b->request[i], false);
        b->request[i].busy = false;
    }
    b->in_flight = 0;
}
