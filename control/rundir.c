/* The run directory: who may use it, and what lies in it. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "control/control.h"

/* ---- the directory -------------------------------------------------------------------------- */

static enum gw_status choose(struct ctl_dir *d, const char *wanted, struct gw_error *err)
{
    const char *own = getenv("GODWIT_RUN_DIR"), *xdg = getenv("XDG_RUNTIME_DIR");
    int n;
    if (wanted)
        n = snprintf(d->path, sizeof d->path, "%s", wanted);
    else if (own && *own)
        n = snprintf(d->path, sizeof d->path, "%s", own);
    else if (xdg && *xdg)
        n = snprintf(d->path, sizeof d->path, "%s/godwit", xdg);
    else if (geteuid() == 0)
        n = snprintf(d->path, sizeof d->path, "/run/godwit");
    else
        n = snprintf(d->path, sizeof d->path, "/tmp/godwit-%u", (unsigned)geteuid());
    if (n <= 0 || (size_t)n >= sizeof d->path)
        return gw_fail(err, GW_ERR_ARG, wanted,
                       "cannot use the run directory: its name is too long");
    return GW_OK;
}

enum gw_status ctl_dir_open(struct ctl_dir *d, const char *wanted, struct gw_error *err)
{
    struct stat st;
    enum gw_status status = choose(d, wanted, err);
    d->fd = -1;
    if (status != GW_OK)
        return status;
    if (mkdir(d->path, 0700) < 0 && errno != EEXIST)
        return gw_fail(err, GW_ERR_STATE, d->path, "cannot make the run directory: %s",
                       strerror(errno));
    d->fd = open(d->path, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
    if (d->fd < 0 || fstat(d->fd, &st) < 0)
        status = gw_fail(err, GW_ERR_STATE, d->path, "cannot use the run directory: %s",
                         strerror(errno));
    else if (st.st_uid != geteuid())
        status = gw_fail(err, GW_ERR_STATE, d->path,
                         "cannot use the run directory: it belongs to somebody else");
    else if (st.st_mode & 077)
        status = gw_fail(err, GW_ERR_STATE, d->path,
                         "cannot use the run directory: others may use it too (mode %03o)",
                         (unsigned)st.st_mode & 0777);
    if (status != GW_OK)
        ctl_dir_close(d);
    return status;
}

void ctl_dir_close(struct ctl_dir *d)
{
    if (d->fd >= 0)
        close(d->fd);
    d->fd = -1;
}

/* ---- names ---------------------------------------------------------------------------------- */

bool ctl_name_is_fine(const char *name)
{
    static const char plain[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789";
    size_t n = strlen(name);
    if (n == 0 || n >= CTL_NAME_BYTES || !strchr(plain, name[0]))
        return false;
    for (const char *p = name; *p; p++)
        if (!strchr(plain, *p) && !strchr("._-", *p))
            return false;
    return true;
}

void ctl_file_name(char *buf, size_t size, const char *name, const char *suffix)
{
    snprintf(buf, size, "%s.%s", name, suffix);
}

enum gw_status ctl_name_take(const struct ctl_dir *d, const char *name, int *lock_fd,
                             struct gw_error *err)
{
    char file[CTL_NAME_BYTES + 16];
    *lock_fd = -1;
    if (!ctl_name_is_fine(name))
        return gw_fail(err, GW_ERR_ARG, name,
                       "cannot use the name: letters, digits, dots and dashes make a name");
    ctl_file_name(file, sizeof file, name, "lock");
    *lock_fd = openat(d->fd, file, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (*lock_fd >= 0 && flock(*lock_fd, LOCK_EX | LOCK_NB) == 0)
        return GW_OK;
    if (*lock_fd >= 0)
        close(*lock_fd);
    *lock_fd = -1;
    if (errno == EWOULDBLOCK)
        return gw_fail(err, GW_ERR_STATE, name, "cannot use the name: a machine of that name runs");
    return gw_fail(err, GW_ERR_STATE, name, "cannot use the name: %s", strerror(errno));
}

int ctl_folder_open(const struct ctl_dir *d, const char *name)
{
    char file[CTL_NAME_BYTES + 16];
    int fd, e;
    ctl_file_name(file, sizeof file, name, "own");
    if (mkdirat(d->fd, file, 0700) < 0 && errno != EEXIST)
        return -1;
    fd = openat(d->fd, file, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
    /* It may have been another user's, of an earlier machine. */
    if (fd < 0 || (fchown(fd, geteuid(), getegid()) == 0 && fchmod(fd, 0700) == 0))
        return fd;
    e = errno;
    close(fd);
    errno = e;
    return -1;
}

bool ctl_name_is_taken(const struct ctl_dir *d, const char *name)
{
    char file[CTL_NAME_BYTES + 16];
    bool taken;
    int fd;
    ctl_file_name(file, sizeof file, name, "lock");
    fd = openat(d->fd, file, O_RDWR | O_CLOEXEC | O_NOFOLLOW);
    if (fd < 0)
        return false;
    taken = flock(fd, LOCK_SH | LOCK_NB) < 0 && errno == EWOULDBLOCK;
    close(fd);
    return taken;
}

static int by_name(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

/* Every machine, running or ended, has its lock file. */
size_t ctl_names(const struct ctl_dir *d, char ***names)
{
    int copy = openat(d->fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    DIR *dir = copy < 0 ? NULL : fdopendir(copy);
    size_t count = 0, room = 0;
    struct dirent *e;
    *names = NULL;
    if (!dir && copy >= 0)
        close(copy);
    while (dir && (e = readdir(dir))) {
        size_t n = strlen(e->d_name);
        char **more;
        if (n <= 5 || strcmp(e->d_name + n - 5, ".lock") != 0)
            continue;
        if (count == room) {
            room = room ? room * 2 : 16;
            more = realloc(*names, room * sizeof *more);
            if (!more)
                break;
            *names = more;
        }
        (*names)[count] = strndup(e->d_name, n - 5);
        count += (*names)[count] != NULL;
    }
    if (dir)
        closedir(dir);
    if (count)
        qsort(*names, count, sizeof **names, by_name);
    return count;
}

/* ---- how a machine ended -------------------------------------------------------------------- */

bool ctl_ended_write(int fd, const struct ctl_ended *e)
{
    char text[96];
    int n = snprintf(text, sizeof text, "%s %d %" PRIu64 "\n", e->how, e->status, e->insns);
    return write(fd, text, (size_t)n) == n;
}

bool ctl_ended_read(const struct ctl_dir *d, const char *name, struct ctl_ended *e)
{
    char file[CTL_NAME_BYTES + 16], text[96] = "";
    ssize_t n;
    int fd;
    ctl_file_name(file, sizeof file, name, "ended");
    fd = openat(d->fd, file, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
    if (fd < 0)
        return false;
    n = read(fd, text, sizeof text - 1);
    close(fd);
    return n > 0 && sscanf(text, "%23s %d %" SCNu64, e->how, &e->status, &e->insns) == 3;
}

char *ctl_grants_read(const struct ctl_dir *d, const char *name)
{
    enum { MOST = 1 << 20 };
    char file[CTL_NAME_BYTES + 16], *text;
    size_t used = 0;
    ssize_t n = -1;
    int fd;
    ctl_file_name(file, sizeof file, name, "grants");
    fd = openat(d->fd, file, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
    text = fd >= 0 ? malloc(MOST + 1) : NULL;
    while (text && used < MOST && (n = read(fd, text + used, MOST - used)) > 0)
        used += (size_t)n;
    if (fd >= 0)
        close(fd);
    if (text && n == 0) {
        text[used] = 0;
        return text;
    }
    free(text);
    return NULL;
}

void ctl_name_tidy(const struct ctl_dir *d, const char *name)
{
    char file[CTL_NAME_BYTES + 16];
    int lock;
    if (ctl_name_take(d, name, &lock, NULL) != GW_OK)
        return;
    ctl_file_name(file, sizeof file, name, CTL_SOCKET);
    unlinkat(d->fd, file, 0);
    close(lock);
}

enum gw_status ctl_name_remove(const struct ctl_dir *d, const char *name, struct gw_error *err)
{
    static const char *const suffixes[] = {CTL_SOCKET, "sock", "ended", "log", "grants", "lock"};
    char file[CTL_NAME_BYTES + 16];
    struct stat st;
    int lock;
    enum gw_status status;
    if (!ctl_name_is_fine(name))
        return gw_fail(err, GW_ERR_NOTFOUND, name, "no machine of that name");
    ctl_file_name(file, sizeof file, name, "lock");
    if (fstatat(d->fd, file, &st, AT_SYMLINK_NOFOLLOW) < 0)
        return gw_fail(err, GW_ERR_NOTFOUND, name, "no machine of that name");
    status = ctl_name_take(d, name, &lock, err);
    if (status != GW_OK) {
        snprintf(err->hint, sizeof err->hint, "godwit stop %s", name);
        return status;
    }
    for (unsigned i = 0; i < sizeof suffixes / sizeof suffixes[0]; i++) {
        ctl_file_name(file, sizeof file, name, suffixes[i]);
        unlinkat(d->fd, file, 0);
    }
    ctl_file_name(file, sizeof file, name, "own");
    unlinkat(d->fd, file, AT_REMOVEDIR);
    close(lock);
    return GW_OK;
}
