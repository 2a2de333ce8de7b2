/* What an engine counts. */
#include "translator/engine.h"

void engine_stats_add(struct engine_stats *to, const struct engine_stats *from)
{
    uint64_t *sum = (uint64_t *)to;
    const uint64_t *n = (const uint64_t *)from;
    for (unsigned i = 0; i < sizeof *to / sizeof *sum; i++)
        sum[i] += n[i];
}

static const struct counter_field counter_fields[] = {
    COUNTER(struct engine_stats, retired_insns, "guest instructions retired"),
    COUNTER(struct engine_stats, translated_blocks, "blocks translated"),
    COUNTER(struct engine_stats, translated_insns, "guest instructions translated"),
    COUNTER(struct engine_stats, translate_ns, "time spent translating"),
    COUNTER(struct engine_stats, host_bytes, "bytes of host code emitted"),
    COUNTER(struct engine_stats, host_insns, "host instructions emitted on hot paths"),
    COUNTER(struct engine_stats, host_insns_run,
            "host instructions executed in blocks, where they are counted"),
    COUNTER(struct engine_stats, lookups, "blocks looked up by the run loop"),
    COUNTER(struct engine_stats, links, "branches linked"),
    COUNTER(struct engine_stats, indirect_misses, "indirect branches not in the jump cache"),
    COUNTER(struct engine_stats, slow_loads, "loads on the slow path"),
    COUNTER(struct engine_stats, slow_stores, "stores and atomics on the slow path"),
    COUNTER(struct engine_stats, map_fills, "page map entries filled"),
    COUNTER(struct engine_stats, map_flushes, "page maps emptied"),
    COUNTER(struct engine_stats, map_drops,
            "page maps given back to the host: touched too sparsely"),
    COUNTER(struct engine_stats, map_leaves,
            "page maps that got an upper half of their own: a kernel's pages that are not global"),
    COUNTER(struct engine_stats, code_flushes, "times the code cache was emptied"),
    COUNTER(struct engine_stats, stale_blocks, "blocks whose page was written"),
    COUNTER(struct engine_stats, revived_blocks, "of those, found unchanged and used again"),
    COUNTER(struct engine_stats, exits, "times generated code was left"),
    COUNTER(struct engine_stats, exits_link, "of those, by a branch not linked yet"),
    COUNTER(struct engine_stats, exits_leave,
            "by an instruction that ends its block for the run loop"),
    COUNTER(struct engine_stats, exits_helper, "by a trap, fault or call"),
    COUNTER(struct engine_stats, exits_budget, "by the end of the quantum"),
    COUNTER(struct engine_stats, exits_saved,
            "times that the run loop had nothing to do behind such an instruction"),
    COUNTER(struct engine_stats, refreshes, "times block key and view were derived anew"),
    COUNTER(struct engine_stats, host_faults, "host faults at guest accesses"),
    COUNTER(struct engine_stats, interp_insns, "instructions run singly up to an exact stop"),
    COUNTER(struct engine_stats, fp_gathers, "times FP flags were read from the host"),
    COUNTER(struct engine_stats, fp_trap_stays, "times FP exceptions were made to trap"),
    COUNTER(struct engine_stats, fp_traps, "FP exceptions that trapped"),
    COUNTER(struct engine_stats, lock_takes, "times that several vCPUs' lock was taken"),
    COUNTER(struct engine_stats, lock_waits, "of those, when another had it"),
    COUNTER(struct engine_stats, world_stops, "times that all vCPUs were stopped for one of them"),
};

const struct counter_desc engine_counters = {
    .name = "engine",
    .fields = counter_fields,
    .field_count = sizeof counter_fields / sizeof counter_fields[0],
};
