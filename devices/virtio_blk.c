/* virtio-blk. Source: VIRTIO 1.2, 5.2. */
#include <stdlib.h>
#include <string.h>

#include "memory_bus.h"
#include "virtio_blk.h"

enum { F_SEG_MAX = 1 << 2, F_RO = 1 << 5, F_BLK_SIZE = 1 << 6, F_FLUSH = 1 << 9 };
enum { T_IN = 0, T_OUT = 1, T_FLUSH = 4, T_GET_ID = 8 };
enum { S_OK = 0, S_IOERR = 1, S_UNSUPP = 2 };
enum { HEADER_BYTES = 16, ID_BYTES = 20, CONFIG_BYTES = 24 };

struct request {
    struct dev_io_job job;
    struct virtio_mmio *owner;
    uint32_t generation;
    bool busy;
    bool done;   /* atomic: the I/O thread is finished with it */
    bool failed; /* valid when done */
    uint16_t head;
    uint32_t type;
    uint64_t offset, bytes;
    uint64_t status_paddr;
    unsigned count;
    struct iovec iov[VIRTQ_MAX_SEGS]; /* used up by the disk */
    uint64_t paddr[VIRTQ_MAX_SEGS];
    uint32_t len[VIRTQ_MAX_SEGS];
};

struct blk {
    struct virtio_blk_config cfg;
    uint8_t config[CONFIG_BYTES];
    char id[ID_BYTES];
    uint32_t generation; /* completions of an older one are dropped */
    unsigned in_flight;
    bool stalled; /* chains wait in the ring for a free request */
    struct virtio_blk_stats stats;
    struct virtq_chain chain;
    struct request request[VIRTIO_BLK_IN_FLIGHT];
};

static struct blk *blk(const struct virtio_mmio *v)
{
    return v->backend;
}

static uint64_t blk_features(struct virtio_mmio *v)
{
    return F_SEG_MAX | F_BLK_SIZE | F_FLUSH | (blk(v)->cfg.read_only ? F_RO : 0);
}

static uint8_t blk_config(struct virtio_mmio *v, uint64_t offset)
{
    return offset < CONFIG_BYTES ? blk(v)->config[offset] : 0;
}

/* ---- I/O thread ----------------------------------------------------------------------------- */

static void deliver_done(void *device, const struct gw_event *ev);

static void run_request(struct dev_io_job *job)
{
    struct request *r = (struct request *)(void *)job;
    struct virtio_mmio *v = r->owner;
    struct dev_disk *disk = blk(v)->cfg.disk;
    struct gw_event ev = {.device = v,
                          .deliver = deliver_done,
                          .kind = r->type,
                          .arg = (uint64_t)r->generation << 32 | (uint64_t)(r - blk(v)->request)};
    if (r->type == T_IN)
        r->failed = !dev_disk_read(disk, r->iov, r->count, r->offset);
    else if (r->type == T_OUT)
        r->failed = !dev_disk_write(disk, r->iov, r->count, r->offset);
    else
        r->failed = !dev_disk_flush(disk);
    __atomic_store_n(&r->done, true, __ATOMIC_RELEASE);
    gw_events_post(v->d.events, &ev);
}

/* ---- vCPU thread ---------------------------------------------------------------------------- */

static void give_back(struct virtio_mmio *v, uint16_t head, uint64_t status_paddr, uint8_t status,
                      uint64_t written)
{
    if (status != S_OK)
        blk(v)->stats.errors++;
    gw_dma_write(&v->d.dma, status_paddr, &status, 1);
    virtq_push(&v->queue[0], &v->d.dma, head,
               written >= UINT32_MAX ? UINT32_MAX : (uint32_t)(written + 1));
}

/* The disk wrote into guest memory behind the bus's back: tell the translator. */
static void touch(struct virtio_mmio *v, const struct request *r)
{
    for (unsigned i = 0; i < r->count; i++) {
        const struct gw_ram *ram = gw_bus_ram(v->d.dma.bus, r->paddr[i], r->len[i]);
        if (ram)
            dev_bus_touched(v->d.dma.bus, ram, r->paddr[i], r->len[i]);
    }
}

static void finish(struct virtio_mmio *v, struct request *r)
{
    bool ok = !r->failed;
    if (r->type == T_IN)
        touch(v, r);
    r->busy = false;
    blk(v)->in_flight--;
    give_back(v, r->head, r->status_paddr, ok ? S_OK : S_IOERR,
              ok && r->type == T_IN ? r->bytes : 0);
}

static void take_requests(struct virtio_mmio *v);

static void deliver_done(void *device, const struct gw_event *ev)
{
    struct virtio_mmio *v = device;
    struct blk *b = blk(v);
    struct request *r = &b->request[(uint32_t)ev->arg];
    if ((uint32_t)(ev->arg >> 32) != b->generation || !r->busy)
        return;
    finish(v, r);
    virtio_mmio_used(v, 0);
    if (b->stalled && virtio_mmio_running(v))
        take_requests(v);
}

static struct request *free_request(struct blk *b)
{
    for (unsigned i = 0; i < VIRTIO_BLK_IN_FLIGHT; i++)
        if (!b->request[i].busy)
            return &b->request[i];
    return NULL;
}

/* Data buffers of the chain: behind the header, or before the status byte. */
static void collect(struct request *r, const struct virtq_chain *c, bool in)
{
    uint64_t skip = in ? 0 : HEADER_BYTES, left = r->bytes;
    unsigned first = in ? c->out_count : 0;
    unsigned end = in ? c->out_count + c->in_count : c->out_count;
    r->count = 0;
    for (unsigned i = first; i < end && left; i++) {
        uint64_t len = c->seg[i].iov_len;
        if (skip >= len) {
            skip -= len;
            continue;
        }
        len -= skip;
        if (len > left)
            len = left;
        r->iov[r->count] =
            (struct iovec){.iov_base = (uint8_t *)c->seg[i].iov_base + skip, .iov_len = len};
        r->paddr[r->count] = c->paddr[i] + skip;
        r->len[r->count++] = (uint32_t)len;
        left -= len;
        skip = 0;
    }
}

/* Where the status byte goes: the last byte of the writable part. */
static uint64_t status_address(const struct virtq_chain *c)
{
    for (unsigned i = c->out_count + c->in_count; i > c->out_count; i--)
        if (c->seg[i - 1].iov_len)
            return c->paddr[i - 1] + c->seg[i - 1].iov_len - 1;
    return 0;
}

static void get_id(struct virtio_mmio *v, const struct virtq_chain *c, struct request *r)
{
    uint64_t done = 0;
    r->bytes = c->in_bytes - 1 < ID_BYTES ? c->in_bytes - 1 : ID_BYTES;
    collect(r, c, true);
    for (unsigned i = 0; i < r->count; i++) {
        gw_dma_write(&v->d.dma, r->paddr[i], blk(v)->id + done, r->len[i]);
        done += r->len[i];
    }
    give_back(v, c->head, r->status_paddr, S_OK, done);
}

static void submit(struct virtio_mmio *v, struct request *r)
{
    struct blk *b = blk(v);
    r->job.run = run_request;
    r->owner = v;
    r->generation = b->generation;
    r->busy = true;
    r->done = r->failed = false;
    b->in_flight++;
    dev_io_submit(b->cfg.io, &r->job);
}

/* Checks sector and length: returns a status to refuse with, or S_OK. */
static uint8_t check_transfer(struct blk *b, const struct request *r, uint64_t sector)
{
    uint64_t sectors = dev_disk_sectors(b->cfg.disk);
    if (r->bytes % DEV_DISK_SECTOR || sector > sectors ||
        r->bytes / DEV_DISK_SECTOR > sectors - sector)
        return S_IOERR;
    return r->type == T_OUT && b->cfg.read_only ? S_IOERR : S_OK;
}

static uint64_t little(const uint8_t *p, unsigned size)
{
    uint64_t v = 0;
    for (unsigned i = 0; i < size; i++)
        v |= (uint64_t)p[i] << (8 * i);
    return v;
}

/* One chain. The header is copied once, then only the copy is looked at. */
static void start(struct virtio_mmio *v, struct request *r, const struct virtq_chain *c)
{
    struct blk *b = blk(v);
    uint8_t header[HEADER_BYTES], refused = S_OK;
    uint64_t sector;
    if (c->in_bytes == 0) { /* nowhere to put a status: give it back empty */
        b->stats.errors++;
        virtq_push(&v->queue[0], &v->d.dma, c->head, 0);
        return;
    }
    r->head = c->head;
    r->status_paddr = status_address(c);
    if (c->bad || !virtq_read(c, 0, header, sizeof header)) {
        give_back(v, c->head, r->status_paddr, S_IOERR, 0);
        return;
    }
    r->type = (uint32_t)little(header, 4);
    sector = little(header + 8, 8);
    switch (r->type) {
    case T_IN: r->bytes = c->in_bytes - 1; break;
    case T_OUT: r->bytes = c->out_bytes - HEADER_BYTES; break;
    case T_FLUSH: r->bytes = 0; break;
    case T_GET_ID: get_id(v, c, r); return;
    default: give_back(v, c->head, r->status_paddr, S_UNSUPP, 0); return;
    }
    if (r->type != T_FLUSH)
        refused = check_transfer(b, r, sector);
    if (refused != S_OK) {
        give_back(v, c->head, r->status_paddr, refused, 0);
        return;
    }
    r->offset = sector * DEV_DISK_SECTOR;
    collect(r, c, r->type == T_IN);
    b->stats.reads += r->type == T_IN;
    b->stats.read_bytes += r->type == T_IN ? r->bytes : 0;
    b->stats.writes += r->type == T_OUT;
    b->stats.write_bytes += r->type == T_OUT ? r->bytes : 0;
    b->stats.flushes += r->type == T_FLUSH;
    submit(v, r);
}

/* Chains that are refused are given back at once, so a bound on the loop keeps a driver that
 * refills the ring meanwhile from holding the vCPU. */
static void take_requests(struct virtio_mmio *v)
{
    struct blk *b = blk(v);
    uint16_t used = v->queue[0].used_index;
    b->stalled = false;
    for (unsigned i = 0; i < VIRTQ_MAX_SIZE; i++) {
        struct request *r = free_request(b);
        enum virtq_result got;
        if (!r) {
            b->stalled = true;
            break;
        }
        got = virtq_pop(&v->queue[0], &v->d.dma, &b->chain);
        if (got == VIRTQ_EMPTY)
            break;
        if (got == VIRTQ_BROKEN) {
            virtio_mmio_needs_reset(v);
            break;
        }
        start(v, r, &b->chain);
    }
    if (v->queue[0].used_index != used)
        virtio_mmio_used(v, 0);
}

static void blk_notify(struct virtio_mmio *v, unsigned queue)
{
    take_requests(v);
}

static void blk_stop(struct virtio_mmio *v)
{
    struct blk *b = blk(v);
    dev_io_drain(b->cfg.io);
    for (unsigned i = 0; i < VIRTIO_BLK_IN_FLIGHT; i++) {
        if (b->request[i].busy && b->request[i].type == T_IN)
            touch(v, &b->request[i]);
        b->request[i].busy = false;
    }
    b->in_flight = 0;
    b->stalled = false;
    b->generation++;
}

static void blk_quiesce(struct virtio_mmio *v)
{
    struct blk *b = blk(v);
    while (b->in_flight || b->stalled) {
        dev_io_drain(b->cfg.io);
        for (unsigned i = 0; i < VIRTIO_BLK_IN_FLIGHT; i++)
            if (b->request[i].busy)
                finish(v, &b->request[i]);
        virtio_mmio_used(v, 0);
        b->generation++;
        if (b->stalled && virtio_mmio_running(v))
            take_requests(v);
        else
            b->stalled = false;
    }
}

static void blk_destroy(struct virtio_mmio *v)
{
    blk_stop(v);
    free(v->backend);
    v->backend = NULL;
    v->kind = NULL;
}

static const struct virtio_kind blk_kind = {
    .name = "virtio-blk",
    .id = 2,
    .queues = 1,
    .features = blk_features,
    .config = blk_config,
    .notify = blk_notify,
    .stop = blk_stop,
    .quiesce = blk_quiesce,
    .destroy = blk_destroy,
};

static void put_little(uint8_t *p, uint64_t v, unsigned size)
{
    for (unsigned i = 0; i < size; i++)
        p[i] = (uint8_t)(v >> (8 * i));
}

enum gw_status virtio_blk_attach(struct virtio_mmio *v, const struct virtio_blk_config *cfg,
                                 struct gw_error *err)
{
    struct blk *b = calloc(1, sizeof *b);
    size_t id = cfg->serial ? strlen(cfg->serial) : 0;
    if (!b)
        return gw_fail(err, GW_ERR_NOMEM, "", "no memory for a disk");
    b->cfg = *cfg;
    if (id)
        memcpy(b->id, cfg->serial, id < ID_BYTES ? id : ID_BYTES);
    put_little(b->config, dev_disk_sectors(cfg->disk), 8);
    put_little(b->config + 12, VIRTQ_MAX_SEGS - 2, 4); /* seg_max: beside header and status */
    put_little(b->config + 20, DEV_DISK_SECTOR, 4);    /* blk_size */
    v->backend = b;
    v->kind = &blk_kind;
    virtio_mmio_class.reset(&v->d);
    return GW_OK;
}

static const struct counter_field blk_counter_fields[] = {
    COUNTER(struct virtio_blk_stats, reads, "read requests"),
    COUNTER(struct virtio_blk_stats, read_bytes, "bytes read"),
    COUNTER(struct virtio_blk_stats, writes, "write requests"),
    COUNTER(struct virtio_blk_stats, write_bytes, "bytes written"),
    COUNTER(struct virtio_blk_stats, flushes, "flush requests"),
    COUNTER(struct virtio_blk_stats, errors, "requests refused or failed"),
};

const struct counter_desc virtio_blk_counters = {
    .name = "virtio-blk",
    .fields = blk_counter_fields,
    .field_count = STATE_COUNT_(blk_counter_fields),
};

const struct virtio_blk_stats *virtio_blk_stats(const struct virtio_mmio *v)
{
    return v->kind == &blk_kind ? &blk(v)->stats : NULL;
}
