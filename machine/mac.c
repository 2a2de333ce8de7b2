#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "godwit/little.h"
#include "machine/mac.h"

/* FNV-1a (Fowler, Noll, Vo), 64 bits. */
static uint64_t mix(uint64_t h, const void *bytes, size_t size)
{
    const uint8_t *p = bytes;
    for (size_t i = 0; i < size; i++)
        h = (h ^ p[i]) * UINT64_C(0x100000001b3);
    return h;
}

/* No part of what it says can be had back out of the 23 bits that are left. */
static uint64_t mix_host(uint64_t h)
{
    char id[64];
    int fd = open("/etc/machine-id", O_RDONLY | O_CLOEXEC);
    ssize_t n = fd >= 0 ? read(fd, id, sizeof id) : -1;
    if (fd >= 0)
        close(fd);
    return n > 0 ? mix(h, id, (size_t)n) : h;
}

void machine_usual_mac(const struct machine_spec *s, struct spec_mac *mac)
{
    uint64_t h = UINT64_C(0xcbf29ce484222325);
    uint8_t kind[sizeof s->net.kind];
    *mac = (struct spec_mac){{0x52, 0x54, 0x00, 0x12, 0x34, 0x56}};
    if (s->net.kind == SPEC_NET_USER || !s->net.to)
        return;
    if (!s->clock_insns) /* what can be repeated can be repeated elsewhere */
        h = mix_host(h);
    gw_put_little(kind, s->net.kind, sizeof kind); /* elsewhere may be big-endian */
    h = mix(h, kind, sizeof kind);
    h = mix(h, s->net.to, strlen(s->net.to));
    h ^= h >> 32;
    mac->bytes[3] = (uint8_t)(h >> 16);
    mac->bytes[4] = (uint8_t)(h >> 8);
    mac->bytes[5] = (uint8_t)(h & 0xfe); /* even: the odd one is the other end's */
}
