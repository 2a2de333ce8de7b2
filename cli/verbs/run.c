/* The verb run. */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cli/cli.h"
#include "control/control.h"
#include "cli/host_disasm.h"
#include "machine/machine.h"
#include "snapshot/snapshot.h"

static const char *const ended_names[] = {
    [MACHINE_ENDED_ERROR] = "error",         [MACHINE_ENDED_POWEROFF] = "poweroff",
    [MACHINE_ENDED_EXIT] = "exit",           [MACHINE_ENDED_SIGNAL] = "signal",
    [MACHINE_ENDED_PANIC] = "panic",         [MACHINE_ENDED_TIMEOUT] = "timeout",
    [MACHINE_ENDED_STOP_TEXT] = "stop-text", [MACHINE_ENDED_STOP_INSN] = "stop-insn",
    [MACHINE_ENDED_QUIT] = "quit",           [MACHINE_ENDED_STOPPED] = "stop",
    [MACHINE_ENDED_DUMP] = "dump",           [MACHINE_ENDED_KILLED] = "killed",
};

/* A code whose low byte is 0 would read as success. */
static int guest_status(unsigned code)
{
    return code && !(code & 0xff) ? 1 : (int)(code & 0xff);
}

/* The machine came to its end, and of the command's nobody said anything. */
static bool command_lost(const struct machine_result *r, const char *command)
{
    if (!command || r->command_ended)
        return false;
    return r->ended == MACHINE_ENDED_POWEROFF || r->ended == MACHINE_ENDED_EXIT ||
           r->ended == MACHINE_ENDED_STOPPED || r->ended == MACHINE_ENDED_QUIT;
}

static int exit_status(const struct machine_result *r, bool wants_text, const char *command)
{
    if (command_lost(r, command))
        return CLI_FAILURE;
    switch (r->ended) {
    case MACHINE_ENDED_STOP_TEXT:
    case MACHINE_ENDED_DUMP: return 0;
    case MACHINE_ENDED_PANIC: return CLI_PANIC;
    case MACHINE_ENDED_TIMEOUT: return CLI_TIMEOUT;
    case MACHINE_ENDED_SIGNAL: return 128 + r->signal;
    case MACHINE_ENDED_KILLED: return 128 + SIGKILL;
    case MACHINE_ENDED_ERROR: return CLI_FAILURE;
    case MACHINE_ENDED_EXIT:
        if (wants_text)
            return CLI_STOP_TEXT_MISSED;
        return r->command_ended ? (int)r->code : guest_status(r->code);
    default: return wants_text ? CLI_STOP_TEXT_MISSED : 0;
    }
}

static const struct gw_net_module *open_net(struct gw_error *err)
{
    void *symbol = cli_open_module(GW_NET_MODULE, GW_NET_MODULE_SYMBOL, err);
    if (!symbol)
        snprintf(err->hint, sizeof err->hint, "apt-get install libslirp-dev, and build again");
    return cli_interface(symbol, GW_NET_MODULE, GW_NET_API, err);
}

/* False, and *err, when the run is a failure because the command has no status of its own. */
static bool command_ran(const struct machine_result *r, const char *command, struct gw_error *err)
{
    char word[sizeof err->object];
    size_t n = 0;
    if (command_lost(r, command)) {
        gw_fail(err, GW_ERR_STATE, "", "the machine ended before the command did");
        return false;
    }
    if (!r->command_ended || !r->command_errno)
        return true;
    for (const char *p = command; *p && *p != ' ' && n + 1 < sizeof word; p++)
        word[n++] = *p == '\\' && p[1] ? *++p : *p;
    word[n] = 0;
    /* Linux's numbers are those of x86-64 and of riscv64 alike for what execve() says. */
    gw_fail(err, r->command_errno == ENOENT ? GW_ERR_NOTFOUND : GW_ERR_UNSUPPORTED, word,
            "cannot run in the guest: %s", strerror(r->command_errno));
    return false;
}

static void explain(const struct machine_result *r, const struct cli_options *o)
{
    if (r->ended == MACHINE_ENDED_TIMEOUT)
        fprintf(stderr, "godwit: ended by --timeout\n");
    else if (r->ended == MACHINE_ENDED_PANIC && !o->spec.quiet)
        fprintf(stderr, "godwit: the guest panicked\n");
    else if (o->spec.stop_text && r->ended != MACHINE_ENDED_STOP_TEXT && !o->spec.quiet)
        fprintf(stderr, "godwit: the run ended before --stop-text was met\n");
}

int cli_run(const struct cli_options *o)
{
    return cli_start_machine(o, &o->spec, NULL);
}

static int report_end(const struct cli_options *o, int fd, const struct machine_result *r,
                      int status, const struct gw_error *err)
{
    struct cli_report report = {.ended = ended_names[r->ended],
                                .status = status,
                                .signal = r->signal,
                                .insns = r->insns,
                                .wall_ns = r->wall_ns,
                                .overhead_bytes = r->overhead_bytes,
                                .peak_rss_bytes = r->peak_rss_bytes};
    if (o->report && fd >= 0 && !cli_write_report_to(fd, o->report, &report, err) && status == 0)
        return CLI_FAILURE;
    return status;
}

/* A machine with a name can be reached by it while it runs. */
static enum gw_status take_name(const struct cli_options *o, const struct cli_watcher *w,
                                const char *grants, struct ctl_dir *dir, struct ctl_server **server,
                                struct gw_error *err)
{
    struct ctl_server_config cfg = {.dir = dir,
                                    .name = w->name,
                                    .grants = grants,
                                    .console_fd = w->console_fd,
                                    .ready = w->ready,
                                    .context = w->context};
    enum gw_status st = ctl_dir_open(dir, o->run_dir, err);
    return st == GW_OK ? ctl_server_new(server, &cfg, err) : st;
}

/* What the command says beside the machine's description, which is a copy of its own. */
static enum gw_status share_out(struct machine_options *m, const struct machine_spec *spec,
                                struct gw_error *err)
{
    struct cli_overhead share;
    enum gw_status st = cli_share_overhead(&share, spec->overhead_max, spec->memory_bytes, err);
    if (st != GW_OK)
        return st;
    m->code_cache_bytes = spec->code_cache_bytes ? spec->code_cache_bytes : share.code_cache_bytes;
    m->map_bytes = share.map_bytes;
    return GW_OK;
}

enum gw_status cli_machine_module(const struct machine_api **api, struct gw_error *err)
{
    *api = cli_interface(cli_open_module(MACHINE_MODULE, MACHINE_SYMBOL, err), MACHINE_MODULE,
                         MACHINE_API, err);
    return *api ? GW_OK : err->status;
}

/* Before the machine is locked in. */
static enum gw_status open_report(const struct cli_options *o, int *fd, struct gw_error *err)
{
    *fd = o->report ? open(o->report, O_WRONLY | O_CREAT | O_CLOEXEC, 0666) : -1;
    if (o->report && *fd < 0)
        return gw_fail(err, GW_ERR_STATE, o->report, "cannot write the report: %s",
                       strerror(errno));
    return GW_OK;
}

/* What the guest said is its work, and a listing what its user wanted. */
static int lost_status(const struct machine_result *r, const char *dump_file)
{
    int dump = cli_print_lost("the dump", dump_file, r->dump_error);
    if (!r->output_error)
        return dump;
    return r->output_error == EPIPE ? 128 + SIGPIPE : CLI_FAILURE;
}

/* Runs it, and says what there is to say of its end; returns the exit status. */
static int run_and_explain(const struct machine_api *api, const struct machine_options *options,
                           const struct cli_options *o, struct machine_result *result,
                           struct gw_error *err)
{
    const char *command = options->spec->command;
    enum gw_status st = api->run(options, result, err);
    int status;
    if (st == GW_OK) {
        explain(result, o);
        if (command_ran(result, command, err)) {
            int lost = lost_status(result, o->spec.dump_file);
            status = exit_status(result, o->spec.stop_text != NULL, command);
            return status ? status : lost;
        }
        st = err->status;
    }
    cli_print_error(err);
    return cli_status_of(st);
}

/* Who is to be told of the end where the run does not return. */
struct cut {
    const struct cli_options *o;
    const char *command;
    struct ctl_server *server;
    int report_fd;
};

/* The machine's control thread. Standard error may be what the others wait for. */
static void cut_off(void *context, const struct machine_result *r)
{
    static const char late[] = "godwit: error: the machine did not come to its end: cut off\n";
    static const char killed[] = "godwit: killed\n";
    const struct cut *c = context;
    const char *text = r->ended == MACHINE_ENDED_KILLED ? killed : late;
    struct pollfd err = {.fd = STDERR_FILENO, .events = POLLOUT};
    struct ctl_ended ended = {.status = exit_status(r, c->o->spec.stop_text != NULL, c->command),
                              .insns = r->insns};
    snprintf(ended.how, sizeof ended.how, "%s", ended_names[r->ended]);
    ctl_server_cut(c->server, &ended); /* first: the others may be on what the host holds */
    if (poll(&err, 1, 0) == 1 && write(STDERR_FILENO, text, strlen(text)) < 0)
        errno = 0; /* nobody can be told */
    report_end(c->o, c->report_fd, r, ended.status, NULL);
    _exit(ended.status);
}

int cli_run_machine(const struct cli_options *o, const struct machine_spec *spec,
                    const struct machine_saved *from, const struct cli_watcher *watcher)
{
    struct cut cut = {.o = o, .report_fd = -1};
    struct machine_options options = {.spec = spec,
                                      .cut = cut_off,
                                      .cut_context = &cut,
                                      .host_disasm = cli_host_disasm(o->spec.dump),
                                      .open_net = open_net,
                                      .open_snapshots = cli_snapshots,
                                      .restore = from,
                                      .detached = watcher->console_fd >= 0};
    struct machine_result result = {0};
    struct gw_error err = {0};
    struct ctl_dir dir = {.fd = -1};
    struct ctl_server *server = NULL;
    struct ctl_ended ended;
    const struct machine_api *api = NULL;
    int status, report_fd = -1;
    char *grants = watcher->name ? spec_grants(spec, from ? from->withheld : NULL) : NULL;
    enum gw_status st = open_report(o, &report_fd, &err);
    if (st == GW_OK)
        st = cli_machine_module(&api, &err);
    if (st == GW_OK)
        st = share_out(&options, spec, &err);
    if (st == GW_OK && watcher->name)
        st = take_name(o, watcher, grants, &dir, &server, &err);
    if (st == GW_OK && watcher->named)
        watcher->named(watcher->context);
    if (server)
        options.control = ctl_server_control(server);
    cut.server = server;
    cut.command = spec->command;
    cut.report_fd = report_fd;
    if (st == GW_OK) {
        status = run_and_explain(api, &options, o, &result, &err);
    } else {
        cli_print_error(&err);
        status = cli_status_of(st);
    }
    status = report_end(o, report_fd, &result, status, &err);
    ended = (struct ctl_ended){.status = status, .insns = result.insns};
    snprintf(ended.how, sizeof ended.how, "%s", ended_names[result.ended]);
    ctl_server_end(server, &ended);
    ctl_dir_close(&dir);
    free(grants);
    return status;
}

int cli_start_machine(const struct cli_options *o, const struct machine_spec *spec,
                      const struct machine_saved *from)
{
    struct cli_watcher w = {.name = o->spec.name, .console_fd = -1};
    return o->detach ? cli_detach(o, spec, from) : cli_run_machine(o, spec, from, &w);
}
