/*
 * Privileged instructions and cache-block operations. Priv. 1.13, 3.3 and 10.2; Unpriv. 20240411,
 * chapter 19 (CMO). What depends on dynamic state (TSR, TW, TVM, the envcfg fields) is checked by
 * the helpers; user mode has none of that state.
 */
#include "frontend/riscv64/lift.h"
#include "frontend/riscv64/priv.h"

#define LIFT(name) enum rv_flow rv_lift_##name(struct rv_lift *l, const struct rv_insn *in)

enum rv_cbo { CBO_INVAL = 0, CBO_CLEAN = 1, CBO_FLUSH = 2 };

static bool user(const struct rv_lift *l)
{
    return l->flags & RV_TBF_USER;
}

static enum rv_flow trap_return(struct rv_lift *l, const struct rv_insn *in, enum rv_helper helper)
{
    if (user(l))
        return rv_lift_illegal(l, in);
    ir_leave(l->b, ir_call(l->b, helper, rv_const(l, in->raw), IR_NONE, IR_NONE));
    return RV_FLOW_END;
}

LIFT(sret)
{
    return trap_return(l, in, RV_HELPER_SRET);
}

LIFT(mret)
{
    return trap_return(l, in, RV_HELPER_MRET);
}

LIFT(wfi)
{
    if (user(l))
        return rv_lift_illegal(l, in);
    ir_call(l->b, RV_HELPER_WFI, rv_const(l, in->raw), IR_NONE, IR_NONE);
    return rv_lift_leave(l);
}

static enum rv_flow fence_page(struct rv_lift *l, const struct rv_insn *in)
{
    if (user(l))
        return rv_lift_illegal(l, in);
    ir_val vaddr = rv_get(l, in->rs1), asid = rv_get(l, in->rs2);
    uint64_t what =
        (uint64_t)(in->rs1 != 0) | (uint64_t)(in->rs2 != 0) << 1 | (uint64_t)in->raw << 32;
    ir_val moved = ir_call(l->b, RV_HELPER_SFENCE_VMA, vaddr, asid, ir_const(l->b, what));
    if (in->rs1) /* of a page: a short thing, mostly one of data; the next block looks at the budget */
        ir_brcc(l->b, IR_I64, IR_EQ, moved, rv_const(l, 0), l->next);
    return rv_lift_leave(l);
}

LIFT(sfence_vma)
{
    return fence_page(l, in);
}

/* Svinval (Priv. 1.13, chapter 7): invalidations take effect at once, so that the fences around them
 * have nothing to order. */
LIFT(sinval_vma)
{
    return fence_page(l, in);
}

static enum rv_flow order_invalidations(struct rv_lift *l, const struct rv_insn *in)
{
    if ((l->flags & RV_TBF_PRIV) == RV_PRIV_U)
        return rv_lift_illegal(l, in);
    return RV_FLOW_NEXT;
}

LIFT(sfence_w_inval)
{
    return order_invalidations(l, in);
}

LIFT(sfence_inval_ir)
{
    return order_invalidations(l, in);
}

static void cbo_check(struct rv_lift *l, const struct rv_insn *in, ir_val addr, enum rv_cbo kind)
{
    ir_call(l->b, RV_HELPER_CBO, addr, rv_const(l, kind), rv_const(l, in->raw));
}

/* Caches are coherent, so nothing is left to do but the checks. */
static enum rv_flow cbo_manage(struct rv_lift *l, const struct rv_insn *in, enum rv_cbo kind)
{
    ir_val addr = rv_get(l, in->rs1);
    if (user(l)) /* a bad address faults */
        ir_load(l->b, IR_I64, 0, false, addr, 0, IR_ORDER_RELAXED);
    else
        cbo_check(l, in, addr, kind);
    return RV_FLOW_NEXT;
}

LIFT(cbo_inval)
{
    return cbo_manage(l, in, CBO_INVAL);
}

LIFT(cbo_clean)
{
    return cbo_manage(l, in, CBO_CLEAN);
}

LIFT(cbo_flush)
{
    return cbo_manage(l, in, CBO_FLUSH);
}

/* Where it is allowed is part of the block's key. */
LIFT(cbo_zero)
{
    _Static_assert((int)RV_CBO_BYTES == (int)IR_ZERO_BYTES, "a block is what the IR has");
    if (!user(l) && !(l->flags & RV_TBF_CBZE))
        return rv_lift_illegal(l, in);
    ir_zero(l->b, rv_get(l, in->rs1));
    return RV_FLOW_NEXT;
}
