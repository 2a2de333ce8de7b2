/*
 * The physical address space of a machine: RAM regions and device windows, behind the struct gw_bus
 * that CPU and devices see. The machine adds everything before the vCPU starts; afterwards it is
 * read only. vCPU threads; where there are several, an access to a device takes the device lock.
 */
#ifndef DEV_MEMORY_BUS_H
#define DEV_MEMORY_BUS_H

#include <pthread.h>

#include "godwit/bus.h"
#include "godwit/device.h"
#include "godwit/status.h"

enum { DEV_BUS_MAX_RAM = 4, DEV_BUS_MAX_ROM = 4, DEV_BUS_MAX_DEVICES = 32 };

struct dev_window {
    uint64_t base;
    uint64_t size;
    struct gw_device *device;
};

struct dev_bus {
    struct gw_bus bus;
    struct gw_ram ram[DEV_BUS_MAX_RAM];
    struct gw_rom *rom[DEV_BUS_MAX_ROM];
    struct dev_window windows[DEV_BUS_MAX_DEVICES]; /* sorted by base */
    unsigned window_count;
    unsigned last;         /* the window hit last: guests touch one device many times in a row */
    pthread_mutex_t *lock; /* the device lock; NULL: there is one vCPU thread */
};

void dev_bus_init(struct dev_bus *b);
/* Unmaps the RAM; devices belong to whoever added them. */
void dev_bus_destroy(struct dev_bus *b);

/* size: a multiple of 4 KiB, at least one page. GW_ERR_ARG on overlap or misalignment,
 * GW_ERR_NOMEM when the host gives no memory. Zeroed, private, on huge pages where possible. */
enum gw_status dev_bus_add_ram(struct dev_bus *b, uint64_t base, uint64_t size,
                               struct gw_error *err);
/* The window is device->cls->window_bytes long. */
enum gw_status dev_bus_add_device(struct dev_bus *b, uint64_t base, struct gw_device *device,
                                  struct gw_error *err);
/* Read-only memory of a device that was added: rom->mem covers the device's window, or a part of it
 * from its start. The device owns rom and what it points to, both until the bus is destroyed. */
enum gw_status dev_bus_add_rom(struct dev_bus *b, struct gw_rom *rom, struct gw_error *err);
/* Hides or shows it. bus: NULL before there is one. */
void dev_bus_hide_rom(struct gw_bus *bus, struct gw_rom *rom, bool hidden);

/* Tells the translator of a write from outside the vCPU, for pages that hold translated code. */
/* A thread that is no vCPU's is about to write to RAM; it never will again, for that request. */
void dev_bus_dma_begin(struct gw_bus *bus);
void dev_bus_dma_end(struct gw_bus *bus);
void dev_bus_touched(struct gw_bus *bus, const struct gw_ram *ram, uint64_t paddr, uint64_t size);

#endif
