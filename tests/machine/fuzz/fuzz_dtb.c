/* Device trees that are broken in some places: refused, or extended by what the machine adds, and
 * then whole. */
#include <stdlib.h>

#include "machine/riscv64/device_tree.h"
#include "tests/fuzzing.h"

enum { FILE_MAX = 1 << 15 };

static size_t tree_sample(uint8_t *to)
{
    static const struct dt_config cfg = {.isa = "rv64imac",
                                         .isa_list = "i\0m\0a\0c",
                                         .isa_list_bytes = 8,
                                         .mmu = "riscv,sv48",
                                         .harts = 2,
                                         .ram_base = UINT64_C(0x80000000),
                                         .ram_bytes = UINT64_C(0x10000000),
                                         .timebase_hz = 10000000,
                                         .second_port = true,
                                         .cbo_bytes = 64};
    struct gw_error err = {0};
    uint8_t *blob;
    size_t size;
    if (dt_build(&cfg, &blob, &size, &err) != GW_OK || size > FILE_MAX)
        abort();
    memcpy(to, blob, size);
    free(blob);
    return size;
}

static void extend(uint8_t **blob, size_t *size, unsigned how)
{
    static const uint8_t seed[32] = {1, 2, 3};
    struct dt_chosen chosen = {.bootargs = how & 2 ? "console=ttyS0" : NULL,
                               .initrd_at = UINT64_C(0x88000000),
                               .initrd_bytes = how & 4 ? 4096 : 0,
                               .seed = how & 8 ? seed : NULL,
                               .seed_bytes = sizeof seed};
    struct gw_error err = {0};
    uint8_t *again;
    size_t again_size;
    if (dt_set_chosen(blob, size, &chosen, &err) != GW_OK) {
        if (!err.message[0])
            abort();
        return;
    }
    if (dt_import(*blob, *size, "ours", &again, &again_size, &err) != GW_OK)
        abort();
    free(again);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static uint8_t sample[FILE_MAX];
    static size_t sample_bytes;
    struct fz_bytes in = {.at = data, .end = data + size};
    unsigned how = (unsigned)fz_take(&in, 1);
    struct gw_error err = {0};
    uint8_t *file = malloc(FILE_MAX), *blob, *exact;
    size_t bytes, blob_bytes;
    if (!sample_bytes)
        sample_bytes = tree_sample(sample);
    if (!file)
        abort();
    memcpy(file, sample, sample_bytes);
    bytes = fz_edit(&in, file, sample_bytes, FILE_MAX);
    exact = malloc(bytes ? bytes : 1);
    if (!exact)
        abort();
    memcpy(exact, file, bytes);
    if (dt_import(exact, bytes, "tree", &blob, &blob_bytes, &err) == GW_OK) {
        extend(&blob, &blob_bytes, how);
        free(blob);
    } else if (!err.message[0]) {
        abort();
    }
    free(exact);
    free(file);
    return 0;
}
