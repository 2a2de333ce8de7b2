/* Calls to helpers, and the default helper for what has no lowering. */
#include "backend-x86_64/x64.h"

static void store_arg(struct x64 *x, unsigned k, ir_val v)
{
    struct x64_mem m = x64_run(x64_operand(k));
    if (x->v[v].flags & XV_FLOAT) {
        x64_rm(&x->e, X_66 | X_MAP_0F | 0xd6, x64_usef(x, v), m, 0);
    } else {
        struct x64_opnd o = x64_opnd(x, v);
        if (o.kind == O_MEM)
            o = (struct x64_opnd){.kind = O_REG, .reg = (int8_t)x64_use(x, v)};
        if (o.kind == O_IMM)
            x64_mov_mi(&x->e, X_W, m, o.imm);
        else
            x64_rm(&x->e, X_W | 0x89, o.reg, m, 0);
    }
    x64_done(x, v);
    x64_unlock(x);
}

static void row_call(struct x64 *x)
{
    x64_add_row(x, GW_ROW_CALL, x64_pos(&x->e));
}

void x64_lower_call(struct x64 *x, const struct ir_insn *in)
{
    const struct gw_helper *h = &x->job->cfg->isa->helpers[in->imm];
    const ir_val arg[3] = {in->a, in->b, in->c};
    for (unsigned k = 0; k < 3; k++)
        if (arg[k] != IR_NONE)
            store_arg(x, k, arg[k]);
    x64_spill_scratch(x);
    if (h->flags & GW_HELPER_WRITES)
        x64_rescue_all(x);
    if (h->flags & GW_HELPER_PC) {
        const struct ir_guest_insn *g = &x->b->guest[in->guest];
        x64_set_pc(x, x->b->pc + (uint64_t)(int64_t)(int32_t)g->pc_offset);
    }
    x64_call_to(&x->e, x64_thunk(x, T_HELPER + (unsigned)in->imm));
    row_call(x);
    if (in->uses) {
        x->lock_gpr |= (uint16_t)(1u << RAX);
        x64_def_in(x, RAX);
    }
}

void x64_lower_eval(struct x64 *x, const struct ir_insn *in)
{
    const ir_val arg[4] = {in->a, in->b, in->c, in->d};
    for (unsigned k = 0; k < 4; k++)
        if (arg[k] != IR_NONE)
            store_arg(x, k, arg[k]);
    x64_call_to(&x->e, x64_thunk(x, T_EVAL));
    for (unsigned k = 0; k < sizeof *in; k++) /* the thunk finds the instruction at its return */
        x64_u8(&x->e, ((const uint8_t *)in)[k]);
    struct x64_mem r = x64_run(x64_operand(0));
    char result = ir_op_info[in->op].result;
    if (result == 'F')
        x64_rm(&x->e, X_F3 | X_MAP_0F | 0x7e, x64_deff(x, 0), r, 0);
    else
        x64_rm(&x->e, X_W | 0x8b, x64_def(x, 0), r, 0);
}
