/*
 * Which pages of a machine's RAM were written: what snapshots of a running machine, snapshots of what has
 * changed since another one, and migration stand on. The translator implements it; there is one log a
 * machine. docs/map-protocol.md, docs/model/dirty_log.pml.
 *
 * From start() to stop() each page that is written is in the log: by a store, an atomic or a page walk of
 * the guest's, or by a device, once that has told the bus. Nothing else is: no page that was read, or not
 * touched. A write counts that changes nothing, and so may a compare-and-swap that fails. Flash is not RAM.
 *
 * So memory is copied while it changes: start(), and copy everything; then, as often as one likes,
 * collect(), and copy what that says; at last collect() with the world stopped, under the device lock, and
 * no request of a device in flight. What was copied then is the memory. A page is copied after it was
 * collected, never before; it may be written meanwhile, and is collected again.
 *
 * Pages are of 4 KiB, numbered through all regions of RAM in the bus's order (struct gw_bus.ram).
 *
 * Threads. All of it with the world stopped by the caller; of a machine with one vCPU, while that runs no
 * guest code and nothing that guest code called.
 *
 * What it costs. Nothing while no log runs. start() and stop() go through a byte for each page, and start()
 * through the vCPUs' page maps. While the log runs, the first store of a vCPU to a page after that was
 * collected leaves generated code, and those behind it do not. collect() goes through the pages that it
 * takes, and a bit for each 64 * 64 of all.
 */
#ifndef GODWIT_DIRTY_H
#define GODWIT_DIRTY_H

#include <stdint.h>

#include "godwit/status.h"

struct gw_dirty;

struct gw_dirty_ops {
    /* No page is in the log. GW_ERR_STATE: it runs already; GW_ERR_NOMEM. */
    enum gw_status (*start)(struct gw_dirty *d, struct gw_error *err);
    /* Takes what is in the log out of it: sets bit n % 64 of pages[n / 64] for page n, and leaves the
     * others as they are. How many there were. It runs. */
    uint64_t (*collect)(struct gw_dirty *d, uint64_t *pages);
    /* What was not collected is forgotten. It may have been stopped before. */
    void (*stop)(struct gw_dirty *d);
};

struct gw_dirty {
    const struct gw_dirty_ops *ops;
    uint64_t pages; /* of RAM */
};

#endif
