/*
 * Thunks: how generated code is entered and left, and how it calls C. They exist twice: for blocks
 * that can't touch FP state, where vector registers stay the host's, and for those that can.
 */
#include "backend-aarch64/a64_runtime.h"

#include <assert.h>

#include "backend-aarch64/a64_page.h"
#include "backend-aarch64/a64_round.h"

struct rt {
    struct a64_buf e;
    const struct gw_backend_config *cfg;
    const struct pins *pins;
    struct gw_entry_points *ep;
    unsigned fp;
    uint32_t exit_save, exit_nosave, exit_left; /* positions: x0 is the exit kind */
    uint32_t
        again[2]; /* of each variant: x17 is the code; nothing of the guest's is in registers */
};

enum { FIRST_SAVED = 19, LAST_SAVED = 30, FIRST_SAVED_V = 8, LAST_SAVED_V = 15, FRAME = 160 };

static void move_state(struct rt *r, bool save, int reg, uint32_t offset)
{
    if (save)
        a64_store(&r->e, reg, offset);
    else
        a64_load(&r->e, reg, offset);
}

/* Pinned registers to or from state: all of them, or those that C may have clobbered. The budget is state
 * that C may change whatever it is called for. */
static void move_pins(struct rt *r, bool save, bool all)
{
    for (int g = 0; g < REG_COUNT; g++) {
        const bool vector = g >= A64_V0;
        if (r->pins->offset[g] == PINS_NONE || (vector && !r->fp))
            continue;
        if (all || vector || g < FIRST_SAVED || g == R_BUDGET)
            move_state(r, save, g, r->pins->offset[g]);
    }
}

static void move_scratch(struct rt *r, bool save)
{
    for (int g = 0; g < A64_SCRATCH_INTS; g++)
        move_state(r, save, g, A64_HOST(gpr) + 8 * (uint32_t)g);
    for (int k = 0; k < A64_SCRATCH_VECTORS && r->fp; k++)
        move_state(r, save, A64_V0 + k, A64_HOST(vector) + 8 * (uint32_t)k);
}

static void call_c(struct rt *r, uint64_t fn)
{
    a64_move(&r->e, X0, R_STATE);
    a64_constant(&r->e, X16, fn);
    a64_r(&r->e, A64_BLR, X16);
}

static void jump_to(struct rt *r, uint32_t pos)
{
    a64_link(&r->e, a64_b(&r->e), pos);
}

static void load_maps(struct rt *r)
{
    static const uint32_t
        read[] = {[GW_MEM_USER] = A64_RUN(guest_base),
                  [GW_MEM_FLAT] = A64_RUN(map_read),
                  [GW_MEM_TLB] = A64_RUN(tlb_read)},
        write[] = {[GW_MEM_FLAT] = A64_RUN(map_write), [GW_MEM_TLB] = A64_RUN(tlb_write)};
    a64_load(&r->e, R_READ, read[r->cfg->mem]);
    if (r->cfg->mem != GW_MEM_USER)
        a64_load(&r->e, R_WRITE, write[r->cfg->mem]);
}

/* What the ABI wants kept, to or from the frame. */
static void move_saved(struct rt *r, bool save)
{
    int64_t at = 0;
    for (int g = FIRST_SAVED; g < LAST_SAVED; g += 2, at += 16)
        a64_pair(&r->e, save ? A64_STP : A64_LDP, g, g + 1, A64_SP, at);
    for (int k = FIRST_SAVED_V; k < LAST_SAVED_V; k += 2, at += 16)
        a64_pair(&r->e, save ? A64_STPD : A64_LDPD, A64_V0 + k, A64_V0 + k + 1, A64_SP, at);
    assert(at <= FRAME);
}

/* run.fp_flags |= the flags that FPSR gathered, which has none then; by x16, x17. */
static void gather_flags(struct rt *r)
{
    struct a64_buf *e = &r->e;
    a64_fpsr_flags(e, X16);
    a64_mem(e, A64_LDRW, X17, R_STATE, A64_RUN(fp_flags));
    a64_rrr(e, A64_ORR, X16, X16, X17);
    a64_mem(e, A64_STRW, X16, R_STATE, A64_RUN(fp_flags));
    a64_r(e, A64_MSR_FPSR, A64_ZR);
}

static void box_constant(struct rt *r)
{
    if (r->fp)
        a64_r(&r->e, A64_MOVI_HIGH, V_BOX);
}

/* By x16. */
static void enter_fp(struct rt *r)
{
    struct a64_buf *e = &r->e;
    if (!r->fp)
        return;
    a64_r(e, A64_MRS_FPCR, X16);
    a64_store(e, X16, A64_HOST(fpcr));
    a64_mem(e, A64_LDRW, X16, R_STATE, A64_RUN(fp_control));
    a64_r(e, A64_MSR_FPCR, X16);
    a64_r(e, A64_MSR_FPSR, A64_ZR);
    box_constant(r);
}

static void leave_fp(struct rt *r)
{
    if (!r->fp)
        return;
    gather_flags(r);
    a64_load(&r->e, X16, A64_HOST(fpcr));
    a64_r(&r->e, A64_MSR_FPCR, X16);
}

/* What is entered may be a door: x2 stays. */
static void emit_enter(struct rt *r)
{
    struct a64_buf *e = &r->e;
    r->ep->enter[r->fp] = a64_pos(e);
    a64_imm12(e, A64_SUBI, A64_SP, A64_SP, FRAME);
    move_saved(r, true);
    a64_move(e, R_STATE, X0);
    a64_move(e, X17, 1);
    r->again[r->fp] = a64_pos(e);
    a64_word(e, A64_ISB); /* whatever another thread has flushed since this one ran code */
    enter_fp(r);
    move_pins(r, false, true);
    load_maps(r);
    a64_r(e, A64_BR, X17);
}

/* x16: the guest pc, x17: the link. T_EXIT_LINK is at a distance that a64_patch knows. */
static void emit_jump_or_exit(struct rt *r)
{
    struct a64_buf *e = &r->e;
    const uint32_t end = a64_pos(e) + A64_JUMP_OR_EXIT_AHEAD;
    a64_bits(e, A64_UBFM, 0, X16, 1, GW_JC_BITS);
    a64_load(e, 1, A64_RUN(jump_cache));
    a64_shifted(e, A64_ADD, 2, 1, 0, A64_LSL_BY, 4);
    a64_pair(e, A64_LDP, 0, 1, 2, 0);
    a64_rrr(e, A64_SUBS, A64_ZR, 0, X16);
    uint32_t missed = a64_bcond(e, A64_NE);
    a64_r(e, A64_BR, 1);
    while (a64_pos(e) < end && !e->full)
        a64_word(e, A64_NOP);
    a64_link(e, missed, end);
}

static void emit_exits(struct rt *r)
{
    struct a64_buf *e = &r->e;
    static const uint8_t kind[] = {GW_EXIT_BUDGET, GW_EXIT_LINK, GW_EXIT_INDIRECT, GW_EXIT_LEAVE,
                                   GW_EXIT_HELPER};
    r->exit_save = a64_pos(e);
    move_pins(r, true, true);
    r->exit_nosave = a64_pos(e);
    leave_fp(r);
    r->exit_left = a64_pos(e);
    move_saved(r, false);
    a64_imm12(e, A64_ADDI, A64_SP, A64_SP, FRAME);
    a64_r(e, A64_RET, X30);
    for (unsigned k = 0; k < sizeof kind; k++) {
        if (kind[k] == GW_EXIT_LINK)
            emit_jump_or_exit(r);
        r->ep->table[r->fp][T_EXIT_BUDGET + k] = a64_pos(e);
        if (kind[k] == GW_EXIT_LINK)
            a64_store(e, X17, A64_RUN(exit_link));
        a64_constant(e, X0, kind[k]);
        jump_to(r, r->exit_save);
    }
    r->ep->fault[r->fp] = r->ep->table[r->fp][T_EXIT_HELPER];
}

/* Behind LEAVE: C says whether and where to go on, maybe in the other variant. */
static void emit_go_on(struct rt *r, const struct gw_runtime *rt)
{
    struct a64_buf *e = &r->e;
    if (!rt->go_on)
        return;
    r->ep->table[r->fp][T_EXIT_LEAVE] = a64_pos(e);
    move_pins(r, true, true);
    leave_fp(r);
    call_c(r, (uint64_t)(uintptr_t)rt->go_on);
    uint32_t none = a64_cb(e, A64_CBZ, X0);
    a64_move(e, X17, X0);
    a64_imm12(e, A64_ADDI, 2, R_STATE, A64_RUN(pc)); /* as emit_enter has it, for a door */
    a64_mem(e, A64_LDRW, X16, R_STATE, A64_RUN(fp_on));
    a64_link(e, a64_cb(e, a64_w(A64_CBNZ), X16), r->again[1]);
    jump_to(r, r->again[0]);
    a64_link(e, none, a64_pos(e));
    a64_constant(e, X0, GW_EXIT_LEAVE);
    jump_to(r, r->exit_left);
}

/* After a C call in a thunk: guest registers are in state; the block is left. */
static void leave_path(struct rt *r)
{
    a64_constant(&r->e, X0, GW_EXIT_HELPER);
    jump_to(r, r->exit_nosave);
}

static void come_back(struct rt *r)
{
    box_constant(r);
    a64_load(&r->e, X30, A64_RUN(slow_ra));
    a64_r(&r->e, A64_RET, X30);
}

/* The body behind the load, store and atomic thunks: x16 is the description. */
static uint32_t emit_slow(struct rt *r, uint64_t fn)
{
    struct a64_buf *e = &r->e;
    uint32_t start = a64_pos(e);
    a64_store(e, X30, A64_RUN(slow_ra));
    move_scratch(r, true);
    move_pins(r, true, true);
    a64_move(e, 1, X16);
    call_c(r, fn);
    uint32_t leave = a64_cb(e, a64_w(A64_CBNZ), X0);
    move_pins(r, false, false);
    move_scratch(r, false);
    if (r->cfg->mem == GW_MEM_FLAT) /* the view may go by another one now */
        load_maps(r);
    come_back(r);
    a64_link(e, leave, a64_pos(e));
    leave_path(r);
    return start;
}

static void slow_entry(struct rt *r, unsigned thunk, uint32_t desc, uint32_t body)
{
    r->ep->table[r->fp][thunk] = a64_pos(&r->e);
    a64_constant(&r->e, X16, desc);
    jump_to(r, body);
}

static void emit_memory(struct rt *r, const struct gw_runtime *rt)
{
    uint32_t body = emit_slow(r, (uint64_t)(uintptr_t)rt->load);
    for (unsigned k = 0; k < SLOW_LOADS; k++)
        slow_entry(r, T_LOAD + k, slow_load_desc(k), body);
    body = emit_slow(r, (uint64_t)(uintptr_t)rt->store);
    for (unsigned aux = 0; aux < 4; aux++)
        slow_entry(r, T_STORE + aux, IR_I64 << 8 | aux, body);
    body = emit_slow(r, (uint64_t)(uintptr_t)rt->zero);
    slow_entry(r, T_ZERO, 0, body);
    for (unsigned k = 0; k < 8 && r->cfg->mem == GW_MEM_FLAT; k++) {
        r->ep->table[r->fp][T_LOOKUP + k] = a64_pos(&r->e);
        a64_emit_lookup(&r->e, k & 3, k >> 2);
    }
    body = emit_slow(r, (uint64_t)(uintptr_t)rt->amo);
    for (unsigned k = 0; k < A64_AMO_KINDS; k++)
        for (unsigned aux = 0; aux < 4; aux++)
            slow_entry(r, T_AMO + k * 4 + aux, k << 16 | IR_I64 << 8 | aux, body);
}

/* The instruction stands behind the call. */
static void emit_eval(struct rt *r, const struct gw_runtime *rt)
{
    struct a64_buf *e = &r->e;
    r->ep->table[r->fp][T_EVAL] = a64_pos(e);
    move_scratch(r, true);
    move_pins(r, true, true);
    a64_imm12(e, A64_ADDI, X16, X30, sizeof(struct ir_insn));
    a64_store(e, X16, A64_RUN(slow_ra));
    a64_move(e, 1, X30);
    call_c(r, (uint64_t)(uintptr_t)rt->eval);
    move_pins(r, false, false);
    move_scratch(r, false);
    come_back(r);
}

/* One of two maps for the other. */
static void exchange(struct rt *r, int reg, uint32_t current, uint32_t other)
{
    struct a64_buf *e = &r->e;
    a64_load(e, X16, other);
    a64_store(e, reg, other);
    a64_store(e, X16, current);
    a64_move(e, reg, X16);
}

/* GW_HELPER_MAPS: where only bits change that lead to the view whose maps are known, C is not asked. */
static void emit_view_change(struct rt *r)
{
    struct a64_buf *e = &r->e;
    const struct guest_isa *isa = r->cfg->isa;
    a64_load(e, X16, a64_operand_offset(0));
    a64_load(e, X17, isa->view_word);
    a64_load(e, 1, A64_RUN(view_bits));
    a64_rrr(e, A64_EOR, X16, X16, X17);
    a64_constant(e, 2, isa->view_mask);
    a64_rrr(e, A64_AND, X16, X16, 2);
    a64_rrr(e, A64_SUBS, A64_ZR, X16, 1);
    uint32_t others = a64_bcond(e, A64_NE);
    a64_rrr(e, A64_EOR, X16, X16, X17);
    a64_store(e, X16, isa->view_word);
    exchange(r, R_READ, A64_RUN(map_read), A64_RUN(other_read));
    exchange(r, R_WRITE, A64_RUN(map_write), A64_RUN(other_write));
    a64_move(e, X0, A64_ZR);
    a64_r(e, A64_RET, X30);
    a64_link(e, others, a64_pos(e));
}

static void emit_helper(struct rt *r, unsigned index)
{
    struct a64_buf *e = &r->e;
    const struct gw_helper *h = &r->cfg->isa->helpers[index];
    uint32_t leave = 0;
    r->ep->table[r->fp][T_HELPER + index] = a64_pos(e);
    if (h->flags & GW_HELPER_MAPS && r->cfg->mem == GW_MEM_FLAT && r->cfg->isa->view_mask)
        emit_view_change(r);
    a64_store(e, X30, A64_RUN(slow_ra));
    move_pins(r, true, true);
    for (unsigned k = 0; k < h->args; k++)
        a64_load(e, 1 + (int)k, a64_operand_offset(k));
    if (r->fp && h->flags & GW_HELPER_FP)
        gather_flags(r);
    call_c(r, (uint64_t)(uintptr_t)h->fn);
    if (h->flags & GW_HELPER_LEAVES) {
        a64_mem(e, A64_LDRW, X16, R_STATE, A64_RUN(leave));
        leave = a64_cb(e, a64_w(A64_CBNZ), X16);
    }
    move_pins(r, false, h->flags & GW_HELPER_WRITES);
    if (h->flags & GW_HELPER_MAPS)
        load_maps(r);
    come_back(r);
    if (leave) {
        a64_link(e, leave, a64_pos(e));
        leave_path(r);
    }
}

enum gw_status a64_emit_runtime(const struct gw_backend_config *cfg, const struct gw_runtime *rt,
                                uint8_t *out, size_t cap, uint64_t base, struct gw_entry_points *ep)
{
    struct rt r = {
        .e = {.start = out, .p = out, .end = out + cap, .base = base, .features = cfg->features},
        .cfg = cfg,
        .pins = &a64_target(cfg)->pins,
        .ep = ep};
    if (cap < 4096 || cfg->isa->helper_count > A64_MAX_HELPERS)
        return GW_ERR_LIMIT;
    for (r.fp = 0; r.fp < 2; r.fp++)
        emit_enter(&r);
    for (r.fp = 0; r.fp < 2 && !r.e.full; r.fp++) {
        emit_exits(&r);
        emit_go_on(&r, rt);
        emit_memory(&r, rt);
        emit_eval(&r, rt);
        for (unsigned h = 0; h < cfg->isa->helper_count; h++)
            emit_helper(&r, h);
    }
    ep->size = a64_pos(&r.e);
    return r.e.full ? GW_ERR_LIMIT : GW_OK;
}
