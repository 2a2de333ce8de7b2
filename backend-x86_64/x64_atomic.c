/*
 * Atomics: the host's own where it has them, else a loop around a compare-and-swap. rdx is the address,
 * then the new value; rcx the addend, then the host address; rax the operand, then the old value.
 *
 * While the guest's memory is this vCPU's alone (run.alone), all of them are a load and a store.
 */
#include "backend-x86_64/x64_mem.h"
#include "backend-x86_64/x64_page.h"

/* An operand that is not in scratch: pinned register, memory or constant. */
static struct place_operand operand(struct x64 *x, const struct ir_insn *in, ir_val v)
{
    int64_t imm;
    if (place_reg(&x->p, v) >= 0)
        return place_register(place_reg(&x->p, v));
    if (!place_is_const(&x->p, v, &imm))
        return (struct place_operand){.kind = OPERAND_STATE, .offset = place_copy(&x->p, v)};
    if (x64_fits32(imm))
        return (struct place_operand){.kind = OPERAND_CONST, .imm = (int32_t)imm};
    /* a wide constant goes through a slot: what a CAS expects has one of its own */
    uint32_t off = x64_operand_offset(in->op == IR_CAS && in->b == v ? 2 : 1);
    x64_mov_ri(&x->e, RAX, (uint64_t)imm);
    x64_store(&x->e, RAX, x64_state(off));
    return (struct place_operand){.kind = OPERAND_STATE, .offset = off};
}

static const unsigned read_op[4] = {OP_MOVZX_B, OP_MOVZX_W, OP_MOV, X_W | OP_MOV};

/* op in its form for an operand of that size. */
static unsigned sized(unsigned size, unsigned op)
{
    static const unsigned prefix[4] = {X_B, X_66, 0, X_W};
    return prefix[size] | (size ? op : op - 1); /* of bytes: the opcode before it */
}

/* reg's low bytes, extended as the kind compares them. */
static void extend(struct x64 *x, unsigned size, unsigned kind, int reg)
{
    static const unsigned op[2][2] = {{OP_MOVZX_B, OP_MOVZX_W}, {OP_MOVSX_B, OP_MOVSX_W}};
    bool sign = kind == IR_AMO_MIN || kind == IR_AMO_MAX;
    if (size < 2)
        x64_rr(&x->e, op[sign][size], reg, reg);
}

/* rdx = f(rax, operand), for the kinds that need a compare-and-swap loop. Its low bytes count. */
static void compute(struct x64 *x, unsigned size, unsigned kind, const struct place_operand *b)
{
    unsigned w = size == 3 ? X_W : 0;
    static const uint8_t alu[] = {
        [IR_AMO_AND] = OP_AND, [IR_AMO_OR] = OP_OR, [IR_AMO_XOR] = OP_XOR};
    static const uint8_t keep_old[] = {
        [IR_AMO_MIN] = CC_L, [IR_AMO_MAX] = CC_G, [IR_AMO_MINU] = CC_B, [IR_AMO_MAXU] = CC_A};
    struct x64_buf *e = &x->e;
    if (kind < IR_AMO_MIN) {
        x64_rr(e, X_W | OP_MOV, RDX, RAX);
        x64_alu(x, w | alu[kind], RDX, b);
        return;
    }
    x64_load_operand(x, RDX, b);
    extend(x, size, kind, RDX);
    extend(x, size, kind, RAX);
    x64_rr(e, w | OP_CMP, RAX, RDX);
    x64_rr(e, w | OP_CMOV | keep_old[kind], RDX, RAX);
}

/* Leaps if the guest's memory is this vCPU's alone. Where others share it, it never is: no code. */
static uint32_t if_alone(struct x64 *x)
{
    if (x->job->cfg->shared)
        return 0;
    x64_alu_mi(&x->e, 0, EXT_CMP, X64_RUN(alone), 0);
    return x64_jcc8(&x->e, CC_NE);
}

/* In user mode a page that can be read only faults at the store alone. */
static void row_of_store(struct x64 *x)
{
    if (x->mem == GW_MEM_USER)
        x64_row(x, GW_ROW_ACCESS);
}

static void store_alone(struct x64 *x, unsigned size, int reg)
{
    row_of_store(x);
    x64_rm(&x->e, sized(size, OP_MOV_MR), reg, x64_at(RCX, 0), 0);
}

/* The host's own exchange, which locks by itself, or addition. */
static void direct(struct x64 *x, struct cold_path *c, unsigned size, unsigned kind,
                   struct x64_mem m)
{
    struct x64_buf *e = &x->e;
    x64_load_operand(x, RAX, &c->access.value);
    uint32_t alone = if_alone(x);
    x64_row(x, GW_ROW_ACCESS);
    if (kind == IR_AMO_ADD)
        x64_lock(e);
    x64_rm(e, sized(size, kind == IR_AMO_ADD ? OP_XADD : OP_XCHG), RAX, m, 0);
    if (!alone)
        return;
    uint32_t done = x64_jmp8(e);
    x64_link8(e, alone);
    x64_rm(e, X_W | OP_LEA, RCX, m, 0);
    x64_row(x, GW_ROW_ACCESS);
    x64_rm(e, read_op[size], RDX, x64_at(RCX, 0), 0);
    if (kind == IR_AMO_ADD)
        x64_rr(e, X_W | OP_ADD, RAX, RDX);
    store_alone(x, size, RAX);
    x64_mov(e, RAX, RDX);
    x64_link8(e, done);
}

/* The host's own, at rcx. */
static void locked(struct x64 *x, const struct cold_access *a, unsigned size)
{
    x64_load_operand(x, RAX, &a->value);
    x64_load_operand(x, RDX, &a->new_value);
    row_of_store(x);
    x64_lock(&x->e);
    x64_rm(&x->e, sized(size, OP_CMPXCHG), RDX, x64_at(RCX, 0), 0);
}

/* Where others share the memory, the locked one stands in line; else, where it is this vCPU's alone, nothing is
 * leapt over. */
static void compare_and_swap(struct x64 *x, const struct cold_path *c, unsigned size,
                             struct x64_mem m)
{
    struct x64_buf *e = &x->e;
    x64_row(x, GW_ROW_ACCESS);
    x64_rm(e, read_op[size], RAX, m, 0);
    x64_rm(e, X_W | OP_LEA, RCX, m, 0);
    if (x->job->cfg->shared) {
        locked(x, &c->access, size);
        return;
    }
    struct cold_path *l = x64_cold(x, COLD_LOCKED);
    l->access = c->access;
    x64_alu_mi(e, 0, EXT_CMP, X64_RUN(alone), 0);
    l->from[0] = x64_jcc(e, CC_E);
    x64_load_operand(x, RDX, &c->access.value);
    x64_rr(e, sized(size, OP_CMP), RAX, RDX);
    x64_load_operand(x, RDX, &c->access.new_value); /* changes no flag */
    x64_rr(e, X_W | OP_CMOV | CC_NE, RDX, RAX);
    store_alone(x, size, RDX);
    l->back = x64_pos(e);
}

void x64_cold_locked(struct x64 *x, const struct cold_path *c)
{
    x64_cold_here(x, c);
    locked(x, &c->access, x->b->insn[c->insn].aux & IR_SIZE_MASK);
    x64_cold_back(x, c);
}

/* A read first; then compare-and-swap, again and again. */
static void loop(struct x64 *x, struct cold_path *c, unsigned size, unsigned kind, struct x64_mem m)
{
    struct x64_buf *e = &x->e;
    x64_row(x, GW_ROW_ACCESS);
    x64_rm(e, read_op[size], RAX, m, 0);
    x64_rm(e, X_W | OP_LEA, RCX, m, 0);
    uint32_t again = x64_pos(e);
    compute(x, size, kind, &c->access.value);
    uint32_t alone = if_alone(x);
    row_of_store(x);
    x64_lock(e);
    x64_rm(e, sized(size, OP_CMPXCHG), RDX, x64_at(RCX, 0), 0);
    x64_link(e, x64_jcc(e, CC_NE), again);
    if (!alone)
        return;
    uint32_t done = x64_jmp8(e);
    x64_link8(e, alone);
    store_alone(x, size, RDX);
    x64_link8(e, done);
}

/* rax = its low bytes, sign-extended. */
static void sign_extend(struct x64 *x, unsigned size)
{
    static const unsigned op[] = {X_W | OP_MOVSX_B, X_W | OP_MOVSX_W, OP_MOVSXD};
    if (size < 3)
        x64_rr(&x->e, op[size], RAX, RAX);
}

bool x64_lower_atomic(struct x64 *x, const struct ir_insn *in)
{
    if (in->op != IR_AMO && in->op != IR_CAS)
        return false;
    struct x64_buf *e = &x->e;
    bool cas = in->op == IR_CAS;
    unsigned size = in->aux & IR_SIZE_MASK, kind = cas ? X64_AMO_CAS : (unsigned)in->imm;
    place_spill_scratch(&x->p);
    place_take(&x->p, RAX);
    place_take(&x->p, RCX);
    place_take(&x->p, RDX);
    struct cold_path *c = x64_cold(x, COLD_ATOMIC);
    c->access = (struct cold_access){
        .address = RDX, .scratch = RCX, .thunk = (uint16_t)(T_AMO + kind * 4 + size)};
    struct place_operand a = operand(x, in, in->a);
    x64_load_operand(x, RDX, &a);
    c->access.value = operand(x, in, in->b);
    if (cas)
        c->access.new_value = operand(x, in, in->c);
    if (x->mem != GW_MEM_USER) {
        x64_lookup(x, c, &(struct x64_lookup){RDX, 1u << size, true, true});
    } else {
        if (size) {
            x64_test_align(e, RDX, 1u << size);
            c->from[FROM_FAULT] = x64_jcc(e, CC_NE);
        }
        x64_rr(e, X_W | OP_MOV, RCX, R_READ);
    }
    struct x64_mem m = x64_sib(RCX, RDX, 0, 0);
    c->access.row = x->job->row_count;
    if (kind == IR_AMO_SWAP || kind == IR_AMO_ADD)
        direct(x, c, size, kind, m);
    else if (cas)
        compare_and_swap(x, c, size, m);
    else
        loop(x, c, size, kind, m);
    c->access.rows = (uint8_t)(x->job->row_count - c->access.row);
    sign_extend(x, size);
    c->back = x64_pos(e);
    x64_done(x, in->a);
    x64_done(x, in->b);
    if (cas)
        x64_done(x, in->c);
    place_def_in(&x->p, RAX);
    return true;
}

void x64_cold_atomic(struct x64 *x, const struct cold_path *c)
{
    struct x64_buf *e = &x->e;
    bool cas = x->b->insn[c->insn].op == IR_CAS;
    if (x->mem == GW_MEM_USER && !c->from[FROM_FAULT])
        return; /* a fault leaves by the signal handler */
    x64_cold_here(x, c);
    for (unsigned k = 0; k < c->access.rows && x->mem != GW_MEM_USER; k++)
        x->job->rows[c->access.row + k].slow_offset = x64_pos(e);
    x64_store(e, RDX, X64_RUN(slow_addr));
    if (cas) {
        x64_load_operand(x, RAX, &c->access.value);
        x64_store(e, RAX, x64_state(x64_operand_offset(0)));
    }
    x64_load_operand(x, RAX, cas ? &c->access.new_value : &c->access.value);
    x64_store(e, RAX, X64_RUN(slow_value));
    x64_call_to(e, x64_thunk(x, c->access.thunk));
    x64_row(x, GW_ROW_CALL);
    x64_load(e, RAX, X64_RUN(slow_value));
    x64_cold_back(x, c);
}
