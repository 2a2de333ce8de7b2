/* A guest's TCP throughput: tcp send|recv ADDR PORT MIB. Prints MiB per second of the guest's clock.
 * The other side reads until the end, or writes until it is told to stop by the connection's end. */
#include <arpa/inet.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

static char buf[1 << 16];

static double now(void)
{
    struct timespec ts;
    clock_gettime(CLOCK_MONOTONIC, &ts);
    return (double)ts.tv_sec + (double)ts.tv_nsec / 1e9;
}

int main(int argc, char **argv)
{
    struct sockaddr_in a = {.sin_family = AF_INET};
    long long left, done = 0;
    int s, sending;
    double start;
    if (argc != 5)
        return 2;
    sending = !strcmp(argv[1], "send");
    inet_pton(AF_INET, argv[2], &a.sin_addr);
    a.sin_port = htons((unsigned short)atoi(argv[3]));
    left = atoll(argv[4]) << 20;
    s = socket(AF_INET, SOCK_STREAM, 0);
    if (s < 0 || connect(s, (struct sockaddr *)&a, sizeof a) < 0) {
        perror("connect");
        return 1;
    }
    start = now();
    while (left > 0) {
        size_t want = left < (long long)sizeof buf ? (size_t)left : sizeof buf;
        ssize_t n = sending ? write(s, buf, want) : read(s, buf, want);
        if (n <= 0)
            break;
        left -= n;
        done += n;
    }
    if (sending) { /* all of it has arrived once the peer closes its side */
        shutdown(s, SHUT_WR);
        while (read(s, buf, sizeof buf) > 0)
            ;
    }
    printf("%s %.1f MiB/s, %lld MiB\n", argv[1], (double)done / 1048576 / (now() - start),
           done >> 20);
    return left > 0;
}
