/* System calls on files whose arguments or results need more than a moved pointer. */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/openat2.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

#include "usermode/um.h"

/* struct stat of the generic ABI: Linux, include/uapi/asm-generic/stat.h */
struct guest_stat {
    uint64_t dev, ino;
    uint32_t mode, nlink, uid, gid;
    uint64_t rdev, pad1;
    int64_t size;
    int32_t blksize, pad2;
    int64_t blocks;
    int64_t atime;
    uint64_t atime_ns;
    int64_t mtime;
    uint64_t mtime_ns;
    int64_t ctime;
    uint64_t ctime_ns;
    uint32_t unused[2];
};
_Static_assert(sizeof(struct guest_stat) == 128, "as the riscv64 kernel has it");

static int64_t stat_out(struct um_proc *p, uint64_t to, const struct stat *st)
{
    struct guest_stat g = {
        .dev = st->st_dev,
        .ino = st->st_ino,
        .mode = st->st_mode,
        .nlink = (uint32_t)st->st_nlink,
        .uid = st->st_uid,
        .gid = st->st_gid,
        .rdev = st->st_rdev,
        .size = st->st_size,
        .blksize = (int32_t)st->st_blksize,
        .blocks = st->st_blocks,
        .atime = st->st_atim.tv_sec,
        .atime_ns = (uint64_t)st->st_atim.tv_nsec,
        .mtime = st->st_mtim.tv_sec,
        .mtime_ns = (uint64_t)st->st_mtim.tv_nsec,
        .ctime = st->st_ctim.tv_sec,
        .ctime_ns = (uint64_t)st->st_ctim.tv_nsec,
    };
    return um_copy_out(p, to, &g, sizeof g);
}

int64_t um_sys_fstat(struct um_proc *p, const uint64_t *a)
{
    struct stat st;
    return fstat((int)a[0], &st) ? -errno : stat_out(p, a[1], &st);
}

int64_t um_sys_newfstatat(struct um_proc *p, const uint64_t *a)
{
    struct stat st;
    char buf[PATH_MAX];
    const char *path;
    int64_t r = um_path(p, a[1], buf, &path);
    if (r)
        return r;
    return fstatat((int)a[0], path, &st, (int)a[3]) ? -errno : stat_out(p, a[2], &st);
}

int64_t um_sys_readlinkat(struct um_proc *p, const uint64_t *a)
{
    char buf[PATH_MAX], own[PATH_MAX];
    const char *path, *name;
    int64_t r = um_path(p, a[1], buf, &path);
    if (r)
        return r;
    if (p->exe && path[0] != '/' && (name = um_proc_self_at((int)a[0], path, own)) &&
        strcmp(name, "exe") == 0)
        path = p->exe;
    if (path == p->exe) { /* /proc/self/exe */
        if ((int)a[3] <= 0)
            return -EINVAL;
        uint64_t len = strlen(path);
        if (len > a[3])
            len = a[3];
        r = um_copy_out(p, a[2], path, len);
        return r ? r : (int64_t)len;
    }
    return um_host(p, 0, SYS_readlinkat, a[0], (uintptr_t)path, um_arg(p, a[2]), a[3], 0, 0);
}

static const char *last_name(const char *path)
{
    const char *slash = strrchr(path, '/');
    return slash ? slash + 1 : path;
}

/* The program that runs is not written to, which the kernel sees to for us, and we for the guest: by
 * the names that it has and was started by, so that other files cost no look. What else keeps the file
 * from being opened so is for the kernel to say. */
static bool writes_program(const struct um_proc *p, int dir, const char *path, uint64_t flags)
{
    struct stat st;
    bool writes = (flags & O_ACCMODE) != O_RDONLY || (flags & O_TRUNC);
    if (!writes || (flags & O_PATH) || (flags & (O_CREAT | O_EXCL)) == (O_CREAT | O_EXCL))
        return false;
    const char *name = last_name(path);
    if (!p->exe || (strcmp(name, last_name(p->exe)) && strcmp(name, last_name(p->cfg->path))))
        return false;
    return fstatat(dir, path, &st, flags & O_NOFOLLOW ? AT_SYMLINK_NOFOLLOW : 0) == 0 &&
           st.st_dev == p->exe_dev && st.st_ino == p->exe_ino &&
           faccessat(dir, path, W_OK, AT_EACCESS) == 0;
}

int64_t um_sys_openat(struct um_proc *p, const uint64_t *a)
{
    char buf[PATH_MAX], own[PATH_MAX];
    const char *path, *name;
    const uint64_t flags = um_open_flags_in(a[2]);
    int64_t r = um_path(p, a[1], buf, &path);
    if (r)
        return r;
    name = um_proc_self_at((int)a[0], path, own);
    if (!name && path[0] == '/' && (r = um_proc_open(p, path, flags)) != -ENOSYS)
        return r;
    if (name && (r = um_proc_self_open(p, name, flags)) != -ENOSYS)
        return r;
    if (writes_program(p, (int)a[0], path, flags))
        return -ETXTBSY;
    return um_host(p, UM_BLOCK, SYS_openat, a[0], (uintptr_t)path, flags, a[3], 0, 0);
}

/* Who says how a path is to be resolved is told of the host's /proc/self/exe: its link is what counts.
 * What is said may be longer than what we know of it: the kernel looks at the rest. */
int64_t um_sys_openat2(struct um_proc *p, const uint64_t *a)
{
    char buf[PATH_MAX];
    const char *path;
    union {
        struct open_how how;
        uint8_t all[UM_PAGE];
    } u;
    int64_t r = um_path(p, a[1], buf, &path);
    if (r)
        return r;
    if (a[3] < sizeof u.how)
        return -EINVAL;
    if (a[3] > sizeof u.all)
        return -E2BIG;
    r = um_copy_in(p, u.all, a[2], a[3]);
    if (r)
        return r;
    u.how.flags = um_open_flags_in(u.how.flags);
    if (path == p->exe && u.how.resolve)
        path = "/proc/self/exe";
    if (writes_program(p, (int)a[0], path, u.how.flags))
        return -ETXTBSY;
    return um_host(p, UM_BLOCK, SYS_openat2, a[0], (uintptr_t)path, (uintptr_t)&u, a[3], 0, 0);
}

/* O_DIRECT makes packets of what is written. */
int64_t um_sys_pipe2(struct um_proc *p, const uint64_t *a)
{
    return um_host(p, 0, SYS_pipe2, um_arg(p, a[0]), um_open_flags_in(a[1]), 0, 0, 0, 0);
}

int64_t um_sys_truncate(struct um_proc *p, const uint64_t *a)
{
    char buf[PATH_MAX];
    const char *path;
    int64_t r = um_path(p, a[0], buf, &path);
    if (r)
        return r;
    if (writes_program(p, AT_FDCWD, path, O_WRONLY))
        return -ETXTBSY;
    return um_host(p, 0, SYS_truncate, (uintptr_t)path, a[1], 0, 0, 0, 0);
}

/* Our own descriptors are not the guest's to close. */
enum { OWN_FDS = 3 };

static void own_fds(const struct um_proc *p, int fds[OWN_FDS])
{
    fds[0] = p->cfg->strace_fd;
    fds[1] = p->cfg->self_fd;
    fds[2] = p->cfg->report_fd;
}

static bool is_ours(const struct um_proc *p, uint64_t fd)
{
    int fds[OWN_FDS];
    own_fds(p, fds);
    for (unsigned i = 0; i < OWN_FDS; i++)
        if (fds[i] > STDERR_FILENO && (int)fd == fds[i])
            return true;
    return false;
}

int64_t um_sys_close(struct um_proc *p, const uint64_t *a)
{
    return is_ours(p, a[0]) ? -EBADF : um_host(p, 0, SYS_close, a[0], 0, 0, 0, 0, 0);
}

int64_t um_sys_dup3(struct um_proc *p, const uint64_t *a)
{
    if (is_ours(p, a[0]) || is_ours(p, a[1]))
        return -EBADF;
    return um_host(p, 0, SYS_dup3, a[0], a[1], a[2], 0, 0, 0);
}

int64_t um_sys_close_range(struct um_proc *p, const uint64_t *a)
{
    uint64_t first = (uint32_t)a[0], last = (uint32_t)a[1];
    if (first > last)
        return -EINVAL;
    while (first <= last) {
        /* Up to the first one of ours. */
        uint64_t end = last + 1;
        int fds[OWN_FDS];
        own_fds(p, fds);
        for (unsigned i = 0; i < OWN_FDS; i++)
            if (fds[i] > STDERR_FILENO && (uint64_t)fds[i] >= first && (uint64_t)fds[i] < end)
                end = (uint64_t)fds[i];
        int64_t r = end > first ? um_host(p, 0, SYS_close_range, first, end - 1, a[2], 0, 0, 0) : 0;
        if (r)
            return r;
        first = end + 1;
    }
    return 0;
}

int64_t um_sys_fcntl(struct um_proc *p, const uint64_t *a)
{
    uint64_t arg = a[2];
    switch ((uint32_t)a[1]) {
    case F_GETLK:
    case F_SETLK:
    case F_SETLKW:
    case F_OFD_GETLK:
    case F_OFD_SETLK:
    case F_OFD_SETLKW:
    case F_GETOWN_EX:
    case F_SETOWN_EX:
    case F_GET_RW_HINT:
    case F_SET_RW_HINT:
    case F_GET_FILE_RW_HINT:
    case F_SET_FILE_RW_HINT: arg = um_arg(p, a[2]); break;
    case F_SETFL: arg = um_open_flags_in(a[2]); break;
    default: break;
    }
    unsigned flags = a[1] == F_SETLKW || a[1] == F_OFD_SETLKW ? UM_BLOCK : 0;
    int64_t r = um_host(p, flags, SYS_fcntl, a[0], a[1], arg, 0, 0, 0);
    return r >= 0 && (uint32_t)a[1] == F_GETFL ? (int64_t)um_open_flags_out((uint64_t)r) : r;
}

/* Requests whose argument is no pointer. All others of these families take one: terminals (0x54),
 * sockets (0x89), block devices (0x12), file systems (0x66 'f', 0x58 'X', 0x94), rtc (0x70). */
static bool ioctl_takes_number(uint32_t request)
{
    static const uint32_t numbers[] = {
        TCSBRK,    TCXONC,  TCFLSH,   TIOCEXCL, TIOCNXCL, TIOCSCTTY,
        TIOCNOTTY, TCSBRKP, TIOCCONS, FIOCLEX,  FIONCLEX,
    };
    for (unsigned i = 0; i < sizeof numbers / sizeof *numbers; i++)
        if (numbers[i] == request)
            return true;
    return false;
}

int64_t um_sys_ioctl(struct um_proc *p, const uint64_t *a)
{
    static const char families[] = {0x54, (char)0x89, 0x12, 0x66, 0x58, (char)0x94, 0x70, 0x76};
    uint32_t request = (uint32_t)a[1];
    bool known = memchr(families, (int)(request >> 8 & 0xff), sizeof families) != NULL;
    if (!known && !(_IOC_SIZE(request) && _IOC_DIR(request))) {
        int64_t mode = um_host(p, 0, SYS_fcntl, a[0], F_GETFL, 0, 0, 0, 0);
        return mode < 0 || (mode & O_PATH) ? -EBADF : -ENOTTY;
    }
    uint64_t arg = ioctl_takes_number(request) ? a[2] : um_arg(p, a[2]);
    return um_host(p, UM_BLOCK, SYS_ioctl, a[0], request, arg, 0, 0, 0);
}

/* A pointer that the kernel refuses. */
#define NOWHERE (UINT64_MAX - UM_PAGE)

/* The guest's iovec with its bases moved: a heap copy that the caller frees, or fixed. What is refused
 * whatever stands in it has none: host is NOWHERE then, and the kernel finds the error, in its order
 * (EBADF before EINVAL, EMSGSIZE of messages). */
struct vectors {
    struct iovec fixed[8];
    struct iovec *v;
    uint64_t host;
};

static int64_t vectors_in(struct um_proc *p, struct vectors *vs, uint64_t addr, uint64_t count)
{
    vs->v = vs->fixed;
    vs->host = NOWHERE;
    if (count > IOV_MAX)
        return 0;
    if (count > sizeof vs->fixed / sizeof *vs->fixed) {
        vs->v = malloc(count * sizeof *vs->v);
        if (!vs->v)
            return -ENOMEM;
    }
    if (um_copy_in(p, vs->v, addr, count * sizeof *vs->v))
        return 0;
    for (uint64_t i = 0; i < count; i++) {
        uintptr_t base = (uintptr_t)vs->v[i].iov_base;
        vs->v[i].iov_base = (void *)(uintptr_t)um_arg(p, base);
    }
    vs->host = (uintptr_t)vs->v;
    return 0;
}

static void vectors_free(struct vectors *vs)
{
    if (vs->v != vs->fixed)
        free(vs->v);
}

static int64_t vector_call(struct um_proc *p, long nr, const uint64_t *a)
{
    struct vectors vs;
    int64_t r = vectors_in(p, &vs, a[1], a[2]);
    if (r == 0)
        r = um_host(p, UM_BLOCK, nr, a[0], vs.host, a[2], a[3], a[4], a[5]);
    vectors_free(&vs);
    return r;
}

int64_t um_sys_readv(struct um_proc *p, const uint64_t *a)
{
    return vector_call(p, SYS_readv, a);
}

int64_t um_sys_writev(struct um_proc *p, const uint64_t *a)
{
    return vector_call(p, SYS_writev, a);
}

int64_t um_sys_preadv(struct um_proc *p, const uint64_t *a)
{
    return vector_call(p, SYS_preadv, a);
}

int64_t um_sys_pwritev(struct um_proc *p, const uint64_t *a)
{
    return vector_call(p, SYS_pwritev, a);
}

int64_t um_sys_preadv2(struct um_proc *p, const uint64_t *a)
{
    return vector_call(p, SYS_preadv2, a);
}

int64_t um_sys_pwritev2(struct um_proc *p, const uint64_t *a)
{
    return vector_call(p, SYS_pwritev2, a);
}

int64_t um_sys_vmsplice(struct um_proc *p, const uint64_t *a)
{
    return vector_call(p, SYS_vmsplice, a);
}

/* struct msghdr has one layout on 64-bit machines; the three pointers in it move. */
static int64_t message_call(struct um_proc *p, long nr, const uint64_t *a, bool receive)
{
    struct msghdr m;
    struct vectors vs;
    if (um_copy_in(p, &m, a[1], sizeof m))
        return um_host(p, UM_BLOCK, nr, a[0], NOWHERE, a[2], 0, 0, 0);
    struct msghdr guest = m;
    int64_t r = vectors_in(p, &vs, (uintptr_t)m.msg_iov, m.msg_iovlen);
    if (r == 0) {
        m.msg_name = (void *)(uintptr_t)um_arg(p, (uintptr_t)m.msg_name);
        m.msg_control = (void *)(uintptr_t)um_arg(p, (uintptr_t)m.msg_control);
        m.msg_iov = (struct iovec *)(uintptr_t)vs.host;
        r = um_host(p, UM_BLOCK, nr, a[0], (uintptr_t)&m, a[2], 0, 0, 0);
    }
    vectors_free(&vs);
    if (r >= 0 && receive) {
        guest.msg_namelen = m.msg_namelen;
        guest.msg_controllen = m.msg_controllen;
        guest.msg_flags = m.msg_flags;
        int64_t e = um_copy_out(p, a[1], &guest, sizeof guest);
        if (e)
            return e;
    }
    return r;
}

int64_t um_sys_sendmsg(struct um_proc *p, const uint64_t *a)
{
    return message_call(p, SYS_sendmsg, a, false);
}

int64_t um_sys_recvmsg(struct um_proc *p, const uint64_t *a)
{
    return message_call(p, SYS_recvmsg, a, true);
}

/* x86-64 packs its epoll_event; the generic one has padding before data. */
struct guest_epoll_event {
    uint32_t events, pad;
    uint64_t data;
};

int64_t um_sys_epoll_ctl(struct um_proc *p, const uint64_t *a)
{
    struct guest_epoll_event g = {0, 0, 0};
    struct epoll_event ev;
    memset(&ev, 0, sizeof ev);
    if (a[1] != EPOLL_CTL_DEL) {
        int64_t r = um_copy_in(p, &g, a[3], sizeof g);
        if (r)
            return r;
        ev.events = g.events;
        ev.data.u64 = g.data;
    }
    return um_host(p, 0, SYS_epoll_ctl, a[0], a[1], a[2], (uintptr_t)&ev, 0, 0);
}

int64_t um_sys_epoll_pwait(struct um_proc *p, const uint64_t *a)
{
    enum { AT_ONCE = 64 };
    struct epoll_event ev[AT_ONCE];
    struct guest_epoll_event g[AT_ONCE];
    int most = (int)a[2];
    int64_t r = um_suspend_from(p, a[4], a[5]);
    if (r)
        return r;
    if (most <= 0 || most > INT_MAX / (int)sizeof *g)
        return -EINVAL;
    if (a[1] > p->space->limit || (uint64_t)most * sizeof *g > p->space->limit - a[1])
        return -EFAULT;
    if (most > AT_ONCE)
        most = AT_ONCE;
    int64_t n = um_host(p, UM_BLOCK, SYS_epoll_pwait, a[0], (uintptr_t)ev, (uint64_t)most, a[3], 0,
                        sizeof(uint64_t));
    for (int64_t i = 0; i < n; i++)
        g[i] = (struct guest_epoll_event){ev[i].events, 0, ev[i].data.u64};
    r = n > 0 ? um_copy_out(p, a[1], g, (uint64_t)n * sizeof *g) : 0;
    return r ? r : n;
}
