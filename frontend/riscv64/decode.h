/*
 * RV64 instructions: decoding, listing, and random encodings. All of it comes from rv64.decode,
 * one line an instruction; a lifter sees base operations only, since compressed instructions decode
 * to the operation that they abbreviate.
 *
 * Everything here is constant data and pure functions: any thread may call anything.
 */
#ifndef RV_DECODE_H
#define RV_DECODE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* rv_ops.inc is also the coverage list: RV_OP(FADD_S, fadd_s, "fadd.s", F, format) and so on. */
enum rv_op {
    RV_OP_ILLEGAL = 0,
#define RV_OP(upper, lower, text, ext, format) RV_OP_##upper,
#include "frontend/riscv64/rv_ops.inc"
#undef RV_OP
    RV_OP_COUNT
};

enum rv_ext_bit {
#define RV_EXT(upper, text) RV_EXT_BIT_##upper,
#include "frontend/riscv64/rv_exts.inc"
#undef RV_EXT
    RV_EXT_BIT_COUNT
};

/* Masks RV_EXT_ZBA and so on. RV_EXT_SM and RV_EXT_SS stand for the machine and supervisor
 * architecture. */
#include "frontend/riscv64/rv_ext_masks.h"

/*
 * A decoded instruction. Members that the operation has no use for are 0. rd, rs1, rs2, rs3 number
 * integer or floating-point registers, as the operation has it.
 */
struct rv_insn {
    uint32_t raw; /* upper half 0 when len is 2 */
    uint16_t op;  /* enum rv_op */
    uint8_t len;  /* bytes: 2 or 4; when illegal, 4 exactly if the two low bits are 3 */
    uint8_t rd, rs1, rs2, rs3;
    uint8_t rm;   /* rounding field as it stands, 0..7 (5 and 6 are reserved); FENCE: fm */
    uint8_t aqrl; /* bit 1 aq, bit 0 rl */
    /*
     * Sign-extended immediate or offset (LUI and AUIPC: already shifted left by 12; branches and
     * jumps: bytes from the instruction's own address); shift amount; number of the control
     * register (the 5-bit immediate of CSRRWI, CSRRSI and CSRRCI is in rs1); FENCE: pred << 4 |
     * succ. A prefetch is an ORI to x0 with that ORI's whole immediate.
     */
    int64_t imm;
};

/* Of a compressed instruction only the low 16 bits of `word` are looked at. */
void rv_decode(struct rv_insn *out, uint32_t word);

/* The same for a CPU that has extensions `ext` alone: words of others are illegal. */
void rv_decode_for(struct rv_insn *out, uint32_t word, uint64_t ext);

/* The mnemonic of the base operation, "addi"; "illegal" for RV_OP_ILLEGAL. */
const char *rv_op_name(enum rv_op op);

/* The extensions of which each defines the operation; 0 for RV_OP_ILLEGAL. */
uint64_t rv_op_ext(enum rv_op op);

/* "Zba"; NULL past the last extension. */
const char *rv_ext_name(enum rv_ext_bit bit);

/* The assembler's name of a control register; NULL if it has none. */
const char *rv_csr_name(unsigned number);

enum rv_disasm_flags {
    RV_DISASM_NUMERIC = 1, /* x10 and f10 rather than a0 and fa0 */
};

/*
 * Writes the text that binutils writes with -M no-aliases (mnemonic, tab, operands; targets as
 * absolute addresses), without comments; ".insn\t4, 0x..." for what does not decode. Returns the
 * length that the whole text has, as snprintf does; the buffer is always terminated if size > 0.
 */
size_t rv_disasm(char *buf, size_t size, uint64_t pc, uint32_t word);
size_t rv_disasm_as(char *buf, size_t size, uint64_t pc, uint32_t word, unsigned flags);

/* --- The pattern table: an entry for each line of rv64.decode --------------------------------- */

struct rv_condition {
    uint8_t field;
    uint16_t value; /* that the field must not have */
};

struct rv_pattern {
    const char *name; /* mnemonic, "c.addi" */
    uint32_t mask, match;
    uint64_t any; /* extensions: one of these is needed, */
    uint64_t all; /* and all of these are */
    uint16_t op;  /* enum rv_op */
    uint8_t len;  /* bytes */
    uint8_t format;
    bool hidden;      /* no assembler writes it, and it is listed as .insn */
    const char *text; /* operands; the byte 128 + n stands for field n */
    uint8_t condition_count;
    struct rv_condition conditions[2];
};

size_t rv_pattern_count(void);

/* i < rv_pattern_count() */
const struct rv_pattern *rv_pattern(size_t i);

/*
 * A random word that decodes by pattern i (and by no more specific one), all its operand fields
 * random. `rng_state` may start with any value and is stepped.
 */
uint32_t rv_pattern_random(size_t i, uint64_t *rng_state);

#endif
