/* A file that comes to be as a whole: made beside its name, renamed when all of it is there. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "snapshot/snap_int.h"

struct snap_file_new {
    char *path, *temporary;
    int fd;
};

static void free_file(struct snap_file_new *f)
{
    if (f->fd >= 0)
        close(f->fd);
    free(f->path);
    free(f->temporary);
    free(f);
}

static enum gw_status failed(const char *path, struct gw_error *err)
{
    return gw_fail(err, GW_ERR_IO, path, "cannot write the snapshot: %s", strerror(errno));
}

enum gw_status snap_file_open(struct snap_file_new **out, const char *path, struct gw_error *err)
{
    struct snap_file_new *f = calloc(1, sizeof *f);
    size_t n = strlen(path) + 16;
    enum gw_status st = GW_OK;
    *out = NULL;
    if (!f)
        return gw_fail(err, GW_ERR_NOMEM, path, "cannot write the snapshot: out of memory");
    f->fd = -1;
    f->path = strdup(path);
    f->temporary = malloc(n);
    if (!f->path || !f->temporary) {
        free_file(f);
        return gw_fail(err, GW_ERR_NOMEM, path, "cannot write the snapshot: out of memory");
    }
    snprintf(f->temporary, n, "%s.new.XXXXXX", path);
    f->fd = mkostemp(f->temporary, O_CLOEXEC);
    if (f->fd < 0) {
        st = failed(path, err);
        free_file(f);
        return st;
    }
    *out = f;
    return GW_OK;
}

int snap_file_fd(const struct snap_file_new *f)
{
    return f->fd;
}

/* The name is on stable storage when its directory is. */
static void sync_directory(const char *path)
{
    const char *slash = strrchr(path, '/');
    char *dir = slash ? strndup(path, slash == path ? 1 : (size_t)(slash - path)) : strdup(".");
    int fd = dir ? open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC) : -1;
    if (fd >= 0) {
        fsync(fd); /* some file systems refuse it for directories: nothing more can be done */
        close(fd);
    }
    free(dir);
}

enum gw_status snap_file_keep(struct snap_file_new *f, struct gw_error *err)
{
    enum gw_status st = GW_OK;
    if (rename(f->temporary, f->path) != 0) {
        st = failed(f->path, err);
        unlink(f->temporary);
    } else {
        sync_directory(f->path);
    }
    free_file(f);
    return st;
}

void snap_file_drop(struct snap_file_new *f)
{
    if (!f)
        return;
    unlink(f->temporary);
    free_file(f);
}
