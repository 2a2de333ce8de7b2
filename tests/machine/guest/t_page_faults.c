/*
 * Every value of a leaf's eight low bits, for each access, mode, SUM and MXR, in Sv39 and Sv48, and
 * every other reason for a page fault (Priv. 1.13, 10.3.2; Svade): cause, epc and tval.
 */
#include "guest.h"

SNIPPET(snip_ld, "ld a0, (a1)\necall");
SNIPPET(snip_sd, "sd a2, (a1)\necall");
SNIPPET(snip_amo, "amoadd.d a0, a2, (a1)\necall");
SNIPPET(snip_lr, "lr.d a0, (a1)\necall");
SNIPPET(snip_fld, "fld fa0, (a1)\necall");
SNIPPET(snip_fsd, "fsd fa0, (a1)\necall");
/* M mode, with a3 for MPRV, MPP and the like; ends with them cleared. */
SNIPPET(snip_mprv_ld, "csrs mstatus, a3\nsnip_mprv_ld_at: ld a0, (a1)\ncsrc mstatus, a3\necall");
SNIPPET_LABEL(snip_mprv_ld_at);
SNIPPET(snip_mprv_sd, "csrs mstatus, a3\nsnip_mprv_sd_at: sd a2, (a1)\ncsrc mstatus, a3\necall");
SNIPPET_LABEL(snip_mprv_sd_at);

#define S_CODE UINT64_C(0x10000000)
#define U_CODE UINT64_C(0x20000000)
#define VALUE  UINT64_C(0x0123456789abcdef)

enum access { LOAD, STORE, AMO, LR, FP_LOAD, FP_STORE, FETCH, ACCESSES };

static const uint64_t fault_of[ACCESSES] = {
    CAUSE_LOAD_PAGE, CAUSE_STORE_PAGE, CAUSE_STORE_PAGE, CAUSE_LOAD_PAGE,
    CAUSE_LOAD_PAGE, CAUSE_STORE_PAGE, CAUSE_FETCH_PAGE,
};
static const uint64_t access_of[ACCESSES] = {
    CAUSE_LOAD_ACCESS, CAUSE_STORE_ACCESS, CAUSE_STORE_ACCESS, CAUSE_LOAD_ACCESS,
    CAUSE_LOAD_ACCESS, CAUSE_STORE_ACCESS, CAUSE_FETCH_ACCESS,
};

/* Shares no entry with the code, at any level. */
#define DATA (sp.levels == 3 ? UINT64_C(0x3000005000) : UINT64_C(0x5a8000005000))

static struct space sp;
static struct ctx c;
static uint64_t *data; /* the page that DATA is mapped to */
static uint64_t to_s, to_u;

static char *code_of(enum access a)
{
    switch (a) {
    case LOAD: return snip_ld;
    case STORE: return snip_sd;
    case AMO: return snip_amo;
    case LR: return snip_lr;
    case FP_LOAD: return snip_fld;
    default: return snip_fsd;
    }
}

/* The manual's steps 5 and 7 once more, from the other end: what is wrong, rather than what is
 * right. */
static bool forbidden(uint64_t bits, enum access a, uint64_t mode, uint64_t status)
{
    bool store = a == STORE || a == AMO || a == FP_STORE;
    if (!(bits & PTE_V) || (bits & (PTE_R | PTE_W)) == PTE_W)
        return true;
    if (!(bits & (PTE_R | PTE_X))) /* a pointer below the last level */
        return true;
    if (mode == PRIV_U && !(bits & PTE_U))
        return true;
    if (mode == PRIV_S && bits & PTE_U && (a == FETCH || !(status & MSTATUS_SUM)))
        return true;
    if (!(bits & PTE_A) || (store && !(bits & PTE_D)))
        return true;
    if (a == FETCH)
        return !(bits & PTE_X);
    if (store)
        return !(bits & PTE_W);
    return !(bits & PTE_R) && !(bits & PTE_X && status & MSTATUS_MXR);
}

/* One access to vaddr; fault: the cause that is expected, or 0. */
static void probe(enum access a, uint64_t mode, uint64_t vaddr, uint64_t status, uint64_t fault)
{
    uint64_t pc = a == FETCH ? vaddr : addr(code_of(a)) + (mode == PRIV_U ? to_u : to_s);
    uint64_t before = data[0];
    c.clear = MSTATUS_SUM | MSTATUS_MXR;
    c.set = status | MSTATUS_FS;
    run4(&c, mode, pc, 0, vaddr, before, 0);
    if (fault) {
        CHECK_TRAP(&c, fault, pc, vaddr);
        return;
    }
    CHECK_TRAP(&c, mode == PRIV_U ? CAUSE_ECALL_U : CAUSE_ECALL_S, pc + (a == FETCH ? 0 : 4), 0);
    if (a == LOAD || a == AMO || a == LR)
        CHECK_EQ(c.x[10], before);
    if (a == AMO)
        CHECK_EQ(data[0], 2 * before);
    data[0] = before;
}

static void every_leaf(void)
{
    uint64_t *pte = space_pte(&sp, DATA, 0);
    for (uint64_t bits = 0; bits < 256; bits++)
        for (unsigned mode = PRIV_U; mode <= PRIV_S; mode++)
            for (unsigned how = 0; how < 4; how++) {
                uint64_t status = (how & 1 ? MSTATUS_SUM : 0) | (how & 2 ? MSTATUS_MXR : 0);
                *pte = pte_make(addr(data), bits);
                sfence_all();
                guest_note("bits", bits);
                guest_note("mode", mode);
                guest_note("status", status);
                for (enum access a = LOAD; a < ACCESSES; a++) {
                    guest_note("access", a);
                    probe(a, mode, DATA, status,
                          forbidden(bits, a, mode, status) ? fault_of[a] : 0);
                }
            }
}

/* M mode with MPRV: loads and stores as MPP's mode, fetches as ever. */
static void every_leaf_by_mprv(void)
{
    uint64_t *pte = space_pte(&sp, DATA, 0);
    for (uint64_t bits = 0; bits < 256; bits++)
        for (unsigned how = 0; how < 8; how++) {
            uint64_t mpp = how & 4 ? PRIV_S : PRIV_U;
            uint64_t status = (how & 1 ? MSTATUS_SUM : 0) | (how & 2 ? MSTATUS_MXR : 0);
            *pte = pte_make(addr(data), bits);
            sfence_all();
            guest_note("bits", bits);
            guest_note("mpp", mpp);
            guest_note("status", status);
            for (enum access a = LOAD; a <= STORE; a++) {
                uint64_t start = addr(a == LOAD ? snip_mprv_ld : snip_mprv_sd);
                uint64_t at = addr(a == LOAD ? snip_mprv_ld_at : snip_mprv_sd_at);
                guest_note("access", a);
                c.clear = MSTATUS_SUM | MSTATUS_MXR;
                c.set = 0;
                run4(&c, PRIV_M, start, 0, DATA, data[0], status | MSTATUS_MPRV | mpp << 11);
                if (forbidden(bits, a, mpp, status))
                    CHECK_TRAP(&c, fault_of[a], at, DATA);
                else
                    CHECK_TRAP(&c, CAUSE_ECALL_M, at + 8, 0);
                /* Back in M mode the access was by M: MPP says so, MPRV is left on by the fault. */
                CHECK_EQ(c.status & MSTATUS_MPP, MSTATUS_MPP);
            }
        }
}

/* For every access and both modes: a fault. Executable data, so that fetches get so far too. */
static void all_fault(const uint64_t *causes)
{
    sfence_all();
    for (enum access a = LOAD; a < ACCESSES; a++)
        for (unsigned mode = PRIV_U; mode <= PRIV_S; mode++) {
            guest_note("access", a);
            guest_note("mode", mode);
            probe(a, mode, DATA + 8, MSTATUS_SUM, causes[a]);
        }
}

static void all_work(uint64_t vaddr)
{
    uint64_t *pte = space_pte(&sp, vaddr, 0);
    uint64_t kept = *pte;
    sfence_all();
    for (enum access a = LOAD; a < ACCESSES; a++)
        for (unsigned mode = PRIV_U; mode <= PRIV_S; mode++) {
            *pte = mode == PRIV_U ? kept | PTE_U : kept & ~(uint64_t)PTE_U;
            sfence_all();
            probe(a, mode, vaddr, 0, 0);
        }
    *pte = kept;
}

static void reserved_bits(void)
{
    uint64_t *pte = space_pte(&sp, DATA, 0);
    uint64_t good = pte_make(addr(data), PTE_RWX | PTE_U);
    for (int i = 54; i < 64; i++) {
        guest_note("bit", (uint64_t)i);
        *pte = good | BIT(i);
        all_fault(fault_of);
    }
    *pte = good | 3 << 8 | PTE_G; /* RSW is software's, and G no reason either */
    all_work(DATA);
    *pte = good;
}

static void pointers(void)
{
    static const uint64_t reserved[] = {PTE_U, PTE_A, PTE_D, BIT(54), BIT(63), BIT(61)};
    for (int level = 1; level < sp.levels; level++) {
        uint64_t *pte = space_pte(&sp, DATA, level), good = *pte;
        guest_note("level", (uint64_t)level);
        for (unsigned i = 0; i < sizeof reserved / sizeof reserved[0]; i++) {
            *pte = good | reserved[i];
            all_fault(fault_of);
        }
        *pte = good & ~(uint64_t)PTE_V;
        all_fault(fault_of);
        *pte = good | PTE_W; /* W without R */
        all_fault(fault_of);
        if (!guest_on_peer()) { /* no memory there: not a page fault, but QEMU takes it for one */
            *pte = pte_make(UINT64_C(0x1000000), PTE_V);
            all_fault(access_of);
        }
        *pte = good;
    }
    all_work(DATA);
}

/* Leaves above the last level: misaligned ones fault, others reach what lies behind the offset. */
static void superpages(void)
{
    for (int level = 1; level < sp.levels; level++) {
        uint64_t *pte = space_pte(&sp, DATA, level), good = *pte;
        uint64_t size = BIT(12 + 9 * level);
        guest_note("level", (uint64_t)level);
        for (int bit = 12; bit < 12 + 9 * level; bit += 4) {
            *pte = pte_make(BIT(31) | BIT(bit), PTE_RWX | PTE_U);
            all_fault(fault_of);
        }
        if (level < 3) { /* 512 GiB pages hold no memory but at their own address */
            uint64_t base = addr(data) & ~(size - 1),
                     vaddr = (DATA & ~(size - 1)) | (addr(data) - base);
            for (enum access a = LOAD; a < ACCESSES; a++)
                for (unsigned mode = PRIV_U; mode <= PRIV_S; mode++) {
                    *pte = pte_make(base, PTE_RWX | (mode == PRIV_U ? PTE_U : 0));
                    sfence_all();
                    probe(a, mode, vaddr, 0, 0);
                }
        }
        *pte = good;
    }
    sfence_all();
}

/* A good leaf to where nothing is: access faults. */
static void nothing_there(void)
{
    static const uint64_t nowhere[] = {0x1000000, UINT64_C(1) << 55, ((UINT64_C(1) << 56) - PAGE)};
    uint64_t *pte = space_pte(&sp, DATA, 0);
    for (unsigned i = 0; i < 3; i++) {
        guest_note("paddr", nowhere[i]);
        for (enum access a = LOAD; a < ACCESSES; a++) {
            uint64_t pc = a == FETCH ? DATA + 16 : addr(code_of(a)) + to_s;
            *pte = pte_make(nowhere[i], PTE_RWX);
            sfence_all();
            c.set = MSTATUS_FS;
            run4(&c, PRIV_S, pc, 0, DATA + 16, 0, 0);
            CHECK_TRAP(&c, access_of[a], pc, DATA + 16);
        }
    }
    *pte = pte_make(addr(data), PTE_RWX | PTE_U);
    sfence_all();
}

static void in_mode(int levels)
{
    guest_note("levels", (uint64_t)levels);
    space_init(&sp, levels, 1);
    to_s = space_snippets(&sp, S_CODE, PTE_RX);
    to_u = space_snippets(&sp, U_CODE, PTE_RX | PTE_U);
    data = page_new();
    data[0] = data[1] = INSN_ECALL | VALUE << 32;
    space_map(&sp, DATA, addr(data), PTE_RWX | PTE_U);
    fence_i();
    csr_write(satp, space_satp(&sp));
    every_leaf();
    every_leaf_by_mprv();
    *space_pte(&sp, DATA, 0) = pte_make(addr(data), PTE_RWX | PTE_U);
    reserved_bits();
    pointers();
    superpages();
    nothing_there();
    csr_write(satp, 0);
    sfence_all();
}

void guest_main(void)
{
    in_mode(3);
    in_mode(4);
}
