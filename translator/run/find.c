/* The next block: see find.h. */
#include "translator/run/find.h"

#include "translator/code/breaks.h"
#include "translator/code/fetch.h"
#include "translator/code/jumps.h"
#include "translator/code/links.h"
#include "translator/code/pages.h"
#include "translator/code/spaces.h"
#include "translator/code/table.h"
#include "translator/code/translate.h"
#include "translator/memory/protect.h"
#include "translator/run/host_fault.h"
#include "translator/world.h"

/* What is to be found, and where its bytes are. */
struct wanted {
    struct tb_id id;
    struct itlb_entry it;
    uint32_t limit; /* as find_block's */
    unsigned more;  /* bytes that the first instruction, or its group, takes of the next page */
    const uint8_t *next; /* that page */
    uint8_t begin[64];   /* such an instruction or group, put together */
    const uint8_t
        *copy;     /* of its bytes, where another thread of the program may unmap them meanwhile */
    uint32_t size; /* of its bytes, as many as there are for a block; 0: see reach() */
};

/* --- where its bytes are ------------------------------------------------------------------------- */

static const uint8_t *bytes_at(const struct wanted *q)
{
    if (q->copy)
        return q->copy;
    return q->more ? q->begin : q->it.host + (q->id.pc & GW_PAGE_MASK);
}

/* Bytes that a block at pc needs of the next page: its first instruction straddles. */
static unsigned straddles(struct engine *e, uint64_t pc, const uint8_t *host_page)
{
    const struct guest_isa *isa = e->cfg.isa;
    unsigned left = GW_PAGE_SIZE - (unsigned)(pc & GW_PAGE_MASK), need;
    if (!e->cfg.bus || !isa->insn_bytes || left >= isa->max_insn_bytes)
        return 0;
    need = isa->insn_bytes(host_page + (pc & GW_PAGE_MASK));
    return need > left ? need - left : 0;
}

/* The same of a group, which may be cut off where the page ends. */
static unsigned group_straddles(struct engine *e, uint64_t pc, const uint8_t *host_page)
{
    const struct guest_isa *isa = e->cfg.isa;
    unsigned left = GW_PAGE_SIZE - (unsigned)(pc & GW_PAGE_MASK), need;
    if (!e->cfg.bus || left >= isa->max_group_bytes || left < isa->max_insn_bytes)
        return 0;
    need = isa->group_bytes(host_page + (pc & GW_PAGE_MASK));
    return need > left ? need - left : 0;
}

static unsigned takes_more(struct engine *e, uint64_t pc, const uint8_t *host_page)
{
    unsigned more = straddles(e, pc, host_page);
    return more ? more : group_straddles(e, pc, host_page);
}

/* Where a straddling instruction goes on. False: its second page can't be fetched. If one page is
 * global and the other is not, no one generation tells of both: it is not remembered. */
static bool second_page(struct engine *e, struct wanted *q, struct gw_fault *fault)
{
    const struct itlb_entry *next = fetch_page(e, (q->id.pc | GW_PAGE_MASK) + 1, fault);
    if (!next)
        return false;
    q->next = next->host;
    q->id.paddr2 = next->ppage << GW_PAGE_SHIFT;
    if (q->it.global != next->global)
        q->limit = 1;
    return true;
}

/* The same of a group. It stays whole where its second page is as the first: else it is cut off. */
static void second_page_of_group(struct engine *e, struct wanted *q)
{
    struct gw_fault fault;
    unsigned more = q->limit ? 0 : group_straddles(e, q->id.pc, q->it.host);
    const struct itlb_entry *next =
        more ? fetch_page(e, (q->id.pc | GW_PAGE_MASK) + 1, &fault) : NULL;
    if (!next || next->split || next->global != q->it.global)
        return;
    q->more = more;
    q->next = next->host;
    q->id.paddr2 = next->ppage << GW_PAGE_SHIFT;
}

static bool locate(struct engine *e, struct wanted *q, struct gw_fault *fault)
{
    uint64_t pc = e->run->pc;
    const struct itlb_entry *it = fetch_page(e, pc, fault);
    if (!it)
        return false;
    if (it->split) { /* an instruction at a time, none of which is remembered */
        if (!fetch_allowed(e, pc, it, fault))
            return false;
        q->limit = 1;
    }
    q->it = *it;
    q->id = (struct tb_id){.pc = pc,
                           .paddr = it->ppage << GW_PAGE_SHIFT | (pc & GW_PAGE_MASK),
                           .paddr2 = NO_PADDR,
                           .flags = e->flags};
    q->more = straddles(e, pc, q->it.host);
    if (q->more && !second_page(e, q, fault))
        return false;
    if (!q->more)
        second_page_of_group(e, q);
    q->copy = NULL;
    q->size = e->cfg.bus ? GW_PAGE_SIZE - (uint32_t)(pc & GW_PAGE_MASK) + q->more : 0;
    return true;
}

/* Puts together what lies on two pages. False: it is of another length now. */
static bool assemble(struct engine *e, struct wanted *q)
{
    unsigned at = (unsigned)(q->id.pc & GW_PAGE_MASK), left = GW_PAGE_SIZE - at;
    if (!q->more)
        return true;
    memcpy(q->begin, q->it.host + at, left);
    memcpy(q->begin + left, q->next, q->more);
    return takes_more(e, q->id.pc, q->it.host) == q->more;
}

/* What may be fetched, by user mode's list, and yet not be there: a file has ended. */
static bool readable(struct engine *e, const uint8_t *at)
{
    struct host_faults *f = e->faults;
    bool ok = sigsetjmp(f->back, 0) == 0;
    f->guarded = ok;
    if (ok)
        (void)*(const volatile uint8_t *)at;
    f->guarded = 0;
    return ok;
}

/* Bytes of a program that may go while they are looked at. */
static bool copied(struct engine *e, uint8_t *to, const uint8_t *from, size_t size)
{
    struct host_faults *f = e->faults;
    bool ok = sigsetjmp(f->back, 0) == 0;
    f->guarded = ok;
    if (ok)
        memcpy(to, from, size);
    f->guarded = 0;
    return ok;
}

static bool may_go_on_behind(struct engine *e, const struct wanted *q, const uint8_t *last)
{
    const struct guest_isa *isa = e->cfg.isa;
    unsigned most = isa->max_insn_bytes - isa->insn_align;
    return isa->insn_bytes && isa->insn_bytes(last) > isa->insn_align &&
           (!e->cfg.fetch_ok ||
            e->cfg.fetch_ok(e->cfg.opaque, (q->id.pc | GW_PAGE_MASK) + 1, most));
}

/* The same as reach() where several threads are, with a copy. */
static bool reach_copy(struct engine *e, struct wanted *q)
{
    const struct guest_isa *isa = e->cfg.isa;
    uint8_t *copy = e->fetches->copy;
    const uint8_t *at = q->it.host + (q->id.pc & GW_PAGE_MASK), *border = q->it.host + GW_PAGE_SIZE;
    uint32_t size = (uint32_t)(border - at), most = isa->max_insn_bytes - isa->insn_align;
    bool whole = size <= FETCH_COPY - most;
    if (!whole)
        size = FETCH_COPY - most;
    if (!copied(e, copy, at, size))
        return false;
    if (whole && may_go_on_behind(e, q, copy + size - isa->insn_align) &&
        copied(e, copy + size, border, most))
        size += most;
    q->copy = copy;
    q->size = size;
    return true;
}

/* In user mode the next page is right behind. An instruction that begins on the page may go on there if
 * it may be executed; if none does, it is not looked at. Before bytes are read. False: there are none. */
static bool reach(struct engine *e, struct wanted *q)
{
    const struct guest_isa *isa = e->cfg.isa;
    const uint8_t *at = bytes_at(q), *border = q->it.host + GW_PAGE_SIZE;
    unsigned most = isa->max_insn_bytes - isa->insn_align;
    if (q->size)
        return true;
    if (e->world->shared)
        return reach_copy(e, q);
    if (!readable(e, at))
        return false;
    q->size = (uint32_t)(border - at);
    if (may_go_on_behind(e, q, border - isa->insn_align) && readable(e, border))
        q->size += most;
    return true;
}

/* --- looking up, making -------------------------------------------------------------------------- */

/* May blocks of the page be made or revived now? They may where it is protected, or can be: then it
 * is. */
static bool page_ready(struct engine *e, uint64_t paddr)
{
    if (!e->cfg.bus || paddr == NO_PADDR)
        return true;
    if (e->world->shared && !e->stopped && !protect_stands(e, paddr, GW_RAM_CODE))
        return false;
    protect_page(e, paddr, GW_RAM_CODE);
    return true;
}

static bool is_live(struct engine *e, uint32_t i, struct wanted *q)
{
    const struct tb *tb = cc_tb(e->cc, i);
    return tb_state(tb) == TB_LIVE ||
           (reach(e, q) && tb->code_bytes <= q->size && pages_revive(e, i, bytes_at(q)));
}

static uint32_t look_up(struct engine *e, struct wanted *q)
{
    struct table_look look = table_look(e->cc, &q->id);
    uint32_t i;
    while ((i = table_next(e->cc, &look)) != NO_TB && !is_live(e, i, q))
        ;
    return i;
}

/* A first guess at programs' code: what was linked for one address is low, what is put where there is room is
 * high, and will be somewhere else in the next process. */
static bool is_of_one_address(uint64_t pc)
{
    return pc < UINT64_C(1) << 32;
}

/* The same of a program's, which is of the page's kind; sets that. Blocks of one address are shared by all spaces
 * that have the page there. */
static uint32_t look_up_program(struct engine *e, struct wanted *q)
{
    const struct tb *other = pages_program(e, q->id.paddr);
    if (other) {
        bool moved = !other->anywhere && (other->pc ^ q->id.pc) >> GW_PAGE_SHIFT;
        if (moved)
            pages_leave_address(e, q->id.paddr);
        q->id.anywhere = moved || other->anywhere;
        return look_up(e, q);
    }
    q->id.anywhere = true; /* as it was before the page changed */
    uint32_t i = look_up(e, q);
    if (i == NO_TB && !e->cfg.moving_code) {
        q->id.anywhere = false;
        i = look_up(e, q);
        q->id.anywhere = i == NO_TB && !is_of_one_address(q->id.pc);
    }
    return i;
}

static uint32_t look_up_any(struct engine *e, struct wanted *q)
{
    return e->anywhere ? look_up_program(e, q) : look_up(e, q);
}

/* A block that was made becomes one that can be found. */
static void publish(struct engine *e, const struct wanted *q, uint32_t i, const uint8_t *bytes)
{
    struct tb *tb = cc_tb(e->cc, i);
    tb->paddr = q->id.paddr;
    tb->paddr2 = q->id.paddr2;
    tb->once = q->limit != 0;
    if (!tb->once) {
        tb->hash = pages_hash(bytes, tb->code_bytes);
        tb->once = !pages_list(e, i);
    }
    cc_complete(e->cc, i);
    if (!tb->once)
        table_add(e->cc, i);
}

static bool stand(struct engine *e, const struct wanted *q)
{
    return protect_stands(e, q->id.paddr, GW_RAM_CODE) &&
           (q->id.paddr2 == NO_PADDR || protect_stands(e, q->id.paddr2, GW_RAM_CODE));
}

static uint32_t make(struct engine *e, struct wanted *q, struct gw_fault *fault)
{
    if (!reach(e, q)) {
        *fault = (struct gw_fault){.vaddr = q->id.pc, .access = GW_ACCESS_FETCH};
        return NO_TB;
    }
    e->ir->anywhere = q->id.anywhere;
    uint32_t i = translate(e, q->id.pc, bytes_at(q), q->size, q->limit, fault);
    if (i == NO_TB)
        return NO_TB;
    if (!q->limit) { /* again, if the cache was emptied: that lets go of all pages */
        page_ready(e, q->id.paddr);
        page_ready(e, q->id.paddr2);
    }
    publish(e, q, i, bytes_at(q));
    return i;
}

static void enter_at(struct engine *e, uint32_t i, bool global)
{
    const struct tb *tb = cc_tb(e->cc, i);
    e->at = (struct entry){.code = (void *)(uintptr_t)tb_rx(e->cc, tb),
                           .interp = tb->interp,
                           .tb = i,
                           .once = tb->once,
                           .global = global};
}

/* The lock is let go while it is made. If a page has changed meanwhile, or there is no room, all is done again with
 * the world stopped; if another vCPU has made the block, that one is taken. A page of a program may have become
 * one of the other kind. */
static uint32_t make_apart(struct engine *e, struct wanted *q, struct gw_fault *fault)
{
    bool kind = q->id.anywhere;
    e->ir->anywhere = kind;
    uint32_t made = NO_TB;
    world_unlock(e->world);
    bool whole = translate_apart(e, q->id.pc, bytes_at(q), q->size, fault);
    world_lock(e->world);
    if (!whole) { /* an instruction of another length, perhaps, that was written meanwhile */
        e->needs_stop = !stand(e, q);
        return NO_TB;
    }
    for (unsigned turn = 0; turn < 2; turn++) {
        if (!stand(e, q)) {
            e->needs_stop = true;
            return NO_TB;
        }
        uint32_t i = look_up_any(e, q);
        if (i != NO_TB)
            return i;
        if (q->id.anywhere != kind)
            return make(e, q, fault);
        if (turn == 0 && (made = translate_end(e)) == NO_TB)
            return NO_TB;
    }
    tb_becomes(cc_tb(e->cc, made), TB_LIVE);
    publish(e, q, made, translate_bytes(e));
    return made;
}

/* Under the lock. */
static bool find_or_make(struct engine *e, struct wanted *q, struct gw_fault *fault)
{
    uint32_t i = q->limit ? NO_TB : look_up_any(e, q);
    if (i == NO_TB)
        i = !q->limit && translate_begin(e) ? make_apart(e, q, fault) : make(e, q, fault);
    if (i == NO_TB)
        return false;
    enter_at(e, i, q->it.global);
    return true;
}

/* What leads to a block that was found, from then on. */
struct from {
    enum { FROM_NOTHING, FROM_JUMP, FROM_LINK } kind;
    uint64_t link;    /* the branch that was not linked */
    uint64_t flushes; /* it is none any more, if the cache was emptied since */
};

/* Under the lock that the block was found under. */
static void lead_here(struct engine *e, const struct from *from)
{
    const struct entry *at = &e->at;
    if (from->kind == FROM_NOTHING || (from->kind == FROM_LINK && from->flushes != e->cc->flushes))
        return;
    if (from->kind == FROM_LINK && e->interp)
        links_make_interp(e, (struct interp_link *)(uintptr_t)from->link, at->tb, at->global);
    else if (from->kind == FROM_JUMP || !links_make(e, (uint32_t)from->link, at->tb, at->global))
        jumps_insert(e, at->tb, at->global);
}

static uint32_t live(const struct engine *e, const struct tb_id *id)
{
    struct table_look look = table_look(e->cc, id);
    uint32_t i;
    while ((i = table_next(e->cc, &look)) != NO_TB && tb_state(cc_tb(e->cc, i)) != TB_LIVE)
        ;
    return i;
}

/* The block that is wanted, if there is a live one: without the lock, which is taken for a link to it, and where the
 * jump cache is not ready for it. It is found by what a walk led to that no fence came into; one that becomes stale
 * from now on may run once more, as on any other vCPU, but nothing leads to it. False: under the lock. */
static bool found_live(struct engine *e, const struct wanted *q, uint64_t fences,
                       const struct from *from)
{
    const struct engine_world *w = e->world;
    struct tb_id id = q->id;
    if (!w->shared || !e->cc->fixed || q->limit || q->more)
        return false;
    uint32_t i = live(e, &id);
    id.anywhere = e->anywhere;
    if (i == NO_TB && e->anywhere) /* whichever kind its page is of */
        i = live(e, &id);
    if (i == NO_TB || fences != __atomic_load_n(&w->spaces->fences, __ATOMIC_SEQ_CST))
        return false;
    enter_at(e, i, q->it.global);
    if (from->kind == FROM_JUMP && jumps_ready(e, i, q->it.global))
        return jumps_insert(e, i, q->it.global);
    if (from->kind != FROM_NOTHING) {
        world_lock(e->world);
        lead_here(e, from);
        world_unlock(e->world);
    }
    return true;
}

/* False: *fault, or e->needs_stop. */
static bool look(struct engine *e, uint32_t limit, const struct from *from, struct gw_fault *fault)
{
    struct engine_world *w = e->world;
    struct wanted q = {.limit = limit};
    bool found = false;
    e->stats.lookups++;
    e->needs_stop = false;
    for (;;) {
        uint64_t fences = spaces_before_walk(e);
        if (!locate(e, &q, fault))
            return false;
        if (found_live(e, &q, fences, from))
            return true;
        world_lock(w);
        if (fences == w->spaces->fences) {
            e->needs_stop = !q.limit && (!page_ready(e, q.id.paddr) || !page_ready(e, q.id.paddr2));
            if (e->needs_stop)
                break;
            if (assemble(e, &q)) {
                found = find_or_make(e, &q, fault);
                if (found)
                    lead_here(e, from);
                break;
            }
        }
        world_unlock(w);
        fetch_forget(e->fetches);
    }
    world_unlock(w);
    return found;
}

/* Looks again with the world stopped, where all can be done that the lookup needs: pages protected,
 * the code cache emptied. The block runs at least once, whatever others do to it then. */
static bool look_stopped(struct engine *e, uint32_t limit, const struct from *from,
                         struct gw_fault *fault)
{
    world_stop_from(e);
    bool found = look(e, limit, from, fault);
    world_resume_from(e);
    return found;
}

/* Does the vCPU stop at run.pc? Who does not goes past a breakpoint by that one instruction. */
static bool meets_break(struct engine *e, uint32_t *limit)
{
    uint32_t vcpus = breaks_at(e->world->breaks, e->run->pc);
    if (breaks_near(e->world->breaks, e->run->pc, e->anywhere))
        *limit = 1;
    if (!vcpus)
        return false;
    bool pass = e->passing && e->pass_pc == e->run->pc;
    e->passing = false;
    return vcpus >> e->cfg.index & 1 && !pass;
}

static enum found find(struct engine *e, uint32_t limit, const struct from *from)
{
    struct gw_fault fault;
    if (e->world->breaks->count && meets_break(e, &limit))
        return FOUND_BREAK;
    if (look(e, limit, from, &fault) || (e->needs_stop && look_stopped(e, limit, from, &fault)))
        return FOUND_BLOCK;
    e->run->fault = fault;
    e->run->fault_pc = e->run->pc;
    if (!e->cfg.bus)
        return FOUND_FAULT;
    e->cfg.isa->raise(e->cfg.cpu, &fault);
    e->run->leave = GW_LEAVE_NONE;
    return FOUND_HANDLER;
}

enum found find_block(struct engine *e, uint32_t limit)
{
    return find(e, limit, &(struct from){.kind = FROM_NOTHING});
}

/* --- near and far -------------------------------------------------------------------------------- */

/*
 * The block at run.pc by this vCPU's jump cache, as generated code finds it: without the lock. Where a
 * fence or a change of code by others matters to this vCPU, they wait until it has looked, on its way
 * here, or empty the entry themselves.
 */
void *find_near(const struct gw_vcpu *run)
{
    const struct gw_jump_entry *je = &run->jump_cache[interp_jump_index(run->pc)];
    return __atomic_load_n(&je->pc, __ATOMIC_ACQUIRE) == run->pc ? je->code : NULL;
}

/* Or by what the jump cache had before: see rule 6 of docs/map-protocol.md too. A branch that was not
 * linked is to be now, unless it has to wait for other vCPUs. */
static bool find_far(struct engine *e, enum gw_exit_kind x)
{
    bool indirect = x == GW_EXIT_INDIRECT;
    if (!indirect && (e->interp || !e->world->shared))
        return false;
    if (!e->cc->fixed)
        world_lock(e->world);
    bool found = (indirect || links_wait(e, (uint32_t)e->run->exit_link)) && jumps_far(e);
    if (!e->cc->fixed)
        world_unlock(e->world);
    return found;
}

enum found find_first(struct engine *e)
{
    void *code = find_near(e->run);
    if (code)
        e->at = (struct entry){.code = code, .interp = code};
    if (code || find_far(e, GW_EXIT_INDIRECT))
        return FOUND_BLOCK;
    return find(e, 0, &(struct from){.kind = FROM_JUMP});
}

enum found find_next(struct engine *e, enum gw_exit_kind x)
{
    bool once = e->at.once; /* no link leads from it or to it */
    if (!once && find_far(e, x))
        return FOUND_BLOCK;
    struct from from = {.kind = once                ? FROM_NOTHING
                                : x == GW_EXIT_LINK ? FROM_LINK
                                                    : FROM_JUMP,
                        .link = e->run->exit_link,
                        .flushes = e->cc->flushes};
    enum found found = find(e, 0, &from);
    if (found == FOUND_BLOCK) {
        e->stats.exits_link += from.kind == FROM_LINK;
        e->stats.indirect_misses += from.kind == FROM_JUMP;
    }
    return found;
}

void find_drop(struct engine *e)
{
    world_lock(e->world);
    cc_drop_last(e->cc, e->at.tb);
    world_unlock(e->world);
}
