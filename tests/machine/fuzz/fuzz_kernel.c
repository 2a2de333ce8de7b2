/*
 * Kernels and firmware (a Linux Image, an ELF file, raw bytes) that are broken in some places, and
 * the placement of what lies above them. What is loaded lies in memory.
 */
#include <stdlib.h>

#include "tests/usermode/fuzz/elf_sample.h"
#include "tests/fuzzing.h"
#include "machine/boot/loader.h"
#include "devices/memory_bus.h"

#define BASE UINT64_C(0x80000000)
#define SIZE UINT64_C(0x100000)
enum { FILE_MAX = 0x4000, IMAGE_BYTES = 0x1000 };

static void put(uint8_t *p, uint64_t v, unsigned size)
{
    for (unsigned i = 0; i < size; i++)
        p[i] = (uint8_t)(v >> (8 * i));
}

/* As distributions' kernels are: a PE header says what is in the file. */
static void image_sample(uint8_t *p)
{
    memset(p, 0, IMAGE_BYTES);
    memcpy(p, "MZ", 2);
    put(p + 8, 0x20000, 8);
    put(p + 16, 0x3000, 8);
    memcpy(p + 48, "RISCV\0\0\0RSC\x05", 12);
    put(p + 60, 64, 4);
    memcpy(p + 64, "PE\0\0", 4);
    put(p + 64 + 6, 2, 2);
    put(p + 64 + 20, 16, 2);
    for (unsigned i = 0; i < 2; i++) {
        put(p + 104 + 40 * i + 16, 0x400, 4);
        put(p + 104 + 40 * i + 20, 0x400, 4);
    }
}

static struct dev_bus *bus(void)
{
    static struct dev_bus *b;
    struct gw_error err = {0};
    if (b)
        return b;
    b = calloc(1, sizeof *b);
    if (!b)
        abort();
    dev_bus_init(b);
    if (dev_bus_add_ram(b, BASE, SIZE, &err) != GW_OK)
        abort();
    return b;
}

/* What was loaded is memory; a failure says why. */
static void must_fit(enum gw_status st, const struct image *im, const struct gw_error *err)
{
    if (st != GW_OK) {
        if (!err->message[0])
            abort();
        return;
    }
    if (im->first < BASE || im->last > BASE + SIZE || im->first > im->last)
        abort();
}

static void place(struct fz_bytes *in)
{
    struct placement p;
    struct gw_error err = {0};
    uint64_t floor = BASE + fz_take(in, 4), limit = BASE + fz_take(in, 4);
    uint64_t initrd = fz_number(in), tree = fz_number(in);
    if (place_high(floor, limit, initrd, tree, &p, &err) != GW_OK)
        return;
    if (p.initrd_at < floor || p.dtb_at < p.initrd_at || initrd > p.dtb_at - p.initrd_at ||
        p.dtb_at > limit || tree > limit - p.dtb_at)
        abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct fz_bytes in = {.at = data, .end = data + size};
    unsigned kind = (unsigned)fz_take(&in, 1);
    struct gw_dma dma = {.bus = &bus()->bus};
    struct blob b = {.name = "file"};
    struct gw_error err = {0};
    struct image im;
    size_t bytes = kind & 1 ? ELF_SAMPLE_BYTES : IMAGE_BYTES;
    uint8_t *file = malloc(FILE_MAX), *exact;
    if (!file)
        abort();
    if (kind & 4)
        place(&in);
    if (kind & 1)
        elf_sample(file, BASE + 0x4000);
    else
        image_sample(file);
    b.size = fz_edit(&in, file, bytes, FILE_MAX);
    /* Exactly as long, so that a read beyond its end shows. */
    exact = malloc(b.size ? b.size : 1);
    if (!exact)
        abort();
    memcpy(exact, file, b.size);
    b.data = exact;
    if (kind & 2)
        must_fit(load_firmware(&dma, &b, BASE, &im, &err), &im, &err);
    else
        must_fit(load_kernel(&dma, &b, BASE, &im, &err), &im, &err);
    free(exact);
    free(file);
    return 0;
}
