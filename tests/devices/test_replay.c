/*
 * What enters a machine enters another one by a log of bytes, with the same result: a serial port, a
 * disk, a network card, a source of entropy and a console, driven by one guest. The first machine has
 * a host behind it; the second has a disk like the first one's, which works at its own pace, and
 * nothing else.
 */
#include <stdio.h>
#include <sys/mman.h>
#include <unistd.h>

#include "devices/board/uart.h"
#include "devices/host/console.h"
#include "devices/virtio/blk.h"
#include "devices/virtio/console.h"
#include "devices/virtio/net.h"
#include "devices/virtio/rng.h"
#include "tests/devices/recorder.h"
#include "tests/devices/ring_driver.h"

enum { BLK, NET, RNG, CONSOLE, SLOTS };
enum { R_BLK, R_NET_RX, R_NET_TX, R_RNG, R_CONSOLE_RX, R_CONSOLE_TX, RINGS };
enum { SIZE = 16, BUF_BYTES = 0x400, STEPS = 100, STEPS_MAX = 20000, STEP_INSNS = 100 };
enum { BLK_IN_FLIGHT = 4, SECTORS = 64 };
#define RINGS_AT (RAM_BASE + 0x40000)
#define BUFS_AT  (RAM_BASE + 0x80000)

/* Of each ring, the buffers that the guest keeps the device supplied with. */
static const struct {
    unsigned slot, queue, buffers;
} places[RINGS] = {
    [R_BLK] = {BLK, 0, 0}, [R_NET_RX] = {NET, 0, 8},         [R_NET_TX] = {NET, 1, 0},
    [R_RNG] = {RNG, 0, 4}, [R_CONSOLE_RX] = {CONSOLE, 0, 4}, [R_CONSOLE_TX] = {CONSOLE, 1, 0},
};

struct world {
    bool live;
    struct fake_clock clock;
    struct gw_events *q;
    struct dev_bus bus;
    struct dev_io *io;
    struct dev_disk *disk;
    struct gw_device *uart, *slot[SLOTS];
    struct dev_console *line, *channel; /* behind uart and console */
    int line_in[2], channel_in[2];
    struct gw_net_port wire;
    struct fake_line irq[SLOTS + 1];
    struct ring r[RINGS];
    bool blk_busy[BLK_IN_FLIGHT];
    unsigned done[RINGS]; /* chains given back */
    unsigned typed, keys, notes;
    uint64_t trace; /* a hash of all that the guest saw */
    unsigned steps;
};

static void see(struct world *w, uint64_t v)
{
    w->trace = (w->trace ^ v) * UINT64_C(0x100000001b3);
}

/* ---- the machine ---------------------------------------------------------------------------- */

static struct virtio_dev *virtio(struct world *w, unsigned slot)
{
    return virtio_mmio_dev(w->slot[slot]);
}

static void poke_uart(void *context)
{
    dev_uart_poke((struct dev_uart *)(void *)((struct world *)context)->uart);
}

static void poke_channel(void *context)
{
    virtio_console_poke(virtio(context, CONSOLE), 0);
}

static void menu(void *context, uint8_t key)
{
    struct world *w = context;
    see(w, key);
    w->keys++;
}

static void note(void *context, const char *text)
{
    struct world *w = context;
    for (w->notes++; *text; text++)
        see(w, (uint8_t)*text);
}

static int open_disk(void)
{
    uint8_t sector[DEV_DISK_SECTOR];
    int fd = memfd_create("disk", 0);
    for (unsigned s = 0; s < SECTORS; s++) {
        memset(sector, (int)s + 1, sizeof sector);
        assert_int_equal(write(fd, sector, sizeof sector), sizeof sector);
    }
    return fd;
}

static void attach_blk(struct world *w)
{
    struct virtio_blk_config cfg = {.io = w->io, .service = VIRTIO_BLK_QUEUED};
    struct gw_error err = {0};
    int fd = open_disk();
    char path[32];
    snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
    assert_int_equal(
        dev_disk_open(&w->disk, &(struct dev_disk_config){.path = path, .rw = true}, &err), GW_OK);
    assert_int_equal(dev_disk_begin(w->disk, &err), GW_OK);
    close(fd);
    cfg.disk = w->disk;
    assert_int_equal(virtio_blk_attach(virtio(w, BLK), &cfg, &err), GW_OK);
}

static void open_lines(struct world *w)
{
    struct gw_error err = {0};
    struct dev_console_config cfg = {.source = "uart",
                                     .escape = true,
                                     .in_fd = -1,
                                     .out_fd = -1,
                                     .events = w->q,
                                     .io = w->io,
                                     .poke = poke_uart,
                                     .menu = menu,
                                     .context = w};
    if (w->live) {
        assert_int_equal(pipe(w->line_in), 0);
        assert_int_equal(pipe(w->channel_in), 0);
        cfg.in_fd = w->line_in[0];
    }
    assert_int_equal(dev_console_new(&w->line, &cfg, &err), GW_OK);
    cfg.source = "channel";
    cfg.poke = poke_channel;
    cfg.in_fd = w->live ? w->channel_in[0] : -1;
    assert_int_equal(dev_console_new(&w->channel, &cfg, &err), GW_OK);
    dev_console_start(w->line);
    dev_console_start(w->channel);
}

static void attach_all(struct world *w, bool with_rng)
{
    struct virtio_net_config net = {.mac = {2, 0, 0, 0, 0, 1}, .note = note, .context = w};
    struct virtio_rng_config rng = {.io = w->io};
    struct virtio_console_port port = {.serial = dev_console_serial(w->channel)};
    attach_blk(w);
    assert_int_equal(virtio_net_attach(virtio(w, NET), &net, NULL), GW_OK);
    if (with_rng)
        assert_int_equal(virtio_rng_attach(virtio(w, RNG), &rng, NULL), GW_OK);
    assert_int_equal(virtio_console_attach(virtio(w, CONSOLE), &port, 1, NULL), GW_OK);
    w->wire = virtio_net_port(virtio(w, NET));
    w->wire.link(w->wire.context, true, NULL);
}

static void refill(struct world *w, unsigned ring, unsigned id)
{
    struct buffer b = {
        .paddr = BUFS_AT + ring * 0x4000 + id * BUF_BYTES, .len = BUF_BYTES, .write = true};
    ring_add_direct(&w->r[ring], id, &b, 1);
    ring_kick(&w->r[ring]);
}

/* As a driver starts a device. */
static void start_slot(struct world *w, unsigned slot)
{
    agree_on(w->slot[slot], 0);
    for (unsigned i = 0; i < RINGS; i++)
        if (places[i].slot == slot)
            ring_init(&w->r[i], &w->bus, w->slot[slot], places[i].queue, SIZE, false,
                      RINGS_AT + i * 0x4000);
    vset(w->slot[slot], R_STATUS, 15);
    for (unsigned i = 0; i < RINGS; i++)
        for (unsigned k = 0; places[i].slot == slot && k < places[i].buffers; k++)
            refill(w, i, k);
}

static void make(struct world *w, bool live, bool with_rng)
{
    struct gw_error err = {0};
    *w = (struct world){.live = live};
    w->q = fake_events(&w->clock);
    fake_bus(&w->bus);
    assert_int_equal(dev_io_new(&w->io, &err), GW_OK);
    w->uart = dev_new(&dev_uart_class, w->q, &w->bus.bus);
    w->uart->irq = fake_irq(&w->irq[SLOTS]);
    for (unsigned i = 0; i < SLOTS; i++) {
        w->slot[i] = dev_new(&virtio_mmio_class, w->q, &w->bus.bus);
        w->slot[i]->irq = fake_irq(&w->irq[i]);
    }
    open_lines(w);
    ((struct dev_uart *)(void *)w->uart)->serial = dev_console_serial(w->line);
    attach_all(w, with_rng);
}

static void start(struct world *w)
{
    reg_write(w->uart, 1, 1, 1); /* the receive interrupt: the guest listens */
    for (unsigned i = 0; i < SLOTS; i++)
        if (virtio(w, i)->kind)
            start_slot(w, i);
}

static void unmake(struct world *w)
{
    dev_free(w->uart);
    for (unsigned i = 0; i < SLOTS; i++)
        dev_free(w->slot[i]);
    dev_io_free(w->io);
    dev_console_free(w->line);
    dev_console_free(w->channel);
    dev_disk_close(w->disk);
    dev_bus_destroy(&w->bus);
    gw_events_free(w->q);
    for (unsigned i = 0; w->live && i < 2; i++) {
        close(w->line_in[i]);
        close(w->channel_in[i]);
    }
}

/* ---- the guest ------------------------------------------------------------------------------ */

static void read_sector(struct world *w, unsigned i, unsigned sector)
{
    uint64_t at = BUFS_AT + i * 0x1000;
    struct buffer b[3] = {{.paddr = at, .len = 16},
                          {.paddr = at + 0x200, .len = DEV_DISK_SECTOR, .write = true},
                          {.paddr = at + 0x100, .len = 1, .write = true}};
    ram_put(&w->bus, at, 0, 8);
    ram_put(&w->bus, at + 8, sector, 8);
    ring_add_direct(&w->r[R_BLK], 3 * i, b, 3);
    ring_kick(&w->r[R_BLK]);
    w->blk_busy[i] = true;
}

static void take_back(struct world *w, unsigned ring, bool more)
{
    uint32_t len;
    for (int id; (id = ring_take(&w->r[ring], &len)) >= 0; w->done[ring]++) {
        uint64_t at = BUFS_AT + ring * 0x4000 + (unsigned)id * BUF_BYTES;
        if (ring == R_BLK) {
            at = BUFS_AT + (unsigned)id / 3 * 0x1000 + 0x200;
            w->blk_busy[id / 3] = false;
        }
        see(w, ring << 8 | (unsigned)id);
        for (uint32_t i = 0; i < len && i < DEV_DISK_SECTOR; i++)
            see(w, ram_get(&w->bus, at + i, 1));
        if (more && places[ring].buffers)
            refill(w, ring, (unsigned)id);
    }
}

static void guest_step(struct world *w, unsigned t)
{
    bool more = t < STEPS;
    for (; reg_read(w->uart, 5, 1) & 1; w->typed++)
        see(w, reg_read(w->uart, 0, 1));
    for (unsigned i = 0; i < SLOTS; i++)
        see(w, virtio(w, i)->kind ? vreg(w->slot[i], R_INT) : 0);
    if (t == STEPS / 3) { /* completions that are on their way name nothing any more */
        start_slot(w, BLK);
        memset(w->blk_busy, 0, sizeof w->blk_busy);
    }
    for (unsigned i = 0; i < RINGS; i++)
        if (virtio(w, places[i].slot)->kind)
            take_back(w, i, more);
    for (unsigned i = 0; more && i < BLK_IN_FLIGHT; i++)
        if (!w->blk_busy[i])
            read_sector(w, i, (7 * t + i) % SECTORS);
}

/* ---- the host ------------------------------------------------------------------------------- */

static void say(int fd, const char *text)
{
    assert_int_equal(write(fd, text, strlen(text)), (ssize_t)strlen(text));
}

static void host_step(struct world *w, unsigned t)
{
    uint8_t frame[60];
    memset(frame, (int)t, sizeof frame);
    if (t == 3)
        say(w->line_in[1], "hello\x1dqworld"); /* Ctrl-] q: the menu's */
    if (t == 5)
        say(w->channel_in[1], "guest");
    if (t % 3 == 0 && t < STEPS)
        assert_true(w->wire.receive(w->wire.context, frame, sizeof frame));
    if (t == STEPS / 2)
        w->wire.link(w->wire.context, false, "the cable is out");
    if (t == STEPS / 2 + 5)
        w->wire.link(w->wire.context, true, NULL);
    usleep(50);
}

static bool all_came(const struct world *w)
{
    bool busy = false;
    for (unsigned i = 0; i < BLK_IN_FLIGHT; i++)
        busy = busy || w->blk_busy[i];
    return !busy && w->typed == 10 && w->keys == 1 && w->notes == 1 && w->done[R_CONSOLE_RX] &&
           w->done[R_RNG] >= 8 && w->done[R_NET_RX] >= STEPS / 3 - 4;
}

/* ---- the runs ------------------------------------------------------------------------------- */

static void run_live(struct world *w, struct recorder *log)
{
    recorder_start(log, w->q);
    start(w);
    for (unsigned t = 0; t < STEPS || (!all_came(w) && t < STEPS_MAX); t++) {
        w->clock.insns = (uint64_t)t * STEP_INSNS;
        host_step(w, t);
        gw_events_run(w->q, w->clock.insns);
        guest_step(w, t);
        w->steps = t + 1;
    }
    assert_true(all_came(w));
}

static unsigned run_log(struct world *w, const struct recorder *log, unsigned steps)
{
    struct player p;
    player_start(&p, log, w->q);
    start(w);
    for (unsigned t = 0; t < steps; t++) {
        w->clock.insns = (uint64_t)t * STEP_INSNS;
        player_inject(&p, w->q, w->clock.insns);
        gw_events_run(w->q, w->clock.insns);
        guest_step(w, t);
    }
    assert_int_equal(p.at, log->size);
    return p.refused;
}

static void same_state(const void *a, const void *b, const struct state_desc *desc)
{
    static uint64_t of_a[8192], of_b[8192];
    unsigned n = 0;
    for (uint32_t f = 0; f < desc->field_count; f++)
        for (uint32_t i = 0; i < desc->fields[f].count; i++, n++) {
            of_a[n] = state_get(a, &desc->fields[f], i);
            of_b[n] = state_get(b, &desc->fields[f], i);
        }
    assert_memory_equal(of_a, of_b, n * sizeof of_a[0]);
}

static void a_log_brings_another_machine_to_the_same_state(void **state)
{
    static struct world a, b;
    struct recorder log;
    make(&a, true, true);
    run_live(&a, &log);
    make(&b, false, true);
    assert_int_equal(run_log(&b, &log, a.steps), 0);
    assert_int_equal(a.trace, b.trace);
    assert_memory_equal(ram_at(&a.bus, RAM_BASE), ram_at(&b.bus, RAM_BASE), RAM_SIZE);
    same_state(a.uart, b.uart, dev_uart_class.state);
    for (unsigned i = 0; i < SLOTS; i++) {
        same_state(a.slot[i], b.slot[i], virtio_mmio_class.state);
        same_state(virtio(&a, i)->backend, virtio(&b, i)->backend, virtio(&a, i)->kind->state);
    }
    for (unsigned i = 0; i <= SLOTS; i++)
        assert_int_equal(a.irq[i].changes, b.irq[i].changes);
    assert_true(log.count > 100);
    unmake(&a);
    unmake(&b);
    free(log.bytes);
}

/* A machine that lacks a device is not given its events, and gives them to no other. */
static void what_is_not_there_is_refused(void **state)
{
    static struct world a, b;
    struct recorder log;
    make(&a, true, true);
    run_live(&a, &log);
    make(&b, false, false);
    assert_true(run_log(&b, &log, a.steps) > 0);
    assert_int_equal(b.done[R_RNG], 0);
    assert_int_equal(b.typed, a.typed);
    assert_int_equal(b.done[R_NET_RX], a.done[R_NET_RX]);
    unmake(&a);
    unmake(&b);
    free(log.bytes);
}

/* Whatever a log says, each receiver lives on. */
static void a_log_of_nonsense_is_survived(void **state)
{
    static struct world w;
    uint64_t rng = 5;
    uint8_t bytes[96];
    make(&w, false, true);
    gw_events_replay(w.q);
    start(&w);
    for (unsigned t = 0; t < STEPS; t++) {
        for (unsigned i = 0; i < 50; i++) {
            struct gw_event ev = {.bytes = bytes};
            rng = rng * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
            ev.source = (uint16_t)((rng >> 33) % 10);
            ev.kind = (uint16_t)((rng >> 40) % 4);
            ev.size_bytes = (uint32_t)((rng >> 45) % 3 ? (rng >> 50) % 16 : (rng >> 50) % 96);
            for (unsigned k = 0; k < sizeof bytes; k++)
                bytes[k] = (uint8_t)((rng >> (k % 56)) & (rng & 1 ? 0xff : 1));
            gw_events_inject(w.q, &ev);
        }
        w.clock.insns = (uint64_t)t * STEP_INSNS;
        gw_events_run(w.q, w.clock.insns);
        guest_step(&w, t);
    }
    unmake(&w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_log_brings_another_machine_to_the_same_state),
        cmocka_unit_test(what_is_not_there_is_refused),
        cmocka_unit_test(a_log_of_nonsense_is_survived),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
