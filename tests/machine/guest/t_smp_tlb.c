/*
 * Translations that another hart changes: after the store to the page table, an interrupt and its
 * own SFENCE.VMA, a hart uses the new one, for loads, stores and fetches (Priv. 1.13, 12.2.1).
 */
#include "smp.h"

#define DATA UINT64_C(0x40000000)
#define CODE UINT64_C(0x40400000)
#define OWN  UINT64_C(0x40800000) /* and a page for each hart */

enum { INSN_JR_T3 = 0x000e0067 };
enum { STRESS = 16, LOOKS = 40, COPIES = 4 };

/* a0: the generation that this hart has fenced for; a1: DATA; a2: CODE; a3: when to stop; a4: which
 * count in the page is this hart's. Ends when what it sees is older; s0 and s1 tell what was seen. */
SNIPPET(snip_watch, "1: ld t0, (a0)\n"
                    "ld s0, (a1)\n"
                    "bltu s0, t0, snip_watch_end\n"
                    "add t2, a1, a4\nli t1, 1\namoadd.d zero, t1, (t2)\n"
                    "mv t4, a0\nld t0, (a0)\n"
                    "jalr t3, (a2)\n"
                    "mv s1, a0\nmv a0, t4\n"
                    "bltu s1, t0, snip_watch_end\n"
                    "ld t0, (a3)\nbeqz t0, 1b\n"
                    "snip_watch_end: ecall");
SNIPPET_LABEL(snip_watch_end);
/* Reads a page for each hart, a2 times; s0: where it was older than this hart had fenced for. */
SNIPPET(snip_look, "1: mv t0, a0\nmv t1, a1\nli t2, 4\n"
                   "2: ld t3, (t0)\nld t4, (t1)\nbltu t4, t3, 9f\nsd t4, 8(t1)\n"
                   "addi t0, t0, 8\nli t5, 4096\nadd t1, t1, t5\naddi t2, t2, -1\nbnez t2, 2b\n"
                   "addi a2, a2, -1\nbnez a2, 1b\nli t1, 0\n"
                   "9: mv s0, t1\necall");

static struct space sp;
static uint64_t snippets_at;
static uint64_t *data[COPIES], *code[COPIES], *own[HARTS][COPIES];
static uint64_t latest, stop, own_latest[HARTS];
static unsigned others, turns;
static struct {
    struct ctx c;
    uint64_t fenced, own_fenced[HARTS];
    uint64_t pad[LINE / 8];
} of[HARTS] __attribute__((aligned(128)));

static void put_insn32(void *p, uint32_t insn)
{
    *(volatile uint32_t *)p = insn;
}

static void put_pte(uint64_t vaddr, const void *page, uint64_t bits)
{
    store(space_pte(&sp, vaddr, 0), page ? pte_make(addr(page), bits) : 0);
}

static void serve(unsigned hart)
{
    uint64_t told, own_told[HARTS];
    ipi_clear();
    told = load(&latest);
    for (unsigned h = 0; h < HARTS; h++)
        own_told[h] = load(&own_latest[h]);
    sfence_all();
    fence_i();
    for (unsigned h = 0; h < HARTS; h++)
        store(&of[hart].own_fenced[h], own_told[h]);
    store(&of[hart].fenced, told);
}

/* ---- one hart changes, the others watch -------------------------------------------------------- */

static void watch(unsigned hart)
{
    struct ctx *c = &of[hart].c;
    csr_write(satp, space_satp(&sp));
    sfence_all();
    csr_write(mie, BIT(IRQ_MSI));
    c->mode = PRIV_S;
    c->pc = addr(snip_watch) + snippets_at;
    c->x[10] = addr(&of[hart].fenced);
    c->x[11] = DATA;
    c->x[12] = CODE;
    c->x[13] = addr(&stop);
    c->x[14] = 8 + 8 * hart;
    for (;; c->pc = c->epc) {
        ctx_run(c);
        if (c->cause == CAUSE_IRQ(IRQ_MSI)) {
            serve(hart);
            ipi(0);
        } else if (c->cause == CAUSE_LOAD_PAGE || c->cause == CAUSE_STORE_PAGE ||
                   c->cause == CAUSE_FETCH_PAGE) {
            /* Nothing is there for a while, or was when the fault was on its way. */
            CHECK(c->tval == CODE || c->tval - DATA < PAGE);
            if (c->cause == CAUSE_FETCH_PAGE)
                CHECK_EQ(c->epc, CODE);
            pause();
        } else {
            break;
        }
    }
    CHECK_EQ(c->cause, CAUSE_ECALL_S);
    CHECK_EQ(c->epc, addr(snip_watch_end) + snippets_at);
    if (!load(&stop))
        guest_fail(__LINE__, "a translation older than the fence: data or code", c->x[8],
                   of[hart].fenced);
    csr_write(mie, 0);
}

static void tell_the_others(void)
{
    for (unsigned h = 1; h <= others; h++)
        ipi(h);
    for (unsigned h = 1; h <= others; h++)
        while (load(&of[h].fenced) != latest)
            ipi_await();
}

/* Pages in turn: what a page holds is changed only while it is mapped nowhere. */
static void change(unsigned hart)
{
    uint64_t counts[HARTS] = {0};
    for (uint64_t k = 1; k <= turns; k++) {
        uint64_t *old = data[(k - 1) % COPIES];
        data[k % COPIES][0] = k;
        put_insn32(code[k % COPIES], insn_li_a0((int)k));
        if (k % 8 == 0) { /* by way of nothing */
            put_pte(DATA, NULL, 0);
            put_pte(CODE, NULL, 0);
            store(&latest, k);
            tell_the_others();
        }
        put_pte(DATA, data[k % COPIES], PTE_RW);
        put_pte(CODE, code[k % COPIES], PTE_RX);
        store(&latest, k);
        tell_the_others();
        /* Nobody writes to the old page any more. */
        for (unsigned h = 1; h <= others; h++)
            counts[h] = load(&old[1 + h]);
        for (unsigned h = 1; h <= others; h++) {
            uint64_t *now = &data[k % COPIES][1 + h], before = load(now);
            if (k % 8 == 0)
                wait_until(load(now) != before);
            CHECK_EQ(load(&old[1 + h]), counts[h]);
        }
    }
    store(&stop, 1);
}

static void shootdown(unsigned hart)
{
    if (hart)
        watch(hart);
    else
        change(hart);
}

/* ---- everybody changes ------------------------------------------------------------------------- */

static void look(unsigned hart)
{
    struct ctx *c = &of[hart].c;
    csr_write(mie, BIT(IRQ_MSI));
    c->mode = PRIV_S;
    c->pc = addr(snip_look) + snippets_at;
    c->x[10] = addr(of[hart].own_fenced);
    c->x[11] = OWN;
    c->x[12] = LOOKS;
    for (;; c->pc = c->epc) {
        ctx_run(c);
        if (c->cause != CAUSE_IRQ(IRQ_MSI))
            break;
        serve(hart);
        for (unsigned h = 0; h < HARTS; h++)
            if (h != hart && load(&own_latest[h]) == of[hart].own_fenced[h])
                ipi(h); /* it may wait for this */
    }
    csr_write(mie, 0);
    CHECK_EQ(c->cause, CAUSE_ECALL_S);
    if (c->x[8])
        guest_fail(__LINE__, "older than the fence: the page at", c->x[8], 0);
}

static bool all_fenced(unsigned hart, uint64_t k)
{
    for (unsigned h = 0; h < HARTS; h++)
        if (h != hart && load(&of[h].own_fenced[hart]) != k)
            return false;
    return true;
}

static void stress(unsigned hart)
{
    csr_write(satp, space_satp(&sp));
    sfence_all();
    barrier();
    for (uint64_t k = 1; k <= STRESS; k++) {
        own[hart][k % COPIES][0] = k;
        put_pte(OWN + PAGE * hart, own[hart][k % COPIES], PTE_RW);
        sfence_all();
        store(&of[hart].own_fenced[hart], k);
        store(&own_latest[hart], k);
        for (unsigned h = 0; h < HARTS; h++)
            if (h != hart)
                ipi(h);
        while (!all_fenced(hart, k)) {
            if (ipi_pending()) {
                serve(hart);
                store(&of[hart].own_fenced[hart], k);
            }
            pause();
        }
        look(hart);
    }
    /* Others may still wait for this hart. */
    fetch_add(&stop, 1);
    while (load(&stop) < HARTS) {
        if (ipi_pending())
            serve(hart);
        pause();
    }
    csr_write(satp, 0);
    sfence_all();
}

/* ---- who comes for the first time -------------------------------------------------------------- */

static struct space fresh;
static uint64_t *second[HARTS], turn;

/* Each hart in turn calls the first page, which jumps to the second, and fences where it is in no space. No
 * hart has been there before its turn, so it has nothing to fence. */
static void come(unsigned hart)
{
    struct ctx *c = &of[hart].c;
    wait_until(load(&turn) == hart);
    csr_write(satp, space_satp(&fresh));
    for (unsigned k = 0; k < LOOKS; k++) {
        c->mode = PRIV_S;
        c->pc = CODE;
        ctx_run(c);
        CHECK_EQ(c->cause, CAUSE_ECALL_S);
        CHECK_EQ(c->x[10], hart);
    }
    csr_write(satp, 0);
    if (hart + 1 < HARTS)
        store(space_pte(&fresh, CODE + PAGE, 0), pte_make(addr(second[hart + 1]), PTE_RX));
    sfence_all();
    store(&turn, hart + 1);
}

static void prepare_fresh(void)
{
    uint64_t *first = page_new();
    space_init(&fresh, 3, 2);
    put_insn32(first, insn_jal0(PAGE));
    for (unsigned h = 0; h < HARTS; h++) {
        second[h] = page_new();
        put_insn32(second[h], insn_li_a0((int)h));
        put_insn32((uint32_t *)second[h] + 1, INSN_ECALL);
    }
    space_map(&fresh, CODE, addr(first), PTE_RX);
    space_map(&fresh, CODE + PAGE, addr(second[0]), PTE_RX);
    fence_i();
}

static void prepare(void)
{
    space_init(&sp, 3, 1);
    snippets_at = space_snippets(&sp, UINT64_C(0x50000000), PTE_RX);
    /* What the program itself has, where it is. */
    *space_pte(&sp, UINT64_C(0x80000000), 2) = pte_make(UINT64_C(0x80000000), PTE_RWX);
    for (unsigned i = 0; i < COPIES; i++) {
        data[i] = page_new();
        code[i] = page_new();
        put_insn32(code[i], insn_li_a0(0));
        put_insn32((uint32_t *)code[i] + 1, INSN_JR_T3);
        for (unsigned h = 0; h < HARTS; h++)
            own[h][i] = page_new();
    }
    space_map(&sp, DATA, addr(data[0]), PTE_RW);
    space_map(&sp, CODE, addr(code[0]), PTE_RX);
    for (unsigned h = 0; h < HARTS; h++)
        space_map(&sp, OWN + PAGE * h, addr(own[h][0]), PTE_RW);
    fence_i();
}

void guest_main(void)
{
    prepare();
    for (others = 1; others < HARTS; others += 2) {
        stop = latest = 0;
        turns =
            others == 1 ? 60 : 16; /* see t_smp_code.c: with fewer CPUs than harts, each waits */
        put_pte(DATA, data[0], PTE_RW);
        put_pte(CODE, code[0], PTE_RX);
        data[0][0] = 0;
        put_insn32(code[0], insn_li_a0(0));
        for (unsigned h = 0; h < HARTS; h++)
            of[h].fenced = 0;
        fence_i();
        harts_run((2u << others) - 1, shootdown);
    }
    stop = 0;
    harts_run(ALL_HARTS, stress);
    prepare_fresh();
    harts_run(ALL_HARTS, come);
}
