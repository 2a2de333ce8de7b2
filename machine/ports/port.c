/* Serial ports on the host's side, and the relay to peers that come and go. */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pty.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <termios.h>
#include <unistd.h>

#include "machine/ports/port.h"

enum { RELAY_BYTES = 4096, NAME_BYTES = 128 };

/* Bytes on their way in one direction. */
struct pipe_buf {
    uint8_t bytes[RELAY_BYTES];
    size_t at, count;
};

struct port {
    struct spec_target what;
    int in_fd, out_fd;
    char name[NAME_BYTES]; /* of a pseudo-terminal */
    /* the relay; descriptors are -1 where there is none */
    int near_fd, peer_fd, listen_fd;
    bool bound; /* the socket's file is ours to remove */
    struct pipe_buf out, in;
    struct dev_io *io;
    struct dev_io_watch near_watch, peer_watch, listen_watch;
};

/* ---- the relay: I/O thread ------------------------------------------------------------------ */

static bool would_block(ssize_t n)
{
    return n < 0 && (errno == EAGAIN || errno == EINTR);
}

/* Somebody is there to read. A pseudo-terminal's other side is closed while it reports a hang-up. */
static bool listened_to(const struct port *p)
{
    struct pollfd poll_fd = {.fd = p->peer_fd, .events = POLLOUT};
    if (p->peer_fd < 0)
        return false;
    return p->what.kind != SPEC_PORT_PTY || poll(&poll_fd, 1, 0) < 0 ||
           !(poll_fd.revents & POLLHUP);
}

static void hang_up(struct port *p)
{
    if (p->what.kind == SPEC_PORT_PTY || p->peer_fd < 0)
        return;
    close(p->peer_fd); /* which also ends its watch */
    p->peer_fd = -1;
    p->out.count = p->in.count = 0;
}

/* Both return whether something moved. */
static bool move_out(struct port *p)
{
    ssize_t n;
    if (!p->out.count) {
        n = read(p->near_fd, p->out.bytes, RELAY_BYTES);
        if (n <= 0)
            return false;
        p->out.at = 0;
        p->out.count = (size_t)n;
    }
    if (!listened_to(p)) {
        p->out.count = 0;
        return true;
    }
    n = write(p->peer_fd, p->out.bytes + p->out.at, p->out.count);
    if (would_block(n))
        return false;
    if (n < 0) {
        hang_up(p);
        p->out.count = 0;
        return true;
    }
    p->out.at += (size_t)n;
    p->out.count -= (size_t)n;
    return true;
}

static bool move_in(struct port *p)
{
    ssize_t n;
    if (!p->in.count) {
        n = p->peer_fd < 0 ? -1 : read(p->peer_fd, p->in.bytes, RELAY_BYTES);
        if (n == 0 || (n < 0 && p->peer_fd >= 0 && !would_block(n)))
            hang_up(p);
        if (n <= 0)
            return false;
        p->in.at = 0;
        p->in.count = (size_t)n;
    }
    n = write(p->near_fd, p->in.bytes + p->in.at, p->in.count);
    if (n <= 0)
        return false;
    p->in.at += (size_t)n;
    p->in.count -= (size_t)n;
    return true;
}

/* Watches report changes only, so everything is moved that can be. */
static void pump(struct port *p)
{
    bool moved;
    do {
        moved = move_out(p);
        moved |= move_in(p);
    } while (moved);
}

static void relay_ready(void *context, uint32_t events)
{
    pump(context);
}

static void peer_came(void *context, uint32_t events)
{
    struct port *p = context;
    int fd = accept4(p->listen_fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
    if (fd < 0)
        return;
    if (p->peer_fd >= 0) { /* one at a time */
        close(fd);
        return;
    }
    p->peer_fd = fd;
    p->peer_watch = (struct dev_io_watch){.fd = fd, .ready = relay_ready, .context = p};
    if (dev_io_watch(p->io, &p->peer_watch, EPOLLIN | EPOLLOUT | EPOLLET) != GW_OK)
        hang_up(p);
    pump(p);
}

/* ---- life ----------------------------------------------------------------------------------- */

static enum gw_status failed(const char *object, const char *what, struct gw_error *err)
{
    return gw_fail(err, GW_ERR_IO, object, "cannot open the serial port's %s: %s", what,
                   strerror(errno));
}

static void open_stdio(struct port *p)
{
    p->in_fd = STDIN_FILENO;
    p->out_fd = STDOUT_FILENO;
    if (isatty(STDIN_FILENO) && tcgetpgrp(STDIN_FILENO) != getpgrp())
        p->in_fd = -1; /* in the background: reading would stop us */
}

static enum gw_status open_relay(struct port *p, struct gw_error *err)
{
    int pair[2];
    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, pair) < 0)
        return failed("", "relay", err);
    p->near_fd = pair[0];
    p->in_fd = pair[1];
    p->out_fd = fcntl(pair[1], F_DUPFD_CLOEXEC, 0); /* each is watched by itself */
    return p->out_fd < 0 ? failed("", "relay", err) : GW_OK;
}

static enum gw_status open_pty(struct port *p, struct gw_error *err)
{
    struct termios raw;
    int peer;
    memset(&raw, 0, sizeof raw);
    cfmakeraw(&raw);
    raw.c_cflag |= CREAD;
    if (openpty(&p->peer_fd, &peer, p->name, &raw, NULL) < 0) {
        p->peer_fd = -1;
        return failed("pty", "pseudo-terminal", err);
    }
    close(peer); /* from now on a hang-up says that nobody has it open */
    fcntl(p->peer_fd, F_SETFD, FD_CLOEXEC);
    fcntl(p->peer_fd, F_SETFL, O_RDWR | O_NONBLOCK);
    return open_relay(p, err);
}

/* A socket's file that nobody listens at any more is replaced. */
static void remove_stale(const struct sockaddr_un *at)
{
    struct stat sb;
    int fd;
    if (lstat(at->sun_path, &sb) < 0 || !S_ISSOCK(sb.st_mode))
        return;
    fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd >= 0 && connect(fd, (const struct sockaddr *)at, sizeof *at) < 0 &&
        errno == ECONNREFUSED)
        unlink(at->sun_path);
    if (fd >= 0)
        close(fd);
}

static enum gw_status open_socket(struct port *p, struct gw_error *err)
{
    struct sockaddr_un at = {.sun_family = AF_UNIX};
    size_t n = strlen(p->what.to);
    if (n >= sizeof at.sun_path)
        return gw_fail(err, GW_ERR_ARG, p->what.to,
                       "cannot open the serial port's socket: the name is too long");
    memcpy(at.sun_path, p->what.to, n + 1);
    remove_stale(&at);
    p->listen_fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (p->listen_fd < 0)
        return failed(p->what.to, "socket", err);
    if (bind(p->listen_fd, (struct sockaddr *)&at, sizeof at) < 0)
        return failed(p->what.to, "socket", err);
    p->bound = true;
    if (listen(p->listen_fd, 4) < 0)
        return failed(p->what.to, "socket", err);
    return open_relay(p, err);
}

enum gw_status port_open(struct port **out, const struct spec_target *what, struct gw_error *err)
{
    struct port *p = calloc(1, sizeof *p);
    enum gw_status st = GW_OK;
    *out = NULL;
    if (!p)
        return gw_fail(err, GW_ERR_NOMEM, "", "no memory for a serial port");
    p->what = *what;
    p->in_fd = p->out_fd = p->near_fd = p->peer_fd = p->listen_fd = -1;
    switch (what->kind) {
    case SPEC_PORT_STDIO: open_stdio(p); break;
    case SPEC_PORT_FILE:
        p->out_fd = open(what->to, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0666);
        if (p->out_fd < 0)
            st = gw_fail(err, GW_ERR_IO, what->to, "cannot write the serial port's file: %s",
                         strerror(errno));
        break;
    case SPEC_PORT_PTY: st = open_pty(p, err); break;
    default: st = open_socket(p, err); break;
    }
    if (st != GW_OK) {
        port_close(p);
        return st;
    }
    *out = p;
    return GW_OK;
}

int port_in(const struct port *p)
{
    return p->in_fd;
}

int port_out(const struct port *p)
{
    return p->out_fd;
}

const char *port_name(const struct port *p)
{
    return p->what.kind == SPEC_PORT_PTY ? p->name : NULL;
}

enum gw_status port_start(struct port *p, struct dev_io *io, struct gw_error *err)
{
    const uint32_t changes = EPOLLIN | EPOLLOUT | EPOLLET;
    enum gw_status st = GW_OK;
    p->io = io;
    p->near_watch = (struct dev_io_watch){.fd = p->near_fd, .ready = relay_ready, .context = p};
    p->peer_watch = (struct dev_io_watch){.fd = p->peer_fd, .ready = relay_ready, .context = p};
    p->listen_watch = (struct dev_io_watch){.fd = p->listen_fd, .ready = peer_came, .context = p};
    if (p->peer_fd >= 0)
        st = dev_io_watch(io, &p->peer_watch, changes);
    if (st == GW_OK && p->near_fd >= 0)
        st = dev_io_watch(io, &p->near_watch, changes);
    if (st == GW_OK && p->listen_fd >= 0)
        st = dev_io_watch(io, &p->listen_watch, EPOLLIN);
    if (st != GW_OK)
        return failed(p->what.to ? p->what.to : p->name, "relay", err);
    return GW_OK;
}

static void close_fd(int fd)
{
    if (fd > STDERR_FILENO)
        close(fd);
}

void port_close(struct port *p)
{
    if (!p)
        return;
    if (p->near_fd >= 0)
        pump(p);
    if (p->bound)
        unlink(p->what.to);
    close_fd(p->near_fd);
    close_fd(p->peer_fd);
    close_fd(p->listen_fd);
    close_fd(p->out_fd);
    close_fd(p->in_fd);
    free(p);
}
