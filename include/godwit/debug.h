/*
 * What may be asked of a guest that is watched: registers by name, memory, stops by address and by
 * count. machine/ implements it for the vCPUs of a machine, usermode/ for the threads of a program;
 * both are "units" here, numbered from 0. A protocol (gdb's) stands on this alone. docs/debug.md.
 *
 * The guest does not see it. A unit stops in front of an instruction, VM time stands still while the
 * target is stopped, and what is looked for between instructions (events, interrupts) is looked for
 * at the same ones, whatever stops there were: a run that can be repeated is the same run. What is
 * written changes the guest, of course, and a unit that is held lets the others go ahead.
 *
 * Stopped means all of it: no instruction of the guest's runs, and no device does anything, until
 * resume(). There is one client at a time. It may be told of a stop on any of the target's threads.
 *
 * Threads. Unless said otherwise a function may be called by any thread, but by one at a time, and not
 * by one that holds what a unit may wait for. "Stopped": only between stopped() and resume(), for which
 * stopped() itself may be used; also before the target runs for the first time.
 */
#ifndef GODWIT_DEBUG_H
#define GODWIT_DEBUG_H

#include <stdbool.h>
#include <stdint.h>

#include "godwit/guest_isa.h"
#include "godwit/status.h"

struct gw_debug;

enum { GW_DEBUG_UNITS_MAX = 32, GW_DEBUG_NAME_BYTES = 24 };

/* As a unit: of breakpoints, all of them; of memory, physical addresses. */
enum { GW_DEBUG_ALL = -1, GW_DEBUG_PHYSICAL = -1 };

enum gw_debug_why {
    GW_DEBUG_ASKED, /* stop() */
    GW_DEBUG_BREAK, /* the unit has come to a breakpoint; the instruction there has not run */
    GW_DEBUG_STEP,  /* the unit has done its step */
    GW_DEBUG_COUNT, /* the unit has retired as many instructions as it was to, or all have together */
};

struct gw_debug_stop {
    enum gw_debug_why why;
    unsigned unit;  /* whose stop it is; ASKED: any */
    uint64_t pc;    /* the unit's */
    uint64_t insns; /* retired by the unit */
};

enum gw_debug_state {
    GW_DEBUG_RUNS,
    GW_DEBUG_WAITS, /* for an interrupt */
    GW_DEBUG_OFF,   /* a vCPU that the guest has not started */
};

struct gw_debug_unit {
    char name[GW_DEBUG_NAME_BYTES]; /* "cpu0" */
    enum gw_debug_state state;
    uint64_t pc, insns; /* retired */
};

/* What a unit does when the target goes on. All zero but for until: it runs. */
struct gw_debug_plan {
    bool hold;      /* it stays where it is */
    bool step;      /* one instruction: it retires, or a handler of the guest's is entered for it */
    uint64_t until; /* stops exactly when the unit has retired this many; UINT64_MAX: never */
};

/* Who watches. */
struct gw_debug_client {
    /* The target has stopped. On one of its threads, which waits for resume() afterwards. */
    void (*stopped)(void *context, const struct gw_debug_stop *stop);
    /* The target has ended, and is not to be used any more. */
    void (*ended)(void *context);
    void *context;
};

struct gw_debug_ops {
    /* False: there is a client. The target runs on. */
    bool (*attach)(struct gw_debug *d, const struct gw_debug_client *client);
    /* Breakpoints go, and the target runs on. */
    void (*detach)(struct gw_debug *d);

    /* Asks the target to stop soon: stopped() tells when it has, unless it stops for another reason
     * first. At any time, by several threads. A unit in a system call of the host's stops when that has
     * ended. */
    void (*stop)(struct gw_debug *d);
    /* Stopped. plan: one for each unit; NULL: all run. The breakpoint at which the last stop was found is
     * not met again before its instruction has run, or a handler of the guest's been entered. until: stops when all units together have retired this
     * many (UINT64_MAX: never); GW_ERR_UNSUPPORTED where they do not take turns, so that there is no such
     * moment, and the target stays stopped. */
    enum gw_status (*resume)(struct gw_debug *d, const struct gw_debug_plan *plan, uint64_t until,
                             struct gw_error *err);

    /* A guest virtual address, of any address space. In effect when it returns, also if the target runs. A
     * breakpoint that is there is fine; any number may be. */
    enum gw_status (*break_add)(struct gw_debug *d, int unit, uint64_t pc, struct gw_error *err);
    /* GW_ERR_NOTFOUND: the unit had none there. A stop by it that nobody was told of is none. */
    enum gw_status (*break_remove)(struct gw_debug *d, int unit, uint64_t pc, struct gw_error *err);

    /* How many there are, and what each is. False: no such unit. Stopped: exact; else of a moment ago. */
    unsigned (*units)(struct gw_debug *d);
    bool (*unit)(struct gw_debug *d, unsigned unit, struct gw_debug_unit *out);

    /* Stopped. Register `reg` of the target's table: its size in bytes, least significant first. False: no
     * such register, or the unit does not have it; reg_set: also a value that it can't hold. */
    bool (*reg_get)(struct gw_debug *d, unsigned unit, unsigned reg, uint8_t *bytes);
    bool (*reg_set)(struct gw_debug *d, unsigned unit, unsigned reg, const uint8_t *bytes);

    /* Stopped. Memory as the unit's code sees it, or physical memory. Bytes that were read or written: fewer
     * where the address space ends, or what is there is no memory (devices are not touched). Who may
     * access it is not asked, no accessed or dirty bit is set, and code that is written over is
     * translated anew. */
    uint64_t (*read)(struct gw_debug *d, int unit, uint64_t addr, void *to, uint64_t size);
    uint64_t (*write)(struct gw_debug *d, int unit, uint64_t addr, const void *from, uint64_t size);
};

struct gw_debug {
    const struct gw_debug_ops *ops;
    const struct guest_isa *isa;
    const struct gw_reg *regs; /* reg_count: the same for each unit, in this order for good */
    unsigned reg_count;
};

#endif
