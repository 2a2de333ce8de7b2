/*
 * The privileged side of the RV64 vCPU, as isa.c exports it to the engine: csr.c, trap.c and mmu.c
 * define these. The meaning of each is that of the member of struct guest_isa with its name.
 * All are called by the vCPU's own thread.
 */
#ifndef RV_PRIV_H
#define RV_PRIV_H

#include "rv_cpu.h"

extern const struct state_desc rv_state_desc;

enum gw_status rv_init(void *cpu, const struct gw_cpu_config *cfg, struct gw_error *err);
void rv_reset(void *cpu);

void rv_raise(void *cpu, const struct gw_fault *fault);
bool rv_interrupt(void *cpu);
bool rv_waiting(void *cpu);
uint64_t rv_deadline(void *cpu);
void rv_bus_fault(void *cpu, uint64_t vaddr, enum gw_access access, struct gw_fault *fault);
void rv_misaligned(void *cpu, uint64_t vaddr, enum gw_access access, struct gw_fault *fault);

/* The functions behind rv_helpers.inc. */
#define RV_HELPER(NAME, fn, args, flags) uint64_t fn(void *cpu, uint64_t a, uint64_t b, uint64_t c);
#include "rv_helpers.inc"
#undef RV_HELPER

#endif
