/* The driver: one block in, bytes and tables out; and the backend's export. */
#include "backend-x86_64/x64.h"

struct x64_cold *x64_cold(struct x64 *x, enum x64_cold_kind kind)
{
    if (x->cold_count >= sizeof x->cold / sizeof x->cold[0]) {
        x->e.full = true;
        x->cold_count = 0;
    }
    struct x64_cold *c = &x->cold[x->cold_count++];
    memset(c, 0, offsetof(struct x64_cold, opnd)); /* operands are set by those that have them */
    c->kind = (uint8_t)kind;
    c->insn = (uint16_t)x->i;
    return c;
}

uint32_t x64_add_row(struct x64 *x, enum gw_row_kind kind, uint32_t pos)
{
    struct gw_compile_job *j = x->job;
    if (j->row_count >= IR_MAX_INSNS) {
        x->e.full = true;
        return 0;
    }
    j->rows[j->row_count] = (struct gw_row){
        .host_offset = pos, .guest = x->b->insn[x->i].guest, .kind = (uint16_t)kind};
    return j->row_count++;
}

uint64_t x64_thunk(const struct x64 *x, unsigned t)
{
    return x->job->runtime_base + x->job->ep->table[x->fp][t];
}

/* May NaNs wait beyond it? Whatever can't leave the block or show a float. */
static bool hides_nans(const struct x64 *x, const struct ir_insn *in)
{
    if (in->op >= IR_FADD && in->op <= IR_FMA)
        return in->aux == x->b->fp_round;
    return in->op <= IR_SELECT || in->op == IR_NOP;
}

static void lower(struct x64 *x, const struct ir_insn *in)
{
    if (x->nan_pending && !hides_nans(x, in))
        x64_flush_nans(x);
    switch (in->op) {
    case IR_NOP: return;
    case IR_GET: x64_get(x, in); return;
    case IR_PUT: x64_put(x, in); return;
    case IR_CALL: x64_lower_call(x, in); return;
    case IR_BRCC:
    case IR_JMP:
    case IR_JMPR:
    case IR_LEAVE: x64_lower_branch(x, in); return;
    default: break;
    }
    if (x64_lower_int(x, in) || x64_lower_mem(x, in) || x64_lower_fp(x, in))
        return;
    x64_lower_eval(x, in);
}

/* A result that nobody uses (a load into x0): its register is free again. */
static void drop_unused(struct x64 *x, const struct ir_insn *in)
{
    char r = ir_op_info[in->op].result;
    if (r == 'V' || in->uses || in->op == IR_CALL || in->op == IR_CONST || in->op == IR_GET ||
        in->op == IR_NOP)
        return;
    x->v[x->i].left = 1;
    x64_done(x, (ir_val)x->i);
}

static void cold_paths(struct x64 *x)
{
    for (uint32_t k = 0; k < x->cold_count && !x->e.full; k++) {
        struct x64_cold *c = &x->cold[k];
        x->i = c->insn;
        switch (c->kind) {
        case COLD_MEM:
        case COLD_AMO: x64_cold_mem(x, c); break;
        case COLD_NANS: x64_cold_nans(x, c); break;
        case COLD_DIV: x64_cold_int(x, c); break;
        case COLD_FPGET:
        case COLD_FLAGS:
        case COLD_ZERO:
        case COLD_NAN:
        case COLD_EVAL:
        case COLD_MINMAX: x64_cold_fp(x, c); break;
        default: x64_cold_branch(x, c); break;
        }
    }
}

static enum gw_status compile(struct gw_compile_job *job)
{
    struct x64 xs; /* large, not cleared: fields are set as they come into use */
    struct x64 *x = &xs;
    const struct ir_block *b = job->block;
    if (job->cap < 1024)
        return GW_ERR_LIMIT;
    x->e = (struct x64_buf){
        .start = job->out, .p = job->out, .end = job->out + job->cap - 64, .base = job->base};
    x->job = job;
    x->b = b;
    x->t = (const struct x64_target *)(const void *)job->cfg->target;
    x->features = job->cfg->features;
    x->mem = job->cfg->mem;
    x->fp = b->fp_round != IR_FP_OFF;
    x->free_gpr = x->t->scratch;
    x->free_xmm = 15;
    x->lock_gpr = x->lock_xmm = x->temp_gpr = x->temp_xmm = 0;
    for (int r = 0; r < X64_GPRS; r++)
        x->owner_gpr[r] = x->owner_xmm[r] = VAL_NONE;
    x->spill_used = x->spill_freed = 0;
    x->alias_count = 0;
    x->cold_count = 0;
    x->nan_pending = x->nan_check = x->nan_single = x->nan_consumed = 0;
    x->i = 0;
    job->row_count = job->link_count = 0;
    x64_find_sites(x);

    x64_budget(x, 5, (int32_t)b->guest_count);
    struct x64_cold *c = x64_cold(x, COLD_BUDGET);
    c->from = x64_jcc(&x->e, CC_S);
    for (x->i = 0; x->i < b->count && !x->e.full; x->i++) {
        lower(x, &b->insn[x->i]);
        x64_unlock(x);
        drop_unused(x, &b->insn[x->i]);
    }
    job->host_insns = x->e.insns;
    job->hot_size = x64_pos(&x->e);
    cold_paths(x);
    job->size = x64_pos(&x->e);
    return x->e.full ? GW_ERR_LIMIT : GW_OK;
}

static void patch(uint8_t *block, uint64_t block_rx, const struct gw_link_desc *link,
                  uint64_t target, bool gen_global, uint32_t gen)
{
    uint32_t to = target ? (uint32_t)(target - (block_rx + link->jump_offset + 4))
                         : link->stub_offset - (link->jump_offset + 4);
    if (link->gen_offset && target) {
        /* cmp dword [rbp + disp32], imm32: choose the generation, then its value */
        int32_t disp = (int32_t)(gen_global ? X64_RUN(gen_global) : X64_RUN(gen_space)) - X64_BIAS;
        memcpy(block + link->gen_offset - 4, &disp, 4);
        memcpy(block + link->gen_offset, &gen, 4);
    }
    __atomic_store_n((uint32_t *)(void *)(block + link->jump_offset), to, __ATOMIC_RELAXED);
}

/* Flush-to-zero and denormals-are-zero off, every exception masked, no flag raised; for every model,
 * as only IR_FPM_RISCV's operations are inline. */
static uint32_t fp_control(unsigned round, unsigned model)
{
    static const uint8_t rc[] = {[IR_RNE] = 0, [IR_RTZ] = 3, [IR_RDN] = 1, [IR_RUP] = 2};
    return 0x1f80u | (uint32_t)(round <= IR_RUP ? rc[round] : 0) << 13;
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

static void prepare(struct gw_backend_config *cfg)
{
    static const uint8_t pin_user[] = {RBX, RSI, RDI, R8, R9, R10, R11, R12, R13, R15};
    unsigned pins = cfg->mem == GW_MEM_USER ? 9 : 8;
    const struct guest_isa *isa = cfg->isa;
    struct x64_target *t = (struct x64_target *)(void *)cfg->target;
    memset(t, 0xff, sizeof *t);
    t->scratch = 1 << RAX | 1 << RCX | 1 << RDX;
    for (unsigned k = 0; k < pins && k < isa->hot_gpr_count; k++) {
        t->gpr_of[isa->hot_gprs[k] / 8] = (int8_t)pin_user[k];
        t->gpr_off[pin_user[k]] = isa->hot_gprs[k];
    }
    if (cfg->mem == GW_MEM_USER) {
        t->budget = R15;
        t->gpr_off[R15] = X64_RUN(budget);
    }
    t->fpr_first = 0xffff;
    t->fpr_last = 0;
    for (unsigned k = 0; k < 12 && k < isa->hot_fpr_count; k++) {
        if (isa->hot_fprs[k] < t->fpr_first)
            t->fpr_first = isa->hot_fprs[k];
        if (isa->hot_fprs[k] > t->fpr_last)
            t->fpr_last = isa->hot_fprs[k];
    }
    for (unsigned k = 0; k < 12 && k < isa->hot_fpr_count; k++) {
        t->xmm_of[(isa->hot_fprs[k] - t->fpr_first) / 8] = (int8_t)(4 + k);
        t->xmm_off[4 + k] = isa->hot_fprs[k];
    }
    if (t->fpr_first == 0xffff) { /* no float registers: an empty range */
        t->fpr_first = 1;
        t->fpr_last = 0;
    }
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
    .prepare = prepare,
    .emit_runtime = x64_emit_runtime,
    .compile = compile,
    .patch = patch,
    .fp_control = fp_control,
    .fp_trap_control = fp_trap_control,
};
