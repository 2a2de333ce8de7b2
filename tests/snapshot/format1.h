/* Files of format 1, which nobody writes any more: made of those of format 2. */
#ifndef TEST_SNAPSHOT_FORMAT1_H
#define TEST_SNAPSHOT_FORMAT1_H

#include <string.h>

#include "snapshot/snap_int.h"

/* Of a section of format 2 at `at`: its payload's bytes, found by walking them. SIZE_MAX: it has no
 * end. */
static inline size_t payload_bytes(const uint8_t *file, size_t size, size_t at)
{
    uint64_t said = snap_get(file + at + 16, 8);
    size_t n = SNAP_PAGES_HEADER;
    at += SNAP_HEAD_BYTES;
    if (snap_get(file + at - SNAP_HEAD_BYTES, 4) != SNAP_PAGES)
        return said <= size - at ? (size_t)said : SIZE_MAX;
    while (n <= size - at && SNAP_CHUNK_HEADER <= size - at - n) {
        const uint8_t *h = file + at + n;
        n += SNAP_CHUNK_HEADER;
        if (snap_get(h, 8) == UINT64_MAX)
            return n;
        n += (uint32_t)snap_get(h + 8, 4);
    }
    return SIZE_MAX;
}

/* A whole file of format 2 to `to`, which has as much room; returns the bytes. */
static inline size_t to_format1(uint8_t *to, const uint8_t *file, size_t size)
{
    uint32_t sections = 0;
    size_t out = SNAP_HEADER1_BYTES;
    for (size_t at = SNAP_HEADER_BYTES; snap_get(file + at, 4) != SNAP_END; sections++) {
        const uint8_t *head = file + at, *payload = head + SNAP_HEAD_BYTES;
        size_t n = payload_bytes(file, size, at);
        uint8_t *h = to + out;
        at += SNAP_HEAD_BYTES + n + SNAP_TAIL_BYTES;
        if (snap_get(head, 4) == SNAP_INDEX) { /* it had none */
            sections--;
            continue;
        }
        n -= snap_get(head, 4) == SNAP_PAGES ? SNAP_CHUNK_HEADER : 0;
        memcpy(h, head, 16);
        snap_put(h + 16, n, 8);
        snap_put(h + 24, snap_hash(payload, n), 8);
        memcpy(h + 32, head + 24, SNAP_NAME_BYTES);
        snap_put(h + 56, snap_hash(h, 56), 8);
        memcpy(h + SNAP_HEAD1_BYTES, payload, n);
        out += SNAP_HEAD1_BYTES + n;
    }
    memset(to, 0, SNAP_HEADER1_BYTES);
    memcpy(to, SNAP_MAGIC, 8);
    snap_put(to + 8, 1, 4);
    snap_put(to + 12, sections, 4);
    snap_put(to + 16, out, 8);
    snap_put(to + 32, snap_hash(to, 32), 8);
    return out;
}

#endif
