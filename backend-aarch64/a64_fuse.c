#include "backend-aarch64/a64_fuse.h"

static bool constant_of(const struct a64 *x, ir_val v, uint64_t *imm)
{
    int64_t k;
    bool is = place_is_const(&x->p, v, &k);
    *imm = is ? (uint64_t)k : 0;
    return is;
}

static bool is_zero(const struct a64 *x, ir_val v)
{
    uint64_t imm;
    return constant_of(x, v, &imm) && !imm;
}

static bool is_constant(const struct a64 *x, ir_val v)
{
    uint64_t imm;
    return constant_of(x, v, &imm);
}

static bool is_shift(unsigned op)
{
    return op == IR_SHL || op == IR_SHR || op == IR_SAR || op == IR_ROTL || op == IR_ROTR;
}

enum a64_shift a64_fused_shift(const struct a64 *x, const struct ir_insn *s, unsigned *by)
{
    const unsigned width = s->type == IR_W32 ? 32 : 64;
    uint64_t imm;
    constant_of(x, s->b, &imm);
    *by = (unsigned)imm & (width - 1);
    switch (s->op) {
    case IR_SHL: return A64_LSL_BY;
    case IR_SHR: return A64_LSR_BY;
    case IR_SAR: return A64_ASR_BY;
    case IR_ROTL: *by = (width - *by) & (width - 1); /* fallthrough */
    default: return A64_ROR_BY;
    }
}

unsigned a64_fused_bits(const struct a64 *x, const struct ir_insn *in)
{
    uint64_t imm;
    if (in->op != IR_AND)
        return ir_extension_bits(in->op) & 63;
    if (!constant_of(x, in->b, &imm) || imm >> 32 || imm & (imm + 1))
        return 0;
    return (unsigned)__builtin_popcountll(imm);
}

/* The other operand of the use, which has v as well; IR_NONE: v stands where it cannot be the one that is part of
 * it, or both are v. */
static ir_val other(const struct ir_insn *use, ir_val v)
{
    if (use->a == use->b)
        return IR_NONE;
    if (use->b == v)
        return use->a;
    return ir_op_info[use->op].flags & IRF_COMM ? use->b : (ir_val)IR_NONE;
}

/* The one place where the value is used, if that is near. */
static const struct ir_insn *use_of(const struct a64 *x, ir_val v)
{
    enum { NEAR = 16 };
    for (uint32_t k = v + 1u; k < x->b->count && k <= v + (uint32_t)NEAR; k++) {
        const struct ir_insn *in = &x->b->insn[k];
        if (in->op != IR_NOP && (in->a == v || in->b == v || in->c == v || in->d == v))
            return in->c == v || in->d == v ? NULL : in;
    }
    return NULL;
}

static bool joins_shift(const struct a64 *x, const struct ir_insn *in, const struct ir_insn *use,
                        ir_val o)
{
    const bool rotates = in->op == IR_ROTL || in->op == IR_ROTR;
    uint64_t imm;
    if (!is_constant(x, in->b))
        return false;
    switch (use->op) {
    case IR_AND: /* with ones at the bottom: a field is taken out */
        if (constant_of(x, o, &imm))
            return in->op == IR_SHR && imm && imm < UINT64_C(1) << 31 && !(imm & (imm + 1));
        return true;
    case IR_OR:
    case IR_XOR:
    case IR_ANDN: return !is_constant(x, o);
    case IR_ADD:
    case IR_SUB: return !rotates && !is_constant(x, o);
    default: return false;
    }
}

/* Of an AND with ones at the bottom, or an extension, which a shift to the left moves on. */
static bool joins_left_shift(const struct a64 *x, const struct ir_insn *in,
                             const struct ir_insn *use, ir_val v)
{
    return use->op == IR_SHL && use->a == v && is_constant(x, use->b) && a64_fused_bits(x, in);
}

/* Of an AND with a constant: one that an instruction takes, compared with zero, as a branch has it. */
static bool joins_test(const struct a64 *x, const struct ir_insn *in, const struct ir_insn *use,
                       ir_val v)
{
    uint64_t imm;
    return use->op == IR_BRCC && use->aux <= IR_NE && use->a == v && is_zero(x, use->b) &&
           (use->type == in->type || in->type == IR_W32) && constant_of(x, in->b, &imm) &&
           a64_pattern(imm, in->type != IR_W32) != A64_NO_PATTERN;
}

/* Of an extension that is added. */
static bool joins_sum(const struct a64 *x, const struct ir_insn *use, ir_val o)
{
    return (use->op == IR_ADD || use->op == IR_SUB) && !is_constant(x, o);
}

static bool joins(struct a64 *x, const struct ir_insn *in, const struct ir_insn *use, ir_val v)
{
    const bool narrow = a64_fused_bits(x, in) && use->type == IR_I64;
    const ir_val o = other(use, v);
    if (narrow && joins_left_shift(x, in, use, v))
        return true;
    if (in->op == IR_AND && joins_test(x, in, use, v))
        return true;
    if (o == IR_NONE || (o < v && x->waits[o]))
        return false;
    if (narrow && in->op != IR_AND)
        return joins_sum(x, use, o);
    if (use->type != in->type)
        return false;
    if (is_shift(in->op))
        return joins_shift(x, in, use, o);
    return in->op == IR_MUL && joins_sum(x, use, o);
}

bool a64_fuse_waits(struct a64 *x, const struct ir_insn *in)
{
    const ir_val v = (ir_val)x->p.i;
    if (in->uses != 1 || in->op == IR_CONST || x->waits[in->a])
        return false;
    const struct ir_insn *use = use_of(x, v);
    x->waits[v] = use && joins(x, in, use, v);
    return x->waits[v];
}
