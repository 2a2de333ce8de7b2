/*
 * Who holds which register, and what lies where beside the code: see docs/registers.md.
 *
 *   sp           host stack, 16-byte aligned
 *   x28          guest state
 *   x27          FLAT: run.map_read; USER: run.guest_base; TLB: run.tlb_read
 *   x26          FLAT: run.map_write; TLB: run.tlb_write; USER: pinned
 *   x25          the budget
 *   x0-x3        scratch; v0-v6 scratch
 *   v7           ones in the high half: what boxes a single
 *   x16 x17      within one IR instruction; nobody's
 *   x18          the platform's
 *   x30          return addresses of thunks; between them, USER: x27 + a value whose accesses go by it
 *   the others   pinned: hot guest registers, in place across all blocks; v8-v31 the hot float registers
 */
#ifndef A64_LAYOUT_H
#define A64_LAYOUT_H

#include "godwit/host_backend.h"
#include "backend-aarch64/a64_encode.h"
#include "backend-common/pins.h"
#include "backend-common/place.h"
#include "backend-common/slow.h"

enum { R_WRITE = 26, R_BUDGET = 25, R_READ = 27, R_STATE = 28 };
enum { V_BOX = A64_V0 + 7, A64_PINNED_VECTORS };
enum { A64_SCRATCH_INTS = 4, A64_SCRATCH_VECTORS = V_BOX - A64_V0 };

#define A64_SCRATCH                                                                                \
    (((UINT64_C(1) << A64_SCRATCH_INTS) - 1) | ((UINT64_C(1) << A64_SCRATCH_VECTORS) - 1) << A64_V0)

/* gw_backend_config.target */
struct a64_target {
    struct pins pins;
};
_Static_assert(sizeof(struct a64_target) <= sizeof(((struct gw_backend_config *)0)->target),
               "target tables fit");
static inline const struct a64_target *a64_target(const struct gw_backend_config *cfg)
{
    return (const struct a64_target *)(const void *)cfg->target;
}
void a64_prepare(struct gw_backend_config *cfg); /* host_backend.prepare */

/* gw_vcpu.host */
struct a64_host {
    struct gw_slot spill[PLACE_SPILLS];   /* values that have no register */
    uint64_t vector[A64_SCRATCH_VECTORS]; /* scratch registers, while C runs */
    uint64_t gpr[A64_SCRATCH_INTS];
    uint64_t fpcr; /* the host's own, while guest code runs */
};
_Static_assert(sizeof(struct a64_host) <= GW_VCPU_HOST_BYTES, "it fits");
_Static_assert(_Alignof(struct a64_host) <= 16, "and is aligned");

/* State offsets of a member of run, of the host's part of it; of operands of helpers. */
#define A64_RUN(member)  (GW_VCPU_OFFSET + (uint32_t)offsetof(struct gw_vcpu, member))
#define A64_HOST(member) (A64_RUN(host) + (uint32_t)offsetof(struct a64_host, member))
static inline uint32_t a64_operand_offset(unsigned k)
{
    return A64_RUN(operand) + (uint32_t)sizeof(struct gw_slot) * k;
}

/* Thunks in gw_entry_points.table; the first index is the FP variant. */
enum a64_thunk {
    T_EXIT_BUDGET,
    T_EXIT_LINK,
    T_EXIT_INDIRECT,
    T_EXIT_LEAVE,
    T_EXIT_HELPER,
    T_EVAL,
    T_LOAD,                        /* + slow_load */
    T_STORE = T_LOAD + SLOW_LOADS, /* + size (4) */
    T_ZERO = T_STORE + 4,
    T_LOOKUP,              /* + log2 size, + 4 to write; FLAT */
    T_AMO = T_LOOKUP + 8,  /* + kind * 4 + log2 size; the last kind is CAS */
    T_HELPER = T_AMO + 40, /* + helper index */
};
enum {
    A64_AMO_CAS = IR_AMO_MAXU + 1,
    A64_AMO_KINDS,
    A64_MAX_HELPERS = sizeof(((struct gw_entry_points *)0)->table[0]) / sizeof(uint32_t) - T_HELPER
};
_Static_assert(T_AMO + 4 * A64_AMO_KINDS == T_HELPER, "four sizes of each kind");

/* T_EXIT_LINK has a way in by the jump cache, so many bytes ahead. */
enum { A64_JUMP_OR_EXIT_AHEAD = 36 };

#endif
