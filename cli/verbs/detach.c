/* -D: a machine in the background, with its console on a socket that the control room serves. */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "cli/cli.h"
#include "control/control.h"

struct child {
    const struct cli_options *o;
    char name[CTL_NAME_BYTES];
    int ready_fd, log_fd;
};

/* The name is ours. What was said under it before stays until the machine runs. */
static void open_log(void *context)
{
    struct child *c = context;
    struct gw_error err;
    struct ctl_dir dir;
    char file[CTL_NAME_BYTES + 16];
    if (ctl_dir_open(&dir, c->o->run_dir, &err) != GW_OK)
        return;
    ctl_file_name(file, sizeof file, c->name, "log");
    c->log_fd = openat(dir.fd, file, O_WRONLY | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
    ctl_dir_close(&dir);
    if (c->log_fd < 0)
        c->log_fd = open("/dev/null", O_WRONLY | O_CLOEXEC);
}

/* What is said from here on is kept for who asks. */
static void stderr_to_log(const struct child *c)
{
    if (c->log_fd < 0)
        return;
    if (ftruncate(c->log_fd, 0) < 0)
        errno = 0; /* it is none of the kind */
    dup2(c->log_fd, STDERR_FILENO);
    close(c->log_fd);
}

static void ready(void *context)
{
    struct child *c = context;
    char yes = 'y';
    stderr_to_log(c);
    if (write(c->ready_fd, &yes, 1) != 1)
        return;
    close(c->ready_fd);
}

static int in_child(struct child *c, const struct machine_spec *spec,
                    const struct machine_saved *from)
{
    struct cli_watcher w = {.name = c->name, .named = open_log, .ready = ready, .context = c};
    struct gw_error err = {0};
    int pair[2];
    setsid();
    if (!c->o->spec.name)
        snprintf(c->name, sizeof c->name, "vm-%d", (int)getpid());
    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) < 0 ||
        dup2(pair[0], STDIN_FILENO) < 0 || dup2(pair[0], STDOUT_FILENO) < 0) {
        gw_fail(&err, GW_ERR_STATE, "-D", "cannot detach: %s", strerror(errno));
        return cli_start_failed(c->o, &err);
    }
    close(pair[0]);
    w.console_fd = pair[1];
    return cli_run_machine(c->o, spec, from, &w);
}

static int in_parent(const struct child *c, pid_t child)
{
    char yes;
    int status;
    ssize_t n;
    do
        n = read(c->ready_fd, &yes, 1);
    while (n < 0 && errno == EINTR);
    if (n == 1) {
        if (c->o->spec.name)
            puts(c->o->spec.name);
        else
            printf("vm-%d\n", (int)child);
        return 0;
    }
    while (waitpid(child, &status, 0) < 0 && errno == EINTR)
        ;
    return WIFEXITED(status) && WEXITSTATUS(status) ? WEXITSTATUS(status) : CLI_FAILURE;
}

int cli_detach(const struct cli_options *o, const struct machine_spec *spec,
               const struct machine_saved *from)
{
    struct child c = {.o = o, .log_fd = -1};
    struct gw_error err = {0};
    int fds[2], status;
    pid_t child;
    if (o->spec.name)
        snprintf(c.name, sizeof c.name, "%s", o->spec.name);
    if (o->spec.name && !ctl_name_is_fine(o->spec.name)) {
        gw_fail(&err, GW_ERR_ARG, o->spec.name,
                "cannot use the name: letters, digits, dots and dashes make a name");
        return cli_start_failed(o, &err);
    }
    if (pipe2(fds, O_CLOEXEC) < 0 || (child = fork()) < 0) {
        gw_fail(&err, GW_ERR_STATE, "-D", "cannot detach: %s", strerror(errno));
        return cli_start_failed(o, &err);
    }
    c.ready_fd = fds[child == 0];
    close(fds[child != 0]);
    status = child == 0 ? in_child(&c, spec, from) : in_parent(&c, child);
    return status;
}
