/* Of the server's files only. */
#ifndef CONTROL_SERVER_INT_H
#define CONTROL_SERVER_INT_H

#include <pthread.h>

#include "control/control.h"

enum {
    CTL_CONNECTIONS = 32,
    CTL_ASKS = 256, /* of the machine that are not answered yet; who stops it may always ask */
    CTL_FILES = 8,  /* descriptors that are looked for in one message */
    CTL_BACKLOG = 64 * 1024
};

struct ctl_server;

/* A client. Places are the server's and are used again, so a late report of a watch finds one. */
struct ctl_conn {
    struct ctl_server *server;
    struct machine_watch watch;
    int fd;         /* -1: free */
    int file;       /* a descriptor that came with a request; -1: none */
    uint64_t id;    /* of no other connection, in this place or another */
    uint64_t heard; /* the last time, by the server's count of such times */
    bool asked;     /* something, ever */
    bool busy;      /* an answer is due; requests wait */
    bool waiting;   /* asked to be told of the end */
    bool console;   /* carries the console's bytes now */
    size_t used;
    char line[CTL_LINE_BYTES];
};

/* What the machine was asked for whom. The connection may be gone when it answers. */
struct ctl_ask {
    struct ctl_conn *conn;
    uint64_t id;
};

struct ctl_server {
    struct ctl_server_config cfg;
    struct machine_control control;
    struct machine_steer *steer;
    char name[CTL_NAME_BYTES];
    int lock_fd, listen_fd;
    int ended_fd;  /* where its end is written to, when nothing can be opened any more */
    int folder_fd; /* the machine's own, where the control socket is */
    struct machine_watch listen_watch;
    pthread_mutex_t lock; /* of all that follows */
    uint64_t count;       /* of ids, and of times that a client was heard */
    unsigned asks;        /* that are not answered yet */
    bool deaf;            /* no descriptor was left for a client: it waits until one is closed */
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
