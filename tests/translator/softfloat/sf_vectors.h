/* Repeatable operands for the soft-float's tests, biased to where rounding goes wrong. */
#ifndef TESTS_SF_VECTORS_H
#define TESTS_SF_VECTORS_H

#include <stdint.h>

enum sfv_op { SFV_ADD, SFV_SUB, SFV_MUL, SFV_DIV, SFV_SQRT, SFV_FMA, SFV_OPS };

extern const char *const sfv_op_name[SFV_OPS];
extern const char *const sfv_round_name[5];

/* A generator's state; any seed will do. */
struct sfv_rng {
    uint64_t state;
};

uint64_t sfv_next(struct sfv_rng *g);

/* One operand. `width` is 32 or 64, here and below. */
uint64_t sfv_float(struct sfv_rng *g, int width);

/* Three operands for an operation, related so that cancellation, ties, overflow, underflow and
 * exact results turn up often. */
void sfv_operands(struct sfv_rng *g, enum sfv_op op, int width, uint64_t v[3]);

/* One integer, biased to few significant bits and to the neighbours of powers of two. */
uint64_t sfv_int(struct sfv_rng *g);

/* Call the soft-float. */
uint64_t sfv_call(enum sfv_op op, int width, const uint64_t v[3], int rm, uint32_t *fl);

#endif
