/*
 * Loads that are not inline, by number: a backend has an entry for each, which hands its description to
 * gw_runtime.load.
 */
#ifndef BACKEND_COMMON_SLOW_H
#define BACKEND_COMMON_SLOW_H

#include "godwit/ir.h"

enum { SLOW_F32 = 8, SLOW_F64, SLOW_ALIGNED, SLOW_LOADS = SLOW_ALIGNED + 2 };

static inline unsigned slow_load(const struct ir_insn *in)
{
    if (in->type == IR_F32)
        return SLOW_F32;
    if (in->type == IR_F64)
        return SLOW_F64;
    if (in->aux & IR_ALIGNED) /* W, D; sign-extended */
        return SLOW_ALIGNED + (in->aux & 1);
    return in->aux & (IR_SIZE_MASK | IR_SIGN);
}

static inline uint32_t slow_load_desc(unsigned k)
{
    switch (k) {
    case SLOW_F32: return IR_F32 << 8 | 2;
    case SLOW_F64: return IR_F64 << 8 | 3;
    case SLOW_ALIGNED: return IR_I64 << 8 | IR_ALIGNED | IR_SIGN | 2;
    case SLOW_ALIGNED + 1: return IR_I64 << 8 | IR_ALIGNED | 3;
    default: return IR_I64 << 8 | k;
    }
}

#endif
