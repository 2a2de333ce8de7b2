/*
 * The run loop of the IR interpreter: one piece of code per operation, each ending in its own jump
 * to the next, so that the host predicts them apart.
 *
 * Every operation reads its operands before it writes its destination: they may be one place. It
 * writes nothing before it can no longer fault or leave.
 */
/* Labels as values are no ISO C, but both compilers have them; a switch would make one indirect
 * jump of all. */
#pragma GCC diagnostic ignored "-Wpedantic"

#include <endian.h>

#include "translator/interp/code.h"

enum { PAGE_BITS = 12, PAGE_SIZE = 1 << PAGE_BITS };
#define NAN32 UINT32_C(0x7fc00000)

/* Guest memory: any alignment, and accesses that the compiler neither drops nor merges. */
struct u8_cell {
    uint8_t v;
};
struct __attribute__((packed)) u16_cell {
    uint16_t v;
};
struct __attribute__((packed)) u32_cell {
    uint32_t v;
};
struct __attribute__((packed)) u64_cell {
    uint64_t v;
};
#define CELL(bits, p) (((volatile struct u##bits##_cell *)(p))->v)

/* A number of guest memory, which is little-endian, as the host has it; and back. Guest state is the host's. */
#define LITTLE_8(v)     (v)
#define LITTLE_16(v)    le16toh(v)
#define LITTLE_32(v)    le32toh(v)
#define LITTLE_64(v)    le64toh(v)
#define LITTLE(bits, v) LITTLE_##bits((uint##bits##_t)(v))

/* --- addresses -------------------------------------------------------------------------------- */

/* Host address of size bytes at guest address addr, or NULL: the slow path. One per mode. */

static inline void *host_user(struct gw_vcpu *run, const struct interp_op *op, bool write,
                              uint64_t addr, unsigned size)
{
    (void)write;
    (void)size;
    if (addr >> GW_USER_BITS)
        return NULL;
    run->exit_row = op->guest; /* a host fault finds the instruction here */
    return (void *)(uintptr_t)(run->guest_base + addr);
}

static inline void *host_flat(struct gw_vcpu *run, const struct interp_op *op, bool write,
                              uint64_t addr, unsigned size)
{
    const uint64_t *map = write ? run->map_write : run->map_read;

    (void)op;
    /* The map's index is bits 47:12, so an address must be the sign-extension of its low 48. */
    if ((uint64_t)((int64_t)(addr << 16) >> 16) != addr ||
        (addr & (PAGE_SIZE - 1)) > PAGE_SIZE - size)
        return NULL;
    uint64_t addend = map[addr << 16 >> (16 + PAGE_BITS)];
    return addend ? (void *)(uintptr_t)(addend + addr) : NULL;
}

static inline void *host_tlb(struct gw_vcpu *run, const struct interp_op *op, bool write,
                             uint64_t addr, unsigned size)
{
    const struct gw_tlb_entry *tlb = write ? run->tlb_write : run->tlb_read;
    const struct gw_tlb_entry *e = &tlb[addr >> PAGE_BITS & ((1u << GW_TLB_BITS) - 1)];
    uint64_t page_mask = ~(uint64_t)(PAGE_SIZE - 1);

    run->exit_row = op->guest; /* as in host_user: a file behind a program's page may have ended */
    if (e->tag != (addr & page_mask) || (addr & (PAGE_SIZE - 1)) > PAGE_SIZE - size)
        return NULL;
    return (void *)(uintptr_t)(e->addend + addr);
}

/* --- slow paths ------------------------------------------------------------------------------- */

static void set_pc(struct gw_vcpu *run, const struct interp_block *blk, const struct interp_op *op)
{
    run->pc = blk->pc + (uint64_t)(int64_t)blk->guest_offset[op->guest];
    run->exit_row = op->guest;
}

/* The value of run.slow_value as a load of this kind returns it. */
static uint64_t loaded(uint64_t v, unsigned aux)
{
    unsigned unused = 64 - (8u << (aux & IR_SIZE_MASK));
    return aux & IR_SIGN ? (uint64_t)((int64_t)(v << unused) >> unused) : v << unused >> unused;
}

/* True: the block must be left. */
static __attribute__((noinline)) bool slow_load(struct interp *it, const struct interp_block *blk,
                                                const struct interp_op *op)
{
    struct gw_vcpu *run = gw_run(it->cpu);

    set_pc(run, blk, op);
    run->slow_addr = *op->a + (uint64_t)(int64_t)op->disp;
    if (it->rt->load(it->cpu, (uint32_t)op->u.desc))
        return true;
    *op->d = loaded(run->slow_value, (unsigned)op->u.desc & 0xff);
    return false;
}

static __attribute__((noinline)) bool slow_store(struct interp *it, const struct interp_block *blk,
                                                 const struct interp_op *op)
{
    struct gw_vcpu *run = gw_run(it->cpu);

    set_pc(run, blk, op);
    run->slow_addr = *op->a + (uint64_t)(int64_t)op->disp;
    run->slow_value = *op->b;
    return it->rt->store(it->cpu, (uint32_t)op->u.desc) != 0;
}

/* --- atomics ---------------------------------------------------------------------------------- */

/* The low size bytes, sign- or zero-extended. */
static uint64_t part(uint64_t v, unsigned size, bool sign)
{
    unsigned unused = 64 - 8 * size;
    return sign ? (uint64_t)((int64_t)(v << unused) >> unused) : v << unused >> unused;
}

static uint64_t amo_result(enum ir_amo kind, uint64_t old, uint64_t v, unsigned size)
{
    int64_t so = (int64_t)part(old, size, true), sv = (int64_t)part(v, size, true);

    old = part(old, size, false);
    v = part(v, size, false);
    switch (kind) {
    case IR_AMO_SWAP: return v;
    case IR_AMO_ADD: return old + v;
    case IR_AMO_AND: return old & v;
    case IR_AMO_OR: return old | v;
    case IR_AMO_XOR: return old ^ v;
    case IR_AMO_MIN: return so < sv ? old : v;
    case IR_AMO_MAX: return so > sv ? old : v;
    case IR_AMO_MINU: return old < v ? old : v;
    case IR_AMO_MAXU: return old > v ? old : v;
    }
    return old;
}

/* All of them are compare-and-swap loops, sequentially consistent whatever the order asks for. */
#define ATOMIC(bits)                                                                               \
    static bool swap##bits(uint##bits##_t *p, uint##bits##_t *expected, uint64_t v)                \
    {                                                                                              \
        uint##bits##_t there = LITTLE(bits, *expected);                                            \
        bool done = __atomic_compare_exchange_n(p, &there, LITTLE(bits, v), false,                 \
                                                __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST);               \
        *expected = LITTLE(bits, there);                                                           \
        return done;                                                                               \
    }                                                                                              \
                                                                                                   \
    static uint64_t atomic##bits(const struct interp_op *op, void *at)                             \
    {                                                                                              \
        uint##bits##_t *p = at, old;                                                               \
                                                                                                   \
        if (op->code == INTERP_CAS) {                                                              \
            old = (uint##bits##_t) * op->b;                                                        \
            swap##bits(p, &old, *op->u.c);                                                         \
        } else {                                                                                   \
            enum ir_amo kind = (enum ir_amo)(op->disp >> 16);                                      \
            old = LITTLE(bits, __atomic_load_n(p, __ATOMIC_RELAXED));                              \
            while (!swap##bits(p, &old, amo_result(kind, old, *op->b, bits / 8)))                  \
                ;                                                                                  \
        }                                                                                          \
        return part(old, bits / 8, true);                                                          \
    }

ATOMIC(8)
ATOMIC(16)
ATOMIC(32)
ATOMIC(64)

static uint64_t atomic_on(const struct interp_op *op, void *p, unsigned size)
{
    switch (size) {
    case 1: return atomic8(op, p);
    case 2: return atomic16(op, p);
    case 4: return atomic32(op, p);
    default: return atomic64(op, p);
    }
}

/* True: the block must be left. */
static __attribute__((noinline)) bool do_atomic(struct interp *it, const struct interp_block *blk,
                                                const struct interp_op *op)
{
    struct gw_vcpu *run = gw_run(it->cpu);
    uint64_t addr = *op->a;
    unsigned size = 1u << (op->disp & IR_SIZE_MASK);
    void *p = NULL;

    if ((addr & (size - 1)) == 0) {
        switch (it->mem) {
        case GW_MEM_USER: p = host_user(run, op, true, addr, size); break;
        case GW_MEM_FLAT: p = host_flat(run, op, true, addr, size); break;
        case GW_MEM_TLB: p = host_tlb(run, op, true, addr, size); break;
        }
    }
    if (p) {
        *op->d = atomic_on(op, p, size);
        return false;
    }
    set_pc(run, blk, op);
    run->slow_addr = addr;
    run->slow_value = op->code == INTERP_CAS ? *op->u.c : *op->b;
    run->operand[0].lo = *op->b;
    if (it->rt->amo(it->cpu, (uint32_t)op->disp))
        return true;
    *op->d = loaded(run->slow_value, (unsigned)(op->disp & IR_SIZE_MASK) | IR_SIGN);
    return false;
}

/* --- zeros ------------------------------------------------------------------------------------ */

/* True: the block must be left. In user mode the byte itself comes first: if it faults, the fault is
 * where the guest said. */
static __attribute__((noinline)) bool do_zero(struct interp *it, const struct interp_block *blk,
                                              const struct interp_op *op)
{
    struct gw_vcpu *run = gw_run(it->cpu);
    uint64_t addr = *op->a;
    void *p = NULL;

    switch (it->mem) {
    case GW_MEM_USER: p = host_user(run, op, true, addr, 1); break;
    case GW_MEM_FLAT: p = host_flat(run, op, true, addr, 1); break;
    case GW_MEM_TLB: p = host_tlb(run, op, true, addr, 1); break;
    }
    if (!p) {
        set_pc(run, blk, op);
        run->slow_addr = addr;
        return it->rt->zero(it->cpu, 0) != 0;
    }
    CELL(8, p) = 0;
    uint8_t *first = (uint8_t *)p - addr % IR_ZERO_BYTES;
    for (unsigned i = 0; i < IR_ZERO_BYTES; i += 8)
        CELL(64, first + i) = 0;
    return false;
}

/* --- the loop --------------------------------------------------------------------------------- */

/* An instruction that did not retire: it and those behind it go back to the budget. */
static void refund(struct gw_vcpu *run, const struct interp_block *blk, const struct interp_op *op)
{
    run->budget += (int64_t)(blk->guest_count - op->guest);
}

uint32_t interp_abandon(struct interp *it)
{
    struct gw_vcpu *run = gw_run(it->cpu);
    const struct interp_block *blk = it->current;
    uint32_t guest = (uint32_t)run->exit_row;

    run->budget += (int64_t)(blk->guest_count - guest);
    run->pc = blk->pc + (uint64_t)(int64_t)blk->guest_offset[guest];
    return guest;
}

/* Where a chained link goes, or NULL. Another vCPU may cut it off meanwhile. */
static inline struct interp_block *follow(const struct interp_link *l)
{
    struct interp_block *next = __atomic_load_n(&l->next, __ATOMIC_RELAXED);
    return next && (!l->gen_cell || *l->gen_cell == l->gen) ? next : NULL;
}

#define NEXT goto *labels[(++op)->code]
#define BEHIND(type)                                                                               \
    do {                                                                                           \
        op = (const struct interp_op *)(const void *)((const uint8_t *)(op + 1) + sizeof(type));   \
        goto *labels[op->code];                                                                    \
    } while (0)
#define A       (*op->a)
#define B       (*op->b)
#define A32     ((uint32_t)*op->a)
#define B32     ((uint32_t)*op->b)
#define SIGN(x) ((uint64_t)(int64_t)(int32_t)(x))
#define DO(NAME, expression)                                                                       \
    do_##NAME : *op->d = (expression);                                                             \
    NEXT;
#define DO_32(NAME, expression)                                                                    \
    do_##NAME##_W : *op->d = (uint32_t)(expression);                                               \
    NEXT;                                                                                          \
    do_##NAME##_WS : *op->d = SIGN(expression);                                                    \
    NEXT;

#define DO_COND(COND, cast_w, cast_l, rel)                                                         \
    do_SETCC_##COND##_W : *op->d = (cast_w)A rel(cast_w) B;                                        \
    NEXT;                                                                                          \
    do_SETCC_##COND##_L : *op->d = (cast_l)A rel(cast_l) B;                                        \
    NEXT;                                                                                          \
    do_BRCC_##COND##_W : if ((cast_w)A rel(cast_w) B) goto branch;                                 \
    NEXT;                                                                                          \
    do_BRCC_##COND##_L : if ((cast_l)A rel(cast_l) B) goto branch;                                 \
    NEXT;

#define DO_LOAD(MODE, host, KIND, bits, cast)                                                      \
    do_LD_##MODE##_##KIND:                                                                         \
    {                                                                                              \
        const void *p = host(run, op, false, A + (uint64_t)(int64_t)op->disp, (bits) / 8);         \
        if (!p)                                                                                    \
            goto slow_ld;                                                                          \
        *op->d = (uint64_t)(cast)LITTLE(bits, CELL(bits, p));                                      \
        NEXT;                                                                                      \
    }
#define DO_STORE(MODE, host, BYTES, bits)                                                          \
    do_ST_##MODE##_##BYTES:                                                                        \
    {                                                                                              \
        void *p = host(run, op, true, A + (uint64_t)(int64_t)op->disp, BYTES);                     \
        if (!p)                                                                                    \
            goto slow_st;                                                                          \
        CELL(bits, p) = LITTLE(bits, B);                                                           \
        NEXT;                                                                                      \
    }
#define DO_MEMORY(MODE, host)                                                                      \
    DO_LOAD(MODE, host, U1, 8, uint8_t)                                                            \
    DO_LOAD(MODE, host, U2, 16, uint16_t)                                                          \
    DO_LOAD(MODE, host, U4, 32, uint32_t)                                                          \
    DO_LOAD(MODE, host, U8, 64, uint64_t)                                                          \
    DO_LOAD(MODE, host, S1, 8, int8_t)                                                             \
    DO_LOAD(MODE, host, S2, 16, int16_t)                                                           \
    DO_LOAD(MODE, host, S4, 32, int32_t)                                                           \
    DO_STORE(MODE, host, 1, 8)                                                                     \
    DO_STORE(MODE, host, 2, 16)                                                                    \
    DO_STORE(MODE, host, 4, 32)                                                                    \
    DO_STORE(MODE, host, 8, 64)

enum gw_exit_kind interp_run(struct interp *it, struct interp_block *blk)
{
    static const void *const labels[INTERP_CODE_COUNT] = {
#define INTERP_OP(NAME) [INTERP_##NAME] = &&do_##NAME,
#include "translator/interp/ops.inc"
#undef INTERP_OP
    };
    void *const cpu = it->cpu;
    struct gw_vcpu *const run = gw_run(cpu);
    const struct interp_op *op;
    struct interp_block *next;

enter:
    if (run->budget < (int64_t)blk->guest_count) {
        run->pc = blk->pc;
        return GW_EXIT_BUDGET;
    }
    run->budget -= (int64_t)blk->guest_count;
    it->current = blk;
    op = blk->ops;
    goto *labels[op->code];

    DO(MOV, A)
    DO(GET1, CELL(8, op->a))
    DO(GET2, CELL(16, op->a))
    DO(GET4, CELL(32, op->a))
    DO(GET8, CELL(64, op->a))
do_PUT1:
    CELL(8, op->d) = (uint8_t)A;
    NEXT;
do_PUT2:
    CELL(16, op->d) = (uint16_t)A;
    NEXT;
do_PUT4:
    CELL(32, op->d) = (uint32_t)A;
    NEXT;
do_PUT8:
    CELL(64, op->d) = A;
    NEXT;

    DO(ADD, A + B)
    DO(SUB, A - B)
    DO(MUL, A * B)
    DO(AND, A & B)
    DO(OR, A | B)
    DO(XOR, A ^ B)
    DO(ANDN, A & ~B)
    DO(SHL, A << (B & 63))
    DO(SHR, A >> (B & 63))
    DO(SAR, (uint64_t)((int64_t)A >> (B & 63)))
    DO_32(ADD, A32 + B32)
    DO_32(SUB, A32 - B32)
    DO_32(MUL, A32 * B32)
    DO_32(SHL, A32 << (B32 & 31))
    DO_32(SHR, A32 >> (B32 & 31))
    DO_32(SAR, (int32_t)A32 >> (B32 & 31))
    DO(SEXT8, (uint64_t)(int64_t)(int8_t)A)
    DO(SEXT16, (uint64_t)(int64_t)(int16_t)A)
    DO(SEXT32, SIGN(A))
    DO(ZEXT8, (uint8_t)A)
    DO(ZEXT16, (uint16_t)A)
    DO(ZEXT32, (uint32_t)A)
    DO(BOX, UINT64_C(0xffffffff00000000) | A32)
    DO(UNBOX, A >> 32 == UINT32_MAX ? A32 : NAN32)

    DO_COND(EQ, uint32_t, uint64_t, ==)
    DO_COND(NE, uint32_t, uint64_t, !=)
    DO_COND(LT, int32_t, int64_t, <)
    DO_COND(GE, int32_t, int64_t, >=)
    DO_COND(LTU, uint32_t, uint64_t, <)
    DO_COND(GEU, uint32_t, uint64_t, >=)
    DO_COND(LE, int32_t, int64_t, <=)
    DO_COND(GT, int32_t, int64_t, >)
    DO_COND(LEU, uint32_t, uint64_t, <=)
    DO_COND(GTU, uint32_t, uint64_t, >)

    DO_MEMORY(USER, host_user)
    DO_MEMORY(FLAT, host_flat)
    DO_MEMORY(TLB, host_tlb)

do_ALIGN:
    if (!((A + (uint64_t)(int64_t)op->disp) & ((1u << (op->u.desc & IR_SIZE_MASK)) - 1)))
        NEXT;
    if (slow_load(it, blk, op))
        goto leave;
    op++; /* the load is done */
    NEXT;
slow_ld:
    if (slow_load(it, blk, op))
        goto leave;
    NEXT;
slow_st:
    if (slow_store(it, blk, op))
        goto leave;
    NEXT;
do_AMO:
do_CAS:
    if (do_atomic(it, blk, op))
        goto leave;
    NEXT;
do_ZERO:
    if (do_zero(it, blk, op))
        goto leave;
    NEXT;
do_FENCE:
    __atomic_thread_fence(__ATOMIC_SEQ_CST);
    NEXT;
do_FPGET:
    *op->d = run->fp_flags;
    NEXT;
do_FPSET:
    run->fp_flags = A & 31;
    NEXT;

do_EVAL : {
    const struct interp_eval *e = op->u.eval;
    *op->d = ir_eval(&e->insn, A, B, *e->c, *e->d, &run->fp_flags);
    BEHIND(struct interp_eval);
}
do_CALL : {
    const struct interp_call *call = op->u.call;
    run->pc = call->pc;
    *op->d = it->caller->call(it->caller, call->helper, cpu, A, B, *call->c);
    BEHIND(struct interp_call);
}
do_CALL_LEAVES : {
    const struct interp_call *call = op->u.call;
    run->pc = call->pc;
    uint64_t result = it->caller->call(it->caller, call->helper, cpu, A, B, *call->c);
    if (run->leave) {
        run->exit_row = op->guest;
        goto leave;
    }
    *op->d = result;
    BEHIND(struct interp_call);
}

branch:
    run->budget += op->disp;
do_JMP:
    next = follow(op->u.link);
    if (next) {
        blk = next;
        goto enter;
    }
    run->pc = op->u.link->target;
    run->exit_link = (uint64_t)(uintptr_t)op->u.link;
    return GW_EXIT_LINK;
do_JMPR:
    run->pc = A;
    if (run->jump_cache) {
        const struct gw_jump_entry *e = &run->jump_cache[interp_jump_index(run->pc)];
        if (__atomic_load_n(&e->pc, __ATOMIC_RELAXED) == run->pc) {
            blk = e->code;
            goto enter;
        }
    }
    return GW_EXIT_INDIRECT;
do_LEAVE:
    run->pc = A;
    return GW_EXIT_LEAVE;

leave:
    refund(run, blk, op);
    return GW_EXIT_HELPER;
}
