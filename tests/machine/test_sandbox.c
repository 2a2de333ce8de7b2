/* What each role of the sandbox may do and may not: in a child, since a filter stays for good. */
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#include "machine/lock/sandbox.h"

enum { FORBIDDEN = 125, NOT_ENTERED = 100 };
static int open_before;

enum {
    V = 1 << SANDBOX_VCPU,
    I = 1 << SANDBOX_IO,
    D = 1 << SANDBOX_DISK,
    C = 1 << SANDBOX_CONTROL,
    O = 1 << SANDBOX_NET,
    N = O | 1 << SANDBOX_NET_IN,
    L = 1 << SANDBOX_LOAD,
    M = 1 << SANDBOX_MAIN | L,
    B = 1 << SANDBOX_BROKER
};

static void start_a_program(void)
{
    char *const argv[] = {(char *)"true", NULL};
    execve("/bin/true", argv, argv + 1);
}

static void start_a_process(void)
{
    syscall(SYS_clone, SIGCHLD, NULL, NULL, NULL, NULL);
}

#ifdef SYS_fork /* a call of its own on hosts as old as x86-64 */
static void fork_a_process(void)
{
    syscall(SYS_fork);
}
#endif

static void clone_a_thread(void)
{
    syscall(SYS_clone, 0, NULL, NULL, NULL, 0);
}

static void connect_to_a_program(void)
{
    socket(AF_UNIX, SOCK_STREAM, 0);
}

static void use_the_network(void)
{
    socket(AF_INET, SOCK_DGRAM, 0);
}

static void signal_another(void)
{
    kill(1, 0);
}

static void trace_another(void)
{
    ptrace(PTRACE_ATTACH, 1, NULL, NULL);
}

static void map_code(void)
{
    if (mmap(NULL, 4096, PROT_READ | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0) == MAP_FAILED)
        _exit(1);
}

static void make_code(void)
{
    void *p = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (p == MAP_FAILED || mprotect(p, 4096, PROT_READ | PROT_EXEC) < 0)
        _exit(1);
}

static void type_into_the_terminal(void)
{
    char key = 'x';
    ioctl(STDIN_FILENO, TIOCSTI, &key);
}

static void rename_a_file(void)
{
    rename("/nowhere/a", "/nowhere/b");
}

static void make_a_directory(void)
{
    mkdir("/nowhere/a", 0700);
}

static void make_memory_to_share(void)
{
    if (memfd_create("test", 0) < 0)
        _exit(1);
}

static void wait_for_events(void)
{
    struct epoll_event ev;
    epoll_wait(-1, &ev, 1, 0);
}

static void accept_a_peer(void)
{
    accept4(-1, NULL, NULL, 0);
}

static void read_in_the_middle(void)
{
    char byte;
    pread(-1, &byte, 1, 0);
}

static void flush_a_file(void)
{
    fdatasync(-1);
    sync_file_range(-1, 0, 4096, SYNC_FILE_RANGE_WRITE);
}

static void wait_for_a_child(void)
{
    waitpid(-1, NULL, WNOHANG);
}

static void use_memory(void)
{
    void *p = mmap(NULL, 1 << 20, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (p == MAP_FAILED || madvise(p, 1 << 20, MADV_DONTNEED) < 0 || munmap(p, 1 << 20) < 0)
        _exit(1);
}

static void read_what_is_open(void)
{
    char byte;
    if (pread(open_before, &byte, 1, 0) != 1 || open("/etc/passwd", O_RDONLY) >= 0)
        _exit(1);
}

static const struct {
    const char *name; /* as the message has it; NULL: not in it */
    void (*call)(void);
    int may; /* roles */
} calls[] = {
    {"execve", start_a_program, 0},
    {"clone", start_a_process, 0},
#ifdef SYS_fork
    {"fork", fork_a_process, 0},
#endif
    {"clone", clone_a_thread, 0},
    {"socket", connect_to_a_program, 1 << SANDBOX_NET_IN | B}, /* is refused there, as the next */
    {"socket", use_the_network, N},
    {"kill", signal_another, 0},
    {"ptrace", trace_another, 0},
    {"mmap", map_code, 0},
    {"mprotect", make_code, 0},
    {"ioctl", type_into_the_terminal, 0},
    {"rename", rename_a_file, B},
    {"mkdir", make_a_directory, 0},
    {"memfd_create", make_memory_to_share, V | M},
    {NULL, wait_for_events, I | D | C},
    {NULL, accept_a_peer, I | C | N},
    {NULL, read_in_the_middle, V | I | D | M | B},
    {NULL, flush_a_file, V | D | M},
    {NULL, wait_for_a_child, M},
    {NULL, use_memory, V | I | D | C | N | M | B},
};

/* Runs one call in a role (SANDBOX_ROLES: as a reader); the child's status, and what it said. */
static int in_role(enum sandbox_role role, void (*call)(void), char *said, size_t size)
{
    int fds[2], status;
    ssize_t n;
    pid_t child;
    said[0] = 0;
    assert_int_equal(pipe(fds), 0);
    child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        struct sandbox *s;
        sigset_t all;
        dup2(fds[1], STDERR_FILENO);
        sigfillset(&all); /* as threads of ours have them */
        sigprocmask(SIG_SETMASK, &all, NULL);
        open_before = open("/proc/self/exe", O_RDONLY);
        if (role == SANDBOX_ROLES
                ? sandbox_enter_reader(NULL) != GW_OK
                : sandbox_new(&s, NULL, NULL) != GW_OK || sandbox_enter(s, role, NULL) != GW_OK)
            _exit(NOT_ENTERED);
        call();
        _exit(0);
    }
    close(fds[1]);
    for (size_t at = 0; (n = read(fds[0], said + at, size - 1 - at)) > 0; at += (size_t)n)
        said[at + (size_t)n] = 0;
    close(fds[0]);
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFEXITED(status));
    return WEXITSTATUS(status);
}

static void skip_without(void)
{
    if (sandbox_missing())
        skip();
}

static void a_forbidden_call_ends_the_process_by_name(void **state)
{
    char said[512];
    skip_without();
    for (unsigned i = 0; i < sizeof calls / sizeof calls[0]; i++)
        for (unsigned role = 0; role < SANDBOX_ROLES; role++) {
            bool may = calls[i].may >> role & 1;
            int status = in_role(role, calls[i].call, said, sizeof said);
            if (status != (may ? 0 : FORBIDDEN))
                fail_msg("call %u (%s), role %u: status %d, '%s'", i, calls[i].name, role, status,
                         said);
            if (may)
                continue;
            assert_non_null(strstr(said, "godwit: error: sandbox: forbidden system call: "));
            if (calls[i].name)
                assert_non_null(strstr(said, calls[i].name));
        }
}

/* Whoever looks into foreign files: one that is open, memory, and nothing else. */
static void a_reader_reads_and_no_more(void **state)
{
    char said[512];
    skip_without();
    for (unsigned i = 0; i < sizeof calls / sizeof calls[0]; i++) {
        void (*call)(void) = calls[i].call;
        bool may = call == use_memory || call == read_in_the_middle ||
                   call == type_into_the_terminal; /* there is none, it is told */
        assert_int_equal(in_role(SANDBOX_ROLES, call, said, sizeof said), may ? 0 : FORBIDDEN);
    }
    assert_int_equal(in_role(SANDBOX_ROLES, read_what_is_open, said, sizeof said), 0);
}

static void open_a_file(void)
{
    if (open("/etc/passwd", O_RDONLY) >= 0 || errno != EACCES)
        _exit(1);
    if (open("/tmp/godwit-sandbox-test", O_WRONLY | O_CREAT, 0600) >= 0 || errno != EACCES)
        _exit(2);
    if (unlink("/etc/passwd") == 0 || errno != EACCES)
        _exit(3);
}

static void files_are_refused_and_the_process_goes_on(void **state)
{
    char said[512];
    skip_without();
    for (unsigned role = 0; role < SANDBOX_ROLES; role++)
        if (role != SANDBOX_BROKER || landlock_version()) /* which alone is in its way */
            assert_int_equal(in_role(role, open_a_file, said, sizeof said), 0);
}

/* ---- who a thread is ------------------------------------------------------------------------- */

/* A line of the child's /proc/PID/status, when it is in its role. */
static void status_line(pid_t pid, const char *key, char *value, size_t size)
{
    char path[64], line[256];
    FILE *f;
    snprintf(path, sizeof path, "/proc/%d/status", (int)pid);
    f = fopen(path, "r");
    assert_non_null(f);
    value[0] = 0;
    while (fgets(line, sizeof line, f))
        if (!strncmp(line, key, strlen(key)) && line[strlen(key)] == ':')
            snprintf(value, size, "%.*s", (int)strcspn(line + strlen(key) + 2, "\n"),
                     line + strlen(key) + 2);
    fclose(f);
}

static pid_t start_in_role(enum sandbox_role role, const char *user)
{
    int fds[2];
    char byte;
    pid_t child;
    assert_int_equal(pipe(fds), 0);
    child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        struct sandbox *s;
        if (sandbox_new(&s, user, NULL) != GW_OK ||
            (role == SANDBOX_BROKER ? sandbox_enter_broker(s, NULL, 0, NULL)
                                    : sandbox_enter(s, role, NULL)) != GW_OK)
            _exit(NOT_ENTERED);
        if (write(fds[1], "", 1) != 1)
            _exit(1);
        for (;;)
            clock_nanosleep(CLOCK_MONOTONIC, 0, &(struct timespec){.tv_sec = 100}, NULL);
    }
    close(fds[1]);
    assert_int_equal(read(fds[0], &byte, 1), 1);
    close(fds[0]);
    return child;
}

static void a_thread_gives_root_and_every_privilege_up(void **state)
{
    static const struct {
        const char *user, *uid, *gid;
    } users[] = {{"12345:54321", "12345\t12345\t12345\t12345", "54321\t54321\t54321\t54321"},
                 {"root", "0\t0\t0\t0", "0\t0\t0\t0"},
                 {"root:54321", "0\t0\t0\t0", "54321\t54321\t54321\t54321"}};
    static const char *const none[] = {"CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb"};
    char value[128];
    skip_without();
    if (geteuid() != 0)
        skip();
    for (unsigned i = 0; i < sizeof users / sizeof users[0]; i++)
        for (unsigned role = 0; role < SANDBOX_ROLES; role++) {
            pid_t child = start_in_role(role, users[i].user);
            bool writes = role == SANDBOX_BROKER && i != 0; /* where others own the place */
            status_line(child, "Uid", value, sizeof value);
            assert_string_equal(value, users[i].uid);
            status_line(child, "Gid", value, sizeof value);
            assert_string_equal(value, users[i].gid);
            status_line(child, "Groups", value, sizeof value);
            if (i != 1)
                assert_int_equal(strspn(value, " "), strlen(value));
            for (unsigned c = 0; c < sizeof none / sizeof none[0]; c++) {
                bool kept = writes && (c == 1 || c == 2);
                status_line(child, none[c], value, sizeof value);
                assert_string_equal(value, kept ? "0000000000000002" : "0000000000000000");
            }
            status_line(child, "NoNewPrivs", value, sizeof value);
            assert_string_equal(value, "1");
            status_line(child, "Seccomp", value, sizeof value);
            assert_string_equal(value, "2");
            kill(child, SIGKILL);
            assert_int_equal(waitpid(child, NULL, 0), child);
        }
}

/* 0, or the number of what went wrong. */
static int name_files(int make, int only_remove)
{
    struct landlock_place places[] = {{make, LANDLOCK_MAKE_FILES}, {only_remove, LANDLOCK_REMOVE}};
    struct sandbox *s;
    char link_of[64];
    int fd;
    if (sandbox_new(&s, NULL, NULL) != GW_OK || sandbox_enter_broker(s, places, 2, NULL) != GW_OK)
        return NOT_ENTERED;
    fd = openat(make, ".", O_TMPFILE | O_RDWR, 0600);
    snprintf(link_of, sizeof link_of, "/proc/self/fd/%d", fd);
    if (fd < 0 || write(fd, "x", 1) != 1 || ftruncate(fd, 0) < 0)
        return 1;
    if (linkat(AT_FDCWD, link_of, make, "a", AT_SYMLINK_FOLLOW) < 0 ||
        renameat(make, "a", make, "b") < 0)
        return 2;
    if (unlinkat(make, "b", 0) < 0 || unlinkat(only_remove, "there", 0) < 0)
        return 3;
    if (openat(only_remove, "new", O_CREAT | O_WRONLY, 0600) >= 0 || errno != EACCES)
        return 4;
    if (linkat(AT_FDCWD, link_of, only_remove, "new", AT_SYMLINK_FOLLOW) == 0)
        return 5;
    if (open("/etc/passwd", O_RDONLY) >= 0 || errno != EACCES)
        return 6;
    return 0;
}

static void the_broker_names_files_in_its_places_alone(void **state)
{
    char make[] = "/tmp/godwit-broker.XXXXXX", other[] = "/tmp/godwit-broker.XXXXXX";
    int make_fd, other_fd, status;
    pid_t child;
    skip_without();
    if (!landlock_version())
        skip();
    assert_non_null(mkdtemp(make));
    assert_non_null(mkdtemp(other));
    assert_int_equal(chmod(make, 0777) | chmod(other, 0777), 0); /* root becomes another one */
    make_fd = open(make, O_PATH | O_DIRECTORY);
    other_fd = open(other, O_PATH | O_DIRECTORY);
    close(openat(other_fd, "there", O_CREAT | O_WRONLY, 0600));
    child = fork();
    if (child == 0)
        _exit(name_files(make_fd, other_fd));
    assert_int_equal(waitpid(child, &status, 0), child);
    close(make_fd);
    close(other_fd);
    assert_int_equal(rmdir(make) | rmdir(other), 0); /* nothing is left in them */
    assert_int_equal(status, 0);
}

static void some_memory_more_and_no_core_of_a_machine_that_was_roots(void **state)
{
    int status;
    pid_t child;
    skip_without();
    child = fork();
    if (child == 0) {
        struct rlimit core;
        struct sandbox *s;
        volatile char *p;
        bool changes;
        if (sandbox_new(&s, NULL, NULL) != GW_OK)
            _exit(NOT_ENTERED);
        changes = sandbox_user(s)->changes;
        sandbox_bound(s, 64 << 20);
        p = mmap(NULL, 32 << 20, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
        if (p == MAP_FAILED || mmap(NULL, 64 << 20, PROT_READ | PROT_WRITE,
                                    MAP_PRIVATE | MAP_ANONYMOUS, -1, 0) != MAP_FAILED)
            _exit(1);
        getrlimit(RLIMIT_CORE, &core);
        if (changes && (core.rlim_max || prctl(PR_GET_DUMPABLE, 0, 0, 0, 0)))
            _exit(2);
        _exit(0);
    }
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_int_equal(status, 0);
}

static void read_names(void)
{
    char a[4096], b[sizeof a];
    for (int again = 0; again < 2; again++) {
        int fd = open("/etc/resolv.conf", O_RDONLY | O_CLOEXEC);
        ssize_t n = fd < 0 ? -1 : read(fd, again ? b : a, sizeof a);
        if (n <= 0 || (again && memcmp(a, b, (size_t)n) != 0))
            _exit(1);
    }
}

static void the_network_alone_reads_the_name_servers(void **state)
{
    char said[512];
    skip_without();
    if (access("/etc/resolv.conf", R_OK) != 0)
        skip();
    for (unsigned role = 0; role < SANDBOX_ROLES; role++)
        assert_int_equal(in_role(role, read_names, said, sizeof said), !(N >> role & 1));
}

static void call_out(void)
{
    if (socket(AF_INET, SOCK_DGRAM, 0) >= 0 || errno != EACCES)
        _exit(1);
    if (bind(0, NULL, 0) == 0 || errno != EACCES || connect(0, NULL, 0) == 0 || errno != EACCES)
        _exit(2);
}

static void a_network_without_a_way_out_goes_on_when_its_guest_tries(void **state)
{
    char said[512];
    skip_without();
    assert_int_equal(in_role(SANDBOX_NET_IN, call_out, said, sizeof said), 0);
}

static void die(void)
{
    raise(SIGTERM);
}

static void the_process_may_signal_itself(void **state)
{
    char said[512];
    skip_without();
    for (unsigned role = 0; role < SANDBOX_ROLES; role++)
        assert_int_equal(in_role(role, die, said, sizeof said),
                         0); /* blocked there, not forbidden */
}

static void where_there_is_none_it_says_why(void **state)
{
    struct sandbox *s;
    const char *why = sandbox_missing();
    if (!why)
        skip();
    assert_true(why && strlen(why) > 10);
    if (sandbox_new(&s, NULL, NULL) == GW_OK)
        assert_null(s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_reader_reads_and_no_more),
        cmocka_unit_test(a_forbidden_call_ends_the_process_by_name),
        cmocka_unit_test(files_are_refused_and_the_process_goes_on),
        cmocka_unit_test(the_network_alone_reads_the_name_servers),
        cmocka_unit_test(a_network_without_a_way_out_goes_on_when_its_guest_tries),
        cmocka_unit_test(the_process_may_signal_itself),
        cmocka_unit_test(where_there_is_none_it_says_why),
        cmocka_unit_test(a_thread_gives_root_and_every_privilege_up),
        cmocka_unit_test(the_broker_names_files_in_its_places_alone),
        cmocka_unit_test(some_memory_more_and_no_core_of_a_machine_that_was_roots),
    };
    return cmocka_run_group_tests_name("sandbox", tests, NULL, NULL);
}
