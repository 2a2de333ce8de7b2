/*
 * spawn COUNT PROGRAM ARGS...: starts a program COUNT times, one after the other, output to nowhere,
 * and prints a line "wall_ns peak_rss_kib" for each. A small process of its own does this, since
 * Linux counts what the starter had resident as its child's.
 */
#include <fcntl.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

extern char **environ;

static long long now_ns(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return t.tv_sec * 1000000000LL + t.tv_nsec;
}

int main(int argc, char **argv)
{
    posix_spawn_file_actions_t quiet;
    if (argc < 3 || posix_spawn_file_actions_init(&quiet) != 0 ||
        posix_spawn_file_actions_addopen(&quiet, STDOUT_FILENO, "/dev/null", O_WRONLY, 0) != 0) {
        fprintf(stderr, "usage: spawn COUNT PROGRAM ARGS...\n");
        return 2;
    }
    for (int i = atoi(argv[1]); i > 0; i--) {
        struct rusage use;
        pid_t pid;
        int status;
        long long start = now_ns();
        if (posix_spawn(&pid, argv[2], &quiet, NULL, argv + 2, environ) != 0 ||
            wait4(pid, &status, 0, &use) != pid) {
            perror(argv[2]);
            return 1;
        }
        long long wall = now_ns() - start;
        if (status != 0) {
            fprintf(stderr, "%s: wait status %#x\n", argv[2], (unsigned)status);
            return 1;
        }
        printf("%lld %ld\n", wall, use.ru_maxrss);
    }
    return 0;
}
