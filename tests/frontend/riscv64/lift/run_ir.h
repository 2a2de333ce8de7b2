/*
 * Runs one IR block on a plain vCPU struct and a small memory: as little engine as lift tests need.
 * Pure operations are ir_eval's; helpers are not called but written down.
 */
#ifndef TESTS_LIFT_RUN_IR_H
#define TESTS_LIFT_RUN_IR_H

#include "frontend/riscv64/rv_cpu.h"
#include "godwit/little.h"

enum { RUN_MEM_BYTES = 256, RUN_MAX_CALLS = 4 };
#define RUN_MEM_BASE UINT64_C(0x10000)

enum run_exit { RUN_JUMPED, RUN_LEFT, RUN_FAULTED, RUN_HELPER_LEFT };

struct run_call {
    uint64_t helper, a, b, c;
};

struct run {
    struct rv_cpu *cpu;
    uint8_t mem[RUN_MEM_BYTES]; /* at guest address RUN_MEM_BASE */
    uint64_t helper_result;
    int leave_at; /* number of the helper call that leaves the block; -1: none does */
    /* results */
    enum run_exit exit;
    uint64_t pc; /* where execution goes on */
    uint32_t fp_flags;
    uint64_t fault_addr;
    unsigned puts; /* state writes that were made */
    unsigned calls;
    struct run_call call[RUN_MAX_CALLS];
};

void run_block(struct run *r, const struct ir_block *b);

static inline uint64_t run_get(const struct run *r, uint64_t addr)
{
    return gw_little(r->mem + (addr - RUN_MEM_BASE), 8);
}

static inline void run_put(struct run *r, uint64_t addr, uint64_t v)
{
    gw_put_little(r->mem + (addr - RUN_MEM_BASE), v, 8);
}

#endif
