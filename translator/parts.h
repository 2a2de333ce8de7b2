/*
 * A vCPU's engine as its own files know it: what they have in common, and where each of them keeps
 * what is its own. The parts are pointers to structs that their own headers define, so whoever has
 * an engine sees no more of it than it includes; they lie in one piece of memory with it, which
 * run/open.c puts together.
 *
 * The rooms stand in a row, and each calls those before it only:
 *
 *     ir      blocks of IR: builder, passes, meaning
 *     interp  runs them
 *     code    blocks of code: made, found, linked, made stale; where code is fetched, jump caches
 *     memory  data: page maps, slow paths, views and their flushes, reservations
 *     run     puts the parts together, finds the next block, runs blocks
 *
 * This header, vec.h, pages.h and world.h are the ground below all of them. tests/house checks it.
 */
#ifndef TRANSLATOR_PARTS_H
#define TRANSLATOR_PARTS_H

#include "translator/engine.h"

struct adopted;
struct code_cache;
struct fetches;
struct host_faults;
struct fp_traps;
struct interp;
struct interp_block;
struct jumps;
struct page_maps;
struct positions;
struct progress;
struct translate_apart;
struct views;

/* Where a block that was found begins; good until the world stops. */
struct entry {
    void *code;
    struct interp_block *interp;
    uint32_t tb; /* its number, where it was looked up */
    bool once;   /* it runs once: nothing finds it again */
    bool global; /* by the tables that led to it, its pages are */
};

/* All of it derived data or configuration; the guest's own state is in cfg.cpu. The vCPU thread's,
 * unless said otherwise. */
struct engine {
    /* Configuration, complete before the first run. */
    struct engine_config cfg;
    struct gw_backend_config bcfg;
    struct gw_tallies tallies;
    struct gw_runtime rt;
    struct gw_hooks hooks;

    /* The vCPU's place in the world: world.h. */
    struct engine_world *world;
    bool stopped;       /* this vCPU has the world stopped */
    uint32_t inside;    /* atomic: runs guest code, or C that guest code called */
    uint32_t requests;  /* atomic, REQUEST_*: what other vCPUs ask for */
    uint64_t seen_cuts; /* atomic: world.cuts when this vCPU last came in */

    /* What the guest's state comes to now; renewed where run.view_dirty says so. */
    struct gw_vcpu *run;
    struct gw_view view;
    uint32_t flags; /* of blocks */
    bool anywhere;  /* they may run at any address */
    unsigned fp;    /* entry variant */
    /* How often a map or a jump cache has become another view's, or maps have become a pair: what views are put
     * together of, beside spaces. */
    uint64_t moves;

    /* code/ */
    struct code_cache *cc; /* the world's, under its lock; the interpreter's own */
    struct adopted *adopted;
    struct fetches *fetches;
    struct jumps *jumps;
    struct positions *positions;
    struct interp *interp; /* NULL: generated code runs */
    struct ir_block *ir;   /* these two: the block that is being made */
    struct gw_compile_job *job;
    struct translate_apart *apart; /* the same, made without the lock; NULL: it is not */
    struct entry at;               /* of the block that was found last */
    bool passing;                  /* the breakpoint at pass_pc is not met the next time */
    uint64_t pass_pc;
    bool needs_stop; /* the last lookup can be done with the world stopped only */

    /* memory/: others change these while this vCPU is outside, or the world is stopped */
    struct page_maps *maps;
    struct views *views;

    /* run/ */
    struct host_faults *faults;
    struct fp_traps *fp_traps;
    struct progress *progress; /* of the run, if it goes on */
    struct engine_stats stats;
};

#endif
