/* A sealed file that the input changes, read by somebody who has the key. What is called good is what was
 * sealed, whatever else the file holds; and where all of it can be loaded, it is that snapshot, with
 * nothing behind it but seals, of which others may be of any kind. */
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#include "tests/fuzzing.h"
#include "tests/snapshot/sample.h"

enum { MAX_FILE = 1 << 16 };

static const char grants[] = "kernel=/boot/vmlinux\ndisks=1\ndisks.0.path=/a\n";
static const struct snap_key key = {.id = {1, 2, 3}, .secret = {4, 5, 6}};

/* The file's size; *own: without the seal. */
static size_t sealed_snapshot(uint8_t *to, size_t *own)
{
    static const struct sample one = {.flag = 1, .wide = 77};
    const struct snap_api *api = godwit_snapshot();
    int fd = memfd_create("first", MFD_CLOEXEC);
    struct gw_error err = {0};
    struct snap_writer *w;
    ssize_t size;
    if (api->create_on(&w, fd, NULL, "first", &err) != GW_OK ||
        sample_fill(api, w, &one, &err) != GW_OK || (size = lseek(fd, 0, SEEK_END)) <= 0 ||
        api->seal_put(fd, "first", &key, grants, &err) != GW_OK) {
        fprintf(stderr, "cannot write the first file: %s\n", err.message);
        abort();
    }
    *own = (size_t)size;
    size = pread(fd, to, MAX_FILE, 0);
    close(fd);
    return (size_t)size;
}

static bool loads(int fd, const uint8_t root[SNAP_DIGEST])
{
    static uint8_t ram[SAMPLE_PAGES * SNAP_PAGE_BYTES];
    const struct snap_api *api = godwit_snapshot();
    struct snap_page_sink sink = {.count = SAMPLE_PAGES, .put = sample_put, .context = ram};
    struct gw_error err = {0};
    struct sample s = {0};
    struct snap_reader *r = NULL;
    bool all = api->open_on(&r, fd, "file", root, &err) == GW_OK &&
               api->read_manifest(r, &err) == GW_OK &&
               api->load_state(r, "first", &sample_desc, &s, &err) == GW_OK &&
               api->load_pages(r, "ram", &sink, &err) == GW_OK;
    api->close(r);
    return all;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static uint8_t whole[MAX_FILE], file[MAX_FILE];
    static size_t whole_bytes, own_bytes;
    struct fz_bytes in = {.at = data, .end = data + size};
    const struct snap_api *api = godwit_snapshot();
    struct gw_error err = {0};
    struct snap_seal seal;
    size_t bytes, from;
    int fd;
    if (!whole_bytes)
        whole_bytes = sealed_snapshot(whole, &own_bytes);
    memcpy(file, whole, whole_bytes);
    from = fz_take(&in, 1) & 1 ? whole_bytes - 300 : 0; /* the seal and the index, or anything */
    bytes = from + fz_edit(&in, file + from, whole_bytes - from, sizeof file - from);
    fd = memfd_create("file", MFD_CLOEXEC);
    if (fd < 0 || write(fd, file, bytes) != (ssize_t)bytes)
        abort();
    if (api->seal_check(fd, "file", &key, 1, &seal, &err) == GW_OK &&
        seal.state == SNAP_SEAL_GOOD) {
        if (seal.grants_bytes != sizeof grants - 1 || strcmp(seal.grants, grants) != 0)
            abort();
        if (loads(fd, seal.root) && (bytes < own_bytes || memcmp(file, whole, own_bytes) != 0))
            abort();
        free(seal.grants);
    }
    close(fd);
    return 0;
}
