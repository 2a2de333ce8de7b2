/*
 * A machine that is watched: what godwit/debug.h asks of it, beside what translator/debug.h does for
 * all targets. Its units are the vCPUs. While it is held nothing of it moves, devices neither: of what is
 * posted only that is heard which is about the machine as a whole, and the rest waits.
 */
#include <string.h>

#include "devices/clock.h"
#include "machine/vm.h"

/* ---- standing still ------------------------------------------------------------------------- */

static void wake(void *context)
{
    struct vm *m = context;
    if (vm_has_threads(m))
        vm_kick(m);
    /* Not by attention, which a run that can be repeated would notice. */
    for (unsigned i = 0; i < m->cpus && !vm_has_threads(m); i++)
        engine_ask(m->vcpu[i].engine);
    dev_events_nudge(m->board->events);
}

void vm_debug_wait(struct vm *m)
{
    const uint16_t sources[] = {m->control, host_source(m->host)};
    dev_events_deliver_of(m->board->events, sources, 2);
    if (!m->over)
        dev_events_wait_new(m->board->events);
}

static bool wait(void *context)
{
    struct vm *m = context;
    vm_debug_wait(m);
    return !m->over;
}

static void freeze(void *context, bool on)
{
    struct vm *m = context;
    m->watched_still = on;
    if (on)
        dev_events_pause(m->board->events);
    else if (!m->paused)
        vm_restored_runs(m);
}

static enum gw_debug_state state_of(void *context, unsigned unit)
{
    const struct vm *m = context;
    if (m->sbi.hart[unit].state == SBI_HART_STOPPED)
        return GW_DEBUG_OFF;
    return m->vcpu[unit].cpu->c.halted ? GW_DEBUG_WAITS : GW_DEBUG_RUNS;
}

/* ---- memory --------------------------------------------------------------------------------- */

/* Where the byte is in the machine's memory, and how many behind it are on its page. */
static bool place(const struct vm *m, int unit, uint64_t addr, uint64_t *paddr, uint64_t *left)
{
    *left = GW_PAGE_SIZE - (addr & GW_PAGE_MASK);
    *paddr = addr;
    return unit == GW_DEBUG_PHYSICAL || m->isa->probe(m->vcpu[unit].cpu, addr, paddr);
}

/* RAM, or flash while it shows its array. NULL: a device, or nothing. */
static const struct gw_ram *memory_at(const struct gw_bus *bus, uint64_t paddr, uint64_t size)
{
    const struct gw_ram *r = gw_bus_ram(bus, paddr, size);
    const struct gw_rom *rom = r ? NULL : gw_bus_rom(bus, paddr, size);
    return rom && !rom->hidden ? &rom->mem : r;
}

static uint64_t read_memory(void *context, int unit, uint64_t addr, void *to, uint64_t size)
{
    const struct vm *m = context;
    uint64_t done = 0, paddr, left;
    while (done < size && place(m, unit, addr + done, &paddr, &left)) {
        uint64_t n = left < size - done ? left : size - done;
        const struct gw_ram *r = memory_at(&m->board->bus.bus, paddr, n);
        if (!r)
            break;
        memcpy((uint8_t *)to + done, gw_ram_host(r, paddr), n);
        done += n;
    }
    return done;
}

static uint64_t write_memory(void *context, int unit, uint64_t addr, const void *from,
                             uint64_t size)
{
    const struct vm *m = context;
    const struct gw_dma dma = {.bus = &m->board->bus.bus};
    uint64_t done = 0, paddr, left;
    while (done < size && place(m, unit, addr + done, &paddr, &left)) {
        uint64_t n = left < size - done ? left : size - done;
        if (!gw_dma_write(&dma, paddr, (const uint8_t *)from + done, n))
            break;
        done += n;
    }
    return done;
}

/* ---- life ----------------------------------------------------------------------------------- */

enum gw_status vm_debug_open(struct vm *m, struct gw_error *err)
{
    const struct debug_config cfg = {.isa = m->isa,
                                     .units = m->cpus,
                                     .unit_name = "cpu",
                                     .in_place = !vm_has_threads(m),
                                     .context = m,
                                     .wake = wake,
                                     .wait = wait,
                                     .freeze = freeze,
                                     .state = state_of,
                                     .read = read_memory,
                                     .write = write_memory};
    enum gw_status st = debug_new(&m->debug, &cfg, err);
    for (unsigned i = 0; st == GW_OK && i < m->cpus; i++)
        debug_set_engine(m->debug, i, m->vcpu[i].cpu, m->vcpu[i].engine);
    return st;
}

void vm_debug_close(struct vm *m)
{
    if (m->debug)
        debug_end(m->debug);
    debug_free(m->debug);
    m->debug = NULL;
}

void vm_debug_begin(struct vm *m)
{
    if (m->debug)
        debug_begin(m->debug);
}

void vm_debug_end(struct vm *m)
{
    if (m->debug)
        debug_end(m->debug);
}

enum engine_stop vm_run_engine(struct vcpu *v, uint64_t max_insns, bool exact)
{
    struct debug *d = v->m->debug;
    return d ? debug_run(d, v->index, max_insns, exact) : engine_run(v->engine, max_insns, exact);
}

bool vm_debug_allows(const struct vcpu *v)
{
    return !v->m->debug || debug_may_run(v->m->debug, v->index);
}

bool vm_debug_wanted(const struct vm *m)
{
    return m->debug && debug_wanted(m->debug);
}

bool vm_debug_held(struct vm *m)
{
    return m->debug && debug_held(m->debug);
}

void vm_debug_look(struct vm *m)
{
    if (vm_debug_wanted(m))
        debug_hold(m->debug);
}
