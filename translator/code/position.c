/* From a place in generated code to the guest's: see position.h. */
#include "translator/code/position.h"

static uint64_t place_of(const struct code_cache *c, uint32_t i)
{
    return __atomic_load_n((const uint64_t *)c->places.data + i, __ATOMIC_RELAXED);
}

/* The block that the offset is in, or right behind; or NO_TB. */
static uint32_t block_at(const struct code_cache *c, uint64_t off)
{
    uint32_t lo = 0, hi = cc_complete_count(c);
    while (lo < hi) { /* the last block that starts at or before off */
        uint32_t mid = lo + (hi - lo) / 2;
        if (place_of(c, mid) >> 32 <= off)
            lo = mid + 1;
        else
            hi = mid;
    }
    if (!lo)
        return NO_TB;
    uint64_t place = place_of(c, lo - 1);
    return off - (place >> 32) <= (uint32_t)place ? lo - 1 : NO_TB;
}

static const struct gw_row *row_at(const struct code_cache *c, const struct tb *tb, uint64_t host,
                                   enum gw_row_kind kind)
{
    const struct gw_row *row = (const struct gw_row *)c->rows.data + tb->row_first;
    uint32_t off = (uint32_t)(host - tb_rx(c, tb));
    for (uint32_t k = 0; k < tb->row_count; k++)
        if (row[k].host_offset == off && row[k].kind == kind)
            return &row[k];
    return NULL;
}

/* *once: the place may be another block's soon. */
static bool look(const struct code_cache *c, struct position *p, bool *once)
{
    uint32_t i = block_at(c, p->host - c->mem.rx);
    const struct tb *tb = i == NO_TB ? NULL : cc_tb(c, i);
    const struct gw_row *row = tb ? row_at(c, tb, p->host, p->kind) : NULL;
    if (!row)
        return false;
    const int32_t *offset = (const int32_t *)c->guests.data + tb->guest_first;
    p->pc = tb->pc + (uint64_t)(int64_t)offset[row->guest];
    p->anywhere = tb->anywhere;
    if (p->anywhere)
        p->pc -= tb->pc & ~(uint64_t)GW_PAGE_MASK;
    p->slow = tb_rx(c, tb) + row->slow_offset;
    p->left = tb->guest_count - row->guest;
    *once = tb->once;
    return true;
}

static bool look_locked(struct engine *e, struct position *p, bool *once)
{
    world_lock(e->world);
    bool found = look(e->cc, p, once);
    world_unlock(e->world);
    return found;
}

static struct position *remembered(struct engine *e, uint64_t host)
{
    struct positions *all = e->positions;
    if (all->flushes != e->cc->flushes)
        *all = (struct positions){.flushes = e->cc->flushes};
    return &all->at[host * UINT64_C(0x9e3779b97f4a7c15) >> 32 & (POSITIONS - 1)];
}

const struct position *position_find(struct engine *e, uint64_t host, enum gw_row_kind kind)
{
    const struct code_cache *c = e->cc;
    bool once = false;
    if (host - c->mem.rx >= c->mem.size)
        return NULL;
    struct position *at = remembered(e, host);
    if (at->host == host && at->kind == kind)
        return at;
    *at = (struct position){.host = host, .kind = kind};
    bool found = c->fixed ? look(c, at, &once) : look_locked(e, at, &once);
    if (!found || once) /* found again, it would be another's */
        at->host = 0;
    return found ? at : NULL;
}
