/* The table of verbs, and that of the options which only the command line knows. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "frontend/guests.h"
#include "cli/options/options.h"

/* ---- values that need a look ---------------------------------------------------------------- */

static enum gw_status set_arch(void *options, const char *value, struct gw_error *err)
{
    struct cli_options *o = options;
    char names[128];
    o->arch = value;
    if (guest_by_name(&gw_guests, value))
        return GW_OK;
    return gw_fail(err, GW_ERR_ARG, value, "no such guest architecture: there is %s",
                   guest_names(&gw_guests, names, sizeof names));
}

static enum gw_status add(const char **list, unsigned *count, const char *value,
                          struct gw_error *err)
{
    if (*count == CLI_MAX_LIST)
        return gw_fail(err, GW_ERR_ARG, value, "cannot take the option: given too often");
    list[(*count)++] = value;
    return GW_OK;
}

static enum gw_status set_env(void *options, const char *value, struct gw_error *err)
{
    struct cli_options *o = options;
    if (!strchr(value, '=') || value[0] == '=')
        return gw_fail(err, GW_ERR_ARG, value, "cannot set the variable: it must be VAR=VALUE");
    return add(o->setenv, &o->setenv_count, value, err);
}

static enum gw_status set_unset(void *options, const char *value, struct gw_error *err)
{
    struct cli_options *o = options;
    if (!*value || strchr(value, '='))
        return gw_fail(err, GW_ERR_ARG, value, "cannot unset the variable: it must be a name");
    return add(o->unsetenv, &o->unsetenv_count, value, err);
}

static enum gw_status set_seal_key(void *options, const char *value, struct gw_error *err)
{
    struct cli_options *o = options;
    if (o->key_count == CLI_MAX_KEYS)
        return gw_fail(err, GW_ERR_ARG, value, "cannot take the key: given too often");
    o->keys[o->key_count++] = value;
    return GW_OK;
}

static enum gw_status set_seed(void *options, const char *value, struct gw_error *err)
{
    struct cli_options *o = options;
    char *end;
    errno = 0;
    o->seed = strtoull(value, &end, 0);
    if (errno || end == value || *end || value[0] == '-')
        return gw_fail(err, GW_ERR_ARG, value, "cannot take the seed: it must be a number");
    o->seeded = true;
    return GW_OK;
}

static enum gw_status set_strace(void *options, const char *value, struct gw_error *err)
{
    struct cli_options *o = options;
    o->strace = true;
    o->strace_file = value;
    return GW_OK;
}

/* ---- options -------------------------------------------------------------------------------- */

#define ROW(kind_, member_, name_)                                                                 \
    .kind = (kind_), .option = (name_), .at = offsetof(struct cli_options, member_)
/* Its function knows where the value goes. */
#define ASK(name_, set_) .kind = SPEC_SET, .option = (name_), .set = (set_)

static const struct spec_field own_fields[] = {
    {ROW(SPEC_FLAG, detach, "detach"), .letter = 'D', .after = "seed", .verbs = SPEC_VERBS_MACHINE,
     .help = "run in the background; godwit console NAME shows its console"},
    {ROW(SPEC_PATH, run_dir, "run-dir"), .after = "seed",
     .verbs = SPEC_VERBS_MACHINE | VERB_PS | VERB_NAMED, .value = "DIR",
     .help = "where running machines are found (GODWIT_RUN_DIR, XDG_RUNTIME_DIR/godwit)"},
    {ASK("seal-key", set_seal_key), .after = "seed", .verbs = VERB_RESTORE | VERB_SNAP,
     .value = "FILE", .complete = "file",
     .help = "a key of seals that is trusted beside your own; of snap seal: the key to seal with"},
    {ROW(SPEC_PATH, sysroot, "sysroot"), .letter = 'L', .after = "no_sandbox", .verbs = VERB_EXEC,
     .value = "DIR", .help = "where absolute paths are looked up first"},
    {ROW(SPEC_PATH, root, "root"), .after = "no_sandbox", .verbs = VERB_EXEC, .value = "DIR",
     .help = "the program's /, and that of all it starts (needs the right to chroot)"},
    {ASK("env", set_env), .letter = 'E', .after = "no_sandbox", .verbs = VERB_EXEC,
     .value = "VAR=V", .help = "set an environment variable"},
    {ASK("unset", set_unset), .letter = 'U', .after = "no_sandbox", .verbs = VERB_EXEC,
     .value = "VAR", .help = "unset an environment variable"},
    {ROW(SPEC_TEXT, argv0, "argv0"), .letter = '0', .after = "no_sandbox", .verbs = VERB_EXEC,
     .value = "NAME", .help = "the program's argv[0]"},
    {ASK("strace", set_strace), .after = "no_sandbox", .verbs = VERB_EXEC, .value = "[FILE]",
     .complete = "file", .help = "list system calls (on stderr)"},
    {ROW(SPEC_FLAG, allow_clock, "allow-clock"), .after = "no_sandbox", .verbs = VERB_EXEC,
     .help = "the program may set the host's clock, where it is run as root"},
    {ROW(SPEC_TEXT, uname, "uname"), .letter = 'r', .after = "no_sandbox", .verbs = VERB_EXEC,
     .value = "RELEASE", .help = "the kernel's release that uname tells (the host's)"},
    {ROW(SPEC_SIZE, stack_bytes, "stack-size"), .after = "no_sandbox", .verbs = VERB_EXEC,
     .value = "SIZE", .least = 1 << 16, .most = 1 << 30,
     .help = "size of the program's stack (by ulimit -s)"},
    {ASK("seed", set_seed), .after = "no_sandbox", .verbs = VERB_EXEC, .value = "N",
     .help = "the random bytes that the program is started with (AT_RANDOM) are made of N"},
    {ROW(SPEC_SIZE, space_bytes, "address-space"), .after = "no_sandbox", .verbs = VERB_EXEC,
     .value = "SIZE", .least = 1 << 28},
    {ROW(SPEC_FLAG, by_kernel, "by-kernel"), .after = "no_sandbox", .verbs = VERB_EXEC},
    {ROW(SPEC_SIZE, host_pages, "host-pages"), .after = "no_sandbox", .verbs = VERB_EXEC,
     .value = "SIZE"},
    {ROW(SPEC_NUMBER, self_fd, "self-fd"), .after = "no_sandbox", .verbs = VERB_EXEC, .value = "N",
     .most = INT32_MAX},
    {ROW(SPEC_NUMBER, program_fd, "program-fd"), .after = "no_sandbox", .verbs = VERB_EXEC,
     .value = "N", .most = INT32_MAX},
    {ROW(SPEC_FLAG, in_child, "in-child"), .after = "no_sandbox", .verbs = VERB_EXEC},
    {ASK("arch", set_arch), .after = "name", .verbs = SPEC_VERBS_START | VERB_DISASM,
     .value = "NAME", .complete = "riscv64", .help = "guest architecture (riscv64)"},
    {ROW(SPEC_PATH, report, "report"), .after = "stats", .verbs = SPEC_VERBS_START, .value = "FILE",
     .help = "write a JSON report however the run ends"},
    {ROW(SPEC_FLAG, all, "all"), .letter = 'a', .after = "verbose", .verbs = VERB_PS,
     .help = "those that have ended too"},
    {ROW(SPEC_FLAG, force, "force"), .after = "verbose", .verbs = VERB_STOP,
     .help = "kill it at once: as if the power failed"},
    {ROW(SPEC_FLAG, json, "json"), .after = "verbose",
     .verbs = VERB_SNAP | VERB_PS | VERB_WAIT | VERB_BINFMT, .help = "print JSON"},
    {ROW(SPEC_FLAG, raw, "raw"), .after = "verbose", .verbs = VERB_DISASM,
     .help = "the file is code, not ELF"},
    {ROW(SPEC_NUMBER, base, "base"), .after = "verbose", .verbs = VERB_DISASM, .value = "ADDR",
     .help = "address of the first byte of raw code"},
    {ROW(SPEC_FLAG, help, "help"), .letter = 'h', .verbs = ~0u, .help = "this help"},
};

static const struct spec_record own = {.name = "options",
                                       .fields = own_fields,
                                       .count = sizeof own_fields / sizeof own_fields[0],
                                       .bytes = sizeof(struct cli_options)};
const struct spec_record *const cli_own_options = &own;

/* ---- verbs ------------------------------------------------------------------------------------ */

const struct cli_verb_info cli_verb_rows[] = {
    {VERB_RUN, "run", "[-- CMD [ARGS...]]", "run a machine; CMD: as its first user command", 0, 0,
     false},
    {VERB_EXEC, "exec", "PROG [ARGS...]", "run one Linux program", 1, 1, true},
    {VERB_PS, "ps", "", "list running machines", 0, 0, false},
    {VERB_CONSOLE, "console", "NAME", "attach to a detached machine's console", 1, 1, false},
    {VERB_PAUSE, "pause", "NAME", "hold a machine; its time stands still", 1, 1, false},
    {VERB_RESUME, "resume", "NAME", "let a paused machine go on", 1, 1, false},
    {VERB_RESET, "reset", "NAME", "reset a machine, as its button would", 1, 1, false},
    {VERB_STOP, "stop", "NAME", "end a machine; its disks are flushed", 1, 1, false},
    {VERB_WAIT, "wait", "NAME", "wait for a machine's end, and end with its status", 1, 1, false},
    {VERB_STATS, "stats", "NAME", "print a machine's counters", 1, 1, false},
    {VERB_RM, "rm", "NAME", "forget a machine that has ended", 1, 1, false},
    {VERB_SAVE, "save", "NAME FILE", "save a running machine, for restore", 2, 2, false},
    {VERB_RESTORE, "restore", "FILE", "go on with a machine that was saved", 1, 1, false},
    {VERB_SNAP, "snap", "ls [DIR] | info|verify|seal FILE | diff A B",
     "look into snapshot files, or vouch for one", 1, 3, false},
    {VERB_BINFMT, "binfmt", "register|unregister|status",
     "have the kernel start guest programs by godwit", 1, 1, false},
    {VERB_DISASM, "disasm", "FILE", "list the guest code of a file", 1, 1, false},
    {VERB_DOCTOR, "doctor", "", "say what this host offers", 0, 0, false},
    {VERB_COMPLETION, "completion", "bash|zsh|fish", "print completion for a shell", 1, 1, false},
    {VERB_VERSION, "version", "", "print the version", 0, 0, false},
    {VERB_HELP, "help", "[VERB]", "print help", 0, 1, false},
    {VERB_MAN, "man-page", "", NULL, 0, 0, false},
    {.name = NULL},
};
