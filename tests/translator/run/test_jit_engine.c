/* The engine, with programs of a few instructions: exact stops, code that changes, interrupts,
 * addresses that do not exist, mappings that move. Every way of running must do the same. */
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/time.h>
#include <time.h>

#include <cmocka.h>

#include "frontend/riscv64/priv.h"
#include "translator/ir/softfloat/softfloat.h"
#include "translator/code/spaces.h"
#include "translator/memory/page_map.h"
#include "translator/world.h"
#include "tests/translator/run/world.h"

#define COUNT(a) (sizeof(a) / sizeof((a)[0]))
#define CODE     W_RAM
#define FAR_CODE (W_RAM + 0x5000) /* another page */
#define TRAP     (W_RAM + 0x10000)
#define DATA     (W_RAM + 0x20000)

static void each_way(void (*test)(struct world *))
{
    for (unsigned i = 0; i < world_way_count; i++) {
        static struct world w;
        static const uint32_t handler[] = {I_WFI, 0xffdff06f /* j .-4 */};
        world_open(&w, &world_ways[i]);
        world_code(&w, TRAP, handler, COUNT(handler));
        w.cpu->c.mtvec = TRAP;
        w.cpu->run.pc = CODE;
        test(&w);
        world_close(&w);
    }
}

static void go_on(struct world *w, uint64_t pc)
{
    w->cpu->run.pc = pc;
    w->cpu->c.priv = RV_PRIV_M;
    w->cpu->c.halted = 0;
    w->cpu->run.view_dirty = 1;
}

/* Runs from pc until WFI. */
static void run_to_wfi(struct world *w, uint64_t pc)
{
    w->cpu->run.pc = pc;
    w->cpu->c.halted = 0;
    world_expect(w, "stop", engine_run(w->engine, 1000000, false), ENGINE_WAIT);
}

/* --- exact stops ------------------------------------------------------------------------------ */

enum { STEPS = 150 };

/* A loop with branches out of its middle, memory, floats and a call to another page. */
static void put_busy_loop(struct world *w)
{
    const uint32_t loop[] = {
        i_addi(A0, A0, 1),
        i_add(A1, A1, A0),
        i_i(0x13, 7, A2, A0, 3), /* andi a2, a0, 3 */
        i_branch(0, A2, X0, 12), /* beqz a2, 1f */
        i_mul(A3, A1, A0),
        i_branch(1, A2, X0, 8), /* bnez a2, 2f */
        i_sd(A1, S0, 8),        /* 1: */
        i_ld(A4, S0, 8),        /* 2: */
        i_sd(A3, S0, 16),
        0xd2200053 | A0 << 15,       /* fcvt.d.l f0, a0 */
        0x02007053 | 1 << 7,         /* fadd.d f1, f0, f0 */
        i_i(0x73, 2, A5, X0, 0xc02), /* csrr a5, instret */
        i_jal(RA, (int)(FAR_CODE - CODE) - 12 * 4),
        i_jal(X0, -13 * 4),
    };
    const uint32_t callee[] = {i_add(T0, T0, A4), i_jalr(X0, RA, 0)};
    world_code(w, CODE, loop, COUNT(loop));
    world_code(w, FAR_CODE, callee, COUNT(callee));
}

static void start_busy_loop(struct world *w)
{
    memset(w->cpu->x, 0, sizeof w->cpu->x);
    memset(w->cpu->f, 0, sizeof w->cpu->f);
    w->cpu->x[S0] = DATA;
    w->cpu->run.pc = CODE;
    w->cpu->run.fp_flags = 0;
    w->cpu->c.mstatus |= RV_MSTATUS_FS;
    w->cpu->c.minstret_offset = 0 - engine_retired(w->engine);
    w->cpu->run.view_dirty = 1;
    memset(w->ram + (DATA - W_RAM), 0, 64);
}

struct moment {
    uint64_t x[32], f[2], pc, stored[2];
};

static void take(const struct world *w, struct moment *m)
{
    memcpy(m->x, w->cpu->x, sizeof m->x);
    memcpy(m->f, w->cpu->f, sizeof m->f);
    m->pc = w->cpu->run.pc;
    m->stored[0] = world_peek(w, DATA + 8);
    m->stored[1] = world_peek(w, DATA + 16);
}

static void stops_are_exact_in(struct world *w)
{
    static struct moment step[STEPS + 1], at;
    put_busy_loop(w);
    start_busy_loop(w);
    take(w, &step[0]);
    for (unsigned n = 1; n <= STEPS; n++) {
        uint64_t before = engine_retired(w->engine);
        world_expect(w, "stop", engine_run(w->engine, 1, true), ENGINE_BUDGET);
        world_expect(w, "retired by a step", engine_retired(w->engine) - before, 1);
        take(w, &step[n]);
    }
    assert_true(step[STEPS].x[A0] > 8); /* it went round */
    for (unsigned n = 1; n <= STEPS; n++) {
        start_busy_loop(w);
        uint64_t before = engine_retired(w->engine);
        world_expect(w, "stop", engine_run(w->engine, n, true), ENGINE_BUDGET);
        world_expect(w, "retired", engine_retired(w->engine) - before, n);
        take(w, &at);
        if (memcmp(&at, &step[n], sizeof at) != 0)
            fail_msg("%s: the state after %u instructions is not that of %u steps", w->way->name, n,
                     n);
    }
}

static void an_exact_stop_has_the_state_of_single_steps(void **state)
{
    each_way(stops_are_exact_in);
}

/* Stops in front of an instruction that cannot be fetched: the run before it does not fetch it. */
static void stops_before_nothing_in(struct world *w)
{
    const int back = -0x100; /* from the first instruction of RAM */
    const uint32_t ways_there[] = {i_branch(1, A4, X0, back), i_jal(X0, back), i_jalr(X0, A0, 0)};
    w->cpu->x[A4] = 1;
    w->cpu->x[A0] = CODE + (uint64_t)(int64_t)back;
    for (unsigned i = 0; i < COUNT(ways_there); i++) {
        const uint32_t code[] = {ways_there[i], I_ECALL};
        world_code(w, CODE, code, COUNT(code));
        w->cpu->c.mcause = 0;
        go_on(w, CODE);
        uint64_t before = engine_retired(w->engine);
        world_expect(w, "stop", engine_run(w->engine, 1, true), ENGINE_BUDGET);
        world_expect(w, "retired", engine_retired(w->engine) - before, 1);
        world_expect(w, "pc", w->cpu->run.pc, w->cpu->x[A0]);
        world_expect(w, "mcause", w->cpu->c.mcause, 0);
        world_expect(w, "stop", engine_run(w->engine, 5, true), ENGINE_WAIT);
        world_expect(w, "mcause", w->cpu->c.mcause, 1);
        world_expect(w, "mepc", w->cpu->c.mepc, w->cpu->x[A0]);
    }
}

static void what_cannot_be_fetched_faults_in_the_next_run(void **state)
{
    each_way(stops_before_nothing_in);
}

static void inexact_in(struct world *w)
{
    put_busy_loop(w);
    start_busy_loop(w);
    uint64_t before = engine_retired(w->engine);
    engine_run(w->engine, 1000, false);
    uint64_t done = engine_retired(w->engine) - before;
    assert_true(done <= 1000 && done > 1000 - 64);
}

static void an_inexact_stop_is_less_than_a_block_early(void **state)
{
    each_way(inexact_in);
}

/* --- code that changes ------------------------------------------------------------------------ */

/* Patches an instruction ahead in the same block, with FENCE.I between. */
static void patch_fenced_in(struct world *w)
{
    const uint32_t code[] = {
        i_store(2, A1, A0, 0), /* sw a1, 0(a0) */
        I_FENCE_I,
        i_addi(A2, X0, 1),
        I_WFI,
    };
    for (unsigned k = 0; k < 3; k++) { /* also where the block is known already */
        world_code(w, CODE, code, COUNT(code));
        w->cpu->x[A0] = CODE + 8;
        w->cpu->x[A1] = i_addi(A2, X0, 7);
        run_to_wfi(w, CODE);
        world_expect(w, "a2", w->cpu->x[A2], 7);
    }
}

static void code_patched_before_fence_i_is_the_new_code(void **state)
{
    each_way(patch_fenced_in);
}

static void patch_unfenced_in(struct world *w)
{
    const uint32_t code[] = {
        i_store(2, A1, A0, 0),
        i_addi(A2, X0, 1),
        I_WFI,
    };
    world_code(w, CODE, code, COUNT(code));
    w->cpu->x[A0] = CODE + 4;
    w->cpu->x[A1] = i_addi(A2, X0, 7);
    run_to_wfi(w, CODE);
    /* Unpriv. 20240411, chapter 5: without the fence old or new may run, nothing else */
    assert_true(w->cpu->x[A2] == 1 || w->cpu->x[A2] == 7);
    run_to_wfi(w, CODE + 4); /* and once it has been left, we run what memory holds */
    world_expect(w, "a2 later", w->cpu->x[A2], 7);
}

static void code_patched_without_a_fence_is_old_or_new(void **state)
{
    each_way(patch_unfenced_in);
}

/* A counter beside the loop that counts it; every turn writes to the page that runs. */
static void data_beside_in(struct world *w)
{
    const uint32_t code[] = {
        i_ld(A1, A0, 0), i_addi(A1, A1, 1), i_sd(A1, A0, 0), i_branch(1, A1, A2, -12), I_WFI,
    };
    world_code(w, CODE, code, COUNT(code));
    w->cpu->x[A0] = CODE + 64;
    w->cpu->x[A2] = 500;
    run_to_wfi(w, CODE);
    world_expect(w, "counter", world_peek(w, CODE + 64), 500);
}

static void data_and_code_share_a_page(void **state)
{
    each_way(data_beside_in);
}

/* A block reached by a link, an indirect branch and a link from another page, changed by DMA. */
static void dma_in(struct world *w)
{
    const uint32_t code[] = {
        i_jal(RA, (int)(FAR_CODE - CODE)),
        i_jalr(RA, A4, 0),
        i_addi(A5, A5, -1),
        i_branch(1, A5, X0, -12),
        I_WFI,
    };
    world_code(w, CODE, code, COUNT(code));
    for (unsigned k = 1; k <= 4; k++) {
        const uint32_t callee[] = {i_addi(A0, X0, (int)k), i_add(A1, A1, A0), i_jalr(X0, RA, 0)};
        world_code(w, FAR_CODE, callee, COUNT(callee));
        w->cpu->x[A1] = 0;
        w->cpu->x[A4] = FAR_CODE;
        w->cpu->x[A5] = 10;
        run_to_wfi(w, CODE);
        world_expect(w, "sum", w->cpu->x[A1], 20 * k);
    }
}

static void code_changed_by_dma_is_seen_behind_every_link(void **state)
{
    each_way(dma_in);
}

/* --- interrupts ------------------------------------------------------------------------------- */

static struct rv_cpu *volatile interrupted;

static void on_alarm(int sig)
{
    if (interrupted)
        rv_irq_line(interrupted, RV_IRQ_MEI, 1);
}

/* A line that goes up while the loop runs must be seen, however the loop is linked. */
static void interrupt_loop(struct world *w, const uint32_t *loop, unsigned count)
{
    const uint32_t handler[] = {i_csrrw(X0, CSR_MIE, X0), I_WFI, i_jal(X0, -4)};
    const struct itimerval soon = {.it_value = {.tv_usec = 3000}};
    struct timespec t0, t1;
    world_code(w, CODE, loop, count);
    world_code(w, TRAP, handler, COUNT(handler));
    go_on(w, CODE);
    w->cpu->c.mie = RV_IRQ_BIT(RV_IRQ_MEI);
    w->cpu->c.mstatus |= RV_MSTATUS_MIE;
    interrupted = w->cpu;
    signal(SIGALRM, on_alarm);
    clock_gettime(CLOCK_MONOTONIC, &t0);
    setitimer(ITIMER_REAL, &soon, NULL);
    enum engine_stop stop;
    do
        stop = engine_run(w->engine, UINT64_C(1) << 40, false);
    while (stop == ENGINE_ATTENTION);
    world_expect(w, "stop", stop, ENGINE_WAIT);
    clock_gettime(CLOCK_MONOTONIC, &t1);
    interrupted = NULL;
    rv_irq_line(w->cpu, RV_IRQ_MEI, 0);
    world_expect(w, "mcause", w->cpu->c.mcause, RV_CAUSE_INTERRUPT | RV_IRQ_MEI);
    assert_true(w->cpu->c.mepc - CODE < 4 * count);
    /* 10 ms on a host of one's own; tests share theirs */
    double ms = (double)(t1.tv_sec - t0.tv_sec) * 1e3 + (double)(t1.tv_nsec - t0.tv_nsec) / 1e6;
    assert_true(ms < 1000);
}

static void interrupts_in(struct world *w)
{
    const uint32_t self[] = {i_jal(X0, 0)};
    const uint32_t two[] = {i_branch(0, X0, X0, 8), I_NOP, i_jal(X0, -8)};
    const uint32_t branches[] = {i_addi(A0, A0, 1), i_branch(1, A0, X0, -4), i_jal(X0, -8)};
    const uint32_t indirect[] = {i_lui(A0, (uint32_t)CODE), 0x02051513 /* slli a0, a0, 32 */,
                                 0x02055513 /* srli a0, a0, 32 */, i_jalr(X0, A0, 12)};
    interrupt_loop(w, self, COUNT(self));
    interrupt_loop(w, two, COUNT(two));
    interrupt_loop(w, branches, COUNT(branches));
    interrupt_loop(w, indirect, COUNT(indirect));
}

static void interrupts_land_in_loops_of_every_kind(void **state)
{
    each_way(interrupts_in);
}

/* --- addresses that do not exist -------------------------------------------------------------- */

static const struct {
    const char *name;
    uint32_t word; /* on a0, with a1 */
    bool store;
} accesses[] = {
    {"lb", 0x03 | A2 << 7 | A0 << 15, false},
    {"lhu", 0x03 | A2 << 7 | A0 << 15 | 5 << 12, false},
    {"lw", 0x03 | A2 << 7 | A0 << 15 | 2 << 12, false},
    {"ld", 0x03 | A2 << 7 | A0 << 15 | 3 << 12, false},
    {"flw", 0x07 | A2 << 7 | A0 << 15 | 2 << 12, false},
    {"fld", 0x07 | A2 << 7 | A0 << 15 | 3 << 12, false},
    {"lr.w", 0x2f | A2 << 7 | A0 << 15 | 2 << 12 | 2u << 27, false},
    {"lr.d", 0x2f | A2 << 7 | A0 << 15 | 3 << 12 | 2u << 27, false},
    {"sb", 0x23 | A0 << 15 | A1 << 20, true},
    {"sh", 0x23 | A0 << 15 | A1 << 20 | 1 << 12, true},
    {"sw", 0x23 | A0 << 15 | A1 << 20 | 2 << 12, true},
    {"sd", 0x23 | A0 << 15 | A1 << 20 | 3 << 12, true},
    {"fsw", 0x27 | A0 << 15 | A1 << 20 | 2 << 12, true},
    {"fsd", 0x27 | A0 << 15 | A1 << 20 | 3 << 12, true},
    {"amoadd.w", 0x2f | A2 << 7 | A0 << 15 | A1 << 20 | 2 << 12, true},
    {"amomax.d", 0x2f | A2 << 7 | A0 << 15 | A1 << 20 | 3 << 12 | 20u << 27, true},
    {"sc.w", 0x2f | A2 << 7 | A0 << 15 | A1 << 20 | 2 << 12 | 3u << 27, true},
    {"sc.d", 0x2f | A2 << 7 | A0 << 15 | A1 << 20 | 3 << 12 | 3u << 27, true},
};

/* One access in S-mode; the cause that the trap had, 0 for none. */
static uint64_t try_access(struct world *w, uint64_t addr)
{
    w->cpu->x[A0] = addr;
    w->cpu->run.pc = CODE;
    w->cpu->c.priv = RV_PRIV_S;
    w->cpu->c.halted = 0;
    w->cpu->c.mcause = w->cpu->c.mtval = 0;
    w->cpu->run.view_dirty = 1;
    world_expect(w, "stop", engine_run(w->engine, 100, false), ENGINE_WAIT);
    return w->cpu->c.mcause;
}

/* Both halves of the address space hold pages, so that maps and TLBs do too; then addresses whose
 * high bits do not repeat the top one, and those of empty TLB entries. */
static void non_canonical(struct world *w, unsigned levels)
{
    unsigned bits = levels == 3 ? 39 : 48;
    uint64_t high = ~UINT64_C(0) << (bits - 1), page[2] = {DATA, high + 0x5000}, root;
    root = world_root(w);
    world_map(w, root, levels, CODE, CODE, PTE_R | PTE_X);
    world_map(w, root, levels, page[0], DATA, PTE_R | PTE_W);
    world_map(w, root, levels, page[1], DATA + 4096, PTE_R | PTE_W);
    world_satp(w, root, levels, 1);
    for (unsigned k = 0; k < COUNT(accesses); k++) {
        const uint32_t code[] = {accesses[k].word, I_WFI};
        uint64_t cause = accesses[k].store ? RV_CAUSE_STORE_PAGE : RV_CAUSE_LOAD_PAGE;
        world_code(w, CODE, code, COUNT(code));
        for (unsigned half = 0; half < 2; half++) {
            world_expect(w, accesses[k].name, try_access(w, page[half] + 64), 0);
            world_expect(w, accesses[k].name, try_access(w, page[half] + 64), 0);
            for (unsigned bit = bits - 1; bit < 64; bit++) {
                const uint64_t bad[] = {(page[half] + 64) ^ UINT64_C(1) << bit,
                                        (page[half] + 64) ^ ~UINT64_C(0) << bit};
                for (unsigned j = 0; j < 2; j++) {
                    if (j == 1 && bit == bits - 1)
                        continue; /* canonical */
                    world_expect(w, accesses[k].name, try_access(w, bad[j]), cause);
                    world_expect(w, "mtval", w->cpu->c.mtval, bad[j]);
                }
            }
        }
        world_expect(w, accesses[k].name, try_access(w, ~UINT64_C(0) - 7),
                     cause); /* the last page */
        world_expect(w, accesses[k].name, try_access(w, ~UINT64_C(4095)), cause);
        world_expect(w, accesses[k].name, try_access(w, 0), cause);
    }
}

static void non_canonical_in(struct world *w)
{
    w->cpu->c.mstatus |= RV_MSTATUS_FS;
    non_canonical(w, 3);
    w->cpu->run.hooks->flush(w->cpu, 0, 1, 0, 1);
    non_canonical(w, 4);
    /* by the host's own fault where there is no check */
    if (!w->way->interp)
        world_expect(w, "by host faults", engine_stats(w->engine)->host_faults != 0,
                     !w->way->no_flat && world_faults_by_itself());
}

static void non_canonical_addresses_fault_at_every_width(void **state)
{
    each_way(non_canonical_in);
}

/* The last bytes of the address space, where a misaligned access wraps. */
static void wrapping_in(struct world *w)
{
    uint64_t root = world_root(w);
    w->cpu->c.mstatus |= RV_MSTATUS_FS;
    world_map(w, root, 3, CODE, CODE, PTE_R | PTE_X);
    world_map(w, root, 3, 0, DATA, PTE_R | PTE_W);
    world_map(w, root, 3, ~UINT64_C(4095), DATA + 4096, PTE_R | PTE_W);
    world_satp(w, root, 3, 1);
    world_poke(w, DATA, 0x55);
    world_poke(w, DATA + 8184, UINT64_C(0xaa00000000000000));
    const uint32_t code[] = {i_i(0x03, 5, A2, A0, 0), I_WFI}; /* lhu */
    world_code(w, CODE, code, COUNT(code));
    for (unsigned k = 0; k < 2; k++) {
        world_expect(w, "cause", try_access(w, ~UINT64_C(0)), 0);
        world_expect(w, "a2", w->cpu->x[A2], 0x55aa);
    }
}

static void an_access_may_wrap_around(void **state)
{
    each_way(wrapping_in);
}

/* --- mappings that move ----------------------------------------------------------------------- */

/* S-mode code on one page calls another page, which is then another frame: links between pages, the
 * jump cache and the fetch translation must not outlive SFENCE.VMA. */
static void remap_in(struct world *w)
{
    uint64_t root = world_root(w), callee = UINT64_C(0x40000000);
    const uint32_t code[] = {
        i_addi(A1, X0, 0),
        i_addi(A5, X0, 20),
        i_jalr(RA, A4, 0),
        i_jal(RA, 20),
        i_addi(A5, A5, -1),
        i_branch(1, A5, X0, -12),
        I_WFI,
        I_NOP,
        i_jalr(X0, A4, 0), /* a tail call: returns by ra */
        I_SFENCE,
        I_WFI,
    };
    world_map(w, root, 3, CODE, CODE, PTE_R | PTE_X);
    world_satp(w, root, 3, 1);
    world_code(w, CODE, code, COUNT(code));
    for (unsigned k = 1; k <= 6; k++) {
        uint64_t frame = FAR_CODE + 4096 * (k % 3);
        const uint32_t body[] = {i_addi(A0, X0, (int)k), i_add(A1, A1, A0), i_jalr(X0, RA, 0)};
        world_code(w, frame, body, COUNT(body));
        world_map(w, root, 3, callee, frame, PTE_R | PTE_X | (k > 3 ? PTE_G : 0u));
        w->cpu->c.priv = RV_PRIV_S;
        w->cpu->run.view_dirty = 1;
        run_to_wfi(w, CODE + 9 * 4);
        w->cpu->x[A4] = callee;
        run_to_wfi(w, CODE);
        world_expect(w, "sum", w->cpu->x[A1], 40 * k);
    }
}

static void a_page_of_code_may_move(void **state)
{
    each_way(remap_in);
}

/* A loop of LR and SC, of which the second half is on another page, that moves, and changes. It is one
 * block where a block may be as long: then no page is reserved for it. */
static void pair_over_a_border_in(struct world *w)
{
    enum { WORDS = 8, TURNS = 100 };
    uint64_t root = world_root(w), v = UINT64_C(0x40000000), sum = 0;
    const uint32_t fence[] = {I_SFENCE, I_WFI};
    world_code(w, CODE, fence, COUNT(fence));
    world_map(w, root, 3, CODE, CODE, PTE_R | PTE_X);
    world_map(w, root, 3, DATA, DATA, PTE_R | PTE_W);
    world_map(w, root, 3, v, FAR_CODE, PTE_R | PTE_X);
    world_satp(w, root, 3, 1);
    w->cpu->x[A0] = DATA;
    for (unsigned k = 0; k < 8; k++) {
        unsigned first = 1 + k / 4,
                 more = 1 + k % 3; /* words of it on the first page; what it adds */
        uint64_t frame = FAR_CODE + 0x2000 + 0x1000 * (k & 1);
        const uint32_t code[WORDS] = {
            0x100536af, /* lr.d a3, (a0) */
            i_addi(A2, A3, 1),
            i_addi(A2, A2, (int)more),
            0x18c535af, /* sc.d a1, a2, (a0) */
            i_branch(1, A1, X0, -16),
            i_addi(A5, A5, -1),
            i_branch(1, A5, X0, -24),
            I_WFI,
        };
        if (k % 4 == 0)
            world_code(w, FAR_CODE + 4096 - 4 * first, code, first);
        world_code(w, frame, code + first, WORDS - first);
        world_map(w, root, 3, v + 4096, frame, PTE_R | PTE_X);
        w->cpu->c.priv = RV_PRIV_S;
        w->cpu->run.view_dirty = 1;
        run_to_wfi(w, CODE);
        w->cpu->x[A5] = TURNS;
        run_to_wfi(w, v + 4096 - 4 * first);
        sum += TURNS * (1 + more);
        world_expect(w, "sum", world_peek(w, DATA), sum);
    }
    world_expect(w, "reserved", w->flags[(DATA - W_RAM) >> 12] & GW_RAM_RESERVED,
                 w->way->max_guest_insns && w->way->max_guest_insns < 4 ? GW_RAM_RESERVED : 0);
}

static void a_pair_may_lie_on_two_pages(void **state)
{
    each_way(pair_over_a_border_in);
}

#define CALLEE (CODE + 0x1000)
#define BESIDE (CODE + 0x2000)

/* The end of a turn: the PTEs change places; five instructions. */
#define SWAP_AND_REPEAT(offset)                                                                    \
    i_add(T0, A2, X0), i_add(A2, A3, X0), i_add(A3, T0, X0), i_addi(A5, A5, -1),                   \
        i_branch(1, A5, X0, offset)

/* The guest itself moves the page CALLEE between calls of it, by direct jumps that are linked: 40
 * turns with the PTE's address in A0 and its two values in A2 and A3. Returns the sum that the callee
 * has made of 1 and 100, one for each value. */
static uint64_t self_remap(struct world *w, unsigned bits, const uint32_t *code, unsigned count)
{
    uint64_t root = world_root(w), pte[2], slot = 0;
    const uint32_t back = i_jalr(X0, RA, 0);
    world_map(w, root, 3, BESIDE, BESIDE, PTE_R | PTE_X | bits);
    world_code(w, BESIDE, &back, 1);
    world_map(w, root, 3, CODE, CODE, PTE_R | PTE_X | (bits & PTE_G));
    for (unsigned k = 0; k < 2; k++) {
        const uint32_t body[] = {i_addi(A1, A1, k ? 100 : 1), i_jalr(X0, RA, 0)};
        uint64_t frame = FAR_CODE + 4096 * k;
        world_code(w, frame, body, COUNT(body));
        world_map(w, root, 3, CALLEE, frame, PTE_R | PTE_X | bits);
        uint64_t l1 = world_peek(w, root + 8 * (CALLEE >> 30 & 511)) >> 10 << 12;
        uint64_t l0 = world_peek(w, l1 + 8 * (CALLEE >> 21 & 511)) >> 10 << 12;
        slot = l0 + 8 * (CALLEE >> 12 & 511);
        pte[k] = world_peek(w, slot);
    }
    world_map(w, root, 3, slot & ~UINT64_C(4095), slot & ~UINT64_C(4095), PTE_R | PTE_W);
    world_satp(w, root, 3, 1);
    w->cpu->run.hooks->flush(w->cpu, 0, 1, 0, 1);
    world_code(w, CODE, code, count);
    w->cpu->c.priv = RV_PRIV_S;
    w->cpu->x[A0] = slot;
    w->cpu->x[A1] = 0;
    w->cpu->x[A2] = pte[0];
    w->cpu->x[A3] = pte[1];
    w->cpu->x[A4] = CALLEE;
    w->cpu->x[S0] = BESIDE;
    w->cpu->x[S1] = 1; /* the ASID */
    w->cpu->x[A5] = 40;
    run_to_wfi(w, CODE);
    return w->cpu->x[A1];
}

/* Each turn writes the other PTE, fences, and calls twice. */
static void moved_then_called(struct world *w, unsigned bits, uint32_t fence)
{
    const uint32_t code[] = {
        i_sd(A2, A0, 0), /* the PTE */
        fence,           i_jal(RA, 0x1000 - 8), i_jal(RA, 0x1000 - 12), SWAP_AND_REPEAT(-32), I_WFI,
    };
    world_expect(w, "sum", self_remap(w, bits, code, COUNT(code)), 40 * 101);
}

static void self_remap_in(struct world *w)
{
    moved_then_called(w, 0, I_SFENCE);
    moved_then_called(w, PTE_G, I_SFENCE);
    moved_then_called(w, 0, I_SFENCE | A4 << 15); /* of the page alone */
    moved_then_called(w, PTE_G, I_SFENCE | A4 << 15);
    moved_then_called(w, 0, I_SFENCE | (uint32_t)S1 << 20); /* of the address space */
}

static void linked_jumps_follow_a_page_that_the_guest_moves(void **state)
{
    each_way(self_remap_in);
}

/* Fences that change nothing: who asks the tables again need not look for code again. Returns how often it
 * did. */
static uint64_t fenced_for_nothing(struct world *w, uint32_t fence)
{
    const uint32_t code[] = {
        fence, fence, i_jal(RA, 0x1000 - 8), i_jal(RA, 0x2000 - 12), SWAP_AND_REPEAT(-32), I_WFI,
    };
    uint64_t before = engine_stats(w->engine)->lookups;
    world_expect(w, "sum", self_remap(w, PTE_G, code, COUNT(code)), 40 * 100);
    return engine_stats(w->engine)->lookups - before;
}

static void fenced_for_nothing_in(struct world *w)
{
    const uint32_t fences[] = {I_SFENCE, I_SFENCE | A4 << 15, I_SFENCE | (uint32_t)S1 << 20};
    bool whole = w->way->code_cache_bytes == 0 && !w->way->max_guest_insns;
    for (unsigned k = 0; k < COUNT(fences); k++) {
        uint64_t lookups = fenced_for_nothing(w, fences[k]);
        if (whole && lookups > 30)
            fail_msg("%s: fence %u looked up %llu times", w->way->name, k,
                     (unsigned long long)lookups);
    }
}

static void a_fence_that_changes_nothing_costs_no_lookup(void **state)
{
    each_way(fenced_for_nothing_in);
}

/* Two spaces take turns. In one of them a fence comes that is about the other, whose page of code has moved,
 * or has not. */
static void elsewhere_in(struct world *w)
{
    const uint32_t code[] = {i_jal(RA, 0x1000), I_WFI, I_NOP, I_NOP, I_NOP, I_NOP, I_NOP, I_NOP};
    const uint32_t fences[] = {I_SFENCE, I_SFENCE | A4 << 15, I_SFENCE | (uint32_t)S1 << 20};
    uint64_t root[2] = {world_root(w), world_root(w)}, sum = 0;
    uint32_t gen = 0;
    world_code(w, CODE, code, COUNT(code));
    for (unsigned k = 0; k < 2; k++) {
        const uint32_t body[] = {i_addi(A1, A1, k ? 100 : 1), i_jalr(X0, RA, 0)};
        world_code(w, FAR_CODE + 4096 * k, body, COUNT(body));
        world_map(w, root[k], 3, CODE, CODE, PTE_R | PTE_X);
        world_map(w, root[k], 3, BESIDE, BESIDE, PTE_R | PTE_X);
    }
    w->cpu->x[A1] = 0;
    w->cpu->x[A4] = CALLEE;
    w->cpu->x[S1] = 1;
    for (unsigned i = 0; i < 60; i++) {
        const uint32_t fence[] = {fences[i / 2 % COUNT(fences)], I_WFI};
        if (i < COUNT(fences) * 2)
            world_code(w, BESIDE + 16 * (i / 2), fence, COUNT(fence));
        unsigned frame = i < 30 ? i & 1 : 1; /* then it stays */
        world_map(w, root[0], 3, CALLEE, FAR_CODE + 4096 * frame, PTE_R | PTE_X);
        for (unsigned space = 2; space-- > 0;) { /* the fence in the other one, then the call */
            world_satp(w, root[space], 3, 1 + space);
            w->cpu->c.priv = RV_PRIV_S;
            w->cpu->run.view_dirty = 1;
            run_to_wfi(w, space ? BESIDE + 16 * (i / 2 % COUNT(fences)) : CODE);
        }
        sum += frame ? 100 : 1;
        world_expect(w, "sum", w->cpu->x[A1], sum);
        if (i != 30)
            world_expect(w, "the same generation", gen == w->cpu->run.gen_space, i > 30);
        gen = w->cpu->run.gen_space;
    }
}

static void a_fence_is_answered_where_the_vcpu_comes_to_the_space(void **state)
{
    each_way(elsewhere_in);
}

/* Pages of code that could not be remembered: the next fence is taken to be about all of them. */
static void forgetful_in(struct world *w)
{
    struct executed *x = &w->engine->world->spaces->executed;
    const uint32_t code[] = {I_SFENCE | S0 << 15, I_WFI};
    moved_then_called(w, 0, I_SFENCE | A4 << 15);
    x->full = true;
    moved_then_called(w, 0, I_SFENCE | A4 << 15);
    world_expect(w, "full", x->full, false);
    uint32_t gen = w->cpu->run.gen_global;
    world_code(w, CODE, code, COUNT(code));
    x->full = true;
    run_to_wfi(w, CODE);
    world_expect(w, "another generation", gen != w->cpu->run.gen_global, true);
}

static void code_on_pages_that_nobody_remembers_may_move(void **state)
{
    each_way(forgetful_in);
}

/* A fence of another page, which makes the jump be linked anew, does not make this one forgotten. */
static void moved_after_fence_beside(struct world *w, unsigned bits)
{
    const uint32_t code[] = {
        i_jal(RA, 0x1000),      i_jal(RA, 0x2000 - 4), I_SFENCE | S0 << 15, /* of the page beside */
        i_jal(T1, 40),          i_sd(A3, A0, 0),                            /* the other PTE */
        I_SFENCE | A4 << 15,    i_jal(T1, 28),         SWAP_AND_REPEAT(-44), I_WFI,
        i_jal(RA, 0x1000 - 52), /* the link in question, before and behind the move */
        i_jalr(X0, T1, 0),
    };
    world_expect(w, "sum", self_remap(w, bits, code, COUNT(code)), 300 + 20 * 201 + 19 * 102);
}

static void fence_beside_in(struct world *w)
{
    moved_after_fence_beside(w, 0);
    moved_after_fence_beside(w, PTE_G);
}

/* Atomics of one vCPU are locked while a device's thread may write. */
static void alone_but_for_devices(struct world *w)
{
    world_expect(w, "alone", w->cpu->run.alone, 1);
    for (unsigned jobs = 2; jobs-- > 0;) {
        w->bus.dma_jobs = jobs;
        w->bus.dma_changed(w->bus.engine);
        world_expect(w, "alone beside devices", w->cpu->run.alone, !jobs);
    }
}

static void memory_is_shared_with_devices_while_they_write(void **state)
{
    each_way(alone_but_for_devices);
}

static void a_fence_of_one_page_forgets_no_other(void **state)
{
    each_way(fence_beside_in);
}

/* An instruction over the border of two pages, one of them global, of which each moves in turn. */
static void half_global(struct world *w, unsigned first_bits, unsigned second_bits, uint32_t fence)
{
    uint64_t root = world_root(w), where = CALLEE + 0xffe;
    const uint32_t code[] = {i_jalr(RA, A3, 0), i_jalr(RA, A3, 0), I_WFI, fence, I_WFI};
    const uint32_t back = i_jalr(X0, RA, 0);
    world_map(w, root, 3, CODE, CODE, PTE_R | PTE_X | PTE_G);
    world_satp(w, root, 3, 1);
    w->cpu->run.hooks->flush(w->cpu, 0, 1, 0, 1);
    world_code(w, CODE, code, COUNT(code));
    for (unsigned k = 0; k < 4; k++) { /* addi a1, a1 (by the first page: or a0), 1 (or 100) */
        uint32_t insn = i_addi(A1, k & 2 ? A0 : A1, k & 1 ? 100 : 1);
        uint32_t first = insn << 16, second[] = {insn >> 16 | back << 16, back >> 16};
        if (!(k & 1))
            world_code(w, FAR_CODE + 4096 * (k >> 1) + 0xffc, &first, 1);
        if (!(k & 2))
            world_code(w, FAR_CODE + 0x2000 + 4096 * k, second, 2);
    }
    w->cpu->x[A3] = where;
    w->cpu->x[A4] = where & ~UINT64_C(0xfff);
    w->cpu->x[A5] = (where & ~UINT64_C(0xfff)) + 0x1000;
    w->cpu->x[S1] = 1;
    for (unsigned k = 0; k < 12; k++) {
        unsigned moves = k / 3 % 2; /* the page that is not global, or by fences of one page both */
        unsigned a = fence >> 15 & 31 ? k & 1 : first_bits & PTE_G ? 0 : k & 1;
        unsigned b = fence >> 15 & 31 ? moves : first_bits & PTE_G ? k & 1 : 0;
        world_map(w, root, 3, CALLEE, FAR_CODE + 4096 * a, PTE_R | PTE_X | first_bits);
        world_map(w, root, 3, CALLEE + 0x1000, FAR_CODE + 0x2000 + 4096 * b,
                  PTE_R | PTE_X | second_bits);
        w->cpu->c.priv = RV_PRIV_S;
        w->cpu->run.view_dirty = 1;
        run_to_wfi(w, CODE + 12);
        if (fence >> 15 & 31) { /* of the other page too */
            w->cpu->x[A4] ^= w->cpu->x[A5];
            w->cpu->x[A5] ^= w->cpu->x[A4];
            w->cpu->x[A4] ^= w->cpu->x[A5];
            run_to_wfi(w, CODE + 12);
        }
        w->cpu->x[A0] = 1000;
        w->cpu->x[A1] = 0;
        run_to_wfi(w, CODE);
        uint64_t once = b ? 100 : 1;
        world_expect(w, "sum", w->cpu->x[A1], a ? 1000 + once : 2 * once);
    }
}

static void half_global_in(struct world *w)
{
    half_global(w, PTE_G, 0, I_SFENCE | (uint32_t)S1 << 20);
    half_global(w, 0, PTE_G, I_SFENCE | (uint32_t)S1 << 20);
    half_global(w, PTE_G, 0, I_SFENCE | A4 << 15);
    half_global(w, 0, PTE_G, I_SFENCE | A4 << 15);
}

static void an_instruction_may_lie_on_a_global_page_and_another(void **state)
{
    each_way(half_global_in);
}

/* More address spaces than are kept: one that comes back is as good as new. */
enum { MORE_SPACES = SPACE_POOL + 10 };

static void many_spaces_in(struct world *w)
{
    const uint32_t code[] = {
        i_jal(RA, 0x1000), I_WFI, I_SFENCE | A4 << 15, I_WFI, I_NOP, I_WFI,
    };
    uint64_t first = world_root(w);
    world_code(w, CODE, code, COUNT(code));
    for (unsigned k = 0; k < 2; k++) {
        const uint32_t body[] = {i_addi(A1, A1, k ? 100 : 1), i_jalr(X0, RA, 0)};
        world_code(w, FAR_CODE + 4096 * k, body, COUNT(body));
    }
    w->cpu->x[A1] = 0;
    w->cpu->x[A4] = CALLEE;
    world_map(w, first, 3, CODE, CODE, PTE_R | PTE_X);
    world_map(w, first, 3, CALLEE, FAR_CODE, PTE_R | PTE_X);
    for (unsigned i = 0; i <= 2 * MORE_SPACES; i++) {
        uint64_t root = i % MORE_SPACES == 0 ? first : world_root(w);
        if (root != first)
            world_map(w, root, 3, CODE, CODE, PTE_R | PTE_X);
        world_satp(w, root, 3, 1 + i % MORE_SPACES);
        w->cpu->c.priv = RV_PRIV_S;
        w->cpu->run.view_dirty = 1;
        run_to_wfi(w, root == first ? CODE : CODE + 16);
    }
    run_to_wfi(w, CODE); /* by the link */
    world_expect(w, "sum", w->cpu->x[A1], 4);
    world_map(w, first, 3, CALLEE, FAR_CODE + 4096, PTE_R | PTE_X);
    run_to_wfi(w, CODE + 8);
    run_to_wfi(w, CODE);
    world_expect(w, "sum", w->cpu->x[A1], 104);
}

static void an_address_space_that_comes_back_is_as_good_as_new(void **state)
{
    each_way(many_spaces_in);
}

/* Two callees share an entry of the jump cache, and take it from each other at each call. Between loops
 * one of them is rewritten, or its page moves. */
#define TWIN (CALLEE + (UINT64_C(2) << GW_JC_BITS))

static void call_twins(struct world *w, uint64_t sum)
{
    uint64_t before = engine_stats(w->engine)->lookups;
    w->cpu->x[A1] = 0;
    w->cpu->x[A5] = 1000;
    w->cpu->c.priv = RV_PRIV_S;
    w->cpu->run.view_dirty = 1;
    run_to_wfi(w, CODE);
    world_expect(w, "sum", w->cpu->x[A1], 1000 * sum);
    if (w->way->code_cache_bytes == 0 && engine_stats(w->engine)->lookups - before > 100)
        fail_msg("%s: looked up %llu times", w->way->name,
                 (unsigned long long)(engine_stats(w->engine)->lookups - before));
}

static void twins_in(struct world *w)
{
    uint64_t root = world_root(w);
    const uint32_t code[] = {
        i_jalr(RA, A3, 0), i_jalr(RA, A4, 0),        i_addi(A5, A5, -1),
        i_jalr(RA, A3, 0), i_branch(1, A5, X0, -16), I_WFI,
    };
    const uint32_t fence[] = {I_SFENCE | A4 << 15, I_WFI};
    world_map(w, root, 3, CODE, CODE, PTE_R | PTE_X | PTE_G);
    world_map(w, root, 3, BESIDE, BESIDE, PTE_R | PTE_X | PTE_G);
    world_satp(w, root, 3, 1);
    w->cpu->run.hooks->flush(w->cpu, 0, 1, 0, 1);
    world_code(w, CODE, code, COUNT(code));
    world_code(w, BESIDE, fence, COUNT(fence));
    w->cpu->x[A3] = CALLEE;
    w->cpu->x[A4] = TWIN;
    for (unsigned k = 0; k < 2; k++) {
        const uint32_t body[] = {i_addi(A1, A1, k ? 100 : 1), i_jalr(X0, RA, 0)};
        world_code(w, FAR_CODE + 4096 * k, body, COUNT(body));
        world_map(w, root, 3, k ? TWIN : CALLEE, FAR_CODE + 4096 * k, PTE_R | PTE_X | PTE_G);
    }
    call_twins(w, 102);
    const uint32_t other[] = {i_addi(A1, A1, 10), i_jalr(X0, RA, 0)};
    world_code(w, FAR_CODE + 4096, other, COUNT(other));
    call_twins(w, 12);
    world_map(w, root, 3, TWIN, FAR_CODE, PTE_R | PTE_X | PTE_G);
    run_to_wfi(w, BESIDE);
    call_twins(w, 3);
}

static void jumps_that_share_an_entry_are_found_without_a_lookup(void **state)
{
    each_way(twins_in);
}

/* The same of many twins: more than the table of what jump caches have lost begins with. */
static void many_twins_in(struct world *w)
{
    const unsigned pairs = 400;
    const uint32_t code[] = {
        i_jalr(RA, A3, 0),
        i_jalr(RA, A4, 0),
        i_addi(A3, A3, 8),
        i_addi(A4, A4, 8),
        i_addi(A5, A5, -1),
        i_branch(1, A5, X0, -20),
        I_WFI,
    };
    uint64_t root = world_root(w), before = 0;
    world_map(w, root, 3, CODE, CODE, PTE_R | PTE_X);
    world_satp(w, root, 3, 1);
    w->cpu->run.hooks->flush(w->cpu, 0, 1, 0, 1);
    world_code(w, CODE, code, COUNT(code));
    for (unsigned k = 0; k < 2; k++) {
        uint32_t body[1024];
        for (unsigned i = 0; i < COUNT(body); i += 2) {
            body[i] = i_addi(A1, A1, k ? 100 : 1);
            body[i + 1] = i_jalr(X0, RA, 0);
        }
        world_code(w, FAR_CODE + 4096 * k, body, COUNT(body));
        world_map(w, root, 3, k ? TWIN : CALLEE, FAR_CODE + 4096 * k, PTE_R | PTE_X);
    }
    for (unsigned round = 0; round < 2; round++) {
        before = engine_stats(w->engine)->lookups;
        w->cpu->x[A1] = 0;
        w->cpu->x[A3] = CALLEE;
        w->cpu->x[A4] = TWIN;
        w->cpu->x[A5] = pairs;
        w->cpu->c.priv = RV_PRIV_S;
        w->cpu->run.view_dirty = 1;
        run_to_wfi(w, CODE);
        world_expect(w, "sum", w->cpu->x[A1], pairs * 101);
    }
    if (w->way->code_cache_bytes == 0 && engine_stats(w->engine)->lookups - before > pairs)
        fail_msg("%s: looked up %llu times", w->way->name,
                 (unsigned long long)(engine_stats(w->engine)->lookups - before));
}

static void many_jumps_that_share_entries_are_found_without_a_lookup(void **state)
{
    each_way(many_twins_in);
}

/* Calls of so many places, whose pages are others then; few, and more than a jump cache keeps account of. */
static void many_targets_in(struct world *w)
{
    const uint32_t code[] = {i_jalr(RA, A3, 0),
                             i_addi(A3, A3, 8),
                             i_addi(A5, A5, -1),
                             i_branch(1, A5, X0, -12),
                             I_WFI,
                             I_SFENCE,
                             I_WFI};
    const unsigned by[] = {1, 100}, counts[] = {10, 900};
    uint64_t root = world_root(w);
    world_map(w, root, 3, CODE, CODE, PTE_R | PTE_X);
    world_satp(w, root, 3, 1);
    world_code(w, CODE, code, COUNT(code));
    for (unsigned n = 0; n < 2 * COUNT(counts); n++) {
        unsigned k = n & 1;
        for (unsigned page = 0; page < 2; page++) {
            uint64_t frame = FAR_CODE + 4096 * (2 * k + page);
            uint32_t body[1024];
            for (unsigned i = 0; i < COUNT(body); i += 2) {
                body[i] = i_addi(A1, A1, (int)by[k]);
                body[i + 1] = i_jalr(X0, RA, 0);
            }
            if (n < 2)
                world_code(w, frame, body, COUNT(body));
            world_map(w, root, 3, CALLEE + 4096 * page, frame, PTE_R | PTE_X);
        }
        w->cpu->c.priv = RV_PRIV_S;
        w->cpu->run.view_dirty = 1;
        run_to_wfi(w, CODE + 20);
        w->cpu->x[A1] = 0;
        w->cpu->x[A3] = CALLEE;
        w->cpu->x[A5] = counts[n / 2];
        run_to_wfi(w, CODE);
        world_expect(w, "sum", w->cpu->x[A1], (uint64_t)by[k] * counts[n / 2]);
    }
}

static void jumps_to_many_places_are_forgotten_when_their_pages_move(void **state)
{
    each_way(many_targets_in);
}

/* Where nothing is, and no jump cache has had anything, nor of an address with the same entry. */
static void nowhere_in(struct world *w)
{
    const uint32_t code[] = {I_NOP, i_jalr(RA, A3, 0), I_WFI}, handler[] = {I_NOP, I_WFI};
    world_code(w, CODE, code, COUNT(code));
    world_code(w, FAR_CODE, handler, COUNT(handler));
    w->cpu->c.mtvec = FAR_CODE + 4;
    w->cpu->x[A3] = 0;
    run_to_wfi(w, CODE + 4);
    world_expect(w, "mepc", w->cpu->c.mepc, 0);
    world_expect(w, "mcause", w->cpu->c.mcause, RV_CAUSE_FETCH_ACCESS);
}

static void a_jump_to_address_0_faults(void **state)
{
    each_way(nowhere_in);
}

/* Stores through a mapping that has become read-only, or leads elsewhere, after the fence. */
static void data_remap_in(struct world *w)
{
    uint64_t root = world_root(w), page = UINT64_C(0x40000000);
    const uint32_t code[] = {I_SFENCE, i_ld(A2, A0, 8), i_sd(A1, A0, 8), i_ld(A3, A0, 8), I_WFI};
    world_map(w, root, 3, CODE, CODE, PTE_R | PTE_X);
    world_satp(w, root, 3, 1);
    world_code(w, CODE, code, COUNT(code));
    for (unsigned k = 0; k < 6; k++) {
        uint64_t frame = DATA + 4096 * (k & 1);
        bool writable = k != 3;
        world_poke(w, frame + 8, 100 + k);
        world_map(w, root, 3, page, frame, PTE_R | (writable ? PTE_W : 0u));
        w->cpu->x[A1] = 1000 + k;
        world_expect(w, "cause", try_access(w, page), writable ? 0 : RV_CAUSE_STORE_PAGE);
        world_expect(w, "what was there", w->cpu->x[A2], 100 + k);
        world_expect(w, "memory", world_peek(w, frame + 8), writable ? 1000 + k : 100 + k);
    }
}

static void a_page_of_data_may_move(void **state)
{
    each_way(data_remap_in);
}

/* --- comparisons whose flags are taken back -------------------------------------------------------- */

static const uint64_t float_values[] = {
    0,
    UINT64_C(0x8000000000000000),
    UINT64_C(0x3ff0000000000000),
    UINT64_C(0xbff0000000000000),
    1,
    UINT64_C(0x7ff0000000000000), /* infinities */
    UINT64_C(0xfff0000000000000),
    UINT64_C(0x7ff8000000000000), /* quiet and signalling NaNs */
    UINT64_C(0xfff8000000000001),
    UINT64_C(0x7ff0000000000001),
    UINT64_C(0xfff7ffffffffffff),
    UINT64_C(0xffffffff3f800000), /* singles, boxed */
    UINT64_C(0xffffffff7f800000),
    UINT64_C(0xffffffff7fc00000),
    UINT64_C(0xffffffff7f800001),
    UINT64_C(0xffffffffffbfffff),
};

static uint64_t compared(unsigned f3, bool wide, uint64_t a, uint64_t b)
{
    uint32_t flags = 0, a32, b32;
    a32 = a >> 32 == UINT32_MAX ? (uint32_t)a : UINT32_C(0x7fc00000);
    b32 = b >> 32 == UINT32_MAX ? (uint32_t)b : UINT32_C(0x7fc00000);
    switch (f3) {
    case 0: return (uint64_t)(wide ? sf_le64(a, b, &flags) : sf_le32(a32, b32, &flags));
    case 1: return (uint64_t)(wide ? sf_lt64(a, b, &flags) : sf_lt32(a32, b32, &flags));
    default: return (uint64_t)(wide ? sf_eq64(a, b, &flags) : sf_eq32(a32, b32, &flags));
    }
}

/* frflags; compare; fsflags: what compilers write for a quiet comparison. */
static void quiet_comparisons_in(struct world *w)
{
    w->cpu->c.mstatus |= 3u << 13; /* FS dirty */
    for (unsigned k = 0; k < 6; k++) {
        unsigned f3 = k % 3;
        bool wide = k / 3;
        const uint32_t op = 0x53 | (wide ? 0x51u : 0x50u) << 25 | f3 << 12 | 10 << 15 | 11 << 20;
        const uint32_t code[] = {i_i(0x73, 2, A0, X0, 1), op | A1 << 7, i_csrrw(X0, 1, A0), I_WFI};
        world_code(w, CODE, code, COUNT(code));
        for (unsigned i = 0; i < COUNT(float_values); i++)
            for (unsigned j = 0; j < COUNT(float_values); j++) {
                uint32_t before = (i + j) % 3 ? 0 : IR_FP_NX;
                w->cpu->f[10] = float_values[i];
                w->cpu->f[11] = float_values[j];
                w->cpu->run.fp_flags = before;
                run_to_wfi(w, CODE);
                world_expect(w, "result", w->cpu->x[A1],
                             compared(f3, wide, float_values[i], float_values[j]));
                world_expect(w, "flags read", w->cpu->x[A0], before);
                world_expect(w, "flags", w->cpu->run.fp_flags, before);
            }
    }
}

static void comparisons_between_reading_and_restoring_flags_raise_none(void **state)
{
    each_way(quiet_comparisons_in);
}

/* --- sparse memory ---------------------------------------------------------------------------- */

/* All of Sv48's lower half, each GiB of it the same RAM: as sparse as a guest can touch. */
static void sparse_in(struct world *w)
{
    enum { TOUCHES = 12000 };
    const uint32_t code[] = {
        i_ld(T2, T0, 0),    i_addi(T2, T2, 1),        i_sd(T2, T0, 0), i_add(T0, T0, T1),
        i_addi(A0, A0, -1), i_branch(1, A0, X0, -20), I_WFI,
    };
    uint64_t root = world_root(w), table = root + 4096;
    const uint64_t bits = 0xc1; /* V, A, D */
    w->tables += 4096;
    for (unsigned i = 0; i < 512; i++) {
        world_poke(w, table + 8 * i, W_RAM >> 2 | bits | PTE_R | PTE_W | PTE_X);
        if (i < 256)
            world_poke(w, root + 8 * i, table >> 2 | 1);
    }
    world_code(w, CODE, code, COUNT(code));
    world_poke(w, DATA, 0);
    world_satp(w, root, 4, 1);
    w->cpu->c.priv = RV_PRIV_S;
    w->cpu->x[T0] = DATA;
    w->cpu->x[T1] = UINT64_C(1) << 30;
    w->cpu->x[A0] = TOUCHES;
    run_to_wfi(w, CODE);
    world_expect(w, "count", world_peek(w, DATA), TOUCHES);
    const struct page_maps *m = w->engine->maps;
    if (m->flat) {
        assert_true(m->chunks <= m->chunk_limit && m->chunk_limit < TOUCHES);
        assert_true(engine_stats(w->engine)->map_drops > 0);
    }
}

static void a_guest_that_touches_sparsely_is_held_within_bounds(void **state)
{
    each_way(sparse_in);
}

/* --- many live values ------------------------------------------------------------------------- */

/* Operands are loaded long before they are used: more values than scratch registers. */
static void pressure_in(struct world *w)
{
    uint32_t code[96];
    unsigned n = 0;
    for (unsigned r = 11; r < 32; r++)
        code[n++] = i_ld(r, A0, (int)(8 * r));
    for (unsigned r = 11; r < 31; r++)
        code[n++] = i_mul(r, r, r + 1);
    for (unsigned r = 30; r > 11; r--)
        code[n++] = i_add(r, r, 42 - r);
    for (unsigned r = 11; r < 32; r++)
        code[n++] = i_sd(r, A0, (int)(512 + 8 * r));
    code[n++] = I_WFI;
    uint64_t x[32];
    for (unsigned r = 11; r < 32; r++)
        world_poke(w, DATA + 8 * r, x[r] = UINT64_C(0x9e3779b97f4a7c15) * r);
    for (unsigned r = 11; r < 31; r++)
        x[r] *= x[r + 1];
    for (unsigned r = 30; r > 11; r--)
        x[r] += x[42 - r];
    world_code(w, CODE, code, n);
    w->cpu->x[A0] = DATA;
    run_to_wfi(w, CODE);
    for (unsigned r = 11; r < 32; r++) {
        world_expect(w, "register", w->cpu->x[r], x[r]);
        world_expect(w, "memory", world_peek(w, DATA + 512 + 8 * r), x[r]);
    }
}

static void more_values_than_registers(void **state)
{
    each_way(pressure_in);
}

/* --- a handler that faults on itself ---------------------------------------------------------- */

static void handlers_that_fault_take_time_in(struct world *w)
{
    static const uint32_t call[] = {I_NOP, I_ECALL};
    static const uint32_t load[] = {0x00003003}; /* ld x0, 0(x0) */
    const uint64_t handlers[] = {0x1000 /* nothing is there */, FAR_CODE};
    world_code(w, CODE, call, COUNT(call));
    world_code(w, FAR_CODE, load, COUNT(load));
    for (unsigned i = 0; i < COUNT(handlers); i++) {
        uint64_t before = engine_retired(w->engine);
        w->cpu->c.mtvec = handlers[i];
        go_on(w, CODE);
        world_expect(w, "stop", engine_run(w->engine, 5000, true), ENGINE_BUDGET);
        world_expect(w, "time", engine_retired(w->engine) - before, 5000);
        world_expect(w, "pc", w->cpu->run.pc, handlers[i]);
        world_expect(w, "mepc", w->cpu->c.mepc, handlers[i]);
        w->cpu->run.attention = 1;
        world_expect(w, "stop", engine_run(w->engine, UINT64_MAX / 2, false), ENGINE_ATTENTION);
    }
    /* A few traps in a row are none of that: only what retires counts. */
    w->cpu->c.mtvec = FAR_CODE;
    world_code(w, FAR_CODE, (const uint32_t[]){I_WFI}, 1);
    uint64_t before = engine_retired(w->engine);
    run_to_wfi(w, CODE);
    world_expect(w, "retired", engine_retired(w->engine) - before, 2);
}

static void handlers_that_fault_take_time(void **state)
{
    each_way(handlers_that_fault_take_time_in);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_exact_stop_has_the_state_of_single_steps),
        cmocka_unit_test(what_cannot_be_fetched_faults_in_the_next_run),
        cmocka_unit_test(an_inexact_stop_is_less_than_a_block_early),
        cmocka_unit_test(code_patched_before_fence_i_is_the_new_code),
        cmocka_unit_test(code_patched_without_a_fence_is_old_or_new),
        cmocka_unit_test(data_and_code_share_a_page),
        cmocka_unit_test(code_changed_by_dma_is_seen_behind_every_link),
        cmocka_unit_test(interrupts_land_in_loops_of_every_kind),
        cmocka_unit_test(non_canonical_addresses_fault_at_every_width),
        cmocka_unit_test(an_access_may_wrap_around),
        cmocka_unit_test(a_page_of_code_may_move),
        cmocka_unit_test(a_pair_may_lie_on_two_pages),
        cmocka_unit_test(linked_jumps_follow_a_page_that_the_guest_moves),
        cmocka_unit_test(a_fence_that_changes_nothing_costs_no_lookup),
        cmocka_unit_test(a_fence_is_answered_where_the_vcpu_comes_to_the_space),
        cmocka_unit_test(code_on_pages_that_nobody_remembers_may_move),
        cmocka_unit_test(a_fence_of_one_page_forgets_no_other),
        cmocka_unit_test(memory_is_shared_with_devices_while_they_write),
        cmocka_unit_test(an_instruction_may_lie_on_a_global_page_and_another),
        cmocka_unit_test(an_address_space_that_comes_back_is_as_good_as_new),
        cmocka_unit_test(jumps_that_share_an_entry_are_found_without_a_lookup),
        cmocka_unit_test(many_jumps_that_share_entries_are_found_without_a_lookup),
        cmocka_unit_test(jumps_to_many_places_are_forgotten_when_their_pages_move),
        cmocka_unit_test(a_jump_to_address_0_faults),
        cmocka_unit_test(a_page_of_data_may_move),
        cmocka_unit_test(comparisons_between_reading_and_restoring_flags_raise_none),
        cmocka_unit_test(a_guest_that_touches_sparsely_is_held_within_bounds),
        cmocka_unit_test(more_values_than_registers),
        cmocka_unit_test(handlers_that_fault_take_time),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
