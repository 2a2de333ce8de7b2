/*
 * Keeps a limit of bytes and operations per second of VM time (limits.h). What exceeds it waits where
 * it is, in the guest's ring: the device asks before it takes a request, pays afterwards, and looks
 * again when the debt is paid off. vCPU thread.
 */
#ifndef DEV_RATE_LIMIT_H
#define DEV_RATE_LIMIT_H

#include <stdbool.h>
#include <stdint.h>

#include "godwit/limits.h"

struct dev_rate {
    struct gw_io_limit limit; /* configuration */
    /* State: the VM time at which each kind of debt is paid off. */
    uint64_t bytes_paid_ns, ops_paid_ns;
};

/* True when a request may be taken now; if not, *again_ns is when to ask again. */
bool dev_rate_allows(const struct dev_rate *r, uint64_t now_ns, uint64_t *again_ns);
/* A request was taken that costs this much. */
void dev_rate_pay(struct dev_rate *r, uint64_t now_ns, uint64_t bytes, uint64_t ops);

#endif
