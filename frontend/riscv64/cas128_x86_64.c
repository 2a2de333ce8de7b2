/* A 16-byte compare-and-swap on x86-64: every 64-bit processor but the first ones has CMPXCHG16B. */
#include "frontend/riscv64/priv.h"

void rv_cas128(void *at, uint64_t expected[2], const uint64_t value[2])
{
    __asm__ volatile("lock cmpxchg16b %0"
                     : "+m"(*(uint64_t(*)[2])at), "+a"(expected[0]), "+d"(expected[1])
                     : "b"(value[0]), "c"(value[1])
                     : "memory", "cc");
}
