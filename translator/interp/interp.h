/*
 * The IR interpreter: the portable engine, and the reference that generated code is compared with.
 *
 * A block of IR is compiled to an array of operations whose operands are addresses: of guest state,
 * of a value slot, or of a constant. So most GETs, PUTs and constants cost nothing, and an
 * operation has one form whatever its operands are. A compiled block therefore belongs to one vCPU
 * and one address; it is derived data and never saved.
 *
 * The interpreter uses no host floating point. Exits, budget and retired counts are as in
 * godwit/host_backend.h. Owned by the vCPU thread. Whoever runs blocks owns the memory they are in.
 */
#ifndef TRANSLATOR_INTERP_H
#define TRANSLATOR_INTERP_H

#include "godwit/guest_isa.h"
#include "godwit/host_backend.h"
#include "godwit/ir.h"

struct interp_op;

/* How helpers are called: directly, or through libffi. */
struct interp_caller {
    uint64_t (*call)(const struct interp_caller *self, const struct gw_helper *helper, void *cpu,
                     uint64_t a, uint64_t b, uint64_t c);
};

/* By a C call: call.c. */
extern const struct interp_caller interp_direct_caller;
/* By libffi: ffi.c, a module of its own. NULL: out of memory, or libffi refused. */
const struct interp_caller *interp_ffi_open(void);
void interp_ffi_close(const struct interp_caller *caller);

/* A direct branch out of a block. GW_EXIT_LINK leaves its address in run.exit_link; filling in next
 * chains it, clearing next unchains it. */
struct interp_link {
    struct interp_block *next; /* NULL: not linked */
    uint64_t target;           /* guest pc */
    const uint32_t *gen_cell; /* taken only while *gen_cell is gen: &run.gen_space or gen_global, */
    uint32_t gen;             /* for targets on another page; NULL: no guard */
};

struct interp_block {
    uint64_t pc;
    uint32_t guest_count;
    uint32_t op_count;
    uint32_t link_count;
    struct interp_link *links;
    const struct interp_op *ops;
    const int32_t *guest_offset; /* of each guest instruction, from pc */
};

/* One interpreter per vCPU. Set up by interp_init; fields are read-only outside. */
struct interp {
    void *cpu;
    const struct gw_helper *helpers;
    const struct gw_runtime *rt;
    const struct interp_caller *caller;
    enum gw_mem_mode mem;
    const struct interp_block *current; /* what runs, for interp_abandon */
    uint64_t value[IR_MAX_INSNS];       /* slots */
};

/* The interpreter and all it refers to outlive its blocks. rt: load, store and amo are used; when
 * they are called, run.pc is the instruction's address. A CAS reaches rt->amo as kind
 * INTERP_KIND_CAS with the new value in run.slow_value and the expected one in run.operand[0]; old
 * values come back in run.slow_value. */
enum { INTERP_KIND_CAS = IR_AMO_MAXU + 1 };
void interp_init(struct interp *it, void *cpu, enum gw_mem_mode mem,
                 const struct gw_helper *helpers, const struct gw_runtime *rt,
                 const struct interp_caller *caller);

/* Most bytes that the block can take when compiled. */
size_t interp_size_bound(const struct ir_block *b);
/* Compiles a verified block, after ir_liveness, into mem[0..cap), 8-byte aligned. *used gets the
 * bytes taken; GW_ERR_LIMIT when they don't fit. *out is within mem. */
enum gw_status interp_compile(struct interp *it, const struct ir_block *b, void *mem, size_t cap,
                              size_t *used, struct interp_block **out);

/* Runs blk, and what is chained to it, until an exit. Indirect branches look in run.jump_cache,
 * unless that is NULL: code is then a struct interp_block. */
enum gw_exit_kind interp_run(struct interp *it, struct interp_block *blk);
/* Where pc's entry is in run.jump_cache: the same for every engine. */
static inline uint32_t interp_jump_index(uint64_t pc)
{
    return (uint32_t)(pc >> 1) & ((1u << GW_JC_BITS) - 1);
}

/* User mode: what a host fault inside interp_run comes to, once its frame is gone (siglongjmp).
 * Restores the budget and sets run.pc to the faulting instruction; returns its index in the block.
 * The rest is as at GW_EXIT_HELPER. */
uint32_t interp_abandon(struct interp *it);

#endif
