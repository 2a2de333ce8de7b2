/*
 * NaNs that wait. Where a result that is a NaN must become the default one before anybody can see it
 * (IR_FPM_RISCV on a host that keeps payloads), that need not be at once: a NaN operand makes the next
 * result a NaN too, and one comparison asks of two registers whether either is one. So results of
 * arithmetic are noted, and tested in one go ahead of whatever might show them: an access, an exit, a
 * move, any operation that is not arithmetic.
 *
 * A host that makes default NaNs by itself notes nothing, and this costs it nothing.
 */
#ifndef BACKEND_COMMON_NANS_H
#define BACKEND_COMMON_NANS_H

#include "backend-common/regs.h"

enum { NANS_PAIRS = 3 };

/* Up to NANS_PAIRS comparisons, whose cold path may be one. */
struct nans_test {
    struct {
        int8_t a, b; /* the same, where one is left over */
    } pair[NANS_PAIRS];
    unsigned pairs;
    bool single; /* they hold F32 */
    /* When one is a NaN, each of these may hold one, and is to be made the default. */
    reg_set pending;
    reg_set singles; /* of those, the ones that hold F32 */
};

struct nans {
    /* Emits the test: whether a register of any pair holds a NaN. */
    void (*test)(void *code, const struct nans_test *t);
    void *code;
    reg_set pending; /* registers that may hold a NaN which is not the default one */
    /* Of those, the ones to look at: were another one a NaN, so would be one of these. */
    reg_set check;
    reg_set singles;  /* of the pending ones, those that hold an F32 */
    reg_set consumed; /* operands of the arithmetic that is being lowered */
};

static inline void nans_begin(struct nans *n, void (*test)(void *code, const struct nans_test *t),
                              void *code)
{
    *n = (struct nans){.test = test, .code = code};
}

/* Ahead of the write: reg will hold something else. */
static inline void nans_overwritten(struct nans *n, int reg)
{
    reg_set bit = reg_bit(reg);
    if (!(n->pending & bit))
        return;
    n->pending &= ~bit;
    if (n->check & bit && !(n->consumed & bit))
        n->check = n->pending; /* it spoke for others */
    n->check &= ~bit;
}

/* reg holds the result of arithmetic on n->consumed. */
static inline void nans_result(struct nans *n, int reg, bool single)
{
    reg_set bit = reg_bit(reg);
    n->check &= ~n->consumed; /* reg speaks for them */
    n->pending |= bit;
    n->check |= bit;
    n->singles = single ? n->singles | bit : n->singles & ~bit;
}

/* The result goes nowhere but into arithmetic that makes its own NaN a default one: nobody sees which
 * it is, and it speaks for nobody. */
static inline void nans_unseen(struct nans *n)
{
    n->check = n->pending;
}

/* Tests what waits: from here on no register holds a NaN that must not be seen. */
void nans_flush(struct nans *n);

/* The same, where only one register will be looked at. */
static inline void nans_show(struct nans *n, int reg)
{
    if (n->pending & reg_bit(reg))
        nans_flush(n);
}

#endif
