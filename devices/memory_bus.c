/* The bus: a sorted table of device windows, RAM, and the devices' way to memory. */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "devices/memory_bus.h"

static const struct dev_window *find_window(struct dev_bus *b, uint64_t paddr, unsigned size)
{
    unsigned lo = 0, hi = b->window_count;
    const struct dev_window *w;
    if (b->last < hi) {
        w = &b->windows[b->last];
        if (paddr - w->base < w->size)
            return size <= w->size - (paddr - w->base) ? w : NULL;
    }
    while (lo < hi) {
        unsigned mid = (lo + hi) / 2;
        w = &b->windows[mid];
        if (paddr < w->base)
            hi = mid;
        else if (paddr - w->base >= w->size)
            lo = mid + 1;
        else {
            b->last = mid;
            return size <= w->size - (paddr - w->base) ? w : NULL;
        }
    }
    return NULL;
}

static void enter(const struct dev_bus *b)
{
    if (b->lock)
        pthread_mutex_lock(b->lock);
}

static void leave(const struct dev_bus *b)
{
    if (b->lock)
        pthread_mutex_unlock(b->lock);
}

static enum gw_bus_result bus_read(struct gw_bus *bus, uint64_t paddr, unsigned size,
                                   uint64_t *value)
{
    struct dev_bus *b = bus->opaque;
    const struct dev_window *w;
    enum gw_bus_result r = GW_BUS_ERROR;
    *value = 0;
    enter(b);
    w = find_window(b, paddr, size);
    if (w)
        r = w->device->cls->read(w->device, paddr - w->base, size, value);
    leave(b);
    return r;
}

static enum gw_bus_result bus_write(struct gw_bus *bus, uint64_t paddr, unsigned size,
                                    uint64_t value)
{
    struct dev_bus *b = bus->opaque;
    const struct dev_window *w;
    enum gw_bus_result r = GW_BUS_ERROR;
    enter(b);
    w = find_window(b, paddr, size);
    if (w)
        r = w->device->cls->write(w->device, paddr - w->base, size, value);
    leave(b);
    return r;
}

static enum gw_bus_result bus_update(struct gw_bus *bus, uint64_t paddr, unsigned size,
                                     gw_bus_change *change, void *change_opaque, uint64_t *old)
{
    struct dev_bus *b = bus->opaque;
    const struct dev_window *w;
    enum gw_bus_result r = GW_BUS_ERROR;
    uint64_t value;
    *old = 0;
    enter(b);
    w = find_window(b, paddr, size);
    if (w)
        r = w->device->cls->read(w->device, paddr - w->base, size, old);
    if (r == GW_BUS_OK && change(change_opaque, *old, &value))
        r = w->device->cls->write(w->device, paddr - w->base, size, value);
    leave(b);
    return r;
}

void dev_bus_init(struct dev_bus *b)
{
    memset(b, 0, sizeof *b);
    b->bus.ram = b->ram;
    b->bus.rom = b->rom;
    b->bus.opaque = b;
    b->bus.read = bus_read;
    b->bus.write = bus_write;
    b->bus.update = bus_update;
}

void dev_bus_destroy(struct dev_bus *b)
{
    for (unsigned i = 0; i < b->bus.ram_count; i++) {
        munmap(b->ram[i].host, b->ram[i].size);
        free(b->ram[i].page_flags);
    }
    b->bus.ram_count = 0;
    b->bus.rom_count = 0;
    b->window_count = 0;
}

static bool overlaps(uint64_t a, uint64_t a_size, uint64_t b, uint64_t b_size)
{
    return a < b ? b - a < a_size : a - b < b_size;
}

static bool is_taken(const struct dev_bus *b, uint64_t base, uint64_t size)
{
    for (unsigned i = 0; i < b->bus.ram_count; i++)
        if (overlaps(base, size, b->ram[i].base, b->ram[i].size))
            return true;
    for (unsigned i = 0; i < b->window_count; i++)
        if (overlaps(base, size, b->windows[i].base, b->windows[i].size))
            return true;
    return false;
}

/* size > 0, no wrap, free, aligned to a page. */
static enum gw_status check_range(const struct dev_bus *b, uint64_t base, uint64_t size,
                                  const char *what, struct gw_error *err)
{
    char where[48];
    snprintf(where, sizeof where, "0x%" PRIx64 "+0x%" PRIx64, base, size);
    if (size == 0 || base + size < base || ((base | size) & GW_PAGE_MASK))
        return gw_fail(err, GW_ERR_ARG, where, "cannot place %s: not whole pages", what);
    if (is_taken(b, base, size))
        return gw_fail(err, GW_ERR_ARG, where, "cannot place %s: the range is taken", what);
    return GW_OK;
}

enum gw_status dev_bus_add_ram(struct dev_bus *b, uint64_t base, uint64_t size,
                               struct gw_error *err)
{
    struct gw_ram *r;
    unsigned at = b->bus.ram_count;
    void *host, *flags;
    enum gw_status st = check_range(b, base, size, "memory", err);
    if (st != GW_OK)
        return st;
    if (at == DEV_BUS_MAX_RAM)
        return gw_fail(err, GW_ERR_LIMIT, "", "too many memory regions");
    host = size > SIZE_MAX / 2 ? MAP_FAILED
                               : mmap(NULL, size, PROT_READ | PROT_WRITE,
                                      MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (host == MAP_FAILED)
        return gw_fail(err, GW_ERR_NOMEM, "", "no %" PRIu64 " MiB of memory for the guest: %s",
                       size >> 20, strerror(errno));
    flags = calloc(size >> GW_PAGE_SHIFT, 1);
    if (!flags) {
        munmap(host, size);
        return gw_fail(err, GW_ERR_NOMEM, "", "no memory for page flags");
    }
    madvise(host, size, MADV_HUGEPAGE); /* a wish: costs nothing where it is refused */
    while (at > 0 && b->ram[at - 1].base > base) {
        b->ram[at] = b->ram[at - 1];
        at--;
    }
    r = &b->ram[at];
    *r = (struct gw_ram){.host = host, .base = base, .size = size, .page_flags = flags};
    b->bus.ram_count++;
    return GW_OK;
}

enum gw_status dev_bus_add_device(struct dev_bus *b, uint64_t base, struct gw_device *device,
                                  struct gw_error *err)
{
    uint64_t size = device->cls->window_bytes;
    unsigned at = b->window_count;
    enum gw_status st = check_range(b, base, size, device->cls->name, err);
    if (st != GW_OK)
        return st;
    if (at == DEV_BUS_MAX_DEVICES)
        return gw_fail(err, GW_ERR_LIMIT, device->cls->name, "too many devices");
    while (at > 0 && b->windows[at - 1].base > base) {
        b->windows[at] = b->windows[at - 1];
        at--;
    }
    b->windows[at] = (struct dev_window){.base = base, .size = size, .device = device};
    b->window_count++;
    b->last = DEV_BUS_MAX_DEVICES;
    return GW_OK;
}

enum gw_status dev_bus_add_rom(struct dev_bus *b, struct gw_rom *rom, struct gw_error *err)
{
    const struct dev_window *w = find_window(b, rom->mem.base, 1);
    if (!w || w->base != rom->mem.base || rom->mem.size > w->size || !rom->mem.size ||
        (rom->mem.size & GW_PAGE_MASK))
        return gw_fail(err, GW_ERR_ARG, "", "cannot place read-only memory: no device is there");
    if (b->bus.rom_count == DEV_BUS_MAX_ROM)
        return gw_fail(err, GW_ERR_LIMIT, "", "too many read-only memories");
    b->rom[b->bus.rom_count++] = rom;
    return GW_OK;
}

void dev_bus_hide_rom(struct gw_bus *bus, struct gw_rom *rom, bool hidden)
{
    bool was = rom->hidden;
    rom->hidden = hidden;
    if (hidden && !was && bus && bus->rom_hidden)
        bus->rom_hidden(bus->engine, rom);
}

void dev_bus_dma_begin(struct gw_bus *bus)
{
    if (bus->dma_jobs++ == 0 && bus->dma_changed)
        bus->dma_changed(bus->engine);
}

void dev_bus_dma_end(struct gw_bus *bus)
{
    if (--bus->dma_jobs == 0 && bus->dma_changed)
        bus->dma_changed(bus->engine);
}

void dev_bus_touched(struct gw_bus *bus, const struct gw_ram *ram, uint64_t paddr, uint64_t size)
{
    uint64_t first, last;
    if (size == 0 || !bus->ram_written)
        return;
    /* The bytes are there before the flags are looked at: whoever marks the page reads it after. */
    __atomic_thread_fence(__ATOMIC_SEQ_CST);
    first = (paddr - ram->base) >> GW_PAGE_SHIFT;
    last = (paddr - ram->base + size - 1) >> GW_PAGE_SHIFT;
    for (uint64_t page = first; page <= last; page++)
        if (__atomic_load_n(&ram->page_flags[page], __ATOMIC_SEQ_CST) & GW_RAM_WATCHED)
            bus->ram_written(bus->engine, ram->base + (page << GW_PAGE_SHIFT), GW_PAGE_SIZE);
}

bool gw_dma_read(const struct gw_dma *dma, uint64_t paddr, void *to, uint64_t size)
{
    const struct gw_ram *r = gw_bus_ram(dma->bus, paddr, size);
    if (!r)
        return false;
    memcpy(to, gw_ram_host(r, paddr), size);
    __asm__ volatile("" ::: "memory"); /* the copy is not to be read from the guest again */
    return true;
}

bool gw_dma_write(const struct gw_dma *dma, uint64_t paddr, const void *from, uint64_t size)
{
    const struct gw_ram *r = gw_bus_ram(dma->bus, paddr, size);
    if (!r)
        return false;
    memcpy(gw_ram_host(r, paddr), from, size);
    dev_bus_touched(dma->bus, r, paddr, size);
    return true;
}
