/*
 * Address spaces that code is fetched in, and the generations of their mappings.
 *
 * Model. gen_global and each space's gen are compared by links that leave their page: a link made
 * under one generation is followed under that generation only. A fence that may concern a page from
 * which code ran moves the generation; `executed` says whether it may. Numbers are drawn from one
 * counter and never used twice.
 *
 * Spaces and generations are the world's, and under its lock. What a vCPU runs under (run.gen_*,
 * `adopted`) is its own copy. It takes a newer one only together with dropping its fetch translations
 * and jump caches of the space, and makes links only while its copy is the latest; so a link's guard
 * names a generation that began before the walk that the link rests on.
 *
 * Links are all vCPUs', and tables are not all that says what may be fetched: PMP is each vCPU's own. So a space
 * is one of certain rights (gw_view.rights), and gen_global guards links of vCPUs that have the same ones.
 *
 * docs/map-protocol.md; docs/model/generations.pml, executed.pml.
 */
#ifndef TRANSLATOR_CODE_SPACES_H
#define TRANSLATOR_CODE_SPACES_H

#include "translator/code/executed.h"
#include "translator/world.h"

struct space {
    uint64_t key, rights, asid, used;
    uint32_t gen;
    bool valid;
};

/* The world's, under its lock; a vCPU may go on in a space that it knows without. */
struct spaces {
    struct space pool[SPACE_POOL];
    struct executed executed;
    uint64_t large_shifts; /* bit n: code ran from a mapping of 2^n bytes */
    uint32_t gen_global, gen_counter;
    uint64_t rights; /* atomic: of the vCPUs that have links to global pages; 0: nobody has */
    uint64_t fences; /* atomic: so far; a walk that one of them came into is made again */
    uint64_t doubtful; /* atomic; a bit for each: a fence came in another space, and is not answered yet */
    uint64_t changes;  /* atomic: how often one was given away or became doubtful, or a generation moved */
    uint64_t tick;
};

/* A vCPU's. */
struct adopted {
    uint32_t current;          /* space; atomic, others read it */
    uint32_t seen[SPACE_POOL]; /* generation of each when this vCPU last dropped what it knew */
    uint32_t gen_global;       /* the same of global pages */
    uint64_t rights;           /* under the lock: gw_view.rights when they were looked at last */
    bool apart;                /* others' links to global pages are not for it */
};

void spaces_open(struct spaces *s);
void spaces_close(struct spaces *s);
/* The vCPU is new, and has fetched nothing; no other runs yet. */
void spaces_join(struct engine *e);

/* The view is a new one; ahead of spaces_adopt(). False: this vCPU has other rights than those who have links to
 * global pages, so it has no such pages: they are its space's, which nobody with other rights has. */
bool spaces_join_global(struct engine *e);
/* Is the space of e->view there still? Then it is current; *hint: where it was last. Without the lock. False:
 * spaces_select(). */
bool spaces_go_on(struct engine *e, uint8_t *hint);
/* The same of a space that was in that place of the pool, where no fence has come since this vCPU was there. */
bool spaces_return(struct engine *e, uint32_t place, const struct gw_view *v);
static inline uint64_t spaces_changes(const struct engine *e)
{
    return __atomic_load_n(&e->world->spaces->changes, __ATOMIC_SEQ_CST);
}
/* The same where nothing has become of any space since there were so many changes. */
static inline bool spaces_stay(struct engine *e, uint32_t place, uint64_t changes)
{
    if (e->adopted->current != place)
        __atomic_store_n(&e->adopted->current, place,
                         e->world->shared ? __ATOMIC_SEQ_CST : __ATOMIC_RELAXED);
    return spaces_changes(e) == changes;
}
/* Under the lock. The space of e->view becomes current; *hint: where it was last. */
void spaces_select(struct engine *e, uint8_t *hint);
/* Takes the latest generations. Without the lock: what others draw meanwhile comes after. */
void spaces_adopt(struct engine *e);
/* The same ahead of a walk of the guest's tables. Returns spaces.fences, as they were before: if they are not
 * the same behind the walk, under the lock, a fence came into it. */
uint64_t spaces_before_walk(struct engine *e);
/* Does this vCPU know the latest, of global pages or of its space? Under the lock. */
bool spaces_latest(const struct engine *e, bool global);
/* Code runs from vaddr's page, by what a walk has found: a fence of it must be noticed. Takes the lock
 * itself. A fence of a page that code may not have run from takes none, and nobody who walks the guest's
 * tables meanwhile learns of it. So the page is walked again behind this, unless it was one that code may
 * have run from ever since before the walk: while executed_turn() is the same. */
void spaces_executed(struct engine *e, uint64_t vpage, const struct gw_xlate *x, bool global);
bool spaces_maybe_executed(const struct engine *e, uint64_t vpage);
/* A fence of one page (or all) in one ASID (or all): the generation moves where code ran from there. What this
 * vCPU fetched from there is dropped already. True: it knows another generation than before, by this fence or by
 * another's that it learns of here, so nothing that was fetched may be gone on in. Takes the lock itself. */
enum spaces_fence_of {
    FENCE_OF_PAGE,
    FENCE_OF_TABLES, /* of all pages: what the guest's tables say */
    FENCE_OF_ALL,    /* and all else that fetches depend on */
};
/* What a walk has found meanwhile is to be looked for again. Under the lock; with one vCPU nobody's is under way. */
void spaces_count_fence(struct engine_world *w);
bool spaces_fence(struct engine *e, uint64_t vpage, enum spaces_fence_of of, uint64_t asid,
                  bool asid_all);
/* The vCPU's current space is about to be run in: fences of it that came in other spaces are answered now.
 * Ahead of spaces_adopt(). Takes the lock itself. */
void spaces_ask_again(struct engine *e);

#endif
