/* Breakpoints: see breaks.h. */
#include "translator/code/breaks.h"

#include <stdlib.h>

#include "translator/code/cache.h"
#include "translator/code/pages.h"
#include "translator/world.h"

void breaks_close(struct breaks *b)
{
    free(b->at);
}

/* Where pc is, or belongs. */
static uint32_t place(const struct breaks *b, uint64_t pc)
{
    uint32_t lo = 0, hi = b->count;
    while (lo < hi) {
        uint32_t mid = lo + (hi - lo) / 2;
        if (b->at[mid].pc < pc)
            lo = mid + 1;
        else
            hi = mid;
    }
    return lo;
}

uint32_t breaks_at(const struct breaks *b, uint64_t pc)
{
    uint32_t i = place(b, pc);
    return i < b->count && b->at[i].pc == pc ? b->at[i].vcpus : 0;
}

static bool is_same(uint64_t pc, uint64_t at, bool anywhere)
{
    return pc == at || (anywhere && !((pc ^ at) & GW_PAGE_MASK));
}

bool breaks_near(const struct breaks *b, uint64_t pc, bool anywhere)
{
    for (uint32_t i = 0; anywhere && i < b->count; i++)
        if (is_same(pc, b->at[i].pc, true))
            return true;
    return breaks_at(b, pc) != 0;
}

uint32_t breaks_room(const struct breaks *b, const struct tb *tb, const int32_t *offset)
{
    uint32_t n = tb->guest_count ? 1 : 0;
    while (n < tb->guest_count &&
           !breaks_near(b, tb->pc + (uint64_t)(int64_t)offset[n], tb->anywhere))
        n++;
    return n;
}

static bool has_insn(const struct code_cache *c, const struct tb *tb, uint64_t pc)
{
    const int32_t *offset = (const int32_t *)c->guests.data + tb->guest_first;
    for (uint32_t i = 0; i < tb->guest_count; i++)
        if (is_same(tb->pc + (uint64_t)(int64_t)offset[i], pc, tb->anywhere))
            return true;
    return false;
}

/* Takes what runs over the address out of reach, in all caches. */
static void clear_blocks(struct engine_world *w, uint64_t pc)
{
    for (unsigned v = 0; v < w->vcpus; v++) {
        if (!cc_of_its_own(w, v))
            continue;
        const struct code_cache *c = w->engine[v]->cc;
        for (uint32_t i = 0; i < c->tbs.count; i++)
            if (has_insn(c, cc_tb(c, i), pc))
                pages_make_stale(w->engine[v], cc_tb(c, i));
    }
}

static bool room_for_one(struct breaks *b)
{
    if (b->count < b->cap)
        return true;
    uint32_t cap = b->cap ? 2 * b->cap : 16;
    struct break_at *p = realloc(b->at, cap * sizeof *p);
    if (!p)
        return false;
    b->at = p;
    b->cap = cap;
    return true;
}

enum gw_status engine_break_add(struct engine_world *w, uint64_t pc, uint32_t vcpus,
                                struct gw_error *err)
{
    struct breaks *b = w->breaks;
    uint32_t i = place(b, pc);
    if (i < b->count && b->at[i].pc == pc) {
        b->at[i].vcpus |= vcpus;
        return GW_OK;
    }
    if (!vcpus)
        return GW_OK;
    if (!room_for_one(b))
        return gw_fail(err, GW_ERR_NOMEM, NULL, "out of memory for breakpoints");
    memmove(&b->at[i + 1], &b->at[i], (b->count - i) * sizeof *b->at);
    b->at[i] = (struct break_at){.pc = pc, .vcpus = vcpus};
    b->count++;
    world_lock(w);
    clear_blocks(w, pc);
    world_unlock(w);
    return GW_OK;
}

uint32_t engine_break_remove(struct engine_world *w, uint64_t pc, uint32_t vcpus)
{
    struct breaks *b = w->breaks;
    uint32_t i = place(b, pc);
    if (i == b->count || b->at[i].pc != pc)
        return 0;
    uint32_t were = b->at[i].vcpus & vcpus;
    b->at[i].vcpus &= ~vcpus;
    if (!b->at[i].vcpus) {
        b->count--;
        memmove(&b->at[i], &b->at[i + 1], (b->count - i) * sizeof *b->at);
    }
    return were;
}

void engine_break_clear(struct engine_world *w)
{
    w->breaks->count = 0;
}
