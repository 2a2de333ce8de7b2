/*
 * A file that comes to be as a whole: without a name, in the directory where it gets one when all of it is
 * there. So it is gone with whoever makes it, however that ends. Where the file system knows no such
 * files it has another name meanwhile.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "snapshot/snap_int.h"

struct snap_file_new {
    char *path;
    char *temporary; /* a name beside that */
    bool named;      /* it has it */
    int fd;
};

enum { TRIES = 100 };

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

/* What has the name now is replaced, so it must be a file: root could do so with a device, or with the link
 * /dev/stdout. */
static enum gw_status check_replaced(const char *path, struct gw_error *err)
{
    struct stat there;
    if (lstat(path, &there) != 0 || S_ISREG(there.st_mode))
        return GW_OK;
    return gw_fail(err, GW_ERR_FORMAT, path, "cannot write the snapshot: %s",
                   S_ISLNK(there.st_mode) ? "a symbolic link" : "not a regular file");
}

static char *directory_of(const char *path)
{
    const char *slash = strrchr(path, '/');
    return slash ? strndup(path, slash == path ? 1 : (size_t)(slash - path)) : strdup(".");
}

/* Another name that is free is what mkostemp() makes a file of, and linkat() wants for itself. */
static void choose_name(struct snap_file_new *f, unsigned n)
{
    snprintf(f->temporary, strlen(f->path) + 32, "%s.new.%x.%x", f->path, (unsigned)getpid(), n);
}

static bool make_named(struct snap_file_new *f)
{
    errno = EEXIST;
    for (unsigned n = 0; f->fd < 0 && errno == EEXIST && n < TRIES; n++) {
        choose_name(f, n);
        f->fd = open(f->temporary, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    }
    return f->named = f->fd >= 0;
}

static bool make(struct snap_file_new *f)
{
    char *dir = directory_of(f->path);
    f->fd = dir ? open(dir, O_TMPFILE | O_RDWR | O_CLOEXEC, 0600) : -1;
    free(dir);
    /* Kernels that do not know the flag try to open the directory. */
    return f->fd >= 0 ||
           ((errno == EOPNOTSUPP || errno == EISDIR || errno == EINVAL) && make_named(f));
}

enum gw_status snap_file_open(struct snap_file_new **out, const char *path, struct gw_error *err)
{
    struct snap_file_new *f;
    enum gw_status st = check_replaced(path, err);
    *out = NULL;
    if (st != GW_OK)
        return st;
    if (!(f = calloc(1, sizeof *f)))
        return gw_fail(err, GW_ERR_NOMEM, path, "cannot write the snapshot: out of memory");
    f->fd = -1;
    f->path = strdup(path);
    f->temporary = malloc(strlen(path) + 32);
    if (!f->path || !f->temporary) {
        free_file(f);
        return gw_fail(err, GW_ERR_NOMEM, path, "cannot write the snapshot: out of memory");
    }
    if (!make(f)) {
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
    char *dir = directory_of(path);
    int fd = dir ? open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC) : -1;
    if (fd >= 0) {
        fsync(fd); /* some file systems refuse it for directories: nothing more can be done */
        close(fd);
    }
    free(dir);
}

static bool give_name(const struct snap_file_new *f, const char *name)
{
    char self[64];
    snprintf(self, sizeof self, "/proc/self/fd/%d", f->fd);
    return linkat(AT_FDCWD, self, AT_FDCWD, name, AT_SYMLINK_FOLLOW) == 0;
}

/* What has the name already is replaced, in one step: by way of another name. */
static bool replace(struct snap_file_new *f)
{
    errno = EEXIST;
    for (unsigned n = 0; !f->named && errno == EEXIST && n < TRIES; n++) {
        choose_name(f, n);
        f->named = give_name(f, f->temporary);
    }
    return f->named && rename(f->temporary, f->path) == 0;
}

enum gw_status snap_file_keep(struct snap_file_new *f, struct gw_error *err)
{
    enum gw_status st = check_replaced(f->path, err);
    if (st == GW_OK && !(!f->named && give_name(f, f->path)) &&
        !((f->named || errno == EEXIST) && replace(f)))
        st = failed(f->path, err);
    if (st == GW_OK)
        sync_directory(f->path);
    else if (f->named)
        unlink(f->temporary);
    free_file(f);
    return st;
}

void snap_file_drop(struct snap_file_new *f)
{
    if (!f)
        return;
    if (f->named)
        unlink(f->temporary);
    free_file(f);
}
