/* System calls on memory, and what loads and stores see of them. */
#include <fcntl.h>
#include <linux/mman.h>
#include <setjmp.h>
#include <signal.h>
#include <stdint.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <ucontext.h>
#include <unistd.h>

#include "check.h"
#include "probe.h"

static void protections(void)
{
    uint8_t *m = mmap(NULL, 3 * 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    CHECK(m != MAP_FAILED && probe(m, 1) == 0);
    CHECK(mprotect(m + 4096, 4096, PROT_READ) == 0);
    CHECK(probe(m + 4096, 0) == 0 && probe(m + 4096, 1) == SIGSEGV);
    CHECK(seen.si_code == SEGV_ACCERR && seen.si_addr == m + 4096);
    CHECK(munmap(m + 8192, 4096) == 0 && probe(m + 8192 + 5, 0) == SIGSEGV);
    CHECK(seen.si_code == SEGV_MAPERR && seen.si_addr == m + 8192 + 5);
    CHECK(mprotect(m, 4096, PROT_NONE) == 0 && probe(m, 0) == SIGSEGV);
    CHECK(seen.si_code == SEGV_ACCERR);
    CHECK(probe((uint8_t *)16, 0) == SIGSEGV && seen.si_code == SEGV_MAPERR);
    CHECK(seen.si_addr == (void *)16);
    CHECK(probe((uint8_t *)-16, 0) == SIGSEGV);
    CHECK(probe((uint8_t *)UINT64_C(0x8000000000000000), 1) == SIGSEGV);
    CHECK_FAILS(mprotect(m + 8192, 4096, PROT_READ), ENOMEM);
    CHECK_FAILS(mprotect(m + 1, 4096, PROT_READ), EINVAL);
    CHECK_FAILS(munmap(m, 0), EINVAL);
}

static void past_the_end_of_a_file(void)
{
    enum { PAGE = 65536 }; /* as large as any host's */
    FILE *f = tmpfile();
    CHECK(f && ftruncate(fileno(f), PAGE) == 0);
    uint8_t *m = mmap(NULL, 2 * PAGE, PROT_READ, MAP_PRIVATE, fileno(f), 0);
    CHECK(m != MAP_FAILED && probe(m, 0) == 0);
    CHECK(probe(m + PAGE, 0) == SIGBUS && seen.si_code == BUS_ADRERR);
    /* The same, where a system call reads it. */
    CHECK_FAILS(write(1, m + PAGE, 1), EFAULT);
    CHECK_FAILS(syscall(SYS_rt_sigprocmask, SIG_BLOCK, m + PAGE, NULL, 8), EFAULT);
    fclose(f);
}

/* An access over a page border whose second page faults leaves the first untouched. */
static void page_crosser(void)
{
    uint8_t *m = mmap(NULL, 2 * 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    uint64_t *p = (uint64_t *)(m + 4096 - 4);
    memset(m, 0x11, 8192);
    CHECK(mprotect(m + 4096, 4096, PROT_READ) == 0);
    seen.si_signo = 0;
    if (sigsetjmp(env, 1) == 0)
        *(volatile uint64_t *)p = 0;
    CHECK(seen.si_signo == SIGSEGV && seen.si_addr == m + 4096);
    CHECK(m[4095] == 0x11 && m[4092] == 0x11);
}

/* --- atomics on a page that may only be read --------------------------------------------------- */

static uint64_t a0_at_fault;

static void on_amo_fault(int sig, siginfo_t *info, void *uc)
{
    (void)sig;
    seen = *info;
    a0_at_fault = ((ucontext_t *)uc)->uc_mcontext.__gregs[10];
    siglongjmp(env, 1);
}

#define AMO_FAULTS(at, text)                                                                       \
    do {                                                                                           \
        seen.si_signo = 0;                                                                         \
        if (sigsetjmp(env, 1) == 0) {                                                              \
            register uint64_t result __asm__("a0") = 0x1234;                                       \
            __asm__ volatile(text " a0, %1, (%2)"                                                  \
                             : "+r"(result)                                                        \
                             : "r"(UINT64_C(0x5555)), "r"(at)                                      \
                             : "memory");                                                          \
        }                                                                                          \
        CHECK(seen.si_signo == SIGSEGV && seen.si_code == SEGV_ACCERR && seen.si_addr == (at));    \
        CHECK(a0_at_fault == 0x1234);                                                              \
    } while (0)

/* They fault as stores, though they read first, and leave register and memory as they were. */
static void atomics_where_only_reading_is_allowed(void)
{
    struct sigaction sa = {.sa_sigaction = on_amo_fault, .sa_flags = SA_SIGINFO}, old;
    uint64_t *p = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    CHECK(p != MAP_FAILED);
    uint64_t *at = p + 5, loaded;
    *at = UINT64_C(0x8877665544332211);
    CHECK(mprotect(p, 4096, PROT_READ) == 0);
    CHECK(sigaction(SIGSEGV, &sa, &old) == 0);
    AMO_FAULTS(at, "amoswap.w");
    AMO_FAULTS(at, "amoadd.w");
    AMO_FAULTS(at, "amoxor.w");
    AMO_FAULTS(at, "amoand.w");
    AMO_FAULTS(at, "amoor.w");
    AMO_FAULTS(at, "amomin.w");
    AMO_FAULTS(at, "amomax.w");
    AMO_FAULTS(at, "amominu.w");
    AMO_FAULTS(at, "amomaxu.w");
    AMO_FAULTS(at, "amoswap.d");
    AMO_FAULTS(at, "amoadd.d");
    AMO_FAULTS(at, "amoxor.d");
    AMO_FAULTS(at, "amoand.d");
    AMO_FAULTS(at, "amoor.d");
    AMO_FAULTS(at, "amomin.d");
    AMO_FAULTS(at, "amomax.d");
    AMO_FAULTS(at, "amominu.d");
    AMO_FAULTS(at, "amomaxu.d");
    AMO_FAULTS(at, "sc.w"); /* with no reservation, too */
    __asm__ volatile("lr.d %0, (%1)" : "=r"(loaded) : "r"(at) : "memory");
    CHECK(loaded == *at);
    AMO_FAULTS(at, "sc.d");
    CHECK(*at == UINT64_C(0x8877665544332211));
    CHECK(sigaction(SIGSEGV, &old, NULL) == 0);
}

static void brk_and_remap(void)
{
    uint8_t *old = sbrk(0);
    CHECK(sbrk(100000) == old);
    CHECK(old[0] == 0 && old[99999] == 0);
    memset(old, 7, 100000);
    CHECK(sbrk(-100000) == old + 100000);
    uint8_t *m = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    memset(m, 9, 4096);
    uint8_t *n = mremap(m, 4096, 1 << 20, MREMAP_MAYMOVE);
    CHECK(n != MAP_FAILED && n[4095] == 9 && n[4096] == 0);
    n[(1 << 20) - 1] = 1;
    CHECK(mremap(n, 1 << 20, 4096, 0) == n && probe(n + 4096, 0) == SIGSEGV);
    /* A hint that is free is taken. */
    uint8_t *want = (uint8_t *)UINT64_C(0x1234567000);
    CHECK(mmap(want, 4096, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0) == want);
    CHECK(madvise(want, 4096, MADV_DONTNEED) == 0);
    CHECK_FAILS(mmap(NULL, UINT64_C(1) << 45, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0),
                ENOMEM);
}

int main(void)
{
    look_at_faults();
    protections();
    past_the_end_of_a_file();
    page_crosser();
    atomics_where_only_reading_is_allowed();
    brk_and_remap();
    puts("memory ok");
    return 0;
}
