/* Reservations: see reserve.h. */
#include "translator/memory/reserve.h"

#include "translator/code/pages.h"
#include "translator/memory/dirty.h"
#include "translator/memory/protect.h"
#include "translator/memory/ram.h"
#include "translator/pages.h"
#include "translator/world.h"

/* Stores to a marked page without a reservation, before it is let go of; or with none but that of who stores, who
 * then loses it: an LR that no SC follows, since a trap came between, would leave the page slow. */
enum { IDLE_STORES = 64, IDLE_OWN_STORES = 4096, RESERVED_BYTES = 8 };

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

static bool is_on_page(const struct reservation *r, uint64_t paddr)
{
    return r->paddr != NO_PADDR && !((r->paddr ^ paddr) >> GW_PAGE_SHIFT);
}

static bool others_on_page(const struct engine *e, uint64_t paddr)
{
    const struct engine_world *w = e->world;
    for (unsigned i = 0; i < w->vcpus; i++)
        if (i != e->cfg.index && is_on_page(&w->reservations->of[i], paddr))
            return true;
    return false;
}

/* Under the lock: a store to a marked page is about to be made. */
static void count_idle(struct engine *e, uint8_t *flags, uint64_t paddr)
{
    struct reservations *r = e->world->reservations;
    bool stands = is_on_page(own(e), paddr);
    if (others_on_page(e, paddr)) {
        r->idle_stores = 0;
        return;
    }
    if (++r->idle_stores < (stands ? IDLE_OWN_STORES : IDLE_STORES))
        return;
    r->idle_stores = 0;
    if (stands)
        break_one(e);
    __atomic_fetch_and(flags, (uint8_t)~GW_RAM_RESERVED, __ATOMIC_SEQ_CST);
}

bool reserve_begin_store(struct engine *e, uint64_t paddr, unsigned size)
{
    struct reservations *r = e->world->reservations;
    uint8_t *f = e->cfg.bus ? gw_bus_page_flags(e->cfg.bus, paddr) : NULL;
    if (!f || !(__atomic_load_n(f, __ATOMIC_SEQ_CST) & GW_RAM_RESERVED))
        return false;
    pthread_mutex_lock(&r->lock);
    break_others(e->world, e, paddr, size);
    count_idle(e, f, paddr);
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
