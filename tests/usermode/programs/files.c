/* System calls on files, in the directory argv[1]. */
#include <dirent.h>
#include <fcntl.h>
#include <limits.h>
#include <stdint.h>
#include <string.h>
#include <sys/file.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/sendfile.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/vfs.h>
#include <unistd.h>

#include "check.h"

static void open_flags(void)
{
    CHECK_FAILS(open("f", O_RDONLY | O_DIRECTORY), ENOTDIR);
    CHECK(symlink("f", "link") == 0);
    CHECK_FAILS(open("link", O_RDONLY | O_NOFOLLOW), ELOOP);
    CHECK_FAILS(open("f", O_RDWR | O_CREAT | O_EXCL, 0600), EEXIST);
    int fd = open("f", O_RDWR | O_APPEND | O_NONBLOCK | O_CLOEXEC);
    CHECK(fd >= 0);
    CHECK((fcntl(fd, F_GETFL) & (O_ACCMODE | O_APPEND | O_NONBLOCK)) ==
          (O_RDWR | O_APPEND | O_NONBLOCK));
    CHECK(fcntl(fd, F_GETFD) == FD_CLOEXEC);
    CHECK(close(fd) == 0);
    char buf[PATH_MAX];
    CHECK(readlink("link", buf, sizeof buf) == 1 && buf[0] == 'f');
    CHECK(readlink("/proc/self/exe", buf, sizeof buf) > 0 && strstr(buf, "files"));
    int own = open("/proc/self", O_PATH | O_DIRECTORY | O_CLOEXEC);
    memset(buf, 0, sizeof buf);
    CHECK(own >= 0 && readlinkat(own, "exe", buf, sizeof buf) > 0 && strstr(buf, "files"));
    CHECK(close(own) == 0);
    CHECK(unlink("link") == 0);
}

static void data(void)
{
    int fd = open("f", O_RDWR | O_CREAT | O_TRUNC, 0640);
    CHECK(fd >= 0);
    struct iovec v[3] = {{"one ", 4}, {"two ", 4}, {"three", 5}};
    CHECK(writev(fd, v, 3) == 13);
    CHECK(pwrite(fd, "TWO", 3, 4) == 3);
    char a[5], b[20];
    struct iovec r[2] = {{a, 5}, {b, 20}};
    CHECK(lseek(fd, 0, SEEK_SET) == 0);
    CHECK(readv(fd, r, 2) == 13);
    CHECK(memcmp(a, "one T", 5) == 0 && memcmp(b, "WO three", 8) == 0);
    CHECK(pread(fd, b, 3, 10) == 3 && memcmp(b, "ree", 3) == 0);
    CHECK(ftruncate(fd, 6) == 0 && lseek(fd, 0, SEEK_END) == 6);
}

/* A pointer that the compiler knows nothing about. */
static void *at(unsigned long address)
{
    volatile unsigned long a = address;
    return (void *)a;
}

static void faults(void)
{
    int fd = open("f", O_RDWR);
    CHECK_FAILS(read(fd, at(8), 1), EFAULT);
    CHECK_FAILS(write(fd, at(0x3ffffffffff0), 1), EFAULT);
    CHECK_FAILS(open(at(16), O_RDONLY), EFAULT);
    struct iovec bad = {at(16), 4};
    CHECK_FAILS(writev(fd, &bad, 1), EFAULT);
    CHECK_FAILS(writev(fd, at(16), 1), EFAULT);
    CHECK_FAILS(fstat(fd, at(16)), EFAULT);
    char *two = mmap(NULL, 8192, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    CHECK(munmap(two + 4096, 4096) == 0);
    memset(two, 'p', 4096);
    CHECK_FAILS(open(two, O_RDONLY), ENAMETOOLONG);
    CHECK_FAILS(open(two + 4000, O_RDONLY), EFAULT);
    CHECK(close(fd) == 0);
}

static void status(void)
{
    struct stat st, st2;
    CHECK(stat("f", &st) == 0);
    CHECK(st.st_size == 6 && S_ISREG(st.st_mode) && (st.st_mode & 07777) == 0640);
    CHECK(st.st_nlink == 1 && st.st_uid == getuid() && st.st_blksize >= 512);
    struct timespec t[2] = {{1000000000, 123456789}, {1100000000, 987654321}};
    CHECK(utimensat(AT_FDCWD, "f", t, 0) == 0);
    CHECK(chmod("f", 0444) == 0 && link("f", "g") == 0);
    CHECK(stat("g", &st2) == 0);
    CHECK(st2.st_mtim.tv_sec == 1100000000 && st2.st_mtim.tv_nsec == 987654321);
    CHECK(st2.st_atim.tv_sec == 1000000000 && st2.st_atim.tv_nsec == 123456789);
    CHECK(st2.st_ino == st.st_ino && st2.st_dev == st.st_dev && st2.st_nlink == 2);
    struct statx sx;
    CHECK(statx(AT_FDCWD, "g", 0, STATX_ALL, &sx) == 0 && sx.stx_size == 6);
    struct statfs fs;
    CHECK(statfs(".", &fs) == 0 && fs.f_bsize > 0 && fs.f_blocks > 0 && fs.f_namelen >= 100);
    CHECK(rename("g", "h") == 0 && access("h", R_OK) == 0);
    CHECK_FAILS(access("g", F_OK), ENOENT);
    CHECK(unlink("h") == 0);
    CHECK(stat("/dev/null", &st) == 0 && S_ISCHR(st.st_mode) && st.st_rdev == 0x103);
}

static void directories(void)
{
    char cwd[PATH_MAX], again[PATH_MAX];
    CHECK(mkdir("d", 0755) == 0 && getcwd(cwd, sizeof cwd));
    CHECK(chdir("d") == 0 && getcwd(again, sizeof again));
    CHECK(strlen(again) == strlen(cwd) + 2 && strcmp(again + strlen(cwd), "/d") == 0);
    for (int i = 0; i < 20; i++) {
        char name[20];
        snprintf(name, sizeof name, "file%d", i);
        CHECK(close(open(name, O_CREAT | O_WRONLY, 0600)) == 0);
    }
    DIR *d = opendir(".");
    unsigned seen = 0, dots = 0;
    for (struct dirent *e; (e = readdir(d)) != NULL;) {
        if (e->d_name[0] == '.')
            dots++;
        else
            seen |= 1u << atoi(e->d_name + 4);
    }
    CHECK(closedir(d) == 0 && seen == 0xfffff && dots == 2);
    for (int i = 0; i < 20; i++) {
        char name[20];
        snprintf(name, sizeof name, "file%d", i);
        CHECK(unlink(name) == 0);
    }
    CHECK(chdir("..") == 0 && rmdir("d") == 0);
}

static void descriptors(void)
{
    int p[2], n = -1;
    CHECK(pipe(p) == 0 && write(p[1], "hello", 5) == 5);
    CHECK(ioctl(p[0], FIONREAD, &n) == 0 && n == 5);
    CHECK_FAILS(ioctl(p[0], TIOCGWINSZ, &n), ENOTTY);
    int q = dup2(p[0], 50);
    char buf[8];
    CHECK(q == 50 && read(q, buf, 8) == 5 && memcmp(buf, "hello", 5) == 0);
    CHECK_FAILS(close(51), EBADF);
    int f = open("f2", O_RDWR | O_CREAT, 0600), g = open("f3", O_RDWR | O_CREAT, 0600);
    CHECK(write(f, "0123456789", 10) == 10);
    off_t off = 3;
    CHECK(sendfile(g, f, &off, 4) == 4 && off == 7);
    CHECK(pread(g, buf, 8, 0) == 4 && memcmp(buf, "3456", 4) == 0);
    struct flock l = {.l_type = F_WRLCK, .l_whence = SEEK_SET, .l_start = 2, .l_len = 3};
    CHECK(fcntl(f, F_SETLK, &l) == 0);
    l.l_type = F_RDLCK;
    CHECK(fcntl(f, F_GETLK, &l) == 0 && l.l_type == F_UNLCK);
    CHECK(flock(f, LOCK_EX) == 0 && fsync(f) == 0);
    char *m = mmap(NULL, 10, PROT_READ | PROT_WRITE, MAP_SHARED, f, 0);
    CHECK(m != MAP_FAILED && m[9] == '9');
    m[0] = 'Z';
    CHECK(pread(f, buf, 1, 0) == 1 && buf[0] == 'Z');
    CHECK(unlink("f2") == 0 && unlink("f3") == 0);
}

/* Too many parts, parts of negative length: each call says so in its order. */
static void lists_of_parts(void)
{
    static const int calls[] = {SYS_readv,   SYS_writev,  SYS_preadv,
                                SYS_pwritev, SYS_preadv2, SYS_pwritev2};
    static struct iovec v[IOV_MAX + 1];
    char byte = 'x';
    struct iovec negative[2] = {{&byte, 1}, {&byte, (size_t)-5}};
    int fd = open("parts", O_RDWR | O_CREAT, 0600);
    for (unsigned i = 0; i < 6; i++) {
        CHECK_FAILS(syscall(calls[i], fd, v, IOV_MAX + 1, 0, 0, 0), EINVAL);
        CHECK_FAILS(syscall(calls[i], fd, v, -1, 0, 0, 0), EINVAL);
        CHECK_FAILS(syscall(calls[i], 999, v, IOV_MAX + 1, 0, 0, 0), EBADF);
        CHECK_FAILS(syscall(calls[i], fd, negative, 2, 0, 0, 0), EINVAL);
        CHECK_FAILS(syscall(calls[i], fd, at(16), 1, 0, 0, 0), EFAULT);
        CHECK_FAILS(syscall(calls[i], 999, at(16), 1, 0, 0, 0), EBADF);
        CHECK(syscall(calls[i], fd, v, IOV_MAX, 0, 0, 0) == 0);
        CHECK(syscall(calls[i], fd, at(16), 0, 0, 0, 0) == 0);
    }
    CHECK(close(fd) == 0 && unlink("parts") == 0);
}

/* /proc/self/exe is a link, to who asks whether it is one. */
static void ways_of_paths(void)
{
    struct {
        uint64_t flags, mode, resolve;
    } how = {O_RDONLY, 0, 0};
    int fd = (int)syscall(437, AT_FDCWD, "/proc/self/exe", &how, sizeof how);
    CHECK(fd >= 0 && close(fd) == 0);
    how.resolve = 2; /* RESOLVE_NO_MAGICLINKS */
    CHECK_FAILS(syscall(437, AT_FDCWD, "/proc/self/exe", &how, sizeof how), ELOOP);
    how.resolve = 4; /* RESOLVE_NO_SYMLINKS */
    CHECK_FAILS(syscall(437, AT_FDCWD, "/proc/self/exe", &how, sizeof how), ELOOP);
    CHECK_FAILS(syscall(437, AT_FDCWD, "/proc/self/exe", 16, sizeof how), EFAULT);
    CHECK_FAILS(syscall(437, AT_FDCWD, "/proc/self/exe", &how, 8), EINVAL);
}

static void requests_to_devices(void)
{
    int by_path = open(".", O_PATH), n = 0;
    CHECK_FAILS(ioctl(by_path, FIONREAD, &n), EBADF);
    CHECK_FAILS(ioctl(by_path, 0xdead, &n), EBADF);
    CHECK_FAILS(ioctl(999, 0xdead, &n), EBADF);
    CHECK_FAILS(ioctl(999, 0, &n), EBADF);
    int fd = open("f", O_RDONLY);
    CHECK_FAILS(ioctl(fd, 0xdead, &n), ENOTTY);
    CHECK(close(by_path) == 0 && close(fd) == 0);
}

int main(int argc, char **argv)
{
    (void)argc;
    CHECK(chdir(argv[1]) == 0);
    umask(0);
    data();
    open_flags();
    faults();
    status();
    directories();
    descriptors();
    lists_of_parts();
    ways_of_paths();
    requests_to_devices();
    CHECK(unlink("f") == 0);
    puts("files ok");
    return 0;
}
