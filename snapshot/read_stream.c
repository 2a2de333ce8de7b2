/*
 * Reading what comes in order and once, from a pipe or a socket. Manifest and states are kept as they
 * pass by; pages go where they are wanted, or nowhere, when their turn comes.
 */
#include <stdlib.h>
#include <string.h>

#include "snapshot/snap_int.h"

/* Checks a section of which all is there now. */
static enum gw_status close_section(struct snap_reader *r, struct snap_section *s, uint64_t bytes,
                                    uint64_t hash, struct gw_error *err)
{
    uint64_t said_bytes = s->bytes, said_hash = s->hash;
    if (r->format != 1) {
        uint8_t t[SNAP_TAIL_BYTES];
        enum gw_status st = snap_take(r, r->stream, t, sizeof t, err);
        if (st != GW_OK)
            return st;
        if (!snap_get_tail(t, &said_bytes, &said_hash))
            return snap_bad(r, err, s->name, "its end is damaged");
    }
    s->bytes = bytes;
    s->hash = hash;
    return bytes == said_bytes && hash == said_hash
               ? GW_OK
               : snap_bad(r, err, s->name, "its checksum is wrong: the file is damaged");
}

static enum gw_status keep(struct snap_reader *r, struct snap_section *s, struct gw_error *err)
{
    uint8_t **kept = &r->kept[s - r->section];
    enum gw_status st;
    if (s->bytes > snap_most_bytes(s) ||
        (s->kind != SNAP_INDEX && s->bytes > SNAP_MAX_KEPT - r->kept_bytes))
        return snap_bad(r, err, s->name, "too large");
    *kept = malloc(s->bytes ? s->bytes : 1);
    if (!*kept)
        return gw_fail(err, GW_ERR_NOMEM, r->path, "cannot use the snapshot: out of memory");
    st = snap_take(r, r->stream, *kept, s->bytes, err);
    if (st == GW_OK)
        st = close_section(r, s, s->bytes, snap_hash(*kept, s->bytes), err);
    if (s->kind == SNAP_INDEX) { /* what it speaks of has passed by */
        free(*kept);
        *kept = NULL;
    } else {
        r->kept_bytes += s->bytes;
    }
    return st;
}

static enum gw_status read_end(struct snap_reader *r, const uint8_t *h, struct gw_error *err)
{
    uint32_t sections;
    uint64_t bytes;
    if (!snap_get_end(h, &sections, &bytes) || sections != r->section_count ||
        bytes != r->stream->bytes - r->stream_at)
        return snap_bad(r, err, NULL, "its end is damaged");
    r->ended = true;
    return GW_OK;
}

static enum gw_status read_end1(struct snap_reader *r, struct gw_error *err)
{
    r->ended = r->bytes == r->stream->bytes - r->stream_at;
    return r->ended ? GW_OK : snap_bad(r, err, NULL, "it is not as long as it says");
}

/* The next section, or the end. */
static enum gw_status read_head(struct snap_reader *r, struct gw_error *err)
{
    struct snap_section *s = &r->section[r->section_count];
    uint8_t h[SNAP_HEAD1_BYTES];
    enum gw_status st;
    if (r->format == 1 && r->section_count == r->promised)
        return read_end1(r, err);
    st = snap_take(r, r->stream, h, r->format == 1 ? SNAP_HEAD1_BYTES : SNAP_HEAD_BYTES, err);
    if (st != GW_OK)
        return st;
    if (r->format != 1 && snap_get(h, 4) == SNAP_END)
        return read_end(r, h, err);
    if (r->section_count == SNAP_MAX_SECTIONS)
        return snap_bad(r, err, NULL, "it has too many sections");
    if (!(r->format == 1 ? snap_get_head1 : snap_get_head)(h, s))
        return snap_bad(r, err, NULL, "a section's header is damaged");
    if (snap_find(r, s->name))
        return snap_bad(r, err, s->name, "it is there twice");
    st = snap_check_section(r, r->section_count, err);
    if (st != GW_OK)
        return st;
    r->in_pages = s->kind == SNAP_PAGES;
    if (!r->in_pages)
        st = keep(r, s, err);
    r->section_count += st == GW_OK;
    return st;
}

enum gw_status snap_leave_pages(struct snap_reader *r, uint64_t bytes, uint64_t hash,
                                struct gw_error *err)
{
    r->in_pages = false;
    return close_section(r, &r->section[r->section_count - 1], bytes, hash, err);
}

/* On to the next section; pages that stand before it are read, and go nowhere. */
static enum gw_status go_on(struct snap_reader *r, struct gw_error *err)
{
    enum gw_status st = GW_OK;
    uint64_t count;
    if (r->broken)
        return snap_bad(r, err, NULL, "it was found to be broken");
    if (r->in_pages)
        st = snap_walk_pages(r, &r->section[r->section_count - 1], &count, NULL, NULL, NULL, err);
    if (st == GW_OK)
        st = read_head(r, err);
    r->broken |= st != GW_OK;
    return st;
}

enum gw_status snap_reach(struct snap_reader *r, const char *name, struct gw_error *err)
{
    enum gw_status st = GW_OK;
    while (st == GW_OK && r->stream && !r->ended && !snap_find(r, name))
        st = go_on(r, err);
    return st;
}

enum gw_status snap_reach_end(struct snap_reader *r, struct gw_error *err)
{
    enum gw_status st = GW_OK;
    while (st == GW_OK && r->stream && !r->ended)
        st = go_on(r, err);
    return st;
}

enum gw_status snap_open_stream(struct snap_reader **out, struct gw_source *from, const char *name,
                                struct gw_error *err)
{
    struct snap_reader *r = snap_reader_new(name, err);
    enum gw_status st;
    *out = NULL;
    if (!r)
        return GW_ERR_NOMEM;
    r->stream = from;
    r->stream_at = from->bytes;
    st = snap_read_header(r, from, &r->bytes, err);
    if (st == GW_OK)
        st = read_head(r, err);
    if (st == GW_OK && r->section_count == 0)
        st = snap_bad(r, err, NULL, "it does not begin with a manifest");
    if (st == GW_OK)
        st = snap_read_manifest(r, err);
    if (st != GW_OK) {
        snap_close(r);
        return st;
    }
    *out = r;
    return GW_OK;
}
