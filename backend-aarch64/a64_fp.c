/* Arithmetic, minimum and maximum, signs; and the cold paths of all floats. */
#include "backend-aarch64/a64_fp.h"

#include "backend-aarch64/a64_call.h"

/* --- small results ------------------------------------------------------------------------------- */

struct cold_eval a64_keep(struct a64 *x, const struct ir_insn *in, int d, int a, int b, int c)
{
    const int8_t operand[3] = {(int8_t)a, (int8_t)b, (int8_t)c};
    struct cold_eval kept = {.dest = (int8_t)d};
    bool copied = false;
    for (unsigned k = 0; k < 3; k++)
        if (operand[k] == d && !copied) {
            a64_rr(&x->e, A64_FMOV_XD, X17, d);
            copied = true;
        }
    for (unsigned k = 0; k < 3; k++)
        kept.operand[k] = operand[k] == d ? (int8_t)X17 : operand[k];
    return kept;
}

void a64_check_tiny(struct a64 *x, const struct ir_insn *in, const struct cold_eval *kept)
{
    struct a64_buf *e = &x->e;
    struct cold_path *c = a64_cold(x, COLD_TINY);
    c->eval = *kept;
    a64_bits_of(x, in, X16, kept->dest);
    if (a64_single(in)) /* an exponent of 0 or 1 */
        a64_logical(e, a64_w(A64_ANDSI), A64_ZR, X16, UINT32_C(0x7f000000));
    else
        a64_logical(e, A64_ANDSI, A64_ZR, X16, UINT64_C(0x7fe0000000000000));
    c->from[0] = a64_bcond(e, A64_EQ);
    c->back = a64_pos(e);
}

/* Of a zero there is nothing to lose. */
static void back_if_zero(struct a64 *x, const struct cold_path *c, const struct ir_insn *in, int r)
{
    struct a64_buf *e = &x->e;
    const bool wide = in->op == IR_F2F || !a64_single(in); /* F2F: its operand is a double */
    if (r == X17)
        a64_logical(e, wide ? (uint32_t)A64_ANDSI : a64_w(A64_ANDSI), A64_ZR, X17,
                    wide ? INT64_MAX : INT32_MAX);
    else
        a64_rrr(e, wide ? a64_d(A64_FCMP_0) : (uint32_t)A64_FCMP_0, 0, r, 0);
    a64_link(e, a64_bcond(e, A64_EQ), c->back);
}

static void cold_tiny(struct a64 *x, const struct cold_path *c, const struct ir_insn *in)
{
    enum { FPSR_UFC = 3, IR_UF_BIT = 1 };
    struct a64_buf *e = &x->e;
    a64_mem(e, A64_LDRW, X16, R_STATE, A64_RUN(fp_flags));
    a64_link(e, a64_tb(e, A64_TBNZ, X16, IR_UF_BIT), c->back); /* no matter whether again */
    back_if_zero(x, c, in, c->eval.operand[0]);
    if (in->op == IR_FMUL || in->op == IR_FMA)
        back_if_zero(x, c, in, c->eval.operand[1]);
    a64_r(e, A64_MRS_FPSR, X16);
    a64_link(e, a64_tb(e, A64_TBZ, X16, FPSR_UFC), c->back);
    a64_logical(e, A64_ANDI, X16, X16, ~(UINT64_C(1) << FPSR_UFC));
    a64_r(e, A64_MSR_FPSR, X16);
    a64_eval(x, in, &c->eval);
}
_Static_assert(IR_FP_UF == 1 << 1, "as cold_tiny tests it");

/* --- arithmetic ---------------------------------------------------------------------------------- */

/* Sums that are tiny are exact. */
static bool lower_two(struct a64 *x, const struct ir_insn *in, uint32_t op, bool may_underflow)
{
    if (!a64_can_round(in))
        return false;
    int a = a64_use(x, in->a), b = a64_use(x, in->b);
    struct cold_eval kept;
    a64_done(x, in->a);
    a64_done(x, in->b);
    int d = a64_deff(x, may_underflow ? a64_not_lost(a, b, a) : 0);
    if (may_underflow)
        kept = a64_keep(x, in, d, a, b, REG_NONE);
    a64_round(x, in);
    a64_rrr(&x->e, a64_float(in, op), d, a, b);
    a64_round_back(x, in);
    if (may_underflow)
        a64_check_tiny(x, in, &kept);
    return true;
}

static bool lower_sqrt(struct a64 *x, const struct ir_insn *in)
{
    if (!a64_can_round(in))
        return false;
    int a = a64_use(x, in->a);
    a64_done(x, in->a);
    int d = a64_deff(x, 0);
    a64_round(x, in);
    a64_rr(&x->e, a64_float(in, A64_FSQRT), d, a);
    a64_round_back(x, in);
    return true;
}

static bool lower_fma(struct a64 *x, const struct ir_insn *in)
{
    /* by insn.imm: which of product and addend are negated */
    static const uint32_t op[4] = {A64_FMADD, A64_FMSUB, A64_FNMSUB, A64_FNMADD};
    if (!a64_can_round(in))
        return false;
    int a = a64_use(x, in->a), b = a64_use(x, in->b), c = a64_use(x, in->c);
    a64_done(x, in->a);
    a64_done(x, in->b);
    a64_done(x, in->c);
    int d = a64_deff(x, a64_not_lost(a, b, c));
    const struct cold_eval kept = a64_keep(x, in, d, a, b, c);
    a64_round(x, in);
    a64_rrrr(&x->e, a64_float(in, op[in->imm & 3]), d, a, b, c);
    a64_round_back(x, in);
    a64_check_tiny(x, in, &kept);
    return true;
}

/* --- minimum, maximum, signs --------------------------------------------------------------------- */

/* A signaling NaN and a number are the number in RISC-V, a NaN here. */
static bool lower_minmax(struct a64 *x, const struct ir_insn *in, uint32_t op)
{
    if (in->imm != IR_MINMAX_NUMBER)
        return false;
    struct a64_buf *e = &x->e;
    int a = a64_use(x, in->a), b = a64_use(x, in->b);
    a64_done(x, in->a);
    a64_done(x, in->b);
    int d = a64_deff(x, reg_bit(a) | reg_bit(b));
    struct cold_path *c = a64_cold(x, COLD_EVAL);
    c->eval = (struct cold_eval){.operand = {(int8_t)a, (int8_t)b, REG_NONE}, .dest = (int8_t)d};
    a64_rrr(e, a64_float(in, op), d, a, b);
    a64_rrr(e, a64_float(in, A64_FCMP), 0, d, d);
    c->from[0] = a64_bcond(e, A64_VS);
    c->back = a64_pos(e);
    return true;
}

static void sign_bit(struct a64 *x, const struct ir_insn *in, int t)
{
    if (a64_single(in)) {
        a64_r(&x->e, A64_MOVI_SIGNS, t);
    } else {
        a64_r(&x->e, A64_MOVI_0, t);
        a64_rr(&x->e, a64_d(A64_FNEG), t, t);
    }
}

static void lower_sgnj(struct a64 *x, const struct ir_insn *in)
{
    static const uint32_t of_itself[] = {A64_FMOV, A64_FNEG, A64_FABS};
    struct a64_buf *e = &x->e;
    int a = a64_use(x, in->a);
    if (in->a == in->b) { /* move, negate, magnitude */
        a64_done(x, in->a);
        a64_done(x, in->b);
        int d = a64_deff(x, 0);
        if (in->aux || d != a)
            a64_rr(e, a64_float(in, of_itself[in->aux]), d, a);
        return;
    }
    int b = a64_use(x, in->b), t = place_temp(&x->p, REG_VEC);
    sign_bit(x, in, t);
    a64_rrr(e, in->aux == 1 ? A64_BIC_V : A64_AND_V, t, t, b);
    a64_done(x, in->b);
    a64_done(x, in->a);
    int d = a64_deff(x, 0);
    if (in->aux == 2) {
        a64_rrr(e, A64_EOR_V, d, a, t);
    } else {
        a64_rr(e, a64_float(in, A64_FABS), d, a);
        a64_rrr(e, A64_ORR_V, d, d, t);
    }
}

bool a64_lower_arith(struct a64 *x, const struct ir_insn *in)
{
    if (!a64_knows_model(in))
        return false;
    switch (in->op) {
    case IR_FADD: return lower_two(x, in, A64_FADD, false);
    case IR_FSUB: return lower_two(x, in, A64_FSUB, false);
    case IR_FMUL: return lower_two(x, in, A64_FMUL, true);
    case IR_FDIV: return lower_two(x, in, A64_FDIV, true);
    case IR_FSQRT: return lower_sqrt(x, in);
    case IR_FMA: return lower_fma(x, in);
    case IR_FMIN: return lower_minmax(x, in, A64_FMINNM);
    case IR_FMAX: return lower_minmax(x, in, A64_FMAXNM);
    case IR_FSGNJ: lower_sgnj(x, in); return true;
    default: return false;
    }
}

/* --- cold paths ---------------------------------------------------------------------------------- */

/* What RISC-V has for a NaN: the largest integer of the kind, the default NaN of a single. */
static void cold_nan(struct a64 *x, const struct cold_path *c, const struct ir_insn *in)
{
    static const int64_t largest[] = {
        [IR_INT_W] = INT32_MAX, [IR_INT_WU] = -1, [IR_INT_L] = INT64_MAX, [IR_INT_LU] = -1};
    if (in->op == IR_F2I) {
        a64_constant(&x->e, c->dest, (uint64_t)largest[in->imm]);
    } else {
        a64_constant(&x->e, X16, UINT32_C(0x7fc00000));
        a64_rr(&x->e, A64_FMOV_SW, c->dest, X16);
    }
}

void a64_cold_fp(struct a64 *x, const struct cold_path *c)
{
    const struct ir_insn *in = &x->b->insn[c->insn];
    a64_cold_here(x, c);
    switch (c->kind) {
    case COLD_ZERO: a64_constant(&x->e, c->dest, 0); break;
    case COLD_NAN: cold_nan(x, c, in); break;
    case COLD_TINY: cold_tiny(x, c, in); break;
    default: a64_eval(x, in, &c->eval); break;
    }
    a64_cold_back(x, c);
}
