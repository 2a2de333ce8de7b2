/* Sieve of Eratosthenes over bytes: stores with a stride, and counting. */
#include <string.h>

#include "bench.h"

BENCH_INT("sieve", 78498u * 120u)

#define LIMIT 1000000u

static uint8_t composite[LIMIT];

static uint64_t primes_below_limit(void)
{
    uint64_t count = 0;
    memset(composite, 0, sizeof composite);
    for (uint32_t i = 2; i < LIMIT; i++) {
        if (composite[i]) {
            continue;
        }
        count++;
        for (uint64_t j = (uint64_t)i * i; j < LIMIT; j += i) {
            composite[j] = 1;
        }
    }
    return count;
}

static uint64_t kernel(void)
{
    uint64_t sum = 0;
    for (int round = 0; round < 120; round++) {
        sum += primes_below_limit();
    }
    return sum;
}
