/*
 * What a system call costs: the median of many short runs of getppid, which a busy host interrupts
 * rarely, in nanoseconds per call by this machine's clock.
 */
#include <stdio.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

enum { RUNS = 2001, CALLS = 300 };

static double now_ns(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec * 1e9 + (double)t.tv_nsec;
}

static int by_size(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

int main(void)
{
    static double each[RUNS];
    for (int i = 0; i < RUNS; i++) {
        double start = now_ns();
        for (int k = 0; k < CALLS; k++)
            syscall(SYS_getppid);
        each[i] = (now_ns() - start) / CALLS;
    }
    qsort(each, RUNS, sizeof each[0], by_size);
    printf("getppid: %.1f\n", each[RUNS / 2]);
    return 0;
}
