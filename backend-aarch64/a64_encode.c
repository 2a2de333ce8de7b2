#include "backend-aarch64/a64_encode.h"

enum { RD = 0, RN = 5, RA = 10, RM = 16 };

static uint32_t reg(int r, unsigned at)
{
    return (uint32_t)(r & 31) << at;
}

void a64_word(struct a64_buf *e, uint32_t insn)
{
    if (e->end - e->p < 4) {
        e->full = true;
        return;
    }
    for (unsigned i = 0; i < 4; i++) /* whatever the order of bytes here */
        e->p[i] = (uint8_t)(insn >> 8 * i);
    e->p += 4;
    e->insns++;
}

/* --- registers ----------------------------------------------------------------------------------- */

void a64_r(struct a64_buf *e, uint32_t op, int rt)
{
    bool branch = (op & 0xfe000000) == 0xd6000000;
    a64_word(e, op | reg(rt, branch ? RN : RD));
}

void a64_rr(struct a64_buf *e, uint32_t op, int rd, int rn)
{
    a64_word(e, op | reg(rd, RD) | reg(rn, RN));
}

void a64_rrr(struct a64_buf *e, uint32_t op, int rd, int rn, int rm)
{
    a64_word(e, op | reg(rd, RD) | reg(rn, RN) | reg(rm, RM));
}

void a64_rrrr(struct a64_buf *e, uint32_t op, int rd, int rn, int rm, int ra)
{
    a64_word(e, op | reg(rd, RD) | reg(rn, RN) | reg(rm, RM) | reg(ra, RA));
}

void a64_shifted(struct a64_buf *e, uint32_t op, int rd, int rn, int rm, enum a64_shift how,
                 unsigned by)
{
    a64_rrr(e, op | (uint32_t)how << 22 | by << 10, rd, rn, rm);
}

void a64_cond(struct a64_buf *e, uint32_t op, int rd, int rn, int rm, enum a64_cc cc)
{
    a64_rrr(e, op | (uint32_t)cc << 12, rd, rn, rm);
}

/* --- constants ----------------------------------------------------------------------------------- */

void a64_imm12(struct a64_buf *e, uint32_t op, int rd, int rn, uint64_t v)
{
    const uint32_t high = UINT32_C(1) << 22;
    uint32_t field = v < 4096 ? (uint32_t)v << 10 : (uint32_t)(v >> 12) << 10 | high;
    a64_word(e, op | reg(rd, RD) | reg(rn, RN) | field);
}

static uint64_t rotated_right(uint64_t v, unsigned by, unsigned width)
{
    const uint64_t mask = UINT64_MAX >> (64 - width);
    return by ? (v >> by | v << (width - by)) & mask : v;
}

/* DDI 0487, shared/functions/DecodeBitMasks, the other way round: a run of ones, rotated, repeated. */
uint32_t a64_pattern(uint64_t v, bool wide)
{
    unsigned width = 64, ones, rotation = 0;
    if (!wide)
        v = (v & UINT32_MAX) | v << 32;
    if (v == 0 || v == UINT64_MAX)
        return A64_NO_PATTERN;
    while (width > 2) {
        const uint64_t low = UINT64_MAX >> (64 - width / 2);
        if ((v & low) != (v >> width / 2 & low))
            break;
        width /= 2;
        v &= low;
    }
    ones = (unsigned)__builtin_popcountll(v);
    const uint64_t run = UINT64_MAX >> (64 - ones);
    while (rotation < width && rotated_right(run, rotation, width) != v)
        rotation++;
    if (rotation == width)
        return A64_NO_PATTERN;
    const uint32_t n = width == 64, length = width == 64 ? 0 : ~(2 * width - 1) & 0x3f;
    return n << 22 | rotation << 16 | (length | (ones - 1)) << 10;
}

bool a64_logical(struct a64_buf *e, uint32_t op, int rd, int rn, uint64_t v)
{
    uint32_t bits = a64_pattern(v, op >> 31);
    if (bits == A64_NO_PATTERN)
        return false;
    a64_word(e, op | reg(rd, RD) | reg(rn, RN) | bits);
    return true;
}

void a64_bits(struct a64_buf *e, uint32_t op, int rd, int rn, unsigned immr, unsigned imms)
{
    a64_word(e, op | reg(rd, RD) | reg(rn, RN) | immr << 16 | imms << 10);
}

void a64_extr(struct a64_buf *e, uint32_t op, int rd, int rn, int rm, unsigned lsb)
{
    a64_rrr(e, op | lsb << 10, rd, rn, rm);
}

static void move_wide(struct a64_buf *e, uint32_t op, int rd, uint64_t part, unsigned at)
{
    a64_word(e, op | reg(rd, RD) | (uint32_t)(part & 0xffff) << 5 | (at / 16) << 21);
}

void a64_constant(struct a64_buf *e, int rd, uint64_t v)
{
    unsigned zeros = 0, ones = 0;
    for (unsigned at = 0; at < 64; at += 16) {
        zeros += (v >> at & 0xffff) == 0;
        ones += (v >> at & 0xffff) == 0xffff;
    }
    if (zeros < 3 && ones < 3 && a64_logical(e, A64_ORRI, rd, A64_ZR, v))
        return;
    if (zeros == 4 || ones == 4) {
        move_wide(e, zeros ? A64_MOVZ : A64_MOVN, rd, 0, 0);
        return;
    }
    const bool inverted = ones > zeros;
    const uint64_t skip = inverted ? 0xffff : 0;
    bool first = true;
    for (unsigned at = 0; at < 64; at += 16) {
        const uint64_t part = v >> at & 0xffff;
        if (part == skip)
            continue;
        if (!first)
            move_wide(e, A64_MOVK, rd, part, at);
        else if (inverted)
            move_wide(e, A64_MOVN, rd, ~part, at);
        else
            move_wide(e, A64_MOVZ, rd, part, at);
        first = false;
    }
}

void a64_constant_of_two(struct a64_buf *e, int rd, uint32_t v)
{
    move_wide(e, A64_MOVZ, rd, v, 0);
    move_wide(e, A64_MOVK, rd, v >> 16, 16);
}

/* --- memory --------------------------------------------------------------------------------------- */

enum { SCALED_FORM = 1 << 24, INDEX_FORM = 1 << 21 | 2 << 10, LONG_VECTOR = 1 << 26 | 1 << 23 };

unsigned a64_access_size(uint32_t op)
{
    return (op & LONG_VECTOR) == LONG_VECTOR ? 4 : op >> 30;
}

bool a64_reaches(uint32_t op, int64_t disp)
{
    const unsigned size = a64_access_size(op);
    bool scaled = disp >= 0 && (disp & ((1 << size) - 1)) == 0 && disp >> size < 4096;
    return scaled || (disp >= -256 && disp < 256);
}

void a64_mem(struct a64_buf *e, uint32_t op, int rt, int rn, int64_t disp)
{
    const unsigned size = a64_access_size(op);
    if (disp >= 0 && (disp & ((1 << size) - 1)) == 0)
        a64_rr(e, op | (uint32_t)(disp >> size) << 10, rt, rn);
    else
        a64_rr(e, (op & ~(uint32_t)SCALED_FORM) | ((uint32_t)disp & 0x1ff) << 12, rt, rn);
}

void a64_mem_index(struct a64_buf *e, uint32_t op, int rt, int rn, int rm, enum a64_extend how,
                   bool scaled)
{
    a64_rrr(e,
            (op & ~(uint32_t)SCALED_FORM) | INDEX_FORM | (uint32_t)how << 13 |
                (uint32_t)scaled << 12,
            rt, rn, rm);
}

void a64_pair(struct a64_buf *e, uint32_t op, int rt, int rt2, int rn, int64_t disp)
{
    a64_word(e,
             op | reg(rt, RD) | reg(rt2, RA) | reg(rn, RN) | ((uint32_t)(disp / 8) & 0x7f) << 15);
}

/* --- branches ------------------------------------------------------------------------------------- */

uint32_t a64_b(struct a64_buf *e)
{
    uint32_t at = a64_pos(e);
    a64_word(e, A64_B);
    return at;
}

uint32_t a64_bcond(struct a64_buf *e, enum a64_cc cc)
{
    uint32_t at = a64_pos(e);
    a64_word(e, A64_BCOND | (uint32_t)cc);
    return at;
}

uint32_t a64_cb(struct a64_buf *e, uint32_t op, int rt)
{
    uint32_t at = a64_pos(e);
    a64_word(e, op | reg(rt, RD));
    return at;
}

uint32_t a64_tb(struct a64_buf *e, uint32_t op, int rt, unsigned bit)
{
    uint32_t at = a64_pos(e);
    a64_word(e, op | reg(rt, RD) | (bit >> 5) << 31 | (bit & 31) << 19);
    return at;
}

/* Where a branch has its displacement, in instructions. */
static void field_of(uint32_t insn, unsigned *at, unsigned *bits)
{
    *at = 5;
    *bits = 19; /* B.cond, CBZ, CBNZ */
    if ((insn & 0x7c000000) == A64_B) {
        *at = 0;
        *bits = 26;
    } else if ((insn & 0x7e000000) == A64_TBZ) {
        *bits = 14;
    }
}

uint32_t a64_aimed(uint32_t insn, int64_t distance)
{
    unsigned at, bits;
    field_of(insn, &at, &bits);
    const uint32_t mask = (UINT32_C(1) << bits) - 1;
    const int64_t steps = distance / 4, most = INT64_C(1) << (bits - 1);
    if (steps < -most || steps >= most)
        return 0;
    return (insn & ~(mask << at)) | ((uint32_t)steps & mask) << at;
}

void a64_to(struct a64_buf *e, uint32_t op, uint64_t target)
{
    uint32_t insn = a64_aimed(op, (int64_t)(target - a64_here(e)));
    if (!insn)
        e->full = true;
    a64_word(e, insn);
}

void a64_link(struct a64_buf *e, uint32_t at, uint32_t to)
{
    uint32_t insn = 0;
    if (at + 4 > a64_pos(e))
        return; /* it was not written: full already */
    for (unsigned i = 0; i < 4; i++)
        insn |= (uint32_t)e->start[at + i] << 8 * i;
    insn = a64_aimed(insn, (int64_t)to - (int64_t)at);
    if (!insn)
        e->full = true;
    for (unsigned i = 0; i < 4; i++)
        e->start[at + i] = (uint8_t)(insn >> 8 * i);
}
