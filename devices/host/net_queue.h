/*
 * Frames on their way from the vCPU to a back end's thread: a bounded queue. One thread puts,
 * another takes.
 */
#ifndef DEV_NET_QUEUE_H
#define DEV_NET_QUEUE_H

#include <pthread.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/uio.h>

struct net_frame {
    struct net_frame *next;
    size_t size_bytes;
    uint8_t bytes[];
};

struct net_queue {
    pthread_mutex_t lock;
    struct net_frame *head, **tail; /* under lock, as the rest */
    size_t bytes;
    bool refused; /* a put found no room since the last take */
};

void net_queue_init(struct net_queue *q);
void net_queue_destroy(struct net_queue *q);
/* Copies. False when it is full. *was_empty: the taker should be told. */
bool net_queue_put(struct net_queue *q, const struct iovec *iov, unsigned count, bool *was_empty);
/* All that is there, the caller's to free. *refused: whoever puts wants to know of the room. */
struct net_frame *net_queue_take(struct net_queue *q, bool *refused);
void net_frames_free(struct net_frame *f);

#endif
