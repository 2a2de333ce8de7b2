/*
 * Sources: Linux, Documentation/arch/riscv/boot-image-header.rst; System V ABI (ELF-64); RISC-V ELF
 * psABI 1.0.
 */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "machine/boot/loader.h"

#include "machine/riscv64/board.h"
#include "frontend/guests.h"
#include "godwit/word.h"

#define IMAGE_HEADER_BYTES 64u
#define IMAGE_MAGIC2_AT    56u
#define INITRD_ALIGN       UINT64_C(0x1000)
#define DTB_ALIGN          UINT64_C(0x200000) /* the kernel maps it by such pages early on */

enum { ET_EXEC = 2, ET_DYN = 3, PT_LOAD = 1, SHT_SYMTAB = 2 };
enum { EHDR_BYTES = 64, PHDR_BYTES = 56, SHDR_BYTES = 64, SYM_BYTES = 24 };

static uint64_t little(const uint8_t *p, unsigned size)
{
    uint64_t v = 0;
    for (unsigned i = 0; i < size; i++)
        v |= (uint64_t)p[i] << (8 * i);
    return v;
}

enum gw_status blob_open(struct blob *b, const char *path, const char *what, struct gw_error *err)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK); /* a pipe is refused, not waited for */
    enum gw_status st;
    *b = (struct blob){.name = path};
    if (fd < 0)
        return gw_fail(err, errno == ENOENT ? GW_ERR_NOTFOUND : GW_ERR_IO, path,
                       "cannot open the %s: %s", what, strerror(errno));
    st = blob_map(b, fd, path, what, err);
    close(fd);
    return st;
}

enum gw_status blob_map(struct blob *b, int fd, const char *path, const char *what,
                        struct gw_error *err)
{
    struct stat st;
    void *p = NULL;
    *b = (struct blob){.name = path};
    if (fstat(fd, &st) < 0 || !S_ISREG(st.st_mode))
        return gw_fail(err, GW_ERR_FORMAT, path, "cannot open the %s: not a regular file", what);
    if (st.st_size > 0)
        p = mmap(NULL, (size_t)st.st_size, PROT_READ, MAP_PRIVATE, fd, 0);
    if (p == MAP_FAILED)
        return gw_fail(err, GW_ERR_IO, path, "cannot read the %s: %s", what, strerror(errno));
    b->data = p;
    b->size = (size_t)st.st_size;
    return GW_OK;
}

void blob_close(struct blob *b)
{
    if (b->data)
        munmap((void *)(uintptr_t)b->data, b->size);
    b->data = NULL;
    b->size = 0;
}

static enum gw_status too_big(const char *name, uint64_t at, uint64_t size, struct gw_error *err)
{
    enum gw_status st =
        gw_fail(err, GW_ERR_LIMIT, name,
                "does not fit in the guest's memory: 0x%" PRIx64 " bytes at 0x%" PRIx64, size, at);
    if (err)
        snprintf(err->hint, sizeof err->hint, "give the machine more: -m 1G");
    return st;
}

/* ---- Linux Image ---------------------------------------------------------------------------- */

static bool is_image(const struct blob *f)
{
    return f->size >= IMAGE_HEADER_BYTES && !memcmp(f->data + IMAGE_MAGIC2_AT, "RSC\x05", 4);
}

static enum gw_status load_image(const struct gw_dma *dma, const struct blob *f, uint64_t base,
                                 struct image *out, struct gw_error *err)
{
    uint64_t text_offset = little(f->data + 8, 8), image_size = little(f->data + 16, 8);
    uint64_t flags = little(f->data + 24, 8), at = base + text_offset;
    uint64_t need = image_size > f->size ? image_size : f->size;
    if (flags & 1)
        return gw_fail(err, GW_ERR_UNSUPPORTED, f->name, "cannot run the kernel: it is big-endian");
    if (at < base || at % 4096)
        return gw_fail(err, GW_ERR_FORMAT, f->name,
                       "cannot run the kernel: its load offset makes no sense");
    /* The image's own size counts its zeroed tail, so a file may be shorter, but not by its code:
     * a PE header, which all distributions' kernels have, tells how much is in the file. */
    if (image_size && f->size > 0x40 && f->data[0] == 'M' && f->data[1] == 'Z') {
        uint64_t pe = little(f->data + 0x3c, 4), sections, optional, table;
        if (pe <= f->size && f->size - pe >= 24 && !memcmp(f->data + pe, "PE\0\0", 4)) {
            sections = little(f->data + pe + 6, 2);
            optional = little(f->data + pe + 20, 2);
            table = pe + 24 + optional;
            for (uint64_t i = 0; i < sections; i++) {
                uint64_t row = table + 40 * i;
                if (row + 40 > f->size ||
                    little(f->data + row + 20, 4) + little(f->data + row + 16, 4) > f->size)
                    return gw_fail(err, GW_ERR_FORMAT, f->name,
                                   "cannot run the kernel: the file is cut short");
            }
        }
    }
    if (!gw_bus_ram(dma->bus, at, need))
        return too_big(f->name, at, need, err);
    if (!gw_dma_write(dma, at, f->data, f->size))
        return too_big(f->name, at, f->size, err);
    *out = (struct image){.entry = at, .first = at, .last = at + need};
    return GW_OK;
}

/* ---- ELF ------------------------------------------------------------------------------------ */

static bool is_elf(const struct blob *f)
{
    return f->size >= 4 && !memcmp(f->data, "\177ELF", 4);
}

/* [offset, offset+size) is within the file. */
static bool in_file(const struct blob *f, uint64_t offset, uint64_t size)
{
    return offset <= f->size && size <= f->size - offset;
}

static enum gw_status bad_elf(const struct blob *f, const char *why, struct gw_error *err)
{
    return gw_fail(err, GW_ERR_FORMAT, f->name, "cannot load the ELF file: %s", why);
}

static enum gw_status wrong_arch(const struct blob *f, const char *what, struct gw_error *err)
{
    char guests[128];
    return gw_fail(err, GW_ERR_UNSUPPORTED, f->name,
                   "wrong architecture: %s, and the guests are: %s", what,
                   guest_names(&gw_guests, guests, sizeof guests));
}

static enum gw_status check_elf(const struct blob *f, struct gw_error *err)
{
    uint16_t machine;
    if (f->size < EHDR_BYTES)
        return bad_elf(f, "the file is cut short", err);
    machine = (uint16_t)little(f->data + 18, 2);
    const struct guest_isa *isa = guest_by_elf(&gw_guests, machine);
    if (!isa || strcmp(isa->name, VIRT_ARCH) != 0)
        return wrong_arch(f, guest_elf_name(machine), err);
    if (f->data[4] != 2)
        return wrong_arch(f, "a 32-bit machine", err);
    if (f->data[5] != 1)
        return bad_elf(f, "it is big-endian", err);
    if (little(f->data + 16, 2) != ET_EXEC && little(f->data + 16, 2) != ET_DYN)
        return bad_elf(f, "it is no program", err);
    if (little(f->data + 54, 2) != PHDR_BYTES ||
        !in_file(f, little(f->data + 32, 8), little(f->data + 56, 2) * PHDR_BYTES))
        return bad_elf(f, "its program headers are beyond its end", err);
    return GW_OK;
}

static bool clear_memory(const struct gw_dma *dma, uint64_t at, uint64_t size)
{
    const struct gw_ram *ram = gw_bus_ram(dma->bus, at, size);
    if (!ram)
        return false;
    memset(gw_ram_host(ram, at), 0, size);
    if (size && dma->bus->ram_written)
        dma->bus->ram_written(dma->bus->engine, at, size);
    return true;
}

static enum gw_status load_segment(const struct gw_dma *dma, const struct blob *f,
                                   const uint8_t *ph, uint64_t base, struct image *out,
                                   struct gw_error *err)
{
    uint64_t offset = little(ph + 8, 8), vaddr = little(ph + 16, 8);
    uint64_t paddr = little(ph + 24, 8) + base;
    uint64_t in_bytes = little(ph + 32, 8), bytes = little(ph + 40, 8);
    uint64_t entry = little(f->data + 24, 8);
    if (bytes == 0)
        return GW_OK;
    if (in_bytes > bytes || !in_file(f, offset, in_bytes))
        return bad_elf(f, "the file is cut short", err);
    if (!gw_dma_write(dma, paddr, f->data + offset, in_bytes) ||
        !clear_memory(dma, paddr + in_bytes, bytes - in_bytes))
        return too_big(f->name, paddr, bytes, err);
    /* Kernels are linked high and start without paging: the entry is a virtual address. */
    if (entry - vaddr < bytes)
        out->entry = entry - vaddr + paddr;
    if (paddr < out->first)
        out->first = paddr;
    if (paddr + bytes > out->last)
        out->last = paddr + bytes;
    return GW_OK;
}

/* The value of a symbol, or 0. Broken tables count as no table. */
static uint64_t find_symbol(const struct blob *f, const char *name)
{
    uint64_t shoff = little(f->data + 40, 8), count = little(f->data + 60, 2);
    size_t length = strlen(name) + 1;
    if (little(f->data + 58, 2) != SHDR_BYTES || !in_file(f, shoff, count * SHDR_BYTES))
        return 0;
    for (uint64_t i = 0; i < count; i++) {
        const uint8_t *sh = f->data + shoff + i * SHDR_BYTES, *strings;
        uint64_t at = little(sh + 24, 8), size = little(sh + 32, 8), link = little(sh + 40, 4);
        uint64_t strings_at, strings_size;
        if (little(sh + 4, 4) != SHT_SYMTAB || link >= count || !in_file(f, at, size))
            continue;
        strings = f->data + shoff + link * SHDR_BYTES;
        strings_at = little(strings + 24, 8);
        strings_size = little(strings + 32, 8);
        if (!in_file(f, strings_at, strings_size))
            continue;
        for (uint64_t s = 0; s + SYM_BYTES <= size; s += SYM_BYTES) {
            uint64_t n = little(f->data + at + s, 4);
            if (n < strings_size && strings_size - n >= length &&
                !memcmp(f->data + strings_at + n, name, length))
                return little(f->data + at + s + 8, 8);
        }
        break; /* a file has one such table (gABI, chapter 4) */
    }
    return 0;
}

static uint64_t memory_bytes(const struct gw_dma *dma)
{
    uint64_t bytes = 0;
    for (unsigned i = 0; i < dma->bus->ram_count; i++)
        bytes += dma->bus->ram[i].size;
    return bytes;
}

/* base: added to all physical addresses. */
static enum gw_status load_elf(const struct gw_dma *dma, const struct blob *f, uint64_t base,
                               struct image *out, struct gw_error *err)
{
    enum gw_status st = check_elf(f, err);
    uint64_t phoff, count, total = 0;
    if (st != GW_OK)
        return st;
    *out = (struct image){.entry = little(f->data + 24, 8), .first = UINT64_MAX, .is_elf = true};
    phoff = little(f->data + 32, 8);
    count = little(f->data + 56, 2);
    for (uint64_t i = 0; st == GW_OK && i < count; i++) {
        const uint8_t *ph = f->data + phoff + i * PHDR_BYTES;
        if (little(ph, 4) != PT_LOAD)
            continue;
        /* All of memory over and over: a file of 4 MiB could ask for weeks of it. */
        if (__builtin_add_overflow(total, little(ph + 40, 8), &total) || total > memory_bytes(dma))
            return too_big(f->name, little(ph + 24, 8) + base, little(ph + 40, 8), err);
        st = load_segment(dma, f, ph, base, out, err);
    }
    if (st == GW_OK && out->first == UINT64_MAX)
        return bad_elf(f, "it has nothing to load", err);
    out->tohost = find_symbol(f, "tohost");
    if (out->tohost)
        out->tohost += base;
    return st;
}

/* A shared object whose first byte has address 0: it runs anywhere. */
static bool is_linked_at_zero(const struct blob *f)
{
    uint64_t phoff, count, low = UINT64_MAX;
    if (check_elf(f, NULL) != GW_OK || little(f->data + 16, 2) != ET_DYN)
        return false;
    phoff = little(f->data + 32, 8);
    count = little(f->data + 56, 2);
    for (uint64_t i = 0; i < count; i++) {
        const uint8_t *ph = f->data + phoff + i * PHDR_BYTES;
        if (little(ph, 4) == PT_LOAD && little(ph + 24, 8) < low)
            low = little(ph + 24, 8);
    }
    return low == 0;
}

/* ---- the ways in ---------------------------------------------------------------------------- */

enum gw_status load_kernel(const struct gw_dma *dma, const struct blob *f, uint64_t base,
                           struct image *out, struct gw_error *err)
{
    if (is_image(f))
        return load_image(dma, f, base, out, err);
    if (is_elf(f))
        return load_elf(dma, f, 0, out, err);
    if (f->size >= 2 && f->data[0] == 0x1f && f->data[1] == 0x8b) {
        enum gw_status st = gw_fail(err, GW_ERR_UNSUPPORTED, f->name,
                                    "cannot run the kernel: it is compressed by gzip");
        gw_hint_of(err, "gzip -dc @ > @.raw", f->name);
        return st;
    }
    if (f->size >= 64 && !memcmp(f->data + IMAGE_MAGIC2_AT, "ARM\x64", 4))
        return wrong_arch(f, "aarch64", err);
    if (f->size < IMAGE_HEADER_BYTES)
        return gw_fail(err, GW_ERR_FORMAT, f->name, "cannot run the kernel: the file is cut short");
    return gw_fail(err, GW_ERR_FORMAT, f->name,
                   "cannot run the kernel: neither a RISC-V Linux Image nor an ELF file");
}

enum gw_status load_firmware(const struct gw_dma *dma, const struct blob *f, uint64_t base,
                             struct image *out, struct gw_error *err)
{
    /* Position-independent firmware, as OpenSBI is built, moves itself to where it was put. */
    if (is_elf(f))
        return load_elf(dma, f, is_linked_at_zero(f) ? base : 0, out, err);
    if (f->size == 0)
        return gw_fail(err, GW_ERR_FORMAT, f->name, "cannot run the firmware: the file is empty");
    if (!gw_dma_write(dma, base, f->data, f->size))
        return too_big(f->name, base, f->size, err);
    *out = (struct image){.entry = base, .first = base, .last = base + f->size};
    return GW_OK;
}

/* The device tree highest, the initrd below it. */
enum gw_status place_high(uint64_t floor, uint64_t limit, uint64_t initrd_bytes, uint64_t dtb_bytes,
                          struct placement *out, struct gw_error *err)
{
    uint64_t at = limit;
    *out = (struct placement){0};
    if (floor > limit || dtb_bytes > limit - floor)
        return too_big("device tree", floor, dtb_bytes, err);
    at = (at - dtb_bytes) & ~(DTB_ALIGN - 1);
    out->dtb_at = at;
    if (at < floor || initrd_bytes > at - floor)
        return too_big(initrd_bytes ? "initrd" : "device tree", floor,
                       initrd_bytes ? initrd_bytes : dtb_bytes, err);
    out->initrd_at = (at - initrd_bytes) & ~(INITRD_ALIGN - 1);
    if (out->initrd_at < floor)
        return too_big("initrd", floor, initrd_bytes, err);
    return GW_OK;
}
