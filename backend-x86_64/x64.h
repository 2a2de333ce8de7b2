/*
 * The x86-64 backend: one block at a time, one forward pass over IR that ir_liveness has counted.
 *
 * Registers
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
 *
 * Invariants
 *   1. At each guest instruction's start every guest register is where it belongs: pinned ones in
 *      their host register, the others in state. PUTs are never delayed, so a fault needs no repair.
 *   2. A value is in at most one host register. Besides, it may have a memory copy (`mem`), either a
 *      spill slot or the state slot it was read from or stored to while that slot is unchanged.
 *   3. A value that aliases a pinned register or a state slot is moved away before the slot changes.
 *   4. Cold paths (misaligned, slow, exact FP) keep every register except the result.
 */
#ifndef X64_H
#define X64_H

#include "godwit/host_backend.h"
#include "backend-x86_64/x64_emit.h"

enum {
#define X64_FEATURE(NAME, bit, text) X64_F_##NAME = 1 << (bit),
#include "backend-x86_64/x64_features.inc"
#undef X64_FEATURE
#define X64_FEATURE(NAME, bit, text) +(1 << (bit))
    X64_F_ALL =
#include "backend-x86_64/x64_features.inc"
#undef X64_FEATURE
};

enum { X64_BIAS = 128, X64_GPRS = 16, X64_XMMS = 16, X64_SPILLS = 28 };

/* gw_vcpu.host */
struct x64_host {
    struct gw_slot spill[X64_SPILLS]; /* values that have no register */
    struct gw_slot xmm[4];            /* scratch registers, while C runs */
    uint64_t gpr[3];
    uint32_t mxcsr;     /* the host's own, while guest code runs */
    uint32_t mxcsr_now; /* what stmxcsr writes */
    uint32_t fp_before; /* fp_flags before a helper */
};
_Static_assert(sizeof(struct x64_host) <= GW_VCPU_HOST_BYTES, "it fits");
_Static_assert(_Alignof(struct x64_host) <= 16, "and is aligned");

/* Thunks in gw_entry_points.table; the first index is the FP variant. */
enum x64_thunk {
    T_EXIT_BUDGET,
    T_EXIT_LINK,
    T_EXIT_INDIRECT,
    T_EXIT_LEAVE,
    T_EXIT_HELPER,
    T_EVAL,
    T_LOAD,                       /* + size | sign << 2 (8), then F32, F64 */
    T_LOAD_ALIGNED = T_LOAD + 10, /* W, D; sign-extended */
    T_STORE = T_LOAD_ALIGNED + 2, /* + size (4) */
    T_AMO = T_STORE + 4,          /* + kind * 4 + log2 size; kind 9 is CAS */
    T_LOOKUP = T_AMO + 40,        /* FLAT: + register (RAX, RCX, RDX) + write * 3 */
    T_HELPER = T_LOOKUP + 6,      /* + helper index */
};
enum { X64_AMO_CAS = 9, X64_MAX_HELPERS = 160 - T_HELPER };

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

/* gw_backend_config.target */
struct x64_target {
    int8_t gpr_of[32];          /* state offset / 8 -> pinned register or -1 */
    uint16_t gpr_off[X64_GPRS]; /* pinned register -> state offset; 0xffff: not pinned */
    uint16_t xmm_off[X64_XMMS];
    uint16_t fpr_first, fpr_last; /* range of hot float offsets */
    int8_t xmm_of[48];            /* (offset - fpr_first) / 8 -> pinned or -1 */
    int8_t budget;                /* register that holds run.budget, or -1: it stays in memory */
    uint16_t scratch;             /* bit mask of scratch GPRs */
};
_Static_assert(sizeof(struct x64_target) <= sizeof(((struct gw_backend_config *)0)->target),
               "target tables fit");

enum { MEM_NONE = INT32_MIN };
#define VAL_NONE IR_NONE

struct xval {
    int32_t mem;   /* byte offset from the start of state, or MEM_NONE */
    uint16_t left; /* uses not yet consumed */
    int8_t reg;    /* GPR, or XMM for floats; -1: none */
    uint8_t flags;
};
enum { XV_FLOAT = 1, XV_PINNED = 2, XV_SPILLED = 4, XV_SLOT = 8 };

enum x64_cold_kind {
    COLD_MEM,
    COLD_AMO,
    COLD_EXIT,
    COLD_BUDGET,
    COLD_REFUND,
    COLD_MISS,
    COLD_GUARD,
    COLD_DIV,
    COLD_FPGET,
    COLD_FLAGS,
    COLD_ZERO,
    COLD_NAN,
    COLD_NANS,
    COLD_EVAL,
    COLD_MINMAX
};

/* An operand as an instruction can take it. */
enum { O_REG, O_IMM, O_MEM };
struct x64_opnd {
    uint8_t kind;
    int8_t reg;
    int32_t imm;
    struct x64_mem mem;
};

/* Work left for after the hot path. */
struct x64_cold {
    uint8_t kind, a, b, c, dest; /* registers */
    uint8_t value_kind;          /* COLD_AMO: O_REG, O_IMM, O_MEM of the operand */
    uint32_t from, from2, from3; /* displacements to point here; 0: none */
    uint32_t back, access;       /* hot positions to go on at: behind it, and at the access */
    uint32_t row;
    uint16_t insn; /* IR index */
    uint16_t thunk;
    int32_t imm;
    struct x64_opnd opnd, opnd2; /* last: not cleared. Store, AMO: operand; CAS: new and expected */
};

/* Accesses off one root value that share a lookup: see x64_site.c. Byte displacements from root. */
struct x64_site {
    int64_t lo, hi; /* of the bytes that they touch */
    ir_val root;
    uint16_t count; /* accesses */
    uint16_t done;  /* of those, lowered */
    bool write;     /* one of them stores */
};
enum { X64_SITES = GW_SITES };

struct x64 {
    struct x64_buf e;
    struct gw_compile_job *job;
    const struct ir_block *b;
    const struct x64_target *t;
    uint32_t features;
    enum gw_mem_mode mem;
    unsigned fp;       /* variant: block may touch FP */
    uint16_t free_gpr; /* scratch registers that hold no live value */
    uint16_t free_xmm;
    uint16_t lock_gpr; /* not to be evicted or handed out now */
    uint16_t lock_xmm;
    uint16_t temp_gpr; /* temporaries of this IR instruction: no result may land there */
    uint16_t temp_xmm;
    uint16_t owner_gpr[X64_GPRS]; /* scratch -> value */
    uint16_t owner_xmm[X64_XMMS];
    uint32_t spill_used;  /* bit mask of spill slots */
    uint32_t spill_freed; /* of those, free when this IR instruction is done */
    uint16_t nan_pending, nan_check, nan_single; /* see x64_nan.c; bit masks of XMM registers */
    uint16_t nan_consumed; /* operands of the arithmetic that is being lowered */
    uint16_t alias_count;
    uint16_t alias[256]; /* live values that alias a pinned register or a state slot */
    uint32_t i;          /* the IR instruction being lowered */
    uint16_t site_count; /* the first is none */
    struct x64_site site[X64_SITES];
    uint8_t site_of[IR_MAX_INSNS]; /* FLAT: of a load or store; 0: none */
    ir_val root[IR_MAX_INSNS];     /* FLAT: value = root + disp */
    int32_t disp[IR_MAX_INSNS];
    uint32_t cold_count;
    struct x64_cold cold[IR_MAX_INSNS + 8];
    struct xval v[IR_MAX_INSNS];
};

static inline struct x64_mem x64_state(uint32_t offset)
{
    return x64_at(RBP, (int64_t)offset - X64_BIAS);
}
#define X64_RUN(member)  (GW_VCPU_OFFSET + (uint32_t)offsetof(struct gw_vcpu, member))
#define X64_HOST(member) (X64_RUN(host) + (uint32_t)offsetof(struct x64_host, member))
static inline uint32_t x64_operand(unsigned k)
{
    return X64_RUN(operand) + (uint32_t)sizeof(struct gw_slot) * k;
}
static inline struct x64_mem x64_run(uint32_t offset)
{
    return x64_state(offset);
}
static inline struct x64_mem x64_k(const struct x64 *x, unsigned k)
{
    return x64_at(X64_RIP, (int64_t)(x->job->runtime_base + k));
}

/* --- x64_alloc.c -------------------------------------------------------------------------------- */
int x64_use(struct x64 *x, ir_val v);              /* value in some GPR, locked */
struct x64_opnd x64_opnd(struct x64 *x, ir_val v); /* register, imm32 or memory, locked */
void x64_done(struct x64 *x, ir_val v);            /* one use consumed */
int x64_def(struct x64 *x, uint16_t avoid);        /* register for the result of insn x->i */
int x64_def_in(struct x64 *x, int reg);            /* result is in scratch reg: take it over */
int x64_temp(struct x64 *x);                       /* a locked scratch GPR, freed by unlock */
void x64_take(struct x64 *x, int reg);             /* evict that scratch GPR and lock it */
void x64_unlock(struct x64 *x);                    /* end of an IR instruction */
int x64_usef(struct x64 *x, ir_val v);             /* the same for floats, in XMM */
int x64_deff(struct x64 *x, uint16_t avoid);
int x64_tempf(struct x64 *x);
void x64_put(struct x64 *x, const struct ir_insn *in);
void x64_get(struct x64 *x, const struct ir_insn *in);
void x64_spill_scratch(struct x64 *x); /* no live value only in scratch */
void x64_rescue_all(struct x64 *x);    /* no live value aliases state */
bool x64_is_const(const struct x64 *x, ir_val v, int64_t *imm);
/* Is the next PUT the RMW partner: put of this result to the slot operand a was read from? */
bool x64_rmw_slot(struct x64 *x, ir_val a, uint32_t *off);
int x64_pinned_gpr(const struct x64 *x, uint32_t off, unsigned size_log2);
int x64_pinned_xmm(const struct x64 *x, uint32_t off, enum ir_type type);

void x64_budget(struct x64 *x, unsigned n, int32_t insns); /* group-1 n: 0 add, 5 sub */
void x64_set_pc(struct x64 *x, uint64_t pc);               /* run.pc = pc; may clobber rax */

/* --- lowering ----------------------------------------------------------------------------------- */
void x64_mov_rr(struct x64 *x, int d, int s);
void x64_movf_rr(struct x64 *x, int d, int s);
bool x64_lower_int(struct x64 *x, const struct ir_insn *in);
bool x64_lower_mem(struct x64 *x, const struct ir_insn *in);
bool x64_lower_fp(struct x64 *x, const struct ir_insn *in);
void x64_lower_call(struct x64 *x, const struct ir_insn *in);
void x64_lower_eval(struct x64 *x, const struct ir_insn *in);
bool x64_native(void);
uint32_t x64_detect(void);
enum gw_status x64_emit_runtime(const struct gw_backend_config *cfg, const struct gw_runtime *rt,
                                uint8_t *out, size_t cap, uint64_t base,
                                struct gw_entry_points *ep);
void x64_lower_branch(struct x64 *x, const struct ir_insn *in);
unsigned x64_compare(struct x64 *x, enum ir_type type, enum ir_cond cc, ir_val a, ir_val b);
/* x64_nan.c: results that may be NaN but not the canonical one. */
void x64_nan_result(struct x64 *x, int d,
                    bool single);                 /* d is one, of arithmetic on nan_consumed */
void x64_nan_overwritten(struct x64 *x, int reg); /* ahead of it */
void x64_flush_nans(struct x64 *x);               /* none is left */
void x64_cold_nans(struct x64 *x, struct x64_cold *c);
void x64_find_sites(struct x64 *x);
void x64_page_index(struct x64_buf *e, uint32_t features, int t, int ta); /* FLAT: 47:12 of ta */
void x64_cold_mem(struct x64 *x, struct x64_cold *c);
void x64_cold_fp(struct x64 *x, struct x64_cold *c);
void x64_cold_int(struct x64 *x, struct x64_cold *c);
void x64_cold_branch(struct x64 *x, struct x64_cold *c);
struct x64_cold *x64_cold(struct x64 *x, enum x64_cold_kind kind);
uint32_t x64_add_row(struct x64 *x, enum gw_row_kind kind, uint32_t pos);
uint64_t x64_thunk(const struct x64 *x, unsigned t);

extern const struct host_backend x64_backend; /* include/godwit/host_backend.h */

#endif
