#include "exec_report.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>

static uint64_t peak_rss_bytes(void)
{
    struct rusage u;
    return getrusage(RUSAGE_SELF, &u) ? 0 : (uint64_t)u.ru_maxrss * 1024;
}

enum gw_status exec_report_write(const char *path, const struct exec_report *r,
                                 struct gw_error *err)
{
    FILE *f = fopen(path, "we");
    if (!f)
        return gw_fail(err, GW_ERR_IO, path, "cannot write the report: %s", strerror(errno));
    fprintf(f,
            "{\"ended\": \"%s\", \"status\": %d, \"signal\": %d, \"insns\": %llu, "
            "\"wall_ns\": %llu, \"peak_rss_bytes\": %llu, \"overhead_bytes\": %llu}\n",
            r->ended, r->status, r->signal, (unsigned long long)r->insns,
            (unsigned long long)r->wall_ns, (unsigned long long)peak_rss_bytes(),
            (unsigned long long)r->overhead_bytes);
    if (fclose(f))
        return gw_fail(err, GW_ERR_IO, path, "cannot write the report: %s", strerror(errno));
    return GW_OK;
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
