/* A virtio device of any kind, that answers at once, and a request of its kind that must succeed.
 * The device is on the bus, so that a buffer can point at its registers. */
#ifndef TESTS_DEVICES_ANY_VIRTIO_H
#define TESTS_DEVICES_ANY_VIRTIO_H

#include <sys/mman.h>
#include <unistd.h>

#include "tests/devices/ring_driver.h"
#include "devices/virtio/mmio.h"
#include "devices/virtio/blk.h"
#include "devices/virtio/console.h"
#include "devices/virtio/net.h"
#include "devices/virtio/rng.h"

enum any_kind { ANY_BLK, ANY_NET, ANY_RNG, ANY_CONSOLE, ANY_KINDS };
enum { ANY_SIZE = 16, ANY_QUEUES = 6, ANY_RING_BYTES = 0x4000 };
#define ANY_WINDOW UINT64_C(0x10001000)
#define ANY_RINGS  (RAM_BASE + 0x40000)
#define ANY_HEADER (RAM_BASE + 0x10000) /* a page of its own */
#define ANY_DATA   (RAM_BASE + 0x20000)

struct any {
    enum any_kind kind;
    struct fake_clock clock;
    struct gw_events *q;
    struct dev_bus bus;
    struct dev_io *io;
    struct dev_disk *disk;
    struct gw_net_backend wire;
    unsigned sent; /* frames */
    struct fake_peer peer[2];
    struct gw_device *d;
    struct virtio_dev *v;
    struct ring r[ANY_QUEUES];
};

static inline bool any_send(struct gw_net_backend *b, const struct iovec *iov, unsigned count)
{
    struct any *a = (struct any *)(void *)((char *)b - offsetof(struct any, wire));
    a->sent++;
    return true;
}

static inline void any_nothing(struct gw_net_backend *b)
{
}

static inline void any_attach_blk(struct any *a, struct gw_error *err)
{
    struct virtio_blk_config cfg = {.queues = 1, .service = VIRTIO_BLK_AT_ONCE};
    struct dev_disk_config disk = {0};
    char path[32];
    int fd = memfd_create("disk", 0);
    assert_int_equal(ftruncate(fd, 64 * 512), 0);
    snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
    disk.path = path;
    assert_int_equal(dev_io_new(&a->io, err), GW_OK);
    assert_int_equal(dev_disk_open(&a->disk, &disk, err), GW_OK);
    assert_int_equal(dev_disk_begin(a->disk, err), GW_OK);
    close(fd);
    cfg.io = a->io;
    cfg.disk = a->disk;
    assert_int_equal(virtio_blk_attach(a->v, &cfg, err), GW_OK);
}

static inline void any_attach_net(struct any *a, struct gw_error *err)
{
    static const struct gw_net_backend_ops ops = {
        .name = "wire", .send = any_send, .resume = any_nothing, .close = any_nothing};
    struct virtio_net_config net = {.mac = {2, 0, 0, 0, 0, 1}};
    a->wire = (struct gw_net_backend){.ops = &ops, .mtu = 1500};
    assert_int_equal(virtio_net_attach(a->v, &net, err), GW_OK);
    virtio_net_plug(a->v, &a->wire);
}

static inline void any_attach_rng(struct any *a, struct gw_error *err)
{
    struct virtio_rng_config rng = {.seeded = true};
    assert_int_equal(virtio_rng_attach(a->v, &rng, err), GW_OK);
}

static inline void any_attach_console(struct any *a, struct gw_error *err)
{
    struct virtio_console_port ports[2] = {{.name = NULL}, {.name = "channel"}};
    for (unsigned i = 0; i < 2; i++) {
        fake_peer_init(&a->peer[i]);
        ports[i].serial = &a->peer[i].serial;
    }
    assert_int_equal(virtio_console_attach(a->v, ports, 2, err), GW_OK);
}

/* ---- a good request of each kind ------------------------------------------------------------- */

/* Reads sector 3. */
static inline unsigned any_request_blk(struct any *a, struct buffer b[3], uint32_t *written)
{
    ram_put(&a->bus, ANY_HEADER + 8, 3, 8);
    b[1] = (struct buffer){.paddr = ANY_DATA, .len = 512, .write = true};
    b[2] = (struct buffer){.paddr = ANY_DATA + 0x1000, .len = 1, .write = true};
    *written = 513;
    return 3;
}

/* With a checksum to be filled in. */
static inline unsigned any_request_net(struct any *a, struct buffer b[3], uint32_t *written)
{
    ram_put(&a->bus, ANY_HEADER, 1, 1);
    ram_put(&a->bus, ANY_HEADER + 6, 34, 2);
    b[0].len = 12;
    b[1] = (struct buffer){.paddr = ANY_HEADER + 64, .len = 60};
    return 2;
}

static inline unsigned any_request_rng(struct any *a, struct buffer b[3], uint32_t *written)
{
    b[0] = (struct buffer){.paddr = ANY_DATA, .len = 16, .write = true};
    *written = 16;
    return 1;
}

static inline unsigned any_request_console(struct any *a, struct buffer b[3], uint32_t *written)
{
    return 1;
}

/* ---- the kinds, a row each ------------------------------------------------------------------- */

struct any_row {
    const struct virtio_kind *kind;
    void (*attach)(struct any *a, struct gw_error *err);
    unsigned queue; /* that requests go to */
    unsigned (*request)(struct any *a, struct buffer b[3], uint32_t *written);
};

static inline const struct any_row *any_row(enum any_kind kind)
{
    static const struct any_row rows[ANY_KINDS] = {
        [ANY_BLK] = {&virtio_blk_kind, any_attach_blk, 0, any_request_blk},
        [ANY_NET] = {&virtio_net_kind, any_attach_net, 1, any_request_net},
        [ANY_RNG] = {&virtio_rng_kind, any_attach_rng, 0, any_request_rng},
        [ANY_CONSOLE] = {&virtio_console_kind, any_attach_console, 1, any_request_console},
    };
    return &rows[kind];
}

/* Resets, and sets up all queues. */
static inline void any_start(struct any *a, bool packed)
{
    agree_on(a->d, packed ? VIRTIO_F_RING_PACKED : 0);
    for (unsigned i = 0; i < a->v->queue_count; i++)
        ring_init(&a->r[i], &a->bus, a->d, i, ANY_SIZE, packed, ANY_RINGS + i * ANY_RING_BYTES);
    vset(a->d, R_STATUS, 15);
}

static inline void any_open(struct any *a, enum any_kind kind, bool packed)
{
    struct gw_error err = {0};
    memset(a, 0, sizeof *a);
    a->kind = kind;
    a->q = fake_events(&a->clock);
    fake_bus(&a->bus);
    a->d = dev_new(&virtio_mmio_class, a->q, &a->bus.bus);
    a->v = virtio_mmio_dev(a->d);
    assert_int_equal(dev_bus_add_device(&a->bus, ANY_WINDOW, a->d, &err), GW_OK);
    any_row(kind)->attach(a, &err);
    any_start(a, packed);
}

static inline void any_close(struct any *a)
{
    dev_free(a->d);
    if (a->io)
        dev_io_free(a->io);
    dev_disk_close(a->disk);
    dev_bus_destroy(&a->bus);
    gw_events_free(a->q);
}

/* The queue that requests go to. */
static inline unsigned any_queue(const struct any *a)
{
    return any_row(a->kind)->queue;
}

/* Buffers of the good request; returns how many. *written: what the device will put into them. */
static inline unsigned any_request(struct any *a, struct buffer b[3], uint32_t *written)
{
    memset(ram_at(&a->bus, ANY_HEADER), 0, 128);
    *written = 0;
    b[0] = (struct buffer){.paddr = ANY_HEADER, .len = 16};
    return any_row(a->kind)->request(a, b, written);
}

/* A good request is served. */
static inline void any_is_well(struct any *a, unsigned id)
{
    struct ring *r = &a->r[any_queue(a)];
    struct buffer b[3];
    uint32_t len, written;
    unsigned count = any_request(a, b, &written);
    ring_add_direct(r, id, b, count);
    ring_kick(r);
    assert_int_equal(vreg(a->d, R_STATUS), 15);
    assert_int_equal(ring_take(r, &len), id);
    assert_int_equal(len, written);
    if (a->kind == ANY_BLK)
        assert_int_equal(ram_get(&a->bus, ANY_DATA + 0x1000, 1), 0);
}

#endif
