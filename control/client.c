/* The client's end of a control socket. */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/time.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#include "control/control.h"

enum { CONNECT_S = 2 };

/* The machine's socket itself: in its folder the machine's user may put what he likes in its place, and links
 * lead to where he may not connect. -1: there is none. */
static int find_socket(const struct ctl_dir *d, const char *name)
{
    char file[CTL_NAME_BYTES + 16];
    struct stat st;
    int fd;
    ctl_file_name(file, sizeof file, name, CTL_SOCKET);
    fd = openat(d->fd, file, O_PATH | O_NOFOLLOW | O_CLOEXEC);
    if (fd < 0 && errno == ENOENT) { /* as it was before there were folders */
        ctl_file_name(file, sizeof file, name, "sock");
        fd = openat(d->fd, file, O_PATH | O_NOFOLLOW | O_CLOEXEC);
    }
    if (fd < 0 || (fstat(fd, &st) == 0 && S_ISSOCK(st.st_mode)))
        return fd;
    close(fd);
    errno = ENOTSOCK;
    return -1;
}

enum gw_status ctl_connect(const struct ctl_dir *d, const char *name, int *fd, struct gw_error *err)
{
    /* A machine that was stopped takes no more clients than the kernel keeps for it. */
    const struct timeval most = {.tv_sec = CONNECT_S};
    struct sockaddr_un at = {.sun_family = AF_UNIX};
    int file, e;
    *fd = -1;
    if (!ctl_name_is_fine(name) || !ctl_name_is_taken(d, name)) {
        enum gw_status st = gw_fail(err, GW_ERR_NOTFOUND, name, "no machine of that name runs");
        snprintf(err->hint, sizeof err->hint, "godwit ps");
        return st;
    }
    file = find_socket(d, name);
    snprintf(at.sun_path, sizeof at.sun_path, "/proc/self/fd/%d", file);
    *fd = file < 0 ? -1 : socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (*fd >= 0)
        setsockopt(*fd, SOL_SOCKET, SO_SNDTIMEO, &most, sizeof most);
    e = *fd >= 0 && connect(*fd, (struct sockaddr *)&at, sizeof at) == 0 ? 0 : errno;
    if (file >= 0)
        close(file);
    if (!e)
        return GW_OK;
    if (*fd >= 0)
        close(*fd);
    *fd = -1;
    return gw_fail(err, GW_ERR_STATE, name, "cannot reach the machine: %s", strerror(e));
}

int ctl_peer_pid(int fd)
{
    struct ucred c;
    socklen_t n = sizeof c;
    return getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &c, &n) == 0 ? (int)c.pid : 0;
}

static bool send_all(int fd, const char *text, size_t size)
{
    while (size) {
        ssize_t n = send(fd, text, size, MSG_NOSIGNAL);
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            return false;
        text += n;
        size -= (size_t)n;
    }
    return true;
}

static int64_t now_ms(void)
{
    struct timespec ts;
    clock_gettime(CLOCK_MONOTONIC, &ts);
    return (int64_t)ts.tv_sec * 1000 + ts.tv_nsec / 1000000;
}

/* A byte at a time: what follows the answer (a console's bytes) is somebody else's. */
static enum gw_status read_line(int fd, const char *name, char *line, int64_t until,
                                struct gw_error *err)
{
    size_t n = 0;
    for (;;) {
        struct pollfd p = {.fd = fd, .events = POLLIN};
        int64_t left = until < 0 ? -1 : until - now_ms();
        ssize_t got;
        int r = poll(&p, 1, until < 0 ? -1 : left < 0 ? 0 : (int)left);
        if (r < 0 && errno == EINTR)
            continue;
        if (r == 0)
            return gw_fail(err, GW_ERR_STATE, name, "the machine does not answer");
        got = read(fd, line + n, 1);
        if (got < 0 && errno == EINTR)
            continue;
        if (got <= 0)
            return gw_fail(err, GW_ERR_STATE, name, "the machine went away");
        if (line[n] == '\n') {
            line[n] = 0;
            return GW_OK;
        }
        if (++n == CTL_LINE_BYTES)
            return gw_fail(err, GW_ERR_FORMAT, name, "an answer that makes no sense");
    }
}

/* "error STATUS<TAB>object<TAB>message<TAB>hint" */
static enum gw_status told_error(char *text, struct gw_error *err)
{
    char *object = strchr(text, '\t'), *message = object ? strchr(object + 1, '\t') : NULL;
    char *hint = message ? strchr(message + 1, '\t') : NULL;
    unsigned long status = strtoul(text, NULL, 10);
    if (!hint || status == 0 || status > GW_ERR_LIMIT)
        return gw_fail(err, GW_ERR_FORMAT, "", "an answer that makes no sense");
    *object = *message = *hint = 0;
    gw_fail(err, (enum gw_status)status, object + 1, "%s", message + 1);
    snprintf(err->hint, sizeof err->hint, "%s", hint + 1);
    return err->status;
}

/* The first bytes carry the descriptor. */
static bool send_request(int fd, const char *text, size_t size, int file)
{
    struct iovec iov = {.iov_base = (void *)(uintptr_t)text, .iov_len = size};
    union {
        char bytes[CMSG_SPACE(sizeof(int))];
        struct cmsghdr align;
    } control = {.bytes = {0}};
    struct msghdr m = {.msg_iov = &iov,
                       .msg_iovlen = 1,
                       .msg_control = control.bytes,
                       .msg_controllen = sizeof control.bytes};
    struct cmsghdr *c = CMSG_FIRSTHDR(&m);
    ssize_t n;
    if (file < 0)
        return send_all(fd, text, size);
    c->cmsg_level = SOL_SOCKET;
    c->cmsg_type = SCM_RIGHTS;
    c->cmsg_len = CMSG_LEN(sizeof file);
    memcpy(CMSG_DATA(c), &file, sizeof file);
    do
        n = sendmsg(fd, &m, MSG_NOSIGNAL);
    while (n < 0 && errno == EINTR);
    return n > 0 && send_all(fd, text + n, size - (size_t)n);
}

static enum gw_status ask(int fd, const char *name, const char *request, int file, int timeout_ms,
                          void (*line)(void *context, const char *text), void *context,
                          struct gw_error *err)
{
    char text[CTL_LINE_BYTES + 32];
    int64_t until = timeout_ms < 0 ? -1 : now_ms() + timeout_ms;
    int n = snprintf(text, sizeof text, "godwit %d %s\n", CTL_PROTOCOL, request);
    enum gw_status st;
    if (n <= 0 || n > CTL_LINE_BYTES || strchr(request, '\n'))
        return gw_fail(err, GW_ERR_ARG, request, "cannot ask that: it is too long, or has lines");
    if (!send_request(fd, text, (size_t)n, file))
        return gw_fail(err, GW_ERR_STATE, name, "the machine went away");
    for (;;) {
        st = read_line(fd, name, text, until, err);
        if (st != GW_OK)
            return st;
        if (!strcmp(text, "ok"))
            return GW_OK;
        if (!strncmp(text, "error ", 6))
            return told_error(text + 6, err);
        if (text[0] != '=')
            return gw_fail(err, GW_ERR_FORMAT, name, "an answer that makes no sense");
        if (line)
            line(context, text + 1);
    }
}

enum gw_status ctl_ask(int fd, const char *name, const char *request, int timeout_ms,
                       void (*line)(void *context, const char *text), void *context,
                       struct gw_error *err)
{
    return ask(fd, name, request, -1, timeout_ms, line, context, err);
}

enum gw_status ctl_ask_with_file(int fd, const char *name, const char *request, int file,
                                 struct gw_error *err)
{
    return ask(fd, name, request, file, -1, NULL, NULL, err);
}
