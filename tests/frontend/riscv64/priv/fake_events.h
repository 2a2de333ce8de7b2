/* A VM clock that stands where the test puts it. */
#ifndef FAKE_EVENTS_H
#define FAKE_EVENTS_H

#include "godwit/event.h"

struct gw_events {
    uint64_t now_ns;
    unsigned reads; /* calls of gw_events_now */
    uint64_t insns; /* what the last one was given */
};

#endif
