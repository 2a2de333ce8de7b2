/*
 * Everything that enters a VM from outside goes through one queue, and devices read the VM's
 * clock, never the host's. Events are delivered on a vCPU thread, at safe points, in the order
 * of posting; timers are delivered when the VM clock reaches them.
 *
 * Where several threads run vCPUs, "vCPU thread" means any of them, while it holds the device lock.
 */
#ifndef GODWIT_EVENT_H
#define GODWIT_EVENT_H

#include <stdbool.h>
#include <stdint.h>

struct gw_event;
struct gw_clock;
struct gw_events;

/* One thing from outside. payload is copied into the queue. */
struct gw_event {
    uint64_t insns; /* retired instructions at delivery; filled in by the queue */
    void *device;   /* receiver's context */
    void (*deliver)(void *device, const struct gw_event *ev); /* vCPU thread */
    uint32_t kind;                                            /* the device's own numbering */
    uint32_t size_bytes;
    uint64_t arg;
    const uint8_t *payload; /* size_bytes; valid during deliver */
};

/* A timer belongs to its device, which keeps it alive while armed. VM time in ns. */
struct gw_timer {
    uint64_t deadline_ns;                        /* UINT64_MAX: not armed */
    void (*fire)(void *device, uint64_t now_ns); /* vCPU thread; may re-arm */
    void *device;
    struct gw_timer *next; /* owned by the queue */
};

/* The VM clock. host mode: ns of host CLOCK_MONOTONIC since the VM started, less pauses;
 * insns mode: retired instructions * 1000 / mips. Never runs backwards. vCPU thread. */
enum gw_clock_mode { GW_CLOCK_HOST, GW_CLOCK_INSNS };

struct gw_events *gw_events_new(enum gw_clock_mode mode, uint64_t mips);
void gw_events_free(struct gw_events *q);

/* Any thread. Copies the event; wakes a sleeping vCPU. Returns false when max_bytes are queued. */
bool gw_events_post(struct gw_events *q, const struct gw_event *ev);
/* Set once before the vCPU starts: an atomic flag that post() sets to ask for attention. With
 * several vCPUs the first one's. */
void gw_events_attach(struct gw_events *q, uint32_t *attention);
/* Any thread. Sets a vCPU's attention flag, and wakes the vCPU if it sleeps in gw_events_sleep().
 * What it is to find is written before. */
void gw_events_kick(struct gw_events *q, uint32_t *attention);

/* VM ns. By the host's clock on any thread; by instructions on the vCPU thread. */
uint64_t gw_events_now(struct gw_events *q, uint64_t insns);
/* vCPU thread. */
void gw_timer_arm(struct gw_events *q, struct gw_timer *t, uint64_t deadline_ns);
void gw_timer_cancel(struct gw_events *q, struct gw_timer *t);
/* Delivers posted events and due timers. */
void gw_events_run(struct gw_events *q, uint64_t insns);
uint64_t gw_events_next_deadline(const struct gw_events *q); /* UINT64_MAX if none */
/* Sleeps until something is posted or the VM clock reaches deadline_ns (host mode); in insns mode
 * jumps the clock to the deadline and returns at once if there is one. */
void gw_events_wait(struct gw_events *q, uint64_t deadline_ns);
/* Host mode, one of several vCPU threads, without the device lock: sleeps until *attention is set
 * (which is left to the caller to clear) or the VM clock reaches deadline_ns. May return early. */
void gw_events_sleep(struct gw_events *q, const uint32_t *attention, uint64_t deadline_ns);

#endif
