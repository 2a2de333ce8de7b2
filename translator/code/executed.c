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

static struct executed_page *place(struct executed_page *at, unsigned bits, uint64_t page)
{
    uint32_t mask = (1u << bits) - 1;
    uint32_t i = (uint32_t)(page * UINT64_C(0x9e3779b97f4a7c15) >> (64 - bits));
    while (at[i].page != page && at[i].page != NO_PAGE)
        i = (i + 1) & mask;
    return &at[i];
}

/* A table with room for one more page. False: there is none, or it would be too large. */
static bool renew(struct executed *x)
{
    uint32_t cap = x->at ? 1u << x->bits : 0, live = 0;
    for (uint32_t i = 0; i < cap; i++)
        live += x->at[i].page != NO_PAGE && x->at[i].spaces;
    unsigned bits = FIRST_BITS;
    while (live >= 1u << (bits - 1))
        bits++;
    struct executed_page *fresh = bits > MOST_BITS ? NULL : malloc(sizeof *fresh << bits);
    if (!fresh)
        return false;
    for (uint32_t i = 0; i < 1u << bits; i++)
        fresh[i] = (struct executed_page){.page = NO_PAGE};
    for (uint32_t i = 0; i < cap; i++)
        if (x->at[i].page != NO_PAGE && x->at[i].spaces)
            *place(fresh, bits, x->at[i].page) = x->at[i];
    free(x->at);
    *x = (struct executed){.at = fresh, .bits = bits, .count = live};
    return true;
}

void executed_add(struct executed *x, uint64_t page, unsigned space)
{
    if (x->full) /* until it is cleared */
        return;
    struct executed_page *p = x->at ? place(x->at, x->bits, page) : NULL;
    if (!p || p->page != page) {
        if ((!p || x->count >= 3u << (x->bits - 2)) && !renew(x)) {
            x->full = true;
            return;
        }
        p = place(x->at, x->bits, page);
        *p = (struct executed_page){.page = page};
        x->count++;
    }
    p->spaces |= UINT64_C(1) << space;
}

uint64_t executed_by(const struct executed *x, uint64_t page)
{
    if (x->full)
        return ~UINT64_C(0);
    return x->at ? place(x->at, x->bits, page)->spaces : 0;
}

void executed_drop(struct executed *x, uint64_t page, uint64_t spaces)
{
    struct executed_page *p = x->at ? place(x->at, x->bits, page) : NULL;
    if (p && p->page == page)
        p->spaces &= ~spaces;
}

uint64_t executed_drop_all(struct executed *x, uint64_t spaces)
{
    uint64_t had = x->full ? ~UINT64_C(0) : 0;
    for (uint32_t i = 0; x->at && i < 1u << x->bits; i++) {
        had |= x->at[i].spaces;
        x->at[i].spaces &= ~spaces;
    }
    if (!(had & ~spaces) && x->bits > LARGE_BITS) /* a large one is not gone through for nothing */
        executed_clear(x);
    return had & spaces;
}

void executed_clear(struct executed *x)
{
    free(x->at);
    *x = (struct executed){0};
}
