/*
 * Floating point on SSE. MXCSR holds the guest's rounding mode and gathers its flags, so the common
 * path of an operation is the host's instruction and a test for NaN. What the host does not do as
 * the IR demands leaves for a cold path: the canonical NaN, or ir_eval.
 */
#include "backend-x86_64/x64.h"

enum { SS = X_F3 | X_MAP_0F, SD = X_F2 | X_MAP_0F, PS = X_MAP_0F, PD = X_66 | X_MAP_0F };

static bool is64(const struct ir_insn *in)
{
    return in->type == IR_F64;
}

static uint16_t fbit(int r)
{
    return (uint16_t)(1u << r);
}

/* d = a op b; d != b unless AVX or d == a. */
static void op3(struct x64 *x, unsigned op, int d, int a, int b)
{
    if (x->features & X64_F_AVX) {
        x64_vrr(&x->e, op, d, a, b);
    } else {
        x64_movf_rr(x, d, a);
        x64_rr(&x->e, op, d, b);
    }
}

static void op3_k(struct x64 *x, unsigned op, int d, int a, unsigned k)
{
    if (x->features & X64_F_AVX) {
        x64_vrm(&x->e, op, d, a, x64_k(x, k), 0);
    } else {
        x64_movf_rr(x, d, a);
        x64_rm(&x->e, op, d, x64_k(x, k), 0);
    }
}

static void op2(struct x64 *x, unsigned op, int reg, int rm)
{
    if (x->features & X64_F_AVX)
        x64_vrr(&x->e, op, reg, 0, rm);
    else
        x64_rr(&x->e, op, reg, rm);
}

static void op2_k(struct x64 *x, unsigned op, int reg, unsigned k)
{
    if (x->features & X64_F_AVX)
        x64_vrm(&x->e, op, reg, 0, x64_k(x, k), 0);
    else
        x64_rm(&x->e, op, reg, x64_k(x, k), 0);
}

/* ucomis (0x2e) or comis (0x2f) */
static void compare(struct x64 *x, const struct ir_insn *in, unsigned op, int a, int b)
{
    op2(x, (is64(in) ? X_66 : 0) | X_MAP_0F | op, a, b);
}

/* Is the result only ever an operand of arithmetic that makes its own NaN canonical? Then nobody sees
 * which NaN it is. A PUT of it would be a use too. */
static bool feeds_arithmetic(const struct x64 *x)
{
    const struct ir_insn *in = &x->b->insn[x->i];
    enum { LOOK_AHEAD = 24 };
    if (in->uses != 1)
        return false;
    for (uint32_t n = x->i + 1; n < x->b->count && n < x->i + LOOK_AHEAD; n++) {
        const struct ir_insn *u = &x->b->insn[n];
        if (u->a != x->i && u->b != x->i && u->c != x->i && u->d != x->i)
            continue;
        return u->op >= IR_FADD && u->op <= IR_FSQRT && u->type == in->type &&
               u->aux == x->b->fp_round;
    }
    return false;
}

/* Makes a NaN result canonical. The host's flags are the right ones already. */
static void check_nan(struct x64 *x, const struct ir_insn *in, int d)
{
    compare(x, in, 0x2e, d, d);
    struct x64_cold *c = x64_cold(x, COLD_NAN);
    c->from = x64_jcc(&x->e, CC_P);
    c->dest = (uint8_t)d;
    c->back = x64_pos(&x->e);
}

/* The same for arithmetic, but as late as may be. */
static void check_later(struct x64 *x, const struct ir_insn *in, int d)
{
    if (feeds_arithmetic(x))
        x->nan_check = x->nan_pending; /* d speaks for nobody */
    else
        x64_nan_result(x, d, !is64(in));
    x->nan_consumed = 0;
}

/* Where the cold path recomputes by ir_eval: operands are still in fa, fb, fc. */
static struct x64_cold *eval_path(struct x64 *x, int fa, int fb, int fc)
{
    struct x64_cold *c = x64_cold(x, COLD_EVAL);
    c->a = (uint8_t)fa;
    c->b = (uint8_t)fb;
    c->c = (uint8_t)fc;
    return c;
}

static void lower_arith(struct x64 *x, const struct ir_insn *in, unsigned op)
{
    unsigned o = (is64(in) ? SD : SS) | op;
    int a = x64_usef(x, in->a), b = x64_usef(x, in->b);
    x64_done(x, in->a);
    x64_done(x, in->b);
    bool avx = x->features & X64_F_AVX;
    x->nan_consumed = fbit(a) | fbit(b);
    int d = x64_deff(x, !avx && a != b ? fbit(b) : 0);
    op3(x, o, d, a, b);
    check_later(x, in, d);
}

static void lower_sqrt(struct x64 *x, const struct ir_insn *in)
{
    int a = x64_usef(x, in->a);
    x64_done(x, in->a);
    x->nan_consumed = fbit(a);
    int d = x64_deff(x, 0);
    unsigned op = (is64(in) ? SD : SS) | 0x51;
    if (x->features & X64_F_AVX)
        x64_vrr(&x->e, op, d, a, a);
    else
        x64_rr(&x->e, op, d, a);
    check_later(x, in, d);
}

/*
 * The NaN rules of a fused operation differ (inf * 0 + NaN), so NaNs go to ir_eval. The result may
 * take an operand's register: what that held is kept in a temporary, for the cold path alone.
 */
static bool lower_fma(struct x64 *x, const struct ir_insn *in)
{
    if (!(x->features & X64_F_FMA) || !(x->features & X64_F_AVX))
        return false;
    /* xmm1 = xmm2 * xmm3 + xmm1 and xmm1 = xmm2 * xmm1 + xmm3: madd, nmadd, msub, nmsub */
    static const uint8_t op231[4] = {0xb9, 0xbd, 0xbb, 0xbf};
    static const uint8_t op213[4] = {0xa9, 0xad, 0xab, 0xaf};
    unsigned op = X_66 | X_MAP_38 | (is64(in) ? X_W : 0);
    int a = x64_usef(x, in->a), b = x64_usef(x, in->b), c = x64_usef(x, in->c);
    int t = x64_tempf(x);
    x64_done(x, in->a);
    x64_done(x, in->b);
    x64_done(x, in->c);
    int d = x64_deff(x, 0);
    struct x64_cold *k = eval_path(x, a == d ? t : a, b == d ? t : b, c == d ? t : c);
    if (d == a || d == b || d == c)
        x64_movf_rr(x, t, d);
    if (d == a || d == b) {
        x64_vrr(&x->e, op | op213[in->imm & 3], d, d == a ? b : a, c);
    } else {
        x64_movf_rr(x, d, c);
        x64_vrr(&x->e, op | op231[in->imm & 3], d, a, b);
    }
    compare(x, in, 0x2e, d, d);
    k->from = x64_jcc(&x->e, CC_P);
    k->dest = (uint8_t)d;
    k->back = x64_pos(&x->e);
    return true;
}

static void lower_minmax(struct x64 *x, const struct ir_insn *in)
{
    int a = x64_usef(x, in->a), b = x64_usef(x, in->b);
    bool min = in->op == IR_FMIN;
    int t = x64_tempf(x); /* before the branch: making room must be on both ways */
    compare(x, in, 0x2e, a, b);
    struct x64_cold *c = eval_path(x, a, b, 0);
    c->kind = COLD_MINMAX;
    c->from = x64_jcc(&x->e, CC_E); /* equal or unordered */
    op3(x, (is64(in) ? SD : SS) | (min ? 0x5d : 0x5f), t, a, b);
    c->dest = (uint8_t)t;
    c->back = x64_pos(&x->e);
    x64_done(x, in->a);
    x64_done(x, in->b);
    x->temp_xmm &= (uint16_t)~fbit(t);
    x->lock_xmm = fbit(t);
    int d = x64_deff(x, 0);
    x64_movf_rr(x, d, t);
}

static void lower_sgnj(struct x64 *x, const struct ir_insn *in)
{
    unsigned sign = is64(in) ? K_SIGN64 : K_SIGN32, mag = is64(in) ? K_ABS64 : K_ABS32;
    enum { AND = PS | 0x54, OR = PS | 0x56, XOR = PS | 0x57 };
    int a = x64_usef(x, in->a);
    if (in->a == in->b) { /* move, negate, magnitude */
        x64_done(x, in->a);
        x64_done(x, in->b);
        int d = x64_deff(x, 0);
        if (in->aux == 0)
            x64_movf_rr(x, d, a);
        else
            op3_k(x, in->aux == 1 ? XOR : AND, d, a, in->aux == 1 ? sign : mag);
        return;
    }
    int b = x64_usef(x, in->b);
    int t = x64_tempf(x);
    op3_k(x, AND, t, b, sign);
    if (in->aux == 1)
        op3_k(x, XOR, t, t, sign);
    x64_done(x, in->b);
    x64_done(x, in->a);
    int d = x64_deff(x, 0);
    if (in->aux == 2) {
        op3(x, XOR, d, a, t);
    } else {
        op3_k(x, AND, d, a, mag);
        op3(x, OR, d, d, t);
    }
}

/* Comparisons that raise nothing: NaNs are told by their bits before any FP instruction sees them. */
static void lower_silent_fcmp(struct x64 *x, const struct ir_insn *in)
{
    struct x64_buf *e = &x->e;
    int a = x64_usef(x, in->a), b = x64_usef(x, in->b), t = x64_temp(x);
    struct x64_cold *c = x64_cold(x, COLD_ZERO);
    for (int k = 0; k < 2 && (k == 0 || a != b); k++) {
        unsigned w = is64(in) ? X_W : 0;
        x64_rr(e, X_66 | X_MAP_0F | w | 0x7e, k ? b : a, t);
        x64_rr(e, w | 0x03, t, t);
        if (w)
            x64_rm(e, X_W | 0x3b, t, x64_k(x, K_NANLIM), 0);
        else
            x64_alu_ri(e, 0, 7, t, (int32_t)0xff000000);
        *(k ? &c->from2 : &c->from) = x64_jcc(e, CC_A);
    }
    if (in->op == IR_FEQ)
        compare(x, in, 0x2e, a, b);
    else
        compare(x, in, 0x2f, b, a);
    x64_rr(e,
           X_MAP_0F | X_B | 0x90 |
               (in->op == IR_FEQ   ? CC_E
                : in->op == IR_FLT ? CC_A
                                   : CC_AE),
           0, t);
    x64_rr(e, X_MAP_0F | X_B | 0xb6, t, t);
    c->dest = (uint8_t)t;
    c->back = x64_pos(e);
    x64_done(x, in->a);
    x64_done(x, in->b);
    x64_def_in(x, t);
}

static void lower_fcmp(struct x64 *x, const struct ir_insn *in)
{
    if (in->aux) {
        lower_silent_fcmp(x, in);
        return;
    }
    int a = x64_usef(x, in->a), b = x64_usef(x, in->b);
    struct x64_buf *e = &x->e;
    if (in->op == IR_FEQ) {
        int t = x64_temp(x);
        compare(x, in, 0x2e, a, b);
        x64_done(x, in->a);
        x64_done(x, in->b);
        int d = x64_def(x, 0);
        x64_rr(e, X_MAP_0F | X_B | 0x90 | CC_NP, 0, t);
        x64_rr(e, X_MAP_0F | X_B | 0x90 | CC_E, 0, d);
        x64_rr(e, 0x23, d, t);
        x64_rr(e, X_MAP_0F | X_B | 0xb6, d, d);
        return;
    }
    compare(x, in, 0x2f, b, a); /* a < b: b above a; false when unordered */
    x64_done(x, in->a);
    x64_done(x, in->b);
    int d = x64_def(x, 0);
    x64_rr(e, X_MAP_0F | X_B | 0x90 | (in->op == IR_FLT ? CC_A : CC_AE), 0, d);
    x64_rr(e, X_MAP_0F | X_B | 0xb6, d, d);
}

/* Float to integer. The host's answer for what does not fit is the smallest integer, and it raises
 * invalid just as the IR wants; unsigned ranges are checked first, so no stray flag is raised. */
static bool lower_f2i(struct x64 *x, const struct ir_insn *in)
{
    bool trunc = in->aux == IR_RTZ;
    if (!trunc && in->aux != x->b->fp_round)
        return false;
    unsigned kind = (unsigned)in->imm;
    if (kind == IR_INT_WU && !trunc && is64(in))
        return false; /* may round up to 2^32, which must not raise inexact */
    struct x64_buf *e = &x->e;
    int a = x64_usef(x, in->a);
    unsigned op = (is64(in) ? SD : SS) | (trunc ? 0x2c : 0x2d);
    struct x64_cold *c = eval_path(x, a, 0, 0);
    c->value_kind = 1; /* integer result */
    int t = x64_temp(x);
    if (kind == IR_INT_WU || kind == IR_INT_LU) {
        int u = x64_tempf(x);
        unsigned lim = kind == IR_INT_WU ? (is64(in) ? K_2P32_64 : K_2P32_32)
                                         : (is64(in) ? K_2P63_64 : K_2P63_32);
        op2_k(x, (is64(in) ? X_66 : 0) | X_MAP_0F | 0x2e, a, lim);
        c->from = x64_jcc(e, CC_AE);
        c->from2 = x64_jcc(e, CC_P);
        op3(x, PS | 0x57, u, u, u);
        compare(x, in, 0x2e, a, u);
        c->from3 = x64_jcc(e, CC_B);
        if (x->features & X64_F_AVX)
            x64_vrr(e, op | X_W, t, 0, a);
        else
            x64_rr(e, op | X_W, t, a);
        if (kind == IR_INT_WU)
            x64_rr(e, X_W | 0x63, t, t);
    } else {
        unsigned w = kind == IR_INT_L ? X_W : 0;
        if (x->features & X64_F_AVX)
            x64_vrr(e, op | w, t, 0, a);
        else
            x64_rr(e, op | w, t, a);
        x64_alu_ri(e, w, 7, t, 1); /* overflows for the smallest integer only */
        c->from = x64_jcc(e, CC_O);
        if (!w)
            x64_rr(e, X_W | 0x63, t, t);
    }
    c->dest = (uint8_t)t;
    c->back = x64_pos(e);
    x64_done(x, in->a);
    x64_def_in(x, t);
    return true;
}

static bool lower_i2f(struct x64 *x, const struct ir_insn *in)
{
    unsigned kind = (unsigned)in->imm;
    bool exact = is64(in) && (kind == IR_INT_W || kind == IR_INT_WU);
    if (kind == IR_INT_LU || (!exact && in->aux != x->b->fp_round))
        return false;
    struct x64_buf *e = &x->e;
    int a = x64_use(x, in->a);
    unsigned op = (is64(in) ? SD : SS) | 0x2a, w = kind == IR_INT_W ? 0 : X_W;
    if (kind == IR_INT_WU) {
        int t = x64_temp(x);
        x64_rr(e, 0x8b, t, a);
        a = t;
    }
    x64_done(x, in->a);
    int d = x64_deff(x, 0);
    op3(x, PS | 0x57, d, d, d); /* no dependence on what d held */
    if (x->features & X64_F_AVX)
        x64_vrr(e, op | w, d, d, a);
    else
        x64_rr(e, op | w, d, a);
    return true;
}

static bool lower_f2f(struct x64 *x, const struct ir_insn *in)
{
    if (!is64(in) && in->aux != x->b->fp_round)
        return false;
    int a = x64_usef(x, in->a);
    x64_done(x, in->a);
    int d = x64_deff(x, 0);
    unsigned op = (is64(in) ? SS : SD) | 0x5a;
    if (x->features & X64_F_AVX)
        x64_vrr(&x->e, op, d, a, a);
    else
        x64_rr(&x->e, op, d, a);
    check_nan(x, in, d);
    return true;
}

static void lower_fbits(struct x64 *x, const struct ir_insn *in)
{
    int a = x64_usef(x, in->a);
    x64_done(x, in->a);
    int d = x64_def(x, 0);
    x64_rr(&x->e, X_66 | X_MAP_0F | (is64(in) ? X_W : 0) | 0x7e, a, d);
}

static void lower_bitsf(struct x64 *x, const struct ir_insn *in)
{
    int a = x64_use(x, in->a);
    x64_done(x, in->a);
    int d = x64_deff(x, 0);
    x64_rr(&x->e, X_66 | X_MAP_0F | (is64(in) ? X_W : 0) | 0x6e, d, a);
}

static void lower_unbox(struct x64 *x, const struct ir_insn *in)
{
    struct x64_buf *e = &x->e;
    int a = x64_usef(x, in->a);
    int t = x64_temp(x);
    x64_rr(e, X_66 | X_MAP_0F | X_W | 0x7e, a, t);
    x64_shift_ri(e, X_W, 5, t, 32);
    x64_alu_ri(e, 0, 7, t, -1);
    x64_done(x, in->a);
    int d = x64_deff(x, 0);
    x64_movf_rr(x, d, a);
    struct x64_cold *c = x64_cold(x, COLD_NAN);
    c->from = x64_jcc(e, CC_NE);
    c->dest = (uint8_t)d;
    c->back = x64_pos(e);
}

static void lower_box(struct x64 *x, const struct ir_insn *in)
{
    /* the high half of a single's register is unknown: clear, then set it */
    int a = x64_usef(x, in->a);
    x64_done(x, in->a);
    int d = x64_deff(x, 0);
    op3_k(x, PS | 0x56, d, a, K_BOX);
}

/* The flags raised so far, in t, from MXCSR; u is scratch. Slow: it waits for all FP work. */
static void gather(struct x64 *x, int t, int u)
{
    struct x64_buf *e = &x->e;
    struct x64_mem tmp = x64_run(X64_HOST(mxcsr_now));
    x64_alu_mi(e, X_W, 0, x64_run(X64_RUN(fp_gathers)), 1);
    x64_rm(e, X_MAP_0F | 0xae, 3, tmp, 0); /* stmxcsr */
    x64_rm(e, 0x8b, t, tmp, 0);
    x64_alu_ri(e, 0, 4, t, 63);
    x64_rm(e, X_W | 0x8d, u, x64_k(x, K_MXCSR_MAP), 0);
    x64_rm(e, X_MAP_0F | 0xb6, t, x64_sib(u, t, 0, 0), 0);
    x64_rm(e, 0x0b, t, x64_run(X64_RUN(fp_flags)), 0);
}

/* Leaves to the cold path, which gathers, unless exceptions trap: then run.fp_flags has it all. */
static uint32_t unless_trapping(struct x64 *x)
{
    x64_alu_mi(&x->e, 0, 7, x64_run(X64_RUN(fp_trap)), 0);
    return x64_jcc(&x->e, CC_E);
}

static void lower_fpget(struct x64 *x)
{
    int t = x64_temp(x), u = x64_temp(x);
    struct x64_cold *c = x64_cold(x, COLD_FPGET);
    c->from = unless_trapping(x);
    c->dest = (uint8_t)t;
    c->a = (uint8_t)u;
    x64_rm(&x->e, 0x8b, t, x64_run(X64_RUN(fp_flags)), 0);
    c->back = x64_pos(&x->e);
    x64_def_in(x, t);
}

/* Mostly the flags are put back as they are: then MXCSR, slow to load, stays as it is too. */
static void lower_fpset(struct x64 *x, const struct ir_insn *in)
{
    int v = x64_use(x, in->a);
    int t = x64_temp(x), u = x64_temp(x);
    struct x64_cold *c = x64_cold(x, COLD_FLAGS);
    c->from = unless_trapping(x);
    x64_rr(&x->e, 0x8b, u, v);
    x64_alu_ri(&x->e, 0, 4, u, 31);
    x64_rm(&x->e, 0x3b, u, x64_run(X64_RUN(fp_flags)), 0);
    c->from2 = x64_jcc(&x->e, CC_NE);
    c->back = x64_pos(&x->e);
    c->a = (uint8_t)u;
    c->b = (uint8_t)v;
    c->dest = (uint8_t)t;
    x64_done(x, in->a);
}

bool x64_lower_fp(struct x64 *x, const struct ir_insn *in)
{
    bool round_ok = in->aux == x->b->fp_round;
    if (ir_op_info[in->op].flags & IRF_FP && in->fp_model != IR_FPM_RISCV)
        return false;
    switch (in->op) {
    case IR_FADD:
    case IR_FSUB:
    case IR_FMUL:
    case IR_FDIV: {
        static const uint8_t op[] = {0x58, 0x5c, 0x59, 0x5e};
        if (!round_ok)
            return false;
        lower_arith(x, in, op[in->op - IR_FADD]);
        return true;
    }
    case IR_FSQRT:
        if (round_ok)
            lower_sqrt(x, in);
        return round_ok;
    case IR_FMA: return round_ok && lower_fma(x, in);
    case IR_FMIN:
    case IR_FMAX:
        if (in->imm == IR_MINMAX_NUMBER)
            lower_minmax(x, in);
        return in->imm == IR_MINMAX_NUMBER;
    case IR_FSGNJ: lower_sgnj(x, in); return true;
    case IR_FEQ:
    case IR_FLT:
    case IR_FLE: lower_fcmp(x, in); return true;
    case IR_F2I: return lower_f2i(x, in);
    case IR_I2F: return lower_i2f(x, in);
    case IR_F2F: return lower_f2f(x, in);
    case IR_FBITS: lower_fbits(x, in); return true;
    case IR_BITSF: lower_bitsf(x, in); return true;
    case IR_FPGET: lower_fpget(x); return true;
    case IR_FPSET: lower_fpset(x, in); return true;
    case IR_UNBOX: lower_unbox(x, in); return true;
    case IR_BOX: lower_box(x, in); return true;
    default: return false;
    }
}

static void store_operand(struct x64 *x, unsigned k, int xmm)
{
    x64_rm(&x->e, X_66 | X_MAP_0F | 0xd6, xmm, x64_run(x64_operand(k)), 0);
}

/* FPSET: from, no exception traps; from2, they do, and the flags in register a are others. */
static void cold_flags(struct x64 *x, struct x64_cold *c)
{
    struct x64_buf *e = &x->e;
    int t = c->dest, u = c->a;
    x64_link(e, c->from, x64_pos(e));
    gather(x, t, u);
    x64_rr(e, 0x8b, u, c->b);
    x64_alu_ri(e, 0, 4, u, 31);
    x64_rr(e, 0x3b, t, u);
    x64_link(e, x64_jcc(e, CC_E), c->back);
    x64_link(e, c->from2, x64_pos(e));
    x64_mov_mi(e, 0, x64_run(X64_RUN(fp_trap)), 0);
    x64_rm(e, 0x8b, t, x64_run(X64_RUN(fp_control_quiet)), 0);
    x64_rm(e, 0x89, t, x64_run(X64_RUN(fp_control)), 0);
    x64_rm(e, 0x89, u, x64_run(X64_RUN(fp_flags)), 0);
    x64_rm(e, X_MAP_0F | 0xae, 2, x64_run(X64_RUN(fp_control)), 0); /* ldmxcsr: none raised */
    x64_link(e, x64_jmp(e), c->back);
}

void x64_cold_fp(struct x64 *x, struct x64_cold *c)
{
    struct x64_buf *e = &x->e;
    const struct ir_insn *in = &x->b->insn[c->insn];
    if (c->kind == COLD_FLAGS) {
        cold_flags(x, c);
        return;
    }
    if (c->from)
        x64_link(e, c->from, x64_pos(e));
    if (c->from2)
        x64_link(e, c->from2, x64_pos(e));
    if (c->from3)
        x64_link(e, c->from3, x64_pos(e));
    if (c->kind == COLD_ZERO) {
        x64_rr(e, 0x33, c->dest, c->dest);
        x64_link(e, x64_jmp(e), c->back);
        return;
    }
    if (c->kind == COLD_FPGET) {
        gather(x, c->dest, c->a);
        x64_link(e, x64_jmp(e), c->back);
        return;
    }
    if (c->kind == COLD_NAN) {
        bool wide = in->type == IR_F64;
        x64_rm(e, X_F3 | X_MAP_0F | 0x7e, c->dest, x64_k(x, wide ? K_NAN64 : K_NAN32), 0);
        x64_link(e, x64_jmp(e), c->back);
        return;
    }
    if (c->kind == COLD_MINMAX) { /* equal: the sign bit decides between zeros */
        uint32_t nan = x64_jcc(e, CC_P);
        op3(x, PS | (in->op == IR_FMIN ? 0x56 : 0x54), c->dest, c->a, c->b);
        x64_link(e, x64_jmp(e), c->back);
        x64_link(e, nan, x64_pos(e));
    }
    store_operand(x, 0, c->a);
    if (in->b != IR_NONE)
        store_operand(x, 1, c->b);
    if (in->c != IR_NONE)
        store_operand(x, 2, c->c);
    x64_call_to(e, x64_thunk(x, T_EVAL));
    for (unsigned k = 0; k < sizeof *in; k++) /* the thunk finds the instruction at its return */
        x64_u8(e, ((const uint8_t *)in)[k]);
    struct x64_mem r = x64_run(x64_operand(0));
    if (c->value_kind)
        x64_rm(e, X_W | 0x8b, c->dest, r, 0);
    else
        x64_rm(e, X_F3 | X_MAP_0F | 0x7e, c->dest, r, 0);
    x64_link(e, x64_jmp(e), c->back);
}
