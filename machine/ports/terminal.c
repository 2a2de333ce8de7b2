/*
 * The terminal's raw mode. Neither atexit() nor a signal handler takes a context, so what is to be
 * restored is kept in the one mutable global of this room: written once by the main thread, before
 * `active` is set.
 */
#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <termios.h>
#include <unistd.h>

#include "machine/host.h"

static struct {
    struct termios saved;
    int fd;
    bool hooked; /* atexit and handlers are in place */
    volatile sig_atomic_t active;
} terminal;

/* Async-signal-safe. */
static void restore(int when)
{
    int e = errno;
    if (terminal.active) {
        tcsetattr(terminal.fd, when, &terminal.saved);
        terminal.active = 0; /* behind it: who waits for a stalled terminal has restored nothing */
    }
    errno = e;
}

void terminal_restore(void)
{
    restore(TCSADRAIN);
}

void terminal_restore_now(void)
{
    restore(TCSANOW);
}

/* Handlers were installed with SA_RESETHAND: raising the signal again ends the process by it. */
static void fatal(int signal)
{
    terminal_restore();
    raise(signal);
}

static void hook(void)
{
    static const int fatal_signals[] = {SIGABRT, SIGFPE, SIGILL, SIGBUS, SIGSEGV, SIGSYS};
    for (unsigned i = 0; i < sizeof fatal_signals / sizeof fatal_signals[0]; i++) {
        struct sigaction old, sa = {.sa_handler = fatal, .sa_flags = (int)SA_RESETHAND};
        sigemptyset(&sa.sa_mask);
        /* Whoever handles a signal already keeps it; those who come later chain to us. */
        if (sigaction(fatal_signals[i], NULL, &old) == 0 && old.sa_handler == SIG_DFL)
            sigaction(fatal_signals[i], &sa, NULL);
    }
    atexit(terminal_restore);
    terminal.hooked = true;
}

bool terminal_raw(int fd)
{
    struct termios raw;
    if (!isatty(fd) || tcgetpgrp(fd) != getpgrp() || tcgetattr(fd, &terminal.saved) < 0)
        return false;
    raw = terminal.saved;
    cfmakeraw(&raw);
    raw.c_oflag |= OPOST | ONLCR; /* our own words on stderr end in a plain newline */
    terminal.fd = fd;
    if (!terminal.hooked)
        hook();
    terminal.active = 1;
    if (tcsetattr(fd, TCSADRAIN, &raw) < 0) {
        terminal.active = 0;
        return false;
    }
    return true;
}
