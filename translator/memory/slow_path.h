/*
 * Guest memory accesses that generated code does not do itself: page-map misses, page crossers,
 * MMIO, stores to code, faults. Generated code comes here through a thunk with all guest registers in
 * state; a fault is left in run.fault for the run loop, which knows the instruction. The vCPU's thread,
 * inside. Arguments and results: struct gw_runtime.
 */
#ifndef TRANSLATOR_MEMORY_SLOW_PATH_H
#define TRANSLATOR_MEMORY_SLOW_PATH_H

#include <stdbool.h>
#include <stdint.h>

uint32_t slow_load(void *cpu, uint32_t desc);
uint32_t slow_store(void *cpu, uint32_t desc);
uint32_t slow_amo(void *cpu, uint32_t desc);
uint32_t slow_zero(void *cpu, uint32_t desc);

/* See gw_hooks. */
bool begin_store_hook(void *cpu, uint64_t paddr, unsigned size);
void end_store_hook(void *cpu);

#endif
