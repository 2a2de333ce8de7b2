/* Network back ends by descriptor. */
#include <errno.h>
#include <fcntl.h>
#include <linux/if.h>
#include <linux/if_tun.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "devices/host/net_fd.h"
#include "devices/host/net_queue.h"

enum { LENGTH_BYTES = 4, READS_AT_A_TIME = 64 };

struct fd_net {
    struct gw_net_backend b;
    struct gw_net_port port;
    struct dev_io *io;
    struct net_queue out;
    struct dev_io_job flush, resume, shut;
    bool flush_queued, resume_queued; /* atomic */
    /* I/O thread alone, once it runs. */
    struct dev_io_watch watch;
    int listen_fd;                                        /* -1: connected */
    char path[sizeof((struct sockaddr_un *)0)->sun_path]; /* where it listens */
    bool stream, dead;
    uint8_t mac[6];
    bool has_mac, told; /* it is known; and that somebody else has it */
    bool held;          /* in_size bytes are a whole frame that the port refused */
    bool want_out;      /* the descriptor takes no more for now */
    size_t in_size;     /* bytes of the next frame that are here, with its length if a stream */
    struct net_frame *sending;
    size_t sent; /* of the first of those, with its length if a stream */
    uint8_t in[LENGTH_BYTES + GW_NET_FRAME_MAX];
};

static struct fd_net *fd_net(struct gw_net_backend *b)
{
    return (struct fd_net *)(void *)b;
}

static void watch_again(struct fd_net *n)
{
    uint32_t events = (n->held ? 0 : EPOLLIN) | (n->want_out ? EPOLLOUT : 0);
    if (!n->dead)
        dev_io_rewatch(n->io, &n->watch, events);
}

static void die(struct fd_net *n, const char *why)
{
    if (n->dead)
        return;
    dev_io_rewatch(n->io, &n->watch, 0);
    n->dead = true;
    net_frames_free(n->sending);
    n->sending = NULL;
    n->port.link(n->port.context, false, why);
}

/* ---- to the guest --------------------------------------------------------------------------- */

/* Bytes wanted until the frame in `in` is whole; 0: it is. SIZE_MAX: no frame is that large. */
static size_t missing(const struct fd_net *n)
{
    size_t length;
    if (n->in_size < LENGTH_BYTES)
        return LENGTH_BYTES - n->in_size;
    length = (size_t)n->in[0] << 24 | (size_t)n->in[1] << 16 | (size_t)n->in[2] << 8 | n->in[3];
    if (length > GW_NET_FRAME_MAX)
        return SIZE_MAX;
    return LENGTH_BYTES + length - n->in_size;
}

/* The frame in `in` comes from the guest's own address. */
static void look_for_twin(struct fd_net *n, const uint8_t *frame)
{
    char why[96];
    if (!n->has_mac || n->told || memcmp(frame + 6, n->mac, sizeof n->mac) != 0)
        return;
    n->told = true;
    snprintf(why, sizeof why,
             "another machine has this one's address, %02x:%02x:%02x:%02x:%02x:%02x", n->mac[0],
             n->mac[1], n->mac[2], n->mac[3], n->mac[4], n->mac[5]);
    if (n->stream)
        die(n, why);
    else
        n->port.link(n->port.context, true, why);
}

/* Gives the frame in `in` to the port. False: it has to wait. */
static bool hand_over(struct fd_net *n)
{
    size_t skip = n->stream ? LENGTH_BYTES : 0;
    if (n->in_size >= skip + GW_NET_FRAME_MIN)
        look_for_twin(n, n->in + skip);
    if (n->dead)
        return false;
    n->held = !n->port.receive(n->port.context, n->in + skip, n->in_size - skip);
    if (!n->held)
        n->in_size = 0;
    return !n->held;
}

/* One read. False: nothing more for now. */
static bool read_some(struct fd_net *n)
{
    size_t want = n->stream ? missing(n) : sizeof n->in;
    ssize_t got;
    if (want == SIZE_MAX) {
        die(n, "the peer of the network socket sends what is no frame");
        return false;
    }
    got = want ? read(n->watch.fd, n->in + n->in_size, want) : 0;
    if (want && got < 0) {
        if (errno != EAGAIN && errno != EINTR)
            die(n, n->stream ? "the network socket failed" : "the network device is gone");
        return errno == EINTR;
    }
    if (want && got == 0) {
        die(n, "the network peer has hung up");
        return false;
    }
    n->in_size += (size_t)got;
    if (n->stream && missing(n) != 0)
        return true;
    return hand_over(n);
}

/* ---- to the host ---------------------------------------------------------------------------- */

static ssize_t write_rest(struct fd_net *n)
{
    struct net_frame *f = n->sending;
    size_t length = f->size_bytes;
    uint8_t head[LENGTH_BYTES] = {(uint8_t)(length >> 24), (uint8_t)(length >> 16),
                                  (uint8_t)(length >> 8), (uint8_t)length};
    struct iovec iov[2];
    unsigned count = 0;
    size_t skip = n->sent;
    if (!n->stream)
        return write(n->watch.fd, f->bytes, length);
    if (skip < LENGTH_BYTES) {
        iov[count++] = (struct iovec){.iov_base = head + skip, .iov_len = LENGTH_BYTES - skip};
        skip = LENGTH_BYTES;
    }
    iov[count++] = (struct iovec){.iov_base = f->bytes + skip - LENGTH_BYTES,
                                  .iov_len = length + LENGTH_BYTES - skip};
    struct msghdr m = {.msg_iov = iov, .msg_iovlen = count};
    return sendmsg(n->watch.fd, &m, MSG_NOSIGNAL);
}

static void send_frames(struct fd_net *n)
{
    bool refused = false;
    n->want_out = false;
    while (!n->dead && n->listen_fd < 0) {
        ssize_t put;
        if (!n->sending) {
            n->sending = net_queue_take(&n->out, &refused);
            n->sent = 0;
            if (refused)
                n->port.writable(n->port.context);
            if (!n->sending)
                break;
        }
        put = write_rest(n);
        if (put < 0 && errno == EAGAIN) {
            n->want_out = true;
            break;
        }
        if (put < 0 && errno != EINTR && (n->stream || errno == EBADF || errno == EBADFD)) {
            die(n, "the network device is gone");
            break;
        }
        if (put < 0 && errno == EINTR)
            continue;
        /* A tap refuses frames while it is down: they are lost, as on a wire. */
        n->sent += put > 0 ? (size_t)put : 0;
        if (!n->stream || n->sent == n->sending->size_bytes + LENGTH_BYTES) {
            struct net_frame *f = n->sending;
            n->sending = f->next;
            n->sent = 0;
            free(f);
        }
    }
    watch_again(n);
}

/* ---- the I/O thread's calls ----------------------------------------------------------------- */

static void accept_peer(struct fd_net *n)
{
    int fd = accept4(n->listen_fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
    if (fd < 0)
        return;
    dev_io_rewatch(n->io, &n->watch, 0);
    close(n->listen_fd);
    unlink(n->path); /* nobody else is to come; in a sandbox it stays until the run's end */
    n->listen_fd = -1;
    n->watch.fd = fd;
    n->port.link(n->port.context, true, NULL);
    send_frames(n);
}

static void ready(void *context, uint32_t events)
{
    struct fd_net *n = context;
    if (n->dead)
        return;
    if (n->listen_fd >= 0) {
        accept_peer(n);
        return;
    }
    for (unsigned i = 0; i < READS_AT_A_TIME && !n->held && !n->dead; i++)
        if (!read_some(n))
            break;
    if (n->want_out && (events & EPOLLOUT))
        send_frames(n);
    else if (n->held)
        watch_again(n);
}

static void flush_job(struct dev_io_job *job)
{
    struct fd_net *n = (struct fd_net *)(void *)((char *)job - offsetof(struct fd_net, flush));
    __atomic_store_n(&n->flush_queued, false, __ATOMIC_SEQ_CST);
    if (!n->want_out)
        send_frames(n);
}

static void resume_job(struct dev_io_job *job)
{
    struct fd_net *n = (struct fd_net *)(void *)((char *)job - offsetof(struct fd_net, resume));
    __atomic_store_n(&n->resume_queued, false, __ATOMIC_SEQ_CST);
    if (n->held && !n->dead && hand_over(n))
        watch_again(n);
}

static void shut_job(struct dev_io_job *job)
{
    struct fd_net *n = (struct fd_net *)(void *)((char *)job - offsetof(struct fd_net, shut));
    if (!n->dead)
        dev_io_rewatch(n->io, &n->watch, 0);
    n->dead = true;
}

/* ---- the vCPU's calls ----------------------------------------------------------------------- */

static bool fd_send(struct gw_net_backend *b, const struct iovec *iov, unsigned count)
{
    struct fd_net *n = fd_net(b);
    bool first;
    if (!net_queue_put(&n->out, iov, count, &first))
        return false;
    if (first && !__atomic_exchange_n(&n->flush_queued, true, __ATOMIC_SEQ_CST))
        dev_io_submit(n->io, &n->flush);
    return true;
}

static void fd_resume(struct gw_net_backend *b)
{
    struct fd_net *n = fd_net(b);
    if (!__atomic_exchange_n(&n->resume_queued, true, __ATOMIC_SEQ_CST))
        dev_io_submit(n->io, &n->resume);
}

static void fd_close(struct gw_net_backend *b)
{
    struct fd_net *n = fd_net(b);
    n->shut.run = shut_job;
    dev_io_submit(n->io, &n->shut);
    dev_io_drain(n->io);
    if (n->listen_fd >= 0)
        unlink(n->path);
    close(n->watch.fd);
    net_frames_free(n->sending);
    net_queue_destroy(&n->out);
    free(n);
}

static const struct gw_net_backend_ops fd_ops = {
    .name = "fd", .send = fd_send, .resume = fd_resume, .close = fd_close};

/* address: NULL: not known. */
static enum gw_status start(struct gw_net_backend **out, struct dev_io *io,
                            const struct gw_net_port *port, int fd, bool stream,
                            const char *listening, const struct dev_net_address *address,
                            struct gw_error *err)
{
    struct fd_net *n = calloc(1, sizeof *n);
    *out = NULL;
    if (!n) {
        close(fd);
        return gw_fail(err, GW_ERR_NOMEM, "", "no memory for the network");
    }
    fcntl(fd, F_SETFL, fcntl(fd, F_GETFL) | O_NONBLOCK);
    n->b = (struct gw_net_backend){.ops = &fd_ops, .mtu = 1500};
    n->port = *port;
    n->io = io;
    n->stream = stream;
    n->has_mac = address != NULL;
    if (address)
        memcpy(n->mac, address->mac, sizeof n->mac);
    n->listen_fd = listening ? fd : -1;
    if (listening)
        snprintf(n->path, sizeof n->path, "%s", listening);
    n->flush.run = flush_job;
    n->resume.run = resume_job;
    n->watch = (struct dev_io_watch){.fd = fd, .ready = ready, .context = n};
    net_queue_init(&n->out);
    if (dev_io_watch(io, &n->watch, EPOLLIN) != GW_OK) {
        net_queue_destroy(&n->out);
        close(fd);
        free(n);
        return gw_fail(err, GW_ERR_IO, "--net", "cannot watch the network's descriptor");
    }
    *out = &n->b;
    return GW_OK;
}

enum gw_status dev_net_frames(struct gw_net_backend **out, struct dev_io *io,
                              const struct gw_net_port *port, int fd, struct gw_error *err)
{
    return start(out, io, port, fd, false, NULL, NULL, err);
}

enum gw_status dev_net_tap(struct gw_net_backend **out, struct dev_io *io,
                           const struct gw_net_port *port, const char *name,
                           const struct dev_net_address *address, struct gw_error *err)
{
    struct ifreq r = {.ifr_flags = IFF_TAP | IFF_NO_PI};
    int fd = open("/dev/net/tun", O_RDWR | O_CLOEXEC | O_NONBLOCK);
    *out = NULL;
    if (fd < 0)
        return gw_fail(err, GW_ERR_IO, "/dev/net/tun", "cannot open the tap device: %s",
                       strerror(errno));
    if (strlen(name) >= sizeof r.ifr_name) {
        close(fd);
        return gw_fail(err, GW_ERR_ARG, name, "cannot open the tap device: its name is too long");
    }
    memcpy(r.ifr_name, name, strlen(name) + 1);
    if (ioctl(fd, TUNSETIFF, &r) < 0) {
        int e = errno;
        close(fd);
        gw_fail(err, GW_ERR_IO, name, "cannot open the tap device: %s", strerror(e));
        if (err && e == EPERM)
            snprintf(err->hint, sizeof err->hint, "sudo ip tuntap add %.15s mode tap user $USER",
                     name);
        return GW_ERR_IO;
    }
    return start(out, io, port, fd, false, NULL, address, err);
}

/* A socket's file whose listener is gone, or has taken its one peer, is as good as none. */
static bool is_stale(const char *path, int error)
{
    struct stat sb;
    return error == ECONNREFUSED && lstat(path, &sb) == 0 && S_ISSOCK(sb.st_mode) &&
           unlink(path) == 0;
}

enum gw_status dev_net_socket(struct gw_net_backend **out, struct dev_io *io,
                              const struct gw_net_port *port, const char *path,
                              struct dev_net_address *address, struct gw_error *err)
{
    struct sockaddr_un a = {.sun_family = AF_UNIX};
    bool listening = false;
    int fd;
    *out = NULL;
    if (strlen(path) >= sizeof a.sun_path)
        return gw_fail(err, GW_ERR_ARG, path, "cannot open the socket: its name is too long");
    memcpy(a.sun_path, path, strlen(path) + 1);
    fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return gw_fail(err, GW_ERR_IO, path, "cannot open the socket: %s", strerror(errno));
    if (connect(fd, (struct sockaddr *)(void *)&a, sizeof a) < 0) {
        int e = errno;
        if (is_stale(path, e))
            e = ENOENT;
        listening = e == ENOENT && bind(fd, (struct sockaddr *)(void *)&a, sizeof a) == 0 &&
                    listen(fd, 1) == 0;
        if (!listening) {
            if (e == ENOENT)
                e = errno;
            close(fd);
            return gw_fail(err, GW_ERR_IO, path, "cannot connect to the socket: %s", strerror(e));
        }
    }
    if (!listening && !address->chosen)
        address->mac[5] |= 1;
    return start(out, io, port, fd, true, listening ? path : NULL, address, err);
}
