/* From guest bytes to a block in the code cache. */
#include "translator/code/translate.h"

#include <errno.h>
#include <stdlib.h>
#include <time.h>

#include "translator/code/breaks.h"
#include "translator/code/links.h"
#include "translator/ir/pass.h"

static uint64_t now_ns(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

/* --- dumps --------------------------------------------------------------------------------------- */

/* Why it failed first is known right behind what failed. */
static void note_lost(struct engine_dump *d)
{
    if (!d->error && ferror(d->out))
        d->error = errno ? errno : EIO;
}

int engine_dump_end(struct engine_dump *d, bool close)
{
    FILE *out = d->out;
    if (!out)
        return 0;
    d->out = NULL;
    errno = 0;
    if ((close ? fclose(out) : fflush(out)) != 0 && !d->error)
        d->error = errno ? errno : EIO;
    return d->error;
}

static void dump_decode(struct engine *e, const uint8_t *code)
{
    struct engine_dump *d = e->cfg.dump;
    const struct ir_block *b = e->ir;
    fprintf(d->out, "block %#llx, %u instructions, flags %#x\n", (unsigned long long)b->pc,
            b->guest_count, b->flags);
    for (uint32_t g = 0; g < b->guest_count; g++) {
        uint64_t at = (uint64_t)(int64_t)(int32_t)b->guest[g].pc_offset;
        char text[96];
        unsigned len;
        e->cfg.isa->disasm(text, sizeof text, b->pc + at, code + at, b->guest[g].len, &len);
        fprintf(d->out, "  %llx:  %s\n", (unsigned long long)(b->pc + at), text);
    }
    note_lost(d);
}

static void dump_text(struct engine *e, FILE *out)
{
    size_t size = ir_print(e->ir, NULL, 0) + 1;
    char *text = malloc(size);
    if (!text)
        return;
    ir_print(e->ir, text, size);
    fputs(text, out);
    free(text);
}

static void dump_ir(struct engine *e, const char *title)
{
    struct engine_dump *d = e->cfg.dump;
    fprintf(d->out, "%s\n", title);
    dump_text(e, d->out);
    note_lost(d);
}

static void dump_host(struct engine *e, const uint8_t *code, uint64_t base, uint32_t size)
{
    struct engine_dump *d = e->cfg.dump;
    fprintf(d->out, "host at %#llx, %u bytes, %u instructions on the hot path of %u bytes\n",
            (unsigned long long)base, size, e->job->host_insns, e->job->hot_size);
    for (uint32_t at = 0; at < size;) {
        char text[128] = "";
        unsigned len = 0;
        if (d->host_disasm)
            d->host_disasm(text, sizeof text, base + at, code + at, size - at, &len);
        if (!len) {
            len = size - at < 16 ? size - at : 16;
            for (unsigned k = 0; k < len; k++)
                snprintf(text + 3 * k, 4, "%02x ", code[at + k]);
        }
        fprintf(d->out, "  %s+%05x:  %s\n", at < e->job->hot_size ? "hot " : "cold", at, text);
        at += len;
    }
    note_lost(d);
}

/* --- lifting ------------------------------------------------------------------------------------- */

static enum gw_lift_status lift(struct engine *e, uint64_t pc, const uint8_t *bytes, uint32_t size,
                                uint32_t limit)
{
    struct gw_lift_request rq = {
        .cpu = e->cfg.cpu,
        .block = e->ir,
        .code = bytes,
        .code_size = size,
        .page_left = GW_PAGE_SIZE - (uint32_t)(pc & GW_PAGE_MASK),
        .max_guest = limit,
        .trace = e->cfg.trace,
        .unroll = e->cfg.no_fold ? 1 : 4,
    };
    e->ir->no_fold = e->cfg.no_fold;
    e->ir->keeps_dependencies = e->world->shared;
    ir_begin(e->ir, pc, e->flags);
    e->ir->helpers = e->cfg.isa->helpers;
    return e->cfg.isa->lift(&rq);
}

/* --- emission ------------------------------------------------------------------------------------ */

enum { BOUND = 2048, BOUND_EACH = 96 }; /* bytes of code: of a block, and of each IR operation */
_Static_assert(BOUND + IR_MAX_INSNS * BOUND_EACH <= GW_BLOCK_BYTES, "rows have room");

/* Code for offset `at` of code memory, with links from `link` on, written to out. */
static enum gw_status compile(struct engine *e, uint8_t *out, size_t cap, size_t at, uint32_t link)
{
    const struct code_cache *c = e->cc;
    struct gw_compile_job *j = e->job;
    j->cfg = &e->bcfg;
    j->ep = &c->ep;
    j->runtime_base = c->mem.rx;
    j->block = e->ir;
    j->out = out;
    j->base = c->mem.rx + at;
    j->cap = cap;
    j->link_base = link;
    return e->cfg.backend->compile(j);
}

/* What was compiled last has its place at the end of code memory, and all that belongs to it. */
static bool take_place(struct engine *e, struct tb *tb)
{
    struct code_cache *c = e->cc;
    const struct gw_compile_job *j = e->job;
    struct gw_row *rows = vec_push(&c->rows, sizeof *rows, j->row_count);
    if ((j->row_count && !rows) || !links_add(c, c->tbs.count - 1, j->links, j->link_count))
        return false;
    if (j->row_count)
        memcpy(rows, j->rows, j->row_count * sizeof *rows);
    tb->code = (uint32_t)c->mem.used;
    tb->size = j->size;
    tb->row_first = c->rows.count - j->row_count;
    tb->row_count = j->row_count;
    tb->link_first = c->links.count - j->link_count;
    tb->link_count = j->link_count;
    c->mem.used += cc_room(j->size);
    e->stats.host_bytes += j->size;
    e->stats.host_insns += j->host_insns;
    return true;
}

static bool emit_host(struct engine *e, struct tb *tb, enum gw_status *st)
{
    struct code_cache *c = e->cc;
    const struct gw_compile_job *j = e->job;
    size_t bound = BOUND + (size_t)e->ir->count * BOUND_EACH;
    *st = GW_ERR_NOMEM;
    if (!code_mem_reserve(&c->mem, bound))
        return false;
    *st = compile(e, c->mem.rw + c->mem.used, bound, c->mem.used, c->links.count);
    if (*st == GW_OK)
        cc_written(e, j->base, j->size);
    if (*st == GW_OK && !take_place(e, tb))
        *st = GW_ERR_NOMEM;
    if (*st != GW_OK)
        return false;
    if (e->cfg.dump && e->cfg.dump->what & ENGINE_DUMP_HOST)
        dump_host(e, j->out, j->base, j->size);
    return true;
}

static bool emit_interp(struct engine *e, struct tb *tb, enum gw_status *st)
{
    struct code_cache *c = e->cc;
    size_t used = 0;
    *st = interp_compile(e->interp, e->ir, c->interp_mem + c->interp_used,
                         c->interp_size - c->interp_used, &used, &tb->interp);
    if (*st != GW_OK) {
        *st = GW_ERR_NOMEM;
        return false;
    }
    tb->interp_at = c->interp_used;
    c->interp_used += (used + 15) & ~(size_t)15;
    return true;
}

/* All of the block but its code. */
static bool describe(struct engine *e, struct tb *tb)
{
    struct code_cache *c = e->cc;
    int32_t *g = vec_push(&c->guests, sizeof *g, e->ir->guest_count);
    if (!g)
        return false;
    for (uint32_t k = 0; k < e->ir->guest_count; k++)
        g[k] = (int32_t)e->ir->guest[k].pc_offset;
    *tb = (struct tb){
        .pc = e->ir->pc,
        .flags = e->flags,
        .in_first = NO_TB,
        .guest_first = c->guests.count - e->ir->guest_count,
        .guest_count = (uint16_t)e->ir->guest_count,
        .code_bytes = (uint16_t)e->ir->code_bytes,
        .state = TB_LIVE,
        .anywhere = e->ir->anywhere,
        .paddr2 = NO_PADDR,
    };
    return true;
}

static bool emit(struct engine *e, uint32_t i, enum gw_status *st)
{
    struct tb *tb = cc_tb(e->cc, i);
    *st = GW_ERR_NOMEM;
    if (!describe(e, tb))
        return false;
    return e->cfg.backend ? emit_host(e, tb, st) : emit_interp(e, tb, st);
}

static void dump_lifted(struct engine *e, const uint8_t *code)
{
    const struct engine_dump *d = e->cfg.dump;
    if (d && d->what & ENGINE_DUMP_DECODE)
        dump_decode(e, code);
    if (d && d->what & ENGINE_DUMP_IR)
        dump_ir(e, "ir");
}

static void check_ir(struct engine *e, const char *when)
{
    struct gw_error err;
    if (!e->cfg.verify || ir_verify_for(e->ir, e->cfg.isa, &err) == GW_OK)
        return;
    fprintf(stderr, "godwit: bug: IR of block %#llx %s: %s: %s\n", (unsigned long long)e->ir->pc,
            when, err.object, err.message);
    dump_text(e, stderr);
    abort();
}

/* Of the block that was lifted: instructions in front of a breakpoint that is not at its start. */
static uint32_t before_break(const struct engine *e)
{
    const struct ir_block *b = e->ir;
    const struct breaks *breaks = e->world->breaks;
    uint32_t n = 1;
    if (!breaks->count)
        return b->guest_count;
    while (n < b->guest_count &&
           !breaks_near(breaks, b->pc + (uint64_t)(int64_t)(int32_t)b->guest[n].pc_offset,
                        b->anywhere))
        n++;
    return n;
}

static void pass(struct engine *e)
{
    if (!e->ir->overflow)
        check_ir(e, "after lifting");
    ir_liveness(e->ir);
    if (!e->ir->overflow)
        check_ir(e, "after liveness");
}

/* One try. False: *st says why not. */
static bool make(struct engine *e, const uint8_t *bytes, enum gw_status *st)
{
    struct code_cache *c = e->cc;
    dump_lifted(e, bytes);
    pass(e);
    if (e->cfg.dump && e->cfg.dump->what & ENGINE_DUMP_OPT)
        dump_ir(e, "opt");
    *st = GW_ERR_NOMEM;
    if (!cc_add(c))
        return false;
    if (e->ir->overflow)
        *st = GW_ERR_LIMIT;
    else if (emit(e, c->tbs.count - 1, st))
        return true;
    c->tbs.count = --c->places.count;
    return false;
}

/* Of how many guest instructions a block is made at most. */
static uint32_t most_insns(const struct engine *e)
{
    return e->cfg.max_guest_insns ? e->cfg.max_guest_insns : 64;
}

/* Lifts a block that has no breakpoint but at its start. False: *fault is that of the next page. */
static bool lift_to_break(struct engine *e, uint64_t pc, const uint8_t *bytes, uint32_t size,
                          uint32_t *most, struct gw_fault *fault)
{
    for (;;) {
        if (lift(e, pc, bytes, size, *most) == GW_LIFT_NEED_PAGE) {
            *fault = (struct gw_fault){.vaddr = (pc | GW_PAGE_MASK) + 1, .access = GW_ACCESS_FETCH};
            return false;
        }
        uint32_t before = before_break(e);
        if (before == e->ir->guest_count)
            return true;
        *most = before;
    }
}

/* It was too much for one block: half of it. */
static uint32_t fewer(uint32_t most)
{
    if (most == 1)
        abort(); /* no single instruction may be too large: a bug of ours */
    return most > 2 ? most / 2 : 1;
}

static void count(struct engine *e, uint64_t start)
{
    e->stats.translated_blocks++;
    e->stats.translated_insns += e->ir->guest_count;
    if (e->cfg.time_translation)
        e->stats.translate_ns += now_ns() - start;
}

uint32_t translate(struct engine *e, uint64_t pc, const uint8_t *bytes, uint32_t size,
                   uint32_t limit, struct gw_fault *fault)
{
    uint64_t start = e->cfg.time_translation ? now_ns() : 0;
    uint32_t most = most_insns(e);
    bool flushed = false;
    enum gw_status st;
    if (limit && limit < most)
        most = limit;
    for (;;) {
        if (!lift_to_break(e, pc, bytes, size, &most, fault))
            return NO_TB;
        if (make(e, bytes, &st))
            break;
        if (st == GW_ERR_LIMIT) {
            most = fewer(most);
            continue;
        }
        if (flushed)
            abort();
        if (e->world->shared && !e->interp && !e->stopped) {
            e->needs_stop = true;
            return NO_TB;
        }
        cc_flush(e);
        flushed = true;
    }
    count(e, start);
    return e->cc->tbs.count - 1;
}

/* --- apart from the lock ------------------------------------------------------------------------- */

struct translate_apart {
    uint64_t start; /* ns */
    size_t at;      /* where it was made for: offset in code memory, number of its first link */
    uint32_t link;
    _Alignas(8)
        uint8_t bytes[IR_MAX_GUEST * 4 + 128]; /* of the guest, as they were; and a group behind */
    uint8_t code[BOUND + IR_MAX_INSNS * BOUND_EACH];
};

bool translate_open(struct engine *e)
{
    if (e->world->shared && e->cc->fixed && e->cfg.backend && e->cfg.bus && !e->cfg.dump &&
        e->cfg.isa->max_insn_bytes <= 4)
        return (e->apart = malloc(sizeof *e->apart)) != NULL;
    return true;
}

bool translate_begin(struct engine *e)
{
    if (!e->apart || e->stopped)
        return false;
    e->apart->at = e->cc->mem.used;
    e->apart->link = e->cc->links.count;
    return true;
}

const uint8_t *translate_bytes(const struct engine *e)
{
    return e->apart->bytes;
}

/* Others may write there meanwhile; then it is not used. */
static void copy_bytes(uint8_t *to, const uint8_t *from, uint32_t size)
{
    for (; size && (uintptr_t)from & 7; size--)
        *to++ = __atomic_load_n(from++, __ATOMIC_RELAXED);
    for (; size >= 8; size -= 8, from += 8, to += 8) {
        uint64_t word = __atomic_load_n((const uint64_t *)(const void *)from, __ATOMIC_RELAXED);
        memcpy(to, &word, 8);
    }
    for (; size; size--)
        *to++ = __atomic_load_n(from++, __ATOMIC_RELAXED);
}

bool translate_apart(struct engine *e, uint64_t pc, const uint8_t *bytes, uint32_t size,
                     struct gw_fault *fault)
{
    struct translate_apart *a = e->apart;
    uint32_t most = most_insns(e);
    a->start = e->cfg.time_translation ? now_ns() : 0;
    if (size > sizeof a->bytes)
        size = sizeof a->bytes;
    copy_bytes(a->bytes, bytes, size);
    for (;;) {
        if (!lift_to_break(e, pc, a->bytes, size, &most, fault))
            return false;
        pass(e);
        if (!e->ir->overflow && compile(e, a->code, sizeof a->code, a->at, a->link) == GW_OK)
            return true;
        most = fewer(most);
    }
}

/* A place for it, with all that belongs to it but the code itself. */
static bool reserve(struct engine *e)
{
    struct code_cache *c = e->cc;
    uint32_t size = e->job->size, guests = c->guests.count, rows = c->rows.count;
    if (!code_mem_reserve(&c->mem, size + 16) || !cc_add(c))
        return false;
    struct tb *tb = cc_tb(c, c->tbs.count - 1);
    if (describe(e, tb) && take_place(e, tb))
        return true;
    c->tbs.count = --c->places.count;
    c->guests.count = guests;
    c->rows.count = rows;
    return false;
}

uint32_t translate_end(struct engine *e)
{
    struct translate_apart *a = e->apart;
    struct code_cache *c = e->cc;
    size_t at = c->mem.used;
    uint32_t link = c->links.count, size = e->job->size;
    e->needs_stop = !reserve(e);
    if (e->needs_stop)
        return NO_TB;
    uint32_t i = c->tbs.count - 1;
    struct tb *tb = cc_tb(c, i);
    tb_becomes(tb, TB_STALE); /* until it can be found */
    cc_complete(c, i);
    if (at != a->at || link != a->link) {
        world_unlock(e->world);
        if (compile(e, a->code, sizeof a->code, at, link) != GW_OK || e->job->size != size)
            abort();
        world_lock(e->world);
    }
    memcpy(c->mem.rw + at, a->code, size);
    cc_written(e, c->mem.rx + at, size);
    count(e, a->start);
    return i;
}
