#include "backend-common/place.h"

#include <string.h>

enum { WHOLE = 3 }; /* log2 of what a spill slot or a guest register has of a value */

/* --- spill slots --------------------------------------------------------------------------------- */

static uint32_t spill_slot(struct place *p)
{
    unsigned n = (unsigned)__builtin_ctz(~p->spilled);
    if (n >= PLACE_SPILLS) {
        *p->full = true; /* the translator retries with a shorter block */
        n = 0;
    }
    p->spilled |= 1u << n;
    return p->spill_at + (uint32_t)sizeof(struct gw_slot) * n;
}

static void free_spill(struct place *p, struct value *w)
{
    if (w->flags & VALUE_SPILLED) {
        uint32_t n = ((uint32_t)w->mem - p->spill_at) / (uint32_t)sizeof(struct gw_slot);
        p->unspilled |= 1u << n; /* this instruction may still read it */
        w->flags &= (uint8_t)~VALUE_SPILLED;
    }
    w->mem = PLACE_NO_COPY;
}

/* Gives the value a memory copy, so that its register may be reused. */
static void back_up(struct place *p, ir_val v)
{
    struct value *w = &p->v[v];
    if (w->mem != PLACE_NO_COPY || p->b->insn[v].op == IR_CONST)
        return;
    uint32_t off = spill_slot(p);
    p->target->store(p->code, w->reg, off, WHOLE);
    w->mem = (int32_t)off;
    w->flags |= VALUE_SPILLED;
}

/* --- registers ----------------------------------------------------------------------------------- */

static void own(struct place *p, ir_val v, int reg)
{
    p->v[v].reg = (int8_t)reg;
    p->owner[reg] = v;
    p->free &= ~reg_bit(reg);
}

static void disown(struct place *p, int reg)
{
    p->owner[reg] = IR_NONE;
    p->free |= reg_bit(reg);
}

static void evict(struct place *p, int reg)
{
    ir_val v = p->owner[reg];
    if (v == IR_NONE)
        return;
    nans_show(&p->nans, reg);
    back_up(p, v);
    p->v[v].reg = REG_NONE;
    disown(p, reg);
}

/* Is there a copy of what the register holds already? */
static bool costs_nothing(const struct place *p, int reg)
{
    ir_val v = p->owner[reg];
    return v == IR_NONE || p->v[v].mem != PLACE_NO_COPY || p->b->insn[v].op == IR_CONST;
}

/* One of the set to evict: an integer that costs nothing, if there is one. */
static int victim(const struct place *p, enum reg_class cls, reg_set set)
{
    for (reg_set m = cls == REG_INT ? set : 0; m; m &= m - 1)
        if (costs_nothing(p, reg_first(m)))
            return reg_first(m);
    return reg_first(set);
}

/* --- pinned registers that are dead -------------------------------------------------------------- */

static bool observes(const struct ir_insn *in)
{
    return ir_op_info[in->op].flags & (IRF_MEM | IRF_EXIT | IRF_END);
}

/* Finds those whose next use behind this instruction is a PUT, with nothing before it that wants state to
 * be exact. */
static void find_lendable(struct place *p)
{
    enum { LATER = 8 }; /* each look goes over all that is ahead */
    reg_set seen = p->lent;
    if (p->i < p->look_at || observes(&p->b->insn[p->i]))
        return;
    p->look_at = p->i + LATER;
    for (uint32_t k = p->i + 1; k < p->b->count && !observes(&p->b->insn[k]); k++) {
        const struct ir_insn *in = &p->b->insn[k];
        if ((in->op != IR_GET && in->op != IR_PUT) || in->type != IR_I64)
            continue;
        int r = pins_int(p->pins, (uint32_t)in->imm, in->aux);
        if (r < 0 || seen & reg_bit(r))
            continue;
        seen |= reg_bit(r);
        if (in->op == IR_PUT)
            p->lendable |= reg_bit(r);
    }
}

static bool has_alias(const struct place *p, int reg)
{
    for (uint32_t k = 0; k < p->alias_count; k++)
        if (p->v[p->alias[k]].flags & VALUE_PINNED && p->v[p->alias[k]].reg == reg)
            return true;
    return false;
}

/* Makes one more scratch register of those, if there is one. */
static void borrow(struct place *p)
{
    if (!p->lendable)
        find_lendable(p);
    for (reg_set m = p->lendable & ~p->lock; m; m &= m - 1) {
        int r = reg_first(m);
        if (has_alias(p, r))
            continue;
        p->lendable &= ~reg_bit(r);
        p->lent |= reg_bit(r);
        p->scratch |= reg_bit(r);
        disown(p, r);
        return;
    }
}

/* A free scratch register, evicting if need be; locked. One that was lent must not become a temporary's. */
static int grab(struct place *p, enum reg_class cls, bool temporary)
{
    reg_set mine = reg_class_set(cls) & ~p->lock & ~(temporary ? p->lent : 0);
    reg_set avail = p->free & mine;
    int r;
    if (!avail && cls == REG_INT && !temporary) {
        borrow(p);
        avail = p->free & mine;
    }
    if (avail) {
        r = reg_first(avail);
    } else {
        reg_set any = p->scratch & mine;
        if (!any) {
            *p->full = true;
            return cls == REG_VEC ? REG_VECTOR : 0; /* any will do for what is thrown away */
        }
        r = victim(p, cls, any);
        evict(p, r);
    }
    nans_overwritten(&p->nans, r);
    p->lock |= reg_bit(r);
    return r;
}

int place_temp(struct place *p, enum reg_class cls)
{
    int r = grab(p, cls, true);
    p->temp |= reg_bit(r);
    return r;
}

/* The integer moves off its scratch register. */
static void leave_register(struct place *p, ir_val v, int reg)
{
    reg_set avail = p->free & reg_class_set(REG_INT) & ~p->lock & ~reg_bit(reg);
    if (avail) {
        int r = reg_first(avail);
        p->target->move(p->code, r, reg);
        own(p, v, r);
        disown(p, reg);
    } else {
        evict(p, reg);
    }
}

void place_take(struct place *p, int reg)
{
    ir_val v = p->owner[reg];
    if (v != IR_NONE)
        leave_register(p, v, reg);
    p->lock |= reg_bit(reg);
    p->temp |= reg_bit(reg);
}

/* --- operands ------------------------------------------------------------------------------------ */

int place_fetch(struct place *p, ir_val v)
{
    const struct value *w = &p->v[v];
    int64_t imm;
    int r = grab(p, w->flags & VALUE_VECTOR ? REG_VEC : REG_INT, false);
    if (place_is_const(p, v, &imm))
        p->target->constant(p->code, r, (uint64_t)imm, true);
    else
        p->target->load(p->code, r, (uint32_t)w->mem, WHOLE);
    own(p, v, r);
    return r;
}

struct place_operand place_operand(struct place *p, ir_val v)
{
    const struct value *w = &p->v[v];
    int64_t imm;
    if (w->reg >= 0)
        return place_register(place_use(p, v));
    if (place_is_const(p, v, &imm) && imm >= p->target->constant_min &&
        imm <= p->target->constant_max)
        return (struct place_operand){.kind = OPERAND_CONST, .imm = (int32_t)imm};
    if (w->mem != PLACE_NO_COPY && p->target->memory_operands &&
        (w->left <= 1 || !(p->free & reg_class_set(REG_INT) & ~p->lock)))
        return (struct place_operand){.kind = OPERAND_STATE, .offset = (uint32_t)w->mem};
    return place_register(place_use(p, v));
}

/* --- aliases ------------------------------------------------------------------------------------- */

static void drop_alias(struct place *p, ir_val v)
{
    for (uint32_t k = 0; k < p->alias_count; k++)
        if (p->alias[k] == v) {
            p->alias[k] = p->alias[--p->alias_count];
            return;
        }
}

static void add_alias(struct place *p, ir_val v)
{
    if (p->alias_count < PLACE_ALIASES)
        p->alias[p->alias_count++] = v;
    else
        *p->full = true;
}

/* The value lives no longer: its scratch register and slots are free. */
void place_die(struct place *p, ir_val v)
{
    struct value *w = &p->v[v];
    if (p->b->insn[v].op == IR_CONST && w->reg < 0)
        return;
    if (w->reg >= 0 && !(w->flags & VALUE_PINNED))
        disown(p, w->reg);
    if (w->flags & (VALUE_PINNED | VALUE_SLOT))
        drop_alias(p, v);
    free_spill(p, w);
    w->flags &= (uint8_t) ~(VALUE_PINNED | VALUE_SLOT);
    w->reg = REG_NONE;
}

/* It aliases nothing any more, and has no copy. */
static void part(struct place *p, ir_val v)
{
    drop_alias(p, v);
    p->v[v].flags &= (uint8_t) ~(VALUE_PINNED | VALUE_SLOT);
    p->v[v].mem = PLACE_NO_COPY;
}

/* Moves the value off its pinned register, which is about to change. */
static void rescue_pinned(struct place *p, ir_val v)
{
    struct value *w = &p->v[v];
    int from = w->reg;
    nans_show(&p->nans, from);
    part(p, v);
    reg_set avail = p->free & reg_class_set(reg_class_of(from)) & ~p->lock;
    if (avail) {
        int r = reg_first(avail);
        nans_overwritten(&p->nans, r); /* of a result that nobody used */
        p->target->move(p->code, r, from);
        own(p, v, r);
        return;
    }
    back_up(p, v);
    w->reg = REG_NONE;
}

/* Values that alias the pinned register, other than keep. */
static void rescue_reg(struct place *p, int reg, ir_val keep)
{
    for (uint32_t k = 0; k < p->alias_count;) {
        ir_val v = p->alias[k];
        const struct value *w = &p->v[v];
        if (v != keep && w->flags & VALUE_PINNED && w->reg == reg)
            rescue_pinned(p, v);
        else
            k++;
    }
}

/* Values whose memory copy is a state slot overlapping [off, off+size). */
static void rescue_slot(struct place *p, uint32_t off, unsigned size, ir_val keep)
{
    for (uint32_t k = 0; k < p->alias_count;) {
        ir_val v = p->alias[k];
        struct value *w = &p->v[v];
        uint32_t at = (uint32_t)w->mem;
        bool apart = !(w->flags & VALUE_SLOT) || at + 8 <= off || off + size <= at;
        bool kept = v == keep && at == off && size == 8;
        if (apart || kept) {
            k++;
            continue;
        }
        if (w->reg < 0) { /* fetch it before the slot changes */
            int r = grab(p, w->flags & VALUE_VECTOR ? REG_VEC : REG_INT, false);
            p->target->load(p->code, r, at, WHOLE);
            p->lock &= ~reg_bit(r);
            own(p, v, r);
        }
        w->mem = PLACE_NO_COPY;
        w->flags &= (uint8_t)~VALUE_SLOT;
        drop_alias(p, v);
    }
}

/* The value has its register in common with the guest's from now on, and gives its scratch back. */
static void share_pin(struct place *p, ir_val v, int pin)
{
    struct value *w = &p->v[v];
    disown(p, w->reg);
    if (w->flags & VALUE_SLOT)
        drop_alias(p, v);
    free_spill(p, w);
    if (p->b->insn[v].op == IR_CONST) {
        *w = (struct value){.mem = PLACE_NO_COPY, .left = w->left, .reg = REG_NONE};
        return;
    }
    w->flags = (uint8_t)((w->flags & ~VALUE_SLOT) | VALUE_PINNED);
    w->reg = (int8_t)pin;
    add_alias(p, v);
}

/* keep, which is going to be the guest's value, stays there; any other value moves. */
static void give_back(struct place *p, int reg, ir_val keep)
{
    ir_val v = p->owner[reg];
    if (v != IR_NONE && v == keep)
        share_pin(p, v, reg);
    else if (v != IR_NONE)
        leave_register(p, v, reg);
    p->owner[reg] = IR_NONE;
    p->lent &= ~reg_bit(reg);
    p->scratch &= ~reg_bit(reg);
    p->free &= ~reg_bit(reg);
}

/* The PUT for which the register was dead: it is the guest's again. */
static void take_back(struct place *p, int reg, ir_val keep)
{
    p->lendable &= ~reg_bit(reg);
    if (p->lent & reg_bit(reg))
        give_back(p, reg, keep);
}

/* Values that alias the pinned register, or have it on loan: it is about to change. */
static void clear_pin(struct place *p, int reg)
{
    take_back(p, reg, IR_NONE);
    rescue_reg(p, reg, IR_NONE);
}

void place_spill_scratch(struct place *p)
{
    for (reg_set m = p->scratch; m; m &= m - 1)
        evict(p, reg_first(m));
}

/* Copies the value from a state slot to a spill slot, through scratch. */
static void copy_slot(struct place *p, ir_val v, uint32_t from)
{
    uint32_t to = spill_slot(p);
    int r = grab(p, REG_INT, false);
    p->target->load(p->code, r, from, WHOLE);
    p->target->store(p->code, r, to, WHOLE);
    p->lock &= ~reg_bit(r);
    p->v[v].mem = (int32_t)to;
    p->v[v].flags |= VALUE_SPILLED;
}

void place_rescue_all(struct place *p)
{
    while (p->alias_count) {
        ir_val v = p->alias[p->alias_count - 1];
        struct value *w = &p->v[v];
        uint32_t slot = (uint32_t)w->mem;
        bool pinned = w->flags & VALUE_PINNED;
        part(p, v);
        if (w->reg >= 0)
            back_up(p, v);
        else
            copy_slot(p, v, slot);
        if (pinned)
            w->reg = REG_NONE;
    }
}

/* --- results ------------------------------------------------------------------------------------- */

static bool is_float(const struct ir_insn *in)
{
    return in->type == IR_F32 || in->type == IR_F64;
}

/* The register that is pinned to what a GET or PUT names, or REG_NONE. */
static int pin_of(const struct place *p, const struct ir_insn *in)
{
    if (is_float(in))
        return p->floats ? pins_float(p->pins, (uint32_t)in->imm, in->aux) : REG_NONE;
    return pins_int(p->pins, (uint32_t)in->imm, in->aux);
}

static struct value *define(struct place *p, enum reg_class cls)
{
    struct value *w = &p->v[p->i];
    w->mem = PLACE_NO_COPY;
    w->left = p->b->insn[p->i].uses;
    w->reg = REG_NONE;
    w->flags = cls == REG_VEC ? VALUE_VECTOR : 0;
    return w;
}

/* The next instruction that is still one; NULL: there is none. */
static const struct ir_insn *next_insn(const struct place *p)
{
    uint32_t n = p->i + 1;
    while (n < p->b->count && p->b->insn[n].op == IR_NOP)
        n++;
    return n < p->b->count ? &p->b->insn[n] : NULL;
}

/* The pinned register that the next instruction PUTs this result in, or REG_NONE. */
static int put_hint(const struct place *p)
{
    const struct ir_insn *in = next_insn(p);
    return in && in->op == IR_PUT && in->a == p->i ? pin_of(p, in) : REG_NONE;
}

static void pin_result(struct place *p, int reg)
{
    p->v[p->i].reg = (int8_t)reg;
    p->v[p->i].flags |= VALUE_PINNED;
    add_alias(p, (ir_val)p->i);
}

int place_def(struct place *p, enum reg_class cls, reg_set avoid)
{
    define(p, cls);
    int r = put_hint(p);
    if (r >= 0 && !(avoid & reg_bit(r))) {
        clear_pin(p, r);
        nans_overwritten(&p->nans, r);
        pin_result(p, r);
        return r;
    }
    /* an operand that died in this instruction makes the best destination */
    reg_set avail = p->free & p->lock & reg_class_set(cls) & ~(avoid | p->temp);
    if (avail) {
        r = reg_first(avail);
        nans_overwritten(&p->nans, r);
    } else {
        reg_set saved = p->lock;
        p->lock |= avoid;
        r = grab(p, cls, false);
        p->lock = saved | reg_bit(r);
    }
    own(p, (ir_val)p->i, r);
    return r;
}

int place_def_in(struct place *p, int reg)
{
    define(p, REG_INT);
    p->lock |= reg_bit(reg);
    int pin = put_hint(p);
    if (pin < 0) {
        own(p, (ir_val)p->i, reg);
        return reg;
    }
    clear_pin(p, pin);
    if (pin != reg)
        p->target->move(p->code, pin, reg);
    pin_result(p, pin);
    return pin;
}

void place_def_const(struct place *p)
{
    define(p, REG_INT);
}

void place_def_slot(struct place *p, uint32_t offset)
{
    struct value *w = define(p, REG_INT);
    w->mem = (int32_t)offset;
    w->flags = VALUE_SLOT;
}

void place_drop(struct place *p)
{
    p->v[p->i].left = 1;
    place_done(p, (ir_val)p->i);
}

/* --- state --------------------------------------------------------------------------------------- */

void place_get(struct place *p, const struct ir_insn *in)
{
    uint32_t off = (uint32_t)in->imm;
    enum reg_class cls = is_float(in) ? REG_VEC : REG_INT;
    if (in->aux != WHOLE) { /* what is narrow is loaded at once */
        int d = place_def(p, cls, 0);
        p->target->load(p->code, d, off, in->aux);
        return;
    }
    struct value *w = define(p, cls);
    int pin = pin_of(p, in);
    if (pin >= 0) {
        w->reg = (int8_t)pin;
        w->flags |= VALUE_PINNED;
    } else {
        w->mem = (int32_t)off;
        w->flags |= VALUE_SLOT;
    }
    if (w->left)
        add_alias(p, (ir_val)p->i);
}

static void put_float(struct place *p, const struct ir_insn *in, int pin)
{
    uint32_t off = (uint32_t)in->imm;
    if (pin >= 0 && place_reg(p, in->a) == pin)
        return; /* computed in place */
    int s = place_use(p, in->a);
    nans_show(&p->nans, s);
    if (pin >= 0) {
        rescue_reg(p, pin, in->a);
        nans_overwritten(&p->nans, pin);
        p->target->move(p->code, pin, s);
    } else {
        rescue_slot(p, off, 1u << in->aux, in->a);
        p->target->store(p->code, s, off, in->aux);
    }
}

static void put_pinned(struct place *p, ir_val v, int pin)
{
    const struct value *w = &p->v[v];
    int64_t imm;
    rescue_reg(p, pin, v);
    if (w->reg >= 0) {
        p->target->move(p->code, pin, w->reg);
    } else if (place_is_const(p, v, &imm)) {
        p->target->constant(p->code, pin, (uint64_t)imm, false);
    } else {
        p->target->load(p->code, pin, (uint32_t)w->mem, WHOLE);
    }
    if (w->left > 1 && w->reg >= 0 && !(w->flags & VALUE_PINNED))
        share_pin(p, v, pin);
}

static void put_const(struct place *p, uint32_t off, unsigned size, uint64_t value)
{
    rescue_slot(p, off, 1u << size, IR_NONE);
    if (p->target->store_constant(p->code, off, size, value))
        return;
    int r = grab(p, REG_INT, false);
    p->target->constant(p->code, r, value, true);
    p->target->store(p->code, r, off, size);
    p->lock &= ~reg_bit(r);
}

static void put_slot(struct place *p, ir_val v, uint32_t off, unsigned size)
{
    struct value *w = &p->v[v];
    int s = place_use(p, v);
    rescue_slot(p, off, 1u << size, v);
    p->target->store(p->code, s, off, size);
    if (w->left > 1 && size == WHOLE && w->mem == PLACE_NO_COPY && !(w->flags & VALUE_PINNED) &&
        p->b->insn[v].op != IR_CONST) {
        w->mem = (int32_t)off; /* the slot now backs it up */
        w->flags |= VALUE_SLOT;
        add_alias(p, v);
    }
}

/* Does the integer stand there already: computed in place, or read from there? */
static bool is_there(const struct place *p, const struct ir_insn *in, int pin)
{
    const struct value *w = &p->v[in->a];
    if (pin >= 0)
        return w->reg == pin;
    return w->flags & VALUE_SLOT && w->reg < 0 && w->mem == (int32_t)in->imm && in->aux == WHOLE;
}

void place_put(struct place *p, const struct ir_insn *in)
{
    uint32_t off = (uint32_t)in->imm;
    int pin = pin_of(p, in);
    int64_t imm;
    if (pin >= 0 && reg_class_of(pin) == REG_INT)
        take_back(p, pin, in->a);
    if (is_float(in)) {
        put_float(p, in, pin);
    } else if (is_there(p, in, pin)) {
        /* nothing to do */
    } else if (pin >= 0) {
        put_pinned(p, in->a, pin);
    } else if (place_reg(p, in->a) < 0 && place_is_const(p, in->a, &imm)) {
        put_const(p, off, in->aux, (uint64_t)imm);
    } else {
        put_slot(p, in->a, off, in->aux);
    }
    place_done(p, in->a);
}

bool place_updates_slot(const struct place *p, ir_val a, uint32_t *offset)
{
    const struct value *w = &p->v[a];
    const struct ir_insn *in = next_insn(p);
    if (w->reg >= 0 || !(w->flags & VALUE_SLOT) || w->left != 1 || p->b->insn[p->i].uses != 1)
        return false;
    if (!in || in->op != IR_PUT || in->a != p->i || in->aux != WHOLE || in->type == IR_F64 ||
        (uint32_t)in->imm != (uint32_t)w->mem)
        return false;
    for (uint32_t k = 0; k < p->alias_count; k++) { /* somebody else still reads the slot */
        const struct value *o = &p->v[p->alias[k]];
        if (p->alias[k] != a && o->flags & VALUE_SLOT && o->mem == w->mem)
            return false;
    }
    *offset = (uint32_t)w->mem;
    return true;
}

void place_begin(struct place *p, const struct place_setup *s)
{
    p->target = s->target;
    p->code = s->code;
    p->b = s->block;
    p->pins = s->pins;
    nans_begin(&p->nans, s->nans_test, s->code);
    p->full = s->full;
    p->floats = s->floats;
    p->i = 0;
    p->spill_at = s->spill_at;
    p->scratch = p->free = s->scratch;
    p->lock = p->temp = 0;
    p->lendable = p->lent = 0;
    p->look_at = 0;
    p->spilled = p->unspilled = 0;
    p->alias_count = 0;
    memset(p->owner, 0xff, sizeof p->owner);
}
