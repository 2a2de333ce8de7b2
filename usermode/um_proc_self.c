/*
 * Files of /proc/self that tell of the guest and not of us: made when they are opened, on memory of
 * their own. The list of mappings is the host's, as far as it lies in the window, with what the guest
 * asked for instead of what the host was told.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "frontend/riscv64/priv.h"
#include "usermode/um.h"

/* A line of /proc/PID/maps. */
struct mapping {
    unsigned long long start, end, offset;
    char perms[5], dev[16], ino[24];
    const char *name;
};

static bool parse(const char *line, struct mapping *m)
{
    int at = 0;
    if (sscanf(line, "%llx-%llx %4s %llx %15s %23s %n", &m->start, &m->end, m->perms, &m->offset,
               m->dev, m->ino, &at) < 6)
        return false;
    m->name = line + at;
    return true;
}

/* What stands for the names that the kernel gives to the host's own heap and stack. */
static const char *guest_name(const struct um_proc *p, uint64_t start, uint64_t end,
                              const char *host)
{
    const struct um_space *s = p->space;
    if (start <= p->stack.sp && p->stack.sp < end)
        return "[stack]\n";
    if (start < s->brk && end > s->brk_start)
        return "[heap]\n";
    return *host ? host : "\n";
}

/* Our lines: where the host's mapping and a region of the guest's overlap. */
static void put_mapping(const struct um_proc *p, const struct mapping *m, FILE *out)
{
    enum { NAME_COLUMN = 73 };
    const struct um_space *s = p->space;
    struct um_region region, *r = &region;
    for (uint64_t at = 0; um_space_find(s, at, true, r); at = r->end) {
        uint64_t from = s->base + r->start, to = s->base + r->end;
        if (from < m->start)
            from = m->start;
        if (to > m->end)
            to = m->end;
        if (s->base + r->start >= m->end)
            break;
        if (from >= to)
            continue;
        uint64_t start = from - s->base, end = to - s->base;
        const char *name = guest_name(p, start, end, m->name);
        int n = fprintf(out, "%08llx-%08llx %c%c%c%c %08llx %s %s ", (unsigned long long)start,
                        (unsigned long long)end, r->prot & PROT_READ ? 'r' : '-',
                        r->prot & PROT_WRITE ? 'w' : '-', r->prot & PROT_EXEC ? 'x' : '-',
                        m->perms[3], m->offset + (from - m->start), m->dev, m->ino);
        fprintf(out, "%*s%s", *name != '\n' && n < NAME_COLUMN ? NAME_COLUMN - n : 0, "", name);
    }
}

static int64_t put_maps(struct um_proc *p, FILE *out)
{
    struct mapping m;
    char *line = NULL;
    size_t size = 0;
    FILE *in = fopen("/proc/self/maps", "re");
    if (!in)
        return -errno;
    while (getline(&line, &size, in) > 0)
        if (parse(line, &m))
            put_mapping(p, &m, out);
    free(line);
    fclose(in);
    return 0;
}

static int64_t put_auxv(struct um_proc *p, FILE *out)
{
    fwrite(p->stack.aux, sizeof *p->stack.aux, p->stack.aux_words, out);
    return 0;
}

/* As the guest has it by now: programs write what they are doing over it. */
static int64_t put_cmdline(struct um_proc *p, FILE *out)
{
    char part[1024];
    uint64_t at = p->stack.args_start, end = p->stack.args_end, n;
    for (; at < end; at += n) {
        n = end - at < sizeof part ? end - at : sizeof part;
        if (um_copy_in(p, part, at, n))
            break;
        fwrite(part, 1, n, out);
    }
    return 0;
}

/* As arch/riscv/kernel/cpu.c of Linux has it. */
static int64_t put_cpuinfo(struct um_proc *p, FILE *out)
{
    char isa[1024];
    long cpus = sysconf(_SC_NPROCESSORS_ONLN);
    rv_isa_string(p->cpu, isa, sizeof isa);
    for (long i = 0; i < cpus; i++) {
        fprintf(out, "processor\t: %ld\nhart\t\t: %ld\nisa\t\t: %s\nmmu\t\t: sv48\n", i, i, isa);
        fprintf(out, "mvendorid\t: 0x0\nmarchid\t\t: 0x0\nmimpid\t\t: 0x0\nhart isa\t: %s\n\n", isa);
    }
    return 0;
}

static int64_t fill(struct um_proc *p, int fd, int64_t (*put)(struct um_proc *, FILE *))
{
    char *text = NULL;
    size_t size = 0;
    FILE *out = open_memstream(&text, &size);
    if (!out)
        return -ENOMEM;
    int64_t r = put(p, out);
    if (fclose(out))
        r = -ENOMEM;
    if (r == 0 && (write(fd, text, size) != (ssize_t)size || lseek(fd, 0, SEEK_SET)))
        r = -ENOMEM;
    free(text);
    return r;
}

/* What `put` says, on memory of its own. */
static int64_t made(struct um_proc *p, const char *name, uint64_t flags,
                    int64_t (*put)(struct um_proc *, FILE *))
{
    int fd = memfd_create(name, flags & O_CLOEXEC ? MFD_CLOEXEC : 0);
    if (fd < 0)
        return -errno;
    int64_t r = fill(p, fd, put);
    if (r)
        close(fd);
    return r ? r : fd;
}

int64_t um_proc_open(struct um_proc *p, const char *path, uint64_t flags)
{
    if (strcmp(path, "/proc/cpuinfo") != 0 || access(path, F_OK) != 0)
        return -ENOSYS;
    return (flags & O_ACCMODE) != O_RDONLY && geteuid() != 0 ? -EACCES
                                                            : made(p, "cpuinfo", flags, put_cpuinfo);
}

static const struct file {
    const char *name;
    int64_t (*put)(struct um_proc *p, FILE *out);
} files[] = {{"maps", put_maps}, {"auxv", put_auxv}, {"cmdline", put_cmdline}};

static const struct file *find(const char *name)
{
    for (unsigned i = 0; i < sizeof files / sizeof *files; i++)
        if (strcmp(name, files[i].name) == 0)
            return &files[i];
    return NULL;
}

bool um_proc_self_made(const char *name)
{
    return find(name) != NULL;
}

int64_t um_proc_self_open(struct um_proc *p, const char *name, uint64_t flags)
{
    const struct file *f = find(name);
    return f ? made(p, name, flags, f->put) : -ENOSYS;
}
