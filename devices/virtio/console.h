/*
 * virtio-console (VIRTIO 1.2, 5.3), with several ports: consoles (hvc0 in a Linux guest), and named
 * channels to programs (/dev/virtio-ports/NAME). Behind each is a serial line (serial.h).
 */
#ifndef DEV_VIRTIO_CONSOLE_H
#define DEV_VIRTIO_CONSOLE_H

#include "devices/serial.h"
#include "devices/virtio/dev.h"

/* Events of a console; what its lines bring are events of theirs. */
enum virtio_console_event {
    VIRTIO_CONSOLE_GO_ON, /* with the queues that are unfinished */
};

enum { VIRTIO_CONSOLE_PORTS = VIRTIO_MAX_QUEUES / 2 - 1, VIRTIO_CONSOLE_NAME_BYTES = 64 };

struct virtio_console_port {
    const struct dev_serial *serial; /* stays the caller's, until after destroy */
    const char *name;                /* of a channel; NULL: a console. Copied */
};

extern const struct virtio_kind virtio_console_kind;

/* Makes an empty virtio device a console device of 1 to VIRTIO_CONSOLE_PORTS ports. Before the vCPU
 * starts. */
enum gw_status virtio_console_attach(struct virtio_dev *v, const struct virtio_console_port *ports,
                                     unsigned count, struct gw_error *err);
/* Input came for this port, or there is room for its output again. vCPU thread. */
void virtio_console_poke(struct virtio_dev *v, unsigned port);
/* The size of the terminal behind the consoles, in characters. vCPU thread. */
void virtio_console_resize(struct virtio_dev *v, uint16_t columns, uint16_t rows);

#endif
