/*
 * The engine runs one vCPU: it translates guest code (or interprets its IR), keeps what it derived
 * (code cache, page maps, jump caches) and drops it when the guest changes what it came from.
 *
 * One engine per vCPU; all calls on the vCPU thread, except that run.attention may be set by any
 * thread, and engine_host_fault runs in a signal handler of the vCPU thread. The vCPUs of a machine
 * share a world: one code cache, and a border at which any of them can be held. So do the threads of a
 * program, each of which is a vCPU.
 */
#ifndef TRANSLATOR_ENGINE_H
#define TRANSLATOR_ENGINE_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

#include "godwit/counter.h"
#include "godwit/guest_isa.h"
#include "godwit/host_backend.h"
#include "godwit/state.h"
#include "godwit/status.h"

struct engine;
struct engine_world;
struct gw_dirty;
struct interp_caller;

enum { ENGINE_MAX_VCPUS = 8, ENGINE_MAX_THREADS = 1 << 15 };

enum { ENGINE_DUMP_DECODE = 1, ENGINE_DUMP_IR = 2, ENGINE_DUMP_OPT = 4, ENGINE_DUMP_HOST = 8 };

/* Where --dump goes. host_disasm: text of one host instruction; NULL: bytes in hex. */
struct engine_dump {
    uint32_t what; /* ENGINE_DUMP_* */
    FILE *out;
    int error; /* errno: why some of it was lost */
    size_t (*host_disasm)(char *buf, size_t size, uint64_t pc, const uint8_t *bytes, size_t count,
                          unsigned *len);
};

/* Sees that all of it has arrived; closes out, if it is to. out NULL: there was none. Returns error. */
int engine_dump_end(struct engine_dump *d, bool close);

/* May FP exceptions trap, so that reading the FP flags is cheap? Asks for a handler of SIGFPE. */
enum engine_fp_traps {
    ENGINE_FP_NO_TRAPS,
    ENGINE_FP_TRAPS,       /* where the guest reads its flags much, and rarely raises new ones */
    ENGINE_FP_TRAPS_EAGER, /* all the time (tests) */
};

struct engine_config {
    const struct guest_isa *isa;
    const struct host_backend *backend; /* NULL: IR interpreter */
    enum gw_mem_mode mem;               /* FLAT falls back to TLB where it can't be had; user mode
                                           takes USER, or with `page` TLB */
    bool no_flat;                       /* as if the reservation had been refused */
    struct gw_bus *bus;                 /* NULL in user mode */
    void *cpu;                          /* initialised guest cpu struct; the caller owns it */
    struct engine_world *world;         /* NULL: one of its own */
    unsigned index;                     /* of the vCPU in the world; a program's get theirs there */
    uint64_t guest_base;                /* user mode: host address of guest address 0 */
    size_t code_cache_bytes;            /* 0: default, or what can be had; at least 64 KiB */
    size_t map_bytes;                   /* page maps' most; 0: by the guest's memory */
    unsigned max_guest_insns;           /* per block; 0: default */
    unsigned trace;                     /* not-taken branches in a block; see gw_lift_request */
    uint32_t quantum;                   /* most instructions between two looks at what may divert
                                           the vCPU; 0: default */
    bool no_fold;                       /* builder and liveness off (tests) */
    bool fixed_code;                    /* no block runs anywhere (tests) */
    bool moving_code;                   /* all of programs' do, from the first (tests) */
    uint32_t features_off;              /* backend features to leave unused */
    bool verify;                        /* check the IR after each pass; a fault in it aborts */
    bool time_translation;              /* count translate_ns */
    bool count_host; /* count host_insns_run, by slower code (tally.h); where vCPUs
                                           share code, about */
    const struct interp_caller *caller; /* how the interpreter calls helpers; NULL: directly */
    enum engine_fp_traps fp_traps;
    struct engine_dump *dump; /* NULL: none; outlives the engine */
    /* User mode: may [vaddr, vaddr + size) be executed? */
    bool (*fetch_ok)(void *opaque, uint64_t vaddr, uint64_t size);
    /* User mode whose pages are not the host's: what may be done to vaddr's page, bits 1 << GW_ACCESS_*.
     * Accesses go by a page map then. NULL: the host's protections are the guest's. */
    unsigned (*page)(void *opaque, uint64_t vaddr);
    /* User mode: does the system call, whose instruction is at run.pc, if that neither waits nor changes what
     * runs next; NULL: none is. */
    bool (*syscall)(void *opaque);
    void *opaque; /* of these three */
};

enum engine_stop {
    ENGINE_BUDGET,    /* max_insns retired (exact), or no room for the next block (not exact) */
    ENGINE_SYSCALL,   /* user mode: pc is the calling instruction's */
    ENGINE_HCALL,     /* call into built-in firmware: pc is the calling instruction's */
    ENGINE_FAULT,     /* user mode: run.fault and run.fault_pc; pc is the faulting instruction's */
    ENGINE_WAIT,      /* the vCPU waits for an interrupt */
    ENGINE_ATTENTION, /* run.attention was set; it is clear now */
    ENGINE_BREAK,     /* a breakpoint is at pc, whose instruction has not run */
    ENGINE_ASKED,     /* engine_ask() */
};

struct engine_stats {
    uint64_t retired_insns, translated_blocks, translated_insns, translate_ns, host_bytes,
        host_insns, host_insns_run, lookups, links, indirect_misses, slow_loads, slow_stores,
        map_fills, map_flushes, map_drops, map_leaves, code_flushes, stale_blocks, revived_blocks,
        exits, exits_link, exits_leave, exits_helper, exits_budget, exits_saved, refreshes,
        host_faults, interp_insns, fp_gathers, fp_trap_stays, fp_traps, lock_takes, lock_waits,
        world_stops;
};
extern const struct counter_desc engine_counters;

/* Before the engines of its vCPUs; freed after them. */
enum gw_status engine_world_new(struct engine_world **out, unsigned vcpus, struct gw_error *err);
void engine_world_free(struct engine_world *w);
/* Any thread that is not inside engine_run() and holds no lock that a vCPU may wait for: returns when
 * no vCPU runs guest code. None does until engine_world_resume(). */
void engine_world_stop(struct engine_world *w);
void engine_world_resume(struct engine_world *w);

enum gw_status engine_new(struct engine **out, const struct engine_config *cfg,
                          struct gw_error *err);
void engine_free(struct engine *e);

/* A program's first engine, which has a world of its own and is not in engine_run(), may be joined there by others:
 * that world is their engine_config.world, and ends with the last of them. All code goes, since it was made for
 * one thread. False: out of memory; it may go on alone. */
bool engine_share(struct engine *e);
/* Not in engine_run(), whatever became of who was there: a child with the same memory. */
void engine_recover(struct engine *e);
/* The same as engine_world_stop(), and nobody else is at anything that the vCPUs share, whatever thread he is:
 * for a fork. In the child engine_world_forked() stands in place of engine_world_let_go(): other threads' engines
 * are there, for nothing but engine_free(). */
void engine_world_hold(struct engine_world *w);
void engine_world_let_go(struct engine_world *w);
void engine_world_forked(struct engine_world *w);

/* Runs at most max_insns (exact: just that many unless something stops it; else it may stop a
 * block earlier). Traps and interrupts of the guest are handled inside. Waits while the world is
 * stopped. */
enum engine_stop engine_run(struct engine *e, uint64_t max_insns, bool exact);

/* The same for those who watch the guest. */
enum {
    /* The run before was stopped early: by a breakpoint, by engine_ask(), or since its max_insns were
     * part of what was to run. It goes on as if it had not been, and looks for nothing that it would
     * not have looked for then. */
    ENGINE_CONTINUE = 1,
    /* One instruction: ENGINE_BUDGET once it has retired, or a handler of the guest's was entered for
     * it. Exact. */
    ENGINE_SINGLE = 2,
};
enum engine_stop engine_run_on(struct engine *e, uint64_t max_insns, bool exact, unsigned how);
/* The next run goes past a breakpoint at pc, if that is what it runs first. */
void engine_pass(struct engine *e);
/* Any thread: has engine_run() come back before it looks at anything the next time. */
void engine_ask(struct engine *e);

/* Breakpoints: guest virtual addresses, of any address space, in front of whose instructions vCPUs
 * stop (bit n of vcpus: vCPU n). Code elsewhere runs as it did. With the world stopped, by the caller;
 * of a world with one vCPU, on its thread or while it is not in engine_run(). remove() returns those of
 * vcpus that did stop there. */
enum gw_status engine_break_add(struct engine_world *w, uint64_t pc, uint32_t vcpus,
                                struct gw_error *err);
uint32_t engine_break_remove(struct engine_world *w, uint64_t pc, uint32_t vcpus);
void engine_break_clear(struct engine_world *w);
struct engine_world *engine_world_of(const struct engine *e);
/* The world's log of written pages (dirty.h). NULL: a program's, or no vCPU was made yet. */
struct gw_dirty *engine_world_dirty(struct engine_world *w);

uint64_t engine_retired(const struct engine *e);
/* Of a struct gw_vcpu, while no engine runs it: its section is vcpu0 and so on. */
extern const struct state_desc engine_vcpu_state;
const struct engine_stats *engine_stats(struct engine *e);
void engine_stats_add(struct engine_stats *to, const struct engine_stats *from);
enum gw_mem_mode engine_mem_mode(const struct engine *e);
/* Size of the code cache, and what it should have been: less where address space is limited. */
size_t engine_code_cache_bytes(const struct engine *e, size_t *wanted);

/* What this process could have now, for those who ask before anything runs. */
struct engine_host {
    unsigned flat_maps;      /* of ENGINE_HOST_MAPS: address spaces with flat page maps at once */
    size_t code_cache_bytes; /* 0: no memory that is writable here and executable there */
};
enum { ENGINE_HOST_MAPS = 8 };
void engine_probe_host(struct engine_host *out);

/* User mode: guest code in [vaddr, vaddr+size) may have changed or gone. */
void engine_code_changed(struct engine *e, uint64_t vaddr, uint64_t size);
/* User mode by a page map: cfg.page may say otherwise of [vaddr, vaddr+size) now. */
void engine_pages_changed(struct engine *e, uint64_t vaddr, uint64_t size);
/* The whole guest state was replaced (load): drop what derives from it. */
void engine_reset_derived(struct engine *e);

/* From the handler of SIGSEGV and SIGBUS (with fp_traps of SIGFPE too) on the vCPU thread, with
 * sigaction's arguments: true when the fault was a guest's and execution goes on; false: it is not
 * ours. The signals must not be blocked while the engine runs. */
bool engine_host_fault(struct engine *e, int sig, void *siginfo, void *ucontext);

#endif
