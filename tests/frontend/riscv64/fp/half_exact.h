/*
 * Arithmetic on binary16 by exact integers, rounded once: no soft-float, no wider float. For tests
 * of what translated code makes of it by way of singles and doubles.
 */
#ifndef TESTS_FP_HALF_EXACT_H
#define TESTS_FP_HALF_EXACT_H

#include <stdbool.h>
#include <stdint.h>

#include "godwit/ir.h"

enum half_op { HALF_ADD, HALF_SUB, HALF_MUL, HALF_DIV, HALF_SQRT, HALF_FMA };

/* a op b, or a * b + c; NaN results are canonical, flags (IR_FP_*) are ORed into *flags. */
uint16_t half_exact(enum half_op op, uint16_t a, uint16_t b, uint16_t c, enum ir_round rm,
                    uint32_t *flags);

/* An integer of any of the four kinds, as its magnitude and sign. */
uint16_t half_of_integer(uint64_t magnitude, bool negative, enum ir_round rm, uint32_t *flags);

#endif
