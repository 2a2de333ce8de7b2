/* virtio-console. Source: VIRTIO 1.2, 5.3. */
#include <stdlib.h>
#include <string.h>

#include "devices/virtio/console.h"

#define F_SIZE        (1ull << 0)
#define F_MULTIPORT   (1ull << 1)
#define F_EMERG_WRITE (1ull << 2)

enum { CONTROL_RX = 2, CONTROL_TX = 3 };
/* 5.3.4: the configuration space. */
enum { C_COLUMNS = 0, C_ROWS = 2, C_MAX_PORTS = 4, C_EMERG_WRITE = 8, CONFIG_BYTES = 12 };
/* 5.3.6.2: control messages. */
enum {
    DEVICE_READY = 0,
    DEVICE_ADD = 1,
    PORT_READY = 3,
    CONSOLE_PORT = 4,
    RESIZE = 5,
    PORT_OPEN = 6,
    PORT_NAME = 7
};
enum { MESSAGE_BYTES = 8, MESSAGE_MAX = MESSAGE_BYTES + VIRTIO_CONSOLE_NAME_BYTES };
enum { CHUNK_BYTES = 4096 };

/* Messages that a port owes the driver, in the order in which they are sent. */
static const uint16_t owed_events[] = {DEVICE_ADD, CONSOLE_PORT, PORT_NAME, PORT_OPEN, RESIZE};
enum { OWES_ADD = 1, OWES_CONSOLE = 2, OWES_NAME = 4, OWES_OPEN = 8, OWES_RESIZE = 16 };
enum { OWED_KINDS = sizeof owed_events / sizeof owed_events[0], OWED_ALL = (1 << OWED_KINDS) - 1 };

struct port {
    const struct dev_serial *serial;
    char name[VIRTIO_CONSOLE_NAME_BYTES + 1]; /* empty: a console */
};

struct console {
    struct virtio_dev *v;
    unsigned count;
    struct port port[VIRTIO_CONSOLE_PORTS];
    /* State. */
    uint8_t owed[VIRTIO_CONSOLE_PORTS];
    uint8_t open[VIRTIO_CONSOLE_PORTS];       /* a program of the guest has it open */
    uint32_t tx_offset[VIRTIO_CONSOLE_PORTS]; /* of the next chain: what is put out already */
    uint16_t columns, rows;                   /* 0: not known */
    uint8_t unfinished;                       /* a bit a queue: to be looked at by an event */
    uint8_t unfinished_high;
    /* Derived. */
    bool kicked;
    struct virtq_chain chain;
};

static struct console *console(const struct virtio_dev *v)
{
    return v->backend;
}

static unsigned port_of(unsigned queue)
{
    return queue < 2 ? 0 : queue / 2 - 1;
}

static unsigned rx_queue(unsigned port)
{
    return port == 0 ? 0 : 2 * port + 2;
}

static uint64_t console_features(struct virtio_dev *v)
{
    return F_MULTIPORT | F_EMERG_WRITE | (console(v)->columns ? F_SIZE : 0);
}

static uint8_t console_config(struct virtio_dev *v, uint64_t offset)
{
    const struct console *c = console(v);
    uint8_t bytes[CONFIG_BYTES] = {0};
    gw_put_little(bytes + C_COLUMNS, c->columns, 2);
    gw_put_little(bytes + C_ROWS, c->rows, 2);
    gw_put_little(bytes + C_MAX_PORTS, c->count, 4);
    return offset < CONFIG_BYTES ? bytes[offset] : 0;
}

/* 5.3.5: a character for whoever listens, before there are any queues. */
static void console_config_write(struct virtio_dev *v, uint64_t offset, unsigned size,
                                 uint64_t value)
{
    const struct dev_serial *s = console(v)->port[0].serial;
    if (offset == C_EMERG_WRITE)
        s->put(s->context, (uint8_t)value);
}

/* ---- control messages ----------------------------------------------------------------------- */

static size_t write_message(const struct console *c, unsigned port, uint16_t event,
                            uint8_t to[MESSAGE_MAX])
{
    size_t name = strlen(c->port[port].name), size = MESSAGE_BYTES;
    gw_put_little(to, port, 4);
    gw_put_little(to + 4, event, 2);
    gw_put_little(to + 6, 1, 2);
    if (event == PORT_NAME) {
        memcpy(to + size, c->port[port].name, name);
        size += name;
    } else if (event == RESIZE) { /* 5.3.6.2.1: columns, then rows */
        gw_put_little(to + size, c->columns, 2);
        gw_put_little(to + size + 2, c->rows, 2);
        size += 4;
    }
    return size;
}

/* Sends what is owed, as far as there are buffers. */
static void send_messages(struct virtio_dev *v)
{
    struct console *c = console(v);
    for (unsigned p = 0; p < c->count; p++)
        for (unsigned kind = 0; kind < OWED_KINDS; kind++) {
            uint8_t message[MESSAGE_MAX];
            size_t size;
            bool fits;
            if (!(c->owed[p] >> kind & 1))
                continue;
            if (!virtio_pop(v, CONTROL_RX, &c->chain)) {
                virtio_used(v, CONTROL_RX);
                return;
            }
            size = write_message(c, p, owed_events[kind], message);
            fits = !c->chain.bad && c->chain.in_bytes >= size;
            if (fits)
                virtq_write(&c->chain, v->dma, 0, message, size);
            virtq_push(&v->queue[CONTROL_RX], v->dma, c->chain.token, fits ? (uint32_t)size : 0);
            c->owed[p] &= (uint8_t) ~(1u << kind);
        }
    virtio_used(v, CONTROL_RX);
}

static void take_input(struct virtio_dev *v, unsigned port);

static void take_message(struct virtio_dev *v, const uint8_t message[MESSAGE_BYTES])
{
    struct console *c = console(v);
    uint32_t id = (uint32_t)gw_little(message, 4);
    uint16_t event = (uint16_t)gw_little(message + 4, 2);
    uint16_t value = (uint16_t)gw_little(message + 6, 2);
    if (event == DEVICE_READY && value == 1)
        for (unsigned p = 0; p < c->count; p++)
            c->owed[p] = OWES_ADD;
    if (id >= c->count)
        return;
    if (event == PORT_READY && value == 1) {
        bool named = c->port[id].name[0] != 0;
        c->owed[id] |= OWES_OPEN | (named ? OWES_NAME : OWES_CONSOLE) |
                       (!named && c->columns ? OWES_RESIZE : 0);
    } else if (event == PORT_OPEN) {
        c->open[id] = value == 1;
        take_input(v, id);
    }
}

/* ---- bytes ---------------------------------------------------------------------------------- */

static void kick(struct virtio_dev *v, unsigned queue);

/* True while the guest wants input here: consoles always do. */
static bool listens(const struct virtio_dev *v, unsigned port)
{
    const struct console *c = console(v);
    return !virtio_has(v, F_MULTIPORT) ? port == 0 : c->open[port] || !c->port[port].name[0];
}

static void take_input(struct virtio_dev *v, unsigned port)
{
    struct console *c = console(v);
    const struct dev_serial *s = c->port[port].serial;
    unsigned queue = rx_queue(port), taken = 0;
    uint8_t bytes[CHUNK_BYTES];
    while (listens(v, port) && virtio_pop(v, queue, &c->chain)) {
        uint64_t room = c->chain.bad ? 0 : c->chain.in_bytes;
        size_t n = room < sizeof bytes ? (size_t)room : sizeof bytes;
        n = n ? s->get(s->context, bytes, n) : 0;
        if (n == 0 && room) {
            virtq_unpop(&v->queue[queue], c->chain.token);
            break;
        }
        virtq_write(&c->chain, v->dma, 0, bytes, n);
        virtq_push(&v->queue[queue], v->dma, c->chain.token, (uint32_t)n);
        if (++taken == VIRTQ_MAX_SIZE) {
            kick(v, queue);
            break;
        }
    }
    virtio_used(v, queue);
}

/* Puts out the chain from its offset on. False: no room, and the offset says how far it came. */
static bool put_chain(struct console *c, unsigned port)
{
    const struct dev_serial *s = c->port[port].serial;
    uint64_t at = c->tx_offset[port], size = c->chain.bad ? 0 : c->chain.out_bytes;
    uint8_t bytes[256];
    while (at < size) {
        size_t n = size - at < sizeof bytes ? (size_t)(size - at) : sizeof bytes;
        virtq_read(&c->chain, at, bytes, n);
        for (size_t i = 0; i < n; i++, at++) {
            if (!s->room(s->context)) {
                c->tx_offset[port] = (uint32_t)at;
                return false;
            }
            s->put(s->context, bytes[i]);
        }
    }
    c->tx_offset[port] = 0;
    return true;
}

static void take_output(struct virtio_dev *v, unsigned port)
{
    struct console *c = console(v);
    unsigned queue = rx_queue(port) + 1, taken = 0;
    while (virtio_pop(v, queue, &c->chain)) {
        if (!put_chain(c, port)) {
            virtq_unpop(&v->queue[queue], c->chain.token);
            break; /* until a poke */
        }
        virtq_push(&v->queue[queue], v->dma, c->chain.token, 0);
        if (++taken == VIRTQ_MAX_SIZE) {
            kick(v, queue);
            break;
        }
    }
    virtio_used(v, queue);
}

static void take_messages(struct virtio_dev *v)
{
    struct console *c = console(v);
    unsigned taken = 0;
    while (virtio_pop(v, CONTROL_TX, &c->chain)) {
        uint8_t message[MESSAGE_BYTES];
        struct virtq_token token = c->chain.token;
        bool whole = !c->chain.bad && virtq_read(&c->chain, 0, message, sizeof message);
        virtq_push(&v->queue[CONTROL_TX], v->dma, token, 0);
        if (whole)
            take_message(v, message);
        if (++taken == VIRTQ_MAX_SIZE) {
            kick(v, CONTROL_TX);
            break;
        }
    }
    virtio_used(v, CONTROL_TX);
    send_messages(v);
}

static void console_notify(struct virtio_dev *v, unsigned queue)
{
    if (queue == CONTROL_RX)
        send_messages(v);
    else if (queue == CONTROL_TX)
        take_messages(v);
    else if (queue % 2 == 0)
        take_input(v, port_of(queue));
    else
        take_output(v, port_of(queue));
}

static void deliver(void *device, const struct gw_event *ev)
{
    struct virtio_dev *v = device;
    struct console *c = console(v);
    unsigned queues = c->unfinished | (unsigned)c->unfinished_high << 8;
    if (ev->kind != VIRTIO_CONSOLE_GO_ON)
        return;
    c->kicked = false;
    c->unfinished = c->unfinished_high = 0;
    for (unsigned q = 0; q < v->queue_count; q++)
        if (queues >> q & 1)
            console_notify(v, q);
}

static void post_kick(struct virtio_dev *v)
{
    if (!console(v)->kicked)
        console(v)->kicked = virtio_post_bounded(v, VIRTIO_CONSOLE_GO_ON, NULL, 0);
}

/* Has the queue looked at again soon, by an event: a driver that refills it does not hold us. */
static void kick(struct virtio_dev *v, unsigned queue)
{
    struct console *c = console(v);
    if (queue < 8)
        c->unfinished |= (uint8_t)(1u << queue);
    else
        c->unfinished_high |= (uint8_t)(1u << (queue - 8));
    post_kick(v);
}

void virtio_console_poke(struct virtio_dev *v, unsigned port)
{
    if (!virtio_running(v))
        return;
    take_output(v, port);
    take_input(v, port);
}

void virtio_console_resize(struct virtio_dev *v, uint16_t columns, uint16_t rows)
{
    struct console *c = console(v);
    if (c->columns == columns && c->rows == rows)
        return;
    c->columns = columns;
    c->rows = rows;
    if (!virtio_running(v))
        return;
    if (virtio_has(v, F_SIZE))
        virtio_config_changed(v);
    for (unsigned p = 0; p < c->count && virtio_has(v, F_MULTIPORT); p++)
        if (!c->port[p].name[0])
            c->owed[p] |= OWES_RESIZE;
    send_messages(v);
}

/* ---- life ----------------------------------------------------------------------------------- */

static void console_stop(struct virtio_dev *v)
{
    struct console *c = console(v);
    memset(c->owed, 0, sizeof c->owed);
    memset(c->open, 0, sizeof c->open);
    memset(c->tx_offset, 0, sizeof c->tx_offset);
    c->unfinished = c->unfinished_high = 0;
}

static void console_quiesce(struct virtio_dev *v)
{
    /* Nothing of the guest's is held between calls. */
}

static void console_destroy(struct virtio_dev *v)
{
    free(v->backend);
}

static enum gw_status console_check(const void *object, struct gw_error *err)
{
    const struct console *c = object;
    bool ok = true;
    for (unsigned p = 0; p < VIRTIO_CONSOLE_PORTS; p++)
        ok = ok && c->owed[p] <= OWED_ALL && c->open[p] <= 1;
    return ok ? GW_OK
              : gw_fail(err, GW_ERR_FORMAT, "virtio-console", "state that the device cannot hold");
}

static void console_post_load(void *object)
{
    struct console *c = object;
    if (c->unfinished || c->unfinished_high)
        post_kick(c->v);
}

static const struct state_field console_fields[] = {
    STATE_ARRAY(struct console, owed, STATE_U8),
    STATE_ARRAY(struct console, open, STATE_U8),
    STATE_ARRAY(struct console, tx_offset, STATE_U32),
    STATE_SCALAR(struct console, columns, STATE_U16),
    STATE_SCALAR(struct console, rows, STATE_U16),
    STATE_SCALAR(struct console, unfinished, STATE_U8),
    STATE_SCALAR(struct console, unfinished_high, STATE_U8),
};

static const struct state_desc console_state = {
    .name = "virtio-console",
    .version = 1,
    .fields = console_fields,
    .field_count = STATE_COUNT_(console_fields),
    .check = console_check,
    .post_load = console_post_load,
};

const struct virtio_kind virtio_console_kind = {
    .name = "virtio-console",
    .id = 3,
    .state = &console_state,
    .features = console_features,
    .config = console_config,
    .config_write = console_config_write,
    .notify = console_notify,
    .stop = console_stop,
    .quiesce = console_quiesce,
    .destroy = console_destroy,
    .event = deliver,
};

enum gw_status virtio_console_attach(struct virtio_dev *v, const struct virtio_console_port *ports,
                                     unsigned count, struct gw_error *err)
{
    struct console *c;
    if (count == 0 || count > VIRTIO_CONSOLE_PORTS)
        return gw_fail(err, GW_ERR_LIMIT, "virtio-console", "cannot have that many ports");
    c = calloc(1, sizeof *c);
    if (!c)
        return gw_fail(err, GW_ERR_NOMEM, "", "no memory for a console");
    c->v = v;
    c->count = count;
    for (unsigned p = 0; p < count; p++) {
        c->port[p].serial = ports[p].serial;
        if (ports[p].name)
            memcpy(c->port[p].name, ports[p].name,
                   strnlen(ports[p].name, VIRTIO_CONSOLE_NAME_BYTES));
    }
    return virtio_attach(v, &virtio_console_kind, c, 2 * (count + 1), err);
}
