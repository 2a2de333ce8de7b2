/* Jump caches and far jumps: see jumps.h. */
#include "translator/code/jumps.h"

#include <stdlib.h>
#include <sys/mman.h>

#include "translator/code/spaces.h"

#define NO_PC (~UINT64_C(0)) /* no aligned pc */

enum { ENTRIES_BYTES = sizeof(struct gw_jump_entry) << GW_JC_BITS };

/* Cleared memory is empty too: 0 is an address that only the first entry could have. A program has one, nearly all
 * pages of which come into use, first read and then written: they are had at once and not by two faults each. */
static struct gw_jump_entry *entries_new(bool at_once)
{
    int populate = at_once ? MAP_POPULATE : 0;
    struct gw_jump_entry *entry = mmap(NULL, ENTRIES_BYTES, PROT_READ | PROT_WRITE,
                                       MAP_PRIVATE | MAP_ANONYMOUS | populate, -1, 0);
    if (entry == MAP_FAILED)
        return NULL;
    entry[0].pc = NO_PC;
    return entry;
}

bool jumps_open(struct jumps *j)
{
    j->far_bits = FAR_JUMP_BITS_FIRST;
    j->far = calloc(1u << j->far_bits, sizeof *j->far);
    return j->far != NULL;
}

void jumps_close(struct jumps *j)
{
    for (uint32_t i = 0; i < JC_POOL; i++)
        if (j->pool[i].entry)
            munmap(j->pool[i].entry, ENTRIES_BYTES);
    free(j->far);
}

/* Far jumps go by its new number. */
static void clear(struct jumps *j, struct jump_cache *jc)
{
    if (!++j->ids) { /* they have been used up: numbers of old mean nothing any more */
        memset(j->far, 0, sizeof *j->far << j->far_bits);
        j->ids = 1;
    }
    jc->id = j->ids;
    bool all = jc->fills > JC_FILLS;
    for (uint32_t i = 0; i < (all ? 1u << GW_JC_BITS : jc->fills); i++)
        __atomic_store_n(&jc->entry[all ? i : jc->filled[i]].pc, NO_PC, __ATOMIC_RELAXED);
    jc->fills = 0;
}

void jumps_clear(struct jumps *j)
{
    for (uint32_t i = 0; i < JC_POOL; i++)
        if (j->pool[i].valid)
            clear(j, &j->pool[i]);
}

void jumps_clear_of(struct jumps *j, uint64_t key, uint32_t gen)
{
    for (uint32_t i = 0; i < JC_POOL; i++) {
        struct jump_cache *jc = &j->pool[i];
        if (!jc->valid || (jc->key != key && !(jc->own && key == GLOBAL_KEY)))
            continue;
        clear(j, jc);
        if (jc->key == key)
            jc->gen = gen;
    }
}

static void drop_at(struct jumps *j, uint64_t pc, const void *code)
{
    for (uint32_t i = 0; i < JC_POOL; i++) {
        struct jump_cache *jc = &j->pool[i];
        struct gw_jump_entry *je = jc->valid ? &jc->entry[interp_jump_index(pc)] : NULL;
        if (je && __atomic_load_n(&je->code, __ATOMIC_SEQ_CST) == code)
            __atomic_store_n(&je->pc, NO_PC, __ATOMIC_RELEASE);
    }
}

/* Who runs anywhere may be in every place that an address with its offset in a page has. */
static void drop(struct jumps *j, const struct tb *tb, const void *code)
{
    drop_at(j, tb->pc, code);
    for (uint64_t page = 1; tb->anywhere && page < (2u << GW_JC_BITS) >> GW_PAGE_SHIFT; page++)
        drop_at(j, tb->pc + (page << GW_PAGE_SHIFT), code);
}

void jumps_drop(struct engine *e, const struct tb *tb)
{
    void *code = tb_entry(e->cc, tb);
    if (!code) /* in none */
        return;
    if (tb->interp) {
        drop(e->jumps, tb, code);
        return;
    }
    for (unsigned i = 0; i < e->world->vcpus; i++)
        if (e->world->engine[i])
            drop(e->world->engine[i]->jumps, tb, code);
}

/* --- selection ----------------------------------------------------------------------------------- */

static bool is_of(const struct engine *e, const struct jump_cache *jc, uint64_t key)
{
    return jc->valid && jc->key == key && jc->flags == e->flags &&
           jc->own == (e->view.kernel && key != GLOBAL_KEY);
}

uint64_t jumps_key(const struct engine *e, uint8_t hint)
{
    const struct jumps *j = e->jumps;
    if (!e->view.kernel || (j->own && is_of(e, &j->pool[hint], e->view.fetch_key)))
        return e->view.fetch_key;
    for (uint32_t i = 0; j->own && i < JC_POOL; i++)
        if (is_of(e, &j->pool[i], e->view.fetch_key))
            return e->view.fetch_key;
    return GLOBAL_KEY;
}

/* The one that was longest without use is given to it. */
static uint8_t take(struct engine *e, uint64_t key)
{
    struct jumps *j = e->jumps;
    uint32_t oldest = 0;
    for (uint32_t i = 0; i < JC_POOL; i++)
        if (j->pool[i].used < j->pool[oldest].used)
            oldest = i;
    struct jump_cache *jc = &j->pool[oldest];
    if (!jc->entry && !(jc->entry = entries_new(!e->cfg.bus && !e->world->shared)))
        abort(); /* 128 KiB: the host is out of memory */
    clear(j, jc);
    j->takes++;
    e->moves++;
    j->own -= jc->own;
    jc->own = e->view.kernel && key != GLOBAL_KEY;
    j->own += jc->own;
    jc->key = key;
    jc->flags = e->flags;
    jc->valid = true;
    return (uint8_t)oldest;
}

static void become_current(struct engine *e, struct jump_cache *jc)
{
    struct jumps *j = e->jumps;
    jc->used = ++j->tick;
    j->current = jc;
    e->run->jump_cache = jc->entry;
}

static uint32_t known_gen(const struct engine *e, uint64_t key)
{
    return key == GLOBAL_KEY ? e->adopted->gen_global : e->run->gen_space;
}

bool jumps_return(struct engine *e, uint8_t place)
{
    struct jump_cache *jc = &e->jumps->pool[place];
    if (jc->gen != known_gen(e, jc->key))
        return false;
    become_current(e, jc);
    return true;
}

bool jumps_go_on(struct engine *e, uint64_t key, uint8_t *hint)
{
    struct jumps *j = e->jumps;
    uint32_t gen = known_gen(e, key), i = *hint;
    for (uint32_t n = 0; !is_of(e, &j->pool[i], key); i = n++)
        if (n == JC_POOL)
            return false;
    struct jump_cache *jc = &j->pool[i];
    if (jc->gen != gen)
        clear(j, jc);
    *hint = (uint8_t)i;
    jc->gen = gen;
    become_current(e, jc);
    return true;
}

void jumps_select(struct engine *e, uint64_t key, uint8_t *hint)
{
    if (!jumps_go_on(e, key, hint)) {
        *hint = take(e, key);
        jumps_go_on(e, key, hint);
    }
}

/* --- filling, and far jumps ---------------------------------------------------------------------- */

/* Of a jump cache's number. */
static struct far_jump *far_slot(const struct jumps *j, uint64_t pc, uint32_t id)
{
    uint64_t h = (pc >> 1) * UINT64_C(0x9e3779b97f4a7c15) + id * UINT64_C(0xd6e8feb86659fd93);
    return &j->far[h >> (64 - j->far_bits)];
}

/* Without memory for it all stays as it is. */
static void far_grow(struct jumps *j)
{
    struct far_jump *old = j->far, *fresh = calloc(2u << j->far_bits, sizeof *fresh);
    j->far_fills = 0;
    if (!fresh)
        return;
    j->far = fresh;
    j->far_bits++;
    for (uint32_t i = 0; i < 1u << (j->far_bits - 1); i++)
        if (old[i].id)
            *far_slot(j, old[i].pc, old[i].id) = old[i];
    free(old);
}

static void far_put(struct jumps *j, uint64_t pc, uint32_t tb)
{
    if (j->far_bits < FAR_JUMP_BITS && ++j->far_fills > 1u << (j->far_bits - 3))
        far_grow(j);
    *far_slot(j, pc, j->current->id) = (struct far_jump){.pc = pc, .id = j->current->id, .tb = tb};
}

/* With the block that run.pc is the address of. */
static struct gw_jump_entry *fill(struct engine *e, const struct tb *tb)
{
    struct jump_cache *jc = e->jumps->current;
    uint32_t i = interp_jump_index(e->run->pc);
    struct gw_jump_entry *je = &jc->entry[i];
    if (jc->fills < JC_FILLS)
        jc->filled[jc->fills] = (uint16_t)i;
    jc->fills += jc->fills <= JC_FILLS;
    __atomic_store_n(&je->code, tb_entry(e->cc, tb), __ATOMIC_RELAXED);
    __atomic_store_n(&je->pc, e->run->pc, __ATOMIC_RELEASE);
    return je;
}

/* Puts a block in that is live. Who makes it stale says so and then takes it out of the caches: it is seen
 * there, or seen to be stale here. False: it is. */
static bool fill_live(struct engine *e, const struct tb *tb)
{
    struct gw_jump_entry *je = fill(e, tb);
    __atomic_thread_fence(__ATOMIC_SEQ_CST);
    if (tb_state(tb) == TB_LIVE)
        return true;
    __atomic_store_n(&je->pc, NO_PC, __ATOMIC_RELAXED);
    return false;
}

bool jumps_ready(const struct engine *e, uint32_t i, bool global)
{
    return tb_entry(e->cc, cc_tb(e->cc, i)) && (global || e->jumps->current->key != GLOBAL_KEY);
}

bool jumps_insert(struct engine *e, uint32_t i, bool global)
{
    struct jumps *j = e->jumps;
    struct tb *tb = cc_tb(e->cc, i);
    if (tb_state(tb) != TB_LIVE)
        return false;
    if (tb->once || (!tb_entry(e->cc, tb) && !cc_add_door(e, tb)))
        return true;
    if (!global && j->current->key == GLOBAL_KEY) {
        uint8_t at = 0;
        jumps_select(e, e->view.fetch_key, &at);
    }
    far_put(j, e->run->pc, i);
    return fill_live(e, tb);
}

bool jumps_far(struct engine *e)
{
    const struct jumps *j = e->jumps;
    const struct far_jump *f = far_slot(j, e->run->pc, j->current->id);
    if (f->pc != e->run->pc || f->id != j->current->id)
        return false;
    const struct tb *tb = cc_tb(e->cc, f->tb);
    if (tb_state(tb) != TB_LIVE || !fill_live(e, tb))
        return false;
    e->at = (struct entry){.code = (void *)(uintptr_t)tb_rx(e->cc, tb), .interp = tb->interp};
    return true;
}
