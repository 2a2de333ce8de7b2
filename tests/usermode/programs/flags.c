/* Flags of open files that other kernels have other bits for: each does what it is for, and is told as
 * it was given. In the directory argv[1]. */
#include <fcntl.h>
#include <linux/openat2.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "check.h"

enum { MOVED = O_DIRECTORY | O_NOFOLLOW | O_DIRECT };

static int flags_and_close(int fd)
{
    CHECK(fd >= 0);
    int flags = fcntl(fd, F_GETFL) & MOVED;
    CHECK(close(fd) == 0);
    return flags;
}

static void openat_flags(void)
{
    CHECK(close(open("flags_file", O_RDWR | O_CREAT, 0600)) == 0);
    CHECK(symlink("flags_file", "flags_link") == 0);
    CHECK_FAILS(open("flags_file", O_RDONLY | O_DIRECTORY), ENOTDIR);
    CHECK_FAILS(open("flags_link", O_RDONLY | O_NOFOLLOW), ELOOP);
    CHECK(flags_and_close(open("flags_link", O_RDONLY)) == 0);
    CHECK(flags_and_close(open(".", O_RDONLY | O_DIRECTORY)) == O_DIRECTORY);
    CHECK(flags_and_close(open(".", O_RDONLY | O_NOFOLLOW)) == O_NOFOLLOW);
}

static int openat2(const char *path, const void *how, uint64_t size)
{
    return (int)syscall(SYS_openat2, AT_FDCWD, path, how, size);
}

static void openat2_flags(void)
{
    struct {
        struct open_how how;
        uint64_t more;
    } u = {{.flags = O_RDONLY | O_DIRECTORY | O_NOFOLLOW}, 0};
    CHECK(flags_and_close(openat2(".", &u, sizeof u)) == (O_DIRECTORY | O_NOFOLLOW));
    CHECK_FAILS(openat2("flags_file", &u, sizeof u.how), ENOTDIR);
    CHECK_FAILS(openat2(".", &u, sizeof u.how - 1), EINVAL);
    CHECK_FAILS(openat2(".", &u, 4097), E2BIG);
    CHECK_FAILS(openat2(".", (void *)16, sizeof u), EFAULT);
    u.more = 1;
    CHECK_FAILS(openat2(".", &u, sizeof u), E2BIG);
}

static void packets(bool by_fcntl)
{
    int p[2];
    char buf[8];
    CHECK(pipe2(p, by_fcntl ? 0 : O_DIRECT) == 0);
    CHECK(!by_fcntl || fcntl(p[1], F_SETFL, O_DIRECT) == 0);
    CHECK((fcntl(p[1], F_GETFL) & MOVED) == O_DIRECT);
    CHECK(write(p[1], "ab", 2) == 2 && write(p[1], "c", 1) == 1);
    CHECK(read(p[0], buf, sizeof buf) == 2 && read(p[0], buf, sizeof buf) == 1);
    CHECK(close(p[0]) == 0 && close(p[1]) == 0);
}

int main(int argc, char **argv)
{
    CHECK(argc == 2 && chdir(argv[1]) == 0);
    openat_flags();
    openat2_flags();
    packets(false);
    packets(true);
    CHECK(unlink("flags_link") == 0 && unlink("flags_file") == 0);
    puts("flags ok");
    return 0;
}
