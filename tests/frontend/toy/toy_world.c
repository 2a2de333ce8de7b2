/* See toy_world.h. */
#include "godwit/little.h"
#include "tests/frontend/toy/toy_world.h"

#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include <cmocka.h>

#include "backend-common/hosts.h"

/* A signal handler has no argument of its own: this is the engine that runs now. */
static struct engine *running;

static void on_fault(int sig, siginfo_t *info, void *context)
{
    if (!running || !engine_host_fault(running, sig, info, context)) {
        signal(sig, SIG_DFL);
        raise(sig);
    }
}

static void catch_faults(void)
{
    struct sigaction sa = {.sa_sigaction = on_fault, .sa_flags = SA_SIGINFO | SA_NODEFER};
    sigaction(SIGSEGV, &sa, NULL);
    sigaction(SIGBUS, &sa, NULL);
    sigaction(SIGFPE, &sa, NULL);
}

bool toy_can_jit(void)
{
    return host_native(&gw_hosts) != NULL;
}

/* --- the machine's bus --------------------------------------------------------------------------- */

static enum gw_bus_result bus_read(struct gw_bus *bus, uint64_t paddr, unsigned size,
                                   uint64_t *value)
{
    const struct toy_world *w = bus->opaque;
    if (paddr != TOY_SUM || size != 8)
        return GW_BUS_ERROR;
    *value = w->sum;
    return GW_BUS_OK;
}

static enum gw_bus_result bus_write(struct gw_bus *bus, uint64_t paddr, unsigned size,
                                    uint64_t value)
{
    struct toy_world *w = bus->opaque;
    if (paddr != TOY_SUM || size != 8)
        return GW_BUS_ERROR;
    w->sum += value;
    return GW_BUS_OK;
}

static enum gw_bus_result bus_update(struct gw_bus *bus, uint64_t paddr, unsigned size,
                                     gw_bus_change *change, void *change_opaque, uint64_t *old)
{
    uint64_t value;
    enum gw_bus_result r = bus_read(bus, paddr, size, old);
    if (r == GW_BUS_OK && change(change_opaque, *old, &value))
        r = bus_write(bus, paddr, size, value);
    return r;
}

static bool fetch_ok(void *opaque, uint64_t vaddr, uint64_t size)
{
    (void)opaque;
    return vaddr - TOY_RAM < TOY_RAM_SIZE && size <= TOY_RAM_SIZE - (vaddr - TOY_RAM);
}

/* --- opening and running ------------------------------------------------------------------------- */

static void open_engine(struct toy_world *w)
{
    const struct toy_setup *s = &w->setup;
    struct gw_error err;
    w->ram = (struct gw_ram){.host = w->window + TOY_RAM,
                             .base = TOY_RAM,
                             .size = TOY_RAM_SIZE,
                             .page_flags = w->page_flags};
    w->bus = (struct gw_bus){.ram = &w->ram,
                             .ram_count = 1,
                             .opaque = w,
                             .read = bus_read,
                             .write = bus_write,
                             .update = bus_update};
    w->dump = (struct engine_dump){.what = ENGINE_DUMP_DECODE | ENGINE_DUMP_IR, .out = s->dump};
    const struct gw_cpu_config cpu_config = {.user = s->user, .bus = s->user ? NULL : &w->bus};
    assert_int_equal(toy_guest_isa.init(w->cpu, &cpu_config, &err), GW_OK);
    const struct engine_config config = {
        .isa = &toy_guest_isa,
        .backend = s->jit ? host_native(&gw_hosts) : NULL,
        .mem = s->user ? GW_MEM_USER : GW_MEM_FLAT,
        .no_flat = s->no_flat,
        .bus = s->user ? NULL : &w->bus,
        .cpu = w->cpu,
        .guest_base = s->user ? (uint64_t)(uintptr_t)w->window : 0,
        .code_cache_bytes = 1 << 20,
        .max_guest_insns = s->max_guest,
        .no_fold = s->no_fold,
        .count_host = s->count_host,
        .dump = s->dump ? &w->dump : NULL,
        .fetch_ok = fetch_ok,
    };
    assert_int_equal(engine_new(&w->engine, &config, &err), GW_OK);
}

void toy_put_code(struct toy_world *w, size_t at, const uint32_t *code, size_t words)
{
    for (size_t i = 0; i < words; i++)
        gw_put_little(w->window + TOY_RAM + at + 4 * i, code[i], 4);
}

void toy_open(struct toy_world *w, const struct toy_setup *setup, const uint32_t *code,
              size_t words)
{
    *w = (struct toy_world){.setup = *setup};
    w->cpu = aligned_alloc(64, (sizeof *w->cpu + 63) & ~(size_t)63);
    w->window =
        mmap(NULL, TOY_WINDOW, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    assert_non_null(w->cpu);
    assert_ptr_not_equal(w->window, MAP_FAILED);
    mprotect(w->window + TOY_RAM, TOY_RAM_SIZE, PROT_READ | PROT_WRITE);
    toy_put_code(w, 0, code, words);
    open_engine(w);
    w->cpu->run.pc = TOY_RAM;
    catch_faults();
}

void toy_close(struct toy_world *w)
{
    engine_free(w->engine);
    munmap(w->window, TOY_WINDOW);
    free(w->cpu);
}

void toy_run(struct toy_world *w, uint64_t most, struct toy_result *out)
{
    uint64_t slice = w->setup.slice ? w->setup.slice : most;
    struct toy_cpu *cpu = w->cpu;
    memset(out, 0, sizeof *out);
    do {
        uint64_t left = most - engine_retired(w->engine);
        running = w->engine;
        out->stop = engine_run(w->engine, slice < left ? slice : left, true);
        running = NULL;
        if (out->stop == ENGINE_SYSCALL && !cpu->halted) {
            cpu->r[0] += 1000;
            cpu->run.pc += 4;
            out->traps++;
            out->stop = ENGINE_BUDGET;
        }
    } while (out->stop == ENGINE_BUDGET && engine_retired(w->engine) < most);
    memcpy(out->r, cpu->r, sizeof out->r);
    out->pc = cpu->run.pc;
    out->retired = engine_retired(w->engine);
    out->sum = w->sum;
    out->fp_flags = cpu->run.fp_flags;
    if (out->stop == ENGINE_FAULT) { /* by member: results are compared as bytes */
        out->fault.vaddr = cpu->run.fault.vaddr;
        out->fault.cause = cpu->run.fault.cause;
        out->fault.access = cpu->run.fault.access;
    }
    memcpy(out->ram, w->window + TOY_RAM, TOY_RAM_SIZE);
}
