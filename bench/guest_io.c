/* A guest's throughput: guest_io send|recv ADDR PORT MIB by TCP, guest_io read DEVICE MIB with direct
 * reads of 128 KiB. Prints MiB per second of the guest's clock. */
#include <arpa/inet.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum { REQUEST = 128 << 10 };

static double now(void)
{
    struct timespec ts;
    clock_gettime(CLOCK_MONOTONIC, &ts);
    return (double)ts.tv_sec + (double)ts.tv_nsec / 1e9;
}

static int connect_to(const char *address, const char *port)
{
    struct sockaddr_in a = {.sin_family = AF_INET};
    int s = socket(AF_INET, SOCK_STREAM, 0);
    inet_pton(AF_INET, address, &a.sin_addr);
    a.sin_port = htons((unsigned short)atoi(port));
    if (s >= 0 && connect(s, (struct sockaddr *)&a, sizeof a) < 0) {
        close(s);
        s = -1;
    }
    return s;
}

int main(int argc, char **argv)
{
    int sending = argc == 5 && !strcmp(argv[1], "send"), fd;
    long long left, done = 0;
    double start;
    char *buf = aligned_alloc(4096, REQUEST);
    if (argc != 4 && argc != 5)
        return 2;
    left = atoll(argv[argc - 1]) << 20;
    fd = argc == 5 ? connect_to(argv[2], argv[3]) : open(argv[2], O_RDONLY | O_DIRECT);
    if (fd < 0) {
        perror(argv[2]);
        return 1;
    }
    memset(buf, 0, REQUEST);
    start = now();
    while (left > 0) {
        size_t want = left < REQUEST ? (size_t)left : REQUEST;
        ssize_t n = sending ? write(fd, buf, want) : read(fd, buf, want);
        if (n <= 0)
            break;
        left -= n;
        done += n;
    }
    if (sending) { /* all of it has arrived once the peer closes its side */
        shutdown(fd, SHUT_WR);
        while (read(fd, buf, REQUEST) > 0)
            ;
    }
    printf("io: %s %.1f\n", argv[1], (double)done / 1048576 / (now() - start));
    return left > 0;
}
