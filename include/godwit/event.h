/*
 * Everything that enters a VM from outside goes through one queue, and devices read the VM's
 * clock, never the host's. Events are delivered on a vCPU thread, at safe points, in the order
 * of posting; timers are delivered when the VM clock reaches them.
 *
 * An event is {instruction count, source, kind, bytes}. The source is whoever takes it, a device or
 * the machine itself, registered by a name that stays ("uart0", "virtio-blk1", "control"); the kind
 * is of the source's own numbering; the bytes are laid out where the kind is declared, numbers in
 * them little-endian. There is no pointer, descriptor or callback in it: a log can hold it, and
 * another process, which has the same sources, deliver it. What it means there is the receiver's to
 * check, as it is with everything that comes from outside.
 *
 * Where several threads run vCPUs, "vCPU thread" means any of them, while it holds the device lock.
 */
#ifndef GODWIT_EVENT_H
#define GODWIT_EVENT_H

#include <stdbool.h>
#include <stdint.h>

struct gw_events;

/* One thing from outside. The bytes are copied into the queue. */
struct gw_event {
    uint64_t insns;  /* retired instructions at delivery; filled in by the queue */
    uint16_t source; /* of gw_events_register() */
    uint16_t kind;   /* the source's own numbering */
    uint32_t size_bytes;
    const uint8_t *bytes; /* size_bytes; valid during deliver */
};

/* vCPU thread. Whatever kind and bytes are, the receiver survives them. */
typedef void (*gw_event_deliver)(void *context, const struct gw_event *ev);

enum { GW_NO_SOURCE = 0, GW_SOURCES_MAX = 64, GW_SOURCE_NAME_BYTES = 24 };

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

/* ---- sources --------------------------------------------------------------------------------- */

/* vCPU thread, or before there is one. The source of this name, at most GW_SOURCE_NAME_BYTES - 1
 * bytes of it: 1, 2, ... in the order of registration, so a machine that is put together alike has
 * the same. A name that was withdrawn gets its number back. GW_NO_SOURCE: the name is taken or too
 * long, or there are too many. */
uint16_t gw_events_register(struct gw_events *q, const char *name, gw_event_deliver deliver,
                            void *context);
/* The same by the name of a class, with the first number behind it that is free: uart0, uart1. */
uint16_t gw_events_register_next(struct gw_events *q, const char *cls, gw_event_deliver deliver,
                                 void *context);
/* vCPU thread. Its events are dropped, those that wait too. GW_NO_SOURCE is fine. */
void gw_events_withdraw(struct gw_events *q, uint16_t source);
/* NULL: there is no such source. */
const char *gw_events_source_name(const struct gw_events *q, uint16_t source);

/* ---- posting --------------------------------------------------------------------------------- */

/* Any thread. Copies the event; wakes a sleeping vCPU. False when as many bytes wait as may, or
 * nobody is registered as its source. */
bool gw_events_post(struct gw_events *q, const struct gw_event *ev);
/* The same, however many bytes wait: for what its sender bounds, such as one completion for each
 * request in flight. */
bool gw_events_post_bounded(struct gw_events *q, const struct gw_event *ev);
/* Set once before the vCPU starts: an atomic flag that post() sets to ask for attention. With
 * several vCPUs the first one's. */
void gw_events_attach(struct gw_events *q, uint32_t *attention);
/* Any thread. Sets a vCPU's attention flag, and wakes the vCPU if it sleeps in gw_events_sleep().
 * What it is to find is written before. */
void gw_events_kick(struct gw_events *q, uint32_t *attention);

/* ---- logs ------------------------------------------------------------------------------------ */

/* Before the vCPU starts. record() sees each event as it is delivered, on a vCPU thread. */
void gw_events_record(struct gw_events *q, void (*record)(void *context, const struct gw_event *ev),
                      void *context);
/* Before the vCPU starts. From now on what is posted is dropped, as if it were taken, and nothing
 * enters but what a log held, by gw_events_inject(). */
void gw_events_replay(struct gw_events *q);
/* vCPU thread: as gw_events_post_bounded(). */
bool gw_events_inject(struct gw_events *q, const struct gw_event *ev);

/* ---- time and delivery ----------------------------------------------------------------------- */

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
