/*
 * Running machines by name: the run directory, the socket on which a machine is steered, and the
 * client's end of it. docs/control.md has the protocol. Links libc alone.
 *
 * Server: opened on the main thread before the machine runs; afterwards on the machine's control thread
 * and, for answers, on its vCPU's thread; ended on the main thread when the machine is gone.
 */
#ifndef CONTROL_CONTROL_H
#define CONTROL_CONTROL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "godwit/status.h"
#include "machine/machine.h"

enum { CTL_PROTOCOL = 1, CTL_NAME_BYTES = 64, CTL_LINE_BYTES = 4096 };

/* ---- the run directory: rundir.c ------------------------------------------------------------- */

struct ctl_dir {
    int fd;
    char path[512];
};

/* wanted: --run-dir; NULL: GODWIT_RUN_DIR, XDG_RUNTIME_DIR/godwit, /run/godwit (root) or
 * /tmp/godwit-UID. Made when absent; must be this user's and closed to others. */
enum gw_status ctl_dir_open(struct ctl_dir *d, const char *wanted, struct gw_error *err);
void ctl_dir_close(struct ctl_dir *d);
/* Letters, digits, and "._-" inside; at most CTL_NAME_BYTES - 1. */
bool ctl_name_is_fine(const char *name);
/* The control socket's suffix: it is in the machine's own folder. */
#define CTL_SOCKET "own/sock"
/* "NAME.suffix" */
void ctl_file_name(char *buf, size_t size, const char *name, const char *suffix);

/* The machine's own folder, "NAME.own", made when absent: its descriptor, or -1. The name is taken. */
int ctl_folder_open(const struct ctl_dir *d, const char *name);
/* Takes the name: *lock_fd keeps it until it is closed. GW_ERR_STATE when a machine has it. */
enum gw_status ctl_name_take(const struct ctl_dir *d, const char *name, int *lock_fd,
                             struct gw_error *err);
bool ctl_name_is_taken(const struct ctl_dir *d, const char *name);
/* All names, running or ended, in order; free each and the list. Returns how many. */
size_t ctl_names(const struct ctl_dir *d, char ***names);

/* How a machine ended, for whoever asks later. */
struct ctl_ended {
    char how[24];
    int status;
    uint64_t insns;
};
bool ctl_ended_write(int fd, const struct ctl_ended *e);
bool ctl_ended_read(const struct ctl_dir *d, const char *name, struct ctl_ended *e);
/* What of the host a machine may use, as it was when it started: malloc()ed, the caller's. The machine
 * itself cannot change it. NULL: it is not known. */
char *ctl_grants_read(const struct ctl_dir *d, const char *name);
/* Removes the socket of a machine that was killed, unless another one has the name. */
void ctl_name_tidy(const struct ctl_dir *d, const char *name);
/* Forgets a machine that has ended. */
enum gw_status ctl_name_remove(const struct ctl_dir *d, const char *name, struct gw_error *err);

/* ---- server: server.c ------------------------------------------------------------------------ */

struct ctl_server;

struct ctl_server_config {
    const struct ctl_dir *dir; /* outlives the server */
    const char *name;
    const char *grants;           /* kept for whoever seals a snapshot of it; NULL: nothing is */
    int console_fd;               /* the other end of the machine's console; -1: it is elsewhere */
    void (*ready)(void *context); /* the machine is about to run; may be NULL */
    void *context;
};

/* Takes the name and listens. The socket is served once the machine runs. */
enum gw_status ctl_server_new(struct ctl_server **out, const struct ctl_server_config *cfg,
                              struct gw_error *err);
const struct machine_control *ctl_server_control(struct ctl_server *s);
/* The control thread, in the middle of a run that will not return: the same, and nothing is freed. */
void ctl_server_cut(struct ctl_server *s, const struct ctl_ended *e);
/* Tells those who wait how it ended, keeps that for those who ask later, and frees the server. NULL
 * is fine; e NULL: the machine never ran. */
void ctl_server_end(struct ctl_server *s, const struct ctl_ended *e);

/* ---- client: client.c ------------------------------------------------------------------------ */

/* Connects to a running machine: GW_ERR_NOTFOUND when there is none of that name. */
enum gw_status ctl_connect(const struct ctl_dir *d, const char *name, int *fd,
                           struct gw_error *err);
/* One request ("pause", "save /a/file") and its answer; each line of it goes to line(), which may
 * be NULL. timeout_ms -1: none. The connection stays open. */
enum gw_status ctl_ask(int fd, const char *name, const char *request, int timeout_ms,
                       void (*line)(void *context, const char *text), void *context,
                       struct gw_error *err);
/* The same, and the request carries a descriptor, which stays the caller's: what the machine writes
 * to where it may open nothing itself. */
enum gw_status ctl_ask_with_file(int fd, const char *name, const char *request, int file,
                                 struct gw_error *err);
/* The process behind a connection; 0: unknown. */
int ctl_peer_pid(int fd);

#endif
