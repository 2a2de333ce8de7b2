#include "backend-aarch64/a64_round.h"

enum { FPCR_DEFAULT_NAN = 1 << 25, FPCR_ROUND_SHIFT = 22 };

uint32_t a64_fpcr(unsigned round)
{
    static const uint8_t mode[] = {[IR_RNE] = 0, [IR_RUP] = 1, [IR_RDN] = 2, [IR_RTZ] = 3};
    return FPCR_DEFAULT_NAN | (uint32_t)(round <= IR_RUP ? mode[round] : 0) << FPCR_ROUND_SHIFT;
}

static void change(struct a64 *x, uint32_t from, uint32_t to)
{
    if (from == to)
        return;
    a64_constant(&x->e, X16, to);
    a64_r(&x->e, A64_MSR_FPCR, X16);
}

void a64_round(struct a64 *x, const struct ir_insn *in)
{
    change(x, a64_fpcr(x->b->fp_round), a64_fpcr(in->aux));
}

void a64_round_back(struct a64 *x, const struct ir_insn *in)
{
    change(x, a64_fpcr(in->aux), a64_fpcr(x->b->fp_round));
}

/* --- flags --------------------------------------------------------------------------------------- */

static void lower_fpget(struct a64 *x)
{
    struct a64_buf *e = &x->e;
    int d = a64_def(x);
    if (!x->fp) { /* FPSR is the host's */
        a64_mem(e, A64_LDRW, d, R_STATE, A64_RUN(fp_flags));
        return;
    }
    a64_mem(e, A64_LDRW, X16, R_STATE, A64_RUN(fp_flags));
    a64_fpsr_flags(e, d);
    a64_rrr(e, A64_ORR, d, d, X16);
}

static void lower_fpset(struct a64 *x, const struct ir_insn *in)
{
    struct a64_buf *e = &x->e;
    a64_logical(e, A64_ANDI, X16, a64_use(x, in->a), 31);
    a64_mem(e, A64_STRW, X16, R_STATE, A64_RUN(fp_flags));
    if (x->fp)
        a64_r(e, A64_MSR_FPSR, A64_ZR);
    a64_done(x, in->a);
}

void a64_lower_flags(struct a64 *x, const struct ir_insn *in)
{
    if (in->op == IR_FPGET)
        lower_fpget(x);
    else
        lower_fpset(x, in);
}
