/* Handlers of signals, and a timer that sends some. */
#ifndef TIMER_H
#define TIMER_H

#include <signal.h>
#include <sys/time.h>

#include "check.h"

static void handle(int sig, void (*fn)(int), int flags)
{
    struct sigaction sa = {.sa_handler = fn, .sa_flags = flags};
    CHECK(sigaction(sig, &sa, NULL) == 0);
}

static void start_timer(long first_us, long every_us)
{
    struct itimerval it = {{0, every_us}, {0, first_us}};
    CHECK(setitimer(ITIMER_REAL, &it, NULL) == 0);
}

#endif
