/* CRC-32 (the reflected polynomial of IEEE 802.3), byte by byte through a table. */
#include "bench.h"

BENCH_INT("crc32", 522030526u)

#define SIZE (1u << 20)

static uint32_t table[256];
static uint8_t data[SIZE];

static uint32_t crc(uint32_t c, const uint8_t *p, uint32_t n)
{
    c = ~c;
    while (n-- > 0) {
        c = table[(c ^ *p++) & 0xff] ^ c >> 8;
    }
    return ~c;
}

static uint64_t kernel(void)
{
    for (uint32_t i = 0; i < 256; i++) {
        uint32_t c = i;
        for (int k = 0; k < 8; k++) {
            c = c >> 1 ^ (0xedb88320u & -(c & 1));
        }
        table[i] = c;
    }
    /* The check value of this CRC: a wrong table must not pass as a fast one. */
    if (crc(0, (const uint8_t *)"123456789", 9) != 0xcbf43926u) {
        return 1;
    }
    uint64_t seed = 32;
    for (uint32_t i = 0; i < SIZE; i++) {
        data[i] = (uint8_t)bench_random(&seed);
    }
    uint32_t c = 0;
    for (int round = 0; round < 150; round++) {
        c = crc(c, data, SIZE);
    }
    return c;
}
