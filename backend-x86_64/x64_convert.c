/* Conversions: to and from integers, between the formats, of bits. */
#include "backend-x86_64/x64_fp.h"

/* Leaves for the cold path where a is unordered, or not in 0 .. 2^32 or 2^63; u is scratch. */
static void check_unsigned(struct x64 *x, const struct ir_insn *in, struct cold_path *c, int a,
                           int u)
{
    struct x64_buf *e = &x->e;
    bool single = x64_single(in);
    unsigned limit =
        in->imm == IR_INT_WU ? (single ? K_2P32_32 : K_2P32_64) : (single ? K_2P63_32 : K_2P63_64);
    x64_op2_m(e, (single ? 0u : X_66) | OP_UCOMIS, a, x64_k(x, limit));
    c->from[0] = x64_jcc(e, CC_AE);
    c->from[1] = x64_jcc(e, CC_P);
    x64_op3(e, OP_XORPS, u, u, u);
    x64_ucomis(e, single, a, u);
    c->from[2] = x64_jcc(e, CC_B);
}

/* Float to integer. The host's answer for what does not fit is the smallest integer, and it raises
 * invalid just as the IR wants; unsigned ranges are checked first, so no stray flag is raised. */
static bool lower_f2i(struct x64 *x, const struct ir_insn *in)
{
    bool trunc = in->aux == IR_RTZ, is_signed = in->imm == IR_INT_W || in->imm == IR_INT_L;
    if (!trunc && !x64_rounds(x, in))
        return false;
    if (in->imm == IR_INT_WU && !trunc && !x64_single(in))
        return false; /* may round up to 2^32, which must not raise inexact */
    struct x64_buf *e = &x->e;
    int a = x64_use(x, in->a);
    unsigned op = x64_scalar(in) | (trunc ? OP_CVTTS2SI : OP_CVTS2SI);
    unsigned w = in->imm == IR_INT_W ? 0 : X_W; /* 32 bits unsigned fit 64 */
    struct cold_path *c = x64_cold(x, COLD_EVAL);
    int t = x64_temp(x);
    c->eval = (struct cold_eval){.operand = {(int8_t)a}, .dest = (int8_t)t};
    if (!is_signed)
        check_unsigned(x, in, c, a, x64_tempf(x));
    x64_op2(e, op | w, t, a);
    if (is_signed) {
        x64_alu_ri(e, w, EXT_CMP, t, 1); /* overflows for the smallest integer only */
        c->from[0] = x64_jcc(e, CC_O);
    }
    if (in->imm == IR_INT_W || in->imm == IR_INT_WU)
        x64_rr(e, OP_MOVSXD, t, t);
    c->back = x64_pos(e);
    x64_done(x, in->a);
    place_def_in(&x->p, t);
    return true;
}

static bool lower_i2f(struct x64 *x, const struct ir_insn *in)
{
    bool exact = !x64_single(in) && (in->imm == IR_INT_W || in->imm == IR_INT_WU);
    if (in->imm == IR_INT_LU || (!exact && !x64_rounds(x, in)))
        return false;
    struct x64_buf *e = &x->e;
    int a = x64_use(x, in->a);
    unsigned w = in->imm == IR_INT_W ? 0 : X_W;
    if (in->imm == IR_INT_WU) {
        int t = x64_temp(x);
        x64_zext32(e, t, a);
        a = t;
    }
    x64_done(x, in->a);
    int d = x64_deff(x, 0);
    x64_op3(e, OP_XORPS, d, d, d); /* no dependence on what d held */
    x64_op3(e, x64_scalar(in) | OP_CVTSI2S | w, d, d, a);
    return true;
}

static void make_default(struct x64 *x, int d, unsigned cc)
{
    struct cold_path *c = x64_cold(x, COLD_NAN);
    c->dest = (int8_t)d;
    c->from[0] = x64_jcc(&x->e, cc);
    c->back = x64_pos(&x->e);
}

static bool lower_f2f(struct x64 *x, const struct ir_insn *in)
{
    if (x64_single(in) && !x64_rounds(x, in))
        return false;
    int a = x64_use(x, in->a);
    x64_done(x, in->a);
    int d = x64_deff(x, 0);
    x64_op1(&x->e, (x64_single(in) ? X_SD : X_SS) | OP_CVTS2S, d, a);
    x64_ucomis(&x->e, x64_single(in), d, d);
    make_default(x, d, CC_P);
    return true;
}

static void lower_fbits(struct x64 *x, const struct ir_insn *in)
{
    int a = x64_use(x, in->a);
    x64_done(x, in->a);
    x64_from_vector(&x->e, x64_single(in) ? 0 : X_W, x64_def(x, 0), a);
}

static void lower_bitsf(struct x64 *x, const struct ir_insn *in)
{
    int a = x64_use(x, in->a);
    x64_done(x, in->a);
    x64_to_vector(&x->e, x64_single(in) ? 0 : X_W, x64_deff(x, 0), a);
}

static void lower_unbox(struct x64 *x, const struct ir_insn *in)
{
    struct x64_buf *e = &x->e;
    int a = x64_use(x, in->a);
    int t = x64_temp(x);
    x64_from_vector(e, X_W, t, a);
    x64_shift_ri(e, X_W, EXT_SHR, t, 32);
    x64_alu_ri(e, 0, EXT_CMP, t, -1);
    x64_done(x, in->a);
    int d = x64_deff(x, 0);
    x64_movf(e, d, a);
    make_default(x, d, CC_NE);
}

static void lower_box(struct x64 *x, const struct ir_insn *in)
{
    /* the high half of a single's register is unknown: clear, then set it */
    int a = x64_use(x, in->a);
    x64_done(x, in->a);
    x64_op3_m(&x->e, OP_ORPS, x64_deff(x, 0), a, x64_k(x, K_BOX));
}

bool x64_lower_convert(struct x64 *x, const struct ir_insn *in)
{
    if (!x64_knows_model(in))
        return false;
    switch (in->op) {
    case IR_F2I: return lower_f2i(x, in);
    case IR_I2F: return lower_i2f(x, in);
    case IR_F2F: return lower_f2f(x, in);
    case IR_FBITS: lower_fbits(x, in); return true;
    case IR_BITSF: lower_bitsf(x, in); return true;
    case IR_UNBOX: lower_unbox(x, in); return true;
    case IR_BOX: lower_box(x, in); return true;
    default: return false;
    }
}
