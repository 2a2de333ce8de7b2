/*
 * Thunks: how generated code is entered and left, and how it calls C. They exist twice: for blocks
 * that can't touch FP state, where xmm registers and MXCSR stay the host's, and for those that can.
 *
 * Stack: `enter` keeps rsp 16-byte aligned in blocks, so a thunk that a block calls has it at 8.
 */
#include <assert.h>

#include "backend-x86_64/x64.h"

struct rt {
    struct x64_buf e;
    const struct gw_backend_config *cfg;
    const struct x64_target *t;
    struct gw_entry_points *ep;
    unsigned fp;
    uint32_t exit_save, exit_nosave; /* positions: eax is the exit kind */
};

static const uint8_t caller_saved[] = {RSI, RDI, R8, R9, R10, R11};

static struct x64_mem run(uint32_t offset)
{
    return x64_state(offset);
}

static void save_gprs(struct rt *r)
{
    for (int g = 0; g < X64_GPRS; g++)
        if (r->t->gpr_off[g] != 0xffff)
            x64_rm(&r->e, X_W | 0x89, g, x64_state(r->t->gpr_off[g]), 0);
}

static void load_gprs(struct rt *r, bool all)
{
    for (int g = 0; g < X64_GPRS; g++) {
        bool clobbered = all;
        for (unsigned k = 0; k < sizeof caller_saved; k++)
            clobbered |= caller_saved[k] == g;
        if (r->t->gpr_off[g] != 0xffff && clobbered)
            x64_rm(&r->e, X_W | 0x8b, g, x64_state(r->t->gpr_off[g]), 0);
    }
}

/* Pinned float registers to or from state. */
static void move_xmms(struct rt *r, bool save)
{
    unsigned op = save ? X_66 | X_MAP_0F | 0xd6 : X_F3 | X_MAP_0F | 0x7e;
    for (int k = 0; k < X64_XMMS && r->fp; k++)
        if (r->t->xmm_off[k] != 0xffff)
            x64_rm(&r->e, op, k, x64_state(r->t->xmm_off[k]), 0);
}

static void move_scratch(struct rt *r, bool save, bool with_rax)
{
    for (int g = RAX; g <= RDX; g++)
        if (g != RAX || with_rax)
            x64_rm(&r->e, X_W | (save ? 0x89 : 0x8b), g, run(X64_HOST(gpr) + 8 * (uint32_t)g), 0);
    for (int k = 0; k < 4 && r->fp; k++)
        x64_rm(&r->e, save ? X_66 | X_MAP_0F | 0xd6 : X_F3 | X_MAP_0F | 0x7e, k,
               run(X64_HOST(xmm) + 16 * (uint32_t)k), 0);
}

/* run.fp_flags |= the flags that MXCSR gathered; clobbers ecx, edx. */
static void gather_flags(struct rt *r)
{
    struct x64_buf *e = &r->e;
    struct x64_mem tmp = run(X64_HOST(mxcsr_now));
    x64_rm(e, X_MAP_0F | 0xae, 3, tmp, 0); /* stmxcsr */
    x64_rm(e, 0x8b, RCX, tmp, 0);
    x64_alu_ri(e, 0, 4, RCX, 63);
    x64_rm(e, X_W | 0x8d, RDX, x64_at(X64_RIP, (int64_t)(e->base + K_MXCSR_MAP)), 0);
    x64_rm(e, X_MAP_0F | 0xb6, RCX, x64_sib(RDX, RCX, 0, 0), 0);
    x64_rm(e, 0x09, RCX, run(X64_RUN(fp_flags)), 0);
}

static void load_mxcsr(struct rt *r, uint32_t offset)
{
    x64_rm(&r->e, X_MAP_0F | 0xae, 2, run(offset), 0);
}

static void call_c(struct rt *r, uint64_t fn)
{
    x64_alu_ri(&r->e, X_W, 5, RSP, 8);
    x64_mov_ri(&r->e, RAX, fn);
    x64_rr(&r->e, 0xff, 2, RAX);
    x64_alu_ri(&r->e, X_W, 0, RSP, 8);
}

static void cpu_arg(struct rt *r)
{
    x64_rm(&r->e, X_W | 0x8d, RDI, x64_at(RBP, -X64_BIAS), 0);
}

static void jmp_pos(struct rt *r, uint32_t pos)
{
    x64_link(&r->e, x64_jmp(&r->e), pos);
}

static void push(struct rt *r, int reg, bool pop)
{
    if (reg & 8)
        x64_u8(&r->e, 0x41);
    x64_u8(&r->e, (pop ? 0x58u : 0x50u) | (unsigned)(reg & 7));
}

static const uint8_t callee_saved[] = {RBP, RBX, R12, R13, R14, R15};

static void emit_enter(struct rt *r)
{
    struct x64_buf *e = &r->e;
    r->ep->enter[r->fp] = x64_pos(e);
    for (unsigned k = 0; k < sizeof callee_saved; k++)
        push(r, callee_saved[k], false);
    x64_alu_ri(e, X_W, 5, RSP, 8);
    x64_rm(e, X_W | 0x8d, RBP, x64_at(RDI, X64_BIAS), 0);
    x64_rr(e, X_W | 0x8b, RAX, RSI);
    if (r->fp) {
        x64_rm(e, X_MAP_0F | 0xae, 3, run(X64_HOST(mxcsr)), 0);
        load_mxcsr(r, X64_RUN(fp_control));
    }
    load_gprs(r, true);
    move_xmms(r, false);
    switch (r->cfg->mem) {
    case GW_MEM_USER: x64_rm(e, X_W | 0x8b, R14, run(X64_RUN(guest_base)), 0); break;
    case GW_MEM_FLAT:
        x64_rm(e, X_W | 0x8b, R14, run(X64_RUN(map_read)), 0);
        x64_rm(e, X_W | 0x8b, R15, run(X64_RUN(map_write)), 0);
        x64_mov_ri(e, R13, GW_PAGE_SHIFT | (48 - GW_PAGE_SHIFT) << 8);
        break;
    case GW_MEM_TLB:
        x64_rm(e, X_W | 0x8b, R14, run(X64_RUN(tlb_read)), 0);
        x64_rm(e, X_W | 0x8b, R15, run(X64_RUN(tlb_write)), 0);
        break;
    }
    x64_rr(e, 0xff, 4, RAX);
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
    if (r->fp) {
        gather_flags(r);
        load_mxcsr(r, X64_HOST(mxcsr));
    }
    x64_alu_ri(e, X_W, 0, RSP, 8);
    for (unsigned k = sizeof callee_saved; k-- > 0;)
        push(r, callee_saved[k], true);
    x64_u8(e, 0xc3);
    for (unsigned k = 0; k < sizeof kind; k++) {
        r->ep->table[r->fp][T_EXIT_BUDGET + k] = x64_pos(e);
        if (kind[k] == GW_EXIT_LINK)
            x64_rm(e, X_W | 0x89, RAX, run(X64_RUN(exit_link)), 0);
        x64_mov_ri(e, RAX, kind[k]);
        jmp_pos(r, r->exit_save);
    }
    r->ep->fault[r->fp] = r->ep->table[r->fp][T_EXIT_HELPER];
}

/* After a C call in a thunk: guest registers are in state; the block is left. */
static void leave_path(struct rt *r)
{
    struct x64_buf *e = &r->e;
    x64_rm(e, 0x8f, 0, run(X64_RUN(slow_ra)), 0);
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
    x64_rr(e, 0x8b, RSI, RAX);
    cpu_arg(r);
    call_c(r, fn);
    x64_rr(e, 0x85, RAX, RAX);
    uint32_t leave = x64_jcc(e, CC_NE);
    load_gprs(r, false);
    move_xmms(r, false);
    move_scratch(r, false, true);
    x64_u8(e, 0xc3);
    x64_link(e, leave, x64_pos(e));
    leave_path(r);
    return start;
}

static void slow_entry(struct rt *r, unsigned thunk, uint32_t desc, uint32_t body)
{
    struct x64_buf *e = &r->e;
    r->ep->table[r->fp][thunk] = x64_pos(e);
    x64_rm(e, X_W | 0x89, RAX, run(X64_HOST(gpr)), 0);
    x64_mov_ri(e, RAX, desc);
    jmp_pos(r, body);
}

static void emit_memory(struct rt *r, const struct gw_runtime *rt)
{
    uint32_t body = emit_slow(r, (uint64_t)(uintptr_t)rt->load);
    for (unsigned aux = 0; aux < 8; aux++)
        slow_entry(r, T_LOAD + aux, IR_I64 << 8 | aux, body);
    slow_entry(r, T_LOAD + 8, IR_F32 << 8 | 2, body);
    slow_entry(r, T_LOAD + 9, IR_F64 << 8 | 3, body);
    slow_entry(r, T_LOAD_ALIGNED, IR_I64 << 8 | IR_ALIGNED | IR_SIGN | 2, body);
    slow_entry(r, T_LOAD_ALIGNED + 1, IR_I64 << 8 | IR_ALIGNED | 3, body);
    body = emit_slow(r, (uint64_t)(uintptr_t)rt->store);
    for (unsigned aux = 0; aux < 4; aux++)
        slow_entry(r, T_STORE + aux, IR_I64 << 8 | aux, body);
    body = emit_slow(r, (uint64_t)(uintptr_t)rt->amo);
    for (unsigned k = 0; k < 10; k++)
        for (unsigned aux = 0; aux < 4; aux++)
            slow_entry(r, T_AMO + k * 4 + aux, k << 16 | IR_I64 << 8 | aux, body);
}

/* Looks up the page of an address that no longer is inline. Register t holds the address; the addend
 * is returned, or the address again with ZF set: the access crosses pages, or its page is not
 * inline. What is near the page's end, closer than the widest access, is taken for a crosser. */
static void emit_lookup(struct rt *r, int t, bool write)
{
    struct x64_buf *e = &r->e;
    struct x64_mem addr = run(X64_RUN(slow_addr));
    r->ep->table[r->fp][T_LOOKUP + t + write * 3] = x64_pos(e);
    x64_rm(e, X_W | 0x89, t, addr, 0);
    x64_alu_ri(e, 0, 4, t, (int32_t)GW_PAGE_MASK);
    x64_alu_ri(e, 0, 7, t, (int32_t)(GW_PAGE_SIZE - 8));
    x64_rm(e, X_W | 0x8b, t, addr, 0);
    uint32_t near_end = x64_jcc(e, CC_A);
    x64_page_index(e, r->cfg->features, t, t);
    x64_rm(e, X_W | 0x8b, t, x64_sib(write ? R15 : R14, t, 3, 0), 0);
    x64_rr(e, X_W | 0x85, t, t);
    uint32_t none = x64_jcc(e, CC_E);
    x64_u8(e, 0xc3);
    x64_link(e, none, x64_pos(e));
    x64_rm(e, X_W | 0x8b, t, addr, 0);
    x64_link(e, near_end, x64_pos(e));
    x64_rr(e, 0x3b, t, t); /* ZF */
    x64_u8(e, 0xc3);
}

static void emit_eval(struct rt *r, const struct gw_runtime *rt)
{
    struct x64_buf *e = &r->e;
    r->ep->table[r->fp][T_EVAL] = x64_pos(e);
    move_scratch(r, true, true);
    save_gprs(r);
    move_xmms(r, true);
    x64_rm(e, X_W | 0x8b, RSI, x64_at(RSP, 0), 0);
    x64_alu_mi(e, X_W, 0, x64_at(RSP, 0), (int32_t)sizeof(struct ir_insn));
    cpu_arg(r);
    call_c(r, (uint64_t)(uintptr_t)rt->eval);
    load_gprs(r, false);
    move_xmms(r, false);
    move_scratch(r, false, true);
    x64_u8(e, 0xc3);
}

/* Before a helper that may read or write FP flags: they are complete, and remembered. */
static void before_fp_helper(struct rt *r)
{
    gather_flags(r);
    x64_rm(&r->e, 0x8b, RCX, run(X64_RUN(fp_flags)), 0);
    x64_rm(&r->e, 0x89, RCX, run(X64_HOST(fp_before)), 0);
}

/* After it: what may trap was chosen by the flags, so with other flags nothing traps. Keeps rax. */
static void after_fp_helper(struct rt *r)
{
    struct x64_buf *e = &r->e;
    x64_rm(e, 0x8b, RCX, run(X64_RUN(fp_flags)), 0);
    x64_rm(e, 0x3b, RCX, run(X64_HOST(fp_before)), 0);
    uint32_t same = x64_jcc(e, CC_E);
    x64_mov_mi(e, 0, run(X64_RUN(fp_trap)), 0);
    x64_rm(e, 0x8b, RCX, run(X64_RUN(fp_control_quiet)), 0);
    x64_rm(e, 0x89, RCX, run(X64_RUN(fp_control)), 0);
    x64_link(e, same, x64_pos(e));
    load_mxcsr(r, X64_RUN(fp_control)); /* drops flags already gathered */
}

static void emit_helper(struct rt *r, unsigned index)
{
    struct x64_buf *e = &r->e;
    const struct gw_helper *h = &r->cfg->isa->helpers[index];
    uint32_t leave = 0;
    r->ep->table[r->fp][T_HELPER + index] = x64_pos(e);
    save_gprs(r);
    move_xmms(r, true);
    if (r->fp && h->flags & GW_HELPER_FP)
        before_fp_helper(r);
    cpu_arg(r);
    static const uint8_t arg[3] = {RSI, RDX, RCX};
    assert(h->args <= 3);
    for (unsigned k = 0; k < h->args; k++)
        x64_rm(e, X_W | 0x8b, arg[k], run(x64_operand(k)), 0);
    call_c(r, (uint64_t)(uintptr_t)h->fn);
    if (r->fp && h->flags & GW_HELPER_FP)
        after_fp_helper(r);
    if (h->flags & GW_HELPER_LEAVES) {
        x64_alu_mi(e, 0, 7, run(X64_RUN(leave)), 0);
        leave = x64_jcc(e, CC_NE);
    }
    load_gprs(r, h->flags & GW_HELPER_WRITES);
    move_xmms(r, false);
    x64_u8(e, 0xc3);
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
    struct rt r = {.e = {.start = out, .p = out, .end = out + cap, .base = base},
                   .cfg = cfg,
                   .t = (const struct x64_target *)(const void *)cfg->target,
                   .ep = ep};
    if (cap < 4096 || cfg->isa->helper_count > X64_MAX_HELPERS)
        return GW_ERR_LIMIT;
    r.e.end -= 64;
    emit_constants(&r);
    for (r.fp = 0; r.fp < 2 && !r.e.full; r.fp++) {
        emit_enter(&r);
        emit_exits(&r);
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
