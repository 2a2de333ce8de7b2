#include "backend-aarch64/a64_compare.h"

#include "backend-aarch64/a64_fuse.h"

/* By condition: the host's, and the one for exchanged operands. */
static const struct {
    uint8_t cc, exchanged;
} conditions[] = {
    [IR_EQ] = {A64_EQ, A64_EQ},  [IR_NE] = {A64_NE, A64_NE},  [IR_LT] = {A64_LT, A64_GT},
    [IR_GE] = {A64_GE, A64_LE},  [IR_LTU] = {A64_LO, A64_HI}, [IR_GEU] = {A64_HS, A64_LS},
    [IR_LE] = {A64_LE, A64_GE},  [IR_GT] = {A64_GT, A64_LT},  [IR_LEU] = {A64_LS, A64_HS},
    [IR_GTU] = {A64_HI, A64_LO},
};

/* By a constant that an instruction takes; false: nothing was emitted. */
static bool compare_constant(struct a64 *x, bool wide, ir_val a, int64_t imm)
{
    const uint64_t v = wide ? (uint64_t)imm : (uint32_t)imm,
                   negated = wide ? -v : (uint32_t) - (uint32_t)imm;
    const bool positive = a64_is_imm12(v);
    if (!positive && !a64_is_imm12(negated))
        return false;
    const uint32_t op = positive ? A64_SUBSI : A64_ADDSI;
    a64_imm12(&x->e, wide ? op : a64_w(op), A64_ZR, a64_use(x, a), positive ? v : negated);
    return true;
}

enum a64_cc a64_compare(struct a64 *x, enum ir_type type, enum ir_cond cc, ir_val av, ir_val bv)
{
    const bool wide = type != IR_W32;
    enum a64_cc result = conditions[cc].cc;
    int64_t imm;
    if (place_is_const(&x->p, av, &imm) && !place_is_const(&x->p, bv, &imm)) {
        ir_val t = av;
        av = bv;
        bv = t;
        result = conditions[cc].exchanged;
    }
    if (!place_is_const(&x->p, bv, &imm) || !compare_constant(x, wide, av, imm)) {
        int a = a64_use(x, av), b = a64_use(x, bv);
        a64_rrr(&x->e, wide ? (uint32_t)A64_SUBS : a64_w(A64_SUBS), A64_ZR, a, b);
    }
    a64_done(x, av);
    a64_done(x, bv);
    place_release_operands(&x->p); /* what is left of them is in the flags */
    return result;
}

/* Against zero an instruction compares and branches: EQ and NE by the value, LT and GE by its sign. */
static bool branch_by_zero(struct a64 *x, const struct ir_insn *in, uint32_t *from)
{
    const unsigned sign = in->type == IR_W32 ? 31 : 63;
    int64_t imm;
    if (!place_is_const(&x->p, in->b, &imm) || imm || in->aux > IR_GE)
        return false;
    int a = a64_use(x, in->a);
    switch (in->aux) {
    case IR_EQ: *from = a64_cb(&x->e, a64_typed(in, A64_CBZ), a); break;
    case IR_NE: *from = a64_cb(&x->e, a64_typed(in, A64_CBNZ), a); break;
    case IR_LT: *from = a64_tb(&x->e, A64_TBNZ, a, sign); break;
    default: *from = a64_tb(&x->e, A64_TBZ, a, sign); break;
    }
    a64_done(x, in->a);
    a64_done(x, in->b);
    return true;
}

/* EQ and NE of bits, by an AND that has waited: one alone is tested by the branch. */
static uint32_t branch_by_bits(struct a64 *x, const struct ir_insn *in, const struct ir_insn *bits)
{
    const int64_t imm = x->b->insn[bits->b].imm;
    uint32_t from;
    const bool equal = in->aux == IR_EQ;
    const uint64_t mask = bits->type == IR_W32 ? (uint32_t)imm : (uint64_t)imm;
    int a = a64_use(x, bits->a);
    if ((mask & (mask - 1)) == 0) {
        from = a64_tb(&x->e, equal ? A64_TBZ : A64_TBNZ, a, (unsigned)__builtin_ctzll(mask));
    } else {
        a64_logical(&x->e, a64_typed(bits, A64_ANDSI), A64_ZR, a, mask);
        from = a64_bcond(&x->e, equal ? A64_EQ : A64_NE);
    }
    a64_done(x, bits->a);
    a64_done(x, bits->b);
    a64_done(x, in->b);
    return from;
}

uint32_t a64_branch_if(struct a64 *x, const struct ir_insn *in)
{
    uint32_t from;
    if (a64_fused(x, in->a))
        return branch_by_bits(x, in, a64_fused(x, in->a));
    if (!branch_by_zero(x, in, &from)) {
        enum a64_cc cc = a64_compare(x, in->type, in->aux, in->a, in->b);
        from = a64_bcond(&x->e, cc);
    }
    return from;
}

static void lower_setcc(struct a64 *x, const struct ir_insn *in)
{
    enum a64_cc cc = a64_compare(x, in->type, in->aux, in->a, in->b);
    a64_cond(&x->e, A64_CSINC, a64_def(x), A64_ZR, A64_ZR, cc ^ 1);
}

/* Only moves stand between the comparison and its use: they keep the flags. */
static void lower_select(struct a64 *x, const struct ir_insn *in)
{
    enum a64_cc cc = a64_compare(x, in->type, in->aux, in->a, in->b);
    int c = a64_use_or_zero(x, in->c), d = a64_use_or_zero(x, in->d);
    a64_done(x, in->c);
    a64_done(x, in->d);
    a64_cond(&x->e, A64_CSEL, a64_def(x), c, d, cc);
}

bool a64_lower_compare(struct a64 *x, const struct ir_insn *in)
{
    if (in->op == IR_SETCC)
        lower_setcc(x, in);
    else
        lower_select(x, in);
    return true;
}
