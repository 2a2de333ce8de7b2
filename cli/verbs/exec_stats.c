#include "cli/verbs/exec_stats.h"

#include <stdio.h>
#include <sys/resource.h>

static uint64_t peak_rss_bytes(void)
{
    struct rusage u;
    return getrusage(RUSAGE_SELF, &u) ? 0 : (uint64_t)u.ru_maxrss * 1024;
}

void exec_stats_print(void *opaque, const struct counter_desc *desc, const void *counters,
                      const struct um_result *r)
{
    (void)opaque;
    for (uint32_t i = 0; i < desc->field_count; i++)
        fprintf(stderr, "%s.%s %llu\n", desc->name, desc->fields[i].name,
                (unsigned long long)counter_get(counters, &desc->fields[i]));
    fprintf(stderr, "usermode.insns %llu\nusermode.syscalls %llu\nusermode.peak_rss_bytes %llu\n",
            (unsigned long long)r->insns, (unsigned long long)r->syscalls,
            (unsigned long long)peak_rss_bytes());
}
