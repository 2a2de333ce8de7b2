/*
 * The sandbox: each thread gives up being root, every capability, names of files (Landlock) and, by a seccomp
 * filter of its own, the system calls that it does not need once the guest runs. docs/sandbox.md says what
 * that is and what it is not. A build without libseccomp, or with a sanitizer, has sandbox_none.c in its
 * place.
 *
 * A filter is a thread's for good, and its children's: files are opened and modules loaded before their
 * thread enters. Who enters again has what both roles allow.
 */
#ifndef MACHINE_SANDBOX_H
#define MACHINE_SANDBOX_H

#include "godwit/status.h"
#include "machine/lock/landlock.h"
#include "machine/lock/user.h"

enum sandbox_role {
    SANDBOX_VCPU,    /* runs guest code and device models */
    SANDBOX_IO,      /* lines, sockets, taps */
    SANDBOX_DISK,    /* a disk's files */
    SANDBOX_CONTROL, /* control socket, signals, timers */
    SANDBOX_NET,     /* user networking: has the host's sockets */
    SANDBOX_NET_IN,  /* the same, of those that others connect to alone */
    SANDBOX_MAIN,    /* a vCPU's thread that ends the run too: saves, waits for the broker */
    SANDBOX_BROKER,  /* the process that names files: by sandbox_enter_broker() */
    SANDBOX_LOAD,    /* that thread while it reads files: it starts others yet, and enters again */
    SANDBOX_ROLES
};

struct sandbox;

/* NULL: this program can lock itself in on this host. Else why not. */
const char *sandbox_missing(void);

/* Main thread, before others are started. Opens what libraries will open by name, and installs the handler
 * that says which call was forbidden. user: see lock_user_choose(). */
enum gw_status sandbox_new(struct sandbox **out, const char *user, struct gw_error *err);
/* Who its threads become; NULL: there is no sandbox. */
const struct lock_user *sandbox_user(const struct sandbox *s);
/* The process: its memory is nobody's to look into, a core file or a debugger of the user's, where root was
 * given up; and it gets that many bytes of its own memory beyond what it has. */
void sandbox_bound(const struct sandbox *s, uint64_t more_bytes);
/* The calling thread, whose signals this may unblock: SIGSYS. NULL: no sandbox, which is fine. */
enum gw_status sandbox_enter(const struct sandbox *s, enum sandbox_role role, struct gw_error *err);
/* The same for who has entered as SANDBOX_LOAD, or was started by a thread that had: only the filter is missing. */
enum gw_status sandbox_enter_again(const struct sandbox *s, enum sandbox_role role,
                                   struct gw_error *err);
/* The whole process, of one thread: the broker, which may still make and remove files in these places. */
enum gw_status sandbox_enter_broker(const struct sandbox *s, const struct landlock_place *places,
                                    unsigned count, struct gw_error *err);
/* A descriptor that a thread of SANDBOX_NET needs; -1: none. */
int sandbox_names_fd(const struct sandbox *s);
/* The whole process, of one thread, for good: it reads what is open, computes, and writes what it found. For
 * programs that look into foreign files and are no machine. Where there is no sandbox (see above):
 * GW_ERR_UNSUPPORTED. */
enum gw_status sandbox_enter_reader(struct gw_error *err);
/* Gives the descriptors back; filters stay. NULL is fine. */
void sandbox_free(struct sandbox *s);

#endif
