/* The floating-point environment, and SIGFPE, which the host may use for it and the guest too. */
#include <fenv.h>
#include <math.h>
#include <setjmp.h>
#include <signal.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "check.h"

static volatile double zero = 0, one = 1, three = 3, tiny = 0x1p-1022, big = 0x1p1023;
static volatile float fthree = 3;
static volatile double sink;
static volatile float fsink;
static volatile sig_atomic_t caught;

static int flags(void)
{
    return fetestexcept(FE_ALL_EXCEPT);
}

static void each_flag(void)
{
    CHECK(feclearexcept(FE_ALL_EXCEPT) == 0 && flags() == 0);
    sink = one + one;
    sink = tiny / 2; /* tiny and exact: nothing */
    CHECK(flags() == 0 && sink == 0x1p-1023);
    sink = one / three;
    CHECK(flags() == FE_INEXACT);
    CHECK(feclearexcept(FE_INEXACT) == 0 && flags() == 0);
    sink = tiny / three;
    CHECK(flags() == (FE_INEXACT | FE_UNDERFLOW));
    CHECK(feclearexcept(FE_UNDERFLOW) == 0 && flags() == FE_INEXACT);
    sink = big * big;
    CHECK(flags() == (FE_INEXACT | FE_OVERFLOW) && isinf(sink));
    CHECK(feclearexcept(FE_ALL_EXCEPT) == 0);
    sink = one / zero;
    CHECK(flags() == FE_DIVBYZERO && isinf(sink));
    sink = zero / zero;
    CHECK(flags() == (FE_DIVBYZERO | FE_INVALID) && isnan(sink));
    sink = tiny / three;
    sink = big * big;
    CHECK(flags() == FE_ALL_EXCEPT);
    CHECK(feclearexcept(FE_ALL_EXCEPT) == 0 && flags() == 0);
    CHECK(feraiseexcept(FE_OVERFLOW) == 0 && (flags() & FE_OVERFLOW));
}

static void in_loops(void)
{
    for (int i = 0; i < 2000; i++) {
        feclearexcept(FE_ALL_EXCEPT);
        for (int k = 0; k < i % 7; k++) {
            sink = one + i;
            CHECK(flags() == 0);
        }
        fsink = 1 / fthree;
        CHECK(flags() == FE_INEXACT);
    }
    /* Read often, raised rarely: as long as this takes, it does not change. */
    feclearexcept(FE_ALL_EXCEPT);
    sink = one / three;
    for (int i = 0; i < 300000; i++) {
        sink = sink * 0.75 + one / three;
        if (flags() != FE_INEXACT)
            CHECK(0);
    }
    sink = one / zero;
    CHECK(flags() == (FE_INEXACT | FE_DIVBYZERO));
}

static void rounding(void)
{
    static const struct {
        int mode;
        double third, minus;
    } want[] = {{FE_TONEAREST, 0x1.5555555555555p-2, -0x1.5555555555555p-2},
                {FE_UPWARD, 0x1.5555555555556p-2, -0x1.5555555555555p-2},
                {FE_DOWNWARD, 0x1.5555555555555p-2, -0x1.5555555555556p-2},
                {FE_TOWARDZERO, 0x1.5555555555555p-2, -0x1.5555555555555p-2}};
    for (int i = 0; i < 400; i++) {
        CHECK(fesetround(want[i % 4].mode) == 0);
        if (i % 3)
            feclearexcept(FE_ALL_EXCEPT);
        sink = one / three;
        CHECK(sink == want[i % 4].third && (flags() & FE_INEXACT));
        sink = -one / three;
        CHECK(sink == want[i % 4].minus);
    }
    CHECK(fesetround(FE_TONEAREST) == 0);
}

static void environments(void)
{
    fenv_t env;
    feclearexcept(FE_ALL_EXCEPT);
    sink = one / zero;
    CHECK(feholdexcept(&env) == 0 && flags() == 0);
    sink = one / three;
    CHECK(flags() == FE_INEXACT && feupdateenv(&env) == 0);
    CHECK(flags() == (FE_INEXACT | FE_DIVBYZERO));
    CHECK(fesetenv(FE_DFL_ENV) == 0 && flags() == 0);
}

static void on_fpe(int signal)
{
    /* Handlers have flags of their own. */
    sink = one / zero;
    caught += signal == SIGFPE;
}

static void signals(void)
{
    sigset_t set, old;
    CHECK(signal(SIGFPE, on_fpe) != SIG_ERR);
    for (int i = 0; i < 50; i++) {
        feclearexcept(FE_ALL_EXCEPT);
        CHECK(raise(SIGFPE) == 0 && caught == i + 1);
        CHECK(!(flags() & FE_INEXACT));
        sink = one / three;
        CHECK(flags() & FE_INEXACT);
    }
    sigemptyset(&set);
    sigaddset(&set, SIGFPE);
    CHECK(sigprocmask(SIG_BLOCK, &set, &old) == 0);
    feclearexcept(FE_ALL_EXCEPT);
    CHECK(raise(SIGFPE) == 0 && caught == 50);
    sink = one / three; /* blocked, and FP goes on */
    CHECK(flags() == FE_INEXACT);
    int got = 0;
    CHECK(sigwait(&set, &got) == 0 && got == SIGFPE);
    CHECK(sigprocmask(SIG_SETMASK, &old, NULL) == 0 && caught == 50);
    CHECK(signal(SIGFPE, SIG_IGN) != SIG_ERR && raise(SIGFPE) == 0);
    feclearexcept(FE_ALL_EXCEPT);
    sink = one / three;
    CHECK(flags() == FE_INEXACT);
    CHECK(signal(SIGFPE, SIG_DFL) != SIG_ERR);
}

static void children(void)
{
    int status;
    feclearexcept(FE_ALL_EXCEPT);
    sink = one / zero;
    pid_t pid = fork();
    if (pid == 0) {
        if (flags() != FE_DIVBYZERO)
            _exit(1);
        sink = one / three;
        if (flags() != (FE_DIVBYZERO | FE_INEXACT))
            _exit(2);
        raise(SIGFPE);
        _exit(3);
    }
    CHECK(pid > 0 && waitpid(pid, &status, 0) == pid);
    CHECK(WIFSIGNALED(status) && WTERMSIG(status) == SIGFPE);
    CHECK(flags() == FE_DIVBYZERO);
}

int main(void)
{
    each_flag();
    in_loops();
    rounding();
    environments();
    signals();
    children();
    puts("floats ok");
    return 0;
}
