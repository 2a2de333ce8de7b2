/*
 * The sandbox: seccomp filters, one a thread, that leave each thread the system calls it needs once
 * the guest runs. docs/sandbox.md says what they are and what they are not. A build without
 * libseccomp, or with a sanitizer, has sandbox_none.c in its place.
 *
 * A filter is a thread's for good, and its children's: threads are started, files opened and modules
 * loaded before their thread enters.
 */
#ifndef MACHINE_SANDBOX_H
#define MACHINE_SANDBOX_H

#include "godwit/status.h"

enum sandbox_role {
    SANDBOX_VCPU,    /* runs guest code and device models */
    SANDBOX_IO,      /* lines, sockets, taps */
    SANDBOX_DISK,    /* a disk's files */
    SANDBOX_CONTROL, /* control socket, signals, timers */
    SANDBOX_NET,     /* user networking: has the host's sockets */
    SANDBOX_NET_IN,  /* the same, of those that others connect to alone */
    SANDBOX_MAIN,    /* a vCPU's thread that ends the run too: saves, waits for the broker */
    SANDBOX_ROLES
};

struct sandbox;

/* NULL: this program can lock itself in on this host. Else why not. */
const char *sandbox_missing(void);

/* Main thread. Opens what libraries will open by name, and installs the handler that says which call
 * was forbidden. */
enum gw_status sandbox_new(struct sandbox **out, struct gw_error *err);
/* The calling thread, whose signals this may unblock: SIGSYS. NULL: no sandbox, which is fine. */
enum gw_status sandbox_enter(const struct sandbox *s, enum sandbox_role role, struct gw_error *err);
/* A descriptor that a thread of SANDBOX_NET needs; -1: none. */
int sandbox_names_fd(const struct sandbox *s);
/* The whole process, of one thread, for good: it reads what is open, computes, and writes what it found. For
 * programs that look into foreign files and are no machine. Where there is no sandbox (see above):
 * GW_ERR_UNSUPPORTED. */
enum gw_status sandbox_enter_reader(struct gw_error *err);
/* Gives the descriptors back; filters stay. NULL is fine. */
void sandbox_free(struct sandbox *s);

#endif
