/* Which LR and SC are a pair: see pair.h. */
#include "frontend/riscv64/pair.h"

/* How a path from the LR gets to an instruction. */
enum {
    PURE = 1,  /* over nothing but integer operations and branches forward */
    OTHER = 2, /* over something else, or with another address in the register */
};

/* The window, by halfwords from the LR on. */
enum { HALVES = RV_PAIR_WINDOW / 2 };
struct window {
    const struct gw_lift_request *rq;
    uint64_t ext;
    const struct rv_insn *lr;
    uint32_t at;             /* of the LR, in the code */
    uint32_t end;            /* of what was looked at */
    uint8_t reached[HALVES]; /* PURE, OTHER */
    uint8_t next[HALVES];    /* where an instruction goes on; 0: not in here */
    uint8_t taken[HALVES];   /* and where if it is a branch that is taken */
    uint32_t sc;             /* bits: SCs that the LR may pair with, reached by pure paths alone */
    uint32_t leads;          /* bits: instructions from which pure paths lead to one */
    uint32_t turns;          /* bits: branches and jumps */
    bool other;              /* an SC is reached otherwise, or is another one */
    bool border;             /* perhaps it is: a pure path leads over the code's end */
};

static bool is_branch(const struct rv_insn *in)
{
    switch (in->op) {
    case RV_OP_BEQ:
    case RV_OP_BNE:
    case RV_OP_BLT:
    case RV_OP_BGE:
    case RV_OP_BLTU:
    case RV_OP_BGEU: return true;
    default: return false;
    }
}

/* Goes on at no place that is known. */
static bool goes_away(const struct rv_insn *in)
{
    switch (in->op) {
    case RV_OP_ILLEGAL:
    case RV_OP_JALR:
    case RV_OP_ECALL:
    case RV_OP_EBREAK:
    case RV_OP_MRET:
    case RV_OP_SRET: return true;
    case RV_OP_JAL: return in->rd != 0;
    default: return false;
    }
}

/* An integer operation: touches nothing but registers, and can't trap. */
static bool is_pure(const struct rv_insn *in)
{
    switch (in->op) {
    case RV_OP_LUI:
    case RV_OP_AUIPC:
    case RV_OP_ADDI:
    case RV_OP_SLTI:
    case RV_OP_SLTIU:
    case RV_OP_XORI:
    case RV_OP_ORI:
    case RV_OP_ANDI:
    case RV_OP_SLLI:
    case RV_OP_SRLI:
    case RV_OP_SRAI:
    case RV_OP_ADD:
    case RV_OP_SUB:
    case RV_OP_SLL:
    case RV_OP_SLT:
    case RV_OP_SLTU:
    case RV_OP_XOR:
    case RV_OP_SRL:
    case RV_OP_SRA:
    case RV_OP_OR:
    case RV_OP_AND:
    case RV_OP_ADDIW:
    case RV_OP_SLLIW:
    case RV_OP_SRLIW:
    case RV_OP_SRAIW:
    case RV_OP_ADDW:
    case RV_OP_SUBW:
    case RV_OP_SLLW:
    case RV_OP_SRLW:
    case RV_OP_SRAW: return true;
    default: return (rv_op_ext(in->op) & (RV_EXT_ZBA | RV_EXT_ZBB | RV_EXT_ZBS)) != 0;
    }
}

/* The halfword that lies so many bytes from another one, if that is ahead and in the window; else 0. */
static uint8_t reach(struct window *w, unsigned from, int64_t bytes, uint8_t how)
{
    int64_t to = (int64_t)from + bytes / 2;
    if (bytes <= 0 || to >= HALVES)
        return 0;
    w->reached[to] |= how;
    return (uint8_t)to;
}

/* One instruction, to which paths lead. */
static void step(struct window *w, const struct rv_insn *in, unsigned h)
{
    uint8_t how = w->reached[h];
    switch (in->op) {
    case RV_OP_LR_W:
    case RV_OP_LR_D: return;
    case RV_OP_SC_W:
    case RV_OP_SC_D:
        if (how != PURE || in->rs1 != w->lr->rs1 ||
            (in->op == RV_OP_SC_W) != (w->lr->op == RV_OP_LR_W))
            w->other = true;
        else
            w->sc |= UINT32_C(1) << h;
        return;
    default: break;
    }
    if (goes_away(in))
        return;
    if (in->op == RV_OP_JAL || is_branch(in))
        w->turns |= UINT32_C(1) << h;
    if (in->op == RV_OP_JAL) {
        w->next[h] = reach(w, h, in->imm, how);
        return;
    }
    if (is_branch(in)) {
        w->taken[h] = reach(w, h, in->imm, how);
        /* One backward ends nothing, unless it leads to the LR again. */
        if (in->imm <= 0 && in->imm != -2 * (int64_t)h)
            how = OTHER;
    } else if (!is_pure(in) || in->rd == w->lr->rs1) {
        how = OTHER;
    }
    w->next[h] = reach(w, h, in->len, how);
}

static bool has(uint32_t bits, unsigned h)
{
    return bits >> h & 1;
}

static void look(struct window *w)
{
    /* In user mode there may be more bytes than may be run. */
    uint32_t limit = w->rq->block->flags & RV_TBF_USER ? w->rq->page_left : w->rq->code_size;
    w->end = w->at + w->lr->len;
    reach(w, 0, w->lr->len, w->lr->rd == w->lr->rs1 ? OTHER : PURE);
    for (unsigned h = 1; h < HALVES; h++) {
        uint32_t at = w->at + 2 * h, word;
        struct rv_insn in;
        if (!w->reached[h])
            continue;
        unsigned len = at < limit ? rv_lift_fetch(w->rq, at, &word) : 0;
        if (!len) {
            w->border = w->border || w->reached[h] & PURE;
            continue;
        }
        rv_decode_for(&in, word, w->ext);
        if (w->end < at + len)
            w->end = at + len;
        step(w, &in, h);
    }
    w->leads = w->sc;
    for (unsigned h = HALVES; h-- > 1;)
        if (has(w->leads, w->next[h]) || has(w->leads, w->taken[h]))
            w->leads |= UINT32_C(1) << h;
}

/* From the LR to its SC. False: they are no pair. */
static bool go(const struct window *w, struct rv_pair *out)
{
    unsigned h = w->lr->len / 2, skip_to = 0;
    for (; has(w->leads, h) && !has(w->sc, h); h = w->next[h], out->count++) {
        if (h >= skip_to)
            skip_to = 0;
        if (skip_to && (has(w->turns, h) || w->next[h] > skip_to))
            return false;
        if (has(w->leads, w->taken[h])) {
            skip_to = w->taken[h];
            out->skips |= UINT32_C(1) << h;
        }
    }
    out->sc = 2 * h;
    return has(w->sc, h) && h >= skip_to;
}

bool rv_pair_find(const struct gw_lift_request *rq, uint64_t ext, uint32_t at,
                  const struct rv_insn *lr, struct rv_pair *out)
{
    struct window w = {.rq = rq, .ext = ext, .lr = lr, .at = at};
    look(&w);
    *out = (struct rv_pair){.count = 2, .end = w.end, .border = w.border};
    return !w.other && !w.border && go(&w, out);
}
