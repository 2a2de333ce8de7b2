/* Little-endian numbers of 1 to 8 bytes in byte strings: what devices, events and files hold. */
#ifndef GODWIT_LITTLE_H
#define GODWIT_LITTLE_H

#include <stdint.h>

static inline uint64_t gw_little(const uint8_t *p, unsigned size)
{
    uint64_t v = 0;
    for (unsigned i = 0; i < size; i++)
        v |= (uint64_t)p[i] << (8 * i);
    return v;
}

static inline void gw_put_little(uint8_t *p, uint64_t v, unsigned size)
{
    for (unsigned i = 0; i < size; i++)
        p[i] = (uint8_t)(v >> (8 * i));
}

#endif
