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

/*
 * Begins an instruction: where its bytes go. Who writes several carries the place along and sets e->p at the
 * end, since a byte that is stored could be part of *e for all that the compiler knows.
 */
static inline uint8_t *room(struct x64_buf *e)
{
    e->insns++;
    if (e->end - e->p < X64_MAX_INSN) {
        e->full = true;
        e->p = e->start; /* keeps writing harmlessly; the block is thrown away */
    }
    return e->p;
}

static inline uint8_t *put(uint8_t *p, unsigned v)
{
    *p = (uint8_t)v;
    return p + 1;
}

static inline uint8_t *put32(uint8_t *p, uint32_t v)
{
    memcpy(p, &v, 4);
    return p + 4;
}

static uint8_t *modrm_rip(const struct x64_buf *e, uint8_t *p, unsigned r, int64_t target,
                          unsigned imm_bytes)
{
    uint64_t here = e->base + (uint64_t)(p - e->start) + 1;
    p = put(p, r | 5);
    return put32(p, (uint32_t)((uint64_t)target - (here + 4 + imm_bytes)));
}

static inline uint8_t *modrm_mem(const struct x64_buf *e, uint8_t *p, int reg, struct x64_mem m,
                                 unsigned imm_bytes)
{
    static const uint8_t disp_bytes[] = {0, 1, 4};
    unsigned r = (unsigned)(reg & 7) << 3, b = (unsigned)m.base & 7;
    if (m.base == X64_RIP)
        return modrm_rip(e, p, r, m.disp, imm_bytes);
    unsigned mod = m.disp == 0 && b != 5 ? 0 : x64_fits8(m.disp) ? 1 : 2;
    if (m.index >= 0 || b == 4) {
        unsigned idx = m.index >= 0 ? (unsigned)m.index & 7 : 4;
        p = put(p, mod << 6 | r | 4);
        p = put(p, (unsigned)m.scale << 6 | idx << 3 | b);
    } else {
        p = put(p, mod << 6 | r | b);
    }
    put32(p, (uint32_t)m.disp); /* what is too much of it is overwritten */
    return p + disp_bytes[mod];
}

static unsigned opcode(unsigned op)
{
    return op & 0xff;
}

static inline uint8_t *modrm_reg(uint8_t *p, int reg, int rm)
{
    return put(p, MOD_REG | (unsigned)(reg & 7) << 3 | (unsigned)(rm & 7));
}

/* REX_* of the operation's width, and of registers: 0 where one has none, as rip is. */
static unsigned rex_of(unsigned op, int reg, int index, int base)
{
    return (op & X_W ? REX_W : 0u) | (reg & 8 ? REX_R : 0u) | (index & 8 ? REX_X : 0u) |
           (base & 8 ? REX_B : 0u);
}
_Static_assert(!(X64_RIP & 8), "no REX_B");

static uint8_t *escapes(uint8_t *p, unsigned op)
{
    p = put(p, ESCAPE);
    if ((op & X_MAP) == X_MAP_38)
        p = put(p, ESCAPE_38);
    else if ((op & X_MAP) == X_MAP_3A)
        p = put(p, ESCAPE_3A);
    return p;
}

/* rex: REX_*, or REX alone where a byte register wants one; 0: none. */
static inline uint8_t *legacy_prefix(uint8_t *p, unsigned op, unsigned rex)
{
    static const uint8_t pp[4] = {0, 0x66, 0xf3, 0xf2};
    if (op & X_PP)
        p = put(p, pp[(op & X_PP) >> 12]);
    if (rex)
        p = put(p, REX | rex);
    if (op & X_MAP)
        p = escapes(p, op);
    return put(p, opcode(op));
}

void x64_rr(struct x64_buf *e, unsigned op, int reg, int rm)
{
    uint8_t *p = room(e);
    unsigned rex = rex_of(op, reg, 0, rm);
    if (op & X_B && (reg >= 4 || rm >= 4))
        rex |= REX;
    p = legacy_prefix(p, op, rex);
    e->p = modrm_reg(p, reg, rm);
}

void x64_rm(struct x64_buf *e, unsigned op, int reg, struct x64_mem m, unsigned imm_bytes)
{
    uint8_t *p = room(e);
    unsigned rex = rex_of(op, reg, m.index < 0 ? 0 : m.index, m.base);
    if (op & X_B && reg >= 4)
        rex |= REX;
    p = legacy_prefix(p, op, rex);
    e->p = modrm_mem(e, p, reg, m, imm_bytes);
}

static uint8_t *vex(uint8_t *p, unsigned op, int reg, int vvvv, bool xbit, bool bbit)
{
    unsigned map = (op & X_MAP) >> 8, pp = (op & X_PP) >> 12, w = op & X_W ? VEX_W : 0;
    unsigned r = reg & 8 ? 0 : VEX_NO_R, nv = (unsigned)(~vvvv & 15) << 3;
    if ((op & X_MAP) == X_MAP_0F && !w && !xbit && !bbit) {
        p = put(p, VEX_2);
        p = put(p, r | nv | pp);
    } else {
        p = put(p, VEX_3);
        p = put(p, r | (xbit ? 0u : VEX_NO_X) | (bbit ? 0u : VEX_NO_B) | map);
        p = put(p, w | nv | pp);
    }
    return put(p, opcode(op));
}

void x64_vrr(struct x64_buf *e, unsigned op, int reg, int vvvv, int rm)
{
    uint8_t *p = vex(room(e), op, reg, vvvv, false, rm & 8);
    e->p = modrm_reg(p, reg, rm);
}

void x64_vrm(struct x64_buf *e, unsigned op, int reg, int vvvv, struct x64_mem m,
             unsigned imm_bytes)
{
    uint8_t *p = vex(room(e), op, reg, vvvv, m.index >= 0 && m.index & 8, m.base & 8);
    e->p = modrm_mem(e, p, reg, m, imm_bytes);
}

void x64_r(struct x64_buf *e, unsigned op, int reg)
{
    unsigned rex = rex_of(op, 0, 0, reg);
    uint8_t *p = room(e);
    if (rex)
        p = put(p, REX | rex);
    if (op & X_MAP)
        p = put(p, ESCAPE);
    e->p = put(p, opcode(op) | (unsigned)(reg & 7));
}

void x64_plain(struct x64_buf *e, unsigned op)
{
    uint8_t *p = room(e);
    if (op & X_W)
        p = put(p, REX | REX_W);
    e->p = put(p, opcode(op));
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
    uint8_t *p = put(room(e), ESCAPE);
    e->p = put(p, opcode(OP_JCC | cc));
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
