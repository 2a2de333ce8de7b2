/* Integer operations, comparisons and branches. */
#include "backend-x86_64/x64.h"

enum { OP_ADD = 0x03, OP_OR = 0x0b, OP_AND = 0x23, OP_SUB = 0x2b, OP_XOR = 0x33, OP_CMP = 0x3b };

static unsigned width(const struct ir_insn *in)
{
    return in->type == IR_W32 ? 0 : X_W;
}

/* op reg, operand: opcode is the "r, r/m" form. */
static void alu(struct x64 *x, unsigned w, unsigned opcode, int d, const struct x64_opnd *o)
{
    if (o->kind == O_REG)
        x64_rr(&x->e, w | opcode, d, o->reg);
    else if (o->kind == O_MEM)
        x64_rm(&x->e, w | opcode, d, o->mem, 0);
    else
        x64_alu_ri(&x->e, w, opcode >> 3, d, o->imm);
}

static void load_opnd(struct x64 *x, int d, const struct x64_opnd *o)
{
    if (o->kind == O_REG)
        x64_mov_rr(x, d, o->reg);
    else if (o->kind == O_MEM)
        x64_rm(&x->e, X_W | 0x8b, d, o->mem, 0);
    else
        x64_mov_ri(&x->e, d, (uint64_t)(int64_t)o->imm);
}

static uint16_t bit(int reg)
{
    return (uint16_t)(1u << reg);
}

/* slot op= b, for a value read from a slot and stored back to it. */
static bool alu_rmw(struct x64 *x, const struct ir_insn *in, unsigned opcode)
{
    uint32_t off;
    if (in->type == IR_W32 || !x64_rmw_slot(x, in->a, &off))
        return false;
    struct x64_opnd o = x64_opnd(x, in->b);
    if (o.kind == O_MEM)
        o = (struct x64_opnd){.kind = O_REG, .reg = (int8_t)x64_use(x, in->b)};
    if (o.kind == O_IMM)
        x64_alu_mi(&x->e, X_W, opcode >> 3, x64_state(off), o.imm);
    else
        x64_rm(&x->e, X_W | (opcode - 2), o.reg, x64_state(off), 0);
    x64_done(x, in->a);
    x64_done(x, in->b);
    x->v[x->i] = (struct xval){.mem = (int32_t)off, .left = in->uses, .reg = -1, .flags = XV_SLOT};
    return true;
}

static void lower_alu(struct x64 *x, const struct ir_insn *src, unsigned opcode, bool commutes)
{
    struct ir_insn in = *src;
    int64_t imm;
    unsigned w = width(&in);
    if (commutes && x64_is_const(x, in.a, &imm)) {
        in.a = src->b;
        in.b = src->a;
    }
    if (in.a != in.b && alu_rmw(x, &in, opcode))
        return;
    struct x64_opnd b = x64_opnd(x, in.b);
    struct x64_opnd a = x64_opnd(x, in.a);
    if (a.kind == O_IMM)
        a = (struct x64_opnd){.kind = O_REG, .reg = (int8_t)x64_use(x, in.a)};
    x64_done(x, in.a);
    x64_done(x, in.b);
    if (commutes && a.kind == O_MEM && b.kind == O_REG) {
        struct x64_opnd t = a;
        a = b;
        b = t;
    }
    bool apart = !commutes && b.kind == O_REG && !(a.kind == O_REG && a.reg == b.reg);
    int d = x64_def(x, apart ? bit(b.reg) : 0);
    if (a.kind == O_REG && d == a.reg) {
        alu(x, w, opcode, d, &b);
    } else if (b.kind == O_REG && d == b.reg) {
        alu(x, w, opcode, d, &a);
    } else if (opcode == OP_ADD && a.kind == O_REG && b.kind == O_REG) {
        x64_rm(&x->e, w | 0x8d, d, x64_sib(a.reg, b.reg, 0, 0), 0);
    } else if (opcode == OP_ADD && a.kind == O_REG && b.kind == O_IMM) {
        x64_rm(&x->e, w | 0x8d, d, x64_at(a.reg, b.imm), 0);
    } else {
        load_opnd(x, d, &a);
        alu(x, w, opcode, d, &b);
    }
}

static void lower_andn(struct x64 *x, const struct ir_insn *in)
{
    int a = x64_use(x, in->a), b = x64_use(x, in->b);
    x64_done(x, in->a);
    x64_done(x, in->b);
    if (x->features & X64_F_BMI1) {
        int d = x64_def(x, 0);
        x64_vrr(&x->e, X_MAP_38 | width(in) | 0xf2, d, b, a);
        return;
    }
    /* a & ~b = a ^ (a & b) */
    int d = x64_def(x, (uint16_t)(bit(a) | bit(b)));
    x64_mov_rr(x, d, b);
    x64_rr(&x->e, width(in) | OP_AND, d, a);
    x64_rr(&x->e, width(in) | OP_XOR, d, a);
}

/* n: group-2 number: 0 rol, 1 ror, 4 shl, 5 shr, 7 sar */
static void lower_shift(struct x64 *x, const struct ir_insn *in, unsigned n)
{
    unsigned w = width(in), mask = in->type == IR_W32 ? 31 : 63;
    int64_t imm;
    if (x64_is_const(x, in->b, &imm)) {
        unsigned count = (unsigned)imm & mask;
        struct x64_opnd a = x64_opnd(x, in->a);
        x64_done(x, in->a);
        x64_done(x, in->b);
        int d = x64_def(x, 0);
        if (n <= 1 && x->features & X64_F_BMI2 && a.kind == O_REG) {
            x64_vrr(&x->e, X_F2 | X_MAP_3A | w | 0xf0, d, 0, a.reg);
            x64_u8(&x->e, n == 1 ? count : (mask + 1 - count) & mask);
            return;
        }
        load_opnd(x, d, &a);
        if (count || w == 0)
            x64_shift_ri(&x->e, w, n, d, count);
        if (!count && w == 0)
            x64_rr(&x->e, 0x8b, d, d);
        return;
    }
    if (n >= 4 && x->features & X64_F_BMI2) {
        static const unsigned pp[4] = {X_66, X_F2, 0, X_F3};
        int a = x64_use(x, in->a), b = x64_use(x, in->b);
        x64_done(x, in->a);
        x64_done(x, in->b);
        int d = x64_def(x, 0);
        x64_vrr(&x->e, pp[n - 4] | X_MAP_38 | w | 0xf7, d, b, a);
        return;
    }
    x64_take(x, RCX);
    struct x64_opnd b = x64_opnd(x, in->b);
    struct x64_opnd a = x64_opnd(x, in->a);
    load_opnd(x, RCX, &b);
    x64_done(x, in->a);
    x64_done(x, in->b);
    int d = x64_def(x, 0);
    load_opnd(x, d, &a);
    x64_rr(&x->e, w | 0xd3, (int)n, d);
    if (w == 0)
        x64_rr(&x->e, 0x8b, d, d); /* a zero count leaves the upper half as it was */
}

static void lower_ext(struct x64 *x, const struct ir_insn *in)
{
    static const unsigned op[] = {
        [IR_SEXT8 - IR_SEXT8] = X_W | X_MAP_0F | X_B | 0xbe,
        [IR_SEXT16 - IR_SEXT8] = X_W | X_MAP_0F | 0xbf,
        [IR_SEXT32 - IR_SEXT8] = X_W | 0x63,
        [IR_ZEXT8 - IR_SEXT8] = X_MAP_0F | X_B | 0xb6,
        [IR_ZEXT16 - IR_SEXT8] = X_MAP_0F | 0xb7,
        [IR_ZEXT32 - IR_SEXT8] = 0x8b,
    };
    struct x64_opnd a = x64_opnd(x, in->a);
    if (a.kind == O_IMM)
        a = (struct x64_opnd){.kind = O_REG, .reg = (int8_t)x64_use(x, in->a)};
    x64_done(x, in->a);
    int d = x64_def(x, 0);
    if (a.kind == O_REG)
        x64_rr(&x->e, op[in->op - IR_SEXT8], d, a.reg);
    else
        x64_rm(&x->e, op[in->op - IR_SEXT8] & ~(unsigned)X_B, d, a.mem, 0);
}

static bool lower_count(struct x64 *x, const struct ir_insn *in)
{
    static const struct {
        uint8_t op;
        uint8_t feature;
    } how[] = {{0xbd, X64_F_LZCNT}, {0xbc, X64_F_BMI1}, {0xb8, X64_F_POPCNT}};
    unsigned k = in->op - IR_CLZ;
    if (!(x->features & how[k].feature))
        return false;
    int a = x64_use(x, in->a);
    x64_done(x, in->a);
    int d = x64_def(x, 0);
    x64_rr(&x->e, X_F3 | X_MAP_0F | width(in) | how[k].op, d, a);
    return true;
}

static void lower_bswap(struct x64 *x, const struct ir_insn *in)
{
    int a = x64_use(x, in->a);
    x64_done(x, in->a);
    int d = x64_def(x, 0);
    x64_mov_rr(x, d, a);
    x->e.insns++;
    if (width(in) || d & 8)
        x64_u8(&x->e, 0x40 | (width(in) ? 8u : 0) | (d & 8 ? 1u : 0));
    x64_u8(&x->e, 0x0f);
    x64_u8(&x->e, 0xc8 | (unsigned)(d & 7));
}

static void lower_mul(struct x64 *x, const struct ir_insn *in)
{
    struct ir_insn m = *in;
    int64_t imm;
    if (x64_is_const(x, m.a, &imm)) {
        m.a = in->b;
        m.b = in->a;
    }
    struct x64_opnd b = x64_opnd(x, m.b);
    struct x64_opnd a = x64_opnd(x, m.a);
    if (a.kind == O_IMM)
        a = (struct x64_opnd){.kind = O_REG, .reg = (int8_t)x64_use(x, m.a)};
    x64_done(x, m.a);
    x64_done(x, m.b);
    int d = x64_def(x, 0);
    if (b.kind == O_IMM) {
        if (a.kind == O_REG)
            x64_rr(&x->e, width(in) | 0x69, d, a.reg);
        else
            x64_rm(&x->e, width(in) | 0x69, d, a.mem, 4);
        x64_u32(&x->e, (uint32_t)b.imm);
        return;
    }
    if (b.kind == O_REG && d == b.reg) {
        struct x64_opnd t = a;
        a = b;
        b = t;
    } else if (!(a.kind == O_REG && a.reg == d)) {
        load_opnd(x, d, &a);
    }
    alu(x, width(in), X_MAP_0F | 0xaf, d, &b);
}

static bool lower_mulh(struct x64 *x, const struct ir_insn *in)
{
    int64_t imm;
    bool konst = x64_is_const(x, in->b, &imm);
    if (in->type == IR_W32 || (konst && in->op == IR_MULHSU && !x64_fits32(imm)))
        return false;
    x64_take(x, RAX);
    x64_take(x, RDX);
    struct x64_opnd a = x64_opnd(x, in->a);
    struct x64_opnd b = {.kind = O_IMM, .imm = (int32_t)imm};
    unsigned n = in->op == IR_MULHS ? 5 : 4;
    load_opnd(x, RAX, &a);
    if (konst) {
        x64_mov_ri(&x->e, RDX, (uint64_t)imm);
        x64_rr(&x->e, X_W | 0xf7, (int)n, RDX);
    } else {
        b = x64_opnd(x, in->b);
        if (b.kind == O_REG)
            x64_rr(&x->e, X_W | 0xf7, (int)n, b.reg);
        else
            x64_rm(&x->e, X_W | 0xf7, (int)n, b.mem, 0);
    }
    if (in->op == IR_MULHSU) { /* a unsigned was 2^64 too much if negative: take b off the top */
        load_opnd(x, RAX, &a);
        x64_shift_ri(&x->e, X_W, 7, RAX, 63);
        alu(x, X_W, OP_AND, RAX, &b);
        x64_rr(&x->e, X_W | OP_SUB, RDX, RAX);
    }
    x64_done(x, in->a);
    x64_done(x, in->b);
    x64_def_in(x, RDX);
    return true;
}

static void lower_div(struct x64 *x, const struct ir_insn *in)
{
    unsigned w = width(in);
    bool is_signed = in->op == IR_DIVS || in->op == IR_REMS;
    int64_t imm;
    bool safe = x64_is_const(x, in->b, &imm) &&
                (w ? imm != 0 && imm != -1 : (int32_t)imm != 0 && (int32_t)imm != -1);
    x64_take(x, RAX);
    x64_take(x, RDX);
    struct x64_opnd a = x64_opnd(x, in->a);
    load_opnd(x, RAX, &a);
    if (a.kind == O_REG) /* the divisor may want that register */
        x->lock_gpr &= (uint16_t)~bit(a.reg);
    x->lock_gpr |= (uint16_t)(bit(RAX) | bit(RDX));
    int b = x64_use(x, in->b);
    struct x64_cold *c = NULL;
    if (!safe) {
        c = x64_cold(x, COLD_DIV);
        c->b = (uint8_t)b;
        if (is_signed) {
            x64_rm(&x->e, w | 0x8d, RDX, x64_at(b, 1), 0);
            x64_alu_ri(&x->e, w, 7, RDX, 1);
            c->from = x64_jcc(&x->e, CC_BE);
        } else {
            x64_rr(&x->e, w | 0x85, b, b);
            c->from = x64_jcc(&x->e, CC_E);
        }
    }
    if (is_signed) {
        x->e.insns++;
        if (w)
            x64_u8(&x->e, 0x48);
        x64_u8(&x->e, 0x99);
        x64_rr(&x->e, w | 0xf7, 7, b);
    } else {
        x64_rr(&x->e, OP_XOR, RDX, RDX);
        x64_rr(&x->e, w | 0xf7, 6, b);
    }
    if (c)
        c->back = x64_pos(&x->e);
    x64_done(x, in->a);
    x64_done(x, in->b);
    x64_def_in(x, in->op == IR_DIVS || in->op == IR_DIVU ? RAX : RDX);
}

void x64_cold_int(struct x64 *x, struct x64_cold *c)
{
    const struct ir_insn *in = &x->b->insn[c->insn];
    unsigned w = width(in);
    struct x64_buf *e = &x->e;
    x64_link(e, c->from, x64_pos(e));
    switch (in->op) {
    case IR_DIVU: x64_alu_ri(e, w, 1, RAX, -1); break;
    case IR_REMU: x64_rr(e, w | 0x8b, RDX, RAX); break;
    case IR_DIVS: { /* divisor 0 or -1 */
        x64_rr(e, w | 0x85, c->b, c->b);
        uint32_t zero = x64_jcc(e, CC_E);
        x64_rr(e, w | 0xf7, 3, RAX);
        x64_link(e, x64_jmp(e), c->back);
        x64_link(e, zero, x64_pos(e));
        x64_alu_ri(e, w, 1, RAX, -1);
        break;
    }
    default: /* REMS: the dividend, or 0 */
        x64_rr(e, OP_XOR, RDX, RDX);
        x64_rr(e, w | 0x85, c->b, c->b);
        x64_rr(e, w | X_MAP_0F | 0x44, RDX, RAX);
        if (!w)
            x64_rr(e, 0x8b, RDX, RDX);
        break;
    }
    x64_link(e, x64_jmp(e), c->back);
}

/* Sets the host flags for (a cc b), consumes both, returns the host condition. */
unsigned x64_compare(struct x64 *x, enum ir_type type, enum ir_cond cc, ir_val av, ir_val bv)
{
    static const uint8_t host[] = {CC_E, CC_NE, CC_L, CC_GE, CC_B, CC_AE, CC_LE, CC_G, CC_BE, CC_A};
    static const uint8_t swapped[] = {CC_E,  CC_NE, CC_G, CC_LE, CC_A,
                                      CC_BE, CC_GE, CC_L, CC_AE, CC_B};
    unsigned w = type == IR_W32 ? 0 : X_W;
    unsigned result = host[cc];
    int64_t imm;
    if (x64_is_const(x, av, &imm) && !x64_is_const(x, bv, &imm)) {
        ir_val t = av;
        av = bv;
        bv = t;
        result = swapped[cc];
    }
    struct x64_opnd b = x64_opnd(x, bv);
    struct x64_opnd a = x64_opnd(x, av);
    if (a.kind == O_IMM || (a.kind == O_MEM && b.kind == O_MEM))
        a = (struct x64_opnd){.kind = O_REG, .reg = (int8_t)x64_use(x, av)};
    if (a.kind == O_MEM) {
        if (b.kind == O_IMM)
            x64_alu_mi(&x->e, w, 7, a.mem, b.imm);
        else
            x64_rm(&x->e, w | 0x39, b.reg, a.mem, 0);
    } else if (b.kind == O_IMM && b.imm == 0) {
        x64_rr(&x->e, w | 0x85, a.reg, a.reg);
    } else {
        alu(x, w, OP_CMP, a.reg, &b);
    }
    x64_done(x, av);
    x64_done(x, bv);
    x->lock_gpr = x->temp_gpr; /* what is left of it is in the flags */
    return result;
}

static void lower_setcc(struct x64 *x, const struct ir_insn *in)
{
    unsigned cc = x64_compare(x, in->type, in->aux, in->a, in->b);
    int d = x64_def(x, 0);
    x64_rr(&x->e, X_MAP_0F | X_B | 0x90 | cc, 0, d);
    x64_rr(&x->e, X_MAP_0F | X_B | 0xb6, d, d);
}

/* Only moves stand between the comparison and its use: they keep the flags. */
static void lower_select(struct x64 *x, const struct ir_insn *in)
{
    unsigned cc = x64_compare(x, in->type, in->aux, in->a, in->b);
    struct x64_opnd t = x64_opnd(x, in->c);
    if (t.kind == O_IMM)
        t = (struct x64_opnd){.kind = O_REG, .reg = (int8_t)x64_use(x, in->c)};
    struct x64_opnd f = x64_opnd(x, in->d);
    x64_done(x, in->c);
    x64_done(x, in->d);
    bool same = f.kind == O_REG && t.kind == O_REG && f.reg == t.reg;
    int d = x64_def(x, t.kind == O_REG && !same ? bit(t.reg) : 0);
    load_opnd(x, d, &f);
    alu(x, X_W, X_MAP_0F | 0x40 | cc, d, &t);
}

static void lower_bytemask(struct x64 *x, const struct ir_insn *in)
{
    int a = x64_use(x, in->a);
    int v = x64_tempf(x), z = x64_tempf(x);
    x64_rr(&x->e, X_66 | X_MAP_0F | X_W | 0x6e, v, a);
    x64_rr(&x->e, X_66 | X_MAP_0F | 0xef, z, z);
    x64_rr(&x->e, X_66 | X_MAP_0F | 0x74, v, z);
    x64_done(x, in->a);
    int d = x64_def(x, 0);
    x64_rr(&x->e, X_66 | X_MAP_0F | X_W | 0x7e, v, d);
    x64_rr(&x->e, X_W | 0xf7, 2, d);
    if (in->type == IR_W32)
        x64_rr(&x->e, 0x8b, d, d);
}

/* By way of two vector registers. */
static bool lower_clmul(struct x64 *x, const struct ir_insn *in)
{
    const unsigned from_gpr = X_66 | X_MAP_0F | X_W | 0x6e, to_gpr = X_66 | X_MAP_0F | X_W | 0x7e;
    const unsigned multiply = X_66 | X_MAP_3A | 0x44, extract = X_66 | X_MAP_3A | X_W | 0x16;
    struct x64_buf *e = &x->e;
    if (in->type != IR_I64 || !(x->features & X64_F_CLMUL))
        return false;
    int a = x64_use(x, in->a), b = x64_use(x, in->b), t = x64_tempf(x), u = x64_tempf(x);
    x64_vrr(e, from_gpr, t, 0, a);
    x64_vrr(e, from_gpr, u, 0, b);
    x64_vrr(e, multiply, t, t, u);
    x64_u8(e, 0); /* of the low halves */
    x64_done(x, in->a);
    x64_done(x, in->b);
    int d = x64_def(x, 0);
    if (in->op == IR_CLMUL) {
        x64_vrr(e, to_gpr, t, 0, d);
    } else {
        x64_vrr(e, extract, t, 0, d);
        x64_u8(e, 1);
    }
    return true;
}

bool x64_lower_int(struct x64 *x, const struct ir_insn *in)
{
    switch (in->op) {
    case IR_CONST:
        x->v[x->i] = (struct xval){.mem = MEM_NONE, .left = in->uses, .reg = -1};
        return true;
    case IR_ADD: lower_alu(x, in, OP_ADD, true); return true;
    case IR_SUB: lower_alu(x, in, OP_SUB, false); return true;
    case IR_AND: lower_alu(x, in, OP_AND, true); return true;
    case IR_OR: lower_alu(x, in, OP_OR, true); return true;
    case IR_XOR: lower_alu(x, in, OP_XOR, true); return true;
    case IR_ANDN: lower_andn(x, in); return true;
    case IR_SHL: lower_shift(x, in, 4); return true;
    case IR_SHR: lower_shift(x, in, 5); return true;
    case IR_SAR: lower_shift(x, in, 7); return true;
    case IR_ROTL: lower_shift(x, in, 0); return true;
    case IR_ROTR: lower_shift(x, in, 1); return true;
    case IR_SEXT8:
    case IR_SEXT16:
    case IR_SEXT32:
    case IR_ZEXT8:
    case IR_ZEXT16:
    case IR_ZEXT32: lower_ext(x, in); return true;
    case IR_CLZ:
    case IR_CTZ:
    case IR_POPCNT: return lower_count(x, in);
    case IR_BSWAP: lower_bswap(x, in); return true;
    case IR_BYTEMASK: lower_bytemask(x, in); return true;
    case IR_MUL: lower_mul(x, in); return true;
    case IR_MULHU:
    case IR_MULHS:
    case IR_MULHSU: return lower_mulh(x, in);
    case IR_CLMUL:
    case IR_CLMULH: return lower_clmul(x, in);
    case IR_DIVU:
    case IR_DIVS:
    case IR_REMU:
    case IR_REMS: lower_div(x, in); return true;
    case IR_SETCC: lower_setcc(x, in); return true;
    case IR_SELECT: lower_select(x, in); return true;
    default: return false;
    }
}

void x64_budget(struct x64 *x, unsigned n, int32_t insns)
{
    if (x->t->budget >= 0)
        x64_alu_ri(&x->e, X_W, n, x->t->budget, insns);
    else
        x64_alu_mi(&x->e, X_W, n, x64_run(X64_RUN(budget)), insns);
}

/* --- branches ----------------------------------------------------------------------------------- */

static struct gw_link_desc *add_link(struct x64 *x, uint64_t target)
{
    struct gw_link_desc *l = &x->job->links[x->job->link_count++];
    *l = (struct gw_link_desc){.target = target};
    return l;
}

void x64_set_pc(struct x64 *x, uint64_t pc)
{
    struct x64_mem m = x64_run(X64_RUN(pc));
    if (x64_fits32((int64_t)pc)) {
        x64_mov_mi(&x->e, X_W, m, (int32_t)pc);
    } else {
        x64_mov_ri(&x->e, RAX, pc);
        x64_rm(&x->e, X_W | 0x89, RAX, m, 0);
    }
}

/* A link may be followed without a guard when the target lies on the block's own page: whoever runs
 * this block has that page mapped. A block that starts at the very end of a page may reach into
 * the next one, and so needs the guard too. */
static bool needs_guard(const struct x64 *x, uint64_t target)
{
    if (x->mem == GW_MEM_USER)
        return false;
    unsigned left = GW_PAGE_SIZE - (unsigned)(target & GW_PAGE_MASK);
    return (target ^ x->b->pc) >> GW_PAGE_SHIFT || left < x->job->cfg->isa->max_insn_bytes;
}

/* Code that other threads run meanwhile is patched by aligned stores. Pads so that what comes
 * `before` bytes on is aligned. */
static void align_field(struct x64 *x, unsigned before)
{
    while (x->job->cfg->shared && (x64_pos(&x->e) + before) & 3)
        x64_u8(&x->e, 0x90);
}

/* The jump that a link patches; returns where its displacement is. */
static uint32_t link_jump(struct x64 *x)
{
    align_field(x, 1);
    return x64_jmp(&x->e);
}

/* cmp dword [run.gen_space], 0: patched to what guards the link. Returns where its value is. */
static uint32_t link_guard(struct x64 *x)
{
    align_field(x, 6);
    x64_rm(&x->e, 0x81, 7, x64_run(X64_RUN(gen_space)), 4);
    x64_u32(&x->e, 0);
    return x64_pos(&x->e) - 4;
}

/* Ends the hot path (from == 0: an unconditional jump here) or one of its branches. */
static void link_out(struct x64 *x, uint32_t from, uint64_t target)
{
    struct gw_link_desc *l = add_link(x, target);
    struct x64_cold *c = x64_cold(x, COLD_EXIT);
    c->thunk = (uint16_t)(l - x->job->links);
    if (!needs_guard(x, target)) {
        l->jump_offset = c->from = from ? from : link_jump(x);
        return;
    }
    if (from) { /* the guard stands beside the hot path */
        c->kind = COLD_GUARD;
        c->from = from;
        return;
    }
    l->gen_offset = link_guard(x);
    c->from2 = x64_jcc(&x->e, CC_NE);
    l->jump_offset = c->from = link_jump(x);
}

static void exit_stub(struct x64 *x, const struct x64_cold *c)
{
    struct gw_link_desc *l = &x->job->links[c->thunk];
    l->stub_offset = x64_pos(&x->e);
    if (c->kind == COLD_EXIT)
        x64_link(&x->e, c->from, x64_pos(&x->e));
    if (c->from2)
        x64_link(&x->e, c->from2, x64_pos(&x->e));
    x64_set_pc(x, l->target);
    x64_mov_ri(&x->e, RAX, x->job->link_base + c->thunk);
    x64_jmp_to(&x->e, x64_thunk(x, T_EXIT_LINK));
}

void x64_cold_branch(struct x64 *x, struct x64_cold *c)
{
    switch (c->kind) {
    case COLD_BUDGET:
        x64_link(&x->e, c->from, x64_pos(&x->e));
        x64_budget(x, 0, (int32_t)x->b->guest_count);
        x64_set_pc(x, x->b->pc);
        x64_jmp_to(&x->e, x64_thunk(x, T_EXIT_BUDGET));
        return;
    case COLD_REFUND: { /* side exit: give back what did not run */
        x64_link(&x->e, c->from, x64_pos(&x->e));
        x64_budget(x, 0, c->imm);
        link_out(x, 0, (uint64_t)x->b->insn[c->insn].imm);
        return;
    }
    case COLD_MISS:
        x64_link(&x->e, c->from, x64_pos(&x->e));
        x64_rm(&x->e, X_W | 0x89, c->a, x64_run(X64_RUN(pc)), 0);
        x64_jmp_to(&x->e, x64_thunk(x, T_EXIT_INDIRECT));
        return;
    case COLD_GUARD: {
        struct gw_link_desc *l = &x->job->links[c->thunk];
        x64_link(&x->e, c->from, x64_pos(&x->e));
        l->gen_offset = link_guard(x);
        uint32_t ne = x64_jcc(&x->e, CC_NE);
        l->jump_offset = link_jump(x);
        x64_link(&x->e, l->jump_offset, x64_pos(&x->e));
        x64_link(&x->e, ne, x64_pos(&x->e));
        exit_stub(x, c);
        return;
    }
    default: exit_stub(x, c); return;
    }
}

static void lower_jmpr(struct x64 *x, const struct ir_insn *in)
{
    x64_take(x, RCX);
    x64_take(x, RDX);
    int t = x64_use(x, in->a);
    struct x64_buf *e = &x->e;
    x64_rr(e, 0x8b, RCX, t);
    x64_rm(e, X_W | 0x8b, RDX, x64_run(X64_RUN(jump_cache)), 0);
    /* entry = cache + ((pc >> 1) & mask) * 16 */
    x64_alu_ri(e, 0, 4, RCX, ((1 << GW_JC_BITS) - 1) << 1);
    x64_rm(e, X_W | 0x39, t, x64_sib(RDX, RCX, 3, 0), 0);
    struct x64_cold *c = x64_cold(x, COLD_EXIT);
    c->kind = COLD_MISS;
    c->a = (uint8_t)t;
    c->from = x64_jcc(e, CC_NE);
    x64_rm(e, 0xff, 4, x64_sib(RDX, RCX, 3, 8), 0);
    x64_done(x, in->a);
}

void x64_lower_branch(struct x64 *x, const struct ir_insn *in)
{
    switch (in->op) {
    case IR_BRCC: {
        unsigned cc = x64_compare(x, in->type, in->aux, in->a, in->b);
        uint32_t left = x->b->guest_count - 1 - in->guest;
        if (!left && !needs_guard(x, (uint64_t)in->imm))
            align_field(x, 2);
        uint32_t from = x64_jcc(&x->e, cc);
        if (left) {
            struct x64_cold *c = x64_cold(x, COLD_REFUND);
            c->from = from;
            c->imm = (int32_t)left;
        } else {
            link_out(x, from, (uint64_t)in->imm);
        }
        return;
    }
    case IR_JMP: link_out(x, 0, (uint64_t)in->imm); return;
    case IR_JMPR: lower_jmpr(x, in); return;
    default: { /* LEAVE */
        int64_t imm;
        if (x64_is_const(x, in->a, &imm)) {
            x64_set_pc(x, (uint64_t)imm);
            x64_done(x, in->a);
        } else {
            int a = x64_use(x, in->a);
            x64_rm(&x->e, X_W | 0x89, a, x64_run(X64_RUN(pc)), 0);
            x64_done(x, in->a);
        }
        x64_jmp_to(&x->e, x64_thunk(x, T_EXIT_LEAVE));
        return;
    }
    }
}
