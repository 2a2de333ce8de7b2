/*
 * Bytes that go one way: a sink takes them, a source gives them, and neither can go back. So the same
 * code writes and reads files, pipes and sockets.
 *
 * The first failure stays: what is put or asked for after it does nothing and fails too, so a caller
 * may look once at its end. A stream is one thread's at a time. It owns nothing: who opened a
 * descriptor closes it, and who writes to a pipe or a socket ignores SIGPIPE.
 */
#ifndef GODWIT_STREAM_H
#define GODWIT_STREAM_H

#include <errno.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/types.h>
#include <unistd.h>

/* An error that is no errno: a source ended before all that was asked for. */
#define GW_STREAM_ENDED (-1)

struct gw_sink {
    /* Takes 1 to size bytes and returns how many; -1: none, and errno says why. May block; EINTR is
     * asked again. */
    ssize_t (*write)(void *context, const void *from, size_t size);
    void *context;
    uint64_t bytes; /* taken so far */
    int error;      /* errno of the first failure; 0: none */
};

struct gw_source {
    /* Gives 1 to size bytes and returns how many; 0: there are no more; -1: errno says why not. May
     * block; EINTR is asked again. */
    ssize_t (*read)(void *context, void *to, size_t size);
    void *context;
    uint64_t bytes; /* given so far */
    int error;      /* errno of the first failure, or GW_STREAM_ENDED; 0: none */
};

/* All of it, or false. */
static inline bool gw_sink_put(struct gw_sink *s, const void *from, size_t size)
{
    const uint8_t *p = (const uint8_t *)from;
    while (size && !s->error) {
        ssize_t n = s->write(s->context, p, size);
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0) {
            s->error = n < 0 && errno ? errno : EIO;
            break;
        }
        p += n;
        size -= (size_t)n;
        s->bytes += (uint64_t)n;
    }
    return !s->error;
}

/* All of it, or false; what there is in its place then is zero, so that nobody reads stale bytes. */
static inline bool gw_source_get(struct gw_source *s, void *to, size_t size)
{
    uint8_t *p = (uint8_t *)to;
    while (size && !s->error) {
        ssize_t n = s->read(s->context, p, size);
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0) {
            s->error = n == 0 ? GW_STREAM_ENDED : errno ? errno : EIO;
            break;
        }
        p += n;
        size -= (size_t)n;
        s->bytes += (uint64_t)n;
    }
    if (s->error)
        memset(p, 0, size);
    return !s->error;
}

/* ---- of a descriptor: a file at its offset, a pipe, a socket ---------------------------------- */

static inline ssize_t gw_fd_write_(void *context, const void *from, size_t size)
{
    return write(*(const int *)context, from, size);
}

static inline ssize_t gw_fd_read_(void *context, void *to, size_t size)
{
    return read(*(const int *)context, to, size);
}

/* fd: a blocking one; it stays where it is while the stream is used. */
static inline struct gw_sink gw_fd_sink(int *fd)
{
    return (struct gw_sink){.write = gw_fd_write_, .context = fd};
}

static inline struct gw_source gw_fd_source(int *fd)
{
    return (struct gw_source){.read = gw_fd_read_, .context = fd};
}

#endif
