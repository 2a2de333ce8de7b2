/* Signals: sent, timed, masked, on other stacks, in waits, and with everything in the frame. */
#include <fenv.h>
#include <poll.h>
#include <signal.h>
#include <stdint.h>
#include <string.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <time.h>
#include <ucontext.h>
#include <unistd.h>

#include "check.h"
#include "timer.h"

static volatile sig_atomic_t count, last;
static volatile uintptr_t handler_sp;
static siginfo_t seen;

static void on_signal(int sig)
{
    int here;
    count++;
    last = sig;
    handler_sp = (uintptr_t)&here;
}

static void on_info(int sig, siginfo_t *info, void *uc)
{
    (void)uc;
    last = sig;
    seen = *info;
}

static void sent_and_masked(void)
{
    sigset_t usr2, old, pending;
    handle(SIGUSR1, on_signal, 0);
    CHECK(raise(SIGUSR1) == 0 && last == SIGUSR1 && count == 1);
    handle(SIGUSR2, on_signal, 0);
    sigemptyset(&usr2);
    sigaddset(&usr2, SIGUSR2);
    CHECK(sigprocmask(SIG_BLOCK, &usr2, &old) == 0);
    CHECK(raise(SIGUSR2) == 0 && raise(SIGUSR2) == 0 && count == 1);
    CHECK(sigpending(&pending) == 0 && sigismember(&pending, SIGUSR2));
    CHECK(sigsuspend(&old) == -1 && errno == EINTR && count == 2 && last == SIGUSR2);
    siginfo_t info;
    CHECK(raise(SIGUSR2) == 0 && sigwaitinfo(&usr2, &info) == SIGUSR2);
    CHECK(info.si_code == SI_USER && info.si_pid == getpid() && count == 2);
    struct timespec zero = {0, 1000000};
    CHECK_FAILS(sigtimedwait(&usr2, &info, &zero), EAGAIN);
    CHECK(raise(SIGUSR2) == 0 && count == 2);
    CHECK(sigprocmask(SIG_SETMASK, &old, NULL) == 0 && count == 3);
    handle(SIGUSR1, on_signal, SA_RESETHAND);
    CHECK(raise(SIGUSR1) == 0 && count == 4);
    struct sigaction now;
    CHECK(sigaction(SIGUSR1, NULL, &now) == 0 && now.sa_handler == SIG_DFL);
}

static void queued_with_values(void)
{
    struct sigaction sa = {.sa_sigaction = on_info, .sa_flags = SA_SIGINFO};
    CHECK(sigaction(SIGRTMIN + 3, &sa, NULL) == 0);
    union sigval v = {.sival_ptr = (void *)UINT64_C(0x123456789abc)};
    CHECK(sigqueue(getpid(), SIGRTMIN + 3, v) == 0);
    CHECK(last == SIGRTMIN + 3 && seen.si_code == SI_QUEUE &&
          seen.si_value.sival_ptr == v.sival_ptr);
}

/* Timer signals in a loop whose registers and results must not change. */
static void in_the_middle_of_loops(void)
{
    handle(SIGALRM, on_signal, SA_RESTART);
    count = 0;
    start_timer(200, 200);
    uint64_t a = 1, b = 0, n = 0;
    double x = 0;
    while (count < 100) {
        a = a * 6364136223846793005u + 1442695040888963407u;
        b ^= a >> 33;
        x += 0.25;
        n++;
    }
    start_timer(0, 0);
    uint64_t c = 1, d = 0;
    for (uint64_t i = 0; i < n; i++) {
        c = c * 6364136223846793005u + 1442695040888963407u;
        d ^= c >> 33;
    }
    CHECK(a == c && b == d && x == 0.25 * (double)n);
    /* Of calls, too, that cannot be interrupted. */
    count = 0;
    start_timer(100, 100);
    while (count < 3000)
        CHECK(getppid() > 0);
    start_timer(0, 0);
}

static void interrupted_and_restarted_calls(void)
{
    int p[2];
    char c;
    CHECK(pipe(p) == 0);
    handle(SIGALRM, on_signal, 0);
    start_timer(5000, 5000); /* again: the first may come before the call */
    CHECK_FAILS(read(p[0], &c, 1), EINTR);
    start_timer(5000, 5000);
    CHECK_FAILS(poll(NULL, 0, 10000), EINTR);
    struct timespec ten = {10, 0}, left;
    start_timer(5000, 5000);
    CHECK_FAILS(nanosleep(&ten, &left), EINTR);
    CHECK(left.tv_sec == 9);
    handle(SIGALRM, on_signal, SA_RESTART);
    pid_t pid = fork();
    if (pid == 0) {
        usleep(20000);
        _exit(write(p[1], "k", 1) == 1 ? 3 : 4);
    }
    start_timer(2000, 2000);
    count = 0;
    CHECK(read(p[0], &c, 1) == 1 && c == 'k' && count > 0);
    start_timer(0, 0);
    int status;
    CHECK(waitpid(pid, &status, 0) == pid && WEXITSTATUS(status) == 3);
}

/* What is left of a sleep is told when a signal ends it, and else left alone. */
static void rests_of_sleeps(void)
{
    struct timespec nap = {0, 1000000}, ten = {10, 0}, rest = {7, 7}, until;
    CHECK(nanosleep(&nap, &rest) == 0 && rest.tv_sec == 7 && rest.tv_nsec == 7);
    CHECK(nanosleep(&nap, (struct timespec *)16) == 0);
    CHECK(clock_nanosleep(CLOCK_MONOTONIC, 0, &nap, &rest) == 0);
    CHECK(rest.tv_sec == 7 && rest.tv_nsec == 7);
    handle(SIGALRM, on_signal, 0);
    start_timer(5000, 0);
    CHECK(clock_nanosleep(CLOCK_MONOTONIC, 0, &ten, &rest) == EINTR && rest.tv_sec == 9);
    CHECK(clock_gettime(CLOCK_MONOTONIC, &until) == 0);
    until.tv_sec += 10;
    rest.tv_sec = 7;
    start_timer(5000, 0);
    CHECK(clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &until, &rest) == EINTR);
    CHECK(rest.tv_sec == 7);
    start_timer(5000, 0);
    CHECK_FAILS(nanosleep(&ten, (struct timespec *)16), EFAULT);
}

/* --- more signals than there is time for ------------------------------------------------------- */

static timer_t storm;

static void on_storm(int sig)
{
    struct itimerspec none = {{0, 0}, {0, 0}};
    last = sig;
    if (++count == 50)
        timer_settime(storm, 0, &none, NULL);
}

/* A timer of 1 ns: the next signal is there before the last one has been taken. Each handler runs, and
 * ends, before the next. */
static void storms(void)
{
    struct sigevent ev = {.sigev_notify = SIGEV_SIGNAL, .sigev_signo = SIGUSR1};
    struct itimerspec always = {{0, 1}, {0, 1}};
    handle(SIGUSR1, on_storm, 0);
    for (int i = 0; i < 2; i++) {
        count = 0;
        CHECK(timer_create(CLOCK_MONOTONIC, &ev, &storm) == 0);
        CHECK(timer_settime(storm, 0, &always, NULL) == 0);
        while (count < 50)
            ;
        CHECK(timer_delete(storm) == 0);
        ev.sigev_signo = SIGRTMIN + 1;
        handle(SIGRTMIN + 1, on_storm, SA_RESTART);
    }
}

static int first_storm;

static void on_endless_storm(int sig)
{
    (void)sig;
    if (count++ == 100)
        CHECK(write(first_storm, "x", 1) == 1);
}

/* One that never ends leaves the program no time, but somebody else's signal gets through. */
static void storm_is_ended(void)
{
    int p[2], status;
    char c;
    CHECK(pipe(p) == 0);
    pid_t pid = fork();
    if (pid == 0) {
        struct sigevent ev = {.sigev_notify = SIGEV_SIGNAL, .sigev_signo = SIGUSR1};
        struct itimerspec always = {{0, 1}, {0, 1}};
        count = 0;
        first_storm = p[1];
        handle(SIGUSR1, on_endless_storm, 0);
        CHECK(timer_create(CLOCK_MONOTONIC, &ev, &storm) == 0);
        CHECK(timer_settime(storm, 0, &always, NULL) == 0);
        for (;;)
            ;
    }
    CHECK(read(p[0], &c, 1) == 1 && kill(pid, SIGTERM) == 0);
    CHECK(waitpid(pid, &status, 0) == pid && WIFSIGNALED(status) && WTERMSIG(status) == SIGTERM);
    CHECK(close(p[0]) == 0 && close(p[1]) == 0);
}

/* Signals with values queue: all of them, in order, however many, while they are open. */
static volatile int values[400], value_count;

static void on_value(int sig, siginfo_t *info, void *uc)
{
    (void)sig;
    (void)uc;
    if (value_count < 400)
        values[value_count] = info->si_value.sival_int;
    value_count++;
}

static void many_in_order(void)
{
    struct sigaction sa = {.sa_sigaction = on_value, .sa_flags = SA_SIGINFO | SA_RESTART};
    CHECK(sigaction(SIGRTMIN + 2, &sa, NULL) == 0);
    pid_t pid = fork();
    if (pid == 0) {
        union sigval v;
        for (v.sival_int = 0; v.sival_int < 400; v.sival_int++)
            while (sigqueue(getppid(), SIGRTMIN + 2, v))
                if (errno != EAGAIN)
                    _exit(1);
        _exit(0);
    }
    int status;
    CHECK(waitpid(pid, &status, 0) == pid && status == 0);
    while (value_count < 400)
        usleep(1000);
    for (int i = 0; i < 400; i++)
        CHECK(values[i] == i);
    CHECK(value_count == 400);
}

/* What is open is not pending, and what is pending is blocked. */
static void pending_is_blocked(void)
{
    sigset_t pending, block;
    handle(SIGUSR1, on_signal, 0);
    sigemptyset(&block);
    sigaddset(&block, SIGUSR1);
    for (int i = 0; i < 100; i++) {
        CHECK(raise(SIGUSR1) == 0 && sigpending(&pending) == 0);
        CHECK(!sigismember(&pending, SIGUSR1));
        CHECK(sigprocmask(SIG_BLOCK, &block, NULL) == 0 && raise(SIGUSR1) == 0);
        CHECK(sigpending(&pending) == 0 && sigismember(&pending, SIGUSR1));
        handle(SIGUSR1, SIG_IGN, 0); /* which forgets it */
        handle(SIGUSR1, on_signal, 0);
        count = 0;
        CHECK(sigprocmask(SIG_UNBLOCK, &block, NULL) == 0 && count == 0);
    }
}

static void on_another_stack(void)
{
    static uint8_t stack[32768];
    stack_t ss = {.ss_sp = stack, .ss_size = sizeof stack}, old;
    CHECK(sigaltstack(&ss, NULL) == 0);
    handle(SIGUSR1, on_signal, SA_ONSTACK);
    CHECK(raise(SIGUSR1) == 0);
    CHECK(handler_sp >= (uintptr_t)stack && handler_sp < (uintptr_t)stack + sizeof stack);
    CHECK(sigaltstack(NULL, &old) == 0 && old.ss_sp == stack && old.ss_flags == 0);
    ss.ss_flags = SS_DISABLE;
    CHECK(sigaltstack(&ss, NULL) == 0 && raise(SIGUSR1) == 0);
    CHECK(handler_sp < (uintptr_t)stack || handler_sp >= (uintptr_t)stack + sizeof stack);
}

/* The handler skips the instruction and gives registers of all kinds new values. */
static void edit_frame(int sig, siginfo_t *info, void *context)
{
    ucontext_t *uc = context;
    last = sig;
    seen = *info;
    uc->uc_mcontext.__gregs[REG_PC] += 4;
    uc->uc_mcontext.__gregs[10] = 0x1234;                       /* a0 */
    uc->uc_mcontext.__fpregs.__d.__f[10] = 0x4009000000000000u; /* fa0 = 3.125 */
    uc->uc_mcontext.__fpregs.__d.__fcsr = 2 << 5 | 0x10;        /* down, invalid */
}

static void frames_can_be_edited(void)
{
    struct sigaction sa = {.sa_sigaction = edit_frame, .sa_flags = SA_SIGINFO};
    CHECK(sigaction(SIGILL, &sa, NULL) == 0 && sigaction(SIGTRAP, &sa, NULL) == 0);
    register long a0 __asm__("a0") = 1;
    register double fa0 __asm__("fa0") = 1.0;
    uintptr_t at;
    __asm__ volatile("la %2, 1f\n1: .word 0\n" : "+r"(a0), "+f"(fa0), "=&r"(at));
    long got = a0;
    double gotf = fa0;
    CHECK(got == 0x1234 && gotf == 3.125 && last == SIGILL && seen.si_addr == (void *)at);
    CHECK(fegetround() == FE_DOWNWARD && fetestexcept(FE_ALL_EXCEPT) == FE_INVALID);
    volatile double one = 1, three = 3;
    CHECK(one / three * 3 < 1.0);
    fesetround(FE_TONEAREST);
    __asm__ volatile(".option push\n.option norvc\nebreak\n.option pop" : "+r"(a0));
    CHECK(last == SIGTRAP && seen.si_code == TRAP_BRKPT);
    fesetround(FE_TONEAREST);
    feclearexcept(FE_ALL_EXCEPT);
}

int main(void)
{
    sent_and_masked();
    queued_with_values();
    in_the_middle_of_loops();
    interrupted_and_restarted_calls();
    rests_of_sleeps();
    storms();
    storm_is_ended();
    many_in_order();
    pending_is_blocked();
    on_another_stack();
    frames_can_be_edited();
    puts("signals ok");
    return 0;
}
