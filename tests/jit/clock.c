/* The VM clock of these tests: it stands still. */
#include "godwit/event.h"

uint64_t gw_events_now(struct gw_events *q, uint64_t insns)
{
    return 0;
}
