/*
 * Machines that are started for one command (`godwit run ... -- CMD`): an init of ours
 * (guest_init.s) runs it as the guest's first and tells the test device how it ended. It reaches the
 * guest in an archive behind the user's initrd, and by rdinit= on the kernel's command line.
 */
#ifndef MACHINE_COMMAND_H
#define MACHINE_COMMAND_H

#include "machine/vm.h"

/* What the kernel gets as its initrd; size 0: none. */
struct initrd {
    const uint8_t *data;
    size_t size;
    struct blob file;
    uint8_t *made; /* NULL: data is the file's */
};

enum gw_status initrd_open(struct vm *m, struct initrd *i, struct gw_error *err);
void initrd_close(struct initrd *i);

/* The kernel's command line; the caller's to free. NULL: no memory. */
char *command_bootargs(const struct machine_spec *s);
/* Is what the options say possible? */
enum gw_status command_check(const struct machine_options *o, struct gw_error *err);
/* The guest gave the test device this code. True: our init said how the command ended, and the run
 * has ended so. */
bool command_told(struct vm *m, unsigned code);

/* Once, before the others are asked. */
void command_look_at_stdin(struct vm *m);
/* Standard input is nobody's who types, but bytes that the command reads, as they are, up to their end: they
 * come in frames (devices/host/console.h), which init takes apart, once it says that it is ready. */
bool command_reads_stdin(const struct vm *m);

/* An archive with init in it, that runs the words of the command, of which there is one at least.
 * `power`: the test device's address. For tests, too. *out is the caller's to free. */
struct command_config {
    const char *command; /* as in the machine's description */
    const char *term;    /* TERM; NULL: nobody types at the console */
    bool no_input;
    bool frames; /* its standard input comes in frames */
    uint64_t power;
};
enum gw_status command_archive(const struct command_config *cfg, uint8_t **out, size_t *size,
                               struct gw_error *err);

#endif
