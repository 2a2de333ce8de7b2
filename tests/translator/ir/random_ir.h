/*
 * Random blocks for the toy vCPU: well-formed by construction, deterministic in the seed. The
 * choices never depend on what the builder folded, so one seed gives the same program with and
 * without.
 */
#ifndef TESTS_IR_RANDOM_IR_H
#define TESTS_IR_RANDOM_IR_H

#include "tests/translator/ir/toy.h"

struct random_ir {
    uint64_t seed;
    uint32_t guest_insns; /* most; up to IR_MAX_GUEST */
    bool floats, memory, branches, calls;
    bool split_floats; /* no register holds both widths, as hot ones do not: singles above f15 */
    uint8_t fp_model;  /* IR_FPM_* */
    bool faults;       /* some addresses outside the window, some misaligned atomics */
};

uint64_t random_u64(uint64_t *state);
/* A value that is often a corner of some width. */
uint64_t random_value(uint64_t *state);
/* A float's bit pattern, often special. */
uint64_t random_float(uint64_t *state, enum ir_type type);

/* RISC-V's model mostly, else one of other instruction sets. */
uint8_t random_fp_model(uint64_t seed);
/* Begins b (whose settings, no_fold and helpers, are kept) and fills it, end included. */
void random_ir_block(struct ir_block *b, const struct random_ir *want);
/* Registers that suit such a block: x[8] is the address of the window's middle. */
void random_ir_state(struct toy_cpu *cpu, uint64_t seed);
/* And the window: TOY_WINDOW bytes. */
void random_ir_memory(uint8_t *memory, uint64_t seed);

#endif
