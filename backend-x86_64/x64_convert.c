/* Conversions: to and from integers, between the formats, of bits. */
#include "backend-x86_64/x64.h"
#include "backend-x86_64/x64_fp.h"

/* d = the integral value next to a. inexact: raises it if that is another. */
static void round_to_integral(struct x64 *x, const struct ir_insn *in, int d, int a, bool inexact)
{
    static const uint8_t mode[] = {[IR_RNE] = 0, [IR_RTZ] = 3, [IR_RDN] = 1, [IR_RUP] = 2};
    x64_op3(&x->e, x64_single(in) ? OP_ROUNDSS_I : OP_ROUNDSD_I, d, a, a);
    x64_u8(&x->e, mode[in->aux] | (inexact ? 0u : 8u));
}
static bool can_round_to_integral(const struct x64 *x, const struct ir_insn *in)
{
    return in->aux <= IR_RUP && x->features & X64_F_AVX;
}

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

/*
 * Float to integer. The host's answer for what does not fit is the smallest integer, and it raises
 * invalid just as the IR wants; unsigned ranges are checked first, so no stray flag is raised.
 *
 * Where MXCSR's rounding is not the operation's, or might round 32 bits up to 2^32, an integral value is
 * made first, silently. When that is known to fit, a conversion of the operand itself raises what
 * inexact there is.
 */
static bool lower_f2i(struct x64 *x, const struct ir_insn *in)
{
    bool trunc = in->aux == IR_RTZ, is_signed = in->imm == IR_INT_W || in->imm == IR_INT_L;
    bool twice = !trunc && (!x64_rounds(x, in) || (in->imm == IR_INT_WU && !x64_single(in)));
    if (twice && !can_round_to_integral(x, in))
        return false;
    struct x64_buf *e = &x->e;
    int a = x64_use(x, in->a), whole = a;
    unsigned op = x64_scalar(in) | (trunc || twice ? OP_CVTTS2SI : OP_CVTS2SI);
    unsigned w = in->imm == IR_INT_W ? 0 : X_W; /* 32 bits unsigned fit 64 */
    struct cold_path *c = x64_cold(x, COLD_EVAL);
    int t = x64_temp(x), u = twice ? x64_temp(x) : t;
    c->eval = (struct cold_eval){.operand = {(int8_t)a}, .dest = (int8_t)t};
    if (twice) {
        whole = x64_tempf(x);
        round_to_integral(x, in, whole, a, false);
    }
    if (!is_signed)
        check_unsigned(x, in, c, whole, x64_tempf(x));
    x64_op2(e, op | w, t, whole);
    if (is_signed) {
        x64_alu_ri(e, w, EXT_CMP, t, 1); /* overflows for the smallest integer only */
        c->from[0] = x64_jcc(e, CC_O);
    }
    if (twice)
        x64_op2(e, op | w, u, a);
    if (in->imm == IR_INT_W || in->imm == IR_INT_WU)
        x64_rr(e, OP_MOVSXD, t, t);
    c->back = x64_pos(e);
    x64_done(x, in->a);
    place_def_in(&x->p, t);
    return true;
}

/* Beyond the signed integers: half of it, with what that loses in the lowest bit so that it rounds as
 * the whole would, and then twice that. */
static bool lower_u64(struct x64 *x, const struct ir_insn *in)
{
    struct x64_buf *e = &x->e;
    unsigned cvt = x64_scalar(in) | OP_CVTSI2S | X_W;
    int a = x64_use(x, in->a), t = x64_temp(x), u = x64_round_temp(x, in);
    x64_done(x, in->a);
    int d = x64_deff(x, 0);
    x64_round(x, in, u);
    struct cold_path *c = x64_cold(x, COLD_HALF);
    c->eval = (struct cold_eval){.operand = {(int8_t)a, (int8_t)t}, .dest = (int8_t)d};
    x64_op3(e, OP_XORPS, d, d, d);
    x64_rr(e, X_W | OP_TEST, a, a);
    c->from[0] = x64_jcc(e, CC_S);
    x64_op3(e, cvt, d, d, a);
    c->back = x64_pos(e);
    x64_round_back(x, in);
    return true;
}

static void cold_half(struct x64 *x, const struct cold_path *c, const struct ir_insn *in)
{
    struct x64_buf *e = &x->e;
    int t = c->eval.operand[1], d = c->eval.dest;
    x64_mov(e, t, c->eval.operand[0]);
    x64_shift_ri(e, X_W, EXT_SHR, t, 1);
    uint32_t even = x64_jcc(e, CC_AE);
    x64_alu_ri(e, X_W, EXT_OR, t, 1);
    x64_link(e, even, x64_pos(e));
    x64_op3(e, x64_scalar(in) | OP_CVTSI2S | X_W, d, d, t);
    x64_op3(e, x64_scalar(in) | OP_ADDS, d, d, d);
}

void x64_cold_convert(struct x64 *x, const struct cold_path *c)
{
    x64_cold_here(x, c);
    cold_half(x, c, &x->b->insn[c->insn]);
    x64_cold_back(x, c);
}

static bool lower_i2f(struct x64 *x, const struct ir_insn *in)
{
    bool exact = !x64_single(in) && (in->imm == IR_INT_W || in->imm == IR_INT_WU);
    if (!exact && !x64_can_round(x, in))
        return false;
    if (in->imm == IR_INT_LU)
        return lower_u64(x, in);
    struct x64_buf *e = &x->e;
    int a = x64_use(x, in->a), u = exact ? 0 : x64_round_temp(x, in);
    unsigned w = in->imm == IR_INT_W ? 0 : X_W;
    if (in->imm == IR_INT_WU) {
        int t = x64_temp(x);
        x64_zext32(e, t, a);
        a = t;
    }
    x64_done(x, in->a);
    int d = x64_deff(x, 0);
    if (!exact)
        x64_round(x, in, u);
    x64_op3(e, OP_XORPS, d, d, d); /* no dependence on what d held */
    x64_op3(e, x64_scalar(in) | OP_CVTSI2S | w, d, d, a);
    if (!exact)
        x64_round_back(x, in);
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
    if (x64_single(in) && !x64_can_round(x, in))
        return false;
    int a = x64_use(x, in->a), t = x64_single(in) ? x64_round_temp(x, in) : 0;
    x64_done(x, in->a);
    int d = x64_deff(x, 0);
    if (x64_single(in))
        x64_round(x, in, t);
    x64_op1(&x->e, (x64_single(in) ? X_SD : X_SS) | OP_CVTS2S, d, a);
    if (x64_single(in))
        x64_round_back(x, in);
    x64_ucomis(&x->e, x64_single(in), d, d);
    make_default(x, d, CC_P);
    return true;
}

static bool lower_frint(struct x64 *x, const struct ir_insn *in)
{
    if (!can_round_to_integral(x, in))
        return false;
    int a = x64_use(x, in->a);
    x64_done(x, in->a);
    int d = x64_deff(x, 0);
    round_to_integral(x, in, d, a, in->imm != 0);
    x64_ucomis(&x->e, x64_single(in), d, d);
    make_default(x, d, CC_P);
    return true;
}

/*
 * Of a magnitude, shifted left by one, its high 32 bits tell the class, if the lowest of them stands for
 * all that follow. Classes are counted by where they begin: 4 for zero, then subnormal, normal, infinite,
 * signaling and quiet, which are their positive bits; a negative number's is what 7 complements.
 */
static void lower_fclass(struct x64 *x, const struct ir_insn *in)
{
    static const uint32_t begin[2][5] = {
        {1, 0x00200000, 0xffe00000, 0xffe00001, 0xfff00000},
        {1, 0x01000000, 0xff000000, 0xff000001, 0xff800000},
    };
    struct x64_buf *e = &x->e;
    bool single = x64_single(in);
    int a = x64_use(x, in->a), t = x64_temp(x), h = x64_temp(x), n = x64_temp(x);
    if (single) {
        x64_from_vector(e, 0, h, a);
        x64_rr(e, OP_ADD, h, h);
    } else {
        x64_from_vector(e, X_W, t, a);
        x64_mov(e, h, t);
        x64_shift_ri(e, X_W, EXT_SHR, h, 32);
        x64_rr(e, OP_GROUP3, EXT_NEG, t); /* carry: of the low half, anything is set */
        x64_rr(e, OP_ADC, h, h);
    }
    x64_mov_ri(e, n, 4);
    for (unsigned k = 0; k < 5; k++) {
        x64_alu_ri(e, 0, EXT_CMP, h, (int32_t)begin[single][k]);
        x64_alu_ri(e, 0, EXT_SBB, n, -1);
    }
    x64_from_vector(e, single ? 0 : X_W, h, a);
    x64_shift_ri(e, single ? 0 : X_W, EXT_SAR, h, single ? 31 : 63);
    x64_alu_ri(e, 0, EXT_AND, h, 7);
    x64_rr(e, OP_XOR, h, n);
    x64_alu_ri(e, 0, EXT_CMP, n, 8); /* NaNs have no sign */
    x64_rr(e, OP_CMOV | CC_B, n, h);
    x64_zero(e, t);
    x64_rr(e, OP_BTS_MR, n, t);
    x64_done(x, in->a);
    place_def_in(&x->p, t);
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
    case IR_FRINT: return lower_frint(x, in);
    case IR_FCLASS: lower_fclass(x, in); return true;
    case IR_FBITS: lower_fbits(x, in); return true;
    case IR_BITSF: lower_bitsf(x, in); return true;
    case IR_UNBOX: lower_unbox(x, in); return true;
    case IR_BOX: lower_box(x, in); return true;
    default: return false;
    }
}
