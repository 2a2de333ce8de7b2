/* Samples of files, see sample.h. A partition table is looked into for places alone: whatever it says, no
 * more is read than of any other. Source: UEFI 2.10, 5.2.1 (MBR), 5.3.2 and 5.3.3 (GPT). */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#define XXH_INLINE_ALL /* programs that are linked statically have devices too */
#include <xxhash.h>

#include "devices/host/sample.h"
#include "godwit/little.h"

enum {
    SECTOR = 512,
    PIECE = 4096,
    END_BYTES = 64 << 10,
    SPREAD = 128, /* pieces */
    PARTITIONS = 32,
    MBR_AT = 446,
    MBR_ENTRY = 16,
    MBR_ENTRIES = 4,
    MBR_GPT = 0xee, /* the type that says so */
    GPT_ENTRY = 128,
    GPT_MOST = 128, /* entries that are looked at */
};

struct sampler {
    int fd;
    uint64_t bytes;
    XXH64_state_t *hash;
    uint8_t *buf; /* END_BYTES */
};

static bool read_at(const struct sampler *s, uint8_t *to, size_t size, uint64_t at)
{
    while (size) {
        ssize_t n = pread(s->fd, to, size, (off_t)at);
        if (n < 0 && errno == EINTR)
            continue;
        if (n == 0)
            errno = EIO; /* it was cut short under us */
        if (n <= 0)
            return false;
        to += n;
        at += (uint64_t)n;
        size -= (size_t)n;
    }
    return true;
}

/* size: END_BYTES at most. What lies beyond the end is none. */
static bool take(const struct sampler *s, uint64_t at, size_t size)
{
    if (at >= s->bytes)
        return true;
    if (size > s->bytes - at)
        size = (size_t)(s->bytes - at);
    if (!read_at(s, s->buf, size, at))
        return false;
    XXH64_update(s->hash, s->buf, size);
    return true;
}

/* The first blocks of ext4, FAT, XFS and others, and that of btrfs. */
static bool take_start(const struct sampler *s, uint64_t at)
{
    return take(s, at, PIECE) && (at > UINT64_MAX - END_BYTES || take(s, at + END_BYTES, PIECE));
}

static unsigned read_gpt(const struct sampler *s, uint64_t starts[PARTITIONS])
{
    uint8_t h[96], e[GPT_ENTRY];
    uint64_t at, entries;
    unsigned count = 0;
    if (!read_at(s, h, sizeof h, SECTOR) || memcmp(h, "EFI PART", 8) != 0 ||
        gw_little(h + 84, 4) != GPT_ENTRY ||
        __builtin_mul_overflow(gw_little(h + 72, 8), SECTOR, &at))
        return 0;
    entries = gw_little(h + 80, 4) < GPT_MOST ? gw_little(h + 80, 4) : GPT_MOST;
    for (uint64_t i = 0; i < entries && count < PARTITIONS; i++) {
        if (at > s->bytes || s->bytes - at < (i + 1) * GPT_ENTRY ||
            !read_at(s, e, sizeof e, at + i * GPT_ENTRY))
            break;
        if (gw_little(e + 32, 8) && gw_little(e + 32, 8) < s->bytes / SECTOR)
            starts[count++] = gw_little(e + 32, 8) * SECTOR;
    }
    return count;
}

static unsigned find_partitions(const struct sampler *s, uint64_t starts[PARTITIONS])
{
    uint8_t mbr[SECTOR];
    unsigned count = 0;
    if (!read_at(s, mbr, sizeof mbr, 0) || mbr[510] != 0x55 || mbr[511] != 0xaa)
        return 0;
    for (unsigned i = 0; i < MBR_ENTRIES; i++) {
        const uint8_t *e = mbr + MBR_AT + i * MBR_ENTRY;
        if (e[4] == MBR_GPT)
            return read_gpt(s, starts);
        if (e[4])
            starts[count++] = gw_little(e + 8, 4) * SECTOR;
    }
    return count;
}

static bool take_whole(const struct sampler *s)
{
    bool ok = true;
    for (uint64_t at = 0; ok && at < s->bytes; at += END_BYTES)
        ok = take(s, at, END_BYTES);
    return ok;
}

static bool take_samples(const struct sampler *s)
{
    uint64_t starts[PARTITIONS];
    unsigned count = find_partitions(s, starts);
    bool ok = take(s, 0, END_BYTES) && take(s, s->bytes - END_BYTES, END_BYTES) && take_start(s, 0);
    for (unsigned i = 0; ok && i < count; i++)
        ok = take_start(s, starts[i]);
    for (uint64_t i = 1; ok && i <= SPREAD; i++)
        ok = take(s, s->bytes / (SPREAD + 1) / PIECE * i * PIECE, PIECE);
    return ok;
}

bool dev_sample_file(int fd, uint64_t bytes, uint64_t *sample)
{
    struct sampler s = {
        .fd = fd, .bytes = bytes, .hash = XXH64_createState(), .buf = malloc(END_BYTES)};
    bool ok = s.hash && s.buf;
    if (ok) {
        XXH64_reset(s.hash, 0);
        ok = bytes <= DEV_SAMPLE_WHOLE ? take_whole(&s) : take_samples(&s);
        *sample = XXH64_digest(s.hash);
        *sample += !*sample;
    } else {
        errno = ENOMEM;
    }
    XXH64_freeState(s.hash);
    free(s.buf);
    return ok;
}

uint64_t dev_sample_bytes(const void *bytes, size_t size)
{
    uint64_t sample = XXH64(bytes, size, 0);
    return sample + !sample;
}
