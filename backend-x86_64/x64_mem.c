/* Guest memory accesses, in the three modes of host_backend.h. */
#include "backend-x86_64/x64.h"

static void row_access(struct x64 *x, struct x64_cold *c)
{
    c->row = x64_add_row(x, GW_ROW_ACCESS, x64_pos(&x->e));
}

/* The address in a register that the cold path can read: a, or a + disp in a temporary. */
static int address(struct x64 *x, const struct ir_insn *in)
{
    int ra = x64_use(x, in->a);
    if (in->imm == 0)
        return ra;
    const struct xval *w = &x->v[in->a];
    int t = ra;
    if (w->flags & XV_PINNED || w->left > 1 || x->b->insn[in->a].op == IR_CONST) {
        t = x64_temp(x);
        x->lock_gpr &= (uint16_t) ~(1u << ra);
    }
    if (x64_fits32(in->imm)) {
        x64_rm(&x->e, X_W | 0x8d, t, x64_at(ra, in->imm), 0);
    } else if (t == ra) {
        int u = x64_temp(x);
        x64_mov_ri(&x->e, u, (uint64_t)in->imm);
        x64_rr(&x->e, X_W | 0x03, t, u);
        x->lock_gpr &= (uint16_t) ~(1u << u);
        x->temp_gpr &= (uint16_t) ~(1u << u);
    } else {
        x64_mov_ri(&x->e, t, (uint64_t)in->imm);
        x64_rr(&x->e, X_W | 0x03, t, ra);
    }
    return t;
}

static void test_align(struct x64 *x, int ta, unsigned size)
{
    x64_rr(&x->e, X_B | 0xf6, 0, ta);
    x64_u8(&x->e, size - 1);
}

/* Looks the page of ta up; leaves host - guest in t. Fills in the cold path's entries. */
static void lookup(struct x64 *x, struct x64_cold *c, int ta, int t, unsigned size, bool write,
                   bool aligned_only)
{
    struct x64_buf *e = &x->e;
    int base = write ? R15 : R14;
    if (x->mem == GW_MEM_TLB) {
        x64_rr(e, X_W | 0x8b, t, ta);
        x64_shift_ri(e, X_W, 5, t, GW_PAGE_SHIFT - 4);
        x64_alu_ri(e, 0, 4, t, ((1 << GW_TLB_BITS) - 1) << 4);
        x64_rr(e, X_W | 0x03, t, base);
        x64_rm(e, X_W | 0x8b, R13, x64_at(t, 0), 0);
        x64_rr(e, X_W | 0x33, R13, ta);
        x64_rr(e, X_W | 0xf7, 0, R13);
        x64_u32(e, (uint32_t)(~GW_PAGE_MASK | (size - 1)));
        c->from2 = x64_jcc(e, CC_NE);
        x64_rm(e, X_W | 0x8b, t, x64_at(t, 8), 0);
        return;
    }
    if (size > 1) {
        test_align(x, ta, size);
        if (aligned_only)
            c->from3 = x64_jcc(e, CC_NE);
        else
            c->from = x64_jcc(e, CC_NE);
    }
    x64_page_index(&x->e, x->features, t, ta);
    x64_rm(e, X_W | 0x8b, t, x64_sib(base, t, 3, 0), 0);
    x64_rr(e, X_W | 0x85, t, t);
    c->from2 = x64_jcc(e, CC_E);
    c->access = x64_pos(e);
}

static void lea(struct x64 *x, unsigned w, int t, int base, int64_t disp)
{
    if (disp)
        x64_rm(&x->e, w | 0x8d, t, x64_at(base, disp), 0);
    else
        x64_rr(&x->e, w | 0x8b, t, base);
}

static struct x64_site *site_at(struct x64 *x, uint32_t i)
{
    struct x64_site *s = x->mem == GW_MEM_FLAT ? &x->site[x->site_of[i]] : NULL;
    return s && s != x->site && s->count > 1 ? s : NULL;
}

static struct x64_mem site_slot(const struct x64 *x, const struct x64_site *s)
{
    return x64_run(X64_RUN(site) + 8 * (uint32_t)(s - x->site));
}

/* Leaves the addend in t: from the slot, or as the first access of the site. */
static void site_lookup(struct x64 *x, struct x64_cold *c, struct x64_site *s, int ta, int t)
{
    struct x64_buf *e = &x->e;
    if (s->done++) {
        x64_rm(e, X_W | 0x8b, t, site_slot(x, s), 0);
    } else {
        int64_t low = s->lo - x->disp[x->b->insn[x->i].a];
        lea(x, 0, t, ta, low);
        x64_alu_ri(e, 0, 4, t, (int32_t)GW_PAGE_MASK);
        x64_alu_ri(e, 0, 7, t, (int32_t)(GW_PAGE_SIZE - (s->hi - s->lo)));
        c->from = x64_jcc(e, CC_A);
        if (low)
            lea(x, X_W, t, ta, low);
        x64_page_index(&x->e, x->features, t, low ? t : ta);
        x64_rm(e, X_W | 0x8b, t, x64_sib(s->write ? R15 : R14, t, 3, 0), 0);
    }
    x64_rr(e, X_W | 0x85, t, t);
    c->from2 = x64_jcc(e, CC_E);
    if (s->done == 1) {
        x64_rm(e, X_W | 0x89, t, site_slot(x, s), 0);
        c->value_kind = 1;
    }
    c->access = x64_pos(e);
}

static void load_insn(struct x64 *x, const struct ir_insn *in, int d, struct x64_mem m)
{
    static const unsigned op[8] = {
        X_MAP_0F | 0xb6,       X_MAP_0F | 0xb7,       0x8b,       X_W | 0x8b,
        X_MAP_0F | X_W | 0xbe, X_MAP_0F | X_W | 0xbf, X_W | 0x63, X_W | 0x8b,
    };
    if (in->type == IR_F64 || in->type == IR_F32) {
        unsigned fop = in->type == IR_F64 ? X_F2 | X_MAP_0F | 0x10 : X_F3 | X_MAP_0F | 0x10;
        if (x->features & X64_F_AVX)
            x64_vrm(&x->e, fop, d, 0, m, 0);
        else
            x64_rm(&x->e, fop, d, m, 0);
    } else {
        x64_rm(&x->e, op[in->aux & 7], d, m, 0);
    }
}

static unsigned load_thunk(const struct ir_insn *in)
{
    if (in->type == IR_F32)
        return T_LOAD + 8;
    if (in->type == IR_F64)
        return T_LOAD + 9;
    if (in->aux & IR_ALIGNED)
        return T_LOAD_ALIGNED + (in->aux & 1);
    return T_LOAD + (in->aux & 7);
}

static void lock_prefix(struct x64 *x)
{
    x64_u8(&x->e, 0xf0);
}

/* Earlier stores are done before later loads: the one order that TSO does not keep. */
static void full_fence(struct x64 *x)
{
    lock_prefix(x);
    x64_alu_mi(&x->e, 0, 1, x64_at(RSP, 0), 0);
}

/* The result's register is chosen before the first branch to the cold path: making room for it may
 * take moves, and those must be on every way to the end. It is written by the access alone, so it may
 * be the address or the temporary. */
static void lower_load(struct x64 *x, const struct ir_insn *in)
{
    unsigned size = 1u << (in->aux & IR_SIZE_MASK);
    bool fl = in->type == IR_F32 || in->type == IR_F64;
    bool aligned_only = in->aux & IR_ALIGNED;
    bool user = x->mem == GW_MEM_USER;
    struct x64_site *site = site_at(x, x->i);
    bool direct = site || (user && x64_fits32(in->imm) && !aligned_only);
    if (in->order & IR_ORDER_RELEASE)
        full_fence(x);
    struct x64_cold *c = x64_cold(x, COLD_MEM);
    int ta = direct ? x64_use(x, in->a) : address(x, in);
    int t = user ? R14 : x64_temp(x);
    x64_done(x, in->a);
    if (!user)
        x->temp_gpr &= (uint16_t) ~(1u << t);
    int d = fl ? x64_deff(x, 0) : x64_def(x, 0);
    c->thunk = (uint16_t)load_thunk(in);
    c->a = (uint8_t)ta;
    c->b = (uint8_t)t;
    c->dest = (uint8_t)d;
    if (site) {
        site_lookup(x, c, site, ta, t);
    } else if (!user) {
        lookup(x, c, ta, t, size, false, aligned_only);
    } else if (aligned_only) {
        test_align(x, ta, size);
        c->from3 = x64_jcc(&x->e, CC_NE);
    }
    row_access(x, c);
    load_insn(x, in, d, x64_sib(t, ta, 0, direct ? in->imm : 0));
    c->back = x64_pos(&x->e);
}

static void lower_store(struct x64 *x, const struct ir_insn *in)
{
    static const unsigned op[4] = {X_B | 0x88, X_66 | 0x89, 0x89, X_W | 0x89};
    unsigned lg = in->aux & IR_SIZE_MASK, size = 1u << lg;
    bool fl = in->type == IR_F32 || in->type == IR_F64;
    struct x64_cold *c = x64_cold(x, COLD_MEM);
    struct x64_site *site = site_at(x, x->i);
    bool direct = site || (x->mem == GW_MEM_USER && x64_fits32(in->imm));
    int ta = direct ? x64_use(x, in->a) : address(x, in);
    struct x64_opnd v = {.kind = O_REG};
    struct x64_mem m;
    if (fl) {
        v.reg = (int8_t)x64_usef(x, in->b);
    } else {
        int64_t imm;
        if (x->v[in->b].reg < 0 && x64_is_const(x, in->b, &imm) && x64_fits32(imm))
            v = x64_opnd(x, in->b);
        else
            v.reg = (int8_t)x64_use(x, in->b);
    }
    c->thunk = (uint16_t)(T_STORE + lg);
    c->opnd = v;
    if (x->mem == GW_MEM_USER) {
        m = x64_sib(R14, ta, 0, direct ? in->imm : 0);
    } else {
        int t = x64_temp(x);
        c->b = (uint8_t)t;
        if (site)
            site_lookup(x, c, site, ta, t);
        else
            lookup(x, c, ta, t, size, true, false);
        m = x64_sib(t, ta, 0, site ? in->imm : 0);
    }
    row_access(x, c);
    if (fl) {
        unsigned fop = in->type == IR_F64 ? X_F2 | X_MAP_0F | 0x11 : X_F3 | X_MAP_0F | 0x11;
        if (x->features & X64_F_AVX)
            x64_vrm(&x->e, fop, v.reg, 0, m, 0);
        else
            x64_rm(&x->e, fop, v.reg, m, 0);
    } else if (v.kind == O_REG) {
        x64_rm(&x->e, op[lg], v.reg, m, 0);
    } else {
        static const unsigned opi[4] = {0xc6, X_66 | 0xc7, 0xc7, X_W | 0xc7};
        unsigned bytes = size < 4 ? size : 4;
        x64_rm(&x->e, opi[lg], 0, m, bytes);
        memcpy(x->e.p, &v.imm, bytes);
        x->e.p += bytes;
    }
    c->a = (uint8_t)ta;
    c->back = x64_pos(&x->e);
    x64_done(x, in->a);
    x64_done(x, in->b);
}

static void load_to(struct x64 *x, int d, const struct x64_opnd *o)
{
    if (o->kind == O_REG)
        x64_mov_rr(x, d, o->reg);
    else if (o->kind == O_MEM)
        x64_rm(&x->e, X_W | 0x8b, d, o->mem, 0);
    else
        x64_mov_ri(&x->e, d, (uint64_t)(int64_t)o->imm);
}

/* An operand of an atomic, not in scratch: pinned register, memory or constant. */
static struct x64_opnd amo_opnd(struct x64 *x, ir_val v)
{
    struct xval *w = &x->v[v];
    int64_t imm;
    if (w->reg >= 0)
        return (struct x64_opnd){.kind = O_REG, .reg = w->reg};
    if (x64_is_const(x, v, &imm)) {
        if (x64_fits32(imm))
            return (struct x64_opnd){.kind = O_IMM, .imm = (int32_t)imm};
        /* a wide constant goes through a run slot of its own */
        unsigned slot = x->b->insn[x->i].op == IR_CAS && x->b->insn[x->i].b == v ? 2 : 1;
        uint32_t off = x64_operand(slot);
        x64_mov_ri(&x->e, RAX, (uint64_t)imm);
        x64_rm(&x->e, X_W | 0x89, RAX, x64_state(off), 0);
        return (struct x64_opnd){.kind = O_MEM, .mem = x64_state(off)};
    }
    return (struct x64_opnd){.kind = O_MEM, .mem = x64_state((uint32_t)w->mem)};
}

/* op in its form for an operand of that size. */
static unsigned sized(unsigned lg, unsigned op)
{
    static const unsigned prefix[4] = {X_B, X_66, 0, X_W};
    return prefix[lg] | (lg ? op : op - 1);
}

/* reg's low bytes, extended as the kind compares them. */
static void amo_extend(struct x64 *x, unsigned lg, unsigned kind, int reg)
{
    bool sign = kind == IR_AMO_MIN || kind == IR_AMO_MAX;
    if (lg < 2 && kind >= IR_AMO_MIN)
        x64_rr(&x->e, X_MAP_0F | ((sign ? 0xbeu : 0xb6u) + lg), reg, reg);
}

/* rdx = f(rax, operand), for the kinds that need a compare-and-swap loop. Its low bytes count. */
static void amo_compute(struct x64 *x, unsigned lg, unsigned kind, const struct x64_opnd *b)
{
    unsigned w = lg == 3 ? X_W : 0;
    static const uint8_t alu[] = {[IR_AMO_AND] = 0x23, [IR_AMO_OR] = 0x0b, [IR_AMO_XOR] = 0x33};
    static const uint8_t keep_old[] = {
        [IR_AMO_MIN] = CC_L, [IR_AMO_MAX] = CC_G, [IR_AMO_MINU] = CC_B, [IR_AMO_MAXU] = CC_A};
    struct x64_buf *e = &x->e;
    if (kind <= IR_AMO_XOR) {
        x64_rr(e, X_W | 0x8b, RDX, RAX);
        if (b->kind == O_REG)
            x64_rr(e, w | alu[kind], RDX, b->reg);
        else if (b->kind == O_MEM)
            x64_rm(e, w | alu[kind], RDX, b->mem, 0);
        else
            x64_alu_ri(e, w, alu[kind] >> 3, RDX, b->imm);
        return;
    }
    load_to(x, RDX, b);
    amo_extend(x, lg, kind, RDX);
    amo_extend(x, lg, kind, RAX);
    x64_rr(e, w | 0x3b, RAX, RDX);
    x64_rr(e, w | X_MAP_0F | 0x40 | keep_old[kind], RDX, RAX);
}

static void lower_amo(struct x64 *x, const struct ir_insn *in)
{
    struct x64_buf *e = &x->e;
    bool cas = in->op == IR_CAS;
    unsigned lg = in->aux & IR_SIZE_MASK;
    unsigned kind = cas ? X64_AMO_CAS : (unsigned)in->imm;
    x64_spill_scratch(x);
    x64_take(x, RAX);
    x64_take(x, RCX);
    x64_take(x, RDX);
    struct x64_cold *c = x64_cold(x, COLD_AMO);
    c->thunk = (uint16_t)(T_AMO + kind * 4 + lg);
    struct x64_opnd a = amo_opnd(x, in->a);
    load_to(x, RDX, &a);
    struct x64_opnd b = amo_opnd(x, in->b);
    c->opnd = b;
    if (cas)
        c->opnd2 = amo_opnd(x, in->c);
    if (x->mem == GW_MEM_USER) {
        if (lg) {
            test_align(x, RDX, 1u << lg);
            c->from3 = x64_jcc(e, CC_NE);
        }
        x64_rr(e, X_W | 0x8b, RCX, R14);
    } else {
        lookup(x, c, RDX, RCX, 1u << lg, true, true);
    }
    struct x64_mem m = x64_sib(RCX, RDX, 0, 0);
    if (kind == IR_AMO_SWAP || kind == IR_AMO_ADD) {
        load_to(x, RAX, &b);
        row_access(x, c);
        if (kind == IR_AMO_ADD)
            lock_prefix(x);
        x64_rm(e, sized(lg, kind == IR_AMO_ADD ? X_MAP_0F | 0xc1 : 0x87), RAX, m, 0);
    } else {
        row_access(x, c);
        x64_rm(e, lg < 2 ? X_MAP_0F | (0xb6 + lg) : sized(lg, 0x8b), RAX, m, 0);
        x64_rm(e, X_W | 0x8d, RCX, m, 0);
        uint32_t loop = x64_pos(e);
        if (cas) {
            load_to(x, RAX, &c->opnd);
            load_to(x, RDX, &c->opnd2);
        } else {
            amo_compute(x, lg, kind, &b);
        }
        if (x->mem == GW_MEM_USER) /* a page that can be read only faults here */
            x64_add_row(x, GW_ROW_ACCESS, x64_pos(e));
        lock_prefix(x);
        x64_rm(e, sized(lg, X_MAP_0F | 0xb1), RDX, x64_at(RCX, 0), 0);
        if (!cas)
            x64_link(e, x64_jcc(e, CC_NE), loop);
    }
    if (lg == 2)
        x64_rr(e, X_W | 0x63, RAX, RAX);
    else if (lg < 2)
        x64_rr(e, X_W | X_MAP_0F | (0xbe + lg), RAX, RAX);
    c->back = x64_pos(e);
    x64_done(x, in->a);
    x64_done(x, in->b);
    if (cas)
        x64_done(x, in->c);
    x64_def_in(x, RAX);
}

static void call_thunk(struct x64 *x, struct x64_cold *c)
{
    x64_call_to(&x->e, x64_thunk(x, c->thunk));
    struct gw_row *r = &x->job->rows[x64_add_row(x, GW_ROW_CALL, x64_pos(&x->e))];
    r->guest = x->b->insn[c->insn].guest;
}

static void cold_amo(struct x64 *x, struct x64_cold *c)
{
    struct x64_buf *e = &x->e;
    bool cas = x->b->insn[c->insn].op == IR_CAS;
    x64_rm(e, X_W | 0x89, RDX, x64_run(X64_RUN(slow_addr)), 0);
    if (cas) {
        load_to(x, RAX, &c->opnd);
        x64_rm(e, X_W | 0x89, RAX, x64_run(x64_operand(0)), 0);
    }
    load_to(x, RAX, cas ? &c->opnd2 : &c->opnd);
    x64_rm(e, X_W | 0x89, RAX, x64_run(X64_RUN(slow_value)), 0);
    call_thunk(x, c);
    x64_rm(e, X_W | 0x8b, RAX, x64_run(X64_RUN(slow_value)), 0);
    x64_link(e, x64_jmp(e), c->back);
}

/* An access whose page the block did not look up, or which is misaligned: it may still be inline.
 * Leaves the address in c->b. */
static void look_again(struct x64 *x, struct x64_cold *c, const struct ir_insn *in, int64_t disp)
{
    struct x64_buf *e = &x->e;
    unsigned write = in->op == IR_ST || c->kind == COLD_AMO;
    lea(x, X_W, c->b, c->a, disp);
    x64_call_to(e, x64_thunk(x, T_LOOKUP + c->b + write * 3));
    x64_link(e, x64_jcc(e, CC_NE), c->access);
}

/* The access by the runtime, which may change page maps. */
static void slow_access(struct x64 *x, struct x64_cold *c, const struct ir_insn *in)
{
    struct x64_buf *e = &x->e;
    bool fl = in->type == IR_F32 || in->type == IR_F64;
    if (in->op == IR_ST) {
        struct x64_mem to = x64_run(X64_RUN(slow_value));
        if (fl)
            x64_rm(e, X_66 | X_MAP_0F | 0xd6, c->opnd.reg, to, 0);
        else if (c->opnd.kind == O_IMM)
            x64_mov_mi(e, X_W, to, c->opnd.imm);
        else
            x64_rm(e, X_W | 0x89, c->opnd.reg, to, 0);
    }
    call_thunk(x, c);
    if (in->op == IR_LD) {
        struct x64_mem from = x64_run(X64_RUN(slow_value));
        if (fl)
            x64_rm(e, X_F3 | X_MAP_0F | 0x7e, c->dest, from, 0);
        else
            x64_rm(e, X_W | 0x8b, c->dest, from, 0);
    }
    x64_link(e, x64_jmp(e), c->back);
}

void x64_cold_mem(struct x64 *x, struct x64_cold *c)
{
    struct x64_buf *e = &x->e;
    const struct ir_insn *in = &x->b->insn[c->insn];
    const struct x64_site *s = c->kind == COLD_MEM ? site_at(x, c->insn) : NULL;
    uint32_t over = 0;
    if (x->mem == GW_MEM_USER && !c->from3)
        return; /* a fault leaves by the signal handler */
    if (c->from)
        x64_link(e, c->from, x64_pos(e));
    if (s) {
        x64_link(e, c->from2, x64_pos(e));
        if (c->value_kind) /* the first */
            x64_mov_mi(e, X_W, site_slot(x, s), 0);
        look_again(x, c, in, in->imm);
        over = x64_jmp8(e);
    } else if (c->from) {
        look_again(x, c, in, 0);
    }
    uint32_t here = x64_pos(e);
    if (c->from2 && !s)
        x64_link(e, c->from2, here);
    if (c->from3)
        x64_link(e, c->from3, here);
    if (x->mem != GW_MEM_USER)
        x->job->rows[c->row].slow_offset = here;
    if (c->kind == COLD_AMO) {
        cold_amo(x, c);
        return;
    }
    if (s)
        lea(x, X_W, c->b, c->a, in->imm);
    if (over)
        x64_link8(e, over);
    x64_rm(e, X_W | 0x89, s ? c->b : c->a, x64_run(X64_RUN(slow_addr)), 0);
    slow_access(x, c, in);
}

static void lower_fence(struct x64 *x, const struct ir_insn *in)
{
    unsigned pred = (unsigned)in->imm >> 4, succ = (unsigned)in->imm & 15;
    if (!(pred & (IR_FENCE_W | IR_FENCE_O)) || !(succ & (IR_FENCE_R | IR_FENCE_I)))
        return; /* TSO keeps every other order */
    full_fence(x);
}

bool x64_lower_mem(struct x64 *x, const struct ir_insn *in)
{
    switch (in->op) {
    case IR_LD: lower_load(x, in); return true;
    case IR_ST: lower_store(x, in); return true;
    case IR_AMO:
    case IR_CAS: lower_amo(x, in); return true;
    case IR_FENCE: lower_fence(x, in); return true;
    default: return false;
    }
}
