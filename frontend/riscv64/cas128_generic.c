/* A 16-byte compare-and-swap where the compiler's library has one (libatomic). */
#include "frontend/riscv64/priv.h"

#include <string.h>

__extension__ typedef unsigned __int128 u128;

void rv_cas128(void *at, uint64_t expected[2], const uint64_t value[2])
{
    u128 old, new;
    memcpy(&old, expected, sizeof old);
    memcpy(&new, value, sizeof new);
    __atomic_compare_exchange_n((u128 *)at, &old, new, false, __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST);
    memcpy(expected, &old, sizeof old);
}
