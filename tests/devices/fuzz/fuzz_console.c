/* Consoles and channels on lines that fill up and send as the input says. */
#include <stdlib.h>

#include "tests/devices/fuzz/fuzz_devices.h"
#include "devices/virtio/console.h"

enum { PORTS = 3 };

struct line {
    struct dev_serial serial;
    unsigned room, waiting;
};

static bool line_room(void *context)
{
    return ((struct line *)context)->room != 0;
}

static void line_put(void *context, uint8_t byte)
{
    struct line *l = context;
    if (l->room)
        l->room--;
}

static size_t line_get(void *context, uint8_t *to, size_t max)
{
    struct line *l = context;
    size_t n = l->waiting < max ? l->waiting : max;
    for (size_t i = 0; i < n; i++)
        to[i] = (uint8_t)i;
    l->waiting -= (unsigned)n;
    return n;
}

static struct line *lines(void)
{
    static struct line l[PORTS];
    return l;
}

void fz_attach(struct fz_world *w)
{
    struct virtio_console_port ports[PORTS] = {{.name = NULL}, {.name = "channel"}, {.name = NULL}};
    struct gw_error err = {0};
    for (unsigned i = 0; i < PORTS; i++) {
        lines()[i].serial = (struct dev_serial){
            .room = line_room, .put = line_put, .get = line_get, .context = &lines()[i]};
        ports[i].serial = &lines()[i].serial;
    }
    if (virtio_console_attach(w->v, ports, PORTS, &err) != GW_OK)
        abort();
}

void fz_between(struct fz_world *w)
{
    for (unsigned i = 0; i < PORTS; i++)
        lines()[i].room = lines()[i].waiting = 0;
}

void fz_host(struct fz_world *w, struct fz_bytes *input)
{
    unsigned how = (unsigned)fz_take(input, 1), port = how % PORTS;
    if (how & 0x80) {
        virtio_console_resize(w->v, (uint16_t)fz_take(input, 2), (uint16_t)fz_take(input, 2));
        return;
    }
    lines()[port].room = (unsigned)fz_take(input, 2);
    lines()[port].waiting = (unsigned)fz_take(input, 2);
    virtio_console_poke(w->v, port);
}
