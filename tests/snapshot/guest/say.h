/* What the programs of the fixtures share: lines on the serial port, and how a run is set. */
#ifndef SNAPSHOT_GUEST_SAY_H
#define SNAPSHOT_GUEST_SAY_H

#include "guest.h"

/* Put into memory from a file (--load): where a run leaves no choice to the guest. */
struct setting {
    uint8_t exact; /* time is counted in instructions, so that its values can be said */
    uint8_t panic; /* the kernel panics */
    uint8_t second_port;
    uint8_t pad[5];
};
#define SETTING ((const volatile struct setting *)UINT64_C(0x80800000))

static inline void put(const char *s)
{
    for (; *s; s++)
        *(volatile uint8_t *)UART_BASE = (uint8_t)*s;
}

static inline void put_number(uint64_t v)
{
    char text[19] = "0x";
    unsigned at = 2, digits = 1;
    while (digits < 16 && v >> (4 * digits))
        digits++;
    while (digits--)
        text[at++] = "0123456789abcdef"[v >> (4 * digits) & 15];
    put(text);
}

/* "what[index] value" */
static inline void say(const char *what, unsigned index, uint64_t value)
{
    put(what);
    put("[");
    put_number(index);
    put("] ");
    put_number(value);
    put("\n");
}

/* FNV-1a. */
static inline uint64_t sum_of(const volatile void *from, size_t size)
{
    uint64_t h = UINT64_C(0xcbf29ce484222325);
    for (const volatile uint8_t *p = from; size--; p++)
        h = (h ^ *p) * UINT64_C(0x100000001b3);
    return h;
}

#endif
