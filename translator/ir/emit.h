/*
 * The inside of the IR builder: appending one instruction, and looking at what is there already.
 * Shared by build.c (state, memory, control, floats) and fold.c (pure integer operations).
 */
#ifndef TRANSLATOR_IR_EMIT_H
#define TRANSLATOR_IR_EMIT_H

#include "godwit/ir.h"

/* Where instructions go that have no room, or come after the block has ended. Never counted. */
enum { IR_SCRATCH = IR_MAX_INSNS - 1 };

/* Appends, whatever no_fold says. All operands that the operation doesn't have are IR_NONE. */
static inline ir_val ir_emit(struct ir_block *b, enum ir_op op, unsigned type, unsigned aux,
                             ir_val x, ir_val y, ir_val z, ir_val w, int64_t imm)
{
    uint32_t n = b->count;
    if (n < b->limit) {
        b->count = n + 1;
    } else {
        if (b->limit != 0)
            b->overflow = 1;
        n = IR_SCRATCH;
    }
    b->insn[n] = (struct ir_insn){.op = (uint8_t)op,
                                  .type = (uint8_t)type,
                                  .aux = (uint8_t)aux,
                                  .a = x,
                                  .b = y,
                                  .c = z,
                                  .d = w,
                                  .guest = (uint16_t)(b->guest_count - 1),
                                  .imm = imm};
    return (ir_val)n;
}

static inline bool ir_is_const(const struct ir_block *b, ir_val v)
{
    return b->insn[v].op == IR_CONST;
}

/* While a block is built, uses marks values that guest state holds (a PUT stored them): a backend
 * has those in a register of the guest's, so to fold through them to an older value would only
 * keep that one alive longer. */
static inline bool ir_in_state(const struct ir_block *b, ir_val v)
{
    return b->insn[v].uses != 0;
}

/* v < 2^n for the least n that is known without looking far. */
unsigned ir_unsigned_bits(const struct ir_block *b, ir_val v);
/* v is the sign-extension of its low n bits, for the least n that is known likewise. */
unsigned ir_signed_bits(const struct ir_block *b, ir_val v);
/* A value whose low `bits` bits are v's, with extensions stripped that don't matter then. */
ir_val ir_low_bits(const struct ir_block *b, ir_val v, unsigned bits);

#endif
