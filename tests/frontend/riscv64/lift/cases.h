/*
 * One instruction each: what goes in, and everything that may change. What a case does not name
 * stays as it was; test_lift_insns.c says how the state starts.
 */
#ifndef TESTS_LIFT_CASES_H
#define TESTS_LIFT_CASES_H

#include <stdbool.h>
#include <stddef.h>

#include "frontend/riscv64/decode.h"
#include "frontend/riscv64/rv_cpu.h"

enum { X10 = 10, X11 = 11, F10 = 32 + 10 };
enum { NX = IR_FP_NX, UF = IR_FP_UF, OF = IR_FP_OF, DZ = IR_FP_DZ, NV = IR_FP_NV };

#define INSN(name, bits, asm_text) .op = RV_OP_##name, .word = (bits), .text = (asm_text)
#define CALLS(name)                (1 + RV_HELPER_##name)

enum {
    CASE_SSCRATCH = 0x1111,
    CASE_DATA = 0x10040, /* a1 of loads and stores; 64 bytes there start with CASE_BYTES */
};
#define CASE_PC    UINT64_C(0x80001000)
#define CASE_BYTES UINT64_C(0x8899aabbccddeeff)

struct lift_case {
    uint16_t op;
    uint32_t word;
    const char *text;
    uint64_t a1, a2, a3; /* in a1, a2, a3 and in fa1, fa2, fa3 */
    uint64_t a0;         /* in a0 and fa0 */
    unsigned frm;
    bool user;                      /* a program's: else M mode */
    uint64_t reservation, reserved; /* reservation 0: none */
    uint64_t result;                /* that helpers return */
    /* expected */
    unsigned sets; /* X10, X11, F10, or 0: no register */
    uint64_t want;
    bool stores;
    uint64_t mem; /* 8 bytes at CASE_DATA */
    uint64_t pc;  /* 0: the next instruction's */
    unsigned fp_flags;
    unsigned helper; /* the one that is called first, + 1 */
    unsigned calls;  /* 0: one, if there is a helper */
    bool sets_scratch, sets_reservation;
    uint64_t sscratch, new_reservation;
};

struct lift_cases {
    const struct lift_case *cases;
    size_t count;
};
extern const struct lift_cases lift_cases_base, lift_cases_ext, lift_cases_fp, lift_cases_bits,
    lift_cases_half;

#endif
