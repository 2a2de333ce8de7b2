/*
 * Where a serial port of the guest leads on the host: standard input and output, a file, a
 * pseudo-terminal, or a socket that one peer at a time connects to. The console behind the port
 * always has the same two descriptors; where peers come and go, they lead to a relay that is run by
 * the I/O thread and throws output away while nobody listens.
 */
#ifndef MACHINE_PORT_H
#define MACHINE_PORT_H

#include "godwit/status.h"
#include "devices/host/io_thread.h"
#include "godwit/machine_spec.h"

struct port;

/* Main thread, before the board is made. The strings of `what` stay valid. On failure *out is NULL. */
enum gw_status port_open(struct port **out, const struct spec_target *what, struct gw_error *err);
/* The console's descriptors; -1: none. */
int port_in(const struct port *p);
int port_out(const struct port *p);
/* The file to open to talk to a pseudo-terminal's guest; NULL for other kinds. */
const char *port_name(const struct port *p);
/* Once there is an I/O thread. */
enum gw_status port_start(struct port *p, struct dev_io *io, struct gw_error *err);
/* After the I/O thread has ended. What the guest said last is passed on. NULL is fine. */
void port_close(struct port *p);

#endif
