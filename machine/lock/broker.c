/* The broker, see broker.h: requests over a pair of sockets, a descriptor with some of the answers. */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include "machine/lock/broker.h"
#include "snapshot/snapshot.h"
#include "spec/spec.h"

enum request_kind { OPEN, KEEP, DROP, END };

struct request {
    enum request_kind kind;
    enum broker_save which;
    uint64_t number;
};

struct answer {
    enum gw_status status;
    struct gw_error err;
};

struct broker {
    const struct machine_options *o;
    int fd; /* of the process apart; -1: there is none */
    pid_t child;
    const struct snap_api *api;
    struct snap_file_new *file; /* where the work is done */
    int passed;                 /* a descriptor that the process gave us; -1: none */
    char *grants;               /* see spec_grants() */
};

/* ---- the work ------------------------------------------------------------------------------- */

/* False: the options name no such file. */
static bool path_of(const struct machine_options *o, enum broker_save which, uint64_t number,
                    char *path)
{
    const char *given = which == BROKER_PANIC    ? o->spec->on_panic.to
                        : which == BROKER_AT_END ? o->spec->save_at_end
                                                 : NULL;
    if (which == BROKER_MENU)
        snprintf(path, BROKER_PATH_BYTES, "godwit-%" PRIu64 ".snap", number);
    else
        snprintf(path, BROKER_PATH_BYTES, "%s", given ? given : "");
    return path[0] != 0;
}

static enum gw_status do_open(struct broker *b, const struct request *r, struct gw_error *err)
{
    char path[BROKER_PATH_BYTES];
    if (b->file || !path_of(b->o, r->which, r->number, path))
        return gw_fail(err, GW_ERR_STATE, "", "no such file to save to");
    if (!b->api && b->o->open_snapshots)
        b->api = b->o->open_snapshots(err);
    if (!b->api)
        return b->o->open_snapshots ? err->status
                                    : gw_fail(err, GW_ERR_UNSUPPORTED, "", "no snapshots");
    return b->api->file_open(&b->file, path, err);
}

/* A file that cannot be sealed is a snapshot all the same. */
static void seal(struct broker *b, struct gw_error *note)
{
    struct gw_error err;
    struct snap_key key;
    enum gw_status st = b->grants ? b->api->key_make(&key, NULL, &err)
                                  : gw_fail(&err, GW_ERR_NOMEM, "", "no memory for its seal");
    if (st == GW_OK) {
        st = b->api->seal_put(b->api->file_fd(b->file), "snapshot", &key, b->grants, &err);
        b->api->key_forget(&key);
    }
    if (st != GW_OK)
        *note = err;
}

static enum gw_status do_keep(struct broker *b, struct snap_file_new *file, struct gw_error *err)
{
    struct gw_error note = {0};
    enum gw_status st;
    seal(b, &note);
    b->file = NULL;
    st = b->api->file_keep(file, err);
    if (st == GW_OK && err)
        *err = note;
    return st;
}

static enum gw_status do_work(struct broker *b, const struct request *r, struct gw_error *err)
{
    struct snap_file_new *file = b->file;
    if (r->kind == OPEN)
        return do_open(b, r, err);
    if (!file)
        return gw_fail(err, GW_ERR_STATE, "", "no file is open");
    if (r->kind == KEEP)
        return do_keep(b, file, err);
    b->file = NULL;
    b->api->file_drop(file);
    return GW_OK;
}

/* A socket's file that nobody listens at. */
static void remove_socket(const char *path)
{
    struct sockaddr_un at = {.sun_family = AF_UNIX};
    struct stat sb;
    int fd;
    if (strlen(path) >= sizeof at.sun_path || lstat(path, &sb) < 0 || !S_ISSOCK(sb.st_mode))
        return;
    memcpy(at.sun_path, path, strlen(path) + 1);
    fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd >= 0 && connect(fd, (const struct sockaddr *)&at, sizeof at) < 0 &&
        errno == ECONNREFUSED)
        unlink(path);
    if (fd >= 0)
        close(fd);
}

/* By now the machine's descriptors are closed, by it or with it. ended: it said so itself, and the
 * name that its control socket stands for is still its own. */
static void remove_names(const struct machine_options *o, bool ended)
{
    const struct machine_spec *s = o->spec;
    for (unsigned i = 0; i < s->serial_count; i++)
        if (s->serial[i].to.kind == SPEC_PORT_UNIX)
            remove_socket(s->serial[i].to.to);
    for (unsigned i = 0; i < s->channels_count; i++)
        if (s->channels[i].to.kind == SPEC_PORT_UNIX)
            remove_socket(s->channels[i].to.to);
    if (s->net.kind == SPEC_NET_SOCKET)
        remove_socket(s->net.to);
    if (ended && o->control && o->control->socket_path)
        unlink(o->control->socket_path);
}

/* ---- the process apart ---------------------------------------------------------------------- */

/* With no file, no fd. */
static bool send_answer(int to, const struct answer *a, int fd)
{
    struct iovec iov = {.iov_base = (void *)(uintptr_t)a, .iov_len = sizeof *a};
    union {
        char bytes[CMSG_SPACE(sizeof(int))];
        struct cmsghdr align;
    } control = {.bytes = {0}};
    struct msghdr m = {.msg_iov = &iov, .msg_iovlen = 1};
    if (fd >= 0) {
        struct cmsghdr *c;
        m.msg_control = control.bytes;
        m.msg_controllen = sizeof control.bytes;
        c = CMSG_FIRSTHDR(&m);
        c->cmsg_level = SOL_SOCKET;
        c->cmsg_type = SCM_RIGHTS;
        c->cmsg_len = CMSG_LEN(sizeof fd);
        memcpy(CMSG_DATA(c), &fd, sizeof fd);
    }
    return sendmsg(to, &m, MSG_NOSIGNAL) == (ssize_t)sizeof *a;
}

static bool receive_answer(int from, struct answer *a, int *fd)
{
    struct iovec iov = {.iov_base = a, .iov_len = sizeof *a};
    union {
        char bytes[CMSG_SPACE(sizeof(int))];
        struct cmsghdr align;
    } control = {.bytes = {0}};
    struct msghdr m = {.msg_iov = &iov,
                       .msg_iovlen = 1,
                       .msg_control = control.bytes,
                       .msg_controllen = sizeof control.bytes};
    ssize_t n;
    struct cmsghdr *c;
    do
        n = recvmsg(from, &m, MSG_CMSG_CLOEXEC);
    while (n < 0 && errno == EINTR);
    c = n >= 0 ? CMSG_FIRSTHDR(&m) : NULL;
    *fd = -1;
    if (c && c->cmsg_level == SOL_SOCKET && c->cmsg_type == SCM_RIGHTS)
        memcpy(fd, CMSG_DATA(c), sizeof *fd);
    return n == (ssize_t)sizeof *a;
}

/* Nothing of the machine's may stay open here: a name's lock, a pipe that somebody reads. */
static void let_go(int keep)
{
    int null = open("/dev/null", O_RDWR | O_CLOEXEC);
    for (int fd = 0; null >= 0 && fd <= STDERR_FILENO; fd++)
        dup2(null, fd);
    if (keep > STDERR_FILENO + 1)
        close_range(STDERR_FILENO + 1, (unsigned)keep - 1, 0);
    close_range((unsigned)keep + 1, ~0u, 0);
}

/* Ends when the machine has, however that was. */
static void serve(struct broker *b, int fd)
{
    struct request r;
    bool ended = false;
    sigset_t all;
    sigfillset(&all);
    sigprocmask(SIG_SETMASK, &all, NULL);
    let_go(fd);
    for (;;) {
        struct answer a;
        ssize_t n = recv(fd, &r, sizeof r, 0);
        if (n < 0 && errno == EINTR)
            continue;
        if (n != (ssize_t)sizeof r)
            break;
        memset(&a, 0, sizeof a);
        ended = r.kind == END;
        if (ended)
            break;
        a.status = do_work(b, &r, &a.err);
        if (!send_answer(fd, &a, a.status == GW_OK && b->file ? b->api->file_fd(b->file) : -1))
            break;
    }
    if (b->file)
        b->api->file_drop(b->file);
    remove_names(b->o, ended);
    _exit(0);
}

static enum gw_status start(struct broker *b, struct gw_error *err)
{
    int pair[2];
    if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) < 0)
        return gw_fail(err, GW_ERR_STATE, "", "cannot start the broker: %s", strerror(errno));
    b->child = fork();
    if (b->child == 0)
        serve(b, pair[1]);
    close(pair[1]);
    if (b->child < 0) {
        close(pair[0]);
        return gw_fail(err, GW_ERR_STATE, "", "cannot start the broker: %s", strerror(errno));
    }
    b->fd = pair[0];
    return GW_OK;
}

/* ---- asking --------------------------------------------------------------------------------- */

static enum gw_status ask(struct broker *b, const struct request *r, int *fd, struct gw_error *err)
{
    struct answer a;
    if (b->passed >= 0)
        close(b->passed);
    b->passed = -1;
    if (b->fd < 0 || send(b->fd, r, sizeof *r, MSG_NOSIGNAL) < 0 ||
        !receive_answer(b->fd, &a, &b->passed))
        return gw_fail(err, GW_ERR_STATE, "", "the process that names files is gone");
    if (fd)
        *fd = b->passed;
    if (err)
        *err = a.err;
    return a.status;
}

enum gw_status broker_open(struct broker *b, enum broker_save which, uint64_t number, int *fd,
                           char *name, struct gw_error *err)
{
    struct request r = {.kind = OPEN, .which = which, .number = number};
    path_of(b->o, which, number, name);
    return ask(b, &r, fd, err);
}

enum gw_status broker_keep(struct broker *b, struct gw_error *err)
{
    struct request r = {.kind = KEEP};
    return ask(b, &r, NULL, err);
}

void broker_drop(struct broker *b)
{
    struct request r = {.kind = DROP};
    ask(b, &r, NULL, NULL);
}

bool broker_saves(const struct broker *b)
{
    const struct machine_spec *s = b->o->spec;
    return s->save_at_end || s->on_panic.to || b->o->control || isatty(STDIN_FILENO);
}

/* ---- life ----------------------------------------------------------------------------------- */

static bool has_socket(const struct machine_spec *s)
{
    bool wanted = s->net.kind == SPEC_NET_SOCKET;
    for (unsigned i = 0; i < s->serial_count; i++)
        wanted = wanted || s->serial[i].to.kind == SPEC_PORT_UNIX;
    for (unsigned i = 0; i < s->channels_count; i++)
        wanted = wanted || s->channels[i].to.kind == SPEC_PORT_UNIX;
    return wanted;
}

enum gw_status broker_new(struct broker **out, const struct machine_options *o, bool apart,
                          struct gw_error *err)
{
    struct broker *b = calloc(1, sizeof *b);
    enum gw_status st = GW_OK;
    *out = NULL;
    if (!b)
        return gw_fail(err, GW_ERR_NOMEM, "", "no memory for the broker");
    b->o = o;
    b->fd = b->passed = -1;
    b->grants = spec_grants(o->spec, o->restore ? o->restore->withheld : NULL);
    if (broker_saves(b) || (apart && has_socket(o->spec)))
        st = start(b, err);
    if (st == GW_OK) {
        *out = b;
        return GW_OK;
    }
    free(b->grants);
    free(b);
    return st;
}

void broker_free(struct broker *b)
{
    struct request r = {.kind = END};
    if (!b)
        return;
    if (b->passed >= 0)
        close(b->passed);
    if (b->fd >= 0) {
        send(b->fd, &r, sizeof r, MSG_NOSIGNAL);
        close(b->fd);
        while (waitpid(b->child, NULL, 0) < 0 && errno == EINTR)
            ;
    }
    free(b->grants);
    free(b);
}
