/* Accesses that generated code leaves to C: see slow_path.h. */
#include "translator/memory/slow_path.h"

#include "translator/code/pages.h"
#include "translator/memory/dirty.h"
#include "translator/memory/page_map.h"
#include "translator/memory/ram.h"
#include "translator/memory/reserve.h"

static struct engine *engine_of(void *cpu)
{
    return gw_run(cpu)->engine;
}

static uint32_t faulted(struct engine *e)
{
    e->run->leave = GW_LEAVE_FAULT;
    return 1;
}

/* User mode by the host's protections: an address that no program has, and that this host might take for
 * another. */
static bool is_nowhere(struct engine *e, uint64_t va, enum gw_access access)
{
    if (e->cfg.mem != GW_MEM_USER)
        return false;
    e->run->fault = (struct gw_fault){.vaddr = va, .access = (uint8_t)access};
    return true;
}

static uint32_t misaligned(struct engine *e, uint64_t va, enum gw_access access)
{
    if (e->cfg.isa->misaligned)
        e->cfg.isa->misaligned(e->cfg.cpu, va, access, &e->run->fault);
    else
        e->run->fault = (struct gw_fault){.vaddr = va, .access = (uint8_t)access};
    return faulted(e);
}

/* Every access by this file may change page maps, so the block looks its pages up anew. */
static void begin(struct engine *e, uint64_t va)
{
    memset(e->run->site, 0, sizeof e->run->site);
    maps_looked_up(e, va);
}

/* One piece of an access, within a page. host: its byte in RAM, or NULL for MMIO. */
struct piece {
    struct gw_xlate x;
    uint8_t *host;
    const uint8_t *flags;
    bool read_only; /* stores take another way */
};

/* User mode by a page map: all that the guest may access is memory, at the window's place for it. */
static bool resolve_user(struct engine *e, uint64_t va, enum gw_access access, struct piece *p)
{
    static const uint8_t no_flags = 0;
    const unsigned perms = e->cfg.page(e->cfg.opaque, va);
    if (!(perms >> access & 1)) {
        e->run->fault = (struct gw_fault){.vaddr = va, .access = (uint8_t)access};
        return false;
    }
    *p = (struct piece){
        .x = {.paddr = va, .shift = GW_PAGE_SHIFT, .perms = (uint8_t)perms, .whole_page = true},
        .host = (uint8_t *)(uintptr_t)(e->cfg.guest_base + va),
        .flags = &no_flags};
    return true;
}

static bool resolve(struct engine *e, uint64_t va, unsigned size, enum gw_access access,
                    struct piece *p)
{
    if (!e->cfg.bus)
        return resolve_user(e, va, access, p);
    if (!e->cfg.isa->translate(e->cfg.cpu, va, size, access, &p->x, &e->run->fault))
        return false;
    const struct gw_ram *r = gw_bus_ram(e->cfg.bus, p->x.paddr, size);
    const struct gw_rom *rom =
        r || access == GW_ACCESS_STORE ? NULL : gw_bus_rom(e->cfg.bus, p->x.paddr, size);
    p->read_only = rom != NULL;
    if (rom && !rom->hidden)
        r = &rom->mem;
    p->host = r ? gw_ram_host(r, p->x.paddr) : NULL;
    p->flags = r ? &r->page_flags[(p->x.paddr - r->base) >> GW_PAGE_SHIFT] : NULL;
    return true;
}

/* Lets later accesses to the page go inline. */
static void fill(struct engine *e, uint64_t va, const struct piece *p)
{
    if (p->x.whole_page)
        maps_fill(e, va, &p->x, p->host - (va & GW_PAGE_MASK),
                  !p->read_only && !(__atomic_load_n(p->flags, __ATOMIC_SEQ_CST) & GW_RAM_WATCHED));
}

static bool mmio_read(struct engine *e, uint64_t va, const struct piece *p, unsigned size,
                      uint64_t *value)
{
    uint64_t v = 0;
    if (e->cfg.bus->read(e->cfg.bus, p->x.paddr, size, &v) != GW_BUS_OK) {
        e->cfg.isa->bus_fault(e->cfg.cpu, va, GW_ACCESS_LOAD, &e->run->fault);
        return false;
    }
    *value = v;
    return true;
}

static bool mmio_write(struct engine *e, uint64_t va, const struct piece *p, unsigned size,
                       uint64_t value)
{
    if (e->cfg.bus->write(e->cfg.bus, p->x.paddr, size, value) != GW_BUS_OK) {
        e->cfg.isa->bus_fault(e->cfg.cpu, va, GW_ACCESS_STORE, &e->run->fault);
        return false;
    }
    return true;
}

static uint64_t extend(uint64_t v, uint32_t desc)
{
    unsigned bits = 8u << (desc & IR_SIZE_MASK);
    if (bits == 64)
        return v;
    v &= (UINT64_C(1) << bits) - 1;
    return desc & IR_SIGN && v >> (bits - 1) ? v | ~UINT64_C(0) << bits : v;
}

/* Both pages are translated before either is accessed; MMIO must not be crossed into. */
static bool resolve_two(struct engine *e, uint64_t va, unsigned size, enum gw_access access,
                        struct piece p[2], unsigned *first)
{
    *first = GW_PAGE_SIZE - (unsigned)(va & GW_PAGE_MASK);
    if (!resolve(e, va, *first, access, &p[0]) ||
        !resolve(e, va + *first, size - *first, access, &p[1]))
        return false;
    if (p[0].host && p[1].host)
        return true;
    e->cfg.isa->bus_fault(e->cfg.cpu, p[0].host ? va + *first : va, access, &e->run->fault);
    return false;
}

uint32_t slow_load(void *cpu, uint32_t desc)
{
    struct engine *e = engine_of(cpu);
    struct gw_vcpu *run = e->run;
    uint64_t va = run->slow_addr, v = 0;
    unsigned size = 1u << (desc & IR_SIZE_MASK), first;
    struct piece p[2];
    e->stats.slow_loads++;
    begin(e, va);
    if (desc & IR_ALIGNED && va & (size - 1))
        return misaligned(e, va, GW_ACCESS_LOAD);
    if (is_nowhere(e, va, GW_ACCESS_LOAD))
        return faulted(e);
    if ((va & GW_PAGE_MASK) + size > GW_PAGE_SIZE) {
        if (!resolve_two(e, va, size, GW_ACCESS_LOAD, p, &first))
            return faulted(e);
        v = ram_load(p[0].host, first) | ram_load(p[1].host, size - first) << (8 * first);
    } else {
        if (!resolve(e, va, size, GW_ACCESS_LOAD, &p[0]))
            return faulted(e);
        if (p[0].host) {
            v = ram_load(p[0].host, size);
            fill(e, va, &p[0]);
        } else if (va & (size - 1)) {
            return misaligned(e, va, GW_ACCESS_LOAD);
        } else if (desc & IR_ALIGNED) {
            e->cfg.isa->bus_fault(e->cfg.cpu, va, GW_ACCESS_LOAD, &e->run->fault);
            return faulted(e);
        } else if (!mmio_read(e, va, &p[0], size, &v)) {
            return faulted(e);
        }
    }
    run->slow_value = extend(v, desc);
    return 0;
}

/* What is known of the page's bytes is not to outlive them. */
static void begin_write(struct engine *e, uint64_t paddr, const uint8_t *page_flags)
{
    uint8_t flags = __atomic_load_n(page_flags, __ATOMIC_SEQ_CST);
    if (flags & GW_RAM_CODE)
        pages_changed(e, paddr >> GW_PAGE_SHIFT);
    if (flags & GW_RAM_CLEAN)
        dirty_mark(e->world, paddr);
}

/* size bytes of v to one piece. */
static void store_piece(struct engine *e, const struct piece *p, unsigned size, uint64_t v)
{
    bool held;
    begin_write(e, p->x.paddr, p->flags);
    held = reserve_begin_store(e, p->x.paddr, size);
    ram_store(p->host, size, v);
    if (held)
        reserve_end_store(e);
}

uint32_t slow_store(void *cpu, uint32_t desc)
{
    struct engine *e = engine_of(cpu);
    uint64_t va = e->run->slow_addr, v = e->run->slow_value;
    unsigned size = 1u << (desc & IR_SIZE_MASK), first;
    struct piece p[2];
    e->stats.slow_stores++;
    begin(e, va);
    if (is_nowhere(e, va, GW_ACCESS_STORE))
        return faulted(e);
    if ((va & GW_PAGE_MASK) + size > GW_PAGE_SIZE) {
        if (!resolve_two(e, va, size, GW_ACCESS_STORE, p, &first))
            return faulted(e);
        store_piece(e, &p[0], first, v);
        store_piece(e, &p[1], size - first, v >> (8 * first));
        return 0;
    }
    if (!resolve(e, va, size, GW_ACCESS_STORE, &p[0]))
        return faulted(e);
    if (p[0].host) {
        store_piece(e, &p[0], size, v);
        fill(e, va, &p[0]);
        return 0;
    }
    if (va & (size - 1))
        return misaligned(e, va, GW_ACCESS_STORE);
    return mmio_write(e, va, &p[0], size, v) ? 0 : faulted(e);
}

static void zero_piece(struct engine *e, const struct piece *p)
{
    begin_write(e, p->x.paddr, p->flags);
    bool held = reserve_begin_store(e, p->x.paddr, IR_ZERO_BYTES);
    for (unsigned i = 0; i < IR_ZERO_BYTES; i += 8)
        ram_store(p->host + i, 8, 0);
    if (held)
        reserve_end_store(e);
}

/* A device gets eight stores. */
uint32_t slow_zero(void *cpu, uint32_t desc)
{
    struct engine *e = engine_of(cpu);
    uint64_t va = e->run->slow_addr, first = va & ~(uint64_t)(IR_ZERO_BYTES - 1);
    struct piece p;
    e->stats.slow_stores++;
    begin(e, va);
    if (is_nowhere(e, va, GW_ACCESS_STORE))
        return faulted(e);
    if (!resolve(e, first, IR_ZERO_BYTES, GW_ACCESS_STORE, &p)) {
        e->run->fault.vaddr = va;
        return faulted(e);
    }
    if (p.host) {
        if (!e->cfg.bus) /* if that faults, it does where the guest said */
            ram_store(p.host + (va - first), 1, 0);
        zero_piece(e, &p);
        fill(e, first, &p);
        return 0;
    }
    for (unsigned i = 0; i < IR_ZERO_BYTES; i += 8, p.x.paddr += 8)
        if (!mmio_write(e, first + i, &p, 8, 0))
            return faulted(e);
    return 0;
}

bool begin_store_hook(void *cpu, uint64_t paddr, unsigned size)
{
    struct engine *e = engine_of(cpu);
    begin_write(e, paddr, gw_bus_page_flags(e->cfg.bus, paddr));
    return reserve_begin_store(e, paddr, size);
}

void end_store_hook(void *cpu)
{
    reserve_end_store(engine_of(cpu));
}

/* v's low size bytes, sign- or zero-extended. */
static int64_t signed_part(uint64_t v, unsigned size)
{
    unsigned unused = 64 - 8 * size;
    return (int64_t)(v << unused) >> unused;
}

static uint64_t unsigned_part(uint64_t v, unsigned size)
{
    unsigned unused = 64 - 8 * size;
    return v << unused >> unused;
}

/* Right in the low size bytes. */
static uint64_t amo_result(unsigned kind, unsigned size, uint64_t old, uint64_t b,
                           uint64_t expected)
{
    int64_t so = signed_part(old, size), sb = signed_part(b, size);
    uint64_t uo = unsigned_part(old, size), ub = unsigned_part(b, size);
    switch (kind) {
    case IR_AMO_SWAP: return b;
    case IR_AMO_ADD: return old + b;
    case IR_AMO_AND: return old & b;
    case IR_AMO_OR: return old | b;
    case IR_AMO_XOR: return old ^ b;
    case IR_AMO_MIN: return so < sb ? old : b;
    case IR_AMO_MAX: return so > sb ? old : b;
    case IR_AMO_MINU: return uo < ub ? old : b;
    case IR_AMO_MAXU: return uo > ub ? old : b;
    default: return uo == unsigned_part(expected, size) ? b : old;
    }
}

/* What is there first need not be read atomically: a wrong guess makes the first try fail. */
static uint64_t amo_on(uint8_t *host, unsigned kind, unsigned size, uint64_t b, uint64_t expected)
{
    uint64_t old = expected;
    if (kind <= IR_AMO_MAXU)
        ram_swap(host, size, &old, old);
    while (!ram_swap(host, size, &old, amo_result(kind, size, old, b, expected)))
        ;
    return (uint64_t)signed_part(old, size);
}

struct change {
    uint64_t operand, expected;
    unsigned kind, size;
};

/* gw_bus_change. Devices see no write by a comparison that fails. */
static bool amo_change(void *opaque, uint64_t old, uint64_t *value)
{
    const struct change *c = opaque;
    *value = amo_result(c->kind, c->size, old, c->operand, c->expected);
    return c->kind <= IR_AMO_MAXU ||
           unsigned_part(old, c->size) == unsigned_part(c->expected, c->size);
}

uint32_t slow_amo(void *cpu, uint32_t desc)
{
    struct engine *e = engine_of(cpu);
    struct gw_vcpu *run = e->run;
    uint64_t va = run->slow_addr, b = run->slow_value, expected = run->operand[0].lo, old;
    unsigned size = 1u << (desc & IR_SIZE_MASK), kind = desc >> 16;
    struct piece p;
    e->stats.slow_stores++;
    begin(e, va);
    if (va & (size - 1))
        return misaligned(e, va, GW_ACCESS_STORE);
    if (is_nowhere(e, va, GW_ACCESS_STORE))
        return faulted(e);
    if (!resolve(e, va, size, GW_ACCESS_STORE, &p))
        return faulted(e);
    if (p.host) {
        begin_write(e, p.x.paddr, p.flags);
        bool held = reserve_begin_store(e, p.x.paddr, size);
        run->slow_value = amo_on(p.host, kind, size, b, expected);
        if (held)
            reserve_end_store(e);
        fill(e, va, &p);
        return 0;
    }
    struct change change = {.operand = b, .expected = expected, .kind = kind, .size = size};
    if (e->cfg.bus->update(e->cfg.bus, p.x.paddr, size, amo_change, &change, &old) != GW_BUS_OK) {
        e->cfg.isa->bus_fault(e->cfg.cpu, va, GW_ACCESS_STORE, &run->fault);
        return faulted(e);
    }
    run->slow_value = (uint64_t)signed_part(old, size);
    return 0;
}
