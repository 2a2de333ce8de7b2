/* Rounding by a mode of the operation's own. */
#include "backend-x86_64/x64_round.h"

#include "backend-x86_64/x64.h"

uint32_t x64_unless_trapping(struct x64 *x)
{
    x64_alu_mi(&x->e, 0, EXT_CMP, X64_RUN(fp_trap), 0);
    return x64_jcc(&x->e, CC_E);
}

static int32_t turned(const struct x64 *x, const struct ir_insn *in)
{
    static const int32_t control[] = {[IR_RNE] = 0, [IR_RDN] = 1, [IR_RUP] = 2, [IR_RTZ] = 3};
    return (control[in->aux] ^ control[x->b->fp_round]) << 13;
}

/* Where no exception traps MXCSR has flags that nothing else has, and reading it is slow. */
static struct cold_path *unless_all_flags_are_known(struct x64 *x)
{
    struct cold_path *c = x64_cold(x, COLD_ROUND);
    c->from[0] = x64_unless_trapping(x);
    return c;
}

int x64_round_temp(struct x64 *x, const struct ir_insn *in)
{
    return x64_rounds(x, in) ? 0 : x64_temp(x);
}

void x64_round(struct x64 *x, const struct ir_insn *in, int t)
{
    struct x64_buf *e = &x->e;
    if (x64_rounds(x, in))
        return;
    struct cold_path *c = unless_all_flags_are_known(x);
    x64_rm(e, OP_MOV, t, X64_RUN(fp_control), 0);
    x64_alu_ri(e, 0, EXT_XOR, t, turned(x, in));
    x64_rm(e, OP_MOV_MR, t, X64_HOST(mxcsr_now), 0);
    x64_ldmxcsr(e, X64_HOST(mxcsr_now));
    c->back = x64_pos(e);
}

void x64_round_back(struct x64 *x, const struct ir_insn *in)
{
    if (x64_rounds(x, in))
        return;
    struct cold_path *c = unless_all_flags_are_known(x); /* of what the operation may have trapped by */
    x64_ldmxcsr(&x->e, X64_RUN(fp_control));
    c->back = x64_pos(&x->e);
}

/* Either way. It counts as a reading: many of them are a reason to let exceptions trap. */
void x64_cold_round(struct x64 *x, const struct cold_path *c)
{
    struct x64_buf *e = &x->e;
    x64_cold_here(x, c);
    x64_alu_mi(e, X_W, EXT_ADD, X64_RUN(fp_gathers), 1);
    x64_stmxcsr(e, X64_HOST(mxcsr_now));
    x64_alu_mi(e, 0, EXT_XOR, X64_HOST(mxcsr_now), turned(x, &x->b->insn[c->insn]));
    x64_ldmxcsr(e, X64_HOST(mxcsr_now));
    x64_cold_back(x, c);
}
