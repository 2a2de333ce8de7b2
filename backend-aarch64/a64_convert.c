/* Conversions: to and from integers, between the formats, of bits. */
#include "backend-aarch64/a64_fp.h"

enum { UNSIGNED = 1 << 16 }; /* of the opcodes */

static bool is_wide(const struct ir_insn *in)
{
    return in->imm == IR_INT_L || in->imm == IR_INT_LU;
}
static bool is_unsigned(const struct ir_insn *in)
{
    return in->imm == IR_INT_WU || in->imm == IR_INT_LU;
}

/* What fits no integer becomes the nearest one and raises invalid alone, as in RISC-V; but for NaNs. */
static bool lower_f2i(struct a64 *x, const struct ir_insn *in)
{
    static const uint32_t op[] = {[IR_RNE] = A64_FCVTNS,
                                  [IR_RTZ] = A64_FCVTZS,
                                  [IR_RDN] = A64_FCVTMS,
                                  [IR_RUP] = A64_FCVTPS,
                                  [IR_RMM] = A64_FCVTAS};
    struct a64_buf *e = &x->e;
    int a = a64_use(x, in->a);
    a64_done(x, in->a);
    int d = a64_def(x);
    struct cold_path *c = a64_cold(x, COLD_NAN);
    c->dest = (int8_t)d;
    uint32_t how = a64_float(in, op[in->aux]) | (is_unsigned(in) ? UNSIGNED : 0u);
    a64_rr(e, is_wide(in) ? a64_x(how) : how, d, a);
    a64_rrr(e, a64_float(in, A64_FCMP), 0, a, a);
    c->from[0] = a64_bcond(e, A64_VS);
    if (!is_wide(in))
        a64_bits(e, A64_SBFM, d, d, 0, 31);
    c->back = a64_pos(e);
    return true;
}

static bool lower_i2f(struct a64 *x, const struct ir_insn *in)
{
    const bool exact = !a64_single(in) && !is_wide(in);
    if (!exact && !a64_can_round(in))
        return false;
    uint32_t op = a64_float(in, is_unsigned(in) ? A64_UCVTF : A64_SCVTF);
    int a = a64_use_or_zero(x, in->a);
    a64_done(x, in->a);
    int d = a64_deff(x, 0);
    if (!exact)
        a64_round(x, in);
    a64_rr(&x->e, is_wide(in) ? a64_x(op) : op, d, a);
    if (!exact)
        a64_round_back(x, in);
    return true;
}

static bool lower_f2f(struct a64 *x, const struct ir_insn *in)
{
    if (a64_single(in) && !a64_can_round(in))
        return false;
    int a = a64_use(x, in->a);
    a64_done(x, in->a);
    int d = a64_deff(x, a64_single(in) ? a64_not_lost(a, a, a) : 0);
    if (!a64_single(in)) {
        a64_rr(&x->e, A64_FCVT_DS, d, a);
        return true;
    }
    const struct cold_eval kept = a64_keep(x, in, d, a, REG_NONE, REG_NONE);
    a64_round(x, in);
    a64_rr(&x->e, A64_FCVT_SD, d, a);
    a64_round_back(x, in);
    a64_check_tiny(x, in, &kept);
    return true;
}

static bool lower_frint(struct a64 *x, const struct ir_insn *in)
{
    static const uint32_t silent[] = {[IR_RNE] = A64_FRINTN,
                                      [IR_RTZ] = A64_FRINTZ,
                                      [IR_RDN] = A64_FRINTM,
                                      [IR_RUP] = A64_FRINTP,
                                      [IR_RMM] = A64_FRINTA};
    if (in->imm && !a64_can_round(in))
        return false;
    int a = a64_use(x, in->a);
    a64_done(x, in->a);
    int d = a64_deff(x, 0);
    if (in->imm)
        a64_round(x, in);
    a64_rr(&x->e, a64_float(in, in->imm ? A64_FRINTX : silent[in->aux]), d, a);
    if (in->imm)
        a64_round_back(x, in);
    return true;
}

static void lower_fbits(struct a64 *x, const struct ir_insn *in)
{
    int a = a64_use(x, in->a);
    a64_done(x, in->a);
    a64_bits_of(x, in, a64_def(x), a);
}

static void lower_bitsf(struct a64 *x, const struct ir_insn *in)
{
    int a = a64_use_or_zero(x, in->a);
    a64_done(x, in->a);
    a64_rr(&x->e, a64_single(in) ? A64_FMOV_SW : A64_FMOV_DX, a64_deff(x, 0), a);
}

static void lower_unbox(struct a64 *x, const struct ir_insn *in)
{
    struct a64_buf *e = &x->e;
    int a = a64_use(x, in->a);
    a64_done(x, in->a);
    int d = a64_deff(x, 0);
    struct cold_path *c = a64_cold(x, COLD_NAN);
    c->dest = (int8_t)d;
    a64_rr(e, A64_FMOV_XD, X16, a);
    a64_shifted(e, A64_ORN, X16, A64_ZR, X16, A64_ASR_BY, 32);
    if (d != a)
        a64_rr(e, A64_FMOV, d, a);
    c->from[0] = a64_cb(e, A64_CBNZ, X16);
    c->back = a64_pos(e);
}

static void lower_box(struct a64 *x, const struct ir_insn *in)
{
    /* the high half of a single's register is unknown */
    int a = a64_use(x, in->a);
    a64_done(x, in->a);
    a64_rrr(&x->e, A64_ORR_V, a64_deff(x, 0), a, V_BOX);
}

bool a64_lower_convert(struct a64 *x, const struct ir_insn *in)
{
    if (!a64_knows_model(in))
        return false;
    switch (in->op) {
    case IR_F2I: return lower_f2i(x, in);
    case IR_I2F: return lower_i2f(x, in);
    case IR_F2F: return lower_f2f(x, in);
    case IR_FRINT: return lower_frint(x, in);
    case IR_FBITS: lower_fbits(x, in); return true;
    case IR_BITSF: lower_bitsf(x, in); return true;
    case IR_UNBOX: lower_unbox(x, in); return true;
    case IR_BOX: lower_box(x, in); return true;
    default: return false;
    }
}
