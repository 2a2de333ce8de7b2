/* Numbers of 1 to 8 bytes where they lie: in guest state, in the order of this host. */
#ifndef TESTS_NUMBERS_H
#define TESTS_NUMBERS_H

#include <stdint.h>
#include <string.h>

static inline uint8_t *number_end(uint64_t *v, unsigned bytes)
{
    return (uint8_t *)v + (__BYTE_ORDER__ == __ORDER_BIG_ENDIAN__ ? 8 - bytes : 0);
}

static inline uint64_t number_at(const uint8_t *p, unsigned bytes)
{
    uint64_t v = 0;
    memcpy(number_end(&v, bytes), p, bytes);
    return v;
}

static inline void put_number(uint8_t *p, unsigned bytes, uint64_t v)
{
    memcpy(p, number_end(&v, bytes), bytes);
}

#endif
