/*
 * What the lifters of all floating-point chapters share; lift_f.c holds it.
 */
#ifndef RV_LIFT_FP_H
#define RV_LIFT_FP_H

#include "frontend/riscv64/lift.h"

/* Does an instruction write an f register, or may it raise a flag? */
enum rv_fp_effect { RV_FP_READS, RV_FP_WRITES };

/* False: mstatus.FS forbids the instruction, or must become dirty first, and *flow says how the
 * block goes on. */
bool rv_fp_enabled(struct rv_lift *l, const struct rv_insn *in, enum rv_fp_effect effect,
                   enum rv_flow *flow);

/* The same for arithmetic, which rounds by the field rm: 7 is the dynamic mode, and 5 and 6 are
 * reserved in both places. */
bool rv_fp_rounds(struct rv_lift *l, const struct rv_insn *in, enum ir_round *rm,
                  enum rv_flow *flow);

/* The register as a value of the type: what is not boxed is the canonical NaN. */
ir_val rv_get_f(struct rv_lift *l, unsigned reg, enum ir_type type);

/* rd = v, boxed. */
enum rv_flow rv_set_f(struct rv_lift *l, const struct rv_insn *in, enum ir_type type, ir_val v);

/* The register's bits, boxed or not. */
ir_val rv_get_fbits(struct rv_lift *l, unsigned reg);

/* lift_zfh.c: binary16 in the low bits of an integer, unboxed and boxed. */
ir_val rv_get_h(struct rv_lift *l, unsigned reg);
enum rv_flow rv_set_h(struct rv_lift *l, const struct rv_insn *in, ir_val v);

#endif
