/* Address spaces and generations: see spaces.h. */
#include "translator/code/spaces.h"

#include "translator/code/fetch.h"
#include "translator/code/jumps.h"
#include "translator/world.h"

void spaces_open(struct spaces *s)
{
    s->gen_global = ++s->gen_counter;
}

void spaces_close(struct spaces *s)
{
    executed_close(&s->executed);
}

void spaces_join(struct engine *e)
{
    struct spaces *s = e->world->spaces;
    e->run->gen_global = e->adopted->gen_global = s->gen_global;
    e->run->gen_space = 0; /* no space's */
    if (e->cfg.bus && !s->executed.filter[0])
        executed_open(&s->executed);
}

/* Whoever has changed one says so before it goes by that: who has not seen this sees the change, or is seen. */
static void has_changed(struct spaces *s)
{
    __atomic_fetch_add(&s->changes, 1, __ATOMIC_SEQ_CST);
}

/* --- pages that code ran from -------------------------------------------------------------------- */

enum { LARGE_SHIFT = 56 };

/* Mappings larger than a page are remembered as one, by their size and number. */
static uint64_t large_page(uint64_t vpage, unsigned shift)
{
    return vpage >> (shift - GW_PAGE_SHIFT) | (uint64_t)shift << LARGE_SHIFT;
}

/* The spaces in which code ran from the page, or from a larger mapping with it. */
static uint64_t executed_in(const struct spaces *s, uint64_t vpage)
{
    uint64_t spaces = executed_by(&s->executed, vpage);
    for (uint64_t left = s->large_shifts; left; left &= left - 1)
        spaces |= executed_by(&s->executed, large_page(vpage, (unsigned)__builtin_ctzll(left)));
    return spaces;
}

static void forget_executed(struct spaces *s, uint64_t vpage, uint64_t spaces)
{
    executed_drop(&s->executed, vpage, spaces);
    for (uint64_t left = s->large_shifts; left; left &= left - 1)
        executed_drop(&s->executed, large_page(vpage, (unsigned)__builtin_ctzll(left)), spaces);
}

/* What a walk found, of the whole mapping. 0: not known of all of the page. */
static uint64_t packed(const struct gw_xlate *x)
{
    unsigned shift = x->shift > GW_PAGE_SHIFT ? x->shift : GW_PAGE_SHIFT;
    uint64_t base = x->paddr >> shift << shift;
    return x->whole_page ? base | (uint64_t)x->global << 8 | shift : 0;
}

void spaces_executed(struct engine *e, uint64_t vpage, const struct gw_xlate *x, bool global)
{
    struct spaces *s = e->world->spaces;
    unsigned shift = x->shift;
    world_lock(e->world);
    unsigned space = global ? GLOBAL_PAGES : e->adopted->current;
    uint64_t page = shift > GW_PAGE_SHIFT ? large_page(vpage, shift) : vpage;
    if (shift > GW_PAGE_SHIFT)
        __atomic_fetch_or(&s->large_shifts, UINT64_C(1) << shift, __ATOMIC_SEQ_CST);
    executed_add(&s->executed, page, space, packed(x));
    world_unlock(e->world);
}

bool spaces_maybe_executed(const struct engine *e, uint64_t vpage)
{
    const struct spaces *s = e->world->spaces;
    if (executed_maybe(&s->executed, vpage))
        return true;
    for (uint64_t left = __atomic_load_n(&s->large_shifts, __ATOMIC_SEQ_CST); left;
         left &= left - 1)
        if (executed_maybe(&s->executed, large_page(vpage, (unsigned)__builtin_ctzll(left))))
            return true;
    return false;
}

/* --- selection ----------------------------------------------------------------------------------- */

/* A vCPU may run in it without having looked here for long. */
static bool in_use(const struct engine_world *w, uint32_t i)
{
    for (unsigned v = 0; v < w->vcpus; v++)
        if (w->engine[v] && __atomic_load_n(&w->engine[v]->adopted->current, __ATOMIC_SEQ_CST) == i)
            return true;
    return false;
}

/* The place that was longest without use, and is in none: there are more than vCPUs. */
static uint32_t oldest(const struct engine_world *w)
{
    const struct space *pool = w->spaces->pool;
    uint32_t oldest = SPACE_POOL;
    for (uint32_t i = 0; i < SPACE_POOL; i++)
        if ((oldest == SPACE_POOL || __atomic_load_n(&pool[i].used, __ATOMIC_RELAXED) <
                                         __atomic_load_n(&pool[oldest].used, __ATOMIC_RELAXED)) &&
            !in_use(w, i))
            oldest = i;
    return oldest;
}

/* A vCPU may go on in a space without the lock (spaces_go_on): it says so, and then looks whether the
 * space is there. Here its place is made invalid first; so one of the two sees the other. */
static uint32_t take(struct engine *e, const struct gw_view *v)
{
    struct spaces *s = e->world->spaces;
    uint32_t i = oldest(e->world);
    bool was = s->pool[i].valid;
    __atomic_store_n(&s->pool[i].valid, false, __ATOMIC_SEQ_CST);
    has_changed(s);
    while (in_use(e->world, i)) {
        __atomic_store_n(&s->pool[i].valid, was, __ATOMIC_SEQ_CST);
        i = oldest(e->world);
        was = s->pool[i].valid;
        __atomic_store_n(&s->pool[i].valid, false, __ATOMIC_SEQ_CST);
        has_changed(s);
    }
    /* Should the space that had the place come back, its generation is a new one, and what was fetched
     * in it is dropped. */
    executed_drop_all(&s->executed, UINT64_C(1) << i);
    struct space *place = &s->pool[i];
    __atomic_store_n(&place->key, v->fetch_key, __ATOMIC_RELAXED);
    __atomic_store_n(&place->rights, v->rights, __ATOMIC_RELAXED);
    place->asid = v->asid;
    __atomic_store_n(&s->tick, s->tick + 1, __ATOMIC_RELAXED);
    __atomic_store_n(&place->used, s->tick, __ATOMIC_RELAXED);
    __atomic_store_n(&place->gen, ++s->gen_counter, __ATOMIC_RELEASE);
    __atomic_store_n(&place->valid, true, __ATOMIC_SEQ_CST);
    return i;
}

static bool has(const struct spaces *s, uint32_t i, const struct gw_view *v)
{
    return __atomic_load_n(&s->pool[i].valid, __ATOMIC_SEQ_CST) &&
           __atomic_load_n(&s->pool[i].key, __ATOMIC_RELAXED) == v->fetch_key &&
           __atomic_load_n(&s->pool[i].rights, __ATOMIC_RELAXED) == v->rights;
}

/* Whoever gives the place to another space makes it invalid, and then looks at `current`. */
static bool go_to(struct engine *e, uint32_t i, const struct gw_view *v)
{
    struct spaces *s = e->world->spaces;
    __atomic_store_n(&e->adopted->current, i,
                     e->world->shared ? __ATOMIC_SEQ_CST : __ATOMIC_RELAXED);
    if (!has(s, i, v))
        return false;
    uint64_t tick = __atomic_load_n(&s->tick, __ATOMIC_RELAXED);
    if (__atomic_load_n(&s->pool[i].used, __ATOMIC_RELAXED) != tick) /* others read it too */
        __atomic_store_n(&s->pool[i].used, tick, __ATOMIC_RELAXED);
    return true;
}

bool spaces_go_on(struct engine *e, uint8_t *hint)
{
    const struct spaces *s = e->world->spaces;
    const struct gw_view *v = &e->view;
    uint32_t i = 0;
    if (has(s, e->adopted->current, v) || (has(s, *hint, v) && go_to(e, *hint, v)))
        return true;
    while (i < SPACE_POOL && !has(s, i, v))
        i++;
    *hint = (uint8_t)(i < SPACE_POOL ? i : 0);
    return i < SPACE_POOL && go_to(e, i, v);
}

void spaces_select(struct engine *e, uint8_t *hint)
{
    struct spaces *s = e->world->spaces;
    const struct gw_view *v = &e->view;
    if (has(s, e->adopted->current, v))
        return;
    if (!has(s, *hint, v)) {
        uint32_t i = 0;
        while (i < SPACE_POOL && !has(s, i, v))
            i++;
        *hint = (uint8_t)(i < SPACE_POOL ? i : take(e, v));
    }
    __atomic_store_n(&e->adopted->current, *hint, __ATOMIC_SEQ_CST);
    __atomic_store_n(&s->tick, s->tick + 1, __ATOMIC_RELAXED);
    __atomic_store_n(&s->pool[*hint].used, s->tick, __ATOMIC_RELAXED);
}

/* --- generations --------------------------------------------------------------------------------- */

enum { NO_LINKS_GEN = 0x7fffffff }; /* of no link's guard */

/* This vCPU goes by that one of global pages. */
static void know_global(struct engine *e, uint32_t gen)
{
    e->adopted->gen_global = gen;
    e->run->gen_global = e->adopted->apart ? NO_LINKS_GEN : gen;
}

/* Does another vCPU go by links to global pages? */
static bool others_have_global(const struct engine *e)
{
    const struct engine_world *w = e->world;
    for (unsigned v = 0; v < w->vcpus; v++)
        if (w->engine[v] && w->engine[v] != e && w->engine[v]->adopted->rights == w->spaces->rights)
            return true;
    return false;
}

/* Who is alone with its rights, as all have them that are set up one after the other, waits until nobody has the
 * others any more. */
static void claim_global(struct engine *e)
{
    struct spaces *s = e->world->spaces;
    world_lock(e->world);
    e->adopted->rights = e->view.rights;
    if (e->view.kernel && s->rights != e->view.rights && (!s->rights || !others_have_global(e))) {
        __atomic_store_n(&s->rights, e->view.rights, __ATOMIC_SEQ_CST);
        __atomic_store_n(&s->gen_global, ++s->gen_counter, __ATOMIC_RELEASE);
        has_changed(s);
    }
    world_unlock(e->world);
}

bool spaces_join_global(struct engine *e)
{
    const uint64_t *rights = &e->world->spaces->rights;
    if (!e->world->shared)
        return true;
    if (e->adopted->rights != e->view.rights ||
        (e->view.kernel && __atomic_load_n(rights, __ATOMIC_SEQ_CST) != e->view.rights))
        claim_global(e);
    e->adopted->apart = __atomic_load_n(rights, __ATOMIC_SEQ_CST) != e->view.rights;
    return !e->adopted->apart;
}

bool spaces_latest(const struct engine *e, bool global)
{
    const struct spaces *s = e->world->spaces;
    return global ? e->run->gen_global == s->gen_global
                  : e->run->gen_space == s->pool[e->adopted->current].gen;
}

/* Both of them, without the lock. */
static bool knows_latest(const struct engine *e)
{
    const struct spaces *s = e->world->spaces;
    return e->adopted->gen_global == __atomic_load_n(&s->gen_global, __ATOMIC_ACQUIRE) &&
           e->run->gen_space ==
               __atomic_load_n(&s->pool[e->adopted->current].gen, __ATOMIC_ACQUIRE);
}

/* What this vCPU fetched there, and keeps in its jump caches, is right if it has adopted the latest and nobody asks
 * again. */
bool spaces_return(struct engine *e, uint32_t place, const struct gw_view *v)
{
    const struct spaces *s = e->world->spaces;
    uint32_t gen;
    if (e->adopted->current == place ? !has(s, place, v) : !go_to(e, place, v))
        return false;
    if (__atomic_load_n(&s->doubtful, __ATOMIC_SEQ_CST) >> place & 1)
        return false;
    gen = __atomic_load_n(&s->pool[place].gen, __ATOMIC_ACQUIRE);
    if (e->adopted->gen_global != __atomic_load_n(&s->gen_global, __ATOMIC_ACQUIRE) ||
        e->adopted->seen[place] != gen)
        return false;
    e->run->gen_space = gen;
    return true;
}

/* Where they have moved without this vCPU, what it knows is from before, and goes when the numbers have been
 * read; what others' fences are to it is between them and it. */
void spaces_adopt(struct engine *e)
{
    const struct spaces *all = e->world->spaces;
    struct gw_vcpu *run = e->run;
    uint32_t *seen = &e->adopted->seen[e->adopted->current];
    const struct space *s = &all->pool[e->adopted->current]; /* stays, as it is current */
    if (!e->cfg.bus)
        return;
    uint32_t global = __atomic_load_n(&all->gen_global, __ATOMIC_ACQUIRE);
    uint32_t gen = __atomic_load_n(&s->gen, __ATOMIC_ACQUIRE);
    if (e->adopted->gen_global != global || *seen != gen)
        fetch_forget(e->fetches); /* this vCPU's own fences have done so, by the page */
    if (e->adopted->gen_global != global)
        jumps_clear_of(e->jumps, GLOBAL_KEY, global);
    if (*seen != gen)
        jumps_clear_of(e->jumps, __atomic_load_n(&s->key, __ATOMIC_RELAXED), gen);
    know_global(e, global);
    run->gen_space = *seen = gen;
}

/* A fence that is not counted here yet is seen behind the walk; what others wrote before one that is counted,
 * by the walk. */
uint64_t spaces_before_walk(struct engine *e)
{
    uint64_t fences = __atomic_load_n(&e->world->spaces->fences, __ATOMIC_SEQ_CST);
    spaces_adopt(e);
    return fences;
}

/* A space whose generation a fence has moved. */
struct moved {
    uint64_t key;
    uint32_t space, gen;
    bool knew; /* this vCPU knew the one before */
};

static void move(struct engine *e, uint32_t i, struct moved *m)
{
    struct spaces *s = e->world->spaces;
    uint32_t *gen = i == GLOBAL_PAGES ? &s->gen_global : &s->pool[i].gen;
    *m = (struct moved){.key = i == GLOBAL_PAGES ? GLOBAL_KEY : s->pool[i].key,
                        .space = i,
                        .gen = ++s->gen_counter,
                        .knew = *gen ==
                                (i == GLOBAL_PAGES ? e->adopted->gen_global : e->adopted->seen[i])};
    __atomic_store_n(gen, m->gen, __ATOMIC_RELEASE);
    has_changed(s);
}

/* What this vCPU fetched from there is dropped already; so if it knew the latest generation, it may go
 * on to the next at once. */
static void go_on_to(struct engine *e, const struct moved *m)
{
    if (!m->knew)
        return;
    jumps_clear_of(e->jumps, m->key, m->gen);
    if (m->space == GLOBAL_PAGES) {
        know_global(e, m->gen);
        return;
    }
    e->adopted->seen[m->space] = m->gen;
    if (m->space == e->adopted->current)
        e->run->gen_space = m->gen;
}

/* --- asking again -------------------------------------------------------------------------------- */

/* How often in one answer, since it is given under the lock. */
enum { MOST_ASKED = 1024 };

struct asker {
    struct engine *e;
    unsigned left;
};

/* Would the guest's tables, as this vCPU sees them, still lead there? */
static bool is_as_found(void *context, uint64_t page, unsigned space, uint64_t what)
{
    struct asker *a = context;
    const struct guest_isa *isa = a->e->cfg.isa;
    unsigned shift = (unsigned)(page >> LARGE_SHIFT);
    uint64_t number = page & ((UINT64_C(1) << LARGE_SHIFT) - 1);
    uint64_t key = space == GLOBAL_PAGES ? 0 : a->e->world->spaces->pool[space].key;
    struct gw_xlate x;
    return a->left && a->left-- &&
           isa->refetch(a->e->cfg.cpu, key, space == GLOBAL_PAGES,
                        number << (shift ? shift : GW_PAGE_SHIFT), &x) &&
           packed(&x) == what;
}

/* Those of the spaces whose tables this vCPU can ask: they are those that it goes by. */
static uint64_t can_ask(const struct engine *e, uint64_t spaces)
{
    const struct guest_isa *isa = e->cfg.isa;
    uint64_t can = 0;
    for (uint64_t left = isa->refetch ? spaces : 0; left; left &= left - 1) {
        unsigned i = (unsigned)__builtin_ctzll(left);
        if (isa->refetch(e->cfg.cpu, i == GLOBAL_PAGES ? 0 : e->world->spaces->pool[i].key,
                         i == GLOBAL_PAGES, 0, NULL))
            can |= UINT64_C(1) << i;
    }
    return can;
}

/* Those of the spaces, whose tables can be asked, where code from the page (or from any) would be other code. */
static uint64_t changed(struct engine *e, uint64_t vpage, bool all, uint64_t spaces)
{
    const struct spaces *s = e->world->spaces;
    struct asker a = {.e = e, .left = MOST_ASKED};
    if (!spaces || all)
        return spaces ? executed_changed_any(&s->executed, spaces, is_as_found, &a) : 0;
    uint64_t moved = executed_changed(&s->executed, vpage, spaces, is_as_found, &a);
    for (uint64_t left = s->large_shifts; left; left &= left - 1)
        moved |= executed_changed(&s->executed, large_page(vpage, (unsigned)__builtin_ctzll(left)),
                                  spaces, is_as_found, &a);
    return moved;
}

/* Of spaces that a fence is about: those whose generation has to move. Where the tables lead to what all have
 * found, it need not. Of a space that this vCPU is not in, who comes there next asks. */
static uint64_t concerned(struct engine *e, uint64_t vpage, bool all, uint64_t spaces)
{
    uint64_t asked = can_ask(e, spaces);
    uint64_t here = UINT64_C(1) << e->adopted->current | UINT64_C(1) << GLOBAL_PAGES;
    uint64_t later = e->cfg.isa->refetch ? spaces & ~asked & ~here : 0;
    if (later) {
        __atomic_fetch_or(&e->world->spaces->doubtful, later, __ATOMIC_SEQ_CST);
        has_changed(e->world->spaces);
    }
    return (spaces & ~asked & ~later) | changed(e, vpage, all, asked);
}

/* --- fences -------------------------------------------------------------------------------------- */

/* The spaces that a fence is about; global pages survive that of one ASID. Spaces also hold some
 * (user-mode global pages), and dropping those is allowed. */
static uint64_t spaces_of(const struct spaces *s, uint64_t asid, bool asid_all)
{
    uint64_t spaces = asid_all ? UINT64_C(1) << GLOBAL_PAGES : 0;
    for (uint32_t i = 0; i < SPACE_POOL; i++)
        if (s->pool[i].valid && (asid_all || s->pool[i].asid == asid))
            spaces |= UINT64_C(1) << i;
    return spaces;
}

/* Other pages of a space stay known as executed, since what was fetched from them stays too. Pages leave
 * the table when the generation has moved: who does not find one there knows by its own. Returns how many
 * spaces have moved. */
static uint32_t fence(struct engine *e, uint64_t vpage, bool all, bool tables, uint64_t spaces,
                      struct moved *moved)
{
    struct spaces *s = e->world->spaces;
    uint32_t n = 0;
    spaces &= all ? executed_spaces(&s->executed) : executed_in(s, vpage);
    if (tables)
        spaces = concerned(e, vpage, all, spaces);
    for (uint64_t left = spaces; left; left &= left - 1)
        move(e, (uint32_t)__builtin_ctzll(left), &moved[n++]);
    if (all)
        executed_drop_all(&s->executed, spaces);
    else
        forget_executed(s, vpage, spaces);
    return n;
}

void spaces_count_fence(struct engine_world *w)
{
    struct spaces *s = w->spaces;
    __atomic_store_n(&s->fences, s->fences + 1, w->shared ? __ATOMIC_SEQ_CST : __ATOMIC_RELAXED);
}

/* Nothing ran from there by what this vCPU may still go by; it knows of all that other fences did. The guest's
 * tables are as it wrote them (views_flush). */
static bool is_of_data(const struct engine *e, uint64_t vpage)
{
    return !spaces_maybe_executed(e, vpage) && knows_latest(e);
}

/* Others come there without the lock: they find it doubtful, or adopt what has become of it. */
void spaces_ask_again(struct engine *e)
{
    struct spaces *s = e->world->spaces;
    uint64_t space = UINT64_C(1) << e->adopted->current;
    struct moved moved;
    bool moves;
    if (!(__atomic_load_n(&s->doubtful, __ATOMIC_SEQ_CST) & space))
        return;
    world_lock(e->world);
    spaces_adopt(e);
    moves = s->doubtful & space && (!can_ask(e, space) || changed(e, 0, true, space));
    if (moves) { /* what was fetched was dropped by the page alone, so all goes */
        fetch_forget(e->fetches);
        spaces_count_fence(e->world);
        move(e, e->adopted->current, &moved);
        executed_drop_all(&s->executed, space);
    }
    __atomic_fetch_and(&s->doubtful, ~space, __ATOMIC_SEQ_CST);
    world_unlock(e->world);
    if (moves)
        go_on_to(e, &moved);
}

bool spaces_fence(struct engine *e, uint64_t vpage, enum spaces_fence_of of, uint64_t asid,
                  bool asid_all)
{
    struct spaces *s = e->world->spaces;
    struct moved moved[SPACE_POOL + 1];
    uint32_t n;
    bool vpage_all = of != FENCE_OF_PAGE;
    if (!vpage_all && is_of_data(e, vpage))
        return false;
    world_lock(e->world);
    bool knew = knows_latest(e);
    spaces_adopt(e);
    spaces_count_fence(e->world);
    if (s->executed.full) { /* everything goes once, and it starts anew */
        fetch_forget(e->fetches);
        n = fence(e, 0, true, false, spaces_of(s, 0, true), moved);
        executed_clear(&s->executed);
    } else {
        n = fence(e, vpage, vpage_all, of != FENCE_OF_ALL, spaces_of(s, asid, asid_all), moved);
    }
    world_unlock(e->world);
    for (uint32_t i = 0; i < n; i++)
        go_on_to(e, &moved[i]);
    return n != 0 || !knew;
}
