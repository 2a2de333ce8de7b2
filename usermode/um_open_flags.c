/* Flags of open files. Four of them have other bits on some hosts: the kernel's own header says which,
 * since the C library's has no value for one of them. */
#include <asm/fcntl.h>
#include <stddef.h>

#include "usermode/um.h"

/* guest: Linux, include/uapi/asm-generic/fcntl.h, as riscv64 has it */
static const struct {
    uint32_t guest, host;
} moved[] = {
    {000040000, O_DIRECT},
    {000100000, O_LARGEFILE},
    {000200000, O_DIRECTORY},
    {000400000, O_NOFOLLOW},
};
enum { MOVED = sizeof moved / sizeof *moved };

uint64_t um_open_flags_in(uint64_t guest)
{
    uint64_t host = guest;
    for (unsigned i = 0; i < MOVED; i++)
        host &= ~(uint64_t)(moved[i].guest | moved[i].host);
    for (unsigned i = 0; i < MOVED; i++)
        host |= guest & moved[i].guest ? moved[i].host : 0;
    return host;
}

uint64_t um_open_flags_out(uint64_t host)
{
    uint64_t guest = host;
    for (unsigned i = 0; i < MOVED; i++)
        guest &= ~(uint64_t)(moved[i].guest | moved[i].host);
    for (unsigned i = 0; i < MOVED; i++)
        guest |= host & moved[i].host ? moved[i].guest : 0;
    return guest;
}
