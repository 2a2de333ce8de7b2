/*
 * Atomics, by FEAT_LSE or by exclusives. x2 is the address, x16 the host address; x3 the operand, or what a
 * CAS expects; x1 the new value; x0 the old one. Whatever the order asks for, they are full barriers once
 * they have written (docs/memory-model.md).
 */
#include "backend-aarch64/a64_atomic.h"

#include "backend-aarch64/a64.h"
#include "backend-aarch64/a64_page.h"

/* An operand that is not in scratch: pinned register, state or constant. */
static struct place_operand operand(struct a64 *x, const struct ir_insn *in, ir_val v)
{
    int64_t imm;
    if (place_reg(&x->p, v) >= 0)
        return place_register(place_reg(&x->p, v));
    if (!place_is_const(&x->p, v, &imm))
        return (struct place_operand){.kind = OPERAND_STATE, .offset = place_copy(&x->p, v)};
    if (imm == (int32_t)imm)
        return (struct place_operand){.kind = OPERAND_CONST, .imm = (int32_t)imm};
    /* a wide constant goes through a slot: what a CAS expects has one of its own */
    uint32_t off = a64_operand_offset(in->op == IR_CAS && in->b == v ? 2 : 1);
    a64_constant(&x->e, X16, (uint64_t)imm);
    a64_store(&x->e, X16, off);
    return (struct place_operand){.kind = OPERAND_STATE, .offset = off};
}

static void load_operand(struct a64 *x, int d, const struct place_operand *o)
{
    if (o->kind == OPERAND_REG)
        a64_move(&x->e, d, o->reg);
    else if (o->kind == OPERAND_STATE)
        a64_load(&x->e, d, o->offset);
    else
        a64_constant(&x->e, d, (uint64_t)(int64_t)o->imm);
}

static void extend(struct a64 *x, unsigned size, bool sign, int d, int a)
{
    a64_bits(&x->e, sign ? A64_SBFM : A64_UBFM, d, a, 0, (8u << size) - 1);
}

/* x1 = f(x0, x3); its low bytes count. */
static void compute(struct a64 *x, unsigned size, unsigned kind)
{
    static const uint32_t op[] = {[IR_AMO_ADD] = A64_ADD,
                                  [IR_AMO_AND] = A64_AND,
                                  [IR_AMO_OR] = A64_ORR,
                                  [IR_AMO_XOR] = A64_EOR};
    static const uint8_t keep_old[] = {[IR_AMO_MIN] = A64_LT,
                                       [IR_AMO_MAX] = A64_GT,
                                       [IR_AMO_MINU] = A64_LO,
                                       [IR_AMO_MAXU] = A64_HI};
    struct a64_buf *e = &x->e;
    if (kind == IR_AMO_SWAP) {
        a64_move(e, 1, 3);
    } else if (kind < IR_AMO_MIN) {
        a64_rrr(e, op[kind], 1, 0, 3);
    } else {
        extend(x, size, kind == IR_AMO_MIN || kind == IR_AMO_MAX, X17, 0);
        a64_rrr(e, A64_SUBS, A64_ZR, X17, 3);
        a64_cond(e, A64_CSEL, 1, X17, 3, keep_old[kind]);
    }
}

/* The barrier behind makes the load acquire. A CAS writes in any case, if only the old value: what its store releases,
 * a comparison that fails does too. */
static void exclusive_loop(struct a64 *x, unsigned size, unsigned kind, unsigned order)
{
    const uint32_t store = order & IR_ORDER_RELEASE ? A64_STLXR : A64_STXR;
    struct a64_buf *e = &x->e;
    const uint32_t again = a64_pos(e);
    int value = 1;
    a64_row(x, GW_ROW_ACCESS);
    a64_rr(e, a64_size(A64_LDXR, size), 0, X16);
    if (kind == A64_AMO_CAS) {
        a64_rrr(e, A64_SUBS, A64_ZR, 0, 3);
        a64_cond(e, A64_CSEL, X17, 1, 0, A64_EQ);
        value = X17;
    } else {
        compute(x, size, kind);
    }
    a64_row(x, GW_ROW_ACCESS); /* what can be read only faults here */
    a64_rrr(e, a64_size(store, size), value, X16, X30);
    a64_link(e, a64_cb(e, a64_w(A64_CBNZ), X30), again);
    a64_word(e, A64_DMB_ISH);
}

/* By one instruction, of its acquiring and releasing form. A CAS that fails writes nothing, and so releases
 * nothing: a barrier does. */
static void by_lse(struct a64 *x, const struct ir_insn *in, unsigned size, unsigned kind)
{
    static const uint32_t op[] = {
        [IR_AMO_SWAP] = A64_SWP,   [IR_AMO_ADD] = A64_LDADD,   [IR_AMO_AND] = A64_LDCLR,
        [IR_AMO_OR] = A64_LDSET,   [IR_AMO_XOR] = A64_LDEOR,   [IR_AMO_MIN] = A64_LDSMIN,
        [IR_AMO_MAX] = A64_LDSMAX, [IR_AMO_MINU] = A64_LDUMIN, [IR_AMO_MAXU] = A64_LDUMAX};
    struct a64_buf *e = &x->e;
    if (kind == A64_AMO_CAS) {
        a64_move(e, 0, 3);
        if (in->order & IR_ORDER_RELEASE)
            a64_word(e, A64_DMB_ISH);
        a64_row(x, GW_ROW_ACCESS);
        a64_rrr(e, a64_size(A64_CAS | A64_CAS_ACQUIRE | A64_CAS_RELEASE, size), 1, X16, 0);
        return;
    }
    if (kind == IR_AMO_AND)
        a64_rrr(e, A64_ORN, 3, A64_ZR, 3);
    a64_row(x, GW_ROW_ACCESS);
    a64_rrr(e, a64_size(op[kind] | A64_ACQUIRE | A64_RELEASE, size), 0, X16, 3);
}

bool a64_lower_atomic(struct a64 *x, const struct ir_insn *in)
{
    const bool cas = in->op == IR_CAS;
    const unsigned size = in->aux & IR_SIZE_MASK, kind = cas ? A64_AMO_CAS : (unsigned)in->imm;
    place_spill_scratch(&x->p);
    for (int r = 0; r < A64_SCRATCH_INTS; r++)
        place_take(&x->p, r);
    struct cold_path *c = a64_cold(x, COLD_ATOMIC);
    c->access = (struct cold_access){.address = 2, .thunk = (uint16_t)(T_AMO + kind * 4 + size)};
    struct place_operand a = operand(x, in, in->a);
    load_operand(x, 2, &a);
    c->access.value = operand(x, in, in->b);
    if (cas)
        c->access.new_value = operand(x, in, in->c);
    a64_lookup_x16(x, c, 2, size, true, true);
    load_operand(x, 3, &c->access.value);
    const bool lse = x->features & A64_F_LSE;
    if (size < 3 && !lse && (cas || kind >= IR_AMO_MIN))
        extend(x, size, kind == IR_AMO_MIN || kind == IR_AMO_MAX, 3, 3);
    if (cas)
        load_operand(x, 1, &c->access.new_value);
    c->access.row = x->job->row_count;
    if (lse)
        by_lse(x, in, size, kind);
    else
        exclusive_loop(x, size, kind, in->order);
    c->access.rows = (uint8_t)(x->job->row_count - c->access.row);
    if (size < 3)
        extend(x, size, true, 0, 0);
    c->back = a64_pos(&x->e);
    a64_done(x, in->a);
    a64_done(x, in->b);
    if (cas)
        a64_done(x, in->c);
    place_def_in(&x->p, 0);
    return true;
}

void a64_cold_atomic(struct a64 *x, const struct cold_path *c)
{
    struct a64_buf *e = &x->e;
    const bool cas = x->b->insn[c->insn].op == IR_CAS;
    a64_cold_here(x, c);
    for (unsigned k = 0; k < c->access.rows && x->mem != GW_MEM_USER; k++)
        x->job->rows[c->access.row + k].slow_offset = a64_pos(e) & (GW_BLOCK_BYTES - 1);
    a64_store(e, 2, A64_RUN(slow_addr));
    if (cas) {
        load_operand(x, 0, &c->access.value);
        a64_store(e, 0, a64_operand_offset(0));
    }
    load_operand(x, 0, cas ? &c->access.new_value : &c->access.value);
    a64_store(e, 0, A64_RUN(slow_value));
    a64_to(e, A64_BL, a64_thunk(x, c->access.thunk));
    a64_row(x, GW_ROW_CALL);
    a64_load(e, 0, A64_RUN(slow_value));
    a64_cold_back(x, c);
}
