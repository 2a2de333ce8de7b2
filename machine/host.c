/* Signals and the timeout, by descriptors that the I/O thread watches. */
#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/ioctl.h>
#include <sys/signalfd.h>
#include <sys/timerfd.h>
#include <unistd.h>

#include "godwit/little.h"
#include "machine/host.h"

struct host {
    sigset_t old;
    struct sigaction old_pipe, old_size;
    int signal_fd, timer_fd;
    struct dev_io_watch signal_watch, timer_watch;
    struct dev_io *io;
    struct gw_events *events;
    uint16_t source;
    struct host_hooks hooks;
};

static void deliver(void *context, const struct gw_event *ev)
{
    const struct host *h = context;
    const uint8_t *b = ev->bytes;
    if (ev->kind == HOST_SIGNAL && ev->size_bytes == 4)
        h->hooks.signal(h->hooks.context, (int)gw_little(b, 4));
    else if (ev->kind == HOST_TIMEOUT)
        h->hooks.timeout(h->hooks.context);
    else if (ev->kind == HOST_RESIZE && ev->size_bytes == 4)
        h->hooks.resize(h->hooks.context, (uint16_t)gw_little(b, 2), (uint16_t)gw_little(b + 2, 2));
}

/* ---- I/O thread ----------------------------------------------------------------------------- */

static void post(struct host *h, enum host_event kind, const uint8_t *bytes, uint32_t size)
{
    struct gw_event ev = {
        .source = h->source, .kind = (uint16_t)kind, .size_bytes = size, .bytes = bytes};
    gw_events_post_bounded(h->events, &ev);
}

bool host_terminal_size(uint16_t *columns, uint16_t *rows)
{
    struct winsize size;
    if (ioctl(STDIN_FILENO, TIOCGWINSZ, &size) < 0)
        return false;
    *columns = size.ws_col;
    *rows = size.ws_row;
    return true;
}

static void report_size(struct host *h)
{
    uint16_t columns, rows;
    uint8_t bytes[4];
    if (!host_terminal_size(&columns, &rows))
        return;
    gw_put_little(bytes, columns, 2);
    gw_put_little(bytes + 2, rows, 2);
    post(h, HOST_RESIZE, bytes, sizeof bytes);
}

static void signal_ready(void *context, uint32_t events)
{
    struct host *h = context;
    struct signalfd_siginfo info;
    uint8_t number[4];
    if (read(h->signal_fd, &info, sizeof info) != (ssize_t)sizeof info)
        return;
    if (info.ssi_signo == SIGWINCH) {
        report_size(h);
        return;
    }
    gw_put_little(number, info.ssi_signo, sizeof number);
    post(h, HOST_SIGNAL, number, sizeof number);
}

static void timer_ready(void *context, uint32_t events)
{
    struct host *h = context;
    uint64_t count;
    if (read(h->timer_fd, &count, sizeof count) == (ssize_t)sizeof count)
        post(h, HOST_TIMEOUT, NULL, 0);
}

/* ---- life ----------------------------------------------------------------------------------- */

enum gw_status host_new(struct host **out, struct gw_error *err)
{
    struct host *h = calloc(1, sizeof *h);
    const struct sigaction ignore = {.sa_handler = SIG_IGN};
    sigset_t set;
    *out = NULL;
    if (!h)
        return gw_fail(err, GW_ERR_NOMEM, "", "no memory for a machine");
    sigemptyset(&set);
    sigaddset(&set, SIGTERM);
    sigaddset(&set, SIGHUP);
    sigaddset(&set, SIGINT);
    sigaddset(&set, SIGQUIT);
    sigaddset(&set, SIGWINCH);
    sigprocmask(SIG_BLOCK, &set, &h->old);
    /* A reader that is gone, a file at its limit: calls that fail say so. */
    sigaction(SIGPIPE, &ignore, &h->old_pipe);
    sigaction(SIGXFSZ, &ignore, &h->old_size);
    h->timer_fd = -1;
    h->signal_fd = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
    *out = h;
    return GW_OK;
}

enum gw_status host_start(struct host *h, struct dev_io *io, struct gw_events *events,
                          const struct host_hooks *hooks, uint64_t timeout_ns, struct gw_error *err)
{
    struct itimerspec when = {.it_value = {.tv_sec = (time_t)(timeout_ns / 1000000000u),
                                           .tv_nsec = (long)(timeout_ns % 1000000000u)}};
    h->io = io;
    h->events = events;
    h->hooks = *hooks;
    h->source = gw_events_register(events, "host", deliver, h);
    if (h->source == GW_NO_SOURCE)
        return gw_fail(err, GW_ERR_LIMIT, "host", "too many devices have events");
    h->signal_watch =
        (struct dev_io_watch){.fd = h->signal_fd, .ready = signal_ready, .context = h};
    if (h->signal_fd < 0 || dev_io_watch(io, &h->signal_watch, EPOLLIN) != GW_OK)
        return gw_fail(err, GW_ERR_IO, "", "cannot watch for signals: %s", strerror(errno));
    if (!timeout_ns)
        return GW_OK;
    h->timer_fd = timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC);
    h->timer_watch = (struct dev_io_watch){.fd = h->timer_fd, .ready = timer_ready, .context = h};
    if (h->timer_fd < 0 || timerfd_settime(h->timer_fd, 0, &when, NULL) < 0 ||
        dev_io_watch(io, &h->timer_watch, EPOLLIN) != GW_OK)
        return gw_fail(err, GW_ERR_IO, "--timeout", "cannot start a timer: %s", strerror(errno));
    return GW_OK;
}

void host_free(struct host *h)
{
    if (!h)
        return;
    if (h->signal_fd >= 0)
        close(h->signal_fd);
    if (h->timer_fd >= 0)
        close(h->timer_fd);
    sigprocmask(SIG_SETMASK, &h->old, NULL);
    sigaction(SIGPIPE, &h->old_pipe, NULL);
    sigaction(SIGXFSZ, &h->old_size, NULL);
    free(h);
}
