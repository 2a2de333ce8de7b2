#include "backend-x86_64/x64_emit.h"

#include "backend-x86_64/x64.h"

_Static_assert(OP_ADD >> 3 == EXT_ADD && OP_OR >> 3 == EXT_OR && OP_AND >> 3 == EXT_AND &&
                   OP_SUB >> 3 == EXT_SUB && OP_XOR >> 3 == EXT_XOR && OP_CMP >> 3 == EXT_CMP,
               "x64_group1");
_Static_assert(OP_ADD - 2 == OP_ADD_MR && OP_OR - 2 == OP_OR_MR && OP_CMP - 2 == OP_CMP_MR,
               "x64_to_memory");

static bool avx(const struct x64_buf *e)
{
    return e->features & X64_F_AVX;
}

/* --- integers ------------------------------------------------------------------------------------ */

void x64_alu_ri(struct x64_buf *e, unsigned w, unsigned ext, int rm, int32_t imm)
{
    if (x64_fits8(imm)) {
        x64_rr(e, w | OP_GROUP1_I8, (int)ext, rm);
        x64_u8(e, (uint8_t)imm);
    } else {
        x64_rr(e, w | OP_GROUP1_I32, (int)ext, rm);
        x64_u32(e, (uint32_t)imm);
    }
}

void x64_alu_mi(struct x64_buf *e, unsigned w, unsigned ext, struct x64_mem m, int32_t imm)
{
    if (x64_fits8(imm)) {
        x64_rm(e, w | OP_GROUP1_I8, (int)ext, m, 1);
        x64_u8(e, (uint8_t)imm);
    } else {
        x64_rm(e, w | OP_GROUP1_I32, (int)ext, m, 4);
        x64_u32(e, (uint32_t)imm);
    }
}

void x64_mov_mi(struct x64_buf *e, unsigned w, struct x64_mem m, int32_t imm)
{
    x64_rm(e, w | OP_MOV_MI, 0, m, 4);
    x64_u32(e, (uint32_t)imm);
}

void x64_shift_ri(struct x64_buf *e, unsigned w, unsigned ext, int rm, unsigned count)
{
    x64_rr(e, w | OP_SHIFT_I, (int)ext, rm);
    x64_u8(e, count);
}

void x64_mov(struct x64_buf *e, int d, int s)
{
    if (d != s)
        x64_rr(e, X_W | OP_MOV, d, s);
}

void x64_zext32(struct x64_buf *e, int d, int s)
{
    x64_rr(e, OP_MOV, d, s);
}

void x64_lea(struct x64_buf *e, unsigned w, int d, int base, int64_t disp)
{
    if (disp)
        x64_rm(e, w | OP_LEA, d, x64_at(base, disp), 0);
    else
        x64_rr(e, w | OP_MOV, d, base);
}

void x64_zero(struct x64_buf *e, int d)
{
    x64_rr(e, OP_XOR, d, d);
}

void x64_load(struct x64_buf *e, int d, struct x64_mem m)
{
    x64_rm(e, X_W | OP_MOV, d, m, 0);
}

void x64_store(struct x64_buf *e, int s, struct x64_mem m)
{
    x64_rm(e, X_W | OP_MOV_MR, s, m, 0);
}

void x64_setcc_byte(struct x64_buf *e, unsigned cc, int d)
{
    x64_rr(e, OP_SETCC | cc, 0, d);
}

void x64_setcc(struct x64_buf *e, unsigned cc, int d)
{
    x64_setcc_byte(e, cc, d);
    x64_rr(e, X_B | OP_MOVZX_B, d, d);
}

/* --- memory order -------------------------------------------------------------------------------- */

void x64_lock(struct x64_buf *e)
{
    x64_u8(e, OP_LOCK);
}

void x64_full_fence(struct x64_buf *e)
{
    x64_lock(e);
    x64_alu_mi(e, 0, EXT_OR, x64_at(RSP, 0), 0);
}

/* --- vector registers ---------------------------------------------------------------------------- */

void x64_movf(struct x64_buf *e, int d, int s)
{
    if (d != s)
        x64_op2(e, OP_MOVAPD, d, s);
}

void x64_loadq(struct x64_buf *e, int d, struct x64_mem m)
{
    x64_op2_m(e, OP_MOVQ, d, m);
}

void x64_storeq(struct x64_buf *e, int s, struct x64_mem m)
{
    x64_op2_m(e, OP_MOVQ_MR, s, m);
}

void x64_loadq_sse(struct x64_buf *e, int d, struct x64_mem m)
{
    x64_rm(e, OP_MOVQ, d, m, 0);
}

void x64_storeq_sse(struct x64_buf *e, int s, struct x64_mem m)
{
    x64_rm(e, OP_MOVQ_MR, s, m, 0);
}

void x64_op3(struct x64_buf *e, unsigned op, int d, int a, int b)
{
    if (avx(e)) {
        x64_vrr(e, op, d, a, b);
    } else {
        x64_movf(e, d, a);
        x64_rr(e, op, d, b);
    }
}

void x64_op3_m(struct x64_buf *e, unsigned op, int d, int a, struct x64_mem b)
{
    if (avx(e)) {
        x64_vrm(e, op, d, a, b, 0);
    } else {
        x64_movf(e, d, a);
        x64_rm(e, op, d, b, 0);
    }
}

void x64_op2(struct x64_buf *e, unsigned op, int reg, int rm)
{
    if (avx(e))
        x64_vrr(e, op, reg, 0, rm);
    else
        x64_rr(e, op, reg, rm);
}

void x64_op2_m(struct x64_buf *e, unsigned op, int reg, struct x64_mem m)
{
    if (avx(e))
        x64_vrm(e, op, reg, 0, m, 0);
    else
        x64_rm(e, op, reg, m, 0);
}

void x64_op1(struct x64_buf *e, unsigned op, int d, int s)
{
    if (avx(e))
        x64_vrr(e, op, d, s, s);
    else
        x64_rr(e, op, d, s);
}

void x64_ucomis(struct x64_buf *e, bool single, int a, int b)
{
    x64_op2(e, (single ? 0u : X_66) | OP_UCOMIS, a, b);
}

void x64_to_vector(struct x64_buf *e, unsigned w, int d, int s)
{
    x64_rr(e, w | OP_MOVD_FROM_INT, d, s);
}

void x64_from_vector(struct x64_buf *e, unsigned w, int d, int s)
{
    x64_rr(e, w | OP_MOVD_TO_INT, s, d);
}

/* --- MXCSR --------------------------------------------------------------------------------------- */

void x64_ldmxcsr(struct x64_buf *e, struct x64_mem m)
{
    x64_rm(e, OP_GROUP15, EXT_LDMXCSR, m, 0);
}

void x64_stmxcsr(struct x64_buf *e, struct x64_mem m)
{
    x64_rm(e, OP_GROUP15, EXT_STMXCSR, m, 0);
}
