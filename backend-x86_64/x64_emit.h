/*
 * Emitters: one instruction, or the best of several that do the same. Where the host has AVX its forms of
 * three operands are taken, which spare a move.
 *
 * Nothing here knows the IR, or who holds which register.
 */
#ifndef X64_EMIT_H
#define X64_EMIT_H

#include "backend-x86_64/x64_encode.h"

/* --- integers ------------------------------------------------------------------------------------ */

/* Of ADD OR AND SUB XOR CMP: the extension for an immediate operand, the form that writes to memory. */
static inline unsigned x64_group1(unsigned op)
{
    return op >> 3;
}
static inline unsigned x64_to_memory(unsigned op)
{
    return op - 2;
}

/* Arithmetic with an immediate. ext: of group 1. w: X_W or 0. */
void x64_alu_ri(struct x64_buf *e, unsigned w, unsigned ext, int rm, int32_t imm);
void x64_alu_mi(struct x64_buf *e, unsigned w, unsigned ext, struct x64_mem m, int32_t imm);
void x64_mov_mi(struct x64_buf *e, unsigned w, struct x64_mem m, int32_t imm);
/* ext: ROL ROR SHL SHR SAR. */
void x64_shift_ri(struct x64_buf *e, unsigned w, unsigned ext, int rm, unsigned count);
void x64_mov(struct x64_buf *e, int d, int s);    /* 64 bits; nothing when they are the same */
void x64_zext32(struct x64_buf *e, int d, int s); /* the low 32 bits, even when they are the same */
void x64_lea(struct x64_buf *e, unsigned w, int d, int base, int64_t disp);
void x64_zero(struct x64_buf *e, int d);                    /* changes the flags */
void x64_load(struct x64_buf *e, int d, struct x64_mem m);  /* 64 bits */
void x64_store(struct x64_buf *e, int s, struct x64_mem m); /* 64 bits */
/* d = 0 or 1, by the flags; in two steps, so that another one can be merged between. */
void x64_setcc_byte(struct x64_buf *e, unsigned cc, int d);
void x64_setcc(struct x64_buf *e, unsigned cc, int d);

/* --- memory order -------------------------------------------------------------------------------- */

void x64_lock(struct x64_buf *e); /* ahead of the instruction */
/* Earlier stores are done before later loads: the one order that TSO does not keep. */
void x64_full_fence(struct x64_buf *e);

/* --- vector registers ---------------------------------------------------------------------------- */

void x64_movf(struct x64_buf *e, int d, int s); /* all of it; nothing when they are the same */
void x64_loadq(struct x64_buf *e, int d, struct x64_mem m); /* the low 8 bytes, zero above */
void x64_storeq(struct x64_buf *e, int s, struct x64_mem m);
/* The same where no AVX form is wanted: in thunks and cold paths. */
void x64_loadq_sse(struct x64_buf *e, int d, struct x64_mem m);
void x64_storeq_sse(struct x64_buf *e, int s, struct x64_mem m);
/* d = a op b. Without AVX d must not be b, unless it is a too. */
void x64_op3(struct x64_buf *e, unsigned op, int d, int a, int b);
void x64_op3_m(struct x64_buf *e, unsigned op, int d, int a, struct x64_mem b);
/* Of two operands: reg, r/m. With AVX a third one is none. */
void x64_op2(struct x64_buf *e, unsigned op, int reg, int rm);
void x64_op2_m(struct x64_buf *e, unsigned op, int reg, struct x64_mem m);
/* Of one source that merges into d's upper part: with AVX that is the source's own. */
void x64_op1(struct x64_buf *e, unsigned op, int d, int s);
/* Flags by a and b: B, E, A and, if either is a NaN, P. Quiet. */
void x64_ucomis(struct x64_buf *e, bool single, int a, int b);
/* Between an integer register and a vector register's low 8 (X_W) or 4 bytes. */
void x64_to_vector(struct x64_buf *e, unsigned w, int d, int s);
void x64_from_vector(struct x64_buf *e, unsigned w, int d, int s);

/* --- MXCSR --------------------------------------------------------------------------------------- */

void x64_ldmxcsr(struct x64_buf *e, struct x64_mem m);
void x64_stmxcsr(struct x64_buf *e, struct x64_mem m);

#endif
