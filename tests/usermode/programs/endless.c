/* Never ends by itself: "spin" computes, "sleep" waits, "fork" does both in two processes,
 * "exec" starts anew elsewhere and waits. */
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

int main(int argc, char **argv)
{
    const char *how = argc > 1 ? argv[1] : "spin";
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
