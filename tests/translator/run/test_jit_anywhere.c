/*
 * Programs' code that runs at any address: one physical page in several address spaces, at several
 * addresses, and at several addresses in one space. What it does there is what it would do alone; and it
 * is translated once, or twice where it had one address for a while. Every way of running must do the same.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "frontend/riscv64/priv.h"
#include "tests/translator/run/world.h"

#define COUNT(a) (sizeof(a) / sizeof((a)[0]))
#define TRAP     (W_RAM + 0x10000)
#define CODE     (W_RAM + 0x20000) /* physical, as those below */
#define LEFT     (W_RAM + 0x30000)
#define RIGHT    (W_RAM + 0x40000)
#define HERE     UINT64_C(0x10000)
#define THERE    UINT64_C(0x3654321000)
#define AUIPC(rd) (0x17u | (rd) << 7) /* of this page */
#define ODD      UINT64_C(0x2aaaaab000) /* its page number is odd */

enum { ROUNDS = 6 };

static void each_way(void (*test)(struct world *))
{
    static const uint32_t handler[] = {I_WFI, 0xffdff06f /* j .-4 */};
    for (unsigned i = 0; i < 2 * world_way_count; i++) {
        static struct world w;
        struct world_way way = world_ways[i / 2];
        way.moving_code = i & 1;
        world_open(&w, &way);
        world_code(&w, TRAP, handler, COUNT(handler));
        w.cpu->c.mtvec = TRAP;
        test(&w);
        world_close(&w);
    }
}

static void map(struct world *w, uint64_t root, uint64_t vaddr, uint64_t paddr)
{
    world_map(w, root, 3, vaddr, paddr, PTE_R | PTE_X | PTE_U);
}

static void enter(struct world *w, uint64_t root, unsigned asid, uint64_t pc)
{
    world_satp(w, root, 3, asid);
    w->cpu->run.pc = pc;
    w->cpu->c.priv = RV_PRIV_U;
    w->cpu->c.halted = 0;
    w->cpu->run.view_dirty = 1;
}

/* A program from pc until it traps. */
static void run(struct world *w, uint64_t root, unsigned asid, uint64_t pc)
{
    enter(w, root, asid, pc);
    world_expect(w, "stop", engine_run(w->engine, 1000000, false), ENGINE_WAIT);
}

static uint64_t translated(struct world *w)
{
    return engine_stats(w->engine)->translated_blocks;
}

static bool shares(const struct world *w)
{
    return !w->way->interp && !w->way->code_cache_bytes;
}

/* --- addresses ---------------------------------------------------------------------------------- */

/* A call within the page, an address, a load by it, a far jump by it and a link to the next page. */
static void put_program(struct world *w)
{
    const uint32_t code[] = {
        i_jal(RA, 12),
        AUIPC(A1), /* 1: auipc a1, 0 */
        i_jal(X0, 0x1000 - 8),                 /* to the next page */
        AUIPC(A0), /* auipc a0, 0 */
        i_ld(A2, A0, -12),
        AUIPC(T0), /* auipc t0, 0 */
        i_jalr(T1, T0, 4 - 0x14),              /* 1b */
    };
    const uint32_t next[] = {i_jal(A3, 8), I_ECALL, I_ECALL};
    world_code(w, CODE, code, COUNT(code));
    world_code(w, LEFT, next, COUNT(next));
}

static void expect_program(struct world *w, uint64_t at)
{
    world_expect(w, "call", w->cpu->x[RA], at + 4);
    world_expect(w, "auipc", w->cpu->x[A0], at + 12);
    world_expect(w, "auipc after a jump", w->cpu->x[A1], at + 4);
    world_expect(w, "load", w->cpu->x[A2], world_peek(w, CODE));
    world_expect(w, "far call", w->cpu->x[T1], at + 0x1c);
    world_expect(w, "call on the next page", w->cpu->x[A3], at + 0x1004);
    world_expect(w, "mepc", w->cpu->c.mepc, at + 0x1008);
}

/* In a space for each address. Returns how many blocks were translated for the first; *others: for the rest. */
static uint64_t run_at(struct world *w, const uint64_t at[3], uint64_t *others)
{
    uint64_t root[3], once = 0, before = translated(w);
    put_program(w);
    for (unsigned i = 0; i < 3; i++) {
        root[i] = world_root(w);
        map(w, root[i], at[i], CODE);
        map(w, root[i], at[i] + 0x1000, LEFT);
    }
    for (unsigned n = 0; n < ROUNDS * 3; n++) {
        unsigned i = n % 3;
        memset(w->cpu->x, 0, sizeof w->cpu->x);
        run(w, root[i], 1 + i, at[i]);
        expect_program(w, at[i]);
        if (n == 0)
            once = translated(w) - before;
    }
    *others = translated(w) - before - once;
    return once;
}

static void low_addresses_in(struct world *w)
{
    uint64_t others, once = run_at(w, (const uint64_t[]){HERE, THERE, ODD}, &others);
    if (shares(w) && (others > once || (w->way->moving_code && others)))
        world_expect(w, "translated for more addresses", others, once);
}

static void one_low_address_in(struct world *w)
{
    uint64_t others;
    run_at(w, (const uint64_t[]){HERE, HERE, HERE}, &others);
    if (shares(w))
        world_expect(w, "translated for more spaces", others, 0);
}

static void high_addresses_in(struct world *w)
{
    uint64_t others;
    run_at(w, (const uint64_t[]){ODD, THERE, HERE}, &others);
    if (shares(w))
        world_expect(w, "translated for more addresses", others, 0);
}

static void a_page_is_translated_once_or_twice_for_all_its_addresses(void **state)
{
    each_way(low_addresses_in);
    each_way(one_low_address_in);
    each_way(high_addresses_in);
}

/* --- both kinds --------------------------------------------------------------------------------- */

/* A page with one address, which loops through one that has been seen at two: by a link and back by an
 * indirect jump. Nothing of that leaves the code. */
static void both_kinds_in(struct world *w)
{
    const uint32_t loop[] = {i_jal(RA, 0x1000), i_add(A2, A2, A1), i_jalr(RA, S0, 0),
                             i_add(A3, A3, A1),
                             i_addi(A0, A0, -1), i_branch(1, A0, X0, -20), I_ECALL};
    const uint32_t next[] = {AUIPC(A1), i_branch(1, A4, X0, 12), i_branch(1, A5, X0, 12),
                             i_jalr(X0, RA, 0), I_ECALL, i_jalr(X0, RA, 0)};
    const uint64_t loops = 1000;
    uint64_t low = world_root(w), high = world_root(w);
    world_code(w, CODE, loop, COUNT(loop));
    world_code(w, LEFT, next, COUNT(next));
    map(w, low, HERE, CODE);
    map(w, low, HERE + 0x1000, LEFT);
    map(w, high, THERE, LEFT);
    for (unsigned n = 0; n < ROUNDS; n++) {
        memset(w->cpu->x, 0, sizeof w->cpu->x);
        w->cpu->x[A0] = loops;
        w->cpu->x[A5] = n & 1; /* what runs there first when the page has moved */
        w->cpu->x[S0] = HERE + 0x1000;
        uint64_t exits = engine_stats(w->engine)->exits;
        run(w, low, 1, HERE);
        world_expect(w, "by the link", w->cpu->x[A2], loops * (HERE + 0x1000));
        world_expect(w, "by the jump", w->cpu->x[A3], loops * (HERE + 0x1000));
        if (shares(w) && engine_stats(w->engine)->exits - exits > 100)
            world_expect(w, "exits", engine_stats(w->engine)->exits - exits, 100);
        w->cpu->x[A4] = 1;
        run(w, high, 2, THERE);
        world_expect(w, "at the other address", w->cpu->x[A1], THERE);
        if (n == ROUNDS / 2) /* it is new, and has one address again */
            world_code(w, LEFT, next, COUNT(next));
    }
}

static void code_of_one_address_leads_to_code_that_runs_anywhere(void **state)
{
    each_way(both_kinds_in);
}

/* --- one space ---------------------------------------------------------------------------------- */

/* The same page twice in one space, with other pages behind it: its links must not mix them up. */
static void twice_in(struct world *w)
{
    const uint32_t code[] = {i_addi(A0, A0, 1), i_jal(RA, 0x1000 - 4)};
    const uint32_t left[] = {i_addi(A1, A1, 1), I_ECALL}, right[] = {i_addi(A2, A2, 1), I_ECALL};
    uint64_t root = world_root(w);
    world_code(w, CODE, code, COUNT(code));
    world_code(w, LEFT, left, COUNT(left));
    world_code(w, RIGHT, right, COUNT(right));
    map(w, root, HERE, CODE);
    map(w, root, HERE + 0x1000, LEFT);
    map(w, root, THERE, CODE);
    map(w, root, THERE + 0x1000, RIGHT);
    memset(w->cpu->x, 0, sizeof w->cpu->x);
    for (unsigned n = 1; n <= ROUNDS; n++) {
        for (unsigned k = 0; k < 4; k++) { /* what is taken twice is linked */
            if (k == 3) /* and cut off */
                world_code(w, LEFT, left, COUNT(left));
            run(w, root, 1, HERE);
            world_expect(w, "mepc", w->cpu->c.mepc, HERE + 0x1004);
            world_expect(w, "ra", w->cpu->x[RA], HERE + 8);
        }
        run(w, root, 1, THERE);
        world_expect(w, "mepc", w->cpu->c.mepc, THERE + 0x1004);
        world_expect(w, "ra", w->cpu->x[RA], THERE + 8);
        world_expect(w, "both", w->cpu->x[A0], 5ull * n);
        world_expect(w, "left", w->cpu->x[A1], 4ull * n);
        world_expect(w, "right", w->cpu->x[A2], n);
    }
}

static void links_of_a_page_that_is_mapped_twice_go_where_each_leads(void **state)
{
    each_way(twice_in);
}

/* --- stops -------------------------------------------------------------------------------------- */

/* A count, and faults of a load in the middle of a block, at an address that did not make it. */
static void stops_in(struct world *w)
{
    const uint32_t code[] = {i_addi(A0, A0, 1), i_addi(A0, A0, 1), i_ld(A1, A2, 0),
                             i_addi(A0, A0, 1), I_ECALL};
    uint64_t root = world_root(w);
    world_code(w, CODE, code, COUNT(code));
    map(w, root, HERE, CODE);
    map(w, root, ODD, CODE);
    memset(w->cpu->x, 0, sizeof w->cpu->x);
    w->cpu->x[A2] = HERE;
    for (unsigned n = 0; n < ROUNDS; n++)
        run(w, root, 1, HERE);
    w->cpu->x[A2] = 0; /* nothing is there */
    for (unsigned n = 0; n < ROUNDS; n++) {
        run(w, root, 1, n & 1 ? HERE : ODD);
        world_expect(w, "mepc", w->cpu->c.mepc, (n & 1 ? HERE : ODD) + 8);
        world_expect(w, "mcause", w->cpu->c.mcause, RV_CAUSE_LOAD_PAGE);
    }
    w->cpu->x[A2] = HERE;
    for (unsigned n = 1; n < COUNT(code); n++) {
        enter(w, root, 1, ODD);
        world_expect(w, "stop", engine_run(w->engine, n, true), ENGINE_BUDGET);
        world_expect(w, "pc", w->cpu->run.pc, ODD + 4 * n);
    }
}

static void faults_and_counts_stop_at_the_address_that_runs(void **state)
{
    each_way(stops_in);
}

/* --- changes ------------------------------------------------------------------------------------ */

/* Indirect jumps to it, so that it is in jump caches at two places; then it is another. */
static void changes_in(struct world *w)
{
    const uint32_t caller[] = {i_jalr(RA, S0, 0), i_add(A2, A1, X0), AUIPC(A3), i_jalr(RA, S1, 0),
                               AUIPC(A4), I_ECALL};
    uint32_t callee[] = {i_addi(A0, A0, 1), AUIPC(A1), i_jalr(X0, RA, 0)};
    uint64_t root = world_root(w);
    world_code(w, LEFT, caller, COUNT(caller));
    map(w, root, RIGHT, LEFT);
    map(w, root, HERE, CODE);
    map(w, root, ODD, CODE);
    w->cpu->x[S0] = HERE;
    w->cpu->x[S1] = ODD;
    for (unsigned n = 1; n <= ROUNDS; n++) {
        callee[0] = i_addi(A0, A0, (int)n);
        world_code(w, CODE, callee, COUNT(callee));
        for (unsigned k = 0; k < 3; k++) {
            w->cpu->x[A0] = 0;
            run(w, root, 1, RIGHT);
            world_expect(w, "sum", w->cpu->x[A0], 2ull * n);
            world_expect(w, "here", w->cpu->x[A2], HERE + 4);
            world_expect(w, "back", w->cpu->x[A3], RIGHT + 8);
            world_expect(w, "at the odd page", w->cpu->x[A1], ODD + 4);
            world_expect(w, "back again", w->cpu->x[A4], RIGHT + 16);
        }
        if (n % 3 == 0) /* all is made anew, where something else was */
            engine_reset_derived(w->engine);
    }
}

static void code_that_changes_does_so_at_all_its_addresses(void **state)
{
    each_way(changes_in);
}

/* --- global pages ------------------------------------------------------------------------------- */

/* A program jumps to a global page, which then is another. */
static void globals_in(struct world *w)
{
    const uint32_t caller[] = {i_jalr(RA, S0, 0), I_ECALL};
    const uint32_t left[] = {i_addi(A0, X0, 1), i_jalr(X0, RA, 0)};
    const uint32_t right[] = {i_addi(A0, X0, 2), i_jalr(X0, RA, 0)};
    uint64_t root = world_root(w);
    world_code(w, CODE, caller, COUNT(caller));
    world_code(w, LEFT, left, COUNT(left));
    world_code(w, RIGHT, right, COUNT(right));
    map(w, root, HERE, CODE);
    w->cpu->x[S0] = THERE;
    for (unsigned n = 0; n < ROUNDS; n++) {
        world_map(w, root, 3, THERE, n & 1 ? RIGHT : LEFT, PTE_R | PTE_X | PTE_U | PTE_G);
        gw_run(w->cpu)->hooks->flush(w->cpu, THERE, 0, 0, 1);
        for (unsigned k = 0; k < 3; k++) {
            run(w, root, 1, HERE);
            world_expect(w, "which", w->cpu->x[A0], n & 1 ? 2 : 1);
        }
    }
}

static void a_global_page_of_a_program_can_be_another(void **state)
{
    each_way(globals_in);
}

/* --- breakpoints -------------------------------------------------------------------------------- */

static void breaks_in(struct world *w)
{
    const uint32_t code[] = {i_addi(A0, A0, 1), i_branch(0, A5, X0, 4), i_addi(A0, A0, 1),
                             i_addi(A0, A0, 1), I_ECALL};
    struct gw_error err;
    uint64_t root = world_root(w);
    world_code(w, CODE, code, COUNT(code));
    map(w, root, HERE, CODE);
    map(w, root, THERE, CODE);
    for (unsigned n = 0; n < 2 * ROUNDS; n++) {
        uint64_t at = HERE + (n & 1 ? 8 : 12);
        run(w, root, 1, THERE);
        run(w, root, 1, HERE);
        if (n / 2 % 2)
            run(w, root, 1, THERE);
        assert_int_equal(engine_break_add(engine_world_of(w->engine), at, 1, &err), GW_OK);
        for (unsigned k = 0; k < 3; k++) {
            run(w, root, 1, THERE); /* it is no stop there */
            world_expect(w, "mepc", w->cpu->c.mepc, THERE + 16);
            enter(w, root, 1, HERE);
            world_expect(w, "stop", engine_run(w->engine, 1000000, false), ENGINE_BREAK);
            world_expect(w, "pc", w->cpu->run.pc, at);
        }
        engine_break_remove(engine_world_of(w->engine), at, 1);
    }
}

static void a_breakpoint_is_at_one_address(void **state)
{
    each_way(breaks_in);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_page_is_translated_once_or_twice_for_all_its_addresses),
        cmocka_unit_test(code_of_one_address_leads_to_code_that_runs_anywhere),
        cmocka_unit_test(links_of_a_page_that_is_mapped_twice_go_where_each_leads),
        cmocka_unit_test(faults_and_counts_stop_at_the_address_that_runs),
        cmocka_unit_test(code_that_changes_does_so_at_all_its_addresses),
        cmocka_unit_test(a_global_page_of_a_program_can_be_another),
        cmocka_unit_test(a_breakpoint_is_at_one_address),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
