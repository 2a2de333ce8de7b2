/* The table of options, and what their values mean. */
#include <assert.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "frontend/guests.h"
#include "cli/options/options.h"

/* ---- value grammars ------------------------------------------------------------------------- */

/* Digits up to *end, which is where the unit starts. */
static bool digits(const char *text, uint64_t *value, const char **end)
{
    uint64_t v = 0;
    const char *p = text;
    for (; *p >= '0' && *p <= '9'; p++) {
        if (__builtin_mul_overflow(v, 10, &v) ||
            __builtin_add_overflow(v, (uint64_t)(*p - '0'), &v))
            return false;
    }
    *value = v;
    *end = p;
    return p != text;
}

enum gw_status cli_parse_number(const char *text, uint64_t *value)
{
    const char *end;
    assert(text);
    if (text[0] == '0' && (text[1] == 'x' || text[1] == 'X')) {
        uint64_t v = 0;
        size_t n = strspn(text + 2, "0123456789abcdefABCDEF");
        if (n == 0 || n > 16 || text[2 + n])
            return GW_ERR_ARG;
        v = strtoull(text + 2, NULL, 16);
        *value = v;
        return GW_OK;
    }
    return digits(text, value, &end) && !*end ? GW_OK : GW_ERR_ARG;
}

struct unit {
    const char *name;
    uint64_t factor;
};

static enum gw_status with_unit(const char *text, const struct unit *units, uint64_t *value)
{
    const char *end;
    if (!digits(text, value, &end))
        return GW_ERR_ARG;
    for (; units->name; units++)
        if (!strcmp(units->name, end))
            return __builtin_mul_overflow(*value, units->factor, value) ? GW_ERR_ARG : GW_OK;
    return GW_ERR_ARG;
}

enum gw_status cli_parse_size(const char *text, uint64_t *bytes)
{
    static const struct unit units[] = {
        {"", 1},           {"K", 1u << 10},          {"M", 1u << 20},
        {"G", 1u << 30},   {"T", UINT64_C(1) << 40}, {"KiB", 1u << 10},
        {"MiB", 1u << 20}, {"GiB", 1u << 30},        {"TiB", UINT64_C(1) << 40},
        {"k", 1u << 10},   {"m", 1u << 20},          {"g", 1u << 30},
        {NULL, 0},
    };
    return with_unit(text, units, bytes);
}

enum gw_status cli_parse_duration(const char *text, uint64_t *ns)
{
    static const struct unit units[] = {
        {"ms", 1000000u},
        {"s", 1000000000u},
        {"m", UINT64_C(60) * 1000000000u},
        {"h", UINT64_C(3600) * 1000000000u},
        {NULL, 0},
    };
    return with_unit(text, units, ns);
}

/* ---- values that need more than a type ------------------------------------------------------ */

char *cli_own(struct cli_options *o, const char *text, size_t size, struct gw_error *err)
{
    char *copy = NULL;
    if (o->owned_count < sizeof o->owned / sizeof o->owned[0])
        copy = strndup(text, size);
    if (copy)
        o->owned[o->owned_count++] = copy;
    else
        gw_fail(err, GW_ERR_ARG, text, "cannot take the option: given too often");
    return copy;
}

static enum gw_status one_of(const char *value, const char *wanted, const char *what,
                             struct gw_error *err)
{
    if (!strcmp(value, wanted))
        return GW_OK;
    return gw_fail(err, GW_ERR_ARG, value, "%s: it must be %s", what, wanted);
}

static enum gw_status set_arch(struct cli_options *o, const char *value, struct gw_error *err)
{
    char names[128];
    o->arch = value;
    if (guest_by_name(&gw_guests, value))
        return GW_OK;
    return gw_fail(err, GW_ERR_ARG, value, "no such guest architecture: there is %s",
                   guest_names(&gw_guests, names, sizeof names));
}

static enum gw_status set_machine(struct cli_options *o, const char *value, struct gw_error *err)
{
    o->machine = value;
    return one_of(value, "virt-1", "no such machine", err);
}

static enum gw_status set_cpus(struct cli_options *o, const char *value, struct gw_error *err)
{
    if (cli_parse_number(value, &o->cpus) == GW_OK && o->cpus >= 1 && o->cpus <= CLI_MAX_CPUS)
        return GW_OK;
    return gw_fail(err, GW_ERR_ARG, value, "cannot make that many CPUs: it must be 1 to %d",
                   CLI_MAX_CPUS);
}

static enum gw_status set_on_panic(struct cli_options *o, const char *value, struct gw_error *err)
{
    o->panic_pause = !strcmp(value, "pause");
    o->panic_save = !strncmp(value, "save=", 5) && value[5] ? value + 5 : NULL;
    if (o->panic_pause || o->panic_save || !strcmp(value, "exit"))
        return GW_OK;
    return gw_fail(err, GW_ERR_ARG, value,
                   "cannot do that on a panic: it must be exit, pause or save=FILE");
}

static enum gw_status set_cpu(struct cli_options *o, const char *value, struct gw_error *err)
{
    const char *comma = strchr(value, ',');
    o->cpu_options = comma ? comma + 1 : NULL;
    o->cpu_model = comma ? cli_own(o, value, (size_t)(comma - value), err) : value;
    return o->cpu_model ? GW_OK : GW_ERR_ARG;
}

static enum gw_status set_engine(struct cli_options *o, const char *value, struct gw_error *err)
{
    o->interp = !strcmp(value, "interp");
    if (!o->interp && strcmp(value, "jit") != 0)
        return gw_fail(err, GW_ERR_ARG, value, "no such engine: it must be jit or interp");
    return GW_OK;
}

static enum gw_status set_fp_traps(struct cli_options *o, const char *value, struct gw_error *err)
{
    static const char *const names[] = {"off", "auto", "eager"};
    for (unsigned k = 0; k < sizeof names / sizeof names[0]; k++)
        if (!strcmp(value, names[k])) {
            o->fp_traps = k;
            return GW_OK;
        }
    return gw_fail(err, GW_ERR_ARG, value, "must be off, auto or eager");
}

static enum gw_status set_clock(struct cli_options *o, const char *value, struct gw_error *err)
{
    o->clock_insns = !strncmp(value, "insns", 5);
    o->mips = 0;
    if (!strcmp(value, "host") || !strcmp(value, "insns"))
        return GW_OK;
    if (o->clock_insns && value[5] == ':' && cli_parse_number(value + 6, &o->mips) == GW_OK &&
        o->mips > 0 && o->mips <= 1000000)
        return GW_OK;
    return gw_fail(err, GW_ERR_ARG, value, "no such clock: it must be host or insns[:MIPS]");
}

static enum gw_status set_dump(struct cli_options *o, const char *value, struct gw_error *err)
{
    const char *equals = strchr(value, '=');
    o->dump_file = equals ? equals + 1 : NULL;
    o->dump = equals ? cli_own(o, value, (size_t)(equals - value), err) : value;
    return o->dump ? GW_OK : GW_ERR_ARG;
}

static enum gw_status set_serial(struct cli_options *o, const char *value, struct gw_error *err)
{
    struct cli_port port;
    if (o->port_count == CLI_PORTS)
        return gw_fail(err, GW_ERR_ARG, value, "cannot add the serial port: there are %d already",
                       CLI_PORTS);
    if (!cli_parse_target(value, &port))
        return gw_fail(err, GW_ERR_ARG, value,
                       "no such serial port: it must be stdio, pty, file:FILE or unix:FILE");
    if (port.kind == CLI_PORT_STDIO && o->port_count && o->ports[0].kind == CLI_PORT_STDIO)
        return gw_fail(err, GW_ERR_ARG, value,
                       "cannot add the serial port: the first has standard input and output");
    o->ports[o->port_count++] = port;
    return GW_OK;
}

/* N=FILE[,rw] */
static enum gw_status set_flash(struct cli_options *o, const char *value, struct gw_error *err)
{
    size_t n = strlen(value);
    unsigned bank = (unsigned)(value[0] - '0');
    bool rw = n > 3 && !strcmp(value + n - 3, ",rw");
    if (bank >= CLI_FLASH_BANKS || value[1] != '=' || n - (rw ? 3 : 0) <= 2)
        return gw_fail(err, GW_ERR_ARG, value,
                       "cannot fill the flash: it must be 0=FILE or 1=FILE, with or without ,rw");
    if (o->flash[bank].path)
        return gw_fail(err, GW_ERR_ARG, value, "cannot fill the flash: bank %u has a file already",
                       bank);
    o->flash[bank] =
        (struct cli_flash){.path = cli_own(o, value + 2, n - 2 - (rw ? 3 : 0), err), .rw = rw};
    return o->flash[bank].path ? GW_OK : GW_ERR_ARG;
}

/* Splits `value` at `at`; both parts must hold something. */
static enum gw_status set_file(struct cli_options *o, const char *value, const char *at,
                               struct cli_file *list, unsigned *count, const char *what,
                               struct gw_error *err)
{
    if (!at || at == value || !at[1])
        return gw_fail(err, GW_ERR_ARG, value, "%s", what);
    if (*count == CLI_MAX_FILES)
        return gw_fail(err, GW_ERR_ARG, value, "cannot take the option: given too often");
    list[*count].name = cli_own(o, value, (size_t)(at - value), err);
    list[*count].path = at + 1;
    return list[(*count)++].name ? GW_OK : GW_ERR_ARG;
}

static enum gw_status set_fw_cfg(struct cli_options *o, const char *value, struct gw_error *err)
{
    return set_file(o, value, strchr(value, '='), o->fw_cfg, &o->fw_cfg_count,
                    "cannot offer the file to firmware: it must be NAME=FILE", err);
}

/* FILE@ADDR: what set_file() calls the name is the file. */
static enum gw_status set_load(struct cli_options *o, const char *value, struct gw_error *err)
{
    static const char what[] =
        "cannot load the file: it must be FILE@ADDR, such as x.bin@0x80200000";
    struct cli_file *f = &o->loads[o->load_count < CLI_MAX_FILES ? o->load_count : 0];
    enum gw_status st =
        set_file(o, value, strrchr(value, '@'), o->loads, &o->load_count, what, err);
    if (st != GW_OK)
        return st;
    if (cli_parse_number(f->path, &f->at) != GW_OK)
        return gw_fail(err, GW_ERR_ARG, value, "%s", what);
    f->path = f->name;
    return GW_OK;
}

/* A rate: [text, text + size) is a size such as 10M. */
static bool limit(const char *text, size_t size, uint64_t *value)
{
    char copy[32];
    if (size >= sizeof copy)
        return false;
    memcpy(copy, text, size);
    copy[size] = 0;
    return cli_parse_size(copy, value) == GW_OK && *value;
}

static enum gw_status bad_limit(const char *part, struct gw_error *err)
{
    return gw_fail(err, GW_ERR_ARG, part,
                   "cannot limit the disk: bps= takes bytes a second, such as 10M, and iops= a "
                   "number");
}

/* FILE[,rw][,overlay=FILE][,bps=SIZE][,iops=N]; a comma in a name cannot be written. */
static enum gw_status set_disk(struct cli_options *o, const char *value, struct gw_error *err)
{
    struct cli_disk *d = &o->disks[o->disk_count];
    size_t n = strcspn(value, ",");
    const char *p = value + n;
    if (o->disk_count == CLI_MAX_DISKS)
        return gw_fail(err, GW_ERR_ARG, value, "cannot add the disk: there are %d already",
                       CLI_MAX_DISKS);
    *d = (struct cli_disk){.path = cli_own(o, value, n, err)};
    if (!d->path)
        return GW_ERR_ARG;
    if (n == 0)
        return gw_fail(err, GW_ERR_ARG, value, "cannot add the disk: it has no file name");
    while (*p == ',') {
        const char *part = p + 1;
        n = strcspn(part, ",");
        p = part + n;
        if (n == 2 && !strncmp(part, "rw", 2)) {
            d->rw = true;
        } else if (n > 8 && !strncmp(part, "overlay=", 8)) {
            d->overlay = cli_own(o, part + 8, n - 8, err);
            if (!d->overlay)
                return GW_ERR_ARG;
        } else if (n > 4 && !strncmp(part, "bps=", 4)) {
            if (!limit(part + 4, n - 4, &d->bytes_per_s))
                return bad_limit(part, err);
        } else if (n > 5 && !strncmp(part, "iops=", 5)) {
            if (!limit(part + 5, n - 5, &d->ops_per_s))
                return bad_limit(part, err);
        } else {
            return gw_fail(err, GW_ERR_ARG, value,
                           "cannot add the disk: what follows its name must be rw, "
                           "overlay=FILE, bps=SIZE or iops=N");
        }
    }
    if (d->rw && d->overlay)
        return gw_fail(err, GW_ERR_ARG, value,
                       "cannot add the disk: rw and overlay= exclude one "
                       "another");
    o->disk_count++;
    return GW_OK;
}

static enum gw_status add(const char **list, unsigned *count, const char *value,
                          struct gw_error *err)
{
    if (*count == CLI_MAX_LIST)
        return gw_fail(err, GW_ERR_ARG, value, "cannot take the option: given too often");
    list[(*count)++] = value;
    return GW_OK;
}

static enum gw_status set_env(struct cli_options *o, const char *value, struct gw_error *err)
{
    if (!strchr(value, '=') || value[0] == '=')
        return gw_fail(err, GW_ERR_ARG, value, "cannot set the variable: it must be VAR=VALUE");
    return add(o->setenv, &o->setenv_count, value, err);
}

static enum gw_status set_unset(struct cli_options *o, const char *value, struct gw_error *err)
{
    if (!*value || strchr(value, '='))
        return gw_fail(err, GW_ERR_ARG, value, "cannot unset the variable: it must be a name");
    return add(o->unsetenv, &o->unsetenv_count, value, err);
}

static enum gw_status set_strace(struct cli_options *o, const char *value, struct gw_error *err)
{
    o->strace = true;
    o->strace_file = value;
    return GW_OK;
}

/* ---- the table ------------------------------------------------------------------------------ */

#define AT(member) .at = offsetof(struct cli_options, member)

const struct cli_option cli_option_rows[] = {
    /* run */
    {VERB_RUN, CLI_TEXT, 'k', "kernel", "FILE", "Linux Image or ELF file to start", "file",
     AT(kernel)},
    {VERB_RUN, CLI_TEXT, 'i', "initrd", "FILE", "initial RAM disk", "file", AT(initrd)},
    {VERB_RUN, CLI_TEXT, 'a', "append", "TEXT", "kernel command line", NULL, AT(append)},
    {VERB_RUN, CLI_TEXT, 'b', "bios", "FILE|builtin|none",
     "firmware: built-in SBI (default), a file started in M mode, or none: an ELF kernel starts in "
     "M mode",
     "file", AT(bios)},
    {VERB_RUN, CLI_SIZE, 'm', "memory", "SIZE", "guest memory (default 512M)", NULL,
     AT(memory_bytes)},
    {VERB_RUN, CLI_OWN, 'c', "cpus", "N", "number of CPUs, at most 8 (1)", "1 2 4 8",
     .set = set_cpus},
    {VERB_MACHINE, CLI_OWN, 'd', "disk", "FILE[,rw][,overlay=FILE][,bps=SIZE][,iops=N]",
     "disk; its writes go to a temporary overlay unless rw or overlay= says otherwise; bps= and "
     "iops= limit bytes and requests a second",
     "file", .set = set_disk},
    {VERB_RUN, CLI_OWN, 0, "machine", "virt-1", "board", "virt-1", .set = set_machine},
    {VERB_RUN, CLI_TEXT, 0, "dtb", "FILE", "device tree instead of the board's own", "file",
     AT(dtb)},
    {VERB_RUN, CLI_TEXT, 0, "dump-dtb", "FILE", "write the board's device tree and stop", "file",
     AT(dump_dtb)},
    {VERB_RUN, CLI_OWN, 0, "flash", "N=FILE[,rw]",
     "32 MiB of flash in bank 0 or 1; what is written is lost at the end without rw. Bank 0 is "
     "started: by the firmware, or with -b none in M mode; a kernel is then firmware's to load",
     "file", .set = set_flash},
    {VERB_RUN, CLI_OWN, 0, "fw-cfg", "NAME=FILE", "a file that firmware finds by its name", "file",
     .set = set_fw_cfg},
    {VERB_RUN, CLI_OWN, 0, "load", "FILE@ADDR",
     "put a file's bytes into memory; the first one is started where there is no kernel", "file",
     .set = set_load},
    {VERB_MACHINE, CLI_OWN, 0, "net", "user|tap:NAME|socket:PATH|none",
     "network card, and where it leads: user (10.0.2.15, by the host's sockets), a tap device, a "
     "socket (default none; ,mac=ADDR sets its address)",
     "user tap: socket: none", .set = cli_set_net},
    {VERB_MACHINE, CLI_OWN, 'p', "publish", "[ADDR:]HOST:GUEST[/udp]",
     "a port of the host (of 127.0.0.1, unless ADDR says otherwise) leads to the guest's; means "
     "--net user",
     NULL, .set = cli_set_publish},
    {VERB_MACHINE, CLI_OWN, 0, "serial", "stdio|pty|file:FILE|unix:FILE",
     "where the serial port goes; given again: a second port (ttyS1)",
     "stdio pty file: unix:", .set = set_serial},
    {VERB_MACHINE, CLI_OWN, 0, "console", "stdio|pty|file:FILE|unix:FILE",
     "a virtio console (hvc0), and where it leads",
     "stdio pty file: unix:", .set = cli_set_console},
    {VERB_MACHINE, CLI_OWN, 0, "port", "NAME=pty|file:FILE|unix:FILE",
     "a channel that the guest's programs find as /dev/virtio-ports/NAME", NULL,
     .set = cli_set_port},
    {VERB_MACHINE, CLI_TEXT, 0, "stop-text", "TEXT",
     "end with status 0 when the console shows TEXT", NULL, AT(stop_text)},
    {VERB_MACHINE, CLI_OWN, 0, "on-panic", "exit|pause|save=FILE",
     "what a guest panic does: end with status 123, hold the machine, or save it and end",
     "exit pause save=", .set = set_on_panic},
    {VERB_RUN, CLI_OWN, 0, "clock", "host|insns[:MIPS]",
     "the guest's time: the host's, or by instructions", "host insns", .set = set_clock},
    {VERB_RUN, CLI_FLAG, 0, "deterministic", NULL,
     "the same run each time: time by instructions, randomness by --seed", NULL, AT(deterministic)},
    {VERB_RUN, CLI_NUMBER, 0, "seed", "N", "randomness of a deterministic run (0)", NULL, AT(seed)},
    {VERB_MACHINE, CLI_FLAG, 'D', "detach", NULL,
     "run in the background; godwit console NAME shows its console", NULL, AT(detach)},
    {VERB_MACHINE | VERB_PS | VERB_NAMED, CLI_TEXT, 0, "run-dir", "DIR",
     "where running machines are found (GODWIT_RUN_DIR, XDG_RUNTIME_DIR/godwit)", "file",
     AT(run_dir)},
    {VERB_MACHINE, CLI_TEXT, 0, "save-at-end", "FILE",
     "save the machine there when its run ends, for godwit restore", "file", AT(save_at_end)},
    {VERB_MACHINE, CLI_FLAG, 0, "no-sandbox", NULL,
     "leave the machine every system call of the host", NULL, AT(no_sandbox)},
    /* exec */
    {VERB_EXEC, CLI_TEXT, 'L', "sysroot", "DIR", "where absolute paths are looked up first", "file",
     AT(sysroot)},
    {VERB_EXEC, CLI_TEXT, 0, "root", "DIR", "the program's / (needs the right to chroot)", "file",
     AT(root)},
    {VERB_EXEC, CLI_OWN, 'E', "env", "VAR=V", "set an environment variable", NULL, .set = set_env},
    {VERB_EXEC, CLI_OWN, 'U', "unset", "VAR", "unset an environment variable", NULL,
     .set = set_unset},
    {VERB_EXEC, CLI_TEXT, '0', "argv0", "NAME", "the program's argv[0]", NULL, AT(argv0)},
    {VERB_EXEC, CLI_OWN, 0, "strace", "[FILE]", "list system calls (on stderr)", "file",
     .set = set_strace},
    /* both */
    {VERB_START, CLI_TEXT, 0, "name", "NAME", "name of the run", NULL, AT(name)},
    {VERB_START | VERB_DISASM, CLI_OWN, 0, "arch", "NAME", "guest architecture (riscv64)",
     "riscv64", .set = set_arch},
    {VERB_START, CLI_OWN, 0, "cpu", "MODEL[,EXT=on|off...]",
     "CPU model: rv64, or max with every extension", "rv64 max", .set = set_cpu},
    {VERB_START, CLI_OWN, 0, "engine", "jit|interp", "translate, or interpret the IR", "jit interp",
     .set = set_engine},
    {VERB_START, CLI_DURATION, 0, "timeout", "DUR", "end with status 124 after 30s, 5m, 1h", NULL,
     AT(timeout_ns)},
    {VERB_START, CLI_NUMBER, 0, "stop-insn", "N", "end after N instructions", NULL, AT(stop_insn)},
    {VERB_START, CLI_OWN, 0, "dump", "LIST[=FILE]", "list blocks: decode,ir,opt,host",
     "decode ir opt host", .set = set_dump},
    {VERB_START, CLI_FLAG, 0, "stats", NULL, "print counters at the end", NULL, AT(stats)},
    {VERB_START, CLI_TEXT, 0, "report", "FILE", "write a JSON report however the run ends", "file",
     AT(report)},
    {VERB_START, CLI_SIZE, 0, "overhead-max", "SIZE",
     "most memory beside the guest's own: code and page maps are dropped in time", NULL,
     AT(overhead_max)},
    {VERB_START, CLI_FLAG, 'q', "quiet", NULL, "errors only", NULL, AT(quiet)},
    {VERB_START, CLI_COUNT, 'v', "verbose", NULL, "say more", NULL, AT(verbose)},
    /* queries */
    {VERB_PS, CLI_FLAG, 'a', "all", NULL, "those that have ended too", NULL, AT(all)},
    {VERB_STOP, CLI_FLAG, 0, "force", NULL, "kill it at once: as if the power failed", NULL,
     AT(force)},
    {VERB_SNAP | VERB_PS | VERB_WAIT, CLI_FLAG, 0, "json", NULL, "print JSON", NULL, AT(json)},
    /* disasm */
    {VERB_DISASM, CLI_FLAG, 0, "raw", NULL, "the file is code, not ELF", NULL, AT(raw)},
    {VERB_DISASM, CLI_NUMBER, 0, "base", "ADDR", "address of the first byte of raw code", NULL,
     AT(base)},
    /* for tests of the engine; not part of the interface */
    {VERB_START, CLI_SIZE, 0, "code-cache", "SIZE", NULL, NULL, AT(code_cache_bytes)},
    {VERB_START, CLI_NUMBER, 0, "max-block", "N", NULL, NULL, AT(max_block)},
    {VERB_START, CLI_FLAG, 0, "no-fold", NULL, NULL, NULL, AT(no_fold)},
    {VERB_START, CLI_OWN, 0, "fp-traps", "MODE", NULL, NULL, .set = set_fp_traps},
    {VERB_MACHINE, CLI_FLAG, 0, "no-packed-rings", NULL, NULL, NULL, AT(no_packed_rings)},
    {VERB_MACHINE, CLI_FLAG, 0, "no-flat-map", NULL, NULL, NULL, AT(use_tlb)},
    {~0u, CLI_FLAG, 'h', "help", NULL, "this help", NULL, AT(help)},
    {.name = NULL},
};

const struct cli_verb_info cli_verb_rows[] = {
    {VERB_RUN, "run", "[-- CMD [ARGS...]]", "run a machine; CMD: as its first user command", 0,
     false},
    {VERB_EXEC, "exec", "PROG [ARGS...]", "run one Linux program", 1, true},
    {VERB_PS, "ps", "", "list running machines", 0, false},
    {VERB_CONSOLE, "console", "NAME", "attach to a detached machine's console", 1, false},
    {VERB_PAUSE, "pause", "NAME", "hold a machine; its time stands still", 1, false},
    {VERB_RESUME, "resume", "NAME", "let a paused machine go on", 1, false},
    {VERB_RESET, "reset", "NAME", "reset a machine, as its button would", 1, false},
    {VERB_STOP, "stop", "NAME", "end a machine; its disks are flushed", 1, false},
    {VERB_WAIT, "wait", "NAME", "wait for a machine's end, and end with its status", 1, false},
    {VERB_STATS, "stats", "NAME", "print a machine's counters", 1, false},
    {VERB_RM, "rm", "NAME", "forget a machine that has ended", 1, false},
    {VERB_SAVE, "save", "NAME FILE", "save a running machine, for restore", 2, false},
    {VERB_RESTORE, "restore", "FILE", "go on with a machine that was saved", 1, false},
    {VERB_SNAP, "snap", "ls|info|verify FILE | diff A B", "look into snapshot files", 2, false},
    {VERB_DISASM, "disasm", "FILE", "list the guest code of a file", 1, false},
    {VERB_DOCTOR, "doctor", "", "say what this host offers", 0, false},
    {VERB_COMPLETION, "completion", "bash|zsh|fish", "print completion for a shell", 1, false},
    {VERB_VERSION, "version", "", "print the version", 0, false},
    {VERB_HELP, "help", "[VERB]", "print help", 0, false},
    {VERB_MAN, "man-page", "", NULL, 0, false},
    {.name = NULL},
};

/* ---- the parser ----------------------------------------------------------------------------- */

const struct cli_verb_info *cli_find_verb(const char *name)
{
    for (const struct cli_verb_info *v = cli_verb_rows; v->name; v++)
        if (!strcmp(v->name, name))
            return v;
    return NULL;
}

static enum gw_status store(struct cli_options *o, const struct cli_option *row, const char *value,
                            struct gw_error *err)
{
    void *at = (char *)o + row->at;
    switch (row->type) {
    case CLI_FLAG: *(bool *)at = true; return GW_OK;
    case CLI_COUNT: ++*(uint64_t *)at; return GW_OK;
    case CLI_TEXT: *(const char **)at = value; return GW_OK;
    case CLI_NUMBER:
        if (cli_parse_number(value, at) == GW_OK)
            return GW_OK;
        return gw_fail(err, GW_ERR_ARG, value, "--%s takes a number", row->name);
    case CLI_SIZE:
        if (cli_parse_size(value, at) == GW_OK)
            return GW_OK;
        return gw_fail(err, GW_ERR_ARG, value, "--%s takes a size, such as 64M or 2G", row->name);
    case CLI_DURATION:
        if (cli_parse_duration(value, at) == GW_OK && *(uint64_t *)at)
            return GW_OK;
        return gw_fail(err, GW_ERR_ARG, value, "--%s takes a time with its unit, such as 30s or 5m",
                       row->name);
    default: return row->set(o, value, err);
    }
}

bool cli_value_is_optional(const struct cli_option *row)
{
    return row->value && row->value[0] == '[' && !row->value[strcspn(row->value, "]") + 1];
}

static const struct cli_option *find_option(const struct cli_verb_info *verb, char letter,
                                            const char *name, size_t length)
{
    for (const struct cli_option *r = cli_option_rows; r->name; r++) {
        if (!(r->verbs & (uint32_t)verb->verb))
            continue;
        if (letter ? r->letter == letter
                   : strlen(r->name) == length && !memcmp(r->name, name, length))
            return r;
    }
    return NULL;
}

static enum gw_status unknown(const struct cli_verb_info *verb, const char *word,
                              struct gw_error *err)
{
    enum gw_status st = gw_fail(err, GW_ERR_ARG, word, "%s has no such option", verb->name);
    if (err)
        snprintf(err->hint, sizeof err->hint, "godwit %s --help", verb->name);
    return st;
}

/* One option word; *next moves over a value in a word of its own. */
static enum gw_status parse_option(struct cli_options *o, const struct cli_verb_info *verb,
                                   char *const *argv, int *next, struct gw_error *err)
{
    const char *word = argv[(*next)++], *value = NULL;
    const struct cli_option *row;
    bool optional;
    if (word[1] == '-') {
        size_t n = strcspn(word + 2, "=");
        row = find_option(verb, 0, word + 2, n);
        value = word[2 + n] ? word + 3 + n : NULL;
    } else {
        row = find_option(verb, word[1], NULL, 0);
        if (row && !row->value && word[2]) /* letters without values stand together: -vv */
            for (const char *p = word + 2; *p && row; p++) {
                const struct cli_option *more = find_option(verb, *p, NULL, 0);
                if (!more || more->value || store(o, row, NULL, err) != GW_OK)
                    return unknown(verb, word, err);
                row = more;
            }
        else if (word[2])
            value = word + 2 + (word[2] == '=');
    }
    if (!row)
        return unknown(verb, word, err);
    optional = cli_value_is_optional(row);
    if (!row->value && value && word[1] == '-')
        return gw_fail(err, GW_ERR_ARG, word, "--%s takes no value", row->name);
    if (row->value && !value && !optional) {
        if (!argv[*next])
            return gw_fail(err, GW_ERR_ARG, word, "--%s needs a value: %s", row->name, row->value);
        value = argv[(*next)++];
    }
    return store(o, row, value, err);
}

static bool takes_command(const struct cli_verb_info *verb)
{
    return !strncmp(verb->operands, "[--", 3);
}

enum gw_status cli_parse(struct cli_options *o, const struct cli_verb_info *verb, char *const *argv,
                         struct gw_error *err)
{
    enum gw_status st = GW_OK;
    int next = 0;
    bool dashes = false;
    memset(o, 0, sizeof *o);
    o->fp_traps = 1;
    o->memory_bytes = UINT64_C(512) << 20;
    o->cpus = 1;
    while (st == GW_OK && argv[next] && argv[next][0] == '-' && argv[next][1]) {
        if (!strcmp(argv[next], "--")) {
            next++;
            dashes = true;
            break;
        }
        st = parse_option(o, verb, argv, &next, err);
    }
    o->args = argv + next;
    while (o->args[o->arg_count])
        o->arg_count++;
    if (st != GW_OK || o->help || verb->rest)
        goto operands;
    if (dashes && takes_command(verb))
        return cli_take_command(o, err);
    for (char *const *a = o->args; *a; a++) /* options may not follow operands, and say so */
        if ((*a)[0] == '-' && (*a)[1])
            st = gw_fail(err, GW_ERR_ARG, *a, "options stand before operands");
    if (st == GW_OK && (!verb->operands[0] || takes_command(verb)) && o->arg_count) {
        st = gw_fail(err, GW_ERR_ARG, o->args[0], "%s takes no operands%s", verb->name,
                     takes_command(verb) ? "; a command stands behind --" : "");
        snprintf(err->hint, sizeof err->hint, "godwit %s --help", verb->name);
    }
operands:
    if (st == GW_OK && !o->help && (unsigned)o->arg_count < verb->min_args) {
        st = gw_fail(err, GW_ERR_ARG, "", "%s needs %s", verb->name, verb->operands);
        snprintf(err->hint, sizeof err->hint, "godwit %s --help", verb->name);
    }
    return st;
}

void cli_options_free(struct cli_options *o)
{
    while (o->owned_count)
        free(o->owned[--o->owned_count]);
}
