/*
 * Encodings of AArch64: instruction formats, and opcodes by name. Each function appends to a struct
 * a64_buf whose sticky `full` flag is checked once a block. Nothing here knows the IR.
 *
 * Source: Arm Architecture Reference Manual for A-profile (DDI 0487), C4, C6 and C7.
 */
#ifndef A64_ENCODE_H
#define A64_ENCODE_H

#include <stdbool.h>
#include <stdint.h>
#include <string.h>

/* Registers, numbered as backend-common/regs.h has it: formats take the low five bits. */
enum { X0, X16 = 16, X17, X18, X29 = 29, X30, A64_ZR = 31, A64_SP = 31, A64_V0 = 32 };

struct a64_buf {
    uint8_t *start, *p, *end;
    uint64_t base;     /* run address of start */
    uint32_t features; /* of the host, A64_F_* */
    uint32_t insns;
    bool full; /* sticky: what was written is incomplete */
};

enum a64_op {
#define A64_OP(NAME, bits) A64_##NAME = (int32_t)(bits),
#include "backend-aarch64/opcodes.inc"
#undef A64_OP
};

/* Other forms of an opcode. */
enum { A64_ACQUIRE = 1 << 23, A64_RELEASE = 1 << 22 }; /* of FEAT_LSE's */
enum { A64_CAS_ACQUIRE = 1 << 22, A64_CAS_RELEASE = 1 << 15 };

/* An integer instruction on 32 bits. Bit fields have a second bit for it. */
static inline uint32_t a64_w(uint32_t op)
{
    const uint32_t narrow = op & UINT32_C(0x7fffffff);
    return (op & 0x1f800000) == 0x13000000 || (op & 0x1f800000) == 0x13800000
               ? narrow & ~(UINT32_C(1) << 22)
               : narrow;
}
/* An integer operand of 64 bits, of conversions; a double. */
static inline uint32_t a64_x(uint32_t op)
{
    return op | UINT32_C(1) << 31;
}
static inline uint32_t a64_d(uint32_t op)
{
    return op | UINT32_C(1) << 22;
}
/* log2 bytes, of accesses that name no displacement. */
static inline uint32_t a64_size(uint32_t op, unsigned size)
{
    return op | (uint32_t)size << 30;
}

/* Conditions. Each is the negation of its neighbour: cc ^ 1. */
enum a64_cc {
    A64_EQ,
    A64_NE,
    A64_HS,
    A64_LO,
    A64_MI,
    A64_PL,
    A64_VS,
    A64_VC,
    A64_HI,
    A64_LS,
    A64_GE,
    A64_LT,
    A64_GT,
    A64_LE,
    A64_AL,
};

enum a64_shift { A64_LSL_BY, A64_LSR_BY, A64_ASR_BY, A64_ROR_BY /* logical ones */ };
enum a64_extend { A64_UXTW = 2, A64_LSL_X = 3, A64_SXTW = 6 };

static inline uint32_t a64_pos(const struct a64_buf *e)
{
    return (uint32_t)(e->p - e->start);
}
static inline uint64_t a64_here(const struct a64_buf *e)
{
    return e->base + a64_pos(e);
}

void a64_word(struct a64_buf *e, uint32_t insn);

/* --- registers ----------------------------------------------------------------------------------- */

void a64_r(struct a64_buf *e, uint32_t op, int rt);
void a64_rr(struct a64_buf *e, uint32_t op, int rd, int rn);
void a64_rrr(struct a64_buf *e, uint32_t op, int rd, int rn, int rm);
void a64_rrrr(struct a64_buf *e, uint32_t op, int rd, int rn, int rm, int ra);
/* The last one shifted by a constant; of ADD, SUB and the logical ones. */
void a64_shifted(struct a64_buf *e, uint32_t op, int rd, int rn, int rm, enum a64_shift how,
                 unsigned by);
/* By a condition. CCMP: rd is the flags, of four bits, where it does not hold. */
void a64_cond(struct a64_buf *e, uint32_t op, int rd, int rn, int rm, enum a64_cc cc);

/* --- constants ----------------------------------------------------------------------------------- */

/* 12 bits, or 12 bits above 12 zeros. */
static inline bool a64_is_imm12(uint64_t v)
{
    return v < 4096 || ((v & 0xfff) == 0 && v < UINT64_C(1) << 24);
}
void a64_imm12(struct a64_buf *e, uint32_t op, int rd, int rn, uint64_t v);

/* Bits 22:10 of a logical instruction that has the constant, of 32 bits or 64. */
#define A64_NO_PATTERN UINT32_MAX
uint32_t a64_pattern(uint64_t v, bool wide);
/* False, and nothing emitted: it is no pattern. op: 64 bits, or a64_w. */
bool a64_logical(struct a64_buf *e, uint32_t op, int rd, int rn, uint64_t v);

/* Bits immr and imms, as SBFM and the others have them; EXTR: rm and the lowest bit. */
void a64_bits(struct a64_buf *e, uint32_t op, int rd, int rn, unsigned immr, unsigned imms);
void a64_extr(struct a64_buf *e, uint32_t op, int rd, int rn, int rm, unsigned lsb);

/* rd = v, by at most four instructions. Keeps flags. */
void a64_constant(struct a64_buf *e, int rd, uint64_t v);

/* The same with 32 bits, by two instructions whatever they are. */
void a64_constant_of_two(struct a64_buf *e, int rd, uint32_t v);

/* --- memory --------------------------------------------------------------------------------------- */

/* log2 bytes that a load or store is of. */
unsigned a64_access_size(uint32_t op);
/* Displacements of a load or store: a multiple of its size, or one of nine bits. */
bool a64_reaches(uint32_t op, int64_t disp);
void a64_mem(struct a64_buf *e, uint32_t op, int rt, int rn, int64_t disp); /* that it reaches */
/* [rn + rm], rm extended as said, and times the size if scaled. */
void a64_mem_index(struct a64_buf *e, uint32_t op, int rt, int rn, int rm, enum a64_extend how,
                   bool scaled);
/* Of eight bytes each; disp: a multiple of 8 within -512 .. 504. */
void a64_pair(struct a64_buf *e, uint32_t op, int rt, int rt2, int rn, int64_t disp);

/* --- branches ------------------------------------------------------------------------------------- */

/* Return their position, for a64_link. */
uint32_t a64_b(struct a64_buf *e);
uint32_t a64_bcond(struct a64_buf *e, enum a64_cc cc);
uint32_t a64_cb(struct a64_buf *e, uint32_t op, int rt);               /* CBZ, CBNZ */
uint32_t a64_tb(struct a64_buf *e, uint32_t op, int rt, unsigned bit); /* TBZ, TBNZ */
/* To a run address, within 128 MiB; else full. op: B, BL. */
void a64_to(struct a64_buf *e, uint32_t op, uint64_t target);
/* Points the branch at position `at` to position `to` (both from start); full: it does not reach. */
void a64_link(struct a64_buf *e, uint32_t at, uint32_t to);
/* The branch at run address `at`, of the bits in insn, so that it leads `distance` away; 0: too far. */
uint32_t a64_aimed(uint32_t insn, int64_t distance);

#endif
