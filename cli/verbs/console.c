/* The verb console: a terminal, or a pipe, at a detached machine's serial port. */
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <termios.h>
#include <time.h>
#include <unistd.h>

#include "cli/cli.h"
#include "control/control.h"

#define ESCAPE_KEY 0x1d /* Ctrl-] */

/* Once the input has ended, what the guest has to say to it is waited for: until it has been silent for
 * so long, and no longer than that. */
enum { SILENCE_MS = 1000, ANSWER_MS = 10000 };

struct session {
    int fd;
    bool terminal, escaped, over;
    int lost;      /* errno of standard output, or 0 */
    int signal_fd; /* what would end us: the terminal is to be restored first */
};

static bool write_all(int fd, const char *bytes, size_t size)
{
    while (size) {
        ssize_t n = write(fd, bytes, size);
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            return false;
        bytes += n;
        size -= (size_t)n;
    }
    return true;
}

static void menu(struct session *s, char key)
{
    if (key == 'q' || key == 'd')
        s->over = true;
    else if (key == ']' || key == ESCAPE_KEY)
        s->over = !write_all(s->fd, "\x1d", 1);
    else
        fprintf(stderr, "\r\ngodwit: d or q detaches, ] sends Ctrl-]\r\n");
}

static void typed(struct session *s, const char *bytes, size_t size)
{
    for (size_t i = 0; i < size && !s->over; i++) {
        if (s->escaped) {
            s->escaped = false;
            menu(s, bytes[i]);
        } else if (s->terminal && bytes[i] == ESCAPE_KEY) {
            s->escaped = true;
        } else if (!write_all(s->fd, bytes + i, 1)) {
            s->over = true;
        }
    }
}

static int64_t now_ms(void)
{
    struct timespec ts;
    clock_gettime(CLOCK_MONOTONIC, &ts);
    return (int64_t)ts.tv_sec * 1000 + ts.tv_nsec / 1000000;
}

/* Until the machine ends, somebody detaches, or the input has ended and the guest has answered. */
static void relay(struct session *s)
{
    struct pollfd p[3] = {{.fd = s->fd, .events = POLLIN},
                          {.fd = STDIN_FILENO, .events = POLLIN},
                          {.fd = s->signal_fd, .events = POLLIN}};
    int64_t until = INT64_MAX;
    char bytes[4096];
    while (!s->over && now_ms() < until) {
        ssize_t n;
        int ready = poll(p, 3, p[1].fd < 0 ? SILENCE_MS : -1);
        if ((ready < 0 && errno != EINTR) || ready == 0 || (ready > 0 && p[2].revents))
            return;
        if (ready > 0 && p[0].revents) {
            n = read(s->fd, bytes, sizeof bytes);
            if (n <= 0)
                return;
            if (!write_all(STDOUT_FILENO, bytes, (size_t)n)) {
                s->lost = errno;
                return;
            }
        }
        if (ready > 0 && p[1].fd >= 0 && p[1].revents) {
            n = read(STDIN_FILENO, bytes, sizeof bytes);
            if (n > 0)
                typed(s, bytes, (size_t)n);
            else if (n == 0 || errno != EINTR) {
                p[1].fd = -1;
                until = now_ms() + ANSWER_MS;
            }
        }
    }
}

static void session(struct session *s)
{
    struct termios saved, raw;
    sigset_t ending;
    sigemptyset(&ending);
    sigaddset(&ending, SIGTERM);
    sigaddset(&ending, SIGHUP);
    sigaddset(&ending, SIGINT);
    sigprocmask(SIG_BLOCK, &ending, NULL);
    s->signal_fd = signalfd(-1, &ending, SFD_CLOEXEC);
    s->terminal = isatty(STDIN_FILENO) && tcgetattr(STDIN_FILENO, &saved) == 0;
    signal(SIGPIPE, SIG_IGN);
    if (s->terminal) {
        fprintf(stderr, "godwit: Ctrl-] then d detaches\n");
        raw = saved;
        cfmakeraw(&raw);
        raw.c_oflag |= OPOST | ONLCR;
        tcsetattr(STDIN_FILENO, TCSADRAIN, &raw);
    }
    relay(s);
    if (s->terminal)
        tcsetattr(STDIN_FILENO, TCSADRAIN, &saved);
    sigprocmask(SIG_UNBLOCK, &ending, NULL); /* one that came ends us now */
}

/* A reader that is gone ends us as SIGPIPE would. */
static int end(const struct session *s)
{
    struct gw_error err = {0};
    if (!s->lost)
        return 0;
    if (s->lost == EPIPE)
        return 128 + SIGPIPE;
    gw_fail(&err, GW_ERR_STATE, "standard output", "cannot write: %s", strerror(s->lost));
    cli_print_error(&err);
    return CLI_FAILURE;
}

int cli_console(const struct cli_options *o)
{
    struct session s = {.fd = -1};
    struct gw_error err = {0};
    struct ctl_dir d;
    enum gw_status st = ctl_dir_open(&d, o->run_dir, &err);
    if (st == GW_OK) {
        st = ctl_connect(&d, o->args[0], &s.fd, &err);
        ctl_dir_close(&d);
    }
    if (st == GW_OK)
        st = ctl_ask(s.fd, o->args[0], "console", 30000, NULL, NULL, &err);
    if (st == GW_OK)
        session(&s);
    else
        cli_print_error(&err);
    if (s.fd >= 0)
        close(s.fd);
    return st == GW_OK ? end(&s) : cli_status_of(st);
}
