/* The code cache's memory: see cache.h. */
#include "translator/code/cache.h"

#include <stdlib.h>
#include <sys/mman.h>

#include "translator/code/jumps.h"
#include "translator/code/links.h"
#include "translator/code/pages.h"
#include "translator/code/table.h"

enum { SMALLEST = 65536, OF_MACHINE = 128 << 20, OF_PROGRAM = 64 << 20 };

static enum gw_status emit_runtime(struct engine *e, struct gw_error *err)
{
    struct code_cache *c = e->cc;
    enum gw_status st =
        e->cfg.backend->emit_runtime(&e->bcfg, &e->rt, c->mem.rw, c->mem.size, c->mem.rx, &c->ep);
    if (st != GW_OK)
        return gw_fail(err, st, NULL, "the code cache is too small");
    cc_written(e, c->mem.rx, c->ep.size);
    c->runtime_size = (c->ep.size + 63) & ~63u;
    c->mem.used = c->runtime_size;
    return GW_OK;
}

static enum gw_status open_memory(struct engine *e, size_t size, struct gw_error *err)
{
    struct code_cache *c = e->cc;
    if (e->cfg.backend)
        return code_mem_open(&c->mem, size, err);
    void *p = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE,
                   -1, 0);
    if (p == MAP_FAILED)
        return gw_fail(err, GW_ERR_NOMEM, NULL, "out of memory for translated code");
    c->interp_mem = p;
    c->interp_size = size;
    return GW_OK;
}

static void close_memory(struct code_cache *c)
{
    code_mem_close(&c->mem);
    if (c->interp_mem)
        munmap(c->interp_mem, c->interp_size);
    c->interp_mem = NULL;
}

/* The default size is a wish: under a limit on address space it is halved until it can be had, and
 * once more, so that the guest is left something too. */
static enum gw_status open_any(struct engine *e, struct gw_error *err)
{
    struct code_cache *c = e->cc;
    size_t size = c->wanted;
    enum gw_status st = open_memory(e, size, err);
    if (st == GW_OK || e->cfg.code_cache_bytes)
        return st;
    while (st != GW_OK && size / 2 >= CODE_CACHE_FLOOR) {
        size /= 2;
        st = open_memory(e, size, err);
    }
    if (st == GW_OK && size / 2 >= CODE_CACHE_FLOOR) {
        close_memory(c);
        st = open_memory(e, size / 2, err);
    }
    return st;
}

size_t engine_code_cache_bytes(const struct engine *e, size_t *wanted)
{
    *wanted = e->cc->wanted;
    return e->cfg.backend ? e->cc->mem.size : e->cc->interp_size;
}

/* Where several vCPUs share the cache, what belongs to its blocks is read without the lock, so it stays in
 * place. An array may be full before the memory is, as that may be: then the cache is emptied. Where
 * address space was scarce already, none is spent: all is read under the lock there. */
static void fix_arrays(const struct engine *e)
{
    enum { TB = 48, LINK = 32, ROW = 8, GUEST = 4 }; /* bytes of code for each, at least */
    struct code_cache *c = e->cc;
    if (!e->world->shared || e->interp || c->mem.size < c->wanted)
        return;
    c->fixed = vec_fix(&c->tbs, sizeof(struct tb), (uint32_t)(c->mem.size / TB)) &&
               vec_fix(&c->places, sizeof(uint64_t), (uint32_t)(c->mem.size / TB)) &&
               vec_fix(&c->links, sizeof(struct link), (uint32_t)(c->mem.size / LINK)) &&
               vec_fix(&c->rows, sizeof(struct gw_row), (uint32_t)(c->mem.size / ROW)) &&
               vec_fix(&c->guests, sizeof(int32_t), (uint32_t)(c->mem.size / GUEST));
}

enum gw_status cc_open(struct engine *e, struct gw_error *err)
{
    if (!e->interp)
        e->cc = e->world->cc;
    struct code_cache *c = e->cc;
    if (c->table) /* another vCPU has opened it */
        return GW_OK;
    size_t size = e->cfg.code_cache_bytes;
    if (size < SMALLEST)
        size = size ? SMALLEST : e->cfg.bus ? OF_MACHINE : OF_PROGRAM;
    c->wanted = size;
    if (!table_open(c) || !pages_open(c))
        return gw_fail(err, GW_ERR_NOMEM, NULL, "out of memory");
    enum gw_status st = open_any(e, err);
    if (st == GW_OK)
        fix_arrays(e);
    if (st == GW_OK && e->cfg.backend)
        st = emit_runtime(e, err);
    return st;
}

void cc_close(struct code_cache *c)
{
    close_memory(c);
    table_close(c);
    pages_close(c);
    vec_free(&c->tbs);
    vec_free(&c->places);
    vec_free(&c->links);
    vec_free(&c->rows);
    vec_free(&c->guests);
}

void cc_flush(struct engine *e)
{
    struct code_cache *c = e->cc;
    struct engine_world *w = e->world;
    pages_clear(e);
    table_clear(c);
    __atomic_store_n(&c->complete, 0, __ATOMIC_RELEASE);
    c->tbs.count = c->places.count = c->links.count = c->rows.count = c->guests.count = 0;
    c->mem.used = c->runtime_size;
    c->doors = c->doors_end = 0;
    c->interp_used = 0;
    c->flushes++;
    for (unsigned i = 0; i < w->vcpus; i++)
        if (w->engine[i] && w->engine[i]->cc == c)
            jumps_clear(w->engine[i]->jumps);
    e->stats.code_flushes++;
}

void cc_share(struct engine *e)
{
    struct code_cache *c = e->cc;
    cc_flush(e);
    vec_free(&c->tbs);
    vec_free(&c->places);
    vec_free(&c->links);
    vec_free(&c->rows);
    vec_free(&c->guests);
    fix_arrays(e);
}

bool cc_add(struct code_cache *c)
{
    if (!vec_push(&c->tbs, sizeof(struct tb), 1))
        return false;
    if (vec_push(&c->places, sizeof(uint64_t), 1))
        return true;
    c->tbs.count--;
    return false;
}

void cc_complete(struct code_cache *c, uint32_t i)
{
    const struct tb *tb = cc_tb(c, i);
    __atomic_store_n((uint64_t *)c->places.data + i, (uint64_t)tb->code << 32 | tb->size,
                     __ATOMIC_RELAXED);
    if (i >= c->complete) /* else there are others behind it already */
        __atomic_store_n(&c->complete, i + 1, __ATOMIC_RELEASE);
}

bool cc_add_door(struct engine *e, struct tb *tb)
{
    enum { AT_ONCE = 16 };
    struct code_cache *c = e->cc;
    if (c->doors == c->doors_end) {
        if (!code_mem_reserve(&c->mem, AT_ONCE * GW_DOOR_BYTES))
            return false;
        c->doors = (uint32_t)c->mem.used;
        c->doors_end = c->doors + AT_ONCE * GW_DOOR_BYTES;
        c->mem.used += cc_room(AT_ONCE * GW_DOOR_BYTES);
    }
    e->cfg.backend->door(c->mem.rw + c->doors, c->mem.rx + c->doors, tb_rx(c, tb));
    cc_written(e, c->mem.rx + c->doors, GW_DOOR_BYTES);
    __atomic_store_n(&tb->door, c->doors, __ATOMIC_RELEASE);
    c->doors += GW_DOOR_BYTES;
    return true;
}

void cc_drop_last(struct code_cache *c, uint32_t i)
{
    if (i + 1 != c->tbs.count || !cc_tb(c, i)->once)
        return;
    const struct tb *tb = cc_tb(c, i);
    __atomic_store_n(&c->complete, i, __ATOMIC_RELEASE);
    c->guests.count = tb->guest_first;
    if (tb->interp) {
        c->interp_used = tb->interp_at;
    } else {
        c->rows.count = tb->row_first;
        c->links.count = tb->link_first;
        if (c->mem.used == tb->code + cc_room(tb->size)) /* no doors came behind it */
            c->mem.used = tb->code;
    }
    c->tbs.count = c->places.count = i;
}
