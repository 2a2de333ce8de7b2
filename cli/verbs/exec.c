/* The verb exec: from options to user mode, and from the program's end to ours. */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/auxv.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

#include "cli/cli.h"
#include "cli/host_disasm.h"
#include "cli/verbs/exec_stats.h"
#include "usermode/usermode.h"

#define CROSS_DIR "/usr/riscv64-linux-gnu"

static uint64_t now_ns(void)
{
    struct timespec ts;
    clock_gettime(CLOCK_MONOTONIC, &ts);
    return (uint64_t)ts.tv_sec * 1000000000u + (uint64_t)ts.tv_nsec;
}

static int start_status(enum gw_status s)
{
    /* too many arguments is the program's trouble here, not ours */
    return s == GW_ERR_LIMIT ? CLI_CANNOT_RUN : cli_status_of(s);
}

/* Does entry ("A=b") set name (of len bytes)? */
static bool names(const char *entry, const char *name, size_t len)
{
    return strncmp(entry, name, len) == 0 && entry[len] == '=';
}

/* Ours less -U, with -E; NULL: out of memory. */
static char **make_env(const struct cli_options *o)
{
    unsigned n = 0, k = 0;
    while (environ[n])
        n++;
    char **v = malloc((n + o->setenv_count + 1) * sizeof *v);
    if (!v)
        return NULL;
    for (unsigned i = 0; i < n; i++) {
        bool keep = true;
        for (unsigned j = 0; j < o->unsetenv_count; j++)
            keep &= !names(environ[i], o->unsetenv[j], strlen(o->unsetenv[j]));
        for (unsigned j = 0; j < o->setenv_count; j++)
            keep &= !names(environ[i], o->setenv[j], strcspn(o->setenv[j], "="));
        if (keep)
            v[k++] = environ[i];
    }
    for (unsigned j = 0; j < o->setenv_count; j++)
        v[k++] = (char *)(uintptr_t)o->setenv[j];
    v[k] = NULL;
    return v;
}

static char **make_argv(const struct cli_options *o)
{
    unsigned n = 0;
    while (o->args[n])
        n++;
    char **v = malloc((n + 1) * sizeof *v);
    if (!v)
        return NULL;
    memcpy(v, o->args, (n + 1) * sizeof *v);
    if (o->argv0)
        v[0] = (char *)(uintptr_t)o->argv0;
    return v;
}

/* How a guest's execve starts us again: the options that outlive it. */
struct self_words {
    char *words[32];
    unsigned count;
    char *once[4]; /* for the process that was started alone */
    char *cpu;     /* freed at the end */
    char fd[48], self[16], report[PATH_MAX];
    char stack[24], space[24], seed[24], pages[24];
};

static void add_word(struct self_words *w, const char *text)
{
    w->words[w->count++] = (char *)(uintptr_t)text;
    w->words[w->count] = NULL;
}

static void add_number(struct self_words *w, const char *option, char text[24], uint64_t value)
{
    snprintf(text, 24, "%llu", (unsigned long long)value);
    add_word(w, option);
    add_word(w, text);
}

static void make_self(struct self_words *w, const struct cli_options *o,
                      const struct um_config *cfg)
{
    w->count = 0;
    add_word(w, "godwit");
    add_word(w, "exec");
    if (cfg->sysroot) {
        add_word(w, "-L");
        add_word(w, cfg->sysroot);
    }
    if (o->spec.engine == SPEC_ENGINE_INTERP) {
        add_word(w, "--engine");
        add_word(w, "interp");
    }
    w->cpu = spec_option_print(spec_machine, &o->spec, spec_find_option(spec_machine, "cpu"), 0);
    if (w->cpu) {
        add_word(w, "--cpu");
        add_word(w, w->cpu);
    }
    if (o->strace && !o->strace_file) {
        add_word(w, "--strace");
    } else if (o->strace) {
        /* The same open file, which the new program inherits. */
        snprintf(w->fd, sizeof w->fd, "--strace=/dev/fd/%d", cfg->strace_fd);
        add_word(w, w->fd);
    }
    if (cfg->self_fd > 0) {
        snprintf(w->self, sizeof w->self, "%d", cfg->self_fd);
        add_word(w, "--self-fd");
        add_word(w, w->self);
    }
    if (o->uname) {
        add_word(w, "--uname");
        add_word(w, o->uname);
    }
    if (o->seeded)
        add_number(w, "--seed", w->seed, o->seed);
    if (o->stack_bytes)
        add_number(w, "--stack-size", w->stack, o->stack_bytes);
    if (o->space_bytes)
        add_number(w, "--address-space", w->space, o->space_bytes);
    if (o->host_pages)
        add_number(w, "--host-pages", w->pages, o->host_pages);
    if (o->allow_clock)
        add_word(w, "--allow-clock");
    if (o->spec.quiet)
        add_word(w, "-q");
    unsigned n = 0;
    if (o->report) {
        w->once[n++] = "--report";
        w->once[n++] = w->report;
    }
    if (o->spec.stats)
        w->once[n++] = "--stats";
    w->once[n] = NULL;
}

/* The guest may change the working directory. */
static void report_path(struct self_words *w, const struct cli_options *o)
{
    size_t len = 0;
    w->report[0] = 0;
    if (!o->report)
        return;
    if (o->report[0] != '/' && getcwd(w->report, sizeof w->report)) {
        len = strlen(w->report);
        if (len + strlen(o->report) + 2 > sizeof w->report)
            len = 0; /* too long: as it was given */
        else
            w->report[len++] = '/';
    }
    snprintf(w->report + len, sizeof w->report - len, "%s", o->report);
}

/* A descriptor above those that programs count on; it stays open over execve. fd is closed. */
static int move_high(int fd)
{
    enum { HIGH = 900 };
    int high = fd < 0 ? -1 : fcntl(fd, F_DUPFD, HIGH);
    if (high < 0)
        return fd;
    close(fd);
    return high;
}

static int open_high(const char *path, struct gw_error *err)
{
    int fd = move_high(cli_open_to_write(path, O_APPEND));
    if (fd < 0)
        gw_fail(err, GW_ERR_ARG, path, "cannot write: %s", strerror(errno));
    return fd;
}

/* Nothing of the host's has a name there: what is needed later is opened before. */
static enum gw_status enter_root(const struct cli_options *o, struct um_config *cfg,
                                 struct self_words *self, struct gw_error *err)
{
    if (!o->root)
        return GW_OK;
    if (o->report) {
        cfg->report_fd = move_high(cli_open_to_write(self->report, 0));
        if (cfg->report_fd < 0)
            return gw_fail(err, GW_ERR_ARG, o->report, "cannot write the report: %s",
                           strerror(errno));
        snprintf(self->report, sizeof self->report, "/dev/fd/%d", cfg->report_fd);
    }
    cfg->self_fd = move_high(cli_open_beside("godwit-exec"));
    if (cfg->self_fd < 0 && !cfg->quiet)
        fprintf(stderr, "godwit: note: no godwit-exec lies beside the program: what it starts in "
                        "another root does not start\n");
    if (chroot(o->root) || chdir("/"))
        return gw_fail(err, GW_ERR_ARG, o->root, "cannot change the root directory: %s",
                       strerror(errno));
    return GW_OK;
}

/* The kernel has opened the program, which we may have no right to read, or no name for. What starts us
 * again must outlive a change of the root directory; without /proc the kernel starts us again. */
static void by_kernel(struct um_config *cfg)
{
    int fd = (int)getauxval(AT_EXECFD);
    cfg->program_fd = fd > STDERR_FILENO ? fd : -1;
    cfg->self_fd = move_high(open("/proc/self/exe", O_PATH));
}

/* Where nobody names a sysroot: the variables for it, and the place of Debian's cross C library, unless the
 * host can itself start a guest's program. A program that runs with rights of its file's owner is not to
 * be given its libraries by who starts it. */
static const char *find_sysroot(const struct cli_options *o)
{
    static const char *const variables[] = {"GODWIT_SYSROOT", "QEMU_LD_PREFIX"};
    if (o->sysroot || o->root || o->self_fd)
        return o->sysroot && o->sysroot[0] ? o->sysroot : NULL;
    for (unsigned i = 0; i < sizeof variables / sizeof *variables; i++) {
        const char *dir = secure_getenv(variables[i]);
        if (dir)
            return dir[0] ? dir : NULL;
    }
    if (access(UM_LINKER, F_OK) != 0 && access(CROSS_DIR UM_LINKER, F_OK) == 0)
        return CROSS_DIR;
    return NULL;
}

static void no_core(void)
{
    /* Ours would be of no use to the guest's author. */
    struct rlimit none = {0, 0};
    setrlimit(RLIMIT_CORE, &none);
}

static int lost_status(const struct cli_options *o, const struct um_result *r)
{
    int trace = 0, dump = 0;
    if (!r->child) {
        trace =
            cli_print_lost("what the program asks of the kernel", o->strace_file, r->strace_error);
        dump = cli_print_lost("the dump", o->spec.dump_file, r->dump_error);
    }
    return trace ? trace : dump;
}

static int end(const struct cli_options *o, const char *report, const struct um_result *r,
               uint64_t wall_ns)
{
    static const char *const endings[] = {[UM_EXIT] = "exit",
                                          [UM_SIGNAL] = "signal",
                                          [UM_TIMEOUT] = "timeout",
                                          [UM_STOP_INSN] = "stop-insn"};
    struct cli_report rep = {.ended = endings[r->ending],
                             .insns = r->insns,
                             .wall_ns = wall_ns,
                             .overhead_bytes = r->overhead_bytes};
    if (r->ending == UM_EXIT)
        rep.status = r->status;
    else if (r->ending == UM_TIMEOUT)
        rep.status = CLI_TIMEOUT;
    else if (r->ending == UM_SIGNAL) {
        rep.signal = r->signal;
        rep.status = 128 + r->signal;
    }
    int lost = lost_status(o, r);
    if (!rep.status)
        rep.status = lost;
    if (report[0] && !r->child && !cli_write_report(report, &rep, NULL))
        return CLI_FAILURE;
    if (r->ending == UM_SIGNAL) {
        no_core();
        um_raise(r->signal);
    }
    return rep.status;
}

static int run(const struct cli_options *o, struct um_config *cfg, struct self_words *self)
{
    struct gw_error err = {GW_OK, "", "", ""};
    struct um_result r = {.ending = UM_EXIT};
    enum gw_status s = GW_OK;
    cfg->strace_fd = o->strace ? STDERR_FILENO : -1;
    cfg->dump_fd = STDERR_FILENO;
    if (o->strace_file)
        s = (cfg->strace_fd = open_high(o->strace_file, &err)) < 0 ? GW_ERR_ARG : GW_OK;
    if (!s && o->spec.dump_file)
        s = (cfg->dump_fd = open_high(o->spec.dump_file, &err)) < 0 ? GW_ERR_ARG : GW_OK;
    report_path(self, o);
    sscanf(self->report, "/dev/fd/%d", &cfg->report_fd); /* who entered another root opened it */
    if (!s)
        s = enter_root(o, cfg, self, &err);
    make_self(self, o, cfg);
    cfg->self_argv = o->by_kernel && cfg->self_fd < 0 ? NULL : self->words;
    cfg->once_argv = self->once;
    if (s) {
        cli_print_error(&err);
        return CLI_FAILURE;
    }
    uint64_t start = now_ns();
    s = um_run(cfg, o->spec.stats ? exec_stats_print : NULL, NULL, &r, &err);
    if (!s)
        return end(o, self->report, &r, now_ns() - start);
    cli_print_error(&err);
    int status = start_status(s);
    if (self->report[0]) {
        struct cli_report rep = {.ended = "error", .status = status, .wall_ns = now_ns() - start};
        cli_write_report(self->report, &rep, &err);
    }
    return status;
}

int cli_exec(const struct cli_options *o)
{
    const struct machine_spec *spec = &o->spec;
    struct self_words self = {.count = 0};
    struct um_config cfg = {
        .path = o->args[0],
        .sysroot = find_sysroot(o),
        .program_fd = o->program_fd > STDERR_FILENO ? (int)o->program_fd : -1,
        .uname_release = o->uname,
        .stack_bytes = o->stack_bytes,
        .space_bytes = o->space_bytes,
        .seed = o->seeded ? &o->seed : NULL,
        .self_fd = (int)o->self_fd,
        .interp = spec->engine == SPEC_ENGINE_INTERP,
        .cpu_model = spec->cpu_model,
        .cpu_options = spec->cpu_options,
        .host_page = o->host_pages,
        .timeout_ns = spec->timeout_ns,
        .stop_insn = spec->stop_insn,
        .own_deaths = o->report || spec->stats,
        .dump = spec->dump,
        .host_disasm = cli_host_disasm(spec->dump),
        .verbose = (unsigned)spec->verbose,
        .quiet = spec->quiet,
        .allow_clock = o->allow_clock,
        .in_child = o->in_child,
        .time_translation = spec->stats,
        .code_cache_bytes = spec->code_cache_bytes,
        .max_guest_insns = (unsigned)spec->max_block,
        .no_fold = spec->no_fold,
        .count_host = spec->count_host,
        .fp_traps = spec->fp_traps - SPEC_FP_TRAPS_OFF,
    };
    char **argv, **envp;
    struct cli_overhead share;
    struct gw_error err = {0};
    int status = CLI_FAILURE;
    if (cli_share_overhead(&share, spec->overhead_max, 0, &err) != GW_OK)
        return cli_start_failed(o, &err);
    if (o->by_kernel)
        by_kernel(&cfg);
    if (!cfg.code_cache_bytes)
        cfg.code_cache_bytes = share.code_cache_bytes;
    cfg.argv = argv = make_argv(o);
    cfg.envp = envp = make_env(o);
    if (argv && envp)
        status = run(o, &cfg, &self);
    else
        fprintf(stderr, "godwit: error: out of memory\n");
    free(argv);
    free(envp);
    free(self.cpu);
    return status;
}
