/* A 16-byte compare-and-swap on s390x: CDSG. The guest's bytes are the other way round. */
#include "frontend/riscv64/priv.h"

#include <endian.h>

__extension__ typedef unsigned __int128 u128;

static u128 as_it_lies(const uint64_t pair[2])
{
    return (u128)htole64(pair[0]) << 64 | htole64(pair[1]);
}

void rv_cas128(void *at, uint64_t expected[2], const uint64_t value[2])
{
    u128 old = as_it_lies(expected);
    __asm__ volatile("cdsg %0, %2, %1"
                     : "+d"(old), "+S"(*(u128 *)at)
                     : "d"(as_it_lies(value))
                     : "memory", "cc");
    expected[0] = le64toh((uint64_t)(old >> 64));
    expected[1] = le64toh((uint64_t)old);
}
