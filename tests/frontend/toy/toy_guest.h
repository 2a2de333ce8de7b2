/*
 * A guest that exists to be small: 16 registers of 64 bits, instructions of four bytes. It is all
 * that docs/adding.md asks of a new guest, in one folder: nothing outside of it knows the toy.
 * Doubles are in the same registers. What IEEE 754 leaves open, the program chooses: it is an FP
 * model that no other guest has, and that changes while it runs.
 *
 * An instruction is a little-endian word: op in bits 7:0, rd 11:8, ra 15:12, and in 31:16 either a
 * signed immediate or rb in 19:16. Branches and jumps count words from their own address. Accesses
 * are of eight bytes at any alignment.
 *
 * A trap in the machine puts the cause in r13, the address concerned in r14, the pc in r15, and goes
 * on at `vector`; `jr r15` returns.
 */
#ifndef TESTS_TOY_GUEST_H
#define TESTS_TOY_GUEST_H

#include "godwit/guest_isa.h"

enum toy_op {
    TOY_LI = 1, /* rd = imm */
    TOY_ADDI,   /* rd = ra + imm */
    TOY_ADD,    /* rd = ra + rb; and so on */
    TOY_SUB,
    TOY_MUL,
    TOY_LOAD,  /* rd = [ra + imm] */
    TOY_STORE, /* [ra + imm] = rd */
    TOY_BNE,   /* if (rd != ra) */
    TOY_BLTU,  /* if (rd < ra) */
    TOY_JAL,   /* rd = pc + 4; jump */
    TOY_JR,    /* jump to ra, its low two bits ignored */
    TOY_MIX,   /* rd = toy_mix(ra, rb), r12 counts; done by a helper */
    TOY_TRAP,  /* user mode: a system call; machine: cause TRAP, imm in r14 */
    TOY_HALT,  /* the machine waits here for an interrupt; ends a program */
    TOY_FPM,   /* fp_mode = imm; floats are illegal without TOY_FP_ON */
    TOY_FADD,  /* rd = ra + rb, as doubles, to nearest; and so on */
    TOY_FMUL,
    TOY_FMIN,  /* rb, unless ra is less */
    TOY_FTOI,  /* rd = ra as a signed integer, towards zero */
    TOY_FLAGS, /* rd = the fp flags, IR_FP_* */
};
enum { TOY_FP_ON = 0x100 }; /* in fp_mode, with IR_FPM_* below it */

enum toy_cause { TOY_CAUSE_ILLEGAL = 1, TOY_CAUSE_ACCESS, TOY_CAUSE_TRAP, TOY_CAUSE_IRQ };

struct toy_cpu {
    uint64_t r[16];
    uint64_t unused[GW_VCPU_OFFSET / 8 - 16];
    struct gw_vcpu run;
    uint64_t vector; /* where traps go */
    uint32_t halted;
    uint32_t fp_mode;
    uint32_t irq; /* level of the one interrupt line; taken when it is up, and lowered by that */
    struct {
        bool user;
    } cfg;
};
_Static_assert(offsetof(struct toy_cpu, run) == GW_VCPU_OFFSET, "run follows the registers");

extern const struct guest_isa toy_guest_isa;

uint64_t toy_mix(uint64_t a, uint64_t b);
/* guest_isa.disasm. */
size_t toy_disasm(char *buf, size_t size, uint64_t pc, const uint8_t *bytes, size_t count,
                  unsigned *len);

static inline uint32_t toy_imm(enum toy_op op, unsigned rd, unsigned ra, int imm)
{
    return (uint32_t)op | rd << 8 | ra << 12 | (uint32_t)imm << 16;
}

static inline uint32_t toy_reg(enum toy_op op, unsigned rd, unsigned ra, unsigned rb)
{
    return (uint32_t)op | rd << 8 | ra << 12 | rb << 16;
}

#endif
