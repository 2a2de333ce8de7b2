/*
 * Who asked a running machine for something and waits for the answer. An event of the source
 * "control" says what is asked by its kind, and who asked by a token; what no log could hold, a
 * callback and a descriptor, stays here. A token is never used twice, and tokens begin with the time of
 * day, so one that is answered, or that comes of another process's log, names nobody.
 */
#ifndef MACHINE_ASKS_H
#define MACHINE_ASKS_H

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>

#include "godwit/status.h"

/* Bytes of such an event; its kind is of enum machine_ask. */
enum {
    ASKED_TOKEN = 0, /* 8 */
    ASKED_TEXT = 8,  /* the rest, without a final 0 */
};

struct asker {
    uint32_t what; /* of enum machine_ask */
    void (*done)(void *context, const char *text, const struct gw_error *err); /* NULL: nobody */
    void *context;
    int fd; /* where to save to; -1: none. Closed by whoever takes the asker */
};

struct asks {
    pthread_mutex_t lock;
    struct waiting_asker *head; /* under lock, as is last */
    uint64_t last;              /* token given out */
    uint32_t looks;             /* atomic: how many of asks_take_look() wait */
};

void asks_init(struct asks *t);
/* Closes the descriptors of those who still wait, and answers nobody. */
void asks_destroy(struct asks *t);
/* Any thread. 0: out of memory, and the descriptor stays the caller's. */
uint64_t asks_add(struct asks *t, const struct asker *a);
/* Any thread. False: nobody who asked for that (enum machine_ask) waits by this token; *out is nobody
 * then. */
bool asks_take(struct asks *t, uint64_t token, uint32_t what, struct asker *out);
/* Any thread. The token that was given out last; before the first one, some earlier number. */
uint64_t asks_last(struct asks *t);
/* Any thread. One of those whose tokens are not later than `last`; false: none of them waits. */
bool asks_take_one(struct asks *t, uint64_t last, struct asker *out);

/* Any thread. One who only wants to know something (STATUS, STATS), and asked before this time by the
 * host's clock; false: none waits. Whoever waits for something else than the guest looks here. */
bool asks_take_look(struct asks *t, uint64_t before_ns, struct asker *out);

#endif
