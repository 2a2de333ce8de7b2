/*
 * States of a hart in turn, by chance: privilege, space, SUM, MXR, FS, MPRV, TVM, TSR and TW, each gone back to many
 * times. What an instruction does in one of them is what the manual says of that state, whatever came before
 * (Priv. 1.13, 3.1.6, 10.3; 3.7 for the page that PMP keeps from all but M mode).
 */
#include "guest.h"

#define DATA   UINT64_C(0x40000000)
#define KERNEL UINT64_C(0x50000000) /* the snippets, for S mode */
#define USER   UINT64_C(0x60000000) /* and for U mode */
#define CLOSED UINT64_C(0x70000000) /* the page that PMP keeps */

enum { TURNS = 20000, SPACES = 3 /* the first is none */, KINDS = 5 };
enum kind { USER_RW, KERNEL_RW, USER_X, KERNEL_X, ABSENT };
static const uint64_t bits_of[] = {PTE_RW | PTE_U, PTE_RW, PTE_V | PTE_X | PTE_A | PTE_U,
                                   PTE_V | PTE_X | PTE_A};

SNIPPET(snip_load, "ld a0, (a1)\necall");
/* a2, a3: bits of mstatus to clear and to set. */
SNIPPET(snip_load_as, "csrc mstatus, a2\ncsrs mstatus, a3\nld a0, (a1)\necall");
SNIPPET(snip_sret, "csrw sepc, a1\ncsrc sstatus, a2\ncsrs sstatus, a3\nsret");
SNIPPET(snip_sret_alone, "sret\necall");
SNIPPET(snip_wfi, "wfi\necall");
SNIPPET(snip_sfence, "sfence.vma a1, zero\necall");
SNIPPET(snip_satp, "csrr a0, satp\necall");
SNIPPET(snip_satp_bad, "li t0, 7 << 60\ncsrw satp, t0\ncsrr a0, satp\necall");
SNIPPET(snip_fcsr, "frcsr a0\necall");

static struct space sp[SPACES];
static uint64_t *frame[SPACES][KINDS], *closed;
static uint64_t offset[2]; /* of the snippets, for S and for U */
static uint64_t seed = 1;
static struct ctx c;

static struct state {
    unsigned space, priv;
    bool sum, mxr, tvm, tsr, tw, fs;
} st;

static unsigned below(unsigned n)
{
    seed = seed * UINT64_C(6364136223846793005) + 1442695040888963407;
    return (unsigned)(seed >> 33) % n;
}

static uint64_t code(const char *snippet, unsigned priv)
{
    if (priv == PRIV_M || !st.space)
        return addr(snippet);
    return addr(snippet) + offset[priv == PRIV_U];
}

static void next_state(void)
{
    unsigned r = below(256);
    st.space = below(SPACES);
    st.priv = below(2) ? PRIV_S : PRIV_U;
    st.sum = r & 1;
    st.mxr = r & 2;
    st.tvm = (r & 12) == 12;
    st.tsr = (r & 48) == 48;
    st.tw = r & 64;
    st.fs = r & 128;
    c.set = (st.sum ? MSTATUS_SUM : 0) | (st.mxr ? MSTATUS_MXR : 0) | (st.tvm ? MSTATUS_TVM : 0) |
            (st.tsr ? MSTATUS_TSR : 0) | (st.tw ? MSTATUS_TW : 0) |
            (st.fs ? BIT(13 + below(2)) : 0);
    c.clear = MSTATUS_SUM | MSTATUS_MXR | MSTATUS_TVM | MSTATUS_TSR | MSTATUS_TW | MSTATUS_FS;
    csr_write(satp, st.space ? space_satp(&sp[st.space]) : 0);
}

static void run(const char *snippet, unsigned priv, uint64_t a1, uint64_t a2, uint64_t a3)
{
    run4(&c, priv, code(snippet, priv), 99, a1, a2, a3);
}

static uint64_t ecall_of(unsigned priv)
{
    return CAUSE_ECALL_U + priv;
}

/* What a load of the page by priv does: 0, or the cause. */
static uint64_t load_cause(enum kind kind, unsigned priv)
{
    bool user = kind == USER_RW || kind == USER_X;
    if (priv == PRIV_M || !st.space)
        return 0;
    if (kind == ABSENT || (user ? priv == PRIV_S && !st.sum : priv == PRIV_U))
        return CAUSE_LOAD_PAGE;
    return (kind == USER_X || kind == KERNEL_X) && !st.mxr ? CAUSE_LOAD_PAGE : 0;
}

static void check_load(enum kind kind, unsigned by, uint64_t at)
{
    uint64_t cause = load_cause(kind, by);
    CHECK_EQ(c.cause, cause ? cause : ecall_of((unsigned)c.mode));
    CHECK_EQ(c.x[10], cause ? 99 : 10 * st.space + kind);
    if (cause)
        CHECK_EQ(c.tval, at);
}

static uint64_t data_at(enum kind kind, bool translated)
{
    return translated ? DATA + kind * (uint64_t)PAGE : addr(frame[st.space][kind]);
}

static void loads(void)
{
    enum kind kind = below(st.space ? KINDS : ABSENT);
    uint64_t at = data_at(kind, st.space);
    run(snip_load, st.priv, at, 0, 0);
    check_load(kind, st.priv, at);
}

/* M mode, by its own privilege or by another one. */
static void loads_as(void)
{
    unsigned by = (const unsigned[]){PRIV_U, PRIV_S, PRIV_M}[below(3)];
    enum kind kind = below(st.space && by != PRIV_M ? KINDS : ABSENT);
    uint64_t at = data_at(kind, st.space && by != PRIV_M);
    run(snip_load_as, PRIV_M, at, MSTATUS_MPP, MSTATUS_MPRV | (uint64_t)by << 11);
    check_load(kind, by, at);
}

static void returns(void)
{
    unsigned to = below(2) ? PRIV_S : PRIV_U;
    bool may = st.priv == PRIV_S && !st.tsr, shut = below(2);
    uint64_t at = !shut      ? code(snip_ecall, to)
                  : st.space ? CLOSED + PAGE * (to == PRIV_U)
                             : addr(closed);
    if (st.priv == PRIV_U) {
        run(snip_sret_alone, PRIV_U, 0, 0, 0);
        CHECK_EQ(c.cause, CAUSE_ILLEGAL);
        return;
    }
    run(snip_sret, PRIV_S, at, MSTATUS_SPP, to == PRIV_S ? MSTATUS_SPP : 0);
    CHECK_EQ(c.cause, !may ? CAUSE_ILLEGAL : shut ? CAUSE_FETCH_ACCESS : ecall_of(to));
    if (may) {
        CHECK_EQ(c.epc, at);
        CHECK_EQ((c.status & MSTATUS_MPP) >> 11, to);
    }
}

static void system_instructions(void)
{
    bool kernel = st.priv == PRIV_S;
    switch (below(5)) {
    case 0:
        if (kernel && !st.tw)
            return; /* it might wait */
        run(snip_wfi, st.priv, 0, 0, 0);
        CHECK_EQ(c.cause, CAUSE_ILLEGAL);
        return;
    case 1:
        run(snip_sfence, st.priv, DATA, 0, 0);
        CHECK_EQ(c.cause, kernel && !st.tvm ? CAUSE_ECALL_S : CAUSE_ILLEGAL);
        return;
    case 2:
        run(snip_fcsr, st.priv, 0, 0, 0);
        CHECK_EQ(c.cause, st.fs ? ecall_of(st.priv) : CAUSE_ILLEGAL);
        return;
    case 3:
        if (!kernel || st.tvm)
            return;
        run(snip_satp_bad, st.priv, 0, 0, 0); /* has no effect */
        CHECK_EQ(c.cause, CAUSE_ECALL_S);
        CHECK_EQ(c.x[10], st.space ? space_satp(&sp[st.space]) : 0);
        return;
    default:
        run(snip_satp, st.priv, 0, 0, 0);
        CHECK_EQ(c.cause, kernel && !st.tvm ? CAUSE_ECALL_S : CAUSE_ILLEGAL);
        CHECK_EQ(c.x[10], kernel && !st.tvm ? (st.space ? space_satp(&sp[st.space]) : 0) : 99);
    }
}

static void prepare(void)
{
    closed = page_new();
    csr_write(pmpaddr0, addr(closed) >> 2 | 0x1ff);
    csr_write(pmpaddr1, ALL_ONES >> 10);
    csr_write(pmpcfg0, 0x1f18);
    for (unsigned k = 0; k < SPACES; k++) {
        space_init(&sp[k], k == 1 ? 3 : 4, k);
        offset[0] = space_snippets(&sp[k], KERNEL, PTE_RX);
        offset[1] = space_snippets(&sp[k], USER, PTE_RX | PTE_U);
        space_map(&sp[k], CLOSED, addr(closed), PTE_RX);
        space_map(&sp[k], CLOSED + PAGE, addr(closed), PTE_RX | PTE_U);
        for (unsigned kind = 0; kind < ABSENT; kind++) {
            frame[k][kind] = page_new();
            frame[k][kind][0] = 10 * k + kind;
            space_map(&sp[k], DATA + kind * (uint64_t)PAGE, addr(frame[k][kind]), bits_of[kind]);
        }
    }
    sfence_all();
    fence_i();
}

void guest_main(void)
{
    static void (*const what[])(void) = {loads, loads_as, returns, system_instructions};
    prepare();
    for (unsigned i = 0; i < TURNS; i++) {
        guest_note("turn", i);
        next_state();
        what[below(4)]();
    }
    csr_write(satp, 0);
}
