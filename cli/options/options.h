/*
 * The one table of options: the parser, --help, the man page and completion read it. A row says
 * which verbs know the option and where its value goes in struct cli_options.
 */
#ifndef CLI_OPTIONS_H
#define CLI_OPTIONS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "godwit/net.h"
#include "godwit/status.h"

enum {
    CLI_MAX_CPUS = 8,
    CLI_MAX_DISKS = 8,
    CLI_MAX_LIST = 64,
    CLI_MAX_FILES = 16,
    CLI_MAX_PUBLISH = 16,
    CLI_MAX_CHANNELS = 7,
    CLI_CHANNEL_NAME_BYTES = 64,
    CLI_FLASH_BANKS = 2,
    CLI_PORTS = 2
};

enum cli_verb {
    VERB_RUN = 1 << 0,
    VERB_EXEC = 1 << 1,
    VERB_DISASM = 1 << 2,
    VERB_DOCTOR = 1 << 3,
    VERB_COMPLETION = 1 << 4,
    VERB_VERSION = 1 << 5,
    VERB_MAN = 1 << 6, /* prints the man page; not listed */
    VERB_HELP = 1 << 7,
    VERB_RESTORE = 1 << 8,
    VERB_SNAP = 1 << 9,
    VERB_PS = 1 << 10,
    VERB_CONSOLE = 1 << 11,
    VERB_PAUSE = 1 << 12,
    VERB_RESUME = 1 << 13,
    VERB_RESET = 1 << 14,
    VERB_STOP = 1 << 15,
    VERB_WAIT = 1 << 16,
    VERB_STATS = 1 << 17,
    VERB_RM = 1 << 18,
    VERB_SAVE = 1 << 19,
};
#define VERB_START (VERB_RUN | VERB_EXEC | VERB_RESTORE)
/* name a running machine */
#define VERB_NAMED                                                                                 \
    (VERB_CONSOLE | VERB_PAUSE | VERB_RESUME | VERB_RESET | VERB_STOP | VERB_WAIT | VERB_STATS |   \
     VERB_RM | VERB_SAVE)
#define VERB_MACHINE (VERB_RUN | VERB_RESTORE) /* starts a machine */

struct cli_disk {
    const char *path;
    bool rw;
    const char *overlay;
    uint64_t bytes_per_s, ops_per_s; /* 0: no limit */
};

enum cli_net_kind { CLI_NET_NONE, CLI_NET_USER, CLI_NET_TAP, CLI_NET_SOCKET };

struct cli_net {
    bool given, has_mac;
    enum cli_net_kind kind;
    const char *text;   /* kind and target; NULL: none */
    const char *target; /* tap: its name; socket: its path */
    uint8_t mac[6];
};

struct cli_flash {
    const char *path;
    bool rw;
};

/* NAME=FILE or FILE@ADDR. */
struct cli_file {
    const char *path, *name;
    uint64_t at;
};

enum cli_port_kind { CLI_PORT_STDIO, CLI_PORT_FILE, CLI_PORT_PTY, CLI_PORT_UNIX };

struct cli_port {
    enum cli_port_kind kind;
    const char *path;
};

/* A port of the virtio console: a console, or a channel with a name. */
struct cli_channel {
    const char *name; /* NULL: a console */
    struct cli_port port;
};

/* Values as parsed; strings point into argv or are the options' own until cli_options_free(). */
struct cli_options {
    /* every start verb */
    const char *name, *arch, *cpu_model, *cpu_options, *stop_text, *dump, *dump_file, *report;
    bool interp, clock_insns, stats, quiet, help;
    uint64_t mips, timeout_ns, stop_insn, verbose, overhead_max;
    /* run */
    const char *kernel, *initrd, *append, *bios, *machine, *dtb, *dump_dtb;
    uint64_t memory_bytes, cpus;
    struct cli_disk disks[CLI_MAX_DISKS];
    unsigned disk_count;
    struct cli_flash flash[CLI_FLASH_BANKS];
    struct cli_file fw_cfg[CLI_MAX_FILES], loads[CLI_MAX_FILES];
    struct cli_port ports[CLI_PORTS];
    unsigned fw_cfg_count, load_count, port_count;
    /* run, restore */
    struct cli_net net;
    struct gw_net_publish publish[CLI_MAX_PUBLISH];
    unsigned publish_count;
    struct cli_channel channels[CLI_MAX_CHANNELS];
    unsigned channel_count;
    bool no_packed_rings;
    const char *save_at_end, *run_dir;
    bool detach, panic_pause;
    const char *panic_save;
    bool no_sandbox;
    bool deterministic;
    uint64_t seed;
    /* exec */
    const char *sysroot, *root, *argv0, *strace_file;
    const char *setenv[CLI_MAX_LIST], *unsetenv[CLI_MAX_LIST];
    unsigned setenv_count, unsetenv_count;
    bool strace;
    /* disasm */
    uint64_t base;
    bool raw;
    /* queries */
    bool json, all, force;
    /* developers' options, not listed */
    uint64_t code_cache_bytes, max_block;
    bool no_fold, use_tlb;
    unsigned fp_traps; /* 0 never, 1 as usual, 2 all the time */

    const char *command; /* run: as machine_options has it; NULL: none */
    char *const *args;   /* operands, NULL at the end */
    int arg_count;
    char *owned[CLI_MAX_DISKS * 2 + CLI_FLASH_BANKS + CLI_MAX_FILES * 2 + CLI_MAX_PUBLISH +
                CLI_MAX_CHANNELS + 8];
    unsigned owned_count;
};

enum cli_type {
    CLI_FLAG,     /* bool */
    CLI_COUNT,    /* uint64_t, one more each time */
    CLI_TEXT,     /* const char * */
    CLI_NUMBER,   /* uint64_t, decimal or 0x */
    CLI_SIZE,     /* uint64_t bytes: 64K, 1G */
    CLI_DURATION, /* uint64_t ns: 30s, 5m */
    CLI_OWN,      /* set() looks at the value */
};

struct cli_option {
    uint32_t verbs;
    enum cli_type type;
    char letter;         /* 0: none */
    const char *name;    /* without the dashes */
    const char *value;   /* metavariable; NULL: takes none; in brackets: optional, by = only */
    const char *help;    /* NULL: not listed */
    const char *choices; /* for completion: words, "file", or NULL */
    size_t at;           /* offset in struct cli_options */
    enum gw_status (*set)(struct cli_options *o, const char *value, struct gw_error *err);
};

struct cli_verb_info {
    enum cli_verb verb;
    const char *name;
    const char *operands; /* of the usage line; where it begins with [--, they stand behind one */
    const char *help;     /* NULL: not listed */
    unsigned min_args;
    bool rest; /* options end at the first operand */
};

/* Both end with a row whose name is NULL. */
extern const struct cli_option cli_option_rows[];
extern const struct cli_verb_info cli_verb_rows[];

const struct cli_verb_info *cli_find_verb(const char *name);

/* argv[0] is the first word after the verb. Errors name the option as given. */
enum gw_status cli_parse(struct cli_options *o, const struct cli_verb_info *verb, char *const *argv,
                         struct gw_error *err);
void cli_options_free(struct cli_options *o);
/* A copy that the options own; NULL, and *err, when there are too many. */
char *cli_own(struct cli_options *o, const char *text, size_t size, struct gw_error *err);

/* options_command.c: the words behind --, as struct machine_options takes them. */
enum gw_status cli_take_command(struct cli_options *o, struct gw_error *err);
/* options_net.c: values of --net and --publish. */
enum gw_status cli_set_net(struct cli_options *o, const char *value, struct gw_error *err);
bool cli_parse_mac(const char *text, uint8_t mac[6]);
enum gw_status cli_set_publish(struct cli_options *o, const char *value, struct gw_error *err);
/* options_port.c: of --console and --port. */
enum gw_status cli_set_console(struct cli_options *o, const char *value, struct gw_error *err);
/* What a port is connected to: stdio, pty, file:FILE, unix:FILE. */
bool cli_parse_target(const char *text, struct cli_port *port);
enum gw_status cli_set_port(struct cli_options *o, const char *value, struct gw_error *err);

/* The whole value is in brackets: it may be left out. */
bool cli_value_is_optional(const struct cli_option *row);

/* Value grammars, also for tests. */
enum gw_status cli_parse_size(const char *text, uint64_t *bytes);
enum gw_status cli_parse_duration(const char *text, uint64_t *ns);
enum gw_status cli_parse_number(const char *text, uint64_t *value);

#endif
