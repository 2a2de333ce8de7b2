/*
 * A bank of flash: cycles of commands and data of each width, at any place, and states as a snapshot
 * might have them. What a guest sees through the bus and what the bank shows as memory is the same,
 * bits are set by an erase only, and no cycle leads out of the bank.
 */
#include <stdlib.h>

#include "devices/board/flash.h"
#include "tests/fuzzing.h"
#include "devices/memory_bus.h"
#include "devices/registry.h"

#define BASE UINT64_C(0x20000000)
enum { OPS_MAX = 4000, CMD_CONFIRM = 0xd0 };

struct world {
    struct dev_bus bus;
    struct dev_flash *f;
};

static struct world *make_world(void)
{
    struct world *w = calloc(1, sizeof *w);
    struct gw_error err = {0};
    struct gw_rom *rom;
    if (!w)
        abort();
    dev_bus_init(&w->bus);
    w->f = (struct dev_flash *)(void *)dev_new(&dev_flash_class, NULL, &w->bus.bus);
    if (!w->f || dev_bus_add_device(&w->bus, BASE, &w->f->d, &err) != GW_OK)
        abort();
    rom = dev_flash_rom(w->f, BASE);
    if (!rom || dev_bus_add_rom(&w->bus, rom, &err) != GW_OK)
        abort();
    return w;
}

static uint64_t memory(const struct dev_flash *f, uint64_t offset, unsigned size)
{
    uint64_t v = 0;
    for (unsigned i = 0; i < size; i++)
        v |= (uint64_t)(f->rom.mem.host ? f->rom.mem.host[offset + i] : 0xff) << (8 * i);
    return v;
}

static uint64_t value(struct fz_bytes *in)
{
    static const uint8_t commands[] = {0x40, 0x10, 0xe8, 0x20, 0xd0, 0x60, 0x50, 0x70, 0x90,
                                       0x98, 0xb0, 0xff, 0xd0, 0xe8, 0,    1,    3,    0xff};
    uint64_t how = fz_take(in, 1);
    if (how < sizeof commands)
        return commands[how] | (uint64_t)commands[how] << 16;
    return fz_number(in);
}

static void load(struct dev_flash *f, struct fz_bytes *in)
{
    const struct state_desc *s = f->d.cls->state;
    const struct state_field *field = &s->fields[fz_take(in, 1) % s->field_count];
    uint32_t i = (uint32_t)fz_take(in, 2) % field->count;
    uint64_t was = state_get(f, field, i);
    state_set(f, field, i, fz_number(in));
    if (s->check(f, NULL) != GW_OK)
        state_set(f, field, i, was);
    s->post_load(f);
}

static void access_bank(struct world *w, unsigned op, struct fz_bytes *in)
{
    unsigned size = 1u << (op >> 4 & 3);
    uint64_t offset = fz_take(in, op & 0x40 ? 4 : 2) % DEV_FLASH_BYTES, v, was;
    bool shown = !w->f->rom.hidden;
    if (op & 0x80)
        offset = DEV_FLASH_BYTES - 1 - offset;
    offset &= ~(uint64_t)(size - 1);
    if (op & 1) {
        w->bus.bus.read(&w->bus.bus, BASE + offset, size, &v);
        if (shown && v != memory(w->f, offset, size))
            abort();
        return;
    }
    was = memory(w->f, offset, size);
    v = value(in);
    w->bus.bus.write(&w->bus.bus, BASE + offset, size, v);
    if ((uint8_t)v != CMD_CONFIRM && (memory(w->f, offset, size) & ~was))
        abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct world *w;
    struct fz_bytes in = {.at = data, .end = data + size};
    if (!w)
        w = make_world();
    for (unsigned i = 0; i < OPS_MAX && in.at < in.end; i++) {
        unsigned op = (unsigned)fz_take(&in, 1);
        if ((op & 15) == 15)
            load(w->f, &in);
        else
            access_bank(w, op, &in);
        if (w->f->d.cls->state->check(w->f, NULL) != GW_OK)
            abort();
    }
    /* Out of whatever is under way: no more than a buffer's words, its confirmation and a command. */
    for (unsigned i = 0; w->f->rom.mem.host && i < DEV_FLASH_BUFFER / 4 + 2; i++)
        w->bus.bus.write(&w->bus.bus, BASE, 4, 0xff00ff);
    if (w->f->rom.mem.host && w->f->rom.hidden)
        abort();
    w->f->d.cls->reset(&w->f->d);
    return 0;
}
