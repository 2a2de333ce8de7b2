/* Product of two square matrices of doubles, in the plain order of loops. */
#include "bench.h"

BENCH_FP("matmul", 0x1.cbad53e3866afp+8)

/* The columns of b lie in 29 pages. QEMU 11's soft TLB does not grow past its first size where the
 * guest never flushes it, and a matrix of 180 pages takes it 300 times native: a figure about that
 * alone, so the kernel stays below it. */
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
                double sum = 0;
                for (int k = 0; k < N; k++) {
                    sum += a[i][k] * b[k][j];
                }
                c[i][j] = sum;
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
