#include "tests/control/fake_machine.h"

#include <errno.h>
#include <poll.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

/* ---- the steering wheel ---------------------------------------------------------------------- */

static bool take(struct fake_machine *f, struct fake_ask ask, const char *text)
{
    if (f->deaf || f->asks == FAKE_ASKS)
        return false;
    snprintf(ask.text, sizeof ask.text, "%s", text);
    f->ask[f->asks++] = ask;
    return true;
}

static bool ask(struct machine_steer *s, enum machine_ask what, const char *text,
                void (*done)(void *context, const char *text, const struct gw_error *err),
                void *context)
{
    return take(s->machine,
                (struct fake_ask){.what = what, .fd = -1, .done = done, .context = context}, text);
}

static bool save(struct machine_steer *s, int fd, const char *name,
                 void (*done)(void *context, const char *text, const struct gw_error *err),
                 void *context)
{
    struct fake_ask a = {.what = MACHINE_ASK_SAVE, .fd = fd, .done = done, .context = context};
    return take(s->machine, a, name);
}

static void kill_it(struct machine_steer *s)
{
    ((struct fake_machine *)s->machine)->kills++;
}

static void rewatch(struct machine_steer *s, struct machine_watch *w, uint32_t events)
{
    struct fake_machine *f = s->machine;
    for (unsigned i = 0; i < f->watches; i++)
        if (f->watch[i].watch == w)
            f->watch[i].events = events;
}

static bool watch(struct machine_steer *s, struct machine_watch *w, uint32_t events)
{
    struct fake_machine *f = s->machine;
    for (unsigned i = 0; i < f->watches; i++)
        if (f->watch[i].watch == w) { /* a slot that is used again */
            f->watch[i].events = events;
            return true;
        }
    assert_in_range(f->watches, 0, FAKE_WATCHES - 1);
    f->watch[f->watches].watch = w;
    f->watch[f->watches++].events = events;
    return true;
}

/* ---- life ------------------------------------------------------------------------------------ */

void fake_dir(struct fake_machine *f)
{
    *f = (struct fake_machine){.path = "/tmp/godwit-control.XXXXXX"};
    assert_non_null(mkdtemp(f->path));
    assert_int_equal(ctl_dir_open(&f->dir, f->path, NULL), GW_OK);
}

void fake_dir_gone(struct fake_machine *f)
{
    char **names;
    size_t count = ctl_names(&f->dir, &names);
    for (size_t i = 0; i < count; i++) {
        assert_int_equal(ctl_name_remove(&f->dir, names[i], NULL), GW_OK);
        free(names[i]);
    }
    free(names);
    ctl_dir_close(&f->dir);
    assert_int_equal(rmdir(f->path), 0); /* nothing was left behind */
}

void fake_start(struct fake_machine *f, int console_fd)
{
    struct gw_error err = {0};
    fake_dir(f);
    f->steer = (struct machine_steer){.machine = f,
                                      .ask = ask,
                                      .save = save,
                                      .kill = kill_it,
                                      .watch = watch,
                                      .rewatch = rewatch};
    struct ctl_server_config cfg = {.dir = &f->dir, .name = "one", .console_fd = console_fd};
    assert_int_equal(ctl_server_new(&f->server, &cfg, &err), GW_OK);
    const struct machine_control *c = ctl_server_control(f->server);
    assert_int_equal(c->open(c->context, &f->steer, &err), GW_OK);
}

void fake_end(struct fake_machine *f, const struct ctl_ended *e)
{
    ctl_server_end(f->server, e);
    fake_dir_gone(f);
}

void fake_pump(struct fake_machine *f)
{
    for (bool more = true; more;) {
        more = false;
        for (unsigned i = 0; i < f->watches; i++) {
            uint32_t want = f->watch[i].events;
            struct pollfd p = {
                .fd = f->watch[i].watch->fd,
                .events = (short)((want & EPOLLIN ? POLLIN : 0) | (want & EPOLLOUT ? POLLOUT : 0))};
            if (!want || poll(&p, 1, 0) <= 0)
                continue;
            more = true;
            f->watch[i].watch->ready(f->watch[i].watch->context,
                                     (p.revents & POLLIN ? EPOLLIN : 0) |
                                         (p.revents & POLLHUP ? EPOLLHUP : 0) |
                                         (p.revents & POLLOUT ? EPOLLOUT : 0));
        }
    }
}

void fake_answer(struct fake_machine *f, const char *text, const struct gw_error *err)
{
    assert_in_range(f->asks, 1, FAKE_ASKS);
    struct fake_ask a = f->ask[0];
    memmove(f->ask, f->ask + 1, --f->asks * sizeof a);
    if (a.fd >= 0)
        close(a.fd);
    a.done(a.context, text, err);
    fake_pump(f);
}

/* ---- a client -------------------------------------------------------------------------------- */

int fake_client(struct fake_machine *f)
{
    struct gw_error err = {0};
    int fd;
    assert_int_equal(ctl_connect(&f->dir, "one", &fd, &err), GW_OK);
    fake_pump(f);
    return fd;
}

void fake_say(struct fake_machine *f, int fd, const char *text)
{
    size_t n = strlen(text);
    assert_int_equal(send(fd, text, n, MSG_NOSIGNAL), (ssize_t)n);
    fake_pump(f);
}

const char *fake_hear(struct fake_machine *f, int fd)
{
    static char text[256 * 1024];
    size_t used = 0;
    for (;;) {
        fake_pump(f);
        ssize_t n = recv(fd, text + used, sizeof text - 1 - used, MSG_DONTWAIT);
        if (n == 0 || (n < 0 && errno == ECONNRESET))
            return used ? (text[used] = 0, text) : NULL;
        if (n < 0)
            break;
        used += (size_t)n;
    }
    text[used] = 0;
    return text;
}
