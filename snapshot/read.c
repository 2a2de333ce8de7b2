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

enum gw_status snap_read_at(struct snap_reader *r, void *to, size_t size, uint64_t offset,
                            struct gw_error *err)
{
    uint8_t *p = to;
    while (size) {
        ssize_t n = pread(r->fd, p, size, (off_t)offset);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return gw_fail(err, GW_ERR_IO, r->path, "cannot read the snapshot: %s",
                           strerror(errno));
        if (n == 0)
            return snap_bad(r, err, NULL, "the file is cut short");
        p += n;
        size -= (size_t)n;
        offset += (uint64_t)n;
    }
    return GW_OK;
}

enum gw_status snap_read_payload(struct snap_reader *r, const struct snap_section *s, uint8_t **out,
                                 struct gw_error *err)
{
    uint8_t *p;
    enum gw_status st;
    *out = NULL;
    if (s->bytes > SNAP_MAX_SMALL)
        return snap_bad(r, err, s->name, "too large");
    p = malloc(s->bytes + 1);
    if (!p)
        return gw_fail(err, GW_ERR_NOMEM, r->path, "cannot use the snapshot: out of memory");
    st = snap_read_at(r, p, s->bytes, s->offset, err);
    if (st == GW_OK && snap_hash(p, s->bytes) != s->hash)
        st = snap_bad(r, err, s->name, "its checksum is wrong: the file is damaged");
    if (st != GW_OK) {
        free(p);
        return st;
    }
    p[s->bytes] = 0;
    *out = p;
    return GW_OK;
}

/* ---- opening -------------------------------------------------------------------------------- */

static enum gw_status read_header(struct snap_reader *r, struct gw_error *err)
{
    uint8_t h[SNAP_HEADER_BYTES];
    enum gw_status st;
    if (r->bytes < sizeof h) {
        uint8_t magic[8] = {0};
        size_t n = r->bytes < 8 ? (size_t)r->bytes : 8;
        st = snap_read_at(r, magic, n, 0, err);
        if (st != GW_OK)
            return st;
        return snap_bad(r, err, NULL,
                        n == 8 && !memcmp(magic, SNAP_MAGIC, 8) ? "the file is cut short"
                                                                : "not a snapshot of ours");
    }
    st = snap_read_at(r, h, sizeof h, 0, err);
    if (st != GW_OK)
        return st;
    if (memcmp(h, SNAP_MAGIC, 8) != 0)
        return snap_bad(r, err, NULL, "not a snapshot of ours");
    if (snap_get(h + 32, 8) != snap_hash(h, 32))
        return snap_bad(r, err, NULL, "its header is damaged");
    if (snap_get(h + 8, 4) != SNAP_FORMAT)
        return gw_fail(err, GW_ERR_UNSUPPORTED, r->path,
                       "cannot use the snapshot: it is of format %u, this program knows %u",
                       (unsigned)snap_get(h + 8, 4), (unsigned)SNAP_FORMAT);
    if (snap_get(h + 16, 8) > r->bytes)
        return snap_bad(r, err, NULL, "the file is cut short");
    if (snap_get(h + 16, 8) != r->bytes || snap_get(h + 24, 8))
        return snap_bad(r, err, NULL, "something follows its end");
    r->section_count = (uint32_t)snap_get(h + 12, 4);
    if (r->section_count == 0 || r->section_count > SNAP_MAX_SECTIONS)
        return snap_bad(r, err, NULL, "it has no plausible number of sections");
    return GW_OK;
}

static bool name_is_fine(const uint8_t *p)
{
    size_t n = strnlen((const char *)p, SNAP_NAME_BYTES);
    for (size_t i = 0; i < SNAP_NAME_BYTES; i++)
        if (i < n ? p[i] <= ' ' || p[i] > '~' : p[i] != 0)
            return false;
    return n > 0;
}

static enum gw_status read_section(struct snap_reader *r, uint32_t i, uint64_t *at,
                                   struct gw_error *err)
{
    struct snap_section *s = &r->section[i];
    uint8_t h[SNAP_SECTION_BYTES];
    enum gw_status st;
    if (r->bytes - *at < sizeof h)
        return snap_bad(r, err, NULL, "the file is cut short");
    st = snap_read_at(r, h, sizeof h, *at, err);
    if (st != GW_OK)
        return st;
    if (snap_get(h + 56, 8) != snap_hash(h, 56) || !name_is_fine(h + 32))
        return snap_bad(r, err, NULL, "a section's header is damaged");
    memcpy(s->name, h + 32, SNAP_NAME_BYTES);
    s->kind = (enum snap_kind)snap_get(h, 4);
    s->version = (uint32_t)snap_get(h + 4, 4);
    s->layout = snap_get(h + 8, 8);
    s->bytes = snap_get(h + 16, 8);
    s->hash = snap_get(h + 24, 8);
    *at += sizeof h;
    s->offset = *at;
    if (s->bytes > r->bytes - *at)
        return snap_bad(r, err, s->name, "longer than the file");
    *at += s->bytes;
    if (s->kind < SNAP_MANIFEST || s->kind > SNAP_PAGES)
        return gw_fail(err, GW_ERR_UNSUPPORTED, r->path,
                       "cannot use the snapshot: section %s: of a kind that this program does not "
                       "know",
                       s->name);
    for (uint32_t k = 0; k < i; k++)
        if (!strcmp(r->section[k].name, s->name))
            return snap_bad(r, err, s->name, "it is there twice");
    return GW_OK;
}

static enum gw_status read_manifest(struct snap_reader *r, struct gw_error *err)
{
    const struct snap_section *s = &r->section[0];
    uint8_t *text;
    enum gw_status st;
    if (s->kind != SNAP_MANIFEST || s->version != 1)
        return snap_bad(r, err, NULL, "it does not begin with a manifest");
    for (uint32_t i = 1; i < r->section_count; i++)
        if (r->section[i].kind == SNAP_MANIFEST)
            return snap_bad(r, err, NULL, "it has more than one manifest");
    st = snap_read_payload(r, s, &text, err);
    if (st != GW_OK)
        return st;
    r->manifest_text = (char *)text;
    return snap_manifest_parse(r->manifest_text, s->bytes, r->path, &r->manifest, err);
}

static enum gw_status read_frame(struct snap_reader *r, struct gw_error *err)
{
    uint64_t at = SNAP_HEADER_BYTES;
    struct stat sb;
    enum gw_status st;
    if (fstat(r->fd, &sb) != 0)
        return gw_fail(err, GW_ERR_IO, r->path, "cannot read the snapshot: %s", strerror(errno));
    if (!S_ISREG(sb.st_mode))
        return snap_bad(r, err, NULL, "not a regular file");
    r->bytes = (uint64_t)sb.st_size;
    st = read_header(r, err);
    for (uint32_t i = 0; st == GW_OK && i < r->section_count; i++)
        st = read_section(r, i, &at, err);
    if (st == GW_OK && at != r->bytes)
        st = snap_bad(r, err, NULL, "something follows its end");
    return st == GW_OK ? read_manifest(r, err) : st;
}

enum gw_status snap_open(struct snap_reader **out, const char *path, struct gw_error *err)
{
    struct snap_reader *r = calloc(1, sizeof *r);
    enum gw_status st;
    *out = NULL;
    if (!r || !(r->path = strdup(path))) {
        free(r);
        return gw_fail(err, GW_ERR_NOMEM, path, "cannot use the snapshot: out of memory");
    }
    r->fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    if (r->fd < 0)
        st = gw_fail(err, errno == ENOENT ? GW_ERR_NOTFOUND : GW_ERR_IO, path,
                     "cannot open the snapshot: %s", strerror(errno));
    else
        st = read_frame(r, err);
    if (st != GW_OK) {
        snap_close(r);
        return st;
    }
    *out = r;
    return GW_OK;
}

void snap_close(struct snap_reader *r)
{
    if (!r)
        return;
    if (r->fd >= 0)
        close(r->fd);
    spec_clear(spec_machine, &r->manifest);
    free(r->manifest_text);
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
