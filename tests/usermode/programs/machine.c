/* Time, waiting, sockets, and what the machine says of itself. */
#include <arpa/inet.h>
#include <limits.h>
#include <linux/capability.h>
#include <linux/futex.h>
#include <netinet/in.h>
#include <poll.h>
#include <sched.h>
#include <stdbool.h>
#include <stdint.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/prctl.h>
#include <sys/random.h>
#include <sys/resource.h>
#include <sys/select.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/sysinfo.h>
#include <sys/time.h>
#include <sys/times.h>
#include <sys/timex.h>
#include <sys/uio.h>
#include <sys/utsname.h>
#include <time.h>
#include <unistd.h>

#include "check.h"

/* --- riscv_hwprobe ----------------------------------------------------------------------------- */

struct pair {
    int64_t key;
    uint64_t value;
};

static long hwprobe(struct pair *pairs, size_t count, size_t set_size, const void *set,
                    unsigned flags)
{
    return syscall(258, pairs, count, set_size, set, flags);
}

static void what_the_cpus_have(void)
{
    struct pair p[11];
    for (int i = 0; i < 11; i++)
        p[i] = (struct pair){i == 10 ? 12345 : i, 9};
    CHECK(hwprobe(p, 11, 0, NULL, 0) == 0);
    CHECK(p[3].key == 3 && p[3].value == 1);
    CHECK((p[4].value & 3) == 3 && !(p[4].value & 4));          /* F, D, C; no V */
    CHECK(p[4].value >> 43 & 1 && p[4].value >> 45 & 1);        /* Zca, Zcd */
    CHECK(p[5].value == 3 && p[9].key == 9 && p[9].value == 3); /* misaligned: fast */
    CHECK(p[4].value >> 6 & 1 && p[6].key == 6 && p[6].value == 64);
    CHECK(p[7].value > (uintptr_t)&p && p[7].value % 4096 == 0 && p[8].value > 0);
    CHECK(p[10].key == -1 && p[10].value == 0);
    static uint8_t block[256] __attribute__((aligned(256)));
    unsigned zeros = 0;
    memset(block, 1, sizeof block);
    __asm__ volatile(".insn i 15, 2, x0, %0, 4" ::"r"(block + 70) : "memory"); /* cbo.zero */
    for (int i = 0; i < 256; i++)
        zeros += block[i] == 0;
    CHECK(zeros == p[6].value);
    CHECK_FAILS(hwprobe(p, 1, 0, NULL, 8), EINVAL);
    CHECK_FAILS(hwprobe((void *)8, 1, 0, NULL, 0), EFAULT);
}

static void which_cpus_have_it(void)
{
    enum { WHICH = 1 };
    uint64_t all = 0, set = ~UINT64_C(0); /* CPUs */
    struct pair p[2] = {{6, 64}, {4, 1 << 6}};
    CHECK(hwprobe(p, 2, sizeof all, &all, WHICH) == 0 && all != 0);
    CHECK(p[0].key == 6 && p[0].value == 64 && p[1].value == 1 << 6);
    CHECK(hwprobe(p, 2, sizeof set, &set, WHICH) == 0 && set == all);
    CHECK(hwprobe(p, 1, sizeof set, &set, 0) == 0);
    p[1].value = UINT64_C(1) << 63;
    CHECK(hwprobe(p, 2, sizeof set, &set, WHICH) == 0 && set == 0);
    CHECK_FAILS(hwprobe(p, 1, sizeof set, &set, 0), EINVAL); /* of no CPU */
    p[0] = (struct pair){12345, 1};
    CHECK(hwprobe(p, 1, sizeof all, &all, WHICH) == 0 && all == 0);
    CHECK(p[0].key == -1 && p[0].value == 0);
    CHECK_FAILS(hwprobe(p, 1, 0, NULL, WHICH), EINVAL);
    CHECK_FAILS(hwprobe(p, 1, 8, NULL, 0), EFAULT);
    CHECK_FAILS(hwprobe(p, 1, 0, &all, 0), EINVAL);
}

static void identity(void)
{
    struct utsname u;
    CHECK(uname(&u) == 0 && strcmp(u.machine, "riscv64") == 0 && strcmp(u.sysname, "Linux") == 0);
    CHECK_FAILS(syscall(9999, 0), ENOSYS);
    CHECK_FAILS(syscall(UINT64_C(1) << 40, 0), ENOSYS);
    struct sysinfo si;
    CHECK(sysinfo(&si) == 0 && si.totalram > 0 && si.mem_unit > 0);
    cpu_set_t set;
    CHECK(sched_getaffinity(0, sizeof set, &set) == 0 && CPU_COUNT(&set) > 0);
    uint8_t r[32] = {0}, zero[32] = {0};
    CHECK(getrandom(r, 32, 0) == 32 && memcmp(r, zero, 32) != 0);
}

static void clocks(void)
{
    struct timespec a, b, res, nap = {0, 3000000};
    struct timeval tv;
    CHECK(clock_gettime(CLOCK_MONOTONIC, &a) == 0 && clock_getres(CLOCK_MONOTONIC, &res) == 0);
    CHECK(clock_nanosleep(CLOCK_MONOTONIC, 0, &nap, NULL) == 0);
    CHECK(clock_gettime(CLOCK_MONOTONIC, &b) == 0);
    int64_t ns = (b.tv_sec - a.tv_sec) * INT64_C(1000000000) + b.tv_nsec - a.tv_nsec;
    CHECK(ns >= 3000000 && res.tv_nsec > 0);
    CHECK(gettimeofday(&tv, NULL) == 0 && labs(tv.tv_sec - (long)time(NULL)) <= 1);
    CHECK_FAILS(clock_gettime(9999, &a), EINVAL);
    CHECK_FAILS(syscall(SYS_clock_gettime, 0, 8), EFAULT);
    uint64_t t0, t1, c0, c1;
    __asm__ volatile("rdtime %0\nrdinstret %1" : "=r"(t0), "=r"(c0));
    usleep(1000);
    __asm__ volatile("rdtime %0\nrdinstret %1" : "=r"(t1), "=r"(c1));
    CHECK(t1 > t0 && c1 > c0);
}

static void waits(void)
{
    int p[2];
    CHECK(pipe(p) == 0);
    struct pollfd f = {p[0], POLLIN, 0};
    CHECK(poll(&f, 1, 1) == 0 && write(p[1], "x", 1) == 1 && poll(&f, 1, 1000) == 1);
    fd_set set;
    FD_ZERO(&set);
    FD_SET(p[0], &set);
    struct timeval tv = {1, 0};
    CHECK(select(p[0] + 1, &set, NULL, NULL, &tv) == 1 && FD_ISSET(p[0], &set));
    int ep = epoll_create1(0), ev = eventfd(0, 0);
    struct epoll_event in[2] = {{EPOLLIN, {.u64 = 0x1122334455667788}},
                                {EPOLLIN, {.u64 = 0x99aabbccddeeff00}}},
                       out[4];
    CHECK(epoll_ctl(ep, EPOLL_CTL_ADD, p[0], &in[0]) == 0);
    CHECK(epoll_ctl(ep, EPOLL_CTL_ADD, ev, &in[1]) == 0);
    CHECK(epoll_wait(ep, out, 4, 0) == 1 && out[0].data.u64 == in[0].data.u64);
    CHECK(write(ev, "\1\0\0\0\0\0\0\0", 8) == 8 && epoll_wait(ep, out, 4, 0) == 2);
    CHECK((out[0].data.u64 ^ out[1].data.u64) == (in[0].data.u64 ^ in[1].data.u64));
    CHECK(out[1].events == EPOLLIN);
    uint32_t word = 1;
    struct timespec soon = {0, 1000000};
    CHECK_FAILS(syscall(SYS_futex, &word, FUTEX_WAIT, 2, &soon), EAGAIN);
    CHECK_FAILS(syscall(SYS_futex, &word, FUTEX_WAIT, 1, &soon), ETIMEDOUT);
    CHECK(syscall(SYS_futex, &word, FUTEX_WAKE, 1) == 0);
}

/* A mask has one size; a time limit that ran out is told, and none is no error. */
static void masks_of_waits(void)
{
    uint64_t none = 0;
    struct {
        const void *mask;
        uint64_t size;
    } m = {&none, 4};
    struct timespec soon = {0, 1000};
    struct epoll_event ev;
    int ep = epoll_create1(0);
    CHECK_FAILS(syscall(SYS_ppoll, NULL, 0, &soon, &none, 4), EINVAL);
    CHECK_FAILS(syscall(SYS_pselect6, 0, NULL, NULL, NULL, &soon, &m), EINVAL);
    CHECK_FAILS(syscall(SYS_epoll_pwait, ep, &ev, 1, 0, &none, 4), EINVAL);
    CHECK(syscall(SYS_epoll_pwait, ep, &ev, 1, 0, NULL, 4) == 0);
    m.size = 8;
    CHECK(syscall(SYS_ppoll, NULL, 0, &soon, &none, 8) == 0 && soon.tv_nsec == 0);
    soon.tv_nsec = 1000;
    CHECK(syscall(SYS_pselect6, 0, NULL, NULL, NULL, &soon, &m) == 0 && soon.tv_nsec == 0);
    CHECK_FAILS(syscall(SYS_epoll_pwait, ep, &ev, 0x7fffffff / 16 + 1, 0, NULL, 8), EINVAL);
    CHECK_FAILS(syscall(SYS_epoll_pwait, ep, -16L, 1, 0, NULL, 8), EFAULT);
    CHECK_FAILS(syscall(SYS_epoll_pwait, 999, &ev, 1, 0, NULL, 8), EBADF);
    CHECK(close(ep) == 0);
}

/* Root's programs, too, find that the host's clock is not theirs. */
static void clocks_are_not_set(void)
{
    struct timespec now;
    struct timeval tv;
    struct timex read = {.modes = 0}, tick;
    CHECK(clock_gettime(CLOCK_REALTIME, &now) == 0 && gettimeofday(&tv, NULL) == 0);
    CHECK(adjtimex(&read) >= 0 && clock_adjtime(CLOCK_REALTIME, &read) >= 0);
    tick = (struct timex){.modes = ADJ_TICK, .tick = read.tick};
    CHECK_FAILS(clock_settime(CLOCK_REALTIME, &now), EPERM);
    CHECK_FAILS(settimeofday(&tv, NULL), EPERM);
    CHECK_FAILS(adjtimex(&tick), EPERM);
    CHECK_FAILS(clock_adjtime(CLOCK_REALTIME, &tick), EPERM);
    CHECK_FAILS(clock_settime(9999, &now), EINVAL);
    CHECK_FAILS(syscall(SYS_clock_settime, CLOCK_REALTIME, 8), EFAULT);
}

/* In this program, or in one that it becomes: is the right to set clocks there, as is expected? */
static void right_to_clocks(char **argv)
{
    struct __user_cap_header_struct h = {_LINUX_CAPABILITY_VERSION_3, 0};
    struct __user_cap_data_struct d[_LINUX_CAPABILITY_U32S_3];
    if (strcmp(argv[2], "become") == 0) {
        char *again[] = {argv[0], argv[1], argv[3], NULL};
        execv("/proc/self/exe", again);
    }
    CHECK(syscall(SYS_capget, &h, d) == 0);
    bool has = d[0].permitted >> CAP_SYS_TIME & 1;
    CHECK(has == (strcmp(argv[2], "with") == 0));
    if (!has)
        clocks_are_not_set();
    CHECK(has || geteuid() != 0 || prctl(PR_CAPBSET_READ, CAP_SYS_TIME) == 0);
}

static void limits_on_memory(void)
{
    struct rlimit bad = {5, 4};
    CHECK_FAILS(setrlimit(RLIMIT_AS, &bad), EINVAL);
    CHECK_FAILS(syscall(SYS_setrlimit, RLIMIT_DATA, 16), EFAULT);
    CHECK_FAILS(syscall(SYS_prlimit64, 0, RLIMIT_DATA, 16, NULL), EFAULT);
    CHECK_FAILS(syscall(SYS_prlimit64, -5, RLIMIT_AS, &bad, NULL), ESRCH);
}

static void sockets(void)
{
    int s[2];
    char buf[32], control[64];
    CHECK(socketpair(AF_UNIX, SOCK_STREAM, 0, s) == 0);
    /* A descriptor in a message. */
    struct iovec v = {"fd", 2}, w = {buf, sizeof buf};
    struct msghdr m = {
        .msg_iov = &v, .msg_iovlen = 1, .msg_control = control, .msg_controllen = CMSG_SPACE(4)};
    struct cmsghdr *c = CMSG_FIRSTHDR(&m);
    c->cmsg_level = SOL_SOCKET, c->cmsg_type = SCM_RIGHTS, c->cmsg_len = CMSG_LEN(4);
    memcpy(CMSG_DATA(c), &s[0], 4);
    CHECK(sendmsg(s[0], &m, 0) == 2);
    struct msghdr r = {
        .msg_iov = &w, .msg_iovlen = 1, .msg_control = control, .msg_controllen = sizeof control};
    CHECK(recvmsg(s[1], &r, 0) == 2 && memcmp(buf, "fd", 2) == 0);
    int fd;
    memcpy(&fd, CMSG_DATA(CMSG_FIRSTHDR(&r)), 4);
    CHECK(send(s[1], "through", 7, 0) == 7 && recv(fd, buf, sizeof buf, 0) == 7);
    /* Loopback. */
    int l = socket(AF_INET, SOCK_STREAM, 0), one = 1;
    struct sockaddr_in a = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t len = sizeof a;
    CHECK(setsockopt(l, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one) == 0);
    CHECK(bind(l, (struct sockaddr *)&a, sizeof a) == 0 && listen(l, 1) == 0);
    CHECK(getsockname(l, (struct sockaddr *)&a, &len) == 0 && a.sin_port != 0);
    int k = socket(AF_INET, SOCK_STREAM, 0);
    CHECK(connect(k, (struct sockaddr *)&a, sizeof a) == 0);
    int t = accept(l, NULL, NULL);
    CHECK(t >= 0 && write(k, "tcp", 3) == 3 && read(t, buf, sizeof buf) == 3);
    CHECK(shutdown(k, SHUT_WR) == 0 && read(t, buf, 1) == 0);
}

static void cpuinfo(void)
{
    char line[2048];
    int cpus = 0;
    FILE *f = fopen("/proc/cpuinfo", "r");
    CHECK(f != NULL);
    while (fgets(line, sizeof line, f)) {
        cpus += strncmp(line, "processor", 9) == 0;
        CHECK(strncmp(line, "isa", 3) != 0 || strstr(line, ": rv64imafdc_"));
    }
    CHECK(fclose(f) == 0 && cpus == sysconf(_SC_NPROCESSORS_ONLN));
}

int main(int argc, char **argv)
{
    if (argc > 2) {
        right_to_clocks(argv);
        return 0;
    }
    identity();
    cpuinfo();
    what_the_cpus_have();
    which_cpus_have_it();
    clocks();
    waits();
    masks_of_waits();
    limits_on_memory();
    sockets();
    puts("machine ok");
    return 0;
}
