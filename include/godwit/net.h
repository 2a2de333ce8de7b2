/*
 * A network card and what it is plugged into: the device sends frames to a back end, the back end
 * gives frames to the device's port. Frames are Ethernet, without preamble and check sequence, with
 * all checksums filled in; what a back end does with the host is its own affair. A back end may
 * come out of a module (godwit-net.so), so that its libraries are loaded when they are wanted.
 */
#ifndef GODWIT_NET_H
#define GODWIT_NET_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/uio.h>

#include "godwit/machine_spec.h"
#include "godwit/status.h"

enum { GW_NET_FRAME_MIN = 14, GW_NET_FRAME_MAX = 65535 + 14 };

/* The device's side. The back end's own thread calls. */
struct gw_net_port {
    void *context;
    /* A frame for the guest. False: no room now; resume() will be called when there is. */
    bool (*receive)(void *context, const uint8_t *frame, size_t size_bytes);
    /* After send() was refused: there is room again. */
    void (*writable)(void *context);
    /* The cable, as it is now. why: a few words for the user, or NULL. */
    void (*link)(void *context, bool up, const char *why);
};

struct gw_net_backend;

struct gw_net_backend_ops {
    const char *name;
    /* Main thread, when all that this process opens is open; before, no callback comes. NULL: there is
     * nothing to start. */
    enum gw_status (*start)(struct gw_net_backend *b, struct gw_error *err);
    /* vCPU thread, and none of them waits. send() copies; false: no room now, writable() will be
     * called. Frames of the sizes above. */
    bool (*send)(struct gw_net_backend *b, const struct iovec *iov, unsigned count);
    void (*resume)(struct gw_net_backend *b);
    /* No callback comes any more once it has returned. */
    void (*close)(struct gw_net_backend *b);
};

struct gw_net_backend {
    const struct gw_net_backend_ops *ops;
    unsigned mtu;     /* payload of the largest frame, 1500 to 65520 */
    bool checked;     /* frames for the guest have good checksums: it need not look */
    bool large_sends; /* takes TCP segments of up to 64 KiB whatever the MTU */
};

#define GW_NET_MODULE        "godwit-net.so"
#define GW_NET_MODULE_SYMBOL "godwit_net_module"
#define GW_NET_API           5

/* What a thread of the module's calls before all else, in this order. NULL: nothing. */
struct gw_net_thread {
    /* Its descriptors become its own, and of what was open these alone. False: that cannot be here, and it
     * shares them with all others. */
    bool (*own_files)(void *context, const int *keep, unsigned count);
    /* False: it may not go on. */
    bool (*enter)(void *context);
    void *context;
};

/* User networking, and what it does not do. */
struct gw_net_user {
    const struct publish_spec *publish;
    unsigned publish_count;
    bool restricted; /* nothing leaves it; who connects to a published port is answered */
    bool no_host;    /* the host's loopback is out of its reach */
};

/* What the module gives: networking that needs no rights, by way of the host's sockets. */
struct gw_net_module {
    unsigned version; /* GW_NET_API */
    enum gw_status (*open_user)(struct gw_net_backend **out, const struct gw_net_port *port,
                                const struct gw_net_thread *thread, const struct gw_net_user *cfg,
                                struct gw_error *err);
};

#endif
