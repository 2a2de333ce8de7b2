/*
 * Every floating-point operation of the decode table, in every rounding mode (in the instruction and
 * in frm), over operands from all corners of its format: translated code, with and without the
 * host's extensions, against the interpreter, whose arithmetic is the exact soft-float's. Results and
 * flags must agree. Half-precision arithmetic, which goes by way of wider formats, is compared with
 * exact integers too.
 *
 * A guest loop takes operands from memory and leaves results there, so that one block serves all
 * vectors of an operation.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "frontend/riscv64/decode_tables.h"
#include "tests/frontend/riscv64/fp/half_exact.h"
#include "frontend/riscv64/priv.h"
#include "tests/translator/run/world.h"

enum {
    LOOP_INSNS = 13,
    MAX_VECTORS = 30000,
    IN_BYTES = 24,
    OUT_BYTES = 16,
};
#define IN  (W_RAM + 0x10000)
#define OUT (IN + (uint64_t)MAX_VECTORS * IN_BYTES)

enum width { SINGLE, DOUBLE, HALF, INTEGER };

struct vector {
    uint64_t a, b, c;
};

struct result {
    uint64_t value, flags;
};

/* The ways to run: the reference first. */
enum { WAYS = 3 };
static const unsigned ways[WAYS] = {0 /* interpreter */, 1 /* flat */, 4 /* plain x86-64 */};

struct fixture {
    struct world w[WAYS];
    struct vector in[MAX_VECTORS];
    struct result out[WAYS][MAX_VECTORS];
    unsigned count;
    unsigned long long compared;
};

/* --- operands ----------------------------------------------------------------------------------- */

struct shape {
    uint8_t exp_bits, frac_bits;
};
static const struct shape shapes[] = {[SINGLE] = {8, 23}, [DOUBLE] = {11, 52}, [HALF] = {5, 10}};

static uint64_t boxed(enum width w, uint64_t bits)
{
    static const uint64_t box[] = {[SINGLE] = UINT64_C(0xffffffff00000000),
                                   [DOUBLE] = 0,
                                   [HALF] = UINT64_C(0xffffffffffff0000)};
    return box[w] | bits;
}

/* The i-th operand of a format, as it stands in a register; false past the last one. The first
 * eleven are those that a short list needs. */
static bool operand(enum width w, unsigned i, uint64_t *out)
{
    static const struct {
        int16_t exp;       /* from the bias; or -1000: field 0, 1000: all ones */
        uint16_t fraction; /* top 10 bits */
        int8_t low;        /* added to the whole fraction */
    } list[] = {
        {-1000, 0, 0},     {1000, 0, 0},      {0, 0, 0},       {1000, 0x200, 0}, {1000, 0, 1},
        {0, 0, 1},         {0, 0x3ff, 0},     {-1000, 0, 1},   {-999, 0, 0},     {999, 0x3ff, 0},
        {1, 0x200, 0},     {-1000, 0x3ff, 0}, {-999, 0, 1},    {999, 0, 0},      {-1, 0x155, 0},
        {3, 0x2aa, 1},     {4, 0x001, 0},     {9, 0x3ff, 0},   {10, 0x200, 1},   {11, 0x001, 0},
        {14, 0x100, 0},    {15, 0x3ff, 0},    {-7, 0x333, 0},  {-8, 0, 1},       {-12, 0x3ff, 0},
        {-13, 0, 0},       {22, 0x3ff, 0},    {23, 0, 1},      {24, 0x0f0, 0},   {30, 0x3ff, 0},
        {31, 0, 0},        {32, 0, 1},        {52, 0x300, 1},  {53, 0, 1},       {62, 0x3ff, 0},
        {63, 0, 0},        {64, 0, 0},        {-24, 0x001, 0}, {-52, 0, 0},      {-64, 0x2aa, 0},
        {-1000, 0x200, 0},
    };
    enum { COUNT = sizeof list / sizeof list[0] };
    const struct shape s = shapes[w];
    int bias = (1 << (s.exp_bits - 1)) - 1, max = 2 * bias + 1;
    unsigned n = i / 2;
    if (n == COUNT) { /* not boxed; of a double: just another number */
        *out = i & 1 ? UINT64_C(0x7ffffffe3f803c00) : UINT64_C(0xffffffff7fff3c00);
        return true;
    }
    if (n > COUNT)
        return false;
    int exp = list[n].exp == -1000 ? 0 : list[n].exp == -999 ? 1 : bias + list[n].exp;
    exp = list[n].exp == 1000 ? max : list[n].exp == 999 ? max - 1 : exp;
    if (exp < 0 || exp > max) /* beyond this format: something in it */
        exp = (exp & 7) + 1;
    uint64_t frac = (uint64_t)list[n].fraction << (s.frac_bits - 10);
    if (list[n].fraction == 0x3ff)
        frac = (UINT64_C(1) << s.frac_bits) - 1;
    frac += (uint64_t)(int64_t)list[n].low;
    uint64_t sign = (uint64_t)(i & 1) << (s.exp_bits + s.frac_bits);
    *out = boxed(w, sign | (uint64_t)exp << s.frac_bits | frac);
    return true;
}

static bool integer_operand(unsigned i, uint64_t *out)
{
    static const int8_t shift[] = {0,  1,  10, 11, 12, 15, 16, 17, 23,
                                   24, 25, 31, 32, 52, 53, 54, 62, 63};
    enum { EACH = 6 };
    if (i >= EACH * sizeof shift)
        return false;
    uint64_t power = UINT64_C(1) << shift[i / EACH];
    const uint64_t each[EACH] = {power,     power - 1, power + 1,
                                 0 - power, 1 - power, power | power >> 11 | 1};
    *out = each[i % EACH];
    return true;
}

static bool one_operand(enum width w, unsigned i, uint64_t *out)
{
    return w == INTEGER ? integer_operand(i, out) : operand(w, i, out);
}

static void add_vector(struct fixture *f, uint64_t a, uint64_t b, uint64_t c)
{
    assert_true(f->count < MAX_VECTORS);
    f->in[f->count++] = (struct vector){a, b, c};
}

static void make_vectors(struct fixture *f, enum width w, unsigned operands)
{
    enum { SHORT_LIST = 26 };
    uint64_t a, b, c;
    f->count = 0;
    for (unsigned i = 0; one_operand(w, i, &a) && (operands < 3 || i < SHORT_LIST); i++) {
        if (operands == 1)
            add_vector(f, a, 0, 0);
        for (unsigned k = 0; operands > 1 && one_operand(w, k, &b); k++) {
            if (operands == 2)
                add_vector(f, a, b, 0);
            if (k >= SHORT_LIST)
                continue;
            for (unsigned m = 0; operands == 3 && m < SHORT_LIST && one_operand(w, m, &c); m++)
                add_vector(f, a, b, c);
        }
    }
}

/* --- running ------------------------------------------------------------------------------------ */

enum { FA0 = 10, FA1, FA2, FA3, X_INT = 13, X_RESULT = 14, X_FLAGS = 15 };

static uint32_t fld(unsigned rd, unsigned base, int imm)
{
    return i_i(0x07, 3, rd, base, imm);
}

static uint32_t fsd(unsigned rs, unsigned base, int imm)
{
    return i_store(3, rs, base, imm) | 4;
}

static void run_all(struct fixture *f, uint32_t word, bool to_float, unsigned frm)
{
    const uint32_t code[LOOP_INSNS] = {
        fld(FA0, A0, 0),
        fld(FA1, A0, 8),
        fld(FA2, A0, 16),
        i_ld(X_INT, A0, 0),
        i_csrrw(X0, RV_CSR_FFLAGS, X0),
        word,
        i_i(0x73, 2, X_FLAGS, X0, RV_CSR_FFLAGS),
        to_float ? fsd(FA3, A1, 0) : i_sd(X_RESULT, A1, 0),
        i_sd(X_FLAGS, A1, 8),
        i_addi(A0, A0, IN_BYTES),
        i_addi(A1, A1, OUT_BYTES),
        i_addi(A2, A2, -1),
        i_branch(1, A2, X0, -4 * (LOOP_INSNS - 1)),
    };
    for (unsigned k = 0; k < WAYS; k++) {
        struct world *w = &f->w[k];
        world_code(w, W_RAM, code, LOOP_INSNS);
        memcpy(w->ram + (IN - W_RAM), f->in, f->count * sizeof f->in[0]);
        w->cpu->x[A0] = IN;
        w->cpu->x[A1] = OUT;
        w->cpu->x[A2] = f->count;
        w->cpu->c.frm = (uint8_t)frm;
        w->cpu->c.mstatus |= RV_MSTATUS_FS;
        w->cpu->run.view_dirty = 1;
        w->cpu->run.pc = W_RAM;
        assert_int_equal(engine_run(w->engine, (uint64_t)f->count * LOOP_INSNS, true),
                         ENGINE_BUDGET);
        assert_int_equal(w->cpu->x[A2], 0);
        memcpy(f->out[k], w->ram + (OUT - W_RAM), f->count * sizeof f->out[0][0]);
    }
}

static void compare_ways(struct fixture *f, const char *name, unsigned rm, unsigned frm)
{
    for (unsigned k = 1; k < WAYS; k++)
        for (unsigned i = 0; i < f->count; i++) {
            const struct result *got = &f->out[k][i], *want = &f->out[0][i];
            if (got->value != want->value || got->flags != want->flags)
                fail_msg("%s, rm %u, frm %u, %s: %#llx %#llx %#llx gives %#llx flags %#llx, not "
                         "%#llx flags %#llx",
                         name, rm, frm, f->w[k].way->name, (unsigned long long)f->in[i].a,
                         (unsigned long long)f->in[i].b, (unsigned long long)f->in[i].c,
                         (unsigned long long)got->value, (unsigned long long)got->flags,
                         (unsigned long long)want->value, (unsigned long long)want->flags);
        }
    f->compared += f->count;
}

/* --- halves ------------------------------------------------------------------------------------- */

static uint16_t unboxed(uint64_t bits)
{
    return bits >> 16 == UINT64_C(0xffffffffffff) ? (uint16_t)bits : 0x7e00;
}

/* The exact result of op; false where exact integers have no say. */
static bool exact_half(enum rv_op op, const struct vector *v, enum ir_round rm, struct result *out)
{
    uint16_t a = unboxed(v->a), b = unboxed(v->b), c = unboxed(v->c), r;
    uint32_t flags = 0;
    bool minus = v->a >> 63;
    switch (op) {
    case RV_OP_FADD_H: r = half_exact(HALF_ADD, a, b, 0, rm, &flags); break;
    case RV_OP_FSUB_H: r = half_exact(HALF_SUB, a, b, 0, rm, &flags); break;
    case RV_OP_FMUL_H: r = half_exact(HALF_MUL, a, b, 0, rm, &flags); break;
    case RV_OP_FDIV_H: r = half_exact(HALF_DIV, a, b, 0, rm, &flags); break;
    case RV_OP_FSQRT_H: r = half_exact(HALF_SQRT, a, 0, 0, rm, &flags); break;
    case RV_OP_FMADD_H: r = half_exact(HALF_FMA, a, b, c, rm, &flags); break;
    case RV_OP_FMSUB_H: r = half_exact(HALF_FMA, a, b, c ^ 0x8000, rm, &flags); break;
    case RV_OP_FNMSUB_H: r = half_exact(HALF_FMA, a ^ 0x8000, b, c, rm, &flags); break;
    case RV_OP_FNMADD_H: r = half_exact(HALF_FMA, a ^ 0x8000, b, c ^ 0x8000, rm, &flags); break;
    case RV_OP_FCVT_H_L: r = half_of_integer(minus ? 0 - v->a : v->a, minus, rm, &flags); break;
    case RV_OP_FCVT_H_LU: r = half_of_integer(v->a, false, rm, &flags); break;
    case RV_OP_FCVT_H_WU: r = half_of_integer((uint32_t)v->a, false, rm, &flags); break;
    default: return false;
    }
    *out = (struct result){boxed(HALF, r), flags};
    return true;
}

static void compare_exact(struct fixture *f, enum rv_op op, enum ir_round rm)
{
    struct result want;
    for (unsigned i = 0; i < f->count && exact_half(op, &f->in[i], rm, &want); i++) {
        const struct result *got = &f->out[1][i];
        if (got->value != want.value || got->flags != want.flags)
            fail_msg("%s, rm %u: %#llx %#llx %#llx gives %#llx flags %#llx, exactly %#llx flags "
                     "%#llx",
                     rv_op_name(op), rm, (unsigned long long)f->in[i].a,
                     (unsigned long long)f->in[i].b, (unsigned long long)f->in[i].c,
                     (unsigned long long)got->value, (unsigned long long)got->flags,
                     (unsigned long long)want.value, (unsigned long long)want.flags);
    }
}

/* --- every operation ---------------------------------------------------------------------------- */

/* How an instruction's format has its operands. */
struct form {
    const char *format;
    uint8_t operands;
    bool to_float, from_integer;
};
static const struct form forms[] = {
    {"fr", 2, true, false},     {"fr_rm", 2, true, false}, {"fr4", 3, true, false},
    {"ff_rm", 1, true, false},  {"fcmp", 2, false, false}, {"xf", 1, false, false},
    {"xf_rm", 1, false, false}, {"fx", 1, true, true},     {"fx_rm", 1, true, true},
};

static const struct form *form_of(const struct rv_pattern *p)
{
    for (unsigned i = 0; i < sizeof forms / sizeof forms[0]; i++)
        if (p->len == 4 && !strcmp(rv_format(p->format)->name, forms[i].format))
            return &forms[i];
    return NULL;
}

/* Bits 26:25, but of conversions between formats (funct5 8, rs2 0 to 2), whose source rs2 names. */
static enum width source_width(const struct rv_pattern *p, const struct form *form)
{
    unsigned rs2 = p->match >> 20 & 31;
    if (form->from_integer)
        return INTEGER;
    if (form->operands == 1 && p->match >> 27 == 8 && rs2 < 3)
        return (enum width)rs2;
    return (enum width)(p->match >> 25 & 3);
}

static void try_operation(struct fixture *f, const struct rv_pattern *p, const struct form *form)
{
    bool rounds = (p->mask >> 12 & 7) == 0;
    unsigned rd = form->to_float ? FA3 : X_RESULT, rs1 = form->from_integer ? X_INT : FA0;
    uint32_t word = p->match | rd << 7 | rs1 << 15;
    if (form->operands > 1)
        word |= (uint32_t)FA1 << 20;
    if (form->operands > 2)
        word |= (uint32_t)FA2 << 27;
    make_vectors(f, source_width(p, form), form->operands);
    for (unsigned mode = 0; mode < (rounds ? 10u : 1u); mode++) {
        unsigned frm = mode < 5 ? mode * 3 % 5 : mode - 5, rm = mode < 5 ? mode : 7;
        run_all(f, word | (rounds ? rm << 12 : 0), form->to_float, frm);
        compare_ways(f, p->name, rm, frm);
        compare_exact(f, (enum rv_op)p->op, (enum ir_round)(rm == 7 ? frm : rm));
    }
}

static void host_arithmetic_is_exact(void **state)
{
    struct fixture *f = *state;
    unsigned operations = 0;
    for (size_t i = 0; i < rv_pattern_count(); i++) {
        const struct form *form = form_of(rv_pattern(i));
        if (!form || rv_pattern(i)->hidden)
            continue;
        try_operation(f, rv_pattern(i), form);
        operations++;
    }
    print_message("%u operations, %llu vectors\n", operations, f->compared);
    assert_true(operations > 100);
}

/* All halves, through what takes one operand. */
static void every_half_converts_exactly(void **state)
{
    struct fixture *f = *state;
    for (size_t i = 0; i < rv_pattern_count(); i++) {
        const struct rv_pattern *p = rv_pattern(i);
        const struct form *form = form_of(p);
        if (!form || p->hidden || form->operands != 1 || source_width(p, form) != HALF)
            continue;
        unsigned rd = form->to_float ? FA3 : X_RESULT;
        bool rounds = (p->mask >> 12 & 7) == 0;
        for (uint32_t start = 0; start < 0x10000; start += 0x4000) {
            f->count = 0;
            for (uint32_t h = start; h < start + 0x4000; h++)
                add_vector(f, boxed(HALF, h), 0, 0);
            unsigned mode = rounds ? start / 0x4000 + (unsigned)i % 2 : 0;
            run_all(f, p->match | rd << 7 | FA0 << 15 | mode << 12, form->to_float, mode);
            compare_ways(f, p->name, mode, mode);
            compare_exact(f, (enum rv_op)p->op, (enum ir_round)mode);
        }
    }
}

static int open_worlds(void **state)
{
    struct fixture *f = calloc(1, sizeof *f);
    if (!f)
        return -1;
    for (unsigned k = 0; k < WAYS; k++)
        world_open(&f->w[k], &world_ways[ways[k]]);
    *state = f;
    return 0;
}

static int close_worlds(void **state)
{
    struct fixture *f = *state;
    for (unsigned k = 0; k < WAYS; k++)
        world_close(&f->w[k]);
    free(f);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(host_arithmetic_is_exact),
        cmocka_unit_test(every_half_converts_exactly),
    };
    return cmocka_run_group_tests(tests, open_worlds, close_worlds);
}
