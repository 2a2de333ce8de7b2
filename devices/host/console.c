/* The console's buffers, see console.h. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <time.h>
#include <unistd.h>

#include "devices/host/console.h"

#define ESCAPE_KEY 0x1d /* Ctrl-] */
/* What a pipe that epoll calls writable takes without blocking (PIPE_BUF). */
#define WRITE_CHUNK 4096u
/* A reader that takes nothing for so long is not waited for. */
#define FLUSH_MS 1000u
/* The serial port sees no room below this, so a driver's whole burst fits. */
#define OUT_RESERVE 64u

struct dev_console {
    struct dev_console_config cfg;
    struct dev_serial serial;
    uint16_t source; /* of our events */
    struct dev_io_watch in, out;
    struct dev_io_job out_job, in_job;
    /* I/O thread. polled: the descriptor can be waited for, which the first job finds out. */
    bool out_known, in_known, out_polled, in_polled;
    bool in_closed, out_closed, escaped;
    int lost_error; /* atomic: of the first output that was thrown away; 0: none */

    bool gave_up; /* vCPU thread: the last flush, there */
    uint32_t gave_up_at;
    uint32_t out_head;   /* written by the vCPU thread */
    uint32_t out_tail;   /* written by the I/O thread */
    uint32_t out_kicked; /* atomic: the I/O thread knows that there is output */
    uint32_t starved;    /* atomic: the vCPU side saw a full ring */
    uint32_t credit;     /* atomic: bytes that the vCPU side has room for */
    uint32_t in_stalled; /* atomic: the I/O thread stopped reading for want of credit */

    uint8_t input[DEV_CONSOLE_IN_BYTES]; /* vCPU thread: a ring */
    uint32_t input_at, input_count;
    /* vCPU thread: frames. Of the one that was begun: bytes of its header that are left, and of itself.
     * ended: the input has, as an event said, and whether the guest knows. */
    uint8_t framed, frame_head, ended;
    uint16_t frame_left;
    uint32_t allowed;
    uint32_t ring_bytes;
    uint8_t ring[];
};

/* ---- output --------------------------------------------------------------------------------- */

static uint32_t out_used(const struct dev_console *c)
{
    return __atomic_load_n(&c->out_head, __ATOMIC_ACQUIRE) -
           __atomic_load_n(&c->out_tail, __ATOMIC_ACQUIRE);
}

/* If not, ROOM is posted when something was written. */
static bool holds_at_most(struct dev_console *c, uint32_t most)
{
    if (out_used(c) <= most)
        return true;
    __atomic_store_n(&c->starved, 1, __ATOMIC_SEQ_CST);
    return out_used(c) <= most;
}

static bool console_room(void *context)
{
    struct dev_console *c = context;
    return c->cfg.patient || holds_at_most(c, c->ring_bytes - OUT_RESERVE);
}

bool dev_console_full(struct dev_console *c)
{
    return c->cfg.patient && !holds_at_most(c, c->ring_bytes - DEV_CONSOLE_RUN_BYTES);
}

static void console_put(void *context, uint8_t byte)
{
    struct dev_console *c = context;
    uint32_t head = c->out_head;
    if (c->cfg.tap)
        c->cfg.tap(c->cfg.context, byte);
    if (c->cfg.out_fd < 0 || out_used(c) == c->ring_bytes)
        return;
    c->ring[head % c->ring_bytes] = byte;
    __atomic_store_n(&c->out_head, head + 1, __ATOMIC_RELEASE);
    if (!__atomic_exchange_n(&c->out_kicked, 1, __ATOMIC_SEQ_CST))
        dev_io_submit(c->cfg.io, &c->out_job);
}

/* Output that the host does not take is thrown away: a guest does not stop for it. A full disk may
 * have room again later; a reader that is gone does not come back. */
static uint32_t lose(struct dev_console *c, uint32_t count, int error)
{
    c->out_closed = error != ENOSPC && error != EDQUOT && error != EFBIG;
    if (dev_console_lost(c))
        return count;
    __atomic_store_n(&c->lost_error, error, __ATOMIC_RELEASE);
    if (error == EPIPE && c->cfg.reader_gone)
        c->cfg.reader_gone(c->cfg.context);
    else
        dev_fault_say(&c->cfg.fault, "cannot write what the guest says",
                      c->cfg.name ? c->cfg.name : "its console", error);
    return count;
}

int dev_console_lost(const struct dev_console *c)
{
    return __atomic_load_n(&c->lost_error, __ATOMIC_ACQUIRE);
}

/* Writes one chunk. False when the ring is empty or the descriptor is gone. */
static bool write_chunk(struct dev_console *c)
{
    uint32_t tail = c->out_tail, used = out_used(c);
    uint32_t at = tail % c->ring_bytes, n = used;
    ssize_t done;
    if (n == 0)
        return false;
    if (n > c->ring_bytes - at)
        n = c->ring_bytes - at;
    if (n > WRITE_CHUNK)
        n = WRITE_CHUNK;
    done = c->out_closed ? (ssize_t)n : write(c->cfg.out_fd, c->ring + at, n);
    if (done < 0 && (errno == EINTR || errno == EAGAIN))
        return true;
    if (done < 0)
        done = (ssize_t)lose(c, n, errno);
    __atomic_store_n(&c->out_tail, tail + (uint32_t)done, __ATOMIC_RELEASE);
    if (__atomic_exchange_n(&c->starved, 0, __ATOMIC_SEQ_CST)) {
        struct gw_event ev = {.source = c->source, .kind = DEV_CONSOLE_ROOM};
        gw_events_post_bounded(c->cfg.events, &ev);
    }
    return true;
}

/* The flag is cleared before the last look, so a byte put in between is either seen or submitted
 * anew. */
static void output_ready(void *context, uint32_t events)
{
    struct dev_console *c = context;
    if (write_chunk(c))
        return;
    dev_io_rewatch(c->cfg.io, &c->out, 0);
    __atomic_store_n(&c->out_kicked, 0, __ATOMIC_SEQ_CST);
    if (out_used(c) && !__atomic_exchange_n(&c->out_kicked, 1, __ATOMIC_SEQ_CST))
        dev_io_rewatch(c->cfg.io, &c->out, EPOLLOUT);
}

static void output_job(struct dev_io_job *job)
{
    struct dev_console *c =
        (struct dev_console *)(void *)((char *)job - offsetof(struct dev_console, out_job));
    if (!c->out_known)
        c->out_polled = dev_io_watch(c->cfg.io, &c->out, 0) == GW_OK;
    c->out_known = true;
    if (c->out_polled) {
        dev_io_rewatch(c->cfg.io, &c->out, EPOLLOUT);
        return;
    }
    do {
        __atomic_store_n(&c->out_kicked, 1, __ATOMIC_SEQ_CST);
        while (write_chunk(c))
            ;
        __atomic_store_n(&c->out_kicked, 0, __ATOMIC_SEQ_CST);
    } while (out_used(c) && !__atomic_exchange_n(&c->out_kicked, 1, __ATOMIC_SEQ_CST));
}

static uint64_t now_ms(void)
{
    struct timespec ts;
    clock_gettime(CLOCK_MONOTONIC, &ts);
    return (uint64_t)ts.tv_sec * 1000 + (uint64_t)ts.tv_nsec / 1000000;
}

static void wait_a_moment(void)
{
    const struct timespec ms = {.tv_nsec = 1000000};
    nanosleep(&ms, NULL);
}

bool dev_console_drain(struct dev_console *c, bool (*go_on)(void *context), void *context)
{
    while (out_used(c) && c->cfg.out_fd >= 0) {
        if (!go_on(context))
            return false;
        wait_a_moment();
    }
    return true;
}

void dev_console_flush(struct dev_console *c)
{
    uint32_t last = __atomic_load_n(&c->out_tail, __ATOMIC_ACQUIRE);
    uint64_t moved_ms = now_ms();
    bool gave_up = c->gave_up && last == c->gave_up_at; /* once is enough */
    while (out_used(c) && c->cfg.out_fd >= 0 && !gave_up) {
        uint32_t tail = __atomic_load_n(&c->out_tail, __ATOMIC_ACQUIRE);
        if (tail != last)
            moved_ms = now_ms();
        last = tail;
        gave_up = now_ms() - moved_ms >= FLUSH_MS;
        wait_a_moment();
    }
    c->gave_up = gave_up;
    c->gave_up_at = last;
}

/* ---- input ---------------------------------------------------------------------------------- */

/* Credit bounds what is posted, so it always fits; what a log has too much is dropped. */
static void take_input(struct dev_console *c, const struct gw_event *ev)
{
    for (uint32_t i = 0; i < ev->size_bytes && c->input_count < DEV_CONSOLE_IN_BYTES; i++) {
        c->input[(c->input_at + c->input_count) % DEV_CONSOLE_IN_BYTES] = ev->bytes[i];
        c->input_count++;
    }
    c->cfg.poke(c->cfg.context);
}

enum { GOES_ON, ENDED, END_TOLD };

static void deliver(void *context, const struct gw_event *ev)
{
    struct dev_console *c = context;
    switch (ev->kind) {
    case DEV_CONSOLE_INPUT: take_input(c, ev); break;
    case DEV_CONSOLE_MENU:
        if (ev->size_bytes == 1 && c->cfg.menu)
            c->cfg.menu(c->cfg.context, ev->bytes[0]);
        break;
    case DEV_CONSOLE_END:
        if (c->ended == GOES_ON)
            c->ended = ENDED;
        c->cfg.poke(c->cfg.context);
        break;
    case DEV_CONSOLE_ROOM:
        if (!c->cfg.patient) /* its guest has missed nothing */
            c->cfg.poke(c->cfg.context);
        break;
    default: break;
    }
}

/* Input of a log was never paid for, so there is never more than the buffer holds. */
static void give_credit(struct dev_console *c, uint32_t n)
{
    uint32_t was = __atomic_load_n(&c->credit, __ATOMIC_SEQ_CST), now;
    do
        now = n > DEV_CONSOLE_IN_BYTES - was ? DEV_CONSOLE_IN_BYTES : was + n;
    while (!__atomic_compare_exchange_n(&c->credit, &was, now, true, __ATOMIC_SEQ_CST,
                                        __ATOMIC_SEQ_CST));
}

static uint8_t take_byte(struct dev_console *c)
{
    uint8_t byte = c->input[c->input_at];
    c->input_at = (c->input_at + 1) % DEV_CONSOLE_IN_BYTES;
    c->input_count--;
    return byte;
}

enum { FRAME_HEAD_BYTES = 2 };

/* With all that is there, as far as it may be; false: nothing is. */
static bool begin_frame(struct dev_console *c)
{
    uint32_t n = c->input_count;
    if (c->allowed < FRAME_HEAD_BYTES + (n > 0) || (!n && c->ended != ENDED))
        return false;
    if (n > DEV_CONSOLE_FRAME_BYTES)
        n = DEV_CONSOLE_FRAME_BYTES;
    if (n > c->allowed - FRAME_HEAD_BYTES)
        n = c->allowed - FRAME_HEAD_BYTES;
    if (!n)
        c->ended = END_TOLD;
    c->frame_head = FRAME_HEAD_BYTES;
    c->frame_left = (uint16_t)n;
    c->allowed -= FRAME_HEAD_BYTES + n;
    return true;
}

/* One byte of frames, if there is one; *taken counts those that were input. */
static bool get_framed(struct dev_console *c, uint8_t *to, uint32_t *taken)
{
    if (!c->frame_head && !c->frame_left && !begin_frame(c))
        return false;
    if (c->frame_head) {
        *to = (uint8_t)(c->frame_left >> (8 * (FRAME_HEAD_BYTES - c->frame_head--)));
        return true;
    }
    *to = take_byte(c);
    c->frame_left--;
    ++*taken;
    return true;
}

static size_t console_get(void *context, uint8_t *to, size_t max)
{
    struct dev_console *c = context;
    uint32_t taken = 0;
    size_t n = 0;
    while (c->framed && n < max && get_framed(c, to + n, &taken))
        n++;
    while (!c->framed && n < max && c->input_count) {
        to[n++] = take_byte(c);
        taken++;
    }
    if (taken) {
        give_credit(c, taken);
        if (__atomic_exchange_n(&c->in_stalled, 0, __ATOMIC_SEQ_CST))
            dev_io_submit(c->cfg.io, &c->in_job);
    }
    return n;
}

void dev_console_reset(struct dev_console *c)
{
    c->frame_head = 0;
    c->frame_left = 0;
    c->allowed = 0;
    if (c->ended == END_TOLD)
        c->ended = ENDED;
}

void dev_console_ready(struct dev_console *c)
{
    dev_console_reset(c);
    dev_console_allow(c, DEV_CONSOLE_WINDOW_BYTES);
}

void dev_console_allow(struct dev_console *c, uint32_t bytes)
{
    c->allowed += bytes < DEV_CONSOLE_WINDOW_BYTES - c->allowed
                      ? bytes
                      : DEV_CONSOLE_WINDOW_BYTES - c->allowed;
    c->cfg.poke(c->cfg.context);
}

/* Takes the menu's keys out of what was read; returns the bytes that remain for the guest. */
static size_t filter_escape(struct dev_console *c, uint8_t *bytes, size_t count)
{
    size_t kept = 0;
    for (size_t i = 0; i < count; i++) {
        uint8_t b = bytes[i];
        if (!c->escaped && b == ESCAPE_KEY) {
            c->escaped = true;
            if (c->cfg.menu_open)
                c->cfg.menu_open(c->cfg.context);
        } else if (c->escaped) {
            c->escaped = false;
            if (b == ']' || b == ESCAPE_KEY) {
                bytes[kept++] = ESCAPE_KEY;
            } else {
                struct gw_event ev = {
                    .source = c->source, .kind = DEV_CONSOLE_MENU, .size_bytes = 1, .bytes = &b};
                if (c->cfg.menu_pressed)
                    c->cfg.menu_pressed(c->cfg.context, b);
                gw_events_post_bounded(c->cfg.events, &ev);
            }
        } else {
            bytes[kept++] = b;
        }
    }
    return kept;
}

static void close_input(struct dev_console *c)
{
    c->in_closed = true;
    if (c->in_polled)
        dev_io_rewatch(c->cfg.io, &c->in, 0);
    if (c->framed) {
        struct gw_event ev = {.source = c->source, .kind = DEV_CONSOLE_END};
        gw_events_post_bounded(c->cfg.events, &ev);
    }
}

/* Reads once. False when there is no more to read now. */
static bool read_some(struct dev_console *c)
{
    uint8_t bytes[1024];
    uint32_t credit = __atomic_load_n(&c->credit, __ATOMIC_SEQ_CST);
    size_t n = credit < sizeof bytes ? credit : sizeof bytes;
    ssize_t got;
    if (n == 0) {
        /* With a menu the terminal is read even while the guest takes nothing; what it cannot
         * take is dropped, as a full line discipline would. */
        if (!c->cfg.escape)
            return false;
        n = 1;
    }
    got = read(c->cfg.in_fd, bytes, n);
    if (got < 0 && (errno == EINTR || errno == EAGAIN))
        return errno == EINTR;
    if (got <= 0) {
        close_input(c);
        return false;
    }
    n = (size_t)got;
    if (c->cfg.escape)
        n = filter_escape(c, bytes, n);
    if (n && n <= credit) {
        struct gw_event ev = {.source = c->source,
                              .kind = DEV_CONSOLE_INPUT,
                              .size_bytes = (uint32_t)n,
                              .bytes = bytes};
        __atomic_sub_fetch(&c->credit, (uint32_t)n, __ATOMIC_SEQ_CST);
        if (!gw_events_post(c->cfg.events, &ev))
            give_credit(c, (uint32_t)n);
    }
    return true;
}

static bool must_stall(struct dev_console *c)
{
    if (c->cfg.escape || __atomic_load_n(&c->credit, __ATOMIC_SEQ_CST))
        return false;
    __atomic_store_n(&c->in_stalled, 1, __ATOMIC_SEQ_CST);
    /* Credit that came before the flag was seen resets it here, later credit submits the job. */
    return !(__atomic_load_n(&c->credit, __ATOMIC_SEQ_CST) &&
             __atomic_exchange_n(&c->in_stalled, 0, __ATOMIC_SEQ_CST));
}

static void input_ready(void *context, uint32_t events)
{
    struct dev_console *c = context;
    read_some(c);
    if (!c->in_closed && must_stall(c))
        dev_io_rewatch(c->cfg.io, &c->in, 0);
}

static void input_job(struct dev_io_job *job)
{
    struct dev_console *c =
        (struct dev_console *)(void *)((char *)job - offsetof(struct dev_console, in_job));
    if (c->in_closed)
        return;
    if (!c->in_known)
        c->in_polled = dev_io_watch(c->cfg.io, &c->in, 0) == GW_OK;
    c->in_known = true;
    if (c->in_polled) {
        dev_io_rewatch(c->cfg.io, &c->in, EPOLLIN);
        return;
    }
    while (!must_stall(c) && read_some(c))
        ;
}

/* ---- state ---------------------------------------------------------------------------------- */

void dev_console_settle(struct dev_console *c)
{
    uint8_t sorted[DEV_CONSOLE_IN_BYTES] = {0};
    for (uint32_t i = 0; i < c->input_count; i++)
        sorted[i] = c->input[(c->input_at + i) % DEV_CONSOLE_IN_BYTES];
    memcpy(c->input, sorted, sizeof sorted);
    c->input_at = 0;
}

static enum gw_status console_check(const void *object, struct gw_error *err)
{
    const struct dev_console *c = object;
    if (c->input_count > DEV_CONSOLE_IN_BYTES)
        return gw_fail(err, GW_ERR_FORMAT, "console", "more input than the console can hold");
    if (c->framed > 1 || c->frame_head > FRAME_HEAD_BYTES || c->ended > END_TOLD ||
        c->frame_left > c->input_count || c->allowed > DEV_CONSOLE_WINDOW_BYTES)
        return gw_fail(err, GW_ERR_FORMAT, "console", "a frame that makes no sense");
    return GW_OK;
}

/* Before dev_console_start(), so nothing reads yet. */
static void console_post_load(void *object)
{
    struct dev_console *c = object;
    c->input_at = 0;
    __atomic_store_n(&c->credit, DEV_CONSOLE_IN_BYTES - c->input_count, __ATOMIC_SEQ_CST);
}

static const struct state_field console_fields[] = {
    STATE_SCALAR(struct dev_console, input_count, STATE_U32),
    STATE_ARRAY(struct dev_console, input, STATE_U8),
    STATE_SCALAR_SINCE(2, struct dev_console, framed, STATE_U8),
    STATE_SCALAR_SINCE(2, struct dev_console, frame_head, STATE_U8),
    STATE_SCALAR_SINCE(2, struct dev_console, ended, STATE_U8),
    STATE_SCALAR_SINCE(2, struct dev_console, frame_left, STATE_U16),
    STATE_SCALAR_SINCE(2, struct dev_console, allowed, STATE_U32),
};

const struct state_desc dev_console_state = {
    .name = "console",
    .version = 2,
    .oldest = 1,
    .fields = console_fields,
    .field_count = STATE_COUNT_(console_fields),
    .check = console_check,
    .post_load = console_post_load,
};

/* ---- life ----------------------------------------------------------------------------------- */

enum gw_status dev_console_new(struct dev_console **out, const struct dev_console_config *cfg,
                               struct gw_error *err)
{
    /* Powers of two: the counts run over. */
    uint32_t bytes = cfg->patient ? 2 * DEV_CONSOLE_RUN_BYTES : DEV_CONSOLE_OUT_BYTES;
    struct dev_console *c = calloc(1, sizeof *c + bytes);
    *out = NULL;
    if (!c)
        return gw_fail(err, GW_ERR_NOMEM, "", "no memory for the console");
    c->cfg = *cfg;
    c->ring_bytes = bytes;
    c->serial = (struct dev_serial){
        .room = console_room, .put = console_put, .get = console_get, .context = c};
    c->out_job.run = output_job;
    c->in_job.run = input_job;
    c->credit = DEV_CONSOLE_IN_BYTES;
    c->framed = cfg->framed;
    c->in = (struct dev_io_watch){.fd = cfg->in_fd, .ready = input_ready, .context = c};
    c->out = (struct dev_io_watch){.fd = cfg->out_fd, .ready = output_ready, .context = c};
    c->source = gw_events_register_next(cfg->events, cfg->source, deliver, c);
    if (c->source == GW_NO_SOURCE) {
        free(c);
        return gw_fail(err, GW_ERR_LIMIT, cfg->source, "too many devices have events");
    }
    *out = c;
    return GW_OK;
}

void dev_console_start(struct dev_console *c)
{
    if (c->cfg.in_fd >= 0)
        dev_io_submit(c->cfg.io, &c->in_job);
}

void dev_console_free(struct dev_console *c)
{
    if (!c)
        return;
    gw_events_withdraw(c->cfg.events, c->source);
    free(c);
}

const struct dev_serial *dev_console_serial(struct dev_console *c)
{
    return &c->serial;
}
