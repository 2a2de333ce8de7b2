/* The life of a program: start, run loop, end. */
#include <dirent.h>
#include <errno.h>
#include <limits.h>
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

/* The first thread, and what all share. */
struct first {
    struct um_proc p;
    struct um_group group;
};

/* Long enough to cost nothing; signals end a quantum early by run.attention. */
#define QUANTUM (UINT64_C(1) << 40)

void um_end(struct um_proc *p, const struct um_result *how)
{
    struct um_proc *main = p->borrows ? p : p->group->main;
    um_lock(p);
    bool first = p->borrows || !p->group->ending;
    if (first) {
        main->result.ending = how->ending;
        main->result.status = how->status;
        main->result.signal = how->signal;
    }
    if (!p->borrows)
        __atomic_store_n(&p->group->ending, 1, __ATOMIC_RELEASE);
    um_unlock(p);
    p->done = true;
    if (first && p != main)
        um_kick(main);
}

void um_exit(struct um_proc *p, int status)
{
    um_end(p, &(struct um_result){.ending = UM_EXIT, .status = status});
}

void um_die(struct um_proc *p, int signal)
{
    um_end(p, &(struct um_result){.ending = UM_SIGNAL, .signal = signal});
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
    struct um_region r;
    if (!um_space_find(p->space, f->vaddr, false, &r))
        um_signal_fault(p, SIGSEGV, SEGV_MAPERR, f->vaddr);
    else if (!(r.prot & wanted[f->access]))
        um_signal_fault(p, SIGSEGV, SEGV_ACCERR, f->vaddr);
    else /* mapped and allowed, and not there: the file behind it has ended, a parent kept it */
        um_signal_fault(p, p->host_fault.signal, p->host_fault.code, f->vaddr);
}

/* --- time limit ------------------------------------------------------------------------------- */

enum gw_status um_timeout_start(struct um_proc *p, struct gw_error *err)
{
    uint64_t ns = p->cfg->timeout_ns, spent = um_now_ns() - p->start_ns;
    if (!ns)
        return GW_OK;
    ns = spent < ns ? ns - spent : 1;
    /* The guest's own timers are the process's: this one carries what no guest's does. */
    struct sigevent ev;
    memset(&ev, 0, sizeof ev);
    ev.sigev_notify = SIGEV_THREAD_ID;
    ev.sigev_signo = UM_SIG_OURS;
    ev.sigev_value.sival_ptr = p->group;
    ev._sigev_un._tid = gettid();
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

static void kill_children(long pid, unsigned depth);

static void kill_children_of(long pid, const char *thread, unsigned depth)
{
    char path[PATH_MAX];
    snprintf(path, sizeof path, "/proc/%ld/task/%s/children", pid, thread);
    FILE *f = fopen(path, "re");
    if (!f)
        return;
    for (long child; fscanf(f, "%ld", &child) == 1;) {
        kill_children(child, depth + 1);
        kill((pid_t)child, SIGKILL);
    }
    fclose(f);
}

static void kill_children(long pid, unsigned depth)
{
    char path[64];
    enum { DEEPEST = 64 };
    snprintf(path, sizeof path, "/proc/%ld/task", pid);
    DIR *threads = depth < DEEPEST ? opendir(path) : NULL;
    for (struct dirent *d; threads && (d = readdir(threads));)
        if (d->d_name[0] != '.')
            kill_children_of(pid, d->d_name, depth);
    if (threads)
        closedir(threads);
}

static bool read_guest(void *context, uint64_t vaddr, void *to, unsigned size, bool code)
{
    struct um_proc *p = context;
    return (!code || um_space_ok(p->space, vaddr, size, PROT_EXEC)) &&
           um_copy_in(p, to, vaddr, size) == 0;
}

/* p looks at t, which may be itself. */
static void show_calls(struct um_proc *p, const struct um_proc *t)
{
    struct rv_backtrace trace;
    char name[128];
    rv_backtrace(t->cpu, read_guest, p, &trace);
    for (unsigned i = 0; i < trace.count; i++) {
        um_symbol(p->space, trace.from[i], true, name, sizeof name);
        fprintf(stderr, "godwit: note: timeout: pid %ld #%u %s%#llx %s\n", (long)t->tid, i + 1,
                i < trace.guessed ? "" : "perhaps ", (unsigned long long)trace.from[i], name);
    }
}

static void show_thread(struct um_proc *p, const struct um_proc *t)
{
    const struct rv_cpu *cpu = t->cpu;
    char name[128];
    uint64_t call = __atomic_load_n(&t->call, __ATOMIC_RELAXED);
    um_symbol(p->space, cpu->run.pc, false, name, sizeof name);
    fprintf(stderr, "godwit: note: timeout: pid %ld pc %#llx %s%sra %#llx sp %#llx\n", (long)t->tid,
            (unsigned long long)cpu->run.pc, name, name[0] ? " " : "",
            (unsigned long long)cpu->x[1], (unsigned long long)cpu->x[2]);
    if (t->restart.active)
        call = cpu->x[17] + 1;
    if (call) {
        const struct um_call *c = um_call_find(call - 1);
        fprintf(stderr, "godwit: note: timeout: pid %ld in system call %s\n", (long)t->tid,
                c ? c->name : "?");
    }
    show_calls(p, t);
}

/* Of the thread that ends the process. What others are doing is looked at while they do nothing else. */
static void timed_out(struct um_proc *p)
{
    if (p->borrows)
        _exit(124); /* as the parent is about to, when it goes on */
    um_engine_stop_all(p);
    um_lock(p);
    for (struct um_proc *t = p->group->threads; t; t = t->next)
        if (!t->ended && t->tid)
            show_thread(p, t);
    um_unlock(p);
    kill_children(getpid(), 0);
    um_end(p, &(struct um_result){.ending = UM_TIMEOUT});
}

void um_group_wait(struct um_proc *p)
{
    struct um_group *g = p->group;
    um_thread_release(p);
    um_signals_give_back(p);
    for (p->done = false; !p->done;) {
        um_host(p, UM_BLOCK, SYS_ppoll, 0, 0, 0, 0, 0, 0);
        __atomic_store_n(&p->cpu->run.attention, 0, __ATOMIC_SEQ_CST);
        if (__atomic_load_n(&g->ending, __ATOMIC_ACQUIRE))
            p->done = true;
        else if (__atomic_load_n(&g->timed_out, __ATOMIC_RELAXED))
            timed_out(p);
    }
}

/* --- run loop --------------------------------------------------------------------------------- */

static bool attention(struct um_proc *p)
{
    return __atomic_load_n(&p->cpu->run.attention, __ATOMIC_ACQUIRE);
}

static void attend(struct um_proc *p)
{
    struct um_group *g = p->group;
    __atomic_store_n(&p->cpu->run.attention, 0, __ATOMIC_RELEASE);
    if (__atomic_load_n(&g->ending, __ATOMIC_ACQUIRE) && !p->borrows) {
        p->done = true;
        return;
    }
    if ((p == g->main || p->borrows) && __atomic_load_n(&g->timed_out, __ATOMIC_RELAXED)) {
        timed_out(p);
        return;
    }
    um_signals_deliver(p);
}

enum gw_status um_run_loop(struct um_proc *p, struct gw_error *err)
{
    const struct um_config *cfg = p->cfg;
    while (!p->done) {
        uint64_t quantum = QUANTUM;
        if (cfg->stop_insn) {
            uint64_t retired = um_engine_retired(p);
            if (retired >= cfg->stop_insn) {
                um_end(p, &(struct um_result){.ending = UM_STOP_INSN});
                break;
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

struct rv_cpu *um_cpu_new(const struct um_proc *p, struct gw_error *err)
{
    const struct um_config *cfg = p->cfg;
    struct gw_cpu_config cc = {.model = cfg->cpu_model ? cfg->cpu_model : "rv64",
                               .options = cfg->cpu_options,
                               .user = true};
    struct rv_cpu *cpu = aligned_alloc(64, (p->isa->cpu_size + 63) & ~(size_t)63);
    if (!cpu) {
        gw_fail(err, GW_ERR_NOMEM, "", "out of memory");
        return NULL;
    }
    memset(cpu, 0, p->isa->cpu_size);
    if (p->isa->init(cpu, &cc, err)) {
        free(cpu);
        return NULL;
    }
    p->isa->reset(cpu);
    return cpu;
}

static enum gw_status start(struct um_proc *p, struct gw_error *err)
{
    const struct um_config *cfg = p->cfg;
    enum gw_status s = um_space_init(p->space, cfg->host_page, err);
    if (cfg->space_bytes && cfg->space_bytes < p->space->limit)
        p->space->limit = cfg->space_bytes & ~(p->space->host_page - 1);
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
        s = um_timeout_start(p, err);
    }
    return s;
}

/* Resident bytes of this process that are not the guest's own pages. */
static uint64_t overhead_bytes(const struct um_proc *p)
{
    enum { AT_ONCE = 4096 };
    const uint64_t page = (uint64_t)sysconf(_SC_PAGESIZE), space = p->space->base;
    uint64_t done = 0; /* guest regions may meet on a page of the host's */
    unsigned char in[AT_ONCE];
    unsigned long pages = 0, guest = 0;
    FILE *f = fopen("/proc/self/statm", "re");
    if (!f)
        return 0;
    if (fscanf(f, "%*u %lu", &pages) != 1)
        pages = 0;
    fclose(f);
    for (uint32_t i = 0; i < p->space->count; i++) {
        const struct um_region *r = &p->space->regions[i];
        uint64_t at = r->start & ~(page - 1), end = (r->end + page - 1) & ~(page - 1), size;
        for (at = at < done ? done : at; at < end; at += size) {
            size = end - at < AT_ONCE * page ? end - at : AT_ONCE * page;
            if (mincore((void *)(uintptr_t)(space + at), size, in))
                continue;
            for (uint64_t k = 0; k < size / page; k++)
                guest += in[k] & 1;
        }
        done = end;
    }
    return pages > guest ? (uint64_t)(pages - guest) * page : 0;
}

/* The handlers refer to p: no signal comes through any more. What is written last may be lost, too. Memory stays
 * while there are others who might look at it on their way to being held. */
static void free_all(struct um_proc *p, bool only, struct um_result *result)
{
    um_host_sigmask(UINT64_MAX, NULL);
    if (!only) {
        um_engine_end_dump(p);
        *result = p->result;
        return;
    }
    um_debug_stop(p);
    um_engine_stop(p);
    *result = p->result;
    um_space_free(p->space);
    free(p->exe);
    free(p->cpu);
    free(p->group->gone);
    free(p);
}

static struct um_proc *new_first(const struct um_config *cfg)
{
    struct first *f = calloc(1, sizeof *f);
    if (!f)
        return NULL;
    struct um_proc *p = &f->p;
    struct um_group *g = p->group = &f->group;
    p->cfg = cfg;
    p->space = &g->space;
    p->actions = &g->actions;
    p->tid = (uint32_t)gettid();
    g->main = g->threads = g->first = p;
    g->live = 1;
    pthread_mutex_init(&g->lock, NULL);
    pthread_cond_init(&g->started, NULL);
    p->result.child = cfg->in_child;
    p->start_ns = um_now_ns();
    p->isa = guest_by_name(&gw_guests, UM_ARCH);
    return p;
}

enum gw_status um_run(const struct um_config *cfg, um_finish_fn *finish, void *opaque,
                      struct um_result *result, struct gw_error *err)
{
    struct um_proc *p = new_first(cfg);
    if (!p)
        return gw_fail(err, GW_ERR_NOMEM, "", "out of memory");
    enum gw_status s = GW_OK;
    p->cpu = um_cpu_new(p, err);
    s = p->cpu ? start(p, err) : GW_ERR_NOMEM;
    if (!s)
        s = um_run_loop(p, err);
    if (p->ended) {
        um_host_sigmask(um_host_mask(UINT64_MAX), NULL);
        um_group_wait(p);
    }
    bool only = um_group_end(p);
    if (cfg->own_deaths) /* a report follows */
        p->result.overhead_bytes = overhead_bytes(p);
    if (!s && finish) {
        const void *counters;
        const struct counter_desc *desc = um_engine_counters(p, &counters);
        finish(opaque, desc, counters, &p->result);
    }
    free_all(p, only, result);
    return s;
}
