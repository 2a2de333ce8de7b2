/*
 * The physical address space as the CPU side sees it: RAM that may be reached directly, and
 * everything else, reached by calls. devices/ implements it, machine/ fills it, the translator's
 * slow path and the frontend's page walker use it. vCPU threads.
 */
#ifndef GODWIT_BUS_H
#define GODWIT_BUS_H

#include <stdbool.h>
#include <stdint.h>
#include <string.h>

#define GW_PAGE_SHIFT 12
#define GW_PAGE_SIZE  4096u
#define GW_PAGE_MASK  4095u

enum gw_bus_result { GW_BUS_OK = 0, GW_BUS_ERROR /* nothing there, or a width it refuses */ };

/* Bits of gw_ram.page_flags, one byte for each 4 KiB page. Atomic. Whatever writes to a page that has
 * any tells the translator, behind the write (bus.ram_written). */
enum {
    GW_RAM_CODE = 1,     /* holds translated code */
    GW_RAM_RESERVED = 2, /* a vCPU's LR may have reserved part of it */
    GW_RAM_CLEAN = 4,    /* a write to it is to be logged (dirty.h) */
    GW_RAM_WATCHED = GW_RAM_CODE | GW_RAM_RESERVED | GW_RAM_CLEAN,
};

struct gw_ram {
    uint8_t *host;       /* page-aligned, size bytes, stays put while the machine lives */
    uint64_t base;       /* physical address of host[0], page-aligned */
    uint64_t size;       /* bytes, a multiple of the page size */
    uint8_t *page_flags; /* size / 4096 entries */
};

/* Memory that is only read directly, as flash is: loads and fetches reach `mem` while it is not
 * hidden, everything else goes to the device window at the same place. No DMA reaches it. */
struct gw_rom {
    struct gw_ram mem;
    bool hidden; /* loads go to the device too, and nothing can be fetched */
};

/* What a read-modify-write makes of the value that it read, in *value. False: nothing is written. */
typedef bool gw_bus_change(void *opaque, uint64_t old, uint64_t *value);

struct gw_bus {
    const struct gw_ram *ram; /* sorted by base, not overlapping */
    unsigned ram_count;
    struct gw_rom *const *rom; /* the devices' own, in no order, rom_count of them */
    unsigned rom_count;
    void *opaque;
    /* MMIO. size is 1, 2, 4 or 8 and paddr a multiple of it. */
    enum gw_bus_result (*read)(struct gw_bus *bus, uint64_t paddr, unsigned size, uint64_t *value);
    enum gw_bus_result (*write)(struct gw_bus *bus, uint64_t paddr, unsigned size, uint64_t value);
    /* The same as one step: no other access to devices comes between. *old: what was read. */
    enum gw_bus_result (*update)(struct gw_bus *bus, uint64_t paddr, unsigned size,
                                 gw_bus_change *change, void *change_opaque, uint64_t *old);
    /* Set by the engine: RAM in [paddr, paddr+size) was written other than by this vCPU's translated
     * stores (DMA, loading an image, a page walk). NULL until an engine is attached. */
    void (*ram_written)(void *engine, uint64_t paddr, uint64_t size);
    /* The same for a gw_rom that was shown and is hidden now; its bytes change only in between. */
    void (*rom_hidden)(void *engine, const struct gw_rom *rom);
    /* The same: dma_jobs became 0, or is that no more. */
    void (*dma_changed)(void *engine);
    void *engine;
    /* Requests of devices under way, whose threads may write to RAM while vCPUs run. Under the device
     * lock; where there is one vCPU, its thread. */
    uint32_t dma_jobs;
};

/* The RAM region that holds all of [paddr, paddr+size), or NULL. */
static inline const struct gw_ram *gw_bus_ram(const struct gw_bus *bus, uint64_t paddr,
                                              uint64_t size)
{
    for (unsigned i = 0; i < bus->ram_count; i++) {
        const struct gw_ram *r = &bus->ram[i];
        if (paddr - r->base < r->size && size <= r->size - (paddr - r->base))
            return r;
    }
    return NULL;
}

/* The same for read-only memory, hidden or not. */
static inline struct gw_rom *gw_bus_rom(const struct gw_bus *bus, uint64_t paddr, uint64_t size)
{
    for (unsigned i = 0; i < bus->rom_count; i++) {
        struct gw_rom *r = bus->rom[i];
        if (paddr - r->mem.base < r->mem.size && size <= r->mem.size - (paddr - r->mem.base))
            return r;
    }
    return NULL;
}

/* The flags of paddr's page, in RAM or read-only memory. NULL: it is in neither. */
static inline uint8_t *gw_bus_page_flags(const struct gw_bus *bus, uint64_t paddr)
{
    const struct gw_ram *r = gw_bus_ram(bus, paddr, 1);
    const struct gw_rom *rom = r ? NULL : gw_bus_rom(bus, paddr, 1);
    if (rom)
        r = &rom->mem;
    return r ? &r->page_flags[(paddr - r->base) >> GW_PAGE_SHIFT] : NULL;
}

static inline uint8_t *gw_ram_host(const struct gw_ram *r, uint64_t paddr)
{
    return r->host + (paddr - r->base);
}

#endif
