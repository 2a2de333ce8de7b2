/* Arithmetic, minimum and maximum, signs; and the cold paths of all floats. */
#include "backend-x86_64/x64_fp.h"

#include "backend-x86_64/x64.h"
#include "backend-x86_64/x64_call.h"

/* Is the result only ever an operand of arithmetic that makes its own NaN the default one? Then nobody
 * sees which NaN it is. A PUT of it would be a use too. */
static bool feeds_arithmetic(const struct x64 *x, const struct ir_insn *in)
{
    enum { LOOK_AHEAD = 24 };
    uint32_t i = x->p.i;
    if (in->uses != 1)
        return false;
    for (uint32_t n = i + 1; n < x->b->count && n < i + LOOK_AHEAD; n++) {
        const struct ir_insn *u = &x->b->insn[n];
        if (u->a == i || u->b == i || u->c == i || u->d == i)
            return u->op >= IR_FADD && u->op <= IR_FSQRT && u->type == in->type && x64_rounds(x, u);
    }
    return false;
}

/* Makes a NaN result the default one, as late as may be. The host's flags are the right ones already. */
static void check_later(struct x64 *x, const struct ir_insn *in, int d)
{
    if (feeds_arithmetic(x, in))
        nans_unseen(&x->p.nans);
    else
        nans_result(&x->p.nans, d, x64_single(in));
    x->p.nans.consumed = 0;
}

static bool lower_two(struct x64 *x, const struct ir_insn *in, unsigned op)
{
    if (!x64_can_round(x, in))
        return false;
    int a = x64_use(x, in->a), b = x64_use(x, in->b), t = x64_round_temp(x, in);
    x64_done(x, in->a);
    x64_done(x, in->b);
    x->p.nans.consumed = reg_bit(a) | reg_bit(b);
    bool apart = !(x->features & X64_F_AVX) && a != b;
    int d = x64_deff(x, apart ? reg_bit(b) : 0);
    x64_round(x, in, t);
    x64_op3(&x->e, x64_scalar(in) | op, d, a, b);
    x64_round_back(x, in);
    check_later(x, in, d);
    return true;
}

static bool lower_sqrt(struct x64 *x, const struct ir_insn *in)
{
    if (!x64_can_round(x, in))
        return false;
    int a = x64_use(x, in->a), t = x64_round_temp(x, in);
    x64_done(x, in->a);
    x->p.nans.consumed = reg_bit(a);
    int d = x64_deff(x, 0);
    x64_round(x, in, t);
    x64_op1(&x->e, x64_scalar(in) | OP_SQRTS, d, a);
    x64_round_back(x, in);
    check_later(x, in, d);
    return true;
}

/*
 * The NaN rules of a fused operation differ (inf * 0 + NaN), so NaNs go to ir_eval. The result may
 * take an operand's register: what that held is kept in a temporary, for the cold path alone.
 */
static bool lower_fma(struct x64 *x, const struct ir_insn *in)
{
    /* by insn.imm: which of product and addend are negated */
    static const unsigned op231[4] = {OP_FMADD231S, OP_FNMADD231S, OP_FMSUB231S, OP_FNMSUB231S};
    static const unsigned op213[4] = {OP_FMADD213S, OP_FNMADD213S, OP_FMSUB213S, OP_FNMSUB213S};
    unsigned w = x64_single(in) ? 0 : X_W;
    if (!x64_can_round(x, in) || !(x->features & X64_F_FMA) || !(x->features & X64_F_AVX))
        return false;
    int a = x64_use(x, in->a), b = x64_use(x, in->b), c = x64_use(x, in->c);
    int t = x64_tempf(x), control = x64_round_temp(x, in);
    x64_done(x, in->a);
    x64_done(x, in->b);
    x64_done(x, in->c);
    int d = x64_deff(x, 0);
    struct cold_path *k = x64_cold(x, COLD_EVAL);
    k->eval = (struct cold_eval){
        .operand = {(int8_t)(a == d ? t : a), (int8_t)(b == d ? t : b), (int8_t)(c == d ? t : c)},
        .dest = (int8_t)d};
    if (d == a || d == b || d == c)
        x64_movf(&x->e, t, d);
    x64_round(x, in, control);
    if (d == a || d == b) {
        x64_vrr(&x->e, w | op213[in->imm & 3], d, d == a ? b : a, c);
    } else {
        x64_movf(&x->e, d, c);
        x64_vrr(&x->e, w | op231[in->imm & 3], d, a, b);
    }
    x64_round_back(x, in);
    x64_ucomis(&x->e, x64_single(in), d, d);
    k->from[0] = x64_jcc(&x->e, CC_P);
    k->back = x64_pos(&x->e);
    return true;
}

static bool lower_minmax(struct x64 *x, const struct ir_insn *in, unsigned op)
{
    if (in->imm != IR_MINMAX_NUMBER)
        return false;
    int a = x64_use(x, in->a), b = x64_use(x, in->b);
    int t = x64_tempf(x); /* before the branch: making room must be on both ways */
    x64_ucomis(&x->e, x64_single(in), a, b);
    struct cold_path *c = x64_cold(x, COLD_MINMAX);
    c->eval = (struct cold_eval){.operand = {(int8_t)a, (int8_t)b}, .dest = (int8_t)t};
    c->from[0] = x64_jcc(&x->e, CC_E); /* equal or unordered */
    x64_op3(&x->e, x64_scalar(in) | op, t, a, b);
    c->back = x64_pos(&x->e);
    x64_done(x, in->a);
    x64_done(x, in->b);
    place_offer(&x->p, t);
    place_release(&x->p, a);
    place_release(&x->p, b);
    int d = x64_deff(x, 0);
    x64_movf(&x->e, d, t);
    return true;
}

static void lower_sgnj(struct x64 *x, const struct ir_insn *in)
{
    struct x64_buf *e = &x->e;
    struct x64_mem sign = x64_k(x, x64_single(in) ? K_SIGN32 : K_SIGN64);
    struct x64_mem magnitude = x64_k(x, x64_single(in) ? K_ABS32 : K_ABS64);
    int a = x64_use(x, in->a);
    if (in->a == in->b) { /* move, negate, magnitude */
        x64_done(x, in->a);
        x64_done(x, in->b);
        int d = x64_deff(x, 0);
        if (in->aux == 0)
            x64_movf(e, d, a);
        else if (in->aux == 1)
            x64_op3_m(e, OP_XORPS, d, a, sign);
        else
            x64_op3_m(e, OP_ANDPS, d, a, magnitude);
        return;
    }
    int b = x64_use(x, in->b);
    int t = x64_tempf(x);
    x64_op3_m(e, OP_ANDPS, t, b, sign);
    if (in->aux == 1)
        x64_op3_m(e, OP_XORPS, t, t, sign);
    x64_done(x, in->b);
    x64_done(x, in->a);
    int d = x64_deff(x, 0);
    if (in->aux == 2) {
        x64_op3(e, OP_XORPS, d, a, t);
    } else {
        x64_op3_m(e, OP_ANDPS, d, a, magnitude);
        x64_op3(e, OP_ORPS, d, d, t);
    }
}

bool x64_lower_arith(struct x64 *x, const struct ir_insn *in)
{
    if (!x64_knows_model(in))
        return false;
    switch (in->op) {
    case IR_FADD: return lower_two(x, in, OP_ADDS);
    case IR_FSUB: return lower_two(x, in, OP_SUBS);
    case IR_FMUL: return lower_two(x, in, OP_MULS);
    case IR_FDIV: return lower_two(x, in, OP_DIVS);
    case IR_FSQRT: return lower_sqrt(x, in);
    case IR_FMA: return lower_fma(x, in);
    case IR_FMIN: return lower_minmax(x, in, OP_MINS);
    case IR_FMAX: return lower_minmax(x, in, OP_MAXS);
    case IR_FSGNJ: lower_sgnj(x, in); return true;
    default: return false;
    }
}

/* Equal operands: the sign bit decides between zeros. NaNs are ir_eval's. */
static void cold_minmax(struct x64 *x, const struct cold_path *c, const struct ir_insn *in)
{
    struct x64_buf *e = &x->e;
    uint32_t nan = x64_jcc(e, CC_P);
    unsigned op = in->op == IR_FMIN ? OP_ORPS : OP_ANDPS;
    x64_op3(e, op, c->eval.dest, c->eval.operand[0], c->eval.operand[1]);
    x64_cold_back(x, c);
    x64_link(e, nan, x64_pos(e));
    x64_eval(x, in, &c->eval);
}

void x64_cold_fp(struct x64 *x, const struct cold_path *c)
{
    const struct ir_insn *in = &x->b->insn[c->insn];
    x64_cold_here(x, c);
    switch (c->kind) {
    case COLD_ZERO: x64_zero(&x->e, c->dest); break;
    case COLD_NAN:
        x64_loadq_sse(&x->e, c->dest, x64_k(x, x64_single(in) ? K_NAN32 : K_NAN64));
        break;
    case COLD_MINMAX: cold_minmax(x, c, in); break;
    default: x64_eval(x, in, &c->eval); break;
    }
    x64_cold_back(x, c);
}
