/* The driver: one block in, bytes and tables out; and the backend's export. */
#include "backend-aarch64/a64.h"
#include "backend-aarch64/a64_atomic.h"
#include "backend-aarch64/a64_branch.h"
#include "backend-aarch64/a64_call.h"
#include "backend-aarch64/a64_compare.h"
#include "backend-aarch64/a64_detect.h"
#include "backend-aarch64/a64_fp.h"
#include "backend-aarch64/a64_int.h"
#include "backend-aarch64/a64_mem.h"
#include "backend-aarch64/a64_page.h"
#include "backend-aarch64/a64_place.h"
#include "backend-aarch64/a64_runtime.h"

/* --- lowering ------------------------------------------------------------------------------------ */

/* The budget is state that IR may read and add to, and lives in a register. */
static bool lower_budget(struct a64 *x, const struct ir_insn *in)
{
    if (in->imm != A64_RUN(budget))
        return false;
    if (in->op == IR_GET) {
        a64_move(&x->e, a64_def(x), R_BUDGET);
    } else {
        a64_move(&x->e, R_BUDGET, a64_use(x, in->a));
        a64_done(x, in->a);
    }
    return true;
}

/* False: it is evaluated in C. */
static bool lowered(struct a64 *x, const struct ir_insn *in)
{
    switch (in->op) {
    case IR_NOP: return true;
    case IR_GET:
        if (!lower_budget(x, in))
            place_get(&x->p, in);
        return true;
    case IR_PUT:
        if (!lower_budget(x, in))
            place_put(&x->p, in);
        return true;
    case IR_SETCC:
    case IR_SELECT: return a64_lower_compare(x, in);
    case IR_LD:
    case IR_ST:
    case IR_ZERO:
    case IR_FENCE: return a64_lower_mem(x, in);
    case IR_AMO:
    case IR_CAS: return a64_lower_atomic(x, in);
    case IR_CALL: return a64_lower_call(x, in);
    case IR_BRCC:
    case IR_JMP:
    case IR_JMPR:
    case IR_LEAVE: return a64_lower_branch(x, in);
    case IR_FPGET:
    case IR_FPSET: a64_lower_flags(x, in); return true;
    case IR_FADD:
    case IR_FSUB:
    case IR_FMUL:
    case IR_FDIV:
    case IR_FSQRT:
    case IR_FMA:
    case IR_FMIN:
    case IR_FMAX:
    case IR_FSGNJ: return a64_lower_arith(x, in);
    case IR_FEQ:
    case IR_FLT:
    case IR_FLE:
    case IR_FCLASS: return a64_lower_fcmp(x, in);
    case IR_F2I:
    case IR_I2F:
    case IR_F2F:
    case IR_FRINT:
    case IR_FBITS:
    case IR_BITSF:
    case IR_UNBOX:
    case IR_BOX: return a64_lower_convert(x, in);
    default: return a64_lower_int(x, in);
    }
}

/* A result that nobody uses (a load into x0): its register is free again. */
static void drop_unused(struct a64 *x, const struct ir_insn *in)
{
    if (in->uses || ir_op_info[in->op].result == 'V' || in->op == IR_CALL || in->op == IR_CONST ||
        (in->op == IR_GET && in->imm != A64_RUN(budget)) || in->op == IR_NOP)
        return;
    place_drop(&x->p);
}

/* --- cold paths ---------------------------------------------------------------------------------- */

static void write_cold_paths(struct a64 *x)
{
    for (uint32_t k = 0; k < x->cold.count && !x->e.full; k++) {
        const struct cold_path *c = &x->cold.path[k];
        x->p.i = c->insn;
        switch (c->kind) {
        case COLD_ACCESS: a64_cold_access(x, c); break;
        case COLD_ATOMIC: a64_cold_atomic(x, c); break;
        case COLD_NAN:
        case COLD_ZERO:
        case COLD_EVAL:
        case COLD_TINY: a64_cold_fp(x, c); break;
        default: a64_cold_branch(x, c); break;
        }
    }
}

/* Those between which a64_page finds x30 as it was. */
static bool keeps_base(const struct ir_insn *in)
{
    return in->op <= IR_SELECT || in->op == IR_LD || in->op == IR_ST || in->op == IR_BRCC ||
           (in->op >= IR_FADD && in->op <= IR_BOX) || in->op == IR_NOP;
}

/* --- a block ------------------------------------------------------------------------------------- */

static void begin(struct a64 *x, struct gw_compile_job *job)
{
    const size_t cap = job->cap < GW_BLOCK_BYTES ? job->cap : GW_BLOCK_BYTES;
    x->e = (struct a64_buf){.start = job->out,
                            .p = job->out,
                            .end = job->out + cap,
                            .base = job->base,
                            .features = job->cfg->features};
    x->job = job;
    x->b = job->block;
    x->features = job->cfg->features;
    x->mem = job->cfg->mem;
    x->fp = job->block->fp_round != IR_FP_OFF;
    place_begin(&x->p, &(struct place_setup){.target = &a64_place_target,
                                             .code = x,
                                             .block = job->block,
                                             .pins = &a64_target(job->cfg)->pins,
                                             .scratch = A64_SCRATCH,
                                             .spill_at = A64_HOST(spill),
                                             .floats = x->fp,
                                             .full = &x->e.full});
    cold_begin(&x->cold, &x->e.full);
    a64_begin_pages(x);
    memset(x->waits, 0, job->block->count);
    job->row_count = job->link_count = 0;
}

static enum gw_status compile(struct gw_compile_job *job)
{
    struct a64 xs; /* large, not cleared: fields are set as they come into use */
    struct a64 *x = &xs;
    const struct ir_block *b = job->block;
    if (job->cap < 1024)
        return GW_ERR_LIMIT;
    begin(x, job);
    a64_enter_block(x);
    for (x->p.i = 0; x->p.i < b->count && !x->e.full; x->p.i++) {
        const struct ir_insn *in = &b->insn[x->p.i];
        if (!lowered(x, in)) {
            a64_lower_eval(x, in);
            x->based = IR_NONE;
        }
        if (!keeps_base(in))
            x->based = IR_NONE;
        place_unlock(&x->p);
        drop_unused(x, in);
    }
    job->host_insns = x->e.insns;
    if (x->entered)
        x->entered->insns = job->host_insns;
    job->hot_size = a64_pos(&x->e);
    write_cold_paths(x);
    job->size = a64_pos(&x->e);
    return x->e.full ? GW_ERR_LIMIT : GW_OK;
}

/* --- the FP unit --------------------------------------------------------------------------------- */

/* For every model, as only IR_FPM_RISCV's operations are inline. */
static uint32_t fp_control(unsigned round, unsigned model)
{
    return a64_fpcr(round);
}

/* No AArch64 processor that we know traps. */
static uint32_t fp_trap_control(uint32_t control, uint32_t fp_flags)
{
    return control;
}

static const struct host_feature features[] = {
#define A64_FEATURE(NAME, bit, text) {A64_F_##NAME, text},
#include "backend-aarch64/a64_features.inc"
#undef A64_FEATURE
};

const struct host_backend a64_backend = {
    .name = "aarch64",
    .native = a64_native,
    .detect = a64_detect,
    .feature = features,
    .feature_count = sizeof features / sizeof features[0],
    .prepare = a64_prepare,
    .emit_runtime = a64_emit_runtime,
    .compile = compile,
    .flush = a64_flush,
    .patch = a64_patch,
    .door = a64_door,
    .fp_control = fp_control,
    .fp_trap_control = fp_trap_control,
};
