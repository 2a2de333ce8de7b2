/* What generated code calls for an operation that its backend does not lower itself. */
#ifndef TRANSLATOR_RUN_EVAL_H
#define TRANSLATOR_RUN_EVAL_H

#include "godwit/host_backend.h"

/* See gw_runtime.eval. Operands and result are in run.operand; a single's upper half may hold anything. */
void runtime_eval(void *cpu, const struct ir_insn *in);

#endif
