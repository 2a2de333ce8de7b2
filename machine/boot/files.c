/*
 * The files that a machine boots from. A reset reads them again, when nothing can be opened any more,
 * so their descriptors are kept.
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

enum gw_status vm_file(struct vm *m, struct blob *b, const char *path, const char *what,
                       struct gw_error *err)
{
    struct vm_boot_file *f = find(m, path);
    int fd;
    if (f)
        return blob_map(b, f->fd, path, what, err);
    fd = open(path, O_RDONLY | O_CLOEXEC);
    *b = (struct blob){.name = path};
    if (fd < 0)
        return gw_fail(err, errno == ENOENT ? GW_ERR_NOTFOUND : GW_ERR_IO, path,
                       "cannot open the %s: %s", what, strerror(errno));
    m->boot_file[m->boot_file_count++] = (struct vm_boot_file){.path = path, .fd = fd};
    return blob_map(b, fd, path, what, err);
}

const char *vm_firmware_file(const struct machine_spec *s)
{
    return s->bios && strcmp(s->bios, "builtin") != 0 && strcmp(s->bios, "none") != 0 ? s->bios
                                                                                      : NULL;
}

static void open_if(struct vm *m, const char *path)
{
    struct blob b;
    if (path && vm_file(m, &b, path, "file", NULL) == GW_OK)
        blob_close(&b);
}

void vm_open_files(struct vm *m)
{
    const struct machine_spec *s = m->spec;
    open_if(m, s->kernel);
    open_if(m, s->initrd);
    open_if(m, s->dtb);
    open_if(m, vm_firmware_file(s));
    for (unsigned i = 0; i < s->loads_count; i++)
        open_if(m, s->loads[i].path);
}

void vm_close_files(struct vm *m)
{
    while (m->boot_file_count)
        close(m->boot_file[--m->boot_file_count].fd);
}
