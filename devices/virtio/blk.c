/* virtio-blk. Source: VIRTIO 1.2, 5.2. */
#include <stdlib.h>
#include <string.h>

#include "devices/clock.h"
#include "devices/memory_bus.h"
#include "devices/virtio/blk_int.h"

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
enum { HEADER_BYTES = 16, RANGE_BYTES = 16 };
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
/* What is done at once by one look at the rings; then the guest goes on for a nanosecond a byte, so that
 * a driver that writes gigabytes does not keep the machine from whoever steers it. */
#define AT_ONCE_MAX (UINT64_C(64) << 20)
/* What a discard costs, for each 1 MiB of it that was begun: about what the host writes. */
#define DISCARD_UNIT UINT64_C(1048576)
#define DISCARD_COST UINT64_C(4096)

static uint64_t blk_features(struct virtio_dev *v)
{
    return F_SEG_MAX | F_BLK_SIZE | F_FLUSH | F_TOPOLOGY | (v->queue_count > 1 ? F_MQ : 0) |
           (blk(v)->cfg.read_only ? F_RO : F_DISCARD | F_WRITE_ZEROES);
}

static uint8_t blk_config(struct virtio_dev *v, uint64_t offset)
{
    return offset < BLK_CONFIG_BYTES ? blk(v)->config[offset] : 0;
}

static void take_requests(struct virtio_dev *v);

/* The request that a completion names. NULL: none, or one that was forgotten since. */
static struct blk_request *completed(struct blk *b, const struct gw_event *ev)
{
    struct blk_request *r;
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
    struct blk_request *r = ev->kind == VIRTIO_BLK_DONE ? completed(b, ev) : NULL;
    if (r) {
        unsigned queue = r->queue;
        if (!__atomic_load_n(&r->worked, __ATOMIC_ACQUIRE)) /* a log is ahead of our disk */
            dev_io_drain(b->cfg.io);
        r->failed = gw_little(ev->bytes + VIRTIO_BLK_DONE_RESULT, 2) != 0;
        blk_finish(v, r);
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

/* The rate allows more; or time goes on after a quiesce. */
static void go_on_timer(void *device, uint64_t now_ns)
{
    struct virtio_dev *v = device;
    blk(v)->held = false;
    if (blk(v)->stalled)
        take_requests(v);
}

static struct blk_request *free_request(struct blk *b)
{
    for (unsigned i = 0; i < VIRTIO_BLK_IN_FLIGHT; i++)
        if (!b->request[i].busy)
            return &b->request[i];
    return NULL;
}

/* Data buffers of the chain: behind the header, or before the status byte. */
static void collect(struct blk_request *r, const struct virtq_chain *c, bool in)
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

static void get_id(struct virtio_dev *v, const struct virtq_chain *c, struct blk_request *r)
{
    uint64_t n = c->in_bytes - 1 < BLK_ID_BYTES ? c->in_bytes - 1 : BLK_ID_BYTES;
    virtq_write(c, v->dma, 0, blk(v)->id, n);
    blk_answer(v, r, BLK_OK, n);
}

/* Is [sector, sector + bytes) within the disk? */
static bool within(const struct blk *b, uint64_t sector, uint64_t bytes)
{
    uint64_t sectors = dev_disk_sectors(b->cfg.disk);
    return bytes % DEV_DISK_SECTOR == 0 && sector <= sectors &&
           bytes / DEV_DISK_SECTOR <= sectors - sector;
}

/* 5.2.6.2: the ranges of a discard or of write-zeroes, copied once. A status to refuse with, or
 * BLK_OK. */
static uint8_t read_ranges(struct blk *b, struct blk_request *r, const struct virtq_chain *c)
{
    uint8_t raw[VIRTIO_BLK_RANGES * RANGE_BYTES];
    uint64_t bytes = c->out_bytes - HEADER_BYTES;
    if (b->cfg.read_only || bytes == 0 || bytes % RANGE_BYTES || bytes > sizeof raw)
        return BLK_IOERR;
    if (!virtq_read(c, HEADER_BYTES, raw, bytes))
        return BLK_IOERR;
    r->range_count = (unsigned)(bytes / RANGE_BYTES);
    for (unsigned i = 0; i < r->range_count; i++) {
        const uint8_t *p = raw + i * RANGE_BYTES;
        uint64_t sector = gw_little(p, 8), count = gw_little(p + 8, 4);
        uint32_t flags = (uint32_t)gw_little(p + 12, 4);
        if ((flags & ~(uint32_t)RANGE_UNMAP) || (r->type == BLK_DISCARD && flags))
            return BLK_UNSUPP;
        if (count > RANGE_SECTORS_MAX || !within(b, sector, count * DEV_DISK_SECTOR))
            return BLK_IOERR;
        r->range[i] = (struct blk_range){.offset = sector * DEV_DISK_SECTOR,
                                         .bytes = count * DEV_DISK_SECTOR,
                                         .unmap = flags & RANGE_UNMAP};
    }
    return BLK_OK;
}

/* The rest of a request whose header was read: a status to refuse with, or BLK_OK. */
static uint8_t prepare(struct blk *b, struct blk_request *r, const struct virtq_chain *c,
                       uint64_t sector)
{
    r->bytes = 0;
    r->count = r->range_count = 0;
    switch (r->type) {
    case BLK_IN: r->bytes = c->in_bytes - 1; break;
    case BLK_OUT: r->bytes = c->out_bytes - HEADER_BYTES; break;
    case BLK_FLUSH: return BLK_OK;
    case BLK_DISCARD:
    case BLK_WRITE_ZEROES: return read_ranges(b, r, c);
    default: return BLK_UNSUPP;
    }
    if (!within(b, sector, r->bytes) || (r->type == BLK_OUT && b->cfg.read_only))
        return BLK_IOERR;
    r->offset = sector * DEV_DISK_SECTOR;
    collect(r, c, r->type == BLK_IN);
    return BLK_OK;
}

/* What the rate is charged for. */
static uint64_t cost(const struct blk_request *r, uint64_t *ops)
{
    uint64_t bytes = r->bytes;
    *ops = r->range_count > 1 ? r->range_count : 1;
    for (unsigned i = 0; i < r->range_count; i++)
        bytes += r->type == BLK_WRITE_ZEROES
                     ? r->range[i].bytes
                     : (r->range[i].bytes + DISCARD_UNIT - 1) / DISCARD_UNIT * DISCARD_COST;
    return bytes;
}

static void count_request(struct blk *b, const struct blk_request *r)
{
    uint64_t ops, bytes = cost(r, &ops);
    b->stats.reads += r->type == BLK_IN;
    b->stats.read_bytes += r->type == BLK_IN ? r->bytes : 0;
    b->stats.writes += r->type == BLK_OUT;
    b->stats.write_bytes += r->type == BLK_OUT ? r->bytes : 0;
    b->stats.flushes += r->type == BLK_FLUSH;
    b->stats.discards += r->type == BLK_DISCARD;
    b->stats.write_zeroes += r->type == BLK_WRITE_ZEROES;
    dev_rate_pay(&b->rate, dev_now(b->v->events), bytes, ops);
}

/* One chain. The header is copied once, then only the copy is looked at. */
static void start(struct virtio_dev *v, unsigned queue, struct blk_request *r,
                  const struct virtq_chain *c)
{
    struct blk *b = blk(v);
    uint8_t header[HEADER_BYTES], refused;
    r->queue = queue;
    r->token = c->token;
    r->type = BLK_ANSWER;
    r->bytes = 0;
    r->durable = false;
    r->mute = c->in_bytes == 0;
    r->status_paddr = r->mute ? 0 : status_address(c);
    if (r->mute) {
        blk_answer(v, r, BLK_IOERR, 0);
        return;
    }
    if (c->bad || !virtq_read(c, 0, header, sizeof header)) {
        blk_answer(v, r, BLK_IOERR, 0);
        return;
    }
    r->type = (uint32_t)gw_little(header, 4);
    if (r->type == BLK_GET_ID) {
        get_id(v, c, r);
        return;
    }
    refused = prepare(b, r, c, gw_little(header + 8, 8));
    if (refused != BLK_OK) {
        blk_answer(v, r, refused, 0);
        return;
    }
    /* 5.2.6.2: a driver that knows no flush takes what is acknowledged for written. */
    r->durable = (r->type == BLK_OUT || r->type == BLK_WRITE_ZEROES) && !virtio_has(v, F_FLUSH);
    r->status = BLK_OK;
    r->returned = 0;
    count_request(b, r);
    blk_submit(v, r);
}

/* What a request needs beside a chain; if it is not there, sees to it that we are called again. */
static struct blk_request *may_start(struct virtio_dev *v)
{
    struct blk *b = blk(v);
    struct blk_request *r = free_request(b);
    uint64_t now = dev_now(v->events), again;
    if (r && now < b->rests_until_ns) {
        gw_timer_arm(v->events, &b->timer, b->rests_until_ns);
        return NULL;
    }
    if (r && !dev_rate_allows(&b->rate, now, &again)) {
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
    uint64_t done_bytes = 0;
    if (b->held) {
        b->stalled = 1;
        return;
    }
    b->stalled = 0;
    while (empty < v->queue_count && !b->stalled) {
        unsigned q = b->next_queue;
        struct blk_request *r = may_start(v);
        if (!r || taken == VIRTQ_MAX_SIZE) {
            b->stalled = 1;
            if (r)
                kick(v);
            break;
        }
        b->next_queue = q + 1 == v->queue_count ? 0 : q + 1;
        if (virtio_pop(v, q, &b->chain)) {
            start(v, q, r, &b->chain);
            done_bytes += r->bytes;
            if (b->cfg.service == VIRTIO_BLK_AT_ONCE && done_bytes >= AT_ONCE_MAX)
                b->rests_until_ns = dev_now(v->events) + done_bytes;
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
    blk_forget(v);
    b->held = false;
    b->rests_until_ns = 0;
    gw_timer_cancel(v->events, &b->timer);
    b->next_queue = 0;
    b->stalled = 0;
    b->generation++;
}

static void blk_quiesce(struct virtio_dev *v)
{
    struct blk *b = blk(v);
    if (b->in_flight == 0)
        return;
    blk_settle(v);
    for (unsigned q = 0; q < v->queue_count; q++)
        virtio_used(v, q);
    b->generation++; /* the events of these are dropped, so somebody else must go on */
    if (b->held)     /* not before the clock runs again: it stands while a machine is saved */
        gw_timer_arm(v->events, &b->timer, dev_now(v->events) + 1);
    else if (b->stalled)
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
    b->held = false;
    if (b->stalled)
        kick(b->v);
}

static const struct state_field blk_fields[] = {
    STATE_SCALAR(struct blk, stalled, STATE_U8),
    STATE_SCALAR(struct blk, rate.bytes_paid_ns, STATE_U64),
    STATE_SCALAR(struct blk, rate.ops_paid_ns, STATE_U64),
    STATE_SCALAR_SINCE(2, struct blk, rests_until_ns, STATE_U64),
};

static const struct state_desc blk_state = {
    .name = "virtio-blk",
    .version = 2,
    .oldest = 1,
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
    b->timer = (struct gw_timer){.deadline_ns = UINT64_MAX, .fire = go_on_timer, .device = v};
    if (id)
        memcpy(b->id, cfg->serial, id < BLK_ID_BYTES ? id : BLK_ID_BYTES);
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
