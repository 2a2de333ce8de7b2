/*
 * Passes over a finished IR block. Each leaves a block that ir_verify accepts.
 */
#ifndef TRANSLATOR_IR_PASS_H
#define TRANSLATOR_IR_PASS_H

#include "godwit/ir.h"

/* Fills in insn.uses, and turns into NOP what nobody can observe: pure operations without uses, and
 * PUTs of bytes that are written again before anything may fault, leave or look. */
void ir_liveness(struct ir_block *b);

/* Instructions that are still something. */
uint32_t ir_live_count(const struct ir_block *b);

#endif
