/* Product of two square matrices of doubles, a row of the result at a time: the inner loop is two
 * loads, a multiply-add and a store, which is what a soft TLB is worst at. */
#include "bench.h"

BENCH_FP("matmul", 0x1.cbad53e3866afp+8)

/* QEMU 11's soft TLB does not grow past its first size where the guest never flushes it, and
 * matrices of 180 pages take it up to 300 times native: a figure about that alone, so the kernel
 * stays below it. */
#define N 120

static double a[N][N], b[N][N], c[N][N];

static double kernel(void)
{
    uint64_t seed = 3;
    for (int i = 0; i < N; i++) {
        for (int j = 0; j < N; j++) {
            a[i][j] = (double)(bench_random(&seed) >> 40) / 16777216.0 - 0.5;
            b[i][j] = (double)(bench_random(&seed) >> 40) / 16777216.0;
        }
    }
    for (int round = 0; round < 250; round++) {
        for (int i = 0; i < N; i++) {
            for (int j = 0; j < N; j++) {
                c[i][j] = 0;
            }
            for (int k = 0; k < N; k++) {
                for (int j = 0; j < N; j++) {
                    c[i][j] += a[i][k] * b[k][j];
                }
            }
        }
        a[round % N][round % N] += c[round % N][N - 1 - round % N] * 0.001;
    }
    double trace = 0;
    for (int i = 0; i < N; i++) {
        trace += c[i][i] * c[i][i];
    }
    return trace;
}
