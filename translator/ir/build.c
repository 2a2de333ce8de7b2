/*
 * The IR builder: state, memory, control and floats. Pure integer operations are in fold.c.
 *
 * Model: instructions are appended; whatever is known about guest state is remembered in `known`,
 * one entry per 8-byte granule of state (256 of them, direct-mapped), so that a GET after a PUT or
 * a GET of the same bytes costs nothing.
 *
 * Invariants
 *   1. An entry counts only while its epoch is the builder's: forgetting everything is one
 *      increment, and nothing is cleared when a block begins.
 *   2. A valid entry says what its bytes in state hold after all instructions so far.
 *   3. Nothing is remembered about struct gw_vcpu: FP operations, helpers and the engine write it.
 *   4. last_const needs no clearing: an entry counts if the instruction it names is that constant.
 */
#include <string.h>

#include "godwit/guest_isa.h"
#include "translator/ir/emit.h"

enum {
    RESERVE = 64, /* room that one guest instruction may count on */
    RUN_END = GW_VCPU_OFFSET + sizeof(struct gw_vcpu),
    KNOWN_MASK = sizeof((struct ir_block *)0)->known / sizeof(struct ir_known) - 1,
    CONST_BITS = 6,
    PAGE_OFFSET = GW_VCPU_OFFSET + offsetof(struct gw_vcpu, page),
};

/* Which epoch an offset belongs to. Helpers that don't write guest registers leave those of class 0
 * alone: the hot ones, which come first. */
static inline unsigned epoch_class(uint32_t offset)
{
    return offset >= GW_VCPU_OFFSET;
}

static void forget(struct ir_block *b, unsigned which)
{
    if (++b->epoch[which] == 0) {
        memset(b->known, 0, sizeof b->known);
        b->epoch[which] = 1;
    }
}

void ir_init(struct ir_block *b)
{
    const size_t settings = offsetof(struct ir_block, helpers);
    b->no_fold = 0;
    memset((uint8_t *)b + settings, 0, sizeof *b - settings);
}

void ir_begin(struct ir_block *b, uint64_t pc, uint32_t flags)
{
    b->pc = pc;
    b->flags = flags;
    b->count = 0;
    b->guest_count = 0;
    b->code_bytes = 0;
    b->fp_round = IR_RNE;
    b->fp_model = IR_FPM_RISCV;
    b->uses_fp = 0;
    b->overflow = 0;
    b->limit = IR_SCRATCH;
    forget(b, 0);
    forget(b, 1);
}

bool ir_begin_guest(struct ir_block *b, uint64_t pc, unsigned len)
{
    if (b->guest_count >= IR_MAX_GUEST || b->count + RESERVE > b->limit)
        return false;
    uint64_t offset = pc - b->pc;
    b->guest[b->guest_count++] = (struct ir_guest_insn){(uint32_t)offset, (uint8_t)len};
    if (offset + len > b->code_bytes && offset < UINT32_MAX - len)
        b->code_bytes = (uint32_t)offset + len;
    return true;
}

ir_val ir_const(struct ir_block *b, uint64_t value)
{
    uint32_t slot = (uint32_t)(value * UINT64_C(0x9e3779b97f4a7c15) >> (64 - CONST_BITS));
    ir_val v = b->last_const[slot];
    if (v < b->count && b->insn[v].op == IR_CONST && (uint64_t)b->insn[v].imm == value &&
        !b->no_fold)
        return v;
    v = ir_emit(b, IR_CONST, IR_I64, 0, IR_NONE, IR_NONE, IR_NONE, IR_NONE, (int64_t)value);
    b->last_const[slot] = v;
    return v;
}

ir_val ir_pc(struct ir_block *b, uint64_t address)
{
    if (!b->anywhere)
        return ir_const(b, address);
    ir_val distance = ir_const(b, address - (b->pc & ~(uint64_t)GW_PAGE_MASK));
    return ir_op2(b, IR_ADD, IR_I64, ir_get(b, PAGE_OFFSET, 3), distance);
}

/* Is it an address that ir_pc made, perhaps with constants added? Then *address is the one where the block
 * is at b->pc. Of an AND, only bits within a page may be taken off. */
static bool is_pc(const struct ir_block *b, ir_val v, uint64_t *address)
{
    const struct ir_insn *in = &b->insn[v];
    uint64_t mask = ~UINT64_C(0), distance = 0;
    if (!b->anywhere)
        return false;
    if (in->op == IR_AND && in->type == IR_I64 && ir_is_const(b, in->b)) {
        mask = (uint64_t)b->insn[in->b].imm;
        in = &b->insn[in->a];
    }
    for (; in->op == IR_ADD && in->type == IR_I64 && ir_is_const(b, in->b); in = &b->insn[in->a])
        distance += (uint64_t)b->insn[in->b].imm;
    *address = (b->pc & ~(uint64_t)GW_PAGE_MASK) + (distance & mask);
    return mask >= ~(uint64_t)GW_PAGE_MASK && in->op == IR_GET && in->imm == PAGE_OFFSET;
}

/* --- state ------------------------------------------------------------------------------------ */

static inline struct ir_known *slot_of(struct ir_block *b, uint32_t offset)
{
    return &b->known[offset >> 3 & KNOWN_MASK];
}

static inline bool valid(const struct ir_block *b, const struct ir_known *k)
{
    return k->epoch == b->epoch[epoch_class(k->offset)];
}

static inline bool matches(const struct ir_block *b, const struct ir_known *k, uint32_t offset,
                           unsigned type, unsigned size_log2)
{
    return valid(b, k) && k->offset == offset && k->type == type && k->size_log2 == size_log2;
}

/* Can it be remembered at all: within one granule, and not in what the engine writes? */
static inline bool rememberable(uint32_t offset, unsigned size_log2)
{
    return (offset & 7) + (1u << size_log2) <= 8 &&
           (offset < GW_VCPU_OFFSET || offset >= (uint32_t)RUN_END);
}

static void remember(struct ir_block *b, uint32_t offset, unsigned type, unsigned size_log2,
                     ir_val v)
{
    *slot_of(b, offset) = (struct ir_known){.epoch = b->epoch[epoch_class(offset)],
                                            .offset = offset,
                                            .val = v,
                                            .size_log2 = (uint8_t)size_log2,
                                            .type = (uint8_t)type};
}

static ir_val get(struct ir_block *b, uint32_t offset, unsigned type, unsigned size_log2)
{
    struct ir_known *k = slot_of(b, offset);

    if (matches(b, k, offset, type, size_log2) && !b->no_fold) {
        static const uint8_t narrow[] = {IR_ZEXT8, IR_ZEXT16, IR_ZEXT32};
        if (type == IR_I64 && size_log2 < 3)
            return ir_op1(b, (enum ir_op)narrow[size_log2], IR_I64, k->val);
        return k->val;
    }
    ir_val v = ir_emit(b, IR_GET, type, size_log2, IR_NONE, IR_NONE, IR_NONE, IR_NONE, offset);
    /* What is known of another part of the granule is kept: it was written, this only read. */
    bool other = valid(b, k) && (k->offset ^ offset) < 8;
    if (rememberable(offset, size_log2) && !other)
        remember(b, offset, type, size_log2, v);
    return v;
}

static void put(struct ir_block *b, uint32_t offset, unsigned type, unsigned size_log2, ir_val v)
{
    struct ir_known *k = slot_of(b, offset);

    if (matches(b, k, offset, type, size_log2) && k->val == v && !b->no_fold)
        return; /* holds it already */
    ir_emit(b, IR_PUT, type, size_log2, v, IR_NONE, IR_NONE, IR_NONE, offset);
    b->insn[v].uses = !b->no_fold;
    if (rememberable(offset, size_log2)) {
        remember(b, offset, type, size_log2, v);
        return;
    }
    k->epoch = 0;
    slot_of(b, offset + (1u << size_log2) - 1)->epoch = 0;
}

ir_val ir_get(struct ir_block *b, uint32_t offset, unsigned size_log2)
{
    return get(b, offset, IR_I64, size_log2);
}

void ir_put(struct ir_block *b, uint32_t offset, unsigned size_log2, ir_val v)
{
    put(b, offset, IR_I64, size_log2, v);
}

ir_val ir_getf(struct ir_block *b, uint32_t offset, enum ir_type type)
{
    b->uses_fp = 1;
    return get(b, offset, type, type == IR_F32 ? 2 : 3);
}

void ir_putf(struct ir_block *b, uint32_t offset, enum ir_type type, ir_val v)
{
    b->uses_fp = 1;
    put(b, offset, type, type == IR_F32 ? 2 : 3, v);
}

/* --- memory ----------------------------------------------------------------------------------- */

/* Address a + *disp, with additions of constants moved into the displacement. */
static ir_val fold_address(struct ir_block *b, ir_val a, int64_t *disp)
{
    const struct ir_insn *in = &b->insn[a];

    if (in->op != IR_ADD || in->type != IR_I64 || !ir_is_const(b, in->b) || ir_in_state(b, a) ||
        b->no_fold)
        return a;
    int64_t sum = (int64_t)((uint64_t)*disp + (uint64_t)b->insn[in->b].imm);
    if (sum != (int32_t)sum)
        return a;
    *disp = sum;
    return in->a;
}

ir_val ir_load(struct ir_block *b, enum ir_type type, unsigned size_log2, bool sign, ir_val addr,
               int64_t disp, unsigned order)
{
    addr = fold_address(b, addr, &disp);
    if (type == IR_F32 || type == IR_F64)
        b->uses_fp = 1;
    ir_val v = ir_emit(b, IR_LD, type, size_log2 | (sign ? IR_SIGN : 0), addr, IR_NONE, IR_NONE,
                       IR_NONE, disp);
    b->insn[v].order = (uint8_t)order;
    return v;
}

ir_val ir_load_aligned(struct ir_block *b, unsigned size_log2, ir_val addr, unsigned order)
{
    ir_val v = ir_emit(b, IR_LD, IR_I64, size_log2 | IR_SIGN | IR_ALIGNED, addr, IR_NONE, IR_NONE,
                       IR_NONE, 0);
    b->insn[v].order = (uint8_t)order;
    return v;
}

void ir_store(struct ir_block *b, enum ir_type type, unsigned size_log2, ir_val addr, int64_t disp,
              ir_val value, unsigned order)
{
    addr = fold_address(b, addr, &disp);
    if (type == IR_I64 && size_log2 < 3)
        value = ir_low_bits(b, value, 8u << size_log2);
    if (type == IR_F32 || type == IR_F64)
        b->uses_fp = 1;
    ir_val v = ir_emit(b, IR_ST, type, size_log2, addr, value, IR_NONE, IR_NONE, disp);
    b->insn[v].order = (uint8_t)order;
}

ir_val ir_cas(struct ir_block *b, unsigned size_log2, ir_val addr, ir_val expected, ir_val value,
              unsigned order)
{
    ir_val v = ir_emit(b, IR_CAS, IR_I64, size_log2, addr, expected, value, IR_NONE, 0);
    b->insn[v].order = (uint8_t)order;
    return v;
}

ir_val ir_amo(struct ir_block *b, enum ir_amo kind, unsigned size_log2, ir_val addr, ir_val operand,
              unsigned order)
{
    ir_val v = ir_emit(b, IR_AMO, IR_I64, size_log2, addr, operand, IR_NONE, IR_NONE, kind);
    b->insn[v].order = (uint8_t)order;
    return v;
}

void ir_zero(struct ir_block *b, ir_val addr)
{
    ir_emit(b, IR_ZERO, IR_VOID, 0, addr, IR_NONE, IR_NONE, IR_NONE, 0);
}

void ir_fence(struct ir_block *b, unsigned pred, unsigned succ)
{
    ir_emit(b, IR_FENCE, IR_VOID, 0, IR_NONE, IR_NONE, IR_NONE, IR_NONE,
            (int64_t)((pred & 15) << 4 | (succ & 15)));
}

ir_val ir_fpget(struct ir_block *b)
{
    return ir_emit(b, IR_FPGET, IR_I64, 0, IR_NONE, IR_NONE, IR_NONE, IR_NONE, 0);
}

/*
 * Flags that are put back as they were read undo what was raised since. When only comparisons stand
 * between, they are made to raise nothing instead: reading and loading the host's FP status is slow.
 */
static bool compares_only_since(struct ir_block *b, ir_val flags)
{
    if (b->no_fold || b->insn[flags].op != IR_FPGET)
        return false;
    for (unsigned pass = 0; pass < 2; pass++)
        for (uint32_t i = flags + 1u; i < b->count; i++) {
            struct ir_insn *in = &b->insn[i];
            bool compares = ir_compares_floats(in->op);
            if (pass && compares)
                in->aux = 1;
            else if (!pass && (in->op == IR_FPSET || in->op == IR_CALL || in->op == IR_BRCC ||
                               (ir_op_info[in->op].flags & IRF_FP && !compares)))
                return false;
        }
    return true;
}

void ir_fpset(struct ir_block *b, ir_val flags)
{
    if (compares_only_since(b, flags))
        return;
    ir_emit(b, IR_FPSET, IR_VOID, 0, flags, IR_NONE, IR_NONE, IR_NONE, 0);
}

/* --- control ---------------------------------------------------------------------------------- */

ir_val ir_call(struct ir_block *b, unsigned helper, ir_val a, ir_val c, ir_val d)
{
    ir_val v = ir_emit(b, IR_CALL, IR_I64, 0, a, c, d, IR_NONE, helper);

    if (!b->helpers || b->helpers[helper].flags & GW_HELPER_WRITES)
        forget(b, 0);
    /* Helpers that declare nothing still write control state, which nobody keeps in registers. */
    forget(b, 1);
    return v;
}

void ir_brcc(struct ir_block *b, enum ir_type type, enum ir_cond cc, ir_val a, ir_val c,
             uint64_t target)
{
    if (!b->no_fold) {
        bool constant = ir_is_const(b, a) && ir_is_const(b, c);
        bool same = a == c && (constant || !b->keeps_dependencies);
        if (same || constant) {
            if (ir_cond_holds(cc, type, same ? 0 : (uint64_t)b->insn[a].imm,
                              same ? 0 : (uint64_t)b->insn[c].imm))
                ir_jmp(b, target);
            return;
        }
    }
    ir_emit(b, IR_BRCC, type, cc, a, c, IR_NONE, IR_NONE, (int64_t)target);
}

void ir_jmp(struct ir_block *b, uint64_t target)
{
    ir_emit(b, IR_JMP, IR_VOID, 0, IR_NONE, IR_NONE, IR_NONE, IR_NONE, (int64_t)target);
    b->limit = 0;
}

/* Of blocks that run anywhere: hosts have displacements of 32 bits for it. */
static bool is_near(const struct ir_block *b, uint64_t address)
{
    int64_t distance = (int64_t)(address - b->pc);
    return distance >= -(INT64_C(1) << 30) && distance < INT64_C(1) << 30;
}

void ir_jmpr(struct ir_block *b, ir_val target)
{
    uint64_t address;
    if (ir_is_const(b, target) && !b->no_fold && !b->anywhere) {
        ir_jmp(b, (uint64_t)b->insn[target].imm);
        return;
    }
    if (!b->no_fold && is_pc(b, target, &address) && is_near(b, address)) {
        ir_jmp(b, address);
        return;
    }
    ir_emit(b, IR_JMPR, IR_VOID, 0, target, IR_NONE, IR_NONE, IR_NONE, 0);
    b->limit = 0;
}

void ir_leave(struct ir_block *b, ir_val pc)
{
    ir_emit(b, IR_LEAVE, IR_VOID, 0, pc, IR_NONE, IR_NONE, IR_NONE, 0);
    b->limit = 0;
}

/* --- floats: never folded, since they raise flags --------------------------------------------- */

static ir_val fp(struct ir_block *b, enum ir_op op, enum ir_type type, unsigned aux, ir_val a,
                 ir_val c, ir_val d, int64_t imm)
{
    b->uses_fp = 1;
    ir_val v = ir_emit(b, op, type, aux, a, c, d, IR_NONE, imm);
    if (ir_op_info[op].flags & IRF_FP)
        b->insn[v].fp_model = b->fp_model;
    return v;
}

ir_val ir_fp1(struct ir_block *b, enum ir_op op, enum ir_type type, enum ir_round rm, ir_val a)
{
    return fp(b, op, type, rm, a, IR_NONE, IR_NONE, 0);
}

ir_val ir_fp2(struct ir_block *b, enum ir_op op, enum ir_type type, enum ir_round rm, ir_val a,
              ir_val c)
{
    return fp(b, op, type, rm, a, c, IR_NONE, 0);
}

ir_val ir_minmax(struct ir_block *b, enum ir_op op, enum ir_type type, enum ir_minmax kind,
                 ir_val a, ir_val c)
{
    return fp(b, op, type, 0, a, c, IR_NONE, kind);
}

ir_val ir_fma(struct ir_block *b, enum ir_type type, enum ir_round rm, ir_val a, ir_val c, ir_val d,
              bool neg_product, bool neg_addend)
{
    return fp(b, IR_FMA, type, rm, a, c, d, (neg_product ? 1 : 0) | (neg_addend ? 2 : 0));
}

ir_val ir_fcmp(struct ir_block *b, enum ir_op op, enum ir_type type, ir_val a, ir_val c)
{
    return fp(b, op, type, 0, a, c, IR_NONE, 0);
}

ir_val ir_fcmp_silent(struct ir_block *b, enum ir_op op, enum ir_type type, ir_val a, ir_val c)
{
    return fp(b, op, type, 1, a, c, IR_NONE, 0);
}

ir_val ir_frint(struct ir_block *b, enum ir_type type, enum ir_round rm, bool inexact, ir_val a)
{
    return fp(b, IR_FRINT, type, rm, a, IR_NONE, IR_NONE, inexact);
}

ir_val ir_h2f(struct ir_block *b, enum ir_type to, ir_val a)
{
    return fp(b, IR_H2F, to, 0, a, IR_NONE, IR_NONE, 0);
}

ir_val ir_f2h(struct ir_block *b, enum ir_type from, enum ir_round rm, ir_val a)
{
    return fp(b, IR_F2H, from, rm, a, IR_NONE, IR_NONE, 0);
}

ir_val ir_fsgnj(struct ir_block *b, enum ir_type type, unsigned kind, ir_val a, ir_val c)
{
    if (a == c && kind == 0 && !b->no_fold)
        return a; /* a move between float registers */
    return fp(b, IR_FSGNJ, type, kind, a, c, IR_NONE, 0);
}

ir_val ir_f2i(struct ir_block *b, enum ir_type from, enum ir_int to, enum ir_round rm, ir_val a)
{
    return fp(b, IR_F2I, from, rm, a, IR_NONE, IR_NONE, to);
}

ir_val ir_i2f(struct ir_block *b, enum ir_type to, enum ir_int from, enum ir_round rm, ir_val a)
{
    return fp(b, IR_I2F, to, rm, a, IR_NONE, IR_NONE, from);
}
