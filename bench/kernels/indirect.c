/* Calls through a table of functions, in an order that depends on the data. */
#include "bench.h"

BENCH_INT("indirect", 12522485551857119397u)

typedef uint64_t step(uint64_t x, uint64_t k);

#define STEP(n, expr)                                                                              \
    static __attribute__((noinline)) uint64_t step_##n(uint64_t x, uint64_t k)                     \
    {                                                                                              \
        return expr;                                                                               \
    }

STEP(0, x + k)
STEP(1, x ^ k << 3)
STEP(2, x * 5 + k)
STEP(3, x - (k ^ 0x55))
STEP(4, (x << 7 | x >> 57) + k)
STEP(5, x ^ x >> 9 ^ k)
STEP(6, ~x + k)
STEP(7, x + (x << 4) - k)

static step *const table[16] = {step_0, step_1, step_2, step_3, step_4, step_5, step_6, step_7,
                                step_3, step_0, step_5, step_2, step_7, step_6, step_1, step_4};

static uint64_t kernel(void)
{
    uint8_t order[4096];
    uint64_t seed = 7, x = 1;
    for (int i = 0; i < 4096; i++) {
        order[i] = bench_random(&seed) >> 60;
    }
    for (uint64_t n = 0; n < 50000000; n++) {
        x = table[order[n & 4095]](x, n);
    }
    return x;
}
