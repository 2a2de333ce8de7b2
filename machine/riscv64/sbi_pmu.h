/*
 * The performance monitoring extension of the built-in SBI (RISC-V SBI 2.0, chapter 11), for CPUs
 * with Sscofpmf: cycle and instret, which always count, and the event counters. vCPU thread.
 */
#ifndef MACHINE_SBI_PMU_H
#define MACHINE_SBI_PMU_H

#include "frontend/riscv64/rv_cpu.h"

/* Function of the call, and a0 to a4: returns the error, with *value what goes with success. */
int64_t sbi_pmu_call(struct rv_cpu *cpu, uint64_t function, const uint64_t args[5],
                     uint64_t *value);

#endif
