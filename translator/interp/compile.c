/*
 * From IR to the interpreter's form.
 *
 * Model: each value has a place, an address that holds it from its definition to its last use. For
 * a constant that is a cell of the block's pool. For a GET of a whole register it is the register
 * itself, if nothing may write that before the value's last use; else a slot. Any other value gets
 * a slot, or, when a PUT of it comes right behind and no later write interferes, the register that
 * it is PUT to: the PUT is then part of the operation.
 *
 * Invariants
 *   1. A place that is guest state is only used for 8-byte aligned registers outside struct
 *   gw_vcpu. 2. A PUT moves up only over operations that emit nothing, so state is exact where it
 *   was. 3. Slots are not reused: slot i is insn i's.
 */
#include <string.h>

#include "translator/interp/code.h"

enum { NEVER = UINT16_MAX, GRANULES = 256 };

_Static_assert((int)IR_MAX_INSNS < (int)NEVER, "an index is never NEVER");

/* Forms that are found by counting: ops.inc has them in the order of what they are counted by. */
#define BY_COND(COND)                                                                              \
    _Static_assert((int)INTERP_SETCC_##COND##_W == INTERP_SETCC_EQ_W + 2 * IR_##COND &&            \
                       (int)INTERP_SETCC_##COND##_L == INTERP_SETCC_##COND##_W + 1 &&              \
                       (int)INTERP_BRCC_##COND##_W == INTERP_BRCC_EQ_W + 2 * IR_##COND &&          \
                       (int)INTERP_BRCC_##COND##_L == INTERP_BRCC_##COND##_W + 1,                  \
                   "conditions")
BY_COND(EQ);
BY_COND(NE);
BY_COND(LT);
BY_COND(GE);
BY_COND(LTU);
BY_COND(GEU);
BY_COND(LE);
BY_COND(GT);
BY_COND(LEU);
BY_COND(GTU);
#define BY_EXTENSION(OP)                                                                           \
    _Static_assert((int)INTERP_##OP - INTERP_SEXT8 == (int)IR_##OP - IR_SEXT8, "extensions")
BY_EXTENSION(SEXT16);
BY_EXTENSION(SEXT32);
BY_EXTENSION(ZEXT8);
BY_EXTENSION(ZEXT16);
BY_EXTENSION(ZEXT32);
#define BY_MODE(MODE)                                                                              \
    _Static_assert((int)INTERP_LD_##MODE##_U1 == INTERP_LD_USER_U1 + 7 * GW_MEM_##MODE &&          \
                       (int)INTERP_LD_##MODE##_U8 == INTERP_LD_##MODE##_U1 + 3 &&                  \
                       (int)INTERP_LD_##MODE##_S1 == INTERP_LD_##MODE##_U1 + 4 &&                  \
                       (int)INTERP_LD_##MODE##_S4 == INTERP_LD_##MODE##_U1 + 6 &&                  \
                       (int)INTERP_ST_##MODE##_1 == INTERP_ST_USER_1 + 4 * GW_MEM_##MODE &&        \
                       (int)INTERP_ST_##MODE##_8 == INTERP_ST_##MODE##_1 + 3,                      \
                   "accesses")
BY_MODE(USER);
BY_MODE(FLAT);
BY_MODE(TLB);
_Static_assert(INTERP_SAR_WS - INTERP_ADD_WS == INTERP_SAR_W - INTERP_ADD_W &&
                   INTERP_ADD_WS - INTERP_ADD_W == INTERP_SAR_W - INTERP_ADD_W + 1,
               "sign-extended forms");

/* What one backward pass finds out. */
struct plan {
    uint16_t last_use[IR_MAX_INSNS];
    uint16_t uses[IR_MAX_INSNS];
    /* GET: its value may stay in state. PUT: index of the next write of the bytes, or call. */
    bool in_state[IR_MAX_INSNS];
    uint16_t put_at[IR_MAX_INSNS]; /* first PUT of the value, or NEVER */
    uint16_t clobber[IR_MAX_INSNS];
    uint16_t next_put[GRANULES]; /* by granule of state, colliding ones taken together */
};

struct compiler {
    struct interp *it;
    const struct ir_block *b;
    uint8_t *mem, *end; /* free space */
    struct interp_block *block;
    uint64_t *pool; /* constants */
    bool full;
    struct interp_op nowhere; /* what is written when memory is full */
    const uint64_t *place[IR_MAX_INSNS];
    struct plan plan;
};

/* --- memory of the compiled block ------------------------------------------------------------- */

static void *take(struct compiler *c, size_t size)
{
    size = (size + 7) & ~(size_t)7;
    if ((size_t)(c->end - c->mem) < size) {
        c->full = true;
        return NULL;
    }
    void *p = c->mem;
    c->mem += size;
    return p;
}

static uint32_t count_links(const struct ir_block *b)
{
    uint32_t n = 0;
    for (uint32_t i = 0; i < b->count; i++)
        n += b->insn[i].op == IR_BRCC || b->insn[i].op == IR_JMP;
    return n;
}

/* A load takes at most four operations: itself, its alignment check, a fence on either side. */
enum { OPS_PER_INSN = 4 };

size_t interp_size_bound(const struct ir_block *b)
{
    return sizeof(struct interp_block) + b->guest_count * sizeof(int32_t) + 8 +
           count_links(b) * sizeof(struct interp_link) +
           b->count * (OPS_PER_INSN * sizeof(struct interp_op) + sizeof(struct interp_eval));
}

/* --- plan ------------------------------------------------------------------------------------- */

/* A whole register, whose address can stand for its value. */
static bool is_register(const struct ir_insn *in)
{
    return in->aux == 3 && (in->imm & 7) == 0 &&
           (in->imm < GW_VCPU_OFFSET ||
            in->imm >= (int64_t)(GW_VCPU_OFFSET + sizeof(struct gw_vcpu)));
}

static void use(struct plan *p, ir_val v, uint32_t at)
{
    if (v == IR_NONE)
        return;
    if (p->uses[v]++ == 0)
        p->last_use[v] = (uint16_t)at;
}

static uint16_t earlier(uint16_t a, uint16_t b)
{
    return a < b ? a : b;
}

static void plan_block(struct compiler *c)
{
    struct plan *p = &c->plan;
    uint16_t next_call = NEVER;

    memset(p->uses, 0, c->b->count * sizeof p->uses[0]);
    memset(p->put_at, 0xff, c->b->count * sizeof p->put_at[0]);
    memset(p->next_put, 0xff, sizeof p->next_put);
    for (uint32_t i = c->b->count; i-- > 0;) {
        const struct ir_insn *in = &c->b->insn[i];
        uint16_t *next = &p->next_put[in->imm >> 3 & (GRANULES - 1)];
        if (in->op == IR_GET) {
            p->in_state[i] =
                is_register(in) && (p->uses[i] == 0 || p->last_use[i] <= earlier(*next, next_call));
        } else if (in->op == IR_PUT) {
            p->clobber[i] = earlier(*next, next_call);
            p->put_at[in->a] = (uint16_t)i;
            *next = (uint16_t)i;
            p->next_put[(in->imm + (1 << in->aux) - 1) >> 3 & (GRANULES - 1)] = (uint16_t)i;
        } else if (in->op == IR_CALL) {
            next_call = (uint16_t)i;
        }
        use(p, in->a, i);
        use(p, in->b, i);
        use(p, in->c, i);
        use(p, in->d, i);
    }
}

/* --- operations ------------------------------------------------------------------------------- */

static uint64_t *state_at(const struct compiler *c, int64_t offset)
{
    return (uint64_t *)(void *)((uint8_t *)c->it->cpu + offset);
}

static const uint64_t *place_of(const struct compiler *c, ir_val v)
{
    return v == IR_NONE ? &c->it->value[0] : c->place[v];
}

static struct interp_op *emit(struct compiler *c, unsigned code, const struct ir_insn *in)
{
    struct interp_op *op = take(c, sizeof *op);
    if (!op)
        return &c->nowhere;
    memset(op, 0, sizeof *op);
    op->code = (uint16_t)code;
    op->guest = in->guest;
    op->a = place_of(c, in->a);
    op->b = place_of(c, in->b);
    c->block->op_count++;
    return op;
}

/* Emits nothing: constants, and GETs that stay in state. */
static bool is_silent(const struct compiler *c, uint32_t i)
{
    const struct ir_insn *in = &c->b->insn[i];
    return in->op == IR_NOP || in->op == IR_CONST || (in->op == IR_GET && c->plan.in_state[i]);
}

/* The next instruction after i that emits something. */
static uint32_t next_loud(const struct compiler *c, uint32_t i)
{
    do
        i++;
    while (i < c->b->count && is_silent(c, i));
    return i;
}

/* Chooses where the value of insn i goes. A PUT that comes right behind may be made part of it:
 * *last, the last instruction that the operation stands for, is then the PUT. */
static uint64_t *destination(struct compiler *c, uint32_t i, uint32_t *last)
{
    const struct plan *p = &c->plan;
    uint32_t put = p->put_at[i];
    uint64_t *d = &c->it->value[i];

    *last = i;
    if (put != NEVER && put == next_loud(c, i) && is_register(&c->b->insn[put]) &&
        p->last_use[i] <= p->clobber[put]) {
        d = state_at(c, c->b->insn[put].imm);
        *last = put;
    }
    c->place[i] = d;
    return d;
}

static uint32_t compile_simple(struct compiler *c, unsigned code, uint32_t i)
{
    uint32_t last;
    struct interp_op *op = emit(c, code, &c->b->insn[i]);
    op->d = destination(c, i, &last);
    return last;
}

/* An operation that has no form of its own. */
static uint32_t compile_eval(struct compiler *c, uint32_t i)
{
    const struct ir_insn *in = &c->b->insn[i];
    uint32_t last;
    struct interp_op *op = emit(c, INTERP_EVAL, in);
    struct interp_eval *e = take(c, sizeof *e);

    op->d = destination(c, i, &last);
    if (e)
        *e = (struct interp_eval){*in, place_of(c, in->c), place_of(c, in->d)};
    op->u.eval = e;
    return last;
}

/* --- integers --------------------------------------------------------------------------------- */

/* Own forms of two-operand operations by type; 0, which is MOV, where there is none. */
static const uint16_t code_i64[IR_OP_COUNT] = {
    [IR_ADD] = INTERP_ADD,   [IR_SUB] = INTERP_SUB, [IR_MUL] = INTERP_MUL, [IR_AND] = INTERP_AND,
    [IR_OR] = INTERP_OR,     [IR_XOR] = INTERP_XOR, [IR_SHL] = INTERP_SHL, [IR_SHR] = INTERP_SHR,
    [IR_ANDN] = INTERP_ANDN, [IR_SAR] = INTERP_SAR};
static const uint16_t code_w32[IR_OP_COUNT] = {
    [IR_ADD] = INTERP_ADD_W, [IR_SUB] = INTERP_SUB_W, [IR_MUL] = INTERP_MUL_W,
    [IR_SHL] = INTERP_SHL_W, [IR_SHR] = INTERP_SHR_W, [IR_SAR] = INTERP_SAR_W};
enum { SIGN_EXTENDED = INTERP_ADD_WS - INTERP_ADD_W };

static uint32_t compile_integer(struct compiler *c, uint32_t i)
{
    const struct ir_insn *in = &c->b->insn[i];

    if (in->type == IR_I64 && code_i64[in->op])
        return compile_simple(c, code_i64[in->op], i);
    if (in->type != IR_W32 || !code_w32[in->op])
        return compile_eval(c, i);

    uint32_t j = next_loud(c, i);
    if (c->plan.uses[i] == 1 && j < c->b->count && c->b->insn[j].op == IR_SEXT32 &&
        c->b->insn[j].a == i) {
        uint32_t last;
        struct interp_op *op = emit(c, code_w32[in->op] + SIGN_EXTENDED, in);
        op->d = destination(c, j, &last);
        return last;
    }
    return compile_simple(c, code_w32[in->op], i);
}

/* --- state and memory ------------------------------------------------------------------------- */

static void compile_put(struct compiler *c, const struct ir_insn *in)
{
    static const uint16_t codes[] = {INTERP_PUT1, INTERP_PUT2, INTERP_PUT4, INTERP_PUT8};
    unsigned code = in->aux == 3 && (in->imm & 7) == 0 ? INTERP_MOV : codes[in->aux];

    emit(c, code, in)->d = state_at(c, in->imm);
}

static uint32_t compile_get(struct compiler *c, uint32_t i)
{
    static const uint16_t codes[] = {INTERP_GET1, INTERP_GET2, INTERP_GET4, INTERP_GET8};
    const struct ir_insn *in = &c->b->insn[i];
    uint32_t last;
    struct interp_op *op = emit(c, codes[in->aux], in);

    op->a = state_at(c, in->imm);
    op->d = destination(c, i, &last);
    return last;
}

/* A full fence where the order asks for one on this side. */
static void compile_order(struct compiler *c, const struct ir_insn *in, unsigned side)
{
    if (in->order & side)
        emit(c, INTERP_FENCE, in);
}

static uint32_t compile_load(struct compiler *c, uint32_t i)
{
    const struct ir_insn *in = &c->b->insn[i];
    unsigned size_log2 = in->aux & IR_SIZE_MASK;
    unsigned kind = size_log2 + (in->aux & IR_SIGN && size_log2 < 3 ? 4 : 0);
    uint64_t desc = (uint64_t)in->type << 8 | in->aux;
    uint32_t last;

    compile_order(c, in, IR_ORDER_RELEASE);
    uint64_t *d = destination(c, i, &last);
    if (in->aux & IR_ALIGNED) {
        struct interp_op *check = emit(c, INTERP_ALIGN, in);
        check->d = d;
        check->disp = (int32_t)in->imm;
        check->u.desc = desc;
    }
    struct interp_op *op = emit(c, INTERP_LD_USER_U1 + 7 * c->it->mem + kind, in);
    op->d = d;
    op->disp = (int32_t)in->imm;
    op->u.desc = desc;
    /* The fence is after the access, before what comes next: a PUT in between is no memory. */
    compile_order(c, in, IR_ORDER_ACQUIRE);
    return last;
}

static void compile_store(struct compiler *c, const struct ir_insn *in)
{
    compile_order(c, in, IR_ORDER_RELEASE);
    struct interp_op *op = emit(c, INTERP_ST_USER_1 + 4 * c->it->mem + in->aux, in);
    op->disp = (int32_t)in->imm;
    op->u.desc = (uint64_t)in->type << 8 | in->aux;
    compile_order(c, in, IR_ORDER_ACQUIRE);
}

static uint32_t compile_amo(struct compiler *c, uint32_t i)
{
    const struct ir_insn *in = &c->b->insn[i];
    uint32_t kind = in->op == IR_CAS ? (uint32_t)INTERP_KIND_CAS : (uint32_t)in->imm;
    uint32_t last;
    struct interp_op *op = emit(c, in->op == IR_CAS ? INTERP_CAS : INTERP_AMO, in);

    op->disp = (int32_t)(kind << 16 | (uint32_t)in->type << 8 | in->aux);
    op->u.c = place_of(c, in->c);
    op->d = destination(c, i, &last);
    return last;
}

/* --- control ---------------------------------------------------------------------------------- */

static uint64_t guest_pc(const struct compiler *c, const struct ir_insn *in)
{
    return c->b->pc + (uint64_t)(int64_t)c->block->guest_offset[in->guest];
}

static uint32_t compile_call(struct compiler *c, uint32_t i)
{
    const struct ir_insn *in = &c->b->insn[i];
    const struct gw_helper *helper = &c->it->helpers[in->imm];
    bool leaves = helper->flags & GW_HELPER_LEAVES;
    uint32_t last;
    struct interp_op *op = emit(c, leaves ? INTERP_CALL_LEAVES : INTERP_CALL, in);
    struct interp_call *call = take(c, sizeof *call);

    op->d = destination(c, i, &last);
    if (call)
        *call = (struct interp_call){helper, place_of(c, in->c), guest_pc(c, in)};
    op->u.call = call;
    return last;
}

static struct interp_link *new_link(struct compiler *c, uint64_t target)
{
    struct interp_link *link = &c->block->links[c->block->link_count++];
    *link = (struct interp_link){.target = target};
    return link;
}

static void compile_branch(struct compiler *c, const struct ir_insn *in)
{
    unsigned form = 2u * in->aux + (in->type == IR_I64);
    struct interp_op *op = emit(c, INTERP_BRCC_EQ_W + form, in);

    op->disp = (int32_t)(c->b->guest_count - 1 - in->guest);
    op->u.link = new_link(c, (uint64_t)in->imm);
}

/* --- all -------------------------------------------------------------------------------------- */

/* Compiles insn i, with what belongs to it; returns the last instruction that it took in. */
static uint32_t compile_insn(struct compiler *c, uint32_t i)
{
    const struct ir_insn *in = &c->b->insn[i];

    switch ((enum ir_op)in->op) {
    case IR_GET: return compile_get(c, i);
    case IR_PUT: compile_put(c, in); return i;
    case IR_SEXT8:
    case IR_SEXT16:
    case IR_SEXT32:
    case IR_ZEXT8:
    case IR_ZEXT16:
    case IR_ZEXT32: return compile_simple(c, INTERP_SEXT8 + (in->op - IR_SEXT8), i);
    case IR_BOX: return compile_simple(c, INTERP_BOX, i);
    case IR_UNBOX: return compile_simple(c, INTERP_UNBOX, i);
    case IR_FBITS:
    case IR_BITSF: return compile_simple(c, in->type == IR_F32 ? INTERP_ZEXT32 : INTERP_MOV, i);
    case IR_SETCC:
        return compile_simple(c, INTERP_SETCC_EQ_W + 2u * in->aux + (in->type == IR_I64), i);
    case IR_LD: return compile_load(c, i);
    case IR_ST: compile_store(c, in); return i;
    case IR_AMO:
    case IR_CAS: return compile_amo(c, i);
    case IR_ZERO: emit(c, INTERP_ZERO, in); return i;
    case IR_FENCE: emit(c, INTERP_FENCE, in); return i;
    case IR_FPGET: return compile_simple(c, INTERP_FPGET, i);
    case IR_FPSET: emit(c, INTERP_FPSET, in); return i;
    case IR_CALL: return compile_call(c, i);
    case IR_BRCC: compile_branch(c, in); return i;
    case IR_JMP: emit(c, INTERP_JMP, in)->u.link = new_link(c, (uint64_t)in->imm); return i;
    case IR_JMPR: emit(c, INTERP_JMPR, in); return i;
    case IR_LEAVE: emit(c, INTERP_LEAVE, in); return i;
    default: return compile_integer(c, i);
    }
}

/* Places of constants and of GETs that stay in state. */
static void place_silent(struct compiler *c)
{
    uint64_t *cell = c->pool;
    for (uint32_t i = 0; i < c->b->count; i++) {
        const struct ir_insn *in = &c->b->insn[i];
        if (in->op == IR_CONST) {
            *cell = (uint64_t)in->imm;
            c->place[i] = cell++;
        } else if (in->op == IR_GET && c->plan.in_state[i]) {
            c->place[i] = state_at(c, in->imm);
        }
    }
}

/* Everything but the operations; false when memory is short. */
static bool lay_out(struct compiler *c)
{
    const struct ir_block *b = c->b;
    uint32_t constants = 0;

    for (uint32_t i = 0; i < b->count; i++)
        constants += b->insn[i].op == IR_CONST;
    c->block = take(c, sizeof *c->block);
    struct interp_link *links = take(c, count_links(b) * sizeof *links);
    int32_t *offsets = take(c, b->guest_count * sizeof *offsets);
    c->pool = take(c, constants * sizeof *c->pool);
    if (c->full)
        return false;
    for (uint32_t i = 0; i < b->guest_count; i++)
        offsets[i] = (int32_t)b->guest[i].pc_offset;
    *c->block = (struct interp_block){.pc = b->pc,
                                      .guest_count = b->guest_count,
                                      .links = links,
                                      .guest_offset = offsets,
                                      .ops = (const struct interp_op *)(const void *)c->mem};
    return true;
}

enum gw_status interp_compile(struct interp *it, const struct ir_block *b, void *mem, size_t cap,
                              size_t *used, struct interp_block **out)
{
    struct compiler c;

    c.it = it;
    c.b = b;
    c.mem = mem;
    c.end = c.mem + cap;
    c.full = false;
    if (!lay_out(&c))
        return GW_ERR_LIMIT;
    plan_block(&c);
    place_silent(&c);
    uint32_t first = 0;
    while (first < b->count && is_silent(&c, first))
        first++;
    for (uint32_t i = first; i < b->count; i = next_loud(&c, i))
        i = compile_insn(&c, i);
    if (c.full)
        return GW_ERR_LIMIT;
    *used = (size_t)(c.mem - (uint8_t *)mem);
    *out = c.block;
    return GW_OK;
}

void interp_init(struct interp *it, void *cpu, enum gw_mem_mode mem,
                 const struct gw_helper *helpers, const struct gw_runtime *rt,
                 const struct interp_caller *caller)
{
    it->cpu = cpu;
    it->mem = mem;
    it->helpers = helpers;
    it->rt = rt;
    it->caller = caller;
    it->current = NULL;
    it->value[0] = 0; /* stands for operands that an operation doesn't have */
}
