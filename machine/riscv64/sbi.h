/*
 * The built-in supervisor binary interface (RISC-V SBI 2.0): base, time, IPI, remote fences, hart
 * state, system reset, debug console, performance counters, and the legacy calls.
 *
 * sbi_call() and sbi_look() run on the thread of the hart that they are given, under the device lock.
 */
#ifndef MACHINE_SBI_H
#define MACHINE_SBI_H

#include "godwit/device.h"
#include "godwit/state.h"
#include "devices/riscv/harts.h"
#include "frontend/riscv64/rv_cpu.h"
#include "devices/serial.h"

/* Chapter 9; the numbers are those of the specification. */
enum sbi_hart_state {
    SBI_HART_STARTED,
    SBI_HART_STOPPED,
    SBI_HART_START_PENDING,
    SBI_HART_STOP_PENDING, /* never seen: a hart stops itself at once */
    SBI_HART_SUSPENDED,
    SBI_HART_SUSPEND_PENDING, /* never seen, likewise */
    SBI_HART_RESUME_PENDING,
    SBI_HART_STATES
};

struct sbi_hart {
    struct rv_cpu *cpu;
    struct gw_timer timer; /* at timer_ns */
    /* State. */
    uint8_t state; /* enum sbi_hart_state */
    /* START_PENDING, and SUSPENDED with at not 0: where it goes on, with opaque in a1 */
    uint64_t at, opaque;
    uint64_t timer_ns; /* VM time, without Sstc; UINT64_MAX: not armed */
};
/* Of a hart; its section is sbi0 and so on. */
extern const struct state_desc sbi_hart_table;

struct sbi {
    unsigned harts;
    struct sbi_hart hart[DEV_MAX_HARTS];
    bool asked; /* a call asked another hart for something; cleared by whoever looks at it */
    struct gw_events *events;
    struct gw_dma dma;
    const struct dev_serial *console;
    /* enum dev_power_request, as the test device makes them */
    void (*power)(void *context, int request, unsigned code);
    void *context;
};

/* The other members, and of each hart its cpu, are set by the caller. */
void sbi_init(struct sbi *s);
/* With the machine: hart 0 is started, the others are stopped. */
void sbi_reset(struct sbi *s);
/* Serves the ECALL at run.pc of the hart, and steps over it. Returns the harts, a bit each, whose
 * RV_REMOTE_FENCES are to be done before the hart goes on. */
uint32_t sbi_call(struct sbi *s, unsigned hart);
/* Before the hart runs: may it? Starts and resumes it when it is time. */
bool sbi_look(struct sbi *s, unsigned hart);

#endif
