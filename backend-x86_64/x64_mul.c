/* Products and quotients. */
#include "backend-x86_64/x64.h"
#include "backend-x86_64/x64_int.h"

static void lower_mul(struct x64 *x, const struct ir_insn *in)
{
    unsigned w = x64_width(in);
    struct ir_insn m = *in;
    int64_t imm;
    if (place_is_const(&x->p, m.a, &imm)) {
        m.a = in->b;
        m.b = in->a;
    }
    struct place_operand b = x64_operand(x, m.b);
    struct place_operand a = x64_no_const(x, m.a, x64_operand(x, m.a));
    x64_done(x, m.a);
    x64_done(x, m.b);
    int d = x64_def(x, 0);
    if (b.kind == OPERAND_CONST) {
        if (a.kind == OPERAND_REG)
            x64_rr(&x->e, w | OP_IMUL_I32, d, a.reg);
        else
            x64_rm(&x->e, w | OP_IMUL_I32, d, x64_state(a.offset), 4);
        x64_u32(&x->e, (uint32_t)b.imm);
        return;
    }
    if (b.kind == OPERAND_REG && d == b.reg)
        b = a;
    else
        x64_load_operand(x, d, &a);
    x64_alu(x, w | OP_IMUL, d, &b);
}

/* rdx:rax = rax * b */
static bool lower_mulh(struct x64 *x, const struct ir_insn *in)
{
    int64_t imm = 0;
    bool konst = place_is_const(&x->p, in->b, &imm);
    if (in->type == IR_W32 || (konst && in->op == IR_MULHSU && !x64_fits32(imm)))
        return false;
    place_take(&x->p, RAX);
    place_take(&x->p, RDX);
    struct place_operand a = x64_operand(x, in->a);
    struct place_operand b = {.kind = OPERAND_CONST, .imm = (int32_t)imm};
    int ext = in->op == IR_MULHS ? EXT_IMUL : EXT_MUL;
    x64_load_operand(x, RAX, &a);
    if (konst) {
        x64_mov_ri(&x->e, RDX, (uint64_t)imm);
        x64_rr(&x->e, X_W | OP_GROUP3, ext, RDX);
    } else {
        b = x64_operand(x, in->b);
        if (b.kind == OPERAND_REG)
            x64_rr(&x->e, X_W | OP_GROUP3, ext, b.reg);
        else
            x64_rm(&x->e, X_W | OP_GROUP3, ext, x64_state(b.offset), 0);
    }
    if (in->op == IR_MULHSU) { /* a unsigned was 2^64 too much if negative: take b off the top */
        x64_load_operand(x, RAX, &a);
        x64_shift_ri(&x->e, X_W, EXT_SAR, RAX, 63);
        x64_alu(x, X_W | OP_AND, RAX, &b);
        x64_rr(&x->e, X_W | OP_SUB, RDX, RAX);
    }
    x64_done(x, in->a);
    x64_done(x, in->b);
    place_def_in(&x->p, RDX);
    return true;
}

/* By way of two vector registers. */
static bool lower_clmul(struct x64 *x, const struct ir_insn *in)
{
    struct x64_buf *e = &x->e;
    if (in->type != IR_I64 || !(x->features & X64_F_CLMUL))
        return false;
    int a = x64_use(x, in->a), b = x64_use(x, in->b), t = x64_tempf(x), u = x64_tempf(x);
    x64_vrr(e, X_W | OP_MOVD_FROM_INT, t, 0, a);
    x64_vrr(e, X_W | OP_MOVD_FROM_INT, u, 0, b);
    x64_vrr(e, OP_PCLMULQDQ_I, t, t, u);
    x64_u8(e, 0); /* of the low halves */
    x64_done(x, in->a);
    x64_done(x, in->b);
    int d = x64_def(x, 0);
    if (in->op == IR_CLMUL) {
        x64_vrr(e, X_W | OP_MOVD_TO_INT, t, 0, d);
    } else {
        x64_vrr(e, OP_PEXTRQ_I, t, 0, d);
        x64_u8(e, 1);
    }
    return true;
}

/* --- quotients: of rdx:rax, to rax and rdx ------------------------------------------------------- */

/* Leaves for the cold path where the divisor is 0, or -1 of a signed one. */
static struct cold_path *check_divisor(struct x64 *x, unsigned w, bool is_signed, int b)
{
    struct cold_path *c = x64_cold(x, COLD_DIVIDE);
    c->divisor = (int8_t)b;
    if (is_signed) {
        x64_rm(&x->e, w | OP_LEA, RDX, x64_at(b, 1), 0);
        x64_alu_ri(&x->e, w, EXT_CMP, RDX, 1);
        c->from[0] = x64_jcc(&x->e, CC_BE);
    } else {
        x64_rr(&x->e, w | OP_TEST, b, b);
        c->from[0] = x64_jcc(&x->e, CC_E);
    }
    return c;
}

static void lower_div(struct x64 *x, const struct ir_insn *in)
{
    unsigned w = x64_width(in);
    bool is_signed = in->op == IR_DIVS || in->op == IR_REMS;
    int64_t imm;
    bool safe = place_is_const(&x->p, in->b, &imm) &&
                (w ? imm != 0 && imm != -1 : (int32_t)imm != 0 && (int32_t)imm != -1);
    struct cold_path *c = NULL;
    place_take(&x->p, RAX);
    place_take(&x->p, RDX);
    struct place_operand a = x64_operand(x, in->a);
    x64_load_operand(x, RAX, &a);
    if (a.kind == OPERAND_REG && a.reg != RAX && a.reg != RDX)
        place_release(&x->p, a.reg); /* the divisor may want it */
    int b = x64_use(x, in->b);
    if (!safe)
        c = check_divisor(x, w, is_signed, b);
    if (is_signed) {
        x64_plain(&x->e, w | OP_CDQ);
        x64_rr(&x->e, w | OP_GROUP3, EXT_IDIV, b);
    } else {
        x64_zero(&x->e, RDX);
        x64_rr(&x->e, w | OP_GROUP3, EXT_DIV, b);
    }
    if (c)
        c->back = x64_pos(&x->e);
    x64_done(x, in->a);
    x64_done(x, in->b);
    place_def_in(&x->p, in->op == IR_DIVS || in->op == IR_DIVU ? RAX : RDX);
}

void x64_cold_divide(struct x64 *x, const struct cold_path *c)
{
    const struct ir_insn *in = &x->b->insn[c->insn];
    unsigned w = x64_width(in);
    struct x64_buf *e = &x->e;
    x64_cold_here(x, c);
    switch (in->op) {
    case IR_DIVU: x64_alu_ri(e, w, EXT_OR, RAX, -1); break;
    case IR_REMU: x64_rr(e, w | OP_MOV, RDX, RAX); break;
    case IR_DIVS: { /* divisor 0 or -1 */
        x64_rr(e, w | OP_TEST, c->divisor, c->divisor);
        uint32_t zero = x64_jcc(e, CC_E);
        x64_rr(e, w | OP_GROUP3, EXT_NEG, RAX);
        x64_cold_back(x, c);
        x64_link(e, zero, x64_pos(e));
        x64_alu_ri(e, w, EXT_OR, RAX, -1);
        break;
    }
    default: /* REMS: the dividend, or 0 */
        x64_zero(e, RDX);
        x64_rr(e, w | OP_TEST, c->divisor, c->divisor);
        x64_rr(e, w | OP_CMOV | CC_E, RDX, RAX);
        if (!w)
            x64_zext32(e, RDX, RDX);
        break;
    }
    x64_cold_back(x, c);
}

bool x64_lower_mul(struct x64 *x, const struct ir_insn *in)
{
    switch (in->op) {
    case IR_MUL: lower_mul(x, in); return true;
    case IR_MULHU:
    case IR_MULHS:
    case IR_MULHSU: return lower_mulh(x, in);
    case IR_CLMUL:
    case IR_CLMULH: return lower_clmul(x, in);
    case IR_DIVU:
    case IR_DIVS:
    case IR_REMU:
    case IR_REMS: lower_div(x, in); return true;
    default: return false;
    }
}
