/*
 * Which function of which file an address belongs to: the host knows the file behind each mapping,
 * and the file's symbol table the function. The files are hostile: every number is checked.
 */
#include <elf.h>
#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "usermode/um_symbol.h"

enum { MOST_SECTIONS = 4096, MOST_NAME = 80 };
#define MOST_TABLE (UINT64_C(64) << 20)

struct file {
    int fd;
    uint64_t size;
};

static bool file_behind(const struct um_space *s, uint64_t addr, char path[PATH_MAX],
                        uint64_t *offset)
{
    uint64_t host = s->base + addr;
    char line[PATH_MAX + 128];
    bool found = false;
    FILE *f = fopen("/proc/self/maps", "re");
    while (f && !found && fgets(line, sizeof line, f)) {
        uint64_t start, end, at;
        int name = 0;
        if (sscanf(line, "%" SCNx64 "-%" SCNx64 " %*s %" SCNx64 " %*s %*s %n", &start, &end, &at,
                   &name) < 3)
            continue;
        if (host < start || host >= end)
            continue;
        line[strcspn(line, "\n")] = 0;
        if (line[name] != '/')
            break;
        snprintf(path, PATH_MAX, "%s", line + name);
        *offset = host - start + at;
        found = true;
    }
    if (f)
        fclose(f);
    return found;
}

/* A copy of part of the file, ended by a zero byte; NULL: it is not there, or too much. */
static void *part(const struct file *f, uint64_t offset, uint64_t size)
{
    if (offset > f->size || size > f->size - offset || size > MOST_TABLE)
        return NULL;
    uint8_t *p = malloc(size + 1);
    if (p && pread(f->fd, p, size, (off_t)offset) == (ssize_t)size) {
        p[size] = 0;
        return p;
    }
    free(p);
    return NULL;
}

/* The file's own address of a byte of it. */
static bool address_of(const struct file *f, const Elf64_Ehdr *h, uint64_t offset, uint64_t *vaddr)
{
    Elf64_Phdr *ph = part(f, h->e_phoff, h->e_phnum * sizeof *ph);
    bool found = false;
    for (unsigned i = 0; ph && i < h->e_phnum && !found; i++)
        if (ph[i].p_type == PT_LOAD && offset >= ph[i].p_offset &&
            offset - ph[i].p_offset < ph[i].p_filesz) {
            *vaddr = ph[i].p_vaddr + (offset - ph[i].p_offset);
            found = true;
        }
    free(ph);
    return found;
}

static bool covers(const Elf64_Sym *s, uint64_t vaddr)
{
    unsigned type = ELF64_ST_TYPE(s->st_info);
    return (type == STT_FUNC || type == STT_NOTYPE) && s->st_shndx != SHN_UNDEF && s->st_name &&
           s->st_value <= vaddr && (s->st_size == 0 || vaddr - s->st_value < s->st_size);
}

/* The nearest symbol below: functions before labels, which assemblers and linkers make many of. */
static const Elf64_Sym *nearest(const Elf64_Sym *syms, uint64_t count, uint64_t vaddr)
{
    const Elf64_Sym *best = NULL;
    for (uint64_t i = 0; i < count; i++) {
        const Elf64_Sym *s = &syms[i];
        if (!covers(s, vaddr))
            continue;
        bool is_function = ELF64_ST_TYPE(s->st_info) == STT_FUNC;
        bool had_function = best && ELF64_ST_TYPE(best->st_info) == STT_FUNC;
        if (!best || (is_function && !had_function) ||
            (is_function == had_function && s->st_value > best->st_value))
            best = s;
    }
    return best;
}

static bool name_from(const struct file *f, const Elf64_Shdr *table, const Elf64_Shdr *strings,
                      uint64_t vaddr, unsigned back, char *buf, size_t size)
{
    Elf64_Sym *syms = part(f, table->sh_offset, table->sh_size);
    char *names = part(f, strings->sh_offset, strings->sh_size);
    const Elf64_Sym *s = syms && names ? nearest(syms, table->sh_size / sizeof *syms, vaddr) : NULL;
    bool found = s && s->st_name < strings->sh_size;
    if (found) {
        char *name = names + s->st_name;
        for (char *c = name; *c; c++)
            if (*c <= ' ' || *c > '~')
                *c = '?';
        snprintf(buf, size, "%.*s+%#" PRIx64, MOST_NAME, name, vaddr - s->st_value + back);
    }
    free(names);
    free(syms);
    return found;
}

static bool name_in(const struct file *f, const Elf64_Ehdr *h, uint64_t vaddr, unsigned back,
                    char *buf, size_t size)
{
    static const uint32_t kinds[] = {SHT_SYMTAB, SHT_DYNSYM};
    bool found = false;
    if (h->e_shentsize != sizeof(Elf64_Shdr) || h->e_shnum > MOST_SECTIONS)
        return false;
    Elf64_Shdr *sh = part(f, h->e_shoff, h->e_shnum * sizeof *sh);
    for (unsigned k = 0; sh && k < 2 && !found; k++)
        for (unsigned i = 0; i < h->e_shnum && !found; i++)
            if (sh[i].sh_type == kinds[k] && sh[i].sh_link < h->e_shnum)
                found = name_from(f, &sh[i], &sh[sh[i].sh_link], vaddr, back, buf, size);
    free(sh);
    return found;
}

void um_symbol(const struct um_space *space, uint64_t addr, bool is_return, char *buf, size_t size)
{
    char path[PATH_MAX];
    uint64_t offset, vaddr;
    struct stat st;
    unsigned back = is_return ? 1 : 0;
    buf[0] = 0;
    if (!file_behind(space, addr - back, path, &offset))
        return;
    struct file f = {.fd = open(path, O_RDONLY | O_CLOEXEC)};
    if (f.fd < 0)
        return;
    if (fstat(f.fd, &st) == 0 && S_ISREG(st.st_mode))
        f.size = (uint64_t)st.st_size;
    Elf64_Ehdr *h = part(&f, 0, sizeof *h);
    if (h && !memcmp(h->e_ident, ELFMAG, SELFMAG) && h->e_ident[EI_CLASS] == ELFCLASS64 &&
        h->e_phentsize == sizeof(Elf64_Phdr) && address_of(&f, h, offset, &vaddr) &&
        !name_in(&f, h, vaddr, back, buf, size))
        snprintf(buf, size, "%.*s+%#" PRIx64, MOST_NAME, strrchr(path, '/') + 1, vaddr + back);
    free(h);
    close(f.fd);
}
