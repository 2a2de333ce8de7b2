/* Those who wait for an answer: a list, since there are few. */
#include <stdlib.h>
#include <unistd.h>

#include "machine/loop/asks.h"

struct waiting_asker {
    struct waiting_asker *next;
    uint64_t token;
    struct asker who;
};

void asks_init(struct asks *t)
{
    *t = (struct asks){.head = NULL};
    pthread_mutex_init(&t->lock, NULL);
}

void asks_destroy(struct asks *t)
{
    struct asker a;
    while (asks_take_one(t, UINT64_MAX, &a))
        if (a.fd >= 0)
            close(a.fd);
    pthread_mutex_destroy(&t->lock);
}

uint64_t asks_add(struct asks *t, const struct asker *a)
{
    struct waiting_asker *w = malloc(sizeof *w);
    uint64_t token;
    if (!w)
        return 0;
    pthread_mutex_lock(&t->lock);
    token = ++t->last;
    *w = (struct waiting_asker){.next = t->head, .token = token, .who = *a};
    t->head = w;
    pthread_mutex_unlock(&t->lock);
    return token;
}

/* The first whose token is of these. */
static bool take(struct asks *t, uint64_t first, uint64_t last, struct asker *out)
{
    struct waiting_asker *w, **at = &t->head;
    *out = (struct asker){.fd = -1};
    pthread_mutex_lock(&t->lock);
    while (*at && ((*at)->token < first || (*at)->token > last))
        at = &(*at)->next;
    w = *at;
    if (w) {
        *at = w->next;
        *out = w->who;
    }
    pthread_mutex_unlock(&t->lock);
    free(w);
    return w != NULL;
}

bool asks_take(struct asks *t, uint64_t token, struct asker *out)
{
    return take(t, token, token, out);
}

uint64_t asks_last(struct asks *t)
{
    uint64_t last;
    pthread_mutex_lock(&t->lock);
    last = t->last;
    pthread_mutex_unlock(&t->lock);
    return last;
}

bool asks_take_one(struct asks *t, uint64_t last, struct asker *out)
{
    return take(t, 0, last, out);
}
