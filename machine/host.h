/*
 * What the host tells a running machine beside its console: signals that end it, the timeout, and
 * the terminal's state. Everything arrives as an event.
 */
#ifndef MACHINE_HOST_H
#define MACHINE_HOST_H

#include <stdbool.h>
#include <stdint.h>

#include "godwit/event.h"
#include "godwit/status.h"
#include "devices/host/io_thread.h"

struct host;

/* Events of the source "host". */
enum host_event {
    HOST_SIGNAL,  /* 4 bytes: its number */
    HOST_TIMEOUT, /* none */
    HOST_RESIZE,  /* 4 bytes: columns and rows of the terminal, two each */
};

/* vCPU thread. */
struct host_hooks {
    void (*signal)(void *context, int signal); /* one that ends us */
    void (*timeout)(void *context);
    void (*resize)(void *context, uint16_t columns, uint16_t rows);
    void *context;
};

/* Ignores SIGPIPE and SIGXFSZ. Blocks SIGTERM, SIGHUP, SIGINT, SIGQUIT and SIGWINCH in this thread, before other threads are made. */
enum gw_status host_new(struct host **out, struct gw_error *err);
/* What standard input's terminal has; false when it is none. */
bool host_terminal_size(uint16_t *columns, uint16_t *rows);
/* Starts to report; timeout_ns 0: none. */
enum gw_status host_start(struct host *h, struct dev_io *io, struct gw_events *events,
                          const struct host_hooks *hooks, uint64_t timeout_ns,
                          struct gw_error *err);
/* After the I/O thread has ended. Restores the signal mask. NULL is fine. */
void host_free(struct host *h);

/* Raw mode for the guest's terminal, until terminal_restore(), the end of the process or a fatal
 * signal, whichever comes first. False when fd is no terminal of ours to change. */
bool terminal_raw(int fd);
void terminal_restore(void);

#endif
