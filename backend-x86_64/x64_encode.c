#include "backend-x86_64/x64_encode.h"

/* Room for the longest sequence any single encoder writes; checked by each. */
enum { MAX_INSN = 16 };
enum { REX = 0x40, ESCAPE = 0x0f };

/* Begins an instruction. */
static void room(struct x64_buf *e)
{
    e->insns++;
    if (e->end - e->p >= MAX_INSN)
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

static void legacy_prefix(struct x64_buf *e, unsigned op, unsigned rex)
{
    static const uint8_t pp[4] = {0, 0x66, 0xf3, 0xf2};
    if (op & X_PP)
        x64_u8(e, pp[(op & X_PP) >> 12]);
    if (rex)
        x64_u8(e, 0x40 | (rex & 15));
    if (op & X_MAP) {
        x64_u8(e, 0x0f);
        if ((op & X_MAP) == X_MAP_38)
            x64_u8(e, 0x38);
        else if ((op & X_MAP) == X_MAP_3A)
            x64_u8(e, 0x3a);
    }
    x64_u8(e, op & 0xff);
}

void x64_rr(struct x64_buf *e, unsigned op, int reg, int rm)
{
    room(e);
    unsigned rex = (op & X_W ? 8u : 0) | (reg & 8 ? 4u : 0) | (rm & 8 ? 1u : 0);
    if (op & X_B && (reg >= 4 || rm >= 4))
        rex |= 0x40;
    legacy_prefix(e, op, rex);
    x64_u8(e, 0xc0 | (unsigned)(reg & 7) << 3 | (unsigned)(rm & 7));
}

void x64_rm(struct x64_buf *e, unsigned op, int reg, struct x64_mem m, unsigned imm_bytes)
{
    room(e);
    unsigned rex = (op & X_W ? 8u : 0) | (reg & 8 ? 4u : 0) |
                   (m.index >= 0 && m.index & 8 ? 2u : 0) |
                   (m.base != X64_RIP && m.base & 8 ? 1u : 0);
    if (op & X_B && reg >= 4)
        rex |= 0x40;
    legacy_prefix(e, op, rex);
    modrm_mem(e, reg, m, imm_bytes);
}

static void vex(struct x64_buf *e, unsigned op, int reg, int vvvv, bool xbit, bool bbit)
{
    unsigned map = (op & X_MAP) >> 8, pp = (op & X_PP) >> 12, w = op & X_W ? 1 : 0;
    unsigned r = reg & 8 ? 0 : 0x80, nv = (unsigned)(~vvvv & 15) << 3;
    if (map == 1 && !w && !xbit && !bbit) {
        x64_u8(e, 0xc5);
        x64_u8(e, r | nv | pp);
    } else {
        x64_u8(e, 0xc4);
        x64_u8(e, r | (xbit ? 0u : 0x40u) | (bbit ? 0u : 0x20u) | map);
        x64_u8(e, w << 7 | nv | pp);
    }
    x64_u8(e, op & 0xff);
}

void x64_vrr(struct x64_buf *e, unsigned op, int reg, int vvvv, int rm)
{
    room(e);
    vex(e, op, reg, vvvv, false, rm & 8);
    x64_u8(e, 0xc0 | (unsigned)(reg & 7) << 3 | (unsigned)(rm & 7));
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
    unsigned rex = (op & X_W ? 8u : 0) | (reg & 8 ? 1u : 0);
    room(e);
    if (rex)
        x64_u8(e, REX | rex);
    if (op & X_MAP)
        x64_u8(e, ESCAPE);
    x64_u8(e, (op & 0xff) | (unsigned)(reg & 7));
}

void x64_plain(struct x64_buf *e, unsigned op)
{
    room(e);
    if (op & X_W)
        x64_u8(e, REX | 8);
    x64_u8(e, op & 0xff);
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
    x64_u8(e, (OP_JCC | cc) & 0xff);
    return displacement(e, 0);
}

uint32_t x64_jmp8(struct x64_buf *e)
{
    room(e);
    x64_u8(e, OP_JMP_8);
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
