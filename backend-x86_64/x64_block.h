/* A block while it is compiled, and what all lowering needs of it. */
#ifndef X64_BLOCK_H
#define X64_BLOCK_H

#include "godwit/host_backend.h"
#include "backend-common/cold.h"
#include "backend-common/exits.h"
#include "backend-common/place.h"
#include "backend-common/sites.h"
#include "backend-x86_64/x64_emit.h"
#include "backend-x86_64/x64_layout.h"

/* Cold paths keep every register except the result. */
struct x64 {
    struct x64_buf e;
    struct gw_compile_job *job;
    const struct ir_block *b;
    uint32_t features;
    enum gw_mem_mode mem;
    unsigned fp;    /* variant: block may touch FP */
    int8_t budget;  /* x64_target.budget */
    ir_val scaled;  /* a shift that the addition to come does besides, or IR_NONE */
    struct place p; /* p.i: the IR instruction being lowered */
    struct sites sites;
    struct cold_list cold;
    struct gw_tally *entered; /* tally.h */
};

/* --- where values are: place.h, in short --------------------------------------------------------- */

static inline int x64_use(struct x64 *x, ir_val v)
{
    return place_use(&x->p, v);
}
static inline void x64_done(struct x64 *x, ir_val v)
{
    place_done(&x->p, v);
}
static inline int x64_def(struct x64 *x, reg_set avoid)
{
    return place_def(&x->p, REG_INT, avoid);
}
static inline int x64_deff(struct x64 *x, reg_set avoid)
{
    return place_def(&x->p, REG_VEC, avoid);
}
static inline int x64_temp(struct x64 *x)
{
    return place_temp(&x->p, REG_INT);
}
static inline int x64_tempf(struct x64 *x)
{
    return place_temp(&x->p, REG_VEC);
}
static inline struct place_operand x64_operand(struct x64 *x, ir_val v)
{
    return place_operand(&x->p, v);
}
/* A register, or memory; or any register. */
struct place_operand x64_no_const(struct x64 *x, ir_val v, struct place_operand o);
struct place_operand x64_no_memory(struct x64 *x, ir_val v, struct place_operand o);

/* --- instructions on operands -------------------------------------------------------------------- */

/* op d, operand: op is one of group 1, or any "reg, r/m" where the operand is no constant. */
void x64_alu(struct x64 *x, unsigned op, int d, const struct place_operand *o);
void x64_load_operand(struct x64 *x, int d, const struct place_operand *o);

/* --- the block ------------------------------------------------------------------------------------ */

static inline struct x64_mem x64_k(const struct x64 *x, unsigned k)
{
    return x64_at(X64_RIP, (int64_t)(x->job->runtime_base + k));
}
static inline uint64_t x64_thunk(const struct x64 *x, unsigned t)
{
    return x->job->runtime_base + x->job->ep->table[x->fp][t];
}
static inline struct cold_path *x64_cold(struct x64 *x, enum cold_kind kind)
{
    return cold_add(&x->cold, kind, x->p.i);
}
/* All its branches lead here; the way back. */
void x64_cold_here(struct x64 *x, const struct cold_path *c);
void x64_cold_back(struct x64 *x, const struct cold_path *c);
/* A row of the instruction being lowered; its index. */
uint32_t x64_row(struct x64 *x, enum gw_row_kind kind);

void x64_budget(struct x64 *x, unsigned ext, int32_t insns); /* ext: EXT_ADD, EXT_SUB */
void x64_set_pc(struct x64 *x, uint64_t pc);                 /* run.pc = pc; may clobber rax */
/* Adds one to it, or nothing if it is NULL. Clobbers rax and flags, and is not counted itself. */
void x64_tally(struct x64 *x, struct gw_tally *t);

#endif
