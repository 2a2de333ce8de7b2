/* A 16-byte compare-and-swap where the compiler's library has one (libatomic). */
#include "frontend/riscv64/priv.h"

#include <endian.h>
#include <string.h>

__extension__ typedef unsigned __int128 u128;

void rv_cas128(void *at, uint64_t expected[2], const uint64_t value[2])
{
    uint64_t was[2] = {htole64(expected[0]), htole64(expected[1])},
             will[2] = {htole64(value[0]), htole64(value[1])};
    u128 old, new;
    memcpy(&old, was, sizeof old);
    memcpy(&new, will, sizeof new);
    __atomic_compare_exchange_n((u128 *)at, &old, new, false, __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST);
    memcpy(was, &old, sizeof old);
    expected[0] = le64toh(was[0]);
    expected[1] = le64toh(was[1]);
}
