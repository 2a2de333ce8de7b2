/* Those who wait for an answer: a list, since there are few. */
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#include "machine/loop/asks.h"
#include "machine/machine.h"

struct waiting_asker {
    struct waiting_asker *next;
    uint64_t token, asked_ns;
    struct asker who;
};

static uint64_t now_ns(clockid_t clock)
{
    struct timespec ts;
    clock_gettime(clock, &ts);
    return (uint64_t)ts.tv_sec * UINT64_C(1000000000) + (uint64_t)ts.tv_nsec;
}

void asks_init(struct asks *t)
{
    *t = (struct asks){.last = now_ns(CLOCK_REALTIME)};
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

static bool is_look(const struct asker *a)
{
    return a->what == MACHINE_ASK_STATUS || a->what == MACHINE_ASK_STATS;
}

uint64_t asks_add(struct asks *t, const struct asker *a)
{
    struct waiting_asker *w = malloc(sizeof *w);
    uint64_t token;
    if (!w)
        return 0;
    pthread_mutex_lock(&t->lock);
    token = ++t->last;
    *w = (struct waiting_asker){
        .next = t->head, .token = token, .asked_ns = now_ns(CLOCK_MONOTONIC), .who = *a};
    t->head = w;
    if (is_look(a))
        __atomic_add_fetch(&t->looks, 1, __ATOMIC_RELAXED);
    pthread_mutex_unlock(&t->lock);
    return token;
}

/* Under lock. NULL is fine. */
static bool take_at(struct asks *t, struct waiting_asker **at, struct asker *out)
{
    struct waiting_asker *w = *at;
    *out = (struct asker){.fd = -1};
    if (!w)
        return false;
    *at = w->next;
    *out = w->who;
    if (is_look(&w->who))
        __atomic_sub_fetch(&t->looks, 1, __ATOMIC_RELAXED);
    free(w);
    return true;
}

bool asks_take(struct asks *t, uint64_t token, uint32_t what, struct asker *out)
{
    struct waiting_asker **at = &t->head;
    bool taken;
    pthread_mutex_lock(&t->lock);
    while (*at && ((*at)->token != token || (*at)->who.what != what))
        at = &(*at)->next;
    taken = take_at(t, at, out);
    pthread_mutex_unlock(&t->lock);
    return taken;
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
    struct waiting_asker **at = &t->head;
    bool taken;
    pthread_mutex_lock(&t->lock);
    while (*at && (*at)->token > last)
        at = &(*at)->next;
    taken = take_at(t, at, out);
    pthread_mutex_unlock(&t->lock);
    return taken;
}

bool asks_take_look(struct asks *t, uint64_t before_ns, struct asker *out)
{
    struct waiting_asker **at = &t->head;
    bool taken;
    *out = (struct asker){.fd = -1};
    if (!__atomic_load_n(&t->looks, __ATOMIC_RELAXED))
        return false;
    pthread_mutex_lock(&t->lock);
    while (*at && (!is_look(&(*at)->who) || (*at)->asked_ns >= before_ns))
        at = &(*at)->next;
    taken = take_at(t, at, out);
    pthread_mutex_unlock(&t->lock);
    return taken;
}
