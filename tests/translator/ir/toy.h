/*
 * A made-up vCPU for tests of the IR and of what runs it: integer registers, the engine's part,
 * float registers; a window of guest memory; helpers; and the plainest possible way to run a block.
 */
#ifndef TESTS_IR_TOY_H
#define TESTS_IR_TOY_H

#include "godwit/guest_isa.h"
#include "godwit/host_backend.h"
#include "godwit/ir.h"

enum { TOY_X = 32, TOY_F = 32, TOY_WINDOW = 3 * 4096 };

struct toy_cpu {
    uint64_t x[TOY_X];
    struct gw_vcpu run;
    uint64_t f[TOY_F];
    uint32_t word[4]; /* narrow state */
    uint8_t byte[8];
};
_Static_assert(offsetof(struct toy_cpu, run) == GW_VCPU_OFFSET, "run follows the registers");

/* Guest memory: TOY_WINDOW bytes at this guest address. */
#define TOY_BASE UINT64_C(0x40000000)
/* toy_guest_base: what run.guest_base must be so that TOY_BASE is mem. */
static inline uint64_t toy_guest_base(const void *mem)
{
    return (uint64_t)(uintptr_t)mem - TOY_BASE;
}

static inline uint32_t toy_x(unsigned i)
{
    return (uint32_t)(offsetof(struct toy_cpu, x) + 8 * i);
}

static inline uint32_t toy_f(unsigned i)
{
    return (uint32_t)(offsetof(struct toy_cpu, f) + 8 * i);
}

/* mix(a, b, c): pure. bump(a, b): reads x[1], adds a to x[5] and x[6]. maybe_leave(a): when a & 7
 * is 5, sets run.leave to TRAP and run.pc past the instruction's pc by 0x1000. flag(a): ORs a & 31
 * into the fp flags. */
enum toy_helper { TOY_MIX, TOY_BUMP, TOY_MAYBE_LEAVE, TOY_FLAG, TOY_HELPER_COUNT };
extern const struct gw_helper toy_helpers[TOY_HELPER_COUNT];

/* How a block was left, with what the budget came to. */
struct toy_exit {
    enum gw_exit_kind kind;
    uint64_t pc;
    int64_t budget;
};

/* Runs one block, instruction by instruction, from the definitions alone. mem stands at TOY_BASE;
 * an access outside of it leaves with GW_EXIT_HELPER, run.leave TRAP and pc 0xfa017. */
struct toy_exit toy_run(struct toy_cpu *cpu, uint8_t *mem, const struct ir_block *b);

/* Slow paths that reach mem through run.engine, which points to it, by the same rules. */
uint32_t toy_slow_load(void *cpu, uint32_t desc);
uint32_t toy_slow_store(void *cpu, uint32_t desc);
uint32_t toy_slow_amo(void *cpu, uint32_t desc);
uint32_t toy_slow_zero(void *cpu, uint32_t desc);
#define TOY_FAULT_PC UINT64_C(0xfa017)

#endif
