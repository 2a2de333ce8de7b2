/*
 * M. Unpriv. 20240411, chapter 13: division by zero and overflow have results and do not trap,
 * as the IR's divisions do.
 */
#include "frontend/riscv64/lift.h"

#define BINARY(name, op)                                                                           \
    enum rv_flow rv_lift_##name(struct rv_lift *l, const struct rv_insn *in)                       \
    {                                                                                              \
        return rv_binary(l, in, op);                                                               \
    }
#define BINARY_W(name, op)                                                                         \
    enum rv_flow rv_lift_##name(struct rv_lift *l, const struct rv_insn *in)                       \
    {                                                                                              \
        return rv_binary_w(l, in, op);                                                             \
    }

BINARY(mul, IR_MUL)
BINARY(mulh, IR_MULHS)
BINARY(mulhsu, IR_MULHSU)
BINARY(mulhu, IR_MULHU)
BINARY(div, IR_DIVS)
BINARY(divu, IR_DIVU)
BINARY(rem, IR_REMS)
BINARY(remu, IR_REMU)
BINARY_W(mulw, IR_MUL)
BINARY_W(divw, IR_DIVS)
BINARY_W(divuw, IR_DIVU)
BINARY_W(remw, IR_REMS)
BINARY_W(remuw, IR_REMU)
