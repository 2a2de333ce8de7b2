/*
 * Who holds which register, and what lies where beside the code: see docs/registers.md.
 *
 *   rsp          host stack, 16-byte aligned inside blocks
 *   rbp          guest state + 128, so that offsets 0..255 (the integer registers) take 8-bit
 *                displacements and the host's memory renaming sees a frame pointer
 *   r14          FLAT: run.map_read; USER: run.guest_base; TLB: run.tlb_read
 *   r13          FLAT with BMI1: the bextr control that takes bits 47:12; TLB: scratch
 *   r15          FLAT: run.map_write; TLB: run.tlb_write
 *   rax rcx rdx  scratch; xmm0-3 scratch
 *   the others   pinned: hot guest registers, in place across all blocks (USER adds r13; there r15
 *                holds the budget);
 *                xmm4-15 the hot float registers
 */
#ifndef X64_LAYOUT_H
#define X64_LAYOUT_H

#include "godwit/host_backend.h"
#include "backend-common/pins.h"
#include "backend-common/place.h"
#include "backend-common/slow.h"
#include "backend-x86_64/x64_encode.h"

enum { R_STATE = RBP, R_INDEX = R13, R_READ = R14, R_WRITE = R15 };
enum { X64_BIAS = 128, X64_SCRATCH_XMMS = 4 };

#define X64_SCRATCH_INT (reg_bit(RAX) | reg_bit(RCX) | reg_bit(RDX))
#define X64_SCRATCH     (X64_SCRATCH_INT | UINT64_C(15) << XMM0)

/* gw_backend_config.target */
struct x64_target {
    struct pins pins;
    int8_t budget; /* register that holds run.budget, or -1: it stays in memory */
};
_Static_assert(sizeof(struct x64_target) <= sizeof(((struct gw_backend_config *)0)->target),
               "target tables fit");
static inline const struct x64_target *x64_target(const struct gw_backend_config *cfg)
{
    return (const struct x64_target *)(const void *)cfg->target;
}
void x64_prepare(struct gw_backend_config *cfg); /* host_backend.prepare */

/* gw_vcpu.host */
struct x64_host {
    struct gw_slot spill[PLACE_SPILLS];   /* values that have no register */
    struct gw_slot xmm[X64_SCRATCH_XMMS]; /* scratch registers, while C runs */
    uint64_t gpr[3];
    uint32_t mxcsr;     /* the host's own, while guest code runs */
    uint32_t mxcsr_now; /* what stmxcsr writes */
    uint32_t fp_before; /* fp_flags before a helper; fp_control before LEAVE */
    /* Code that can't touch FP state runs while MXCSR still is the guest's, under fp_before: what it has gathered is
     * not in run.fp_flags yet. Never while guest code does not run. */
    uint32_t fp_kept;
};
_Static_assert(sizeof(struct x64_host) <= GW_VCPU_HOST_BYTES, "it fits");
_Static_assert(_Alignof(struct x64_host) <= 16, "and is aligned");

/* Guest state at a byte offset; a member of run, of the host's part of it; operands of helpers. */
static inline struct x64_mem x64_state(uint32_t offset)
{
    return x64_at(R_STATE, (int64_t)offset - X64_BIAS);
}
#define X64_RUN_OFFSET(member)  (GW_VCPU_OFFSET + (uint32_t)offsetof(struct gw_vcpu, member))
#define X64_HOST_OFFSET(member) (X64_RUN_OFFSET(host) + (uint32_t)offsetof(struct x64_host, member))
#define X64_RUN(member)         x64_state(X64_RUN_OFFSET(member))
#define X64_HOST(member)        x64_state(X64_HOST_OFFSET(member))
static inline uint32_t x64_operand_offset(unsigned k)
{
    return X64_RUN_OFFSET(operand) + (uint32_t)sizeof(struct gw_slot) * k;
}

/* Thunks in gw_entry_points.table; the first index is the FP variant. */
enum x64_thunk {
    T_EXIT_BUDGET,
    T_EXIT_LINK,
    T_EXIT_INDIRECT,
    T_EXIT_LEAVE,
    T_EXIT_HELPER,
    T_JUMP_OR_EXIT, /* by the jump cache to run.pc, or as T_EXIT_LINK, which is behind it */
    T_EVAL,
    T_LOAD,                        /* + slow_load */
    T_STORE = T_LOAD + SLOW_LOADS, /* + size (4) */
    T_ZERO = T_STORE + 4,
    T_AMO = T_ZERO + 1,      /* + kind * 4 + log2 size; the last kind is CAS */
    T_LOOKUP = T_AMO + 40,   /* FLAT: + register (RAX, RCX, RDX) + write * 3 */
    T_HELPER = T_LOOKUP + 6, /* + helper index */
};
enum {
    X64_AMO_CAS = IR_AMO_MAXU + 1,
    X64_AMO_KINDS,
    X64_MAX_HELPERS = sizeof(((struct gw_entry_points *)0)->table[0]) / sizeof(uint32_t) - T_HELPER
};
_Static_assert(T_AMO + 4 * X64_AMO_KINDS == T_LOOKUP, "four sizes of each kind");

enum { X64_JUMP_OR_EXIT_AHEAD = 48 }; /* T_JUMP_OR_EXIT is so many bytes ahead of T_EXIT_LINK */

/* Constants at the start of the runtime's bytes: byte offsets, 16 each. */
enum {
    K_NAN64 = 0,
    K_NAN32 = 16,
    K_SIGN64 = 32,
    K_SIGN32 = 48,
    K_ABS64 = 64,
    K_ABS32 = 80,
    K_BOX = 96,
    K_2P32_64 = 112,
    K_2P63_64 = 128,
    K_2P32_32 = 144,
    K_2P63_32 = 160,
    K_ZERO = 176,
    K_ONES = 192,
    K_MXCSR_MAP = 208,
    K_NANLIM = 272,
    K_SIZE = 288
};

#endif
