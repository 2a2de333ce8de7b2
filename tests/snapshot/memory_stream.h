/* Streams over memory that give and take a piece at a time, and fail where a test says so. */
#ifndef TEST_SNAPSHOT_MEMORY_STREAM_H
#define TEST_SNAPSHOT_MEMORY_STREAM_H

#include "godwit/stream.h"

struct memory_stream {
    uint8_t *bytes;
    size_t size, at;   /* of the memory */
    size_t piece;      /* most at a time; 0: all */
    size_t fail_after; /* bytes; 0: never */
    int error;         /* that it fails with then */
    unsigned calls;
};

static inline ssize_t memory_move_(struct memory_stream *m, size_t size)
{
    size_t room = m->size - m->at;
    m->calls++;
    if (m->calls % 3 == 0) { /* and such happens at any time */
        errno = EINTR;
        return -1;
    }
    if (m->fail_after && m->at >= m->fail_after) {
        errno = m->error;
        return m->error ? -1 : 0;
    }
    size = size < room ? size : room;
    size = m->piece && m->piece < size ? m->piece : size;
    if (m->fail_after && size > m->fail_after - m->at)
        size = m->fail_after - m->at;
    m->at += size;
    return (ssize_t)size;
}

static inline ssize_t memory_write_(void *context, const void *from, size_t size)
{
    struct memory_stream *m = (struct memory_stream *)context;
    ssize_t n = memory_move_(m, size);
    if (n > 0)
        memcpy(m->bytes + m->at - (size_t)n, from, (size_t)n);
    return n;
}

static inline ssize_t memory_read_(void *context, void *to, size_t size)
{
    struct memory_stream *m = (struct memory_stream *)context;
    ssize_t n = memory_move_(m, size);
    if (n > 0)
        memcpy(to, m->bytes + m->at - (size_t)n, (size_t)n);
    return n;
}

static inline struct gw_sink memory_sink(struct memory_stream *m)
{
    return (struct gw_sink){.write = memory_write_, .context = m};
}

static inline struct gw_source memory_source(struct memory_stream *m)
{
    return (struct gw_source){.read = memory_read_, .context = m};
}

#endif
