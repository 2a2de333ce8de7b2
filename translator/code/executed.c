/*
 * Pages that code was fetched from: see executed.h. Open addressing by page; a page that no space has
 * any more keeps its place until the table is made anew.
 */
#include "translator/code/executed.h"

#include <stdlib.h>

#include "translator/pages.h"

#define FIRST_BITS 10
#define LARGE_BITS 12
#define MOST_BITS  16

enum { FILTER_BITS = 19 }; /* sixteen for each page that the largest table holds, 64 KiB */

static struct executed_page *place(struct executed_page *at, unsigned bits, uint64_t page)
{
    uint32_t mask = (1u << bits) - 1;
    uint32_t i = (uint32_t)(page * UINT64_C(0x9e3779b97f4a7c15) >> (64 - bits));
    while (at[i].page != page && at[i].page != NO_PAGE)
        i = (i + 1) & mask;
    return &at[i];
}

/* --- the filter ---------------------------------------------------------------------------------- */

static uint64_t filter_bit(uint64_t page)
{
    return page * UINT64_C(0xd6e8feb86659fd93) >> (64 - FILTER_BITS);
}

void executed_open(struct executed *x)
{
    for (int k = 0; k < 2; k++)
        x->filter[k] = calloc(1, (1u << FILTER_BITS) / 8);
    if (!x->filter[0] || !x->filter[1])
        executed_close(x);
}

void executed_close(struct executed *x)
{
    free(x->at);
    free(x->found);
    free(x->listed);
    free(x->filter[0]);
    free(x->filter[1]);
    *x = (struct executed){0};
}

static void filter_set(struct executed *x, uint32_t which, uint64_t page)
{
    uint64_t bit = filter_bit(page);
    if (x->filter[which])
        __atomic_fetch_or(&x->filter[which][bit / 64], UINT64_C(1) << bit % 64, __ATOMIC_SEQ_CST);
}

/* One of what the table holds now, pages that have left it no more. Whoever looks at the other one
 * meanwhile sees that it was. */
static void filter_renew(struct executed *x)
{
    uint32_t next = __atomic_load_n(&x->turn, __ATOMIC_RELAXED) + 1;
    uint64_t *f = x->filter[next & 1];
    if (!f)
        return;
    /* Who misses a page there sees the generations that moved before the page left, and the turn of the last time. */
    __atomic_thread_fence(__ATOMIC_RELEASE);
    for (uint32_t i = 0; i < (1u << FILTER_BITS) / 64; i++)
        __atomic_store_n(&f[i], 0, __ATOMIC_RELAXED);
    for (uint32_t n = 0; n < x->count; n++)
        filter_set(x, next & 1, x->at[x->listed[n]].page);
    __atomic_store_n(&x->turn, next, __ATOMIC_SEQ_CST);
}

bool executed_maybe(const struct executed *x, uint64_t page)
{
    uint32_t turn = __atomic_load_n(&x->turn, __ATOMIC_ACQUIRE);
    const uint64_t *f = x->filter[turn & 1];
    uint64_t bit = filter_bit(page);
    if (!f || __atomic_load_n(&x->full, __ATOMIC_ACQUIRE))
        return true;
    bool set = __atomic_load_n(&f[bit / 64], __ATOMIC_ACQUIRE) >> bit % 64 & 1;
    return set || __atomic_load_n(&x->turn, __ATOMIC_ACQUIRE) != turn;
}

uint32_t executed_turn(const struct executed *x)
{
    return __atomic_load_n(&x->turn, __ATOMIC_SEQ_CST);
}

/* --- the table ----------------------------------------------------------------------------------- */

static uint32_t live_pages(const struct executed *x)
{
    uint32_t live = 0;
    for (uint32_t n = 0; n < x->count; n++)
        live += x->at[x->listed[n]].spaces != 0;
    return live;
}

/* A table with room for one more page. False: there is none, or it would be too large. */
static bool renew(struct executed *x)
{
    uint32_t live = live_pages(x), done = 0;
    unsigned bits = FIRST_BITS;
    while (live >= 1u << (bits - 1))
        bits++;
    struct executed_page *fresh = bits > MOST_BITS ? NULL : malloc(sizeof *fresh << bits);
    struct executed_found *found = fresh ? calloc(1u << bits, sizeof *found) : NULL;
    uint32_t *listed = found ? malloc(sizeof *listed << bits) : NULL;
    if (!listed) {
        free(fresh);
        free(found);
        return false;
    }
    for (uint32_t i = 0; i < 1u << bits; i++)
        fresh[i] = (struct executed_page){.page = NO_PAGE};
    for (uint32_t n = 0; n < x->count; n++) {
        uint32_t i = x->listed[n];
        if (!x->at[i].spaces)
            continue;
        struct executed_page *p = place(fresh, bits, x->at[i].page);
        *p = x->at[i];
        found[p - fresh] = x->found[i];
        listed[done++] = (uint32_t)(p - fresh);
    }
    free(x->at);
    free(x->found);
    free(x->listed);
    x->at = fresh;
    x->found = found;
    x->listed = listed;
    x->bits = bits;
    x->count = live;
    filter_renew(x);
    return true;
}

/* A space that enters a page anew has its way; one that finds something else has none, until it is dropped. */
static void note(struct executed_found *f, uint64_t spaces, uint64_t bit, uint64_t what)
{
    uint32_t way = EXECUTED_WAYS;
    for (uint32_t i = 0; i < EXECUTED_WAYS; i++) {
        bool same = what && f->what[i] == what;
        if (spaces & bit && f->by[i] & bit && same)
            return;
        f->by[i] &= ~bit;
        if (same || (way == EXECUTED_WAYS && !(f->by[i] & spaces)))
            way = i;
    }
    if (!what || spaces & bit || way == EXECUTED_WAYS)
        return;
    if (f->what[way] != what)
        f->by[way] = 0;
    f->what[way] = what;
    f->by[way] |= bit;
}

void executed_add(struct executed *x, uint64_t page, unsigned space, uint64_t what)
{
    if (x->full) /* until it is cleared */
        return;
    struct executed_page *p = x->at ? place(x->at, x->bits, page) : NULL;
    if (!p || p->page != page) {
        if ((!p || x->count >= 3u << (x->bits - 2)) && !renew(x)) {
            __atomic_store_n(&x->full, true, __ATOMIC_SEQ_CST);
            return;
        }
        p = place(x->at, x->bits, page);
        *p = (struct executed_page){.page = page};
        x->found[p - x->at] = (struct executed_found){0};
        x->listed[x->count++] = (uint32_t)(p - x->at);
    }
    note(&x->found[p - x->at], p->spaces, UINT64_C(1) << space, what);
    p->spaces |= UINT64_C(1) << space;
    x->any |= UINT64_C(1) << space;
    filter_set(x, x->turn & 1, page);
}

uint64_t executed_by(const struct executed *x, uint64_t page)
{
    if (x->full)
        return ~UINT64_C(0);
    return x->at ? place(x->at, x->bits, page)->spaces : 0;
}

static uint64_t changed_at(const struct executed *x, uint32_t i, uint64_t spaces, executed_ask *ask,
                           void *context)
{
    const struct executed_found *f = &x->found[i];
    uint64_t changed = 0;
    for (uint64_t left = spaces & x->at[i].spaces; left; left &= left - 1) {
        unsigned space = (unsigned)__builtin_ctzll(left);
        uint64_t what = 0;
        for (uint32_t way = 0; way < EXECUTED_WAYS; way++)
            if (f->by[way] >> space & 1)
                what = f->what[way];
        if (!what || !ask(context, x->at[i].page, space, what))
            changed |= UINT64_C(1) << space;
    }
    return changed;
}

uint64_t executed_changed(const struct executed *x, uint64_t page, uint64_t spaces,
                          executed_ask *ask, void *context)
{
    if (x->full)
        return spaces;
    const struct executed_page *p = x->at ? place(x->at, x->bits, page) : NULL;
    return p && p->page == page ? changed_at(x, (uint32_t)(p - x->at), spaces, ask, context) : 0;
}

uint64_t executed_changed_any(const struct executed *x, uint64_t spaces, executed_ask *ask,
                              void *context)
{
    uint64_t changed = 0;
    if (x->full)
        return spaces;
    for (uint32_t n = 0; n < x->count && spaces & ~changed; n++)
        changed |= changed_at(x, x->listed[n], spaces & ~changed, ask, context);
    return changed;
}

void executed_drop(struct executed *x, uint64_t page, uint64_t spaces)
{
    struct executed_page *p = x->at ? place(x->at, x->bits, page) : NULL;
    if (p && p->page == page)
        p->spaces &= ~spaces;
}

uint64_t executed_spaces(const struct executed *x)
{
    return x->full ? ~UINT64_C(0) : x->any;
}

uint64_t executed_drop_all(struct executed *x, uint64_t spaces)
{
    uint64_t had = x->full ? ~UINT64_C(0) : 0;
    if (!(executed_spaces(x) & spaces))
        return 0;
    for (uint32_t n = 0; n < x->count; n++) {
        struct executed_page *p = &x->at[x->listed[n]];
        had |= p->spaces;
        p->spaces &= ~spaces;
    }
    x->any = had & ~spaces;
    if (!(had & ~spaces) && x->bits > LARGE_BITS) /* a large one is not gone through for nothing */
        executed_clear(x);
    return had & spaces;
}

void executed_clear(struct executed *x)
{
    free(x->at);
    free(x->found);
    free(x->listed);
    x->at = NULL;
    x->found = NULL;
    x->listed = NULL;
    x->bits = x->count = 0;
    x->any = 0;
    filter_renew(x);
    __atomic_store_n(&x->full, false, __ATOMIC_SEQ_CST);
}
