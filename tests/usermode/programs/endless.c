/* Never ends by itself: "spin" computes, "sleep" waits, "fork" does both in two processes, "threads" in two
 * threads while the first waits for them, "exec" starts anew elsewhere and waits. "beside" ends: it asks twice for a
 * process that there can't be. */
#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

__attribute__((noinline)) void *spin_here(void *arg)
{
    for (;;)
        __asm__ volatile("");
    return arg;
}

/* And so does a child of the thread's. */
static void *sleep_here(void *arg)
{
    fork();
    for (;;)
        pause();
    return arg;
}

static int start_threads(void)
{
    pthread_t t[2];
    if (pthread_create(&t[0], NULL, sleep_here, NULL) ||
        pthread_create(&t[1], NULL, spin_here, NULL))
        return 1;
    puts("started");
    fflush(stdout);
    return pthread_join(t[0], NULL);
}

static int ask_for_one_beside(void)
{
    for (int i = 0; i < 2; i++)
        if (syscall(SYS_clone, 0x100 /* CLONE_VM */, 0, 0, 0, 0) != -1 || errno != EAGAIN)
            return 1;
    return 0;
}

int main(int argc, char **argv)
{
    const char *how = argc > 1 ? argv[1] : "spin";
    if (!strcmp(how, "threads"))
        return start_threads();
    if (!strcmp(how, "beside"))
        return ask_for_one_beside();
    puts("started");
    fflush(stdout);
    if (!strcmp(how, "exec") && chdir("/") == 0)
        execl("/proc/self/exe", "endless", "sleep", NULL);
    if (!strcmp(how, "fork") && fork() == 0)
        how = "spin";
    for (;;)
        if (strcmp(how, "spin") != 0)
            pause();
}
