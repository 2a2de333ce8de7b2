/* Pages out of inline reach of stores: see protect.h. */
#include "translator/memory/protect.h"

#include "translator/memory/page_map.h"

bool protect_stands(const struct engine *e, uint64_t paddr, uint8_t flag)
{
    const uint8_t *f = gw_bus_page_flags(e->cfg.bus, paddr);
    return !f || __atomic_load_n(f, __ATOMIC_ACQUIRE) & flag;
}

void protect_page(struct engine *e, uint64_t paddr, uint8_t flag)
{
    const struct engine_world *w = e->world;
    if (protect_stands(e, paddr, flag))
        return;
    __atomic_fetch_or(gw_bus_page_flags(e->cfg.bus, paddr), flag, __ATOMIC_SEQ_CST);
    /* The flag is there before the page's bytes are read: a device writes first and looks at it then. */
    __atomic_thread_fence(__ATOMIC_SEQ_CST);
    for (unsigned i = 0; i < w->vcpus; i++)
        if (w->engine[i])
            maps_protect(w->engine[i], paddr & ~(uint64_t)GW_PAGE_MASK);
}
