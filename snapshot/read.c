/* Reading: the frame is checked when a file is opened, each payload when it is used. */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "snapshot/snap_int.h"
#include "spec/spec.h"

enum gw_status snap_bad(const struct snap_reader *r, struct gw_error *err, const char *section,
                        const char *why)
{
    if (section && section[0])
        return gw_fail(err, GW_ERR_FORMAT, r->path, "cannot use the snapshot: section %s: %s",
                       section, why);
    return gw_fail(err, GW_ERR_FORMAT, r->path, "cannot use the snapshot: %s", why);
}

ssize_t snap_cursor_read(void *context, void *to, size_t size)
{
    struct snap_cursor *c = context;
    ssize_t n = pread(c->fd, to, size, (off_t)c->at);
    c->at += n > 0 ? (uint64_t)n : 0;
    return n;
}

void snap_cursor_at(struct snap_cursor *c, const struct snap_reader *r, uint64_t offset)
{
    *c = (struct snap_cursor){
        .s = {.read = snap_cursor_read, .context = c}, .fd = r->fd, .at = offset};
}

enum gw_status snap_take(const struct snap_reader *r, struct gw_source *from, void *to, size_t size,
                         struct gw_error *err)
{
    if (gw_source_get(from, to, size))
        return GW_OK;
    if (from->error == GW_STREAM_ENDED)
        return snap_bad(r, err, NULL, "the file is cut short");
    return gw_fail(err, GW_ERR_IO, r->path, "cannot read the snapshot: %s", strerror(from->error));
}

static enum gw_status read_at(const struct snap_reader *r, void *to, size_t size, uint64_t offset,
                              struct gw_error *err)
{
    struct snap_cursor c;
    snap_cursor_at(&c, r, offset);
    return snap_take(r, &c.s, to, size, err);
}

uint64_t snap_most_bytes(const struct snap_section *s)
{
    return s->kind == SNAP_MANIFEST ? SNAP_MAX_MANIFEST
           : s->kind == SNAP_INDEX  ? SNAP_MAX_INDEX
                                    : SNAP_MAX_SMALL;
}

enum gw_status snap_read_payload(struct snap_reader *r, const struct snap_section *s, uint8_t **out,
                                 struct gw_error *err)
{
    enum gw_status st = GW_OK;
    uint8_t *p;
    *out = NULL;
    if (s->bytes > snap_most_bytes(s))
        return snap_bad(r, err, s->name, "too large");
    p = malloc(s->bytes + 1);
    if (!p)
        return gw_fail(err, GW_ERR_NOMEM, r->path, "cannot use the snapshot: out of memory");
    if (r->stream)
        memcpy(p, r->kept[s - r->section], s->bytes);
    else
        st = read_at(r, p, s->bytes, s->offset, err);
    if (st == GW_OK && snap_hash(p, s->bytes) != s->hash)
        st = snap_bad(r, err, s->name, "its checksum is wrong: the file is damaged");
    if (st == GW_OK && !snap_index_agrees(r, s, 0, p, s->bytes))
        st = snap_bad(r, err, s->name, "it is not what the index says");
    if (st != GW_OK) {
        free(p);
        return st;
    }
    p[s->bytes] = 0;
    *out = p;
    return GW_OK;
}

/* ---- the frame ------------------------------------------------------------------------------ */

static enum gw_status read_header1(struct snap_reader *r, struct gw_source *from, uint8_t *h,
                                   uint64_t *file_bytes, struct gw_error *err)
{
    enum gw_status st =
        snap_take(r, from, h + SNAP_HEADER_BYTES, SNAP_HEADER1_BYTES - SNAP_HEADER_BYTES, err);
    if (st != GW_OK)
        return st;
    if (snap_get(h + 32, 8) != snap_hash(h, 32) || snap_get(h + 24, 8))
        return snap_bad(r, err, NULL, "its header is damaged");
    *file_bytes = snap_get(h + 16, 8);
    r->promised = (uint32_t)snap_get(h + 12, 4);
    if (r->promised == 0 || r->promised > SNAP_MAX_SECTIONS)
        return snap_bad(r, err, NULL, "it has no plausible number of sections");
    return GW_OK;
}

enum gw_status snap_read_header(struct snap_reader *r, struct gw_source *from, uint64_t *file_bytes,
                                struct gw_error *err)
{
    uint8_t h[SNAP_HEADER1_BYTES] = {0};
    enum gw_status st = snap_take(r, from, h, 8, err);
    if ((st == GW_OK || from->error == GW_STREAM_ENDED) && memcmp(h, SNAP_MAGIC, 8) != 0)
        return snap_bad(r, err, NULL, "not a snapshot of ours");
    if (st == GW_OK)
        st = snap_take(r, from, h + 8, SNAP_HEADER_BYTES - 8, err);
    if (st != GW_OK)
        return st;
    r->format = (uint8_t)snap_get(h + 8, 4);
    if (snap_get(h + 8, 4) == 1)
        return read_header1(r, from, h, file_bytes, err);
    if (snap_get(h + 8, 4) != SNAP_FORMAT) /* whatever follows the number there */
        return gw_fail(err, GW_ERR_UNSUPPORTED, r->path,
                       "cannot use the snapshot: it is of format %u, this program knows %u and 1",
                       (unsigned)snap_get(h + 8, 4), (unsigned)SNAP_FORMAT);
    if (snap_get(h + 16, 8) != snap_hash(h, 16))
        return snap_bad(r, err, NULL, "its header is damaged");
    return GW_OK;
}

enum gw_status snap_check_section(const struct snap_reader *r, uint32_t i, struct gw_error *err)
{
    const struct snap_section *s = &r->section[i];
    if (s->kind < SNAP_MANIFEST || s->kind > SNAP_INDEX)
        return gw_fail(err, GW_ERR_UNSUPPORTED, r->path,
                       "cannot use the snapshot: section %s: of a kind that this program does not "
                       "know",
                       s->name);
    if (i == 0 && (s->kind != SNAP_MANIFEST || s->version != SNAP_MANIFEST_VERSION))
        return snap_bad(r, err, NULL, "it does not begin with a manifest");
    if (i && s->kind == SNAP_MANIFEST)
        return snap_bad(r, err, NULL, "it has more than one manifest");
    if (i && r->section[i - 1].kind == SNAP_INDEX)
        return snap_bad(r, err, NULL, "something follows its index");
    return GW_OK;
}

/* Forward, by the lengths that stand before the payloads. */
static enum gw_status read_frame1(struct snap_reader *r, uint64_t file_bytes, struct gw_error *err)
{
    uint64_t at = SNAP_HEADER1_BYTES;
    if (file_bytes > r->bytes)
        return snap_bad(r, err, NULL, "the file is cut short");
    for (r->section_count = 0; r->section_count < r->promised; r->section_count++) {
        struct snap_section *s = &r->section[r->section_count];
        uint8_t h[SNAP_HEAD1_BYTES];
        enum gw_status st = read_at(r, h, sizeof h, at, err);
        if (st != GW_OK)
            return st;
        if (!snap_get_head1(h, s))
            return snap_bad(r, err, NULL, "a section's header is damaged");
        s->offset = at += sizeof h;
        if (s->bytes > r->bytes - at)
            return snap_bad(r, err, s->name, "longer than the file");
        at += s->bytes;
    }
    return at == r->bytes && file_bytes == at ? GW_OK
                                              : snap_bad(r, err, NULL, "something follows its end");
}

/* The section that ends at *at, where its head is afterwards. */
static enum gw_status read_back(struct snap_reader *r, struct snap_section *s, uint64_t *at,
                                struct gw_error *err)
{
    const uint64_t least = SNAP_HEADER_BYTES + SNAP_HEAD_BYTES + SNAP_TAIL_BYTES;
    uint8_t h[SNAP_HEAD_BYTES], t[SNAP_TAIL_BYTES];
    uint64_t bytes, hash;
    enum gw_status st;
    if (*at < least)
        return snap_bad(r, err, NULL, "it has not the sections that it should have");
    st = read_at(r, t, sizeof t, *at - sizeof t, err);
    if (st == GW_OK && (!snap_get_tail(t, &bytes, &hash) || bytes > *at - least))
        st = snap_bad(r, err, NULL, "a section's end is damaged");
    if (st != GW_OK)
        return st;
    *at -= sizeof t + bytes + sizeof h;
    st = read_at(r, h, sizeof h, *at, err);
    if (st != GW_OK)
        return st;
    if (!snap_get_head(h, s) || s->bytes != (s->kind == SNAP_PAGES ? 0 : bytes))
        return snap_bad(r, err, NULL, "a section's header is damaged");
    s->bytes = bytes;
    s->hash = hash;
    s->offset = *at + sizeof h;
    return GW_OK;
}

/* Backward, by the lengths that stand behind them. */
static enum gw_status read_frame2(struct snap_reader *r, struct gw_error *err)
{
    uint8_t h[SNAP_HEAD_BYTES];
    uint64_t at = r->bytes, file_bytes;
    enum gw_status st;
    if (at < SNAP_HEADER_BYTES + SNAP_HEAD_BYTES)
        return snap_bad(r, err, NULL, "the file is cut short");
    at -= SNAP_HEAD_BYTES;
    st = read_at(r, h, sizeof h, at, err);
    if (st != GW_OK)
        return st;
    if (!snap_get_end(h, &r->section_count, &file_bytes) || file_bytes != r->bytes ||
        r->section_count == 0 || r->section_count > SNAP_MAX_SECTIONS) {
        r->section_count = 0;
        return snap_bad(r, err, NULL, "the file is cut short, or its end is damaged");
    }
    for (uint32_t i = r->section_count; st == GW_OK && i-- > 0;)
        st = read_back(r, &r->section[i], &at, err);
    if (st == GW_OK && at != SNAP_HEADER_BYTES)
        st = snap_bad(r, err, NULL, "it has more than its sections");
    return st;
}

static enum gw_status check_sections(const struct snap_reader *r, struct gw_error *err)
{
    enum gw_status st = GW_OK;
    for (uint32_t i = 0; st == GW_OK && i < r->section_count; i++) {
        st = snap_check_section(r, i, err);
        for (uint32_t k = 0; st == GW_OK && k < i; k++)
            if (!strcmp(r->section[k].name, r->section[i].name))
                st = snap_bad(r, err, r->section[i].name, "it is there twice");
    }
    return st;
}

enum gw_status snap_read_manifest(struct snap_reader *r, struct gw_error *err)
{
    const struct snap_section *s = &r->section[0];
    uint8_t *text;
    enum gw_status st = r->manifest_text ? GW_OK : snap_read_payload(r, s, &text, err);
    if (st != GW_OK || r->manifest_text)
        return st;
    r->manifest_text = (char *)text;
    return snap_manifest_parse(r->manifest_text, s->bytes, r->path, &r->manifest, err);
}

static enum gw_status read_frame(struct snap_reader *r, struct gw_error *err)
{
    struct snap_cursor c;
    struct stat sb;
    uint64_t file_bytes = 0;
    enum gw_status st;
    if (fstat(r->fd, &sb) != 0)
        return gw_fail(err, GW_ERR_IO, r->path, "cannot read the snapshot: %s", strerror(errno));
    if (!S_ISREG(sb.st_mode))
        return snap_bad(r, err, NULL, "not a regular file");
    r->bytes = (uint64_t)sb.st_size;
    st = snap_seals_skip(r->fd, &r->bytes, r->path, err);
    if (st != GW_OK)
        return st;
    snap_cursor_at(&c, r, 0);
    st = snap_read_header(r, &c.s, &file_bytes, err);
    if (st == GW_OK)
        st = r->format == 1 ? read_frame1(r, file_bytes, err) : read_frame2(r, err);
    return st == GW_OK ? check_sections(r, err) : st;
}

/* ---- life ----------------------------------------------------------------------------------- */

struct snap_reader *snap_reader_new(const char *path, struct gw_error *err)
{
    struct snap_reader *r = calloc(1, sizeof *r);
    if (r)
        r->path = strdup(path);
    if (r && r->path) {
        r->fd = -1;
        return r;
    }
    free(r);
    gw_fail(err, GW_ERR_NOMEM, path, "cannot use the snapshot: out of memory");
    return NULL;
}

enum gw_status snap_open_on(struct snap_reader **out, int fd, const char *name,
                            const uint8_t root[SNAP_DIGEST], struct gw_error *err)
{
    struct snap_reader *r = snap_reader_new(name, err);
    enum gw_status st;
    *out = NULL;
    if (!r)
        return GW_ERR_NOMEM;
    r->fd = fd;
    st = read_frame(r, err);
    if (st == GW_OK && root)
        st = snap_index_read(r, root, err);
    if (st != GW_OK) {
        snap_close(r);
        return st;
    }
    *out = r;
    return GW_OK;
}

enum gw_status snap_open(struct snap_reader **out, const char *path, struct gw_error *err)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    enum gw_status st;
    *out = NULL;
    if (fd < 0)
        return gw_fail(err, errno == ENOENT ? GW_ERR_NOTFOUND : GW_ERR_IO, path,
                       "cannot open the snapshot: %s", strerror(errno));
    st = snap_open_on(out, fd, path, NULL, err);
    if (st != GW_OK) {
        close(fd);
        return st;
    }
    (*out)->own_fd = true;
    st = snap_read_manifest(*out, err);
    if (st != GW_OK) {
        snap_close(*out);
        *out = NULL;
    }
    return st;
}

void snap_close(struct snap_reader *r)
{
    if (!r)
        return;
    if (r->own_fd)
        close(r->fd);
    for (uint32_t i = 0; i < SNAP_MAX_SECTIONS; i++)
        free(r->kept[i]);
    spec_clear(spec_machine, &r->manifest);
    free(r->manifest_text);
    free(r->index);
    free(r->path);
    free(r);
}

const struct snap_section *snap_find(const struct snap_reader *r, const char *name)
{
    for (uint32_t i = 0; i < r->section_count; i++)
        if (!strcmp(r->section[i].name, name))
            return &r->section[i];
    return NULL;
}
