/*
 * Traps and returns on several harts, between U and S mode, S and M, in several address spaces, while one of them
 * moves pages, takes and drops spaces, and writes its PMP: whoever comes back goes by what there is now (Priv.
 * 1.13, 12.2.1, 3.7).
 */
#include "smp.h"

#define DATA   UINT64_C(0x40000000)
#define CODE   UINT64_C(0x40400000)
#define KERNEL UINT64_C(0x50000000)
#define TARGET (KERNEL + 0x100000)

enum { SPACES = 4, COPIES = 4, TURNS = 48, TRIES = 48, PASSING = 70, FIRST_PASSING = 100 };

/* User code, written where it is run: s0 is its number, s1 that of the data. */
enum { INSN_LD_S1_A1 = 0x0005b483, INSN_J_BACK = 0xff9ff06f };

/*
 * The kernel: by turns in each space, with each of SUM, MXR and FS as the turn has them, it goes to user code, which
 * comes back by ECALL. a0: the generation that this hart has fenced for; a1: DATA; a2: CODE; a3: when to stop; a4: satp
 * of each space, a5: which. Ends with a trap to M mode; s0, s1 and s4 tell what was seen.
 */
SNIPPET(snip_kernel, "1: ld s4, (a0)\n"
                     "addi a5, a5, 1\n"
                     "andi t0, a5, 3\nslli t0, t0, 3\nadd t0, t0, a4\nld t0, (t0)\ncsrw satp, t0\n"
                     /* SUM, MXR: bits 18 and 19; FS: 14 and 13; SPP: 8. */
                     "li t1, 0xc6100\ncsrc sstatus, t1\n"
                     "srli t0, a5, 2\nandi t1, t0, 3\nslli t1, t1, 18\ncsrs sstatus, t1\n"
                     "srli t0, a5, 4\nandi t1, t0, 3\nslli t1, t1, 13\ncsrs sstatus, t1\n"
                     "csrw sepc, a2\nli s0, 0\nli s1, 0\nsret\n"
                     ".balign 4\nsnip_kernel_handler:\n"
                     "csrr t0, scause\nli t1, 8\nbne t0, t1, 9f\n"
                     "csrr t0, sepc\naddi t1, a2, 8\nbne t0, t1, 9f\n"
                     "bltu s0, s4, 9f\nbltu s1, s4, 9f\n"
                     /* The same by the kernel, where it may. */
                     "andi t0, a5, 4\nbeqz t0, 2f\nld s1, (a1)\nbltu s1, s4, 9f\n"
                     "2: ld t0, (a3)\nbeqz t0, 1b\n"
                     "9: ecall\n");
SNIPPET_LABEL(snip_kernel_handler);

static struct space sp[SPACES], passing;
static uint64_t snippets_at, satp_of[SPACES];
static uint64_t *data[COPIES], *code[COPIES];
static uint64_t latest, stop;
static struct {
    struct ctx c;
    uint64_t fenced;
    uint64_t pad[LINE / 8];
} of[HARTS] __attribute__((aligned(128)));

static void sfence_page(uint64_t vaddr)
{
    __asm__ volatile("sfence.vma %0, zero" ::"r"(vaddr) : "memory");
}

static void sfence_asid(uint64_t asid)
{
    __asm__ volatile("sfence.vma zero, %0" ::"r"(asid) : "memory");
}

static void sfence_page_asid(uint64_t vaddr, uint64_t asid)
{
    __asm__ volatile("sfence.vma %0, %1" ::"r"(vaddr), "r"(asid) : "memory");
}

static uint32_t insn_li_s0(int imm)
{
    return (insn_li_a0(imm) & ~(31u << 7)) | 8u << 7;
}

/* Each hart has its own way to say the same. */
static void fence(unsigned way)
{
    switch (way % 4) {
    case 0: sfence_all(); break;
    case 1:
        sfence_page(DATA);
        sfence_page(CODE);
        break;
    case 2:
        for (unsigned k = 0; k < SPACES; k++)
            sfence_asid(sp[k].asid);
        break;
    default:
        for (unsigned k = 0; k < SPACES; k++) {
            sfence_page_asid(CODE, sp[k].asid);
            sfence_page_asid(DATA, sp[k].asid);
        }
    }
}

static void serve(unsigned hart)
{
    ipi_clear();
    uint64_t told = load(&latest);
    fence(hart + (unsigned)told / 4);
    fence_i();
    store(&of[hart].fenced, told);
}

static void delegate(void)
{
    csr_write(medeleg, BIT(CAUSE_ECALL_U));
    csr_write(stvec, addr(snip_kernel_handler) + snippets_at);
}

static void watch(unsigned hart)
{
    struct ctx *c = &of[hart].c;
    delegate();
    csr_write(satp, satp_of[0]);
    sfence_all();
    csr_write(mie, BIT(IRQ_MSI));
    c->mode = PRIV_S;
    c->pc = addr(snip_kernel) + snippets_at;
    c->x[10] = addr(&of[hart].fenced);
    c->x[11] = DATA;
    c->x[12] = CODE;
    c->x[13] = addr(&stop);
    c->x[14] = addr(satp_of);
    c->x[15] = hart;
    for (;; c->pc = c->epc) {
        ctx_run(c);
        if (c->cause != CAUSE_IRQ(IRQ_MSI))
            break;
        serve(hart);
        c->mode = c->status >> 11 & 3;
        ipi(0);
    }
    csr_write(mie, 0);
    csr_write(satp, 0);
    if (!load(&stop))
        guest_fail(__LINE__, "older than the fence", c->x[8] << 32 | c->x[9], of[hart].fenced);
    CHECK_EQ(c->cause, CAUSE_ECALL_S);
    csr_write(medeleg, 0);
}

/* Through more spaces than are remembered, each with the code of the kernel, at ASIDs that come again. */
static void pass_through(uint64_t turn)
{
    struct ctx *c = &of[0].c;
    for (unsigned k = 0; k < PASSING; k++) {
        passing.asid = FIRST_PASSING + (unsigned)(turn + k) % (PASSING + 7);
        csr_write(satp, space_satp(&passing));
        run4(c, PRIV_S, addr(snip_ecall) + snippets_at, 0, 0, 0, 0);
        CHECK_EQ(c->cause, CAUSE_ECALL_S);
    }
    csr_write(satp, 0);
}

/* An entry that is behind the one that grants all. */
static void write_pmp(uint64_t turn)
{
    csr_write(pmpaddr3, turn);
    sfence_all();
}

/* Pages in turn: what a page holds is changed only while it is mapped nowhere. */
static void change(unsigned hart)
{
    for (uint64_t k = 1; k <= TURNS; k++) {
        data[k % COPIES][0] = k;
        *(volatile uint32_t *)code[k % COPIES] = insn_li_s0((int)k);
        for (unsigned i = 0; i < SPACES; i++) {
            store(space_pte(&sp[i], DATA, 0), pte_make(addr(data[k % COPIES]), PTE_RW | PTE_U));
            store(space_pte(&sp[i], CODE, 0), pte_make(addr(code[k % COPIES]), PTE_RX | PTE_U));
        }
        store(&latest, k);
        if (k % 3 == 0)
            fence((unsigned)k / 3);
        if (k % 5 == 0)
            write_pmp(k);
        if (k % 7 == 0)
            pass_through(k);
        for (unsigned h = 1; h < HARTS; h++)
            ipi(h);
        for (unsigned h = 1; h < HARTS; h++)
            while (load(&of[h].fenced) != k)
                ipi_await();
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

/* ---- PMP of one hart --------------------------------------------------------------------------- */

static struct space kernel[2];
static uint64_t forbidden, turn;

/* The page, and then all of memory. */
static void forbid(uint64_t paddr)
{
    csr_write(pmpaddr0, paddr >> 2 | 0x1ff);
    csr_write(pmpaddr1, ALL_ONES >> 10);
    csr_write(pmpcfg0, 0x1f19);
    sfence_all();
}

/* By turns each hart calls a page that the odd ones may not execute: it jumps from one that all may, bare and in
 * a space, from pages that are global and others. */
static void call_forbidden(unsigned hart)
{
    struct ctx *c = &of[hart].c;
    if (hart & 1)
        forbid(forbidden);
    for (unsigned k = hart; k < TRIES; k += HARTS) {
        unsigned way = k / HARTS % 3;
        uint64_t at = way ? TARGET : forbidden - PAGE;
        while (load(&turn) != k)
            ipi_await();
        csr_write(satp, way ? space_satp(&kernel[way - 1]) : 0);
        for (unsigned i = 0; i < 8; i++) {
            run4(c, PRIV_S, at, 1, 0, 0, 0);
            CHECK_EQ(c->cause, hart & 1 ? CAUSE_FETCH_ACCESS : CAUSE_ECALL_S);
            CHECK_EQ(c->epc, hart & 1 ? at + PAGE : at + PAGE + 4);
            CHECK_EQ(c->x[10], hart & 1 ? 1 : 77);
        }
        csr_write(satp, 0);
        store(&turn, k + 1);
        ipi((hart + 1) % HARTS);
    }
    barrier_asleep();
    pmp_open();
    run4(c, PRIV_S, forbidden - PAGE, 1, 0, 0, 0);
    CHECK_EQ(c->cause, CAUSE_ECALL_S);
    CHECK_EQ(c->x[10], 77);
}

static void prepare_forbidden(void)
{
    uint32_t *from = page_new(), *to = page_new();
    CHECK_EQ(addr(to), addr(from) + PAGE);
    forbidden = addr(to);
    from[0] = (uint32_t)insn_jal0(PAGE);
    to[0] = insn_li_a0(77);
    to[1] = INSN_ECALL;
    for (unsigned k = 0; k < 2; k++) {
        uint64_t bits = PTE_RX | (k ? PTE_G : 0);
        space_init(&kernel[k], 3, 20 + k);
        space_map(&kernel[k], TARGET, addr(from), bits);
        space_map(&kernel[k], TARGET + PAGE, addr(to), bits);
    }
    fence_i();
}

static void prepare_space(struct space *s, unsigned asid)
{
    space_init(s, 3, asid);
    snippets_at = space_snippets(s, KERNEL, PTE_RX | (asid & 1 ? PTE_G : 0));
    /* What the program itself has, where it is. */
    *space_pte(s, UINT64_C(0x80000000), 2) = pte_make(UINT64_C(0x80000000), PTE_RWX);
    space_map(s, DATA, addr(data[0]), PTE_RW | PTE_U);
    space_map(s, CODE, addr(code[0]), PTE_RX | PTE_U);
}

void guest_main(void)
{
    for (unsigned i = 0; i < COPIES; i++) {
        data[i] = page_new();
        code[i] = page_new();
        ((uint32_t *)code[i])[0] = insn_li_s0(0);
        ((uint32_t *)code[i])[1] = INSN_LD_S1_A1;
        ((uint32_t *)code[i])[2] = INSN_ECALL;
        ((uint32_t *)code[i])[3] = INSN_J_BACK;
    }
    for (unsigned k = 0; k < SPACES; k++) {
        prepare_space(&sp[k], 1 + k);
        satp_of[k] = space_satp(&sp[k]);
    }
    prepare_space(&passing, 0);
    fence_i();
    harts_run(ALL_HARTS, shootdown);
    prepare_forbidden();
    harts_run(ALL_HARTS, call_forbidden);
}
