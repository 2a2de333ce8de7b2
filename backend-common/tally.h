/*
 * Counting the host instructions that are executed (gw_backend_config.tallies), by a block's entries and exits: it
 * is a straight line, so who leaves it early has run what lies ahead of that branch, and the cold path behind it.
 *
 * A branch that leaves early goes by a cold path, where it is counted, even where it would be linked itself
 * otherwise; what is counted is the code as it would be. Not counted: thunks, cold paths that come back, and what a
 * link's distance takes (an AArch64 branch with a condition that does not reach).
 */
#ifndef BACKEND_COMMON_TALLY_H
#define BACKEND_COMMON_TALLY_H

#include "godwit/host_backend.h"

/* A new entry; NULL: nothing is counted, or there is no room. */
static inline struct gw_tally *tally_new(const struct gw_compile_job *job)
{
    struct gw_tallies *t = job->cfg->tallies;
    if (!t || t->count == t->room)
        return NULL;
    return &t->entry[t->count++];
}

/* Of a side exit, behind the block's code: hot instructions up to its branch of all that the block has; and cold. */
static inline void tally_exit(struct gw_tally *t, const struct gw_compile_job *job, uint32_t passed,
                              uint32_t cold)
{
    t->insns = (int64_t)passed + cold - job->host_insns;
}

#endif
