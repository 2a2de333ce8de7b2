/* Of the server's files only. */
#ifndef CONTROL_SERVER_INT_H
#define CONTROL_SERVER_INT_H

#include <pthread.h>

#include "control/control.h"

enum { CTL_CONNECTIONS = 32, CTL_BACKLOG = 64 * 1024 };

struct ctl_server;

/* A client. Slots are the server's and are used again, so a late report of a watch finds one. */
struct ctl_conn {
    struct ctl_server *server;
    struct machine_watch watch;
    int fd;       /* -1: free */
    int file;     /* a descriptor that came with a request; -1: none */
    bool busy;    /* an answer is due; requests wait */
    bool gone;    /* hung up while an answer was due */
    bool waiting; /* asked to be told of the end */
    bool console; /* carries the console's bytes now */
    size_t used;
    char line[CTL_LINE_BYTES];
};

struct ctl_server {
    struct ctl_server_config cfg;
    struct machine_control control;
    struct machine_steer *steer;
    char name[CTL_NAME_BYTES];
    int lock_fd, listen_fd;
    int ended_fd;    /* where its end is written to, when nothing can be opened any more */
    char *sock_path; /* of the control socket */
    struct machine_watch listen_watch;
    pthread_mutex_t lock; /* of all that follows */
    bool full;            /* whoever connects waits until a slot is free */
    struct ctl_conn conn[CTL_CONNECTIONS];
    /* The console: what the guest said last, and what a client typed that did not fit yet. */
    struct machine_watch console_watch;
    bool console_open;
    struct ctl_conn *viewer;
    size_t said, seen; /* bytes in all: of the guest, and of those what the viewer was sent */
    size_t typed, typed_at;
    uint8_t backlog[CTL_BACKLOG];
    uint8_t typing[1024];
};

/* server.c; under lock. */
void ctl_conn_close(struct ctl_conn *c);
/* lines: "a\nb\n"; each is sent with '=' before it. err NULL: it was done. */
void ctl_conn_answer(struct ctl_conn *c, const char *lines, const struct gw_error *err);
bool ctl_conn_send(struct ctl_conn *c, const void *bytes, size_t size);

/* server_console.c; under lock. */
bool ctl_console_start(struct ctl_server *s);
void ctl_console_attach(struct ctl_conn *c);
/* Of the connection that carries the console. */
void ctl_console_ready(struct ctl_conn *c, uint32_t events);
/* Takes what the guest said last, after the machine is gone. */
void ctl_console_drain(struct ctl_server *s);

#endif
