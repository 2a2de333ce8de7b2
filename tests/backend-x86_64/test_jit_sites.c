/* Accesses off one base, which may share a page lookup, against a model in C: pages that are not
 * adjacent, absent or read-only; every size and alignment, over borders; twice and at several bases
 * with the same code. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "frontend/riscv64/priv.h"
#include "tests/translator/run/world.h"

enum { PAGES = 3, ACCESSES = 12, BASES = 6, PROGRAMS = 120 };
#define CODE  W_RAM
#define TRAP  (W_RAM + 0x10000)
#define FRAME (W_RAM + 0x20000)
#define VIRT  UINT64_C(0x40000000)

struct access {
    uint8_t lg, store, sign, moves; /* moves: the base is moved by as much before it */
    int16_t disp;
};

struct trial {
    uint64_t rng;
    struct access a[ACCESSES];
    uint8_t perms[PAGES];
    uint8_t memory[PAGES][4096]; /* as the model has it, by virtual page */
    uint64_t x[32];
    uint32_t faulted; /* index of the access, or ACCESSES */
    uint64_t tval;
};

static uint32_t below(uint64_t *rng, uint32_t n)
{
    *rng = *rng * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
    return (uint32_t)((*rng >> 33) % n);
}

static uint64_t frame_of(unsigned page)
{
    static const uint8_t at[PAGES] = {4, 0, 2};
    return FRAME + 4096u * at[page];
}

static unsigned value_reg(unsigned k)
{
    return 16 + k; /* a6 and up: registers of both kinds, pinned and not */
}

static void make(struct trial *t)
{
    for (unsigned k = 0; k < ACCESSES; k++) {
        struct access *a = &t->a[k];
        a->lg = (uint8_t)below(&t->rng, 4);
        a->store = below(&t->rng, 3) == 0;
        a->sign = !a->store && a->lg < 3 && below(&t->rng, 2);
        a->moves = below(&t->rng, 4) == 0 ? 8 : 0;
        a->disp = (int16_t)(below(&t->rng, 10) ? (int)below(&t->rng, 96) - 48
                                               : (int)below(&t->rng, 1600) - 800);
        if (below(&t->rng, 3))
            a->disp = (int16_t)(a->disp & ~((1 << a->lg) - 1));
    }
}

static void put_code(struct world *w, const struct trial *t)
{
    uint32_t code[2 * ACCESSES + 2];
    unsigned n = 0;
    for (unsigned k = 0; k < ACCESSES; k++) {
        const struct access *a = &t->a[k];
        if (a->moves)
            code[n++] = i_addi(A0, A0, a->moves);
        if (a->store)
            code[n++] = i_store(a->lg, value_reg(k), A0, a->disp);
        else
            code[n++] =
                i_i(0x03, a->lg | (a->sign || a->lg == 3 ? 0u : 4u), value_reg(k), A0, a->disp);
    }
    code[n++] = I_WFI;
    world_code(w, CODE, code, n);
}

static uint8_t *model_byte(struct trial *t, uint64_t va)
{
    return &t->memory[(va - VIRT) >> 12][va & 4095];
}

static bool allowed(const struct trial *t, uint64_t va, bool store)
{
    return va - VIRT < PAGES * 4096u && t->perms[(va - VIRT) >> 12] & (store ? PTE_W : PTE_R);
}

static void model(struct trial *t, uint64_t base)
{
    t->faulted = ACCESSES;
    for (unsigned k = 0; k < ACCESSES; k++) {
        const struct access *a = &t->a[k];
        unsigned size = 1u << a->lg;
        base += a->moves;
        uint64_t va = base + (uint64_t)(int64_t)a->disp, end = va + size - 1, v = 0;
        if (!allowed(t, va, a->store) || !allowed(t, end, a->store)) {
            t->faulted = k;
            t->tval = allowed(t, va, a->store) ? end & ~UINT64_C(4095) : va;
            return;
        }
        for (unsigned b = 0; b < size; b++) {
            if (a->store)
                *model_byte(t, va + b) = (uint8_t)(t->x[value_reg(k)] >> 8 * b);
            else
                v |= (uint64_t)*model_byte(t, va + b) << 8 * b;
        }
        if (a->sign && v >> ((8 * size - 1) & 63))
            v |= ~UINT64_C(0) << 8 * size;
        if (!a->store)
            t->x[value_reg(k)] = v;
    }
}

static void compare(const struct world *w, const struct trial *t, unsigned program, unsigned run)
{
    const struct rv_cpu *c = w->cpu;
    bool same = t->faulted == ACCESSES ? c->c.priv == RV_PRIV_S
                                       : c->c.priv == RV_PRIV_M && c->c.mtval == t->tval &&
                                             c->c.mcause == (t->a[t->faulted].store ? 15 : 13);
    if (!same)
        fail_msg("%s, program %u, run %u: cause %llu, tval %#llx; should be access %u, %#llx",
                 w->way->name, program, run, (unsigned long long)c->c.mcause,
                 (unsigned long long)c->c.mtval, t->faulted, (unsigned long long)t->tval);
    for (unsigned k = 0; k < ACCESSES; k++)
        if (c->x[value_reg(k)] != t->x[value_reg(k)])
            fail_msg("%s, program %u, run %u: access %u read %#llx, should be %#llx", w->way->name,
                     program, run, k, (unsigned long long)c->x[value_reg(k)],
                     (unsigned long long)t->x[value_reg(k)]);
    for (unsigned p = 0; p < PAGES; p++)
        if (memcmp(w->ram + (frame_of(p) - W_RAM), t->memory[p], 4096) != 0)
            fail_msg("%s, program %u, run %u: page %u differs", w->way->name, program, run, p);
}

static void run_once(struct world *w, struct trial *t, uint64_t base, unsigned program,
                     unsigned run)
{
    for (unsigned r = 1; r < 32; r++)
        w->cpu->x[r] = t->x[r] = (uint64_t)below(&t->rng, 1u << 31) * 0x123456789;
    w->cpu->x[A0] = base;
    w->cpu->run.pc = CODE;
    w->cpu->c.priv = RV_PRIV_S;
    w->cpu->c.mcause = w->cpu->c.mtval = 0;
    w->cpu->c.halted = 0;
    w->cpu->run.view_dirty = 1;
    assert_int_equal(engine_run(w->engine, 1000, false), ENGINE_WAIT);
    model(t, base);
    compare(w, t, program, run);
}

static void accesses_of_one_base_do_as_single_ones(void **state)
{
    static const uint32_t handler[] = {I_WFI};
    static struct world w;
    static struct trial t;
    for (unsigned way = 0; way < world_way_count; way++) {
        world_open(&w, &world_ways[way]);
        world_code(&w, TRAP, handler, 1);
        w.cpu->c.mtvec = TRAP;
        uint64_t root = world_root(&w);
        memset(&t, 0, sizeof t);
        world_map(&w, root, 3, CODE, CODE, PTE_R | PTE_X);
        t.rng = 12345;
        for (unsigned program = 0; program < PROGRAMS; program++) {
            for (unsigned p = 0; p < PAGES; p++) {
                static const uint8_t kinds[] = {PTE_R | PTE_W, PTE_R | PTE_W, PTE_R, 0};
                t.perms[p] = p ? kinds[below(&t.rng, 4)] : PTE_R | PTE_W;
                world_map(&w, root, 3, VIRT + 4096u * p, frame_of(p), t.perms[p]);
            }
            world_satp(&w, root, 3, 1 + program); /* nothing is known of it yet */
            make(&t);
            put_code(&w, &t);
            for (unsigned b = 0; b < BASES; b++) {
                uint64_t border = VIRT + 4096u * (1 + below(&t.rng, PAGES - 1));
                uint64_t base = border + below(&t.rng, b % 2 ? 120 : 3000) - (b % 2 ? 60 : 1500);
                if (below(&t.rng, 2))
                    base &= ~UINT64_C(7);
                for (unsigned run = 0; run < 3; run++)
                    run_once(&w, &t, base, program, 3 * b + run);
            }
        }
        world_close(&w);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(accesses_of_one_base_do_as_single_ones),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
