/*
 * What a host backend exports: one const struct host_backend. It turns one IR block into bytes at a
 * given address and never writes elsewhere, so any backend runs on any host.
 *
 * Memory access modes: USER adds run.guest_base; on a host that does not look at all bits of an
 * address, one that has more than GW_USER_BITS takes the slow path, which makes the fault. FLAT looks the
 * page up in run.map_read/map_write (8-byte addends, index = address bits 47:12); TLB compares tags in
 * run.tlb_read/tlb_write (struct gw_tlb_entry, GW_TLB_BITS of the page number).
 */
#ifndef GODWIT_HOST_BACKEND_H
#define GODWIT_HOST_BACKEND_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "godwit/guest_isa.h"
#include "godwit/ir.h"
#include "godwit/vcpu.h"

enum gw_mem_mode { GW_MEM_USER, GW_MEM_FLAT, GW_MEM_TLB };

#define GW_USER_BITS 47 /* of a guest address in user mode; more are a fault */
#define GW_TLB_BITS  10
struct gw_tlb_entry {
    uint64_t tag;    /* page address; empty: one that has another index */
    uint64_t addend; /* host - guest */
};

/* Host instructions that were executed. Code adds one to `times` wherever it comes by; each time `insns` of them were,
 * or so many fewer than another entry says. */
struct gw_tally {
    uint64_t times;
    int64_t insns;
};
struct gw_tallies {
    struct gw_tally *entry; /* stays where it is */
    uint32_t count, room;   /* count == room: some code may not be counted */
};

/* Filled in by the engine, then completed once by host_backend.prepare. */
struct gw_backend_config {
    enum gw_mem_mode mem;
    uint32_t features; /* the backend's own bits; tests clear some */
    bool shared;       /* other threads may run code while its links are patched */
    const struct guest_isa *isa;
    struct gw_tallies *tallies; /* NULL: nothing is counted */
    uint64_t target[64];        /* the backend's own tables */
};

/* Runtime routines that generated code calls. Addresses only: filled in by the engine. */
struct gw_runtime {
    /* Slow paths: run.slow_addr is the guest address, run.slow_value data in and out. Return 0, or
     * non-zero when the block must be left (run.leave is set). desc: enum ir_type type << 8 | aux;
     * for amo: kind << 16 too; for zero: 0. */
    uint32_t (*load)(void *cpu, uint32_t desc);
    uint32_t (*store)(void *cpu, uint32_t desc);
    uint32_t (*amo)(void *cpu, uint32_t desc);
    uint32_t (*zero)(void *cpu, uint32_t desc);
    /* ir_eval by the default helper: in is the backend's copy of the instruction; operands in
     * run.operand[0..3], result there in [0]; flags go to run.fp_flags. */
    void (*eval)(void *cpu, const struct ir_insn *in);
    /* Behind LEAVE, run.pc set: code to go on at, in the variant that run.fp_on names, or NULL: the block is
     * left by GW_EXIT_LEAVE. Itself NULL: it always is. */
    void *(*go_on)(void *cpu);
    /* Asked first, with the host's FP unit as guest code has it: NULL where that takes more than it does, and
     * go_on() is asked. A backend may do without. */
    void *(*go_on_near)(void *cpu);
};

/* Entry, exit and slow-path thunks, produced once per code cache by emit_runtime. Offsets from the
 * start of its bytes. Variants: [0] leaves the host FP state alone (blocks that can't touch FP),
 * [1] carries the guest's float registers and FP control. */
struct gw_entry_points {
    uint32_t size; /* bytes emitted */
    /* uint64_t enter(void *cpu, void *code, uint64_t *pc, uint64_t zero): runs until an exit; enum
     * gw_exit_kind. code: a block's, or a door's, which takes the address from *pc. */
    uint32_t enter[2];
    uint32_t fault[2];      /* a host fault at a user-mode access continues here (signal handler) */
    uint32_t table[2][160]; /* the backend's own thunks */
};

enum gw_exit_kind {
    GW_EXIT_BUDGET = 0, /* at a block's entry: run.pc is its address, budget restored */
    GW_EXIT_LINK,       /* run.exit_link: number of the unlinked branch taken; run.pc the target */
    GW_EXIT_INDIRECT,   /* run.pc: target not in the jump cache */
    GW_EXIT_LEAVE,      /* LEAVE: run.pc is set */
    GW_EXIT_HELPER,     /* run.leave was set by a helper or slow path; run.slow_ra names the row */
};

/* A direct branch that can be linked to another block's entry. Offsets from the block's start. */
struct gw_link_desc {
    uint64_t target;           /* guest pc */
    uint32_t jump_offset;      /* of the patchable branch displacement */
    uint32_t stub_offset : 24; /* where it goes while unlinked */
    uint32_t stub_jump : 8;    /* guarded: from there to the displacement of the stub's last jump */
    uint32_t gen_offset;       /* FLAT and TLB, another page: the guard's compare; 0: no guard */
    uint32_t page_offset; /* the guard's compare of run.page, of blocks that run anywhere; or 0 */
};

/* Row of the side table: host position -> guest instruction. */
enum gw_row_kind { GW_ROW_ACCESS, GW_ROW_CALL };
struct gw_row {
    uint32_t
        host_offset : 20; /* of the access (the faulting instruction), or a call's return address */
    uint32_t guest : 11;  /* index of the guest instruction */
    uint32_t kind : 1;    /* enum gw_row_kind */
    uint32_t slow_offset : 20; /* FLAT: where to go on when the access faults */
};
_Static_assert(sizeof(struct gw_row) == 8 && IR_MAX_GUEST <= 1 << 11, "there are millions");
#define GW_BLOCK_BYTES (1 << 20) /* of host code, the most that rows and links can tell of */

#define GW_DOOR_BYTES 24

struct gw_compile_job {
    const struct gw_backend_config *cfg;
    const struct gw_entry_points *ep;
    uint64_t runtime_base;        /* where emit_runtime's bytes run */
    const struct ir_block *block; /* after ir_liveness */
    uint8_t *out;                 /* writable view */
    size_t cap;
    uint64_t base;      /* run address of out[0] */
    uint32_t link_base; /* number of the block's first link, given back by GW_EXIT_LINK */
    /* results */
    uint32_t size;
    uint32_t host_insns; /* on the hot path, for golden tests and --stats */
    uint32_t hot_size;   /* bytes of hot path; cold paths follow */
    uint32_t row_count, link_count;
    struct gw_row rows[IR_MAX_INSNS];
    struct gw_link_desc links[IR_MAX_GUEST + 2];
};

/* Something that not every host of a kind has. */
struct host_feature {
    uint32_t bit;
    const char *name;
};

struct host_backend {
    const char *name;     /* "x86_64" */
    bool (*native)(void); /* can this host run its code? */
    /* Features of this host; 0 when it is another one. Costs microseconds. */
    uint32_t (*detect)(void);
    const struct host_feature *feature; /* all that it knows */
    unsigned feature_count;
    void (*prepare)(struct gw_backend_config *cfg);
    /* Thunks to run at address `base`, written to out[0..cap). */
    enum gw_status (*emit_runtime)(const struct gw_backend_config *cfg, const struct gw_runtime *rt,
                                   uint8_t *out, size_t cap, uint64_t base,
                                   struct gw_entry_points *ep);
    /* GW_ERR_LIMIT when cap is too small. */
    enum gw_status (*compile)(struct gw_compile_job *job);
    /* Bytes were written that will run at rx: whoever comes there by a branch that is patched after this, by
     * a jump cache or by enter, runs them and none older. NULL: this host sees to it by itself. */
    void (*flush)(uint64_t rx, size_t size);
    /* Points a link at rx `target`, or back at its stub (target 0): then nobody passes its guard from now on.
     * block: writable view of the
     * block's bytes, block_rx their run address. gen_global: which generation guards, gen: its value, page:
     * that of run.page.
     * Of shared code: the guard is written while the jump leads to the stub only, and no thread that
     * passed the guard before may stand ahead of the jump still. */
    void (*patch)(uint8_t *block, uint64_t block_rx, const struct gw_link_desc *link,
                  uint64_t target, bool gen_global, uint32_t gen, uint64_t page);
    /* Writes the door of a block that runs anywhere, whose code is at rx `target`, to run at `base`: what jump
     * caches hold for it. It makes run.page of the address that the cache was asked for. */
    void (*door)(uint8_t out[GW_DOOR_BYTES], uint64_t base, uint64_t target);
    /* Value of run.fp_control_quiet for a rounding mode and an FP model: what the backend's inline
     * operations want. Operations of models that it has none for go to gw_runtime.eval. */
    uint32_t (*fp_control)(unsigned round, unsigned model);
    /* The same with a trap at each exception whose flag (IR_FP_*) is not in fp_flags. */
    uint32_t (*fp_trap_control)(uint32_t control, uint32_t fp_flags);
};

#endif
