/*
 * One amount of work by one thread, then by two, COUNT times by turns: prints a line
 * "parallel: one-thread ns, two-thread ns" for each. The work is pieces that the threads take from a
 * shared counter: hashing a buffer (registers), a sieve (memory), and adding to a shared sum.
 */
#include <pthread.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { PIECES = 256, LIMIT = 1 << 18, WORDS = 4096, ROUNDS = 16, ADDS = 1000 };

static atomic_uint next_piece;
static _Atomic uint64_t sum;

static uint64_t now_ns(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

static uint64_t hash(unsigned seed)
{
    uint32_t words[WORDS];
    uint64_t h = seed;
    for (unsigned i = 0; i < WORDS; i++)
        words[i] = i * 2654435761u ^ seed;
    for (unsigned round = 0; round < ROUNDS; round++)
        for (unsigned i = 0; i < WORDS; i++)
            h = (h << 7 | h >> 57) * 0x9e3779b97f4a7c15u + words[i];
    return h;
}

static uint64_t sieve(unsigned char *composite)
{
    uint64_t count = 0;
    memset(composite, 0, LIMIT);
    for (unsigned i = 2; i < LIMIT; i++) {
        count += !composite[i];
        for (uint64_t j = (uint64_t)i * i; !composite[i] && j < LIMIT; j += i)
            composite[j] = 1;
    }
    return count;
}

static void *worker(void *unused)
{
    unsigned char *composite = malloc(LIMIT);
    unsigned piece;
    (void)unused;
    if (!composite)
        abort();
    while ((piece = atomic_fetch_add(&next_piece, 1)) < PIECES) {
        uint64_t h = hash(piece) + sieve(composite);
        for (unsigned i = 0; i < ADDS; i++)
            atomic_fetch_add_explicit(&sum, h + i, memory_order_relaxed);
    }
    free(composite);
    return NULL;
}

static uint64_t run(unsigned threads)
{
    pthread_t other[8];
    uint64_t start = now_ns();
    atomic_store(&next_piece, 0);
    atomic_store(&sum, 0);
    for (unsigned i = 1; i < threads; i++)
        if (pthread_create(&other[i], NULL, worker, NULL) != 0)
            abort();
    worker(NULL);
    for (unsigned i = 1; i < threads; i++)
        pthread_join(other[i], NULL);
    return now_ns() - start;
}

int main(int argc, char **argv)
{
    int count = argc > 1 ? atoi(argv[1]) : 3;
    for (int i = 0; i < count; i++) {
        uint64_t one = run(1), was = sum, two = run(2);
        if (sum != was) {
            printf("parallel: two threads computed something else\n");
            return 1;
        }
        printf("parallel: %llu %llu\n", (unsigned long long)one, (unsigned long long)two);
        fflush(stdout);
    }
    return 0;
}
