/*
 * godwit exec, from outside: guest programs that check themselves, by both engines, and what the
 * command promises of statuses, messages and options. Arguments: godwit, directory of programs,
 * sysroot of dynamic ones or "".
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/capability.h>
#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tests/usermode/sanitizer.h"

static const char *godwit, *programs, *sysroot;
static char work[] = "/tmp/um_programs_XXXXXX";

enum { MAX_WORDS = 24, OUT_BYTES = 65536 };

struct run {
    int status; /* as wait has it */
    char out[OUT_BYTES], err[OUT_BYTES];
};

static void slurp(const char *name, char *to)
{
    char path[PATH_MAX];
    snprintf(path, sizeof path, "%s/%s", work, name);
    int fd = open(path, O_RDONLY);
    assert_true(fd >= 0);
    ssize_t n = read(fd, to, OUT_BYTES - 1);
    assert_true(n >= 0);
    to[n] = 0;
    close(fd);
}

static void redirect(const char *name, int to)
{
    char path[PATH_MAX];
    snprintf(path, sizeof path, "%s/%s", work, name);
    int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0600);
    if (fd < 0 || dup2(fd, to) < 0)
        _exit(98);
}

/* Runs godwit exec with the words, which a NULL ends; "@x" stands for program x. */
static void run_limited(struct run *r, uint64_t address_space, const char *const *words)
{
    static char path[MAX_WORDS][PATH_MAX];
    const char *argv[MAX_WORDS + 3] = {godwit, "exec"};
    unsigned n = 2;
    for (unsigned i = 0; words[i]; i++) {
        assert_true(n < MAX_WORDS);
        argv[n] = words[i];
        if (words[i][0] == '@') {
            snprintf(path[n], PATH_MAX, "%s/um_%s", programs, words[i] + 1);
            argv[n] = path[n];
        }
        n++;
    }
    fflush(NULL);
    pid_t pid = fork();
    if (pid == 0) {
        redirect("out", 1);
        redirect("err", 2);
        struct rlimit none = {0, 0}, as = {address_space, address_space};
        setrlimit(RLIMIT_CORE, &none);
        if (address_space && setrlimit(RLIMIT_AS, &as))
            _exit(97);
        alarm(60); /* a program that hangs dies by SIGALRM */
        /* In children that threads fork the sanitizer looks for its parent's threads. */
        for (unsigned i = 0; address_sanitizer && words[i]; i++)
            if (strcmp(words[i], "@threads") == 0)
                setenv("ASAN_OPTIONS", "detect_leaks=0", 1);
        execv(godwit, (char *const *)(uintptr_t)argv);
        _exit(98);
    }
    assert_int_equal(waitpid(pid, &r->status, 0), pid);
    slurp("out", r->out);
    slurp("err", r->err);
}

#define RUN(r, ...) run_limited((r), 0, (const char *const[]){__VA_ARGS__, NULL})

static void expect_exit(const struct run *r, int status)
{
    if (!WIFEXITED(r->status) || WEXITSTATUS(r->status) != status)
        fail_msg("wait status %#x instead of exit %d; stderr: %s", (unsigned)r->status, status,
                 r->err);
}

static void expect_signal(const struct run *r, int signal)
{
    if (!WIFSIGNALED(r->status) || WTERMSIG(r->status) != signal)
        fail_msg("wait status %#x instead of signal %d; stderr: %s", (unsigned)r->status, signal,
                 r->err);
}

static void expect_text(const char *text, const char *part)
{
    if (!strstr(text, part))
        fail_msg("'%s' is not in '%s'", part, text);
}

/* --- programs that check themselves ----------------------------------------------------------- */

static void programs_pass(void **state)
{
    (void)state;
    static const char *const names[] = {"@faults",   "@files",     "@flags",    "@floats",
                                        "@mappings", "@memory",    "@messages", "@pages",
                                        "@signals",  "@processes", "@machine",  "@selfmod",
                                        "@threads",  "@raw",       "@raw_pie"};
    static const char *const ways[][2] = {
        {"--engine=jit", "-q"},     {"--engine=interp", "-q"},
        {"--fp-traps=eager", "-q"}, {"--engine=jit", "--host-pages=64K"},
        {"-q", "--host-pages=4K"},  {"--engine=interp", "--host-pages=16K"}};
    static struct run r;
    for (unsigned i = 0; i < sizeof names / sizeof *names; i++) {
        for (unsigned e = 0; e < sizeof ways / sizeof *ways; e++) {
            bool raw = strncmp(names[i], "@raw", 4) == 0;
            /* The sanitizer's own look at the interpreter's accesses comes first, and faults. */
            if (address_sanitizer && strcmp(ways[e][0], "--engine=interp") == 0 &&
                (strcmp(names[i], "@faults") == 0 || strcmp(names[i], "@pages") == 0))
                continue;
            /* The sanitizer's allocator does not care for its locks in a child. */
            const char *arg =
                address_sanitizer && strcmp(names[i], "@threads") == 0 ? "few-forks" : work;
            if (strcmp(names[i], "@threads") == 0 && strstr(ways[e][1], "--host-pages"))
                continue; /* they have one */
            char want[40];
            snprintf(want, sizeof want, raw ? "raw\n" : "%s ok\n", names[i] + 1);
            RUN(&r, ways[e][0], ways[e][1], names[i], arg);
            expect_exit(&r, raw ? 17 : 0);
            assert_string_equal(r.out, want);
            assert_string_equal(r.err, "");
        }
    }
}

static void tiny_code_cache_and_blocks_change_nothing(void **state)
{
    (void)state;
    static struct run r;
    RUN(&r, "--code-cache=64K", "@signals");
    expect_exit(&r, 0);
    RUN(&r, "--max-block=1", "--code-cache=64K", "@selfmod");
    expect_exit(&r, 0);
    RUN(&r, "--max-block=1", "@faults");
    expect_exit(&r, 0);
    RUN(&r, "--no-fold", "@memory");
    expect_exit(&r, 0);
    RUN(&r, "--code-cache=64K", "@threads", "few-forks");
    expect_exit(&r, 0);
    assert_string_equal(r.err, "");
}

static void runs_under_a_limit_on_address_space(void **state)
{
    (void)state;
    if (address_sanitizer)
        skip();
    static struct run r;
    static const char *const words[] = {"@args", "x", NULL};
    run_limited(&r, UINT64_C(300) << 20, words);
    expect_exit(&r, 2);
    /* Where the usual code cache is too much, a smaller one serves; it is said to who asks. */
    static const char *const engines[] = {"--engine=jit", "--engine=interp"};
    for (unsigned e = 0; e < 2; e++) {
        const char *quietly[] = {engines[e], "@signals", NULL};
        const char *asking[] = {engines[e], "-v", "@args", "x", NULL};
        const char *insisting[] = {engines[e], "--code-cache=64M", "@args", "x", NULL};
        run_limited(&r, UINT64_C(48) << 20, quietly);
        expect_exit(&r, 0);
        assert_string_equal(r.err, "");
        run_limited(&r, UINT64_C(48) << 20, asking);
        expect_exit(&r, 2);
        expect_text(r.err, "godwit: note: code cache of ");
        run_limited(&r, UINT64_C(48) << 20, insisting);
        expect_exit(&r, 125);
    }
}

/* --- arguments and environment ---------------------------------------------------------------- */

static void arguments_and_environment_arrive(void **state)
{
    (void)state;
    static struct run r;
    RUN(&r, "-E", "UM_TEST=yes=1", "-U", "HOME", "-0", "name", "@args", "--stats", "", "b c");
    expect_exit(&r, 4);
    assert_string_equal(r.out, "0:name\n1:--stats\n2:\n3:b c\nenv yes=1 home unset\n");
    RUN(&r, "@args");
    expect_exit(&r, 1);
    expect_text(r.out, "env - home");
}

static void scripts_run_by_their_interpreter(void **state)
{
    (void)state;
    static struct run r;
    char script[PATH_MAX], want[PATH_MAX * 2];
    snprintf(script, sizeof script, "%s/script", work);
    FILE *f = fopen(script, "w");
    assert_non_null(f);
    fprintf(f, "#! %s/um_args  one word \nrest\n", programs);
    fclose(f);
    assert_int_equal(chmod(script, 0755), 0);
    RUN(&r, script, "arg");
    expect_exit(&r, 4);
    snprintf(want, sizeof want, "1:one word\n2:%s\n3:arg\n", script);
    expect_text(r.out, want);
}

static void dynamic_programs_run_with_a_sysroot(void **state)
{
    (void)state;
    static struct run r;
    if (!sysroot[0])
        skip();
    RUN(&r, "-L", sysroot, "@dynamic", "a");
    expect_exit(&r, 2);
    expect_text(r.out, "1:a\n");
    RUN(&r, "--engine=interp", "--sysroot", sysroot, "@dynamic");
    expect_exit(&r, 1);
}

/* --- what cannot run -------------------------------------------------------------------------- */

static void what_cannot_run_is_one_line(void **state)
{
    (void)state;
    static struct run r;
    char cut[PATH_MAX], args[PATH_MAX], bytes[300];
    snprintf(cut, sizeof cut, "%s/cut", work);
    snprintf(args, sizeof args, "%s/um_args", programs);
    int from = open(args, O_RDONLY), to = open(cut, O_WRONLY | O_CREAT, 0755);
    assert_int_equal(read(from, bytes, sizeof bytes), sizeof bytes);
    assert_int_equal(write(to, bytes, sizeof bytes), sizeof bytes);
    close(from);
    close(to);
    const struct {
        const char *program;
        int status;
        const char *text;
    } rows[] = {
        {"/nowhere/at/all", 127, "No such file"},
        {work, 126, "directory"},
        {cut, 126, "truncated"},
        {"/etc/passwd", 126, "not an ELF program"},
        {"/dev/null", 126, "not a regular file"},
    };
    for (unsigned i = 0; i < sizeof rows / sizeof *rows; i++) {
        RUN(&r, rows[i].program);
        expect_exit(&r, rows[i].status);
        expect_text(r.err, "godwit: error: ");
        expect_text(r.err, rows[i].text);
        assert_string_equal(r.out, "");
        assert_ptr_equal(strchr(r.err, '\n'), r.err + strlen(r.err) - 1);
    }
    RUN(&r, "@dynamic");
    expect_exit(&r, 126);
    expect_text(r.err, "hint: ");
}

/* --- endings ---------------------------------------------------------------------------------- */

static void fatal_signals_are_raised_again(void **state)
{
    (void)state;
    static struct run r;
    RUN(&r, "@die");
    expect_signal(&r, SIGSEGV);
    RUN(&r, "@die", "15");
    expect_signal(&r, SIGTERM);
    RUN(&r, "--engine=interp", "@die", "6");
    expect_signal(&r, SIGABRT);
}

static void report_tells_how_it_ended(void **state)
{
    (void)state;
    static struct run r;
    char option[PATH_MAX], text[OUT_BYTES];
    snprintf(option, sizeof option, "--report=%s/report", work);
    RUN(&r, option, "@die", "15");
    expect_signal(&r, SIGTERM);
    slurp("report", text);
    expect_text(text, "\"ended\": \"signal\", \"status\": 143, \"signal\": 15");
    RUN(&r, option, "@args", "a", "b");
    slurp("report", text);
    expect_text(text, "\"ended\": \"exit\", \"status\": 3, \"signal\": 0, \"insns\": ");
    RUN(&r, option, "/nowhere");
    slurp("report", text);
    expect_text(text, "\"ended\": \"error\", \"status\": 127");
    RUN(&r, option, "--timeout=100ms", "@endless", "sleep");
    slurp("report", text);
    expect_text(text, "\"ended\": \"timeout\", \"status\": 124");
}

/* The timeout may come before the program is where it will stay, on a host that has much to do: what is
 * written says where it is. */
static void run_till(struct run *r, const char *option, const char *program, const char *how,
                     const char *where)
{
    static const char *const timeouts[] = {"--timeout=200ms", "--timeout=2s", "--timeout=20s"};
    for (unsigned i = 0; i < 3; i++) {
        RUN(r, option, timeouts[i], program, how);
        expect_exit(r, 124);
        if (strstr(r->err, where) || strstr(r->out, where))
            return;
    }
    fail_msg("'%s' is neither in '%s' nor in '%s'", where, r->err, r->out);
}

static void options_outlive_exec(void **state)
{
    (void)state;
    static struct run r;
    char text[OUT_BYTES], here[PATH_MAX];
    assert_non_null(getcwd(here, sizeof here));
    assert_int_equal(chdir(work), 0);
    run_till(&r, "--report=report", "@endless", "exec", "started\nstarted\n");
    assert_int_equal(chdir(here), 0);
    assert_string_equal(r.out, "started\nstarted\n");
    slurp("report", text);
    expect_text(text, "\"ended\": \"timeout\"");
}

static void timeout_shows_where_it_was(void **state)
{
    (void)state;
    static struct run r;
    run_till(&r, "--engine=jit", "@deep", "spin", " innermost+0x");
    expect_text(r.err, " #1 0x");
    expect_text(r.err, " middle+0x");
    expect_text(r.err, " outer+0x");
    expect_text(r.err, " main+0x");
    run_till(&r, "--engine=interp", "@deep", "wait", " in system call ppoll");
    expect_text(r.err, " outer+0x");
    /* Without frame pointers the callers are guessed, and without symbols the file is named. */
    run_till(&r, "--engine=jit", "@deep_bare", "spin", " innermost+0x");
    expect_text(r.err, " outer+0x");
    expect_text(r.err, " perhaps 0x");
    run_till(&r, "--engine=jit", "@deep_stripped", "spin", " um_deep_stripped+0x");
}

static void timeout_ends_all_processes(void **state)
{
    (void)state;
    static struct run r;
    static const char *const how[] = {"spin", "sleep", "threads", "fork"};
    /* Every process of the tree inherits the writing end: it closes with the last of them. */
    int alive[2];
    assert_int_equal(pipe(alive), 0);
    for (unsigned i = 0; i < 4; i++) {
        run_till(&r, "--engine=jit", "@endless", how[i], "started\n");
        assert_string_equal(r.out, "started\n");
        expect_text(r.err, "pc 0x");
    }
    expect_text(r.err, "in system call ppoll");
    close(alive[1]);
    struct pollfd p = {alive[0], POLLIN, 0};
    assert_int_equal(poll(&p, 1, 10000), 1);
    assert_true(p.revents & POLLHUP);
    close(alive[0]);
}

/* Of each thread, by its own number. */
static void timeout_shows_all_threads(void **state)
{
    (void)state;
    static struct run r;
    static const char *const engines[] = {"--engine=jit", "--engine=interp"};
    for (unsigned e = 0; e < 2; e++) {
        run_till(&r, engines[e], "@endless", "threads", " spin_here+0");
        expect_text(r.err, "in system call ppoll");
        expect_text(r.err, "in system call futex");
    }
}

static void what_clone_refuses_is_said_once(void **state)
{
    (void)state;
    static struct run r;
    static const char note[] =
        "godwit: note: clone is refused: a process that goes on beside its parent";
    RUN(&r, "@endless", "beside");
    expect_exit(&r, 0);
    expect_text(r.err, note);
    assert_ptr_equal(strchr(r.err, '\n'), r.err + strlen(r.err) - 1);
    RUN(&r, "-q", "@endless", "beside");
    assert_string_equal(r.err, "");
}

static bool may_set_clocks(void)
{
    struct __user_cap_header_struct h = {_LINUX_CAPABILITY_VERSION_3, 0};
    struct __user_cap_data_struct d[_LINUX_CAPABILITY_U32S_3];
    assert_int_equal(syscall(SYS_capget, &h, d), 0);
    return d[0].permitted >> CAP_SYS_TIME & 1;
}

/* The program looks; as root, only we keep it from setting them, and only then it is said. */
static void clocks_are_set_if_the_user_says_so(void **state)
{
    (void)state;
    static struct run r;
    static const char note[] = "godwit: note: the host's clock is not set: clock_settime: ";
    static const char *const how[] = {"without", "become"};
    for (unsigned i = 0; i < 2; i++) {
        RUN(&r, "@machine", work, how[i], "without");
        expect_exit(&r, 0);
        if (geteuid() == 0) {
            expect_text(r.err, note);
            assert_ptr_equal(strchr(r.err, '\n'), r.err + strlen(r.err) - 1);
        } else {
            assert_string_equal(r.err, "");
        }
    }
    RUN(&r, "-q", "@machine", work, "without");
    expect_exit(&r, 0);
    assert_string_equal(r.err, "");
    RUN(&r, "--allow-clock", "@machine", work, "become", may_set_clocks() ? "with" : "without");
    expect_exit(&r, 0);
    assert_string_equal(r.err, "");
}

static void trace_shows_calls_and_follows_exec(void **state)
{
    (void)state;
    static struct run r;
    char option[PATH_MAX], text[OUT_BYTES];
    snprintf(option, sizeof option, "--strace=%s/trace", work);
    RUN(&r, option, "@raw");
    expect_exit(&r, 17);
    assert_string_equal(r.err, "");
    slurp("trace", text);
    expect_text(text, "write(1, \"raw\\n\", 4) = 4");
    expect_text(text, "exit(17)");
    RUN(&r, "--strace", "@machine");
    expect_text(r.err, "syscall_9999(");
    expect_text(r.err, "ENOSYS");
    snprintf(option, sizeof option, "--strace=%s/trace2", work);
    RUN(&r, option, "@machine", work, "become", "without");
    expect_exit(&r, 0);
    slurp("trace2", text);
    expect_text(text, "execve(");
}

static int setup(void **state)
{
    (void)state;
    setenv("GODWIT_SYSROOT", "", 1); /* none that Godwit would find by itself */
    return mkdtemp(work) ? 0 : -1;
}

static void pages_of_the_host_are_no_smaller_than_they_are(void **state)
{
    (void)state;
    static struct run r;
    RUN(&r, "--host-pages=2K", "@raw");
    expect_exit(&r, 125);
    expect_text(r.err, " bytes, which is more than 2048\n");
    RUN(&r, "--host-pages=80K", "@raw");
    expect_exit(&r, 125);
    expect_text(r.err, "81920");
}

static int teardown(void **state)
{
    (void)state;
    static const char *const names[] = {"out", "err", "cut", "script", "report", "trace", "trace2"};
    for (unsigned i = 0; i < sizeof names / sizeof *names; i++) {
        char path[PATH_MAX];
        snprintf(path, sizeof path, "%s/%s", work, names[i]);
        unlink(path);
    }
    return rmdir(work);
}

int main(int argc, char **argv)
{
    if (argc != 4)
        return 2;
    godwit = argv[1];
    programs = argv[2];
    sysroot = argv[3];
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(programs_pass),
        cmocka_unit_test(pages_of_the_host_are_no_smaller_than_they_are),
        cmocka_unit_test(tiny_code_cache_and_blocks_change_nothing),
        cmocka_unit_test(runs_under_a_limit_on_address_space),
        cmocka_unit_test(arguments_and_environment_arrive),
        cmocka_unit_test(scripts_run_by_their_interpreter),
        cmocka_unit_test(dynamic_programs_run_with_a_sysroot),
        cmocka_unit_test(what_cannot_run_is_one_line),
        cmocka_unit_test(fatal_signals_are_raised_again),
        cmocka_unit_test(report_tells_how_it_ended),
        cmocka_unit_test(options_outlive_exec),
        cmocka_unit_test(timeout_shows_where_it_was),
        cmocka_unit_test(timeout_ends_all_processes),
        cmocka_unit_test(timeout_shows_all_threads),
        cmocka_unit_test(what_clone_refuses_is_said_once),
        cmocka_unit_test(clocks_are_set_if_the_user_says_so),
        cmocka_unit_test(trace_shows_calls_and_follows_exec),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
