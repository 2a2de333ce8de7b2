/* Threads: how they begin, wait for one another, share memory and code, and end. With "again": what an exec'd copy
 * does; with "few-forks": none while other threads allocate memory. */
#include <pthread.h>
#include <semaphore.h>
#include <setjmp.h>
#include <signal.h>
#include <spawn.h>
#include <stdatomic.h>
#include <stdint.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "check.h"

enum { PAGE = 4096 };

static void start(pthread_t *t, void *(*run)(void *), void *arg)
{
    CHECK(pthread_create(t, NULL, run, arg) == 0);
}

static void *join(pthread_t t)
{
    void *r;
    CHECK(pthread_join(t, &r) == 0);
    return r;
}

static int status_of(pid_t pid)
{
    int status;
    CHECK(pid > 0 && waitpid(pid, &status, 0) == pid);
    return status;
}

/* --- beginning and end ---------------------------------------------------------------------------- */

static __thread long own = 5;
static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t cond = PTHREAD_COND_INITIALIZER;

static void *add_to_own(void *arg)
{
    own += (long)arg;
    return (void *)own;
}

static void thousand_come_and_go(void)
{
    pthread_t t[50];
    for (long n = 0; n < 20; n++) {
        for (long i = 0; i < 50; i++)
            start(&t[i], add_to_own, (void *)i);
        for (long i = 0; i < 50; i++)
            CHECK((long)join(t[i]) == 5 + i);
    }
    CHECK(own == 5);
}

static void *tell_tid(void *arg)
{
    *(pid_t *)arg = (pid_t)syscall(SYS_gettid);
    return NULL;
}

static void numbers_are_the_hosts(void)
{
    pthread_t t;
    pid_t tid = 0;
    start(&t, tell_tid, &tid);
    join(t);
    CHECK(tid > 0 && tid != getpid() && (pid_t)syscall(SYS_gettid) == getpid());
    CHECK_FAILS(syscall(SYS_clone, 0x10000 /* CLONE_THREAD */, 0, 0, 0, 0), EINVAL);
}

/* --- waiting for one another ------------------------------------------------------------------------ */

static int turn;

static void *take_turns(void *arg)
{
    for (int i = 0; i < 2000; i++) {
        pthread_mutex_lock(&mutex);
        while (turn != (int)(long)arg)
            pthread_cond_wait(&cond, &mutex);
        turn = !turn;
        pthread_cond_broadcast(&cond);
        pthread_mutex_unlock(&mutex);
    }
    return NULL;
}

static void two_take_turns(void)
{
    pthread_t t[2];
    start(&t[0], take_turns, (void *)0);
    start(&t[1], take_turns, (void *)1);
    join(t[0]);
    join(t[1]);
}

enum { ADDERS = 4, ADDS = 20000 };
static atomic_long sum;
static atomic_int odd;
static long locked_sum;
static pthread_mutex_t pi;

static void *add(void *arg)
{
    (void)arg;
    for (int i = 0; i < ADDS; i++) {
        long old = atomic_load(&sum);
        if (i & 1)
            atomic_fetch_add(&sum, 1);
        else
            while (!atomic_compare_exchange_weak(&sum, &old, old + 1))
                ;
        atomic_fetch_xor(&odd, 1);
        if (i % 16 == 0) {
            pthread_mutex_lock(&pi);
            locked_sum++;
            pthread_mutex_unlock(&pi);
        }
    }
    return NULL;
}

static void nothing_is_lost(void)
{
    pthread_t t[ADDERS];
    pthread_mutexattr_t a;
    pthread_mutexattr_init(&a);
    CHECK(pthread_mutexattr_setprotocol(&a, PTHREAD_PRIO_INHERIT) == 0);
    CHECK(pthread_mutex_init(&pi, &a) == 0);
    for (int i = 0; i < ADDERS; i++)
        start(&t[i], add, NULL);
    for (int i = 0; i < ADDERS; i++)
        join(t[i]);
    CHECK(sum == ADDERS * ADDS && odd == 0 && locked_sum == ADDERS * ADDS / 16);
}

static void *lock_and_end(void *arg)
{
    CHECK(pthread_mutex_lock(arg) == 0);
    return NULL;
}

static void *lock_once_dead(void *arg)
{
    return (void *)(long)pthread_mutex_lock(arg);
}

static void heirs_are_told(void)
{
    static pthread_mutex_t robust;
    pthread_mutexattr_t a;
    pthread_t t;
    pthread_mutexattr_init(&a);
    pthread_mutexattr_setrobust(&a, PTHREAD_MUTEX_ROBUST);
    CHECK(pthread_mutex_init(&robust, &a) == 0);
    start(&t, lock_and_end, &robust);
    join(t);
    start(&t, lock_once_dead, &robust);
    CHECK((long)join(t) == EOWNERDEAD);
}

/* --- signals ---------------------------------------------------------------------------------------- */

static volatile pid_t handled_by;
static atomic_int ready, handled, woken;

static void on_signal(int sig)
{
    (void)sig;
    handled_by = (pid_t)syscall(SYS_gettid);
    handled = 1;
}

static void *spin_until_handled(void *arg)
{
    *(pid_t *)arg = (pid_t)syscall(SYS_gettid);
    ready = 1;
    while (!handled)
        ;
    woken = 1;
    return NULL;
}

static void *sleep_until_handled(void *arg)
{
    char c;
    int fd[2];
    CHECK(pipe(fd) == 0);
    *(pid_t *)arg = (pid_t)syscall(SYS_gettid);
    ready = 1;
    CHECK_FAILS(read(fd[0], &c, 1), EINTR);
    woken = 1;
    return NULL;
}

static void handler_of(int sig, void (*handler)(int))
{
    struct sigaction sa = {.sa_handler = handler};
    CHECK(sigaction(sig, &sa, NULL) == 0);
}

/* of: to the thread, or to the process, all others of which have it blocked. */
static void signal_reaches(void *(*run)(void *), int to_process)
{
    sigset_t usr1;
    pthread_t t;
    pid_t tid = 0;
    ready = handled = woken = 0;
    handler_of(SIGUSR1, on_signal);
    start(&t, run, &tid);
    sigemptyset(&usr1);
    sigaddset(&usr1, SIGUSR1);
    pthread_sigmask(SIG_BLOCK, &usr1, NULL);
    while (!ready)
        ;
    while (!woken) { /* the first one may come before it waits */
        CHECK((to_process ? kill(getpid(), SIGUSR1) : pthread_kill(t, SIGUSR1)) == 0);
        usleep(20000);
    }
    join(t);
    CHECK(handled_by == tid);
    signal(SIGUSR1, SIG_IGN);
    pthread_sigmask(SIG_UNBLOCK, &usr1, NULL);
}

static void *wait_for_ever(void *arg)
{
    sem_t never;
    (void)arg;
    CHECK(sem_init(&never, 0, 0) == 0);
    ready = 1;
    sem_wait(&never);
    return NULL;
}

static void waiting_is_cancelled(void)
{
    pthread_t t;
    ready = 0;
    start(&t, wait_for_ever, NULL);
    while (!ready)
        ;
    CHECK(setuid(getuid()) == 0); /* by a signal of the C library's to each thread */
    CHECK(pthread_cancel(t) == 0 && join(t) == PTHREAD_CANCELED);
}

/* --- memory and code --------------------------------------------------------------------------------- */

static atomic_int stop, faults;
static __thread sigjmp_buf back;
static uint8_t *volatile window;

static void on_fault(int sig)
{
    (void)sig;
    faults++;
    siglongjmp(back, 1);
}

static void *read_window(void *arg)
{
    (void)arg;
    sigsetjmp(back, 1);
    while (!stop) {
        uint8_t now = *window;
        CHECK(now == 0 || now == 7);
    }
    return NULL;
}

static void readers_see_memory_go(void)
{
    pthread_t t;
    handler_of(SIGSEGV, on_fault);
    stop = 0;
    window = mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    start(&t, read_window, NULL);
    for (int i = 0; i < 300 || (!faults && i < 100000); i++) {
        CHECK(munmap((void *)window, PAGE) == 0);
        CHECK(mmap((void *)window, PAGE, PROT_READ | PROT_WRITE,
                   MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0) == window);
        *window = 7;
        CHECK(mprotect((void *)window, PAGE, PROT_NONE) == 0);
        CHECK(mprotect((void *)window, PAGE, PROT_READ | PROT_WRITE) == 0);
    }
    stop = 1;
    join(t);
    CHECK(faults > 0);
    signal(SIGSEGV, SIG_DFL);
}

static uint32_t *code;
static atomic_int wanted, answered;

/* Calls the function until it is what it was made to be, each time. */
static void *call_code(void *arg)
{
    (void)arg;
    int (*f)(void) = (int (*)(void))(uintptr_t)code;
    for (int n = 1; n <= 500; n++) {
        while (wanted != n)
            CHECK(f() <= n);
        CHECK(f() == n);
        answered = n;
    }
    return NULL;
}

static void code_changes_under_others(void)
{
    pthread_t t[2];
    code = mmap(NULL, PAGE, PROT_READ | PROT_WRITE | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    code[0] = 0x00000513; /* li a0, 0 */
    code[1] = 0x00008067; /* ret */
    start(&t[0], call_code, NULL);
    for (uint32_t n = 1; n <= 500; n++) {
        __atomic_store_n(&code[0], n << 20 | 0x513, __ATOMIC_SEQ_CST);
        CHECK(syscall(SYS_riscv_flush_icache, code, code + 1, 0) == 0);
        wanted = (int)n;
        while (answered != (int)n)
            sched_yield();
    }
    join(t[0]);
    munmap(code, PAGE);
}

static void *call_until_gone(void *arg)
{
    (void)arg;
    int (*f)(void) = (int (*)(void))(uintptr_t)code;
    if (!sigsetjmp(back, 1))
        for (;;) {
            CHECK(f() == 1);
            ready = 1;
        }
    return NULL;
}

static void code_goes_under_others(void)
{
    pthread_t t;
    handler_of(SIGSEGV, on_fault);
    for (int i = 0; i < 30; i++) {
        code = mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
        code[0] = 0x00100513; /* li a0, 1 */
        code[1] = 0x00008067;
        CHECK(mprotect(code, PAGE, PROT_READ | PROT_EXEC) == 0);
        faults = ready = 0;
        start(&t, call_until_gone, NULL);
        while (!ready)
            ;
        CHECK((i & 1 ? munmap(code, PAGE) : mprotect(code, PAGE, PROT_READ)) == 0);
        join(t);
        CHECK(faults == 1);
    }
    signal(SIGSEGV, SIG_DFL);
}

/* --- processes ---------------------------------------------------------------------------------------- */

static void *churn(void *arg)
{
    (void)arg;
    while (!stop) {
        void *p = malloc(100 + (size_t)rand() % 5000);
        CHECK(p);
        free(p);
    }
    return NULL;
}

static void *fork_here(void *arg)
{
    pthread_t t;
    for (int i = 0; i < 10; i++) {
        pid_t pid = fork();
        if (pid == 0) {
            free(malloc(1000));
            start(&t, add_to_own, (void *)1); /* it may have threads again */
            _exit((long)join(t) == own + 1 && (pid_t)syscall(SYS_gettid) == getpid() ? 7 : 8);
        }
        CHECK(status_of(pid) == 7 << 8);
    }
    return arg;
}

static void threads_fork(void)
{
    pthread_t t[2], f[2];
    stop = 0;
    for (int i = 0; i < 2; i++)
        start(&t[i], churn, NULL);
    for (int i = 0; i < 2; i++)
        start(&f[i], fork_here, NULL);
    fork_here(NULL);
    for (int i = 0; i < 2; i++)
        join(f[i]);
    stop = 1;
    for (int i = 0; i < 2; i++)
        join(t[i]);
}

static void *execute(void *arg)
{
    execl("/proc/self/exe", "threads", "again", NULL);
    return arg;
}

static void *exit_process(void *arg)
{
    exit((int)(long)arg);
}

static void *end_late(void *arg)
{
    usleep(20000);
    return arg;
}

/* In a child: main waits, and the last line of each ends it. */
static void ends(int how)
{
    pthread_t t;
    start(&t, wait_for_ever, NULL);
    switch (how) {
    case 0: start(&t, execute, NULL); break;
    case 1: start(&t, exit_process, (void *)6); break;
    case 2: kill(getpid(), SIGTERM); break;
    case 3: _exit(4);
    default: break;
    }
    join(t);
    _exit(1);
}

static void one_ends_all(void)
{
    static const int want[] = {5 << 8, 6 << 8, SIGTERM, 4 << 8};
    for (int how = 0; how < 4; how++) {
        fflush(NULL);
        pid_t pid = fork();
        if (pid == 0)
            ends(how);
        CHECK(status_of(pid) == want[how]);
    }
}

static void first_ends_before_others(void)
{
    pid_t pid = fork();
    if (pid == 0) {
        pthread_t t;
        start(&t, end_late, NULL);
        pthread_exit(NULL);
    }
    CHECK(status_of(pid) == 0);
}

/* --- threads that make processes --------------------------------------------------------------- */

static void *spawns(void *unused)
{
    char *again[] = {"self", "again", NULL};
    pid_t pid;
    int status;
    CHECK(posix_spawn(&pid, "/proc/self/exe", NULL, NULL, again, environ) == 0);
    CHECK(waitpid(pid, &status, 0) == pid && WIFEXITED(status) && WEXITSTATUS(status) == 5);
    return unused;
}

/* It is waited for by its word, which is not its child's to forget. */
static void threads_that_spawn_end(void)
{
    for (int i = 0; i < 20; i++) {
        pthread_t t;
        start(&t, spawns, NULL);
        join(t);
    }
}

static void *nothing(void *arg)
{
    return arg;
}

static void *come_and_go(void *stop)
{
    while (!__atomic_load_n((int *)stop, __ATOMIC_ACQUIRE)) {
        pthread_t t;
        start(&t, nothing, NULL);
        join(t);
    }
    return NULL;
}

/* A fork finds others on their way out. */
static void forks_beside_threads_that_end(void)
{
    pthread_t t;
    int stop = 0, status;
    start(&t, come_and_go, &stop);
    for (int i = 0; i < 100; i++) {
        pid_t pid = fork();
        if (pid == 0)
            _exit(7);
        CHECK(waitpid(pid, &status, 0) == pid && WIFEXITED(status) && WEXITSTATUS(status) == 7);
    }
    __atomic_store_n(&stop, 1, __ATOMIC_RELEASE);
    join(t);
}

int main(int argc, char **argv)
{
    if (argc > 1 && strcmp(argv[1], "again") == 0)
        return 5;
    thousand_come_and_go();
    numbers_are_the_hosts();
    two_take_turns();
    nothing_is_lost();
    heirs_are_told();
    signal_reaches(spin_until_handled, 0);
    signal_reaches(spin_until_handled, 1);
    signal_reaches(sleep_until_handled, 0);
    signal_reaches(sleep_until_handled, 1);
    waiting_is_cancelled();
    readers_see_memory_go();
    code_changes_under_others();
    code_goes_under_others();
    threads_that_spawn_end();
    if (argc < 2 || strcmp(argv[1], "few-forks") != 0) {
        threads_fork();
        forks_beside_threads_that_end();
    }
    one_ends_all();
    first_ends_before_others();
    puts("threads ok");
    return 0;
}
