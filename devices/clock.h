/*
 * What devices/ adds to godwit/event.h: a device asks for the VM's time without knowing how many
 * instructions have retired; the machine says once where that count is found. vCPU thread.
 */
#ifndef DEV_CLOCK_H
#define DEV_CLOCK_H

#include <stdint.h>

#include "godwit/event.h"

/* Bytes of events (with a fixed charge per event) that may wait in a queue, but for those that
 * gw_events_post_bounded() takes. */
#define DEV_EVENTS_MAX_BYTES (1024u * 1024u)

/* retired(context) gives the vCPU's retired instructions; without one, the count of the last
 * gw_events_run() serves. Set before the vCPU starts. */
void dev_events_counter(struct gw_events *q, uint64_t (*retired)(void *context), void *context);

/* VM time in ns now. */
uint64_t dev_now(struct gw_events *q);

/* Sleeps until something is posted, whatever the clock. */
void dev_events_wait_posted(struct gw_events *q);

/* Any thread. Whoever waits for the queue comes back once, and finds nothing new. */
void dev_events_nudge(struct gw_events *q);
/* While the machine stands still: sleeps until something is posted that was not there the last time, or
 * there is a nudge. */
void dev_events_wait_new(struct gw_events *q);
/* Delivers what these sources have posted, and nothing else: time is that of the last gw_events_run(). */
void dev_events_deliver_of(struct gw_events *q, const uint16_t *sources, unsigned count);

/* Nothing waits to be delivered, but for timers. */
bool dev_events_idle(const struct gw_events *q);

/* Instructions until the VM clock reaches deadline_ns, at least 1; UINT64_MAX in host mode. */
uint64_t dev_events_insns_until(struct gw_events *q, uint64_t deadline_ns, uint64_t insns);

/* What is saved of the clock. */
struct dev_clock {
    uint64_t now_ns;
    uint64_t skipped_ns; /* insns mode: jumped over while idle */
};
void dev_events_save_clock(struct gw_events *q, uint64_t insns, struct dev_clock *out);
/* VM time goes on from there. In host mode it stands still until dev_events_resume(). */
void dev_events_load_clock(struct gw_events *q, uint64_t insns, const struct dev_clock *in);

/* The host-mode clock stands still between these two. */
void dev_events_pause(struct gw_events *q);
void dev_events_resume(struct gw_events *q);
bool dev_events_paused(const struct gw_events *q);

#endif
