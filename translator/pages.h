/* Page numbers, and spans of them. */
#ifndef TRANSLATOR_PAGES_H
#define TRANSLATOR_PAGES_H

#include <stdbool.h>
#include <stdint.h>

#include "godwit/bus.h"

#define NO_PADDR (~UINT64_C(0)) /* as a physical address */
#define NO_PAGE  (~UINT64_C(0)) /* as a page's number */

/* Page numbers that mappings larger than a page may cover: first > last when there are none. */
struct page_span {
    uint64_t first, last;
};
static inline void span_clear(struct page_span *s)
{
    *s = (struct page_span){.first = ~UINT64_C(0), .last = 0};
}
static inline void span_add(struct page_span *s, uint64_t page, unsigned shift)
{
    uint64_t mask = (UINT64_C(1) << (shift - GW_PAGE_SHIFT)) - 1;
    if ((page & ~mask) < s->first)
        s->first = page & ~mask;
    if ((page | mask) > s->last)
        s->last = page | mask;
}
static inline bool span_has(const struct page_span *s, uint64_t page)
{
    return page >= s->first && page <= s->last;
}

#endif
