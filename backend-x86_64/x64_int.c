#include "backend-x86_64/x64_int.h"

#include "backend-x86_64/x64.h"

/* slot op= b, for a value read from a slot and stored back to it. */
static bool alu_slot(struct x64 *x, const struct ir_insn *in, unsigned op)
{
    uint32_t off;
    if (in->type == IR_W32 || !place_updates_slot(&x->p, in->a, &off))
        return false;
    struct place_operand o = x64_no_memory(x, in->b, x64_operand(x, in->b));
    if (o.kind == OPERAND_CONST)
        x64_alu_mi(&x->e, X_W, x64_group1(op), x64_state(off), o.imm);
    else
        x64_rm(&x->e, X_W | x64_to_memory(op), o.reg, x64_state(off), 0);
    x64_done(x, in->a);
    x64_done(x, in->b);
    place_def_slot(&x->p, off);
    return true;
}

static void lower_alu(struct x64 *x, const struct ir_insn *src, unsigned op, bool commutes)
{
    struct ir_insn in = *src;
    int64_t imm;
    unsigned w = x64_width(&in);
    if (commutes && place_is_const(&x->p, in.a, &imm)) {
        in.a = src->b;
        in.b = src->a;
    }
    if (in.a != in.b && alu_slot(x, &in, op))
        return;
    struct place_operand b = x64_operand(x, in.b);
    struct place_operand a = x64_no_const(x, in.a, x64_operand(x, in.a));
    x64_done(x, in.a);
    x64_done(x, in.b);
    if (commutes && a.kind == OPERAND_STATE && b.kind == OPERAND_REG) {
        struct place_operand t = a;
        a = b;
        b = t;
    }
    bool ra = a.kind == OPERAND_REG, rb = b.kind == OPERAND_REG;
    bool apart = !commutes && rb && !(ra && a.reg == b.reg);
    int d = x64_def(x, apart ? reg_bit(b.reg) : 0);
    if (ra && d == a.reg) {
        x64_alu(x, w | op, d, &b);
    } else if (rb && d == b.reg) {
        x64_alu(x, w | op, d, &a);
    } else if (op == OP_ADD && ra && rb) {
        x64_rm(&x->e, w | OP_LEA, d, x64_sib(a.reg, b.reg, 0, 0), 0);
    } else if (op == OP_ADD && ra && b.kind == OPERAND_CONST) {
        x64_rm(&x->e, w | OP_LEA, d, x64_at(a.reg, b.imm), 0);
    } else {
        x64_load_operand(x, d, &a);
        x64_alu(x, w | op, d, &b);
    }
}

/* --- a + b * 2, 4, 8 ------------------------------------------------------------------------------- */

/* Is the shift by 1, 2 or 3 there for an addition alone that comes next? What may stand between them emits
 * nothing and changes nothing. Then the addition is left to do it. */
static bool leave_scaling(struct x64 *x, const struct ir_insn *in, int64_t by)
{
    enum { WHOLE = 3 };
    if (in->type != IR_I64 || in->uses != 1 || by < 1 || by > 3)
        return false;
    uint32_t n = x->p.i + 1;
    const struct ir_insn *add = in;
    for (; n < x->b->count; n++) {
        add = &x->b->insn[n];
        bool silent = add->op == IR_NOP || add->op == IR_CONST ||
                      (add->op == IR_GET && add->type == IR_I64 && add->aux == WHOLE);
        if (!silent)
            break;
    }
    if (add->op != IR_ADD || add->type != IR_I64 || (add->a != x->p.i && add->b != x->p.i))
        return false;
    ir_val other = add->a == x->p.i ? add->b : add->a;
    if (x->b->insn[other].op == IR_CONST)
        return false;
    x->scaled = (ir_val)x->p.i;
    return true;
}

/* The addition that leave_scaling found, shift and all. */
static void lower_scaled_add(struct x64 *x, const struct ir_insn *in)
{
    const struct ir_insn *shift = &x->b->insn[x->scaled];
    ir_val other = in->a == x->scaled ? in->b : in->a;
    unsigned by = (unsigned)x->b->insn[shift->b].imm;
    int index = x64_use(x, shift->a), base = x64_use(x, other);
    x->scaled = IR_NONE;
    x64_done(x, shift->a);
    x64_done(x, shift->b);
    x64_done(x, other);
    int d = x64_def(x, 0);
    x64_rm(&x->e, X_W | OP_LEA, d, x64_sib(base, index, by, 0), 0);
}

static void lower_add(struct x64 *x, const struct ir_insn *in)
{
    if (x->scaled != IR_NONE)
        lower_scaled_add(x, in);
    else
        lower_alu(x, in, OP_ADD, true);
}

static void lower_andn(struct x64 *x, const struct ir_insn *in)
{
    int a = x64_use(x, in->a), b = x64_use(x, in->b);
    x64_done(x, in->a);
    x64_done(x, in->b);
    if (x->features & X64_F_BMI1) {
        int d = x64_def(x, 0);
        x64_vrr(&x->e, x64_width(in) | OP_ANDN, d, b, a);
        return;
    }
    /* a & ~b = a ^ (a & b) */
    int d = x64_def(x, reg_bit(a) | reg_bit(b));
    x64_mov(&x->e, d, b);
    x64_rr(&x->e, x64_width(in) | OP_AND, d, a);
    x64_rr(&x->e, x64_width(in) | OP_XOR, d, a);
}

/* --- shifts -------------------------------------------------------------------------------------- */

static void shift_const(struct x64 *x, const struct ir_insn *in, unsigned ext, uint64_t by)
{
    unsigned w = x64_width(in), mask = w ? 63 : 31, count = (unsigned)by & mask;
    bool rotates = ext == EXT_ROL || ext == EXT_ROR;
    struct place_operand a = x64_operand(x, in->a);
    x64_done(x, in->a);
    x64_done(x, in->b);
    int d = x64_def(x, 0);
    if (rotates && x->features & X64_F_BMI2 && a.kind == OPERAND_REG) {
        x64_vrr(&x->e, w | OP_RORX_I, d, 0, a.reg);
        x64_u8(&x->e, ext == EXT_ROR ? count : (mask + 1 - count) & mask);
        return;
    }
    x64_load_operand(x, d, &a);
    if (count || !w)
        x64_shift_ri(&x->e, w, ext, d, count);
    if (!count && !w)
        x64_zext32(&x->e, d, d);
}

/* By rcx. */
static void shift_by_register(struct x64 *x, const struct ir_insn *in, unsigned ext)
{
    unsigned w = x64_width(in);
    place_take(&x->p, RCX);
    struct place_operand b = x64_operand(x, in->b);
    struct place_operand a = x64_operand(x, in->a);
    x64_load_operand(x, RCX, &b);
    x64_done(x, in->a);
    x64_done(x, in->b);
    int d = x64_def(x, 0);
    x64_load_operand(x, d, &a);
    x64_rr(&x->e, w | OP_SHIFT_CL, (int)ext, d);
    if (!w)
        x64_zext32(&x->e, d, d); /* a zero count leaves the upper half as it was */
}

/* bmi2: the form that takes any register, or 0. */
static void lower_shift(struct x64 *x, const struct ir_insn *in, unsigned ext, unsigned bmi2)
{
    int64_t imm;
    if (place_is_const(&x->p, in->b, &imm)) {
        if (ext != EXT_SHL || !leave_scaling(x, in, imm))
            shift_const(x, in, ext, (uint64_t)imm);
        return;
    }
    if (!bmi2 || !(x->features & X64_F_BMI2)) {
        shift_by_register(x, in, ext);
        return;
    }
    int a = x64_use(x, in->a), b = x64_use(x, in->b);
    x64_done(x, in->a);
    x64_done(x, in->b);
    int d = x64_def(x, 0);
    x64_vrr(&x->e, bmi2 | x64_width(in), d, b, a);
}

/* --- bits ---------------------------------------------------------------------------------------- */

static void lower_ext(struct x64 *x, const struct ir_insn *in, unsigned op)
{
    struct place_operand a = x64_no_const(x, in->a, x64_operand(x, in->a));
    x64_done(x, in->a);
    int d = x64_def(x, 0);
    if (a.kind == OPERAND_REG)
        x64_rr(&x->e, op, d, a.reg);
    else
        x64_rm(&x->e, op & ~(unsigned)X_B, d, x64_state(a.offset), 0);
}

static bool lower_count(struct x64 *x, const struct ir_insn *in, unsigned op, uint32_t feature)
{
    if (!(x->features & feature))
        return false;
    int a = x64_use(x, in->a);
    x64_done(x, in->a);
    int d = x64_def(x, 0);
    x64_rr(&x->e, x64_width(in) | op, d, a);
    return true;
}

static void lower_bswap(struct x64 *x, const struct ir_insn *in)
{
    int a = x64_use(x, in->a);
    x64_done(x, in->a);
    int d = x64_def(x, 0);
    x64_mov(&x->e, d, a);
    x64_r(&x->e, x64_width(in) | OP_BSWAP_R, d);
}

static void lower_bytemask(struct x64 *x, const struct ir_insn *in)
{
    int a = x64_use(x, in->a);
    int v = x64_tempf(x), z = x64_tempf(x);
    x64_to_vector(&x->e, X_W, v, a);
    x64_rr(&x->e, OP_PXOR, z, z);
    x64_rr(&x->e, OP_PCMPEQB, v, z);
    x64_done(x, in->a);
    int d = x64_def(x, 0);
    x64_from_vector(&x->e, X_W, d, v);
    x64_rr(&x->e, X_W | OP_GROUP3, EXT_NOT, d);
    if (in->type == IR_W32)
        x64_zext32(&x->e, d, d);
}

bool x64_lower_int(struct x64 *x, const struct ir_insn *in)
{
    switch (in->op) {
    case IR_CONST: place_def_const(&x->p); return true;
    case IR_ADD: lower_add(x, in); return true;
    case IR_SUB: lower_alu(x, in, OP_SUB, false); return true;
    case IR_AND: lower_alu(x, in, OP_AND, true); return true;
    case IR_OR: lower_alu(x, in, OP_OR, true); return true;
    case IR_XOR: lower_alu(x, in, OP_XOR, true); return true;
    case IR_ANDN: lower_andn(x, in); return true;
    case IR_SHL: lower_shift(x, in, EXT_SHL, OP_SHLX); return true;
    case IR_SHR: lower_shift(x, in, EXT_SHR, OP_SHRX); return true;
    case IR_SAR: lower_shift(x, in, EXT_SAR, OP_SARX); return true;
    case IR_ROTL: lower_shift(x, in, EXT_ROL, 0); return true;
    case IR_ROTR: lower_shift(x, in, EXT_ROR, 0); return true;
    case IR_SEXT8: lower_ext(x, in, X_W | X_B | OP_MOVSX_B); return true;
    case IR_SEXT16: lower_ext(x, in, X_W | OP_MOVSX_W); return true;
    case IR_SEXT32: lower_ext(x, in, OP_MOVSXD); return true;
    case IR_ZEXT8: lower_ext(x, in, X_B | OP_MOVZX_B); return true;
    case IR_ZEXT16: lower_ext(x, in, OP_MOVZX_W); return true;
    case IR_ZEXT32: lower_ext(x, in, OP_MOV); return true;
    case IR_CLZ: return lower_count(x, in, OP_LZCNT, X64_F_LZCNT);
    case IR_CTZ: return lower_count(x, in, OP_TZCNT, X64_F_BMI1);
    case IR_POPCNT: return lower_count(x, in, OP_POPCNT, X64_F_POPCNT);
    case IR_BSWAP: lower_bswap(x, in); return true;
    case IR_BYTEMASK: lower_bytemask(x, in); return true;
    default: return false;
    }
}
