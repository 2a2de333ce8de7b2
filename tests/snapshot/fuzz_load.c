/*
 * The loader against files with valid checksums and broken contents. As a test it mutates a small
 * snapshot for a number of rounds (argument), from a fixed seed (second argument); built by clang
 * with -fsanitize=fuzzer it is libFuzzer's target instead (GODWIT_LIBFUZZER).
 */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>
#include <zstd.h>

#include "sample.h"
#include "snap_int.h"

enum { MAX_FILE = 1 << 16 };

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* ---- checksums made right ------------------------------------------------------------------- */

static void seal_state(uint8_t *h, const uint8_t *p, size_t size)
{
    uint64_t count = size >= 4 ? snap_get(p, 4) : 0;
    size_t at = 4;
    for (uint64_t i = 0; i < count && size - at >= 8 && size - at - 8 >= p[at + 1]; i++)
        at += 8 + p[at + 1];
    snap_put(h + 8, snap_hash(p, at <= size ? at : size), 8);
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

static void seal(uint8_t *f, size_t size)
{
    size_t at = SNAP_HEADER_BYTES;
    if (size < SNAP_HEADER_BYTES)
        return;
    memcpy(f, SNAP_MAGIC, 8);
    snap_put(f + 16, size, 8);
    snap_put(f + 32, snap_hash(f, 32), 8);
    for (uint64_t i = snap_get(f + 12, 4); i && size - at >= SNAP_SECTION_BYTES; i--) {
        uint8_t *h = f + at;
        size_t n = snap_get(h + 16, 8);
        at += SNAP_SECTION_BYTES;
        if (n > size - at) {
            n = size - at;
            snap_put(h + 16, n, 8);
        }
        if (snap_get(h, 4) == SNAP_STATE)
            seal_state(h, f + at, n);
        else if (snap_get(h, 4) == SNAP_PAGES)
            seal_pages(f + at, n);
        snap_put(h + 24, snap_hash(f + at, n), 8);
        snap_put(h + 56, snap_hash(h, 56), 8);
        at += n;
    }
}

/* ---- one file ------------------------------------------------------------------------------- */

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

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static uint8_t file[MAX_FILE];
    char path[64];
    int fd = memfd_create("snapshot", MFD_CLOEXEC);
    if (fd < 0 || size > sizeof file)
        return 0;
    memcpy(file, data, size);
    seal(file, size);
    if (write(fd, file, size) == (ssize_t)size) {
        snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
        load_everything(path);
    }
    close(fd);
    return 0;
}

#ifndef GODWIT_LIBFUZZER

/* ---- our own mutations ---------------------------------------------------------------------- */

static uint32_t draw(uint64_t *seed, uint32_t below)
{
    *seed = *seed * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
    return (uint32_t)((*seed >> 33) % below);
}

static size_t mutate(uint8_t *f, size_t size, uint64_t *seed)
{
    static const uint64_t odd[] = {0, 1, 7, 0x7f, 0xff, 0xffff, 0x7fffffff, UINT32_MAX, UINT64_MAX};
    for (uint32_t n = 1 + draw(seed, 4); n; n--) {
        uint32_t at = draw(seed, (uint32_t)size), width = 1u << draw(seed, 4);
        switch (draw(seed, 5)) {
        case 0: f[at] ^= (uint8_t)(1u << draw(seed, 8)); break;
        case 1:
            if (at + width <= size)
                snap_put(f + at, odd[draw(seed, 9)], width);
            break;
        case 2: /* a piece is missing */
            width = draw(seed, (uint32_t)size - at) / 4;
            memmove(f + at, f + at + width, size - at - width);
            size -= width;
            break;
        case 3: /* a piece is there twice */
            width = draw(seed, (uint32_t)size - at) / 4;
            if (size + width <= MAX_FILE) {
                memmove(f + at + width, f + at, size - at);
                size += width;
            }
            break;
        default: f[at] = (uint8_t)draw(seed, 256); break;
        }
        if (size < 16)
            break;
    }
    return size;
}

int main(int argc, char **argv)
{
    static const struct sample one = {.flag = 1, .wide = 77};
    static uint8_t whole[MAX_FILE], file[MAX_FILE];
    unsigned rounds = argc > 1 ? (unsigned)strtoul(argv[1], NULL, 0) : 20000;
    uint64_t seed = argc > 2 ? strtoull(argv[2], NULL, 0) : 1;
    char path[] = "/tmp/godwit-fuzz.XXXXXX";
    struct gw_error err = {0};
    int fd = mkstemp(path);
    ssize_t size;
    if (fd < 0 || sample_write(godwit_snapshot(), path, &one, &err) != GW_OK) {
        fprintf(stderr, "cannot write the first file: %s\n", err.message);
        return 1;
    }
    close(fd);
    fd = open(path, O_RDONLY);
    size = read(fd, whole, sizeof whole);
    close(fd);
    unlink(path);
    for (unsigned i = 0; size > 0 && i < rounds; i++) {
        memcpy(file, whole, (size_t)size);
        LLVMFuzzerTestOneInput(file, mutate(file, (size_t)size, &seed));
    }
    printf("%u files\n", rounds);
    return size > 0 ? 0 : 1;
}

#endif
