/* The engine's parts, for its own files only. */
#ifndef TRANSLATOR_ENGINE_INT_H
#define TRANSLATOR_ENGINE_INT_H

#include <pthread.h>
#include <setjmp.h>
#include <signal.h>

#include "translator/engine.h"
#include "translator/interp/interp.h"

#define NO_TB    UINT32_MAX
#define NO_PADDR (~UINT64_C(0))
#define NO_PAGE  (~UINT64_C(0)) /* as a page's number */

enum {
    QUANTUM = 16384,
    IDLE_ROUNDS = 256, /* traps in a row without an instruction between them, that cost nothing */
    HASH_FIRST_BITS = 14,
    ITLB_SIZE = 256,
    JC_POOL = 16,
    HINT_BITS = 5,
    FAR_JUMP_BITS = 15,
    SPACE_POOL = 63,
    GLOBAL_PAGES = SPACE_POOL, /* in struct executed, beside the spaces */
    MAP_POOL = 32,
    MAPS_OF_ALL = 64, /* flat maps that the vCPUs of a machine may have: 64 TiB of address space */
    MAX_CLASSES = 5,
    CODE_CACHE_FLOOR = 1 << 20
};

/* --- code/code_mem.c: executable memory, mapped twice (W^X) ------------------------------------------ */
struct code_mem {
    uint8_t *rw;
    uint64_t rx;
    size_t size, used, populated;
};
enum gw_status code_mem_open(struct code_mem *m, size_t size, struct gw_error *err);
void code_mem_close(struct code_mem *m);
/* Makes [used, used+need) cheap to touch; false: full. */
bool code_mem_reserve(struct code_mem *m, size_t need);

/* --- code/cache.c: translation blocks ----------------------------------------------------------- */
enum tb_state { TB_LIVE, TB_STALE };

/* First what a lookup compares, so that it stays within a cache line or two. */
struct tb {
    uint64_t pc, paddr, paddr2; /* paddr2: second page of a straddling block, or ~0 */
    uint32_t flags;             /* tb_flags */
    uint8_t state, global, once;
    uint8_t listed;      /* in the list of its first page: 1, of its second: 2 */
    uint32_t code, size; /* offset into code memory, bytes */
    struct interp_block *interp;
    uint64_t hash; /* of the guest bytes */
    uint32_t row_first, row_count, link_first, link_count, guest_first;
    uint32_t in_first; /* list of links that lead here */
    uint16_t guest_count, code_bytes;
    size_t interp_at; /* its memory starts here */
};

/* Open addressing; the tag spares a look at blocks that can't match. */
struct tb_slot {
    uint32_t tag;
    uint32_t tb; /* number + 1; 0: empty */
};

struct link {
    struct gw_link_desc d;
    struct interp_link *il; /* interpreter's */
    uint32_t owner;         /* tb */
    uint32_t to;            /* tb or NO_TB */
    uint64_t cut;           /* shared, guarded: when it was cut off last; see cc_link_to */
    uint32_t next_in;       /* the block's other incoming links */
    uint32_t prev_in;
};

struct page_node {
    uint32_t tb; /* number, shifted left by one; lowest bit: the page is the block's second */
    uint32_t next;
};
/* Its blocks, but for such as went stale when the page changed: rewritten often, it would have many. */
struct code_page {
    uint64_t page;  /* paddr >> 12 (user: vaddr >> 12), or ~0 */
    uint32_t first; /* page_node */
};

struct vec {
    void *data;
    uint32_t count, cap;
};

struct code_cache {
    struct code_mem mem;
    uint8_t *interp_mem;
    size_t interp_used, interp_size;
    size_t wanted; /* bytes of code memory asked for; what there is may be less */
    uint32_t runtime_size;
    struct gw_entry_points ep;
    struct tb_slot *hash; /* 1 << hash_bits, at most three quarters full */
    uint32_t hash_bits, hash_count;
    struct vec tbs, links, rows, guests, nodes;
    uint32_t node_free; /* list of page_nodes that are not used */
    struct code_page *pages;
    uint32_t page_cap, page_count;
    uint64_t flushes; /* times that it was emptied; moves only where no vCPU has a block's number */
};

/* --- page_map.c: flat maps and tagged TLBs ------------------------------------------------------- */
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
struct half {
    uint64_t *read, *write; /* entry 0 of the half */
    uint32_t *chunk;        /* pieces of 4 KiB that exist, by number: open addressing */
    uint32_t chunk_cap, chunks;
    uint32_t full; /* of them, hold entries */
    bool large;    /* entries of mappings of 512 pages, and in big of larger ones, were filled */
    struct page_span big;
};
struct map {
    uint64_t key, asid, used;
    uint8_t cls;
    bool valid;
    struct half low, own_high;
    uint8_t *read, *write; /* 512 GiB each */
    uint64_t at[2][2];     /* of read and write: where their halves are in the memory object */
};
struct rmap_node {
    uint64_t index;
    uint32_t map, next;
};
struct page_maps {
    bool flat;
    int fd;
    uint64_t fd_used;
    struct half high[MAX_CLASSES];
    bool high_valid[MAX_CLASSES];
    uint64_t high_fd[MAX_CLASSES][2];
    struct map map[MAP_POOL];
    uint32_t count, current, most;
    uint32_t chunks, chunk_limit; /* of all halves */
    uint32_t rmap_max;            /* most nodes of the reverse lists */
    uint64_t tick;
    uint32_t *rmap_head; /* by page number of RAM region 0.. */
    uint64_t rmap_pages;
    struct vec rmap;
    struct gw_tlb_entry *tlb[2];
    uint64_t tlb_key;
    struct page_span tlb_large;
};

/* Where a view's parts were found the last time. */
struct view_hint {
    uint8_t map, space, jumps;
};

struct itlb_entry {
    uint64_t vpage, key;
    uint64_t ppage;
    uint8_t *host; /* of the page */
    bool global;
    bool split; /* PMP and the like: another byte of the page may not be fetched */
};
struct jump_cache {
    uint64_t key;
    uint32_t flags;
    uint32_t gen; /* generation of what it holds */
    uint32_t id;  /* of the same, in the vCPU's far_jumps; never 0 */
    bool valid;
    bool filled; /* something was put in since it was emptied */
    uint64_t used;
    struct gw_jump_entry *entry;
};
/* What a jump cache has lost to others of its entries: asked in C, before a lookup. */
struct far_jump {
    uint64_t pc;
    uint32_t id; /* of the jump cache; 0: empty */
    uint32_t tb; /* if that is live */
};
struct space {
    uint64_t key, asid, used;
    uint32_t gen;
    bool valid;
};

/* --- executed.c: pages that code was fetched from ------------------------------------------------ */
struct executed_page {
    uint64_t page;   /* or NO_PAGE */
    uint64_t spaces; /* bit n: by space n; bit GLOBAL_PAGES: as a global page */
};
struct executed {
    struct executed_page *at; /* 1 << bits, at most three quarters full; NULL: nothing yet */
    unsigned bits;
    uint32_t count; /* of pages, such as no space has any more too */
    bool full;      /* some are missing: any page may be in it */
};
void executed_add(struct executed *x, uint64_t page, unsigned space);
/* The spaces that the page was executed in, and perhaps others. */
uint64_t executed_by(const struct executed *x, uint64_t page);
void executed_drop(struct executed *x, uint64_t page, uint64_t spaces);
/* Returns those of the spaces in which any page was executed. */
uint64_t executed_drop_all(struct executed *x, uint64_t spaces);
void executed_clear(struct executed *x);

/* FP flags by trap: when to let exceptions trap (fp_trap.c). Times in retired instructions. */
struct fp_traps {
    bool tried, work;   /* does the host deliver them as we need it? */
    bool on;            /* run.fp_trap was set at the last look */
    uint64_t gathers;   /* run.fp_gathers at the start of the window */
    uint64_t window;    /* start of the window in which gathers are counted */
    uint64_t begun;     /* start of the stay */
    uint64_t wait;      /* between a short stay and the next */
    uint64_t not_until; /* no stay begins before */
};

/* A flush that came while the vCPU was outside. */
struct late_flush {
    uint64_t vaddr, asid;
    bool vaddr_all, asid_all;
};
enum { LATE_FLUSHES = 16 };

/* What a vCPU wants done that needs the world stopped: see engine.c, find(). */
enum want { WANT_NOTHING, WANT_STOPPED };

/* An LR that is no part of a constrained pair (reserve.c). */
struct reservation {
    uint64_t paddr; /* NO_PADDR: none, or broken */
};

/*
 * What the vCPUs of a machine share. Everything down to `pending` is under lock, which nobody takes
 * who holds another one behind it: order is device lock, lock, res_lock.
 */
struct engine_world {
    unsigned vcpus;
    bool shared; /* more than one: the locks are taken */
    struct engine *engine[ENGINE_MAX_VCPUS];
    pthread_mutex_t lock;
    struct code_cache cc; /* of generated code; interpreters have one each */
    struct space space[SPACE_POOL];
    struct executed executed;
    uint64_t large_shifts; /* bit n: code ran from a mapping of 2^n bytes */
    uint32_t gen_global, gen_counter;
    uint64_t cuts;   /* atomic: guarded links cut off so far */
    uint64_t fences; /* flushes so far: a walk that one of them came into is made again */
    uint64_t tick;
    /* The rendezvous (world.c). */
    pthread_mutex_t gate;
    pthread_cond_t opened, emptied;
    uint32_t pending; /* atomic: somebody has or wants the world stopped */
    bool taken;       /* under gate: somebody has it */
    pthread_mutex_t res_lock;
    struct reservation reserved[ENGINE_MAX_VCPUS]; /* under res_lock, as is the next */
    uint32_t idle_stores; /* to a page that is kept out of reach for nobody's sake */
};

/* Where a block that was found begins; good until the world stops. */
struct entry {
    void *code;
    struct interp_block *interp;
    bool once, global;
};

struct engine {
    struct engine_config cfg;
    struct gw_vcpu *run;
    struct gw_runtime rt;
    struct gw_backend_config bcfg;
    struct gw_hooks hooks;
    struct engine_world *world;
    bool own_world;
    uint64_t seen_cuts; /* atomic: world.cuts when this vCPU last came in */
    uint32_t inside;    /* atomic: runs guest code, or C that guest code called */
    uint32_t requests;  /* atomic, REQUEST_*: what other vCPUs ask for */
    uint32_t late_count;
    struct late_flush late[LATE_FLUSHES];
    uint64_t reserving; /* an LR waits for its page to be marked: physical address; or NO_PADDR */
    bool stopped;       /* this vCPU has the world stopped */
    uint32_t want;      /* enum want, of the last lookup */
    struct entry at;    /* of the block that was found last */
    struct code_cache *cc, own_cc;
    struct page_maps maps;
    struct itlb_entry itlb[ITLB_SIZE];
    struct page_span itlb_large;
    struct jump_cache jc[JC_POOL];
    struct jump_cache *jumps; /* the current one */
    uint32_t jump_ids;        /* given to jump caches so far */
    struct far_jump *far_jumps;
    uint32_t
        seen[SPACE_POOL]; /* generation of each space when this vCPU last dropped what it knew */
    struct gw_view view;
    struct view_hint hint[1u << HINT_BITS];
    uint32_t cur_space;
    uint32_t flags;
    unsigned fp; /* entry variant */
    uint64_t tick;
    struct interp *interp;
    struct fp_traps fp_traps;
    volatile sig_atomic_t fp_probes; /* signals that the probe may still cause */
    struct engine_stats stats;
    struct ir_block *ir;
    struct gw_compile_job *job;
    uint8_t straddle[32];
    volatile sig_atomic_t in_interp;
    bool at_access; /* user mode: generated code was left by a host fault, not by a call */
    sigjmp_buf interp_jmp;
};

/* world.c */
enum { REQUEST_FLUSH = 1 /* of all maps and fetch translations */ };
static inline void world_lock(struct engine_world *w)
{
    if (w->shared)
        pthread_mutex_lock(&w->lock);
}
static inline void world_unlock(struct engine_world *w)
{
    if (w->shared)
        pthread_mutex_unlock(&w->lock);
}
/* The vCPU comes in, when nobody has the world stopped; it leaves. */
void world_enter(struct engine *e);
void world_leave(struct engine *e);
/* A vCPU that is inside goes out to stop the world, and comes back in. */
void world_stop_from(struct engine *e);
void world_resume_from(struct engine *e);
static inline bool world_wanted(const struct engine *e)
{
    return __atomic_load_n(&e->world->pending, __ATOMIC_RELAXED);
}
/* Has each other vCPU been outside since that cut (world.cuts)? */
bool world_passed(const struct engine *me, uint64_t cut);
/* Asks another vCPU; it does so before it runs guest code again, or at its next border. */
void world_request(struct engine *e, uint32_t what);

/* code/cache.c: all under lock */
enum gw_status cc_open(struct engine *e, struct gw_error *err);
void cc_close(struct code_cache *c);
void cc_flush(struct engine *e);
static inline struct tb *cc_tb(struct engine *e, uint32_t i)
{
    return (struct tb *)e->cc->tbs.data + i;
}
static inline struct link *cc_link(struct engine *e, uint32_t i)
{
    return (struct link *)e->cc->links.data + i;
}
/* Block of the host address, or NO_TB. */
uint32_t cc_by_host(struct engine *e, uint64_t host);
const struct gw_row *cc_row(struct engine *e, const struct tb *tb, uint64_t host,
                            enum gw_row_kind kind);
uint64_t cc_guest_pc(struct engine *e, const struct tb *tb, unsigned guest);
/* The block at run.pc under current flags: found, revived or translated; e->at is its entry. NO_TB: a
 * fetch fault is in *fault, or e->want says what is to be done first. limit: most guest instructions,
 * 0 for the usual; a limited block is not remembered. Takes the lock itself. */
uint32_t cc_find(struct engine *e, uint64_t pc, uint32_t limit, struct gw_fault *fault);
/* Takes the memory of a block that ran once back, if it is the newest. */
void cc_drop_last(struct engine *e, uint32_t tb);
/* To the block that was found last. */
/* False: not now, or never. */
bool cc_link_to(struct engine *e, uint32_t link, uint32_t to);
/* The link was cut off, and other vCPUs may still be on their way through it. */
bool cc_link_waits(struct engine *e, uint32_t link);
void cc_link_interp(struct engine *e, struct interp_link *il, uint32_t to);
void cc_jump_cache_insert(struct engine *e, uint32_t tb);
/* Enters the block at run.pc in e->at, if the far jumps have it. */
bool cc_far_jump(struct engine *e);
/* Everything translated from the page may have changed. */
void cc_page_changed(struct engine *e, uint64_t page);
void *vec_push(struct vec *v, size_t elem, uint32_t n);

/* translate.c: one block */
uint32_t cc_translate(struct engine *e, uint64_t pc, const struct itlb_entry *it, unsigned more,
                      uint32_t limit, struct gw_fault *fault);

/* page_map.c */
enum gw_status maps_open(struct engine *e, struct gw_error *err);
void maps_close(struct engine *e);
/* How many flat maps this process could have now, up to most; none is kept. */
unsigned maps_possible(unsigned most);
void maps_select(struct engine *e, uint8_t *hint); /* run.map_*: by e->view */
bool maps_writable(void *cpu, uint64_t vaddr);     /* see gw_hooks */
/* An access came to C, so generated code has looked at its entry: that brings the piece of the map
 * into existence, whatever becomes of the access. Before the page is filled. */
void maps_looked_up(struct engine *e, uint64_t vaddr);
void maps_fill(struct engine *e, uint64_t vaddr, const struct gw_xlate *x, uint8_t *host_page,
               bool may_write);
void maps_flush_page(struct engine *e, uint64_t vaddr, uint64_t asid, bool asid_all);
void maps_flush(struct engine *e, uint64_t asid, bool asid_all);
/* Stores to the page no longer go inline on this vCPU. The world is stopped, or it is this one's. */
void maps_protect(struct engine *e, uint64_t paddr);

/* fp_trap.c: before generated code runs: may exceptions trap, and which? */
void fp_trap_look(struct engine *e, uint64_t retired);
/* host_fault_*.c: does an unmasked exception come to engine_host_fault, and end as it should? */
bool host_fp_traps_work(struct engine *e);

/* reserve.c */
/* Before a store to RAM that may break reservations. True: it holds res_lock until the store is made
 * and reserve_end_store() called. */
bool reserve_begin_store(struct engine *e, uint64_t paddr, unsigned size);
void reserve_end_store(struct engine *e);
void reserve_written_by_device(struct engine_world *w, uint64_t paddr, uint64_t size);
/* Marks e->reserving's page. The world is stopped. */
void reserve_page(struct engine *e);
bool reserve_hook(void *cpu, uint64_t paddr);
bool reserve_store_hook(void *cpu, uint64_t paddr, unsigned size, uint64_t expected,
                        uint64_t value);

/* slow_path.c */
/* One try of a size-byte compare-and-swap; *old becomes what was there. */
bool ram_swap(void *p, unsigned size, uint64_t *old, uint64_t value);
uint32_t slow_load(void *cpu, uint32_t desc);
uint32_t slow_store(void *cpu, uint32_t desc);
uint32_t slow_amo(void *cpu, uint32_t desc);
void slow_eval(void *cpu, const struct ir_insn *in);
uint8_t *page_flags(struct engine *e, uint64_t paddr); /* NULL: not RAM */

/* views.c: address spaces, jump caches, flushes */
void views_refresh(struct engine *e);
void views_flush(void *cpu, uint64_t vaddr, int vaddr_all, uint64_t asid, int asid_all);
void views_drop_jump(struct engine *e, uint64_t pc, const void *code);
void views_clear_jumps(struct engine *e);
/* Coming in: does what was asked while the vCPU was outside. */
void views_catch_up(struct engine *e);
/* Takes the latest generations of the world. Under its lock. */
void views_adopt(struct engine *e);
void views_forget_fetches(struct engine *e);
/* Fetch translation of vaddr's page; NULL: *fault. */
const struct itlb_entry *views_fetch(struct engine *e, uint64_t vaddr, struct gw_fault *fault);

#endif
