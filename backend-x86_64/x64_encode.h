/*
 * Encodings of x86-64: instruction formats, and opcodes by name. Each function appends to a struct
 * x64_buf whose sticky `full` flag is checked once a block. Nothing here knows the IR.
 *
 * Source: Intel 64 and IA-32 Architectures SDM vol. 2, chapters 2 (formats) and 3-6.
 */
#ifndef X64_ENCODE_H
#define X64_ENCODE_H

#include <stdbool.h>
#include <stdint.h>
#include <string.h>

/* Registers, numbered as backend-common/regs.h has it: formats take the low four bits. */
enum {
    RAX,
    RCX,
    RDX,
    RBX,
    RSP,
    RBP,
    RSI,
    RDI,
    R8,
    R9,
    R10,
    R11,
    R12,
    R13,
    R14,
    R15,
    X64_RIP = 16, /* base of a rip-relative operand: disp is then an absolute run address */
    XMM0 = 32,    /* and so on to XMM15 */
    XMM4 = XMM0 + 4,
    X64_REGS = XMM0 + 16
};

/* Room for the longest sequence that any single encoder writes; checked by each. */
enum { X64_MAX_INSN = 16 };

struct x64_buf {
    uint8_t *start, *p, *end;
    uint64_t base;     /* run address of start */
    uint32_t features; /* of the host, X64_F_* */
    uint32_t insns;
    bool full; /* sticky: what was written is incomplete */
};

/* Encoding bits of an opcode: byte, map, mandatory prefix, width. */
enum {
    X_MAP_0F = 1 << 8,
    X_MAP_38 = 2 << 8,
    X_MAP_3A = 3 << 8,
    X_MAP = 3 << 8,
    X_66 = 1 << 12,
    X_F3 = 2 << 12,
    X_F2 = 3 << 12,
    X_PP = 3 << 12,
    X_W = 1 << 16, /* 64-bit operand */
    X_B = 1 << 17, /* byte register in reg: needs REX for spl..dil */
    X_SS = X_F3 | X_MAP_0F,
    X_SD = X_F2 | X_MAP_0F,
};
enum x64_op {
#define X64_OP(NAME, bits) OP_##NAME = bits,
#define X64_EXT(NAME, n)
#include "backend-x86_64/opcodes.inc"
#undef X64_OP
#undef X64_EXT
};
enum x64_ext {
#define X64_OP(NAME, bits)
#define X64_EXT(NAME, n) EXT_##NAME = n,
#include "backend-x86_64/opcodes.inc"
#undef X64_OP
#undef X64_EXT
};

/* Conditions, in the opcodes of Jcc, SETcc and CMOVcc. Each is the negation of its neighbour: cc ^ 1. */
enum {
    CC_O,
    CC_NO,
    CC_B,
    CC_AE,
    CC_E,
    CC_NE,
    CC_BE,
    CC_A,
    CC_S,
    CC_NS,
    CC_P,
    CC_NP,
    CC_L,
    CC_GE,
    CC_LE,
    CC_G,
};

/* A memory operand: [base + index * scale + disp]; index < 0: none. */
struct x64_mem {
    int8_t base, index;
    uint8_t scale; /* log2 */
    int64_t disp;
};

static inline struct x64_mem x64_at(int base, int64_t disp)
{
    return (struct x64_mem){.base = (int8_t)base, .index = -1, .scale = 0, .disp = disp};
}
static inline struct x64_mem x64_sib(int base, int index, unsigned scale, int64_t disp)
{
    return (struct x64_mem){
        .base = (int8_t)base, .index = (int8_t)index, .scale = (uint8_t)scale, .disp = disp};
}

static inline uint32_t x64_pos(const struct x64_buf *e)
{
    return (uint32_t)(e->p - e->start);
}
static inline uint64_t x64_here(const struct x64_buf *e)
{
    return e->base + x64_pos(e);
}
static inline void x64_u8(struct x64_buf *e, unsigned v)
{
    *e->p++ = (uint8_t)v;
}
static inline void x64_u32(struct x64_buf *e, uint32_t v)
{
    memcpy(e->p, &v, 4);
    e->p += 4;
}
static inline void x64_u64(struct x64_buf *e, uint64_t v)
{
    memcpy(e->p, &v, 8);
    e->p += 8;
}
static inline bool x64_fits8(int64_t v)
{
    return v == (int8_t)v;
}
static inline bool x64_fits32(int64_t v)
{
    return v == (int32_t)v;
}

/* reg, r/m register form; and reg, memory form. imm_bytes: what follows (for rip-relative). */
void x64_rr(struct x64_buf *e, unsigned op, int reg, int rm);
void x64_rm(struct x64_buf *e, unsigned op, int reg, struct x64_mem m, unsigned imm_bytes);
/* VEX.128 three-operand forms. */
void x64_vrr(struct x64_buf *e, unsigned op, int reg, int vvvv, int rm);
void x64_vrm(struct x64_buf *e, unsigned op, int reg, int vvvv, struct x64_mem m,
             unsigned imm_bytes);

/* Branches. Return the position of the displacement, of 32 bits. */
uint32_t x64_jmp(struct x64_buf *e);
uint32_t x64_jcc(struct x64_buf *e, unsigned cc);
/* A short forward jump, and its landing here: at most 127 bytes behind it. */
uint32_t x64_jmp8(struct x64_buf *e);
uint32_t x64_jcc8(struct x64_buf *e, unsigned cc);
void x64_link8(struct x64_buf *e, uint32_t at);
/* To a run address. */
void x64_jmp_to(struct x64_buf *e, uint64_t target);
void x64_call_to(struct x64_buf *e, uint64_t target);
/* Points the displacement at position `at` to position `to` (both from start). */
void x64_link(struct x64_buf *e, uint32_t at, uint32_t to);

/* The register in the opcode's low bits; no operands at all; a constant, as short as can be. */
void x64_r(struct x64_buf *e, unsigned op, int reg);
void x64_plain(struct x64_buf *e, unsigned op);
void x64_mov_ri(struct x64_buf *e, int reg, uint64_t imm); /* keeps flags */

#endif
