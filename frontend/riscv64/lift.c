/*
 * The walk over guest code: decodes, calls the instruction's function, and decides where a block
 * ends. A block starts at one instruction and goes on to an unconditional transfer, to the page's
 * end, or until a limit of the engine. Forward jumps within the page are followed. So are the branches
 * out of a pair of LR and SC, which must lie in one block to be one.
 */
#include "frontend/riscv64/lift.h"
#include "frontend/riscv64/pair.h"
#include "frontend/riscv64/priv.h"

static rv_lift_fn *const lift_table[RV_OP_COUNT] = {
    [RV_OP_ILLEGAL] = rv_lift_illegal,
#define RV_OP(upper, lower, text, ext, format) [RV_OP_##upper] = rv_lift_##lower,
#include "frontend/riscv64/rv_ops.inc"
#undef RV_OP
};

enum rv_flow rv_lift_illegal(struct rv_lift *l, const struct rv_insn *in)
{
    /* Priv. 1.13, 3.1.16: tval holds the bits of the faulting instruction */
    ir_call(l->b, RV_HELPER_ILLEGAL, rv_const(l, in->raw), IR_NONE, IR_NONE);
    ir_leave(l->b, ir_pc(l->b, l->pc));
    return RV_FLOW_END;
}

enum rv_flow rv_lift_leave(struct rv_lift *l)
{
    ir_leave(l->b, ir_pc(l->b, l->next));
    return RV_FLOW_END;
}

uint32_t rv_tb_flags(const void *cpu_)
{
    const struct rv_cpu *cpu = cpu_;
    uint32_t frm = (uint32_t)cpu->c.frm << RV_TBF_FRM_SHIFT;
    if (cpu->cfg.user)
        return RV_TBF_USER | RV_PRIV_U | 2u << RV_TBF_FS_SHIFT | frm;
    /* mstatus.FS: off, initial, clean, dirty. While it is off, frm changes no code */
    static const uint8_t fs_of[4] = {0, 1, 1, 2};
    uint32_t fs = fs_of[(cpu->c.mstatus & RV_MSTATUS_FS) >> RV_MSTATUS_FS_SHIFT];
    return (cpu->c.priv & RV_TBF_PRIV) | fs << RV_TBF_FS_SHIFT | (fs ? frm : 0) |
           (rv_envcfg_allows(cpu, RV_ENVCFG_CBZE) ? RV_TBF_CBZE : 0u);
}

/* Programs; kernels and firmware have one address. */
bool rv_anywhere(uint32_t tb_flags)
{
    return (tb_flags & RV_TBF_PRIV) == RV_PRIV_U;
}

unsigned rv_fp_round(uint32_t tb_flags)
{
    if (!(tb_flags & RV_TBF_FS_MASK))
        return IR_FP_OFF;
    unsigned frm = (tb_flags & RV_TBF_FRM_MASK) >> RV_TBF_FRM_SHIFT;
    return frm <= IR_RUP ? frm : IR_RNE;
}

unsigned rv_lift_fetch(const struct gw_lift_request *rq, uint32_t at, uint32_t *word)
{
    const uint8_t *p = rq->code + at;
    if (rq->code_size >= at + 4) {
        uint32_t w = p[0] | (uint32_t)p[1] << 8 | (uint32_t)p[2] << 16 | (uint32_t)p[3] << 24;
        bool wide = (w & 3) == 3;
        *word = wide ? w : w & 0xffff;
        return wide ? 4 : 2;
    }
    if (rq->code_size < at + 2)
        return 0;
    *word = p[0] | (uint32_t)p[1] << 8;
    return (*word & 3) == 3 ? 0 : 2;
}

/* May the block go on at target, ahead of the instruction at code offset `at`? */
static bool can_follow(const struct gw_lift_request *rq, const struct rv_lift *l, uint32_t at)
{
    uint64_t offset = l->target - rq->block->pc;
    return offset > at && (offset < rq->page_left || l->pair_sc) && offset < rq->code_size;
}

/*
 * A block that is a loop in whole is copied a few times: what goes around in registers of the guest
 * then need not go through memory each time. May another copy follow the one that ends now?
 */
static bool may_unroll(const struct gw_lift_request *rq, uint32_t copies, uint32_t count)
{
    enum { IR_ENOUGH = 500 };
    uint32_t insns = count, ir = rq->block->count;
    if (copies > 1) { /* seldom: divisions take their time */
        insns /= copies;
        ir /= copies;
    }
    return copies < rq->unroll && insns * (copies + 1) <= rq->max_guest &&
           ir * (copies + 1) <= IR_ENOUGH;
}

/* Does the block, of count instructions so far, have room for the pair? */
static bool has_room(const struct gw_lift_request *rq, uint32_t count, const struct rv_pair *pair)
{
    enum { IR_OF_ONE = 24, IR_OF_REST = 256 }; /* more than it is */
    return count + pair->count <= rq->max_guest &&
           rq->block->count + IR_OF_ONE * pair->count + IR_OF_REST <= IR_MAX_INSNS;
}

enum pairing {
    PAIR_NONE,
    PAIR_HERE,  /* the LR at hand is one of a pair, which the block has room for */
    PAIR_LATER, /* it may be one, at the start of a block */
};

/* Of `in`, at code offset `at`, with count instructions before it. In user mode the budget is no state,
 * and an LR of its own costs no more. */
static enum pairing find_pair(const struct gw_lift_request *rq, const struct rv_lift *l,
                              uint32_t at, const struct rv_insn *in, uint32_t count,
                              struct rv_pair *out)
{
    if (in->op != RV_OP_LR_W && in->op != RV_OP_LR_D)
        return PAIR_NONE;
    bool pair = rv_pair_find(rq, l->cfg->ext, at, in, out);
    if (l->flags & RV_TBF_USER && (out->skips || out->border))
        return PAIR_NONE;
    if (pair)
        return has_room(rq, count, out) ? PAIR_HERE : count ? PAIR_LATER : PAIR_NONE;
    return out->border && count ? PAIR_LATER : PAIR_NONE;
}

/* The block holds the pair whose LR is at hand. */
static void begin_pair(struct rv_lift *l, const struct rv_pair *pair)
{
    l->pair_sc = l->pc + pair->sc;
    l->pair_lr = l->pc;
    l->pair_skips = pair->skips;
    /* What a branch leads to is part of the reason, so the block is one of those bytes too. */
    if (l->b->code_bytes < pair->end && !(l->flags & RV_TBF_USER))
        l->b->code_bytes = pair->end;
}

/* One that a branch of a pair may have skipped, as if it had not. */
static enum rv_flow lift_skipped(struct rv_lift *l, const struct rv_insn *in)
{
    struct rv_skip *s = &l->skip;
    if (!(s->written >> in->rd & 1))
        s->old[in->rd] = rv_get(l, in->rd);
    s->written |= UINT32_C(1) << in->rd;
    s->count++;
    return lift_table[in->op](l, in);
}

/* Behind those. If they were skipped, registers hold what they held, and there are instructions that have
 * not retired, though the block as a whole was taken off the budget. */
static void end_skip(struct rv_lift *l)
{
    const uint32_t budget = offsetof(struct rv_cpu, run.budget);
    struct rv_skip *s = &l->skip;
    for (unsigned r = 1; r < 32; r++)
        if (s->written >> r & 1)
            rv_put(l, r, ir_select(l->b, IR_I64, s->cc, s->a, s->b, s->old[r], rv_get(l, r)));
    ir_val none = rv_const(l, 0),
           skipped = rv_const(l, s->count); /* in this order on every compiler */
    ir_val back = ir_select(l->b, IR_I64, s->cc, s->a, s->b, skipped, none);
    ir_put(l->b, budget, 3, ir_op2(l->b, IR_ADD, IR_I64, ir_get(l->b, budget, 3), back));
    s->to = 0;
}

enum gw_lift_status rv_lift(const struct gw_lift_request *rq)
{
    struct ir_block *b = rq->block;
    const struct rv_cpu *cpu = rq->cpu;
    struct rv_lift l = {.b = b, .cfg = &cpu->cfg, .flags = b->flags};
    struct rv_insn in;
    struct rv_pair pair;
    uint32_t at = 0, word = 0, count = 0, traced = 0, copies = 1;
    enum rv_flow flow = RV_FLOW_NEXT;

    b->code_bytes = 0;
    b->fp_round = (uint8_t)rv_fp_round(b->flags);
    l.pc = b->pc;
    while (flow == RV_FLOW_NEXT && count < rq->max_guest && (at < rq->page_left || l.pair_sc)) {
        unsigned len = rv_lift_fetch(rq, at, &word);
        if (!len) {
            if (count == 0)
                return GW_LIFT_NEED_PAGE;
            break;
        }
        rv_decode_for(&in, word, l.cfg->ext);
        bool isolated = rv_lift_isolated(&in);
        enum pairing pairing = find_pair(rq, &l, at, &in, count, &pair);
        if (((isolated || pairing == PAIR_LATER) && count) || !ir_begin_guest(b, l.pc, len))
            break;
        count++;
        l.next = l.pc + len;
        l.unroll = !l.pair_sc && may_unroll(rq, copies, count);
        if (pairing == PAIR_HERE)
            begin_pair(&l, &pair);
        bool paired = l.pair_sc && l.pc < l.pair_sc; /* the block goes on to the SC */
        flow = l.skip.to ? lift_skipped(&l, &in) : lift_table[in.op](&l, &in);
        if (l.skip.to == l.next && l.skip.to)
            end_skip(&l);
        if (flow == RV_FLOW_LOOP) {
            copies++;
            l.next = b->pc;
            flow = RV_FLOW_NEXT;
        }
        if (flow == RV_FLOW_JUMP) {
            if (count == rq->max_guest || !can_follow(rq, &l, at)) {
                ir_jmp(b, l.target);
                return GW_LIFT_OK;
            }
            l.next = l.target;
            flow = RV_FLOW_NEXT;
        } else if (flow == RV_FLOW_TRACE) {
            flow = paired || traced++ < rq->trace ? RV_FLOW_NEXT : RV_FLOW_SPLIT;
        } else if (flow == RV_FLOW_NEXT && isolated) {
            flow = RV_FLOW_SPLIT;
        }
        if (!paired)
            l.pair_sc = 0;
        l.pc = l.next;
        at = (uint32_t)(l.pc - b->pc);
    }
    if (flow != RV_FLOW_END)
        ir_jmp(b, l.pc);
    return GW_LIFT_OK;
}
