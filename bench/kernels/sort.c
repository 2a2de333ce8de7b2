/* Quicksort and heapsort of the same random keys: compares that no predictor foresees. */
#include "bench.h"

BENCH_INT("sort", 639581232988041508u)

#define KEYS 300000u

static uint32_t keys[KEYS];

static void fill(uint64_t seed)
{
    for (uint32_t i = 0; i < KEYS; i++) {
        keys[i] = (uint32_t)(bench_random(&seed) >> 32);
    }
}

static void swap(uint32_t *a, uint32_t *b)
{
    uint32_t t = *a;
    *a = *b;
    *b = t;
}

static void quick(uint32_t *a, int64_t low, int64_t high)
{
    while (low < high) {
        uint32_t pivot = a[low + (high - low) / 2];
        int64_t i = low, j = high;
        while (i <= j) {
            while (a[i] < pivot) {
                i++;
            }
            while (a[j] > pivot) {
                j--;
            }
            if (i <= j) {
                swap(&a[i++], &a[j--]);
            }
        }
        /* The smaller part by recursion, so that the depth stays logarithmic. */
        if (j - low < high - i) {
            quick(a, low, j);
            low = i;
        } else {
            quick(a, i, high);
            high = j;
        }
    }
}

static void sift(uint32_t *a, uint32_t root, uint32_t n)
{
    uint32_t v = a[root];
    for (;;) {
        uint32_t child = 2 * root + 1;
        if (child >= n) {
            break;
        }
        if (child + 1 < n && a[child + 1] > a[child]) {
            child++;
        }
        if (a[child] <= v) {
            break;
        }
        a[root] = a[child];
        root = child;
    }
    a[root] = v;
}

static void heap(uint32_t *a, uint32_t n)
{
    for (uint32_t i = n / 2; i-- > 0;) {
        sift(a, i, n);
    }
    while (--n > 0) {
        swap(&a[0], &a[n]);
        sift(a, 0, n);
    }
}

static uint64_t digest(void)
{
    uint64_t sum = 0;
    for (uint32_t i = 0; i < KEYS; i++) {
        sum = sum * 31 + keys[i];
        if (i > 0 && keys[i] < keys[i - 1]) {
            return 0;
        }
    }
    return sum;
}

static uint64_t kernel(void)
{
    uint64_t sum = 0;
    for (uint64_t round = 1; round <= 5; round++) {
        fill(round);
        quick(keys, 0, KEYS - 1);
        uint64_t once = digest();
        fill(round);
        heap(keys, KEYS);
        if (once == 0 || digest() != once) {
            return 1;
        }
        sum = sum * 33 + once;
    }
    return sum;
}
