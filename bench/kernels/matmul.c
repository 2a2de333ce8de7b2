/* Product of two square matrices of doubles, in the plain order of loops. */
#include "bench.h"

BENCH_FP("matmul", 0x1.36a8f99be90adp+11)

#define N 300

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
    for (int round = 0; round < 25; round++) {
        for (int i = 0; i < N; i++) {
            for (int j = 0; j < N; j++) {
                double sum = 0;
                for (int k = 0; k < N; k++) {
                    sum += a[i][k] * b[k][j];
                }
                c[i][j] = sum;
            }
        }
        a[round][round] += c[round][N - 1 - round] * 0.001;
    }
    double trace = 0;
    for (int i = 0; i < N; i++) {
        trace += c[i][i] * c[i][i];
    }
    return trace;
}
