/*
 * The event queue, its sources, the timers and the VM clock of godwit/event.h.
 *
 * Posting is under a mutex and sets the vCPU's attention flag after the event is linked, so a vCPU
 * that sees the flag finds the event. Timers belong to the vCPU threads, under the device lock, and
 * need none of ours. The clock is read by all of them at once, so what it is made of is atomic.
 *
 * Several vCPUs sleep each on its own attention flag, by futex. No wake-up is lost: whoever has
 * something for a vCPU writes it, sets the flag, and then looks whether anyone sleeps; a vCPU clears
 * its flag, looks for what there may be, says that it sleeps, and then lets the kernel compare the
 * flag with 0. If it was set before that, the kernel does not let it sleep; if afterwards, the
 * other side's later look sees the sleeper (both orders are sequentially consistent) and wakes it.
 * Timers are armed by vCPU threads alone, each of which looks at the next deadline before it sleeps.
 */
#include <linux/futex.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "devices/clock.h"
#include "godwit/limits.h"

#define NS_PER_S           1000000000ull
#define EVENT_COST         64u /* charged per event, beside its bytes */
#define MAX_FIRED          64u /* timers per gw_events_run() */
#define DEFAULT_INSNS_MIPS 1000

struct queued_event {
    struct queued_event *next;
    uint64_t cost; /* what is charged for it */
    struct gw_event ev;
    uint8_t bytes[];
};

struct source {
    char name[GW_SOURCE_NAME_BYTES]; /* empty: never was one */
    gw_event_deliver deliver;        /* NULL: withdrawn */
    void *context;
};

struct gw_events {
    pthread_mutex_t lock;
    pthread_cond_t posted;
    struct queued_event *head, **tail; /* under lock */
    uint64_t bytes;                    /* under lock: what is charged of the quota */
    struct gw_quota quota;
    bool nudged;                /* under lock: somebody is to come back */
    bool news;                  /* under lock: something was posted since dev_events_wait_new() */
    struct queued_event *taken; /* vCPU thread: what is being delivered */
    /* Written by vCPU threads under lock, so that these read without. */
    struct source source[GW_SOURCES_MAX];
    bool replaying; /* nothing is posted */
    void (*record)(void *context, const struct gw_event *ev);
    void *record_context;
    uint32_t *attention;
    struct gw_timer *timers; /* sorted by deadline; equal ones in the order of arming */
    enum gw_clock_mode mode;
    uint64_t mips;
    uint64_t start_ns;   /* host: CLOCK_MONOTONIC at VM time 0, moved on by pauses; atomic */
    uint64_t skipped_ns; /* insns: jumped over while idle */
    uint64_t paused_ns;  /* host: CLOCK_MONOTONIC at the pause, 0 when running; atomic */
    uint64_t last_ns;    /* the clock never runs backwards; atomic */
    uint32_t sleepers;   /* vCPUs in gw_events_sleep(); atomic */
    uint64_t insns;      /* at the last gw_events_run() */
    uint64_t (*retired)(void *context);
    void *retired_context;
};

static uint64_t host_now(void)
{
    struct timespec ts;
    clock_gettime(CLOCK_MONOTONIC, &ts);
    return (uint64_t)ts.tv_sec * NS_PER_S + (uint64_t)ts.tv_nsec;
}

struct gw_events *gw_events_new(enum gw_clock_mode mode, uint64_t mips)
{
    struct gw_events *q = calloc(1, sizeof *q);
    pthread_condattr_t attr;
    if (!q)
        return NULL;
    pthread_mutex_init(&q->lock, NULL);
    pthread_condattr_init(&attr);
    pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
    pthread_cond_init(&q->posted, &attr);
    pthread_condattr_destroy(&attr);
    q->tail = &q->head;
    q->quota.max_bytes = DEV_EVENTS_MAX_BYTES;
    q->mode = mode;
    q->mips = mips ? mips : DEFAULT_INSNS_MIPS;
    q->start_ns = host_now();
    return q;
}

static void free_events(struct queued_event *e)
{
    while (e) {
        struct queued_event *next = e->next;
        free(e);
        e = next;
    }
}

void gw_events_free(struct gw_events *q)
{
    if (!q)
        return;
    free_events(q->head);
    pthread_cond_destroy(&q->posted);
    pthread_mutex_destroy(&q->lock);
    free(q);
}

/* ---- sources --------------------------------------------------------------------------------- */

/* The source of an id, while it has one. */
static const struct source *source_of(const struct gw_events *q, uint16_t id)
{
    return id != GW_NO_SOURCE && id <= GW_SOURCES_MAX && q->source[id - 1].deliver
               ? &q->source[id - 1]
               : NULL;
}

/* Where this name is, or the first place that never had one; -1: there is none. */
static int find_name(const struct gw_events *q, const char *name)
{
    int free_at = -1;
    for (int i = GW_SOURCES_MAX - 1; i >= 0; i--) {
        if (!strcmp(q->source[i].name, name))
            return i;
        if (!q->source[i].name[0])
            free_at = i;
    }
    return free_at;
}

uint16_t gw_events_register(struct gw_events *q, const char *name, gw_event_deliver deliver,
                            void *context)
{
    size_t n = strlen(name);
    int at = find_name(q, name);
    if (n == 0 || n >= GW_SOURCE_NAME_BYTES || at < 0 || q->source[at].deliver)
        return GW_NO_SOURCE;
    pthread_mutex_lock(&q->lock);
    memcpy(q->source[at].name, name, n + 1);
    q->source[at].deliver = deliver;
    q->source[at].context = context;
    pthread_mutex_unlock(&q->lock);
    return (uint16_t)(at + 1);
}

uint16_t gw_events_register_next(struct gw_events *q, const char *cls, gw_event_deliver deliver,
                                 void *context)
{
    uint16_t id = GW_NO_SOURCE;
    for (unsigned i = 0; id == GW_NO_SOURCE && i < GW_SOURCES_MAX; i++) {
        char name[GW_SOURCE_NAME_BYTES + 12];
        snprintf(name, sizeof name, "%s%u", cls, i);
        id = gw_events_register(q, name, deliver, context);
    }
    return id;
}

const char *gw_events_source_name(const struct gw_events *q, uint16_t source)
{
    const struct source *s = source_of(q, source);
    return s ? s->name : NULL;
}

/* Returns where the list ends now; takes what was charged off *charged. */
static struct queued_event **drop_events(struct queued_event **list, uint16_t source,
                                         uint64_t *charged)
{
    while (*list) {
        struct queued_event *e = *list;
        if (e->ev.source == source) {
            *list = e->next;
            *charged -= e->cost;
            free(e);
        } else {
            list = &e->next;
        }
    }
    return list;
}

void gw_events_withdraw(struct gw_events *q, uint16_t source)
{
    uint64_t taken = 0; /* those that are being delivered are paid for */
    if (!source_of(q, source))
        return;
    pthread_mutex_lock(&q->lock);
    q->source[source - 1].deliver = NULL;
    q->tail = drop_events(&q->head, source, &q->bytes);
    pthread_mutex_unlock(&q->lock);
    drop_events(&q->taken, source, &taken);
}

/* ---- posting --------------------------------------------------------------------------------- */

void gw_events_attach(struct gw_events *q, uint32_t *attention)
{
    pthread_mutex_lock(&q->lock);
    q->attention = attention;
    if (q->head)
        __atomic_store_n(attention, 1, __ATOMIC_RELEASE);
    pthread_mutex_unlock(&q->lock);
}

void dev_events_counter(struct gw_events *q, uint64_t (*retired)(void *context), void *context)
{
    q->retired = retired;
    q->retired_context = context;
}

static void futex(const uint32_t *word, int op, uint32_t value, const struct timespec *until)
{
    syscall(SYS_futex, word, op | FUTEX_PRIVATE_FLAG, value, until, NULL, FUTEX_BITSET_MATCH_ANY);
}

/* A flag that was set already has whoever set it to wake the sleeper. */
void gw_events_kick(struct gw_events *q, uint32_t *attention)
{
    if (!__atomic_exchange_n(attention, 1, __ATOMIC_SEQ_CST) &&
        __atomic_load_n(&q->sleepers, __ATOMIC_SEQ_CST))
        futex(attention, FUTEX_WAKE, 1, NULL);
}

static struct queued_event *copy_event(const struct gw_event *ev)
{
    struct queued_event *e = malloc(sizeof *e + ev->size_bytes);
    if (!e)
        return NULL;
    e->next = NULL;
    e->ev = *ev;
    e->ev.bytes = e->bytes;
    if (ev->size_bytes)
        memcpy(e->bytes, ev->bytes, ev->size_bytes);
    return e;
}

/* cost: what is charged; 0: it is taken whatever waits. */
static bool enter(struct gw_events *q, const struct gw_event *ev, uint64_t cost)
{
    struct queued_event *e = copy_event(ev);
    if (!e)
        return false;
    pthread_mutex_lock(&q->lock);
    if (!source_of(q, ev->source) || (cost && !gw_quota_allows(&q->quota, q->bytes, cost))) {
        pthread_mutex_unlock(&q->lock);
        free(e);
        return false;
    }
    q->bytes += cost;
    e->cost = cost;
    q->news = true;
    __atomic_store_n(q->tail, e, __ATOMIC_RELEASE);
    q->tail = &e->next;
    if (q->attention)
        gw_events_kick(q, q->attention);
    pthread_cond_signal(&q->posted);
    pthread_mutex_unlock(&q->lock);
    return true;
}

bool gw_events_post(struct gw_events *q, const struct gw_event *ev)
{
    return q->replaying || enter(q, ev, (uint64_t)ev->size_bytes + EVENT_COST);
}

bool gw_events_post_bounded(struct gw_events *q, const struct gw_event *ev)
{
    return q->replaying || enter(q, ev, 0);
}

bool gw_events_inject(struct gw_events *q, const struct gw_event *ev)
{
    return enter(q, ev, 0);
}

void gw_events_replay(struct gw_events *q)
{
    q->replaying = true;
}

void gw_events_record(struct gw_events *q, void (*record)(void *context, const struct gw_event *ev),
                      void *context)
{
    q->record = record;
    q->record_context = context;
}

/* ---- the clock ------------------------------------------------------------------------------- */

/* insns * 1000 / mips without overflow for any count that a run can reach. */
static uint64_t insns_to_ns(const struct gw_events *q, uint64_t insns)
{
    return insns / q->mips * 1000 + insns % q->mips * 1000 / q->mips;
}

static uint64_t get(const uint64_t *at)
{
    return __atomic_load_n(at, __ATOMIC_SEQ_CST);
}

static void set(uint64_t *at, uint64_t value)
{
    __atomic_store_n(at, value, __ATOMIC_SEQ_CST);
}

/* Read again when a pause began or ended meanwhile: the host's time after it and the start before it
 * would put the clock ahead by as long as it took. */
static uint64_t host_clock(const struct gw_events *q)
{
    uint64_t paused, start, now;
    do {
        paused = get(&q->paused_ns);
        start = get(&q->start_ns);
        now = paused ? paused : host_now();
    } while (paused != get(&q->paused_ns) || start != get(&q->start_ns));
    return now - start;
}

uint64_t gw_events_now(struct gw_events *q, uint64_t insns)
{
    uint64_t now, last = get(&q->last_ns);
    now = q->mode == GW_CLOCK_HOST ? host_clock(q) : insns_to_ns(q, insns) + q->skipped_ns;
    do {
        if ((int64_t)(now - last) <= 0)
            return last;
    } while (!__atomic_compare_exchange_n(&q->last_ns, &last, now, true, __ATOMIC_RELAXED,
                                          __ATOMIC_RELAXED));
    return now;
}

static uint64_t retired_now(const struct gw_events *q)
{
    return q->retired ? q->retired(q->retired_context) : q->insns;
}

uint64_t dev_now(struct gw_events *q)
{
    return gw_events_now(q, q->mode == GW_CLOCK_HOST ? 0 : retired_now(q));
}

uint64_t dev_events_insns_until(struct gw_events *q, uint64_t deadline_ns, uint64_t insns)
{
    uint64_t now, left;
    if (q->mode == GW_CLOCK_HOST || deadline_ns == UINT64_MAX)
        return UINT64_MAX;
    now = gw_events_now(q, insns);
    if (deadline_ns <= now)
        return 1;
    left = deadline_ns - now;
    if (left > UINT64_MAX / q->mips - 1000)
        return UINT64_MAX;
    return (left * q->mips + 999) / 1000;
}

void dev_events_pause(struct gw_events *q)
{
    if (q->paused_ns)
        return;
    set(&q->paused_ns, host_now());
    /* Others may have read a later time before they saw that. It goes on from there: else it would stand
     * when it runs again, for as long as this thread was kept from saying so. */
    uint64_t seen = q->start_ns + get(&q->last_ns);
    if (q->mode == GW_CLOCK_HOST && (int64_t)(seen - q->paused_ns) > 0)
        set(&q->paused_ns, seen);
}

/* A clock that is read between the two stores stands a while longer, since it never runs
 * backwards. */
void dev_events_resume(struct gw_events *q)
{
    if (q->paused_ns)
        set(&q->start_ns, q->start_ns + (host_now() - q->paused_ns));
    set(&q->paused_ns, 0);
}

bool dev_events_idle(const struct gw_events *q)
{
    return !__atomic_load_n(&q->head, __ATOMIC_ACQUIRE);
}

bool dev_events_paused(const struct gw_events *q)
{
    return q->paused_ns != 0;
}

void dev_events_save_clock(struct gw_events *q, uint64_t insns, struct dev_clock *out)
{
    out->now_ns = gw_events_now(q, insns);
    out->skipped_ns = q->skipped_ns;
}

void dev_events_load_clock(struct gw_events *q, uint64_t insns, const struct dev_clock *in)
{
    q->insns = insns;
    q->skipped_ns = in->skipped_ns;
    set(&q->last_ns, in->now_ns);
    if (q->mode == GW_CLOCK_HOST) {
        /* Before the host's own start, if need be: the difference is all that counts. */
        set(&q->paused_ns, host_now());
        set(&q->start_ns, q->paused_ns - in->now_ns);
    }
}

/* ---- timers and delivery --------------------------------------------------------------------- */

void gw_timer_cancel(struct gw_events *q, struct gw_timer *t)
{
    if (t->deadline_ns == UINT64_MAX)
        return;
    for (struct gw_timer **p = &q->timers; *p; p = &(*p)->next) {
        if (*p == t) {
            *p = t->next;
            break;
        }
    }
    t->next = NULL;
    t->deadline_ns = UINT64_MAX;
}

void gw_timer_arm(struct gw_events *q, struct gw_timer *t, uint64_t deadline_ns)
{
    struct gw_timer **p = &q->timers;
    gw_timer_cancel(q, t);
    if (deadline_ns == UINT64_MAX)
        return;
    while (*p && (*p)->deadline_ns <= deadline_ns)
        p = &(*p)->next;
    t->deadline_ns = deadline_ns;
    t->next = *p;
    *p = t;
}

static void deliver(struct gw_events *q, struct gw_event *ev)
{
    const struct source *s = source_of(q, ev->source);
    if (!s)
        return;
    ev->insns = q->insns;
    if (q->record)
        q->record(q->record_context, ev);
    s->deliver(s->context, ev);
}

static void deliver_posted(struct gw_events *q)
{
    pthread_mutex_lock(&q->lock);
    q->taken = q->head;
    q->head = NULL;
    q->tail = &q->head;
    q->bytes = 0;
    pthread_mutex_unlock(&q->lock);
    while (q->taken) {
        struct queued_event *e = q->taken;
        q->taken = e->next;
        deliver(q, &e->ev);
        free(e);
    }
}

/* The first that waits of one of the sources, taken out of the queue. */
static struct queued_event *take_of(struct gw_events *q, const uint16_t *sources, unsigned count)
{
    struct queued_event **at, *e;
    pthread_mutex_lock(&q->lock);
    for (at = &q->head; (e = *at); at = &e->next) {
        unsigned i = 0;
        while (i < count && sources[i] != e->ev.source)
            i++;
        if (i == count)
            continue;
        q->bytes -= e->cost;
        __atomic_store_n(at, e->next, __ATOMIC_RELEASE);
        if (!*at)
            q->tail = at;
        break;
    }
    pthread_mutex_unlock(&q->lock);
    return e;
}

void dev_events_deliver_of(struct gw_events *q, const uint16_t *sources, unsigned count)
{
    struct queued_event *e;
    while ((e = take_of(q, sources, count))) {
        deliver(q, &e->ev);
        free(e);
    }
}

void gw_events_run(struct gw_events *q, uint64_t insns)
{
    q->insns = insns;
    /* An unlocked look is enough: whoever posts sets the attention flag afterwards. */
    if (__atomic_load_n(&q->head, __ATOMIC_ACQUIRE))
        deliver_posted(q);
    /* now is read once and the count is bounded: timers that re-arm themselves in the past go on
     * at the next call, and cannot hold the vCPU here. */
    if (q->timers) {
        uint64_t now = gw_events_now(q, insns);
        for (unsigned i = 0; i < MAX_FIRED && q->timers && q->timers->deadline_ns <= now; i++) {
            struct gw_timer *t = q->timers;
            gw_timer_cancel(q, t);
            t->fire(t->device, now);
        }
    }
}

uint64_t gw_events_next_deadline(const struct gw_events *q)
{
    return q->timers ? q->timers->deadline_ns : UINT64_MAX;
}

/* Under lock, by who waits: a nudge is his. */
static bool goes_on_waiting(struct gw_events *q)
{
    bool waits = !q->head && !q->nudged;
    q->nudged = false;
    return waits;
}

void dev_events_wait_posted(struct gw_events *q)
{
    pthread_mutex_lock(&q->lock);
    while (goes_on_waiting(q))
        pthread_cond_wait(&q->posted, &q->lock);
    pthread_mutex_unlock(&q->lock);
}

void dev_events_wait_new(struct gw_events *q)
{
    pthread_mutex_lock(&q->lock);
    while (!q->news && !q->nudged)
        pthread_cond_wait(&q->posted, &q->lock);
    q->news = q->nudged = false;
    pthread_mutex_unlock(&q->lock);
}

void dev_events_nudge(struct gw_events *q)
{
    pthread_mutex_lock(&q->lock);
    q->nudged = true;
    pthread_cond_signal(&q->posted);
    pthread_mutex_unlock(&q->lock);
}

void gw_events_wait(struct gw_events *q, uint64_t deadline_ns)
{
    uint64_t next = gw_events_next_deadline(q);
    if (next < deadline_ns)
        deadline_ns = next;
    pthread_mutex_lock(&q->lock);
    if (q->mode == GW_CLOCK_INSNS && deadline_ns != UINT64_MAX) {
        if (!q->head) {
            uint64_t now = gw_events_now(q, retired_now(q));
            if (deadline_ns > now)
                q->skipped_ns += deadline_ns - now;
        }
    } else if (deadline_ns > INT64_MAX) {
        while (goes_on_waiting(q))
            pthread_cond_wait(&q->posted, &q->lock);
    } else {
        uint64_t now = gw_events_now(q, 0);
        uint64_t at = host_now() + (deadline_ns > now ? deadline_ns - now : 0);
        struct timespec ts = {.tv_sec = (time_t)(at / NS_PER_S), .tv_nsec = (long)(at % NS_PER_S)};
        while (goes_on_waiting(q) && pthread_cond_timedwait(&q->posted, &q->lock, &ts) == 0)
            ;
    }
    pthread_mutex_unlock(&q->lock);
}

void gw_events_sleep(struct gw_events *q, const uint32_t *attention, uint64_t deadline_ns)
{
    struct timespec ts, *until = NULL;
    if (deadline_ns <= INT64_MAX) {
        uint64_t now = gw_events_now(q, 0), at;
        if (deadline_ns <= now)
            return;
        at = host_now() + (deadline_ns - now);
        ts = (struct timespec){.tv_sec = (time_t)(at / NS_PER_S), .tv_nsec = (long)(at % NS_PER_S)};
        until = &ts;
    }
    __atomic_fetch_add(&q->sleepers, 1, __ATOMIC_SEQ_CST);
    futex(attention, FUTEX_WAIT_BITSET, 0, until);
    __atomic_fetch_sub(&q->sleepers, 1, __ATOMIC_SEQ_CST);
}
