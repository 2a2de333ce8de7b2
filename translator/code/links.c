/* Links from branches to blocks: see links.h. */
#include "translator/code/links.h"

#include "translator/code/spaces.h"

static struct link *link_at(const struct code_cache *c, uint32_t i)
{
    return (struct link *)c->links.data + i;
}

bool links_add(struct code_cache *c, uint32_t owner, const struct gw_link_desc *d, uint32_t count)
{
    struct link *links = vec_push(&c->links, sizeof *links, count);
    if (count && !links)
        return false;
    for (uint32_t k = 0; k < count; k++)
        links[k] = (struct link){.d = d[k], .owner = owner, .to = NO_TB, .next_in = NO_TB};
    return true;
}

static void add_incoming(struct code_cache *c, struct tb *tb, uint32_t link)
{
    struct link *l = link_at(c, link);
    l->next_in = tb->in_first;
    l->prev_in = NO_TB;
    if (tb->in_first != NO_TB)
        link_at(c, tb->in_first)->prev_in = link;
    tb->in_first = link;
}

static void remove_incoming(struct code_cache *c, uint32_t link)
{
    struct link *l = link_at(c, link);
    if (l->prev_in == NO_TB)
        cc_tb(c, l->to)->in_first = l->next_in;
    else
        link_at(c, l->prev_in)->next_in = l->next_in;
    if (l->next_in != NO_TB)
        link_at(c, l->next_in)->prev_in = l->prev_in;
    l->to = NO_TB;
}

/* Of run.page, in the block that the vCPU has left by the link. */
static uint64_t page_left(const struct engine *e, const struct link *l)
{
    const uint64_t mask = ~(uint64_t)GW_PAGE_MASK;
    uint64_t pages = (l->d.target & mask) - (cc_tb(e->cc, l->owner)->pc & mask);
    return (e->run->pc & mask) - pages;
}

static void point(struct engine *e, const struct link *l, uint64_t target, bool global,
                  uint32_t gen)
{
    struct code_cache *c = e->cc;
    const struct tb *from = cc_tb(c, l->owner);
    /* To the stub, it may be another vCPU's thread. */
    e->cfg.backend->patch(c->mem.rw + from->code, tb_rx(c, from), &l->d, target, global, gen,
                          target ? page_left(e, l) : 0);
    cc_written(e, tb_rx(c, from) + l->d.jump_offset, 4);
    if (l->d.gen_offset)
        cc_written(e, tb_rx(c, from) + l->d.stub_offset + l->d.stub_jump, 4);
}

/* Another vCPU may have passed the guard and stand ahead of the jump, so the link gets another guard
 * only once each has been outside. */
static void point_to_stub(struct engine *e, struct link *l)
{
    point(e, l, 0, false, 0);
    if (e->world->shared && l->d.gen_offset)
        __atomic_store_n(&l->cut, __atomic_add_fetch(&e->world->cuts, 1, __ATOMIC_SEQ_CST),
                         __ATOMIC_RELAXED);
}

bool links_wait(struct engine *e, uint32_t link)
{
    cc_complete_count(e->cc); /* the link's block is whole */
    uint64_t cut = __atomic_load_n(&link_at(e->cc, link)->cut, __ATOMIC_RELAXED);
    return cut && !world_passed(e, cut);
}

/* Leads it to where another address space goes by it, and may again? Then it is left alone: this one has
 * its jump cache. A space that nobody has gone to for long gives it up. */
static bool is_of_another(const struct engine *e, const struct link *l)
{
    enum { LONG = 8 };
    const struct spaces *s = e->world->spaces;
    if (!l->d.gen_offset || l->space == GLOBAL_PAGES || l->space == e->adopted->current)
        return false;
    const struct space *of = &s->pool[l->space];
    return of->gen == l->gen && s->tick - __atomic_load_n(&of->used, __ATOMIC_RELAXED) < LONG;
}

/* Where one of both runs anywhere. On one page live blocks do not meet so. Who has one address does not set
 * run.page: it goes by the jump cache, whose doors do, behind a guard that holds no generation. */
static bool leads_to_other(struct engine *e, uint32_t link, const struct tb *tb)
{
    const uint32_t no_generation = UINT32_MAX;
    struct link *l = link_at(e->cc, link);
    const struct tb *from = cc_tb(e->cc, l->owner);
    if (!l->d.gen_offset)
        return false;
    if (!tb->anywhere)
        return true;
    if (l->to == NO_TB && l->gen != no_generation && !links_wait(e, link)) {
        l->gen = no_generation;
        point(e, l, tb_rx(e->cc, from) + l->d.stub_offset, false, l->gen);
    }
    return false;
}

bool links_make(struct engine *e, uint32_t link, uint32_t to, bool global)
{
    struct code_cache *c = e->cc;
    struct link *l = link_at(c, link);
    struct tb *tb = cc_tb(c, to);
    if (tb_state(tb) != TB_LIVE || cc_tb(c, l->owner)->once || tb->once)
        return false;
    if (cc_tb(c, l->owner)->anywhere != tb->anywhere && !leads_to_other(e, link, tb))
        return false;
    if (e->cfg.bus && (!spaces_latest(e, global) || (tb->paddr2 != NO_PADDR && !l->d.gen_offset)))
        return false;
    if (l->to != NO_TB) { /* taken because its guard no longer holds */
        if (!l->d.gen_offset)
            return true;
        if (is_of_another(e, l))
            return false;
        remove_incoming(c, link);
        if (e->world->shared)
            point_to_stub(e, l);
    }
    if (links_wait(e, link))
        return false;
    __atomic_store_n(&l->cut, 0, __ATOMIC_RELAXED);
    l->space = global ? GLOBAL_PAGES : (uint8_t)e->adopted->current;
    l->gen = global ? e->run->gen_global : e->run->gen_space;
    point(e, l, tb_rx(c, tb), global, l->gen);
    l->to = to;
    add_incoming(c, tb, link);
    e->stats.links++;
    return true;
}

void links_make_interp(struct engine *e, struct interp_link *il, uint32_t to, bool global)
{
    struct code_cache *c = e->cc;
    struct tb *tb = cc_tb(c, to);
    if (tb_state(tb) != TB_LIVE || tb->once)
        return;
    if (e->cfg.bus) {
        if (!spaces_latest(e, global))
            return;
        il->gen_cell = global ? &e->run->gen_global : &e->run->gen_space;
        il->gen = *il->gen_cell;
    }
    if (il->next == tb->interp) /* only the guard was out of date */
        return;
    struct link *l = vec_push(&c->links, sizeof *l, 1);
    if (!l)
        return;
    *l = (struct link){.il = il, .owner = NO_TB, .to = to};
    add_incoming(c, tb, c->links.count - 1);
    __atomic_store_n(&il->next, tb->interp, __ATOMIC_RELAXED);
    e->stats.links++;
}

void links_cut_off(struct engine *e, struct tb *tb)
{
    for (uint32_t k = tb->in_first; k != NO_TB;) {
        struct link *l = link_at(e->cc, k);
        uint32_t next = l->next_in;
        if (l->owner != NO_TB)
            point_to_stub(e, l);
        else if (l->il->next == tb->interp)
            __atomic_store_n(&l->il->next, NULL, __ATOMIC_RELAXED);
        l->to = NO_TB;
        k = next;
    }
    tb->in_first = NO_TB;
}
