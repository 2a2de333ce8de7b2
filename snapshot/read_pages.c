/*
 * Sections of pages: chunk by chunk, with bounded memory. While one chunk is unpacked and put where it
 * belongs, the next is read and checked, by another thread where there is one.
 */
#include <stdlib.h>
#include <string.h>
#include <xxhash.h>
#include <zstd.h>

#include "snapshot/snap_int.h"

/* A chunk as it was read. */
struct fetched {
    struct walk *w;
    uint8_t *bytes; /* a header, and SNAP_CHUNK_BYTES of what is stored behind it */
    bool last;      /* there is none: it is the end */
    bool checked;   /* against the index */
    uint64_t piece; /* of the index */
    enum gw_status status;
    struct gw_error err;
};

struct walk {
    struct snap_reader *r;
    const struct snap_section *s;
    const struct snap_worker *worker; /* NULL: the caller's thread does all */
    /* Of whoever fetches. */
    struct gw_source *from;
    uint64_t done, left; /* bytes of the payload; left: at most */
    uint64_t piece;      /* of the index: the next */
    XXH64_state_t *hash;
    struct fetched chunk[2];
    bool awaited; /* atomic: the caller's thread has nothing else to do, and may as well check */
    /* Of the caller's thread. */
    uint64_t pages;
    uint64_t next; /* the first page that a chunk may begin with */
    ZSTD_DCtx *zstd;
    uint8_t *bytes; /* SNAP_CHUNK_BYTES */
};

static enum gw_status bad(const struct walk *w, struct gw_error *err, const char *why)
{
    return snap_bad(w->r, err, w->s->name, why);
}

static enum gw_status take(struct walk *w, void *to, size_t size, struct gw_error *err)
{
    enum gw_status st;
    if (w->left < size)
        return bad(w, err, "a chunk of pages is cut short");
    st = snap_take(w->r, w->from, to, size, err);
    if (st == GW_OK)
        XXH64_update(w->hash, to, size);
    w->done += size;
    w->left -= size;
    return st;
}

/* Before anybody looks into what was read. */
static enum gw_status check_piece(const struct walk *w, uint64_t piece, const void *bytes,
                                  size_t size, struct gw_error *err)
{
    return snap_index_agrees(w->r, w->s, piece, bytes, size)
               ? GW_OK
               : bad(w, err, "it is not what the index says");
}

static enum gw_status check_chunk(const struct walk *w, const struct fetched *c,
                                  struct gw_error *err)
{
    uint64_t stored = c->last ? 0 : snap_get(c->bytes + 8, 4);
    return check_piece(w, c->piece, c->bytes, SNAP_CHUNK_HEADER + stored, err);
}

/* ---- fetching: the worker's thread ----------------------------------------------------------- */

/* What follows the last chunk in format 2. */
static bool ends_pages(const uint8_t *h)
{
    uint8_t end[SNAP_CHUNK_HEADER];
    snap_put_pages_end(end);
    return !memcmp(h, end, sizeof end);
}

static enum gw_status fetch_chunk(struct walk *w, struct fetched *c, struct gw_error *err)
{
    uint8_t *h = c->bytes;
    uint64_t stored;
    enum gw_status st;
    c->last = w->r->format == 1 && w->left == 0;
    if (c->last)
        return GW_OK;
    st = take(w, h, SNAP_CHUNK_HEADER, err);
    if (st != GW_OK)
        return st;
    c->last = w->r->format != 1 && ends_pages(h);
    stored = c->last ? 0 : snap_get(h + 8, 4);
    if (stored > SNAP_CHUNK_BYTES)
        return bad(w, err, "a chunk of pages is damaged");
    st = take(w, h + SNAP_CHUNK_HEADER, stored, err);
    c->piece = w->piece++;
    c->checked = c->last || !__atomic_load_n(&w->awaited, __ATOMIC_RELAXED);
    return st == GW_OK && c->checked ? check_chunk(w, c, err) : st;
}

static void fetch(void *arg)
{
    struct fetched *c = arg;
    c->status = fetch_chunk(c->w, c, &c->err);
}

static void begin_fetch(struct walk *w, struct fetched *c)
{
    if (w->worker)
        w->worker->submit(w->worker->context, fetch, c);
    else
        fetch(c);
}

static void end_fetch(const struct walk *w)
{
    if (w->worker)
        w->worker->wait(w->worker->context);
}

/* ---- unpacking ------------------------------------------------------------------------------- */

static unsigned present_pages(const uint8_t *bitmap)
{
    unsigned n = 0;
    for (unsigned i = 0; i < SNAP_CHUNK_PAGES / 8; i++)
        n += (unsigned)__builtin_popcount(bitmap[i]);
    return n;
}

/* Does the bitmap name pages beyond the last? */
static bool beyond(const struct walk *w, uint64_t first, const uint8_t *bitmap)
{
    for (uint64_t i = w->pages - first; i < SNAP_CHUNK_PAGES; i++)
        if (bitmap[i / 8] >> (i % 8) & 1)
            return true;
    return false;
}

/* *pages: where those of the chunk are, one after another. */
static enum gw_status unpack(struct walk *w, const struct fetched *c, const uint8_t **pages,
                             struct gw_error *err)
{
    const uint8_t *h = c->bytes;
    uint64_t first = snap_get(h, 8), stored = snap_get(h + 8, 4), method = snap_get(h + 12, 4);
    size_t size = (size_t)present_pages(h + 24) * SNAP_PAGE_BYTES;
    if (first % SNAP_CHUNK_PAGES || first < w->next || first >= w->pages || size == 0 ||
        beyond(w, first, h + 24))
        return bad(w, err, "a chunk of pages is out of place");
    if (method > SNAP_ZSTD || (method == SNAP_RAW && stored != size))
        return bad(w, err, "a chunk of pages is damaged");
    w->next = first + SNAP_CHUNK_PAGES;
    *pages = method == SNAP_RAW ? h + SNAP_CHUNK_HEADER : w->bytes;
    if (method == SNAP_ZSTD && ZSTD_decompressDCtx(w->zstd, w->bytes, SNAP_CHUNK_BYTES,
                                                   h + SNAP_CHUNK_HEADER, stored) != size)
        return bad(w, err, "a chunk of pages is damaged");
    return snap_hash(*pages, size) == snap_get(h + 16, 8)
               ? GW_OK
               : bad(w, err, "its checksum is wrong: the file is damaged");
}

static enum gw_status put_chunk(struct walk *w, const struct fetched *c, snap_put_page *put,
                                void *context, struct gw_error *err)
{
    const uint8_t *h = c->bytes, *page = NULL;
    enum gw_status st = unpack(w, c, &page, err);
    for (uint64_t i = 0; put && st == GW_OK && i < SNAP_CHUNK_PAGES; i++) {
        if (!(h[24 + i / 8] >> (i % 8) & 1))
            continue;
        st = put(context, snap_get(h, 8) + i, page, err);
        page += SNAP_PAGE_BYTES;
    }
    return st;
}

static enum gw_status read_pages_header(struct walk *w, struct gw_error *err)
{
    uint8_t h[SNAP_PAGES_HEADER] = {0};
    enum gw_status st = take(w, h, sizeof h, err);
    if (st == GW_OK)
        st = check_piece(w, w->piece++, h, sizeof h, err);
    if (st != GW_OK)
        return st;
    w->pages = snap_get(h, 8);
    if (snap_get(h + 8, 4) != SNAP_PAGE_BYTES || snap_get(h + 12, 4) != SNAP_CHUNK_PAGES ||
        w->pages > UINT64_MAX / SNAP_PAGE_BYTES)
        return bad(w, err, "its pages are of a size that this program does not know");
    return GW_OK;
}

static enum gw_status walk(struct walk *w, snap_put_page *put, void *context, struct gw_error *err)
{
    enum gw_status st = read_pages_header(w, err);
    unsigned at = 0;
    if (st != GW_OK)
        return st;
    begin_fetch(w, &w->chunk[0]);
    for (;; at ^= 1) {
        struct fetched *c = &w->chunk[at];
        __atomic_store_n(&w->awaited, true, __ATOMIC_RELAXED);
        end_fetch(w);
        __atomic_store_n(&w->awaited, false, __ATOMIC_RELAXED);
        if (c->status != GW_OK && err)
            *err = c->err;
        if (c->status != GW_OK || c->last)
            return c->status;
        begin_fetch(w, &w->chunk[at ^ 1]);
        st = c->checked ? GW_OK : check_chunk(w, c, err);
        if (st == GW_OK)
            st = put_chunk(w, c, put, context, err);
        if (st != GW_OK)
            break;
    }
    end_fetch(w);
    return st;
}

/* All of it was read: is it what the section should be? */
static enum gw_status close_walk(struct walk *w, struct gw_error *err)
{
    uint64_t hash = XXH64_digest(w->hash);
    if (w->r->stream)
        return snap_leave_pages(w->r, w->done, hash, err);
    return w->left == 0 && hash == w->s->hash
               ? GW_OK
               : bad(w, err, "its checksum is wrong: the file is damaged");
}

static bool make_room(struct walk *w)
{
    for (unsigned i = 0; i < 2; i++)
        w->chunk[i] =
            (struct fetched){.w = w, .bytes = malloc(SNAP_CHUNK_HEADER + SNAP_CHUNK_BYTES)};
    w->hash = XXH64_createState();
    w->zstd = ZSTD_createDCtx();
    w->bytes = malloc(SNAP_CHUNK_BYTES);
    return w->chunk[0].bytes && w->chunk[1].bytes && w->hash && w->zstd && w->bytes;
}

enum gw_status snap_walk_pages(struct snap_reader *r, const struct snap_section *s, uint64_t *count,
                               const struct snap_worker *worker, snap_put_page *put, void *context,
                               struct gw_error *err)
{
    struct snap_cursor file;
    struct walk w = {.r = r, .s = s, .worker = worker, .from = r->stream, .left = s->bytes};
    enum gw_status st;
    if (!r->stream) {
        snap_cursor_at(&file, r, s->offset);
        w.from = &file.s;
    } else if (r->format != 1) {
        w.left = UINT64_MAX; /* which is said at its end */
    }
    if (make_room(&w)) {
        XXH64_reset(w.hash, 0);
        st = walk(&w, put, context, err);
        if (st == GW_OK)
            st = close_walk(&w, err);
    } else {
        st = gw_fail(err, GW_ERR_NOMEM, r->path, "cannot use the snapshot: out of memory");
    }
    XXH64_freeState(w.hash);
    ZSTD_freeDCtx(w.zstd);
    free(w.chunk[0].bytes);
    free(w.chunk[1].bytes);
    free(w.bytes);
    *count = w.pages;
    r->broken |= r->stream && st != GW_OK;
    return st;
}

/* ---- loading -------------------------------------------------------------------------------- */

/* Of a stream, and no longer what comes next. */
static bool passed(const struct snap_reader *r, const struct snap_section *s)
{
    return r->stream && !(r->in_pages && !r->broken && s == &r->section[r->section_count - 1]);
}

struct guarded {
    const struct snap_page_sink *sink;
    struct snap_reader *r;
    const char *name;
};

static enum gw_status put_guarded(void *context, uint64_t page, const uint8_t *bytes,
                                  struct gw_error *err)
{
    struct guarded *g = context;
    if (page >= g->sink->count)
        return snap_bad(g->r, err, g->name, "it has more pages than the machine");
    return g->sink->put(g->sink->context, page, bytes, err);
}

enum gw_status snap_load_pages(struct snap_reader *r, const char *name,
                               const struct snap_page_sink *sink, struct gw_error *err)
{
    struct guarded g = {.sink = sink, .r = r, .name = name};
    enum gw_status st = snap_reach(r, name, err);
    const struct snap_section *s = snap_find(r, name);
    uint64_t count;
    if (st != GW_OK)
        return st;
    if (!s || s->kind != SNAP_PAGES || s->version != 1)
        return snap_bad(r, err, name, "it is missing");
    if (passed(r, s))
        return snap_bad(r, err, name, "it came before, and cannot be read again");
    st = snap_walk_pages(r, s, &count, sink->worker, put_guarded, &g, err);
    if (st == GW_OK && count != sink->count)
        st = snap_bad(r, err, name, "it has not the machine's number of pages");
    return st;
}

/* ---- hashes --------------------------------------------------------------------------------- */

struct hashes {
    struct snap_page_hash *list;
    uint64_t room, count;
    bool keep;
};

/* Grows with what is there, not with what a file claims. */
static enum gw_status put_hash(void *context, uint64_t page, const uint8_t *bytes,
                               struct gw_error *err)
{
    struct hashes *h = context;
    if (h->keep && h->count == h->room) {
        uint64_t room = h->room ? h->room * 2 : 1024;
        struct snap_page_hash *more = realloc(h->list, room * sizeof *more);
        if (!more)
            return gw_fail(err, GW_ERR_NOMEM, "", "cannot use the snapshot: out of memory");
        h->list = more;
        h->room = room;
    }
    if (h->keep)
        h->list[h->count] =
            (struct snap_page_hash){.page = page, .hash = snap_hash(bytes, SNAP_PAGE_BYTES)};
    h->count++;
    return GW_OK;
}

enum gw_status snap_page_hashes(struct snap_reader *r, uint32_t section, uint64_t *pages,
                                struct snap_page_hash **list, uint64_t *count, struct gw_error *err)
{
    struct hashes h = {.keep = list != NULL};
    enum gw_status st;
    if (passed(r, &r->section[section]))
        return snap_bad(r, err, r->section[section].name,
                        "it came before, and cannot be read again");
    st = snap_walk_pages(r, &r->section[section], pages, NULL, put_hash, &h, err);
    *count = h.count;
    if (st != GW_OK) {
        free(h.list);
        h.list = NULL;
    }
    if (list)
        *list = h.list;
    return st;
}
