/*
 * fw_cfg: selections, reads of each width, DMA by descriptors that the guest makes as it likes.
 * Nothing but the buffer that a descriptor names, as far as it is memory, is ever written.
 */
#include <stdlib.h>

#include "tests/fuzzing.h"
#include "devices/board/fw_cfg.h"
#include "devices/memory_bus.h"
#include "devices/registry.h"

#define RAM_BASE UINT64_C(0x80000000)
enum { RAM_BYTES = 16 << 10, OPS_MAX = 500, DESCRIPTOR = 16 };

struct world {
    struct dev_bus bus;
    struct gw_device *d;
    uint8_t before[RAM_BYTES];
};

static struct world *make_world(void)
{
    struct world *w = calloc(1, sizeof *w);
    struct gw_error err = {0};
    struct dev_fw_cfg *f;
    uint8_t item[5000];
    if (!w)
        abort();
    dev_bus_init(&w->bus);
    if (dev_bus_add_ram(&w->bus, RAM_BASE, RAM_BYTES, &err) != GW_OK)
        abort();
    w->d = dev_new(&dev_fw_cfg_class, NULL, &w->bus.bus);
    f = (struct dev_fw_cfg *)(void *)w->d;
    memset(item, 0xa5, sizeof item);
    if (dev_fw_cfg_add(f, DEV_FW_CFG_KERNEL_DATA, item, sizeof item, &err) != GW_OK ||
        dev_fw_cfg_add_file(f, "empty", "", 0, &err) != GW_OK ||
        dev_fw_cfg_add_file(f, "short", "abc", 3, &err) != GW_OK ||
        dev_fw_cfg_add_file(f, "long", item, sizeof item, &err) != GW_OK)
        abort();
    return w;
}

static uint64_t place(struct fz_bytes *in)
{
    uint64_t v = fz_take(in, 2);
    switch (v & 7) {
    case 0: return fz_number(in);
    case 1: return RAM_BASE + RAM_BYTES - (v >> 3 & 31);
    default: return RAM_BASE + (v >> 3);
    }
}

static void put_big(uint8_t *to, uint64_t v, unsigned size)
{
    for (unsigned i = size; i-- > 0; v >>= 8)
        to[i] = (uint8_t)v;
}

/* A byte may change where the descriptor is, and where its buffer is if that is all memory. */
static bool may_change(uint64_t i, uint64_t descriptor, uint64_t buffer, uint64_t length)
{
    uint64_t paddr = RAM_BASE + i, end = RAM_BASE + RAM_BYTES;
    bool all = buffer >= RAM_BASE && buffer < end && length <= end - buffer;
    return paddr - descriptor < 4 || (all && paddr - buffer < length);
}

static void transfer(struct world *w, struct fz_bytes *in)
{
    uint64_t at = place(in), buffer = place(in);
    uint32_t how = (uint32_t)fz_take(in, 2), length = (uint32_t)fz_number(in);
    uint32_t control = (how & 31) | (uint32_t)(how & 0x20 ? 0x20 + (how >> 6 & 3) : how >> 6) << 16;
    uint8_t descriptor[DESCRIPTOR], *ram = w->bus.ram[0].host;
    put_big(descriptor, control, 4);
    put_big(descriptor + 4, length, 4);
    put_big(descriptor + 8, buffer, 8);
    if (at >= RAM_BASE && at <= RAM_BASE + RAM_BYTES - DESCRIPTOR)
        memcpy(ram + (at - RAM_BASE), descriptor, sizeof descriptor);
    memcpy(w->before, ram, RAM_BYTES);
    if (how & 0x8000) {
        w->d->cls->write(w->d, 16, 8, __builtin_bswap64(at));
    } else {
        w->d->cls->write(w->d, 16, 4, __builtin_bswap32((uint32_t)(at >> 32)));
        w->d->cls->write(w->d, 20, 4, __builtin_bswap32((uint32_t)at));
    }
    for (uint64_t i = 0; i < RAM_BYTES && memcmp(ram, w->before, RAM_BYTES); i++)
        if (ram[i] != w->before[i] && !may_change(i, at, buffer, length))
            abort();
}

static void step(struct world *w, struct fz_bytes *in)
{
    unsigned op = (unsigned)fz_take(in, 1), size = 1u << (op >> 4 & 3);
    uint64_t offset = fz_take(in, 1), v;
    offset = (op & 0x40 ? offset * 16 : offset % 32) & ~(uint64_t)(size - 1);
    switch (op & 7) {
    case 0: w->d->cls->write(w->d, offset, size, fz_number(in)); break;
    case 1:
    case 2: w->d->cls->read(w->d, offset, size, &v); break;
    case 3: w->d->cls->write(w->d, 8, 2, __builtin_bswap16((uint16_t)fz_take(in, 1))); break;
    case 4: /* a state as it may come from a snapshot: there is none that the device cannot hold */
        ((struct dev_fw_cfg *)(void *)w->d)->offset = (uint32_t)fz_number(in);
        ((struct dev_fw_cfg *)(void *)w->d)->dma_at = fz_number(in);
        break;
    default: transfer(w, in); break;
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct world *w;
    struct fz_bytes in = {.at = data, .end = data + size};
    if (!w)
        w = make_world();
    memset(w->bus.ram[0].host, 0, RAM_BYTES);
    w->d->cls->reset(w->d);
    for (unsigned i = 0; i < OPS_MAX && in.at < in.end; i++)
        step(w, &in);
    return 0;
}
