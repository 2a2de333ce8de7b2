/*
 * Limits: how much of something a machine, or a part of it, may use. There are three kinds, for disks,
 * networks, memory and CPU alike; who enforces one says what exactly it counts. In each, 0 stands for
 * no limit. Limits are configuration; what was used of them is state, and is kept by who enforces them.
 */
#ifndef GODWIT_LIMITS_H
#define GODWIT_LIMITS_H

#include <stdbool.h>
#include <stdint.h>

/* Bytes that are never exceeded: of memory, a file, a queue. What would exceed them is refused, or
 * waits until some were given back. */
struct gw_quota {
    uint64_t max_bytes;
};

/* Units (bytes, operations, frames) a second of VM time, in the long run. What exceeds it waits, and
 * nothing is refused. Idle time is worth something afterwards, burst_ns of it at most, so that short
 * bursts pass unhindered; a unit that is larger than that passes too, and is paid off behind. */
struct gw_rate {
    uint64_t per_s;
    uint64_t burst_ns;
};

/* A disk's or a network's: both hold. */
struct gw_io_limit {
    struct gw_rate bytes, ops;
};

/* Of what several want at the same time (processors, a link) each gets a part, in proportion to the
 * weights of those who want it; who is alone gets all. 1 to GW_WEIGHT_MAX; 0: as GW_WEIGHT_USUAL. */
struct gw_share {
    uint32_t weight;
};

enum { GW_WEIGHT_USUAL = 100, GW_WEIGHT_MAX = 10000 };

/* The burst of a rate for which nobody gave one: 20 ms. */
#define GW_BURST_NS_USUAL UINT64_C(20000000)

static inline struct gw_rate gw_rate_usual(uint64_t per_s)
{
    return (struct gw_rate){.per_s = per_s, .burst_ns = GW_BURST_NS_USUAL};
}

/* used: now; more: what is wanted. */
static inline bool gw_quota_allows(const struct gw_quota *q, uint64_t used, uint64_t more)
{
    return q->max_bytes == 0 || (used <= q->max_bytes && more <= q->max_bytes - used);
}

static inline uint32_t gw_weight(const struct gw_share *s)
{
    return s->weight ? s->weight : GW_WEIGHT_USUAL;
}

/* Of total, which all that want some share; weights: theirs and ours, added up. Rounded down. */
static inline uint64_t gw_share_of(const struct gw_share *s, uint64_t total, uint64_t weights)
{
    uint64_t w = gw_weight(s);
    return total / weights * w + total % weights * w / weights;
}

#endif
