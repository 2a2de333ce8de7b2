/*
 * Thunks: how generated code is entered and left, and how it calls C. They exist twice: for blocks
 * that can't touch FP state, where xmm registers and MXCSR stay the host's, and for those that can.
 *
 * Stack: `enter` keeps rsp 16-byte aligned in blocks, so a thunk that a block calls has it at 8.
 */
#include <assert.h>
#include <string.h>

#include "backend-x86_64/x64_emit.h"
#include "backend-x86_64/x64_layout.h"
#include "backend-x86_64/x64_page.h"
#include "backend-x86_64/x64_runtime.h"

struct rt {
    struct x64_buf e;
    const struct gw_backend_config *cfg;
    const struct pins *pins;
    struct gw_entry_points *ep;
    unsigned fp;
    uint32_t exit_save, exit_nosave, exit_host; /* positions: eax is the exit kind */
    uint32_t left;                              /* as T_EXIT_LEAVE, what C may touch is saved */
    uint32_t
        again[2]; /* of each variant: rax is the code; nothing of the guest's is in registers */
};

static const uint8_t caller_saved[] = {RSI, RDI, R8, R9, R10, R11};

static void save_gprs(struct rt *r)
{
    for (int g = RAX; g <= R15; g++)
        if (r->pins->offset[g] != PINS_NONE)
            x64_store(&r->e, g, x64_state(r->pins->offset[g]));
}

static void load_gprs(struct rt *r, bool all)
{
    for (int g = RAX; g <= R15; g++) {
        bool clobbered = all;
        for (unsigned k = 0; k < sizeof caller_saved; k++)
            clobbered |= caller_saved[k] == g;
        if (r->pins->offset[g] != PINS_NONE && clobbered)
            x64_load(&r->e, g, x64_state(r->pins->offset[g]));
    }
}

static void move_xmm(struct rt *r, bool save, int reg, uint32_t offset)
{
    if (save)
        x64_storeq_sse(&r->e, reg, x64_state(offset));
    else
        x64_loadq_sse(&r->e, reg, x64_state(offset));
}

/* Pinned float registers to or from state. */
static void move_pinned_xmms(struct rt *r, bool save)
{
    for (int k = XMM0; k < X64_REGS; k++)
        if (r->pins->offset[k] != PINS_NONE)
            move_xmm(r, save, k, r->pins->offset[k]);
}

static void move_xmms(struct rt *r, bool save)
{
    if (r->fp)
        move_pinned_xmms(r, save);
}

static void move_scratch(struct rt *r, bool save, bool with_rax)
{
    for (int g = with_rax ? RAX : RCX; g <= RDX; g++) {
        struct x64_mem m = x64_state(X64_HOST_OFFSET(gpr) + 8 * (uint32_t)g);
        if (save)
            x64_store(&r->e, g, m);
        else
            x64_load(&r->e, g, m);
    }
    for (int k = 0; k < X64_SCRATCH_XMMS && r->fp; k++)
        move_xmm(r, save, XMM0 + k,
                 X64_HOST_OFFSET(xmm) + (uint32_t)sizeof(struct gw_slot) * (uint32_t)k);
}

/* run.fp_flags |= the flags that MXCSR gathered; clobbers ecx, edx. */
static void gather_flags(struct rt *r)
{
    struct x64_buf *e = &r->e;
    x64_stmxcsr(e, X64_HOST(mxcsr_now));
    x64_rm(e, OP_MOV, RCX, X64_HOST(mxcsr_now), 0);
    x64_alu_ri(e, 0, EXT_AND, RCX, 63);
    x64_rm(e, X_W | OP_LEA, RDX, x64_at(X64_RIP, (int64_t)(e->base + K_MXCSR_MAP)), 0);
    x64_rm(e, OP_MOVZX_B, RCX, x64_sib(RDX, RCX, 0, 0), 0);
    x64_rm(e, OP_OR_MR, RCX, X64_RUN(fp_flags), 0);
}

static void call_c(struct rt *r, uint64_t fn)
{
    x64_alu_ri(&r->e, X_W, EXT_SUB, RSP, 8);
    x64_mov_ri(&r->e, RAX, fn);
    x64_rr(&r->e, OP_GROUP5, EXT_CALL, RAX);
    x64_alu_ri(&r->e, X_W, EXT_ADD, RSP, 8);
}

static void cpu_arg(struct rt *r)
{
    x64_rm(&r->e, X_W | OP_LEA, RDI, x64_at(R_STATE, -X64_BIAS), 0);
}

static void jmp_pos(struct rt *r, uint32_t pos)
{
    x64_link(&r->e, x64_jmp(&r->e), pos);
}

static void load_maps(struct rt *r)
{
    struct x64_buf *e = &r->e;
    switch (r->cfg->mem) {
    case GW_MEM_USER: x64_load(e, R_READ, X64_RUN(guest_base)); break;
    case GW_MEM_FLAT:
        x64_load(e, R_READ, X64_RUN(map_read));
        x64_load(e, R_WRITE, X64_RUN(map_write));
        break;
    case GW_MEM_TLB:
        x64_load(e, R_READ, X64_RUN(tlb_read));
        x64_load(e, R_WRITE, X64_RUN(tlb_write));
        break;
    }
}

static const uint8_t callee_saved[] = {RBP, RBX, R12, R13, R14, R15};

/* What is entered may be a door: rdx and rcx stay. */
static void emit_enter(struct rt *r)
{
    struct x64_buf *e = &r->e;
    r->ep->enter[r->fp] = x64_pos(e);
    for (unsigned k = 0; k < sizeof callee_saved; k++)
        x64_r(e, OP_PUSH_R, callee_saved[k]);
    x64_alu_ri(e, X_W, EXT_SUB, RSP, 8);
    x64_rm(e, X_W | OP_LEA, R_STATE, x64_at(RDI, X64_BIAS), 0);
    x64_rr(e, X_W | OP_MOV, RAX, RSI);
    r->again[r->fp] = x64_pos(e);
    if (r->fp) {
        x64_stmxcsr(e, X64_HOST(mxcsr));
        x64_ldmxcsr(e, X64_RUN(fp_control));
    }
    load_gprs(r, true);
    move_xmms(r, false);
    load_maps(r);
    if (r->cfg->mem == GW_MEM_FLAT)
        x64_mov_ri(e, R_INDEX, GW_PAGE_SHIFT | (48 - GW_PAGE_SHIFT) << 8);
    x64_rr(e, OP_GROUP5, EXT_JMP, RAX);
}

/* eax: the link. What is behind it, T_EXIT_LINK, is at a distance that x64_patch knows. */
static void emit_jump_or_exit(struct rt *r)
{
    struct x64_buf *e = &r->e;
    uint32_t end = x64_pos(e) + X64_JUMP_OR_EXIT_AHEAD;
    r->ep->table[r->fp][T_JUMP_OR_EXIT] = x64_pos(e);
    x64_load(e, RCX, X64_RUN(pc));
    x64_zext32(e, RDX, RCX);
    x64_alu_ri(e, 0, EXT_AND, RDX, ((1 << GW_JC_BITS) - 1) << 1);
    x64_shift_ri(e, X_W, EXT_SHL, RDX, 3);
    x64_rm(e, X_W | OP_ADD, RDX, X64_RUN(jump_cache), 0);
    x64_rm(e, X_W | OP_CMP_MR, RCX, x64_at(RDX, offsetof(struct gw_jump_entry, pc)), 0);
    uint32_t missed = x64_jcc(e, CC_NE);
    x64_mov_ri(e, RCX, 0); /* for x64_door */
    x64_rm(e, OP_GROUP5, EXT_JMP, x64_at(RDX, offsetof(struct gw_jump_entry, code)), 0);
    assert(x64_pos(e) <= end);
    while (x64_pos(e) < end)
        x64_u8(e, OP_NOP);
    x64_link(e, missed, end);
}

/* FP control and flags are the host's again. */
static void leave_fp(struct rt *r)
{
    struct x64_buf *e = &r->e;
    uint32_t host = 0;
    if (!r->fp) {
        x64_alu_mi(e, 0, EXT_CMP, X64_HOST(fp_kept), 0);
        host = x64_jcc(e, CC_E);
        x64_mov_mi(e, 0, X64_HOST(fp_kept), 0);
    }
    gather_flags(r);
    x64_ldmxcsr(e, X64_HOST(mxcsr));
    if (!r->fp)
        x64_link(e, host, x64_pos(e));
}

/* Asks C for code to go on at, in rax. Returns the jump that is taken where it has none. */
static uint32_t ask_for_code(struct rt *r, void *(*fn)(void *cpu))
{
    struct x64_buf *e = &r->e;
    cpu_arg(r);
    x64_mov_ri(e, RAX, (uint64_t)(uintptr_t)fn);
    x64_rr(e, OP_GROUP5, EXT_CALL, RAX);
    x64_rr(e, X_W | OP_TEST, RAX, RAX);
    return x64_jcc(e, CC_E);
}

/* As emit_enter has them, for a door. */
static void door_args(struct rt *r)
{
    x64_rm(&r->e, X_W | OP_LEA, RDX, X64_RUN(pc), 0);
    x64_mov_ri(&r->e, RCX, 0);
}

/* To the code in rax; what C keeps is in its registers still. */
static void go_to_near(struct rt *r, bool fp)
{
    load_gprs(r, false);
    if (fp)
        move_pinned_xmms(r, false);
    load_maps(r);
    door_args(r);
    x64_rr(&r->e, OP_GROUP5, EXT_JMP, RAX);
}

/* Goes to the code in rax where MXCSR may stay as it is: its control is the right one, or code without FP does not
 * mind. What it has gathered stays there. */
static void go_near(struct rt *r)
{
    struct x64_buf *e = &r->e;
    uint32_t control = 0, host = 0;
    x64_alu_mi(e, 0, EXT_CMP, X64_RUN(fp_on), 0);
    uint32_t with_fp = x64_jcc(e, CC_NE);
    if (r->fp)
        x64_mov_mi(e, 0, X64_HOST(fp_kept), 1);
    go_to_near(r, false);
    x64_link(e, with_fp, x64_pos(e));
    if (!r->fp) {
        x64_alu_mi(e, 0, EXT_CMP, X64_HOST(fp_kept), 0);
        host = x64_jcc(e, CC_E);
    }
    x64_rm(e, OP_MOV, RCX, X64_HOST(fp_before), 0);
    x64_rm(e, OP_CMP, RCX, X64_RUN(fp_control), 0);
    control = x64_jcc(e, CC_NE);
    if (!r->fp)
        x64_mov_mi(e, 0, X64_HOST(fp_kept), 0);
    go_to_near(r, true);
    x64_link(e, control, x64_pos(e));
    if (!r->fp)
        x64_link(e, host, x64_pos(e));
}

/* Behind LEAVE: C says whether and where to go on, maybe in the other variant. */
static void emit_go_on(struct rt *r, const struct gw_runtime *rt)
{
    struct x64_buf *e = &r->e;
    uint32_t far = 0, found = 0;
    if (!rt->go_on)
        return;
    r->ep->table[r->fp][T_EXIT_LEAVE] = x64_pos(e);
    save_gprs(r);
    move_xmms(r, true);
    r->left = x64_pos(e);
    if (rt->go_on_near) {
        if (r->fp) {
            x64_rm(e, OP_MOV, RCX, X64_RUN(fp_control), 0);
            x64_rm(e, OP_MOV_MR, RCX, X64_HOST(fp_before), 0);
        }
        far = ask_for_code(r, rt->go_on_near);
        go_near(r);
        leave_fp(r);
        found = x64_jmp(e);
        x64_link(e, far, x64_pos(e));
    }
    leave_fp(r);
    uint32_t none = ask_for_code(r, rt->go_on);
    if (rt->go_on_near)
        x64_link(e, found, x64_pos(e));
    door_args(r);
    x64_alu_mi(e, 0, EXT_CMP, X64_RUN(fp_on), 0);
    x64_link(e, x64_jcc(e, CC_NE), r->again[1]);
    jmp_pos(r, r->again[0]);
    x64_link(e, none, x64_pos(e));
    x64_mov_ri(e, RAX, GW_EXIT_LEAVE);
    jmp_pos(r, r->exit_host);
}

static void emit_exits(struct rt *r)
{
    struct x64_buf *e = &r->e;
    static const uint8_t kind[] = {GW_EXIT_BUDGET, GW_EXIT_LINK, GW_EXIT_INDIRECT, GW_EXIT_LEAVE,
                                   GW_EXIT_HELPER};
    r->exit_save = x64_pos(e);
    save_gprs(r);
    move_xmms(r, true);
    r->exit_nosave = x64_pos(e);
    leave_fp(r);
    r->exit_host = x64_pos(e);
    x64_alu_ri(e, X_W, EXT_ADD, RSP, 8);
    for (unsigned k = sizeof callee_saved; k-- > 0;)
        x64_r(e, OP_POP_R, callee_saved[k]);
    x64_plain(e, OP_RET);
    for (unsigned k = 0; k < sizeof kind; k++) {
        if (kind[k] == GW_EXIT_LINK)
            emit_jump_or_exit(r);
        r->ep->table[r->fp][T_EXIT_BUDGET + k] = x64_pos(e);
        if (kind[k] == GW_EXIT_LINK)
            x64_store(e, RAX, X64_RUN(exit_link));
        x64_mov_ri(e, RAX, kind[k]);
        jmp_pos(r, r->exit_save);
    }
    r->left = x64_pos(e);
    x64_mov_ri(e, RAX, GW_EXIT_LEAVE);
    jmp_pos(r, r->exit_nosave);
    r->ep->fault[r->fp] = r->ep->table[r->fp][T_EXIT_HELPER];
}

/* After a C call in a thunk: guest registers are in state; the block is left. */
static void leave_path(struct rt *r)
{
    struct x64_buf *e = &r->e;
    x64_rm(e, OP_POP_M, 0, X64_RUN(slow_ra), 0);
    x64_mov_ri(e, RAX, GW_EXIT_HELPER);
    jmp_pos(r, r->exit_nosave);
}

/* The body behind the load, store and atomic thunks: eax is the description. */
static uint32_t emit_slow(struct rt *r, uint64_t fn)
{
    struct x64_buf *e = &r->e;
    uint32_t start = x64_pos(e);
    move_scratch(r, true, false);
    save_gprs(r);
    move_xmms(r, true);
    x64_zext32(e, RSI, RAX);
    cpu_arg(r);
    call_c(r, fn);
    x64_rr(e, OP_TEST, RAX, RAX);
    uint32_t leave = x64_jcc(e, CC_NE);
    load_gprs(r, false);
    move_xmms(r, false);
    move_scratch(r, false, true);
    if (r->cfg->mem == GW_MEM_FLAT) /* the view may go by another one now */
        load_maps(r);
    x64_plain(e, OP_RET);
    x64_link(e, leave, x64_pos(e));
    leave_path(r);
    return start;
}

static void slow_entry(struct rt *r, unsigned thunk, uint32_t desc, uint32_t body)
{
    struct x64_buf *e = &r->e;
    r->ep->table[r->fp][thunk] = x64_pos(e);
    x64_store(e, RAX, X64_HOST(gpr));
    x64_mov_ri(e, RAX, desc);
    jmp_pos(r, body);
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
    body = emit_slow(r, (uint64_t)(uintptr_t)rt->amo);
    for (unsigned k = 0; k < X64_AMO_KINDS; k++)
        for (unsigned aux = 0; aux < 4; aux++)
            slow_entry(r, T_AMO + k * 4 + aux, k << 16 | IR_I64 << 8 | aux, body);
}

/* Looks up the page of an address that no longer is inline. Register t holds the address; the addend
 * is returned, or the address again with ZF set: the access crosses pages, or its page is not
 * inline. What is near the page's end, closer than the widest access, is taken for a crosser. */
static void emit_lookup(struct rt *r, int t, bool write)
{
    struct x64_buf *e = &r->e;
    struct x64_mem addr = X64_RUN(slow_addr);
    r->ep->table[r->fp][T_LOOKUP + t + write * 3] = x64_pos(e);
    x64_store(e, t, addr);
    x64_alu_ri(e, 0, EXT_AND, t, (int32_t)GW_PAGE_MASK);
    x64_alu_ri(e, 0, EXT_CMP, t, (int32_t)(GW_PAGE_SIZE - 8));
    x64_load(e, t, addr);
    uint32_t near_end = x64_jcc(e, CC_A);
    x64_page_index(e, t, t);
    x64_load(e, t, x64_sib(write ? R_WRITE : R_READ, t, 3, 0));
    x64_rr(e, X_W | OP_TEST, t, t);
    uint32_t none = x64_jcc(e, CC_E);
    x64_plain(e, OP_RET);
    x64_link(e, none, x64_pos(e));
    x64_load(e, t, addr);
    x64_link(e, near_end, x64_pos(e));
    x64_rr(e, OP_CMP, t, t); /* ZF */
    x64_plain(e, OP_RET);
}

static void emit_eval(struct rt *r, const struct gw_runtime *rt)
{
    struct x64_buf *e = &r->e;
    r->ep->table[r->fp][T_EVAL] = x64_pos(e);
    move_scratch(r, true, true);
    save_gprs(r);
    move_xmms(r, true);
    x64_load(e, RSI, x64_at(RSP, 0));
    x64_alu_mi(e, X_W, EXT_ADD, x64_at(RSP, 0), (int32_t)sizeof(struct ir_insn));
    cpu_arg(r);
    call_c(r, (uint64_t)(uintptr_t)rt->eval);
    load_gprs(r, false);
    move_xmms(r, false);
    move_scratch(r, false, true);
    x64_plain(e, OP_RET);
}

/* Before a helper that may read or write FP flags: they are complete, and remembered. */
static void before_fp_helper(struct rt *r)
{
    gather_flags(r);
    x64_rm(&r->e, OP_MOV, RCX, X64_RUN(fp_flags), 0);
    x64_rm(&r->e, OP_MOV_MR, RCX, X64_HOST(fp_before), 0);
}

/* After it: what may trap was chosen by the flags, so with other flags nothing traps. Keeps rax. */
static void after_fp_helper(struct rt *r)
{
    struct x64_buf *e = &r->e;
    x64_rm(e, OP_MOV, RCX, X64_RUN(fp_flags), 0);
    x64_rm(e, OP_CMP, RCX, X64_HOST(fp_before), 0);
    uint32_t same = x64_jcc(e, CC_E);
    x64_mov_mi(e, 0, X64_RUN(fp_trap), 0);
    x64_rm(e, OP_MOV, RCX, X64_RUN(fp_control_quiet), 0);
    x64_rm(e, OP_MOV_MR, RCX, X64_RUN(fp_control), 0);
    x64_link(e, same, x64_pos(e));
    x64_ldmxcsr(e, X64_RUN(fp_control)); /* drops flags already gathered */
}

/* One of two maps for the other. */
static void exchange(struct rt *r, int reg, struct x64_mem current, struct x64_mem other)
{
    struct x64_buf *e = &r->e;
    x64_load(e, RAX, other);
    x64_store(e, reg, other);
    x64_store(e, RAX, current);
    x64_mov(e, reg, RAX);
}

/* GW_HELPER_MAPS: where only bits change that lead to the view whose maps are known, C is not asked. */
static void emit_view_change(struct rt *r)
{
    struct x64_buf *e = &r->e;
    const struct guest_isa *isa = r->cfg->isa;
    struct x64_mem word = x64_state(isa->view_word);
    assert(isa->view_mask <= INT32_MAX);
    x64_load(e, RAX, x64_state(x64_operand_offset(0)));
    x64_rm(e, X_W | OP_XOR, RAX, word, 0);
    x64_alu_ri(e, X_W, EXT_AND, RAX, (int32_t)isa->view_mask);
    x64_rm(e, X_W | OP_CMP, RAX, X64_RUN(view_bits), 0);
    uint32_t others = x64_jcc(e, CC_NE);
    x64_rm(e, X_W | OP_XOR, RAX, word, 0);
    x64_store(e, RAX, word);
    exchange(r, R_READ, X64_RUN(map_read), X64_RUN(other_read));
    exchange(r, R_WRITE, X64_RUN(map_write), X64_RUN(other_write));
    x64_mov_ri(e, RAX, 0);
    x64_plain(e, OP_RET);
    x64_link(e, others, x64_pos(e));
}

/* Behind GW_HELPER_ENDS; the call's return address is not needed. */
static void end_block(struct rt *r, const struct gw_helper *h)
{
    assert(!(h->flags & GW_HELPER_WRITES)); /* what C keeps is the guest's still */
    x64_store(&r->e, RAX, X64_RUN(pc));
    x64_alu_ri(&r->e, X_W, EXT_ADD, RSP, 8);
    jmp_pos(r, r->left);
}

/* Behind GW_HELPER_MAPS: where the result is not 0, to the second argument. */
static void leave_to(struct rt *r, const struct gw_helper *h)
{
    struct x64_buf *e = &r->e;
    x64_rr(e, X_W | OP_TEST, RAX, RAX);
    uint32_t stays = x64_jcc(e, CC_E);
    x64_load(e, RAX, x64_state(x64_operand_offset(1)));
    end_block(r, h);
    x64_link(e, stays, x64_pos(e));
}

static void emit_helper(struct rt *r, unsigned index)
{
    struct x64_buf *e = &r->e;
    const struct gw_helper *h = &r->cfg->isa->helpers[index];
    uint32_t leave = 0;
    r->ep->table[r->fp][T_HELPER + index] = x64_pos(e);
    if (h->flags & GW_HELPER_MAPS && r->cfg->mem == GW_MEM_FLAT && r->cfg->isa->view_mask)
        emit_view_change(r);
    save_gprs(r);
    move_xmms(r, true);
    if (r->fp && h->flags & GW_HELPER_FP)
        before_fp_helper(r);
    cpu_arg(r);
    static const uint8_t arg[3] = {RSI, RDX, RCX};
    assert(h->args <= 3);
    for (unsigned k = 0; k < h->args; k++)
        x64_load(e, arg[k], x64_state(x64_operand_offset(k)));
    call_c(r, (uint64_t)(uintptr_t)h->fn);
    if (r->fp && h->flags & GW_HELPER_FP)
        after_fp_helper(r);
    if (h->flags & GW_HELPER_LEAVES) {
        x64_alu_mi(e, 0, EXT_CMP, X64_RUN(leave), 0);
        leave = x64_jcc(e, CC_NE);
    }
    if (h->flags & GW_HELPER_MAPS)
        leave_to(r, h);
    if (h->flags & GW_HELPER_ENDS) {
        end_block(r, h);
    } else {
        load_gprs(r, h->flags & GW_HELPER_WRITES);
        move_xmms(r, false);
        if (h->flags & GW_HELPER_MAPS)
            load_maps(r);
        x64_plain(e, OP_RET);
    }
    if (leave) {
        x64_link(e, leave, x64_pos(e));
        leave_path(r);
    }
}

static void emit_constants(struct rt *r)
{
    static const struct {
        uint16_t at;
        uint64_t lo, hi;
    } k[] = {
        {K_NAN64, 0x7ff8000000000000, 0},
        {K_NAN32, 0x7fc00000, 0},
        {K_SIGN64, 0x8000000000000000, 0},
        {K_SIGN32, 0x80000000, 0},
        {K_ABS64, 0x7fffffffffffffff, ~0ull},
        {K_ABS32, 0xffffffff7fffffff, ~0ull},
        {K_BOX, 0xffffffff00000000, 0},
        {K_2P32_64, 0x41f0000000000000, 0},
        {K_2P63_64, 0x43e0000000000000, 0},
        {K_2P32_32, 0x4f800000, 0},
        {K_2P63_32, 0x5f000000, 0},
        {K_ZERO, 0, 0},
        {K_ONES, ~0ull, ~0ull},
        {K_NANLIM, 0xffe0000000000000, 0}, /* infinity, shifted left by one */
    };
    struct x64_buf *e = &r->e;
    memset(e->start, 0, K_SIZE);
    for (unsigned i = 0; i < sizeof k / sizeof k[0]; i++) {
        memcpy(e->start + k[i].at, &k[i].lo, 8);
        memcpy(e->start + k[i].at + 8, &k[i].hi, 8);
    }
    for (unsigned m = 0; m < 64; m++) /* MXCSR: IE DE ZE OE UE PE */
        e->start[K_MXCSR_MAP + m] =
            (uint8_t)((m & 1 ? IR_FP_NV : 0) | (m & 4 ? IR_FP_DZ : 0) | (m & 8 ? IR_FP_OF : 0) |
                      (m & 16 ? IR_FP_UF : 0) | (m & 32 ? IR_FP_NX : 0));
    e->p = e->start + K_SIZE;
}

enum gw_status x64_emit_runtime(const struct gw_backend_config *cfg, const struct gw_runtime *rt,
                                uint8_t *out, size_t cap, uint64_t base, struct gw_entry_points *ep)
{
    struct rt r = {
        .e = {.start = out, .p = out, .end = out + cap, .base = base, .features = cfg->features},
        .cfg = cfg,
        .pins = &x64_target(cfg)->pins,
        .ep = ep};
    if (cap < 4096 || cfg->isa->helper_count > X64_MAX_HELPERS)
        return GW_ERR_LIMIT;
    r.e.end -= 64;
    emit_constants(&r);
    for (r.fp = 0; r.fp < 2; r.fp++)
        emit_enter(&r);
    for (r.fp = 0; r.fp < 2 && !r.e.full; r.fp++) {
        emit_exits(&r);
        emit_go_on(&r, rt);
        emit_memory(&r, rt);
        for (int t = RAX; t <= RDX && cfg->mem == GW_MEM_FLAT; t++) {
            emit_lookup(&r, t, false);
            emit_lookup(&r, t, true);
        }
        emit_eval(&r, rt);
        for (unsigned h = 0; h < cfg->isa->helper_count; h++)
            emit_helper(&r, h);
    }
    ep->size = x64_pos(&r.e);
    return r.e.full ? GW_ERR_LIMIT : GW_OK;
}
