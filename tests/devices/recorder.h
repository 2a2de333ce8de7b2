/*
 * A log of events as bytes: the names of all sources, 24 bytes each behind their number (2 bytes),
 * then each event as {insns: 8, source: 2, kind: 2, size: 4, bytes}. A player delivers it to another
 * queue, whose sources are found by those names.
 */
#ifndef TESTS_DEVICES_RECORDER_H
#define TESTS_DEVICES_RECORDER_H

#include "godwit/little.h"
#include "tests/devices/fakes.h"

enum { EVENT_HEADER = 16 };

struct recorder {
    uint8_t *bytes;
    size_t size;
    unsigned count; /* events */
};

static inline uint8_t *recorder_room(struct recorder *r, size_t n)
{
    r->bytes = realloc(r->bytes, r->size + n);
    assert_non_null(r->bytes);
    r->size += n;
    memset(r->bytes + r->size - n, 0, n);
    return r->bytes + r->size - n;
}

static inline void recorder_take(void *context, const struct gw_event *ev)
{
    struct recorder *r = context;
    uint8_t *p = recorder_room(r, EVENT_HEADER + ev->size_bytes);
    gw_put_little(p, ev->insns, 8);
    gw_put_little(p + 8, ev->source, 2);
    gw_put_little(p + 10, ev->kind, 2);
    gw_put_little(p + 12, ev->size_bytes, 4);
    if (ev->size_bytes)
        memcpy(p + EVENT_HEADER, ev->bytes, ev->size_bytes);
    r->count++;
}

/* All sources are registered. */
static inline void recorder_start(struct recorder *r, struct gw_events *q)
{
    unsigned count = 0;
    uint8_t *p;
    *r = (struct recorder){.bytes = NULL};
    while (gw_events_source_name(q, (uint16_t)(count + 1)))
        count++;
    p = recorder_room(r, 2 + (size_t)count * GW_SOURCE_NAME_BYTES);
    gw_put_little(p, count, 2);
    for (unsigned i = 0; i < count; i++) {
        const char *name = gw_events_source_name(q, (uint16_t)(i + 1));
        memcpy(p + 2 + (size_t)i * GW_SOURCE_NAME_BYTES, name, strlen(name));
    }
    gw_events_record(q, recorder_take, r);
}

struct player {
    const struct recorder *log;
    size_t at;
    uint16_t source[GW_SOURCES_MAX + 1]; /* ours, by the log's */
    unsigned refused;
};

static inline uint16_t source_named(const struct gw_events *q, const char *name)
{
    for (uint16_t id = 1; id <= GW_SOURCES_MAX; id++) {
        const char *n = gw_events_source_name(q, id);
        if (n && !strcmp(n, name))
            return id;
    }
    return GW_NO_SOURCE;
}

static inline void player_start(struct player *p, const struct recorder *log, struct gw_events *q)
{
    unsigned count = (unsigned)gw_little(log->bytes, 2);
    *p = (struct player){.log = log, .at = 2 + (size_t)count * GW_SOURCE_NAME_BYTES};
    for (unsigned i = 0; i < count; i++)
        p->source[i + 1] =
            source_named(q, (const char *)log->bytes + 2 + (size_t)i * GW_SOURCE_NAME_BYTES);
    gw_events_replay(q);
}

/* Hands over what was delivered up to this count. */
static inline void player_inject(struct player *p, struct gw_events *q, uint64_t insns)
{
    while (p->at < p->log->size && gw_little(p->log->bytes + p->at, 8) <= insns) {
        const uint8_t *e = p->log->bytes + p->at;
        struct gw_event ev = {.source = p->source[gw_little(e + 8, 2)],
                              .kind = (uint16_t)gw_little(e + 10, 2),
                              .size_bytes = (uint32_t)gw_little(e + 12, 4),
                              .bytes = e + EVENT_HEADER};
        p->refused += !gw_events_inject(q, &ev);
        p->at += EVENT_HEADER + ev.size_bytes;
    }
}

#endif
