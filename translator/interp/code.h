/*
 * The form that interp_compile makes and interp_run executes.
 */
#ifndef TRANSLATOR_INTERP_CODE_H
#define TRANSLATOR_INTERP_CODE_H

#include "translator/interp/interp.h"

enum interp_code {
#define INTERP_OP(NAME) INTERP_##NAME,
#include "translator/interp/ops.inc"
#undef INTERP_OP
    INTERP_CODE_COUNT
};

/* A helper call's further operands. */
struct interp_call {
    const struct gw_helper *helper;
    const uint64_t *c;
    uint64_t pc;
};

/* An operation that goes through ir_eval. */
struct interp_eval {
    struct ir_insn insn;
    const uint64_t *c, *d;
};

struct interp_op {
    uint16_t code;  /* enum interp_code */
    uint16_t guest; /* index of the guest instruction */
    int32_t disp;   /* memory: displacement; BRCC: instructions not executed when it is taken;
                       AMO, ALIGN, fences: see interp.c */
    uint64_t *d;    /* destination; what a PUT writes */
    const uint64_t *a, *b;
    union {
        const uint64_t *c;
        uint64_t desc; /* memory: what the slow path gets */
        struct interp_link *link;
        const struct interp_call *call;
        const struct interp_eval *eval;
    } u;
};

#endif
