/*
 * What a host backend exports: one const struct host_backend. It turns one IR block into bytes at a
 * given address and never writes elsewhere, so any backend runs on any host.
 *
 * Memory access modes: USER adds run.guest_base; FLAT looks the page up in run.map_read/map_write
 * (8-byte addends, index = address bits 47:12); TLB compares tags in run.tlb_read/tlb_write
 * (struct gw_tlb_entry, GW_TLB_BITS of the page number).
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

#define GW_TLB_BITS 10
struct gw_tlb_entry {
    uint64_t tag;    /* page address, or ~0 */
    uint64_t addend; /* host - guest */
};

/* Host CPU features, found at start; tests clear some. Bits are the backend's own. */
struct gw_backend_config {
    enum gw_mem_mode mem;
    uint32_t features;
    const struct guest_isa *isa;
};

/* Runtime routines that generated code calls. Addresses only: filled in by the engine. */
struct gw_runtime {
    /* Slow paths: run.slow_addr is the guest address, run.slow_value data in and out. Return 0, or
     * non-zero when the block must be left (run.leave is set). desc: enum ir_type type << 8 | aux;
     * for amo: kind << 16 too. */
    uint32_t (*load)(void *cpu, uint32_t desc);
    uint32_t (*store)(void *cpu, uint32_t desc);
    uint32_t (*amo)(void *cpu, uint32_t desc);
    /* ir_eval by the default helper: in is the backend's copy of the instruction; operands in
     * run.spill[0..3], result there in [0]; flags go to run.fp_flags. */
    void (*eval)(void *cpu, const struct ir_insn *in);
};

/* Where generated code can be entered and left; produced once per code cache by emit_runtime. */
struct gw_entry_points {
    size_t size; /* bytes emitted */
    /* uint64_t enter(void *cpu, void *code): runs until an exit; returns enum gw_exit_kind. */
    uint32_t enter;
    uint32_t exit_fault; /* a host fault at a user-mode access continues here (signal handler) */
};

enum gw_exit_kind {
    GW_EXIT_BUDGET = 0, /* at a block's entry: run.pc is its address, budget restored */
    GW_EXIT_LINK,       /* run.exit_link: the unlinked branch taken; run.pc the target */
    GW_EXIT_INDIRECT,   /* run.pc: target not in the jump cache */
    GW_EXIT_LEAVE,      /* LEAVE: run.pc is set */
    GW_EXIT_HELPER,     /* run.leave was set by a helper or slow path; exit_row names the row */
};

/* A direct branch that can be linked to another block's entry. */
struct gw_link_desc {
    uint32_t code_offset; /* of the patchable field, from the block's start */
    uint64_t target;      /* guest pc */
};

/* Row of the side table: host return address or access -> guest instruction. */
struct gw_row {
    uint32_t host_offset; /* of the access (fault address) or of the return address after a call */
    uint16_t guest;       /* index of the guest instruction */
    uint16_t kind;        /* enum gw_row_kind */
    uint32_t slow_offset; /* FLAT: where to go on when the access faults */
};
enum gw_row_kind { GW_ROW_ACCESS, GW_ROW_CALL };

struct gw_compiled {
    uint32_t size;         /* bytes of code */
    uint32_t entry_offset; /* from the start of the block's bytes */
    struct gw_row rows[IR_MAX_INSNS];
    uint32_t row_count;
    struct gw_link_desc links[IR_MAX_GUEST + 2];
    uint32_t link_count;
    uint32_t host_insns; /* instructions on the hot path, for golden tests and --stats */
};

struct host_backend {
    const char *name; /* "x86_64" */
    uint32_t (*detect)(void); /* features of this host; 0 when it is another one */
    uint32_t features_all;
    /* Entry, exit and slow-path thunks at rx address `base`, bytes into out[0..cap). */
    enum gw_status (*emit_runtime)(const struct gw_backend_config *cfg,
                                   const struct gw_runtime *rt, uint8_t *out, size_t cap,
                                   uint64_t base, struct gw_entry_points *ep);
    /* Compiles block to run at rx address `base`; GW_ERR_LIMIT when cap is too small. runtime_base
     * is where emit_runtime's bytes run. */
    enum gw_status (*compile)(const struct gw_backend_config *cfg, const struct gw_runtime *rt,
                              const struct gw_entry_points *ep, uint64_t runtime_base,
                              const struct ir_block *block, uint8_t *out, size_t cap, uint64_t base,
                              struct gw_compiled *result);
    /* Points a link at rx `target`, or back at its exit stub (target 0). field is the writable view
     * of the patchable field, field_rx its run address. Atomic to other threads. */
    void (*patch)(uint8_t *field, uint64_t field_rx, uint64_t target, uint64_t stub);
    /* Value of run.mxcsr for a rounding mode. */
    uint32_t (*fp_control)(unsigned round);
};

#endif
