/*
 * The options of all verbs. Those that say what a machine is, or how a run goes, are rows of the
 * machine's description (godwit/machine_spec.inc); what only the command line knows is a table of
 * its own here, with rows of the same type. Parser, --help, the man page and completion read both.
 */
#ifndef CLI_OPTIONS_H
#define CLI_OPTIONS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "godwit/machine_spec.h"
#include "godwit/status.h"
#include "spec/spec.h"

enum { CLI_MAX_LIST = 64, CLI_MAX_KEYS = 8 };

enum cli_verb {
    VERB_RUN = SPEC_VERB_RUN,
    VERB_RESTORE = SPEC_VERB_RESTORE,
    VERB_EXEC = SPEC_VERB_EXEC,
    VERB_DISASM = 1 << 3,
    VERB_DOCTOR = 1 << 4,
    VERB_COMPLETION = 1 << 5,
    VERB_VERSION = 1 << 6,
    VERB_MAN = 1 << 7, /* prints the man page; not listed */
    VERB_HELP = 1 << 8,
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
    VERB_BINFMT = 1 << 20,
};
/* name a running machine */
#define VERB_NAMED                                                                                 \
    (VERB_CONSOLE | VERB_PAUSE | VERB_RESUME | VERB_RESET | VERB_STOP | VERB_WAIT | VERB_STATS |   \
     VERB_RM | VERB_SAVE)

/* Strings are the options' own until cli_options_free(), or point into argv. */
struct cli_options {
    /* run and restore; exec takes what is of no board */
    struct machine_spec spec;
    /* every start verb */
    const char *arch, *report;
    bool help;
    /* run, restore */
    const char *run_dir;
    bool detach;
    /* restore, snap */
    const char *keys[CLI_MAX_KEYS];
    unsigned key_count;
    /* exec */
    const char *sysroot, *root, *argv0, *strace_file;
    const char *setenv[CLI_MAX_LIST], *unsetenv[CLI_MAX_LIST];
    unsigned setenv_count, unsetenv_count;
    const char *uname;    /* NULL: the host's release */
    uint64_t stack_bytes; /* 0: as the limit says */
    uint64_t space_bytes; /* most of the address space; 0: what the host has */
    uint64_t seed;        /* of the random bytes that a start hands over, where seeded */
    bool strace, allow_clock, seeded;
    uint64_t host_pages; /* 0: as they are */
    bool by_kernel;      /* the host's kernel started us for the program, which it has opened */
    uint64_t program_fd; /* the guest's program, where it was started by a descriptor; 0: it was not */
    bool in_child;       /* a child of the process that a user started executes the program */
    uint64_t self_fd; /* the program itself, where it was started by a descriptor; 0: it was not */
    /* disasm */
    uint64_t base;
    bool raw;
    /* queries */
    bool json, all, force;

    char *const *words; /* all behind the verb, as they were given */
    char **args;        /* operands, NULL at the end */
    int arg_count;
};

struct cli_verb_info {
    enum cli_verb verb;
    const char *name;
    const char *operands; /* of the usage line; where it begins with [--, they stand behind one */
    const char *help;     /* NULL: not listed */
    unsigned min_args, max_args;
    bool rest; /* what follows the first operand is the guest's, and as much as there is */
};

/* Ends with a row whose name is NULL. */
extern const struct cli_verb_info cli_verb_rows[];
/* Of struct cli_options: what is not its spec's. */
extern const struct spec_record *const cli_own_options;

const struct cli_verb_info *cli_find_verb(const char *name);

/* Goes over all options in the order of help. Starts at {0}; NULL past the last. */
struct cli_cursor {
    unsigned next, next_own;
    bool own; /* the last one was a row of cli_own_options */
};
const struct spec_field *cli_next_option(struct cli_cursor *c);
bool cli_takes(const struct spec_field *f, const struct cli_verb_info *verb);
/* The next one that the verb's help lists (any verb's, if NULL), with its texts; false past the
 * last. */
struct cli_listed {
    const struct spec_field *field;
    char value[160], help[400], complete[80];
};
bool cli_next_listed(struct cli_cursor *c, const struct cli_verb_info *verb, struct cli_listed *l);

/* argv[0] is the first word after the verb. Errors name the option as given. Whatever comes back, *o
 * is to be freed. */
enum gw_status cli_parse(struct cli_options *o, const struct cli_verb_info *verb, char *const *argv,
                         struct gw_error *err);
void cli_options_free(struct cli_options *o);

/* command.c: the words behind --, as the description has them. */
enum gw_status cli_take_command(struct cli_options *o, struct gw_error *err);

/* The whole metavariable is in brackets: the value may be left out. */
bool cli_value_is_optional(const char *metavariable);

#endif
