/* What devices do to memory: see devices.h. */
#include "translator/memory/devices.h"

#include "translator/code/pages.h"
#include "translator/memory/dirty.h"
#include "translator/memory/reserve.h"
#include "translator/memory/views.h"
#include "translator/world.h"

static void ram_written(void *engine, uint64_t paddr, uint64_t size)
{
    struct engine *e = engine;
    dirty_written(e->world, paddr, size);
    engine_code_changed(e, paddr, size);
    reserve_written_by_device(e->world, paddr, size);
}

/* Translations of its code must not run, and maps that show it must not be used: by other vCPUs, from
 * their next border on. Which vCPU's thread this is nobody says, so all are asked. */
static void rom_hidden(void *engine, const struct gw_rom *rom)
{
    struct engine *e = engine;
    struct engine_world *w = e->world;
    uint64_t pages = rom->mem.size >> GW_PAGE_SHIFT;
    for (uint64_t i = 0; i < pages; i++)
        if (rom->mem.page_flags[i] & GW_RAM_CODE)
            pages_changed(e, (rom->mem.base >> GW_PAGE_SHIFT) + i);
    for (unsigned i = 0; w->shared && i < w->vcpus; i++)
        if (w->engine[i])
            world_request(w->engine[i], REQUEST_FLUSH);
    if (!w->shared)
        views_flush(e->cfg.cpu, 0, 1, 0, 1);
}

static void dma_changed(void *engine)
{
    struct engine *e = engine;
    e->run->alone = !e->world->shared && e->cfg.bus->dma_jobs == 0;
}

void devices_attach(struct engine *e)
{
    struct gw_bus *bus = e->cfg.bus;
    bus->engine = e; /* any of the world's will do */
    bus->ram_written = ram_written;
    bus->rom_hidden = rom_hidden;
    bus->dma_changed = dma_changed;
    dma_changed(e);
}

void devices_detach(struct engine *e)
{
    struct gw_bus *bus = e->cfg.bus;
    bus->ram_written = NULL;
    bus->rom_hidden = NULL;
    bus->dma_changed = NULL;
    bus->engine = NULL;
}
