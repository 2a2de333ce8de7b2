/*
 * What rv64.decode says, as tables: how fields are cut out of a word, and which field fills which
 * operand. The decoder proper (rv_tree.c, generated) does not use them; the disassembler, the
 * random-instruction generator and the tests do.
 */
#ifndef RV_DECODE_TABLES_H
#define RV_DECODE_TABLES_H

#include "frontend/riscv64/decode.h"

enum rv_kind {
    RV_KIND_X,   /* integer register */
    RV_KIND_F,   /* floating-point register */
    RV_KIND_S,   /* signed decimal */
    RV_KIND_U,   /* unsigned decimal */
    RV_KIND_H,   /* hexadecimal */
    RV_KIND_HI,  /* signed, printed as its upper 20 bits */
    RV_KIND_A,   /* signed, relative to the pc */
    RV_KIND_CSR, /* control register */
    RV_KIND_RM,  /* rounding mode, with its comma; nothing when dynamic */
    RV_KIND_IO,  /* set of I, O, R, W */
    RV_KIND_FLI, /* constant of FLI */
};

struct rv_field {
    const char *name;
    uint8_t kind;
    uint8_t run_count; /* 0 for a constant */
    uint8_t shift;     /* zero bits below the runs */
    uint8_t add;       /* added to the value, or the constant itself */
    struct {
        uint8_t high, low;
    } runs[8]; /* most significant first */
};

enum rv_slot {
    RV_SLOT_RD,
    RV_SLOT_RS1,
    RV_SLOT_RS2,
    RV_SLOT_RS3,
    RV_SLOT_RM,
    RV_SLOT_AQRL,
    RV_SLOT_IMM,
    RV_SLOT_COUNT
};

enum { RV_NO_FIELD = 255, RV_NO_PATTERN = 0xffff };

struct rv_format {
    const char *name;
    uint8_t operand_count;
    struct {
        uint8_t slot;
        uint8_t field; /* RV_NO_FIELD: `value` */
        int16_t value;
    } operands[RV_SLOT_COUNT];
};

const struct rv_field *rv_field(size_t i);
const struct rv_format *rv_format(size_t i);

/* The value of field i in a word. */
int64_t rv_field_value(size_t i, uint32_t word);

/* Decodes, and returns the index of the pattern that matched, or RV_NO_PATTERN. */
unsigned rv_decode_pattern(struct rv_insn *out, uint32_t word);

/* Does a CPU with extensions `ext` alone have the pattern? */
bool rv_pattern_is_of(unsigned id, uint64_t ext);

#endif
