/* Fakes for device tests: an interrupt line that remembers, memory, a serial peer, saved state. */
#ifndef TESTS_DEVICES_FAKES_H
#define TESTS_DEVICES_FAKES_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "devices/clock.h"
#include "devices/memory_bus.h"
#include "devices/registry.h"
#include "devices/serial.h"

#define RAM_BASE UINT64_C(0x80000000)
#define RAM_SIZE UINT64_C(0x100000)

struct fake_line {
    int level;
    unsigned changes;
};

static inline void fake_set(void *receiver, unsigned line, int level)
{
    struct fake_line *l = (struct fake_line *)receiver + line;
    l->changes += l->level != level;
    l->level = level;
}

static inline struct gw_irq fake_irq(struct fake_line *l)
{
    return (struct gw_irq){.set = fake_set, .receiver = l, .line = 0};
}

/* A clock that tests move: instructions are nanoseconds (1000 MIPS). */
struct fake_clock {
    uint64_t insns;
};

static inline uint64_t fake_retired(void *context)
{
    return ((struct fake_clock *)context)->insns;
}

static inline struct gw_events *fake_events(struct fake_clock *clock)
{
    struct gw_events *q = gw_events_new(GW_CLOCK_INSNS, 1000);
    clock->insns = 0;
    dev_events_counter(q, fake_retired, clock);
    return q;
}

static inline void fake_bus(struct dev_bus *b)
{
    struct gw_error err = {0};
    dev_bus_init(b);
    assert_int_equal(dev_bus_add_ram(b, RAM_BASE, RAM_SIZE, &err), GW_OK);
}

static inline uint8_t *ram_at(struct dev_bus *b, uint64_t paddr)
{
    return b->ram[0].host + (paddr - RAM_BASE);
}

static inline uint64_t reg_read(struct gw_device *d, uint64_t offset, unsigned size)
{
    uint64_t v = 0;
    assert_int_equal(d->cls->read(d, offset, size, &v), GW_BUS_OK);
    return v;
}

static inline void reg_write(struct gw_device *d, uint64_t offset, unsigned size, uint64_t v)
{
    assert_int_equal(d->cls->write(d, offset, size, v), GW_BUS_OK);
}

/* All fields of a state table, one after the other. Returns the count of values. */
enum { STATE_MAX = 1024 };
static inline unsigned state_save(const void *object, const struct state_desc *desc, uint64_t *to)
{
    unsigned n = 0;
    for (uint32_t f = 0; f < desc->field_count; f++)
        for (uint32_t i = 0; i < desc->fields[f].count; i++) {
            assert_true(n < STATE_MAX);
            to[n++] = state_get(object, &desc->fields[f], i);
        }
    return n;
}

static inline unsigned state_values(const struct state_desc *desc)
{
    unsigned n = 0;
    for (uint32_t f = 0; f < desc->field_count; f++)
        n += desc->fields[f].count;
    return n;
}

static inline enum gw_status state_load(void *object, const struct state_desc *desc,
                                        const uint64_t *from)
{
    struct gw_error err = {0};
    unsigned n = 0;
    enum gw_status st;
    for (uint32_t f = 0; f < desc->field_count; f++)
        for (uint32_t i = 0; i < desc->fields[f].count; i++)
            state_set(object, &desc->fields[f], i, from[n++]);
    st = desc->check ? desc->check(object, &err) : GW_OK;
    if (st == GW_OK && desc->post_load)
        desc->post_load(object);
    return st;
}

/* The other end of a serial line. */
struct fake_peer {
    struct dev_serial serial;
    uint8_t sent[256];
    unsigned sent_count;
    const char *input;
    bool full;
};

static inline bool peer_room(void *context)
{
    return !((struct fake_peer *)context)->full;
}

static inline void peer_put(void *context, uint8_t byte)
{
    struct fake_peer *p = context;
    if (p->sent_count < sizeof p->sent)
        p->sent[p->sent_count++] = byte;
}

static inline size_t peer_get(void *context, uint8_t *to, size_t max)
{
    struct fake_peer *p = context;
    size_t n = 0;
    while (p->input && *p->input && n < max)
        to[n++] = (uint8_t)*p->input++;
    return n;
}

static inline void fake_peer_init(struct fake_peer *p)
{
    memset(p, 0, sizeof *p);
    p->serial =
        (struct dev_serial){.room = peer_room, .put = peer_put, .get = peer_get, .context = p};
}

#endif
