/*
 * What only the model max has, where it meets translated code and remembered translations: A and D
 * bits that the walk sets (Svadu), 64 KiB pages (Svnapot) and their invalidation (Svinval), memory
 * types (Svpbmt), and compare-and-swaps that fault, or hit pages with code (Zacas, Zabha).
 */
#include "guest.h"

/* Words, since assemblers of the host's release may not know them. */
#define AMOCAS_B "\n.word 0x28c5852f\n" /* amocas.b a0, a2, (a1) */
#define AMOCAS_D "\n.word 0x28c5b52f\n"
#define AMOCAS_Q "\n.word 0x28c5c52f\n" /* of a0, a1 and a2, a3 at a1's address */
SNIPPET(snip_ld, "ld a0, (a1)\necall");
SNIPPET(snip_sd, "sd a2, (a1)\necall");
SNIPPET(snip_amo, "amoadd.d a0, a2, (a1)\necall");
SNIPPET(snip_ld_sd, "ld a0, (a1)\nsd a2, (a1)\necall");
SNIPPET(snip_cas_b, AMOCAS_B "ecall");
SNIPPET(snip_cas_d, AMOCAS_D "ecall");
SNIPPET(snip_cas_q, AMOCAS_Q "ecall");
SNIPPET(snip_sinval,
        ".word 0x18000073\n.word 0x16058073\n.word 0x18100073\necall"); /* of a1, in its fences */

#define S_CODE UINT64_C(0x10000000)
#define DATA   UINT64_C(0x3000050000) /* at 64 KiB */
#define ADUE   BIT(61)
#define PBMTE  BIT(62)
#define PTE_N  BIT(63)
#define PBMT   BIT(61)
#define BARE   (PTE_V | PTE_R | PTE_W | PTE_X)

static struct space sp;
static struct ctx c;
static uint64_t *data;
static uint64_t to_s;

static void run(char *snippet, uint64_t a1, uint64_t a2)
{
    run4(&c, PRIV_S, addr(snippet) + to_s, 0, a1, a2, 0);
}

static void must_pass(char *snippet, uint64_t vaddr, uint64_t a2)
{
    run(snippet, vaddr, a2);
    CHECK_EQ(c.cause, CAUSE_ECALL_S);
}

static void must_fault(char *snippet, uint64_t vaddr, uint64_t cause)
{
    run(snippet, vaddr, 1);
    CHECK_TRAP(&c, cause, addr(snippet) + to_s, vaddr);
}

static uint64_t *remap(uint64_t bits)
{
    uint64_t *pte = space_pte(&sp, DATA, 0);
    *pte = pte_make(addr(data), bits);
    sfence_all();
    return pte;
}

static void accessed_and_dirty(void)
{
    uint64_t *pte = remap(BARE);
    must_fault(snip_ld, DATA, CAUSE_LOAD_PAGE); /* ADUE is off */
    csr_set(0x30a, ADUE);
    sfence_all();
    must_pass(snip_ld, DATA, 0);
    CHECK_EQ(*pte & 0xff, BARE | PTE_A);
    must_pass(snip_sd, DATA, 5); /* what the load left behind must not hide the first store */
    CHECK_EQ(*pte & 0xff, BARE | PTE_A | PTE_D);
    CHECK_EQ(data[0], 5);
    pte = remap(BARE);
    must_pass(snip_ld_sd, DATA, 6);
    CHECK_EQ(*pte & 0xff, BARE | PTE_A | PTE_D);
    pte = remap(BARE);
    must_pass(snip_amo, DATA, 1);
    CHECK_EQ(*pte & 0xff, BARE | PTE_A | PTE_D);
    pte = remap(BARE & ~PTE_W);
    must_fault(snip_sd, DATA, CAUSE_STORE_PAGE);
    CHECK_EQ(*pte & 0xff, BARE & ~PTE_W);
    pte = remap(BARE);
    put32(data, INSN_ECALL);
    fence_i();
    run4(&c, PRIV_S, DATA, 0, 0, 0, 0);
    CHECK_EQ(c.cause, CAUSE_ECALL_S);
    CHECK_EQ(*pte & 0xff, BARE | PTE_A);
}

static void napot(uint64_t paddr)
{
    for (uint64_t i = 0; i < 16; i++)
        *space_pte(&sp, DATA + i * PAGE, 0) =
            pte_make(paddr | 8 * PAGE, PTE_RWX) | PTE_N; /* PPN 8: 64 KiB */
}

static void pages_of_64_kib(uint64_t *block, uint64_t *other)
{
    for (uint64_t i = 0; i < 16; i++) {
        block[i * PAGE / 8] = 100 + i;
        other[i * PAGE / 8] = 200 + i;
    }
    napot(addr(block));
    sfence_all();
    for (uint64_t i = 0; i < 16; i++) {
        must_pass(snip_ld, DATA + i * PAGE, 0);
        CHECK_EQ(c.x[10], 100 + i);
    }
    napot(addr(other));
    must_pass(snip_sinval, DATA + 3 * PAGE, 0); /* any address in it means all of it */
    for (uint64_t i = 0; i < 16; i++) {
        must_pass(snip_ld, DATA + i * PAGE, 0);
        CHECK_EQ(c.x[10], 200 + i);
    }
    *space_pte(&sp, DATA, 0) = pte_make(addr(block), PTE_RWX) | PTE_N; /* reserved */
    sfence_all();
    must_fault(snip_ld, DATA, CAUSE_LOAD_PAGE);
}

static void memory_types(void)
{
    remap(PTE_RWX | PBMT);
    must_fault(snip_ld, DATA, CAUSE_LOAD_PAGE);
    csr_set(0x30a, PBMTE);
    sfence_all();
    must_pass(snip_ld, DATA, 0);
    remap(PTE_RWX | 2 * PBMT);
    must_pass(snip_sd, DATA, 9);
    CHECK_EQ(data[0], 9);
    remap(PTE_RWX | 3 * PBMT);
    must_fault(snip_ld, DATA, CAUSE_LOAD_PAGE);
}

static void swaps(void)
{
    remap(PTE_RWX);
    data[0] = UINT64_C(0x8877665544332211);
    run4(&c, PRIV_S, addr(snip_cas_b) + to_s, 0x77, DATA + 6, 0xab, 0);
    CHECK_EQ(c.x[10], 0x77);
    CHECK_EQ(data[0], UINT64_C(0x88ab665544332211));
    run4(&c, PRIV_S, addr(snip_cas_b) + to_s, 0, DATA + 7, 0xab, 0);
    CHECK_EQ(c.x[10], UINT64_C(0xffffffffffffff88));
    CHECK_EQ(data[0], UINT64_C(0x88ab665544332211));
    /* Sixteen bytes: a1 is both the address and the high half that is expected. */
    data[0] = 7;
    data[1] = DATA;
    run4(&c, PRIV_S, addr(snip_cas_q) + to_s, 7, DATA, 21, 22);
    CHECK_EQ(c.cause, CAUSE_ECALL_S);
    CHECK(c.x[10] == 7 && c.x[11] == DATA && data[0] == 21 && data[1] == 22);
    run4(&c, PRIV_S, addr(snip_cas_q) + to_s, 21, DATA, 31, 32);
    CHECK(c.x[10] == 21 && c.x[11] == 22 && data[0] == 21 && data[1] == 22);
    must_fault(snip_cas_d, DATA + 4, CAUSE_STORE_MISALIGNED);
    must_fault(snip_cas_q, DATA + 8, CAUSE_STORE_MISALIGNED);
    remap(PTE_RX);
    must_fault(snip_cas_b, DATA, CAUSE_STORE_PAGE);
    must_fault(snip_cas_q, DATA, CAUSE_STORE_PAGE);
}

/* Code that has run is replaced by a swap of sixteen bytes; nothing else touches its page. */
static void swapped_code(void)
{
    remap(PTE_RWX);
    put32(data, insn_li_a0(1));
    put32((char *)data + 4, INSN_ECALL);
    data[1] = DATA;
    fence_i();
    for (int i = 0; i < 3; i++) {
        run4(&c, PRIV_S, DATA, 0, 0, 0, 0);
        CHECK_EQ(c.x[10], 1);
    }
    uint64_t new = (uint64_t)INSN_ECALL << 32 | insn_li_a0(2);
    run4(&c, PRIV_S, addr(snip_cas_q) + to_s, data[0], DATA, new, 0);
    CHECK_EQ(data[0], new);
    fence_i();
    run4(&c, PRIV_S, DATA, 0, 0, 0, 0);
    CHECK_EQ(c.x[10], 2);
}

void guest_main(void)
{
    pmp_open();
    space_init(&sp, 3, 1);
    to_s = space_snippets(&sp, S_CODE, PTE_RX);
    uint64_t blocks = (addr(page_new()) + 0xffff) & ~UINT64_C(0xffff);
    while (addr(page_new()) < blocks + 2 * 0x10000)
        ;
    data = page_new();
    csr_write(satp, space_satp(&sp));
    csr_clear(0x30a, ADUE | PBMTE); /* menvcfg, as it may be set at reset */
    accessed_and_dirty();
    memory_types();
    swaps();
    swapped_code();
    pages_of_64_kib((uint64_t *)blocks, (uint64_t *)(blocks + 0x10000));
    guest_pass();
}
