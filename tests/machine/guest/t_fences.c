/*
 * SFENCE.VMA in its four forms, for data and for code: what it must drop, and what ASIDs keep apart.
 * Superpages go by any address in them. Links between blocks of different pages, direct and
 * indirect, must not outlive the mapping that they were made under. What a fence may leave alone is
 * not checked: an implementation may always forget (Priv. 1.13, 10.2.1).
 */
#include "guest.h"

#define S_CODE UINT64_C(0x10000000)
#define DATA   UINT64_C(0x1234567000)
#define CODE   UINT64_C(0x3456789000)                        /* two pages, the second remapped */
#define HIGH   (~UINT64_C(0) << 38 | UINT64_C(0x1234567000)) /* where kernels have global pages */
#define SUPER  UINT64_C(0x3f40000000)

SNIPPET(snip_ld, "ld a0, (a1)\necall");
SNIPPET(snip_sd, "sd a2, (a1)\necall");
/* In S mode: satp = a2, then a load. */
SNIPPET(snip_satp_ld, "csrw satp, a2\nld a0, (a1)\necall");
SNIPPET(snip_call, "jalr a4, (a1)\necall");
/* S mode does the change itself: *a1 = a2, fence, and jump to a3. */
SNIPPET(snip_pte_page, "sd a2, (a1)\nsfence.vma a3, zero\njr a3");
SNIPPET(snip_pte_all, "sd a2, (a1)\nsfence.vma\njr a3");
SNIPPET(snip_pte_asid, "sd a2, (a1)\nsfence.vma zero, a5\njr a3");
SNIPPET(snip_pte_both, "sd a2, (a1)\nsfence.vma a3, a5\njr a3");

static struct ctx c;
static struct space sp, other;
static uint64_t to_s;
static uint64_t *page_a, *page_b;
static uint64_t *a_code, *b_code, *entry_code;

enum form { ALL, BY_PAGE, BY_ASID, BY_BOTH, FORMS };

static void fence(enum form f, uint64_t vaddr, uint64_t asid)
{
    switch (f) {
    case ALL: __asm__ volatile("sfence.vma" ::: "memory"); break;
    case BY_PAGE: __asm__ volatile("sfence.vma %0, zero" ::"r"(vaddr) : "memory"); break;
    case BY_ASID: __asm__ volatile("sfence.vma zero, %0" ::"r"(asid) : "memory"); break;
    default: __asm__ volatile("sfence.vma %0, %1" ::"r"(vaddr), "r"(asid) : "memory"); break;
    }
}

static uint64_t load(uint64_t vaddr)
{
    run4(&c, PRIV_S, addr(snip_ld) + to_s, 0xdead, vaddr, 0, 0);
    CHECK_TRAP(&c, CAUSE_ECALL_S, addr(snip_ld) + to_s + 4, 0);
    return c.x[10];
}

static void store(uint64_t vaddr, uint64_t value)
{
    run4(&c, PRIV_S, addr(snip_sd) + to_s, 0, vaddr, value, 0);
    CHECK_TRAP(&c, CAUSE_ECALL_S, addr(snip_sd) + to_s + 4, 0);
}

static void load_faults(uint64_t vaddr)
{
    run4(&c, PRIV_S, addr(snip_ld) + to_s, 0xdead, vaddr, 0, 0);
    CHECK_TRAP(&c, CAUSE_LOAD_PAGE, addr(snip_ld) + to_s, vaddr);
}

static void store_faults(uint64_t vaddr)
{
    run4(&c, PRIV_S, addr(snip_sd) + to_s, 0xdead, vaddr, 0, 0);
    CHECK_TRAP(&c, CAUSE_STORE_PAGE, addr(snip_sd) + to_s, vaddr);
}

/* A data page changes hands, loses rights, goes away and comes back. */
static void data_page(uint64_t vaddr, enum form f)
{
    uint64_t *pte = space_pte(&sp, vaddr, 0);
    guest_note("form", f);
    page_a[1] = 0xa;
    page_b[1] = 0xb;
    *pte = pte_make(addr(page_a), PTE_RW);
    fence(f, vaddr, sp.asid);
    CHECK_EQ(load(vaddr + 8), 0xa);
    store(vaddr + 8, 0xaa);
    CHECK_EQ(page_a[1], 0xaa);
    *pte = pte_make(addr(page_b), PTE_RW);
    fence(f, vaddr + 123, sp.asid);
    CHECK_EQ(load(vaddr + 8), 0xb);
    store(vaddr + 8, 0xbb);
    CHECK_EQ(page_b[1], 0xbb);
    CHECK_EQ(page_a[1], 0xaa);
    *pte &= ~(uint64_t)PTE_W;
    fence(f, vaddr, sp.asid);
    store_faults(vaddr + 8);
    CHECK_EQ(load(vaddr + 8), 0xbb);
    *pte &= ~(uint64_t)PTE_V;
    fence(f, vaddr, sp.asid);
    load_faults(vaddr + 8);
    store_faults(vaddr + 8);
    *pte |= PTE_V | PTE_W;
    fence(f, vaddr, sp.asid);
    store(vaddr + 8, 0xbc);
    CHECK_EQ(load(vaddr + 8), 0xbc);
}

/* The whole of a superpage is dropped by one address in it. */
static void superpage(int level, enum form f)
{
    uint64_t *pte = space_pte(&sp, SUPER, level), kept = *pte;
    uint64_t size = BIT(12 + 9 * level);
    uint64_t base = addr(page_a) & ~(size - 1), offset_a = addr(page_a) & (size - 1);
    uint64_t offset_b = addr(page_b) & (size - 1);
    guest_note("form", f);
    guest_note("level", (uint64_t)level);
    page_a[2] = 1;
    page_b[2] = 2;
    *pte = pte_make(base, PTE_RW);
    fence(ALL, 0, 0);
    CHECK_EQ(load(SUPER + offset_a + 16), 1);
    CHECK_EQ(load(SUPER + offset_b + 16), 2);
    store(SUPER + offset_a + 16, 3);
    store(SUPER + offset_b + 16, 4);
    *pte &= ~(uint64_t)PTE_W;
    fence(f, SUPER + offset_a, sp.asid);
    store_faults(SUPER + offset_a + 16);
    store_faults(SUPER + offset_b + 16);
    CHECK_EQ(load(SUPER + offset_a + 16), 3);
    CHECK_EQ(load(SUPER + offset_b + 16), 4);
    *pte = 0;
    fence(f, SUPER, sp.asid);
    load_faults(SUPER + offset_a + 16);
    load_faults(SUPER + offset_b + 16);
    *pte = kept;
    fence(ALL, 0, 0);
}

static void put_code(uint64_t *at, int value)
{
    put32(at, insn_li_a0(value));
    put32((uint8_t *)at + 4, INSN_ECALL);
}

static void code_gives(uint64_t pc, uint64_t want)
{
    for (int again = 0; again < 3; again++) {
        run4(&c, PRIV_S, pc, 0, 0, 0, 0);
        CHECK_EQ(c.cause, CAUSE_ECALL_S);
        CHECK_EQ(c.x[10], want);
    }
}

static void call_gives(uint64_t pc, uint64_t want)
{
    for (int again = 0; again < 3; again++) {
        run4(&c, PRIV_S, addr(snip_call) + to_s, 0, pc, 0, 0);
        CHECK_EQ(c.cause, CAUSE_ECALL_S);
        CHECK_EQ(c.x[10], want);
    }
}

/* entry page -> j to next page; indirect call to the next page; falling into it. */
static void code_page(uint64_t code, enum form f)
{
    uint64_t next = code + PAGE, *pte = space_pte(&sp, next, 0);
    guest_note("form", f);
    guest_note("code", code);
    for (int round = 0; round < 4; round++) {
        int want = round & 1 ? 0xb : 0xa;
        *pte = pte_make(addr(round & 1 ? b_code : a_code), PTE_RX);
        fence(f, next, sp.asid);
        code_gives(next, (uint64_t)want);
        code_gives(code, (uint64_t)want);            /* direct jump over the border */
        code_gives(code + PAGE - 4, (uint64_t)want); /* falls over it */
        call_gives(next, (uint64_t)want);
        if (round == 2) {
            *pte = 0;
            fence(f, next, sp.asid);
            run4(&c, PRIV_S, code, 0, 0, 0, 0);
            CHECK_TRAP(&c, CAUSE_FETCH_PAGE, next, next);
            run4(&c, PRIV_S, code + PAGE - 4, 0, 0, 0, 0);
            CHECK_TRAP(&c, CAUSE_FETCH_PAGE, next, next);
            run4(&c, PRIV_S, addr(snip_call) + to_s, 0, next, 0, 0);
            CHECK_TRAP(&c, CAUSE_FETCH_PAGE, next, next);
        }
    }
}

/* Code in a superpage, dropped by another address in it: it is not there, or it is another's. */
static void code_superpage(int level, enum form f)
{
    uint64_t *pte = space_pte(&sp, SUPER, level), kept = *pte;
    uint64_t size = BIT(12 + 9 * level), base = addr(a_code) & ~(size - 1);
    uint64_t at = SUPER + (addr(a_code) & (size - 1));
    uint64_t elsewhere = SUPER + (at < SUPER + size / 2 ? size - PAGE : 0);
    guest_note("form", f);
    guest_note("level", (uint64_t)level);
    *pte = pte_make(base, PTE_RX);
    fence(ALL, 0, 0);
    code_gives(at, 0xa);
    call_gives(at, 0xa);
    *pte = 0;
    fence(f, elsewhere, sp.asid);
    run4(&c, PRIV_S, addr(snip_call) + to_s, 0, at, 0, 0);
    CHECK_TRAP(&c, CAUSE_FETCH_PAGE, at, at);
    run4(&c, PRIV_S, at, 0, 0, 0, 0);
    CHECK_TRAP(&c, CAUSE_FETCH_PAGE, at, at);
    *pte = kept;
    fence(ALL, 0, 0);
}

/* The last page of one superpage and the first of the next: the second one is remapped. */
static void code_between_superpages(enum form f)
{
    uint64_t size = BIT(21), va = SUPER + 4 * size;
    uint64_t *first = space_pte(&sp, va, 1), *second = space_pte(&sp, va + size, 1);
    uint8_t *big = (uint8_t *)(uintptr_t)UINT64_C(0x81000000); /* RAM that nothing else uses */
    put32(big + size - 4, INSN_NOP);
    put32(big + size - 64, insn_jal0(64));
    put_code((uint64_t *)(void *)(big + size), 0x21);
    put_code((uint64_t *)(void *)(big + 2 * size), 0x22);
    fence_i();
    *first = pte_make(addr(big), PTE_RX);
    for (int round = 0; round < 4; round++) {
        uint64_t want = round & 1 ? 0x22 : 0x21;
        *second = pte_make(addr(big) + (round & 1 ? 2 : 1) * size, PTE_RX);
        fence(f, va + size + 0x5000, sp.asid);
        if (!round)
            fence(ALL, 0, 0);
        code_gives(va + size - 4, want);
        code_gives(va + size - 64, want);
        call_gives(va + size, want);
    }
    *first = *second = 0;
    fence(ALL, 0, 0);
}

/* S mode changes the entry and fences by itself, and jumps in at once. */
static void fenced_in_s(void)
{
    static char *const code[] = {snip_pte_all, snip_pte_page, snip_pte_asid, snip_pte_both};
    uint64_t next = CODE + PAGE, *pte = space_pte(&sp, next, 0);
    uint64_t table = UINT64_C(0x3000000000);
    space_map(&sp, table, addr(pte) & ~UINT64_C(0xfff), PTE_RW);
    sfence_all();
    for (int round = 0; round < 16; round++) {
        guest_note("round", (uint64_t)round);
        c.x[15] = sp.asid;
        run4(&c, PRIV_S, addr(code[round / 4]) + to_s, 0, table + (addr(pte) & 0xfff),
             pte_make(addr(round & 1 ? b_code : a_code), PTE_RX), next);
        CHECK_EQ(c.cause, CAUSE_ECALL_S);
        CHECK_EQ(c.x[10], round & 1 ? 0xb : 0xa);
        code_gives(CODE, round & 1 ? 0xb : 0xa);
    }
}

static uint64_t load_in(const struct space *s, uint64_t vaddr)
{
    run4(&c, PRIV_S, addr(snip_satp_ld) + to_s, 0xdead, vaddr, space_satp(s), 0);
    CHECK_TRAP(&c, CAUSE_ECALL_S, addr(snip_satp_ld) + to_s + 8, 0);
    return c.x[10];
}

/* Two spaces with different ASIDs and no fence between; private pages differ, global ones do not. */
static void asids(void)
{
    uint64_t *mine = space_pte(&sp, DATA, 0), *theirs = space_pte(&other, DATA, 0);
    page_a[3] = 0x1a;
    page_b[3] = 0x1b;
    *mine = pte_make(addr(page_a), PTE_RW);
    *theirs = pte_make(addr(page_b), PTE_RW);
    space_map(&sp, HIGH, addr(page_a), PTE_RW | PTE_G);
    space_map(&other, HIGH, addr(page_a), PTE_RW | PTE_G);
    space_map(&sp, CODE + PAGE, addr(a_code), PTE_RX);
    space_map(&other, CODE + PAGE, addr(b_code), PTE_RX);
    sfence_all();
    for (int round = 0; round < 20; round++) {
        const struct space *s = round % 3 ? &sp : &other;
        CHECK_EQ(load_in(s, DATA + 24), s == &sp ? 0x1a : 0x1b);
        CHECK_EQ(load_in(s, HIGH + 24), 0x1a);
        code_gives(CODE, s == &sp ? 0xa : 0xb);
        call_gives(CODE + PAGE, s == &sp ? 0xa : 0xb);
    }
    /* A fence for one ASID, made while the other is in use. */
    for (enum form f = ALL; f < FORMS; f++) {
        guest_note("form", f);
        *mine = pte_make(addr(page_a), PTE_RW);
        *space_pte(&sp, CODE + PAGE, 0) = pte_make(addr(a_code), PTE_RX);
        sfence_all();
        CHECK_EQ(load_in(&sp, DATA + 24), 0x1a);
        code_gives(CODE, 0xa);
        call_gives(CODE + PAGE, 0xa);
        CHECK_EQ(load_in(&other, DATA + 24), 0x1b);
        code_gives(CODE, 0xb);
        *mine = pte_make(addr(page_b), PTE_RW);
        *space_pte(&sp, CODE + PAGE, 0) = pte_make(addr(b_code), PTE_RX);
        fence(f, DATA, sp.asid);
        fence(f, CODE + PAGE, sp.asid);
        CHECK_EQ(load_in(&sp, DATA + 24), 0x1b);
        code_gives(CODE, 0xb);
        call_gives(CODE + PAGE, 0xb);
    }
    /* A global page is dropped by a fence without ASID. */
    for (enum form f = ALL; f <= BY_PAGE; f++) {
        guest_note("form", f);
        for (int round = 0; round < 4; round++) {
            uint64_t *page = round & 1 ? page_b : page_a;
            *space_pte(&sp, HIGH, 0) = pte_make(addr(page), PTE_RW | PTE_G);
            *space_pte(&other, HIGH, 0) = pte_make(addr(page), PTE_RW | PTE_G);
            fence(f, HIGH, 0);
            CHECK_EQ(load_in(&sp, HIGH + 24), page[3]);
            CHECK_EQ(load_in(&other, HIGH + 24), page[3]);
        }
    }
    csr_write(satp, space_satp(&sp));
}

/* Global code in the upper half, in both spaces: one page of it leads to the other. */
static void global_code(void)
{
    uint64_t high_code = HIGH + (CODE & 0xffffff) + 16 * PAGE, next = high_code + PAGE;
    struct space *spaces[] = {&sp, &other};
    for (int i = 0; i < 2; i++) {
        space_map(spaces[i], high_code, addr(entry_code), PTE_RX | PTE_G);
        space_map(spaces[i], next, addr(a_code), PTE_RX | PTE_G);
    }
    sfence_all();
    for (enum form f = ALL; f <= BY_PAGE; f++)
        for (int round = 0; round < 6; round++) {
            bool b = round & 1;
            for (int i = 0; i < 2; i++)
                *space_pte(spaces[i], next, 0) =
                    pte_make(addr(b ? b_code : a_code), PTE_RX | PTE_G);
            fence(f, next, 0);
            for (int i = 0; i < 4; i++) {
                csr_write(satp, space_satp(spaces[i & 1]));
                code_gives(high_code, b ? 0xb : 0xa);
                code_gives(high_code + PAGE - 4, b ? 0xb : 0xa);
                call_gives(next, b ? 0xb : 0xa);
            }
        }
    csr_write(satp, space_satp(&sp));
}

static uint64_t call_in(const struct space *s, uint64_t pc)
{
    csr_write(satp, space_satp(s));
    run4(&c, PRIV_S, addr(snip_call) + to_s, 0, pc, 0, 0);
    CHECK_EQ(c.cause, CAUSE_ECALL_S);
    return c.x[10];
}

/* Kernels without a G bit: in the upper half each space has pages of its own beside those of all. A fence in
 * one leaves the other as it was, and one that changes nothing changes nothing. */
static void high_pages_of_one_space(void)
{
    uint64_t of_all = HIGH + 64 * PAGE, own = of_all + PAGE, code = of_all + 2 * PAGE;
    uint64_t code_of_all = of_all + 3 * PAGE;
    struct space *spaces[] = {&sp, &other};
    uint64_t *pages[] = {page_a, page_b};
    bool b = false; /* what all spaces have */
    page_a[5] = 0x5a;
    page_b[5] = 0x5b;
    for (int i = 0; i < 2; i++) {
        space_map(spaces[i], of_all, addr(page_a), PTE_RW | PTE_G);
        space_map(spaces[i], code_of_all, addr(a_code), PTE_RX | PTE_G);
    }
    for (enum form f = ALL; f < FORMS; f++)
        for (int round = 0; round < 6; round++) {
            guest_note("form", f);
            guest_note("round", (uint64_t)round);
            int at[] = {round & 1, !(round & 1)}; /* whose page and code each space has */
            for (int i = 0; i < 2; i++) {
                space_map(spaces[i], own, addr(pages[at[i]]), PTE_RW);
                space_map(spaces[i], code, addr(at[i] ? b_code : a_code), PTE_RX);
                csr_write(satp, space_satp(spaces[i]));
                fence(f, own, spaces[i]->asid);
                fence(f, code, spaces[i]->asid);
            }
            b = f == ALL || f == BY_PAGE ? round & 1 : b;
            for (int i = 0; i < 2; i++) {
                space_map(spaces[i], of_all, addr(pages[b]), PTE_RW | PTE_G);
                space_map(spaces[i], code_of_all, addr(b ? b_code : a_code), PTE_RX | PTE_G);
            }
            fence(f, of_all, 0);
            fence(f, code_of_all, 0);
            for (int turn = 0; turn < 6; turn++) {
                const struct space *s = spaces[turn & 1];
                int mine = at[turn & 1];
                CHECK_EQ(load_in(s, own + 40), mine ? 0x5b : 0x5a);
                CHECK_EQ(load_in(s, of_all + 40), b ? 0x5b : 0x5a);
                CHECK_EQ(call_in(s, code), mine ? 0xb : 0xa);
                CHECK_EQ(call_in(s, code_of_all), b ? 0xb : 0xa);
            }
        }
    /* The page of one goes away. */
    *space_pte(&sp, own, 0) = 0;
    csr_write(satp, space_satp(&sp));
    fence(BY_BOTH, own, sp.asid);
    load_faults(own);
    CHECK_EQ(load_in(&other, own + 40), pages[0][5]);
    csr_write(satp, space_satp(&sp));
}

/* More spaces than any pool holds. */
static void many_spaces(void)
{
    enum { COUNT = 40 };
    static struct space many[COUNT];
    for (unsigned i = 0; i < COUNT; i++) {
        struct space *s = &many[i];
        space_init(s, 3, 100 + i);
        s->root[S_CODE >> 30] = sp.levels == 3 ? sp.root[S_CODE >> 30] : 0;
        if (!s->root[S_CODE >> 30])
            return; /* the tables of Sv39 are shared; the same in Sv48 shows nothing new */
        *space_pte(s, UINT64_C(0x3fc0000000), 2) = pte_make(BIT(31), PTE_RW);
    }
    for (int round = 0; round < 3; round++)
        for (unsigned i = 0; i < COUNT; i++) {
            uint64_t at = UINT64_C(0x3fc0000000) + (addr(page_a) & (BIT(30) - 1));
            page_a[4] = i + 1000;
            CHECK_EQ(load_in(&many[i], at + 32), i + 1000);
        }
    csr_write(satp, space_satp(&sp));
}

void guest_main(void)
{
    page_a = page_new();
    page_b = page_new();
    a_code = page_new();
    b_code = page_new();
    entry_code = page_new();
    put_code(a_code, 0xa);
    put_code(b_code, 0xb);
    put32(entry_code, insn_jal0(PAGE));
    put32((uint8_t *)entry_code + PAGE - 4, INSN_NOP);
    fence_i();
    for (int levels = 3; levels <= 4; levels++) {
        struct space *spaces[] = {&sp, &other};
        guest_note("levels", (uint64_t)levels);
        for (int i = 0; i < 2; i++) {
            space_init(spaces[i], levels, 5 + (unsigned)i);
            to_s = space_snippets(spaces[i], S_CODE, PTE_RX);
            space_map(spaces[i], CODE, addr(entry_code), PTE_RX);
            space_pte(spaces[i], CODE + PAGE, 0);
        }
        csr_write(satp, space_satp(&sp));
        sfence_all();
        for (enum form f = ALL; f < FORMS; f++) {
            data_page(DATA, f);
            data_page(HIGH + 5 * PAGE, f);
            code_page(CODE, f);
            superpage(1, f);
            superpage(2, f);
            code_superpage(1, f);
            code_superpage(2, f);
            code_between_superpages(f);
        }
        fenced_in_s();
        asids();
        global_code();
        high_pages_of_one_space();
        many_spaces();
        csr_write(satp, 0);
        sfence_all();
    }
}
