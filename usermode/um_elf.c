#include "usermode/um_elf.h"

#include <elf.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "frontend/guests.h"

static enum gw_status not_ours(const char *name, const char *what, struct gw_error *err)
{
    char guests[128];
    return gw_fail(err, GW_ERR_UNSUPPORTED, name,
                   "wrong architecture: a program for %s, and the guests are: %s", what,
                   guest_names(&gw_guests, guests, sizeof guests));
}

static enum gw_status read_at(int fd, const char *name, void *to, size_t size, uint64_t offset,
                              struct gw_error *err)
{
    ssize_t n = pread(fd, to, size, (off_t)offset);
    if (n < 0)
        return gw_fail(err, GW_ERR_IO, name, "cannot read: %s", strerror(errno));
    if ((size_t)n != size)
        return gw_fail(err, GW_ERR_FORMAT, name, "truncated ELF file");
    return GW_OK;
}

bool um_elf_is_for(const uint8_t *head, size_t size, uint16_t machine)
{
    return size >= 20 && memcmp(head, ELFMAG, SELFMAG) == 0 && head[EI_CLASS] == ELFCLASS64 &&
           head[EI_DATA] == ELFDATA2LSB && (head[18] | head[19] << 8) == machine;
}

static enum gw_status check_header(const Elf64_Ehdr *h, size_t got, const char *name,
                                   uint16_t machine, struct gw_error *err)
{
    if (got < SELFMAG || memcmp(h->e_ident, ELFMAG, SELFMAG) != 0)
        return gw_fail(err, GW_ERR_UNSUPPORTED, name, "not an ELF program");
    if (got < sizeof *h)
        return gw_fail(err, GW_ERR_FORMAT, name, "truncated ELF header");
    if (h->e_ident[EI_CLASS] != ELFCLASS64)
        return not_ours(name, "a 32-bit machine", err);
    if (h->e_ident[EI_DATA] != ELFDATA2LSB)
        return not_ours(name, "a big-endian machine", err);
    if (h->e_machine != machine)
        return not_ours(name, guest_elf_name(h->e_machine), err);
    if (h->e_type != ET_EXEC && h->e_type != ET_DYN)
        return gw_fail(err, GW_ERR_UNSUPPORTED, name, "an ELF file, but no program (type %u)",
                       h->e_type);
    if (h->e_phentsize != sizeof(Elf64_Phdr) || h->e_phnum == 0 || h->e_phnum > UM_ELF_MAX_PHDRS)
        return gw_fail(err, GW_ERR_FORMAT, name,
                       "broken ELF header: %u program headers of %u bytes", h->e_phnum,
                       h->e_phentsize);
    return GW_OK;
}

/* One PT_LOAD; file_size and the segments before it bound it. */
static enum gw_status add_load(struct um_elf *e, const Elf64_Phdr *p, uint64_t file_size,
                               const char *name, struct gw_error *err)
{
    if (p->p_memsz == 0)
        return GW_OK;
    if (p->p_filesz > p->p_memsz)
        return gw_fail(err, GW_ERR_FORMAT, name, "broken segment: more bytes in file than memory");
    if (p->p_filesz > file_size || p->p_offset > file_size - p->p_filesz)
        return gw_fail(err, GW_ERR_FORMAT, name, "truncated ELF file: a segment ends beyond it");
    if (p->p_memsz > UM_LIMIT - UM_PAGE || p->p_vaddr > UM_LIMIT - UM_PAGE - p->p_memsz)
        return gw_fail(err, GW_ERR_FORMAT, name, "broken segment: address %#llx, size %#llx",
                       (unsigned long long)p->p_vaddr, (unsigned long long)p->p_memsz);
    if (e->load_count && p->p_vaddr < e->high)
        return gw_fail(err, GW_ERR_FORMAT, name, "broken segments: they overlap or are unsorted");
    if (e->load_count == UM_ELF_MAX_LOADS)
        return gw_fail(err, GW_ERR_UNSUPPORTED, name, "more than %u segments", UM_ELF_MAX_LOADS);
    struct um_segment *s = &e->load[e->load_count++];
    s->vaddr = p->p_vaddr;
    s->memsz = p->p_memsz;
    s->offset = p->p_offset;
    s->filesz = p->p_filesz;
    s->prot = (p->p_flags & PF_R ? PROT_READ : 0) | (p->p_flags & PF_W ? PROT_WRITE : 0) |
              (p->p_flags & PF_X ? PROT_EXEC : 0);
    if (e->load_count == 1)
        e->low = p->p_vaddr & ~(uint64_t)(UM_PAGE - 1);
    e->high = p->p_vaddr + p->p_memsz;
    return GW_OK;
}

static enum gw_status read_interp(int fd, const char *name, const Elf64_Phdr *p, struct um_elf *e,
                                  struct gw_error *err)
{
    if (p->p_filesz < 2 || p->p_filesz > sizeof e->interp)
        return gw_fail(err, GW_ERR_FORMAT, name, "broken interpreter name");
    enum gw_status st = read_at(fd, name, e->interp, p->p_filesz, p->p_offset, err);
    if (st)
        return st;
    if (e->interp[p->p_filesz - 1] != 0)
        return gw_fail(err, GW_ERR_FORMAT, name, "broken interpreter name");
    e->has_interp = true;
    return GW_OK;
}

static enum gw_status read_phdrs(int fd, const char *name, const Elf64_Ehdr *h,
                                 const Elf64_Phdr *ph, uint64_t file_size, struct um_elf *e,
                                 struct gw_error *err)
{
    for (unsigned i = 0; i < h->e_phnum; i++) {
        enum gw_status st = GW_OK;
        if (ph[i].p_type == PT_LOAD)
            st = add_load(e, &ph[i], file_size, name, err);
        else if (ph[i].p_type == PT_INTERP)
            st = read_interp(fd, name, &ph[i], e, err);
        else if (ph[i].p_type == PT_GNU_STACK)
            e->exec_stack = ph[i].p_flags & PF_X;
        if (st)
            return st;
    }
    if (e->load_count == 0)
        return gw_fail(err, GW_ERR_FORMAT, name, "no segment to load");
    bool entry_ok = false;
    for (unsigned i = 0; i < e->load_count; i++) {
        const struct um_segment *s = &e->load[i];
        uint64_t in = h->e_phoff - s->offset;
        if (h->e_phoff >= s->offset && in < s->filesz && !e->phdr_vaddr)
            e->phdr_vaddr = s->vaddr + in;
        entry_ok |=
            (s->prot & PROT_EXEC) && h->e_entry >= s->vaddr && h->e_entry - s->vaddr < s->memsz;
    }
    if (!entry_ok || (h->e_entry & 1))
        return gw_fail(err, GW_ERR_FORMAT, name, "entry point %#llx is not in code",
                       (unsigned long long)h->e_entry);
    return GW_OK;
}

enum gw_status um_elf_read(int fd, const char *name, uint16_t machine, struct um_elf *out,
                           struct gw_error *err)
{
    Elf64_Ehdr h;
    memset(&h, 0, sizeof h);
    memset(out, 0, sizeof *out);
    struct stat st;
    if (fstat(fd, &st))
        return gw_fail(err, GW_ERR_IO, name, "cannot read: %s", strerror(errno));
    if (!S_ISREG(st.st_mode))
        return gw_fail(err, GW_ERR_UNSUPPORTED, name, "not a regular file");
    ssize_t n = pread(fd, &h, sizeof h, 0);
    if (n < 0)
        return gw_fail(err, GW_ERR_IO, name, "cannot read: %s", strerror(errno));
    enum gw_status s = check_header(&h, (size_t)n, name, machine, err);
    if (s)
        return s;
    uint64_t file_size = (uint64_t)st.st_size, size = h.e_phnum * sizeof(Elf64_Phdr);
    if (size > file_size || h.e_phoff > file_size - size)
        return gw_fail(err, GW_ERR_FORMAT, name,
                       "truncated ELF file: program headers end beyond it");
    Elf64_Phdr *ph = malloc(size);
    if (!ph)
        return gw_fail(err, GW_ERR_NOMEM, name, "out of memory");
    out->entry = h.e_entry;
    out->relocatable = h.e_type == ET_DYN;
    out->phnum = h.e_phnum;
    s = read_at(fd, name, ph, size, h.e_phoff, err);
    if (!s)
        s = read_phdrs(fd, name, &h, ph, file_size, out, err);
    free(ph);
    return s;
}

/* The file's part. Offsets that don't agree with the address modulo a page are copied. */
static int64_t map_file(int fd, const struct um_segment *g, uint64_t vaddr, struct um_space *space)
{
    uint64_t in_page = vaddr % UM_PAGE;
    if (g->offset % UM_PAGE == in_page)
        return um_space_mmap(space, vaddr - in_page, g->filesz + in_page, g->prot,
                             MAP_PRIVATE | MAP_FIXED, fd, g->offset - in_page);
    int64_t r = um_space_mmap(space, vaddr - in_page, g->filesz + in_page, PROT_READ | PROT_WRITE,
                              MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0);
    if (r < 0)
        return r;
    void *to = um_space_ptr(space, vaddr, g->filesz, PROT_WRITE);
    ssize_t n = pread(fd, to, g->filesz, (off_t)g->offset);
    if (n < 0 || (uint64_t)n != g->filesz)
        return n < 0 ? -errno : -EIO;
    return um_space_mprotect(space, vaddr - in_page, g->filesz + in_page, g->prot);
}

static int64_t map_segment(int fd, const struct um_segment *g, uint64_t bias,
                           struct um_space *space)
{
    uint64_t vaddr = g->vaddr + bias, file_end = vaddr + g->filesz, end = vaddr + g->memsz;
    uint64_t bss = vaddr & ~(uint64_t)(UM_PAGE - 1);
    if (g->filesz) {
        int64_t r = map_file(fd, g, vaddr, space);
        if (r < 0)
            return r;
        bss = (file_end + UM_PAGE - 1) & ~(uint64_t)(UM_PAGE - 1);
        /* The rest of the file's last page is bss, too, and programs count on zeros up to the
         * page's end, beyond their own. */
        if (end > file_end && (g->prot & PROT_WRITE))
            memset(um_space_ptr(space, file_end, bss - file_end, 0), 0, bss - file_end);
    }
    if (end <= bss)
        return 0;
    int64_t r = um_space_mmap(space, bss, end - bss, g->prot,
                              MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0);
    return r < 0 ? r : 0;
}

enum gw_status um_elf_map(int fd, const char *name, const struct um_elf *elf, uint64_t bias,
                          struct um_space *space, struct gw_error *err)
{
    if (bias > space->limit - UM_PAGE || elf->high > space->limit - UM_PAGE - bias)
        return gw_fail(err, GW_ERR_NOMEM, name, "no room for the program");
    for (unsigned i = 0; i < elf->load_count; i++) {
        int64_t r = map_segment(fd, &elf->load[i], bias, space);
        if (r)
            return gw_fail(err, GW_ERR_NOMEM, name, "cannot map a segment of %llu bytes: %s",
                           (unsigned long long)elf->load[i].memsz, strerror((int)-r));
    }
    return GW_OK;
}
