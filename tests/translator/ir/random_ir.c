#include <endian.h>
#include <assert.h>
#include <string.h>

#include "tests/translator/ir/random_ir.h"

enum { POOL = 24, BASE_REG = 8 };
#define BLOCK_PC UINT64_C(0x80000000)

/* Values that may be operands. */
struct pool {
    ir_val v[POOL];
    unsigned n;
};

struct gen {
    struct ir_block *b;
    const struct random_ir *want;
    uint64_t rng;
    struct pool ints, f32s, f64s;
};

uint64_t random_u64(uint64_t *state)
{
    uint64_t z = (*state += UINT64_C(0x9e3779b97f4a7c15));
    z = (z ^ z >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
    z = (z ^ z >> 27) * UINT64_C(0x94d049bb133111eb);
    return z ^ z >> 31;
}

uint64_t random_value(uint64_t *state)
{
    uint64_t r = random_u64(state), shift = r >> 8 & 63;
    switch (r & 15) {
    case 0: return 0;
    case 1: return UINT64_MAX;
    case 2: return (uint64_t)1 << shift;
    case 3: return ((uint64_t)1 << shift) - 1;
    case 4: return 0 - ((uint64_t)1 << shift);
    case 5: return UINT64_C(0xffffffff80000000);
    case 6: return 0x7fffffff;
    case 7: return 0x80000000;
    case 8: return r >> 60;
    case 9: return 0xffffffff;
    case 10: return (uint64_t)((int64_t)r >> 52);
    case 11: return random_u64(state) >> shift;
    default: return random_u64(state);
    }
}

uint64_t random_float(uint64_t *state, enum ir_type type)
{
    static const uint64_t special64[] = {0,
                                         UINT64_C(1) << 63,
                                         1,
                                         UINT64_C(0x000fffffffffffff),
                                         UINT64_C(0x0010000000000000),
                                         UINT64_C(0x7fefffffffffffff),
                                         UINT64_C(0x7ff0000000000000),
                                         UINT64_C(0xfff0000000000000),
                                         UINT64_C(0x7ff8000000000000),
                                         UINT64_C(0x7ff0000000000001),
                                         UINT64_C(0x3ff0000000000000),
                                         UINT64_C(0xbff0000000000000),
                                         UINT64_C(0x41e0000000000000),
                                         UINT64_C(0x43e0000000000000),
                                         UINT64_C(0xfff8000000000001)};
    static const uint32_t special32[] = {0,          0x80000000, 1,          0x007fffff,
                                         0x00800000, 0x7f7fffff, 0x7f800000, 0xff800000,
                                         0x7fc00000, 0x7f800001, 0x3f800000, 0xbf800000,
                                         0x4f000000, 0x5f000000, 0xffc00001};
    uint64_t r = random_u64(state);

    if (type == IR_F32) {
        if ((r & 3) == 0)
            return special32[(r >> 8) % 15];
        if ((r & 3) == 1) /* near 1 */
            return (uint32_t)((r >> 32 & 0x83ffffff) + 0x3e000000);
        return (uint32_t)(r >> 32);
    }
    if ((r & 3) == 0)
        return special64[(r >> 8) % 15];
    uint64_t v = random_u64(state);
    return (r & 3) == 1 ? (v & UINT64_C(0x807fffffffffffff)) + UINT64_C(0x3fc0000000000000) : v;
}

uint8_t random_fp_model(uint64_t seed)
{
    enum {
        X86 = IR_FPM_NAN_FIRST | IR_FPM_NAN_NEGATIVE | IR_FPM_INT_INDEFINITE,
        ARM = IR_FPM_NAN_SIGNALING | IR_FPM_TINY_BEFORE | IR_FPM_INT_NAN_ZERO,
        FLUSH = IR_FPM_FLUSH_RESULTS | IR_FPM_FLUSH_OPERANDS,
    };
    static const uint8_t others[] = {X86, X86 | FLUSH, ARM, ARM | FLUSH};
    return seed % 3 ? IR_FPM_RISCV : others[seed / 3 % 4];
}

/* --- choosing --------------------------------------------------------------------------------- */

static uint32_t below(struct gen *g, uint32_t n)
{
    assert(n);
    return (uint32_t)(random_u64(&g->rng) >> 32) % n;
}

static void keep(struct gen *g, struct pool *p, ir_val v)
{
    if (p->n < POOL)
        p->v[p->n++] = v;
    else
        p->v[below(g, POOL)] = v;
}

static ir_val any(struct gen *g, struct pool *p)
{
    return p->v[below(g, p->n)];
}

static ir_val int_operand(struct gen *g)
{
    return below(g, 4) == 0 ? ir_const(g->b, random_value(&g->rng)) : any(g, &g->ints);
}

static struct pool *floats_of(struct gen *g, enum ir_type type)
{
    return type == IR_F32 ? &g->f32s : &g->f64s;
}

static uint32_t float_reg(const struct gen *g, uint32_t reg, enum ir_type type)
{
    return toy_f(!g->want->split_floats ? reg : type == IR_F32 ? 16 + (reg & 15) : reg & 15);
}

/* --- one operation of each kind --------------------------------------------------------------- */

/* Two shifts whose halves are joined: mostly a rotate, as programs write one. */
static ir_val by_halves(struct gen *g, enum ir_type type, ir_val a)
{
    static const uint8_t joins[] = {IR_OR, IR_XOR, IR_ADD, IR_SUB};
    uint32_t width = type == IR_W32 ? 32 : 64, left = below(g, width);
    uint32_t right = below(g, 8) ? width - left : below(g, width);
    ir_val up = ir_const(g->b, left), down = ir_const(g->b, right);
    up = ir_op2(g->b, IR_SHL, type, a, up);
    down = ir_op2(g->b, IR_SHR, type, a, down);
    if (type == IR_W32 && below(g, 4))
        up = ir_op1(g->b, IR_SEXT32, IR_I64, up);
    bool swap = below(g, 2);
    enum ir_op join = (enum ir_op)joins[below(g, 4)];
    return ir_op2(g->b, join, below(g, 4) ? IR_I64 : type, swap ? down : up, swap ? up : down);
}

/* As an element of an array is found. */
static ir_val scaled_sum(struct gen *g, enum ir_type type, ir_val a, ir_val c)
{
    ir_val by = ir_const(g->b, below(g, 5));
    ir_val index = ir_op2(g->b, IR_SHL, type, a, by);
    if (below(g, 4) == 0)
        c = ir_get(g->b, toy_x(below(g, TOY_X)), 3);
    if (below(g, 4) == 0)
        keep(g, &g->ints, index);
    bool swap = below(g, 2);
    return ir_op2(g->b, IR_ADD, type, swap ? c : index, swap ? index : c);
}

static void gen_int(struct gen *g)
{
    static const uint8_t ops1[] = {IR_SEXT8,    IR_SEXT16, IR_SEXT32, IR_ZEXT8,  IR_ZEXT16,
                                   IR_ZEXT32,   IR_CLZ,    IR_CTZ,    IR_POPCNT, IR_BSWAP,
                                   IR_BYTEMASK, IR_SEXT32, IR_ZEXT32};
    enum ir_type type = below(g, 3) == 0 ? IR_W32 : IR_I64;
    enum ir_cond cc = (enum ir_cond)below(g, 10);
    uint32_t what = below(g, 18);
    ir_val v, a = int_operand(g), c = int_operand(g);

    if (what < 9) {
        v = ir_op2(g->b, (enum ir_op)(IR_ADD + below(g, IR_ROTR - IR_ADD + 1)), type, a, c);
    } else if (what < 11) {
        uint64_t small = below(g, 64);
        v = ir_op2(g->b, below(g, 2) ? IR_ADD : IR_SUB, type, a, ir_const(g->b, small));
    } else if (what < 14) {
        v = ir_op1(g->b, (enum ir_op)ops1[below(g, sizeof ops1)], type, a);
    } else if (what < 15) {
        v = ir_setcc(g->b, type, cc, a, c);
    } else if (what < 16) {
        v = by_halves(g, type, a);
    } else if (what < 17) {
        v = scaled_sum(g, type, a, c);
    } else {
        ir_val t = int_operand(g), f = int_operand(g);
        v = ir_select(g->b, type, cc, a, c, t, f);
    }
    keep(g, &g->ints, v);
}

static void gen_state(struct gen *g)
{
    uint32_t what = below(g, 10);
    enum ir_type type = below(g, 2) ? IR_F32 : IR_F64;

    if (what < 6 || !g->want->floats) {
        keep(g, &g->ints, ir_get(g->b, toy_x(below(g, TOY_X)), 3));
    } else if (what < 7) {
        unsigned log2 = below(g, 3);
        uint32_t offset = log2 == 2 ? offsetof(struct toy_cpu, word) + 4 * below(g, 4)
                                    : offsetof(struct toy_cpu, byte) + (below(g, 4) << log2);
        keep(g, &g->ints, ir_get(g->b, offset, log2));
    } else {
        keep(g, floats_of(g, type), ir_getf(g->b, float_reg(g, below(g, TOY_F), type), type));
    }
}

static void gen_arith(struct gen *g, enum ir_type type)
{
    static const uint8_t ops2[] = {IR_FADD, IR_FSUB, IR_FMUL, IR_FDIV, IR_FMIN, IR_FMAX};
    struct pool *p = floats_of(g, type);
    enum ir_round rm = (enum ir_round)below(g, 5);
    ir_val a = any(g, p), c = any(g, p), d = any(g, p);
    uint8_t op = ops2[below(g, sizeof ops2)];
    uint32_t bits = below(g, 4);

    static const uint8_t kinds[] = {IR_MINMAX_NUMBER, IR_MINMAX_NUMBER, IR_MINMAX_PROPAGATE,
                                    IR_MINMAX_SECOND};

    switch (below(g, 6)) {
    case 0: keep(g, p, ir_fp1(g->b, IR_FSQRT, type, rm, a)); break;
    case 1: keep(g, p, ir_fma(g->b, type, rm, a, c, d, bits & 1, bits & 2)); break;
    case 2: keep(g, p, ir_fsgnj(g->b, type, bits % 3, a, c)); break;
    default:
        keep(g, p,
             op == IR_FMIN || op == IR_FMAX
                 ? ir_minmax(g->b, (enum ir_op)op, type, (enum ir_minmax)kinds[bits], a, c)
                 : ir_fp2(g->b, (enum ir_op)op, type, rm, a, c));
        break;
    }
}

static void gen_convert(struct gen *g, enum ir_type type)
{
    struct pool *p = floats_of(g, type);
    enum ir_type other = type == IR_F32 ? IR_F64 : IR_F32;
    enum ir_round rm = (enum ir_round)below(g, 5);
    enum ir_int kind = (enum ir_int)below(g, 4);
    uint32_t compare = below(g, 3);
    ir_val a = any(g, p), c = any(g, p), i = int_operand(g);

    switch (below(g, 12)) {
    case 9: keep(g, p, ir_frint(g->b, type, rm, compare & 1, a)); break;
    case 10: keep(g, p, ir_h2f(g->b, type, i)); break;
    case 11: keep(g, &g->ints, ir_f2h(g->b, type, rm, a)); break;
    case 0: keep(g, &g->ints, ir_fcmp(g->b, (enum ir_op)(IR_FEQ + compare), type, a, c)); break;
    case 1: keep(g, &g->ints, ir_op1(g->b, IR_FCLASS, type, a)); break;
    case 2: keep(g, &g->ints, ir_f2i(g->b, type, kind, rm, a)); break;
    case 3: keep(g, p, ir_i2f(g->b, type, kind, rm, i)); break;
    case 4: keep(g, floats_of(g, other), ir_fp1(g->b, IR_F2F, other, rm, a)); break;
    case 5: keep(g, &g->ints, ir_op1(g->b, IR_FBITS, type, a)); break;
    case 6: keep(g, p, ir_op1(g->b, IR_BITSF, type, i)); break;
    case 7: keep(g, &g->f32s, ir_op1(g->b, IR_UNBOX, IR_F32, any(g, &g->f64s))); break;
    default: keep(g, &g->f64s, ir_op1(g->b, IR_BOX, IR_F64, any(g, &g->f32s))); break;
    }
}

static void gen_flags(struct gen *g)
{
    ir_val v = int_operand(g);
    if (below(g, 4))
        keep(g, &g->ints, ir_fpget(g->b));
    else
        ir_fpset(g->b, v);
}

/* An address within the window, from the base register: constant or computed. */
static ir_val gen_address(struct gen *g, int64_t *disp, unsigned align)
{
    ir_val base = ir_get(g->b, toy_x(BASE_REG), 3);
    uint64_t mask = 2047 & ~(uint64_t)((1u << align) - 1);

    *disp = (int64_t)(below(g, 2048) & (uint32_t)mask) - 1024;
    if (below(g, 2))
        base = ir_op2(g->b, IR_ADD, IR_I64, base,
                      ir_op2(g->b, IR_AND, IR_I64, any(g, &g->ints), ir_const(g->b, mask)));
    if (below(g, 3) == 0)
        base = ir_op2(g->b, IR_ADD, IR_I64, base, ir_const(g->b, (uint64_t)16));
    if (g->want->faults && below(g, 16) == 0)
        base = ir_op2(g->b, IR_ADD, IR_I64, base, ir_const(g->b, (uint64_t)1 << below(g, 64)));
    return base;
}

static void gen_memory(struct gen *g)
{
    unsigned log2 = below(g, 4), order = below(g, 4) ? 0 : below(g, 4);
    enum ir_type type = below(g, 2) ? IR_F32 : IR_F64;
    uint32_t what = below(g, 13);
    ir_val value = int_operand(g), expected = int_operand(g);
    int64_t disp;

    if (what == 12) {
        ir_val byte = gen_address(g, &disp, 0);
        ir_zero(g->b, ir_op2(g->b, IR_ADD, IR_I64, byte, ir_const(g->b, (uint64_t)disp)));
        return;
    }
    if (what >= 9) {
        if (what == 9)
            log2 = 2 + (log2 & 1);
        ir_val addr = gen_address(g, &disp, 3);
        addr = ir_op2(g->b, IR_ADD, IR_I64, addr, ir_const(g->b, (uint64_t)disp));
        if (g->want->faults && below(g, 8) == 0)
            addr = ir_op2(g->b, IR_ADD, IR_I64, addr, ir_const(g->b, 1 + below(g, 3)));
        if (what == 9)
            value = ir_load_aligned(g->b, log2, addr, order);
        else if (what == 10)
            value = ir_amo(g->b, (enum ir_amo)below(g, 9), log2, addr, value, order);
        else
            value = ir_cas(g->b, log2, addr, expected, value, order);
        keep(g, &g->ints, value);
        return;
    }
    ir_val addr = gen_address(g, &disp, 0);
    bool sign = below(g, 2) && log2 < 3;
    if (what < 4)
        keep(g, &g->ints, ir_load(g->b, IR_I64, log2, sign, addr, disp, order));
    else if (what < 7 || !g->want->floats)
        ir_store(g->b, IR_I64, log2, addr, disp, value, order);
    else if (what < 8)
        keep(g, floats_of(g, type),
             ir_load(g->b, type, type == IR_F32 ? 2 : 3, false, addr, disp, order));
    else
        ir_store(g->b, type, type == IR_F32 ? 2 : 3, addr, disp, any(g, floats_of(g, type)), order);
}

static void gen_call(struct gen *g)
{
    uint32_t helper = below(g, g->want->floats ? TOY_HELPER_COUNT : TOY_FLAG);
    ir_val a = int_operand(g), c = int_operand(g), d = int_operand(g);
    if (helper == TOY_MAYBE_LEAVE && below(g, 2))
        a = ir_const(g->b, below(g, 5)); /* stays */
    unsigned args = toy_helpers[helper].args;
    keep(g, &g->ints, ir_call(g->b, helper, a, args > 1 ? c : IR_NONE, args > 2 ? d : IR_NONE));
}

/* --- guest instructions ----------------------------------------------------------------------- */

/* Writes state, as the last thing that a guest instruction does. */
static void gen_puts(struct gen *g)
{
    for (uint32_t n = below(g, 3); n > 0; n--) {
        enum ir_type type = below(g, 2) ? IR_F32 : IR_F64;
        uint32_t what = below(g, 10), reg = below(g, TOY_X), f = below(g, TOY_F);
        ir_val v = int_operand(g), last = g->ints.v[g->ints.n - 1];

        if (what < 7 || !g->want->floats) {
            ir_put(g->b, toy_x(reg == BASE_REG ? 9 : reg), 3, below(g, 2) ? v : last);
        } else if (what < 8) {
            unsigned log2 = below(g, 3);
            uint32_t offset = log2 == 2 ? offsetof(struct toy_cpu, word) + 4 * below(g, 4)
                                        : offsetof(struct toy_cpu, byte) + (below(g, 4) << log2);
            ir_put(g->b, offset, log2, v);
        } else {
            ir_putf(g->b, float_reg(g, f, type), type, any(g, floats_of(g, type)));
        }
    }
}

static void gen_guest_insn(struct gen *g)
{
    for (uint32_t n = 1 + below(g, 4); n > 0; n--) {
        uint32_t what = below(g, 16);
        enum ir_type type = below(g, 2) ? IR_F32 : IR_F64;
        if (what < 3)
            gen_state(g);
        else if (what < 6 && g->want->memory)
            gen_memory(g);
        else if (what < 7 && g->want->calls)
            gen_call(g);
        else if (what < 10 && g->want->floats)
            gen_arith(g, type);
        else if (what < 12 && g->want->floats)
            gen_convert(g, type);
        else if (what < 13 && g->want->floats)
            gen_flags(g);
        else if (what < 13 && g->want->memory)
            ir_fence(g->b, below(g, 16), below(g, 16));
        else
            gen_int(g);
    }
}

static void gen_branch(struct gen *g)
{
    ir_val a = int_operand(g), c = int_operand(g);
    enum ir_cond cc = (enum ir_cond)below(g, 10);
    /* mostly one that rarely holds, so that blocks run on */
    if (below(g, 4))
        cc = IR_EQ;
    uint64_t target = BLOCK_PC + 0x10000 + 4 * (uint64_t)below(g, 64);
    ir_brcc(g->b, below(g, 3) ? IR_I64 : IR_W32, cc, a, c, target);
}

void random_ir_block(struct ir_block *b, const struct random_ir *want)
{
    struct gen g = {.b = b, .want = want, .rng = want->seed};
    bool room = true;

    ir_begin(b, BLOCK_PC, (uint32_t)random_u64(&g.rng) & 0xff);
    b->fp_model = want->fp_model;
    for (uint32_t i = 0; room && i < want->guest_insns; i++) {
        uint64_t pc = BLOCK_PC + 4 * (uint64_t)i;
        room = ir_begin_guest(b, pc, 4);
        if (!room)
            break;
        if (i == 0) {
            keep(&g, &g.ints, ir_get(b, toy_x(1), 3));
            keep(&g, &g.ints, ir_const(b, 7));
            if (want->floats) {
                keep(&g, &g.f32s, ir_getf(b, float_reg(&g, 1, IR_F32), IR_F32));
                keep(&g, &g.f64s, ir_getf(b, toy_f(2), IR_F64));
            }
        }
        gen_guest_insn(&g);
        if (want->branches && below(&g, 4) == 0)
            gen_branch(&g);
        else
            gen_puts(&g);
    }
    switch (below(&g, 4)) {
    case 0: ir_jmpr(b, any(&g, &g.ints)); break;
    case 1: ir_leave(b, any(&g, &g.ints)); break;
    default: ir_jmp(b, BLOCK_PC + 4 * (uint64_t)want->guest_insns); break;
    }
}

void random_ir_state(struct toy_cpu *cpu, uint64_t seed)
{
    uint64_t rng = ~seed;

    memset(cpu, 0, sizeof *cpu);
    cpu->run.alone = seed & 1;
    for (unsigned i = 0; i < TOY_X; i++)
        cpu->x[i] = random_value(&rng);
    for (unsigned i = 0; i < TOY_F; i++)
        cpu->f[i] = i & 1 ? UINT64_C(0xffffffff00000000) | random_float(&rng, IR_F32)
                          : random_float(&rng, IR_F64);
    for (unsigned i = 0; i < 4; i++)
        cpu->word[i] = (uint32_t)random_value(&rng);
    for (unsigned i = 0; i < 8; i++)
        cpu->byte[i] = (uint8_t)random_value(&rng);
    cpu->x[BASE_REG] = TOY_BASE + TOY_WINDOW / 2;
    cpu->run.budget = 1000;
}

void random_ir_memory(uint8_t *memory, uint64_t seed)
{
    for (unsigned i = 0; i < TOY_WINDOW; i += 8) {
        uint64_t v = random_u64(&seed);
        v = htole64(v);
        memcpy(memory + i, &v, 8);
    }
}
