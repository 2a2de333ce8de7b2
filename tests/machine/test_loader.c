/* Kernels, ELF files and placement, from well-formed to hostile. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "machine/boot/loader.h"
#include "devices/memory_bus.h"
#include "machine/loop/text_watch.h"

#define BASE UINT64_C(0x80000000)
#define SIZE UINT64_C(0x400000)

static struct dev_bus bus;
static struct gw_dma dma = {.bus = &bus.bus};

static int setup(void **state)
{
    struct gw_error err;
    dev_bus_init(&bus);
    return dev_bus_add_ram(&bus, BASE, SIZE, &err) != GW_OK;
}

static int teardown(void **state)
{
    dev_bus_destroy(&bus);
    return 0;
}

static void put(uint8_t *p, uint64_t v, unsigned size)
{
    for (unsigned i = 0; i < size; i++)
        p[i] = (uint8_t)(v >> (8 * i));
}

static enum gw_status load(const uint8_t *data, size_t size, struct image *out)
{
    struct blob b = {.name = "k", .data = data, .size = size};
    struct gw_error err = {0};
    enum gw_status st = load_kernel(&dma, &b, BASE, out, &err);
    assert_true(st == GW_OK || err.message[0]);
    return st;
}

static void make_image(uint8_t *p, uint64_t text_offset, uint64_t image_size)
{
    memset(p, 0, 4096);
    put(p + 8, text_offset, 8);
    put(p + 16, image_size, 8);
    memcpy(p + 48, "RISCV\0\0\0RSC\x05", 12);
    p[4095] = 0x77;
}

static void image_goes_to_its_offset(void **state)
{
    uint8_t k[4096];
    struct image im;
    make_image(k, 0x200000, 0x10000);
    assert_int_equal(load(k, sizeof k, &im), GW_OK);
    assert_int_equal(im.entry, BASE + 0x200000);
    assert_int_equal(im.last, BASE + 0x210000);
    assert_int_equal(bus.ram[0].host[0x200fff], 0x77);
    assert_false(im.is_elf);
}

static void image_that_does_not_fit_is_refused(void **state)
{
    static const struct {
        uint64_t offset, size;
        enum gw_status status;
    } bad[] = {
        {0x200000, 0x200001, GW_ERR_LIMIT},          {0x200000, UINT64_MAX, GW_ERR_LIMIT},
        {UINT64_MAX - 0xfff, 0x1000, GW_ERR_FORMAT}, /* wraps */
        {0x200001, 0x1000, GW_ERR_FORMAT},           {UINT64_C(1) << 40, 0x1000, GW_ERR_LIMIT},
        {SIZE - 0xfff + 0xfff, 0, GW_ERR_LIMIT},
    };
    uint8_t k[4096];
    struct image im;
    for (unsigned i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        make_image(k, bad[i].offset, bad[i].size);
        assert_int_equal(load(k, sizeof k, &im), bad[i].status);
    }
    make_image(k, 0x200000, 0x1000);
    for (size_t n = 0; n < 64; n++)
        assert_int_equal(load(k, n, &im), GW_ERR_FORMAT);
    k[24] = 1; /* big-endian */
    assert_int_equal(load(k, sizeof k, &im), GW_ERR_UNSUPPORTED);
}

static void truncated_pe_kernel_is_noticed(void **state)
{
    uint8_t k[4096];
    struct image im;
    make_image(k, 0x200000, 0x10000);
    memcpy(k, "MZ", 2);
    put(k + 0x3c, 64, 4);
    memcpy(k + 64, "PE\0\0", 4);
    put(k + 64 + 6, 1, 2);           /* sections */
    put(k + 64 + 20, 0, 2);          /* no optional header */
    put(k + 64 + 24 + 16, 0x800, 4); /* raw size, raw offset */
    put(k + 64 + 24 + 20, 0x800, 4);
    assert_int_equal(load(k, sizeof k, &im), GW_OK);
    assert_int_equal(load(k, sizeof k - 1, &im), GW_ERR_FORMAT);
    put(k + 64 + 6, 0xffff, 2);
    assert_int_equal(load(k, sizeof k, &im), GW_ERR_FORMAT);
    put(k + 0x3c, 0xfffffff0, 4); /* no such header: an image without one */
    assert_int_equal(load(k, sizeof k, &im), GW_OK);
}

enum { ELF_BYTES = 0x400, PHDR = 64 };

/* One segment: file 0x200..0x300 to paddr BASE + 0x1000, 0x180 bytes in memory. */
static void make_elf(uint8_t *p)
{
    memset(p, 0, ELF_BYTES);
    memcpy(p, "\177ELF\2\1\1", 7);
    put(p + 16, 2, 2);
    put(p + 18, 243, 2);
    put(p + 24, UINT64_C(0xffffffff80001010), 8); /* entry, virtual */
    put(p + 32, PHDR, 8);
    put(p + 54, 56, 2);
    put(p + 56, 1, 2);
    put(p + PHDR, 1, 4);
    put(p + PHDR + 8, 0x200, 8);
    put(p + PHDR + 16, UINT64_C(0xffffffff80001000), 8);
    put(p + PHDR + 24, BASE + 0x1000, 8);
    put(p + PHDR + 32, 0x100, 8);
    put(p + PHDR + 40, 0x180, 8);
    memset(p + 0x200, 0xab, 0x100);
}

static void elf_goes_to_physical_addresses(void **state)
{
    uint8_t e[ELF_BYTES];
    struct image im;
    make_elf(e);
    memset(bus.ram[0].host + 0x1000, 0xff, 0x200);
    assert_int_equal(load(e, sizeof e, &im), GW_OK);
    assert_int_equal(im.entry, BASE + 0x1010);
    assert_int_equal(im.first, BASE + 0x1000);
    assert_int_equal(im.last, BASE + 0x1180);
    assert_true(im.is_elf);
    assert_int_equal(im.tohost, 0);
    assert_int_equal(bus.ram[0].host[0x10ff], 0xab);
    assert_int_equal(bus.ram[0].host[0x1100], 0); /* .bss is cleared */
    assert_int_equal(bus.ram[0].host[0x117f], 0);
    assert_int_equal(bus.ram[0].host[0x1180], 0xff);
}

static void hostile_elf_is_refused(void **state)
{
    static const struct {
        unsigned at, size;
        uint64_t value;
        enum gw_status status;
    } bad[] = {
        {18, 2, 62, GW_ERR_UNSUPPORTED}, /* x86-64 */
        {4, 1, 1, GW_ERR_UNSUPPORTED},   /* 32 bits */
        {5, 1, 2, GW_ERR_FORMAT},        /* big-endian */
        {16, 2, 1, GW_ERR_FORMAT},       /* an object file */
        {54, 2, 32, GW_ERR_FORMAT},
        {32, 8, UINT64_MAX - 8, GW_ERR_FORMAT},
        {32, 8, ELF_BYTES - 55, GW_ERR_FORMAT},
        {56, 2, 0xffff, GW_ERR_FORMAT},
        {56, 2, 0, GW_ERR_FORMAT}, /* nothing to load */
        {PHDR + 8, 8, UINT64_MAX, GW_ERR_FORMAT},
        {PHDR + 8, 8, ELF_BYTES - 0xff, GW_ERR_FORMAT},
        {PHDR + 32, 8, UINT64_MAX, GW_ERR_FORMAT},
        {PHDR + 32, 8, 0x181, GW_ERR_FORMAT}, /* more in the file than in memory */
        {PHDR + 24, 8, BASE + SIZE - 0x17f, GW_ERR_LIMIT},
        {PHDR + 24, 8, 0x1000, GW_ERR_LIMIT},
        {PHDR + 24, 8, UINT64_MAX - 0x80, GW_ERR_LIMIT},
        {PHDR + 40, 8, UINT64_MAX, GW_ERR_LIMIT},
    };
    uint8_t e[ELF_BYTES];
    struct image im;
    for (unsigned i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        make_elf(e);
        put(e + bad[i].at, bad[i].value, bad[i].size);
        assert_int_equal(load(e, sizeof e, &im), bad[i].status);
    }
    make_elf(e);
    for (size_t n = 4; n < 0x300; n++)
        assert_int_equal(load(e, n, &im), GW_ERR_FORMAT);
}

/* A file may not ask for more than memory once: 65535 segments of all of it would take days. */
static void segments_are_no_more_than_memory(void **state)
{
    uint8_t e[ELF_BYTES];
    struct image im;
    make_elf(e);
    put(e + 56, 3, 2);
    for (unsigned i = 0; i < 3; i++) {
        memcpy(e + PHDR + 56 * i, e + PHDR, 56);
        put(e + PHDR + 56 * i + 32, 0, 8);
        put(e + PHDR + 56 * i + 40, SIZE / 2, 8);
    }
    assert_int_equal(load(e, sizeof e, &im), GW_ERR_LIMIT);
    put(e + PHDR + 56 * 2 + 40, 0, 8);
    assert_int_equal(load(e, sizeof e, &im), GW_OK);
}

/* OpenSBI's ELF files are shared objects at address 0 that find out where they are. */
static void firmware_linked_at_zero_is_put_at_the_base(void **state)
{
    uint8_t e[ELF_BYTES];
    struct blob b = {.name = "fw", .data = e, .size = sizeof e};
    struct gw_error err = {0};
    struct image im;
    make_elf(e);
    put(e + 16, 3, 2); /* ET_DYN */
    put(e + 24, 0x10, 8);
    put(e + PHDR + 16, 0, 8);
    put(e + PHDR + 24, 0, 8);
    assert_int_equal(load_firmware(&dma, &b, BASE + 0x3000, &im, &err), GW_OK);
    assert_int_equal(im.entry, BASE + 0x3010);
    assert_int_equal(im.first, BASE + 0x3000);
    assert_int_equal(bus.ram[0].host[0x30ff], 0xab);
    assert_int_equal(load(e, sizeof e, &im), GW_ERR_LIMIT); /* a kernel is not moved */
    put(e + PHDR + 24, BASE + 0x1000, 8);                   /* nor is what has a place */
    put(e + PHDR + 16, BASE + 0x1000, 8);
    put(e + 24, BASE + 0x1010, 8);
    assert_int_equal(load_firmware(&dma, &b, BASE + 0x3000, &im, &err), GW_OK);
    assert_int_equal(im.entry, BASE + 0x1010);
}

static void tohost_is_found(void **state)
{
    uint8_t e[ELF_BYTES];
    struct image im;
    make_elf(e);
    put(e + 40, 0x80, 8); /* two section headers: symbols, strings */
    put(e + 58, 64, 2);
    put(e + 60, 2, 2);
    put(e + 0x80 + 4, 2, 4);
    put(e + 0x80 + 24, 0x300, 8);
    put(e + 0x80 + 32, 48, 8);
    put(e + 0x80 + 40, 1, 4);
    put(e + 0xc0 + 24, 0x340, 8);
    put(e + 0xc0 + 32, 8, 8);
    memcpy(e + 0x340, "\0tohost\0", 8);
    put(e + 0x300 + 24, 1, 4);
    put(e + 0x300 + 32, BASE + 0x2000, 8);
    assert_int_equal(load(e, sizeof e, &im), GW_OK);
    assert_int_equal(im.tohost, BASE + 0x2000);
    put(e + 0xc0 + 32, 7, 8); /* the name's end is missing */
    assert_int_equal(load(e, sizeof e, &im), GW_OK);
    assert_int_equal(im.tohost, 0);
    put(e + 0x80 + 32, UINT64_MAX, 8);
    put(e + 0xc0 + 24, UINT64_MAX, 8);
    assert_int_equal(load(e, sizeof e, &im), GW_OK);
}

static void other_files_are_named(void **state)
{
    uint8_t k[4096] = {0x1f, 0x8b};
    struct image im;
    assert_int_equal(load(k, sizeof k, &im), GW_ERR_UNSUPPORTED); /* gzip */
    memset(k, 0, sizeof k);
    assert_int_equal(load(k, sizeof k, &im), GW_ERR_FORMAT);
    memcpy(k + 56, "ARM\x64", 4);
    assert_int_equal(load(k, sizeof k, &im), GW_ERR_UNSUPPORTED);
    assert_int_equal(load(k, 0, &im), GW_ERR_FORMAT);
}

static void firmware_is_raw_or_elf(void **state)
{
    uint8_t k[128];
    struct blob b = {.name = "fw", .data = k, .size = sizeof k};
    struct gw_error err = {0};
    struct image im;
    memset(k, 0x13, sizeof k);
    assert_int_equal(load_firmware(&dma, &b, BASE, &im, &err), GW_OK);
    assert_int_equal(im.entry, BASE);
    assert_int_equal(bus.ram[0].host[127], 0x13);
    b.size = 0;
    assert_int_equal(load_firmware(&dma, &b, BASE, &im, &err), GW_ERR_FORMAT);
}

static void placement_never_overlaps(void **state)
{
    struct placement at;
    struct gw_error err = {0};
    const uint64_t grain = 0x200000;
    uint64_t floor = BASE + 0x100000, limit = BASE + SIZE;
    assert_int_equal(place_high(floor, limit, 0x12345, 4000, &at, &err), GW_OK);
    assert_true(at.dtb_at + 4000 <= limit);
    assert_true(at.initrd_at + 0x12345 <= at.dtb_at);
    assert_true(at.initrd_at >= floor);
    assert_int_equal(at.initrd_at % 4096, 0);
    assert_int_equal(at.dtb_at % 0x200000, 0);
    assert_int_equal(place_high(floor, limit, SIZE, 4000, &at, &err), GW_ERR_LIMIT);
    assert_int_equal(place_high(floor, limit, UINT64_MAX, 4000, &at, &err), GW_ERR_LIMIT);
    assert_int_equal(place_high(limit - 4096, limit, 0, 4000, &at, &err), GW_ERR_LIMIT);
    assert_int_equal(place_high(limit - 100, limit, 0, 4000, &at, &err), GW_ERR_LIMIT);
    /* a kernel above what firmware looks at */
    assert_int_equal(place_high(limit + grain, limit, 0, 0 - 2 * grain, &at, &err), GW_ERR_LIMIT);
}

static unsigned find(const char *text, const char *stream)
{
    struct text_watch w;
    unsigned found = 0;
    assert_true(text_watch_init(&w, text));
    for (; *stream; stream++)
        found += text_watch_byte(&w, (uint8_t)*stream);
    return found;
}

static void text_is_found_in_a_stream(void **state)
{
    char big[TEXT_WATCH_MAX + 2];
    struct text_watch w;
    assert_int_equal(find("login:", "debian log login: "), 1);
    assert_int_equal(find("aab", "aaab"), 1); /* the restart is not at the beginning */
    assert_int_equal(find("abab", "ababab"), 2);
    assert_int_equal(find("abcabd", "abcabcabd"), 1);
    assert_int_equal(find("x", ""), 0);
    assert_int_equal(find("", "abc"), 0);
    assert_int_equal(find(NULL, "abc"), 0);
    memset(big, 'a', sizeof big);
    big[sizeof big - 1] = 0;
    assert_false(text_watch_init(&w, big));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(image_goes_to_its_offset),
        cmocka_unit_test(image_that_does_not_fit_is_refused),
        cmocka_unit_test(truncated_pe_kernel_is_noticed),
        cmocka_unit_test(elf_goes_to_physical_addresses),
        cmocka_unit_test(hostile_elf_is_refused),
        cmocka_unit_test(segments_are_no_more_than_memory),
        cmocka_unit_test(firmware_linked_at_zero_is_put_at_the_base),
        cmocka_unit_test(tohost_is_found),
        cmocka_unit_test(other_files_are_named),
        cmocka_unit_test(firmware_is_raw_or_elf),
        cmocka_unit_test(placement_never_overlaps),
        cmocka_unit_test(text_is_found_in_a_stream),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
