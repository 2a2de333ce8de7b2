/*
 * What a kernel is asked for, by PROCESSES at once (default: 1): system calls, programs started, fresh pages
 * touched. Prints a line "traps: KIND RATE" for each, a second, of all of them together.
 */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum { CALLS = 1000000, PROGRAMS = 300, ROUNDS = 60, PAGES = 2048, PAGE = 4096 };

static const char *self;

static double now_s(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static int call(void)
{
    for (int i = 0; i < CALLS; i++)
        syscall(SYS_getppid);
    return CALLS;
}

static int start_programs(void)
{
    for (int i = 0; i < PROGRAMS; i++) {
        pid_t child = fork();
        if (child == 0) {
            execl(self, self, "nothing", (char *)NULL);
            _exit(1);
        }
        int status = -1;
        if (child < 0 || waitpid(child, &status, 0) != child || status != 0)
            return 0;
    }
    return PROGRAMS;
}

static int touch(void)
{
    for (int i = 0; i < ROUNDS; i++) {
        size_t size = (size_t)PAGES * PAGE;
        char *at = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
        if (at == MAP_FAILED)
            return 0;
        for (size_t k = 0; k < size; k += PAGE)
            ((volatile char *)at)[k] = 1;
        munmap(at, size);
    }
    return ROUNDS * PAGES;
}

static const struct {
    const char *name;
    int (*run)(void); /* how many it did; 0: it failed */
    int count;
} kinds[] = {{"calls", call, CALLS},
             {"programs", start_programs, PROGRAMS},
             {"pages", touch, ROUNDS *PAGES}};

static int measure(unsigned kind, int processes)
{
    double start = now_s();
    int failed = 0, status;
    for (int i = 0; i < processes; i++) {
        pid_t child = fork();
        if (child == 0)
            _exit(kinds[kind].run() != kinds[kind].count);
        failed |= child < 0;
    }
    while (wait(&status) > 0)
        failed |= status;
    if (!failed)
        printf("traps: %s %.0f\n", kinds[kind].name,
               (double)processes * kinds[kind].count / (now_s() - start));
    return failed;
}

int main(int argc, char **argv)
{
    int processes = argc > 1 ? atoi(argv[1]) : 1, failed = 0;
    if (argc > 1 && !strcmp(argv[1], "nothing"))
        return 0;
    self = argv[0];
    setvbuf(stdout, NULL, _IONBF, 0);
    for (unsigned kind = 0; kind < sizeof kinds / sizeof kinds[0]; kind++)
        failed |= measure(kind, processes);
    return failed ? 1 : 0;
}
