/*
 * Which pages code was fetched from, and by which address spaces: so a fence of a page knows at once
 * whether it concerns code at all, and whose. It may name too many, never too few. Derived data;
 * who owns a table says under which lock it is. A filter beside it, of a bit for each of many pages, says
 * without the lock of most pages that they are not in it. docs/model/executed.pml.
 */
#ifndef TRANSLATOR_CODE_EXECUTED_H
#define TRANSLATOR_CODE_EXECUTED_H

#include <stdbool.h>
#include <stdint.h>

/* A word has a bit for each space, and one for global pages. */
enum { SPACE_POOL = 63, GLOBAL_PAGES = SPACE_POOL };
enum { EXECUTED_WAYS = 3 };

struct executed_page {
    uint64_t page;   /* or NO_PAGE */
    uint64_t spaces; /* bit n: by space n; bit GLOBAL_PAGES: as a global page */
};
/* What walks of the guest's tables found there, and the spaces in which all of them found just that. */
struct executed_found {
    uint64_t what[EXECUTED_WAYS], by[EXECUTED_WAYS];
};
struct executed {
    struct executed_page *at;     /* 1 << bits, at most three quarters full; NULL: nothing yet */
    struct executed_found *found; /* of each of them */
    uint32_t *listed; /* where each of the pages is, so that a small part of the table is gone through quickly */
    unsigned bits;
    uint32_t count; /* of pages, such as no space has any more too */
    uint64_t any;   /* spaces in which any page was executed, and perhaps others */
    bool full;      /* atomic: some are missing: any page may be in it */
    /* Two filters; the one of `turn` counts, while the other one is made anew. Atomic, both. */
    uint64_t *filter[2]; /* NULL: any page may be in it */
    uint32_t turn;
};

/* Makes the filters, of a table that is empty; without memory for them all is asked under the lock. */
void executed_open(struct executed *x);
void executed_close(struct executed *x);

/* what: the walk found that; 0: nothing that could be found again. */
void executed_add(struct executed *x, uint64_t page, unsigned space, uint64_t what);
/* False: no space has the page. Without the lock. Who changes a page asks after that, with a full fence
 * between the two; who looks at it enters it before. */
bool executed_maybe(const struct executed *x, uint64_t page);
/* As long as it is the same, each page that executed_maybe() was true of stays so. Without the lock. */
uint32_t executed_turn(const struct executed *x);
/* The spaces that the page was executed in, and perhaps others. */
uint64_t executed_by(const struct executed *x, uint64_t page);
/* Would a walk find `what` there now? */
typedef bool executed_ask(void *context, uint64_t page, unsigned space, uint64_t what);
/* Those of the spaces in which code ran from the page, or from any, that would find something else there now
 * than all have found that were entered since it was dropped; and perhaps others. */
uint64_t executed_changed(const struct executed *x, uint64_t page, uint64_t spaces,
                          executed_ask *ask, void *context);
uint64_t executed_changed_any(const struct executed *x, uint64_t spaces, executed_ask *ask,
                              void *context);
void executed_drop(struct executed *x, uint64_t page, uint64_t spaces);
/* The spaces in which any page was executed, and perhaps others. */
uint64_t executed_spaces(const struct executed *x);
/* Returns those of the spaces in which any page was executed. */
uint64_t executed_drop_all(struct executed *x, uint64_t spaces);
void executed_clear(struct executed *x);

#endif
