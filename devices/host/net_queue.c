/* The queue of net_queue.h. */
#include <stdlib.h>
#include <string.h>

#include "devices/host/net_queue.h"

#define QUEUE_BYTES_MAX (1u << 20)

void net_queue_init(struct net_queue *q)
{
    memset(q, 0, sizeof *q);
    pthread_mutex_init(&q->lock, NULL);
    q->tail = &q->head;
}

void net_frames_free(struct net_frame *f)
{
    while (f) {
        struct net_frame *next = f->next;
        free(f);
        f = next;
    }
}

void net_queue_destroy(struct net_queue *q)
{
    net_frames_free(q->head);
    pthread_mutex_destroy(&q->lock);
}

bool net_queue_put(struct net_queue *q, const struct iovec *iov, unsigned count, bool *was_empty)
{
    struct net_frame *f;
    size_t size = 0, at = 0;
    bool room;
    for (unsigned i = 0; i < count; i++)
        size += iov[i].iov_len;
    *was_empty = false;
    pthread_mutex_lock(&q->lock);
    room = q->bytes + size <= QUEUE_BYTES_MAX;
    q->refused = q->refused || !room;
    pthread_mutex_unlock(&q->lock);
    if (!room)
        return false;
    f = malloc(sizeof *f + size);
    if (!f)
        return true; /* lost, as on a wire */
    f->next = NULL;
    f->size_bytes = size;
    for (unsigned i = 0; i < count; i++) {
        memcpy(f->bytes + at, iov[i].iov_base, iov[i].iov_len);
        at += iov[i].iov_len;
    }
    pthread_mutex_lock(&q->lock);
    *was_empty = !q->head;
    *q->tail = f;
    q->tail = &f->next;
    q->bytes += size;
    pthread_mutex_unlock(&q->lock);
    return true;
}

struct net_frame *net_queue_take(struct net_queue *q, bool *refused)
{
    struct net_frame *f;
    pthread_mutex_lock(&q->lock);
    f = q->head;
    q->head = NULL;
    q->tail = &q->head;
    q->bytes = 0;
    *refused = q->refused;
    q->refused = false;
    pthread_mutex_unlock(&q->lock);
    return f;
}
