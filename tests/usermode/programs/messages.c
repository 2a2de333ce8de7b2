/* Messages that are refused, in the kernel's order, and such as are waited for. */
#include <limits.h>
#include <signal.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <unistd.h>

#include "check.h"
#include "timer.h"

/* More parts of a message than there may be. */
static void long_messages(void)
{
    static struct iovec v[IOV_MAX + 1];
    int s[2];
    struct msghdr m = {.msg_iov = v, .msg_iovlen = IOV_MAX + 1};
    CHECK(socketpair(AF_UNIX, SOCK_DGRAM, 0, s) == 0);
    CHECK_FAILS(recvmsg(s[0], &m, MSG_DONTWAIT), EMSGSIZE);
    CHECK_FAILS(sendmsg(s[0], &m, 0), EMSGSIZE);
    CHECK_FAILS(sendmsg(999, &m, 0), EBADF);
    CHECK_FAILS(recvmsg(epoll_create1(0), &m, 0), ENOTSOCK);
    CHECK_FAILS(sendmsg(s[0], (void *)16, 0), EFAULT);
    m.msg_iovlen = IOV_MAX;
    CHECK(sendmsg(s[0], &m, MSG_DONTWAIT) == 0 && recvmsg(s[1], &m, MSG_DONTWAIT) == 0);
    m.msg_iov = (void *)16;
    CHECK_FAILS(sendmsg(s[0], &m, 0), EFAULT);
    CHECK(close(s[0]) == 0 && close(s[1]) == 0);
}

static void on_signal(int sig)
{
    (void)sig;
}

/* A socket with a timeout of its own is not waited for again, whatever the handler's flags. */
static void sockets_with_timeouts(void)
{
    struct timeval long_time = {20, 0}, none = {0, 0};
    int s[2];
    char c, much[4096] = {0};
    CHECK(socketpair(AF_UNIX, SOCK_STREAM, 0, s) == 0);
    CHECK(setsockopt(s[0], SOL_SOCKET, SO_RCVTIMEO, &long_time, sizeof long_time) == 0);
    CHECK(setsockopt(s[0], SOL_SOCKET, SO_SNDTIMEO, &long_time, sizeof long_time) == 0);
    handle(SIGALRM, on_signal, SA_RESTART);
    start_timer(2000, 2000);
    CHECK_FAILS(recv(s[0], &c, 1, 0), EINTR);
    CHECK_FAILS(read(s[0], &c, 1), EINTR);
    while (send(s[0], much, sizeof much, 0) > 0)
        ;
    CHECK(errno == EINTR);
    CHECK_FAILS(write(s[0], much, sizeof much), EINTR);
    CHECK(setsockopt(s[0], SOL_SOCKET, SO_RCVTIMEO, &none, sizeof none) == 0);
    pid_t pid = fork();
    if (pid == 0) {
        usleep(20000);
        _exit(write(s[1], "k", 1) == 1 ? 3 : 4);
    }
    CHECK(read(s[0], &c, 1) == 1 && c == 'k');
    start_timer(0, 0);
    int status;
    CHECK(waitpid(pid, &status, 0) == pid && WEXITSTATUS(status) == 3);
    CHECK(close(s[0]) == 0 && close(s[1]) == 0);
}

int main(void)
{
    long_messages();
    sockets_with_timeouts();
    puts("messages ok");
    return 0;
}
