/*
 * User networking by libslirp: the module godwit-net.so. The library is not thread-safe and all of
 * it runs on one thread of its own; the vCPU's frames come through a queue.
 *
 * Each flow of the guest's is a socket. So that a guest cannot use up the descriptors by which its
 * machine is steered, the thread has a table of its own, which holds as many as the process's limit
 * says; what exceeds that the library refuses to the guest. Where the host lets no thread have its own,
 * flows are counted instead, and beyond SHARED_FLOWS nothing that opens one gets through.
 *
 * The guest is 10.0.2.15 (by DHCP), the host 10.0.2.2, the name server 10.0.2.3; IPv6 is fec0::/64.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <semaphore.h>
#include <signal.h>
#include <slirp/libslirp.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <time.h>
#include <unistd.h>

#include "godwit/net.h"
#include "devices/host/net_filter.h"
#include "devices/host/net_queue.h"

enum { TIMERS_MAX = 4, SHARED_FLOWS = 512 };

/* Frames larger than Ethernet's spare the guest most of its work per packet, and nobody else sees
 * them. But windows are 64 KiB, since the library does not scale them: they should hold several. */
#define MTU 9000u
/* Frames that the device has no room for yet. While there are any, the host's sockets are not read;
 * what the guest's own frames bring about is bounded by this. */
#define WAITING_MAX (4u << 20)

struct timer {
    bool used;
    int64_t expire_ms; /* INT64_MAX: not armed */
    SlirpTimerId id;
    void *opaque;
};

struct user_net {
    struct gw_net_backend b;
    struct gw_net_port port;
    struct gw_net_thread hooks;
    bool no_host;
    Slirp *slirp;
    pthread_t thread;
    bool started;
    sem_t ready; /* the thread has looked after its descriptors */
    bool shares; /* them with others */
    int wake_fd;
    bool stop; /* atomic */
    struct net_queue from_guest;
    /* The thread's own. */
    struct net_frame *waiting, **waiting_tail;
    size_t waiting_bytes;
    struct timer timer[TIMERS_MAX];
    struct pollfd *fds;
    unsigned fd_count, fd_room;
    unsigned flows; /* sockets of the library's */
};

static struct user_net *user_net(struct gw_net_backend *b)
{
    return (struct user_net *)(void *)b;
}

static int64_t now_ns(void)
{
    struct timespec ts;
    clock_gettime(CLOCK_MONOTONIC, &ts);
    return (int64_t)ts.tv_sec * 1000000000 + ts.tv_nsec;
}

/* ---- what the library asks of us; our thread, or the opener's before that starts -------------- */

static ssize_t send_packet(const void *frame, size_t size, void *opaque)
{
    struct user_net *n = opaque;
    struct net_frame *f;
    if (!n->waiting && n->port.receive(n->port.context, frame, size))
        return (ssize_t)size;
    f = n->waiting_bytes + size <= WAITING_MAX ? malloc(sizeof *f + size) : NULL;
    if (!f)
        return (ssize_t)size; /* lost */
    f->next = NULL;
    f->size_bytes = size;
    memcpy(f->bytes, frame, size);
    *n->waiting_tail = f;
    n->waiting_tail = &f->next;
    n->waiting_bytes += size;
    return (ssize_t)size;
}

static void guest_error(const char *msg, void *opaque)
{
}

static int64_t clock_get_ns(void *opaque)
{
    return now_ns();
}

static void *timer_new(SlirpTimerId id, void *cb_opaque, void *opaque)
{
    struct user_net *n = opaque;
    for (unsigned i = 0; i < TIMERS_MAX; i++) {
        struct timer *t = &n->timer[i];
        if (!t->used) {
            *t =
                (struct timer){.used = true, .expire_ms = INT64_MAX, .id = id, .opaque = cb_opaque};
            return t;
        }
    }
    return NULL;
}

static void timer_free(void *timer, void *opaque)
{
    if (timer)
        ((struct timer *)timer)->used = false;
}

static void timer_mod(void *timer, int64_t expire_ms, void *opaque)
{
    if (timer)
        ((struct timer *)timer)->expire_ms = expire_ms;
}

static void flow_opened(int fd, void *opaque)
{
    ((struct user_net *)opaque)->flows++;
}

static void flow_closed(int fd, void *opaque)
{
    ((struct user_net *)opaque)->flows--;
}

static void notify(void *opaque)
{
    /* All calls into the library are our thread's, which looks again anyway. */
}

static const SlirpCb callbacks = {
    .send_packet = send_packet,
    .guest_error = guest_error,
    .clock_get_ns = clock_get_ns,
    .timer_free = timer_free,
    .timer_mod = timer_mod,
    .register_poll_fd = flow_opened,
    .unregister_poll_fd = flow_closed,
    .notify = notify,
    .timer_new_opaque = timer_new,
};

/* ---- the thread ----------------------------------------------------------------------------- */

static int add_poll(int fd, int events, void *opaque)
{
    struct user_net *n = opaque;
    short e =
        (short)((events & SLIRP_POLL_IN ? POLLIN : 0) | (events & SLIRP_POLL_OUT ? POLLOUT : 0) |
                (events & SLIRP_POLL_PRI ? POLLPRI : 0));
    if (n->fd_count == n->fd_room) {
        unsigned room = n->fd_room ? 2 * n->fd_room : 64;
        struct pollfd *bigger = realloc(n->fds, room * sizeof *bigger);
        if (!bigger)
            return -1;
        n->fds = bigger;
        n->fd_room = room;
    }
    n->fds[n->fd_count] = (struct pollfd){.fd = fd, .events = e};
    return (int)n->fd_count++;
}

static int get_revents(int i, void *opaque)
{
    struct user_net *n = opaque;
    short e = i >= 0 && (unsigned)i < n->fd_count ? n->fds[i].revents : 0;
    return (e & POLLIN ? SLIRP_POLL_IN : 0) | (e & POLLOUT ? SLIRP_POLL_OUT : 0) |
           (e & POLLPRI ? SLIRP_POLL_PRI : 0) | (e & POLLERR ? SLIRP_POLL_ERR : 0) |
           (e & POLLHUP ? SLIRP_POLL_HUP : 0);
}

static bool gets_through(const struct user_net *n, const struct net_frame *f)
{
    if (n->no_host && net_is_for_loopback(f->bytes, f->size_bytes))
        return false;
    return !n->shares || n->flows < SHARED_FLOWS || !net_opens_flow(f->bytes, f->size_bytes);
}

static void take_from_guest(struct user_net *n)
{
    bool refused;
    struct net_frame *f = net_queue_take(&n->from_guest, &refused);
    if (refused)
        n->port.writable(n->port.context);
    while (f) {
        struct net_frame *next = f->next;
        if (gets_through(n, f))
            slirp_input(n->slirp, f->bytes, (int)f->size_bytes);
        free(f);
        f = next;
    }
}

static void give_waiting(struct user_net *n)
{
    while (n->waiting) {
        struct net_frame *f = n->waiting;
        if (!n->port.receive(n->port.context, f->bytes, f->size_bytes))
            return;
        n->waiting = f->next;
        n->waiting_bytes -= f->size_bytes;
        if (!n->waiting)
            n->waiting_tail = &n->waiting;
        free(f);
    }
}

static void fire_timers(struct user_net *n)
{
    int64_t now_ms = now_ns() / 1000000;
    for (unsigned i = 0; i < TIMERS_MAX; i++) {
        struct timer *t = &n->timer[i];
        if (t->used && t->expire_ms <= now_ms) {
            t->expire_ms = INT64_MAX;
            slirp_handle_timer(n->slirp, t->id, t->opaque);
        }
    }
}

static void limit_by_timers(struct user_net *n, uint32_t *timeout_ms)
{
    int64_t now_ms = now_ns() / 1000000;
    for (unsigned i = 0; i < TIMERS_MAX; i++) {
        const struct timer *t = &n->timer[i];
        int64_t left = t->expire_ms - now_ms;
        if (t->used && t->expire_ms != INT64_MAX && left < *timeout_ms)
            *timeout_ms = left > 0 ? (uint32_t)left : 0;
    }
}

static void wait_and_serve(struct user_net *n)
{
    uint32_t timeout_ms = UINT32_MAX;
    bool sockets = !n->waiting;
    int got;
    n->fd_count = 0;
    add_poll(n->wake_fd, SLIRP_POLL_IN, n);
    if (sockets)
        slirp_pollfds_fill(n->slirp, &timeout_ms, add_poll, n);
    limit_by_timers(n, &timeout_ms);
    got = poll(n->fds, n->fd_count, timeout_ms > INT32_MAX ? -1 : (int)timeout_ms);
    if (n->fds[0].revents & POLLIN) {
        uint64_t count;
        while (read(n->wake_fd, &count, sizeof count) < 0 && errno == EINTR)
            ;
    }
    if (sockets)
        slirp_pollfds_poll(n->slirp, got < 0, get_revents, n);
    fire_timers(n);
}

/* Those that the library has, for published ports, and our own; they are in fds then. */
static void list_descriptors(struct user_net *n)
{
    uint32_t timeout_ms = 0;
    n->fd_count = 0;
    add_poll(n->wake_fd, SLIRP_POLL_IN, n);
    slirp_pollfds_fill(n->slirp, &timeout_ms, add_poll, n);
}

static void own_files(struct user_net *n)
{
    int *keep = calloc(n->fd_count, sizeof *keep);
    for (unsigned i = 0; keep && i < n->fd_count; i++)
        keep[i] = n->fds[i].fd;
    n->shares =
        !keep || !n->hooks.own_files || !n->hooks.own_files(n->hooks.context, keep, n->fd_count);
    free(keep);
    sem_post(&n->ready);
}

/* The library's descriptors mean something to this thread alone. */
static void *end_library(struct user_net *n)
{
    slirp_cleanup(n->slirp);
    n->slirp = NULL;
    return NULL;
}

static void *user_net_main(void *context)
{
    struct user_net *n = context;
    own_files(n);
    if (n->hooks.enter && !n->hooks.enter(n->hooks.context)) {
        n->port.link(n->port.context, false, "its thread cannot be locked in");
        return end_library(n);
    }
    while (!__atomic_load_n(&n->stop, __ATOMIC_ACQUIRE)) {
        give_waiting(n);
        take_from_guest(n);
        wait_and_serve(n);
    }
    return end_library(n);
}

/* ---- the vCPU's calls ----------------------------------------------------------------------- */

static void wake(struct user_net *n)
{
    uint64_t one = 1;
    while (write(n->wake_fd, &one, sizeof one) < 0 && errno == EINTR)
        ;
}

static bool user_send(struct gw_net_backend *b, const struct iovec *iov, unsigned count)
{
    struct user_net *n = user_net(b);
    bool first;
    if (!net_queue_put(&n->from_guest, iov, count, &first))
        return false;
    if (first)
        wake(n);
    return true;
}

static void user_resume(struct gw_net_backend *b)
{
    wake(user_net(b));
}

static void free_net(struct user_net *n)
{
    if (n->slirp) /* it was never started */
        slirp_cleanup(n->slirp);
    if (n->wake_fd >= 0)
        close(n->wake_fd);
    net_frames_free(n->waiting);
    net_queue_destroy(&n->from_guest);
    sem_destroy(&n->ready);
    free(n->fds);
    free(n);
}

static void user_close(struct gw_net_backend *b)
{
    struct user_net *n = user_net(b);
    __atomic_store_n(&n->stop, true, __ATOMIC_RELEASE);
    wake(n);
    if (n->started)
        pthread_join(n->thread, NULL);
    free_net(n);
}

/* ---- opening -------------------------------------------------------------------------------- */

static struct in_addr ipv4(const char *text)
{
    struct in_addr a = {0};
    inet_pton(AF_INET, text, &a);
    return a;
}

static void start_slirp(struct user_net *n, const struct gw_net_user *cfg)
{
    SlirpConfig c = {
        .version = 4,
        .restricted = cfg->restricted,
        .disable_host_loopback = cfg->no_host,
        .in_enabled = true,
        .vnetwork = ipv4("10.0.2.0"),
        .vnetmask = ipv4("255.255.255.0"),
        .vhost = ipv4("10.0.2.2"),
        .vdhcp_start = ipv4("10.0.2.15"),
        .vnameserver = ipv4("10.0.2.3"),
        .in6_enabled = true,
        .vprefix_len = 64,
        .vhostname = "godwit",
        .if_mtu = MTU,
        .if_mru = MTU,
    };
    inet_pton(AF_INET6, "fec0::", &c.vprefix_addr6);
    inet_pton(AF_INET6, "fec0::2", &c.vhost6);
    inet_pton(AF_INET6, "fec0::3", &c.vnameserver6);
    n->slirp = slirp_new(&c, &callbacks, n);
}

static enum gw_status publish_port(struct user_net *n, const struct publish_spec *p,
                                   struct gw_error *err)
{
    const char *address = p->address ? p->address : "127.0.0.1";
    struct in_addr host, guest = ipv4("10.0.2.15");
    char what[64];
    snprintf(what, sizeof what, "%.40s:%u", address, (unsigned)p->host);
    if (inet_pton(AF_INET, address, &host) != 1)
        return gw_fail(err, GW_ERR_ARG, what, "cannot publish the port: not an IPv4 address");
    errno = 0;
    if (slirp_add_hostfwd(n->slirp, p->protocol == SPEC_UDP, host, (int)p->host, guest,
                          (int)p->guest) < 0)
        return gw_fail(err, GW_ERR_IO, what, "cannot publish the port: %s",
                       errno ? strerror(errno) : "refused");
    return GW_OK;
}

/* The thread has all signals blocked: those of the process are for others, and writing to a socket
 * whose peer has gone is no reason to end. */
static int start_thread(struct user_net *n)
{
    sigset_t all, old;
    int e;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &old);
    e = pthread_create(&n->thread, NULL, user_net_main, n);
    pthread_sigmask(SIG_SETMASK, &old, NULL);
    return e;
}

/* The library's sockets are the thread's from now on: here they would keep ports taken. */
static enum gw_status user_start(struct gw_net_backend *b, struct gw_error *err)
{
    struct user_net *n = user_net(b);
    unsigned count;
    int *theirs;
    list_descriptors(n);
    count = n->fd_count;
    theirs = calloc(count, sizeof *theirs);
    for (unsigned i = 0; theirs && i < count; i++)
        theirs[i] = n->fds[i].fd;
    n->started = theirs && start_thread(n) == 0;
    while (n->started && sem_wait(&n->ready) < 0 && errno == EINTR)
        ;
    for (unsigned i = 0; n->started && !n->shares && i < count; i++)
        if (theirs[i] != n->wake_fd)
            close(theirs[i]);
    free(theirs);
    return n->started ? GW_OK
                      : gw_fail(err, GW_ERR_NOMEM, "--net", "cannot start the network's thread");
}

static const struct gw_net_backend_ops user_ops = {.name = "user",
                                                   .start = user_start,
                                                   .send = user_send,
                                                   .resume = user_resume,
                                                   .close = user_close};

static enum gw_status open_user(struct gw_net_backend **out, const struct gw_net_port *port,
                                const struct gw_net_thread *thread, const struct gw_net_user *cfg,
                                struct gw_error *err)
{
    struct user_net *n = calloc(1, sizeof *n);
    enum gw_status st = GW_OK;
    *out = NULL;
    if (!n)
        return gw_fail(err, GW_ERR_NOMEM, "", "no memory for the network");
    n->b =
        (struct gw_net_backend){.ops = &user_ops, .mtu = MTU, .checked = true, .large_sends = true};
    n->port = *port;
    if (thread)
        n->hooks = *thread;
    n->no_host = cfg->no_host;
    n->waiting_tail = &n->waiting;
    sem_init(&n->ready, 0, 0);
    net_queue_init(&n->from_guest);
    n->wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (n->wake_fd >= 0)
        start_slirp(n, cfg);
    if (!n->slirp)
        st = gw_fail(err, GW_ERR_IO, "--net", "cannot start the network: %s", strerror(errno));
    for (unsigned i = 0; st == GW_OK && i < cfg->publish_count; i++)
        st = publish_port(n, &cfg->publish[i], err);
    if (st != GW_OK) {
        free_net(n);
        return st;
    }
    *out = &n->b;
    return GW_OK;
}

__attribute__((visibility("default"))) const struct gw_net_module *godwit_net_module(void);

__attribute__((visibility("default"))) const struct gw_net_module *godwit_net_module(void)
{
    static const struct gw_net_module module = {.version = GW_NET_API, .open_user = open_user};
    return &module;
}
