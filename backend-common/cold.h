/*
 * Cold paths: what is rarely done follows behind a block's hot path, so that that one runs straight.
 * While the hot path is lowered each branch off it is noted here, with what its path will need to know;
 * the backend then goes over the list and writes them. Positions are bytes from the block's start; what
 * stands at a branch's position (a displacement, an instruction) is the backend's business.
 */
#ifndef BACKEND_COMMON_COLD_H
#define BACKEND_COMMON_COLD_H

#include "backend-common/place.h"

enum cold_kind {
    COLD_BUDGET, /* the budget is used up */
    COLD_EXIT,   /* leaves to a guest pc: an unlinked branch comes here */
    COLD_GUARD,  /* the same, from a branch that goes to another page: its guard, then the exit */
    COLD_REFUND, /* a side exit: what did not run, if anything, goes back to the budget; then as EXIT */
    COLD_MISS,   /* an indirect branch that the jump cache does not have */
    COLD_ACCESS, /* a load or store that is not inline */
    COLD_ATOMIC, /* AMO, CAS */
    COLD_LOCKED, /* CAS by the host's own, as others may have the memory too */
    COLD_NANS,   /* registers that may hold NaNs */
    COLD_NAN,    /* dest holds one for sure, or is to */
    COLD_ZERO,   /* dest becomes 0 */
    COLD_EVAL,   /* the operation as gw_runtime.eval does it */
    COLD_HALF,   /* an unsigned integer that is no signed one */
    COLD_MINMAX, /* equal or unordered operands */
    COLD_TINY,   /* a result that may be smaller than its underflow, if any, tells */
    COLD_DIVIDE, /* a divisor that the host's instruction does not take */
    COLD_ROUND,  /* another rounding, where the flags are the host's */
    COLD_FPGET,  /* the flags are the host's */
    COLD_FPSET,
    COLD_KINDS
};

/* ACCESS, ATOMIC, LOCKED. The block's way to the access, and what it accesses; ATOMIC: address and scratch are
 * where the backend always has them. */
struct cold_access {
    int8_t address; /* register with the address, but for what of it is an instruction's */
    int8_t scratch; /* register that the lookup works in */
    int8_t dest;    /* LD: result */
    bool first;     /* of its site: it fills the slot */
    uint16_t thunk; /* slow path */
    uint8_t rows;   /* ATOMIC: so many, from row on */
    uint32_t row;   /* of the access, in the side table */
    uint32_t at;    /* position of the access */
    struct place_operand value;     /* ST, AMO: operand; CAS: expected */
    struct place_operand new_value; /* CAS */
};

/* EVAL, HALF, MINMAX, TINY: registers of the operands, which the hot path has left as they were. */
struct cold_eval {
    int8_t operand[3];
    int8_t dest;
};

/* FPGET, FPSET: registers. */
struct cold_flags {
    int8_t dest, scratch; /* FPGET: result; FPSET: one to work in, and the new flags in scratch */
    int8_t value;         /* FPSET: operand */
};

enum { COLD_BRANCHES = 3 };

struct cold_path {
    uint8_t kind;                 /* enum cold_kind */
    uint16_t insn;                /* IR instruction that it belongs to */
    uint32_t from[COLD_BRANCHES]; /* branches that lead here; 0: none. Which is which: by kind */
    uint32_t passed;              /* BUDGET, REFUND: host instructions up to the branch (tally.h) */
    uint32_t back;                /* position of the hot path where it goes on */
    union {
        uint32_t link;  /* EXIT, GUARD: index of its gw_link_desc */
        int32_t refund; /* REFUND: instructions */
        int8_t target;  /* MISS: register with the guest pc */
        int8_t dest;    /* NAN, ZERO: register */
        int8_t divisor; /* DIVIDE: register */
        struct {
            reg_set pending, singles; /* as in nans.h */
        } nans;
        struct cold_access access;
        struct cold_eval eval;
        struct cold_flags flags;
    };
};

struct cold_list {
    uint32_t count;
    bool *full; /* sticky: the block does not fit */
    struct cold_path path[IR_MAX_INSNS + 8];
};

static inline void cold_begin(struct cold_list *l, bool *full)
{
    l->count = 0;
    l->full = full;
}

/* A path of that kind, without branches; its own part is to be set. Valid until the block is done. */
static inline struct cold_path *cold_add(struct cold_list *l, enum cold_kind kind, uint32_t insn)
{
    if (l->count >= sizeof l->path / sizeof l->path[0]) {
        *l->full = true;
        l->count = 0;
    }
    struct cold_path *c = &l->path[l->count++];
    c->kind = (uint8_t)kind;
    c->insn = (uint16_t)insn;
    for (unsigned k = 0; k < COLD_BRANCHES; k++)
        c->from[k] = 0;
    c->back = 0;
    return c;
}

/* The path that was noted last is none after all. One that has others behind it stays. */
static inline void cold_drop(struct cold_list *l, const struct cold_path *c)
{
    if (c == &l->path[l->count - 1])
        l->count--;
}

#endif
