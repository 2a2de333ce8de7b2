/* Reservations: see reserve.h. */
#include "translator/memory/reserve.h"

#include "translator/code/pages.h"
#include "translator/memory/dirty.h"
#include "translator/memory/protect.h"
#include "translator/memory/ram.h"
#include "translator/pages.h"
#include "translator/world.h"

/* Stores to a marked page without a reservation, before it is let go of. */
enum { IDLE_STORES = 64, RESERVED_BYTES = 8 };

static bool overlaps(const struct reservation *r, uint64_t paddr, uint64_t size)
{
    uint64_t first = r->paddr & ~(uint64_t)(RESERVED_BYTES - 1);
    return r->paddr != NO_PADDR && paddr < first + RESERVED_BYTES && first < paddr + size;
}

void reservations_open(struct reservations *r)
{
    pthread_mutex_init(&r->lock, NULL);
    for (unsigned i = 0; i < ENGINE_MAX_VCPUS; i++)
        r->of[i] = (struct reservation){.paddr = NO_PADDR, .wanted = NO_PADDR};
}

void reservations_close(struct reservations *r)
{
    pthread_mutex_destroy(&r->lock);
}

static struct reservation *own(const struct engine *e)
{
    return &e->world->reservations->of[e->cfg.index];
}

static void break_one(struct engine *e)
{
    own(e)->paddr = NO_PADDR;
    __atomic_store_n(&e->run->reservation_broken, 1, __ATOMIC_SEQ_CST);
}

/* by: whose store it is; its own reservation stands. NULL: a device's. */
static void break_others(struct engine_world *w, const struct engine *by, uint64_t paddr,
                         uint64_t size)
{
    for (unsigned i = 0; i < w->vcpus; i++)
        if (w->engine[i] && w->engine[i] != by && overlaps(&w->reservations->of[i], paddr, size))
            break_one(w->engine[i]);
}

static bool any_on_page(const struct engine_world *w, uint64_t paddr)
{
    for (unsigned i = 0; i < w->vcpus; i++) {
        uint64_t at = w->reservations->of[i].paddr;
        if (at != NO_PADDR && !((at ^ paddr) >> GW_PAGE_SHIFT))
            return true;
    }
    return false;
}

bool reserve_begin_store(struct engine *e, uint64_t paddr, unsigned size)
{
    struct reservations *r = e->world->reservations;
    uint8_t *f = e->cfg.bus ? gw_bus_page_flags(e->cfg.bus, paddr) : NULL;
    if (!f || !(__atomic_load_n(f, __ATOMIC_SEQ_CST) & GW_RAM_RESERVED))
        return false;
    pthread_mutex_lock(&r->lock);
    break_others(e->world, e, paddr, size);
    if (any_on_page(e->world, paddr))
        r->idle_stores = 0;
    else if (++r->idle_stores >= IDLE_STORES) {
        r->idle_stores = 0;
        __atomic_fetch_and(f, (uint8_t)~GW_RAM_RESERVED, __ATOMIC_SEQ_CST);
    }
    return true;
}

void reserve_end_store(struct engine *e)
{
    pthread_mutex_unlock(&e->world->reservations->lock);
}

void reserve_written_by_device(struct engine_world *w, uint64_t paddr, uint64_t size)
{
    pthread_mutex_lock(&w->reservations->lock);
    break_others(w, NULL, paddr, size);
    pthread_mutex_unlock(&w->reservations->lock);
}

bool reserve_waits(const struct engine *e)
{
    return own(e)->wanted != NO_PADDR;
}

void reserve_page(struct engine *e)
{
    struct reservation *r = own(e);
    if (gw_bus_page_flags(e->cfg.bus, r->wanted)) {
        protect_page(e, r->wanted, GW_RAM_RESERVED);
        /* It stands before the LR is tried again, so that the page is not let go of before. Devices look
         * at reservations while the world is stopped too. */
        pthread_mutex_lock(&e->world->reservations->lock);
        r->paddr = r->wanted;
        pthread_mutex_unlock(&e->world->reservations->lock);
    }
    r->wanted = NO_PADDR;
}

bool reserve_hook(void *cpu, uint64_t paddr)
{
    struct engine *e = gw_run(cpu)->engine;
    struct reservations *r = e->world->reservations;
    const uint8_t *f = gw_bus_page_flags(e->cfg.bus, paddr);
    bool marked;
    if (!f)
        return true;
    pthread_mutex_lock(&r->lock);
    marked = __atomic_load_n(f, __ATOMIC_SEQ_CST) & GW_RAM_RESERVED;
    if (marked) {
        own(e)->paddr = paddr;
        __atomic_store_n(&e->run->reservation_broken, 0, __ATOMIC_SEQ_CST);
    }
    pthread_mutex_unlock(&r->lock);
    if (!marked)
        own(e)->wanted = paddr;
    return marked;
}

bool reserve_store_hook(void *cpu, uint64_t paddr, unsigned size, uint64_t expected, uint64_t value)
{
    struct engine *e = gw_run(cpu)->engine;
    pthread_mutex_t *lock = &e->world->reservations->lock;
    const struct gw_ram *ram = gw_bus_ram(e->cfg.bus, paddr, size);
    uint64_t old = expected;
    bool done = false;
    if (!ram)
        return false;
    uint8_t flags = __atomic_load_n(gw_bus_page_flags(e->cfg.bus, paddr), __ATOMIC_SEQ_CST);
    if (flags & GW_RAM_CODE)
        pages_changed(e, paddr >> GW_PAGE_SHIFT);
    pthread_mutex_lock(lock);
    uint64_t at = own(e)->paddr;
    /* None stands right after a restore: then the value tells. The same virtual address may have come
     * to name other memory since. */
    if (!__atomic_load_n(&e->run->reservation_broken, __ATOMIC_SEQ_CST) &&
        (at == NO_PADDR || !((at ^ paddr) / RESERVED_BYTES)))
        done = ram_swap(gw_ram_host(ram, paddr), size, &old, value);
    if (done)
        break_others(e->world, e, paddr, size);
    own(e)->paddr = NO_PADDR;
    pthread_mutex_unlock(lock);
    if (done && flags & GW_RAM_CLEAN)
        dirty_mark(e->world, paddr);
    return done;
}
