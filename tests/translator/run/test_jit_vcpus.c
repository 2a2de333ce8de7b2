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
}

static void what_pmp_forbids_one_vcpu_it_does_not_run_by_links_of_another(void **state)
{
    each_way(protected_in);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_fence_of_a_page_leads_to_what_another_has_fenced_before),
        cmocka_unit_test(what_pmp_forbids_one_vcpu_it_does_not_run_by_links_of_another),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
