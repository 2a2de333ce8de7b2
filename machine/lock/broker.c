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

#include "godwit/plain.h"
#include "machine/lock/broker.h"
#include "machine/lock/sandbox.h"
#include "snapshot/snapshot.h"
#include "spec/spec.h"

enum request_kind { BOUND, OPEN, KEEP, DROP, END };

struct request {
    enum request_kind kind;
    enum broker_save which;
    uint64_t number;
};

struct answer {
    enum gw_status status;
    struct gw_error err;
};

enum {
    SOCKETS_MOST = SPEC_SERIAL_PORTS + SPEC_MAX_CHANNELS + 1,
    PLACES_MOST = 3 /* of saves */ + SOCKETS_MOST + 1 /* the control socket's */
};

struct broker {
    const struct machine_options *o;
    const struct sandbox *sandbox;
    int fd; /* of the process apart; -1: there is none */
    pid_t child;
    int passed;   /* a descriptor that the process gave us; -1: none */
    char *grants; /* see spec_grants() */
    /* In the process apart. */
    const struct snap_api *api;
    struct snap_file_new *file;
    struct snap_key key;
    bool keyed;
    struct gw_error keyless; /* or why there is no key */
    bool menu, saves;        /* somebody is at the menu; names that the options or the menu have */
    int folder_fd;           /* of machine_control; -1: none */
    struct landlock_place place[PLACES_MOST];
    unsigned places;
    struct bound {
        const char *path;   /* of the options */
        struct stat before; /* st_ino 0: nothing was there */
        dev_t device;
        ino_t inode; /* 0: it is not ours, or not there yet */
    } bound[SOCKETS_MOST];
    unsigned bound_count;
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
    if (!b->api)
        return gw_fail(err, GW_ERR_UNSUPPORTED, "", "no snapshots");
    return b->api->file_open(&b->file, path, err);
}

/* A file that cannot be sealed is a snapshot all the same. */
static void seal(struct broker *b, struct gw_error *note)
{
    struct gw_error err;
    if (!b->keyed)
        *note = b->keyless;
    else if (!b->grants)
        gw_fail(note, GW_ERR_NOMEM, "", "no memory for its seal");
    else if (b->api->seal_put(b->api->file_fd(b->file), "snapshot", &b->key, b->grants, &err) !=
             GW_OK)
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

static bool directory_of(const char *path, char dir[BROKER_PATH_BYTES])
{
    const char *slash = strrchr(path, '/');
    int n = snprintf(dir, BROKER_PATH_BYTES, "%.*s",
                     slash == path ? 1
                     : slash       ? (int)(slash - path)
                                   : 1,
                     slash ? path : ".");
    return n < BROKER_PATH_BYTES;
}

static bool same_as_before(const struct stat *a, const struct stat *b)
{
    return a->st_dev == b->st_dev && a->st_ino == b->st_ino &&
           a->st_ctim.tv_sec == b->st_ctim.tv_sec && a->st_ctim.tv_nsec == b->st_ctim.tv_nsec;
}

/* The machine's sockets are there: those that were not before are its own, whatever has their names later.
 * GW_OK with a message: one cannot be removed, but the next machine will replace it. */
static enum gw_status see_sockets(struct broker *b, struct gw_error *note)
{
    char dir[BROKER_PATH_BYTES];
    for (unsigned i = 0; i < b->bound_count; i++) {
        struct bound *s = &b->bound[i];
        struct stat sb;
        int e = lstat(s->path, &sb) < 0 ? errno : 0;
        if (!e && (!S_ISSOCK(sb.st_mode) || same_as_before(&sb, &s->before)))
            continue;
        if (!e) {
            s->device = sb.st_dev;
            s->inode = sb.st_ino;
            e = directory_of(s->path, dir) && access(dir, W_OK) < 0 ? errno : 0;
        }
        if (e)
            gw_fail(note, GW_OK, s->path, "will stay when the machine is gone: %s", strerror(e));
    }
    return GW_OK;
}

static enum gw_status do_work(struct broker *b, const struct request *r, struct gw_error *err)
{
    struct snap_file_new *file = b->file;
    if (r->kind == OPEN)
        return do_open(b, r, err);
    if (r->kind == BOUND)
        return see_sockets(b, err);
    if (!file)
        return gw_fail(err, GW_ERR_STATE, "", "no file is open");
    if (r->kind == KEEP)
        return do_keep(b, file, err);
    b->file = NULL;
    b->api->file_drop(file);
    return GW_OK;
}

/* A socket's file that was ours and that nobody listens at: another one's, which root made, does not even
 * say that to whoever we are by now. */
static void remove_socket(const struct bound *b)
{
    struct sockaddr_un at = {.sun_family = AF_UNIX};
    struct stat sb;
    int fd;
    if (!b->inode || strlen(b->path) >= sizeof at.sun_path || lstat(b->path, &sb) < 0 ||
        sb.st_dev != b->device || sb.st_ino != b->inode)
        return;
    memcpy(at.sun_path, b->path, strlen(b->path) + 1);
    fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd >= 0 && connect(fd, (const struct sockaddr *)&at, sizeof at) < 0 &&
        (errno == ECONNREFUSED || errno == EACCES))
        unlink(b->path);
    if (fd >= 0)
        close(fd);
}

/* By now the machine's descriptors are closed, by it or with it. ended: it said so itself, and the
 * name that its control socket stands for is still its own. */
static void remove_names(const struct broker *b, bool ended)
{
    for (unsigned i = 0; i < b->bound_count; i++)
        remove_socket(&b->bound[i]);
    if (ended && b->folder_fd >= 0)
        unlinkat(b->folder_fd, b->o->control->socket_name, 0);
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

/* Nothing of the machine's may stay open here: a name's lock, a pipe that somebody reads. What stays is told
 * where it is then. */
static void let_go(struct broker *b, int *fd)
{
    int *keep[] = {fd, &b->folder_fd};
    int null = open("/dev/null", O_RDWR | O_CLOEXEC), next = STDERR_FILENO + 1;
    for (int to = 0; null >= 0 && to <= STDERR_FILENO; to++)
        dup2(null, to);
    for (unsigned i = 0; i < sizeof keep / sizeof keep[0]; i++) /* out of the way of all of them */
        if (*keep[i] >= 0)
            *keep[i] = fcntl(*keep[i], F_DUPFD_CLOEXEC, next + (int)(sizeof keep / sizeof keep[0]));
    for (unsigned i = 0; i < sizeof keep / sizeof keep[0]; i++)
        if (*keep[i] >= 0)
            *keep[i] = dup3(*keep[i], next++, O_CLOEXEC);
    close_range((unsigned)next, ~0u, 0);
}

/* ---- locking it in -------------------------------------------------------------------------- */

static void add_place(struct broker *b, int fd, enum landlock_may may)
{
    if (fd >= 0 && b->places < PLACES_MOST)
        b->place[b->places++] = (struct landlock_place){.fd = fd, .may = may};
}

/* The directory that a name is in. One that is not there is no place, and the name cannot be made. */
static void add_directory_of(struct broker *b, const char *path, enum landlock_may may)
{
    char dir[BROKER_PATH_BYTES];
    if (directory_of(path, dir))
        add_place(b, open(dir, O_PATH | O_DIRECTORY | O_CLOEXEC), may);
}

/* What is opened by name, of the user who started the machine. */
static enum gw_status prepare(struct broker *b, struct gw_error *err)
{
    char path[BROKER_PATH_BYTES];
    for (unsigned i = 0; i < b->bound_count; i++) {
        add_directory_of(b, b->bound[i].path, LANDLOCK_REMOVE);
        if (lstat(b->bound[i].path, &b->bound[i].before) < 0)
            b->bound[i].before.st_ino = 0;
    }
    add_place(b, b->folder_fd, LANDLOCK_REMOVE);
    if (!b->saves || !b->o->open_snapshots)
        return GW_OK;
    for (enum broker_save which = b->menu ? BROKER_MENU : BROKER_PANIC; which <= BROKER_AT_END;
         which++)
        if (path_of(b->o, which, 0, path))
            add_directory_of(b, path, LANDLOCK_MAKE_FILES);
    b->api = b->o->open_snapshots(err);
    if (!b->api)
        return err->status;
    b->keyed = b->api->key_make(&b->key, NULL, &b->keyless) == GW_OK;
    return GW_OK;
}

/* Better now than when there is much to lose. */
static enum gw_status try_names(struct broker *b, struct gw_error *err)
{
    const struct lock_user *user = sandbox_user(b->sandbox);
    for (enum broker_save which = BROKER_PANIC; which <= BROKER_AT_END; which++) {
        char path[BROKER_PATH_BYTES];
        struct snap_file_new *file;
        enum gw_status st;
        if (!path_of(b->o, which, 0, path) || !b->api)
            continue;
        st = b->api->file_open(&file, path, err);
        if (st == GW_ERR_IO && user && user->changes)
            snprintf(err->hint, sizeof err->hint,
                     "--user root, or a directory that the user %s may write to", user->name);
        if (st != GW_OK) /* ours, and not that of the guest's files */
            return err->status = GW_ERR_STATE;
        b->api->file_drop(file);
    }
    return GW_OK;
}

static enum gw_status lock_in(struct broker *b, struct gw_error *err)
{
    enum gw_status st = sandbox_enter_broker(b->sandbox, b->place, b->places, err);
    for (unsigned i = 0; i < b->places; i++)
        if (b->place[i].fd != b->folder_fd)
            close(b->place[i].fd);
    return st == GW_OK ? try_names(b, err) : st;
}

/* Ends when the machine has, however that was. */
static void serve(struct broker *b, int fd)
{
    struct request r;
    struct answer first;
    bool ended = false;
    sigset_t all;
    sigfillset(&all);
    sigprocmask(SIG_SETMASK, &all, NULL);
    let_go(b, &fd);
    memset(&first, 0, sizeof first);
    first.status = prepare(b, &first.err);
    if (first.status == GW_OK)
        first.status = lock_in(b, &first.err);
    if (!send_answer(fd, &first, -1) || first.status != GW_OK)
        _exit(0);
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
    remove_names(b, ended);
    _exit(0);
}

static void wait_for_child(const struct broker *b)
{
    while (waitpid(b->child, NULL, 0) < 0 && errno == EINTR)
        ;
}

static enum gw_status start(struct broker *b, struct gw_error *err)
{
    struct answer first;
    int pair[2], none;
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
    if (!receive_answer(pair[0], &first, &none)) {
        first.status =
            gw_fail(&first.err, GW_ERR_STATE, "", "the process that names files did not start");
    }
    if (first.status == GW_OK) {
        b->fd = pair[0];
        return GW_OK;
    }
    close(pair[0]);
    wait_for_child(b);
    if (err)
        *err = first.err;
    return first.status;
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

void broker_bound(struct broker *b)
{
    struct request r = {.kind = BOUND};
    struct gw_error note = {0};
    if (!b->bound_count || b->fd < 0)
        return;
    ask(b, &r, NULL, &note);
    if (note.message[0] && !b->o->spec->quiet)
        fprintf(stderr, "godwit: note: %s %s\n", GW_PLAIN(note.object), GW_PLAIN(note.message));
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
    return b->saves || b->o->control;
}

/* ---- life ----------------------------------------------------------------------------------- */

static void name_sockets(struct broker *b)
{
    const struct machine_spec *s = b->o->spec;
    for (unsigned i = 0; i < s->serial_count; i++)
        if (s->serial[i].to.kind == SPEC_PORT_UNIX)
            b->bound[b->bound_count++].path = s->serial[i].to.to;
    for (unsigned i = 0; i < s->channels_count; i++)
        if (s->channels[i].to.kind == SPEC_PORT_UNIX)
            b->bound[b->bound_count++].path = s->channels[i].to.to;
    if (s->net.kind == SPEC_NET_SOCKET)
        b->bound[b->bound_count++].path = s->net.to;
}

enum gw_status broker_new(struct broker **out, const struct machine_options *o,
                          const struct sandbox *s, struct gw_error *err)
{
    struct broker *b = calloc(1, sizeof *b);
    const struct lock_user *user = sandbox_user(s);
    enum gw_status st = GW_OK;
    *out = NULL;
    if (!b)
        return gw_fail(err, GW_ERR_NOMEM, "", "no memory for the broker");
    b->o = o;
    b->sandbox = s;
    b->fd = b->passed = b->folder_fd = -1;
    name_sockets(b);
    b->menu = isatty(STDIN_FILENO);
    b->saves = b->menu || o->spec->save_at_end || o->spec->on_panic.to;
    if (o->control && o->control->socket_name)
        b->folder_fd = o->control->folder_fd;
    if (user && user->changes && b->folder_fd >= 0 &&
        fchown(b->folder_fd, user->uid, user->gid) < 0)
        st = gw_fail(err, GW_ERR_STATE, "", "cannot give the machine its folder: %s",
                     strerror(errno));
    b->grants = spec_grants(o->spec, o->restore ? o->restore->withheld : NULL);
    if (st == GW_OK && (broker_saves(b) || (s && b->bound_count)))
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
        wait_for_child(b);
    }
    free(b->grants);
    free(b);
}
