/*
 * Exact IEEE 754-2019 arithmetic on binary32 and binary64 in integer code, and conversions from and
 * to binary16.
 *
 * This is the reference meaning of the IR's floating-point operations: the IR interpreter calls it
 * always, translated code only where host FP can't give the guest's answer (RMM, NaN results,
 * conversions out of range, results on the edge of tininess). It uses no host FP, so the host's
 * rounding mode and flags neither matter nor change.
 *
 * Values are bit patterns. `mode` is an enum sf_round, and above it the rules for what
 * IEEE 754 leaves open and instruction sets settle each in its own way. A rounding mode outside enum
 * sf_round acts as SF_RTZ, so that every operation is total. Flags are ORed into *fl and never
 * cleared. Without a rule the choices are those of the RISC-V Unprivileged ISA, "F" and "D" 2.2:
 *   - a NaN result is always the default NaN, quiet and positive;
 *   - tininess is judged after rounding, and tiny results are kept;
 *   - fma raises SF_NV for inf * 0 even when the addend is a quiet NaN;
 *   - integers saturate, and a NaN becomes the largest.
 *
 * All functions are pure but for *fl: any thread may call them.
 */
#ifndef TRANSLATOR_SOFTFLOAT_H
#define TRANSLATOR_SOFTFLOAT_H

#include <stdbool.h>
#include <stdint.h>

/* Same numbers as the RISC-V rm field (F 2.2, table "Rounding mode encoding"). */
enum sf_round {
    SF_RNE = 0, /* to nearest, ties to even */
    SF_RTZ = 1, /* towards zero */
    SF_RDN = 2, /* towards minus infinity */
    SF_RUP = 3, /* towards plus infinity */
    SF_RMM = 4, /* to nearest, ties away from zero */
};

/* Rules, above the rounding mode.
 * NaN operands of arithmetic and of conversions between formats:
 *   SF_NAN_FIRST      the result is the first operand that is a NaN, made quiet; what fma adds is its
 *                     last operand, and a NaN there hides inf * 0 (x86: SDM 1, 4.8.3.5, 14.5.3)
 *   SF_NAN_SIGNALING  the result is the first signaling NaN, or else the first quiet one, made quiet;
 *                     what fma adds is its first operand, and inf * 0 with a quiet NaN there gives the
 *                     default NaN (Arm: DDI 0487, FPProcessNaNs3, FPMulAdd) */
enum {
    SF_NAN_FIRST = 1 << 8,
    SF_NAN_SIGNALING = 2 << 8,
    SF_NAN_RULE = 3 << 8,
    SF_NAN_NEGATIVE = 4 << 8, /* the default NaN has its sign set */
    SF_TINY_BEFORE = 8 << 8,  /* tininess is judged before rounding */
    /* Results in binary32 and binary64 that are tiny become zeros, and raise SF_UF; SF_NX too where
     * tininess is judged after rounding (x86), not where it is before (Arm). */
    SF_FLUSH = 16 << 8,
    SF_INT_NAN_ZERO = 32 << 8,   /* a NaN becomes the integer 0 */
    SF_INT_INDEFINITE = 64 << 8, /* what does not fit becomes the least signed integer, the largest
                                    unsigned one */
};

/* Which minimum or maximum, in `mode` too. */
enum {
    SF_MIN_NUMBER = 0 << 16,    /* one NaN gives the other operand, two a NaN result */
    SF_MIN_PROPAGATE = 1 << 16, /* any NaN gives a NaN result */
    SF_MIN_SECOND = 2 << 16,    /* the second operand unless the first is less, or greater; any NaN
                                   raises SF_NV (x86) */
    SF_MIN_KIND = 3 << 16,
};

/* Same bits as RISC-V fflags. */
enum {
    SF_NX = 1,  /* inexact */
    SF_UF = 2,  /* underflow: tiny and inexact */
    SF_OF = 4,  /* overflow */
    SF_DZ = 8,  /* division of a finite number by zero */
    SF_NV = 16, /* invalid operation */
};

#define SF_NAN32 UINT32_C(0x7fc00000)
#define SF_NAN64 UINT64_C(0x7ff8000000000000)

/* Arithmetic, rounded once. fma is a * b + c; negate a or c (flip the sign bit) for its kin. */
uint64_t sf_add64(uint64_t a, uint64_t b, unsigned mode, uint32_t *fl);
uint64_t sf_sub64(uint64_t a, uint64_t b, unsigned mode, uint32_t *fl);
uint64_t sf_mul64(uint64_t a, uint64_t b, unsigned mode, uint32_t *fl);
uint64_t sf_div64(uint64_t a, uint64_t b, unsigned mode, uint32_t *fl);
uint64_t sf_sqrt64(uint64_t a, unsigned mode, uint32_t *fl);
uint64_t sf_fma64(uint64_t a, uint64_t b, uint64_t c, unsigned mode, uint32_t *fl);

uint32_t sf_add32(uint32_t a, uint32_t b, unsigned mode, uint32_t *fl);
uint32_t sf_sub32(uint32_t a, uint32_t b, unsigned mode, uint32_t *fl);
uint32_t sf_mul32(uint32_t a, uint32_t b, unsigned mode, uint32_t *fl);
uint32_t sf_div32(uint32_t a, uint32_t b, unsigned mode, uint32_t *fl);
uint32_t sf_sqrt32(uint32_t a, unsigned mode, uint32_t *fl);
uint32_t sf_fma32(uint32_t a, uint32_t b, uint32_t c, unsigned mode, uint32_t *fl);

/* Comparisons give 1 or 0, and 0 if an operand is a NaN. eq is quiet: SF_NV for a signaling NaN
 * only. lt and le are signaling: SF_NV for any NaN (FEQ, FLT, FLE). */
int sf_eq64(uint64_t a, uint64_t b, uint32_t *fl);
int sf_lt64(uint64_t a, uint64_t b, uint32_t *fl);
int sf_le64(uint64_t a, uint64_t b, uint32_t *fl);
int sf_eq32(uint32_t a, uint32_t b, uint32_t *fl);
int sf_lt32(uint32_t a, uint32_t b, uint32_t *fl);
int sf_le32(uint32_t a, uint32_t b, uint32_t *fl);

/* IEEE 754-2019 minimumNumber and maximumNumber (FMIN, FMAX of F 2.2): -0 is below +0, SF_NV for a
 * signaling NaN; or as SF_MIN_KIND has it. The mode's rounding does not matter. */
uint64_t sf_min64(uint64_t a, uint64_t b, unsigned mode, uint32_t *fl);
uint64_t sf_max64(uint64_t a, uint64_t b, unsigned mode, uint32_t *fl);
uint32_t sf_min32(uint32_t a, uint32_t b, unsigned mode, uint32_t *fl);
uint32_t sf_max32(uint32_t a, uint32_t b, unsigned mode, uint32_t *fl);

/* One bit of ten set (FCLASS): 0 -inf, 1 negative normal, 2 negative subnormal, 3 -0, 4 +0,
 * 5 positive subnormal, 6 positive normal, 7 +inf, 8 signaling NaN, 9 quiet NaN. */
uint32_t sf_class64(uint64_t a);
uint32_t sf_class32(uint32_t a);

/* To integers (FCVT). What doesn't fit after rounding saturates and raises SF_NV alone, as does a NaN.
 * 32-bit results, unsigned ones too, come sign-extended to 64 bits. */
uint64_t sf_f64_to_i32(uint64_t a, unsigned mode, uint32_t *fl);
uint64_t sf_f64_to_u32(uint64_t a, unsigned mode, uint32_t *fl);
uint64_t sf_f64_to_i64(uint64_t a, unsigned mode, uint32_t *fl);
uint64_t sf_f64_to_u64(uint64_t a, unsigned mode, uint32_t *fl);
uint64_t sf_f32_to_i32(uint32_t a, unsigned mode, uint32_t *fl);
uint64_t sf_f32_to_u32(uint32_t a, unsigned mode, uint32_t *fl);
uint64_t sf_f32_to_i64(uint32_t a, unsigned mode, uint32_t *fl);
uint64_t sf_f32_to_u64(uint32_t a, unsigned mode, uint32_t *fl);

/* From integers. Only 32 bits of the 32-bit ones are looked at. */
uint64_t sf_i32_to_f64(int32_t a, unsigned mode, uint32_t *fl);
uint64_t sf_u32_to_f64(uint32_t a, unsigned mode, uint32_t *fl);
uint64_t sf_i64_to_f64(int64_t a, unsigned mode, uint32_t *fl);
uint64_t sf_u64_to_f64(uint64_t a, unsigned mode, uint32_t *fl);
uint32_t sf_i32_to_f32(int32_t a, unsigned mode, uint32_t *fl);
uint32_t sf_u32_to_f32(uint32_t a, unsigned mode, uint32_t *fl);
uint32_t sf_i64_to_f32(int64_t a, unsigned mode, uint32_t *fl);
uint32_t sf_u64_to_f32(uint64_t a, unsigned mode, uint32_t *fl);

/* Between formats; SF_NV for a signaling NaN. Widening is exact: its rounding does not matter. */
uint64_t sf_f32_to_f64(uint32_t a, unsigned mode, uint32_t *fl);
uint32_t sf_f64_to_f32(uint64_t a, unsigned mode, uint32_t *fl);
uint32_t sf_f16_to_f32(uint16_t a, unsigned mode, uint32_t *fl);
uint64_t sf_f16_to_f64(uint16_t a, unsigned mode, uint32_t *fl);
uint16_t sf_f32_to_f16(uint32_t a, unsigned mode, uint32_t *fl);
uint16_t sf_f64_to_f16(uint64_t a, unsigned mode, uint32_t *fl);

/* roundToIntegral (FROUND; with `inexact` FROUNDNX, which raises SF_NX for what was no integer). */
uint64_t sf_rint64(uint64_t a, unsigned mode, bool inexact, uint32_t *fl);
uint32_t sf_rint32(uint32_t a, unsigned mode, bool inexact, uint32_t *fl);

#endif
