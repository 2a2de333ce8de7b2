/* The log of written pages: see dirty.h. */
#include "translator/memory/dirty.h"

#include <stdlib.h>

#include "translator/memory/page_map.h"
#include "translator/memory/ram.h"
#include "translator/world.h"

enum { BITS = 64 };

static struct dirty_log *of(struct gw_dirty *api)
{
    return (struct dirty_log *)(void *)api;
}

/* NULL: the world has no vCPU yet, or its vCPU runs a program. */
static const struct gw_bus *bus_of(const struct engine_world *w)
{
    for (unsigned i = 0; i < w->vcpus; i++)
        if (w->engine[i])
            return w->engine[i]->cfg.bus;
    return NULL;
}

static uint64_t words(uint64_t bits)
{
    return (bits + BITS - 1) / BITS;
}

static void set_bit(uint64_t *bits, uint64_t i)
{
    __atomic_fetch_or(&bits[i / BITS], UINT64_C(1) << i % BITS, __ATOMIC_SEQ_CST);
}

static uint64_t take(uint64_t *word)
{
    return __atomic_load_n(word, __ATOMIC_RELAXED) ? __atomic_exchange_n(word, 0, __ATOMIC_SEQ_CST)
                                                   : 0;
}

/* ---- marking -------------------------------------------------------------------------------- */

void dirty_mark(struct engine_world *w, uint64_t paddr)
{
    struct dirty_log *l = w->dirty;
    const struct gw_bus *bus = bus_of(w);
    uint8_t *flags = gw_bus_page_flags(bus, paddr);
    uint64_t page = ram_page_number(bus, paddr);
    if (!(__atomic_fetch_and(flags, (uint8_t)~GW_RAM_CLEAN, __ATOMIC_SEQ_CST) & GW_RAM_CLEAN))
        return; /* somebody else does */
    set_bit(l->page, page);
    set_bit(l->group, page / BITS);
    __atomic_fetch_add(&l->marked, 1, __ATOMIC_RELAXED);
}

void dirty_written(struct engine_world *w, uint64_t paddr, uint64_t size)
{
    uint64_t first = paddr >> GW_PAGE_SHIFT, last = (paddr + size - 1) >> GW_PAGE_SHIFT;
    for (uint64_t page = first; size && page <= last; page++) {
        const uint8_t *flags = gw_bus_page_flags(bus_of(w), page << GW_PAGE_SHIFT);
        if (flags && __atomic_load_n(flags, __ATOMIC_SEQ_CST) & GW_RAM_CLEAN)
            dirty_mark(w, page << GW_PAGE_SHIFT);
    }
}

/* ---- all pages ------------------------------------------------------------------------------ */

#define EACH UINT64_C(0x0101010101010101)

/* The flag on all pages, or on none; others change other flags meanwhile. */
static void flag_all(const struct gw_ram *r, uint8_t flag, bool on)
{
    uint8_t *f = r->page_flags, *end = f + (r->size >> GW_PAGE_SHIFT);
    while (f < end) {
        bool eight = end - f >= 8 && (uintptr_t)f % 8 == 0;
        uint64_t *p = (uint64_t *)(void *)f;
        if (eight && on)
            __atomic_fetch_or(p, EACH * flag, __ATOMIC_SEQ_CST);
        else if (eight)
            __atomic_fetch_and(p, ~(EACH * flag), __ATOMIC_SEQ_CST);
        else if (on)
            __atomic_fetch_or(f, flag, __ATOMIC_SEQ_CST);
        else
            __atomic_fetch_and(f, (uint8_t)~flag, __ATOMIC_SEQ_CST);
        f += eight ? 8 : 1;
    }
}

static void clean_all(const struct engine_world *w, bool on)
{
    const struct gw_bus *bus = bus_of(w);
    for (unsigned i = 0; i < bus->ram_count; i++)
        flag_all(&bus->ram[i], GW_RAM_CLEAN, on);
}

static void forget(struct dirty_log *l)
{
    for (uint64_t i = 0; i < words(l->api.pages); i++)
        take(&l->page[i]);
    for (uint64_t i = 0; i < words(words(l->api.pages)); i++)
        take(&l->group[i]);
    take(&l->marked);
}

/* The flags are there before pages are read: a device writes first and looks at them then. */
static void before_copies(void)
{
    __atomic_thread_fence(__ATOMIC_SEQ_CST);
}

static enum gw_status start(struct gw_dirty *api, struct gw_error *err)
{
    struct dirty_log *l = of(api);
    struct engine_world *w = l->world;
    if (l->runs)
        return gw_fail(err, GW_ERR_STATE, "", "writes to memory are logged for somebody else");
    if (!l->page) {
        l->page = calloc(words(api->pages), sizeof *l->page);
        l->group = calloc(words(words(api->pages)), sizeof *l->group);
    }
    if (!l->page || !l->group) {
        dirty_close(l);
        return gw_fail(err, GW_ERR_NOMEM, "", "no memory to log writes to memory");
    }
    forget(l);
    l->runs = true;
    clean_all(w, true);
    for (unsigned i = 0; i < w->vcpus; i++)
        if (w->engine[i])
            maps_protect_all(w->engine[i]);
    before_copies();
    return GW_OK;
}

static void stop(struct gw_dirty *api)
{
    struct dirty_log *l = of(api);
    if (l->runs)
        clean_all(l->world, false);
    l->runs = false;
}

/* ---- collecting ----------------------------------------------------------------------------- */

/* Bit i: the write entries of vCPU i go all at once. */
static uint32_t protect_first(const struct engine_world *w, uint64_t pages)
{
    uint32_t all = 0;
    for (unsigned i = 0; i < w->vcpus; i++)
        if (w->engine[i] && maps_protect_all_pays(w->engine[i], pages)) {
            maps_protect_all(w->engine[i]);
            all |= 1u << i;
        }
    return all;
}

/* The page is out of the log already. */
static void clean(const struct engine_world *w, uint64_t page, uint32_t protected)
{
    const struct gw_ram *r = bus_of(w)->ram;
    for (; page >= r->size >> GW_PAGE_SHIFT; r++)
        page -= r->size >> GW_PAGE_SHIFT;
    __atomic_fetch_or(&r->page_flags[page], GW_RAM_CLEAN, __ATOMIC_SEQ_CST);
    for (unsigned i = 0; i < w->vcpus; i++)
        if (w->engine[i] && !(protected >> i & 1))
            maps_protect(w->engine[i], r->base + (page << GW_PAGE_SHIFT));
}

static uint64_t collect_word(struct dirty_log *l, uint64_t at, uint64_t *pages, uint32_t protected)
{
    uint64_t count = 0, taken = take(&l->page[at]);
    pages[at] |= taken;
    for (; taken; taken &= taken - 1, count++)
        clean(l->world, at * BITS + (unsigned)__builtin_ctzll(taken), protected);
    return count;
}

static uint64_t collect(struct gw_dirty *api, uint64_t *pages)
{
    struct dirty_log *l = of(api);
    uint32_t protected = protect_first(l->world, take(&l->marked));
    uint64_t count = 0;
    for (uint64_t i = 0; i < words(words(api->pages)); i++)
        for (uint64_t group = take(&l->group[i]); group; group &= group - 1)
            count += collect_word(l, i * BITS + (unsigned)__builtin_ctzll(group), pages, protected);
    before_copies();
    return count;
}

/* ---- life ----------------------------------------------------------------------------------- */

static const struct gw_dirty_ops ops = {.start = start, .collect = collect, .stop = stop};

struct gw_dirty *engine_world_dirty(struct engine_world *w)
{
    struct dirty_log *l = w->dirty;
    const struct gw_bus *bus = bus_of(w);
    if (!bus)
        return NULL;
    l->world = w;
    l->api = (struct gw_dirty){.ops = &ops, .pages = ram_pages(bus)};
    return &l->api;
}

void dirty_close(struct dirty_log *l)
{
    free(l->page);
    free(l->group);
    l->page = l->group = NULL;
}
