/*
 * Network back ends that are a descriptor, watched by the I/O thread: a tap device, a stream socket
 * to another program (each frame behind its length, four bytes, big-endian, as QEMU's and passt's
 * are), or one end of a socket pair that keeps frames apart.
 */
#ifndef DEV_NET_FD_H
#define DEV_NET_FD_H

#include "godwit/net.h"
#include "devices/host/io_thread.h"

/* The tap device of this name, which the user may open. */
enum gw_status dev_net_tap(struct gw_net_backend **out, struct dev_io *io,
                           const struct gw_net_port *port, const char *name, struct gw_error *err);
/* Connects to a listening socket; where there is none yet, makes one and takes one caller. */
enum gw_status dev_net_socket(struct gw_net_backend **out, struct dev_io *io,
                              const struct gw_net_port *port, const char *path,
                              struct gw_error *err);
/* A descriptor that gives a frame a read; it is the back end's to close, also on failure. */
enum gw_status dev_net_frames(struct gw_net_backend **out, struct dev_io *io,
                              const struct gw_net_port *port, int fd, struct gw_error *err);

#endif
