/* The network card, plugged into a back end that refuses as the input says. */
#include <stdlib.h>
#include <string.h>

#include "tests/devices/fuzz/fuzz_devices.h"
#include "devices/virtio/net.h"

struct wire {
    struct gw_net_backend b;
    struct gw_net_port port;
    bool refuses, refused;
    uint8_t sum; /* of all that was sent: whatever is not memory shows */
};

static bool wire_send(struct gw_net_backend *b, const struct iovec *iov, unsigned count)
{
    struct wire *x = (struct wire *)(void *)b;
    if (x->refuses) {
        x->refused = true;
        return false;
    }
    for (unsigned i = 0; i < count; i++)
        for (size_t k = 0; k < iov[i].iov_len; k++)
            x->sum = (uint8_t)(x->sum + ((const uint8_t *)iov[i].iov_base)[k]);
    return true;
}

static void wire_resume(struct gw_net_backend *b)
{
}

static void wire_close(struct gw_net_backend *b)
{
}

static struct wire *wire(void)
{
    static const struct gw_net_backend_ops ops = {
        .name = "wire", .send = wire_send, .resume = wire_resume, .close = wire_close};
    static struct wire x = {.b = {.ops = &ops, .mtu = 9000, .checked = true, .large_sends = true}};
    return &x;
}

void fz_attach(struct fz_world *w)
{
    struct virtio_net_config cfg = {.mac = {2, 0, 0, 0, 0, 1}};
    struct gw_error err = {0};
    if (virtio_net_attach(w->v, &cfg, &err) != GW_OK)
        abort();
    wire()->port = virtio_net_port(w->v);
    virtio_net_plug(w->v, &wire()->b);
}

void fz_between(struct fz_world *w)
{
    if (!wire()->port.link)
        abort(); /* fz_attach() has set it */
    wire()->refuses = wire()->refused = false;
    wire()->port.link(wire()->port.context, true, NULL);
    gw_events_run(w->events, w->insns);
}

void fz_host(struct fz_world *w, struct fz_bytes *input)
{
    static uint8_t frame[GW_NET_FRAME_MAX + 10];
    struct wire *x = wire();
    uint64_t how = fz_take(input, 1);
    size_t size = fz_take(input, how & 1 ? 2 : 1);
    if (!x->port.receive || !x->port.link || !x->port.writable)
        abort(); /* fz_attach() has set them */
    switch (how >> 5) {
    case 0: x->port.link(x->port.context, how & 2, how & 4 ? "fuzzed" : NULL); break;
    case 1: x->refuses = true; break;
    case 2:
        x->refuses = false;
        if (x->refused)
            x->port.writable(x->port.context);
        x->refused = false;
        break;
    default:
        memset(frame, (int)how, size < sizeof frame ? size : sizeof frame);
        x->port.receive(x->port.context, frame, size < sizeof frame ? size : sizeof frame);
        break;
    }
}
