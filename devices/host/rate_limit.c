/* Rate limits as debts that time pays off. */
#include "devices/host/rate_limit.h"

#define NS_PER_S UINT64_C(1000000000)

bool dev_rate_allows(const struct dev_rate *r, uint64_t now_ns, uint64_t *again_ns)
{
    uint64_t paid = 0;
    if (r->limit.bytes.per_s)
        paid = r->bytes_paid_ns;
    if (r->limit.ops.per_s && r->ops_paid_ns > paid)
        paid = r->ops_paid_ns;
    *again_ns = paid;
    return paid <= now_ns;
}

static void add_debt(uint64_t *paid_ns, uint64_t now_ns, uint64_t amount,
                     const struct gw_rate *rate)
{
    uint64_t floor = now_ns > rate->burst_ns ? now_ns - rate->burst_ns : 0, cost;
    uint64_t per_s = rate->per_s;
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

void dev_rate_pay(struct dev_rate *r, uint64_t now_ns, uint64_t bytes, uint64_t ops)
{
    if (r->limit.bytes.per_s)
        add_debt(&r->bytes_paid_ns, now_ns, bytes, &r->limit.bytes);
    if (r->limit.ops.per_s)
        add_debt(&r->ops_paid_ns, now_ns, ops, &r->limit.ops);
}
