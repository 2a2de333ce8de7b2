/* From a place in generated code to the guest's: see position.h. */
#include "translator/code/position.h"

uint32_t position_block(const struct code_cache *c, uint64_t host)
{
    uint64_t off = host - c->mem.rx;
    uint32_t lo = 0, hi = c->tbs.count;
    if (off >= c->mem.used)
        return NO_TB;
    while (lo < hi) { /* the last block that starts at or before off */
        uint32_t mid = lo + (hi - lo) / 2;
        if (cc_tb(c, mid)->code <= off)
            lo = mid + 1;
        else
            hi = mid;
    }
    if (!lo || off - cc_tb(c, lo - 1)->code > cc_tb(c, lo - 1)->size)
        return NO_TB;
    return lo - 1;
}

const struct gw_row *position_row(const struct code_cache *c, const struct tb *tb, uint64_t host,
                                  enum gw_row_kind kind)
{
    const struct gw_row *row = (const struct gw_row *)c->rows.data + tb->row_first;
    uint32_t off = (uint32_t)(host - tb_rx(c, tb));
    for (uint32_t k = 0; k < tb->row_count; k++)
        if (row[k].host_offset == off && row[k].kind == kind)
            return &row[k];
    return NULL;
}

uint64_t position_pc(const struct code_cache *c, const struct tb *tb, unsigned guest)
{
    const int32_t *off = (const int32_t *)c->guests.data + tb->guest_first;
    return tb->pc + (uint64_t)(int64_t)off[guest];
}
