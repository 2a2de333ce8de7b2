/* Mappings: holes in them, ranges that are refused, how they are listed. What a range that is mapped in part
 * comes to is the host kernel's to say. */
#include <fcntl.h>
#include <linux/mman.h>
#include <sched.h>
#include <setjmp.h>
#include <signal.h>
#include <stdint.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <ucontext.h>
#include <unistd.h>

#include "check.h"
#include "probe.h"

enum { PAGE = 4096, LARGE = 65536 /* a host's at most */, HOLE = 3, PAGES = 6 };

/* PAGES pages of sevens with one hole, at the same place each time. */
static uint8_t *with_a_hole(void)
{
    static uint8_t *at;
    int fixed = at ? MAP_FIXED : 0;
    at = mmap(at, PAGES * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | fixed, -1, 0);
    CHECK(at != MAP_FAILED);
    memset(at, 7, PAGES * PAGE);
    CHECK(munmap(at + HOLE * PAGE, PAGE) == 0);
    return at;
}

static void holes(void)
{
    uint8_t *m = with_a_hole();
    CHECK_FAILS(mprotect(m, PAGES * PAGE, PROT_READ), ENOMEM); /* changes what lies before */
    for (int i = 0; i < PAGES; i++)
        CHECK(probe(m + i * PAGE, 1) == (i <= HOLE ? SIGSEGV : 0));
    CHECK(probe(m, 0) == 0);
    m = with_a_hole();
    CHECK_FAILS(mprotect(m + HOLE * PAGE, 2 * PAGE, PROT_READ), ENOMEM);
    CHECK(probe(m + (HOLE + 1) * PAGE, 1) == 0);
    CHECK_FAILS(madvise(m, PAGES * PAGE, MADV_DONTNEED), ENOMEM); /* and what lies behind */
    for (int i = 0; i < PAGES; i++)
        CHECK(i == HOLE || m[i * PAGE] == 0);
    m = with_a_hole();
    unsigned char in[PAGES];
    CHECK_FAILS(msync(m, PAGES * PAGE, MS_SYNC), ENOMEM);
    CHECK_FAILS(mlock(m, PAGES * PAGE), ENOMEM);
    CHECK_FAILS(munlock(m, PAGES * PAGE), ENOMEM);
    CHECK_FAILS(mincore(m, PAGES * PAGE, in), ENOMEM);
    CHECK(munmap(m + PAGE, (PAGES - 2) * PAGE) == 0 && munmap(m + PAGE, PAGE) == 0);
    CHECK(probe(m, 1) == 0 && probe(m + PAGE, 0) == SIGSEGV && probe(m + 5 * PAGE, 0) == 0);
}

/* A file that may only be read and is shared cannot become writable: what lies before it has. */
static void refused_in_the_middle(void)
{
    enum { PAGE = LARGE };
    int fd = memfd_create("file", 0);
    char name[40];
    snprintf(name, sizeof name, "/proc/self/fd/%d", fd);
    int reader = open(name, O_RDONLY);
    CHECK(fd >= 0 && reader >= 0 && ftruncate(fd, 2 * PAGE) == 0);
    uint8_t *m = mmap(NULL, 8 * PAGE, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    CHECK(mmap(m + 5 * PAGE, 2 * PAGE, PROT_READ, MAP_SHARED | MAP_FIXED, reader, 0) != MAP_FAILED);
    CHECK_FAILS(mprotect(m, 8 * PAGE, PROT_READ | PROT_WRITE), EACCES);
    for (int i = 0; i < 8; i++)
        CHECK(probe(m + i * PAGE, 1) == (i < 5 ? 0 : SIGSEGV));
    CHECK(read(open("/dev/zero", O_RDONLY), m + 4 * PAGE, PAGE) == PAGE);
    CHECK_FAILS(read(open("/dev/zero", O_RDONLY), m + 5 * PAGE, PAGE), EFAULT);
    CHECK(close(fd) == 0 && close(reader) == 0);
}

static void bad_ranges(void)
{
    uint8_t *m = with_a_hole(), *top = (uint8_t *)-(uintptr_t)PAGE, *high = (uint8_t *)(1ul << 56);
    unsigned char in[PAGES];
    CHECK(mprotect(m + HOLE * PAGE, 0, PROT_READ) == 0 && mprotect(m, 0, 0x100) == 0);
    CHECK_FAILS(mprotect(m, PAGE, 0x100), EINVAL);
    CHECK_FAILS(mprotect(m, -(size_t)PAGE, PROT_READ), ENOMEM);
    CHECK_FAILS(mprotect(top, PAGE, PROT_READ), ENOMEM);
    CHECK(mprotect(m, PAGE, PROT_READ | PROT_WRITE | 8) == 0); /* PROT_SEM */
    CHECK_FAILS(madvise(m + 1, PAGE, MADV_NORMAL), EINVAL);
    CHECK_FAILS(madvise(m, PAGE, 12345), EINVAL);
    CHECK_FAILS(madvise(m, -(size_t)PAGE, MADV_NORMAL), EINVAL);
    CHECK_FAILS(madvise(top, PAGE, MADV_NORMAL), EINVAL);
    CHECK_FAILS(madvise(high, PAGE, MADV_NORMAL), ENOMEM);
    CHECK_FAILS(madvise(high + 5, PAGE, MADV_NORMAL), EINVAL);
    CHECK(madvise(m + HOLE * PAGE, 0, MADV_NORMAL) == 0);
    CHECK_FAILS(msync((void *)-1L, PAGE, MS_ASYNC), EINVAL);
    CHECK_FAILS(msync(top, PAGE, MS_ASYNC), ENOMEM);
    CHECK_FAILS(msync(m, -(size_t)PAGE, MS_ASYNC), ENOMEM);
    CHECK(msync(m, -1ul, MS_ASYNC) == 0); /* rounded up, that is nothing */
    if (geteuid() == 0) {                 /* others have a limit, which comes first */
        CHECK_FAILS(mlock(m, -(size_t)PAGE), EINVAL);
        CHECK_FAILS(mlock(top, PAGE), EINVAL);
    }
    CHECK_FAILS(mlock(high, PAGE), ENOMEM);
    CHECK(mlock(m, -1ul) == 0 && mlock(m + HOLE * PAGE, 0) == 0);
    CHECK_FAILS(mincore(m + 1, PAGE, in), EINVAL);
    CHECK_FAILS(mincore(high, PAGE, in), ENOMEM);
    CHECK_FAILS(mincore(high + 1, PAGE, in), EINVAL);
    CHECK_FAILS(mincore(m, PAGE, (void *)16), EFAULT);
    CHECK_FAILS(mremap(m, PAGE, 1ul << 60, MREMAP_MAYMOVE), ENOMEM);
    CHECK_FAILS(mmap(NULL, 0, PROT_READ, MAP_PRIVATE, 999, 0), EBADF); /* before the length */
    CHECK_FAILS(mmap(m + 1, PAGE, PROT_READ, MAP_PRIVATE | MAP_FIXED, 999, 0), EBADF);
    CHECK_FAILS(mremap(m, 0, PAGE, MREMAP_MAYMOVE), EINVAL); /* private: not once more */
}

/* Huge pages or none: what the place would have to be is not the program's trouble. */
static void huge_pages(void)
{
    const int anon = MAP_PRIVATE | MAP_ANONYMOUS, rw = PROT_READ | PROT_WRITE;
    const size_t size = 2 << 20;
    uint8_t *m = mmap(NULL, size, rw, anon | MAP_HUGETLB, -1, 0);
    CHECK(m != MAP_FAILED || errno == ENOMEM);
    if (m != MAP_FAILED)
        CHECK((uintptr_t)m % size == 0 && probe(m + size - 1, 1) == 0 && munmap(m, size) == 0);
    m = mmap(NULL, PAGE, rw, anon | MAP_HUGETLB | 21 << MAP_HUGE_SHIFT, -1, 0);
    CHECK(m != MAP_FAILED || errno == ENOMEM);
    CHECK_FAILS(mmap(NULL, size, rw, anon | MAP_HUGETLB | 13 << MAP_HUGE_SHIFT, -1, 0), EINVAL);
    CHECK_FAILS(mmap(NULL, size, rw, anon | MAP_HUGETLB | 63 << MAP_HUGE_SHIFT, -1, 0), EINVAL);
    int fd = memfd_create("huge", MFD_HUGETLB);
    if (fd >= 0) {
        CHECK(ftruncate(fd, (off_t)size) == 0);
        m = mmap(NULL, size, rw, MAP_SHARED, fd, 0);
        CHECK(m != MAP_FAILED || errno == ENOMEM);
        close(fd);
    }
}

/* What /proc/self/maps says of address at, which begins a mapping. */
static void map_line(const void *at, char *line, size_t size)
{
    FILE *f = fopen("/proc/self/maps", "r");
    unsigned long start = 0;
    CHECK(f);
    while (start != (uintptr_t)at)
        CHECK(fgets(line, (int)size, f) && sscanf(line, "%lx-", &start) == 1);
    fclose(f);
}

static void list_of_mappings(void)
{
    char line[400], want[60];
    uint8_t *m = mmap(NULL, 3 * LARGE, PROT_NONE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    CHECK(mmap(m + LARGE, LARGE, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0) ==
          m + LARGE);
    for (int i = 0; i < 3; i++) {
        map_line(m + i * LARGE, line, sizeof line);
        snprintf(want, sizeof want, "-%lx ---%c ", (unsigned long)(m + (i + 1) * LARGE),
                 i == 1 ? 'p' : 's');
        CHECK(strstr(line, want));
    }
    int fd = memfd_create("by name", 0);
    CHECK(ftruncate(fd, 4 * PAGE) == 0);
    m = mmap(NULL, 2 * PAGE, PROT_READ | PROT_EXEC, MAP_PRIVATE, fd, PAGE);
    CHECK(mprotect(m + PAGE, PAGE, PROT_READ | PROT_WRITE) == 0);
    map_line(m, line, sizeof line);
    CHECK(strstr(line, " r-xp 00001000 ") && strstr(line, "/memfd:by name (deleted)\n"));
    map_line(m + PAGE, line, sizeof line);
    CHECK(strstr(line, " rw-p 00002000 ") && strstr(line, "/memfd:by name (deleted)\n"));
    /* A shared mapping, once more. */
    m = mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    *m = 9;
    uint8_t *n = mremap(m, 0, PAGE, MREMAP_MAYMOVE);
    CHECK(n != MAP_FAILED && n != m && *n == 9 && probe(m, 1) == 0 && *n == 1);
}

/* Two processes add to one word: nothing is lost. Alone before, so that what was translated then runs on. */
static void counted_by_two(void)
{
    enum { TIMES = 1000000 };
    static int64_t own;
    int64_t *shared = &own;
    for (int turn = 0; turn < 2; turn++) {
        pid_t child = turn ? fork() : 0;
        if (turn) {
            __atomic_fetch_add(&shared[2], 1, __ATOMIC_SEQ_CST);
            while (__atomic_load_n(&shared[2], __ATOMIC_SEQ_CST) < 2)
                sched_yield();
        }
        for (int i = 0; i < TIMES; i++) {
            __atomic_fetch_add(shared, 1, __ATOMIC_RELAXED);
            __atomic_fetch_xor(shared + turn, INT64_C(1) << 40, __ATOMIC_RELAXED);
        }
        if (turn && !child)
            _exit(0);
        if (turn) {
            CHECK(waitpid(child, NULL, 0) == child);
            CHECK(shared[0] == 2 * TIMES && shared[1] == 0);
        }
        shared = mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
        CHECK(shared != MAP_FAILED);
    }
}

int main(void)
{
    look_at_faults();
    holes();
    refused_in_the_middle();
    bad_ranges();
    huge_pages();
    list_of_mappings();
    counted_by_two();
    puts("mappings ok");
    return 0;
}
