/*
 * What the operator and the host tell a running machine beside its console: signals that end it, the
 * timeout, the terminal's state. A thread of its own serves all that steers a machine, these and the
 * control socket, from before anything is loaded until the machine is gone. It touches neither disks
 * nor lines and waits for nobody, so whatever holds up the other threads, it answers.
 *
 * What it hears arrives as events. An end that was asked for is also known at once, to whoever waits
 * for the host's disks meanwhile; and if the machine does not come to its end, it is cut off.
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

/* Who asked for the end, first. */
enum host_end {
    HOST_GOES_ON,
    HOST_END_SIGNAL,
    HOST_END_TIMEOUT,
    HOST_END_STOP,
    HOST_END_QUIT,
    HOST_END_KILL, /* whatever was asked before */
};

struct host_hooks {
    /* vCPU thread. */
    void (*signal)(void *context, int signal); /* one that ends us */
    void (*timeout)(void *context);
    void (*resize)(void *context, uint16_t columns, uint16_t rows);
    /* The control thread: the machine was to end and has not, or is not to be asked. Ends the process. */
    void (*cut)(void *context, enum host_end why, int signal);
    void *context;
};

/* Ignores SIGPIPE and SIGXFSZ. Blocks SIGTERM, SIGHUP, SIGINT, SIGQUIT and SIGWINCH in this thread,
 * before other threads are made, and starts the control thread, which counts from now on. timeout_ns 0:
 * none. */
enum gw_status host_new(struct host **out, const struct host_hooks *hooks, uint64_t timeout_ns,
                        struct gw_error *err);
/* Ends the control thread and restores the signal mask. NULL is fine. */
void host_free(struct host *h);
/* The control thread, for jobs that do not wait and descriptors that do not block. */
struct dev_io *host_io(struct host *h);

/* Between these two what is heard is posted, what was heard before too. */
enum gw_status host_attach(struct host *h, struct gw_events *events, struct gw_error *err);
void host_detach(struct host *h);

/* Any thread. The machine is to end; signals and the timeout do this themselves. signal: for
 * HOST_END_SIGNAL, which is posted as one. Asked again, it ends at once. */
void host_ask_end(struct host *h, enum host_end why, int signal);
/* Any thread. The control thread cuts the machine off now; it is asked nothing. */
void host_kill(struct host *h);
/* Any thread. It was asked to; more than once. */
bool host_end_asked(const struct host *h);
bool host_hurries(const struct host *h);
/* Any thread. Once it was asked, the end has so long from now on, unless it hurries. */
void host_allow(struct host *h, uint64_t ns);

/* What standard input's terminal has; false when it is none. */
bool host_terminal_size(uint16_t *columns, uint16_t *rows);
/* The source of its events, once it is attached. */
uint16_t host_source(const struct host *h);

/* Raw mode for the guest's terminal, until terminal_restore(), the end of the process or a fatal
 * signal, whichever comes first. False when fd is no terminal of ours to change. */
bool terminal_raw(int fd);
void terminal_restore(void);
/* The same without waiting for what was written to it. */
void terminal_restore_now(void);

#endif
