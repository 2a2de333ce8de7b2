/* Without libFuzzer: inputs from files, or random ones: PROGRAM [SECONDS [SEED]] | FILE... */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "tests/fuzzing.h"

enum { INPUT_MAX = 2048 };

static uint64_t next(uint64_t *state)
{
    uint64_t z = *state += UINT64_C(0x9e3779b97f4a7c15);
    z = (z ^ z >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
    z = (z ^ z >> 27) * UINT64_C(0x94d049bb133111eb);
    return z ^ z >> 31;
}

static int run_file(const char *path)
{
    static uint8_t bytes[1 << 20];
    FILE *f = fopen(path, "rb");
    size_t n;
    if (!f) {
        perror(path);
        return 1;
    }
    n = fread(bytes, 1, sizeof bytes, f);
    fclose(f);
    LLVMFuzzerTestOneInput(bytes, n);
    return 0;
}

/* Small values are commoner than libFuzzer's mutations make them at first. */
static size_t make_input(uint64_t *rng, uint8_t *to)
{
    size_t n = next(rng) % INPUT_MAX;
    for (size_t i = 0; i < n; i++) {
        uint64_t r = next(rng);
        to[i] = (uint8_t)(r & 0x300 ? r : r & 7);
    }
    return n;
}

int main(int argc, char **argv)
{
    double seconds = argc > 1 ? atof(argv[1]) : 2;
    uint64_t rng = argc > 2 ? strtoull(argv[2], NULL, 0) : 1, inputs = 0;
    struct timespec start, now;
    uint8_t input[INPUT_MAX];
    if (seconds <= 0) {
        int bad = 0;
        for (int i = 1; i < argc; i++)
            bad |= run_file(argv[i]);
        return bad;
    }
    clock_gettime(CLOCK_MONOTONIC, &start);
    do {
        uint64_t seed = rng;
        size_t n = make_input(&rng, input);
        if (getenv("FUZZ_VERBOSE"))
            fprintf(stderr, "seed %" PRIu64 "\n", seed);
        LLVMFuzzerTestOneInput(input, n);
        inputs++;
        clock_gettime(CLOCK_MONOTONIC, &now);
    } while ((double)(now.tv_sec - start.tv_sec) < seconds);
    printf("%" PRIu64 " inputs\n", inputs);
    return 0;
}
