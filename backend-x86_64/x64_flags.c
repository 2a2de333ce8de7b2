/* The fp flags: MXCSR gathers them, unless exceptions trap; then run.fp_flags has them all. */
#include "backend-x86_64/x64_fp.h"

enum { MXCSR_FLAGS = 63, IR_FLAGS = 31 };

/* The flags raised so far, in t, from MXCSR; u is scratch. Slow: it waits for all FP work. */
static void gather(struct x64 *x, int t, int u)
{
    struct x64_buf *e = &x->e;
    x64_alu_mi(e, X_W, EXT_ADD, X64_RUN(fp_gathers), 1);
    x64_stmxcsr(e, X64_HOST(mxcsr_now));
    x64_rm(e, OP_MOV, t, X64_HOST(mxcsr_now), 0);
    x64_alu_ri(e, 0, EXT_AND, t, MXCSR_FLAGS);
    x64_rm(e, X_W | OP_LEA, u, x64_k(x, K_MXCSR_MAP), 0);
    x64_rm(e, OP_MOVZX_B, t, x64_sib(u, t, 0, 0), 0);
    x64_rm(e, OP_OR, t, X64_RUN(fp_flags), 0);
}

static void lower_fpget(struct x64 *x)
{
    int t = x64_temp(x), u = x64_temp(x);
    struct cold_path *c = x64_cold(x, COLD_FPGET);
    c->flags = (struct cold_flags){.dest = (int8_t)t, .scratch = (int8_t)u};
    c->from[0] = x64_unless_trapping(x);
    x64_rm(&x->e, OP_MOV, t, X64_RUN(fp_flags), 0);
    c->back = x64_pos(&x->e);
    place_def_in(&x->p, t);
}

/* u = the flags in v */
static void mask(struct x64 *x, int u, int v)
{
    x64_zext32(&x->e, u, v);
    x64_alu_ri(&x->e, 0, EXT_AND, u, IR_FLAGS);
}

/* Mostly the flags are put back as they are: then MXCSR, slow to load, stays as it is too. */
static void lower_fpset(struct x64 *x, const struct ir_insn *in)
{
    int v = x64_use(x, in->a);
    int t = x64_temp(x), u = x64_temp(x);
    struct cold_path *c = x64_cold(x, COLD_FPSET);
    c->flags = (struct cold_flags){.dest = (int8_t)t, .scratch = (int8_t)u, .value = (int8_t)v};
    c->from[0] = x64_unless_trapping(x);
    mask(x, u, v);
    x64_rm(&x->e, OP_CMP, u, X64_RUN(fp_flags), 0);
    c->from[1] = x64_jcc(&x->e, CC_NE);
    c->back = x64_pos(&x->e);
    x64_done(x, in->a);
}

bool x64_lower_flags(struct x64 *x, const struct ir_insn *in)
{
    switch (in->op) {
    case IR_FPGET: lower_fpget(x); return true;
    case IR_FPSET: lower_fpset(x, in); return true;
    default: return false;
    }
}

/* From the first branch: no exception traps. From the second: they do, and the flags in scratch are
 * others. */
static void cold_fpset(struct x64 *x, const struct cold_path *c)
{
    struct x64_buf *e = &x->e;
    int t = c->flags.dest, u = c->flags.scratch;
    x64_link(e, c->from[0], x64_pos(e));
    gather(x, t, u);
    mask(x, u, c->flags.value);
    x64_rr(e, OP_CMP, t, u);
    x64_link(e, x64_jcc(e, CC_E), c->back);
    x64_link(e, c->from[1], x64_pos(e));
    x64_mov_mi(e, 0, X64_RUN(fp_trap), 0);
    x64_rm(e, OP_MOV, t, X64_RUN(fp_control_quiet), 0);
    x64_rm(e, OP_MOV_MR, t, X64_RUN(fp_control), 0);
    x64_rm(e, OP_MOV_MR, u, X64_RUN(fp_flags), 0);
    x64_ldmxcsr(e, X64_RUN(fp_control)); /* none raised */
}

void x64_cold_flags(struct x64 *x, const struct cold_path *c)
{
    if (c->kind == COLD_FPSET) {
        cold_fpset(x, c);
    } else {
        x64_cold_here(x, c);
        gather(x, c->flags.dest, c->flags.scratch);
    }
    x64_cold_back(x, c);
}
