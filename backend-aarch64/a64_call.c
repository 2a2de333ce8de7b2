#include "backend-aarch64/a64_call.h"

static void store_arg(struct a64 *x, unsigned k, ir_val v)
{
    int r = place_is_float(&x->p, v) ? a64_use(x, v) : a64_use_or_zero(x, v);
    a64_store(&x->e, r, a64_operand_offset(k));
    a64_done(x, v);
    place_unlock(&x->p);
}

bool a64_lower_call(struct a64 *x, const struct ir_insn *in)
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
        a64_set_pc(x, x->b->pc + (uint64_t)(int64_t)(int32_t)g->pc_offset);
    }
    a64_to(&x->e, A64_BL, a64_thunk(x, T_HELPER + (unsigned)in->imm));
    a64_row(x, GW_ROW_CALL);
    if (in->uses)
        place_def_in(&x->p, X0);
    return true;
}

/* The thunk finds the instruction at its return address. */
static void call_eval(struct a64 *x, const struct ir_insn *in)
{
    struct a64_buf *e = &x->e;
    a64_to(e, A64_BL, a64_thunk(x, T_EVAL));
    if ((size_t)(e->end - e->p) < sizeof *in) {
        e->full = true;
    } else {
        memcpy(e->p, in, sizeof *in);
        e->p += sizeof *in;
    }
}
_Static_assert(sizeof(struct ir_insn) % 4 == 0, "instructions follow it");

void a64_lower_eval(struct a64 *x, const struct ir_insn *in)
{
    const ir_val arg[4] = {in->a, in->b, in->c, in->d};
    for (unsigned k = 0; k < 4; k++)
        if (arg[k] != IR_NONE)
            store_arg(x, k, arg[k]);
    call_eval(x, in);
    const bool is_float = ir_op_info[in->op].result == 'F';
    a64_load(&x->e, place_def(&x->p, is_float ? REG_VEC : REG_INT, 0), a64_operand_offset(0));
}

void a64_eval(struct a64 *x, const struct ir_insn *in, const struct cold_eval *v)
{
    const ir_val arg[3] = {in->a, in->b, in->c};
    for (unsigned k = 0; k < 3; k++)
        if (arg[k] != IR_NONE)
            a64_store(&x->e, v->operand[k], a64_operand_offset(k));
    a64_store(&x->e, X30, a64_operand_offset(3));
    call_eval(x, in);
    a64_load(&x->e, X30, a64_operand_offset(3));
    a64_load(&x->e, v->dest, a64_operand_offset(0));
}
