/*
 * What every kernel of the benchmark shares. A kernel is one source that defines
 *     BENCH_INT("name", expected)  or  BENCH_FP("name", expected)
 * and the function kernel(). The program prints a line before and after it, so that whoever reads
 * its output can take the time by a clock outside the machine under test; the second line has the
 * result and the time by the clock inside. Status 1 means that the result was wrong.
 *
 * Integer results are exact. A floating-point result may differ in its last digits between hosts,
 * since one fuses multiply and add and the other does not; 1e-6 of it is allowed. Two runs of one
 * binary must print the same line, and bench.py checks that.
 */
#ifndef GODWIT_BENCH_H
#define GODWIT_BENCH_H

#include <stdint.h>
#include <stdio.h>
#include <time.h>

static inline uint64_t bench_ns(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

/* xorshift64*: the same inputs on every host. */
static inline uint64_t bench_random(uint64_t *state)
{
    uint64_t x = *state;
    x ^= x >> 12;
    x ^= x << 25;
    x ^= x >> 27;
    *state = x;
    return x * 0x2545f4914f6cdd1du;
}

/* Keeps a value alive and unknown to the compiler. */
#define BENCH_HIDE(x) __asm__ volatile("" : "+r"(x) : : "memory")

#define BENCH_BEGIN(name) (printf("bench: begin %s\n", name), fflush(stdout), bench_ns())

#define BENCH_INT(name, expected)                                                                  \
    static uint64_t kernel(void);                                                                  \
    int main(void)                                                                                 \
    {                                                                                              \
        uint64_t start = BENCH_BEGIN(name), got = kernel(), ns = bench_ns() - start;               \
        int ok = got == (expected);                                                                \
        printf("bench: end %s result=%llu ok=%d ns=%llu\n", name, (unsigned long long)got, ok,     \
               (unsigned long long)ns);                                                            \
        return !ok;                                                                                \
    }

#define BENCH_FP(name, expected)                                                                   \
    static double kernel(void);                                                                    \
    int main(void)                                                                                 \
    {                                                                                              \
        uint64_t start = BENCH_BEGIN(name);                                                        \
        double got = kernel(), off = got / (expected)-1;                                           \
        uint64_t ns = bench_ns() - start;                                                          \
        int ok = off < 1e-6 && off > -1e-6;                                                        \
        printf("bench: end %s result=%a ok=%d ns=%llu\n", name, got, ok, (unsigned long long)ns);  \
        return !ok;                                                                                \
    }

#endif
