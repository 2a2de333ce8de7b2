/* Writing, to a descriptor; file.c has what gives it its name when all of it is on stable storage. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <xxhash.h>
#include <zstd.h>

#include "snapshot/snap_int.h"

enum { LEVEL = 1 };

struct snap_writer {
    char *path; /* for messages */
    int fd;
    struct snap_file_new *named; /* ours to name at the end; NULL: the caller's */
    uint64_t at;                 /* end of what was written */
    uint32_t sections;
    /* of the section that is being written */
    XXH64_state_t *hash;
    uint64_t section_at;
    ZSTD_CCtx *zstd;
    uint8_t *chunk, *packed; /* SNAP_CHUNK_BYTES, ZSTD_compressBound() of it */
};

uint64_t snap_hash(const void *bytes, size_t size)
{
    return XXH64(bytes, size, 0);
}

static enum gw_status failed(const struct snap_writer *w, struct gw_error *err)
{
    return gw_fail(err, GW_ERR_IO, w->path, "cannot write the snapshot: %s", strerror(errno));
}

static bool write_at(int fd, const void *from, size_t size, uint64_t offset)
{
    const uint8_t *p = from;
    while (size) {
        ssize_t n = pwrite(fd, p, size, (off_t)offset);
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            return false;
        p += n;
        size -= (size_t)n;
        offset += (uint64_t)n;
    }
    return true;
}

static enum gw_status append(struct snap_writer *w, const void *bytes, size_t size,
                             struct gw_error *err)
{
    if (!write_at(w->fd, bytes, size, w->at))
        return failed(w, err);
    XXH64_update(w->hash, bytes, size);
    w->at += size;
    return GW_OK;
}

static void free_writer(struct snap_writer *w)
{
    XXH64_freeState(w->hash);
    ZSTD_freeCCtx(w->zstd);
    free(w->chunk);
    free(w->packed);
    free(w->path);
    free(w);
}

void snap_abandon(struct snap_writer *w)
{
    if (!w)
        return;
    snap_file_drop(w->named);
    free_writer(w);
}

enum gw_status snap_create_on(struct snap_writer **out, int fd, const char *name,
                              struct gw_error *err)
{
    struct snap_writer *w = calloc(1, sizeof *w);
    *out = NULL;
    if (!w)
        return gw_fail(err, GW_ERR_NOMEM, name, "cannot write the snapshot: out of memory");
    w->fd = fd;
    w->path = strdup(name);
    w->chunk = malloc(SNAP_CHUNK_BYTES);
    w->packed = malloc(ZSTD_compressBound(SNAP_CHUNK_BYTES));
    w->zstd = ZSTD_createCCtx();
    w->hash = XXH64_createState();
    if (!w->path || !w->chunk || !w->packed || !w->zstd || !w->hash) {
        free_writer(w);
        return gw_fail(err, GW_ERR_NOMEM, name, "cannot write the snapshot: out of memory");
    }
    w->at = SNAP_HEADER_BYTES;
    *out = w;
    return GW_OK;
}

enum gw_status snap_create(struct snap_writer **out, const char *path, struct gw_error *err)
{
    struct snap_file_new *f;
    enum gw_status st = snap_file_open(&f, path, err);
    *out = NULL;
    if (st != GW_OK)
        return st;
    st = snap_create_on(out, snap_file_fd(f), path, err);
    if (st == GW_OK)
        (*out)->named = f;
    else
        snap_file_drop(f);
    return st;
}

/* ---- sections ------------------------------------------------------------------------------- */

/* Leaves room for the section's header, which is written when its payload is. */
static enum gw_status begin(struct snap_writer *w, const char *name, struct gw_error *err)
{
    if (w->sections == SNAP_MAX_SECTIONS || strlen(name) > SNAP_NAME_BYTES)
        return gw_fail(err, GW_ERR_LIMIT, name, "cannot write the snapshot: too many sections");
    w->section_at = w->at;
    w->at += SNAP_SECTION_BYTES;
    XXH64_reset(w->hash, 0);
    return GW_OK;
}

static enum gw_status end(struct snap_writer *w, const char *name, enum snap_kind kind,
                          uint32_t version, uint64_t layout, struct gw_error *err)
{
    uint8_t h[SNAP_SECTION_BYTES] = {0};
    snap_put(h, kind, 4);
    snap_put(h + 4, version, 4);
    snap_put(h + 8, layout, 8);
    snap_put(h + 16, w->at - w->section_at - SNAP_SECTION_BYTES, 8);
    snap_put(h + 24, XXH64_digest(w->hash), 8);
    memcpy(h + 32, name, strlen(name));
    snap_put(h + 56, snap_hash(h, 56), 8);
    w->sections++;
    return write_at(w->fd, h, sizeof h, w->section_at) ? GW_OK : failed(w, err);
}

enum gw_status snap_write_manifest(struct snap_writer *w, const struct machine_spec *s,
                                   struct gw_error *err)
{
    char *text;
    enum gw_status st = snap_manifest_print(s, &text, err);
    if (st == GW_OK)
        st = begin(w, "manifest", err);
    if (st == GW_OK)
        st = append(w, text, strlen(text), err);
    if (st == GW_OK)
        st = end(w, "manifest", SNAP_MANIFEST, 1, 0, err);
    free(text);
    return st;
}

enum gw_status snap_write_state(struct snap_writer *w, const char *name,
                                const struct state_desc *desc, const void *object,
                                struct gw_error *err)
{
    uint8_t *payload;
    uint64_t layout;
    size_t size;
    enum gw_status st = snap_encode(name, desc, object, &payload, &size, &layout, err);
    if (st == GW_OK)
        st = begin(w, name, err);
    if (st == GW_OK)
        st = append(w, payload, size, err);
    if (st == GW_OK)
        st = end(w, name, SNAP_STATE, desc->version, layout, err);
    free(payload);
    return st;
}

/* Pages first .. first + SNAP_CHUNK_PAGES, those that are there. */
static enum gw_status write_chunk(struct snap_writer *w, const struct snap_page_source *s,
                                  uint64_t first, struct gw_error *err)
{
    uint8_t h[SNAP_CHUNK_HEADER] = {0}, buf[SNAP_PAGE_BYTES];
    uint8_t *bytes = w->chunk;
    size_t size = 0, packed;
    enum gw_status st;
    for (uint64_t i = 0; i < SNAP_CHUNK_PAGES && first + i < s->count; i++) {
        const uint8_t *page = s->get(s->context, first + i, buf);
        if (!page)
            continue;
        memcpy(w->chunk + size, page, SNAP_PAGE_BYTES);
        size += SNAP_PAGE_BYTES;
        h[24 + i / 8] |= (uint8_t)(1u << (i % 8));
    }
    if (size == 0)
        return GW_OK;
    packed = ZSTD_compressCCtx(w->zstd, w->packed, ZSTD_compressBound(SNAP_CHUNK_BYTES), w->chunk,
                               size, LEVEL);
    snap_put(h, first, 8);
    snap_put(h + 16, snap_hash(w->chunk, size), 8);
    if (!ZSTD_isError(packed) && packed < size) {
        snap_put(h + 12, SNAP_ZSTD, 4);
        bytes = w->packed;
        size = packed;
    }
    snap_put(h + 8, size, 4);
    st = append(w, h, sizeof h, err);
    return st == GW_OK ? append(w, bytes, size, err) : st;
}

enum gw_status snap_write_pages(struct snap_writer *w, const char *name,
                                const struct snap_page_source *pages, struct gw_error *err)
{
    uint8_t h[SNAP_PAGES_HEADER] = {0};
    enum gw_status st = begin(w, name, err);
    snap_put(h, pages->count, 8);
    snap_put(h + 8, SNAP_PAGE_BYTES, 4);
    snap_put(h + 12, SNAP_CHUNK_PAGES, 4);
    if (st == GW_OK)
        st = append(w, h, sizeof h, err);
    for (uint64_t p = 0; st == GW_OK && p < pages->count; p += SNAP_CHUNK_PAGES)
        st = write_chunk(w, pages, p, err);
    return st == GW_OK ? end(w, name, SNAP_PAGES, 1, 0, err) : st;
}

/* ---- the end -------------------------------------------------------------------------------- */

enum gw_status snap_commit(struct snap_writer *w, struct gw_error *err)
{
    uint8_t h[SNAP_HEADER_BYTES] = {0};
    enum gw_status st = GW_OK;
    memcpy(h, SNAP_MAGIC, 8);
    snap_put(h + 8, SNAP_FORMAT, 4);
    snap_put(h + 12, w->sections, 4);
    snap_put(h + 16, w->at, 8);
    snap_put(h + 32, snap_hash(h, 32), 8);
    if (!write_at(w->fd, h, sizeof h, 0) || fsync(w->fd) != 0) {
        st = failed(w, err);
        snap_abandon(w);
        return st;
    }
    if (w->named)
        st = snap_file_keep(w->named, err);
    free_writer(w);
    return st;
}
