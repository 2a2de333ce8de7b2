/*
 * The index: cryptographic hashes of all that stands before it in a file, piece by piece, so that a seal
 * over the index covers the file, and a reader can check what it reads when it reads it, wherever it
 * begins. A manifest or a state is one piece; a section of pages its header, each chunk, and its end.
 */
#include <assert.h>
#include <sodium.h>
#include <stdlib.h>
#include <string.h>

#include "snapshot/snap_int.h"

static const char algorithm[SNAP_INDEX_NAME] = "blake2b-256";

static_assert(SNAP_DIGEST == crypto_generichash_BYTES, "BLAKE2b with 256 bits");

void snap_digest(uint8_t to[SNAP_DIGEST], const void *bytes, size_t size)
{
    crypto_generichash(to, SNAP_DIGEST, bytes, size, NULL, 0);
}

/* ---- writing -------------------------------------------------------------------------------- */

static uint8_t *grow(struct snap_index_new *x, size_t size)
{
    uint8_t *at;
    if (x->failed || size > SNAP_MAX_INDEX - x->size) {
        x->failed = true;
        return NULL;
    }
    if (x->size + size > x->room) {
        size_t room = (x->size + size) * 2;
        uint8_t *more = realloc(x->bytes, room);
        if (!more) {
            x->failed = true;
            return NULL;
        }
        x->bytes = more;
        x->room = room;
    }
    at = x->bytes + x->size;
    x->size += size;
    memset(at, 0, size);
    return at;
}

void snap_index_begin(struct snap_index_new *x)
{
    uint8_t *at = grow(x, SNAP_INDEX_HEADER);
    if (at)
        memcpy(at, algorithm, sizeof algorithm);
}

void snap_index_section(struct snap_index_new *x, const struct snap_section *s)
{
    uint8_t *at;
    x->entry_at = x->size;
    at = grow(x, SNAP_INDEX_ENTRY);
    if (!at)
        return;
    memcpy(at, s->name, SNAP_NAME_BYTES);
    snap_put(at + 24, s->kind, 4);
    snap_put(at + 28, s->version, 4);
    snap_put(at + 32, s->layout, 8);
    snap_put(x->bytes + SNAP_INDEX_NAME, ++x->entries, 4);
}

void snap_index_piece(struct snap_index_new *x, const void *bytes, size_t size,
                      const uint8_t *digest)
{
    uint8_t *at = grow(x, SNAP_INDEX_PIECE), *entry;
    if (!at)
        return;
    entry = x->bytes + x->entry_at;
    snap_put(at, size, 8);
    if (digest)
        memcpy(at + 8, digest, SNAP_DIGEST);
    else
        snap_digest(at + 8, bytes, size);
    snap_put(entry + 40, snap_get(entry + 40, 8) + size, 8);
    snap_put(entry + 48, snap_get(entry + 48, 8) + 1, 8);
}

void snap_index_free(struct snap_index_new *x)
{
    free(x->bytes);
    *x = (struct snap_index_new){0};
}

/* ---- reading -------------------------------------------------------------------------------- */

static enum gw_status bad(const struct snap_reader *r, struct gw_error *err, const char *why)
{
    return snap_bad(r, err, "index", why);
}

/* The entry at *at against section i; moves *at behind it. */
static const char *read_entry(struct snap_reader *r, uint32_t i, size_t *at, size_t size)
{
    const struct snap_section *s = &r->section[i];
    const uint8_t *p = r->index + *at;
    char name[SNAP_NAME_BYTES] = {0};
    uint64_t pieces, sum = 0;
    if (size - *at < SNAP_INDEX_ENTRY)
        return "it is cut short";
    memcpy(name, s->name, strnlen(s->name, sizeof name));
    pieces = snap_get(p + 48, 8);
    *at += SNAP_INDEX_ENTRY;
    if (memcmp(p, name, sizeof name) != 0 || snap_get(p + 24, 4) != s->kind ||
        snap_get(p + 28, 4) != s->version || snap_get(p + 32, 8) != s->layout ||
        snap_get(p + 40, 8) != s->bytes)
        return "the sections are not those that it has";
    if (pieces > (size - *at) / SNAP_INDEX_PIECE || (s->kind != SNAP_PAGES && pieces != 1))
        return "it has no plausible number of pieces";
    r->pieces[i].first = r->index + *at;
    r->pieces[i].count = pieces;
    for (uint64_t k = 0; k < pieces; k++, *at += SNAP_INDEX_PIECE)
        if (__builtin_add_overflow(sum, snap_get(r->index + *at, 8), &sum))
            return "its pieces make no sense";
    return sum == s->bytes ? NULL : "its pieces make no sense";
}

static enum gw_status read_entries(struct snap_reader *r, size_t size, struct gw_error *err)
{
    size_t at = SNAP_INDEX_HEADER;
    uint32_t sections = r->section_count - 1; /* it is the last, and not in itself */
    if (size < SNAP_INDEX_HEADER || snap_get(r->index + SNAP_INDEX_NAME, 4) != sections ||
        snap_get(r->index + SNAP_INDEX_NAME + 4, 4) != 0)
        return bad(r, err, "it has not the sections that the file has");
    if (memcmp(r->index, algorithm, sizeof algorithm) != 0)
        return gw_fail(err, GW_ERR_UNSUPPORTED, r->path,
                       "cannot use the snapshot: its index has hashes that this program does not "
                       "know");
    for (uint32_t i = 0; i < sections; i++) {
        const char *why = read_entry(r, i, &at, size);
        if (why)
            return bad(r, err, why);
    }
    return at == size ? GW_OK : bad(r, err, "something follows its end");
}

enum gw_status snap_index_read(struct snap_reader *r, const uint8_t root[SNAP_DIGEST],
                               struct gw_error *err)
{
    const struct snap_section *s = &r->section[r->section_count - 1];
    uint8_t digest[SNAP_DIGEST];
    enum gw_status st;
    if (r->index)
        return GW_OK;
    if (s->kind != SNAP_INDEX)
        return gw_fail(err, GW_ERR_UNSUPPORTED, r->path,
                       "cannot check the snapshot: it has no index");
    st = snap_read_payload(r, s, &r->index, err);
    if (st != GW_OK)
        return st;
    snap_digest(digest, r->index, s->bytes);
    if (root && memcmp(digest, root, sizeof digest) != 0)
        st = snap_bad(r, err, NULL, "its seal is broken: the file is not the one that was sealed");
    if (st == GW_OK)
        st = read_entries(r, s->bytes, err);
    if (st != GW_OK) {
        free(r->index);
        r->index = NULL;
    }
    return st;
}

bool snap_index_agrees(const struct snap_reader *r, const struct snap_section *s, uint64_t piece,
                       const void *bytes, size_t size)
{
    const struct snap_pieces *p = &r->pieces[s - r->section];
    uint8_t digest[SNAP_DIGEST];
    const uint8_t *at;
    if (!r->index || s->kind == SNAP_INDEX)
        return true;
    if (piece >= p->count)
        return false;
    at = p->first + piece * SNAP_INDEX_PIECE;
    if (snap_get(at, 8) != size)
        return false;
    snap_digest(digest, bytes, size);
    return !memcmp(digest, at + 8, sizeof digest);
}
