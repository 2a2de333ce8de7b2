/*
 * The intermediate representation of one translation block, and how a frontend builds it.
 *
 * A block is a straight list of instructions. Each defines at most one value, named by its index;
 * operands are indices of earlier instructions. The block is entered at the top only and left by
 * BRCC (side exit), by an operation that faults, by a helper that asks to leave, or by its last
 * instruction (IRF_END). Every operation is total: each input has a defined result. No guest
 * register or flag has a name here: guest state is an offset in bytes into the vCPU and a width.
 *
 * Integer values are 64-bit containers, float values are F32 or F64. Rounding is static: a frontend
 * whose rounding mode is dynamic makes the mode part of the block's key (guest_isa.tb_flags).
 *
 * Architectural state is exact at every guest instruction's start: a PUT belongs to the guest
 * instruction it stands in, and within one guest instruction no PUT precedes an operation that may
 * fault, or a helper that may leave (the verifier checks it), so a fault restarts the instruction. A BRCC that is
 * taken ends it.
 *
 * Owned by the translator, which lends a block to guest_isa.lift. Single-threaded per engine.
 */
#ifndef GODWIT_IR_H
#define GODWIT_IR_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "godwit/status.h"

enum ir_type { IR_VOID, IR_W32, IR_I64, IR_F32, IR_F64 };

/* In pairs: cond ^ 1 is the negation. */
enum ir_cond {
    IR_EQ,
    IR_NE,
    IR_LT,
    IR_GE, /* signed */
    IR_LTU,
    IR_GEU, /* unsigned */
    IR_LE,
    IR_GT,
    IR_LEU,
    IR_GTU,
};
_Static_assert(IR_NE == (IR_EQ ^ 1) && IR_GE == (IR_LT ^ 1) && IR_GEU == (IR_LTU ^ 1) &&
                   IR_GT == (IR_LE ^ 1) && IR_GTU == (IR_LEU ^ 1),
               "conditions stand in pairs");

enum ir_round { IR_RNE, IR_RTZ, IR_RDN, IR_RUP, IR_RMM, IR_FP_OFF = 0xff };
enum { IR_FP_NX = 1, IR_FP_UF = 2, IR_FP_OF = 4, IR_FP_DZ = 8, IR_FP_NV = 16 };

/*
 * What IEEE 754 leaves open and instruction sets settle each in its own way: a property of a block,
 * as its rounding is, and of each IRF_FP operation in it (insn.fp_model). The flags of a subnormal
 * operand that some of them have are no part of it. IR_FPM_RISCV, which is none of the others: a NaN
 * result is the default NaN, quiet and positive; tininess is judged after rounding; subnormals count;
 * integers saturate, and a NaN becomes the largest.
 */
enum {
    IR_FPM_RISCV = 0,
    /* A NaN result is made of a NaN operand, by setting its quiet bit: of the first, FMA's addend coming
     * last and hiding inf * 0 (x86); or of the first signaling one, or else the first, FMA's addend
     * coming first (Arm, unless it asks for default NaNs). */
    IR_FPM_NAN_FIRST = 1,
    IR_FPM_NAN_SIGNALING = 2,
    IR_FPM_NAN_NEGATIVE = 4, /* the default NaN has its sign set (x86) */
    IR_FPM_TINY_BEFORE = 8,  /* tininess is judged before rounding (Arm) */
    /* Tiny results, of other types than binary16, become zeros: raises UF, and NX too where tininess
     * is judged after rounding. */
    IR_FPM_FLUSH_RESULTS = 16,
    IR_FPM_INT_NAN_ZERO = 32,   /* a NaN becomes the integer 0 (Arm) */
    IR_FPM_INT_INDEFINITE = 64, /* what fits no integer becomes the least signed one, or the largest
                                   unsigned one (x86) */
    IR_FPM_FLUSH_OPERANDS = 128, /* subnormal F32 and F64 operands count as zeros */
};
/* FMIN and FMAX (insn.imm). Several are in use side by side, so it is the operation's. */
enum ir_minmax {
    IR_MINMAX_NUMBER, /* minimumNumber, maximumNumber of IEEE 754-2019: one NaN gives the other */
    IR_MINMAX_PROPAGATE, /* minimum, maximum of IEEE 754-2019: any NaN gives a NaN result */
    IR_MINMAX_SECOND,    /* the second, unless the first is less, or greater; NaNs raise NV (x86) */
};
enum ir_int { IR_INT_W, IR_INT_WU, IR_INT_L, IR_INT_LU };
enum ir_amo {
    IR_AMO_SWAP,
    IR_AMO_ADD,
    IR_AMO_AND,
    IR_AMO_OR,
    IR_AMO_XOR,
    IR_AMO_MIN,
    IR_AMO_MAX,
    IR_AMO_MINU,
    IR_AMO_MAXU,
};
_Static_assert(IR_AMO_XOR + 1 == IR_AMO_MIN && IR_AMO_MIN + 3 == IR_AMO_MAXU,
               "those that compare come last");
/* Memory order of an access (insn.order). */
enum { IR_ORDER_RELAXED = 0, IR_ORDER_ACQUIRE = 1, IR_ORDER_RELEASE = 2, IR_ORDER_SEQ = 3 };
enum { IR_FENCE_W = 1, IR_FENCE_R = 2, IR_FENCE_O = 4, IR_FENCE_I = 8 };

/* aux of LD, ST, AMO, CAS. ALIGNED (LD only): a load that reserves. A misaligned address is the guest's
 * fault, as it always is for AMO and CAS, and so is one of a device. */
enum { IR_SIZE_MASK = 3, IR_SIGN = 4, IR_ALIGNED = 8 };
enum { IR_ZERO_BYTES = 64 };

enum {
    IRF_COMM = 1,
    IRF_SIDE = 2,
    IRF_MEM = 4,
    IRF_END = 8,
    IRF_EXIT = 16,
    IRF_FP = 32,
};

enum ir_op {
#define IR_OP(NAME, text, result, args, flags) IR_##NAME,
#include "godwit/ir_ops.inc"
#undef IR_OP
    IR_OP_COUNT
};

/* Rows of ir_ops.inc that are told by their ends; whoever does so includes no more than is said here. */
#define IR_ROW(first, last, count)                                                                 \
    _Static_assert(IR_##last - IR_##first + 1 == (count), #first " to " #last " stand in a row")
/* A row that begins at 0: to be at most the last is to be in it. */
#define IR_ROW_FROM_0(first, last, count)                                                          \
    _Static_assert(IR_##first == 0 && IR_##last + 1 == (count),                                    \
                   #first " to " #last " stand in a row from 0")
IR_ROW_FROM_0(CONST, SELECT, 37); /* change nothing but state, know no float but to move it */
IR_ROW(ADD, ROTR, 21);            /* integers of two operands, without aux */
IR_ROW(SEXT8, ZEXT32, 6);         /* extensions */
IR_ROW(FADD, FMA, 6);             /* arithmetic, rounded */
IR_ROW(FADD, FSQRT, 5);           /* of operands whose NaNs it passes on */
IR_ROW(FEQ, FLE, 3);              /* comparisons of floats */
IR_ROW(FADD, BOX, 23);            /* all that is about floats */
/* The same of what insn.aux and insn.imm number. */
IR_ROW_FROM_0(EQ, GTU, 10);
IR_ROW_FROM_0(RNE, RMM, 5);
IR_ROW_FROM_0(RNE, RUP, 4); /* those that hosts have */
IR_ROW_FROM_0(INT_W, INT_LU, 4);
IR_ROW_FROM_0(AMO_SWAP, AMO_MAXU, 9);
IR_ROW_FROM_0(MINMAX_NUMBER, MINMAX_SECOND, 3);
_Static_assert(IR_SIZE_MASK == 3 && IR_SIGN == 4, "tables by both have eight entries");

static inline bool ir_is_float_op(unsigned op)
{
    return op >= IR_FADD && op <= IR_BOX;
}
static inline bool ir_is_arith(unsigned op)
{
    return op >= IR_FADD && op <= IR_FMA;
}
static inline bool ir_compares_floats(unsigned op)
{
    return op >= IR_FEQ && op <= IR_FLE;
}

struct ir_op_info {
    const char *text;
    char result; /* 'V', 'I', 'F', 'T' */
    uint8_t args;
    uint8_t flags;
};
extern const struct ir_op_info ir_op_info[IR_OP_COUNT];

/* Of SEXTn and ZEXTn: so many low bits of the operand are the value. 64: it is no extension. */
unsigned ir_extension_bits(unsigned op);

#define IR_NONE 0xffffu  /* no operand */
typedef uint16_t ir_val; /* index of the defining instruction */

struct ir_insn {
    uint8_t op;   /* enum ir_op */
    uint8_t type; /* enum ir_type */
    uint8_t aux;  /* size, condition, rounding: see ir_ops.inc */
    union {
        uint8_t order;    /* of a memory access */
        uint8_t fp_model; /* of an IRF_FP operation: the block's IR_FPM_* */
    };
    ir_val a, b, c, d;
    uint16_t guest; /* index of the guest instruction it belongs to */
    uint16_t uses;  /* filled in by ir_liveness; until then the builder's own */
    int64_t imm;
};

struct ir_guest_insn {
    uint32_t pc_offset; /* bytes from block->pc; wraps with the address space */
    uint8_t len;        /* bytes */
};

enum { IR_MAX_INSNS = 2048, IR_MAX_GUEST = 128 };

struct gw_helper;

struct ir_block {
    uint64_t pc;    /* of the first guest instruction; anywhere: where it was lifted */
    uint32_t count; /* instructions */
    uint32_t guest_count;
    uint32_t code_bytes; /* guest bytes covered, from pc; may run over one page border */
    uint32_t flags;      /* the tb_flags it was lifted under */
    uint8_t fp_round;    /* enum ir_round the host rounding mode has while it runs */
    uint8_t fp_model;    /* IR_FPM_* */
    uint8_t uses_fp;
    uint8_t no_fold;  /* builder folds nothing (tests: optimiser off) */
    uint8_t overflow; /* sticky: did not fit; the translator retries with fewer instructions */
    struct ir_insn insn[IR_MAX_INSNS];
    struct ir_guest_insn guest[IR_MAX_GUEST];
    /* Settings: ir_begin leaves them alone, as it does no_fold. */
    const struct gw_helper
        *helpers; /* guest_isa.helpers, or NULL: any helper may write any state */
    /* Other harts may see the order of accesses: what another value follows from in the guest's instructions it
     * follows from here, though the result be known (x ^ x, x == x), as hosts may order by that alone. */
    uint8_t keeps_dependencies;
    /* The block is right at any address with this offset in a page, whatever pages there are before it
     * and behind: addresses are made of run.page (ir_pc), targets of branches mean distances. */
    uint8_t anywhere;
    /* Private to the builder: what state holds, and constants that exist; see translator/ir/build.c. */
    uint32_t limit; /* count may not grow beyond; 0 once the block has ended */
    uint32_t epoch[2];
    ir_val last_const[64];
    struct ir_known {
        uint32_t epoch;
        uint32_t offset;
        ir_val val;
        uint8_t size_log2, type;
    } known[256];
};

/* --- builder (translator/ir/build.c). Folds constants, forwards state, unless no_fold. ---------- */
/* Once, when the struct is made: no settings, and nothing known. What is in a struct that is all zero. */
void ir_init(struct ir_block *b);
/* Sets fp_round to IR_RNE and fp_model to IR_FPM_RISCV: whoever knows them sets them after this. */
void ir_begin(struct ir_block *b, uint64_t pc, uint32_t flags);
/* Starts guest instruction at pc with len bytes; false when the block is full, or has ended by
 * itself (a branch that is always taken): then what follows is dropped. */
bool ir_begin_guest(struct ir_block *b, uint64_t pc, unsigned len);
ir_val ir_const(struct ir_block *b, uint64_t value);
/* An address in guest code, where the block is at block->pc: a constant unless it runs anywhere. */
ir_val ir_pc(struct ir_block *b, uint64_t address);
ir_val ir_get(struct ir_block *b, uint32_t offset, unsigned size_log2);         /* I64 */
void ir_put(struct ir_block *b, uint32_t offset, unsigned size_log2, ir_val v); /* from I64 */
ir_val ir_getf(struct ir_block *b, uint32_t offset, enum ir_type type);
void ir_putf(struct ir_block *b, uint32_t offset, enum ir_type type, ir_val v);
/* Any pure operation with one, two, three operands (ADD ... BYTEMASK, FSGNJ, FBITS ...). */
ir_val ir_op1(struct ir_block *b, enum ir_op op, enum ir_type type, ir_val a);
ir_val ir_op2(struct ir_block *b, enum ir_op op, enum ir_type type, ir_val a, ir_val c);
ir_val ir_setcc(struct ir_block *b, enum ir_type type, enum ir_cond cc, ir_val a, ir_val c);
ir_val ir_select(struct ir_block *b, enum ir_type type, enum ir_cond cc, ir_val a, ir_val c,
                 ir_val if_true, ir_val if_false);
ir_val ir_load(struct ir_block *b, enum ir_type type, unsigned size_log2, bool sign, ir_val addr,
               int64_t disp, unsigned order);
void ir_store(struct ir_block *b, enum ir_type type, unsigned size_log2, ir_val addr, int64_t disp,
              ir_val value, unsigned order);
ir_val ir_load_aligned(struct ir_block *b, unsigned size_log2, ir_val addr, unsigned order);
ir_val ir_cas(struct ir_block *b, unsigned size_log2, ir_val addr, ir_val expected, ir_val value,
              unsigned order);
ir_val ir_amo(struct ir_block *b, enum ir_amo kind, unsigned size_log2, ir_val addr, ir_val operand,
              unsigned order);
void ir_zero(struct ir_block *b, ir_val addr);
void ir_fence(struct ir_block *b, unsigned pred, unsigned succ);
ir_val ir_call(struct ir_block *b, unsigned helper, ir_val a, ir_val c, ir_val d);
void ir_brcc(struct ir_block *b, enum ir_type type, enum ir_cond cc, ir_val a, ir_val c,
             uint64_t target);
void ir_jmp(struct ir_block *b, uint64_t target);
void ir_jmpr(struct ir_block *b, ir_val target);
void ir_leave(struct ir_block *b, ir_val pc);
/* Floats. fp2: FADD FSUB FMUL FDIV, FMIN and FMAX of numbers; fp1: FSQRT, F2F. */
ir_val ir_fp1(struct ir_block *b, enum ir_op op, enum ir_type type, enum ir_round rm, ir_val a);
ir_val ir_fp2(struct ir_block *b, enum ir_op op, enum ir_type type, enum ir_round rm, ir_val a,
              ir_val c);
ir_val ir_minmax(struct ir_block *b, enum ir_op op, enum ir_type type, enum ir_minmax kind,
                 ir_val a, ir_val c);
ir_val ir_fma(struct ir_block *b, enum ir_type type, enum ir_round rm, ir_val a, ir_val c, ir_val d,
              bool neg_product, bool neg_addend);
ir_val ir_fcmp(struct ir_block *b, enum ir_op op, enum ir_type type, ir_val a, ir_val c);
/* The same, raising no flag. */
ir_val ir_fcmp_silent(struct ir_block *b, enum ir_op op, enum ir_type type, ir_val a, ir_val c);
ir_val ir_frint(struct ir_block *b, enum ir_type type, enum ir_round rm, bool inexact, ir_val a);
ir_val ir_h2f(struct ir_block *b, enum ir_type to, ir_val a);
ir_val ir_f2h(struct ir_block *b, enum ir_type from, enum ir_round rm, ir_val a);
ir_val ir_fsgnj(struct ir_block *b, enum ir_type type, unsigned kind, ir_val a, ir_val c);
ir_val ir_f2i(struct ir_block *b, enum ir_type from, enum ir_int to, enum ir_round rm, ir_val a);
/* fp flags: FPGET; FPSET. */
ir_val ir_fpget(struct ir_block *b);
void ir_fpset(struct ir_block *b, ir_val flags);
ir_val ir_i2f(struct ir_block *b, enum ir_type to, enum ir_int from, enum ir_round rm, ir_val a);

/* --- text and checks ---------------------------------------------------------------------------- */
/* Prints the block, a line an instruction; returns bytes written (as snprintf). */
size_t ir_print(const struct ir_block *b, char *buf, size_t size);
/* Reads what ir_print writes; round trip is exact. */
enum gw_status ir_parse(struct ir_block *b, const char *text, struct gw_error *err);
enum gw_status ir_verify(const struct ir_block *b, struct gw_error *err);
/* The same, and that state is accessed as the guest's hot registers want it. isa may be NULL. */
struct guest_isa;
enum gw_status ir_verify_for(const struct ir_block *b, const struct guest_isa *isa,
                             struct gw_error *err);

/* --- memory order ------------------------------------------------------------------------------- */
enum gw_memory_model { GW_MODEL_RVWMO, GW_MODEL_ARM, GW_MODEL_TSO };
/* May b, later in program order, be performed before a under the model? */
bool ir_may_reorder(const struct ir_insn *a, const struct ir_insn *b, enum gw_memory_model model);

/* --- meaning ------------------------------------------------------------------------------------ */
/* Meaning of a pure or FP operation, bit patterns in and out; fp_flags gets IR_FP_* ORed in. The
 * one definition: interpreter, constant folding and the backends' default helper call it. */
uint64_t ir_eval(const struct ir_insn *in, uint64_t a, uint64_t b, uint64_t c, uint64_t d,
                 uint32_t *fp_flags);
bool ir_cond_holds(enum ir_cond cc, enum ir_type type, uint64_t a, uint64_t b);

#endif
