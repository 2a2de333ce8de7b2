/* What a thread gives up, and filters by libseccomp: see sandbox.h. */
#include <errno.h>
#include <fcntl.h>
#include <linux/sched.h>
#include <linux/seccomp.h>
#include <seccomp.h>
#include <signal.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <termios.h>
#include <unistd.h>

#include "machine/host.h"
#include "machine/lock/sandbox.h"
#include "machine/lock/trapped.h"

enum {
    L = 1 << SANDBOX_LOAD,
    M = 1 << SANDBOX_MAIN | L,
    V = 1 << SANDBOX_VCPU | M,
    I = 1 << SANDBOX_IO,
    D = 1 << SANDBOX_DISK,
    C = 1 << SANDBOX_CONTROL,
    O = 1 << SANDBOX_NET, /* which may call out */
    N = O | 1 << SANDBOX_NET_IN,
    B = 1 << SANDBOX_BROKER,
    ALL = V | I | D | C | N | B,
    EXIT_FAILURE_OF_OURS = 125,
};

struct sandbox {
    struct lock_user user;
    int names_fd; /* /etc/resolv.conf; -1: none */
};

struct rule {
    int call;
    int roles;
};

/* Allowed whatever the arguments. Of calls that newer hosts have in one form alone both stand here;
 * libseccomp leaves out what a host does not have. */
static const struct rule plain_rules[] = {
    /* Descriptors that are open. */
    {SCMP_SYS(read), ALL},
    {SCMP_SYS(write), ALL},
    {SCMP_SYS(readv), ALL},
    {SCMP_SYS(writev), ALL},
    {SCMP_SYS(pread64), V | I | D | B}, /* lines' thread reads snapshots */
    {SCMP_SYS(pwrite64), V | D | B},
    {SCMP_SYS(preadv), V | D | B},
    {SCMP_SYS(pwritev), V | D | B},
    {SCMP_SYS(preadv2), V | D},
    {SCMP_SYS(lseek), ALL},
    {SCMP_SYS(close), ALL},
    {SCMP_SYS(fsync), V | D | B},
    {SCMP_SYS(fdatasync), V | D | B},
    {SCMP_SYS(sync_file_range), V | D},
    {SCMP_SYS(fallocate), V | D | B},
    {SCMP_SYS(ftruncate), V | D | C | B}, /* C: the report, of one that is cut off */
    {SCMP_SYS(poll), ALL},
    {SCMP_SYS(ppoll), ALL},
    {SCMP_SYS(epoll_ctl), V | I | C},
    {SCMP_SYS(epoll_wait), I | D | C},
    {SCMP_SYS(epoll_pwait), I | D | C},
    {SCMP_SYS(timerfd_settime), ALL},
    {SCMP_SYS(timerfd_create), L},
    /* What files there are, not what is in them: fstat() is a newfstatat() too. */
    {SCMP_SYS(fstat), ALL},
    {SCMP_SYS(newfstatat), ALL},
    {SCMP_SYS(statx), ALL},
    {SCMP_SYS(readlink), M},
    {SCMP_SYS(readlinkat), M},
    {SCMP_SYS(getcwd), M},
    /* Memory; what may be mapped is below. */
    {SCMP_SYS(brk), ALL},
    {SCMP_SYS(munmap), ALL},
    {SCMP_SYS(mremap), ALL},
    {SCMP_SYS(madvise), ALL},
    {SCMP_SYS(memfd_create), V},
    {SCMP_SYS(mincore), M},
    /* Threads that exist, time, signals of our own. */
    {SCMP_SYS(futex), ALL},
    {SCMP_SYS(membarrier), V},
    {SCMP_SYS(sched_yield), ALL},
    {SCMP_SYS(sched_getaffinity), ALL},
    {SCMP_SYS(sysinfo), ALL},
    {SCMP_SYS(getpid), ALL},
    {SCMP_SYS(gettid), ALL},
    {SCMP_SYS(getrusage), ALL},
    {SCMP_SYS(getrandom), ALL},
    {SCMP_SYS(clock_gettime), ALL},
    {SCMP_SYS(gettimeofday), ALL},
    {SCMP_SYS(nanosleep), ALL},
    {SCMP_SYS(clock_nanosleep), ALL},
    {SCMP_SYS(restart_syscall), ALL},
    {SCMP_SYS(rt_sigaction), ALL},
    {SCMP_SYS(rt_sigprocmask), ALL},
    {SCMP_SYS(rt_sigreturn), ALL},
    {SCMP_SYS(sigaltstack), ALL},
    {SCMP_SYS(wait4), M},
    {SCMP_SYS(exit), ALL},
    {SCMP_SYS(exit_group), ALL},
    /* Threads that are yet to be, and their filters. */
    {SCMP_SYS(set_robust_list), L},
    {SCMP_SYS(rseq), L},
    {SCMP_SYS(seccomp), L},
    /* Whose the terminal is; a log in the place of standard error. */
    {SCMP_SYS(getpgrp), L},
    {SCMP_SYS(dup2), L},
    {SCMP_SYS(dup3), L},
    /* Sockets that are connected, or that listen. */
    {SCMP_SYS(accept4), I | C | N},
    {SCMP_SYS(recvfrom), ALL},
    {SCMP_SYS(recvmsg), ALL},
    {SCMP_SYS(sendto), ALL},
    {SCMP_SYS(sendmsg), ALL},
    {SCMP_SYS(shutdown), ALL},
    /* New ones: user networking alone. */
    {SCMP_SYS(connect), O | B},
    {SCMP_SYS(bind), O},
    {SCMP_SYS(listen), O},
    {SCMP_SYS(accept), N},
    {SCMP_SYS(getsockname), N},
    {SCMP_SYS(getpeername), N},
    {SCMP_SYS(getsockopt), N},
    {SCMP_SYS(setsockopt), N},
    /* Names: where Landlock lets it, and the files' owners. */
    {SCMP_SYS(open), B},
    {SCMP_SYS(openat), B},
    {SCMP_SYS(access), B},
    {SCMP_SYS(faccessat), B},
    {SCMP_SYS(linkat), B},
    {SCMP_SYS(rename), B},
    {SCMP_SYS(renameat), B},
    {SCMP_SYS(renameat2), B},
    {SCMP_SYS(unlink), B},
    {SCMP_SYS(unlinkat), B},
};

/* Allowed for one value of an argument, of the bits in mask. */
struct value_rule {
    int call;
    unsigned arg;
    uint64_t mask, value;
    int roles;
};

#define EXACT  UINT64_C(0xffffffff)
#define THREAD (CLONE_VM | CLONE_SIGHAND | CLONE_THREAD)

static const struct value_rule value_rules[] = {
    /* Never new code: that of translations was mapped before. */
    {SCMP_SYS(mmap), 2, PROT_EXEC, 0, ALL},
    {SCMP_SYS(mprotect), 2, PROT_EXEC, 0, ALL},
    {SCMP_SYS(clone), 0, THREAD, THREAD, L},
    {SCMP_SYS(prctl), 0, EXACT, PR_SET_NO_NEW_PRIVS, L},
    {SCMP_SYS(getpgid), 0, EXACT, 0, L},
    {SCMP_SYS(socket), 0, EXACT, AF_INET, O},
    {SCMP_SYS(socket), 0, EXACT, AF_INET6, O},
    {SCMP_SYS(socket), 0, EXACT, AF_UNIX, B}, /* does anybody listen there still? */
    {SCMP_SYS(ioctl), 1, EXACT, TCGETS, ALL},
    {SCMP_SYS(ioctl), 1, EXACT, TCSETS, V | C},
    {SCMP_SYS(ioctl), 1, EXACT, TCSETSW, V},
    {SCMP_SYS(ioctl), 1, EXACT, TCSETSF, V},
    {SCMP_SYS(ioctl), 1, EXACT, TIOCGPGRP, V},
    {SCMP_SYS(ioctl), 1, EXACT, TIOCGWINSZ, ALL},
    {SCMP_SYS(ioctl), 1, EXACT, FIONBIO, N},
    {SCMP_SYS(ioctl), 1, EXACT, FIONREAD, N},
    {SCMP_SYS(fcntl), 1, EXACT, F_GETFL, ALL},
    {SCMP_SYS(fcntl), 1, EXACT, F_SETFL, ALL},
    {SCMP_SYS(fcntl), 1, EXACT, F_GETFD, ALL},
    {SCMP_SYS(fcntl), 1, EXACT, F_SETFD, ALL},
    {SCMP_SYS(fcntl), 1, EXACT, F_DUPFD_CLOEXEC, ALL},
};

/* Refused with EACCES, and not the end: the C library opens a file of /proc when it trims its heap,
 * and does without it. Names that are removed at the end of a run are the broker's. */
static const int refused_calls[] = {SCMP_SYS(open),   SCMP_SYS(openat),   SCMP_SYS(access),
                                    SCMP_SYS(unlink), SCMP_SYS(unlinkat), SCMP_SYS(faccessat)};

/* Of user networking that is not to call out, likewise: its guest's frames ask for it. */
static const int refused_out[] = {SCMP_SYS(socket), SCMP_SYS(connect), SCMP_SYS(bind),
                                  SCMP_SYS(listen)};

/* ---- what is said of a forbidden call --------------------------------------------------------- */

/* A signal handler takes no context of ours; written once, before any filter. */
static int resolv_fd = -1;
static const char resolv_conf[] = "/etc/resolv.conf";

static const struct {
    int call;
    const char *name;
} call_names[] = {
    {SCMP_SYS(execve), "execve"},
    {SCMP_SYS(execveat), "execveat"},
    {SCMP_SYS(fork), "fork"},
    {SCMP_SYS(vfork), "vfork"},
    {SCMP_SYS(clone), "clone"},
    {SCMP_SYS(clone3), "clone3"},
    {SCMP_SYS(socket), "socket"},
    {SCMP_SYS(connect), "connect"},
    {SCMP_SYS(bind), "bind"},
    {SCMP_SYS(ioctl), "ioctl"},
    {SCMP_SYS(fcntl), "fcntl"},
    {SCMP_SYS(mmap), "mmap"},
    {SCMP_SYS(mprotect), "mprotect"},
    {SCMP_SYS(kill), "kill"},
    {SCMP_SYS(tgkill), "tgkill"},
    {SCMP_SYS(ptrace), "ptrace"},
    {SCMP_SYS(rename), "rename"},
    {SCMP_SYS(renameat), "renameat"},
    {SCMP_SYS(mkdir), "mkdir"},
    {SCMP_SYS(mkdirat), "mkdirat"},
    {SCMP_SYS(prctl), "prctl"},
    {SCMP_SYS(readlink), "readlink"},
    {SCMP_SYS(readlinkat), "readlinkat"},
    {SCMP_SYS(getdents64), "getdents64"},
    {SCMP_SYS(memfd_create), "memfd_create"},
};

/* One line, so that it is written as a whole. */
struct line {
    char text[160];
    size_t used;
};

static void add_text(struct line *l, const char *text)
{
    size_t n = strlen(text), room = sizeof l->text - l->used;
    n = n < room ? n : room;
    memcpy(l->text + l->used, text, n);
    l->used += n;
}

static void add_number(struct line *l, unsigned n)
{
    char digits[12], *p = digits + sizeof digits - 1;
    *p = 0;
    do
        *--p = (char)('0' + n % 10);
    while (n /= 10);
    add_text(l, p);
}

/* libslirp opens the list of name servers by name each time it has changed: it gets the file that
 * was opened beforehand. The only file that the network's thread can open. */
static bool open_names(int call, void *context)
{
    const char *path;
    uint64_t at;
    int fd;
    if (call != SYS_openat || resolv_fd < 0)
        return false;
    at = trapped_argument(context, 1);
    path = (const char *)(uintptr_t)at; /* NOLINT(performance-no-int-to-ptr) */
    fd = strcmp(path, resolv_conf) == 0 ? fcntl(resolv_fd, F_DUPFD_CLOEXEC, 3) : -1;
    if (fd >= 0)
        lseek(fd, 0, SEEK_SET);
    trapped_return(context, fd < 0 ? -EACCES : fd);
    return true;
}

/* Nothing here may allocate: the call may have come out of malloc(). */
static void forbidden(int signal, siginfo_t *info, void *context)
{
    struct line l = {.used = 0};
    int e = errno;
    if (open_names(info->si_syscall, context)) {
        errno = e;
        return;
    }
    terminal_restore();
    add_text(&l, "godwit: error: sandbox: forbidden system call: ");
    for (unsigned i = 0; i < sizeof call_names / sizeof call_names[0]; i++)
        if (call_names[i].call == info->si_syscall) {
            add_text(&l, call_names[i].name);
            add_text(&l, ", ");
        }
    add_text(&l, "number ");
    add_number(&l, (unsigned)info->si_syscall);
    add_text(&l, "\nhint: --no-sandbox runs without; please report this\n");
    if (write(STDERR_FILENO, l.text, l.used) < 0)
        _exit(EXIT_FAILURE_OF_OURS);
    _exit(EXIT_FAILURE_OF_OURS);
}

/* ---- filters -------------------------------------------------------------------------------- */

static int add_rules(scmp_filter_ctx f, enum sandbox_role role)
{
    const int bit = 1 << role;
    int e = 0;
    for (unsigned i = 0; !e && i < sizeof plain_rules / sizeof plain_rules[0]; i++)
        if (plain_rules[i].roles & bit)
            e = seccomp_rule_add(f, SCMP_ACT_ALLOW, plain_rules[i].call, 0);
    for (unsigned i = 0; !e && i < sizeof value_rules / sizeof value_rules[0]; i++) {
        const struct value_rule *v = &value_rules[i];
        struct scmp_arg_cmp arg = {
            .arg = v->arg, .op = SCMP_CMP_MASKED_EQ, .datum_a = v->mask, .datum_b = v->value};
        if (v->roles & bit)
            e = seccomp_rule_add_array(f, SCMP_ACT_ALLOW, v->call, 1, &arg);
    }
    /* abort() and raise(): signals to ourselves. */
    const struct scmp_arg_cmp self = {
        .arg = 0, .op = SCMP_CMP_EQ, .datum_a = (scmp_datum_t)getpid(), .datum_b = 0};
    if (!e)
        e = seccomp_rule_add_array(f, SCMP_ACT_ALLOW, SCMP_SYS(tgkill), 1, &self);
    for (unsigned i = 0; !e && i < sizeof refused_calls / sizeof refused_calls[0]; i++)
        if (!(bit & B) && (!(bit & N) || refused_calls[i] != SCMP_SYS(openat)))
            e = seccomp_rule_add(f, SCMP_ACT_ERRNO(EACCES), refused_calls[i], 0);
    for (unsigned i = 0; !e && i < sizeof refused_out / sizeof refused_out[0]; i++)
        if (role == SANDBOX_NET_IN)
            e = seccomp_rule_add(f, SCMP_ACT_ERRNO(EACCES), refused_out[i], 0);
    /* What it would start stands in memory, where no filter looks. The C library does without. */
    if (!e && role == SANDBOX_LOAD)
        e = seccomp_rule_add(f, SCMP_ACT_ERRNO(ENOSYS), SCMP_SYS(clone3), 0);
    return e;
}

/* A blocked SIGSYS would end the process without a word. */
static void unblock_handler(void)
{
    sigset_t sys;
    sigemptyset(&sys);
    sigaddset(&sys, SIGSYS);
    pthread_sigmask(SIG_UNBLOCK, &sys, NULL);
}

static enum gw_status cannot_enter(int e, struct gw_error *err)
{
    return gw_fail(err, GW_ERR_STATE, "", "cannot enter the sandbox: %s", strerror(e));
}

static enum gw_status enter_filter(enum sandbox_role role, struct gw_error *err)
{
    scmp_filter_ctx f;
    int e;
    unblock_handler();
    f = seccomp_init(SCMP_ACT_TRAP);
    e = f ? seccomp_attr_set(f, SCMP_FLTATR_ACT_BADARCH, SCMP_ACT_KILL_PROCESS) : -ENOMEM;
    if (!e)
        e = add_rules(f, role);
    if (!e)
        e = seccomp_load(f);
    if (f)
        seccomp_release(f);
    return e ? cannot_enter(-e, err) : GW_OK;
}

enum gw_status sandbox_enter(const struct sandbox *s, enum sandbox_role role, struct gw_error *err)
{
    if (!s)
        return GW_OK;
    if (!lock_user_become(&s->user, false) || !landlock_enter(NULL, 0, role == SANDBOX_NET))
        return cannot_enter(errno, err);
    return enter_filter(role, err);
}

enum gw_status sandbox_enter_again(const struct sandbox *s, enum sandbox_role role,
                                   struct gw_error *err)
{
    return s ? enter_filter(role, err) : GW_OK;
}

enum gw_status sandbox_enter_broker(const struct sandbox *s, const struct landlock_place *places,
                                    unsigned count, struct gw_error *err)
{
    if (!s)
        return GW_OK;
    if (!lock_user_become(&s->user, true) || !landlock_enter(places, count, false))
        return cannot_enter(errno, err);
    prctl(PR_SET_DUMPABLE, 0, 0, 0, 0); /* it has the user's key */
    return enter_filter(SANDBOX_BROKER, err);
}

const char *sandbox_missing(void)
{
    unsigned action = SECCOMP_RET_TRAP;
    if (syscall(SYS_seccomp, SECCOMP_GET_ACTION_AVAIL, 0, &action) == 0)
        return NULL;
    return "this host's kernel has no seccomp filters";
}

/* Of forbidden calls, if there can be any. */
static enum gw_status install_handler(struct gw_error *err)
{
    struct sigaction sa = {.sa_sigaction = forbidden, .sa_flags = SA_SIGINFO};
    const char *missing = sandbox_missing();
    if (missing) {
        gw_fail(err, GW_ERR_UNSUPPORTED, "sandbox", "cannot enter it: %s", missing);
        if (err)
            snprintf(err->hint, sizeof err->hint, "--no-sandbox runs without");
        return GW_ERR_UNSUPPORTED;
    }
    sigemptyset(&sa.sa_mask);
    sigaction(SIGSYS, &sa, NULL);
    return GW_OK;
}

/* Nothing that is not open already; no memory of others, no time but what there is, no signals. */
static const int reader_calls[] = {
    SCMP_SYS(read),         SCMP_SYS(pread64),
    SCMP_SYS(write),        SCMP_SYS(writev),
    SCMP_SYS(lseek),        SCMP_SYS(close),
    SCMP_SYS(fstat),        SCMP_SYS(newfstatat),
    SCMP_SYS(brk),          SCMP_SYS(munmap),
    SCMP_SYS(mremap),       SCMP_SYS(madvise),
    SCMP_SYS(futex),        SCMP_SYS(getpid),
    SCMP_SYS(gettid),       SCMP_SYS(clock_gettime),
    SCMP_SYS(exit),         SCMP_SYS(exit_group),
    SCMP_SYS(rt_sigreturn), SCMP_SYS(rt_sigprocmask),
    SCMP_SYS(getrandom),    SCMP_SYS(restart_syscall),
};

enum gw_status sandbox_enter_reader(struct gw_error *err)
{
    struct lock_user nobody;
    const struct scmp_arg_cmp data = {
        .arg = 2, .op = SCMP_CMP_MASKED_EQ, .datum_a = PROT_EXEC, .datum_b = 0};
    scmp_filter_ctx f;
    int e = install_handler(err) == GW_OK ? 0 : -ENOSYS;
    if (e)
        return err ? err->status : GW_ERR_UNSUPPORTED;
    if (lock_user_choose(&nobody, NULL, err) != GW_OK || !lock_user_become(&nobody, false) ||
        !landlock_enter(NULL, 0, false))
        return cannot_enter(errno, err);
    unblock_handler();
    f = seccomp_init(SCMP_ACT_TRAP);
    e = f ? seccomp_attr_set(f, SCMP_FLTATR_ACT_BADARCH, SCMP_ACT_KILL_PROCESS) : -ENOMEM;
    for (unsigned i = 0; !e && i < sizeof reader_calls / sizeof reader_calls[0]; i++)
        e = seccomp_rule_add(f, SCMP_ACT_ALLOW, reader_calls[i], 0);
    if (!e)
        e = seccomp_rule_add_array(f, SCMP_ACT_ALLOW, SCMP_SYS(mmap), 1, &data);
    if (!e)
        e = seccomp_rule_add(f, SCMP_ACT_ERRNO(EACCES), SCMP_SYS(openat), 0);
    if (!e)
        e = seccomp_rule_add(f, SCMP_ACT_ERRNO(ENOTTY), SCMP_SYS(ioctl), 0); /* of stdio */
    if (!e)
        e = seccomp_load(f);
    if (f)
        seccomp_release(f);
    return e ? cannot_enter(-e, err) : GW_OK;
}

enum gw_status sandbox_new(struct sandbox **out, const char *user, struct gw_error *err)
{
    struct lock_user chosen;
    struct sandbox *s;
    enum gw_status st;
    *out = NULL;
    st = install_handler(err);
    if (st == GW_OK)
        st = lock_user_choose(&chosen, user, err);
    if (st != GW_OK)
        return st;
    s = calloc(1, sizeof *s);
    if (!s)
        return gw_fail(err, GW_ERR_NOMEM, "", "no memory for the sandbox");
    s->user = chosen;
    s->names_fd = resolv_fd = open(resolv_conf, O_RDONLY | O_CLOEXEC);
    *out = s;
    return GW_OK;
}

const struct lock_user *sandbox_user(const struct sandbox *s)
{
    return s ? &s->user : NULL;
}

/* "VmData:    1234 kB": private memory that can be written to, which is what the limit is of. */
static uint64_t data_bytes(void)
{
    char text[4096], *at;
    int fd = open("/proc/self/status", O_RDONLY | O_CLOEXEC);
    ssize_t n = fd < 0 ? -1 : read(fd, text, sizeof text - 1);
    if (fd >= 0)
        close(fd);
    text[n > 0 ? n : 0] = 0;
    at = strstr(text, "\nVmData:");
    return at ? strtoull(at + sizeof "\nVmData:" - 1, NULL, 10) << 10 : 0;
}

void sandbox_bound(const struct sandbox *s, uint64_t more_bytes)
{
    struct rlimit none = {0}, data;
    uint64_t now = s ? data_bytes() : 0;
    if (!s)
        return;
    if (now && getrlimit(RLIMIT_DATA, &data) == 0 && now + more_bytes < data.rlim_max) {
        data.rlim_cur = data.rlim_max = now + more_bytes;
        setrlimit(RLIMIT_DATA, &data);
    }
    if (!s->user.changes)
        return;
    prctl(PR_SET_DUMPABLE, 0, 0, 0, 0);
    setrlimit(RLIMIT_CORE, &none);
}

int sandbox_names_fd(const struct sandbox *s)
{
    return s ? s->names_fd : -1;
}

void sandbox_free(struct sandbox *s)
{
    if (!s)
        return;
    resolv_fd = -1;
    if (s->names_fd >= 0)
        close(s->names_fd);
    free(s);
}
