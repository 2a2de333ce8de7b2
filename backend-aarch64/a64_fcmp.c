/* Comparisons of floats, and their classes. */
#include "backend-aarch64/a64_fp.h"

/* False when unordered. */
static enum a64_cc condition(const struct ir_insn *in)
{
    return in->op == IR_FEQ ? A64_EQ : in->op == IR_FLT ? A64_MI : A64_LS;
}

static void set(struct a64 *x, int d, enum a64_cc cc)
{
    a64_cond(&x->e, A64_CSINC, d, A64_ZR, A64_ZR, cc ^ 1);
}

/* Leaves if f is a NaN, which its bits tell. Returns the branch. */
static uint32_t leave_if_nan(struct a64 *x, const struct ir_insn *in, int f)
{
    struct a64_buf *e = &x->e;
    const bool wide = !a64_single(in);
    a64_bits_of(x, in, X16, f);
    a64_constant(e, X17, wide ? UINT64_C(0xffe0) << 48 : UINT64_C(0xff00) << 16); /* infinity's */
    a64_shifted(e, wide ? (uint32_t)A64_SUBS : a64_w(A64_SUBS), A64_ZR, X17, X16, A64_LSL_BY, 1);
    return a64_bcond(e, A64_LO);
}

/* That raise nothing: NaNs are told before any FP instruction sees them. */
static void lower_silent(struct a64 *x, const struct ir_insn *in)
{
    int a = a64_use(x, in->a), b = a64_use(x, in->b);
    a64_done(x, in->a);
    a64_done(x, in->b);
    int d = a64_def(x);
    struct cold_path *c = a64_cold(x, COLD_ZERO);
    c->dest = (int8_t)d;
    c->from[0] = leave_if_nan(x, in, a);
    if (a != b)
        c->from[1] = leave_if_nan(x, in, b);
    a64_rrr(&x->e, a64_float(in, A64_FCMP), 0, a, b);
    set(x, d, condition(in));
    c->back = a64_pos(&x->e);
}

/*
 * Of a magnitude, its bits shifted to the top, the class is counted by where classes begin: 4 for zero, then
 * subnormal, normal, infinite, signaling and quiet, which are their positive bits; a negative number's is what 7
 * complements.
 */
static void lower_fclass(struct a64 *x, const struct ir_insn *in)
{
    static const uint16_t begin[2][3] = {{0x0020, 0xffe0, 0xfff0}, {0x0100, 0xff00, 0xff80}};
    struct a64_buf *e = &x->e;
    const bool single = a64_single(in);
    int a = a64_use(x, in->a), m = place_temp(&x->p, REG_INT), n = place_temp(&x->p, REG_INT);
    a64_bits_of(x, in, X16, a);
    a64_bits(e, A64_UBFM, m, X16, single ? 31 : 63, single ? 30 : 62); /* LSL by 33, 1 */
    a64_constant(e, n, 4);
    a64_imm12(e, A64_SUBSI, A64_ZR, m, 0);
    a64_cond(e, A64_CSINC, n, n, n, A64_EQ);
    for (unsigned k = 0; k < 3; k++) {
        a64_constant(e, X17, (uint64_t)begin[single][k] << 48);
        a64_rrr(e, A64_SUBS, A64_ZR, m, X17);
        a64_cond(e, A64_CSINC, n, n, n, A64_LO);
        if (k == 1) /* infinity, and what is above it */
            a64_cond(e, A64_CSINC, n, n, n, A64_LS);
    }
    a64_bits(e, single ? a64_w(A64_SBFM) : (uint32_t)A64_SBFM, X16, X16, single ? 31 : 63,
             single ? 31 : 63);
    a64_logical(e, A64_ANDI, X16, X16, 7);
    a64_rrr(e, A64_EOR, X16, X16, n);
    a64_imm12(e, A64_SUBSI, A64_ZR, n, 8); /* NaNs have no sign */
    a64_cond(e, A64_CSEL, n, X16, n, A64_LO);
    a64_constant(e, X16, 1);
    a64_done(x, in->a);
    place_release(&x->p, m);
    place_offer(&x->p, n);
    a64_rrr(e, A64_LSL, a64_def(x), X16, n);
}

bool a64_lower_fcmp(struct a64 *x, const struct ir_insn *in)
{
    if (in->op == IR_FCLASS) {
        lower_fclass(x, in);
        return true;
    }
    if (!a64_knows_model(in))
        return false;
    if (in->aux) {
        lower_silent(x, in);
        return true;
    }
    int a = a64_use(x, in->a), b = a64_use(x, in->b);
    a64_rrr(&x->e, a64_float(in, in->op == IR_FEQ ? A64_FCMP : A64_FCMPE), 0, a, b);
    a64_done(x, in->a);
    a64_done(x, in->b);
    set(x, a64_def(x), condition(in));
    return true;
}
