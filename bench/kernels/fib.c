/* Recursive Fibonacci: calls, returns and the stack. */
#include "bench.h"

BENCH_INT("fib", 102334155u)

static __attribute__((noinline)) uint64_t fib(uint64_t n)
{
    BENCH_HIDE(n);
    if (n < 2) {
        return n;
    }
    uint64_t a = fib(n - 1);
    BENCH_HIDE(a);
    return a + fib(n - 2);
}

static uint64_t kernel(void)
{
    return fib(40);
}
