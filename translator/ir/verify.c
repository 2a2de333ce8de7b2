/*
 * The IR's own rules, checked. Runs after each pass in debug builds and on all that tests make up.
 */
#include <string.h>

#include "godwit/guest_isa.h"

enum {
    NAN_RULES = IR_FPM_NAN_FIRST | IR_FPM_NAN_SIGNALING,
    INT_RULES = IR_FPM_INT_NAN_ZERO | IR_FPM_INT_INDEFINITE,
};

struct check {
    const struct ir_block *b;
    const struct guest_isa *isa; /* NULL: not known */
    uint32_t index;
    const char *what; /* first broken rule */
};

static void require(struct check *c, bool holds, const char *rule)
{
    if (!holds && !c->what)
        c->what = rule;
}

/* What kind of value an instruction defines: IR_VOID, IR_I64 for integers, IR_F32 or IR_F64. */
static enum ir_type class_of(const struct ir_insn *in)
{
    switch (ir_op_info[in->op].result) {
    case 'V': return IR_VOID;
    case 'I': return IR_I64;
    default: return (enum ir_type)in->type;
    }
}

static void operand(struct check *c, ir_val v, enum ir_type want)
{
    if (v >= c->index) {
        require(c, false, v == IR_NONE ? "operand missing" : "operand not defined before its use");
        return;
    }
    require(c, class_of(&c->b->insn[v]) == want, "operand of the wrong kind");
}

static bool is_float(unsigned type)
{
    return type == IR_F32 || type == IR_F64;
}

static bool is_int(unsigned type)
{
    return type == IR_W32 || type == IR_I64;
}

static void no_operand(struct check *c, ir_val v)
{
    require(c, v == IR_NONE, "superfluous operand");
}

/* n operands of one kind; none beyond. */
static void operands(struct check *c, const struct ir_insn *in, unsigned n, enum ir_type want)
{
    const ir_val v[4] = {in->a, in->b, in->c, in->d};
    for (unsigned i = 0; i < 4; i++) {
        if (i < n)
            operand(c, v[i], want);
        else
            no_operand(c, v[i]);
    }
}

/* Size in aux suits the type of what is moved. */
static void access_size(struct check *c, const struct ir_insn *in)
{
    unsigned log2 = in->aux & IR_SIZE_MASK;
    require(c,
            in->type == IR_I64 || (in->type == IR_F32 && log2 == 2) ||
                (in->type == IR_F64 && log2 == 3),
            "size does not suit the type");
}

static void memory_insn(struct check *c, const struct ir_insn *in)
{
    switch ((enum ir_op)in->op) {
    case IR_LD:
        operands(c, in, 1, IR_I64);
        access_size(c, in);
        require(c, in->aux <= (IR_SIZE_MASK | IR_SIGN | IR_ALIGNED), "aux out of range");
        break;
    case IR_ST:
        operand(c, in->a, IR_I64);
        operand(c, in->b, (enum ir_type)in->type);
        no_operand(c, in->c);
        no_operand(c, in->d);
        access_size(c, in);
        require(c, in->aux <= IR_SIZE_MASK, "aux out of range");
        break;
    default: /* AMO, CAS */
        operands(c, in, ir_op_info[in->op].args, IR_I64);
        require(c, in->type == IR_I64, "wrong type");
        require(c, in->aux <= IR_SIZE_MASK, "aux out of range");
        require(c, in->op == IR_CAS ? in->imm == 0 : in->imm >= 0 && in->imm <= IR_AMO_MAXU,
                "imm out of range");
        break;
    }
    require(c, in->order <= IR_ORDER_SEQ, "order out of range");
    require(c, in->imm == (int32_t)in->imm, "displacement out of range");
}

static bool overlaps(const struct ir_insn *in, uint64_t at)
{
    return (uint64_t)in->imm < at + 8 && at < (uint64_t)in->imm + (1u << (in->aux & IR_SIZE_MASK));
}

/* Hot registers may be in host registers: whole, and each in registers of its kind. */
static void hot_registers(struct check *c, const struct ir_insn *in)
{
    for (uint32_t i = 0; i < c->isa->hot_gpr_count; i++)
        if (overlaps(in, c->isa->hot_gprs[i]))
            require(c, in->type == IR_I64 && in->aux == 3 && in->imm == c->isa->hot_gprs[i],
                    "a part of a hot register");
    for (uint32_t i = 0; i < c->isa->hot_fpr_count; i++)
        if (overlaps(in, c->isa->hot_fprs[i]))
            require(c, in->type == IR_F64 && in->imm == c->isa->hot_fprs[i],
                    "a hot float register not as f64");
}

static void state_insn(struct check *c, const struct ir_insn *in)
{
    if (in->op == IR_PUT) {
        operand(c, in->a, (enum ir_type)in->type);
        no_operand(c, in->b);
        no_operand(c, in->c);
        no_operand(c, in->d);
    } else {
        operands(c, in, 0, IR_VOID);
    }
    access_size(c, in);
    require(c, in->aux <= IR_SIZE_MASK, "aux out of range");
    require(c, in->imm >= 0 && in->imm < INT32_MAX, "state offset out of range");
    if (c->isa)
        hot_registers(c, in);
}

static void control_insn(struct check *c, const struct ir_insn *in)
{
    switch ((enum ir_op)in->op) {
    case IR_CALL: {
        const ir_val v[3] = {in->a, in->b, in->c};
        for (unsigned i = 0; i < 3; i++)
            if (v[i] != IR_NONE)
                operand(c, v[i], IR_I64);
        no_operand(c, in->d);
        require(c, in->imm >= 0 && in->imm < 4096, "imm out of range");
        require(c, in->type == IR_I64, "wrong type");
        break;
    }
    case IR_BRCC:
        operands(c, in, 2, IR_I64);
        require(c, is_int(in->type), "wrong type");
        require(c, in->aux <= IR_GTU, "condition out of range");
        break;
    default: operands(c, in, ir_op_info[in->op].args, IR_I64); break;
    }
}

static void float_insn(struct check *c, const struct ir_insn *in)
{
    enum ir_type type = (enum ir_type)in->type;
    enum ir_type other = type == IR_F32 ? IR_F64 : IR_F32;

    require(c, is_float(type), "wrong type");
    switch ((enum ir_op)in->op) {
    case IR_I2F:
    case IR_H2F:
    case IR_BITSF: operands(c, in, 1, IR_I64); break;
    case IR_F2F: operands(c, in, 1, other); break;
    case IR_UNBOX:
    case IR_BOX:
        operands(c, in, 1, other);
        require(c, (in->op == IR_BOX) == (type == IR_F64), "wrong type");
        break;
    default: operands(c, in, ir_op_info[in->op].args, type); break;
    }
    if (in->op == IR_FSGNJ)
        require(c, in->aux <= 2, "aux out of range");
    else
        require(c, in->aux <= IR_RMM, "rounding mode out of range");
    if (in->op == IR_F2I || in->op == IR_I2F)
        require(c, in->imm >= 0 && in->imm <= IR_INT_LU, "imm out of range");
    require(c, in->fp_model == (ir_op_info[in->op].flags & IRF_FP ? c->b->fp_model : 0),
            "not the block's FP model");
    if (in->op == IR_FMIN || in->op == IR_FMAX)
        require(c, in->imm >= 0 && in->imm <= IR_MINMAX_SECOND, "imm out of range");
    if (in->op == IR_FRINT)
        require(c, in->imm == 0 || in->imm == 1, "imm out of range");
    if (in->op == IR_FMA)
        require(c, in->imm >= 0 && in->imm <= 3, "imm out of range");
}

static void integer_insn(struct check *c, const struct ir_insn *in)
{
    operands(c, in, ir_op_info[in->op].args, IR_I64);
    require(c, is_int(in->type), "wrong type");
    if (in->op == IR_SETCC || in->op == IR_SELECT)
        require(c, in->aux <= IR_GTU, "condition out of range");
    else
        require(c, in->aux == 0, "aux out of range");
}

static void one_insn(struct check *c, const struct ir_insn *in)
{
    switch ((enum ir_op)in->op) {
    case IR_CONST:
        operands(c, in, 0, IR_VOID);
        require(c, in->type == IR_I64, "wrong type");
        break;
    case IR_FPGET:
        operands(c, in, 0, IR_VOID);
        require(c, in->type == IR_I64, "wrong type");
        break;
    case IR_FPSET: operands(c, in, 1, IR_I64); break;
    case IR_NOP: operands(c, in, 0, IR_VOID); break;
    case IR_GET:
    case IR_PUT: state_insn(c, in); break;
    case IR_LD:
    case IR_ST:
    case IR_AMO:
    case IR_CAS: memory_insn(c, in); break;
    case IR_ZERO: operands(c, in, 1, IR_I64); break;
    case IR_FENCE:
        operands(c, in, 0, IR_VOID);
        require(c, in->imm >= 0 && in->imm <= 255, "imm out of range");
        break;
    case IR_CALL:
    case IR_BRCC:
    case IR_JMP:
    case IR_JMPR:
    case IR_LEAVE: control_insn(c, in); break;
    default:
        if (ir_is_float_op(in->op))
            float_insn(c, in);
        else
            integer_insn(c, in);
        break;
    }
}

/* May its guest instruction be done again from the start? A branch that is taken ends it. */
static bool may_restart(const struct ir_block *b, const struct ir_insn *in)
{
    if (in->op == IR_CALL)
        return !b->helpers || b->helpers[in->imm].flags & GW_HELPER_LEAVES;
    return ir_op_info[in->op].flags & IRF_MEM;
}

/* GW_HELPER_ENDS: is it followed as that wants it? */
static bool ends_well(const struct ir_block *b, uint32_t at)
{
    const struct ir_insn *in = &b->insn[at], *next = in + 1;
    if (in->op != IR_CALL || !b->helpers || !(b->helpers[in->imm].flags & GW_HELPER_ENDS))
        return true;
    while (next < b->insn + b->count && next->op == IR_NOP)
        next++;
    return next < b->insn + b->count && next->op == IR_LEAVE && next->a == at;
}

enum gw_status ir_verify(const struct ir_block *b, struct gw_error *err)
{
    return ir_verify_for(b, NULL, err);
}

enum gw_status ir_verify_for(const struct ir_block *b, const struct guest_isa *isa,
                             struct gw_error *err)
{
    struct check c = {.b = b, .isa = isa};
    uint16_t guest = 0;
    bool written = false; /* a PUT in this guest instruction */

    require(&c, b->count > 0 && b->count <= IR_MAX_INSNS, "no instructions, or too many");
    require(&c, b->guest_count > 0 && b->guest_count <= IR_MAX_GUEST,
            "no guest instructions, or too many");
    require(&c, !b->overflow, "the block overflowed");
    require(&c, (b->fp_model & NAN_RULES) != NAN_RULES && (b->fp_model & INT_RULES) != INT_RULES,
            "an FP model with two rules for one thing");
    if (isa && isa->fp_round)
        require(&c, b->fp_round == isa->fp_round(b->flags), "not the flags' rounding mode");
    if (isa)
        require(&c, b->fp_model == (isa->fp_model ? isa->fp_model(b->flags) : IR_FPM_RISCV),
                "not the flags' FP model");
    for (; !c.what && c.index < b->count; c.index++) {
        const struct ir_insn *in = &b->insn[c.index];
        if (in->op >= IR_OP_COUNT) {
            require(&c, false, "unknown operation");
            break;
        }
        require(&c, in->guest < b->guest_count && in->guest >= guest,
                "guest instruction out of range or order");
        written = written && in->guest == guest;
        guest = in->guest;
        one_insn(&c, in);
        require(&c, !(written && may_restart(b, in)), "state written before it may fault or leave");
        require(&c, c.what || ends_well(b, c.index), "a block is not left behind what ends it");
        written = written || in->op == IR_PUT;
        bool end = ir_op_info[in->op].flags & IRF_END;
        require(&c, end == (c.index + 1 == b->count), "the end is not where it belongs");
        if (c.what)
            break;
    }
    if (c.what) {
        char object[48];
        snprintf(object, sizeof object, "instruction %u of block 0x%llx", c.index,
                 (unsigned long long)b->pc);
        return gw_fail(err, GW_ERR_FORMAT, object, "bad IR: %s", c.what);
    }
    return GW_OK;
}
