/* virtio-blk. Source: VIRTIO 1.2, 5.2. */
#include <stdlib.h>
#include <string.h>

#include "devices/clock.h"
#include "devices/memory_bus.h"
#include "devices/host/rate_limit.h"
#include "devices/virtio/blk.h"

enum {
    F_SEG_MAX = 1 << 2,
    F_RO = 1 << 5,
    F_BLK_SIZE = 1 << 6,
    F_FLUSH = 1 << 9,
    F_TOPOLOGY = 1 << 10,
    F_MQ = 1 << 12,
    F_DISCARD = 1 << 13,
    F_WRITE_ZEROES = 1 << 14
};
enum { T_IN = 0, T_OUT = 1, T_FLUSH = 4, T_GET_ID = 8, T_DISCARD = 11, T_WRITE_ZEROES = 13 };
enum { S_OK = 0, S_IOERR = 1, S_UNSUPP = 2 };
enum { HEADER_BYTES = 16, ID_BYTES = 20, CONFIG_BYTES = 60, RANGE_BYTES = 16 };
enum { RANGE_UNMAP = 1 };
/* 5.2.4: fields of the configuration space. */
enum {
    C_CAPACITY = 0,
    C_SEG_MAX = 12,
    C_BLK_SIZE = 20,
    C_PHYSICAL_EXP = 24,
    C_OPT_IO_SIZE = 28,
    C_NUM_QUEUES = 34,
    C_MAX_DISCARD_SECTORS = 36,
    C_MAX_DISCARD_SEG = 40,
    C_DISCARD_ALIGNMENT = 44,
    C_MAX_ZEROES_SECTORS = 48,
    C_MAX_ZEROES_SEG = 52,
    C_ZEROES_MAY_UNMAP = 56
};
/* 1 GiB a range: bounds what one request does on the I/O thread where it means writing. */
#define RANGE_SECTORS_MAX (1u << 21)
/* Up to this size a read may be served on the vCPU thread: the copy takes less than the two thread
 * switches that it saves. */
#define CACHED_READ_MAX (UINT64_C(1) << 18)

struct range {
    uint64_t offset, bytes;
    bool unmap;
};

struct request {
    struct dev_io_job job;
    struct virtio_dev *owner;
    uint32_t generation;
    bool busy;
    bool failed; /* valid when the I/O thread is finished with it */
    bool worked; /* atomic: it is */
    unsigned queue;
    struct virtq_token token;
    uint32_t type;
    uint64_t offset, bytes;
    uint64_t status_paddr;
    unsigned count;
    struct iovec iov[VIRTQ_MAX_SEGS]; /* used up by the disk */
    uint64_t paddr[VIRTQ_MAX_SEGS];
    uint32_t len[VIRTQ_MAX_SEGS];
    unsigned range_count;
    struct range range[VIRTIO_BLK_RANGES];
};

struct blk {
    struct virtio_dev *v;
    struct virtio_blk_config cfg;
    uint8_t config[CONFIG_BYTES];
    char id[ID_BYTES];
    /* State. */
    uint8_t stalled; /* chains wait in the rings: for a free request, the rate limit, or a kick */
    struct dev_rate rate;
    /* Derived. */
    uint32_t generation; /* completions of an older one are dropped */
    unsigned in_flight;
    unsigned next_queue; /* whose turn it is */
    bool kicked;         /* an event to go on is posted */
    struct gw_timer timer;
    struct virtio_blk_stats stats;
    struct virtq_chain chain;
    struct request request[VIRTIO_BLK_IN_FLIGHT];
};

static struct blk *blk(const struct virtio_dev *v)
{
    return v->backend;
}

static uint64_t blk_features(struct virtio_dev *v)
{
    return F_SEG_MAX | F_BLK_SIZE | F_FLUSH | F_TOPOLOGY | (v->queue_count > 1 ? F_MQ : 0) |
           (blk(v)->cfg.read_only ? F_RO : F_DISCARD | F_WRITE_ZEROES);
}

static uint8_t blk_config(struct virtio_dev *v, uint64_t offset)
{
    return offset < CONFIG_BYTES ? blk(v)->config[offset] : 0;
}

/* ---- the work ------------------------------------------------------------------------------- */

static bool work_on_ranges(struct dev_disk *disk, const struct request *r)
{
    bool ok = true;
    for (unsigned i = 0; ok && i < r->range_count; i++) {
        const struct range *g = &r->range[i];
        ok = r->type == T_DISCARD ? dev_disk_discard(disk, g->offset, g->bytes)
                                  : dev_disk_write_zeroes(disk, g->offset, g->bytes, g->unmap);
    }
    return ok;
}

/* I/O thread; the vCPU's when nothing is in flight there. */
static void work(struct request *r)
{
    struct dev_disk *disk = blk(r->owner)->cfg.disk;
    bool ok;
    switch (r->type) {
    case T_IN: ok = dev_disk_read(disk, r->iov, r->count, r->offset); break;
    case T_OUT: ok = dev_disk_write(disk, r->iov, r->count, r->offset); break;
    case T_FLUSH: ok = dev_disk_flush(disk); break;
    default: ok = work_on_ranges(disk, r); break;
    }
    r->failed = !ok;
}

/* I/O thread. */
static void run_request(struct dev_io_job *job)
{
    struct request *r = (struct request *)(void *)job;
    struct virtio_dev *v = r->owner;
    uint8_t done[VIRTIO_BLK_DONE_BYTES];
    work(r);
    gw_put_little(done + VIRTIO_BLK_DONE_GENERATION, r->generation, 4);
    gw_put_little(done + VIRTIO_BLK_DONE_SLOT, (uint64_t)(r - blk(v)->request), 2);
    gw_put_little(done + VIRTIO_BLK_DONE_RESULT, r->failed, 2);
    __atomic_store_n(&r->worked, true, __ATOMIC_RELEASE);
    virtio_post_bounded(v, VIRTIO_BLK_DONE, done, sizeof done);
}

/* ---- vCPU thread ---------------------------------------------------------------------------- */

static void give_back(struct virtio_dev *v, unsigned queue, struct virtq_token token,
                      uint64_t status_paddr, uint8_t status, uint64_t written)
{
    if (status != S_OK)
        blk(v)->stats.errors++;
    gw_dma_write(v->dma, status_paddr, &status, 1);
    virtq_push(&v->queue[queue], v->dma, token,
               written >= UINT32_MAX ? UINT32_MAX : (uint32_t)(written + 1));
}

/* The disk wrote into guest memory behind the bus's back: tell the translator. */
static void touch(struct virtio_dev *v, const struct request *r)
{
    for (unsigned i = 0; i < r->count; i++) {
        const struct gw_ram *ram = gw_bus_ram(v->dma->bus, r->paddr[i], r->len[i]);
        if (ram)
            dev_bus_touched(v->dma->bus, ram, r->paddr[i], r->len[i]);
    }
}

static void finish(struct virtio_dev *v, struct request *r)
{
    bool ok = !r->failed;
    if (r->type == T_IN)
        touch(v, r);
    r->busy = false;
    blk(v)->in_flight--;
    give_back(v, r->queue, r->token, r->status_paddr, ok ? S_OK : S_IOERR,
              ok && r->type == T_IN ? r->bytes : 0);
}

static void take_requests(struct virtio_dev *v);

/* The request that a completion names. NULL: none, or one that was forgotten since. */
static struct request *completed(struct blk *b, const struct gw_event *ev)
{
    struct request *r;
    uint64_t slot;
    if (ev->size_bytes != VIRTIO_BLK_DONE_BYTES)
        return NULL;
    slot = gw_little(ev->bytes + VIRTIO_BLK_DONE_SLOT, 2);
    if (gw_little(ev->bytes + VIRTIO_BLK_DONE_GENERATION, 4) != b->generation ||
        slot >= VIRTIO_BLK_IN_FLIGHT)
        return NULL;
    r = &b->request[slot];
    return r->busy ? r : NULL;
}

static void deliver(void *device, const struct gw_event *ev)
{
    struct virtio_dev *v = device;
    struct blk *b = blk(v);
    struct request *r = ev->kind == VIRTIO_BLK_DONE ? completed(b, ev) : NULL;
    if (r) {
        unsigned queue = r->queue;
        if (!__atomic_load_n(&r->worked, __ATOMIC_ACQUIRE)) /* a log is ahead of our disk */
            dev_io_drain(b->cfg.io);
        r->failed = gw_little(ev->bytes + VIRTIO_BLK_DONE_RESULT, 2) != 0;
        finish(v, r);
        virtio_used(v, queue);
    } else if (ev->kind == VIRTIO_BLK_GO_ON) {
        b->kicked = false;
    } else {
        return;
    }
    if (b->stalled)
        take_requests(v);
}

/* Has take_requests() called again soon, by an event. */
static void kick(struct virtio_dev *v)
{
    if (!blk(v)->kicked)
        blk(v)->kicked = virtio_post_bounded(v, VIRTIO_BLK_GO_ON, NULL, 0);
}

static void rate_timer(void *device, uint64_t now_ns)
{
    struct virtio_dev *v = device;
    if (blk(v)->stalled)
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

static void get_id(struct virtio_dev *v, const struct virtq_chain *c, const struct request *r)
{
    uint64_t n = c->in_bytes - 1 < ID_BYTES ? c->in_bytes - 1 : ID_BYTES;
    virtq_write(c, v->dma, 0, blk(v)->id, n);
    give_back(v, r->queue, r->token, r->status_paddr, S_OK, n);
}

static void submit(struct virtio_dev *v, struct request *r)
{
    struct blk *b = blk(v);
    r->job.run = run_request;
    r->owner = v;
    r->generation = b->generation;
    r->busy = true;
    r->failed = r->worked = false;
    b->in_flight++;
    if (b->cfg.service == VIRTIO_BLK_AT_ONCE) {
        work(r);
        finish(v, r);
    } else if (b->cfg.service == VIRTIO_BLK_DEFAULT && r->type == T_IN && b->in_flight == 1 &&
               r->bytes <= CACHED_READ_MAX &&
               dev_disk_read_cached(b->cfg.disk, r->iov, r->count, r->offset)) {
        finish(v, r);
    } else {
        dev_io_submit(b->cfg.io, &r->job);
    }
}

/* Is [sector, sector + bytes) within the disk? */
static bool within(const struct blk *b, uint64_t sector, uint64_t bytes)
{
    uint64_t sectors = dev_disk_sectors(b->cfg.disk);
    return bytes % DEV_DISK_SECTOR == 0 && sector <= sectors &&
           bytes / DEV_DISK_SECTOR <= sectors - sector;
}

/* 5.2.6.2: the ranges of a discard or of write-zeroes, copied once. A status to refuse with, or
 * S_OK. */
static uint8_t read_ranges(struct blk *b, struct request *r, const struct virtq_chain *c)
{
    uint8_t raw[VIRTIO_BLK_RANGES * RANGE_BYTES];
    uint64_t bytes = c->out_bytes - HEADER_BYTES;
    if (b->cfg.read_only || bytes == 0 || bytes % RANGE_BYTES || bytes > sizeof raw)
        return S_IOERR;
    if (!virtq_read(c, HEADER_BYTES, raw, bytes))
        return S_IOERR;
    r->range_count = (unsigned)(bytes / RANGE_BYTES);
    for (unsigned i = 0; i < r->range_count; i++) {
        const uint8_t *p = raw + i * RANGE_BYTES;
        uint64_t sector = gw_little(p, 8), count = gw_little(p + 8, 4);
        uint32_t flags = (uint32_t)gw_little(p + 12, 4);
        if ((flags & ~(uint32_t)RANGE_UNMAP) || (r->type == T_DISCARD && flags))
            return S_UNSUPP;
        if (count > RANGE_SECTORS_MAX || !within(b, sector, count * DEV_DISK_SECTOR))
            return S_IOERR;
        r->range[i] = (struct range){.offset = sector * DEV_DISK_SECTOR,
                                     .bytes = count * DEV_DISK_SECTOR,
                                     .unmap = flags & RANGE_UNMAP};
    }
    return S_OK;
}

/* The rest of a request whose header was read: a status to refuse with, or S_OK. */
static uint8_t prepare(struct blk *b, struct request *r, const struct virtq_chain *c,
                       uint64_t sector)
{
    r->bytes = 0;
    r->count = r->range_count = 0;
    switch (r->type) {
    case T_IN: r->bytes = c->in_bytes - 1; break;
    case T_OUT: r->bytes = c->out_bytes - HEADER_BYTES; break;
    case T_FLUSH: return S_OK;
    case T_DISCARD:
    case T_WRITE_ZEROES: return read_ranges(b, r, c);
    default: return S_UNSUPP;
    }
    if (!within(b, sector, r->bytes) || (r->type == T_OUT && b->cfg.read_only))
        return S_IOERR;
    r->offset = sector * DEV_DISK_SECTOR;
    collect(r, c, r->type == T_IN);
    return S_OK;
}

static void count_request(struct blk *b, const struct request *r)
{
    b->stats.reads += r->type == T_IN;
    b->stats.read_bytes += r->type == T_IN ? r->bytes : 0;
    b->stats.writes += r->type == T_OUT;
    b->stats.write_bytes += r->type == T_OUT ? r->bytes : 0;
    b->stats.flushes += r->type == T_FLUSH;
    b->stats.discards += r->type == T_DISCARD;
    b->stats.write_zeroes += r->type == T_WRITE_ZEROES;
    dev_rate_pay(&b->rate, dev_now(b->v->events), r->bytes);
}

/* One chain. The header is copied once, then only the copy is looked at. */
static void start(struct virtio_dev *v, unsigned queue, struct request *r,
                  const struct virtq_chain *c)
{
    struct blk *b = blk(v);
    uint8_t header[HEADER_BYTES], refused;
    if (c->in_bytes == 0) { /* nowhere to put a status: give it back empty */
        b->stats.errors++;
        virtq_push(&v->queue[queue], v->dma, c->token, 0);
        return;
    }
    r->queue = queue;
    r->token = c->token;
    r->status_paddr = status_address(c);
    if (c->bad || !virtq_read(c, 0, header, sizeof header)) {
        give_back(v, queue, r->token, r->status_paddr, S_IOERR, 0);
        return;
    }
    r->type = (uint32_t)gw_little(header, 4);
    if (r->type == T_GET_ID) {
        get_id(v, c, r);
        return;
    }
    refused = prepare(b, r, c, gw_little(header + 8, 8));
    if (refused != S_OK) {
        give_back(v, queue, r->token, r->status_paddr, refused, 0);
        return;
    }
    count_request(b, r);
    submit(v, r);
}

/* What a request needs beside a chain; if it is not there, sees to it that we are called again. */
static struct request *may_start(struct virtio_dev *v)
{
    struct blk *b = blk(v);
    struct request *r = free_request(b);
    uint64_t again;
    if (r && !dev_rate_allows(&b->rate, dev_now(v->events), &again)) {
        gw_timer_arm(v->events, &b->timer, again);
        b->stats.delays++;
        r = NULL;
    }
    return r;
}

/* Takes turns between the queues. Chains that are refused are given back at once, so a bound on the
 * loop keeps a driver that refills the rings meanwhile from holding the vCPU. */
static void take_requests(struct virtio_dev *v)
{
    struct blk *b = blk(v);
    unsigned empty = 0, taken = 0;
    b->stalled = 0;
    while (empty < v->queue_count) {
        unsigned q = b->next_queue;
        struct request *r = may_start(v);
        if (!r || taken == VIRTQ_MAX_SIZE) {
            b->stalled = 1;
            if (r)
                kick(v);
            break;
        }
        b->next_queue = q + 1 == v->queue_count ? 0 : q + 1;
        if (virtio_pop(v, q, &b->chain)) {
            start(v, q, r, &b->chain);
            empty = 0;
            taken++;
        } else {
            empty++;
        }
    }
    for (unsigned q = 0; q < v->queue_count; q++)
        virtio_used(v, q);
}

static void blk_notify(struct virtio_dev *v, unsigned queue)
{
    take_requests(v);
}

static void blk_stop(struct virtio_dev *v)
{
    struct blk *b = blk(v);
    dev_io_drain(b->cfg.io);
    for (unsigned i = 0; i < VIRTIO_BLK_IN_FLIGHT; i++) {
        if (b->request[i].busy && b->request[i].type == T_IN)
            touch(v, &b->request[i]);
        b->request[i].busy = false;
    }
    gw_timer_cancel(v->events, &b->timer);
    b->in_flight = b->next_queue = 0;
    b->stalled = 0;
    b->generation++;
}

static void blk_quiesce(struct virtio_dev *v)
{
    struct blk *b = blk(v);
    if (b->in_flight == 0)
        return;
    dev_io_drain(b->cfg.io);
    for (unsigned i = 0; i < VIRTIO_BLK_IN_FLIGHT; i++)
        if (b->request[i].busy)
            finish(v, &b->request[i]);
    for (unsigned q = 0; q < v->queue_count; q++)
        virtio_used(v, q);
    b->generation++; /* the events of these are dropped, so somebody else must go on */
    if (b->stalled)
        kick(v);
}

static void blk_destroy(struct virtio_dev *v)
{
    blk_stop(v);
    free(v->backend);
}

static enum gw_status blk_check(const void *object, struct gw_error *err)
{
    const struct blk *b = object;
    return b->stalled <= 1
               ? GW_OK
               : gw_fail(err, GW_ERR_FORMAT, "virtio-blk", "state that the device cannot hold");
}

static void blk_post_load(void *object)
{
    struct blk *b = object;
    if (b->stalled)
        kick(b->v);
}

static const struct state_field blk_fields[] = {
    STATE_SCALAR(struct blk, stalled, STATE_U8),
    STATE_SCALAR(struct blk, rate.bytes_paid_ns, STATE_U64),
    STATE_SCALAR(struct blk, rate.ops_paid_ns, STATE_U64),
};

static const struct state_desc blk_state = {
    .name = "virtio-blk",
    .version = 1,
    .fields = blk_fields,
    .field_count = STATE_COUNT_(blk_fields),
    .check = blk_check,
    .post_load = blk_post_load,
};

const struct virtio_kind virtio_blk_kind = {
    .name = "virtio-blk",
    .id = 2,
    .state = &blk_state,
    .features = blk_features,
    .config = blk_config,
    .notify = blk_notify,
    .stop = blk_stop,
    .quiesce = blk_quiesce,
    .destroy = blk_destroy,
    .event = deliver,
};

void virtio_blk_limit(struct virtio_dev *v, const struct gw_io_limit *limit)
{
    struct blk *b = blk(v);
    b->rate = (struct dev_rate){.limit = *limit};
    if (b->stalled)
        kick(v);
}

static void fill_config(struct blk *b, unsigned queues)
{
    uint8_t *c = b->config;
    gw_put_little(c + C_CAPACITY, dev_disk_sectors(b->cfg.disk), 8);
    gw_put_little(c + C_SEG_MAX, VIRTQ_MAX_SEGS - 2, 4); /* beside header and status */
    gw_put_little(c + C_BLK_SIZE, DEV_DISK_SECTOR, 4);
    c[C_PHYSICAL_EXP] = 3; /* 4 KiB: an overlay's cluster, and most hosts' page */
    gw_put_little(c + C_OPT_IO_SIZE, (128u << 10) / DEV_DISK_SECTOR, 4);
    gw_put_little(c + C_NUM_QUEUES, queues, 2);
    gw_put_little(c + C_MAX_DISCARD_SECTORS, RANGE_SECTORS_MAX, 4);
    gw_put_little(c + C_MAX_DISCARD_SEG, VIRTIO_BLK_RANGES, 4);
    gw_put_little(c + C_DISCARD_ALIGNMENT, DEV_DISK_CLUSTER / DEV_DISK_SECTOR, 4);
    gw_put_little(c + C_MAX_ZEROES_SECTORS, RANGE_SECTORS_MAX, 4);
    gw_put_little(c + C_MAX_ZEROES_SEG, VIRTIO_BLK_RANGES, 4);
    c[C_ZEROES_MAY_UNMAP] = 1;
}

enum gw_status virtio_blk_attach(struct virtio_dev *v, const struct virtio_blk_config *cfg,
                                 struct gw_error *err)
{
    struct blk *b = calloc(1, sizeof *b);
    size_t id = cfg->serial ? strlen(cfg->serial) : 0;
    unsigned queues = cfg->queues ? cfg->queues : 1;
    if (!b)
        return gw_fail(err, GW_ERR_NOMEM, "", "no memory for a disk");
    if (queues > VIRTIO_BLK_QUEUES)
        queues = VIRTIO_BLK_QUEUES;
    b->v = v;
    b->cfg = *cfg;
    b->rate.limit = cfg->limit;
    b->timer = (struct gw_timer){.deadline_ns = UINT64_MAX, .fire = rate_timer, .device = v};
    if (id)
        memcpy(b->id, cfg->serial, id < ID_BYTES ? id : ID_BYTES);
    fill_config(b, queues);
    return virtio_attach(v, &virtio_blk_kind, b, queues, err);
}

static const struct counter_field blk_counter_fields[] = {
    COUNTER(struct virtio_blk_stats, reads, "read requests"),
    COUNTER(struct virtio_blk_stats, read_bytes, "bytes read"),
    COUNTER(struct virtio_blk_stats, writes, "write requests"),
    COUNTER(struct virtio_blk_stats, write_bytes, "bytes written"),
    COUNTER(struct virtio_blk_stats, flushes, "flush requests"),
    COUNTER(struct virtio_blk_stats, discards, "discard requests"),
    COUNTER(struct virtio_blk_stats, write_zeroes, "write-zeroes requests"),
    COUNTER(struct virtio_blk_stats, errors, "requests refused or failed"),
    COUNTER(struct virtio_blk_stats, delays, "times the rate limit held requests back"),
};

const struct counter_desc virtio_blk_counters = {
    .name = "virtio-blk",
    .fields = blk_counter_fields,
    .field_count = STATE_COUNT_(blk_counter_fields),
};

const struct virtio_blk_stats *virtio_blk_stats(const struct virtio_dev *v)
{
    return v->kind == &virtio_blk_kind ? &blk(v)->stats : NULL;
}
