/* Comparisons of floats. */
#include "backend-x86_64/x64_fp.h"

/* lt and le are asked the other way round, as above and above or equal: false when unordered. */
static unsigned condition(const struct ir_insn *in)
{
    return in->op == IR_FEQ ? CC_E : in->op == IR_FLT ? CC_A : CC_AE;
}

static void compare(struct x64 *x, const struct ir_insn *in, int a, int b)
{
    if (in->op == IR_FEQ)
        x64_ucomis(&x->e, x64_single(in), a, b);
    else
        x64_op2(&x->e, (x64_single(in) ? 0u : X_66) | OP_COMIS, b, a);
}

/* A single's infinity, shifted as leave_if_nan() does it; that of a double is K_NANLIM. */
#define SINGLE_LIMIT (UINT32_C(0x7f800000) << 1)

/* Leaves if f is a NaN, which its bits tell. Returns the branch. */
static uint32_t leave_if_nan(struct x64 *x, const struct ir_insn *in, int f, int t)
{
    struct x64_buf *e = &x->e;
    unsigned w = x64_single(in) ? 0 : X_W;
    x64_from_vector(e, w, t, f);
    x64_rr(e, w | OP_ADD, t, t); /* without its sign */
    if (w)
        x64_rm(e, X_W | OP_CMP, t, x64_k(x, K_NANLIM), 0);
    else
        x64_alu_ri(e, 0, EXT_CMP, t, (int32_t)SINGLE_LIMIT);
    return x64_jcc(e, CC_A);
}

/* That raise nothing: NaNs are told before any FP instruction sees them. */
static void lower_silent(struct x64 *x, const struct ir_insn *in)
{
    int a = x64_use(x, in->a), b = x64_use(x, in->b), t = x64_temp(x);
    struct cold_path *c = x64_cold(x, COLD_ZERO);
    c->dest = (int8_t)t;
    c->from[0] = leave_if_nan(x, in, a, t);
    if (a != b)
        c->from[1] = leave_if_nan(x, in, b, t);
    compare(x, in, a, b);
    x64_setcc(&x->e, condition(in), t);
    c->back = x64_pos(&x->e);
    x64_done(x, in->a);
    x64_done(x, in->b);
    place_def_in(&x->p, t);
}

static void lower_equal(struct x64 *x, const struct ir_insn *in)
{
    struct x64_buf *e = &x->e;
    int a = x64_use(x, in->a), b = x64_use(x, in->b), t = x64_temp(x);
    compare(x, in, a, b);
    x64_done(x, in->a);
    x64_done(x, in->b);
    int d = x64_def(x, 0);
    x64_setcc_byte(e, CC_NP, t);
    x64_setcc_byte(e, CC_E, d);
    x64_rr(e, OP_AND, d, t);
    x64_rr(e, X_B | OP_MOVZX_B, d, d);
}

static void lower_less(struct x64 *x, const struct ir_insn *in)
{
    int a = x64_use(x, in->a), b = x64_use(x, in->b);
    compare(x, in, a, b);
    x64_done(x, in->a);
    x64_done(x, in->b);
    x64_setcc(&x->e, condition(in), x64_def(x, 0));
}

bool x64_lower_fcmp(struct x64 *x, const struct ir_insn *in)
{
    if (!x64_knows_model(in))
        return false;
    if (in->aux)
        lower_silent(x, in);
    else if (in->op == IR_FEQ)
        lower_equal(x, in);
    else
        lower_less(x, in);
    return true;
}
