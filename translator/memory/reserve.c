/*
 * Reservations of LR instructions that are no part of a constrained pair (those become host
 * compare-and-swaps, see the frontend's lifter). docs/map-protocol.md, docs/memory-model.md.
 *
 * Model. A page on which such a reservation stands is marked GW_RAM_RESERVED and out of inline reach
 * of all vCPUs' stores. What stores there comes to the slow path, or is a device's write; under
 * res_lock it breaks the reservations that it touches, and stores. The SC looks under that lock whether
 * its own still stands.
 *
 * Invariants
 *   1. A page is marked with the world stopped: then no vCPU has an addend of it in flight.
 *   2. Who reads GW_RAM_RESERVED under res_lock and finds it clear breaks nothing by storing.
 */
#include "translator/engine_int.h"

/* Stores to a marked page without a reservation, before it is let go of. */
enum { IDLE_STORES = 64, RESERVED_BYTES = 8 };

static bool overlaps(const struct reservation *r, uint64_t paddr, uint64_t size)
{
    uint64_t first = r->paddr & ~(uint64_t)(RESERVED_BYTES - 1);
    return r->paddr != NO_PADDR && paddr < first + RESERVED_BYTES && first < paddr + size;
}

static void break_one(struct engine *e)
{
    e->world->reserved[e->cfg.index].paddr = NO_PADDR;
    __atomic_store_n(&e->run->reservation_broken, 1, __ATOMIC_SEQ_CST);
}

/* by: whose store it is; its own reservation stands. NULL: a device's. */
static void break_others(struct engine_world *w, const struct engine *by, uint64_t paddr,
                         uint64_t size)
{
    for (unsigned i = 0; i < w->vcpus; i++)
        if (w->engine[i] && w->engine[i] != by && overlaps(&w->reserved[i], paddr, size))
            break_one(w->engine[i]);
}

static bool any_on_page(const struct engine_world *w, uint64_t paddr)
{
    for (unsigned i = 0; i < w->vcpus; i++)
        if (w->reserved[i].paddr != NO_PADDR && !((w->reserved[i].paddr ^ paddr) >> GW_PAGE_SHIFT))
            return true;
    return false;
}

bool reserve_begin_store(struct engine *e, uint64_t paddr, unsigned size)
{
    struct engine_world *w = e->world;
    uint8_t *f = page_flags(e, paddr);
    if (!f || !(__atomic_load_n(f, __ATOMIC_SEQ_CST) & GW_RAM_RESERVED))
        return false;
    pthread_mutex_lock(&w->res_lock);
    break_others(w, e, paddr, size);
    if (any_on_page(w, paddr))
        w->idle_stores = 0;
    else if (++w->idle_stores >= IDLE_STORES) {
        w->idle_stores = 0;
        __atomic_fetch_and(f, (uint8_t)~GW_RAM_RESERVED, __ATOMIC_SEQ_CST);
    }
    return true;
}

void reserve_end_store(struct engine *e)
{
    pthread_mutex_unlock(&e->world->res_lock);
}

void reserve_written_by_device(struct engine_world *w, uint64_t paddr, uint64_t size)
{
    pthread_mutex_lock(&w->res_lock);
    break_others(w, NULL, paddr, size);
    pthread_mutex_unlock(&w->res_lock);
}

/* The world is stopped. */
void reserve_page(struct engine *e)
{
    struct engine_world *w = e->world;
    uint64_t paddr = e->reserving;
    uint8_t *f = page_flags(e, paddr);
    e->reserving = NO_PADDR;
    if (!f)
        return;
    __atomic_fetch_or(f, GW_RAM_RESERVED, __ATOMIC_SEQ_CST);
    for (unsigned i = 0; i < w->vcpus; i++)
        if (w->engine[i])
            maps_protect(w->engine[i], paddr & ~(uint64_t)GW_PAGE_MASK);
    /* It stands before the LR is tried again, so that the page is not let go of before. */
    w->reserved[e->cfg.index].paddr = paddr;
}

bool reserve_hook(void *cpu, uint64_t paddr)
{
    struct engine *e = gw_run(cpu)->engine;
    struct engine_world *w = e->world;
    const uint8_t *f = page_flags(e, paddr);
    bool marked;
    if (!f)
        return true;
    pthread_mutex_lock(&w->res_lock);
    marked = __atomic_load_n(f, __ATOMIC_SEQ_CST) & GW_RAM_RESERVED;
    if (marked) {
        w->reserved[e->cfg.index].paddr = paddr;
        __atomic_store_n(&e->run->reservation_broken, 0, __ATOMIC_SEQ_CST);
    }
    pthread_mutex_unlock(&w->res_lock);
    if (!marked)
        e->reserving = paddr;
    return marked;
}

bool reserve_store_hook(void *cpu, uint64_t paddr, unsigned size, uint64_t expected, uint64_t value)
{
    struct engine *e = gw_run(cpu)->engine;
    struct engine_world *w = e->world;
    const struct gw_ram *r = gw_bus_ram(e->cfg.bus, paddr, size);
    uint64_t old = expected;
    bool done = false;
    if (!r)
        return false;
    if (__atomic_load_n(page_flags(e, paddr), __ATOMIC_SEQ_CST) & GW_RAM_CODE)
        cc_page_changed(e, paddr >> GW_PAGE_SHIFT);
    pthread_mutex_lock(&w->res_lock);
    uint64_t at = w->reserved[e->cfg.index].paddr;
    /* None stands right after a restore: then the value tells. The same virtual address may have come
     * to name other memory since. */
    if (!__atomic_load_n(&e->run->reservation_broken, __ATOMIC_SEQ_CST) &&
        (at == NO_PADDR || !((at ^ paddr) / RESERVED_BYTES)))
        done = ram_swap(gw_ram_host(r, paddr), size, &old, value);
    if (done)
        break_others(w, e, paddr, size);
    w->reserved[e->cfg.index].paddr = NO_PADDR;
    pthread_mutex_unlock(&w->res_lock);
    return done;
}
