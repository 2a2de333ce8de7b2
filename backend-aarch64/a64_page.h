/*
 * Where an access goes. Linux on AArch64 ignores bits 63:56 of an address, so an address that is no guest's does
 * not fault by itself: each way to find one sees to all of its bits.
 *   USER  what has more than GW_USER_BITS is left to the cold path. One look does for all accesses near a value:
 *         if one of them lies within, no other lies further off than displacements and small indices go
 *   FLAT  the map goes by bits 47:12; with others than those of the page the host address has bits above 47
 *   TLB   tags are whole
 * Works in x16 and x17 alone. An access is named by the register ra of its address operand and in->imm.
 */
#ifndef A64_PAGE_H
#define A64_PAGE_H

#include "backend-aarch64/a64_block.h"

/* Why an access leaves to its cold path: index of cold_path.from. */
enum { FROM_MISALIGNED, FROM_NOT_INLINE, FROM_NOWHERE };

/* Where it is: [base + index], or, if index < 0, [base + disp]; what disp does not reach is none. */
struct a64_place {
    int base, index;
    int64_t disp;
};

void a64_begin_pages(struct a64 *x); /* of a block */

/* Looks up guest address ta for an access of 1 << size bytes. aligned: misaligned addresses are left to the
 * cold path in user mode too. */
struct a64_place a64_lookup(struct a64 *x, struct cold_path *c, int ta, unsigned size, bool write,
                            bool aligned);
/* The same, with the host address in x16. */
void a64_lookup_x16(struct a64 *x, struct cold_path *c, int ta, unsigned size, bool write,
                    bool aligned);

/* The load or store that is being lowered, in USER and FLAT; op: its opcode, as a64_mem takes it. */
struct a64_place a64_user_place(struct a64 *x, struct cold_path *c, const struct ir_insn *in,
                                int ra, uint32_t op);
struct a64_place a64_flat_place(struct a64 *x, struct cold_path *c, const struct ir_insn *in,
                                int ra, uint32_t op);

/* FLAT: x17 = the host address of guest address x16, or 0 where it is not inline; returns by x30. */
void a64_emit_lookup(struct a64_buf *e, unsigned size, bool write);

/* USER: x30 = run.guest_base + the value in register r, which is in->a. */
void a64_base_on(struct a64 *x, const struct ir_insn *in, int r);

#endif
