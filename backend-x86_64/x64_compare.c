/* Comparisons of integers. */
#include "backend-x86_64/x64_compare.h"

/* By condition: the host's, and the one for exchanged operands. */
static const struct {
    uint8_t cc, exchanged;
} conditions[] = {
    [IR_EQ] = {CC_E, CC_E},   [IR_NE] = {CC_NE, CC_NE}, [IR_LT] = {CC_L, CC_G},
    [IR_GE] = {CC_GE, CC_LE}, [IR_LTU] = {CC_B, CC_A},  [IR_GEU] = {CC_AE, CC_BE},
    [IR_LE] = {CC_LE, CC_GE}, [IR_GT] = {CC_G, CC_L},   [IR_LEU] = {CC_BE, CC_AE},
    [IR_GTU] = {CC_A, CC_B},
};

unsigned x64_compare(struct x64 *x, enum ir_type type, enum ir_cond cc, ir_val av, ir_val bv)
{
    unsigned w = type == IR_W32 ? 0 : X_W, result = conditions[cc].cc;
    int64_t imm;
    if (place_is_const(&x->p, av, &imm) && !place_is_const(&x->p, bv, &imm)) {
        ir_val t = av;
        av = bv;
        bv = t;
        result = conditions[cc].exchanged;
    }
    struct place_operand b = x64_operand(x, bv);
    struct place_operand a = x64_no_const(x, av, x64_operand(x, av));
    if (b.kind == OPERAND_STATE)
        a = x64_no_memory(x, av, a);
    if (a.kind == OPERAND_STATE) {
        if (b.kind == OPERAND_CONST)
            x64_alu_mi(&x->e, w, EXT_CMP, x64_state(a.offset), b.imm);
        else
            x64_rm(&x->e, w | OP_CMP_MR, b.reg, x64_state(a.offset), 0);
    } else if (b.kind == OPERAND_CONST && b.imm == 0) {
        x64_rr(&x->e, w | OP_TEST, a.reg, a.reg);
    } else {
        x64_alu(x, w | OP_CMP, a.reg, &b);
    }
    x64_done(x, av);
    x64_done(x, bv);
    place_release_operands(&x->p); /* what is left of them is in the flags */
    return result;
}

static void lower_setcc(struct x64 *x, const struct ir_insn *in)
{
    unsigned cc = x64_compare(x, in->type, in->aux, in->a, in->b);
    x64_setcc(&x->e, cc, x64_def(x, 0));
}

/* Only moves stand between the comparison and its use: they keep the flags. */
static void lower_select(struct x64 *x, const struct ir_insn *in)
{
    unsigned cc = x64_compare(x, in->type, in->aux, in->a, in->b);
    struct place_operand t = x64_no_const(x, in->c, x64_operand(x, in->c));
    struct place_operand f = x64_operand(x, in->d);
    x64_done(x, in->c);
    x64_done(x, in->d);
    bool same = f.kind == OPERAND_REG && t.kind == OPERAND_REG && f.reg == t.reg;
    int d = x64_def(x, t.kind == OPERAND_REG && !same ? reg_bit(t.reg) : 0);
    x64_load_operand(x, d, &f);
    x64_alu(x, X_W | OP_CMOV | cc, d, &t);
}

bool x64_lower_compare(struct x64 *x, const struct ir_insn *in)
{
    switch (in->op) {
    case IR_SETCC: lower_setcc(x, in); return true;
    case IR_SELECT: lower_select(x, in); return true;
    default: return false;
    }
}
