/* What data and code go by now, and what it costs to change that. Kernels that run, or keep data, in pages that
 * are not global: each space has what it looks up for itself, and goes by it without C; what is global is still
 * there. Traps and returns from them do not leave generated code. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "frontend/riscv64/priv.h"
#include "tests/translator/run/world.h"

#define COUNT(a) (sizeof(a) / sizeof((a)[0]))
#define CODE     W_RAM
#define CALLEE   (W_RAM + 0x4000)
#define TRAP     (W_RAM + 0x10000)
#define DATA     (W_RAM + 0x20000)
#define LOWER    UINT64_C(0x40000000)
#define UPPER    UINT64_C(0xffffffc000000000)
#define GLOBAL   (UPPER + 0x1000)

enum { SPACES = 2, TURNS = 1000, ROUNDS = 8 };

static void each_way(void (*test)(struct world *))
{
    for (unsigned i = 0; i < world_way_count; i++) {
        static struct world w;
        static const uint32_t handler[] = {I_WFI, 0xffdff06f /* j .-4 */};
        world_open(&w, &world_ways[i]);
        world_code(&w, TRAP, handler, COUNT(handler));
        w.cpu->c.mtvec = TRAP;
        test(&w);
        world_close(&w);
    }
}

static void run_in(struct world *w, uint64_t root, unsigned asid, uint64_t pc)
{
    world_satp(w, root, 3, asid);
    w->cpu->c.priv = RV_PRIV_S;
    w->cpu->run.view_dirty = 1;
    w->cpu->run.pc = pc;
    w->cpu->c.halted = 0;
    world_expect(w, "stop", engine_run(w->engine, 1000000, false), ENGINE_WAIT);
    world_expect(w, "privilege", w->cpu->c.priv, RV_PRIV_S); /* no trap */
}

static uint64_t of_slow_paths(const struct world *w)
{
    const struct engine_stats *s = engine_stats(w->engine);
    return s->slow_loads + s->slow_stores;
}

/* Loops over a page of the space's own and one of all. */
static void access_upper(struct world *w)
{
    const uint32_t code[] = {
        i_ld(A2, A0, 8),
        i_ld(A3, A1, 8),
        i_sd(A2, A0, 16),
        i_sd(A3, A1, 16),
        i_addi(A5, A5, -1),
        i_branch(1, A5, X0, -20),
        I_WFI,
    };
    uint64_t root[SPACES];
    world_code(w, CODE, code, COUNT(code));
    world_poke(w, DATA + 8, 100);
    for (unsigned i = 0; i < SPACES; i++) {
        root[i] = world_root(w);
        world_map(w, root[i], 3, CODE, CODE, PTE_R | PTE_X);
        world_map(w, root[i], 3, UPPER, DATA + (i + 1) * UINT64_C(0x1000), PTE_R | PTE_W);
        world_map(w, root[i], 3, GLOBAL, DATA, PTE_R | PTE_W | PTE_G);
        world_poke(w, DATA + (i + 1) * UINT64_C(0x1000) + 8, 101 + i);
    }
    for (unsigned round = 0; round < ROUNDS; round++)
        for (unsigned i = 0; i < SPACES; i++) {
            uint64_t slow = of_slow_paths(w);
            w->cpu->x[A0] = UPPER;
            w->cpu->x[A1] = GLOBAL;
            w->cpu->x[A5] = TURNS;
            run_in(w, root[i], i + 1, CODE);
            world_expect(w, "own", w->cpu->x[A2], 101 + i);
            world_expect(w, "global", w->cpu->x[A3], 100);
            world_expect(w, "stored", world_peek(w, DATA + (i + 1) * UINT64_C(0x1000) + 16),
                         101 + i);
            slow = of_slow_paths(w) - slow;
            if (slow > (round ? 0 : 16) && !w->way->no_flat && !w->way->interp)
                fail_msg("%s: round %u: %llu slow paths", w->way->name, round,
                         (unsigned long long)slow);
        }
    world_expect(w, "maps with a half of their own", engine_stats(w->engine)->map_leaves,
                 w->way->no_flat ? 0 : SPACES);
}

static void pages_of_one_space_in_the_upper_half_go_inline(void **state)
{
    each_way(access_upper);
}

/* A space comes back when its map is another's: nothing of that one is seen. */
static void take_over_maps(struct world *w)
{
    enum { MANY = 40 };
    const uint32_t code[] = {i_ld(A4, A1, 8), i_ld(A2, A0, 8), i_ld(A3, A0, 8), I_WFI};
    uint64_t root[MANY];
    world_code(w, CODE, code, COUNT(code));
    for (unsigned i = 0; i < MANY; i++) {
        root[i] = world_root(w);
        world_map(w, root[i], 3, CODE, CODE, PTE_R | PTE_X);
        world_map(w, root[i], 3, LOWER, DATA + (uint64_t)i * 0x1000, PTE_R | PTE_W);
        world_map(w, root[i], 3, UPPER + (i % 3) * UINT64_C(0x1000), DATA + (uint64_t)i * 0x1000,
                  PTE_R | PTE_W);
        world_poke(w, DATA + (uint64_t)i * 0x1000 + 8, i);
    }
    for (unsigned round = 0; round < 3; round++)
        for (unsigned i = 0; i < MANY; i++) {
            unsigned at = round & 1 ? i * 7 % MANY : i;
            w->cpu->x[A0] = UPPER + (at % 3) * UINT64_C(0x1000);
            w->cpu->x[A1] = LOWER;
            run_in(w, root[at], at + 1, CODE);
            world_expect(w, "lower half", w->cpu->x[A4], at);
            world_expect(w, "first", w->cpu->x[A2], at);
            world_expect(w, "own", w->cpu->x[A3], at);
        }
}

static void maps_of_many_spaces_are_taken_over_and_show_no_other(void **state)
{
    each_way(take_over_maps);
}

/* Calls through a register, of code in a page of the space's own and in one of all. */
static void call_far(struct world *w)
{
    const uint32_t code[] = {
        i_jalr(RA, A0, 0), i_jalr(RA, A1, 0), i_addi(A5, A5, -1), i_branch(1, A5, X0, -12), I_WFI,
    };
    const uint32_t of_all[] = {i_addi(A3, A3, 1), i_jalr(X0, RA, 0)};
    uint64_t root[SPACES];
    world_code(w, CODE, code, COUNT(code));
    world_code(w, CALLEE, of_all, COUNT(of_all));
    for (unsigned i = 0; i < SPACES; i++) {
        uint64_t frame = CALLEE + (i + 1) * UINT64_C(0x1000);
        const uint32_t own[] = {i_addi(A2, A2, (int)i + 2), i_jalr(X0, RA, 0)};
        world_code(w, frame, own, COUNT(own));
        root[i] = world_root(w);
        world_map(w, root[i], 3, CODE, CODE, PTE_R | PTE_X);
        world_map(w, root[i], 3, UPPER, frame, PTE_R | PTE_X);
        world_map(w, root[i], 3, GLOBAL, CALLEE, PTE_R | PTE_X | PTE_G);
    }
    for (unsigned round = 0; round < ROUNDS; round++)
        for (unsigned i = 0; i < SPACES; i++) {
            uint64_t lookups = engine_stats(w->engine)->lookups;
            w->cpu->x[A0] = UPPER;
            w->cpu->x[A1] = GLOBAL;
            w->cpu->x[A2] = w->cpu->x[A3] = 0;
            w->cpu->x[A5] = TURNS;
            run_in(w, root[i], i + 1, CODE);
            world_expect(w, "own", w->cpu->x[A2], (i + 2) * TURNS);
            world_expect(w, "global", w->cpu->x[A3], TURNS);
            lookups = engine_stats(w->engine)->lookups - lookups;
            /* the last instructions of a run are looked up singly */
            if (lookups > (round ? 4 : 32) && !w->way->code_cache_bytes)
                fail_msg("%s: round %u: %llu lookups", w->way->name, round,
                         (unsigned long long)lookups);
        }
}

static void code_of_one_space_is_in_its_jump_cache(void **state)
{
    each_way(call_far);
}

/* SUM and MXR in windows around loads from a user page and one that may only be executed; then the map of the
 * view with SUM is taken over by other spaces, that of the view without stays. */
static void open_windows(struct world *w)
{
    enum { MANY = 40, CSR_SSTATUS = 0x100, CSRRS = 2, CSRRC = 3 };
    const uint32_t code[] = {
        i_i(0x73, CSRRS, X0, A0, CSR_SSTATUS),
        i_ld(A2, A1, 8),
        i_sd(A5, A1, 16),
        i_i(0x73, CSRRC, X0, A0, CSR_SSTATUS),
        i_ld(A4, S1, 8),
        i_i(0x73, CSRRS, X0, S0, CSR_SSTATUS),
        i_ld(A3, T0, 8),
        i_i(0x73, CSRRC, X0, S0, CSR_SSTATUS),
        i_addi(A5, A5, -1),
        i_branch(1, A5, X0, -36),
        I_WFI,
    };
    const uint64_t load = CODE + 0x800, kernel = LOWER + 0x2000;
    const uint32_t user_load[] = {i_ld(A2, A1, 8), I_WFI};
    uint64_t root[MANY];
    world_code(w, CODE, code, COUNT(code));
    world_code(w, load, user_load, COUNT(user_load));
    for (unsigned i = 0; i < MANY; i++) {
        uint64_t user = DATA + (uint64_t)i * 0x1000;
        root[i] = world_root(w);
        world_map(w, root[i], 3, CODE, CODE, PTE_R | PTE_X);
        world_map(w, root[i], 3, LOWER, user, PTE_R | PTE_W | PTE_U);
        world_map(w, root[i], 3, LOWER + 0x1000, user, PTE_X);
        world_map(w, root[i], 3, kernel, user + 0x1000, PTE_R);
        world_poke(w, user + 8, 500 + i);
    }
    for (unsigned round = 0; round < 4; round++) {
        w->cpu->x[A0] = RV_MSTATUS_SUM;
        w->cpu->x[S0] =
            round ? RV_MSTATUS_SUM : RV_MSTATUS_MXR; /* the pair that is known when it comes back */
        w->cpu->x[A1] = LOWER;
        w->cpu->x[S1] = kernel;
        w->cpu->x[T0] = round ? LOWER : LOWER + 0x1000;
        w->cpu->x[A5] = round == 1 ? 1 : TURNS;
        run_in(w, root[0], 1, CODE);
        world_expect(w, "user's", w->cpu->x[A2], 500);
        world_expect(w, "kernel's", w->cpu->x[A4], 501);
        world_expect(w, "executable", w->cpu->x[A3], 500);
        world_expect(w, "stored", world_peek(w, DATA + 16), 1);
        world_expect(w, "status", w->cpu->c.mstatus & (RV_MSTATUS_SUM | RV_MSTATUS_MXR), 0);
        /* Without SUM it faults, with the same maps about. */
        w->cpu->run.pc = load;
        w->cpu->c.halted = 0;
        world_expect(w, "stop", engine_run(w->engine, 1000, false), ENGINE_WAIT);
        world_expect(w, "cause", w->cpu->c.mcause, RV_CAUSE_LOAD_PAGE);
        w->cpu->c.mstatus |= RV_MSTATUS_SUM;
        for (unsigned i = 1; i < MANY; i++) {
            run_in(w, root[i], i + 1, load);
            world_expect(w, "another's", w->cpu->x[A2], 500 + i);
        }
        w->cpu->c.mstatus &= ~RV_MSTATUS_SUM;
    }
}

static void windows_to_other_views_open_and_close(void **state)
{
    each_way(open_windows);
}

/* Calls of M mode, by S mode. */
static void trap_and_return(struct world *w)
{
    enum { HANDLER = 0x8000, CSR_MEPC = 0x341 };
    const uint32_t code[] = {I_ECALL, i_addi(A5, A5, -1), i_branch(1, A5, X0, -8), I_WFI};
    const uint32_t handler[] = {
        i_i(0x73, 2, T0, X0, CSR_MEPC),
        i_addi(T0, T0, 4),
        i_csrrw(X0, CSR_MEPC, T0),
        i_addi(A3, A3, 1),
        I_MRET,
    };
    uint64_t root = world_root(w);
    world_code(w, CODE, code, COUNT(code));
    world_code(w, W_RAM + HANDLER, handler, COUNT(handler));
    world_map(w, root, 3, CODE, CODE, PTE_R | PTE_X);
    for (unsigned round = 0; round < 3; round++) {
        const struct engine_stats *s = engine_stats(w->engine);
        uint64_t exits = s->exits, retired = engine_retired(w->engine);
        w->cpu->c.mtvec = W_RAM + HANDLER;
        w->cpu->x[A3] = 0;
        w->cpu->x[A5] = TURNS;
        run_in(w, root, 1, CODE);
        world_expect(w, "traps", w->cpu->x[A3], TURNS);
        world_expect(w, "retired", engine_retired(w->engine) - retired, 7 * TURNS + 1);
        exits = s->exits - exits;
        if (exits > (round ? 4 : 32) && !w->way->interp && !w->way->code_cache_bytes)
            fail_msg("%s: generated code was left %llu times", w->way->name,
                     (unsigned long long)exits);
    }
}

static void traps_and_returns_go_on_in_generated_code(void **state)
{
    each_way(trap_and_return);
}

/* Divisions under two rounding modes, each followed by a call of M mode, which switches FP off and on before it
 * takes the flags: none is lost on the way, none of one mode is seen in the other. */
static void trap_with_floats(struct world *w)
{
    enum {
        HANDLER = 0x8000,
        CSR_FFLAGS = 1,
        CSR_FRM = 2,
        CSR_MSTATUS = 0x300,
        CSR_MEPC = 0x341,
        FA0 = 10,
        FA1 = 11,
        DOWN = 2,
        UP = 3,
    };
    const uint32_t divide = 0x53 | 7u << 12 | FA0 << 15 | FA1 << 20 | 0x0du << 25;
    const uint32_t move = 0x53 | 0x71u << 25; /* fmv.x.d */
    const uint32_t code[] = {
        i_i(0x73, 5, X0, DOWN, CSR_FRM),
        divide | 12 << 7,
        I_ECALL,
        i_i(0x73, 5, X0, UP, CSR_FRM),
        divide | 13 << 7,
        I_ECALL,
        move | A0 << 7 | 12 << 15,
        move | A1 << 7 | 13 << 15,
        0x33 | A1 << 7 | A1 << 15 | A0 << 20 | 0x20u << 25, /* sub */
        i_add(A2, A2, A1),
        i_addi(A5, A5, -1),
        i_branch(1, A5, X0, -44),
        I_WFI,
    };
    const uint32_t handler[] = {
        i_i(0x73, 3, X0, S0, CSR_MSTATUS), i_i(0x73, 2, X0, S0, CSR_MSTATUS),
        i_csrrw(T0, CSR_FFLAGS, X0),       i_add(A4, A4, T0),
        i_i(0x73, 2, T0, X0, CSR_MEPC),    i_addi(T0, T0, 4),
        i_csrrw(X0, CSR_MEPC, T0),         I_MRET,
    };
    const double one = 1, three = 3;
    uint64_t root = world_root(w);
    world_code(w, CODE, code, COUNT(code));
    world_code(w, W_RAM + HANDLER, handler, COUNT(handler));
    world_map(w, root, 3, CODE, CODE, PTE_R | PTE_X);
    for (unsigned round = 0; round < 2; round++) {
        w->cpu->c.mtvec = W_RAM + HANDLER;
        w->cpu->c.mstatus |= RV_MSTATUS_FS;
        memcpy(&w->cpu->f[FA0], &one, 8);
        memcpy(&w->cpu->f[FA1], &three, 8);
        w->cpu->x[S0] = RV_MSTATUS_FS;
        w->cpu->x[A2] = w->cpu->x[A4] = 0;
        w->cpu->x[A5] = TURNS;
        run_in(w, root, 1, CODE);
        world_expect(w, "one unit apart each time", w->cpu->x[A2], TURNS);
        world_expect(w, "inexact each time", w->cpu->x[A4], 2 * TURNS);
    }
}

static void traps_keep_rounding_and_flags(void **state)
{
    each_way(trap_with_floats);
}

static void run_as(struct world *w, unsigned priv)
{
    w->cpu->c.priv = (uint8_t)priv;
    w->cpu->run.view_dirty = 1;
    w->cpu->run.pc = CODE;
    w->cpu->c.halted = 0;
    world_expect(w, "stop", engine_run(w->engine, 1000, false), ENGINE_WAIT);
    world_expect(w, "privilege", w->cpu->c.priv, priv);
}

/* M mode that reads by the tables of more spaces than there are maps: code and its jump cache stay the same. */
static void read_many_spaces(struct world *w)
{
    enum { MANY = 40 };
    const uint32_t code[] = {i_ld(A2, A0, 8), I_WFI};
    uint64_t root[MANY];
    world_code(w, CODE, code, COUNT(code));
    for (unsigned i = 0; i < MANY; i++) {
        root[i] = world_root(w);
        world_map(w, root[i], 3, LOWER, DATA + (uint64_t)i * 0x1000, PTE_R);
        world_poke(w, DATA + (uint64_t)i * 0x1000 + 8, 700 + i);
    }
    w->cpu->x[A0] = LOWER;
    w->cpu->c.mstatus |= RV_MSTATUS_MPRV | (uint64_t)RV_PRIV_S << RV_MSTATUS_MPP_SHIFT;
    for (unsigned round = 0; round < 3; round++)
        for (unsigned i = 0; i < MANY; i++) {
            unsigned at = round & 1 ? i * 7 % MANY : i;
            world_satp(w, root[at], 3, at + 1);
            run_as(w, RV_PRIV_M);
            world_expect(w, "the space's", w->cpu->x[A2], 700 + at);
        }
}

static void maps_that_were_taken_over_are_not_gone_back_to(void **state)
{
    each_way(read_many_spaces);
}

/* frm, which is a constant of its block: more kinds of blocks than there are jump caches, of two spaces and of
 * one. */
static void read_many_flags(struct world *w)
{
    enum { KINDS = 32, CSR_FRM = 2 };
    const uint32_t code[] = {i_i(0x73, 2, A2, X0, CSR_FRM), I_WFI};
    uint64_t root = world_root(w);
    world_code(w, CODE, code, COUNT(code));
    world_map(w, root, 3, CODE, CODE, PTE_R | PTE_X);
    world_satp(w, root, 3, 1);
    for (unsigned round = 0; round < 6; round++)
        for (unsigned i = 0; i < KINDS; i++) {
            unsigned at = round & 1 ? i * 7 % KINDS : i;
            bool one = round > 2;
            w->cpu->c.menvcfg = one && at & 16 ? RV_ENVCFG_CBZE : 0;
            w->cpu->c.frm = at & 7;
            w->cpu->c.mstatus &= ~RV_MSTATUS_FS;
            w->cpu->c.mstatus |= (uint64_t)(at & 8 ? 1 : 3) << RV_MSTATUS_FS_SHIFT;
            run_as(w, at & 16 && !one ? RV_PRIV_M : RV_PRIV_S);
            world_expect(w, "frm", w->cpu->x[A2], at & 7);
        }
}

static void jump_caches_that_were_taken_over_are_not_gone_back_to(void **state)
{
    each_way(read_many_flags);
}

/* The page that code runs in becomes another: what is behind the fence is that one's. */
static void move_own_page(struct world *w)
{
    enum { FRAMES = 2, WORDS = 4 };
    const uint64_t tables = LOWER + 0x1000;
    uint64_t root = world_root(w), pte[FRAMES], at = root + 8 * (LOWER >> 30);
    for (unsigned i = 0; i < FRAMES; i++) {
        const uint32_t code[WORDS] = {
            i_sd(A2, A3, 0),
            I_SFENCE | A0 << 15,
            i_addi(A4, A4, (int)i + 1),
            I_WFI,
        };
        world_code(w, CODE + i * UINT64_C(0x1000), code, WORDS);
        world_map(w, root, 3, LOWER, CODE + i * UINT64_C(0x1000), PTE_R | PTE_X);
        uint64_t level = at;
        for (unsigned n = 0; n < 2; n++)
            level = world_peek(w, level) >> 10 << 12;
        pte[i] = world_peek(w, level);
        world_map(w, root, 3, tables, level, PTE_R | PTE_W);
    }
    w->cpu->x[A0] = LOWER;
    w->cpu->x[A3] = tables;
    for (unsigned round = 0; round < ROUNDS; round++) {
        unsigned to = round / 2 & 1; /* the other one, and then the same */
        w->cpu->x[A2] = pte[to];
        w->cpu->x[A4] = 0;
        run_in(w, root, 1, LOWER);
        world_expect(w, "of the new page", w->cpu->x[A4], to + 1);
    }
}

static void what_follows_a_fence_of_its_own_page_is_fetched_anew(void **state)
{
    each_way(move_own_page);
}

/* M mode moves a page that its caller jumps to, or does not, and has it jump there or call again at once. */
static void move_callers_page(struct world *w)
{
    enum { HANDLER = 0x8000, STEPS_AT = 0x9000, CSR_MEPC = 0x341, STAY = 1, STEPS = 8, AGAIN = 4 };
    static const struct {
        unsigned stay, move;
    } steps[STEPS] = {{0, 1}, {STAY, 2}, {STAY, 0}, {0, 0}, {STAY, 1}, {STAY, 0}, {0, 2}, {0, 0}};
    const uint32_t caller[] = {i_branch(1, T0, X0, 8), 0x7fd0006f /* j .+0xffc */, I_ECALL};
    const uint32_t handler[] = {
        i_ld(T0, S0, 0),
        i_ld(A2, S0, 8),
        i_addi(S0, S0, 16),
        i_branch(0, A2, X0, 12),
        i_sd(A2, A3, 0),
        I_SFENCE | A0 << 15,
        i_csrrw(X0, CSR_MEPC, A1),
        i_addi(A5, A5, -1),
        i_branch(0, A5, X0, 8),
        I_MRET,
        I_WFI,
    };
    const uint64_t there = LOWER + 0x1000;
    uint64_t root = world_root(w), pte[3] = {0}, level = root + 8 * (LOWER >> 30), sum = 0;
    world_code(w, CODE, caller, COUNT(caller));
    world_map(w, root, 3, LOWER, CODE, PTE_R | PTE_X);
    for (unsigned n = 0; n < 2; n++)
        level = (world_peek(w, level) >> 10 << 12) + (n ? 8 : 0);
    for (unsigned i = 1; i < COUNT(pte); i++) {
        const uint32_t code[] = {i_addi(A4, A4, (int)i), I_ECALL};
        world_code(w, CODE + i * UINT64_C(0x1000), code, COUNT(code));
        world_map(w, root, 3, there, CODE + i * UINT64_C(0x1000), PTE_R | PTE_X);
        pte[i] = world_peek(w, level);
    }
    for (unsigned i = 0, at = 0; i < AGAIN * STEPS; i++) {
        unsigned step = i % STEPS;
        at = steps[step].move ? steps[step].move : at;
        sum += steps[step].stay || i + 1 == AGAIN * STEPS ? 0 : at;
        world_poke(w, W_RAM + STEPS_AT + 16 * i, steps[step].stay);
        world_poke(w, W_RAM + STEPS_AT + 16 * i + 8, pte[steps[step].move]);
    }
    world_code(w, W_RAM + HANDLER, handler, COUNT(handler));
    w->cpu->c.mtvec = W_RAM + HANDLER;
    w->cpu->x[S0] = W_RAM + STEPS_AT;
    w->cpu->x[A0] = there;
    w->cpu->x[A1] = LOWER;
    w->cpu->x[A3] = level;
    w->cpu->x[A4] = 0;
    w->cpu->x[A5] = AGAIN * STEPS;
    w->cpu->x[T0] = STAY;
    world_satp(w, root, 3, 1);
    w->cpu->c.priv = RV_PRIV_S;
    w->cpu->run.view_dirty = 1;
    w->cpu->run.pc = LOWER;
    w->cpu->c.halted = 0;
    world_expect(w, "stop", engine_run(w->engine, 1000000, false), ENGINE_WAIT);
    world_expect(w, "of the page of then", w->cpu->x[A4], sum);
}

static void callers_go_on_in_the_page_of_now(void **state)
{
    each_way(move_callers_page);
}

/* Code goes on behind a fence of a page of data, and sees what the fence is about. */
static void fence_data(struct world *w)
{
    const uint32_t code[] = {
        i_ld(A2, A0, 8),    i_sd(A1, A3, 0),          I_SFENCE | A0 << 15,
        i_ld(A4, A0, 8),    i_sd(S0, A3, 0),          I_SFENCE | A0 << 15,
        i_addi(A5, A5, -1), i_branch(1, A5, X0, -28), I_WFI,
    };
    uint64_t root = world_root(w), level = root + 8 * (LOWER >> 30);
    world_code(w, CODE, code, COUNT(code));
    world_map(w, root, 3, CODE, CODE, PTE_R | PTE_X);
    world_map(w, root, 3, LOWER, DATA + 0x1000, PTE_R);
    for (unsigned n = 0; n < 2; n++)
        level = world_peek(w, level) >> 10 << 12;
    world_map(w, root, 3, LOWER + 0x1000, level, PTE_R | PTE_W);
    w->cpu->x[A1] = world_peek(w, level);
    world_map(w, root, 3, LOWER, DATA, PTE_R);
    w->cpu->x[S0] = world_peek(w, level);
    world_poke(w, DATA + 8, 1);
    world_poke(w, DATA + 0x1008, 2);
    w->cpu->x[A0] = LOWER;
    w->cpu->x[A3] = LOWER + 0x1000;
    w->cpu->x[A5] = TURNS;
    run_in(w, root, 1, CODE);
    const struct engine_stats *s = engine_stats(w->engine);
    world_expect(w, "before", w->cpu->x[A2], 1);
    world_expect(w, "behind", w->cpu->x[A4], 2);
    if (s->exits + s->exits_saved > 64 && !w->way->interp && !w->way->code_cache_bytes)
        fail_msg("%s: blocks ended %llu times", w->way->name,
                 (unsigned long long)(s->exits + s->exits_saved));
}

static void code_goes_on_behind_a_fence_of_data(void **state)
{
    each_way(fence_data);
}

/* The handler of a call waits with FP off: what the caller's division raised is known by then. */
static void wait_without_floats(struct world *w)
{
    enum { HANDLER = 0x8000, CSR_MSTATUS = 0x300, FA0 = 10, FA1 = 11, FA2 = 12 };
    const uint32_t code[] = {
        0x53 | 7u << 12 | FA0 << 15 | FA1 << 20 | 0x0du << 25 | FA2 << 7, /* fdiv.d */
        I_ECALL,
    };
    const uint32_t handler[] = {
        i_i(0x73, 3, X0, S0, CSR_MSTATUS),
        i_addi(A5, A5, 1),
        I_WFI,
    };
    const double one = 1, three = 3;
    uint64_t root = world_root(w);
    world_code(w, CODE, code, COUNT(code));
    world_code(w, W_RAM + HANDLER, handler, COUNT(handler));
    world_map(w, root, 3, CODE, CODE, PTE_R | PTE_X);
    world_satp(w, root, 3, 1);
    w->cpu->c.mtvec = W_RAM + HANDLER;
    memcpy(&w->cpu->f[FA0], &one, 8);
    memcpy(&w->cpu->f[FA1], &three, 8);
    w->cpu->x[S0] = RV_MSTATUS_FS;
    w->cpu->x[A5] = 0;
    for (unsigned round = 0; round < ROUNDS; round++) {
        w->cpu->run.fp_flags = 0;
        w->cpu->c.mstatus |= RV_MSTATUS_FS;
        w->cpu->c.priv = RV_PRIV_S;
        w->cpu->c.halted = 0;
        w->cpu->run.view_dirty = 1;
        w->cpu->run.pc = CODE;
        world_expect(w, "stop", engine_run(w->engine, 1000, false), ENGINE_WAIT);
        world_expect(w, "inexact", w->cpu->run.fp_flags, IR_FP_NX);
        world_expect(w, "handled", w->cpu->x[A5], round + 1);
        world_expect(w, "off", w->cpu->c.mstatus & RV_MSTATUS_FS, 0);
    }
}

static void flags_are_known_where_fp_is_off(void **state)
{
    each_way(wait_without_floats);
}

/* Each call traps again: nothing retires, and yet the run ends, at the same count in all ways. */
static void trap_for_ever(struct world *w)
{
    const uint32_t code[] = {i_addi(A5, A5, 1), I_ECALL}, again = I_ECALL;
    uint64_t retired = engine_retired(w->engine);
    world_code(w, CODE, code, COUNT(code));
    world_code(w, W_RAM + 0x8000, &again, 1);
    w->cpu->c.mtvec = W_RAM + 0x8000;
    w->cpu->run.pc = CODE;
    world_expect(w, "stop", engine_run(w->engine, 500, true), ENGINE_BUDGET);
    world_expect(w, "counted", engine_retired(w->engine) - retired, 500);
    world_expect(w, "pc", w->cpu->run.pc, W_RAM + 0x8000);
}

static void a_handler_that_traps_at_once_ends_with_the_run(void **state)
{
    each_way(trap_for_ever);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(pages_of_one_space_in_the_upper_half_go_inline),
        cmocka_unit_test(maps_of_many_spaces_are_taken_over_and_show_no_other),
        cmocka_unit_test(code_of_one_space_is_in_its_jump_cache),
        cmocka_unit_test(windows_to_other_views_open_and_close),
        cmocka_unit_test(traps_and_returns_go_on_in_generated_code),
        cmocka_unit_test(traps_keep_rounding_and_flags),
        cmocka_unit_test(maps_that_were_taken_over_are_not_gone_back_to),
        cmocka_unit_test(jump_caches_that_were_taken_over_are_not_gone_back_to),
        cmocka_unit_test(what_follows_a_fence_of_its_own_page_is_fetched_anew),
        cmocka_unit_test(callers_go_on_in_the_page_of_now),
        cmocka_unit_test(code_goes_on_behind_a_fence_of_data),
        cmocka_unit_test(flags_are_known_where_fp_is_off),
        cmocka_unit_test(a_handler_that_traps_at_once_ends_with_the_run),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
