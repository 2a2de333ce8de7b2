/*
 * The server's end of a machine's control socket. Requests come on the machine's control thread and are
 * handed to the machine, which answers on its vCPU's thread; a lock keeps the two apart. Nothing here
 * waits: a client that does not take its answers, or that stands in the way of a new one, is dropped.
 */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#include "control/server_int.h"

/* ---- connections; under lock ----------------------------------------------------------------- */

static void place_freed(struct ctl_server *s)
{
    if (!s->deaf || !s->steer)
        return;
    s->deaf = false;
    s->steer->rewatch(s->steer, &s->listen_watch, EPOLLIN);
}

static void drop_file(struct ctl_conn *c)
{
    if (c->file >= 0)
        close(c->file);
    c->file = -1;
}

void ctl_conn_close(struct ctl_conn *c)
{
    struct ctl_server *s = c->server;
    if (c->fd < 0)
        return;
    if (s->steer)
        s->steer->rewatch(s->steer, &c->watch, 0);
    if (s->viewer == c)
        s->viewer = NULL;
    close(c->fd);
    c->fd = -1;
    drop_file(c);
    c->id = 0;
    c->console = c->waiting = c->busy = false;
    place_freed(s);
}

/* All of it, or the client is too slow. */
bool ctl_conn_send(struct ctl_conn *c, const void *bytes, size_t size)
{
    const uint8_t *p = bytes;
    while (size) {
        ssize_t n = send(c->fd, p, size, MSG_DONTWAIT | MSG_NOSIGNAL);
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            return false;
        p += n;
        size -= (size_t)n;
    }
    return true;
}

static void plain(char *text)
{
    for (; *text; text++)
        if (*text == '\n' || *text == '\t')
            *text = ' ';
}

static bool send_error(struct ctl_conn *c, const struct gw_error *err)
{
    struct gw_error e = *err;
    char text[sizeof e + 64];
    plain(e.object);
    plain(e.message);
    plain(e.hint);
    return ctl_conn_send(c, text,
                         (size_t)snprintf(text, sizeof text, "error %d\t%s\t%s\t%s\n",
                                          (int)e.status, e.object, e.message, e.hint));
}

void ctl_conn_answer(struct ctl_conn *c, const char *lines, const struct gw_error *err)
{
    bool ok = true;
    c->busy = false;
    while (ok && *lines) {
        size_t n = strcspn(lines, "\n");
        ok = ctl_conn_send(c, "=", 1) && ctl_conn_send(c, lines, n) && ctl_conn_send(c, "\n", 1);
        lines += n + (lines[n] == '\n');
    }
    if (ok)
        ok = err ? send_error(c, err) : ctl_conn_send(c, "ok\n", 3);
    if (!ok)
        ctl_conn_close(c);
}

/* ---- requests ------------------------------------------------------------------------------- */

static void take_lines(struct ctl_conn *c);

/* vCPU thread, or the control thread. */
static void answered(void *context, const char *text, const struct gw_error *err)
{
    struct ctl_ask *a = context;
    struct ctl_conn *c = a->conn;
    struct ctl_server *s = c->server;
    pthread_mutex_lock(&s->lock);
    s->asks--;
    if (c->fd >= 0 && c->id == a->id) {
        ctl_conn_answer(c, text, err);
        if (c->fd >= 0) {
            s->steer->rewatch(s->steer, &c->watch, EPOLLIN);
            take_lines(c); /* that came with the one before */
        }
    }
    pthread_mutex_unlock(&s->lock);
    free(a);
}

static void refuse(struct ctl_conn *c, enum gw_status status, const char *object, const char *why)
{
    struct gw_error err = {0};
    gw_fail(&err, status, object, "%s", why);
    ctl_conn_answer(c, "", &err);
}

/* A file that is saved to was made by the client, who names it when it is whole: the machine may not. */
static bool ask_machine(struct ctl_conn *c, enum machine_ask what, const char *text)
{
    struct ctl_server *s = c->server;
    struct ctl_ask *a = s->asks < CTL_ASKS || what == MACHINE_ASK_STOP ? malloc(sizeof *a) : NULL;
    bool taken;
    if (!a)
        return false;
    *a = (struct ctl_ask){.conn = c, .id = c->id};
    taken = what == MACHINE_ASK_SAVE ? s->steer->save(s->steer, c->file, text, answered, a)
                                     : s->steer->ask(s->steer, what, text, answered, a);
    if (!taken) {
        free(a);
        return false;
    }
    s->asks++;
    if (what == MACHINE_ASK_SAVE)
        c->file = -1; /* the machine's now */
    return true;
}

static void serve(struct ctl_conn *c, const char *verb, const char *rest)
{
    static const struct {
        const char *verb;
        enum machine_ask what;
    } asks[] = {
        {"status", MACHINE_ASK_STATUS}, {"stats", MACHINE_ASK_STATS}, {"pause", MACHINE_ASK_PAUSE},
        {"resume", MACHINE_ASK_RESUME}, {"reset", MACHINE_ASK_RESET}, {"stop", MACHINE_ASK_STOP},
        {"save", MACHINE_ASK_SAVE},
    };
    struct ctl_server *s = c->server;
    if (!strcmp(verb, "wait")) {
        c->waiting = true;
        return;
    }
    if (!strcmp(verb, "console")) {
        ctl_console_attach(c);
        return;
    }
    if (!strcmp(verb, "kill")) { /* answered as a wait is */
        c->waiting = true;
        s->steer->kill(s->steer);
        return;
    }
    for (unsigned i = 0; i < sizeof asks / sizeof asks[0]; i++) {
        if (strcmp(verb, asks[i].verb) != 0)
            continue;
        if (asks[i].what == MACHINE_ASK_SAVE && c->file < 0) {
            refuse(c, GW_ERR_ARG, rest, "the file itself must come with the request");
            return;
        }
        c->busy = true;
        s->steer->rewatch(s->steer, &c->watch, 0);
        if (!ask_machine(c, asks[i].what, rest)) {
            refuse(c, GW_ERR_LIMIT, s->name, "the machine has too much to do");
            s->steer->rewatch(s->steer, &c->watch, EPOLLIN);
        }
        return;
    }
    refuse(c, GW_ERR_ARG, verb, "the machine knows no such request");
}

/* "godwit 1 VERB[ REST]" */
static void take_line(struct ctl_conn *c, char *line)
{
    char *verb, *rest;
    unsigned version;
    int at = 0;
    if (sscanf(line, "godwit %u %n", &version, &at) != 1 || at == 0) {
        refuse(c, GW_ERR_FORMAT, "", "not a request of ours");
        return;
    }
    if (version != CTL_PROTOCOL) {
        refuse(c, GW_ERR_UNSUPPORTED, "",
               "a protocol that this machine does not speak; it speaks 1");
        return;
    }
    c->asked = true;
    verb = line + at;
    rest = strchr(verb, ' ');
    if (rest)
        *rest++ = 0;
    serve(c, verb, rest ? rest : "");
}

/* Whole lines, until an answer is due. */
static void take_lines(struct ctl_conn *c)
{
    char line[CTL_LINE_BYTES];
    while (c->fd >= 0 && !c->busy && !c->waiting && !c->console) {
        char *end = memchr(c->line, '\n', c->used);
        size_t n;
        if (!end) {
            if (c->used == sizeof c->line)
                ctl_conn_close(c);
            return;
        }
        *end = 0;
        n = (size_t)(end - c->line) + 1;
        memcpy(line, c->line, n);
        memmove(c->line, c->line + n, c->used - n);
        c->used -= n;
        take_line(c, line);
    }
}

/* The last of all descriptors that came is kept, and none is left open behind our back: what does not
 * fit here the kernel has closed. */
static void take_files(struct ctl_conn *c, struct msghdr *m)
{
    for (struct cmsghdr *h = CMSG_FIRSTHDR(m); h; h = CMSG_NXTHDR(m, h)) {
        size_t n = h->cmsg_len < CMSG_LEN(0) ? 0 : (h->cmsg_len - CMSG_LEN(0)) / sizeof(int);
        if (h->cmsg_level != SOL_SOCKET || h->cmsg_type != SCM_RIGHTS)
            continue;
        for (size_t i = 0; i < n; i++) {
            drop_file(c);
            memcpy(&c->file, CMSG_DATA(h) + i * sizeof(int), sizeof c->file);
        }
    }
}

/* As recv(). */
static ssize_t receive(struct ctl_conn *c, void *to, size_t size)
{
    struct iovec iov = {.iov_base = to, .iov_len = size};
    union {
        char bytes[CMSG_SPACE(CTL_FILES * sizeof(int))];
        struct cmsghdr align;
    } control;
    struct msghdr m = {.msg_iov = &iov,
                       .msg_iovlen = 1,
                       .msg_control = control.bytes,
                       .msg_controllen = sizeof control.bytes};
    ssize_t n = recvmsg(c->fd, &m, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
    if (n >= 0)
        take_files(c, &m);
    return n;
}

static void read_request(struct ctl_conn *c)
{
    ssize_t n = receive(c, c->line + c->used, sizeof c->line - c->used);
    if (n < 0 && (errno == EINTR || errno == EAGAIN))
        return;
    if (n <= 0) {
        ctl_conn_close(c);
        return;
    }
    c->used += (size_t)n;
    c->heard = ++c->server->count;
    take_lines(c);
}

static void conn_ready(void *context, uint32_t events)
{
    struct ctl_conn *c = context;
    pthread_mutex_lock(&c->server->lock);
    if (c->fd < 0)
        ; /* reported before it was closed */
    else if (c->console)
        ctl_console_ready(c, events);
    else if (!c->busy)
        read_request(c);
    pthread_mutex_unlock(&c->server->lock);
}

/* How much a client would be missed: who asked nothing least, whose answer is due most; the console's
 * always. */
static unsigned rank(const struct ctl_conn *c)
{
    if (c->console)
        return UINT_MAX;
    return c->busy ? 3 : c->waiting ? 2 : c->asked ? 1 : 0;
}

/* A place for a new client: a free one, or that of the client which would be missed least, and of those
 * alike the one that has been silent for longest. */
static struct ctl_conn *make_place(struct ctl_server *s)
{
    struct ctl_conn *least = &s->conn[0];
    for (unsigned i = 0; i < CTL_CONNECTIONS; i++) {
        struct ctl_conn *c = &s->conn[i];
        if (c->fd < 0)
            return c;
        if (rank(c) < rank(least) || (rank(c) == rank(least) && c->heard < least->heard))
            least = c;
    }
    ctl_conn_close(least);
    return least;
}

static void accept_client(struct ctl_server *s)
{
    struct ctl_conn *c = make_place(s);
    int fd = accept4(s->listen_fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
    if (fd < 0) {
        if (errno != EMFILE && errno != ENFILE && errno != ENOMEM && errno != ENOBUFS)
            return;
        s->deaf = true; /* the next descriptor that a client gives back is for this one */
        s->steer->rewatch(s->steer, &s->listen_watch, 0);
        return;
    }
    c->fd = fd;
    c->used = 0;
    c->id = c->heard = ++s->count;
    c->asked = c->busy = c->waiting = c->console = false;
    c->watch = (struct machine_watch){.fd = fd, .ready = conn_ready, .context = c};
    if (!s->steer->watch(s->steer, &c->watch, EPOLLIN)) {
        close(fd);
        c->fd = -1;
    }
}

static void accept_ready(void *context, uint32_t events)
{
    struct ctl_server *s = context;
    pthread_mutex_lock(&s->lock);
    accept_client(s);
    pthread_mutex_unlock(&s->lock);
}

/* ---- life ----------------------------------------------------------------------------------- */

#define SOCKET_NAME "sock" /* in the machine's folder: see CTL_SOCKET */

/* Not kept is as good as none: snapshots of the machine have no seal then. */
static void keep_grants(const struct ctl_server *s)
{
    char file[CTL_NAME_BYTES + 16];
    size_t n = s->cfg.grants ? strlen(s->cfg.grants) : 0;
    int fd;
    ctl_file_name(file, sizeof file, s->name, "grants");
    unlinkat(s->cfg.dir->fd, file, 0);
    if (!s->cfg.grants)
        return;
    fd = openat(s->cfg.dir->fd, file, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    if (fd >= 0 && write(fd, s->cfg.grants, n) != (ssize_t)n)
        unlinkat(s->cfg.dir->fd, file, 0);
    if (fd >= 0)
        close(fd);
}

static enum gw_status listen_on(struct ctl_server *s, struct gw_error *err)
{
    struct sockaddr_un at = {.sun_family = AF_UNIX};
    char file[CTL_NAME_BYTES + 16];
    mode_t mask;
    int e;
    ctl_file_name(file, sizeof file, s->name, "ended");
    unlinkat(s->cfg.dir->fd, file, 0);
    s->ended_fd = openat(s->cfg.dir->fd, file, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    ctl_file_name(file, sizeof file, s->name, "sock");
    unlinkat(s->cfg.dir->fd, file, 0); /* of machines that were killed: the name's lock is ours */
    s->folder_fd = s->control.folder_fd = ctl_folder_open(s->cfg.dir, s->name);
    if (s->folder_fd < 0)
        return gw_fail(err, GW_ERR_STATE, s->cfg.dir->path, "cannot make the machine's folder: %s",
                       strerror(errno));
    unlinkat(s->folder_fd, SOCKET_NAME, 0);
    s->control.socket_name = SOCKET_NAME;
    snprintf(at.sun_path, sizeof at.sun_path, "/proc/self/fd/%d/" SOCKET_NAME, s->folder_fd);
    s->listen_fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    mask = umask(077);
    e = s->listen_fd < 0 || bind(s->listen_fd, (struct sockaddr *)&at, sizeof at) < 0 ||
                listen(s->listen_fd, 128) < 0
            ? errno
            : 0;
    umask(mask);
    if (e)
        return gw_fail(err, GW_ERR_STATE, s->cfg.dir->path, "cannot make the control socket: %s",
                       strerror(e));
    return GW_OK;
}

static enum gw_status opened(void *context, struct machine_steer *steer, struct gw_error *err)
{
    struct ctl_server *s = context;
    s->steer = steer;
    s->listen_watch =
        (struct machine_watch){.fd = s->listen_fd, .ready = accept_ready, .context = s};
    if (!steer->watch(steer, &s->listen_watch, EPOLLIN) || !ctl_console_start(s))
        return gw_fail(err, GW_ERR_IO, s->name, "cannot serve the control socket: %s",
                       strerror(errno));
    if (s->cfg.ready)
        s->cfg.ready(s->cfg.context);
    return GW_OK;
}

static void free_server(struct ctl_server *s)
{
    for (unsigned i = 0; i < CTL_CONNECTIONS; i++) {
        drop_file(&s->conn[i]);
        if (s->conn[i].fd >= 0)
            close(s->conn[i].fd);
    }
    if (s->listen_fd >= 0)
        close(s->listen_fd);
    if (s->ended_fd >= 0)
        close(s->ended_fd);
    if (s->lock_fd >= 0)
        close(s->lock_fd);
    if (s->folder_fd >= 0)
        close(s->folder_fd);
    pthread_mutex_destroy(&s->lock);
    free(s);
}

enum gw_status ctl_server_new(struct ctl_server **out, const struct ctl_server_config *cfg,
                              struct gw_error *err)
{
    struct ctl_server *s = calloc(1, sizeof *s);
    enum gw_status st;
    *out = NULL;
    if (!s)
        return gw_fail(err, GW_ERR_NOMEM, cfg->name, "no memory for the control socket");
    s->cfg = *cfg;
    s->lock_fd = s->listen_fd = s->ended_fd = s->folder_fd = -1;
    s->control = (struct machine_control){.open = opened, .context = s, .folder_fd = -1};
    pthread_mutex_init(&s->lock, NULL);
    for (unsigned i = 0; i < CTL_CONNECTIONS; i++) {
        s->conn[i].fd = s->conn[i].file = -1;
        s->conn[i].server = s;
    }
    st = ctl_name_take(cfg->dir, cfg->name, &s->lock_fd, err);
    if (st == GW_OK) {
        snprintf(s->name, sizeof s->name, "%s", cfg->name);
        keep_grants(s);
        st = listen_on(s, err);
    }
    if (st != GW_OK) {
        free_server(s);
        return st;
    }
    *out = s;
    return GW_OK;
}

const struct machine_control *ctl_server_control(struct ctl_server *s)
{
    return &s->control;
}

/* The machine's threads are gone: what they would do is not waited for, and nobody else is here. */
static void tell_end(struct ctl_server *s, const struct ctl_ended *e)
{
    char text[128];
    snprintf(text, sizeof text, "=ended=%s\n=status=%d\n=insns=%" PRIu64 "\nok\n", e->how,
             e->status, e->insns);
    ctl_console_drain(s);
    for (unsigned i = 0; i < CTL_CONNECTIONS; i++)
        if (s->conn[i].fd >= 0 && s->conn[i].waiting)
            ctl_conn_send(&s->conn[i], text, strlen(text));
}

/* Whoever has the lock may be what the host holds: it is not waited for for long. */
static bool lock_soon(struct ctl_server *s)
{
    enum { SOON_NS = 100000000, S_NS = 1000000000 };
    struct timespec until;
    clock_gettime(CLOCK_REALTIME, &until);
    until.tv_nsec += SOON_NS;
    if (until.tv_nsec >= S_NS) {
        until.tv_sec++;
        until.tv_nsec -= S_NS;
    }
    return pthread_mutex_timedlock(&s->lock, &until) == 0;
}

/* The name is free even if a thread of ours stays in a call of the host's for good. */
void ctl_server_cut(struct ctl_server *s, const struct ctl_ended *e)
{
    bool locked;
    if (!s)
        return;
    if (s->ended_fd >= 0)
        ctl_ended_write(s->ended_fd, e);
    locked = lock_soon(s);
    close(s->lock_fd);
    s->lock_fd = -1;
    tell_end(s, e);
    if (locked)
        pthread_mutex_unlock(&s->lock);
}

void ctl_server_end(struct ctl_server *s, const struct ctl_ended *e)
{
    bool ran = s && s->steer;
    if (!s)
        return;
    s->steer = NULL;                        /* it went with the machine */
    unlinkat(s->folder_fd, SOCKET_NAME, 0); /* in a sandbox the machine's broker has done it */
    if (e && s->ended_fd >= 0)
        ctl_ended_write(s->ended_fd, e);
    if (e && ran)
        tell_end(s, e);
    free_server(s);
}
