/* fork, vfork, wait, exec, and deaths by signal. With arguments: what the exec'd copy does. */
#include <fcntl.h>
#include <limits.h>
#include <setjmp.h>
#include <signal.h>
#include <spawn.h>
#include <stdint.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/syscall.h>
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

static void on_usr1(int sig)
{
    (void)sig;
}

/* Memory is one; signal actions, masks and registers are not. */
static void vfork_borrows_memory(void)
{
    volatile int seen = 1;
    struct sigaction act = {.sa_handler = on_usr1}, now;
    sigset_t usr2, mask;
    CHECK(sigaction(SIGUSR1, &act, NULL) == 0);
    pid_t pid = vfork();
    if (pid == 0) {
        seen = 2;
        act.sa_handler = SIG_IGN;
        sigaction(SIGUSR1, &act, NULL);
        sigemptyset(&usr2);
        sigaddset(&usr2, SIGUSR2);
        sigprocmask(SIG_BLOCK, &usr2, NULL);
        _exit(3);
    }
    CHECK(wait_for(pid) == 3 << 8 && seen == 2);
    CHECK(sigaction(SIGUSR1, NULL, &now) == 0 && now.sa_handler == on_usr1);
    CHECK(sigprocmask(SIG_BLOCK, NULL, &mask) == 0 && !sigismember(&mask, SIGUSR2));
    signal(SIGUSR1, SIG_DFL);
    pid = vfork();
    if (pid == 0) {
        seen = 4;
        raise(SIGTERM);
    }
    CHECK(WTERMSIG(wait_for(pid)) == SIGTERM && seen == 4);
    char *const argv[] = {"x", NULL};
    CHECK(posix_spawn(&pid, "/nowhere/at/all", NULL, NULL, argv, environ) == ENOENT);
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

/* --- by a descriptor, and what may not be started ---------------------------------------------- */

static int status_of_execveat(int fd, const char *path, int flags)
{
    char *again[] = {"self", "-exit", "11", NULL};
    pid_t pid = fork();
    if (pid == 0) {
        syscall(SYS_execveat, fd, path, again, environ, flags);
        _exit(200 - errno);
    }
    return WEXITSTATUS(wait_for(pid));
}

static void exec_from_descriptors(void)
{
    char self[PATH_MAX], *name;
    ssize_t n = readlink("/proc/self/exe", self, sizeof self - 1);
    CHECK(n > 0);
    self[n] = 0;
    int fd = open(self, O_RDONLY | O_CLOEXEC);
    CHECK(fd >= 0 && status_of_execveat(fd, "", AT_EMPTY_PATH) == 11);
    CHECK(status_of_execveat(fd, "", 0) == 200 - ENOENT);
    CHECK(status_of_execveat(fd, "x", 8) == 200 - EINVAL);
    CHECK(status_of_execveat(fd, "x", 0) == 200 - ENOTDIR);
    CHECK(status_of_execveat(999, "", AT_EMPTY_PATH) == 200 - EBADF);
    CHECK(status_of_execveat(fd, self, 0) == 11);
    name = strrchr(self, '/');
    *name++ = 0;
    int dir = open(self, O_PATH | O_DIRECTORY | O_CLOEXEC);
    CHECK(dir >= 0 && status_of_execveat(dir, name, 0) == 11);
    CHECK(status_of_execveat(dir, "none such", 0) == 200 - ENOENT);
    CHECK(status_of_execveat(dir, "", AT_EMPTY_PATH) == 200 - EACCES);
    /* One without a name. */
    char text[65536];
    int copy = memfd_create("copy", MFD_CLOEXEC);
    for (ssize_t k; (k = read(fd, text, sizeof text)) > 0;)
        CHECK(write(copy, text, (size_t)k) == k);
    CHECK(status_of_execveat(copy, "", AT_EMPTY_PATH) == 11);
    CHECK(ftruncate(copy, 100) == 0 && status_of_execveat(copy, "", AT_EMPTY_PATH) == 200 - ENOEXEC);
    CHECK(close(copy) == 0);
    CHECK(close(fd) == 0 && close(dir) == 0);
}

static int status_of_exec(const char *path)
{
    char *again[] = {"self", "-exit", "11", NULL};
    pid_t pid = fork();
    if (pid == 0) {
        execve(path, again, environ);
        _exit(200 - errno);
    }
    return WEXITSTATUS(wait_for(pid));
}

/* Nobody executes what is being written, and nobody writes what is being executed. */
static void busy_files(const char *dir)
{
    char copy[PATH_MAX], script[PATH_MAX], text[65536];
    snprintf(copy, sizeof copy, "%s/copy", dir);
    snprintf(script, sizeof script, "%s/script", dir);
    int in = open("/proc/self/exe", O_RDONLY), out = open(copy, O_RDWR | O_CREAT | O_TRUNC, 0755);
    CHECK(in >= 0 && out >= 0);
    for (ssize_t n; (n = read(in, text, sizeof text)) > 0;)
        CHECK(write(out, text, (size_t)n) == n);
    int start = open(script, O_WRONLY | O_CREAT | O_TRUNC, 0755);
    int n = snprintf(text, sizeof text, "#!%s -exit\n", copy);
    CHECK(start >= 0 && write(start, text, (size_t)n) == n);
    CHECK(status_of_exec(copy) == 200 - ETXTBSY);
    CHECK(status_of_exec(script) == 200 - ETXTBSY);
    CHECK(close(start) == 0 && status_of_exec(script) == 200 - ETXTBSY);
    CHECK(close(out) == 0 && status_of_exec(copy) == 11);
    int refused = access("/proc/self/exe", W_OK) ? EACCES : ETXTBSY;
    CHECK_FAILS(open("/proc/self/exe", O_WRONLY), refused);
    CHECK_FAILS(open("/proc/self/exe", O_RDONLY | O_TRUNC), refused);
    CHECK_FAILS(truncate("/proc/self/exe", 5), refused);
    CHECK((in = open("/proc/self/exe", O_RDONLY)) >= 0 && close(in) == 0);
    CHECK(unlink(copy) == 0 && unlink(script) == 0);
}

static void write_file(const char *path, const char *text, size_t size)
{
    int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0755);
    CHECK(fd >= 0 && write(fd, text, size) == (ssize_t)size && close(fd) == 0);
}

/* Scripts of scripts, as many as Linux takes: the first has the program as its interpreter. */
static void chains_of_scripts(const char *dir, const char *self)
{
    enum { MOST = 5 };
    char path[PATH_MAX], text[PATH_MAX + 8];
    for (int i = 0; i <= MOST; i++) {
        int n = i ? snprintf(text, sizeof text, "#!%s/script%d\n", dir, i - 1)
                  : snprintf(text, sizeof text, "#!%s -exit\n", self);
        snprintf(path, sizeof path, "%s/script%d", dir, i);
        write_file(path, text, (size_t)n);
        CHECK(status_of_exec(path) == (i < MOST ? 0 : 200 - ELOOP));
    }
    for (int i = 0; i <= MOST; i++) {
        snprintf(path, sizeof path, "%s/script%d", dir, i);
        CHECK(unlink(path) == 0);
    }
}

/* What cannot be started is said to who would start it, who lives on. */
static void broken_programs(const char *dir, const char *self)
{
    char path[PATH_MAX], text[600];
    int in = open(self, O_RDONLY);
    CHECK(in >= 0 && read(in, text, sizeof text) == sizeof text && close(in) == 0);
    snprintf(path, sizeof path, "%s/broken", dir);
    static const size_t cut[] = {20, 40, 64, 100};
    for (unsigned i = 0; i < sizeof cut / sizeof *cut; i++) {
        write_file(path, text, cut[i]);
        CHECK(status_of_exec(path) == 200 - ENOEXEC);
    }
    memset(text, '/', sizeof text); /* a name that is longer than what is read of it */
    memcpy(text, "#!", 2);
    memcpy(text + sizeof text - 5, "tmp\n", 4);
    write_file(path, text, sizeof text - 1);
    CHECK(status_of_exec(path) == 200 - ENOEXEC);
    CHECK(unlink(path) == 0);
}

/* --- what a child does not get ----------------------------------------------------------------- */

static sigjmp_buf env;
static siginfo_t seen;

static void on_fault(int sig, siginfo_t *info, void *uc)
{
    (void)sig;
    (void)uc;
    seen = *info;
    siglongjmp(env, 1);
}

static void memory_that_stays_behind(void)
{
    enum { PAGE = 65536 }; /* as large as any host's */
    struct sigaction sa = {.sa_sigaction = on_fault, .sa_flags = SA_SIGINFO}, old;
    uint8_t *m = mmap(NULL, 3 * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    memset(m, 5, 3 * PAGE);
    CHECK(madvise(m, PAGE, MADV_DONTFORK) == 0);
    CHECK(madvise(m + PAGE, PAGE, MADV_WIPEONFORK) == 0);
    CHECK(sigaction(SIGSEGV, &sa, &old) == 0);
    pid_t pid = fork();
    if (pid == 0) {
        CHECK(m[PAGE] == 0 && m[2 * PAGE] == 5);
        if (sigsetjmp(env, 1) == 0)
            CHECK(*(volatile uint8_t *)(m + 9) && 0);
        CHECK(seen.si_signo == SIGSEGV && seen.si_code == SEGV_MAPERR && seen.si_addr == m + 9);
        CHECK_FAILS(write(1, m, 1), EFAULT);
        CHECK_FAILS(syscall(SYS_rt_sigprocmask, SIG_BLOCK, m, NULL, 8), EFAULT);
        CHECK_FAILS(mprotect(m, PAGE, PROT_READ), ENOMEM);
        _exit(0);
    }
    CHECK(wait_for(pid) == 0 && m[0] == 5 && sigaction(SIGSEGV, &old, NULL) == 0);
}

/* What looks for leaks at our end opens files. */
static void leave(int status)
{
    for (int fd = 3; fd < 32; fd++)
        close(fd);
    _exit(status);
}

/* Neither a descriptor nor a file of some size may be had: a child lives all the same. */
static void children_of_the_poor(const char *self)
{
    struct rlimit few = {32, 32}, small = {100, 100};
    char *again[] = {"self", "-exit", "11", NULL};
    pid_t pid = fork();
    if (pid == 0) {
        CHECK(setrlimit(RLIMIT_FSIZE, &small) == 0);
        pid_t child = fork();
        if (child == 0) {
            execve(self, again, environ);
            _exit(1);
        }
        CHECK(WEXITSTATUS(wait_for(child)) == 11);
        CHECK(setrlimit(RLIMIT_NOFILE, &few) == 0);
        while (open("/dev/null", O_RDONLY) >= 0)
            ;
        child = fork();
        if (child == 0) {
            child = fork();
            if (child == 0)
                leave(7);
            leave(WEXITSTATUS(wait_for(child)));
        }
        leave(WEXITSTATUS(wait_for(child)));
    }
    CHECK(WEXITSTATUS(wait_for(pid)) == 7);
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
    vfork_borrows_memory();
    dies_by(SIGTERM);
    dies_by(SIGSEGV);
    dies_by(SIGABRT);
    dies_by(SIGILL);
    dies_by(SIGKILL);
    stops_and_goes_on();
    exec_of(argv[0]);
    exec_from_descriptors();
    busy_files(argv[1]);
    chains_of_scripts(argv[1], argv[0]);
    broken_programs(argv[1], argv[0]);
    memory_that_stays_behind();
    children_of_the_poor(argv[0]);
    puts("processes ok");
    return 0;
}
