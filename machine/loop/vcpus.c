/* The vCPUs of a machine: made, asked, taken apart. */
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>

#include "backend-common/hosts.h"
#include "devices/clock.h"
#include "machine/host_code.h"
#include "frontend/riscv64/priv.h"
#include "machine/vm.h"

/* ---- host faults of translated code --------------------------------------------------------- */

/* A signal handler takes no context of ours: the engine that this thread runs. Set before anything
 * can fault, so the handler only reads it. */
static _Thread_local struct engine *faulting_engine;
static bool handlers_set;
static struct sigaction old_segv, old_bus, old_fpe;

static void host_fault(int sig, siginfo_t *info, void *uctx)
{
    if (faulting_engine && engine_host_fault(faulting_engine, sig, info, uctx))
        return;
    /* Ours, a bug: the access repeats, and ends the process. */
    terminal_restore();
    signal(sig, SIG_DFL);
}

void vm_faults_on(void)
{
    struct sigaction sa = {.sa_sigaction = host_fault, .sa_flags = SA_SIGINFO | SA_NODEFER};
    sigemptyset(&sa.sa_mask);
    sigaction(SIGSEGV, &sa, &old_segv);
    sigaction(SIGBUS, &sa, &old_bus);
    sigaction(SIGFPE, &sa, &old_fpe);
    handlers_set = true;
}

void vm_faults_off(void)
{
    if (!handlers_set)
        return;
    sigaction(SIGSEGV, &old_segv, NULL);
    sigaction(SIGBUS, &old_bus, NULL);
    sigaction(SIGFPE, &old_fpe, NULL);
    handlers_set = false;
    faulting_engine = NULL;
}

void vm_faults_of(struct engine *e)
{
    sigset_t faults;
    if (faulting_engine == e)
        return;
    faulting_engine = e;
    /* A fault whose signal is blocked ends the process. */
    sigemptyset(&faults);
    sigaddset(&faults, SIGSEGV);
    sigaddset(&faults, SIGBUS);
    sigaddset(&faults, SIGFPE);
    pthread_sigmask(SIG_UNBLOCK, &faults, NULL);
}

/* ---- making --------------------------------------------------------------------------------- */

static uint64_t retired_now(void *context)
{
    return vm_retired(context);
}

static void time_moved(void *context, uint64_t offset_ticks)
{
    struct vm *m = context;
    for (unsigned i = 0; i < m->cpus; i++)
        (m->threads ? rv_remote_move_time : rv_move_time)(m->vcpu[i].cpu, offset_ticks);
}

static struct gw_irq line_of(struct rv_cpu *cpu, unsigned line)
{
    return (struct gw_irq){.set = rv_irq_line, .receiver = cpu, .line = line};
}

static enum gw_status make_cpu(struct vm *m, unsigned index, struct gw_error *err)
{
    size_t size = (m->isa->cpu_size + 63) & ~(size_t)63;
    struct gw_cpu_config cfg = {
        .model = m->spec->cpu_model,
        .options = m->spec->cpu_options,
        .firmware = m->firmware_builtin,
        .hart = index,
        .bus = &m->board->bus.bus,
        .events = m->board->events,
    };
    struct rv_cpu *cpu = aligned_alloc(64, size);
    if (!cpu)
        return gw_fail(err, GW_ERR_NOMEM, "", "no memory for the CPU");
    memset(cpu, 0, size);
    m->vcpu[index] = (struct vcpu){.m = m, .index = index, .cpu = cpu};
    return m->isa->init(cpu, &cfg, err);
}

enum gw_status vm_make_cpus(struct vm *m, struct gw_error *err)
{
    struct board_hart_lines lines[SPEC_MAX_CPUS];
    m->sbi = (struct sbi){.harts = m->cpus,
                          .events = m->board->events,
                          .dma = {.bus = &m->board->bus.bus},
                          .console = dev_console_serial(m->board->console),
                          .power = vm_power,
                          .context = m};
    for (unsigned i = 0; i < m->cpus; i++) {
        enum gw_status st = make_cpu(m, i, err);
        struct rv_cpu *cpu = m->vcpu[i].cpu;
        if (st != GW_OK)
            return st;
        m->sbi.hart[i].cpu = cpu;
        lines[i] = (struct board_hart_lines){.mei = line_of(cpu, RV_IRQ_MEI),
                                             .sei = line_of(cpu, RV_IRQ_SEI),
                                             .msi = line_of(cpu, RV_IRQ_MSI),
                                             .mti = line_of(cpu, RV_IRQ_MTI)};
    }
    board_connect(m->board, lines, m->cpus, time_moved, m);
    gw_events_attach(m->board->events, &m->vcpu[0].cpu->run.attention);
    sbi_init(&m->sbi);
    return GW_OK;
}

static enum gw_status make_engine(struct vm *m, struct vcpu *v, bool no_flat, struct gw_error *err)
{
    struct engine_config cfg = {
        .isa = m->isa,
        .backend = m->spec->engine == SPEC_ENGINE_INTERP ? NULL : host_native(&gw_hosts),
        .mem = m->spec->no_flat_map ? GW_MEM_TLB : GW_MEM_FLAT,
        /* A flat map has an entry for each page of Sv48, and is blind to what lies beyond. */
        .no_flat = no_flat || m->spec->no_flat_map || v->cpu->cfg.sv57,
        .bus = &m->board->bus.bus,
        .cpu = v->cpu,
        .world = m->world,
        .index = v->index,
        .code_cache_bytes = m->o->code_cache_bytes,
        .map_bytes = m->o->map_bytes / m->cpus, /* each has maps of its own */
        .max_guest_insns = m->spec->max_block,
        .no_fold = m->spec->no_fold,
        .count_host = m->spec->count_host,
        .fixed_code = m->spec->fixed_code,
        .moving_code = m->spec->moving_code,
        .quantum = m->spec->deterministic ? VM_REPEAT_STEP : 0,
        .fp_traps = (enum engine_fp_traps)(m->spec->fp_traps - SPEC_FP_TRAPS_OFF),
        .time_translation = m->spec->stats,
        .dump = m->spec->dump ? &m->dump : NULL,
    };
    cfg.caller = v->caller = m->spec->engine == SPEC_ENGINE_INTERP ? host_code_caller_open() : NULL;
    return engine_new(&v->engine, &cfg, err);
}

static void free_engines(struct vm *m)
{
    for (unsigned i = 0; i < SPEC_MAX_CPUS; i++) {
        engine_free(m->vcpu[i].engine);
        host_code_caller_close(m->vcpu[i].caller);
        m->vcpu[i].engine = NULL;
        m->vcpu[i].caller = NULL;
    }
    engine_world_free(m->world);
    m->world = NULL;
}

static enum gw_status make_all(struct vm *m, bool no_flat, struct gw_error *err)
{
    enum gw_status st = engine_world_new(&m->world, m->cpus, err);
    for (unsigned i = 0; st == GW_OK && i < m->cpus; i++)
        st = make_engine(m, &m->vcpu[i], no_flat, err);
    return st;
}

/* They share code, which is for one kind of page maps. Address space for flat ones may be enough for
 * some of them only. */
static bool are_alike(const struct vm *m)
{
    bool alike = true;
    for (unsigned i = 1; i < m->cpus; i++)
        alike = alike && engine_mem_mode(m->vcpu[i].engine) == engine_mem_mode(m->vcpu[0].engine);
    return alike;
}

enum gw_status vm_make_engines(struct vm *m, struct gw_error *err)
{
    enum gw_status st = GW_OK;
    size_t wanted, got;
    if (m->spec->dump)
        st = host_code_dump(&m->dump, m->spec->dump, m->spec->dump_file, err);
    m->dump.host_disasm = m->o->host_disasm;
    if (st == GW_OK)
        st = make_all(m, false, err);
    if (st == GW_OK && !are_alike(m)) {
        free_engines(m);
        st = make_all(m, true, err);
    }
    if (st != GW_OK)
        return st;
    got = engine_code_cache_bytes(m->vcpu[0].engine, &wanted);
    if (got < wanted && m->spec->verbose)
        fprintf(stderr, "godwit: note: code cache of %zu KiB instead of %zu\n", got >> 10,
                wanted >> 10);
    /* In the middle of a block the count depends on where the block ends: devices of a run that can
     * be repeated see the time of the last look instead. */
    if (!m->spec->deterministic)
        dev_events_counter(m->board->events, retired_now, m);
    return GW_OK;
}

void vm_free_cpus(struct vm *m)
{
    free_engines(m);
}

/* ---- asking --------------------------------------------------------------------------------- */

uint64_t vm_retired(const struct vm *m)
{
    uint64_t sum = 0;
    for (unsigned i = 0; i < m->cpus; i++)
        sum += m->threads && !m->held ? __atomic_load_n(&m->vcpu[i].retired, __ATOMIC_RELAXED)
                                      : engine_retired(m->vcpu[i].engine);
    return sum;
}

void vm_kick(struct vm *m)
{
    for (unsigned i = 0; i < m->cpus; i++)
        gw_events_kick(m->board->events, &m->vcpu[i].cpu->run.attention);
}

bool vm_may_run(struct vcpu *v)
{
    return sbi_look(&v->m->sbi, v->index) && !v->m->isa->waiting(v->cpu);
}

bool vm_idle(struct vm *m)
{
    for (unsigned i = 0; i < m->cpus; i++) {
        uint8_t state = m->sbi.hart[i].state;
        if (state == SBI_HART_START_PENDING ||
            (state != SBI_HART_STOPPED && !m->isa->waiting(m->vcpu[i].cpu)))
            return false;
    }
    return true;
}

uint64_t vm_deadline(const struct vcpu *v)
{
    if (v->m->sbi.hart[v->index].state == SBI_HART_STOPPED)
        return UINT64_MAX;
    return v->m->isa->deadline(v->cpu);
}

void vm_reset_derived(struct vm *m)
{
    for (unsigned i = 0; i < m->cpus; i++)
        engine_reset_derived(m->vcpu[i].engine);
}
