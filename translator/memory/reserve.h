/*
 * Reservations of LR instructions that are no part of a pair (those become host
 * compare-and-swaps, see the frontend's lifter). docs/map-protocol.md, docs/memory-model.md,
 * docs/model/reservations.pml.
 *
 * Model. A page on which such a reservation stands is marked GW_RAM_RESERVED and out of inline reach
 * of all vCPUs' stores. What stores there comes to the slow path, or is a device's write; under the
 * lock it breaks the reservations that it touches, and stores. The SC looks under that lock whether
 * its own still stands.
 *
 * Invariants
 *   1. A page is marked with the world stopped: then no vCPU has an addend of it in flight.
 *   2. Who reads GW_RAM_RESERVED under the lock and finds it clear breaks nothing by storing.
 */
#ifndef TRANSLATOR_MEMORY_RESERVE_H
#define TRANSLATOR_MEMORY_RESERVE_H

#include <pthread.h>

#include "translator/parts.h"

struct reservation {
    uint64_t paddr;  /* NO_PADDR: none, or broken */
    uint64_t wanted; /* an LR waits for its page to be marked: physical address, or NO_PADDR; the
                        vCPU thread's, without the lock */
};

/* The world's: guest state that nobody saves, since the guest may lose a reservation at any time. */
struct reservations {
    pthread_mutex_t lock; /* taken behind the world's */
    struct reservation of[ENGINE_MAX_VCPUS];
    uint32_t idle_stores; /* to a page that is kept out of reach for nobody's sake */
};

void reservations_open(struct reservations *r);
void reservations_close(struct reservations *r);

/* Before a store to RAM that may break reservations. True: it holds the lock until the store is made
 * and reserve_end_store() called. */
bool reserve_begin_store(struct engine *e, uint64_t paddr, unsigned size);
void reserve_end_store(struct engine *e);
/* Any thread. */
void reserve_written_by_device(struct engine_world *w, uint64_t paddr, uint64_t size);
/* An LR waits for its page to be marked; marks it, with the world stopped. */
bool reserve_waits(const struct engine *e);
void reserve_page(struct engine *e);
/* See gw_hooks. */
bool reserve_hook(void *cpu, uint64_t paddr);
bool reserve_store_hook(void *cpu, uint64_t paddr, unsigned size, uint64_t expected,
                        uint64_t value);

#endif
