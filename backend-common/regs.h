/*
 * Host registers by number: integer registers are 0 to 31, as the host numbers them, vector registers
 * (floats too) 32 to 63. A set of registers is a mask of both.
 */
#ifndef BACKEND_COMMON_REGS_H
#define BACKEND_COMMON_REGS_H

#include <stdbool.h>
#include <stdint.h>

enum { REG_VECTOR = 32, REG_COUNT = 64, REG_NONE = -1 };

enum reg_class { REG_INT, REG_VEC };

typedef uint64_t reg_set;

static inline reg_set reg_bit(int reg)
{
    return (reg_set)1 << reg;
}

static inline enum reg_class reg_class_of(int reg)
{
    return reg < REG_VECTOR ? REG_INT : REG_VEC;
}

/* All of a class. */
static inline reg_set reg_class_set(enum reg_class cls)
{
    return UINT64_C(0xffffffff) << (cls == REG_VEC ? REG_VECTOR : 0);
}

/* The first of a set that is not empty. */
static inline int reg_first(reg_set set)
{
    return __builtin_ctzll(set);
}

#endif
