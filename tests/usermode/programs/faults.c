/* Where a fault is: the address that a handler is told, to the byte, of every kind of access. */
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdint.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <time.h>
#include <ucontext.h>
#include <unistd.h>

#include "check.h"

enum { PAGE = 4096, ANON = MAP_PRIVATE | MAP_ANONYMOUS, RWX = PROT_READ | PROT_WRITE | PROT_EXEC };

static sigjmp_buf env;
static siginfo_t seen;
static uint64_t pc_at_fault;

static void on_fault(int sig, siginfo_t *info, void *uc)
{
    (void)sig;
    seen = *info;
    pc_at_fault = ((ucontext_t *)uc)->uc_mcontext.__gregs[REG_PC];
    siglongjmp(env, 1);
}

/* --- accesses ---------------------------------------------------------------------------------- */

#define ACCESS(name, text)                                                                         \
    static void name(uint64_t at)                                                                  \
    {                                                                                              \
        __asm__ volatile(text ::"r"(at) : "t0", "ft0", "memory");                                  \
    }
ACCESS(lb, "lb t0, 0(%0)")
ACCESS(lhu, "lhu t0, 0(%0)")
ACCESS(lw, "lw t0, 0(%0)")
ACCESS(ld, "ld t0, 0(%0)")
ACCESS(ld_below, "addi t0, %0, 16\nld t0, -16(t0)")
ACCESS(flw, "flw ft0, 0(%0)")
ACCESS(fld, "fld ft0, 0(%0)")
ACCESS(sb, "sb t0, 0(%0)")
ACCESS(sh, "sh t0, 0(%0)")
ACCESS(sw, "sw zero, 0(%0)")
ACCESS(sd, "sd t0, 0(%0)")
ACCESS(sd_above, "addi t0, %0, -2000\nsd zero, 2000(t0)")
ACCESS(fsw, "fsw ft0, 0(%0)")
ACCESS(fsd, "fsd ft0, 0(%0)")
ACCESS(cbo_zero, ".insn i 15, 2, x0, %0, 4")
ACCESS(lr_w, "lr.w t0, (%0)")
ACCESS(lr_d, "lr.d t0, (%0)")
ACCESS(sc_d, "sc.d t0, t0, (%0)")
ACCESS(amoadd_w, "amoadd.w t0, t0, (%0)")
ACCESS(amoadd_d, "amoadd.d zero, t0, (%0)")
ACCESS(amoswap_d, "amoswap.d t0, t0, (%0)")
ACCESS(amoand_w, "amoand.w t0, t0, (%0)")
ACCESS(amomaxu_d, "amomaxu.d t0, t0, (%0)")

enum { ALIGNED = 1, STORES = 2, BLOCK = 4 };

static const struct {
    const char *name;
    void (*fn)(uint64_t at);
    unsigned size, flags;
} accesses[] = {
    {"lb", lb, 1, 0},
    {"lhu", lhu, 2, 0},
    {"lw", lw, 4, 0},
    {"ld", ld, 8, 0},
    {"ld below", ld_below, 8, 0},
    {"flw", flw, 4, 0},
    {"fld", fld, 8, 0},
    {"sb", sb, 1, STORES},
    {"sh", sh, 2, STORES},
    {"sw", sw, 4, STORES},
    {"sd", sd, 8, STORES},
    {"sd above", sd_above, 8, STORES},
    {"fsw", fsw, 4, STORES},
    {"fsd", fsd, 8, STORES},
    {"cbo.zero", cbo_zero, 1, STORES | BLOCK},
    {"lr.w", lr_w, 4, ALIGNED},
    {"lr.d", lr_d, 8, ALIGNED},
    {"sc.d", sc_d, 8, ALIGNED | STORES},
    {"amoadd.w", amoadd_w, 4, ALIGNED | STORES},
    {"amoadd.d", amoadd_d, 8, ALIGNED | STORES},
    {"amoswap.d", amoswap_d, 8, ALIGNED | STORES},
    {"amoand.w", amoand_w, 4, ALIGNED | STORES},
    {"amomaxu.d", amomaxu_d, 8, ALIGNED | STORES},
};
enum { ACCESSES = sizeof accesses / sizeof *accesses };

static void expect(const char *name, int sig, int code, uint64_t at)
{
    if (seen.si_signo == sig && seen.si_code == code && (uint64_t)seen.si_addr == at)
        return;
    fprintf(stderr, "%s: signal %d code %d at %#lx instead of %d %d %#lx\n", name, seen.si_signo,
            seen.si_code, (unsigned long)seen.si_addr, sig, code, (unsigned long)at);
    exit(99);
}

static void touch(unsigned i, uint64_t at)
{
    memset(&seen, 0, sizeof seen);
    if (sigsetjmp(env, 1) == 0)
        accesses[i].fn(at);
}

/* Each kind of access at `at`, which is as told for all of its bytes. only: those with all the flags. */
static void all_fault(uint64_t at, int sig, int code, unsigned only)
{
    for (unsigned i = 0; i < ACCESSES; i++) {
        uint64_t here = accesses[i].flags & ALIGNED ? at & ~UINT64_C(7) : at;
        if ((accesses[i].flags & only) != only)
            continue;
        touch(i, here);
        expect(accesses[i].name, sig, code, here);
    }
}

static void pages(void)
{
    uint8_t *m = mmap(NULL, 8 * PAGE, PROT_READ | PROT_WRITE, ANON, -1, 0);
    uint64_t at = (uint64_t)m;
    CHECK(mprotect(m + PAGE, PAGE, PROT_NONE) == 0 && munmap(m + 3 * PAGE, PAGE) == 0);
    CHECK(mprotect(m + 5 * PAGE, PAGE, PROT_READ) == 0);
    all_fault(at + PAGE, SIGSEGV, SEGV_ACCERR, 0);
    all_fault(at + PAGE + 0x123, SIGSEGV, SEGV_ACCERR, 0);
    all_fault(at + 3 * PAGE + 0x777, SIGSEGV, SEGV_MAPERR, 0);
    all_fault(at + 5 * PAGE + 0x31, SIGSEGV, SEGV_ACCERR, STORES);
    /* Over a border: the first byte that is not there. */
    for (unsigned i = 0; i < ACCESSES; i++) {
        if (accesses[i].size < 4 || accesses[i].flags & ALIGNED)
            continue;
        touch(i, at + PAGE - 3);
        expect(accesses[i].name, SIGSEGV, SEGV_ACCERR, at + PAGE);
        touch(i, at + 2 * PAGE - 1);
        expect(accesses[i].name, SIGSEGV, SEGV_ACCERR, at + 2 * PAGE - 1);
        touch(i, at + 3 * PAGE - 1);
        expect(accesses[i].name, SIGSEGV, SEGV_MAPERR, at + 3 * PAGE);
    }
}

static void far_away(void)
{
    static const uint64_t where[] = {
        0,
        9,
        UINT64_C(0x1234567890123),
        UINT64_C(0x4000000000103),
        UINT64_C(0x7fffffffffff0123),
        UINT64_C(0x8000000000001000),
        UINT64_C(0xffffffff00000008),
        UINT64_C(0xfffffffffffff105),
    };
    for (unsigned i = 0; i < sizeof where / sizeof *where; i++)
        all_fault(where[i], SIGSEGV, SEGV_MAPERR, 0);
}

/* Hosts may ignore bits of an address: with any of them set, one of a page that is there is none. */
static void each_high_bit(void)
{
    static uint8_t there[2 * PAGE] __attribute__((aligned(PAGE)));
    for (unsigned bit = 47; bit < 64; bit++) {
        all_fault(((uint64_t)there + 0x40) | UINT64_C(1) << bit, SIGSEGV, SEGV_MAPERR, 0);
        all_fault(((uint64_t)there + 0x40) | UINT64_MAX << bit, SIGSEGV, SEGV_MAPERR, 0);
    }
}

/* A value that is no address, and a displacement from there to one that is. */
static void around_zero(void)
{
    uint64_t *m = mmap(NULL, PAGE, PROT_READ | PROT_WRITE, ANON | MAP_FIXED, -1, 0), first, second,
             third;
    if (m == MAP_FAILED)
        return; /* who is not root may not have that page */
    __asm__ volatile("sd %3, 16(%4)\n"
                     "ld %0, 16(%4)\n"
                     "lw %1, 17(%4)\n"
                     "ld %2, 24(%4)"
                     : "=&r"(first), "=&r"(second), "=&r"(third)
                     : "r"(UINT64_C(0x123456789abc)), "r"(INT64_C(-8))
                     : "memory");
    CHECK(first == UINT64_C(0x123456789abc) && second == UINT64_C(0x3456789a) && third == 0);
    CHECK(munmap(m, PAGE) == 0);
}

static void past_the_end_of_a_file(void)
{
    enum { PAGE = 65536 }; /* as large as any host's */
    int fd = memfd_create("file", 0);
    CHECK(fd >= 0 && ftruncate(fd, PAGE) == 0);
    uint8_t *m = mmap(NULL, 2 * PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    CHECK(m != MAP_FAILED);
    all_fault((uint64_t)m + PAGE + 0x55, SIGBUS, BUS_ADRERR, 0);
    touch(3, (uint64_t)m + PAGE - 3);
    expect("ld over the end", SIGBUS, BUS_ADRERR, (uint64_t)m + PAGE);
    /* In calls it is an error, whoever reads or writes there. */
    struct stat st;
    CHECK(syscall(SYS_newfstatat, AT_FDCWD, m + PAGE, &st, 0) == -1 && errno == EFAULT);
    CHECK(syscall(SYS_newfstatat, AT_FDCWD, "/", m + PAGE, 0) == -1 && errno == EFAULT);
    CHECK(syscall(SYS_clock_gettime, CLOCK_MONOTONIC, m + PAGE) == -1 && errno == EFAULT);
    CHECK(syscall(SYS_getrusage, RUSAGE_SELF, m + PAGE) == -1 && errno == EFAULT);
    CHECK(munmap(m, 2 * PAGE) == 0 && close(fd) == 0);
}

/* Linux tells the instruction. */
static void misaligned_atomics(void)
{
    static uint64_t word[2];
    for (unsigned i = 0; i < ACCESSES; i++) {
        if (!(accesses[i].flags & ALIGNED))
            continue;
        touch(i, (uint64_t)word + 2);
        expect(accesses[i].name, SIGBUS, BUS_ADRALN, pc_at_fault);
        touch(i, UINT64_C(0x8000000000000002));
        expect(accesses[i].name, SIGBUS, BUS_ADRALN, pc_at_fault);
    }
}

/* --- fetches ----------------------------------------------------------------------------------- */

/* li a0, 77, over the border of two pages if at is 2 bytes ahead of it; ret */
static void put_code(uint8_t *at)
{
    static const uint32_t code[] = {77 << 20 | 10 << 7 | 0x13, 0x00008067};
    memcpy(at, code, sizeof code);
    __builtin___clear_cache((char *)at, (char *)at + sizeof code);
}

static long run(const void *at)
{
    long (*volatile fn)(void) = (long (*)(void))(uintptr_t)at;
    memset(&seen, 0, sizeof seen);
    return sigsetjmp(env, 1) == 0 ? fn() : -1;
}

static void fetches(void)
{
    uint8_t *m = mmap(NULL, 4 * PAGE, RWX, ANON, -1, 0);
    CHECK(mprotect(m + PAGE, PAGE, PROT_READ | PROT_WRITE) == 0);
    CHECK(mprotect(m + 2 * PAGE, PAGE, PROT_NONE) == 0 && munmap(m + 3 * PAGE, PAGE) == 0);
    CHECK(run(m + PAGE + 0x122) == -1);
    expect("not executable", SIGSEGV, SEGV_ACCERR, (uint64_t)m + PAGE + 0x122);
    CHECK(run(m + 2 * PAGE + 6) == -1);
    expect("no access", SIGSEGV, SEGV_ACCERR, (uint64_t)m + 2 * PAGE + 6);
    CHECK(run(m + 3 * PAGE + 8) == -1);
    expect("not mapped", SIGSEGV, SEGV_MAPERR, (uint64_t)m + 3 * PAGE + 8);
    CHECK(run((void *)UINT64_C(0x8000000000001002)) == -1);
    expect("far away", SIGSEGV, SEGV_MAPERR, UINT64_C(0x8000000000001002));
}

/* An instruction that ran, and whose second half went away: where the rest is missed. ahead: the block
 * begins that much earlier, and its first instructions run. */
static void second_halves(unsigned ahead)
{
    static const struct {
        int prot, code;
    } ways[] = {{PROT_NONE, SEGV_ACCERR}, {PROT_READ | PROT_WRITE, SEGV_ACCERR}, {-1, SEGV_MAPERR}};
    for (unsigned i = 0; i < 3; i++) {
        uint8_t *m = mmap(NULL, 2 * PAGE, RWX, ANON, -1, 0), *border = m + PAGE;
        for (unsigned k = 2; k <= ahead; k += 2)
            memcpy(border - 2 - k, "\1", 2); /* c.nop */
        put_code(border - 2);
        const void *start = border - 2 - ahead;
        for (unsigned round = 0; round < 2; round++) {
            CHECK(run(start) == 77);
            CHECK(ways[i].prot >= 0 ? mprotect(border, PAGE, ways[i].prot) == 0
                                    : munmap(border, PAGE) == 0);
            CHECK(run(start) == -1 && pc_at_fault == (uint64_t)border - 2);
            expect("second half", SIGSEGV, ways[i].code, (uint64_t)border);
            if (ways[i].prot < 0)
                CHECK(mmap(border, PAGE, RWX, ANON | MAP_FIXED, -1, 0) == border);
            CHECK(mprotect(border, PAGE, RWX) == 0);
            put_code(border - 2);
        }
        CHECK(run(start) == 77 && munmap(m, 2 * PAGE) == 0);
    }
}

/* Code in a file that becomes shorter, and longer again. */
static void code_past_the_end_of_a_file(void)
{
    int fd = memfd_create("code", 0);
    CHECK(fd >= 0 && ftruncate(fd, 2 * PAGE) == 0);
    uint8_t *m = mmap(NULL, 2 * PAGE, RWX, MAP_SHARED, fd, 0), *border = m + PAGE;
    put_code(border + 16);
    put_code(border - 2);
    CHECK(run(border - 2) == 77 && run(border + 16) == 77);
    CHECK(ftruncate(fd, PAGE) == 0);
    __asm__ volatile("fence.i" ::: "memory");
    CHECK(run(border + 16) == -1);
    expect("code", SIGBUS, BUS_ADRERR, (uint64_t)border + 16);
    CHECK(run(border + 1024) == -1);
    expect("code that never ran", SIGBUS, BUS_ADRERR, (uint64_t)border + 1024);
    CHECK(run(border - 2) == -1 && pc_at_fault == (uint64_t)border - 2);
    expect("half of it", SIGBUS, BUS_ADRERR, (uint64_t)border);
    CHECK(ftruncate(fd, 2 * PAGE) == 0);
    put_code(border + 16);
    put_code(border - 2);
    CHECK(run(border - 2) == 77 && run(border + 16) == 77);
    CHECK(munmap(m, 2 * PAGE) == 0 && close(fd) == 0);
}

int main(void)
{
    static const int signals[] = {SIGSEGV, SIGBUS};
    struct sigaction sa = {.sa_sigaction = on_fault, .sa_flags = SA_SIGINFO};
    for (unsigned i = 0; i < 2; i++)
        CHECK(sigaction(signals[i], &sa, NULL) == 0);
    pages();
    far_away();
    each_high_bit();
    around_zero();
    past_the_end_of_a_file();
    misaligned_atomics();
    fetches();
    second_halves(0);
    second_halves(40);
    code_past_the_end_of_a_file();
    puts("faults ok");
    return 0;
}
