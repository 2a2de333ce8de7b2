/* Where values live: see the invariants in x64.h. */
#include "backend-x86_64/x64.h"

int x64_pinned_gpr(const struct x64 *x, uint32_t off, unsigned size_log2)
{
    return size_log2 == 3 && off < 256 && !(off & 7) ? x->t->gpr_of[off >> 3] : -1;
}

int x64_pinned_xmm(const struct x64 *x, uint32_t off, enum ir_type type)
{
    if (off < x->t->fpr_first || off > x->t->fpr_last || type != IR_F64 || !x->fp)
        return -1;
    return x->t->xmm_of[(off - x->t->fpr_first) >> 3];
}

void x64_mov_rr(struct x64 *x, int d, int s)
{
    if (d != s)
        x64_rr(&x->e, X_W | 0x8b, d, s);
}

void x64_movf_rr(struct x64 *x, int d, int s)
{
    if (d == s)
        return;
    if (x->features & X64_F_AVX)
        x64_vrr(&x->e, X_66 | X_MAP_0F | 0x28, d, 0, s);
    else
        x64_rr(&x->e, X_66 | X_MAP_0F | 0x28, d, s);
}

static void load_xmm(struct x64 *x, int d, struct x64_mem m)
{
    /* movq xmm, m64 */
    if (x->features & X64_F_AVX)
        x64_vrm(&x->e, X_F3 | X_MAP_0F | 0x7e, d, 0, m, 0);
    else
        x64_rm(&x->e, X_F3 | X_MAP_0F | 0x7e, d, m, 0);
}

static void store_xmm(struct x64 *x, int s, struct x64_mem m)
{
    if (x->features & X64_F_AVX)
        x64_vrm(&x->e, X_66 | X_MAP_0F | 0xd6, s, 0, m, 0);
    else
        x64_rm(&x->e, X_66 | X_MAP_0F | 0xd6, s, m, 0);
}

bool x64_is_const(const struct x64 *x, ir_val v, int64_t *imm)
{
    const struct ir_insn *in = &x->b->insn[v];
    if (in->op != IR_CONST)
        return false;
    *imm = in->imm;
    return true;
}

static uint32_t spill_slot(struct x64 *x)
{
    unsigned n = (unsigned)__builtin_ctz(~x->spill_used);
    if (n >= X64_SPILLS) {
        x->e.full = true; /* the translator retries with a shorter block */
        n = 0;
    }
    x->spill_used |= 1u << n;
    return X64_HOST(spill) + (uint32_t)sizeof(struct gw_slot) * n;
}

static void free_spill(struct x64 *x, struct xval *w)
{
    if (w->flags & XV_SPILLED) {
        uint32_t n = ((uint32_t)w->mem - X64_HOST(spill)) / (uint32_t)sizeof(struct gw_slot);
        x->spill_freed |= 1u << n; /* this instruction may still read it */
        w->flags &= (uint8_t)~XV_SPILLED;
    }
    w->mem = MEM_NONE;
}

/* Gives the value a memory copy, so that its register may be reused. */
static void back_up(struct x64 *x, ir_val v)
{
    struct xval *w = &x->v[v];
    if (w->mem != MEM_NONE || x->b->insn[v].op == IR_CONST)
        return;
    uint32_t off = spill_slot(x);
    if (w->flags & XV_FLOAT)
        store_xmm(x, w->reg, x64_state(off));
    else
        x64_rm(&x->e, X_W | 0x89, w->reg, x64_state(off), 0);
    w->mem = (int32_t)off;
    w->flags |= XV_SPILLED;
}

static void evict(struct x64 *x, int reg)
{
    ir_val v = x->owner_gpr[reg];
    if (v == VAL_NONE)
        return;
    back_up(x, v);
    x->v[v].reg = -1;
    x->owner_gpr[reg] = VAL_NONE;
    x->free_gpr |= (uint16_t)(1u << reg);
}

static void evictf(struct x64 *x, int reg)
{
    ir_val v = x->owner_xmm[reg];
    if (v == VAL_NONE)
        return;
    if (x->nan_pending >> reg & 1)
        x64_flush_nans(x);
    back_up(x, v);
    x->v[v].reg = -1;
    x->owner_xmm[reg] = VAL_NONE;
    x->free_xmm |= (uint16_t)(1u << reg);
}

/* A free scratch GPR, evicting if need be; locked. Prefers victims that cost nothing. */
static int grab(struct x64 *x)
{
    unsigned avail = x->free_gpr & (unsigned)~x->lock_gpr;
    int r;
    if (avail) {
        r = __builtin_ctz(avail);
    } else {
        unsigned cand = x->t->scratch & (unsigned)~x->lock_gpr;
        if (!cand) {
            x->e.full = true;
            return RAX;
        }
        r = __builtin_ctz(cand);
        for (unsigned m = cand; m; m &= m - 1) {
            int c = __builtin_ctz(m);
            ir_val v = x->owner_gpr[c];
            if (v == VAL_NONE || x->v[v].mem != MEM_NONE || x->b->insn[v].op == IR_CONST) {
                r = c;
                break;
            }
        }
        evict(x, r);
    }
    x->lock_gpr |= (uint16_t)(1u << r);
    return r;
}

static int grabf(struct x64 *x)
{
    unsigned avail = x->free_xmm & (unsigned)~x->lock_xmm;
    int r;
    if (avail) {
        r = __builtin_ctz(avail);
    } else {
        unsigned cand = 15u & (unsigned)~x->lock_xmm;
        if (!cand) {
            x->e.full = true;
            return 0;
        }
        r = __builtin_ctz(cand);
        evictf(x, r);
    }
    x64_nan_overwritten(x, r);
    x->lock_xmm |= (uint16_t)(1u << r);
    return r;
}

int x64_temp(struct x64 *x)
{
    int r = grab(x);
    x->temp_gpr |= (uint16_t)(1u << r);
    return r;
}

int x64_tempf(struct x64 *x)
{
    int r = grabf(x);
    x->temp_xmm |= (uint16_t)(1u << r);
    return r;
}

void x64_take(struct x64 *x, int reg)
{
    if (x->owner_gpr[reg] != VAL_NONE) {
        ir_val v = x->owner_gpr[reg];
        unsigned avail = x->free_gpr & (unsigned)~x->lock_gpr & ~(1u << reg);
        if (avail) {
            int r = __builtin_ctz(avail);
            x64_mov_rr(x, r, reg);
            x->owner_gpr[r] = v;
            x->free_gpr &= (uint16_t) ~(1u << r);
            x->v[v].reg = (int8_t)r;
            x->owner_gpr[reg] = VAL_NONE;
            x->free_gpr |= (uint16_t)(1u << reg);
        } else {
            evict(x, reg);
        }
    }
    x->lock_gpr |= (uint16_t)(1u << reg);
    x->temp_gpr |= (uint16_t)(1u << reg);
}

void x64_unlock(struct x64 *x)
{
    x->spill_used &= ~x->spill_freed;
    x->spill_freed = 0;
    x->lock_gpr = x->temp_gpr = 0;
    x->lock_xmm = x->temp_xmm = 0;
}

static void own(struct x64 *x, ir_val v, int reg)
{
    x->v[v].reg = (int8_t)reg;
    x->owner_gpr[reg] = v;
    x->free_gpr &= (uint16_t) ~(1u << reg);
}

static void ownf(struct x64 *x, ir_val v, int reg)
{
    x->v[v].reg = (int8_t)reg;
    x->owner_xmm[reg] = v;
    x->free_xmm &= (uint16_t) ~(1u << reg);
}

int x64_use(struct x64 *x, ir_val v)
{
    struct xval *w = &x->v[v];
    if (w->reg < 0) {
        int r = grab(x);
        int64_t imm;
        if (x64_is_const(x, v, &imm))
            x64_mov_ri(&x->e, r, (uint64_t)imm);
        else
            x64_rm(&x->e, X_W | 0x8b, r, x64_state((uint32_t)w->mem), 0);
        own(x, v, r);
    }
    x->lock_gpr |= (uint16_t)(1u << w->reg);
    return w->reg;
}

int x64_usef(struct x64 *x, ir_val v)
{
    struct xval *w = &x->v[v];
    if (w->reg < 0) {
        int r = grabf(x);
        load_xmm(x, r, x64_state((uint32_t)w->mem));
        ownf(x, v, r);
    }
    x->lock_xmm |= (uint16_t)(1u << w->reg);
    return w->reg;
}

struct x64_opnd x64_opnd(struct x64 *x, ir_val v)
{
    struct xval *w = &x->v[v];
    struct x64_opnd o = {.kind = O_REG};
    int64_t imm;
    if (w->reg < 0 && x64_is_const(x, v, &imm) && x64_fits32(imm)) {
        o.kind = O_IMM;
        o.imm = (int32_t)imm;
    } else if (w->reg < 0 && w->mem != MEM_NONE &&
               (w->left <= 1 || !(x->free_gpr & (unsigned)~x->lock_gpr))) {
        o.kind = O_MEM;
        o.mem = x64_state((uint32_t)w->mem);
    } else {
        o.reg = (int8_t)x64_use(x, v);
    }
    return o;
}

static void drop_alias(struct x64 *x, ir_val v)
{
    for (uint32_t k = 0; k < x->alias_count; k++)
        if (x->alias[k] == v) {
            x->alias[k] = x->alias[--x->alias_count];
            return;
        }
}

static void add_alias(struct x64 *x, ir_val v)
{
    if (x->alias_count < sizeof x->alias / sizeof x->alias[0])
        x->alias[x->alias_count++] = v;
    else
        x->e.full = true;
}

/* Value v lives no longer: its scratch register and slots are free. */
static void die(struct x64 *x, ir_val v)
{
    struct xval *w = &x->v[v];
    if (w->reg >= 0 && !(w->flags & XV_PINNED)) {
        if (w->flags & XV_FLOAT) {
            x->owner_xmm[w->reg] = VAL_NONE;
            x->free_xmm |= (uint16_t)(1u << w->reg);
        } else {
            x->owner_gpr[w->reg] = VAL_NONE;
            x->free_gpr |= (uint16_t)(1u << w->reg);
        }
    }
    if (w->flags & (XV_PINNED | XV_SLOT))
        drop_alias(x, v);
    free_spill(x, w);
    w->flags &= (uint8_t) ~(XV_PINNED | XV_SLOT);
    w->reg = -1;
}

void x64_done(struct x64 *x, ir_val v)
{
    struct xval *w = &x->v[v];
    if (w->left && --w->left == 0) {
        if (x->b->insn[v].op == IR_CONST && w->reg < 0)
            return;
        die(x, v);
    }
}

/* Moves the value off its pinned register, which is about to change. */
static void rescue_pinned(struct x64 *x, ir_val v)
{
    struct xval *w = &x->v[v];
    int from = w->reg;
    if (w->flags & XV_FLOAT && x->nan_pending >> from & 1)
        x64_flush_nans(x);
    drop_alias(x, v);
    w->flags &= (uint8_t) ~(XV_PINNED | XV_SLOT);
    w->mem = MEM_NONE;
    if (w->flags & XV_FLOAT) {
        unsigned avail = x->free_xmm & (unsigned)~x->lock_xmm;
        if (avail) {
            int r = __builtin_ctz(avail);
            x64_nan_overwritten(x, r); /* of a result that nobody used */
            x64_movf_rr(x, r, from);
            ownf(x, v, r);
            return;
        }
    } else {
        unsigned avail = x->free_gpr & (unsigned)~x->lock_gpr;
        if (avail) {
            int r = __builtin_ctz(avail);
            x64_mov_rr(x, r, from);
            own(x, v, r);
            return;
        }
    }
    back_up(x, v);
    w->reg = -1;
}

/* Values that alias pinned register reg (of the class), other than keep. */
static void rescue_reg(struct x64 *x, int reg, unsigned is_float, ir_val keep)
{
    for (uint32_t k = 0; k < x->alias_count;) {
        ir_val v = x->alias[k];
        struct xval *w = &x->v[v];
        if (v != keep && w->flags & XV_PINNED && w->reg == reg && (w->flags & XV_FLOAT) == is_float)
            rescue_pinned(x, v);
        else
            k++;
    }
}

/* Values whose memory copy is a state slot overlapping [off, off+size). */
static void rescue_slot(struct x64 *x, uint32_t off, unsigned size, ir_val keep)
{
    for (uint32_t k = 0; k < x->alias_count;) {
        ir_val v = x->alias[k];
        struct xval *w = &x->v[v];
        if (!(w->flags & XV_SLOT) || (uint32_t)w->mem + 8 <= off ||
            off + size <= (uint32_t)w->mem) {
            k++;
            continue;
        }
        if (v == keep && (uint32_t)w->mem == off && size == 8) {
            k++;
            continue;
        }
        if (w->reg < 0) { /* fetch it before the slot changes */
            if (w->flags & XV_FLOAT) {
                int r = grabf(x);
                load_xmm(x, r, x64_state((uint32_t)w->mem));
                x->lock_xmm &= (uint16_t) ~(1u << r);
                ownf(x, v, r);
            } else {
                int r = grab(x);
                x64_rm(&x->e, X_W | 0x8b, r, x64_state((uint32_t)w->mem), 0);
                x->lock_gpr &= (uint16_t) ~(1u << r);
                own(x, v, r);
            }
        }
        w->mem = MEM_NONE;
        w->flags &= (uint8_t)~XV_SLOT;
        drop_alias(x, v);
    }
}

void x64_spill_scratch(struct x64 *x)
{
    for (unsigned m = x->t->scratch; m; m &= m - 1)
        evict(x, __builtin_ctz(m));
    for (int r = 0; r < 4; r++)
        evictf(x, r);
}

void x64_rescue_all(struct x64 *x)
{
    while (x->alias_count) {
        ir_val v = x->alias[x->alias_count - 1];
        struct xval *w = &x->v[v];
        if (w->flags & XV_PINNED) {
            drop_alias(x, v);
            w->flags &= (uint8_t) ~(XV_PINNED | XV_SLOT);
            w->mem = MEM_NONE;
            back_up(x, v);
            w->reg = -1;
            continue;
        }
        /* a state slot: copy it to a spill slot through scratch */
        uint32_t from = (uint32_t)w->mem;
        drop_alias(x, v);
        w->flags &= (uint8_t)~XV_SLOT;
        w->mem = MEM_NONE;
        if (w->reg >= 0) {
            back_up(x, v);
        } else {
            uint32_t to = spill_slot(x);
            int r = grab(x);
            x64_rm(&x->e, X_W | 0x8b, r, x64_state(from), 0);
            x64_rm(&x->e, X_W | 0x89, r, x64_state(to), 0);
            x->lock_gpr &= (uint16_t) ~(1u << r);
            w->mem = (int32_t)to;
            w->flags |= XV_SPILLED;
        }
    }
}

static bool is_float(const struct ir_insn *in)
{
    return in->type == IR_F32 || in->type == IR_F64;
}

static void define(struct x64 *x, bool fl)
{
    struct xval *w = &x->v[x->i];
    w->mem = MEM_NONE;
    w->left = x->b->insn[x->i].uses;
    w->flags = fl ? XV_FLOAT : 0;
    w->reg = -1;
}

/* The PUT that directly consumes the result of insn x->i, if it goes to a pinned register. */
static int put_hint(const struct x64 *x, bool fl)
{
    uint32_t n = x->i + 1;
    while (n < x->b->count && x->b->insn[n].op == IR_NOP)
        n++;
    if (n >= x->b->count)
        return -1;
    const struct ir_insn *p = &x->b->insn[n];
    if (p->op != IR_PUT || p->a != x->i)
        return -1;
    return fl ? x64_pinned_xmm(x, (uint32_t)p->imm, p->type)
              : x64_pinned_gpr(x, (uint32_t)p->imm, p->aux);
}

int x64_def(struct x64 *x, uint16_t avoid)
{
    define(x, false);
    int p = put_hint(x, false);
    if (p >= 0 && !(avoid >> p & 1)) {
        rescue_reg(x, p, 0, VAL_NONE);
        x->v[x->i].reg = (int8_t)p;
        x->v[x->i].flags |= XV_PINNED;
        add_alias(x, (ir_val)x->i);
        return p;
    }
    unsigned avail = x->free_gpr & x->lock_gpr & (unsigned)~(avoid | x->temp_gpr);
    /* an operand that died in this instruction makes the best destination */
    int r = avail ? __builtin_ctz(avail) : -1;
    if (r < 0) {
        uint16_t saved = x->lock_gpr;
        x->lock_gpr |= avoid;
        r = grab(x);
        x->lock_gpr = (uint16_t)(saved | 1u << r);
    }
    own(x, (ir_val)x->i, r);
    return r;
}

int x64_def_in(struct x64 *x, int reg)
{
    define(x, false);
    int p = put_hint(x, false);
    if (p >= 0) {
        rescue_reg(x, p, 0, VAL_NONE);
        x64_mov_rr(x, p, reg);
        x->v[x->i].reg = (int8_t)p;
        x->v[x->i].flags |= XV_PINNED;
        add_alias(x, (ir_val)x->i);
        return p;
    }
    own(x, (ir_val)x->i, reg);
    return reg;
}

int x64_deff(struct x64 *x, uint16_t avoid)
{
    define(x, true);
    int p = put_hint(x, true);
    if (p >= 0 && !(avoid >> p & 1)) {
        rescue_reg(x, p, XV_FLOAT, VAL_NONE);
        x64_nan_overwritten(x, p);
        x->v[x->i].reg = (int8_t)p;
        x->v[x->i].flags |= XV_PINNED;
        add_alias(x, (ir_val)x->i);
        return p;
    }
    unsigned avail = x->free_xmm & x->lock_xmm & (unsigned)~(avoid | x->temp_xmm);
    int r = avail ? __builtin_ctz(avail) : -1;
    if (r < 0) {
        uint16_t saved = x->lock_xmm;
        x->lock_xmm |= avoid;
        r = grabf(x);
        x->lock_xmm = (uint16_t)(saved | 1u << r);
    } else {
        x64_nan_overwritten(x, r);
    }
    ownf(x, (ir_val)x->i, r);
    return r;
}

void x64_get(struct x64 *x, const struct ir_insn *in)
{
    struct xval *w = &x->v[x->i];
    uint32_t off = (uint32_t)in->imm;
    bool fl = is_float(in);
    if (!fl && in->aux != 3) { /* narrow fields are loaded at once */
        static const unsigned op[3] = {X_MAP_0F | 0xb6, X_MAP_0F | 0xb7, 0x8b};
        int d = x64_def(x, 0);
        x64_rm(&x->e, op[in->aux], d, x64_state(off), 0);
        return;
    }
    if (in->type == IR_F32) {
        int d = x64_deff(x, 0);
        x64_rm(&x->e, X_F3 | X_MAP_0F | 0x10, d, x64_state(off), 0);
        return;
    }
    define(x, fl);
    int p = fl ? x64_pinned_xmm(x, off, in->type) : x64_pinned_gpr(x, off, 3);
    if (p >= 0) {
        w->reg = (int8_t)p;
        w->flags |= XV_PINNED;
    } else {
        w->mem = (int32_t)off;
        w->flags |= XV_SLOT;
    }
    if (w->left)
        add_alias(x, (ir_val)x->i);
}

static void put_const(struct x64 *x, uint32_t off, unsigned size_log2, int64_t imm)
{
    struct x64_mem m = x64_state(off);
    if (size_log2 == 3 && x64_fits32(imm)) {
        x64_mov_mi(&x->e, X_W, m, (int32_t)imm);
    } else if (size_log2 == 2) {
        x64_mov_mi(&x->e, 0, m, (int32_t)imm);
    } else {
        static const unsigned op[4] = {X_B | 0x88, X_66 | 0x89, 0x89, X_W | 0x89};
        int r = grab(x);
        x64_mov_ri(&x->e, r, (uint64_t)imm);
        x64_rm(&x->e, op[size_log2], r, m, 0);
        x->lock_gpr &= (uint16_t) ~(1u << r);
    }
}

static void put_float(struct x64 *x, const struct ir_insn *in)
{
    struct xval *w = &x->v[in->a];
    uint32_t off = (uint32_t)in->imm;
    int p = x64_pinned_xmm(x, off, in->type);
    if (p >= 0) {
        if (w->reg == p && w->flags & XV_PINNED) {
            x64_done(x, in->a);
            return;
        }
        int s = x64_usef(x, in->a);
        if (x->nan_pending >> s & 1)
            x64_flush_nans(x);
        rescue_reg(x, p, XV_FLOAT, in->a);
        x64_nan_overwritten(x, p);
        x64_movf_rr(x, p, s);
        x64_done(x, in->a);
        return;
    }
    int s = x64_usef(x, in->a);
    if (x->nan_pending >> s & 1)
        x64_flush_nans(x);
    rescue_slot(x, off, in->type == IR_F32 ? 4 : 8, in->a);
    if (in->type == IR_F32)
        x64_rm(&x->e, X_F3 | X_MAP_0F | 0x11, s, x64_state(off), 0);
    else
        store_xmm(x, s, x64_state(off));
    x64_done(x, in->a);
}

void x64_put(struct x64 *x, const struct ir_insn *in)
{
    static const unsigned op[4] = {X_B | 0x88, X_66 | 0x89, 0x89, X_W | 0x89};
    struct xval *w = &x->v[in->a];
    uint32_t off = (uint32_t)in->imm;
    int64_t imm;
    if (is_float(in)) {
        put_float(x, in);
        return;
    }
    int p = x64_pinned_gpr(x, off, in->aux);
    if (p >= 0) {
        if (w->reg == p && w->flags & XV_PINNED) { /* computed in place */
            x64_done(x, in->a);
            return;
        }
        rescue_reg(x, p, 0, in->a);
        if (w->reg >= 0) {
            x64_mov_rr(x, p, w->reg);
        } else if (x64_is_const(x, in->a, &imm)) {
            if (imm == 0)
                x64_rr(&x->e, 0x33, p, p);
            else
                x64_mov_ri(&x->e, p, (uint64_t)imm);
        } else {
            x64_rm(&x->e, X_W | 0x8b, p, x64_state((uint32_t)w->mem), 0);
        }
        if (w->left > 1 && w->reg >= 0 && !(w->flags & XV_PINNED)) { /* give the scratch back */
            ir_val v = in->a;
            x->owner_gpr[w->reg] = VAL_NONE;
            x->free_gpr |= (uint16_t)(1u << w->reg);
            if (w->flags & XV_SLOT)
                drop_alias(x, v);
            free_spill(x, w);
            w->flags = (uint8_t)((w->flags & ~XV_SLOT) | XV_PINNED);
            w->reg = (int8_t)p;
            if (x->b->insn[v].op != IR_CONST)
                add_alias(x, v);
            else
                *w = (struct xval){.mem = MEM_NONE, .left = w->left, .reg = -1};
        }
        x64_done(x, in->a);
        return;
    }
    if (w->reg < 0 && x64_is_const(x, in->a, &imm)) {
        rescue_slot(x, off, 1u << in->aux, VAL_NONE);
        put_const(x, off, in->aux, imm);
        x64_done(x, in->a);
        return;
    }
    if (w->flags & XV_SLOT && w->reg < 0 && (uint32_t)w->mem == off && in->aux == 3) {
        x64_done(x, in->a); /* the slot already holds it */
        return;
    }
    int s = x64_use(x, in->a);
    rescue_slot(x, off, 1u << in->aux, in->a);
    x64_rm(&x->e, op[in->aux], s, x64_state(off), 0);
    if (w->left > 1 && in->aux == 3 && w->mem == MEM_NONE && !(w->flags & XV_PINNED) &&
        x->b->insn[in->a].op != IR_CONST) {
        w->mem = (int32_t)off; /* the slot now backs it up */
        w->flags |= XV_SLOT;
        add_alias(x, in->a);
    }
    x64_done(x, in->a);
}

bool x64_rmw_slot(struct x64 *x, ir_val a, uint32_t *off)
{
    const struct xval *w = &x->v[a];
    uint32_t n = x->i + 1;
    if (w->reg >= 0 || !(w->flags & XV_SLOT) || w->left != 1 || x->b->insn[x->i].uses != 1)
        return false;
    while (n < x->b->count && x->b->insn[n].op == IR_NOP)
        n++;
    const struct ir_insn *p = &x->b->insn[n];
    if (n >= x->b->count || p->op != IR_PUT || p->a != x->i || p->aux != 3 || p->type == IR_F64 ||
        (uint32_t)p->imm != (uint32_t)w->mem)
        return false;
    for (uint32_t k = 0; k < x->alias_count; k++) { /* somebody else still reads the slot */
        const struct xval *o = &x->v[x->alias[k]];
        if (x->alias[k] != a && o->flags & XV_SLOT && o->mem == w->mem)
            return false;
    }
    *off = (uint32_t)w->mem;
    return true;
}
