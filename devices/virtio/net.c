/* virtio-net. Source: VIRTIO 1.2, 5.1. */
#include <endian.h>
#include <stdlib.h>
#include <string.h>

#include "devices/virtio/net.h"

#define F_CSUM       (1ull << 0)
#define F_GUEST_CSUM (1ull << 1)
#define F_MTU        (1ull << 3)
#define F_MAC        (1ull << 5)
#define F_HOST_TSO4  (1ull << 11)
#define F_HOST_TSO6  (1ull << 12)
#define F_MRG_RXBUF  (1ull << 15)
#define F_STATUS     (1ull << 16)

enum { RX = 0, TX = 1 };
enum { HDR_BYTES = 12, HDR_NEEDS_CSUM = 1, HDR_DATA_VALID = 2 };
enum { GSO_NONE = 0, GSO_TCPV4 = 1, GSO_TCPV6 = 4 };
/* 5.1.4: the configuration space, and 5.1.6: the header. */
enum { C_STATUS = 6, C_PAIRS = 8, C_MTU = 10, CONFIG_BYTES = 12, STATUS_LINK_UP = 1 };
enum { H_FLAGS = 0, H_GSO_TYPE = 1, H_CSUM_START = 6, H_CSUM_OFFSET = 8, H_NUM_BUFFERS = 10 };
enum { MTU_ETHERNET = 1500, MERGE_MAX = 64 };
enum { LINK_BYTES = 128 }; /* of an event of the cable */

/* Frames that left the back end and are not yet in the guest: in the event queue, or waiting for
 * buffers. */
#define RX_BYTES_MAX (512u << 10)

struct waiting_frame {
    struct waiting_frame *next;
    size_t size_bytes;
    uint8_t bytes[];
};

struct net {
    struct virtio_dev *v;
    struct virtio_net_config cfg;
    struct gw_net_backend *backend;
    /* State. */
    uint8_t link_up;
    uint8_t tx_stalled; /* chains wait in the ring for the back end, or for an event to go on */
    /* Derived, and what is on the wire. */
    bool kicked;
    struct waiting_frame *rx_head, **rx_tail;
    size_t rx_bytes;    /* atomic: see RX_BYTES_MAX */
    bool resume_wanted; /* atomic: the back end was refused */
    struct virtio_net_stats stats;
    struct virtq_chain chain, first;     /* first: of a frame that takes several */
    uint8_t frame[GW_NET_FRAME_MAX + 1]; /* one for the host, put together */
};

static struct net *net(const struct virtio_dev *v)
{
    return v->backend;
}

static uint64_t net_features(struct virtio_dev *v)
{
    const struct gw_net_backend *b = net(v)->backend;
    return F_CSUM | F_GUEST_CSUM | F_MAC | F_MRG_RXBUF | F_STATUS |
           (b && b->mtu > MTU_ETHERNET ? F_MTU : 0) |
           (b && b->large_sends ? F_HOST_TSO4 | F_HOST_TSO6 : 0);
}

static uint8_t net_config(struct virtio_dev *v, uint64_t offset)
{
    const struct net *n = net(v);
    uint8_t c[CONFIG_BYTES] = {0};
    memcpy(c, n->cfg.mac, sizeof n->cfg.mac);
    c[C_STATUS] = n->link_up ? STATUS_LINK_UP : 0;
    c[C_PAIRS] = 1;
    gw_put_little(c + C_MTU, n->backend ? n->backend->mtu : MTU_ETHERNET, 2);
    return offset < CONFIG_BYTES ? c[offset] : 0;
}

/* ---- to the guest --------------------------------------------------------------------------- */

enum filled { FILLED, LOST, NO_BUFFERS };

/* Puts one frame into the guest's buffers, several of them where it agreed to that (5.1.6.4).
 * NO_BUFFERS: there are not enough yet, and none was taken. */
static enum filled fill_buffers(struct virtio_dev *v, const uint8_t *frame, size_t size)
{
    struct net *n = net(v);
    struct virtq_token token[MERGE_MAX];
    uint32_t written[MERGE_MAX];
    uint8_t header[HDR_BYTES] = {0};
    size_t done = 0;
    unsigned count = 0, max = virtio_has(v, F_MRG_RXBUF) ? MERGE_MAX : 1;
    bool bad = false;
    while (!bad && done < size && count < max) {
        struct virtq_chain *c = count ? &n->chain : &n->first;
        uint64_t skip = count ? 0 : HDR_BYTES, part;
        if (!virtio_pop(v, RX, c))
            break;
        bad = c->bad || c->in_bytes <= skip;
        part = bad ? 0 : c->in_bytes - skip < size - done ? c->in_bytes - skip : size - done;
        virtq_write(c, v->dma, skip, frame + done, part);
        token[count] = c->token;
        written[count++] = bad ? 0 : (uint32_t)(part + skip);
        done += part;
    }
    if (!bad && done < size) {
        bool too_small = count == max;
        while (count)
            virtq_unpop(&v->queue[RX], token[--count]);
        return too_small ? LOST : NO_BUFFERS;
    }
    if (bad) {
        n->stats.errors++;
        memset(written, 0, sizeof written);
    } else {
        if (n->backend && n->backend->checked && virtio_has(v, F_GUEST_CSUM))
            header[H_FLAGS] = HDR_DATA_VALID;
        gw_put_little(header + H_NUM_BUFFERS, count, 2);
        virtq_write(&n->first, v->dma, 0, header, sizeof header);
    }
    virtq_push_all(&v->queue[RX], v->dma, token, written, count);
    return bad ? LOST : FILLED;
}

/* False: it must wait. */
static bool give_frame(struct virtio_dev *v, const uint8_t *frame, size_t size)
{
    struct net *n = net(v);
    enum filled how;
    if (!virtio_running(v) || !v->queue[RX].ready || !n->link_up)
        how = LOST;
    else
        how = fill_buffers(v, frame, size);
    if (how == FILLED) {
        n->stats.rx_frames++;
        n->stats.rx_bytes += size;
    }
    n->stats.rx_lost += how == LOST;
    return how != NO_BUFFERS;
}

/* Frames of a log were never on the wire. */
static void left_the_wire(struct net *n, size_t size)
{
    size_t was = __atomic_load_n(&n->rx_bytes, __ATOMIC_SEQ_CST), now;
    do
        now = was < size ? 0 : was - size;
    while (!__atomic_compare_exchange_n(&n->rx_bytes, &was, now, true, __ATOMIC_SEQ_CST,
                                        __ATOMIC_SEQ_CST));
    if (now < RX_BYTES_MAX / 2 && __atomic_exchange_n(&n->resume_wanted, false, __ATOMIC_SEQ_CST) &&
        n->backend)
        n->backend->ops->resume(n->backend);
}

/* Frames that waited for buffers. True when none is left. */
static bool give_waiting(struct virtio_dev *v)
{
    struct net *n = net(v);
    while (n->rx_head) {
        struct waiting_frame *f = n->rx_head;
        if (!give_frame(v, f->bytes, f->size_bytes))
            return false;
        n->rx_head = f->next;
        if (!n->rx_head)
            n->rx_tail = &n->rx_head;
        left_the_wire(n, f->size_bytes);
        free(f);
    }
    return true;
}

static bool is_frame(size_t size)
{
    return size >= GW_NET_FRAME_MIN && size <= GW_NET_FRAME_MAX;
}

static void deliver_frame(struct virtio_dev *v, const struct gw_event *ev)
{
    struct net *n = net(v);
    struct waiting_frame *f;
    bool given;
    if (!is_frame(ev->size_bytes))
        return;
    given = give_waiting(v) && give_frame(v, ev->bytes, ev->size_bytes);
    virtio_used(v, RX);
    f = given ? NULL : malloc(sizeof *f + ev->size_bytes);
    if (!f) {
        left_the_wire(n, ev->size_bytes);
        return;
    }
    f->next = NULL;
    f->size_bytes = ev->size_bytes;
    memcpy(f->bytes, ev->bytes, ev->size_bytes);
    *n->rx_tail = f;
    n->rx_tail = &f->next;
}

/* Back end's thread. */
static bool port_receive(void *context, const uint8_t *frame, size_t size)
{
    struct virtio_dev *v = context;
    struct net *n = net(v);
    if (!is_frame(size))
        return true;
    for (;;) {
        if (__atomic_add_fetch(&n->rx_bytes, size, __ATOMIC_SEQ_CST) <= RX_BYTES_MAX)
            break;
        __atomic_store_n(&n->resume_wanted, true, __ATOMIC_SEQ_CST);
        /* The vCPU may have made room before it could see that flag. */
        if (__atomic_sub_fetch(&n->rx_bytes, size, __ATOMIC_SEQ_CST) >= RX_BYTES_MAX / 2 ||
            !__atomic_exchange_n(&n->resume_wanted, false, __ATOMIC_SEQ_CST))
            return false;
    }
    if (!virtio_post(v, VIRTIO_NET_FRAME, frame, (uint32_t)size))
        __atomic_sub_fetch(&n->rx_bytes, size, __ATOMIC_SEQ_CST); /* lost */
    return true;
}

/* ---- to the host ---------------------------------------------------------------------------- */

/* 5.1.6.2.1: fills in the checksum over what follows csum_start. The field holds the sum of the
 * pseudo header. False when it would lie outside the frame. */
static bool complete_checksum(uint8_t *frame, size_t size, const uint8_t header[HDR_BYTES])
{
    size_t start = gw_little(header + H_CSUM_START, 2), i;
    size_t at = start + gw_little(header + H_CSUM_OFFSET, 2);
    uint64_t words = 0, sum = 0;
    if (start > size || at + 2 > size)
        return false;
    for (i = start; i + 8 <= size; i += 8) {
        uint64_t w;
        memcpy(&w, frame + i, 8);
        w = le64toh(w);
        words += w;
        sum += words < w; /* ones' complement: the carry goes round, in any byte order (RFC 1071) */
    }
    sum += (words >> 32) + (uint32_t)words;
    for (unsigned odd = 0; i < size; i++, odd ^= 8)
        sum += (uint64_t)frame[i] << odd;
    while (sum >> 16)
        sum = (sum & 0xffff) + (sum >> 16);
    sum = ~sum & 0xffff;
    if (sum == 0)
        sum = 0xffff; /* RFC 768: 0 would mean none */
    gw_put_little(frame + at, sum, 2);
    return true;
}

/* Takes the frame of a chain into n->frame. 0 when it is not one. */
static size_t gather(struct virtio_dev *v)
{
    struct net *n = net(v);
    const struct virtq_chain *c = &n->chain;
    uint8_t header[HDR_BYTES];
    uint64_t size = c->out_bytes - HDR_BYTES;
    if (c->bad || c->out_bytes < HDR_BYTES + GW_NET_FRAME_MIN || size > GW_NET_FRAME_MAX ||
        !virtq_read(c, 0, header, sizeof header) || !virtq_read(c, HDR_BYTES, n->frame, size))
        return 0;
    switch (header[H_GSO_TYPE]) {
    case GSO_NONE: break;
    case GSO_TCPV4:
        if (!virtio_has(v, F_HOST_TSO4))
            return 0;
        break;
    case GSO_TCPV6:
        if (!virtio_has(v, F_HOST_TSO6))
            return 0;
        break;
    default: return 0;
    }
    if ((header[H_FLAGS] & HDR_NEEDS_CSUM) &&
        (!virtio_has(v, F_CSUM) || !complete_checksum(n->frame, size, header)))
        return 0;
    return size;
}

/* Has take_frames() called again soon, by an event. Any thread. */
static bool post_kick(struct virtio_dev *v)
{
    return virtio_post_bounded(v, VIRTIO_NET_GO_ON, NULL, 0);
}

static void kick(struct virtio_dev *v)
{
    if (!net(v)->kicked)
        net(v)->kicked = post_kick(v);
}

static void take_frames(struct virtio_dev *v)
{
    struct net *n = net(v);
    unsigned taken = 0;
    n->tx_stalled = 0;
    while (virtio_pop(v, TX, &n->chain)) {
        size_t size = gather(v);
        struct iovec iov = {.iov_base = n->frame, .iov_len = size};
        bool wired = n->backend && n->link_up;
        if (size && wired && !n->backend->ops->send(n->backend, &iov, 1)) {
            virtq_unpop(&v->queue[TX], n->chain.token);
            n->tx_stalled = 1;
            n->stats.tx_refused++;
            break;
        }
        n->stats.errors += !size;
        n->stats.tx_frames += size != 0;
        n->stats.tx_bytes += size;
        virtq_push(&v->queue[TX], v->dma, n->chain.token, 0);
        if (++taken == VIRTQ_MAX_SIZE) { /* a driver that refills meanwhile does not hold us */
            n->tx_stalled = 1;
            kick(v);
            break;
        }
    }
    virtio_used(v, TX);
}

/* Back end's thread. */
static void port_writable(void *context)
{
    post_kick(context);
}

static void net_notify(struct virtio_dev *v, unsigned queue)
{
    if (queue == RX) {
        give_waiting(v);
        virtio_used(v, RX);
    } else if (!net(v)->tx_stalled) {
        take_frames(v);
    }
}

/* ---- the cable ------------------------------------------------------------------------------ */

static void deliver_link(struct virtio_dev *v, const struct gw_event *ev)
{
    struct net *n = net(v);
    char why[LINK_BYTES] = "";
    bool up = ev->size_bytes && ev->bytes[0] == 1;
    if (!ev->size_bytes)
        return;
    if (ev->size_bytes - 1 < sizeof why)
        memcpy(why, ev->bytes + 1, ev->size_bytes - 1);
    if (n->cfg.note && why[0])
        n->cfg.note(n->cfg.context, why);
    if (up == n->link_up)
        return;
    n->link_up = up;
    virtio_config_changed(v);
    if (n->tx_stalled)
        take_frames(v);
}

/* Back end's thread. */
static void port_link(void *context, bool up, const char *why)
{
    struct virtio_dev *v = context;
    uint8_t bytes[LINK_BYTES] = {up};
    size_t n = why ? strnlen(why, LINK_BYTES - 1) : 0;
    memcpy(bytes + 1, why ? why : "", n);
    /* The words may be lost where the queue is full, what the cable does not. */
    if (!virtio_post(v, VIRTIO_NET_LINK, bytes, (uint32_t)(1 + n)))
        virtio_post_bounded(v, VIRTIO_NET_LINK, bytes, 1);
}

static void deliver(void *device, const struct gw_event *ev)
{
    struct virtio_dev *v = device;
    switch (ev->kind) {
    case VIRTIO_NET_FRAME: deliver_frame(v, ev); break;
    case VIRTIO_NET_GO_ON:
        net(v)->kicked = false;
        if (net(v)->tx_stalled)
            take_frames(v);
        break;
    case VIRTIO_NET_LINK: deliver_link(v, ev); break;
    default: break;
    }
}

/* ---- life ----------------------------------------------------------------------------------- */

static void drop_waiting(struct net *n)
{
    while (n->rx_head) {
        struct waiting_frame *f = n->rx_head;
        n->rx_head = f->next;
        n->stats.rx_lost++;
        left_the_wire(n, f->size_bytes);
        free(f);
    }
    n->rx_tail = &n->rx_head;
}

static void net_stop(struct virtio_dev *v)
{
    drop_waiting(net(v));
    net(v)->tx_stalled = 0;
}

static void net_quiesce(struct virtio_dev *v)
{
    /* Frames were copied: nothing of the guest's is held. */
}

static void net_destroy(struct virtio_dev *v)
{
    struct net *n = net(v);
    struct gw_net_backend *b = n->backend;
    n->backend = NULL;
    if (b)
        b->ops->close(b);
    drop_waiting(n);
    free(n);
}

static enum gw_status net_check(const void *object, struct gw_error *err)
{
    const struct net *n = object;
    return n->link_up <= 1 && n->tx_stalled <= 1
               ? GW_OK
               : gw_fail(err, GW_ERR_FORMAT, "virtio-net", "state that the device cannot hold");
}

static void net_post_load(void *object)
{
    struct net *n = object;
    if (n->tx_stalled)
        kick(n->v);
}

static const struct state_field net_fields[] = {
    STATE_SCALAR(struct net, link_up, STATE_U8),
    STATE_SCALAR(struct net, tx_stalled, STATE_U8),
};

static const struct state_desc net_state = {
    .name = "virtio-net",
    .version = 1,
    .fields = net_fields,
    .field_count = STATE_COUNT_(net_fields),
    .check = net_check,
    .post_load = net_post_load,
};

const struct virtio_kind virtio_net_kind = {
    .name = "virtio-net",
    .id = 1,
    .state = &net_state,
    .features = net_features,
    .config = net_config,
    .notify = net_notify,
    .stop = net_stop,
    .quiesce = net_quiesce,
    .destroy = net_destroy,
    .event = deliver,
};

enum gw_status virtio_net_attach(struct virtio_dev *v, const struct virtio_net_config *cfg,
                                 struct gw_error *err)
{
    struct net *n = calloc(1, sizeof *n);
    if (!n)
        return gw_fail(err, GW_ERR_NOMEM, "", "no memory for a network card");
    n->v = v;
    n->cfg = *cfg;
    n->rx_tail = &n->rx_head;
    return virtio_attach(v, &virtio_net_kind, n, 2, err);
}

struct gw_net_port virtio_net_port(struct virtio_dev *v)
{
    return (struct gw_net_port){
        .context = v, .receive = port_receive, .writable = port_writable, .link = port_link};
}

const uint8_t *virtio_net_mac(const struct virtio_dev *v)
{
    return net(v)->cfg.mac;
}

void virtio_net_set_mac(struct virtio_dev *v, const uint8_t mac[6])
{
    memcpy(net(v)->cfg.mac, mac, sizeof net(v)->cfg.mac);
}

void virtio_net_plug(struct virtio_dev *v, struct gw_net_backend *backend)
{
    net(v)->backend = backend;
    net(v)->link_up = backend != NULL;
}

enum gw_status virtio_net_start(struct virtio_dev *v, struct gw_error *err)
{
    struct gw_net_backend *b = net(v)->backend;
    return b && b->ops->start ? b->ops->start(b, err) : GW_OK;
}

void virtio_net_look_at_cable(struct virtio_dev *v)
{
    port_link(v, net(v)->backend != NULL, NULL);
}

static const struct counter_field net_counter_fields[] = {
    COUNTER(struct virtio_net_stats, rx_frames, "frames given to the guest"),
    COUNTER(struct virtio_net_stats, rx_bytes, "bytes given to the guest"),
    COUNTER(struct virtio_net_stats, rx_lost, "frames for the guest that were lost"),
    COUNTER(struct virtio_net_stats, tx_frames, "frames from the guest"),
    COUNTER(struct virtio_net_stats, tx_bytes, "bytes from the guest"),
    COUNTER(struct virtio_net_stats, tx_refused, "times the back end had no room"),
    COUNTER(struct virtio_net_stats, errors, "buffers that made no sense"),
};

const struct counter_desc virtio_net_counters = {
    .name = "virtio-net",
    .fields = net_counter_fields,
    .field_count = STATE_COUNT_(net_counter_fields),
};

const struct virtio_net_stats *virtio_net_stats(const struct virtio_dev *v)
{
    return v->kind == &virtio_net_kind ? &net(v)->stats : NULL;
}
