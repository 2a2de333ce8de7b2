/* fork, vfork, wait, exec, and deaths by signal. With arguments: what the exec'd copy does. */
#include <signal.h>
#include <spawn.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include "check.h"

extern char **environ;

static int wait_for(pid_t pid)
{
    int status;
    CHECK(pid > 0 && waitpid(pid, &status, 0) == pid);
    return status;
}

static void memory_is_copied_or_shared(void)
{
    int *shared = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    int own = 1;
    pid_t pid = fork();
    if (pid == 0) {
        own = 2;
        *shared = getppid();
        _exit(7);
    }
    int status = wait_for(pid);
    CHECK(WIFEXITED(status) && WEXITSTATUS(status) == 7 && own == 1 && *shared == getpid());
}

static void parent_waits_for_vfork(void)
{
    int *shared = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    pid_t pid = vfork();
    if (pid == 0) {
        for (volatile int i = 0; i < 100000; i++)
            ;
        *shared = 5;
        _exit(0);
    }
    CHECK(*shared == 5);
    CHECK(wait_for(pid) == 0);
}

static void dies_by(int sig)
{
    pid_t pid = fork();
    if (pid == 0) {
        signal(sig, SIG_DFL);
        if (sig == SIGSEGV)
            *(volatile int *)8 = 0;
        else if (sig == SIGABRT)
            abort();
        else if (sig == SIGILL)
            __asm__ volatile(".word 0");
        else
            raise(sig);
        _exit(0);
    }
    int status = wait_for(pid);
    CHECK(WIFSIGNALED(status) && WTERMSIG(status) == sig);
}

static void stops_and_goes_on(void)
{
    pid_t pid = fork();
    if (pid == 0) {
        raise(SIGSTOP);
        _exit(9);
    }
    int status;
    CHECK(waitpid(pid, &status, WUNTRACED) == pid && WIFSTOPPED(status));
    CHECK(kill(pid, SIGCONT) == 0);
    CHECK(WEXITSTATUS(wait_for(pid)) == 9);
}

static void exec_of(char *self)
{
    char *argv[] = {"other name", "-exec", "a b", "", NULL}, *envp[] = {"ONLY=this", NULL};
    int p[2];
    char buf[200] = "";
    CHECK(pipe(p) == 0);
    pid_t pid = fork();
    if (pid == 0) {
        dup2(p[1], 1);
        signal(SIGUSR1, SIG_IGN);
        sigset_t s;
        sigemptyset(&s);
        sigaddset(&s, SIGUSR2);
        sigprocmask(SIG_BLOCK, &s, NULL);
        execve(self, argv, envp);
        _exit(1);
    }
    CHECK(WEXITSTATUS(wait_for(pid)) == 42);
    CHECK(read(p[0], buf, sizeof buf - 1) > 0);
    CHECK(strcmp(buf, "other name|a b||this|ignored blocked") == 0);
    /* A program of the host, and none. */
    char *native[] = {"sh", "-c", "exit 23", NULL};
    pid = fork();
    if (pid == 0) {
        execve("/bin/sh", native, environ);
        _exit(1);
    }
    CHECK(WEXITSTATUS(wait_for(pid)) == 23);
    CHECK_FAILS(execve("/nowhere/at/all", native, environ), ENOENT);
    CHECK_FAILS(execve("/", native, environ), EACCES);
    char *again[] = {"self", "-exit", "11", NULL};
    CHECK(posix_spawn(&pid, "/proc/self/exe", NULL, NULL, again, environ) == 0);
    CHECK(WEXITSTATUS(wait_for(pid)) == 11);
}

static int after_exec(int argc, char **argv)
{
    struct sigaction sa;
    sigset_t s;
    CHECK(argc == 4 && sigaction(SIGUSR1, NULL, &sa) == 0);
    CHECK(sigprocmask(SIG_BLOCK, NULL, &s) == 0);
    printf("%s|%s|%s|%s|%s %s", argv[0], argv[2], argv[3], getenv("ONLY"),
           sa.sa_handler == SIG_IGN ? "ignored" : "not",
           sigismember(&s, SIGUSR2) ? "blocked" : "not");
    return 42;
}

int main(int argc, char **argv)
{
    if (argc > 2 && !strcmp(argv[1], "-exec"))
        return after_exec(argc, argv);
    if (argc > 2 && !strcmp(argv[1], "-exit"))
        return atoi(argv[2]);
    struct rlimit none = {0, 0};
    setrlimit(RLIMIT_CORE, &none);
    memory_is_copied_or_shared();
    parent_waits_for_vfork();
    dies_by(SIGTERM);
    dies_by(SIGSEGV);
    dies_by(SIGABRT);
    dies_by(SIGILL);
    dies_by(SIGKILL);
    stops_and_goes_on();
    exec_of(argv[0]);
    puts("processes ok");
    return 0;
}
