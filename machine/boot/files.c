/*
 * The files that a machine boots from. They are read when nothing can be opened any more, at the start and
 * at a reset, so their descriptors are kept.
 */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "machine/vm.h"

static struct vm_boot_file *find(struct vm *m, const char *path)
{
    for (unsigned i = 0; i < m->boot_file_count; i++)
        if (!strcmp(m->boot_file[i].path, path))
            return &m->boot_file[i];
    return NULL;
}

bool vm_is_withheld(const struct vm *m, const char *path)
{
    const struct machine_spec *w = m->o->restore ? m->o->restore->withheld : NULL;
    const char *named[4 + SPEC_FLASH_BANKS + SPEC_MAX_FILES];
    unsigned count = 0;
    if (!w || !path)
        return false;
    named[count++] = w->kernel;
    named[count++] = w->initrd;
    named[count++] = w->dtb;
    named[count++] = w->bios;
    for (unsigned i = 0; i < SPEC_FLASH_BANKS; i++)
        named[count++] = w->flash[i].path;
    for (unsigned i = 0; i < w->loads_count; i++)
        named[count++] = w->loads[i].path;
    for (unsigned i = 0; i < count; i++)
        if (named[i] && !strcmp(named[i], path))
            return true;
    return false;
}

static enum gw_status without(const char *path, const char *what, char letter, struct gw_error *err)
{
    gw_fail(err, GW_ERR_STATE, path, "cannot reset: the machine was restored without its %s", what);
    if (err && letter)
        snprintf(err->hint, sizeof err->hint, "godwit restore -%c FILE ...", letter);
    return GW_ERR_STATE;
}

enum gw_status vm_check_reset(const struct vm *m, struct gw_error *err)
{
    const struct machine_spec *s = m->spec;
    const struct {
        const char *path, *what;
        char letter;
    } files[] = {{s->kernel, "kernel", 'k'},
                 {s->initrd, "initrd", 'i'},
                 {s->bios, "firmware", 'b'},
                 {s->dtb, "device tree", 0}};
    for (unsigned i = 0; i < sizeof files / sizeof files[0]; i++)
        if (vm_is_withheld(m, files[i].path))
            return without(files[i].path, files[i].what, files[i].letter, err);
    for (unsigned i = 0; i < s->loads_count; i++)
        if (vm_is_withheld(m, s->loads[i].path))
            return without(s->loads[i].path, "file", 0, err);
    return GW_OK;
}

/* What is larger than the guest's memory is not even copied. */
static enum gw_status map_file(struct vm *m, struct blob *b, int fd, const char *path,
                               const char *what, struct gw_error *err)
{
    enum gw_status st = blob_map(b, fd, path, what, err);
    if (st != GW_OK || b->size <= board_ram(m->board)->size)
        return st;
    gw_fail(err, GW_ERR_LIMIT, path, "does not fit in the guest's memory: 0x%zx bytes", b->size);
    if (err)
        snprintf(err->hint, sizeof err->hint, "give the machine more: -m 1G");
    blob_close(b);
    return GW_ERR_LIMIT;
}

enum gw_status vm_file(struct vm *m, struct blob *b, const char *path, const char *what,
                       struct gw_error *err)
{
    struct vm_boot_file *f = path ? find(m, path) : NULL;
    int fd;
    if (!path) /* what a snapshot has of it is somebody else's */
        return gw_fail(err, GW_ERR_FORMAT, what, "cannot be opened: it has no name");
    if (f)
        return map_file(m, b, f->fd, path, what, err);
    *b = (struct blob){.name = path};
    if (m->boot_files_open) /* and nothing else will be */
        return gw_fail(err, GW_ERR_NOTFOUND, path,
                       "cannot open the %s: it was not there at the start", what);
    fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    if (fd < 0)
        return gw_fail(err, errno == ENOENT ? GW_ERR_NOTFOUND : GW_ERR_IO, path,
                       "cannot open the %s: %s", what, strerror(errno));
    m->boot_file[m->boot_file_count++] = (struct vm_boot_file){.path = path, .fd = fd};
    return map_file(m, b, fd, path, what, err);
}

const char *vm_firmware_file(const struct machine_spec *s)
{
    return s->bios && strcmp(s->bios, "builtin") != 0 && strcmp(s->bios, "none") != 0 ? s->bios
                                                                                      : NULL;
}

static enum gw_status open_if(struct vm *m, const char *path, const char *what, bool must,
                              struct gw_error *err)
{
    struct blob b;
    enum gw_status st;
    if (!path || vm_is_withheld(m, path))
        return GW_OK;
    st = vm_file(m, &b, path, what, must ? err : NULL);
    blob_close(&b);
    return must ? st : GW_OK;
}

enum gw_status vm_open_files(struct vm *m, struct gw_error *err)
{
    const struct machine_spec *s = m->spec;
    const struct {
        const char *path, *what;
    } files[] = {{vm_firmware_file(s), "firmware"},
                 {s->kernel, "kernel"},
                 {s->initrd, "initrd"},
                 {s->dtb, "device tree"}};
    bool must = !m->o->restore; /* which wants them at a reset alone */
    enum gw_status st = GW_OK;
    for (unsigned i = 0; st == GW_OK && i < sizeof files / sizeof files[0]; i++)
        st = open_if(m, files[i].path, files[i].what, must, err);
    for (unsigned i = 0; st == GW_OK && i < s->loads_count; i++)
        st = open_if(m, s->loads[i].path, "file", must, err);
    m->boot_files_open = true;
    return st;
}

void vm_close_files(struct vm *m)
{
    while (m->boot_file_count)
        close(m->boot_file[--m->boot_file_count].fd);
}
