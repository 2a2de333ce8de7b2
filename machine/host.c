/* Signals, the timeout and the end, on the control thread; see host.h. */
#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/ioctl.h>
#include <sys/signalfd.h>
#include <sys/timerfd.h>
#include <time.h>
#include <unistd.h>

#include "godwit/little.h"
#include "machine/host.h"

#define NS_PER_S UINT64_C(1000000000)
/* How long an end takes at most; one of a machine that never ran, or that was asked for again. */
#define END_NS   (5 * NS_PER_S)
#define HURRY_NS (1 * NS_PER_S)

struct host {
    sigset_t old;
    struct sigaction old_pipe, old_size;
    int signal_fd, timer_fd, cut_fd;
    struct dev_io_watch signal_watch, timer_watch, cut_watch;
    struct dev_io *io;
    struct host_hooks hooks;
    pthread_mutex_t lock; /* of all that follows; why and asked may be read without */
    struct gw_events *events;
    uint16_t source;
    uint32_t why; /* enum host_end */
    int signal;
    uint32_t asked;     /* how often */
    uint64_t cut_at_ns; /* host's clock; 0: never */
};

static uint64_t now_ns(void)
{
    struct timespec ts;
    clock_gettime(CLOCK_MONOTONIC, &ts);
    return (uint64_t)ts.tv_sec * NS_PER_S + (uint64_t)ts.tv_nsec;
}

static struct itimerspec in_ns(uint64_t ns)
{
    return (struct itimerspec){
        .it_value = {.tv_sec = (time_t)(ns / NS_PER_S), .tv_nsec = (long)(ns % NS_PER_S)}};
}

/* ---- events; under lock --------------------------------------------------------------------- */

static void post(struct host *h, enum host_event kind, const uint8_t *bytes, uint32_t size)
{
    struct gw_event ev = {
        .source = h->source, .kind = (uint16_t)kind, .size_bytes = size, .bytes = bytes};
    if (h->events)
        gw_events_post_bounded(h->events, &ev);
}

static void post_end(struct host *h)
{
    uint8_t number[4];
    gw_put_little(number, (uint64_t)h->signal, sizeof number);
    if (h->why == HOST_END_SIGNAL)
        post(h, HOST_SIGNAL, number, sizeof number);
    else if (h->why == HOST_END_TIMEOUT)
        post(h, HOST_TIMEOUT, NULL, 0);
}

/* vCPU thread. */
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

enum gw_status host_attach(struct host *h, struct gw_events *events, struct gw_error *err)
{
    uint16_t source = gw_events_register(events, "host", deliver, h);
    if (source == GW_NO_SOURCE)
        return gw_fail(err, GW_ERR_LIMIT, "host", "too many devices have events");
    pthread_mutex_lock(&h->lock);
    h->events = events;
    h->source = source;
    post_end(h);
    pthread_mutex_unlock(&h->lock);
    return GW_OK;
}

void host_detach(struct host *h)
{
    pthread_mutex_lock(&h->lock);
    h->events = NULL;
    pthread_mutex_unlock(&h->lock);
}

/* ---- the end -------------------------------------------------------------------------------- */

static void set_cut(struct host *h, uint64_t ns)
{
    struct itimerspec when = in_ns(ns);
    h->cut_at_ns = now_ns() + ns;
    timerfd_settime(h->cut_fd, 0, &when, NULL);
}

void host_ask_end(struct host *h, enum host_end why, int signal)
{
    pthread_mutex_lock(&h->lock);
    if (h->asked == 0) {
        h->signal = signal;
        __atomic_store_n(&h->why, why, __ATOMIC_RELAXED);
        post_end(h);
    }
    if (h->why != HOST_END_KILL)
        set_cut(h, h->asked || !h->events ? HURRY_NS : END_NS);
    __atomic_store_n(&h->asked, h->asked + 1, __ATOMIC_RELAXED);
    pthread_mutex_unlock(&h->lock);
}

/* By the timer, since who asks may hold what whoever is told of the end needs. */
void host_kill(struct host *h)
{
    pthread_mutex_lock(&h->lock);
    __atomic_store_n(&h->why, HOST_END_KILL, __ATOMIC_RELAXED);
    __atomic_store_n(&h->asked, 2, __ATOMIC_RELAXED); /* nobody is granted time any more */
    set_cut(h, 1);
    pthread_mutex_unlock(&h->lock);
}

bool host_end_asked(const struct host *h)
{
    return __atomic_load_n(&h->asked, __ATOMIC_RELAXED) > 0;
}

bool host_hurries(const struct host *h)
{
    return __atomic_load_n(&h->asked, __ATOMIC_RELAXED) > 1;
}

void host_allow(struct host *h, uint64_t ns)
{
    if (!host_end_asked(h) || host_hurries(h))
        return;
    pthread_mutex_lock(&h->lock);
    if (h->asked == 1)
        set_cut(h, ns);
    pthread_mutex_unlock(&h->lock);
}

static void cut_ready(void *context, uint32_t events)
{
    struct host *h = context;
    uint64_t count;
    bool over;
    pthread_mutex_lock(&h->lock);
    over = read(h->cut_fd, &count, sizeof count) > 0 && h->cut_at_ns && now_ns() >= h->cut_at_ns;
    pthread_mutex_unlock(&h->lock);
    if (over)
        h->hooks.cut(h->hooks.context, h->why, h->signal);
}

/* ---- what the thread hears ------------------------------------------------------------------ */

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
    pthread_mutex_lock(&h->lock);
    post(h, HOST_RESIZE, bytes, sizeof bytes);
    pthread_mutex_unlock(&h->lock);
}

static void signal_ready(void *context, uint32_t events)
{
    struct host *h = context;
    struct signalfd_siginfo info;
    if (read(h->signal_fd, &info, sizeof info) != (ssize_t)sizeof info)
        return;
    if (info.ssi_signo == SIGWINCH)
        report_size(h);
    else
        host_ask_end(h, HOST_END_SIGNAL, (int)info.ssi_signo);
}

static void timer_ready(void *context, uint32_t events)
{
    struct host *h = context;
    uint64_t count;
    if (read(h->timer_fd, &count, sizeof count) == (ssize_t)sizeof count && !host_end_asked(h))
        host_ask_end(h, HOST_END_TIMEOUT, 0);
}

/* ---- life ----------------------------------------------------------------------------------- */

static void take_signals(struct host *h)
{
    const struct sigaction ignore = {.sa_handler = SIG_IGN};
    sigset_t set;
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
    h->signal_fd = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
}

static enum gw_status start(struct host *h, uint64_t timeout_ns, struct gw_error *err)
{
    struct itimerspec when = in_ns(timeout_ns);
    enum gw_status st = dev_io_new(&h->io, err);
    if (st != GW_OK)
        return st;
    h->timer_fd = timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK);
    h->cut_fd = timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK);
    h->signal_watch =
        (struct dev_io_watch){.fd = h->signal_fd, .ready = signal_ready, .context = h};
    h->timer_watch = (struct dev_io_watch){.fd = h->timer_fd, .ready = timer_ready, .context = h};
    h->cut_watch = (struct dev_io_watch){.fd = h->cut_fd, .ready = cut_ready, .context = h};
    if (h->signal_fd < 0 || dev_io_watch(h->io, &h->signal_watch, EPOLLIN) != GW_OK)
        return gw_fail(err, GW_ERR_IO, "", "cannot watch for signals: %s", strerror(errno));
    if (h->timer_fd < 0 || h->cut_fd < 0 || timerfd_settime(h->timer_fd, 0, &when, NULL) < 0 ||
        dev_io_watch(h->io, &h->timer_watch, EPOLLIN) != GW_OK ||
        dev_io_watch(h->io, &h->cut_watch, EPOLLIN) != GW_OK)
        return gw_fail(err, GW_ERR_IO, "--timeout", "cannot start a timer: %s", strerror(errno));
    return GW_OK;
}

enum gw_status host_new(struct host **out, const struct host_hooks *hooks, uint64_t timeout_ns,
                        struct gw_error *err)
{
    struct host *h = calloc(1, sizeof *h);
    enum gw_status st;
    *out = NULL;
    if (!h)
        return gw_fail(err, GW_ERR_NOMEM, "", "no memory for a machine");
    h->hooks = *hooks;
    h->timer_fd = h->cut_fd = -1;
    pthread_mutex_init(&h->lock, NULL);
    take_signals(h);
    st = start(h, timeout_ns, err);
    if (st == GW_OK)
        *out = h;
    else
        host_free(h);
    return st;
}

struct dev_io *host_io(struct host *h)
{
    return h->io;
}

static void close_fd(int fd)
{
    if (fd >= 0)
        close(fd);
}

uint16_t host_source(const struct host *h)
{
    return h->source;
}

void host_free(struct host *h)
{
    if (!h)
        return;
    dev_io_free(h->io);
    close_fd(h->signal_fd);
    close_fd(h->timer_fd);
    close_fd(h->cut_fd);
    sigprocmask(SIG_SETMASK, &h->old, NULL);
    sigaction(SIGPIPE, &h->old_pipe, NULL);
    sigaction(SIGXFSZ, &h->old_size, NULL);
    pthread_mutex_destroy(&h->lock);
    free(h);
}
