#include "tests/translator/run/world.h"

#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include <cmocka.h>

#include "godwit/event.h"
#include "backend-common/hosts.h"
#include "frontend/riscv64/priv.h"

const struct world_way world_ways[] = {
    {.name = "interpreter", .interp = true},
    {.name = "flat"},
    {.name = "tagged TLB", .no_flat = true},
    {.name = "optimiser off", .no_fold = true},
    {.name = "plain host", .features_off = ~0u},
    {.name = "one instruction a block, tiny cache",
     .code_cache_bytes = 65536,
     .max_guest_insns = 1},
    {.name = "traces", .trace = 8},
    {.name = "FP traps", .fp_traps = ENGINE_FP_TRAPS_EAGER},
    {.name = "FP traps, plain host, one instruction a block",
     .features_off = ~0u,
     .max_guest_insns = 1,
     .fp_traps = ENGINE_FP_TRAPS_EAGER},
};
const unsigned world_way_count = sizeof world_ways / sizeof world_ways[0];

const struct host_backend *world_backend(void)
{
    return host_native(&gw_hosts);
}

bool world_fp_traps(void)
{
    const uint32_t quiet = world_backend()->fp_control(IR_RNE, IR_FPM_RISCV);
    return world_backend()->fp_trap_control(quiet, 0) != quiet;
}

bool world_faults_by_itself(void)
{
    return !strcmp(world_backend()->name, "x86_64");
}

struct gw_events {
    uint64_t unused;
};

/* Of this thread: whose host faults they are. */
static _Thread_local struct engine *volatile running;

static void on_fault(int sig, siginfo_t *si, void *uc)
{
    if (!running || !engine_host_fault(running, sig, si, uc))
        signal(sig, SIG_DFL);
}

static enum gw_bus_result no_read(struct gw_bus *bus, uint64_t paddr, unsigned size,
                                  uint64_t *value)
{
    return GW_BUS_ERROR;
}

static enum gw_bus_result no_write(struct gw_bus *bus, uint64_t paddr, unsigned size,
                                   uint64_t value)
{
    return GW_BUS_ERROR;
}

static enum gw_bus_result no_update(struct gw_bus *bus, uint64_t paddr, unsigned size,
                                    gw_bus_change *change, void *change_opaque, uint64_t *old)
{
    return GW_BUS_ERROR;
}

/* A vCPU after reset with PMP open, on the bus and in the world of `at`. */
static void new_vcpu(struct world *w, struct world *at, unsigned index)
{
    static struct gw_events events;
    const struct world_way *way = w->way;
    struct gw_error err;
    w->cpu = aligned_alloc(64, (sizeof *w->cpu + 63) & ~(size_t)63);
    assert_non_null(w->cpu);
    memset(w->cpu, 0, sizeof *w->cpu);
    const struct gw_cpu_config cc = {
        .model = "max", .bus = &at->bus, .events = &events, .hart = index};
    assert_int_equal(rv_guest_isa.init(w->cpu, &cc, &err), GW_OK);
    rv_boot_supervisor(w->cpu, W_RAM, 0);
    w->cpu->c.priv = RV_PRIV_M;
    w->cpu->c.medeleg = w->cpu->c.mideleg = 0;
    const struct engine_config ec = {
        .isa = way->isa ? way->isa : &rv_guest_isa,
        .world = at->world,
        .index = index,
        .backend = way->interp ? NULL : world_backend(),
        .mem = GW_MEM_FLAT,
        .no_flat = way->no_flat,
        .bus = &at->bus,
        .cpu = w->cpu,
        .code_cache_bytes = way->code_cache_bytes ? way->code_cache_bytes : 1 << 20,
        .max_guest_insns = way->max_guest_insns,
        .trace = way->trace,
        .no_fold = way->no_fold,
        .moving_code = way->moving_code,
        .features_off = way->features_off,
        .fp_traps = way->fp_traps,
    };
    assert_int_equal(engine_new(&w->engine, &ec, &err), GW_OK);
    assert_int_equal(engine_mem_mode(w->engine), way->no_flat ? GW_MEM_TLB : GW_MEM_FLAT);
}

static void catch_faults(void)
{
    struct sigaction sa = {.sa_sigaction = on_fault, .sa_flags = SA_SIGINFO | SA_NODEFER};
    sigaction(SIGSEGV, &sa, NULL);
    sigaction(SIGBUS, &sa, NULL);
    sigaction(SIGFPE, &sa, NULL);
}

void world_open(struct world *w, const struct world_way *way)
{
    struct gw_error err;
    memset(w, 0, sizeof *w);
    w->way = way;
    w->ram = mmap(NULL, W_RAM_BYTES, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    assert_ptr_not_equal(w->ram, MAP_FAILED);
    w->region =
        (struct gw_ram){.host = w->ram, .base = W_RAM, .size = W_RAM_BYTES, .page_flags = w->flags};
    w->bus = (struct gw_bus){.ram = &w->region,
                             .ram_count = 1,
                             .opaque = w,
                             .read = no_read,
                             .write = no_write,
                             .update = no_update};
    w->tables = W_RAM + W_RAM_BYTES / 2;
    if (way->shared)
        assert_int_equal(engine_world_new(&w->world, 2, &err), GW_OK);
    new_vcpu(w, w, 0);
    world_turn(w);
    catch_faults();
}

void world_open_beside(struct world *w, struct world *first)
{
    memset(w, 0, sizeof *w);
    w->way = first->way;
    w->ram = first->ram;
    w->beside = first;
    new_vcpu(w, first, 1);
}

void world_turn(const struct world *w)
{
    running = w->engine;
}

void world_close(struct world *w)
{
    running = NULL;
    engine_free(w->engine);
    if (w->world)
        engine_world_free(w->world);
    if (!w->beside)
        munmap(w->ram, W_RAM_BYTES);
    free(w->cpu);
}

void world_code(struct world *w, uint64_t paddr, const uint32_t *words, unsigned count)
{
    memcpy(w->ram + (paddr - W_RAM), words, 4 * (size_t)count);
    w->bus.ram_written(w->bus.engine, paddr, 4 * (uint64_t)count);
}

void world_poke(struct world *w, uint64_t paddr, uint64_t value)
{
    memcpy(w->ram + (paddr - W_RAM), &value, 8);
}

uint64_t world_peek(const struct world *w, uint64_t paddr)
{
    uint64_t v;
    memcpy(&v, w->ram + (paddr - W_RAM), 8);
    return v;
}

uint64_t world_root(struct world *w)
{
    uint64_t at = w->tables;
    w->tables += 4096;
    assert_true(w->tables <= W_RAM + W_RAM_BYTES);
    return at;
}

void world_map(struct world *w, uint64_t root, unsigned levels, uint64_t vaddr, uint64_t paddr,
               unsigned bits)
{
    enum { PTE_V = 1, PTE_AD = 0xc0 };
    uint64_t table = root;
    for (unsigned l = levels; l--;) {
        uint64_t at = table + 8 * (vaddr >> (12 + 9 * l) & 511), pte = world_peek(w, at);
        if (l == 0)
            pte = paddr >> 12 << 10 | bits | PTE_V | PTE_AD;
        else if (!(pte & PTE_V))
            pte = world_root(w) >> 12 << 10 | PTE_V;
        world_poke(w, at, pte);
        table = pte >> 10 << 12;
    }
}

void world_satp(struct world *w, uint64_t root, unsigned levels, unsigned asid)
{
    uint64_t mode = levels == 3 ? RV_SATP_SV39 : RV_SATP_SV48;
    w->cpu->c.satp = mode << RV_SATP_MODE_SHIFT | (uint64_t)asid << 44 | root >> 12;
    w->cpu->run.view_dirty = 1;
}

void world_expect(const struct world *w, const char *what, uint64_t got, uint64_t want)
{
    if (got != want)
        fail_msg("%s: %s is %#llx, should be %#llx", w->way->name, what, (unsigned long long)got,
                 (unsigned long long)want);
}
