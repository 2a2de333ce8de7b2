/* The driver: one block in, bytes and tables out; and the backend's export. */
#include "backend-x86_64/x64.h"
#include "backend-x86_64/x64_branch.h"
#include "backend-x86_64/x64_call.h"
#include "backend-x86_64/x64_compare.h"
#include "backend-x86_64/x64_detect.h"
#include "backend-x86_64/x64_fp.h"
#include "backend-x86_64/x64_int.h"
#include "backend-x86_64/x64_mem.h"
#include "backend-x86_64/x64_place.h"
#include "backend-x86_64/x64_runtime.h"

/* --- lowering ------------------------------------------------------------------------------------ */

/* May NaNs wait beyond it? Whatever can't leave the block or show a float. */
static bool hides_nans(const struct x64 *x, const struct ir_insn *in)
{
    if (ir_is_arith(in->op))
        return x64_rounds(x, in);
    return in->op <= IR_SELECT;
}

/* Who lowers what, beside NOP, GET and PUT. False, or nobody: it is evaluated in C. */
static bool (*const lowering[IR_OP_COUNT])(struct x64 *x, const struct ir_insn *in) = {
    [IR_CONST] = x64_lower_int,      [IR_ADD] = x64_lower_int,
    [IR_SUB] = x64_lower_int,        [IR_AND] = x64_lower_int,
    [IR_OR] = x64_lower_int,         [IR_XOR] = x64_lower_int,
    [IR_ANDN] = x64_lower_int,       [IR_SHL] = x64_lower_int,
    [IR_SHR] = x64_lower_int,        [IR_SAR] = x64_lower_int,
    [IR_ROTL] = x64_lower_int,       [IR_ROTR] = x64_lower_int,
    [IR_SEXT8] = x64_lower_int,      [IR_SEXT16] = x64_lower_int,
    [IR_SEXT32] = x64_lower_int,     [IR_ZEXT8] = x64_lower_int,
    [IR_ZEXT16] = x64_lower_int,     [IR_ZEXT32] = x64_lower_int,
    [IR_CLZ] = x64_lower_int,        [IR_CTZ] = x64_lower_int,
    [IR_POPCNT] = x64_lower_int,     [IR_BSWAP] = x64_lower_int,
    [IR_BYTEMASK] = x64_lower_int,   [IR_MUL] = x64_lower_mul,
    [IR_MULHU] = x64_lower_mul,      [IR_MULHS] = x64_lower_mul,
    [IR_MULHSU] = x64_lower_mul,     [IR_CLMUL] = x64_lower_mul,
    [IR_CLMULH] = x64_lower_mul,     [IR_DIVU] = x64_lower_mul,
    [IR_DIVS] = x64_lower_mul,       [IR_REMU] = x64_lower_mul,
    [IR_REMS] = x64_lower_mul,       [IR_SETCC] = x64_lower_compare,
    [IR_SELECT] = x64_lower_compare, [IR_LD] = x64_lower_mem,
    [IR_ST] = x64_lower_mem,         [IR_ZERO] = x64_lower_mem,
    [IR_FENCE] = x64_lower_mem,      [IR_AMO] = x64_lower_atomic,
    [IR_CAS] = x64_lower_atomic,     [IR_CALL] = x64_lower_call,
    [IR_BRCC] = x64_lower_branch,    [IR_JMP] = x64_lower_branch,
    [IR_JMPR] = x64_lower_branch,    [IR_LEAVE] = x64_lower_branch,
    [IR_FADD] = x64_lower_arith,     [IR_FSUB] = x64_lower_arith,
    [IR_FMUL] = x64_lower_arith,     [IR_FDIV] = x64_lower_arith,
    [IR_FSQRT] = x64_lower_arith,    [IR_FMA] = x64_lower_arith,
    [IR_FMIN] = x64_lower_arith,     [IR_FMAX] = x64_lower_arith,
    [IR_FSGNJ] = x64_lower_arith,    [IR_FEQ] = x64_lower_fcmp,
    [IR_FLT] = x64_lower_fcmp,       [IR_FLE] = x64_lower_fcmp,
    [IR_F2I] = x64_lower_convert,    [IR_I2F] = x64_lower_convert,
    [IR_F2F] = x64_lower_convert,    [IR_FRINT] = x64_lower_convert,
    [IR_FCLASS] = x64_lower_convert, [IR_FBITS] = x64_lower_convert,
    [IR_BITSF] = x64_lower_convert,  [IR_UNBOX] = x64_lower_convert,
    [IR_BOX] = x64_lower_convert,    [IR_FPGET] = x64_lower_flags,
    [IR_FPSET] = x64_lower_flags,
};

static void lower(struct x64 *x, const struct ir_insn *in)
{
    if (x->p.nans.pending && !hides_nans(x, in))
        nans_flush(&x->p.nans);
    switch (in->op) {
    case IR_GET: place_get(&x->p, in); return;
    case IR_PUT: place_put(&x->p, in); return;
    default: break;
    }
    if (!lowering[in->op] || !lowering[in->op](x, in))
        x64_lower_eval(x, in);
}

/* A result that nobody uses (a load into x0): its register is free again. */
static void drop_unused(struct x64 *x, const struct ir_insn *in)
{
    if (ir_op_info[in->op].result == 'V' || in->op == IR_CALL || in->op == IR_CONST ||
        in->op == IR_GET)
        return;
    place_drop(&x->p);
}

/* --- cold paths ---------------------------------------------------------------------------------- */

static void (*const cold_path[COLD_KINDS])(struct x64 *x, const struct cold_path *c) = {
    [COLD_BUDGET] = x64_cold_branch, [COLD_EXIT] = x64_cold_branch,
    [COLD_GUARD] = x64_cold_branch,  [COLD_REFUND] = x64_cold_branch,
    [COLD_MISS] = x64_cold_branch,   [COLD_ACCESS] = x64_cold_access,
    [COLD_ATOMIC] = x64_cold_atomic, [COLD_NANS] = x64_cold_nans,
    [COLD_NAN] = x64_cold_fp,        [COLD_ZERO] = x64_cold_fp,
    [COLD_EVAL] = x64_cold_fp,       [COLD_MINMAX] = x64_cold_fp,
    [COLD_HALF] = x64_cold_convert,  [COLD_DIVIDE] = x64_cold_divide,
    [COLD_FPGET] = x64_cold_flags,   [COLD_FPSET] = x64_cold_flags,
    [COLD_ROUND] = x64_cold_round,   [COLD_LOCKED] = x64_cold_locked,
};

static void write_cold_paths(struct x64 *x)
{
    for (uint32_t k = 0; k < x->cold.count && !x->e.full; k++) {
        const struct cold_path *c = &x->cold.path[k];
        x->p.i = c->insn;
        cold_path[c->kind](x, c);
    }
}

/* --- a block ------------------------------------------------------------------------------------- */

static void begin(struct x64 *x, struct gw_compile_job *job)
{
    const struct x64_target *t = x64_target(job->cfg);
    x->e = (struct x64_buf){.start = job->out,
                            .p = job->out,
                            .end = job->out + job->cap - 64,
                            .base = job->base,
                            .features = job->cfg->features};
    x->job = job;
    x->b = job->block;
    x->features = job->cfg->features;
    x->mem = job->cfg->mem;
    x->fp = job->block->fp_round != IR_FP_OFF;
    x->budget = t->budget;
    x->scaled = IR_NONE;
    place_begin(&x->p, &(struct place_setup){.target = &x64_place_target,
                                             .nans_test = x64_test_nans,
                                             .code = x,
                                             .block = job->block,
                                             .pins = &t->pins,
                                             .scratch = X64_SCRATCH,
                                             .spill_at = X64_HOST_OFFSET(spill),
                                             .floats = x->fp,
                                             .full = &x->e.full});
    cold_begin(&x->cold, &x->e.full);
    sites_find(&x->sites, job->block, x->mem == GW_MEM_FLAT);
    job->row_count = job->link_count = 0;
}

static enum gw_status compile(struct gw_compile_job *job)
{
    struct x64 xs; /* large, not cleared: fields are set as they come into use */
    struct x64 *x = &xs;
    const struct ir_block *b = job->block;
    if (job->cap < 1024)
        return GW_ERR_LIMIT;
    begin(x, job);
    x64_enter_block(x);
    for (uint32_t i = 0, count = b->count; i < count && !x->e.full; i++) {
        const struct ir_insn *in = &b->insn[i];
        if (in->op == IR_NOP) /* about half of them */
            continue;
        x->p.i = i;
        lower(x, in);
        place_unlock(&x->p);
        if (!in->uses)
            drop_unused(x, in);
    }
    job->host_insns = x->e.insns;
    job->hot_size = x64_pos(&x->e);
    if (x->entered)
        x->entered->insns = job->host_insns;
    write_cold_paths(x);
    job->size = x64_pos(&x->e);
    return x->e.full ? GW_ERR_LIMIT : GW_OK;
}

/* --- the FP unit --------------------------------------------------------------------------------- */

/* MXCSR: masks of exceptions, and where the rounding mode is. */
enum { MXCSR_MASKED = 0x1f80, MXCSR_RC_SHIFT = 13 };

/* Flush-to-zero and denormals-are-zero off, every exception masked, no flag raised; for every model,
 * as only IR_FPM_RISCV's operations are inline. */
static uint32_t fp_control(unsigned round, unsigned model)
{
    static const uint8_t rc[] = {[IR_RNE] = 0, [IR_RTZ] = 3, [IR_RDN] = 1, [IR_RUP] = 2};
    return MXCSR_MASKED | (uint32_t)(round <= IR_RUP ? rc[round] : 0) << MXCSR_RC_SHIFT;
}

/* Denormal operands raise nothing in the IR: their exception stays masked. */
static uint32_t fp_trap_control(uint32_t control, uint32_t fp_flags)
{
    static const struct {
        uint8_t flag, mask;
    } bits[] = {{IR_FP_NV, 7}, {IR_FP_DZ, 9}, {IR_FP_OF, 10}, {IR_FP_UF, 11}, {IR_FP_NX, 12}};
    for (unsigned k = 0; k < sizeof bits / sizeof bits[0]; k++)
        if (!(fp_flags & bits[k].flag))
            control &= ~(1u << bits[k].mask);
    return control;
}

static const struct host_feature features[] = {
#define X64_FEATURE(NAME, bit, text) {X64_F_##NAME, text},
#include "backend-x86_64/x64_features.inc"
#undef X64_FEATURE
};

const struct host_backend x64_backend = {
    .name = "x86_64",
    .native = x64_native,
    .detect = x64_detect,
    .feature = features,
    .feature_count = sizeof features / sizeof features[0],
    .prepare = x64_prepare,
    .emit_runtime = x64_emit_runtime,
    .compile = compile,
    .patch = x64_patch,
    .door = x64_door,
    .fp_control = fp_control,
    .fp_trap_control = fp_trap_control,
};
