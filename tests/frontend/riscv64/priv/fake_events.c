#include "tests/frontend/riscv64/priv/fake_events.h"

uint64_t gw_events_now(struct gw_events *q, uint64_t insns)
{
    q->reads++;
    q->insns = insns;
    return q->now_ns;
}

void gw_events_kick(struct gw_events *q, uint32_t *attention)
{
    __atomic_store_n(attention, 1, __ATOMIC_RELEASE);
}
