/* A block while it is compiled, and what all lowering needs of it. */
#ifndef A64_BLOCK_H
#define A64_BLOCK_H

#include "godwit/host_backend.h"
#include "backend-aarch64/a64_layout.h"
#include "backend-common/cold.h"
#include "backend-common/exits.h"
#include "backend-common/place.h"
#include "backend-common/sites.h"

/* Cold paths keep every register except the result. */
struct a64 {
    struct a64_buf e;
    struct gw_compile_job *job;
    const struct ir_block *b;
    uint32_t features;
    enum gw_mem_mode mem;
    unsigned fp;    /* variant: block may touch FP */
    struct place p; /* p.i: the IR instruction being lowered */
    struct cold_list cold;
    struct sites sites;
    bool waits[IR_MAX_INSNS]; /* a64_fuse.h */
    struct gw_tally *entered; /* tally.h */
    /* USER: values that were looked at, of those that others are near; x30 = run.guest_base + based + based_disp,
     * where based is a root (sites.h) */
    ir_val near[IR_MAX_INSNS];
    ir_val inside[8], based; /* IR_NONE: x30 is nothing */
    unsigned inside_count;
    int32_t based_disp;
};

static inline int a64_use(struct a64 *x, ir_val v)
{
    return place_use(&x->p, v);
}
static inline void a64_done(struct a64 *x, ir_val v)
{
    place_done(&x->p, v);
}
static inline int a64_def(struct a64 *x)
{
    return place_def(&x->p, REG_INT, 0);
}
static inline uint64_t a64_thunk(const struct a64 *x, unsigned t)
{
    return x->job->runtime_base + x->job->ep->table[x->fp][t];
}
static inline struct cold_path *a64_cold(struct a64 *x, enum cold_kind kind)
{
    return cold_add(&x->cold, kind, x->p.i);
}
/* The opcode as the instruction's type wants it. */
static inline uint32_t a64_typed(const struct ir_insn *in, uint32_t op)
{
    return in->type == IR_W32 ? a64_w(op) : op;
}

/* Eight or four bytes of state. */
void a64_load(struct a64_buf *e, int reg, uint32_t offset);
void a64_store(struct a64_buf *e, int reg, uint32_t offset);

/* The value in a register, 0 as the zero register. */
int a64_use_or_zero(struct a64 *x, ir_val v);
/* d = a + imm, by x17 if it is wide. */
void a64_add_constant(struct a64_buf *e, int d, int a, int64_t imm);
void a64_move(struct a64_buf *e, int d, int a);

/* All its branches lead here; the way back. */
void a64_cold_here(struct a64 *x, const struct cold_path *c);
void a64_cold_back(struct a64 *x, const struct cold_path *c);
/* A row of the instruction being lowered; its index. */
uint32_t a64_row(struct a64 *x, enum gw_row_kind kind);

void a64_set_pc(struct a64 *x, uint64_t pc); /* run.pc = pc; by x16, x17; keeps flags */
/* Adds one to it, or nothing if it is NULL, by x16 and x17; keeps flags, and is not counted itself. */
void a64_tally(struct a64 *x, struct gw_tally *t);

#endif
