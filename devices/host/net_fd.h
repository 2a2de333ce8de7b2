/*
 * Network back ends that are a descriptor, watched by the I/O thread: a tap device, a stream socket
 * to another program (each frame behind its length, four bytes, big-endian, as QEMU's and passt's
 * are), or one end of a socket pair that keeps frames apart.
 *
 * Two machines that were restored from one file have one address, and their guests keep it. A frame
 * that comes from the guest's own address tells: two of them on a socket take its cable out, and on a tap,
 * where anybody may have sent the frame, the user is told once.
 */
#ifndef DEV_NET_FD_H
#define DEV_NET_FD_H

#include "godwit/net.h"
#include "devices/host/io_thread.h"

/* The address of the card that the wire leads to. */
struct dev_net_address {
    uint8_t mac[6];
    bool chosen;
};

/* The tap device of this name, which the user may open. */
enum gw_status dev_net_tap(struct gw_net_backend **out, struct dev_io *io,
                           const struct gw_net_port *port, const char *name,
                           const struct dev_net_address *address, struct gw_error *err);
/* Connects to a listening socket; where there is none yet, makes one and takes one caller. Both ends of
 * a wire need an address of their own: one that was not chosen is made odd at the end that connects. */
enum gw_status dev_net_socket(struct gw_net_backend **out, struct dev_io *io,
                              const struct gw_net_port *port, const char *path,
                              struct dev_net_address *address, struct gw_error *err);
/* A descriptor that gives a frame a read; it is the back end's to close, also on failure. */
enum gw_status dev_net_frames(struct gw_net_backend **out, struct dev_io *io,
                              const struct gw_net_port *port, int fd, struct gw_error *err);

#endif
