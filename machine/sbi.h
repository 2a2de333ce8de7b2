/*
 * The built-in supervisor binary interface (RISC-V SBI 2.0): base, time, IPI, remote fences, hart
 * state (one hart), system reset, debug console, performance counters, and the legacy calls. vCPU
 * thread.
 */
#ifndef MACHINE_SBI_H
#define MACHINE_SBI_H

#include "godwit/device.h"
#include "rv_cpu.h"
#include "serial.h"

struct sbi {
    struct rv_cpu *cpu;
    struct gw_events *events;
    struct gw_dma dma;
    const struct dev_serial *console;
    /* enum dev_power_request, as the test device makes them */
    void (*power)(void *context, int request, unsigned code);
    void *context;
    struct gw_timer timer; /* without Sstc */
};

/* The members above `timer` are set by the caller. */
void sbi_init(struct sbi *s);
void sbi_reset(struct sbi *s);
/* Serves the ECALL at run.pc, and steps over it. */
void sbi_call(struct sbi *s);

#endif
