/* The verb run. */
#include <errno.h>
#include <fcntl.h>
#include <string.h>

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
    [MACHINE_ENDED_DUMP] = "dump",
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
    case MACHINE_ENDED_ERROR: return CLI_FAILURE;
    case MACHINE_ENDED_EXIT:
        if (wants_text)
            return CLI_STOP_TEXT_MISSED;
        return r->command_ended ? (int)r->code : guest_status(r->code);
    default: return wants_text ? CLI_STOP_TEXT_MISSED : 0;
    }
}

static struct machine_port port_of(const struct cli_port *p)
{
    static const enum machine_port_kind kinds[] = {[CLI_PORT_STDIO] = MACHINE_PORT_STDIO,
                                                   [CLI_PORT_FILE] = MACHINE_PORT_FILE,
                                                   [CLI_PORT_PTY] = MACHINE_PORT_PTY,
                                                   [CLI_PORT_UNIX] = MACHINE_PORT_UNIX};
    return (struct machine_port){.kind = kinds[p->kind], .path = p->path};
}

static void fill_firmware(struct machine_options *m, const struct cli_options *o)
{
    for (unsigned i = 0; i < o->port_count; i++)
        m->ports[i] = port_of(&o->ports[i]);
    for (unsigned i = 0; i < o->channel_count; i++)
        m->channels[i] = (struct machine_channel){.name = o->channels[i].name,
                                                  .port = port_of(&o->channels[i].port)};
    m->channel_count = o->channel_count;
    for (unsigned i = 0; i < CLI_FLASH_BANKS; i++)
        m->flash[i] = (struct machine_flash){.path = o->flash[i].path, .rw = o->flash[i].rw};
    for (unsigned i = 0; i < o->fw_cfg_count; i++)
        m->fw_cfg[i] = (struct machine_file){.path = o->fw_cfg[i].path, .name = o->fw_cfg[i].name};
    for (unsigned i = 0; i < o->load_count; i++)
        m->loads[i] = (struct machine_file){.path = o->loads[i].path, .at = o->loads[i].at};
}

static const struct gw_net_module *open_net(struct gw_error *err)
{
    void *symbol = cli_open_module(GW_NET_MODULE, GW_NET_MODULE_SYMBOL, err);
    if (!symbol)
        snprintf(err->hint, sizeof err->hint, "apt-get install libslirp-dev, and build again");
    return cli_interface(symbol, GW_NET_MODULE, GW_NET_API, err);
}

static void fill_net(struct machine_net *n, const struct cli_options *o)
{
    static const enum machine_net_kind kinds[] = {[CLI_NET_NONE] = MACHINE_NET_NONE,
                                                  [CLI_NET_USER] = MACHINE_NET_USER,
                                                  [CLI_NET_TAP] = MACHINE_NET_TAP,
                                                  [CLI_NET_SOCKET] = MACHINE_NET_SOCKET};
    n->kind = kinds[o->net.kind];
    if (!o->net.given && o->publish_count)
        n->kind = MACHINE_NET_USER;
    n->text = n->kind == MACHINE_NET_USER ? "user" : o->net.text;
    n->target = o->net.target;
    memcpy(n->mac, o->net.mac, sizeof n->mac);
    memcpy(n->publish, o->publish, o->publish_count * sizeof o->publish[0]);
    n->publish_count = o->publish_count;
}

static void fill(struct machine_options *m, const struct cli_options *o)
{
    *m = (struct machine_options){
        .kernel = o->kernel,
        .initrd = o->initrd,
        .append = o->append,
        .command = o->command,
        .bios = o->bios,
        .dtb = o->dtb,
        .dump_dtb = o->dump_dtb,
        .memory_bytes = o->memory_bytes,
        .cpus = (unsigned)o->cpus,
        .disk_count = o->disk_count,
        .port_count = o->port_count,
        .fw_cfg_count = o->fw_cfg_count,
        .load_count = o->load_count,
        .name = o->name,
        .cpu_model = o->cpu_model,
        .cpu_options = o->cpu_options,
        .interp = o->interp,
        .clock_insns = o->clock_insns || o->deterministic,
        .deterministic = o->deterministic,
        .seed = o->seed,
        .mips = o->mips,
        .timeout_ns = o->timeout_ns,
        .stop_insn = o->stop_insn,
        .stop_text = o->stop_text,
        .dump = o->dump,
        .dump_file = o->dump_file,
        .host_disasm = cli_host_disasm(o->dump),
        .stats = o->stats,
        .quiet = o->quiet,
        .verbose = (unsigned)o->verbose,
        .code_cache_bytes = o->code_cache_bytes,
        .max_guest_insns = (unsigned)o->max_block,
        .no_fold = o->no_fold,
        .fp_traps = o->fp_traps,
        .use_tlb = o->use_tlb,
        .no_packed_rings = o->no_packed_rings,
        .open_net = open_net,
        .open_snapshots = cli_snapshots,
        .save_at_end = o->save_at_end,
        .panic_pause = o->panic_pause,
        .panic_save = o->panic_save,
        .no_sandbox = o->no_sandbox,
    };
    for (unsigned i = 0; i < o->disk_count; i++)
        m->disks[i] = (struct machine_disk){.path = o->disks[i].path,
                                            .rw = o->disks[i].rw,
                                            .overlay = o->disks[i].overlay,
                                            .bytes_per_s = o->disks[i].bytes_per_s,
                                            .ops_per_s = o->disks[i].ops_per_s};
    fill_net(&m->net, o);
    fill_firmware(m, o);
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
    else if (r->ended == MACHINE_ENDED_PANIC && !o->quiet)
        fprintf(stderr, "godwit: the guest panicked\n");
    else if (o->stop_text && r->ended != MACHINE_ENDED_STOP_TEXT && !o->quiet)
        fprintf(stderr, "godwit: the run ended before --stop-text was met\n");
}

/* The card is the machine's; the ports that are published are the run's. */
static void fill_net_from(struct machine_net *n, const struct snap_manifest *s)
{
    n->text = s->net;
    if (!strncmp(s->net, "tap:", 4)) {
        n->kind = MACHINE_NET_TAP;
        n->target = s->net + 4;
    } else if (!strncmp(s->net, "socket:", 7)) {
        n->kind = MACHINE_NET_SOCKET;
        n->target = s->net + 7;
    } else {
        n->kind = MACHINE_NET_USER;
    }
    if (s->mac)
        cli_parse_mac(s->mac, n->mac);
}

/* What belongs to the machine is the snapshot's; what belongs to the run is this command's. */
static void fill_from(struct machine_options *m, const struct snap_manifest *s)
{
    m->kernel = s->kernel;
    m->initrd = s->initrd;
    m->append = s->append;
    m->command = s->command;
    m->bios = s->bios;
    m->dtb = s->dtb;
    m->memory_bytes = s->memory_bytes;
    m->cpus = s->cpus;
    m->cpu_model = s->cpu_model;
    m->cpu_options = s->cpu_options;
    m->clock_insns = s->clock_insns;
    m->mips = s->mips;
    m->deterministic = s->deterministic;
    m->seed = s->seed;
    if (!m->name)
        m->name = s->name;
    if (m->net.kind == MACHINE_NET_NONE && s->net)
        fill_net_from(&m->net, s);
    for (unsigned i = 0; i < s->flash_count && i < MACHINE_FLASH_BANKS; i++)
        m->flash[i] = (struct machine_flash){.path = s->flash[i].path, .rw = s->flash[i].rw};
    for (unsigned i = 0; i < s->fw_cfg_count; i++)
        m->fw_cfg[i] = (struct machine_file){.path = s->fw_cfg[i].path, .name = s->fw_cfg[i].name};
    for (unsigned i = 0; i < s->load_count; i++)
        m->loads[i] = (struct machine_file){.path = s->loads[i].path, .at = s->loads[i].at};
    m->fw_cfg_count = s->fw_cfg_count;
    m->load_count = s->load_count;
    if (s->second_port && m->port_count < 2) { /* it is there, and nobody listens */
        m->port_count = 2;
        m->ports[1] = (struct machine_port){.kind = MACHINE_PORT_FILE, .path = "/dev/null"};
    }
    if (m->disk_count)
        return;
    for (unsigned i = 0; i < s->disk_count; i++)
        m->disks[i] = (struct machine_disk){.path = s->disks[i].path,
                                            .rw = !strcmp(s->disks[i].mode, "rw"),
                                            .overlay = s->disks[i].overlay};
    m->disk_count = s->disk_count;
}

int cli_start_failed(const struct cli_options *o, const struct gw_error *err)
{
    struct cli_report report = {.ended = ended_names[MACHINE_ENDED_ERROR],
                                .status = cli_status_of(err->status)};
    cli_print_error(err);
    if (o->report)
        cli_write_report(o->report, &report, err);
    return report.status;
}

int cli_run(const struct cli_options *o)
{
    return cli_start_machine(o, NULL, NULL);
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
                                struct ctl_dir *dir, struct ctl_server **server,
                                struct gw_error *err)
{
    struct ctl_server_config cfg = {.dir = dir,
                                    .name = w->name,
                                    .console_fd = w->console_fd,
                                    .ready = w->ready,
                                    .context = w->context};
    enum gw_status st = ctl_dir_open(dir, o->run_dir, err);
    return st == GW_OK ? ctl_server_new(server, &cfg, err) : st;
}

int cli_run_machine(const struct cli_options *o, struct snap_reader *from,
                    const struct snap_manifest *manifest, const struct cli_watcher *watcher)
{
    struct machine_options options;
    struct machine_result result = {0};
    struct gw_error err = {0};
    struct ctl_dir dir = {.fd = -1};
    struct ctl_server *server = NULL;
    struct ctl_ended ended;
    struct cli_overhead share;
    const struct machine_api *api = cli_interface(
        cli_open_module(MACHINE_MODULE, MACHINE_SYMBOL, &err), MACHINE_MODULE, MACHINE_API, &err);
    enum gw_status st = api ? GW_OK : err.status;
    /* Before the machine is locked in. */
    int status, report_fd = o->report ? open(o->report, O_WRONLY | O_CREAT | O_CLOEXEC, 0666) : -1;
    fill(&options, o);
    if (st == GW_OK && o->report && report_fd < 0)
        st = gw_fail(&err, GW_ERR_STATE, o->report, "cannot write the report: %s", strerror(errno));
    options.restore = from;
    if (manifest)
        fill_from(&options, manifest);
    if (st == GW_OK)
        st = cli_share_overhead(&share, o->overhead_max, options.memory_bytes, &err);
    if (st == GW_OK && !options.code_cache_bytes)
        options.code_cache_bytes = share.code_cache_bytes;
    if (st == GW_OK)
        options.map_bytes = share.map_bytes;
    if (st == GW_OK && watcher->name)
        st = take_name(o, watcher, &dir, &server, &err);
    if (server)
        options.control = ctl_server_control(server);
    if (st == GW_OK)
        st = api->run(&options, &result, &err);
    if (st != GW_OK) {
        cli_print_error(&err);
        status = cli_status_of(st);
    } else {
        explain(&result, o);
        status = exit_status(&result, o->stop_text != NULL, options.command);
        if (!command_ran(&result, options.command, &err)) {
            cli_print_error(&err);
            status = cli_status_of(err.status);
        }
    }
    status = report_end(o, report_fd, &result, status, &err);
    ended = (struct ctl_ended){.status = status, .insns = result.insns};
    snprintf(ended.how, sizeof ended.how, "%s", ended_names[result.ended]);
    ctl_server_end(server, &ended);
    ctl_dir_close(&dir);
    return status;
}

int cli_start_machine(const struct cli_options *o, struct snap_reader *from,
                      const struct snap_manifest *manifest)
{
    struct cli_watcher w = {.name = o->name, .console_fd = -1};
    return o->detach ? cli_detach(o, from, manifest) : cli_run_machine(o, from, manifest, &w);
}
