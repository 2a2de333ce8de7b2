/*
 * What isa.c puts together, beside priv.h and lift.h: constant tables.
 */
#ifndef RV_ISA_PARTS_H
#define RV_ISA_PARTS_H

#include "frontend/riscv64/priv.h"

extern const struct gw_helper rv_helper_table[RV_HELPER_COUNT];

#endif
