/* The board's sources of events by name, and a log that brings one board to the state of another. */
#include <stdio.h>
#include <sys/mman.h>
#include <unistd.h>

#include "godwit/machine_spec.h"
#include "machine/riscv64/board.h"
#include "tests/devices/recorder.h"
#include "tests/devices/ring_driver.h"

enum { SECTORS = 64, SIZE = 16, STEPS = 60, STEPS_MAX = 20000, STEP_INSNS = 1000 };
enum { DISKS = 2, DATA = 0x10000, RINGS_AT = 0x40000 };

struct world {
    struct board *b;
    int in[2];
    struct gw_irq none;
    struct ring r[DISKS];
    unsigned reads, typed, steps;
    uint64_t trace;
};

static void nothing(void *receiver, unsigned line, int level)
{
}

static void add_disk(struct board *b, unsigned number)
{
    uint8_t sector[DEV_DISK_SECTOR];
    struct disk_spec disk = {0};
    struct gw_error err = {0};
    char path[32];
    int fd = memfd_create("disk", 0);
    for (unsigned s = 0; s < SECTORS; s++) {
        memset(sector, (int)(s + number * SECTORS), sizeof sector);
        assert_int_equal(write(fd, sector, sizeof sector), sizeof sector);
    }
    snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
    disk.path = path;
    assert_int_equal(board_add_disk(b, &disk, &err), GW_OK);
    assert_int_equal(dev_disk_begin(b->disk[b->disk_count - 1], &err), GW_OK);
    close(fd);
}

/* live: with a host behind its console. */
static void make(struct world *w, bool live)
{
    struct board_config cfg = {.model = board_model("virt-2"),
                               .clock = GW_CLOCK_INSNS,
                               .ram_bytes = UINT64_C(16) << 20,
                               .in_fd = -1,
                               .out_fd = -1,
                               .second_port = true,
                               .in2_fd = -1,
                               .out2_fd = -1};
    struct board_channel_config channels[2] = {{.in_fd = -1, .out_fd = -1},
                                               {.name = "agent", .in_fd = -1, .out_fd = -1}};
    struct board_hart_lines lines = {0};
    struct gw_error err = {0};
    *w = (struct world){.none = {.set = nothing}};
    assert_int_equal(pipe(w->in), 0);
    if (live)
        cfg.in_fd = w->in[0];
    assert_int_equal(board_new(&w->b, &cfg, &err), GW_OK);
    for (unsigned i = 0; i < DISKS; i++)
        add_disk(w->b, i);
    assert_int_equal(board_add_rng(w->b, 1, &err), GW_OK);
    assert_int_equal(board_add_channels(w->b, channels, 2, &err), GW_OK);
    lines.mei = lines.sei = lines.msi = lines.mti = w->none;
    board_connect(w->b, &lines, 1, NULL, NULL);
}

static void unmake(struct world *w)
{
    board_free(w->b);
    close(w->in[0]);
    close(w->in[1]);
}

static uint64_t device_read(struct world *w, uint64_t paddr, unsigned size)
{
    uint64_t v = 0;
    assert_int_equal(w->b->bus.bus.read(&w->b->bus.bus, paddr, size, &v), GW_BUS_OK);
    return v;
}

static void start(struct world *w)
{
    assert_int_equal(w->b->bus.bus.write(&w->b->bus.bus, VIRT_UART_BASE + 1, 1, 1), GW_BUS_OK);
    for (unsigned i = 0; i < DISKS; i++) {
        agree_on(w->b->slot[i], 0);
        ring_init(&w->r[i], &w->b->bus, w->b->slot[i], 0, SIZE, false,
                  RAM_BASE + RINGS_AT + i * 0x4000);
        vset(w->b->slot[i], R_STATUS, 15);
    }
    dev_console_start(w->b->console);
}

static void see(struct world *w, uint64_t v)
{
    w->trace = (w->trace ^ v) * UINT64_C(0x100000001b3);
}

static void guest_step(struct world *w, unsigned t)
{
    for (; device_read(w, VIRT_UART_BASE + 5, 1) & 1; w->typed++)
        see(w, device_read(w, VIRT_UART_BASE, 1));
    for (unsigned i = 0; i < DISKS; i++) {
        uint64_t at = RAM_BASE + DATA + i * 0x1000;
        struct buffer b[3] = {{.paddr = at, .len = 16},
                              {.paddr = at + 0x200, .len = DEV_DISK_SECTOR, .write = true},
                              {.paddr = at + 0x100, .len = 1, .write = true}};
        uint32_t len;
        while (ring_take(&w->r[i], &len) >= 0) {
            see(w, i << 16 | ram_get(&w->b->bus, at + 0x200, 1));
            w->reads++;
        }
        if (t % 3 == i && t < STEPS) {
            ram_put(&w->b->bus, at + 8, (5 * t) % SECTORS, 8);
            ring_add_direct(&w->r[i], 0, b, 3);
            ring_kick(&w->r[i]);
        }
    }
}

static void run_live(struct world *w, struct recorder *log)
{
    static const char text[] = "typed";
    recorder_start(log, w->b->events);
    start(w);
    assert_int_equal(write(w->in[1], text, 5), 5);
    for (unsigned t = 0; t < STEPS || (w->typed < 5 && t < STEPS_MAX); t++) {
        gw_events_run(w->b->events, (uint64_t)t * STEP_INSNS);
        guest_step(w, t);
        w->steps = t + 1;
        usleep(50);
    }
    assert_int_equal(w->typed, 5);
}

static void run_log(struct world *w, const struct recorder *log, unsigned steps)
{
    struct player p;
    player_start(&p, log, w->b->events);
    start(w);
    for (unsigned t = 0; t < steps; t++) {
        player_inject(&p, w->b->events, (uint64_t)t * STEP_INSNS);
        gw_events_run(w->b->events, (uint64_t)t * STEP_INSNS);
        guest_step(w, t);
    }
    assert_int_equal(p.refused, 0);
    assert_int_equal(p.at, log->size);
}

static void same_state(struct gw_device *a, struct gw_device *b)
{
    const struct state_desc *d = a->cls->state;
    for (uint32_t f = 0; d && f < d->field_count; f++)
        for (uint32_t i = 0; i < d->fields[f].count; i++)
            assert_int_equal(state_get(a, &d->fields[f], i), state_get(b, &d->fields[f], i));
}

/* What a log is read by: a name more goes to the end of its kind, none changes. */
static void sources_have_names_that_stay(void **state)
{
    static const char *const names[] = {"vmgenid",     "uart0",       "uart1",
                                        "virtio-blk0", "virtio-blk1", "virtio-rng0",
                                        "channel0",    "channel1",    "virtio-console0"};
    struct world w;
    uint16_t count = 0;
    make(&w, false);
    for (; gw_events_source_name(w.b->events, (uint16_t)(count + 1)); count++) {
        assert_true(count < sizeof names / sizeof names[0]);
        assert_string_equal(gw_events_source_name(w.b->events, (uint16_t)(count + 1)),
                            names[count]);
    }
    assert_int_equal(count, sizeof names / sizeof names[0]);
    unmake(&w);
}

static void a_log_brings_another_board_to_the_same_state(void **state)
{
    struct world a, b;
    struct recorder log;
    char name[32];
    struct gw_device *d;
    make(&a, true);
    run_live(&a, &log);
    make(&b, false);
    run_log(&b, &log, a.steps);
    assert_int_equal(a.trace, b.trace);
    assert_int_equal(a.reads, b.reads);
    assert_true(log.count > 0 && a.reads >= STEPS / 3);
    for (unsigned i = 0; (d = board_device(a.b, i, name, sizeof name)); i++)
        same_state(d, board_device(b.b, i, name, sizeof name));
    assert_memory_equal(board_ram(a.b)->host, board_ram(b.b)->host, 0x80000);
    unmake(&a);
    unmake(&b);
    free(log.bytes);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(sources_have_names_that_stay),
        cmocka_unit_test(a_log_brings_another_board_to_the_same_state),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
