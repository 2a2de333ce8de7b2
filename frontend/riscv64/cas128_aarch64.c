/* A 16-byte compare-and-swap on AArch64 by exclusives, which every processor has. A pair was loaded
 * as one if the store that follows succeeds (Arm ARM, "Requirements for single-copy atomicity"), so what
 * differs is stored back before it is believed. */
#include "frontend/riscv64/priv.h"

void rv_cas128(void *at, uint64_t expected[2], const uint64_t value[2])
{
    uint64_t low, high, new_low, new_high;
    uint32_t failed;
    __asm__ volatile(
        "1: ldaxp %[low], %[high], %[at]\n\t"
        "cmp %[low], %[expected_low]\n\t"
        "ccmp %[high], %[expected_high], #0, eq\n\t"
        "csel %[new_low], %[value_low], %[low], eq\n\t"
        "csel %[new_high], %[value_high], %[high], eq\n\t"
        "stlxp %w[failed], %[new_low], %[new_high], %[at]\n\t"
        "cbnz %w[failed], 1b\n\t"
        "dmb ish"
        : [low] "=&r"(low), [high] "=&r"(high), [new_low] "=&r"(new_low),
          [new_high] "=&r"(new_high), [failed] "=&r"(failed), [at] "+Q"(*(uint64_t(*)[2])at)
        : [expected_low] "r"(expected[0]), [expected_high] "r"(expected[1]),
          [value_low] "r"(value[0]), [value_high] "r"(value[1])
        : "memory", "cc");
    expected[0] = low;
    expected[1] = high;
}
