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

/* All are taken out before any is put in: what is one flag's bit here is another's there. */
static uint64_t move(uint64_t flags, bool to_guest)
{
    uint64_t result = flags;
    for (unsigned i = 0; i < MOVED; i++)
        result &= ~(uint64_t)(moved[i].guest | moved[i].host);
    for (unsigned i = 0; i < MOVED; i++) {
        uint32_t from = to_guest ? moved[i].host : moved[i].guest;
        uint32_t to = to_guest ? moved[i].guest : moved[i].host;
        result |= flags & from ? to : 0;
    }
    return result;
}

uint64_t um_open_flags_in(uint64_t guest)
{
    return move(guest, false);
}

uint64_t um_open_flags_out(uint64_t host)
{
    return move(host, true);
}
