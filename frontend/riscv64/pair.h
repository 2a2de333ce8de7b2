/*
 * Which LR and SC are a pair, that may be one compare-and-swap (lift_a.c). It is found at the LR, by a
 * look at what lies behind it: 64 bytes, as many as a constrained loop has (Unpriv. 20240411, 14.3),
 * since paths lead forward alone.
 *
 * A pair's SC is reached, over integer operations and branches, by going on from instruction to
 * instruction. A branch may skip some of those, none of them a branch: compilers make loops for the
 * minimum of bytes so. No other SC is reached from the LR within the window, nor this one otherwise: in
 * another block it would look for a reservation, and the pair has none. To see that, paths over a load, say,
 * are followed too. One that leaves the window, or calls, or returns, is taken to reach no SC, and so is one
 * that leaves the code at hand, unless it is as in constrained loops so far.
 */
#ifndef RV_PAIR_H
#define RV_PAIR_H

#include "frontend/riscv64/lift.h"

enum { RV_PAIR_WINDOW = 64 }; /* bytes from the LR on that are looked at */

struct rv_pair {
    uint32_t sc;    /* bytes from the LR to its SC */
    uint32_t count; /* instructions from the one to the other, with both */
    uint32_t end;   /* of the code that says so; at least to the SC */
    bool border;    /* it is none since a page ends here */
    uint32_t skips; /* bit n: a branch 2 n bytes from the LR skips instructions of the pair */
};

/* lr stands at code offset `at`. False: it has no SC of that kind. */
bool rv_pair_find(const struct gw_lift_request *rq, uint64_t ext, uint32_t at,
                  const struct rv_insn *lr, struct rv_pair *out);

#endif
