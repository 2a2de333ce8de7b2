/*
 * Folding of pure integer operations as they are built: constants, identities, chains of additions,
 * extensions that change nothing. Each rule looks at most one or two instructions back, so its cost
 * is constant; whatever becomes unused is removed by ir_liveness.
 *
 * Constant operands of commutative operations come second; SUB of a constant is an ADD.
 */
#include "translator/ir/emit.h"

#define LOW32 UINT64_C(0xffffffff)

static inline uint64_t value_of(const struct ir_block *b, ir_val v)
{
    return (uint64_t)b->insn[v].imm;
}

static inline unsigned width_of(unsigned type)
{
    return type == IR_W32 ? 32 : 64;
}

/* --- what is known of a value ----------------------------------------------------------------- */

static unsigned bits_needed(uint64_t v)
{
    return v ? 64 - (unsigned)__builtin_clzll(v) : 0;
}

unsigned ir_unsigned_bits(const struct ir_block *b, ir_val v)
{
    const struct ir_insn *in = &b->insn[v];
    unsigned width = width_of(in->type);

    switch ((enum ir_op)in->op) {
    case IR_CONST: return bits_needed((uint64_t)in->imm);
    case IR_GET: return 8u << in->aux;
    case IR_LD: return in->aux & IR_SIGN ? 64 : 8u << (in->aux & IR_SIZE_MASK);
    case IR_ZEXT8: return 8;
    case IR_ZEXT16: return 16;
    case IR_ZEXT32: return 32;
    case IR_SETCC:
    case IR_FEQ:
    case IR_FLT:
    case IR_FLE: return 1;
    case IR_FCLASS: return 10;
    case IR_F2H: return 16;
    case IR_CLZ:
    case IR_CTZ:
    case IR_POPCNT: return 7;
    case IR_AND:
        if (ir_is_const(b, in->b)) {
            unsigned bits = bits_needed(value_of(b, in->b));
            return bits < width ? bits : width;
        }
        return width;
    case IR_SHR:
        if (ir_is_const(b, in->b))
            return width - (unsigned)(value_of(b, in->b) & (width - 1));
        return width;
    case IR_FBITS: return in->type == IR_F32 ? 32 : 64;
    case IR_ADD:
    case IR_SUB:
    case IR_MUL:
    case IR_MULHU:
    case IR_MULHS:
    case IR_MULHSU:
    case IR_DIVU:
    case IR_DIVS:
    case IR_REMU:
    case IR_REMS:
    case IR_OR:
    case IR_XOR:
    case IR_ANDN:
    case IR_SHL:
    case IR_SAR:
    case IR_ROTL:
    case IR_ROTR:
    case IR_BSWAP:
    case IR_BYTEMASK: return width;
    default: return 64;
    }
}

unsigned ir_signed_bits(const struct ir_block *b, ir_val v)
{
    const struct ir_insn *in = &b->insn[v];

    switch ((enum ir_op)in->op) {
    case IR_SEXT8: return 8;
    case IR_SEXT16: return 16;
    case IR_SEXT32: return 32;
    case IR_LD:
        if (in->aux & IR_SIGN)
            return 8u << (in->aux & IR_SIZE_MASK);
        break;
    case IR_AMO:
    case IR_CAS: return 8u << in->aux;
    case IR_F2I: return in->imm == IR_INT_W || in->imm == IR_INT_WU ? 32 : 64;
    case IR_CONST: return bits_needed((uint64_t)(in->imm ^ in->imm >> 63)) + 1;
    case IR_SAR:
        if (in->type == IR_I64 && ir_is_const(b, in->b))
            return 64 - (unsigned)(value_of(b, in->b) & 63);
        break;
    default: break;
    }
    unsigned bits = ir_unsigned_bits(b, v);
    return bits < 64 ? bits + 1 : 64;
}

unsigned ir_extension_bits(unsigned op)
{
    switch (op) {
    case IR_SEXT8:
    case IR_ZEXT8: return 8;
    case IR_SEXT16:
    case IR_ZEXT16: return 16;
    case IR_SEXT32:
    case IR_ZEXT32: return 32;
    default: return 64;
    }
}

ir_val ir_low_bits(const struct ir_block *b, ir_val v, unsigned bits)
{
    while (!b->no_fold && !ir_in_state(b, v) && ir_extension_bits(b->insn[v].op) < 64 &&
           ir_extension_bits(b->insn[v].op) >= bits)
        v = b->insn[v].a;
    return v;
}

/* --- one operand ------------------------------------------------------------------------------ */

static ir_val emit1(struct ir_block *b, enum ir_op op, enum ir_type type, ir_val a)
{
    return ir_emit(b, op, type, 0, a, IR_NONE, IR_NONE, IR_NONE, 0);
}

static ir_val eval_const(struct ir_block *b, enum ir_op op, unsigned type, unsigned aux, uint64_t x,
                         uint64_t y)
{
    struct ir_insn in = {.op = (uint8_t)op, .type = (uint8_t)type, .aux = (uint8_t)aux};
    uint32_t flags = 0;
    return ir_const(b, ir_eval(&in, x, y, 0, 0, &flags));
}

/* SEXTn and ZEXTn. */
static ir_val fold_extension(struct ir_block *b, enum ir_op op, enum ir_type type, ir_val a)
{
    bool sign = op == IR_SEXT8 || op == IR_SEXT16 || op == IR_SEXT32;
    unsigned bits = ir_extension_bits(op);

    if ((sign ? ir_signed_bits(b, a) : ir_unsigned_bits(b, a)) <= bits)
        return a;
    a = ir_low_bits(b, a, bits);
    if ((sign ? ir_signed_bits(b, a) : ir_unsigned_bits(b, a)) <= bits)
        return a;
    return emit1(b, op, type, a);
}

/* Conversions that undo each other. */
static ir_val fold_inverse(struct ir_block *b, enum ir_op op, enum ir_type type, ir_val a)
{
    const struct ir_insn *in = &b->insn[a];

    switch (op) {
    case IR_FBITS:
        if (in->op == IR_BITSF && in->type == type)
            return type == IR_F64 ? in->a : ir_op1(b, IR_ZEXT32, IR_I64, in->a);
        break;
    case IR_BITSF:
        if (in->op == IR_FBITS && in->type == type)
            return in->a;
        break;
    case IR_UNBOX:
        if (in->op == IR_BOX)
            return in->a;
        break;
    default: break;
    }
    return emit1(b, op, type, a);
}

ir_val ir_op1(struct ir_block *b, enum ir_op op, enum ir_type type, ir_val a)
{
    if (type == IR_F32 || type == IR_F64)
        b->uses_fp = 1;
    if (b->no_fold)
        return emit1(b, op, type, a);
    switch (op) {
    case IR_SEXT8:
    case IR_SEXT16:
    case IR_SEXT32:
    case IR_ZEXT8:
    case IR_ZEXT16:
    case IR_ZEXT32:
        if (ir_is_const(b, a))
            return eval_const(b, op, type, 0, value_of(b, a), 0);
        return fold_extension(b, op, type, a);
    case IR_CLZ:
    case IR_CTZ:
    case IR_POPCNT:
    case IR_BSWAP:
    case IR_BYTEMASK:
        if (ir_is_const(b, a))
            return eval_const(b, op, type, 0, value_of(b, a), 0);
        return emit1(b, op, type, type == IR_W32 ? ir_low_bits(b, a, 32) : a);
    default: return fold_inverse(b, op, type, a);
    }
}

/* --- two operands ----------------------------------------------------------------------------- */

static ir_val emit2(struct ir_block *b, enum ir_op op, enum ir_type type, ir_val a, ir_val c)
{
    return ir_emit(b, op, type, 0, a, c, IR_NONE, IR_NONE, 0);
}

/* 0, or the operation that makes it, where what follows from a is to be seen to. */
static ir_val known_zero(struct ir_block *b, enum ir_op op, enum ir_type type, ir_val a, ir_val c)
{
    return b->keeps_dependencies ? emit2(b, op, type, a, c) : ir_const(b, 0);
}

/* The value x as an operation of this type would return it. */
static ir_val whole(struct ir_block *b, enum ir_type type, ir_val x)
{
    return type == IR_W32 ? ir_op1(b, IR_ZEXT32, IR_I64, x) : x;
}

/* a + k; a is no constant. */
static ir_val add_const(struct ir_block *b, enum ir_type type, ir_val a, uint64_t k)
{
    const struct ir_insn *in = &b->insn[a];

    if (type == IR_W32)
        k = (uint64_t)(int64_t)(int32_t)k;
    if (in->op == IR_ADD && (in->type == IR_I64 || type == IR_W32) && ir_is_const(b, in->b) &&
        !ir_in_state(b, a)) {
        k += value_of(b, in->b);
        a = in->a;
        if (type == IR_W32)
            k = (uint64_t)(int64_t)(int32_t)k;
    }
    if (k == 0)
        return whole(b, type, a);
    return emit2(b, IR_ADD, type, a, ir_const(b, k));
}

static ir_val and_const(struct ir_block *b, enum ir_type type, ir_val a, uint64_t k)
{
    if (type == IR_W32)
        k &= LOW32;
    if (k == 0)
        return known_zero(b, IR_AND, type, a, ir_const(b, 0));
    if ((k & (k + 1)) == 0) { /* all ones from bit 0 */
        unsigned bits = bits_needed(k);
        if (ir_unsigned_bits(b, a) <= bits)
            return a;
        switch (bits) {
        case 8: return ir_op1(b, IR_ZEXT8, IR_I64, a);
        case 16: return ir_op1(b, IR_ZEXT16, IR_I64, a);
        case 32: return ir_op1(b, IR_ZEXT32, IR_I64, a);
        default: break;
        }
    }
    return emit2(b, IR_AND, type, a, ir_const(b, k));
}

static ir_val mul_const(struct ir_block *b, enum ir_type type, ir_val a, uint64_t k)
{
    if (type == IR_W32)
        k &= LOW32;
    if (k == 0)
        return known_zero(b, IR_MUL, type, a, ir_const(b, 0));
    if ((k & (k - 1)) == 0)
        return ir_op2(b, IR_SHL, type, a, ir_const(b, (uint64_t)__builtin_ctzll(k)));
    return emit2(b, IR_MUL, type, a, ir_const(b, k));
}

static ir_val shift_const(struct ir_block *b, enum ir_op op, enum ir_type type, ir_val a,
                          uint64_t k)
{
    const struct ir_insn *in = &b->insn[a];

    k &= width_of(type) - 1;
    if (k == 0)
        return whole(b, type, a);
    /* A left shift undone by a right one is an extension, the usual way to write one: worth it even
     * when the left shift has gone to state, since the right one mostly overwrites it there. */
    if (type == IR_I64 && in->op == IR_SHL && in->type == IR_I64 && ir_is_const(b, in->b) &&
        (value_of(b, in->b) & 63) == k && (op == IR_SHR || op == IR_SAR)) {
        switch (k) {
        case 32: return ir_op1(b, op == IR_SHR ? IR_ZEXT32 : IR_SEXT32, IR_I64, in->a);
        case 48: return ir_op1(b, op == IR_SHR ? IR_ZEXT16 : IR_SEXT16, IR_I64, in->a);
        case 56: return ir_op1(b, op == IR_SHR ? IR_ZEXT8 : IR_SEXT8, IR_I64, in->a);
        default: break;
        }
    }
    return emit2(b, op, type, a, ir_const(b, k));
}

/* The second operand is the constant k, the first is none. */
static ir_val fold_const_right(struct ir_block *b, enum ir_op op, enum ir_type type, ir_val a,
                               ir_val c)
{
    uint64_t k = value_of(b, c);
    uint64_t ones = type == IR_W32 ? LOW32 : UINT64_MAX;

    switch (op) {
    case IR_ADD: return add_const(b, type, a, k);
    case IR_SUB: return add_const(b, type, a, 0 - k);
    case IR_MUL: return mul_const(b, type, a, k);
    case IR_AND: return and_const(b, type, a, k);
    case IR_ANDN: return and_const(b, type, a, ~k);
    case IR_OR:
        if ((k & ones) == ones && !b->keeps_dependencies)
            return ir_const(b, ones);
        return (k & ones) == 0 ? whole(b, type, a) : emit2(b, op, type, a, c);
    case IR_XOR: return (k & ones) == 0 ? whole(b, type, a) : emit2(b, op, type, a, c);
    case IR_SHL:
    case IR_SHR:
    case IR_SAR:
    case IR_ROTL:
    case IR_ROTR: return shift_const(b, op, type, a, k);
    default: return emit2(b, op, type, a, c);
    }
}

/* Both operands are the same value. */
static ir_val fold_same(struct ir_block *b, enum ir_op op, enum ir_type type, ir_val a)
{
    switch (op) {
    case IR_SUB:
    case IR_XOR:
    case IR_ANDN: return known_zero(b, op, type, a, a);
    case IR_AND:
    case IR_OR: return whole(b, type, a);
    default: return emit2(b, op, type, a, a);
    }
}

/* x << k, and x >> (width - k), in one: how code without a rotate instruction writes it. The halves have no
 * bit in common, so they may be joined by OR, XOR or ADD. Of 32 bits the upper half of the result is its
 * sign, which the left shift's extension brings. IR_NONE: they are something else. */
static ir_val fold_rotate(struct ir_block *b, ir_val a, ir_val c)
{
    const struct ir_insn *left = &b->insn[a], *right = &b->insn[c];
    if (left->op != IR_SHR && right->op != IR_SHR)
        return IR_NONE;
    if (left->op == IR_SHR || right->op == IR_SEXT32) {
        const struct ir_insn *t = left;
        left = right;
        right = t;
    }
    bool narrow = left->op == IR_SEXT32;
    if (narrow)
        left = &b->insn[left->a];
    unsigned type = narrow ? IR_W32 : IR_I64;
    if (left->op != IR_SHL || right->op != IR_SHR || left->type != type || right->type != type ||
        left->a != right->a || !ir_is_const(b, left->b) || !ir_is_const(b, right->b) ||
        value_of(b, left->b) + value_of(b, right->b) != width_of(type))
        return IR_NONE;
    ir_val by = right->b, x = left->a;
    ir_val v = emit2(b, IR_ROTR, (enum ir_type)type, x, by);
    return narrow ? emit1(b, IR_SEXT32, IR_I64, v) : v;
}

/* Neither operand is a constant, and they differ. */
static ir_val fold_values(struct ir_block *b, enum ir_op op, enum ir_type type, ir_val a, ir_val c)
{
    if (type == IR_I64 && (op == IR_OR || op == IR_XOR || op == IR_ADD)) {
        ir_val v = fold_rotate(b, a, c);
        if (v != IR_NONE)
            return v;
    }
    return emit2(b, op, type, a, c);
}

ir_val ir_op2(struct ir_block *b, enum ir_op op, enum ir_type type, ir_val a, ir_val c)
{
    if (b->no_fold)
        return emit2(b, op, type, a, c);
    if (ir_is_const(b, a)) {
        if (ir_is_const(b, c))
            return eval_const(b, op, type, 0, value_of(b, a), value_of(b, c));
        if (ir_op_info[op].flags & IRF_COMM) {
            ir_val t = a;
            a = c;
            c = t;
        }
    }
    if (type == IR_W32) {
        a = ir_low_bits(b, a, 32);
        c = ir_low_bits(b, c, 32);
    }
    if (a == c)
        return fold_same(b, op, type, a);
    if (ir_is_const(b, c) && !ir_is_const(b, a))
        return fold_const_right(b, op, type, a, c);
    return fold_values(b, op, type, a, c);
}

/* --- comparisons ------------------------------------------------------------------------------ */

/* What a comparison that is known comes to: 0, 1, or -1 for unknown. */
static int known_comparison(const struct ir_block *b, enum ir_type type, enum ir_cond cc, ir_val a,
                            ir_val c)
{
    if (a == c && (!b->keeps_dependencies || ir_is_const(b, a)))
        return ir_cond_holds(cc, type, 0, 0);
    if (ir_is_const(b, a) && ir_is_const(b, c))
        return ir_cond_holds(cc, type, value_of(b, a), value_of(b, c));
    return -1;
}

ir_val ir_setcc(struct ir_block *b, enum ir_type type, enum ir_cond cc, ir_val a, ir_val c)
{
    if (!b->no_fold) {
        int known = known_comparison(b, type, cc, a, c);
        if (known >= 0)
            return ir_const(b, (uint64_t)known);
        if (cc == IR_LTU && ir_is_const(b, a) && value_of(b, a) == 0) { /* snez */
            cc = IR_NE;
            ir_val t = a;
            a = c;
            c = t;
        } else if (cc == IR_LTU && ir_is_const(b, c) && value_of(b, c) == 1) { /* seqz */
            cc = IR_EQ;
            c = ir_const(b, 0);
        }
    }
    return ir_emit(b, IR_SETCC, type, cc, a, c, IR_NONE, IR_NONE, 0);
}

ir_val ir_select(struct ir_block *b, enum ir_type type, enum ir_cond cc, ir_val a, ir_val c,
                 ir_val if_true, ir_val if_false)
{
    if (!b->no_fold) {
        int known = known_comparison(b, type, cc, a, c);
        if (known >= 0)
            return known ? if_true : if_false;
        if (if_true == if_false)
            return if_true;
    }
    return ir_emit(b, IR_SELECT, type, cc, a, c, if_true, if_false, 0);
}
