/*
 * Which memory accesses of one hart may be performed out of program order, as far as the two
 * instructions alone tell: their kinds, orders, fence sets and, where both addresses have the same
 * base value, their displacements. False is always safe.
 *
 * RVWMO: Unpriv. 20240411, chapter 17.1, preserved program order rules 1-7 (9-13, dependencies, are
 * in the operands: nothing that uses a value can come before it). Arm: DDI 0487, B2.3.
 */
#include "godwit/ir.h"

static bool is_access(const struct ir_insn *in)
{
    return in->op == IR_LD || in->op == IR_ST || in->op == IR_AMO || in->op == IR_CAS ||
           in->op == IR_ZERO;
}

static bool reads(const struct ir_insn *in)
{
    return is_access(in) && in->op != IR_ST && in->op != IR_ZERO;
}

static bool writes(const struct ir_insn *in)
{
    return is_access(in) && in->op != IR_LD;
}

static unsigned size_of(const struct ir_insn *in)
{
    return 1u << (in->aux & IR_SIZE_MASK);
}

/* AMO and CAS have no displacement: their imm is something else. */
static int64_t disp_of(const struct ir_insn *in)
{
    return in->op == IR_LD || in->op == IR_ST ? in->imm : 0;
}

/* Can the two touch a common byte? Known only for a common base; displacements are 32 bits wide. */
static bool may_overlap(const struct ir_insn *a, const struct ir_insn *b)
{
    if (a->a != b->a || a->op == IR_ZERO || b->op == IR_ZERO)
        return true;
    int64_t distance = disp_of(b) - disp_of(a);
    return distance < (int64_t)size_of(a) && -distance < (int64_t)size_of(b);
}

/* Sets of IR_FENCE_* that an access belongs to. Whether an address is memory or a device is not
 * known here, so it belongs to both. */
static unsigned fence_set(const struct ir_insn *in)
{
    return (reads(in) ? IR_FENCE_R | IR_FENCE_I : 0u) | (writes(in) ? IR_FENCE_W | IR_FENCE_O : 0u);
}

bool ir_may_reorder(const struct ir_insn *a, const struct ir_insn *b, enum gw_memory_model model)
{
    /* Calls and exits: anything may happen there. */
    if ((ir_op_info[a->op].flags | ir_op_info[b->op].flags) & (IRF_EXIT | IRF_END))
        return false;
    if (a->op == IR_FENCE && b->op == IR_FENCE)
        return false;
    if (a->op == IR_FENCE)
        return is_access(b) && !(fence_set(b) & (unsigned)a->imm);
    if (b->op == IR_FENCE)
        return is_access(a) && !(fence_set(a) & (unsigned)(b->imm >> 4));
    if (!is_access(a) || !is_access(b))
        return true; /* one of them is no memory operation */

    if (may_overlap(a, b))
        return false; /* rules 1-3; two loads of one address too, to be on the safe side */
    if (a->order & IR_ORDER_ACQUIRE || b->order & IR_ORDER_RELEASE)
        return false; /* rules 5 and 6 */
    if (a->order & IR_ORDER_RELEASE && b->order & IR_ORDER_ACQUIRE)
        return false;          /* rule 7: RCsc */
    if (model == GW_MODEL_TSO) /* only a load may pass an earlier store, and atomics fence */
        return a->op == IR_ST && b->op == IR_LD;
    return true;
}
