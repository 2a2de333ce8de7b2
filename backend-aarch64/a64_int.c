#include "backend-aarch64/a64_int.h"

#include "backend-aarch64/a64.h"
#include "backend-aarch64/a64_fuse.h"

/* d = a + b or a - b, of an extension that has waited. */
static void with_extended(struct a64 *x, const struct ir_insn *in, ir_val av,
                          const struct ir_insn *f)
{
    const bool sign = f->op == IR_SEXT8 || f->op == IR_SEXT16 || f->op == IR_SEXT32;
    const unsigned size = a64_fused_bits(x, f) / 16; /* log2 bytes */
    int a = a64_use(x, av), b = a64_use(x, f->a);
    a64_done(x, av);
    a64_done(x, f->a);
    a64_rrr(&x->e, (in->op == IR_ADD ? A64_ADDX : A64_SUBX) | (sign << 2 | size) << 13, a64_def(x),
            a, b);
}

/* The same where b is a shift or a product that has waited. */
static void with_fused(struct a64 *x, const struct ir_insn *in, uint32_t op, ir_val av,
                       const struct ir_insn *f)
{
    unsigned by = 0;
    if (a64_fused_bits(x, f)) {
        with_extended(x, in, av, f);
        return;
    }
    int a = a64_use_or_zero(x, av), b = a64_use(x, f->a), c = -1;
    if (f->op == IR_MUL)
        c = a64_use(x, f->b);
    a64_done(x, av);
    a64_done(x, f->a);
    a64_done(x, f->b);
    int d = a64_def(x);
    if (c >= 0) {
        a64_rrrr(&x->e, a64_typed(in, in->op == IR_ADD ? A64_MADD : A64_MSUB), d, b, c, a);
    } else {
        enum a64_shift how = a64_fused_shift(x, f, &by);
        a64_shifted(&x->e, a64_typed(in, op), d, a, b, how, by);
    }
}

/* d = f(a, b), by one instruction of three registers. */
static void three(struct a64 *x, const struct ir_insn *in, uint32_t op)
{
    const struct ir_insn *f = in->b == IR_NONE ? NULL : a64_fused(x, in->b);
    if (f) {
        with_fused(x, in, op, in->a, f);
        return;
    }
    if ((f = a64_fused(x, in->a))) { /* the operation commutes */
        with_fused(x, in, op, in->b, f);
        return;
    }
    int a = a64_use_or_zero(x, in->a), b = a64_use_or_zero(x, in->b);
    a64_done(x, in->a);
    a64_done(x, in->b);
    a64_rrr(&x->e, a64_typed(in, op), a64_def(x), a, b);
}

static void two(struct a64 *x, const struct ir_insn *in, uint32_t op)
{
    int a = a64_use(x, in->a);
    a64_done(x, in->a);
    a64_rr(&x->e, a64_typed(in, op), a64_def(x), a);
}

/* The constant operand of one that takes constants, last; v: that operand. */
static bool constant_last(struct a64 *x, struct ir_insn *in, bool commutes, int64_t *v)
{
    if (commutes && place_is_const(&x->p, in->a, v)) {
        ir_val t = in->a;
        in->a = in->b;
        in->b = t;
    }
    return place_is_const(&x->p, in->b, v);
}

static void lower_add(struct a64 *x, const struct ir_insn *src, bool subtract)
{
    struct ir_insn in = *src;
    int64_t v;
    if (!constant_last(x, &in, !subtract, &v)) {
        three(x, &in, subtract ? A64_SUB : A64_ADD);
        return;
    }
    uint64_t by = subtract ? -(uint64_t)v : (uint64_t)v;
    if (in.type == IR_W32)
        by = (uint64_t)(int64_t)(int32_t)by;
    const bool down = !a64_is_imm12(by);
    if (down && !a64_is_imm12(-by)) {
        three(x, &in, subtract ? A64_SUB : A64_ADD);
        return;
    }
    int a = a64_use(x, in.a);
    a64_done(x, in.a);
    a64_done(x, in.b);
    a64_imm12(&x->e, a64_typed(&in, down ? A64_SUBI : A64_ADDI), a64_def(x), a, down ? -by : by);
}

/* d = (a >> n) & ones, of a shift that has waited. */
static void take_field(struct a64 *x, const struct ir_insn *in, const struct ir_insn *shift,
                       uint64_t ones)
{
    const unsigned top = in->type == IR_W32 ? 31 : 63;
    unsigned by, last;
    a64_fused_shift(x, shift, &by);
    last = by + (unsigned)__builtin_popcountll(ones) - 1;
    int a = a64_use(x, shift->a);
    a64_done(x, shift->a);
    a64_done(x, shift->b);
    a64_done(x, in->b);
    a64_bits(&x->e, a64_typed(in, A64_UBFM), a64_def(x), a, by, last < top ? last : top);
}

static void lower_logical(struct a64 *x, const struct ir_insn *src, uint32_t op,
                          uint32_t op_constant)
{
    struct ir_insn in = *src;
    int64_t v;
    const bool wide = in.type != IR_W32;
    if (!constant_last(x, &in, true, &v) || a64_pattern((uint64_t)v, wide) == A64_NO_PATTERN) {
        three(x, &in, op);
        return;
    }
    const struct ir_insn *f = a64_fused(x, in.a);
    if (f) {
        take_field(x, &in, f, (uint64_t)v);
        return;
    }
    int a = a64_use(x, in.a);
    a64_done(x, in.a);
    a64_done(x, in.b);
    a64_logical(&x->e, a64_typed(&in, op_constant), a64_def(x), a, (uint64_t)v);
}

/* --- shifts -------------------------------------------------------------------------------------- */

static void shift_constant(struct a64 *x, const struct ir_insn *in, unsigned by)
{
    struct a64_buf *e = &x->e;
    const unsigned top = in->type == IR_W32 ? 31 : 63;
    int a = a64_use(x, in->a);
    by &= top;
    a64_done(x, in->a);
    a64_done(x, in->b);
    int d = a64_def(x);
    switch (in->op) {
    case IR_SHL: a64_bits(e, a64_typed(in, A64_UBFM), d, a, (top + 1 - by) & top, top - by); break;
    case IR_SHR: a64_bits(e, a64_typed(in, A64_UBFM), d, a, by, top); break;
    case IR_SAR: a64_bits(e, a64_typed(in, A64_SBFM), d, a, by, top); break;
    case IR_ROTL: by = (top + 1 - by) & top; /* fallthrough */
    default: a64_extr(e, a64_typed(in, A64_EXTR), d, a, a, by); break;
    }
}

/* d = (a & ones) << by, of bits that have waited. */
static void place_field(struct a64 *x, const struct ir_insn *in, const struct ir_insn *bits)
{
    const unsigned by = (unsigned)x->b->insn[in->b].imm & 63, room = 64 - by,
                   count = a64_fused_bits(x, bits);
    int a = a64_use(x, bits->a);
    a64_done(x, bits->a);
    if (bits->op == IR_AND)
        a64_done(x, bits->b);
    a64_done(x, in->b);
    const bool sign = bits->op == IR_SEXT8 || bits->op == IR_SEXT16 || bits->op == IR_SEXT32;
    a64_bits(&x->e, sign ? A64_SBFM : A64_UBFM, a64_def(x), a, room & 63,
             (count < room ? count : room) - 1);
}

static void lower_shift(struct a64 *x, const struct ir_insn *in, uint32_t op)
{
    int64_t by;
    if (a64_fused(x, in->a)) {
        place_field(x, in, a64_fused(x, in->a));
        return;
    }
    if (place_is_const(&x->p, in->b, &by)) {
        shift_constant(x, in, (unsigned)by);
        return;
    }
    if (in->op != IR_ROTL) {
        three(x, in, op);
        return;
    }
    int a = a64_use(x, in->a), b = a64_use(x, in->b);
    a64_rrr(&x->e, A64_SUB, X16, A64_ZR, b);
    a64_done(x, in->a);
    a64_done(x, in->b);
    a64_rrr(&x->e, a64_typed(in, op), a64_def(x), a, X16);
}

/* --- bits ---------------------------------------------------------------------------------------- */

static void lower_extension(struct a64 *x, const struct ir_insn *in, uint32_t op, unsigned bits)
{
    int a = a64_use(x, in->a);
    a64_done(x, in->a);
    a64_bits(&x->e, op, a64_def(x), a, 0, bits - 1);
}

static void lower_ctz(struct a64 *x, const struct ir_insn *in)
{
    int a = a64_use(x, in->a);
    a64_done(x, in->a);
    a64_rr(&x->e, a64_typed(in, A64_RBIT), X16, a);
    a64_rr(&x->e, a64_typed(in, A64_CLZ), a64_def(x), X16);
}

static void lower_bytemask(struct a64 *x, const struct ir_insn *in)
{
    int a = a64_use(x, in->a), v = place_temp(&x->p, REG_VEC);
    a64_done(x, in->a);
    a64_rr(&x->e, A64_FMOV_DX, v, a);
    a64_rrr(&x->e, A64_CMTST, v, v, v);
    a64_rr(&x->e, A64_FMOV_XD, a64_def(x), v);
}

static void lower_popcnt(struct a64 *x, const struct ir_insn *in)
{
    int a = a64_use(x, in->a), v = place_temp(&x->p, REG_VEC);
    a64_done(x, in->a);
    a64_rr(&x->e, in->type == IR_W32 ? A64_FMOV_SW : A64_FMOV_DX, v, a);
    a64_rr(&x->e, A64_CNT, v, v);
    a64_rr(&x->e, A64_ADDV, v, v);
    a64_rr(&x->e, A64_FMOV_WS, a64_def(x), v);
}

/* --- products ------------------------------------------------------------------------------------ */

static void lower_mul(struct a64 *x, const struct ir_insn *in)
{
    int a = a64_use(x, in->a), b = a64_use(x, in->b);
    a64_done(x, in->a);
    a64_done(x, in->b);
    a64_rrrr(&x->e, a64_typed(in, A64_MADD), a64_def(x), a, b, A64_ZR);
}

/* Of a signed and an unsigned one: where a is negative, b is too much. */
static void lower_mulhsu(struct a64 *x, const struct ir_insn *in)
{
    int a = a64_use(x, in->a), b = a64_use(x, in->b);
    a64_rrr(&x->e, A64_UMULH, X16, a, b);
    a64_shifted(&x->e, A64_AND, X17, b, a, A64_ASR_BY, 63);
    a64_done(x, in->a);
    a64_done(x, in->b);
    a64_rrr(&x->e, A64_SUB, a64_def(x), X16, X17);
}

/* Without carries, by FEAT_PMULL. */
static void lower_clmul(struct a64 *x, const struct ir_insn *in)
{
    int a = a64_use(x, in->a), b = a64_use(x, in->b);
    int v = place_temp(&x->p, REG_VEC), w = place_temp(&x->p, REG_VEC);
    a64_rr(&x->e, A64_FMOV_DX, v, a);
    a64_rr(&x->e, A64_FMOV_DX, w, b);
    a64_done(x, in->a);
    a64_done(x, in->b);
    a64_rrr(&x->e, A64_PMULL, v, v, w);
    a64_rr(&x->e, in->op == IR_CLMUL ? A64_FMOV_XD : A64_FMOV_XHIGH, a64_def(x), v);
}

/* What divides by zero is 0 here, and all ones is wanted. */
static void lower_div(struct a64 *x, const struct ir_insn *in, uint32_t op)
{
    int a = a64_use(x, in->a), b = a64_use(x, in->b);
    a64_rrr(&x->e, a64_typed(in, op), X16, a, b);
    a64_imm12(&x->e, a64_typed(in, A64_SUBSI), A64_ZR, b, 0);
    a64_done(x, in->a);
    a64_done(x, in->b);
    a64_cond(&x->e, a64_typed(in, A64_CSINV), a64_def(x), X16, A64_ZR, A64_NE);
}

static void lower_rem(struct a64 *x, const struct ir_insn *in, uint32_t op)
{
    int a = a64_use(x, in->a), b = a64_use(x, in->b);
    a64_rrr(&x->e, a64_typed(in, op), X16, a, b);
    a64_done(x, in->a);
    a64_done(x, in->b);
    a64_rrrr(&x->e, a64_typed(in, A64_MSUB), a64_def(x), X16, b, a);
}

bool a64_lower_int(struct a64 *x, const struct ir_insn *in)
{
    if (a64_fuse_waits(x, in))
        return true;
    switch (in->op) {
    case IR_CONST: place_def_const(&x->p); return true;
    case IR_ADD: lower_add(x, in, false); return true;
    case IR_SUB: lower_add(x, in, true); return true;
    case IR_AND: lower_logical(x, in, A64_AND, A64_ANDI); return true;
    case IR_OR: lower_logical(x, in, A64_ORR, A64_ORRI); return true;
    case IR_XOR: lower_logical(x, in, A64_EOR, A64_EORI); return true;
    case IR_ANDN: three(x, in, A64_BIC); return true;
    case IR_SHL: lower_shift(x, in, A64_LSL); return true;
    case IR_SHR: lower_shift(x, in, A64_LSR); return true;
    case IR_SAR: lower_shift(x, in, A64_ASR); return true;
    case IR_ROTL:
    case IR_ROTR: lower_shift(x, in, A64_ROR); return true;
    case IR_SEXT8: lower_extension(x, in, A64_SBFM, 8); return true;
    case IR_SEXT16: lower_extension(x, in, A64_SBFM, 16); return true;
    case IR_SEXT32: lower_extension(x, in, A64_SBFM, 32); return true;
    case IR_ZEXT8: lower_extension(x, in, A64_UBFM, 8); return true;
    case IR_ZEXT16: lower_extension(x, in, A64_UBFM, 16); return true;
    case IR_ZEXT32: lower_extension(x, in, A64_UBFM, 32); return true;
    case IR_CLZ: two(x, in, A64_CLZ); return true;
    case IR_CTZ: lower_ctz(x, in); return true;
    case IR_POPCNT: lower_popcnt(x, in); return true;
    case IR_BSWAP: two(x, in, in->type == IR_W32 ? A64_REV32 : A64_REV); return true;
    case IR_MUL: lower_mul(x, in); return true;
    case IR_MULHU:
        if (in->type == IR_W32)
            return false;
        three(x, in, A64_UMULH);
        return true;
    case IR_MULHS:
        if (in->type == IR_W32)
            return false;
        three(x, in, A64_SMULH);
        return true;
    case IR_MULHSU:
        if (in->type == IR_W32)
            return false;
        lower_mulhsu(x, in);
        return true;
    case IR_CLMUL:
    case IR_CLMULH:
        if (in->type == IR_W32 || !(x->features & A64_F_PMULL))
            return false;
        lower_clmul(x, in);
        return true;
    case IR_BYTEMASK:
        if (in->type == IR_W32)
            return false;
        lower_bytemask(x, in);
        return true;
    case IR_DIVU: lower_div(x, in, A64_UDIV); return true;
    case IR_DIVS: lower_div(x, in, A64_SDIV); return true;
    case IR_REMU: lower_rem(x, in, A64_UDIV); return true;
    case IR_REMS: lower_rem(x, in, A64_SDIV); return true;
    default: return false;
    }
}
