/* Chains of float arithmetic over few registers, pinned and not, in which NaNs come up all the time:
 * whatever is stored, moved, compared or left in a register must be the canonical one. The model is
 * the exact soft-float. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "frontend/riscv64/priv.h"
#include "translator/ir/softfloat/softfloat.h"
#include "tests/translator/run/world.h"

enum { LENGTH = 24, PROGRAMS = 400, STATES = 4, REGS = 6 };
#define CODE W_RAM
#define DATA (W_RAM + 0x20000)

enum op { ADD, SUB, MUL, DIV, SQRT, FMADD, MOVE, NEGATE, STORE, LOAD, EQUAL, BRANCH, OPS };

struct step {
    uint8_t op, d, a, b, c; /* registers by number in regs */
};

struct model {
    uint64_t f[REGS], memory[LENGTH], x;
    uint32_t flags;
};

static const uint8_t regs[REGS] = {15, 14, 10, 8, 29, 26}; /* the last two live in state */

static uint32_t below(uint64_t *rng, uint32_t n)
{
    *rng = *rng * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
    return (uint32_t)((*rng >> 33) % n);
}

static uint64_t value(uint64_t *rng)
{
    static const uint64_t v[] = {
        0,
        UINT64_C(0x8000000000000000),
        UINT64_C(0x3ff0000000000000),
        UINT64_C(0xc008000000000000),
        UINT64_C(0x7ff0000000000000),
        UINT64_C(0xfff0000000000000),
        UINT64_C(0x7ff8000000000000),
        UINT64_C(0xfff8000000000123), /* NaNs of other kinds, as a load may bring */
        UINT64_C(0x7ff0000000000001),
        UINT64_C(0x0000000000000001),
    };
    return v[below(rng, sizeof v / sizeof v[0])];
}

static void make(struct step *s, uint64_t *rng)
{
    for (unsigned k = 0; k < LENGTH; k++) {
        uint32_t r = below(rng, 100);
        unsigned op = r < 75 ? r % (FMADD + 1) : MOVE + r % (OPS - MOVE);
        s[k] = (struct step){.op = (uint8_t)op,
                             .d = (uint8_t)below(rng, REGS),
                             .a = (uint8_t)below(rng, REGS),
                             .b = (uint8_t)below(rng, REGS),
                             .c = (uint8_t)below(rng, REGS)};
    }
}

static uint32_t encode(const struct step *s, unsigned at)
{
    static const uint8_t f7[] = {0x01, 0x05, 0x09, 0x0d, 0x2d};
    uint32_t d = regs[s->d], a = regs[s->a], b = regs[s->b];
    int offset = (int)(8 * at);
    switch (s->op) {
    case SQRT: b = 0; /* fallthrough */
    case ADD:
    case SUB:
    case MUL:
    case DIV: return 0x53u | (uint32_t)f7[s->op] << 25 | b << 20 | a << 15 | d << 7;
    case FMADD: return 0x43u | (uint32_t)regs[s->c] << 27 | 1u << 25 | b << 20 | a << 15 | d << 7;
    case MOVE: return 0x53u | 0x11u << 25 | a << 20 | a << 15 | d << 7;
    case NEGATE: return 0x53u | 0x11u << 25 | a << 20 | a << 15 | 1u << 12 | d << 7;
    case STORE: return (i_store(3, a, S0, offset) & ~0x7fu) | 0x27;
    case LOAD: return (i_i(0x03, 3, d, S0, offset) & ~0x7fu) | 0x07;
    case EQUAL: return 0x53u | 0x51u << 25 | b << 20 | a << 15 | 2u << 12 | A0 << 7;
    default: return i_branch(0, X0, X0, 4); /* taken, to the next instruction */
    }
}

static void step(struct model *m, const struct step *s, unsigned at)
{
    uint64_t a = m->f[s->a], b = m->f[s->b], *d = &m->f[s->d];
    switch (s->op) {
    case ADD: *d = sf_add64(a, b, SF_RNE, &m->flags); break;
    case SUB: *d = sf_sub64(a, b, SF_RNE, &m->flags); break;
    case MUL: *d = sf_mul64(a, b, SF_RNE, &m->flags); break;
    case DIV: *d = sf_div64(a, b, SF_RNE, &m->flags); break;
    case SQRT: *d = sf_sqrt64(a, SF_RNE, &m->flags); break;
    case FMADD: *d = sf_fma64(a, b, m->f[s->c], SF_RNE, &m->flags); break;
    case MOVE: *d = a; break;
    case NEGATE: *d = a ^ UINT64_C(1) << 63; break;
    case STORE: m->memory[at] = a; break;
    case LOAD: *d = m->memory[at]; break;
    case EQUAL: m->x = (uint64_t)sf_eq64(a, b, &m->flags); break;
    default: break;
    }
}

static void run_and_compare(struct world *w, const struct step *s, unsigned program, uint64_t *rng)
{
    struct model m = {0};
    for (unsigned k = 0; k < REGS; k++)
        w->cpu->f[regs[k]] = m.f[k] = value(rng);
    for (unsigned k = 0; k < LENGTH; k++)
        world_poke(w, DATA + 8 * k, m.memory[k] = value(rng));
    w->cpu->x[A0] = 0;
    w->cpu->x[S0] = DATA;
    w->cpu->run.fp_flags = 0;
    w->cpu->run.pc = CODE;
    w->cpu->c.halted = 0;
    w->cpu->run.view_dirty = 1;
    assert_int_equal(engine_run(w->engine, 1000, false), ENGINE_WAIT);
    for (unsigned k = 0; k < LENGTH; k++)
        step(&m, &s[k], k);
    for (unsigned k = 0; k < REGS; k++)
        if (w->cpu->f[regs[k]] != m.f[k])
            fail_msg("%s, program %u: f%u is %#llx, should be %#llx", w->way->name, program,
                     regs[k], (unsigned long long)w->cpu->f[regs[k]], (unsigned long long)m.f[k]);
    for (unsigned k = 0; k < LENGTH; k++)
        if (world_peek(w, DATA + 8 * k) != m.memory[k])
            fail_msg("%s, program %u: step %u stored %#llx, should be %#llx", w->way->name, program,
                     k, (unsigned long long)world_peek(w, DATA + 8 * k),
                     (unsigned long long)m.memory[k]);
    if (w->cpu->x[A0] != m.x || w->cpu->run.fp_flags != m.flags)
        fail_msg("%s, program %u: a0 %llu, flags %#x, should be %llu, %#x", w->way->name, program,
                 (unsigned long long)w->cpu->x[A0], w->cpu->run.fp_flags, (unsigned long long)m.x,
                 m.flags);
}

static void nobody_sees_a_nan_that_is_not_canonical(void **state)
{
    for (unsigned way = 0; way < world_way_count; way++) {
        static struct world w;
        world_open(&w, &world_ways[way]);
        w.cpu->c.mstatus |= RV_MSTATUS_FS;
        uint64_t rng = 77;
        for (unsigned program = 0; program < PROGRAMS; program++) {
            struct step s[LENGTH];
            uint32_t code[LENGTH + 1];
            make(s, &rng);
            for (unsigned k = 0; k < LENGTH; k++)
                code[k] = encode(&s[k], k);
            code[LENGTH] = I_WFI;
            world_code(&w, CODE, code, LENGTH + 1);
            for (unsigned k = 0; k < STATES; k++)
                run_and_compare(&w, s, program, &rng);
        }
        world_close(&w);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(nobody_sees_a_nan_that_is_not_canonical),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
