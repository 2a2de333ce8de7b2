/*
 * The devices that are registers alone (timer, interrupt controller, clock, serial port, power,
 * panic, PCI), all on one bus: accesses of each width anywhere, lines, time, bytes of a peer, and
 * states as a snapshot might have them. Whatever was done, a device is in a state that its own check
 * accepts, so that it can be saved and loaded again.
 */
#include <stdio.h>
#include <stdlib.h>

#include "devices/riscv/clint.h"
#include "devices/clock.h"
#include "tests/fuzzing.h"
#include "devices/memory_bus.h"
#include "devices/riscv/plic.h"
#include "devices/board/power.h"
#include "devices/board/pvpanic.h"
#include "devices/registry.h"
#include "devices/board/uart.h"

enum { DEVICES = 11, OPS_MAX = 4000, HARTS = 3 };

static const struct place {
    const char *name;
    uint64_t base;
    uint64_t used; /* where registers are; a guest looks beyond them more rarely */
} places[DEVICES] = {
    {"power", 0x100000, 8},           {"rtc", 0x101000, 0x20},
    {"clint", 0x2000000, 0xc000},     {"pci-io", 0x3000000, 16},
    {"pvpanic", 0x4000000, 8},        {"plic", 0xc000000, 0x208000},
    {"uart", 0x10000000, 8},          {"pci-host", 0x30000000, 0x1000},
    {"pci-mmio", 0x40000000, 0x1000}, {"pci-mmio64", 0x400000000, 0x1000},
    {"vmgenid", 0x4001000, 0x18},
};

struct world {
    struct gw_events *events;
    struct dev_bus bus;
    struct gw_device *d[DEVICES];
    uint64_t insns;
    struct dev_serial serial;
    unsigned room, waiting, requests, reports;
};

static void no_line(void *receiver, unsigned line, int level)
{
    if (level != 0 && level != 1)
        abort();
}

static bool has_room(void *context)
{
    return ((struct world *)context)->room != 0;
}

static void put_byte(void *context, uint8_t byte)
{
    struct world *w = context;
    w->room -= w->room != 0;
}

static size_t get_bytes(void *context, uint8_t *to, size_t max)
{
    struct world *w = context;
    size_t n = w->waiting < max ? w->waiting : max;
    memset(to, 'x', n);
    w->waiting -= (unsigned)n;
    return n;
}

static void on_power(void *context, enum dev_power_request what, unsigned code)
{
    ((struct world *)context)->requests++;
}

static void on_panic(void *context, unsigned events)
{
    if (events == 0 || events > DEV_PVPANIC_EVENTS)
        abort();
    ((struct world *)context)->reports++;
}

static struct world *make_world(void)
{
    struct world *w = calloc(1, sizeof *w);
    struct gw_error err = {0};
    struct dev_plic *plic;
    if (!w)
        abort();
    w->events = gw_events_new(GW_CLOCK_INSNS, 1000);
    dev_bus_init(&w->bus);
    for (unsigned i = 0; i < DEVICES; i++) {
        w->d[i] = dev_new(dev_class(&gw_devices, places[i].name), w->events, &w->bus.bus);
        if (!w->d[i] || dev_bus_add_device(&w->bus, places[i].base, w->d[i], &err) != GW_OK)
            abort();
    }
    plic = (struct dev_plic *)(void *)w->d[5];
    plic->contexts = 2 * HARTS;
    for (unsigned i = 0; i < 2 * HARTS; i++)
        plic->out[i] = (struct gw_irq){.set = no_line};
    ((struct dev_clint *)(void *)w->d[2])->harts = HARTS;
    w->d[1]->irq = dev_plic_input(plic, 11);
    w->d[6]->irq = dev_plic_input(plic, 10);
    w->d[10]->irq = dev_plic_input(plic, 13);
    w->serial =
        (struct dev_serial){.room = has_room, .put = put_byte, .get = get_bytes, .context = w};
    ((struct dev_uart *)(void *)w->d[6])->serial = &w->serial;
    ((struct dev_power *)(void *)w->d[0])->request = on_power;
    ((struct dev_power *)(void *)w->d[0])->context = w;
    ((struct dev_pvpanic *)(void *)w->d[4])->report = on_panic;
    ((struct dev_pvpanic *)(void *)w->d[4])->context = w;
    return w;
}

static void must_be_valid(const struct gw_device *d)
{
    struct gw_error err = {0};
    if (d->cls->state->check && d->cls->state->check(d, &err) != GW_OK) {
        fprintf(stderr, "%s: %s\n", d->cls->name, err.message);
        abort();
    }
}

static void reset(struct gw_device *d)
{
    if (d->cls->reset)
        d->cls->reset(d);
}

/* One value of the state is another: taken where the device's check takes it, as at a load. */
static void load(struct gw_device *d, struct fz_bytes *in)
{
    const struct state_desc *s = d->cls->state;
    unsigned which = (unsigned)fz_take(in, 1);
    const struct state_field *f;
    uint64_t was, v;
    uint32_t i;
    if (!s->field_count)
        return;
    f = &s->fields[which % s->field_count];
    i = (uint32_t)fz_take(in, 2) % f->count;
    was = state_get(d, f, i);
    v = fz_number(in);
    state_set(d, f, i, v);
    if (s->check && s->check(d, NULL) != GW_OK)
        state_set(d, f, i, was);
    if (s->post_load)
        s->post_load(d);
}

static void step(struct world *w, struct fz_bytes *in)
{
    unsigned op = (unsigned)fz_take(in, 1), at = (unsigned)fz_take(in, 1) % DEVICES;
    unsigned size = 1u << (op >> 4 & 3);
    struct gw_device *d = w->d[at];
    uint64_t offset = fz_take(in, op & 0x40 ? 5 : 3), v;
    offset %= op & 0x80 ? d->cls->window_bytes : places[at].used;
    offset &= ~(uint64_t)(size - 1);
    switch (op & 15) {
    case 0:
        w->insns += fz_take(in, 4);
        gw_events_run(w->events, w->insns);
        break;
    case 1: reset(d); break;
    case 2: {
        struct gw_irq line =
            dev_plic_input((struct dev_plic *)(void *)w->d[5], 1 + (unsigned)offset % 95);
        gw_irq_set(&line, op >> 4 & 1);
        break;
    }
    case 3:
        w->room = (unsigned)fz_take(in, 1);
        w->waiting = (unsigned)fz_take(in, 1);
        if (op & 0x10)
            dev_uart_poke((struct dev_uart *)(void *)w->d[6]);
        else if (op & 0x20)
            dev_uart_break((struct dev_uart *)(void *)w->d[6]);
        break;
    case 4: load(d, in); break;
    case 5:
    case 6:
    case 7:
    case 8: w->bus.bus.read(&w->bus.bus, places[at].base + offset, size, &v); break;
    default:
        v = fz_number(in);
        w->bus.bus.write(&w->bus.bus, places[at].base + offset, size,
                         size == 8 ? v : v & ((UINT64_C(1) << 8 * size) - 1));
        break;
    }
    must_be_valid(d);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct world *w;
    struct fz_bytes in = {.at = data, .end = data + size};
    if (!w)
        w = make_world();
    w->room = w->waiting = 0;
    for (unsigned i = 0; i < OPS_MAX && in.at < in.end; i++)
        step(w, &in);
    for (unsigned i = 0; i < DEVICES; i++) {
        reset(w->d[i]);
        must_be_valid(w->d[i]);
    }
    return 0;
}
