/* Accesses by C that may fault on the host: see guarded.h. */
#include "translator/run/guarded.h"

#include "translator/memory/slow_path.h"
#include "translator/run/host_fault.h"

typedef uint32_t access_fn(void *cpu, uint32_t desc);

/* The interpreter is guarded as a whole. */
static uint32_t guarded(void *cpu, uint32_t desc, access_fn *access)
{
    struct engine *e = gw_run(cpu)->engine;
    if (e->interp)
        return access(cpu, desc);
    if (sigsetjmp(e->faults->back, 0)) {
        e->faults->guarded = 0;
        gw_run(cpu)->leave = GW_LEAVE_FAULT;
        return 1;
    }
    e->faults->guarded = 1;
    uint32_t left = access(cpu, desc);
    e->faults->guarded = 0;
    return left;
}

static uint32_t guarded_load(void *cpu, uint32_t desc)
{
    return guarded(cpu, desc, slow_load);
}

static uint32_t guarded_store(void *cpu, uint32_t desc)
{
    return guarded(cpu, desc, slow_store);
}

static uint32_t guarded_amo(void *cpu, uint32_t desc)
{
    return guarded(cpu, desc, slow_amo);
}

static uint32_t guarded_zero(void *cpu, uint32_t desc)
{
    return guarded(cpu, desc, slow_zero);
}

void guard_slow_paths(struct gw_runtime *rt)
{
    rt->load = guarded_load;
    rt->store = guarded_store;
    rt->amo = guarded_amo;
    rt->zero = guarded_zero;
}
