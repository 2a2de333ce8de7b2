/* Writing, to a sink; file.c has what gives it its name when all of it is on stable storage. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <xxhash.h>
#include <zstd.h>

#include "snapshot/snap_int.h"

enum { LEVEL = 1 };
/* What is written is on its way to stable storage while more is made, a window behind the other: else the
 * last fsync() would hold this thread, and the end of its process, for as long as all of it takes. */
#define WINDOW_BYTES (UINT64_C(32) << 20)

struct snap_writer {
    char *path;                  /* for messages */
    int fd;                      /* the file; -1: a stream */
    struct snap_file_new *named; /* ours to name at the end; NULL: the caller's */
    uint64_t sent;               /* of the file: up to here it is on its way */
    uint32_t sections;
    struct gw_sink file, *to;
    uint64_t begun_at; /* of the sink's bytes */
    struct snap_index_new index;
    /* of the section that is being written */
    XXH64_state_t *hash;
    uint64_t section_at;
    ZSTD_CCtx *zstd;
    uint8_t *chunk; /* SNAP_CHUNK_BYTES */
    /* Of these a header and a packed chunk, one is filled while the other is written. Its cryptographic hash
     * takes as long as either: who would wait for the other makes it. */
    const struct snap_worker *worker; /* who writes; NULL: who fills them */
    struct piece {
        struct snap_writer *w;
        uint8_t *bytes; /* PIECE_BYTES */
        size_t size;
        bool digested;
        uint8_t digest[SNAP_DIGEST];
    } piece[2];
    unsigned filling; /* which of them */
};

#define PIECE_BYTES (SNAP_CHUNK_HEADER + ZSTD_compressBound(SNAP_CHUNK_BYTES))

static enum gw_status failed(const struct snap_writer *w, int error, struct gw_error *err)
{
    return gw_fail(err, GW_ERR_IO, w->path, "cannot write the snapshot: %s", strerror(error));
}

/* The host tells of a write that failed once, to whoever asks first. */
static bool send_window(struct snap_writer *w, uint64_t at)
{
    const unsigned all =
        SYNC_FILE_RANGE_WAIT_BEFORE | SYNC_FILE_RANGE_WRITE | SYNC_FILE_RANGE_WAIT_AFTER;
    uint64_t before = w->sent < WINDOW_BYTES ? w->sent : WINDOW_BYTES;
    int e = sync_file_range(w->fd, (off_t)w->sent, (off_t)(at - w->sent), SYNC_FILE_RANGE_WRITE);
    if (!e && before)
        e = sync_file_range(w->fd, (off_t)(w->sent - before), (off_t)before, all);
    w->sent = at;
    return !e || errno == ESPIPE || errno == EINVAL || errno == ENOSYS;
}

/* What became of all that was put so far; nobody else puts anything meanwhile. */
static enum gw_status look_at_sink(struct snap_writer *w, struct gw_error *err)
{
    uint64_t at = w->to->bytes - w->begun_at;
    if (w->to->error)
        return failed(w, w->to->error, err);
    return w->fd < 0 || at - w->sent < WINDOW_BYTES || send_window(w, at) ? GW_OK
                                                                          : failed(w, errno, err);
}

static enum gw_status put(struct snap_writer *w, const void *bytes, size_t size,
                          struct gw_error *err)
{
    gw_sink_put(w->to, bytes, size);
    return look_at_sink(w, err);
}

/* The next piece of a section's payload. The sink keeps the first failure. */
static void append_piece(struct snap_writer *w, const void *bytes, size_t size,
                         const uint8_t *digest)
{
    snap_index_piece(&w->index, bytes, size, digest);
    XXH64_update(w->hash, bytes, size);
    gw_sink_put(w->to, bytes, size);
}

static enum gw_status append(struct snap_writer *w, const void *bytes, size_t size,
                             struct gw_error *err)
{
    append_piece(w, bytes, size, NULL);
    return look_at_sink(w, err);
}

/* The worker's thread. */
static void append_filled(void *arg)
{
    struct piece *p = arg;
    append_piece(p->w, p->bytes, p->size, p->digested ? p->digest : NULL);
}

/* Until the worker has done what it was given. */
static enum gw_status wait_for_worker(struct snap_writer *w, struct gw_error *err)
{
    if (w->worker)
        w->worker->wait(w->worker->context);
    return look_at_sink(w, err);
}

/* The piece that is filled goes on its way, behind the one before. */
static enum gw_status send_piece(struct snap_writer *w, size_t size, struct gw_error *err)
{
    struct piece *p = &w->piece[w->filling];
    enum gw_status st;
    p->size = size;
    p->digested = w->worker && w->worker->busy && w->worker->busy(w->worker->context);
    if (p->digested)
        snap_digest(p->digest, p->bytes, size);
    st = wait_for_worker(w, err);
    w->filling ^= 1;
    if (st != GW_OK || !w->worker)
        return st == GW_OK ? append(w, p->bytes, p->size, err) : st;
    w->worker->submit(w->worker->context, append_filled, p);
    return GW_OK;
}

static void free_writer(struct snap_writer *w)
{
    XXH64_freeState(w->hash);
    ZSTD_freeCCtx(w->zstd);
    snap_index_free(&w->index);
    free(w->chunk);
    free(w->piece[0].bytes);
    free(w->piece[1].bytes);
    free(w->path);
    free(w);
}

void snap_abandon(struct snap_writer *w)
{
    if (!w)
        return;
    wait_for_worker(w, NULL);
    snap_file_drop(w->named);
    free_writer(w);
}

/* fd: -1: to a stream. named: what gives the file its name, the writer's from now on unless this fails;
 * NULL: nothing. */
static enum gw_status create(struct snap_writer **out, int fd, struct gw_sink *to,
                             struct snap_file_new *named, const struct snap_worker *worker,
                             const char *name, struct gw_error *err)
{
    struct snap_writer *w = calloc(1, sizeof *w);
    uint8_t h[SNAP_HEADER_BYTES];
    enum gw_status st;
    *out = NULL;
    if (!w)
        return gw_fail(err, GW_ERR_NOMEM, name, "cannot write the snapshot: out of memory");
    w->fd = fd;
    w->file = gw_fd_sink(&w->fd);
    w->to = to ? to : &w->file;
    w->begun_at = w->to->bytes;
    w->path = strdup(name);
    w->worker = worker;
    w->chunk = malloc(SNAP_CHUNK_BYTES);
    for (unsigned i = 0; i < 2; i++)
        w->piece[i] = (struct piece){.w = w, .bytes = malloc(PIECE_BYTES)};
    w->zstd = ZSTD_createCCtx();
    w->hash = XXH64_createState();
    snap_index_begin(&w->index);
    if (!w->path || !w->chunk || !w->piece[0].bytes || !w->piece[1].bytes || !w->zstd || !w->hash) {
        free_writer(w);
        return gw_fail(err, GW_ERR_NOMEM, name, "cannot write the snapshot: out of memory");
    }
    w->named = named;
    snap_put_header(h);
    st = put(w, h, sizeof h, err);
    if (st == GW_OK)
        *out = w;
    else
        free_writer(w);
    return st;
}

enum gw_status snap_create_on(struct snap_writer **out, int fd, const struct snap_worker *worker,
                              const char *name, struct gw_error *err)
{
    return create(out, fd, NULL, NULL, worker, name, err);
}

enum gw_status snap_create_stream(struct snap_writer **out, struct gw_sink *to, const char *name,
                                  struct gw_error *err)
{
    return create(out, -1, to, NULL, NULL, name, err);
}

enum gw_status snap_create(struct snap_writer **out, const char *path, struct gw_error *err)
{
    struct snap_file_new *f;
    enum gw_status st = snap_file_open(&f, path, err);
    *out = NULL;
    if (st != GW_OK)
        return st;
    st = create(out, snap_file_fd(f), NULL, f, NULL, path, err);
    if (st != GW_OK)
        snap_file_drop(f);
    return st;
}

/* ---- sections ------------------------------------------------------------------------------- */

/* bytes: of the payload; 0 where that is not known yet. */
static enum gw_status begin(struct snap_writer *w, const char *name, struct snap_section s,
                            struct gw_error *err)
{
    uint8_t h[SNAP_HEAD_BYTES];
    enum gw_status st;
    if (w->sections == SNAP_MAX_SECTIONS || strlen(name) > SNAP_NAME_BYTES)
        return gw_fail(err, GW_ERR_LIMIT, name, "cannot write the snapshot: too many sections");
    snprintf(s.name, sizeof s.name, "%s", name);
    if (s.kind != SNAP_INDEX)
        snap_index_section(&w->index, &s);
    snap_put_head(h, &s);
    st = put(w, h, sizeof h, err);
    w->section_at = w->to->bytes;
    XXH64_reset(w->hash, 0);
    return st;
}

static enum gw_status end(struct snap_writer *w, struct gw_error *err)
{
    uint8_t t[SNAP_TAIL_BYTES];
    snap_put_tail(t, w->to->bytes - w->section_at, XXH64_digest(w->hash));
    w->sections++;
    return put(w, t, sizeof t, err);
}

static enum gw_status write_whole(struct snap_writer *w, const char *name, struct snap_section s,
                                  const void *payload, struct gw_error *err)
{
    enum gw_status st = begin(w, name, s, err);
    if (st == GW_OK)
        st = append(w, payload, s.bytes, err);
    return st == GW_OK ? end(w, err) : st;
}

enum gw_status snap_write_manifest(struct snap_writer *w, const struct machine_spec *m,
                                   struct gw_error *err)
{
    char *text;
    enum gw_status st = snap_manifest_print(m, &text, err);
    struct snap_section s = {
        .kind = SNAP_MANIFEST, .version = SNAP_MANIFEST_VERSION, .layout = snap_first_layout()};
    if (st != GW_OK)
        return st;
    s.bytes = strlen(text);
    st = write_whole(w, "manifest", s, text, err);
    free(text);
    return st;
}

enum gw_status snap_write_state(struct snap_writer *w, const char *name,
                                const struct state_desc *desc, const void *object,
                                struct gw_error *err)
{
    uint8_t *payload;
    size_t size;
    struct snap_section s = {.kind = SNAP_STATE, .version = desc->version};
    enum gw_status st = snap_encode(name, desc, object, &payload, &size, &s.layout, err);
    if (st != GW_OK)
        return st;
    s.bytes = size;
    st = write_whole(w, name, s, payload, err);
    free(payload);
    return st;
}

/* The pages of first .. first + SNAP_CHUNK_PAGES that are there, one after another; returns their
 * bytes. */
static size_t gather(struct snap_writer *w, const struct snap_page_source *s, uint64_t first,
                     uint8_t *bitmap)
{
    uint8_t buf[SNAP_PAGE_BYTES];
    size_t size = 0;
    for (uint64_t i = 0; i < SNAP_CHUNK_PAGES && first + i < s->count; i++) {
        const uint8_t *page = s->get(s->context, first + i, buf);
        if (!page)
            continue;
        memcpy(w->chunk + size, page, SNAP_PAGE_BYTES);
        size += SNAP_PAGE_BYTES;
        bitmap[i / 8] |= (uint8_t)(1u << (i % 8));
    }
    return size;
}

static enum gw_status write_chunk(struct snap_writer *w, const struct snap_page_source *s,
                                  uint64_t first, struct gw_error *err)
{
    uint8_t *h = w->piece[w->filling].bytes, *stored = h + SNAP_CHUNK_HEADER;
    size_t size, packed;
    memset(h, 0, SNAP_CHUNK_HEADER);
    size = gather(w, s, first, h + 24);
    if (size == 0)
        return GW_OK;
    snap_put(h, first, 8);
    snap_put(h + 16, snap_hash(w->chunk, size), 8);
    packed = ZSTD_compressCCtx(w->zstd, stored, ZSTD_compressBound(SNAP_CHUNK_BYTES), w->chunk,
                               size, LEVEL);
    if (!ZSTD_isError(packed) && packed < size) {
        snap_put(h + 12, SNAP_ZSTD, 4);
    } else {
        packed = size;
        memcpy(stored, w->chunk, size);
    }
    snap_put(h + 8, packed, 4);
    return send_piece(w, SNAP_CHUNK_HEADER + packed, err);
}

enum gw_status snap_write_pages(struct snap_writer *w, const char *name,
                                const struct snap_page_source *pages, struct gw_error *err)
{
    uint8_t h[SNAP_PAGES_HEADER] = {0}, last[SNAP_CHUNK_HEADER];
    struct snap_section s = {.kind = SNAP_PAGES, .version = 1};
    enum gw_status st = begin(w, name, s, err);
    snap_put(h, pages->count, 8);
    snap_put(h + 8, SNAP_PAGE_BYTES, 4);
    snap_put(h + 12, SNAP_CHUNK_PAGES, 4);
    if (st == GW_OK)
        st = append(w, h, sizeof h, err);
    for (uint64_t p = 0; st == GW_OK && p < pages->count; p += SNAP_CHUNK_PAGES)
        st = write_chunk(w, pages, p, err);
    snap_put_pages_end(last);
    if (st == GW_OK)
        st = wait_for_worker(w, err);
    if (st == GW_OK)
        st = append(w, last, sizeof last, err);
    return st == GW_OK ? end(w, err) : st;
}

static enum gw_status write_index(struct snap_writer *w, struct gw_error *err)
{
    struct snap_section s = {.kind = SNAP_INDEX, .version = 1};
    struct snap_index_new x = w->index;
    enum gw_status st;
    if (x.failed)
        return gw_fail(err, GW_ERR_NOMEM, w->path, "cannot write the snapshot: out of memory");
    w->index = (struct snap_index_new){.failed = true}; /* it is not in itself */
    s.bytes = x.size;
    st = write_whole(w, "index", s, x.bytes, err);
    snap_index_free(&x);
    return st;
}

/* ---- the end -------------------------------------------------------------------------------- */

enum gw_status snap_commit(struct snap_writer *w, struct gw_error *err)
{
    uint8_t h[SNAP_HEAD_BYTES];
    enum gw_status st = write_index(w, err);
    snap_put_end(h, w->sections, w->to->bytes - w->begun_at + sizeof h);
    if (st == GW_OK)
        st = put(w, h, sizeof h, err);
    if (st == GW_OK && w->fd >= 0 && fsync(w->fd) != 0)
        st = failed(w, errno, err);
    if (st != GW_OK) {
        snap_abandon(w);
        return st;
    }
    if (w->named)
        st = snap_file_keep(w->named, err);
    free_writer(w);
    return st;
}
