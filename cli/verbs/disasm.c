/* The verb disasm: lists the code of an ELF file's executable sections, or of raw bytes. */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "cli/cli.h"
#include "frontend/guests.h"
#include "machine/machine.h"
#include "godwit/word.h"

enum { EHDR_BYTES = 64, SHDR_BYTES = 64, PHDR_BYTES = 56 };
enum { SHT_PROGBITS = 1, SHF_EXECINSTR = 4, PT_LOAD = 1, PF_X = 1 };

struct file {
    const struct guest_isa *isa;
    const char *name;
    const uint8_t *data;
    size_t size;
};

static uint64_t little(const uint8_t *p, unsigned size)
{
    uint64_t v = 0;
    for (unsigned i = 0; i < size; i++)
        v |= (uint64_t)p[i] << (8 * i);
    return v;
}

static bool in_file(const struct file *f, uint64_t offset, uint64_t size)
{
    return offset <= f->size && size <= f->size - offset;
}

static void list(const struct guest_isa *isa, const uint8_t *code, uint64_t size, uint64_t address)
{
    for (uint64_t at = 0; at < size;) {
        char text[128];
        unsigned length = 0;
        isa->disasm(text, sizeof text, address + at, code + at, size - at, &length);
        if (!length) { /* what is left is less than an instruction */
            printf("%8" PRIx64 ":\t%02x\t.byte\t0x%02x\n", address + at, code[at], code[at]);
            at++;
            continue;
        }
        printf("%8" PRIx64 ":\t%0*" PRIx64 "%*s\t%s\n", address + at, (int)length * 2,
               little(code + at, length), length == 4 ? 1 : 5, "", text);
        at += length;
    }
}

static enum gw_status bad(const struct file *f, const char *why, struct gw_error *err)
{
    return gw_fail(err, GW_ERR_FORMAT, f->name, "cannot list the file: %s", why);
}

static enum gw_status list_sections(const struct file *f, unsigned *listed, struct gw_error *err)
{
    uint64_t at = little(f->data + 40, 8), count = little(f->data + 60, 2);
    if (count && (little(f->data + 58, 2) != SHDR_BYTES || !in_file(f, at, count * SHDR_BYTES)))
        return bad(f, "its section headers are beyond its end", err);
    for (uint64_t i = 0; i < count; i++) {
        const uint8_t *sh = f->data + at + i * SHDR_BYTES;
        uint64_t offset = little(sh + 24, 8), size = little(sh + 32, 8);
        if (little(sh + 4, 4) != SHT_PROGBITS || !(little(sh + 8, 8) & SHF_EXECINSTR))
            continue;
        if (!in_file(f, offset, size))
            return bad(f, "the file is cut short", err);
        list(f->isa, f->data + offset, size, little(sh + 16, 8));
        ++*listed;
    }
    return GW_OK;
}

static enum gw_status list_segments(const struct file *f, struct gw_error *err)
{
    uint64_t at = little(f->data + 32, 8), count = little(f->data + 56, 2);
    if (count && (little(f->data + 54, 2) != PHDR_BYTES || !in_file(f, at, count * PHDR_BYTES)))
        return bad(f, "its program headers are beyond its end", err);
    for (uint64_t i = 0; i < count; i++) {
        const uint8_t *ph = f->data + at + i * PHDR_BYTES;
        uint64_t offset = little(ph + 8, 8), size = little(ph + 32, 8);
        if (little(ph, 4) != PT_LOAD || !(little(ph + 4, 4) & PF_X))
            continue;
        if (!in_file(f, offset, size))
            return bad(f, "the file is cut short", err);
        list(f->isa, f->data + offset, size, little(ph + 16, 8));
    }
    return GW_OK;
}

static enum gw_status list_elf(struct file *f, struct gw_error *err)
{
    enum gw_status st;
    unsigned listed = 0;
    char guests[128];
    if (f->size < 4 || memcmp(f->data, "\177ELF", 4) != 0) {
        st = bad(f, "not an ELF file", err);
        gw_hint_of(err, "godwit disasm --raw @", f->name);
        return st;
    }
    if (f->size < EHDR_BYTES)
        return bad(f, "the file is cut short", err);
    f->isa = guest_by_elf(&gw_guests, (uint16_t)little(f->data + 18, 2));
    if (!f->isa || f->data[4] != 2 || f->data[5] != 1)
        return gw_fail(err, GW_ERR_UNSUPPORTED, f->name,
                       "cannot list the file: wrong architecture: %s, and the guests are: %s",
                       guest_elf_name((uint16_t)little(f->data + 18, 2)),
                       guest_names(&gw_guests, guests, sizeof guests));
    st = list_sections(f, &listed, err);
    return st != GW_OK || listed ? st : list_segments(f, err);
}

static enum gw_status open_file(struct file *f, struct gw_error *err)
{
    struct stat s;
    int fd = open(f->name, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    void *p = NULL;
    if (fd < 0)
        return gw_fail(err, errno == ENOENT ? GW_ERR_NOTFOUND : GW_ERR_IO, f->name,
                       "cannot open the file: %s", strerror(errno));
    if (fstat(fd, &s) < 0 || !S_ISREG(s.st_mode)) {
        close(fd);
        return bad(f, "not a regular file", err);
    }
    if (s.st_size)
        p = mmap(NULL, (size_t)s.st_size, PROT_READ, MAP_PRIVATE, fd, 0);
    close(fd);
    if (p == MAP_FAILED)
        return gw_fail(err, GW_ERR_IO, f->name, "cannot read the file: %s", strerror(errno));
    f->data = p;
    f->size = (size_t)s.st_size;
    return GW_OK;
}

/* Before it is looked into: it may be a stranger's. */
static enum gw_status lock_in(struct gw_error *err)
{
    const struct machine_api *machine;
    enum gw_status st = cli_machine_module(&machine, err);
    return st != GW_OK || machine->sandbox_missing() ? st : machine->lock_reader(err);
}

int cli_disasm(const struct cli_options *o)
{
    struct gw_error err = {0};
    struct file f = {.name = o->args[0],
                     .isa = o->arch ? guest_by_name(&gw_guests, o->arch) : gw_guests.guest[0]};
    enum gw_status st = open_file(&f, &err);
    if (st == GW_OK)
        st = lock_in(&err);
    if (st == GW_OK && o->raw)
        list(f.isa, f.data, f.size, o->base);
    else if (st == GW_OK)
        st = list_elf(&f, &err);
    if (f.data)
        munmap((void *)(uintptr_t)f.data, f.size);
    if (st != GW_OK)
        cli_print_error(&err);
    return cli_status_of(st);
}
