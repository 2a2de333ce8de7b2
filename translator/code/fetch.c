/* The fetch TLB: see fetch.h. */
#include "translator/code/fetch.h"

#include "translator/code/spaces.h"
#include "translator/world.h"

void fetch_forget(struct fetches *f)
{
    for (uint32_t i = 0; i < ITLB_SIZE && f->filled; i++)
        f->itlb[i].vpage = NO_PAGE;
    f->filled = false;
    span_clear(&f->large);
}

void fetch_flush(struct fetches *f, uint64_t vpage, bool all, bool global_too)
{
    if (all && !global_too) {
        for (uint32_t i = 0; i < ITLB_SIZE; i++)
            if (!f->itlb[i].global)
                f->itlb[i].vpage = NO_PAGE;
    } else if (all || span_has(&f->large, vpage)) {
        fetch_forget(f);
    } else {
        f->itlb[vpage % ITLB_SIZE].vpage = NO_PAGE;
    }
}

static const struct itlb_entry *user_page(struct engine *e, uint64_t vaddr, struct gw_fault *fault)
{
    uint64_t vpage = vaddr >> GW_PAGE_SHIFT;
    struct itlb_entry *it = &e->fetches->itlb[vpage % ITLB_SIZE];
    if (e->cfg.fetch_ok && !e->cfg.fetch_ok(e->cfg.opaque, vaddr, 2)) {
        *fault = (struct gw_fault){.vaddr = vaddr, .access = GW_ACCESS_FETCH};
        return NULL;
    }
    it->vpage = it->ppage = vpage;
    it->host = (uint8_t *)(uintptr_t)(e->cfg.guest_base + (vpage << GW_PAGE_SHIFT));
    return it;
}

/* Memory that code may run from: RAM, or read-only memory that shows. */
static const struct gw_ram *memory(const struct gw_bus *bus, uint64_t page)
{
    const struct gw_ram *ram = gw_bus_ram(bus, page, GW_PAGE_SIZE);
    const struct gw_rom *rom = ram ? NULL : gw_bus_rom(bus, page, GW_PAGE_SIZE);
    return rom && !rom->hidden ? &rom->mem : ram;
}

/* For code that is not the kernel's a global page is one of its space: its jump cache has others too, and
 * goes by the space's generation. */
static bool is_global(const struct engine *e, const struct gw_xlate *x)
{
    return x->global && x->whole_page && e->view.kernel;
}

static bool translate(struct engine *e, uint64_t vaddr, struct gw_xlate *x, struct gw_fault *fault)
{
    return e->cfg.isa->translate(e->cfg.cpu, vaddr, 2, GW_ACCESS_FETCH, x, fault);
}

static bool is_same(const struct gw_xlate *a, const struct gw_xlate *b)
{
    return a->paddr == b->paddr && a->shift == b->shift && a->perms == b->perms &&
           a->global == b->global && a->whole_page == b->whole_page;
}

/* Until it is known that code runs from what the walk found, so that no fence is missed (spaces.h). */
static bool walk(struct engine *e, uint64_t vaddr, struct gw_xlate *x, struct gw_fault *fault)
{
    const struct executed *table = &e->world->spaces->executed;
    uint64_t vpage = vaddr >> GW_PAGE_SHIFT;
    uint32_t turn = executed_turn(table);
    bool known = spaces_maybe_executed(e, vpage);
    struct gw_xlate now;
    if (!translate(e, vaddr, &now, fault))
        return false;
    do {
        *x = now;
        spaces_executed(e, vpage, x, is_global(e, x));
        if (!e->world->shared || (known && executed_turn(table) == turn))
            return true;
        __atomic_thread_fence(
            __ATOMIC_SEQ_CST); /* it is in the filter before the tables are read */
        if (!translate(e, vaddr, &now, fault))
            return false;
    } while (!is_same(x, &now));
    return true;
}

const struct itlb_entry *fetch_page(struct engine *e, uint64_t vaddr, struct gw_fault *fault)
{
    uint64_t vpage = vaddr >> GW_PAGE_SHIFT;
    struct itlb_entry *it = &e->fetches->itlb[vpage % ITLB_SIZE];
    struct gw_xlate x;
    if (!e->cfg.bus)
        return user_page(e, vaddr, fault);
    if (it->vpage == vpage && it->key == e->view.fetch_key)
        return it;
    if (!walk(e, vaddr, &x, fault))
        return NULL;
    uint64_t page = x.paddr & ~(uint64_t)GW_PAGE_MASK;
    const struct gw_ram *ram = memory(e->cfg.bus, page);
    if (!ram) {
        e->cfg.isa->bus_fault(e->cfg.cpu, vaddr, GW_ACCESS_FETCH, fault);
        return NULL;
    }
    /* An entry for a page that PMP splits is good for this fetch only. */
    e->fetches->filled = true;
    it->vpage = x.whole_page ? vpage : NO_PAGE;
    it->key = e->view.fetch_key;
    it->ppage = page >> GW_PAGE_SHIFT;
    it->host = gw_ram_host(ram, page);
    it->global = is_global(e, &x);
    it->split = !x.whole_page;
    if (x.shift > GW_PAGE_SHIFT)
        span_add(&e->fetches->large, vpage, x.shift);
    return it;
}

bool fetch_allowed(struct engine *e, uint64_t pc, const struct itlb_entry *it,
                   struct gw_fault *fault)
{
    const struct guest_isa *isa = e->cfg.isa;
    const uint8_t *at = it->host + (pc & GW_PAGE_MASK);
    struct itlb_entry copy = *it;
    unsigned size = isa->insn_bytes ? isa->insn_bytes(at) : isa->insn_align;
    for (unsigned n = isa->insn_align; n < size; n += isa->insn_align)
        if ((pc & GW_PAGE_MASK) + n < GW_PAGE_SIZE && !fetch_page(e, pc + n, fault))
            return false;
    e->fetches->itlb[(pc >> GW_PAGE_SHIFT) % ITLB_SIZE] = copy;
    return true;
}
