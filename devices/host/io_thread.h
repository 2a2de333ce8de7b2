/*
 * An I/O thread: an epoll loop that runs the host side of devices, so a slow host never holds the
 * vCPU; results come back as events. A machine has several, so that what may wait for the host's disks
 * holds up neither what is watched (lines, sockets, taps) nor whoever steers it.
 */
#ifndef DEV_IO_THREAD_H
#define DEV_IO_THREAD_H

#include <stdbool.h>
#include <stdint.h>

#include "godwit/status.h"

struct dev_io;

/* A piece of work, owned by its device, which leaves it alone until it has run. */
struct dev_io_job {
    void (*run)(struct dev_io_job *job); /* I/O thread */
    struct dev_io_job *next;             /* owned by the queue */
};

/* A watched descriptor, owned by its device until dev_io_free(). */
struct dev_io_watch {
    int fd;
    void (*ready)(void *context, uint32_t epoll_events); /* I/O thread */
    void *context;
};

enum gw_status dev_io_new(struct dev_io **out, struct gw_error *err);
/* Runs what is queued, then ends the thread. NULL is fine. */
void dev_io_free(struct dev_io *io);

/* Any thread. Jobs run in the order of submission. */
void dev_io_submit(struct dev_io *io, struct dev_io_job *job);
/* Not the I/O thread. Returns when every job submitted so far has run. */
void dev_io_drain(struct dev_io *io);
/* The same, for so long at most: false when there is still work. */
bool dev_io_wait(struct dev_io *io, uint64_t ns);

/* Any thread. events: EPOLLIN, EPOLLOUT; with 0 nothing is reported until a rewatch. watch() gives
 * GW_ERR_UNSUPPORTED for descriptors that are always ready (regular files). */
enum gw_status dev_io_watch(struct dev_io *io, struct dev_io_watch *w, uint32_t events);
void dev_io_rewatch(struct dev_io *io, struct dev_io_watch *w, uint32_t events);

#endif
