/* What stands around payloads, as bytes. Of the two formats, 2 is the one that is written: it needs no
 * byte of what is yet to come. */
#include <string.h>
#include <xxhash.h>

#include "snapshot/snap_int.h"

uint64_t snap_hash(const void *bytes, size_t size)
{
    return XXH64(bytes, size, 0);
}

/* ---- writing --------------------------------------------------------------------------------- */

void snap_put_header(uint8_t h[SNAP_HEADER_BYTES])
{
    memset(h, 0, SNAP_HEADER_BYTES);
    memcpy(h, SNAP_MAGIC, 8);
    snap_put(h + 8, SNAP_FORMAT, 4);
    snap_put(h + 16, snap_hash(h, 16), 8);
}

/* A program that knows format 1 alone finds the hash of its header where the first section's layout is:
 * what it then reads, and names, is a format that it does not know. */
uint64_t snap_first_layout(void)
{
    enum { HASHED = 32 };
    uint8_t h[HASHED];
    snap_put_header(h);
    snap_put(h + SNAP_HEADER_BYTES, SNAP_MANIFEST, 4);
    snap_put(h + SNAP_HEADER_BYTES + 4, SNAP_MANIFEST_VERSION, 4);
    return snap_hash(h, HASHED);
}

void snap_put_head(uint8_t h[SNAP_HEAD_BYTES], const struct snap_section *s)
{
    memset(h, 0, SNAP_HEAD_BYTES);
    snap_put(h, s->kind, 4);
    snap_put(h + 4, s->version, 4);
    snap_put(h + 8, s->layout, 8);
    snap_put(h + 16, s->bytes, 8);
    memcpy(h + 24, s->name, SNAP_NAME_BYTES);
    snap_put(h + 48, snap_hash(h, 48), 8);
}

void snap_put_tail(uint8_t t[SNAP_TAIL_BYTES], uint64_t bytes, uint64_t hash)
{
    snap_put(t, bytes, 8);
    snap_put(t + 8, hash, 8);
    snap_put(t + 16, snap_hash(t, 16), 8);
}

/* The last head, of no section: how many there were, and how long all of it is. */
void snap_put_end(uint8_t h[SNAP_HEAD_BYTES], uint32_t sections, uint64_t file_bytes)
{
    struct snap_section s = {.kind = (enum snap_kind)SNAP_END, .version = sections};
    s.bytes = file_bytes;
    snap_put_head(h, &s);
}

/* A chunk of no pages ends a section of pages. */
void snap_put_pages_end(uint8_t h[SNAP_CHUNK_HEADER])
{
    memset(h, 0, SNAP_CHUNK_HEADER);
    snap_put(h, UINT64_MAX, 8);
}

/* ---- reading --------------------------------------------------------------------------------- */

static bool name_is_fine(const uint8_t *p)
{
    size_t n = strnlen((const char *)p, SNAP_NAME_BYTES);
    for (size_t i = 0; i < SNAP_NAME_BYTES; i++)
        if (i < n ? p[i] <= ' ' || p[i] > '~' : p[i] != 0)
            return false;
    return n > 0;
}

bool snap_get_end(const uint8_t h[SNAP_HEAD_BYTES], uint32_t *sections, uint64_t *file_bytes)
{
    static const uint8_t none[SNAP_NAME_BYTES];
    *sections = (uint32_t)snap_get(h + 4, 4);
    *file_bytes = snap_get(h + 16, 8);
    return snap_get(h, 4) == SNAP_END && snap_get(h + 8, 8) == 0 &&
           !memcmp(h + 24, none, sizeof none) && snap_get(h + 48, 8) == snap_hash(h, 48);
}

/* bytes is 0 where it is not known yet. */
bool snap_get_head(const uint8_t h[SNAP_HEAD_BYTES], struct snap_section *s)
{
    if (snap_get(h + 48, 8) != snap_hash(h, 48) || !name_is_fine(h + 24))
        return false;
    *s = (struct snap_section){.kind = (enum snap_kind)snap_get(h, 4),
                               .version = (uint32_t)snap_get(h + 4, 4),
                               .layout = snap_get(h + 8, 8),
                               .bytes = snap_get(h + 16, 8)};
    memcpy(s->name, h + 24, SNAP_NAME_BYTES);
    return true;
}

bool snap_get_tail(const uint8_t t[SNAP_TAIL_BYTES], uint64_t *bytes, uint64_t *hash)
{
    *bytes = snap_get(t, 8);
    *hash = snap_get(t + 8, 8);
    return snap_get(t + 16, 8) == snap_hash(t, 16);
}

bool snap_get_head1(const uint8_t h[SNAP_HEAD1_BYTES], struct snap_section *s)
{
    if (snap_get(h + 56, 8) != snap_hash(h, 56) || !name_is_fine(h + 32))
        return false;
    *s = (struct snap_section){.kind = (enum snap_kind)snap_get(h, 4),
                               .version = (uint32_t)snap_get(h + 4, 4),
                               .layout = snap_get(h + 8, 8),
                               .bytes = snap_get(h + 16, 8),
                               .hash = snap_get(h + 24, 8)};
    memcpy(s->name, h + 32, SNAP_NAME_BYTES);
    return true;
}
