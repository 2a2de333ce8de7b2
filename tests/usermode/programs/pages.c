/* Pages of 4 KiB, each with contents and permissions of its own, whatever the pages of the host: neighbours,
 * files at any offset, what is discarded or moved, and accesses over the border of two. */
#include <fcntl.h>
#include <fenv.h>
#include <stdint.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <ucontext.h>
#include <unistd.h>

#include "check.h"
#include "probe.h"

enum {
    PAGE = 4096,
    LARGE = 65536, /* a page of a host's at most */
    PAGES = 3 * LARGE / PAGE,
    RW = PROT_READ | PROT_WRITE,
    ANON = MAP_PRIVATE | MAP_ANONYMOUS,
};

static const uint8_t one_byte = 1;

/* Addresses at LARGE's multiples, so that what is to lie on one page of a host's does. */
static uint8_t *aligned(size_t size)
{
    uint8_t *m = mmap(NULL, size + LARGE, PROT_NONE, ANON, -1, 0);
    CHECK(m != MAP_FAILED);
    uint8_t *at = (uint8_t *)(((uintptr_t)m + LARGE - 1) & ~(uintptr_t)(LARGE - 1));
    CHECK(munmap(m, size + LARGE) == 0);
    return at;
}

static uint8_t *map_at(uint8_t *at, size_t size, int prot)
{
    uint8_t *m = mmap(at, size, prot, ANON | MAP_FIXED, -1, 0);
    CHECK(m == at);
    return m;
}

/* A file whose page i is of bytes 100 + i. */
static int file_of(int pages)
{
    int fd = memfd_create("file", 0);
    uint8_t page[PAGE];
    CHECK(fd >= 0);
    for (int i = 0; i < pages; i++) {
        memset(page, 100 + i, PAGE);
        CHECK(write(fd, page, PAGE) == PAGE);
    }
    return fd;
}

static int is_all(const uint8_t *m, int byte, size_t size)
{
    for (size_t i = 0; i < size; i++)
        if (m[i] != byte)
            return 0;
    return 1;
}

static void each_has_its_own_permissions(void)
{
    static const int prots[] = {RW, PROT_READ, PROT_NONE, RW};
    uint8_t *m = map_at(aligned(PAGES * PAGE), PAGES * PAGE, RW);
    for (int i = 0; i < PAGES; i++) {
        memset(m + i * PAGE, i + 1, PAGE);
        CHECK(mprotect(m + i * PAGE, PAGE, prots[i % 4]) == 0);
    }
    for (int i = 3; i < PAGES; i += 8)
        CHECK(munmap(m + i * PAGE, PAGE) == 0);
    for (int round = 0; round < 2; round++)
        for (int i = 0; i < PAGES; i++) {
            const int gone = i % 8 == 3, prot = gone ? PROT_NONE : prots[i % 4];
            CHECK(probe(m + i * PAGE + 77, 0) == (prot & PROT_READ ? 0 : SIGSEGV));
            CHECK(prot & PROT_READ || (seen.si_addr == m + i * PAGE + 77 &&
                                       seen.si_code == (gone ? SEGV_MAPERR : SEGV_ACCERR)));
            CHECK(probe(m + i * PAGE + 9, 1) == (prot & PROT_WRITE ? 0 : SIGSEGV));
            CHECK(prot & PROT_WRITE || (seen.si_addr == m + i * PAGE + 9 &&
                                        seen.si_code == (gone ? SEGV_MAPERR : SEGV_ACCERR)));
            CHECK(!(prot & PROT_READ) || is_all(m + i * PAGE + 10, i + 1, PAGE - 10));
        }
    /* What comes to lie between is zeros, and leaves the others as they are. */
    map_at(m + 3 * PAGE, PAGE, RW);
    CHECK(is_all(m + 3 * PAGE, 0, PAGE) && m[4 * PAGE - 1] == 0 && m[4 * PAGE + 50] == 5);
    CHECK(mprotect(m, PAGES * PAGE, PROT_READ) == -1 && errno == ENOMEM); /* up to the next hole */
    for (int i = 0; i < 11; i++)
        CHECK(i == 3 || is_all(m + i * PAGE + 10, i + 1, PAGE - 10));
    CHECK(probe(m, 1) == SIGSEGV && probe(m + 12 * PAGE, 1) == 0);
    CHECK(munmap(m, PAGES * PAGE) == 0 && probe(m + PAGE, 0) == SIGSEGV);
}

/* As a dynamic linker does: the file as a whole, then parts of it elsewhere over that, then zeros. */
static void files_lie_at_any_offset(void)
{
    int fd = file_of(40);
    uint8_t *m = mmap(NULL, 40 * PAGE, PROT_READ, MAP_PRIVATE, fd, 0);
    CHECK(m != MAP_FAILED);
    for (int i = 0; i < 40; i++)
        CHECK(is_all(m + i * PAGE, 100 + i, PAGE));
    CHECK(mmap(m + 21 * PAGE, 10 * PAGE, RW, MAP_PRIVATE | MAP_FIXED, fd, 18 * PAGE) ==
          m + 21 * PAGE);
    map_at(m + 27 * PAGE, 2 * PAGE, RW);
    for (int i = 0; i < 40; i++) {
        const int zeros = i == 27 || i == 28, moved = i >= 21 && i < 31;
        CHECK(is_all(m + i * PAGE, zeros ? 0 : moved ? 97 + i : 100 + i, PAGE));
        CHECK(probe(m + i * PAGE, 1) == (moved ? 0 : SIGSEGV));
    }
    uint8_t byte;
    CHECK(pread(fd, &byte, 1, 18 * PAGE) == 1 && byte == 118); /* it was private */
    /* Other kinds of permissions for parts of what the host has mapped at once. */
    CHECK(mprotect(m + 2 * PAGE, PAGE, RW) == 0 && probe(m + 2 * PAGE, 1) == 0);
    CHECK(probe(m + 3 * PAGE, 1) == SIGSEGV && probe(m + PAGE, 1) == SIGSEGV);
    CHECK(m[2 * PAGE] == 1 && m[2 * PAGE + 1] == 102 && m[3 * PAGE] == 103);
    CHECK(munmap(m, 40 * PAGE) == 0);
    m = mmap(NULL, 3 * PAGE, PROT_READ, MAP_PRIVATE, fd, 7 * PAGE);
    CHECK(m != MAP_FAILED && m[0] == 107 && m[3 * PAGE - 1] == 109);
    CHECK(munmap(m, 3 * PAGE) == 0);
    CHECK_FAILS(mmap(NULL, PAGE, PROT_READ, MAP_PRIVATE, fd, 100), EINVAL);
    CHECK_FAILS(mmap(NULL, PAGE, PROT_READ, MAP_PRIVATE, open("/", O_RDONLY), 0), ENODEV);
    CHECK(close(fd) == 0);
}

static void what_is_shared_stays_the_same(void)
{
    int fd = file_of(8);
    uint8_t byte = 9;
    uint8_t *m = mmap(NULL, 2 * PAGE, RW, MAP_SHARED, fd, 5 * PAGE);
    CHECK(m != MAP_FAILED && m[0] == 105 && m[PAGE] == 106);
    m[PAGE] = 55;
    CHECK(pread(fd, &byte, 1, 6 * PAGE) == 1 && byte == 55);
    CHECK(pwrite(fd, &one_byte, 1, 5 * PAGE) == 1 && m[0] == 1);
    CHECK(msync(m + PAGE, PAGE, MS_SYNC) == 0);
    /* Others do not come too near. */
    uint8_t *n = mmap(NULL, PAGE, RW, ANON, -1, 0);
    CHECK(n != MAP_FAILED && munmap(n, PAGE) == 0);
    CHECK(mprotect(m + PAGE, PAGE, PROT_READ) == 0 && probe(m + PAGE, 1) == SIGSEGV);
    CHECK(probe(m + 3, 1) == 0 && munmap(m, PAGE) == 0 && m[PAGE] == 55);
    CHECK(munmap(m + PAGE, PAGE) == 0 && close(fd) == 0);
    m = mmap(NULL, PAGE, RW, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    CHECK(m != MAP_FAILED);
    pid_t pid = fork();
    if (pid == 0) {
        m[5] = 77;
        _exit(0);
    }
    int status;
    CHECK(waitpid(pid, &status, 0) == pid && status == 0 && m[5] == 77 && munmap(m, PAGE) == 0);
}

static void what_is_discarded_is_zeros(void)
{
    uint8_t *m = map_at(aligned(PAGES * PAGE), PAGES * PAGE, RW);
    unsigned char in[PAGES];
    memset(m, 6, PAGES * PAGE);
    CHECK(madvise(m + PAGE, PAGE, MADV_DONTNEED) == 0);
    CHECK(madvise(m + 5 * PAGE, 30 * PAGE, MADV_DONTNEED) == 0);
    CHECK(madvise(m + 2 * PAGE, PAGE, MADV_WILLNEED) == 0);
    for (int i = 0; i < PAGES; i++)
        CHECK(is_all(m + i * PAGE, i == 1 || (i >= 5 && i < 35) ? 0 : 6, PAGE));
    CHECK(mincore(m, PAGES * PAGE, in) == 0 && (in[0] & 1) && (in[PAGES - 1] & 1));
    CHECK(mlock(m + 3 * PAGE + 5, 10) == 0 && munlock(m + 3 * PAGE + 5, 10) == 0);
    CHECK(munmap(m, PAGES * PAGE) == 0);
    CHECK_FAILS(mincore(m, PAGE, in), ENOMEM);
}

static void what_moves_keeps_its_contents(void)
{
    uint8_t *m = map_at(aligned(PAGES * PAGE), 4 * PAGE, RW);
    for (int i = 0; i < 4; i++)
        memset(m + i * PAGE, i + 1, PAGE);
    uint8_t *n = mremap(m + PAGE, 2 * PAGE, 20 * PAGE, MREMAP_MAYMOVE);
    CHECK(n != MAP_FAILED && is_all(n, 2, PAGE) && is_all(n + PAGE, 3, PAGE));
    CHECK(is_all(n + 2 * PAGE, 0, 18 * PAGE) && probe(m + PAGE, 0) == SIGSEGV);
    CHECK(is_all(m, 1, PAGE) && is_all(m + 3 * PAGE, 4, PAGE));
    memset(n, 8, 20 * PAGE);
    CHECK(mremap(n, 20 * PAGE, 2 * PAGE, 0) == n && probe(n + 2 * PAGE, 0) == SIGSEGV);
    uint8_t *o = mremap(n, 2 * PAGE, 40 * PAGE, MREMAP_MAYMOVE);
    CHECK(o != MAP_FAILED && is_all(o, 8, 2 * PAGE) && is_all(o + 2 * PAGE, 0, 38 * PAGE));
    CHECK(mremap(o, 40 * PAGE, PAGE, MREMAP_MAYMOVE | MREMAP_FIXED, m + 2 * PAGE) == m + 2 * PAGE);
    CHECK(is_all(m + 2 * PAGE, 8, PAGE) && is_all(m + 3 * PAGE, 4, PAGE) && is_all(m, 1, PAGE));
    CHECK(probe(o, 0) == SIGSEGV && munmap(m, 4 * PAGE) == 0);
    int fd = file_of(40);
    m = mmap(NULL, PAGE, RW, MAP_SHARED, fd, PAGE);
    CHECK(m != MAP_FAILED);
    n = mremap(m, PAGE, 30 * PAGE, MREMAP_MAYMOVE);
    CHECK(n != MAP_FAILED && n[0] == 101 && n[29 * PAGE] == 130);
    n[29 * PAGE] = 3;
    uint8_t byte = 0;
    CHECK(pread(fd, &byte, 1, 30 * PAGE) == 1 && byte == 3);
    CHECK(munmap(n, 30 * PAGE) == 0 && close(fd) == 0);
}

static void the_heap_ends_where_it_ends(void)
{
    uint8_t *now = sbrk(0),
            *end = (uint8_t *)(((uintptr_t)now + PAGE - 1) & ~(uintptr_t)(PAGE - 1));
    CHECK(sbrk(end - now) == now);
    CHECK(probe(end, 0) == SIGSEGV && sbrk(PAGE) == end && probe(end + 5, 1) == 0);
    CHECK(probe(end + PAGE, 0) == SIGSEGV && seen.si_code == SEGV_MAPERR);
    memset(end, 3, PAGE);
    CHECK(sbrk(-PAGE) == end + PAGE && probe(end, 0) == SIGSEGV);
    CHECK(sbrk(20 * PAGE) == end && is_all(end, 0, 20 * PAGE) &&
          sbrk(-20 * PAGE) == end + 20 * PAGE);
}

static void accesses_over_a_border(void)
{
    uint8_t *m = map_at(aligned(4 * PAGE), 4 * PAGE, RW);
    volatile uint64_t *over = (volatile uint64_t *)(uintptr_t)(m + PAGE - 3);
    uint64_t v = UINT64_C(0x1122334455667788);
    *over = v;
    CHECK(*over == v && m[PAGE] == 0x55 && m[PAGE - 1] == 0x66);
    CHECK(mprotect(m + PAGE, PAGE, PROT_READ) == 0);
    seen.si_signo = 0;
    if (sigsetjmp(env, 1) == 0)
        *over = 0;
    CHECK(seen.si_signo == SIGSEGV && seen.si_code == SEGV_ACCERR && seen.si_addr == m + PAGE);
    CHECK(*over == v); /* none of it was stored */
    CHECK(munmap(m + PAGE, PAGE) == 0);
    seen.si_signo = 0;
    if (sigsetjmp(env, 1) == 0)
        v = *over;
    CHECK(seen.si_signo == SIGSEGV && seen.si_code == SEGV_MAPERR && seen.si_addr == m + PAGE);
    CHECK(munmap(m, 4 * PAGE) == 0);
}

static void calls_see_what_is_there(void)
{
    uint8_t *m = map_at(aligned(4 * PAGE), 4 * PAGE, RW);
    int zero = open("/dev/zero", O_RDONLY);
    CHECK(munmap(m + PAGE, PAGE) == 0 && mprotect(m + 2 * PAGE, PAGE, PROT_NONE) == 0);
    CHECK(read(zero, m, PAGE) == PAGE);
    CHECK_FAILS(read(zero, m + PAGE, PAGE), EFAULT);
    CHECK_FAILS(read(zero, m + 2 * PAGE + 7, 20), EFAULT);
    CHECK(read(zero, m + 3 * PAGE, PAGE) == PAGE);
    CHECK_FAILS(open((char *)m + PAGE, O_RDONLY), EFAULT);
    memset(m, '/', PAGE); /* no end before the page's */
    CHECK_FAILS(open((char *)m + 10, O_RDONLY), EFAULT);
    CHECK(munmap(m, 4 * PAGE) == 0 && close(zero) == 0);
}

static volatile uint64_t access_pc, fault_pc;

static void on_end(int sig, siginfo_t *info, void *uc)
{
    fault_pc = ((ucontext_t *)uc)->uc_mcontext.__gregs[REG_PC];
    on_fault(sig, info, uc);
}

/* A flag is raised, and the next instruction finds nothing at p. */
static void divide_and_touch(uint8_t *p, int write)
{
    seen.si_signo = 0;
    if (sigsetjmp(env, 1))
        return;
    if (write)
        __asm__ volatile("la t0, 1f\n sd t0, %0\n fdiv.d ft0, %2, %3\n 1: sb t0, 0(%1)"
                         : "=m"(access_pc)
                         : "r"(p), "f"(1.0), "f"(0.0)
                         : "t0", "ft0", "memory");
    else
        __asm__ volatile("la t0, 1f\n sd t0, %0\n fdiv.d ft0, %2, %3\n 1: lb t0, 0(%1)"
                         : "=m"(access_pc)
                         : "r"(p), "f"(1.0), "f"(0.0)
                         : "t0", "ft0", "memory");
}

/* The file ends while it is in use; what floats have raised by then stays raised. */
static void a_file_ends(void)
{
    struct sigaction sa = {.sa_sigaction = on_end, .sa_flags = SA_SIGINFO};
    int fd = file_of(2 * LARGE / PAGE);
    uint8_t *m = mmap(NULL, 2 * LARGE, RW, MAP_SHARED, fd, 0);
    CHECK(m != MAP_FAILED && m[LARGE + 8] == 116 && sigaction(SIGBUS, &sa, NULL) == 0);
    for (int write = 0; write < 2; write++) {
        CHECK(ftruncate(fd, 2 * LARGE) == 0 && probe(m + LARGE + 8, 1) == 0);
        CHECK(probe(m + LARGE + 8, 0) == 0 && ftruncate(fd, LARGE) == 0);
        for (int round = 0; round < 2; round++) {
            CHECK(feclearexcept(FE_ALL_EXCEPT) == 0);
            divide_and_touch(m + LARGE + 9, write);
            CHECK(fetestexcept(FE_ALL_EXCEPT) == FE_DIVBYZERO && fault_pc == access_pc);
            CHECK(seen.si_signo == SIGBUS && seen.si_code == BUS_ADRERR);
            CHECK(seen.si_addr == m + LARGE + 9);
        }
    }
    CHECK(munmap(m, 2 * LARGE) == 0 && close(fd) == 0);
}

int main(void)
{
    look_at_faults();
    each_has_its_own_permissions();
    files_lie_at_any_offset();
    what_is_shared_stays_the_same();
    what_is_discarded_is_zeros();
    what_moves_keeps_its_contents();
    the_heap_ends_where_it_ends();
    accesses_over_a_border();
    calls_see_what_is_there();
    a_file_ends();
    puts("pages ok");
    return 0;
}
