#include "backend-x86_64/x64_block.h"

struct place_operand x64_no_const(struct x64 *x, ir_val v, struct place_operand o)
{
    return o.kind == OPERAND_CONST ? place_register(x64_use(x, v)) : o;
}

struct place_operand x64_no_memory(struct x64 *x, ir_val v, struct place_operand o)
{
    return o.kind == OPERAND_STATE ? place_register(x64_use(x, v)) : o;
}

void x64_alu(struct x64 *x, unsigned op, int d, const struct place_operand *o)
{
    if (o->kind == OPERAND_REG)
        x64_rr(&x->e, op, d, o->reg);
    else if (o->kind == OPERAND_STATE)
        x64_rm(&x->e, op, d, x64_state(o->offset), 0);
    else
        x64_alu_ri(&x->e, op & X_W, x64_group1(op & 0xff), d, o->imm);
}

void x64_load_operand(struct x64 *x, int d, const struct place_operand *o)
{
    if (o->kind == OPERAND_REG)
        x64_mov(&x->e, d, o->reg);
    else if (o->kind == OPERAND_STATE)
        x64_load(&x->e, d, x64_state(o->offset));
    else
        x64_mov_ri(&x->e, d, (uint64_t)(int64_t)o->imm);
}

void x64_cold_here(struct x64 *x, const struct cold_path *c)
{
    for (unsigned k = 0; k < COLD_BRANCHES; k++)
        if (c->from[k])
            x64_link(&x->e, c->from[k], x64_pos(&x->e));
}

void x64_cold_back(struct x64 *x, const struct cold_path *c)
{
    x64_link(&x->e, x64_jmp(&x->e), c->back);
}

uint32_t x64_row(struct x64 *x, enum gw_row_kind kind)
{
    return exits_row(x->job, kind, x64_pos(&x->e), x->b->insn[x->p.i].guest, &x->e.full);
}

void x64_budget(struct x64 *x, unsigned ext, int32_t insns)
{
    if (x->budget >= 0)
        x64_alu_ri(&x->e, X_W, ext, x->budget, insns);
    else
        x64_alu_mi(&x->e, X_W, ext, X64_RUN(budget), insns);
}

/* Leaves flags alone. */
static void set_pc_anywhere(struct x64 *x, uint64_t pc)
{
    x64_load(&x->e, RAX, X64_RUN(page));
    x64_rm(&x->e, X_W | OP_LEA, RAX, x64_at(RAX, exits_distance(x->job, pc)), 0);
    x64_store(&x->e, RAX, X64_RUN(pc));
}

void x64_set_pc(struct x64 *x, uint64_t pc)
{
    if (x->b->anywhere)
        set_pc_anywhere(x, pc);
    else if (x64_fits32((int64_t)pc))
        x64_mov_mi(&x->e, X_W, X64_RUN(pc), (int32_t)pc);
    else {
        x64_mov_ri(&x->e, RAX, pc);
        x64_store(&x->e, RAX, X64_RUN(pc));
    }
}

void x64_tally(struct x64 *x, struct gw_tally *t)
{
    const uint32_t insns = x->e.insns;
    if (!t)
        return;
    x64_mov_ri(&x->e, RAX, (uint64_t)(uintptr_t)&t->times);
    x64_alu_mi(&x->e, X_W, EXT_ADD, x64_at(RAX, 0), 1);
    x->e.insns = insns;
}
