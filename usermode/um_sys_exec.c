/*
 * Starting another program. The host's kernel runs what is not a guest's; for a guest's program we
 * start ourselves again, and so have to find out what the kernel would have said of its file.
 */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "usermode/um.h"
#include "usermode/um_host.h"

/* --- is the file being written? --------------------------------------------------------------- */

#ifndef AT_EXECVE_CHECK
#define AT_EXECVE_CHECK 0x10000 /* Linux 6.14 */
#endif

/* A lease for readers is refused while somebody writes: EAGAIN. It is let go at once; the signal that
 * tells of a writer who came in between, which nobody else waits for, is thrown away. Others than the
 * owner and root get none, nor do all file systems know them. */
static int try_lease(int fd)
{
    const uint64_t set = um_sigbit(UM_SIG_OURS);
    const struct timespec at_once = {0, 0};
    uint64_t mask;
    um_host_sigmask(UINT64_MAX, &mask);
    int error = fcntl(fd, F_SETSIG, UM_SIG_OURS) || fcntl(fd, F_SETLEASE, F_RDLCK) ? errno : 0;
    if (!error) {
        fcntl(fd, F_SETLEASE, F_UNLCK);
        syscall(SYS_rt_sigtimedwait, &set, NULL, &at_once, sizeof set);
    }
    um_host_sigmask(mask, NULL);
    return error;
}

bool um_file_busy(int fd)
{
    char *const argv[] = {(char[]){""}, NULL}, *const envp[] = {NULL};
    int error = try_lease(fd);
    if (error && error != EAGAIN)
        error =
            syscall(SYS_execveat, fd, "", argv, envp, AT_EMPTY_PATH | AT_EXECVE_CHECK) ? errno : 0;
    return error == EAGAIN || error == ETXTBSY;
}

/* --- strings ---------------------------------------------------------------------------------- */

/* Pointers to a guest's list of strings, as they stand in guest memory; before is left empty in
 * front. NULL with *error set. */
static char **strings_in(struct um_proc *p, uint64_t addr, unsigned before, uint64_t *count,
                         int64_t *error)
{
    uint64_t n = 0, cap = 64, len;
    bool too_long;
    char **v = malloc((before + cap + 1) * sizeof *v);
    *error = v ? 0 : -ENOMEM;
    while (*error == 0 && addr) {
        uint64_t s;
        *error = um_copy_in(p, &s, addr + n * 8, sizeof s);
        if (*error || s == 0)
            break;
        const char *text = um_space_string(p->space, s, 32 * UM_PAGE, &len, &too_long);
        if (!text) {
            *error = too_long ? -E2BIG : -EFAULT;
            break;
        }
        if (n == cap) {
            char **more = realloc(v, (before + cap * 2 + 1) * sizeof *v);
            if (!more || cap > 1000000) {
                v = more ? more : v;
                *error = -E2BIG;
                break;
            }
            v = more;
            cap *= 2;
        }
        v[before + n++] = (char *)(uintptr_t)text;
    }
    if (*error) {
        free(v);
        return NULL;
    }
    v[before + n] = NULL;
    *count = n;
    return v;
}

/* --- starting --------------------------------------------------------------------------------- */

/* Words of a start of ourselves, ahead of the guest's argv[1...]. */
struct own_start {
    char timeout[40], fd[16], path[PATH_MAX];
};

static unsigned word_count(char *const *words)
{
    unsigned n = 0;
    while (words && words[n])
        n++;
    return n;
}

static char **words_before(char **to, char *const *words)
{
    for (unsigned n = word_count(words); n; n--)
        *--to = words[n - 1];
    return to;
}

/* argv has room for them in front of its `before`th word, the guest's argv[0]; PROG takes its
 * place. fd: PROG is open there; -1: it has a name. */
static char **own_words(const struct um_proc *p, char **argv, unsigned before, uint64_t count,
                        const char *path, int fd, struct own_start *own)
{
    char **to = argv + before, *argv0 = count ? to[0] : "";
    snprintf(own->path, sizeof own->path, "%s%s", path[0] == '-' ? "./" : "", path);
    if (!count)
        to[1] = NULL;
    *to = own->path;
    *--to = argv0;
    *--to = "-0";
    if (fd >= 0) {
        snprintf(own->fd, sizeof own->fd, "%d", fd);
        *--to = own->fd;
        *--to = "--program-fd";
    }
    if (p->cfg->timeout_ns) {
        uint64_t spent = um_now_ns() - p->start_ns;
        uint64_t left = spent < p->cfg->timeout_ns ? p->cfg->timeout_ns - spent : 0;
        snprintf(own->timeout, sizeof own->timeout, "--timeout=%llums",
                 (unsigned long long)(left / 1000000 + 1));
        *--to = own->timeout;
    }
    if (p->result.child)
        *--to = "--in-child";
    else
        to = words_before(to, p->cfg->once_argv);
    return words_before(to, p->cfg->self_argv);
}

/* Opens a file without a name anew, so that it outlives the start of ourselves, which reads it. */
static int64_t open_nameless(const char *by_fd)
{
    enum { HIGH = 900 };
    int fd = open(by_fd, O_RDONLY | O_CLOEXEC), high;
    if (fd < 0)
        return -errno;
    high = fcntl(fd, F_DUPFD, HIGH);
    int64_t r = high < 0 ? -errno : high;
    close(fd);
    return r;
}

void um_exec_forget(struct um_proc *p)
{
    for (unsigned i = 0; i < 2; i++) {
        free(p->exec_words[i]);
        p->exec_words[i] = NULL;
    }
}

/* name: what the guest's program is told of its path, where that is not path and its file has none. */
static int64_t exec_program(struct um_proc *p, const char *path, const char *name,
                            uint64_t argv_addr, uint64_t envp_addr)
{
    enum um_file_kind kind;
    int64_t r = um_file_kind(p, path, &kind);
    if (r)
        return r;
    /* and --in-child, --program-fd, N, -0, argv[0], --timeout, PROG, NULL */
    unsigned before = word_count(p->cfg->self_argv) + word_count(p->cfg->once_argv) + 8;
    uint64_t argc, envc;
    char **argv = strings_in(p, argv_addr, before, &argc, &r);
    if (!argv)
        return r;
    char **envp = strings_in(p, envp_addr, 0, &envc, &r);
    if (!envp) {
        free(argv);
        return r;
    }
    p->exec_words[0] = argv; /* in a child of vfork they are its parent's to free */
    p->exec_words[1] = envp;
    struct own_start own;
    char **use = argv + before;
    const char *file = path;
    int fd = 0, opened = -1;
    if (kind == UM_FILE_GUEST && p->cfg->self_argv) {
        if (name && (r = open_nameless(path)) >= 0)
            opened = (int)r;
        use = own_words(p, argv, before, argc, name ? name : path, opened, &own);
        fd = p->cfg->self_fd;
        file = "/proc/self/exe";
    }
    if (r >= 0)
        r = um_signals_exec(p, fd, file, use, envp);
    if (opened >= 0)
        close(opened);
    um_exec_forget(p);
    return r;
}

int64_t um_sys_execve(struct um_proc *p, const uint64_t *a)
{
    char buf[PATH_MAX];
    const char *path;
    int64_t r = um_path(p, a[0], buf, &path);
    return r ? r : exec_program(p, path, NULL, a[1], a[2]);
}

/* The name of path from descriptor fd, or of fd itself (path ""): the program is opened anew, by us. -ENOENT:
 * it has none (a memfd, one that was removed). */
static int64_t name_from(int fd, const char *path, char buf[PATH_MAX])
{
    char link[40], dir[PATH_MAX];
    struct stat by_fd, by_name;
    buf[0] = 0;
    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    if (fstat(fd, &by_fd))
        return -errno;
    ssize_t n = readlink(link, dir, sizeof dir - 1);
    if (n < 0)
        return -errno;
    dir[n] = 0;
    if (stat(dir, &by_name) || by_name.st_dev != by_fd.st_dev || by_name.st_ino != by_fd.st_ino)
        return -ENOENT;
    n = snprintf(buf, PATH_MAX, "%s%s%s", dir, path[0] ? "/" : "", path);
    return n < PATH_MAX ? 0 : -ENAMETOOLONG;
}

int64_t um_sys_execveat(struct um_proc *p, const uint64_t *a)
{
    const int fd = (int)a[0], flags = (int)a[4];
    char buf[PATH_MAX], from[PATH_MAX], number[24];
    const char *path, *nameless = NULL;
    struct stat st;
    int64_t r = um_path(p, a[1], buf, &path);
    if (r)
        return r;
    if (!path[0] && !(flags & AT_EMPTY_PATH))
        return -ENOENT;
    if (flags & ~(AT_EMPTY_PATH | AT_SYMLINK_NOFOLLOW))
        return -EINVAL;
    if (path[0] != '/' && fd != AT_FDCWD) {
        r = name_from(fd, path, from);
        if (r == -ENOENT && !path[0]) { /* as Linux calls it */
            snprintf(from, sizeof from, "/proc/self/fd/%d", fd);
            snprintf(number, sizeof number, "/dev/fd/%d", fd);
            nameless = number;
            r = 0;
        }
        path = from;
    }
    if (r == 0 && !nameless && (flags & AT_SYMLINK_NOFOLLOW) && lstat(path, &st) == 0 && S_ISLNK(st.st_mode))
        r = -ELOOP;
    return r ? r : exec_program(p, path, nameless, a[2], a[3]);
}
