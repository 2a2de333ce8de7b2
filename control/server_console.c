/* The console of a detached machine: kept for later, shown to who is there. Control thread. */
#include <errno.h>
#include <poll.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "control/server_int.h"

/* A viewer has so long to take what the guest said last, once the machine has ended. */
enum { LAST_WORDS_MS = 1000 };

/* ---- from the guest ------------------------------------------------------------------------- */

static void keep(struct ctl_server *s, const uint8_t *bytes, size_t size)
{
    for (size_t i = 0; i < size; i++)
        s->backlog[s->said++ % CTL_BACKLOG] = bytes[i];
}

static void watch_viewer(struct ctl_server *s)
{
    uint32_t want = (s->typed ? 0 : EPOLLIN) | (s->seen < s->said ? EPOLLOUT : 0);
    if (s->viewer && s->steer)
        s->steer->rewatch(s->steer, &s->viewer->watch, want);
}

/* What the viewer has not seen is in the backlog: sends of it what its socket takes now. The guest
 * goes on meanwhile; a viewer that falls behind by more than the backlog has left. */
static void show(struct ctl_server *s)
{
    while (s->viewer && s->seen < s->said) {
        size_t at = s->seen % CTL_BACKLOG, n = s->said - s->seen;
        ssize_t sent;
        if (n > CTL_BACKLOG) {
            ctl_conn_close(s->viewer);
            return;
        }
        n = n < CTL_BACKLOG - at ? n : CTL_BACKLOG - at;
        sent = send(s->viewer->fd, s->backlog + at, n, MSG_DONTWAIT | MSG_NOSIGNAL);
        if (sent < 0 && errno == EINTR)
            continue;
        if (sent < 0 && errno == EAGAIN)
            break;
        if (sent <= 0) {
            ctl_conn_close(s->viewer);
            return;
        }
        s->seen += (size_t)sent;
    }
    watch_viewer(s);
}

/* True while there is more. */
static bool relay(struct ctl_server *s)
{
    uint8_t bytes[4096];
    ssize_t n = recv(s->cfg.console_fd, bytes, sizeof bytes, MSG_DONTWAIT);
    if (n < 0 && errno == EINTR)
        return true;
    if (n <= 0)
        return false;
    keep(s, bytes, (size_t)n);
    show(s);
    return true;
}

void ctl_console_drain(struct ctl_server *s)
{
    while (s->cfg.console_fd >= 0 && relay(s))
        ;
    while (s->viewer && s->seen < s->said) {
        struct pollfd p = {.fd = s->viewer->fd, .events = POLLOUT};
        if (poll(&p, 1, LAST_WORDS_MS) <= 0)
            return;
        show(s);
    }
}

/* ---- to the guest --------------------------------------------------------------------------- */

static void watch_again(struct ctl_server *s)
{
    uint32_t want = EPOLLIN | (s->typed ? EPOLLOUT : 0);
    s->steer->rewatch(s->steer, &s->console_watch, want);
    watch_viewer(s);
}

static void type_out(struct ctl_server *s)
{
    while (s->typed) {
        ssize_t n =
            send(s->cfg.console_fd, s->typing + s->typed_at, s->typed, MSG_DONTWAIT | MSG_NOSIGNAL);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0 && errno == EAGAIN)
            break;
        if (n <= 0) { /* nobody is left to read it */
            s->typed = 0;
            break;
        }
        s->typed_at += (size_t)n;
        s->typed -= (size_t)n;
    }
    watch_again(s);
}

static void take_input(struct ctl_conn *c)
{
    struct ctl_server *s = c->server;
    ssize_t n;
    if (s->typed)
        return; /* reported before the watch was changed */
    n = recv(c->fd, s->typing, sizeof s->typing, MSG_DONTWAIT);
    if (n < 0 && (errno == EINTR || errno == EAGAIN))
        return;
    if (n <= 0) {
        ctl_conn_close(c);
        return;
    }
    s->typed = (size_t)n;
    s->typed_at = 0;
    type_out(s);
}

void ctl_console_ready(struct ctl_conn *c, uint32_t events)
{
    if (events & EPOLLOUT)
        show(c->server);
    if (c->fd >= 0 && (events & ~(uint32_t)EPOLLOUT))
        take_input(c);
}

static void console_ready(void *context, uint32_t events)
{
    struct ctl_server *s = context;
    pthread_mutex_lock(&s->lock);
    if (s->typed && (events & EPOLLOUT))
        type_out(s);
    if ((events & (EPOLLIN | EPOLLHUP)) && !relay(s) && (events & EPOLLHUP))
        s->steer->rewatch(s->steer, &s->console_watch, 0);
    pthread_mutex_unlock(&s->lock);
}

/* ---- coming and going ----------------------------------------------------------------------- */

bool ctl_console_start(struct ctl_server *s)
{
    if (s->cfg.console_fd < 0)
        return true;
    s->console_watch =
        (struct machine_watch){.fd = s->cfg.console_fd, .ready = console_ready, .context = s};
    s->console_open = s->steer->watch(s->steer, &s->console_watch, EPOLLIN);
    return s->console_open;
}

void ctl_console_attach(struct ctl_conn *c)
{
    struct ctl_server *s = c->server;
    struct gw_error err = {0};
    if (!s->console_open) {
        gw_fail(&err, GW_ERR_STATE, s->name, "its console is where it was started");
        ctl_conn_answer(c, "", &err);
        return;
    }
    if (s->viewer) {
        gw_fail(&err, GW_ERR_STATE, s->name, "somebody else is at its console");
        ctl_conn_answer(c, "", &err);
        return;
    }
    ctl_conn_answer(c, "", NULL);
    if (c->fd < 0)
        return;
    c->console = true;
    s->viewer = c;
    s->seen = s->said < CTL_BACKLOG ? 0 : s->said - CTL_BACKLOG;
    show(s);
}
