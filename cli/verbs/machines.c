/* The verbs that act on running machines by name. */
#include <errno.h>
#include <inttypes.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/pidfd.h>
#include <time.h>
#include <unistd.h>

#include "cli/cli.h"
#include "control/control.h"
#include "godwit/plain.h"
#include "snapshot/snapshot.h"

/* Machines look up from their guests every few microseconds; a save may hold them for seconds. */
/* A list of them waits so long for all of its answers, and at least so long for each. */
enum { LIST_MS = 2000, LISTED_MS = 200 };
enum { SOON_MS = 30000, STOP_MS = 60000, ENDING_MS = 2000, GONE_MS = 10000 };
/* Of stop --force, which is done within a second: for the machine's own end, and the kernel's. */
enum { KILL_MS = 400, DEAD_MS = 500 };

static int failed(const struct gw_error *err)
{
    cli_print_error(err);
    return cli_status_of(err->status);
}

static void print_line(void *context, const char *text)
{
    puts(GW_PLAIN(text));
}

/* ---- ps ------------------------------------------------------------------------------------- */

struct row {
    char state[16];
    char status[12]; /* of one that has ended, where it left word; else empty */
    uint64_t insns, vm_ns, memory_bytes;
};

static void row_line(void *context, const char *text)
{
    struct row *r = context;
    sscanf(text, "state=%15s", r->state);
    sscanf(text, "insns=%" SCNu64, &r->insns);
    sscanf(text, "vm_ns=%" SCNu64, &r->vm_ns);
    sscanf(text, "memory_bytes=%" SCNu64, &r->memory_bytes);
}

/* How a machine is called by itself: letters and dashes, or it makes no sense. */
static const char *known_word(const char *word)
{
    return word[strspn(word, "abcdefghijklmnopqrstuvwxyz-")] ? "unknown" : word;
}

static void print_row(const struct cli_options *o, const char *name, int pid, const struct row *r,
                      unsigned *lines)
{
    if (o->json)
        printf("%s\n  {\"name\": \"%s\", \"pid\": %d, \"state\": \"%s\", \"status\": %s"
               ", \"insns\": %" PRIu64 ", \"vm_ns\": %" PRIu64 ", \"memory_bytes\": %" PRIu64 "}",
               *lines ? "," : "[", name, pid, known_word(r->state),
               r->status[0] ? r->status : "null", r->insns, r->vm_ns, r->memory_bytes);
    else
        printf("%-20s %8d  %-10s %6s %16" PRIu64 " %9" PRIu64 ".%01" PRIu64 "s %7" PRIu64 "M\n",
               name, pid, known_word(r->state), r->status[0] ? r->status : "-", r->insns,
               r->vm_ns / 1000000000u, r->vm_ns / 100000000u % 10, r->memory_bytes >> 20);
    ++*lines;
}

static int64_t now_ms(void)
{
    struct timespec ts;
    clock_gettime(CLOCK_MONOTONIC, &ts);
    return (int64_t)ts.tv_sec * 1000 + ts.tv_nsec / 1000000;
}

/* Machines that answer do so at once; those whose processes are held must not hide the others. */
static void list_one(const struct cli_options *o, const struct ctl_dir *d, const char *name,
                     int64_t until, unsigned *lines)
{
    int64_t left = until - now_ms();
    struct row r = {.state = "busy"};
    struct gw_error err;
    struct ctl_ended e;
    int fd, pid = 0;
    if (!ctl_name_is_fine(name))
        return;
    if (ctl_name_is_taken(d, name)) {
        if (ctl_connect(d, name, &fd, &err) == GW_OK) {
            pid = ctl_peer_pid(fd);
            ctl_ask(fd, name, "status", left > LISTED_MS ? (int)left : LISTED_MS, row_line, &r,
                    &err);
            close(fd);
        }
        print_row(o, name, pid, &r, lines);
    } else if (o->all) {
        bool known = ctl_ended_read(d, name, &e);
        snprintf(r.state, sizeof r.state, "%.15s", known ? e.how : "killed");
        if (known)
            snprintf(r.status, sizeof r.status, "%d", e.status);
        r.insns = known ? e.insns : 0;
        print_row(o, name, 0, &r, lines);
    }
}

int cli_ps(const struct cli_options *o)
{
    struct gw_error err = {0};
    struct ctl_dir d;
    unsigned lines = 0;
    char **names;
    int64_t until;
    size_t n;
    if (ctl_dir_open(&d, o->run_dir, &err) != GW_OK)
        return failed(&err);
    n = ctl_names(&d, &names);
    until = now_ms() + LIST_MS;
    if (!o->json)
        printf("%-20s %8s  %-10s %6s %16s %12s %8s\n", "NAME", "PID", "STATE", "STATUS",
               "INSTRUCTIONS", "TIME", "MEMORY");
    for (size_t i = 0; i < n; i++) {
        list_one(o, &d, names[i], until, &lines);
        free(names[i]);
    }
    free(names);
    if (o->json)
        puts(lines ? "\n]" : "[]");
    ctl_dir_close(&d);
    return 0;
}

/* ---- one machine ---------------------------------------------------------------------------- */

static void ended_line(void *context, const char *text)
{
    struct ctl_ended *e = context;
    sscanf(text, "ended=%23s", e->how);
    sscanf(text, "status=%d", &e->status);
    sscanf(text, "insns=%" SCNu64, &e->insns);
}

static int say_ended(const struct cli_options *o, const struct ctl_ended *e)
{
    if (o->json)
        printf("{\"ended\": \"%s\", \"status\": %d, \"insns\": %" PRIu64 "}\n", known_word(e->how),
               e->status, e->insns);
    return e->status;
}

/* Until the process is gone, at most: what it had to say of its end is said before that. */
static void let_it_go(const struct ctl_dir *d, const char *name, unsigned ms)
{
    for (unsigned n = 0; n < ms && ctl_name_is_taken(d, name); n += 10)
        usleep(10000);
}

/* A machine that ended before we looked left word of it. */
static int wait_for(const struct cli_options *o, const struct ctl_dir *d, const char *name)
{
    struct gw_error err = {0};
    struct ctl_ended e = {.how = ""};
    enum gw_status st = GW_OK;
    int fd = -1;
    if (ctl_name_is_fine(name) && !ctl_name_is_taken(d, name) && ctl_ended_read(d, name, &e))
        return say_ended(o, &e);
    st = ctl_connect(d, name, &fd, &err);
    if (st == GW_OK)
        st = ctl_ask(fd, name, "wait", -1, ended_line, &e, &err);
    if (fd >= 0)
        close(fd);
    /* It says so, or takes its socket away, a little before its name is free again. */
    if (ctl_name_is_fine(name))
        let_it_go(d, name, ENDING_MS);
    if (st != GW_OK && !ctl_ended_read(d, name, &e))
        return failed(&err);
    return say_ended(o, &e);
}

/* Its control thread ends it, so that how it ended is known; where that does not, the kernel does. The
 * process is waited for, since it has what the next one may want: its disks. */
static enum gw_status kill_it(const struct ctl_dir *d, const char *name, int fd,
                              struct gw_error *err)
{
    int pid = ctl_peer_pid(fd), process = pid > 1 ? pidfd_open(pid, 0) : -1;
    struct pollfd p = {.fd = process, .events = POLLIN};
    bool gone;
    if (process < 0)
        return gw_fail(err, GW_ERR_STATE, name, "cannot kill the machine: %s", strerror(errno));
    if (ctl_ask(fd, name, "kill", KILL_MS, NULL, NULL, NULL) != GW_OK &&
        pidfd_send_signal(process, SIGKILL, NULL, 0) < 0 && errno != ESRCH) {
        int e = errno;
        close(process);
        return gw_fail(err, GW_ERR_STATE, name, "cannot kill the machine: %s", strerror(e));
    }
    gone = poll(&p, 1, DEAD_MS) == 1;
    close(process);
    ctl_name_tidy(d, name);
    if (!gone && ctl_name_is_taken(d, name))
        return gw_fail(err, GW_ERR_STATE, name,
                       "killed, but the host still holds process %d in a call of its own", pid);
    if (!gone)
        fprintf(stderr,
                "godwit: note: %s: the host still holds process %d, and its files with it\n", name,
                pid);
    return GW_OK;
}

static enum gw_status stop_it(const struct ctl_dir *d, const char *name, int fd,
                              struct gw_error *err)
{
    enum gw_status st = ctl_ask(fd, name, "stop", SOON_MS, NULL, NULL, err);
    if (st != GW_OK) {
        snprintf(err->hint, sizeof err->hint, "godwit stop --force %s", name);
        return st;
    }
    /* Its end closes the connection where it does not answer; then the name is free. */
    ctl_ask(fd, name, "wait", STOP_MS, NULL, NULL, NULL);
    let_it_go(d, name, GONE_MS);
    return GW_OK;
}

static int stop(const struct cli_options *o, const struct ctl_dir *d, const char *name)
{
    struct gw_error err = {0};
    enum gw_status st;
    int fd;
    st = ctl_connect(d, name, &fd, &err);
    if (st != GW_OK)
        return failed(&err);
    st = o->force ? kill_it(d, name, fd, &err) : stop_it(d, name, fd, &err);
    close(fd);
    return st == GW_OK ? 0 : failed(&err);
}

/* What the machine wrote is not looked at: it may use what it was started with, and no word of its own
 * adds to that. A file that cannot be sealed is a snapshot all the same. */
static void seal(const struct snap_api *api, const struct ctl_dir *d, const char *name, int file,
                 const char *path)
{
    char *grants = ctl_grants_read(d, name);
    struct gw_error err = {0};
    struct snap_key key;
    enum gw_status st = grants ? api->key_make(&key, NULL, &err)
                               : gw_fail(&err, GW_ERR_STATE, name, "what it may use is not known");
    if (st == GW_OK) {
        st = api->seal_put(file, path, &key, grants, &err);
        api->key_forget(&key);
    }
    if (st != GW_OK)
        fprintf(stderr, "godwit: note: %s is not sealed: %s: %s\n", GW_PLAIN(path),
                GW_PLAIN(err.object), GW_PLAIN(err.message));
    free(grants);
}

/* The machine writes, and may open nothing: the file is ours to make, and to name once it is whole. */
static enum gw_status save_over(const struct ctl_dir *d, int fd, const char *name,
                                const char *request, const char *path, struct gw_error *err)
{
    const struct snap_api *api = cli_snapshots(err);
    struct snap_file_new *file;
    enum gw_status st;
    if (!api)
        return err->status;
    st = api->file_open(&file, path, err);
    if (st != GW_OK)
        return st;
    st = ctl_ask_with_file(fd, name, request, api->file_fd(file), err);
    if (st == GW_OK) {
        seal(api, d, name, api->file_fd(file), path);
        return api->file_keep(file, err);
    }
    api->file_drop(file);
    return st;
}

static int save(const struct ctl_dir *d, const char *name, const char *file)
{
    struct gw_error err = {0};
    char request[CTL_LINE_BYTES], here[CTL_LINE_BYTES / 2];
    enum gw_status st;
    int fd, n;
    if (file[0] == '/' || !getcwd(here, sizeof here))
        here[0] = 0;
    /* In messages of the machine's log, whose directory is another. */
    n = snprintf(request, sizeof request, "save %s%s%s", here, here[0] ? "/" : "", file);
    if (n < 0 || (size_t)n >= sizeof request - 32) {
        gw_fail(&err, GW_ERR_ARG, file, "cannot save there: the name is too long");
        return failed(&err);
    }
    st = ctl_connect(d, name, &fd, &err);
    if (st != GW_OK)
        return failed(&err);
    st = save_over(d, fd, name, request, file, &err);
    close(fd);
    return st == GW_OK ? 0 : failed(&err);
}

static int ask(const struct ctl_dir *d, const char *name, const char *request)
{
    struct gw_error err = {0};
    enum gw_status st;
    int fd;
    st = ctl_connect(d, name, &fd, &err);
    if (st != GW_OK)
        return failed(&err);
    st = ctl_ask(fd, name, request, SOON_MS, print_line, NULL, &err);
    close(fd);
    return st == GW_OK ? 0 : failed(&err);
}

static int run_verb(const struct cli_options *o, const struct ctl_dir *d, enum cli_verb verb)
{
    const char *name = o->args[0];
    struct gw_error err = {0};
    switch (verb) {
    case VERB_PAUSE: return ask(d, name, "pause");
    case VERB_RESUME: return ask(d, name, "resume");
    case VERB_RESET: return ask(d, name, "reset");
    case VERB_STATS: return ask(d, name, "stats");
    case VERB_STOP: return stop(o, d, name);
    case VERB_WAIT: return wait_for(o, d, name);
    case VERB_SAVE: return save(d, name, o->args[1]);
    default: return ctl_name_remove(d, name, &err) == GW_OK ? 0 : failed(&err);
    }
}

int cli_machine_verb(const struct cli_options *o, enum cli_verb verb)
{
    struct gw_error err = {0};
    struct ctl_dir d;
    int status;
    if (ctl_dir_open(&d, o->run_dir, &err) != GW_OK)
        return failed(&err);
    status = run_verb(o, &d, verb);
    ctl_dir_close(&d);
    return status;
}
