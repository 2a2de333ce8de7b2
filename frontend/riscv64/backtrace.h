/*
 * Who called: the return addresses that a stopped RISC-V program or kernel has on its stack, for
 * people to read. Nothing is certain about them, since the guest may use its stack as it likes.
 */
#ifndef RV_BACKTRACE_H
#define RV_BACKTRACE_H

#include "frontend/riscv64/rv_cpu.h"

/* Reads size bytes (2 or 8) of guest memory, naturally aligned, at vaddr. code: they must be such as
 * may be executed. False: they are not there. */
typedef bool rv_read_fn(void *context, uint64_t vaddr, void *to, unsigned size, bool code);

enum { RV_BACKTRACE_MOST = 32 };

struct rv_backtrace {
    uint64_t from[RV_BACKTRACE_MOST]; /* return addresses, innermost first */
    unsigned count;
    unsigned guessed; /* those from this index on were found lying on the stack, and may be stale */
};

/* ra first, if it is a return address; then along frame pointers (RISC-V ELF psABI 1.0, "Frame
 * Pointer Convention"), or, where code keeps none, what on the stack looks like a return address. */
void rv_backtrace(const struct rv_cpu *cpu, rv_read_fn *read, void *context,
                  struct rv_backtrace *out);

#endif
