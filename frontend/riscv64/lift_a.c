/*
 * A, Zacas and Zabha. Unpriv. 20240411, "A" and "Zacas"; the Zabha specification 1.0.
 */
#include "frontend/riscv64/lift.h"

#define LIFT(name) enum rv_flow rv_lift_##name(struct rv_lift *l, const struct rv_insn *in)

enum {
    RESERVATION = offsetof(struct rv_cpu, c.reservation),
    RESERVED_VALUE = offsetof(struct rv_cpu, c.reserved_value),
    BROKEN = offsetof(struct rv_cpu, run.reservation_broken),
};

/* aq is bit 1 and rl bit 0 of the instruction's field. */
static unsigned order(const struct rv_insn *in)
{
    return (in->aqrl & 2 ? IR_ORDER_ACQUIRE : 0u) | (in->aqrl & 1 ? IR_ORDER_RELEASE : 0u);
}

/*
 * LR and SC, in three ways.
 *
 * A pair: the LR finds its SC behind it in the same block, with nothing between them but arithmetic and
 * branches out (pair.h). Nobody can tell it from a compare-and-swap
 * with what the LR saw, since between the two this hart makes no access that another hart could have
 * ordered against; so ABA can't be seen either. The LR leaves a broken reservation behind, so
 * that no other SC takes it for its own.
 *
 * Any other, in a machine: the LR reserves physical memory and other harts' stores there are noticed
 * (rv_h_lr, rv_h_sc).
 *
 * Any other, in user mode, where there is one thread: a compare-and-swap with what the LR saw, if the
 * address is the reserved one, else with the old value over itself. It is made in either case, so
 * that a misaligned or forbidden address faults whatever the reservation.
 *
 * Widths may differ: an SC pairs with the most recent LR, which "might have had a different effective
 * address and data size, but reserved the SC's address" (14.2). So SC.W after an LR.D of its address
 * succeeds. SC.D after LR.W needs a reservation set that holds all eight bytes, which an LR may
 * choose to make; it succeeds where the doubleword is the word sign-extended, and else fails as any
 * SC outside a constrained loop may (14.3).
 */
static enum rv_flow load_reserved(struct rv_lift *l, const struct rv_insn *in, unsigned size_log2)
{
    ir_val addr = rv_get(l, in->rs1);
    bool pair = l->pair_sc != 0, user = l->flags & RV_TBF_USER;
    if (!pair && !user)
        ir_call(l->b, RV_HELPER_LR, addr, IR_NONE, IR_NONE);
    ir_val v = ir_load_aligned(l->b, size_log2, addr, order(in));
    if (size_log2 == 2)
        v = rv_sext32(l, v);
    ir_put(l->b, RESERVATION, 3, addr);
    ir_put(l->b, RESERVED_VALUE, 3, v);
    if (pair && !user)
        ir_put(l->b, BROKEN, 2, rv_const(l, 1));
    l->pair_value = v;
    return rv_set(l, in, v);
}

static enum rv_flow conditional_of_pair(struct rv_lift *l, const struct rv_insn *in,
                                        unsigned size_log2)
{
    ir_val addr = rv_get(l, in->rs1), value = rv_get(l, in->rs2), expected = l->pair_value;
    ir_val old = ir_cas(l->b, size_log2, addr, expected, value, order(in));
    ir_put(l->b, RESERVATION, 3, ir_const(l->b, RV_NO_RESERVATION));
    return rv_set(l, in, ir_setcc(l->b, IR_I64, IR_NE, old, expected));
}

static enum rv_flow conditional_of_user(struct rv_lift *l, const struct rv_insn *in,
                                        unsigned size_log2)
{
    ir_val addr = rv_get(l, in->rs1), value = rv_get(l, in->rs2);
    ir_val reserved = ir_get(l->b, RESERVATION, 3);
    ir_val expected = ir_get(l->b, RESERVED_VALUE, 3);
    if (size_log2 == 2) /* the reservation may be that of an LR.D */
        expected = rv_sext32(l, expected);
    ir_val update = ir_select(l->b, IR_I64, IR_EQ, addr, reserved, value, expected);
    ir_val old = ir_cas(l->b, size_log2, addr, expected, update, order(in));
    ir_val differs = ir_setcc(l->b, IR_I64, IR_NE, old, expected);
    ir_val failed = ir_select(l->b, IR_I64, IR_EQ, addr, reserved, differs, rv_const(l, 1));
    ir_put(l->b, RESERVATION, 3, ir_const(l->b, RV_NO_RESERVATION));
    return rv_set(l, in, failed);
}

/* A kernel drops its reservation, which each trap has dropped already, by an SC to x0 on its way out. Where none stands
 * nothing comes of that but its fault, if it is misaligned: whether the memory may be written is looked at when the
 * reservation matches (as in the golden model). */
static void pass_without_reservation(struct rv_lift *l, ir_val addr, unsigned size_log2)
{
    ir_val none = ir_const(l->b, RV_NO_RESERVATION), zero = rv_const(l, 0);
    ir_val low = ir_op2(l->b, IR_AND, IR_I64, addr, rv_const(l, (1 << size_log2) - 1));
    ir_val reserved = ir_get(l->b, RESERVATION, 3);
    ir_val other = ir_op2(l->b, IR_XOR, IR_I64, reserved, none);
    ir_val any = ir_op2(l->b, IR_OR, IR_I64, other, low);
    ir_brcc(l->b, IR_I64, IR_EQ, any, zero, l->next);
}

static enum rv_flow store_conditional(struct rv_lift *l, const struct rv_insn *in,
                                      unsigned size_log2)
{
    if (l->pair_sc == l->pc && l->pair_sc)
        return conditional_of_pair(l, in, size_log2);
    if (l->flags & RV_TBF_USER)
        return conditional_of_user(l, in, size_log2);
    ir_val addr = rv_get(l, in->rs1), value = rv_get(l, in->rs2);
    if (!in->rd)
        pass_without_reservation(l, addr, size_log2);
    return rv_set(l, in, ir_call(l->b, RV_HELPER_SC, addr, value, rv_const(l, 1 << size_log2)));
}

static enum rv_flow amo(struct rv_lift *l, const struct rv_insn *in, enum ir_amo kind,
                        unsigned size_log2)
{
    ir_val addr = rv_get(l, in->rs1), operand = rv_get(l, in->rs2);
    return rv_set(l, in, ir_amo(l->b, kind, size_log2, addr, operand, order(in)));
}

LIFT(lr_w)
{
    return load_reserved(l, in, 2);
}

LIFT(lr_d)
{
    return load_reserved(l, in, 3);
}

LIFT(sc_w)
{
    return store_conditional(l, in, 2);
}

LIFT(sc_d)
{
    return store_conditional(l, in, 3);
}

#define AMO(name, kind)                                                                            \
    LIFT(name##_b)                                                                                 \
    {                                                                                              \
        return amo(l, in, kind, 0);                                                                \
    }                                                                                              \
    LIFT(name##_h)                                                                                 \
    {                                                                                              \
        return amo(l, in, kind, 1);                                                                \
    }                                                                                              \
    LIFT(name##_w)                                                                                 \
    {                                                                                              \
        return amo(l, in, kind, 2);                                                                \
    }                                                                                              \
    LIFT(name##_d)                                                                                 \
    {                                                                                              \
        return amo(l, in, kind, 3);                                                                \
    }

AMO(amoswap, IR_AMO_SWAP)
AMO(amoadd, IR_AMO_ADD)
AMO(amoxor, IR_AMO_XOR)
AMO(amoand, IR_AMO_AND)
AMO(amoor, IR_AMO_OR)
AMO(amomin, IR_AMO_MIN)
AMO(amomax, IR_AMO_MAX)
AMO(amominu, IR_AMO_MINU)
AMO(amomaxu, IR_AMO_MAXU)

/* --- Zacas -------------------------------------------------------------------------------------- */

/* What rd holds is compared, and replaced by what was there. */
static enum rv_flow compare_and_swap(struct rv_lift *l, const struct rv_insn *in,
                                     unsigned size_log2)
{
    ir_val addr = rv_get(l, in->rs1), value = rv_get(l, in->rs2), expected = rv_get(l, in->rd);
    return rv_set(l, in, ir_cas(l->b, size_log2, addr, expected, value, order(in)));
}

LIFT(amocas_b)
{
    return compare_and_swap(l, in, 0);
}

LIFT(amocas_h)
{
    return compare_and_swap(l, in, 1);
}

LIFT(amocas_w)
{
    return compare_and_swap(l, in, 2);
}

LIFT(amocas_d)
{
    return compare_and_swap(l, in, 3);
}

/*
 * 16 bytes. The helper swaps them, since the IR has no such access, and can't fault: another one
 * checks the address before. In user mode an AMO that changes nothing goes between them, so that the
 * engine learns of a write to the page (code in it) and of an access that faults; in a machine the helper
 * tells it.
 */
LIFT(amocas_q)
{
    ir_val addr = rv_get(l, in->rs1);
    ir_call(l->b, RV_HELPER_CASQ_CHECK, addr, IR_NONE, IR_NONE);
    if (l->flags & RV_TBF_USER)
        ir_amo(l->b, IR_AMO_OR, 3, addr, rv_const(l, 0), order(in));
    ir_call(l->b, RV_HELPER_CASQ, addr, rv_const(l, in->rd | in->rs2 << 8), IR_NONE);
    return RV_FLOW_NEXT;
}
