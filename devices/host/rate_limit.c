/* Rate limits as debts that time pays off. */
#include "devices/host/rate_limit.h"

#define NS_PER_S UINT64_C(1000000000)
/* Idle time is worth this much later: short bursts pass unhindered. */
#define BURST_NS (NS_PER_S / 50)

bool dev_rate_allows(const struct dev_rate *r, uint64_t now_ns, uint64_t *again_ns)
{
    uint64_t paid = 0;
    if (r->bytes_per_s)
        paid = r->bytes_paid_ns;
    if (r->ops_per_s && r->ops_paid_ns > paid)
        paid = r->ops_paid_ns;
    *again_ns = paid;
    return paid <= now_ns;
}

static void add_debt(uint64_t *paid_ns, uint64_t now_ns, uint64_t amount, uint64_t per_s)
{
    uint64_t floor = now_ns > BURST_NS ? now_ns - BURST_NS : 0, cost;
    if (*paid_ns < floor)
        *paid_ns = floor;
    /* At most an hour: a request that costs more is one that nobody waits for. Precision beyond 33
     * bits is given up rather than the product overflow. */
    for (; per_s >> 33; per_s >>= 1)
        amount >>= 1;
    cost = amount / per_s >= 3600 ? 3600 * NS_PER_S
                                  : amount / per_s * NS_PER_S + amount % per_s * NS_PER_S / per_s;
    *paid_ns += cost;
}

void dev_rate_pay(struct dev_rate *r, uint64_t now_ns, uint64_t bytes)
{
    if (r->bytes_per_s)
        add_debt(&r->bytes_paid_ns, now_ns, bytes, r->bytes_per_s);
    if (r->ops_per_s)
        add_debt(&r->ops_paid_ns, now_ns, 1, r->ops_per_s);
}
