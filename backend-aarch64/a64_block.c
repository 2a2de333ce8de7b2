#include "backend-aarch64/a64_block.h"

void a64_load(struct a64_buf *e, int reg, uint32_t offset)
{
    a64_mem(e, reg < A64_V0 ? A64_LDR : A64_LDRD, reg, R_STATE, offset);
}

void a64_store(struct a64_buf *e, int reg, uint32_t offset)
{
    a64_mem(e, reg < A64_V0 ? A64_STR : A64_STRD, reg, R_STATE, offset);
}

int a64_use_or_zero(struct a64 *x, ir_val v)
{
    int64_t imm;
    return place_is_const(&x->p, v, &imm) && !imm ? A64_ZR : a64_use(x, v);
}

void a64_move(struct a64_buf *e, int d, int a)
{
    if (d != a)
        a64_rrr(e, A64_ORR, d, A64_ZR, a);
}

void a64_add_constant(struct a64_buf *e, int d, int a, int64_t imm)
{
    if (imm >= 0 && a64_is_imm12((uint64_t)imm)) {
        a64_imm12(e, A64_ADDI, d, a, (uint64_t)imm);
    } else if (imm < 0 && a64_is_imm12(-(uint64_t)imm)) {
        a64_imm12(e, A64_SUBI, d, a, -(uint64_t)imm);
    } else {
        a64_constant(e, X17, (uint64_t)imm);
        a64_rrr(e, A64_ADD, d, a, X17);
    }
}

void a64_cold_here(struct a64 *x, const struct cold_path *c)
{
    for (unsigned k = 0; k < COLD_BRANCHES; k++)
        if (c->from[k])
            a64_link(&x->e, c->from[k], a64_pos(&x->e));
}

void a64_cold_back(struct a64 *x, const struct cold_path *c)
{
    a64_link(&x->e, a64_b(&x->e), c->back);
}

uint32_t a64_row(struct a64 *x, enum gw_row_kind kind)
{
    return exits_row(x->job, kind, a64_pos(&x->e), x->b->insn[x->p.i].guest, &x->e.full);
}

void a64_set_pc(struct a64 *x, uint64_t pc)
{
    struct a64_buf *e = &x->e;
    if (x->b->anywhere) {
        a64_load(e, X16, A64_RUN(page));
        a64_add_constant(e, X16, X16, exits_distance(x->job, pc));
    } else {
        a64_constant(e, X16, pc);
    }
    a64_store(e, X16, A64_RUN(pc));
}

void a64_tally(struct a64 *x, struct gw_tally *t)
{
    struct a64_buf *e = &x->e;
    const uint32_t insns = e->insns;
    if (!t)
        return;
    a64_constant(e, X16, (uint64_t)(uintptr_t)&t->times);
    a64_mem(e, A64_LDR, X17, X16, 0);
    a64_imm12(e, A64_ADDI, X17, X17, 1);
    a64_mem(e, A64_STR, X17, X16, 0);
    e->insns = insns;
}
