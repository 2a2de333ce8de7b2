/* Two vCPUs of one world, by turns on one thread: what the one does between two runs of the other, which goes on
 * by what it knew. */
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
#define FRAMES   (W_RAM + 0x4000) /* two, of which one is at CALLEE */
#define FENCES   (W_RAM + 0x8000)
#define TRAP     (W_RAM + 0x10000)
#define DATA     UINT64_C(0x40001000)
#define CALLEE   UINT64_C(0x40400000)

enum {
    FENCE_DATA = I_SFENCE | A3 << 15,
    FENCE_PAGE = I_SFENCE | A4 << 15,
    FENCE_ASID = I_SFENCE | (uint32_t)S1 << 20
};

static struct world first, second;

static void each_way(void (*test)(struct world *a, struct world *b))
{
    for (unsigned i = 0; i < world_way_count; i++) {
        static const uint32_t handler[] = {I_WFI, 0xffdff06f /* j .-4 */};
        struct world_way way = world_ways[i];
        way.shared = true;
        world_open(&first, &way);
        world_open_beside(&second, &first);
        world_code(&first, TRAP, handler, COUNT(handler));
        first.cpu->c.mtvec = second.cpu->c.mtvec = TRAP;
        test(&first, &second);
        world_close(&second);
        world_close(&first);
    }
}

/* From pc, by all that the vCPU knows. */
static void go_on(struct world *w, uint64_t pc)
{
    world_turn(w);
    w->cpu->run.pc = pc;
    w->cpu->c.halted = 0;
    world_expect(w, "stop", engine_run(w->engine, 100000, false), ENGINE_WAIT);
}

/* The same in a space and a privilege, which are looked at anew. root 0: bare. */
static void go_as(struct world *w, unsigned priv, uint64_t root, unsigned asid, uint64_t pc)
{
    if (root)
        world_satp(w, root, 3, asid);
    else
        w->cpu->c.satp = 0;
    w->cpu->c.priv = (uint8_t)priv;
    w->cpu->run.view_dirty = 1;
    w->cpu->c.mcause = 0;
    go_on(w, pc);
}

/* --- fences ------------------------------------------------------------------------------------- */

/* A function that fences, and a loop; in one frame it adds 1 behind the fence, in the other 100. */
static uint64_t function_that_fences(struct world *a, uint32_t before, uint32_t fence)
{
    const uint32_t code[] = {i_jalr(RA, A4, 0), I_WFI};
    const uint32_t fences[] = {I_SFENCE, I_WFI};
    uint64_t root = world_root(a);
    for (unsigned k = 0; k < 2; k++) {
        const uint32_t body[] = {
            i_addi(A1, A1, 1), before, fence, i_addi(A2, A2, k ? 100 : 1), i_jalr(X0, RA, 0),
        };
        world_code(a, FRAMES + 4096 * k, body, COUNT(body));
    }
    world_code(a, CODE, code, COUNT(code));
    world_code(a, FENCES, fences, COUNT(fences));
    world_map(a, root, 3, CODE, CODE, PTE_R | PTE_X);
    world_map(a, root, 3, FENCES, FENCES, PTE_R | PTE_X);
    world_map(a, root, 3, CALLEE, FRAMES, PTE_R | PTE_X);
    return root;
}

/* b is in the function; its page becomes another, for which a fences, and maybe runs there. Behind a fence of its
 * own b has to be on the other page. */
static void fence_behind_another(struct world *a, struct world *b, uint32_t before, uint32_t fence,
                                 bool runs)
{
    uint64_t root = function_that_fences(a, before, fence);
    for (unsigned v = 0; v < 2; v++) {
        struct rv_cpu *cpu = (v ? b : a)->cpu;
        cpu->x[A1] = cpu->x[A2] = 0;
        cpu->x[A3] = DATA;
        cpu->x[A4] = CALLEE;
        cpu->x[S1] = 1;
        cpu->run.hooks->flush(cpu, 0, 1, 0, 1);
    }
    go_as(b, RV_PRIV_S, root, 1, CODE);
    go_on(b, CODE);
    world_expect(b, "before it moves", b->cpu->x[A2], 2);
    world_map(a, root, 3, CALLEE, FRAMES + 4096, PTE_R | PTE_X);
    go_as(a, RV_PRIV_S, root, 1, FENCES);
    if (runs)
        go_on(a, CODE);
    world_expect(a, "the other's", a->cpu->x[A2], runs ? 100 : 0);
    go_on(b, CALLEE);
    world_expect(b, "calls", b->cpu->x[A1], 3);
    world_expect(b, "behind its own fence", b->cpu->x[A2], 102);
}

static void fence_in(struct world *a, struct world *b)
{
    const uint32_t fences[] = {FENCE_PAGE, FENCE_PAGE | (uint32_t)S1 << 20, FENCE_ASID, I_SFENCE};
    for (unsigned k = 0; k < COUNT(fences) * 4; k++)
        fence_behind_another(a, b, k & 1 ? I_NOP : FENCE_DATA, fences[k / 4], k & 2);
}

static void a_fence_of_a_page_leads_to_what_another_has_fenced_before(void **state)
{
    each_way(fence_in);
}

/* --- states that are gone back to ---------------------------------------------------------------- */

enum { A_NOTHING, A_FENCES_THERE, A_FENCES_ELSEWHERE, A_RUNS_THERE, A_WAYS };

/* A function in both frames, for two spaces; in the second frame it adds 100. */
static void two_spaces(struct world *a, uint64_t root[2], unsigned bits)
{
    const uint32_t code[] = {i_jalr(RA, A4, 0), I_WFI};
    world_code(a, CODE, code, COUNT(code));
    for (unsigned k = 0; k < 2; k++) {
        const uint32_t body[] = {i_addi(A2, A2, k ? 100 : 1), i_jalr(X0, RA, 0)};
        world_code(a, FRAMES + 4096 * k, body, COUNT(body));
        root[k] = world_root(a);
        world_map(a, root[k], 3, CODE, CODE, PTE_R | PTE_X | bits);
        world_map(a, root[k], 3, FENCES, FENCES, PTE_R | PTE_X | bits);
        world_map(a, root[k], 3, CALLEE, FRAMES, PTE_R | PTE_X | bits);
    }
}

/* More spaces than there are places. */
static void pass_through(struct world *a, uint64_t root)
{
    for (unsigned asid = 100; asid < 170; asid++)
        go_as(a, RV_PRIV_S, root, asid, FENCES + 8);
}

/* b has been in the first space, and knows that state; it is in the second one when the page moves, and when it
 * fences for that. When it comes back all is as it has become. */
static void come_back(struct world *a, struct world *b, unsigned fence, unsigned way, unsigned bits)
{
    uint64_t root[2];
    a->tables = W_RAM + W_RAM_BYTES / 2;
    memset(a->ram + W_RAM_BYTES / 2, 0, W_RAM_BYTES / 2);
    for (unsigned v = 0; v < 2; v++) {
        struct rv_cpu *cpu = (v ? b : a)->cpu;
        cpu->x[A2] = 0;
        cpu->x[A3] = DATA;
        cpu->x[A4] = CALLEE;
        cpu->x[S1] = 1;
        cpu->run.hooks->flush(cpu, 0, 1, 0, 1);
    }
    two_spaces(a, root, bits);
    for (unsigned k = 0; k < 5; k++)
        go_as(b, RV_PRIV_S, root[k & 1], 1 + (k & 1), CODE);
    go_as(b, RV_PRIV_S, root[1], 2, FENCES + 8);
    for (unsigned k = 0; k < 2; k++)
        world_map(a, root[k], 3, CALLEE, FRAMES + 4096, PTE_R | PTE_X | bits);
    if (way == A_FENCES_ELSEWHERE)
        go_as(a, RV_PRIV_S, root[1], 2, FENCES);
    else if (way != A_NOTHING)
        go_as(a, RV_PRIV_S, root[0], 1, FENCES);
    if (way == A_RUNS_THERE) {
        go_on(a, CODE);
        pass_through(a, root[0]);
    }
    go_on(b, FENCES + 16 * fence);
    go_as(b, RV_PRIV_S, root[0], 1, CODE);
    world_expect(b, "when it has come back", b->cpu->x[A2], 105);
}

static void come_back_in(struct world *a, struct world *b)
{
    const uint32_t fences[] = {I_SFENCE, FENCE_PAGE, FENCE_ASID, FENCE_PAGE | (uint32_t)S1 << 20};
    for (unsigned k = 0; k < COUNT(fences); k++) {
        const uint32_t code[] = {fences[k], I_WFI, I_WFI, I_WFI};
        world_code(a, FENCES + 16 * k, code, COUNT(code));
    }
    /* Those of one ASID are not about global pages. */
    for (unsigned k = 0; k < COUNT(fences) * A_WAYS; k++) {
        come_back(a, b, k / A_WAYS, k % A_WAYS, 0);
        come_back(a, b, k / A_WAYS % 2, k % A_WAYS, PTE_G);
    }
}

static void a_state_that_is_gone_back_to_is_what_others_have_made_of_it(void **state)
{
    each_way(come_back_in);
}

/* Code that changes, and a saved state that comes instead: b goes back to what it knew. */
static void new_code_in(struct world *a, struct world *b)
{
    uint64_t root[2], sum = 0;
    const uint32_t wfi = I_WFI;
    two_spaces(a, root, 0);
    world_code(a, FENCES, &wfi, 1);
    b->cpu->x[A2] = 0;
    b->cpu->x[A4] = CALLEE;
    for (unsigned k = 0; k < 40; k++) {
        const uint32_t body[] = {i_addi(A2, A2, (int)k), i_jalr(X0, RA, 0)};
        if (k & 1) {
            memcpy(a->ram + (FRAMES - W_RAM), body, sizeof body);
            engine_reset_derived(a->engine);
            engine_reset_derived(b->engine);
        } else {
            world_code(a, FRAMES, body, COUNT(body));
        }
        go_as(b, RV_PRIV_S, root[k / 2 & 1], 1 + (k / 2 & 1), CODE);
        sum += k;
        world_expect(b, "sum", b->cpu->x[A2], sum);
    }
}

static void a_state_that_is_gone_back_to_runs_the_code_that_is_there(void **state)
{
    each_way(new_code_in);
}

/* --- PMP ---------------------------------------------------------------------------------------- */

/* 4 KiB at paddr, and behind that all of memory. */
static void protect(struct world *w, uint64_t paddr, unsigned perms)
{
    world_turn(w);
    rv_pmpaddr_write(w->cpu, 0, paddr >> 2 | 0x1ff);
    rv_pmpaddr_write(w->cpu, 1, RV_PMPADDR_MASK);
    rv_pmpcfg_write(w->cpu, 0,
                    (uint64_t)(RV_PMP_NAPOT | perms) |
                        (uint64_t)(RV_PMP_NAPOT | RV_PMP_R | RV_PMP_W | RV_PMP_X) << 8);
}

/* Who may run the page and who may not call it by turns: by a linked jump, and by a register. */
static void protected_from_one(struct world *a, struct world *b, uint64_t root, uint32_t call)
{
    const uint32_t code[] = {call, I_WFI}, body[] = {i_addi(A1, A1, 1), i_jalr(X0, RA, 0)};
    world_code(a, CODE, code, COUNT(code));
    world_code(a, CODE + 0x1000, body, COUNT(body));
    protect(a, FRAMES, RV_PMP_R);
    protect(b, CODE + 0x1000, RV_PMP_R);
    for (unsigned v = 0; v < 2; v++) {
        struct rv_cpu *cpu = (v ? b : a)->cpu;
        cpu->x[A1] = 0;
        cpu->x[A4] = CODE + 0x1000;
    }
    for (unsigned i = 1; i <= 20; i++) {
        go_as(a, RV_PRIV_S, root, 1, CODE);
        go_on(a, CODE);
        world_expect(a, "calls", a->cpu->x[A1], 2 * i);
        go_as(b, RV_PRIV_S, root, 1, CODE);
        world_expect(b, "calls", b->cpu->x[A1], 0);
        world_expect(b, "cause", b->cpu->c.mcause, RV_CAUSE_FETCH_ACCESS);
        world_expect(b, "address", b->cpu->c.mtval, CODE + 0x1000);
    }
    protect(b, FRAMES, RV_PMP_R);
    go_as(b, RV_PRIV_S, root, 1, CODE);
    world_expect(b, "calls, when it may", b->cpu->x[A1], 1);
}

/* Where it may run it goes from page to page by links of its own. */
static void apart_and_by_links(struct world *a, struct world *b, uint64_t root)
{
    const uint32_t code[] = {
        i_jal(RA, 0x1000),
        i_addi(A5, A5, -1),
        i_branch(1, A5, X0, -8),
        I_WFI,
    };
    world_code(a, CODE, code, COUNT(code));
    a->cpu->x[A5] = 1;
    go_as(a, RV_PRIV_S, root, 1, CODE);
    protect(b, FRAMES, 0);
    b->cpu->x[A5] = 1000;
    uint64_t exits = engine_stats(b->engine)->exits;
    go_as(b, RV_PRIV_S, root, 1, CODE);
    exits = engine_stats(b->engine)->exits - exits;
    world_expect(b, "calls", b->cpu->x[A5], 0);
    world_expect(b, "by links", b->way->code_cache_bytes || exits < 100, true);
}

static void protected_in(struct world *a, struct world *b)
{
    uint64_t root[2] = {world_root(a), world_root(a)};
    for (unsigned k = 0; k < 2; k++) {
        world_map(a, root[k], 3, CODE, CODE, PTE_R | PTE_X | (k ? PTE_G : 0));
        world_map(a, root[k], 3, CODE + 0x1000, CODE + 0x1000, PTE_R | PTE_X | (k ? PTE_G : 0));
    }
    for (unsigned k = 0; k < 2; k++) {
        uint32_t call = k ? i_jalr(RA, A4, 0) : i_jal(RA, 0x1000);
        protected_from_one(a, b, 0, call);
        protected_from_one(a, b, root[0], call);
        protected_from_one(a, b, root[1], call);
    }
    for (unsigned k = 0; k < 2; k++)
        apart_and_by_links(a, b, root[k]);
}

static void what_pmp_forbids_one_vcpu_it_does_not_run_by_links_of_another(void **state)
{
    each_way(protected_in);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_fence_of_a_page_leads_to_what_another_has_fenced_before),
        cmocka_unit_test(a_state_that_is_gone_back_to_is_what_others_have_made_of_it),
        cmocka_unit_test(a_state_that_is_gone_back_to_runs_the_code_that_is_there),
        cmocka_unit_test(what_pmp_forbids_one_vcpu_it_does_not_run_by_links_of_another),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
