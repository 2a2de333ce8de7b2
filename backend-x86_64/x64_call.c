#include "backend-x86_64/x64_call.h"

static struct x64_mem slot(unsigned k)
{
    return x64_state(x64_operand_offset(k));
}

static void store_arg(struct x64 *x, unsigned k, ir_val v)
{
    if (place_is_float(&x->p, v)) {
        x64_storeq_sse(&x->e, x64_use(x, v), slot(k));
    } else {
        struct place_operand o = x64_no_memory(x, v, x64_operand(x, v));
        if (o.kind == OPERAND_CONST)
            x64_mov_mi(&x->e, X_W, slot(k), o.imm);
        else
            x64_store(&x->e, o.reg, slot(k));
    }
    x64_done(x, v);
    place_unlock(&x->p);
}

bool x64_lower_call(struct x64 *x, const struct ir_insn *in)
{
    const struct gw_helper *h = &x->job->cfg->isa->helpers[in->imm];
    const ir_val arg[3] = {in->a, in->b, in->c};
    for (unsigned k = 0; k < 3; k++)
        if (arg[k] != IR_NONE)
            store_arg(x, k, arg[k]);
    place_spill_scratch(&x->p);
    if (h->flags & GW_HELPER_WRITES)
        place_rescue_all(&x->p);
    if (h->flags & GW_HELPER_PC) {
        const struct ir_guest_insn *g = &x->b->guest[in->guest];
        x64_set_pc(x, x->b->pc + (uint64_t)(int64_t)(int32_t)g->pc_offset);
    }
    x64_call_to(&x->e, x64_thunk(x, T_HELPER + (unsigned)in->imm));
    x64_row(x, GW_ROW_CALL);
    if (in->uses)
        place_def_in(&x->p, RAX);
    return true;
}

bool x64_ends_block(const struct x64 *x, const struct ir_insn *in)
{
    return in->op == IR_CALL && x->job->cfg->isa->helpers[in->imm].flags & GW_HELPER_ENDS;
}

/* The thunk finds the instruction at its return address. */
static void call_eval(struct x64 *x, const struct ir_insn *in)
{
    x64_call_to(&x->e, x64_thunk(x, T_EVAL));
    for (unsigned k = 0; k < sizeof *in; k++)
        x64_u8(&x->e, ((const uint8_t *)in)[k]);
}

void x64_lower_eval(struct x64 *x, const struct ir_insn *in)
{
    const ir_val arg[4] = {in->a, in->b, in->c, in->d};
    for (unsigned k = 0; k < 4; k++)
        if (arg[k] != IR_NONE)
            store_arg(x, k, arg[k]);
    call_eval(x, in);
    if (ir_op_info[in->op].result == 'F')
        x64_loadq_sse(&x->e, x64_deff(x, 0), slot(0));
    else
        x64_load(&x->e, x64_def(x, 0), slot(0));
}

void x64_eval(struct x64 *x, const struct ir_insn *in, const struct cold_eval *v)
{
    const ir_val arg[3] = {in->a, in->b, in->c};
    for (unsigned k = 0; k < 3; k++)
        if (arg[k] != IR_NONE)
            x64_storeq_sse(&x->e, v->operand[k], slot(k));
    call_eval(x, in);
    if (reg_class_of(v->dest) == REG_VEC)
        x64_loadq_sse(&x->e, v->dest, slot(0));
    else
        x64_load(&x->e, v->dest, slot(0));
}
