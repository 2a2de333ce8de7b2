/* The command line's parts. Only this room prints and exits. Main thread. */
#ifndef CLI_CLI_H
#define CLI_CLI_H

#include <stdio.h>

#include "cli/options/options.h"

/* Exit statuses, as README.md lists them. */
enum {
    CLI_STOP_TEXT_MISSED = 122,
    CLI_PANIC = 123,
    CLI_TIMEOUT = 124,
    CLI_FAILURE = 125,
    CLI_CANNOT_RUN = 126,
    CLI_NOT_FOUND = 127,
};

/* "godwit: error: what failed: object: why", and the hint. */
void cli_print_error(const struct gw_error *err);
int cli_status_of(enum gw_status status);
/* What the user wanted to read is not all there: a run that went well otherwise has failed, with this status
 * (0: error is 0). Nobody is told more of a reader that is gone, as of SIGPIPE. file: NULL is standard error. */
int cli_print_lost(const char *what, const char *file, int error);

/* One function a verb; the exit status. */
int cli_run(const struct cli_options *o);
int cli_restore(const struct cli_options *o);
int cli_snap(const struct cli_options *o);
int cli_ps(const struct cli_options *o);
int cli_console(const struct cli_options *o);
int cli_machine_verb(const struct cli_options *o, enum cli_verb verb);
int cli_exec(const struct cli_options *o);
int cli_binfmt(const struct cli_options *o);
int cli_disasm(const struct cli_options *o);
int cli_doctor(const struct cli_options *o);
int cli_completion(const struct cli_options *o);
/* as_peer.c: where argv[0] is another program's name, that program's part is played, and *status is its
 * exit status. False: it is not. */
bool cli_as_peer(char *const *argv, int *status);

void cli_help(FILE *out);
void cli_help_verb(FILE *out, const struct cli_verb_info *verb);
/* "-k, --kernel FILE", or with four spaces for the letter; returns the length. */
int cli_spell_option(char *buf, size_t size, const struct cli_listed *l);
/* man.c */
void cli_man_page(FILE *out);

/* What --report writes. */
struct cli_report {
    const char *ended;
    int status, signal;
    uint64_t insns, wall_ns, overhead_bytes;
    uint64_t peak_rss_bytes; /* 0: to be asked for */
};
/* Prints an error itself. False: it could not be written. */
/* A file, or by /dev/fd/N, wherever that may be, what is open as N. errno. */
int cli_open_to_write(const char *path, int flags);
bool cli_write_report(const char *path, const struct cli_report *r, const struct gw_error *err);
/* The same to a file that was opened (not emptied) before, by a machine that opens nothing any more.
 * fd is closed. */
bool cli_write_report_to(int fd, const char *path, const struct cli_report *r,
                         const struct gw_error *err);

/* Opens one of our modules: beside the program, in the build tree, or where it was installed.
 * NULL: *err says why. */
void *cli_open_module(const char *name, const char *symbol, struct gw_error *err);
/* A file of ours that lies where modules do, to be executed; -1: there is none. */
int cli_open_beside(const char *name);
/* Its path, of at most size bytes; false: there is none. */
bool cli_path_beside(const char *name, char *path, size_t size);
/* The interface of a module whose symbol is a function that returns one: a struct that begins with
 * `unsigned version`, which must be this one. NULL: *err says why; so it does for no symbol. */
const void *cli_interface(void *symbol, const char *name, unsigned version, struct gw_error *err);

/* overhead.c: --overhead-max in parts; all 0 where it is not given. ram_bytes 0: user mode. */
struct cli_overhead {
    uint64_t code_cache_bytes, map_bytes;
};
enum gw_status cli_share_overhead(struct cli_overhead *share, uint64_t most, uint64_t ram_bytes,
                                  struct gw_error *err);

struct machine_api;
struct machine_saved;
struct snap_api;
/* The module of snapshots; NULL: *err says why. */
const struct snap_api *cli_snapshots(struct gw_error *err);
enum gw_status cli_machine_module(const struct machine_api **api, struct gw_error *err);

/* Who else is concerned with a machine that starts: it may have a name, and be detached. */
struct cli_watcher {
    const char *name;             /* NULL: none, and nobody can reach it */
    int console_fd;               /* of a detached one; -1 */
    void (*named)(void *context); /* the name is ours, and nothing is locked in; may be NULL */
    void (*ready)(void *context); /* the machine is about to run; files are opened no more */
    void *context;
};
int cli_run_machine(const struct cli_options *o, const struct machine_spec *spec,
                    const struct machine_saved *from, const struct cli_watcher *watcher);
/* The same in the background; returns when it runs, or could not be started. */
int cli_detach(const struct cli_options *o, const struct machine_spec *spec,
               const struct machine_saved *from);

/* Starts a machine, and stays with it. from: goes on with that one; NULL: boots. */
int cli_start_machine(const struct cli_options *o, const struct machine_spec *spec,
                      const struct machine_saved *from);
/* What every start verb does with an error before its run. */
int cli_start_failed(const struct cli_options *o, const struct gw_error *err);
/* The same where the user was told already. */
int cli_report_failed(const struct cli_options *o, const struct gw_error *err);

#endif
