/*
 * Names under which Godwit is called in the place of another program: qemu-riscv64, by people and by recipes
 * of their builds, and godwit-binfmt, by the host's kernel for a guest's program. Either is the verb exec in
 * other words. Main thread.
 */
#ifndef CLI_OPTIONS_PEER_H
#define CLI_OPTIONS_PEER_H

#include <stdio.h>

#include "cli/options/options.h"

/* The last part of argv[0] is such a name: words of the verb exec, NULL at the end. */
enum cli_peer { CLI_PEER_NONE, CLI_PEER_QEMU_USER, CLI_PEER_BINFMT };
enum cli_peer cli_peer_of(const char *argv0);

/* What is to be done with the words: run them, or print something and end well. */
enum cli_peer_wish { CLI_PEER_RUN, CLI_PEER_HELP, CLI_PEER_VERSION, CLI_PEER_CPUS, CLI_PEER_LOGS };
struct cli_peer_words {
    char **words; /* heap, and so is each of them */
    unsigned count, room;
    enum cli_peer_wish wish;
    bool full; /* there was no memory for a word */
};

/* QEMU's options in argv[1...] and its variables (where the environment can be trusted), as words of our
 * own. What has no match here and would be missed is refused by name. *out is to be freed whatever comes
 * back. notes: of what is passed over, a line each; NULL: none. */
enum gw_status cli_peer_qemu_user(struct cli_peer_words *out, char *const *argv, FILE *notes,
                                  struct gw_error *err);
/* The kernel's words: our path, the program's, its argv[0] (flag P), the rest of its arguments. */
enum gw_status cli_peer_binfmt(struct cli_peer_words *out, char *const *argv, struct gw_error *err);
void cli_peer_free(struct cli_peer_words *w);
void cli_peer_print(FILE *to, enum cli_peer_wish wish);

#endif
