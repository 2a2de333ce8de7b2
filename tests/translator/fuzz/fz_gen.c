/*
 * Random programs. Instructions come from the decode table's own generator; loads, stores, atomics,
 * branches and jumps are then steered so that most of them lead somewhere.
 */
#include <string.h>

#include "frontend/riscv64/decode.h"
#include "tests/translator/fuzz/fz.h"
#include "frontend/riscv64/priv.h"

const char *const fz_view_names[FZ_V_COUNT] = {
    [FZ_V_USER] = "user",       [FZ_V_M_BARE] = "m-bare",     [FZ_V_S_BARE] = "s-bare",
    [FZ_V_S39_LOW] = "s39-low", [FZ_V_S39_HIGH] = "s39-high", [FZ_V_U39] = "u39",
    [FZ_V_S48_LOW] = "s48-low", [FZ_V_S48_HIGH] = "s48-high", [FZ_V_U48] = "u48",
};

uint64_t fz_view_base(enum fz_view v)
{
    return v == FZ_V_S39_HIGH ? FZ_HIGH39 : v == FZ_V_S48_HIGH ? FZ_HIGH48 : 0;
}

enum kind {
    K_INT,
    K_LOAD,
    K_STORE,
    K_AMO,
    K_CBO,
    K_FP,
    K_BRANCH,
    K_JUMP,
    K_CSR,
    K_FENCE,
    K_STOP,
    K_COUNT
};

/* Parts in 1000, by flavour of program. */
static const uint16_t flavours[][K_COUNT] = {
    /*       INT LOAD STORE AMO CBO FP  BR JUMP CSR FENCE STOP */
    {[K_INT] = 550, 130, 100, 20, 4, 60, 100, 15, 6, 5, 1},
    {[K_INT] = 850, 60, 40, 5, 1, 5, 30, 5, 1, 1, 1},
    {[K_INT] = 250, 300, 300, 60, 10, 30, 30, 5, 5, 5, 1},
    {[K_INT] = 120, 60, 60, 5, 0, 700, 30, 5, 15, 1, 1},
    {[K_INT] = 60, 20, 20, 0, 0, 890, 5, 0, 3, 0, 0},
    {[K_INT] = 400, 50, 50, 10, 0, 20, 350, 100, 5, 5, 1},
};

#define FP_EXTS (RV_EXT_F | RV_EXT_D | RV_EXT_ZFHMIN | RV_EXT_ZFH | RV_EXT_ZFA)

static enum kind kind_of(enum rv_op op)
{
    switch (op) {
    case RV_OP_LB:
    case RV_OP_LH:
    case RV_OP_LW:
    case RV_OP_LD:
    case RV_OP_LBU:
    case RV_OP_LHU:
    case RV_OP_LWU:
    case RV_OP_FLH:
    case RV_OP_FLW:
    case RV_OP_FLD: return K_LOAD;
    case RV_OP_SB:
    case RV_OP_SH:
    case RV_OP_SW:
    case RV_OP_SD:
    case RV_OP_FSH:
    case RV_OP_FSW:
    case RV_OP_FSD: return K_STORE;
    case RV_OP_BEQ:
    case RV_OP_BNE:
    case RV_OP_BLT:
    case RV_OP_BGE:
    case RV_OP_BLTU:
    case RV_OP_BGEU: return K_BRANCH;
    case RV_OP_JAL:
    case RV_OP_JALR: return K_JUMP;
    case RV_OP_CSRRW:
    case RV_OP_CSRRS:
    case RV_OP_CSRRC:
    case RV_OP_CSRRWI:
    case RV_OP_CSRRSI:
    case RV_OP_CSRRCI: return K_CSR;
    case RV_OP_FENCE:
    case RV_OP_FENCE_I:
    case RV_OP_SFENCE_VMA:
    case RV_OP_SINVAL_VMA:
    case RV_OP_SFENCE_W_INVAL:
    case RV_OP_SFENCE_INVAL_IR: return K_FENCE;
    case RV_OP_ECALL:
    case RV_OP_EBREAK:
    case RV_OP_ILLEGAL:
    case RV_OP_WFI:
    case RV_OP_SRET:
    case RV_OP_MRET: return K_STOP;
    case RV_OP_CBO_INVAL:
    case RV_OP_CBO_CLEAN:
    case RV_OP_CBO_FLUSH:
    case RV_OP_CBO_ZERO: return K_CBO;
    default: break;
    }
    if (rv_op_ext(op) & (RV_EXT_A | RV_EXT_ZACAS | RV_EXT_ZABHA))
        return K_AMO;
    return rv_op_ext(op) & FP_EXTS ? K_FP : K_INT;
}

/* An LR/SC loop with two SCs, and what ends a program behind it. */
enum { LRSC_MOST = 20 };

struct gen {
    struct fz_program *p;
    const struct fz_gen_options *opt;
    uint64_t rng;
    uint32_t forward[FZ_MAX_INSNS]; /* branches whose target is not known yet */
    uint8_t strict;                 /* pointers are never written */
    bool lrsc;                      /* loops of LR and SC, and no other SC */
    uint8_t inside[FZ_MAX_INSNS];   /* of such a loop, behind the LR: no jump leads there */
};

/* Patterns by kind; filled by collect(). */
struct patterns {
    uint16_t list[K_COUNT][512];
    uint16_t count[K_COUNT];
};

static void collect(struct patterns *t)
{
    memset(t, 0, sizeof *t);
    for (size_t i = 0; i < rv_pattern_count(); i++) {
        enum kind k = kind_of((enum rv_op)rv_pattern(i)->op);
        if (k != K_COUNT)
            t->list[k][t->count[k]++] = (uint16_t)i;
    }
}

/* --- fields ----------------------------------------------------------------------------------- */

static uint32_t set_field(uint32_t word, unsigned at, unsigned bits, uint32_t value)
{
    uint32_t mask = (uint32_t)((UINT64_C(1) << bits) - 1);
    return (word & ~(mask << at)) | (value & mask) << at;
}

static uint32_t set_imm_b(uint32_t w, int32_t off)
{
    uint32_t u = (uint32_t)off;
    w = set_field(w, 31, 1, u >> 12);
    w = set_field(w, 25, 6, u >> 5);
    w = set_field(w, 8, 4, u >> 1);
    return set_field(w, 7, 1, u >> 11);
}

static uint32_t set_imm_j(uint32_t w, int32_t off)
{
    uint32_t u = (uint32_t)off;
    w = set_field(w, 31, 1, u >> 20);
    w = set_field(w, 21, 10, u >> 1);
    w = set_field(w, 20, 1, u >> 11);
    return set_field(w, 12, 8, u >> 12);
}

static uint32_t set_imm_cb(uint32_t w, int32_t off) /* c.beqz: offset[8|4:3] ... [7:6|2:1|5] */
{
    uint32_t u = (uint32_t)off;
    w = set_field(w, 12, 1, u >> 8);
    w = set_field(w, 10, 2, u >> 3);
    w = set_field(w, 5, 2, u >> 6);
    w = set_field(w, 3, 2, u >> 1);
    return set_field(w, 2, 1, u >> 5);
}

static uint32_t set_imm_cj(uint32_t w, int32_t off) /* c.j: offset[11|4|9:8|10|6|7|3:1|5] */
{
    uint32_t u = (uint32_t)off;
    w = set_field(w, 12, 1, u >> 11);
    w = set_field(w, 11, 1, u >> 4);
    w = set_field(w, 9, 2, u >> 8);
    w = set_field(w, 8, 1, u >> 10);
    w = set_field(w, 7, 1, u >> 6);
    w = set_field(w, 6, 1, u >> 7);
    w = set_field(w, 3, 3, u >> 1);
    return set_field(w, 2, 1, u >> 5);
}

static unsigned word_len(uint32_t w)
{
    return (w & 3) == 3 ? 4 : 2;
}

/* --- one instruction -------------------------------------------------------------------------- */

static unsigned pick_pointer(struct gen *g, bool compressed)
{
    uint32_t mask = g->p->pointers & (compressed ? 0xff00u : ~0u);
    for (;;) {
        unsigned r = fz_below(&g->rng, 32);
        if (mask >> r & 1)
            return r;
    }
}

static unsigned size_of(enum rv_op op)
{
    switch (op) {
    case RV_OP_LB:
    case RV_OP_LBU:
    case RV_OP_SB: return 1;
    case RV_OP_LH:
    case RV_OP_LHU:
    case RV_OP_SH:
    case RV_OP_FLH:
    case RV_OP_FSH: return 2;
    case RV_OP_LD:
    case RV_OP_SD:
    case RV_OP_FLD:
    case RV_OP_FSD: return 8;
    default: return 4;
    }
}

/* A load or store that reaches the data, mostly aligned. */
static uint32_t steer_access(struct gen *g, uint32_t w, enum rv_op op, enum kind k)
{
    if (word_len(w) == 2) {
        if ((w & 3) == 0) /* c.lw and its kind: rs1' */
            w = set_field(w, 7, 3, pick_pointer(g, true));
        return w; /* else sp-relative */
    }
    if (g->opt->oracle || !fz_percent(&g->rng, 2) || g->strict)
        w = set_field(w, 15, 5, pick_pointer(g, false));
    unsigned low = k == K_STORE ? 7 : 20;
    if (k == K_LOAD || k == K_STORE) {
        if (fz_percent(&g->rng, 75))
            w &= ~((size_of(op) - 1) << low);
        if (fz_percent(&g->rng, 30)) /* near the base */
            w = k == K_STORE ? set_field(w, 25, 7, fz_percent(&g->rng, 50) ? 0 : 0x7f)
                             : set_field(w, 25, 7, fz_percent(&g->rng, 50) ? 0 : 0x7f);
    }
    return w;
}

static uint32_t steer_csr(struct gen *g, uint32_t w)
{
    static const uint16_t user[] = {RV_CSR_FFLAGS, RV_CSR_FRM,   RV_CSR_FCSR,
                                    RV_CSR_FFLAGS, RV_CSR_CYCLE, RV_CSR_INSTRET};
    static const uint16_t super[] = {RV_CSR_SSCRATCH, RV_CSR_SSTATUS, RV_CSR_SCAUSE,
                                     RV_CSR_STVAL,    RV_CSR_SEPC,    RV_CSR_SSTATUS};
    static const uint16_t machine[] = {RV_CSR_MSCRATCH, RV_CSR_MSTATUS, RV_CSR_MEPC,
                                       RV_CSR_MCAUSE,   RV_CSR_MIE,     RV_CSR_MINSTRET};
    enum fz_view v = g->p->view;
    uint32_t r = fz_below(&g->rng, 100);
    unsigned csr;
    if (g->opt->oracle)
        csr = user[fz_below(&g->rng, 4)];
    else if (r < 60 || v == FZ_V_USER)
        csr = user[fz_below(&g->rng, r < 50 ? 4 : 6)];
    else if (r < 80 && v != FZ_V_U39 && v != FZ_V_U48)
        csr = super[fz_below(&g->rng, 6)];
    else if (r < 98 && v == FZ_V_M_BARE)
        csr = machine[fz_below(&g->rng, 6)];
    else
        csr = r < 97 ? RV_CSR_FCSR : RV_CSR_SSCRATCH;
    w = set_field(w, 20, 12, csr);
    if (csr >= RV_CSR_CYCLE) /* reads only: csrrs rd, csr, x0 */
        w = set_field(set_field(w, 15, 5, 0), 12, 3, 2);
    if ((csr == RV_CSR_FRM || csr == RV_CSR_FCSR) &&
        fz_percent(&g->rng, g->opt->oracle ? 100 : 80)) {
        /* a valid rounding mode: csrrwi with a small immediate, or a read */
        uint32_t valid = csr == RV_CSR_FRM ? fz_below(&g->rng, 5) : fz_below(&g->rng, 32);
        w = set_field(set_field(w, 12, 3, 5), 15, 5, valid);
    }
    if (csr == RV_CSR_MSTATUS || csr == RV_CSR_SSTATUS) { /* bits that leave this world standing */
        bool clear = fz_percent(&g->rng, 50);
        w = set_field(set_field(w, 12, 3, clear ? 7 : 6), 15, 5, 2 | fz_below(&g->rng, 8) << 2);
    }
    return w;
}

/* Registers that may not be written. */
static bool spoils(const struct gen *g, const struct rv_insn *in)
{
    uint32_t written = UINT32_C(1) << in->rd | (in->op == RV_OP_AMOCAS_Q ? 2u << in->rd : 0);
    return in->rd && g->p->pointers & written;
}

static bool oracle_refuses(const struct rv_insn *in)
{
    /* what Linux forbids or answers by the clock, and results that the manual leaves open */
    switch (in->op) {
    case RV_OP_CBO_INVAL:
    case RV_OP_CBO_CLEAN:
    case RV_OP_CBO_FLUSH:
    case RV_OP_FENCE_I:
    case RV_OP_WRS_NTO: /* QEMU drops the reservation, as it may */
    case RV_OP_WRS_STO: return true;
    /* QEMU 11 writes into its x0 for the rest of the block. */
    case RV_OP_AMOCAS_B:
    case RV_OP_AMOCAS_H:
    case RV_OP_AMOCAS_W:
    case RV_OP_AMOCAS_D:
    case RV_OP_AMOCAS_Q: return in->rd == 0;
    /* And leaves these out where their result is not used, flags and all. */
    case RV_OP_FROUND_H:
    case RV_OP_FROUND_S:
    case RV_OP_FROUND_D:
    case RV_OP_FROUNDNX_H:
    case RV_OP_FROUNDNX_S:
    case RV_OP_FROUNDNX_D: return true;
    default: return in->rm >= 5 && in->rm != 7 && rv_op_ext((enum rv_op)in->op) & FP_EXTS;
    }
}

static bool random_insn(struct gen *g, const struct patterns *t, enum kind k, uint32_t *word)
{
    struct rv_insn in;
    size_t i = t->list[k][fz_below(&g->rng, t->count[k])];
    uint32_t w = rv_pattern_random(i, &g->rng);
    rv_decode(&in, w);
    switch (k) {
    case K_LOAD:
    case K_STORE:
    case K_CBO:
    case K_AMO: w = steer_access(g, w, (enum rv_op)in.op, k); break;
    case K_CSR: w = steer_csr(g, w); break;
    case K_FP:
        if (in.len == 4 && in.rm >= 5 && fz_percent(&g->rng, 98) &&
            (rv_pattern(i)->mask >> 12 & 7) == 0)
            w = set_field(w, 12, 3, 7);
        break;
    case K_INT:
        if (in.op == RV_OP_FENCE)
            return false;
        break;
    default: break;
    }
    if (g->opt->oracle && k == K_AMO && (w >> 27 == 2 || w >> 27 == 3))
        w = set_field(w, 12, 3, g->opt->lr_double ? 3 : 2);
    rv_decode(&in, w);
    if (g->lrsc && (in.op == RV_OP_SC_W || in.op == RV_OP_SC_D))
        return false;
    if (in.op == RV_OP_ILLEGAL || (g->opt->oracle && oracle_refuses(&in)))
        return false;
    if (spoils(g, &in) && (g->strict || !fz_percent(&g->rng, 3)))
        return false;
    *word = w;
    return true;
}

static void append(struct gen *g, uint32_t w)
{
    struct fz_program *p = g->p;
    p->word[p->count] = w;
    p->at[p->count + 1] = (uint16_t)(p->at[p->count] + word_len(w));
    p->count++;
}

/* auipc t, 0; jalr link, imm(t): imm is set when the target is known. */
static void append_jalr(struct gen *g)
{
    static const uint8_t links[] = {0, 1, 1, 5, 3};
    unsigned t, link = links[fz_below(&g->rng, 5)];
    do
        t = 1 + fz_below(&g->rng, 31);
    while (g->p->pointers >> t & 1);
    if (g->p->pointers >> link & 1)
        link = 0;
    append(g, 0x17 | t << 7);
    g->forward[g->p->count] = 1;
    append(g, 0x67 | link << 7 | t << 15);
}

static void append_branch(struct gen *g, const struct patterns *t, enum kind k)
{
    uint32_t w;
    struct rv_insn in;
    if (k == K_JUMP && fz_percent(&g->rng, 50) && g->p->count + 2 < FZ_MAX_INSNS) {
        append_jalr(g);
        return;
    }
    do {
        w = rv_pattern_random(t->list[k][fz_below(&g->rng, t->count[k])], &g->rng);
        rv_decode(&in, w);
    } while (in.op == RV_OP_JALR || spoils(g, &in));
    g->forward[g->p->count] = 1;
    append(g, w);
}

/* --- LR and SC -------------------------------------------------------------------------------- */

/* What is put together: an LR, one SC or two, and what stands between. */
struct lrsc {
    uint32_t lr, end; /* numbers of instructions: the LR, the first one behind it all */
    unsigned at;      /* registers: the address, */
    unsigned seen;    /* what LR saw, */
    unsigned failed;  /* what SC says */
    unsigned width;   /* funct3 */
    bool
        constrained; /* Unpriv. 20240411, 14.3; else anything may be between, and nothing tries again */
};

static unsigned pick_scratch(struct gen *g)
{
    for (;;) {
        unsigned r = 1 + fz_below(&g->rng, 31);
        if (!(g->p->pointers >> r & 1))
            return r;
    }
}

/* One of those between. */
static void append_between(struct gen *g, const struct patterns *t, const struct lrsc *l)
{
    static const enum kind others[] = {K_LOAD, K_STORE, K_AMO, K_INT, K_INT, K_INT};
    uint32_t w;
    struct rv_insn in;
    for (;;) {
        enum kind k = l->constrained ? K_INT : others[fz_below(&g->rng, 6)];
        if (!random_insn(g, t, k, &w))
            continue;
        rv_decode(&in, w);
        if (spoils(g, &in) || (l->constrained && !(rv_op_ext((enum rv_op)in.op) & RV_EXT_I)))
            continue;
        append(g, w);
        return;
    }
}

/* Some instructions, branches among them whose targets are left open, and an SC; it is tried again
 * from the LR if that fails. */
static void append_arm(struct gen *g, const struct patterns *t, const struct lrsc *l)
{
    for (unsigned n = fz_below(&g->rng, 5); n; n--) {
        uint32_t regs = l->seen << 15 | fz_below(&g->rng, 32) << 20;
        static const uint8_t conditions[] = {0, 1, 4, 5, 6, 7};
        if (fz_percent(&g->rng, 35))
            append(g, 0x63 | regs | (uint32_t)conditions[fz_below(&g->rng, 6)] << 12);
        else
            append_between(g, t, l);
    }
    append(g, 0x1800002f | l->width << 12 | l->at << 15 | l->failed << 7 |
                  (fz_below(&g->rng, 32) << 20));
    if (l->constrained) {
        int32_t back = g->p->at[l->lr] - g->p->at[g->p->count];
        append(g, set_imm_b(0x1063 | l->failed << 15, back));
    }
}

/*
 * A loop around LR and SC, of two SCs now and then. Alone on its memory it ends with success if it is
 * constrained, whatever runs it. All that could tell ways of keeping a reservation from one another is left
 * out: an SC to which no way leads but by the LR, and, where the loop is not constrained, the end of a page.
 */
static void append_lrsc(struct gen *g, const struct patterns *t)
{
    struct fz_program *p = g->p;
    uint32_t second = 0;
    struct lrsc l = {.lr = p->count,
                     .at = pick_pointer(g, false),
                     .seen = pick_scratch(g),
                     .failed = pick_scratch(g),
                     .width =
                         g->opt->oracle ? (g->opt->lr_double ? 3 : 2) : 2 + fz_below(&g->rng, 2),
                     .constrained = fz_percent(&g->rng, 70)};
    if (((p->pc + p->at[p->count]) & 4095) + 128 > 4096)
        l.constrained = true;
    append(g, 0x1000002f | l.width << 12 | l.at << 15 | l.seen << 7);
    append_arm(g, t, &l);
    uint32_t jump = p->count;
    if (fz_percent(&g->rng, 40)) {
        append(g, 0x6f);
        second = p->count;
        append_arm(g, t, &l);
        p->word[jump] = set_imm_j(0x6f, p->at[p->count] - p->at[jump]);
    }
    l.end = p->count;
    memset(g->inside + l.lr + 1, 1, l.end - l.lr - 1);
    for (uint32_t i = l.lr; i < l.end; i++) {
        if ((p->word[i] & 0x7f) != 0x63 ||
            p->word[i] & 0xfe000f80) /* no branch, or it has its target */
            continue;
        uint32_t to = i + 1 + fz_below(&g->rng, l.end - i);
        /* Not where an SC is tried again that was not tried, for ever perhaps. */
        while (to < l.end && ((to == jump && second) || p->word[to] >> 31))
            to++;
        p->word[i] = set_imm_b(p->word[i], p->at[to] - p->at[i]);
    }
}

/* --- targets ---------------------------------------------------------------------------------- */

static uint32_t with_target(uint32_t w, int32_t off)
{
    if (word_len(w) == 4) {
        switch (w & 0x7f) {
        case 0x63: return set_imm_b(w, off);
        case 0x6f: return set_imm_j(w, off);
        default: return set_field(w, 20, 12, (uint32_t)off + 4); /* behind its auipc */
        }
    }
    return w >> 13 == 5 ? set_imm_cj(w, off) : set_imm_cb(w, off);
}

static void resolve(struct gen *g)
{
    struct fz_program *p = g->p;
    for (uint32_t i = 0; i < p->count; i++) {
        if (!g->forward[i])
            continue;
        uint32_t reach = word_len(p->word[i]) == 2 ? 12 : 30;
        uint32_t left = p->count - 1 - i;
        uint32_t to = i + 1 + (left ? fz_below(&g->rng, left < reach ? left : reach) : 0);
        if (p->loops && i && fz_percent(&g->rng, 25))
            to = fz_below(&g->rng, i);
        while (g->inside[to])
            to++;
        if ((p->word[to] & 0x7f) == 0x67) /* not between an auipc and its jalr */
            to++;
        int32_t off = p->at[to] - p->at[i];
        if (word_len(p->word[i]) == 2 && (off < -250 || off > 250))
            off = 2;
        if (!g->strict && p->loops && fz_percent(&g->rng, 1))
            off += 2; /* perhaps the middle of an instruction */
        p->word[i] = with_target(p->word[i], off);
    }
}

/* --- whole programs --------------------------------------------------------------------------- */

static void choose_pointers(struct gen *g)
{
    g->p->pointers = 1u << 2 | 1u << (8 + fz_below(&g->rng, 8));
    for (unsigned n = 1 + fz_below(&g->rng, 3); n; n--)
        g->p->pointers |= 1u << (3 + fz_below(&g->rng, 28));
}

static void choose_place(struct gen *g, uint32_t page)
{
    struct fz_program *p = g->p;
    uint32_t offset = fz_below(&g->rng, 1800) * 2;
    if (fz_percent(&g->rng, 15)) /* over the page's end */
        offset = 4096 - 2 * (1 + fz_below(&g->rng, 60));
    p->page = page % (FZ_CODE_PAGES - 1);
    p->pc = fz_view_base(p->view) + FZ_CODE + (uint64_t)p->page * 4096 + offset;
}

void fz_generate(struct fz_program *p, uint64_t seed, enum fz_view view, uint32_t page,
                 const struct fz_gen_options *opt)
{
    struct patterns t;
    memset(p, 0, offsetof(struct fz_program, word));
    struct gen g = {.p = p, .opt = opt, .rng = seed ^ UINT64_C(0x5bd1e995) << 20};
    p->seed = seed;
    p->view = view;
    p->at[0] = 0;
    g.strict = view == FZ_V_USER || opt->oracle;
    p->loops = !opt->oracle && fz_percent(&g.rng, 10);
    collect(&t);
    choose_pointers(&g);
    choose_place(&g, page);
    const uint16_t *weights = flavours[fz_below(&g.rng, sizeof flavours / sizeof *flavours)];
    g.lrsc = fz_percent(&g.rng, 25);
    uint32_t total = 0, want = 4 + fz_below(&g.rng, fz_percent(&g.rng, 20) ? 85 : 45);
    for (int k = 0; k < K_COUNT; k++)
        total += weights[k];
    while (p->count < want) {
        uint32_t r = fz_below(&g.rng, total), w;
        enum kind k = K_INT;
        while (r >= weights[k])
            r -= weights[k++];
        if (opt->oracle && (k == K_STOP || k == K_FENCE))
            continue;
        if (k == K_AMO && p->count + LRSC_MOST < FZ_MAX_INSNS && g.lrsc && fz_percent(&g.rng, 60))
            append_lrsc(&g, &t);
        else if (k == K_BRANCH || k == K_JUMP)
            append_branch(&g, &t, k);
        else if (random_insn(&g, &t, k, &w))
            append(&g, w);
    }
    append(&g, 0x73); /* ecall */
    resolve(&g);
}

void fz_program_bytes(const struct fz_program *p, uint8_t *out)
{
    for (uint32_t i = 0; i < p->count; i++)
        for (uint32_t k = 0; k < word_len(p->word[i]); k++)
            out[p->at[i] + k] = (uint8_t)(p->word[i] >> 8 * k);
}

void fz_drop(struct fz_program *p, uint32_t i)
{
    p->word[i] = word_len(p->word[i]) == 4 ? 0x13 : 1;
}

bool fz_is_nop(const struct fz_program *p, uint32_t i)
{
    return p->word[i] == 0x13 || p->word[i] == 1;
}

/* --- states ----------------------------------------------------------------------------------- */

static uint64_t random_pointer(uint64_t *rng, const struct fz_program *p,
                               const struct fz_gen_options *opt)
{
    static const uint32_t borders[] = {0, 4096, 8192, 12288};
    uint64_t base = fz_view_base(p->view) + FZ_DATA, r = fz_below(rng, 100);
    uint64_t middle = base + 2048 + fz_below(rng, 4096 - 16);
    if (opt->oracle || fz_percent(rng, 75))
        middle &= ~(opt->oracle || fz_percent(rng, 50) ? UINT64_C(15) : UINT64_C(7));
    if (opt->oracle || r < 84)
        return middle;
    if (r < 94) /* near a border between pages */
        return base + borders[fz_below(rng, 4)] - 8 + fz_below(rng, 16);
    if (p->view == FZ_V_USER) {
        if (r < 97)
            return UINT64_C(0x4000000000000000) + middle; /* not canonical on the host */
        return base + 3 * 4096 + fz_below(rng, 4096);
    }
    switch (r) {
    case 94: return middle ^ UINT64_C(1) << (38 + fz_below(rng, 26)); /* not canonical */
    case 95: return middle ^ UINT64_MAX << (38 + fz_below(rng, 26));
    case 96: return base + 3 * 4096 + (fz_below(rng, 4096) & ~7u);
    case 97: return fz_value(rng);
    case 98: return UINT64_MAX - fz_below(rng, 16);
    /* beside code that has run: a store finds its page write-protected */
    default: return fz_view_base(p->view) + FZ_TRAP + 2304 + fz_below(rng, 1700);
    }
}

void fz_generate_state(struct fz_state *s, const struct fz_program *p, uint64_t seed,
                       const struct fz_gen_options *opt)
{
    uint64_t rng = seed ^ UINT64_C(0x2545f4914f6cdd1d);
    for (unsigned i = 0; i < 32; i++) {
        s->x[i] = p->pointers >> i & 1 ? random_pointer(&rng, p, opt) : fz_value(&rng);
        s->f[i] = fz_float(&rng);
    }
    if (fz_percent(&rng, 30)) /* operands that meet */
        for (unsigned i = 1; i < 32; i++)
            if (!(p->pointers >> i & 1) && fz_percent(&rng, 30))
                s->x[i] = s->x[fz_below(&rng, 32)];
    s->x[0] = 0;
    s->fcsr = fz_below(&rng, 32) | (fz_percent(&rng, 60) ? 0 : fz_below(&rng, 5)) << 5;
    if (!opt->oracle && fz_percent(&rng, 2))
        s->fcsr |= UINT64_C(7) << 5;
    s->fs = fz_percent(&rng, 80) ? 3 : (uint8_t)fz_below(&rng, 4);
    s->delegate = fz_percent(&rng, 50);
    s->data_seed = fz_random(&rng);
    s->exact = p->loops || fz_percent(&rng, 25);
    s->max_insns = 100000;
    s->irq_at = p->view != FZ_V_USER && fz_percent(&rng, 12) ? 1 + fz_below(&rng, p->count) : 0;
    if (s->exact && (p->loops || fz_percent(&rng, 60)))
        s->max_insns = 1 + fz_below(&rng, p->loops ? opt->loop_insns : p->count);
}
