/* The loader against files with valid checksums and broken contents: a small snapshot of either format
 * in which the input changes what it likes, read as a file and as a stream. */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>
#include <zstd.h>

#include "tests/fuzzing.h"
#include "tests/snapshot/format1.h"
#include "tests/snapshot/memory_stream.h"
#include "tests/snapshot/sample.h"

enum { MAX_FILE = 1 << 16 };

/* ---- checksums made right ------------------------------------------------------------------- */

static void seal_state(uint8_t *layout, const uint8_t *p, size_t size)
{
    uint64_t count = size >= 4 ? snap_get(p, 4) : 0;
    size_t at = 4;
    for (uint64_t i = 0; i < count && size - at >= 8 && size - at - 8 >= p[at + 1]; i++)
        at += 8 + p[at + 1];
    snap_put(layout, snap_hash(p, at <= size ? at : size), 8);
}

static void seal_pages(uint8_t *p, size_t size)
{
    static uint8_t bytes[SNAP_CHUNK_BYTES];
    size_t at = SNAP_PAGES_HEADER;
    while (at <= size && size - at >= SNAP_CHUNK_HEADER) {
        uint8_t *h = p + at;
        size_t stored = snap_get(h + 8, 4), n = stored;
        at += SNAP_CHUNK_HEADER;
        if (stored > size - at)
            return;
        if (snap_get(h + 12, 4) == SNAP_ZSTD) {
            n = ZSTD_decompress(bytes, sizeof bytes, p + at, stored);
            if (!ZSTD_isError(n))
                snap_put(h + 16, snap_hash(bytes, n), 8);
        } else {
            snap_put(h + 16, snap_hash(p + at, n), 8);
        }
        at += stored;
    }
}

static void seal_payload(uint64_t kind, uint8_t *layout, uint8_t *p, size_t size)
{
    if (kind == SNAP_STATE)
        seal_state(layout, p, size);
    else if (kind == SNAP_PAGES)
        seal_pages(p, size);
}

static void seal1(uint8_t *f, size_t size)
{
    size_t at = SNAP_HEADER1_BYTES;
    if (size < SNAP_HEADER1_BYTES)
        return;
    memcpy(f, SNAP_MAGIC, 8);
    snap_put(f + 16, size, 8);
    snap_put(f + 32, snap_hash(f, 32), 8);
    for (uint64_t i = snap_get(f + 12, 4); i && size - at >= SNAP_HEAD1_BYTES; i--) {
        uint8_t *h = f + at;
        size_t n = snap_get(h + 16, 8);
        at += SNAP_HEAD1_BYTES;
        if (n > size - at) {
            n = size - at;
            snap_put(h + 16, n, 8);
        }
        seal_payload(snap_get(h, 4), h + 8, f + at, n);
        snap_put(h + 24, snap_hash(f + at, n), 8);
        snap_put(h + 56, snap_hash(h, 56), 8);
        at += n;
    }
}

static void seal2(uint8_t *f, size_t size)
{
    uint32_t sections = 0;
    size_t at = SNAP_HEADER_BYTES, n;
    if (size < SNAP_HEADER_BYTES)
        return;
    memcpy(f, SNAP_MAGIC, 8);
    snap_put(f + 16, snap_hash(f, 16), 8);
    while (size - at >= SNAP_HEAD_BYTES && snap_get(f + at, 4) != SNAP_END) {
        uint8_t *h = f + at;
        n = payload_bytes(f, size, at);
        if (n > size - at - SNAP_HEAD_BYTES)
            n = size - at - SNAP_HEAD_BYTES;
        at += SNAP_HEAD_BYTES + n;
        seal_payload(snap_get(h, 4), h + 8, f + at - n, n);
        snap_put(h + 48, snap_hash(h, 48), 8);
        if (size - at < SNAP_TAIL_BYTES)
            return;
        snap_put_tail(f + at, n, snap_hash(f + at - n, n));
        at += SNAP_TAIL_BYTES;
        sections++;
    }
    if (size - at >= SNAP_HEAD_BYTES)
        snap_put_end(f + at, sections, size);
}

/* ---- one file ------------------------------------------------------------------------------- */

/* A later version of the sample's table, and a part of it. */
static void upgrade(void *object, struct state_saved *from)
{
    struct sample *s = object;
    s->word = (uint32_t)(from->get(from, "word", 0) + from->get(from, "list", from->number));
}

static const struct state_field later_fields[] = {
    STATE_SCALAR(struct sample, flag, STATE_U8),
    STATE_SCALAR_SINCE(4, struct sample, word, STATE_U32),
    STATE_ARRAY(struct sample, list, STATE_U32),
};

static const struct state_desc later_desc = {
    .name = "sample",
    .version = 4,
    .oldest = 1,
    .part_of = {.section = "first", .oldest = 1, .newest = 3},
    .fields = later_fields,
    .field_count = STATE_COUNT_(later_fields),
    .check = sample_check,
    .upgrade = upgrade,
};

static void load_everything(const char *path)
{
    static uint8_t ram[SAMPLE_PAGES * SNAP_PAGE_BYTES];
    const struct snap_api *api = godwit_snapshot();
    struct gw_error err = {0};
    struct sample s = {0};
    struct snap_reader *r;
    sample_read(api, path, &s, ram, &err);
    if (api->open(&r, path, &err) != GW_OK)
        return;
    api->state_hash(r);
    api->load_state(r, "first", &later_desc, &s, &err);
    api->load_state(r, "part4", &later_desc, &s, &err);
    for (uint32_t i = 0; i < api->section_count(r); i++) {
        struct snap_page_hash *list = NULL;
        struct snap_fields f;
        uint64_t pages, count;
        if (api->fields(r, i, &f, &err) == GW_OK)
            api->free_fields(&f);
        if (api->section(r, i)->kind == SNAP_PAGES)
            api->page_hashes(r, i, &pages, &list, &count, &err);
        free(list);
    }
    api->close(r);
}

/* As if its index were the one that was sealed. */
static void load_checked(const char *path)
{
    static uint8_t ram[SAMPLE_PAGES * SNAP_PAGE_BYTES];
    const struct snap_api *api = godwit_snapshot();
    struct snap_page_sink sink = {.count = SAMPLE_PAGES, .put = sample_put, .context = ram};
    struct gw_error err = {0};
    struct sample s = {0};
    struct snap_seal seal;
    struct snap_reader *r = NULL;
    int fd = open(path, O_RDONLY);
    if (api->seal_check(fd, path, NULL, 0, &seal, &err) == GW_OK && seal.state == SNAP_SEAL_GOOD)
        abort(); /* nobody has a key */
    if (api->open_on(&r, fd, path, NULL, &err) == GW_OK) {
        const struct snap_section *last = api->section(r, api->section_count(r) - 1);
        uint8_t root[SNAP_DIGEST], *index = NULL;
        if (last->kind == SNAP_INDEX && snap_read_payload(r, last, &index, &err) == GW_OK) {
            snap_digest(root, index, last->bytes);
            api->close(r);
            r = NULL;
            api->open_on(&r, fd, path, root, &err);
        }
        free(index);
    }
    if (r) {
        api->read_manifest(r, &err);
        api->load_state(r, "first", &sample_desc, &s, &err);
        api->load_pages(r, "ram", &sink, &err);
    }
    api->close(r);
    close(fd);
}

/* As a pipe gives it, in pieces; then the loads that only a stream can see asked for the wrong way. */
static void stream_everything(const uint8_t *file, size_t size)
{
    static uint8_t ram[SAMPLE_PAGES * SNAP_PAGE_BYTES];
    const struct snap_api *api = godwit_snapshot();
    struct snap_page_sink sink = {.count = SAMPLE_PAGES, .put = sample_put, .context = ram};
    struct memory_stream m = {.bytes = (uint8_t *)(uintptr_t)file, .size = size, .piece = 1000};
    struct gw_source from = memory_source(&m);
    struct gw_error err = {0};
    struct sample s = {0};
    struct snap_reader *r;
    sample_read_stream(api, &from, &s, ram, &err);
    m.at = 0;
    from = memory_source(&m);
    if (api->open_stream(&r, &from, "stream", &err) != GW_OK)
        return;
    api->load_pages(r, "ram", &sink, &err);
    api->load_state(r, "first", &sample_desc, &s, &err);
    api->load_pages(r, "ram", &sink, &err);
    api->verify(r, &err);
    api->close(r);
}

static size_t whole_snapshot(uint8_t *to)
{
    static const struct sample one = {.flag = 1, .wide = 77};
    char path[] = "/tmp/godwit-fuzz.XXXXXX";
    struct gw_error err = {0};
    int fd = mkstemp(path);
    ssize_t size;
    if (fd < 0 || sample_write(godwit_snapshot(), path, &one, &err) != GW_OK) {
        fprintf(stderr, "cannot write the first file: %s\n", err.message);
        abort();
    }
    close(fd);
    fd = open(path, O_RDONLY);
    size = read(fd, to, MAX_FILE);
    close(fd);
    unlink(path);
    if (size <= 0)
        abort();
    return (size_t)size;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static uint8_t whole[2][MAX_FILE], file[MAX_FILE]; /* formats 2 and 1 */
    static size_t whole_bytes[2];
    struct fz_bytes in = {.at = data, .end = data + size};
    char path[64];
    size_t bytes;
    unsigned old;
    int fd = memfd_create("snapshot", MFD_CLOEXEC);
    if (fd < 0)
        abort();
    if (!whole_bytes[0]) {
        whole_bytes[0] = whole_snapshot(whole[0]);
        whole_bytes[1] = to_format1(whole[1], whole[0], whole_bytes[0]);
    }
    old = fz_take(&in, 1) & 1;
    memcpy(file, whole[old], whole_bytes[old]);
    bytes = fz_edit(&in, file, whole_bytes[old], sizeof file);
    (old ? seal1 : seal2)(file, bytes);
    stream_everything(file, bytes);
    if (write(fd, file, bytes) == (ssize_t)bytes) {
        snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
        load_everything(path);
        load_checked(path);
    }
    close(fd);
    return 0;
}
