/* Messages that are refused, in the kernel's order. */
#include <limits.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>

#include "check.h"

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

int main(void)
{
    long_messages();
    puts("messages ok");
    return 0;
}
