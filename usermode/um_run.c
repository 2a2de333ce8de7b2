/* The life of a program: start, run loop, end. */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "frontend/riscv64/backtrace.h"
#include "frontend/guests.h"
#include "usermode/um.h"
#include "usermode/um_host.h"
#include "usermode/um_symbol.h"

/* Long enough to cost nothing; signals end a quantum early by run.attention. */
#define QUANTUM (UINT64_C(1) << 40)

void um_exit(struct um_proc *p, int status)
{
    p->done = true;
    p->result.ending = UM_EXIT;
    p->result.status = status;
}

void um_die(struct um_proc *p, int signal)
{
    p->done = true;
    p->result.ending = UM_SIGNAL;
    p->result.signal = signal;
}

uint64_t um_now_ns(void)
{
    struct timespec ts;
    clock_gettime(CLOCK_MONOTONIC, &ts);
    return (uint64_t)ts.tv_sec * 1000000000u + (uint64_t)ts.tv_nsec;
}

/* --- synchronous faults ----------------------------------------------------------------------- */

/* What Linux makes of a trap (arch/riscv/kernel/traps.c, mm/fault.c). */
static void fault(struct um_proc *p)
{
    struct gw_vcpu *run = &p->cpu->run;
    const struct gw_fault *f = &run->fault;
    run->pc = run->fault_pc;
    switch (f->cause) {
    case RV_CAUSE_ILLEGAL: um_signal_fault(p, SIGILL, ILL_ILLOPC, run->pc); return;
    case RV_CAUSE_BREAKPOINT: um_signal_fault(p, SIGTRAP, TRAP_BRKPT, run->pc); return;
    case RV_CAUSE_LOAD_MISALIGNED:
    case RV_CAUSE_STORE_MISALIGNED: /* atomics: Linux tells the instruction */
        um_signal_fault(p, SIGBUS, BUS_ADRALN, run->pc);
        return;
    default: break; /* by address: the engine names no cause for host faults */
    }
    static const uint32_t wanted[] = {[GW_ACCESS_LOAD] = PROT_READ,
                                      [GW_ACCESS_STORE] = PROT_WRITE,
                                      [GW_ACCESS_FETCH] = PROT_EXEC};
    const struct um_region *r = um_space_find(&p->space, f->vaddr);
    if (!r)
        um_signal_fault(p, SIGSEGV, SEGV_MAPERR, f->vaddr);
    else if (!(r->prot & wanted[f->access]))
        um_signal_fault(p, SIGSEGV, SEGV_ACCERR, f->vaddr);
    else /* mapped and allowed, and not there: the file behind it has ended, a parent kept it */
        um_signal_fault(p, p->host_fault.signal, p->host_fault.code, f->vaddr);
}

/* --- time limit ------------------------------------------------------------------------------- */

static enum gw_status start_timeout(struct um_proc *p, struct gw_error *err)
{
    uint64_t ns = p->cfg->timeout_ns;
    if (!ns)
        return GW_OK;
    /* The guest's own timers are the process's: this one has a signal that no guest uses. */
    struct sigevent ev;
    memset(&ev, 0, sizeof ev);
    ev.sigev_notify = SIGEV_SIGNAL;
    ev.sigev_signo = UM_SIG_TIMEOUT;
    int id = 0;
    struct itimerspec when = {
        .it_value = {(time_t)(ns / 1000000000), (long)(ns % 1000000000)},
        .it_interval = {1, 0}, /* until it has been seen */
    };
    if (syscall(SYS_timer_create, CLOCK_MONOTONIC, &ev, &id) ||
        syscall(SYS_timer_settime, id, 0, &when, NULL))
        return gw_fail(err, GW_ERR_IO, "--timeout", "cannot start a timer: %s", strerror(errno));
    return GW_OK;
}

static void kill_children(long pid, unsigned depth)
{
    char path[64];
    enum { DEEPEST = 64 };
    snprintf(path, sizeof path, "/proc/%ld/task/%ld/children", pid, pid);
    FILE *f = fopen(path, "re");
    if (!f)
        return;
    for (long child; depth < DEEPEST && fscanf(f, "%ld", &child) == 1;) {
        kill_children(child, depth + 1);
        kill((pid_t)child, SIGKILL);
    }
    fclose(f);
}

static bool read_guest(void *context, uint64_t vaddr, void *to, unsigned size, bool code)
{
    struct um_proc *p = context;
    return (!code || um_space_ok(&p->space, vaddr, size, PROT_EXEC)) &&
           um_copy_in(p, to, vaddr, size) == 0;
}

static void show_calls(struct um_proc *p)
{
    struct rv_backtrace trace;
    char name[128];
    rv_backtrace(p->cpu, read_guest, p, &trace);
    for (unsigned i = 0; i < trace.count; i++) {
        um_symbol(&p->space, trace.from[i], true, name, sizeof name);
        fprintf(stderr, "godwit: note: timeout: pid %ld #%u %s%#llx %s\n", (long)getpid(), i + 1,
                i < trace.guessed ? "" : "perhaps ", (unsigned long long)trace.from[i], name);
    }
}

static void timed_out(struct um_proc *p)
{
    const struct rv_cpu *cpu = p->cpu;
    char name[128];
    um_symbol(&p->space, cpu->run.pc, false, name, sizeof name);
    fprintf(stderr, "godwit: note: timeout: pid %ld pc %#llx %s%sra %#llx sp %#llx\n",
            (long)getpid(), (unsigned long long)cpu->run.pc, name, name[0] ? " " : "",
            (unsigned long long)cpu->x[1], (unsigned long long)cpu->x[2]);
    if (p->restart.active) {
        const struct um_call *c = um_call_find(cpu->x[17]);
        fprintf(stderr, "godwit: note: timeout: pid %ld in system call %s\n", (long)getpid(),
                c ? c->name : "?");
    }
    show_calls(p);
    kill_children(getpid(), 0);
    p->done = true;
    p->result.ending = UM_TIMEOUT;
}

/* --- run loop --------------------------------------------------------------------------------- */

static bool attention(struct um_proc *p)
{
    return __atomic_load_n(&p->cpu->run.attention, __ATOMIC_ACQUIRE);
}

static void attend(struct um_proc *p)
{
    __atomic_store_n(&p->cpu->run.attention, 0, __ATOMIC_RELEASE);
    if (__atomic_load_n(&p->timed_out, __ATOMIC_RELAXED)) {
        timed_out(p);
        return;
    }
    um_signals_deliver(p);
}

static enum gw_status run_loop(struct um_proc *p, struct gw_error *err)
{
    const struct um_config *cfg = p->cfg;
    while (!p->done) {
        uint64_t quantum = QUANTUM;
        if (cfg->stop_insn) {
            uint64_t retired = um_engine_retired(p);
            if (retired >= cfg->stop_insn) {
                p->result.ending = UM_STOP_INSN;
                return GW_OK;
            }
            quantum = cfg->stop_insn - retired;
        }
        bool look = false; /* the engine has cleared run.attention */
        switch (um_engine_run(p, quantum, cfg->stop_insn != 0)) {
        case UM_STOP_SYSCALL:
            /* A handler runs first: what is pending would only interrupt the call. */
            if (attention(p))
                look = true;
            else
                um_syscall(p);
            break;
        case UM_STOP_FAULT: fault(p); break;
        case UM_STOP_BUDGET: break;
        case UM_STOP_ATTENTION: look = true; break;
        case UM_STOP_BROKEN:
            return gw_fail(err, GW_ERR_STATE, "", "the engine stopped without a reason");
        }
        if (look || attention(p) || p->restart.active)
            attend(p);
    }
    return GW_OK;
}

static enum gw_status start(struct um_proc *p, struct gw_error *err)
{
    const struct um_config *cfg = p->cfg;
    struct gw_cpu_config cc = {.model = cfg->cpu_model ? cfg->cpu_model : "rv64",
                               .options = cfg->cpu_options,
                               .user = true};
    enum gw_status s = p->isa->init(p->cpu, &cc, err);
    if (s)
        return s;
    p->isa->reset(p->cpu);
    s = um_space_init(&p->space, err);
    if (cfg->space_bytes && cfg->space_bytes < p->space.limit)
        p->space.limit = cfg->space_bytes & ~(uint64_t)(UM_PAGE - 1);
    if (!s)
        s = um_load(p, cfg, err);
    if (!s)
        s = um_engine_start(p, err);
    if (!s)
        s = um_debug_start(p, err);
    if (!s) {
        if (!cfg->allow_clock)
            um_clock_keep();
        um_signals_start(p);
        s = start_timeout(p, err);
    }
    return s;
}

/* Resident bytes of this process that are not the guest's own pages. */
static uint64_t overhead_bytes(const struct um_proc *p)
{
    enum { AT_ONCE = 4096 };
    unsigned char in[AT_ONCE];
    unsigned long pages = 0, guest = 0;
    FILE *f = fopen("/proc/self/statm", "re");
    if (!f)
        return 0;
    if (fscanf(f, "%*u %lu", &pages) != 1)
        pages = 0;
    fclose(f);
    for (uint32_t i = 0; i < p->space.count; i++) {
        const struct um_region *r = &p->space.regions[i];
        for (uint64_t at = r->start; at < r->end; at += AT_ONCE * UM_PAGE) {
            uint64_t size = r->end - at < AT_ONCE * UM_PAGE ? r->end - at : AT_ONCE * UM_PAGE;
            if (mincore((void *)(uintptr_t)(p->space.base + at), size, in))
                continue;
            for (uint64_t k = 0; k < size / UM_PAGE; k++)
                guest += in[k] & 1;
        }
    }
    return pages > guest ? (uint64_t)(pages - guest) * UM_PAGE : 0;
}

/* The handlers refer to p: no signal comes through any more. What is written last may be lost, too. */
static void free_all(struct um_proc *p, struct um_result *result)
{
    um_host_sigmask(UINT64_MAX, NULL);
    um_debug_stop(p);
    um_engine_stop(p);
    *result = p->result;
    um_space_free(&p->space);
    free(p->exe);
    free(p->cpu);
    munmap(p, sizeof *p);
}

enum gw_status um_run(const struct um_config *cfg, um_finish_fn *finish, void *opaque,
                      struct um_result *result, struct gw_error *err)
{
    /* Mapped, so that it is zero and only touched where it is used. */
    struct um_proc *p =
        mmap(NULL, sizeof *p, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (p == MAP_FAILED)
        return gw_fail(err, GW_ERR_NOMEM, "", "out of memory");
    p->cfg = cfg;
    p->result.child = cfg->in_child;
    p->start_ns = um_now_ns();
    p->isa = guest_by_name(&gw_guests, UM_ARCH);
    p->cpu = aligned_alloc(64, (p->isa->cpu_size + 63) & ~(size_t)63);
    enum gw_status s = GW_OK;
    if (p->cpu) {
        memset(p->cpu, 0, p->isa->cpu_size);
        s = start(p, err);
    } else {
        s = gw_fail(err, GW_ERR_NOMEM, "", "out of memory");
    }
    if (!s)
        s = run_loop(p, err);
    p->result.insns = um_engine_retired(p);
    if (cfg->own_deaths) /* a report follows */
        p->result.overhead_bytes = overhead_bytes(p);
    if (!s && finish) {
        const void *counters;
        const struct counter_desc *desc = um_engine_counters(p, &counters);
        finish(opaque, desc, counters, &p->result);
    }
    free_all(p, result);
    return s;
}
