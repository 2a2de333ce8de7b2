#include "backend-x86_64/x64_encode.h"

/* Bytes ahead of an opcode (SDM 2.2.1, 2.3), and the ModRM byte's mode for a register. */
enum { REX = 0x40, REX_W = 8, REX_R = 4, REX_X = 2, REX_B = 1 };
enum { ESCAPE = 0x0f, ESCAPE_38 = 0x38, ESCAPE_3A = 0x3a };
enum {
    VEX_2 = 0xc5,
    VEX_3 = 0xc4,
    VEX_NO_R = 0x80,
    VEX_NO_X = 0x40,
    VEX_NO_B = 0x20,
    VEX_W = 0x80
};
enum { MOD_REG = 0xc0 };

/* Begins an instruction. */
static void room(struct x64_buf *e)
{
    e->insns++;
    if (e->end - e->p >= X64_MAX_INSN)
        return;
    e->full = true;
    e->p = e->start; /* keeps writing harmlessly; the block is thrown away */
}

static void modrm_mem(struct x64_buf *e, int reg, struct x64_mem m, unsigned imm_bytes)
{
    unsigned r = (unsigned)(reg & 7) << 3;
    if (m.base == X64_RIP) {
        x64_u8(e, r | 5);
        x64_u32(e, (uint32_t)((uint64_t)m.disp - (x64_here(e) + 4 + imm_bytes)));
        return;
    }
    unsigned b = (unsigned)m.base & 7;
    unsigned mod = m.disp == 0 && b != 5 ? 0 : x64_fits8(m.disp) ? 1 : 2;
    if (m.index >= 0 || b == 4) {
        unsigned idx = m.index >= 0 ? (unsigned)m.index & 7 : 4;
        x64_u8(e, mod << 6 | r | 4);
        x64_u8(e, (unsigned)m.scale << 6 | idx << 3 | b);
    } else {
        x64_u8(e, mod << 6 | r | b);
    }
    if (mod == 1)
        x64_u8(e, (uint8_t)m.disp);
    else if (mod == 2)
        x64_u32(e, (uint32_t)m.disp);
}

static unsigned opcode(unsigned op)
{
    return op & 0xff;
}

static void modrm_reg(struct x64_buf *e, int reg, int rm)
{
    x64_u8(e, MOD_REG | (unsigned)(reg & 7) << 3 | (unsigned)(rm & 7));
}

/* rex: REX_*, or REX alone where a byte register wants one; 0: none. */
static void legacy_prefix(struct x64_buf *e, unsigned op, unsigned rex)
{
    static const uint8_t pp[4] = {0, 0x66, 0xf3, 0xf2};
    if (op & X_PP)
        x64_u8(e, pp[(op & X_PP) >> 12]);
    if (rex)
        x64_u8(e, REX | rex);
    if (op & X_MAP) {
        x64_u8(e, ESCAPE);
        if ((op & X_MAP) == X_MAP_38)
            x64_u8(e, ESCAPE_38);
        else if ((op & X_MAP) == X_MAP_3A)
            x64_u8(e, ESCAPE_3A);
    }
    x64_u8(e, opcode(op));
}

void x64_rr(struct x64_buf *e, unsigned op, int reg, int rm)
{
    room(e);
    unsigned rex = (op & X_W ? REX_W : 0u) | (reg & 8 ? REX_R : 0u) | (rm & 8 ? REX_B : 0u);
    if (op & X_B && (reg >= 4 || rm >= 4))
        rex |= REX;
    legacy_prefix(e, op, rex);
    modrm_reg(e, reg, rm);
}

void x64_rm(struct x64_buf *e, unsigned op, int reg, struct x64_mem m, unsigned imm_bytes)
{
    room(e);
    unsigned rex = (op & X_W ? REX_W : 0u) | (reg & 8 ? REX_R : 0u) |
                   (m.index >= 0 && m.index & 8 ? REX_X : 0u) |
                   (m.base != X64_RIP && m.base & 8 ? REX_B : 0u);
    if (op & X_B && reg >= 4)
        rex |= REX;
    legacy_prefix(e, op, rex);
    modrm_mem(e, reg, m, imm_bytes);
}

static void vex(struct x64_buf *e, unsigned op, int reg, int vvvv, bool xbit, bool bbit)
{
    unsigned map = (op & X_MAP) >> 8, pp = (op & X_PP) >> 12, w = op & X_W ? VEX_W : 0;
    unsigned r = reg & 8 ? 0 : VEX_NO_R, nv = (unsigned)(~vvvv & 15) << 3;
    if ((op & X_MAP) == X_MAP_0F && !w && !xbit && !bbit) {
        x64_u8(e, VEX_2);
        x64_u8(e, r | nv | pp);
    } else {
        x64_u8(e, VEX_3);
        x64_u8(e, r | (xbit ? 0u : VEX_NO_X) | (bbit ? 0u : VEX_NO_B) | map);
        x64_u8(e, w | nv | pp);
    }
    x64_u8(e, opcode(op));
}

void x64_vrr(struct x64_buf *e, unsigned op, int reg, int vvvv, int rm)
{
    room(e);
    vex(e, op, reg, vvvv, false, rm & 8);
    modrm_reg(e, reg, rm);
}

void x64_vrm(struct x64_buf *e, unsigned op, int reg, int vvvv, struct x64_mem m,
             unsigned imm_bytes)
{
    room(e);
    vex(e, op, reg, vvvv, m.index >= 0 && m.index & 8, m.base != X64_RIP && m.base & 8);
    modrm_mem(e, reg, m, imm_bytes);
}

void x64_r(struct x64_buf *e, unsigned op, int reg)
{
    unsigned rex = (op & X_W ? REX_W : 0u) | (reg & 8 ? REX_B : 0u);
    room(e);
    if (rex)
        x64_u8(e, REX | rex);
    if (op & X_MAP)
        x64_u8(e, ESCAPE);
    x64_u8(e, opcode(op) | (unsigned)(reg & 7));
}

void x64_plain(struct x64_buf *e, unsigned op)
{
    room(e);
    if (op & X_W)
        x64_u8(e, REX | REX_W);
    x64_u8(e, opcode(op));
}

void x64_mov_ri(struct x64_buf *e, int reg, uint64_t imm)
{
    if (imm <= UINT32_MAX) {
        x64_r(e, OP_MOV_RI, reg);
        x64_u32(e, (uint32_t)imm);
    } else if (x64_fits32((int64_t)imm)) {
        x64_rr(e, X_W | OP_MOV_MI, 0, reg);
        x64_u32(e, (uint32_t)imm);
    } else {
        x64_r(e, X_W | OP_MOV_RI, reg);
        x64_u64(e, imm);
    }
}

/* Behind an opcode; returns where it is. */
static uint32_t displacement(struct x64_buf *e, uint32_t d)
{
    x64_u32(e, d);
    return x64_pos(e) - 4;
}

uint32_t x64_jmp(struct x64_buf *e)
{
    x64_plain(e, OP_JMP);
    return displacement(e, 0);
}

uint32_t x64_jcc(struct x64_buf *e, unsigned cc)
{
    room(e);
    x64_u8(e, ESCAPE);
    x64_u8(e, opcode(OP_JCC | cc));
    return displacement(e, 0);
}

uint32_t x64_jmp8(struct x64_buf *e)
{
    room(e);
    x64_u8(e, OP_JMP_8);
    x64_u8(e, 0);
    return x64_pos(e) - 1;
}

uint32_t x64_jcc8(struct x64_buf *e, unsigned cc)
{
    room(e);
    x64_u8(e, OP_JCC_8 | cc);
    x64_u8(e, 0);
    return x64_pos(e) - 1;
}

void x64_link8(struct x64_buf *e, uint32_t at)
{
    e->start[at] = (uint8_t)(x64_pos(e) - at - 1);
}

void x64_jmp_to(struct x64_buf *e, uint64_t target)
{
    x64_plain(e, OP_JMP);
    displacement(e, (uint32_t)(target - (x64_here(e) + 4)));
}

void x64_call_to(struct x64_buf *e, uint64_t target)
{
    x64_plain(e, OP_CALL);
    displacement(e, (uint32_t)(target - (x64_here(e) + 4)));
}

void x64_link(struct x64_buf *e, uint32_t at, uint32_t to)
{
    uint32_t d = to - (at + 4);
    if (!e->full)
        memcpy(e->start + at, &d, 4);
}
